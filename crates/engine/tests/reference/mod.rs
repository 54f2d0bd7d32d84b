//! A graph computed the slow way: node by node, row by row or event by event, in f64, without plan, fusion or shards. The oracle that the
//! engine is held against; gradients come from its finite differences.

#![allow(dead_code, reason = "each test reads a part of it")]

use pleiad_data::schema::{FocalConfig, HuberConfig, LabelTransform, LossConfig};
use pleiad_data::{Batch, Pooling, TaskKind};
use pleiad_model::graph::{Activation, NodeSpec, Op, Output};
use pleiad_model::{Graph, Weights};

/// Weights in f64, of which one may be moved.
struct Point<'w> {
    weights: &'w Weights,
    moved: Option<(&'w str, usize, f64)>,
}

impl Point<'_> {
    fn tensor(&self, name: &str) -> Vec<f64> {
        let tensor = self.weights.get(name).expect("a tensor of the graph");
        let mut values: Vec<f64> = tensor.data.iter().map(|&v| f64::from(v)).collect();
        if let Some((moved, at, by)) = self.moved
            && moved == name
        {
            values[at] += by;
        }
        values
    }
}

/// Per task, the number (logit or value) of every row.
pub(crate) fn numbers(graph: &Graph, weights: &Weights, batch: &Batch) -> Vec<Vec<f64>> {
    numbers_at(graph, &Point { weights, moved: None }, batch)
}

/// `L = sum_k w_k L_k`, and each `L_k`.
pub(crate) fn loss(graph: &Graph, weights: &Weights, batch: &Batch, task_weights: &[f32]) -> (f64, Vec<f64>) {
    loss_at(graph, &Point { weights, moved: None }, batch, task_weights)
}

/// `dL/dw` of element `at` of tensor `name` by central differences, over a step so small that it hardly ever crosses
/// the kink of an activation.
pub(crate) fn derivative(graph: &Graph, weights: &Weights, batch: &Batch, w: &[f32], name: &str, at: usize) -> f64 {
    const STEP: f64 = 1e-6;
    let at_step = |by| loss_at(graph, &Point { weights, moved: Some((name, at, by)) }, batch, w).0;
    (at_step(STEP) - at_step(-STEP)) / (2.0 * STEP)
}

fn loss_at(graph: &Graph, point: &Point<'_>, batch: &Batch, task_weights: &[f32]) -> (f64, Vec<f64>) {
    let numbers = numbers_at(graph, point, batch);
    let mut losses = Vec::new();
    for ((output, labels), z) in graph.outputs.iter().zip(&batch.labels).zip(&numbers) {
        let (mut sum, mut count) = (0.0, 0.0);
        for (i, &z) in z.iter().enumerate().filter(|(i, _)| labels.present[*i]) {
            let y = f64::from(labels.values[i]);
            let weight = f64::from(labels.weight(i));
            count += weight;
            sum += weight * row_loss(output, z, y);
        }
        losses.push(if count == 0.0 { 0.0 } else { sum / count });
    }
    for penalty in &graph.penalties {
        let p = |task: usize, row: usize| prediction(&graph.outputs[task], numbers[task][row]);
        let present = |task: usize, row: usize| batch.labels[task].present[row];
        let both = (0..batch.rows).filter(|&row| present(penalty.earlier, row) && present(penalty.later, row));
        let (mut excess, mut rows) = (0.0, 0.0);
        for row in both {
            let weight = f64::from(batch.labels[penalty.later].weight(row));
            excess += weight * (p(penalty.later, row) - p(penalty.earlier, row)).max(0.0);
            rows += weight;
        }
        if rows > 0.0 {
            losses[penalty.later] += f64::from(penalty.weight) * excess / rows;
        }
    }
    let joint = losses.iter().zip(task_weights).map(|(l, &w)| l * f64::from(w)).sum();
    (joint, losses)
}

/// The prediction that a task's number stands for.
pub(crate) fn prediction(output: &Output, z: f64) -> f64 {
    match (output.kind, output.objective.transform) {
        (TaskKind::Binary, _) => {
            let p = 1.0 / (1.0 + (-z).exp());
            p / (p + (1.0 - p) / output.objective.negatives.unwrap_or(1.0))
        }
        (TaskKind::Regression, None) => z,
        (TaskKind::Regression, Some(LabelTransform::Log1p)) => z.exp() - 1.0,
    }
}

fn row_loss(output: &Output, z: f64, y: f64) -> f64 {
    let y = if output.objective.transform.is_some() { (1.0 + y).ln() } else { y };
    let weight = if y == 1.0 { output.objective.positive_weight.unwrap_or(1.0) } else { 1.0 };
    let p = 1.0 / (1.0 + (-z).exp());
    weight
        * match (output.kind, output.objective.loss) {
            (TaskKind::Regression, Some(LossConfig::Huber(HuberConfig { delta }))) => {
                let error = (z - y).abs();
                if error <= delta { error * error / 2.0 } else { delta * (error - delta / 2.0) }
            }
            (TaskKind::Regression, _) => (z - y).powi(2),
            (TaskKind::Binary, Some(LossConfig::Focal(FocalConfig { gamma, alpha }))) => {
                let (p, alpha) = if y == 1.0 { (p, alpha) } else { (1.0 - p, 1.0 - alpha) };
                -alpha * (1.0 - p).powf(gamma) * p.ln()
            }
            (TaskKind::Binary, _) => -y * p.ln() - (1.0 - y) * (1.0 - p).ln(),
        }
}

fn numbers_at(graph: &Graph, point: &Point<'_>, batch: &Batch) -> Vec<Vec<f64>> {
    let mut values: Vec<Vec<Vec<f64>>> = Vec::new();
    for node in &graph.nodes {
        let node_values = rows_of_node(graph, point, batch, node, &values);
        values.push(node_values);
    }
    graph.outputs.iter().map(|o| values[o.node.0].iter().map(|row| row[0]).collect()).collect()
}

/// Of a list of the batch, the events of each row.
fn events_of(batch: &Batch, list: usize) -> Vec<std::ops::Range<usize>> {
    (0..batch.rows).map(|row| batch.categorical[list].range(row)).collect()
}

/// The node's output `[B][W]`, or `[E][W]` of events, given those of all nodes before it. What belongs to a request stands in each of
/// its rows.
fn rows_of_node(
    graph: &Graph,
    point: &Point<'_>,
    batch: &Batch,
    node: &NodeSpec,
    values: &[Vec<Vec<f64>>],
) -> Vec<Vec<f64>> {
    let spaces = graph.spaces();
    let list = graph.reads(node, &spaces).list();
    let events = list.map(|list| events_of(batch, list)).unwrap_or_default();
    let owners: Vec<usize> = events.iter().enumerate().flat_map(|(row, events)| vec![row; events.len()]).collect();
    let input = |i: usize, row: usize| {
        let of_rows = list.is_some() && spaces[node.inputs[i].0].list().is_none();
        &values[node.inputs[i].0][if of_rows { owners[row] } else { row }]
    };
    let rows = 0..if list.is_some() { owners.len() } else { batch.rows };
    let sum = |events: &std::ops::Range<usize>, of: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
        (0..node.width).map(|j| events.clone().map(|e| of(e, j)).sum()).collect()
    };
    match &node.op {
        Op::Numeric { first, count } => {
            let width = batch.numeric_width();
            let numbers = |row: usize| &batch.numeric[row * width..][*first..first + count];
            rows.map(|row| numbers(row).iter().map(|&v| f64::from(v)).collect()).collect()
        }
        Op::Embedding { table, slot, pooling } => {
            let spec = graph.table(*table);
            let tensor = point.tensor(&spec.tensor());
            let ids = &batch.categorical[*slot];
            let pooled = |row: usize| {
                let ids = &ids.table_rows()[ids.range(row)];
                let mut sum = vec![0.0; spec.dim];
                for &id in ids {
                    sum.iter_mut().zip(&tensor[id as usize * spec.dim..]).for_each(|(s, v)| *s += v);
                }
                if *pooling == Some(Pooling::Mean) && !ids.is_empty() {
                    sum.iter_mut().for_each(|s| *s /= ids.len() as f64);
                }
                sum
            };
            rows.map(pooled).collect()
        }
        Op::Events { table, slot, .. } => {
            let spec = graph.table(*table);
            let tensor = point.tensor(&spec.tensor());
            let ids = batch.categorical[*slot].table_rows();
            ids.iter().map(|&id| tensor[id as usize * spec.dim..][..spec.dim].to_vec()).collect()
        }
        Op::SegmentSum => events.iter().map(|of| sum(of, &|e, j| input(0, e)[j])).collect(),
        Op::SegmentMean => events.iter().map(|of| sum(of, &|e, j| input(0, e)[j] / of.len() as f64)).collect(),
        Op::SegmentSoftmax => {
            let total: Vec<Vec<f64>> = events.iter().map(|of| sum(of, &|e, j| input(0, e)[j].exp())).collect();
            rows.map(|e| (0..node.width).map(|j| input(0, e)[j].exp() / total[owners[e]][j]).collect()).collect()
        }
        Op::SegmentMixture => events.iter().map(|of| sum(of, &|e, j| input(0, e)[0] * input(1, e)[j])).collect(),
        Op::Periodic { column, frequencies, weight, bias } => {
            let [c, weight, bias] = [frequencies, weight, bias].map(|param| point.tensor(&graph.param(*param).name));
            let embedded = |row: usize| {
                let x = f64::from(batch.numeric[row * batch.numeric_width() + column]);
                let angles: Vec<f64> = c.iter().map(|c| std::f64::consts::TAU * c * x).collect();
                let v: Vec<f64> = angles.iter().map(|a| a.sin()).chain(angles.iter().map(|a| a.cos())).collect();
                let unit = |o: usize| bias[o] + weight[o * v.len()..].iter().zip(&v).map(|(w, v)| w * v).sum::<f64>();
                (0..node.width).map(|o| unit(o).max(0.0)).collect()
            };
            rows.map(embedded).collect()
        }
        Op::Concat => rows.map(|row| (0..node.inputs.len()).flat_map(|i| input(i, row).clone()).collect()).collect(),
        Op::Linear { weight, bias } => {
            let weight = point.tensor(&graph.param(*weight).name);
            let bias = bias.map_or(vec![0.0; node.width], |b| point.tensor(&graph.param(b).name));
            let unit = |o: usize, x: &[f64]| -> f64 {
                bias[o] + weight[o * x.len()..].iter().zip(x).map(|(w, x)| w * x).sum::<f64>()
            };
            rows.map(|row| (0..node.width).map(|o| unit(o, input(0, row))).collect()).collect()
        }
        Op::Activation { function } => {
            rows.map(|row| input(0, row).iter().map(|&x| activation(*function, x)).collect()).collect()
        }
        Op::Dropout { .. } => rows.map(|row| input(0, row).clone()).collect(),
        Op::Softmax => {
            let softmax = |x: &Vec<f64>| -> Vec<f64> {
                let sum: f64 = x.iter().map(|x| x.exp()).sum();
                x.iter().map(|x| x.exp() / sum).collect()
            };
            rows.map(|row| softmax(input(0, row))).collect()
        }
        Op::Mixture => {
            let mix = |row: usize| {
                let mut sum = vec![0.0; node.width];
                for (e, g) in input(0, row).iter().enumerate() {
                    sum.iter_mut().zip(input(e + 1, row)).for_each(|(s, x)| *s += g * x);
                }
                sum
            };
            rows.map(mix).collect()
        }
        Op::Sum { scale } => rows.map(|row| weighed_sum(node, |_| f64::from(*scale), |i| input(i, row))).collect(),
        Op::Combination { weights } => {
            let weights = point.tensor(&graph.param(*weights).name);
            rows.map(|row| weighed_sum(node, |i| weights[i], |i| input(i, row))).collect()
        }
        Op::Conjunction => {
            let probability = |z: f64| 1.0 / (1.0 + (-z).exp());
            let both = |row: usize| probability(input(0, row)[0]) * probability(input(1, row)[0]);
            rows.map(|row| vec![(both(row) / (1.0 - both(row))).ln()]).collect()
        }
        Op::Dot { scale } => {
            let dot = |row: usize| input(0, row).iter().zip(input(1, row)).map(|(a, b)| a * b).sum::<f64>();
            rows.map(|row| vec![f64::from(*scale) * dot(row)]).collect()
        }
        Op::Pairs => {
            let pairs = |row: usize, j: usize| -> f64 {
                let at = |i: usize| input(i, row)[j];
                (0..node.inputs.len()).flat_map(|a| (0..a).map(move |b| at(a) * at(b))).sum()
            };
            rows.map(|row| (0..node.width).map(|j| pairs(row, j)).collect()).collect()
        }
    }
}

fn weighed_sum<'v>(node: &NodeSpec, weight: impl Fn(usize) -> f64, input: impl Fn(usize) -> &'v Vec<f64>) -> Vec<f64> {
    let sum = |j: usize| (0..node.inputs.len()).map(|i| weight(i) * input(i)[j]).sum();
    (0..node.width).map(sum).collect()
}

fn activation(f: Activation, x: f64) -> f64 {
    match f {
        Activation::Relu => x.max(0.0),
        Activation::LeakyRelu => x.max(0.01 * x),
        Activation::Elu => x.max(x.min(0.0).exp_m1()),
        Activation::Gelu => x * normal_cdf(x),
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Identity => x,
    }
}

/// `Phi(x) = erfc(-x / sqrt 2) / 2`: by the series of erf near zero, where it does not cancel, by the continued fraction
/// of erfc elsewhere.
fn normal_cdf(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let upper = if z < 2.0 {
        let (mut term, mut sum) = (z, z);
        for n in 1..100 {
            term *= -z * z / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        0.5 - sum / std::f64::consts::PI.sqrt()
    } else {
        let fraction = (1..200).rev().fold(z, |f, n| z + 0.5 * f64::from(n) / f);
        0.5 * (-z * z).exp() / (fraction * std::f64::consts::PI.sqrt())
    };
    if x > 0.0 { 1.0 - upper } else { upper }
}
