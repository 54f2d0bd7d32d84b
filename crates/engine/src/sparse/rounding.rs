//! Random bits as a function of table, step, row and element. They are not drawn one after another, so the order of
//! updates, the threads and interruptions of training change no bit.

/// The bits of one step of one table.
#[derive(Debug, Clone, Copy)]
pub(super) struct StepBits(u64);

/// The bits of one row in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowBits {
    low: u32,
    high: u32,
}

impl StepBits {
    /// Random bits of the table with this [`key`], in step `step`.
    pub(super) fn new(key: u64, step: u64) -> Self {
        Self(mix(key ^ mix(step.wrapping_add(GOLDEN))))
    }

    #[inline(always)]
    pub(super) fn row(self, row: usize) -> RowBits {
        let bits = mix(self.0 ^ (row as u64).wrapping_mul(GOLDEN));
        RowBits { low: bits as u32, high: (bits >> 32) as u32 }
    }
}

impl RowBits {
    /// 32 bits of element `element` of the row, of which the lower 16 are meant to be used.
    #[inline(always)]
    pub(super) fn of(self, element: usize) -> u32 {
        // The finalizer of a 32-bit hash (lowbias32, by C. Wellons), so that 16 elements fit in one register.
        let mut x = (element as u32).wrapping_mul(0x9E37_79B9) ^ self.low;
        x = (x ^ (x >> 16)).wrapping_mul(0x7FEB_352D);
        x = (x ^ (x >> 15)).wrapping_mul(0x846C_A68B);
        (x ^ (x >> 16)) ^ self.high
    }
}

/// What stands for the table of this name under `seed`.
pub(super) fn key(seed: u64, name: &str) -> u64 {
    // FNV-1a; its weak upper bits are mixed afterwards.
    let name = name.bytes().fold(0xCBF2_9CE4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3));
    mix(name ^ mix(seed.wrapping_add(GOLDEN)))
}

/// 2^64 over the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): a bijection that leaves no bit of its input to be seen.
#[inline(always)]
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws() -> Vec<(u64, u64, usize, usize)> {
        let mut all = Vec::new();
        for key in [key(1, "a"), key(1, "b"), key(2, "a")] {
            for step in 1..5 {
                for row in [0, 1, 2, 1 << 20, 99_999_999] {
                    all.extend((0..48).map(|element| (key, step, row, element)));
                }
            }
        }
        all
    }

    fn draw((key, step, row, element): (u64, u64, usize, usize)) -> u32 {
        StepBits::new(key, step).row(row).of(element) & 0xFFFF
    }

    /// 2,880 draws in 65,536 places: some 63 meet by chance.
    #[test]
    fn what_they_are_for_decides_them() {
        let mut bits: Vec<u32> = draws().into_iter().map(draw).collect();
        assert_eq!(bits, draws().into_iter().map(draw).collect::<Vec<_>>());
        let all = bits.len();
        bits.sort_unstable();
        bits.dedup();
        assert!(all - bits.len() < 100, "{} of {all} draws differ", bits.len());
    }

    /// Over elements, rows and steps each in turn: mean and bins of a uniform distribution.
    #[test]
    fn they_are_uniform_along_every_axis() {
        let key = key(7, "embeddings.items.weight");
        let n = 1 << 16;
        type Draw = fn(u64, usize) -> u32;
        let axes: [(&str, Draw); 3] = [
            ("element", |key, i| StepBits::new(key, 3).row(i / 48).of(i % 48)),
            ("row", |key, i| StepBits::new(key, 3).row(i).of(5)),
            ("step", |key, i| StepBits::new(key, i as u64).row(11).of(5)),
        ];
        for (axis, of) in axes {
            let mut bins = [0u32; 64];
            let mut sum = 0.0;
            let mut alike = 0;
            for i in 0..n {
                let bits = of(key, i) & 0xFFFF;
                bins[(bits >> 10) as usize] += 1;
                sum += f64::from(bits);
                alike += u32::from((bits ^ of(key, i + 1)) & 0x8000 == 0);
            }
            // Standard errors: 74 for the mean, 32 for a bin of 1024, 128 for a coin that is thrown 65,536 times.
            assert!((sum / n as f64 - 32767.5).abs() < 4.0 * 74.0, "{axis}: mean {}", sum / n as f64);
            assert!(bins.iter().all(|&b| (1024 - 160..1024 + 160).contains(&b)), "{axis}: {bins:?}");
            assert!(alike.abs_diff(n as u32 / 2) < 5 * 128, "{axis}: neighbours agree {alike} times");
        }
    }
}
