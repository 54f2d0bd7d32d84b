//! W1: 512 numbers in, PLE of two levels with experts 256-128, B 1024. Matrix products take nearly all of
//! the time.

use serde_json::json;

use super::case::{Case, model, tasks};

pub(super) fn case() -> Case {
    let level = json!({ "task_experts": 4, "shared_experts": 4, "widths": [256, 128] });
    Case {
        name: "w1".to_owned(),
        rows: 1024,
        numeric: 512,
        fields: Vec::new(),
        requests: None,
        tasks: tasks(2),
        model: model(json!({ "kind": "ple", "levels": [level, level], "tower": [64, 32] })),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_definition() {
        let summary = case().graph().unwrap().summary();
        let expert = |input: u64| input * 256 + 256 + 256 * 128 + 128;
        // Two task gates over 8 experts; the shared gate, over all 12, is there below the top alone.
        let first = 12 * expert(512) + 512 * (8 + 8 + 12);
        let second = 12 * expert(128) + 128 * (8 + 8);
        let tower = 128 * 64 + 64 + 64 * 32 + 32 + 32 + 1;
        assert_eq!(summary.dense_parameters, first + second + 2 * tower);
        assert_eq!(summary.dense_parameters, 2_798_850);
        assert_eq!(summary.table_parameters, 0);
    }
}
