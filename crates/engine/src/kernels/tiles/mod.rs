//! Our own matrix products: in f32 by AVX-512 or AVX2, and in bf16 with f32 sums by AVX512-BF16 or AMX.
//!
//! `C = A B` with C and A in their own layout and B in [`Panels`]: strips of 48 columns, packed so that the inner loop
//! reads them in one run. Weights are packed once per step and used by every shard. The `gemm` crate packs in every
//! call, some 12 % of the samples of a dense step. Bias and rectifier are applied to C before it leaves the registers.
//!
//! All share packing, checks and loops, because all sizes are in units of 32 bits ([`Unit`]): an f32, or two bf16 that
//! are neighbours in the sum ([`Pair`]). A [`Kernel`] multiplies them. Those of AVX-512 differ in one instruction;
//! AVX2 has two registers for one of theirs; [`Amx`] multiplies whole tiles. On other processors [`crate::kernels::product`] multiplies.
//!
//! Every element of C is one chain of sums in the order of the reduction, in any tile: the same bits however a
//! matrix is cut.

#[cfg_attr(all(target_arch = "x86_64", target_os = "linux"), path = "amx/mod.rs")]
#[cfg_attr(not(all(target_arch = "x86_64", target_os = "linux")), path = "no_amx.rs")]
pub(crate) mod amx;
mod bf16;
mod left;
mod panels;
#[cfg_attr(target_arch = "x86_64", path = "x86.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "other.rs")]
mod processor;

pub(crate) use bf16::{Pair, round_to_bf16};
pub(crate) use panels::Panels;
pub(crate) use processor::has_avx512;

use super::lines::LINE;
use super::{Lines, MatMut, MatRef};

/// Columns of a full panel: three AVX-512 registers of f32. Eight rows of it are 24 accumulators, which leaves room for
/// the panel's row and a broadcast in 32 registers, and 24 independent sums hide the latency of the addition.
pub(crate) const PANEL: usize = 48;

/// Lanes of a register.
pub(crate) const LANES: usize = 16;

/// Units of the reduction that are summed before C is left for the next strip, at the most; longer ones are cut into like
/// parts. A panel takes 150 KiB then, which a core's own cache has room for beside a block of A.
const DEPTH: usize = 800;

/// Units of A that all panels are multiplied with before the next ones. They take 512 KiB, half of the cache that a core
/// has for itself or less, so each of them comes from afar once. 256 rows of 512 units are as many.
const NEAR: usize = 1 << 17;

/// The kernel of bf16 that multiplies tiles of 16 rows by 16 units at once, where the processor has AMX.
#[derive(Debug)]
pub(crate) struct Amx;

/// What one broadcast and one lane of a panel hold.
pub(crate) trait Unit: Copy + Default + std::fmt::Debug + Send + Sync + 'static {
    /// Terms of the sum in a unit.
    const TERMS: usize;

    /// Fills a panel with `source`: terms of the sum by at most [`PANEL`] columns.
    fn pack_panel(panel: &mut [Self], source: MatRef<'_>);

    /// Turns a square over: what was at (i, j) is at (j, i).
    #[inline]
    fn turn(square: &mut [[Self; LANES]; LANES]) {
        const { assert!(size_of::<Self>() == 4) };
        if !processor::turn_square(square) {
            turn_plainly(square);
        }
    }
}

/// What multiplies. The kernels of vectors go by the name of their unit.
pub(crate) trait Kernel: Sized + 'static {
    type Unit: Unit;

    /// What a thread holds as long as it multiplies: only a processor that can has it. Dropping it gives it back, so it holds
    /// one at a time.
    type Held;

    /// The reduction is padded to a multiple of so many units, with zeros in either operand. Divides [`DEPTH`].
    const UNITS: usize = 1;

    /// Rows of C that one row of A is for: more than one come in squares ([`Kernel::left`]), all of whose rows are read.
    const BAND: usize = 1;

    /// Makes this thread ready for [`Kernel::strip`], if this processor can multiply so.
    fn hold() -> Option<Self::Held>;

    /// Whether this processor can.
    fn available() -> bool {
        Self::hold().is_some()
    }

    /// The left operand of `x`: rows of C by terms of the sum. What has to be copied is in `memory`.
    ///
    /// Where [`Kernel::BAND`] is 1, rows of C by units. Else a row of it holds 16 rows of C in squares of 16 units, one
    /// after another along the reduction; rows beyond those of C may hold anything.
    fn left<'a>(memory: &'a mut Lines<Self::Unit>, x: MatRef<'a>) -> MatRef<'a, Self::Unit>;

    /// Multiplies one strip.
    fn strip(held: &Self::Held, strip: Strip<'_, Self>);
}

/// What C becomes, beside `C = A B`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Finish<'a> {
    /// `C += A B`.
    pub(crate) add: bool,
    /// C goes past the caches, where its lines allow it.
    pub(crate) past: bool,
    /// Bias and lower bound of every column: `C = max(C + bias, bound)` in the end. A bound of minus infinity leaves it as it
    /// is, and NaN stays NaN.
    pub(crate) shift: Option<[&'a [f32]; 2]>,
}

/// Columns of one panel of C, over some units of the reduction. Shapes agree as [`Strip::new`] has seen.
#[derive(Debug)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "no kernel there reads it"))]
pub(crate) struct Strip<'a, K: Kernel> {
    /// At most [`PANEL`] columns.
    c: MatMut<'a>,
    /// [`Kernel::left`], for the rows of C and `depth` units.
    a: MatRef<'a, K::Unit>,
    /// Element (r, j) at `r * width + j`, with `width` the next multiple of [`LANES`].
    b: &'a [K::Unit],
    /// Units of the reduction, with those that pad it.
    depth: usize,
    /// Every register of C begins at a cache line if C goes past the caches. Bias and bound are as many as columns.
    finish: Finish<'a>,
}

impl<'a, K: Kernel> Strip<'a, K> {
    /// # Panics
    /// If shapes disagree, or A lies as K cannot read it: the plan is wrong then, never the data.
    fn new(mut c: MatMut<'a>, a: MatRef<'a, K::Unit>, b: &'a [K::Unit], mut finish: Finish<'a>) -> Self {
        let (rows, cols) = (c.rows(), c.cols());
        assert!((1..=PANEL).contains(&cols), "a strip of {cols} columns");
        let width = cols.next_multiple_of(LANES);
        let depth = b.len() / width;
        assert!(b.len() == depth * width && depth.is_multiple_of(K::UNITS), "a panel for another product");
        assert!(
            a.rows() == rows.div_ceil(K::BAND) && a.cols() == depth * K::BAND,
            "a left operand for another product"
        );
        assert!(a.col_stride() == 1 || K::BAND == 1, "squares that lie otherwise");
        if let Some([bias, floor]) = &mut finish.shift {
            (*bias, *floor) = (&bias[..cols], &floor[..cols]);
        }
        finish.past &= c.start().addr().is_multiple_of(LINE) && c.ld().is_multiple_of(LANES);
        Self { c, a, b, depth, finish }
    }
}

/// Multiplies A, which K has made ([`Kernel::left`]), with B into C.
///
/// # Panics
/// If shapes disagree, or B was packed for another kernel: the plan is wrong then, never the data. If the processor cannot.
pub(crate) fn multiply<K: Kernel>(mut c: MatMut<'_>, a: MatRef<'_, K::Unit>, b: &Panels<K::Unit>, finish: Finish<'_>) {
    const { assert!(DEPTH.is_multiple_of(K::UNITS) && (2 * LANES).is_multiple_of(K::BAND)) };
    let (depth, rows, cols) = (b.depth(), c.rows(), c.cols());
    assert_eq!(cols, b.cols(), "columns of a product");
    if rows == 0 || cols == 0 {
        return;
    }
    assert!(a.rows() == rows.div_ceil(K::BAND) && a.cols() == depth * K::BAND, "shapes of a product disagree");
    let Some(held) = K::hold() else { panic!("a product that this processor does not have") };
    // Of a sum's parts a short last one would cost C another round trip for little work.
    let most = depth.div_ceil(depth.div_ceil(DEPTH).max(1)).next_multiple_of(K::UNITS);
    let mut from = 0;
    loop {
        let units = from..depth.min(from + most);
        let last = units.end == depth;
        // A sum in parts is read again.
        let past = finish.past && from == 0 && last;
        let add = finish.add || from > 0;
        // Whole blocks of every kernel.
        let near = (NEAR / units.len().max(1)).next_multiple_of(2 * LANES);
        for first in (0..rows).step_by(near) {
            let rows = first..rows.min(first + near);
            let a = a.part(first / K::BAND..rows.end.div_ceil(K::BAND), units.start * K::BAND..units.end * K::BAND);
            for (p, start) in (0..cols).step_by(PANEL).enumerate() {
                let cols = start..cols.min(start + PANEL);
                let shift = finish.shift.filter(|_| last).map(|shift| shift.map(|x| &x[start..]));
                let c = c.part(rows.clone(), cols);
                K::strip(&held, Strip::new(c, a, b.panel(p, units.clone()), Finish { add, past, shift }));
            }
        }
        from = units.end;
        if last {
            return;
        }
    }
}

/// [`Unit::turn`] for any processor.
fn turn_plainly<U: Copy>(square: &mut [[U; LANES]; LANES]) {
    let old = *square;
    for (i, row) in square.iter_mut().enumerate() {
        for (j, unit) in row.iter_mut().enumerate() {
            *unit = old[j][i];
        }
    }
}

/// Whether tests may multiply by AMX: by the processor's, or by an emulator that runs the same machine code.
#[cfg(test)]
pub(crate) fn amx_here() -> bool {
    amx::has_amx() || pleiad_emulator::install()
}

#[cfg(test)]
mod tests;
