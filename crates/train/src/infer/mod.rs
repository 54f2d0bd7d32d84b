//! From some rows to a configuration that trains as it is, with the reason beside each setting.
//!
//! [`infer`] uses neither files nor terminals: it gets a [`Sample`]. Columns on which a person has to decide (labels, leaks,
//! ids, points in time, values that cannot be read) are left out. Comments name them with the reason. Settings are those of
//! `docs/quality.md`.

mod choose;
mod columns;
mod dialect;
mod hints;
mod labels;
mod leaks;
mod profile;
mod quote;
mod roles;
mod words;
mod write;

use pleiad_data::read::Sample;
use pleiad_data::schema::{CsvConfig, Format};
use serde::Serialize;

pub use dialect::{guess as guess_dialect, read as read_sample};

use self::profile::Profile;
use self::roles::Role;

/// What is known beside the rows.
#[derive(Debug, Clone, Default)]
pub struct InferOptions {
    /// Labels, each as `column`, `column=positive`, `column:space` or `column=positive:space`; none for those that are to
    /// be seen. The sample space is the column whose positive rows the task is about.
    pub labels: Vec<String>,
    /// What `[data] train` says: paths, folders or globs.
    pub train: Vec<String>,
    /// What `[data] format` says.
    pub format: Option<Format>,
    /// How CSV files are written, where it is not as usual.
    pub csv: CsvConfig,
    /// The file that the configuration goes to, for its first lines.
    pub file: Option<String>,
}

/// A configuration, and what a reader of it has to know.
#[derive(Debug, Clone, Serialize)]
pub struct Inferred {
    /// The configuration, with comments.
    pub toml: String,
    /// Names of the tasks.
    pub tasks: Vec<String>,
    /// Whether the tasks were chosen by what is to be seen, and not by the one who asks.
    pub tasks_are_guessed: bool,
    /// Columns that are features.
    pub features: usize,
    /// Columns that are left out, each with the reason.
    pub left_out: Vec<LeftOut>,
}

/// A column that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The column.
    pub column: String,
    /// What was seen.
    pub reason: String,
}

/// Why there is no configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InferProblem {
    /// No row.
    #[error("there are no rows, so nothing can be seen of the columns")]
    NoRows,
    /// No label was named, and none is to be seen.
    #[error("no column is a label by its name and values; name it{}", listed(.candidates))]
    NoLabel {
        /// What may be one, with what speaks for it.
        candidates: Vec<(String, String)>,
    },
    /// A label that is no column.
    #[error(
        "--label {label}: there is no column {column:?}{}",
        .nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
    )]
    NoColumn {
        /// What was asked for.
        label: String,
        /// The name that no column has.
        column: String,
        /// The nearest one that there is.
        nearest: Option<String>,
    },
    /// A label that cannot be one.
    #[error("{column:?} cannot be a label: {reason}")]
    Label {
        /// The column.
        column: String,
        /// Why.
        reason: String,
    },
    /// No column is left to learn from.
    #[error("no column is left to learn from:{}", .left_out.iter().map(|out| format!("\n  {:?}: {}", out.column, out.reason)).collect::<String>())]
    NoFeature {
        /// All that there are.
        left_out: Vec<LeftOut>,
    },
}

fn listed(candidates: &[(String, String)]) -> String {
    const SHOWN: usize = 12;
    if candidates.is_empty() {
        return ": --label COLUMN. No column has two values, which is what most labels have".to_owned();
    }
    let shown = candidates.iter().take(SHOWN).map(|(name, why)| format!("\n  --label {:<24} {why}", shell(name)));
    let more = candidates.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    format!(". These may be:{}{more}", shown.collect::<String>())
}

/// A text as a shell takes it for one word.
#[must_use]
pub fn shell(text: &str) -> String {
    let is_plain = |char: char| char.is_alphanumeric() || "_-./=:@%+".contains(char);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Rows that are looked at of a table of so many columns: 65,536, and fewer of a wide one.
#[must_use]
pub fn sample_rows(columns: usize) -> usize {
    const CELLS: usize = 1 << 24;
    (CELLS / columns.max(1)).clamp(1024, 1 << 16)
}

/// A configuration for rows of which these are some.
///
/// # Errors
/// Where labels are not to be seen or cannot be, or no column can be a feature.
pub fn infer(sample: &Sample, options: &InferOptions) -> Result<Inferred, InferProblem> {
    if sample.rows == 0 {
        return Err(InferProblem::NoRows);
    }
    let profiles: Vec<Profile> = sample.columns.iter().map(Profile::new).collect();
    let labels = labels::find(&profiles, &options.labels)?;
    let roles = roles::assign(&profiles, &labels, sample.is_whole);
    let left_out = || {
        let out = |(profile, role): (&Profile, &Role)| match role {
            Role::Out(_, reason) => Some(LeftOut { column: profile.name.clone(), reason: reason.clone() }),
            _ => None,
        };
        profiles.iter().zip(&roles).filter_map(out).collect::<Vec<_>>()
    };
    let features = roles.iter().filter(|role| matches!(role, Role::Feature(_))).count();
    if features == 0 {
        return Err(InferProblem::NoFeature { left_out: left_out() });
    }
    let toml = write::configuration(sample, options, &profiles, &labels, &roles);
    let tasks = labels.iter().map(|label| label.name.clone()).collect();
    Ok(Inferred { toml, tasks, tasks_are_guessed: options.labels.is_empty(), features, left_out: left_out() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
