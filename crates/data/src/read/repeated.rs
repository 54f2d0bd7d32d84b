//! [`Repeated`]: the texts of a column with many equal texts.

use arrow::array::{Array, AsArray, StringArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::UInt16Type;

/// Most different texts that a code distinguishes, beside a missing text.
pub(crate) const MOST: usize = u16::MAX as usize;

/// Texts of which many are equal, as those of a category are: each is there once, so that whatever depends on the text
/// alone is found out once.
#[derive(Debug, Clone)]
pub struct Repeated {
    /// Different texts. Some may have no row.
    texts: StringArray,
    /// For every row 1 + the number of its text, or 0 where it is missing. Clones share them.
    codes: ScalarBuffer<u16>,
}

impl Repeated {
    /// `codes` are at most as large as there are texts, of which none is missing.
    pub(crate) fn new(texts: StringArray, codes: ScalarBuffer<u16>) -> Self {
        debug_assert!(texts.null_count() == 0 && codes.iter().all(|&code| usize::from(code) <= texts.len()));
        Self { texts, codes }
    }

    /// An Arrow dictionary of texts. `None` if its values are of another type, more than its rows or [`MOST`].
    pub(super) fn from_dictionary(array: &dyn Array) -> Option<Self> {
        let array = array.as_any_dictionary_opt()?;
        let texts = array.values().as_string_opt::<i32>()?;
        if texts.len() > array.len().min(MOST) || texts.null_count() > 0 {
            return None;
        }
        let keys = arrow::compute::cast(array.keys(), &arrow::datatypes::DataType::UInt16).ok()?;
        let codes = keys.as_primitive_opt::<UInt16Type>()?.iter().map(|key| key.map_or(0, |key| key + 1));
        Some(Self::new(texts.clone(), codes.collect()))
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// The text of row `row`, unless it is missing.
    #[must_use]
    pub fn text(&self, row: usize) -> Option<&str> {
        Some(self.texts.value(self.codes[row].checked_sub(1)?.into()))
    }

    /// `of` every row's text. `of` is asked once for a missing one, and once for each text.
    pub fn map<T: Clone>(&self, of: impl FnMut(Option<&str>) -> T) -> Vec<T> {
        self.spread(&self.known(of))
    }

    /// `of` a missing text, and of each text.
    pub(crate) fn known<T>(&self, of: impl FnMut(Option<&str>) -> T) -> Vec<T> {
        std::iter::once(None).chain(self.texts.iter()).map(of).collect()
    }

    /// For every row the one of [`Repeated::known`] that is its text's.
    pub(crate) fn spread<T: Clone>(&self, known: &[T]) -> Vec<T> {
        self.codes.iter().map(|&code| known[usize::from(code)].clone()).collect()
    }

    /// Only the codes, for a caller that has the [`Repeated::known`] values of the texts and spreads them: texts may be
    /// long.
    pub(crate) fn without_texts(&self) -> Self {
        Self { texts: StringArray::new_null(0), codes: self.codes.clone() }
    }

    /// In how many rows a text is missing, and each text stands; of those rows that `mask` marks.
    pub(crate) fn counts(&self, mask: Option<&[bool]>) -> Vec<u64> {
        let mut counts = vec![0; self.texts.len() + 1];
        match mask {
            None => self.codes.iter().for_each(|&code| counts[usize::from(code)] += 1),
            Some(mask) => {
                self.codes.iter().zip(mask).for_each(|(&code, &marked)| counts[usize::from(code)] += u64::from(marked));
            }
        }
        counts
    }

    /// Makes the rows of texts that `is_null` missing ones.
    pub(super) fn without(self, is_null: impl Fn(&str) -> bool) -> Self {
        let code = |(number, text): (u16, Option<&str>)| if text.is_some_and(&is_null) { 0 } else { number };
        let kept: Vec<u16> = std::iter::once(0).chain((1..).zip(&self.texts).map(code)).collect();
        if kept.iter().skip(1).all(|&code| code > 0) {
            return self;
        }
        let codes = self.codes.iter().map(|&code| kept[usize::from(code)]).collect();
        Self { texts: self.texts, codes }
    }

    pub(crate) fn filter(&self, keep: &[bool]) -> Self {
        let codes = self.codes.iter().zip(keep).filter(|(_, keep)| **keep).map(|(&code, _)| code).collect();
        Self { texts: self.texts.clone(), codes }
    }

    /// About how much memory they take.
    pub(crate) fn bytes(&self) -> usize {
        self.texts.get_array_memory_size() + self.codes.len() * size_of::<u16>()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::{DictionaryArray, Int32Array, StringArray};
    use arrow::datatypes::Int8Type;

    use super::*;

    fn texts(repeated: &Repeated) -> Vec<Option<&str>> {
        (0..repeated.len()).map(|row| repeated.text(row)).collect()
    }

    #[test]
    fn every_text_is_asked_for_once() {
        let repeated = Repeated::new(StringArray::from(vec!["a", "bb"]), vec![2, 0, 1, 2].into());
        let mut asked = Vec::new();
        let lengths = repeated.map(|text| {
            asked.push(text.map(str::to_owned));
            text.map_or(9, str::len)
        });
        assert_eq!(lengths, [2, 9, 1, 2]);
        let known = repeated.known(|text| text.map_or(9, str::len));
        assert_eq!(repeated.without_texts().spread(&known), lengths);
        assert_eq!(repeated.without_texts().filter(&[false, true, false, true]).spread(&known), [9, 2]);
        assert!(repeated.without_texts().bytes() < repeated.bytes());
        assert_eq!(asked, [None, Some("a".to_owned()), Some("bb".to_owned())]);
        assert_eq!(repeated.counts(None), [1, 1, 2]);
        assert_eq!(repeated.counts(Some(&[true, false, false, true])), [0, 0, 2]);
        assert_eq!(texts(&repeated.filter(&[true, true, false, false])), [Some("bb"), None]);
        assert_eq!(texts(&repeated.without(|text| text == "bb")), [None, None, Some("a"), None]);
    }

    #[test]
    fn dictionaries_are_taken_as_they_are_unless_most_of_them_is_unused() {
        let dictionary: DictionaryArray<Int8Type> = vec![Some("x"), None, Some("y"), Some("x")].into_iter().collect();
        let found = Repeated::from_dictionary(&dictionary).unwrap();
        assert_eq!(texts(&found), [Some("x"), None, Some("y"), Some("x")]);
        // Two texts for one row.
        assert!(Repeated::from_dictionary(&dictionary.slice(1, 1)).is_none());
        assert_eq!(texts(&Repeated::from_dictionary(&dictionary.slice(2, 2)).unwrap()), [Some("y"), Some("x")]);
        let numbers = DictionaryArray::new(Int32Array::from(vec![0]), std::sync::Arc::new(Int32Array::from(vec![5])));
        assert!(Repeated::from_dictionary(&numbers).is_none());
        assert!(Repeated::from_dictionary(&StringArray::from(vec!["x"])).is_none());
    }
}
