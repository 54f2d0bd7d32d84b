//! Weights in files, and the check that they are those that a graph names.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::Dtype;

use super::tensor_file::{TensorFile, TensorWriter};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::tensors::{Shapes, TensorHash, TensorSink, TensorSource, parts};
use crate::weights::Weights;

/// Writes every tensor to a safetensors file, f32, in the order of their names, and flushes it to the disk. Gives the
/// hash of the tensors ([`Weights::xxh64`]).
///
/// No more than [`crate::PART`] elements are held beside the source's own.
///
/// # Errors
/// [`Error::Io`].
pub fn write_safetensors(path: &Path, tensors: &dyn TensorSource) -> Result<u64> {
    let shapes = tensors.shapes();
    let described = shapes.iter().map(|(name, shape)| (name.clone(), shape.clone(), Dtype::F32));
    let mut writer = TensorWriter::create(path, described)?;
    let mut hash = TensorHash::new();
    let mut part = Vec::new();
    for (name, shape) in &shapes {
        hash.tensor(name, shape);
        for range in parts(shape.iter().product()) {
            part.clear();
            tensors.read(name, range, &mut part);
            hash.elements(writer.reals(&part)?);
        }
    }
    writer.finish()?;
    Ok(hash.digest())
}

/// Reads a safetensors file that must hold the tensors that `sink` expects, and no others, into it, types as in
/// [`read_safetensors`]. Gives the hash of what was read, as [`write_safetensors`] gave it. Nothing is read before the
/// names are sure; an error later leaves some tensors replaced.
///
/// # Errors
/// Errors of [`read_weights`].
pub fn read_safetensors_into(path: &Path, sink: &mut dyn TensorSink) -> Result<u64> {
    let mut file = TensorFile::open(path)?;
    let names = check_file(&file, &sink.shapes())?;
    read_parts(&mut file, names, &mut |name, at, part| sink.write(name, at, part))
}

/// The hash that [`write_safetensors`] gave for a file, if the file is as it was. Nothing is kept of what is read.
///
/// # Errors
/// Those of [`read_safetensors`].
pub fn hash_safetensors(path: &Path) -> Result<u64> {
    let mut file = TensorFile::open(path)?;
    let names = file.names();
    names.iter().try_for_each(|name| file.check_real(name))?;
    read_parts(&mut file, names, &mut |_, _, _| ())
}

/// Hands over the tensors of a file in parts; gives their hash.
fn read_parts(file: &mut TensorFile, names: Vec<String>, each: &mut dyn FnMut(&str, usize, &[f32])) -> Result<u64> {
    let (mut hash, mut bytes) = (TensorHash::new(), Vec::new());
    for name in names {
        hash.tensor(&name, file.shape(&name).unwrap_or_default());
        let mut at = 0;
        file.reals_in_parts(&name, |part| {
            bytes.clear();
            bytes.extend(part.iter().flat_map(|x| x.to_le_bytes()));
            hash.elements(&bytes);
            each(&name, at, part);
            at += part.len();
        })?;
    }
    Ok(hash.digest())
}

/// Reads every tensor of a safetensors file as f32: F32 as it stands, F16 and BF16 exactly, F64 rounded to nearest.
///
/// # Errors
/// [`Error::Io`], [`Error::Damaged`] where the header does not fit the file, [`Error::TensorType`] for other types.
pub fn read_safetensors(path: &Path) -> Result<Weights> {
    read(TensorFile::open(path)?)
}

/// [`read_safetensors`] of the tensors that hold real numbers; others, such as counters of integers, are left out.
///
/// # Errors
/// Those of [`read_safetensors`].
pub fn read_floats(path: &Path) -> Result<Weights> {
    let mut file = TensorFile::open(path)?;
    let mut weights = Weights::default();
    for name in file.names() {
        if file.check_real(&name).is_ok() {
            let shape = file.shape(&name).unwrap_or_default().to_vec();
            let values = file.reals(&name)?;
            weights.insert(name, shape, values);
        }
    }
    Ok(weights)
}

/// [`read_safetensors`] of a file that must hold the tensors that `graph` names, and no others; nothing is read before
/// this is sure.
///
/// # Errors
/// Those of [`read_safetensors`] and, with the nearest name where there is one, [`Error::MissingTensor`],
/// [`Error::UnknownTensor`], [`Error::TensorShape`].
pub fn read_weights(path: &Path, graph: &Graph) -> Result<Weights> {
    let file = TensorFile::open(path)?;
    check_file(&file, &expected(graph))?;
    read(file)
}

/// Whether `weights` are exactly the tensors that `graph` names, each in its shape.
///
/// # Errors
/// [`Error::MissingTensor`], [`Error::UnknownTensor`], [`Error::TensorShape`], with an empty path.
pub fn check_weights(weights: &dyn TensorSource, graph: &Graph) -> Result<()> {
    check_tensors(weights, &expected(graph))
}

/// Whether `tensors` are exactly the `expected` ones, each in its shape.
///
/// # Errors
/// As [`check_weights`].
pub fn check_tensors(tensors: &dyn TensorSource, expected: &Shapes) -> Result<()> {
    let shapes = tensors.shapes();
    let found = shapes.iter().map(|(name, shape)| (name.as_str(), shape.as_slice()));
    check(Path::new(""), expected, found.collect())
}

/// Shape of every tensor of `graph` by name.
fn expected(graph: &Graph) -> Shapes {
    let dense = graph.params.iter().map(|param| (param.name.clone(), param.shape.clone()));
    dense.chain(graph.tables.iter().map(|table| (table.tensor(), table.shape()))).collect()
}

/// Whether a file holds the `expected` tensors, and all can be read. Gives their names in the order of the file.
fn check_file(file: &TensorFile, expected: &Shapes) -> Result<Vec<String>> {
    let names = file.names();
    let found = names.iter().filter_map(|name| Some((name.as_str(), file.shape(name)?)));
    check(file.path(), expected, found.collect())?;
    names.iter().try_for_each(|name| file.check_real(name))?;
    Ok(names)
}

fn check(path: &Path, expected: &Shapes, found: BTreeMap<&str, &[usize]>) -> Result<()> {
    for (name, shape) in expected {
        match found.get(name.as_str()) {
            None => {
                let spare = found.keys().copied().filter(|other| !expected.contains_key(*other));
                return Err(Error::MissingTensor {
                    path: path.to_owned(),
                    tensor: name.clone(),
                    nearest: pleiad_data::nearest(name, spare),
                });
            }
            Some(other) if other != shape => {
                return Err(Error::TensorShape {
                    path: path.to_owned(),
                    tensor: name.clone(),
                    found: other.to_vec(),
                    expected: shape.clone(),
                });
            }
            Some(_) => {}
        }
    }
    match found.keys().find(|name| !expected.contains_key(**name)) {
        None => Ok(()),
        Some(name) => Err(Error::UnknownTensor {
            path: path.to_owned(),
            tensor: (*name).to_owned(),
            nearest: pleiad_data::nearest(name, expected.keys().map(String::as_str)),
        }),
    }
}

fn read(mut file: TensorFile) -> Result<Weights> {
    let names = file.names();
    names.iter().try_for_each(|name| file.check_real(name))?;
    let mut weights = Weights::default();
    for name in names {
        let shape = file.shape(&name).unwrap_or_default().to_vec();
        let data = file.reals(&name)?;
        weights.insert(name, shape, data);
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use proptest::prelude::*;
    use safetensors::tensor::TensorView;
    use safetensors::{Dtype, SafeTensors};
    use tempfile::TempDir;

    use super::*;

    fn file(bytes: &[u8]) -> (TempDir, std::path::PathBuf) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("t.safetensors");
        fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    /// A file with this header and so many bytes behind it.
    fn with_header(header: &str, data: usize) -> (TempDir, std::path::PathBuf) {
        let length = (header.len() as u64).to_le_bytes();
        file(&[&length, header.as_bytes(), &vec![0; data]].concat())
    }

    fn refusal(path: &Path) -> String {
        read_safetensors(path).unwrap_err().to_string()
    }

    #[test]
    fn the_reference_library_reads_what_is_written() {
        let mut weights = Weights::default();
        weights.insert("b", vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, f32::MIN_POSITIVE]);
        weights.insert("a", vec![], vec![-0.0]);
        weights.insert("empty", vec![0, 4], vec![]);
        let (_dir, path) = file(&[]);
        write_safetensors(&path, &weights).unwrap();
        let bytes = fs::read(&path).unwrap();
        let read = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(read.len(), 3);
        assert_eq!(read.tensor("b").unwrap().shape(), [2, 3]);
        assert_eq!(read.tensor("b").unwrap().data()[..4], 1f32.to_le_bytes());
        assert_eq!(read.tensor("b").unwrap().dtype(), Dtype::F32);
        assert_eq!(read_safetensors(&path).unwrap(), weights);
    }

    #[test]
    fn other_floats_are_converted_and_other_types_refused() {
        let views = |dtype, bytes: &[u8], n| {
            let view = TensorView::new(dtype, vec![n], bytes).unwrap();
            file(&safetensors::serialize([("w", view)], None).unwrap())
        };
        let value = |path: &Path| read_safetensors(path).unwrap().tensors["w"].data.clone();
        let (_dir, path) = views(Dtype::F16, &[0x00, 0x3C, 0x00, 0xC0], 2);
        assert_eq!(value(&path), [1.0, -2.0]);
        let (_dir, path) = views(Dtype::BF16, &[0x80, 0x3F], 1);
        assert_eq!(value(&path), [1.0]);
        let (_dir, path) = views(Dtype::F64, &[0.1f64.to_le_bytes(), f64::INFINITY.to_le_bytes()].concat(), 2);
        assert_eq!(value(&path), [0.1, f32::INFINITY]);
        let (_dir, path) = views(Dtype::F64, &1e39f64.to_le_bytes(), 1);
        assert!(refusal(&path).contains("\"w\": 1e39 is beyond the range of f32"));
        let (_dir, path) = views(Dtype::I64, &[0; 8], 1);
        assert!(refusal(&path).contains("tensor \"w\" holds I64"));
    }

    #[test]
    fn hostile_headers_are_refused_one_by_one() {
        let w = |info: &str| format!(r#"{{"w": {info}}}"#);
        for (header, data, told) in [
            (String::new(), 0, "its header is wrong"),
            ("{".to_owned(), 0, "its header is wrong"),
            ("[]".to_owned(), 0, "its header is wrong"),
            ("\u{0}".to_owned(), 0, "its header is wrong"),
            (w("1"), 0, "its header is wrong"),
            (w(r#"{"dtype": "F32", "shape": [1]}"#), 4, "its header is wrong"),
            (w(r#"{"dtype": "F33", "shape": [1], "data_offsets": [0, 4]}"#), 4, "F33"),
            (w(r#"{"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}"#), 4, "its header is wrong"),
            (w(r#"{"dtype": "F32", "shape": [1.5], "data_offsets": [0, 4]}"#), 4, "its header is wrong"),
            // Offsets that run backwards, leave a gap, or do not fit the shape.
            (w(r#"{"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}"#), 4, "its header is wrong"),
            (w(r#"{"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}"#), 8, "its header is wrong"),
            (w(r#"{"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}"#), 4, "its header is wrong"),
            // Shapes whose product overflows, to a small number or to zero.
            (w(r#"{"dtype": "F32", "shape": [9223372036854775808, 2], "data_offsets": [0, 0]}"#), 0, "header is wrong"),
            (w(r#"{"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 0]}"#), 0, "header is wrong"),
            (w(r#"{"dtype": "F64", "shape": [2305843009213693953], "data_offsets": [0, 8]}"#), 8, "header is wrong"),
            (w(r#"{"dtype": "F32", "shape": [99999999999999999999], "data_offsets": [0, 4]}"#), 4, "header is wrong"),
            // A tensor larger than the file; a file larger than its tensors.
            (w(r#"{"dtype": "F32", "shape": [1073741824], "data_offsets": [0, 4294967296]}"#), 4, "cut short"),
            (w(r#"{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}"#), 3, "cut short"),
            (w(r#"{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}"#), 5, "longer than its tensors"),
            // Two tensors that share bytes.
            (
                r#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                    "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}"#
                    .to_owned(),
                4,
                "its header is wrong",
            ),
            (r#"{"__metadata__": 3}"#.to_owned(), 0, "its header is wrong"),
            ("[".repeat(1 << 20), 0, "its header is wrong"),
        ] {
            let (_dir, path) = with_header(&header, data);
            let message = refusal(&path);
            assert!(message.contains(told), "{}: {message}", &header[..header.len().min(100)]);
        }
    }

    #[test]
    fn lengths_that_lie_are_refused_before_anything_is_read() {
        for (bytes, told) in [
            (vec![], "it has 0 bytes"),
            (vec![1, 2, 3], "it has 3 bytes"),
            (100u64.to_le_bytes().to_vec(), "claims 100 bytes, the file has 8"),
            (u64::MAX.to_le_bytes().to_vec(), "more than the 16777216 allowed"),
            ((1u64 << 63).to_le_bytes().to_vec(), "more than the 16777216 allowed"),
        ] {
            let (_dir, path) = file(&bytes);
            let message = refusal(&path);
            assert!(message.contains(told), "{message}");
        }
        let dir = TempDir::new().unwrap();
        assert!(read_safetensors(dir.path()).is_err());
        assert!(refusal(&dir.path().join("nothing")).contains("cannot read"));
    }

    /// Receives what a file has, in pieces.
    struct Received(Weights);

    impl TensorSink for Received {
        fn shapes(&self) -> Shapes {
            self.0.shapes()
        }

        fn write(&mut self, name: &str, at: usize, values: &[f32]) {
            self.0.tensors.get_mut(name).unwrap().data[at..at + values.len()].copy_from_slice(values);
        }
    }

    #[test]
    fn tensors_of_many_parts_are_written_hashed_and_received_whole() {
        let mut weights = Weights::default();
        let n = 2 * crate::PART + 12_345;
        weights.insert("long", vec![n], (0..n).map(|i| i as f32).collect());
        weights.insert("short", vec![2, 1], vec![-1.0, 0.5]);
        weights.insert("none", vec![0], vec![]);
        let (_dir, path) = file(&[]);
        assert_eq!(write_safetensors(&path, &weights).unwrap(), weights.xxh64());
        assert_eq!(read_safetensors(&path).unwrap(), weights);
        let mut received = Received(weights.clone());
        received.0.tensors.values_mut().for_each(|tensor| tensor.data.fill(9.0));
        assert_eq!(read_safetensors_into(&path, &mut received).unwrap(), weights.xxh64());
        assert_eq!(received.0, weights);
        assert_eq!(hash_safetensors(&path).unwrap(), weights.xxh64());
    }

    #[test]
    fn nothing_is_received_from_a_file_of_other_tensors() {
        let mut weights = Weights::default();
        weights.insert("gate.weight", vec![2], vec![1.0, 2.0]);
        let (_dir, path) = file(&[]);
        write_safetensors(&path, &weights).unwrap();
        for (name, shape, told) in [
            ("gate.weights", vec![2], "gate.weights"),
            ("gate.weight", vec![1, 2], "[1, 2]"),
            ("gate.weight", vec![3], "[3]"),
        ] {
            let mut other = Received(Weights::default());
            other.0.insert(name, shape.clone(), vec![9.0; shape.iter().product()]);
            let before = other.0.clone();
            let message = read_safetensors_into(&path, &mut other).unwrap_err().to_string();
            assert!(message.contains(told) && message.contains(&path.display().to_string()), "{message}");
            assert_eq!(other.0, before);
        }
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(read_safetensors_into(&path, &mut Received(weights)).unwrap_err().to_string().contains("cut short"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn tensors_come_back(shapes in prop::collection::btree_map("[a-z.]{1,8}", prop::collection::vec(0usize..40, 0..4), 0..6)) {
            let mut weights = Weights::default();
            for (i, (name, shape)) in shapes.into_iter().enumerate() {
                let n: usize = shape.iter().product();
                weights.insert(name, shape, (0..n).map(|k| (k * 7 + i) as f32 - 0.5).collect());
            }
            let (_dir, path) = file(&[]);
            write_safetensors(&path, &weights).unwrap();
            prop_assert_eq!(read_safetensors(&path).unwrap(), weights);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), length in 0u64..64) {
            let (_dir, path) = file(&bytes);
            let _ = read_safetensors(&path);
            let (_dir, path) = file(&[length.to_le_bytes().as_slice(), &bytes].concat());
            let _ = read_safetensors(&path);
        }
    }
}
