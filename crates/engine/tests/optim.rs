//! Every optimizer, step by step, against PyTorch; the numbers are made by `tools/golden/optim.py`.
#![allow(clippy::unwrap_used)]

use pleiad_engine::optim::{OptimizerConfig, StepRule, clip_scale, square_sum};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    config: OptimizerConfig,
    clip_norm: Option<f64>,
    factors: Option<Vec<f64>>,
    start: Vec<f32>,
    gradients: Vec<Vec<f32>>,
    weights: Vec<Vec<f32>>,
}

#[test]
fn every_step_equals_pytorch() {
    let golden: Golden = serde_json::from_str(include_str!("golden/optim.json")).unwrap();
    assert_eq!(golden.cases.len(), 17);
    for case in &golden.cases {
        case.config.validate().unwrap();
        let mut weights = case.start.clone();
        let n = weights.len();
        let (mut first, mut second) = (vec![case.config.initial_state(); n], vec![0.0; n]);
        for (step, gradient) in case.gradients.iter().enumerate() {
            let factor = case.factors.as_ref().map_or(1.0, |factors| factors[step]);
            let rule = StepRule::new(&case.config, step as u64 + 1, factor);
            let scale = case.clip_norm.map_or(1.0, |clip| clip_scale(square_sum(gradient).sqrt(), clip));
            rule.update(&mut weights, gradient, [&mut first, &mut second], scale);
            for (i, (found, wanted)) in weights.iter().zip(&case.weights[step]).enumerate() {
                // A weight that crosses zero has no relative error to speak of; it moved by about the learning rate.
                let tolerance = 1e-6 * wanted.abs().max(case.start[i].abs()).max(0.1);
                assert!(
                    (found - wanted).abs() <= tolerance,
                    "{:?}, step {step}, weight {i}: {found}, PyTorch {wanted}",
                    case.config
                );
            }
        }
    }
}
