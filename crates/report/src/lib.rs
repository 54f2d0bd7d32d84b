//! The report: one HTML file that shows a run, or a comparison, in pictures with their numbers beside them.
//!
//! A file needs no network, no fonts and no scripts. It follows the reader's light or dark scheme, can be printed, and
//! is laid out for a phone as for a desk. `page` is the frame, `run` and `comparison` have the contents and their
//! order; `charts` holds a picture per file, each with its table; `structure` lays out a graph by its scopes. Every
//! number of the report is in a JSON file, too.

#![forbid(unsafe_code)]

mod charts;
mod comparison;
mod data;
mod explained;
mod format;
mod page;
mod run;
mod structure;
#[cfg(test)]
mod tests;

use pleiad_train::pages::{ComparisonPage, ModelPage, Pages, RunPage};

/// Reports as HTML documents.
#[derive(Debug, Clone, Copy, Default)]
pub struct Html;

impl Pages for Html {
    fn run(&self, page: &RunPage<'_>) -> String {
        run::document_of(page)
    }

    fn comparison(&self, page: &ComparisonPage<'_>) -> String {
        comparison::document_of(page)
    }
}
