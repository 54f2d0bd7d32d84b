//! Models of equal size: widths are scaled until a model has as many dense parameters as the baseline.

use pleiad_model::{Graph, ModelConfig};

use crate::error::Result;

/// A model as it takes part in a comparison.
#[derive(Debug, Clone)]
pub(super) struct SizedModel {
    pub(super) model: ModelConfig,
    pub(super) graph: Graph,
    /// What its widths were multiplied with.
    pub(super) factor: f64,
}

impl SizedModel {
    fn dense(&self) -> u64 {
        self.graph.summary().dense_parameters
    }
}

/// The widest range of factors that are tried, on both sides of 1.
const MOST: f64 = 256.0;

/// Halvings of the range; after that two factors give the same widths.
const HALVINGS: usize = 40;

/// `model` with the widths of its experts and bottoms scaled by the factor that brings its number of dense parameters
/// nearest to `target`. Towers stay as they are, and so do embedding tables, whose size the features decide.
///
/// # Errors
/// Those of `build`.
pub(super) fn matched(
    model: &ModelConfig,
    target: u64,
    build: impl Fn(&ModelConfig) -> Result<Graph>,
) -> Result<SizedModel> {
    let at = |factor: f64| -> Result<SizedModel> {
        let model = if factor == 1.0 { model.clone() } else { model.scaled(factor) };
        Ok(SizedModel { graph: build(&model)?, model, factor })
    };
    let mut best = at(1.0)?;
    // Sizes grow with the factor, in steps where a width is rounded to the next.
    let (mut low, mut high) = (1.0 / MOST, MOST);
    for _ in 0..HALVINGS {
        let tried = at((low * high).sqrt())?;
        let size = tried.dense();
        if size < target {
            low = tried.factor;
        } else {
            high = tried.factor;
        }
        if size.abs_diff(target) < best.dense().abs_diff(target) {
            best = tried;
        }
    }
    Ok(best)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Input, InputLayout, TaskKind, TaskSpec};

    use super::*;

    fn build(model: &ModelConfig) -> Result<Graph> {
        let inputs = (0..20).map(|column| Input::Numeric { name: format!("x{column}"), column }).collect();
        let task = |name: &str| TaskSpec::new(name, TaskKind::Binary);
        Ok(model.build(&InputLayout::new(inputs), &[task("a"), task("b")])?)
    }

    fn model(text: &str) -> ModelConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn every_structure_comes_near_the_target() {
        let target = 40_000;
        for text in [
            "kind = 'ple'\ntower = [8]\nlevels = [{ task_experts = 2, shared_experts = 1, widths = [16] }, { task_experts = 1, shared_experts = 1, widths = [16] }]",
            "kind = 'mmoe'\nexperts = 4\nwidths = [64, 32]\ntower = [8]",
            "kind = 'mmoe'\nexperts = 4\nwidths = [64, 32]\ntower = [8]\ninteraction = { kind = 'cross', layers = 3 }",
            "kind = 'hard-sharing'\nbottom = [512, 512]\ntower = [8]",
            "kind = 'single-task'\nbottom = [4]",
        ] {
            let sized = matched(&model(text), target, build).unwrap();
            let found = sized.graph.summary().dense_parameters;
            assert!(found.abs_diff(target) < target / 50, "{text}: {found} at {}", sized.factor);
        }
    }

    #[test]
    fn a_model_of_the_right_size_is_left_alone() {
        let model = model("kind = 'mmoe'\nexperts = 4\nwidths = [64, 32]\ntower = [8]");
        let target = build(&model).unwrap().summary().dense_parameters;
        let sized = matched(&model, target, build).unwrap();
        assert_eq!((sized.factor, sized.model), (1.0, model));
    }
}
