//! Which arm a request goes to: one of 10,000 buckets, and the arm that has it.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh64::Xxh64;

/// A share is a number of these.
pub(crate) const BUCKETS: usize = 10_000;

/// The bucket of a value: XXH64 with seed 0 of salt, a zero byte and the value's text, modulo 10,000.
pub(crate) fn bucket(salt: &str, value: &str) -> usize {
    let mut hash = Xxh64::new(0);
    hash.update(salt.as_bytes());
    hash.update(&[0]);
    hash.update(value.as_bytes());
    (hash.digest() % BUCKETS as u64) as usize
}

/// Which arm has each bucket. The first arm has what the others leave. The others begin at places of their own (0, 5,000, 2,500,
/// 7,500, 1,250, ..) and take free buckets from there on: an arm that grows keeps what it had, and takes from the first arm alone
/// as long as it meets no other.
pub(crate) fn deal(shares: &[usize]) -> Vec<u8> {
    let mut dealt = vec![0u8; BUCKETS];
    for (arm, &share) in shares.iter().enumerate().skip(1) {
        let first = begin(arm - 1);
        let places = (0..BUCKETS).map(|step| (first + step) % BUCKETS);
        let free: Vec<usize> = places.filter(|&place| dealt[place] == 0).take(share).collect();
        free.into_iter().for_each(|place| dealt[place] = u8::try_from(arm).unwrap_or(u8::MAX));
    }
    dealt
}

/// Van der Corput's sequence in base 2, of the buckets: 0, 1/2, 1/4, 3/4, 1/8, ..
fn begin(number: usize) -> usize {
    let reversed = (number as u32).reverse_bits();
    ((u64::from(reversed) * BUCKETS as u64) >> 32) as usize
}

/// Buckets by chance.
#[derive(Debug)]
pub(crate) struct Draws {
    seed: RandomState,
    count: AtomicU64,
}

impl Draws {
    pub(crate) fn new() -> Self {
        Self { seed: RandomState::new(), count: AtomicU64::new(0) }
    }

    /// Another bucket each time.
    pub(crate) fn next(&self) -> usize {
        let hash = self.seed.hash_one(self.count.fetch_add(1, Ordering::Relaxed));
        (hash % BUCKETS as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arm_of(dealt: &[u8], arm: u8) -> Vec<usize> {
        (0..BUCKETS).filter(|&bucket| dealt[bucket] == arm).collect()
    }

    #[test]
    fn a_value_has_the_bucket_that_is_documented() {
        // python -c 'import xxhash; print(xxhash.xxh64(b"2026-11\0u7").intdigest() % 10000)'
        assert_eq!(bucket("2026-11", "u7"), 5109);
        assert_ne!(bucket("ab", "c"), bucket("a", "bc"));
        assert_eq!((0..5).map(begin).collect::<Vec<_>>(), [0, 5000, 2500, 7500, 1250]);
    }

    #[test]
    fn values_spread_over_the_buckets() {
        let dealt = deal(&[9000, 1000]);
        for salt in ["a", "b", "2026-11"] {
            let canary = (0..100_000).filter(|user| dealt[bucket(salt, &format!("u{user}"))] == 1).count();
            // Six standard deviations of a binomial of 100,000 at 0.1 are 570.
            assert!(canary.abs_diff(10_000) < 570, "{canary}");
        }
        let draws = Draws::new();
        let canary = (0..100_000).filter(|_| dealt[draws.next()] == 1).count();
        assert!(canary.abs_diff(10_000) < 570, "{canary}");
    }

    proptest! {
        #[test]
        fn each_arm_has_its_share(cuts in proptest::collection::vec(0usize..=BUCKETS, 0..12)) {
            let mut cuts = cuts;
            cuts.extend([0, BUCKETS]);
            cuts.sort_unstable();
            let shares: Vec<usize> = cuts.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let dealt = deal(&shares);
            for (arm, &share) in shares.iter().enumerate() {
                prop_assert_eq!(arm_of(&dealt, arm as u8).len(), share);
            }
        }

        #[test]
        fn an_arm_that_grows_keeps_what_it_had(canary in 0usize..5000, more in 0usize..5000, other in 0usize..5000) {
            // Two arms, whichever of them grows.
            let (before, after) = (deal(&[BUCKETS - canary, canary]), deal(&[BUCKETS - canary - more, canary + more]));
            let (had, has) = (arm_of(&before, 1), arm_of(&after, 1));
            prop_assert!(had.iter().all(|bucket| has.contains(bucket)));
            prop_assert!(arm_of(&after, 0).iter().all(|bucket| before[*bucket] == 0));
            // A third one is not touched while both have their halves.
            let grown = (canary + more).min(5000);
            let canary = canary.min(grown);
            let before = deal(&[BUCKETS - canary - other, canary, other]);
            let after = deal(&[BUCKETS - grown - other, grown, other]);
            prop_assert_eq!(arm_of(&before, 2), arm_of(&after, 2));
            prop_assert!(arm_of(&before, 1).iter().all(|bucket| after[*bucket] == 1));
        }
    }
}
