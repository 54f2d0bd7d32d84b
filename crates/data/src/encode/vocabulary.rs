//! Vocabularies: the training rows' values in an order of their own, each with its row in the table.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh64::xxh64;

use crate::schema::VocabularyConfig;

/// Seed of the hash that finds texts; unlike [`super::HASH_SEED`] it shows nowhere outside.
const SEED: u64 = 0x706c_6569_6164;

/// Texts numbered from 0 in the order they came, without two of a kind.
///
/// They stand one after the other in one string, and are found by their 64-bit hash; the few whose hashes collide are
/// in a map of their own.
#[derive(Debug, Clone, Default)]
pub(super) struct Interner {
    texts: String,
    ends: Vec<usize>,
    by_hash: HashMap<u64, usize, BuildHasherDefault<Identity>>,
    colliding: BTreeMap<String, usize>,
    /// Columns have long runs of one value.
    last: Option<usize>,
}

impl Interner {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The text of number `number`.
    pub(super) fn text(&self, number: usize) -> &str {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.texts[start..self.ends[number]]
    }

    /// Number of a text.
    pub(super) fn get(&self, text: &str) -> Option<usize> {
        let number = *self.by_hash.get(&xxh64(text.as_bytes(), SEED))?;
        if self.text(number) == text { Some(number) } else { self.colliding.get(text).copied() }
    }

    /// Number of a text, which is a new one if the text is.
    pub(super) fn intern(&mut self, text: &str) -> usize {
        if let Some(last) = self.last.filter(|&last| self.text(last) == text) {
            return last;
        }
        let next = self.len();
        let found = *self.by_hash.entry(xxh64(text.as_bytes(), SEED)).or_insert(next);
        let number = match found {
            number if number == next || self.text(number) == text => number,
            _ => *self.colliding.entry(text.to_owned()).or_insert(next),
        };
        if number == next {
            self.texts.push_str(text);
            self.ends.push(self.texts.len());
        }
        self.last = Some(number);
        number
    }
}

/// Takes a hash for what it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 << 8) | u64::from(byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// Counts values.
#[derive(Debug, Clone, Default)]
pub(super) struct Counter {
    texts: Interner,
    counts: Vec<u64>,
}

impl Counter {
    /// The number of a text, which is a new one if the text is. It is not counted by that.
    pub(super) fn number(&mut self, text: &str) -> usize {
        let number = self.texts.intern(text);
        if number == self.counts.len() {
            self.counts.push(0);
        }
        number
    }

    /// Counts the text of number `number` once.
    pub(super) fn count(&mut self, number: usize) {
        self.counts[number] += 1;
    }

    /// Adds the counts of another column that shares the vocabulary.
    pub(super) fn merge(&mut self, other: &Self) {
        for (number, &count) in other.counts.iter().enumerate() {
            let own = self.number(other.texts.text(number));
            self.counts[own] += count;
        }
    }

    /// For each number plus one, the row in the vocabulary's table; 0 for the missing value that 0 stands for.
    pub(super) fn table_rows(&self, vocabulary: &Vocabulary) -> Vec<u64> {
        std::iter::once(0).chain((0..self.texts.len()).map(|number| vocabulary.row(self.texts.text(number)))).collect()
    }

    /// The vocabulary: most frequent values first, ties in the order of their bytes.
    pub(super) fn finish(&self, config: VocabularyConfig) -> Vocabulary {
        // A text without a count was seen among other rows than those that are trained on.
        let least = config.min_count.max(1);
        let mut order: Vec<usize> = (0..self.counts.len()).filter(|&n| self.counts[n] >= least).collect();
        order.sort_unstable_by(|&a, &b| {
            self.counts[b].cmp(&self.counts[a]).then_with(|| self.texts.text(a).cmp(self.texts.text(b)))
        });
        order.truncate(config.max_size.map_or(usize::MAX, |size| usize::try_from(size).unwrap_or(usize::MAX)));
        let mut vocabulary = Vocabulary::default();
        for number in order {
            vocabulary.0.intern(self.texts.text(number));
        }
        vocabulary
    }
}

/// Values that have a row of their own in a table. Row 0 is the unknown's, value n of the vocabulary has row n + 1.
#[derive(Debug, Clone, Default)]
pub(super) struct Vocabulary(Interner);

impl Vocabulary {
    /// From values in order.
    ///
    /// # Errors
    /// A sentence, if a value stands twice.
    pub(super) fn from_values<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut vocabulary = Self::default();
        for (number, value) in values.into_iter().enumerate() {
            if vocabulary.0.intern(value) != number {
                return Err(format!("the vocabulary holds {value:?} twice"));
            }
        }
        Ok(vocabulary)
    }

    /// Values in order.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        (0..self.0.len()).map(|number| self.0.text(number))
    }

    /// The value that has table row `row`.
    pub(super) fn value(&self, row: u64) -> Option<&str> {
        let number = usize::try_from(row.checked_sub(1)?).ok()?;
        (number < self.0.len()).then(|| self.0.text(number))
    }

    /// Rows of the table: one for the unknown, one per value.
    pub(super) fn rows(&self) -> u64 {
        self.0.len() as u64 + 1
    }

    /// The table row of a value; 0 if it is unknown.
    pub(super) fn row(&self, text: &str) -> u64 {
        self.0.get(text).map_or(0, |number| number as u64 + 1)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn count(values: &[&str]) -> Counter {
        let mut counter = Counter::default();
        for value in values {
            let number = counter.number(value);
            counter.count(number);
        }
        counter
    }

    #[test]
    fn frequent_first_then_by_bytes() {
        let counter = count(&["b", "c", "a", "c", "é", "B", ""]);
        let vocabulary = counter.finish(VocabularyConfig::default());
        assert_eq!(vocabulary.values().collect::<Vec<_>>(), ["c", "", "B", "a", "b", "é"]);
        assert_eq!((vocabulary.row("c"), vocabulary.row("é"), vocabulary.row("z")), (1, 6, 0));
        assert_eq!(vocabulary.rows(), 7);
        assert_eq!([0, 1, 6, 7].map(|row| vocabulary.value(row)), [None, Some("c"), Some("é"), None]);
    }

    #[test]
    fn rare_values_are_unknown() {
        let counter = count(&["a", "a", "a", "b", "b", "c", "d", "d"]);
        let kept = |min_count, max_size| {
            let vocabulary = counter.finish(VocabularyConfig { min_count, max_size });
            vocabulary.values().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(kept(2, None), ["a", "b", "d"]);
        assert_eq!(kept(1, Some(2)), ["a", "b"]);
        assert_eq!(kept(9, None), [""; 0]);
    }

    #[test]
    fn what_is_not_counted_has_a_number_and_no_row() {
        let mut counter = count(&["a", "b", "b"]);
        assert_eq!((counter.number("c"), counter.number("a")), (2, 0));
        let vocabulary = counter.finish(VocabularyConfig { min_count: 0, max_size: None });
        assert_eq!(counter.table_rows(&vocabulary), [0, 2, 1, 0]);
    }

    #[test]
    fn merged_counts_are_those_of_both() {
        let mut one = count(&["a", "b"]);
        one.merge(&count(&["c", "b", "c", "c"]));
        assert_eq!(one.finish(VocabularyConfig::default()).values().collect::<Vec<_>>(), ["c", "b", "a"]);
    }

    #[test]
    fn colliding_texts_stay_apart() {
        let mut interner = Interner::default();
        assert_eq!(interner.intern("a"), 0);
        // Pretend that "b" has the hash of "a".
        interner.by_hash.insert(xxh64(b"b", SEED), 0);
        assert_eq!(interner.get("b"), None);
        assert_eq!((interner.intern("b"), interner.intern("a"), interner.intern("b")), (1, 0, 1));
        assert_eq!((interner.get("a"), interner.get("b")), (Some(0), Some(1)));
    }

    #[test]
    fn a_value_twice_is_refused() {
        assert!(Vocabulary::from_values(["a", "b", "a"]).unwrap_err().contains("\"a\" twice"));
    }
}
