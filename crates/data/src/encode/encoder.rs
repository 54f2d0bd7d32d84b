//! [`Encoder`]: typed values into batches. What was fitted is saved with the model, and checked when it is read.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use super::fitted::Fitted;
use super::numeric::{Lately, Step, apply};
use super::parse::{Parsed, Plan, UNKNOWN, Values};
use super::vocabulary::Vocabulary;
use super::{buckets, category, pieces, settle};
use crate::batch::{Batch, Ids};
use crate::error::{BadRow, Error, Reason, Result};
use crate::layout::{Input, InputLayout};
use crate::raw::RawRows;
use crate::read::{Chunk, Column};
use crate::schema::{Encoding, Feature, FeatureKind, Multiple, Per, Schema, TaskSpec};
use crate::seen::FeatureCount;
use crate::split::{Split, SplitRules};

/// Turns rows into batches, for training, evaluation, prediction and serving alike.
///
/// It holds the [`Schema`] and what was fitted on the training rows. Serialized, it is part of a model's `model.json`;
/// deserialized, everything in it has been checked: every table row that [`Encoder::encode`] gives lies below the
/// table's rows in [`Encoder::layout`], every number is finite.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "SavedEncoder", into = "SavedEncoder")]
pub struct Encoder {
    schema: Schema,
    fitted: Vec<Fitted>,
    vocabularies: BTreeMap<String, Vocabulary>,
    layout: InputLayout,
    tasks: Vec<TaskSpec>,
}

/// The form in which an encoder is saved.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedEncoder {
    schema: Schema,
    /// One entry per feature.
    fitted: Vec<Fitted>,
    /// By table; value n has row n + 1.
    vocabularies: BTreeMap<String, Vec<String>>,
}

impl From<Encoder> for SavedEncoder {
    fn from(encoder: Encoder) -> Self {
        let values = |vocabulary: &Vocabulary| vocabulary.values().map(str::to_owned).collect();
        let vocabularies = encoder.vocabularies.iter().map(|(table, voc)| (table.clone(), values(voc))).collect();
        Self { schema: encoder.schema, fitted: encoder.fitted, vocabularies }
    }
}

impl TryFrom<SavedEncoder> for Encoder {
    type Error = Error;

    fn try_from(document: SavedEncoder) -> Result<Self> {
        let damaged = |reason: String| Error::Encoder { reason };
        let blocks: Vec<usize> = (0..document.schema.features.len()).collect();
        document.schema.check(&blocks).map_err(|error| damaged(error.to_string()))?;
        let mut vocabularies = BTreeMap::new();
        for (table, values) in &document.vocabularies {
            let vocabulary = Vocabulary::from_values(values.iter().map(String::as_str))
                .map_err(|reason| damaged(format!("table \"{table}\": {reason}")))?;
            vocabularies.insert(table.clone(), vocabulary);
        }
        Self::new(document.schema, document.fitted, vocabularies)
    }
}

impl Encoder {
    /// Puts an encoder together, after checking that its parts belong together.
    pub(super) fn new(schema: Schema, fitted: Vec<Fitted>, vocabularies: BTreeMap<String, Vocabulary>) -> Result<Self> {
        let damaged = |reason: String| Error::Encoder { reason };
        if fitted.len() != schema.features.len() {
            let (found, expected) = (fitted.len(), schema.features.len());
            return Err(damaged(format!("{found} features are fitted, and the schema has {expected}")));
        }
        let mut layout = InputLayout { attention: schema.attention(), ..InputLayout::default() };
        let (mut columns, mut slots) = (0, 0);
        let mut used = 0;
        let mut tables = std::collections::BTreeSet::new();
        for (feature, fitted) in schema.features.iter().zip(&fitted) {
            let name = feature.name.clone();
            if feature.per == Per::Request {
                layout.per_request.push(name.clone());
            }
            let at = |reason: String| damaged(format!("feature \"{name}\": {reason}"));
            let (table, rows, dim, multiple) = match (&feature.read, fitted) {
                (
                    FeatureKind::Numeric { transform, .. } | FeatureKind::Periodic { transform, .. },
                    Fitted::Numeric { steps, missing },
                ) => {
                    if steps.len() != transform.len() {
                        return Err(at(format!("{} of {} transforms are fitted", steps.len(), transform.len())));
                    }
                    steps.iter().zip(transform).try_for_each(|(step, transform)| step.check(transform)).map_err(&at)?;
                    if missing.is_some_and(|missing| to_f32(apply(steps, missing)).is_none()) {
                        return Err(at("what stands for a missing value is not finite".to_owned()));
                    }
                    let (name, column) = (feature.name.clone(), columns);
                    layout.inputs.push(match feature.read {
                        FeatureKind::Periodic { frequencies, sigma, embedding, .. } => {
                            Input::Periodic { name, column, frequencies, sigma: sigma as f32, dim: embedding }
                        }
                        _ => Input::Numeric { name, column },
                    });
                    columns += 1;
                    continue;
                }
                (FeatureKind::Pieces { pieces, .. }, Fitted::Pieces { boundaries, missing }) => {
                    pieces::check(boundaries, *pieces).map_err(&at)?;
                    if missing.is_some_and(|missing| !missing.is_finite()) {
                        return Err(at("what stands for a missing value is not finite".to_owned()));
                    }
                    for _ in 1..boundaries.len() {
                        layout.inputs.push(Input::Numeric { name: feature.name.clone(), column: columns });
                        columns += 1;
                    }
                    continue;
                }
                (FeatureKind::Categorical { encoding, embedding, table, multiple }, fitted) => {
                    let rows = match (encoding, fitted) {
                        (Encoding::Vocabulary(_) | Encoding::Exact(_), Fitted::Vocabulary) => {
                            match vocabularies.get(table) {
                                Some(vocabulary) => {
                                    used += usize::from(tables.insert(table));
                                    vocabulary.rows()
                                }
                                None => return Err(at(format!("table \"{table}\" has no vocabulary"))),
                            }
                        }
                        (Encoding::Hash(rows), Fitted::Hash)
                        | (Encoding::IntegerHash(rows), Fitted::IntegerHash)
                        | (Encoding::Ids(rows), Fitted::Ids) => *rows,
                        _ => return Err(at("what is fitted is not what the schema has".to_owned())),
                    };
                    (table, rows, *embedding, multiple.as_ref())
                }
                (FeatureKind::Bucketized { buckets, embedding, table }, Fitted::Buckets { boundaries }) => {
                    buckets::check(boundaries, buckets).map_err(&at)?;
                    (table, buckets::table_rows(boundaries), *embedding, None)
                }
                _ => return Err(at("what is fitted is not what the schema has".to_owned())),
            };
            layout.inputs.push(Input::Categorical {
                name: feature.name.clone(),
                slot: slots,
                table: table.clone(),
                rows,
                dim,
                pooling: multiple.map(|multiple| multiple.pooling),
            });
            slots += 1;
        }
        if used != vocabularies.len() {
            return Err(damaged("there is a vocabulary that no feature uses".to_owned()));
        }
        let tasks = schema.task_specs();
        Ok(Self { schema, fitted, vocabularies, layout, tasks })
    }

    /// What was fitted, under another schema: one whose features are read in the same way.
    ///
    /// # Errors
    /// [`Error::Encoder`] if they are not.
    pub fn with_schema(self, schema: Schema) -> Result<Self> {
        Self::new(schema, self.fitted, self.vocabularies)
    }

    /// The schema that rows are read by.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The inputs of a model over these batches.
    #[must_use]
    pub fn layout(&self) -> &InputLayout {
        &self.layout
    }

    /// The tasks, in configuration order.
    #[must_use]
    pub fn tasks(&self) -> &[TaskSpec] {
        &self.tasks
    }

    /// What was fitted, feature by feature in the order of the schema.
    #[must_use]
    pub fn fitted(&self) -> &[Fitted] {
        &self.fitted
    }

    /// The values of a table's vocabulary: value n has row n + 1. `None` for a table without one.
    #[must_use]
    pub fn vocabulary(&self, table: &str) -> Option<impl Iterator<Item = &str>> {
        Some(self.vocabularies.get(table)?.values())
    }

    /// The value of row `row` of an embedding table, where it is known: in a vocabulary.
    #[must_use]
    pub fn value_of_row(&self, table: &str, row: u64) -> Option<&str> {
        self.vocabularies.get(table)?.value(row)
    }

    /// Encodes parsed rows. A row with a number that a transform takes out of f32's range becomes a bad one; that cannot
    /// happen to a row that the encoder was fitted on.
    #[must_use]
    pub fn encode(&self, mut parsed: Parsed) -> Encoded {
        let mut numeric = self.numbers(&parsed);
        if numeric.iter().any(|value| !value.is_finite()) {
            self.drop_not_finite(&mut parsed, &numeric);
            numeric = self.numbers(&parsed);
        }
        let numbers = parsed.numbers_of.map_or_else(Vec::new, |feature| self.numbers_of(feature, &parsed));
        let (mut categorical, mut counts) = (Vec::new(), Vec::with_capacity(self.fitted.len()));
        let mut sizes = settle::sizes(&numeric, self.layout.numeric_width(), &parsed.splits).into_iter();
        let splits = &parsed.splits;
        for ((feature, fitted), values) in self.schema.features.iter().zip(&self.fitted).zip(parsed.features) {
            let may_miss =
                matches!(fitted, Fitted::Numeric { missing: Some(_), .. } | Fitted::Pieces { missing: Some(_), .. });
            let (mut ids, first_unknown) = match (&feature.read, fitted, values) {
                (FeatureKind::Categorical { table, multiple, .. }, _, Values::Categories(column)) => {
                    self.look_up(table, multiple.as_ref(), &column)
                }
                (_, Fitted::Buckets { boundaries }, Values::Numbers(numbers)) => {
                    (Ids::Single(numbers.iter().map(|&value| buckets::row(boundaries, value)).collect()), None)
                }
                (_, _, Values::Ids(ids)) => (ids, None),
                (_, _, Values::Coded { codes, numbers }) => (Ids::Single(codes.spread(&numbers)), None),
                (_, _, Values::Numbers(numbers)) => {
                    let own = settle::numbers(&numbers, splits, may_miss);
                    let others = if let Fitted::Pieces { boundaries, .. } = fitted { boundaries.len() - 2 } else { 0 };
                    // None of the pieces is large.
                    let sizes = sizes.by_ref().take(1 + others).last().unwrap_or_default();
                    counts.push(
                        own.into_iter()
                            .zip(sizes)
                            .map(|(own, size)| FeatureCount { large: size.large, largest: size.largest, ..own })
                            .collect::<Vec<_>>(),
                    );
                    continue;
                }
                (_, _, Values::Categories(_) | Values::Numbered(_)) => continue,
            };
            let mut own = match fitted {
                Fitted::Vocabulary => settle::settle(&mut ids, splits),
                fitted => settle::known(&ids, splits, *fitted != Fitted::Ids),
            };
            // Where rows are split, it may be a value of any of them.
            if let Some(count) = own.iter_mut().find(|count| count.unknown > 0) {
                count.first_unknown = first_unknown;
            }
            counts.push(own.to_vec());
            categorical.push(ids);
        }
        let of_split = |split: Split| counts.iter().map(|by_split| by_split[split as usize].clone()).collect();
        let counts = if splits.is_empty() { vec![of_split(Split::Train)] } else { Split::ALL.map(of_split).to_vec() };
        let first = parsed.origin.position;
        Encoded {
            batch: Batch { rows: parsed.rows, numeric, categorical, labels: parsed.labels, groups: parsed.groups },
            counts,
            splits: parsed.splits,
            positions: parsed.in_chunk.iter().map(|&row| first + row as u64).collect(),
            extras: parsed.extras,
            numbers,
            bad: parsed.bad,
        }
    }

    /// Numbers of a feature before any transform; where one is missing, what stands for it, or NaN.
    fn numbers_of(&self, feature: usize, parsed: &Parsed) -> Vec<f64> {
        let (Some(Values::Numbers(numbers)), Some(fitted)) = (parsed.features.get(feature), self.fitted.get(feature))
        else {
            return Vec::new();
        };
        let missing = match fitted {
            Fitted::Numeric { missing, .. } | Fitted::Pieces { missing, .. } => missing.unwrap_or(f64::NAN),
            _ => f64::NAN,
        };
        numbers.iter().map(|&number| if number.is_nan() { missing } else { number }).collect()
    }

    /// Encodes rows that are already in memory, such as the candidates of a request: every feature's column by its name
    /// (and with `with_labels` every label's, every weight's and that of groups; rows of weight 0 are left out then). Fails on the
    /// first bad row, whatever the schema says of those.
    ///
    /// # Errors
    /// If a column is missing, of a type that cannot be read, or holds a bad value.
    pub fn encode_rows(&self, rows: &RecordBatch, with_labels: bool) -> Result<Batch> {
        Ok(self.encode_rows_by(&Plan::new(&self.schema, SplitRules::default(), with_labels, &[]), rows)?.batch)
    }

    /// [`Encoder::encode_rows`] by a plan of this encoder's schema, which is made once for many requests.
    ///
    /// # Errors
    /// As there.
    pub fn encode_rows_by(&self, plan: &Plan, rows: &RecordBatch) -> Result<Encoded> {
        let mut encoded = self.encode(plan.parse(Chunk::from_rows(rows, plan.wanted(), &self.schema.csv.null)?)?);
        match encoded.bad.pop() {
            None => Ok(encoded),
            Some(last) => Err(Error::BadRow(Box::new(encoded.bad.into_iter().next().unwrap_or(last)))),
        }
    }

    /// Encodes training rows that were kept raw.
    ///
    /// # Errors
    /// As [`Encoder::encode_rows`]; [`Error::Encoder`] for rows that contradict themselves.
    pub fn encode_raw(&self, rows: &RawRows) -> Result<Batch> {
        let records = rows.to_records().map_err(|reason| Error::Encoder { reason: format!("raw rows: {reason}") })?;
        self.encode_rows(&records, false)
    }

    /// The numbers of rows that were kept raw, before any transform: by feature, of one that is not numeric none. NaN stands
    /// for a missing one.
    ///
    /// # Errors
    /// As [`Encoder::encode_raw`].
    pub fn raw_numbers(&self, rows: &RawRows) -> Result<Vec<Vec<f64>>> {
        let records = rows.to_records().map_err(|reason| Error::Encoder { reason: format!("raw rows: {reason}") })?;
        let plan = Plan::new(&self.schema, SplitRules::default(), false, &[]);
        let parsed = plan.parse(Chunk::from_rows(&records, plan.wanted(), &self.schema.csv.null)?)?;
        let numbers = |(fitted, values): (&Fitted, Values)| match (fitted, values) {
            (Fitted::Numeric { .. }, Values::Numbers(numbers)) => numbers,
            _ => Vec::new(),
        };
        Ok(self.fitted.iter().zip(parsed.features).map(numbers).collect())
    }

    /// Whether a numeric feature had one value in all rows that its transforms were fitted on, as far as these say.
    #[must_use]
    pub fn is_constant(&self, feature: usize) -> bool {
        let is_one = |step: &Step| match step {
            Step::Standardize { std, .. } => *std == 0.0,
            Step::MinMax { min, max } => min == max,
            Step::Log1p | Step::Clip(_) => false,
        };
        matches!(self.fitted.get(feature), Some(Fitted::Numeric { steps, .. }) if steps.iter().any(is_one))
    }

    /// Table rows of a column, and the first value that its vocabulary does not have.
    fn look_up(&self, table: &str, multiple: Option<&Multiple>, column: &Column) -> (Ids, Option<String>) {
        let vocabulary = self.vocabularies.get(table);
        let mut first_unknown = None;
        let rows = category::rows(column, multiple, |text| match (vocabulary, text) {
            (Some(vocabulary), Some(text)) => vocabulary.row(text).unwrap_or_else(|| {
                if first_unknown.is_none() {
                    first_unknown = Some(text.to_owned());
                }
                UNKNOWN
            }),
            _ => 0,
        });
        (rows, first_unknown)
    }

    /// Numeric inputs `[B, N]`, not finite where a transform left f32's range.
    fn numbers(&self, parsed: &Parsed) -> Vec<f32> {
        let pieces: Vec<Vec<[Step; 2]>> = self
            .fitted
            .iter()
            .map(
                |fitted| {
                    if let Fitted::Pieces { boundaries, .. } = fitted { pieces::steps(boundaries) } else { vec![] }
                },
            )
            .collect();
        let mut columns: Vec<(&[f64], Lately<'_>, f32)> = Vec::new();
        for ((fitted, values), pieces) in self.fitted.iter().zip(&parsed.features).zip(&pieces) {
            let Values::Numbers(numbers) = values else { continue };
            let mut column = |steps, missing: &Option<f64>| {
                let fill = missing.map_or(0.0, |missing| apply(steps, missing) as f32);
                columns.push((numbers.as_slice(), Lately::new(steps), fill));
            };
            match fitted {
                Fitted::Numeric { steps, missing } => column(steps, missing),
                Fitted::Pieces { missing, .. } => pieces.iter().for_each(|steps| column(steps, missing)),
                _ => {}
            }
        }
        let width = columns.len();
        let mut numeric = vec![0.0; parsed.rows * width];
        if width == 0 {
            return numeric;
        }
        // Columns into rows, some rows at a time: the rows that are being written stay in cache.
        const BLOCK: usize = 64;
        for (block, rows) in numeric.chunks_mut(BLOCK * width).enumerate() {
            for (at, (numbers, lately, fill)) in columns.iter_mut().enumerate() {
                let numbers = &numbers[block * BLOCK..];
                for (row, &number) in rows.chunks_exact_mut(width).zip(numbers) {
                    row[at] = if number.is_nan() { *fill } else { lately.apply(number) as f32 };
                }
            }
        }
        numeric
    }

    fn drop_not_finite(&self, parsed: &mut Parsed, numeric: &[f32]) {
        let width = self.layout.numeric_width();
        let mut keep = vec![true; parsed.rows];
        let mut bad = Vec::new();
        for (row, numbers) in numeric.chunks_exact(width).enumerate() {
            if let Some(at) = numbers.iter().position(|value| !value.is_finite()) {
                keep[row] = false;
                let input = self.layout.inputs.iter().find(|input| input.numeric_column() == Some(at));
                let of = |input: &Input| self.schema.features.iter().find(|feature| feature.name == input.name());
                let name = input.and_then(of).map(Feature::column);
                bad.push(parsed.origin.bad_row(parsed.in_chunk[row], name, None, Reason::TransformedTooLarge));
            }
        }
        parsed.filter(&keep);
        parsed.bad.extend(bad);
        parsed.bad.sort_by_key(|bad| bad.row);
    }
}

/// Encoded rows of one chunk.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The rows; with labels if the plan asked for them.
    pub batch: Batch,
    /// What each row is for; empty where all are trained on.
    pub splits: Vec<Split>,
    /// Values of each feature: of all rows, or where they are split of each split's, in the order of [`Split::ALL`].
    pub counts: Vec<Vec<FeatureCount>>,
    /// Position of each row over all files, from 0; bad rows, which are left out, count.
    pub positions: Vec<u64>,
    /// The extra columns that the plan asked for, as they are in the file.
    pub extras: Vec<Column>,
    /// Numbers of the feature that the plan asked for ([`Plan::with_numbers_of`]), before any transform: where one is missing,
    /// what stands for it, or NaN. Empty where none is asked for.
    pub numbers: Vec<f64>,
    /// The rows that could not be used, in row order.
    pub bad: Vec<BadRow>,
}

/// A finite f32, if it is one.
fn to_f32(value: f64) -> Option<f32> {
    let value = value as f32;
    value.is_finite().then_some(value)
}
