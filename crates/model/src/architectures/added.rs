//! [`register`]: structures of other crates as kinds of `[model]`.

use std::sync::{PoisonError, RwLock};

use super::Architecture;
use super::registry::{REGISTRY, Structure};
use crate::error::{Error, Result};

/// What [`register`] has added in this process.
static ADDED: RwLock<Vec<Structure>> = RwLock::new(Vec::new());

/// Makes `A` a kind of `[model]` in this process: configurations, comparisons, the schema and messages know it from then on.
/// A model of it that is saved opens without it, since an artifact holds the graph.
///
/// # Errors
/// [`Error::Config`] if another structure has the name.
pub fn register<A: Architecture>() -> Result<()> {
    let mut added = ADDED.write().unwrap_or_else(PoisonError::into_inner);
    if REGISTRY.iter().chain(added.iter()).any(|structure| structure.kind == A::KIND) {
        let message =
            format!("{:?} is the name of a structure that is registered already; give yours another", A::KIND);
        return Err(Error::Config { key: "kind".to_owned(), message });
    }
    added.push(Structure::of::<A>());
    Ok(())
}

/// Every structure that `[model] kind` can name: those of [`REGISTRY`], then what [`register`] has added.
#[must_use]
pub fn structures() -> Vec<Structure> {
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    REGISTRY.iter().chain(added.iter()).copied().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::TaskSpec;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::super::testing::build;
    use super::*;
    use crate::ModelConfig;
    use crate::graph::{Activation, GraphBuilder};

    /// One linear layer a task.
    #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Linear {}

    impl Architecture for Linear {
        const KIND: &'static str = "linear-of-a-test";

        fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> Result<()> {
            let x = g.input("")?;
            tasks.iter().try_for_each(|task| {
                let y = g.linear(x, &task.name, 1, Activation::Identity)?;
                g.output(task, y)
            })
        }

        fn scaled(&self, _factor: f64) -> Self {
            self.clone()
        }
    }

    /// One test, since what is registered stays so in the process.
    #[test]
    fn a_structure_of_another_crate_is_a_kind_once_it_is_registered() {
        let text = format!("kind = '{}'", Linear::KIND);
        let unknown = toml::from_str::<ModelConfig>(&text).unwrap_err().to_string();
        assert!(unknown.contains("unknown structure \"linear-of-a-test\""), "{unknown}");
        register::<Linear>().unwrap();
        let graph = build(&text, &["a", "b"]).unwrap();
        assert_eq!((graph.outputs.len(), graph.params.len()), (2, 4));
        assert_eq!(structures().len(), REGISTRY.len() + 1);
        let again = register::<Linear>().unwrap_err().to_string();
        assert!(again.contains("model.kind: \"linear-of-a-test\" is the name of a structure"), "{again}");
        let schema = serde_json::to_string(&schemars::schema_for!(ModelConfig)).unwrap();
        assert!(schema.contains(Linear::KIND));
        let near = toml::from_str::<ModelConfig>("kind = 'linear-of-a-tset'").unwrap_err().to_string();
        assert!(near.contains("did you mean \"linear-of-a-test\"?"), "{near}");
        let key = toml::from_str::<ModelConfig>(&format!("{text}\nwidth = 3")).unwrap_err().to_string();
        assert!(key.contains("unknown field `width`"), "{key}");
    }
}
