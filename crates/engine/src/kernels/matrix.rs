//! [`MatRef`] and [`MatMut`]: matrices in borrowed memory, whose bounds are looked at once, where they are made.
//!
//! The `unsafe` of kernels stands on this: every element of a matrix lies inside of its slice, and no two elements of one
//! that is written are the same. Nobody but this module can make a matrix or change its strides.

use std::ops::Range;

/// A matrix to be read: element (i, j) at `i * row_stride + j * col_stride`. Rows or columns lie in runs: one stride is 1.
#[derive(Debug)]
pub(crate) struct MatRef<'a, N = f32> {
    data: &'a [N],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

/// A row-major matrix to be written: element (i, j) at `i * ld + j`.
#[derive(Debug)]
pub(crate) struct MatMut<'a, N = f32> {
    data: &'a mut [N],
    rows: usize,
    cols: usize,
    ld: usize,
}

impl<N> Clone for MatRef<'_, N> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<N> Copy for MatRef<'_, N> {}

impl<'a, N> MatRef<'a, N> {
    /// A row-major matrix with row stride `ld`.
    ///
    /// # Panics
    /// If it reaches beyond its slice, or its rows overlap: the plan is wrong then, never the data.
    #[inline]
    pub(crate) fn new(data: &'a [N], rows: usize, cols: usize, ld: usize) -> Self {
        check(data.len(), rows, cols, ld);
        Self { data, rows, cols, row_stride: ld, col_stride: 1 }
    }

    /// The same elements with rows and columns exchanged.
    #[inline]
    pub(crate) fn transposed(self) -> Self {
        let Self { data, rows, cols, row_stride, col_stride } = self;
        Self { data, rows: cols, cols: rows, row_stride: col_stride, col_stride: row_stride }
    }

    /// These rows and columns of it.
    ///
    /// # Panics
    /// If it does not have them.
    #[inline]
    pub(crate) fn part(self, rows: Range<usize>, cols: Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "rows that a matrix does not have");
        assert!(cols.start <= cols.end && cols.end <= self.cols, "columns that a matrix does not have");
        // A part without elements may begin behind the last one.
        let start = (rows.start * self.row_stride + cols.start * self.col_stride).min(self.data.len());
        Self { data: &self.data[start..], rows: rows.len(), cols: cols.len(), ..self }
    }

    /// These columns of it.
    #[inline]
    pub(crate) fn columns(self, cols: Range<usize>) -> Self {
        self.part(0..self.rows, cols)
    }

    #[inline(always)]
    pub(crate) fn rows(self) -> usize {
        self.rows
    }

    #[inline(always)]
    pub(crate) fn cols(self) -> usize {
        self.cols
    }

    #[inline(always)]
    pub(crate) fn row_stride(self) -> usize {
        self.row_stride
    }

    #[inline(always)]
    pub(crate) fn col_stride(self) -> usize {
        self.col_stride
    }

    /// The first element.
    #[inline(always)]
    pub(crate) fn start(self) -> *const N {
        self.data.as_ptr()
    }

    /// Element (i, j).
    #[cfg(test)]
    pub(crate) fn at(self, i: usize, j: usize) -> &'a N {
        assert!(i < self.rows && j < self.cols);
        &self.data[i * self.row_stride + j * self.col_stride]
    }

    /// Row `i` of a matrix whose columns are neighbours.
    #[inline(always)]
    pub(crate) fn row(self, i: usize) -> &'a [N] {
        debug_assert!(self.col_stride == 1, "a row that does not lie in a run");
        &self.data[i * self.row_stride..][..self.cols]
    }

    /// Every row of a matrix whose columns are neighbours.
    #[inline(always)]
    pub(crate) fn each_row(self) -> impl Iterator<Item = &'a [N]> {
        debug_assert!(self.col_stride == 1, "rows that do not lie in runs");
        // The stride from a single row to the next says nothing.
        let step = if self.rows > 1 { self.row_stride } else { self.cols };
        self.data.chunks(step.max(1)).take(self.rows).map(move |row| &row[..self.cols])
    }
}

impl<'a, N> MatMut<'a, N> {
    /// A matrix with row stride `ld`.
    ///
    /// # Panics
    /// If it reaches beyond its slice, or its rows overlap: the plan is wrong then, never the data.
    #[inline]
    pub(crate) fn new(data: &'a mut [N], rows: usize, cols: usize, ld: usize) -> Self {
        check(data.len(), rows, cols, ld);
        Self { data, rows, cols, ld }
    }

    /// The same matrix, for a while.
    #[inline]
    pub(crate) fn by_ref(&mut self) -> MatMut<'_, N> {
        MatMut { data: &mut *self.data, ..*self }
    }

    /// The same matrix, to be read.
    #[inline]
    pub(crate) fn as_ref(&self) -> MatRef<'_, N> {
        MatRef { data: self.data, rows: self.rows, cols: self.cols, row_stride: self.ld, col_stride: 1 }
    }

    /// These rows and columns of it.
    ///
    /// # Panics
    /// If it does not have them.
    #[inline]
    pub(crate) fn part(&mut self, rows: Range<usize>, cols: Range<usize>) -> MatMut<'_, N> {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "rows that a matrix does not have");
        assert!(cols.start <= cols.end && cols.end <= self.cols, "columns that a matrix does not have");
        let start = (rows.start * self.ld + cols.start).min(self.data.len());
        MatMut { data: &mut self.data[start..], rows: rows.len(), cols: cols.len(), ld: self.ld }
    }

    /// These columns of it.
    #[inline]
    pub(crate) fn columns(&mut self, cols: Range<usize>) -> MatMut<'_, N> {
        self.part(0..self.rows, cols)
    }

    #[inline(always)]
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// From a row to the next.
    #[inline(always)]
    pub(crate) fn ld(&self) -> usize {
        self.ld
    }

    /// The first element.
    #[inline(always)]
    pub(crate) fn start(&mut self) -> *mut N {
        self.data.as_mut_ptr()
    }

    /// Every row.
    #[inline(always)]
    pub(crate) fn each_row(&mut self) -> impl Iterator<Item = &mut [N]> {
        let cols = self.cols;
        let step = if self.rows > 1 { self.ld } else { cols };
        self.data.chunks_mut(step.max(1)).take(self.rows).map(move |row| &mut row[..cols])
    }
}

/// Refuses a shape that reaches beyond `len` elements.
#[inline]
fn check(len: usize, rows: usize, cols: usize, ld: usize) {
    let before_last = rows.saturating_sub(1).checked_mul(ld);
    let end = before_last.and_then(|before| before.checked_add(cols));
    assert!(cols <= ld || rows <= 1, "rows of {cols} columns by {ld} overlap");
    let empty = rows == 0 || cols == 0;
    assert!(
        empty || end.is_some_and(|end| end <= len),
        "a matrix of {rows} x {cols} by {ld} leaves its {len} elements"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_transposes_are_the_elements_that_they_say() {
        let data: Vec<usize> = (0..23).collect();
        let all = MatRef::new(&data, 4, 5, 6);
        let part = all.part(1..4, 2..5);
        assert_eq!(part.each_row().collect::<Vec<_>>(), [[8, 9, 10], [14, 15, 16], [20, 21, 22]]);
        assert_eq!((part.row(2), part.transposed().transposed().row(0)), (&data[20..23], &data[8..11]));
        let turned = all.transposed().part(2..5, 1..4);
        assert_eq!((turned.rows(), turned.cols(), turned.row_stride(), turned.col_stride()), (3, 3, 1, 6));
        assert_eq!(turned.transposed().row(1), part.row(1));
        assert_eq!((turned.at(1, 2), all.part(4..4, 5..5).rows()), (&data[3 * 6 + 3], 0));
        // One column, turned, is one row.
        let column = MatRef::new(&data, 4, 1, 1).transposed();
        assert_eq!(column.each_row().collect::<Vec<_>>(), [&data[..4]]);

        let mut data = [0; 11];
        let mut all = MatMut::new(&mut data, 3, 3, 4);
        all.part(1..3, 1..2).each_row().for_each(|row| row.fill(7));
        all.columns(2..3).by_ref().each_row().enumerate().for_each(|(i, row)| row[0] = i);
        assert_eq!(all.as_ref().each_row().collect::<Vec<_>>(), [[0, 0, 0], [0, 7, 1], [0, 7, 2]]);
    }

    #[test]
    fn what_is_beyond_a_slice_or_a_matrix_is_refused() {
        let refused = |f: fn()| std::panic::catch_unwind(f).is_err();
        let shapes: [fn(); 6] = [
            || _ = MatRef::new(&[0.0; 6], 2, 3, 4),
            || _ = MatMut::new(&mut [0.0; 6], 2, 3, 4),
            || _ = MatMut::new(&mut [0.0; 6], 2, 3, 2),
            || _ = MatRef::new(&[0.0; 6], 3, 1, usize::MAX),
            || _ = MatRef::new(&[0.0; 7], 2, 3, 4).columns(1..4),
            || _ = MatMut::new(&mut [0.0; 7], 2, 3, 4).part(2..3, 0..1),
        ];
        assert!(shapes.into_iter().all(refused));
        // Nothing is nowhere.
        assert!(MatRef::<f32>::new(&[], 5, 0, 7).each_row().next().is_none());
        assert_eq!(MatRef::new(&[0.0; 7], 2, 3, 4).rows(), 2);
    }
}
