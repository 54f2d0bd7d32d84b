//! Chunks of cells into typed values, the same in every pass: [`Plan`], [`Parsed`].

use std::path::{Path, PathBuf};

use arrow::array::Array;

use super::bad_cells::{BadCell, BadCells};
use super::labels::RowWeights;
use super::{category, exact, labels, numeric};
use crate::batch::{Ids, Labels};
use crate::compare::{Comparand, Purpose};
use crate::error::{BadRow, Comparison, Error, Reason, Result};
use crate::read::{Cell, Chunk, Column, Origin, Repeated, Wanted};
use crate::schema::{Encoding, FeatureKind, Missing, Per, Scalar, Schema, Transform};
use crate::split::{Split, SplitRules};

/// Stands for the table row of a value that a vocabulary does not have until it is counted: it distinguishes missing
/// values from unknown ones, though both have row 0. No table is so large.
pub(super) const UNKNOWN: u64 = u64::MAX;

/// Which columns are needed for what.
#[derive(Debug, Clone)]
pub struct Plan {
    schema: Schema,
    rules: SplitRules,
    wanted: Vec<Wanted>,
    features: Vec<usize>,
    /// Label and `where` of every task; empty where rows need no labels.
    tasks: Vec<(usize, Option<usize>)>,
    /// Weights of rows, and of rows of each task; none where rows need no labels.
    weight: Option<usize>,
    task_weights: Vec<Option<usize>>,
    /// The group of [`crate::schema::Groups`]; `None` where rows need no labels.
    group: Option<usize>,
    /// The request of each row; `None` where rows need no labels.
    request: Option<usize>,
    splits: [Option<usize>; 2],
    extras: Vec<usize>,
    /// The feature whose numbers are handed out as they were read.
    numbers_of: Option<usize>,
}

/// Rows of one chunk that can be used, as typed values.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// Number of rows.
    pub rows: usize,
    pub(super) features: Vec<Values>,
    /// One entry per task; empty where rows need no labels.
    pub labels: Vec<Labels>,
    /// The group of each row, 0 where it has none; empty where none is asked for.
    pub(super) groups: Vec<u64>,
    /// What each row is for; empty where all are trained on.
    pub splits: Vec<Split>,
    /// Where the chunk stands.
    pub(super) origin: Origin,
    /// Number of each row in the chunk.
    pub(crate) in_chunk: Vec<usize>,
    /// The extra columns that were asked for, as they are.
    pub extras: Vec<Column>,
    /// See [`Plan::with_numbers_of`].
    pub(super) numbers_of: Option<usize>,
    /// The rows that cannot be used.
    pub bad: Vec<BadRow>,
}

/// Values of one feature.
#[derive(Debug, Clone)]
pub(super) enum Values {
    /// Numbers; NaN where one is missing.
    Numbers(Vec<f64>),
    /// Categories that a vocabulary is yet to look up.
    Categories(Column),
    /// Categories that a vocabulary has numbered while it was fitted, from 1; 0 where one is missing. Before they are
    /// encoded they become [`Values::Ids`].
    Numbered(Ids),
    /// As [`Values::Numbered`], one per row, of a column whose texts repeat: its codes, without the texts, and the number of
    /// a missing one and of each.
    Coded { codes: Repeated, numbers: Vec<u64> },
    /// Table rows, or [`UNKNOWN`].
    Ids(Ids),
}

impl Values {
    /// Makes table rows of numbers, whose rows are `table_rows`.
    pub(super) fn number_to_row(&mut self, table_rows: &[u64]) {
        let to_rows =
            |numbers: &mut [u64]| numbers.iter_mut().for_each(|number| *number = table_rows[*number as usize]);
        match self {
            Self::Numbered(ids) => {
                let mut ids = std::mem::replace(ids, Ids::Single(Vec::new()));
                let (Ids::Single(rows) | Ids::Multiple { rows, .. }) = &mut ids;
                to_rows(rows);
                *self = Self::Ids(ids);
            }
            Self::Coded { numbers, .. } => to_rows(numbers),
            _ => {}
        }
    }
}

impl Plan {
    /// What it takes to read the features of `schema`, with `with_labels` also its labels, and beside them `extras`.
    #[must_use]
    pub fn new(schema: &Schema, rules: SplitRules, with_labels: bool, extras: &[String]) -> Self {
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut want = |name: &str, needed_by: &dyn Fn() -> String| {
            wanted.iter().position(|column| column.name == name).unwrap_or_else(|| {
                wanted.push(Wanted { name: name.to_owned(), needed_by: needed_by(), required: true });
                wanted.len() - 1
            })
        };
        let features = schema.features.iter().map(|f| want(f.column(), &|| "a [[feature]] block".to_owned())).collect();
        let mut tasks = Vec::new();
        if with_labels {
            for task in &schema.tasks {
                let label = want(&task.label.column, &|| format!("the label of task \"{}\"", task.name));
                let filter = task.filter.as_ref();
                let filter = filter.map(|f| want(&f.column, &|| format!("`where` of task \"{}\"", task.name)));
                tasks.push((label, filter));
            }
        }
        let weight = schema.weight.as_ref().filter(|_| with_labels);
        let weight = weight.map(|name| want(name, &|| "`weight` in [data]".to_owned()));
        let task_weights = schema.tasks.iter().map(|task| {
            let name = task.row_weight.as_ref().filter(|_| with_labels)?;
            Some(want(name, &|| format!("`row_weight` of task \"{}\"", task.name)))
        });
        let task_weights = task_weights.collect();
        let groups = schema.groups.as_ref().filter(|_| with_labels);
        let group = groups.map(|groups| want(&groups.column, &|| "`group` in [metrics]".to_owned()));
        let request = schema.request.as_ref().filter(|_| with_labels);
        let request = request.map(|name| want(name, &|| "`request` in [data]".to_owned()));
        let [valid, test] = rules.columns();
        let splits = [("valid", valid), ("test", test)]
            .map(|(key, column)| column.map(|column| want(column, &|| format!("`{key}` in [data]"))));
        let extras = extras.iter().map(|name| want(name, &|| "the output".to_owned())).collect();
        let (schema, numbers_of) = (schema.clone(), None);
        Self {
            schema,
            rules,
            wanted,
            features,
            tasks,
            weight,
            task_weights,
            group,
            request,
            splits,
            extras,
            numbers_of,
        }
    }

    /// The same, and the numbers of a feature are handed out beside the encoded rows ([`super::Encoded::numbers`]).
    #[must_use]
    pub fn with_numbers_of(self, feature: Option<usize>) -> Self {
        Self { numbers_of: feature, ..self }
    }

    /// The columns that a reader has to give, each once.
    #[must_use]
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// Where among [`Plan::wanted`] the columns of the features stand, each once, and their names.
    pub(crate) fn feature_columns(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_first = |i: usize| !self.features[..i].contains(&self.features[i]);
        let columns = (0..self.features.len()).filter(move |&i| is_first(i)).map(|i| self.features[i]);
        columns.filter_map(|at| Some((at, self.wanted.get(at)?.name.as_str())))
    }

    /// Parses a chunk that a reader gave for [`Plan::wanted`]. Bad rows are left out of the values and described in
    /// [`Parsed::bad`], in row order, each by the first thing that is wrong with it.
    ///
    /// # Errors
    /// If a column's type is none that its feature or task can read, or rows are lost that cannot be counted.
    pub fn parse(&self, chunk: Chunk) -> Result<Parsed> {
        let mut bad = BadCells::default();
        for broken in &chunk.broken {
            let (column, value) = (broken.column.clone(), broken.value.clone());
            if broken.reason.is_final() {
                let bad_row = chunk.origin.bad_row(broken.row, column.as_deref(), value, broken.reason.clone());
                return Err(Error::BadRow(Box::new(bad_row)));
            }
            bad.0.push(BadCell { row: broken.row, column, value, reason: broken.reason.clone() });
        }

        let features = self.features(&chunk, &mut bad)?;
        let weights = self.weights(&chunk, &mut bad)?;
        let labels = self.labels(&chunk, weights.as_deref(), &mut bad)?;
        let groups = self.groups(&chunk, &mut bad)?;
        self.requests(&chunk, &features, &mut bad)?;
        let splits = self.splits(&chunk, &mut bad)?;
        let extras = self.extras.iter().map(|&at| column(&chunk, at)).collect();
        let (rows, in_chunk) = (chunk.rows, (0..chunk.rows).collect());
        let (origin, numbers_of, bad_rows) = (chunk.origin, self.numbers_of, Vec::new());
        let mut parsed =
            Parsed { rows, features, labels, groups, splits, origin, in_chunk, extras, numbers_of, bad: bad_rows };
        let left_out = weights.filter(|weights| weights.contains(&0.0));
        if let Some(weights) = &left_out {
            // As if they were not there: nothing is wrong with them.
            bad.0.retain(|bad| weights[bad.row] != 0.0);
        }
        if !bad.0.is_empty() || left_out.is_some() {
            // A stable sort: among one row's cells the first that was found stays first.
            bad.0.sort_by_key(|bad| bad.row);
            bad.0.dedup_by_key(|bad| bad.row);
            let mut keep: Vec<bool> = match left_out {
                Some(weights) => weights.iter().map(|&weight| weight != 0.0).collect(),
                None => vec![true; rows],
            };
            bad.0.iter().for_each(|bad| keep[bad.row] = false);
            parsed.filter(&keep);
            let origin = &parsed.origin;
            let describe = |bad: BadCell| origin.bad_row(bad.row, bad.column.as_deref(), bad.value, bad.reason);
            parsed.bad = bad.0.into_iter().map(describe).collect();
        }
        Ok(parsed)
    }

    fn features(&self, chunk: &Chunk, bad: &mut BadCells) -> Result<Vec<Values>> {
        let mut values = Vec::with_capacity(self.features.len());
        for (feature, &at) in self.schema.features.iter().zip(&self.features) {
            let (name, mut cells) = (feature.column(), column(chunk, at));
            values.push(match &feature.read {
                FeatureKind::Numeric { transform, missing } | FeatureKind::Periodic { transform, missing, .. } => {
                    single(chunk, name, &cells, "a number")?;
                    Values::Numbers(numeric::parse(name, &cells, transform, *missing, bad))
                }
                FeatureKind::Pieces { missing, .. } => {
                    single(chunk, name, &cells, "a number")?;
                    // As if it had a transform: a narrow float is the number that it is written as.
                    Values::Numbers(numeric::parse(name, &cells, &[Transform::Standardize], *missing, bad))
                }
                FeatureKind::Bucketized { .. } => {
                    single(chunk, name, &cells, "a number")?;
                    // A missing number has a row of its own.
                    Values::Numbers(numeric::parse(name, &cells, &[], Missing::Mean, bad))
                }
                FeatureKind::Categorical { encoding, multiple, .. } => {
                    if multiple.is_none() {
                        single(chunk, name, &cells, "one category per row (set multiple = true for several)")?;
                    }
                    // The empty text is no value of a list in any case.
                    let null = &self.schema.csv.null;
                    if let (Some(multiple), Column::Text(_) | Column::Repeated(_)) = (multiple, &cells)
                        && null.iter().any(|null| !null.is_empty())
                    {
                        cells = cells.split(&multiple.separator, null);
                    }
                    match *encoding {
                        Encoding::Ids(rows) => Values::Ids(category::ids(name, &cells, multiple.as_ref(), rows, bad)),
                        Encoding::IntegerHash(rows) => {
                            Values::Ids(category::integers(name, &cells, multiple.as_ref(), rows, bad))
                        }
                        Encoding::Hash(rows) => {
                            category::check(name, &cells, bad);
                            let row_of = |text: Option<&str>| category::hash_row(text, rows);
                            Values::Ids(category::rows(&cells, multiple.as_ref(), row_of))
                        }
                        Encoding::Exact(_) => {
                            single(chunk, name, &cells, "a number")?;
                            // A missing number is a value of its own.
                            let numbers = numeric::parse(name, &cells, &[], Missing::Mean, bad);
                            Values::Categories(exact::categories(&numbers))
                        }
                        Encoding::Vocabulary(_) => {
                            category::check(name, &cells, bad);
                            Values::Categories(cells)
                        }
                    }
                }
            });
        }
        Ok(values)
    }

    /// What each row counts in all tasks; 1 of a bad one.
    fn weights(&self, chunk: &Chunk, bad: &mut BadCells) -> Result<Option<Vec<f32>>> {
        let Some((at, name)) = self.weight.zip(self.schema.weight.as_ref()) else { return Ok(None) };
        let cells = column(chunk, at);
        single(chunk, name, &cells, "a weight")?;
        let weight = |row: usize| {
            let cell = cells.cell(row);
            labels::weight(cell).unwrap_or_else(|reason| {
                bad.push(row, name, cell, reason);
                1.0
            })
        };
        Ok(Some((0..chunk.rows).map(weight).collect()))
    }

    fn labels(&self, chunk: &Chunk, of_rows: Option<&[f32]>, bad: &mut BadCells) -> Result<Vec<Labels>> {
        let mut all = Vec::with_capacity(self.tasks.len());
        let tasks = self.schema.tasks.iter().zip(&self.tasks).zip(&self.task_weights);
        for ((task, &(label, filter)), &own) in tasks {
            let own = own.map(|at| column(chunk, at)).zip(task.row_weight.as_deref());
            if let Some((cells, name)) = &own {
                single(chunk, name, cells, "a weight")?;
            }
            let weights = RowWeights { of_rows, own: own.as_ref().map(|(cells, name)| (*name, cells)) };
            let (label, filter) = (column(chunk, label), filter.map(|at| column(chunk, at)));
            single(chunk, &task.label.column, &label, "a label")?;
            let key = |key: &str| format!("{key} of task \"{}\"", task.name);
            if let Some(positive) = &task.label.positive
                && let Some(advice) = Comparand::new(positive).misfit(&label, Purpose::Equal)
            {
                return Err(misfit(chunk, &task.label.column, &label, positive, key("label.positive"), advice));
            }
            if let (Some(cells), Some(filter)) = (&filter, &task.filter) {
                single(chunk, &filter.column, cells, "a value to compare")?;
                for (name, value) in filter.scalars() {
                    if let Some(advice) = Comparand::new(value).misfit(cells, Purpose::Equal) {
                        return Err(misfit(chunk, &filter.column, cells, value, key(name), advice));
                    }
                }
            }
            all.push(labels::parse(task, &label, filter.as_ref(), weights, bad));
        }
        Ok(all)
    }

    fn groups(&self, chunk: &Chunk, bad: &mut BadCells) -> Result<Vec<u64>> {
        let Some((at, groups)) = self.group.zip(self.schema.groups.as_ref()) else { return Ok(Vec::new()) };
        let cells = column(chunk, at);
        single(chunk, &groups.column, &cells, "one group per row")?;
        category::check(&groups.column, &cells, bad);
        match category::rows(&cells, None, category::group) {
            Ids::Single(groups) => Ok(groups),
            Ids::Multiple { .. } => Ok(Vec::new()),
        }
    }

    /// Finds the rows that differ from the first of their request in what rows of one request have in common. Rows without
    /// a request are one each.
    fn requests(&self, chunk: &Chunk, features: &[Values], bad: &mut BadCells) -> Result<()> {
        let Some((at, name)) = self.request.zip(self.schema.request.as_ref()) else { return Ok(()) };
        let cells = column(chunk, at);
        single(chunk, name, &cells, "one request per row")?;
        category::check(name, &cells, bad);
        let requests = category::rows(&cells, None, category::group);
        let requests = requests.table_rows();
        let mut firsts = Vec::with_capacity(requests.len());
        for (row, &request) in requests.iter().enumerate() {
            let goes_on = row > 0 && request != 0 && requests[row - 1] == request;
            firsts.push(if goes_on { firsts[row - 1] } else { row });
        }
        let in_common = self.schema.features.iter().zip(&self.features).zip(features);
        for ((feature, &at), values) in in_common.filter(|((feature, _), _)| feature.per == Per::Request) {
            let cells = column(chunk, at);
            let multiple = match &feature.read {
                FeatureKind::Categorical { multiple, .. } => multiple.as_ref(),
                _ => None,
            };
            let ids;
            let differs: &dyn Fn(usize, usize) -> bool = match values {
                Values::Numbers(numbers) => &|a, b| numbers[a].to_bits() != numbers[b].to_bits(),
                _ => {
                    ids = category::rows(&cells, multiple, category::group);
                    &|a, b| ids.table_rows()[ids.range(a)] != ids.table_rows()[ids.range(b)]
                }
            };
            for (row, &first) in firsts.iter().enumerate() {
                if first != row && differs(row, first) {
                    bad.push(row, feature.column(), cells.cell(row), Reason::DiffersInRequest { column: name.clone() });
                }
            }
        }
        Ok(())
    }

    fn splits(&self, chunk: &Chunk, bad: &mut BadCells) -> Result<Vec<Split>> {
        if self.rules.is_empty() {
            return Ok(Vec::new());
        }
        for (part, (name, at)) in self.rules.columns().iter().zip(self.splits).enumerate() {
            if let (Some(name), Some(at)) = (name, at) {
                let cells = column(chunk, at);
                single(chunk, name, &cells, "a value to compare")?;
                if let Some((key, value, advice)) = self.rules.misfit(part, &cells) {
                    return Err(misfit(chunk, name, &cells, value, format!("{key} in [data]"), advice));
                }
            }
        }
        let mut splits = Vec::with_capacity(chunk.rows);
        for row in 0..chunk.rows {
            let cells = self.splits.map(|at| at.map_or(Cell::Missing, |at| chunk.cell(at, row)));
            splits.push(self.rules.assign(chunk.origin.position + row as u64, cells).unwrap_or_else(|(at, reason)| {
                bad.push(row, self.rules.columns()[at].unwrap_or_default(), cells[at], reason);
                Split::Train
            }));
        }
        Ok(splits)
    }
}

/// A wanted column; one that is not there is missing everywhere.
fn column(chunk: &Chunk, at: usize) -> Column {
    chunk.columns.get(at).cloned().flatten().unwrap_or(Column::Missing(chunk.rows))
}

fn path(chunk: &Chunk) -> PathBuf {
    chunk.origin.path.as_deref().unwrap_or(Path::new("rows in memory")).to_owned()
}

/// A value that no value of a column can be compared with.
fn misfit(chunk: &Chunk, name: &str, column: &Column, value: &Scalar, key: String, advice: &'static str) -> Error {
    let (path, column, found) = (path(chunk), name.to_owned(), column.type_name());
    Error::Comparison(Box::new(Comparison { path, column, found, value: value.to_string(), key, advice }))
}

fn single(chunk: &Chunk, name: &str, column: &Column, expected: &str) -> Result<()> {
    if !matches!(column, Column::List(_)) {
        return Ok(());
    }
    Err(Error::ColumnType {
        path: path(chunk),
        column: name.to_owned(),
        found: column.type_name().to_owned(),
        expected: expected.to_owned(),
    })
}

impl Parsed {
    /// Keeps the rows that `keep` marks.
    pub(super) fn filter(&mut self, keep: &[bool]) {
        self.rows = keep.iter().filter(|&&keep| keep).count();
        for values in &mut self.features {
            match values {
                Values::Numbers(numbers) => retain(numbers, keep),
                Values::Categories(column) => *column = column.filter(keep),
                Values::Coded { codes, .. } => *codes = codes.filter(keep),
                Values::Ids(Ids::Single(rows)) | Values::Numbered(Ids::Single(rows)) => retain(rows, keep),
                Values::Ids(Ids::Multiple { offsets, rows }) | Values::Numbered(Ids::Multiple { offsets, rows }) => {
                    let (mut kept_offsets, mut kept) = (vec![0], Vec::new());
                    for (range, _) in offsets.windows(2).zip(keep).filter(|(_, keep)| **keep) {
                        kept.extend_from_slice(&rows[range[0]..range[1]]);
                        kept_offsets.push(kept.len());
                    }
                    (*offsets, *rows) = (kept_offsets, kept);
                }
            }
        }
        for labels in &mut self.labels {
            retain(&mut labels.values, keep);
            retain(&mut labels.present, keep);
            if !labels.weights.is_empty() {
                retain(&mut labels.weights, keep);
            }
        }
        if !self.groups.is_empty() {
            retain(&mut self.groups, keep);
        }
        if !self.splits.is_empty() {
            retain(&mut self.splits, keep);
        }
        retain(&mut self.in_chunk, keep);
        for column in &mut self.extras {
            *column = column.filter(keep);
        }
    }

    /// Which rows are trained on; `None` if all are.
    pub(super) fn training(&self) -> Option<Vec<bool>> {
        let all = self.splits.iter().all(|&split| split == Split::Train);
        (!all).then(|| self.splits.iter().map(|&split| split == Split::Train).collect())
    }

    /// About how much memory the values take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let values = |values: &Values| match values {
            Values::Numbers(numbers) => numbers.len() * 8,
            Values::Categories(column) => column.bytes(),
            Values::Coded { codes, numbers } => codes.bytes() + numbers.len() * 8,
            Values::Ids(ids) | Values::Numbered(ids) => (ids.table_rows().len() + ids.len()) * 8,
        };
        self.features.iter().map(values).sum::<usize>()
            + self.rows * (17 + 5 * self.labels.len())
            + self.labels.iter().map(|labels| labels.weights.len() * 4).sum::<usize>()
            + self.groups.len() * 8
            + self.bad.len() * 256
    }
}

impl Column {
    fn bytes(&self) -> usize {
        match self {
            Self::Missing(_) => 0,
            Self::Text(array) => array.get_array_memory_size(),
            Self::Repeated(repeated) => repeated.bytes(),
            Self::Int(array) => array.get_array_memory_size(),
            Self::UInt(array) => array.get_array_memory_size(),
            Self::Float(array) => array.get_array_memory_size(),
            Self::Single(array) => array.get_array_memory_size(),
            Self::Decimal(array) => array.get_array_memory_size(),
            Self::Time(times) => times.bytes(),
            Self::Bool(array) => array.get_array_memory_size(),
            Self::List(list) => list.values().bytes() + self.len() * 8,
        }
    }
}

fn retain<T: Copy>(values: &mut Vec<T>, keep: &[bool]) {
    let mut keep = keep.iter();
    values.retain(|_| keep.next().copied().unwrap_or(false));
}
