//! Routes: requests split over models and scores.

use serde_json::{Value, json};

use crate::client::{Server, folder, request, rows};
use crate::common::{Folder, copy};
use crate::models::two;

const ROUTES: &str = r#"[[route]]
name = "feed"
by = "user"
salt = "2026-11"

[[route.arm]]
label = "stable"
model = "a"
share = 0.7

[[route.arm]]
label = "canary"
model = "b"
share = 0.3
score = { buy = 2.0 }
"#;

/// A body of one user.
fn body(user: usize, seed: u64, count: usize) -> Value {
    json!({ "request": { "user": format!("u{user}") }, "rows": rows(count, seed) })
}

fn start(folder: &Folder, more: &[&str]) -> Server {
    let args = [&["a=run/model", "b=other/model", "--routes", "routes.toml", "--watch", "0"], more].concat();
    Server::start(folder, &args)
}

fn label(server: &Server, user: usize) -> String {
    let answer = server.post("/v1/models/feed/rank", &body(user, 1, 1).to_string()).ok().json();
    answer["label"].as_str().unwrap().to_owned()
}

#[test]
fn an_arm_answers_as_its_model_does() {
    let folder = two();
    folder.write("routes.toml", ROUTES);
    let server = start(&folder, &[]);
    let own = |model: &str, body: &Value| server.post(&format!("/v1/models/{model}/rank"), &body.to_string()).ok();
    let mut seen = [0, 0];
    for user in 0..40 {
        let asked = body(user, user as u64, 30);
        let mut of_arm = asked.clone();
        let answer = own("feed", &asked).ok().json();
        let is_canary = answer["label"] == "canary";
        seen[usize::from(is_canary)] += 1;
        if is_canary {
            of_arm["score"] = json!({ "buy": 2.0 });
        }
        let mut expected = own(if is_canary { "b" } else { "a" }, &of_arm).json();
        expected["label"] = answer["label"].clone();
        assert_eq!(answer, expected);
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");

    // The exponents of a request stand above those of the arm, and those of the arm above those of a call.
    server.post("/v1/models/b/score", r#"{"score": {"buy": 7, "spend": 0.25}}"#).ok();
    let asked = body(1, 9, 30);
    let mut expected = asked.clone();
    expected["score"] = json!({ "buy": 2.0, "spend": 0.25 });
    let of_label = |label: &str, body: &Value| {
        server.post(&format!("/v1/models/feed/labels/{label}/rank"), &body.to_string()).ok().json()["ranked"].clone()
    };
    assert_eq!(of_label("canary", &asked), own("b", &expected).json()["ranked"]);
    let mut wished = asked.clone();
    wished["score"] = json!({ "buy": 3.0 });
    assert_eq!(of_label("stable", &wished), own("a", &wished).json()["ranked"]);

    // What a route does not answer says so.
    let says = |answer: crate::client::Response, status: u16, code: &str, words: &str| {
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, &error["code"]), (status, &json!(code)), "{error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
    };
    let rank = |path: &str| server.post(path, &asked.to_string());
    says(rank("/v1/models/feed/labels/canari/rank"), 404, "no_such_label", "did you mean `canary`?");
    says(rank("/v1/models/a/labels/canary/rank"), 404, "no_such_label", "is a model");
    says(rank("/v1/models/feet/labels/canary/rank"), 404, "no_such_route", "did you mean \"feed\"?");
    says(server.get("/v1/models/feed"), 404, "is_route", "answers rank requests alone");
    says(server.post("/v1/models/feed/reload", ""), 404, "is_route", "is a route");
    let infer = server.post("/v2/models/feed/infer", "{}");
    assert!(infer.status == 404 && infer.body.contains("a route answers rank requests alone"), "{infer:?}");
    let description = server.get("/v1/openapi.json").ok().json();
    assert!(description["components"]["schemas"]["Ranking"]["properties"].get("label").is_some());
}

#[test]
fn a_user_keeps_the_arm_and_arms_have_their_shares() {
    let folder = two();
    folder.write("routes.toml", ROUTES);
    let labels = |server: &Server, users: usize| {
        let mut client = server.connect();
        (0..users)
            .map(|user| {
                let answer = client.ask("POST", "/v1/models/feed/rank", &body(user, 1, 1).to_string()).ok().json();
                answer["label"].as_str().unwrap().to_owned()
            })
            .collect::<Vec<_>>()
    };
    let server = start(&folder, &[]);
    let before = labels(&server, 2000);
    let canary = before.iter().filter(|label| *label == "canary").count();
    // Five standard deviations of 2,000 draws at 0.3 are 102.
    assert!((500..=700).contains(&canary), "{canary}");
    drop(server);
    let server = start(&folder, &[]);
    assert_eq!(labels(&server, 300), before[..300]);
    // With more for the canary, nobody leaves it.
    let more = ROUTES.replace("0.7", "0.6").replace("0.3", "0.4");
    folder.write("routes.toml", &more);
    drop(server);
    let server = start(&folder, &[]);
    let after = labels(&server, 300);
    assert!(before.iter().zip(&after).all(|(before, after)| before == after || after == "canary"));
    assert!(before[..300] != after[..]);

    // Without the value chance decides, which is counted; what is no text and no number is no value.
    let chance: Vec<Value> = (0..60)
        .map(|at| {
            let shared = if at % 2 == 0 { json!({}) } else { json!({ "user": ["u1"] }) };
            let body = json!({ "request": shared, "rows": rows(1, 1) }).to_string();
            server.post("/v1/models/feed/rank", &body).ok().json()["label"].clone()
        })
        .collect();
    assert!(chance.contains(&json!("stable")) && chance.contains(&json!("canary")), "{chance:?}");
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("pleiad_route_without_value_total{route=\"feed\"} 60\n"), "{metrics}");
    assert!(metrics.contains("pleiad_route_share{route=\"feed\",label=\"canary\"} 0.4\n"), "{metrics}");
    let shown = server.get("/v1/routes").ok().json();
    let arms = &shown["routes"][0]["arms"];
    let sum: u64 = [0, 1].iter().map(|&at: &usize| arms[at]["answered"].as_u64().unwrap()).sum();
    assert_eq!((sum, &arms[1]["buckets"], &shown["routes"][0]["without_value"]), (360, &json!(4000), &json!(60)));
}

#[test]
fn a_route_is_changed_by_a_call_as_a_whole_and_written_down() {
    let folder = two();
    folder.write("routes.toml", ROUTES);
    folder.write("tokens", "ops=fedcba9876543210\n");
    let server = start(&folder, &["--token-file", "tokens", "--audit", "changes.jsonl"]);
    let ask = |method: &str, path: &str, body: &str| {
        let mut client = server.connect();
        client.send(request(method, path, "authorization: Bearer fedcba9876543210\r\n", body));
        client.answer().unwrap()
    };
    let form = ask("GET", "/v1/routes", "").ok().json()["routes"][0]["route"].clone();
    let change = |of: &dyn Fn(&mut Value)| {
        let mut form = form.clone();
        of(&mut form);
        ask("POST", "/v1/routes/feed", &form.to_string())
    };
    let cases: [(&dyn Fn(&mut Value), u16, &str); 11] = [
        (&|form| form["arm"][1]["share"] = json!(0.4), 422, "arm: the shares of all arms add up to 1.1"),
        (&|form| form["arm"][1]["model"] = json!("c"), 422, "arm[1].model: there is no model"),
        (&|form| form["arm"][1]["score"] = json!({ "bui": 1 }), 422, "did you mean `buy`?"),
        (&|form| form["arm"][1]["label"] = json!("stable"), 422, "arm[1].label: there is another arm"),
        (&|form| form["arm"] = json!([]), 422, "arm: there is none"),
        (&|form| form["name"] = json!("other"), 422, "a route keeps its name"),
        (&|form| form["fallback"] = json!("stabel"), 422, "did you mean `stable`?"),
        (&|form| form["arms"] = json!([]), 400, "unknown key `arms`; did you mean `arm`?"),
        (&|form| form["arm"][0]["share"] = json!("all"), 400, "invalid type"),
        (&|form| *form = json!([1, 2]), 400, "invalid"),
        (&|form| form["by"] = json!(""), 422, "by: must have 1"),
    ];
    for (of, status, says) in cases {
        let answer = change(of);
        assert!(answer.status == status && answer.body.contains(says), "{says}: {answer:?}");
    }
    assert_eq!(ask("POST", "/v1/routes/feet", "{}").json()["error"]["code"], "no_such_route");
    assert_eq!(ask("POST", "/v1/routes/feed", "").status, 400);
    assert_eq!(ask("GET", "/v1/routes", "").json()["routes"][0]["route"], form);
    assert!(folder.text("changes.jsonl").is_empty());

    let answer = change(&|form| {
        form["arm"][0]["share"] = json!(0.0);
        form["arm"][1]["share"] = json!(1.0);
        form.as_object_mut().unwrap().remove("name");
    });
    let changed = answer.ok().json();
    assert_eq!((&changed["from"], &changed["to"]["arm"][1]["share"]), (&form, &json!(1.0)));
    let rank = ask("POST", "/v1/models/feed/rank", &body(3, 1, 2).to_string()).ok().json();
    assert_eq!((&rank["label"], &rank["model"]), (&json!("canary"), &json!("b")));
    let line: Value = serde_json::from_str(folder.text("changes.jsonl").trim()).unwrap();
    assert_eq!((&line["who"], &line["what"], &line["model"]), (&json!("ops"), &json!("route"), &json!("feed")));
    assert_eq!((&line["from"], &line["to"]), (&changed["from"], &changed["to"]));

    // Who may not change models may not change routes.
    folder.write("routes.toml", ROUTES);
    let server = start(&folder, &["--control", "nobody"]);
    assert_eq!(server.post("/v1/routes/feed", &form.to_string()).status, 403);
}

#[test]
fn an_arm_without_a_model_falls_back_where_that_is_wanted() {
    let folder = two();
    folder.write("routes.toml", ROUTES.replace("0.7", "0.0").replace("0.3", "1.0"));
    let server = start(&folder, &[]);
    let rank = |path: &str| server.post(path, &body(1, 1, 3).to_string());
    assert_eq!(label(&server, 1), "canary");
    server.post("/v2/repository/models/b/unload", "").ok();
    let refused = rank("/v1/models/feed/rank");
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (404, &json!("unloaded")));
    let mut form = server.get("/v1/routes").json()["routes"][0]["route"].clone();
    form["fallback"] = json!("stable");
    server.post("/v1/routes/feed", &form.to_string()).ok();
    assert_eq!(label(&server, 1), "stable");
    // Who asks for the label wants that one.
    assert_eq!(rank("/v1/models/feed/labels/canary/rank").status, 404);
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("pleiad_route_fallbacks_total{route=\"feed\",label=\"canary\"} 1\n"), "{metrics}");
    let of_canary = "pleiad_route_requests_total{route=\"feed\",label=\"canary\"";
    assert!(metrics.contains(&format!("{of_canary},result=\"answered\"}} 1\n")), "{metrics}");
    assert!(metrics.contains(&format!("{of_canary},result=\"refused\"}} 2\n")), "{metrics}");
    server.post("/v2/repository/models/b/load", "").ok();
    assert_eq!(label(&server, 1), "canary");
}

#[test]
fn a_version_must_take_the_exponents_of_its_arms() {
    let folder = two();
    folder.write("routes.toml", ROUTES);
    // A log of the same columns, and a model that has no task `buy`.
    let config = folder.text("config.toml");
    let renamed = config.replace("name = \"buy\"", "name = \"bought\"").replace("{ buy = 1.0,", "{ bought = 1.0,");
    folder.write("renamed.toml", renamed);
    folder.ok(&["train", "renamed.toml", "--out", "renamed"]);
    let server = start(&folder, &[]);
    let (old, new) = (folder.join("other/model"), folder.join("old"));
    std::fs::rename(&old, new).unwrap();
    copy(&folder.join("renamed/model"), &old);
    let refused = server.post("/v1/models/b/reload", "");
    assert!(refused.status == 422 && refused.body.contains("arm \\\"canary\\\" of route \\\"feed\\\""), "{refused:?}");
    drop(server);
    let ran =
        folder.run(&["serve", "a=run/model", "b=other/model", "--routes", "routes.toml", "--http", "127.0.0.1:0"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("routes.toml:15:17: "), "{:?} {}", ran.code, ran.stderr);
}

#[test]
fn a_file_that_is_wrong_is_refused_with_its_place() {
    let folder = folder();
    for (text, says) in [
        (ROUTES.replace("model = \"a\"", "model = \"rum\""), "routes.toml:8:9: "),
        (ROUTES.replace("model = \"a\"", "model = \"rum\""), "did you mean `run`?"),
        (ROUTES.replace("share = 0.7", "shre = 0.7"), "routes.toml:9:1: unknown key `shre`; did you mean `share`?"),
        (ROUTES.replace("share = 0.7", "share = 0.7 0.8"), "routes.toml:9:"),
        ("[[route]]".repeat(3), "routes.toml:1:"),
        ("x".repeat(2 << 20), "longer than"),
        (format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)), "routes.toml"),
    ] {
        folder.write("routes.toml", text);
        let ran = folder.run(&["serve", "run/model", "--routes", "routes.toml", "--http", "127.0.0.1:0"]);
        assert!(ran.code == Some(2) && ran.stderr.contains(says), "{says}: {:?} {}", ran.code, ran.stderr);
    }
    let ran = folder.run(&["serve", "run/model", "--routes", "none.toml", "--http", "127.0.0.1:0"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("none.toml: cannot be read"), "{}", ran.stderr);
}
