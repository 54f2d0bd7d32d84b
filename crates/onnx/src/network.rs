//! The graph of a model, operation by operation: encoded inputs `[B, ..]` into the number of each task `[B, 1]`. What belongs to a
//! request stands in each of its rows here, and so do the events of its lists (`events`).

mod events;

use std::collections::BTreeMap;

use pleiad_data::Pooling;
use pleiad_model::Graph;
use pleiad_model::graph::{Activation, Op, ParamId, Space, TableId};

use crate::inputs::{Encoded, TableRows};
use crate::schema::{float, int};
use crate::writer::{NetworkWriter, Value};

/// Slope of the leaky ReLU below zero.
const LEAK: f32 = 0.01;

/// The value of every node.
pub(crate) fn nodes(writer: &mut NetworkWriter, graph: &Graph, inputs: &Encoded) -> Vec<Value> {
    let values = Vec::with_capacity(graph.nodes.len());
    let mut network = Network { writer, graph, inputs, spaces: graph.spaces(), values, by_event: BTreeMap::new() };
    for at in 0..graph.nodes.len() {
        let value = network.node(at);
        network.values.push(value);
    }
    network.values
}

struct Network<'n> {
    writer: &'n mut NetworkWriter,
    graph: &'n Graph,
    inputs: &'n Encoded,
    spaces: Vec<Space>,
    values: Vec<Value>,
    /// What events of a list name of nodes that have one row for each row of the batch, by node and list.
    by_event: BTreeMap<(usize, usize), Value>,
}

impl Network<'_> {
    fn node(&mut self, at: usize) -> Value {
        let graph = self.graph;
        let node = &graph.nodes[at];
        let scope = node.scope.as_str();
        let list = graph.reads(node, &self.spaces).list();
        let x: Vec<Value> = node.inputs.iter().map(|&input| self.read(input, list)).collect();
        let first = x.first().map_or("", String::as_str);
        match &node.op {
            Op::Numeric { first, count } => self.columns(scope, *first, *count),
            Op::Embedding { table, slot, pooling } => self.embedding(scope, *table, *slot, *pooling),
            Op::Periodic { column, frequencies, weight, bias } => {
                self.periodic(scope, *column, [*frequencies, *weight, *bias])
            }
            Op::Concat => self.writer.concat(scope, &x, 1),
            Op::Linear { weight, bias } => self.linear(scope, first, *weight, *bias),
            Op::Activation { function } => self.activation(scope, first, *function),
            Op::Dropout { .. } => first.to_owned(),
            Op::Softmax => self.writer.op("Softmax", scope, &[first], vec![int("axis", 1)]),
            Op::Mixture => {
                let weights = self.writer.split(first, 1, x.len() - 1, &format!("{scope}/weight"));
                self.weighted(scope, &weights, &x[1..])
            }
            Op::Sum { scale } => {
                let sum = self.writer.sum(scope, &x);
                self.scaled(scope, sum, *scale)
            }
            Op::Combination { weights } => {
                let weights = self.param(*weights);
                let weights = self.writer.split(&weights, 0, x.len(), &format!("{scope}/weight"));
                self.weighted(scope, &weights, &x)
            }
            Op::Conjunction => self.conjunction(scope, &x[0], &x[1]),
            Op::Dot { scale } => {
                let product = self.writer.op("Mul", &format!("{scope}/product"), &[&x[0], &x[1]], vec![]);
                let axes = self.writer.int64s(&[1]);
                let sum = self.writer.op("ReduceSum", scope, &[&product, &axes], vec![int("keepdims", 1)]);
                self.scaled(scope, sum, *scale)
            }
            Op::Pairs => self.pairs(scope, &x),
            Op::Events { table, slot, .. } => self.events(scope, *table, *slot),
            Op::SegmentSum => self.segment_sum(scope, first, list, node.width, false),
            Op::SegmentMean => self.segment_sum(scope, first, list, node.width, true),
            Op::SegmentSoftmax => self.segment_softmax(scope, first, list, node.width),
            Op::SegmentMixture => {
                let weighed = self.writer.op("Mul", &format!("{scope}/weighed"), &[&x[1], &x[0]], vec![]);
                self.segment_sum(scope, &weighed, list, node.width, false)
            }
        }
    }

    /// A dense parameter.
    fn param(&mut self, param: ParamId) -> Value {
        let param = self.graph.param(param);
        self.writer.weight(&param.name, &param.shape)
    }

    /// Columns of the numeric inputs.
    fn columns(&mut self, scope: &str, first: usize, count: usize) -> Value {
        let numbers = self.inputs.numbers.clone();
        if (first, count) == (0, self.inputs.width) {
            return numbers;
        }
        let [from, to, axis] = [first, first + count, 1].map(|n| self.writer.int64s(&[n as i64]));
        self.writer.op("Slice", scope, &[&numbers, &from, &to, &axis], vec![])
    }

    /// One row of the table, or several: their vectors are added, row of the batch by row, with `ScatterElements`.
    fn embedding(&mut self, scope: &str, table: TableId, slot: usize, pooling: Option<Pooling>) -> Value {
        let spec = self.graph.table(table);
        let inputs = self.inputs;
        let table = self.writer.weight(&spec.tensor(), &spec.shape());
        match &inputs.categories[slot] {
            TableRows::Single(rows) => self.writer.op("Gather", scope, &[&table, rows], vec![int("axis", 0)]),
            TableRows::Multiple { rows, .. } => {
                let name = format!("{scope}/vectors");
                let vectors = self.writer.op("Gather", &name, &[&table, rows], vec![int("axis", 0)]);
                self.segment_sum(scope, &vectors, Some(slot), spec.dim, pooling == Some(Pooling::Mean))
            }
        }
    }

    /// `max(0, W [sin(2 pi c x), cos(2 pi c x)] + b)`; whole turns are taken off first, as single precision has few digits
    /// for what is left of a large angle.
    fn periodic(&mut self, scope: &str, column: usize, [frequencies, weight, bias]: [ParamId; 3]) -> Value {
        let x = self.columns(&format!("{scope}/number"), column, 1);
        let [c, weight, bias] = [frequencies, weight, bias].map(|param| self.param(param));
        let w = &mut *self.writer;
        let turns = w.op("Mul", &format!("{scope}/turns"), &[&x, &c], vec![]);
        let whole = w.op("Round", &format!("{scope}/whole"), &[&turns], vec![]);
        let rest = w.op("Sub", &format!("{scope}/rest"), &[&turns, &whole], vec![]);
        let tau = w.float(std::f32::consts::TAU);
        let angle = w.op("Mul", &format!("{scope}/angle"), &[&rest, &tau], vec![]);
        let sines = w.op("Sin", &format!("{scope}/sines"), &[&angle], vec![]);
        let cosines = w.op("Cos", &format!("{scope}/cosines"), &[&angle], vec![]);
        let waves = w.concat(&format!("{scope}/waves"), &[sines, cosines], 1);
        let y = w.op("Gemm", &format!("{scope}/sum"), &[&waves, &weight, &bias], vec![int("transB", 1)]);
        w.op("Relu", scope, &[&y], vec![])
    }

    fn linear(&mut self, scope: &str, x: &str, weight: ParamId, bias: Option<ParamId>) -> Value {
        let weight = self.param(weight);
        let bias = bias.map(|bias| self.param(bias));
        let inputs: Vec<&str> = [x, &weight].into_iter().chain(bias.as_deref()).collect();
        self.writer.op("Gemm", scope, &inputs, vec![int("transB", 1)])
    }

    fn activation(&mut self, scope: &str, x: &str, function: Activation) -> Value {
        let w = &mut *self.writer;
        match function {
            Activation::Identity => x.to_owned(),
            Activation::Relu => w.op("Relu", scope, &[x], vec![]),
            Activation::LeakyRelu => w.op("LeakyRelu", scope, &[x], vec![float("alpha", LEAK)]),
            Activation::Elu => w.op("Elu", scope, &[x], vec![float("alpha", 1.0)]),
            Activation::Tanh => w.op("Tanh", scope, &[x], vec![]),
            Activation::Sigmoid => w.op("Sigmoid", scope, &[x], vec![]),
            Activation::Silu => {
                let sigmoid = w.op("Sigmoid", &format!("{scope}/sigmoid"), &[x], vec![]);
                w.op("Mul", scope, &[x, &sigmoid], vec![])
            }
            Activation::Gelu => {
                let [root, one, half] = [std::f32::consts::FRAC_1_SQRT_2, 1.0, 0.5].map(|value| w.float(value));
                let scaled = w.op("Mul", &format!("{scope}/scaled"), &[x, &root], vec![]);
                let erf = w.op("Erf", &format!("{scope}/erf"), &[&scaled], vec![]);
                let twice = w.op("Add", &format!("{scope}/twice"), &[&erf, &one], vec![]);
                let phi = w.op("Mul", &format!("{scope}/phi"), &[&twice, &half], vec![]);
                w.op("Mul", scope, &[x, &phi], vec![])
            }
        }
    }

    /// `w_1 x_1 + ... + w_n x_n`.
    fn weighted(&mut self, scope: &str, weights: &[Value], x: &[Value]) -> Value {
        let term = format!("{scope}/term");
        let terms = weights.iter().zip(x);
        let terms: Vec<Value> = terms.map(|(weight, x)| self.writer.op("Mul", &term, &[x, weight], vec![])).collect();
        self.writer.sum(scope, &terms)
    }

    fn scaled(&mut self, scope: &str, x: Value, scale: f32) -> Value {
        if scale == 1.0 {
            return x;
        }
        let scale = self.writer.float(scale);
        self.writer.op("Mul", scope, &[&x, &scale], vec![])
    }

    /// `-log(exp(-a) + exp(-b) + exp(-a - b))`; the largest exponent is taken out, so that none overflows.
    fn conjunction(&mut self, scope: &str, a: &str, b: &str) -> Value {
        let w = &mut *self.writer;
        let both = w.op("Add", &format!("{scope}/both"), &[a, b], vec![]);
        let exponents: Vec<Value> =
            [a, b, both.as_str()].iter().map(|x| w.op("Neg", &format!("{scope}/exponent"), &[x], vec![])).collect();
        let largest: Vec<&str> = exponents.iter().map(String::as_str).collect();
        let largest = w.op("Max", &format!("{scope}/largest"), &largest, vec![]);
        let terms: Vec<Value> = exponents
            .iter()
            .map(|exponent| {
                let rest = w.op("Sub", &format!("{scope}/rest"), &[exponent, &largest], vec![]);
                w.op("Exp", &format!("{scope}/term"), &[&rest], vec![])
            })
            .collect();
        let sum = w.sum(&format!("{scope}/sum"), &terms);
        let log = w.op("Log", &format!("{scope}/log"), &[&sum], vec![]);
        let opposite = w.op("Add", &format!("{scope}/opposite"), &[&largest, &log], vec![]);
        w.op("Neg", scope, &[&opposite], vec![])
    }

    /// Each input times the sum of those before it: no difference of large numbers, as half of a square less squares is.
    fn pairs(&mut self, scope: &str, x: &[Value]) -> Value {
        let w = &mut *self.writer;
        let mut before = x[0].clone();
        let mut products = Vec::with_capacity(x.len() - 1);
        for (at, next) in x.iter().enumerate().skip(1) {
            products.push(w.op("Mul", &format!("{scope}/product"), &[next, &before], vec![]));
            if at + 1 < x.len() {
                before = w.op("Add", &format!("{scope}/before"), &[&before, next], vec![]);
            }
        }
        w.sum(scope, &products)
    }
}
