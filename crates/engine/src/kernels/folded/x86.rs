//! The additions by AVX-512.

use std::arch::x86_64::*;

use super::{LANES, Shape};

/// Whether this processor can.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f")
}

/// Of register `v` of a block of `cols` columns, the lanes that are columns.
#[inline(always)]
fn mask(v: usize, cols: usize) -> u16 {
    let left = cols.saturating_sub(v * LANES).min(LANES);
    ((1u32 << left) - 1) as u16
}

/// [`super::forward`], `WIDE` registers of columns at a time.
///
/// # Safety
/// [`available`]; both shapes lie within their slices and are of one width; `places` are rows of p, `fields` for each row
/// of y.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn forward<const WIDE: usize>(
    y: &mut [f32],
    y_at: Shape,
    p: &[f32],
    p_at: Shape,
    places: &[u32],
    fields: usize,
) {
    for block in y_at.blocks(WIDE * LANES) {
        for (i, places) in places.chunks_exact(fields).enumerate().take(y_at.rows) {
            let mut sums = [_mm512_setzero_ps(); WIDE];
            for &v in places {
                for (r, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: element (v, block.start + r * LANES) of p and those after it that the mask leaves are of its
                    // shape, which lies within the slice. The others are not read.
                    let x = unsafe {
                        let row = p.as_ptr().add(v as usize * p_at.ld + block.start).wrapping_add(r * LANES);
                        _mm512_maskz_loadu_ps(mask(r, block.len()), row)
                    };
                    *sum = _mm512_add_ps(*sum, x);
                }
            }
            for (r, sum) in sums.iter().enumerate() {
                // SAFETY: as above, of row i of y.
                unsafe {
                    let row = y.as_mut_ptr().add(i * y_at.ld + block.start).wrapping_add(r * LANES);
                    _mm512_mask_storeu_ps(row, mask(r, block.len()), *sum);
                }
            }
        }
    }
}

/// [`super::backward`], `WIDE` registers of columns at a time, which are first laid side by side in `panel`.
///
/// # Safety
/// [`available`]; both shapes lie within their slices and are of one width; `starts` has an entry for each row of the sums
/// and one more, ascending to the number of `readers` at the most; these are rows of d; `panel` has room for `WIDE`
/// registers of each row of d and starts at a cache line.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn backward<const WIDE: usize>(
    sums: &mut [f32],
    s_at: Shape,
    d: &[f32],
    d_at: Shape,
    (starts, readers): (&[u32], &[u16]),
    panel: &mut [f32],
    add: bool,
) {
    let panel = panel.as_mut_ptr();
    for block in s_at.blocks(WIDE * LANES) {
        for i in 0..d_at.rows {
            for r in 0..WIDE {
                // SAFETY: element (i, block.start + r * LANES) of d and those after it that the mask leaves are of its
                // shape, which lies within the slice; the panel has room for all rows.
                unsafe {
                    let row = d.as_ptr().add(i * d_at.ld + block.start).wrapping_add(r * LANES);
                    _mm512_store_ps(
                        panel.add((i * WIDE + r) * LANES),
                        _mm512_maskz_loadu_ps(mask(r, block.len()), row),
                    );
                }
            }
        }
        for v in 0..s_at.rows {
            // SAFETY: as above, of row v of the sums. Entries v and v + 1 of `starts` exist, and so do the readers between
            // them, whose rows the panel holds.
            unsafe {
                let row = sums.as_mut_ptr().add(v * s_at.ld + block.start);
                let mut sum = [_mm512_setzero_ps(); WIDE];
                if add {
                    for (r, sum) in sum.iter_mut().enumerate() {
                        *sum = _mm512_maskz_loadu_ps(mask(r, block.len()), row.wrapping_add(r * LANES));
                    }
                }
                for at in *starts.get_unchecked(v)..*starts.get_unchecked(v + 1) {
                    let i = usize::from(*readers.get_unchecked(at as usize));
                    for (r, sum) in sum.iter_mut().enumerate() {
                        *sum = _mm512_add_ps(*sum, _mm512_load_ps(panel.add((i * WIDE + r) * LANES)));
                    }
                }
                for (r, sum) in sum.iter().enumerate() {
                    _mm512_mask_storeu_ps(row.wrapping_add(r * LANES), mask(r, block.len()), *sum);
                }
            }
        }
    }
}
