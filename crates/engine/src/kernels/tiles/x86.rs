//! The inner loops, for AVX-512; those of AVX2 are in [`avx2`].

mod avx2;

use std::arch::x86_64::*;
use std::marker::PhantomData;

pub(crate) use self::avx2::Avx2;
use super::{Kernel, LANES, Pair, Strip, Unit, left};
use crate::kernels::{Lines, MatRef};

/// Rows of C that are summed at once.
const ROWS: usize = 8;

/// `$strip` of kernel `$kernel`: full tiles of [`ROWS`] rows first, then four, two and one.
///
/// A macro, since a type cannot select between functions of one name with different instruction
/// sets.
macro_rules! kernels {
    ($strip:ident, $tile:ident, $kernel:ty, $features:literal, $broadcast:expr, $multiply:expr) => {
        #[target_feature(enable = $features)]
        fn $strip<const WIDE: usize, const ACROSS: bool>(mut s: Strip<'_, $kernel>) {
            let (mut i, rows) = (0, s.c.rows());
            while i < rows {
                i += match rows - i {
                    ROWS.. => $tile::<ROWS, WIDE, ACROSS>(&mut s, i),
                    4.. => $tile::<4, WIDE, ACROSS>(&mut s, i),
                    2.. => $tile::<2, WIDE, ACROSS>(&mut s, i),
                    _ => $tile::<1, WIDE, ACROSS>(&mut s, i),
                };
            }
            if s.finish.past {
                // What went past the caches is seen by other threads after a fence alone.
                _mm_sfence();
            }
        }

        /// `HIGH` rows from row `i` on, `WIDE` registers wide; gives `HIGH`. `ACROSS`: A's rows are neighbours in memory.
        #[target_feature(enable = $features)]
        #[inline]
        fn $tile<const HIGH: usize, const WIDE: usize, const ACROSS: bool>(
            s: &mut Strip<'_, $kernel>,
            i: usize,
        ) -> usize {
            let (broadcast, multiply) = ($broadcast, $multiply);
            assert!(i + HIGH <= s.c.rows() && s.c.cols().div_ceil(LANES) == WIDE);
            let tail = u16::MAX >> (WIDE * LANES - s.c.cols());
            let mask = |v: usize| if v + 1 == WIDE { tail } else { u16::MAX };
            let (ldc, past) = (s.c.ld(), s.finish.past);
            let (a_row, a_step) = if ACROSS { (1, s.a.col_stride()) } else { (s.a.row_stride(), 1) };
            // SAFETY: rows i to i + HIGH are C's and A's; A has `depth` columns, and B as many rows of `WIDE` registers, as
            // [`Strip::new`] has seen. Lanes beyond the columns of C, bias and bound are masked: neither read nor written.
            unsafe {
                let c = s.c.start().add(i * ldc);
                let mut sums = [[_mm512_setzero_ps(); WIDE]; HIGH];
                if s.finish.add {
                    for (h, sums) in sums.iter_mut().enumerate() {
                        for (v, sum) in sums.iter_mut().enumerate() {
                            *sum = _mm512_maskz_loadu_ps(mask(v), c.add(h * ldc + v * LANES));
                        }
                    }
                }
                // Where the sum is of nothing, nothing is there.
                let (a, b) = (s.a.start().wrapping_add(i * a_row), s.b.as_ptr());
                for r in 0..s.depth {
                    let mut row = [_mm512_setzero_ps(); WIDE];
                    for (v, row) in row.iter_mut().enumerate() {
                        *row = _mm512_loadu_ps(b.add((r * WIDE + v) * LANES).cast());
                    }
                    for (h, sums) in sums.iter_mut().enumerate() {
                        let a = broadcast(*a.add(h * a_row + r * a_step));
                        for (sum, b) in sums.iter_mut().zip(row) {
                            *sum = multiply(a, b, *sum);
                        }
                    }
                }
                if let Some([bias, floor]) = s.finish.shift {
                    for v in 0..WIDE {
                        let bias = _mm512_maskz_loadu_ps(mask(v), bias.as_ptr().add(v * LANES));
                        let floor = _mm512_maskz_loadu_ps(mask(v), floor.as_ptr().add(v * LANES));
                        for sums in &mut sums {
                            // The second operand is what remains of a NaN.
                            sums[v] = _mm512_max_ps(floor, _mm512_add_ps(sums[v], bias));
                        }
                    }
                }
                for (h, sums) in sums.iter().enumerate() {
                    for (v, sum) in sums.iter().enumerate() {
                        let c = c.add(h * ldc + v * LANES);
                        match past && mask(v) == u16::MAX {
                            true => _mm512_stream_ps(c, *sum),
                            false => _mm512_mask_storeu_ps(c, mask(v), *sum),
                        }
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

/// Chooses the kernel by the strip's width and the left operand's order.
macro_rules! choose {
    ($strip:ident, $s:expr) => {
        match ($s.c.cols().div_ceil(LANES), $s.a.col_stride() == 1) {
            (1, true) => $strip::<1, false>($s),
            (2, true) => $strip::<2, false>($s),
            (_, true) => $strip::<3, false>($s),
            (1, false) => $strip::<1, true>($s),
            (2, false) => $strip::<2, true>($s),
            (_, false) => $strip::<3, true>($s),
        }
    };
}

/// What only [`Kernel::hold`] makes: the processor has the instructions of K.
#[derive(Debug)]
pub(crate) struct Has<K>(PhantomData<K>);

/// The vector instructions that the processor has for f32.
#[derive(Debug)]
pub(crate) enum Vectors {
    Avx512(Has<f32>),
    Avx2(Has<Avx2>),
}

pub(crate) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
}

impl Kernel for f32 {
    type Unit = Self;
    type Held = Vectors;

    fn hold() -> Option<Vectors> {
        if has_avx512() {
            return Some(Vectors::Avx512(Has(PhantomData)));
        }
        Avx2::hold().map(Vectors::Avx2)
    }

    fn left<'a>(_: &'a mut Lines<Self>, x: MatRef<'a>) -> MatRef<'a> {
        x
    }

    fn strip(held: &Vectors, s: Strip<'_, Self>) {
        match held {
            // SAFETY: the processor has AVX-512.
            Vectors::Avx512(_) => unsafe { choose!(strip_f32, s) },
            Vectors::Avx2(held) => avx2::strip(held, s),
        }
    }
}

impl Kernel for Pair {
    type Unit = Self;
    type Held = Has<Self>;

    fn hold() -> Option<Has<Self>> {
        let all = has_avx512() && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512bf16");
        all.then_some(Has(PhantomData))
    }

    fn left<'a>(memory: &'a mut Lines<Self>, x: MatRef<'a>) -> MatRef<'a, Self> {
        left::pairs(memory, x)
    }

    fn strip(_: &Has<Self>, s: Strip<'_, Self>) {
        // SAFETY: the processor has AVX512-BF16.
        unsafe { choose!(strip_pair, s) }
    }
}

/// Turns a square over, if there are instructions for it.
#[inline]
pub(super) fn turn_square<U: Unit>(square: &mut [[U; LANES]; LANES]) -> bool {
    // SAFETY: a unit is plain data of the 32 bits of an f32 ([`Unit::turn`] looks).
    let square = unsafe { &mut *std::ptr::from_mut(square).cast() };
    if !has_avx512() {
        return avx2::turn_square(square);
    }
    // SAFETY: the processor has AVX-512.
    unsafe { turn(square) }
    true
}

/// Turns a square of 16 x 16 units of 32 bits over.
#[target_feature(enable = "avx512f")]
fn turn(square: &mut [[f32; LANES]; LANES]) {
    let rows = turned(std::array::from_fn(|i| load(&square[i])));
    for (row, out) in rows.into_iter().zip(square) {
        // SAFETY: 16 numbers of 32 bits are 512.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), row) }
    }
}

/// Lane j of register i in lane i of register j.
#[target_feature(enable = "avx512f")]
#[inline]
fn turned(mut rows: [__m512; LANES]) -> [__m512; LANES] {
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
pub(super) fn turn_pairs(square: &mut [[Pair; LANES]; LANES], x: MatRef<'_>) -> bool {
    if !Pair::available() {
        return false;
    }
    // SAFETY: the processor was asked.
    unsafe { pairs_turned(square, x) }
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

#[target_feature(enable = "avx512f,avx512bf16")]
fn runs(run: &[f32], out: &mut [Pair], stride: usize) -> usize {
    let (registers, _) = run.as_chunks::<LANES>();
    let (blocks, _) = registers.as_chunks::<2>();
    let out = out.chunks_mut(stride).filter_map(|out| out.first_chunk_mut());
    for ([low, high], y) in blocks.iter().zip(out) {
        store(y, from_bits(_mm512_cvtne2ps_pbh(load(high), load(low))));
    }
    blocks.len() * 2 * LANES
}

/// The halves of 16 pairs, the earlier ones from the lower half of a register and the later ones from the upper.
const TURNS: [u16; 2 * LANES] = {
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
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
#[inline]
fn paired(earlier: &[f32; LANES], later: &[f32; LANES]) -> __m512i {
    let both = _mm512_cvtne2ps_pbh(load(later), load(earlier));
    // SAFETY: the 32 halves are a register.
    let turns = unsafe { _mm512_loadu_epi16(TURNS.as_ptr().cast()) };
    _mm512_permutexvar_epi16(turns, from_bits(both))
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn rows(earlier: &[f32], later: &[f32], out: &mut [Pair]) -> usize {
    let ((earlier, _), (later, _)) = (earlier.as_chunks(), later.as_chunks());
    let (out, _) = out.as_chunks_mut();
    let done = out.len().min(earlier.len()).min(later.len()) * LANES;
    earlier.iter().zip(later).zip(out).for_each(|((a, b), y)| store(y, paired(a, b)));
    done
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pairs_turned(square: &mut [[Pair; LANES]; LANES], x: MatRef<'_>) {
    assert!(x.rows() == 2 * LANES && x.cols() == LANES && x.col_stride() == 1, "32 rows of 16 columns");
    // SAFETY: row r is the matrix's, and has sixteen neighbours.
    let row = |r: usize| unsafe { &*x.start().add(r * x.row_stride()).cast() };
    let pairs = |r: usize| _mm512_castsi512_ps(paired(row(2 * r), row(2 * r + 1)));
    for (row, y) in turned(std::array::from_fn(pairs)).into_iter().zip(square) {
        store(y, _mm512_castps_si512(row));
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(x: &[f32; LANES]) -> __m512 {
    // SAFETY: 16 numbers of 32 bits are 512.
    unsafe { _mm512_loadu_ps(x.as_ptr()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(out: &mut [Pair; LANES], pairs: __m512i) {
    // SAFETY: 16 pairs of 32 bits are 512.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), pairs) }
}

/// The same bits as bf16.
#[inline(always)]
fn bits(lanes: __m512) -> __m512bh {
    // SAFETY: both are 512 bits of plain data.
    unsafe { std::mem::transmute(lanes) }
}

/// The other way round.
#[inline(always)]
fn from_bits(pairs: __m512bh) -> __m512i {
    // SAFETY: both are 512 bits of plain data.
    unsafe { std::mem::transmute(pairs) }
}
