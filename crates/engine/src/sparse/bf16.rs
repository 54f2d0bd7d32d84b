//! [`Bf16`]: rows of a table in half the memory, rounded at random when they move.

use std::array;

use super::number::Number;
use super::rounding::RowBits;
use super::vector;
use crate::optim::StepRule;

/// The upper half of an f32: its exponent and the first 7 bits of its fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub(crate) struct Bf16(u16);

/// A quiet NaN.
const NAN: u16 = 0x7FC0;

impl Bf16 {
    /// `x` or, between two numbers, the one further from zero, with a probability equal to the covered share of the
    /// distance to it, if the low 16 of `bits` are uniform: a mean of `x` either way. Beyond the largest number lies
    /// infinity.
    #[inline(always)]
    pub(super) fn stochastic(x: f32, bits: u32) -> Self {
        // A sum of the bits carries into the upper half as often as the lower half is large. Infinity has none.
        let carried = (x.to_bits().wrapping_add(bits & 0xFFFF) >> 16) as u16;
        Self(if x.is_nan() { NAN } else { carried })
    }
}

impl Number for Bf16 {
    #[inline(always)]
    fn value(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    #[inline(always)]
    fn nearest(x: f32) -> Self {
        let bits = x.to_bits();
        let even = 0x7FFF + ((bits >> 16) & 1);
        Self(if x.is_nan() { NAN } else { (bits.wrapping_add(even) >> 16) as u16 })
    }

    #[inline(always)]
    fn step(row: &mut [Self], grad: &[f32], rule: &StepRule, scale: f32, scratch: &mut [f32], bits: RowBits) {
        let scratch = &mut scratch[..row.len()];
        vector::copy(scratch, row);
        f32::step(scratch, grad, rule, scale, &mut [], bits);
        // Blocks of a fixed length, as everywhere in short vectors.
        let (blocks, rest) = row.as_chunks_mut::<16>();
        let (wide_blocks, wide_rest) = scratch.as_chunks::<16>();
        for (b, (block, wide)) in blocks.iter_mut().zip(wide_blocks).enumerate() {
            *block = array::from_fn(|i| Self::stochastic(wide[i], bits.of(16 * b + i)));
        }
        for (i, (number, &wide)) in rest.iter_mut().zip(wide_rest).enumerate() {
            *number = Self::stochastic(wide, bits.of(16 * wide_blocks.len() + i));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bf16_can_hold_is_held_exactly() {
        for bits in 0..=u16::MAX {
            let number = Bf16(bits);
            let x = number.value();
            if x.is_nan() {
                assert!(Bf16::nearest(x).value().is_nan() && Bf16::stochastic(x, 0xFFFF).value().is_nan());
                continue;
            }
            assert_eq!(Bf16::nearest(x), number);
            for random in [0, 1, 0x8000, 0xFFFF, u32::MAX] {
                assert_eq!(Bf16::stochastic(x, random), number);
            }
        }
    }

    #[test]
    fn rounding_to_nearest_takes_the_even_one_of_two() {
        let ulp = 2.0f32.powi(-7);
        for (x, wanted) in [
            (1.0 + 0.49 * ulp, 1.0),
            (1.0 + 0.5 * ulp, 1.0),
            (1.0 + 0.51 * ulp, 1.0 + ulp),
            (1.0 + 1.5 * ulp, 1.0 + 2.0 * ulp),
            (-1.0 - 0.51 * ulp, -1.0 - ulp),
            (f32::MAX, f32::INFINITY),
            (1e-45, 0.0),
        ] {
            assert_eq!(Bf16::nearest(x).value(), wanted, "{x}");
        }
    }

    /// All 65,536 values of the random bits, once each: the mean is the number itself.
    #[test]
    fn stochastic_rounding_is_unbiased() {
        for x in [1.0f32 + 1e-3, -1.003, 0.1, -3e-5, 1.2345e20, 7e-42, f32::MIN_POSITIVE * 1.7, 255.5] {
            let sum: f64 = (0..1 << 16).map(|bits| f64::from(Bf16::stochastic(x, bits).value())).sum();
            assert_eq!(sum / 65536.0, f64::from(x), "{x}");
        }
        for x in [f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(Bf16::stochastic(x, 0xFFFF).value(), x);
        }
        assert!(Bf16::stochastic(f32::from_bits(0xFFFF_FFFF), 0xFFFF).value().is_nan());
    }
}
