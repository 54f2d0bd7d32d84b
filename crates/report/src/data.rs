//! The contents of the rows: labels and base rates, missing and unknown values.

use maud::{Markup, html};
use pleiad_data::FeatureCount;

use super::format;
use super::page::{Section, TableCell, table};
use pleiad_train::{DataSummary, SplitSummary};

/// Features that a table shows before it is folded away.
const SHOWN: usize = 24;

/// The section, for reports that have it.
pub(super) fn section(summary: Option<&DataSummary>) -> Option<Section> {
    let summary = summary?;
    let hint = "Labels are those in each task's own sample space. An unknown value is one that the vocabulary, fitted on the \
                training rows, does not have; all of them share one row of the feature's table.";
    Some(Section::new("data", "Data", hint, html! { (labels(summary)) (features(summary)) }))
}

/// A row per split and task.
fn labels(summary: &DataSummary) -> Markup {
    let of_split = |(name, split): (&'static str, &SplitSummary)| {
        let rows = split.rows;
        let row = move |(task, labels): (&str, &pleiad_train::LabelSummary)| {
            vec![
                TableCell::Text(name.to_owned()),
                TableCell::Text(task.to_owned()),
                format::count(rows).into(),
                format::count(labels.rows).into(),
                labels.positives.map_or_else(|| "–".to_owned(), format::count).into(),
                TableCell::from(labels.base_rate().map_or_else(|| "–".to_owned(), format::percent)),
            ]
        };
        split.tasks.iter().map(row).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<TableCell>> = summary.splits().flat_map(of_split).collect();
    table("Labels of each split", &["split", "task", "rows", "labels", "positives", "base rate"], rows)
}

/// A row per feature that lacks values, or has unknown ones.
fn features(summary: &DataSummary) -> Markup {
    let splits: Vec<(&str, &SplitSummary)> = summary.splits().collect();
    let of = |feature: &str| splits.iter().filter_map(|(_, split)| split.features.get(feature)).collect::<Vec<_>>();
    let is_told = |counts: &[&FeatureCount]| counts.iter().any(|count| count.missing > 0 || count.unknown > 0);
    let names: Vec<&str> = summary.train.features.iter().map(|(name, _)| name).collect();
    let told: Vec<(&str, Vec<&FeatureCount>)> =
        names.iter().map(|name| (*name, of(name))).filter(|(_, counts)| is_told(counts)).collect();
    let others = (names.len() - told.len()) as u64;
    let header: Vec<String> =
        splits.iter().flat_map(|(name, _)| [format!("missing, {name}"), format!("unknown, {name}")]).collect();
    let header: Vec<&str> = std::iter::once("feature").chain(header.iter().map(String::as_str)).collect();
    let rows = told.iter().map(|(name, counts)| {
        let shares = counts.iter().flat_map(|count| [count.missing_share(), count.unknown_share()]);
        let cells =
            shares.map(|share| TableCell::from(if share == 0.0 { "0".to_owned() } else { format::percent(share) }));
        std::iter::once(TableCell::Text((*name).to_owned())).chain(cells).collect()
    });
    let shares = table("Missing and unknown values of each feature", &header, rows);
    html! {
        @if told.len() > SHOWN {
            details { summary { (format::plural(told.len() as u64, "feature")) " with missing or unknown values" } (shares) }
        } @else if !told.is_empty() {
            (shares)
        }
        p.note {
            @if told.is_empty() { "All values of the " } @else { "All values of the other " }
            (format::plural(others, "feature")) " are there and known."
        }
    }
}
