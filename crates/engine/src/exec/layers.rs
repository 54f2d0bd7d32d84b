//! The plan's linear layers, with weights prepared for the products of every shard.

use rayon::prelude::*;

use super::folds;
use crate::kernels::MatRef;
use crate::kernels::arithmetic::Arithmetic;
use crate::kernels::linear::Layer;
use crate::plan::{Plan, Step};
use crate::sparse::Table;

/// Per step of a plan, its weights as products want them; nothing for steps that are no products.
///
/// A layer that is applied again is prepared again: its input may want a gradient of other columns then.
#[derive(Debug)]
pub(crate) struct Layers {
    steps: Vec<Option<Layer>>,
    folds: Vec<folds::Prepared>,
    /// Revision of the parameters that they were prepared for: layers, and those that are folds.
    revision: [Option<u64>; 2],
}

impl Layers {
    /// Layers of a plan, not prepared yet.
    pub(crate) fn new(plan: &Plan, arithmetic: Arithmetic) -> Self {
        // Columns of the input that want a gradient.
        let mut wanted = vec![None; plan.steps.len()];
        for back in &plan.backward {
            let Step::Product { x, .. } = &plan.steps[back.step] else { continue };
            if let Some((part, _)) = back.contribution(0) {
                let skipped = part.at.col - x.at.col;
                wanted[back.step] = Some(skipped..skipped + part.at.width);
            }
        }
        let steps = plan.steps.iter().zip(wanted).map(|(step, wanted)| {
            let Step::Product { weight, segments, .. } = step else { return None };
            Some(Layer::new(arithmetic, weight.rows, segments.clone(), wanted))
        });
        let folds = plan.folds.iter().map(|fold| folds::Prepared::new(fold, arithmetic)).collect();
        Self { steps: steps.collect(), folds, revision: [None; 2] }
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
        plan.steps.par_iter().zip(&mut self.steps).for_each(|(step, layer)| {
            if let (Step::Product { weight, bias, .. }, Some(layer)) = (step, layer) {
                layer.prepare(weight.of(params), &params[bias.range()]);
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

    /// What a fold's layer makes of every row of its tables, and a row of zeros behind them.
    pub(super) fn products(&self, plan: &Plan, fold: usize) -> MatRef<'_> {
        let of = &plan.folds[fold];
        MatRef::new(&self.folds[fold].products, of.rows + 1, of.outputs, of.ld)
    }

    /// The layer of a step that is a product.
    pub(super) fn of(&self, step: usize) -> Option<&Layer> {
        self.steps[step].as_ref()
    }
}
