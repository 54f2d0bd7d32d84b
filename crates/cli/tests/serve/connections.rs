//! Clients that are slow, rude, or many.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, Server, folder, request, rows};

fn body(candidates: usize) -> String {
    json!({ "rows": rows(candidates, 3) }).to_string()
}

/// Waits for the end of a connection, and gives what came until then.
fn rest(client: &mut Client) -> String {
    let mut rest = Vec::new();
    // A reset is an end.
    let _ = client.stream.read_to_end(&mut rest);
    String::from_utf8_lossy(&rest).into_owned()
}

#[test]
fn slow_clients_lose_their_connection_and_nobody_waits_for_them() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model", "--patience", "1", "--idle", "3"]);
    let begin = Instant::now();
    // A head that never ends, though bytes of it come.
    let mut head = server.connect();
    head.send("POST /v1/rank HTTP/1.1\r\nhost");
    // A body that never ends: there is an answer.
    let mut slow = server.connect();
    slow.send("POST /v1/rank HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{\"rows\"");
    // One that says nothing at all.
    let mut silent = server.connect();
    // Others do not notice.
    assert_eq!(server.post("/v1/rank", &body(5)).ok().json()["candidates"], 5);
    assert!(begin.elapsed() < Duration::from_secs(1));

    let answer = slow.answer().unwrap();
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (408, &json!("slow_body")));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(rest(&mut slow), "");
    rest(&mut head);
    let took = begin.elapsed();
    assert!((Duration::from_millis(990)..Duration::from_millis(2900)).contains(&took), "{took:?}");
    rest(&mut silent);
    let took = begin.elapsed();
    assert!((Duration::from_millis(2900)..Duration::from_secs(30)).contains(&took), "{took:?}");

    // A connection that is used is not cut between its requests, however long the whole takes.
    let mut used = server.connect();
    for _ in 0..3 {
        used.ask("GET", "/v1/health/live", "").ok();
        std::thread::sleep(Duration::from_millis(700));
    }
}

#[test]
fn a_client_that_reads_nothing_is_cut() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model", "--patience", "0.4"]);
    let mut deaf = server.connect();
    let request = request("POST", "/v1/rank", "", &body(2000));
    // Answers of 200 kB each, until the server can write no more, waits, and closes the connection.
    deaf.stream.get_mut().set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    let begin = Instant::now();
    while deaf.stream.get_mut().write_all(request.as_bytes()).is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
    while !server.get("/metrics").body.contains("pleiad_connections 1\n") {
        assert!(begin.elapsed() < Duration::from_secs(60), "its connection is still open");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_is_too_long_is_answered() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model", "--max-body", "1"]);
    let long = " ".repeat(3 << 20);
    let too_large = |answer: crate::client::Response| {
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, &error["code"]), (413, &json!("body_too_large")), "{answer:?}");
    };
    // Of a length that is said before, all of it sent before the answer is read.
    let mut client = server.connect();
    client.send(request("POST", "/v1/rank", "", &long));
    too_large(client.answer().unwrap());
    // In pieces, without the length of the whole.
    let mut client = server.connect();
    client.send("POST /v1/rank HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..48 {
        client.send(format!("10000\r\n{}\r\n", " ".repeat(1 << 16)));
    }
    client.send("0\r\n\r\n");
    too_large(client.answer().unwrap());
    // By a client that asks before it sends.
    let mut client = server.connect();
    client.send("POST /v1/rank HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 99999999\r\n\r\n");
    too_large(client.answer().unwrap());
    // The server says so to one that may send.
    let mut client = server.connect();
    let good = body(3);
    client.send(format!(
        "POST /v1/rank HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        good.len()
    ));
    assert_eq!(client.answer().unwrap().status, 100);
    client.send(&good);
    client.answer().unwrap().ok();
    // A head without end.
    let mut client = server.connect();
    let _ = client.stream.get_mut().write_all(format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(1 << 20)).as_bytes());
    if let Some(answer) = client.answer() {
        assert_eq!(answer.status, 431);
    }
    server.rank(&json!({ "rows": rows(3, 3) })).ok();
    assert!(server.get("/metrics").body.contains("pleiad_body_bytes 0\n"), "memory is given back");
}

/// An answer that needs no body is given behind the body, so that the connection goes on.
#[test]
fn a_body_that_nobody_reads_costs_no_connection() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    let long = "x".repeat(3 << 20);
    let mut client = server.connect();
    for (method, path, status) in [
        ("POST", "/v1/models/nobody/rank", 404),
        ("POST", "/v1/nothing", 404),
        ("GET", "/v1/rank", 405),
        ("GET", "/v1/models", 200),
        ("POST", "/v1/models/run/reload", 200),
    ] {
        let answer = client.ask(method, path, &long);
        assert_eq!((answer.status, answer.header("connection")), (status, None), "{path}: {}", answer.body);
    }
    client.ask("POST", "/v1/rank", &body(3)).ok();

    // One that waits for a word sends no body, and is told that the connection is over.
    let mut client = server.connect();
    client.send("POST /v1/nothing HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n");
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.header("connection")), (404, Some("close")));
}

#[test]
fn no_http_is_no_harm() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    for bytes in [
        "\0\u{1}\u{2}\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n",
        "POST /v1/rank HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}",
        "POST /v1/rank HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        "POST /v1/rank HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(bytes);
        let _ = client.stream.get_mut().shutdown(Shutdown::Write);
        let answer = rest(&mut client);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{bytes:?}: {answer}");
    }
    server.rank(&json!({ "rows": rows(3, 3) })).ok();
}

#[test]
fn a_client_may_shut_its_side_down_and_read_on() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    let mut client = server.connect();
    client.send(request("POST", "/v1/rank", "", &body(300)));
    client.stream.get_mut().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.answer().unwrap().ok().json()["candidates"], 300);
    // In the middle of a body it is an end.
    let mut client = server.connect();
    client.send("POST /v1/rank HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{\"rows\"");
    client.stream.get_mut().shutdown(Shutdown::Write).unwrap();
    let answer = client.answer();
    assert!(answer.as_ref().is_none_or(|answer| answer.status == 400), "{answer:?}");
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model"]);
    let mut client = server.connect();
    let counts = [40, 1, 0, 300, 7];
    let all: String = counts.iter().map(|&count| request("POST", "/v1/rank", "", &body(count))).collect();
    client.send(all + &request("GET", "/nowhere", "", "") + &request("GET", "/v1/health/live", "", ""));
    for count in counts {
        assert_eq!(client.answer().unwrap().ok().json()["candidates"], count);
    }
    assert_eq!(client.answer().unwrap().status, 404);
    client.answer().unwrap().ok();
}

#[test]
fn a_full_queue_refuses_at_once_and_says_when_to_come_again() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model", "--threads", "1", "--queue", "5000"]);
    let request = request("POST", "/v1/rank", "", &body(4000));
    let mut clients: Vec<Client> = (0..24).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(&request));
    let answers: Vec<_> = clients.iter_mut().map(|client| client.answer().unwrap()).collect();
    let full: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(answers.iter().all(|answer| [200, 429].contains(&answer.status)));
    assert!(!full.is_empty() && full.len() < 24, "{} of 24 were refused", full.len());
    for answer in full {
        assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
        assert_eq!(answer.json()["error"]["code"], "queue_full");
    }
    // Who was refused may use the connection on.
    clients.iter_mut().for_each(|client| assert_eq!(client.ask("GET", "/v1/health/live", "").status, 200));
}

#[test]
fn a_request_whose_time_is_over_is_not_ranked() {
    let folder = folder();
    let server = Server::start(&folder, &["run/model", "--threads", "1"]);
    let long = request("POST", "/v1/rank", "", &body(5000));
    let mut before: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    before.iter_mut().for_each(|client| client.send(&long));
    let mut client = server.connect();
    client.send(request("POST", "/v1/rank", "pleiad-deadline-ms: 1\r\n", &body(2000)));
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &json!("deadline")), "{answer:?}");
    assert!(answer.header("retry-after").is_some());
    before.iter_mut().for_each(|client| assert_eq!(client.answer().unwrap().ok().json()["candidates"], 5000));
    let bad: Value = {
        client.send(request("POST", "/v1/rank", "pleiad-deadline-ms: soon\r\n", "{}"));
        client.answer().unwrap().json()
    };
    assert_eq!(bad["error"]["code"], "bad_header");
}
