//! W3: 23 fields of 200,000 rows of width 16 each, Zipf-distributed ids, CGC with experts 128-64, B 2048. The cost of
//! a step must not depend on the rows that it does not touch.

use serde_json::json;

use super::case::{Case, Field, model, tasks};

pub(super) fn case() -> Case {
    Case {
        name: "w3".to_owned(),
        rows: 2048,
        numeric: 0,
        fields: (0..23).map(|f| Field { table: format!("c{f}"), rows: 200_000, dim: 16, skew: 1.05 }).collect(),
        requests: None,
        tasks: tasks(2),
        model: model(json!({
            "kind": "cgc", "task_experts": 2, "shared_experts": 2, "widths": [128, 64], "tower": [64, 32],
        })),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_definition() {
        let summary = case().graph().unwrap().summary();
        let input = 23 * 16;
        let experts = 6 * (input * 128 + 128 + 128 * 64 + 64) + input * (4 + 4);
        let tower = 64 * 64 + 64 + 64 * 32 + 32 + 32 + 1;
        assert_eq!(summary.dense_parameters, experts + 2 * tower);
        assert_eq!(summary.dense_parameters, 348_418);
        assert_eq!(summary.table_parameters, 23 * 200_000 * 16);
    }
}
