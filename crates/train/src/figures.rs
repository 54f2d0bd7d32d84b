//! Numbers as people read them, the same on a terminal and on a page.

use crate::metrics::{GroupMetrics, MetricKind, TaskMetrics};

/// What the metric `calibration` means, for readers of a table.
pub const CALIBRATION: &str =
    "Calibration: the mean prediction over the share of positives; 1 is right, above 1 predicts too much.";

/// By what rows count in metrics, where they do not count alike.
#[must_use]
pub fn counted(metrics: &TaskMetrics) -> Option<String> {
    let (weight, negatives) = match metrics {
        TaskMetrics::Binary(metrics) => (metrics.weight?, metrics.negatives),
        TaskMetrics::Regression(metrics) => (metrics.weight?, None),
    };
    let all = metric(Some(weight));
    Some(match negatives {
        Some(share) => format!(
            "metrics are those of all rows, {all} by their weights: the log keeps {share} of the negatives, so that each counts \
             {} times",
            1.0 / share
        ),
        None => format!("rows count by their weights, {all} in all"),
    })
}

/// A metric with as many digits as comparisons need: five decimals, or four digits behind the first of what would burst a
/// column or be lost among decimals; a dash where it is not defined.
#[must_use]
pub fn metric(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), size)
}

fn size(value: f64) -> String {
    match value.abs() {
        v if v >= 1e6 || (v > 0.0 && v < 1e-4) => format!("{value:.4e}"),
        v if v >= 100.0 => format!("{value:.2}"),
        _ => format!("{value:.5}"),
    }
}

/// A standard deviation beside a metric of that size: as many decimals as that has.
#[must_use]
pub fn deviation(sd: f64, metric: f64) -> String {
    match metric.abs() {
        v if v >= 1e6 => format!("{sd:.4e}"),
        _ if sd > 0.0 && sd < 5e-6 => format!("{sd:.0e}"),
        v if v >= 100.0 => format!("{sd:.2}"),
        _ => format!("{sd:.5}"),
    }
}

/// A gain with its sign, in the decimals of [`metric`].
#[must_use]
pub fn gain(value: f64) -> String {
    match value.abs() {
        v if v >= 1e6 => format!("{value:+.4e}"),
        v if v >= 100.0 => format!("{value:+.2}"),
        v if v > 0.0 && v < 5e-6 => format!("{value:+.1e}"),
        _ => format!("{value:+.5}"),
    }
}

/// `[low, high]` of a gain.
#[must_use]
pub fn bounds((low, high): (f64, f64)) -> String {
    format!("[{}, {}]", gain(low), gain(high))
}

/// A gain as what happened to the metric: `AUC higher by 0.00120`, `MSE lower by 0.00090`. A gain is positive where the
/// model is better, which is a lower error.
#[must_use]
pub fn change(metric: MetricKind, value: f64) -> String {
    let higher = (value >= 0.0) == metric.larger_is_better();
    let direction = match (metric, value >= 0.0) {
        (MetricKind::Calibration, true) => "nearer to 1",
        (MetricKind::Calibration, false) => "further from 1",
        _ if higher => "higher",
        _ => "lower",
    };
    format!("{} {direction} by {}", metric.label(), gain(value.abs()).trim_start_matches('+'))
}

/// What the metrics within groups are over: `312 groups; left out: 40 of one class (GAUC), 25 without a label above 0 (NDCG,
/// recall); 3 rows without a group`.
#[must_use]
pub fn groups(metrics: &GroupMetrics) -> String {
    let mut left_out = Vec::new();
    left_out
        .extend(metrics.gauc.filter(|gauc| gauc.left_out > 0).map(|g| format!("{} of one class (GAUC)", g.left_out)));
    let by = if metrics.recall.is_empty() { "NDCG" } else { "NDCG, recall" };
    let without = metrics.ndcg.first().filter(|at| at.left_out > 0);
    left_out.extend(without.map(|at| format!("{} without a label above 0 ({by})", at.left_out)));
    let mut text = format!("{} group{}", metrics.groups, if metrics.groups == 1 { "" } else { "s" });
    if !left_out.is_empty() {
        text.push_str(&format!("; left out: {}", left_out.join(", ")));
    }
    match metrics.rows_without {
        0 => {}
        1 => text.push_str("; 1 row without a group"),
        rows => text.push_str(&format!("; {rows} rows without a group")),
    }
    text
}

/// What a positive gain of this metric is: `AUC, higher by`, `MSE, lower by`.
#[must_use]
pub fn direction(metric: MetricKind) -> String {
    let direction = match metric {
        MetricKind::Calibration => "nearer to 1",
        metric if metric.larger_is_better() => "higher",
        _ => "lower",
    };
    format!("{}, {direction} by", metric.label())
}

/// A p value: three decimals, and no zero that is none.
#[must_use]
pub fn p_value(p: f64) -> String {
    if p < 0.0005 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

/// `a`, `a and b`, `a, b and c`.
#[must_use]
pub fn list<S: AsRef<str>>(names: &[S]) -> String {
    match names {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [rest @ .., last] => {
            let rest: Vec<&str> = rest.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", rest.join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_to_their_columns() {
        assert_eq!(metric(Some(0.946_214)), "0.94621");
        assert_eq!(metric(Some(0.0)), "0.00000");
        assert_eq!(metric(Some(4.958e34)), "4.9580e34");
        assert_eq!(metric(Some(0.000_012)), "1.2000e-5");
        assert_eq!((metric(Some(12_345.678)), metric(None)), ("12345.68".to_owned(), "-".to_owned()));
        assert_eq!((deviation(0.000_56, 0.9), deviation(1.234, 200.0)), ("0.00056".to_owned(), "1.23".to_owned()));
        assert_eq!((deviation(3e-7, 0.9), deviation(0.0, 0.9)), ("3e-7".to_owned(), "0.00000".to_owned()));
        assert_eq!(
            (gain(0.000_012), gain(-4e34), gain(-1.2e-6)),
            ("+0.00001".into(), "-4.0000e34".into(), "-1.2e-6".into())
        );
        assert_eq!(bounds((-0.1, 0.2)), "[-0.10000, +0.20000]");
        assert_eq!((p_value(0.012_3), p_value(1e-9), p_value(1.0)), ("0.012".into(), "<0.001".into(), "1.000".into()));
    }

    #[test]
    fn a_gain_in_an_error_is_told_as_a_lower_error() {
        assert_eq!(change(MetricKind::Mse, 0.0009), "MSE lower by 0.00090");
        assert_eq!(change(MetricKind::Mse, -0.0009), "MSE higher by 0.00090");
        assert_eq!(change(MetricKind::Auc, 0.0012), "AUC higher by 0.00120");
        assert_eq!(change(MetricKind::Auc, -0.0012), "AUC lower by 0.00120");
        assert_eq!(change(MetricKind::Ndcg(10), 0.0012), "NDCG@10 higher by 0.00120");
        assert_eq!(change(MetricKind::Calibration, 0.0012), "calibration nearer to 1 by 0.00120");
        assert_eq!(direction(MetricKind::Calibration), "calibration, nearer to 1 by");
    }

    #[test]
    fn groups_are_told_with_what_is_left_out() {
        use crate::metrics::{AtK, OverGroups};
        let mut metrics = GroupMetrics { groups: 1, ..GroupMetrics::default() };
        assert_eq!(groups(&metrics), "1 group");
        metrics = GroupMetrics {
            groups: 312,
            rows_without: 3,
            gauc: Some(OverGroups { value: Some(0.6), left_out: 40 }),
            ndcg: vec![AtK { k: 10, value: Some(0.6), left_out: 25 }],
            recall: vec![AtK { k: 10, value: Some(0.6), left_out: 25 }],
        };
        assert_eq!(
            groups(&metrics),
            "312 groups; left out: 40 of one class (GAUC), 25 without a label above 0 (NDCG, recall); 3 rows without a group"
        );
    }

    #[test]
    fn names_are_listed_as_people_do() {
        assert_eq!(
            (list::<&str>(&[]), list(&["a"]), list(&["a", "b", "c"])),
            ("".into(), "a".into(), "a, b and c".into())
        );
    }
}
