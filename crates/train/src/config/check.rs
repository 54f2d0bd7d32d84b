//! [`Issue`]: what a check of configured values found, before it is led back to a line.

use super::tree::{PathStep, parse_path};

/// A value that serde accepts and training cannot use.
#[derive(Debug)]
pub(crate) struct Issue {
    /// Where it stands.
    pub(crate) path: Vec<PathStep>,
    /// What is wrong and what would be right.
    pub(crate) message: String,
}

impl Issue {
    /// An issue at a path written with dots.
    pub(crate) fn new(path: &str, message: impl Into<String>) -> Self {
        Self::at(parse_path(path).unwrap_or_default(), message)
    }

    /// An issue at a path.
    pub(crate) fn at(path: Vec<PathStep>, message: impl Into<String>) -> Self {
        Self { path, message: message.into() }
    }
}

/// Refuses a count of 0, or of more than `most`.
pub(super) fn count(path: &str, value: u64, most: u64) -> Result<(), Issue> {
    match value {
        0 => Err(Issue::new(path, "must be at least 1, not 0")),
        value if value > most => Err(Issue::new(path, format!("must be at most {most}, not {value}"))),
        _ => Ok(()),
    }
}

/// Refuses what f32 takes for infinite.
pub(super) fn fits_f32(path: &str, value: f64) -> Result<(), Issue> {
    if (value as f32).is_finite() {
        return Ok(());
    }
    Err(Issue::new(path, format!("must be at most {:e}, the largest 32-bit number, not {value:e}", f32::MAX)))
}

/// A number without the hundreds of digits that it may have.
fn shown(value: f64) -> String {
    if value.abs() >= 1e16 { format!("{value:e}") } else { value.to_string() }
}

/// Refuses what is not a finite number above 0.
pub(super) fn above_zero(path: &str, value: f64) -> Result<(), Issue> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Issue::new(path, format!("must be a finite number above 0, not {}", shown(value))))
}

/// Refuses what is not a finite number, 0 or above.
pub(super) fn not_negative(path: &str, value: f64) -> Result<(), Issue> {
    if value >= 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Issue::new(path, format!("must be a finite number, 0 or above, not {}", shown(value))))
}

/// Leads an error about an optimizer or a schedule to the key that it names.
pub(super) fn check_option(path: &str, result: pleiad_engine::Result<()>) -> Result<(), Issue> {
    result.map_err(|error| match error {
        pleiad_engine::Error::InvalidOption { key, value, expected } => Issue::new(
            &format!("{path}.{}", key.replace('[', ".").replace(']', "")),
            format!("expected {expected}, found {value}"),
        ),
        error => Issue::new(path, error.to_string()),
    })
}
