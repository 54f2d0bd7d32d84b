//! [`Verdict`]: what a model's gains say, in words.

use serde::{Deserialize, Serialize};

use crate::by_task::ByTask;
use crate::statistics::{Interval, Side};

/// What a model does to the tasks, against the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The short of it.
    pub kind: VerdictKind,
    /// In words, naming who gains and who pays.
    pub text: String,
    /// Tasks whose whole interval lies above zero.
    pub helps: Vec<String>,
    /// Tasks whose whole interval lies below zero.
    pub hurts: Vec<String>,
    /// Tasks whose gain cannot be told from zero, or is not defined.
    pub open: Vec<String>,
}

/// Kinds of verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// Every task gains.
    HelpsAll,
    /// Some gain, none pays.
    HelpsSome,
    /// Some gain and some pay.
    Seesaw,
    /// Some pay, none gains.
    Hurts,
    /// Nothing can be told from zero.
    NoDifference,
    /// There are too few seeds to tell.
    Unknown,
}

impl Verdict {
    /// The verdict on the gains of every task.
    #[must_use]
    pub fn of(gains: &ByTask<Option<Interval>>) -> Self {
        let tasks = |wanted: fn(Option<Side>) -> bool| -> Vec<String> {
            let of = gains.iter().filter(|(_, gain)| wanted(gain.map(|gain| gain.side())));
            of.map(|(task, _)| task.to_owned()).collect()
        };
        let helps = tasks(|side| side == Some(Side::Above));
        let hurts = tasks(|side| side == Some(Side::Below));
        let open = tasks(|side| !matches!(side, Some(Side::Above | Side::Below)));
        let undefined = tasks(|side| side.is_none());
        let unknown = tasks(|side| side == Some(Side::Unknown));
        let kind = match (helps.is_empty(), hurts.is_empty()) {
            (false, false) => VerdictKind::Seesaw,
            (false, true) if open.is_empty() => VerdictKind::HelpsAll,
            (false, true) => VerdictKind::HelpsSome,
            (true, false) => VerdictKind::Hurts,
            (true, true) if unknown.is_empty() && undefined.len() < gains.len() => VerdictKind::NoDifference,
            (true, true) => VerdictKind::Unknown,
        };
        let signed = |names: &[String]| {
            let one = |name: &String| {
                let mean = gains.get(name).copied().flatten().map_or(f64::NAN, |gain| gain.mean);
                format!("{name} ({mean:+.4})")
            };
            list(names.iter().map(one))
        };
        let rest = |text: String| {
            let across: Vec<_> = open.iter().filter(|task| !undefined.contains(task)).cloned().collect();
            if across.is_empty() { text } else { format!("{text}; no significant difference on {}", list(across)) }
        };
        let text = match kind {
            VerdictKind::HelpsAll => "helps every task".to_owned(),
            VerdictKind::HelpsSome => rest(format!("helps {}", signed(&helps))),
            VerdictKind::Seesaw => {
                let pays = if hurts.len() == 1 { "pays" } else { "pay" };
                rest(format!("seesaw: {} {pays} for {}", signed(&hurts), signed(&helps)))
            }
            VerdictKind::Hurts if open.is_empty() => "hurts every task".to_owned(),
            VerdictKind::Hurts => rest(format!("hurts {}", signed(&hurts))),
            VerdictKind::NoDifference => "no significant difference".to_owned(),
            VerdictKind::Unknown if unknown.is_empty() => "cannot be told: no seed has both models".to_owned(),
            VerdictKind::Unknown => "cannot be told from one seed".to_owned(),
        };
        let text = if undefined.is_empty() || undefined.len() == gains.len() {
            text
        } else {
            format!("{text}; not defined on {}", list(undefined))
        };
        Self { kind, text, helps, hurts, open }
    }
}

/// `a`, `a and b`, `a, b and c`.
fn list(names: impl IntoIterator<Item = String>) -> String {
    let names: Vec<String> = names.into_iter().collect();
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(gains: &[(&str, &[f64])]) -> (VerdictKind, String) {
        let verdict = Verdict::of(&gains.iter().map(|(task, values)| (*task, Interval::of(values))).collect());
        (verdict.kind, verdict.text)
    }

    const UP: &[f64] = &[0.010, 0.011, 0.009];
    const DOWN: &[f64] = &[-0.020, -0.021, -0.019];
    const EITHER: &[f64] = &[0.01, -0.01, 0.002];

    #[test]
    fn every_case_is_told_in_words() {
        type Gains = [(&'static str, &'static [f64])];
        let cases: [(&Gains, VerdictKind, &str); 10] = [
            (&[("a", UP), ("b", UP)], VerdictKind::HelpsAll, "helps every task"),
            (&[("a", UP), ("b", EITHER)], VerdictKind::HelpsSome, "helps a (+0.0100); no significant difference on b"),
            (&[("a", UP), ("b", DOWN)], VerdictKind::Seesaw, "seesaw: b (-0.0200) pays for a (+0.0100)"),
            (
                &[("a", UP), ("b", DOWN), ("c", DOWN), ("d", EITHER)],
                VerdictKind::Seesaw,
                "seesaw: b (-0.0200) and c (-0.0200) pay for a (+0.0100); no significant difference on d",
            ),
            (&[("a", DOWN), ("b", DOWN)], VerdictKind::Hurts, "hurts every task"),
            (&[("a", EITHER), ("b", DOWN)], VerdictKind::Hurts, "hurts b (-0.0200); no significant difference on a"),
            (&[("a", EITHER), ("b", EITHER)], VerdictKind::NoDifference, "no significant difference"),
            (&[("a", &[0.1]), ("b", &[-0.1])], VerdictKind::Unknown, "cannot be told from one seed"),
            (&[("a", &[]), ("b", &[])], VerdictKind::Unknown, "cannot be told: no seed has both models"),
            (&[("a", UP), ("b", &[])], VerdictKind::HelpsSome, "helps a (+0.0100); not defined on b"),
        ];
        for (gains, kind, text) in cases {
            assert_eq!(verdict(gains), (kind, text.to_owned()));
        }
    }
}
