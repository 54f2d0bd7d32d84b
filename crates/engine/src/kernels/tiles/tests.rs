//! Products by every kernel that the processor has, and AMX where it has to be emulated.

use proptest::prelude::*;

use super::*;
use crate::kernels::Lines;

fn values(n: usize, seed: u32) -> Vec<f32> {
    let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 16) as f32 / 65536.0 - 0.5;
    (0..n).map(value).collect()
}

/// `x[i, r] w[r, j]` summed in f64.
fn exact(x: MatRef<'_>, w: MatRef<'_>, i: usize, j: usize, rounds: bool) -> f64 {
    let of = |x: f32| f64::from(if rounds { round_to_bf16(x) } else { x });
    (0..w.rows()).map(|r| of(*x.at(i, r)) * of(*w.at(r, j))).sum()
}

/// Whether this processor can, or can be made to.
fn here<K: Kernel>() -> bool {
    amx_here();
    K::available()
}

/// Every product of a linear layer by K, of operands that lie as they are or turned.
fn check<K: Kernel>(rows: usize, cols: usize, terms: usize, turned: [bool; 2], seed: u32) {
    if !here::<K>() {
        return;
    }
    let rounds = K::Unit::TERMS == 2;
    let (x, w) = (values((rows + 5) * (terms + 5), seed), values((cols + 5) * (terms + 5), seed ^ 77));
    let x = match turned[0] {
        true => MatRef::new(&x, rows, terms, terms + 3),
        false => MatRef::new(&x, terms, rows, rows + 5).transposed(),
    };
    let w = match turned[1] {
        true => MatRef::new(&w, cols, terms, terms + 3).transposed(),
        false => MatRef::new(&w, terms, cols, cols + 5),
    };
    let (mut panels, mut memory) = (Panels::default(), Lines::default());
    // Memory that was used before, for something larger.
    let nan = vec![f32::NAN; 4000];
    K::left(&mut memory, MatRef::new(&nan, 80, 50, 50));
    panels.pack::<K>(MatRef::new(&nan, 50, 80, 80), false);
    panels.pack::<K>(w, seed.is_multiple_of(2));
    let (ldc, old) = (cols + 2, 0.25);
    let (bias, floor) = (values(cols, 5), [0.0, f32::NEG_INFINITY].repeat(cols));
    let shift = Some([&bias[..], &floor[..]]);
    for (add, past, shift) in
        [(false, false, None), (false, true, None), (true, false, None), (false, false, shift), (true, false, shift)]
    {
        let mut c = vec![old; rows * ldc];
        let finish = Finish { add, past, shift };
        multiply::<K>(MatMut::new(&mut c, rows, cols, ldc), K::left(&mut memory, x), &panels, finish);
        for i in 0..rows {
            for j in 0..ldc {
                let found = f64::from(c[i * ldc + j]);
                if j >= cols {
                    assert_eq!(found, f64::from(old), "what is beyond the columns stays");
                    continue;
                }
                let sum = exact(x, w, i, j, rounds) + if add { f64::from(old) } else { 0.0 };
                let expected = if shift.is_some() { (sum + f64::from(bias[j])).max(f64::from(floor[j])) } else { sum };
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

const SET: Finish<'_> = Finish { add: false, past: false, shift: None };

/// `x w` by K.
fn product<K: Kernel>(x: MatRef<'_>, w: MatRef<'_>, finish: Finish<'_>, c: MatMut<'_>) {
    let (mut panels, mut memory) = (Panels::default(), Lines::default());
    panels.pack::<K>(w, false);
    multiply::<K>(c, K::left(&mut memory, x), &panels, finish);
}

fn a_sum_does_not_depend_on_its_tile<K: Kernel>() {
    if !here::<K>() {
        return;
    }
    let (rows, cols, terms) = (45, 70, 133);
    let (x, w) = (values(rows * terms, 1), values(terms * cols, 2));
    let (x, w) = (MatRef::new(&x, rows, terms, terms), MatRef::new(&w, terms, cols, cols));
    let mut all = vec![0.0; rows * cols];
    product::<K>(x, w, SET, MatMut::new(&mut all, rows, cols, cols));
    for (i, j) in [(0, 0), (5, 17), (7, 47), (16, 48), (31, 16), (44, 69)] {
        let mut one = [0.0];
        product::<K>(x.part(i..i + 1, 0..terms), w.columns(j..j + 1), SET, MatMut::new(&mut one, 1, 1, 1));
        assert_eq!(one[0].to_bits(), all[i * cols + j].to_bits(), "({i}, {j})");
    }
    // However the rows of C are cut, and where the sum goes on from what is there.
    let mut cut = vec![0.0; rows * cols];
    for i in (0..rows).step_by(20) {
        let part = i..rows.min(i + 20);
        let c = MatMut::new(&mut cut[i * cols..], part.len(), cols, cols);
        product::<K>(x.part(part, 0..terms), w, Finish { add: true, ..SET }, c);
    }
    assert_eq!(cut, all);
}

#[test]
fn sums_do_not_depend_on_their_tiles() {
    a_sum_does_not_depend_on_its_tile::<f32>();
    a_sum_does_not_depend_on_its_tile::<Pair>();
    a_sum_does_not_depend_on_its_tile::<Amx>();
}

fn what_goes_past_the_caches_arrives_by<K: Kernel>() {
    if !here::<K>() {
        return;
    }
    let (rows, cols, terms) = (67, 500, 7);
    let (x, w) = (values(rows * terms, 1), values(terms * cols, 2));
    let (x, w) = (MatRef::new(&x, rows, terms, terms), MatRef::new(&w, terms, cols, cols));
    let product = |first: usize, past: bool| {
        let mut memory = vec![9.0; rows * 512 + 2 * LANES];
        let start = memory.as_ptr().align_offset(LINE) + first;
        let c = &mut memory[start..][..rows * 512];
        product::<K>(x, w, Finish { past, ..SET }, MatMut::new(c, rows, cols, 512));
        c.to_vec()
    };
    let expected = product(0, false);
    assert!(expected[500..512].iter().all(|&c| c == 9.0));
    assert_eq!(product(0, true), expected);
    // From elsewhere in a line it takes the usual way.
    assert_eq!(product(1, true), expected);
}

#[test]
fn what_goes_past_the_caches_arrives() {
    what_goes_past_the_caches_arrives_by::<f32>();
    what_goes_past_the_caches_arrives_by::<Pair>();
    what_goes_past_the_caches_arrives_by::<Amx>();
}

fn nan_passes_the_rectifier_of<K: Kernel>() {
    if !here::<K>() {
        return;
    }
    let w = [f32::NAN, f32::NEG_INFINITY, -1.0];
    let mut c = [9.0; 3];
    let finish = Finish { shift: Some([&[0.0; 3], &[0.0; 3]]), ..SET };
    product::<K>(MatRef::new(&[1.0], 1, 1, 1), MatRef::new(&w, 1, 3, 3), finish, MatMut::new(&mut c, 1, 3, 3));
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
    fn check<K: Kernel>() {
        if !here::<K>() {
            return;
        }
        let mut c = [9.0; 6];
        let finish = Finish { shift: Some([&[-1.0, 2.0], &[0.0; 2]]), ..SET };
        product::<K>(MatRef::new(&[], 2, 0, 1), MatRef::new(&[], 0, 2, 2), finish, MatMut::new(&mut c, 2, 2, 3));
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

/// Whether a product of two rows by three columns over two terms is refused if its left operand is `a`.
fn refused<K: Kernel>(a: MatRef<'_, K::Unit>) -> bool {
    let mut panels = Panels::default();
    panels.pack::<K>(MatRef::new(&[1.0; 6], 2, 3, 3), false);
    let product = || multiply::<K>(MatMut::new(&mut [0.0; 6], 2, 3, 3), a, &panels, SET);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(product)).is_err()
}

#[test]
fn operands_of_another_shape_are_refused() {
    if here::<f32>() {
        let a = MatRef::new(&[0.0f32; 20], 2, 2, 3);
        assert!(!refused::<f32>(a) && !refused::<f32>(a.transposed()));
        assert!(refused::<f32>(a.columns(0..1)) && refused::<f32>(a.part(0..1, 0..2)));
    }
    if here::<Amx>() {
        // A square is read, whatever the rows.
        let a = [Pair::default(); 2 * LANES * LANES];
        assert!(!refused::<Amx>(MatRef::new(&a, 1, LANES * LANES, LANES * LANES)));
        assert!(refused::<Amx>(MatRef::new(&a, 2, LANES, LANES)), "rows as they are");
        assert!(refused::<Amx>(MatRef::new(&a, LANES * LANES, 1, 1).transposed().part(0..1, 0..LANES)), "no square");
    }
}

/// The bits of one chain of fused sums, which those of AVX-512 are, too: a product does not depend on the processor's vectors.
#[cfg(target_arch = "x86_64")]
#[test]
fn vectors_of_any_width_give_the_bits_of_one_chain() {
    use super::processor::Avx2;

    if !here::<Avx2>() {
        return;
    }
    for (rows, cols, terms, add) in [(1, 1, 3, false), (13, 47, 70, true), (31, 100, 2 * DEPTH + 3, false)] {
        let (x, w) = (values(rows * terms, 1), values(terms * cols, 2));
        let (bias, floor) = (values(cols, 5), vec![0.0; cols]);
        let finish = Finish { add, shift: Some([&bias, &floor]), past: false };
        for turned in [false, true] {
            let x = match turned {
                true => MatRef::new(&x, terms, rows, rows).transposed(),
                false => MatRef::new(&x, rows, terms, terms),
            };
            let w = MatRef::new(&w, terms, cols, cols);
            let chain = |i: usize, j: usize| {
                let start = if add { 0.25 } else { 0.0 };
                let sum = (0..terms).fold(start, |sum, r| x.at(i, r).mul_add(*w.at(r, j), sum));
                (sum + bias[j]).max(floor[j])
            };
            let one: Vec<f32> = (0..rows * cols).map(|at| chain(at / cols, at % cols)).collect();
            let (mut wide, mut narrow) = (vec![0.25; rows * cols], vec![0.25; rows * cols]);
            product::<f32>(x, w, finish, MatMut::new(&mut wide, rows, cols, cols));
            product::<Avx2>(x, w, finish, MatMut::new(&mut narrow, rows, cols, cols));
            assert_eq!(wide, one);
            assert_eq!(narrow, one);
        }
    }
    a_sum_does_not_depend_on_its_tile::<Avx2>();
    what_goes_past_the_caches_arrives_by::<Avx2>();
    nan_passes_the_rectifier_of::<Avx2>();
}
