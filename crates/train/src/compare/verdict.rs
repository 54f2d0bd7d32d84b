//! [`Verdict`]: what a model's gains say, in words.

use serde::{Deserialize, Serialize};

use super::task::{Missing, TaskComparison};
use crate::ByTask;
use crate::figures;
use crate::metrics::MetricKind;
use crate::statistics::Side;

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
    /// Tasks whose interval holds zero, or whose gain is not defined.
    pub open: Vec<String>,
    /// Those of `helps` and `hurts` that hold after Holm's correction for all gains of the comparison.
    pub holds: Vec<String>,
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
    /// Every interval holds zero.
    NoDifference,
    /// There is no interval of any gain; the text says why.
    Unknown,
}

impl Verdict {
    /// The verdict on every task; `questions` gains were tested in the whole comparison.
    #[must_use]
    pub fn of(tasks: &ByTask<TaskComparison>, metrics: &ByTask<MetricKind>, questions: usize) -> Self {
        let named = |wanted: &dyn Fn(&TaskComparison) -> bool| -> Vec<String> {
            tasks.iter().filter(|(_, task)| wanted(task)).map(|(task, _)| task.to_owned()).collect()
        };
        let lies = |side: Side| named(&|task| task.gain.is_some_and(|gain| gain.side() == side));
        let (helps, hurts, across) = (lies(Side::Above), lies(Side::Below), lies(Side::Across));
        let open: Vec<String> =
            named(&|_| true).into_iter().filter(|t| !helps.contains(t) && !hurts.contains(t)).collect();
        let holds: Vec<String> = named(&TaskComparison::holds)
            .into_iter()
            .filter(|task| helps.contains(task) || hurts.contains(task))
            .collect();
        let kind = match (helps.is_empty(), hurts.is_empty()) {
            (false, false) => VerdictKind::Seesaw,
            (false, true) if open.is_empty() => VerdictKind::HelpsAll,
            (false, true) => VerdictKind::HelpsSome,
            (true, false) => VerdictKind::Hurts,
            (true, true) if !across.is_empty() => VerdictKind::NoDifference,
            (true, true) => VerdictKind::Unknown,
        };
        let changes = |names: &[String]| {
            let one = |name: &String| {
                let gain = tasks.get(name).and_then(|task| task.gain).map(|gain| gain.mean);
                match (metrics.get(name), gain) {
                    (Some(&metric), Some(gain)) => format!("{name} ({})", figures::change(metric, gain)),
                    _ => name.clone(),
                }
            };
            figures::list(&names.iter().map(one).collect::<Vec<_>>())
        };
        let every = if tasks.len() > 1 { "every task: " } else { "" };
        let mut text = match kind {
            VerdictKind::HelpsAll => format!("helps {every}{}", changes(&helps)),
            VerdictKind::HelpsSome => format!("helps {}", changes(&helps)),
            VerdictKind::Seesaw => {
                let pays = if hurts.len() == 1 { "pays" } else { "pay" };
                format!("seesaw: {} {pays} for {}", changes(&hurts), changes(&helps))
            }
            VerdictKind::Hurts if open.is_empty() => format!("hurts {every}{}", changes(&hurts)),
            VerdictKind::Hurts => format!("hurts {}", changes(&hurts)),
            VerdictKind::NoDifference => "no significant difference".to_owned(),
            VerdictKind::Unknown => format!("cannot be told: {}", reasons(tasks)),
        };
        text.push_str(&after_correction(&holds, helps.len() + hurts.len(), questions));
        if !across.is_empty() && kind != VerdictKind::NoDifference {
            text.push_str(&format!("; no significant difference on {}", figures::list(&across)));
        }
        if kind != VerdictKind::Unknown {
            text.push_str(&left_over(tasks));
        }
        Self { kind, text, helps, hurts, open, holds }
    }
}

/// What is left of so many gains and costs after the correction for all questions; one question needs none.
fn after_correction(holds: &[String], significant: usize, questions: usize) -> String {
    let correction = format!("after Holm's correction for {questions} gains");
    match holds.len() {
        _ if significant == 0 || questions < 2 => String::new(),
        0 => format!("; does not hold {correction}"),
        n if n == significant => format!("; holds {correction}"),
        _ => format!("; {correction} that holds of {} alone", figures::list(holds)),
    }
}

/// Why no task has an interval, each reason once.
fn reasons(tasks: &ByTask<TaskComparison>) -> String {
    let missing: Vec<(&str, &Missing)> =
        tasks.iter().filter_map(|(name, task)| Some((name, task.missing.as_ref()?))).collect();
    let undefined: Vec<String> = missing
        .iter()
        .filter_map(|(name, missing)| match missing {
            Missing::Metric { reason } => Some(format!("{name}: {reason}")),
            _ => None,
        })
        .collect();
    if undefined.len() == tasks.len() {
        return format!("no task has a metric on these rows ({})", undefined.join("; "));
    }
    // What stops all tasks alike comes first, whatever else is missing of one of them.
    let mut others: Vec<String> = Vec::new();
    for (_, missing) in missing.iter().filter(|(_, missing)| !matches!(missing, Missing::Metric { .. })) {
        let text = missing.to_string();
        if !others.contains(&text) {
            others.push(text);
        }
    }
    others.extend(undefined);
    others.join("; ")
}

/// Tasks without an interval beside others that have one.
fn left_over(tasks: &ByTask<TaskComparison>) -> String {
    let mut text = String::new();
    let undefined: Vec<&str> = tasks
        .iter()
        .filter(|(_, task)| matches!(task.missing, Some(Missing::Metric { .. })))
        .map(|(name, _)| name)
        .collect();
    if !undefined.is_empty() {
        text.push_str(&format!("; not defined on {}", figures::list(&undefined)));
    }
    for (name, task) in tasks.iter() {
        if let Some(missing) = task.missing.as_ref().filter(|missing| !matches!(missing, Missing::Metric { .. })) {
            text.push_str(&format!("; {name} cannot be told: {missing}"));
        }
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::compare::correction::corrected;
    use crate::statistics::Interval;

    pub(in crate::compare) const UP: &[f64] = &[0.010, 0.011, 0.009];
    pub(in crate::compare) const DOWN: &[f64] = &[-0.020, -0.021, -0.019];
    pub(in crate::compare) const EITHER: &[f64] = &[0.01, -0.01, 0.002];
    /// Above zero with p = 0.042: alone more than chance, among others not.
    pub(in crate::compare) const BARELY: &[f64] = &[0.010, 0.020, 0.012];

    /// A task's comparison with these gains; a metric that is not defined where there is none.
    pub(in crate::compare) fn task(gains: &[f64]) -> TaskComparison {
        let gain = Interval::of(gains);
        let missing = match gains.len() {
            0 => Some(Missing::Metric { reason: "its label is 0 in all 9 test rows of its sample space".to_owned() }),
            1 => Some(Missing::Spread { seed: 7, of: 1 }),
            _ => None,
        };
        let p_value = gain.and_then(|gain| gain.p_value());
        TaskComparison { metric: None, gain, p_value, p_holm: None, missing, also: Vec::new() }
    }

    /// Models with their gains by task; the last task's metric is MSE where there are four.
    pub(in crate::compare) fn verdicts(models: &[&[(&str, &[f64])]]) -> Vec<Verdict> {
        let tasks: Vec<ByTask<TaskComparison>> =
            models.iter().map(|gains| gains.iter().map(|(name, values)| (*name, task(values))).collect()).collect();
        let metrics = models
            .first()
            .into_iter()
            .flat_map(|gains| gains.iter())
            .enumerate()
            .map(|(i, (name, _))| (*name, if i == 3 { MetricKind::Mse } else { MetricKind::Auc }))
            .collect();
        let (tasks, questions) = corrected(tasks);
        tasks.iter().map(|tasks| Verdict::of(tasks, &metrics, questions)).collect()
    }

    #[test]
    fn every_case_is_told_in_words() {
        type Gains = [(&'static str, &'static [f64])];
        let holds = "holds after Holm's correction for";
        let cases: [(&Gains, VerdictKind, String); 12] = [
            (
                &[("a", UP), ("b", UP)],
                VerdictKind::HelpsAll,
                format!("helps every task: a (AUC higher by 0.01000) and b (AUC higher by 0.01000); {holds} 2 gains"),
            ),
            (
                &[("a", UP), ("b", EITHER)],
                VerdictKind::HelpsSome,
                format!("helps a (AUC higher by 0.01000); {holds} 2 gains; no significant difference on b"),
            ),
            (
                &[("a", UP), ("b", DOWN)],
                VerdictKind::Seesaw,
                format!("seesaw: b (AUC lower by 0.02000) pays for a (AUC higher by 0.01000); {holds} 2 gains"),
            ),
            (
                &[("a", EITHER), ("b", DOWN), ("c", DOWN), ("d", UP)],
                VerdictKind::Seesaw,
                format!(
                    "seesaw: b (AUC lower by 0.02000) and c (AUC lower by 0.02000) pay for d (MSE lower by 0.01000); \
                     {holds} 4 gains; no significant difference on a"
                ),
            ),
            (
                &[("a", DOWN), ("b", DOWN)],
                VerdictKind::Hurts,
                format!("hurts every task: a (AUC lower by 0.02000) and b (AUC lower by 0.02000); {holds} 2 gains"),
            ),
            (
                &[("a", EITHER), ("b", DOWN)],
                VerdictKind::Hurts,
                format!("hurts b (AUC lower by 0.02000); {holds} 2 gains; no significant difference on a"),
            ),
            (&[("a", EITHER), ("b", EITHER)], VerdictKind::NoDifference, "no significant difference".into()),
            (&[("a", UP)], VerdictKind::HelpsAll, "helps a (AUC higher by 0.01000)".into()),
            (
                &[("a", BARELY), ("b", EITHER)],
                VerdictKind::HelpsSome,
                "helps a (AUC higher by 0.01400); does not hold after Holm's correction for 2 gains; no significant \
                 difference on b"
                    .into(),
            ),
            (
                &[("a", UP), ("b", BARELY), ("c", EITHER)],
                VerdictKind::HelpsSome,
                "helps a (AUC higher by 0.01000) and b (AUC higher by 0.01400); after Holm's correction for 3 gains \
                 that holds of a alone; no significant difference on c"
                    .into(),
            ),
            (
                &[("a", UP), ("b", &[])],
                VerdictKind::HelpsSome,
                "helps a (AUC higher by 0.01000); not defined on b".into(),
            ),
            (
                &[("a", EITHER), ("b", &[0.1])],
                VerdictKind::NoDifference,
                "no significant difference; b cannot be told: one seed has no spread".into(),
            ),
        ];
        for (gains, kind, text) in cases {
            let verdict = verdicts(&[gains]).remove(0);
            assert_eq!((verdict.kind, verdict.text), (kind, text));
        }
    }

    #[test]
    fn a_reason_is_the_one_that_arose() {
        let of = |tasks: &[(&str, Option<Missing>)]| {
            let tasks = tasks.iter().map(|(name, missing)| {
                (
                    *name,
                    TaskComparison {
                        metric: None,
                        gain: None,
                        p_value: None,
                        p_holm: None,
                        missing: missing.clone(),
                        also: Vec::new(),
                    },
                )
            });
            let metrics = ByTask::from_iter([("a", MetricKind::Auc), ("b", MetricKind::Auc)]);
            let verdict = Verdict::of(&tasks.collect(), &metrics, 0);
            assert_eq!(verdict.kind, VerdictKind::Unknown);
            verdict.text
        };
        let metric = |reason: &str| Some(Missing::Metric { reason: reason.to_owned() });
        assert_eq!(
            of(&[("a", metric("no row")), ("b", metric("one class"))]),
            "cannot be told: no task has a metric on these rows (a: no row; b: one class)"
        );
        assert_eq!(
            of(&[("a", Some(Missing::Pair)), ("b", Some(Missing::Pair))]),
            "cannot be told: no seed was trained to its end by both models"
        );
        assert_eq!(
            of(&[("a", Some(Missing::Spread { seed: 3, of: 1 })), ("b", metric("one class"))]),
            "cannot be told: one seed has no spread; b: one class"
        );
        assert_eq!(
            of(&[("a", Some(Missing::Spread { seed: 3, of: 5 })), ("b", Some(Missing::Spread { seed: 3, of: 5 }))]),
            "cannot be told: only one of 5 seeds (3) was measured for both models"
        );
    }
}
