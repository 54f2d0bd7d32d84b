//! Requests that wait for others and are predicted together.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::answers::infer;
use crate::client::{Client, Response, Server, folder, request, rows};
use crate::common::{CONFIG, Folder};
use crate::models::two;

/// Sends all at once, each on a connection of its own, and gives their answers.
fn at_once(server: &Server, asked: &[(String, String)]) -> Vec<Response> {
    let mut clients: Vec<Client> = asked.iter().map(|_| server.connect()).collect();
    for (client, (path, body)) in clients.iter_mut().zip(asked) {
        client.send(request("POST", path, "", body));
    }
    clients.iter_mut().map(|client| client.answer().unwrap()).collect()
}

/// Rankings of both forms, of one and of several candidates, with and without a request's own fields, and inferences.
fn asked() -> Vec<(String, String)> {
    let path = |model: &str| format!("/v1/models/{model}/rank");
    let mut asked = Vec::new();
    for seed in 1..=6 {
        let mut own = rows(1 + 7 * (seed as usize % 3), seed);
        asked.push((path("a"), json!({ "rows": own }).to_string()));
        asked.push((path("b"), json!({ "rows": own, "top": 3, "explain": true }).to_string()));
        asked.push(("/v2/models/a/infer".to_owned(), infer(&own, false).0));
        let city = own[0]["city"].clone();
        own.iter_mut().for_each(|row| _ = row.as_object_mut().unwrap().remove("city"));
        asked.push((path("a"), json!({ "request": { "city": city }, "rows": own }).to_string()));
    }
    asked
}

#[test]
fn together_they_get_the_answers_that_they_get_alone() {
    let folder = two();
    let models = ["a=run/model", "b=other/model", "--threads", "2"];
    let alone = Server::start(&folder, &models);
    let server = Server::start(&folder, &[&models[..], &["--batch-wait", "0.3"]].concat());
    let asked = asked();
    let expected = asked.iter().map(|(path, body)| alone.post(path, body).ok().body);
    let found = at_once(&server, &asked);
    for ((expected, found), asked) in expected.zip(found).zip(&asked) {
        assert_eq!(found.ok().body, expected, "{asked:?}");
    }
    let metrics = server.get("/metrics").body;
    let of = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok()).unwrap();
    assert_eq!(of("pleiad_batch_requests_sum"), asked.len() as u64);
    assert!(of("pleiad_batch_requests_count") <= 6, "{metrics}");
    assert!(!alone.get("/metrics").body.contains("pleiad_batch_requests"));
}

#[test]
fn one_that_is_wrong_is_refused_alone() {
    // Numbers as they are, so that large ones overflow in the layers.
    let folder = Folder::with_log();
    let config = CONFIG.replace("epochs = 3", "epochs = 1").replace("transform = [\"standardize\"]\n", "");
    folder.write("config.toml", config + "\n[rank]\nscore = { buy = 1.0 }\n");
    folder.ok(&["train", "config.toml", "--out", "run"]);
    let server = Server::start(&folder, &["a=run/model", "--batch-wait", "0.3"]);
    let good = json!({ "rows": rows(5, 1) });
    // It is read, and what is predicted of it is not finite.
    let mut bad = good.clone();
    bad["rows"][1]["age"] = json!(3e38);
    bad["rows"][1]["visits"] = json!(-3e38);
    let alone = [&good, &bad].map(|body| server.rank(body));
    assert_eq!((alone[0].status, alone[1].status), (200, 422), "{alone:?}");
    assert_eq!(alone[1].json()["error"]["code"], "prediction_not_finite");
    let asked = [&good, &bad, &good].map(|body| ("/v1/rank".to_owned(), body.to_string()));
    let found = at_once(&server, &asked);
    for (found, alone) in found.iter().zip([&alone[0], &alone[1], &alone[0]]) {
        assert_eq!((found.status, &found.body), (alone.status, &alone.body));
    }
    // What waits is as many candidates as may be.
    let few = Server::start(&folder, &["a=run/model", "--batch-wait", "30", "--batch-candidates", "15"]);
    let begin = Instant::now();
    at_once(&few, &[&good, &good, &good].map(|body| ("/v1/rank".to_owned(), body.to_string())));
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_lone_request_waits_for_half_of_its_time_at_the_most() {
    let folder = folder();
    let server = Server::start(&folder, &["a=run/model", "--batch-wait", "60"]);
    let body = json!({ "rows": rows(2, 1) }).to_string();
    let mut client = server.connect();
    client.send(request("POST", "/v1/rank", "pleiad-deadline-ms: 2000\r\n", &body));
    let answer: Value = client.answer().unwrap().ok().json();
    assert_eq!(answer["candidates"], 2);
}
