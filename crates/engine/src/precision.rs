//! [`Precision`] and [`Kernels`]: the arithmetic in which a model trains.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Precision of the matrix products of a training step. Weights, optimizer state, activations, gradients and every sum
/// stay f32, and so do all predictions: of validation rows, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE 754 single precision.
    #[default]
    F32,
    /// Operands of products are rounded to bf16, the upper half of an f32 (ties to even), and their products are summed
    /// in f32: by AMX where processor and system have it (Linux on x86-64), else by AVX512-BF16. Where the processor has
    /// no such product, f32 products of rounded operands take its place: the same up to the rounding of sums, but not
    /// faster.
    Bf16,
}

/// Which products are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kernels {
    /// The fastest that the processor has.
    #[default]
    Fastest,
    /// Kernels that run on every processor: for comparison.
    Plain,
}

impl Precision {
    /// Its name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use pleiad_data::{Batch, Ids, Input, InputLayout, Labels, TaskKind, TaskSpec};
    use pleiad_model::{Graph, ModelConfig, Weights};
    use serde_json::{Value, json};

    use super::*;
    use crate::kernels::arithmetic::{Arithmetic, with_fastest_bf16};
    use crate::kernels::tiles::{Kernel, Pair, amx_here};
    use crate::sparse::TableOptions;
    use crate::{Engine, EngineOptions};

    const NUMBERS: usize = 21;

    /// Widths of hidden layers: squares of AMX end within the first, and with the second.
    const HIDDEN: [usize; 2] = [35, 64];

    /// PLE of two levels, whose layers are wider and narrower than a panel.
    fn ple(hidden: usize) -> Graph {
        let levels = json!([
            { "task_experts": 2, "shared_experts": 1, "widths": [hidden, 20] },
            { "task_experts": 1, "shared_experts": 2, "widths": [9] },
        ]);
        let Value::Object(table) = json!({ "kind": "ple", "levels": levels, "tower": [7] }) else { panic!() };
        let number = |column| Input::Numeric { name: format!("x{column}"), column };
        let mut inputs: Vec<Input> = (0..NUMBERS).map(number).collect();
        let (name, table_name) = ("item".into(), "item".into());
        inputs.push(Input::Categorical { name, slot: 0, table: table_name, rows: 9, dim: 6, pooling: None });
        let tasks = [("a", TaskKind::Binary), ("b", TaskKind::Regression)];
        let tasks = tasks.map(|(name, kind)| TaskSpec::new(name, kind));
        ModelConfig::from_table(table).unwrap().build(&InputLayout::new(inputs), &tasks).unwrap()
    }

    fn batch(rows: usize) -> Batch {
        let hash = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 8;
        let number = |i: usize| hash(i) as f32 / 8_388_608.0 - 1.0;
        let labels = |seed: usize| Labels {
            values: (0..rows).map(|i| (hash(i + seed) % 2) as f32).collect(),
            present: (0..rows).map(|i| seed == 1 || i % 3 > 0).collect(),
            weights: Vec::new(),
        };
        let items = (0..rows).map(|i| u64::from(hash(i + 5) % 9)).collect();
        Batch {
            rows,
            numeric: (0..rows * NUMBERS).map(number).collect(),
            categorical: vec![Ids::Single(items)],
            labels: vec![labels(1), labels(2)],
            groups: Vec::new(),
        }
    }

    fn engine(hidden: usize, precision: Precision, kernels: Kernels) -> Engine {
        let optimizer = serde_json::from_value(json!({ "kind": "adam", "learning_rate": 1e-2 })).unwrap();
        let tables = TableOptions::default();
        let options = EngineOptions {
            optimizer,
            embedding_optimizer: optimizer,
            clip_norm: None,
            precision,
            kernels,
            tables,
            seed: 11,
        };
        let mut engine = Engine::new(&ple(hidden), &options).unwrap();
        engine.init(5);
        engine
    }

    /// Distance of two gradients over the length of the first.
    fn distance(a: &Weights, b: &Weights) -> f64 {
        let (mut apart, mut length) = (0.0, 0.0);
        for ((_, a), (_, b)) in a.tensors.iter().zip(&b.tensors) {
            for (&a, &b) in a.data.iter().zip(&b.data) {
                apart += f64::from(a - b).powi(2);
                length += f64::from(a).powi(2);
            }
        }
        (apart / length).sqrt()
    }

    /// Whether steps by `arithmetic` have the gradients that bf16 has where it is emulated.
    fn check(arithmetic: Arithmetic, hidden: usize) {
        let gradient = |precision, kernels| {
            let gradients = engine(hidden, precision, kernels).gradients(&batch(600), &[1.0, 0.5]);
            gradients.unwrap().1
        };
        let exact = gradient(Precision::F32, Kernels::Plain);
        let rounded = gradient(Precision::Bf16, Kernels::Plain);
        let found = with_fastest_bf16(arithmetic, || {
            assert_eq!(Precision::Bf16.kernels(Kernels::Fastest), arithmetic.name());
            gradient(Precision::Bf16, Kernels::Fastest)
        });
        let (far, near) = (distance(&exact, &rounded), distance(&rounded, &found));
        assert!((1e-4..3e-2).contains(&far), "{arithmetic:?}, {hidden}: {far}");
        // Where an activation is rounded down here and up there, one operand is off by 2^-8. Not the same sums, though.
        assert!(near < 3e-3 && near > 0.0, "{arithmetic:?}, {hidden}: {near}");
        for ((name, rounded), (_, found)) in rounded.tensors.iter().zip(&found.tensors) {
            let largest = |data: &mut dyn Iterator<Item = f32>| data.map(f32::abs).fold(0.0, f32::max);
            let apart = largest(&mut rounded.data.iter().zip(&found.data).map(|(a, b)| a - b));
            let of = largest(&mut rounded.data.iter().copied());
            assert!(apart <= 0.03 * of, "{arithmetic:?}, {hidden}: {name} is {apart} of {of} apart");
        }
    }

    #[test]
    fn a_step_by_amx_is_one_in_bf16() {
        if amx_here() {
            HIDDEN.into_iter().for_each(|hidden| check(Arithmetic::Amx, hidden));
        }
    }

    #[test]
    fn a_step_by_pairs_is_one_in_bf16() {
        if Pair::available() {
            HIDDEN.into_iter().for_each(|hidden| check(Arithmetic::PairTiles, hidden));
        }
    }

    #[test]
    fn threads_do_not_change_a_bit_of_steps_by_amx() {
        if !amx_here() {
            return;
        }
        let train = |threads: usize, hidden: usize| {
            let train = || {
                let mut engine = engine(hidden, Precision::Bf16, Kernels::Fastest);
                for rows in [600, 300] {
                    engine.step(&batch(rows), &[1.0, 0.5], 1.0).unwrap();
                }
                (engine.weights(), engine.state())
            };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| with_fastest_bf16(Arithmetic::Amx, train))
        };
        for hidden in HIDDEN {
            let one = train(1, hidden);
            for threads in [2, 4] {
                assert!(one == train(threads, hidden), "{hidden} on {threads} threads");
            }
        }
    }
}
