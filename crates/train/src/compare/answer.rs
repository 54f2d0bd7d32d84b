//! [`Answer`]: what a comparison says before any number, in a sentence: is anything better than the baseline, and what
//! should go into production.

use serde::{Deserialize, Serialize};

use super::compared::ComparedModel;
use super::task::Missing;
use super::verdict::{Verdict, VerdictKind};
use crate::figures::list;

/// The headline of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// In words.
    pub text: String,
    /// The model to take; `None` where the figures do not say.
    pub ship: Option<String>,
}

/// A model that is not the baseline, with its verdict.
struct Judged<'a> {
    name: &'a str,
    verdict: &'a Verdict,
    /// Tasks that it helps, beyond what so many gains give by chance.
    firm: Vec<&'a str>,
    /// The smallest corrected p value of a gain.
    surest: f64,
}

impl<'a> Judged<'a> {
    fn of(model: &'a ComparedModel) -> Option<Self> {
        let verdict = model.verdict.as_ref()?;
        let helped = |task: &str| verdict.helps.iter().any(|t| t == task);
        let firm = verdict.holds.iter().map(String::as_str).filter(|task| helped(task)).collect();
        let p_values = model.tasks.iter().filter(|(task, _)| helped(task)).filter_map(|(_, task)| task.p_holm);
        Some(Self { name: &model.name, verdict, firm, surest: p_values.fold(1.0, f64::min) })
    }

    /// Whether it hurts a task beyond what so many gains do by chance.
    fn surely_hurts(&self) -> bool {
        self.verdict.holds.iter().any(|task| self.verdict.hurts.contains(task))
    }

    fn is(&self, kinds: &[VerdictKind]) -> bool {
        kinds.contains(&self.verdict.kind)
    }
}

impl Answer {
    /// The answer of these models, the baseline among them; `questions` gains were tested.
    #[must_use]
    pub fn of(models: &[ComparedModel], baseline: &str, questions: usize) -> Self {
        // What learned nothing is not judged: its gains are those of the weights that it began with.
        let judged: Vec<Judged<'_>> = models.iter().filter(|model| !model.unmoved).filter_map(Judged::of).collect();
        let says = |text: String, ship: Option<&str>| Self { text, ship: ship.map(str::to_owned) };
        if let Some(text) = nothing_learned(models, baseline) {
            return says(text, None);
        }
        if judged.is_empty() {
            return says(format!("{baseline} stands alone: there is nothing to compare it with"), None);
        }
        if judged.iter().all(|model| model.is(&[VerdictKind::Unknown])) {
            return says(nothing_told(models, baseline), None);
        }
        let mut better: Vec<&Judged<'_>> =
            judged.iter().filter(|m| m.is(&[VerdictKind::HelpsAll, VerdictKind::HelpsSome])).collect();
        // Equally good ones stay in the order of the configuration.
        better.sort_by(|a, b| {
            let size = |m: &Judged<'_>| (m.firm.len(), m.verdict.helps.len());
            size(b).cmp(&size(a)).then(a.surest.total_cmp(&b.surest))
        });
        let seesaws: Vec<&Judged<'_>> = judged.iter().filter(|m| m.is(&[VerdictKind::Seesaw])).collect();
        let hurting = judged.iter().filter(|m| m.is(&[VerdictKind::Hurts]));
        let (surely, maybe): (Vec<&Judged<'_>>, Vec<&Judged<'_>>) = hurting.partition(|m| m.surely_hurts());
        let answer = match (better.split_first(), seesaws.first()) {
            (Some((best, others)), _) if !best.firm.is_empty() => {
                let every = best.verdict.kind == VerdictKind::HelpsAll && best.firm.len() == best.verdict.helps.len();
                let tasks = if every && best.firm.len() > 1 { "every task".to_owned() } else { list(&best.firm) };
                let costs = if best.verdict.kind == VerdictKind::HelpsAll {
                    ""
                } else {
                    " and costs nothing that can be shown"
                };
                let others: Vec<&str> = others.iter().filter(|m| !m.firm.is_empty()).map(|m| m.name).collect();
                let too = match others.len() {
                    0 => String::new(),
                    1 => format!(". {} helps, too", others[0]),
                    _ => format!(". {} help, too", list(&others)),
                };
                says(format!("{} helps {tasks}{costs}: ship {}{too}", best.name, best.name), Some(best.name))
            }
            (Some((best, _)), _) => says(
                format!(
                    "{} seems to help {}, but one of {questions} gains may do so by chance: add seeds before you ship it",
                    best.name,
                    list(&best.verdict.helps)
                ),
                None,
            ),
            (None, Some(seesaw)) => {
                let (helps, hurts) = (list(&seesaw.verdict.helps), list(&seesaw.verdict.hurts));
                let pays = if seesaw.verdict.hurts.len() == 1 { "pays" } else { "pay" };
                says(
                    format!(
                        "{} helps {helps}, but {hurts} {pays}: ship it where {helps} is worth that, else {baseline}",
                        seesaw.name
                    ),
                    None,
                )
            }
            (None, None) => {
                let said = |models: &[&Judged<'_>], one: &str, many: &str| {
                    let names: Vec<&str> = models.iter().map(|m| m.name).collect();
                    let verb = if names.len() == 1 { one } else { many };
                    (!names.is_empty()).then(|| format!("{} {verb}", list(&names)))
                };
                let parts = [said(&surely, "hurts", "hurt"), said(&maybe, "seems to hurt", "seem to hurt")];
                let parts: Vec<String> = parts.into_iter().flatten().collect();
                let hurt = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) };
                says(format!("Nothing beats {baseline}: ship {baseline}{hurt}"), Some(baseline))
            }
        };
        Self { text: format!("{}{}", answer.text, what_is_open(models)), ..answer }
    }
}

/// What the answer does not cover: tasks without a metric, models without a run.
fn what_is_open(models: &[ComparedModel]) -> String {
    let mut text = String::new();
    let without: Vec<&str> = models.last().map_or_else(Vec::new, |model| {
        let undefined = |task: &&str| {
            let mut of = models.iter().filter_map(|model| model.tasks.get(task));
            let gains = of.clone().any(|compared| compared.gain.is_some());
            !gains && of.any(|compared| matches!(compared.missing, Some(Missing::Metric { .. })))
        };
        model.tasks.iter().map(|(task, _)| task).filter(undefined).collect()
    });
    if !without.is_empty() {
        text.push_str(&format!(". Nothing is known of {}: no metric on these rows", list(&without)));
    }
    let failed = failed(models);
    if !failed.is_empty() {
        text.push_str(&format!(". {} failed with every seed", list(&failed)));
    }
    let unmoved = unmoved(models);
    if !unmoved.is_empty() {
        text.push_str(&format!(". {} learned nothing: no step moved a weight", list(&unmoved)));
    }
    text
}

/// Models that have the weights that they began with.
fn unmoved(models: &[ComparedModel]) -> Vec<&str> {
    models.iter().filter(|model| model.unmoved).map(|model| model.name.as_str()).collect()
}

/// The sentence where the baseline learned nothing, or all that could be held against it.
fn nothing_learned(models: &[ComparedModel], baseline: &str) -> Option<String> {
    let (unmoved, failed) = (unmoved(models), failed(models));
    let others: Vec<&str> = models.iter().filter(|m| m.verdict.is_some()).map(|m| m.name.as_str()).collect();
    let lost = |name: &str| unmoved.contains(&name) || failed.contains(&name);
    let told = match unmoved.contains(&baseline) {
        true if others.iter().all(|other| lost(other)) => format!("{} learned nothing", list(&unmoved)),
        true => format!("{baseline}, the baseline, learned nothing"),
        false if others.iter().any(|other| unmoved.contains(other)) && others.iter().all(|other| lost(other)) => {
            format!("{} learned nothing", list(&unmoved))
        }
        false => return None,
    };
    Some(format!(
        "Nothing can be told: {told}, as no step moved a weight; look at the warnings of the runs, and ship nothing"
    ))
}

/// Models that no seed brought to an end.
fn failed(models: &[ComparedModel]) -> Vec<&str> {
    let none = |model: &&ComparedModel| model.runs.iter().all(|run| run.evaluation().is_none());
    models.iter().filter(none).map(|model| model.name.as_str()).collect()
}

/// The sentence where no gain has an interval.
fn nothing_told(models: &[ComparedModel], baseline: &str) -> String {
    let failed = failed(models);
    if failed.len() == models.len() {
        return "Nothing can be told: every model failed with every seed".to_owned();
    }
    if failed.contains(&baseline) {
        return format!("Nothing can be told: {baseline}, the baseline, failed with every seed");
    }
    let missing: Vec<&Missing> = models
        .iter()
        .filter(|model| model.verdict.is_some() && !failed.contains(&model.name.as_str()))
        .flat_map(|model| model.tasks.iter().filter_map(|(_, task)| task.missing.as_ref()))
        .collect();
    if !missing.is_empty() && missing.iter().all(|missing| matches!(missing, Missing::Metric { .. })) {
        return "Nothing can be told: no task has a metric on these rows".to_owned();
    }
    if missing.iter().any(|missing| matches!(missing, Missing::Spread { of: 1, .. })) {
        return "One seed cannot tell a gain from chance: add seeds (five in all, say) before you ship anything"
            .to_owned();
    }
    let others: Vec<&str> = models.iter().filter(|m| m.verdict.is_some()).map(|m| m.name.as_str()).collect();
    if others.iter().all(|other| failed.contains(other)) {
        return format!("Nothing can be told: {} failed with every seed", list(&others));
    }
    "Nothing can be told: fewer than two seeds were measured for both models of any pair; see the notes".to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::compared::SeedRun;
    use super::super::verdict::tests::{BARELY, DOWN, EITHER, UP, task, verdicts};
    use super::*;
    use crate::ByTask;
    use crate::counts::ParameterCount;
    use crate::evaluate::Evaluation;

    type Gains = [(&'static str, &'static [f64])];

    /// [`BARELY`], below zero.
    const BARELY_DOWN: &[f64] = &[-0.010, -0.020, -0.012];

    fn model(name: &str, gains: Option<&Gains>, verdict: Option<Verdict>, finished: bool) -> ComparedModel {
        let run = match finished {
            true => SeedRun::Finished {
                seed: 1,
                run: String::new(),
                best_epoch: 1,
                best_epochs: ByTask::default(),
                seconds: 1.0,
                evaluation: Evaluation { rows: 1, main: Default::default(), tasks: Default::default() },
            },
            false => SeedRun::Failed { seed: 1, reason: "NaN".to_owned() },
        };
        ComparedModel {
            name: name.to_owned(),
            kind: name.to_owned(),
            config: serde_json::Value::Null,
            width_factor: 1.0,
            parameters: ParameterCount { total: 1, dense: 1, tables: 0 },
            flops_per_row: 1,
            rows_per_second: None,
            runs: vec![run],
            unmoved: false,
            tasks: gains.into_iter().flatten().map(|(name, values)| (*name, task(values))).collect(),
            verdict,
        }
    }

    /// The answer of "alone" and these models.
    fn answer(models: &[(&str, &Gains)]) -> (String, Option<String>) {
        let gains: Vec<&Gains> = models.iter().map(|(_, gains)| *gains).collect();
        let verdicts = verdicts(&gains);
        let questions = gains.iter().flat_map(|gains| gains.iter()).filter(|(_, values)| values.len() > 1).count();
        let mut all = vec![model("alone", None, None, true)];
        all.extend(models.iter().zip(verdicts).map(|((name, gains), v)| model(name, Some(gains), Some(v), true)));
        let answer = Answer::of(&all, "alone", questions);
        (answer.text, answer.ship)
    }

    /// Models with their gains, the answer, and what to ship.
    type Case = (&'static [(&'static str, &'static Gains)], &'static str, Option<&'static str>);

    #[test]
    fn the_first_sentence_says_what_to_ship() {
        let cases: [Case; 11] = [
            (&[("PLE", &[("a", UP), ("b", UP)])], "PLE helps every task: ship PLE", Some("PLE")),
            (
                &[("MMoE", &[("a", UP), ("b", EITHER)]), ("PLE", &[("a", UP), ("b", UP)])],
                "PLE helps every task: ship PLE. MMoE helps, too",
                Some("PLE"),
            ),
            (
                &[("PLE", &[("a", UP), ("b", UP), ("c", EITHER)]), ("MMoE", &[("a", DOWN), ("b", UP), ("c", EITHER)])],
                "PLE helps a and b and costs nothing that can be shown: ship PLE",
                Some("PLE"),
            ),
            (&[("PLE", &[("a", EITHER), ("b", EITHER)])], "Nothing beats alone: ship alone", Some("alone")),
            (
                &[("PLE", &[("a", EITHER), ("b", DOWN)]), ("MMoE", &[("a", EITHER), ("b", EITHER)])],
                "Nothing beats alone: ship alone (PLE hurts)",
                Some("alone"),
            ),
            (
                &[("PLE", &[("a", EITHER), ("b", BARELY_DOWN)]), ("MMoE", &[("a", DOWN), ("b", EITHER)])],
                "Nothing beats alone: ship alone (MMoE hurts; PLE seems to hurt)",
                Some("alone"),
            ),
            (
                &[("PLE", &[("a", BARELY), ("b", EITHER)])],
                "PLE seems to help a, but one of 2 gains may do so by chance: add seeds before you ship it",
                None,
            ),
            (
                &[("PLE", &[("a", UP), ("b", DOWN)])],
                "PLE helps a, but b pays: ship it where a is worth that, else alone",
                None,
            ),
            (
                &[("PLE", &[("a", &[0.1]), ("b", &[0.2])])],
                "One seed cannot tell a gain from chance: add seeds (five in all, say) before you ship anything",
                None,
            ),
            (&[("PLE", &[("a", &[]), ("b", &[])])], "Nothing can be told: no task has a metric on these rows", None),
            (
                &[("PLE", &[("a", UP), ("b", &[])])],
                "PLE helps a and costs nothing that can be shown: ship PLE. Nothing is known of b: no metric on these rows",
                Some("PLE"),
            ),
        ];
        for (models, text, ship) in cases {
            assert_eq!(answer(models), (text.to_owned(), ship.map(str::to_owned)));
        }
        assert_eq!(answer(&[]).0, "alone stands alone: there is nothing to compare it with");
    }

    #[test]
    fn models_that_failed_are_named() {
        let failed = || {
            let mut of = verdicts(&[&[("a", &[])]]).remove(0);
            of.kind = VerdictKind::Unknown;
            of
        };
        let none: &Gains = &[("a", &[])];
        let all = |baseline: bool, other: bool| {
            vec![model("alone", None, None, baseline), model("PLE", Some(none), Some(failed()), other)]
        };
        let text = |models: &[ComparedModel]| Answer::of(models, "alone", 0).text;
        assert_eq!(text(&all(false, false)), "Nothing can be told: every model failed with every seed");
        assert_eq!(text(&all(false, true)), "Nothing can be told: alone, the baseline, failed with every seed");
        assert_eq!(text(&all(true, false)), "Nothing can be told: PLE failed with every seed");
        let gains: &Gains = &[("a", UP)];
        let mut models = all(true, false);
        models.push(model("MMoE", Some(gains), Some(verdicts(&[gains]).remove(0)), true));
        assert!(text(&models).ends_with("MMoE helps a: ship MMoE. PLE failed with every seed"), "{}", text(&models));
    }

    #[test]
    fn what_learned_nothing_is_never_shipped() {
        let of = |baseline: bool, gains: &[(&str, &Gains, bool)]| {
            let verdicts = verdicts(&gains.iter().map(|(_, gains, _)| *gains).collect::<Vec<_>>());
            let mut all = vec![ComparedModel { unmoved: baseline, ..model("alone", None, None, true) }];
            all.extend(gains.iter().zip(verdicts).map(|((name, gains, unmoved), verdict)| ComparedModel {
                unmoved: *unmoved,
                ..model(name, Some(gains), Some(verdict), true)
            }));
            let answer = Answer::of(&all, "alone", 2);
            (answer.text, answer.ship)
        };
        let (up, either): (&Gains, &Gains) = (&[("a", UP)], &[("a", EITHER)]);
        for gains in [up, either] {
            for (baseline, other, who) in [
                (true, true, "alone and PLE learned"),
                (true, false, "alone, the baseline, learned"),
                (false, true, "PLE learned"),
            ] {
                let (text, ship) = of(baseline, &[("PLE", gains, other)]);
                assert!(text.starts_with("Nothing can be told: ") && text.contains(who), "{text}");
                assert!(text.contains("no step moved a weight") && ship.is_none(), "{text}");
            }
        }
        let (text, ship) = of(false, &[("PLE", up, true), ("MMoE", up, false)]);
        assert_eq!(text, "MMoE helps a: ship MMoE. PLE learned nothing: no step moved a weight");
        assert_eq!(ship.as_deref(), Some("MMoE"));
    }
}
