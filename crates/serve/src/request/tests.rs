//! Bodies, sound and hostile.

use pleiad_data::schema::{DataConfig, FeatureBlock, Schema, TaskConfig};
use proptest::prelude::*;
use serde_json::json;

use super::*;

#[derive(serde::Deserialize)]
struct Parts {
    data: DataConfig,
    feature: Vec<FeatureBlock>,
    task: Vec<TaskConfig>,
}

/// The columns `age` and `tags`, which is a list, and `id`.
fn columns() -> Columns {
    let text = r#"
        data = { train = "x.csv" }
        [[feature]]
        columns = ["age"]
        kind = "numeric"
        [[feature]]
        columns = ["tags"]
        kind = "categorical"
        multiple = true
        encoding = { hash = 10 }
        embedding = 2
        [[task]]
        name = "click"
        kind = "binary"
        label = "clicked"
    "#;
    let Parts { data, feature, task } = toml::from_str(text).unwrap();
    Columns::new(&Schema::resolve(&data, &feature, &task).unwrap())
}

fn parse(body: &str) -> Result<RankRequest<'_>, Refusal> {
    RankRequest::parse(body.as_bytes(), &columns(), 100)
}

#[test]
fn rows_become_columns_in_one_pass() {
    let body = r#"{"request": {"x": 1}, "rows": [
        {"id": "a", "age": 1, "tags": ["u", 2, null]}, {"tags": [], "id": 2}, {"age": 2.5, "y": {"z": [1]}}], "top": 2}"#;
    let found = parse(body).unwrap();
    let text = |text: &'static str| Cell::Text(text.into());
    assert_eq!((found.candidates, found.top), (3, Some(2)));
    assert_eq!(found.ids, [text("a"), Cell::Int(2)]);
    assert_eq!(found.columns[0], Some(vec![Cell::Int(1), Cell::Null, Cell::Float(2.5)]));
    let tags = vec![Cell::List(vec![text("u"), Cell::Int(2), Cell::Null]), Cell::List(vec![])];
    assert_eq!(found.columns[1], Some(tags));
    assert_eq!(found.ignored, ["x", "y"]);
}

#[test]
fn the_order_of_keys_does_not_matter() {
    let rows = r#""rows": [{"key": 1, "age": 3}, {"age": 4, "key": 2}]"#;
    for body in [format!(r#"{{"id": "key", {rows}}}"#), format!(r#"{{{rows}, "id": "key"}}"#)] {
        let found = parse(&body).unwrap();
        assert_eq!(found.ids, [Cell::Int(1), Cell::Int(2)], "{body}");
        assert_eq!(found.columns[0], Some(vec![Cell::Int(3), Cell::Int(4)]), "{body}");
        assert!(found.ignored.is_empty(), "{body}");
    }
    let ids = r#""ids": ["p", null]"#;
    let rows = r#""rows": [{"id": "x"}, {"id": "y"}]"#;
    for body in [format!("{{{ids}, {rows}}}"), format!("{{{rows}, {ids}}}")] {
        assert_eq!(parse(&body).unwrap().ids, [Cell::Text("p".into()), Cell::Null], "{body}");
    }
}

#[test]
fn names_of_ignored_fields_are_few_and_short() {
    let row: serde_json::Map<String, serde_json::Value> =
        (0..200).map(|at| (format!("{at}{}", "x".repeat(1000)), json!(at))).collect();
    let body = json!({ "rows": [row] }).to_string();
    let found = parse(&body).unwrap();
    assert_eq!(found.ignored.len(), IGNORED);
    assert!(found.ignored.iter().all(|name| name.len() <= IGNORED_CHARACTERS));
}

#[test]
fn memory_follows_from_the_body() {
    // A name that stands in the last row alone is no column as long as all rows, and unknown names are none at all.
    let rows: Vec<_> = (0..100).map(|at| json!({ format!("f{at}"): 1 })).collect();
    let body = json!({ "rows": rows }).to_string();
    let found = parse(&body).unwrap();
    assert!(found.columns.iter().all(Option::is_none) && found.candidates == 100);
}

proptest! {
    /// Whatever the bytes are, they are parsed or refused with a status, and a refusal says what to do.
    #[test]
    fn any_bytes_are_parsed_or_refused(
        bytes in prop::collection::vec(prop::sample::select(
            b"{}[]\",:0123456789.eE-+ntrufalsidxgoqwmcy \\\n\xff\x00".to_vec()), 0..200),
    ) {
        if let Err(refusal) = RankRequest::parse(&bytes, &columns(), 100) {
            prop_assert!([400, 413].contains(&refusal.status) && !refusal.advice.is_empty());
        }
    }

    /// A sound body with one byte changed, or cut.
    #[test]
    fn damaged_bodies_are_parsed_or_refused(at in 0usize..200, byte in any::<u8>(), cut in any::<bool>()) {
        let mut body = br#"{"request": {"age": 1}, "id": "k", "rows": [{"k": "a", "tags": ["\u00e9", null]}, {"tags": [1]}],
            "score": {"click": 1.5}, "top": 3}"#.to_vec();
        let at = at % body.len();
        if cut { body.truncate(at) } else { body[at] = byte }
        if let Ok(found) = RankRequest::parse(&body, &columns(), 100) {
            prop_assert!(found.candidates <= 100 && found.ids.len() <= found.candidates);
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_where_they_are() {
    for body in [&b"{\"rows\": [\n {\"y\": \"a\xff\"}]}"[..], b"{\n\"rows\xc3\x28\": []}"] {
        let refusal = RankRequest::parse(body, &columns(), 100).unwrap_err();
        assert_eq!((refusal.status, refusal.code), (400, "malformed_json"));
        assert_eq!(refusal.place.line, Some(2), "{refusal:?}");
        assert!(refusal.message.contains("UTF-8"));
    }
}
