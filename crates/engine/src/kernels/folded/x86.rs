//! The additions by AVX-512.

use std::arch::x86_64::*;

use super::{LANES, Looked, MatMut, MatRef, blocks};

/// Whether this processor can.
fn available() -> bool {
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

/// [`super::forward`], `WIDE` registers of columns at a time, if this processor can.
pub(super) fn forward<const WIDE: usize>(mut y: MatMut<'_>, products: MatRef<'_>, looked: &Looked) -> bool {
    if !available() {
        return false;
    }
    for block in blocks(y.cols(), WIDE * LANES) {
        let (p, y) = (products.columns(block.clone()), y.columns(block.clone()));
        // SAFETY: the processor was asked; places are rows of the products by [`super::forward`].
        unsafe {
            match block.len() == WIDE * LANES {
                true => forward_block::<WIDE, true>(y, p, looked),
                false => forward_block::<WIDE, false>(y, p, looked),
            }
        }
    }
    true
}

/// One block of columns, `WHOLE` if it fills its registers.
///
/// # Safety
/// Places are rows of `p`, for each row of y; both have as many columns, registers full if they are `WHOLE`, and no more.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn forward_block<const WIDE: usize, const WHOLE: bool>(mut y: MatMut<'_>, p: MatRef<'_>, looked: &Looked) {
    let (cols, p_row, products) = (y.cols(), p.row_stride(), p.start());
    for (y, places) in y.each_row().zip(looked.places.chunks_exact(looked.fields.max(1))) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [_mm512_setzero_ps(); WIDE];
            for &v in places {
                let row = products.add(v as usize * p_row);
                for (r, sum) in sums.iter_mut().enumerate() {
                    *sum = _mm512_add_ps(*sum, load::<WHOLE>(row, r, cols));
                }
            }
            for (r, &sum) in sums.iter().enumerate() {
                store::<WHOLE>(y.as_mut_ptr(), r, cols, sum);
            }
        }
    }
}

/// [`super::backward`], `WIDE` registers of columns at a time, which are first laid side by side, if this processor can.
pub(super) fn backward<const WIDE: usize>(mut sums: MatMut<'_>, d: MatRef<'_>, looked: &mut Looked, add: bool) -> bool {
    if !available() {
        return false;
    }
    let Looked { starts, readers, panel, .. } = looked;
    let panel = panel.room(d.rows() * WIDE * LANES);
    for block in blocks(sums.cols(), WIDE * LANES) {
        let (sums, d) = (sums.columns(block.clone()), d.columns(block));
        // SAFETY: the processor was asked; `starts` ascend to the number of readers, which are rows of the shard and so of d, and
        // there are more of them than rows of the sums ([`Looked::sort`], [`super::backward`]).
        unsafe { backward_block::<WIDE>(sums, d, (starts, readers), panel, add) };
    }
    true
}

/// One block of columns.
///
/// # Safety
/// `starts` has an entry for each row of the sums and one more, ascending to the number of `readers` at the most; these are
/// rows of d; `panel` has room for `WIDE` registers of each row of d; both matrices have as many columns, at most so wide.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn backward_block<const WIDE: usize>(
    mut sums: MatMut<'_>,
    d: MatRef<'_>,
    (starts, readers): (&[u32], &[u16]),
    panel: &mut [f32],
    add: bool,
) {
    let cols = d.cols();
    for (d, out) in d.each_row().zip(panel.chunks_exact_mut(WIDE * LANES)) {
        for r in 0..WIDE {
            // SAFETY: a row has `cols` numbers, and so many registers have room.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr().add(r * LANES), load::<false>(d.as_ptr(), r, cols)) };
        }
    }
    let (panel, s_row, rows, first) = (panel.as_ptr(), sums.ld(), sums.rows(), sums.start());
    for v in 0..rows {
        // SAFETY: row v of the sums; lanes beyond the columns are masked. By the caller's promise entries v and v + 1 of `starts`
        // exist, and so do the readers between them, whose rows the panel holds.
        unsafe {
            let row = first.add(v * s_row);
            let mut sum = [_mm512_setzero_ps(); WIDE];
            if add {
                for (r, sum) in sum.iter_mut().enumerate() {
                    *sum = load::<false>(row, r, cols);
                }
            }
            for at in *starts.get_unchecked(v)..*starts.get_unchecked(v + 1) {
                let i = usize::from(*readers.get_unchecked(at as usize));
                for (r, sum) in sum.iter_mut().enumerate() {
                    *sum = _mm512_add_ps(*sum, _mm512_loadu_ps(panel.add((i * WIDE + r) * LANES)));
                }
            }
            for (r, &sum) in sum.iter().enumerate() {
                store::<false>(row, r, cols, sum);
            }
        }
    }
}

/// [`super::narrow`], eight rows by eight columns at a time, if this processor can.
pub(super) fn narrow(mut out: MatMut<'_>, a: MatRef<'_>, b: MatRef<'_>) -> bool {
    if !available() {
        return false;
    }
    for block in blocks(out.cols(), HALF) {
        // SAFETY: the processor was asked; shapes agree by [`super::narrow`], and blocks are of at most [`HALF`] columns.
        unsafe { narrow_columns(out.columns(block.clone()), a, b.columns(block)) };
    }
    true
}

/// At most [`HALF`] columns of it, and at least one.
///
/// # Safety
/// Shapes agree, and columns of `b` are neighbours.
#[target_feature(enable = "avx512f,avx512vl,fma")]
unsafe fn narrow_columns(mut out: MatMut<'_>, a: MatRef<'_>, b: MatRef<'_>) {
    let (mut i, rows) = (0, out.rows());
    while i < rows {
        // SAFETY: the caller's promise; rows i to i + the block's are below `rows`.
        i += unsafe {
            match rows - i {
                8.. => narrow_block::<8>(&mut out, i, a, b),
                4.. => narrow_block::<4>(&mut out, i, a, b),
                _ => narrow_block::<1>(&mut out, i, a, b),
            }
        };
    }
}

/// `HIGH` rows from row `i` on; gives `HIGH`.
///
/// # Safety
/// As [`narrow_columns`], and there are so many rows.
#[target_feature(enable = "avx512f,avx512vl,fma")]
#[inline]
unsafe fn narrow_block<const HIGH: usize>(out: &mut MatMut<'_>, i: usize, a: MatRef<'_>, b: MatRef<'_>) -> usize {
    let mask = u8::MAX >> (HALF - out.cols());
    let (ld, a_row, a_step, b_row) = (out.ld(), a.row_stride(), a.col_stride(), b.row_stride());
    // SAFETY: the caller's promise; lanes beyond the columns are masked.
    unsafe {
        let (out, a_from, b_from) = (out.start().add(i * ld), a.start().wrapping_add(i * a_row), b.start());
        let mut sums = [_mm256_setzero_ps(); HIGH];
        for k in 0..a.cols() {
            let row = _mm256_maskz_loadu_ps(mask, b_from.add(k * b_row));
            for (h, sum) in sums.iter_mut().enumerate() {
                let x = _mm256_set1_ps(*a_from.add(h * a_row + k * a_step));
                *sum = _mm256_fmadd_ps(x, row, *sum);
            }
        }
        for (h, &sum) in sums.iter().enumerate() {
            _mm256_mask_storeu_ps(out.add(h * ld), mask, sum);
        }
    }
    HIGH
}
