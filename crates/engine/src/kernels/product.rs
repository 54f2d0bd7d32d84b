//! Matrix products by the `gemm` crate, which runs on every processor. Only this module calls the crate. Where the
//! processor has better instructions, [`super::tiles`] multiplies instead.

use gemm::Parallelism;

/// A matrix inside a slice: `rows` x `cols` with distances `row_stride` and `col_stride` between neighbours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<S> {
    pub(crate) data: S,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

impl<S> Matrix<S> {
    /// A row-major matrix with row stride `ld`.
    #[inline]
    pub(crate) fn new(data: S, rows: usize, cols: usize, ld: usize) -> Self {
        Self { data, rows, cols, row_stride: ld, col_stride: 1 }
    }

    /// The same elements with rows and columns exchanged.
    #[inline]
    pub(crate) fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// Position behind the last element.
    pub(super) fn end(&self) -> usize {
        if self.rows == 0 || self.cols == 0 {
            0
        } else {
            (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride + 1
        }
    }
}

/// `y = a b`, or `y += a b` where `accumulate`.
///
/// One thread: shards are the unit of parallelism, and a product cut over threads would be summed in another order.
///
/// # Panics
/// If shapes disagree or a matrix reaches beyond its slice: the plan is wrong then, never the data.
pub(crate) fn product(y: Matrix<&mut [f32]>, a: Matrix<&[f32]>, b: Matrix<&[f32]>, accumulate: bool) {
    assert!(y.rows == a.rows && y.cols == b.cols && a.cols == b.rows, "shapes of a product disagree");
    assert!(y.end() <= y.data.len() && a.end() <= a.data.len() && b.end() <= b.data.len(), "a matrix leaves its slice");
    // SAFETY: all three matrices were just shown to lie within their slices for every index below (rows, cols), the
    // destination is borrowed exclusively and so overlaps neither operand, and no stride is zero or negative.
    unsafe {
        gemm::gemm(
            y.rows,
            y.cols,
            a.cols,
            y.data.as_mut_ptr(),
            y.col_stride as isize,
            y.row_stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(y: &mut [f32], a: &Matrix<&[f32]>, b: &Matrix<&[f32]>, accumulate: bool) {
        for i in 0..a.rows {
            for j in 0..b.cols {
                let sum: f64 = (0..a.cols)
                    .map(|k| {
                        let x = a.data[i * a.row_stride + k * a.col_stride];
                        f64::from(x) * f64::from(b.data[k * b.row_stride + j * b.col_stride])
                    })
                    .sum();
                let y = &mut y[i * b.cols + j];
                *y = if accumulate { *y + sum as f32 } else { sum as f32 };
            }
        }
    }

    proptest! {
        #[test]
        fn equals_the_definition(m in 1usize..20, n in 1usize..20, k in 1usize..20, pad in 0usize..5, add: bool,
                                 turn_a: bool, turn_b: bool, seed: u32) {
            let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 16) as f32 / 65536.0 - 0.5;
            let a: Vec<f32> = (0..(m.max(k)) * (m.max(k) + pad)).map(value).collect();
            let b: Vec<f32> = (0..(n.max(k)) * (n.max(k) + pad)).map(|i| value(i + 1000)).collect();
            let a = if turn_a { Matrix::new(&a[..], k, m, m + pad).transposed() } else { Matrix::new(&a[..], m, k, k + pad) };
            let b = if turn_b { Matrix::new(&b[..], n, k, k + pad).transposed() } else { Matrix::new(&b[..], k, n, n + pad) };
            let mut expected = vec![0.25; m * n];
            let mut found = expected.clone();
            naive(&mut expected, &a, &b, add);
            product(Matrix::new(&mut found[..], m, n, n), a, b, add);
            for (e, f) in expected.iter().zip(&found) {
                prop_assert!((e - f).abs() < 1e-5, "{e} {f}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "leaves its slice")]
    fn a_matrix_beyond_its_slice_is_refused() {
        let (a, b, mut y) = ([0.0; 5], [0.0; 4], [0.0; 4]);
        product(Matrix::new(&mut y[..], 2, 2, 2), Matrix::new(&a[..], 2, 2, 4), Matrix::new(&b[..], 2, 2, 2), false);
    }
}
