//! The plan's linear layers, with weights prepared for the products of every shard.

use std::ops::Range;

use pleiad_model::graph::Activation;
use rayon::prelude::*;

use super::folds;
use crate::kernels::linear::{Arithmetic, Layer};
use crate::kernels::product::Matrix;
use crate::plan::{Block, Plan, Step, Write};
use crate::sparse::Table;

/// Per step of a plan, its weights as products want them; nothing for steps that are no products.
///
/// A layer that is applied again is prepared again: its input may want a gradient of other columns then.
#[derive(Debug)]
pub(crate) struct Layers {
    steps: Vec<Option<Prepared>>,
    folds: Vec<folds::Prepared>,
    /// Revision of the parameters that they were prepared for: layers, and those that are folds.
    revision: [Option<u64>; 2],
}

#[derive(Debug)]
struct Prepared {
    layer: Layer,
    /// Columns of the input that want a gradient.
    wanted: Option<Range<usize>>,
}

impl Layers {
    /// Layers of a plan, not prepared yet.
    pub(crate) fn new(plan: &Plan, arithmetic: Arithmetic) -> Self {
        let mut steps: Vec<Option<Prepared>> = plan
            .steps
            .iter()
            .map(|step| {
                let Step::Product { weight, segments, .. } = step else { return None };
                let rectified = segments.iter().filter(|s| s.activation == Activation::Relu).map(|s| s.cols.clone());
                Some(Prepared { layer: Layer::new(arithmetic, weight.rows, rectified), wanted: None })
            })
            .collect();
        for back in &plan.backward {
            let (Step::Product { x, .. }, Some(prepared)) = (&plan.steps[back.step], &mut steps[back.step]) else {
                continue;
            };
            let (part, write) = back.writes[0];
            if write != Write::Skip {
                let skipped = part.at.col - x.at.col;
                prepared.wanted = Some(skipped..skipped + part.at.width);
            }
        }
        let folds = plan.folds.iter().map(|fold| folds::Prepared::new(fold, arithmetic)).collect();
        Self { steps, folds, revision: [None; 2] }
    }

    /// Multiplies what is looked up in folds by `scale`.
    pub(crate) fn scale_folds(&mut self, scale: f32) {
        self.folds.iter_mut().for_each(|fold| fold.scale(scale));
        self.revision[1] = None;
    }

    /// Prepares every layer for the weights in `params`, if that was not done for this revision of theirs.
    pub(crate) fn prepare(&mut self, plan: &Plan, params: &[f32], revision: u64) {
        if self.revision[0].replace(revision) == Some(revision) {
            return;
        }
        plan.steps.par_iter().zip(&mut self.steps).for_each(|(step, prepared)| {
            if let (Step::Product { weight, bias, .. }, Some(prepared)) = (step, prepared) {
                prepared.layer.prepare(weights(params, *weight), &params[bias.range()], prepared.wanted.clone());
            }
        });
    }

    /// Prepares every fold for `params` and `tables`, if that was not done for this revision of theirs: tables change with
    /// the dense parameters.
    pub(crate) fn fold(&mut self, plan: &Plan, params: &[f32], tables: &[Table], revision: u64) {
        if self.revision[1].replace(revision) == Some(revision) {
            return;
        }
        for (fold, prepared) in plan.folds.iter().zip(&mut self.folds) {
            prepared.prepare(fold, params, tables);
        }
    }

    /// Folds, in the plan's order.
    pub(super) fn folds(&self) -> &[folds::Prepared] {
        &self.folds
    }

    /// What a fold's layer makes of every row of its tables, and the row stride.
    pub(super) fn products(&self, plan: &Plan, fold: usize) -> (&[f32], usize) {
        (&self.folds[fold].products, plan.folds[fold].ld)
    }

    /// The layer of a step that is a product.
    pub(super) fn of(&self, step: usize) -> &Layer {
        self.steps[step].as_ref().map_or(&Layer::Gemm(None), |prepared| &prepared.layer)
    }
}

/// A block of the dense parameters.
pub(super) fn weights(params: &[f32], block: Block) -> Matrix<&[f32]> {
    Matrix::new(&params[block.range()], block.rows, block.cols, block.ld)
}
