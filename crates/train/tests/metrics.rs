//! Metrics against scikit-learn (`tools/golden/metrics.py` makes the expected numbers) and against their definitions.
#![allow(clippy::unwrap_used)]

use pleiad_data::{Labels, TaskKind};
use pleiad_train::metrics::{
    Auc, ExactSum, GroupMetrics, GroupedRows, LogLoss, Metric, Mse, R2, TaskMetrics, TaskMetricsState,
    average_precision, gauc, ndcg, normalized_entropy, recall,
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct GoldenMetrics {
    cases: Vec<MetricCase>,
}

#[derive(Deserialize)]
struct MetricCase {
    name: String,
    kind: TaskKind,
    predictions: Vec<f32>,
    labels: Vec<Option<f32>>,
    #[serde(default)]
    groups: Vec<u64>,
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
    let golden: GoldenMetrics = serde_json::from_str(include_str!("golden/metrics.json")).unwrap();
    assert_eq!(golden.cases.len(), 24);
    for case in golden.cases {
        let name = format!("{} ({:?})", case.name, case.kind);
        let mut state = TaskMetricsState::new(case.kind);
        if let Some(groups) = case.metrics.by_group() {
            state = state.with_groups(&groups.k());
        }
        state.update(&case.predictions, &labels(&case.labels), &case.groups);
        let metrics = state.compute();
        assert_eq!(metrics.rows(), case.metrics.rows(), "{name}");
        if let (TaskMetrics::Binary(ours), TaskMetrics::Binary(theirs)) = (&metrics, &case.metrics) {
            assert_eq!(ours.positives, theirs.positives, "{name}");
        }
        let counts = |metrics: &TaskMetrics| metrics.by_group().map(left_out);
        assert_eq!(counts(&metrics), counts(&case.metrics), "{name}");
        for kind in case.metrics.metrics() {
            match (metrics.get(kind), case.metrics.get(kind)) {
                (Some(ours), Some(theirs)) => {
                    assert!((ours - theirs).abs() <= 1e-12 * theirs.abs().max(1.0), "{name} {kind:?}: {ours} {theirs}");
                }
                (ours, theirs) => assert_eq!(ours, theirs, "{name} {kind:?}"),
            }
        }
    }
}

/// What is counted beside the metrics.
fn left_out(groups: &GroupMetrics) -> (u64, u64, Option<u64>, Vec<u64>) {
    let at_k = groups.ndcg.iter().chain(&groups.recall).map(|at| at.left_out).collect();
    (groups.groups, groups.rows_without, groups.gauc.map(|gauc| gauc.left_out), at_k)
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

/// Average precision by its definition, threshold by threshold.
fn precision_by_thresholds(rows: &[(f32, f32)]) -> Option<f64> {
    let positives = rows.iter().filter(|row| row.1 == 1.0).count() as f64;
    let mut thresholds: Vec<f32> = rows.iter().map(|row| row.0 + 0.0).collect();
    thresholds.sort_by(|a, b| b.total_cmp(a));
    thresholds.dedup();
    let (mut sum, mut before) = (0.0, 0.0);
    for threshold in thresholds {
        let above: Vec<_> = rows.iter().filter(|row| row.0 >= threshold).collect();
        let found = above.iter().filter(|row| row.1 == 1.0).count() as f64;
        sum += (found - before) / positives * (found / above.len() as f64);
        before = found;
    }
    (positives > 0.0).then_some(sum)
}

/// Every order of rows in which no prediction stands before a higher one.
fn orders(rows: &[(f32, f32)]) -> Vec<Vec<f32>> {
    if rows.is_empty() {
        return vec![Vec::new()];
    }
    let highest = rows.iter().map(|row| row.0).fold(f32::MIN, f32::max);
    let first = (0..rows.len()).filter(|&at| rows[at].0 == highest);
    first
        .flat_map(|at| {
            let mut rest = rows.to_vec();
            let (_, label) = rest.remove(at);
            orders(&rest).into_iter().map(move |order| std::iter::once(label).chain(order).collect())
        })
        .collect()
}

/// The mean over all of these orders.
fn expected(rows: &[(f32, f32)], of: impl Fn(&[f32]) -> f64) -> f64 {
    let orders = orders(rows);
    orders.iter().map(|order| of(order)).sum::<f64>() / orders.len() as f64
}

fn dcg(labels: &[f32], k: u32) -> f64 {
    labels.iter().zip(1..=k).map(|(&label, rank)| f64::from(label) / f64::from(rank + 1).log2()).sum()
}

fn ndcg_by_orders(rows: &[(f32, f32)], k: u32) -> Option<f64> {
    let best: Vec<(f32, f32)> = rows.iter().map(|row| (row.1, row.1)).collect();
    let best = dcg(&orders(&best)[0], k);
    (best > 0.0).then(|| expected(rows, |order| dcg(order, k)) / best)
}

fn recall_by_orders(rows: &[(f32, f32)], k: u32) -> Option<f64> {
    let positives: f32 = rows.iter().map(|row| row.1).sum();
    let found = |order: &[f32]| f64::from(order.iter().take(k as usize).sum::<f32>());
    (positives > 0.0).then(|| expected(rows, found) / f64::from(positives))
}

/// Rows of few groups, of few rows each, whose scores often tie.
fn grouped_rows(label: impl Strategy<Value = f32>) -> impl Strategy<Value = Vec<(u64, f32, f32)>> {
    let row = (1u64..6, (0u8..4).prop_map(|n| f32::from(n) / 4.0), label);
    prop::collection::vec(row, 0..18).prop_map(|rows| {
        // Orders of more than six rows are too many to look at.
        let few = |at: usize| rows[..at].iter().filter(|row: &&(u64, f32, f32)| row.0 == rows[at].0).count() < 6;
        (0..rows.len()).filter(|&at| few(at)).map(|at| rows[at]).collect()
    })
}

fn ranked(rows: &[(u64, f32, f32)]) -> pleiad_train::metrics::Ranked {
    let mut state = GroupedRows::default();
    rows.iter().for_each(|&(group, p, y)| state.add(group, p, y));
    state.ranked()
}

/// The weighted mean over groups of what `of` says of the rows of one, and the groups of which it says nothing.
fn over_groups(
    rows: &[(u64, f32, f32)],
    of: impl Fn(&[(f32, f32)]) -> Option<f64>,
    weight: impl Fn(usize) -> f64,
) -> (Option<f64>, u64) {
    let (mut sum, mut weights, mut left_out) = (0.0, 0.0, 0);
    for group in 1..6 {
        let own: Vec<(f32, f32)> = rows.iter().filter(|row| row.0 == group).map(|row| (row.1, row.2)).collect();
        match of(&own) {
            Some(value) => {
                sum += weight(own.len()) * value;
                weights += weight(own.len());
            }
            None => left_out += u64::from(!own.is_empty()),
        }
    }
    ((weights > 0.0).then(|| sum / weights), left_out)
}

fn agree(ours: pleiad_train::metrics::OverGroups, (theirs, left_out): (Option<f64>, u64)) -> bool {
    let near = match (ours.value, theirs) {
        (Some(ours), Some(theirs)) => (ours - theirs).abs() < 1e-12,
        (ours, theirs) => ours == theirs,
    };
    near && ours.left_out == left_out
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
    fn average_precision_is_its_definition(rows in binary_rows()) {
        match (average_precision(&of::<Auc>(&rows)), precision_by_thresholds(&rows)) {
            (Some(ours), Some(theirs)) => prop_assert!((ours - theirs).abs() < 1e-12, "{} {}", ours, theirs),
            (ours, theirs) => prop_assert_eq!(ours, theirs),
        }
    }

    #[test]
    fn entropy_is_that_of_the_base_rate(rows in binary_rows()) {
        let positives = rows.iter().filter(|row| row.1 == 1.0).count();
        let share = positives as f32 / rows.len().max(1) as f32;
        let base: Vec<(f32, f32)> = rows.iter().map(|&(_, y)| (share, y)).collect();
        let ours = normalized_entropy(of::<LogLoss>(&rows).compute(), positives as f64, rows.len() as f64);
        let theirs = of::<LogLoss>(&rows).compute().zip(of::<LogLoss>(&base).compute()).map(|(own, base)| own / base);
        match ours {
            // The share of the base is a prediction, which is rounded to an f32.
            Some(ours) => prop_assert!(theirs.is_some_and(|theirs| (ours - theirs).abs() < 1e-5 * theirs)),
            None => prop_assert!(positives == 0 || positives == rows.len()),
        }
    }

    #[test]
    fn gauc_is_the_auc_of_each_group(rows in grouped_rows(prop::bool::ANY.prop_map(|y| f32::from(u8::from(y))))) {
        let theirs = over_groups(&rows, auc_by_pairs, |rows| rows as f64);
        let ours = gauc(&ranked(&rows));
        prop_assert!(agree(ours, theirs), "{:?} {:?}", ours, theirs);
    }

    #[test]
    fn recall_is_expected_over_orders_of_what_ties(
        rows in grouped_rows(prop::bool::ANY.prop_map(|y| f32::from(u8::from(y)))), k in 1u32..8,
    ) {
        let theirs = over_groups(&rows, |rows| recall_by_orders(rows, k), |_| 1.0);
        let ours = recall(&ranked(&rows), k);
        prop_assert!(agree(ours, theirs), "{:?} {:?}", ours, theirs);
    }

    #[test]
    fn ndcg_is_expected_over_orders_of_what_ties(rows in grouped_rows((0u8..5).prop_map(f32::from)), k in 1u32..8) {
        let theirs = over_groups(&rows, |rows| ndcg_by_orders(rows, k), |_| 1.0);
        let ours = ndcg(&ranked(&rows), k);
        prop_assert!(agree(ours, theirs), "{:?} {:?}", ours, theirs);
    }

    /// Bit for bit, however the rows are ordered.
    #[test]
    fn the_order_of_rows_changes_nothing_within_groups(
        rows in prop::collection::vec((0u64..9, (0u8..4).prop_map(f32::from), 0.0f32..10.0), 0..80), rotate in 0usize..80,
    ) {
        for kind in [TaskKind::Binary, TaskKind::Regression] {
            let compute = |rows: &[(u64, f32, f32)]| {
                let mut state = TaskMetricsState::new(kind).with_groups(&[1, 3, 100]);
                for &(group, p, y) in rows {
                    let y = if kind == TaskKind::Binary { f32::from(u8::from(y > 5.0)) } else { y };
                    state.update(&[p], &labels(&[Some(y)]), &[group]);
                }
                state.compute()
            };
            let mut other = rows.clone();
            other.rotate_left(rotate.min(rows.len()));
            other.reverse();
            prop_assert_eq!(compute(&other), compute(&rows));
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
                state.update(&p, &labels(&y), &[]);
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
            prop_assert_eq!(&left.compute(), &whole);
            prop_assert_eq!(&right.compute(), &whole);
        }
    }

    #[test]
    fn no_metric_is_ever_nan(rows in prop::collection::vec((prop::num::f32::ANY, prop::num::f32::ANY), 0..20)) {
        for kind in [TaskKind::Binary, TaskKind::Regression] {
            let mut state = TaskMetricsState::new(kind).with_groups(&[1, 2]);
            let (p, y): (Vec<f32>, Vec<Option<f32>>) = rows.iter().map(|&(p, y)| (p, Some(y))).unzip();
            let groups: Vec<u64> = (0..p.len() as u64).map(|row| row % 4).collect();
            state.update(&p, &labels(&y), &groups);
            let metrics = state.compute();
            prop_assert_eq!(metrics.rows(), rows.len() as u64);
            for metric in metrics.metrics() {
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
