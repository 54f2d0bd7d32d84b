//! The report of one run.

use maud::{Markup, html};
use pleiad_data::TaskKind;

use super::charts::{graph, learning, weights};
use super::page::{Section, configuration, document, facts, made, rows};
use super::{RunPage, data, explained, format};
use pleiad_train::Evaluation;
use pleiad_train::figures;
use pleiad_train::fit::StopReason;
use pleiad_train::metrics::MetricKind;
use pleiad_train::run::RunReport;

/// The whole page.
pub(super) fn document_of(page: &RunPage<'_>) -> String {
    let report = page.report;
    let title = format!("{} for {}", report.kind, figures::list(&tasks(page)));
    let mut sections = Vec::new();
    if !report.alarms.is_empty() {
        let hint = "What is wrong, or hardly ever meant, with rows, settings, steps and predictions.";
        sections.push(Section::new("warnings", "Warnings", hint, explained::list(&report.alarms)));
    }
    sections.push(learning_curves(page));
    if let Some(explanation) = page.explanation {
        let on = explained::on(explanation);
        if !explanation.gates.is_empty() {
            let hint = format!("How each gate weighs its experts {on}: means as bars, standard deviations as lines.");
            sections.push(Section::new("experts", "What the gates learned", hint, explained::experts(explanation)));
        }
        let hint = format!(
            "Predictions against what happened, {on} of each task's own sample space. {}",
            figures::CALIBRATION
        );
        sections.push(Section::new("calibration", "Calibration", hint, explained::calibrations(explanation)));
        let hint = "How much worse a task's metric gets when one feature's values are shuffled among the rows. Features \
                    that tell much the same share their importance.";
        sections.push(Section::new("importance", "Feature importance", hint, explained::importances(explanation)));
    }
    sections.extend(data::section(report.data.as_ref()));
    sections.extend([
        Section::new("structure", "Structure", "", graph::graph(page.graph)),
        Section::new("configuration", "Configuration", "", configuration(page.config)),
        Section::new("provenance", "Provenance", "", provenance(page)),
    ]);
    document(&title, &headline(page), &sections, page.provenance)
}

/// The rows that a run is judged by, and their name.
fn judged(report: &RunReport) -> Option<(&'static str, &Evaluation)> {
    let test = report.test.as_ref().map(|test| ("test", test));
    test.or_else(|| report.valid.as_ref().map(|valid| ("validation", valid)))
}

fn learning_curves(page: &RunPage<'_>) -> Section {
    let report = page.report;
    let hint = match report.selected_by {
        Some(_) => "By epoch; the dashed line is the epoch whose weights were kept.",
        None => "By epoch. The last epoch is kept.",
    };
    let main = |task: &str| report.valid.as_ref().and_then(|valid| valid.main.get(task)).copied();
    let tasks = page.graph.outputs.iter().map(|output| {
        let task = output.task.as_str();
        (task, main(task).unwrap_or(MetricKind::of(output.kind)[0]))
    });
    let body = html! {
        div.grid {
            @for (task, metric) in tasks { (learning::run(report, task, metric)) }
            @if let Some(weights) = weights::weights(&report.history) { (weights) }
        }
    };
    Section::new("learning", "Learning curves", hint, body)
}

fn tasks<'a>(page: &RunPage<'a>) -> Vec<&'a str> {
    page.graph.outputs.iter().map(|output| output.task.as_str()).collect()
}

fn headline(page: &RunPage<'_>) -> Markup {
    let report = page.report;
    let tasks = tasks(page);
    let stop = match report.stop {
        StopReason::Epochs => "all epochs done",
        StopReason::EarlyStopping => "stopped early",
    };
    let kept = match &report.selected_by {
        Some(metric) if metric == "mean" => "the best by the mean of AUC and R² over the tasks".to_owned(),
        Some(metric) => format!("the best by {metric}"),
        None => format!("the last{}", report.why_last()),
    };
    let epochs = report.history.len();
    let which = match report.kept_by_task() {
        Some(own) => format!("Each task keeps its own best epoch of {epochs} ({own})"),
        None => format!("Epoch {} of {epochs} is kept, {kept}", report.best_epoch),
    };
    html! {
        p.eyebrow { "Training report" }
        h1 { (report.kind) " for " (figures::list(&tasks)) }
        p {
            (which) "; " (stop) ". "
            (format::count(report.parameters.total)) " parameters, " (format::short(report.flops_per_row as f64))
            " operations a row, trained in "
            (format::seconds(report.seconds)) " on " (format::plural(report.rows.train.rows, "row")) "."
        }
        @if !report.alarms.is_empty() {
            p { a href="#warnings" { (format::plural(report.alarms.len() as u64, "warning")) } " about rows, settings or predictions." }
        }
        @if let Some(explanation) = page.explanation {
            @if !explanation.alarms.is_empty() {
                p { a href="#experts" { (format::plural(explanation.alarms.len() as u64, "alarm")) } " about gates and experts." }
            }
        }
        @if let Some((split, evaluation)) = judged(report) {
            ul.cards {
                @for (task, metrics, named) in evaluation.named() {
                    li.card {
                        h3 { (task) }
                        @if let Some((metric, value)) = named.first() {
                            p.big { (format::metric(*value)) }
                            p.note { (metric.label()) " on " (format::count(metrics.rows())) " " (split) " rows" }
                        }
                        p.note {
                            @for (i, (metric, value)) in named.iter().skip(1).enumerate() {
                                @if i > 0 { " · " } (metric.label()) " " (format::metric(*value))
                            }
                        }
                        @if let Some(counted) = figures::counted(metrics) { p.note { (counted) } }
                        @if let Some(groups) = metrics.by_group() { p.note { (figures::groups(groups)) } }
                    }
                }
            }
            @if evaluation.tasks.iter().any(|(_, metrics)| metrics.get(MetricKind::Calibration).is_some()) {
                p.note { (figures::CALIBRATION) }
            }
        }
    }
}

fn provenance(page: &RunPage<'_>) -> Markup {
    let report = page.report;
    let mut all = made(page.provenance, page.config);
    let kinds = page.graph.outputs.iter().map(|output| match output.kind {
        TaskKind::Binary => format!("{} (binary)", output.task),
        TaskKind::Regression => format!("{} (regression)", output.task),
    });
    all.extend([
        ("tasks", kinds.collect::<Vec<_>>().join(", ")),
        ("seed", report.seed.to_string()),
        ("hash of the configuration", report.config_hash.clone()),
        ("hash of rows and encoders", report.data_fingerprint.clone()),
        ("training rows", rows(&report.rows.train)),
    ]);
    all.extend(report.rows.valid.as_ref().map(|count| ("validation rows", rows(count))));
    all.extend(report.rows.test.as_ref().map(|count| ("test rows", rows(count))));
    all.extend([
        ("rows skipped as bad", format::count(report.skipped_rows)),
        ("steps", format::count(report.steps)),
        ("dense parameters", format::count(report.parameters.dense)),
        ("parameters in tables", format::count(report.parameters.tables)),
    ]);
    facts(&all)
}
