//! Training on rows that stay on disk.

use pleiad_data::schema::{DataConfig, FeatureBlock, Schema};
use pleiad_data::{LoadOptions, RequestColumns, StoredSplits};

use super::*;
use crate::fit::input::EpochRows;

/// The rows of [`rows`], as a log and as it comes back from disk.
fn stored(batch: &Batch) -> (tempfile::TempDir, StoredSplits) {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("x0,x1,x2,x3,click,time\n");
    for row in 0..batch.rows {
        let x = &batch.numeric[4 * row..4 * row + 4];
        let label = |task: usize| match batch.labels[task].present[row] {
            true => batch.labels[task].values[row].to_string(),
            false => String::new(),
        };
        text.push_str(&format!("{},{},{},{},{},{}\n", x[0], x[1], x[2], x[3], label(0), label(1)));
    }
    std::fs::write(folder.path().join("log.csv"), text).unwrap();
    let data: DataConfig = serde_json::from_value(json!({ "train": "log.csv" })).unwrap();
    let feature = json!({ "columns": ["x[0..4]"], "kind": "numeric" });
    let feature: FeatureBlock = serde_json::from_value(feature).unwrap();
    let schema = Schema::resolve(&data, &[feature], &tasks()).unwrap();
    let splits = StoredSplits::load(&data, folder.path(), &schema, LoadOptions::default()).unwrap();
    (folder, splits)
}

fn run(config: &TrainConfig, train: Rows<'_>, valid: Option<Rows<'_>>) -> Kept {
    let tasks = tasks();
    let problem = FitProblem { config, tasks: &tasks, train, valid, measures: &Measures::default() };
    let mut keeper = MemoryKeeper::default();
    let mut engine = engine(config);
    let fitted =
        fit(&problem, &mut engine, None, &mut keeper, &Interrupt::default(), &mut Silent).map(finished).unwrap();
    Kept { fitted, weights: engine.weights() }
}

/// Three blocks, some rows without a label.
fn three_blocks() -> Batch {
    let mut batch = rows(10_000, 1);
    for row in (0..10_000).filter(|row| row % 7 == 3 || (200..4500).contains(row)) {
        batch.labels.iter_mut().for_each(|labels| {
            labels.present[row] = false;
            labels.values[row] = 0.0;
        });
    }
    batch
}

/// Without shuffling both ways read the log in its order, so that they must give the same bits, whatever the window.
#[test]
fn in_the_order_of_the_log_disk_and_memory_give_the_same_bits() {
    let (batch, valid) = (three_blocks(), rows(5000, 2));
    let ((_a, train), (_b, stored_valid)) = (stored(&batch), stored(&valid));
    let config = TrainConfig { shuffle: false, batch_size: 300, ..config(2, 0.01) };
    let memory = run(&config, (&batch).into(), Some((&valid).into()));
    for window in [1, 5000, 1 << 20] {
        let rows = Rows::Stored { rows: &train.train, window };
        let valid = Rows::Stored { rows: &stored_valid.train, window };
        let disk = run(&config, rows, Some(valid));
        assert_eq!(disk.weights, memory.weights, "window {window}");
        assert_eq!(disk.steps, memory.steps);
        for (a, b) in disk.history.iter().zip(&memory.history) {
            assert_eq!((&a.valid, a.loss, a.score), (&b.valid, b.loss, b.score));
            assert!((0.0..=1.0).contains(&a.input_wait) && (0.0..=1.0).contains(&b.input_wait));
        }
    }
}

#[test]
fn a_shuffled_epoch_reads_every_row_once() {
    let batch = three_blocks();
    let (_folder, splits) = stored(&batch);
    let config = config(1, 0.01);
    let input = EpochRows::new(Rows::Stored { rows: &splits.train, window: 2000 }, &RequestColumns::default());
    let rows = input.rows();
    assert_eq!(rows, (0..batch.rows).filter(|&row| batch.is_labelled(row)).count());
    let read = |epoch: u64, step: u64| {
        let mut into = input.empty().unwrap();
        let mut batches = input.begin(&config, epoch, step).unwrap();
        let mut seen: Vec<Vec<u32>> = Vec::new();
        let mut from = step as usize * config.batch_size;
        while from < rows {
            let to = rows.min(from + config.batch_size);
            batches.next(&mut into).unwrap();
            assert_eq!(into.rows, to - from);
            seen.extend(into.numeric.chunks(4).map(|row| row.iter().map(|x| x.to_bits()).collect()));
            from = to;
        }
        seen
    };
    let (first, second) = (read(0, 0), read(1, 0));
    assert_ne!(first, second);
    assert_eq!(first, read(0, 0), "the same epoch is the same order");
    assert_eq!(first[137 * 16..], read(0, 137), "entered in its middle");
    let sorted = |mut rows: Vec<Vec<u32>>| {
        rows.sort();
        rows
    };
    let labelled = (0..batch.rows).filter(|&row| batch.is_labelled(row));
    let all = labelled.map(|row| batch.numeric[4 * row..4 * row + 4].iter().map(|x| x.to_bits()).collect()).collect();
    let all = sorted(all);
    assert_eq!(sorted(first), all);
    assert_eq!(sorted(second), all);
}

#[test]
fn a_run_that_is_stopped_anywhere_resumes_to_the_same_bits() {
    let (batch, valid) = (three_blocks(), rows(300, 2));
    let (_folder, splits) = stored(&batch);
    let config = TrainConfig { batch_size: 100, ..config(3, 0.01) };
    let rows = Rows::Stored { rows: &splits.train, window: 2000 };
    let whole = run(&config, rows, Some((&valid).into()));
    let steps = whole.steps / 3;
    for stop in [1, steps / 2, steps, steps + 21, 2 * steps + 1] {
        let tasks = tasks();
        let problem = FitProblem {
            config: &config,
            tasks: &tasks,
            train: rows,
            valid: Some((&valid).into()),
            measures: &Measures::default(),
        };
        let mut keeper = Everything::default();
        let interrupt = Interrupt::default();
        let mut observer = StopAfter { steps: stop as usize, interrupt: interrupt.clone() };
        let outcome = fit(&problem, &mut engine(&config), None, &mut keeper, &interrupt, &mut observer).unwrap();
        assert!(matches!(outcome, Outcome::Interrupted { .. }), "{stop}");
        let (state, weights, optimizer) = keeper.last.clone().unwrap();
        let mut engine = engine(&config);
        engine.load(&weights).unwrap();
        engine.load_state(&optimizer).unwrap();
        engine.set_step_count(state.step);
        let resumed =
            fit(&problem, &mut engine, Some(state), &mut keeper, &Interrupt::default(), &mut Silent).map(finished);
        let resumed = resumed.unwrap();
        assert_eq!(engine.weights(), whole.weights, "stopped after {stop}");
        let losses = |fitted: &Fitted| fitted.history.iter().map(|record| record.loss).collect::<Vec<_>>();
        assert_eq!(losses(&resumed), losses(&whole));
    }
}

#[test]
fn damage_on_the_way_ends_training_with_an_error() {
    let batch = three_blocks();
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = stored(&batch);
    std::fs::copy(log.path().join("log.csv"), folder.path().join("log.csv")).unwrap();
    let data: DataConfig = serde_json::from_value(json!({ "train": "log.csv", "cache": "c" })).unwrap();
    let feature: FeatureBlock = serde_json::from_value(json!({ "columns": ["x[0..4]"], "kind": "numeric" })).unwrap();
    let schema = Schema::resolve(&data, &[feature], &tasks()).unwrap();
    let splits = StoredSplits::load(&data, folder.path(), &schema, LoadOptions::default()).unwrap();
    let entry = std::fs::read_dir(folder.path().join("c")).unwrap().next().unwrap().unwrap().path();
    let path = entry.join("train.arrow");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (config, tasks) = (config(1, 0.01), tasks());
    let train = Rows::Stored { rows: &splits.train, window: 2000 };
    let problem = FitProblem { config: &config, tasks: &tasks, train, valid: None, measures: &Measures::default() };
    let mut keeper = MemoryKeeper::default();
    let error = fit(&problem, &mut engine(&config), None, &mut keeper, &Interrupt::default(), &mut Silent).unwrap_err();
    assert!(error.to_string().contains("has changed since it was written"), "{error}");
}
