//! Standard output: results, as text or JSON. Everything else goes to standard error.

use std::io::{self, Write};

use serde::Serialize;

use crate::terminal;

/// Form of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}

/// Prints a text as it is, with a newline at its end.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.trim_end().as_bytes()).and_then(|()| out.write_all(b"\n"));
    tolerate_closed(written.and_then(|()| out.flush()))
}

/// Prints a value as indented JSON.
pub(crate) fn print_json(value: &impl Serialize) -> io::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// A reader that has seen enough (`| head`) closes the pipe; that is no failure of ours.
fn tolerate_closed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(io::Error::new(error.kind(), format!("cannot write to standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Rows under a header, columns aligned: the first to the left, the others to the right.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    left: bool,
}

impl Table {
    /// A table with these column names.
    pub(crate) fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        Self { rows: vec![header.into_iter().map(Into::into).collect()], left: false }
    }

    /// All columns to the left: a table of words.
    pub(crate) fn left(self) -> Self {
        Self { left: true, ..self }
    }

    /// Adds a row; missing cells at its end stay empty.
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The table as lines, a rule under the header.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (i, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, &width) in widths.iter().enumerate() {
                let cell = row.get(column).map_or("", String::as_str);
                if column == 0 {
                    line.push_str(&format!("{cell:<width$}"));
                } else if self.left {
                    line.push_str(&format!("  {cell:<width$}"));
                } else {
                    line.push_str(&format!("  {cell:>width$}"));
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
            if i == 0 {
                text.push_str(&"-".repeat(widths.iter().sum::<usize>() + 2 * columns.saturating_sub(1)));
                text.push('\n');
            }
        }
        text
    }
}

/// A line in as many as the width asks for, broken at blanks; those after the first begin `indent` columns to the right.
pub(crate) fn folded(line: &str, width: usize, indent: usize) -> String {
    let mut text = String::new();
    let mut used = 0;
    for word in line.split_inclusive(' ') {
        let own = word.trim_end().chars().count();
        if used > indent && used + own > width {
            text.truncate(text.trim_end().len());
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            used = indent;
        }
        text.push_str(word);
        used += word.chars().count();
    }
    text
}

/// Width of the terminal that shows results; `None` in a pipe.
pub(crate) fn width() -> Option<usize> {
    terminal::width_of(io::stdout())
}

/// A count with its thousands set apart: `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length of time as people say it: `12 s`, `3 min 20 s`, `1 h 20 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..=59 => format!("{whole} s"),
        60..=3599 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["task", "rows", "auc"]);
        table.row(["click", "1,000", "0.75"]);
        table.row(["a long name", "9", ""]);
        let expected = "\
task          rows   auc
------------------------
click        1,000  0.75
a long name      9
";
        assert_eq!(table.render(), expected);
    }

    #[test]
    fn long_lines_are_folded_at_blanks() {
        assert_eq!(folded("PLE   helps a and b and c", 14, 6), "PLE   helps a\n      and b\n      and c");
        assert_eq!(folded("PLE   helps a", 80, 6), "PLE   helps a");
        // A word that is wider than the line has one of its own.
        assert_eq!(folded("PLE   abcdefghijkl mn", 10, 6), "PLE   abcdefghijkl\n      mn");
    }

    #[test]
    fn time_is_told_in_two_units_at_most() {
        assert_eq!((duration(0.4), duration(59.4), duration(-1.0)), ("0 s".into(), "59 s".into(), "0 s".into()));
        assert_eq!((duration(200.0), duration(4800.0)), ("3 min 20 s".to_owned(), "1 h 20 min".to_owned()));
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
    }
}
