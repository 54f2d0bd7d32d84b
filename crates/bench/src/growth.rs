//! [`growth`] (W6): how the cost of a step grows with one size, while the others are fixed.
//!
//! Fixed sizes: B 512, 16 numbers, 8 fields that look up one table of 10,000 rows of width 16, two tasks; CGC with
//! 2 + 2 experts 64-32, for the number of experts MMoE, so that one number sets all experts.

use rayon::ThreadPoolBuilder;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::case::{Arithmetic, Case, Field, model, tasks};
use super::measure::{Effort, Spread, time};
use super::memory::Memory;
use pleiad_train::Interrupt;
use pleiad_train::{Error, Result};

/// A size that varies, and what steps cost with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GrowthSeries {
    /// The size: `batch`, `tasks`, `experts`, `vocabulary` or `threads`.
    pub size: &'static str,
    /// In ascending order.
    pub points: Vec<GrowthPoint>,
    /// Least-squares slope of log(ms) over log(size): 1 is linear growth, 0 none.
    pub exponent: f64,
}

/// What steps cost with one value of a size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GrowthPoint {
    /// The value.
    pub value: usize,
    /// Milliseconds of a step.
    pub ms_per_step: Spread,
    /// Microseconds of a row at the median.
    pub us_per_row: f64,
    /// Memory after the last step.
    pub memory: Memory,
}

/// The case of a value.
type CaseOf = fn(usize) -> Case;

/// Times every series; calls `tell` with each point before it is measured. `quick` measures three small values of each.
///
/// # Errors
/// [`Error::Interrupted`], and what building a case may give.
pub fn growth(
    arithmetic: Arithmetic,
    effort: Effort,
    quick: bool,
    interrupt: &Interrupt,
    tell: &mut dyn FnMut(&str, usize),
) -> Result<Vec<GrowthSeries>> {
    let most = rayon::current_num_threads();
    let mut threads: Vec<usize> = (0..).map(|power| 1 << power).take_while(|&threads| threads < most).collect();
    threads.push(most);
    let sizes: [(&'static str, Vec<usize>, CaseOf); 5] = [
        ("batch", vec![128, 256, 512, 1024, 2048, 4096, 8192], with_batch),
        ("tasks", vec![1, 2, 4, 8, 16], with_tasks),
        ("experts", vec![1, 2, 4, 8, 16, 32], with_experts),
        ("vocabulary", vec![1_000, 10_000, 100_000, 1_000_000, 10_000_000], with_vocabulary),
        ("threads", threads, |_| at_rest()),
    ];
    let mut all = Vec::with_capacity(sizes.len());
    for (size, mut values, case) in sizes {
        if quick {
            values.truncate(3);
        }
        let mut points = Vec::with_capacity(values.len());
        for value in values {
            tell(size, value);
            let threads = if size == "threads" { value } else { most };
            points.push(point(value, &case(value), arithmetic, threads, effort, interrupt)?);
        }
        let exponent = slope(points.iter().map(|p| ((p.value as f64).ln(), p.ms_per_step.median.ln())));
        all.push(GrowthSeries { size, points, exponent });
    }
    Ok(all)
}

fn point(
    value: usize,
    case: &Case,
    arithmetic: Arithmetic,
    threads: usize,
    effort: Effort,
    interrupt: &Interrupt,
) -> Result<GrowthPoint> {
    Memory::forget_peak();
    let start = |e| Error::Encode { reason: format!("cannot start {threads} threads: {e}") };
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().map_err(start)?;
    let graph = case.graph()?;
    let batches = case.batches(4)?;
    let mut engine = case.engine(&graph, arithmetic)?;
    let ms_per_step = pool.install(|| time(&mut engine, &batches, effort, interrupt))?;
    let us_per_row = ms_per_step.median * 1e3 / case.rows as f64;
    Ok(GrowthPoint { value, ms_per_step, us_per_row, memory: Memory::now() })
}

fn at_rest() -> Case {
    Case {
        name: "w6".to_owned(),
        rows: 512,
        numeric: 16,
        fields: vec![Field { table: "t".to_owned(), rows: 10_000, dim: 16, skew: 1.05 }; 8],
        requests: None,
        tasks: tasks(2),
        model: structure(json!({ "kind": "cgc", "task_experts": 2, "shared_experts": 2 })),
    }
}

/// A `[model]` with the widths of them all.
fn structure(keys: Value) -> Map<String, Value> {
    let mut table = model(keys);
    table.insert("widths".to_owned(), json!([64, 32]));
    table.insert("tower".to_owned(), json!([32]));
    table
}

fn with_batch(rows: usize) -> Case {
    Case { rows, ..at_rest() }
}

fn with_tasks(n: usize) -> Case {
    Case { tasks: tasks(n), ..at_rest() }
}

fn with_experts(n: usize) -> Case {
    Case { model: structure(json!({ "kind": "mmoe", "experts": n })), ..at_rest() }
}

fn with_vocabulary(rows: usize) -> Case {
    let mut case = at_rest();
    case.fields.iter_mut().for_each(|field| field.rows = rows as u64);
    case
}

/// Slope of the least-squares line; 0 where there is none.
fn slope(points: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let n = points.clone().count() as f64;
    let (x, y) = points.clone().fold((0.0, 0.0), |(sx, sy), (x, y)| (sx + x / n, sy + y / n));
    let (xy, xx) = points.fold((0.0, 0.0), |(xy, xx), (px, py)| (xy + (px - x) * (py - y), xx + (px - x).powi(2)));
    if xx > 0.0 { xy / xx } else { 0.0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_of_a_power_is_its_exponent() {
        let points = [1.0f64, 2.0, 5.0, 40.0].map(|n| (n.ln(), (3.0 * n.powf(0.7)).ln()));
        assert!((slope(points.into_iter()) - 0.7).abs() < 1e-12);
        assert_eq!(slope([(1.0, 2.0)].into_iter()), 0.0);
    }

    #[test]
    fn each_size_changes_what_it_names() {
        let graph = |case: Case| case.graph().unwrap();
        let tower = 32 * 32 + 32 + 32 + 1;
        let expert = 144 * 64 + 64 + 64 * 32 + 32;
        for n in [1, 16] {
            let summary = graph(with_tasks(n as usize)).summary();
            assert_eq!(summary.dense_parameters, (2 * n + 2) * expert + n * (144 * 4 + tower), "{n} tasks");
            let summary = graph(with_experts(n as usize)).summary();
            // A gate over one expert is there all the same.
            assert_eq!(summary.dense_parameters, n * expert + 2 * (144 * n + tower), "{n} experts");
        }
        let tables = graph(with_vocabulary(1_000)).tables;
        assert_eq!(tables.len(), 1, "the fields share one table");
        assert_eq!((tables[0].rows, tables[0].dim), (1_000, 16));
        assert_eq!(with_batch(77).batches(1).unwrap()[0].rows, 77);
    }
}
