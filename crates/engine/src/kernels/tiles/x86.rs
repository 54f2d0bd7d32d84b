//! The inner loops, for AVX-512.

use std::arch::x86_64::*;

use super::{Kernel, LANES, Pair, Strip, Unit};

/// Rows of C that are summed at once.
const ROWS: usize = 8;

/// `$strip` for units of `$unit`: full tiles of [`ROWS`] rows first, then four, two and one.
///
/// A macro, since a type cannot select between functions of one name with different instruction
/// sets.
macro_rules! kernels {
    ($strip:ident, $tile:ident, $unit:ty, $features:literal, $broadcast:expr, $multiply:expr) => {
        /// # Safety
        /// As [`Kernel::strip`].
        #[target_feature(enable = $features)]
        unsafe fn $strip<const WIDE: usize, const ACROSS: bool>(s: &Strip<$unit>) {
            let mut i = 0;
            while i < s.rows {
                // SAFETY: rows i up to i + the tile's are below `rows`; the rest is the caller's promise.
                i += unsafe {
                    match s.rows - i {
                        ROWS.. => $tile::<ROWS, WIDE, ACROSS>(s, i),
                        4.. => $tile::<4, WIDE, ACROSS>(s, i),
                        2.. => $tile::<2, WIDE, ACROSS>(s, i),
                        _ => $tile::<1, WIDE, ACROSS>(s, i),
                    }
                };
            }
            if s.past {
                // What went past the caches is seen by other threads after a fence alone.
                _mm_sfence();
            }
        }

        /// `HIGH` rows from row `i` on, `WIDE` registers wide; gives `HIGH`. `ACROSS`: A's rows are neighbours in memory.
        ///
        /// # Safety
        /// As [`Kernel::strip`], and `i + HIGH <= rows`.
        #[target_feature(enable = $features)]
        #[inline]
        unsafe fn $tile<const HIGH: usize, const WIDE: usize, const ACROSS: bool>(s: &Strip<$unit>, i: usize) -> usize {
            let (broadcast, multiply) = ($broadcast, $multiply);
            let tail = u16::MAX >> (WIDE * LANES - s.cols);
            let mask = |v: usize| if v + 1 == WIDE { tail } else { u16::MAX };
            // SAFETY: of the pointers, the caller; of lanes beyond the columns, the mask: they are neither read nor
            // written in C, bias and bound, and the panel is padded to whole registers.
            unsafe {
                let c = s.c.add(i * s.ldc);
                let mut sums = [[_mm512_setzero_ps(); WIDE]; HIGH];
                if s.add {
                    for (h, sums) in sums.iter_mut().enumerate() {
                        for (v, sum) in sums.iter_mut().enumerate() {
                            *sum = _mm512_maskz_loadu_ps(mask(v), c.add(h * s.ldc + v * LANES));
                        }
                    }
                }
                let a = if ACROSS { s.a.add(i) } else { s.a.add(i * s.a_row) };
                for r in 0..s.depth {
                    let mut b = [_mm512_setzero_ps(); WIDE];
                    for (v, b) in b.iter_mut().enumerate() {
                        *b = _mm512_loadu_ps(s.b.add((r * WIDE + v) * LANES).cast());
                    }
                    for (h, sums) in sums.iter_mut().enumerate() {
                        let a = broadcast(*if ACROSS { a.add(r * s.a_step + h) } else { a.add(h * s.a_row + r) });
                        for (sum, b) in sums.iter_mut().zip(b) {
                            *sum = multiply(a, b, *sum);
                        }
                    }
                }
                if !s.bias.is_null() {
                    for v in 0..WIDE {
                        let bias = _mm512_maskz_loadu_ps(mask(v), s.bias.add(v * LANES));
                        let floor = _mm512_maskz_loadu_ps(mask(v), s.floor.add(v * LANES));
                        for sums in &mut sums {
                            // The second operand is what remains of a NaN.
                            sums[v] = _mm512_max_ps(floor, _mm512_add_ps(sums[v], bias));
                        }
                    }
                }
                for (h, sums) in sums.iter().enumerate() {
                    for (v, sum) in sums.iter().enumerate() {
                        if s.past && mask(v) == u16::MAX {
                            _mm512_stream_ps(c.add(h * s.ldc + v * LANES), *sum);
                            continue;
                        }
                        _mm512_mask_storeu_ps(c.add(h * s.ldc + v * LANES), mask(v), *sum);
                    }
                }
            }
            HIGH
        }
    };
}

kernels!(strip_f32, tile_f32, f32, "avx512f", |a: f32| _mm512_set1_ps(a), |a, b, sum| _mm512_fmadd_ps(a, b, sum));

kernels!(
    strip_pair,
    tile_pair,
    Pair,
    "avx512f,avx512bf16",
    |a: Pair| _mm512_castsi512_ps(_mm512_set1_epi32(a.0.cast_signed())),
    |a, b, sum| _mm512_dpbf16_ps(sum, bits(a), bits(b))
);

/// The same bits as bf16.
#[inline(always)]
pub(super) fn bits(lanes: __m512) -> __m512bh {
    // SAFETY: both are 512 bits of plain data.
    unsafe { std::mem::transmute(lanes) }
}

/// Chooses the kernel by the strip's width and the left operand's order.
macro_rules! choose {
    ($strip:ident, $s:expr) => {
        match ($s.cols.div_ceil(LANES), $s.a_step == 1) {
            (1, true) => $strip::<1, false>($s),
            (2, true) => $strip::<2, false>($s),
            (_, true) => $strip::<3, false>($s),
            (1, false) => $strip::<1, true>($s),
            (2, false) => $strip::<2, true>($s),
            (_, false) => $strip::<3, true>($s),
        }
    };
}

impl Kernel for f32 {
    type Unit = Self;
    type Held = ();

    fn available() -> bool {
        is_x86_feature_detected!("avx512f")
    }

    unsafe fn hold() {}

    unsafe fn strip(s: &Strip<Self>) {
        // SAFETY: the caller's promise is the kernels'.
        unsafe { choose!(strip_f32, s) }
    }
}

impl Kernel for Pair {
    type Unit = Self;
    type Held = ();

    fn available() -> bool {
        is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512bf16")
    }

    unsafe fn hold() {}

    unsafe fn strip(s: &Strip<Self>) {
        // SAFETY: the caller's promise is the kernels'.
        unsafe { choose!(strip_pair, s) }
    }
}

/// Turns a square over, if there are instructions for it.
#[inline]
pub(super) fn turn_square<U: Unit>(square: &mut [[U; LANES]; LANES]) -> bool {
    if !f32::available() {
        return false;
    }
    // SAFETY: the processor has AVX-512, and a unit has the 32 bits of an f32 ([`Unit::turn`] looks).
    unsafe { turn(square.as_mut_ptr().cast()) }
    true
}

/// Turns a square of 16 x 16 units of 32 bits over.
///
/// # Safety
/// The processor has AVX-512, and 256 units at `square` may be read and written.
#[target_feature(enable = "avx512f")]
unsafe fn turn(square: *mut f32) {
    // SAFETY: sixteen registers of sixteen units are the 256 of the caller's promise.
    unsafe {
        let rows = turned(std::array::from_fn(|i| _mm512_loadu_ps(square.add(i * LANES))));
        for (i, row) in rows.into_iter().enumerate() {
            _mm512_storeu_ps(square.add(i * LANES), row);
        }
    }
}

/// Lane j of register i in lane i of register j.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn turned(mut rows: [__m512; LANES]) -> [__m512; LANES] {
    // Neighbours at distance 1, 2, 4, 8 change places; the first two within lanes of 128 bits, the others by lane.
    let mut next = rows;
    for i in (0..LANES).step_by(2) {
        next[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
        next[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for i in (0..LANES).step_by(4) {
        let pd = |i: usize| _mm512_castps_pd(next[i]);
        rows[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(pd(i), pd(i + 2)));
        rows[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(pd(i), pd(i + 2)));
        rows[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(pd(i + 1), pd(i + 3)));
        rows[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(pd(i + 1), pd(i + 3)));
    }
    for half in [0, 8] {
        for i in half..half + 4 {
            next[i] = _mm512_shuffle_f32x4::<0x88>(rows[i], rows[i + 4]);
            next[i + 4] = _mm512_shuffle_f32x4::<0xDD>(rows[i], rows[i + 4]);
        }
    }
    for i in 0..8 {
        rows[i] = _mm512_shuffle_f32x4::<0x88>(next[i], next[i + 8]);
        rows[i + 8] = _mm512_shuffle_f32x4::<0xDD>(next[i], next[i + 8]);
    }
    rows
}

/// Makes pairs of the neighbours of a run, as far as whole registers go, and gives the number of elements done. Every
/// register of pairs begins `stride` after the one before.
#[inline]
pub(super) fn pair_runs(run: &[f32], out: &mut [Pair], stride: usize) -> usize {
    if !Pair::available() {
        return 0;
    }
    // SAFETY: the processor was asked.
    unsafe { runs(run, out, stride) }
}

/// Turns pairs of 32 rows of 16 columns over, if there is an instruction that makes pairs.
#[inline]
pub(super) fn turn_pairs(square: &mut [[Pair; LANES]; LANES], data: &[f32], ld: usize) -> bool {
    if !Pair::available() {
        return false;
    }
    assert!((2 * LANES - 1) * ld + LANES <= data.len(), "32 rows of 16 columns");
    // SAFETY: the processor was asked, and all of the rows are there.
    unsafe { pairs_turned(square, data.as_ptr(), ld) }
    true
}

/// Makes pairs of two rows, as far as whole registers go, and gives the number of elements done.
#[inline]
pub(super) fn pair_rows(earlier: &[f32], later: &[f32], out: &mut [Pair]) -> usize {
    if !Pair::available() {
        return 0;
    }
    // SAFETY: the processor was asked.
    unsafe { rows(earlier, later, out) }
}

/// # Safety
/// The processor has AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn runs(run: &[f32], out: &mut [Pair], stride: usize) -> usize {
    let (blocks, _) = run.as_chunks::<{ 2 * LANES }>();
    let out = out.chunks_mut(stride).filter_map(|out| out.first_chunk_mut());
    for (x, y) in blocks.iter().zip(out) {
        // SAFETY: 32 elements are read, and 16 pairs of 32 bits written, in arrays of these sizes.
        unsafe {
            let (low, high) = (_mm512_loadu_ps(x.as_ptr()), _mm512_loadu_ps(x.as_ptr().add(LANES)));
            store(y, _mm512_cvtne2ps_pbh(high, low));
        }
    }
    blocks.len() * 2 * LANES
}

/// The halves of 16 pairs, the earlier ones from the lower half of a register and the later ones from the upper.
pub(super) const TURNS: [u16; 2 * LANES] = {
    let mut turns = [0; 2 * LANES];
    let mut i = 0;
    while i < LANES {
        turns[2 * i] = i as u16;
        turns[2 * i + 1] = (LANES + i) as u16;
        i += 1;
    }
    turns
};

/// Pairs of 16 columns of two rows.
///
/// # Safety
/// The processor has AVX512-BF16; 16 elements may be read of either row.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
#[inline]
unsafe fn paired(earlier: *const f32, later: *const f32) -> __m512i {
    // SAFETY: the caller's promise; the 32 halves of `TURNS` are a register.
    unsafe {
        let both = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(later), _mm512_loadu_ps(earlier));
        _mm512_permutexvar_epi16(_mm512_loadu_epi16(TURNS.as_ptr().cast()), from_bits(both))
    }
}

/// # Safety
/// The processor has AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn rows(earlier: &[f32], later: &[f32], out: &mut [Pair]) -> usize {
    let ((earlier, _), (later, _)) = (earlier.as_chunks::<LANES>(), later.as_chunks::<LANES>());
    let (out, _) = out.as_chunks_mut::<LANES>();
    let done = out.len().min(earlier.len()).min(later.len()) * LANES;
    for ((a, b), y) in earlier.iter().zip(later).zip(out) {
        // SAFETY: 16 elements of either row are read, and 16 pairs of 32 bits written, in arrays of these sizes.
        unsafe { store(y, to_bits(paired(a.as_ptr(), b.as_ptr()))) }
    }
    done
}

/// # Safety
/// The processor has AVX512-BF16; 16 elements may be read of each of 32 rows with stride `ld`.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn pairs_turned(square: &mut [[Pair; LANES]; LANES], data: *const f32, ld: usize) {
    // SAFETY: the caller's promise; sixteen registers of sixteen pairs are the square.
    unsafe {
        let pairs = |r: usize| _mm512_castsi512_ps(paired(data.add(2 * r * ld), data.add((2 * r + 1) * ld)));
        for (row, y) in turned(std::array::from_fn(pairs)).into_iter().zip(square) {
            store(y, bits(row));
        }
    }
}

/// # Safety
/// The processor has AVX-512.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn store(out: &mut [Pair; LANES], pairs: __m512bh) {
    // SAFETY: 16 pairs of 32 bits are 512.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), from_bits(pairs)) }
}

#[inline(always)]
pub(super) fn from_bits(pairs: __m512bh) -> __m512i {
    // SAFETY: both are 512 bits of plain data.
    unsafe { std::mem::transmute(pairs) }
}

#[inline(always)]
fn to_bits(lanes: __m512i) -> __m512bh {
    // SAFETY: both are 512 bits of plain data.
    unsafe { std::mem::transmute(lanes) }
}
