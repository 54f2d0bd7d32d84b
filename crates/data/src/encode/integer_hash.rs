//! Encoding `integer_hash`: a hash of integers in arithmetic that every runtime has, so that an exported model computes it.
//!
//! ONNX has sums, products and remainders of int64, and no XXH64. No intermediate value exceeds int64, where runtimes
//! differ. For an integer v of 64 bits (two's complement), with P = 2^42 - 11, a prime, and
//! `mix(h) = h * 999983 mod P * 741457 mod P`:
//!
//! ```text
//! v = a + 2^22 b + 2^44 c,   0 <= a, b < 2^22                   three parts, c with the sign of v
//! h = mix(c mod 2^22);   h = mix(h + b);   h = mix(h + a)
//! h = x + 2^21 y,            0 <= x < 2^21
//! h = mix((h + (x + 1)(y + 1)) mod P)
//! row = 1 + h mod (R - 1)
//! ```
//!
//! The product of both halves makes it no straight line: multiples of a step fall to rows like draws at random, as do ids that
//! differ in their upper bits alone. Row 0 stands for a missing value, and for -2^63, which stands for a missing one where
//! integers cannot be missing (as in NumPy's times).

/// P: the largest prime below 2^42.
pub const PRIME: i64 = (1 << 42) - 11;

/// What a step of [`row`] is multiplied by, one after the other; below 2^20.
pub const FACTORS: [i64; 2] = [999_983, 741_457];

/// A part of a value is below this.
pub const PART: i64 = 1 << 22;

/// The lower half of a hash is below this.
pub const HALF: i64 = 1 << 21;

/// Stands for a missing value.
pub const MISSING: i64 = i64::MIN;

/// Table row of an integer: 0 of [`MISSING`], else as the [module](self) has it. `rows` is at least 2.
#[must_use]
pub fn row(value: i64, rows: u64) -> u64 {
    if value == MISSING {
        return 0;
    }
    let b = value.div_euclid(PART);
    let c = b.div_euclid(PART);
    let mut hash = 0;
    for part in [c, b, value] {
        hash = mix(hash + part.rem_euclid(PART));
    }
    let (x, y) = (hash % HALF, hash / HALF);
    hash = mix((hash + (x + 1) * (y + 1)) % PRIME);
    // A hash is never negative.
    1 + hash as u64 % (rows - 1)
}

fn mix(hash: i64) -> i64 {
    FACTORS.iter().fold(hash, |hash, factor| hash * factor % PRIME)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The formula, in numbers that nothing overflows.
    fn slow(value: i128, rows: i128) -> i128 {
        let prime = (1i128 << 42) - 11;
        let mix = |h: i128| h * 999_983 % prime * 741_457 % prime;
        let part = |shift: u32| (value >> shift) & ((1 << 22) - 1);
        let h = mix(mix(mix(part(44)) + part(22)) + part(0));
        let (x, y) = (h % (1 << 21), h / (1 << 21));
        1 + mix((h + (x + 1) * (y + 1)) % prime) % (rows - 1)
    }

    proptest! {
        /// Debug builds panic where 64 bits overflow.
        #[test]
        fn it_is_the_formula(value: i64, rows in prop_oneof![2u64..100, 2u64..=1 << 40]) {
            let found = row(value, rows);
            prop_assert!((1..rows).contains(&found));
            prop_assert_eq!(i128::from(found), slow(value.into(), rows.into()));
        }
    }

    #[test]
    fn values_at_the_ends() {
        const FIXED: [u64; 5] = [395_232, 902_022, 303_903, 377_296, 494_533];
        assert_eq!((row(MISSING, 2), row(MISSING, 1 << 40)), (0, 0));
        for value in [i64::MIN + 1, -1, 0, 1, PART - 1, PART, 1 << 44, i64::MAX] {
            assert_eq!(i128::from(row(value, 1001)), slow(value.into(), 1001), "{value}");
        }
        // Written down, so that saved models stay right.
        assert_eq!([0, 1, -1, 42, 1 << 40].map(|value| row(value, 1_000_001)), FIXED);
    }

    /// For n draws into R - 1 rows, chi squared has mean R - 2 and deviation sqrt(2 (R - 2)); sequences of every kind
    /// are within five.
    #[test]
    fn rows_are_used_alike_whatever_the_pattern_of_ids() {
        let n = 40_000i64;
        for rows in [101u64, 1001, 4097, 65_536] {
            let step = rows as i64 - 1;
            type Id = fn(i64, i64) -> i64;
            let patterns: [(&str, Id); 8] = [
                ("one after the other", |i, _| i),
                ("one after the other, far from 0", |i, _| 1_000_000_000_000 + i),
                ("below 0", |i, _| -1 - i),
                ("multiples of the rows", |i, step| i * step),
                ("the upper bits", |i, _| i << 44),
                ("the middle bits", |i, _| i << 22),
                ("milliseconds of days", |i, _| 1_700_000_000_000 + i * 86_400_000),
                ("multiples of a factor", |i, _| i * FACTORS[0]),
            ];
            for (name, id) in patterns {
                let mut counts = vec![0u32; step as usize];
                (0..n).for_each(|i| counts[row(id(i, step), rows) as usize - 1] += 1);
                let mean = n as f64 / step as f64;
                let squared: f64 = counts.iter().map(|&count| (f64::from(count) - mean).powi(2) / mean).sum();
                let freedom = (step - 1) as f64;
                let off = (squared - freedom) / (2.0 * freedom).sqrt();
                assert!(off.abs() < 5.0, "{name}, {rows} rows: {off:.1} deviations off");
            }
        }
    }
}
