//! [`Delta`]: the gradient of a layer's sums where products round their operands.

use super::linear::Part;
use super::tiles::{Left, Operand, Pair, Rounded, Rounding};
pub(crate) use super::tiles::{Piece, STRIPE, Shape, Signs, Stripe, Through};

/// The gradient d of a layer's sums, rounded once for both products of the backward pass: d^T x and
/// d W.
///
/// It is put together from groups of columns, each as soon as it is known: that of an expert's hidden layer while what gave
/// it is still in the core's caches. The numbers themselves are not needed any more then.
#[derive(Debug, Default)]
pub(crate) struct Delta {
    whole: Shape,
    rows: Rounded,
    columns: Rounded,
}

impl Delta {
    /// Puts a piece of the `whole` in; for d W, too, where `wanted`.
    pub(super) fn put<K: Rounding>(&mut self, whole: Shape, piece: Piece<'_>, wanted: bool) {
        self.whole = whole;
        K::put_columns(&mut self.columns, whole, piece);
        if wanted {
            K::put_rows(&mut self.rows, whole, piece);
        }
    }

    /// As [`Delta::put`] of what a stripe becomes, if the processor can do all of it at once; else nothing is done.
    pub(super) fn pass<K: Rounding>(&mut self, whole: Shape, stripe: Stripe<'_>, wanted: bool) -> bool {
        self.whole = whole;
        K::pass(stripe, &mut self.columns, wanted.then_some(&mut self.rows), whole)
    }
}

/// The gradient of a layer's sums, as a product takes it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sums<'a> {
    /// As it was computed.
    Exact(Part<'a>),
    /// Put together, for the arithmetic of the layer that it was put in by.
    Rounded(&'a Delta),
}

impl<'a> Sums<'a> {
    /// The left operand of d W; `memory` is for what is not rounded yet.
    pub(super) fn along_rows<K: Rounding>(self, rows: usize, memory: &'a mut Rounded) -> Left<'a, Pair> {
        match self {
            Self::Exact((d, at)) => K::along_rows(memory, &d[at.col..], at.ld, rows, at.width),
            Self::Rounded(delta) => K::rows_of(&delta.rows, delta.whole),
        }
    }

    /// The left operand of d^T x.
    pub(super) fn along_columns<K: Rounding>(self, rows: usize, memory: &'a mut Rounded) -> Left<'a, Pair> {
        match self {
            Self::Exact((d, at)) => K::along_columns(memory, &d[at.col..], at.ld, rows, at.width),
            Self::Rounded(delta) => K::columns_of(&delta.columns, delta.whole),
        }
    }
}
