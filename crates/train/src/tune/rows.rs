//! Requests with outcomes, by the rows of a configuration.

use std::collections::HashMap;

use pleiad_data::encode::Plan;
use pleiad_data::read::{ReadAhead, Source as Files, expand};
use pleiad_data::schema::SplitConfig;
use pleiad_data::{Labels, Schema, Skipped, Split, SplitRules};
use pleiad_engine::Predictions;
use pleiad_rank::{Interrupt, Model, Scorer, check_finite};
use rayon::prelude::*;
use xxhash_rust::xxh64::xxh64;

use crate::config::ConfigFile;
use crate::error::{Error, Result};
use crate::lists::Lists;

/// Which rows of a configuration are searched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TuneRows {
    /// The validation rows.
    Valid,
    /// The test rows.
    Test,
}

impl TuneRows {
    /// The validation rows, or the test rows where there are no others.
    #[must_use]
    pub fn of(file: &ConfigFile) -> Self {
        if file.config.data.valid.is_none() && file.config.data.test.is_some() { Self::Test } else { Self::Valid }
    }

    fn split(self) -> Split {
        match self {
            Self::Valid => Split::Valid,
            Self::Test => Split::Test,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }
}

/// The requests of a configuration's rows, by the column `by` or those of `[data] request` and `[metrics] group`, what `model` predicts for them, their outcomes, and the numbers that the transform of
/// `scorer` reads. Rows without a request are left out.
///
/// # Errors
/// [`Error::Ask`] where `[data]` has no requests or no such rows; [`Error::Data`]; [`Error::Interrupted`].
pub fn requests(
    file: &ConfigFile,
    model: &Model,
    scorer: &Scorer,
    (rows, by): (TuneRows, Option<&str>),
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(u64),
) -> Result<(Lists, Skipped)> {
    let data = &file.config.data;
    let group = || file.schema.groups.as_ref().map(|groups| groups.column.clone());
    let Some(request) = by.map(str::to_owned).or_else(|| data.request.clone()).or_else(group) else {
        let reason = "weights are judged within requests: name the column that says which rows are one request, with --by COLUMN";
        return Err(Error::Ask { option: "CONFIG", reason: reason.to_owned() });
    };
    let asked = match rows {
        TuneRows::Valid => &data.valid,
        TuneRows::Test => &data.test,
    };
    let (files, rules) = match asked {
        Some(SplitConfig::Files(files)) => (Some(files), SplitRules::default()),
        Some(SplitConfig::Part(_)) => (data.train.as_ref(), SplitRules::new(data)),
        None => {
            let reason =
                format!("[data] has no {} rows to search on; name some, or choose others with --rows", rows.name());
            return Err(Error::Ask { option: "--rows", reason });
        }
    };
    let Some(files) = files else {
        return Err(Error::Ask { option: "CONFIG", reason: "[data] names no files".to_owned() });
    };
    let is_part = !rules.is_empty();
    let encoder = model.encoder();
    let schema = Schema { features: encoder.schema().features.clone(), groups: None, ..file.schema.clone() };
    let plan = Plan::new(&schema, rules, true, std::slice::from_ref(&request)).with_numbers_of(scorer.feature());
    let source = Files {
        files: expand(&file.folder(), files, data.format)?,
        format: data.format,
        otherwise: encoder.schema().format,
        csv: schema.csv.clone(),
        by_configuration: true,
        others: Vec::new(),
        stop: Some(interrupt.flag()),
        memory: None,
    };
    let mut reader = ReadAhead::start(source.rows(plan.wanted().to_vec()))?;
    let mut found = Found::new(model, &schema);
    let (mut read, mut skipped) = (0, Skipped::default());
    while let Some(chunks) = reader.next_group(rayon::current_num_threads())? {
        if let Some(signal) = interrupt.raised() {
            return Err(Error::Interrupted { signal, what: format!("stopped after {read} rows; nothing was found") });
        }
        let encode = |chunk| Ok(encoder.encode(plan.parse(chunk)?));
        for mut encoded in chunks.into_par_iter().map(encode).collect::<Result<Vec<_>>>()? {
            read = encoded.positions.last().map_or(read, |last| last + 1);
            skipped.add(std::mem::take(&mut encoded.bad), data.on_bad_row)?;
            let own: Vec<usize> = (0..encoded.batch.rows)
                .filter(|&row| !is_part || encoded.splits.get(row).is_some_and(|split| *split == rows.split()))
                .collect();
            if own.is_empty() {
                continue;
            }
            let mut batch = encoded.batch.slice(0..0);
            batch.gather_from(&encoded.batch, &own);
            let predictions = model.predictor().predict(&batch)?;
            check_finite(&predictions, model.tasks(), found.rows() as u64)?;
            found.add(&own, &predictions, &batch.labels, &encoded.numbers, |row| {
                encoded
                    .extras
                    .first()
                    .and_then(|column| column.cell(row).with_text(|text| text.map(|text| xxh64(text.as_bytes(), 0))))
            });
        }
        progress(read);
    }
    let lists = found.finish();
    if lists.requests.is_empty() {
        let reason = format!("no {} row has a request in column {request:?}", rows.name());
        return Err(Error::Ask { option: "--rows", reason });
    }
    Ok((lists, skipped))
}

/// Rows as they are read.
struct Found {
    tasks: Vec<String>,
    /// By task of the model: the task of the configuration.
    outcomes: Vec<Option<usize>>,
    known: HashMap<u64, u32>,
    hashes: Vec<u64>,
    request: Vec<u32>,
    predictions: Vec<Vec<f32>>,
    labels: Vec<Labels>,
    numbers: Vec<f64>,
}

impl Found {
    fn new(model: &Model, schema: &Schema) -> Self {
        let tasks: Vec<String> = model.tasks().iter().map(|task| task.name.clone()).collect();
        let of = |name: &String| schema.tasks.iter().position(|task| task.name == *name);
        Self {
            outcomes: tasks.iter().map(of).collect(),
            known: HashMap::new(),
            hashes: Vec::new(),
            request: Vec::new(),
            predictions: vec![Vec::new(); tasks.len()],
            labels: vec![Labels::default(); tasks.len()],
            numbers: Vec::new(),
            tasks,
        }
    }

    fn rows(&self) -> usize {
        self.request.len()
    }

    /// Adds predicted rows, number `own` of those that `request` names; those without one are left out.
    fn add(
        &mut self,
        own: &[usize],
        predictions: &Predictions,
        labels: &[Labels],
        numbers: &[f64],
        request: impl Fn(usize) -> Option<u64>,
    ) {
        for (at, &row) in own.iter().enumerate() {
            let Some(hash) = request(row) else { continue };
            let next = self.hashes.len() as u32;
            let number = *self.known.entry(hash).or_insert(next);
            if number == next {
                self.hashes.push(hash);
            }
            self.request.push(number);
            for (all, task) in self.predictions.iter_mut().zip(&predictions.tasks) {
                all.push(task[at]);
            }
            for (all, outcome) in self.labels.iter_mut().zip(&self.outcomes) {
                let labels = outcome.and_then(|task| labels.get(task));
                all.values.push(labels.map_or(0.0, |labels| labels.values[at]));
                all.present.push(labels.is_some_and(|labels| labels.present[at]));
            }
            self.numbers.extend(numbers.get(row));
        }
    }

    fn finish(self) -> Lists {
        let mut order: Vec<usize> = (0..self.request.len()).collect();
        // Stable: candidates keep their order.
        order.sort_by_key(|&row| self.request[row]);
        let mut requests = Vec::with_capacity(self.hashes.len());
        let mut at = 0;
        for group in order.chunk_by(|a, b| self.request[*a] == self.request[*b]) {
            requests.push(at..at + group.len());
            at += group.len();
        }
        let gather = |values: &Vec<f32>| order.iter().map(|&row| values[row]).collect::<Vec<_>>();
        let labels = |labels: &Labels| Labels {
            values: gather(&labels.values),
            present: order.iter().map(|&row| labels.present[row]).collect(),
            weights: Vec::new(),
        };
        Lists {
            requests,
            hashes: self.hashes,
            tasks: self.tasks,
            predictions: Predictions { tasks: self.predictions.iter().map(gather).collect() },
            numbers: if self.numbers.is_empty() {
                Vec::new()
            } else {
                order.iter().map(|&row| self.numbers[row]).collect()
            },
            labels: self.labels.iter().map(labels).collect(),
        }
    }
}
