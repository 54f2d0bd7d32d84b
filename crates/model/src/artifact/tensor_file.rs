//! Safetensors files, tensor by tensor: the whole header is checked against the file before tensors are read by it,
//! and no file is held in memory beside its tensors.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::convert::{take, to_f32};
use crate::error::{Error, Result};

/// Some 100,000 tensors; no model comes near.
const MAX_HEADER: u64 = 1 << 24;

/// Bytes that are converted at a time; a multiple of every element's width.
const CHUNK: usize = 1 << 16;

/// A file whose header holds together and fits its size.
pub(super) struct TensorFile {
    path: PathBuf,
    file: BufReader<File>,
    /// Where the tensors begin.
    data: u64,
    metadata: Metadata,
}

impl TensorFile {
    /// Opens a file and checks its header.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let io = |source| Error::Io { path: path.to_owned(), action: "read", source };
        let damaged = |reason: String| Error::Damaged { path: path.to_owned(), reason };
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(damaged("it is not a regular file".to_owned()));
        }
        let size = metadata.len();
        let mut file = BufReader::new(file);
        if size < 8 {
            return Err(damaged(format!("it has {size} bytes, too few for a safetensors file")));
        }
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(io)?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER {
            return Err(damaged(format!("its header claims {length} bytes, more than the {MAX_HEADER} allowed")));
        }
        let Some(rest) = (size - 8).checked_sub(length) else {
            return Err(damaged(format!("its header claims {length} bytes, the file has {size} in all")));
        };
        let mut header = Vec::new();
        (&mut file).take(length).read_to_end(&mut header).map_err(io)?;
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|error| damaged(format!("its header is wrong: {error}")))?;
        let named = metadata.data_len() as u64;
        if named != rest {
            let what = if named > rest { "it is cut short" } else { "it is longer than its tensors" };
            return Err(damaged(format!("{what}: the header says {named} bytes of tensors, {rest} are there")));
        }
        Ok(Self { path: path.to_owned(), file, data: 8 + length, metadata })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of all tensors.
    pub(super) fn bytes(&self) -> usize {
        self.metadata.data_len()
    }

    /// Names of all tensors, in the order in which they stand in the file.
    pub(super) fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.metadata.info(name).map(|info| info.shape.as_slice())
    }

    /// Whether a tensor's elements can be read as f32.
    pub(super) fn check_real(&self, name: &str) -> Result<()> {
        let dtype = self.info(name)?.dtype;
        match to_f32(dtype) {
            Some(_) => Ok(()),
            None => Err(self.wrong_type(name, dtype, "F32, F64, F16 or BF16")),
        }
    }

    /// A tensor's elements as f32; see [`to_f32`].
    pub(super) fn reals(&mut self, name: &str) -> Result<Vec<f32>> {
        let info = self.info(name)?;
        let mut values = self.room(name, info.shape.iter().product())?;
        self.reals_in_parts(name, |part| values.extend_from_slice(part))?;
        Ok(values)
    }

    /// A tensor's elements as f32, in order, some at a time.
    pub(super) fn reals_in_parts(&mut self, name: &str, mut each: impl FnMut(&[f32])) -> Result<()> {
        let dtype = self.info(name)?.dtype;
        let Some((width, convert)) = to_f32(dtype) else {
            return Err(self.wrong_type(name, dtype, "F32, F64, F16 or BF16"));
        };
        let mut part = Vec::with_capacity(CHUNK / width);
        let mut beyond = None;
        self.chunks(name, |bytes| {
            part.clear();
            part.extend(bytes.chunks_exact(width).map(convert));
            if dtype == Dtype::F64 {
                // Beyond f32 lies an infinity: better refused here than found as a NaN later.
                let mut wide = bytes.chunks_exact(width).map(|bytes| f64::from_le_bytes(take(bytes)));
                beyond = beyond.or_else(|| wide.find(|x| x.is_finite() && !(*x as f32).is_finite()));
            }
            each(&part);
        })?;
        match beyond {
            Some(value) => Err(self.damaged(format!("tensor {name:?}: {value:e} is beyond the range of f32"))),
            None => Ok(()),
        }
    }

    /// A tensor's elements as indices.
    pub(super) fn indices(&mut self, name: &str) -> Result<Vec<u64>> {
        let dtype = self.info(name)?.dtype;
        if dtype != Dtype::U64 {
            return Err(self.wrong_type(name, dtype, "U64"));
        }
        let mut values = self.room(name, self.info(name)?.shape.iter().product())?;
        self.chunks(name, |bytes| values.extend(bytes.chunks_exact(8).map(|bytes| u64::from_le_bytes(take(bytes)))))?;
        Ok(values)
    }

    /// A tensor's elements as bytes.
    pub(super) fn octets(&mut self, name: &str) -> Result<Vec<u8>> {
        let dtype = self.info(name)?.dtype;
        if dtype != Dtype::U8 {
            return Err(self.wrong_type(name, dtype, "U8"));
        }
        let mut values = self.room(name, self.info(name)?.shape.iter().product())?;
        self.chunks(name, |bytes| values.extend_from_slice(bytes))?;
        Ok(values)
    }

    /// Room for a tensor of `len` elements. The file is as long as the header says, so there are no more than could be
    /// read.
    fn room<T>(&self, name: &str, len: usize) -> Result<Vec<T>> {
        let mut values = Vec::new();
        match values.try_reserve_exact(len) {
            Ok(()) => Ok(values),
            Err(_) => Err(self.damaged(format!("tensor {name:?}: {len} elements do not fit in memory"))),
        }
    }

    /// A tensor's bytes in order, [`CHUNK`] of them at a time.
    fn chunks(&mut self, name: &str, mut each: impl FnMut(&[u8])) -> Result<()> {
        let (start, end) = self.info(name)?.data_offsets;
        let io = |path: &Path, source| Error::Io { path: path.to_owned(), action: "read", source };
        let mut left = end - start;
        // No move where the tensors are read in their order; the reader's buffer is kept.
        let at = self.file.stream_position().map_err(|e| io(&self.path, e))?;
        let to = self.data + start as u64;
        if at != to {
            self.file.seek(SeekFrom::Start(to)).map_err(|e| io(&self.path, e))?;
        }
        let mut chunk = vec![0; CHUNK.min(left)];
        while left > 0 {
            let chunk = &mut chunk[..CHUNK.min(left)];
            self.file.read_exact(chunk).map_err(|e| io(&self.path, e))?;
            each(chunk);
            left -= chunk.len();
        }
        Ok(())
    }

    fn info(&self, name: &str) -> Result<&TensorInfo> {
        self.metadata.info(name).ok_or_else(|| Error::MissingTensor {
            path: self.path.clone(),
            tensor: name.to_owned(),
            nearest: pleiad_data::nearest(name, self.names().iter().map(String::as_str)),
        })
    }

    fn wrong_type(&self, name: &str, found: Dtype, expected: &'static str) -> Error {
        Error::TensorType { path: self.path.clone(), tensor: name.to_owned(), found: found.to_string(), expected }
    }

    pub(super) fn damaged(&self, reason: String) -> Error {
        Error::Damaged { path: self.path.clone(), reason }
    }
}

/// Elements to be written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Elements<'a> {
    /// f32.
    Reals(&'a [f32]),
    /// u64.
    Indices(&'a [u64]),
    /// u8.
    Bytes(&'a [u8]),
}

/// Writes a file of these tensors and flushes it to the disk. Indices must stand before reals, and those before
/// bytes (files keep the wider type first); names must differ.
pub(super) fn write(path: &Path, tensors: &[(String, Vec<usize>, Elements<'_>)]) -> Result<()> {
    let described = tensors.iter().map(|(name, shape, elements)| match elements {
        Elements::Reals(_) => (name.clone(), shape.clone(), Dtype::F32),
        Elements::Indices(_) => (name.clone(), shape.clone(), Dtype::U64),
        Elements::Bytes(_) => (name.clone(), shape.clone(), Dtype::U8),
    });
    let mut writer = TensorWriter::create(path, described)?;
    for (_, _, elements) in tensors {
        match elements {
            Elements::Reals(values) => values.chunks(CHUNK / 4).try_for_each(|part| writer.reals(part).map(|_| ()))?,
            Elements::Indices(values) => values.chunks(CHUNK / 8).try_for_each(|part| writer.indices(part))?,
            Elements::Bytes(values) => values.chunks(CHUNK).try_for_each(|part| writer.octets(part))?,
        }
    }
    writer.finish()
}

/// A file whose header is written, and whose tensors follow in the order of their description.
pub(super) struct TensorWriter {
    path: PathBuf,
    file: BufWriter<File>,
    /// Bytes of the current elements.
    bytes: Vec<u8>,
}

impl TensorWriter {
    /// Creates a file of tensors of these names, shapes and types.
    pub(super) fn create(path: &Path, tensors: impl Iterator<Item = (String, Vec<usize>, Dtype)>) -> Result<Self> {
        let io = |source| Error::Io { path: path.to_owned(), action: "write", source };
        let mut end = 0;
        let infos = tensors.map(|(name, shape, dtype)| {
            let start = end;
            end += shape.iter().product::<usize>() * dtype.bitsize() / 8;
            (name, TensorInfo { dtype, shape, data_offsets: (start, end) })
        });
        let metadata = Metadata::new(None, infos.collect()).map_err(|e| io(std::io::Error::other(e)))?;
        let mut header = serde_json::to_vec(&metadata).map_err(|e| io(e.into()))?;
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut file = BufWriter::with_capacity(CHUNK, File::create(path).map_err(io)?);
        file.write_all(&(header.len() as u64).to_le_bytes()).map_err(io)?;
        file.write_all(&header).map_err(io)?;
        Ok(Self { path: path.to_owned(), file, bytes: Vec::new() })
    }

    /// Writes the next elements; gives their bytes.
    pub(super) fn reals(&mut self, values: &[f32]) -> Result<&[u8]> {
        self.bytes.resize(size_of_val(values), 0);
        let (bytes, _) = self.bytes.as_chunks_mut();
        bytes.iter_mut().zip(values).for_each(|(bytes, x)| *bytes = x.to_le_bytes());
        self.put()?;
        Ok(&self.bytes)
    }

    fn indices(&mut self, values: &[u64]) -> Result<()> {
        self.bytes.resize(size_of_val(values), 0);
        let (bytes, _) = self.bytes.as_chunks_mut();
        bytes.iter_mut().zip(values).for_each(|(bytes, x)| *bytes = x.to_le_bytes());
        self.put()
    }

    fn octets(&mut self, values: &[u8]) -> Result<()> {
        self.bytes.clear();
        self.bytes.extend_from_slice(values);
        self.put()
    }

    fn put(&mut self) -> Result<()> {
        self.file.write_all(&self.bytes).map_err(|source| failed(&self.path, source))
    }

    /// Flushes the file to the disk.
    pub(super) fn finish(self) -> Result<()> {
        let file = self.file.into_inner().map_err(|error| failed(&self.path, error.into_error()))?;
        file.sync_all().map_err(|source| failed(&self.path, source))
    }
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    Error::Io { path: path.to_owned(), action: "write", source }
}
