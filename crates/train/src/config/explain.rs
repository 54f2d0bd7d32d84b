//! What serde complains about, in the words of someone who wrote a configuration.
//!
//! serde hands its complaints on as text. Their forms are fixed (`serde::de::Error`), so they can be read back.

use pleiad_data::suggest;
use toml::de::DeValue;

use super::foreign;

/// A complaint of serde, taken apart.
#[derive(Debug, PartialEq)]
pub(super) enum Complaint<'m> {
    /// A key that the table does not have.
    UnknownKey {
        /// The key.
        key: &'m str,
        /// Those it has.
        known: Vec<&'m str>,
    },
    /// A key that the table must have.
    MissingKey {
        /// The key.
        key: &'m str,
    },
    /// A word that is none of the words allowed.
    UnknownWord {
        /// The word.
        word: &'m str,
        /// Those allowed.
        known: Vec<&'m str>,
    },
    /// A value of the wrong type or range.
    WrongValue {
        /// What was found, in serde's words: `string "x"`, ``integer `5` ``.
        found: &'m str,
        /// What was expected.
        expected: &'m str,
    },
    /// A list of the wrong length.
    WrongLength {
        /// What was found, such as `1`.
        found: &'m str,
        /// What was expected, in serde's words.
        expected: &'m str,
    },
    /// Neither a word nor a table, where one of several words is expected.
    NoWord,
    /// Anything else: written by a check of ours, already in plain words.
    Other(&'m str),
}

/// Takes a message of serde apart.
pub(super) fn read(message: &str) -> Complaint<'_> {
    let message = without_keys(message);
    let quoted = |prefix: &str| {
        let rest = message.strip_prefix(prefix)?.strip_prefix('`')?;
        // The name may hold a backtick itself; what follows it is known.
        let end = ["`, expected", "`, there are no"].iter().find_map(|s| rest.find(s)).or_else(|| rest.rfind('`'))?;
        Some((&rest[..end], names(&rest[end + 1..])))
    };
    if let Some((key, known)) = quoted("unknown field ") {
        return Complaint::UnknownKey { key, known };
    }
    if let Some((word, known)) = quoted("unknown variant ") {
        return Complaint::UnknownWord { word, known };
    }
    if let Some((key, _)) = quoted("missing field ") {
        return Complaint::MissingKey { key };
    }
    let value = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    if let Some((found, expected)) = value.and_then(|rest| rest.rsplit_once(", expected ")) {
        return Complaint::WrongValue { found, expected };
    }
    if let Some((found, expected)) = message.strip_prefix("invalid length ").and_then(|m| m.split_once(", expected ")) {
        return Complaint::WrongLength { found, expected };
    }
    // The TOML reader's own words.
    if message == "wanted string or table" || message.starts_with("wanted exactly 1 element") {
        return Complaint::NoWord;
    }
    Complaint::Other(message)
}

/// What the readers of TOML and JSON say of numbers, in words for people; what is in such words already, as it is.
pub(super) fn sentence(message: &str) -> &str {
    match message {
        "JSON number out of range" => "must be a smaller number: whole numbers go to 18446744073709551615",
        "floating-point number overflowed" => "must be a smaller number: numbers go to 1.7976931348623157e308",
        message => message,
    }
}

/// A message without the keys that the TOML reader writes in lines below it, as far as it knows them.
fn without_keys(message: &str) -> &str {
    let mut message = message.trim_end();
    while let Some((above, last)) = message.rsplit_once('\n')
        && last.starts_with("in `")
        && last.ends_with('`')
    {
        message = above.trim_end();
    }
    message
}

/// The names between backticks.
fn names(list: &str) -> Vec<&str> {
    list.split('`').skip(1).step_by(2).collect()
}

/// Whether a scalar is the one that serde found, judged by serde's words for it.
pub(super) fn is_found(node: &DeValue<'_>, found: &str) -> bool {
    match node {
        DeValue::String(s) => found == format!("string {s:?}"),
        DeValue::Boolean(b) => found == format!("boolean `{b}`"),
        DeValue::Integer(i) => {
            let text = found.strip_prefix("integer `").and_then(|f| f.strip_suffix('`'));
            let value = i128::from_str_radix(i.as_str(), i.radix()).ok();
            value.is_some() && text.and_then(|t| t.parse().ok()) == value
        }
        DeValue::Float(f) => {
            let text = found.strip_prefix("floating point `").and_then(|f| f.strip_suffix('`'));
            let value: Option<f64> = f.as_str().parse().ok();
            // What is no finite number is nothing in JSON, by which a model is read.
            let broken = value.is_some_and(|value| !value.is_finite());
            let other: Option<f64> = text.and_then(|t| t.parse().ok());
            let both_nan = value.zip(other).is_some_and(|(value, other)| value.is_nan() && other.is_nan());
            (broken && found == "null") || both_nan || (value.is_some() && other == value)
        }
        DeValue::Array(_) => found == "sequence",
        // A date is handed on as a table.
        DeValue::Table(_) | DeValue::Datetime(_) => found == "map",
    }
}

/// Another scalar of the same type as the one that serde found, and serde's words for it.
pub(super) fn another(found: &str) -> Option<(DeValue<'static>, String)> {
    let parse = |text: &'static str| DeValue::parse(text).ok().map(toml::Spanned::into_inner);
    if found.starts_with("string ") {
        // serde's message quotes a text without special letters as it is.
        return Some((DeValue::String("987654321".into()), "string \"987654321\"".to_owned()));
    }
    if found.starts_with("integer `-") {
        return Some((parse("-987654321")?, "integer `-987654321`".to_owned()));
    }
    if found.starts_with("integer `") {
        return Some((parse("987654321")?, "integer `987654321`".to_owned()));
    }
    if found.starts_with("floating point `") {
        return Some((parse("987654321.5")?, "floating point `987654321.5`".to_owned()));
    }
    match found {
        "boolean `true`" => Some((DeValue::Boolean(false), "boolean `false`".to_owned())),
        "boolean `false`" => Some((DeValue::Boolean(true), "boolean `true`".to_owned())),
        _ => None,
    }
}

/// Whether a message complains of the type of the text `mark`, where `wanted` was expected if the message says so.
pub(super) fn complains_of_type(message: &str, mark: &str, wanted: Option<&str>) -> bool {
    match read(message) {
        Complaint::WrongValue { found, expected } => {
            found == format!("string {mark:?}") && wanted.is_none_or(|wanted| wanted == expected)
        }
        Complaint::UnknownWord { word, .. } => word == mark,
        _ => false,
    }
}

/// Like [`suggest`] for a key, which may have another library's name.
pub(super) fn suggest_key(name: &str, known: &[&str]) -> String {
    foreign_first(name, known, foreign::key(name, known))
}

/// Like [`suggest`] for a word.
pub(super) fn suggest_word(name: &str, known: &[&str]) -> String {
    foreign_first(name, known, foreign::word(name, known))
}

fn foreign_first(name: &str, known: &[&str], meant: Option<&str>) -> String {
    match meant.filter(|meant| *meant != name) {
        // The message names a key of another table with that table: `learning_rate` of [train] optimizer.
        Some(meant) => match meant.strip_prefix('[').and_then(|rest| rest.rsplit_once("] ")) {
            Some((table, key)) => format!("; did you mean `{key}` of [{table}]? (known here: {})", known.join(", ")),
            None => format!("; did you mean `{meant}`? (known: {})", known.join(", ")),
        },
        None => suggest(name, known),
    }
}

/// serde's words for what was expected, in words for people, where `found` stands instead.
pub(super) fn expected(words: &str, found: &str) -> String {
    let most = match words {
        "usize" | "u64" => u64::MAX,
        "u32" => u32::MAX.into(),
        "u16" => u16::MAX.into(),
        "u8" => u8::MAX.into(),
        _ => return plain(words),
    };
    // A whole number that is not too small is too large.
    match found.starts_with("integer `") && !found.starts_with("integer `-") {
        true => format!("a whole number from 0 to {most}"),
        false => plain(words),
    }
}

/// A value as it was written, in words for people.
pub(super) fn value(node: &DeValue<'_>) -> String {
    match node {
        DeValue::String(text) => format!("the text {text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(date) => format!("the date {date}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// serde's words for types and values, in words for people.
pub(super) fn plain(words: &str) -> String {
    let known = match words {
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number, 0 or more",
        "i64" | "i32" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "string" | "str" | "a borrowed string" => "a text in quotes",
        "a boolean" | "bool" => "true or false",
        "a sequence" => "a list in [ ]",
        "sequence" => "a list",
        "map" | "a map" => "a table",
        "null" => "no finite number",
        _ => {
            return words
                .strip_prefix("struct ")
                .map(|_| "a table".to_owned())
                .or_else(|| words.strip_prefix("internally tagged enum ").map(|_| "a table with a `kind`".to_owned()))
                .or_else(|| words.strip_prefix("an array of length ").map(|n| format!("a list of {n} values")))
                .or_else(|| words.strip_prefix("a tuple of size ").map(|n| format!("a list of {n} values")))
                .or_else(|| words.strip_prefix("string ").map(|s| format!("the text {s}")))
                .or_else(|| words.strip_prefix("integer ").map(|s| s.trim_end_matches(" as i128").replace('`', "")))
                .or_else(|| words.strip_prefix("floating point ").map(|s| s.replace('`', "")))
                .or_else(|| words.strip_prefix("boolean ").map(|s| s.replace('`', "")))
                .unwrap_or_else(|| words.to_owned());
        }
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_forms_of_serde() {
        assert_eq!(
            read("unknown field `epoch`, expected one of `epochs`, `seed`"),
            Complaint::UnknownKey { key: "epoch", known: vec!["epochs", "seed"] }
        );
        assert_eq!(read("unknown field `a`, there are no fields"), Complaint::UnknownKey { key: "a", known: vec![] });
        assert_eq!(read("missing field `data`"), Complaint::MissingKey { key: "data" });
        assert_eq!(
            read("unknown variant `adm`, expected `adam` or `sgd`"),
            Complaint::UnknownWord { word: "adm", known: vec!["adam", "sgd"] }
        );
        assert_eq!(
            read("invalid type: string \"a, expected b\", expected usize"),
            Complaint::WrongValue { found: "string \"a, expected b\"", expected: "usize" }
        );
        assert_eq!(
            read("invalid type: sequence, expected f64\n\nin `rows`\n"),
            Complaint::WrongValue { found: "sequence", expected: "f64" }
        );
        assert_eq!(
            read("invalid length 1, expected an array of length 2"),
            Complaint::WrongLength { found: "1", expected: "an array of length 2" }
        );
        assert_eq!(read("at least one width"), Complaint::Other("at least one width"));
    }

    #[test]
    fn names_with_backticks_do_not_confuse() {
        assert_eq!(read("unknown field `a`b`, expected `c`"), Complaint::UnknownKey { key: "a`b", known: vec!["c"] });
    }
}
