//! The Open Inference Protocol over gRPC: [`Served::infer_message`] answers the bytes of a `ModelInferRequest`.
//!
//! Inputs are typed contents or raw bytes, as [`crate::infer`] has them behind JSON; outputs are raw where inputs are.

use std::borrow::Cow;

use bytes::Bytes;
use pleiad_rank::cells::Cell;
use prost::Message;

use crate::encoded::{EncodedRequest, Step};
use crate::frame::framed;
use crate::infer::{Figures, Gathered, Inferred, Which};
use crate::proto::inference::model_infer_request::InferInputTensor;
use crate::proto::inference::model_infer_response::InferOutputTensor;
use crate::proto::inference::{InferTensorContents, ModelInferRequest, ModelInferResponse};
use crate::refusal::Refusal;
use crate::served::Served;
use crate::stages::{Laps, Stage, Stages};
use crate::tensor::{bad, binary, written};

/// Most inputs, outputs and raw contents of a request each: what a message of a few bytes each may make of memory.
const MOST_PARTS: usize = 4096;

impl Served {
    /// Answers a `ModelInferRequest` of gRPC, of at most `most` rows, with the frame of a `ModelInferResponse`.
    ///
    /// # Errors
    /// Whatever it lacks, as [`Served::infer`].
    pub fn infer_message(&self, message: Bytes, most: usize, stages: &mut Stages) -> Result<Vec<u8>, Refusal> {
        Ok(self.begin_message(message, most, stages)?.answer(stages)?.body)
    }

    /// [`Served::infer_message`] up to where rows are predicted.
    pub(crate) fn begin_message<'a>(
        &'a self,
        message: Bytes,
        most: usize,
        stages: &mut Stages,
    ) -> Result<Step<'a>, Refusal> {
        let mut laps = Laps::new();
        let head = MessageHead::of(&message)?;
        if head.most_parts > MOST_PARTS {
            let text = format!("the request has {} inputs, outputs or raw contents", head.most_parts);
            return Err(bad("inputs", text, "give each column once, and ask for each output once"));
        }
        let request = ModelInferRequest::decode(message).map_err(|error| malformed(&error.to_string()))?;
        let is_raw = !request.raw_input_contents.is_empty();
        if is_raw && request.raw_input_contents.len() != request.inputs.len() {
            let (raw, inputs) = (request.raw_input_contents.len(), request.inputs.len());
            let text = format!("{raw} raw_input_contents for {inputs} inputs");
            return Err(bad("inputs", text, "give every input its raw contents, or none"));
        }
        let mut rows = Gathered::new(self);
        for (at, input) in request.inputs.iter().enumerate() {
            let shape: Option<Vec<u64>> = input.shape.iter().map(|&size| u64::try_from(size).ok()).collect();
            let Some(shape) = shape else {
                let text = format!("input {:?} has the shape {:?}", input.name, input.shape);
                return Err(bad(&input.name, text, "give sizes of 0 or more"));
            };
            rows.add(&input.name, &shape, most, || match request.raw_input_contents.get(at) {
                Some(raw) if input.contents.is_none() => binary(&input.name, &input.datatype, raw),
                Some(_) => {
                    let text = format!("input {:?} has raw contents and others", input.name);
                    Err(bad(&input.name, text, "give one of both"))
                }
                None => typed(input),
            })?;
        }
        let names = request.outputs.iter().map(|output| output.name.as_str()).collect();
        let wanted = self.wanted((!request.outputs.is_empty()).then_some(names))?;
        let rows = self.encoded(rows, &mut laps, stages)?;
        let id = request.id;
        Ok(Step::Predict(EncodedRequest::new(self, Vec::new(), rows, move |rows, predictions, stages| {
            let figures = self.figures(rows, predictions, &wanted, stages)?;
            let mut laps = Laps::new();
            let body = self.message(id, is_raw, wanted, &figures);
            laps.add(stages, Stage::Write);
            Ok(Inferred { body, json: None })
        })))
    }

    /// The frame of an answer.
    fn message(&self, id: String, is_raw: bool, wanted: Vec<Which>, figures: &Figures) -> Vec<u8> {
        let Figures { rows, predictions, scores } = figures;
        let mut answer = ModelInferResponse {
            model_name: self.name().to_owned(),
            model_version: self.version().to_owned(),
            id,
            ..ModelInferResponse::default()
        };
        for output in wanted {
            let (name, datatype) = self.output(output);
            let mut contents = InferTensorContents::default();
            match output {
                Which::Task(task) if is_raw => {
                    let bytes = predictions[task].iter().flat_map(|value| value.to_le_bytes());
                    answer.raw_output_contents.push(bytes.collect());
                }
                Which::Score if is_raw => {
                    answer.raw_output_contents.push(scores.iter().flat_map(|score| score.to_le_bytes()).collect());
                }
                Which::Task(task) => contents.fp32_contents.clone_from(&predictions[task]),
                Which::Score => contents.fp64_contents.clone_from(scores),
            }
            answer.outputs.push(InferOutputTensor {
                name: name.to_owned(),
                datatype: datatype.to_owned(),
                shape: vec![i64::try_from(*rows).unwrap_or(i64::MAX)],
                contents: (!is_raw).then_some(contents),
            });
        }
        framed(&answer)
    }
}

/// Typed contents: the list that the type of the input says.
fn typed(input: &InferInputTensor) -> Result<Vec<Cell<'_>>, Refusal> {
    let name: &str = &input.name;
    let Some(contents) = &input.contents else {
        return Err(bad(name, format!("input {name:?} has no values"), "give `contents`, or raw_input_contents"));
    };
    let unsigned = |value: u64| i64::try_from(value).map_or(Cell::UInt(value), Cell::Int);
    Ok(match input.datatype.as_str() {
        "BOOL" => contents.bool_contents.iter().map(|&value| Cell::Bool(value)).collect(),
        "INT8" | "INT16" | "INT32" => contents.int_contents.iter().map(|&value| Cell::Int(value.into())).collect(),
        "INT64" => contents.int64_contents.iter().map(|&value| Cell::Int(value)).collect(),
        "UINT8" | "UINT16" | "UINT32" => contents.uint_contents.iter().map(|&value| Cell::Int(value.into())).collect(),
        "UINT64" => contents.uint64_contents.iter().map(|&value| unsigned(value)).collect(),
        "FP32" => contents.fp32_contents.iter().map(|&value| Cell::Float(written(value))).collect(),
        "FP64" => contents.fp64_contents.iter().map(|&value| Cell::Float(value)).collect(),
        "BYTES" => {
            let text = |(at, bytes)| match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Cell::Text(Cow::Borrowed(text))),
                Err(_) => Err(bad(name, format!("input {name:?}: text {at} is not UTF-8"), "send texts in UTF-8")),
            };
            contents.bytes_contents.iter().map(AsRef::as_ref).enumerate().map(text).collect::<Result<_, _>>()?
        }
        // Says what is wrong with the type.
        other => binary(name, other, &[])?,
    })
}

/// What is asked for, read before the message as a whole is: a message of a few bytes each can be many parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MessageHead<'m> {
    pub(crate) model: &'m str,
    pub(crate) version: &'m str,
    most_parts: usize,
}

impl<'m> MessageHead<'m> {
    /// Of the bytes of a `ModelInferRequest`.
    pub(crate) fn of(message: &'m [u8]) -> Result<Self, Refusal> {
        let mut rest = message;
        let (mut head, mut parts) = (Self::default(), [0usize; 3]);
        while !rest.is_empty() {
            let field = WireField::next(&mut rest).ok_or_else(|| malformed("a field is cut off"))?;
            match field {
                WireField { number: 1, bytes: Some(bytes) } => head.model = text(bytes)?,
                WireField { number: 2, bytes: Some(bytes) } => head.version = text(bytes)?,
                WireField { number: number @ 5..=7, bytes: Some(_) } => parts[number as usize - 5] += 1,
                _ => {}
            }
        }
        head.most_parts = parts.into_iter().max().unwrap_or(0);
        Ok(head)
    }
}

fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|_| malformed("a name is not UTF-8"))
}

fn malformed(what: &str) -> Refusal {
    Refusal::new(400, "malformed_message", what, "send a message of inference.GRPCInferenceService")
}

/// A field of a message: its number and, where it has a length, its bytes.
struct WireField<'m> {
    number: u64,
    bytes: Option<&'m [u8]>,
}

impl<'m> WireField<'m> {
    /// The first field of `rest`, which it leaves behind; `None` where it is cut off.
    fn next(rest: &mut &'m [u8]) -> Option<Self> {
        let key = varint(rest)?;
        let length = match key & 7 {
            0 => varint(rest).map(|_| 0)?,
            1 => 8,
            2 => usize::try_from(varint(rest)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (bytes, behind) = rest.split_at_checked(length)?;
        *rest = behind;
        Some(Self { number: key >> 3, bytes: (key & 7 == 2).then_some(bytes) })
    }
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_head_is_what_the_message_says() {
        let input = InferInputTensor { name: "a".to_owned(), ..InferInputTensor::default() };
        let message = ModelInferRequest {
            model_name: "video".to_owned(),
            model_version: "7".to_owned(),
            inputs: vec![input; 3],
            raw_input_contents: vec![Bytes::from_static(b"x"); 4],
            ..ModelInferRequest::default()
        };
        let bytes = message.encode_to_vec();
        assert_eq!(MessageHead::of(&bytes).unwrap(), MessageHead { model: "video", version: "7", most_parts: 4 });
        assert!(MessageHead::of(&bytes[..bytes.len() - 1]).is_err());
        // Fields of other kinds, as a later protocol may have them.
        let others = [&[0x48, 0x96, 0x01, 0x51][..], &[0; 8], &[0x5d, 0, 0, 0, 0], &bytes].concat();
        assert_eq!(MessageHead::of(&others), MessageHead::of(&bytes));
    }

    proptest! {
        #[test]
        fn a_head_is_read_where_the_message_is(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(message) = ModelInferRequest::decode(&bytes[..]) && let Ok(head) = MessageHead::of(&bytes) {
                prop_assert_eq!(head.model, message.model_name);
                prop_assert_eq!(head.version, message.model_version);
            }
        }
    }
}
