//! Every joint-loss method against PyTorch and SciPy; the numbers are made by `tools/golden/joint.py`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use pleiad_data::TaskKind;
use pleiad_model::objective::conflict::{Gram, cagrad, pcgrad_in_order};
use pleiad_model::objective::weighting::{DynamicAverage, GradNorm, Uncertainty};
use serde::Deserialize;

#[derive(Deserialize)]
struct GoldenSteps {
    conflicts: Vec<Conflict>,
    grad_norm: Vec<GradNormCase>,
    uncertainty: Vec<UncertaintyCase>,
    dynamic_average: Vec<AverageCase>,
}

#[derive(Deserialize)]
struct Conflict {
    gradients: Vec<Vec<f64>>,
    orders: Vec<Vec<usize>>,
    pcgrad: Vec<f64>,
    cagrad: BTreeMap<String, Vec<f64>>,
}

#[derive(Deserialize)]
struct GradNormCase {
    alpha: f64,
    learning_rate: f64,
    steps: Vec<JointStep>,
}

#[derive(Deserialize)]
struct UncertaintyCase {
    kinds: Vec<TaskKind>,
    learning_rate: f64,
    steps: Vec<JointStep>,
}

#[derive(Deserialize)]
struct JointStep {
    losses: Vec<f64>,
    #[serde(default)]
    norms: Vec<f64>,
    #[serde(default)]
    rows: Vec<usize>,
    /// After the step.
    weights: Vec<f64>,
}

#[derive(Deserialize)]
struct AverageCase {
    temperature: f64,
    losses: Vec<Vec<f64>>,
    weights: Vec<Vec<f64>>,
}

fn golden() -> GoldenSteps {
    serde_json::from_str(include_str!("golden/joint.json")).unwrap()
}

/// Equal within `tolerance` of the largest number.
fn assert_close(found: &[f64], exact: &[f64], tolerance: f64, what: &str) {
    let largest = exact.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let close = found.iter().zip(exact).all(|(f, e)| (f - e).abs() <= tolerance * largest);
    assert!(close && found.len() == exact.len(), "{what}: {found:?} is not {exact:?}");
}

fn combined(gradients: &[Vec<f64>], coefficients: &[f64]) -> Vec<f64> {
    (0..gradients[0].len()).map(|d| gradients.iter().zip(coefficients).map(|(g, c)| c * g[d]).sum()).collect()
}

#[test]
fn conflicts_end_as_elsewhere() {
    for (i, case) in golden().conflicts.iter().enumerate() {
        let g = &case.gradients;
        let gram = Gram::from_fn(g.len(), |i, j| g[i].iter().zip(&g[j]).map(|(a, b)| a * b).sum());
        let found = combined(g, &pcgrad_in_order(&gram, |task| case.orders[task].clone()));
        assert_close(&found, &case.pcgrad, 1e-12, &format!("pcgrad, case {i}"));
        for (c, exact) in &case.cagrad {
            let found = combined(g, &cagrad(&gram, c.parse().unwrap()));
            // What SLSQP leaves open.
            assert_close(&found, exact, 1e-6, &format!("cagrad, case {i}, c = {c}"));
        }
    }
}

#[test]
fn gradient_norms_move_the_weights_as_elsewhere() {
    for case in golden().grad_norm {
        let mut method = GradNorm::new(3);
        for (t, step) in case.steps.iter().enumerate() {
            method.update(&step.losses, &[16; 3], &step.norms, case.alpha, case.learning_rate);
            assert_close(method.weights(), &step.weights, 1e-10, &format!("alpha = {}, step {t}", case.alpha));
        }
    }
}

#[test]
fn uncertainties_move_as_elsewhere() {
    for case in golden().uncertainty {
        let mut method = Uncertainty::new(3);
        for (t, step) in case.steps.iter().enumerate() {
            method.update(&case.kinds, &step.losses, &step.rows, case.learning_rate);
            assert_close(&method.weights(&case.kinds), &step.weights, 1e-10, &format!("step {t}"));
        }
    }
}

#[test]
fn averages_move_as_elsewhere() {
    for case in golden().dynamic_average {
        let mut method = DynamicAverage::new(3);
        for (t, weights) in case.weights.iter().enumerate() {
            assert_close(&method.weights(case.temperature), weights, 1e-12, &format!("epoch {t}"));
            if let Some(losses) = case.losses.get(t) {
                method.end_epoch(&losses.iter().copied().map(Some).collect::<Vec<_>>());
            }
        }
    }
}
