//! [`carry`]: what a package's `state_dict` becomes here.

use std::path::Path;

use pleiad_data::schema::{Encoding, FeatureKind};
use pleiad_data::{Input, InputLayout, TaskSpec};
use pleiad_model::artifact::{check_weights, read_floats};
use pleiad_model::{ModelConfig, Weights};
use serde_json::Value;

use super::net::Net;
use super::package::Package;
use super::state::StateDict;
use super::{blog, deepctr, mtreclib, rechub};
use crate::config::ConfigFile;
use crate::error::{Error, Result};

/// What no tensor shows, said with every import.
const UNSEEN: &str = "gates are read as a linear layer and a softmax, as the package has them; the tensors do not show whether a changed \
                      copy left the softmax out, so compare some predictions with its own";

/// A package's weights with this project's names.
pub(super) struct Carried {
    pub(super) model: ModelConfig,
    /// Keys of `[model]` that the tensors' shapes give.
    pub(super) keys: Value,
    pub(super) weights: Weights,
    pub(super) notes: Vec<String>,
}

/// Makes weights of the model over `layout` of a package's `state_dict`; the model is `configured`, or what the tensors' shapes give.
pub(super) fn carry(
    package: Package,
    path: &Path,
    file: &ConfigFile,
    layout: &InputLayout,
    tasks: &[TaskSpec],
    configured: Option<&ModelConfig>,
) -> Result<Carried> {
    check_features(package, file)?;
    let mut state = StateDict::new(path, package, read_floats(path)?);
    let mut weights = Weights::default();
    let order = order_of_inputs(layout);
    let mut net = match package {
        Package::TorchRechub => {
            tables(&mut state, rechub::TABLES, layout, &mut weights)?;
            rechub::read(&mut state, layout.width(), tasks.len())?
        }
        Package::DeepctrTorch => {
            tables(&mut state, deepctr::TABLES, layout, &mut weights)?;
            deepctr::read(&mut state, layout.width(), tasks.len())?
        }
        Package::Mtreclib => mtreclib::read(&mut state, file.path(), layout, tasks.len(), &mut weights)?,
        Package::Blog => blog::read(&mut state, layout.width(), tasks.len())?,
    };
    state.finish()?;
    net.first_layers().into_iter().for_each(|layer| layer.reorder_inputs(&order));
    weights.tensors.extend(net.weights(tasks).tensors);
    let keys = net.keys(tasks);
    let model = settle(&net, path, package, layout, tasks, &weights, configured)?;
    let mut notes = state.notes;
    notes.push(UNSEEN.to_owned());
    Ok(Carried { model, keys, weights, notes })
}

/// The model: `configured` if the weights are its own.
fn settle(
    net: &Net,
    path: &Path,
    package: Package,
    layout: &InputLayout,
    tasks: &[TaskSpec],
    weights: &Weights,
    configured: Option<&ModelConfig>,
) -> Result<ModelConfig> {
    let found = net.model(tasks)?;
    let Some(model) = configured else {
        check_weights(weights, &found.build(layout, tasks)?)?;
        return Ok(found);
    };
    let checked = model.build(layout, tasks).and_then(|graph| check_weights(weights, &graph));
    match checked {
        Ok(()) => Ok(model.clone()),
        Err(problem) => {
            let toml = toml::to_string(&found).map_err(|error| Error::Encode { reason: error.to_string() })?;
            Err(Error::ForeignModel {
                path: path.to_path_buf(),
                package: package.name(),
                problem: Box::new(problem),
                model: format!("[model]\n{}", toml.trim_end()),
            })
        }
    }
}

/// Every category must be its row of the table, as it was in the package.
fn check_features(package: Package, file: &ConfigFile) -> Result<()> {
    let refuse = |name: &str, reason: String| {
        Err(Error::ForeignFeature { path: file.path().to_path_buf(), what: "feature", name: name.to_owned(), reason })
    };
    let package_name = package.name();
    for feature in &file.schema.features {
        match &feature.read {
            FeatureKind::Numeric { .. } => {}
            FeatureKind::Categorical { encoding: Encoding::Ids(_), multiple: None, .. } if package != Package::Blog => {
            }
            FeatureKind::Categorical { .. } if package == Package::Blog => {
                let reason = "this model has no embeddings: it reads numbers alone".to_owned();
                return refuse(&feature.name, reason);
            }
            FeatureKind::Categorical { multiple: Some(_), .. } => {
                let reason = format!(
                    "{package_name} masks and pools lists by rules of its own, so that lists cannot be carried over; leave the feature out of the model \
                     there, or train it here"
                );
                return refuse(&feature.name, reason);
            }
            FeatureKind::Categorical { .. } => {
                let reason = format!(
                    "{package_name} takes whole numbers as rows of the table, so that only encoding = {{ ids = ROWS }} gives the same rows; write the \
                     ids that the model was trained on into the column"
                );
                return refuse(&feature.name, reason);
            }
            _ => {
                let reason = format!(
                    "{package_name} reads embeddings of ids and plain numbers alone; make it numeric or categorical"
                );
                return refuse(&feature.name, reason);
            }
        }
    }
    Ok(())
}

/// For every number of x here, its place in a package's x: all embeddings first, then all numbers, both in the order of the
/// configuration.
fn order_of_inputs(layout: &InputLayout) -> Vec<usize> {
    let is_table = |input: &&Input| matches!(input, Input::Categorical { .. });
    let mut embedding = 0;
    let mut number = layout.inputs.iter().filter(is_table).map(Input::width).sum::<usize>();
    let mut order = Vec::with_capacity(layout.width());
    for input in &layout.inputs {
        let at = if is_table(&input) { &mut embedding } else { &mut number };
        order.extend(*at..*at + input.width());
        *at += input.width();
    }
    order
}

/// Takes each table as `prefix.<table>.weight`.
fn tables(state: &mut StateDict, prefix: &str, layout: &InputLayout, weights: &mut Weights) -> Result<()> {
    for input in &layout.inputs {
        let Input::Categorical { table, rows, dim, .. } = input else { continue };
        let name = format!("embeddings.{table}.weight");
        if weights.get(&name).is_none() {
            let shape = vec![usize::try_from(*rows).unwrap_or(usize::MAX), *dim];
            let values = state.shaped(&format!("{prefix}.{table}.weight"), &shape)?;
            weights.insert(name, shape, values);
        }
    }
    Ok(())
}
