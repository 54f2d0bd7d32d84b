//! [`CalibrationCurve`]: what is predicted against what happens, in bins of predictions.

use pleiad_data::{Labels, TaskKind};
use serde::{Deserialize, Serialize};

/// Bins of a curve.
const BINS: usize = 10;

/// The 0.975 quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Bins of rows with like predictions, from the lowest up. Rows are those of the task's sample space.
///
/// Bins hold equally many rows, but that rows with equal predictions are never parted: a model that gives few different
/// predictions has fewer bins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationCurve {
    /// Kind of the task: rates of a binary task, means of a regression.
    pub kind: TaskKind,
    /// The bins; none without rows.
    pub bins: Vec<CalibrationBin>,
}

/// Rows with like predictions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationBin {
    /// Number of rows, n.
    pub rows: u64,
    /// Mean prediction.
    pub predicted: f64,
    /// Share of positive labels, or mean label.
    pub observed: f64,
    /// 95 % confidence interval of `observed`: Wilson's for a share, `mean ± 1.96 sd / sqrt(n)` for a mean; `None` for a
    /// mean of one row.
    pub interval: Option<(f64, f64)>,
}

impl CalibrationCurve {
    /// The curve of one task's predictions `[B]`, all of its rows alike.
    #[cfg(test)]
    fn of(kind: TaskKind, predictions: &[f32], labels: &Labels) -> Self {
        Self::of_sample(kind, predictions, labels, None)
    }

    /// The curve of one task's predictions `[B]`. Rows count by their weights, and negative ones the inverse of `negatives`
    /// times where the log keeps that share of them.
    pub(crate) fn of_sample(kind: TaskKind, predictions: &[f32], labels: &Labels, negatives: Option<f64>) -> Self {
        let row = |row: usize| {
            let (p, y) = (predictions[row], labels.values[row]);
            let share = negatives.filter(|_| y < 0.5).unwrap_or(1.0);
            Row(p, y, f64::from(labels.weight(row)) / share)
        };
        let mut rows: Vec<Row> = (0..predictions.len()).filter(|&row| labels.present[row]).map(row).collect();
        rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2)));
        let mut bins = Vec::new();
        let mut start = 0;
        for bin in 1..=BINS {
            let mut end = rows.len() * bin / BINS;
            while end > start && end < rows.len() && rows[end].0 == rows[end - 1].0 {
                end += 1;
            }
            if end > start {
                bins.push(CalibrationBin::of(kind, &rows[start..end]));
                start = end;
            }
        }
        Self { kind, bins }
    }
}

/// Prediction, label, weight.
struct Row(f32, f32, f64);

impl CalibrationBin {
    fn of(kind: TaskKind, rows: &[Row]) -> Self {
        let total: f64 = rows.iter().map(|row| row.2).sum();
        // As many rows of one weight would say as much (Kish 1965).
        let n = total * total / rows.iter().map(|row| row.2 * row.2).sum::<f64>();
        let mean = |value: fn(&Row) -> f32| rows.iter().map(|row| row.2 * f64::from(value(row))).sum::<f64>() / total;
        let (predicted, observed) = (mean(|row| row.0), mean(|row| row.1));
        let interval = match kind {
            TaskKind::Binary => Some(wilson(observed, n)),
            TaskKind::Regression if rows.len() < 2 => None,
            TaskKind::Regression => {
                let squares: f64 = rows.iter().map(|row| row.2 * (f64::from(row.1) - observed).powi(2)).sum();
                let half = Z * (squares / (n - 1.0) / total).sqrt();
                Some((observed - half, observed + half))
            }
        };
        Self { rows: rows.len() as u64, predicted, observed, interval }
    }
}

/// Wilson's 95 % interval of a share p of n rows: `(p + z²/2n ± z sqrt(p (1 - p) / n + z²/4n²)) / (1 + z²/n)`. Unlike the
/// normal one it has a width where no row, or every row, is positive (Wilson 1927).
fn wilson(p: f64, n: f64) -> (f64, f64) {
    let z2 = Z * Z / n;
    let (middle, half) = (p + z2 / 2.0, Z * (p * (1.0 - p) / n + z2 / (4.0 * n)).sqrt());
    (((middle - half) / (1.0 + z2)).max(0.0), ((middle + half) / (1.0 + z2)).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f32]) -> Labels {
        Labels { values: values.to_vec(), present: values.iter().map(|y| *y >= 0.0).collect(), weights: Vec::new() }
    }

    #[test]
    fn the_interval_is_wilsons() {
        // scipy.stats.binomtest(count, n).proportion_ci(method="wilson")
        for (count, n, low, high) in [
            (0.0, 10.0, 0.0, 0.277_532_799),
            (5.0, 50.0, 0.043_475_765, 0.213_602_314),
            (50.0, 50.0, 0.928_652_401, 1.0),
        ] {
            let (l, h) = wilson(count / n, n);
            assert!((l - low).abs() < 1e-6 && (h - high).abs() < 1e-6, "{count} of {n}: {l} {h}");
        }
    }

    #[test]
    fn bins_hold_equally_many_rows_of_the_sample_space() {
        let predictions: Vec<f32> = (0..40).map(|i| i as f32 / 40.0).collect();
        let all: Vec<f32> = (0..40).map(|i| if i % 2 == 0 { -1.0 } else { f32::from(i >= 20) }).collect();
        let curve = CalibrationCurve::of(TaskKind::Binary, &predictions, &labels(&all));
        assert_eq!(curve.bins.iter().map(|bin| bin.rows).collect::<Vec<_>>(), [2; 10]);
        assert_eq!(
            curve.bins.iter().map(|bin| bin.observed).collect::<Vec<_>>(),
            [0., 0., 0., 0., 0., 1., 1., 1., 1., 1.]
        );
        assert!((curve.bins[0].predicted - 2.0 / 40.0).abs() < 1e-7);
    }

    #[test]
    fn equal_predictions_are_not_parted() {
        let curve = CalibrationCurve::of(TaskKind::Binary, &[0.5; 7], &labels(&[1., 0., 0., 0., 1., 0., 0.]));
        assert_eq!(curve.bins.len(), 1);
        assert_eq!((curve.bins[0].rows, curve.bins[0].observed), (7, 2.0 / 7.0));
        let mixed: Vec<f32> = [[0.1; 15], [0.2; 15]].concat();
        let curve = CalibrationCurve::of(TaskKind::Binary, &mixed, &labels(&[0.0; 30]));
        assert_eq!(curve.bins.iter().map(|bin| bin.rows).collect::<Vec<_>>(), [15, 15]);
    }

    #[test]
    fn rows_count_by_their_weights() {
        let weights = vec![3.0, 1.0, 1.0, 1.0];
        let weighed = Labels { weights, ..labels(&[1., 0., 0., 0.]) };
        let bin = CalibrationCurve::of(TaskKind::Binary, &[0.5; 4], &weighed).bins[0];
        assert_eq!((bin.rows, bin.predicted, bin.observed), (4, 0.5, 0.5));
        // Six in all, as good as three.
        assert_eq!(bin.interval, Some(wilson(0.5, 3.0)));
        let sampled = CalibrationCurve::of_sample(TaskKind::Binary, &[0.1; 4], &labels(&[1., 0., 0., 0.]), Some(0.25));
        assert!((sampled.bins[0].observed - 1.0 / 13.0).abs() < 1e-12, "{:?}", sampled.bins);
    }

    #[test]
    fn a_regression_has_means() {
        let curve = CalibrationCurve::of(TaskKind::Regression, &[2.0; 4], &labels(&[1., 2., 3., 4.]));
        // scipy.stats.norm.interval(0.95, 2.5, scale=scipy.stats.sem([1, 2, 3, 4]))
        let (low, high) = curve.bins[0].interval.unwrap_or_default();
        assert!((low - 1.234_848_688).abs() < 1e-6 && (high - 3.765_151_312).abs() < 1e-6, "{low} {high}");
        let one = CalibrationCurve::of(TaskKind::Regression, &[2.0], &labels(&[1.0]));
        assert_eq!((one.bins[0].observed, one.bins[0].interval), (1.0, None));
        assert_eq!(CalibrationCurve::of(TaskKind::Regression, &[2.0], &labels(&[-1.0])).bins, []);
    }
}
