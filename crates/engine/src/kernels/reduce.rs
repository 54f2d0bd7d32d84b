//! Sums over the private gradients of the lanes.

use rayon::prelude::*;

use super::dispatch;

/// Elements that one thread reduces at a time.
const CHUNK: usize = 1 << 14;

/// `sum[i] = parts[0][i] + parts[1][i] + ...`, in that order whatever the threads.
pub(crate) fn sum_into(sum: &mut [f32], parts: &[&[f32]]) {
    sum.par_chunks_mut(CHUNK).enumerate().for_each(|(c, sum)| sum_range(sum, parts, c * CHUNK));
}

/// [`sum_into`] for the elements from `start` on, as many as `sum` has.
pub(crate) fn sum_range(sum: &mut [f32], parts: &[&[f32]], start: usize) {
    let range = start..start + sum.len();
    let Some((first, rest)) = parts.split_first() else { return sum.fill(0.0) };
    dispatch(
        #[inline(always)]
        || {
            sum.copy_from_slice(&first[range.clone()]);
            for part in rest {
                sum.iter_mut().zip(&part[range.clone()]).for_each(|(s, p)| *s += p);
            }
        },
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
        let parts: Vec<Vec<f32>> = (0..3).map(|p| (0..40_000).map(|i| (i * (p + 1)) as f32).collect()).collect();
        let mut sum = vec![9.0; 40_000];
        sum_into(&mut sum, &parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert!(sum.iter().enumerate().all(|(i, &s)| s == (i * 6) as f32));
        assert_eq!(square_sum(&[3.0, 4.0]), 25.0);
    }
}
