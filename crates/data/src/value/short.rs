//! [`Short`]: a short text without an allocation.

use std::fmt;

/// Longest text: a decimal of 38 digits behind as many zeros as a scale can ask for.
const CAPACITY: usize = 176;

/// A short text that is written and read in one place. What does not fit is left out; no value's text is so long.
pub(crate) struct Short {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl Default for Short {
    fn default() -> Self {
        Self { bytes: [0; CAPACITY], len: 0 }
    }
}

impl Short {
    pub(super) fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    pub(super) fn push_all(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.push(byte));
    }

    /// A number in `width` decimal digits at least.
    pub(super) fn push_number(&mut self, mut number: u128, width: usize) {
        // 2^128 has 39 digits.
        let mut digits = [b'0'; 40];
        let mut start = digits.len();
        while number > 0 {
            start -= 1;
            digits[start] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        (digits.len() - start..width).for_each(|_| self.push(b'0'));
        self.push_all(&digits[start..]);
    }

    /// Takes `byte` off the end as often as it stands there.
    pub(super) fn trim_end(&mut self, byte: u8) {
        while self.len > 0 && self.bytes[self.len - 1] == byte {
            self.len -= 1;
        }
    }

    pub(crate) fn text(&self) -> &str {
        // Whole texts and ASCII alone come in.
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_all(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_width() {
        let mut short = Short::default();
        short.push_number(7, 3);
        short.push(b' ');
        short.push_number(0, 1);
        short.push_number(u128::MAX, 2);
        assert_eq!(short.text(), format!("007 0{}", u128::MAX));
        short.trim_end(b'5');
        assert!(short.text().ends_with("7682114"), "{}", short.text());
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut short = Short::default();
        (0..1000).for_each(|_| short.push(b'x'));
        assert_eq!(short.text().len(), CAPACITY);
    }
}
