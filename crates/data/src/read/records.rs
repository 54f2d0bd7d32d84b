//! Splits records of any [`Dialect`] into fields.
//!
//! A line ends with "\n", "\r\n" or "\r"; empty lines are skipped. A quote at the beginning of a field opens it up to
//! the next quote that is neither doubled nor escaped; any other quote is an ordinary character. Between quotes, a
//! quote, escape, separator or line end behind an escape is an ordinary character; before other characters the escape
//! is one itself. Outside of quotes it is an ordinary character, unless the dialect has no quotes: then it is an escape
//! everywhere.
//!
//! Text behind a closing quote means that the file is written by other rules: it is a [`Fault`], like a quote that is
//! never closed. The record goes on as if the text were part of the field, so that later records can be read.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2, memchr3};

use super::dialect::Dialect;
use super::text::FieldRange;

/// Longest record. A quote that is never closed would otherwise take the rest of the file into memory.
pub(super) const MAX_RECORD: usize = 1 << 26;

/// What [`Records::next`] finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NextRecord {
    /// A record, whose fields were appended.
    Record(Record),
    /// Only a part of a record is there.
    Incomplete,
    /// Nothing but empty lines.
    End,
}

/// A record, among bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Where it stands, without its line end.
    pub(super) range: Range<usize>,
    /// Line of its first byte, from 1.
    pub(super) line: u64,
    /// What is wrong with it.
    pub(super) fault: Option<Fault>,
}

/// Where a record breaks the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The field, from 0.
    pub(super) field: usize,
    /// Where it stands, quotes and all.
    pub(super) range: Range<usize>,
    /// Whether its quote is never closed; else text follows behind the one that closes it.
    pub(super) open: bool,
}

/// Goes through the records of some bytes, which begin with one.
#[derive(Debug)]
pub(super) struct Records<'d> {
    dialect: &'d Dialect,
    /// Whether the bytes end where the file does, or at the end of a record.
    is_whole: bool,
    /// Where the next record is looked for.
    at: usize,
    /// Line of that place, from 1.
    line: u64,
    /// Fields of the record at hand that hold quotes or escapes which are no part of the text.
    coded: Vec<usize>,
    /// Whether a line end may stand within a field of it.
    may_span: bool,
    fault: Option<Fault>,
}

impl<'d> Records<'d> {
    pub(super) fn new(dialect: &'d Dialect, is_whole: bool) -> Self {
        Self { dialect, is_whole, at: 0, line: 1, coded: Vec::new(), may_span: false, fault: None }
    }

    /// Behind the last record that was found, and the empty lines after it.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Lines before that place.
    pub(super) fn lines(&self) -> u64 {
        self.line - 1
    }

    /// Finds the next record, and appends where its fields are; what is no part of their texts is taken out of `bytes`.
    pub(super) fn next(&mut self, bytes: &mut [u8], fields: &mut Vec<FieldRange>) -> NextRecord {
        let before = fields.len();
        let step = self.find(bytes, fields);
        if let NextRecord::Record(_) = step {
            for &field in &self.coded {
                let (start, end) = fields[before + field];
                let kept = self.dialect.decode(&mut bytes[start as usize..end as usize]);
                fields[before + field].1 = start + kept as u32;
            }
        } else {
            fields.truncate(before);
        }
        step
    }

    /// Finds the next record, and appends where its fields are, as they are written.
    pub(super) fn find(&mut self, bytes: &[u8], fields: &mut Vec<FieldRange>) -> NextRecord {
        self.skip_empty(bytes);
        if self.at == bytes.len() {
            return NextRecord::End;
        }
        self.coded.clear();
        (self.may_span, self.fault) = (self.dialect.quote.is_none(), None);
        let (before, start) = (fields.len(), self.at);
        let mut begin = start;
        let end = loop {
            let Some((place, end)) = self.field(bytes, begin, fields.len() - before) else {
                return NextRecord::Incomplete;
            };
            // A block has some times the longest record at the most, which is far from 4 GiB.
            fields.push((place.start as u32, place.end as u32));
            match bytes.get(end) {
                None | Some(b'\n' | b'\r') => break end,
                Some(_) => begin = end + self.dialect.separator.len(),
            }
        };
        let next = match bytes.get(end) {
            None => end,
            // What follows may be the other half of the line end.
            Some(b'\r') if end + 1 == bytes.len() && !self.is_whole => return NextRecord::Incomplete,
            Some(b'\r') if bytes.get(end + 1) == Some(&b'\n') => end + 2,
            Some(_) => end + 1,
        };
        let record = Record { range: start..end, line: self.line, fault: self.fault.take() };
        let inside = if self.may_span { memchr_iter(b'\n', &bytes[start..end]).count() } else { 0 };
        self.line += inside as u64 + u64::from(next > end);
        self.at = next;
        NextRecord::Record(record)
    }

    fn skip_empty(&mut self, bytes: &[u8]) {
        while let Some(byte @ (b'\n' | b'\r')) = bytes.get(self.at) {
            self.at += 1;
            self.line += u64::from(*byte == b'\n' || !matches!(bytes.get(self.at), Some(b'\n')));
        }
    }

    /// Where the text of field `number` is, which begins at `begin`, and where the field ends: at its separator, a line
    /// end, or the end of the bytes. `None` if it has no end there.
    #[inline]
    fn field(&mut self, bytes: &[u8], begin: usize, number: usize) -> Option<(Range<usize>, usize)> {
        let opens = if self.dialect.trim { self.dialect.skip_blanks(bytes, begin) } else { begin };
        if self.dialect.quote.is_some() && bytes.get(opens).copied() == self.dialect.quote {
            return self.quoted(bytes, begin, opens, number);
        }
        let (end, is_coded) = self.unquoted(bytes, begin)?;
        if is_coded {
            self.coded.push(number);
        }
        Some((begin..end, end))
    }

    /// As [`Self::field`], of one whose quote opens at `opens`.
    fn quoted(&mut self, bytes: &[u8], begin: usize, opens: usize, number: usize) -> Option<(Range<usize>, usize)> {
        self.may_span = true;
        let (closes, is_coded) = self.closing(bytes, opens + 1)?;
        let (mut end, mut open) = (bytes.len(), None);
        if let Some(closes) = closes {
            end = self.dialect.skip_blanks(bytes, closes + 1);
            if end == bytes.len() && !self.is_whole {
                return None;
            }
            if !self.dialect.ends_field(bytes, end) {
                end = self.unquoted(bytes, closes + 1)?.0;
                open = Some(false);
            }
        } else {
            open = Some(true);
        }
        if is_coded {
            self.coded.push(number);
        }
        if let Some(open) = open {
            self.fault.get_or_insert(Fault { field: number, range: begin..end, open });
        }
        Some((opens + 1..closes.unwrap_or(end), end))
    }

    /// Where the quote that closes a field is, if there is one, and whether quotes or escapes stand before it that are no
    /// part of the text; `None` if that cannot be known yet.
    fn closing(&self, bytes: &[u8], from: usize) -> Option<(Option<usize>, bool)> {
        let (mut at, mut is_coded) = (from, false);
        let quote = self.dialect.quote?;
        let escape = self.dialect.escape.unwrap_or(quote);
        loop {
            let Some(found) = memchr2(quote, escape, &bytes[at..]) else {
                return self.is_whole.then_some((None, is_coded));
            };
            at += found;
            let Some(next) = bytes.get(at + 1) else {
                // A quote at the very end closes; an escape there is a character like others.
                let closes = (bytes[at] == quote).then_some(at);
                return self.is_whole.then_some((closes, is_coded));
            };
            if bytes[at] == quote {
                if *next != quote {
                    return Some((Some(at), is_coded));
                }
                (at, is_coded) = (at + 2, true);
            } else if self.dialect.special(&bytes[at + 1..]) > 0 {
                (at, is_coded) = (at + 2, true);
            } else {
                at += 1;
            }
        }
    }

    /// Where a field without quotes ends, and whether it has escapes; `None` if it has no end there.
    #[inline]
    fn unquoted(&self, bytes: &[u8], from: usize) -> Option<(usize, bool)> {
        let dialect = self.dialect;
        let (first, escape) = (dialect.separator[0], dialect.escape.filter(|_| dialect.quote.is_none()));
        // The next place where it may end; what is behind an escape is none.
        let (mut at, mut stop, mut is_coded) = (from, from, false);
        loop {
            if at >= stop {
                stop = memchr3(first, b'\n', b'\r', &bytes[at..]).map_or(bytes.len(), |found| at + found);
            }
            if let Some(escape) = escape
                && let Some(found) = memchr(escape, &bytes[at..stop])
            {
                at += found + 1;
                let special = dialect.special(&bytes[at..]);
                (at, is_coded) = (at + special, is_coded || special > 0);
            } else if stop == bytes.len() {
                return self.is_whole.then_some((stop, is_coded));
            } else if dialect.ends_field(bytes, stop) {
                return Some((stop, is_coded));
            } else {
                at = stop + 1;
            }
        }
    }
}

impl Dialect {
    /// Behind spaces and tabs that are no part of a field.
    fn skip_blanks(&self, bytes: &[u8], from: usize) -> usize {
        let is_blank = |at: usize| matches!(bytes.get(at), Some(b' ' | b'\t')) && !self.ends_field(bytes, at);
        let mut at = from;
        while self.trim && is_blank(at) {
            at += 1;
        }
        at
    }

    /// Whether a separator, a line end or the end of the bytes is at `at`.
    fn ends_field(&self, bytes: &[u8], at: usize) -> bool {
        let Some(&byte) = bytes.get(at) else { return true };
        // One byte is compared here: most separators are no more, and this is asked of every field.
        let separates = || self.separator.len() == 1 || bytes[at..].starts_with(&self.separator);
        matches!(byte, b'\n' | b'\r') || (byte == self.separator[0] && separates())
    }

    /// How many bytes behind an escape it takes the meaning from.
    fn special(&self, bytes: &[u8]) -> usize {
        match bytes.first() {
            Some(b'\n') => 1,
            Some(b'\r') => 1 + usize::from(bytes.get(1) == Some(&b'\n')),
            Some(&byte) if Some(byte) == self.quote || Some(byte) == self.escape => 1,
            _ if bytes.starts_with(&self.separator) => self.separator.len(),
            _ => 0,
        }
    }

    /// Takes out of a field what is no part of its text, and gives the text's length.
    fn decode(&self, field: &mut [u8]) -> usize {
        let (mut from, mut to) = (0, 0);
        while from < field.len() {
            let taken = match Some(field[from]) {
                byte if byte == self.escape => self.special(&field[from + 1..]),
                byte if byte == self.quote && field.get(from + 1) == self.quote.as_ref() => 1,
                _ => 0,
            };
            // The text moves to the front, past what was taken out before.
            from += usize::from(taken > 0);
            let count = taken.max(1);
            field.copy_within(from..from + count, to);
            (from, to) = (from + count, to + count);
        }
        to
    }

    /// Behind the last record of `bytes` that has its end there, which begin with a record.
    pub(super) fn last_end(&self, bytes: &[u8]) -> Option<usize> {
        let (mut records, mut fields) = (Records::new(self, false), Vec::new());
        let mut end = None;
        while let NextRecord::Record(_) = records.find(bytes, &mut fields) {
            fields.clear();
            end = Some(records.at());
        }
        end
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dialect(separator: &str, escape: Option<u8>) -> Dialect {
        Dialect { separator: separator.into(), quote: Some(b'"'), escape, trim: false }
    }

    /// Fields, line and fault of every record.
    type Found = Vec<(Vec<String>, u64, Option<(usize, bool)>)>;

    fn records(text: &str, dialect: &Dialect) -> Found {
        let mut bytes = text.as_bytes().to_vec();
        let (mut records, mut fields, mut found) = (Records::new(dialect, true), Vec::new(), Vec::new());
        while let NextRecord::Record(record) = records.next(&mut bytes, &mut fields) {
            let text =
                |place: &FieldRange| String::from_utf8_lossy(&bytes[place.0 as usize..place.1 as usize]).into_owned();
            let fault = record.fault.map(|fault| (fault.field, fault.open));
            found.push((fields.iter().map(text).collect(), record.line, fault));
            fields.clear();
        }
        found
    }

    fn texts(text: &str, dialect: &Dialect) -> Vec<Vec<String>> {
        records(text, dialect)
            .into_iter()
            .map(|(fields, _, fault)| {
                assert_eq!(fault, None, "{text}");
                fields
            })
            .collect()
    }

    #[test]
    fn escapes_have_a_meaning_between_quotes() {
        let dialect = dialect(",", Some(b'\\'));
        assert_eq!(texts(r#""say \"hi\"",1"#, &dialect), [[r#"say "hi""#, "1"]]);
        assert_eq!(texts(r#""a\", b",1"#, &dialect), [[r#"a", b"#, "1"]]);
        assert_eq!(texts(r#""a\\","b""c""#, &dialect), [[r"a\", r#"b"c"#]]);
        assert_eq!(texts("\"a\\\nb\\,c\",\"C:\\temp\"\n", &dialect), [["a\nb,c", r"C:\temp"]]);
        // Outside of quotes the escape is a character like others.
        assert_eq!(texts("\\N,C:\\\\x\\,\\\"\n", &dialect), [[r"\N", r"C:\\x\", r#"\""#]]);
    }

    #[test]
    fn without_quotes_escapes_have_a_meaning_everywhere() {
        let dialect = Dialect { quote: None, ..dialect("\t", Some(b'\\')) };
        assert_eq!(
            texts("a\\\tb\t\\N\tc\\\\\nd\\\ne\t\"\tf\\", &dialect),
            [vec!["a\tb", r"\N", r"c\"], vec!["d\ne", "\"", r"f\"],]
        );
        let dialect = Dialect { quote: None, ..self::dialect("::", Some(b'\\')) };
        assert_eq!(texts("a\\::b::c\\:x::d", &dialect), [["a::b", r"c\:x", "d"]]);
    }

    /// Minutes, if each escape had the rest of the field looked through again.
    #[test]
    fn a_field_may_have_many_escapes() {
        let dialect = Dialect { quote: None, ..dialect("\t", Some(b'\\')) };
        let text = "\\\t".repeat(1 << 21) + "\tb\n";
        assert_eq!(texts(&text, &dialect), [["\t".repeat(1 << 21), "b".to_owned()]]);
    }

    #[test]
    fn separators_may_have_several_characters() {
        let dialect = dialect("::", None);
        assert_eq!(
            texts("1::Toy Story: 2::\"a::b\"\n:::\"\"\n", &dialect),
            [vec!["1", "Toy Story: 2", "a::b"], vec!["", ":\"\""],]
        );
        assert_eq!(texts("1¦2\n", &self::dialect("¦", None)), [["1", "2"]]);
    }

    #[test]
    fn blanks_around_quotes_are_no_part_where_the_dialect_says_so() {
        let trim = Dialect { trim: true, ..dialect(",", None) };
        assert_eq!(texts("1, \"a, b\"\t,2\n", &trim), [["1", "a, b", "2"]]);
        let tabs = Dialect { trim: true, ..dialect("\t", None) };
        assert_eq!(texts("\t \"a\" \t\n", &tabs), [["", "a", ""]]);
        assert_eq!(records("1,\"a\" ,2\n", &dialect(",", None))[0].2, Some((1, false)));
    }

    #[test]
    fn faults_are_found_and_what_follows_is_read() {
        let comma = dialect(",", None);
        let found = records("a,b\n\"x\"y,2\n\"p\nq\"\" r\"s\n3,\"open\n4", &comma);
        let faults: Vec<_> = found.iter().map(|(fields, line, fault)| (fields.len(), *line, *fault)).collect();
        assert_eq!(faults, [(2, 1, None), (2, 2, Some((0, false))), (1, 3, Some((0, false))), (2, 5, Some((1, true)))]);
        assert_eq!(records("a\"b\"c,d\n", &comma)[0], (vec!["a\"b\"c".into(), "d".into()], 1, None));
    }

    #[test]
    fn lines_are_counted_whatever_ends_them() {
        let lines = |text: &str| records(text, &dialect(",", None)).iter().map(|found| found.1).collect::<Vec<_>>();
        assert_eq!(lines("a\r\n\r\nb\n\n\"c\r\nd\"\r\ne"), [1, 3, 5, 7]);
        assert_eq!(lines("a\rb\r\rc\r\nd"), [1, 2, 4, 5]);
    }

    /// What the `csv` crate makes of the same text.
    fn expected(text: &str, dialect: &Dialect) -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new();
        reader.has_headers(false).flexible(true).delimiter(dialect.separator[0]).escape(dialect.escape);
        let fields = |record: Result<csv::StringRecord, _>| record.unwrap().iter().map(str::to_owned).collect();
        reader.from_reader(text.as_bytes()).into_records().map(fields).collect()
    }

    proptest! {
        #[test]
        fn records_are_those_of_the_csv_crate(text in "[ab,\n\r\" ]{0,40}") {
            let dialect = dialect(",", None);
            let (found, expected) = (records(&text, &dialect), expected(&text, &dialect));
            prop_assert_eq!(found.len(), expected.len());
            for ((fields, _, fault), expected) in found.iter().zip(&expected) {
                prop_assert_eq!(fields.len(), expected.len());
                if fault.is_none() {
                    prop_assert_eq!(fields, expected);
                }
            }
        }

        /// Where an escape stands before what it has a meaning for.
        #[test]
        fn escapes_are_those_of_the_csv_crate(parts in prop::collection::vec(
            prop::sample::select(vec!["a", "\\\"", "\\\\", "\\,", "\\\n", "\"\"", "\n", ","]), 0..12), plain in "[a\\\\]{0,4}",
        ) {
            let text = format!("\"{}\",{plain}\nb\n", parts.concat());
            let dialect = dialect(",", Some(b'\\'));
            prop_assert_eq!(texts(&text, &dialect), expected(&text, &dialect));
        }

        #[test]
        fn fields_survive_any_dialect(
            table in prop::collection::vec(prop::collection::vec("[ab:;,|\\\\\"\n\r\t é]{0,6}", 3), 1..6),
            separator in prop::sample::select(vec![",", "\t", "::", ";;;", "¦", ":"]),
            escape in prop::option::of(Just(b'\\')), trim in any::<bool>(), crlf in any::<bool>(),
        ) {
            let dialect = Dialect { trim, ..dialect(separator, escape) };
            let quoted = |field: &String| match escape {
                Some(_) => format!("\"{}\"", field.replace('\\', "\\\\").replace('"', "\\\"")),
                None => format!("\"{}\"", field.replace('"', "\"\"")),
            };
            let line = |fields: &Vec<String>| fields.iter().map(quoted).collect::<Vec<_>>().join(separator);
            let end = if crlf { "\r\n" } else { "\n" };
            let text: String = table.iter().map(|fields| line(fields) + end).collect();
            prop_assert_eq!(texts(&text, &dialect), table);
            // The end of the last record is found wherever the bytes are cut.
            for cut in 0..text.len() {
                let found = dialect.last_end(&text.as_bytes()[..cut]);
                let mut ends = (1..=cut).filter(|&end| is_record_end(&text, end, &dialect));
                prop_assert_eq!(found, ends.next_back(), "cut at {}", cut);
            }
        }

        #[test]
        fn no_text_breaks_it(
            text in "[ab:,\\\\\"\n\r\t ]{0,50}", separator in prop::sample::select(vec![",", "::", ":\t"]),
            quote in prop::option::of(Just(b'"')), escape in prop::option::of(Just(b'\\')), trim in any::<bool>(),
        ) {
            let dialect = Dialect { separator: separator.into(), quote, escape, trim };
            let all = records(&text, &dialect);
            // Cut in two where a record ends, it is the same.
            let end = dialect.last_end(text.as_bytes()).unwrap_or(0);
            let (first, second) = (records(&text[..end], &dialect), records(&text[end..], &dialect));
            let fields = |found: &Found| found.iter().map(|f| (f.0.clone(), f.2)).collect::<Vec<_>>();
            prop_assert_eq!([fields(&first), fields(&second)].concat(), fields(&all));
        }
    }

    fn is_record_end(text: &str, end: usize, dialect: &Dialect) -> bool {
        let bytes = text.as_bytes();
        bytes[end - 1] == b'\n' && dialect.last_end(bytes).is_some() && {
            let (mut records, mut fields) = (Records::new(dialect, true), Vec::new());
            let mut ends = Vec::new();
            while let NextRecord::Record(_) = records.find(bytes, &mut fields) {
                ends.push(records.at());
            }
            ends.contains(&end)
        }
    }
}
