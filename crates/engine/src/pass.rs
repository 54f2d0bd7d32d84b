//! [`Pass`]: a plan as it is run over batches.

use pleiad_data::{Batch, RequestColumns};
use pleiad_model::Graph;

use crate::error::Result;
use crate::exec::{Layers, Shared, Workspaces};
use crate::kernels::arithmetic::Arithmetic;
use crate::plan::{Plan, Purpose, Target};
use crate::requests::Requests;
use crate::sparse::Table;

/// A plan, its layers, and a workspace for each thread. Whoever predicts, steps, or steps task by task has one.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) plan: Plan,
    pub(crate) layers: Layers,
    pub(crate) workspaces: Workspaces,
    /// What of a batch belongs to requests.
    pub(crate) of_requests: RequestColumns,
}

impl Pass {
    /// A pass through `graph`, whose products are computed by `arithmetic`.
    pub(crate) fn new(graph: &Graph, purpose: Purpose, arithmetic: Arithmetic) -> Result<Self> {
        let plan = Plan::compile(graph, purpose, Target::cpu())?;
        Ok(Self {
            layers: Layers::new(&plan, arithmetic),
            workspaces: Workspaces::default(),
            of_requests: RequestColumns::of(&graph.layout),
            plan,
        })
    }

    /// What shards of `batch` read, where nothing is dropped.
    pub(crate) fn shared<'s>(
        &'s self,
        (params, tables): (&'s [f32], &'s [Table]),
        batch: &'s Batch,
        requests: &'s Requests,
    ) -> Shared<'s> {
        Shared {
            plan: &self.plan,
            params,
            layers: &self.layers,
            tables,
            batch,
            requests,
            seed: 0,
            step: 0,
            fields: None,
        }
    }
}
