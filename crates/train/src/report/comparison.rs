//! The report of a comparison.

use maud::{Markup, html};

use super::page::{Section, configuration, document, facts, made, rows};
use super::{ComparisonPage, format};
use crate::compare::{ComparedModel, Comparison, VerdictKind};

/// The whole page.
pub(super) fn document_of(page: &ComparisonPage<'_>) -> String {
    let comparison = page.comparison;
    let names: Vec<&str> = comparison.models.iter().map(|model| model.name.as_str()).collect();
    let sections = [
        Section::new("configuration", "Configuration", "", configuration(page.config)),
        Section::new("provenance", "Provenance", "", provenance(page)),
    ];
    document(&format!("Comparison: {}", names.join(", ")), &headline(comparison), &sections, page.provenance)
}

fn headline(comparison: &Comparison) -> Markup {
    let tasks: Vec<&str> = comparison.tasks.iter().map(|(task, _)| task).collect();
    html! {
        p.eyebrow { "Comparison report" }
        h1 { (tasks.join(", ")) ": which model helps whom" }
        p {
            "Gain of each model over " b { (comparison.baseline) } ", mean of " (format::plural(comparison.seeds.len() as u64, "seed"))
            ", on " (comparison.measured_on.name()) " rows. A task gains or pays where the whole 95 % interval of its gain lies on one side of zero."
        }
        ul.cards.verdicts { @for model in &comparison.models { @if model.name != comparison.baseline { (card(model)) } } }
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
