//! The heat map of a comparison: models by tasks, each cell its gain.

use maud::{Markup, html};

use crate::format;
use pleiad_train::compare::{ComparedModel, Comparison, Side, TaskComparison};
use pleiad_train::figures;

/// Share of a colour that the largest gain of a task has; letters stay readable on it.
const STRONGEST: f64 = 45.0;

/// The map with its key. Wide enough maps are tables; on narrow screens each model's cells stand below its name.
pub(crate) fn heat(comparison: &Comparison) -> Markup {
    let others: Vec<&ComparedModel> = comparison.models.iter().filter(|m| m.name != comparison.baseline).collect();
    // Up to how wide a screen the cells of a model stand below its name.
    let stack = match comparison.metrics.len() {
        0..=2 => "",
        3 => "stack-small",
        4..=7 => "stack-medium",
        _ => "stack",
    };
    html! {
        table.heat.(stack) {
            caption {
                "Gain over " (comparison.baseline) " by task. ▲ gains and ▼ pays"
                @if comparison.questions > 1 {
                    ", also after Holm's correction for " (comparison.questions) " gains; △ and ▽ by the 95 % interval alone"
                }
                "; ○ cannot be told from zero. The stronger the colour, the larger the gain beside others of its task."
            }
            thead {
                tr {
                    th scope="col" { "model" }
                    @for (task, metric) in comparison.metrics.iter() {
                        th scope="col" { (task) small.note { (figures::direction(*metric)) } }
                    }
                }
            }
            tbody {
                @for model in &others {
                    tr {
                        th scope="row" { (model.name) }
                        @for (task, metric) in comparison.metrics.iter() {
                            @let heading = format!("{task}, {}", figures::direction(*metric));
                            (cell(model.tasks.get(task), &heading, largest(&others, task)))
                        }
                    }
                }
            }
        }
    }
}

/// The largest gain or cost of a task over all models.
fn largest(models: &[&ComparedModel], task: &str) -> f64 {
    let gains = models.iter().filter_map(|model| Some(model.tasks.get(task)?.gain?.mean.abs()));
    gains.filter(|gain| gain.is_finite()).fold(0.0, f64::max)
}

fn cell(compared: Option<&TaskComparison>, heading: &str, largest: f64) -> Markup {
    let Some((compared, gain)) = compared.and_then(|compared| Some((compared, compared.gain?))) else {
        return html! { td data-label=(heading) { "–" } };
    };
    let (mark, class) = mark(compared);
    let share = if class.is_empty() || largest == 0.0 { 0.0 } else { STRONGEST * gain.mean.abs() / largest };
    html! {
        td.(class) data-label=(heading) style=(format!("--share:{share:.0}%")) { (mark) " " (format::signed(gain.mean)) }
    }
}

/// How sure a gain is, and the class of its colour.
pub(crate) fn mark(compared: &TaskComparison) -> (&'static str, &'static str) {
    let holds = compared.holds();
    match compared.gain.map(|gain| gain.side()) {
        Some(Side::Above) if holds => ("▲", "good"),
        Some(Side::Above) => ("△", "good"),
        Some(Side::Below) if holds => ("▼", "bad"),
        Some(Side::Below) => ("▽", "bad"),
        _ => ("○", ""),
    }
}
