//! [`body`]: a body for a rank request, of the rows that a model keeps.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use pleiad_data::read::{Cell, Column};
use pleiad_data::schema::{Per, Schema};
use pleiad_rank::Model;
use serde_json::{Map, Value, json};

use crate::refusal::Refusal;

/// A body that [`crate::Served::rank`] takes: the raw rows of the model's golden rows as candidates. Columns that all features read
/// once a request stand in `request`, as the first row has them.
pub(crate) fn body(model: &Model) -> Result<Value, Refusal> {
    let broken = |reason: String| {
        let message = format!("the rows that the model keeps cannot be read: {reason}");
        Refusal::new(500, "internal", message, "this is a mistake of the server; report it")
    };
    let records = model.sample().to_records().map_err(broken)?;
    if records.num_rows() == 0 {
        let message = "the model keeps no rows as a sample";
        return Err(Refusal::new(404, "no_sample", message, "send rows of the log that it was trained on"));
    }
    of_records(&records, model.encoder().schema()).map_err(broken)
}

/// The refusal of a server that does not show rows.
pub(crate) fn hidden() -> Refusal {
    let message = "this server shows no rows of the training log";
    Refusal::new(404, "no_sample", message, "send rows of your own, or start it without --no-sample")
}

fn of_records(records: &RecordBatch, schema: &Schema) -> Result<Value, String> {
    let features = || schema.features.iter();
    let mut of_request: BTreeSet<&str> =
        features().filter(|feature| feature.per == Per::Request).map(|feature| feature.column()).collect();
    features().filter(|feature| feature.per != Per::Request).for_each(|feature| {
        of_request.remove(feature.column());
    });
    let count = records.num_rows();
    let (mut request, mut rows) = (Map::new(), vec![Map::new(); count]);
    for (field, array) in records.schema().fields().iter().zip(records.columns()) {
        let (name, column) = (field.name(), Column::from_arrow(array)?);
        if of_request.contains(name.as_str()) {
            request.insert(name.clone(), value(&column, 0));
            continue;
        }
        for (at, row) in rows.iter_mut().enumerate() {
            row.insert(name.clone(), value(&column, at));
        }
    }
    let ids: Vec<String> = (1..=count).map(|row| format!("sample {row}")).collect();
    Ok(match request.is_empty() {
        true => json!({ "rows": rows, "ids": ids }),
        false => json!({ "request": request, "rows": rows, "ids": ids }),
    })
}

/// A value as JSON from which the same is read.
fn value(column: &Column, row: usize) -> Value {
    match column.cell(row) {
        Cell::Missing => Value::Null,
        Cell::Text(text) => Value::from(text),
        Cell::Int(value) => Value::from(value),
        Cell::UInt(value) => Value::from(value),
        // NaN is a missing number, and becomes null. A row with an infinite one is a bad row, which no model keeps.
        Cell::Float(value) => Value::from(value),
        Cell::Bool(value) => Value::from(value),
        cell @ (Cell::Decimal(_) | Cell::Time(_)) => cell.with_text(|text| text.map_or(Value::Null, Value::from)),
        Cell::List => match column {
            Column::List(list) => list.range(row).map(|at| value(list.values(), at)).collect(),
            _ => Value::Null,
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, LargeListArray, StringArray,
        UInt64Array,
    };
    use arrow::datatypes::Int64Type;
    use pleiad_rank::cells;

    use super::*;
    use crate::columns::Columns;
    use crate::request::RankRequest;

    const SCHEMA: &str = r#"
        [data]
        train = "x.csv"
        request = "query"
        [[feature]]
        columns = ["user"]
        kind = "categorical"
        encoding = { hash = 10 }
        embedding = 2
        per = "request"
        [[feature]]
        columns = ["both"]
        name = "both of the request"
        kind = "numeric"
        per = "request"
        [[feature]]
        columns = ["both", "price"]
        kind = "numeric"
        [[task]]
        name = "click"
        kind = "binary"
        label = "clicked"
    "#;

    fn schema() -> Schema {
        #[derive(serde::Deserialize)]
        struct Parts {
            data: pleiad_data::schema::DataConfig,
            feature: Vec<pleiad_data::schema::FeatureBlock>,
            task: Vec<pleiad_data::schema::TaskConfig>,
        }
        let Parts { data, feature, task } = toml::from_str(SCHEMA).unwrap();
        Schema::resolve(&data, &feature, &task).unwrap()
    }

    #[test]
    fn columns_of_the_request_stand_once() {
        let columns: [(&str, ArrayRef); 3] = [
            ("user", Arc::new(StringArray::from(vec!["u1", "u2"]))),
            ("both", Arc::new(Int64Array::from(vec![1, 2]))),
            ("price", Arc::new(Float64Array::from(vec![0.5, f64::NAN]))),
        ];
        let body = of_records(&RecordBatch::try_from_iter(columns).unwrap(), &schema()).unwrap();
        let expected = json!({
            "request": { "user": "u1" },
            "rows": [{ "both": 1, "price": 0.5 }, { "both": 2, "price": null }],
            "ids": ["sample 1", "sample 2"],
        });
        assert_eq!(body, expected);
        let text = body.to_string();
        let read = RankRequest::parse(text.as_bytes(), &Columns::new(&schema()), 2).unwrap();
        assert_eq!(read.candidates(), 2);
    }

    #[test]
    fn every_type_is_read_back_as_it_was() {
        let lists = [Some(vec![Some(1), None]), None, Some(vec![])];
        let prices = Decimal128Array::from(vec![Some(-150), None, Some(5)]).with_precision_and_scale(38, 2).unwrap();
        let arrays: [ArrayRef; 8] = [
            Arc::new(StringArray::from(vec![Some("ä|\"b"), None, Some("")])),
            Arc::new(Float64Array::from(vec![-0.5, f64::NAN, 1e300])),
            Arc::new(prices),
            Arc::new(Date32Array::from(vec![Some(-1), None, Some(20_454)])),
            Arc::new(Int64Array::from(vec![i64::MIN, 0, i64::MAX])),
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(1)])),
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
            Arc::new(LargeListArray::from_iter_primitive::<Int64Type, _, _>(lists)),
        ];
        let text = |column: &Column, row| column.cell(row).with_text(|text| text.map(str::to_owned));
        for array in &arrays {
            let column = Column::from_arrow(array).unwrap();
            let values: Vec<Value> = (0..3).map(|row| value(&column, row)).collect();
            let json = Value::from(values).to_string();
            let body = format!("{{\"columns\": {{\"price\": {json}}}}}");
            let read = RankRequest::parse(body.as_bytes(), &Columns::new(&schema()), 3).unwrap();
            let cells = read.columns[2].as_ref().unwrap();
            let again = Column::from_arrow(&cells::column(cells).unwrap()).unwrap();
            for row in 0..3 {
                assert_eq!(text(&again, row), text(&column, row), "{json}");
                assert_eq!(again.cell(row).number(), column.cell(row).number().filter(|x| !x.is_nan()), "{json}");
                assert_eq!(again.cell(row) == Cell::List, column.cell(row) == Cell::List, "{json}");
            }
        }
        let list = Column::from_arrow(&arrays[7]).unwrap();
        assert_eq!([0, 1, 2].map(|row| value(&list, row)), [json!([1, null]), Value::Null, json!([])]);
    }
}
