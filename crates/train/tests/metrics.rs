//! Metrics against scikit-learn (`tools/golden/metrics.py` makes the expected numbers) and against their definitions.
#![allow(clippy::unwrap_used)]

use pleiad_data::{Labels, TaskKind};
use pleiad_train::metrics::{Auc, ExactSum, LogLoss, Metric, MetricKind, Mse, R2, TaskMetrics, TaskMetricsState};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    kind: TaskKind,
    predictions: Vec<f32>,
    labels: Vec<Option<f32>>,
    metrics: TaskMetrics,
}

fn labels(values: &[Option<f32>]) -> Labels {
    Labels {
        // A row outside of the sample space must not count, whatever stands there.
        values: values.iter().map(|v| v.unwrap_or(1.0)).collect(),
        present: values.iter().map(Option::is_some).collect(),
        weights: Vec::new(),
    }
}

#[test]
fn numbers_equal_those_of_scikit_learn() {
    let golden: Golden = serde_json::from_str(include_str!("golden/metrics.json")).unwrap();
    assert_eq!(golden.cases.len(), 16);
    for case in golden.cases {
        let name = format!("{} ({:?})", case.name, case.kind);
        let mut state = TaskMetricsState::new(case.kind);
        state.update(&case.predictions, &labels(&case.labels));
        let metrics = state.compute();
        assert_eq!(metrics.rows(), case.metrics.rows(), "{name}");
        if let (TaskMetrics::Binary(ours), TaskMetrics::Binary(theirs)) = (&metrics, &case.metrics) {
            assert_eq!(ours.positives, theirs.positives, "{name}");
        }
        for &kind in MetricKind::of(case.kind) {
            match (metrics.get(kind), case.metrics.get(kind)) {
                (Some(ours), Some(theirs)) => {
                    assert!((ours - theirs).abs() <= 1e-12 * theirs.abs().max(1.0), "{name} {kind:?}: {ours} {theirs}");
                }
                (ours, theirs) => assert_eq!(ours, theirs, "{name} {kind:?}"),
            }
        }
    }
}

fn of<M: Metric>(rows: &[(f32, f32)]) -> M {
    let mut state = M::default();
    rows.iter().for_each(|&(p, y)| state.add(p, y));
    state
}

/// AUC by its definition, pair by pair.
fn auc_by_pairs(rows: &[(f32, f32)]) -> Option<f64> {
    let (mut pairs, mut won) = (0.0, 0.0);
    for (p, _) in rows.iter().filter(|row| row.1 == 1.0) {
        for (n, _) in rows.iter().filter(|row| row.1 == 0.0) {
            pairs += 1.0;
            won += if p > n {
                1.0
            } else if p == n {
                0.5
            } else {
                0.0
            };
        }
    }
    (pairs > 0.0).then(|| won / pairs)
}

/// Few different scores, so that ties are common.
fn binary_rows() -> impl Strategy<Value = Vec<(f32, f32)>> {
    let score = prop_oneof![(0u8..6).prop_map(|n| f32::from(n) / 5.0), 0.0f32..1.0, Just(-0.0f32)];
    prop::collection::vec((score, prop::bool::ANY.prop_map(|y| f32::from(u8::from(y)))), 0..80)
}

fn regression_rows() -> impl Strategy<Value = Vec<(f32, f32)>> {
    let number = prop_oneof![-10.0f32..10.0, -1e30f32..1e30, Just(0.1f32)];
    prop::collection::vec((number.clone(), number), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn auc_is_its_definition(rows in binary_rows()) {
        match (of::<Auc>(&rows).compute(), auc_by_pairs(&rows)) {
            (Some(ours), Some(pairs)) => prop_assert!((ours - pairs).abs() < 1e-12, "{} {}", ours, pairs),
            (ours, pairs) => prop_assert_eq!(ours, pairs),
        }
    }

    #[test]
    fn auc_knows_order_alone(rows in binary_rows()) {
        // Doubling and halving are exact, so they neither make nor break ties.
        for transform in [|p: f32| 8.0 * p, |p: f32| p / 4.0, |p: f32| if p > 0.5 { 2.0 * p } else { p }] {
            let transformed: Vec<_> = rows.iter().map(|&(p, y)| (transform(p), y)).collect();
            prop_assert_eq!(of::<Auc>(&rows).compute(), of::<Auc>(&transformed).compute());
        }
        let turned: Vec<_> = rows.iter().map(|&(p, y)| (-p, y)).collect();
        if let (Some(auc), Some(turned)) = (of::<Auc>(&rows).compute(), of::<Auc>(&turned).compute()) {
            prop_assert!((auc + turned - 1.0).abs() < 1e-12);
        }
    }

    /// Bit for bit, however the rows are ordered, cut and merged.
    #[test]
    fn merging_and_order_change_nothing(
        binary in binary_rows(), regression in regression_rows(), cut in 0.0f64..1.0, rotate in 0usize..60,
    ) {
        for (kind, rows) in [(TaskKind::Binary, binary), (TaskKind::Regression, regression)] {
            let state = |rows: &[(f32, f32)]| {
                let mut state = TaskMetricsState::new(kind);
                let (p, y): (Vec<f32>, Vec<Option<f32>>) = rows.iter().map(|&(p, y)| (p, Some(y))).unzip();
                state.update(&p, &labels(&y));
                state
            };
            let whole = state(&rows).compute();
            let mut other = rows.clone();
            other.rotate_left(rotate.min(rows.len()));
            other.reverse();
            let at = (cut * other.len() as f64) as usize;
            let (mut left, mut right) = (state(&other[..at]), state(&other[at..]));
            let right_alone = right.clone();
            right.merge(&left);
            left.merge(&right_alone);
            prop_assert_eq!(left.compute(), whole);
            prop_assert_eq!(right.compute(), whole);
        }
    }

    #[test]
    fn no_metric_is_ever_nan(rows in prop::collection::vec((prop::num::f32::ANY, prop::num::f32::ANY), 0..20)) {
        for kind in [TaskKind::Binary, TaskKind::Regression] {
            let mut state = TaskMetricsState::new(kind);
            let (p, y): (Vec<f32>, Vec<Option<f32>>) = rows.iter().map(|&(p, y)| (p, Some(y))).unzip();
            state.update(&p, &labels(&y));
            let metrics = state.compute();
            prop_assert_eq!(metrics.rows(), rows.len() as u64);
            for &metric in MetricKind::ALL {
                prop_assert!(metrics.get(metric).is_none_or(|value| !value.is_nan()), "{:?}", metric);
            }
        }
    }

    #[test]
    fn an_exact_sum_is_exact(integers in prop::collection::vec(-(1i64 << 52)..1 << 52, 0..50), shift in 0i32..40) {
        // Multiples of 2^-shift whose sum an i128 holds.
        let mut sum = ExactSum::default();
        integers.iter().for_each(|&n| sum.add(n as f64 * 2f64.powi(-shift)));
        let exact: i128 = integers.iter().map(|&n| i128::from(n)).sum();
        prop_assert_eq!(sum.value(), Some(exact as f64 * 2f64.powi(-shift)));
    }
}

#[test]
fn one_perfect_and_one_useless_model() {
    let perfect: Vec<(f32, f32)> = (0..100).map(|i| ((i % 2) as f32, (i % 2) as f32)).collect();
    assert_eq!(of::<Auc>(&perfect).compute(), Some(1.0));
    assert_eq!(of::<Mse>(&perfect).compute(), Some(0.0));
    assert_eq!(of::<R2>(&perfect).compute(), Some(1.0));
    let constant: Vec<(f32, f32)> = (0..100).map(|i| (0.5, (i % 2) as f32)).collect();
    assert_eq!(of::<Auc>(&constant).compute(), Some(0.5));
    assert_eq!(of::<LogLoss>(&constant).compute(), Some(std::f64::consts::LN_2));
    assert_eq!(of::<R2>(&constant).compute(), Some(0.0));
}
