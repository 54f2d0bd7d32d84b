//! Default sizes of structures, for a `[model]` without sizes: `kind = "ple"` alone is a model.
//!
//! Sizes are those that `docs/quality.md` recommends for a table of 60,000 to 180,000 rows: layers of 64 and 32 units,
//! two own and two shared experts, or six that all tasks share. `docs/configuration.md` lists them, and a test compares
//! the two.

use super::layers::Widths;
use super::{Level, MmoeLevel, PerTask};

/// Widths of the layers, from the input up.
const WIDTHS: [usize; 2] = [64, 32];

/// Experts of each task's own.
const OWN: usize = 2;

/// Experts beside them that are shared.
const SHARED: usize = 2;

/// Experts where all are shared.
const EXPERTS: usize = 6;

/// Widths of experts and bottoms that are the same for all tasks.
pub(super) fn widths() -> Widths {
    WIDTHS.to_vec()
}

/// Widths of experts, bottoms and networks, the same for every task.
pub(super) fn widths_of_tasks() -> PerTask<Widths> {
    PerTask::All(widths())
}

/// Where a task reads a sum of all layers, which must be equally wide.
pub(super) fn equal_widths() -> Widths {
    vec![WIDTHS[0]; WIDTHS.len()]
}

/// Experts of each task's own.
pub(super) fn task_experts() -> PerTask<usize> {
    PerTask::All(OWN)
}

/// Shared experts beside them.
pub(super) fn shared_experts() -> usize {
    SHARED
}

/// Experts that all tasks share.
pub(super) fn experts() -> usize {
    EXPERTS
}

/// Levels of PLE, one for each width.
pub(super) fn levels() -> Vec<Level> {
    let level = |width: usize| Level {
        task_experts: task_experts(),
        shared_experts: shared_experts(),
        widths: PerTask::All(vec![width]),
    };
    WIDTHS.map(level).to_vec()
}

/// Levels of ML-MMoE, one for each width.
pub(super) fn mmoe_levels() -> Vec<MmoeLevel> {
    WIDTHS.map(|width| MmoeLevel { experts: experts(), widths: vec![width] }).to_vec()
}
