//! Runs and comparisons with invented numbers.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use pleiad_data::{Batch, Ids, Input, InputLayout, Labels, TaskKind, TaskSpec};
use pleiad_engine::Predictor;
use pleiad_model::artifact::Provenance;
use pleiad_model::{Graph, ModelConfig, Weights};
use serde_json::json;

use crate::{ComparisonPage, Html, ModelPage, Pages, RunPage};
use pleiad_train::ByTask;
use pleiad_train::Evaluation;
use pleiad_train::Interrupt;
use pleiad_train::compare::{
    Answer, ComparedModel, Comparison, Interval, MeasuredOn, SeedRun, Spread, TaskComparison, Verdict, corrected,
};
use pleiad_train::config::ConfigFile;
use pleiad_train::explain::{ExplainOptions, ExplainedOn, Explanation, ImportanceOptions, explain};
use pleiad_train::metrics::{BinaryMetrics, MetricKind, RegressionMetrics, TaskMetrics, gain};
use pleiad_train::run::RunReport;
use pleiad_train::{DataSummary, ParameterCount, RowCount, SplitRows};

const ROWS: usize = 3000;

/// Numbers between 0 and 1 that look like chance and are not.
fn noise(i: usize, salt: usize) -> f64 {
    let mixed =
        (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (salt as u64 + 7).wrapping_mul(0xD1B5_4A32_D192_ED03);
    (mixed.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40) as f64 / (1u64 << 24) as f64
}

fn tasks(names: &[&str]) -> Vec<TaskSpec> {
    let kind = |i: usize| if i == 2 { TaskKind::Regression } else { TaskKind::Binary };
    names.iter().enumerate().map(|(i, name)| TaskSpec::new(*name, kind(i))).collect()
}

fn layout() -> InputLayout {
    let mut inputs: Vec<Input> =
        (0..18).map(|column| Input::Numeric { name: format!("number_of_something_{column}"), column }).collect();
    inputs[0] = Input::Numeric { name: "<i>age</i>".into(), column: 0 };
    inputs.push(Input::Categorical {
        name: "city".into(),
        slot: 0,
        table: "city".into(),
        rows: 9,
        dim: 4,
        pooling: None,
    });
    InputLayout::new(inputs)
}

fn rows(tasks: &[TaskSpec]) -> Batch {
    let numeric: Vec<f32> = (0..ROWS * 18).map(|i| noise(i, 1) as f32 * 2.0 - 1.0).collect();
    let label = |t: usize, i: usize| {
        let logit = 3.0 * f64::from(numeric[i * 18 + t]) - 2.0;
        match tasks[t].kind {
            TaskKind::Binary => f32::from(noise(i, 10 + t) < 1.0 / (1.0 + (-logit).exp())),
            TaskKind::Regression => (logit + noise(i, 20)) as f32,
        }
    };
    Batch {
        rows: ROWS,
        categorical: vec![Ids::Single((0..ROWS).map(|i| (noise(i, 2) * 9.0) as u64).collect())],
        labels: (0..tasks.len())
            .map(|t| Labels {
                values: (0..ROWS).map(|i| label(t, i)).collect(),
                present: vec![true; ROWS],
                weights: Vec::new(),
            })
            .collect(),
        numeric,
        groups: Vec::new(),
    }
}

fn graph(model: &str, tasks: &[TaskSpec]) -> Graph {
    toml::from_str::<ModelConfig>(model).unwrap().build(&layout(), tasks).unwrap()
}

fn explanation(graph: &Graph, tasks: &[TaskSpec]) -> Explanation {
    let mut weights = Weights::default();
    for (at, param) in graph.params.iter().enumerate() {
        let scale = if param.name.contains("gate") { 6.0 } else { 1.2 };
        let data = (0..param.len()).map(|i| scale * (noise(i, 100 + at) as f32 - 0.5)).collect();
        weights.insert(&param.name, param.shape.clone(), data);
    }
    for table in &graph.tables {
        let data = (0..table.rows as usize * table.dim).map(|i| noise(i, 99) as f32 - 0.5).collect();
        weights.insert(table.tensor(), table.shape(), data);
    }
    let importance = ImportanceOptions { rows: 600, ..ImportanceOptions::default() };
    let options = ExplainOptions { importance, ..ExplainOptions::default() };
    let predictor = Predictor::new(graph.clone(), &weights).unwrap();
    explain(&predictor, &rows(tasks), ExplainedOn::Test, tasks, &options, &Interrupt::default(), &mut |_, _| ())
        .unwrap()
}

fn metrics(kind: TaskKind, value: f64) -> TaskMetrics {
    match kind {
        TaskKind::Binary => TaskMetrics::Binary(BinaryMetrics {
            rows: 40_000,
            positives: 2_500,
            auc: Some(value),
            log_loss: Some(0.3 - value / 10.0),
            calibration: Some(1.01),
            weight: None,
            negatives: None,
            pr_auc: Some(0.4),
            normalized_entropy: Some(0.8),
            by_group: None,
        }),
        TaskKind::Regression => TaskMetrics::Regression(RegressionMetrics {
            rows: 40_000,
            mse: Some(1.0 - value),
            mae: Some(0.2),
            r2: Some(value),
            weight: None,
            by_group: None,
        }),
    }
}

fn evaluation(tasks: &[TaskSpec], value: impl Fn(usize) -> f64) -> Evaluation {
    let tasks = tasks.iter().enumerate().map(|(t, task)| (task.name.as_str(), metrics(task.kind, value(t))));
    Evaluation { rows: 40_000, main: ByTask::default(), tasks: tasks.collect() }
}

fn split_rows(tasks: &[TaskSpec]) -> SplitRows {
    let count = |rows: u64| RowCount {
        rows,
        tasks: tasks
            .iter()
            .enumerate()
            .map(|(t, task)| (task.name.as_str(), if t == 1 { rows / 9 } else { rows }))
            .collect(),
    };
    SplitRows { train: count(160_000), valid: Some(count(40_000)), test: Some(count(40_000)) }
}

/// A run that reaches `quality` of each task.
fn run(kind: &str, graph: &Graph, tasks: &[TaskSpec], seed: u64, quality: &dyn Fn(usize) -> f64) -> RunReport {
    let epochs = 8 + (seed as usize + kind.len()) % 4;
    let at = |t: usize, epoch: usize| {
        quality(t) - 0.06 * (-(epoch as f64) / 2.0).exp() - 0.0006 * (epoch as f64 - 6.0).max(0.0)
            + 0.001 * (noise(epoch, seed as usize + t) - 0.5)
    };
    let history: Vec<_> = (1..=epochs)
        .map(|epoch| {
            serde_json::from_value(json!({
                "epoch": epoch,
                "loss": 0.5 / epoch as f64 + 0.3,
                "task_losses": tasks.iter().enumerate()
                    .map(|(t, task)| (task.name.clone(), json!(0.2 + 0.3 / (epoch + t) as f64 + 0.01 * noise(epoch, t))))
                    .collect::<serde_json::Map<_, _>>(),
                "task_weights": tasks.iter().enumerate()
                    .map(|(t, task)| (task.name.clone(), json!(1.0 + 0.3 * (t as f64 - 1.0) * (1.0 - 1.0 / epoch as f64))))
                    .collect::<serde_json::Map<_, _>>(),
                "valid": evaluation(tasks, |t| at(t, epoch)),
                "score": at(0, epoch),
                "learning_rate": 1e-3,
                "rows_per_second": 190_000.0 + 1000.0 * noise(epoch, 3),
            }))
            .unwrap()
        })
        .collect();
    let summary = graph.summary();
    RunReport {
        version: 1,
        kind: kind.into(),
        parameters: ParameterCount::from(&summary),
        config_hash: "0123456789abcdef".into(),
        data_fingerprint: "fedcba9876543210".into(),
        flops_per_row: summary.flops_per_row,
        model_xxh64: String::new(),
        explain_xxh64: None,
        seed,
        rows: split_rows(tasks),
        data: Some(data_summary(tasks)),
        skipped_rows: 3,
        steps: 2500,
        stop: pleiad_train::fit::StopReason::EarlyStopping,
        selected_by: Some("mean of AUC and R2".into()),
        not_selected: None,
        best_epoch: 6,
        best_epochs: ByTask::default(),
        seconds: 12.3,
        unmoved: false,
        history,
        valid: Some(evaluation(tasks, |t| quality(t) + 0.001)),
        test: Some(evaluation(tasks, quality)),
        alarms: Vec::new(),
    }
}

/// A feature that lacks values and one with unknown ones, among others.
fn data_summary(tasks: &[TaskSpec]) -> DataSummary {
    let count = |missing: u64, unknown: u64| json!({ "rows": 1000, "missing": missing, "values": 1000 - missing, "unknown": unknown });
    let split = |missing: u64, unknown: u64| {
        let labels: serde_json::Map<String, serde_json::Value> = tasks
            .iter()
            .map(|task| {
                let positives = (task.kind == TaskKind::Binary).then_some(123);
                (task.name.clone(), json!({ "rows": 800, "positives": positives }))
            })
            .collect();
        let features = json!({ "<i>age</i>": count(missing, 0), "city": count(0, unknown), "other": count(0, 0) });
        json!({ "rows": 1000, "tasks": labels, "features": features })
    };
    serde_json::from_value(json!({ "train": split(20, 0), "valid": split(0, 610), "test": null })).unwrap()
}

const CONFIG: &str = "# <script>alert(1)</script> & more\n[data]\ntrain = \"train.csv\"\n\n[[feature]]\n\
                      columns = [\"x\"]\nkind = \"numeric\"\n\n[[task]]\nname = \"click\"\nkind = \"binary\"\n\
                      label = { column = \"click\" }\n\n[model]\nkind = \"hard-sharing\"\nbottom = [8]\n";

fn config() -> ConfigFile {
    ConfigFile::parse(Path::new("some/where/census.toml"), CONFIG.to_owned(), &["train.epochs=3".to_owned()]).unwrap()
}

const PLE: &str = "kind = 'ple'\nlevels = [{ task_experts = 2, shared_experts = 2, widths = [64, 32] }, \
                   { task_experts = 2, shared_experts = 2, widths = [32] }]\ntower = [16]";

pub(super) fn made_run(names: &[&str]) -> String {
    let tasks = tasks(names);
    let graph = graph(PLE, &tasks);
    let report = run("ple", &graph, &tasks, 1, &|t| 0.95 - 0.1 * t as f64);
    let explanation = explanation(&graph, &tasks);
    Html.run(&RunPage {
        report: &report,
        explanation: Some(&explanation),
        graph: &graph,
        config: &config(),
        provenance: &Provenance::now(),
    })
}

/// The gain of each model on each task, and its noise over seeds.
fn quality(model: usize, task: usize, seed: u64) -> f64 {
    let gains = [
        [0.0; 4],
        [-0.004, 0.0045, 0.0002, -0.003],
        [0.003, -0.002, 0.004, 0.0001],
        [0.006, 0.004, 0.005, 0.002],
        [0.0005, -0.0004, 0.0, 0.0006],
    ];
    0.93 - 0.11 * task as f64 + gains[model][task] + 0.0016 * (noise(seed as usize, 31 * model + task) - 0.5)
}

/// A comparison with all that its page reads.
pub(super) struct Made {
    pub(super) comparison: Comparison,
    pub(super) runs: Vec<Vec<RunReport>>,
    pub(super) explanations: Vec<Option<Explanation>>,
    graphs: Vec<Graph>,
}

impl Made {
    pub(super) fn page(&self) -> String {
        let pages = self.comparison.models.iter().enumerate().map(|(m, model)| ModelPage {
            name: &model.name,
            runs: self.runs[m].iter().collect(),
            explanation: self.explanations[m].as_ref(),
            graph: &self.graphs[m],
        });
        Html.comparison(&ComparisonPage {
            comparison: &self.comparison,
            models: pages.collect(),
            config: &config(),
            provenance: &Provenance::now(),
        })
    }
}

pub(super) fn made_comparison(names: &[&str]) -> Made {
    let tasks = tasks(names);
    let models = [
        ("single-task", "kind = 'single-task'\nbottom = [64, 32]\ntower = [16]"),
        ("hard sharing", "kind = 'hard-sharing'\nbottom = [128, 64]\ntower = [16]"),
        ("MMoE <8>", "kind = 'mmoe'\nexperts = 8\nwidths = [64, 32]\ntower = [16]"),
        ("PLE", PLE),
        ("cross-stitch", "kind = 'cross-stitch'\nbottom = [64, 32]\ntower = [16]"),
    ];
    let seeds: Vec<u64> = (1..=5).collect();
    let graphs: Vec<Graph> = models.iter().map(|(_, text)| graph(text, &tasks)).collect();
    let runs: Vec<Vec<RunReport>> = (0..models.len())
        .map(|m| {
            seeds.iter().map(|&seed| run(models[m].0, &graphs[m], &tasks, seed, &|t| quality(m, t, seed))).collect()
        })
        .collect();
    let explanations = graphs.iter().map(|graph| Some(explanation(graph, &tasks))).collect();
    let metric = |task: &TaskSpec| MetricKind::of(task.kind)[0];
    let value = |run: &RunReport, task: &TaskSpec| {
        run.test.as_ref().unwrap().tasks.get(&task.name).unwrap().get(metric(task)).unwrap()
    };
    let by_task = |m: usize| -> ByTask<TaskComparison> {
        let compared = |task: &TaskSpec| {
            let values: Vec<f64> = runs[m].iter().map(|run| value(run, task)).collect();
            let singles = runs[0].iter().map(|single| value(single, task));
            let gains: Vec<f64> = values.iter().zip(singles).map(|(v, s)| gain(metric(task), *v, s)).collect();
            let gain = (m > 0).then(|| Interval::of(&gains)).flatten();
            let p_value = gain.and_then(|gain| gain.p_value());
            TaskComparison { metric: Spread::of(&values), gain, p_value, ..TaskComparison::default() }
        };
        tasks.iter().map(|task| (task.name.as_str(), compared(task))).collect()
    };
    let metrics: ByTask<MetricKind> = tasks.iter().map(|task| (task.name.as_str(), metric(task))).collect();
    let (by_task, questions) = corrected((0..models.len()).map(by_task).collect());
    let compared: Vec<ComparedModel> = by_task
        .into_iter()
        .enumerate()
        .map(|(m, by_task)| {
            let summary = graphs[m].summary();
            let finished = |(run, seed): (&RunReport, &u64)| SeedRun::Finished {
                seed: *seed,
                run: format!("runs/{m}/seed-{seed}"),
                best_epoch: 6,
                best_epochs: ByTask::default(),
                seconds: 12.0,
                evaluation: run.test.clone().unwrap(),
            };
            let mut seed_runs: Vec<SeedRun> = runs[m].iter().zip(&seeds).map(finished).collect();
            if m == 4 {
                seed_runs[2] = SeedRun::Failed { seed: 3, reason: "the loss of task \"<b>\" is NaN at step 12".into() };
            }
            ComparedModel {
                name: models[m].0.into(),
                kind: models[m].0.into(),
                config: json!({}),
                width_factor: if m == 1 { 1.37 } else { 1.0 },
                parameters: ParameterCount::from(&summary),
                flops_per_row: summary.flops_per_row,
                rows_per_second: Some(Spread { seeds: 5, mean: 190_000.0 / (m + 1) as f64, sd: Some(1000.0) }),
                runs: seed_runs,
                unmoved: false,
                verdict: (m > 0).then(|| Verdict::of(&by_task, &metrics, questions)),
                tasks: by_task,
            }
        })
        .collect();
    let comparison = Comparison {
        version: 2,
        answer: Answer::of(&compared, "single-task", questions),
        questions,
        tasks: tasks.iter().map(|task| (task.name.as_str(), task.kind)).collect(),
        metrics,
        measured_on: MeasuredOn::Test,
        rows: split_rows(&tasks),
        seeds,
        baseline: "single-task".into(),
        match_parameters: true,
        models: compared,
        notes: vec!["income: 38 of its 40,000 test rows are of the rarer class & so on".into()],
    };
    Made { comparison, runs, explanations, graphs }
}
