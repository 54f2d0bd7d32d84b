//! [`ListMetric`]: a metric of one task within each request, of the order by score.

use pleiad_data::{Labels, suggest};
use rayon::prelude::*;

use super::Lists;
use crate::metrics::{GroupedRow, MetricKind, auc_within, discounts, ndcg_within, recall_within, unknown};

/// A metric of the ranked lists: `gauc`, `ndcg@K` or `recall@K` of a task's outcomes, within each request, of the order by score. See
/// [`crate::metrics`], which has the same metrics of the order by each task's own prediction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListMetric {
    /// The task's number.
    pub task: usize,
    /// Its name.
    pub name: String,
    /// Which metric.
    pub kind: MetricKind,
}

/// What each request adds to a metric: its weight and its value, `None` where it is not defined.
pub type PerRequest = Vec<Option<(f64, f64)>>;

impl ListMetric {
    /// `TASK.METRIC`, such as `click.ndcg@10`, or `METRIC:TASK`.
    ///
    /// # Errors
    /// A sentence that says what is wrong, with the nearest name.
    pub fn parse(text: &str, tasks: &[String]) -> Result<Self, String> {
        // From the right: the name of a task may hold dots, that of a metric does not.
        let parts = text.split_once(':').map(|(metric, task)| (task, metric)).or_else(|| text.rsplit_once('.'));
        let Some((task, metric)) = parts else {
            return Err(format!("{text:?} is no metric of a task, such as click.ndcg@10"));
        };
        let kind = MetricKind::from_name(metric).ok_or_else(|| unknown(metric))?;
        if !kind.needs_groups() {
            return Err(format!("{metric} compares all rows, not those of one request; take gauc, ndcg@K or recall@K"));
        }
        match tasks.iter().position(|name| name == task) {
            Some(at) => Ok(Self { task: at, name: task.to_owned(), kind }),
            None => {
                let known: Vec<&str> = tasks.iter().map(String::as_str).collect();
                Err(format!("there is no task {task:?}{}", suggest(task, &known)))
            }
        }
    }

    /// Why outcomes do not go together with it.
    #[must_use]
    pub fn refuses(&self, labels: &Labels) -> Option<String> {
        let present =
            || labels.values.iter().zip(&labels.present).filter(|(_, present)| **present).map(|(label, _)| *label);
        if present().next().is_none() {
            return Some(format!("no row has an outcome of task {:?}", self.name));
        }
        let least = present().fold(f32::INFINITY, f32::min);
        (matches!(self.kind, MetricKind::Ndcg(_)) && least < 0.0)
            .then(|| format!("{self}: an outcome is {least}, and NDCG has no gain below 0"))
    }

    /// The metric of the order by `scores`, request by request.
    #[must_use]
    pub fn of(&self, lists: &Lists, scores: &[f64]) -> PerRequest {
        let Some(labels) = lists.labels.get(self.task) else { return vec![None; lists.requests.len()] };
        let longest = lists.requests.iter().map(std::ops::Range::len).max().unwrap_or(0);
        let discounts = match self.kind {
            MetricKind::Ndcg(k) => discounts(longest, k),
            _ => Vec::new(),
        };
        let scratch = <(Vec<usize>, Vec<GroupedRow>, Vec<f32>)>::default;
        let of = |(order, rows, ideal): &mut (Vec<usize>, Vec<GroupedRow>, Vec<f32>),
                  range: &std::ops::Range<usize>| {
            order.clear();
            order.extend(range.clone().filter(|&row| labels.present[row]));
            order.sort_unstable_by(|a, b| {
                scores[*b].total_cmp(&scores[*a]).then_with(|| labels.values[*a].total_cmp(&labels.values[*b]))
            });
            rows.clear();
            // Ranks stand for scores of 64 bits, which they order and tie alike.
            let (mut rank, mut before) = (0f32, None);
            for &row in &*order {
                if before.replace(scores[row]).is_some_and(|before| before != scores[row]) {
                    rank -= 1.0;
                }
                rows.push(GroupedRow::alone(rank, labels.values[row]));
            }
            match self.kind {
                MetricKind::Ndcg(_) => ndcg_within(rows, &discounts, ideal).map(|value| (1.0, value)),
                MetricKind::Recall(k) => recall_within(rows, k).map(|value| (1.0, value)),
                _ => auc_within(rows).map(|value| (rows.len() as f64, value)),
            }
        };
        lists.requests.par_iter().with_min_len(64).map_init(scratch, of).collect()
    }
}

impl std::fmt::Display for ListMetric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.name, self.kind.name())
    }
}

/// The weighted mean over requests; `None` where it is defined in none.
#[must_use]
pub fn mean(values: &[Option<(f64, f64)>]) -> Option<f64> {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (weight, value) in values.iter().flatten() {
        sum += weight * value;
        weights += weight;
    }
    (weights > 0.0).then(|| sum / weights)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_engine::Predictions;

    use super::*;
    use crate::metrics::{GroupedRows, gauc, ndcg, recall};

    fn lists(labels: &[f32]) -> Lists {
        Lists {
            requests: vec![0..3, 3..3, 3..7],
            hashes: vec![1, 2, 3],
            tasks: vec!["a.b".to_owned(), "click".to_owned()],
            predictions: Predictions { tasks: vec![vec![0.5; 7]; 2] },
            numbers: Vec::new(),
            labels: vec![Labels { values: labels.to_vec(), present: vec![true; 7], weights: Vec::new() }; 2],
        }
    }

    #[test]
    fn a_list_has_the_metric_that_a_group_has() {
        let labels = [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0];
        let scores = [0.9, 0.5, 0.5, 0.1, 0.3, 0.3, 0.2];
        let lists = lists(&labels);
        let mut rows = GroupedRows::default();
        for (request, range) in lists.requests.iter().enumerate() {
            range.clone().for_each(|row| rows.add(request as u64 + 1, scores[row] as f32, labels[row]));
        }
        let ranked = rows.ranked();
        for (name, expected) in
            [("gauc", gauc(&ranked)), ("ndcg@2", ndcg(&ranked, 2)), ("recall@2", recall(&ranked, 2))]
        {
            let metric = ListMetric::parse(&format!("click.{name}"), &lists.tasks).unwrap();
            let of = metric.of(&lists, &scores);
            assert_eq!(of[1], None, "an empty request adds nothing");
            assert!((mean(&of).unwrap() - expected.value.unwrap()).abs() < 1e-15, "{name}");
        }
    }

    #[test]
    fn scores_that_differ_in_the_last_bit_are_no_tie() {
        let lists = lists(&[0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
        let metric = ListMetric::parse("ndcg@1:click", &lists.tasks).unwrap();
        let mut scores = [0.25; 7];
        scores[1] = 0.25 + f64::EPSILON;
        assert_eq!(metric.of(&lists, &scores)[0], Some((1.0, 1.0)));
    }

    #[test]
    fn names_that_are_none_are_told() {
        let tasks = ["a.b".to_owned(), "click".to_owned()];
        assert_eq!(ListMetric::parse("a.b.ndcg@5", &tasks).unwrap().task, 0);
        for (text, says) in [
            ("click", "such as click.ndcg@10"),
            ("clik.ndcg@5", "did you mean `click`?"),
            ("click.ndgc@5", "there is no metric"),
            ("click.auc", "take gauc, ndcg@K or recall@K"),
        ] {
            let error = ListMetric::parse(text, &tasks).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
