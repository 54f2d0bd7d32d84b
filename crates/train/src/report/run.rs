//! The report of one run.

use maud::{Markup, html};
use pleiad_data::TaskKind;

use super::page::{Section, configuration, document, facts, made, rows};
use super::{RunPage, format};
use crate::evaluate::{Evaluation, named_metrics};
use crate::fit::StopReason;
use crate::run::RunReport;

/// The whole page.
pub(super) fn document_of(page: &RunPage<'_>) -> String {
    let report = page.report;
    let title = format!(
        "{}: {}",
        report.kind,
        page.graph.outputs.iter().map(|o| o.task.as_str()).collect::<Vec<_>>().join(", ")
    );
    let sections = [
        Section::new("configuration", "Configuration", "", configuration(page.config)),
        Section::new("provenance", "Provenance", "", provenance(page)),
    ];
    document(&title, &headline(page), &sections, page.provenance)
}

/// The rows that a run is judged by, and their name.
fn judged(report: &RunReport) -> Option<(&'static str, &Evaluation)> {
    let test = report.test.as_ref().map(|test| ("test", test));
    test.or_else(|| report.valid.as_ref().map(|valid| ("validation", valid)))
}

fn headline(page: &RunPage<'_>) -> Markup {
    let report = page.report;
    let stop = match report.stop {
        StopReason::Epochs => "all epochs done",
        StopReason::EarlyStopping => "stopped early",
    };
    let kept = match &report.selected_by {
        Some(metric) => format!("the best by {metric}"),
        None => "the last, as there are no validation rows".to_owned(),
    };
    html! {
        p.eyebrow { "Training report" }
        h1 { (report.kind) " on " (format::plural(report.rows.train.rows, "row")) }
        p {
            "Epoch " (report.best_epoch) " of " (report.history.len()) " is kept, " (kept) "; " (stop) ". "
            (format::count(report.parameters.total)) " parameters, " (format::short(report.flops_per_row as f64))
            " operations a row, trained in " (format::seconds(report.seconds)) "."
        }
        @if let Some((split, evaluation)) = judged(report) {
            ul.cards {
                @for (task, metrics) in evaluation.tasks.iter() {
                    @let named = named_metrics(metrics);
                    li.card {
                        h3 { (task) }
                        @for (metric, value) in named.first() {
                            p.big { (format::metric(*value)) }
                            p.note { (metric.label()) " on " (format::count(metrics.rows())) " " (split) " rows" }
                        }
                        p.note {
                            @for (i, (metric, value)) in named.iter().skip(1).enumerate() {
                                @if i > 0 { " · " } (metric.label()) " " (format::metric(*value))
                            }
                        }
                    }
                }
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
