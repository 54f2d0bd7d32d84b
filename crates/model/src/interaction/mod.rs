//! [`Interaction`]: crosses of features, one kind per file, as a part of the input that every structure reads.

mod cross;
mod fm;

pub use cross::Cross;
pub use fm::Fm;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::graph::{GraphBuilder, Node};

/// `[interaction]`: what is made of the features' vectors before experts, bottoms, towers and gates read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Interaction {
    /// The vectors as they are; what a model of a comparison says that has no crosses where the others have.
    None {},
    /// Factorization-machine crosses of the embeddings, beside the vectors.
    Fm(Fm),
    /// A cross network (DCN v2), whose output takes the place of the vectors.
    Cross(Cross),
}

impl Interaction {
    /// The input representation made of the features' vectors `parts`; parameters are named
    /// `interaction.<owner>.<name>`, without the owner where it is empty.
    pub(crate) fn input(self, g: &mut GraphBuilder<'_>, owner: &str, parts: &[Node]) -> Result<Node> {
        let scope = if owner.is_empty() { "interaction".to_owned() } else { format!("interaction.{owner}") };
        match self {
            Self::None {} => g.concat("input", parts),
            Self::Fm(fm) => fm.input(g, &scope, parts),
            Self::Cross(cross) => cross.input(g, &scope, parts),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod testing {
    use pleiad_data::{Input, InputLayout, TaskKind, TaskSpec};

    use crate::ModelConfig;
    use crate::error::Result;
    use crate::graph::Graph;

    /// The graph of a model of two tasks, over two numbers and tables of these widths.
    pub(super) fn build(model: &str, dims: &[usize]) -> Result<Graph> {
        let mut inputs: Vec<Input> =
            (0..2).map(|column| Input::Numeric { name: format!("n{column}"), column }).collect();
        inputs.extend(dims.iter().enumerate().map(|(slot, &dim)| Input::Categorical {
            name: format!("c{slot}"),
            slot,
            table: format!("c{slot}"),
            rows: 9,
            dim,
            pooling: None,
        }));
        let tasks = ["a", "b"].map(|name| TaskSpec::new(name, TaskKind::Binary));
        let model: ModelConfig = toml::from_str(model).expect("a configuration that parses");
        model.build(&InputLayout::new(inputs), &tasks)
    }

    /// Names and shapes of all parameters of the interaction.
    pub(super) fn parameters(graph: &Graph) -> Vec<String> {
        let own = graph.params.iter().filter(|p| p.name.starts_with("interaction"));
        own.map(|p| format!("{} {:?}", p.name, p.shape)).collect()
    }
}
