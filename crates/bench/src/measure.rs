//! [`steps`]: milliseconds of one training step of a [`Case`]: forward, loss, backward, update.

use std::time::Instant;

use pleiad_data::Batch;
use pleiad_engine::{Engine, Precision, product_peak};
use serde::Serialize;

use super::case::{Arithmetic, Case, ProductFlops};
use super::memory::Memory;
use pleiad_train::Interrupt;
use pleiad_train::ParameterCount;
use pleiad_train::{Error, Result};

/// Batches that steps cycle through, so that no step finds the rows of the last one in cache.
const BATCHES: usize = 8;

/// How long to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Steps that are not counted.
    pub warm_up: usize,
    /// Repeats; the figure is their median.
    pub repeats: usize,
    /// Steps of a repeat, whose figure is their median.
    pub steps: usize,
}

impl Effort {
    /// Enough to see that it runs.
    pub const QUICK: Self = Self { warm_up: 2, repeats: 2, steps: 3 };

    /// Enough for a figure to quote: some seconds for a step of a few milliseconds.
    pub const FULL: Self = Self { warm_up: 20, repeats: 5, steps: 60 };

    /// As many steps in each repeat.
    #[must_use]
    pub fn with_steps(self, steps: usize) -> Self {
        Self { steps: steps.max(1), ..self }
    }
}

/// A figure over repeats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Median.
    pub median: f64,
    /// Lowest.
    pub lowest: f64,
    /// Highest.
    pub highest: f64,
}

impl Spread {
    /// Spread of at least one value; zeros without values.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |i: usize| sorted.get(i).copied().unwrap_or_default();
        Self { median: at(sorted.len() / 2), lowest: at(0), highest: at(sorted.len().saturating_sub(1)) }
    }
}

/// What a step of a case costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepFigures {
    /// The case's name.
    pub workload: String,
    /// Precision of the products.
    pub precision: Precision,
    /// What they are made of.
    pub kernels: &'static str,
    /// Rows of a batch.
    pub rows: usize,
    /// Parameters.
    pub parameters: ParameterCount,
    /// Threads computed with.
    pub threads: usize,
    /// Repeats.
    pub repeats: usize,
    /// Steps of each.
    pub steps: usize,
    /// Milliseconds of a step: the median of each repeat, and these over the repeats.
    pub ms_per_step: Spread,
    /// Of a case with requests, milliseconds in which all candidates of one are predicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms_per_request: Option<Spread>,
    /// Rows a second at the median.
    pub rows_per_second: f64,
    /// Floating-point operations of a step's matrix products over all of its time, in 1e9 a second. What the graph asks for
    /// is counted ([`ProductFlops`]); the engine may do with fewer, where it applies a layer to a small table and not to each
    /// row of the batch.
    pub product_gflops: f64,
    /// The most that matrix products reached on these threads right before and after, in 1e9 a second
    /// ([`product_peak`]).
    pub peak_gflops: f64,
    /// `product_gflops / peak_gflops`; above 1 if operations were saved.
    pub peak_share: f64,
    /// Memory after the last step, the model still there.
    pub memory: Memory,
}

/// Times the steps of a case on the current `rayon` pool.
///
/// # Errors
/// [`Error::Interrupted`], and what building the case may give.
pub fn steps(case: &Case, arithmetic: Arithmetic, effort: Effort, interrupt: &Interrupt) -> Result<StepFigures> {
    Memory::forget_peak();
    let graph = case.graph()?;
    let peak = || product_peak(arithmetic.precision, arithmetic.kernels);
    let before = peak();
    let batches = case.batches(BATCHES)?;
    let mut engine = case.engine(&graph, arithmetic)?;
    let ms_per_step = time(&mut engine, &batches, effort, interrupt)?;
    let ms_per_request = case
        .requests
        .map(|requests| {
            let requests: Vec<Batch> = batches.iter().map(|batch| batch.slice(0..requests.candidates)).collect();
            time_predictions(&mut engine, &requests, effort, interrupt)
        })
        .transpose()?;
    let memory = Memory::now();
    drop(engine);
    let peak_gflops = before.max(peak());
    let rows_per_second = case.rows as f64 / ms_per_step.median * 1e3;
    let product_gflops = 1e-9 * rows_per_second * ProductFlops::of(&graph).step as f64;
    Ok(StepFigures {
        workload: case.name.clone(),
        precision: arithmetic.precision,
        kernels: arithmetic.precision.kernels(arithmetic.kernels),
        rows: case.rows,
        parameters: ParameterCount::from(&graph.summary()),
        threads: rayon::current_num_threads(),
        repeats: effort.repeats,
        steps: effort.steps,
        ms_per_step,
        ms_per_request,
        rows_per_second,
        product_gflops,
        peak_gflops,
        peak_share: product_gflops / peak_gflops,
        memory,
    })
}

/// Milliseconds of a step.
pub(super) fn time(engine: &mut Engine, batches: &[Batch], effort: Effort, interrupt: &Interrupt) -> Result<Spread> {
    let weights = vec![1.0; batches.first().map_or(0, |batch| batch.labels.len())];
    time_each(batches, effort, interrupt, |batch| engine.step(batch, &weights, 1.0).map(drop))
}

/// Milliseconds in which a batch is predicted.
fn time_predictions(engine: &mut Engine, batches: &[Batch], effort: Effort, interrupt: &Interrupt) -> Result<Spread> {
    time_each(batches, effort, interrupt, |batch| engine.predict(batch).map(drop))
}

fn time_each(
    batches: &[Batch],
    effort: Effort,
    interrupt: &Interrupt,
    mut work: impl FnMut(&Batch) -> pleiad_engine::Result<()>,
) -> Result<Spread> {
    let mut next = batches.iter().cycle();
    let mut run = |steps: usize| -> Result<Vec<f64>> {
        let mut times = Vec::with_capacity(steps);
        for batch in next.by_ref().take(steps) {
            if let Some(signal) = interrupt.raised() {
                return Err(Error::Interrupted { signal, what: "the bench was stopped".to_owned() });
            }
            let start = Instant::now();
            work(batch)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(times)
    };
    run(effort.warm_up)?;
    let medians = (0..effort.repeats).map(|_| Ok(Spread::of(&run(effort.steps)?).median));
    Ok(Spread::of(&medians.collect::<Result<Vec<f64>>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Spread { median: 2.0, lowest: 1.0, highest: 3.0 });
        assert_eq!(Spread::of(&[4.0]), Spread { median: 4.0, lowest: 4.0, highest: 4.0 });
    }
}
