//! The explanation of one model, on either page: alarms, use of experts, calibration, importance.

use maud::{Markup, html};

use super::charts::{calibration, importance, utilisation};
use super::format;
use pleiad_train::Alarm;
use pleiad_train::explain::{Explanation, Importance};

/// Names of the tasks, in order.
pub(super) fn tasks(explanation: &Explanation) -> Vec<&str> {
    explanation.calibration.iter().map(|(task, _)| task).collect()
}

/// What is wrong with gates and experts.
pub(super) fn alarms(explanation: &Explanation) -> Markup {
    html! {
        @if explanation.gates.is_empty() {
            p.note { "This structure has no gates." }
        } @else if explanation.alarms.is_empty() {
            p.note {
                "No alarms: every gate uses every expert on some rows, weights depend on the row, and so do the outputs of all experts."
            }
        } @else {
            (list(&explanation.alarms))
        }
    }
}

/// Alarms, one below the other.
pub(super) fn list(alarms: &[Alarm]) -> Markup {
    html! { ul.alarms { @for alarm in alarms { li { b { (alarm.kind.name()) } (alarm.text) } } } }
}

/// How gates weigh experts, and what is wrong with it.
pub(super) fn experts(explanation: &Explanation) -> Markup {
    html! {
        (alarms(explanation))
        @if !explanation.gates.is_empty() { (utilisation::utilisation(&explanation.gates, &tasks(explanation))) }
    }
}

/// Predictions against what happened.
pub(super) fn calibrations(explanation: &Explanation) -> Markup {
    html! {
        div.grid { @for (task, curve) in explanation.calibration.iter() { (calibration::calibration(task, curve)) } }
    }
}

/// What features are worth to each task.
pub(super) fn importances(explanation: &Explanation) -> Markup {
    let Importance { repeats, tasks, features, .. } = &explanation.importance;
    let left_out = features.filter(|features| features.shuffled < features.of);
    html! {
        @if let Some(features) = left_out {
            p.note {
                (format::count(features.shuffled)) " of " (format::count(features.of))
                " features were shuffled, drawn at random: [train] explain sets the share, and the cost is bounded."
            }
        }
        div.grid { @for (task, found) in tasks.iter() { (importance::importance(task, found, *repeats)) } }
    }
}

/// On which rows: `on 20,000 test rows`.
pub(super) fn on(explanation: &Explanation) -> String {
    let of = explanation.of_rows.map_or_else(String::new, |rows| format!(" of {}", format::count(rows)));
    format!("on {}{of} {} rows", format::count(explanation.rows), explanation.on.name())
}
