//! Matrix products by the `gemm` crate, which runs on every processor. Only this module calls the crate. Where the
//! processor has better instructions, [`super::tiles`] multiplies instead.

use gemm::Parallelism;

use super::{MatMut, MatRef};

/// `y = a b`, or `y += a b` where `add`.
///
/// One thread: shards are the unit of parallelism, and a product cut over threads would be summed in another order.
///
/// # Panics
/// If shapes disagree: the plan is wrong then, never the data.
pub(crate) fn product(mut y: MatMut<'_>, a: MatRef<'_>, b: MatRef<'_>, add: bool) {
    let (rows, cols, terms) = (y.rows(), y.cols(), a.cols());
    assert!(rows == a.rows() && cols == b.cols() && terms == b.rows(), "shapes of a product disagree");
    // SAFETY: shapes were just shown to agree. Matrices lie within their slices, and the destination, borrowed alone,
    // overlaps neither operand.
    unsafe {
        gemm::gemm(
            rows,
            cols,
            terms,
            y.start(),
            1,
            y.ld() as isize,
            add,
            a.start(),
            a.col_stride() as isize,
            a.row_stride() as isize,
            b.start(),
            b.col_stride() as isize,
            b.row_stride() as isize,
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

    proptest! {
        #[test]
        fn equals_the_definition(m in 1usize..20, n in 1usize..20, k in 1usize..20, pad in 0usize..5, add: bool,
                                 turn_a: bool, turn_b: bool, seed: u32) {
            let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 16) as f32 / 65536.0 - 0.5;
            let a: Vec<f32> = (0..(m.max(k)) * (m.max(k) + pad)).map(value).collect();
            let b: Vec<f32> = (0..(n.max(k)) * (n.max(k) + pad)).map(|i| value(i + 1000)).collect();
            let a = if turn_a { MatRef::new(&a, k, m, m + pad).transposed() } else { MatRef::new(&a, m, k, k + pad) };
            let b = if turn_b { MatRef::new(&b, n, k, k + pad).transposed() } else { MatRef::new(&b, k, n, n + pad) };
            let mut found = vec![0.25; m * n];
            product(MatMut::new(&mut found, m, n, n), a, b, add);
            for (at_y, found) in found.into_iter().enumerate() {
                let (i, j) = (at_y / n, at_y % n);
                let sum: f64 = (0..k).map(|r| f64::from(*a.at(i, r)) * f64::from(*b.at(r, j))).sum();
                let expected = sum as f32 + if add { 0.25 } else { 0.0 };
                prop_assert!((expected - found).abs() < 1e-5, "{expected} {found}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "shapes of a product disagree")]
    fn matrices_of_other_shapes_are_refused() {
        let (a, mut y) = ([0.0; 4], [0.0; 4]);
        product(MatMut::new(&mut y, 2, 2, 2), MatRef::new(&a, 2, 1, 1), MatRef::new(&a, 2, 2, 2), false);
    }
}
