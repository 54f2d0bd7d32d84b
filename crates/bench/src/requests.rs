//! W7: candidates of requests: 40 fields of the request and 10 of the candidate, PLE of two levels with experts 256-128,
//! 50 candidates a request. Most of the first layer belongs to the request.

use serde_json::json;

use super::case::{Case, Field, model, tasks};

/// Candidates of a request.
const CANDIDATES: usize = 50;

/// Requests of a batch.
const REQUESTS: usize = 20;

/// Fields of a request, and of a candidate.
const FIELDS: [u64; 2] = [40, 10];

/// The case row by row, or with what belongs to requests computed once for each.
pub(super) fn case(by_request: bool) -> Case {
    let level = json!({ "task_experts": 4, "shared_experts": 4, "widths": [256, 128] });
    let fields = FIELDS[0] + FIELDS[1];
    Case {
        name: if by_request { "w7" } else { "w7-flat" }.to_owned(),
        rows: REQUESTS * CANDIDATES,
        numeric: 0,
        // Too many rows to be multiplied as a whole.
        fields: (0..fields).map(|f| Field { table: format!("c{f}"), rows: 1000, dim: 16, skew: 1.0 }).collect(),
        requests: Some(super::case::Requests { fields: FIELDS[0] as usize, candidates: CANDIDATES, by_request }),
        tasks: tasks(2),
        model: model(json!({ "kind": "ple", "levels": [level, level], "tower": [64, 32] })),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn four_fifths_of_the_first_layer_belong_to_requests() {
        let (flat, split) = (case(false), case(true));
        assert_eq!(flat.graph().unwrap().nodes.len(), split.graph().unwrap().nodes.len());
        assert_eq!(split.layout().per_request.len(), 40);
        assert!(flat.layout().per_request.is_empty());
        let batches = split.batches(1).unwrap();
        assert_eq!(batches, flat.batches(1).unwrap());
        let ids = batches[0].categorical[3].table_rows();
        assert!(ids.chunks(50).all(|ids| ids.iter().all(|id| *id == ids[0])));
        assert!(
            batches[0].categorical[45].table_rows()[..50]
                .iter()
                .any(|id| *id != batches[0].categorical[45].table_rows()[0])
        );
    }
}
