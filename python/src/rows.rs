//! Rows that Python hands over: Arrow streams and arrays (pyarrow, polars, pandas, DuckDB, ...), taken without a copy, and
//! dictionaries of columns, of which buffers (NumPy) are copied, since their owner may change them meanwhile.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, make_array};
use arrow::datatypes::{Field, Schema};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use pyo3_arrow::PyArray;
use pyo3_arrow::input::AnyRecordBatch;

use crate::error::DataError;

/// Record batches of an object.
pub(crate) fn batches(rows: &Bound<'_, PyAny>) -> PyResult<Vec<RecordBatch>> {
    if let Ok(columns) = rows.cast::<PyDict>() {
        return Ok(vec![of_columns(columns)?]);
    }
    let takes = |method: &str| rows.hasattr(method);
    if !takes("__arrow_c_stream__")? && !takes("__arrow_c_array__")? {
        let kind = rows.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "rows are a data frame, an Arrow table or a dict of columns, not {kind}"
        )));
    }
    let reader = rows.extract::<AnyRecordBatch>()?.into_reader()?;
    let schema = reader.schema();
    let refused = |error: arrow::error::ArrowError| DataError::new_err(format!("cannot read the rows: {error}"));
    let mut batches = reader.collect::<Result<Vec<_>, _>>().map_err(refused)?;
    // An empty batch still says which columns there are.
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(schema));
    }
    Ok(batches)
}

/// The rows with further columns, such as labels.
pub(crate) fn with_columns(rows: Vec<RecordBatch>, columns: &Bound<'_, PyDict>) -> PyResult<Vec<RecordBatch>> {
    let beside = of_columns(columns)?;
    let all: usize = rows.iter().map(RecordBatch::num_rows).sum();
    if beside.num_columns() == 0 {
        return Ok(rows);
    }
    if beside.num_rows() != all {
        return Err(DataError::new_err(format!("X has {all} rows, and y and weights have {}", beside.num_rows())));
    }
    let mut first = 0;
    let mut joined = Vec::with_capacity(rows.len());
    for batch in rows {
        let own = beside.slice(first, batch.num_rows());
        first += batch.num_rows();
        let fields = batch.schema_ref().fields().iter().chain(own.schema_ref().fields()).cloned().collect::<Vec<_>>();
        let arrays = batch.columns().iter().chain(own.columns()).cloned().collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options);
        joined.push(batch.map_err(|error| DataError::new_err(error.to_string()))?);
    }
    Ok(joined)
}

fn of_columns(columns: &Bound<'_, PyDict>) -> PyResult<RecordBatch> {
    let (mut fields, mut arrays): (Vec<Field>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    let mut rows = None;
    for (name, values) in columns {
        let name: String = name.extract()?;
        let array = if let Ok(texts) = values.cast::<PyList>() {
            let texts = texts.iter().map(|text| text.extract::<Option<String>>()).collect::<PyResult<Vec<_>>>()?;
            Arc::new(StringArray::from(texts)) as ArrayRef
        } else if values.hasattr("__arrow_c_array__")? {
            values.extract::<PyArray>()?.into_inner().0
        } else {
            copied(values.extract::<PyArray>()?.array())?
        };
        if *rows.get_or_insert(array.len()) != array.len() {
            let message =
                format!("column {name:?} has {} rows, the columns before it {}", array.len(), rows.unwrap_or(0));
            return Err(DataError::new_err(message));
        }
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.unwrap_or(0)));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .map_err(|error| DataError::new_err(error.to_string()))
}

/// The values in memory of our own.
fn copied(array: &ArrayRef) -> PyResult<ArrayRef> {
    use arrow::array::MutableArrayData;
    let data = array.to_data();
    let mut copy = MutableArrayData::new(vec![&data], false, data.len());
    copy.try_extend(0, 0, data.len()).map_err(|error| DataError::new_err(error.to_string()))?;
    Ok(make_array(copy.freeze()))
}
