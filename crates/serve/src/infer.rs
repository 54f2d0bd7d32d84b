//! The Open Inference Protocol, version 2, over HTTP: tensors in, tensors out, in JSON or as bytes behind it.
//!
//! A tensor is a column of the model: `[B]`, `[B, 1]`, or `[B, L]` for a feature of lists. Outputs are a tensor `[B]` of FP32 for each
//! task and, where the model has `[rank]`, `score` of FP64. Rows keep their order.

use std::borrow::Cow;
use std::time::Instant;

use pleiad_data::nearest;
use pleiad_rank::cells::Cell;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cells::batch;
use crate::metrics::{Stage, Stages};
use crate::refusal::{Place, Refusal};
use crate::request::RankRequest;
use crate::served::Served;
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
        let mut began = Instant::now();
        let mut lap = |stages: &mut Stages, stage| {
            let now = Instant::now();
            stages.add(stage, now - began);
            began = now;
        };
        let (text, mut bytes) = body.split_at_checked(json.unwrap_or(body.len())).ok_or_else(|| {
            let message = "the header Inference-Header-Content-Length is longer than the body";
            Refusal::new(400, "bad_header", message, "give the length of the JSON in front of the bytes")
        })?;
        let mut request: Request<'_> = serde_json::from_slice(text).map_err(|error| {
            let place = Place { line: Some(error.line()), column: Some(error.column()), ..Place::default() };
            let advice = "send an inference request of the Open Inference Protocol, version 2";
            Refusal::new(400, "malformed_json", error.to_string(), advice).at(place)
        })?;
        let columns = self.columns();
        let width = columns.names.len();
        let mut found =
            RankRequest { request: vec![None; width], columns: vec![None; width], ..RankRequest::default() };
        let mut rows = None;
        for input in &mut request.inputs {
            let name = input.name.clone();
            let name: &str = &name;
            let Some(at) = columns.index(name) else {
                let hint = nearest(name, columns.names.iter().map(String::as_str));
                let hint = hint.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
                return Err(bad(name, format!("the model reads no column {name:?}{hint}"), "see the model's metadata"));
            };
            let (of_shape, length) = shape(name, &input.shape, columns.lists[at])?;
            match rows {
                Some(rows) if rows != of_shape => {
                    let message = format!("input {name:?} has {of_shape} rows where others have {rows}");
                    return Err(bad(name, message, "give every input the same rows"));
                }
                _ => rows = Some(of_shape),
            }
            if of_shape > most {
                let message = format!("more than {most} rows");
                return Err(Refusal::new(413, "too_many_candidates", message, "send fewer, in several requests"));
            }
            let values = of_shape * length.unwrap_or(1);
            let cells = input.cells(values, &mut bytes)?;
            if found.columns[at].is_some() {
                return Err(bad(name, format!("input {name:?} stands twice"), "give it once"));
            }
            found.columns[at] = Some(match length {
                None => cells,
                // A chunk of 0 values is none.
                Some(0) => vec![Cell::List(Vec::new()); of_shape],
                Some(length) => cells.chunks(length).map(|list| Cell::List(list.to_vec())).collect(),
            });
        }
        if !bytes.is_empty() {
            let message = format!("{} bytes behind the JSON belong to no input", bytes.len());
            return Err(bad("inputs", message, "give each input its binary_data_size"));
        }
        found.candidates = rows.unwrap_or(0);
        stages.candidates = found.candidates;
        if found.candidates == 0 {
            return Err(bad("inputs", "there are no rows", "give at least one input with at least one row"));
        }
        let wanted = self.wanted(&request)?;
        let candidates = found.candidates;
        let refuse = |error: pleiad_rank::Error| Refusal::of_rank(&error, &|_| false);
        let records = batch(found, columns)?;
        lap(stages, Stage::Decode);
        let rows = self.model().encode(&records).map_err(refuse)?;
        lap(stages, Stage::Encode);
        let predictions = self.model().predict(&rows).map_err(refuse)?;
        lap(stages, Stage::Predict);
        let scores = match wanted.iter().any(|(output, _)| *output == Which::Score) {
            true => self.model().score(&rows, &predictions).map_err(refuse)?,
            false => Vec::new(),
        };
        lap(stages, Stage::Score);
        self.count(&rows.counts);
        let (mut outputs, mut tensors) = (Vec::new(), Vec::new());
        for (output, binary) in wanted {
            let (name, datatype) = match output {
                Which::Task(task) => (self.model().tasks()[task].name.as_str(), "FP32"),
                Which::Score => (SCORE, "FP64"),
            };
            let mut tensor = json!({ "name": name, "datatype": datatype, "shape": [candidates] });
            if binary {
                let before = tensors.len();
                match output {
                    Which::Task(task) => predictions.tasks[task].iter().for_each(|p| tensors.extend(p.to_le_bytes())),
                    Which::Score => scores.iter().for_each(|score| tensors.extend(score.to_le_bytes())),
                }
                tensor["parameters"] = json!({ "binary_data_size": tensors.len() - before });
            } else {
                tensor["data"] = match output {
                    // As it is written as, not as the 64 bits nearest to it.
                    Which::Task(task) => predictions.tasks[task].iter().map(|&p| json!(written(p))).collect(),
                    Which::Score => json!(scores),
                };
            }
            outputs.push(tensor);
        }
        let mut answer = json!({ "model_name": self.name(), "model_version": self.version(), "outputs": outputs });
        if let Some(id) = request.id {
            answer["id"] = json!(id);
        }
        let mut body = answer.to_string().into_bytes();
        let json = (!tensors.is_empty()).then_some(body.len());
        body.append(&mut tensors);
        lap(stages, Stage::Write);
        Ok(Inferred { body, json })
    }

    /// The outputs that a request asks for, and whether each is to be bytes.
    fn wanted(&self, request: &Request<'_>) -> Result<Vec<(Which, bool)>, Refusal> {
        let tasks = self.model().tasks();
        let all = request.parameters.get("binary_data_output").and_then(Value::as_bool).unwrap_or(false);
        let has_score = self.model().scorer().is_ok();
        let Some(outputs) = &request.outputs else {
            let own = (0..tasks.len()).map(|task| (Which::Task(task), all));
            return Ok(own.chain(has_score.then_some((Which::Score, all))).collect());
        };
        let of = |output: &Output| {
            let binary = output.parameters.get("binary_data").and_then(Value::as_bool).unwrap_or(all);
            match tasks.iter().position(|task| task.name == output.name) {
                Some(task) => Ok((Which::Task(task), binary)),
                None if output.name == SCORE && has_score => Ok((Which::Score, binary)),
                None => {
                    let known: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
                    let message = format!("the model has no output {:?}; it has {}", output.name, known.join(", "));
                    Err(bad("outputs", message, "see the model's metadata"))
                }
            }
        };
        outputs.iter().map(of).collect()
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
        if self.model().scorer().is_ok() {
            outputs.push(output(SCORE, "FP64"));
        }
        json!({
            "name": self.name(), "versions": [self.version()], "platform": "pleiad", "inputs": inputs, "outputs": outputs,
        })
    }
}

/// An output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Task(usize),
    Score,
}

impl<'a> Input<'a> {
    /// Its values: those in the JSON, or the next bytes behind it.
    fn cells<'b>(&mut self, values: usize, bytes: &mut &'b [u8]) -> Result<Vec<Cell<'b>>, Refusal>
    where
        'a: 'b,
    {
        let name: &str = &self.name;
        let size = self.parameters.get("binary_data_size").and_then(Value::as_u64);
        let cells = match (self.data.take(), size) {
            (Some(Flat(cells)), None) => cells,
            (None, Some(size)) => {
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                let Some((own, rest)) = bytes.split_at_checked(size) else {
                    let message = format!("input {name:?} is to have {size} bytes, and {} are left", bytes.len());
                    return Err(bad(name, message, "send all bytes that binary_data_size says"));
                };
                *bytes = rest;
                binary(name, &self.datatype, own)?
            }
            _ => {
                let message = format!("input {name:?} has no values, or has them twice");
                return Err(bad(
                    name,
                    message,
                    "give `data`, or the parameter binary_data_size and bytes behind the JSON",
                ));
            }
        };
        if cells.len() != values {
            let message =
                format!("input {name:?} has {} values where its shape {:?} has {values}", cells.len(), self.shape);
            return Err(bad(name, message, "give as many values as the shape says"));
        }
        Ok(cells)
    }
}
