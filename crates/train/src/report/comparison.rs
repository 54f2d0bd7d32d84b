//! The report of a comparison.

use maud::{Markup, html};

use super::charts::{gains, graph, learning, seesaw, weights};
use super::page::{Cell, Section, configuration, document, facts, made, rows, table};
use super::{ComparisonPage, ModelPage, explained, format};
use crate::compare::{ComparedModel, Comparison, SeedRun, Side, VerdictKind};
use crate::run::RunReport;

/// The whole page.
pub(super) fn document_of(page: &ComparisonPage<'_>) -> String {
    let comparison = page.comparison;
    let names: Vec<&str> = comparison.models.iter().map(|model| model.name.as_str()).collect();
    let mut sections = Vec::new();
    if comparison.models.len() > 1 {
        sections.push(gain_section(comparison));
    }
    sections.push(Section::new("table", "All numbers", table_hint(comparison), numbers(comparison)));
    sections.push(learning_curves(page));
    sections.push(Section::new(
        "models",
        "Model by model",
        "Open a model for its structure, its use of experts, calibration and feature importance, all of its first finished seed.",
        html! { @for (at, model) in page.models.iter().enumerate() { (model_part(model, comparison.models.get(at))) } },
    ));
    sections.push(Section::new("notes", "Notes and failures", "", notes(comparison)));
    sections.push(Section::new("configuration", "Configuration", "", configuration(page.config)));
    sections.push(Section::new("provenance", "Provenance", "", provenance(page)));
    document(&format!("Comparison: {}", names.join(", ")), &headline(comparison), &sections, page.provenance)
}

fn headline(comparison: &Comparison) -> Markup {
    let tasks: Vec<&str> = comparison.tasks.iter().map(|(task, _)| task).collect();
    html! {
        p.eyebrow { "Comparison report: " (tasks.join(", ")) }
        h1 { (answer(comparison)) }
        p {
            "Gain of each model over " b { (comparison.baseline) } ", mean of "
            (format::plural(comparison.seeds.len() as u64, "seed")) ", on " (comparison.measured_on.name())
            " rows. A task gains or pays where the whole 95 % interval of its gain lies on one side of zero."
        }
        ul.cards.verdicts {
            @for model in &comparison.models { @if model.name != comparison.baseline { (card(model)) } }
        }
    }
}

/// The short of it: who helps every task, and who makes one pay.
fn answer(comparison: &Comparison) -> String {
    let of = |wanted: &[VerdictKind]| -> Vec<&str> {
        let judged = |model: &&ComparedModel| model.verdict.as_ref().is_some_and(|v| wanted.contains(&v.kind));
        comparison.models.iter().filter(judged).map(|model| model.name.as_str()).collect()
    };
    let verb = |names: &[&str], one: &str, many: &str| {
        let verb = if names.len() == 1 { one } else { many };
        format!("{} {verb}", format::and(names))
    };
    let (all, some) = (of(&[VerdictKind::HelpsAll]), of(&[VerdictKind::HelpsSome]));
    let (seesaw, hurts) = (of(&[VerdictKind::Seesaw]), of(&[VerdictKind::Hurts]));
    let mut parts = Vec::new();
    if !all.is_empty() {
        parts.push(verb(&all, "helps every task", "help every task"));
    }
    if !some.is_empty() {
        parts.push(verb(&some, "helps some and hurts none", "help some and hurt none"));
    }
    if !seesaw.is_empty() {
        parts.push(verb(&seesaw, "makes one task pay for another", "make one task pay for another"));
    }
    if !hurts.is_empty() {
        parts.push(verb(&hurts, "only hurts", "only hurt"));
    }
    if !parts.is_empty() {
        return parts.join("; ");
    }
    if comparison.models.len() == 1 {
        return format!("{} stands alone", comparison.baseline);
    }
    match of(&[VerdictKind::NoDifference]).is_empty() {
        false => format!("No model differs from {} by more than chance", comparison.baseline),
        true => "Who helps whom cannot be told".to_owned(),
    }
}

/// A verdict's words with a minus as wide as a plus.
fn words(text: &str) -> String {
    text.replace("(-", "(\u{2212}")
}

fn card(model: &ComparedModel) -> Markup {
    let Some(verdict) = &model.verdict else { return html! {} };
    let class = match verdict.kind {
        VerdictKind::HelpsAll | VerdictKind::HelpsSome => "good",
        VerdictKind::Seesaw | VerdictKind::Hurts => "bad",
        VerdictKind::NoDifference | VerdictKind::Unknown => "",
    };
    html! {
        li.card.(class) {
            h3 { (model.name) }
            p.verdict { (words(&verdict.text)) }
            ul.chips {
                @for (task, compared) in model.tasks.iter() {
                    @if let Some(gain) = compared.gain {
                        @if verdict.helps.iter().any(|t| t == task) { li.chip.good { "▲ " (task) " " (format::signed(gain.mean)) } }
                        @else if verdict.hurts.iter().any(|t| t == task) { li.chip.bad { "▼ " (task) " " (format::signed(gain.mean)) } }
                        @else { li.chip { "○ " (task) " " (format::signed(gain.mean)) } }
                    }
                }
            }
        }
    }
}

/// Models other than the baseline, with their positions.
fn others(comparison: &Comparison) -> Vec<(usize, &ComparedModel)> {
    comparison.models.iter().enumerate().filter(|(_, model)| model.name != comparison.baseline).collect()
}

fn gain_section(comparison: &Comparison) -> Section {
    let hint = format!(
        "Right of zero (and above it) a model is better than {}, whatever the metric. Lines are 95 % intervals over \
         seeds: ▲ gains, ▼ pays, ○ cannot be told from zero.",
        comparison.baseline
    );
    let others = others(comparison);
    let body = html! {
        (learning::key(others.iter().map(|(at, model)| (*at, model.name.as_str()))))
        div.grid {
            @for (task, metric) in comparison.metrics.iter() {
                (gains::gains(&others, task, *metric, &comparison.baseline))
            }
            (seesaw::seesaw(comparison))
        }
    };
    Section::new("gains", "Gains and seesaw", hint, body)
}

fn table_hint(comparison: &Comparison) -> String {
    format!(
        "Metrics on {} rows, mean ± standard deviation over seeds; below each the gain over {} with its 95 % interval.",
        comparison.measured_on.name(),
        comparison.baseline
    )
}

/// The table that says all.
fn numbers(comparison: &Comparison) -> Markup {
    html! {
        div.table tabindex="0" role="group" aria-label="All numbers" {
            table {
                caption { "Models, metrics, gains, sizes and speed" }
                thead {
                    tr {
                        th scope="col" { "model" }
                        @for (task, metric) in comparison.metrics.iter() { th scope="col" { (task) " " (metric.label()) } }
                        th scope="col" { "parameters" }
                        th scope="col" { "operations a row" }
                        th scope="col" { "training rows/s" }
                        th scope="col" { "verdict" }
                    }
                }
                tbody {
                    @for model in &comparison.models {
                        tr.own[model.name == comparison.baseline] {
                            th scope="row" {
                                (model.name)
                                @if model.name == comparison.baseline { br; small.note { "baseline" } }
                                @if model.width_factor != 1.0 { br; small.note { "widths × " (format!("{:.2}", model.width_factor)) } }
                            }
                            @for (task, _) in comparison.metrics.iter() { (score(model, task)) }
                            td {
                                (format::count(model.parameters.dense))
                                @if model.parameters.tables > 0 {
                                    br; small.note { "+ " (format::count(model.parameters.tables)) " in tables" }
                                }
                            }
                            td { (format::short(model.flops_per_row as f64)) }
                            td { (model.rows_per_second.map_or_else(|| "–".to_owned(), |speed| format::short(speed.mean))) }
                            td { (model.verdict.as_ref().map_or("", |verdict| in_short(verdict.kind))) }
                        }
                    }
                }
            }
        }
    }
}

fn in_short(kind: VerdictKind) -> &'static str {
    match kind {
        VerdictKind::HelpsAll => "helps all",
        VerdictKind::HelpsSome => "helps some",
        VerdictKind::Seesaw => "seesaw",
        VerdictKind::Hurts => "hurts",
        VerdictKind::NoDifference => "no difference",
        VerdictKind::Unknown => "cannot be told",
    }
}

fn score(model: &ComparedModel, task: &str) -> Markup {
    let Some(compared) = model.tasks.get(task) else { return html! { td {} } };
    let class = match compared.gain.map(|gain| gain.side()) {
        Some(Side::Above) => "good",
        Some(Side::Below) => "bad",
        _ => "",
    };
    html! {
        td {
            @match compared.metric {
                None => "–",
                Some(metric) => {
                    (format::metric(Some(metric.mean)))
                    @if let Some(sd) = metric.sd { " ± " (format::deviation(sd)) }
                }
            }
            @if let Some(gain) = compared.gain {
                br;
                small class=(class) {
                    @if class == "good" { "▲ " } @else if class == "bad" { "▼ " }
                    (format::signed(gain.mean)) " " (format::bounds(gain.bounds))
                }
            }
        }
    }
}

fn learning_curves(page: &ComparisonPage<'_>) -> Section {
    let models: Vec<(&str, &[&RunReport])> = page.models.iter().map(|m| (m.name, m.runs.as_slice())).collect();
    let body = html! {
        (learning::key(models.iter().map(|(name, _)| *name).enumerate()))
        div.grid {
            @for (task, metric) in page.comparison.metrics.iter() { (learning::models(&models, task, *metric)) }
        }
    };
    let hint = "Means over the seeds; the shade goes from the lowest seed to the highest. A line ends when most of its \
                runs have stopped.";
    Section::new("learning", "Learning curves", hint, body)
}

fn model_part(model: &ModelPage<'_>, compared: Option<&ComparedModel>) -> Markup {
    let verdict = compared.and_then(|compared| compared.verdict.as_ref()).map(|verdict| verdict.text.as_str());
    let alarms = model.explanation.map_or(0, |explanation| explanation.alarms.len());
    html! {
        details.model {
            summary {
                b { (model.name) }
                @if let Some(verdict) = verdict { ": " (words(verdict)) }
                @if alarms > 0 { " · " (format::plural(alarms as u64, "alarm")) }
            }
            (graph::graph(model.graph))
            @if let Some(weights) = model.runs.first().and_then(|run| weights::weights(&run.history)) { (weights) }
            @match model.explanation {
                None => p.note { "No run of it was finished." },
                Some(explanation) => {
                    h3 { "What the gates learned, " (explained::on(explanation)) }
                    (explained::experts(explanation))
                    h3 { "Calibration" }
                    (explained::calibrations(explanation))
                    h3 { "Feature importance" }
                    (explained::importances(explanation))
                }
            }
        }
    }
}

fn notes(comparison: &Comparison) -> Markup {
    let failed = comparison.models.iter().flat_map(|model| {
        model.runs.iter().filter_map(|run| match run {
            SeedRun::Failed { seed, reason } => Some((model.name.as_str(), *seed, reason.as_str())),
            SeedRun::Finished { .. } => None,
        })
    });
    let failed: Vec<(&str, u64, &str)> = failed.collect();
    let alarms = |notes: &[String]| html! { ul.alarms { @for note in notes { li { (note) } } } };
    html! {
        @if comparison.notes.is_empty() { p.note { "Nothing that a reader must know before the numbers are believed." } }
        @else { (alarms(&comparison.notes)) }
        @if failed.is_empty() { p.note { "Every model was trained with every seed." } }
        @else {
            (table(
                "Runs that failed",
                &["model", "seed", "why"],
                failed.iter().map(|(model, seed, why)| vec![(*model).into(), seed.to_string().into(), Cell::Text((*why).to_owned())]),
            ))
        }
    }
}

fn provenance(page: &ComparisonPage<'_>) -> Markup {
    let comparison = page.comparison;
    let mut all = made(page.provenance, page.config);
    let seeds: Vec<String> = comparison.seeds.iter().map(u64::to_string).collect();
    all.extend([
        ("baseline", comparison.baseline.clone()),
        (
            "sizes made equal",
            if comparison.match_parameters { "yes, by the widths of experts and bottoms" } else { "no" }.to_owned(),
        ),
        ("seeds", seeds.join(", ")),
        ("training rows", rows(&comparison.rows.train)),
    ]);
    all.extend(comparison.rows.valid.as_ref().map(|count| ("validation rows", rows(count))));
    all.extend(comparison.rows.test.as_ref().map(|count| ("test rows", rows(count))));
    if let Some(run) = page.models.iter().flat_map(|model| &model.runs).next() {
        all.push(("hash of rows and encoders", run.data_fingerprint.clone()));
    }
    facts(&all)
}
