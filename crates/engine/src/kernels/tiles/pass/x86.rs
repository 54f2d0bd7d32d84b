//! The pass by AVX512-BF16.

use std::arch::x86_64::*;

use super::super::Kernel;
use super::super::processor::{TURNS, bits, from_bits, turned};
use super::{LANES, Pair, Rows, SQUARE, STRIPE, Stripe, Through};

/// Whether this processor can.
pub(super) fn available() -> bool {
    Pair::available() && is_x86_feature_detected!("avx512vl")
}

/// Goes over a stripe, sixteen columns at a time: what it reads and makes of them stays in registers, all 32 rows.
///
/// # Safety
/// The processor can ([`available`]), and nothing leaves its slice: [`super::run`] looks.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) unsafe fn run<const SQUARES: bool>(
    stripe: Stripe<'_>,
    columns: &mut [Pair],
    column: usize,
    rows: Option<Rows<'_>>,
) {
    let (wanted, rows) = (rows.is_some(), rows.unwrap_or(Rows { data: &mut [], stride: 0, below: 0 }));
    let raw = Raw {
        high: stripe.shape.rows,
        cols: stripe.shape.cols,
        d: stripe.d.as_mut_ptr(),
        ld: stripe.ld,
        keep: stripe.keep,
        bias: if stripe.bias.is_empty() { std::ptr::null_mut() } else { stripe.bias.as_mut_ptr() },
        columns: columns.as_mut_ptr(),
        column,
        rows: rows.data.as_mut_ptr(),
        stride: rows.stride,
        below: rows.below,
    };
    // SAFETY: the caller's promise.
    unsafe {
        match (stripe.through, wanted) {
            (Through::Nothing, true) => groups::<SQUARES, true, _>(&raw, All),
            (Through::Nothing, false) => groups::<SQUARES, false, _>(&raw, All),
            (Through::Signs(words, row), true) => groups::<SQUARES, true, _>(&raw, Signs(words.as_ptr(), row)),
            (Through::Signs(words, row), false) => groups::<SQUARES, false, _>(&raw, Signs(words.as_ptr(), row)),
            (Through::Outputs(y, ld), true) => groups::<SQUARES, true, _>(&raw, Above(y.as_ptr(), ld)),
            (Through::Outputs(y, ld), false) => groups::<SQUARES, false, _>(&raw, Above(y.as_ptr(), ld)),
        }
    }
}

/// A stripe and where it goes, bounds looked at.
#[derive(Clone, Copy)]
struct Raw {
    high: usize,
    cols: usize,
    d: *mut f32,
    ld: usize,
    keep: bool,
    /// Null where there is none.
    bias: *mut f32,
    columns: *mut Pair,
    column: usize,
    rows: *mut Pair,
    stride: usize,
    below: usize,
}

/// Which lanes of a row's sixteen columns the gradient passes in.
trait Passes: Copy {
    /// The lanes in which the gradient passes, for row `i` and columns from 16 `g` on, among
    /// `lanes`.
    ///
    /// # Safety
    /// Row and `lanes` are the stripe's, and the processor has AVX-512.
    unsafe fn lanes(self, i: usize, g: usize, lanes: u16) -> u16;
}

#[derive(Clone, Copy)]
struct All;

impl Passes for All {
    #[inline(always)]
    unsafe fn lanes(self, _: usize, _: usize, lanes: u16) -> u16 {
        lanes
    }
}

#[derive(Clone, Copy)]
struct Signs(*const u16, usize);

impl Passes for Signs {
    #[inline(always)]
    unsafe fn lanes(self, i: usize, g: usize, lanes: u16) -> u16 {
        // SAFETY: the caller's promise.
        lanes & unsafe { *self.0.add(i * self.1 + g) }
    }
}

#[derive(Clone, Copy)]
struct Above(*const f32, usize);

impl Passes for Above {
    #[inline(always)]
    unsafe fn lanes(self, i: usize, g: usize, lanes: u16) -> u16 {
        // SAFETY: the caller's promise; other lanes are not read.
        unsafe {
            let y = _mm512_maskz_loadu_ps(lanes, self.0.add(i * self.1 + g * LANES));
            _mm512_mask_cmp_ps_mask::<_CMP_GT_OQ>(lanes, y, _mm512_setzero_ps())
        }
    }
}

/// The whole stripe, in groups of sixteen columns: one after another where operands are in squares, whose rows are columns
/// here; else row by row, as everything lies then.
///
/// # Safety
/// As [`run`]; rows are there if `WANTED`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn groups<const SQUARES: bool, const WANTED: bool, P: Passes>(raw: &Raw, passes: P) {
    let lanes = |g: usize| raw.cols.saturating_sub(g * LANES).min(LANES);
    // SAFETY: the caller's promise. What is whole, nearly all, is told so: no row and no lane has to be asked for then.
    unsafe {
        if !SQUARES {
            for r in 0..raw.high.div_ceil(2) {
                for g in 0..raw.cols.div_ceil(LANES) {
                    match lanes(g) == LANES && 2 * r + 1 < raw.high {
                        true => pair_of_rows::<WANTED, true, P>(raw, passes, r, g, LANES),
                        false => pair_of_rows::<WANTED, false, P>(raw, passes, r, g, lanes(g)),
                    }
                }
            }
            return;
        }
        // A row of squares is padded with zeros to its end.
        for g in 0..raw.cols.next_multiple_of(STRIPE) / LANES {
            match lanes(g) == LANES && raw.high == STRIPE {
                true => square::<WANTED, true, P>(raw, passes, g, LANES),
                false => square::<WANTED, false, P>(raw, passes, g, lanes(g)),
            }
        }
    }
}

/// For a stripe in squares: columns from 16 `g` on, of which `lanes` exist. `WHOLE`: all columns exist, in [`STRIPE`]
/// rows.
///
/// # Safety
/// As [`groups`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
#[inline]
unsafe fn square<const WANTED: bool, const WHOLE: bool, P: Passes>(raw: &Raw, passes: P, g: usize, lanes: usize) {
    // SAFETY: rows and lanes are those of the caller's promise, of which that of whole squares is one.
    unsafe {
        let mut sum = bias::<WHOLE>(raw, g, lanes);
        let mut pairs = [_mm512_setzero_ps(); LANES];
        for (r, pair) in pairs.iter_mut().enumerate() {
            let both = rounded::<WHOLE, P>(raw, passes, r, g, lanes, &mut sum);
            if WANTED {
                for (i, half) in [2 * r, 2 * r + 1].into_iter().zip(halves(both)) {
                    if WHOLE || i < raw.high {
                        let at = i / LANES * raw.below + i % LANES * LANES + g / 2 * SQUARE + g % 2 * (LANES / 2);
                        _mm256_storeu_si256(raw.rows.add(at).cast(), half);
                    }
                }
            }
            *pair = _mm512_castsi512_ps(turned_halves(both));
        }
        if lanes > 0 {
            let square = raw.columns.add(g * raw.column);
            for (i, row) in turned(pairs).into_iter().enumerate() {
                _mm512_storeu_si512(square.add(i * LANES).cast(), from_bits(bits(row)));
            }
        }
        keep_bias::<WHOLE>(raw, g, lanes, sum);
    }
}

/// Rows 2 `r` and 2 `r` + 1 of columns 16 `g` and so on, `lanes` of which are there. `WHOLE`: all of them, and both rows.
///
/// # Safety
/// As [`groups`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
#[inline]
unsafe fn pair_of_rows<const WANTED: bool, const WHOLE: bool, P: Passes>(
    raw: &Raw,
    passes: P,
    r: usize,
    g: usize,
    lanes: usize,
) {
    // SAFETY: rows and lanes are those of the caller's promise.
    unsafe {
        let mut sum = bias::<WHOLE>(raw, g, lanes);
        let both = rounded::<WHOLE, P>(raw, passes, r, g, lanes, &mut sum);
        if WANTED {
            let pairs = ((1u32 << lanes.div_ceil(2)) - 1) as u8;
            for (i, half) in [2 * r, 2 * r + 1].into_iter().zip(halves(both)) {
                let to = raw.rows.wrapping_add(i * raw.stride + g * (LANES / 2));
                if WHOLE {
                    _mm256_storeu_si256(to.cast(), half);
                } else if i < raw.high {
                    _mm256_mask_storeu_epi32(to.cast(), pairs, half);
                }
            }
        }
        let to = raw.columns.add(r * raw.column + g * LANES).cast();
        match WHOLE {
            true => _mm512_storeu_si512(to, turned_halves(both)),
            false => _mm512_mask_storeu_epi32(to.cast(), mask::<WHOLE>(lanes), turned_halves(both)),
        }
        keep_bias::<WHOLE>(raw, g, lanes, sum);
    }
}

/// Rows 2 `r` and 2 `r` + 1 of columns 16 `g` and so on, rounded, one after the other; what is not there is zero. Both are
/// added to `sum`.
///
/// # Safety
/// As [`groups`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
#[inline]
unsafe fn rounded<const WHOLE: bool, P: Passes>(
    raw: &Raw,
    passes: P,
    r: usize,
    g: usize,
    lanes: usize,
    sum: &mut __m512,
) -> __m512i {
    let mut two = [_mm512_setzero_ps(); 2];
    for (i, row) in (2 * r..).zip(&mut two) {
        if WHOLE || i < raw.high && lanes > 0 {
            // SAFETY: the row is the stripe's; lanes beyond its columns are neither read nor written.
            unsafe {
                let d = raw.d.add(i * raw.ld + g * LANES);
                *row = _mm512_maskz_loadu_ps(passes.lanes(i, g, mask::<WHOLE>(lanes)), d);
                if raw.keep {
                    _mm512_mask_storeu_ps(d, mask::<WHOLE>(lanes), *row);
                }
            }
            *sum = _mm512_add_ps(*sum, *row);
        }
    }
    from_bits(_mm512_cvtne2ps_pbh(two[1], two[0]))
}

#[inline(always)]
fn mask<const WHOLE: bool>(lanes: usize) -> u16 {
    if WHOLE { u16::MAX } else { ((1u32 << lanes) - 1) as u16 }
}

/// The gradient of the group's biases so far, or nothing where there are none.
///
/// # Safety
/// As [`groups`].
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn bias<const WHOLE: bool>(raw: &Raw, g: usize, lanes: usize) -> __m512 {
    match raw.bias.is_null() || lanes == 0 {
        true => _mm512_setzero_ps(),
        // SAFETY: lanes are the stripe's columns, which have biases.
        false => unsafe { _mm512_maskz_loadu_ps(mask::<WHOLE>(lanes), raw.bias.add(g * LANES)) },
    }
}

/// The other way round.
///
/// # Safety
/// As [`groups`].
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn keep_bias<const WHOLE: bool>(raw: &Raw, g: usize, lanes: usize, sum: __m512) {
    if !raw.bias.is_null() && lanes > 0 {
        // SAFETY: lanes are the stripe's columns, which have biases.
        unsafe { _mm512_mask_storeu_ps(raw.bias.add(g * LANES), mask::<WHOLE>(lanes), sum) }
    }
}

/// Either of two rows.
#[target_feature(enable = "avx512f")]
#[inline]
fn halves(both: __m512i) -> [__m256i; 2] {
    [_mm512_castsi512_si256(both), _mm512_extracti64x4_epi64::<1>(both)]
}

/// Two rows as pairs within a column.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn turned_halves(both: __m512i) -> __m512i {
    // SAFETY: the 32 halves of `TURNS` are a register.
    unsafe { _mm512_permutexvar_epi16(_mm512_loadu_epi16(TURNS.as_ptr().cast()), both) }
}
