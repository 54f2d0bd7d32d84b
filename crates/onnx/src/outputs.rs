//! What a model gives: the prediction of each task and the score.

use pleiad_data::TaskKind;
use pleiad_data::schema::LabelTransform;
use pleiad_model::Graph;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::inputs::Encoded;
use crate::schema::DataType;
use crate::writer::{BATCH, Value, Writer, named};

/// Name of the score's output.
pub(crate) const SCORE: &str = "score";

/// Equation 1, how predictions become one score: `prod_k p_k^w_k * f(x)^power`, with p_k the prediction of task k and x a column of
/// the row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Tasks and their exponents w_k; a task that is not named does not count.
    pub exponents: Vec<(String, f64)>,
    /// The factor f(x)^power.
    pub factor: Option<Factor>,
}

/// The factor of a [`Score`] that depends on a column of the row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Factor {
    /// The column x, that of a numeric feature.
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
pub(crate) fn predictions(w: &mut Writer, graph: &Graph, nodes: &[Value], bad: Option<&str>) -> Vec<Value> {
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
    w: &mut Writer,
    name: &str,
    score: &Score,
    graph: &Graph,
    inputs: &Encoded,
    of: DataType,
) -> Result<()> {
    let at = |part: &str| format!("{name}/{part}");
    let number =
        |w: &mut Writer, value: f64| if of == DataType::Double { w.double(value) } else { w.float(value as f32) };
    let power = |w: &mut Writer, x: Value, exponent: f64| {
        if exponent == 1.0 {
            return x;
        }
        let exponent = number(w, exponent);
        w.op("Pow", &at("factor"), &[&x, &exponent], vec![])
    };
    let mut factors = Vec::new();
    for (task, exponent) in &score.exponents {
        if !graph.outputs.iter().any(|output| output.task == *task) {
            return Err(Error::Score { what: "the task", name: task.clone() });
        }
        let prediction =
            if of == DataType::Float { task.clone() } else { w.cast(task, &at("prediction"), DataType::Double) };
        factors.push(power(w, prediction, *exponent));
    }
    if let Some(Factor { column, function, power: exponent }) = &score.factor {
        let x = match inputs.raw.iter().find(|(name, _)| name == column) {
            Some((_, value)) => value.clone(),
            None => {
                let holds = format!("column \"{column}\": number that the score depends on, as it stands in the log");
                w.input(&format!("{column}.raw"), of, &[named(BATCH)], holds, "")
            }
        };
        let f = match function {
            Function::Identity => x,
            Function::Sigmoid => {
                // `Sigmoid` of f64 is not everywhere.
                let one = number(w, 1.0);
                let opposite = w.op("Neg", &at("opposite"), &[&x], vec![]);
                let exp = w.op("Exp", &at("exp"), &[&opposite], vec![]);
                let sum = w.op("Add", &at("sum"), &[&exp, &one], vec![]);
                w.op("Div", &at("sigmoid"), &[&one, &sum], vec![])
            }
            Function::Log1p => {
                let one = number(w, 1.0);
                let sum = w.op("Add", &at("sum"), &[&x, &one], vec![]);
                w.op("Log", &at("log1p"), &[&sum], vec![])
            }
        };
        factors.push(power(w, f, *exponent));
    }
    let Some(product) = factors.into_iter().reduce(|a, b| w.op("Mul", &at("product"), &[&a, &b], vec![])) else {
        return Err(Error::Inconsistent { reason: "its [rank] names no task".to_owned() });
    };
    w.op_named("Identity", name, &[&product], vec![]);
    w.output(name, of, &[named(BATCH)], "score of the row by [rank]".to_owned());
    Ok(())
}
