//! [`Pages`]: what draws the report of a run or of a comparison. This module collects the content; its look is elsewhere.

use pleiad_model::Graph;
use pleiad_model::artifact::Provenance;

use crate::compare::result::Comparison;
use crate::config::ConfigFile;
use crate::explain::Explanation;
use crate::run::report::RunReport;

/// Draws reports; they are written beside the figures, as `report.html`.
pub trait Pages: std::fmt::Debug + Sync {
    /// The report of a run.
    fn run(&self, page: &RunPage<'_>) -> String;

    /// The report of a comparison.
    fn comparison(&self, page: &ComparisonPage<'_>) -> String;
}

/// The content of the report of a run.
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

/// The content of the report of a comparison.
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
