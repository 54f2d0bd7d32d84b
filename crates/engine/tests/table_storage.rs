//! Where tables are kept, and how exactly: files against memory, bf16 against f32.
#![allow(clippy::unwrap_used)]

use pleiad_data::Ids;
use pleiad_engine::optim::{AdagradConfig, AdamConfig, OptimizerConfig, SgdConfig, StepRule};
use pleiad_engine::sparse::{GradientOf, Table, TableOptions, TablePrecision, TouchedRows, Use};
use pleiad_model::graph::TableSpec;
use pleiad_model::init::Init;

fn spec(rows: usize, dim: usize) -> TableSpec {
    TableSpec { name: "items".to_owned(), rows: rows as u64, dim, init: Init::Normal { std: 1.0 } }
}

fn bf16() -> TableOptions {
    TableOptions { precision: TablePrecision::Bf16, ..TableOptions::default() }
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

/// Numbers without a pattern, from -1 to 1.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut values = vec![0.0; n];
    Init::Normal { std: 0.5 }.fill(seed, "noise", 0, &mut values);
    values
}

/// Rows that a step touches; not all of them in each.
fn ids(rows: usize, batch: usize, step: u64) -> Ids {
    Ids::Single((0..batch as u64).map(|i| (i * 2_654_435_761 + step * step) % rows as u64).collect())
}

/// Steps `from .. to` with gradients that depend on the step alone.
fn train(table: &mut Table, config: &OptimizerConfig, from: u64, to: u64) {
    let (rows, dim, batch) = (table.rows(), table.dim(), 3000);
    let mut touched = TouchedRows::new();
    for step in from..to {
        let (ids, grad) = (ids(rows, batch, step), noise(batch * dim, step));
        touched.gather(
            rows,
            dim,
            &[Use { ids: &ids, pooling: None, of: GradientOf::BatchRows, grad: &grad, ld: dim, col: 0 }],
        );
        table.update(&touched, &StepRule::new(config, step, 1.0), 0.7, step);
    }
}

fn contents(table: &Table) -> Vec<Vec<f32>> {
    std::iter::once(table.weights()).chain((0..table.slots()).map(|slot| table.state(slot))).collect()
}

#[test]
fn a_file_keeps_what_memory_keeps() {
    let folder = tempfile::tempdir().unwrap();
    let config = OptimizerConfig::Adam(AdamConfig::default());
    for precision in [TablePrecision::F32, TablePrecision::Bf16] {
        let run = |folder| {
            let mut table = Table::new(&spec(20_000, 12), 2, &TableOptions { precision, folder }, 1).unwrap();
            table.init(5, 0.0);
            train(&mut table, &config, 1, 6);
            let mut looked_up = vec![0.0; 500 * 12];
            table.lookup(&ids(20_000, 500, 9), 0..500, None, &mut looked_up, 12, 0);
            (contents(&table), looked_up)
        };
        assert!(run(None) == run(Some(folder.path().to_owned())), "{precision:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
}

#[test]
fn a_folder_that_cannot_be_used_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let options = TableOptions { folder: Some(missing.clone()), ..TableOptions::default() };
    let message = Table::new(&spec(10, 4), 2, &options, 1).unwrap_err().to_string();
    assert!(message.contains("`items`") && message.contains("480 bytes"), "{message}");
    assert!(message.contains(&missing.display().to_string()), "{message}");
    // More than any disk has.
    let options = TableOptions { folder: Some(folder.path().to_owned()), ..TableOptions::default() };
    let huge = TableSpec { rows: 1 << 50, ..spec(0, 16) };
    let message = Table::new(&huge, 2, &options, 1).unwrap_err().to_string();
    assert!(message.contains("`items`") && message.contains(&folder.path().display().to_string()), "{message}");
}

#[test]
fn what_does_not_fit_in_memory_is_told_with_the_way_out() {
    let huge = TableSpec { rows: 1 << 45, ..spec(0, 16) };
    let message = Table::new(&huge, 2, &TableOptions::default(), 1).unwrap_err().to_string();
    assert!(message.contains("`items`") && message.contains("table_folder"), "{message}");
}

#[test]
fn bf16_gives_the_same_bits_on_any_number_of_threads() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut table = Table::new(&spec(20_000, 16), 2, &bf16(), 1).unwrap();
            table.init(5, 0.0);
            train(&mut table, &OptimizerConfig::default(), 1, 6);
            contents(&table)
        })
    };
    let one = run(1);
    assert!(one == run(2));
    assert!(one == run(4));
}

/// What is read is f32 and exact, so that a table that is saved and loaded goes on with the same bits.
#[test]
fn bf16_goes_on_from_what_was_saved() {
    for config in
        [OptimizerConfig::Adam(AdamConfig::default()), OptimizerConfig::Adagrad(AdagradConfig::default()), sgd(0.1)]
    {
        let new = || Table::new(&spec(5000, 7), config.slots(), &bf16(), 1).unwrap();
        let mut whole = new();
        whole.init(5, config.initial_state());
        train(&mut whole, &config, 1, 4);
        let mut resumed = new();
        resumed.load_weights(&whole.weights()).unwrap();
        (0..config.slots()).for_each(|slot| resumed.load_state(slot, &whole.state(slot)).unwrap());
        train(&mut whole, &config, 4, 8);
        train(&mut resumed, &config, 4, 8);
        assert!(contents(&whole) == contents(&resumed), "{config:?}");
    }
}

#[test]
fn seed_and_step_decide_how_bf16_rounds() {
    let run = |seed, step| {
        let mut table = Table::new(&spec(1000, 8), 0, &bf16(), seed).unwrap();
        table.init(5, 0.0);
        let (ids, grad) = (Ids::Single((0..1000).collect()), noise(8000, 3));
        let mut touched = TouchedRows::new();
        touched.gather(
            1000,
            8,
            &[Use { ids: &ids, pooling: None, of: GradientOf::BatchRows, grad: &grad, ld: 8, col: 0 }],
        );
        table.update(&touched, &StepRule::new(&sgd(1e-4), 1, 1.0), 1.0, step);
        table.weights()
    };
    assert_eq!(run(1, 1), run(1, 1));
    assert_ne!(run(1, 1), run(2, 1));
    assert_ne!(run(1, 1), run(1, 2));
}

/// Steps of a hundredth of the distance between two numbers: rounding to nearest would stand still.
#[test]
fn bf16_steps_are_right_on_average() {
    let (rows, dim, steps) = (4000, 16, 20);
    let mut table = Table::new(&spec(rows, dim), 0, &bf16(), 1).unwrap();
    table.load_weights(&vec![1.0; rows * dim]).unwrap();
    let distance = 2.0f64.powi(-7);
    let ids = Ids::Single((0..rows as u64).collect());
    let grad = vec![-1.0; rows * dim];
    let mut touched = TouchedRows::new();
    for step in 1..=steps {
        touched.gather(
            rows,
            dim,
            &[Use { ids: &ids, pooling: None, of: GradientOf::BatchRows, grad: &grad, ld: dim, col: 0 }],
        );
        table.update(&touched, &StepRule::new(&sgd(distance / 100.0), 1, 1.0), 1.0, step);
    }
    let n = (rows * dim) as f64;
    let mean = table.weights().iter().map(|&w| f64::from(w) - 1.0).sum::<f64>() / n;
    let wanted = distance / 100.0 * steps as f64;
    // Each step is 1 in 100 to go all of the distance.
    let error = distance * (steps as f64 * 0.01 * 0.99 / n).sqrt();
    assert!((mean - wanted).abs() < 4.0 * error, "{mean:e}, not {wanted:e} within {error:e}");
}

/// Matrix factorisation of noisy scores, Adam: what bf16 learns is what f32 learns.
#[test]
fn bf16_learns_what_f32_learns() {
    let (rows, dim, batch) = (300, 8, 600);
    let truth = noise(rows * dim, 77);
    let config = OptimizerConfig::Adam(AdamConfig { learning_rate: 1e-2, ..AdamConfig::default() });
    let loss = |options: &TableOptions| {
        let mut table = Table::new(&spec(rows, dim), 2, options, 1).unwrap();
        table.init(5, 0.0);
        let mut touched = TouchedRows::new();
        let mut last = 0.0;
        for step in 1..1500 {
            let ids = ids(rows, batch, step);
            let mut found = vec![0.0; batch * dim];
            table.lookup(&ids, 0..batch, None, &mut found, dim, 0);
            let targets = noise(batch * dim, 1000 + step);
            let grad: Vec<f32> = (0..batch * dim)
                .map(|i| found[i] - truth[ids.table_rows()[i / dim] as usize * dim + i % dim] - 0.1 * targets[i])
                .map(|g| g / batch as f32)
                .collect();
            touched.gather(
                rows,
                dim,
                &[Use { ids: &ids, pooling: None, of: GradientOf::BatchRows, grad: &grad, ld: dim, col: 0 }],
            );
            table.update(&touched, &StepRule::new(&config, step, 1.0), 1.0, step);
        }
        for (w, t) in table.weights().iter().zip(&truth) {
            last += f64::from(w - t).powi(2) / truth.len() as f64;
        }
        last
    };
    let (exact, rounded) = (loss(&TableOptions::default()), loss(&bf16()));
    assert!(exact < 1e-3 && rounded < 1e-3, "mean squared errors {exact:e} in f32, {rounded:e} in bf16");
}
