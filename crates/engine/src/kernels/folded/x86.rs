//! The additions by AVX-512.

use std::arch::x86_64::*;
use std::ops::Range;

use super::{LANES, Shape};
use crate::kernels::product::Matrix;

/// Whether this processor can.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") && is_x86_feature_detected!("fma")
}

/// Columns of a narrow product at a time: half a register, of which the processor multiplies twice as many.
const HALF: usize = LANES / 2;

/// The lanes of register `v` that are columns of a block of `cols` columns.
#[inline(always)]
fn mask(v: usize, cols: usize) -> u16 {
    let left = cols.saturating_sub(v * LANES).min(LANES);
    ((1u32 << left) - 1) as u16
}

/// Register `v` of a block at `row`: all of it where the block is `WHOLE`, else those of its `cols` columns, and zeros.
///
/// # Safety
/// `row` may be read for `cols` numbers, and has whole registers of them if it is `WHOLE`.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn load<const WHOLE: bool>(row: *const f32, v: usize, cols: usize) -> __m512 {
    // SAFETY: the caller's promise; what the mask leaves out is not read.
    unsafe {
        match WHOLE {
            true => _mm512_loadu_ps(row.add(v * LANES)),
            false => _mm512_maskz_loadu_ps(mask(v, cols), row.wrapping_add(v * LANES)),
        }
    }
}

/// The other way round.
///
/// # Safety
/// As [`load`], with `row` to be written.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn store<const WHOLE: bool>(row: *mut f32, v: usize, cols: usize, x: __m512) {
    // SAFETY: the caller's promise; what the mask leaves out is not written.
    unsafe {
        match WHOLE {
            true => _mm512_storeu_ps(row.add(v * LANES), x),
            false => _mm512_mask_storeu_ps(row.wrapping_add(v * LANES), mask(v, cols), x),
        }
    }
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
        let whole = block.len() == WIDE * LANES;
        // SAFETY: the caller's promises; blocks are columns of both shapes.
        unsafe {
            match whole {
                true => forward_block::<WIDE, true>(y, y_at, p, p_at, places, fields, block),
                false => forward_block::<WIDE, false>(y, y_at, p, p_at, places, fields, block),
            }
        }
    }
}

/// One block of columns, `WHOLE` if it fills its registers.
///
/// # Safety
/// As [`forward`], with `block` within the columns.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn forward_block<const WIDE: usize, const WHOLE: bool>(
    y: &mut [f32],
    y_at: Shape,
    p: &[f32],
    p_at: Shape,
    places: &[u32],
    fields: usize,
    block: Range<usize>,
) {
    let cols = block.len();
    for (i, places) in places.chunks_exact(fields).enumerate().take(y_at.rows) {
        // SAFETY: rows of the shapes, which lie within their slices, and of these columns that the shapes have.
        unsafe {
            let mut sums = [_mm512_setzero_ps(); WIDE];
            for &v in places {
                let row = p.as_ptr().add(v as usize * p_at.ld + block.start);
                for (r, sum) in sums.iter_mut().enumerate() {
                    *sum = _mm512_add_ps(*sum, load::<WHOLE>(row, r, cols));
                }
            }
            let row = y.as_mut_ptr().add(i * y_at.ld + block.start);
            for (r, &sum) in sums.iter().enumerate() {
                store::<WHOLE>(row, r, cols, sum);
            }
        }
    }
}

/// [`super::backward`], `WIDE` registers of columns at a time, which are first laid side by side in `panel`.
///
/// # Safety
/// [`available`]; both shapes lie within their slices and are of one width; `starts` has an entry for each row of the sums
/// and one more, ascending to the number of `readers` at the most; these are rows of d; `panel` has room for `WIDE`
/// registers of each row of d.
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
                // SAFETY: row i of d, and of it columns of the shape, which lies within the slice; the panel has room for
                // all rows.
                unsafe {
                    let x = load::<false>(d.as_ptr().add(i * d_at.ld + block.start), r, block.len());
                    _mm512_storeu_ps(panel.add((i * WIDE + r) * LANES), x);
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
                        *sum = load::<false>(row, r, block.len());
                    }
                }
                for at in *starts.get_unchecked(v)..*starts.get_unchecked(v + 1) {
                    let i = usize::from(*readers.get_unchecked(at as usize));
                    for (r, sum) in sum.iter_mut().enumerate() {
                        *sum = _mm512_add_ps(*sum, _mm512_loadu_ps(panel.add((i * WIDE + r) * LANES)));
                    }
                }
                for (r, &sum) in sum.iter().enumerate() {
                    store::<false>(row, r, block.len(), sum);
                }
            }
        }
    }
}

/// [`super::narrow`], eight rows by eight columns at a time.
///
/// # Safety
/// [`available`]; shapes agree, columns of `out` and `b` are neighbours, and all three matrices lie within their slices.
#[target_feature(enable = "avx512f,avx512vl,fma")]
pub(super) unsafe fn narrow(out: Matrix<&mut [f32]>, a: Matrix<&[f32]>, b: Matrix<&[f32]>) {
    let at = |i: usize, j: usize| i * out.row_stride + j;
    for j in (0..out.cols).step_by(HALF) {
        let mask = u8::MAX >> (HALF - (out.cols - j).min(HALF));
        let mut i = 0;
        while i < out.rows {
            // SAFETY: rows i up to i + the block's are below `rows`, and the mask leaves columns below `cols`.
            unsafe {
                let (to, a_from, b_from) = (
                    out.data.as_mut_ptr().add(at(i, j)),
                    a.data.as_ptr().add(i * a.row_stride),
                    b.data.as_ptr().add(j),
                );
                i += match out.rows - i {
                    8.. => narrow_block::<8>(to, out.row_stride, (a_from, a), (b_from, b), mask),
                    4.. => narrow_block::<4>(to, out.row_stride, (a_from, a), (b_from, b), mask),
                    _ => narrow_block::<1>(to, out.row_stride, (a_from, a), (b_from, b), mask),
                };
            }
        }
    }
}

/// `HIGH` rows of it; gives `HIGH`.
///
/// # Safety
/// As [`narrow`], with pointers to the first elements of as many rows and of the columns that `mask` leaves.
#[target_feature(enable = "avx512f,avx512vl,fma")]
#[inline]
unsafe fn narrow_block<const HIGH: usize>(
    out: *mut f32,
    ld: usize,
    (a_from, a): (*const f32, Matrix<&[f32]>),
    (b_from, b): (*const f32, Matrix<&[f32]>),
    mask: u8,
) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [_mm256_setzero_ps(); HIGH];
        for k in 0..a.cols {
            let row = _mm256_maskz_loadu_ps(mask, b_from.add(k * b.row_stride));
            for (h, sum) in sums.iter_mut().enumerate() {
                let x = _mm256_set1_ps(*a_from.add(h * a.row_stride + k * a.col_stride));
                *sum = _mm256_fmadd_ps(x, row, *sum);
            }
        }
        for (h, &sum) in sums.iter().enumerate() {
            _mm256_mask_storeu_ps(out.add(h * ld), mask, sum);
        }
    }
    HIGH
}
