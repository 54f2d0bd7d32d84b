//! The report: one HTML file that tells a run, or a comparison, in pictures with their numbers beside them.
//!
//! A file is whole in itself: no network, no fonts, no scripts. It follows the reader's light or dark scheme, can be
//! printed, and is laid out for a phone as for a desk. `page` is the frame, `run` and `comparison` what stands on it, in
//! which order; `charts` holds a picture per file, each with its table; `structure` lays out a graph by its scopes;
//! `tensorboard` writes the same curves for another tool. Nothing is computed here that a JSON file does not say too.

mod charts;
mod comparison;
mod data;
mod explained;
mod format;
mod page;
mod run;
mod structure;
pub(crate) mod tensorboard;
#[cfg(test)]
mod tests;

use pleiad_model::Graph;
use pleiad_model::artifact::Provenance;

use crate::compare::Comparison;
use crate::config::ConfigFile;
use crate::explain::Explanation;
use crate::run::RunReport;

/// A run, to be told.
#[derive(Debug, Clone, Copy)]
pub struct RunPage<'a> {
    /// What `metrics.json` says.
    pub report: &'a RunReport,
    /// What `explain.json` says.
    pub explanation: Option<&'a Explanation>,
    /// The model.
    pub graph: &'a Graph,
    /// The configuration that it was trained with.
    pub config: &'a ConfigFile,
    /// What has made it, and when.
    pub provenance: &'a Provenance,
}

/// A comparison, to be told.
#[derive(Debug, Clone)]
pub struct ComparisonPage<'a> {
    /// What `compare.json` says.
    pub comparison: &'a Comparison,
    /// More of each of its models, in the same order.
    pub models: Vec<ModelPage<'a>>,
    /// The configuration.
    pub config: &'a ConfigFile,
    /// What has made it, and when.
    pub provenance: &'a Provenance,
}

/// A model of a comparison.
#[derive(Debug, Clone)]
pub struct ModelPage<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its finished runs, in the order of the seeds.
    pub runs: Vec<&'a RunReport>,
    /// What `explain.json` of the first finished run says.
    pub explanation: Option<&'a Explanation>,
    /// The model.
    pub graph: &'a Graph,
}

/// The report of a run, an HTML document.
#[must_use]
pub fn run_page(page: &RunPage<'_>) -> String {
    run::document_of(page)
}

/// The report of a comparison, an HTML document.
#[must_use]
pub fn comparison_page(page: &ComparisonPage<'_>) -> String {
    comparison::document_of(page)
}
