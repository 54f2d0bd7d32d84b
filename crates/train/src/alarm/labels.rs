//! The assumptions of a structure about labels: the later events of a funnel have labels, and never come alone.

use std::ops::Range;

use pleiad_data::{Batch, TaskSpec};
use pleiad_model::ModelConfig;

use super::{Alarm, AlarmKind, percent};
use crate::counts::RowCount;
use crate::error::Result;
use crate::rows::RowSet;

/// Blocks of rows on disk of which labels are compared: 65,536 rows.
const COMPARED: usize = 16;

/// What is wrong with a funnel whose later events lack labels: a model of the entire space that learns from rows with
/// the earlier event alone.
pub(crate) fn unlabelled_funnel(model: &ModelConfig, rows: &RowCount) -> Option<Alarm> {
    let lacks = |task: &&String| rows.tasks.get(task).is_some_and(|&labelled| labelled < rows.rows);
    let task = model.entire_space().iter().find(lacks)?;
    let labelled = rows.tasks.get(task)?;
    let lacking = rows.rows - labelled;
    let text = format!(
        "{} predicts {task:?} over all rows, but {lacking} of {} training rows have no label of it and are left out; if an \
         empty label means that it did not happen, say label = {{ .., missing = 0 }}",
        model.kind(),
        rows.rows
    );
    let share = lacking as f64 / rows.rows as f64;
    Some(Alarm::new(AlarmKind::UnlabelledFunnel, share, rows.rows, text).of_task(task))
}

/// Counts rows in which a later event of a model's funnel is there without the one before it.
#[derive(Debug)]
pub(crate) struct FunnelWatch<'a> {
    kind: &'a str,
    tasks: &'a [TaskSpec],
    /// Positions of two events of the funnel that follow each other.
    pairs: Vec<(usize, usize)>,
    rows: u64,
    /// By pair: rows against it, and rows with the later event.
    counts: Vec<(u64, u64)>,
}

impl<'a> FunnelWatch<'a> {
    /// A watch for a model of this kind. Without events in `funnel` it watches nothing.
    pub(crate) fn new(kind: &'a str, funnel: &[String], tasks: &'a [TaskSpec]) -> Self {
        let position = |name: &String| tasks.iter().position(|task| task.name == *name);
        let pair = |pair: &[String]| Some((position(&pair[0])?, position(&pair[1])?));
        let pairs: Vec<(usize, usize)> = funnel.windows(2).filter_map(pair).collect();
        Self { kind, tasks, rows: 0, counts: vec![(0, 0); pairs.len()], pairs }
    }

    /// Adds the rows of a batch.
    pub(crate) fn add(&mut self, rows: &Batch) {
        let counts = self.of_part(rows, 0..rows.rows);
        self.add_counts(rows.rows as u64, &counts);
    }

    fn of_part(&self, rows: &Batch, range: Range<usize>) -> Vec<(u64, u64)> {
        self.pairs.iter().map(|&(earlier, later)| against(rows, range.clone(), earlier, later)).collect()
    }

    fn add_counts(&mut self, rows: u64, counts: &[(u64, u64)]) {
        self.rows += rows;
        for (sum, (against, later)) in self.counts.iter_mut().zip(counts) {
            *sum = (sum.0 + against, sum.1 + later);
        }
    }

    /// What is wrong with the rows so far, which are called `name`, such as `training rows`.
    pub(crate) fn alarms(&self, name: &str) -> Vec<Alarm> {
        let alarm = |(&(earlier, later), &(found, later_events)): (&(usize, usize), &(u64, u64))| {
            (found > 0).then(|| {
                let (kind, rows) = (self.kind, self.rows);
                let (first, second) = (&self.tasks[earlier].name, &self.tasks[later].name);
                let text = format!(
                    "{found} of {rows} {name} have {second:?} without {first:?} ({} of all rows with {second:?}): {kind} \
                     takes it that {second:?} can only follow {first:?}, which is untrue of these rows; check how the two \
                     labels were joined, or take another order of `funnel` or another structure",
                    percent(found as f64 / later_events as f64),
                );
                Alarm::new(AlarmKind::BrokenFunnel, found as f64 / rows as f64, rows, text).of_task(second)
            })
        };
        self.pairs.iter().zip(&self.counts).filter_map(alarm).collect()
    }
}

/// Rows of a split, called `name`, in which a later event of the model's funnel is there without the one before it.
///
/// # Errors
/// Those of reading rows from disk.
pub(crate) fn broken_funnel(model: &ModelConfig, tasks: &[TaskSpec], name: &str, rows: &RowSet) -> Result<Vec<Alarm>> {
    let mut watch = FunnelWatch::new(model.kind(), model.funnel(), tasks);
    if watch.pairs.is_empty() {
        return Ok(Vec::new());
    }
    let most = match rows {
        RowSet::Memory(_) => usize::MAX,
        RowSet::Stored { .. } => COMPARED,
    };
    let parts = rows.map_parts(most, |rows, range| (range.len() as u64, watch.of_part(rows, range)))?;
    parts.iter().for_each(|(rows, counts)| watch.add_counts(*rows, counts));
    Ok(watch.alarms(name))
}

/// Rows with the later event and not the earlier one, and rows with the later event; of those that have both labels.
fn against(rows: &Batch, range: Range<usize>, earlier: usize, later: usize) -> (u64, u64) {
    let (earlier, later) = (&rows.labels[earlier], &rows.labels[later]);
    let both = earlier.present[range.clone()].iter().zip(&later.present[range.clone()]).map(|(a, b)| *a && *b);
    let labels = earlier.values[range.clone()].iter().zip(&later.values[range]).zip(both);
    labels.fold((0, 0), |(against, all), ((&earlier, &later), both)| {
        let happened = both && later == 1.0;
        (against + u64::from(happened && earlier == 0.0), all + u64::from(happened))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Dataset, Labels, TaskKind};

    use super::*;

    fn labels(values: [Option<f32>; 4]) -> Labels {
        Labels {
            values: values.map(|value| value.unwrap_or(0.0)).to_vec(),
            present: values.map(|value| value.is_some()).to_vec(),
            weights: Vec::new(),
        }
    }

    fn found(click: [Option<f32>; 4], buy: [Option<f32>; 4]) -> Vec<Alarm> {
        let model: ModelConfig =
            toml::from_str("kind = 'aitm'\nfunnel = ['click', 'buy']\nbottom = [4]\ntower = [4]").unwrap();
        let spec = |name: &str| TaskSpec::new(name, TaskKind::Binary);
        let rows = Batch { rows: 4, labels: vec![labels(buy), labels(click)], ..Batch::default() };
        let rows = RowSet::Memory(Dataset::from(rows));
        broken_funnel(&model, &[spec("buy"), spec("click")], "test rows", &rows).unwrap()
    }

    const YES: Option<f32> = Some(1.0);
    const NO: Option<f32> = Some(0.0);

    #[test]
    fn rows_against_the_funnel_are_counted_and_both_tasks_named() {
        let alarms = found([YES, NO, NO, YES], [YES, YES, NO, NO]);
        let text = &alarms[0].text;
        assert!(text.starts_with("1 of 4 test rows have \"buy\" without \"click\" (50.0 %"), "{text}");
        assert_eq!((alarms.len(), alarms[0].value, alarms[0].task.as_deref()), (1, 0.25, Some("buy")));
    }

    #[test]
    fn labels_that_go_along_it_or_are_not_there_raise_none() {
        assert_eq!(found([YES, NO, NO, YES], [YES, NO, NO, NO]), []);
        assert_eq!(found([YES, NO, None, YES], [YES, None, YES, NO]), []);
    }
}
