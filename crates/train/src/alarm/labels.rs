//! What a structure takes for granted of the labels: that a funnel's later events have labels, and never come alone.

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

/// Training rows in which a later event of the model's funnel is there without the one before it.
///
/// # Errors
/// Those of reading rows from disk.
pub(crate) fn broken_funnel(model: &ModelConfig, tasks: &[TaskSpec], train: &RowSet) -> Result<Vec<Alarm>> {
    let funnel = model.funnel();
    if funnel.is_empty() {
        return Ok(Vec::new());
    }
    let most = match train {
        RowSet::Memory(_) => usize::MAX,
        RowSet::Stored { .. } => COMPARED,
    };
    let position = |name: &String| tasks.iter().position(|task| task.name == *name);
    let pairs: Vec<(usize, usize)> =
        funnel.windows(2).filter_map(|pair| Some((position(&pair[0])?, position(&pair[1])?))).collect();
    let of_part = |rows: &Batch, range: Range<usize>| {
        let of_pair = |&(earlier, later): &(usize, usize)| against(rows, range.clone(), earlier, later);
        (range.len() as u64, pairs.iter().map(of_pair).collect::<Vec<_>>())
    };
    let parts = train.map_parts(most, of_part)?;
    let rows: u64 = parts.iter().map(|(rows, _)| rows).sum();
    let alarm = |(at, &(earlier, later)): (usize, &(usize, usize))| {
        let sum = |of: fn(&(u64, u64)) -> u64| parts.iter().map(|(_, pairs)| of(&pairs[at])).sum::<u64>();
        let (found, later_events) = (sum(|pair| pair.0), sum(|pair| pair.1));
        (found > 0).then(|| {
            let (kind, first, second) = (model.kind(), &tasks[earlier].name, &tasks[later].name);
            let text = format!(
                "{found} of {rows} training rows have {second:?} without {first:?} ({} of all rows with {second:?}): {kind} \
                 takes it that {second:?} can only follow {first:?}, and cannot learn these rows; check how the two labels \
                 were joined, or take another order of `funnel` or another structure",
                percent(found as f64 / later_events as f64),
            );
            Alarm::new(AlarmKind::BrokenFunnel, found as f64 / rows as f64, rows, text).of_task(second)
        })
    };
    Ok(pairs.iter().enumerate().filter_map(alarm).collect())
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
        broken_funnel(&model, &[spec("buy"), spec("click")], &rows).unwrap()
    }

    const YES: Option<f32> = Some(1.0);
    const NO: Option<f32> = Some(0.0);

    #[test]
    fn rows_against_the_funnel_are_counted_and_both_tasks_named() {
        let alarms = found([YES, NO, NO, YES], [YES, YES, NO, NO]);
        let text = &alarms[0].text;
        assert!(text.starts_with("1 of 4 training rows have \"buy\" without \"click\" (50.0 %"), "{text}");
        assert_eq!((alarms.len(), alarms[0].value, alarms[0].task.as_deref()), (1, 0.25, Some("buy")));
    }

    #[test]
    fn labels_that_go_along_it_or_are_not_there_raise_none() {
        assert_eq!(found([YES, NO, NO, YES], [YES, NO, NO, NO]), []);
        assert_eq!(found([YES, NO, None, YES], [YES, None, YES, NO]), []);
    }
}
