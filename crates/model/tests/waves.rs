//! Numbers embedded by waves in a graph that came from a file: errors are found, and names and costs are right.
#![allow(clippy::unwrap_used)]

use pleiad_data::{Input, InputLayout, TaskKind, TaskSpec};
use pleiad_model::graph::{GraphBuilder, Op, ParamId};
use pleiad_model::init::Init;
use pleiad_model::{Error, Graph};

fn graph(feature: &str) -> Graph {
    let name = feature.to_owned();
    let waves = Input::Periodic { name, column: 1, frequencies: 3, sigma: 0.5, dim: 4 };
    let mut graph = Graph::new(InputLayout::new(vec![Input::Numeric { name: "a".into(), column: 0 }, waves]));
    let mut g = GraphBuilder::new(&mut graph);
    let x = g.input("").unwrap();
    let y = g.affine(x, "out", 1, true, Init::Zeros).unwrap();
    g.output(&TaskSpec::new("t", TaskKind::Binary), y).unwrap();
    graph
}

fn waves(graph: &mut Graph) -> &mut Op {
    &mut graph.nodes.iter_mut().find(|node| node.op.name() == "periodic").unwrap().op
}

#[test]
fn what_does_not_fit_is_found() {
    graph("a.periodic").validate().unwrap();
    type Damage = fn(&mut Graph);
    let damages: [(&str, Damage); 6] = [
        ("a column beyond the layout", |g| {
            let Op::Periodic { column, .. } = waves(g) else { panic!() };
            *column = 2;
        }),
        ("frequencies that are nowhere", |g| {
            let Op::Periodic { frequencies, .. } = waves(g) else { panic!() };
            *frequencies = ParamId(99);
        }),
        ("frequencies that are a matrix", |g| g.params[0].shape = vec![1, 3]),
        ("more frequencies than weights", |g| g.params[0].shape = vec![4]),
        ("weights of another width", |g| g.params[1].shape = vec![5, 6]),
        ("a bias of another width", |g| g.params[2].shape = vec![5]),
    ];
    for (name, damage) in damages {
        let mut graph = graph("a.periodic");
        damage(&mut graph);
        assert!(matches!(graph.validate(), Err(Error::Graph { .. })), "{name} was not found");
    }
    let mut moved = graph("a.periodic");
    let Input::Periodic { column, .. } = &mut moved.layout.inputs[1] else { panic!() };
    *column = 0;
    assert!(matches!(moved.validate(), Err(Error::GraphPart { .. })));
}

#[test]
fn they_come_through_json_and_are_told_by_their_feature() {
    let graph = graph("a.periodic");
    let again: Graph = serde_json::from_str(&serde_json::to_string(&graph).unwrap()).unwrap();
    assert_eq!(again, graph);
    assert_eq!(graph.difference(&again), None);
    let mut other = again;
    let Input::Periodic { name, .. } = &mut other.layout.inputs[1] else { panic!() };
    *name = "b.periodic".into();
    assert_eq!(graph.difference(&other).as_deref(), Some("numbers.a.periodic"));
    // Three products and six functions, a layer of 4 x 6, its bias and activation; above it a layer of 1 x 5 and its bias.
    let summary = graph.summary();
    assert_eq!(summary.flops_per_row, (9 + 2 * 24 + 2 * 4) + (2 * 5 + 1));
    assert_eq!(summary.dense_parameters, 3 + 24 + 4 + 6);
    assert!(summary.modules.iter().any(|(name, count)| name == "numbers.a" && count.parameters == 31), "{summary:?}");
}
