//! Shadows of a route, and predictions that drift away from those of training.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Server, folder, rows};
use crate::common::log;
use crate::models::two;

const ROUTES: &str = r#"[[route]]
name = "feed"
[[route.arm]]
label = "all"
model = "a"
share = 1.0
[[route.shadow]]
model = "b"
share = 1.0
[[route.shadow]]
model = "a"
share = 0.5
"#;

fn body(seed: u64, count: usize) -> Value {
    json!({ "rows": rows(count, seed) })
}

/// A shadow as `/v1/routes` has it, once it has taken its part of so many requests.
fn shadow(server: &Server, at: usize, is_done: &dyn Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let shown = server.get("/v1/routes").ok().json()["routes"][0]["shadows"][at].clone();
        if is_done(&shown) {
            return shown;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "{shown}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn sum(shown: &Value) -> u64 {
    ["ranked", "dropped", "errors"].iter().map(|key| shown[key].as_u64().unwrap()).sum()
}

#[test]
fn shadows_rank_after_the_answer_and_change_nothing() {
    let folder = two();
    folder.write("routes.toml", ROUTES);
    let args = ["a=run/model", "b=other/model", "--routes", "routes.toml", "--watch", "0", "--threads", "2"];
    let server = Server::start(&folder, &args);
    let (mut difference, mut candidates) = (0.0, 0);
    for seed in 0..30 {
        let body = body(seed, 150).to_string();
        let of = |model: &str| server.post(&format!("/v1/models/{model}/rank"), &body).ok();
        let (mut own, other) = (of("a").json(), of("b").json());
        let shadowed = of("feed");
        own["label"] = json!("all");
        assert_eq!(shadowed.json(), own);
        let of_index = |answer: &Value, task: &str| -> Vec<f64> {
            let mut all = answer["ranked"].as_array().unwrap().clone();
            all.sort_by_key(|one| one["index"].as_u64());
            all.iter().map(|one| one["predictions"][task].as_f64().unwrap()).collect()
        };
        let pairs = of_index(&own, "buy").into_iter().zip(of_index(&other, "buy"));
        difference += pairs.map(|(a, b)| (a - b).abs()).sum::<f64>();
        candidates += 150;
        // One at a time, so that none makes way until it is given up.
        shadow(&server, 0, &|shown| sum(shown) == seed + 1);
    }
    let other = shadow(&server, 0, &|shown| sum(shown) == 30);
    assert_eq!((&other["model"], &other["ranked"], &other["errors"]), (&json!("b"), &json!(30), &json!(0)));
    let overlap = other["top10_overlap"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&overlap), "{other}");
    let found = other["prediction_difference"]["buy"].as_f64().unwrap();
    assert!((found - difference / f64::from(candidates)).abs() < 1e-5 * found.max(1e-3), "{found} {difference}");
    // The same model gives the same, and about half of the requests were drawn.
    let same = shadow(&server, 1, &|_| true);
    assert_eq!((&same["model"], &same["top10_overlap"]), (&json!("a"), &json!(1.0)));
    assert!(same["prediction_difference"]["buy"].as_f64().unwrap() < 1e-6, "{same}");
    assert!((3..=27).contains(&sum(&same)), "{same}");
    let metrics = server.get("/metrics").body;
    let labels = "{route=\"feed\",model=\"b\"";
    for line in [
        format!("pleiad_shadow_requests_total{labels},result=\"ranked\"}} 30\n"),
        format!("pleiad_shadow_top10_overlap_count{labels}}} 30\n"),
        format!("pleiad_shadow_prediction_difference_count{labels},task=\"buy\"}} 4500\n"),
    ] {
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    // Bodies are given back once their shadows are done; rankings of shadows are no requests of the model.
    assert!(metrics.contains("pleiad_body_bytes 0\n"), "{metrics}");
    assert!(metrics.contains("pleiad_request_candidates_count{model=\"b\"} 30\n"), "{metrics}");
}

#[test]
fn a_shadow_that_cannot_rank_is_an_error_and_nothing_else() {
    let folder = two();
    folder.write("routes.toml", ROUTES);
    // It reads a column that bodies do not have.
    for name in ["train.csv", "valid.csv", "test.csv"] {
        let text = folder.text(name);
        let lines = text.lines().enumerate();
        let more = lines.map(|(at, line)| match at {
            0 => format!("{line},more\n"),
            at => format!("{line},{}\n", at % 7),
        });
        folder.write(name, more.collect::<String>());
    }
    folder.replace("config.toml", "\"visits\"]", "\"visits\", \"more\"]");
    folder.ok(&["train", "config.toml", "--out", "more"]);
    let args = ["a=run/model", "b=more/model", "--routes", "routes.toml", "--watch", "0"];
    let server = Server::start(&folder, &args);
    let ask = |count: u64| {
        for seed in 0..count {
            assert_eq!(server.post("/v1/models/feed/rank", &body(seed, 20).to_string()).ok().json()["label"], "all");
        }
    };
    ask(5);
    let shown = shadow(&server, 0, &|shown| sum(shown) == 5);
    assert_eq!((&shown["errors"], &shown["top10_overlap"]), (&json!(5), &json!(null)));
    server.post("/v2/repository/models/b/unload", "").ok();
    ask(3);
    let shown = shadow(&server, 0, &|shown| sum(shown) == 8);
    assert_eq!(shown["errors"], 8);
    assert!(server.get("/metrics").body.contains("pleiad_panics_total 0\n"));
}

#[test]
fn shadows_make_way_under_load_and_are_dropped_rather_than_kept() {
    let folder = two();
    folder.write("routes.toml", ROUTES);
    let args = ["a=run/model", "b=other/model", "--routes", "routes.toml", "--threads", "1", "--watch", "0"];
    let server = Server::start(&folder, &args);
    let body = body(1, 2000).to_string();
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (address, body) = (server.address.clone(), body.clone());
            std::thread::spawn(move || {
                let mut client = crate::client::Client::new(&address);
                (0..20).for_each(|_| _ = client.ask("POST", "/v1/models/feed/rank", &body).ok());
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    let shown = shadow(&server, 0, &|shown| sum(shown) == 60);
    assert_eq!(shown["errors"], 0);
    assert!(server.get("/metrics").body.contains("pleiad_body_bytes 0\n"));
}

#[test]
fn predictions_of_other_rows_drift() {
    let folder = folder();
    // Enough rows to compare with.
    folder.write("valid.csv", log(3000, 2));
    folder.ok(&["train", "config.toml", "--out", "run3"]);
    let server = Server::start(&folder, &["m=run3/model", "--watch", "0"]);
    let drift = || server.get("/v1/models/m").ok().json()["drift"].clone();
    let metric = |name: &str| {
        let metrics = server.get("/metrics").body;
        let line = format!("{name}{{model=\"m\",task=\"buy\"}} ");
        let value = metrics.lines().find_map(|found| found.strip_prefix(&line)).map(|value| value.parse::<f64>());
        value.map(Result::unwrap)
    };
    server.rank(&json!({ "rows": &rows(3000, 2)[..900] })).ok();
    assert_eq!((drift()[0]["candidates"].clone(), drift()[0]["drift"].clone()), (json!(900), json!(null)));
    assert_eq!(metric("pleiad_prediction_drift"), None);
    // The rows that it was measured on.
    server.rank(&json!({ "rows": &rows(3000, 2)[900..] })).ok();
    let same = metric("pleiad_prediction_drift").unwrap();
    assert!((0.0..1e-6).contains(&same), "{same}");
    let [recent, training] =
        ["pleiad_prediction_mean", "pleiad_prediction_training_mean"].map(|name| metric(name).unwrap());
    assert!((recent - training).abs() < 1e-6, "{recent} {training}");
    // All of one kind.
    let mut shifted = rows(3000, 2);
    let extreme = shifted.iter().cloned().max_by_key(|row| row["visits"].as_f64().map(|x| (x * 1e3) as i64)).unwrap();
    shifted.iter_mut().for_each(|row| *row = extreme.clone());
    for _ in 0..3 {
        server.rank(&json!({ "rows": shifted })).ok();
    }
    assert!(metric("pleiad_prediction_drift").unwrap() > 0.25, "{}", drift());
    // A version begins anew.
    let before = drift()[0]["candidates"].clone();
    assert_eq!(before, 12_000);
    let noted = folder.json("run3/model/model.json")["provenance"]["training_predictions"]["buy"].clone();
    assert_eq!((noted["rows"].as_u64(), noted["edges"].as_array().map(Vec::len)), (Some(3000), Some(19)));
}
