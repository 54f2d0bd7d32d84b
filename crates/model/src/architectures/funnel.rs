//! Events of which each can only follow the one before it, such as click and purchase.

use pleiad_data::{TaskKind, TaskSpec};

use super::per_task::position_of;
use crate::error::{Error, Result};

/// The funnel, or without one all binary tasks in their order.
pub(super) fn or_all(funnel: &[String], tasks: &[TaskSpec]) -> Vec<String> {
    if !funnel.is_empty() {
        return funnel.to_vec();
    }
    let binary = tasks.iter().filter(|task| task.kind == TaskKind::Binary);
    binary.map(|task| task.name.clone()).collect()
}

/// Positions of the funnel's tasks, first event first; without a funnel, of all binary tasks in their order.
///
/// # Errors
/// [`Error::Config`] at `funnel` for fewer than two tasks, an unknown name, one that stands twice, or a regression.
pub(super) fn positions(funnel: &[String], tasks: &[TaskSpec]) -> Result<Vec<usize>> {
    let funnel = &or_all(funnel, tasks);
    let refuse = |key: String, message: String| Err(Error::Config { key, message });
    if funnel.len() < 2 {
        let message = "names the events in the order in which they follow one another, two at least".to_owned();
        return refuse("funnel".to_owned(), message);
    }
    let mut positions = Vec::with_capacity(funnel.len());
    for (i, name) in funnel.iter().enumerate() {
        let key = format!("funnel.{i}");
        let at = position_of(name, tasks, &key)?;
        if positions.contains(&at) {
            return refuse(key, format!("names {name:?} twice"));
        }
        if tasks[at].kind != TaskKind::Binary {
            return refuse(
                key,
                format!("{name:?} is a regression: a funnel is made of events, which are binary tasks"),
            );
        }
        positions.push(at);
    }
    Ok(positions)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::tasks;
    use super::positions;

    #[test]
    fn a_funnel_names_two_binary_tasks_or_more_in_its_own_order() {
        let tasks = tasks(&["share", "click", "time"]);
        let of = |names: &[&str]| positions(&names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>(), &tasks);
        assert_eq!(of(&["click", "share"]).unwrap(), [1, 0]);
        assert_eq!(of(&[]).unwrap(), [0, 1], "all binary tasks, in their order");
        let alone = positions(&[], &tasks[1..]).unwrap_err().to_string();
        assert!(alone.starts_with("model.funnel: names the events in the order"), "{alone}");
        for (names, expected) in [
            (vec!["click"], "model.funnel: names the events in the order"),
            (vec!["click", "shar"], "model.funnel.1: names the unknown task \"shar\"; did you mean \"share\"?"),
            (vec!["click", "share", "click"], "model.funnel.2: names \"click\" twice"),
            (vec!["click", "time"], "model.funnel.1: \"time\" is a regression"),
        ] {
            let message = of(&names).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
