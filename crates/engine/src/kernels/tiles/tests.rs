//! Products by every kernel that the processor has, and AMX where it has to be emulated.

use proptest::prelude::*;

use super::*;
use crate::kernels::Lines;

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

/// Whether this processor can, or can be made to.
fn here<K: Kernel>() -> bool {
    amx_here();
    K::available()
}

/// K's left operand of a matrix whose columns are to be C's rows.
fn left<'a, K: Operand>(memory: &'a mut Lines<Pair>, x: Source<'a>) -> Left<'a, K::Unit> {
    if x.row == 1 {
        K::along_rows(memory, x.data, x.col, x.cols, x.terms)
    } else {
        K::along_columns(memory, x.data, x.row, x.terms, x.cols)
    }
}

/// Every product of a linear layer by K: C's rows are the columns of `x`.
fn check<K: Operand>(rows: usize, cols: usize, terms: usize, turned: [bool; 2], seed: u32) {
    if !here::<K>() {
        return;
    }
    let rounds = K::Unit::TERMS == 2;
    let lay = |along: usize, turned: bool, seed: u32| {
        let (ld, lines) = if turned { (terms + 3, along) } else { (along + 5, terms) };
        (values(ld * lines, seed), if turned { (1, ld) } else { (ld, 1) })
    };
    let (x, (x_row, x_col)) = lay(rows, turned[0], seed);
    let (w, (w_row, w_col)) = lay(cols, turned[1], seed ^ 77);
    let x = Source { data: &x, terms, cols: rows, row: x_row, col: x_col };
    let w = Source { data: &w, terms, cols, row: w_row, col: w_col };
    let mut panels = Panels::<K>::default();
    let mut memory = Lines::default();
    // Memory that was used before, for something larger.
    left::<K>(&mut memory, Source { data: &vec![f32::NAN; 4000], terms: 50, cols: 80, row: 80, col: 1 });
    panels.pack(Source { data: &vec![f32::NAN; 4000], terms: 50, cols: 80, row: 80, col: 1 }, false);
    panels.pack(w, seed.is_multiple_of(2));
    let (ldc, old) = (cols + 2, 0.25);
    let (bias, floor) = (values(cols, 5), [0.0, f32::NEG_INFINITY].repeat(cols));
    let shift = |onto| Finish::Shift { bias: &bias, floor: &floor, onto };
    for finish in [Finish::Set, Finish::SetAside, Finish::Add, shift(false), shift(true)] {
        let mut c = vec![old; rows * ldc];
        panels.multiply(&mut c, ldc, rows, left::<K>(&mut memory, x), finish);
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
                    Finish::Shift { onto, .. } => {
                        let sum = if onto { sum + f64::from(old) } else { sum };
                        (sum + f64::from(bias[j])).max(f64::from(floor[j]))
                    }
                };
                assert!((found - expected).abs() < 2e-5, "({i}, {j}): {found}, not {expected}");
            }
        }
    }
}

proptest! {
    #[test]
    fn products_equal_their_definition(
        rows in 1usize..30, cols in 1usize..110, terms in 1usize..40, turned: [bool; 2], seed: u32,
    ) {
        check::<f32>(rows, cols, terms, turned, seed);
        check::<Pair>(rows, cols, terms, turned, seed);
        check::<Amx>(2 * rows, cols, 2 * terms, turned, seed);
    }
}

#[test]
fn long_sums_are_cut_and_go_on() {
    for terms in [DEPTH, DEPTH + 1, 2 * DEPTH + 3] {
        check::<f32>(3, 50, terms, [true, false], 1);
        check::<Pair>(3, 50, 2 * terms, [true, false], 1);
        check::<Amx>(3, 50, 2 * terms, [true, false], 1);
        check::<Amx>(33, 50, 2 * terms, [false, true], 1);
    }
}

/// `x w` for `x` [rows, terms], by K.
fn product<K: Operand>(x: &[f32], w: Source<'_>, rows: usize, ldc: usize, finish: Finish<'_>, c: &mut [f32]) {
    let mut panels = Panels::<K>::default();
    panels.pack(w, false);
    let mut memory = Lines::default();
    panels.multiply(c, ldc, rows, K::along_rows(&mut memory, x, w.terms.max(1), rows, w.terms), finish);
}

fn a_sum_does_not_depend_on_its_tile<K: Operand>() {
    if !here::<K>() {
        return;
    }
    let (rows, cols, terms) = (45, 70, 133);
    let (x, w) = (values(rows * terms, 1), values(terms * cols, 2));
    let source = |first: usize, cols| Source { data: &w[first..], terms, cols, row: 70, col: 1 };
    let mut all = vec![0.0; rows * cols];
    product::<K>(&x, source(0, cols), rows, cols, Finish::Set, &mut all);
    for (i, j) in [(0, 0), (5, 17), (7, 47), (16, 48), (31, 16), (44, 69)] {
        let mut one = [0.0];
        product::<K>(&x[i * terms..], source(j, 1), 1, 1, Finish::Set, &mut one);
        assert_eq!(one[0].to_bits(), all[i * cols + j].to_bits(), "({i}, {j})");
    }
    // However the rows of C are cut, and where the sum goes on from what is there.
    let mut cut = vec![0.0; rows * cols];
    for i in (0..rows).step_by(20) {
        product::<K>(&x[i * terms..], source(0, cols), 20.min(rows - i), cols, Finish::Add, &mut cut[i * cols..]);
    }
    assert_eq!(cut, all);
}

#[test]
fn sums_do_not_depend_on_their_tiles() {
    a_sum_does_not_depend_on_its_tile::<f32>();
    a_sum_does_not_depend_on_its_tile::<Pair>();
    a_sum_does_not_depend_on_its_tile::<Amx>();
}

fn what_goes_past_the_caches_arrives_by<K: Operand>() {
    if !here::<K>() {
        return;
    }
    let (rows, cols, terms) = (67, 500, 7);
    let (x, w) = (values(rows * terms, 1), values(terms * cols, 2));
    let product = |first: usize, finish: Finish<'_>| {
        let mut memory = vec![9.0; rows * 512 + 2 * LANES];
        let start = memory.as_ptr().align_offset(LINE) + first;
        let c = &mut memory[start..][..rows * 512];
        product::<K>(&x, Source { data: &w, terms, cols, row: cols, col: 1 }, rows, 512, finish, c);
        c.to_vec()
    };
    let expected = product(0, Finish::Set);
    assert!(expected[500..512].iter().all(|&c| c == 9.0));
    assert_eq!(product(0, Finish::SetAside), expected);
    // From elsewhere in a line it takes the usual way.
    assert_eq!(product(1, Finish::SetAside), expected);
}

#[test]
fn what_goes_past_the_caches_arrives() {
    what_goes_past_the_caches_arrives_by::<f32>();
    what_goes_past_the_caches_arrives_by::<Pair>();
    what_goes_past_the_caches_arrives_by::<Amx>();
}

fn nan_passes_the_rectifier_of<K: Operand>() {
    if !here::<K>() {
        return;
    }
    let w = [f32::NAN, f32::NEG_INFINITY, -1.0];
    let mut c = [9.0; 3];
    let finish = Finish::Shift { bias: &[0.0; 3], floor: &[0.0; 3], onto: false };
    product::<K>(&[1.0], Source { data: &w, terms: 1, cols: 3, row: 3, col: 1 }, 1, 3, finish, &mut c);
    assert!(c[0].is_nan());
    assert_eq!(c[1..], [0.0, 0.0]);
}

#[test]
fn nan_passes_the_rectifier_and_minus_infinity_does_not() {
    nan_passes_the_rectifier_of::<f32>();
    nan_passes_the_rectifier_of::<Pair>();
    nan_passes_the_rectifier_of::<Amx>();
}

#[test]
fn a_sum_of_nothing_is_the_bias() {
    fn check<K: Operand>() {
        if !here::<K>() {
            return;
        }
        let mut c = [9.0; 6];
        let finish = Finish::Shift { bias: &[-1.0, 2.0], floor: &[0.0; 2], onto: false };
        product::<K>(&[], Source { data: &[], terms: 0, cols: 2, row: 2, col: 1 }, 2, 3, finish, &mut c);
        assert_eq!(c, [0.0, 2.0, 9.0, 0.0, 2.0, 9.0]);
    }
    check::<f32>();
    check::<Pair>();
    check::<Amx>();
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

/// Whether two rows of three columns, over as many units as a kernel of K pads to, are refused with memory as long.
fn refused<K: Kernel>(c: usize, a: usize, row: usize, step: usize) -> bool {
    let mut panels = Panels::<K>::default();
    panels.pack(Source { data: &[1.0; 6], terms: 2, cols: 3, row: 3, col: 1 }, false);
    let product = || {
        let left = Left { data: &vec![K::Unit::default(); a], row, step };
        panels.multiply(&mut vec![0.0; c], 3, 2, left, Finish::Set);
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(product)).is_err()
}

#[test]
fn operands_that_are_too_short_are_refused() {
    if here::<f32>() {
        assert_eq!([(6, 4), (5, 4), (6, 3)].map(|(c, a)| refused::<f32>(c, a, 2, 1)), [false, true, true]);
    }
    if here::<Amx>() {
        // A square is read, whose rows are next to one another.
        let a = LANES * LANES;
        assert_eq!([(6, a), (5, a), (6, a - 1)].map(|(c, a)| refused::<Amx>(c, a, LANES, LANES)), [false, true, true]);
        assert!(refused::<Amx>(6, 1000, LANES, 1), "rows as they are");
        assert!(refused::<Amx>(6, 1000, 1, LANES), "rows shorter than the reduction");
    }
}
