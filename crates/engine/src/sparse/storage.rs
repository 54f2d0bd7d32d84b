//! One allocation of f32 that starts at a cache line and that may fail without ending the process.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;

/// A cache line on every processor that matters here; also the width of an AVX-512 register.
const ALIGN: usize = 64;
/// Elements to spare, so that one of the first falls on a cache line.
const SLACK: usize = ALIGN / size_of::<f32>();

/// A slice of f32 on the heap. Fresh pages come zeroed from the system, so a large one costs nothing until written.
pub(super) struct Storage {
    /// What the allocator gave: `len + SLACK` elements.
    block: NonNull<f32>,
    /// First element at a multiple of [`ALIGN`].
    offset: usize,
    len: usize,
}

impl Storage {
    /// `len` zeros, or `None` where there is no memory for them.
    pub(super) fn zeroed(len: usize) -> Option<Self> {
        // The allocator writes zeros itself, on this thread, where a layout asks for more than its usual alignment:
        // hence the slack.
        let layout = Self::layout(len)?;
        // SAFETY: `layout` has a size above 0.
        let block = NonNull::new(unsafe { alloc_zeroed(layout) })?.cast::<f32>();
        let offset = block.as_ptr().align_offset(ALIGN).min(SLACK);
        Some(Self { block, offset, len })
    }

    fn layout(len: usize) -> Option<Layout> {
        Layout::array::<f32>(len.checked_add(SLACK)?).ok()
    }

    fn start(&self) -> *mut f32 {
        // SAFETY: `offset <= SLACK`, so that `offset + len` elements lie inside of the block.
        unsafe { self.block.as_ptr().add(self.offset) }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        if let Some(layout) = Self::layout(self.len) {
            // SAFETY: allocated in `zeroed` with the layout of the same `len`.
            unsafe { dealloc(self.block.as_ptr().cast(), layout) };
        }
    }
}

impl Deref for Storage {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `len` elements from `start` are owned and initialised (all-zero bytes are the f32 zero).
        unsafe { slice::from_raw_parts(self.start(), self.len) }
    }
}

impl DerefMut for Storage {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`; `&mut self` makes the access unique.
        unsafe { slice::from_raw_parts_mut(self.start(), self.len) }
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[f32; {}]", self.len)
    }
}

// SAFETY: the memory is owned by this value alone and f32 may be sent and shared.
unsafe impl Send for Storage {}
// SAFETY: as above; shared references only read.
unsafe impl Sync for Storage {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn starts_at_a_cache_line_and_reads_zero() {
        for len in [0, 1, 1000] {
            let mut storage = Storage::zeroed(len).unwrap();
            assert!(storage.as_ptr().addr().is_multiple_of(ALIGN));
            assert_eq!(*storage, vec![0.0; len]);
            storage.fill(1.0);
            assert_eq!(*storage, vec![1.0; len]);
        }
    }

    #[test]
    fn what_cannot_be_had_is_none() {
        assert!(Storage::zeroed(usize::MAX).is_none());
        assert!(Storage::zeroed(usize::MAX / 8).is_none());
        assert!(Storage::zeroed(isize::MAX as usize / 4).is_none());
    }
}
