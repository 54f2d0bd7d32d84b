//! [`Messages`]: Arrow IPC read message by message, with types of our own choice.
//!
//! The decoder refuses a whole batch for one text that is not UTF-8, and a whole file for one column of an unknown
//! type. Here texts are bytes, which are checked row by row later, and columns of unknown types are skipped.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::{read_dictionary, read_footer_length, read_record_batch};
use arrow::ipc::{self, root_as_footer, root_as_message};

use super::utf8::{self, bytes_field};

/// Bytes of a file before its first message: the magic, filled up.
const MAGIC: usize = 8;

/// Bytes behind a file's footer: its length and the magic.
const TRAILER: usize = 10;

/// Bits of integers that no type stands for.
const WIDE: i32 = 128;

/// Batches of a file or stream.
pub(super) struct Messages {
    file: BufReader<File>,
    schema: SchemaRef,
    dictionaries: HashMap<i64, ArrayRef>,
    /// Fields of a type that is not known.
    unknown: Vec<usize>,
    /// Batches that are yet to come, where the file says how many it has.
    left: Option<usize>,
}

impl Messages {
    /// Reads the schema. `file` is at its beginning.
    pub(super) fn open(mut file: BufReader<File>, is_file: bool) -> Result<Self, ArrowError> {
        let mut left = None;
        if is_file {
            left = Some(batches(&mut file)?);
            file.rewind()?;
            let mut magic = [0; MAGIC];
            file.read_exact(&mut magic)?;
            // Some writers fill up to a multiple of more bytes; no message begins so.
            while file.fill_buf()?.starts_with(&[0; MAGIC]) {
                file.consume(MAGIC);
            }
        }
        let (head, _) = message(&mut file)?.ok_or_else(|| wrong("there is no schema"))?;
        let message = root_as_message(&head).map_err(|error| wrong(&error.to_string()))?;
        let fields =
            message.header_as_schema().and_then(|schema| schema.fields()).ok_or_else(|| wrong("there is no schema"))?;
        let unknown = (0..fields.len()).filter(|&at| is_unknown(&fields.get(at))).collect();
        let field = |field: ipc::Field<'_>| match is_unknown(&field) {
            // As many bytes, in as many buffers.
            true => Field::new(field.name().unwrap_or_default(), DataType::FixedSizeBinary(WIDE / 8), field.nullable()),
            false => bytes_field(&field.into()),
        };
        let schema = Arc::new(Schema::new(fields.iter().map(field).collect::<Vec<_>>()));
        Ok(Self { file, schema, dictionaries: HashMap::new(), unknown, left })
    }

    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Whether a field has a type that is not known.
    pub(super) fn has_unknown(&self) -> bool {
        !self.unknown.is_empty()
    }

    /// Whether a dictionary, of any batch, holds a text that is not UTF-8. Goes to the end.
    pub(super) fn has_bad_dictionary(&mut self) -> Result<bool, ArrowError> {
        while let Some((head, body)) = message(&mut self.file)? {
            let message = root_as_message(&head).map_err(|error| wrong(&error.to_string()))?;
            if let Some(dictionary) = message.header_as_dictionary_batch() {
                let version = message.version();
                read_dictionary(&body.into(), dictionary, &self.schema, &mut self.dictionaries, &version)?;
                let is_bad = |values: &ArrayRef| utf8::texts(values).is_ok_and(|(_, bad)| !bad.is_empty());
                if self.dictionaries.values().any(is_bad) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether the type of a field is not known.
    pub(super) fn is_unknown(&self, field: usize) -> bool {
        self.unknown.contains(&field)
    }

    /// The next batch, of it the fields of these numbers; `None` after the last.
    pub(super) fn next(&mut self, projection: &[usize]) -> Result<Option<RecordBatch>, ArrowError> {
        while self.left != Some(0)
            && let Some((head, body)) = message(&mut self.file)?
        {
            let message = root_as_message(&head).map_err(|error| wrong(&error.to_string()))?;
            let (body, version) = (body.into(), message.version());
            if let Some(batch) = message.header_as_record_batch() {
                let schema = Arc::clone(&self.schema);
                self.left = self.left.map(|left| left - 1);
                let batch = read_record_batch(&body, batch, schema, &self.dictionaries, Some(projection), &version)?;
                return Ok(Some(batch));
            }
            if let Some(dictionary) = message.header_as_dictionary_batch() {
                read_dictionary(&body, dictionary, &self.schema, &mut self.dictionaries, &version)?;
            }
        }
        if self.left.unwrap_or(0) > 0 { Err(wrong("it has fewer batches than it says")) } else { Ok(None) }
    }
}

/// Whether it is of integers that no type stands for.
fn is_unknown(field: &ipc::Field<'_>) -> bool {
    field.type_as_int().is_some_and(|int| int.bitWidth() == WIDE)
}

/// Whether a schema, as Parquet files hold one of Arrow's, has a type that is not known.
pub(super) fn has_unknown(schema: &[u8]) -> bool {
    let schema = schema.strip_prefix(&[0xff; 4]).unwrap_or(schema).get(4..).unwrap_or_default();
    let fields = root_as_message(schema).ok().and_then(|message| message.header_as_schema()?.fields());
    fields.is_some_and(|fields| fields.iter().any(|field| is_unknown(&field)))
}

/// How many batches a file has, by its footer.
fn batches(file: &mut BufReader<File>) -> Result<usize, ArrowError> {
    let mut end = [0; TRAILER];
    file.seek(SeekFrom::End(-(TRAILER as i64)))?;
    file.read_exact(&mut end)?;
    let length = read_footer_length(end)?;
    file.seek(SeekFrom::End(-(TRAILER as i64) - length as i64))?;
    let footer = exactly(file, length as u64)?;
    let footer = root_as_footer(&footer).map_err(|error| wrong(&error.to_string()))?;
    Ok(footer.recordBatches().map_or(0, |batches| batches.len()))
}

/// A message, and its body.
type Message = (Vec<u8>, Vec<u8>);

/// The next message; `None` at the end.
fn message(file: &mut BufReader<File>) -> Result<Option<Message>, ArrowError> {
    if file.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut length = [0; 4];
    file.read_exact(&mut length)?;
    if length == [0xff; 4] {
        file.read_exact(&mut length)?;
    }
    let length = u32::from_le_bytes(length);
    if length == 0 {
        return Ok(None);
    }
    let head = exactly(file, length.into())?;
    let body = root_as_message(&head).map_err(|error| wrong(&error.to_string()))?.bodyLength();
    let body = u64::try_from(body).map_err(|_| wrong("a message has a negative length"))?;
    let body = exactly(file, body)?;
    Ok(Some((head, body)))
}

/// So many bytes, without room for them before they are there.
fn exactly(file: &mut impl Read, count: u64) -> Result<Vec<u8>, ArrowError> {
    let mut bytes = Vec::new();
    let read = file.take(count).read_to_end(&mut bytes)?;
    if (read as u64) < count { Err(wrong("it ends too early")) } else { Ok(bytes) }
}

fn wrong(what: &str) -> ArrowError {
    ArrowError::IpcError(what.to_owned())
}
