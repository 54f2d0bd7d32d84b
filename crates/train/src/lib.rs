//! Training: from a configuration and its rows to a measured model.
//!
//! [`config`] reads the one TOML file, [`fit`] is the loop, [`metrics`] and `evaluate` measure, `checkpoint` and
//! [`run`] keep a run on disk, [`model`] opens what a run has written. Nothing here prints, and nothing here knows how
//! a gradient is computed.

#![forbid(unsafe_code)]

mod alarm;
pub mod bench;
mod by_task;
mod checkpoint;
pub mod compare;
pub mod config;
mod counts;
mod error;
mod evaluate;
pub mod explain;
pub mod figures;
pub mod fit;
pub mod infer;
pub mod metrics;
pub mod model;
pub mod quickstart;
pub mod report;
mod rows;
pub mod run;
mod statistics;

pub use alarm::{Alarm, AlarmKind};
pub use by_task::ByTask;
pub use checkpoint::Checkpointed;
pub use config::{Config, ConfigFile};
pub use counts::{DataSummary, LabelSummary, ParameterCount, RowCount, SplitRows, SplitSummary};
pub use error::{ConfigError, Error, ErrorKind, Place, Position, Result};
pub use evaluate::{Evaluation, named_metrics};
pub use explain::{ExpertRange, ExpertUse, Explanation, GateUtilisation};
pub use fit::{EpochRecord, Event, Interrupt, Observer, Silent, StopReason};
pub use model::{ImportOptions, ImportReport, Inspection, Model, ModuleSize, Read, Source, Utilisation, import};
pub use rows::{RowSet, Rows};
pub use run::{RunReport, TrainOptions, TrainOutcome, train};
