//! [`Amx`]: bf16 products by the tile registers of Intel's processors, from Sapphire Rapids on.
//!
//! A thread has eight tiles of 16 rows of 64 bytes. One instruction multiplies a tile of 16 x 16 pairs with another and
//! adds the products to a tile of 16 x 16 sums: 4096 pairs, where one of AVX512-BF16 has 16. B is a panel of [`Pair`]s,
//! which the instruction reads without changes. A must be rounded anyway, so its copy consists of squares that are
//! tiles: a tile is then loaded from sixteen cache lines in a row and not from sixteen rows.
//!
//! **One configuration for all.** Every tile is used in full: the reduction is padded with zeros, and rows beyond those
//! of C are multiplied, too, and dropped. Smaller tiles for the remainder would need a configuration of their own, and
//! a new configuration empties all tiles.
//!
//! **The order of a sum.** Of 16 pairs, the earlier terms are added up one after another from zero, the later ones too;
//! the sum of both is then added to what the 16 before gave. That depends on where a term is in the reduction alone, so
//! it is the same in every tile, but it is not AVX512-BF16's order: sums differ in their last bits. Subnormal numbers are
//! zero, as there.
//!
//! Rust has no stable intrinsics for tiles in the version that this project is built with, so instructions are written
//! out ([`blocks`]); the crate `pleiad-emulator` runs them in tests where the processor does not.

mod blocks;
#[cfg(test)]
mod tests;

use std::arch::asm;
use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::sync::OnceLock;

use self::blocks::{Block, run};
use super::{Amx, Finish, Kernel, LANES, PANEL, Pair, Strip, has_avx512, left};
use crate::kernels::{Lines, MatRef, prefetch};

/// Rows of a tile. A tile's row holds [`LANES`] pairs or sums.
const ROWS: usize = 16;

/// Whether the processor has AMX for bf16, the system saves tiles when it changes threads, and this process may use them.
pub(crate) fn has_amx() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| has_avx512() && in_processor() && permitted())
}

/// Whether processor and system know tiles.
// `__cpuid_count` is unsafe in the oldest Rust that this is built with, and safe in the newest.
#[allow(unused_unsafe)]
fn in_processor() -> bool {
    // SAFETY: every processor of this architecture has the instruction.
    let leaf = |leaf, sub| unsafe { __cpuid_count(leaf, sub) };
    let all = |register: u32, bits: &[u32]| bits.iter().all(|bit| register >> bit & 1 == 1);
    // XSAVE in use by the system; AMX-BF16 and AMX-TILE.
    if leaf(0, 0).eax < 0x1E || !all(leaf(1, 0).ecx, &[27]) || !all(leaf(7, 0).edx, &[22, 24]) {
        return false;
    }
    // SAFETY: the system has enabled XSAVE, so the register may be read.
    let saved = unsafe { _xgetbv(0) };
    // The only palette that there is has been the same from the start; that is no promise for all processors to come.
    let (palette, products) = (leaf(0x1D, 1), leaf(0x1E, 0));
    let eight_of_1_kib = palette.ebx == 8 << 16 | 64 && palette.ecx & 0xFFFF == 16;
    let whole_tiles = products.ebx & 0xFF >= 16 && products.ebx >> 8 & 0xFFFF >= 64;
    // State of the configuration and of the data.
    saved >> 17 & 3 == 3 && eight_of_1_kib && whole_tiles
}

/// Asks Linux for the permission to use tiles, for all threads of this process: their 8 KiB make the frame of a signal
/// handler larger than old programs expect. Systems from before 5.16 refuse, as does one whose signal stacks are too small.
fn permitted() -> bool {
    const ARCH_PRCTL: usize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const XFEATURE_XTILEDATA: usize = 18;
    let result: isize;
    // SAFETY: the call takes numbers alone, and changes nothing that Rust knows of; its registers are named.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}

/// What `ldtilecfg` reads.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    /// Bytes per row of tiles 0 to 7; the rest is reserved.
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static CONFIGURATION: Configuration = Configuration {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Tiles of this thread, configured. They are given back after each product, so that the system need not save 8 KiB
/// whenever a thread that multiplied once is interrupted.
pub(crate) struct Configured {
    /// Tiles are the thread's: this must not be dropped on another.
    _of_this_thread: PhantomData<*const ()>,
}

impl Configured {
    /// Configures the tiles of this thread: the processor has AMX, as [`Amx::hold`] has seen.
    fn new() -> Self {
        // SAFETY: as said above; 64 bytes are read that are there.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIGURATION, options(nostack, preserves_flags)) }
        Self { _of_this_thread: PhantomData }
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: the processor has AMX, or this had not been made; compiled code does not use tiles.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags)) }
    }
}

impl Kernel for Amx {
    type Unit = Pair;
    type Held = Configured;

    const UNITS: usize = LANES;
    const BAND: usize = ROWS;

    fn hold() -> Option<Configured> {
        Self::available().then(Configured::new)
    }

    fn available() -> bool {
        #[cfg(test)]
        if pleiad_emulator::installed() {
            return true;
        }
        has_amx()
    }

    fn left<'a>(memory: &'a mut Lines<Pair>, x: MatRef<'a>) -> MatRef<'a, Pair> {
        left::squares(memory, x)
    }

    fn strip(_: &Configured, mut s: Strip<'_, Self>) {
        // SAFETY: AMX is used beside AVX-512 alone, and this thread's tiles are configured as long as it holds them.
        unsafe {
            match s.c.cols().div_ceil(LANES) {
                1 => strip::<1>(&mut s),
                2 => strip::<2>(&mut s),
                _ => strip::<3>(&mut s),
            }
        }
    }
}

/// Sums on their way between tiles and C: two rows of tiles.
#[repr(align(64))]
struct Between([f32; 2 * ROWS * PANEL]);

/// Multiplies a strip that is `WIDE` tiles wide.
///
/// Two rows of tiles at once: six of the eight tiles are sums then, one is A's and one B's. So every tile of B that comes
/// from memory for the first row is near for the second, which matters because the panel of a long sum does not stay in
/// the first cache (800 x 48 pairs are 150 KiB). That A and B have one tile each, loaded anew while the product before
/// still reads it, costs nothing: on Emerald Rapids, which renames tiles, a product takes its 16 cycles either way. With
/// operands in the second cache 2 x 3 tiles were 4 to 9 % faster than 2 x 2 where C is near, and 20 % slower where it is
/// not; asking ahead for tiles of A or B made both slower.
///
/// # Safety
/// This thread's tiles are configured.
#[target_feature(enable = "avx512f")]
unsafe fn strip<const WIDE: usize>(s: &mut Strip<'_, Amx>) {
    assert!(s.c.cols().div_ceil(LANES) == WIDE);
    let mut between = Between([0.0; 2 * ROWS * PANEL]);
    let (width, rows_of_c, ldc, finish) = (WIDE * LANES, s.c.rows(), s.c.ld(), s.finish);
    for first in (0..rows_of_c).step_by(2 * ROWS) {
        let high = if rows_of_c - first > ROWS { 2 } else { 1 };
        let rows = (rows_of_c - first).min(high * ROWS);
        soon::<WIDE>(s, first + rows);
        // Where tiles end with C, and sums leave as they are, they need no stop on the way.
        let straight = rows == high * ROWS && s.c.cols() == width && finish.shift.is_none() && !finish.past;
        if finish.add && !straight {
            enter::<WIDE>(s, first, rows, &mut between);
        }
        let (sums, sums_row) = match straight {
            true => (s.c.part(first..first + rows, 0..width).start(), ldc),
            false => (between.0.as_mut_ptr(), width),
        };
        let block = Block {
            a: s.a.start().wrapping_add(first / ROWS * s.a.row_stride()),
            a_below: s.a.row_stride() * size_of::<Pair>(),
            b: s.b.as_ptr(),
            steps: s.depth / LANES,
            sums,
            sums_row: sums_row * size_of::<f32>(),
            add: finish.add,
        };
        // SAFETY: tiles are configured by the caller's promise. A has a row of squares for each row of tiles, `steps` of
        // them, and B as many rows of `WIDE` tiles, as [`Strip::new`] has seen. Sums are whole tiles: `high` times `WIDE` of
        // C if they go straight there, else of `between`.
        unsafe { run::<WIDE>(high, &block) };
        if !straight {
            leave::<WIDE>(s, first, rows, &between);
        }
    }
    if finish.past {
        // What went past the caches is seen by other threads after a fence alone.
        _mm_sfence();
    }
}

/// Asks for the lines of C that are written after the block before row `next`: those of the next rows, or of the first
/// rows of the strip beside. A block is so short that its stores would wait for the lines: they are more than a core has
/// room for, and none of them is a neighbour of one before.
#[inline(always)]
fn soon<const WIDE: usize>(s: &mut Strip<'_, Amx>, next: usize) {
    if s.finish.past {
        return;
    }
    let (first, column) = if next < s.c.rows() { (next, 0) } else { (0, WIDE * LANES) };
    for row in first..s.c.rows().min(first + 2 * ROWS) {
        // Nothing is read there, so it may be beyond C.
        prefetch(s.c.start().wrapping_add(row * s.c.ld() + column), WIDE * LANES);
    }
}

/// Lanes of register `v` of `WIDE` that are columns of C.
fn mask<const WIDE: usize>(cols: usize, v: usize) -> u16 {
    if v + 1 == WIDE { u16::MAX >> (WIDE * LANES - cols) } else { u16::MAX }
}

/// Copies `rows` rows of C, from row `first` on.
#[target_feature(enable = "avx512f")]
fn enter<const WIDE: usize>(s: &mut Strip<'_, Amx>, first: usize, rows: usize, between: &mut Between) {
    let mut c = s.c.part(first..first + rows, 0..s.c.cols());
    let (cols, ldc) = (c.cols(), c.ld());
    let c = c.start();
    for (h, sums) in between.0.chunks_exact_mut(WIDE * LANES).take(rows).enumerate() {
        for (v, sums) in sums.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            // SAFETY: row h of `rows`; lanes beyond the columns are not read. Sixteen sums are a register.
            unsafe {
                let c = _mm512_maskz_loadu_ps(mask::<WIDE>(cols, v), c.add(h * ldc + v * LANES));
                _mm512_storeu_ps(sums.as_mut_ptr(), c);
            }
        }
    }
}

/// Finishes `rows` rows of sums and writes them to C, from row `first` on.
#[target_feature(enable = "avx512f")]
fn leave<const WIDE: usize>(s: &mut Strip<'_, Amx>, first: usize, rows: usize, between: &Between) {
    let Finish { past, shift, .. } = s.finish;
    let mut c = s.c.part(first..first + rows, 0..s.c.cols());
    let (cols, ldc) = (c.cols(), c.ld());
    let c = c.start();
    for v in 0..WIDE {
        let mask = mask::<WIDE>(cols, v);
        // SAFETY: bias and bound are as many as columns, of which the mask leaves no others.
        let shift = shift.map(|shift| shift.map(|x| unsafe { _mm512_maskz_loadu_ps(mask, x.as_ptr().add(v * LANES)) }));
        for (h, sums) in between.0.chunks_exact(WIDE * LANES).take(rows).enumerate() {
            // SAFETY: row h of `rows`; lanes beyond the columns are not written. Sixteen sums are a register. Whole lines of C
            // begin at one if they go past the caches ([`Strip::new`]).
            unsafe {
                let mut sum = _mm512_loadu_ps(sums[v * LANES..][..LANES].as_ptr());
                if let Some([bias, floor]) = shift {
                    // The second operand is what remains of a NaN.
                    sum = _mm512_max_ps(floor, _mm512_add_ps(sum, bias));
                }
                let c = c.add(h * ldc + v * LANES);
                match past && mask == u16::MAX {
                    true => _mm512_stream_ps(c, sum),
                    false => _mm512_mask_storeu_ps(c, mask, sum),
                }
            }
        }
    }
}
