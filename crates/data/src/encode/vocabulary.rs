//! Vocabularies: the training rows' values in an order of their own, each with its row in the table.

use super::parse::UNKNOWN;
use crate::interner::Interner;
use crate::schema::VocabularyConfig;
use crate::value::canonical;

/// Counts values.
#[derive(Debug, Clone, Default)]
pub(super) struct Counter {
    texts: Interner,
    counts: Vec<u64>,
}

impl Counter {
    /// The number of a text, which is a new one if the text is. It is not counted by that.
    pub(super) fn number(&mut self, text: &str) -> usize {
        self.number_of(text.as_bytes())
    }

    fn number_of(&mut self, text: &[u8]) -> usize {
        let number = self.texts.intern(text);
        if number == self.counts.len() {
            self.counts.push(0);
        }
        number
    }

    /// Counts the text of number `number` so many times.
    pub(super) fn count(&mut self, number: usize, times: u64) {
        self.counts[number] += times;
    }

    /// Adds the counts of another column that shares the vocabulary.
    pub(super) fn merge(&mut self, other: &Self) {
        for (number, &count) in other.counts.iter().enumerate() {
            let own = self.number_of(other.texts.text(number));
            self.counts[own] += count;
        }
    }

    /// For each number plus one, the row in the vocabulary's table, or [`UNKNOWN`]; 0 for the missing value that 0 stands
    /// for.
    pub(super) fn table_rows(&self, vocabulary: &Vocabulary) -> Vec<u64> {
        let row_of = |number| vocabulary.row_of(self.texts.text(number)).unwrap_or(UNKNOWN);
        std::iter::once(0).chain((0..self.texts.len()).map(row_of)).collect()
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
    /// A sentence, if a value stands twice, or is not its canonical text, so that it would never be found.
    pub(super) fn from_values<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut vocabulary = Self::default();
        for (number, value) in values.into_iter().enumerate() {
            if let Some(text) = canonical(value, |text| (text != value).then(|| text.to_owned())) {
                return Err(format!("the vocabulary holds {value:?}, whose text is {text:?}; train the model again"));
            }
            if vocabulary.0.intern(value.as_bytes()) != number {
                return Err(format!("the vocabulary holds {value:?} twice"));
            }
        }
        Ok(vocabulary)
    }

    /// Values in order.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        (0..self.0.len()).map(|number| self.text(number))
    }

    /// The value that has table row `row`.
    pub(super) fn value(&self, row: u64) -> Option<&str> {
        let number = usize::try_from(row.checked_sub(1)?).ok()?;
        (number < self.0.len()).then(|| self.text(number))
    }

    /// Rows of the table: one for the unknown, one per value.
    pub(super) fn rows(&self) -> u64 {
        self.0.len() as u64 + 1
    }

    /// The table row of a value, if it is known.
    pub(super) fn row(&self, text: &str) -> Option<u64> {
        self.row_of(text.as_bytes())
    }

    fn row_of(&self, text: &[u8]) -> Option<u64> {
        self.0.get(text).map(|number| number as u64 + 1)
    }

    fn text(&self, number: usize) -> &str {
        // Texts alone come in.
        std::str::from_utf8(self.0.text(number)).unwrap_or_default()
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
            counter.count(number, 1);
        }
        counter
    }

    #[test]
    fn frequent_first_then_by_bytes() {
        let counter = count(&["b", "c", "a", "c", "é", "B", ""]);
        let vocabulary = counter.finish(VocabularyConfig::default());
        assert_eq!(vocabulary.values().collect::<Vec<_>>(), ["c", "", "B", "a", "b", "é"]);
        assert_eq!((vocabulary.row("c"), vocabulary.row("é"), vocabulary.row("z")), (Some(1), Some(6), None));
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
        assert_eq!(counter.table_rows(&vocabulary), [0, 2, 1, UNKNOWN]);
    }

    #[test]
    fn merged_counts_are_those_of_both() {
        let mut one = count(&["a", "b"]);
        one.merge(&count(&["c", "b", "c", "c"]));
        assert_eq!(one.finish(VocabularyConfig::default()).values().collect::<Vec<_>>(), ["c", "b", "a"]);
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        assert!(Vocabulary::from_values(["a", "b", "a"]).unwrap_err().contains("\"a\" twice"));
        assert!(Vocabulary::from_values(["a", "94.0"]).unwrap_err().contains("\"94.0\", whose text is \"94\""));
    }
}
