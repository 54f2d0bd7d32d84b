//! [`export_saved`]: a model's folder into an ONNX file.

use std::path::Path;

use pleiad_model::artifact::Artifact;
use pleiad_rank::{Factor, Model as Saved, RankFunction, RankFusion, Scorer};

use crate::error::{Error, Result};
use crate::{Exported, Function, NetworkModel, Options, Score, TaskFactor, Transform, export};

/// Opens the model in `folder`, verifies it, and writes it to `out`, with its score where it has `[rank]`.
///
/// # Errors
/// [`Error::Model`] for a folder that holds no model, a damaged one, or one whose golden predictions are not those of its
/// weights; else as [`export()`].
pub fn export_saved(folder: &Path, options: &Options, out: &Path) -> Result<Exported> {
    // Golden predictions are verified, too: an export must not compute something else.
    let verified = Saved::open(folder).map_err(Error::Model)?;
    let score = match verified.rank() {
        Some(_) => Some(score(verified.scorer().map_err(Error::Model)?, &verified)),
        None => None,
    };
    drop(verified);
    let artifact = Artifact::open(folder).map_err(|error| Error::Model(error.into()))?;
    let model = NetworkModel {
        kind: artifact.kind(),
        graph: &artifact.graph,
        encoder: &artifact.encoder,
        weights: &artifact.weights,
        score: score.as_ref(),
    };
    export(&model, options, out)
}

/// `[rank]` of a model, as an export has it.
fn score(scorer: &Scorer, model: &Saved) -> Score {
    let name = |task: usize| model.tasks()[task].name.clone();
    let factor = |factor: &Factor| TaskFactor {
        task: name(factor.task),
        given: factor.given.iter().map(|&task| name(task)).collect(),
        power: factor.power,
        floor: factor.floor,
        cap: factor.cap,
    };
    let transform = scorer.transform().map(|transform| Transform {
        column: transform.column.clone(),
        function: match transform.kind {
            RankFunction::Log1p => Function::Log1p,
            RankFunction::Sigmoid => Function::Sigmoid,
            RankFunction::Identity => Function::Identity,
        },
        power: transform.power,
    });
    let sum = scorer.fusion() == RankFusion::Sum;
    Score { factors: scorer.factors().iter().map(factor).collect(), sum, transform }
}
