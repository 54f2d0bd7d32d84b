//! Changes of bytes, as disks, copies and people make them.

use std::ops::Range;

use rand::Rng;

/// Tokens that parsers seldom meet in tests.
const HOSTILE: [&str; 24] = [
    "-1",
    "0",
    "1e308",
    "-1e-320",
    "nan",
    "inf",
    "9223372036854775808",
    "18446744073709551615",
    "2147483648",
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "[[",
    "=",
    ",",
    "\\",
    "\u{0}",
    "\u{feff}",
    "\r",
    "true",
    "é",
];

/// `bytes` with one to three changes.
pub(crate) fn mutated(bytes: &[u8], rng: &mut impl Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.random_range(1..=3) {
        change(&mut bytes, rng);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, rng: &mut impl Rng) {
    if bytes.is_empty() {
        bytes.push(rng.random());
        return;
    }
    let at = rng.random_range(0..bytes.len());
    match rng.random_range(0..13) {
        // A bit flips: the most frequent damage of all, so it has the most cases.
        0..=3 => bytes[at] ^= 1 << rng.random_range(0..8),
        4 => bytes[at] = rng.random(),
        5 => bytes.truncate(at),
        6 => drop(bytes.drain(piece(bytes.len(), at, rng))),
        7 => {
            let range = piece(bytes.len(), at, rng);
            bytes[range].fill(0);
        }
        8 => {
            let copy = bytes[piece(bytes.len(), at, rng)].to_vec();
            let to = rng.random_range(0..=bytes.len());
            bytes.splice(to..to, copy);
        }
        9 => {
            let extreme: u64 =
                [0, u64::MAX, i64::MAX as u64, 1 << 62, 0x7fff_ffff, 0xffff_ffff][rng.random_range(0..6)];
            let width = [2, 4, 8][rng.random_range(0..3)];
            let end = (at + width).min(bytes.len());
            bytes[at..end].copy_from_slice(&extreme.to_le_bytes()[..end - at]);
        }
        10 => {
            let token = HOSTILE[rng.random_range(0..HOSTILE.len())].bytes();
            let end = token_at(bytes, at).end;
            let start = token_at(bytes, at).start;
            bytes.splice(start..end, token);
        }
        11 => {
            // A digit becomes another digit: what only a sum can see.
            let digits: Vec<usize> = (0..bytes.len()).filter(|&i| bytes[i].is_ascii_digit()).collect();
            if let Some(&digit) = digits.get(rng.random_range(0..digits.len().max(1))) {
                bytes[digit] = b'0' + (bytes[digit] - b'0' + rng.random_range(1..10)) % 10;
            }
        }
        _ => {
            let (a, b) = (line_at(bytes, at), line_at(bytes, rng.random_range(0..bytes.len())));
            if a.end <= b.start {
                let (first, second) = (bytes[a.clone()].to_vec(), bytes[b.clone()].to_vec());
                bytes.splice(b, first);
                bytes.splice(a, second);
            } else {
                bytes.drain(a);
            }
        }
    }
}

/// Up to 64 bytes from `at` on.
fn piece(len: usize, at: usize, rng: &mut impl Rng) -> Range<usize> {
    at..(at + rng.random_range(1..=64)).min(len)
}

/// The word, number or sign around `at`.
fn token_at(bytes: &[u8], at: usize) -> Range<usize> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.' || byte == b'-';
    if !is_word(bytes[at]) {
        return at..at + 1;
    }
    let start = bytes[..at].iter().rposition(|&byte| !is_word(byte)).map_or(0, |before| before + 1);
    let end = bytes[at..].iter().position(|&byte| !is_word(byte)).map_or(bytes.len(), |after| at + after);
    start..end
}

fn line_at(bytes: &[u8], at: usize) -> Range<usize> {
    let start = bytes[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |before| before + 1);
    let end = bytes[at..].iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |after| at + after + 1);
    start..end
}
