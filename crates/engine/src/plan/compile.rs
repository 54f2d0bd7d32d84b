//! Compiles nodes into steps and views.

use std::collections::HashMap;

use pleiad_model::Graph;
use pleiad_model::graph::{Activation, Node, Op, ParamId, Space};

use super::fuse::{Group, Readers, groups};
use super::split::{Apart, ApartProduct, Part, Splits};
use super::{
    Block, Buffer, Gathered, ParamLayout, Place, Plan, Region, Segment, Step, Target, View, Weights, allocate, backward,
};
use crate::error::{Error, Result};
use crate::kernels::Columns;

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Values are kept for the backward pass; dropout drops.
    Train,
    /// As [`Purpose::Train`], but values are kept to the end of the backward pass, so that it can run once per
    /// task.
    TrainByTask,
    /// Memory is reused after its last read; dropout is the identity.
    Predict,
    /// As [`Purpose::Predict`], but the weights of gates and the outputs of experts are kept to be read.
    Inspect,
}

impl Purpose {
    /// Whether there is a backward pass, and dropout drops.
    fn trains(self) -> bool {
        matches!(self, Self::Train | Self::TrainByTask)
    }
}

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
                batch_wide: Vec::new(),
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

/// A plan in the making: first every live node gets its place, then the steps are written.
pub(super) struct Compiler<'g> {
    pub(super) graph: &'g Graph,
    pub(super) readers: Readers,
    pub(super) groups: Vec<Group>,
    pub(super) plan: Plan,
    pub(super) spaces: Vec<Space>,
    pub(super) views: Vec<Option<View>>,
    /// What rows of other spaces gather of a node, for each space of which some do.
    pub(super) gathered: Vec<Vec<(Space, View)>>,
    /// Group of a linear node.
    pub(super) group_of: HashMap<Node, usize>,
    pub(super) splits: Splits,
    /// What each group multiplies apart from its rows.
    pub(super) apart_of: HashMap<usize, Apart>,
    /// The inputs of each concatenation that live in another space and are multiplied there, side by side.
    pub(super) apart_inputs: HashMap<(Node, Space), View>,
}

impl Compiler<'_> {
    /// The view of a live node; every live node is placed before steps are written.
    pub(super) fn view(&self, node: Node) -> View {
        let nowhere = View { buffer: usize::MAX, at: Columns { ld: 1, col: 0, width: 0 } };
        debug_assert!(self.views[node.0].is_some(), "node {} has no place", node.0);
        self.views[node.0].unwrap_or(nowhere)
    }

    /// The view by which a node of `space` reads another.
    fn view_in(&self, space: Space, node: Node) -> View {
        let gathered = self.gathered[node.0].iter().find(|(of, _)| *of == space);
        gathered.map_or_else(|| self.view(node), |(_, view)| *view)
    }

    fn steps(&mut self, purpose: Purpose) {
        let mut done = vec![false; self.groups.len()];
        let wanted = |at: &usize| self.readers.live[*at] && !self.splits.folds(Node(*at));
        for at in (0..self.graph.nodes.len()).filter(wanted).collect::<Vec<_>>() {
            let step = self.steps_of(at, purpose, &mut done);
            self.plan.steps.extend(step);
            for &(_, y) in &self.gathered[at] {
                let x = self.view(Node(at));
                self.plan.steps.push(Step::Gather { from: Gathered::Space(x), y, add: false });
            }
        }
    }

    /// The steps of a node; none where another step computes it.
    fn steps_of(&self, at: usize, purpose: Purpose, done: &mut [bool]) -> Vec<Step> {
        let (node, y) = (&self.graph.nodes[at], self.view(Node(at)));
        let space = self.graph.reads(node, &self.spaces);
        let input = |i: usize| self.view_in(space, node.inputs[i]);
        let inputs = || node.inputs.iter().map(|&x| self.view_in(space, x)).collect();
        let step = match &node.op {
            Op::Numeric { first, .. } => Step::Numeric { first: *first, y },
            Op::Embedding { table, slot, pooling } => {
                Step::Lookup { table: table.0, slot: *slot, pooling: *pooling, y }
            }
            Op::Events { table, slot, .. } => Step::Events { table: table.0, slot: *slot, y },
            Op::Periodic { column, frequencies, weight, bias } => {
                let region = |param: &ParamId| {
                    let block = self.plan.params.blocks[param.0];
                    Region { offset: block.offset, len: block.rows * block.cols }
                };
                let (frequencies, weight, bias) = (region(frequencies), region(weight), region(bias));
                Step::Periodic { column: *column, frequencies, weight, bias, y }
            }
            Op::Concat => return self.concatenation(at, y),
            Op::Linear { .. } => {
                let g = self.group_of[&Node(at)];
                if std::mem::replace(&mut done[g], true) {
                    return Vec::new();
                }
                return self.products(g);
            }
            Op::Activation { .. } if y == input(0) => return Vec::new(),
            Op::Activation { function } => Step::Activate { function: *function, x: input(0), y },
            Op::Dropout { .. } if !purpose.trains() => Step::Copy { x: input(0), y },
            Op::Dropout { rate } => Step::Dropout { node: at, rate: *rate, x: input(0), y },
            Op::Softmax if y == input(0) => return Vec::new(),
            Op::Softmax => Step::Softmax { x: input(0), y },
            Op::Mixture => {
                let gate = input(0);
                let experts = node.inputs[1..].iter().map(|&e| self.view_in(space, e)).collect();
                if self.fused_mixture(node.inputs[0]) == Some(Node(at)) {
                    Step::GateMix { gate, experts, y }
                } else {
                    Step::Mix { gate, experts, y }
                }
            }
            Op::Sum { scale } => Step::Combine { weights: Weights::Equal(*scale), inputs: inputs(), y },
            Op::Combination { weights } => {
                let block = self.plan.params.blocks[weights.0];
                let weights = Weights::Learned(Region { offset: block.offset, len: block.cols });
                Step::Combine { weights, inputs: inputs(), y }
            }
            Op::Conjunction => Step::Conjunction { first: input(0), second: input(1), y },
            Op::Dot { scale } => Step::Dot { scale: *scale, a: input(0), b: input(1), y },
            Op::Pairs => Step::Pairs { inputs: inputs(), y },
            Op::SegmentSum => Step::Segment { mean: false, x: input(0), y },
            Op::SegmentMean => Step::Segment { mean: true, x: input(0), y },
            Op::SegmentSoftmax => Step::SegmentSoftmax { x: input(0), y },
            Op::SegmentMixture => Step::SegmentMix { weights: input(0), x: input(1), y },
        };
        vec![step]
    }

    /// What is not computed in its place in a concatenation is moved there, or gathered.
    fn concatenation(&self, at: usize, whole: View) -> Vec<Step> {
        let parts = self.splits.parts(self.graph, &self.spaces, Node(at)).into_iter();
        let moves = parts.filter_map(|(input, part)| {
            let (place, col) = match part {
                Part::Kept(col) => (whole, col),
                Part::Apart(space, col) => (*self.apart_inputs.get(&(Node(at), space))?, col),
                Part::Folded => return None,
            };
            let (x, y) = (self.view(input), place.part(col..col + self.graph.node(input).width));
            let moved = if self.spaces[input.0] == self.plan.values[place.buffer].space {
                Step::Copy { x, y }
            } else {
                Step::Gather { from: Gathered::Space(x), y, add: false }
            };
            (x != y).then_some(moved)
        });
        moves.collect()
    }

    /// The products of a group, one for each space of its inputs, gathered and added.
    fn products(&self, g: usize) -> Vec<Step> {
        let own = self.product(g);
        let y = own.output();
        let space = self.plan.values[y.buffer].space;
        // Layers that are applied again are not split.
        let apart = self.apart_of.get(&g).cloned().unwrap_or_default();
        let fold_of = |of: Space, y: View| {
            let fold = apart.folds.iter().find(|(space, _)| *space == of).map(|(_, fold)| *fold);
            fold.map(|fold| Step::Gather { from: Gathered::Table(fold), y, add: false })
        };
        let mut steps = Vec::new();
        for ApartProduct { space, x, y, weight, bias } in &apart.products {
            let onto = fold_of(*space, *y);
            let all = Segment { cols: 0..y.at.width, activation: Activation::Identity, biased: false };
            let (segments, added) = (vec![all], onto.is_some());
            let product = Step::Product { x: *x, y: *y, weight: *weight, bias: *bias, segments, onto: added };
            steps.extend(onto.into_iter().chain([product]));
        }
        let of_tables = fold_of(space, y);
        let mut add = of_tables.is_some();
        steps.extend(of_tables);
        for product in &apart.products {
            steps.push(Step::Gather { from: Gathered::Space(product.y), y, add });
            add = true;
        }
        steps.push(match own {
            Step::Product { x, y, weight, bias, segments, .. } => {
                Step::Product { x, y, weight, bias, segments, onto: !steps.is_empty() }
            }
            other => other,
        });
        steps
    }

    fn product(&self, g: usize) -> Step {
        let group = &self.groups[g];
        let (first, last) = (&group.members[0], &group.members[group.members.len() - 1]);
        let (start, end) = (self.view(first.linear), self.view(last.linear));
        let width = end.at.col + end.at.width;
        let mut segments: Vec<Segment> = Vec::new();
        let mut biased = 0;
        let mut bias_offset = 0;
        for member in &group.members {
            let cols = self.view(member.linear).range();
            if member.has_bias {
                biased = cols.end;
            }
            match segments.last_mut() {
                Some(s) if (s.activation, s.biased) == (member.activation, member.has_bias) => s.cols.end = cols.end,
                _ => segments.push(Segment { cols, activation: member.activation, biased: member.has_bias }),
            }
        }
        let Op::Linear { weight, bias } = &self.graph.node(first.linear).op else {
            unreachable!("groups hold linear layers")
        };
        if let Some(bias) = bias {
            bias_offset = self.plan.params.blocks[bias.0].offset;
        }
        let x = self.view_in(self.spaces[first.linear.0], group.input);
        let weight = Block { rows: width, cols: x.at.width, ..self.plan.params.blocks[weight.0] };
        Step::Product {
            x,
            y: View { at: Columns { width, ..start.at }, ..start },
            weight,
            bias: Region { offset: bias_offset, len: biased },
            segments,
            onto: false,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Input, InputLayout, Pooling, TaskKind, TaskSpec};
    use pleiad_model::ModelConfig;
    use pleiad_model::graph::GraphBuilder;
    use serde_json::{Value, json};

    use super::super::{BackStep, Write};
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
