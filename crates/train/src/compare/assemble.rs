//! From the runs to a [`Comparison`]: spreads, gains paired by seed, verdicts, and what a reader must know.

use pleiad_data::TaskSpec;

use super::answer::Answer;
use super::compared::{ComparedModel, SeedRun};
use super::correction::corrected;
use super::result::{Comparison, MeasuredOn};
use super::runs::{SeedOutcome, folder_of};
use super::sizes::SizedModel;
use super::task::{AlsoMeasured, Missing, TaskComparison};
use super::verdict::Verdict;
use crate::ByTask;
use crate::config::CompareConfig;
use crate::counts::{ParameterCount, SplitRows};
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, why_no_group};
use crate::metrics::{Measures, MetricKind, TaskMetrics, gain};
use crate::run::RunReport;
use crate::statistics::{Interval, Spread};

/// Rows of a task's sample space, or of the rarer class of a binary task, below which a metric is decided by chance.
const FEW: u64 = 100;

/// How far sizes may be apart, relative to the baseline's, without a word.
const SIZE_TOLERANCE: f64 = 0.02;

/// All that a comparison is made of.
pub(super) struct ComparisonParts<'a> {
    pub(super) config: &'a CompareConfig,
    pub(super) tasks: &'a [TaskSpec],
    pub(super) measures: &'a Measures,
    /// Whether the configuration asks for more metrics than every task has.
    pub(super) all_metrics: bool,
    pub(super) rows: &'a SplitRows,
    pub(super) measured_on: MeasuredOn,
    pub(super) models: &'a [SizedModel],
    pub(super) slugs: &'a [String],
    /// By model, then by seed.
    pub(super) runs: &'a [Vec<SeedOutcome>],
    /// Notes on how models were trained.
    pub(super) notes: Vec<String>,
}

impl ComparisonParts<'_> {
    pub(super) fn assemble(self) -> Result<Comparison> {
        let baseline = self.config.models.iter().position(|m| m.name == self.config.baseline).unwrap_or(0);
        let runs: Vec<Vec<SeedRun>> = (0..self.models.len()).map(|m| self.seed_runs(m)).collect();
        let tasks: Vec<ByTask<TaskComparison>> = (0..self.models.len())
            .map(|m| self.tasks_of(&runs[m], (m != baseline).then(|| runs[baseline].as_slice())))
            .collect();
        let (tasks, questions) = corrected(tasks);
        let metrics = self.tasks.iter().map(|task| (task.name.as_str(), self.main_metric(task))).collect();
        let models = tasks
            .into_iter()
            .enumerate()
            .map(|(m, tasks)| {
                let verdict = (m != baseline).then(|| Verdict::of(&tasks, &metrics, questions));
                self.model(m, &runs[m], tasks, verdict)
            })
            .collect::<Result<Vec<_>>>()?;
        let mut notes = self.notes.clone();
        notes.extend(self.about_rows(&models));
        notes.extend(self.about_sizes(&models, baseline));
        notes.extend(about_failures(&models));
        Ok(Comparison {
            version: 2,
            answer: Answer::of(&models, &self.config.baseline, questions),
            tasks: self.tasks.iter().map(|task| (task.name.as_str(), task.kind)).collect(),
            metrics,
            measured_on: self.measured_on,
            rows: self.rows.clone(),
            seeds: self.config.seeds.clone(),
            baseline: self.config.baseline.clone(),
            match_parameters: self.config.match_parameters,
            questions,
            models,
            notes,
        })
    }

    fn evaluation<'r>(&self, report: &'r RunReport) -> Option<&'r Evaluation> {
        match self.measured_on {
            MeasuredOn::Test => report.test.as_ref(),
            MeasuredOn::Valid => report.valid.as_ref(),
        }
    }

    fn seed_runs(&self, model: usize) -> Vec<SeedRun> {
        let of = |(ran, &seed): (&SeedOutcome, &u64)| match ran {
            SeedOutcome::Failed(reason) => SeedRun::Failed { seed, reason: reason.clone() },
            SeedOutcome::Finished(report) => match self.evaluation(report) {
                Some(evaluation) => SeedRun::Finished {
                    seed,
                    run: folder_of(&self.slugs[model], seed).display().to_string(),
                    best_epoch: report.best_epoch,
                    best_epochs: report.best_epochs.clone(),
                    seconds: report.seconds,
                    evaluation: evaluation.clone(),
                },
                None => SeedRun::Failed { seed, reason: format!("no {} rows", self.measured_on.name()) },
            },
        };
        self.runs[model].iter().zip(&self.config.seeds).map(of).collect()
    }

    /// AUC of a binary task, MSE of a regression, or what the configuration says.
    fn main_metric(&self, task: &TaskSpec) -> MetricKind {
        self.measures.main.get(&task.name).copied().unwrap_or(MetricKind::of(task.kind)[0])
    }

    /// A model's metrics and its gains over the baseline, which has none itself.
    fn tasks_of(&self, runs: &[SeedRun], baseline: Option<&[SeedRun]>) -> ByTask<TaskComparison> {
        let comparison = |task: &TaskSpec| {
            let main = self.main_metric(task);
            let (measured, pairs) = self.measured(runs, baseline, task, main);
            let metric = Spread::of(&values(&measured));
            let also = self.also(runs, baseline, task);
            let Some(pairs) = pairs else {
                let missing = if metric.is_some() { None } else { why_nothing(&measured) };
                return TaskComparison { metric, missing, also, ..TaskComparison::default() };
            };
            let gains = values(&pairs);
            let gain = Interval::of(&gains);
            let missing = match gains.len() {
                0 => why_nothing(&pairs),
                1 => {
                    let at = pairs.iter().position(|pair| pair.value().is_some());
                    let seed = at.and_then(|at| self.config.seeds.get(at).copied()).unwrap_or_default();
                    Some(Missing::Spread { seed, of: self.config.seeds.len() })
                }
                _ => None,
            };
            let p_value = gain.and_then(|gain| gain.p_value());
            TaskComparison { metric, gain, p_value, p_holm: None, missing, also }
        };
        self.tasks.iter().map(|task| (task.name.as_str(), comparison(task))).collect()
    }

    /// What each seed says of a metric, and of its gain over the baseline.
    fn measured(
        &self,
        runs: &[SeedRun],
        baseline: Option<&[SeedRun]>,
        task: &TaskSpec,
        metric: MetricKind,
    ) -> (Vec<Measured>, Option<Vec<Measured>>) {
        let of = |runs: &[SeedRun]| -> Vec<Measured> {
            runs.iter().map(|run| Measured::of(run, task, metric, self.measured_on)).collect()
        };
        let pairs = baseline.map(|baseline| {
            let pairs = of(runs).into_iter().zip(of(baseline));
            pairs.map(|(own, single)| own.gain(single, metric)).collect()
        });
        (of(runs), pairs)
    }

    /// The other metrics of a task, where the configuration asks for more than every task has. No verdict is made of them.
    fn also(&self, runs: &[SeedRun], baseline: Option<&[SeedRun]>, task: &TaskSpec) -> Vec<AlsoMeasured> {
        if !self.all_metrics {
            return Vec::new();
        }
        let main = self.main_metric(task);
        let of_groups = self.measures.k.iter().flat_map(|k| MetricKind::of_groups(task.kind, k));
        let all = MetricKind::of(task.kind).iter().copied().chain(of_groups);
        let also = |metric: MetricKind| {
            let (measured, pairs) = self.measured(runs, baseline, task, metric);
            let gain = pairs.and_then(|pairs| Interval::of(&values(&pairs)));
            AlsoMeasured { metric, value: Spread::of(&values(&measured)), gain }
        };
        all.filter(|metric| *metric != main).map(also).collect()
    }

    fn model(
        &self,
        at: usize,
        runs: &[SeedRun],
        tasks: ByTask<TaskComparison>,
        verdict: Option<Verdict>,
    ) -> Result<ComparedModel> {
        let SizedModel { model, graph, factor } = &self.models[at];
        let summary = graph.summary();
        let speed = |ran: &SeedOutcome| match ran {
            SeedOutcome::Finished(report) => {
                Spread::of(&report.history.iter().map(|epoch| epoch.rows_per_second).collect::<Vec<_>>())
                    .map(|spread| spread.mean)
            }
            SeedOutcome::Failed(_) => None,
        };
        let finished = |ran: &SeedOutcome| match ran {
            SeedOutcome::Finished(report) => Some(report.unmoved),
            SeedOutcome::Failed(_) => None,
        };
        let unmoved: Vec<bool> = self.runs[at].iter().filter_map(finished).collect();
        let speeds: Vec<f64> = self.runs[at].iter().filter_map(speed).collect();
        Ok(ComparedModel {
            name: self.config.models[at].name.clone(),
            kind: model.kind().to_owned(),
            config: serde_json::to_value(model).map_err(|e| Error::Encode { reason: e.to_string() })?,
            width_factor: *factor,
            parameters: ParameterCount::from(&summary),
            flops_per_row: summary.flops_per_row,
            rows_per_second: Spread::of(&speeds),
            runs: runs.to_vec(),
            unmoved: !unmoved.is_empty() && !unmoved.contains(&false),
            tasks,
            verdict,
        })
    }

    /// Tasks whose metric is not defined, or depends on few rows. Labels alone decide that, so any run can say it.
    fn about_rows(&self, models: &[ComparedModel]) -> Vec<String> {
        let Some(evaluation) = models.iter().flat_map(|m| &m.runs).find_map(SeedRun::evaluation) else {
            return Vec::new();
        };
        let on = self.measured_on.name();
        let mut notes = Vec::new();
        for (task, metrics) in evaluation.tasks.iter() {
            let rows = metrics.rows();
            notes.extend(self.few_groups(task, metrics));
            match metrics {
                _ if rows == 0 => {
                    notes.push(format!("{task}: none of the {on} rows is in its sample space, so nothing is measured"));
                }
                TaskMetrics::Binary(m) if m.positives == 0 || m.positives == rows => {
                    let label = u8::from(m.positives > 0);
                    notes.push(format!(
                        "{task}: its label is {label} in all {rows} {on} rows of its sample space, so that AUC is not \
                         defined"
                    ));
                }
                TaskMetrics::Binary(m) if m.positives.min(rows - m.positives) < FEW => {
                    let rarer = m.positives.min(rows - m.positives);
                    notes.push(format!(
                        "{task}: {rarer} of its {rows} {on} rows are of the rarer class; other rows could give another \
                         verdict, which the interval over seeds does not show"
                    ));
                }
                TaskMetrics::Regression(_) if rows < FEW => notes.push(format!(
                    "{task}: {rows} {on} rows in its sample space; other rows could give another verdict, which the \
                     interval over seeds does not show"
                )),
                _ => {}
            }
        }
        notes
    }

    /// A task that is judged within groups, of which few count.
    fn few_groups(&self, task: &str, metrics: &TaskMetrics) -> Option<String> {
        let main = self.measures.main.get(task)?;
        let (groups, counting) = metrics.by_group()?.counting(*main)?;
        (counting < FEW).then(|| {
            format!(
                "{task}: {counting} of {groups} groups count for {} on the {} rows; other groups could give another verdict, \
                 which the interval over seeds does not show",
                main.label(),
                self.measured_on.name()
            )
        })
    }

    /// Models of other sizes than the baseline's.
    fn about_sizes(&self, models: &[ComparedModel], baseline: usize) -> Vec<String> {
        let target = models[baseline].parameters.dense;
        let apart = |model: &&ComparedModel| {
            (model.parameters.dense as f64 - target as f64).abs() > SIZE_TOLERANCE * target as f64
        };
        let others: Vec<String> = models
            .iter()
            .filter(apart)
            .map(|m| format!("{} {:.2}x", m.name, m.parameters.dense as f64 / target.max(1) as f64))
            .collect();
        if others.is_empty() {
            return Vec::new();
        }
        let advice = match self.config.match_parameters {
            true => "widths are whole numbers, and towers are not scaled",
            false => "match_parameters = true scales widths until sizes agree",
        };
        vec![format!(
            "dense parameters differ from those of {}: {} ({advice})",
            self.config.baseline,
            others.join(", ")
        )]
    }
}

/// What one seed says of a task, and if nothing, why.
enum Measured {
    Value(f64),
    Undefined(String),
    Failed,
}

impl Measured {
    fn of(run: &SeedRun, task: &TaskSpec, metric: MetricKind, on: MeasuredOn) -> Self {
        let Some(metrics) = run.evaluation().and_then(|evaluation| evaluation.tasks.get(&task.name)) else {
            return Self::Failed;
        };
        match metrics.get(metric) {
            Some(value) => Self::Value(value),
            None => Self::Undefined(why_undefined(metrics, metric, on)),
        }
    }

    fn value(&self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(*value),
            _ => None,
        }
    }

    /// The gain over the same seed of the baseline.
    fn gain(self, single: Self, metric: MetricKind) -> Self {
        match (self, single) {
            (Self::Failed, _) | (_, Self::Failed) => Self::Failed,
            (Self::Undefined(reason), _) | (_, Self::Undefined(reason)) => Self::Undefined(reason),
            (Self::Value(model), Self::Value(single)) => Self::Value(gain(metric, model, single)),
        }
    }
}

fn values(measured: &[Measured]) -> Vec<f64> {
    measured.iter().filter_map(Measured::value).collect()
}

/// Why no seed has a value: a metric that is not defined says more than a run that failed.
fn why_nothing(measured: &[Measured]) -> Option<Missing> {
    let undefined = measured.iter().find_map(|measured| match measured {
        Measured::Undefined(reason) => Some(reason.clone()),
        _ => None,
    });
    Some(undefined.map_or(Missing::Pair, |reason| Missing::Metric { reason }))
}

/// Why a metric is not defined.
fn why_undefined(metrics: &TaskMetrics, metric: MetricKind, on: MeasuredOn) -> String {
    let (rows, on) = (metrics.rows(), on.name());
    match metrics {
        _ if rows == 0 => format!("none of the {on} rows is in its sample space"),
        _ if metric.needs_groups() => {
            format!("{} among the {on} rows of its sample space", why_no_group(metrics, metric))
        }
        TaskMetrics::Binary(m) if m.positives == 0 || m.positives == rows => {
            format!("its label is {} in all {rows} {on} rows of its sample space", u8::from(m.positives > 0))
        }
        TaskMetrics::Binary(_) => format!("a prediction or a label of its {rows} {on} rows is not finite"),
        TaskMetrics::Regression(_) => format!("errors of its {rows} {on} rows are too large to be squared and added"),
    }
}

fn about_failures(models: &[ComparedModel]) -> Vec<String> {
    let of = |model: &ComparedModel| {
        let failed: Vec<String> = model
            .runs
            .iter()
            .filter_map(|run| match run {
                SeedRun::Failed { seed, reason } => Some(format!("seed {seed}: {reason}")),
                SeedRun::Finished { .. } => None,
            })
            .collect();
        (!failed.is_empty()).then(|| {
            format!("{} failed in {} of {} seeds ({})", model.name, failed.len(), model.runs.len(), failed.join("; "))
        })
    };
    models.iter().filter_map(of).collect()
}
