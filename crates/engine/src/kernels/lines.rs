//! [`Lines`]: memory that starts at a cache line.

/// Bytes of a cache line on every processor that has AVX-512; also a register's.
pub(crate) const LINE: usize = 64;

/// Memory for some numbers, of which the first stands at the start of a cache line, so that no register's load is split
/// over two. It grows and is used again; what it holds between two uses means nothing.
#[derive(Debug, Default)]
pub(crate) struct Lines<N> {
    memory: Vec<N>,
    start: usize,
    len: usize,
}

impl<N: Copy + Default> Lines<N> {
    /// Room for `len` numbers, of any value.
    pub(crate) fn room(&mut self, len: usize) -> &mut [N] {
        let spare = LINE / size_of::<N>();
        if self.memory.len() < len + spare {
            self.memory.resize(len + spare, N::default());
            self.start = self.memory.as_ptr().align_offset(LINE).min(spare);
        }
        self.len = len;
        &mut self.memory[self.start..][..len]
    }

    /// The numbers that room was asked for last.
    pub(crate) fn get(&self) -> &[N] {
        &self.memory[self.start..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_start_at_a_line_and_stay() {
        let mut lines = Lines::default();
        assert!(lines.get().is_empty());
        for len in [5usize, 0, 3, 1000, 40] {
            lines.room(len).fill(len as u32);
            assert_eq!(lines.get(), vec![len as u32; len]);
            assert!(len == 0 || lines.get().as_ptr().addr().is_multiple_of(LINE));
        }
    }
}
