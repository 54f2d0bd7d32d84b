//! The use of each column: a feature, a label, or nothing until a person has decided.

use super::choose::{self, Feature, Scale};
use super::labels::Label;
use super::leaks::leak;
use super::profile::{Profile, Value, ValueKind};
use super::quote::{count, shown};
use super::words;
use pleiad_rank::score::logged::columns;

/// What becomes of a column.
#[derive(Debug)]
pub(super) enum Role {
    /// A task's label.
    Label,
    /// A feature.
    Feature(Feature),
    /// Left out.
    Out(Why, String),
}

/// Why a column is left out, in the order in which the text lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    Leak,
    Label,
    Space,
    Id,
    Time,
    Weight,
    Server,
    Text,
    Constant,
    Refused,
}

impl Why {
    /// The kinds, with what is said of all of them.
    pub(super) const ALL: [(Self, &'static str); 10] = [
        (
            Self::Leak,
            "They nearly say what is to be predicted. Is their value known before the row is shown? If so, add them.",
        ),
        (
            Self::Label,
            "They look like labels: known only afterwards. Predict them, too (a [[task]] each), or leave them out.",
        ),
        (Self::Space, "They say whose rows a task is about."),
        (Self::Id, "Names of rows or visits: what is learned of one is never seen again."),
        (Self::Time, "Points in time: for a split, not for a feature. An hour or a weekday made of them may be one."),
        (Self::Weight, "What rows count? If so: weight = .. in [data]."),
        (
            Self::Server,
            "A server's own columns in its log of requests. \"pleiad_request\" says which rows are one request.",
        ),
        (Self::Text, "Texts in words. They need an encoder of their own (embeddings made elsewhere, as columns)."),
        (Self::Constant, "They say nothing: one value, or none."),
        (Self::Refused, "They cannot be read."),
    ];
}

/// The role of each column.
pub(super) fn assign(profiles: &[Profile], labels: &[Label], whole: bool) -> Vec<Role> {
    let names: std::collections::HashSet<&str> = profiles.iter().map(|profile| profile.name.as_str()).collect();
    let numbers = profiles.iter().filter(|profile| profile.is_number()).count();
    let scale = Scale { is_whole: whole, numbers, names };
    profiles.iter().enumerate().map(|(at, profile)| role(at, profile, labels, &scale)).collect()
}

fn role(at: usize, profile: &Profile, labels: &[Label], scale: &Scale<'_>) -> Role {
    let out = |why: Why, text: String| Role::Out(why, text);
    if labels.iter().any(|label| label.at == at) {
        return Role::Label;
    }
    if profile.name.starts_with(columns::PREFIX) {
        return out(Why::Server, "what the server answered".to_owned());
    }
    if let Some(reason) = &profile.refused {
        return out(Why::Refused, reason.clone());
    }
    if let Some(reason) = name_refused(&profile.name) {
        return out(Why::Refused, reason.to_owned());
    }
    if profile.infinite > 0 {
        return out(Why::Refused, format!("{} of its numbers are infinite", count(profile.infinite)));
    }
    if profile.is_wild {
        return out(Why::Refused, "some of its numbers are too large for 32 bits".to_owned());
    }
    if profile.present == 0 {
        return out(Why::Constant, "no value in any row that was read".to_owned());
    }
    if profile.distinct() <= 1 && profile.missing() == 0 {
        let value = profile.values.first().map_or_else(String::new, |value| shown(&value.text));
        return out(Why::Constant, format!("{value} in every row that was read"));
    }
    if labels.iter().any(|label| label.within.as_ref().is_some_and(|(space, _)| *space == at)) {
        return out(Why::Space, "a task's `where` reads it".to_owned());
    }
    let leak = labels.iter().find_map(|label| leak(profile, label));
    if is_event(profile) || words::is_amount(&profile.name) && profile.is_number() && profile.distinct() > 2 {
        let leak = leak.map_or_else(String::new, |leak| format!("; {leak}"));
        return out(Why::Label, choose::facts(profile) + &leak);
    }
    if let Some(reason) = leak {
        return out(Why::Leak, reason);
    }
    if is_time(profile) {
        return out(Why::Time, choose::facts(profile));
    }
    if words::is_weight(&profile.name) && profile.is_number() && profile.range().0 >= 0.0 {
        return out(Why::Weight, choose::facts(profile));
    }
    if let Some(reason) = row_id(profile) {
        return out(Why::Id, reason);
    }
    if profile.kind == ValueKind::Text && profile.length > 60.0 && profile.distinct() * 2 > profile.present {
        return out(
            Why::Text,
            format!("{:.0} characters on average, {} different texts", profile.length, count(profile.distinct())),
        );
    }
    let is_fraction = |value: &Value| value.number.is_some_and(|number| number.fract() != 0.0);
    if profile.kind == ValueKind::List && (profile.is_nameless || profile.values.iter().any(is_fraction)) {
        let reason = "lists of fractions are no categories; write a vector as columns, one a number";
        return out(Why::Refused, reason.to_owned());
    }
    Role::Feature(choose::feature(profile, scale))
}

/// Why a column of this name cannot be named in a configuration.
fn name_refused(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it has no name");
    }
    let range =
        name.split_once('[').and_then(|(_, rest)| rest.split_once(']')).and_then(|(range, _)| range.split_once(".."));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    range
        .is_some_and(|(from, to)| digits(from) && digits(to))
        .then_some("its name reads as a range of columns; rename it")
}

/// Whether it is 0 and 1 by the name of an event.
fn is_event(profile: &Profile) -> bool {
    let texts: Vec<&str> = profile.values.iter().map(|value| value.text.as_str()).collect();
    words::is_event(&profile.name)
        && !texts.is_empty()
        && texts.iter().all(|text| ["0", "1", "true", "false"].contains(text))
}

fn is_time(profile: &Profile) -> bool {
    if profile.kind == ValueKind::Time {
        return true;
    }
    if profile.kind != ValueKind::Whole || !words::is_time(&profile.name) {
        return false;
    }
    let (least, most) = profile.range();
    let within = |from: f64, to: f64| least >= from && most <= to;
    // Seconds, milliseconds, microseconds since 1970; 20261105; a day's number.
    within(1e8, 4e9)
        || within(1e11, 4e12)
        || within(1e14, 4e15)
        || within(19_000_101.0, 21_001_231.0)
        || words::words(&profile.name).len() == 1 && profile.name.to_lowercase().starts_with('d')
}

/// Why a column is the name of a row.
fn row_id(profile: &Profile) -> Option<String> {
    let each = profile.distinct() == profile.present && profile.present >= 20;
    let by_name = words::is_id(&profile.name);
    let is_name = match profile.kind {
        ValueKind::Text => each,
        ValueKind::Whole => each && (by_name || profile.rises()),
        _ => false,
    };
    if is_name {
        return Some(format!("all {} values are different", count(profile.present)));
    }
    let is_visit = words::is_visit(&profile.name) && matches!(profile.kind, ValueKind::Text | ValueKind::Whole);
    is_visit.then(|| {
        let rows = profile.present as f64 / profile.distinct().max(1) as f64;
        format!("{} different values, {rows:.1} rows each: a group of [metrics], perhaps", count(profile.distinct()))
    })
}
