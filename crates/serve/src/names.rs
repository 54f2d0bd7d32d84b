//! Names of models and of clients.

/// Whether an address can have this name.
pub(crate) fn is_name(name: &str) -> bool {
    let is_allowed = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    !name.is_empty() && name.len() <= 100 && name.chars().all(is_allowed) && name.chars().any(|char| char != '.')
}
