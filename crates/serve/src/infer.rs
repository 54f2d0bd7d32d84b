//! The Open Inference Protocol, version 2: tensors in, tensors out. Here in JSON or as bytes behind it; `message` has gRPC.
//!
//! A tensor is a column of the model: `[B]`, `[B, 1]`, or `[B, L]` for a feature of lists. Outputs are a tensor `[B]` of FP32 for each
//! task and, where the model has `[rank]`, `score` of FP64. Rows keep their order.

use std::borrow::Cow;

use pleiad_data::nearest;
use pleiad_engine::Predictions;
use pleiad_rank::Rows;
use pleiad_rank::cells::Cell;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cells::batch;
use crate::columns::Columns;
use crate::encoded::{EncodedRequest, Step};
use crate::refusal::{Place, Refusal};
use crate::request::RankRequest;
use crate::served::Served;
use crate::stages::{Laps, Stage, Stages};
use crate::tensor::{Flat, bad, binary, shape, written};

/// The name of the output of scores.
const SCORE: &str = "score";

/// An answer: JSON, then the bytes of its tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inferred {
    /// All of it.
    pub body: Vec<u8>,
    /// Length of the JSON, where bytes come behind it.
    pub json: Option<usize>,
}

#[derive(Deserialize)]
struct Request<'a> {
    id: Option<String>,
    #[serde(default)]
    parameters: Map<String, Value>,
    #[serde(borrow)]
    inputs: Vec<Input<'a>>,
    outputs: Option<Vec<Output>>,
}

#[derive(Deserialize)]
struct Input<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    shape: Vec<u64>,
    datatype: String,
    #[serde(default)]
    parameters: Map<String, Value>,
    #[serde(borrow)]
    data: Option<Flat<'a>>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    #[serde(default)]
    parameters: Map<String, Value>,
}

impl Served {
    /// Answers a request of the Open Inference Protocol. `json` is the length of its JSON where bytes of tensors come behind it;
    /// `most` the rows that it may have.
    ///
    /// # Errors
    /// Whatever it lacks, as [`Served::rank`].
    pub fn infer(
        &self,
        body: &[u8],
        json: Option<usize>,
        most: usize,
        stages: &mut Stages,
    ) -> Result<Inferred, Refusal> {
        self.begin_infer(body, json, most, stages)?.answer(stages)
    }

    /// [`Served::infer`] up to where rows are predicted.
    pub(crate) fn begin_infer<'a>(
        &'a self,
        body: &'a [u8],
        json: Option<usize>,
        most: usize,
        stages: &mut Stages,
    ) -> Result<Step<'a>, Refusal> {
        let mut laps = Laps::new();
        let (text, mut bytes) = body.split_at_checked(json.unwrap_or(body.len())).ok_or_else(|| {
            let message = "the header Inference-Header-Content-Length is longer than the body";
            Refusal::new(400, "bad_header", message, "give the length of the JSON in front of the bytes")
        })?;
        let mut request: Request<'_> = serde_json::from_slice(text).map_err(|error| {
            let place = Place { line: Some(error.line()), column: Some(error.column()), ..Place::default() };
            let advice = "send an inference request of the Open Inference Protocol, version 2";
            Refusal::new(400, "malformed_json", error.to_string(), advice).at(place)
        })?;
        let mut rows = Gathered::new(self);
        for input in &mut request.inputs {
            let (name, shape) = (input.name.clone(), std::mem::take(&mut input.shape));
            rows.add(&name, &shape, most, || input.cells(&mut bytes))?;
        }
        if !bytes.is_empty() {
            let message = format!("{} bytes behind the JSON belong to no input", bytes.len());
            return Err(bad("inputs", message, "give each input its binary_data_size"));
        }
        let all = request.parameters.get("binary_data_output").and_then(Value::as_bool).unwrap_or(false);
        let names = request.outputs.as_ref().map(|outputs| outputs.iter().map(|output| output.name.as_str()).collect());
        let wanted = self.wanted(names)?;
        let rows = self.encoded(rows, &mut laps, stages)?;
        Ok(Step::Predict(EncodedRequest::new(self, Vec::new(), rows, move |rows, predictions, stages| {
            let figures = self.figures(rows, predictions, &wanted, stages)?;
            let mut laps = Laps::new();
            let answer = self.written(&request, all, wanted, &figures);
            laps.add(stages, Stage::Write);
            Ok(answer)
        })))
    }

    /// The answer to a request; `all` says whether outputs are bytes where they do not say it.
    fn written(&self, request: &Request<'_>, all: bool, wanted: Vec<Which>, figures: &Figures) -> Inferred {
        let Figures { rows, predictions, scores } = figures;
        let binary = |at: usize| {
            let output = request.outputs.as_ref().and_then(|outputs| outputs.get(at));
            output.and_then(|output| output.parameters.get("binary_data").and_then(Value::as_bool)).unwrap_or(all)
        };
        let (mut outputs, mut tensors) = (Vec::new(), Vec::new());
        for (at, output) in wanted.into_iter().enumerate() {
            let (name, datatype) = self.output(output);
            let mut tensor = json!({ "name": name, "datatype": datatype, "shape": [rows] });
            if binary(at) {
                let before = tensors.len();
                match output {
                    Which::Task(task) => predictions[task].iter().for_each(|p| tensors.extend(p.to_le_bytes())),
                    Which::Score => scores.iter().for_each(|score| tensors.extend(score.to_le_bytes())),
                }
                tensor["parameters"] = json!({ "binary_data_size": tensors.len() - before });
            } else {
                tensor["data"] = match output {
                    // As it is written as, not as the 64 bits nearest to it.
                    Which::Task(task) => predictions[task].iter().map(|&p| json!(written(p))).collect(),
                    Which::Score => json!(scores),
                };
            }
            outputs.push(tensor);
        }
        let mut answer = json!({ "model_name": self.name(), "model_version": self.version(), "outputs": outputs });
        if let Some(id) = &request.id {
            answer["id"] = json!(id);
        }
        let mut body = answer.to_string().into_bytes();
        let json = (!tensors.is_empty()).then_some(body.len());
        body.append(&mut tensors);
        Inferred { body, json }
    }

    /// Rows that were gathered, as the model reads them.
    pub(crate) fn encoded(
        &self,
        gathered: Gathered<'_, '_>,
        laps: &mut Laps,
        stages: &mut Stages,
    ) -> Result<Rows, Refusal> {
        let found = gathered.found;
        stages.candidates = found.candidates;
        if found.candidates == 0 {
            return Err(bad("inputs", "there are no rows", "give at least one input with at least one row"));
        }
        let records = batch(found, self.columns())?;
        laps.add(stages, Stage::Decode);
        let rows = self.model().encode(&records).map_err(|error| Refusal::of_rank(&error, &|_| false))?;
        laps.add(stages, Stage::Encode);
        Ok(rows)
    }

    /// What is answered of rows and their predictions. They count as served.
    pub(crate) fn figures(
        &self,
        rows: Rows,
        predictions: Predictions,
        wanted: &[Which],
        stages: &mut Stages,
    ) -> Result<Figures, Refusal> {
        let mut laps = Laps::new();
        let refuse = |error: pleiad_rank::Error| Refusal::of_rank(&error, &|_| false);
        let scores = match wanted.contains(&Which::Score) {
            true => match self.weighted() {
                Some(weighted) => weighted.scorer.score(&predictions, &rows.numbers, 0).map_err(refuse)?,
                None => self.model().score(&rows, &predictions).map_err(refuse)?,
            },
            false => Vec::new(),
        };
        laps.add(stages, Stage::Score);
        self.count(&rows.counts, &predictions.tasks);
        Ok(Figures { rows: rows.batch.rows, predictions: predictions.tasks, scores })
    }

    /// The outputs of these names, each at most once; all of them without names.
    pub(crate) fn wanted(&self, names: Option<Vec<&str>>) -> Result<Vec<Which>, Refusal> {
        let tasks = self.model().tasks();
        let has_score = self.has_score();
        let Some(names) = names else {
            return Ok((0..tasks.len()).map(Which::Task).chain(has_score.then_some(Which::Score)).collect());
        };
        let mut wanted = Vec::new();
        for name in names {
            let output = match tasks.iter().position(|task| task.name == name) {
                Some(task) => Which::Task(task),
                None if name == SCORE && has_score => Which::Score,
                None => {
                    let known: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
                    let message = format!("the model has no output {name:?}; it has {}", known.join(", "));
                    return Err(bad("outputs", message, "see the model's metadata"));
                }
            };
            // An answer is no longer than its rows and outputs make it, whatever a request repeats.
            if wanted.contains(&output) {
                return Err(bad("outputs", format!("output {name:?} stands twice"), "ask for it once"));
            }
            wanted.push(output);
        }
        Ok(wanted)
    }

    /// The name of an output, and its type.
    pub(crate) fn output(&self, output: Which) -> (&str, &'static str) {
        match output {
            Which::Task(task) => (self.model().tasks()[task].name.as_str(), "FP32"),
            Which::Score => (SCORE, "FP64"),
        }
    }

    /// The metadata of the protocol: names, types and shapes of inputs and outputs.
    #[must_use]
    pub fn metadata(&self) -> Value {
        let features = &self.model().encoder().schema().features;
        let columns = self.columns();
        let input = |(name, is_list): (&String, &bool)| {
            let is_text = features
                .iter()
                .filter(|feature| feature.column() == name)
                .all(|feature| matches!(feature.read, pleiad_data::schema::FeatureKind::Categorical { .. }));
            let shape = if *is_list { json!([-1, -1]) } else { json!([-1]) };
            json!({ "name": name, "datatype": if is_text { "BYTES" } else { "FP64" }, "shape": shape })
        };
        let inputs: Vec<Value> = columns.names.iter().zip(&columns.lists).map(input).collect();
        let output = |name: &str, datatype: &str| json!({ "name": name, "datatype": datatype, "shape": [-1] });
        let mut outputs: Vec<Value> = self.model().tasks().iter().map(|task| output(&task.name, "FP32")).collect();
        if self.has_score() {
            outputs.push(output(SCORE, "FP64"));
        }
        json!({
            "name": self.name(), "versions": [self.version()], "platform": "pleiad", "inputs": inputs, "outputs": outputs,
        })
    }
}

/// Columns of a request, as they are gathered from its inputs.
pub(crate) struct Gathered<'m, 'v> {
    columns: &'m Columns,
    found: RankRequest<'v>,
    rows: Option<usize>,
}

impl<'m, 'v> Gathered<'m, 'v> {
    pub(crate) fn new(served: &'m Served) -> Self {
        let columns = served.columns();
        let width = columns.names.len();
        let found = RankRequest { request: vec![None; width], columns: vec![None; width], ..RankRequest::default() };
        Self { columns, found, rows: None }
    }

    /// Adds an input of at most `most` rows; `cells` gives its values, row by row.
    pub(crate) fn add(
        &mut self,
        name: &str,
        of_shape: &[u64],
        most: usize,
        cells: impl FnOnce() -> Result<Vec<Cell<'v>>, Refusal>,
    ) -> Result<(), Refusal> {
        let Some(at) = self.columns.index(name) else {
            let hint = nearest(name, self.columns.names.iter().map(String::as_str));
            let hint = hint.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
            return Err(bad(name, format!("the model reads no column {name:?}{hint}"), "see the model's metadata"));
        };
        let (rows, length) = shape(name, of_shape, self.columns.lists[at])?;
        match self.rows {
            Some(others) if others != rows => {
                let message = format!("input {name:?} has {rows} rows where others have {others}");
                return Err(bad(name, message, "give every input the same rows"));
            }
            _ => self.rows = Some(rows),
        }
        if rows > most {
            let message = format!("more than {most} rows");
            return Err(Refusal::new(413, "too_many_candidates", message, "send fewer, in several requests"));
        }
        self.found.candidates = rows;
        let values = rows * length.unwrap_or(1);
        let cells = cells()?;
        if cells.len() != values {
            let message =
                format!("input {name:?} has {} values where its shape {of_shape:?} has {values}", cells.len());
            return Err(bad(name, message, "give as many values as the shape says"));
        }
        if self.found.columns[at].is_some() {
            return Err(bad(name, format!("input {name:?} stands twice"), "give it once"));
        }
        self.found.columns[at] = Some(match length {
            None => cells,
            // A chunk of 0 values is none.
            Some(0) => vec![Cell::List(Vec::new()); rows],
            Some(length) => cells.chunks(length).map(|list| Cell::List(list.to_vec())).collect(),
        });
        Ok(())
    }
}

/// What the model gave.
pub(crate) struct Figures {
    pub(crate) rows: usize,
    /// By task.
    pub(crate) predictions: Vec<Vec<f32>>,
    /// Empty where they are not wanted.
    pub(crate) scores: Vec<f64>,
}

/// An output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Task(usize),
    Score,
}

impl<'a> Input<'a> {
    /// Its values: those in the JSON, or the next bytes behind it.
    fn cells<'b>(&mut self, bytes: &mut &'b [u8]) -> Result<Vec<Cell<'b>>, Refusal>
    where
        'a: 'b,
    {
        let name: &str = &self.name;
        let size = self.parameters.get("binary_data_size").and_then(Value::as_u64);
        match (self.data.take(), size) {
            (Some(Flat(cells)), None) => Ok(cells),
            (None, Some(size)) => {
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                let Some((own, rest)) = bytes.split_at_checked(size) else {
                    let message = format!("input {name:?} is to have {size} bytes, and {} are left", bytes.len());
                    return Err(bad(name, message, "send all bytes that binary_data_size says"));
                };
                *bytes = rest;
                binary(name, &self.datatype, own)
            }
            _ => {
                let message = format!("input {name:?} has no values, or has them twice");
                Err(bad(name, message, "give `data`, or the parameter binary_data_size and bytes behind the JSON"))
            }
        }
    }
}
