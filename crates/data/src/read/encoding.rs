//! Converts text of other encodings to UTF-8.

use std::io::{Cursor, ErrorKind, Read, Result};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Stands for bytes that mean no character; it is no UTF-8, and so breaks its row.
const MALFORMED: u8 = 0xff;

/// Bytes that are decoded at a time.
const BLOCK: usize = 1 << 16;

/// UTF-8 text of a file that is written in another encoding, and which. UTF-16 is known by its first bytes.
pub(super) struct Text {
    pub(super) bytes: Box<dyn Read + Send>,
    /// `None` for UTF-8, which is passed on as it is.
    pub(super) encoding: Option<&'static Encoding>,
}

impl Text {
    /// Looks at the first bytes.
    pub(super) fn new(mut bytes: Box<dyn Read + Send>, label: Option<&str>) -> Result<Self> {
        let mut start = Vec::new();
        bytes.by_ref().take(2).read_to_end(&mut start)?;
        let by_mark = match start.as_slice() {
            [0xff, 0xfe] => Some(UTF_16LE),
            [0xfe, 0xff] => Some(UTF_16BE),
            _ => None,
        };
        let named = label.and_then(|label| Encoding::for_label_no_replacement(label.as_bytes())).unwrap_or(UTF_8);
        let marks_decide = [UTF_8, UTF_16LE, UTF_16BE].contains(&named);
        let encoding = by_mark.filter(|_| marks_decide).unwrap_or(named);
        let bytes = Box::new(Cursor::new(start).chain(bytes));
        if encoding == UTF_8 {
            return Ok(Self { bytes, encoding: None });
        }
        let decoder = encoding.new_decoder_with_bom_removal();
        let decoded = Decoded { bytes, decoder, input: Vec::new(), output: Cursor::default(), is_over: false };
        Ok(Self { bytes: Box::new(decoded), encoding: Some(encoding) })
    }
}

/// Decodes what is read.
struct Decoded {
    bytes: Box<dyn Read + Send>,
    decoder: Decoder,
    /// Read, and not decoded yet.
    input: Vec<u8>,
    /// Decoded, and not given out yet.
    output: Cursor<Vec<u8>>,
    /// Whether the last bytes were decoded.
    is_over: bool,
}

impl Decoded {
    /// Decodes a block.
    fn more(&mut self) -> Result<()> {
        let read = self.bytes.by_ref().take(BLOCK as u64).read_to_end(&mut self.input)?;
        let is_last = read < BLOCK;
        let mut output = std::mem::take(self.output.get_mut());
        output.resize(output.len().max(4 * BLOCK), 0);
        let (mut from, mut to) = (0, 0);
        loop {
            // There is always room for one character, so that each turn makes way.
            if output.len() - to < 16 {
                output.resize(2 * output.len(), 0);
            }
            let (input, room) = (&self.input[from..], &mut output[to..]);
            let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(input, room, is_last);
            (from, to) = (from + read, to + written);
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    if to == output.len() {
                        output.push(0);
                    }
                    output[to] = MALFORMED;
                    to += 1;
                }
            }
        }
        output.truncate(to);
        self.input.clear();
        self.output = Cursor::new(output);
        self.is_over = is_last;
        Ok(())
    }
}

impl Read for Decoded {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        loop {
            match self.output.read(into)? {
                0 if !self.is_over && !into.is_empty() => match self.more() {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    done => done?,
                },
                read => return Ok(read),
            }
        }
    }
}

/// The encoding of a label, and what it is called.
pub(crate) fn is_label(label: &str) -> bool {
    Encoding::for_label_no_replacement(label.as_bytes()).is_some()
}

/// Labels that are offered where another is misspelt.
pub(crate) const LABELS: [&str; 40] = [
    "utf-8",
    "utf-16",
    "utf-16le",
    "utf-16be",
    "latin1",
    "latin2",
    "latin5",
    "ascii",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "windows-1253",
    "windows-1254",
    "windows-1255",
    "windows-1256",
    "windows-1257",
    "windows-1258",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-5",
    "iso-8859-7",
    "iso-8859-8",
    "iso-8859-9",
    "iso-8859-15",
    "gbk",
    "gb2312",
    "gb18030",
    "big5",
    "euc-jp",
    "shift_jis",
    "sjis",
    "iso-2022-jp",
    "euc-kr",
    "ks_c_5601-1987",
    "koi8-r",
    "koi8-u",
    "macintosh",
    "ibm866",
    "tis-620",
    "windows-874",
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(bytes: &[u8], label: Option<&str>) -> (Vec<u8>, Option<&'static str>) {
        let mut text = Text::new(Box::new(Cursor::new(bytes.to_vec())), label).unwrap();
        let mut read = Vec::new();
        text.bytes.read_to_end(&mut read).unwrap();
        (read, text.encoding.map(Encoding::name))
    }

    #[test]
    fn encodings_are_those_of_the_labels_and_marks() {
        assert_eq!(decoded("é\n".as_bytes(), None), ("é\n".into(), None));
        assert_eq!(decoded(b"\xe9\n", Some("latin1")), ("é\n".into(), Some("windows-1252")));
        assert_eq!(decoded(b"\xff\xfea\0\xe9\0", None), ("aé".into(), Some("UTF-16LE")));
        assert_eq!(decoded(b"\xfe\xff\0a\0\xe9", Some("utf-16")), ("aé".into(), Some("UTF-16BE")));
        assert_eq!(decoded(b"a\0", Some("utf-16le")), ("a".into(), Some("UTF-16LE")));
        // In another encoding these are letters.
        assert_eq!(decoded(b"\xff\xfe", Some("latin1")), ("ÿþ".into(), Some("windows-1252")));
        assert_eq!(decoded(b"", Some("gbk")), (Vec::new(), Some("GBK")));
        assert_eq!(decoded(b"\xff", None), (vec![0xff], None));
    }

    #[test]
    fn what_means_no_character_is_marked() {
        assert_eq!(decoded(b"a\xff\xff,b\n\x81", Some("gb18030")).0, b"a\xff\xff,b\n\xff");
        assert_eq!(decoded(b"\xff\xfea\0\0\xd8b\0c", None).0, b"a\xffb\xff");
        let many = vec![0xff; 3 * BLOCK];
        assert_eq!(decoded(&many, Some("euc-kr")).0, many);
    }

    #[test]
    fn every_label_that_is_offered_is_one() {
        assert!(LABELS.iter().all(|label| is_label(label)));
        assert!(!is_label("latin-1") && !is_label("hz-gb-2312"));
    }

    proptest! {
        #[test]
        fn texts_come_back(text in "\\PC{0,40}", repeat in 1usize..4000) {
            let text = text.repeat(repeat);
            let (bytes, encoding, _) = encoding_rs::GB18030.encode(&text);
            let (found, name) = decoded(&bytes, Some("gb18030"));
            // A few characters of private use have no bytes of their own.
            let expected = encoding.decode_without_bom_handling(&bytes).0;
            prop_assert_eq!(String::from_utf8(found).unwrap(), expected);
            prop_assert_eq!(name, Some("gb18030"));
        }
    }
}
