//! What a person may want to add: a split by time, groups of rows, weights.

use super::profile::{Profile, ValueKind};
use super::quote::{count, quoted};
use super::words;

/// Lines for `[data]` that take the last rows of a column of times for validation and test; none where all rows are of
/// one time.
pub(super) fn split(profile: &Profile) -> Option<[String; 2]> {
    let mut values: Vec<_> = profile.values.iter().collect();
    values.sort_by(|a, b| match (a.number, b.number) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => a.text.cmp(&b.text),
    });
    let at = |share: f64| {
        let mut rows = 0;
        values.iter().find(|value| {
            rows += value.count;
            rows as f64 > share * profile.present as f64
        })
    };
    let (valid, test) = (at(0.8)?, at(0.9)?);
    if valid.text == test.text {
        return None;
    }
    let written = |text: &str| match profile.kind {
        ValueKind::Whole if text.parse::<i64>().is_ok() => text.to_owned(),
        _ => quoted(text),
    };
    let (name, from, to) = (quoted(&profile.name), written(&valid.text), written(&test.text));
    Some([
        format!("valid = {{ column = {name}, from = {from}, to = {to} }}"),
        format!("test = {{ column = {name}, from = {to} }}"),
    ])
}

/// Rows that the values of a column group: of a visit or a person, some rows each.
pub(super) fn group(profile: &Profile) -> Option<String> {
    let is_one = words::is_visit(&profile.name) || words::is_person(&profile.name) && words::is_id(&profile.name);
    let rows = profile.present as f64 / profile.distinct().max(1) as f64;
    let is_one = is_one
        && profile.refused.is_none()
        && matches!(profile.kind, ValueKind::Whole | ValueKind::Text)
        && rows >= 2.0;
    is_one.then(|| format!("{} different values, {rows:.1} rows each", count(profile.distinct())))
}
