//! [`Executor`]: what an [`Engine`](crate::Engine) needs of whatever computes both passes over a batch, and [`Gradients`]:
//! where it leaves what it computed. The executor on the CPU is [`crate::pass::Pass`].
//!
//! Parameters, tables and their optimizers belong to the engine; so do sums over gradients, whose order is fixed here.

use std::fmt;

use pleiad_data::Batch;

use crate::exec::Targets;
use crate::kernels::fields::Fields;
use crate::parameters::Parameters;
use crate::plan::{ArrayRows, GradientArray, Plan};
use crate::requests::Requests;
use crate::sparse::{GradientOf, Table, Use};
use crate::storage::Storage;

/// Computes the gradients of a step. It compiles its plan for itself ([`crate::plan::Target`]).
pub(crate) trait Executor: fmt::Debug + Send + Sync {
    /// The plan, which says how parameters and gradients are laid out.
    fn plan(&self) -> &Plan;

    /// Multiplies what is looked up in tables ahead of a step by `scale` from now on.
    fn scale_folds(&mut self, scale: f32);

    /// Prepares products for these dense parameters, if that was not done for this revision of theirs.
    fn prepare_products(&mut self, dense: &[f32], revision: u64);

    /// Computes what is looked up in tables ahead of a step, if that was not done for this revision of the parameters: tables
    /// change with the dense ones.
    fn prepare_folds(&mut self, dense: &[f32], tables: &[Table], revision: u64);

    /// Prepares everything for these parameters, if that was not done since they changed last.
    fn prepare(&mut self, parameters: &Parameters) {
        let (dense, revision) = (&parameters.dense, parameters.dense.revision());
        self.prepare_products(dense, revision);
        self.prepare_folds(dense, &parameters.tables, revision);
    }

    /// One forward pass over the batch and one backward pass for each list of task weights, and `beside` on the first thread
    /// that has nothing left of that. Products and folds are prepared for these parameters.
    fn differentiate(
        &self,
        step: Differentiate<'_>,
        passes: &[&[f32]],
        gradients: &mut Gradients,
        beside: Box<dyn FnOnce() + Send + '_>,
    );
}

/// What a step reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Differentiate<'s> {
    pub(crate) parameters: &'s Parameters,
    pub(crate) batch: &'s Batch,
    pub(crate) targets: &'s Targets,
    /// Seed and step of dropout.
    pub(crate) seed: u64,
    pub(crate) step: u64,
    /// What whole fields are dropped by, if they are.
    pub(crate) fields: Option<&'s Fields>,
}

/// Where the gradients of a batch are, for each backward pass over it. The memory is kept from batch to batch.
#[derive(Debug)]
pub(crate) struct Gradients {
    /// Runs of shards with gradients of their own; the first `used` belong to the last batch.
    pub(crate) lanes: Vec<Lane>,
    pub(crate) used: usize,
    /// Per backward pass, the arrays of the plan ([`Plan::arrays`]).
    pub(crate) arrays: Vec<Vec<Storage<f32>>>,
    /// Requests of the batch.
    pub(crate) requests: Requests,
}

/// What one lane writes.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Per backward pass, the gradient of the dense parameters.
    pub(crate) dense: Vec<Storage<f32>>,
    /// See [`Targets::sums`].
    pub(crate) sums: Vec<f64>,
}

impl Gradients {
    /// Room for so many backward passes over a batch.
    pub(crate) fn new(plan: &Plan, passes: usize) -> Self {
        let array = |array: &GradientArray| match array.rows {
            // It grows with the batches.
            ArrayRows::Of(_) => Storage::zeros(0),
            ArrayRows::Table(rows) => Storage::zeros(rows * array.ld),
        };
        let arrays = || plan.arrays.iter().map(array).collect();
        Self {
            lanes: Vec::new(),
            used: 0,
            arrays: (0..passes).map(|_| arrays()).collect(),
            requests: Requests::default(),
        }
    }

    /// The parts whose sum, in this order, is the gradient of the dense parameters.
    pub(crate) fn parts(&self, pass: usize) -> Vec<&[f32]> {
        self.lanes[..self.used].iter().map(|lane| &*lane.dense[pass]).collect()
    }

    /// The sums of losses over the batch, `len` of them.
    pub(crate) fn sums(&self, len: usize) -> Vec<f64> {
        let mut sums = vec![0.0; len];
        for lane in &self.lanes[..self.used] {
            sums.iter_mut().zip(&lane.sums).for_each(|(sum, &part)| *sum += part);
        }
        sums
    }

    /// Where the batch looks up rows of table `t`, with the gradients of what it read.
    pub(crate) fn uses<'a>(&'a self, plan: &Plan, t: usize, pass: usize, batch: &'a Batch) -> Vec<Use<'a>> {
        plan.table_uses[t]
            .iter()
            .map(|u| {
                let of = match plan.arrays[u.array].rows {
                    ArrayRows::Table(_) => GradientOf::TableRows,
                    ArrayRows::Of(_) if u.space.list().is_some() => GradientOf::Values,
                    ArrayRows::Of(_) => GradientOf::BatchRows,
                };
                let ids = &self.requests.rows(batch, u.space).categorical[u.slot];
                let grad = &*self.arrays[pass][u.array];
                Use { ids, pooling: u.pooling, of, grad, ld: u.at.ld, col: u.at.col }
            })
            .collect()
    }
}
