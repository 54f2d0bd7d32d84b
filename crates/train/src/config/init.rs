//! `--init`: whether the weights of a saved model give the same function here.
//!
//! Equal names and shapes of tensors are not enough: see [`Graph::difference`]. Before the first step the predictions must be
//! those of the saved model; otherwise another model would be trained on.

use std::path::Path;

use pleiad_data::Encoder;
use pleiad_data::schema::{Feature, FeatureBlock, TaskConfig};
use pleiad_model::artifact::{Artifact, check_weights};
use pleiad_model::{Graph, ModelConfig};
use serde_json::Value;

use super::ConfigFile;
use super::tree::PathStep;
use crate::checkpoint::Difference;
use crate::error::{Error, Result};

/// Keys of `[model]` that are of training alone.
const OF_TRAINING: [&str; 4] = ["dropout", "calibrator", "gate_start", "gate_rate"];

impl ConfigFile {
    /// Refuses a saved model whose weights would give another function in `graph`, that of the model that was chosen with
    /// [`ConfigFile::model`].
    ///
    /// # Errors
    /// [`Error::Config`] with the key that differs.
    pub(crate) fn check_init(
        &self,
        name: Option<&str>,
        model: &ModelConfig,
        graph: &Graph,
        saved: &Artifact,
        path: &Path,
    ) -> Result<()> {
        let told = |message: String| format!("--init {}: {message}", path.display());
        for (at, task) in self.config.tasks.iter().enumerate() {
            let Some(before) = saved.encoder.schema().tasks.iter().find(|before| before.name == task.name) else {
                continue;
            };
            if let Some((key, message)) = other_task(before, task) {
                let path: Vec<PathStep> = [PathStep::from("task"), PathStep::from(at)].into_iter().chain(key).collect();
                return Err(self.error_at(&path, told(message)));
            }
        }
        let differing = differing_keys(&saved.model, model)?;
        let at_key = |message: String| {
            let Some((key, words)) = differing.first() else {
                return self.error_at(&self.path_of_model(name), told(message));
            };
            self.error_at(&self.path_in_model(name, key), told(format!("{message}; {words}")))
        };
        if let Err(error) = check_weights(&saved.weights, graph) {
            return Err(at_key(format!("not weights of this [model]: {error}")));
        }
        let Some(scope) = saved.graph.difference(graph) else { return Ok(()) };
        if !differing.is_empty() {
            return Err(at_key(format!("the same weights would give another function ({scope} differs)")));
        }
        let order: Vec<&str> = saved.graph.outputs.iter().map(|output| output.task.as_str()).collect();
        let message = format!(
            "the same weights would give another function: at {scope} they belong to tasks by position; let the [[task]] \
             blocks stand in the order of the model: {}",
            order.join(", ")
        );
        Err(self.error_at(&[PathStep::from("task")], told(message)))
    }

    /// The encoder of a saved model under this configuration: what was fitted stays, and tasks, labels and the form of CSV
    /// files are the configuration's.
    ///
    /// # Errors
    /// [`Error::Config`] if the configuration has other features.
    pub(crate) fn refit(&self, saved: Encoder, path: &Path) -> Result<Encoder> {
        if saved.schema().features != self.schema.features {
            return Err(self.other_features(&saved.schema().features, path));
        }
        Ok(saved.with_schema(self.schema.clone())?)
    }

    /// The refusal of a saved model with other features, at the block of the first that differs.
    fn other_features(&self, saved: &[Feature], path: &Path) -> Error {
        let here = &self.schema.features;
        let at = saved.iter().zip(here).position(|(saved, here)| saved != here).unwrap_or(saved.len().min(here.len()));
        let what = match (saved.get(at), here.get(at)) {
            (Some(saved), Some(here)) if saved.name == here.name => {
                let json = |feature: &Feature| {
                    let mut read = serde_json::to_value(&feature.read).unwrap_or_default();
                    read["column"] = feature.column().into();
                    read
                };
                let differences = crate::checkpoint::compare(&json(saved), &json(here));
                let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
                format!("feature {:?} is read otherwise ({})", here.name, lines.join("; "))
            }
            (Some(saved), Some(here)) => format!("feature {} is {:?}, here {:?}", at + 1, saved.name, here.name),
            (Some(saved), None) => format!("it has the feature {:?}, too", saved.name),
            (None, here) => format!("it has no feature {:?}", here.map_or("", |here| &here.name)),
        };
        let block = here.get(at).and_then(|feature| self.block_of(feature));
        let place: Vec<PathStep> =
            std::iter::once(PathStep::from("feature")).chain(block.map(PathStep::from)).collect();
        let message = format!(
            "--init {}: its features are not those of this configuration: {what}; its encoders and weights have no meaning \
             here, use the [[feature]] blocks that it was trained with",
            path.display()
        );
        self.error_at(&place, message)
    }

    /// Number of the `[[feature]]` block that a feature is of.
    pub(super) fn block_of(&self, feature: &Feature) -> Option<usize> {
        let starts =
            |pattern: &String, name: &str| pattern.split_once('[').is_some_and(|(start, _)| name.starts_with(start));
        // What stands beside a number is named after it.
        let plain = ["exact", "pieces", "periodic"]
            .into_iter()
            .find_map(|part| feature.name.strip_suffix(part)?.strip_suffix('.'));
        let names = [Some(feature.name.as_str()), plain];
        let named = |block: &FeatureBlock| {
            names.into_iter().flatten().any(|own| match &block.name {
                Some(name) => *name == own,
                None => block.columns.iter().any(|column| column == own),
            })
        };
        let blocks = &self.config.features;
        blocks.iter().position(named).or_else(|| {
            blocks.iter().position(|block| match &block.name {
                Some(name) => starts(name, &feature.name),
                None => block.columns.iter().any(|pattern| starts(pattern, &feature.name)),
            })
        })
    }
}

/// What makes a task another one under its name: the key, and what to say.
fn other_task(before: &TaskConfig, now: &TaskConfig) -> Option<(Vec<PathStep>, String)> {
    let name = &now.name;
    if before.kind != now.kind {
        let kind = |task: &TaskConfig| format!("{:?}", task.kind).to_lowercase();
        let (before, now) = (kind(before), kind(now));
        let message =
            format!("kind: its task {name:?} is {before}, here it is {now}: the weights predict something else");
        return Some((vec![PathStep::from("kind")], message));
    }
    let (was, is) = (&before.label, &now.label);
    // A label of another column is another question on purpose; the other value of the same one is a slip.
    if was.column == is.column && !was.has_same_positive(is) {
        let value = |label: &pleiad_data::schema::LabelConfig| {
            label.positive.as_ref().map_or_else(|| "1 (no `positive`)".to_owned(), ToString::to_string)
        };
        let (was, is) = (value(was), value(is));
        let message = format!(
            "label.positive: its task {name:?} predicts that the label is {was}, here it would be {is}: use the value that \
             it was trained with"
        );
        return Some((vec![PathStep::from("label"), PathStep::from("positive")], message));
    }
    if before.sampled != now.sampled {
        let say =
            |task: &TaskConfig| task.sampled.map_or_else(|| "all".to_owned(), |sampled| sampled.negatives.to_string());
        let message = format!(
            "sampled: its task {name:?} was trained on {} of the negatives, here the log has {}: its predictions would be others",
            say(before),
            say(now)
        );
        return Some((vec![PathStep::from("sampled")], message));
    }
    if was.transform != is.transform {
        let say = |label: &pleiad_data::schema::LabelConfig| if label.transform.is_some() { "is" } else { "is not" };
        let message = format!(
            "label.transform: its task {name:?} {} trained on logarithms, here it {}: the weights predict something else",
            say(was),
            say(is)
        );
        return Some((vec![PathStep::from("label"), PathStep::from("transform")], message));
    }
    None
}

/// Keys of `[model]` that a saved model has otherwise, each with what to say.
fn differing_keys(saved: &Value, model: &ModelConfig) -> Result<Vec<(String, String)>> {
    let now = serde_json::to_value(model).map_err(|e| Error::Encode { reason: e.to_string() })?;
    let differences = crate::checkpoint::compare(saved, &now).into_iter();
    let keys = differences.filter(|difference| !OF_TRAINING.contains(&difference.key.as_str()));
    let words = |Difference { key, begun, now }: Difference| {
        let words = format!("the model has model.{key} = {begun}, this configuration {now}");
        (key, words)
    };
    Ok(keys.map(words).collect())
}
