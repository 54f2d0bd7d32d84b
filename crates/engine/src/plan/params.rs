//! The place of each dense parameter in the one array of all dense parameters.
//!
//! Weights of merged layers lie below one another as one wide matrix, so the array is laid out by product, not by
//! name; gradients and optimizer state have the same layout. Padding between rows is zero and stays zero under every
//! optimizer, since its gradient is.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use pleiad_model::Graph;

use super::stride;
use crate::kernels::MatRef;

/// A matrix in the array: weights `[rows, cols]` of one product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) offset: usize,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) ld: usize,
}

impl Block {
    pub(crate) fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.rows * self.ld
    }

    /// It in the dense parameters.
    pub(crate) fn of<'p>(&self, params: &'p [f32]) -> MatRef<'p> {
        MatRef::new(&params[self.offset..], self.rows, self.cols, self.ld)
    }

    /// From its first element to its last. Columns of a wider matrix end before the row below them does.
    fn extent(&self) -> Range<usize> {
        self.offset..self.offset + self.rows.saturating_sub(1) * self.ld + self.cols
    }
}

/// A run of elements in the array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

impl Region {
    pub(crate) fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len
    }
}

/// The layout of the array.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ParamLayout {
    /// Elements, padding included.
    pub(crate) len: usize,
    /// Per parameter of the graph, the matrix (a bias: of one row) that holds it. It has all of its columns, those that lie
    /// apart (`parts`) among them.
    pub(crate) blocks: Vec<Block>,
    /// Per parameter whose columns lie in several matrices, of each the first of these columns and where they are.
    parts: HashMap<usize, Vec<(usize, Block)>>,
}

impl ParamLayout {
    /// An empty layout for the parameters of `graph`.
    pub(super) fn new(graph: &Graph) -> Self {
        let nowhere = Block { offset: 0, rows: 0, cols: 0, ld: 0 };
        Self { len: 0, blocks: vec![nowhere; graph.params.len()], parts: HashMap::new() }
    }

    /// Room for a matrix.
    pub(super) fn matrix(&mut self, rows: usize, cols: usize) -> Block {
        let block = Block { offset: self.len, rows, cols, ld: stride(cols) };
        self.len += rows * block.ld;
        block
    }

    /// Room for a matrix whose rows follow one another.
    pub(super) fn narrow(&mut self, rows: usize, cols: usize) -> Block {
        Block { offset: self.run(rows * cols).offset, rows, cols, ld: cols }
    }

    /// Says where the columns of `param` lie: each part from a column on, in order, the first from 0 on.
    pub(super) fn split(&mut self, param: usize, parts: Vec<(usize, Block)>) {
        self.parts.insert(param, parts);
    }

    /// Room for a run of elements.
    pub(super) fn run(&mut self, len: usize) -> Region {
        let region = Region { offset: self.len, len };
        self.len += len.next_multiple_of(16);
        region
    }

    /// Stretches of the array that hold `param`, and nothing but it and padding.
    pub(crate) fn ranges(&self, param: usize) -> Vec<Range<usize>> {
        let whole = self.blocks[param].range();
        let parts = self.parts.get(&param).into_iter().flatten().map(|(_, block)| block.extent());
        let apart: Vec<_> = parts.filter(|part| !whole.contains(&part.start)).collect();
        std::iter::once(whole).chain(apart).collect()
    }

    /// Copies parameter `param` out of `array`, without padding.
    pub(crate) fn gather(&self, param: usize, array: &[f32]) -> Vec<f32> {
        let Block { rows, cols, .. } = self.blocks[param];
        let mut values = Vec::with_capacity(rows * cols);
        self.gather_range(param, 0..rows * cols, array, &mut values);
        values
    }

    /// Appends elements `range` of parameter `param` of `array` to `values`, without padding.
    pub(crate) fn gather_range(&self, param: usize, range: Range<usize>, array: &[f32], values: &mut Vec<f32>) {
        let whole = self.blocks[param];
        let parts = self.parts(param);
        let mut at = range.start;
        while at < range.end {
            let (row, column) = (at / whole.cols, at % whole.cols);
            let (first, block) = part(&parts, column);
            let from = column - first;
            let len = (block.cols - from).min(range.end - at);
            values.extend_from_slice(&array[block.offset + row * block.ld + from..][..len]);
            at += len;
        }
    }

    /// The matrices that hold `param`, each with the first of its columns.
    fn parts(&self, param: usize) -> Cow<'_, [(usize, Block)]> {
        match self.parts.get(&param) {
            None => Cow::Owned(vec![(0, self.blocks[param])]),
            Some(parts) => Cow::Borrowed(parts),
        }
    }

    /// Copies `values` into parameter `param` of `array`.
    pub(crate) fn scatter(&self, param: usize, values: &[f32], array: &mut [f32]) {
        self.scatter_from(param, 0, values, array);
    }

    /// Copies `values` into parameter `param` of `array` from its element `at` on.
    pub(crate) fn scatter_from(&self, param: usize, at: usize, values: &[f32], array: &mut [f32]) {
        let whole = self.blocks[param];
        let parts = self.parts(param);
        let mut done = 0;
        while done < values.len() {
            let (row, column) = ((at + done) / whole.cols, (at + done) % whole.cols);
            let (first, block) = part(&parts, column);
            let from = column - first;
            let len = (block.cols - from).min(values.len() - done);
            array[block.offset + row * block.ld + from..][..len].copy_from_slice(&values[done..done + len]);
            done += len;
        }
    }
}

/// The one of `parts` that has a column, and the first of its columns.
fn part(parts: &[(usize, Block)], column: usize) -> (usize, Block) {
    parts[parts.partition_point(|(first, _)| *first <= column) - 1]
}
