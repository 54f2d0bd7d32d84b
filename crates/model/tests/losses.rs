//! Every loss of a row against PyTorch; the numbers are made by `tools/golden/losses.py`.
#![allow(clippy::unwrap_used)]

use pleiad_data::TaskKind;
use pleiad_data::schema::Objective;
use pleiad_model::objective::Loss;
use serde::Deserialize;

#[derive(Deserialize)]
struct LossCase {
    kind: TaskKind,
    objective: Objective,
    /// Number, label, loss, derivative.
    rows: Vec<[f64; 4]>,
}

#[test]
fn values_and_derivatives_are_those_of_pytorch() {
    let cases: Vec<LossCase> = serde_json::from_str(include_str!("golden/losses.json")).unwrap();
    assert_eq!(cases.len(), 10);
    for LossCase { kind, objective, rows } in cases {
        assert_eq!(objective.check(kind), Ok(()));
        let loss = Loss::of(kind, &objective);
        for [z, y, value, derivative] in rows {
            let (z, y) = (z as f32, y as f32);
            for (found, exact) in [(loss.value(z, y), value), (loss.derivative(z, y), derivative)] {
                let error = (f64::from(found) - exact).abs();
                // A single's rounding of some operations, and of a probability at 1.
                let bound = 2e-6 * exact.abs() + 6e-8 * objective.positive_weight.unwrap_or(1.0);
                assert!(error <= bound, "{objective:?} at {z}, {y}: {found} is not {exact}");
            }
        }
    }
}
