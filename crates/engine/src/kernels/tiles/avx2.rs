//! The inner loops, for AVX2 with FMA. Two registers stand for one of AVX-512, and every element of C is the same chain of
//! sums, so its bits are the same.

use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::ptr::copy_nonoverlapping;

use super::Has;
use crate::kernels::tiles::{Kernel, LANES, Strip};
use crate::kernels::{Lines, MatRef};

/// Rows of C that are summed at once: with two registers of columns 12 accumulators, of 16 registers that there are.
const ROWS: usize = 6;

/// Terms of a sum between two looks at the loop's end.
const TERMS: usize = 4;

/// Lanes of a register.
const HALF: usize = LANES / 2;

/// The kernel of f32 that AVX2 has.
#[derive(Debug)]
pub(crate) struct Avx2;

impl Kernel for Avx2 {
    type Unit = f32;
    type Held = Has<Self>;

    fn hold() -> Option<Has<Self>> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Has(PhantomData))
    }

    fn left<'a>(_: &'a mut Lines<f32>, x: MatRef<'a>) -> MatRef<'a> {
        x
    }

    fn strip(held: &Has<Self>, s: Strip<'_, Self>) {
        strip(held, s);
    }
}

/// Multiplies one strip of any kernel of f32.
pub(super) fn strip<K: Kernel<Unit = f32>>(_: &Has<Avx2>, s: Strip<'_, K>) {
    // SAFETY: the processor has AVX2 and FMA.
    unsafe {
        match s.a.col_stride() == 1 {
            true => columns::<K, false>(s),
            false => columns::<K, true>(s),
        }
    }
}

/// [`LANES`] columns after another, so that what they read of B stays in the nearest cache for all rows.
#[target_feature(enable = "avx2,fma")]
fn columns<K: Kernel<Unit = f32>, const ACROSS: bool>(mut s: Strip<'_, K>) {
    let (rows, cols) = (s.c.rows(), s.c.cols());
    for first in (0..cols).step_by(LANES) {
        let mut i = 0;
        while i < rows {
            i += match rows - i {
                ROWS.. => tile::<K, ROWS, ACROSS>(&mut s, i, first),
                4.. => tile::<K, 4, ACROSS>(&mut s, i, first),
                2.. => tile::<K, 2, ACROSS>(&mut s, i, first),
                _ => tile::<K, 1, ACROSS>(&mut s, i, first),
            };
        }
    }
    if s.finish.past {
        // What went past the caches is seen by other threads after a fence alone.
        _mm_sfence();
    }
}

/// `HIGH` rows from row `i` on, and [`LANES`] columns from `first` on or what is left of them; gives `HIGH`. `ACROSS`: A's
/// rows are neighbours in memory.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn tile<K: Kernel<Unit = f32>, const HIGH: usize, const ACROSS: bool>(
    s: &mut Strip<'_, K>,
    i: usize,
    first: usize,
) -> usize {
    assert!(i + HIGH <= s.c.rows() && first < s.c.cols() && first.is_multiple_of(LANES));
    let (ldc, past, width) = (s.c.ld(), s.finish.past, s.c.cols().next_multiple_of(LANES));
    let cols = (s.c.cols() - first).min(LANES);
    let (a_row, a_step) = if ACROSS { (1, s.a.col_stride()) } else { (s.a.row_stride(), 1) };
    // SAFETY: rows i to i + HIGH are C's and A's; A has `depth` columns, and B as many rows of `width` columns, as
    // [`Strip::new`] has seen. Of C, bias and bound, `cols` columns are there from `first` on.
    unsafe {
        let c = s.c.start().add(i * ldc + first);
        let mut sums = [[_mm256_setzero_ps(); 2]; HIGH];
        if s.finish.add {
            for (h, sums) in sums.iter_mut().enumerate() {
                *sums = load(c.add(h * ldc), cols);
            }
        }
        // Where the sum is of nothing, nothing is there.
        let (mut a, mut b) = (s.a.start().wrapping_add(i * a_row), s.b.as_ptr().wrapping_add(first));
        for _ in 0..s.depth / TERMS {
            add_terms::<HIGH, TERMS>(&mut sums, (a, a_row, a_step), (b, width));
            (a, b) = (a.wrapping_add(TERMS * a_step), b.wrapping_add(TERMS * width));
        }
        for _ in 0..s.depth % TERMS {
            add_terms::<HIGH, 1>(&mut sums, (a, a_row, a_step), (b, width));
            (a, b) = (a.wrapping_add(a_step), b.wrapping_add(width));
        }
        if let Some(shift) = s.finish.shift {
            let [bias, floor] = shift.map(|x| load(x.as_ptr().add(first), cols));
            for sums in &mut sums {
                for (sum, (bias, floor)) in sums.iter_mut().zip(bias.into_iter().zip(floor)) {
                    // The second operand is what remains of a NaN.
                    *sum = _mm256_max_ps(floor, _mm256_add_ps(*sum, bias));
                }
            }
        }
        for (h, sums) in sums.into_iter().enumerate() {
            let c = c.add(h * ldc);
            match cols == LANES {
                true if past => {
                    sums.into_iter().enumerate().for_each(|(v, sum)| _mm256_stream_ps(c.add(v * HALF), sum))
                }
                true => sums.into_iter().enumerate().for_each(|(v, sum)| _mm256_storeu_ps(c.add(v * HALF), sum)),
                false => {
                    let mut row = [0.0; LANES];
                    sums.into_iter()
                        .enumerate()
                        .for_each(|(v, sum)| _mm256_storeu_ps(row.as_mut_ptr().add(v * HALF), sum));
                    copy_nonoverlapping(row.as_ptr(), c, cols);
                }
            }
        }
    }
    HIGH
}

/// Adds `COUNT` terms to the sums, one after the other.
///
/// # Safety
/// `COUNT` terms of `HIGH` rows are there to be read: of A with these strides, of B in rows that far apart, [`LANES`] of each.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn add_terms<const HIGH: usize, const COUNT: usize>(
    sums: &mut [[__m256; 2]; HIGH],
    (a, a_row, a_step): (*const f32, usize, usize),
    (b, b_row): (*const f32, usize),
) {
    for r in 0..COUNT {
        // SAFETY: the caller's promise.
        unsafe {
            let row = load(b.add(r * b_row), LANES);
            for (h, sums) in sums.iter_mut().enumerate() {
                let a = _mm256_set1_ps(*a.add(h * a_row + r * a_step));
                for (sum, b) in sums.iter_mut().zip(row) {
                    *sum = _mm256_fmadd_ps(a, b, *sum);
                }
            }
        }
    }
}

/// The first `cols` of [`LANES`] columns; the others are zero.
///
/// # Safety
/// `cols` numbers are there to be read, at most [`LANES`].
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn load(x: *const f32, cols: usize) -> [__m256; 2] {
    // SAFETY: the caller's promise; the copy has all columns.
    unsafe {
        if cols == LANES {
            return [_mm256_loadu_ps(x), _mm256_loadu_ps(x.add(HALF))];
        }
        let mut row = [0.0f32; LANES];
        copy_nonoverlapping(x, row.as_mut_ptr(), cols);
        [_mm256_loadu_ps(row.as_ptr()), _mm256_loadu_ps(row.as_ptr().add(HALF))]
    }
}

/// Turns a square of 16 x 16 units of 32 bits over, if the processor can.
#[inline]
pub(super) fn turn_square(square: &mut [[f32; LANES]; LANES]) -> bool {
    if !Avx2::available() {
        return false;
    }
    // SAFETY: the processor has AVX2.
    unsafe { turn(square) }
    true
}

#[target_feature(enable = "avx2")]
fn turn(square: &mut [[f32; LANES]; LANES]) {
    for i in [0, HALF] {
        let own = turned(square, i, i);
        put(square, i, i, own);
    }
    let [above, below] = [turned(square, 0, HALF), turned(square, HALF, 0)];
    put(square, 0, HALF, below);
    put(square, HALF, 0, above);
}

/// The quarter at row `i` and column `j`: its columns.
#[target_feature(enable = "avx2")]
#[inline]
fn turned(square: &[[f32; LANES]; LANES], i: usize, j: usize) -> [__m256; HALF] {
    let rows: [__m256; HALF] = std::array::from_fn(|r| {
        let row: &[f32] = &square[i + r][j..j + HALF];
        // SAFETY: eight numbers of 32 bits are 256.
        unsafe { _mm256_loadu_ps(row.as_ptr()) }
    });
    // Neighbours at distance 1 and 2 change places within lanes of 128 bits, then those at distance 4 by lane.
    let ones: [__m256; HALF] = std::array::from_fn(|r| match r % 2 {
        0 => _mm256_unpacklo_ps(rows[r], rows[r + 1]),
        _ => _mm256_unpackhi_ps(rows[r - 1], rows[r]),
    });
    let pd = |r: usize| _mm256_castps_pd(ones[r]);
    let twos: [__m256; HALF] = std::array::from_fn(|r| {
        let low = r / 4 * 4 + r % 4 / 2;
        _mm256_castpd_ps(match r % 2 {
            0 => _mm256_unpacklo_pd(pd(low), pd(low + 2)),
            _ => _mm256_unpackhi_pd(pd(low), pd(low + 2)),
        })
    });
    std::array::from_fn(|r| match r / 4 {
        0 => _mm256_permute2f128_ps::<0x20>(twos[r], twos[r + 4]),
        _ => _mm256_permute2f128_ps::<0x31>(twos[r - 4], twos[r]),
    })
}

#[target_feature(enable = "avx2")]
#[inline]
fn put(square: &mut [[f32; LANES]; LANES], i: usize, j: usize, rows: [__m256; HALF]) {
    for (row, out) in rows.into_iter().zip(&mut square[i..i + HALF]) {
        let out: &mut [f32] = &mut out[j..j + HALF];
        // SAFETY: eight numbers of 32 bits are 256.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), row) }
    }
}
