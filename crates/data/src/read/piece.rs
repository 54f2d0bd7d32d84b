//! [`Piece`]: a part of a file from a reader, and [`Numbering`]: the places of its rows, which are known once
//! they are split.

use std::sync::Arc;

use super::chunk::Chunk;
use super::folders::Given;
use super::parquet::{ParquetPart, RowGroup};
use super::plain::Lines;
use crate::error::Result;

/// A part of a file.
pub(super) struct Piece {
    pub(super) part: PiecePart,
    /// For the first one of a file: the lines before it.
    pub(super) begins: Option<u64>,
    /// What the file's folders say.
    pub(super) given: Option<Arc<Given>>,
}

/// Rows, or what rows are yet to be made of.
pub(super) enum PiecePart {
    Rows(Chunk),
    Lines(Lines),
    RowGroup(RowGroup),
}

impl From<ParquetPart> for PiecePart {
    fn from(part: ParquetPart) -> Self {
        match part {
            ParquetPart::Rows(chunk) => Self::Rows(chunk),
            ParquetPart::Group(group) => Self::RowGroup(group),
        }
    }
}

/// The rows of a [`Piece`].
pub(super) struct Split {
    chunks: Vec<Chunk>,
    begins: Option<u64>,
    /// The lines that they stand on, where they are counted from the first of these.
    lines: Option<u64>,
}

impl Piece {
    /// Whether it is text that is yet to be split.
    pub(super) fn is_lines(&self) -> bool {
        matches!(self.part, PiecePart::Lines(_))
    }

    /// Makes rows of it.
    pub(super) fn split(self) -> Result<Split> {
        let (mut chunks, lines) = match self.part {
            PiecePart::Rows(chunk) => (vec![chunk], None),
            PiecePart::RowGroup(group) => (group.decode()?, None),
            PiecePart::Lines(lines) => {
                let (chunks, count) = lines.split();
                (chunks, Some(count))
            }
        };
        if let Some(given) = self.given {
            chunks.iter_mut().for_each(|chunk| given.put(chunk));
        }
        Ok(Split { chunks, begins: self.begins, lines })
    }
}

/// Counts rows and lines over all files.
#[derive(Default)]
pub(super) struct Numbering {
    /// Rows of all files.
    position: u64,
    /// Rows and lines of the file at hand that later ones do not count.
    rows: u64,
    lines: u64,
}

impl Numbering {
    /// Gives chunks their places. They come in the order of the rows.
    pub(super) fn number(&mut self, split: Split) -> Vec<Chunk> {
        let Split { mut chunks, begins, lines } = split;
        if let Some(before) = begins {
            (self.rows, self.lines) = (0, before);
        }
        for chunk in &mut chunks {
            let origin = &mut chunk.origin;
            origin.position = self.position;
            self.position += chunk.rows as u64;
            origin.first_row += self.rows;
            if self.lines > 0 {
                origin.lines.iter_mut().for_each(|line| *line += self.lines);
            }
        }
        if let Some(lines) = lines {
            self.rows += chunks.iter().map(|chunk| chunk.rows as u64).sum::<u64>();
            self.lines += lines;
        }
        chunks
    }
}
