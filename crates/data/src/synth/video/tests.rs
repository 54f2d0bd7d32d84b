#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, AsArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{Float32Type, Float64Type, Int8Type, Int32Type, Int64Type};

use super::*;
use crate::Error;

const ROWS: u64 = 120_000;

fn log() -> RecordBatch {
    let log =
        VideoLog::new(VideoOptions { rows: ROWS, seed: 11, with_truth: true, ..VideoOptions::default() }).unwrap();
    let blocks: Vec<_> = (0..log.blocks()).map(|index| log.block(index).unwrap()).collect();
    concat_batches(&log.schema(), &blocks).unwrap()
}

/// A label by row; `None` where it is missing.
fn label(rows: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    let column = rows.column_by_name(name).unwrap();
    match name {
        "completion" => column.as_primitive::<Float32Type>().iter().map(|v| v.map(f64::from)).collect(),
        _ => column.as_primitive::<Int8Type>().iter().map(|v| v.map(f64::from)).collect(),
    }
}

fn truth(rows: &RecordBatch, name: &str) -> Vec<f64> {
    rows.column_by_name(&format!("true_{name}")).unwrap().as_primitive::<Float64Type>().values().to_vec()
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, n) = values.into_iter().fold((0.0, 0.0), |(sum, n), v| (sum + v, n + 1.0));
    sum / n
}

fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let (ma, mb) = (mean(pairs.iter().map(|p| p.0)), mean(pairs.iter().map(|p| p.1)));
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
    let cross = sum(&|p| (p.0 - ma) * (p.1 - mb));
    cross / (sum(&|p| (p.0 - ma).powi(2)) * sum(&|p| (p.1 - mb).powi(2))).sqrt()
}

/// Probability that a true score of a positive row is above one of a negative row.
fn auc(scores: &[f64], labels: &[Option<f64>]) -> f64 {
    let mut known: Vec<(f64, f64)> = scores.iter().zip(labels).filter_map(|(s, l)| l.map(|l| (*s, l))).collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut negatives, mut below) = (0.0, 0.0);
    for (_, label) in &known {
        below += label * negatives;
        negatives += 1.0 - label;
    }
    below / (negatives * (known.len() as f64 - negatives))
}

#[test]
fn columns_are_those_of_the_video_configuration() {
    let plain = VideoLog::new(VideoOptions { rows: 10, ..VideoOptions::default() }).unwrap().block(0).unwrap();
    let names: Vec<_> = plain.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(
        names.join(" "),
        "user_id video_id author_id category hour device network tags video_seconds user_age_days \
         click valid_view completion share comment"
    );
    let with = VideoOptions { rows: 10, with_truth: true, ..VideoOptions::default() };
    let with = VideoLog::new(with).unwrap().block(0).unwrap();
    assert_eq!(with.num_columns(), names.len() + LABELS.len());
    assert_eq!(with.columns()[..names.len()], *plain.columns(), "truth changes no other column");
}

#[test]
fn nothing_is_known_beyond_a_missing_click() {
    let rows = log();
    let clicks = label(&rows, "click");
    assert!(clicks.iter().all(|c| matches!(c, Some(0.0 | 1.0))));
    for name in &LABELS[1..] {
        for (after, click) in label(&rows, name).iter().zip(&clicks) {
            assert_eq!(after.is_some(), *click == Some(1.0), "{name}");
            assert!(after.is_none_or(|v| (0.0..=1.0).contains(&v) && (*name == "completion" || v == 0.0 || v == 1.0)));
        }
    }
}

#[test]
fn labels_have_the_rates_of_a_feed() {
    let rows = log();
    let rate = |name| mean(label(&rows, name).into_iter().flatten());
    let within = |name, low: f64, high: f64| {
        let rate = rate(name);
        assert!((low..high).contains(&rate), "{name}: {rate}");
    };
    within("click", 0.20, 0.30);
    within("valid_view", 0.42, 0.60);
    within("completion", 0.30, 0.50);
    within("share", 0.02, 0.04);
    within("comment", 0.03, 0.055);
}

/// Over all rows, and over tenths of them by their truth, the mean label is the mean truth within 4.5 standard errors.
#[test]
fn truth_is_calibrated() {
    let rows = log();
    for name in LABELS {
        let mut known: Vec<(f64, f64)> = truth(&rows, name)
            .into_iter()
            .zip(label(&rows, name))
            .filter_map(|(truth, label)| label.map(|label| (truth, label)))
            .collect();
        known.sort_by(|a, b| a.0.total_cmp(&b.0));
        let tenths: Vec<_> = known.chunks(known.len().div_ceil(10)).collect();
        for group in tenths.into_iter().chain([known.as_slice()]) {
            let (t, l) = (mean(group.iter().map(|p| p.0)), mean(group.iter().map(|p| p.1)));
            // Of a rare label a group may hold none, so its variance is that of the truth, not of the labels.
            let variance = match name {
                "completion" => mean(group.iter().map(|p| (p.0 - p.1).powi(2))),
                _ => mean(group.iter().map(|p| p.0 * (1.0 - p.0))),
            };
            let error = (variance / group.len() as f64).sqrt();
            assert!((t - l).abs() < 4.5 * error, "{name}: truth {t}, labels {l}, standard error {error}");
        }
    }
}

/// A model can get no further than the truth does; there is something to learn in every task.
#[test]
fn every_task_can_be_learned() {
    let rows = log();
    for (name, least) in [("click", 0.75), ("valid_view", 0.68), ("share", 0.74), ("comment", 0.74)] {
        let auc = auc(&truth(&rows, name), &label(&rows, name));
        assert!(auc > least, "{name}: {auc}");
    }
    let completion = label(&rows, "completion");
    let pairs: Vec<_> =
        truth(&rows, "completion").into_iter().zip(completion).filter_map(|(t, l)| Some((t, l?))).collect();
    assert!(correlation(&pairs) > 0.4, "{}", correlation(&pairs));
}

/// Section 3 of the paper: how valid view and completion go together depends on the segment.
#[test]
fn valid_view_and_completion_correlate_in_a_complex_way() {
    let rows = log();
    let (valid, complete) = (truth(&rows, "valid_view"), truth(&rows, "completion"));
    let seconds = rows.column_by_name("video_seconds").unwrap().as_primitive::<Int32Type>().values().to_vec();
    let network: Vec<_> = rows.column_by_name("network").unwrap().as_string::<i32>().iter().flatten().collect();
    let pairs = |keep: &dyn Fn(usize) -> bool| -> Vec<(f64, f64)> {
        (0..seconds.len()).filter(|&i| keep(i)).map(|i| (valid[i], complete[i])).collect()
    };
    let inside = correlation(&pairs(&|i| (40..60).contains(&seconds[i])));
    let overall = correlation(&pairs(&|_| true));
    assert!(inside > overall + 0.2, "alike within one length ({inside}), not over all ({overall})");

    let by_length = |low, high| pairs(&|i| (low..high).contains(&seconds[i]));
    let (short, long) = (by_length(0, 20), by_length(200, 4_000));
    assert!(mean(long.iter().map(|p| p.0)) > mean(short.iter().map(|p| p.0)) + 0.05, "long videos: valid");
    assert!(mean(long.iter().map(|p| p.1)) < mean(short.iter().map(|p| p.1)) - 0.2, "but not completed");

    let minute = |wifi: bool| pairs(&|i| (30..120).contains(&seconds[i]) && (network[i] == "wifi") == wifi);
    let (wifi, mobile) = (minute(true), minute(false));
    assert!(mean(wifi.iter().map(|p| p.0)) > mean(mobile.iter().map(|p| p.0)) + 0.01, "auto-play: valid");
    assert!(mean(wifi.iter().map(|p| p.1)) < mean(mobile.iter().map(|p| p.1)) + 0.01, "but not completed");
}

#[test]
fn features_are_plausible() {
    let rows = log();
    let ids = |name| rows.column_by_name(name).unwrap().as_primitive::<Int64Type>().values().to_vec();
    let mut count: HashMap<i64, u64> = HashMap::new();
    ids("video_id").iter().for_each(|&id| *count.entry(id).or_default() += 1);
    assert!(count.len() > 1_900 && count.len() <= 2_000, "{}", count.len());
    assert!(*count.values().max().unwrap() > 20 * ROWS / 2_000, "some videos are far more popular than others");
    let users: HashSet<i64> = ids("user_id").into_iter().collect();
    assert!(users.len() > 4_900 && users.len() <= 5_000, "{}", users.len());
    assert!(users.iter().filter(|&&id| id > 1 << 53).count() > 4_800);

    let mut of_video: HashMap<i64, (i64, i32)> = HashMap::new();
    let seconds = rows.column_by_name("video_seconds").unwrap().as_primitive::<Int32Type>().values().to_vec();
    for ((video, author), seconds) in ids("video_id").into_iter().zip(ids("author_id")).zip(seconds) {
        assert_eq!(*of_video.entry(video).or_insert((author, seconds)), (author, seconds));
    }

    let age = rows.column_by_name("user_age_days").unwrap();
    let missing = age.null_count() as f64 / ROWS as f64;
    assert!((0.025..0.035).contains(&missing), "{missing}");
    let hours = rows.column_by_name("hour").unwrap().as_primitive::<Int8Type>();
    assert_eq!(hours.iter().flatten().collect::<HashSet<_>>().len(), 24);
    let tags = rows.column_by_name("tags").unwrap().as_list::<i32>();
    let lengths: HashSet<usize> = (0..rows.num_rows()).map(|i| tags.value(i).len()).collect();
    assert_eq!(lengths, HashSet::from([0, 1, 2, 3, 4, 5]));
}

#[test]
fn options_out_of_range_are_named() {
    let refused = |options| match VideoLog::new(options) {
        Err(Error::SynthOption { option, .. }) => option,
        other => panic!("{other:?}"),
    };
    for rows in [0, (1 << 40) + 1, u64::MAX] {
        assert_eq!(refused(VideoOptions { rows, ..VideoOptions::default() }), "rows");
    }
    assert_eq!(refused(VideoOptions { users: 0, ..VideoOptions::default() }), "users");
    assert_eq!(refused(VideoOptions { videos: 0, ..VideoOptions::default() }), "videos");
    assert_eq!(refused(VideoOptions { videos: u64::MAX, ..VideoOptions::default() }), "videos");
}

#[test]
fn one_user_and_one_video_are_enough_and_many_cost_nothing() {
    for (users, videos) in [(1, 1), (MOST, MOST)] {
        let log = VideoLog::new(VideoOptions { rows: 50, users, videos, ..VideoOptions::default() }).unwrap();
        assert_eq!(log.block(0).unwrap().num_rows(), 50);
    }
}
