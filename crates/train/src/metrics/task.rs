//! All metrics of one task.

use pleiad_data::{Labels, TaskKind};
use serde::{Deserialize, Serialize};

use super::by_group::at;
use super::weighted::Weighted;
use super::{
    Auc, Calibration, GroupMetrics, GroupedRows, LogLoss, Mae, Metric, MetricKind, Mse, R2, normalized_entropy, pr_auc,
};

/// Metrics of a binary task on its own sample space; `null` in JSON where one is not defined.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BinaryMetrics {
    /// Rows of the sample space.
    pub rows: u64,
    /// How many of them are positive.
    pub positives: u64,
    /// See [`Auc`].
    pub auc: Option<f64>,
    /// See [`LogLoss`].
    pub log_loss: Option<f64>,
    /// See [`Calibration`].
    pub calibration: Option<f64>,
    /// Sum of the weights by which rows count in the metrics; `None` where all count alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Share of the negative rows that the log keeps: each counts the inverse of it in the metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negatives: Option<f64>,
    /// See [`super::average_precision`]. None in reports that are older than it.
    #[serde(default)]
    pub pr_auc: Option<f64>,
    /// See [`normalized_entropy`]. None in reports that are older than it.
    #[serde(default)]
    pub normalized_entropy: Option<f64>,
    /// Metrics within groups, where rows have any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_group: Option<GroupMetrics>,
}

/// Metrics of a regression task on its own sample space; `null` in JSON where one is not defined.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegressionMetrics {
    /// Rows of the sample space.
    pub rows: u64,
    /// See [`Mse`].
    pub mse: Option<f64>,
    /// See [`Mae`].
    pub mae: Option<f64>,
    /// See [`R2`].
    pub r2: Option<f64>,
    /// Sum of the weights by which rows count in the metrics; `None` where all count alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Metrics within groups, where rows have any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_group: Option<GroupMetrics>,
}

/// Metrics of one task; in JSON the object of the variant, whose fields say which it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TaskMetrics {
    /// Of a binary task.
    Binary(BinaryMetrics),
    /// Of a regression task.
    Regression(RegressionMetrics),
}

impl TaskMetrics {
    /// Rows of the sample space.
    #[must_use]
    pub fn rows(&self) -> u64 {
        match self {
            Self::Binary(metrics) => metrics.rows,
            Self::Regression(metrics) => metrics.rows,
        }
    }

    /// Metrics within groups, where rows have any.
    #[must_use]
    pub fn by_group(&self) -> Option<&GroupMetrics> {
        match self {
            Self::Binary(metrics) => metrics.by_group.as_ref(),
            Self::Regression(metrics) => metrics.by_group.as_ref(),
        }
    }

    /// Its kind of task.
    #[must_use]
    pub fn kind(&self) -> TaskKind {
        match self {
            Self::Binary(_) => TaskKind::Binary,
            Self::Regression(_) => TaskKind::Regression,
        }
    }

    /// Every metric that was measured, whether or not it is defined.
    #[must_use]
    pub fn metrics(&self) -> Vec<MetricKind> {
        let of_groups = self.by_group().map(|groups| MetricKind::of_groups(self.kind(), &groups.k()));
        MetricKind::of(self.kind()).iter().copied().chain(of_groups.into_iter().flatten()).collect()
    }

    /// One metric; `None` where it is not defined or the task is of another kind.
    #[must_use]
    pub fn get(&self, metric: MetricKind) -> Option<f64> {
        match (self, metric) {
            (Self::Binary(m), MetricKind::Auc) => m.auc,
            (Self::Binary(m), MetricKind::LogLoss) => m.log_loss,
            (Self::Binary(m), MetricKind::Calibration) => m.calibration,
            (Self::Binary(m), MetricKind::PrAuc) => m.pr_auc,
            (Self::Binary(m), MetricKind::NormalizedEntropy) => m.normalized_entropy,
            (_, MetricKind::Gauc) => self.by_group()?.gauc?.value,
            (_, MetricKind::Ndcg(k)) => at(&self.by_group()?.ndcg, k),
            (_, MetricKind::Recall(k)) => at(&self.by_group()?.recall, k),
            (Self::Regression(m), MetricKind::Mse) => m.mse,
            (Self::Regression(m), MetricKind::Mae) => m.mae,
            (Self::Regression(m), MetricKind::R2) => m.r2,
            _ => None,
        }
    }
}

/// The state from which [`TaskMetrics`] are computed.
#[derive(Debug, Clone)]
pub struct TaskMetricsState {
    state: KindState,
    groups: Option<Groups>,
    /// In place of `state` where rows have weights.
    weighted: Option<Weighted>,
    kind: TaskKind,
    bounded: bool,
}

#[derive(Debug, Clone)]
enum KindState {
    Binary(Auc, LogLoss, Calibration),
    Regression { rows: u64, mse: Mse, mae: Mae, r2: R2 },
}

#[derive(Debug, Clone)]
struct Groups {
    k: Vec<u32>,
    rows: GroupedRows,
}

impl TaskMetricsState {
    /// No rows yet.
    #[must_use]
    pub fn new(kind: TaskKind) -> Self {
        Self::with_auc(kind, Auc::default(), false)
    }

    /// No rows yet, in memory that does not grow with the rows: see [`Auc::bounded`].
    #[must_use]
    pub fn bounded(kind: TaskKind) -> Self {
        Self::with_auc(kind, Auc::bounded(Auc::BOUND), true)
    }

    /// The state for rows of a log that keeps a share of the negatives.
    #[must_use]
    pub fn with_negatives(mut self, share: Option<f64>) -> Self {
        self.weighted = share.map(|share| Weighted::new(self.kind, self.bounded, Some(share)));
        self
    }

    /// The same with metrics within groups, NDCG and recall of each k among them, in which rows count alike. They need 16 bytes
    /// for each row, whatever else is bounded.
    #[must_use]
    pub fn with_groups(self, k: &[u32]) -> Self {
        Self { groups: Some(Groups { k: k.to_vec(), rows: GroupedRows::default() }), ..self }
    }

    fn with_auc(kind: TaskKind, auc: Auc, bounded: bool) -> Self {
        let state = match kind {
            TaskKind::Binary => KindState::Binary(auc, LogLoss::default(), Calibration::default()),
            TaskKind::Regression => {
                KindState::Regression { rows: 0, mse: Mse::default(), mae: Mae::default(), r2: R2::default() }
            }
        };
        Self { state, groups: None, weighted: None, kind, bounded }
    }

    /// Adds those rows of a batch that lie in the task's sample space. `predictions` `[B]` are probabilities of a
    /// binary task and values of a regression task; `groups` `[B]` are those of the rows, 0 for a row without one, or none
    /// where no row has any.
    pub fn update(&mut self, predictions: &[f32], labels: &Labels, groups: &[u64]) {
        debug_assert_eq!(predictions.len(), labels.values.len());
        if let Some(Groups { rows, .. }) = &mut self.groups {
            for (row, (&prediction, &label)) in predictions.iter().zip(&labels.values).enumerate() {
                if labels.present[row] {
                    rows.add(groups.get(row).copied().unwrap_or(0), prediction, label);
                }
            }
        }
        if self.weighted.is_some() || !labels.weights.is_empty() {
            let weighted = self.weighted.get_or_insert_with(|| Weighted::new(self.kind, self.bounded, None));
            let rows = (0..predictions.len()).filter(|&row| labels.present[row]);
            rows.for_each(|row| weighted.add(predictions[row], labels.values[row], labels.weight(row)));
            return;
        }
        let rows = predictions.iter().zip(&labels.values).zip(&labels.present);
        let rows = rows.filter_map(|((&prediction, &label), &present)| present.then_some((prediction, label)));
        match &mut self.state {
            KindState::Binary(auc, log_loss, calibration) => rows.for_each(|(p, y)| {
                auc.add(p, y);
                log_loss.add(p, y);
                calibration.add(p, y);
            }),
            KindState::Regression { rows: count, mse, mae, r2 } => rows.for_each(|(p, y)| {
                *count += 1;
                mse.add(p, y);
                mae.add(p, y);
                r2.add(p, y);
            }),
        }
    }

    /// Adds the rows that `other` has seen.
    ///
    /// # Panics
    /// If the two are of different kinds of tasks: a mistake of the caller, not of data.
    pub fn merge(&mut self, other: &Self) {
        match (&mut self.weighted, &other.weighted) {
            (Some(own), Some(other)) => own.merge(other),
            (None, Some(other)) => self.weighted = Some(other.clone()),
            (_, None) => {}
        }
        match (&mut self.state, &other.state) {
            (KindState::Binary(auc, log_loss, calibration), KindState::Binary(a, l, c)) => {
                auc.merge(a);
                log_loss.merge(l);
                calibration.merge(c);
            }
            (
                KindState::Regression { rows, mse, mae, r2 },
                KindState::Regression { rows: n, mse: s, mae: a, r2: r },
            ) => {
                *rows += n;
                mse.merge(s);
                mae.merge(a);
                r2.merge(r);
            }
            _ => unreachable!("both states were made for one task"),
        }
        if let (Some(own), Some(others)) = (&mut self.groups, &other.groups) {
            own.rows.merge(&others.rows);
        }
    }

    /// The metrics over all rows added so far.
    #[must_use]
    pub fn compute(&self) -> TaskMetrics {
        let is_binary = matches!(self.state, KindState::Binary(..));
        let by_group = self.groups.as_ref().map(|groups| groups.rows.ranked().compute(is_binary, &groups.k));
        if let Some(weighted) = &self.weighted {
            return weighted.compute(by_group);
        }
        match &self.state {
            KindState::Binary(auc, log_loss, calibration) => {
                let (ties, log_loss) = (auc.ties(), log_loss.compute());
                let (rows, positives) = (auc.positives() + auc.negatives(), auc.positives());
                TaskMetrics::Binary(BinaryMetrics {
                    rows,
                    positives,
                    auc: ties.auc(),
                    log_loss,
                    calibration: calibration.compute(),
                    weight: None,
                    negatives: None,
                    pr_auc: pr_auc::of_ties(&ties),
                    normalized_entropy: normalized_entropy(log_loss, positives as f64, rows as f64),
                    by_group,
                })
            }
            KindState::Regression { rows, mse, mae, r2 } => TaskMetrics::Regression(RegressionMetrics {
                rows: *rows,
                mse: mse.compute(),
                mae: mae.compute(),
                r2: r2.compute(),
                weight: None,
                by_group,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(kind: TaskKind, predictions: &[f32], labels: &[Option<f32>]) -> TaskMetrics {
        let mut state = TaskMetricsState::new(kind);
        let labels = Labels {
            values: labels.iter().map(|l| l.unwrap_or(0.0)).collect(),
            present: labels.iter().map(Option::is_some).collect(),
            weights: Vec::new(),
        };
        state.update(predictions, &labels, &[]);
        state.compute()
    }

    #[test]
    fn rows_outside_of_the_sample_space_do_not_count() {
        let with = of(TaskKind::Binary, &[0.9, 0.2, 0.7, 0.1], &[None, Some(0.0), Some(1.0), None]);
        assert_eq!(with, of(TaskKind::Binary, &[0.2, 0.7], &[Some(0.0), Some(1.0)]));
        assert_eq!((with.rows(), with.get(MetricKind::Auc)), (2, Some(1.0)));
        let with = of(TaskKind::Regression, &[9.0, 1.0, 2.0], &[None, Some(1.0), Some(4.0)]);
        assert_eq!((with.rows(), with.get(MetricKind::Mse), with.get(MetricKind::Mae)), (2, Some(2.0), Some(1.0)));
    }

    #[test]
    fn json_has_null_where_a_metric_is_not_defined() {
        let json = |metrics: TaskMetrics| serde_json::to_string(&metrics).unwrap();
        assert_eq!(
            json(of(TaskKind::Binary, &[0.5], &[Some(1.0)])),
            concat!(
                r#"{"rows":1,"positives":1,"auc":null,"log_loss":0.6931471805599453,"calibration":0.5,"#,
                r#""pr_auc":1.0,"normalized_entropy":null}"#
            )
        );
        assert_eq!(json(of(TaskKind::Regression, &[0.5], &[None])), r#"{"rows":0,"mse":null,"mae":null,"r2":null}"#);
        assert_eq!(
            json(of(TaskKind::Binary, &[f32::NAN], &[Some(1.0)])),
            concat!(
                r#"{"rows":1,"positives":1,"auc":null,"log_loss":null,"calibration":null,"#,
                r#""pr_auc":null,"normalized_entropy":null}"#
            )
        );
    }

    /// By hand, in the slow way.
    #[test]
    fn weighted_metrics_are_those_of_their_formulas() {
        let predictions = [0.9f32, 0.2, 0.7, 0.4, 0.4, 0.1];
        let labels = [1.0f32, 0.0, 0.0, 1.0, 0.0, 1.0];
        let weights = [0.5f32, 2.0, 3.25, 1.0, 4.0, 0.0];
        let present = [true, true, true, true, true, false];
        let of = |kind, share| {
            let mut state = TaskMetricsState::new(kind).with_negatives(share);
            for part in [0..2, 2..6] {
                let labels = Labels {
                    values: labels[part.clone()].to_vec(),
                    present: present[part.clone()].to_vec(),
                    weights: weights[part.clone()].to_vec(),
                };
                let mut other = TaskMetricsState::new(kind).with_negatives(share);
                other.update(&predictions[part], &labels, &[]);
                state.merge(&other);
            }
            state.compute()
        };
        for share in [None, Some(0.25)] {
            let weight =
                |row: usize| f64::from(weights[row]) / if labels[row] == 0.0 { share.unwrap_or(1.0) } else { 1.0 };
            let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
                (0..5).map(|row| weight(row) * f(f64::from(predictions[row]), f64::from(labels[row]))).sum()
            };
            let total = sum(&|_, _| 1.0);
            let near = |found: Option<f64>, exact: f64| {
                assert!(found.is_some_and(|found| (found - exact).abs() < 1e-12), "{found:?} {exact}");
            };
            let binary = of(TaskKind::Binary, share);
            assert_eq!(binary.rows(), 5);
            near(binary.get(MetricKind::LogLoss), -sum(&|p, y| if y == 1.0 { p.ln() } else { (1.0 - p).ln() }) / total);
            near(binary.get(MetricKind::Calibration), sum(&|p, _| p) / sum(&|_, y| y));
            let rate = sum(&|_, y| y) / total;
            let entropy = -(rate * rate.ln() + (1.0 - rate) * (1.0 - rate).ln());
            let normalized = binary.get(MetricKind::LogLoss).unwrap() / entropy;
            near(binary.get(MetricKind::NormalizedEntropy), normalized);
            // Precision is 1 at 0.9; at 0.4, the other positive, all rows but that of 0.2 are above or there.
            let positives = weight(0) + weight(3);
            let at_second = positives / (total - weight(1));
            near(binary.get(MetricKind::PrAuc), (weight(0) + weight(3) * at_second) / positives);
            // 0.9 is above all negatives; 0.4 above 0.2, and ties with 0.4.
            let negatives = weight(1) + weight(2) + weight(4);
            let pairs = weight(0) * negatives + weight(3) * (weight(1) + 0.5 * weight(4));
            near(binary.get(MetricKind::Auc), pairs / (negatives * (weight(0) + weight(3))));
            let TaskMetrics::Binary(metrics) = &binary else { panic!("{binary:?}") };
            near(metrics.weight, total);
            assert_eq!((metrics.negatives, metrics.positives), (share, 2));
            let json = serde_json::to_string(&binary).unwrap();
            assert_eq!(serde_json::from_str::<TaskMetrics>(&json).unwrap(), binary);
        }
        let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
            (0..5).map(|row| f64::from(weights[row]) * f(f64::from(predictions[row]), f64::from(labels[row]))).sum()
        };
        let (total, mean) = (sum(&|_, _| 1.0), sum(&|_, y| y) / sum(&|_, _| 1.0));
        let regression = of(TaskKind::Regression, None);
        let near = |metric, exact: f64| {
            let found = regression.get(metric);
            assert!(found.is_some_and(|found| (found - exact).abs() < 1e-12), "{found:?} {exact}");
        };
        near(MetricKind::Mse, sum(&|p, y| (p - y).powi(2)) / total);
        near(MetricKind::Mae, sum(&|p, y| (p - y).abs()) / total);
        near(MetricKind::R2, 1.0 - sum(&|p, y| (p - y).powi(2)) / sum(&|_, y| (y - mean).powi(2)));
    }

    #[test]
    fn json_reads_back() {
        for (kind, predictions) in [(TaskKind::Binary, [0.1, 0.7, 0.3]), (TaskKind::Regression, [0.1, 7.3, -0.3])] {
            let metrics = of(kind, &predictions, &[Some(0.0), Some(1.0), None]);
            let json = serde_json::to_string(&metrics).unwrap();
            assert_eq!(serde_json::from_str::<TaskMetrics>(&json).unwrap(), metrics);
        }
    }

    #[test]
    fn every_metric_of_a_kind_is_there() {
        for kind in [TaskKind::Binary, TaskKind::Regression] {
            let metrics = of(kind, &[0.1, 0.7], &[Some(0.0), Some(1.0)]);
            for metric in MetricKind::ALL {
                assert_eq!(metrics.get(*metric).is_some(), MetricKind::of(kind).contains(metric), "{metric:?}");
            }
        }
    }

    #[test]
    fn groups_are_those_of_the_rows_in_the_sample_space() {
        let labels =
            Labels { values: vec![1.0, 0.0, 1.0, 0.0], present: vec![true, true, false, true], weights: Vec::new() };
        for kind in [TaskKind::Binary, TaskKind::Regression] {
            let mut state = TaskMetricsState::new(kind).with_groups(&[1]);
            state.update(&[0.3, 0.2, 0.9, 0.8], &labels, &[7, 7, 7, 0]);
            let metrics = state.compute();
            let groups = metrics.by_group().unwrap();
            assert_eq!((groups.groups, groups.rows_without), (1, 1));
            assert_eq!(metrics.get(MetricKind::Ndcg(1)), Some(1.0));
            assert_eq!(metrics.get(MetricKind::Ndcg(2)), None);
            assert_eq!(metrics.get(MetricKind::Gauc), (kind == TaskKind::Binary).then_some(1.0));
            assert!(metrics.metrics().iter().all(|metric| metrics.get(*metric).is_some()), "{metrics:?}");
            let json = serde_json::to_string(&metrics).unwrap();
            assert_eq!(serde_json::from_str::<TaskMetrics>(&json).unwrap(), metrics);
        }
    }

    #[test]
    fn reports_without_the_newer_metrics_open() {
        let json = r#"{"rows":1,"positives":1,"auc":null,"log_loss":0.5,"calibration":0.5}"#;
        let metrics: TaskMetrics = serde_json::from_str(json).unwrap();
        assert_eq!((metrics.get(MetricKind::LogLoss), metrics.get(MetricKind::PrAuc)), (Some(0.5), None));
    }
}
