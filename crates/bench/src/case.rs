//! [`Case`]: a model and the rows on which its steps are timed, made from a few sizes and a seed.

use pleiad_data::{Batch, Ids, Input, InputLayout, Labels, TaskKind, TaskSpec};
use pleiad_engine::optim::{AdamConfig, OptimizerConfig};
use pleiad_engine::sparse::TableOptions;
use pleiad_engine::{Engine, EngineOptions, Kernels, Precision};
use pleiad_model::graph::Op;
use pleiad_model::{Graph, ModelConfig};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Zipf};
use serde::Serialize;
use serde_json::{Map, Value};

use pleiad_train::{Error, Result};

/// Seed of weights and of rows.
const SEED: u64 = 1;

/// Learning rate of Adam.
const LEARNING_RATE: f64 = 1e-3;

/// Shares of positive labels, one task after the other and again.
const POSITIVE: [f64; 2] = [0.3, 0.1];

/// A prime above every number of rows in use: multiplication by it modulo the rows is a permutation of them.
const SCATTER: u64 = 2_654_435_761;

/// A categorical feature of a case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Field {
    /// The table that it looks rows up in.
    pub table: String,
    /// Rows of the table.
    pub rows: u64,
    /// Width of a row.
    pub dim: usize,
    /// Exponent of the Zipf distribution of its ids; 0 is uniform.
    pub skew: f64,
}

/// The requests of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// The first fields, which all rows of a request have in common.
    pub fields: usize,
    /// Rows of a request.
    pub candidates: usize,
    /// Whether the model knows that: whether the features have `per = "request"`.
    pub by_request: bool,
}

/// A model and its synthetic rows: Adam with learning rate 1e-3, binary tasks of weight 1, numbers from N(0, 1), ids from
/// a Zipf distribution whose ranks are scattered over the table as hashes are, labels without a pattern.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Case {
    /// What it is called.
    pub name: String,
    /// Rows of a batch, B.
    pub rows: usize,
    /// Numeric features; they stand before the others.
    pub numeric: usize,
    /// Categorical features, `c0`, `c1`, ...
    pub fields: Vec<Field>,
    /// Which fields rows have in common; none where each row has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<Requests>,
    /// Names of the binary tasks.
    pub tasks: Vec<String>,
    /// `[model]`, as a configuration has it.
    pub model: Map<String, Value>,
}

/// In which arithmetic steps are computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arithmetic {
    /// Precision of the products.
    pub precision: Precision,
    /// Where they come from.
    pub kernels: Kernels,
}

/// Floating-point operations of the matrix products of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProductFlops {
    /// Forward: `2 in out` per linear layer.
    pub forward: u64,
    /// Forward and backward. A layer's backward pass has a product for its weight and one for its input, the latter
    /// only where a layer or table below is trained: the gradient with respect to numeric features is not needed and
    /// not computed.
    pub step: u64,
}

impl ProductFlops {
    /// Counts those of a graph.
    #[must_use]
    pub fn of(graph: &Graph) -> Self {
        let mut flops = Self::default();
        let mut trained: Vec<bool> = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            let below = node.inputs.iter().any(|&input| trained[input.0]);
            if let Op::Linear { .. } = node.op {
                let product = 2 * (node.width * graph.node(node.inputs[0]).width) as u64;
                flops.forward += product;
                flops.step += product * if below { 3 } else { 2 };
            }
            trained.push(below || matches!(node.op, Op::Embedding { .. }) || node.op.params().next().is_some());
        }
        flops
    }
}

impl Case {
    /// What the model reads.
    #[must_use]
    pub fn layout(&self) -> InputLayout {
        let numeric = (0..self.numeric).map(|column| Input::Numeric { name: format!("n{column}"), column });
        let categorical = self.fields.iter().enumerate().map(|(slot, field)| Input::Categorical {
            name: format!("c{slot}"),
            slot,
            table: field.table.clone(),
            rows: field.rows,
            dim: field.dim,
            pooling: None,
        });
        let requests = self.requests.filter(|requests| requests.by_request).map_or(0, |requests| requests.fields);
        InputLayout {
            per_request: (0..requests).map(|slot| format!("c{slot}")).collect(),
            ..InputLayout::new(numeric.chain(categorical).collect())
        }
    }

    /// The model.
    ///
    /// # Errors
    /// A `[model]` that cannot be built.
    pub fn graph(&self) -> Result<Graph> {
        let tasks: Vec<TaskSpec> = self.tasks.iter().map(|name| TaskSpec::new(name, TaskKind::Binary)).collect();
        Ok(ModelConfig::from_table(self.model.clone())?.build(&self.layout(), &tasks)?)
    }

    /// An engine for the graph, its weights drawn.
    ///
    /// # Errors
    /// A table that does not fit in memory.
    pub fn engine(&self, graph: &Graph, arithmetic: Arithmetic) -> Result<Engine> {
        let optimizer = OptimizerConfig::Adam(AdamConfig { learning_rate: LEARNING_RATE, ..AdamConfig::default() });
        let options = EngineOptions {
            optimizer,
            embedding_optimizer: optimizer,
            clip_norm: None,
            precision: arithmetic.precision,
            kernels: arithmetic.kernels,
            tables: TableOptions::default(),
            seed: SEED,
        };
        let mut engine = Engine::new(graph, &options)?;
        engine.init(SEED);
        Ok(engine)
    }

    /// `count` batches, the same ones every time.
    ///
    /// # Errors
    /// A field whose ids have no distribution: no rows, or a negative skew.
    pub fn batches(&self, count: usize) -> Result<Vec<Batch>> {
        let distributions: Vec<Zipf<f64>> = self
            .fields
            .iter()
            .map(|field| {
                let why = |e| Error::Encode { reason: format!("ids of table {:?}: {e}", field.table) };
                Zipf::new(field.rows as f64, field.skew).map_err(why)
            })
            .collect::<Result<_>>()?;
        let batch = |number: usize| {
            let mut rng = ChaCha8Rng::seed_from_u64(SEED);
            rng.set_stream(number as u64);
            let numeric = (0..self.rows * self.numeric).map(|_| rng.sample(StandardNormal)).collect();
            let mut ids = |(field, zipf): (&Field, &Zipf<f64>)| {
                let rank = |rank: f64| (rank as u64).clamp(1, field.rows) - 1;
                Ids::Single((0..self.rows).map(|_| scattered(rank(zipf.sample(&mut rng)), field.rows)).collect())
            };
            let mut categorical: Vec<Ids> = self.fields.iter().zip(&distributions).map(&mut ids).collect();
            for ids in categorical.iter_mut().take(self.requests.map_or(0, |requests| requests.fields)) {
                let candidates = self.requests.map_or(1, |requests| requests.candidates.max(1));
                if let Ids::Single(ids) = ids {
                    ids.chunks_mut(candidates).for_each(|ids| ids.fill(ids[0]));
                }
            }
            let mut labels = |positive: f64| Labels {
                values: (0..self.rows).map(|_| f32::from(u8::from(rng.random_bool(positive)))).collect(),
                present: vec![true; self.rows],
                weights: Vec::new(),
            };
            let labels = POSITIVE.iter().cycle().take(self.tasks.len()).map(|&p| labels(p)).collect();
            Batch { rows: self.rows, numeric, categorical, labels, groups: Vec::new() }
        };
        Ok((0..count).map(batch).collect())
    }

    /// Learning rate of its Adam.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        LEARNING_RATE
    }
}

/// The table row of a rank.
fn scattered(rank: u64, rows: u64) -> u64 {
    (u128::from(rank) * u128::from(SCATTER) % u128::from(rows)) as u64
}

/// Names of the first `n` tasks.
pub(super) fn tasks(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("task{i}")).collect()
}

/// A `[model]` from what `json!` makes.
pub(super) fn model(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(table) => table,
        other => Map::from_iter([("kind".to_owned(), other)]),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::*;

    fn small() -> Case {
        let field = |table: &str, rows| Field { table: table.into(), rows, dim: 4, skew: 1.05 };
        Case {
            name: "small".into(),
            rows: 2000,
            numeric: 3,
            fields: vec![field("c0", 1000), field("c1", 7)],
            requests: None,
            tasks: tasks(2),
            model: model(json!({ "kind": "hard-sharing", "bottom": [5], "tower": [2] })),
        }
    }

    #[test]
    fn batches_are_the_same_every_time_and_differ_from_one_another() {
        let case = small();
        let batches = case.batches(2).unwrap();
        assert_eq!(batches, case.batches(2).unwrap());
        assert_ne!(batches[0], batches[1]);
        assert_eq!(batches[0].numeric.len(), 6000);
        let positive = batches[0].labels.iter().map(|l| l.values.iter().sum::<f32>() / 2000.0).collect::<Vec<_>>();
        assert!((positive[0] - 0.3).abs() < 0.05 && (positive[1] - 0.1).abs() < 0.03, "{positive:?}");
    }

    #[test]
    fn popular_ids_are_scattered_over_the_table() {
        let case = small();
        let batch = &case.batches(1).unwrap()[0];
        let mut counts: HashMap<u64, usize> = HashMap::new();
        batch.categorical[0].table_rows().iter().for_each(|&id| *counts.entry(id).or_default() += 1);
        assert!(counts.keys().all(|&id| id < 1000));
        let mut by_count: Vec<(usize, u64)> = counts.iter().map(|(&id, &n)| (n, id)).collect();
        by_count.sort_unstable_by(|a, b| b.cmp(a));
        // Rank 1 is row 0, rank 2 the row that the permutation sends 1 to; about 1 / H of all draws, and half of that.
        assert_eq!((by_count[0].1, by_count[1].1), (0, SCATTER % 1000));
        let ratio = by_count[0].0 as f64 / by_count[1].0 as f64;
        assert!((1.5..2.8).contains(&ratio), "{ratio}");
    }

    #[test]
    fn every_row_of_a_table_has_one_rank() {
        for rows in [3, 52, 1000, 200_000] {
            let mut seen: Vec<u64> = (0..rows).map(|rank| scattered(rank, rows)).collect();
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..rows), "{rows}");
        }
    }

    #[test]
    fn products_below_which_nothing_is_trained_have_no_gradient_by_their_input() {
        let case = Case { fields: Vec::new(), ..small() };
        let flops = ProductFlops::of(&case.graph().unwrap());
        let (first, rest) = (2 * 3 * 5, 2 * 2 * (5 * 2 + 2));
        assert_eq!(flops, ProductFlops { forward: first + rest, step: 2 * first + 3 * rest });
        // With embeddings below it every product has all three.
        let flops = ProductFlops::of(&small().graph().unwrap());
        assert_eq!(flops.step, 3 * flops.forward);
        assert_eq!(flops.forward, 2 * 11 * 5 + rest);
    }
}
