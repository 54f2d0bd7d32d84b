//! W2: the shape of the census example: 33 small vocabularies of width 8 and 7 numbers, PLE of two levels with experts
//! of one layer of 64, B 512. Products are small, so the passes between them matter.

use serde_json::json;

use super::case::{Case, Field, model, tasks};

pub(super) fn case() -> Case {
    let level = json!({ "task_experts": 2, "shared_experts": 2, "widths": [64] });
    // 3 to 52 rows, most vocabularies small, as in census-income: some 500 rows in all.
    let rows = |field: u64| 3 + 49 * field.pow(3) / 32u64.pow(3);
    Case {
        name: "w2".to_owned(),
        rows: 512,
        numeric: 7,
        fields: (0..33).map(|f| Field { table: format!("c{f}"), rows: rows(f), dim: 8, skew: 1.0 }).collect(),
        requests: None,
        tasks: tasks(2),
        model: model(json!({ "kind": "ple", "levels": [level, level], "tower": [32] })),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_definition() {
        let case = case();
        let rows: Vec<u64> = case.fields.iter().map(|field| field.rows).collect();
        assert_eq!((rows.len(), rows.iter().min(), rows.iter().max()), (33, Some(&3), Some(&52)));
        assert_eq!(rows.iter().sum::<u64>(), 503);
        let summary = case.graph().unwrap().summary();
        let input = 33 * 8 + 7;
        let first = 6 * (input * 64 + 64) + input * (4 + 4 + 6);
        let second = 6 * (64 * 64 + 64) + 64 * (4 + 4);
        let tower = 64 * 32 + 32 + 32 + 1;
        assert_eq!(summary.dense_parameters, first + second + 2 * tower);
        assert_eq!(summary.dense_parameters, 137_940);
        assert_eq!(summary.table_parameters, 503 * 8);
    }
}
