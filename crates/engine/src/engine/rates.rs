//! Dense parameters with a learning rate of their own ([`pleiad_model::graph::Param::rate`]).

use std::ops::Range;

use pleiad_model::Graph;

use crate::optim::{MAX_SLOTS, OptimizerConfig, StepRule};
use crate::plan::ParamLayout;

/// Where they lie, and their factors.
#[derive(Debug)]
pub(super) struct Rates {
    /// The different factors, none of them 1.
    factors: Vec<f64>,
    /// Stretches of the array, in order, each with the position of its factor.
    runs: Vec<(Range<usize>, usize)>,
}

impl Rates {
    pub(super) fn of(graph: &Graph, layout: &ParamLayout) -> Self {
        let (mut factors, mut runs): (Vec<f64>, Vec<(Range<usize>, usize)>) = (Vec::new(), Vec::new());
        for (param, spec) in graph.params.iter().enumerate().filter(|(_, spec)| spec.rate != 1.0) {
            let at = factors.iter().position(|factor| *factor == spec.rate).unwrap_or_else(|| {
                factors.push(spec.rate);
                factors.len() - 1
            });
            runs.extend(layout.ranges(param).into_iter().map(|range| (range, at)));
        }
        runs.sort_by_key(|(range, _)| range.start);
        Self { factors, runs }
    }

    /// The rules of a step whose learning rate is multiplied by `schedule` for all parameters.
    pub(super) fn rules(&self, optimizer: &OptimizerConfig, step: u64, schedule: f64) -> Rules<'_> {
        let rule = |factor| StepRule::new(optimizer, step, schedule * factor);
        Rules { common: rule(1.0), own: self.factors.iter().map(|factor| rule(*factor)).collect(), runs: &self.runs }
    }
}

/// [`StepRule`] of each stretch of the dense parameters.
#[derive(Debug)]
pub(super) struct Rules<'r> {
    common: StepRule,
    own: Vec<StepRule>,
    runs: &'r [(Range<usize>, usize)],
}

impl Rules<'_> {
    /// [`StepRule::update`] of the parameters from element `at` of the array on.
    pub(super) fn update(
        &self,
        at: usize,
        weights: &mut [f32],
        gradient: &[f32],
        [first, second]: [&mut [f32]; MAX_SLOTS],
        scale: f32,
    ) {
        let end = at + weights.len();
        let from = self.runs.partition_point(|(run, _)| run.end <= at);
        let mut piece = |rule: &StepRule, range: Range<usize>| {
            let own = range.start - at..range.end - at;
            // What the optimizer does not keep has no elements.
            let [first, second] = [&mut *first, &mut *second].map(|s| s.get_mut(own.clone()).unwrap_or_default());
            rule.update(&mut weights[own.clone()], &gradient[own], [first, second], scale);
        };
        let mut done = at;
        for (run, factor) in self.runs[from..].iter().take_while(|(run, _)| run.start < end) {
            let run = run.start.max(at)..run.end.min(end);
            piece(&self.common, done..run.start);
            done = run.end;
            piece(&self.own[*factor], run);
        }
        piece(&self.common, done..end);
    }
}
