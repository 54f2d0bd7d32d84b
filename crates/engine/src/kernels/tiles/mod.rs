//! Our own matrix products where the processor has AVX-512: in f32, and in bf16 with f32 sums.
//!
//! `C = A B` with C and A as they lie in memory and B in [`Panels`]: strips of 48 columns, packed so that the inner
//! loop reads them in one run. Weights are packed once per step and used by every shard, which the `gemm` crate cannot
//! know: it packs in every call, some 12 % of the samples of a dense step. What happens to C right after the sum (bias,
//! rectifier) is done before it leaves the registers.
//!
//! Both precisions share everything but one instruction, because both are told in units of 32 bits ([`Unit`]): an f32,
//! or two bf16 that are neighbours in the sum ([`Pair`]). Elsewhere [`crate::kernels::product`] serves.
//!
//! Every element of C is one chain of sums in the order of the reduction, whatever tile it falls into: the same bits
//! however a matrix is cut.

mod panels;
#[cfg_attr(target_arch = "x86_64", path = "x86.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "other.rs")]
mod processor;

pub(crate) use panels::{Packed, Panels, Rounded, Source, round_to_bf16};

/// Columns of a full panel: three AVX-512 registers of f32. Eight rows of it are 24 accumulators, which leaves room for
/// the panel's row and a broadcast in 32 registers, and 24 independent sums hide the latency of the addition.
pub(crate) const PANEL: usize = 48;

/// Lanes of a register.
pub(crate) const LANES: usize = 16;

/// Bytes of a cache line on every processor that has AVX-512; also a register's.
const LINE: usize = 64;

/// Elements of a C that goes past the caches if it is not read again soon: it would not find all of its lines there, and
/// fetching a line only to overwrite it is half of the traffic.
const ASIDE: usize = 1 << 18;

/// Units of the reduction that are summed before C is left for the next strip. An operand of 256 rows then takes
/// 512 KiB, half of the cache that a core has for itself, and stays there for all panels.
const DEPTH: usize = 512;

/// Two bf16 that are neighbours in a sum; the earlier one in the lower half.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Pair(pub(crate) u32);

/// What one broadcast and one lane of a panel hold.
pub(crate) trait Unit: Copy + Default + Send + Sync + 'static {
    /// Terms of the sum in a unit.
    const TERMS: usize;

    /// Multiplies one strip.
    ///
    /// # Safety
    /// The processor has what the unit's kernels are compiled for ([`Unit::available`]), and every pointer of `strip`
    /// may be read, that of C written, within the bounds that its fields tell.
    unsafe fn strip(strip: &Strip<Self>);

    /// Whether this processor can.
    fn available() -> bool;

    /// Turns a square over: what was at (i, j) is at (j, i).
    fn turn(square: &mut [[Self; LANES]; LANES]);
}

/// Columns of one panel of C, over some units of the reduction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strip<U> {
    /// Rows of C.
    rows: usize,
    /// Columns of C, at most [`PANEL`].
    cols: usize,
    /// Units of the reduction.
    depth: usize,
    /// Element (i, r) at `i * a_row + r * a_step`; one of the two is 1.
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

/// The left operand: element (i, r) at `i * row + r * step`, where one of the two strides is 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left<'a, U> {
    pub(crate) data: &'a [U],
    pub(crate) row: usize,
    pub(crate) step: usize,
}

/// What C becomes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Finish<'a> {
    /// `C = A B`.
    Set,
    /// `C = A B`, which is not read again soon: where C is large it goes past the caches.
    SetAside,
    /// `C += A B`.
    Add,
    /// `C = max(A B + bias, floor)`, column by column; a lower bound of minus infinity leaves it as it is, and NaN stays
    /// NaN.
    Shift { bias: &'a [f32], floor: &'a [f32] },
}

impl<U: Unit> Panels<U> {
    /// Multiplies `rows` rows of A with all of B into C, whose row stride is `ldc`.
    ///
    /// # Panics
    /// If an operand is too short for its shape: the plan is wrong then, never the data. If the processor cannot.
    pub(crate) fn multiply(&self, c: &mut [f32], ldc: usize, rows: usize, a: Left<'_, U>, finish: Finish<'_>) {
        let (depth, cols) = (self.depth(), self.cols());
        if rows == 0 || cols == 0 {
            return;
        }
        assert!(U::available(), "a product that this processor does not have");
        assert!(a.row == 1 || a.step == 1, "the left operand has no unit stride");
        assert!(cols <= ldc && (rows - 1) * ldc + cols <= c.len(), "C leaves its slice");
        assert!(depth == 0 || (rows - 1) * a.row + (depth - 1) * a.step < a.data.len(), "A leaves its slice");
        if let Finish::Shift { bias, floor } = finish {
            assert!(bias.len() >= cols && floor.len() >= cols, "a bias or a bound for every column");
        }
        let whole = c.as_ptr().addr().is_multiple_of(LINE) && ldc.is_multiple_of(LANES);
        let past = whole && depth <= DEPTH && matches!(finish, Finish::SetAside) && rows * ldc >= ASIDE;
        let mut from = 0;
        loop {
            let units = (depth - from).min(DEPTH);
            let last = from + units == depth;
            for (p, start) in (0..cols).step_by(PANEL).enumerate() {
                let (bias, floor) = match finish {
                    Finish::Shift { bias, floor } if last => (bias[start..].as_ptr(), floor[start..].as_ptr()),
                    _ => (std::ptr::null(), std::ptr::null()),
                };
                let strip = Strip {
                    rows,
                    cols: (cols - start).min(PANEL),
                    depth: units,
                    a: a.data[(from * a.step).min(a.data.len())..].as_ptr(),
                    a_row: a.row,
                    a_step: a.step,
                    b: self.panel(p, from..from + units).as_ptr(),
                    c: c[start..].as_mut_ptr(),
                    ldc,
                    add: from > 0 || matches!(finish, Finish::Add),
                    past,
                    bias,
                    floor,
                };
                // SAFETY: the processor was asked. C, A, bias and bound were shown above to hold every index below
                // (rows, cols, depth); the panel's slice has `depth * width` units by its own bounds. C is borrowed alone.
                unsafe { U::strip(&strip) };
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(n: usize, seed: u32) -> Vec<f32> {
        let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 16) as f32 / 65536.0 - 0.5;
        (0..n).map(value).collect()
    }

    /// `x[i, r] w[r, j]` summed in f64, both as [`Source`]s.
    fn exact(x: Source<'_>, w: Source<'_>, i: usize, j: usize, rounds: bool) -> f64 {
        let at = |s: Source<'_>, r: usize, j: usize| {
            let x = s.data[r * s.row + j * s.col];
            f64::from(if rounds { round_to_bf16(x) } else { x })
        };
        (0..w.terms).map(|r| at(x, r, i) * at(w, r, j)).sum()
    }

    /// Every product of a linear layer in units of U: C's rows are the columns of `x`.
    fn check<U: Operand>(rows: usize, cols: usize, terms: usize, turned: [bool; 2], seed: u32) {
        if !U::available() {
            return;
        }
        let rounds = U::TERMS == 2;
        let lay = |along: usize, turned: bool, seed: u32| {
            let (ld, lines) = if turned { (terms + 3, along) } else { (along + 5, terms) };
            (values(ld * lines, seed), if turned { (1, ld) } else { (ld, 1) })
        };
        let (x, (x_row, x_col)) = lay(rows, turned[0], seed);
        let (w, (w_row, w_col)) = lay(cols, turned[1], seed ^ 77);
        let x = Source { data: &x, terms, cols: rows, row: x_row, col: x_col };
        let w = Source { data: &w, terms, cols, row: w_row, col: w_col };
        let mut panels = Panels::<U>::default();
        // Memory that was used before, for something larger.
        panels.pack(Source { data: &vec![f32::NAN; 4000], terms: 50, cols: 80, row: 80, col: 1 }, false);
        panels.pack(w, seed.is_multiple_of(2));
        let (ldc, old) = (cols + 2, 0.25);
        let (bias, floor) = (values(cols, 5), [0.0, f32::NEG_INFINITY].repeat(cols));
        for finish in [Finish::Set, Finish::SetAside, Finish::Add, Finish::Shift { bias: &bias, floor: &floor }] {
            let mut c = vec![old; rows * ldc];
            panels.multiply(&mut c, ldc, rows, U::left(&mut Rounded::default(), x), finish);
            for i in 0..rows {
                for j in 0..ldc {
                    let found = f64::from(c[i * ldc + j]);
                    if j >= cols {
                        assert_eq!(found, f64::from(old), "what is beyond the columns stays");
                        continue;
                    }
                    let sum = exact(x, w, i, j, rounds);
                    let expected = match finish {
                        Finish::Set | Finish::SetAside => sum,
                        Finish::Add => sum + f64::from(old),
                        Finish::Shift { .. } => (sum + f64::from(bias[j])).max(f64::from(floor[j])),
                    };
                    assert!((found - expected).abs() < 2e-5, "({i}, {j}): {found}, not {expected}");
                }
            }
        }
    }

    /// Makes a left operand of a source whose columns are to be C's rows.
    trait Operand: Packed {
        fn left<'a>(memory: &'a mut Rounded, x: Source<'a>) -> Left<'a, Self>;
    }

    impl Operand for f32 {
        fn left<'a>(_: &'a mut Rounded, x: Source<'a>) -> Left<'a, Self> {
            Left { data: x.data, row: x.col, step: x.row }
        }
    }

    impl Operand for Pair {
        fn left<'a>(memory: &'a mut Rounded, x: Source<'a>) -> Left<'a, Self> {
            if x.row == 1 {
                memory.along_rows(x.data, x.col, x.cols, x.terms);
            } else {
                memory.along_columns(x.data, x.row, x.terms, x.cols);
            }
            memory.left()
        }
    }

    proptest! {
        #[test]
        fn products_equal_their_definition(
            rows in 1usize..30, cols in 1usize..110, terms in 1usize..40, turned: [bool; 2], seed: u32,
        ) {
            check::<f32>(rows, cols, terms, turned, seed);
            check::<Pair>(rows, cols, terms, turned, seed);
        }
    }

    #[test]
    fn long_sums_are_cut_and_go_on() {
        for terms in [DEPTH, DEPTH + 1, 2 * DEPTH + 3] {
            check::<f32>(3, 50, terms, [true, false], 1);
            check::<Pair>(3, 50, 2 * terms, [true, false], 1);
        }
    }

    #[test]
    fn a_sum_does_not_depend_on_its_tile() {
        if !f32::available() {
            return;
        }
        let (rows, cols, terms) = (13, 70, 33);
        let (x, w) = (values(rows * terms, 1), values(terms * cols, 2));
        let product = |x: &[f32], w: Source<'_>, rows: usize| {
            let mut panels = Panels::<f32>::default();
            panels.pack(w, false);
            let mut c = vec![0.0; rows * w.cols];
            panels.multiply(&mut c, w.cols, rows, Left { data: x, row: terms, step: 1 }, Finish::Set);
            c
        };
        let all = product(&x, Source { data: &w, terms, cols, row: cols, col: 1 }, rows);
        for (i, j) in [(0, 0), (5, 17), (7, 47), (8, 48), (12, 69)] {
            let one = product(&x[i * terms..], Source { data: &w[j..], terms, cols: 1, row: cols, col: 1 }, 1);
            assert_eq!(one[0].to_bits(), all[i * cols + j].to_bits(), "({i}, {j})");
        }
    }

    #[test]
    fn what_goes_past_the_caches_arrives() {
        if !f32::available() {
            return;
        }
        let (rows, cols, terms) = (ASIDE / 512 + 3, 500, 7);
        let (x, w) = (values(rows * terms, 1), values(terms * cols, 2));
        let mut panels = Panels::<f32>::default();
        panels.pack(Source { data: &w, terms, cols, row: cols, col: 1 }, false);
        let product = |first: usize, finish: Finish<'_>| {
            let mut memory = vec![9.0; rows * 512 + 2 * LANES];
            let start = memory.as_ptr().align_offset(LINE) + first;
            let c = &mut memory[start..][..rows * 512];
            panels.multiply(c, 512, rows, Left { data: &x, row: terms, step: 1 }, finish);
            c.to_vec()
        };
        let expected = product(0, Finish::Set);
        assert!(expected[500..512].iter().all(|&c| c == 9.0));
        assert_eq!(product(0, Finish::SetAside), expected);
        // From elsewhere in a line it takes the usual way.
        assert_eq!(product(1, Finish::SetAside), expected);
    }

    #[test]
    fn nan_passes_the_rectifier_and_minus_infinity_does_not() {
        if !f32::available() {
            return;
        }
        let mut panels = Panels::<f32>::default();
        panels.pack(Source { data: &[f32::NAN, f32::NEG_INFINITY, -1.0], terms: 1, cols: 3, row: 3, col: 1 }, false);
        let mut c = [9.0; 3];
        let finish = Finish::Shift { bias: &[0.0; 3], floor: &[0.0; 3] };
        panels.multiply(&mut c, 3, 1, Left { data: &[1.0], row: 1, step: 1 }, finish);
        assert!(c[0].is_nan());
        assert_eq!(c[1..], [0.0, 0.0]);
    }

    #[test]
    fn turning_twice_changes_nothing_and_once_exchanges() {
        let square: [[f32; LANES]; LANES] = std::array::from_fn(|i| std::array::from_fn(|j| (i * LANES + j) as f32));
        let mut turned = square;
        f32::turn(&mut turned);
        let mut plainly = square;
        turn_plainly(&mut plainly);
        assert_eq!(turned, plainly);
        assert_eq!(turned[3][11], square[11][3]);
        f32::turn(&mut turned);
        assert_eq!(turned, square);
    }

    #[test]
    fn operands_that_are_too_short_are_refused() {
        if !f32::available() {
            return;
        }
        let mut panels = Panels::<f32>::default();
        panels.pack(Source { data: &[1.0; 6], terms: 2, cols: 3, row: 3, col: 1 }, false);
        let refused = |c: usize, a: usize| {
            let product = || {
                let left = Left { data: &vec![1.0; a], row: 2, step: 1 };
                panels.multiply(&mut vec![0.0; c], 3, 2, left, Finish::Set);
            };
            std::panic::catch_unwind(product).is_err()
        };
        assert_eq!([(6, 4), (5, 4), (6, 3)].map(|(c, a)| refused(c, a)), [false, true, true]);
    }
}
