//! Models that change while they are served, and the end of the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, Server, folder, request, rows};
use crate::common::{Folder, copy};

/// Beside `run/model` another one of the same log, `other/model`.
pub(crate) fn two() -> Folder {
    let folder = folder();
    folder.ok(&["train", "config.toml", "--out", "other", "--set", "train.seed=8"]);
    folder
}

fn body() -> String {
    json!({ "rows": rows(40, 3) }).to_string()
}

fn version(server: &Server, name: &str) -> Value {
    server.get(&format!("/v1/models/{name}")).ok().json()["version"].clone()
}

/// Lets the file point at a folder, in one step.
pub(crate) fn point(folder: &Folder, file: &str, target: &str) {
    folder.write("pointer.new", format!("{target}\n"));
    std::fs::rename(folder.join("pointer.new"), folder.join(file)).unwrap();
}

#[test]
fn reloads_under_load_fail_no_request_and_mix_no_versions() {
    let folder = two();
    // What each version answers.
    let known: Vec<(Value, String)> = ["run/model", "other/model"]
        .iter()
        .map(|model| {
            let server = Server::start(&folder, &[&format!("video={model}")]);
            let answer = server.post("/v1/rank", &body()).ok();
            (answer.json()["version"].clone(), answer.body)
        })
        .collect();
    assert_ne!(known[0], known[1]);

    point(&folder, "current", "run/model");
    let server = Server::start(&folder, &["video=current", "--watch", "0"]);
    let end = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (end, known, address) = (Arc::clone(&end), known.clone(), server.address.clone());
            std::thread::spawn(move || {
                let (mut client, mut counts) = (Client::new(&address), [0, 0]);
                while !end.load(Ordering::Relaxed) {
                    let answer = client.ask("POST", "/v1/rank", &body()).ok();
                    let version = answer.json()["version"].clone();
                    let at = known.iter().position(|(own, _)| *own == version).unwrap();
                    assert!(answer.body == known[at].1, "versions are mixed");
                    counts[at] += 1;
                }
                counts
            })
        })
        .collect();
    for round in 0..30 {
        point(&folder, "current", ["other/model", "run/model"][round % 2]);
        let answer = server.post("/v1/models/video/reload", "").ok().json();
        assert_eq!((&answer["changed"], &answer["version"]), (&json!(true), &known[(round + 1) % 2].0));
        if round % 5 == 0 {
            let back = server.post("/v1/models/video/rollback", "").ok().json();
            assert_eq!((&back["version"], &back["previous"]), (&known[round % 2].0, &known[(round + 1) % 2].0));
            server.post("/v1/models/video/rollback", "").ok();
        }
    }
    end.store(true, Ordering::Relaxed);
    let counts = clients.into_iter().map(|client| client.join().unwrap());
    let sum = counts.fold([0, 0], |sum, own| [sum[0] + own[0], sum[1] + own[1]]);
    assert!(sum.iter().all(|&count| count > 0), "{sum:?}");
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("pleiad_model_changes_total{model=\"video\",result=\"reloaded\"} 30\n"), "{metrics}");
    assert!(metrics.contains("pleiad_model_changes_total{model=\"video\",result=\"rolled_back\"} 12\n"), "{metrics}");
}

#[test]
fn a_model_that_is_replaced_is_served_without_a_word_from_anybody() {
    let folder = two();
    copy(&folder.join("run/model"), &folder.join("served"));
    let server = Server::start(&folder, &["served", "--watch", "0.05"]);
    let first = version(&server, "served");
    // As a training publishes it: in the place of the other one.
    copy(&folder.join("other/model"), &folder.join("new"));
    std::fs::rename(folder.join("served"), folder.join("old")).unwrap();
    std::fs::rename(folder.join("new"), folder.join("served")).unwrap();
    server.wait_for("model \"served\": version");
    let line = server.wait_for("is served");
    let second = version(&server, "served");
    assert!(second != first && line.contains(second.as_str().unwrap()), "{line}");

    // One that is damaged is refused, once, and the other one is served on.
    copy(&folder.join("run/model"), &folder.join("damaged"));
    let mut bytes = folder.read("damaged/weights.safetensors");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    folder.write("damaged/weights.safetensors", bytes);
    std::fs::rename(folder.join("served"), folder.join("older")).unwrap();
    std::fs::rename(folder.join("damaged"), folder.join("served")).unwrap();
    server.wait_for("the version before is served on");
    assert_eq!(version(&server, "served"), second);
    assert!(server.get("/v1/models/served").json()["refused"].as_str().unwrap().contains("weights.safetensors"));
    assert_eq!(server.post("/v1/rank", &body()).ok().json()["version"], second);
    assert_eq!(server.get("/v1/health/ready").status, 200);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.said(), Vec::<String>::new(), "it is told once");
    let answer = server.post("/v1/models/served/reload", "");
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (422, &json!("model_refused")));

    // A rollback stays, though what is at the path is another version.
    assert_eq!(server.post("/v1/models/served/rollback", "").ok().json()["version"], first);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(version(&server, "served"), first);
}

#[test]
fn several_models_are_served_side_by_side() {
    let folder = two();
    let server = Server::start(&folder, &["a=run/model", "b=other/model"]);
    let of = |path: &str| server.post(path, &body()).ok().json();
    let (first, a, b) = (of("/v1/rank"), of("/v1/models/a/rank"), of("/v1/models/b/rank"));
    assert_eq!((&first, a["model"].as_str(), b["model"].as_str()), (&a, Some("a"), Some("b")));
    assert_ne!(a["version"], b["version"]);
    let names: Vec<Value> = server.get("/v1/models").json()["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["name"].clone())
        .collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn models_are_changed_only_by_those_who_may() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    let mut client = server.connect();
    client.send(request("POST", "/v1/models/run/reload", "origin: http://evil.example\r\n", ""));
    assert_eq!(client.answer().unwrap().status, 403);
    client.ask("POST", "/v1/models/run/reload", "").ok();
    let server = Server::start(&folder, &["run/model", "--control", "nobody"]);
    for path in ["/v1/models/run/reload", "/v1/models/run/rollback"] {
        assert_eq!(server.post(path, "").status, 403);
    }
}

#[test]
fn the_server_ends_when_it_has_answered_and_idle_connections_do_not_hold_it() {
    let folder = folder();
    for name in ["TERM", "INT"] {
        let mut server = Server::start(&folder, &["run/model", "--threads", "1", "--queue", "50000", "--drain", "20"]);
        let mut idle: Vec<Client> = (0..5).map(|_| server.connect()).collect();
        idle[0].ask("GET", "/v1/health/live", "").ok();
        idle[1].send("POST /v1/rank HTTP/1.1\r\nhost");
        let long = request("POST", "/v1/rank", "", &json!({ "rows": rows(9000, 3) }).to_string());
        let mut busy: Vec<Client> = (0..3).map(|_| server.connect()).collect();
        busy.iter_mut().for_each(|client| client.send(&long));
        let begin = Instant::now();
        while !server.get("/metrics").body.contains("pleiad_in_flight_requests 4\n") {
            assert!(begin.elapsed() < Duration::from_secs(30), "they are not on their way");
        }
        server.signal(name);
        let begin = Instant::now();
        for client in &mut busy {
            let answer = client.answer().expect("it was on its way").ok();
            assert_eq!(answer.json()["candidates"], 9000);
        }
        assert_eq!(server.wait(Duration::from_secs(15)), Some(0));
        assert!(begin.elapsed() < Duration::from_secs(15));
        assert!(std::net::TcpStream::connect(&server.address).is_err());
    }
}

#[test]
fn no_request_is_lost_when_the_server_ends_under_load() {
    let folder = folder();
    let mut server = Server::start(&folder, &["run/model"]);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let address = server.address.clone();
            std::thread::spawn(move || {
                let (mut client, mut answered) = (Client::new(&address), 0);
                loop {
                    client.send(request("POST", "/v1/rank", "", &body()));
                    let answer = client.answer().expect("a request is lost").ok();
                    answered += 1;
                    if answer.header("connection") == Some("close") {
                        return answered;
                    }
                }
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    server.signal("TERM");
    let answered: Vec<u32> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert!(answered.iter().all(|&answered| answered > 1), "{answered:?}");
    assert_eq!(server.wait(Duration::from_secs(15)), Some(0));
}

#[test]
fn weights_of_the_score_are_changed_by_a_call_and_written_down() {
    let folder = folder();
    folder.write("tokens", "app=0123456789abcdef\nops=fedcba9876543210\n");
    let server =
        Server::start(&folder, &["run/model", "--token-file", "tokens", "--audit", "changes.jsonl", "--watch", "0"]);
    let ask = |token: &str, path: &str, body: &str| {
        let mut client = server.connect();
        let head = format!("authorization: Bearer {token}\r\n");
        client.send(crate::client::request("POST", path, &head, body));
        client.answer().unwrap()
    };
    let (app, ops) = ("0123456789abcdef", "fedcba9876543210");
    let rows = json!({ "rows": rows(50, 5) });
    let rank = |more: Value| {
        let mut body = rows.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ask(app, "/v1/rank", &body.to_string()).ok().json()["ranked"].clone()
    };
    let own = rank(json!({}));
    let wanted = rank(json!({ "score": { "buy": 3.0 } }));
    assert_ne!(own, wanted);
    let change = ask(ops, "/v1/models/run/score", r#"{"score": {"buy": 3}}"#).ok().json();
    let (from, to) = (json!({ "buy": 1.0, "spend": 0.5 }), json!({ "buy": 3.0, "spend": 0.5 }));
    assert_eq!(change, json!({ "model": "run", "from": from, "to": to }));
    assert_eq!(rank(json!({})), wanted);
    // A later version keeps them; what is wrong changes nothing.
    folder.ok(&["train", "config.toml", "--out", "run2", "--set", "train.seed=5"]);
    std::fs::rename(folder.join("run/model"), folder.join("old")).unwrap();
    std::fs::rename(folder.join("run2/model"), folder.join("run/model")).unwrap();
    ask(ops, "/v1/models/run/reload", "").ok();
    let later = rank(json!({}));
    assert_eq!(later, rank(json!({ "score": { "buy": 3.0, "spend": 0.5 } })));
    assert_ne!(later, wanted);
    for (body, status, says) in [
        (r#"{"score": {"bui": 1}}"#, 422, "did you mean `buy`?"),
        (r#"{"scores": {}}"#, 400, "score"),
        ("{}", 400, "missing field `score`"),
        (r#"{"score": {"buy": "x"}}"#, 400, "invalid type"),
        ("", 400, "EOF"),
    ] {
        let answer = ask(ops, "/v1/models/run/score", body);
        assert!(answer.status == status && answer.body.contains(says), "{body}: {answer:?}");
    }
    assert_eq!(rank(json!({})), later);
    // Back to the model's own, of the version before, too.
    ask(app, "/v1/models/run/score", r#"{"score": null}"#).ok();
    ask(app, "/v1/models/run/rollback", "").ok();
    assert_eq!(rank(json!({})), own);
    let audit = folder.text("changes.jsonl");
    let lines: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<(&str, &str)> =
        lines.iter().map(|line| (line["who"].as_str().unwrap(), line["what"].as_str().unwrap())).collect();
    assert_eq!(said, [("ops", "score"), ("ops", "reload"), ("app", "score"), ("app", "rollback")]);
    assert_eq!((&lines[0]["from"], &lines[0]["to"], &lines[2]["to"]), (&from, &to, &from));
    assert_eq!((&lines[1]["from"], &lines[1]["to"]), (&lines[3]["to"], &lines[3]["from"]));
    assert!(lines.iter().all(|line| line["model"] == "run" && line["address"] == "127.0.0.1"), "{audit}");
}

#[test]
fn a_path_without_a_model_ends_the_server_before_it_listens() {
    let folder = folder();
    folder.write("pointer", "gone/model");
    for path in ["nowhere", "run", "pointer"] {
        let ran = folder.run(&["serve", "run/model", &format!("other={path}"), "--http", "127.0.0.1:0"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{path}: {}", ran.stderr);
        assert!(ran.stderr.contains(if path == "pointer" { "gone" } else { path }), "{}", ran.stderr);
    }
}
