//! One stretch of numbers that starts at a cache line: on the heap, in pages of the system, or in a file.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut, Range};
use std::path::Path;
use std::slice;

use memmap2::{MmapMut, MmapOptions};

use crate::sparse::Number;

/// A cache line on every processor that matters here; also the width of an AVX-512 register.
const LINE: usize = 64;

/// A huge page of x86 and of Arm with 4 KiB pages.
const HUGE_PAGE: usize = 2 << 20;

/// From this many bytes on, memory is asked for by pages of its own.
const LARGE: usize = HUGE_PAGE;

/// Bytes at the start of a cache line, to be looked at as numbers.
#[derive(Clone, Copy)]
#[repr(align(64))]
#[allow(dead_code, reason = "read through pointers")]
struct Line([u8; LINE]);

enum Memory<N> {
    Heap(Vec<Line>),
    /// Allocated elsewhere, with any alignment.
    Given(Vec<N>),
    Map {
        map: MmapMut,
        /// First byte in use.
        offset: usize,
        /// Whether the map is that of a file.
        file: bool,
    },
}

/// A slice of numbers. Fresh pages come zeroed from the system, so a large one costs nothing until written.
pub(crate) struct Storage<N> {
    memory: Memory<N>,
    len: usize,
}

impl<N: Number> Storage<N> {
    /// `len` zeros in memory, or `None` where there is not enough memory.
    pub(crate) fn zeroed(len: usize) -> Option<Self> {
        let bytes = bytes::<N>(len)?;
        let memory = if bytes < LARGE {
            let lines = bytes.div_ceil(LINE);
            let mut heap = Vec::new();
            heap.try_reserve_exact(lines).ok()?;
            heap.resize(lines, Line([0; LINE]));
            Memory::Heap(heap)
        } else {
            // One huge page to spare, so that the first row lies at the start of one.
            let map = MmapMut::map_anon(bytes.checked_add(HUGE_PAGE)?).ok()?;
            // Rows lie all over a table: with pages of 4 KiB nearly each lookup would miss the processor's cache of
            // page addresses as well. Advice that is not taken (not every system has huge pages) costs speed alone.
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::HugePage);
            let offset = map.as_ptr().align_offset(HUGE_PAGE).min(HUGE_PAGE);
            Memory::Map { map, offset, file: false }
        };
        Some(Self { memory, len })
    }

    /// `len` zeros in memory, for what a process cannot go on without: where there is none, it ends as at any other
    /// allocation.
    pub(crate) fn zeros(len: usize) -> Self {
        Self::zeroed(len).unwrap_or_else(|| Self::given(vec![N::default(); len]))
    }

    /// `len` zeros in a file of its own, without a name, in `folder`.
    ///
    /// # Errors
    /// Whatever keeps the system from making a file of that size there; its space is taken at once where the system can
    /// do so, since a full disk cannot be reported later.
    pub(crate) fn in_file(len: usize, folder: &Path) -> io::Result<Self> {
        let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, "larger than any file");
        let bytes = bytes::<N>(len).ok_or_else(too_large)?;
        let file = tempfile::tempfile_in(folder)?;
        reserve(&file, bytes)?;
        // SAFETY: what a map of a file asks for is that nobody else changes or shortens it. This file is ours alone: it
        // never had a name that others could open it by, or has lost it already, and the handle ends with this function.
        let map = unsafe { MmapOptions::new().len(bytes.max(1)).map_mut(&file)? };
        // What lies beside a row is no more likely to be read next than anything else.
        #[cfg(unix)]
        map.advise(memmap2::Advice::Random)?;
        Ok(Self { memory: Memory::Map { map, offset: 0, file: true }, len })
    }

    /// These numbers, where they are. They may begin anywhere in a cache line.
    pub(crate) fn given(numbers: Vec<N>) -> Self {
        Self { len: numbers.len(), memory: Memory::Given(numbers) }
    }

    /// Prefetch: a hint to the system that these elements are read next, in order.
    pub(crate) fn expect(&self, elements: Range<usize>) {
        #[cfg(unix)]
        if let Memory::Map { map, offset, file: true } = &self.memory
            && !elements.is_empty()
        {
            let size = size_of::<N>();
            let _ = map.advise_range(memmap2::Advice::WillNeed, offset + elements.start * size, elements.len() * size);
        }
        #[cfg(not(unix))]
        let _ = elements;
    }

    fn start(&self) -> *const N {
        match &self.memory {
            Memory::Heap(lines) => lines.as_ptr().cast(),
            Memory::Given(numbers) => numbers.as_ptr(),
            Memory::Map { map, offset, .. } => map.as_ptr().wrapping_add(*offset).cast(),
        }
    }
}

/// Bytes of `len` numbers, if a slice can have so many.
fn bytes<N>(len: usize) -> Option<usize> {
    len.checked_mul(size_of::<N>()).filter(|&bytes| bytes <= isize::MAX as usize - HUGE_PAGE)
}

/// Gives `file` its length, and where it can be had the space on the disk.
fn reserve(file: &File, bytes: usize) -> io::Result<()> {
    file.set_len(bytes as u64)?;
    #[cfg(target_os = "linux")]
    if bytes > 0 {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(file, FallocateFlags::empty(), 0, bytes as u64) {
            // Some file systems cannot.
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

impl<N: Number> Deref for Storage<N> {
    type Target = [N];

    fn deref(&self) -> &[N] {
        // SAFETY: `len` numbers from `start` lie inside of memory that this value owns: `zeroed` and `in_file` made it at
        // least `offset` and so many bytes long, `given` counted it. Made by us it starts at a multiple of `LINE` and holds
        // bytes that were set by the system or by us; any bytes are a `Number`.
        unsafe { slice::from_raw_parts(self.start(), self.len) }
    }
}

impl<N: Number> DerefMut for Storage<N> {
    fn deref_mut(&mut self) -> &mut [N] {
        let start: *mut N = match &mut self.memory {
            Memory::Heap(lines) => lines.as_mut_ptr().cast(),
            Memory::Given(numbers) => numbers.as_mut_ptr(),
            Memory::Map { map, offset, .. } => map.as_mut_ptr().wrapping_add(*offset).cast(),
        };
        // SAFETY: as in `deref`; `&mut self` makes the access unique.
        unsafe { slice::from_raw_parts_mut(start, self.len) }
    }
}

impl<N> fmt::Debug for Storage<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::sparse::Bf16;

    fn is_ours<N: Number + PartialEq + fmt::Debug>(mut storage: Storage<N>, len: usize, one: N) {
        assert!(storage.as_ptr().addr().is_multiple_of(LINE));
        assert_eq!(*storage, vec![N::default(); len]);
        storage.fill(one);
        assert_eq!(*storage, vec![one; len]);
        storage.expect(0..len);
        storage.expect(len / 3..len / 2);
    }

    #[test]
    fn starts_at_a_cache_line_and_reads_zero() {
        let folder = tempfile::tempdir().unwrap();
        for len in [0, 1, 1000, LARGE / 4 - 1, LARGE / 4, LARGE + 3] {
            is_ours(Storage::<f32>::zeroed(len).unwrap(), len, 1.0);
            is_ours(Storage::<Bf16>::zeroed(len).unwrap(), len, Bf16::nearest(1.0));
            is_ours(Storage::<f32>::in_file(len, folder.path()).unwrap(), len, 1.0);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files without a name");
    }

    #[test]
    fn what_cannot_be_had_is_told() {
        let folder = tempfile::tempdir().unwrap();
        for len in [usize::MAX, usize::MAX / 8, isize::MAX as usize / 4] {
            assert!(Storage::<f32>::zeroed(len).is_none());
            assert!(Storage::<f32>::in_file(len, folder.path()).is_err());
        }
        assert!(Storage::<f32>::in_file(10, &folder.path().join("nowhere")).is_err());
    }
}
