//! [`Predicted`]: rows on their way to a file, in whatever order.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::error::{Error, Result};

/// Rows in the order of their scores, the highest first; of equal ones the one that is read first.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// The column whose equal values make a request, each ordered for itself; requests are written in the order in which they
    /// are met. `None` makes one of all rows.
    pub by: Option<String>,
    /// How many rows of a request are written; all if `None`.
    pub top: Option<usize>,
}

/// Rows of one chunk, as they are written.
pub(crate) struct Predicted {
    /// Kept columns, then the score where it is asked for, then a column per task.
    pub(crate) columns: Vec<ArrayRef>,
    /// Position of each row over all files, from 0.
    pub(crate) positions: Vec<u64>,
    /// The score of each row; empty if no score is asked for.
    pub(crate) scores: Vec<f64>,
}

/// Where predicted rows go.
pub(crate) trait Sink {
    fn add(&mut self, predicted: Predicted) -> Result<()>;
}

pub(crate) fn schema(names: &[String], types: &[DataType]) -> SchemaRef {
    let fields: Vec<Field> = names.iter().zip(types).map(|(name, of)| Field::new(name, of.clone(), true)).collect();
    Arc::new(Schema::new(fields))
}

pub(crate) fn record(schema: &SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| Error::Encode { reason: error.to_string() })
}

/// A kept column in the type that it had first. Files of one name may have several; what has none is text.
pub(crate) fn in_type(name: &str, array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    if array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    let strict = arrow::compute::CastOptions { safe: false, ..Default::default() };
    arrow::compute::cast_with_options(array, wanted, &strict).map_err(|error| {
        let problem = format!(
            "holds values of type {} where the first rows have {wanted} ({error}); write it alike in all files",
            array.data_type()
        );
        Error::Column { column: name.to_owned(), problem }
    })
}

/// The type in which a kept column is written.
pub(crate) fn type_of(array: &ArrayRef) -> DataType {
    match array.data_type() {
        DataType::Null => DataType::Utf8,
        other => other.clone(),
    }
}
