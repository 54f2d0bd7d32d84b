//! Bytes of a tensor file as f32.

use safetensors::Dtype;

/// How wide an element is, in bytes, and how it becomes an f32.
pub(super) type Conversion = (usize, fn(&[u8]) -> f32);

/// How elements of a type become f32, or `None` for types that hold no real numbers of use as weights.
///
/// f16 and bf16 are exact. f64 is rounded to the nearest f32, ties to even; what is finite but beyond f32 becomes an
/// infinity, which the caller refuses.
pub(super) fn to_f32(dtype: Dtype) -> Option<Conversion> {
    Some(match dtype {
        Dtype::F32 => (4, |b| f32::from_le_bytes(take(b))),
        Dtype::F64 => (8, |b| f64::from_le_bytes(take(b)) as f32),
        Dtype::F16 => (2, |b| half(u16::from_le_bytes(take(b)))),
        Dtype::BF16 => (2, |b| f32::from_bits(u32::from(u16::from_le_bytes(take(b))) << 16)),
        _ => return None,
    })
}

/// The first N bytes. A chunk that is too short gives zeros; callers cut chunks of the width that [`to_f32`]
/// returns.
pub(super) fn take<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

/// IEEE 754 half precision: 1 sign, 5 exponent, 10 fraction bits.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let exponent = u32::from(bits >> 10) & 0x1F;
    let fraction = u32::from(bits & 0x3FF);
    let magnitude = match exponent {
        // Subnormal: a multiple of 2^-24, which f32 holds exactly.
        0 => (fraction as f32 * 2f32.powi(-24)).to_bits(),
        0x1F => 0x7F80_0000 | fraction << 13,
        _ => (exponent + 127 - 15) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_half_has_its_value() {
        for bits in 0..=u16::MAX {
            let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
            let (exponent, fraction) = (i32::from(bits >> 10 & 0x1F), f64::from(bits & 0x3FF));
            let found = half(bits);
            match (exponent, fraction) {
                (31, 0.0) => assert_eq!(found, sign as f32 * f32::INFINITY),
                (31, _) => assert!(found.is_nan()),
                (0, _) => assert_eq!(f64::from(found), sign * fraction * 2f64.powi(-24)),
                _ => assert_eq!(f64::from(found), sign * (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15)),
            }
            assert_eq!(found.is_sign_negative(), sign < 0.0, "{bits:#x}");
        }
    }

    #[test]
    fn others_are_read_as_they_stand_or_rounded() {
        let read = |dtype, bytes: &[u8]| to_f32(dtype).unwrap().1(bytes);
        assert_eq!(read(Dtype::F32, &1.1f32.to_le_bytes()), 1.1);
        assert_eq!(read(Dtype::F64, &0.1f64.to_le_bytes()), 0.1);
        assert_eq!(read(Dtype::F64, &1e300f64.to_le_bytes()), f32::INFINITY);
        assert_eq!(read(Dtype::BF16, &[0x80, 0xBF]), -1.0);
        assert!(to_f32(Dtype::I64).is_none() && to_f32(Dtype::U8).is_none() && to_f32(Dtype::F8_E4M3).is_none());
    }
}
