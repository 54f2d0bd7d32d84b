//! Inputs with encoders: columns as they stand in a log, encoded within the graph as [`Encoder::encode`] does.

use std::collections::BTreeMap;

use pleiad_data::Encoder;
use pleiad_data::encode::{Fitted, integer_hash};
use pleiad_data::schema::{Encoding, Feature, FeatureKind, Multiple};

use super::numbers::{Group, beyond_f32, missing};
use super::sources::{Form, Sources, within};
use super::{Encoded, TableRows, categories};
use crate::error::{Error, Result};
use crate::writer::{NetworkWriter, Value};

/// An input for each column, and what makes of it what the model reads.
pub(crate) fn columns(w: &mut NetworkWriter, encoder: &Encoder) -> Result<Encoded> {
    let mut columns =
        ModelColumns { w, encoder, sources: Sources::default(), may_miss: BTreeMap::new(), bad: Vec::new() };
    let (mut parts, mut group, mut rows) = (Vec::new(), Group::default(), Vec::new());
    for (feature, fitted) in encoder.schema().features.iter().zip(encoder.fitted()) {
        match (&feature.read, fitted) {
            (_, Fitted::Numeric { steps, missing }) => {
                if !group.takes(steps, *missing) {
                    parts.push(std::mem::take(&mut group));
                }
                let number = columns.number(feature, missing.is_some());
                group.push(columns.w.column(&number), steps, *missing);
            }
            (_, Fitted::Pieces { boundaries, missing }) => {
                let number = columns.number(feature, missing.is_some());
                let column = columns.w.column(&number);
                parts.push(std::mem::take(&mut group));
                parts.push(Group::pieces(&column, boundaries, *missing));
            }
            (_, Fitted::Buckets { boundaries }) => {
                let number = columns.number(feature, true);
                rows.push(TableRows::Single(categories::buckets(columns.w, &number, boundaries)));
            }
            (FeatureKind::Categorical { encoding, table, multiple, .. }, _) => {
                rows.push(columns.category(feature, *encoding, table, multiple.as_ref())?);
            }
            _ => {
                let reason = format!("feature \"{}\" is fitted as it is not read", feature.name);
                return Err(Error::Inconsistent { reason });
            }
        }
    }
    parts.push(group);
    let mut bad = Vec::new();
    let numbers: Vec<Value> = parts.iter().filter_map(|group| group.write(columns.w, &mut bad)).collect();
    columns.bad.extend(bad);
    let bad = columns.bad_rows();
    let ModelColumns { w, sources, .. } = columns;
    let numbers = if numbers.is_empty() { String::new() } else { w.concat("numbers", &numbers, 1) };
    let width = encoder.layout().numeric_width();
    Ok(Encoded { numbers, width, categories: rows, bad, raw: sources.numbers() })
}

struct ModelColumns<'c> {
    w: &'c mut NetworkWriter,
    encoder: &'c Encoder,
    sources: Sources,
    /// Numbers that are inputs, and whether all features allow a missing one.
    may_miss: BTreeMap<Value, bool>,
    /// Which rows of the batch cannot be used, each `[B]`.
    bad: Vec<Value>,
}

impl ModelColumns<'_> {
    fn number(&mut self, feature: &Feature, may_miss: bool) -> Value {
        let what = if may_miss { "number; NaN where it is missing" } else { "number, which must not be missing" };
        let value = self.sources.single(self.w, feature.column(), Form::Number, what, &feature.name);
        *self.may_miss.entry(value.clone()).or_insert(true) &= may_miss;
        value
    }

    fn category(
        &mut self,
        feature: &Feature,
        encoding: Encoding,
        table: &str,
        multiple: Option<&Multiple>,
    ) -> Result<TableRows> {
        match encoding {
            Encoding::Exact(_) => {
                let number = self.number(feature, true);
                let values = self.encoder.vocabulary(table).into_iter().flatten();
                Ok(TableRows::Single(categories::exact(self.w, &feature.name, &number, values)?))
            }
            Encoding::Vocabulary(_) => {
                let missing = if multiple.is_some() { "unknown" } else { "unknown or missing" };
                let what = format!("text of vocabulary \"{table}\"; any other is {missing}");
                let given = self.given(feature, multiple, Form::Text, &what);
                let values = self.encoder.vocabulary(table).into_iter().flatten();
                Ok(mapped(given, |texts| categories::vocabulary(self.w, texts, values)))
            }
            Encoding::Ids(rows) => {
                let what = format!("whole number from 0 to {}", rows - 1);
                let given = self.given(feature, multiple, Form::Integer, &what);
                Ok(self.within(given, rows))
            }
            Encoding::IntegerHash(rows) => {
                let what = if multiple.is_some() {
                    "whole number".to_owned()
                } else {
                    format!("whole number; {} where it is missing", integer_hash::MISSING)
                };
                let given = self.given(feature, multiple, Form::Integer, &what);
                Ok(mapped(given, |integers| categories::integer_hash(self.w, integers, rows)))
            }
            Encoding::Hash(rows) => {
                let missing = if multiple.is_some() { "" } else { "; 0 where it is missing" };
                let what = format!("table row, 1 + XXH64(text, seed 0) mod {}{missing}", rows - 1);
                let given = self.given(feature, multiple, Form::Row(rows), &what);
                Ok(self.within(given, rows))
            }
        }
    }

    /// Values as they come in.
    fn given(&mut self, feature: &Feature, multiple: Option<&Multiple>, form: Form, what: &str) -> TableRows {
        match multiple {
            None => TableRows::Single(self.sources.single(self.w, feature.column(), form, what, &feature.name)),
            Some(multiple) => {
                let column = (feature.column(), multiple.separator.as_str());
                let (rows, owners, lengths) = self.sources.list(self.w, column, form, what, &feature.name);
                TableRows::Multiple { rows, owners, lengths }
            }
        }
    }

    fn within(&mut self, given: TableRows, table_rows: u64) -> TableRows {
        let (rows, bad) = within(self.w, given, table_rows);
        self.bad.push(bad);
        rows
    }

    /// Which rows of the batch cannot be used, for whatever reason.
    fn bad_rows(&mut self) -> Option<Value> {
        let mut bad = std::mem::take(&mut self.bad);
        if !self.may_miss.is_empty() {
            let numbers: Vec<Value> = self.may_miss.keys().map(|number| self.w.column(number)).collect();
            let numbers = self.w.concat("numbers/given", &numbers, 1);
            bad.push(beyond_f32(self.w, &numbers));
            let may_miss: Vec<bool> = self.may_miss.values().copied().collect();
            bad.extend(missing(self.w, &numbers, &may_miss));
        }
        bad.into_iter().reduce(|a, b| self.w.op("Or", "bad", &[&a, &b], vec![]))
    }
}

/// Values of the same rows, made of those that are there.
fn mapped(rows: TableRows, map: impl FnOnce(&str) -> Value) -> TableRows {
    match rows {
        TableRows::Single(values) => TableRows::Single(map(&values)),
        TableRows::Multiple { rows, owners, lengths } => TableRows::Multiple { rows: map(&rows), owners, lengths },
    }
}
