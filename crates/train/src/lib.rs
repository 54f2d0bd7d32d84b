//! Training: from a configuration and its rows to a measured model.
//!
//! [`config`] reads the one TOML file, [`fit`] is the loop, [`metrics`] and `evaluate` measure, `checkpoint` and
//! [`run`] keep a run on disk; [`measure()`], [`inspect()`] and [`import()`] take a saved model, or weights. The caller
//! passes what draws a report ([`pages`]). Nothing here prints or computes gradients.

#![forbid(unsafe_code)]

mod alarm;
mod checkpoint;
pub mod compare;
pub mod config;
mod counts;
mod error;
mod evaluate;
pub mod explain;
pub mod figures;
pub mod fit;
mod import;
pub mod infer;
mod inspect;
pub mod lists;
mod measure;
pub mod metrics;
pub mod pages;
pub mod quickstart;
pub mod replay;
mod rows;
pub mod run;
mod statistics;
pub mod tune;

pub use checkpoint::Checkpointed;
pub use config::{Config, ConfigFile};
pub use counts::{DataSummary, LabelSummary, ParameterCount, RowCount, SplitRows, SplitSummary};
pub use error::{ConfigError, Error, Place, Position, Result};
pub use evaluate::{Evaluation, named_metrics};
pub use explain::{ExpertRange, ExpertUse, Explanation, GateUtilisation};
pub use fit::{EpochRecord, Event, Observer, Silent, StopReason};
pub use import::{ImportOptions, ImportReport, Package, import};
pub use inspect::{Inspection, ModuleSize, Utilisation, inspect, utilisation, utilisation_of};
pub use measure::measure;
pub use pleiad_rank::alarm::{Alarm, AlarmKind};
pub use pleiad_rank::{ByTask, ErrorKind, Interrupt};
pub use rows::{RowSet, Rows};
pub use run::{RunReport, TrainOptions, TrainOutcome, train};
