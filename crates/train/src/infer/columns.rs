//! Names of columns as a block lists them: runs such as `x0` to `x511` as one range.

use super::quote::{count, quoted};

/// Names of a run, at the least.
const RUN: usize = 16;

/// An entry of `columns`, and what is said of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ColumnEntry {
    /// As a configuration has it, in quotes.
    pub(super) written: String,
    pub(super) comment: String,
}

/// The entries of some columns, each with what was seen in it.
pub(super) fn entries(columns: &[(&str, &str)]) -> Vec<ColumnEntry> {
    let mut entries = Vec::new();
    let mut at = 0;
    while at < columns.len() {
        let run = run(&columns[at..]);
        let (name, comment) = columns[at];
        match numbered(name).filter(|_| run >= RUN) {
            Some((stem, first)) => {
                let written = quoted(&format!("{stem}[{first}..{}]", first + run as u64));
                entries.push(ColumnEntry { written, comment: format!("{} columns; the first: {comment}", count(run)) });
                at += run;
            }
            None => {
                entries.push(ColumnEntry { written: quoted(name), comment: comment.to_owned() });
                at += 1;
            }
        }
    }
    entries
}

/// How many columns, from the first on, are numbered one after the other.
fn run(columns: &[(&str, &str)]) -> usize {
    let Some((stem, first)) = columns.first().and_then(|(name, _)| numbered(name)) else { return 1 };
    let is_next = |(at, (name, _)): &(usize, &(&str, &str))| numbered(name) == Some((stem, first + *at as u64));
    columns.iter().enumerate().take_while(is_next).count()
}

/// A name that ends with a number, as a range writes it.
fn numbered(name: &str) -> Option<(&str, u64)> {
    let stem = name.trim_end_matches(|char: char| char.is_ascii_digit());
    let digits = &name[stem.len()..];
    let is_plain = digits == "0" || !digits.starts_with('0');
    let number: u64 = digits.parse().ok().filter(|&number: &u64| is_plain && number < 1 << 32)?;
    (!stem.contains(['[', ']', '*', '?'])).then_some((stem, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_numbered_names_are_ranges() {
        let names: Vec<String> = ["a".to_owned()]
            .into_iter()
            .chain((3..23).map(|i| format!("x{i}")))
            .chain((0..3).map(|i| format!("y{i}")))
            .collect();
        let columns: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "c")).collect();
        let written: Vec<String> = entries(&columns).into_iter().map(|entry| entry.written).collect();
        assert_eq!(written, ["\"a\"", "\"x[3..23]\"", "\"y0\"", "\"y1\"", "\"y2\""]);
        for name in ["x01", "x", "a[1]2", "x99999999999999999999", "*1"] {
            assert_eq!(numbered(name), None, "{name}");
        }
        assert_eq!(numbered("x0"), Some(("x", 0)));
    }
}
