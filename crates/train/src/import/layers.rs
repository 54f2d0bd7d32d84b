//! What the structures of all packages have in common.

use super::state::{Linear, Stack, StateDict};
use crate::error::Result;

/// Refuses weights of another number of tasks; `at` has one entry per task.
pub(super) fn check_tasks(state: &StateDict, at: &str, tasks: usize) -> Result<()> {
    let found = state.count(at);
    if found == tasks {
        return Ok(());
    }
    Err(state.refuse(
        state.first(&format!("{at}.")).unwrap_or(at),
        format!("there are {found} of {at:?}, one per task, and the configuration has {tasks} [[task]] blocks; name every task, in the order in which the model has them"),
    ))
}

/// Experts of all tasks in order, by task.
pub(super) fn share_out(state: &StateDict, all: Vec<Stack>, tasks: usize, at: &str) -> Result<Vec<Vec<Stack>>> {
    let each = all.len() / tasks.max(1);
    if each == 0 || each * tasks != all.len() {
        let reason = format!("{} experts cannot be shared out to {tasks} tasks", all.len());
        return Err(state.refuse(state.first(&format!("{at}.")).unwrap_or(at), reason));
    }
    let mut all = all.into_iter();
    Ok((0..tasks).map(|_| all.by_ref().take(each).collect()).collect())
}

/// Width of what experts give.
pub(super) fn width_of(experts: &[Stack], otherwise: usize) -> usize {
    experts.first().and_then(|expert| expert.last()).map_or(otherwise, |layer: &Linear| layer.outputs)
}
