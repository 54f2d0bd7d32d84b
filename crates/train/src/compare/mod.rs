//! Several models on the same rows over the same seeds: did multi-task learning help every task?
//!
//! [`result`](Comparison) is what is known in the end; `statistics` the intervals, `verdict` the words.

mod result;
mod statistics;
mod verdict;

pub use result::{ComparedModel, Comparison, MeasuredOn, SeedRun, TaskComparison};
pub use statistics::{Interval, Side, Spread};
pub use verdict::{Verdict, VerdictKind};
