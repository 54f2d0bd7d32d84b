//! Backward pass from outputs to sums, in one pass over a stripe of their gradient: rectifier, sum into the biases'
//! gradient, and rounding into the left operands of both products that follow.

#[cfg_attr(target_arch = "x86_64", path = "x86.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "other.rs")]
mod processor;

use super::left::SQUARE;
use super::{LANES, Pair, STRIPE, Shape};

/// At most [`STRIPE`] rows of the gradient of a layer's outputs, whose first is (`row`, `col`) of the whole: multiples of
/// [`STRIPE`] both.
#[derive(Debug)]
pub(crate) struct Stripe<'a> {
    pub(crate) d: &'a mut [f32],
    pub(crate) ld: usize,
    pub(crate) shape: Shape,
    pub(crate) row: usize,
    pub(crate) col: usize,
    pub(crate) through: Through<'a>,
    /// The gradient of these columns' biases, which is added to; nothing of columns without.
    pub(crate) bias: &'a mut [f32],
    /// Whether `d` becomes the gradient of the sums; else it is left as it is.
    pub(crate) keep: bool,
}

/// What the outputs went through, and so does their gradient. The sign mask begins with the stripe's first output; the
/// second number is from a row to the next.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Through<'a> {
    /// Nothing.
    Nothing,
    /// A rectifier: which of them are above zero.
    Signs(&'a [u16], usize),
    /// A rectifier: the outputs themselves.
    Outputs(&'a [f32], usize),
}

/// Where a stripe goes in the operand whose rows are those of C.
pub(super) struct Rows<'a> {
    /// From the stripe's first on.
    pub(super) data: &'a mut [Pair],
    /// From a row to the next, of sixteen.
    pub(super) stride: usize,
    /// From a row to the one sixteen below.
    pub(super) below: usize,
}

/// Goes over a stripe, if this processor can. `SQUARES`: operands are in squares, and `column` is from one in `columns` to
/// that of the next sixteen columns; else it is from a pair of rows to the next. Both begin where the stripe goes.
///
/// # Panics
/// If an operand is too short for what goes there.
pub(super) fn run<const SQUARES: bool>(
    stripe: Stripe<'_>,
    columns: &mut [Pair],
    column: usize,
    rows: Option<Rows<'_>>,
) -> bool {
    let Shape { rows: high, cols } = stripe.shape;
    if !processor::available() {
        return false;
    }
    if high == 0 || cols == 0 {
        return true;
    }
    let groups = cols.div_ceil(LANES);
    assert!(high <= STRIPE && (high - 1) * stripe.ld + cols <= stripe.d.len(), "the gradient leaves its slice");
    assert!(stripe.bias.is_empty() || stripe.bias.len() >= cols, "a bias for every column");
    let known = match stripe.through {
        Through::Nothing => true,
        Through::Signs(words, row) => (high - 1) * row + groups <= words.len(),
        Through::Outputs(y, ld) => (high - 1) * ld + cols <= y.len(),
    };
    assert!(known, "an output for every gradient");
    let end = match SQUARES {
        true => (groups - 1) * column + SQUARE,
        false => (high.div_ceil(2) - 1) * column + cols,
    };
    assert!(end <= columns.len(), "columns leave their operand");
    if let Some(Rows { data, stride, below }) = &rows {
        let last = (high - 1) / LANES * below + (high - 1) % LANES * stride;
        let end = match SQUARES {
            true => last + (cols.div_ceil(STRIPE) - 1) * SQUARE + LANES,
            false => last + cols.div_ceil(2),
        };
        assert!(end <= data.len(), "rows leave their operand");
    }
    // SAFETY: the processor was asked, and all bounds were looked at.
    unsafe { processor::run::<SQUARES>(stripe, columns, column, rows) };
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Amx, Piece, Rounded, Rounding};
    use super::*;
    use crate::kernels::{Columns, bias};
    use pleiad_model::graph::Activation;

    /// Numbers that are no bf16, some zero, some not numbers.
    fn values(n: usize, seed: u32) -> Vec<f32> {
        let value = |i: usize| {
            let bits = (i as u32 ^ seed).wrapping_mul(2_654_435_761) >> 8;
            match bits % 61 {
                0 => 0.0,
                1 => -0.0,
                2 => f32::NAN,
                _ => bits as f32 / 8e6 - 1.0,
            }
        };
        (0..n).map(value).collect()
    }

    fn same(a: &[Pair], b: &[Pair]) -> bool {
        // Any NaN is one.
        let half = |x: u16| if x & 0x7FFF > 0x7F80 { u16::MAX } else { x };
        let halves = |p: &Pair| [half(p.0 as u16), half((p.0 >> 16) as u16)];
        a.iter().zip(b).all(|(a, b)| halves(a) == halves(b))
    }

    fn check<K: Rounding>(rows: usize, cols: usize, before: usize, through: usize, wanted: bool, seed: u32) {
        if !processor::available() {
            return;
        }
        let whole = Shape { rows, cols: before * STRIPE + cols };
        let at = Columns { ld: cols + 3, col: 0, width: cols };
        let (d, y) = (values(rows * at.ld, seed), values(rows * at.ld, seed ^ 99));
        let words = cols.div_ceil(LANES) + 1;
        let mut signs = vec![0u16; rows * words];
        for (i, y) in at.rows(&y, rows).enumerate() {
            y.iter().enumerate().for_each(|(j, y)| signs[i * words + j / LANES] |= u16::from(*y > 0.0) << (j % LANES));
        }
        let (mut plain, mut plain_bias) = (d.clone(), vec![0.5; cols]);
        let f = if through > 0 { Activation::Relu } else { Activation::Identity };
        bias::backward(&y, at, &mut plain, at, rows, f, &mut plain_bias);
        // What is there from before must go, also where padding is.
        let used = vec![9.0; (rows + STRIPE) * 200];
        let memory = || {
            let mut memory = [Rounded::default(), Rounded::default()];
            let shape = Shape { rows: rows + STRIPE, cols: 200 };
            let piece = Piece { data: &used, ld: 200, shape, row: 0, col: 0 };
            K::put_columns(&mut memory[0], shape, piece);
            K::put_rows(&mut memory[1], shape, piece);
            memory
        };
        let ([mut columns, mut by_rows], [mut plain_columns, mut plain_rows]) = (memory(), memory());
        let col = before * STRIPE;
        for operands in [[&mut columns, &mut by_rows], [&mut plain_columns, &mut plain_rows]] {
            let zeros = vec![0.0; rows * (col + 1)];
            let piece = Piece { data: &zeros, ld: col + 1, shape: Shape { rows, cols: col }, row: 0, col: 0 };
            K::put_columns(operands[0], whole, piece);
            K::put_rows(operands[1], whole, piece);
        }
        let piece = Piece { data: &plain, ld: at.ld, shape: Shape { rows, cols }, row: 0, col };
        K::put_columns(&mut plain_columns, whole, piece);
        K::put_rows(&mut plain_rows, whole, piece);
        let (mut found, mut found_bias) = (d, vec![0.5; cols]);
        for row in (0..rows).step_by(STRIPE) {
            let stripe = Stripe {
                d: &mut found[row * at.ld..],
                ld: at.ld,
                shape: Shape { rows: STRIPE.min(rows - row), cols },
                row,
                col,
                through: match through {
                    0 => Through::Nothing,
                    1 => Through::Signs(&signs[row * words..], words),
                    _ => Through::Outputs(&y[row * at.ld..], at.ld),
                },
                bias: &mut found_bias,
                keep: true,
            };
            assert!(K::pass(stripe, &mut columns, wanted.then_some(&mut by_rows), whole));
        }
        let numbers = |x: &[f32]| x.iter().map(|x| if x.is_nan() { u32::MAX } else { x.to_bits() }).collect::<Vec<_>>();
        assert_eq!(numbers(&found), numbers(&plain));
        assert_eq!(numbers(&found_bias), numbers(&plain_bias));
        assert!(same(K::columns_of(&columns, whole).data, K::columns_of(&plain_columns, whole).data));
        if wanted {
            // Rows beyond those of the matrix may hold anything.
            let (found, plain) = (K::rows_of(&by_rows, whole), K::rows_of(&plain_rows, whole));
            let high = if K::SQUARES { LANES } else { 1 };
            for row in 0..rows {
                let runs = |of: &[Pair]| -> Vec<Pair> {
                    let squares = &of[row / high * high * found.row..][..high * found.row];
                    squares
                        .chunks(found.step * high)
                        .flat_map(|s| s[row % high * found.step..][..found.step].to_vec())
                        .collect()
                };
                assert!(same(&runs(found.data), &runs(plain.data)), "row {row}");
            }
        }
    }

    proptest! {
        #[test]
        fn one_pass_is_what_several_are(
            rows in 1usize..70, cols in 1usize..80, before in 0usize..2, through in 0usize..3, wanted: bool, seed: u32,
        ) {
            check::<Pair>(rows, cols, before, through, wanted, seed);
            check::<Amx>(rows, cols, before, through, wanted, seed);
        }
    }
}
