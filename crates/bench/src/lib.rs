//! [`steps`], [`growth`], [`file()`] and [`stream()`]: the cost of a training step, its growth, and the cost of an
//! epoch from files on, in memory and on disk.
//!
//! One file per family of workloads: `dense`, `census` and `tables` define a [`Case`] each, whose steps `measure`
//! times; [`growth`] varies one size at a time; [`file()`] runs a configuration, [`stream()`] a log that stays on disk.
//! [`export`] writes a case to files, so that another program can be checked for the same results, and then timed.
//! Shapes and rows are fixed, so figures of different versions and machines can be compared.

#![forbid(unsafe_code)]

mod case;
mod census;
mod dense;
mod export;
mod file;
mod growth;
mod measure;
mod memory;
mod requests;
mod stream;
mod tables;

use std::str::FromStr;

pub use pleiad_train::{Error, Result};
use serde::Serialize;

pub use self::case::{Arithmetic, Case, Field, ProductFlops, Requests};
pub use self::export::{EXPORTED_BATCHES, GRADIENT_ROWS, export};
pub use self::file::{FileFigures, cached_file, file};
pub use self::growth::{GrowthPoint, GrowthSeries, growth};
pub use self::measure::{Effort, Spread, StepFigures, steps};
pub use self::memory::Memory;
pub use self::stream::{StreamFigures, stream};

/// Everything that one run of the bench measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BenchReport {
    /// Threads computed with.
    pub threads: usize,
    /// Steps of fixed shapes.
    pub steps: Vec<StepFigures>,
    /// Growth of the cost of a step.
    pub growth: Vec<GrowthSeries>,
    /// An epoch of a configuration.
    pub file: Option<FileFigures>,
    /// The same with encoded rows in its cache.
    pub cached_file: Option<FileFigures>,
    /// An epoch of a log on disk.
    pub stream: Option<StreamFigures>,
}

/// What can be measured without a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// W1: wide numeric input, matrix products dominate.
    Dense,
    /// W2: the shape of the census example.
    Census,
    /// W3: 4.6 million embedding rows.
    Tables,
    /// W5: an epoch of a log that is not held in memory.
    Stream,
    /// W6: the cost of a row against one size at a time.
    Growth,
    /// W7: candidates of requests, what they have in common computed once.
    Requests,
    /// W7 row by row, to compare.
    FlatRequests,
}

impl Workload {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 7] =
        [Self::Dense, Self::Census, Self::Tables, Self::Stream, Self::Growth, Self::Requests, Self::FlatRequests];

    /// Short name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dense => "w1",
            Self::Census => "w2",
            Self::Tables => "w3",
            Self::Stream => "w5",
            Self::Growth => "w6",
            Self::Requests => "w7",
            Self::FlatRequests => "w7-flat",
        }
    }

    /// What it is, in a word; as good as a name.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Census => "census",
            Self::Tables => "tables",
            Self::Stream => "stream",
            Self::Growth => "growth",
            Self::Requests => "requests",
            Self::FlatRequests => "flat-requests",
        }
    }

    /// The case whose steps are timed; `None` for [`Workload::Stream`] and [`Workload::Growth`], which are no
    /// single case.
    #[must_use]
    pub fn case(self) -> Option<Case> {
        match self {
            Self::Dense => Some(dense::case()),
            Self::Census => Some(census::case()),
            Self::Tables => Some(tables::case()),
            Self::Requests => Some(requests::case(true)),
            Self::FlatRequests => Some(requests::case(false)),
            Self::Stream | Self::Growth => None,
        }
    }
}

/// A name that no workload has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no workload {name:?}{}; known are {}",
    .nearest.as_ref().map_or_else(String::new, |nearest| format!(", did you mean {nearest:?}?")),
    Workload::ALL.map(|w| format!("{} ({})", w.name(), w.title())).join(", ")
)]
pub struct UnknownWorkload {
    /// The name.
    pub name: String,
    /// The nearest one that exists.
    pub nearest: Option<String>,
}

impl FromStr for Workload {
    type Err = UnknownWorkload;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = || Self::ALL.into_iter().flat_map(|w| [(w.name(), w), (w.title(), w)]);
        match names().find(|(name, _)| *name == text) {
            Some((_, workload)) => Ok(workload),
            None => {
                let nearest = pleiad_data::nearest(text, names().map(|(name, _)| name));
                Err(UnknownWorkload { name: text.to_owned(), nearest })
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn workloads_have_two_names_and_a_nearest_one() {
        for workload in Workload::ALL {
            assert_eq!(workload.name().parse(), Ok(workload));
            assert_eq!(workload.title().parse(), Ok(workload));
        }
        for (text, nearest) in [("W1", Some("w1")), ("table", Some("tables")), ("dens", Some("dense")), ("x", None)] {
            let error = text.parse::<Workload>().unwrap_err();
            assert_eq!(error.nearest.as_deref(), nearest, "{text}");
            assert!(error.to_string().contains("w2 (census)"), "{error}");
        }
    }
}
