//! [`Interner`]: keeps each text once, for vocabularies and for columns with few different values.

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
    /// Texts that were asked for lately, each at [`Ends::place`]; empty until there is one.
    lately: Vec<(Ends, usize)>,
}

/// Places for texts that were asked for lately: most columns have fewer different ones.
const PLACES: usize = 128;

/// Length of a text, and its first and last eight bytes. A text of up to 16 bytes is known by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ends {
    first: u64,
    last: u64,
    len: usize,
}

/// A place without a text: none is so long.
const NO_TEXT: (Ends, usize) = (Ends { first: 0, last: 0, len: usize::MAX }, 0);

impl Ends {
    #[inline]
    fn of(text: &[u8]) -> Self {
        let len = text.len();
        let [first, last] = if let (Some(&first), Some(&last)) = (text.first_chunk(), text.last_chunk()) {
            [u64::from_le_bytes(first), u64::from_le_bytes(last)]
        } else if let (Some(&first), Some(&last)) = (text.first_chunk(), text.last_chunk()) {
            [first, last].map(|half| u64::from(u32::from_le_bytes(half)))
        } else {
            // One, two or three bytes; with the length they are distinct.
            let byte = |at: usize| text.get(at).map_or(0, |&byte| u64::from(byte));
            [byte(0) | byte(1) << 8 | byte(2) << 16, 0]
        };
        Self { first, last, len }
    }

    /// Whether there is no more to the text.
    fn is_all(self) -> bool {
        self.len <= 2 * size_of::<u64>()
    }

    #[inline]
    fn place(self) -> usize {
        // The upper bits of a product depend on all bits of its factors.
        let mixed = (self.first ^ self.last.rotate_left(32) ^ self.len as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> (u64::BITS - PLACES.ilog2())) as usize
    }
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
        let ends = Ends::of(text);
        let place = ends.place();
        match self.lately.get(place) {
            Some(&(own, number)) if own == ends && (ends.is_all() || self.text(number) == text) => number,
            _ => self.find_or_add(text, ends, place),
        }
    }

    fn find_or_add(&mut self, new: &[u8], new_ends: Ends, place: usize) -> usize {
        let Self { bytes, ends, numbers, lately } = self;
        let hash = xxh3_64(new);
        let is_it = |&(own, number): &(u64, usize)| own == hash && text(bytes, ends, number) == new;
        let entry = numbers.entry(hash, is_it, |&(hash, _)| hash).or_insert((hash, ends.len()));
        let number = entry.get().1;
        if number == ends.len() {
            bytes.extend_from_slice(new);
            ends.push(bytes.len());
        }
        if lately.is_empty() {
            lately.resize(PLACES, NO_TEXT);
        }
        lately[place] = (new_ends, number);
        number
    }

    /// All texts one after the other, and where each ends.
    pub(crate) fn parts(&self) -> (&[u8], &[usize]) {
        (&self.bytes, &self.ends)
    }

    /// Forgets all texts, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.numbers.clear();
        self.lately.fill(NO_TEXT);
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
        assert_eq!(interner.parts(), (&b"baab"[..], &[1, 2, 2, 4][..]));
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
