//! Finds the fields of plain lines by separators and line ends alone.

use super::text::Place;
use super::words::{equal, places};

/// Whether the line that begins at `start` is empty, and where the next one begins; with where its fields are. `marks` go
/// on from there.
pub(super) fn split_line(bytes: &[u8], start: usize, marks: &mut Marks<'_>, fields: &mut Vec<Place>) -> (bool, usize) {
    // A block has some times the longest record at the most, which is far from 4 GiB.
    let place = |start: usize, end: usize| (start as u32, end as u32);
    let mut begin = start;
    let (end, next) = loop {
        match marks.next() {
            Some(at) if bytes[at] == b'\n' => break (at, at + 1),
            Some(at) => {
                fields.push(place(begin, at));
                begin = at + 1;
            }
            None => break (bytes.len(), bytes.len()),
        }
    };
    let end = start + bytes[start..end].strip_suffix(b"\r").map_or(end - start, <[u8]>::len);
    fields.push(place(begin.min(end), end));
    (start == end, next)
}

/// Where separators and line ends stand, in order. 64 bytes are looked at together.
pub(super) struct Marks<'b> {
    separator: u8,
    blocks: std::slice::Iter<'b, [u8; 64]>,
    tail: &'b [u8],
    /// Marks of the current block that are not yet returned, as bits.
    bits: u64,
    /// Where the block after that one begins.
    next: usize,
}

impl<'b> Marks<'b> {
    /// Marks of all of `bytes`.
    pub(super) fn new(bytes: &'b [u8], separator: u8) -> Self {
        let (blocks, tail) = bytes.as_chunks();
        Self { separator, blocks: blocks.iter(), tail, bits: 0, next: 0 }
    }

    fn in_block(&self, block: &[u8; 64]) -> u64 {
        places(block, |word| equal(word, self.separator) | equal(word, b'\n'))
    }
}

impl Iterator for Marks<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.bits == 0 {
            if let Some(block) = self.blocks.next() {
                self.bits = self.in_block(block);
            } else if self.tail.is_empty() {
                return None;
            } else {
                let mut last = [0; 64];
                last[..self.tail.len()].copy_from_slice(self.tail);
                self.bits = self.in_block(&last) & ((1 << self.tail.len()) - 1);
                self.tail = &[];
            }
            self.next += 64;
        }
        let at = self.next - 64 + self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_between_marks() {
        let text = b"ab,,c\r\n\nd";
        let (mut marks, mut fields) = (Marks::new(text, b','), Vec::new());
        let mut lines = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let (is_empty, next) = split_line(text, at, &mut marks, &mut fields);
            lines.push((is_empty, next));
            at = next;
        }
        assert_eq!(lines, [(false, 7), (true, 8), (false, 9)]);
        assert_eq!(fields, [(0, 2), (3, 3), (4, 5), (7, 7), (8, 9)]);
    }

    proptest! {
        #[test]
        fn ends_are_found_among_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..70), at in 0usize..70) {
            let mut bytes = bytes;
            if let Some(byte) = bytes.get_mut(at) {
                *byte = b'\n';
            }
            for separator in [b',', b'\t', 1, 0x7f] {
                let expected: Vec<usize> =
                    (0..bytes.len()).filter(|&at| bytes[at] == separator || bytes[at] == b'\n').collect();
                prop_assert_eq!(Marks::new(&bytes, separator).collect::<Vec<_>>(), expected);
            }
        }
    }
}
