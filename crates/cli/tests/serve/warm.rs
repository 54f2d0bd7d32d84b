//! What a new version ranks before it is served.

use serde_json::{Value, json};

use crate::client::{Server, folder, rows};
use crate::common::{CONFIG, Folder, log};
use crate::models::{point, two};

fn start(folder: &Folder, more: &[&str]) -> Server {
    point(folder, "current", "run/model");
    Server::start(folder, &[&["video=current", "--watch", "0"], more].concat())
}

/// A request whose candidates share a city.
fn body(seed: u64) -> Value {
    let mut rows = rows(20, seed);
    rows.iter_mut().for_each(|row| _ = row.as_object_mut().unwrap().remove("city"));
    json!({ "request": { "city": "Lima" }, "rows": rows })
}

fn reload(server: &Server) -> Value {
    let answer = server.post("/v1/models/video/reload", "").ok().json();
    assert_eq!(answer["changed"], true);
    answer["warmed"].clone()
}

#[test]
fn a_new_version_ranks_what_was_asked_before_and_counts_none_of_it() {
    let folder = two();
    let server = start(&folder, &[]);
    server.rank(&body(1)).ok();
    // What was refused is no request to warm with.
    assert_eq!(server.post("/v1/rank", "{}").status, 400);
    point(&folder, "current", "other/model");
    assert_eq!(reload(&server), json!({ "ranked": 1, "refused": 0 }));
    let metrics = server.get("/metrics").body;
    for line in [
        "pleiad_warm_requests_total{model=\"video\",result=\"ranked\"} 1\n",
        "pleiad_feature_values_total{model=\"video\",feature=\"city\"} 0\n",
        "pleiad_request_candidates_count{model=\"video\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
    // The same version once more has nothing to warm.
    let again = server.post("/v1/models/video/reload", "").ok().json();
    assert_eq!((&again["changed"], &again["warmed"]), (&json!(false), &json!({ "ranked": 0, "refused": 0 })));
}

#[test]
fn a_new_version_that_refuses_them_is_served_with_a_warning() {
    let folder = folder();
    folder.write("towns.csv", log(400, 4).replacen("city", "town", 1));
    let config = CONFIG.replace("epochs = 3", "epochs = 1").replace("[\"city\"]", "[\"town\"]");
    let config = config.replace("valid = \"valid.csv\"\ntest = \"test.csv\"\n", "").replace("train.csv", "towns.csv");
    folder.write(
        "towns.toml",
        config.replace("early_stopping = { patience = 5 }\n", "") + "\n[rank]\nscore = { buy = 1.0 }\n",
    );
    folder.ok(&["train", "towns.toml", "--out", "towns"]);
    let server = start(&folder, &[]);
    server.rank(&body(1)).ok();
    point(&folder, "current", "towns/model");
    let warmed = reload(&server);
    assert_eq!((&warmed["ranked"], &warmed["refused"]), (&json!(0), &json!(1)));
    assert!(warmed["refusal"].as_str().unwrap().contains("\"town\""), "{warmed}");
    let line = server.wait_for("refuses 1 of the last 1 recorded requests");
    assert!(line.contains("\"town\"") && line.contains("/v1/models/video/rollback"), "{line}");
}

#[test]
fn without_recorded_requests_nothing_is_ranked() {
    let folder = two();
    let server = start(&folder, &["--warm", "0"]);
    server.rank(&body(1)).ok();
    point(&folder, "current", "other/model");
    assert_eq!(reload(&server), json!({ "ranked": 0, "refused": 0 }));
}
