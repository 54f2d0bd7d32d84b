//! One picture per file, each with its numbers in a table.

pub(super) mod calibration;
pub(super) mod gains;
pub(super) mod graph;
pub(super) mod heat;
pub(super) mod importance;
pub(super) mod learning;
pub(super) mod plot;
pub(super) mod seesaw;
pub(super) mod utilisation;
pub(super) mod weights;
