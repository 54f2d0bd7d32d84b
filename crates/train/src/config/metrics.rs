//! `[metrics]`: what is measured besides the metrics that every task has.

use std::collections::BTreeMap;

use pleiad_data::schema::Groups;
use pleiad_data::{TaskSpec, suggest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Issue;
use super::tree::PathStep;
use crate::metrics::{Measures, MetricKind};

/// k of NDCG and recall, unless others are given.
const DEFAULT_K: u32 = 10;

/// `[metrics]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Column whose values group rows, such as a user's or a request's: GAUC, NDCG and recall compare rows of one group
    /// alone. It need not be a feature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How many of a group's first rows NDCG and recall look at; 10 unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(range(min = 1, max = 1_000_000)))]
    pub k: Option<Vec<u32>>,
    /// By which metric a task is judged, where it is another than AUC or MSE: what the lines of epochs, comparisons and
    /// reports show it first.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub main: BTreeMap<String, MetricKind>,
}

impl MetricsConfig {
    /// Groups of rows, where metrics ask for them.
    pub(super) fn groups(&self) -> Option<Groups> {
        let column = self.group.clone()?;
        Some(Groups { column, k: self.k.clone().unwrap_or_else(|| vec![DEFAULT_K]) })
    }

    pub(super) fn measures(&self) -> Measures {
        let main = self.main.iter().map(|(task, metric)| (task.clone(), *metric)).collect();
        Measures { main, ..Measures::of(self.groups().as_ref()) }
    }

    pub(super) fn check(&self, tasks: &[TaskSpec]) -> Result<(), Issue> {
        if self.group.is_none() && self.k.is_some() {
            let message = "has no meaning here: NDCG and recall look at the first rows of a group; name its column with \
                           group = \"user_id\", say";
            return Err(Issue::new("metrics.k", message));
        }
        let measures = self.measures();
        for (name, metric) in &self.main {
            let at = |message| Issue::at(["metrics", "main", name].map(PathStep::from).to_vec(), message);
            let task = tasks.iter().find(|task| task.name == *name).ok_or_else(|| {
                let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
                at(format!("there is no task {name:?}{}", suggest(name, &names)))
            })?;
            check_metric(task, *metric, &measures).map_err(at)?;
        }
        Ok(())
    }
}

/// Refuses a metric that is not measured of a task.
pub(super) fn check_metric(task: &TaskSpec, metric: MetricKind, measures: &Measures) -> Result<(), String> {
    let mut known = MetricKind::of(task.kind).to_vec();
    known.extend(measures.k.iter().flat_map(|k| MetricKind::of_groups(task.kind, k)));
    if known.contains(&metric) {
        return Ok(());
    }
    let of_groups = match metric {
        MetricKind::Ndcg(k) | MetricKind::Recall(k) => MetricKind::of_groups(task.kind, &[k]),
        _ => MetricKind::of_groups(task.kind, &[]),
    };
    let known = known.iter().map(|metric| metric.name()).collect::<Vec<_>>().join(", ");
    Err(match (&measures.k, metric) {
        (None, metric) if of_groups.contains(&metric) => format!(
            "{metric} compares rows of one group, and there are no groups: name their column with [metrics] group = \
             \"user_id\", say"
        ),
        (Some(_), MetricKind::Ndcg(k) | MetricKind::Recall(k)) if of_groups.contains(&metric) => {
            format!("{metric} is not measured: add {k} to [metrics] k; known: {known}")
        }
        _ => format!("task {:?} has no metric {:?}; known: {known}", task.name, metric.name()),
    })
}
