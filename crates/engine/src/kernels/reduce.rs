//! Sums of the lanes' separate gradient accumulators.

use rayon::prelude::*;

use super::dispatch;

/// Elements that one thread reduces at a time.
const CHUNK: usize = 1 << 14;

/// `sum[i] = parts[0][i] + parts[1][i] + ...`, in that order for any number of threads.
pub(crate) fn sum_into(sum: &mut [f32], parts: &[&[f32]]) {
    sum.par_chunks_mut(CHUNK).enumerate().for_each(|(c, sum)| sum_range(sum, parts, c * CHUNK));
}

/// [`sum_into`] for the elements from `start` on, as many as `sum` has.
pub(crate) fn sum_range(sum: &mut [f32], parts: &[&[f32]], start: usize) {
    let range = start..start + sum.len();
    dispatch(
        #[inline(always)]
        || {
            // Several streams from memory at once, and one pass over the sum instead of one for each part.
            match parts {
                [] => sum.fill(0.0),
                [a] => sum.copy_from_slice(&a[range]),
                [a, b] => {
                    let pairs = a[range.clone()].iter().zip(&b[range]);
                    sum.iter_mut().zip(pairs).for_each(|(s, (a, b))| *s = a + b);
                }
                [a, b, c] => {
                    let three = a[range.clone()].iter().zip(&b[range.clone()]).zip(&c[range]);
                    sum.iter_mut().zip(three).for_each(|(s, ((a, b), c))| *s = a + b + c);
                }
                [a, b, c, d, rest @ ..] => {
                    let four = a[range.clone()].iter().zip(&b[range.clone()]).zip(&c[range.clone()]);
                    let four = four.zip(&d[range.clone()]);
                    sum.iter_mut().zip(four).for_each(|(s, (((a, b), c), d))| *s = a + b + c + d);
                    for part in rest {
                        sum.iter_mut().zip(&part[range.clone()]).for_each(|(s, p)| *s += p);
                    }
                }
            }
        },
    );
}

/// `sum[i] += part[i]`.
pub(crate) fn add_to(sum: &mut [f32], part: &[f32]) {
    dispatch(
        #[inline(always)]
        || sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part),
    );
}

/// Sum of squares, in f64; each chunk is summed alone and chunks in order.
pub(crate) fn square_sum(values: &[f32]) -> f64 {
    let chunks: Vec<f64> = values.par_chunks(CHUNK).map(crate::optim::square_sum).collect();
    chunks.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_in_order() {
        for count in 0..10 {
            // Rounded at every addition, so that another order would show.
            let part = |p: usize| (0..20_000).map(|i| (i * (p + 1)) as f32 / 3.0).collect();
            let parts: Vec<Vec<f32>> = (0..count).map(part).collect();
            let mut sum = vec![9.0; 20_000];
            sum_into(&mut sum, &parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let in_order = |i: usize| parts.iter().map(|part| part[i]).reduce(|s, p| s + p).unwrap_or(0.0);
            assert!(sum.iter().enumerate().all(|(i, &s)| s == in_order(i)), "{count} parts");
        }
        assert_eq!(square_sum(&[3.0, 4.0]), 25.0);
    }
}
