//! Numbers: missing values and transforms, in f64 as the encoder computes them, and f32 at the end.
//!
//! Features that stand beside each other and have the same kinds of steps are computed as one matrix `[B, F]`, so that hundreds
//! of numbers are no thousands of operations.

use pleiad_data::encode::Step;

use crate::schema::{DataType, int, ints};
use crate::writer::{NetworkWriter, Value};

/// Features with the same kinds of steps.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// A column `[B, 1]` of each.
    columns: Vec<Value>,
    steps: Vec<Vec<Step>>,
    /// What stands for a missing value; NaN where none may be missing.
    fills: Vec<f64>,
}

impl Group {
    /// Pieces of one number: each a feature of its own that reads the same column.
    pub(super) fn pieces(column: &str, boundaries: &[f64], missing: Option<f64>) -> Self {
        let steps: Vec<Vec<Step>> = boundaries
            .windows(2)
            .map(|pair| vec![Step::Clip([pair[0], pair[1]]), Step::MinMax { min: pair[0], max: pair[1] }])
            .collect();
        let fills = vec![missing.unwrap_or(f64::NAN); steps.len()];
        Self { columns: vec![column.to_owned()], steps, fills }
    }

    /// Whether a feature's steps can be computed beside those that are there.
    pub(super) fn takes(&self, steps: &[Step], missing: Option<f64>) -> bool {
        let alike = |(a, b): (&Step, &Step)| std::mem::discriminant(a) == std::mem::discriminant(b);
        self.steps.first().is_none_or(|first| first.len() == steps.len() && first.iter().zip(steps).all(alike))
            && self.fills.first().is_none_or(|fill| fill.is_nan() == missing.is_none())
    }

    pub(super) fn push(&mut self, column: Value, steps: &[Step], missing: Option<f64>) {
        self.columns.push(column);
        self.steps.push(steps.to_vec());
        self.fills.push(missing.unwrap_or(f64::NAN));
    }

    /// The numbers `[B, F]`, f32; adds to `bad` which rows of the batch have one that cannot be used.
    pub(super) fn write(&self, w: &mut NetworkWriter, bad: &mut Vec<Value>) -> Option<Value> {
        let first = self.steps.first()?;
        let shape = vec![1, self.steps.len()];
        let mut x = w.concat("numbers/raw", &self.columns, 1);
        if self.fills.iter().any(|fill| !fill.is_nan()) {
            let fills = w.doubles(&self.fills, shape.clone());
            let missing = w.op("IsNaN", "numbers/missing", &[&x], vec![]);
            x = w.op("Where", "numbers/filled", &[&missing, &fills, &x], vec![]);
        }
        let mut is_fitted = false;
        for (at, step) in first.iter().enumerate() {
            let constants = |of: &dyn Fn(&Step) -> f64| -> Vec<f64> { self.steps.iter().map(|s| of(&s[at])).collect() };
            match step {
                Step::Log1p => {
                    if !is_fitted {
                        // A later one is always defined, the schema sees to it.
                        let edge = w.double(-1.0);
                        let outside = w.op("LessOrEqual", "numbers/outside", &[&x, &edge], vec![]);
                        bad.push(any(w, &outside));
                    }
                    x = w.log1p("numbers/log1p", &x, DataType::Double);
                }
                Step::Standardize { .. } => {
                    is_fitted = true;
                    let mean = constants(&|step| if let Step::Standardize { mean, .. } = step { *mean } else { 0.0 });
                    // Divided by infinity, what has no deviation is 0.
                    let std = constants(&|step| match step {
                        Step::Standardize { std, .. } if *std > 0.0 => *std,
                        _ => f64::INFINITY,
                    });
                    x = scaled(w, &x, mean, std, &shape);
                }
                Step::MinMax { .. } => {
                    is_fitted = true;
                    let min = constants(&|step| if let Step::MinMax { min, .. } = step { *min } else { 0.0 });
                    let range = constants(&|step| match step {
                        Step::MinMax { min, max } if max > min => max - min,
                        _ => f64::INFINITY,
                    });
                    x = scaled(w, &x, min, range, &shape);
                }
                Step::Clip(_) => {
                    let bound = |which: usize| {
                        constants(&|step| if let Step::Clip(bounds) = step { bounds[which] } else { 0.0 })
                    };
                    let (lo, hi) = (w.doubles(&bound(0), shape.clone()), w.doubles(&bound(1), shape.clone()));
                    let below = w.op("Min", "numbers/below", &[&x, &hi], vec![]);
                    x = w.op("Max", "numbers/clipped", &[&below, &lo], vec![]);
                }
            }
        }
        if is_fitted || first.iter().any(|step| matches!(step, Step::Log1p)) {
            bad.push(beyond_f32(w, &x));
        }
        Some(w.cast(&x, "numbers/encoded", DataType::Float))
    }
}

/// `(x - from) / by`.
fn scaled(w: &mut NetworkWriter, x: &str, from: Vec<f64>, by: Vec<f64>, shape: &[usize]) -> Value {
    let (from, by) = (w.doubles(&from, shape.to_vec()), w.doubles(&by, shape.to_vec()));
    let difference = w.op("Sub", "numbers/difference", &[x, &from], vec![]);
    w.op("Div", "numbers/scaled", &[&difference, &by], vec![])
}

/// Which rows of `x` `[B, F]` hold a number beyond f32, or NaN where `nan` does not allow it: `[B]`.
pub(super) fn beyond_f32(w: &mut NetworkWriter, x: &str) -> Value {
    let most = w.double(f64::from(f32::MAX));
    let sizes = w.op("Abs", "numbers/sizes", &[x], vec![]);
    let large = w.op("Greater", "numbers/large", &[&sizes, &most], vec![]);
    any(w, &large)
}

/// Which rows of `x` `[B, C]` hold NaN where none is allowed: `[B]`.
pub(super) fn missing(w: &mut NetworkWriter, x: &str, may_miss: &[bool]) -> Option<Value> {
    if may_miss.iter().all(|may_miss| *may_miss) {
        return None;
    }
    let mut missing = w.op("IsNaN", "numbers/missing", &[x], vec![]);
    if may_miss.contains(&true) {
        let must: Vec<bool> = may_miss.iter().map(|may_miss| !may_miss).collect();
        let must = w.bools(&must, vec![1, may_miss.len()]);
        missing = w.op("And", "numbers/needed", &[&missing, &must], vec![]);
    }
    Some(any(w, &missing))
}

/// Which rows of `x` `[B, F]`, true or false, hold true: `[B]`.
fn any(w: &mut NetworkWriter, x: &str) -> Value {
    let counted = w.cast(x, "numbers/counted", DataType::Int32);
    let attributes = vec![ints("axes", vec![1]), int("keepdims", 0)];
    let most = w.op("ReduceMax", "numbers/most", &[&counted], attributes);
    w.cast(&most, "numbers/any", DataType::Bool)
}
