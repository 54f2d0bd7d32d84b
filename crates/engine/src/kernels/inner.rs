//! Scalar products, row by row: `y = s <a, b>`.

use std::hint::black_box;

use super::{Columns, dispatch};

/// Partial sums of a scalar product: enough for the widest vectors, and the same number on every instruction set.
pub(super) const LANES: usize = 16;

/// `sum_j a_j b_j` in [`LANES`] partial sums.
#[inline(always)]
pub(crate) fn product(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for l in 0..LANES {
            sums[l] += a[l] * b[l];
        }
    }
    sum(sums) + tail
}

/// The sum of partial sums, halves upon halves: one after the other would be sixteen additions that wait for one
/// another.
#[inline(always)]
pub(super) fn sum(sums: [f32; LANES]) -> f32 {
    // A wall: if the compiler sees through it, it splits the partial sums into the pairs that this adds, and what should
    // be one instruction for sixteen of them becomes dozens all the way up the loop (a third of the time in mixtures).
    let sums: [f32; 8] = halves(&black_box(sums));
    let sums: [f32; 4] = halves(&sums);
    let sums: [f32; 2] = halves(&sums);
    sums[0] + sums[1]
}

#[inline(always)]
fn halves<const N: usize, const M: usize>(sums: &[f32; M]) -> [f32; N] {
    std::array::from_fn(|l| sums[l] + sums[l + N])
}

/// `y[i] = scale <a[i], b[i]>`; y has one column.
pub(crate) fn forward(
    y: &mut [f32],
    y_at: Columns,
    scale: f32,
    a: (&[f32], Columns),
    b: (&[f32], Columns),
    rows: usize,
) {
    dispatch(
        #[inline(always)]
        || {
            let pairs = a.1.rows(a.0, rows).zip(b.1.rows(b.0, rows));
            y_at.rows_mut(y, rows).zip(pairs).for_each(|(y, (a, b))| y[0] = scale * product(a, b));
        },
    );
}

/// The gradient of a from d, that of y: `d_a[i] = scale d[i] b[i]`, overwritten or added. That of b is the same with a.
pub(crate) fn gradient(
    d_a: &mut [f32],
    d_a_at: Columns,
    scale: f32,
    d: (&[f32], Columns),
    b: (&[f32], Columns),
    rows: usize,
    accumulate: bool,
) {
    dispatch(
        #[inline(always)]
        || {
            let pairs = d.1.rows(d.0, rows).zip(b.1.rows(b.0, rows));
            for (d_a, (d, b)) in d_a_at.rows_mut(d_a, rows).zip(pairs) {
                let d = scale * d[0];
                if accumulate {
                    d_a.iter_mut().zip(b).for_each(|(d_a, b)| *d_a += d * b);
                } else {
                    d_a.iter_mut().zip(b).for_each(|(d_a, b)| *d_a = d * b);
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_equals_the_definition() {
        for n in [0, 1, 15, 16, 17, 50] {
            let a: Vec<f32> = (0..n).map(|i| (i % 7) as f32 - 3.0).collect();
            let b: Vec<f32> = (0..n).map(|i| (i % 5) as f32 - 2.0).collect();
            let exact: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert_eq!(product(&a, &b), exact);
        }
    }

    #[test]
    fn rows_are_kept_apart_both_ways() {
        let at = Columns { ld: 3, col: 1, width: 2 };
        let one = Columns { ld: 2, col: 1, width: 1 };
        let a = [9.0, 1.0, 2.0, 9.0, 3.0, 4.0];
        let b = [9.0, 5.0, 6.0, 9.0, 7.0, 8.0];
        let mut y = [-1.0; 4];
        forward(&mut y, one, 0.5, (&a, at), (&b, at), 2);
        assert_eq!(y, [-1.0, 8.5, -1.0, 26.5]);

        let d = [0.0, 2.0, 0.0, -1.0];
        let mut d_a = [1.0; 6];
        gradient(&mut d_a, at, 0.5, (&d, one), (&b, at), 2, false);
        assert_eq!(d_a, [1.0, 5.0, 6.0, 1.0, -3.5, -4.0]);
        gradient(&mut d_a, at, 0.5, (&d, one), (&a, at), 2, true);
        assert_eq!(d_a, [1.0, 6.0, 8.0, 1.0, -5.0, -6.0]);
    }
}
