//! f32 rounded to bf16, and pairs of them.

use super::{LANES, Unit, processor};
use crate::kernels::MatRef;

/// Two bf16 that are neighbours in a sum; the earlier one in the lower half.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Pair(pub(crate) u32);

impl Pair {
    /// Two numbers, rounded to the nearest bf16.
    #[inline(always)]
    fn of(earlier: f32, later: f32) -> Self {
        Self(rounded(earlier) | rounded(later) << 16)
    }
}

/// The bf16 that is nearest to x, ties to even; NaN stays NaN.
#[inline(always)]
fn rounded(x: f32) -> u32 {
    let bits = x.to_bits();
    let nearest = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16;
    if x.is_nan() { bits >> 16 | 0x40 } else { nearest }
}

/// The bf16 nearest to x, as f32.
#[inline(always)]
pub(crate) fn round_to_bf16(x: f32) -> f32 {
    f32::from_bits(rounded(x) << 16)
}

/// Neighbours of a run as pairs; zero stands for the one that an odd run lacks.
#[inline(always)]
pub(super) fn pair_neighbours(run: &[f32], out: &mut [Pair]) {
    let done = processor::pair_runs(run, out, LANES);
    let (whole, rest) = run[done..].as_chunks::<2>();
    let out = &mut out[done / 2..];
    out.iter_mut().zip(whole).for_each(|(y, &[a, b])| *y = Pair::of(a, b));
    if let [last] = rest {
        out[whole.len()] = Pair::of(*last, 0.0);
    }
}

/// Neighbours of a run as pairs, of which every sixteen begin `stride` after those before. The run fills them.
#[inline(always)]
pub(super) fn pair_runs(run: &[f32], out: &mut [Pair], stride: usize) {
    let done = processor::pair_runs(run, out, stride);
    let out = out.chunks_mut(stride).skip(done / (2 * LANES));
    run[done..].chunks(2 * LANES).zip(out).for_each(|(run, out)| pair_neighbours(run, &mut out[..LANES]));
}

/// 32 rows of 16 columns, whose neighbours within a column become pairs, turned over: a column each.
#[inline(always)]
pub(super) fn turn_pairs(square: &mut [[Pair; LANES]; LANES], x: MatRef<'_>) {
    assert_eq!((x.rows(), x.cols()), (2 * LANES, LANES), "no square of pairs");
    if !processor::turn_pairs(square, x) {
        square.iter_mut().enumerate().for_each(|(r, side)| pair_rows(side, x, 2 * r));
        Pair::turn(square);
    }
}

/// Row `first` and the next, column by column; zero stands for a row that is not there.
#[inline(always)]
pub(super) fn pair_rows(out: &mut [Pair], x: MatRef<'_>, first: usize) {
    let earlier = x.row(first);
    if first + 1 < x.rows() {
        let later = x.row(first + 1);
        let done = processor::pair_rows(earlier, later, out);
        let rest = out.iter_mut().zip(earlier).zip(later).skip(done);
        rest.for_each(|((y, &a), &b)| *y = Pair::of(a, b));
    } else {
        out.iter_mut().zip(earlier).for_each(|(y, &a)| *y = Pair::of(a, 0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instruction_rounds_as_we_do() {
        // Every normal upper half, with lower halves around the tie.
        for lower in [0u32, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF] {
            let upper = (0..=0xFFFFu32).filter(|upper| (0x80..0x7F80).contains(&(upper & 0x7FFF)));
            let values: Vec<f32> = upper.map(|upper| f32::from_bits(upper << 16 | lower)).collect();
            let (odd, even) = (&values[1..], &values[..values.len() - 1]);
            let (mut found, mut rows) = (vec![Pair::default(); values.len() / 2], vec![Pair::default(); odd.len()]);
            pair_neighbours(&values, &mut found);
            for (pair, x) in found.iter().zip(values.chunks(2)) {
                assert_eq!(*pair, Pair::of(x[0], x[1]));
            }
            let mut matrix = even.to_vec();
            matrix.extend_from_slice(odd);
            pair_rows(&mut rows, MatRef::new(&matrix, 2, odd.len(), odd.len()), 0);
            for (pair, (&a, &b)) in rows.iter().zip(even.iter().zip(odd)) {
                assert_eq!(*pair, Pair::of(a, b));
            }
        }
        let mut found = [Pair::default(); 16];
        pair_neighbours(&[f32::NAN, f32::INFINITY].repeat(16), &mut found);
        assert!(found.iter().all(|p| f32::from_bits(p.0 << 16).is_nan() && p.0 >> 16 == 0x7F80));
    }

    #[test]
    fn rounding_goes_to_the_nearest_and_ties_to_even() {
        // bf16 has 8 bits of precision: neighbours of 1 are 1 - 2^-8 and 1 + 2^-7.
        let unit = 2f32.powi(-7);
        for (x, nearest) in [
            (1.0, 1.0),
            (1.0 + 0.4 * unit, 1.0),
            (1.0 + 0.5 * unit, 1.0),
            (1.0 + 0.6 * unit, 1.0 + unit),
            (1.0 + 1.5 * unit, 1.0 + 2.0 * unit),
            (-1.0 - 0.6 * unit, -1.0 - unit),
            (0.0, 0.0),
            (f32::INFINITY, f32::INFINITY),
            (f32::MAX, f32::INFINITY),
        ] {
            assert_eq!(round_to_bf16(x), nearest, "{x}");
        }
        assert_eq!(round_to_bf16(-0.0).to_bits(), (-0.0f32).to_bits());
        // Of this one only lower bits say that it is no infinity.
        assert!(round_to_bf16(f32::from_bits(0x7F80_0001)).is_nan());
        assert!(round_to_bf16(f32::NAN).is_nan());
    }

    #[test]
    fn squares_are_turned_as_rows_are_paired() {
        let (ld, rows) = (19, 2 * LANES);
        let matrix: Vec<f32> = (0..rows * ld).map(|i| i as f32 / 7.0).collect();
        let mut square = [[Pair(7); LANES]; LANES];
        turn_pairs(&mut square, MatRef::new(&matrix[2..], rows, LANES, ld));
        for (i, row) in square.iter().enumerate() {
            for (r, &pair) in row.iter().enumerate() {
                let at = |row: usize| matrix[row * ld + 2 + i];
                assert_eq!(pair, Pair::of(at(2 * r), at(2 * r + 1)), "({i}, {r})");
            }
        }
        // One that ends with the last element, and one that is no square.
        turn_pairs(&mut square, MatRef::new(&matrix[..(rows - 1) * ld + LANES], rows, LANES, ld));
        let narrow = MatRef::new(&matrix, rows, LANES - 1, ld);
        assert!(std::panic::catch_unwind(|| turn_pairs(&mut [[Pair(7); LANES]; LANES], narrow)).is_err());
    }

    #[test]
    fn runs_are_paired_wherever_they_go() {
        for stride in [LANES, LANES + 3, 4 * LANES] {
            let run: Vec<f32> = (0..6 * LANES).map(|i| i as f32 / 3.0).collect();
            let mut out = vec![Pair(7); 3 * stride];
            pair_runs(&run, &mut out, stride);
            for (r, pair) in run.chunks(2).enumerate() {
                assert_eq!(out[r / LANES * stride + r % LANES], Pair::of(pair[0], pair[1]), "{stride}, {r}");
            }
            let between = out.chunks(stride).flat_map(|part| &part[LANES..]);
            assert!(between.copied().all(|pair| pair == Pair(7)));
        }
    }

    #[test]
    fn pairs_hold_the_earlier_term_below() {
        assert_eq!(Pair::of(1.0, -2.0), Pair(0xC000_3F80));
        let mut out = [Pair(7); 3];
        pair_neighbours(&[1.0, -2.0, 4.0], &mut out);
        assert_eq!(out, [Pair(0xC000_3F80), Pair(0x4080), Pair(7)]);
    }
}
