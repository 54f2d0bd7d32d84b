//! [`GateStatistics`]: how much each gate uses each expert (figure 8 of the PLE paper), and whether experts' outputs
//! vary.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use pleiad_model::Graph;
use pleiad_model::graph::{Node, NodeSpec, Op};

/// Weights of every gate, and outputs of every expert that a gate weighs, over the rows seen. Mergeable.
#[derive(Debug, Clone, PartialEq)]
pub struct GateStatistics {
    /// Common to all parts of one graph, so that a part costs its numbers alone.
    names: Arc<Names>,
    gates: Vec<GateSums>,
    experts: Vec<UnitRanges>,
}

#[derive(Debug, PartialEq)]
struct Names {
    /// Scope and experts of each gate.
    gates: Vec<(String, Vec<String>)>,
    /// Name and output of each expert.
    experts: Vec<(String, Node)>,
}

#[derive(Debug, Clone, PartialEq)]
struct GateSums {
    rows: u64,
    /// Sum of the rows' entropies, in nats.
    entropy: f64,
    experts: Vec<WeightSums>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct WeightSums {
    sum: f64,
    squares: f64,
    lowest: f32,
    highest: f32,
}

/// Lowest and highest output of each of an expert's W units.
#[derive(Debug, Clone, PartialEq)]
struct UnitRanges {
    rows: u64,
    lowest: Vec<f32>,
    highest: Vec<f32>,
}

/// One gate's use of its experts.
#[derive(Debug, Clone, PartialEq)]
pub struct GateUse<'s> {
    /// Where the gate stands, such as `levels.0.income.gate`.
    pub scope: &'s str,
    /// Rows seen.
    pub rows: u64,
    /// `-sum_e g_e ln g_e / ln E`, mean over the rows: 1 where weights are even, 0 where each row is one expert's alone.
    pub entropy: f64,
    /// Its experts, in the order of its weights.
    pub experts: Vec<ExpertWeight<'s>>,
}

/// An expert's weight in one gate, over the rows seen; all zero over no rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpertWeight<'s> {
    /// The expert.
    pub name: &'s str,
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub sd: f64,
    /// The lowest of any row.
    pub lowest: f64,
    /// The highest of any row.
    pub highest: f64,
}

/// What an expert gives the gates that weigh it, over the rows seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpertOutput<'s> {
    /// The expert.
    pub name: &'s str,
    /// Rows seen.
    pub rows: u64,
    /// `max_u (max_i h_iu - min_i h_iu)` over its units u and rows i: how far any unit moves. 0 where the output is the
    /// same for every row.
    pub spread: f64,
    /// `max_iu |h_iu|`.
    pub largest: f64,
}

/// Every expert that a gate of `graph` weighs, once, in the order of the graph: its name, and the node that the mixture
/// reads.
pub(crate) fn experts(graph: &Graph) -> Vec<(String, Node)> {
    let mut mixtures: HashMap<Node, Vec<&NodeSpec>> = HashMap::new();
    for node in graph.nodes.iter().filter(|node| node.op == Op::Mixture) {
        node.inputs.first().into_iter().for_each(|&gate| mixtures.entry(gate).or_default().push(node));
    }
    let (mut experts, mut known) = (Vec::new(), HashSet::new());
    for gate in &graph.gates {
        let mixtures = mixtures.get(&gate.node).into_iter().flatten();
        for (name, &node) in mixtures.flat_map(|mixture| gate.experts.iter().zip(&mixture.inputs[1..])) {
            if known.insert(node) {
                experts.push((name.clone(), node));
            }
        }
    }
    experts
}

impl GateStatistics {
    /// Statistics over no rows for every gate of `graph`.
    #[must_use]
    pub fn new(graph: &Graph) -> Self {
        let names = Names {
            gates: graph.gates.iter().map(|gate| (gate.scope.clone(), gate.experts.clone())).collect(),
            experts: experts(graph),
        };
        let none = WeightSums { sum: 0.0, squares: 0.0, lowest: f32::INFINITY, highest: f32::NEG_INFINITY };
        let gates = names.gates.iter().map(|(_, experts)| GateSums {
            rows: 0,
            entropy: 0.0,
            experts: vec![none; experts.len()],
        });
        let experts = names.experts.iter().map(|(_, node)| {
            let width = graph.node(*node).width;
            UnitRanges { rows: 0, lowest: vec![f32::INFINITY; width], highest: vec![f32::NEG_INFINITY; width] }
        });
        Self { gates: gates.collect(), experts: experts.collect(), names: Arc::new(names) }
    }

    /// Adds one row's weights of gate `gate`.
    pub(crate) fn observe(&mut self, gate: usize, weights: &[f32]) {
        let gate = &mut self.gates[gate];
        gate.rows += 1;
        gate.entropy -= weights.iter().map(|&w| f64::from(w)).filter(|&w| w > 0.0).map(|w| w * w.ln()).sum::<f64>();
        for (expert, &w) in gate.experts.iter_mut().zip(weights) {
            expert.sum += f64::from(w);
            expert.squares += f64::from(w) * f64::from(w);
            expert.lowest = expert.lowest.min(w);
            expert.highest = expert.highest.max(w);
        }
    }

    /// Adds rows of the output of the expert that `node` gives.
    pub(crate) fn observe_expert<'r>(&mut self, node: Node, rows: impl Iterator<Item = &'r [f32]>) {
        let Some(at) = self.names.experts.iter().position(|(_, known)| *known == node) else { return };
        let expert = &mut self.experts[at];
        for row in rows {
            expert.rows += 1;
            expert.lowest.iter_mut().zip(row).for_each(|(lowest, h)| *lowest = lowest.min(*h));
            expert.highest.iter_mut().zip(row).for_each(|(highest, h)| *highest = highest.max(*h));
        }
    }

    /// Adds the rows of `other`, which must be of the same graph.
    pub fn merge(&mut self, other: &Self) {
        for (gate, other) in self.gates.iter_mut().zip(&other.gates) {
            gate.rows += other.rows;
            gate.entropy += other.entropy;
            for (a, b) in gate.experts.iter_mut().zip(&other.experts) {
                a.sum += b.sum;
                a.squares += b.squares;
                a.lowest = a.lowest.min(b.lowest);
                a.highest = a.highest.max(b.highest);
            }
        }
        for (expert, other) in self.experts.iter_mut().zip(&other.experts) {
            expert.rows += other.rows;
            expert.lowest.iter_mut().zip(&other.lowest).for_each(|(a, b)| *a = a.min(*b));
            expert.highest.iter_mut().zip(&other.highest).for_each(|(a, b)| *a = a.max(*b));
        }
    }

    /// Each gate's use of its experts, in the order of the graph.
    #[must_use]
    pub fn gates(&self) -> Vec<GateUse<'_>> {
        let names = self.names.gates.iter();
        names
            .zip(&self.gates)
            .map(|((scope, names), gate)| GateUse {
                scope,
                rows: gate.rows,
                entropy: gate.mean_entropy(),
                experts: names.iter().zip(&gate.experts).map(|(name, sums)| sums.over(gate.rows, name)).collect(),
            })
            .collect()
    }

    /// What each expert gave, in the order of the graph.
    #[must_use]
    pub fn experts(&self) -> Vec<ExpertOutput<'_>> {
        self.names.experts.iter().zip(&self.experts).map(|((name, _), ranges)| ranges.over(name)).collect()
    }
}

impl GateSums {
    fn mean_entropy(&self) -> f64 {
        let most = (self.experts.len() as f64).ln();
        if self.rows == 0 || most <= 0.0 { 0.0 } else { (self.entropy / self.rows as f64 / most).clamp(0.0, 1.0) }
    }
}

impl UnitRanges {
    fn over<'n>(&self, name: &'n str) -> ExpertOutput<'n> {
        let units = || self.lowest.iter().zip(&self.highest).filter(|_| self.rows > 0);
        ExpertOutput {
            name,
            rows: self.rows,
            spread: units().map(|(l, h)| f64::from(*h) - f64::from(*l)).fold(0.0, f64::max),
            largest: units().map(|(l, h)| f64::from(h.abs().max(l.abs()))).fold(0.0, f64::max),
        }
    }
}

impl WeightSums {
    fn over(self, rows: u64, name: &str) -> ExpertWeight<'_> {
        if rows == 0 {
            return ExpertWeight { name, mean: 0.0, sd: 0.0, lowest: 0.0, highest: 0.0 };
        }
        let mean = self.sum / rows as f64;
        ExpertWeight {
            name,
            mean,
            // Weights lie in [0, 1], so the difference of squares loses nothing that matters.
            sd: (self.squares / rows as f64 - mean * mean).max(0.0).sqrt(),
            lowest: f64::from(self.lowest),
            highest: f64::from(self.highest),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Batch, Input, InputLayout, TaskKind, TaskSpec};
    use pleiad_model::{ModelConfig, Weights};
    use serde_json::{Value, json};

    use super::*;
    use crate::Predictor;

    fn mmoe() -> Graph {
        let Value::Object(table) = json!({ "kind": "mmoe", "experts": 2, "widths": [3] }) else { panic!() };
        let layout = InputLayout::new(vec![Input::Numeric { name: "x".into(), column: 0 }]);
        let tasks = ["a", "b"].map(|name| TaskSpec::new(name, TaskKind::Binary));
        ModelConfig::from_table(table).unwrap().build(&layout, &tasks).unwrap()
    }

    /// The graph with these parameters; all others are zero.
    fn predictor(graph: &Graph, values: &[(&str, &[f32])]) -> Predictor {
        let mut weights = Weights::default();
        for param in &graph.params {
            let given = values.iter().find(|(name, _)| *name == param.name);
            let data = given.map_or_else(|| vec![0.0; param.len()], |(_, values)| values.to_vec());
            weights.insert(&param.name, param.shape.clone(), data);
        }
        Predictor::new(graph.clone(), &weights).unwrap()
    }

    fn rows(numbers: &[f32]) -> Batch {
        Batch { rows: numbers.len(), numeric: numbers.to_vec(), ..Batch::default() }
    }

    #[test]
    fn an_expert_that_relu_silences_has_no_spread() {
        let graph = mmoe();
        let predictor = predictor(
            &graph,
            &[
                ("experts.0.0.weight", &[0.5; 3]),
                ("experts.0.0.bias", &[1.0; 3]),
                ("experts.1.0.weight", &[0.5; 3]),
                ("experts.1.0.bias", &[-100.0; 3]),
            ],
        );
        let mut statistics = GateStatistics::new(&graph);
        let numbers: Vec<f32> = (0..600).map(|i| i as f32 / 100.0).collect();
        let predictions = predictor.observe_gates(&rows(&numbers), &mut statistics).unwrap();
        assert_eq!(predictions, predictor.predict(&rows(&numbers)).unwrap());
        let experts = statistics.experts();
        assert_eq!(
            experts.iter().map(|e| (e.name, e.rows)).collect::<Vec<_>>(),
            [("experts.0", 600), ("experts.1", 600)]
        );
        assert!((experts[0].spread - 0.5 * 5.99).abs() < 1e-5 && (experts[0].largest - 3.995).abs() < 1e-5);
        assert_eq!((experts[1].spread, experts[1].largest), (0.0, 0.0));
    }

    #[test]
    fn weights_are_those_of_the_softmax() {
        let graph = mmoe();
        let predictor = predictor(&graph, &[("gates.a.weight", &[3f32.ln(), 0.0])]);
        let mut statistics = GateStatistics::new(&graph);
        predictor.observe_gates(&rows(&[0.0]), &mut statistics).unwrap();
        predictor.observe_gates(&rows(&[1.0]), &mut statistics).unwrap();
        let gates = statistics.gates();
        let first = gates[0].experts[0];
        // Weights 1/2 and 3/4 of the two rows.
        for (found, expected) in
            [first.mean, first.sd, first.lowest, first.highest].iter().zip([0.625, 0.125, 0.5, 0.75])
        {
            assert!((found - expected).abs() < 1e-6, "{first:?}");
        }
    }

    #[test]
    fn experts_of_lower_levels_are_seen_before_their_memory_is_reused() {
        let level = json!({ "task_experts": 1, "shared_experts": 2, "widths": [4] });
        let Value::Object(table) = json!({ "kind": "ple", "levels": [level, level], "tower": [4, 4] }) else {
            panic!()
        };
        let layout = InputLayout::new(vec![Input::Numeric { name: "x".into(), column: 0 }]);
        let tasks = ["a", "b"].map(|name| TaskSpec::new(name, TaskKind::Binary));
        let graph = ModelConfig::from_table(table).unwrap().build(&layout, &tasks).unwrap();
        // Weights are zero, so that an expert gives its bias, a number of its own, and towers give others.
        let of = |at: usize| [1.0 + at as f32; 4];
        let biases: Vec<(&str, [f32; 4])> =
            graph.params.iter().enumerate().filter(|(_, p)| p.shape == [4]).map(|(at, p)| (&*p.name, of(at))).collect();
        let given: Vec<(&str, &[f32])> = biases.iter().map(|(name, values)| (*name, values.as_slice())).collect();
        let mut statistics = GateStatistics::new(&graph);
        predictor(&graph, &given).observe_gates(&rows(&[0.5; 700]), &mut statistics).unwrap();
        let seen: Vec<(String, f64, f64)> =
            statistics.experts().iter().map(|e| (format!("{}.0.bias", e.name), e.largest, e.spread)).collect();
        let mut expected: Vec<(String, f64, f64)> = biases
            .iter()
            .filter(|(name, _)| name.contains("experts"))
            .map(|(name, values)| ((*name).to_owned(), f64::from(values[0]), 0.0))
            .collect();
        expected.sort_by_key(|(name, ..)| seen.iter().position(|(other, ..)| other == name));
        assert_eq!(seen.len(), 8);
        assert_eq!(seen, expected);
    }

    #[test]
    fn over_no_rows_everything_is_zero() {
        let statistics = GateStatistics::new(&mmoe());
        assert!(
            statistics
                .gates()
                .iter()
                .flat_map(|g| &g.experts)
                .all(|e| (e.mean, e.lowest, e.highest) == (0.0, 0.0, 0.0))
        );
        assert!(statistics.experts().iter().all(|e| (e.spread, e.largest) == (0.0, 0.0)));
    }
}
