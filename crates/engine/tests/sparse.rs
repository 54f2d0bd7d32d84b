//! Tables against the dense reference that they stand for: one-hot products, a dense gradient, naive loops.
#![allow(clippy::unwrap_used)]

use pleiad_data::{Ids, Pooling};
use pleiad_engine::optim::{AdagradConfig, AdamConfig, AdamWConfig, OptimizerConfig, SgdConfig, StepRule};
use pleiad_engine::sparse::{GradientOf, Table, TableOptions, TouchedRows, Use};
use pleiad_model::graph::TableSpec;
use pleiad_model::init::Init;
use proptest::prelude::*;

fn table(rows: usize, dim: usize, slots: usize) -> Table {
    let spec = TableSpec { name: "items".to_owned(), rows: rows as u64, dim, init: Init::Normal { std: 1.0 } };
    let mut table = Table::new(&spec, slots, &TableOptions::default(), 1).unwrap();
    table.init(3, 0.0);
    table
}

/// Numbers without a pattern, from -1 to 1.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut values = vec![0.0; n];
    Init::Normal { std: 0.5 }.fill(seed, "noise", 0, &mut values);
    values
}

fn sgd(learning_rate: f64) -> OptimizerConfig {
    OptimizerConfig::Sgd(SgdConfig {
        learning_rate,
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
        decoupled: false,
    })
}

fn optimizers() -> Vec<OptimizerConfig> {
    vec![
        sgd(0.1),
        OptimizerConfig::Sgd(SgdConfig {
            learning_rate: 0.1,
            momentum: 0.9,
            nesterov: true,
            weight_decay: 0.1,
            decoupled: false,
        }),
        OptimizerConfig::Adam(AdamConfig::default()),
        OptimizerConfig::AdamW(AdamWConfig::default()),
        OptimizerConfig::Adagrad(AdagradConfig::default()),
    ]
}

fn lists(lists: &[&[u64]]) -> Ids {
    let mut offsets = vec![0];
    let mut rows = Vec::new();
    for list in lists {
        rows.extend_from_slice(list);
        offsets.push(rows.len());
    }
    Ids::Multiple { offsets, rows }
}

/// The pooled vector of batch row `i` by its formula, in f64.
fn reference_lookup(weights: &[f32], dim: usize, ids: &Ids, pooling: Option<Pooling>, i: usize) -> Vec<f64> {
    let ids = &ids.table_rows()[ids.range(i)];
    let share = if pooling == Some(Pooling::Mean) { 1.0 / ids.len().max(1) as f64 } else { 1.0 };
    (0..dim).map(|d| ids.iter().map(|&id| f64::from(weights[id as usize * dim + d])).sum::<f64>() * share).collect()
}

/// The dense gradient `[rows, dim]` by its formula, in f64.
fn reference_gradient(rows: usize, dim: usize, uses: &[Use<'_>]) -> Vec<f64> {
    let mut dense = vec![0.0; rows * dim];
    for u in uses {
        for i in 0..u.ids.len() {
            let ids = &u.ids.table_rows()[u.ids.range(i)];
            let share = if u.pooling == Some(Pooling::Mean) { 1.0 / ids.len() as f64 } else { 1.0 };
            for &id in ids {
                for d in 0..dim {
                    dense[id as usize * dim + d] += share * f64::from(u.grad[i * u.ld + u.col + d]);
                }
            }
        }
    }
    dense
}

fn assert_close(found: &[f32], wanted: &[f64]) {
    assert_eq!(found.len(), wanted.len());
    for (i, (f, w)) in found.iter().zip(wanted).enumerate() {
        assert!((f64::from(*f) - w).abs() <= 1e-5 * w.abs().max(1.0), "element {i}: {f}, not {w}");
    }
}

#[test]
fn lookup_writes_its_columns_and_no_others() {
    let table = table(10, 5, 1);
    let weights = table.weights();
    let ids = Ids::Single(vec![3, 9, 0, 3]);
    let mut out = vec![7.0; 2 * 8];
    table.lookup(&ids, 1..3, None, &mut out, 8, 2);
    for (i, id) in [9, 0].into_iter().enumerate() {
        assert_eq!(out[i * 8..i * 8 + 2], [7.0; 2]);
        assert_eq!(out[i * 8 + 2..i * 8 + 7], weights[id * 5..id * 5 + 5]);
        assert_eq!(out[i * 8 + 7], 7.0);
    }
}

#[test]
fn lookup_needs_no_padding_after_the_last_row() {
    let table = table(4, 3, 0);
    let mut out = vec![0.0; 5 + 3];
    table.lookup(&Ids::Single(vec![2, 1]), 0..2, None, &mut out, 5, 0);
    assert_eq!(out[5..], table.weights()[3..6]);
    table.lookup(&Ids::Single(vec![2, 1]), 2..2, None, &mut [], 5, 0);
}

#[test]
fn several_ids_are_summed_or_averaged_and_none_gives_zeros() {
    let table = table(6, 4, 2);
    let ids = lists(&[&[1, 5, 1], &[], &[2]]);
    for pooling in [Pooling::Sum, Pooling::Mean] {
        let mut out = vec![7.0; 3 * 4];
        table.lookup(&ids, 0..3, Some(pooling), &mut out, 4, 0);
        for i in 0..3 {
            assert_close(&out[i * 4..][..4], &reference_lookup(&table.weights(), 4, &ids, Some(pooling), i));
        }
        assert_eq!(out[4..8], [0.0; 4]);
    }
}

#[test]
fn an_id_out_of_range_is_told_with_its_row() {
    let table = table(6, 4, 0);
    table.check_ids(&Ids::Single(vec![])).unwrap();
    table.check_ids(&Ids::Single(vec![5, 0])).unwrap();
    let message = table.check_ids(&Ids::Single(vec![0, 6, 7])).unwrap_err().to_string();
    assert_eq!(message, "table `items`: id 6 (batch row 1) is out of range, the table has 6 rows");
    let message = table.check_ids(&lists(&[&[1], &[], &[2, u64::MAX]])).unwrap_err().to_string();
    assert!(message.contains(&u64::MAX.to_string()) && message.contains("batch row 2"), "{message}");
}

#[test]
#[should_panic(expected = "row 6 of a table of 6")]
fn unchecked_ids_never_reach_an_update() {
    let ids = Ids::Single(vec![6]);
    TouchedRows::new().gather(
        6,
        1,
        &[Use { ids: &ids, pooling: None, of: GradientOf::BatchRows, grad: &[1.0], ld: 1, col: 0 }],
    );
}

#[test]
#[should_panic(expected = "items")]
fn rows_gathered_for_another_table_are_refused() {
    let ids = Ids::Single(vec![8]);
    let mut touched = TouchedRows::new();
    touched.gather(9, 1, &[Use { ids: &ids, pooling: None, of: GradientOf::BatchRows, grad: &[1.0], ld: 1, col: 0 }]);
    table(6, 1, 0).update(&touched, &StepRule::new(&sgd(1.0), 1, 1.0), 1.0, 1);
}

/// Duplicates must be summed before the optimizer sees them: Adam of a sum is not the sum of two Adam steps.
#[test]
fn a_row_that_appears_twice_takes_one_step() {
    let mut twice = table(100, 3, 2);
    let mut once = table(100, 3, 2);
    let rule = StepRule::new(&OptimizerConfig::default(), 1, 1.0);
    let mut touched = TouchedRows::new();
    let ids = Ids::Single(vec![4, 4]);
    touched.gather(
        100,
        3,
        &[Use {
            ids: &ids,
            pooling: None,
            of: GradientOf::BatchRows,
            grad: &[1.0, 2.0, 3.0, 0.5, -1.0, 1.0],
            ld: 3,
            col: 0,
        }],
    );
    assert_eq!(touched.rows(), [4]);
    assert_eq!(touched.grads(), [1.5, 1.0, 4.0]);
    assert_eq!(touched.square_sum(), 1.5 * 1.5 + 1.0 + 16.0);
    twice.update(&touched, &rule, 1.0, 1);
    let ids = Ids::Single(vec![4]);
    touched.gather(
        100,
        3,
        &[Use { ids: &ids, pooling: None, of: GradientOf::BatchRows, grad: &[1.5, 1.0, 4.0], ld: 3, col: 0 }],
    );
    once.update(&touched, &rule, 1.0, 1);
    assert_eq!(twice.weights(), once.weights());
}

#[test]
fn features_that_share_a_table_share_its_gradient() {
    let first = Ids::Single(vec![1, 2]);
    let second = lists(&[&[2, 3], &[]]);
    let grad = [1.0, 2.0, 3.0, 4.0];
    let mut touched = TouchedRows::new();
    let uses = [
        Use { ids: &first, pooling: None, of: GradientOf::BatchRows, grad: &grad, ld: 2, col: 0 },
        Use { ids: &second, pooling: Some(Pooling::Mean), of: GradientOf::BatchRows, grad: &grad, ld: 2, col: 1 },
    ];
    touched.gather(50, 1, &uses);
    assert_eq!(touched.rows(), [1, 2, 3]);
    assert_eq!(touched.grads(), [1.0, 3.0 + 1.0, 1.0]);
}

#[test]
fn a_batch_without_ids_touches_nothing() {
    let ids = lists(&[&[], &[]]);
    let mut table = table(5, 2, 2);
    let before = table.weights();
    let mut touched = TouchedRows::new();
    touched.gather(
        5,
        2,
        &[Use { ids: &ids, pooling: Some(Pooling::Mean), of: GradientOf::BatchRows, grad: &[1.0; 4], ld: 2, col: 0 }],
    );
    assert!(touched.rows().is_empty());
    table.update(&touched, &StepRule::new(&OptimizerConfig::default(), 1, 1.0), 1.0, 1);
    assert_eq!(table.weights(), before);
}

/// Five steps of each optimizer: touched rows move as a dense parameter would, the others keep every bit.
#[test]
fn touched_rows_move_as_a_dense_parameter_and_others_stay() {
    let (rows, dim, batch) = (3000, 6, 700);
    for config in optimizers() {
        let mut table = table(rows, dim, config.slots());
        let start = table.weights();
        let mut dense = start.clone();
        let (mut first, mut second) = (vec![0.0; rows * dim], vec![0.0; rows * dim]);
        let mut touched = TouchedRows::new();
        // The same rows in every step, since lazy updates agree with dense ones on those alone.
        let ids = Ids::Single((0..batch as u64).map(|i| i * i % 1009).collect());
        for step in 1..6 {
            let grad = noise(batch * dim, step);
            let uses = [Use { ids: &ids, pooling: None, of: GradientOf::BatchRows, grad: &grad, ld: dim, col: 0 }];
            touched.gather(rows, dim, &uses);
            let rule = StepRule::new(&config, step, 0.5);
            table.update(&touched, &rule, 0.7, step);

            let gradient: Vec<f32> = reference_gradient(rows, dim, &uses).iter().map(|&g| g as f32).collect();
            rule.update(&mut dense, &gradient, [&mut first, &mut second], 0.7);
        }
        let weights = table.weights();
        let mut is_touched = vec![false; rows];
        ids.table_rows().iter().for_each(|&id| is_touched[id as usize] = true);
        for (row, is_touched) in is_touched.into_iter().enumerate() {
            let at = row * dim..(row + 1) * dim;
            if is_touched {
                let wanted: Vec<f64> = dense[at.clone()].iter().map(|&w| f64::from(w)).collect();
                assert_close(&weights[at.clone()], &wanted);
                assert_ne!(weights[at.clone()], start[at], "{config:?}: row {row}");
            } else {
                assert_eq!(weights[at.clone()], start[at.clone()], "{config:?}: row {row}");
                for slot in 0..table.slots() {
                    assert!(table.state(slot)[at.clone()].iter().all(|&s| s == 0.0), "{config:?}: row {row}");
                }
            }
        }
    }
}

/// A row left out of some steps keeps its moments and takes the training's step number with its next gradient.
#[test]
fn a_row_that_returns_goes_on_from_its_state() {
    let config = OptimizerConfig::default();
    let mut table = table(40, 2, 2);
    let mut weights = table.weights()[2..4].to_vec();
    let (mut m, mut v) = (vec![0.0; 2], vec![0.0; 2]);
    let mut touched = TouchedRows::new();
    for (step, id) in [(1, 1), (2, 7), (3, 8), (4, 1)] {
        let ids = Ids::Single(vec![id]);
        touched.gather(
            40,
            2,
            &[Use { ids: &ids, pooling: None, of: GradientOf::BatchRows, grad: &[0.5, -2.0], ld: 2, col: 0 }],
        );
        let rule = StepRule::new(&config, step, 1.0);
        table.update(&touched, &rule, 1.0, 1);
        if id == 1 {
            rule.update(&mut weights, &[0.5, -2.0], [&mut m, &mut v], 1.0);
        }
    }
    assert_eq!(table.weights()[2..4], weights);
    assert_eq!(table.state(0)[2..4], m);
    assert_eq!(table.state(1)[2..4], v);
}

/// Adam with decoupled decay, written out: a row shrinks by `1 - eta lambda` in the steps that look it up, and in no other.
#[test]
fn a_row_decays_when_it_is_looked_up_and_only_then() {
    let (eta, lambda, [b1, b2], epsilon) = (0.05f64, 0.2f64, [0.9f64, 0.999f64], 1e-8f64);
    let config =
        OptimizerConfig::AdamW(AdamWConfig { learning_rate: eta, weight_decay: lambda, ..AdamWConfig::default() });
    let (rows, dim) = (6, 3);
    let mut table = table(rows, dim, 2);
    let start = table.weights();
    let mut weights: Vec<f64> = start.iter().map(|&w| w.into()).collect();
    let (mut mean, mut square) = (vec![0.0f64; rows * dim], vec![0.0f64; rows * dim]);
    let mut touched = TouchedRows::new();
    for (step, looked_up) in [vec![1, 4], vec![4], vec![4, 4, 2], vec![1, 2]].into_iter().enumerate() {
        let step = step as u64 + 1;
        let grad = noise(looked_up.len() * dim, step);
        let ids = Ids::Single(looked_up.clone());
        let uses = [Use { ids: &ids, pooling: None, of: GradientOf::BatchRows, grad: &grad, ld: dim, col: 0 }];
        touched.gather(rows, dim, &uses);
        table.update(&touched, &StepRule::new(&config, step, 1.0), 1.0, step);
        let gradient = reference_gradient(rows, dim, &uses);
        for row in (0..rows).filter(|&row| looked_up.contains(&(row as u64))) {
            for i in row * dim..(row + 1) * dim {
                mean[i] = b1 * mean[i] + (1.0 - b1) * gradient[i];
                square[i] = b2 * square[i] + (1.0 - b2) * gradient[i] * gradient[i];
                let [m, v] = [mean[i] / (1.0 - b1.powi(step as i32)), square[i] / (1.0 - b2.powi(step as i32))];
                weights[i] = weights[i] * (1.0 - eta * lambda) - eta * m / (v.sqrt() + epsilon);
            }
        }
    }
    assert_close(&table.weights(), &weights);
    for row in [0, 3, 5] {
        assert_eq!(table.weights()[row * dim..][..dim], start[row * dim..][..dim], "row {row} was never looked up");
    }
}

#[test]
fn threads_change_no_bit() {
    let (rows, dim, batch) = (20_000, 16, 6000);
    let ids = Ids::Single((0..batch as u64).map(|i| (i * 2_654_435_761) % 9973).collect());
    let grad = noise(batch * dim, 1);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut table = table(rows, dim, 2);
            let mut touched = TouchedRows::new();
            for step in 1..4 {
                touched.gather(
                    rows,
                    dim,
                    &[Use { ids: &ids, pooling: None, of: GradientOf::BatchRows, grad: &grad, ld: dim, col: 0 }],
                );
                table.update(&touched, &StepRule::new(&OptimizerConfig::default(), step, 1.0), 1.0, step);
            }
            (table.weights(), table.state(0), table.state(1))
        })
    };
    let one = run(1);
    assert!(one == run(2));
    assert!(one == run(4));
}

/// Both ways of finding duplicates, by place and by hash, and ids that meet in one place of the hash.
#[test]
fn large_and_small_tables_gather_alike() {
    let ids = Ids::Single((0..500u64).map(|i| (i % 37) * 4096).collect());
    let grad = noise(500 * 3, 5);
    let uses = [Use { ids: &ids, pooling: None, of: GradientOf::BatchRows, grad: &grad, ld: 3, col: 0 }];
    let mut touched = TouchedRows::new();
    touched.gather(usize::MAX, 3, &uses);
    let (rows, grads) = (touched.rows().to_vec(), touched.grads().to_vec());
    assert_eq!(rows, (0..37).map(|i| i * 4096).collect::<Vec<usize>>());
    let small = Ids::Single((0..500u64).map(|i| i % 37).collect());
    touched.gather(37, 3, &[Use { ids: &small, ..uses[0] }]);
    assert_eq!(touched.rows(), (0..37).collect::<Vec<usize>>());
    assert_eq!(touched.grads(), grads);
}

fn any_ids(rows: u64, batch: usize) -> impl Strategy<Value = (Ids, Option<Pooling>)> {
    let single = prop::collection::vec(0..rows, batch).prop_map(|ids| (Ids::Single(ids), None));
    let multiple =
        (prop::collection::vec(prop::collection::vec(0..rows, 0..4), batch), any::<bool>()).prop_map(|(rows, mean)| {
            let rows: Vec<&[u64]> = rows.iter().map(Vec::as_slice).collect();
            (lists(&rows), Some(if mean { Pooling::Mean } else { Pooling::Sum }))
        });
    prop_oneof![single, multiple]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lookup_and_gradient_equal_their_formulas(
        rows in 1usize..200,
        dim in 1usize..40,
        batch in 1usize..20,
        pad in 0usize..3,
        seed in any::<u64>(),
        columns in prop::collection::vec(any::<prop::sample::Index>(), 80),
        lengths in prop::collection::vec(0usize..4, 20),
        mean in any::<bool>(),
    ) {
        let ids: Vec<u64> = columns.iter().map(|c| c.index(rows) as u64).collect();
        let single = Ids::Single(ids[..batch].to_vec());
        let mut offsets = vec![0];
        lengths[..batch].iter().for_each(|n| offsets.push(offsets[offsets.len() - 1] + n));
        let multiple = Ids::Multiple { rows: ids[..offsets[batch]].to_vec(), offsets };
        let pooling = Some(if mean { Pooling::Mean } else { Pooling::Sum });

        let table = table(rows, dim, 1);
        let ld = 2 * dim + pad;
        let mut out = vec![0.0; batch * ld];
        table.check_ids(&single).unwrap();
        table.check_ids(&multiple).unwrap();
        table.lookup(&single, 0..batch, None, &mut out, ld, 0);
        table.lookup(&multiple, 0..batch, pooling, &mut out, ld, dim + pad);
        for i in 0..batch {
            assert_close(&out[i * ld..][..dim], &reference_lookup(&table.weights(), dim, &single, None, i));
            let wanted = reference_lookup(&table.weights(), dim, &multiple, pooling, i);
            assert_close(&out[i * ld + dim + pad..][..dim], &wanted);
        }

        let grad = noise(batch * ld, seed);
        let uses = [
            Use { ids: &single, pooling: None, of: GradientOf::BatchRows, grad: &grad, ld, col: 0 },
            Use { ids: &multiple, pooling, of: GradientOf::BatchRows, grad: &grad, ld, col: dim + pad },
        ];
        let mut touched = TouchedRows::new();
        touched.gather(rows, dim, &uses);
        let mut dense = vec![0.0; rows * dim];
        for (&row, grad) in touched.rows().iter().zip(touched.grads().chunks_exact(dim)) {
            dense[row * dim..][..dim].copy_from_slice(grad);
        }
        assert_close(&dense, &reference_gradient(rows, dim, &uses));
        let mut distinct: Vec<usize> = touched.rows().to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        prop_assert_eq!(distinct.len(), touched.rows().len());
    }

    #[test]
    fn shards_of_a_lookup_equal_the_whole((ids, pooling) in any_ids(50, 17), cut in 0usize..17) {
        let table = table(50, 7, 0);
        let mut whole = vec![0.0; 17 * 7];
        table.lookup(&ids, 0..17, pooling, &mut whole, 7, 0);
        let (mut low, mut high) = (vec![0.0; cut * 7], vec![0.0; (17 - cut) * 7]);
        table.lookup(&ids, 0..cut, pooling, &mut low, 7, 0);
        table.lookup(&ids, cut..17, pooling, &mut high, 7, 0);
        low.extend(high);
        prop_assert_eq!(low, whole);
    }
}
