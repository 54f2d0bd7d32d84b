//! Every structure of the registry, held to the same promises: predictions and gradients equal a slow f64 oracle and
//! its finite differences, every parameter learns, each task's own experts get no gradient of another task, one row is
//! a batch, a save and a load keep the bits. Threads and precision have a file of their own.

#![allow(clippy::unwrap_used)]

use crate::fixture::{adam, batch, configurations, engine, graph, layout, options, tasks};
use crate::reference;
use pleiad_data::{Batch, Ids, TaskKind, TaskSpec};
use pleiad_engine::{Engine, GateStatistics, Predictor};
use pleiad_model::architectures::REGISTRY;
use pleiad_model::init::Init;
use pleiad_model::{Graph, ModelConfig};
use serde_json::{Value, json};

#[test]
fn every_structure_is_tried() {
    for structure in REGISTRY {
        assert!(configurations().iter().any(|(kind, _)| *kind == structure.kind), "{} is not", structure.kind);
    }
}

#[test]
fn predictions_equal_the_oracle() {
    for (kind, configuration) in configurations() {
        let graph = graph(&configuration);
        let mut engine = engine(&graph);
        for rows in [1, 7, 300] {
            let batch = batch(rows, 3);
            let found = engine.predict(&batch).unwrap();
            let numbers = reference::numbers(&graph, &engine.weights(), &batch);
            for ((found, numbers), task) in found.tasks.iter().zip(&numbers).zip(tasks()) {
                for (&p, &z) in found.iter().zip(numbers) {
                    let exact = if task.kind == TaskKind::Binary { 1.0 / (1.0 + (-z).exp()) } else { z };
                    assert!(
                        (f64::from(p) - exact).abs() < 2e-6 * exact.abs().max(1.0),
                        "{kind}, {rows} rows: {p} {exact}"
                    );
                }
            }
        }
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let task_weights = [1.0, 0.5, 2.0];
    for (kind, configuration) in configurations() {
        let graph = graph(&configuration);
        let mut engine = engine(&graph);
        let batch = batch(40, 9);
        let weights = engine.weights();
        let (stats, gradients) = engine.gradients(&batch, &task_weights).unwrap();
        let (_, losses) = reference::loss(&graph, &weights, &batch, &task_weights);
        for (found, exact) in stats.losses.iter().zip(&losses) {
            assert!((found - exact).abs() < 1e-5, "{kind}: {found} {exact}");
        }
        for (name, tensor) in &gradients.tensors {
            let largest = tensor.data.iter().fold(0.0f32, |m, g| m.max(g.abs()));
            for at in (0..tensor.data.len()).step_by(1 + tensor.data.len() / 12) {
                let exact = reference::derivative(&graph, &weights, &batch, &task_weights, name, at);
                let found = f64::from(tensor.data[at]);
                let error = (found - exact).abs();
                assert!(error < 2e-5 * f64::from(largest).max(1e-2), "{kind}: {name}[{at}] is {found}, not {exact}");
            }
        }
    }
}

#[test]
fn no_two_parameters_start_alike() {
    for (kind, configuration) in configurations() {
        let graph = graph(&configuration);
        let mut engine = Engine::new(&graph, &options(adam())).unwrap();
        engine.init(1);
        let weights = engine.weights();
        // Biases and the stitches of combinations start at constants on purpose.
        let constant =
            |name: &str| graph.params.iter().any(|p| p.name == name && !matches!(p.init, Init::Normal { .. }));
        let drawn: Vec<_> = weights.tensors.iter().filter(|(name, _)| !constant(name)).collect();
        for (i, (name, tensor)) in drawn.iter().enumerate() {
            assert!(
                tensor.data.windows(2).any(|w| w[0] != w[1]) || tensor.data.len() == 1,
                "{kind}: {name} is constant"
            );
            for (other, same) in &drawn[..i] {
                assert!(tensor.data[0] != same.data[0], "{kind}: {name} starts as {other} does");
            }
        }
    }
}

#[test]
fn nothing_is_computed_that_no_prediction_reads() {
    for (kind, configuration) in configurations() {
        let graph = graph(&configuration);
        let mut read = vec![false; graph.nodes.len()];
        graph.outputs.iter().for_each(|o| read[o.node.0] = true);
        for at in (0..graph.nodes.len()).rev() {
            assert!(read[at], "{kind}: nothing reads {}", graph.nodes[at].scope);
            graph.nodes[at].inputs.iter().for_each(|n| read[n.0] = true);
        }
    }
}

#[test]
fn every_parameter_learns() {
    for (kind, configuration) in configurations() {
        let graph = graph(&configuration);
        let mut engine = engine(&graph);
        let before = engine.weights();
        for step in 0..5 {
            engine.step(&batch(200, step), &[1.0, 1.0, 1.0], 1.0).unwrap();
        }
        for (name, tensor) in engine.weights().tensors {
            assert_ne!(before.tensors[&name], tensor, "{kind}: {name} never trains");
        }
    }
}

#[test]
fn a_step_lowers_the_loss_it_is_taken_on() {
    for (kind, configuration) in configurations() {
        let graph = graph(&configuration);
        let mut engine = engine(&graph);
        let batch = batch(300, 1);
        let first: f64 = engine.step(&batch, &[1.0; 3], 1.0).unwrap().losses.iter().sum();
        let mut last = first;
        for _ in 0..60 {
            last = engine.step(&batch, &[1.0; 3], 1.0).unwrap().losses.iter().sum();
        }
        assert!(last < 0.9 * first, "{kind}: {first} -> {last}");
    }
}

#[test]
fn experts_of_a_task_get_gradient_from_whom_the_maths_says() {
    let graph = graph(&configurations()[0].1);
    let mut engine = engine(&graph);
    let batch = batch(200, 2);
    for (k, task) in tasks().iter().enumerate() {
        let mut only = [0.0; 3];
        only[k] = 1.0;
        let (_, gradients) = engine.gradients(&batch, &only).unwrap();
        for (name, tensor) in &gradients.tensors {
            let reached = tensor.data.iter().any(|&g| g != 0.0);
            let own = |part: &str| name.starts_with(&format!("{part}.{}.", task.name));
            let expected = if name.starts_with("levels.2.shared") || name.starts_with("levels.1.shared") {
                true
            } else if name.starts_with("levels.2.") {
                own("levels.2")
            } else if name.starts_with("towers.") {
                own("towers")
            } else if name.starts_with("levels.") && name.contains(".gate.") {
                // A lower gate of another task is heard through the shared path, but not at the level below the top,
                // whose task mixtures feed only their own task's module.
                own("levels.0") || own("levels.1") || name.starts_with("levels.0")
            } else {
                true
            };
            assert_eq!(reached, expected, "{name} by task {}", task.name);
        }
    }
}

/// Which parameters get gradients of which task's loss, for structures in which not all do: by kind and task, the
/// beginnings of the names of all tensors that its loss alone reaches. Embeddings are reached by every task of these.
#[test]
fn losses_reach_what_their_task_reads_and_nothing_else() {
    let reach = |kind: &str, task: &str| -> Vec<&'static str> {
        match (kind, task) {
            ("customized-sharing", "click") => vec!["bottom.", "bottoms.click.", "towers.click."],
            ("customized-sharing", "share") => vec!["bottom.", "bottoms.share.", "towers.share."],
            ("customized-sharing", _) => vec!["bottom.", "bottoms.time.", "towers.time."],
            ("asymmetric-sharing", "click") => vec!["bottoms.click.", "towers.click."],
            ("asymmetric-sharing", "share") => vec!["bottoms.click.", "bottoms.share.", "towers.share."],
            ("asymmetric-sharing", _) => vec!["bottoms.time.", "towers.time."],
            // The second event's product holds the first's probability.
            ("esmm", "click") => vec!["towers.click."],
            ("esmm", "share") => vec!["towers.click.", "towers.share."],
            ("esmm", _) => vec!["towers.time."],
            ("aitm", "click") => vec!["bottoms.click.", "towers.click."],
            ("aitm", "share") => {
                vec!["bottoms.click.", "bottoms.share.", "transfers.share.", "attention.share.", "towers.share."]
            }
            ("aitm", _) => vec!["bottoms.time.", "towers.time."],
            _ => Vec::new(),
        }
    };
    let mut tried: Vec<&str> = Vec::new();
    for (kind, configuration) in configurations() {
        // The first configuration of each; another of the same kind is told otherwise.
        if reach(kind, "click").is_empty() || tried.contains(&kind) {
            continue;
        }
        tried.push(kind);
        let mut engine = engine(&graph(&configuration));
        for (k, task) in tasks().iter().enumerate() {
            let mut only = [0.0; 3];
            only[k] = 1.0;
            let (_, gradients) = engine.gradients(&batch(200, 2), &only).unwrap();
            for (name, tensor) in &gradients.tensors {
                let reached = tensor.data.iter().any(|&g| g != 0.0);
                let expected = name.starts_with("embeddings.")
                    || reach(kind, &task.name).iter().any(|beginning| name.starts_with(beginning));
                assert_eq!(reached, expected, "{kind}: {name} by task {}", task.name);
            }
        }
    }
    assert_eq!(tried.len(), 4);
}

#[test]
fn rows_outside_of_a_sample_space_leave_no_trace() {
    for (kind, configuration) in configurations() {
        let graph = graph(&configuration);
        let mut engine = engine(&graph);
        // Four rows: share and time have none.
        let batch = batch(4, 6);
        let (stats, gradients) = engine.gradients(&batch, &[1.0; 3]).unwrap();
        assert_eq!(stats.rows, [4, 0, 0], "{kind}");
        assert_eq!(stats.losses[1..], [0.0, 0.0], "{kind}");
        for (name, tensor) in &gradients.tensors {
            assert!(tensor.data.iter().all(|g| g.is_finite()), "{kind}: {name}");
            if name.starts_with("towers.share") || name.starts_with("towers.time") {
                assert!(tensor.data.iter().all(|&g| g == 0.0), "{kind}: {name}");
            }
        }
        let mut absurd = batch.clone();
        absurd.labels[1].values.fill(f32::NAN);
        let (_, again) = engine.gradients(&absurd, &[1.0; 3]).unwrap();
        assert_eq!(gradients, again, "{kind}: the label of a row that is not present was looked at");
    }
}

#[test]
fn a_batch_of_one_row_and_of_none() {
    for (kind, configuration) in configurations() {
        let graph = graph(&configuration);
        let mut engine = engine(&graph);
        let stats = engine.step(&batch(1, 4), &[1.0; 3], 1.0).unwrap();
        assert_eq!(stats.rows[0], 1, "{kind}");
        let stats = engine.step(&batch(0, 4), &[1.0; 3], 1.0).unwrap();
        assert_eq!((stats.rows, stats.losses), (vec![0; 3], vec![0.0; 3]), "{kind}");
        assert!(engine.predict(&batch(0, 4)).unwrap().tasks.iter().all(Vec::is_empty));
        assert!(engine.weights().tensors.values().flat_map(|t| &t.data).all(|v| v.is_finite()), "{kind}");
    }
}

#[test]
fn rows_do_not_depend_on_their_company() {
    let graph = graph(&configurations()[0].1);
    let mut engine = engine(&graph);
    let whole = batch(700, 8);
    let together = engine.predict(&whole).unwrap();
    let mut alone = whole.clone();
    for i in [0, 1, 255, 256, 699] {
        alone.gather_from(&whole, &[i]);
        for (task, one) in together.tasks.iter().zip(&engine.predict(&alone).unwrap().tasks) {
            assert!((task[i] - one[0]).abs() < 1e-6, "row {i}: {} {}", task[i], one[0]);
        }
    }
}

#[test]
fn a_save_and_a_load_keep_the_bits() {
    for (kind, configuration) in configurations() {
        let graph = graph(&configuration);
        let mut first = engine(&graph);
        first.step(&batch(300, 0), &[1.0; 3], 1.0).unwrap();
        let json = serde_json::to_string(&graph).unwrap();
        let graph: Graph = serde_json::from_str(&json).unwrap();
        let mut second = Engine::new(&graph, &options(adam())).unwrap();
        second.load(&first.weights()).unwrap();
        second.load_state(&first.state()).unwrap();
        second.set_step_count(first.step_count());
        let predictor = Predictor::new(graph, &first.weights()).unwrap();
        let rows = batch(300, 1);
        assert_eq!(first.predict(&rows).unwrap(), predictor.predict(&rows).unwrap(), "{kind}");
        first.step(&rows, &[1.0; 3], 1.0).unwrap();
        second.step(&rows, &[1.0; 3], 1.0).unwrap();
        assert_eq!(first.weights(), second.weights(), "{kind}");
    }
}

/// Small and large batches, of threads of the pool and of others, all at the same time.
#[test]
fn many_threads_that_ask_one_predictor_get_the_bits_of_one() {
    for (kind, configuration) in configurations() {
        let graph = graph(&configuration);
        let predictor = Predictor::new(graph.clone(), &engine(&graph).weights()).unwrap();
        let asked: Vec<Batch> = [1, 40, 256, 700].into_iter().zip(20..).map(|(rows, seed)| batch(rows, seed)).collect();
        let alone: Vec<_> = asked.iter().map(|rows| predictor.predict(rows).unwrap()).collect();
        let ask = &|thread: usize| {
            for at in (0..3 * asked.len()).map(|at| (at + thread) % asked.len()) {
                let mut gates = GateStatistics::new(predictor.graph());
                assert_eq!(predictor.predict(&asked[at]).unwrap(), alone[at], "{kind}");
                assert_eq!(predictor.observe_gates(&asked[at], &mut gates).unwrap(), alone[at], "{kind}");
            }
        };
        std::thread::scope(|scope| {
            for thread in 0..8 {
                scope.spawn(move || ask(thread));
            }
            rayon::scope(|scope| (0..8).for_each(|thread| scope.spawn(move |_| ask(thread))));
        });
    }
}

#[test]
fn dropout_drops_in_training_alone() {
    let mut configuration = configurations()[3].1.clone();
    let plain = graph(&configuration);
    configuration["dropout"] = json!(0.5);
    let dropping = graph(&configuration);
    let weights = engine(&plain).weights();
    let rows = batch(300, 5);
    let mut with = Engine::new(&dropping, &options(adam())).unwrap();
    let mut without = Engine::new(&plain, &options(adam())).unwrap();
    with.load(&weights).unwrap();
    without.load(&weights).unwrap();
    assert_eq!(with.predict(&rows).unwrap(), without.predict(&rows).unwrap());
    let losses = |engine: &mut Engine| engine.gradients(&rows, &[1.0; 3]).unwrap().0.losses;
    assert_ne!(losses(&mut with), losses(&mut without));
}

#[test]
fn adding_a_task_leaves_the_start_of_the_others() {
    for (kind, configuration) in configurations().into_iter().skip(2) {
        let Value::Object(table) = configuration else { panic!("a table") };
        let model = ModelConfig::from_table(table).unwrap();
        let start = |tasks: &[TaskSpec]| {
            let graph = model.build(&layout(), tasks).unwrap();
            let mut engine = Engine::new(&graph, &options(adam())).unwrap();
            engine.init(1);
            engine.weights()
        };
        let (two, three) = (start(&tasks()[..2]), start(&tasks()));
        for (name, tensor) in &two.tensors {
            // A stitch has a weight for every task.
            let per_task = name.starts_with("stitches.");
            assert!(per_task || Some(tensor) == three.get(name), "{kind}: {name}");
        }
    }
}

#[test]
fn tensors_that_do_not_fit_are_refused() {
    let graph = graph(&configurations()[0].1);
    let mut engine = engine(&graph);
    let good = engine.weights();
    let mut missing = good.clone();
    let tensor = missing.tensors.remove("towers.click.0.weight").unwrap();
    missing.tensors.insert("tower.click.0.weight".into(), tensor.clone());
    let error = engine.load(&missing).unwrap_err().to_string();
    assert!(error.contains("towers.click.0.weight") && error.contains("tower.click.0.weight"), "{error}");
    let mut extra = good.clone();
    extra.tensors.insert("towers.click.9.weight".into(), tensor);
    assert!(engine.load(&extra).unwrap_err().to_string().contains("towers.click.9.weight"));
    let mut turned = good.clone();
    turned.tensors.get_mut("levels.0.click.experts.0.0.weight").unwrap().shape.reverse();
    let error = engine.load(&turned).unwrap_err().to_string();
    assert!(error.contains("levels.0.click.experts.0.0.weight") && error.contains("shape"), "{error}");
    assert_eq!(engine.weights(), good);
}

#[test]
fn batches_that_do_not_fit_are_refused() {
    let graph = graph(&configurations()[0].1);
    let mut engine = engine(&graph);
    type Damage = fn(&mut Batch);
    let damages: [(&str, Damage); 7] = [
        ("an id beyond its table", |b| b.categorical[0] = Ids::Single(vec![7; b.rows])),
        ("an id of 64 bits", |b| b.categorical[0] = Ids::Single(vec![u64::MAX; b.rows])),
        ("a column too few", |b| b.categorical.truncate(3)),
        ("a single-valued column for a pooled one", |b| b.categorical[1] = Ids::Single(vec![0; b.rows])),
        ("numbers of another width", |b| b.numeric.truncate(1)),
        ("labels of one task", |b| b.labels.truncate(1)),
        ("offsets that leave the column", |b| {
            b.categorical[1] = Ids::Multiple { offsets: vec![9; b.rows + 1], rows: vec![0] };
        }),
    ];
    let before = engine.weights();
    for (name, damage) in damages {
        let mut batch = batch(10, 1);
        damage(&mut batch);
        assert!(engine.step(&batch, &[1.0; 3], 1.0).is_err(), "{name} was taken");
    }
    assert!(engine.step(&batch(10, 1), &[1.0; 2], 1.0).is_err(), "a weight too few was taken");
    assert_eq!(engine.weights(), before);
}

#[test]
fn gate_statistics_are_means_of_the_softmax() {
    let graph = graph(&configurations()[0].1);
    let weights = engine(&graph).weights();
    let predictor = Predictor::new(graph.clone(), &weights).unwrap();
    let mut statistics = pleiad_engine::GateStatistics::new(&graph);
    predictor.observe_gates(&batch(300, 3), &mut statistics).unwrap();
    predictor.observe_gates(&batch(20, 4), &mut statistics).unwrap();
    let gates = statistics.gates();
    // Three task gates per level, and a shared one below the top.
    assert_eq!(gates.len(), 3 * 3 + 2);
    for gate in gates {
        assert_eq!(gate.rows, 320);
        let sum: f64 = gate.experts.iter().map(|expert| expert.mean).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{}: {sum}", gate.scope);
        assert!(gate.experts.iter().all(|expert| expert.sd > 0.0), "{} does not depend on the row", gate.scope);
        assert!(
            gate.experts.iter().all(|e| 0.0 < e.lowest && e.lowest < e.mean && e.mean < e.highest && e.highest < 1.0)
        );
    }
}

/// A sample space may have no row among those that are looked at. Whatever products a processor has: gates are always looked at
/// without a spread over threads.
#[test]
fn no_rows_have_no_predictions_and_no_gates() {
    for (kind, configuration) in configurations() {
        let graph = graph(&configuration);
        let predictor = Predictor::new(graph.clone(), &engine(&graph).weights()).unwrap();
        let empty = Batch::empty(&graph.layout, 3);
        let mut statistics = GateStatistics::new(&graph);
        let names: Vec<&str> = graph.layout.inputs.iter().map(pleiad_data::Input::name).take(2).collect();
        for found in [
            predictor.predict(&empty).unwrap(),
            predictor.predict_sharing(&empty, &names).unwrap(),
            predictor.observe_gates(&empty, &mut statistics).unwrap(),
        ] {
            assert_eq!(found.tasks, [const { Vec::<f32>::new() }; 3], "{kind}");
        }
        assert!(statistics.gates().iter().all(|gate| gate.rows == 0), "{kind}");
        predictor.gate_weights(&empty).unwrap();
    }
}
