//! One picture per file, each with its numbers in a table.

pub(super) mod plot;
