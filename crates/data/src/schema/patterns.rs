//! Patterns of column names: `mig_*` stands for the columns of the training files that match it.
//!
//! `*` is any number of characters, `?` is one; brackets have no meaning in a pattern, since ranges use them. If a file
//! has a column of exactly this name, the name means that column.

use std::collections::HashSet;

use super::columns::{expand, is_range};
use super::{FeatureBlock, problem};
use crate::error::Result;
use crate::error::{Block, Problem};
use crate::names::nearest;

/// Whether a name may stand for several.
pub(super) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Whether a name is like a pattern.
pub(super) fn is_like(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut in_name) = (0, 0);
    // The last star, and where in the name what stands behind it was tried.
    let mut star: Option<(usize, usize)> = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(&sign) if sign == '?' || sign == name[in_name] => (at, in_name) = (at + 1, in_name + 1),
            _ => {
                let Some((before, tried)) = star else { return false };
                star = Some((before, tried + 1));
                (at, in_name) = (before + 1, tried + 1);
            }
        }
    }
    pattern[at..].iter().all(|&sign| sign == '*')
}

impl FeatureBlock {
    /// Whether `columns` has a pattern, so that only the files say which columns are meant.
    #[must_use]
    pub fn has_pattern(&self) -> bool {
        self.columns.iter().any(|name| is_pattern(name))
    }
}

/// Puts the columns that the patterns of `columns` stand for in their place, in the order of `header`, the columns of the
/// files. A pattern adds no column that its block names otherwise.
///
/// # Errors
/// [`crate::Error::Schema`] for a pattern that no column is like, with the nearest name; a column of a pattern whose name
/// reads as a range.
pub fn find_columns(blocks: &mut [FeatureBlock], header: &[String]) -> Result<()> {
    let known: HashSet<&str> = header.iter().map(String::as_str).collect();
    for (index, block) in blocks.iter_mut().enumerate().filter(|(_, block)| block.has_pattern()) {
        let fail = |what: Problem| problem(Block::Feature(index), "columns", what);
        let is_name = |name: &str| !is_pattern(name) || known.contains(name);
        let mut named = HashSet::new();
        for name in block.columns.iter().filter(|name| is_name(name)) {
            named.extend(expand(name).map_err(|reason| fail(Problem::Range { reason }))?);
        }
        let mut columns = Vec::new();
        for name in &block.columns {
            if is_name(name) {
                columns.push(name.clone());
                continue;
            }
            let mut matched = header.iter().filter(|column| is_like(name, column)).peekable();
            if matched.peek().is_none() {
                return Err(fail(no_match(name, header)));
            }
            for column in matched {
                if is_range(column) {
                    let found = format!("\"{column}\", which \"{name}\" matches,");
                    let reason =
                        "it reads as a range of columns; rename it, or write a pattern that it is not like".to_owned();
                    return Err(fail(Problem::Value { found, reason }));
                }
                if named.insert(column.clone()) {
                    columns.push(column.clone());
                }
            }
        }
        block.columns = columns;
    }
    Ok(())
}

/// Takes those that `except` names out of the columns of a block.
pub(super) fn leave_out(columns: &mut Vec<String>, except: &[String]) -> Result<(), (&'static str, Problem)> {
    for entry in except {
        let mut out: HashSet<String> = HashSet::new();
        if columns.contains(entry) {
            out.insert(entry.clone());
        } else if is_pattern(entry) {
            out.extend(columns.iter().filter(|column| is_like(entry, column)).cloned());
        } else {
            let names = expand(entry).map_err(|reason| ("except", Problem::Range { reason }))?;
            out.extend(names.into_iter().filter(|name| columns.contains(name)));
        }
        if out.is_empty() {
            return Err(("except", no_match(entry, columns)));
        }
        columns.retain(|column| !out.contains(column));
    }
    match columns.is_empty() && !except.is_empty() {
        true => Err(("except", Problem::Choice { reason: "it leaves no column of the block".to_owned() })),
        false => Ok(()),
    }
}

fn no_match(pattern: &str, among: &[String]) -> Problem {
    let stem = pattern.replace(['*', '?'], "");
    let begins = |name: &&String| !stem.is_empty() && name.to_lowercase().starts_with(&stem.to_lowercase());
    let near = nearest(&stem, among.iter().map(String::as_str));
    let nearest = near.or_else(|| among.iter().find(begins).cloned());
    Problem::NoMatch { pattern: pattern.to_owned(), nearest }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(columns: &[&str]) -> FeatureBlock {
        let columns = columns.iter().map(|column| format!("{column:?}")).collect::<Vec<_>>().join(", ");
        toml::from_str(&format!("columns = [{columns}]\nkind = 'numeric'")).unwrap()
    }

    fn found(columns: &[&str], header: &[&str]) -> Result<Vec<String>, String> {
        let header: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
        let mut blocks = [block(columns)];
        find_columns(&mut blocks, &header).map_err(|error| error.to_string())?;
        let [block] = blocks;
        Ok(block.columns)
    }

    #[test]
    fn columns_come_in_the_order_of_the_file_and_once() {
        let header = ["mig_z", "age", "mig_a", "x0", "x1", "mig"];
        assert_eq!(found(&["mig_*"], &header).unwrap(), ["mig_z", "mig_a"]);
        assert_eq!(found(&["*g*", "a?e"], &header).unwrap(), ["mig_z", "age", "mig_a", "mig"]);
        assert_eq!(found(&["mig*", "mig_a"], &header).unwrap(), ["mig_z", "mig", "mig_a"]);
        assert_eq!(found(&["x[0..2]", "*"], &header).unwrap(), ["x[0..2]", "mig_z", "age", "mig_a", "mig"]);
        assert_eq!(found(&["none"], &header).unwrap(), ["none"], "a name is looked for elsewhere");
    }

    #[test]
    fn a_name_that_is_there_is_itself() {
        assert_eq!(found(&["a*"], &["a*", "ab"]).unwrap(), ["a*"]);
        assert_eq!(found(&["items[*].id"], &["items[*].id", "items[3].id"]).unwrap(), ["items[*].id"]);
        assert_eq!(found(&["items[?].id"], &["items[3].id"]).unwrap(), ["items[3].id"]);
    }

    #[test]
    fn what_matches_nothing_is_refused_with_the_nearest_name() {
        let message = found(&["migg_*"], &["mig_", "age"]).unwrap_err();
        assert!(message.contains("\"migg_*\" matches no column; did you mean \"mig_\"?"), "{message}");
        let message = found(&["Mig*"], &["migration_msa"]).unwrap_err();
        assert!(message.contains("did you mean \"migration_msa\"?"), "{message}");
        assert!(found(&["x*"], &["x[0..3]"]).unwrap_err().contains("reads as a range"));
    }

    #[test]
    fn exceptions_are_names_ranges_and_patterns() {
        let left = |except: &[&str]| {
            let mut columns: Vec<String> = (0..12).map(|i| format!("x{i}")).collect();
            let except: Vec<String> = except.iter().map(|&name| name.to_owned()).collect();
            leave_out(&mut columns, &except).map(|()| columns.join(" ")).map_err(|(_, what)| what.to_string())
        };
        assert_eq!(left(&["x[2..11]"]).unwrap(), "x0 x1 x11");
        assert_eq!(left(&["x?", "x11"]).unwrap(), "x10");
        assert_eq!(left(&["x7"]).unwrap().split(' ').count(), 11);
        assert!(left(&["y7"]).unwrap_err().contains("\"y7\" matches no column"));
        assert!(left(&["x1", "x1"]).unwrap_err().contains("matches no column"));
        assert!(left(&["*"]).unwrap_err().contains("leaves no column"));
    }

    /// The definition, without a thought of speed.
    fn is_like_by_definition(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, _) => name.is_empty(),
            (Some(('*', rest)), next) => {
                is_like_by_definition(rest, name) || next.is_some_and(|(_, name)| is_like_by_definition(pattern, name))
            }
            (Some((&sign, rest)), Some((&char, name))) => {
                (sign == '?' || sign == char) && is_like_by_definition(rest, name)
            }
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_is_like_what_its_definition_says(pattern in "[ab*?\\[ü]{0,7}", name in "[ab*\\[ü]{0,9}") {
            let chars = |text: &str| text.chars().collect::<Vec<char>>();
            prop_assert_eq!(is_like(&pattern, &name), is_like_by_definition(&chars(&pattern), &chars(&name)));
            prop_assert!(is_like(&name.replace('a', "?").replace("b", "*"), &name));
        }
    }
}
