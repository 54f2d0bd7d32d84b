//! Errors in a configuration, and their places: [`KeyPlace`] and [`Problem`].

use std::fmt;

/// The block and key of the configuration that a [`Problem`] is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPlace {
    /// The block.
    pub block: Block,
    /// The key in it, dotted where it is nested; `None` for the block as a whole.
    pub key: Option<String>,
}

/// A block of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// `[data]`.
    Data,
    /// The `[[feature]]` block of this number, from 0.
    Feature(usize),
    /// The `[[task]]` block of this number, from 0.
    Task(usize),
    /// The file as a whole.
    Root,
}

impl KeyPlace {
    pub(crate) fn new(block: Block, key: &str) -> Self {
        Self { block, key: Some(key.to_owned()) }
    }

    pub(crate) fn block(block: Block) -> Self {
        Self { block, key: None }
    }
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.block {
            Block::Data => f.write_str("[data]")?,
            Block::Feature(index) => write!(f, "[[feature]] block {}", index + 1)?,
            Block::Task(index) => write!(f, "[[task]] block {}", index + 1)?,
            Block::Root => f.write_str("configuration")?,
        }
        match &self.key {
            Some(key) => write!(f, ", {key}"),
            None => Ok(()),
        }
    }
}

/// What is wrong; reads after the [`KeyPlace`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No feature at all.
    #[error("there is no [[feature]] block, so a model would have nothing to read")]
    NoFeature,
    /// No task at all.
    #[error("there is no [[task]] block, so there is nothing to predict")]
    NoTask,
    /// A feature block without columns.
    #[error("no column is given")]
    NoColumn,
    /// An empty or otherwise impossible name.
    #[error("\"{name}\" cannot be a {what}: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// What it should name.
        what: &'static str,
        /// Why it cannot.
        reason: &'static str,
    },
    /// Two features of one name.
    #[error(
        "\"{name}\" is already a feature in [[feature]] block {}; where one column feeds several features, give the others \
         names of their own with `name`",
        .first + 1
    )]
    DuplicateFeature {
        /// The name.
        name: String,
        /// The block that has it first, from 0.
        first: usize,
    },
    /// Two tasks of one name.
    #[error("\"{name}\" is already the name of [[task]] block {}", .first + 1)]
    DuplicateTask {
        /// The name.
        name: String,
        /// The block that has it first, from 0.
        first: usize,
    },
    /// A label that is also a feature.
    #[error(
        "column \"{column}\" is also a feature ([[feature]] block {}): the model would read what it has to predict; \
         remove it from the features",
        .feature + 1
    )]
    Leakage {
        /// The column.
        column: String,
        /// The feature's block, from 0.
        feature: usize,
    },
    /// A key that another key asks for.
    #[error("is missing: {reason}")]
    Needed {
        /// Who asks for it.
        reason: &'static str,
    },
    /// A key that has no meaning here.
    #[error("has no meaning here: {reason}")]
    Pointless {
        /// Why.
        reason: String,
    },
    /// A value that cannot be.
    #[error("{found} is not allowed: {reason}")]
    Value {
        /// The value.
        found: String,
        /// What is allowed.
        reason: String,
    },
    /// A number beyond its bounds.
    #[error("must {must}, not {found}")]
    Bound {
        /// What is allowed, as it reads after "must".
        must: String,
        /// The number.
        found: String,
    },
    /// Keys that exclude each other, or none of them.
    #[error("{reason}")]
    Choice {
        /// What to write.
        reason: String,
    },
    /// A pattern, or an exception, that no column is like.
    #[error("\"{pattern}\" matches no column{}", .nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean \"{name}\"?")))]
    NoMatch {
        /// The pattern.
        pattern: String,
        /// The nearest name that there is.
        nearest: Option<String>,
    },
    /// A range of columns that cannot be.
    #[error("{reason}")]
    Range {
        /// What is wrong with it.
        reason: String,
    },
    /// A transform at a place where it may fail on rows that training has not seen.
    #[error(
        "log1p after {after} meets values at or below -1, where it is not defined; put it first, or a clip from above \
         -1 between them"
    )]
    Log1pTooLate {
        /// The step before it.
        after: &'static str,
    },
    /// Features of one table that want it different.
    #[error("table \"{table}\" is shared with feature \"{other}\", which has another {what}")]
    TableConflict {
        /// The table.
        table: String,
        /// The feature that has it first.
        other: String,
        /// What differs.
        what: &'static str,
    },
}
