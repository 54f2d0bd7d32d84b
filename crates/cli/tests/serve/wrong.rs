//! What is refused: with what, where and what to do.

use serde_json::{Value, json};

use crate::client::{Server, folder};

#[test]
fn wrong_input_is_refused_with_its_place() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model", "--max-candidates", "4"]);
    let row = r#"{"age": 1, "visits": 2, "city": "Lima"}"#;
    let five = format!(r#"{{"rows": [{row}, {row}, {row}, {row}, {row}]}}"#);
    let deep = format!(r#"{{"rows": [{{"x": {}"#, "[".repeat(100_000));
    // Status, code, candidate, field, a part of the message.
    type Case<'a> = (&'a str, u16, &'a str, Option<u64>, Option<&'a str>, &'a str);
    let cases: Vec<Case<'_>> = vec![
        ("", 400, "malformed_json", None, None, "EOF"),
        ("nonsense", 400, "malformed_json", None, None, "expected"),
        ("[]", 400, "bad_request", None, None, "expected an object"),
        ("{}", 400, "bad_request", None, Some("rows"), "no candidates"),
        (r#"{"rows": [], "columns": {}}"#, 400, "bad_request", None, Some("columns"), "in `rows` and in `columns`"),
        (r#"{"rows": []} x"#, 400, "malformed_json", None, None, "trailing"),
        (r#"{"row": []}"#, 400, "bad_request", None, Some("row"), "did you mean `rows`?"),
        (r#"{"rows": [], "rows": []}"#, 400, "bad_request", None, Some("rows"), "stands twice"),
        (r#"{"rows": 3}"#, 400, "bad_request", None, Some("rows"), "a list of candidates"),
        (r#"{"rows": [3]}"#, 400, "bad_request", Some(0), None, "a candidate, an object"),
        (r#"{"rows": [{"age": {}}]}"#, 400, "bad_request", Some(0), Some("age"), "a number, a text"),
        (r#"{"rows": [{"age": 1e999}]}"#, 400, "malformed_json", Some(0), Some("age"), "number out of range"),
        (r#"{"rows": [{"age": 1, "age": 2}]}"#, 400, "bad_request", Some(0), Some("age"), "stands twice"),
        (r#"{"rows": [{"id": [1]}]}"#, 400, "bad_request", Some(0), Some("id"), "an id is a text"),
        (r#"{"rows": [], "top": 0}"#, 400, "bad_request", None, Some("top"), "1 or more"),
        (r#"{"rows": [], "top": -1}"#, 400, "bad_request", None, Some("top"), "invalid value"),
        (r#"{"rows": [], "score": {"buy": "x"}}"#, 400, "bad_request", None, Some("score"), "invalid type"),
        (r#"{"rows": [], "score": {"bui": 1}}"#, 422, "bad_score", None, Some("score.bui"), "did you mean `buy`?"),
        (r#"{"rows": [{}], "ids": []}"#, 400, "bad_request", None, Some("ids"), "0 ids for 1 candidates"),
        (r#"{"rows": [], "ids": [], "id": "x"}"#, 400, "bad_request", None, Some("ids"), "both"),
        (r#"{"request": {"age": 1}, "rows": [{"age": 1}]}"#, 400, "bad_request", None, Some("age"), "in `request` and"),
        (
            r#"{"columns": {"age": [1, 2], "visits": [1]}}"#,
            400,
            "bad_request",
            None,
            Some("visits"),
            "1 values where \"age\" has 2",
        ),
        (r#"{"columns": {"age": [1, [[2]]]}}"#, 400, "bad_request", Some(1), Some("age"), "list of lists"),
        (&five, 413, "too_many_candidates", Some(4), None, "more than 4"),
        (r#"{"columns": {"other": [1, 2, 3, 4, 5]}}"#, 413, "too_many_candidates", None, Some("other"), "more than 4"),
        (
            r#"{"rows": [{"age": 1, "city": "Lima"}]}"#,
            422,
            "missing_field",
            None,
            Some("visits"),
            "no field \"visits\"",
        ),
        (
            r#"{"rows": [{"age": 1, "visits": 1, "city": "x"}, {"age": "old", "visits": 1}]}"#,
            422,
            "bad_value",
            Some(1),
            Some("age"),
            "\"old\" is not a number",
        ),
        (
            r#"{"rows": [{"age": 1, "visits": null, "city": "x"}]}"#,
            422,
            "bad_value",
            Some(0),
            Some("visits"),
            "missing",
        ),
        (
            r#"{"request": {"age": "old"}, "rows": [{"visits": 1, "city": "x"}]}"#,
            422,
            "bad_value",
            None,
            Some("age"),
            "\"old\" is not a number",
        ),
        (
            r#"{"rows": [{"age": [1], "visits": 1, "city": "x"}]}"#,
            422,
            "bad_value",
            None,
            Some("age"),
            "cannot be read as a number",
        ),
        (r#"{"rows": [{"age": 1, "visits": -3, "city": "x"}]}"#, 422, "score_not_finite", Some(0), None, "visits = -3"),
        (&deep, 400, "malformed_json", Some(0), None, "EOF"),
        ("{\"rows\": [{\"city\": \"\u{0}\"}]}", 400, "malformed_json", Some(0), Some("city"), "control character"),
    ];
    let mut client = server.connect();
    for (body, status, code, candidate, field, says) in cases {
        let answer = client.ask("POST", "/v1/rank", body);
        let shown = &body[..body.len().min(200)];
        let error = &answer.json()["error"];
        let text = |key: &str| error[key].as_str().map(str::to_owned);
        assert_eq!((answer.status, text("code").as_deref()), (status, Some(code)), "{shown}: {error}");
        assert_eq!(error["candidate"].as_u64(), candidate, "{shown}: {error}");
        assert_eq!(text("field").as_deref(), field, "{shown}: {error}");
        assert!(text("message").unwrap().contains(says), "{shown}: {error}");
        assert!(!text("advice").unwrap().is_empty(), "{shown}: {error}");
    }
    // The connection and the server are as before.
    let good = format!(r#"{{"rows": [{row}]}}"#);
    assert_eq!(client.ask("POST", "/v1/rank", &good).ok().json()["candidates"], 1);
    assert!(server.get("/metrics").body.contains("pleiad_panics_total 0\n"));
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    let mut client = server.connect();
    let body = b"{\"rows\": [{\"city\": \"\xff\xfe\"}]}";
    client.send(
        [format!("POST /v1/rank HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), body]
            .concat(),
    );
    let answer = client.answer().unwrap();
    let error = &answer.json()["error"];
    assert_eq!((answer.status, &error["line"], &error["column"]), (400, &json!(1), &json!(21)), "{answer:?}");
}

#[test]
fn addresses_and_methods_that_are_not_there_are_named() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    let check = |answer: crate::client::Response, status: u16, says: &str| {
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(answer.status == status && message.contains(says), "{answer:?}");
    };
    check(server.get("/v1/rnk"), 404, "did you mean /v1/rank?");
    assert_eq!(server.get("/v1/rank").header("allow"), Some("POST"));
    assert_eq!(server.post("/metrics", "").header("allow"), Some("GET, HEAD"));
    check(server.get("/v1/rank"), 405, "takes POST, not GET");
    check(server.post("/metrics", ""), 405, "takes GET, not POST");
    check(server.get("/v1/models/ru"), 404, "did you mean \"run\"?");
    check(server.post("/v1/models/other/rank", "{}"), 404, "no model \"other\"");
}

#[test]
fn a_list_that_all_candidates_share_is_bounded() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    let list: Vec<u32> = (0..5000).collect();
    let rows = vec![json!({ "age": 1, "visits": 1 }); 1000];
    let answer = server.rank(&json!({ "request": { "city": list }, "rows": rows }));
    let error = &answer.json()["error"];
    assert_eq!((answer.status, &error["code"], &error["field"]), (413, &json!("too_large"), &json!("city")));
}

#[test]
fn a_model_without_a_score_asks_for_one() {
    let folder = folder();
    folder.write("config.toml", crate::common::CONFIG.replace("epochs = 3", "epochs = 1"));
    folder.ok(&["train", "config.toml", "--out", "plain"]);
    let server = Server::start(&folder, &["plain/model"]);
    let row = json!({ "age": 1, "visits": 2, "city": "Lima" });
    let answer = server.rank(&json!({ "rows": [row] }));
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (422, &json!("no_score")));
    let answer = server.rank(&json!({ "rows": [row], "score": { "buy": 2 } })).ok().json();
    let buy = answer["ranked"][0]["predictions"]["buy"].to_string().parse::<f32>().unwrap();
    assert_eq!(answer["ranked"][0]["score"].as_f64().unwrap(), f64::from(buy).powf(2.0));
    // Or from the start.
    let server = Server::start(&folder, &["plain/model", "--set", "rank.score.buy=2"]);
    let set: Value = server.rank(&json!({ "rows": [row] })).ok().json();
    assert_eq!(set["ranked"], answer["ranked"]);
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let folder = folder();
    let other = Server::start(&folder, &["run/model"]);
    for (args, code, says) in [
        (vec!["serve", "absent"], 3, "absent is not a model"),
        (vec!["serve", "run/model", "x/run/model"], 2, "NAME=PATH"),
        (vec!["serve", "a b=run/model"], 2, "other characters"),
        (vec!["serve", "run/model", "--set", "rank.score.bui=1"], 2, "did you mean `buy`?"),
        (vec!["serve", "run/model", "--http", &other.address], 1, "cannot listen on"),
        (vec!["serve", "run/model", "--timeout", "0"], 2, "from 0.001 to 86400"),
    ] {
        let mut args = args;
        if !args.contains(&"--http") {
            args.extend(["--http", "127.0.0.1:0"]);
        }
        let ran = folder.run(&args);
        assert!(ran.code == Some(code) && ran.stderr.contains(says), "{args:?}: {:?} {}", ran.code, ran.stderr);
    }
}
