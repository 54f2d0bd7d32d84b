//! Finds the ends of records in text with quotes, without splitting their fields.
//!
//! A quote that begins a field opens it up to the next quote that is not doubled; line ends between the two are part of
//! the field. Any other quote is an ordinary character. The `csv` crate has the same rule, and so has
//! [`super::records`], which then splits the records.

use std::ops::Range;

use memchr::{memchr_iter, memrchr};

use super::words::{equal, places};

/// Behind the last record of `bytes` that has its end there, which begin with a record.
pub(super) fn last_end(bytes: &[u8], separator: u8, quote: u8) -> Option<usize> {
    if let Some(end) = last_end_by_toggling(bytes, separator, quote) {
        return end;
    }
    let mut end = None;
    outside(bytes, separator, quote, |part| {
        end = memrchr(b'\n', &bytes[part.clone()]).map(|at| part.start + at + 1).or(end);
    });
    end
}

/// [`last_end`] for the common case, 64 bytes at a time: that every quote leads into quotes or out of them, a doubled one
/// out and in again. `None` where one is a character like others, which shows in what stands before it.
fn last_end_by_toggling(bytes: &[u8], separator: u8, quote: u8) -> Option<Option<usize>> {
    let (mut inside, mut begins, mut end) = (0u64, 1u64, None);
    let mut block = |first: usize, block: &[u8; 64]| {
        let [quotes, separators, line_ends] =
            [quote, separator, b'\n'].map(|byte| places(block, |word| equal(word, byte)));
        // Each bit becomes the parity of itself and those below: whether what follows the byte is inside.
        let after = [1, 2, 4, 8, 16, 32].into_iter().fold(quotes, |bits, step| bits ^ (bits << step)) ^ inside;
        let may_open = ((quotes | separators | line_ends) << 1) | begins;
        if quotes & after & !may_open != 0 {
            return false;
        }
        let ends = line_ends & !after;
        if ends != 0 {
            end = Some(first + 64 - ends.leading_zeros() as usize);
        }
        inside = 0u64.wrapping_sub(after >> 63);
        begins = (quotes | separators | line_ends) >> 63;
        true
    };
    let (blocks, tail) = bytes.as_chunks();
    let mut last = [0; 64];
    last[..tail.len()].copy_from_slice(tail);
    let mut all = blocks.iter().chain(std::iter::once(&last)).enumerate();
    let regular = all.all(|(number, bytes)| block(64 * number, bytes));
    regular.then_some(end)
}

/// Calls `f` with the parts that are outside of quotes.
#[inline]
fn outside(bytes: &[u8], separator: u8, quote: u8, mut f: impl FnMut(Range<usize>)) {
    // Where the part at hand began; `None` inside of quotes.
    let mut start = Some(0);
    let mut quotes = memchr_iter(quote, bytes).peekable();
    while let Some(at) = quotes.next() {
        match start {
            Some(from) if at == from || [separator, b'\n'].contains(&bytes[at - 1]) => {
                f(from..at);
                start = None;
            }
            Some(_) => {}
            // A doubled one.
            None if quotes.next_if_eq(&(at + 1)).is_some() => {}
            None => start = Some(at + 1),
        }
    }
    // A quote that is never closed has the rest inside of it.
    if let Some(from) = start {
        f(from..bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records(text: &[u8]) -> usize {
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text).byte_records().count()
    }

    /// Line ends behind which a new record begins for the `csv` crate.
    fn ends(text: &[u8]) -> Vec<usize> {
        let begins = |end: &usize| records(&[&text[..*end], b"a\n"].concat()) > records(&text[..*end]);
        (1..=text.len()).filter(|&end| text[end - 1] == b'\n').filter(begins).collect()
    }

    #[test]
    fn line_ends_between_quotes_end_no_record() {
        let text = b"a,\"b\n\"\"\nc\",d\ne\"\nf\"\n\"g\n";
        assert_eq!(last_end(text, b',', b'"'), Some(19));
        assert_eq!(last_end(b"\"a\n", b',', b'"'), None);
        assert_eq!(last_end(b"a\n\"b\"", b',', b'"'), Some(2));
    }

    #[test]
    fn long_lines_are_cut_alike() {
        let line = "abc,\"d,\"\"\n\",,\"\",0123456789\n";
        for length in 1..300 {
            let text = &line.repeat(12).into_bytes()[..length];
            let found = last_end_by_toggling(text, b',', b'"');
            assert_eq!(found, Some(ends(text).last().copied()), "{length}");
        }
        assert_eq!(last_end_by_toggling(b"a,b\"\n", b',', b'"'), None);
    }

    proptest! {
        #[test]
        fn records_end_where_they_do_for_the_csv_crate(text in "[a,\n\"]{0,40}", long in 0usize..100) {
            let text = format!("{}{text}", "a,".repeat(long));
            prop_assert_eq!(last_end(text.as_bytes(), b',', b'"'), ends(text.as_bytes()).last().copied());
        }
    }
}
