//! Why a candidate stands where it does, and what a person sees of the server: the sample, the last minute, the page.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::client::{Server, folder, rows};

fn ranked(answer: &Value) -> &Vec<Value> {
    answer["ranked"].as_array().unwrap()
}

/// The answer without what explains it.
fn without(mut answer: Value) -> Value {
    answer.as_object_mut().unwrap().remove("fusion");
    for candidate in answer["ranked"].as_array_mut().unwrap() {
        assert!(candidate.as_object_mut().unwrap().remove("explain").is_some(), "{candidate}");
    }
    answer
}

fn sum(shares: &Value) -> f64 {
    let tasks = shares["tasks"].as_object().unwrap().values().map(|share| share.as_f64().unwrap());
    tasks.sum::<f64>() + shares["transform"].as_f64().unwrap_or(0.0)
}

#[test]
fn shares_add_up_and_nothing_else_changes() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    // More than a shard has.
    let rows = rows(600, 5);
    for body in [
        json!({ "rows": rows }),
        json!({ "rows": rows, "top": 7 }),
        json!({ "rows": rows, "top": 40, "score": { "buy": -0.5, "spend": 2 } }),
        json!({ "rows": [] }),
    ] {
        let plain = server.rank(&body).ok().json();
        let mut asked = body.clone();
        asked["explain"] = json!(true);
        let explained = server.post("/v1/models/run/rank", &asked.to_string()).ok().json();
        assert_eq!(explained["fusion"], "product");
        for candidate in ranked(&explained) {
            let (shares, score) = (&candidate["explain"]["shares"], candidate["score"].as_f64().unwrap());
            if score == 0.0 {
                // Without a visit the transform is 0, and its logarithm no number of JSON.
                assert!(shares["transform"].is_null() && shares["total"].is_null(), "{candidate}");
                continue;
            }
            assert!((sum(shares) - score.ln()).abs() < 1e-9, "{candidate}");
            assert!((shares["total"].as_f64().unwrap() - score.ln()).abs() < 1e-9, "{candidate}");
        }
        assert_eq!(without(explained), plain);
        // Who does not ask gets none.
        asked["explain"] = json!(false);
        assert_eq!(server.rank(&asked).ok().json(), plain);
        assert!(plain.get("fusion").is_none() && !plain.to_string().contains("explain"));
    }
    // By hand: the exponent times the logarithm of the prediction, and the transform.
    let body = json!({ "rows": [{ "age": 30, "visits": 4, "city": "Oslo" }], "explain": true });
    let candidate = ranked(&server.rank(&body).ok().json())[0].clone();
    let (shares, predictions) = (&candidate["explain"]["shares"], &candidate["predictions"]);
    let of = |value: &Value| value.as_f64().unwrap();
    let expected = [
        (&shares["tasks"]["buy"], of(&predictions["buy"]).ln()),
        (&shares["tasks"]["spend"], 0.5 * of(&predictions["spend"]).max(0.001).ln()),
        (&shares["transform"], 0.3 * 5f64.ln().ln()),
    ];
    for (found, expected) in expected {
        assert!((of(found) - expected).abs() < 1e-6, "{found}, not {expected}");
    }
}

#[test]
fn shares_of_a_sum_are_terms_of_the_score() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model", "--set", "rank.fusion=\"sum\""]);
    let answer = server.rank(&json!({ "rows": rows(30, 5), "explain": true })).ok().json();
    assert_eq!(answer["fusion"], "sum");
    for candidate in ranked(&answer) {
        let shares = &candidate["explain"]["shares"];
        assert!((sum(shares) - candidate["score"].as_f64().unwrap()).abs() < 1e-9, "{candidate}");
        assert!(shares.get("transform").is_none());
    }
}

/// Sums of weights by level, gate and expert, over candidates.
fn weights(answer: &Value) -> BTreeMap<(usize, String, String), f64> {
    let mut sums = BTreeMap::new();
    for candidate in ranked(answer) {
        for (level, gates) in candidate["explain"]["gates"].as_array().unwrap().iter().enumerate() {
            for (gate, experts) in gates.as_object().unwrap() {
                for (expert, weight) in experts.as_object().unwrap() {
                    *sums.entry((level, gate.clone(), expert.clone())).or_default() += weight.as_f64().unwrap();
                }
            }
        }
    }
    sums
}

#[test]
fn means_of_gates_are_those_that_inspect_prints() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    let rows = rows(600, 5);
    let mut csv = String::from("age,visits,city\n");
    for row in &rows {
        csv.push_str(&format!("{},{},{}\n", row["age"], row["visits"], row["city"].as_str().unwrap()));
    }
    folder.write("rows.csv", csv);
    let inspected = folder.ok(&["inspect", "run/model", "--data", "rows.csv", "--format", "json"]).json();
    let found = weights(&server.rank(&json!({ "rows": rows, "explain": true })).ok().json());
    let mut seen = 0;
    for gate in inspected["gates"].as_array().unwrap() {
        // Such as levels.0.buy.gate.
        let scope: Vec<&str> = gate["gate"].as_str().unwrap().split('.').collect();
        let level: usize = scope[1].parse().unwrap();
        for expert in gate["experts"].as_array().unwrap() {
            let key = (level, scope[2].to_owned(), expert["expert"].as_str().unwrap().to_owned());
            let mean = found[&key] / 600.0;
            assert!((mean - expert["mean"].as_f64().unwrap()).abs() < 1e-6, "{key:?}: {mean} {expert}");
            seen += 1;
        }
    }
    // Two task gates and one shared gate, then two task gates.
    assert_eq!((seen, found.len()), (2 + 2 + 3 + 2 + 2, 11));

    // Without gates there are none.
    let config = folder.text("config.toml");
    let features = config.split("kind = \"ple\"").next().unwrap();
    let rest = "kind = \"hard-sharing\"\nbottom = [8]\n[train]\nepochs = 1\n[rank]\nscore = { buy = 1 }\n";
    folder.write("hard.toml", format!("{features}{rest}"));
    folder.ok(&["train", "hard.toml", "--out", "hard"]);
    let server = Server::start(&folder, &["hard/model"]);
    let answer = server.rank(&json!({ "rows": rows, "top": 3, "explain": true })).ok().json();
    assert!(ranked(&answer).iter().all(|candidate| candidate["explain"]["gates"] == json!([])));
}

#[test]
fn fallbacks_are_those_of_the_candidate() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    let rows = json!([
        { "id": "none", "age": 30, "visits": 3, "city": "Lima" },
        { "id": "unknown", "age": 30, "visits": 2, "city": "Atlantis" },
        { "id": "missing", "age": 30, "visits": 1 },
    ]);
    let answer = server.rank(&json!({ "rows": rows, "explain": true })).ok().json();
    let of = |id: &str| {
        let candidate = ranked(&answer).iter().find(|candidate| candidate["id"] == id).unwrap();
        (candidate["explain"]["unknown"].clone(), candidate["explain"]["missing"].clone())
    };
    assert_eq!(of("none"), (json!([]), json!([])));
    assert_eq!(of("unknown"), (json!(["city"]), json!([])));
    assert_eq!(of("missing"), (json!([]), json!(["city"])));
    // What was asked for once is counted once.
    let metrics = server.get("/metrics").ok().body;
    let line = "pleiad_feature_unknown_total{model=\"run\",feature=\"city\"} 1";
    assert!(metrics.lines().any(|own| own == line), "{metrics}");
}

#[test]
fn an_explanation_is_described_and_bounded() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    let body = json!({ "columns": { "age": vec![30; 1001], "visits": vec![1; 1001], "city": vec!["Lima"; 1001] } });
    let asked = |top: Option<u64>| {
        let mut body = body.clone();
        body["explain"] = json!(true);
        body["top"] = json!(top);
        server.rank(&body)
    };
    let refused = asked(None);
    let error = &refused.json()["error"];
    assert_eq!(
        (refused.status, &error["code"], &error["field"]),
        (413, &json!("too_many_explained"), &json!("explain"))
    );
    assert_eq!(ranked(&asked(Some(1000)).ok().json()).len(), 1000);
    let bad = server.post("/v1/rank", r#"{"rows": [], "explain": "yes"}"#);
    assert_eq!((bad.status, &bad.json()["error"]["field"]), (400, &json!("explain")));

    let answer = asked(Some(1)).ok().json();
    let description = server.get("/v1/openapi.json").ok().json();
    let schemas = &description["components"]["schemas"];
    let described = |schema: &Value, value: &Value| {
        for key in value.as_object().unwrap().keys() {
            assert!(schema["properties"].get(key).is_some(), "{key} is not described");
        }
    };
    described(&schemas["Ranking"], &answer);
    described(&schemas["Ranking"]["properties"]["ranked"]["items"], &answer["ranked"][0]);
    described(&schemas["Explanation"], &answer["ranked"][0]["explain"]);
    described(&schemas["Explanation"]["properties"]["shares"], &answer["ranked"][0]["explain"]["shares"]);
    assert!(schemas["RankRequest"]["properties"].get("explain").is_some());
}

#[test]
fn the_sample_gives_the_golden_predictions() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    let sample = server.get("/v1/models/run/sample").ok().json();
    let golden = pleiad_model::artifact::Artifact::open(&folder.join("run/model")).unwrap().golden;
    assert_eq!(sample["rows"].as_array().unwrap().len(), golden.raw.rows());
    let answer = server.rank(&sample).ok().json();
    assert_eq!((ranked(&answer).len(), answer.get("ignored")), (golden.raw.rows(), None));
    for candidate in ranked(&answer) {
        let at = candidate["index"].as_u64().unwrap() as usize;
        assert_eq!(candidate["id"], format!("sample {}", at + 1));
        for (task, golden) in ["buy", "spend"].iter().zip(&golden.predictions) {
            let found: f32 = candidate["predictions"][task].to_string().parse().unwrap();
            assert!((found - golden[at]).abs() < 1e-5, "{task} {candidate}");
        }
    }
    assert_eq!(server.get("/v1/models/rum/sample").status, 404);
    let server = Server::start(&folder, &["run/model", "--no-sample"]);
    let hidden = server.get("/v1/models/run/sample");
    assert_eq!((hidden.status, &hidden.json()["error"]["code"]), (404, &json!("no_sample")));
}

#[test]
fn the_last_minute_is_counted() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    let none = server.get("/v1/recent").ok().json();
    assert_eq!((&none["requests"], &none["p50_ms"]), (&json!(0), &Value::Null));
    let sample = server.get("/v1/models/run/sample").ok().json();
    (0..20).for_each(|_| drop(server.rank(&sample).ok()));
    (0..3).for_each(|_| drop(server.post("/v1/rank", "{")));
    let recent = server.get("/v1/recent").ok().json();
    assert_eq!((&recent["requests"], &recent["errors"]), (&json!(23), &json!(3)), "{recent}");
    let [p50, p99] = ["p50_ms", "p99_ms"].map(|name| recent[name].as_f64().unwrap());
    assert!(0.0 < p50 && p50 <= p99 && p99 < 60_000.0, "{recent}");
    let by_second = recent["requests_by_second"].as_array().unwrap();
    assert_eq!((by_second.len(), by_second.iter().map(|n| n.as_u64().unwrap()).sum::<u64>()), (60, 23));
    let description = server.get("/v1/openapi.json").ok().json();
    for key in recent.as_object().unwrap().keys() {
        assert!(description["components"]["schemas"]["Recent"]["properties"].get(key).is_some(), "{key}");
    }
}

#[test]
fn browsers_get_a_page_and_programs_json() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nhost: x\r\naccept: text/html,*/*;q=0.8\r\n\r\n");
    let page = client.answer().unwrap();
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"), "{:?}", page.headers);
    assert!(page.body.starts_with("<!doctype html>") && page.body.trim_end().ends_with("</html>"));
    let program = server.get("/").ok();
    assert_eq!(program.json()["server"], "pleiad");
    assert!(program.header("content-security-policy").is_none());
}
