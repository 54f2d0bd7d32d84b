//! Why a loss may have ceased to be a number.

use pleiad_data::{Batch, Input, InputLayout, TaskKind, TaskSpec};

/// Magnitude beyond which a number that enters a network is suspicious: scaled ones rarely pass 10.
const LARGE: f32 = 100.0;

/// The likely cause, as the end of a message and with what to do about it.
/// `tasks` come with the weights that they have in the joint loss.
pub(super) fn likely_cause(
    batch: &Batch,
    layout: &InputLayout,
    tasks: &[(&TaskSpec, f64)],
    learning_rate: f64,
) -> String {
    let largest_input = layout
        .inputs
        .iter()
        .filter_map(|input| match input {
            Input::Numeric { name, column } => Some((name.as_str(), *column)),
            Input::Categorical { .. } => None,
        })
        .filter_map(|(name, column)| {
            let width = batch.numeric_width();
            let values = batch.numeric.iter().skip(column).step_by(width.max(1));
            largest(values.copied()).map(|value| (name, value))
        })
        .max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
    if let Some((name, value)) = largest_input.filter(|(_, value)| value.abs() > LARGE) {
        return format!(
            "feature {name:?} is as large as {} in this batch; give it transform = [\"standardize\"] (or \
             [\"log1p\", \"standardize\"] where it spans orders of magnitude)",
            short(value)
        );
    }
    let largest_label = tasks
        .iter()
        .zip(&batch.labels)
        .filter(|((task, _), _)| task.kind == TaskKind::Regression)
        .filter_map(|((task, _), labels)| largest(labels.values.iter().copied()).map(|value| (&task.name, value)))
        .max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
    if let Some((name, value)) = largest_label.filter(|(_, value)| value.abs() > LARGE) {
        return format!(
            "the label of task {name:?} is as large as {} in this batch; squared error grows with its square, so \
             scale the label to the order of 1",
            short(value)
        );
    }
    let heaviest = tasks.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((task, weight)) = heaviest.filter(|(_, weight)| *weight > f64::from(LARGE)) {
        return format!(
            "task {:?} has the weight {weight:e} in the joint loss; let the weights of the tasks be of the order of 1",
            task.name
        );
    }
    format!(
        "the learning rate {learning_rate:?} is probably too high; lower [train] optimizer.learning_rate or set clip_norm = 1.0"
    )
}

fn short(value: f32) -> String {
    if value.abs() < 1e7 { value.to_string() } else { format!("{value:.1e}") }
}

fn largest(values: impl Iterator<Item = f32>) -> Option<f32> {
    values.max_by(|a, b| a.abs().total_cmp(&b.abs()))
}

#[cfg(test)]
mod tests {
    use pleiad_data::Labels;

    use super::*;

    fn cause(numeric: [f32; 4], labels: [f32; 2], weight: f64) -> String {
        let layout = InputLayout {
            inputs: vec![
                Input::Numeric { name: "age".into(), column: 0 },
                Input::Numeric { name: "income".into(), column: 1 },
            ],
        };
        let labels = Labels { values: labels.to_vec(), present: vec![true, true] };
        let batch =
            Batch { rows: 2, numeric: numeric.to_vec(), categorical: vec![], labels: vec![labels], groups: Vec::new() };
        let task = TaskSpec { name: "price".into(), kind: TaskKind::Regression };
        likely_cause(&batch, &layout, &[(&task, weight)], 0.5)
    }

    #[test]
    fn the_largest_feature_is_named_first() {
        let text = cause([300.0, -5e4, 1.0, 2.0], [1e6, 0.0], 1.0);
        assert!(text.contains("\"income\"") && text.contains("-50000") && text.contains("standardize"), "{text}");
    }

    #[test]
    fn then_the_label() {
        let text = cause([1.0, 2.0, 3.0, 4.0], [1e6, 0.0], 1.0);
        assert!(text.contains("\"price\"") && text.contains("1000000"), "{text}");
    }

    #[test]
    fn then_the_weight() {
        let text = cause([1.0, 2.0, 3.0, 4.0], [1.0, 0.0], 1e38);
        assert!(text.contains("\"price\"") && text.contains("weight 1e38"), "{text}");
    }

    #[test]
    fn then_the_learning_rate() {
        let text = cause([1.0, 2.0, 3.0, 4.0], [1.0, 0.0], 1.0);
        assert!(text.contains("learning rate 0.5"), "{text}");
    }
}
