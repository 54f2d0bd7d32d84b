//! How a feature is read: kind, encoding and width, by what stands in its column.
//!
//! The settings are those of `docs/quality.md`; where nothing was measured, the reason says what was seen.

use std::collections::HashSet;

use super::profile::{Profile, ValueKind};
use super::quote::{count, quoted, shown};
use super::words;

/// What the table as a whole says to each of its columns.
pub(super) struct Scale<'a> {
    /// Whether all rows were seen.
    pub(super) is_whole: bool,
    /// Columns of numbers.
    pub(super) numbers: usize,
    /// All columns.
    pub(super) names: HashSet<&'a str>,
}

/// A feature: the keys of its block, and what was seen.
#[derive(Debug)]
pub(super) struct Feature {
    /// Lines below `columns`, each with its reason; blocks with the same lines are one.
    pub(super) lines: Vec<String>,
    /// What was seen in the column.
    pub(super) facts: String,
    pub(super) kind: FeatureSort,
}

/// What training has to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FeatureSort {
    Number,
    /// With a table of so few values that they are known.
    Category,
    /// With a hashed table.
    Hashed,
}

/// Columns of numbers beyond which each is a number alone.
pub(super) const MANY_NUMBERS: usize = 256;

/// Different values beyond which a table is hashed.
const MANY_VALUES: usize = 20_000;

/// Most rows of a hashed table.
const MOST_ROWS: usize = 1_000_000;

pub(super) fn feature(profile: &Profile, scale: &Scale<'_>) -> Feature {
    let facts = facts(profile);
    let is_code = profile.kind == ValueKind::Whole
        && profile.distinct() > 2
        && !profile.is_nameless
        && (words::is_id(&profile.name) || words::is_code(&profile.name) || words::is_person(&profile.name));
    let (lines, kind) = match profile.kind {
        ValueKind::Whole | ValueKind::Decimal if !is_code => (number(profile, scale), FeatureSort::Number),
        _ => category(profile, scale),
    };
    Feature { lines, facts, kind }
}

/// A key and its value, with the reason beside it.
fn line(key: &str, value: &str, reason: &str) -> String {
    let text = format!("{key} = {value}");
    if reason.is_empty() { text } else { format!("{text:<43} # {reason}") }
}

fn number(profile: &Profile, scale: &Scale<'_>) -> Vec<String> {
    let mut lines = vec![line("kind", "\"numeric\"", "")];
    let (least, most) = profile.range();
    let is_skewed = least >= 0.0 && most > 10.0 && profile.skewness() > 2.0;
    lines.push(match is_skewed {
        true => line("transform", "[\"log1p\", \"standardize\"]", "a few values are far above the others"),
        false => line("transform", "[\"standardize\"]", ""),
    });
    if profile.missing() > 0 {
        lines.push(line("missing", "\"mean\"", "values are missing; a number (missing = -1) would tell them apart"));
    } else if !scale.is_whole {
        lines.push(line("missing", "\"mean\"", "none is missing in the rows that were read, and there are more rows"));
    }
    if scale.numbers > MANY_NUMBERS || profile.distinct() <= 2 {
        return lines;
    }
    let often: usize = profile.values.iter().map(|value| value.count).filter(|&rows| rows >= 5).sum();
    if often * 20 >= profile.present && !profile.is_nameless && is_free(profile, "exact", scale) {
        lines.push(line(
            "exact",
            "{ embedding = 8, min_count = 5 }",
            "values that come often are known one by one, too",
        ));
    }
    if profile.distinct() >= 8 && is_free(profile, "pieces", scale) {
        lines.push(line("pieces", "16", "and the number piece by piece: a layer learns steps by it"));
    }
    lines
}

/// Whether no column has the name that a second feature of this one would have.
fn is_free(profile: &Profile, suffix: &str, scale: &Scale<'_>) -> bool {
    !scale.names.contains(format!("{}.{suffix}", profile.name).as_str())
}

fn category(profile: &Profile, scale: &Scale<'_>) -> (Vec<String>, FeatureSort) {
    let mut lines = vec![line("kind", "\"categorical\"", "")];
    if profile.kind == ValueKind::List {
        lines.push(line("multiple", "true", "several values a row; their embeddings are averaged"));
        if let Some(separator) = profile.separator.filter(|&separator| separator != '|') {
            lines.push(line("separator", &quoted(&separator.to_string()), ""));
        }
    }
    let (distinct, rows) = (profile.distinct(), profile.present.max(profile.elements));
    // Values that come again and again in the sample are all there are; else there are more than were seen.
    let grows = !scale.is_whole && distinct * 20 > rows;
    if distinct > MANY_VALUES || grows && distinct > 1000 {
        let wanted = distinct * if scale.is_whole { 4 } else { 10 };
        let table = round_up(wanted.max(10_000)).min(MOST_ROWS);
        lines.push(line(
            "encoding",
            &format!("{{ hash = {table} }}"),
            "many values, and new ones come: a table of a fixed size",
        ));
        lines.push(line("embedding", "16", ""));
        return (lines, FeatureSort::Hashed);
    }
    if distinct > 1000 {
        lines.push(line(
            "encoding",
            "{ vocabulary = { min_count = 2 } }",
            "a value of a single row counts as unknown: nothing can be learned of it",
        ));
    }
    lines.push(line("embedding", if distinct > 1000 { "16" } else { "8" }, ""));
    (lines, if distinct > 1000 { FeatureSort::Hashed } else { FeatureSort::Category })
}

/// The next larger of 10,000, 20,000, 50,000, 100,000 ...
fn round_up(number: usize) -> usize {
    let steps = (0..).flat_map(|power| [1, 2, 5].map(|step| step * 10usize.saturating_pow(power)));
    steps.into_iter().find(|&step| step >= number).unwrap_or(number)
}

/// What was seen in a column, in some words.
pub(super) fn facts(profile: &Profile) -> String {
    let distinct = count(profile.distinct());
    let text = match profile.kind {
        ValueKind::Missing => "no values".to_owned(),
        ValueKind::Bool => "true and false".to_owned(),
        ValueKind::Whole | ValueKind::Decimal => {
            let (least, most) = profile.range();
            let what = if profile.kind == ValueKind::Whole { "whole numbers" } else { "numbers" };
            // The size of an id says nothing.
            if profile.kind == ValueKind::Whole && words::is_id(&profile.name) {
                return format!("{distinct} ids{}", missing(profile));
            }
            format!("{what}, {distinct} different, {least} to {most}")
        }
        ValueKind::Text => format!("{distinct} texts{}", such_as(profile)),
        ValueKind::Time => {
            let texts = || profile.values.iter().map(|value| value.text.as_str());
            format!(
                "times, {} to {}",
                shown(texts().min().unwrap_or_default()),
                shown(texts().max().unwrap_or_default())
            )
        }
        ValueKind::List => {
            let mean = profile.elements as f64 / profile.rows.max(1) as f64;
            format!("lists of {distinct} values, {mean:.1} a row{}", such_as(profile))
        }
    };
    text + &missing(profile)
}

fn missing(profile: &Profile) -> String {
    if profile.missing() == 0 || profile.kind == ValueKind::Missing {
        return String::new();
    }
    let share = 100.0 * profile.missing() as f64 / profile.rows.max(1) as f64;
    format!("; {share:.1} % missing")
}

fn such_as(profile: &Profile) -> String {
    profile.commonest().map_or_else(String::new, |value| format!(", such as {}", shown(&value.text)))
}
