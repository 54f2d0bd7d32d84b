//! Helpers for the tests of the structures.

use pleiad_data::{Input, InputLayout, TaskKind, TaskSpec};

use crate::ModelConfig;
use crate::error::Result;
use crate::graph::Graph;

/// Binary tasks of these names, but for one called `time`, which is a regression.
pub(super) fn tasks(names: &[&str]) -> Vec<TaskSpec> {
    let kind = |name| if name == "time" { TaskKind::Regression } else { TaskKind::Binary };
    names.iter().map(|&name| TaskSpec::new(name, kind(name))).collect()
}

/// The graph of a configuration over four numbers.
pub(super) fn build(text: &str, names: &[&str]) -> Result<Graph> {
    let inputs = (0..4).map(|column| Input::Numeric { name: format!("n{column}"), column }).collect();
    let config: ModelConfig = toml::from_str(text).expect("a configuration that parses");
    config.build(&InputLayout::new(inputs), &tasks(names))
}

/// The message with which a configuration is refused.
pub(super) fn refusal(text: &str, names: &[&str]) -> String {
    build(text, names).expect_err("a configuration that is refused").to_string()
}

/// Every parameter as `name [shape]`, in the order of their making.
pub(super) fn parameters(graph: &Graph) -> Vec<String> {
    graph.params.iter().map(|p| format!("{} {:?}", p.name, p.shape)).collect()
}

/// Asserts that a configuration, scaled, is another one.
pub(super) fn assert_scaled(text: &str, factor: f64, expected: &str) {
    let read = |text: &str| toml::from_str::<ModelConfig>(text).expect("a configuration that parses");
    assert_eq!(read(text).scaled(factor), read(expected));
}
