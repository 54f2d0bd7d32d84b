//! [`Ordered`]: rows in the order of their scores, request by request.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::compute::interleave;
use arrow::datatypes::DataType;
use pleiad_data::read::Column;
use pleiad_data::write::RecordWriter;

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::predicted::{Order, Predicted, Sink, in_type, record, schema, type_of};

/// Rows that are put together before they are written.
const BLOCK: usize = 1 << 14;

/// Rows that are no longer needed may be held up to this number; then they are dropped.
const SPARE: usize = if cfg!(test) { 8 } else { 1 << 16 };

/// A row that is held.
#[derive(Debug, Clone, Copy)]
struct HeldRow {
    score: f64,
    position: u64,
    /// Where it is: of [`Ordered::chunks`], and in it.
    at: (usize, usize),
}

impl HeldRow {
    /// The highest score first, then what was read first. Scores are numbers.
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        other.score.total_cmp(&self.score).then(self.position.cmp(&other.position))
    }
}

/// Rows as they come, held until all are there; of a request no more than twice as many as are asked for.
pub(crate) struct Ordered {
    top: Option<usize>,
    /// Names of the kept columns.
    kept: Vec<String>,
    /// Which of them makes requests.
    by: Option<usize>,
    /// Types of the kept columns, once rows are there.
    types: Vec<DataType>,
    chunks: Vec<Vec<ArrayRef>>,
    /// Rows in `chunks`.
    stored: usize,
    requests: HashMap<String, usize>,
    /// By request, in the order in which they are met.
    entries: Vec<Vec<HeldRow>>,
}

impl Ordered {
    /// For rows whose first columns are these kept ones, the column of requests among them.
    pub(crate) fn new(order: &Order, kept: Vec<String>) -> Self {
        Self {
            top: order.top,
            by: order.by.as_ref().and_then(|by| kept.iter().position(|name| name == by)),
            kept,
            types: Vec::new(),
            chunks: Vec::new(),
            stored: 0,
            requests: HashMap::new(),
            entries: Vec::new(),
        }
    }

    /// Writes everything: `names` with that of the rank behind the kept columns, `types` without it. Gives the rows written.
    pub(crate) fn write(
        mut self,
        out: &Path,
        names: &[String],
        types: &[DataType],
        interrupt: &Interrupt,
    ) -> Result<u64> {
        let mut all: Vec<DataType> = self.types.clone();
        all.extend_from_slice(types.get(all.len()..).unwrap_or_default());
        all.insert(self.kept.len(), DataType::UInt64);
        let schema = schema(names, &all);
        let mut writer = RecordWriter::create(out, Arc::clone(&schema))?;
        for entries in &mut self.entries {
            entries.sort_unstable_by(HeldRow::order);
            entries.truncate(self.top.unwrap_or(usize::MAX));
        }
        let ranked = self.entries.iter().flat_map(|entries| (1u64..).zip(entries));
        let (mut ranks, mut at) = (Vec::with_capacity(BLOCK), Vec::with_capacity(BLOCK));
        let mut flush = |ranks: &mut Vec<u64>, at: &mut Vec<(usize, usize)>| -> Result<()> {
            if let Some(signal) = interrupt.raised() {
                let what = format!("stopped while rows were written; {} was not written", out.display());
                return Err(Error::Interrupted { signal, what });
            }
            let mut columns = self.gather(at)?;
            columns.insert(self.kept.len(), Arc::new(UInt64Array::from(std::mem::take(ranks))));
            at.clear();
            writer.write(&record(&schema, columns)?)?;
            Ok(())
        };
        for (rank, entry) in ranked {
            ranks.push(rank);
            at.push(entry.at);
            if at.len() == BLOCK {
                flush(&mut ranks, &mut at)?;
            }
        }
        if !at.is_empty() {
            flush(&mut ranks, &mut at)?;
        }
        let rows = writer.rows();
        writer.finish()?;
        Ok(rows)
    }

    /// The columns of rows of `chunks`.
    fn gather(&self, at: &[(usize, usize)]) -> Result<Vec<ArrayRef>> {
        let width = self.chunks.first().map_or(0, Vec::len);
        let column = |column: usize| {
            let parts: Vec<&dyn Array> = self.chunks.iter().map(|chunk| &*chunk[column]).collect();
            interleave(&parts, at).map_err(|error| Error::Encode { reason: error.to_string() })
        };
        (0..width).map(column).collect()
    }

    /// Keeps of a request what may still be written.
    fn prune(entries: &mut Vec<HeldRow>, top: usize) {
        if entries.len() > top {
            entries.select_nth_unstable_by(top, HeldRow::order);
            entries.truncate(top);
        }
    }

    /// Drops the rows of `chunks` that no entry names, where they are most of them.
    fn compact(&mut self) -> Result<()> {
        let live: usize = self.entries.iter().map(Vec::len).sum();
        if self.stored <= 2 * live + SPARE {
            return Ok(());
        }
        let at: Vec<(usize, usize)> = self.entries.iter().flatten().map(|entry| entry.at).collect();
        self.chunks = vec![self.gather(&at)?];
        self.stored = at.len();
        self.entries.iter_mut().flatten().enumerate().for_each(|(row, entry)| entry.at = (0, row));
        Ok(())
    }
}

impl Sink for Ordered {
    fn add(&mut self, predicted: Predicted) -> Result<()> {
        let Predicted { mut columns, positions, scores } = predicted;
        if self.types.is_empty() {
            self.types = columns.iter().take(self.kept.len()).map(type_of).collect();
        }
        for ((array, name), wanted) in columns.iter_mut().zip(&self.kept).zip(&self.types) {
            *array = in_type(name, array, wanted)?;
        }
        let requests = self.by.map(|at| {
            let name = &self.kept[at];
            let refused = |problem| Error::Column { column: name.clone(), problem };
            Column::from_arrow(&columns[at]).map(|column| (name.clone(), column)).map_err(refused)
        });
        let requests = requests.transpose()?;
        let chunk = self.chunks.len();
        for (row, (&position, &score)) in positions.iter().zip(&scores).enumerate() {
            let request = match &requests {
                None => String::new(),
                Some((by, column)) => column
                    .cell(row)
                    .with_text(|text| text.map(str::to_owned))
                    .ok_or_else(|| Error::NoGroup { row: position + 1, column: by.clone() })?,
            };
            let next = self.entries.len();
            let request = *self.requests.entry(request).or_insert(next);
            if request == next {
                self.entries.push(Vec::new());
            }
            let entries = &mut self.entries[request];
            // Zero has two signs, and is one score.
            entries.push(HeldRow { score: score + 0.0, position, at: (chunk, row) });
            if let Some(top) = self.top
                && entries.len() >= top.saturating_mul(2).max(16)
            {
                Self::prune(entries, top);
            }
        }
        self.stored += positions.len();
        self.chunks.push(columns);
        self.compact()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::File;

    use arrow::array::{AsArray, Float64Array, StringArray};
    use arrow::datatypes::{Float64Type, UInt64Type};
    use proptest::prelude::*;

    use super::*;

    /// A row: its request and its score.
    type Row = (u8, u8);

    /// The rows of a ranked file: request, rank, score.
    fn ranked(rows: &[Row], chunk: usize, order: &Order) -> Vec<(String, u64, f64)> {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("ranked.arrow");
        let mut ordered = Ordered::new(order, vec!["request".to_owned()]);
        for (at, part) in rows.chunks(chunk).enumerate() {
            let scores: Vec<f64> = part.iter().map(|row| f64::from(row.1)).collect();
            let requests: ArrayRef = Arc::new(part.iter().map(|row| Some(row.0.to_string())).collect::<StringArray>());
            let columns = vec![requests, Arc::new(Float64Array::from(scores.clone())) as ArrayRef];
            let first = (at * chunk) as u64;
            let positions = (first..first + part.len() as u64).collect();
            ordered.add(Predicted { columns, positions, scores }).unwrap();
        }
        let names = ["request", "rank", "score"].map(str::to_owned);
        let types = [DataType::Utf8, DataType::Float64];
        ordered.write(&out, &names, &types, &Interrupt::default()).unwrap();
        let reader = arrow::ipc::reader::FileReader::try_new(File::open(out).unwrap(), None).unwrap();
        reader
            .map(Result::unwrap)
            .flat_map(|batch| {
                let (requests, ranks) = (batch.column(0).as_string::<i32>().clone(), batch.column(1).clone());
                let scores = batch.column(2).clone();
                (0..batch.num_rows())
                    .map(move |row| {
                        let rank = ranks.as_primitive::<UInt64Type>().value(row);
                        (requests.value(row).to_owned(), rank, scores.as_primitive::<Float64Type>().value(row))
                    })
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// The same by the slow way: requests as they are met, each sorted by a stable sort.
    fn slowly(rows: &[Row], order: &Order) -> Vec<(String, u64, f64)> {
        let mut requests: Vec<u8> = Vec::new();
        rows.iter().for_each(|row| {
            if !requests.contains(&row.0) {
                requests.push(row.0)
            }
        });
        let mut all = Vec::new();
        for request in requests {
            let mut own: Vec<Row> = rows.iter().filter(|row| row.0 == request).copied().collect();
            own.sort_by_key(|row| std::cmp::Reverse(row.1));
            own.truncate(order.top.unwrap_or(usize::MAX));
            all.extend((1u64..).zip(own).map(|(rank, row)| (row.0.to_string(), rank, f64::from(row.1))));
        }
        all
    }

    proptest! {
        #[test]
        fn ranked_rows_are_those_of_a_stable_sort(
            rows in prop::collection::vec((0u8..5, 0u8..20), 0..300),
            chunk in 1usize..40,
            top in prop::option::of(1usize..12),
        ) {
            let order = Order { by: Some("request".to_owned()), top };
            prop_assert_eq!(ranked(&rows, chunk, &order), slowly(&rows, &order));
        }
    }

    #[test]
    fn without_requests_all_rows_are_one() {
        let rows = [(1, 3), (2, 9), (1, 5)];
        let found = ranked(&rows, 2, &Order { by: None, top: Some(2) });
        assert_eq!(found, [("2".to_owned(), 1, 9.0), ("1".to_owned(), 2, 5.0)]);
    }
}
