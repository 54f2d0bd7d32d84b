//! Finds a byte in eight bytes at a time, on any processor.

/// The highest bits of those bytes that are `byte`; the first byte's is bit 7.
#[inline(always)]
pub(super) fn equal(bytes: [u8; 8], byte: u8) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const LOW: u64 = u64::from_le_bytes([0x7f; 8]);
    // A byte that is zero has its highest bit set at the end. No carry leaves a byte, so that each is judged by itself alone.
    let word = u64::from_le_bytes(bytes) ^ (ONES * u64::from(byte));
    !(((word & LOW) + LOW) | word | LOW)
}

/// A bit for each of 64 bytes: whether `of` sets the byte's highest bit in its group of eight.
#[inline(always)]
pub(super) fn places(block: &[u8; 64], of: impl Fn([u8; 8]) -> u64) -> u64 {
    // Brings the lowest bit of each byte together in the highest byte.
    const TOGETHER: u64 = 0x0102_0408_1020_4080;
    let mut bits = 0;
    for (number, word) in block.as_chunks().0.iter().enumerate() {
        bits |= ((of(*word) >> 7).wrapping_mul(TOGETHER) >> 56) << (8 * number);
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_judged_by_itself() {
        for byte in [0, 1, b',', 0x7f, 0x80, 0xff] {
            for other in (0..=255).filter(|&other| other != byte) {
                for at in 0..8 {
                    let mut bytes = [other; 8];
                    assert_eq!(equal(bytes, byte), 0);
                    bytes[at] = byte;
                    assert_eq!(equal(bytes, byte), 0x80 << (8 * at), "{byte} at {at} among {other}");
                }
            }
        }
    }
}
