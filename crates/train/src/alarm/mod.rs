//! The warnings of training. [`pleiad_rank::values`] warns of values of features.
//!
//! Each file checks one thing: `scaled` the numbers after scaling, `files` the files of the splits, `settings` the values
//! of `[train]` and `[[task]]`, `labels` the assumptions of a structure about labels, `overlap` rows that are in two splits,
//! `outputs` the predictions of a trained model. [`crate::explain`] checks gates and experts. Each threshold stands beside
//! the check that uses it, and in `docs/warnings.md`.

pub(crate) mod files;
pub(crate) mod labels;
pub(crate) mod outputs;
pub(crate) mod overlap;
pub(crate) mod scaled;
pub(crate) mod settings;

pub(crate) use pleiad_rank::alarm::{Alarm, AlarmKind, percent};
