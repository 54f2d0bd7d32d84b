//! [`GateRows`]: the weights of a gate, row by row.

use pleiad_data::Batch;
use pleiad_model::graph::Gate;

/// The weights that a gate gives its experts in each row of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct GateRows<'g> {
    /// The gate: where it stands, and the E experts that it weighs.
    pub gate: &'g Gate,
    /// `[B, E]`, row after row: weights after softmax.
    pub weights: Vec<f32>,
}

impl<'g> GateRows<'g> {
    /// Of the shards of a batch, in the order of the rows: `parts[s][g]` has the weights of gate g in shard s.
    pub(crate) fn joined(gates: &'g [Gate], parts: Vec<Vec<Vec<f32>>>, batch: &Batch) -> Vec<Self> {
        let empty = |gate: &'g Gate| Self { gate, weights: Vec::with_capacity(batch.rows * gate.experts.len()) };
        let mut all: Vec<Self> = gates.iter().map(empty).collect();
        for part in parts {
            all.iter_mut().zip(part).for_each(|(gate, weights)| gate.weights.extend(weights));
        }
        all
    }

    /// The weights of a row, in the order of the experts; empty beyond the last row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        self.weights.chunks(self.gate.experts.len().max(1)).nth(row).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Input, InputLayout, TaskKind, TaskSpec};
    use pleiad_model::{ModelConfig, Weights};
    use serde_json::{Value, json};

    use super::*;
    use crate::{GateStatistics, Predictor};

    #[test]
    fn rows_are_the_softmax_and_their_means_the_statistics() {
        let level = json!({ "task_experts": 1, "shared_experts": 2, "widths": [4] });
        let Value::Object(table) = json!({ "kind": "ple", "levels": [level, level] }) else { panic!() };
        let layout = InputLayout::new(vec![Input::Numeric { name: "x".into(), column: 0 }]);
        let tasks = ["a", "b"].map(|name| TaskSpec::new(name, TaskKind::Binary));
        let graph = ModelConfig::from_table(table).unwrap().build(&layout, &tasks).unwrap();
        let mut weights = Weights::default();
        for (at, param) in graph.params.iter().enumerate() {
            let value = |i: usize| ((at * 7 + i * 3) as f32).sin();
            weights.insert(&param.name, param.shape.clone(), (0..param.len()).map(value).collect());
        }
        let at = graph.params.iter().position(|param| param.name == "levels.0.a.gate.weight").unwrap();
        let slopes: Vec<f32> = (0..3).map(|i| ((at * 7 + i * 3) as f32).sin()).collect();
        assert_eq!(graph.params[at].len(), slopes.len());
        let predictor = Predictor::new(graph, &weights).unwrap();
        // More than two shards.
        let numeric: Vec<f32> = (0..600).map(|i| i as f32 / 100.0 - 3.0).collect();
        let batch = Batch { rows: numeric.len(), numeric: numeric.clone(), ..Batch::default() };
        let gates = predictor.gate_weights(&batch).unwrap();
        let scopes: Vec<&str> = gates.iter().map(|gate| gate.gate.scope.as_str()).collect();
        assert!(scopes.contains(&"levels.0.shared.gate") && scopes.contains(&"levels.1.b.gate"), "{scopes:?}");
        let first = gates.iter().find(|gate| gate.gate.scope == "levels.0.a.gate").unwrap();
        for (row, x) in numeric.iter().enumerate() {
            let powers: Vec<f32> = slopes.iter().map(|slope| (slope * x).exp()).collect();
            for (found, power) in first.row(row).iter().zip(&powers) {
                assert!((found - power / powers.iter().sum::<f32>()).abs() < 1e-5, "row {row}");
            }
        }
        assert!(first.row(600).is_empty());

        let mut statistics = GateStatistics::new(predictor.graph());
        predictor.observe_gates(&batch, &mut statistics).unwrap();
        for (seen, gate) in statistics.gates().iter().zip(&gates) {
            assert_eq!((seen.scope, seen.rows), (gate.gate.scope.as_str(), 600));
            for (e, expert) in seen.experts.iter().enumerate() {
                let mean = (0..600).map(|row| f64::from(gate.row(row)[e])).sum::<f64>() / 600.0;
                assert!((mean - expert.mean).abs() < 1e-12, "{} {}", seen.scope, expert.name);
            }
        }
    }
}
