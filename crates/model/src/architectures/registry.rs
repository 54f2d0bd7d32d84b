//! [`REGISTRY`]: the structures of this crate.

use std::fmt::Debug;

use pleiad_data::TaskSpec;
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use super::{
    Aitm, Architecture, AsymmetricSharing, Cgc, CrossStitch, CustomizedSharing, Esmm, HardSharing, MlMmoe, Mmoe, Ple,
    SingleTask, Sluice,
};
use crate::error::Result;
use crate::graph::GraphBuilder;

/// The structures of this crate, in the order in which they are listed to users; [`super::structures`] has those of others, too.
pub const REGISTRY: &[Structure] = &[
    Structure::of::<Ple>(),
    Structure::of::<Cgc>(),
    Structure::of::<Mmoe>(),
    Structure::of::<MlMmoe>(),
    Structure::of::<CrossStitch>(),
    Structure::of::<Sluice>(),
    Structure::of::<Esmm>(),
    Structure::of::<Aitm>(),
    Structure::of::<CustomizedSharing>(),
    Structure::of::<AsymmetricSharing>(),
    Structure::of::<HardSharing>(),
    Structure::of::<SingleTask>(),
];

/// A structure that a configuration can name: an entry of [`REGISTRY`], or one that [`super::register`] has added.
#[derive(Debug, Clone, Copy)]
pub struct Structure {
    /// The structure's name: `[model] kind = "..."`.
    pub kind: &'static str,
    pub(super) parse: fn(Value) -> serde_json::Result<Box<dyn AnyArchitecture>>,
    pub(super) schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Structure {
    pub(super) const fn of<A: Architecture>() -> Self {
        Self { kind: A::KIND, parse: |value| Ok(Box::new(serde_json::from_value::<A>(value)?)), schema: A::json_schema }
    }
}

/// [`Architecture`] behind a pointer.
pub(super) trait AnyArchitecture: Debug + Send + Sync {
    fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> Result<()>;
    fn scaled(&self, factor: f64) -> Box<dyn AnyArchitecture>;
    fn entire_space(&self) -> &[String];
    fn funnel(&self) -> &[String];
    fn completed(&self, tasks: &[TaskSpec]) -> Box<dyn AnyArchitecture>;
    fn keys(&self) -> serde_json::Result<Value>;
    fn boxed(&self) -> Box<dyn AnyArchitecture>;
}

impl<A: Architecture> AnyArchitecture for A {
    fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> Result<()> {
        Architecture::build(self, g, tasks)
    }

    fn scaled(&self, factor: f64) -> Box<dyn AnyArchitecture> {
        Box::new(Architecture::scaled(self, factor))
    }

    fn entire_space(&self) -> &[String] {
        Architecture::entire_space(self)
    }

    fn funnel(&self) -> &[String] {
        Architecture::funnel(self)
    }

    fn completed(&self, tasks: &[TaskSpec]) -> Box<dyn AnyArchitecture> {
        Box::new(Architecture::completed(self, tasks))
    }

    fn keys(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }

    fn boxed(&self) -> Box<dyn AnyArchitecture> {
        Box::new(self.clone())
    }
}
