//! Sums of products of pairs, element by element: `y = sum over i < j of x_i * x_j`.
//!
//! The forward pass multiplies each input by the sum of the inputs before it. Half of the squared sum minus the sum of
//! squares would be the same number, but as a difference of two numbers that may be much larger. In the backward pass
//! an input's gradient is d times the sum of the other inputs.

use super::{Columns, dispatch};

/// `y = sum over i < j of x_i * x_j` for every row. A stretch of columns stays in registers until all inputs are in it.
pub(crate) fn forward(y: &mut [f32], y_at: Columns, inputs: &[(&[f32], Columns)], rows: usize) {
    dispatch(
        #[inline(always)]
        || {
            for (i, y) in y_at.rows_mut(y, rows).enumerate() {
                let done = stretches::<64>(y, 0, i, inputs);
                let done = stretches::<16>(y, done, i, inputs);
                stretches::<1>(y, done, i, inputs);
            }
        },
    );
}

/// As many stretches of N columns from column `from` on as there are; gives the column behind them.
#[inline(always)]
fn stretches<const N: usize>(y: &mut [f32], mut from: usize, i: usize, inputs: &[(&[f32], Columns)]) -> usize {
    let (stretches, _) = y[from..].as_chunks_mut::<N>();
    for y in stretches {
        let (mut before, mut sums) = ([0.0f32; N], [0.0f32; N]);
        for &(x, x_at) in inputs {
            let x = &x_at.row(x, i)[from..from + N];
            for ((sum, before), x) in sums.iter_mut().zip(&mut before).zip(x) {
                *sum += *before * x;
                *before += x;
            }
        }
        *y = sums;
        from += N;
    }
    from
}

/// The sum of all inputs of every row, one row behind the other, into `sums`.
pub(crate) fn sum(sums: &mut [f32], inputs: &[(&[f32], Columns)], rows: usize) {
    let Some((&(first, at), others)) = inputs.split_first() else { return };
    let width = at.width.max(1);
    dispatch(
        #[inline(always)]
        || {
            for (i, sums) in sums.chunks_exact_mut(width).take(rows).enumerate() {
                sums.copy_from_slice(at.row(first, i));
                for &(x, x_at) in others {
                    sums.iter_mut().zip(x_at.row(x, i)).for_each(|(sum, x)| *sum += x);
                }
            }
        },
    );
}

/// The gradient of an input from d, that of y: `d_x[i] = d[i] * (sum[i] - own[i])`, overwritten or added, where `sum` is
/// that of all inputs and `own` the input; or without `own`, where `sum` is that of the others.
pub(crate) fn gradient(
    d_x: &mut [f32],
    d_x_at: Columns,
    d: (&[f32], Columns),
    sum: (&[f32], Columns),
    own: Option<(&[f32], Columns)>,
    rows: usize,
    accumulate: bool,
) {
    dispatch(
        #[inline(always)]
        || {
            for (i, d_x) in d_x_at.rows_mut(d_x, rows).enumerate() {
                let (d, sum) = (d.1.row(d.0, i), sum.1.row(sum.0, i));
                let terms = d.iter().zip(sum);
                match own.map(|(x, at)| at.row(x, i)) {
                    Some(own) => write(d_x, terms.zip(own).map(|((d, sum), own)| d * (sum - own)), accumulate),
                    None => write(d_x, terms.map(|(d, sum)| d * sum), accumulate),
                }
            }
        },
    );
}

#[inline(always)]
fn write(d_x: &mut [f32], values: impl Iterator<Item = f32>, accumulate: bool) {
    if accumulate {
        d_x.iter_mut().zip(values).for_each(|(d_x, value)| *d_x += value);
    } else {
        d_x.iter_mut().zip(values).for_each(|(d_x, value)| *d_x = value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_and_number_of_inputs_gives_all_pairs_both_ways() {
        let rows = 3;
        for (width, n) in [(1, 2), (15, 3), (16, 2), (17, 4), (64, 5), (100, 3)] {
            let at = Columns { ld: width + 3, col: 2, width };
            let value = |i: usize| ((i * 7) % 11) as f32 - 5.0;
            let x: Vec<Vec<f32>> = (0..n).map(|e| (0..rows * at.ld).map(|i| value(i + 3 * e)).collect()).collect();
            let inputs: Vec<_> = x.iter().map(|x| (&x[..], at)).collect();
            let mut y = vec![-1.0; rows * at.ld];
            forward(&mut y, at, &inputs, rows);
            let d: Vec<f32> = (0..rows * at.ld).map(|i| value(5 * i) / 4.0).collect();
            let mut sums = vec![9.0; rows * width];
            sum(&mut sums, &inputs, rows);
            let sums_at = Columns { ld: width, col: 0, width };
            for (own, &input) in inputs.iter().enumerate() {
                let mut d_x = vec![1.0; rows * at.ld];
                gradient(&mut d_x, at, (&d, at), (&sums, sums_at), Some(input), rows, own == 1);
                for (i, j) in (0..rows).flat_map(|i| (0..width).map(move |j| (i, j))) {
                    let element = |e: usize| at.row(&x[e], i)[j];
                    let pairs: f32 = (0..n).flat_map(|f| (0..f).map(move |g| element(f) * element(g))).sum();
                    assert_eq!(at.row(&y, i)[j], pairs, "({i}, {j}) of {n} by {width}");
                    let others: f32 = (0..n).filter(|&e| e != own).map(element).sum();
                    let expected = at.row(&d, i)[j] * others + if own == 1 { 1.0 } else { 0.0 };
                    assert_eq!(at.row(&d_x, i)[j], expected, "({i}, {j}) of {n} by {width}");
                }
                assert!(d_x.iter().zip(0..).all(|(d, i)| (2..width + 2).contains(&(i % at.ld)) || *d == 1.0));
            }
            assert!(y.iter().zip(0..).all(|(y, i)| (2..width + 2).contains(&(i % at.ld)) || *y == -1.0));
        }
    }

    #[test]
    fn the_gradient_of_a_product_is_by_the_other_and_not_by_a_difference() {
        let one = Columns { ld: 1, col: 0, width: 1 };
        let mut d_x = [0.5];
        gradient(&mut d_x, one, (&[2.0], one), (&[1e-9], one), None, 1, false);
        assert_eq!(d_x, [2e-9]);
        gradient(&mut d_x, one, (&[2.0], one), (&[3.0], one), None, 1, true);
        assert_eq!(d_x, [6.0]);
    }
}
