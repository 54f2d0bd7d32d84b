//! The report of a comparison.

use maud::{Markup, html};

use super::charts::{gains, graph, heat, learning, seesaw, weights};
use super::page::{Section, TableCell, configuration, document, facts, made, rows, stacked, table};
use super::{ComparisonPage, ModelPage, data, explained, format};
use pleiad_train::compare::{AlsoMeasured, ComparedModel, Comparison, SeedRun, Spread, VerdictKind};
use pleiad_train::figures;
use pleiad_train::metrics::MetricKind;
use pleiad_train::run::RunReport;

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
    // Rows are the same for all models.
    let first = page.models.iter().find_map(|model| model.runs.first());
    sections.extend(data::section(first.and_then(|report| report.data.as_ref())));
    sections.push(Section::new("notes", "Notes and failures", "", notes(comparison)));
    sections.push(Section::new("configuration", "Configuration", "", configuration(page.config)));
    sections.push(Section::new("provenance", "Provenance", "", provenance(page)));
    document(&format!("Comparison: {}", names.join(", ")), &headline(comparison), &sections, page.provenance)
}

fn headline(comparison: &Comparison) -> Markup {
    let tasks: Vec<&str> = comparison.tasks.iter().map(|(task, _)| task).collect();
    html! {
        p.eyebrow { "Comparison report: " (tasks.join(", ")) }
        h1 { (comparison.answer.text) }
        @if comparison.models.len() > 1 {
            p {
                "Gain of each model over " b { (comparison.baseline) } ", mean of "
                (format::plural(comparison.seeds.len() as u64, "seed")) ", on " (comparison.measured_on.name())
                " rows. A task gains or pays where the whole 95 % interval of its gain lies on one side of zero."
                @if comparison.questions > 1 {
                    " Among " (comparison.questions)
                    " gains some may do so by chance; Holm's correction takes that into account."
                }
            }
            (heat::heat(comparison))
        }
        ul.cards.verdicts {
            @for model in &comparison.models { @if model.name != comparison.baseline { (card(model)) } }
        }
    }
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
            p.verdict { (verdict.text) }
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
         seeds; marks are those of the map above.",
        comparison.baseline
    );
    let others = others(comparison);
    let body = html! {
        (learning::key(others.iter().map(|(at, model)| (*at, model.name.as_str()))))
        div.grid {
            @for (task, metric) in comparison.metrics.iter() {
                (gains::gains(&others, task, *metric, &comparison.baseline))
            }
            @if comparison.tasks.len() <= SEESAWS { (seesaw::seesaw(comparison)) }
        }
        @if comparison.tasks.len() > SEESAWS {
            details {
                summary { "Gains of every pair of tasks against each other" }
                div.grid { (seesaw::seesaw(comparison)) }
            }
        }
    };
    Section::new("gains", "Gains and seesaw", hint, body)
}

/// Tasks up to which each pair has its picture at once; more pairs are a heap that the heat map says better.
const SEESAWS: usize = 3;

fn table_hint(comparison: &Comparison) -> String {
    format!(
        "Metrics on {} rows, mean ± standard deviation over seeds; gain over {} with its 95 % interval, the p value of a \
         paired t test, and that after Holm's correction for {}.",
        comparison.measured_on.name(),
        comparison.baseline,
        format::plural(comparison.questions as u64, "gain")
    )
}

/// A table per task, and one of sizes and speed: none grows wider with the number of tasks.
fn numbers(comparison: &Comparison) -> Markup {
    html! {
        div.grid.tables {
            @for (task, metric) in comparison.metrics.iter() { (task_table(comparison, task, *metric)) }
        }
        (others_measured(comparison))
        (sizes(comparison))
    }
}

fn task_table(comparison: &Comparison, task: &str, metric: MetricKind) -> Markup {
    let gain = format!("gain ({})", figures::direction(metric));
    let label = metric.label();
    let header = ["model", &label, gain.as_str(), "95 % interval", "p", "p, Holm"];
    let row = |model: &ComparedModel| {
        let compared = model.tasks.get(task);
        let p = |value: Option<f64>| value.map_or_else(String::new, figures::p_value);
        let gain = compared.and_then(|compared| Some((compared, compared.gain?)));
        vec![
            TableCell::from(match model.name == comparison.baseline {
                true => format!("{} (baseline)", model.name),
                false => model.name.clone(),
            }),
            compared.and_then(|compared| compared.metric).map_or_else(|| "–".to_owned(), spread).into(),
            gain.map_or_else(String::new, |(compared, gain)| {
                format!("{} {}", heat::mark(compared).0, format::signed(gain.mean))
            })
            .into(),
            gain.map_or_else(String::new, |(_, gain)| format::bounds(gain.bounds)).into(),
            p(compared.and_then(|compared| compared.p_value)).into(),
            p(compared.and_then(|compared| compared.p_holm)).into(),
        ]
    };
    stacked(task, &header, comparison.models.iter().map(row))
}

/// The metrics that no verdict is made of, a table per task.
fn others_measured(comparison: &Comparison) -> Markup {
    let tables = comparison.tasks.iter().map(|(task, _)| {
        let of_model = |model: &ComparedModel| {
            let also = model.tasks.get(task).map_or(&[][..], |compared| &compared.also);
            let row = |also: &AlsoMeasured| {
                vec![
                    TableCell::from(model.name.clone()),
                    TableCell::from(also.metric.label().into_owned()),
                    also.value.map_or_else(|| "–".to_owned(), spread).into(),
                    also.gain.map_or_else(String::new, |gain| format::signed(gain.mean)).into(),
                    also.gain.map_or_else(String::new, |gain| format::bounds(gain.bounds)).into(),
                ]
            };
            also.iter().map(row).collect::<Vec<_>>()
        };
        let mut rows: Vec<Vec<TableCell>> = comparison.models.iter().flat_map(of_model).collect();
        let metrics = rows.len() / comparison.models.len().max(1);
        // A metric's rows together, model by model.
        let mut by_metric = Vec::with_capacity(rows.len());
        for metric in 0..metrics {
            by_metric.extend((metric..rows.len()).step_by(metrics).map(|at| std::mem::take(&mut rows[at])));
        }
        (task, by_metric)
    });
    let tables: Vec<(&str, Vec<Vec<TableCell>>)> = tables.filter(|(_, rows)| !rows.is_empty()).collect();
    html! {
        @if !tables.is_empty() {
            details {
                summary { "Other metrics, of which no verdict is made" }
                div.grid.tables {
                    @for (task, rows) in tables {
                        (stacked(&format!("{task}, other metrics"), &["model", "metric", "mean", "gain (+ is better)", "95 % interval"], rows.into_iter()))
                    }
                }
            }
        }
    }
}

/// `0.94580 ± 0.00120`
fn spread(spread: Spread) -> String {
    let mean = format::metric(Some(spread.mean));
    spread.sd.map_or_else(|| mean.clone(), |sd| format!("{mean} ± {}", format::deviation(sd, spread.mean)))
}

fn sizes(comparison: &Comparison) -> Markup {
    let row = |model: &ComparedModel| {
        let widths = match model.width_factor {
            1.0 => String::new(),
            factor => format!("× {factor:.2}"),
        };
        vec![
            TableCell::from(model.name.clone()),
            format::count(model.parameters.dense).into(),
            format::count(model.parameters.tables).into(),
            widths.into(),
            format::short(model.flops_per_row as f64).into(),
            model.rows_per_second.map_or_else(|| "–".to_owned(), |speed| format::short(speed.mean)).into(),
            model.verdict.as_ref().map_or("", |verdict| in_short(verdict.kind)).into(),
        ]
    };
    let header = ["model", "dense parameters", "in tables", "widths", "operations a row", "training rows/s", "verdict"];
    stacked("Sizes, speed and verdicts", &header, comparison.models.iter().map(row))
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
                @if let Some(verdict) = verdict { ": " (verdict) }
                @if alarms > 0 { " · " (format::plural(alarms as u64, "alarm")) }
            }
            (graph::graph(model.graph))
            @if let Some(weights) = model.runs.first().and_then(|run| weights::weights(&run.history)) { (weights) }
            @match model.explanation {
                None => p.note { "Not explained: no run of it was finished, or [train] explain is false." },
                Some(explanation) => {
                    h3 { "What the gates learned, " (explained::on(explanation)) }
                    (explained::experts(explanation))
                    h3 { "Calibration" }
                    p.hint { (figures::CALIBRATION) }
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
                failed.iter().map(|(model, seed, why)| vec![(*model).into(), seed.to_string().into(), TableCell::Text((*why).to_owned())]),
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
