//! Where each dense parameter lies in the one array of them all.
//!
//! Weights of merged layers lie below one another as one wide matrix, so the array is laid out by product, not by
//! name; gradients and optimizer state have the same layout. Padding between rows is zero and stays zero under every
//! optimizer, since its gradient is.

use std::collections::HashMap;
use std::ops::Range;

use pleiad_model::Graph;

use super::stride;

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
    /// Per parameter of the graph, the matrix (a bias: of one row) that holds it.
    pub(crate) blocks: Vec<Block>,
    /// Per parameter whose columns do not lie in order, where in a row each of them does.
    columns: HashMap<usize, Vec<usize>>,
}

impl ParamLayout {
    /// An empty layout for the parameters of `graph`.
    pub(super) fn new(graph: &Graph) -> Self {
        let nowhere = Block { offset: 0, rows: 0, cols: 0, ld: 0 };
        Self { len: 0, blocks: vec![nowhere; graph.params.len()], columns: HashMap::new() }
    }

    /// Room for a matrix.
    pub(super) fn matrix(&mut self, rows: usize, cols: usize) -> Block {
        let block = Block { offset: self.len, rows, cols, ld: stride(cols) };
        self.len += rows * block.ld;
        block
    }

    /// Says where in a row of its matrix each column of `param` lies.
    pub(super) fn reorder(&mut self, param: usize, columns: Vec<usize>) {
        self.columns.insert(param, columns);
    }

    /// Room for a run of elements.
    pub(super) fn run(&mut self, len: usize) -> Region {
        let region = Region { offset: self.len, len };
        self.len += len.next_multiple_of(16);
        region
    }

    /// Copies parameter `param` out of `array`, without padding.
    pub(crate) fn gather(&self, param: usize, array: &[f32]) -> Vec<f32> {
        let block = self.blocks[param];
        let rows = (0..block.rows).map(|r| &array[block.offset + r * block.ld..][..block.ld]);
        match self.columns.get(&param) {
            None => rows.flat_map(|row| &row[..block.cols]).copied().collect(),
            Some(columns) => rows.flat_map(|row| columns.iter().map(|&c| row[c])).collect(),
        }
    }

    /// Copies `values` into parameter `param` of `array`.
    pub(crate) fn scatter(&self, param: usize, values: &[f32], array: &mut [f32]) {
        self.scatter_from(param, 0, values, array);
    }

    /// Copies `values` into parameter `param` of `array` from its element `at` on.
    pub(crate) fn scatter_from(&self, param: usize, at: usize, values: &[f32], array: &mut [f32]) {
        let block = self.blocks[param];
        let columns = self.columns.get(&param);
        for (element, &value) in (at..).zip(values) {
            let (row, column) = (element / block.cols, element % block.cols);
            let column = columns.map_or(column, |columns| columns[column]);
            array[block.offset + row * block.ld + column] = value;
        }
    }
}
