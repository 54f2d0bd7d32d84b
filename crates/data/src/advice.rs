//! [`Key`]: a key that says how files are written, spelt as the reader of a message can set it.

use std::fmt::Write as _;

/// A key of `[data]` or `[data.csv]`, which commands without a configuration take as options.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'k> {
    name: &'k str,
    is_csv: bool,
}

impl<'k> Key<'k> {
    /// A key of `[data.csv]`.
    pub(crate) fn csv(name: &'k str) -> Self {
        Self { name, is_csv: true }
    }

    /// `format` of `[data]`.
    pub(crate) fn format() -> Key<'static> {
        Key { name: "format", is_csv: false }
    }

    /// "set it to this text", in a configuration or on the command line.
    pub(crate) fn text(self, value: &str, by_configuration: bool) -> String {
        match by_configuration {
            true => self.set(&quoted(value), true),
            false => self.set(&shell(value), false),
        }
    }

    /// "set it to this", as TOML.
    pub(crate) fn set(self, value: &str, by_configuration: bool) -> String {
        let Self { name, is_csv } = self;
        match (by_configuration, is_csv) {
            (true, true) => format!("set {name} = {value} in [data.csv]"),
            (true, false) => format!("set {name} = {value} in [data]"),
            (false, true) => format!("give --csv {name}={value}"),
            (false, false) => format!("give --data-format {value}"),
        }
    }
}

/// As a TOML string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        let _ = match char {
            '"' | '\\' => write!(quoted, "\\{char}"),
            '\t' => write!(quoted, "\\t"),
            char => write!(quoted, "{char}"),
        };
    }
    quoted + "\""
}

/// As a word of the shell.
fn shell(text: &str) -> String {
    match text.chars().all(|char| char.is_ascii_alphanumeric() || "-_.,:".contains(char)) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\t', "\\t").replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spelt_for_their_place() {
        let escape = Key::csv("escape");
        assert_eq!(escape.text("\\", true), r#"set escape = "\\" in [data.csv]"#);
        assert_eq!(escape.text("\\", false), r"give --csv escape='\'");
        assert_eq!(Key::csv("quote").text("", true), r#"set quote = "" in [data.csv]"#);
        assert_eq!(Key::csv("quote").text("", false), "give --csv quote=");
        assert_eq!(Key::csv("separator").text("\t", false), r"give --csv separator='\t'");
        assert_eq!(Key::format().text("parquet", true), r#"set format = "parquet" in [data]"#);
        assert_eq!(Key::format().text("parquet", false), "give --data-format parquet");
    }
}
