//! [`ByteBlock`]: bytes of a file, in memory that is already allocated.

use std::io::{ErrorKind, Read, Result};
use std::ops::{Deref, DerefMut};

/// Bytes that were read. Memory beyond them has been written before, so that reading need not clear it.
#[derive(Debug, Default)]
pub(super) struct ByteBlock {
    memory: Vec<u8>,
    len: usize,
}

impl Deref for ByteBlock {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl DerefMut for ByteBlock {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.len]
    }
}

impl ByteBlock {
    /// Forgets all bytes.
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends these bytes.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Forgets bytes from `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Forgets the first `count` bytes.
    pub(super) fn drop_first(&mut self, count: usize) {
        self.memory.copy_within(count..self.len, 0);
        self.len -= count;
    }

    /// Reads up to `more` bytes, or fewer where `from` ends; returns whether it ended.
    pub(super) fn fill(&mut self, from: &mut dyn Read, more: usize) -> Result<bool> {
        let end = self.len + more;
        self.room(more);
        while self.len < end {
            match from.read(&mut self.memory[self.len..end]) {
                Ok(0) => return Ok(true),
                Ok(read) => self.len += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Memory for `more` bytes behind these.
    fn room(&mut self, more: usize) -> &mut [u8] {
        let end = self.len + more;
        self.memory.resize(self.memory.len().max(end), 0);
        &mut self.memory[self.len..end]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Gives a byte at a time, and is interrupted before each.
    struct Slow<'b>(&'b [u8], bool);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::Interrupted.into());
            }
            let one = into.len().min(1);
            self.0.read(&mut into[..one])
        }
    }

    #[test]
    fn bytes_are_those_that_were_read() {
        let mut block = ByteBlock::default();
        let mut file = Slow(b"abcdef", false);
        assert!(!block.fill(&mut file, 4).unwrap());
        assert_eq!(&*block, b"abcd");
        block.drop_first(3);
        block.extend(b"xyz");
        assert_eq!(&*block, b"dxyz");
        block.truncate(2);
        // There is not as much any more, and nothing of what was there before.
        assert!(block.fill(&mut file, 3).unwrap());
        assert_eq!(&*block, b"dxef");
        assert!(block.fill(&mut file, 1).unwrap());
        block[0] = b'D';
        assert_eq!(&*block, b"Dxef");
    }

    #[test]
    fn an_error_is_told() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> Result<usize> {
                Err(ErrorKind::InvalidData.into())
            }
        }
        assert_eq!(ByteBlock::default().fill(&mut Broken, 1).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
