//! [`Interner`]: texts of which each is kept once, for vocabularies and for columns with few different values.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// Texts numbered from 0 in the order they came, without two of a kind. They stand one after the other in one piece of
/// memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interner {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Hash and number of each text.
    numbers: HashTable<(u64, usize)>,
    /// Columns have long runs of one value.
    last: Option<usize>,
}

impl Interner {
    /// How many texts there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The text of number `number`.
    pub(crate) fn text(&self, number: usize) -> &[u8] {
        text(&self.bytes, &self.ends, number)
    }

    /// Number of a text.
    pub(crate) fn get(&self, text: &[u8]) -> Option<usize> {
        let hash = xxh3_64(text);
        let found = self.numbers.find(hash, |&(own, number)| own == hash && self.text(number) == text);
        found.map(|&(_, number)| number)
    }

    /// Number of a text, which is a new one if the text is.
    #[inline]
    pub(crate) fn intern(&mut self, text: &[u8]) -> usize {
        match self.last {
            Some(last) if self.text(last) == text => last,
            _ => self.find_or_add(text),
        }
    }

    fn find_or_add(&mut self, new: &[u8]) -> usize {
        let Self { bytes, ends, numbers, last } = self;
        let hash = xxh3_64(new);
        let is_it = |&(own, number): &(u64, usize)| own == hash && text(bytes, ends, number) == new;
        let entry = numbers.entry(hash, is_it, |&(hash, _)| hash).or_insert((hash, ends.len()));
        let number = entry.get().1;
        if number == ends.len() {
            bytes.extend_from_slice(new);
            ends.push(bytes.len());
        }
        *last = Some(number);
        number
    }

    /// The texts one after the other, and where each ends.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Vec<usize>) {
        (self.bytes, self.ends)
    }
}

fn text<'b>(bytes: &'b [u8], ends: &[usize], number: usize) -> &'b [u8] {
    let start = if number == 0 { 0 } else { ends[number - 1] };
    &bytes[start..ends[number]]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_numbered_as_they_come() {
        let mut interner = Interner::default();
        let numbers = ["b", "a", "a", "", "b", "ab", ""].map(|text| interner.intern(text.as_bytes()));
        assert_eq!(numbers, [0, 1, 1, 2, 0, 3, 2]);
        assert_eq!((interner.get(b"a"), interner.get(b""), interner.get(b"c")), (Some(1), Some(2), None));
        assert_eq!(interner.into_parts(), (b"baab".to_vec(), vec![1, 2, 2, 4]));
    }

    #[test]
    fn texts_of_one_hash_stay_apart() {
        let mut interner = Interner::default();
        assert_eq!(interner.intern(b"a"), 0);
        // Pretend that "b" is where "a" was put, and has its hash.
        let hash = xxh3_64(b"b");
        interner.numbers.insert_unique(hash, (hash, 0), |&(hash, _)| hash);
        assert_eq!(interner.get(b"b"), None);
        assert_eq!((interner.intern(b"b"), interner.intern(b"a"), interner.intern(b"b")), (1, 0, 1));
        assert_eq!((interner.get(b"a"), interner.get(b"b")), (Some(0), Some(1)));
    }

    proptest! {
        #[test]
        fn equals_a_list_of_the_texts(texts in prop::collection::vec("[ab]{0,3}|[a-z]{0,40}", 0..200)) {
            let (mut interner, mut list) = (Interner::default(), Vec::new());
            for text in &texts {
                let expected = list.iter().position(|own| own == text).unwrap_or(list.len());
                if expected == list.len() {
                    list.push(text.clone());
                }
                prop_assert_eq!(interner.intern(text.as_bytes()), expected);
            }
            prop_assert_eq!(interner.len(), list.len());
            for (number, text) in list.iter().enumerate() {
                prop_assert_eq!(interner.text(number), text.as_bytes());
                prop_assert_eq!(interner.get(text.as_bytes()), Some(number));
            }
        }
    }
}
