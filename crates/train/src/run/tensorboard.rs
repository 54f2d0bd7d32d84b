//! Event files for TensorBoard: every curve of a run as scalars by epoch.
//!
//! A file is a sequence of TFRecords, each a length, its checksum, a protobuf `Event` and its checksum; checksums are
//! CRC-32C, masked. Of `Event` only the fields that scalars need are written (`tensorboard/compat/proto/event.proto` and
//! `summary.proto` of TensorBoard):
//!
//! ```text
//! Event   { double wall_time = 1; int64 step = 2; oneof { string file_version = 3; Summary summary = 5 } }
//! Summary { repeated Value { string tag = 1; float simple_value = 2 } value = 1 }
//! ```

use crate::evaluate::named_metrics;
use crate::fit::EpochRecord;
use crate::run::RunReport;

/// Name of the file; TensorBoard looks for `tfevents` in it.
pub(crate) const FILE: &str = "events.out.tfevents.pleiad";

/// A run's curves. `wall_time` is the end of training, in seconds since 1970; epochs are spread evenly before it. All
/// else depends on the report alone.
pub(crate) fn events(report: &RunReport, wall_time: f64) -> Vec<u8> {
    let epochs = report.history.len() as f64;
    let start = wall_time - report.seconds;
    let mut file = Vec::new();
    record(&mut file, &event(start, 0, |out| string(out, 3, "brain.Event:2")));
    for (done, epoch) in report.history.iter().enumerate() {
        let time = start + report.seconds * (done + 1) as f64 / epochs;
        let step = i64::try_from(epoch.epoch).unwrap_or(i64::MAX);
        let summary = summary(&scalars(epoch));
        record(&mut file, &event(time, step, |out| bytes(out, 5, &summary)));
    }
    file
}

/// Everything that a record of an epoch has, by tag. What is not defined has no point.
fn scalars(epoch: &EpochRecord) -> Vec<(String, f64)> {
    let mut scalars = vec![
        ("train/loss".to_owned(), epoch.loss),
        ("train/learning_rate".to_owned(), epoch.learning_rate),
        ("train/rows_per_second".to_owned(), epoch.rows_per_second),
        ("train/input_wait".to_owned(), epoch.input_wait),
    ];
    let losses = epoch.task_losses.iter();
    scalars.extend(losses.filter_map(|(task, loss)| Some((format!("train/loss/{task}"), (*loss)?))));
    scalars.extend(epoch.task_weights.iter().map(|(task, weight)| (format!("train/weight/{task}"), *weight)));
    for (task, metrics) in epoch.valid.iter().flat_map(|valid| valid.tasks.iter()) {
        let named = named_metrics(metrics).into_iter();
        scalars.extend(named.filter_map(|(metric, value)| Some((format!("valid/{}/{task}", metric.name()), value?))));
    }
    scalars.extend(epoch.score.map(|score| ("valid/score".to_owned(), score)));
    scalars
}

/// Appends a TFRecord.
fn record(file: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(masked(&length).to_le_bytes());
    file.extend(data);
    file.extend(masked(data).to_le_bytes());
}

/// A checksum that is not mistaken for another when it is itself part of checked bytes.
fn masked(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn event(wall_time: f64, step: i64, what: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    key(&mut out, 1, 1);
    out.extend(wall_time.to_le_bytes());
    // Protobuf leaves out what is 0.
    if step != 0 {
        key(&mut out, 2, 0);
        varint(&mut out, step.cast_unsigned());
    }
    what(&mut out);
    out
}

fn summary(scalars: &[(String, f64)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (tag, value) in scalars {
        let mut one = Vec::new();
        string(&mut one, 1, tag);
        key(&mut one, 2, 5);
        one.extend((*value as f32).to_le_bytes());
        bytes(&mut out, 1, &one);
    }
    out
}

/// Number and wire type of a field: 0 varint, 1 eight bytes, 2 counted bytes, 5 four bytes.
fn key(out: &mut Vec<u8>, field: u64, wire: u64) {
    varint(out, field << 3 | wire);
}

fn string(out: &mut Vec<u8>, field: u64, text: &str) {
    bytes(out, field, text.as_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, data: &[u8]) {
    key(out, field, 2);
    varint(out, data.len() as u64);
    out.extend(data);
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report() -> RunReport {
        let epoch = |epoch: u64, loss: serde_json::Value| {
            json!({
                "epoch": epoch, "loss": 0.5, "task_losses": { "a/b": loss, "Покупка": 0.25 },
                "task_weights": { "a/b": 2.0, "Покупка": 0.5 },
                "valid": { "rows": 9, "tasks": { "a/b": { "rows": 9, "positives": 3, "auc": 0.75, "log_loss": null, "calibration": 1.0 } } },
                "score": 0.75, "learning_rate": 1e-3, "rows_per_second": 1000.0,
                "input_wait": 0.25,
            })
        };
        let count = json!({ "rows": 9, "tasks": { "a/b": 9 } });
        serde_json::from_value(json!({
            "version": 1, "kind": "ple", "parameters": { "total": 1, "dense": 1, "tables": 0 }, "config_hash": "", "model_xxh64": "",
            "seed": 1, "rows": { "train": count, "valid": count, "test": null }, "skipped_rows": 0, "steps": 300,
            "stop": "epochs", "selected_by": null, "best_epoch": 2, "seconds": 20.0,
            "history": [epoch(1, json!(0.5)), epoch(200, json!(null))], "valid": null, "test": null,
        }))
        .unwrap()
    }

    /// The payload of each record, with both checksums held against it.
    fn records(file: &[u8]) -> Vec<&[u8]> {
        let unmask = |masked: u32| masked.wrapping_sub(0xa282_ead8).rotate_left(15);
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        let (mut at, mut records) = (0, Vec::new());
        while at < file.len() {
            let length = u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
            assert_eq!(unmask(word(at + 8)), crc32c::crc32c(&file[at..at + 8]));
            let data = &file[at + 12..at + 12 + length];
            assert_eq!(unmask(word(at + 12 + length)), crc32c::crc32c(data));
            records.push(data);
            at += 16 + length;
        }
        records
    }

    /// Fields of a message: number and content, numbers of any width as little-endian bytes.
    fn fields(mut data: &[u8]) -> Vec<(u64, Vec<u8>)> {
        fn number(data: &mut &[u8]) -> u64 {
            let (mut n, mut shift) = (0, 0);
            loop {
                let byte = data[0];
                *data = &data[1..];
                n |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return n;
                }
            }
        }
        let mut fields = Vec::new();
        while !data.is_empty() {
            let key = number(&mut data);
            let length = match key & 7 {
                0 => {
                    fields.push((key >> 3, number(&mut data).to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                2 => number(&mut data) as usize,
                5 => 4,
                other => panic!("wire type {other}"),
            };
            fields.push((key >> 3, data[..length].to_vec()));
            data = &data[length..];
        }
        fields
    }

    #[test]
    fn every_point_reads_back() {
        let file = events(&report(), 1000.0);
        let records = records(&file);
        assert_eq!(records.len(), 3);
        assert_eq!(fields(records[0])[1], (3, b"brain.Event:2".to_vec()));
        let event = fields(records[2]);
        assert_eq!(event[0].1, 1000f64.to_le_bytes());
        assert_eq!(event[1].1, 200u64.to_le_bytes());
        let points: Vec<(String, f32)> = fields(&event[2].1)
            .into_iter()
            .map(|(_, value)| {
                let value = fields(&value);
                (String::from_utf8(value[0].1.clone()).unwrap(), f32::from_le_bytes(value[1].1[..].try_into().unwrap()))
            })
            .collect();
        // What is not defined, a loss and a log loss, has no point.
        let expected = [
            ("train/loss", 0.5),
            ("train/learning_rate", 1e-3),
            ("train/rows_per_second", 1000.0),
            ("train/input_wait", 0.25),
            ("train/loss/Покупка", 0.25),
            ("train/weight/a/b", 2.0),
            ("train/weight/Покупка", 0.5),
            ("valid/auc/a/b", 0.75),
            ("valid/calibration/a/b", 1.0),
            ("valid/score", 0.75),
        ];
        assert_eq!(points, expected.map(|(tag, value)| (tag.to_owned(), value)));
        assert_eq!(fields(&fields(records[1])[2].1).len(), 11);
    }

    /// TensorBoard 2.21 writes the same bytes:
    ///
    /// ```python
    /// from tensorboard.compat.proto.event_pb2 import Event
    /// from tensorboard.compat.proto.summary_pb2 import Summary
    /// from tensorboard.summary.writer.record_writer import RecordWriter
    /// out = io.BytesIO(); w = RecordWriter(out)
    /// w.write(Event(wall_time=980.0, file_version="brain.Event:2").SerializeToString())
    /// value = Summary.Value(tag="a", simple_value=0.5)
    /// w.write(Event(wall_time=990.0, step=300, summary=Summary(value=[value])).SerializeToString())
    /// print(out.getvalue().hex())
    /// ```
    #[test]
    fn bytes_are_those_of_tensorboard() {
        let expected = "1800000000000000a37f4b22090000000000a08e401a0d627261696e2e4576656e743a32024a0088\
                        1800000000000000a37f4b22090000000000f08e4010ac022a0a0a080a0161150000003f14264079";
        let mut file = Vec::new();
        record(&mut file, &event(980.0, 0, |out| string(out, 3, "brain.Event:2")));
        let points = summary(&[("a".to_owned(), 0.5)]);
        record(&mut file, &event(990.0, 300, |out| bytes(out, 5, &points)));
        assert_eq!(file.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), expected);
    }
}
