//! [`Field`]: the columns of a file, without reading its rows.

use std::path::Path;
use std::sync::Arc;

use arrow::array::new_empty_array;
use arrow::datatypes::Schema;

use super::data_file::DataFile;
use super::open::Stop;
use super::{FileReader, Source, reduce};
use crate::error::{Error, Result};

/// A column of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Why its values cannot be read, a phrase without subject; `None` where they can, as far as its type says.
    pub refused: Option<String>,
}

impl Field {
    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), refused: None }
    }
}

impl Source {
    /// The columns of a file, in its order, then those that its folders' names give. A name may stand twice.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn fields(&self, file: &DataFile) -> Result<Vec<Field>> {
        let stop = Stop { asked: self.stop.clone(), ..Stop::default() };
        let mut fields = match self.open(file, &[], &stop)? {
            FileReader::Text(reader) => reader.header().iter().map(|name| Field::named(name)).collect(),
            FileReader::Parquet(reader) => of_schema(reader.schema()),
            FileReader::Arrow(reader) => reader.fields(),
            // No file is opened as rows in memory.
            FileReader::Memory(_) => Vec::new(),
        };
        for folder in &file.folders {
            if !fields.iter().any(|field: &Field| field.name == folder.column) {
                fields.push(Field::named(&folder.column));
            }
        }
        Ok(fields)
    }
}

/// The columns of an Arrow schema, and which of them are of a type that is not read.
pub(super) fn of_schema(schema: &Schema) -> Vec<Field> {
    let nowhere: Arc<Path> = Arc::from(Path::new(""));
    let field = |field: &arrow::datatypes::FieldRef| {
        let empty = new_empty_array(field.data_type());
        let refused = match reduce(&nowhere, field.name(), &empty, &[], &mut Vec::new()) {
            Err(Error::ColumnType { found, .. }) => Some(found),
            Err(other) => Some(other.to_string()),
            Ok(_) => None,
        };
        Field { name: field.name().clone(), refused }
    };
    schema.fields().iter().map(field).collect()
}
