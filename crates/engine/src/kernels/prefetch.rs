//! Asking for memory ahead of its use.

/// Asks for the memory of `len` elements from `start` without waiting for it; no more than a hint.
#[inline(always)]
pub(crate) fn prefetch<N>(start: *const N, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..len).step_by(64 / size_of::<N>()) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: prefetching reads nothing; any address is allowed.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, len);
}
