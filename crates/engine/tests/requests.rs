//! Request space: a model that computes what belongs to a request once predicts and learns what the same model does row by
//! row, up to the order of sums, for every structure and whatever the requests are.

#![allow(clippy::unwrap_used)]

use crate::distance::distance;
use crate::fixture::{self, adam, configurations, graph_over, options};
use pleiad_data::{Batch, Ids, Input, InputLayout, Pooling};
use pleiad_engine::{Engine, EngineOptions, GateStatistics, Precision, Predictor};
use proptest::prelude::*;
use serde_json::Value;

/// Wide enough to be folded, too narrow, too large, pooled; the first table is read twice.
fn layout(per_request: &[String]) -> InputLayout {
    let numeric = |name: &str, column| Input::Numeric { name: name.into(), column };
    let categorical = |name: &str, slot, table: &str, rows, dim, pooling| Input::Categorical {
        name: name.into(),
        slot,
        table: table.into(),
        rows,
        dim,
        pooling,
    };
    let inputs = vec![
        numeric("a", 0),
        categorical("user", 0, "user", 7, 5, None),
        categorical("seen", 1, "item", 300, 4, Some(Pooling::Mean)),
        numeric("b", 1),
        categorical("item", 2, "item", 300, 4, None),
        Input::Periodic { name: "c".into(), column: 2, frequencies: 2, sigma: 1.0, dim: 3 },
        categorical("tags", 3, "tags", 5, 4, Some(Pooling::Sum)),
        categorical("place", 4, "place", 9, 4, None),
        categorical("kind", 5, "kind", 3, 2, None),
    ];
    InputLayout { per_request: per_request.to_vec(), ..InputLayout::new(inputs) }
}

const FEATURES: [&str; 9] = ["a", "user", "seen", "b", "item", "c", "tags", "place", "kind"];

fn names(of: &[bool]) -> Vec<String> {
    FEATURES.iter().zip(of).filter(|(_, of)| **of).map(|(name, _)| (*name).to_owned()).collect()
}

/// Requests of `sizes` rows each, in which the features of requests are those of the first row.
fn batch(layout: &InputLayout, sizes: &[usize], seed: u64) -> Batch {
    let rows = sizes.iter().sum();
    let drawn = fixture::batch(rows, seed);
    let first: Vec<usize> = sizes
        .iter()
        .scan(0, |end, &size| {
            *end += size;
            Some((*end - size, size))
        })
        .flat_map(|(first, size)| vec![first; size])
        .collect();
    let own: Vec<usize> = (0..rows).collect();
    let index = |name: &str| if layout.per_request.iter().any(|of| of == name) { &first } else { &own };
    let mixed = |row: u64| (row.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed) >> 33;
    let single = |name: &str, below: u64| {
        Ids::Single(index(name).iter().map(|&row| mixed(row as u64 + below) % below).collect())
    };
    let several = |name: &str, below: u64| {
        let (mut offsets, mut ids) = (vec![0], Vec::new());
        for &row in index(name) {
            ids.extend((0..mixed(row as u64) % 4).map(|n| mixed(row as u64 + 7 * n) % below));
            offsets.push(ids.len());
        }
        Ids::Multiple { offsets, rows: ids }
    };
    let number = |name: &str, column: usize, row: usize| {
        mixed((index(name)[row] * 3 + column) as u64) as f32 / (1u64 << 30) as f32 - 1.0
    };
    Batch {
        numeric: (0..rows).flat_map(|row| [number("a", 0, row), number("b", 1, row), number("c", 2, row)]).collect(),
        categorical: vec![
            single("user", 7),
            several("seen", 300),
            single("item", 300),
            several("tags", 5),
            single("place", 9),
            single("kind", 3),
        ],
        ..drawn
    }
}

/// Two engines of the same weights: by request, and row by row.
fn both(configuration: &Value, per_request: &[String], options: &EngineOptions) -> [Engine; 2] {
    let [split, flat] = [per_request, &[]].map(|names| graph_over(&layout(names), configuration));
    let weights = fixture::engine(&flat).weights();
    [split, flat].map(|graph| {
        let mut engine = Engine::new(&graph, options).unwrap();
        engine.load(&weights).unwrap();
        engine
    })
}

fn close(a: &[Vec<f32>], b: &[Vec<f32>]) -> bool {
    a.iter().flatten().zip(b.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-5)
}

/// What most have of a user: everything but the item's.
fn users() -> Vec<String> {
    names(&[true, true, true, false, false, true, false, true, true])
}

#[test]
fn five_steps_by_request_are_those_row_by_row() {
    // Plain descent: Adam would make a step of the rounding of a gradient that is nearly zero.
    let sgd = serde_json::from_value(serde_json::json!({ "kind": "sgd", "learning_rate": 0.05 })).unwrap();
    for clip_norm in [None, Some(0.3)] {
        for (kind, configuration) in configurations() {
            let [mut split, mut flat] = both(&configuration, &users(), &EngineOptions { clip_norm, ..options(sgd) });
            for step in 0..5 {
                let sizes: Vec<usize> = (0..60).map(|n| 1 + (n * 7 + step as usize) % 23).collect();
                let batch = batch(&split.graph().layout.clone(), &sizes, step);
                split.step(&batch, &[1.0, 2.0, 0.5], 1.0).unwrap();
                flat.step(&batch, &[1.0, 2.0, 0.5], 1.0).unwrap();
            }
            let distance = distance(&split.weights(), &flat.weights());
            assert!(distance > 0.0 && distance < 1e-6, "{kind}: {distance}");
        }
    }
}

#[test]
fn each_task_goes_back_by_request() {
    for (kind, configuration) in configurations() {
        let [mut split, mut flat] = both(&configuration, &users(), &options(adam()));
        let combine = |gram: &pleiad_model::objective::conflict::Gram| vec![0.5; gram.tasks()];
        let batch = batch(&split.graph().layout.clone(), &[200, 1, 300, 7, 90, 90], 3);
        let (_, _, a) = split.gradients_by_task(&batch, &[1.0, 2.0, 0.5], &combine).unwrap();
        let (_, _, b) = flat.gradients_by_task(&batch, &[1.0, 2.0, 0.5], &combine).unwrap();
        let distance = distance(&a, &b);
        assert!(distance < 2e-6, "{kind}: {distance}");
    }
}

#[test]
fn bf16_by_request_is_as_near_to_f32_as_row_by_row() {
    for (kind, configuration) in configurations() {
        let bf16 = EngineOptions { precision: Precision::Bf16, ..options(adam()) };
        let [_, mut exact] = both(&configuration, &users(), &options(adam()));
        let [mut split, mut flat] = both(&configuration, &users(), &bf16);
        let batch = batch(&split.graph().layout.clone(), &[40; 20], 3);
        let gradients = |engine: &mut Engine| engine.gradients(&batch, &[1.0, 2.0, 0.5]).unwrap().1;
        let exact = gradients(&mut exact);
        let (split, flat) = (distance(&exact, &gradients(&mut split)), distance(&exact, &gradients(&mut flat)));
        assert!(split > 1e-5 && split < 1.5 * flat, "{kind}: {split} by request, {flat} not");
    }
}

/// With everything the request's, one request has one prediction p, whatever is dropped of it. The mean loss of labels that are all
/// 1 is then -ln p, and of labels that are all 0 -ln(1 - p). Where rows differ, `exp(-l_1) + exp(-l_0)` is below 1: a sum of geometric
/// means.
#[test]
fn fields_of_a_request_are_dropped_for_all_of_its_rows() {
    let (_, configuration) = &configurations()[4];
    let [split, flat] = both(configuration, &names(&[true; 9]), &options(adam()));
    let layout = split.graph().layout.clone();
    let sum = |mut engine: Engine, rate: f32| {
        engine.drop_fields(rate).unwrap();
        let loss = |engine: &mut Engine, label: f32| {
            let mut batch = batch(&layout, &[30], 3);
            batch.labels[0].values.fill(label);
            engine.gradients(&batch, &[1.0; 3]).unwrap().0.losses[0]
        };
        (-loss(&mut engine, 1.0)).exp() + (-loss(&mut engine, 0.0)).exp()
    };
    assert!((sum(split, 0.5) - 1.0).abs() < 1e-6);
    // Row by row each draws for itself.
    assert!(sum(flat, 0.5) < 1.0 - 1e-4);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_requests_predict_and_learn_what_their_rows_do(
        structure in 0..configurations().len(),
        of in proptest::array::uniform9(any::<bool>()),
        sizes in proptest::collection::vec(prop_oneof![1usize..4, 1usize..400], 1..12),
        seed in 1u64..1000,
    ) {
        let (kind, configuration) = &configurations()[structure];
        let [mut split, mut flat] = both(configuration, &names(&of), &options(adam()));
        let batch = batch(&split.graph().layout.clone(), &sizes, seed);
        let (a, b) = (split.predict(&batch).unwrap(), flat.predict(&batch).unwrap());
        prop_assert!(close(&a.tasks, &b.tasks), "{kind}");
        // The flat model, told what its requests have in common, computes what the model by request does, to the bit.
        let predictor = Predictor::new(flat.graph().clone(), &flat.weights()).unwrap();
        let of = names(&of);
        let told = predictor.predict_sharing(&batch, &of.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        prop_assert!(close(&told.tasks, &b.tasks), "{kind}");
        prop_assert_eq!(&told, &a, "{}", kind);
        let (stats, a) = split.gradients(&batch, &[1.0, 2.0, 0.5]).unwrap();
        let (other, b) = flat.gradients(&batch, &[1.0, 2.0, 0.5]).unwrap();
        prop_assert!(stats.losses.iter().zip(&other.losses).all(|(a, b)| (a - b).abs() < 1e-5), "{kind}");
        let apart = distance(&a, &b);
        prop_assert!(apart < 4e-6, "{kind}: {apart}");
        // Gates and experts are looked at row by row.
        let seen = |engine: &Engine| {
            let predictor = Predictor::new(engine.graph().clone(), &engine.weights()).unwrap();
            let mut statistics = GateStatistics::new(engine.graph());
            let predictions = predictor.observe_gates(&batch, &mut statistics).unwrap();
            (predictions, statistics)
        };
        let ((a, ours), (b, theirs)) = (seen(&split), seen(&flat));
        prop_assert!(close(&a.tasks, &b.tasks), "{kind}");
        for (ours, theirs) in ours.gates().into_iter().zip(theirs.gates()) {
            prop_assert_eq!(ours.rows, theirs.rows);
            let mut experts = ours.experts.iter().zip(&theirs.experts);
            prop_assert!(experts.all(|(a, b)| (a.mean - b.mean).abs() < 1e-5 && (a.sd - b.sd).abs() < 1e-5), "{kind}");
        }
    }
}
