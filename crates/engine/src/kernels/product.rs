//! Matrix products by the crate `gemm-f32`, which runs on every processor. Only this module calls it. Where the
//! processor has better instructions, [`super::tiles`] multiplies instead.

use std::cell::RefCell;

use gemm_common::Parallelism;
use gemm_f32::gemm::f32::get_gemm_fn;

use super::{MatMut, MatRef};

/// Terms that are summed in one go. The crate would choose by the number of rows where there are more.
const TERMS: usize = 512;

/// Products of so few elements, and those of one row or column, the crate sums in another order, if the terms of both
/// operands lie side by side.
const FEW: usize = 256;

thread_local! {
    static APART: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// `y = a b`, or `y += a b` where `add`.
///
/// Where `b` is the transpose of a row-major matrix, as in a forward pass, a row has the same bits however many rows
/// come with it.
///
/// One thread: shards are the unit of parallelism, and a product cut over threads would be summed in another order.
///
/// # Panics
/// If shapes disagree: the plan is wrong then, never the data.
pub(crate) fn product(mut y: MatMut<'_>, a: MatRef<'_>, b: MatRef<'_>, add: bool) {
    let (rows, cols, terms) = (y.rows(), y.cols(), a.cols());
    assert!(rows == a.rows() && cols == b.cols() && terms == b.rows(), "shapes of a product disagree");
    let side_by_side = a.col_stride() == 1 && b.row_stride() == 1;
    let other_order = side_by_side && (rows * cols <= FEW || rows.min(cols) == 1);
    for first in (0..terms.max(1)).step_by(TERMS) {
        let own = first..terms.min(first + TERMS);
        let (y, add) = (y.by_ref(), add || first > 0);
        let (a, b) = (a.columns(own.clone()), b.part(own, 0..cols));
        if !other_order {
            multiply(y, a, b, add);
        } else if rows <= cols {
            APART.with_borrow_mut(|room| multiply(y, apart(room, a), b, add));
        } else {
            APART.with_borrow_mut(|room| multiply(y, a, apart(room, b.transposed()).transposed(), add));
        }
    }
}

/// A copy of `x` in which the terms of a row do not lie side by side.
fn apart<'a>(room: &'a mut Vec<f32>, x: MatRef<'_>) -> MatRef<'a> {
    let (rows, terms) = (x.rows(), x.cols());
    let ld = rows.max(2);
    room.clear();
    room.resize(terms * ld, 0.0);
    for (i, row) in x.each_row().enumerate() {
        row.iter().enumerate().for_each(|(term, &x)| room[term * ld + i] = x);
    }
    MatRef::new(room, terms, rows, ld).transposed()
}

fn multiply(mut y: MatMut<'_>, a: MatRef<'_>, b: MatRef<'_>, add: bool) {
    // SAFETY: shapes agree, as `product` has shown. Matrices lie within their slices, and the destination, borrowed
    // alone, overlaps neither operand.
    unsafe {
        // The crate's kernels want columns of the destination side by side, so this is the transposed product.
        get_gemm_fn()(
            y.cols(),
            y.rows(),
            a.cols(),
            y.start(),
            // A single row has no next one, and strides of 1 both ways would say that it is a column.
            y.ld().max(if y.rows() == 1 { 2 } else { 1 }) as isize,
            1,
            add,
            b.start(),
            b.row_stride() as isize,
            b.col_stride() as isize,
            a.start(),
            a.row_stride() as isize,
            a.col_stride() as isize,
            1.0,
            1.0,
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

    proptest! {
        #[test]
        fn a_row_has_the_same_bits_alone(rows in 2usize..300, n in 1usize..70, k in 1usize..1200, at in 0usize..300,
                                         pad in 0usize..3, add: bool) {
            let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32 - 0.5;
            let a: Vec<f32> = (0..rows * k).map(value).collect();
            let b: Vec<f32> = (0..n * k).map(|i| value(i + 7)).collect();
            let b = MatRef::new(&b, n, k, k).transposed();
            let (at, ld) = (at % rows, n + pad);
            let (mut together, mut alone) = (vec![0.25; rows * ld], vec![0.25; ld]);
            product(MatMut::new(&mut together, rows, n, ld), MatRef::new(&a, rows, k, k), b, add);
            product(MatMut::new(&mut alone, 1, n, ld), MatRef::new(&a[at * k..][..k], 1, k, k), b, add);
            prop_assert_eq!(&together[at * ld..][..n], &alone[..n]);
        }
    }

    #[test]
    #[should_panic(expected = "shapes of a product disagree")]
    fn matrices_of_other_shapes_are_refused() {
        let (a, mut y) = ([0.0; 4], [0.0; 4]);
        product(MatMut::new(&mut y, 2, 2, 2), MatRef::new(&a, 2, 1, 1), MatRef::new(&a, 2, 2, 2), false);
    }
}
