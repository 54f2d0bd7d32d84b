//! What serde complains about, in the words of someone who wrote a configuration.
//!
//! serde hands its complaints on as text. Their forms are fixed (`serde::de::Error`), so they can be read back.

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
    /// Anything else: written by a check of ours, already in plain words.
    Other(&'m str),
}

/// Takes a message of serde apart.
pub(super) fn read(message: &str) -> Complaint<'_> {
    let message = message.trim_end();
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
    Complaint::Other(message)
}

/// The names between backticks.
fn names(list: &str) -> Vec<&str> {
    list.split('`').skip(1).step_by(2).collect()
}

/// Whether a scalar is the one that serde found, told by serde's words for it.
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
        DeValue::Table(_) => found == "map",
        DeValue::Datetime(_) => false,
    }
}

/// Another scalar of the same type as the one that serde found, and serde's words for it.
pub(super) fn another(found: &str) -> Option<(DeValue<'static>, String)> {
    let parse = |text: &'static str| DeValue::parse(text).ok().map(toml::Spanned::into_inner);
    if found.starts_with("string ") {
        // Of serde's quoting nothing but this is to be known: a text without special letters is itself.
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

/// Whether a message complains of the type of the text `mark`, where `wanted` was expected if that is told.
pub(super) fn complains_of_type(message: &str, mark: &str, wanted: Option<&str>) -> bool {
    match read(message) {
        Complaint::WrongValue { found, expected } => {
            found == format!("string {mark:?}") && wanted.is_none_or(|wanted| wanted == expected)
        }
        Complaint::UnknownWord { word, .. } => word == mark,
        _ => false,
    }
}

/// `"; did you mean `epochs`?"` where a known name is near, and the known names.
pub(crate) fn suggest(name: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return String::new();
    }
    let list = known.join(", ");
    match nearest(name, known) {
        Some(near) => format!("; did you mean `{near}`? (known: {list})"),
        None => format!("; known: {list}"),
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
        // A key that stands elsewhere is told with its table: `learning_rate` of [train] optimizer.
        Some(meant) => match meant.strip_prefix('[').and_then(|rest| rest.rsplit_once("] ")) {
            Some((table, key)) => format!("; did you mean `{key}` of [{table}]? (known here: {})", known.join(", ")),
            None => format!("; did you mean `{meant}`? (known: {})", known.join(", ")),
        },
        None => suggest(name, known),
    }
}

/// The known name nearest to `name`, if it is near enough to be meant.
pub(crate) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|k| (strsim::jaro_winkler(&name.to_lowercase(), &k.to_lowercase()), *k))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

/// serde's words for types, in words for people.
pub(super) fn plain(words: &str) -> String {
    let known = match words {
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number, 0 or more",
        "i64" | "i32" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "string" => "a text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list in [ ]",
        "sequence" => "a list",
        "map" => "a table",
        "null" => "no finite number",
        _ => {
            return words
                .strip_prefix("struct ")
                .map(|_| "a table".to_owned())
                .or_else(|| words.strip_prefix("internally tagged enum ").map(|_| "a table with a `kind`".to_owned()))
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
        assert_eq!(read("at least one width"), Complaint::Other("at least one width"));
    }

    #[test]
    fn names_with_backticks_do_not_confuse() {
        assert_eq!(read("unknown field `a`b`, expected `c`"), Complaint::UnknownKey { key: "a`b", known: vec!["c"] });
    }

    #[test]
    fn suggests_only_what_is_near() {
        assert_eq!(nearest("epoch", &["seed", "epochs"]), Some("epochs"));
        assert_eq!(nearest("zzz", &["seed", "epochs"]), None);
    }
}
