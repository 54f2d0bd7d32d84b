//! [`Plan::compile`]: from a graph to a plan.

use std::collections::HashMap;

use pleiad_model::Graph;
use pleiad_model::graph::{Node, Space};

use super::compiler::Compiler;
use super::fuse::{Readers, groups};
use super::split::Splits;
use super::{Buffer, ParamLayout, Place, Plan, Purpose, Target, allocate, backward};
use crate::error::{Error, Result};

impl Plan {
    /// Compiles a valid graph for a purpose and the machine that runs it.
    ///
    /// # Errors
    /// [`Error::Model`] if the graph does not hold together, [`Error::SharedParameter`] if layers share some of their
    /// parameters and not all.
    pub(crate) fn compile(graph: &Graph, purpose: Purpose, target: Target) -> Result<Self> {
        graph.validate()?;
        let readers = Readers::of(graph);
        let mut compiler = Compiler {
            graph,
            groups: groups(graph, &readers),
            readers,
            plan: Self {
                steps: Vec::new(),
                backward: Vec::new(),
                values: Vec::new(),
                gradients: Vec::new(),
                slots: Vec::new(),
                arrays: Vec::new(),
                table_uses: vec![Vec::new(); graph.tables.len()],
                folds: Vec::new(),
                outputs: Vec::new(),
                gates: Vec::new(),
                experts: Vec::new(),
                params: ParamLayout::new(graph),
                target,
            },
            spaces: graph.spaces(),
            views: vec![None; graph.nodes.len()],
            gathered: vec![Vec::new(); graph.nodes.len()],
            group_of: HashMap::new(),
            splits: Splits::default(),
            apart_of: HashMap::new(),
            apart_inputs: HashMap::new(),
        };
        let inspected = match purpose {
            Purpose::Inspect => crate::gates::experts(graph),
            _ => Vec::new(),
        };
        let gates = graph.gates.iter().filter(|_| purpose != Purpose::Predict).map(|gate| gate.node);
        let outputs = graph.outputs.iter().map(|output| output.node);
        let by_row: Vec<Node> = outputs.chain(gates).chain(inspected.iter().map(|(_, node)| *node)).collect();
        compiler.choose_splits();
        compiler.place_concatenations();
        compiler.place_groups()?;
        compiler.place_parameters()?;
        compiler.place_folds();
        compiler.place_rest();
        compiler.place_gathered(&by_row);
        compiler.steps(purpose);
        let view = |node: Node| {
            let placed = compiler.views[node.0].is_some();
            placed.then(|| compiler.view_in(Space::Row, node)).ok_or(Error::Unplaced { node: node.0 })
        };
        let live = |node: &Node| compiler.readers.live[node.0];
        let outputs = graph.outputs.iter().map(|o| view(o.node)).collect::<Result<_>>()?;
        let gates = graph.gates.iter().filter(|gate| purpose != Purpose::Predict && live(&gate.node));
        let gates = gates.map(|gate| view(gate.node)).collect::<Result<_>>()?;
        let experts = inspected.into_iter().filter(|(_, node)| live(node));
        let experts = experts.map(|(_, node)| Ok((node, view(node)?))).collect::<Result<_>>()?;
        (compiler.plan.outputs, compiler.plan.gates, compiler.plan.experts) = (outputs, gates, experts);
        if purpose.trains() {
            backward::derive(&mut compiler);
        } else {
            let nothing = Buffer { width: 0, ld: 0, space: Space::Row, place: Place::Nowhere };
            compiler.plan.gradients = vec![nothing; compiler.plan.values.len()];
        }
        let mut plan = compiler.plan;
        allocate::assign(&mut plan, purpose);
        Ok(plan)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Input, InputLayout, Pooling, TaskKind, TaskSpec};
    use pleiad_model::ModelConfig;
    use pleiad_model::graph::{Activation, GraphBuilder};
    use serde_json::{Value, json};

    use super::super::{BackStep, Step, Write};
    use super::*;

    /// Two levels, two tasks, two own and two shared experts, over three numbers and an embedding of four.
    fn ple(purpose: Purpose) -> Plan {
        let (name, table) = ("c".into(), "c".into());
        over(vec![Input::Categorical { name, slot: 0, table, rows: 9000, dim: 4, pooling: None }], purpose)
    }

    /// The same over three numbers and these inputs.
    fn over(more: Vec<Input>, purpose: Purpose) -> Plan {
        let level = json!({ "task_experts": 2, "shared_experts": 2, "widths": [8] });
        let Value::Object(table) = json!({ "kind": "ple", "levels": [level, level], "tower": [4] }) else { panic!() };
        let numeric = |column: usize| Input::Numeric { name: format!("n{column}"), column };
        let mut inputs: Vec<Input> = (0..3).map(numeric).collect();
        inputs.extend(more);
        let tasks = ["a", "b"].map(|name| TaskSpec::new(name, TaskKind::Binary));
        let graph = ModelConfig::from_table(table).unwrap().build(&InputLayout::new(inputs), &tasks).unwrap();
        Plan::compile(&graph, purpose, Target::cpu()).unwrap()
    }

    fn products(plan: &Plan) -> Vec<&Step> {
        plan.steps.iter().filter(|s| matches!(s, Step::Product { .. })).collect()
    }

    #[test]
    fn layers_with_a_common_input_are_one_product() {
        let plan = ple(Purpose::Train);
        // One for x, one per module of the upper level, and two per tower.
        assert_eq!(products(&plan).len(), 1 + 3 + 2 * 2);
        let Step::Product { y, segments, .. } = products(&plan)[0] else { panic!() };
        // Six experts of 8; the task gates over 4 and the shared gate over 6 without bias or activation.
        assert_eq!(y.at.width, 6 * 8 + 4 + 4 + 6);
        assert_eq!(segments.len(), 2);
        assert!(segments[0].biased && segments[0].cols == (0..48));
        assert!(!segments[1].biased && segments[1].cols == (48..62));
    }

    #[test]
    fn gates_are_fused_and_inputs_written_in_place() {
        let plan = ple(Purpose::Train);
        let count = |wanted: fn(&Step) -> bool| plan.steps.iter().filter(|s| wanted(s)).count();
        assert_eq!(count(|s| matches!(s, Step::GateMix { .. })), 3 + 2);
        assert_eq!(count(|s| matches!(s, Step::Copy { .. } | Step::Softmax { .. } | Step::Mix { .. })), 0);
        assert_eq!(count(|s| matches!(s, Step::Activate { .. })), 0);
    }

    #[test]
    fn the_gradient_of_numeric_inputs_is_not_computed() {
        let plan = ple(Purpose::Train);
        let last = plan.backward.last().unwrap();
        assert!(matches!(plan.steps[last.step], Step::Product { .. }));
        let (x, write) = last.writes[0];
        assert_eq!((x.at.col, x.at.width, write), (3, 4, Write::Overwrite));
    }

    #[test]
    fn small_tables_are_folded_and_the_rest_is_multiplied() {
        let embedding = |slot, rows, dim, pooling| {
            let name = format!("c{slot}");
            Input::Categorical { name: name.clone(), slot, table: name, rows, dim, pooling }
        };
        let inputs = vec![
            embedding(0, 20, 8, None),
            embedding(1, 20, 8, Some(Pooling::Mean)),
            embedding(2, 20, 3, None),
            embedding(3, 100_000, 8, None),
            embedding(4, 128, 4, None),
        ];
        for purpose in [Purpose::Train, Purpose::Predict] {
            let plan = over(inputs.clone(), purpose);
            let [fold] = &plan.folds[..] else { panic!("{:?}", plan.folds) };
            let fields: Vec<_> =
                fold.features.iter().map(|f| (f.slot, f.rows, f.dim, f.first, f.weight.cols)).collect();
            assert_eq!(fields, [(0, 20, 8, 0, 8), (4, 128, 4, 20, 4)]);
            // Three numbers, then fields 1, 2 and 3.
            let kept = 3 + 8 + 3 + 8;
            let Step::Product { x, weight, onto: true, .. } = products(&plan)[0] else { panic!() };
            assert_eq!((x.at.width, weight.cols, weight.rows), (kept, kept, fold.outputs));
            assert_eq!(plan.steps.iter().filter(|s| matches!(s, Step::Lookup { .. })).count(), 3);
            assert!(products(&plan)[1..].iter().all(|s| matches!(s, Step::Product { onto: false, .. })));
            assert_eq!(plan.gradient_len() - plan.params.len, 148 * fold.ld);
        }
    }

    #[test]
    fn a_product_keeps_an_input() {
        let numeric = Input::Numeric { name: "n".into(), column: 0 };
        let small = |slot, rows| {
            let name = format!("c{slot}");
            Input::Categorical { name: name.clone(), slot, table: name, rows, dim: 8, pooling: None }
        };
        let build = |inputs| {
            let Value::Object(table) = json!({ "kind": "hard-sharing", "bottom": [8], "tower": [] }) else { panic!() };
            let tasks = [TaskSpec::new("a", TaskKind::Binary)];
            let graph = ModelConfig::from_table(table).unwrap().build(&InputLayout::new(inputs), &tasks).unwrap();
            Plan::compile(&graph, Purpose::Train, Target::cpu()).unwrap()
        };
        let slots = |plan: &Plan| plan.folds.iter().flat_map(|f| &f.features).map(|f| f.slot).collect::<Vec<_>>();
        // The largest table is what is left, where all are small.
        assert_eq!(slots(&build(vec![small(0, 9), small(1, 30), small(2, 20)])), [0, 2]);
        assert_eq!(slots(&build(vec![small(0, 9), numeric])), [0]);
        assert!(slots(&build(vec![small(0, 9)])).is_empty());
        // More rows than a core's cache has room for: the smallest tables.
        let many: Vec<_> = (0..12).map(|slot| small(slot, 128 - slot as u64)).collect();
        assert_eq!(slots(&build(many)), [4, 5, 6, 7, 8, 9, 10, 11]);
    }

    #[test]
    fn contributions_to_a_gradient_are_told_apart() {
        let plan = ple(Purpose::Train);
        let writes = plan.backward.iter().flat_map(|b| &b.writes);
        // Upper level: both task gates mix the shared experts, the second adds to what the first wrote.
        assert_eq!(writes.filter(|(_, w)| *w == Write::Accumulate).count(), 2 + (2 + 2 + 2 + 2));
        assert!(plan.backward.iter().all(|b| b.clear.is_empty()));
    }

    #[test]
    fn layers_that_are_applied_again_are_one_product_by_the_same_weights() {
        let numeric = |column: usize| Input::Numeric { name: format!("n{column}"), column };
        let layout = InputLayout::new((0..3).map(numeric).collect());
        let tasks = ["a", "b"].map(|name| TaskSpec::new(name, TaskKind::Binary));
        let keys = json!({ "kind": "aitm", "funnel": ["a", "b"], "bottom": [8], "tower": [] });
        let Value::Object(table) = keys else { panic!() };
        let graph = ModelConfig::from_table(table).unwrap().build(&layout, &tasks).unwrap();
        let plan = Plan::compile(&graph, Purpose::Train, Target::cpu()).unwrap();
        let weights = |step: &Step| match step {
            Step::Product { weight, segments, .. } => (*weight, segments.len()),
            _ => panic!(),
        };
        // Both bottoms; the transfer beside a's tower; query, key and value of what is handed on, and of b's own; b's
        // tower.
        let products: Vec<_> = products(&plan).into_iter().map(weights).collect();
        assert_eq!(products.len(), 5);
        let projections: Vec<_> = products.iter().filter(|(weight, _)| weight.rows == 3 * 8).collect();
        assert_eq!(projections.len(), 2);
        assert_eq!(projections[0], projections[1]);
        // The later of the two goes back first, the earlier adds to what it wrote.
        let back =
            |back: &BackStep| matches!(&plan.steps[back.step], Step::Product { weight, .. } if weight.rows == 24);
        let again: Vec<bool> = plan.backward.iter().filter(|b| back(b)).map(|b| b.again).collect();
        assert_eq!(again, [false, true]);
        assert_eq!(plan.backward.iter().filter(|b| b.again).count(), 1);
    }

    #[test]
    fn a_layer_over_events_rows_and_requests_is_a_product_in_each_space() {
        let mean = Some(Pooling::Mean);
        let categorical = |name: &str, slot, pooling| {
            let (name, table) = (name.to_owned(), name.to_owned());
            Input::Categorical { name, slot, table, rows: 9000, dim: 8, pooling }
        };
        let inputs = vec![categorical("seen", 0, mean), categorical("item", 1, None), categorical("user", 2, None)];
        let per_request = ["seen", "user"].map(String::from).to_vec();
        let mut graph = Graph::new(InputLayout { per_request, ..InputLayout::new(inputs) });
        let mut g = GraphBuilder::new(&mut graph);
        let [item, user] = ["item", "user"].map(|name| g.embedding("", name).unwrap());
        let seen = g.events("", &["seen"]).unwrap()[0];
        let alike = g.pairs("alike", &[seen, item]).unwrap();
        for (name, inputs) in [("all", vec![seen, item, user, alike]), ("narrowest", vec![seen, item])] {
            let pair = g.concat(name, &inputs).unwrap();
            let score = g.linear(pair, &format!("{name}.score"), 1, Activation::Tanh).unwrap();
            let y = g.segment_sum(&format!("{name}.sum"), score).unwrap();
            g.output(&TaskSpec::new(name, TaskKind::Regression), y).unwrap();
        }
        let plan = Plan::compile(&graph, Purpose::Train, Target::cpu()).unwrap();
        let spaces: Vec<Space> = products(&plan).into_iter().map(|step| plan.space(step)).collect();
        let (row, request, event, of_request) = (Space::Row, Space::Request, Space::Event(0), Space::RequestEvent(0));
        // Where no input lives with the layer one is gathered, since a product keeps one.
        assert_eq!(spaces, [of_request, row, request, event, row, event]);
        // Whatever events of one kind need shares memory with nothing else.
        let of_slots: Vec<Space> = plan.slots.iter().map(|slot| slot.space).collect();
        assert!(of_slots.contains(&event) && of_slots.contains(&of_request) && !of_slots.contains(&request));
    }

    #[test]
    fn prediction_needs_less_memory_than_training() {
        let total = |purpose| ple(purpose).slots.iter().map(|slot| slot.ld).sum::<usize>();
        assert!(2 * total(Purpose::Predict) < total(Purpose::Train));
    }

    #[test]
    fn every_purpose_lays_parameters_out_alike() {
        assert_eq!(ple(Purpose::Train).params, ple(Purpose::Predict).params);
        assert_eq!(ple(Purpose::Train).params, ple(Purpose::Inspect).params);
        assert_eq!(ple(Purpose::Train).params, ple(Purpose::TrainByTask).params);
    }
}
