//! What is found out before the first step: whether epochs can be compared, and labels that teach nothing.

use pleiad_data::{Batch, TaskKind, TaskSpec};
use pleiad_engine::Predictions;

use super::{Event, FitProblem, Observer};
use crate::config::Selection;
use crate::error::{Error, Result};
use crate::evaluate::evaluate;

/// Why the metric that epochs are compared by is not defined on the validation rows, if it is not; found out before the
/// first step rather than after an epoch. It depends on the labels alone, so that any predictions will do.
pub(super) fn cannot_compare_epochs(
    problem: &FitProblem<'_>,
    specs: &[TaskSpec],
    observer: &mut dyn Observer,
) -> Result<Option<String>> {
    let Some(valid) = problem.valid else { return Ok(Some("there are no validation rows".to_owned())) };
    let any = |batch: &Batch| Ok(Predictions { tasks: vec![vec![0.5; batch.rows]; specs.len()] });
    let evaluation = evaluate(any, valid, specs, problem.measures, problem.config.evaluation_batch_size)?;
    let selection = problem.config.selection();
    match evaluation.score(&selection) {
        Err(error) if problem.config.early_stopping.is_some() => Err(error),
        Err(Error::NoSelection { metric, reason }) => {
            let why = format!("{metric} is not defined on the {} validation rows: {reason}", valid.count());
            observer.event(&Event::Warning(&format!("the last epoch is kept, not the best one, as {why}")));
            Ok(Some(why))
        }
        Err(error) => Err(error),
        Ok(_) => {
            if selection == Selection::Mean {
                for reason in evaluation.left_out_of_mean() {
                    let text = format!("{reason}; it has no part in choosing the best epoch");
                    observer.event(&Event::Warning(&text));
                }
            }
            Ok(None)
        }
    }
}

/// Warns of binary tasks whose training labels are all alike: this is allowed, and never meant.
pub(super) fn warn_of_one_class(problem: &FitProblem<'_>, observer: &mut dyn Observer) {
    for (task, labels) in problem.tasks.iter().zip(problem.train.label_counts()) {
        if let (TaskKind::Binary, Some(only)) = (task.kind, labels.only) {
            let text =
                format!("every training label of task {:?} is {only}: there is nothing to tell apart", task.name);
            observer.event(&Event::Warning(&text));
        }
    }
}
