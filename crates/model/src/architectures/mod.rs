//! The published structures, one file each, written as their papers draw them.
//!
//! A structure is a configuration struct that implements [`Architecture`] and one line in [`REGISTRY`], or, in another
//! crate, a call of [`register`]. Training, gradients, summary, artifact and serving follow from the graph that it writes;
//! code outside of this folder does not depend on the names of structures.

mod added;
mod aitm;
mod asymmetric_sharing;
mod cross_stitch;
mod customized_sharing;
mod defaults;
mod esmm;
mod funnel;
mod hard_sharing;
mod layers;
mod ml_mmoe;
mod mmoe;
mod model_config;
mod per_task;
mod ple;
mod registry;
mod single_task;
mod sluice;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod testing;

pub use added::{register, structures};
pub use aitm::Aitm;
pub use asymmetric_sharing::{AsymmetricSharing, Fusion};
pub use cross_stitch::CrossStitch;
pub use customized_sharing::CustomizedSharing;
pub use esmm::Esmm;
pub use hard_sharing::HardSharing;
pub use layers::{LayerStyle, Widths, at_least_one_layer, scaled, stack};
pub use ml_mmoe::{MlMmoe, MmoeLevel};
pub use mmoe::Mmoe;
pub use model_config::ModelConfig;
pub use per_task::PerTask;
pub use ple::{Cgc, Level, Ple};
pub use registry::{REGISTRY, Structure};
pub use single_task::SingleTask;
pub use sluice::Sluice;

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
    /// counts and everything else stay (a structure of towers alone scales those): that is how structures are brought to
    /// one number of parameters.
    #[must_use]
    fn scaled(&self, factor: f64) -> Self;

    /// Names of the tasks that must be supervised on the entire space, because what is predicted of them is a
    /// probability over all rows: they must not have a sample space of their own.
    fn entire_space(&self) -> &[String] {
        &[]
    }

    /// Names of the tasks whose events can only follow one another, in that order; none where nothing is assumed of it.
    fn funnel(&self) -> &[String] {
        &[]
    }

    /// The same structure with what the tasks say where the configuration says nothing: a funnel of all binary tasks.
    #[must_use]
    fn completed(&self, _tasks: &[TaskSpec]) -> Self {
        self.clone()
    }
}
