//! Our own matrix products where the processor has AVX-512: in f32, and in bf16 with f32 sums, by AVX512-BF16 or AMX.
//!
//! `C = A B` with C and A in their own layout and B in [`Panels`]: strips of 48 columns, packed so that the inner loop
//! reads them in one run. Weights are packed once per step and used by every shard. The `gemm` crate packs in every
//! call, some 12 % of the samples of a dense step. Bias and rectifier are applied to C before it leaves the registers.
//!
//! All share packing, checks and loops, because all sizes are in units of 32 bits ([`Unit`]): an f32, or two bf16 that
//! are neighbours in the sum ([`Pair`]). A [`Kernel`] multiplies them. Those of AVX-512 differ in one instruction;
//! [`Amx`] multiplies whole tiles. On other processors [`crate::kernels::product`] multiplies.
//!
//! Every element of C is one chain of sums in the order of the reduction, in any tile: the same bits however a
//! matrix is cut.

#[cfg_attr(all(target_arch = "x86_64", target_os = "linux"), path = "amx/mod.rs")]
#[cfg_attr(not(all(target_arch = "x86_64", target_os = "linux")), path = "no_amx.rs")]
pub(crate) mod amx;
mod left;
mod panels;
#[cfg_attr(target_arch = "x86_64", path = "x86.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "other.rs")]
mod processor;

pub(crate) use left::{Left, Operand};
pub(crate) use panels::{Panels, Source, round_to_bf16};

use super::lines::LINE;

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

/// Two bf16 that are neighbours in a sum; the earlier one in the lower half.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Pair(pub(crate) u32);

/// The kernel of bf16 that multiplies tiles of 16 rows by 16 units at once, where the processor has AMX.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Amx;

/// What one broadcast and one lane of a panel hold.
pub(crate) trait Unit: Copy + Default + std::fmt::Debug + Send + Sync + 'static {
    /// Terms of the sum in a unit.
    const TERMS: usize;

    /// Fills a panel with `source`, at most [`PANEL`] columns of it.
    fn pack_panel(panel: &mut [Self], source: Source<'_>);

    /// Turns a square over: what was at (i, j) is at (j, i).
    #[inline]
    fn turn(square: &mut [[Self; LANES]; LANES]) {
        const { assert!(size_of::<Self>() == 4) };
        if !processor::turn_square(square) {
            turn_plainly(square);
        }
    }
}

/// What multiplies. The kernels of AVX-512 go by the name of their unit, of which each has one.
pub(crate) trait Kernel: Clone + Default + std::fmt::Debug + 'static {
    type Unit: Unit;

    /// What a thread holds as long as it multiplies strips of one product; dropping it gives it back.
    type Held;

    /// The reduction is padded to a multiple of so many units, with zeros in either operand. Divides [`DEPTH`].
    const UNITS: usize = 1;

    /// Whether A comes in squares ([`Left`]), all of whose rows are read: those beyond C's may hold anything.
    const SQUARES: bool = false;

    /// Whether this processor can.
    fn available() -> bool;

    /// Makes the thread ready for [`Kernel::strip`].
    ///
    /// # Safety
    /// The processor can ([`Kernel::available`]).
    unsafe fn hold() -> Self::Held;

    /// Multiplies one strip.
    ///
    /// # Safety
    /// The processor can ([`Kernel::available`]), this thread holds what [`Kernel::hold`] gave, `strip` keeps to
    /// [`Kernel::UNITS`] and [`Kernel::SQUARES`], and its pointers may be read, that of C written, within the bounds
    /// that its fields describe; that of A in whole squares, if it comes in them.
    unsafe fn strip(strip: &Strip<Self::Unit>);
}

/// Columns of one panel of C, over some units of the reduction.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "no kernel there reads it"))]
pub(crate) struct Strip<U> {
    /// Rows of C.
    rows: usize,
    /// Columns of C, at most [`PANEL`].
    cols: usize,
    /// Units of the reduction, with those that pad it.
    depth: usize,
    /// Element (i, r) at `i * a_row + r * a_step`, and one of the two is 1; or the square from there on.
    a: *const U,
    a_row: usize,
    a_step: usize,
    /// Element (r, j) at `r * width + j`, with `width` the next multiple of [`LANES`].
    b: *const U,
    /// Element (i, j) at `i * ldc + j`.
    c: *mut f32,
    ldc: usize,
    /// Whether the sum starts with what C holds.
    add: bool,
    /// Whether C goes past the caches; every register of it begins at a cache line then.
    past: bool,
    /// Bias and lower bound of `cols` columns, or null.
    bias: *const f32,
    floor: *const f32,
}

/// What C becomes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Finish<'a> {
    /// `C = A B`.
    Set,
    /// `C = A B`, which goes past the caches where C's lines allow it.
    SetAside,
    /// `C += A B`.
    Add,
    /// `C = max(A B + bias, floor)`, column by column; a lower bound of minus infinity leaves it as it is, and NaN stays
    /// NaN. Where `onto`, A B is added to C first.
    Shift { bias: &'a [f32], floor: &'a [f32], onto: bool },
}

impl<K: Kernel> Panels<K> {
    /// Multiplies `rows` rows of A with all of B into C, whose row stride is `ldc`.
    ///
    /// # Panics
    /// If an operand is too short for its shape: the plan is wrong then, never the data. If the processor cannot.
    pub(crate) fn multiply(&self, c: &mut [f32], ldc: usize, rows: usize, a: Left<'_, K::Unit>, finish: Finish<'_>) {
        const { assert!(DEPTH.is_multiple_of(K::UNITS)) };
        let (depth, cols) = (self.depth(), self.cols());
        if rows == 0 || cols == 0 {
            return;
        }
        assert!(K::available(), "a product that this processor does not have");
        assert!(cols <= ldc && (rows - 1) * ldc + cols <= c.len(), "C leaves its slice");
        assert!(a.holds::<K>(rows, depth), "the left operand leaves its slice, or lies as this kernel cannot read it");
        if let Finish::Shift { bias, floor, .. } = finish {
            assert!(bias.len() >= cols && floor.len() >= cols, "a bias or a bound for every column");
        }
        let whole = c.as_ptr().addr().is_multiple_of(LINE) && ldc.is_multiple_of(LANES);
        let past = whole && depth <= DEPTH && matches!(finish, Finish::SetAside);
        // SAFETY: the processor was asked.
        let _held = unsafe { K::hold() };
        // Of a sum's parts a short last one would cost C another round trip for little work.
        let most = depth.div_ceil(depth.div_ceil(DEPTH).max(1)).next_multiple_of(K::UNITS);
        let mut from = 0;
        loop {
            let units = (depth - from).min(most);
            let last = from + units == depth;
            // Whole blocks of every kernel.
            let near = (NEAR / units.max(1)).next_multiple_of(2 * LANES);
            let panels = 0..cols.div_ceil(PANEL);
            for (first, p) in (0..rows).step_by(near).flat_map(|first| panels.clone().map(move |p| (first, p))) {
                let start = p * PANEL;
                let (bias, floor) = match finish {
                    Finish::Shift { bias, floor, .. } if last => (bias[start..].as_ptr(), floor[start..].as_ptr()),
                    _ => (std::ptr::null(), std::ptr::null()),
                };
                let strip = Strip {
                    rows: (rows - first).min(near),
                    cols: (cols - start).min(PANEL),
                    depth: units,
                    a: a.data[(first * a.row + from * a.step).min(a.data.len())..].as_ptr(),
                    a_row: a.row,
                    a_step: a.step,
                    b: self.panel(p, from..from + units).as_ptr(),
                    c: c[first * ldc + start..].as_mut_ptr(),
                    ldc,
                    add: from > 0 || matches!(finish, Finish::Add | Finish::Shift { onto: true, .. }),
                    past,
                    bias,
                    floor,
                };
                // SAFETY: the processor was asked, and what it needs is held. C, A, bias and bound were shown above to hold
                // every index below (rows, cols, depth), A the rows beyond, too; the panel's slice has `depth * width`
                // units by its own bounds. A's strides were looked at, and panels are padded as the kernel wants it, as
                // are all parts of them: `most` is a multiple of that. C is borrowed alone.
                unsafe { K::strip(&strip) };
            }
            from += units;
            if last {
                return;
            }
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
