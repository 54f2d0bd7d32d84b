//! Parameters and floating-point operations of a graph, in total and by module.

use std::collections::{BTreeMap, HashSet};

use super::{Graph, Op, ParamId};

/// Size and cost of one module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModuleCount {
    /// Dense parameters and table elements.
    pub parameters: u64,
    /// Floating-point operations of one forward row: a product of `[out, in]` counts `2 out in`, a mixture of E experts
    /// of width W, or a combination of so many inputs, `2 E W`, a scalar product `2 W`, everything else one per element
    /// and function. Of what is computed for each event, those of one event: how many there are, the graph does not know.
    pub flops: u64,
}

/// Size and cost of a graph.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Elements of dense parameters.
    pub dense_parameters: u64,
    /// Elements of embedding tables.
    pub table_parameters: u64,
    /// Floating-point operations of one forward row.
    pub flops_per_row: u64,
    /// By module: the scope up to the expert, gate, tower or table, in the order of the graph.
    pub modules: Vec<(String, ModuleCount)>,
}

impl Summary {
    /// All parameters.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.dense_parameters + self.table_parameters
    }
}

impl Graph {
    /// Counts parameters and operations.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut modules: Vec<(String, ModuleCount)> = Vec::new();
        let mut positions = BTreeMap::new();
        let mut module = |name: String, modules: &mut Vec<(String, ModuleCount)>| -> usize {
            *positions.entry(name.clone()).or_insert_with(|| {
                modules.push((name, ModuleCount::default()));
                modules.len() - 1
            })
        };
        for table in &self.tables {
            let at = module(format!("embeddings.{}", table.name), &mut modules);
            modules[at].1.parameters += table.rows.saturating_mul(table.dim as u64);
        }
        // A parameter that is applied again counts where it is applied first.
        let mut counted = HashSet::new();
        let mut size = |param: ParamId| if counted.insert(param) { self.param(param).len() as u64 } else { 0 };
        for node in &self.nodes {
            let width = node.width as u64;
            let input_width = |i: usize| self.node(node.inputs[i]).width as u64;
            let parameters: u64 = node.op.params().map(&mut size).sum();
            let flops = match &node.op {
                Op::Numeric { .. } | Op::Embedding { .. } | Op::Events { .. } | Op::Concat => continue,
                Op::Periodic { frequencies, .. } => {
                    // A product and two functions for each frequency; the layer, its bias and its activation.
                    let waves = self.param(*frequencies).len() as u64;
                    3 * waves + 2 * width * 2 * waves + 2 * width
                }
                Op::Linear { bias, .. } => 2 * width * input_width(0) + if bias.is_some() { width } else { 0 },
                Op::Activation { .. } | Op::Dropout { .. } => width,
                Op::Softmax | Op::SegmentSoftmax => 3 * width,
                Op::SegmentSum | Op::SegmentMean => width,
                Op::SegmentMixture => 2 * width,
                Op::Mixture => 2 * width * (node.inputs.len() as u64 - 1),
                Op::Sum { .. } => width * node.inputs.len() as u64,
                Op::Combination { .. } => 2 * width * node.inputs.len() as u64,
                // Three exponentials, two additions, a logarithm.
                Op::Conjunction => 6,
                Op::Dot { .. } => 2 * input_width(0),
                // Of n inputs n - 1 products with the sum of those before; the first is no sum, and added to nothing.
                Op::Pairs => width * (3 * node.inputs.len() as u64).saturating_sub(5),
            };
            let at = module(module_of(&node.scope), &mut modules);
            modules[at].1.parameters += parameters;
            modules[at].1.flops += flops;
        }
        Summary {
            dense_parameters: self.params.iter().map(|p| p.len() as u64).sum(),
            table_parameters: self.tables.iter().map(|t| t.rows.saturating_mul(t.dim as u64)).sum(),
            flops_per_row: modules.iter().map(|(_, m)| m.flops).sum(),
            modules,
        }
    }
}

/// `levels.0.shared.experts.1.0` and `levels.0.shared.experts.1.activation` both belong to `levels.0.shared.experts.1`:
/// the last part of the scope distinguishes layers and their activations.
fn module_of(scope: &str) -> String {
    match scope.rsplit_once('.') {
        Some((module, last)) if last != "gate" && !is_gates(module) && !module.is_empty() => module.to_owned(),
        _ => scope.to_owned(),
    }
}

/// `gates` and `levels.0.gates` hold gates, each a module of its own.
fn is_gates(scope: &str) -> bool {
    scope == "gates" || scope.ends_with(".gates")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Input, InputLayout, TaskKind, TaskSpec};

    use crate::ModelConfig;
    use crate::graph::{Activation, Graph, GraphBuilder};
    use crate::init::Init;

    #[test]
    fn sizes_and_costs_are_those_counted_by_hand() {
        let model: ModelConfig =
            toml::from_str("kind = 'mmoe'\nexperts = 2\nwidths = [4]\ntower = [3]\ngate_bias = true").unwrap();
        let table =
            Input::Categorical { name: "c".into(), slot: 0, table: "c".into(), rows: 10, dim: 2, pooling: None };
        let layout = InputLayout::new(vec![Input::Numeric { name: "a".into(), column: 0 }, table]);
        let task = TaskSpec::new("t", TaskKind::Binary);
        let summary = model.build(&layout, &[task]).unwrap().summary();
        let modules: Vec<_> = summary.modules.iter().map(|(n, m)| (n.as_str(), m.parameters, m.flops)).collect();
        let (expert, gate, tower) = (3 * 4 + 4, 3 * 2 + 2, (4 * 3 + 3) + (3 + 1));
        let expected = [
            ("embeddings.c", 20, 0),
            // The product, its bias, the activation.
            ("experts.0", expert, 2 * 3 * 4 + 4 + 4),
            ("experts.1", expert, 2 * 3 * 4 + 4 + 4),
            // The product, its bias, softmax, mixture.
            ("gates.t", gate, 2 * 3 * 2 + 2 + 3 * 2 + 2 * 2 * 4),
            ("towers.t", tower, (2 * 4 * 3 + 3 + 3) + (2 * 3 + 1)),
        ];
        assert_eq!(modules, expected);
        assert_eq!(summary.table_parameters, 20);
        assert_eq!(summary.dense_parameters, 2 * expert + gate + tower);
        assert_eq!(summary.parameters(), 20 + 2 * expert + gate + tower);
    }

    #[test]
    fn a_layer_that_is_applied_again_has_its_parameters_once() {
        let numeric = |column: usize| Input::Numeric { name: format!("n{column}"), column };
        let mut graph = Graph::new(InputLayout::new((0..3).map(numeric).collect()));
        let mut g = GraphBuilder::new(&mut graph);
        let x = g.input("").unwrap();
        let first = g.scope("a").linear(x, "0", 3, Activation::Identity).unwrap();
        let again = g.scope("b").again(first, "0", first).unwrap();
        let sum = g.scope("c").sum("sum", &[first, again], 1.0).unwrap();
        let learned = g.scope("c").combination("0", &[first, again, sum], Init::Zeros).unwrap();
        let a = g.scope("d").dot("dot", learned, sum, 1.0).unwrap();
        let y = g.scope("d").conjunction("both", a, a).unwrap();
        g.output(&TaskSpec::new("t", TaskKind::Binary), y).unwrap();
        let summary = graph.summary();
        let modules: Vec<_> = summary.modules.iter().map(|(n, m)| (n.as_str(), m.parameters, m.flops)).collect();
        let product = 2 * 3 * 3 + 3;
        let expected = [("a", 12, product), ("b", 0, product), ("c", 3, 2 * 3 + 2 * 3 * 3), ("d", 0, 2 * 3 + 6)];
        assert_eq!(modules, expected);
        assert_eq!(summary.dense_parameters, 15);
    }
}
