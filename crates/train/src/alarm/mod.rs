//! What training warns of, beside the values of features, of which [`pleiad_rank::values`] warns.
//!
//! Each file looks at one thing: `scaled` at what scaling leaves of numbers, `files` at those that
//! rows come from, `settings` at what `[train]` and `[[task]]` ask for, `labels` at what a structure takes
//! for granted of them, `overlap` at rows that are in two splits, `outputs` at what a trained model predicts. Gates and
//! experts are looked at by [`crate::explain`]. Thresholds stand beside what they are for, and in `docs/warnings.md`.

pub(crate) mod files;
pub(crate) mod labels;
pub(crate) mod outputs;
pub(crate) mod overlap;
pub(crate) mod scaled;
pub(crate) mod settings;

pub(crate) use pleiad_rank::alarm::{Alarm, AlarmKind, percent};
