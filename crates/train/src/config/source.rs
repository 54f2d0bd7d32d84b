//! [`ConfigText`]: the text of a configuration, and where in it an offset stands.

use std::ops::Range;
use std::path::PathBuf;

use crate::error::{ConfigError, Place, Position};

/// Text of a configuration file and of every `--set`, as one address space: byte offsets below `text.len()` are in
/// the file, each `--set` has a range of its own behind it.
#[derive(Debug, Clone)]
pub(crate) struct ConfigText {
    /// The file.
    pub(crate) file: PathBuf,
    /// Its text.
    pub(crate) text: String,
    /// Every `--set` with the offset it starts at.
    sets: Vec<(usize, String)>,
}

impl ConfigText {
    /// A file's text and the changes that the shell asks for.
    pub(crate) fn new(file: PathBuf, text: String, sets: &[String]) -> Self {
        // One byte between the ranges, so that an error at the very end of the file is not taken for the first --set.
        let mut next = text.len() + 1;
        let sets = sets
            .iter()
            .map(|set| {
                let start = next;
                next += set.len() + 1;
                (start, set.clone())
            })
            .collect();
        Self { file, text, sets }
    }

    /// Every `--set` with its range.
    pub(crate) fn sets(&self) -> impl Iterator<Item = (Range<usize>, &str)> {
        self.sets.iter().map(|(start, set)| (*start..start + set.len(), set.as_str()))
    }

    /// Whether an offset range lies in a `--set`.
    pub(crate) fn is_set(&self, span: &Range<usize>) -> bool {
        self.sets.first().is_some_and(|(start, _)| span.start >= *start)
    }

    /// Where an offset range stands, for people.
    pub(crate) fn place(&self, span: &Range<usize>) -> Place {
        if let Some((_, set)) = self.sets.iter().rev().find(|(start, _)| span.start >= *start) {
            return Place::Set(set.clone());
        }
        let start = span.start.min(self.text.len());
        let before = self.text.get(..start).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let line = self.text[line_start..].lines().next().unwrap_or("");
        let end = span.end.clamp(start, line_start + line.len().max(start - line_start));
        let width = self.text.get(start..end).map_or(1, |s| s.chars().count().max(1));
        Place::Line(Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            width,
            text: line.to_owned(),
        })
    }

    /// An error at an offset range, or one about the file as a whole.
    pub(crate) fn error(&self, span: Option<Range<usize>>, message: impl Into<String>) -> ConfigError {
        let place = span.map_or(Place::File, |span| self.place(&span));
        ConfigError { file: self.file.clone(), place, key: None, message: message.into() }
    }
}
