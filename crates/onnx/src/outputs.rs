//! What a model gives: the prediction of each task and the score.

use pleiad_data::encode::Fitted;
use pleiad_data::schema::LabelTransform;
use pleiad_data::{Encoder, TaskKind};
use pleiad_model::Graph;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::inputs::Encoded;
use crate::schema::DataType;
use crate::writer::{BATCH, NetworkWriter, Value, named};

/// Name of the score's output.
pub(crate) const SCORE: &str = "score";

/// Equation 1, how predictions become one score: `prod_k p_k^w_k * f(x)^power`, with p_k the prediction of task k, times those of
/// the tasks that it is given under, and x a column of the row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The tasks that count.
    pub factors: Vec<TaskFactor>,
    /// Whether the score is the sum of `w_k p_k` instead of the product of `p_k^w_k`.
    pub sum: bool,
    /// The factor f(x)^power.
    pub transform: Option<Transform>,
}

/// The factor of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskFactor {
    /// The task.
    pub task: String,
    /// Tasks whose predictions its own is multiplied by, such as those along a funnel; none where p_k is the task's own.
    pub given: Vec<String>,
    /// The exponent w_k.
    pub power: f64,
    /// The least that p_k counts as.
    pub floor: Option<f64>,
    /// The most that p_k counts as.
    pub cap: Option<f64>,
}

/// The factor of a [`Score`] that depends on a column of the row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transform {
    /// The column x, which a feature reads as a number. A missing value is what the first such feature takes for it that takes
    /// something.
    pub column: String,
    /// f.
    pub function: Function,
    /// Exponent of f(x).
    pub power: f64,
}

/// f of equation 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// `ln(1 + x)`.
    Log1p,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// x itself.
    Identity,
}

/// Adds an output for each task, and gives what each predicts, `[B]`. Rows that cannot be used are predicted as NaN.
pub(crate) fn predictions(w: &mut NetworkWriter, graph: &Graph, nodes: &[Value], bad: Option<&str>) -> Vec<Value> {
    let nan = bad.map(|bad| (bad, w.float(f32::NAN)));
    let mut predictions = Vec::with_capacity(graph.outputs.len());
    for output in &graph.outputs {
        let task = output.task.as_str();
        let at = |part: &str| format!("{task}/{part}");
        let mut z = nodes[output.node.0].clone();
        // What lies between the logit of the sampled rows and that of all rows.
        let shift = output.loss().logit(0.0);
        if shift != 0.0 {
            let shift = w.float(shift);
            z = w.op("Add", &at("logit"), &[&z, &shift], vec![]);
        }
        if output.kind == TaskKind::Binary {
            z = w.op("Sigmoid", &at("probability"), &[&z], vec![]);
        }
        if output.objective.transform == Some(LabelTransform::Log1p) {
            let one = w.float(1.0);
            let exp = w.op("Exp", &at("exp"), &[&z], vec![]);
            z = w.op("Sub", &at("value"), &[&exp, &one], vec![]);
        }
        let axes = w.int64s(&[1]);
        match &nan {
            None => w.op_named("Squeeze", task, &[&z, &axes], vec![]),
            Some((bad, nan)) => {
                let prediction = w.op("Squeeze", &at("prediction"), &[&z, &axes], vec![]);
                w.op_named("Where", task, &[bad, nan, &prediction], vec![]);
            }
        }
        let holds = match output.kind {
            TaskKind::Binary => format!("probability of \"{task}\""),
            TaskKind::Regression => format!("value of \"{task}\""),
        };
        w.output(task, DataType::Float, &[named(BATCH)], holds);
        predictions.push(task.to_owned());
    }
    predictions
}

/// Adds the output of the score, of numbers `of`: f64, as a product of many small probabilities leaves f32; f32 for runtimes that
/// have no other.
pub(crate) fn score(
    w: &mut NetworkWriter,
    name: &str,
    score: &Score,
    encoder: &Encoder,
    inputs: &Encoded,
    of: DataType,
) -> Result<()> {
    let at = |part: &str| format!("{name}/{part}");
    let power = |w: &mut NetworkWriter, x: Value, exponent: f64| {
        if exponent == 1.0 {
            return x;
        }
        let exponent = w.number(exponent, of);
        w.op("Pow", &at("factor"), &[&x, &exponent], vec![])
    };
    let product = |w: &mut NetworkWriter, hint: &str, factors: Vec<Value>| {
        factors.into_iter().reduce(|a, b| w.op("Mul", &at(hint), &[&a, &b], vec![]))
    };
    let mut factors = Vec::new();
    for TaskFactor { task, given, power: exponent, floor, cap } in &score.factors {
        let mut predictions = Vec::new();
        for task in [task].into_iter().chain(given) {
            if !encoder.tasks().iter().any(|known| known.name == *task) {
                return Err(Error::Score { what: "the task", name: task.clone() });
            }
            // An output of the graph is read like any other value.
            let is_wide = of == DataType::Double;
            predictions.push(if is_wide { w.cast(task, &at("prediction"), of) } else { task.clone() });
        }
        if let Some(prediction) = product(w, "joint", predictions) {
            let mut prediction = prediction;
            // Not `Max` and `Min`, which runtimes let swallow what is no number.
            for (bound, comparison, hint) in [(floor, "Less", "raised"), (cap, "Greater", "lowered")] {
                let Some(bound) = bound else { continue };
                let bound = w.number(*bound, of);
                let is_beyond = w.op(comparison, &at("is_beyond"), &[&prediction, &bound], vec![]);
                prediction = w.op("Where", &at(hint), &[&is_beyond, &bound, &prediction], vec![]);
            }
            if score.sum {
                let weight = w.number(*exponent, of);
                factors.push(w.op("Mul", &at("term"), &[&prediction, &weight], vec![]));
                continue;
            }
            factors.push(power(w, prediction, *exponent));
        }
    }
    if score.sum {
        factors = factors
            .into_iter()
            .reduce(|a, b| w.op("Add", &at("sum_of_tasks"), &[&a, &b], vec![]))
            .into_iter()
            .collect();
    }
    if let Some(Transform { column, function, power: exponent }) = &score.transform {
        let x = number(w, column, encoder, inputs, of)?;
        let f = match function {
            Function::Identity => x,
            Function::Sigmoid => {
                // `Sigmoid` of f64 is not everywhere.
                let one = w.number(1.0, of);
                let opposite = w.op("Neg", &at("opposite"), &[&x], vec![]);
                let exp = w.op("Exp", &at("exp"), &[&opposite], vec![]);
                let sum = w.op("Add", &at("sum"), &[&exp, &one], vec![]);
                w.op("Div", &at("sigmoid"), &[&one, &sum], vec![])
            }
            Function::Log1p => w.log1p(&at("log1p"), &x, of),
        };
        factors.push(power(w, f, *exponent));
    }
    let Some(product) = product(w, "product", factors) else {
        return Err(Error::Inconsistent { reason: "its [rank] names no task".to_owned() });
    };
    w.op_named("Identity", name, &[&product], vec![]);
    w.output(name, of, &[named(BATCH)], "score of the row by [rank]".to_owned());
    Ok(())
}

/// The number of a column, `[B]`, as it stands in the log, or what stands for a missing one.
fn number(w: &mut NetworkWriter, column: &str, encoder: &Encoder, inputs: &Encoded, of: DataType) -> Result<Value> {
    let features = encoder.schema().features.iter().zip(encoder.fitted());
    let mut of_column = features.filter(|(feature, _)| feature.column() == column).peekable();
    if of_column.peek().is_none() {
        return Err(Error::Score { what: "the column", name: column.to_owned() });
    }
    let fill = of_column.find_map(|(_, fitted)| match fitted {
        Fitted::Numeric { missing, .. } | Fitted::Pieces { missing, .. } => *missing,
        _ => None,
    });
    let x = match inputs.raw.iter().find(|(name, _)| name == column) {
        Some((_, value)) => value.clone(),
        None => {
            let holds = format!("column \"{column}\": number that the score depends on, as it stands in the log");
            w.input(&format!("{column}.raw"), of, &[named(BATCH)], holds, "")
        }
    };
    let Some(fill) = fill else { return Ok(x) };
    let fill = w.number(fill, of);
    let is_missing = w.op("IsNaN", &format!("{x}/is_missing"), &[&x], vec![]);
    Ok(w.op("Where", &format!("{x}/filled"), &[&is_missing, &fill, &x], vec![]))
}
