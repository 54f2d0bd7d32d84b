//! What a server writes, and what reads it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Schema};
use arrow::ipc::writer::StreamWriter;
use serde_json::{Value, json};

use crate::client::{Response, Server, folder as small, rows as small_rows};
use crate::common::{CONFIG, Folder, copy};
use crate::table::{files, floats, ints, read, texts, with, write};

/// A folder with a model of a video feed, `run/model`.
fn video() -> Folder {
    let folder = Folder::empty();
    folder.ok(&["synth", "video", "--rows", "4000", "--out", "log.parquet"]);
    folder.ok(&["init", "log.parquet", "--out", "config.toml"]);
    let sets = ["--set", "train.epochs=1", "--set", "rank.score.click=1", "--set", "rank.score.share=0.5"];
    folder.ok(&[&["train", "config.toml", "--out", "run"], &sets[..]].concat());
    folder
}

/// A request of so many candidates, different for each number.
fn body(number: u64, candidates: u64, score: Option<Value>) -> Value {
    let rows: Vec<Value> = (0..candidates)
        .map(|at| {
            let mixed = (number * 131 + at) * 2_654_435_761 % 1000;
            let tags = match mixed % 3 {
                0 => Value::Null,
                one => json!((0..one).map(|tag| format!("trend_{}", (mixed + tag) % 20)).collect::<Vec<_>>()),
            };
            json!({
                "id": format!("{number}/{at}"), "video_id": format!("v{mixed}"), "author_id": mixed % 50, "tags": tags,
                "category": (["music", "news", "sport"][mixed as usize % 3]), "video_seconds": 5 + mixed % 300,
            })
        })
        .collect();
    let device = ["ios", "android"][number as usize % 2];
    let request = json!({ "user_id": format!("u{number}"), "device": device, "network": "wifi", "hour": number % 24, "user_age_days": 300.5 });
    let mut body = json!({ "request": request, "rows": rows, "top": 10 });
    if let Some(score) = score {
        body["score"] = score;
    }
    body
}

/// The same request as a stream of Arrow.
fn arrow(body: &Value) -> Vec<u8> {
    let rows = body["rows"].as_array().unwrap();
    let text =
        |name: &str| -> ArrayRef { Arc::new(rows.iter().map(|row| row[name].as_str()).collect::<StringArray>()) };
    let mut tags = ListBuilder::new(StringBuilder::new());
    for row in rows {
        match row["tags"].as_array() {
            None => tags.append(false),
            Some(all) => {
                all.iter().for_each(|tag| tags.values().append_value(tag.as_str().unwrap()));
                tags.append(true);
            }
        }
    }
    let authors: Int64Array = rows.iter().map(|row| row["author_id"].as_i64()).collect();
    let seconds: Float64Array = rows.iter().map(|row| row["video_seconds"].as_f64()).collect();
    let batch = RecordBatch::try_from_iter([
        ("id", text("id")),
        ("video_id", text("video_id")),
        ("author_id", Arc::new(authors) as ArrayRef),
        ("category", text("category")),
        ("tags", Arc::new(tags.finish()) as ArrayRef),
        ("video_seconds", Arc::new(seconds) as ArrayRef),
    ])
    .unwrap();
    let told = json!({ "request": body["request"], "top": body["top"], "score": body["score"] });
    let metadata = HashMap::from([("pleiad".to_owned(), told.to_string())]);
    let schema = Arc::new(Schema::new(batch.schema().fields().clone()).with_metadata(metadata));
    let batch = RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec()).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn ask_arrow(server: &Server, body: &Value) -> Response {
    let body = arrow(body);
    let kind = "application/vnd.apache.arrow.stream";
    let head =
        format!("POST /v1/rank HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut client = server.connect();
    client.send([head.as_bytes(), &body].concat());
    client.answer().unwrap().ok()
}

/// Ends a server in order.
fn end(server: &mut Server) {
    server.signal("TERM");
    assert_eq!(server.wait(Duration::from_secs(60)), Some(0), "{:?}", server.said());
}

/// The log's rows by request: index, rank and score of each candidate.
fn by_request(rows: &RecordBatch) -> BTreeMap<String, Vec<(i64, Option<i64>, f64)>> {
    let (ids, index, rank) = (texts(rows, "pleiad_request"), ints(rows, "pleiad_index"), ints(rows, "pleiad_rank"));
    let mut all: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (((id, index), rank), score) in ids.into_iter().zip(index).zip(rank).zip(floats(rows, "pleiad_score")) {
        all.entry(id.unwrap()).or_default().push((index.unwrap(), rank, score.unwrap()));
    }
    all
}

/// What an answer says: the candidates' places and scores.
fn answered(answer: &Value) -> Vec<(i64, f64)> {
    let one = |one: &Value| (one["index"].as_i64().unwrap(), one["score"].as_f64().unwrap());
    answer["ranked"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn a_log_is_what_was_answered_and_is_trained_on_and_replayed() {
    let folder = video();
    let mut server = Server::start(&folder, &["video=run/model", "--request-log", "requests"]);
    let mut answers = BTreeMap::new();
    let bodies: Vec<Value> = (0..24).map(|number| body(number, 20 + number, None)).collect();
    for (number, body) in bodies.iter().enumerate() {
        let answer = if number % 3 == 2 { ask_arrow(&server, body) } else { server.rank(body).ok() };
        let id = answer.header("pleiad-request-id").unwrap().to_owned();
        assert!(answers.insert(id, (number, answer.json())).is_none(), "an id is given once");
    }
    // A request without candidates and one that is refused leave nothing.
    server.rank(&json!({ "rows": [] })).ok();
    assert_eq!(server.rank(&json!({ "rows": [{ "hour": 1 }] })).status, 422);
    end(&mut server);

    let written = files(&folder.join("requests/video"));
    let batches: Vec<RecordBatch> = written.iter().map(|path| read(path)).collect();
    let all = folder.listing().into_iter().filter(|name| name.starts_with("requests/") && name.contains(".tmp"));
    assert_eq!(all.count(), 0);
    let rows = concat_batches(&batches[0].schema(), &batches).unwrap();
    let logged = by_request(&rows);
    assert_eq!(logged.keys().collect::<Vec<_>>(), answers.keys().collect::<Vec<_>>());
    for (id, (_, answer)) in &answers {
        let mut ranked: Vec<_> =
            logged[id].iter().filter_map(|(index, rank, score)| Some(((*rank)?, *index, *score))).collect();
        ranked.sort_by_key(|one| one.0);
        let of_log: Vec<(i64, f64)> = ranked.iter().map(|(_, index, score)| (*index, *score)).collect();
        assert_eq!(of_log, answered(answer));
        assert_eq!(logged[id].len(), answer["candidates"].as_u64().unwrap() as usize);
    }
    // The columns of the model, as they were sent.
    let (first, number) = answers.iter().map(|(id, (number, _))| (id, *number)).next().unwrap();
    let at = texts(&rows, "pleiad_request").iter().position(|id| id.as_ref() == Some(first)).unwrap();
    let sent = &bodies[number]["rows"][0];
    assert_eq!(texts(&rows, "video_id")[at].as_deref(), sent["video_id"].as_str());
    assert_eq!(floats(&rows, "video_seconds")[at], sent["video_seconds"].as_f64());
    assert_eq!(floats(&rows, "user_age_days")[at], Some(300.5));
    assert_eq!(texts(&rows, "pleiad_candidate")[at].as_deref(), sent["id"].as_str());
    assert!(matches!(rows.column_by_name("tags").unwrap().data_type(), DataType::LargeList(_)));
    assert_eq!(floats(&rows, "pleiad_exponent_share")[at], Some(0.5));
    assert_eq!(floats(&rows, "pleiad_exponent_comment")[at], None);
    assert_eq!(texts(&rows, "pleiad_model")[at].as_deref(), Some("video"));

    trains(&folder, &rows);
    replays(&folder, &bodies, &answers);
}

/// `pleiad train` on the log, joined with labels.
fn trains(folder: &Folder, rows: &RecordBatch) {
    let click: Int64Array = (0..rows.num_rows()).map(|row| Some(i64::from(row % 3 == 0))).collect();
    let after = |modulus: usize| -> ArrayRef {
        Arc::new(
            (0..rows.num_rows())
                .map(|row| (row % 3 == 0).then_some(i64::from(row % modulus == 0)))
                .collect::<Int64Array>(),
        )
    };
    let joined = with(
        rows,
        vec![
            ("click", Arc::new(click) as ArrayRef),
            ("valid_view", after(2)),
            ("completion", after(5)),
            ("share", after(7)),
            ("comment", after(11)),
        ],
    );
    write(&folder.join("joined.parquet"), &joined);
    folder.write("log.toml", folder.text("config.toml").replace("log.parquet", "joined.parquet"));
    let sets = ["--set", "train.epochs=1", "--set", "metrics.group=pleiad_request"];
    folder.ok(&[&["train", "log.toml", "--out", "again"], &sets[..]].concat());
    // A replay measures outcomes, too: by the labels of a model, or by columns that are named.
    let by_model =
        ["replay", "joined.parquet", "--model", "run/model", "--metric", "click.ndcg@10", "--format", "json"];
    let by_name =
        ["replay", "joined.parquet", "--outcome", "click=click", "--metric", "click.ndcg@10", "--format", "json"];
    let [by_model, by_name] = [by_model, by_name].map(|args| folder.ok(&args).json());
    assert_eq!(by_model["metrics"], by_name["metrics"]);
    assert_eq!(by_name["metrics"][0]["gain"], 0.0);
    let text = folder.ok(&["replay", "joined.parquet", "again/model", "--score", "click=1", "--metric", "click.gauc"]);
    assert!(text.stdout.contains("click.gauc"), "{}", text.stdout);
    let none = folder.run(&["replay", "requests/video", "--metric", "click.ndcg@10"]);
    assert!(none.code == Some(2) && none.stderr.contains("the log has no outcomes"), "{}", none.stderr);
}

/// The same weights change nothing; others give what the server answers with them.
fn replays(folder: &Folder, bodies: &[Value], answers: &BTreeMap<String, (usize, Value)>) {
    let same = folder.ok(&["replay", "requests", "--format", "json"]).json();
    assert_eq!((&same["requests"], &same["unlike"]), (&json!(24), &json!(0)));
    assert_eq!((&same["first_changed"], &same["order_changed"]), (&json!(0.0), &json!(0.0)));
    assert_eq!((&same["overlap"], &same["kendall"]), (&json!(1.0), &json!(1.0)));
    // Predicted anew by the same model, too, but for the last bits: the server computes the fields of a request once.
    let anew = folder.ok(&["replay", "requests", "run/model", "--format", "json"]).json();
    assert!(anew["kendall"].as_f64().unwrap() > 0.999, "{anew}");
    for (anew, same) in anew["tasks"].as_array().unwrap().iter().zip(same["tasks"].as_array().unwrap()) {
        assert!((anew["before"].as_f64().unwrap() - same["before"].as_f64().unwrap()).abs() < 1e-5, "{anew} {same}");
    }
    let text = folder.ok(&["replay", "requests", "--score", "share=3"]).stdout;
    assert!(text.contains("rank correlation (Kendall)") && text.contains("change, 95 % interval"), "{text}");

    let other = json!({ "click": 0.5, "share": -2.0, "comment": 1.5 });
    let mut server = Server::start(folder, &["video=run/model"]);
    let expected: BTreeMap<&String, Vec<(i64, f64)>> = answers
        .iter()
        .map(|(id, (number, _))| {
            let mut body = bodies[*number].clone();
            body["score"] = other.clone();
            let answer = server.rank(&body).ok();
            assert_eq!(answer.header("pleiad-request-id"), None, "nothing is logged");
            (id, answered(&answer.json()))
        })
        .collect();
    end(&mut server);
    let ask = [
        "replay",
        "requests",
        "--score",
        "click=0.5,share=-2,comment=1.5",
        "--format",
        "json",
        "--out",
        "order.parquet",
    ];
    for more in [&[][..], &["--model", "run/model"]] {
        let found = folder.ok(&[&ask[..], more].concat()).json();
        assert!(found["first_changed"].as_f64().unwrap() > 0.0, "{found}");
        let rows = read(&folder.join("order.parquet"));
        let (ids, index) = (texts(&rows, "pleiad_request"), ints(&rows, "pleiad_index"));
        let scores = floats(&rows, "score");
        let mut order: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
        for ((id, index), score) in ids.into_iter().zip(index).zip(scores) {
            order.entry(id.unwrap()).or_default().push((index.unwrap(), score.unwrap()));
        }
        for (id, expected) in &expected {
            if more.is_empty() {
                assert_eq!(&order[*id][..10], expected);
                continue;
            }
            for ((_, score), (_, expected)) in order[*id].iter().zip(expected) {
                assert!((score / expected - 1.0).abs() < 1e-4, "{score} {expected}");
            }
        }
    }
}

#[test]
fn whole_requests_are_drawn_and_weights_of_requests_are_kept() {
    let folder = small();
    let mut server =
        Server::start(&folder, &["m=run/model", "--request-log", "log", "--log-share", "0.4", "--log-rows", "40"]);
    let rows = small_rows(15, 3);
    let mut drawn = Vec::new();
    for number in 0..60 {
        let mut body = json!({ "rows": rows });
        if number % 2 == 0 {
            body["score"] = json!({ "buy": f64::from(number) / 10.0, "spend": 2.0 });
        }
        let answer = server.rank(&body).ok();
        drawn.extend(answer.header("pleiad-request-id").map(str::to_owned));
    }
    assert!((10..40).contains(&drawn.len()), "{}", drawn.len());
    let page = server.get("/metrics").body;
    assert!(page.contains("pleiad_request_log_dropped_total{model=\"m\",reason=\"slow\"} 0"), "{page}");
    end(&mut server);
    let all = files(&folder.join("log/m"));
    assert!(all.len() > 3, "files are completed at 40 rows: {all:?}");
    let logged: Vec<String> = all.iter().flat_map(|path| by_request(&read(path)).into_keys()).collect();
    let mut sorted = logged.clone();
    sorted.sort();
    drawn.sort();
    assert_eq!(sorted, drawn, "a request is in one file, as a whole");
    let same = folder.ok(&["replay", "log", "--format", "json"]).json();
    assert_eq!(
        (&same["requests"], &same["order_changed"], &same["unlike"]),
        (&json!(drawn.len()), &json!(0.0), &json!(0))
    );
    assert_eq!(same["candidates"], 15 * drawn.len());
}

#[test]
fn a_killed_server_leaves_nothing_that_is_taken_for_a_log() {
    let folder = small();
    let mut server = Server::start(&folder, &["m=run/model", "--request-log", "log", "--log-rows", "20"]);
    let rows = small_rows(15, 3);
    for _ in 0..3 {
        server.rank(&json!({ "rows": rows })).ok();
    }
    // Two requests fill a file, the third is in the next one.
    let begin = Instant::now();
    while files(&folder.join("log/m")).is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(30), "no file");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    server.signal("KILL");
    server.wait(Duration::from_secs(10));
    assert_eq!(folder.ok(&["replay", "log", "--format", "json"]).json()["requests"], 2);
    let left = |folder: &Folder| folder.listing().into_iter().filter(|name| name.contains(".pleiad-")).count();
    assert_eq!(left(&folder), 1);
    // The next one takes it away.
    let mut server = Server::start(&folder, &["m=run/model", "--request-log", "log"]);
    server.rank(&json!({ "rows": rows })).ok();
    end(&mut server);
    assert_eq!(left(&folder), 0);
    assert_eq!(folder.ok(&["replay", "log", "--format", "json"]).json()["requests"], 3);
}

#[test]
fn a_folder_that_cannot_be_written_is_a_warning_and_a_count() {
    let folder = small();
    let mut server = Server::start(&folder, &["m=run/model", "--request-log", "config.toml/log"]);
    let said = server.wait_for("requests cannot be logged");
    assert!(said.contains("config.toml/log") && said.contains("requests are answered"), "{said}");
    server.rank(&json!({ "rows": small_rows(5, 3) })).ok();
    let begin = Instant::now();
    let dropped = "pleiad_request_log_dropped_total{model=\"m\",reason=\"failed\"} 1";
    while !server.get("/metrics").body.contains(dropped) {
        assert!(begin.elapsed() < Duration::from_secs(30), "{}", server.get("/metrics").body);
        std::thread::sleep(Duration::from_millis(20));
    }
    end(&mut server);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_lines_of_the_log_and_no_answer() {
    let folder = small();
    // Each request fills a file.
    let mut server = Server::start(&folder, &["m=run/model", "--request-log", "log", "--log-rows", "5"]);
    let body = json!({ "rows": small_rows(5, 3) });
    server.rank(&body).ok();
    let wait_for_count = |line: &str| {
        let begin = Instant::now();
        while !server.get("/metrics").body.lines().any(|found| found.starts_with(line)) {
            assert!(begin.elapsed() < Duration::from_secs(30), "{line}: {}", server.get("/metrics").body);
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait_for_count("pleiad_request_log_logged_total{model=\"m\"} 1");
    let before = files(&folder.join("log/m"));

    server.limit_files(Some(0));
    assert_eq!(server.rank(&body).ok().json()["candidates"], 5);
    let said = server.wait_for("requests cannot be logged");
    assert!(said.contains("log/m/") && said.contains("too large"), "{said}");
    wait_for_count("pleiad_request_log_dropped_total{model=\"m\",reason=\"failed\"} 1");
    let left: Vec<String> = folder.listing().into_iter().filter(|name| name.starts_with("log/m/")).collect();
    assert_eq!(
        (files(&folder.join("log/m")), left.len()),
        (before, 1),
        "nothing is left of a file that was not written: {left:?}"
    );

    server.limit_files(None);
    let begin = Instant::now();
    while server.get("/metrics").body.lines().any(|line| line == "pleiad_request_log_logged_total{model=\"m\"} 1") {
        assert!(begin.elapsed() < Duration::from_secs(60), "it logs no more");
        server.rank(&body).ok();
        std::thread::sleep(Duration::from_millis(200));
    }
    server.wait_for("requests are logged again");
    end(&mut server);
    assert!(folder.ok(&["replay", "log", "--format", "json"]).json()["requests"].as_u64() >= Some(2));
}

#[test]
fn a_version_and_a_model_have_files_of_their_own() {
    let folder = small();
    folder.write("other.toml", CONFIG.replace("seed = 7", "seed = 8").replace("epochs = 3", "epochs = 1"));
    folder.ok(&["train", "other.toml", "--out", "second", "--set", "rank.score.buy=1"]);
    copy(&folder.join("run/model"), &folder.join("served"));
    let models = ["a=served", "b=second/model", "--request-log", "log", "--log-age", "0.2", "--watch", "0"];
    let mut server = Server::start(&folder, &models);
    let body = json!({ "rows": small_rows(8, 3) });
    server.rank(&body).ok();
    server.post("/v1/models/b/rank", &body.to_string()).ok();
    // Files are completed by their age.
    let begin = Instant::now();
    while files(&folder.join("log/a")).is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(30), "no file");
        std::thread::sleep(Duration::from_millis(10));
    }
    // The file is there a moment before it is counted.
    while !server.get("/metrics").body.contains("pleiad_request_log_logged_total{model=\"a\"} 1") {
        assert!(begin.elapsed() < Duration::from_secs(30), "not counted");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::fs::remove_dir_all(folder.join("served")).unwrap();
    copy(&folder.join("second/model"), &folder.join("served"));
    server.post("/v1/models/a/reload", "").ok();
    server.rank(&body).ok();
    end(&mut server);
    let of = |model: &str| {
        let all = files(&folder.join(&format!("log/{model}")));
        all.iter().map(|path| texts(&read(path), "pleiad_version")[0].clone().unwrap()).collect::<Vec<_>>()
    };
    let (a, b) = (of("a"), of("b"));
    assert_eq!((a.len(), b.len()), (2, 1));
    assert!(a[0] != a[1] && a[1] == b[0], "{a:?} {b:?}");
    // Both have the same tasks, but are two models.
    let mixed = folder.run(&["replay", "log"]);
    assert!(mixed.code == Some(3) && mixed.stderr.contains("give the log of one model"), "{}", mixed.stderr);
}
