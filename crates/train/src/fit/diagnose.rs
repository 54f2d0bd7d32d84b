//! Why a loss may have ceased to be a number.

use pleiad_data::{Batch, Input, InputLayout, TaskKind, TaskSpec};

/// Magnitude beyond which a number that enters a network is suspicious: scaled ones rarely pass 10.
const LARGE: f32 = 100.0;

/// Learning rate above which it is said to be the cause: usual ones are 1e-1 of SGD, 1e-3 of Adam.
const HIGH_RATE: f64 = 0.1;

/// Rates of an optimizer in the step at hand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    /// Its key in `[train]`.
    pub(super) key: &'static str,
    pub(super) learning_rate: f64,
    pub(super) weight_decay: f64,
}

/// The likely cause, as the end of a message and with what to do about it; `None` where nothing that is looked at is out of
/// the ordinary. `tasks` come with the weights that they have in the joint loss.
pub(super) fn likely_cause(
    batch: &Batch,
    layout: &InputLayout,
    tasks: &[(&TaskSpec, f64)],
    rates: &[Rates],
) -> Option<String> {
    // Before anything else: whatever the rows are, the weights change their sign in every step and grow.
    let shrink = |rates: &&Rates| rates.learning_rate * rates.weight_decay > 1.0;
    if let Some(Rates { key, learning_rate, weight_decay }) = rates.iter().find(shrink) {
        return Some(format!(
            "[train] {key}.weight_decay is {weight_decay:?}: times the learning rate {learning_rate:?} it is above 1, so that \
             decay overshoots 0; a usual weight_decay is 0.01 or less"
        ));
    }
    let largest_input = layout
        .inputs
        .iter()
        .filter_map(|input| match input {
            Input::Numeric { name, column } => Some((name.as_str(), *column)),
            Input::Periodic { .. } | Input::Categorical { .. } => None,
        })
        .filter_map(|(name, column)| {
            let width = batch.numeric_width();
            let values = batch.numeric.iter().skip(column).step_by(width.max(1));
            largest(values.copied()).map(|value| (name, value))
        })
        .max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
    if let Some((name, value)) = largest_input.filter(|(_, value)| value.abs() > LARGE) {
        return Some(format!(
            "feature {name:?} is as large as {} in this batch; give it transform = [\"standardize\"] (or \
             [\"log1p\", \"standardize\"] where it spans orders of magnitude)",
            short(value)
        ));
    }
    let largest_label = tasks
        .iter()
        .zip(&batch.labels)
        .filter(|((task, _), _)| task.kind == TaskKind::Regression && task.objective.is_default())
        .filter_map(|((task, _), labels)| largest(labels.values.iter().copied()).map(|value| (&task.name, value)))
        .max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
    if let Some((name, value)) = largest_label.filter(|(_, value)| value.abs() > LARGE) {
        return Some(format!(
            "the label of task {name:?} is as large as {} in this batch; squared error grows with its square, so \
             scale the label to the order of 1",
            short(value)
        ));
    }
    let heaviest = tasks.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((task, weight)) = heaviest.filter(|(_, weight)| *weight > f64::from(LARGE)) {
        return Some(format!(
            "task {:?} has the weight {weight:e} in the joint loss; let the weights of the tasks be of the order of 1",
            task.name
        ));
    }
    let high = rates.iter().find(|rates| rates.learning_rate > HIGH_RATE)?;
    Some(format!(
        "the learning rate {:?} is high; lower [train] {}.learning_rate or set clip_norm = 1.0",
        high.learning_rate, high.key
    ))
}

fn short(value: f32) -> String {
    if value.abs() < 1e7 { value.to_string() } else { format!("{value:.1e}") }
}

fn largest(values: impl Iterator<Item = f32>) -> Option<f32> {
    values.max_by(|a, b| a.abs().total_cmp(&b.abs()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::Labels;

    use super::*;

    /// Of a batch with two features and one label, under this learning rate and weight decay.
    fn cause_by(numeric: [f32; 4], labels: [f32; 2], weight: f64, rate: f64, decay: f64) -> Option<String> {
        let layout = InputLayout::new(vec![
            Input::Numeric { name: "age".into(), column: 0 },
            Input::Numeric { name: "income".into(), column: 1 },
        ]);
        let labels = Labels { values: labels.to_vec(), present: vec![true, true], weights: Vec::new() };
        let batch =
            Batch { rows: 2, numeric: numeric.to_vec(), categorical: vec![], labels: vec![labels], groups: Vec::new() };
        let task = TaskSpec::new("price", TaskKind::Regression);
        let rates = Rates { key: "optimizer", learning_rate: rate, weight_decay: decay };
        likely_cause(&batch, &layout, &[(&task, weight)], &[rates])
    }

    fn cause(numeric: [f32; 4], labels: [f32; 2], weight: f64) -> String {
        cause_by(numeric, labels, weight, 0.5, 1.0).unwrap()
    }

    #[test]
    fn a_decay_beyond_the_weights_comes_before_all_else() {
        let text = cause_by([300.0, -5e4, 1.0, 2.0], [1e6, 0.0], 1e38, 0.1, 20.0).unwrap();
        assert!(text.contains("optimizer.weight_decay is 20.0") && text.contains("rate 0.1"), "{text}");
    }

    #[test]
    fn nothing_is_claimed_where_nothing_is_out_of_the_ordinary() {
        assert_eq!(cause_by([1.0, 2.0, 3.0, 4.0], [1.0, 0.0], 1.0, 1e-2, 0.01), None);
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
