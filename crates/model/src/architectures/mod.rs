//! The published structures, one file each, written as their papers draw them.
//!
//! A structure is a configuration struct that implements [`Architecture`] and one line in [`REGISTRY`]. Training,
//! gradients, summary, artifact and serving follow from the graph that it writes; nothing outside of this folder
//! knows a structure by name.

mod hard_sharing;
mod layers;
mod mmoe;
mod per_task;
mod ple;
mod registry;
mod single_task;

pub use hard_sharing::HardSharing;
pub use layers::{LayerStyle, Widths};
pub use mmoe::Mmoe;
pub use per_task::PerTask;
pub use ple::{Cgc, Level, Ple};
pub use registry::{ModelConfig, REGISTRY, Structure};
pub use single_task::SingleTask;

use pleiad_data::TaskSpec;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::graph::GraphBuilder;

/// A structure: the keys below `[model]` and the graph that they describe.
pub trait Architecture:
    Serialize + DeserializeOwned + JsonSchema + Clone + std::fmt::Debug + Send + Sync + 'static
{
    /// The structure's name: `[model] kind = "..."`.
    const KIND: &'static str;

    /// Writes the graph: from [`GraphBuilder::input`] to [`GraphBuilder::output`] of each task, in their order.
    ///
    /// # Errors
    /// [`crate::Error::Config`] with the key, or a shape error of the builder.
    fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> Result<()>;

    /// The same structure with every width of its experts and bottoms times `factor`, rounded, and 1 at least. Towers,
    /// counts and everything else stay: that is how structures are brought to one number of parameters.
    #[must_use]
    fn scaled(&self, factor: f64) -> Self;
}
