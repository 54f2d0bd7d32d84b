//! [`Signs`]: the sign mask of a product, which outputs are above zero.

use super::LANES;

/// Which numbers of a matrix are above zero: a bit each, sixteen columns a word. It is all that the backward pass
/// through a rectifier asks, and a thirty-second of the numbers themselves, which are not in the caches any more then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signs {
    words: Vec<u16>,
    /// Words of a row.
    pub(super) row: usize,
}

impl Signs {
    /// Room for `rows` rows of `cols` columns.
    pub(super) fn room(&mut self, rows: usize, cols: usize) -> &mut [u16] {
        self.row = cols.div_ceil(LANES);
        self.words.resize(self.words.len().max(rows * self.row), 0);
        &mut self.words[..rows * self.row]
    }

    /// Words from that of (`row`, `col`) on, and from a row's to the next row's; `col` is a multiple of a word's columns.
    pub(crate) fn from(&self, row: usize, col: usize) -> (&[u16], usize) {
        (&self.words[row * self.row + col / LANES..], self.row)
    }
}
