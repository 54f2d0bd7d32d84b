//! The tree that a TOML text becomes: paths into it, walks over it, changes to it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One step of a path into the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathStep {
    /// Key of a table.
    Key(String),
    /// Element of an array.
    Index(usize),
}

impl From<&str> for PathStep {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for PathStep {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// Writes a path as `--set` takes it: `model.levels.1.shared_experts`.
pub(crate) fn dotted(path: &[PathStep]) -> String {
    let steps: Vec<String> = path
        .iter()
        .map(|step| match step {
            PathStep::Key(key) if key.contains(['.', ' ', '=']) || key.is_empty() => format!("\"{key}\""),
            PathStep::Key(key) => key.clone(),
            PathStep::Index(index) => index.to_string(),
        })
        .collect();
    steps.join(".")
}

/// Parses `a.0."b c".d`.
pub(crate) fn parse_path(key: &str) -> Result<Vec<PathStep>, String> {
    Ok(parse_path_spanned(key)?.into_iter().map(|(step, _)| step).collect())
}

/// Parses a path, with the place of each step in it.
pub(super) fn parse_path_spanned(key: &str) -> Result<Vec<(PathStep, Range<usize>)>, String> {
    let mut path = Vec::new();
    let mut rest = key.trim();
    let end = key.trim_end().len();
    loop {
        let start = end - rest.len();
        let (step, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.find('"').ok_or_else(|| format!("the key {key} has an open quote"))?;
                (PathStep::Key(quoted[..end].to_owned()), &quoted[end + 1..])
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let word = rest[..end].trim();
                if word.is_empty() {
                    return Err(format!("the key {key:?} has an empty part; write it as in train.optimizer.kind"));
                }
                (word.parse().map_or_else(|_| PathStep::Key(word.to_owned()), PathStep::Index), &rest[end..])
            }
        };
        path.push((step, start..end - after.len()));
        match after.strip_prefix('.') {
            Some(more) => rest = more,
            None if after.is_empty() => return Ok(path),
            None => return Err(format!("the key {key:?} has text after a closing quote")),
        }
    }
}

/// Puts a value at a path, making the tables on the way: each stands where the path goes on below it, up to `end`.
pub(super) fn assign<'s>(
    node: &mut Spanned<DeValue<'s>>,
    path: &[(PathStep, Range<usize>)],
    value: Spanned<DeValue<'s>>,
    end: usize,
) -> Result<(), String> {
    let Some(((step, span), rest)) = path.split_first() else {
        *node = value;
        return Ok(());
    };
    let kind = node.get_ref().type_str();
    match (node.get_mut(), step) {
        (DeValue::Array(array), PathStep::Index(index)) => {
            let len = array.len();
            let Some(element) = array.get_mut(*index) else {
                return Err(format!("there is no element {index}: the array has {len}, counted from 0"));
            };
            assign(element, rest, value, end)
        }
        (DeValue::Array(array), PathStep::Key(key)) => Err(format!(
            "{key:?} stands where the position in an array is expected, 0 to {}",
            array.len().saturating_sub(1)
        )),
        (DeValue::Table(table), step) => {
            // A table may have keys that look like numbers.
            let key = match step {
                PathStep::Key(key) => key.clone(),
                PathStep::Index(index) => index.to_string(),
            };
            if let Some(child) = table.get_mut(key.as_str()) {
                return assign(child, rest, value, end);
            }
            let below = rest.first().map_or(end, |(_, next)| next.start);
            let mut child = Spanned::new(below..end, DeValue::Table(DeTable::new()));
            assign(&mut child, rest, value, end)?;
            table.insert(Spanned::new(span.clone(), key.into()), child);
            Ok(())
        }
        // A scalar is not replaced by a table silently: `early_stopping.patience=3` beside `early_stopping = false`.
        (_, step) => {
            let part = dotted(std::slice::from_ref(step));
            Err(format!("`{part}` would lie inside of a value ({kind}); only tables and arrays have parts"))
        }
    }
}

/// Moves a value and all inside it by an offset.
pub(super) fn shift(node: &mut Spanned<DeValue<'_>>, offset: usize) {
    let moved = |span: Range<usize>| span.start + offset..span.end + offset;
    let span = moved(node.span());
    let value = match std::mem::replace(node.get_mut(), DeValue::Boolean(false)) {
        DeValue::Array(mut array) => {
            array.iter_mut().for_each(|element| shift(element, offset));
            DeValue::Array(array)
        }
        DeValue::Table(table) => DeValue::Table(
            table
                .into_iter()
                .map(|(key, mut value)| {
                    shift(&mut value, offset);
                    (Spanned::new(moved(key.span()), key.into_inner()), value)
                })
                .collect(),
        ),
        scalar => scalar,
    };
    *node = Spanned::new(span, value);
}

/// The child of a node with the place of its key.
pub(super) fn child<'a, 's>(
    node: &'a Spanned<DeValue<'s>>,
    step: &PathStep,
) -> Option<(Option<Range<usize>>, &'a Spanned<DeValue<'s>>)> {
    match (node.get_ref(), step) {
        (DeValue::Table(table), PathStep::Key(key)) => {
            table.get_key_value(key.as_str()).map(|(key, value)| (Some(key.span()), value))
        }
        (DeValue::Array(array), PathStep::Index(index)) => array.get(*index).map(|value| (None, value)),
        _ => None,
    }
}

/// The node at a path, to be changed.
fn node_mut<'a, 's>(root: &'a mut Spanned<DeValue<'s>>, path: &[PathStep]) -> Option<&'a mut Spanned<DeValue<'s>>> {
    path.iter().try_fold(root, |node, step| match (node.get_mut(), step) {
        (DeValue::Table(table), PathStep::Key(key)) => table.get_mut(key.as_str()),
        (DeValue::Array(array), PathStep::Index(index)) => array.get_mut(*index),
        _ => None,
    })
}

pub(super) fn replace<'s>(root: &mut Spanned<DeValue<'s>>, path: &[PathStep], value: DeValue<'s>) {
    if let Some(node) = node_mut(root, path) {
        *node.get_mut() = value;
    }
}

/// Renames the last key of a path.
pub(super) fn rename(root: &mut Spanned<DeValue<'_>>, path: &[PathStep], to: &str) {
    let Some((PathStep::Key(key), table)) = path.split_last() else { return };
    if let Some(DeValue::Table(table)) = node_mut(root, table).map(Spanned::get_mut)
        && let Some((old, value)) = table.remove_entry(key.as_str())
    {
        table.insert(Spanned::new(old.span(), to.to_owned().into()), value);
    }
}

/// Gives the table at a path another key, whose value is a text.
pub(super) fn insert(root: &mut Spanned<DeValue<'_>>, path: &[PathStep], key: &str, text: &'static str) {
    if let Some(DeValue::Table(table)) = node_mut(root, path).map(Spanned::get_mut) {
        let value = Spanned::new(0..0, DeValue::String(text.into()));
        table.insert(Spanned::new(0..0, key.to_owned().into()), value);
    }
}

/// What [`walk`] calls: a node's path, the place of its key, the node.
pub(super) type Visit<'v> = dyn FnMut(&[PathStep], Option<&Range<usize>>, &Spanned<DeValue<'_>>) + 'v;

/// Visits every node, parents before children.
pub(super) fn walk(node: &Spanned<DeValue<'_>>, visit: &mut Visit<'_>) {
    fn descend(
        node: &Spanned<DeValue<'_>>,
        key: Option<&Range<usize>>,
        path: &mut Vec<PathStep>,
        visit: &mut Visit<'_>,
    ) {
        visit(path, key, node);
        match node.get_ref() {
            DeValue::Table(table) => {
                for (key, value) in table {
                    path.push(PathStep::Key(key.get_ref().to_string()));
                    descend(value, Some(&key.span()), path, visit);
                    path.pop();
                }
            }
            DeValue::Array(array) => {
                for (i, value) in array.iter().enumerate() {
                    path.push(PathStep::Index(i));
                    descend(value, None, path, visit);
                    path.pop();
                }
            }
            _ => {}
        }
    }
    descend(node, None, &mut Vec::new(), visit);
}
