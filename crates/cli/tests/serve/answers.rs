//! What is answered: the predictions, scores and order of `pleiad predict`.

use serde_json::{Map, Value, json};

use crate::client::{Client, Server, folder, rows};
use crate::common::Folder;

/// Rows as a CSV file, with their numbers as `item`.
fn write_csv(folder: &Folder, rows: &[Value]) {
    let mut text = String::from("item,age,visits,city\n");
    for (item, row) in rows.iter().enumerate() {
        text.push_str(&format!("{item},{},{},{}\n", row["age"], row["visits"], row["city"].as_str().unwrap()));
    }
    folder.write("rows.csv", text);
}

/// `(item, score, buy, spend)` of a ranked file.
fn predicted(folder: &Folder, more: &[&str]) -> Vec<(u64, f64, f32, f32)> {
    let args = ["predict", "run/model", "--data", "rows.csv", "--out", "ranked.csv", "--score", "--keep", "item"];
    folder.ok(&[&args, more].concat());
    let text = folder.text("ranked.csv");
    let of = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let at = |cell: usize| cells[cell].parse::<f64>().unwrap();
        (at(0) as u64, at(2), cells[3].parse().unwrap(), cells[4].parse().unwrap())
    };
    text.lines().skip(1).map(of).collect()
}

/// The same of an answer, by the candidates' ids.
fn ranked(answer: &Value) -> Vec<(u64, f64, f32, f32)> {
    let of = |candidate: &Value| {
        let predictions = &candidate["predictions"];
        let float = |value: &Value| value.to_string().parse::<f32>().unwrap();
        (
            candidate["id"].as_u64().unwrap(),
            candidate["score"].as_f64().unwrap(),
            float(&predictions["buy"]),
            float(&predictions["spend"]),
        )
    };
    answer["ranked"].as_array().unwrap().iter().map(of).collect()
}

fn columns(rows: &[Value]) -> Map<String, Value> {
    let of = |name: &str| (name.to_owned(), rows.iter().map(|row| row[name].clone()).collect());
    ["id", "age", "visits", "city"].map(of).into_iter().collect()
}

#[test]
fn a_ranked_answer_is_what_predict_gives() {
    let folder = folder();
    // More than a shard has, so that a batch is cut.
    let mut rows = rows(700, 5);
    write_csv(&folder, &rows);
    rows.iter_mut().enumerate().for_each(|(item, row)| row["id"] = json!(item));
    let expected = predicted(&folder, &["--top", "700"]);
    assert_eq!(expected.len(), 700);
    let server = Server::start(&folder, &["run/model"]);
    let by_row = server.rank(&json!({ "rows": rows })).ok().json();
    assert_eq!(ranked(&by_row), expected);
    assert_eq!((&by_row["model"], &by_row["candidates"]), (&json!("run"), &json!(700)));
    let by_column = server.rank(&json!({ "columns": columns(&rows) })).ok().json();
    assert_eq!(by_column, by_row);

    // Fewer, by another score.
    let expected = predicted(&folder, &["--top", "7", "--set", "rank.score.buy=0.25"]);
    let body = json!({ "score": { "buy": 0.25 }, "top": 7, "rows": rows });
    assert_eq!(ranked(&server.rank(&body).ok().json()), expected);
    let body = json!({ "score": { "buy": 0.25 }, "top": 7, "columns": columns(&rows) });
    assert_eq!(ranked(&server.post("/v1/models/run/rank", &body.to_string()).ok().json()), expected);
}

/// A lone request is run by all threads, one among others by its worker; the bits are the same.
#[test]
fn a_request_alone_and_one_among_others_get_the_same_answer() {
    let folder = folder();
    let body = json!({ "rows": rows(500, 6) });
    let expected = Server::start(&folder, &["run/model", "--threads", "1"]).rank(&body).ok().body;
    let server = Server::start(&folder, &["run/model", "--threads", "4"]);
    assert!(server.rank(&body).ok().body == expected, "alone");
    let (address, text) = (&server.address, body.to_string());
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut client = Client::new(address);
                (0..5)
                    .for_each(|_| assert!(client.ask("POST", "/v1/rank", &text).ok().body == expected, "among others"));
            });
        }
    });
    assert!(server.rank(&body).ok().body == expected, "alone again");
}

#[test]
fn fields_of_the_request_are_those_of_every_candidate() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    for shared in
        [json!({ "age": 41, "city": "Lima" }), json!({ "age": 41.5, "city": null }), json!({ "city": 3, "age": "7" })]
    {
        let own: Vec<Value> = rows(20, 9).iter().map(|row| json!({ "visits": row["visits"] })).collect();
        let mut whole = own.clone();
        for row in &mut whole {
            row.as_object_mut().unwrap().extend(shared.as_object().unwrap().clone());
        }
        let apart = server.rank(&json!({ "request": shared, "rows": own })).ok().json();
        let together = server.rank(&json!({ "rows": whole })).ok().json();
        assert_eq!(without_figures(&apart), without_figures(&together));
        // What is computed once is added in another order.
        let mut pairs = figures(&apart).into_iter().zip(figures(&together));
        assert!(pairs.all(|(a, b)| (a - b).abs() <= 2e-6 * b.abs().max(1.0)), "{apart} {together}");
    }
}

/// Scores and predictions of an answer, in its order.
fn figures(answer: &Value) -> Vec<f64> {
    let of = |candidate: &Value| {
        let tasks = candidate["predictions"].as_object().unwrap().values();
        tasks.chain([&candidate["score"]]).map(|figure| figure.as_f64().unwrap()).collect::<Vec<_>>()
    };
    answer["ranked"].as_array().unwrap().iter().flat_map(of).collect()
}

/// What is left of it.
fn without_figures(answer: &Value) -> Value {
    let mut answer = answer.clone();
    for candidate in answer["ranked"].as_array_mut().unwrap() {
        let candidate = candidate.as_object_mut().unwrap();
        candidate.retain(|key, _| !["score", "predictions"].contains(&key.as_str()));
    }
    answer
}

#[test]
fn equal_candidates_keep_their_order_and_ids_are_given_back() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    let row = json!({ "age": 30, "visits": 4, "city": "Oslo" });
    let answer = server.rank(&json!({ "rows": vec![&row; 50], "top": 20 })).ok().json();
    let order: Vec<u64> = answer["ranked"].as_array().unwrap().iter().map(|c| c["index"].as_u64().unwrap()).collect();
    assert_eq!(order, (0..20).collect::<Vec<_>>());
    assert_eq!(answer["ranked"][0].get("id"), None);

    let ids = |body: Value| {
        let answer = server.rank(&body).ok().json();
        answer["ranked"].as_array().unwrap().iter().map(|c| c["id"].clone()).collect::<Vec<_>>()
    };
    let named = |name: &str, ids: [Value; 3]| -> Vec<Value> {
        let of = |id| {
            let mut row = row.clone();
            row[name] = id;
            row
        };
        ids.into_iter().map(of).collect()
    };
    let expected = [json!("a\"\n\u{e9}"), json!(-7), json!(u64::MAX)];
    assert_eq!(ids(json!({ "rows": named("id", expected.clone()) })), expected);
    assert_eq!(ids(json!({ "id": "item", "rows": named("item", expected.clone()) })), expected);
    // Behind the rows, and as a list beside them.
    let behind = format!("{{\"rows\": {}, \"id\": \"item\"}}", json!(named("item", expected.clone())));
    let answer = server.post("/v1/rank", &behind).ok().json();
    assert_eq!(answer["ranked"][2]["id"], expected[2]);
    assert_eq!(ids(json!({ "ids": expected, "rows": vec![&row; 3] })), expected);
    // A column of the model may be the id.
    let cities = ["Lima", "Oslo", "Pune"].map(|city| json!(city));
    let mut found = ids(json!({ "id": "city", "rows": named("city", cities.clone()) }));
    found.sort_by_key(Value::to_string);
    assert_eq!(found, cities);
}

#[test]
fn unknown_missing_and_foreign_values_are_counted() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    let rows = json!([
        { "age": 30, "visits": 1, "city": "Atlantis", "price": 3 },
        { "age": 30, "visits": 1, "city": "Lima" },
        { "age": 30, "visits": 1 },
    ]);
    let answer = server.rank(&json!({ "request": { "device": "x" }, "rows": rows })).ok().json();
    assert_eq!(answer["unknown"], json!({ "city": 1 }));
    assert_eq!(answer["missing"], json!({ "city": 1 }));
    assert_eq!(answer["ignored"], json!(["device", "price"]));
    let metrics = server.get("/metrics").ok().body;
    for line in [
        "pleiad_feature_unknown_total{model=\"run\",feature=\"city\"} 1",
        "pleiad_feature_missing_total{model=\"run\",feature=\"city\"} 1",
        "pleiad_feature_values_total{model=\"run\",feature=\"city\"} 2",
        "pleiad_feature_unknown_share{model=\"run\",feature=\"city\"} 0.5",
        "pleiad_request_candidates_sum{model=\"run\"} 3",
        "pleiad_stage_seconds_count{model=\"run\",stage=\"predict\"} 1",
        "pleiad_requests_total{route=\"rank\",status=\"200\"} 1",
        "pleiad_ready 1",
    ] {
        assert!(metrics.lines().any(|own| own == line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn no_candidates_are_ranked_as_none() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    for body in [json!({ "rows": [] }), json!({ "columns": {} }), json!({ "columns": { "age": [] } })] {
        let answer = server.rank(&body).ok().json();
        assert_eq!((&answer["candidates"], &answer["ranked"]), (&json!(0), &json!([])), "{body}");
    }
}

#[test]
fn every_page_answers_and_the_description_holds() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    for path in ["/", "/v1/health/live", "/v2/health/live", "/v2/health/ready", "/v1/models", "/v1/models/run"] {
        server.get(path).ok().json();
    }
    let model = server.get("/v1/models/run").ok().json();
    assert_eq!(model["tasks"], json!([{ "name": "buy", "kind": "binary" }, { "name": "spend", "kind": "regression" }]));
    let description = server.get("/v1/openapi.json").ok().json();
    let known = description["components"]["schemas"]["Ranking"]["properties"].as_object().unwrap().clone();
    let answer = server.rank(&json!({ "rows": [{ "age": 1, "visits": 1, "city": "?", "x": 1 }] })).ok().json();
    for field in answer.as_object().unwrap().keys() {
        assert!(known.contains_key(field), "{field} is not described");
    }
    let mut client = server.connect();
    client.send("HEAD /v1/models HTTP/1.1\r\nhost: x\r\n\r\nGET /v1/health/live HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        std::io::BufRead::read_line(&mut client.stream, &mut head).unwrap();
    }
    assert!(head.starts_with("HTTP/1.1 200") && client.answer().unwrap().status == 200, "{head}");
}

#[test]
fn the_bench_answers_every_request() {
    let folder = folder();
    let args =
        ["bench", "--serve", "run/model", "--data", "test.csv", "--shared", "city", "--quick", "--lists", "3,40"];
    let report = folder.ok(&[&args[..], &["--loads", "0.1", "--format", "json", "--threads", "2"]].concat()).json();
    let points = report["serve"].as_array().unwrap();
    let of = |name: &str| points.iter().map(|point| point[name].clone()).collect::<Vec<_>>();
    assert_eq!(of("candidates"), [3, 3, 40, 40]);
    assert_eq!(of("load"), [json!(null), json!(0.1), json!(null), json!(0.1)]);
    assert_eq!(of("failed"), [0, 0, 0, 0]);
    for point in points {
        assert!(point["requests"].as_u64().unwrap() > 0 && point["p99"].as_f64() >= point["p50"].as_f64(), "{point}");
    }
    let report = folder.ok(&[&args[..], &["--in-process", "--format", "json", "--threads", "1"]].concat()).json();
    let lists = report["in_process"].as_array().unwrap();
    assert_eq!(lists.iter().map(|list| list["candidates"].clone()).collect::<Vec<_>>(), [3, 40]);
    for list in lists {
        let stages = ["decode", "encode", "predict", "score", "write"].map(|stage| list[stage].as_f64().unwrap());
        assert!(list["requests"].as_u64().unwrap() > 0 && stages.iter().all(|ms| *ms > 0.0), "{list}");
    }
    let ran = folder.run(&["bench", "--serve", "run/model"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("--data"), "{}", ran.stderr);
}

/// A request of the Open Inference Protocol, its tensors in JSON or as bytes behind it.
pub(crate) fn infer(rows: &[Value], binary: bool) -> (String, Vec<u8>) {
    let (mut inputs, mut bytes) = (Vec::new(), Vec::new());
    for (name, datatype) in [("age", "FP32"), ("visits", "INT64"), ("city", "BYTES")] {
        let mut input = json!({ "name": name, "datatype": datatype, "shape": [rows.len(), 1] });
        if !binary {
            input["data"] = rows.iter().map(|row| json!([row[name]])).collect();
            inputs.push(input);
            continue;
        }
        let before = bytes.len();
        for row in rows {
            match datatype {
                "FP32" => bytes.extend((row[name].as_f64().unwrap() as f32).to_le_bytes()),
                "INT64" => bytes.extend((row[name].as_f64().unwrap() as i64).to_le_bytes()),
                _ => {
                    let text = row[name].as_str().unwrap();
                    bytes.extend((text.len() as u32).to_le_bytes());
                    bytes.extend(text.as_bytes());
                }
            }
        }
        input["parameters"] = json!({ "binary_data_size": bytes.len() - before });
        inputs.push(input);
    }
    let json = json!({ "id": "7", "inputs": inputs, "parameters": { "binary_data_output": binary } }).to_string();
    (json, bytes)
}

#[test]
fn the_open_inference_protocol_gives_the_same_predictions() {
    use std::io::{BufRead, Read};
    let folder = folder();
    let rows = rows(300, 5);
    write_csv(&folder, &rows);
    let mut expected = predicted(&folder, &["--top", "300"]);
    expected.sort_by_key(|row| row.0);
    let server = Server::start(&folder, &["run/model"]);
    let metadata = server.get("/v2/models/run").ok().json();
    assert_eq!(metadata["inputs"][2], json!({ "name": "city", "datatype": "BYTES", "shape": [-1] }));
    assert_eq!(metadata["outputs"][2], json!({ "name": "score", "datatype": "FP64", "shape": [-1] }));

    let (json, _) = infer(&rows, false);
    let answer = server.post("/v2/models/run/infer", &json).ok().json();
    assert_eq!((&answer["id"], &answer["model_name"]), (&json!("7"), &json!("run")));
    let of = |output: usize| answer["outputs"][output]["data"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap());
    let found: Vec<_> = of(0).zip(of(1)).zip(of(2)).collect();
    for (found, (_, score, buy, spend)) in found.iter().zip(&expected) {
        assert_eq!((found.0.0 as f32, found.0.1 as f32, found.1), (*buy, *spend, *score));
    }
    assert_eq!(found.len(), expected.len());

    // The same as bytes.
    let (json, bytes) = infer(&rows, true);
    let mut client = server.connect();
    let (path, length) = ("/v2/models/run/infer", json.len());
    let total = length + bytes.len();
    client.send(format!("POST {path} HTTP/1.1\r\nhost: x\r\nInference-Header-Content-Length: {length}\r\ncontent-length: {total}\r\n\r\n{json}"));
    client.send(&bytes);
    let (mut head, mut lengths) = (String::new(), [0, 0]);
    while !head.ends_with("\r\n\r\n") {
        client.stream.read_line(&mut head).unwrap();
    }
    for line in head.lines() {
        let value = |name: &str| line.strip_prefix(name).and_then(|value| value.trim().parse::<usize>().ok());
        lengths[0] = value("inference-header-content-length:").unwrap_or(lengths[0]);
        lengths[1] = value("content-length:").unwrap_or(lengths[1]);
    }
    let mut body = vec![0; lengths[1]];
    client.stream.read_exact(&mut body).unwrap();
    let (json, bytes) = body.split_at(lengths[0]);
    let answer: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(answer["outputs"][2]["parameters"]["binary_data_size"], 8 * rows.len());
    let (buys, rest) = bytes.split_at(4 * rows.len());
    let scores = &rest[4 * rows.len()..];
    for (at, (_, score, buy, _)) in expected.iter().enumerate() {
        assert_eq!(&buys[4 * at..4 * at + 4], buy.to_le_bytes());
        assert_eq!(&scores[8 * at..8 * at + 8], score.to_le_bytes());
    }

    // Errors have the form of the protocol.
    for (body, status, says) in [
        ("{}", 400, "inputs"),
        (r#"{"inputs": []}"#, 400, "no rows"),
        (
            r#"{"inputs": [{"name": "agee", "shape": [1], "datatype": "FP32", "data": [1]}]}"#,
            400,
            "did you mean \"age\"?",
        ),
        (
            r#"{"inputs": [{"name": "age", "shape": [2], "datatype": "FP32", "data": [1]}]}"#,
            400,
            "1 values where its shape",
        ),
        (r#"{"inputs": [{"name": "age", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}"#, 400, "[rows, 1]"),
        (r#"{"inputs": [{"name": "age", "shape": [1], "datatype": "FP32"}]}"#, 400, "no values"),
        (
            r#"{"inputs": [{"name": "age", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}}]}"#,
            400,
            "0 are left",
        ),
        (
            r#"{"inputs": [{"name": "age", "shape": [1], "datatype": "FP32", "data": [[[[1]]]]}]}"#,
            400,
            "lists within lists",
        ),
        (r#"{"inputs": [{"name": "age", "shape": [1], "datatype": "FP32", "data": [1]}]}"#, 422, "visits"),
        (
            r#"{"inputs": [{"name": "age", "shape": [18446744073709551615], "datatype": "FP32", "data": [1]}]}"#,
            413,
            "more than",
        ),
    ] {
        let answer = server.post("/v2/models/run/infer", body);
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(answer.status == status && error.contains(says), "{body}: {} {error}", answer.status);
    }
    assert!(server.get("/metrics").body.contains("pleiad_panics_total 0\n"));
    assert_eq!(server.post("/v2/repository/index", "").ok().json()[0]["state"], "READY");
    server.get("/v2/models/run/ready").ok();
    server.get("/v2").ok();
    server.post("/v2/repository/models/run/load", "").ok();
}

#[test]
fn slow_requests_are_kept_with_their_stages() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model", "--slow", "0"]);
    assert_eq!(server.get("/v1/slow").ok().json(), json!({ "above_milliseconds": 0.0, "requests": [] }));
    server.rank(&json!({ "rows": rows(5, 1) })).ok();
    assert_eq!(server.rank(&json!({ "rows": [{ "age": "old", "visits": 1, "city": "x" }] })).status, 422);
    server.rank(&json!({ "rows": rows(5, 1), "explain": true })).ok();
    let explained = server.get("/v1/slow").ok().json()["requests"][0]["stages"].clone();
    assert!(explained["explain"].as_f64().unwrap() > 0.0, "{explained}");
    let slow = server.get("/v1/slow").ok().json();
    let requests = slow["requests"].as_array().unwrap();
    let of = |at: usize, key: &str| requests[at][key].clone();
    assert_eq!((of(1, "status"), of(2, "status"), of(2, "candidates")), (json!(422), json!(200), json!(5)));
    assert_eq!((of(2, "route"), of(2, "model"), of(2, "version")), (json!("rank"), json!("run"), version(&server)));
    let stages = of(2, "stages");
    let stages = stages.as_object().unwrap();
    let names = ["body", "wait", "decode", "encode", "predict", "score", "write"];
    assert!(stages.keys().map(String::as_str).eq(names), "{stages:?}");
    let sum: f64 = stages.values().map(|time| time.as_f64().unwrap()).sum();
    // Each is rounded to a microsecond.
    assert!(sum > 0.0 && sum <= of(2, "milliseconds").as_f64().unwrap() + 0.01, "{slow}");
    // A minute is not slow enough.
    let server = Server::start(&folder, &["run/model", "--slow", "60"]);
    server.rank(&json!({ "rows": rows(5, 1) })).ok();
    assert_eq!(server.get("/v1/slow").ok().json()["requests"], json!([]));
}

fn version(server: &Server) -> Value {
    server.get("/v1/models/run").ok().json()["version"].clone()
}
