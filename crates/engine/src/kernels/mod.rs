//! The arithmetic of one shard: products and the fused passes around them.
//!
//! Kernels work on rows, columns and strides; they do not depend on graph or plan. Passes are plain loops that the
//! compiler vectorises; [`dispatch`] runs them with the widest instructions that the processor has. Sums are kept in
//! a fixed number of partial sums, so every instruction set gives the same bits. Products are the exception:
//! depending on the processor, [`linear`] uses our own ([`tiles`]) or those of the `gemm` crate ([`product`]).

pub(crate) mod activation;
pub(crate) mod arithmetic;
pub(crate) mod bias;
pub(crate) mod combine;
pub(crate) mod conjunction;
pub(crate) mod dropout;
pub(crate) mod exp;
pub(crate) mod fields;
pub(crate) mod folded;
pub(crate) mod inner;
pub(crate) mod linear;
mod lines;
mod matrix;
pub(crate) mod mixture;
pub(crate) mod packing;
pub(crate) mod pairs;
pub(crate) mod peak;
pub(crate) mod periodic;
mod prefetch;
pub(crate) mod product;
pub(crate) mod reduce;
pub(crate) mod scratch;
pub(crate) mod segment;
pub(crate) mod softmax;
pub(crate) mod tiles;

use std::sync::OnceLock;

pub(crate) use lines::Lines;
pub(crate) use matrix::{MatMut, MatRef};
pub(crate) use prefetch::prefetch;

/// Runs `pass` compiled for the widest vector instructions that the processor has.
///
/// Whatever `pass` calls must be inlined into it to profit.
#[inline]
pub(crate) fn dispatch<R>(pass: impl FnOnce() -> R) -> R {
    static ARCH: OnceLock<pulp::Arch> = OnceLock::new();
    ARCH.get_or_init(pulp::Arch::new).dispatch(pass)
}

/// Columns `col .. col + width` of a row-major matrix with row stride `ld`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Columns {
    /// Row stride.
    pub(crate) ld: usize,
    /// First column.
    pub(crate) col: usize,
    /// Number of columns.
    pub(crate) width: usize,
}

impl Columns {
    /// These columns of `matrix`, to be read.
    ///
    /// # Panics
    /// If it does not have them, here and below.
    pub(crate) fn of(self, matrix: &[f32], rows: usize) -> MatRef<'_> {
        MatRef::new(matrix.get(self.col..).unwrap_or_default(), rows, self.width, self.ld)
    }

    /// These columns of `matrix`, to be written.
    pub(crate) fn of_mut(self, matrix: &mut [f32], rows: usize) -> MatMut<'_> {
        MatMut::new(matrix.get_mut(self.col..).unwrap_or_default(), rows, self.width, self.ld)
    }

    /// These columns of every row of `matrix`.
    #[inline(always)]
    pub(crate) fn rows(self, matrix: &[f32], rows: usize) -> impl Iterator<Item = &[f32]> {
        matrix.chunks(self.ld).take(rows).map(move |row| &row[self.col..self.col + self.width])
    }

    /// These columns of every row of `matrix`, to be written.
    #[inline(always)]
    pub(crate) fn rows_mut(self, matrix: &mut [f32], rows: usize) -> impl Iterator<Item = &mut [f32]> {
        matrix.chunks_mut(self.ld).take(rows).map(move |row| &mut row[self.col..self.col + self.width])
    }

    /// These columns of row `i` of `matrix`.
    #[inline(always)]
    pub(crate) fn row_mut(self, matrix: &mut [f32], i: usize) -> &mut [f32] {
        &mut matrix[i * self.ld + self.col..][..self.width]
    }

    /// Row `i` of a matrix, these columns of it.
    pub(crate) fn row(self, matrix: &[f32], i: usize) -> &[f32] {
        &matrix[i * self.ld + self.col..][..self.width]
    }
}
