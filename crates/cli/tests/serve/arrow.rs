//! Candidates as Arrow IPC: the same ranking as by JSON, and what is refused.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, DictionaryArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    StringViewArray, StructArray, UInt64Array,
};
use arrow::datatypes::{Int8Type, Schema};
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use serde_json::{Value, json};

use crate::client::{Response, Server, folder, rows};

const ARROW: &str = "application/vnd.apache.arrow.stream";

fn numbers(rows: &[Value], name: &str) -> ArrayRef {
    Arc::new(rows.iter().map(|row| row[name].as_f64()).collect::<Float64Array>())
}

fn texts(rows: &[Value], name: &str) -> StringArray {
    rows.iter().map(|row| row[name].as_str()).collect()
}

/// A stream of batches of at most 70 rows.
fn stream(columns: Vec<(&str, ArrayRef)>, told: Option<Value>, options: IpcWriteOptions) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let metadata = told.map(|told| HashMap::from([("pleiad".to_owned(), told.to_string())])).unwrap_or_default();
    let schema = Arc::new(Schema::new(batch.schema().fields().clone()).with_metadata(metadata));
    let batch = RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec()).unwrap();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options).unwrap();
    for at in (0..batch.num_rows()).step_by(70) {
        writer.write(&batch.slice(at, 70.min(batch.num_rows() - at))).unwrap();
    }
    writer.into_inner().unwrap()
}

fn send(server: &Server, body: &[u8], accept: &str) -> Response {
    let mut client = server.connect();
    let head = format!(
        "POST /v1/rank HTTP/1.1\r\nhost: x\r\ncontent-type: {ARROW}\r\naccept: {accept}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.send([head.as_bytes(), body].concat());
    client.answer().unwrap()
}

#[test]
fn arrow_is_ranked_as_json_is() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    let rows = rows(200, 5);
    let (cities, ages) = (texts(&rows, "city"), numbers(&rows, "age"));
    let dictionary: DictionaryArray<Int8Type> = cities.iter().collect();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..200));
    let mut candidates = rows.clone();
    for (at, row) in candidates.iter_mut().enumerate() {
        row.as_object_mut().unwrap().remove("visits");
        row["id"] = json!(at);
        row["other"] = json!(1.5);
    }
    let request = json!({ "visits": 7 });
    let expected = server.rank(&json!({ "request": request, "rows": candidates, "top": 30 })).ok().json();
    assert_eq!(expected["ignored"], json!(["other"]));
    let told = json!({ "request": request, "top": 30 });
    let other: ArrayRef = Arc::new(Float64Array::from(vec![1.5; 200]));
    for city in [Arc::new(cities.clone()) as ArrayRef, Arc::new(dictionary)] {
        let columns =
            vec![("id", Arc::clone(&ids)), ("age", Arc::clone(&ages)), ("city", city), ("other", Arc::clone(&other))];
        let body = stream(columns, Some(told.clone()), IpcWriteOptions::default());
        assert_eq!(send(&server, &body, "*/*").ok().json(), expected);
        let answer = send(&server, &body, &format!("application/json;q=0.5, {ARROW}")).ok();
        assert_eq!(answer.header("content-type"), Some(ARROW));
        same(&answer.bytes, &expected);
    }
    // JSON is answered as Arrow, too; texts as ids, and none.
    for id in [Some("city"), None] {
        let body = json!({ "request": request, "rows": candidates, "id": id.unwrap_or("none"), "top": 5 }).to_string();
        let expected = server.post("/v1/rank", &body).ok().json();
        let mut client = server.connect();
        client.send(crate::client::request("POST", "/v1/rank", &format!("accept: {ARROW}\r\n"), &body));
        same(&client.answer().unwrap().ok().bytes, &expected);
    }
    // No candidates are no mistake.
    let none = stream(vec![("age", Arc::new(Float64Array::from(Vec::<f64>::new())))], None, IpcWriteOptions::default());
    assert_eq!(send(&server, &none, "*/*").ok().json()["candidates"], 0);
    same(&send(&server, &none, ARROW).ok().bytes, &server.rank(&json!({ "rows": [] })).json());
}

/// Compares an answer in Arrow with the one in JSON.
fn same(bytes: &[u8], expected: &Value) {
    let reader = StreamReader::try_new(bytes, None).unwrap();
    let mut told: Value = serde_json::from_str(&reader.schema().metadata()["pleiad"]).unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    let [batch] = batches.as_slice() else { panic!("{} batches", batches.len()) };
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let index = column("index").as_any().downcast_ref::<UInt64Array>().unwrap();
    let score = column("score").as_any().downcast_ref::<Float64Array>().unwrap();
    let tasks = column("predictions").as_any().downcast_ref::<StructArray>().unwrap();
    let ranked = (0..batch.num_rows()).map(|at| {
        let of = |task: &ArrayRef| task.as_any().downcast_ref::<Float32Array>().unwrap().value(at);
        let predictions = tasks.column_names().into_iter().map(str::to_owned).zip(tasks.columns().iter().map(of));
        let predictions: HashMap<String, f32> = predictions.collect();
        let mut one = json!({ "index": index.value(at), "score": score.value(at) });
        one["predictions"] = serde_json::from_str(&serde_json::to_string(&predictions).unwrap()).unwrap();
        if let Some(ids) = batch.column_by_name("id") {
            let any = ids.as_any();
            one["id"] = match any.downcast_ref::<StringArray>() {
                Some(texts) => json!(texts.value(at)),
                None => json!(any.downcast_ref::<Int64Array>().unwrap().value(at)),
            };
        }
        one
    });
    told["ranked"] = ranked.collect();
    assert_eq!(&told, expected);
}

#[test]
fn arrow_that_cannot_be_ranked_is_refused() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model", "--max-candidates", "100"]);
    let rows = rows(100, 5);
    let (age, visits) = (numbers(&rows, "age"), numbers(&rows, "visits"));
    let city: ArrayRef = Arc::new(texts(&rows, "city"));
    let all = || vec![("age", Arc::clone(&age)), ("visits", Arc::clone(&visits)), ("city", Arc::clone(&city))];
    let plain = IpcWriteOptions::default;
    let good = stream(all(), None, plain());
    send(&server, &good, "*/*").ok();
    let views: ArrayRef = Arc::new(texts(&rows, "city").iter().collect::<StringViewArray>());
    let many = Arc::new(Float64Array::from(vec![1.0; 101])) as ArrayRef;
    let compressed = plain().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
    let wrong = Arc::new(StringArray::from(vec!["old"; 100])) as ArrayRef;
    let cases = [
        (Vec::new(), 400, "malformed_arrow", ""),
        (b"{\"rows\": []}".to_vec(), 400, "malformed_arrow", ""),
        (good[..good.len() / 2].to_vec(), 400, "malformed_arrow", "cut off"),
        (stream(all(), None, compressed), 400, "malformed_arrow", "compressed"),
        (stream(all(), Some(json!({ "rows": [] })), plain()), 400, "bad_request", "\"rows\""),
        (stream(all(), Some(json!({ "tops": 1 })), plain()), 400, "bad_request", "did you mean `top`?"),
        (stream(all(), Some(json!({ "request": { "age": 1 } })), plain()), 400, "bad_request", "in `request` and"),
        (stream(all(), Some(json!({ "score": { "bui": 1 } })), plain()), 422, "bad_score", "did you mean `buy`?"),
        (stream(all(), Some(json!({ "id": "age" })), plain()), 422, "bad_value", "Float64"),
        (stream(vec![("age", many)], None, plain()), 413, "too_many_candidates", "more than 100"),
        (stream([&all()[..2], &[("city", views)]].concat(), None, plain()), 422, "bad_value", "Utf8View"),
        (stream(all()[..2].to_vec(), None, plain()), 422, "missing_field", "city"),
        (
            stream([&all()[1..], &[("age", wrong)]].concat(), None, plain()),
            422,
            "bad_value",
            "candidate 0, field \"age\"",
        ),
    ];
    for (body, status, code, says) in cases {
        let answer = send(&server, &body, ARROW);
        let error = &answer.json()["error"];
        assert_eq!((answer.status, error["code"].as_str()), (status, Some(code)), "{error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{says}: {error}");
    }
    assert!(server.get("/metrics").body.contains("pleiad_panics_total 0\n"));
}
