//! Messages into files. Weights are written as they are read: a model is never in memory a second time.
//!
//! A message of Protocol Buffers is its fields, one behind the other, and those of a list may stand apart. So the graph is
//! written without its tensors, and then each tensor: its description, and its elements in parts.

use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use pleiad_data::disk::{Unlockable, sweep, sync_folder, temporary_file};
use pleiad_model::{PART, TensorSource};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::error::{Error, Result};
use crate::schema::{DataLocation, GraphProto, ModelProto, OperatorSetIdProto, TensorProto, entry};
use crate::writer::{Constant, Elements, NetworkWriter};
use crate::{Exported, NetworkModel};

/// Version of the format; its opsets are of 2022.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;
const ML_OPSET: i64 = 3;

/// Fields by their number: `graph` of a model, `initializer` of a graph, `raw_data` of a tensor.
const GRAPH: u32 = 7;
const INITIALIZER: u32 = 5;
const RAW_DATA: u32 = 9;

/// Tensors smaller than this stay in the file of the model.
const SMALL: u64 = 1 << 10;

/// Where a tensor begins in the file of weights: at a whole number of pages, so that it can be mapped.
const PAGE: u64 = 4096;

/// Writes a model to `path`, its weights to a file beside it where both together have more than `most` bytes.
pub(crate) fn write(model: &NetworkModel<'_>, writer: NetworkWriter, most: u64, path: &Path) -> Result<Exported> {
    let NetworkWriter { nodes, constants, inputs, input_infos, outputs, output_infos, opset: needed, .. } = writer;
    let json = |ports| serde_json::to_string(ports).map_err(|e| Error::Inconsistent { reason: e.to_string() });
    let (operations, uses_ml) = (nodes.len(), nodes.iter().any(|node| node.domain.is_some()));
    let opset = |domain: &str, version| OperatorSetIdProto { domain: Some(domain.to_owned()), version: Some(version) };
    let mut head = ModelProto {
        ir_version: Some(IR_VERSION),
        opset_import: vec![opset("", OPSET.max(needed))],
        producer_name: Some("pleiad".to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        metadata_props: vec![entry("pleiad.inputs", json(&inputs)?), entry("pleiad.outputs", json(&outputs)?)],
        ..ModelProto::default()
    };
    if uses_ml {
        head.opset_import.push(opset("ai.onnx.ml", ML_OPSET));
    }
    let graph = GraphProto {
        name: Some(model.kind.to_owned()),
        node: nodes,
        input: input_infos,
        output: output_infos,
        ..GraphProto::default()
    };
    let (head, graph) = (head.encode_to_vec(), graph.encode_to_vec());

    let inside = Tensors::inside(&constants);
    let bytes = inside.model_bytes(&head, &graph);
    let tensors = if bytes <= most { inside } else { Tensors::outside(&constants, &data_path(path)) };
    let bytes = tensors.model_bytes(&head, &graph);
    if bytes > most {
        return Err(Error::TooLarge { bytes });
    }
    let data = (tensors.outside > 0).then(|| data_path(path));
    for path in [Some(path), data.as_deref()].into_iter().flatten() {
        if fs::symlink_metadata(path).is_ok() {
            return Err(Error::Exists { path: path.to_owned() });
        }
    }
    // The weights first, so that they are there when the model is.
    if let Some(data) = &data {
        into_place(data, |file| tensors.write_outside(file, model.weights))?;
    }
    let written = into_place(path, |file| {
        file.write_all(&head)?;
        tensors.write_graph(file, &graph, model.weights)
    });
    if let (Err(_), Some(data)) = (&written, &data) {
        let _ = fs::remove_file(data);
    }
    written?;
    let data = data.map(|data| (data, tensors.outside));
    Ok(Exported { inputs, outputs, nodes: operations, bytes, data })
}

/// The file of a model's weights.
fn data_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".data");
    path.with_file_name(name)
}

/// Writes a file under a temporary name, brings it to the disk and gives it its name, if nothing has it.
fn into_place(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> std::io::Result<()>) -> Result<()> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sweep(folder, Unlockable::RemoveOld);
    let temporary = temporary_file(folder).map_err(|error| Error::Folder {
        path: path.to_owned(),
        folder: folder.to_owned(),
        // The system's own words have the temporary name, which says nothing to the user.
        reason: match error.kind() {
            ErrorKind::NotFound => "does not exist".to_owned(),
            ErrorKind::NotADirectory => "is not a folder".to_owned(),
            kind => format!("refuses: {kind}"),
        },
    })?;
    let mut file = BufWriter::with_capacity(1 << 20, temporary.as_file());
    write(&mut file).and_then(|()| file.flush()).map_err(io)?;
    drop(file);
    temporary.as_file().sync_all().map_err(io)?;
    temporary.persist_noclobber(path).map_err(|error| match error.error.kind() {
        ErrorKind::AlreadyExists => Error::Exists { path: path.to_owned() },
        _ => io(error.error),
    })?;
    sync_folder(folder).map_err(io)
}

/// The constants of a graph, and where their elements go.
struct Tensors<'c> {
    /// Each with its description, without the elements, and where they begin in the file of weights.
    tensors: Vec<(&'c Constant, Vec<u8>, Option<u64>)>,
    /// Bytes of the file of weights.
    outside: u64,
}

impl<'c> Tensors<'c> {
    /// All in the file of the model.
    fn inside(constants: &'c [Constant]) -> Self {
        let tensors = constants.iter().map(|constant| (constant, described(constant).encode_to_vec(), None));
        Self { tensors: tensors.collect(), outside: 0 }
    }

    /// Weights that are not small in a file of their own.
    fn outside(constants: &'c [Constant], data: &Path) -> Self {
        let location = data.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut outside = 0u64;
        let mut tensors = Vec::with_capacity(constants.len());
        for constant in constants {
            let mut tensor = described(constant);
            let mut begins = None;
            if matches!(constant.elements, Elements::Weight(_)) && constant.bytes() >= SMALL {
                let from = outside.next_multiple_of(PAGE);
                outside = from + constant.bytes();
                tensor.data_location = Some(DataLocation::External.into());
                tensor.external_data = vec![
                    entry("location", location.clone()),
                    entry("offset", from.to_string()),
                    entry("length", constant.bytes().to_string()),
                ];
                begins = Some(from);
            }
            tensors.push((constant, tensor.encode_to_vec(), begins));
        }
        Self { tensors, outside }
    }

    fn model_bytes(&self, head: &[u8], graph: &[u8]) -> u64 {
        let graph = graph.len() as u64 + self.bytes();
        head.len() as u64 + key_len(GRAPH) as u64 + encoded_len_varint(graph) as u64 + graph
    }

    /// Bytes of all tensors as fields of a graph.
    fn bytes(&self) -> u64 {
        let field = |tensor| {
            let bytes = tensor_bytes(tensor);
            key_len(INITIALIZER) as u64 + encoded_len_varint(bytes) as u64 + bytes
        };
        self.tensors.iter().map(field).sum()
    }

    fn write_graph(&self, file: &mut impl Write, graph: &[u8], weights: &dyn TensorSource) -> std::io::Result<()> {
        begin(file, GRAPH, graph.len() as u64 + self.bytes())?;
        file.write_all(graph)?;
        for tensor in &self.tensors {
            begin(file, INITIALIZER, tensor_bytes(tensor))?;
            let (constant, described, outside) = tensor;
            file.write_all(described)?;
            if outside.is_none() {
                begin(file, RAW_DATA, constant.bytes())?;
                elements(file, constant, weights)?;
            }
        }
        Ok(())
    }

    fn write_outside(&self, file: &mut impl Write, weights: &dyn TensorSource) -> std::io::Result<()> {
        let mut at = 0;
        for (constant, _, begins) in &self.tensors {
            let Some(begins) = *begins else { continue };
            file.write_all(&vec![0; (begins - at) as usize])?;
            elements(file, constant, weights)?;
            at = begins + constant.bytes();
        }
        Ok(())
    }
}

fn described(constant: &Constant) -> TensorProto {
    TensorProto {
        name: Some(constant.name.clone()),
        data_type: Some(constant.of.into()),
        dims: constant.shape.iter().map(|&size| size as i64).collect(),
        ..TensorProto::default()
    }
}

fn tensor_bytes((constant, described, outside): &(&Constant, Vec<u8>, Option<u64>)) -> u64 {
    let raw = constant.bytes();
    let field = key_len(RAW_DATA) as u64 + encoded_len_varint(raw) as u64 + raw;
    described.len() as u64 + if outside.is_none() { field } else { 0 }
}

/// Key and length of a field.
fn begin(file: &mut impl Write, field: u32, bytes: u64) -> std::io::Result<()> {
    let mut head = Vec::new();
    encode_key(field, WireType::LengthDelimited, &mut head);
    encode_varint(bytes, &mut head);
    file.write_all(&head)
}

/// Elements of a tensor, in little endian.
fn elements(file: &mut impl Write, constant: &Constant, weights: &dyn TensorSource) -> std::io::Result<()> {
    let name = match &constant.elements {
        Elements::Bytes(bytes) => return file.write_all(bytes),
        Elements::Weight(name) => name,
    };
    let count = constant.shape.iter().product::<usize>();
    let (mut part, mut bytes) = (Vec::new(), Vec::new());
    for from in (0..count).step_by(PART) {
        let range = from..count.min(from + PART);
        part.clear();
        weights.read(name, range.clone(), &mut part);
        if part.len() != range.len() {
            return Err(std::io::Error::other(format!("the model has too few elements of tensor \"{name}\"")));
        }
        bytes.clear();
        bytes.extend(part.iter().flat_map(|value| value.to_le_bytes()));
        file.write_all(&bytes)?;
    }
    Ok(())
}
