//! [`Requests`]: the rows of a batch in request space.
//!
//! Rows of one request follow one another and have the values of its features in common. They are found by these values:
//! a batch stays a batch of rows, whoever made it, and a row that differs from the one before begins a request.
//!
//! Events are values of lists, which the batch has for each row, and the requests for each request: their offsets say which events
//! belong to which row.

use std::ops::Range;

use pleiad_data::{Batch, Ids, RequestColumns};
use pleiad_model::graph::Space;

/// The requests of a batch that is cut into shards. A request that two shards have a part of is one in each.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// Per row of the batch, its request.
    of_rows: Vec<u32>,
    /// What belongs to requests, one row each; other columns are empty.
    batch: Batch,
    /// The requests of each shard.
    shards: Vec<Range<usize>>,
}

impl Requests {
    /// The requests of a batch that was checked; none where no feature belongs to them.
    pub(crate) fn of(batch: &Batch, columns: &RequestColumns, shards: &[Range<usize>]) -> Self {
        if columns.is_empty() || batch.rows == 0 {
            return Self { shards: vec![0..0; shards.len()], ..Self::default() };
        }
        let mut begins = columns.begins(batch);
        for shard in shards.iter().filter(|shard| !shard.is_empty()) {
            begins[shard.start] = true;
        }
        let (mut of_rows, mut first) = (Vec::with_capacity(batch.rows), Vec::new());
        for (row, begins) in begins.into_iter().enumerate() {
            if begins {
                first.push(row);
            }
            of_rows.push(first.len() as u32 - 1);
        }
        let request = |row: usize| of_rows.get(row).map_or(first.len(), |&request| request as usize);
        let shards = shards.iter().map(|shard| request(shard.start)..request(shard.end)).collect();
        let batch = batch.rows_of_columns(&first, columns.slots());
        Self { of_rows, batch, shards }
    }

    /// The rows of a space: those of `batch`, or one for each of its requests. Of events, the rows that they belong to.
    pub(crate) fn rows<'b>(&'b self, batch: &'b Batch, space: Space) -> &'b Batch {
        if space.owner() == Space::Request { &self.batch } else { batch }
    }

    /// Of events, where those of each row that has some begin, and at the end where the last ones end; nothing of another space.
    pub(crate) fn ends<'b>(&'b self, batch: &'b Batch, space: Space) -> &'b [usize] {
        let list = space.list().and_then(|list| self.rows(batch, space).categorical.get(list));
        match list {
            Some(Ids::Multiple { offsets, .. }) => offsets,
            _ => &[],
        }
    }

    /// The rows of a space that belong to these rows and requests of a shard.
    pub(crate) fn span(
        &self,
        batch: &Batch,
        (rows, requests): (&Range<usize>, &Range<usize>),
        space: Space,
    ) -> Range<usize> {
        let owners = if space.owner() == Space::Request { requests } else { rows };
        if space.list().is_none() {
            return owners.clone();
        }
        let end = |owner: usize| self.ends(batch, space).get(owner).copied().unwrap_or_default();
        end(owners.start)..end(owners.end)
    }

    /// The requests of a shard.
    pub(crate) fn of_shard(&self, shard: usize) -> Range<usize> {
        self.shards.get(shard).cloned().unwrap_or_default()
    }

    /// Of rows of the batch, the request of each; nothing where there are none.
    pub(crate) fn of_rows(&self, rows: Range<usize>) -> &[u32] {
        self.of_rows.get(rows).unwrap_or_default()
    }

    /// Number of rows of a space.
    pub(crate) fn count(&self, batch: &Batch, space: Space) -> usize {
        match space.list() {
            None => self.rows(batch, space).rows,
            Some(_) => self.ends(batch, space).last().copied().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use pleiad_data::{Ids, Input, InputLayout, Pooling};

    use super::*;
    use crate::runner::shards;

    /// Rows of a number, a request's number, a request's id and a request's tags.
    fn batch(rows: &[(f32, u64, &[u64])]) -> Batch {
        let mut offsets = vec![0];
        let mut tags = Vec::new();
        for (_, _, of_row) in rows {
            tags.extend_from_slice(of_row);
            offsets.push(tags.len());
        }
        Batch {
            rows: rows.len(),
            numeric: rows.iter().enumerate().flat_map(|(row, (number, ..))| [row as f32, *number]).collect(),
            categorical: vec![
                Ids::Single((0..rows.len() as u64).collect()),
                Ids::Single(rows.iter().map(|(_, id, _)| *id).collect()),
                Ids::Multiple { offsets, rows: tags },
            ],
            labels: Vec::new(),
            groups: Vec::new(),
        }
    }

    fn columns() -> RequestColumns {
        let numeric = |name: &str, column| Input::Numeric { name: name.into(), column };
        let categorical = |name: &str, slot, pooling| Input::Categorical {
            name: name.into(),
            slot,
            table: name.into(),
            rows: 9,
            dim: 2,
            pooling,
        };
        let inputs = vec![
            numeric("row", 0),
            numeric("number", 1),
            categorical("item", 0, None),
            categorical("id", 1, None),
            categorical("tags", 2, Some(Pooling::Sum)),
        ];
        let per_request = ["number", "id", "tags"].map(String::from).to_vec();
        RequestColumns::of(&InputLayout { per_request, ..InputLayout::new(inputs) })
    }

    #[test]
    fn a_row_with_other_values_begins_a_request() {
        let rows: [(f32, u64, &[u64]); 7] = [
            (1.0, 3, &[4]),
            (1.0, 3, &[4]),
            (2.0, 3, &[4]),
            (2.0, 5, &[4]),
            (2.0, 5, &[4]),
            (2.0, 5, &[]),
            (1.0, 3, &[4]),
        ];
        let batch = batch(&rows);
        let requests = Requests::of(&batch, &columns(), &shards(7, 256));
        assert_eq!(requests.of_rows(0..7), [0, 0, 1, 2, 2, 3, 4]);
        assert_eq!(requests.of_shard(0), 0..5);
        let own = requests.rows(&batch, Space::Request);
        assert_eq!((own.rows, requests.count(&batch, Space::Request), requests.count(&batch, Space::Row)), (5, 5, 7));
        // Each row has the events of its request.
        let events = [Space::Event(2), Space::RequestEvent(2)];
        assert_eq!(events.map(|space| requests.count(&batch, space)), [6, 4]);
        assert_eq!(events.map(|space| requests.span(&batch, (&(2..6), &(1..4)), space)), [2..5, 1..3]);
        assert_eq!(requests.ends(&batch, Space::RequestEvent(2)), [0, 1, 2, 3, 3, 4]);
        assert_eq!(own.numeric.chunks(2).map(|row| row[1]).collect::<Vec<_>>(), [1.0, 2.0, 2.0, 2.0, 1.0]);
        assert_eq!(own.categorical[1], Ids::Single(vec![3, 3, 5, 5, 3]));
        assert_eq!(own.categorical[2].range(3), 3..3);
    }

    #[test]
    fn shards_begin_with_a_request() {
        let batch = batch(&[(1.0, 3, &[][..]); 6]);
        let requests = Requests::of(&batch, &columns(), &[0..2, 2..4, 4..6]);
        assert_eq!(requests.of_rows(0..6), [0, 0, 1, 1, 2, 2]);
        assert_eq!((0..3).map(|shard| requests.of_shard(shard)).collect::<Vec<_>>(), [0..1, 1..2, 2..3]);
    }

    #[test]
    fn without_columns_of_requests_there_are_none() {
        let batch = batch(&[(1.0, 3, &[][..]); 2]);
        let requests = Requests::of(&batch, &RequestColumns::default(), &[0..1, 1..2]);
        assert!(requests.of_rows(0..2).is_empty() && requests.of_shard(1).is_empty());
        assert_eq!(Requests::of(&Batch::default(), &columns(), &[]).of_shard(0), 0..0);
    }
}
