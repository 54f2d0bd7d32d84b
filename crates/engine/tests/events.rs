//! Event space: target attention over the list of a row or of a request. A model that computes what belongs to a request once
//! learns what the same model does row by row, and attention finds what a mean of the list has lost.

#![allow(clippy::unwrap_used)]

use crate::distance::distance;
use crate::fixture::{self, adam, options, tasks};
use pleiad_data::{Batch, Ids, Input, InputLayout, Pooling};
use pleiad_engine::sparse::{TableOptions, TablePrecision};
use pleiad_engine::{Engine, EngineOptions, GateStatistics, Kernels, Precision, Predictor};
use pleiad_model::Graph;
use pleiad_model::graph::{Activation, GateStyle, GraphBuilder};
use proptest::prelude::*;

const WEIGHTS: [f32; 3] = [1.0, 2.0, 0.5];

/// A number, a user, items seen with their kinds, a kind that is folded where a layer reads it, and an item.
fn layout(per_request: &[&str]) -> InputLayout {
    let categorical = |name: &str, slot, table: &str, rows, dim, pooling| Input::Categorical {
        name: name.into(),
        slot,
        table: table.into(),
        rows,
        dim,
        pooling,
    };
    let mean = Some(Pooling::Mean);
    let inputs = vec![
        Input::Numeric { name: "age".into(), column: 0 },
        categorical("user", 0, "user", 400, 5, None),
        categorical("seen", 1, "item", 300, 4, mean),
        categorical("kinds", 2, "kind", 9, 4, mean),
        categorical("kind", 3, "kind", 9, 4, None),
        categorical("item", 4, "item", 300, 4, None),
    ];
    let per_request = per_request.iter().map(|name| (*name).to_owned()).collect();
    InputLayout { per_request, ..InputLayout::new(inputs) }
}

/// What most have of a user.
const USERS: [&str; 4] = ["age", "user", "seen", "kinds"];

/// Attention over what was seen with scores of event, item and their product; what events of a user give for themselves; a gate
/// of experts by event.
fn graph(per_request: &[&str]) -> Graph {
    let mut graph = Graph::new(layout(per_request));
    let mut g = GraphBuilder::new(&mut graph);
    let x = g.input("").unwrap();
    let (item, kind) = (g.embedding("", "item").unwrap(), g.embedding("", "kind").unwrap());
    let [seen, kinds] = g.events("", &["seen", "kinds"]).unwrap()[..] else { panic!() };
    let product = g.pairs("product", &[seen, item]).unwrap();
    let pair = g.concat("pair", &[seen, kinds, item, kind, product]).unwrap();
    let hidden = g.linear(pair, "attention.0", 6, Activation::Tanh).unwrap();
    let score = g.linear(hidden, "attention.1", 1, Activation::Identity).unwrap();
    let attended = g.segment_softmax_sum("attended", score, seen).unwrap();
    let both = g.concat("both", &[seen, kinds]).unwrap();
    let own = g.linear(both, "own", 4, Activation::Relu).unwrap();
    let own = g.segment_mean("of_user", own).unwrap();
    let experts: Vec<_> = (0..2)
        .map(|e| {
            let mut g = g.scope(format!("experts.{e}"));
            let y = g.linear(pair, "0", 3, Activation::Silu).unwrap();
            g.expert(y)
        })
        .collect();
    let mixed = g.gate(pair, "gate", &experts, GateStyle::default()).unwrap();
    let mixed = g.segment_sum("mixed", mixed).unwrap();
    let all = g.concat("all", &[x, attended, own, mixed]).unwrap();
    for task in tasks() {
        let mut g = g.scope(&task.name);
        let hidden = g.linear(all, "0", 5, Activation::Elu).unwrap();
        let y = g.linear(hidden, "1", 1, Activation::Identity).unwrap();
        g.output(&task, y).unwrap();
    }
    graph.validate().unwrap();
    graph
}

/// Requests of `sizes` rows each with lists of up to `longest` values, in which the features of users are those of the first row.
fn batch(sizes: &[usize], longest: u64, seed: u64) -> Batch {
    let rows = sizes.iter().sum();
    let drawn = fixture::batch(rows, seed);
    let of_request: Vec<usize> = sizes.iter().enumerate().flat_map(|(at, &size)| vec![at; size]).collect();
    let own: Vec<usize> = (0..rows).collect();
    let mixed = |n: usize, salt: u64| ((n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((seed + 1) * salt)) >> 29;
    let single = |of: &[usize], below: u64| Ids::Single(of.iter().map(|&n| mixed(n, below) % below).collect());
    let several = |below: u64| {
        let (mut offsets, mut ids) = (vec![0], Vec::new());
        for &n in &of_request {
            ids.extend((0..mixed(n, 77) % (longest + 1)).map(|at| mixed(n, 5 * at + below) % below));
            offsets.push(ids.len());
        }
        Ids::Multiple { offsets, rows: ids }
    };
    let numeric = of_request.iter().map(|&n| (mixed(n, 3) % 1000) as f32 / 500.0 - 1.0).collect();
    let categorical = vec![single(&of_request, 400), several(300), several(9), single(&own, 9), single(&own, 300)];
    Batch { numeric, categorical, ..drawn }
}

/// Two engines of the same weights: by request, and row by row.
fn both(options: &EngineOptions) -> [Engine; 2] {
    let weights = fixture::engine(&graph(&[])).weights();
    [&USERS[..], &[]].map(|per_request| {
        let mut engine = Engine::new(&graph(per_request), options).unwrap();
        engine.load(&weights).unwrap();
        engine
    })
}

fn close(a: &[Vec<f32>], b: &[Vec<f32>]) -> bool {
    a.iter().flatten().zip(b.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-5)
}

fn in_pool<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

#[test]
fn threads_do_not_change_a_bit() {
    let train = |per_request: &[&str], precision: Precision, by_task: bool, threads: usize| {
        in_pool(threads, || {
            let options = EngineOptions { precision, clip_norm: Some(0.5), ..options(adam()) };
            let mut engine = Engine::new(&graph(per_request), &options).unwrap();
            engine.init(5);
            engine.drop_fields(0.2).unwrap();
            for step in 0..3 {
                let batch = batch(&[7; 200], 5, step);
                if by_task {
                    engine.step_by_task(&batch, &WEIGHTS, &|gram| vec![0.5; gram.tasks()], 1.0).unwrap();
                } else {
                    engine.step(&batch, &WEIGHTS, 1.0).unwrap();
                }
            }
            (engine.weights(), engine.state(), engine.predict(&batch(&[7; 200], 5, 99)).unwrap())
        })
    };
    for per_request in [&USERS[..], &[]] {
        for (precision, by_task) in [(Precision::F32, false), (Precision::F32, true), (Precision::Bf16, false)] {
            let one = train(per_request, precision, by_task, 1);
            assert!(one == train(per_request, precision, by_task, 3), "{per_request:?}, {}", precision.name());
        }
    }
}

/// However many threads share out the candidates of a request.
#[test]
fn a_row_is_predicted_alike_in_every_shard() {
    for per_request in [&USERS[..], &[]] {
        let mut engine = fixture::engine(&graph(per_request));
        for size in [17, 131, 400] {
            let batch = batch(&[size], 40, 4);
            let one = in_pool(1, || engine.predict(&batch).unwrap());
            assert_eq!(one, in_pool(3, || engine.predict(&batch).unwrap()), "{size} rows");
        }
    }
}

#[test]
fn five_steps_by_request_are_those_row_by_row() {
    let sgd = serde_json::from_value(serde_json::json!({ "kind": "sgd", "learning_rate": 0.05 })).unwrap();
    let [mut split, mut flat] = both(&options(sgd));
    for step in 0..5 {
        let sizes: Vec<usize> = (0..60).map(|n| 1 + (n * 7 + step as usize) % 23).collect();
        // Longer lists from step to step: memory for events grows.
        let batch = batch(&sizes, 3 + 4 * step, step);
        split.step(&batch, &WEIGHTS, 1.0).unwrap();
        flat.step(&batch, &WEIGHTS, 1.0).unwrap();
    }
    let distance = distance(&split.weights(), &flat.weights());
    assert!(distance > 0.0 && distance < 1e-6, "{distance}");
}

#[test]
fn tasks_go_back_alone_as_they_do_together() {
    for engine in &mut both(&options(adam())) {
        let batch = batch(&[200, 1, 300, 7, 90, 90], 6, 3);
        let (_, together) = engine.gradients(&batch, &WEIGHTS).unwrap();
        let (_, _, apart) = engine.gradients_by_task(&batch, &WEIGHTS, &|gram| vec![1.0; gram.tasks()]).unwrap();
        let distance = distance(&together, &apart);
        assert!(distance < 2e-6, "{distance}");
    }
}

#[test]
fn kernels_agree_up_to_rounding_and_halves_stay_near() {
    let rows = batch(&[5; 60], 6, 2);
    for at in 0..2 {
        let gradient = |precision, kernels| {
            let mut engine =
                both(&EngineOptions { precision, kernels, ..options(adam()) }).into_iter().nth(at).unwrap();
            engine.gradients(&rows, &WEIGHTS).unwrap().1
        };
        let exact = gradient(Precision::F32, Kernels::Plain);
        let tiles = distance(&exact, &gradient(Precision::F32, Kernels::Fastest));
        assert!(tiles < 1e-6, "{tiles}");
        for kernels in [Kernels::Plain, Kernels::Fastest] {
            let rounded = distance(&exact, &gradient(Precision::Bf16, kernels));
            assert!((1e-4..3e-2).contains(&rounded), "{rounded}");
        }
        // Tables of half the size round what they look up, and what steps leave there.
        let tables = TableOptions { precision: TablePrecision::Bf16, folder: None };
        let mut engine = both(&EngineOptions { tables, ..options(adam()) }).into_iter().nth(at).unwrap();
        let halves = distance(&exact, &engine.gradients(&rows, &WEIGHTS).unwrap().1);
        assert!((1e-4..3e-2).contains(&halves), "{halves}");
        let before = engine.weights();
        engine.step(&rows, &WEIGHTS, 1.0).unwrap();
        assert_ne!(before.get("embeddings.item.weight"), engine.weights().get("embeddings.item.weight"));
    }
}

/// With everything the request's, one request has one prediction p, whatever is dropped of it: see the test of the same name for
/// requests. Here a list is dropped, whose events live with the requests.
#[test]
fn events_of_a_request_are_dropped_for_all_of_its_rows() {
    let sum = |per_request: &[&str]| {
        let mut engine = fixture::engine(&graph(per_request));
        engine.drop_fields(0.5).unwrap();
        let mut loss = |label: f32| {
            let mut batch = batch(&[30], 6, 3);
            let same = |ids: &Ids| Ids::Single(vec![ids.table_rows()[0]; 30]);
            for slot in [3, 4] {
                batch.categorical[slot] = same(&batch.categorical[slot]);
            }
            batch.labels[0].values.fill(label);
            engine.gradients(&batch, &[1.0; 3]).unwrap().0.losses[0]
        };
        (-loss(1.0)).exp() + (-loss(0.0)).exp()
    };
    assert!((sum(&["age", "user", "seen", "kinds", "kind", "item"]) - 1.0).abs() < 1e-6);
    // Row by row each draws for itself.
    assert!(sum(&[]) < 1.0 - 1e-4);
}

#[test]
fn gates_of_events_are_looked_at_event_by_event() {
    let batch = batch(&[40, 3, 1, 300], 6, 8);
    let events = batch.categorical[1].table_rows().len() as u64;
    for per_request in [&USERS[..], &[]] {
        let graph = graph(per_request);
        let predictor = Predictor::new(graph.clone(), &fixture::engine(&graph).weights()).unwrap();
        let mut statistics = GateStatistics::new(&graph);
        let observed = predictor.observe_gates(&batch, &mut statistics).unwrap();
        assert!(close(&observed.tasks, &predictor.predict(&batch).unwrap().tasks));
        assert_eq!(statistics.gates()[0].rows, events);
        assert!(statistics.experts().iter().all(|expert| expert.rows == events && expert.spread > 0.0));
    }
}

/// A user likes an item if the list has one of the same kind: kinds are in the ids alone, and the mean of a long list says little
/// of any one. The list alone is read, once by a mean and once by attention.
#[test]
fn attention_finds_what_a_mean_has_lost() {
    let list = |name: &str, slot, pooling| Input::Categorical {
        name: name.into(),
        slot,
        table: "item".into(),
        rows: 200,
        dim: 8,
        pooling,
    };
    let layout = InputLayout::new(vec![list("seen", 0, Some(Pooling::Mean)), list("item", 1, None)]);
    let task = &tasks()[0];
    let graph = |attention: bool| {
        let mut graph = Graph::new(layout.clone());
        let mut g = GraphBuilder::new(&mut graph);
        let mut x = g.input("").unwrap();
        if attention {
            let item = g.embedding("", "item").unwrap();
            let [seen] = g.events("", &["seen"]).unwrap()[..] else { panic!() };
            let product = g.pairs("product", &[seen, item]).unwrap();
            let pair = g.concat("pair", &[seen, item, product]).unwrap();
            let hidden = g.linear(pair, "attention.0", 16, Activation::Relu).unwrap();
            let score = g.linear(hidden, "attention.1", 1, Activation::Identity).unwrap();
            let attended = g.segment_softmax_sum("attended", score, seen).unwrap();
            let alike = g.pairs("alike", &[attended, item]).unwrap();
            x = g.concat("x", &[x, attended, alike]).unwrap();
        }
        let hidden = g.linear(x, "bottom", 32, Activation::Relu).unwrap();
        let y = g.linear(hidden, "head", 1, Activation::Identity).unwrap();
        g.output(task, y).unwrap();
        graph
    };
    let rows = |seed: u64| {
        let mut state = seed * 2 + 1;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut batch = Batch { categorical: vec![Ids::empty(true), Ids::empty(false)], ..fixture::batch(512, seed) };
        batch.numeric.clear();
        batch.labels.truncate(1);
        let (mut offsets, mut seen, mut items) = (vec![0], Vec::new(), Vec::new());
        for row in 0..512 {
            let item = next(200);
            let list: Vec<u64> = (0..8 + next(8)).map(|_| next(200)).collect();
            // Ten of a kind.
            let liked = list.iter().any(|seen| seen % 20 == item % 20);
            batch.labels[0].values[row] = f32::from(u8::from(liked));
            seen.extend(list);
            offsets.push(seen.len());
            items.push(item);
        }
        batch.categorical = vec![Ids::Multiple { offsets, rows: seen }, Ids::Single(items)];
        batch
    };
    let loss = |attention: bool| {
        let mut engine = Engine::new(&graph(attention), &options(adam())).unwrap();
        engine.init(5);
        (0..300).for_each(|step| drop(engine.step(&rows(step), &[1.0], 1.0).unwrap()));
        engine.gradients(&rows(1000), &[1.0]).unwrap().0.losses[0]
    };
    let (mean, attention) = (loss(false), loss(true));
    assert!(mean > 0.6 && attention < 0.35, "{mean} by means, {attention} by attention");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_requests_predict_and_learn_what_their_rows_do(
        sizes in proptest::collection::vec(prop_oneof![1usize..4, 1usize..300], 1..10),
        longest in 0u64..12,
        seed in 1u64..1000,
    ) {
        let [mut split, mut flat] = both(&options(adam()));
        let batch = batch(&sizes, longest, seed);
        let (a, b) = (split.predict(&batch).unwrap(), flat.predict(&batch).unwrap());
        prop_assert!(close(&a.tasks, &b.tasks));
        let (stats, a) = split.gradients(&batch, &WEIGHTS).unwrap();
        let (other, b) = flat.gradients(&batch, &WEIGHTS).unwrap();
        prop_assert!(stats.losses.iter().zip(&other.losses).all(|(a, b)| (a - b).abs() < 1e-5));
        let apart = distance(&a, &b);
        prop_assert!(apart < 4e-6, "{}", apart);
    }
}
