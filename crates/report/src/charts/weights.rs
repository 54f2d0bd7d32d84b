//! Weights of the tasks in the joint loss, by epoch.

use maud::{Markup, html};

use super::plot::{Area, Look, Scale, legend, path, px, svg, x_axis, y_axis};
use crate::format;
use crate::page::{TableCell, figure, table};
use pleiad_train::fit::EpochRecord;

const HEIGHT: f64 = 190.0;
const AREA: Area = Area { left: 50.0, right: 332.0, top: 20.0, bottom: 158.0 };

/// The curves, where weights change; constant ones stand in the configuration.
pub(crate) fn weights(history: &[EpochRecord]) -> Option<Markup> {
    let tasks: Vec<&str> = history.first()?.task_weights.iter().map(|(task, _)| task).collect();
    let of = |task: &str| -> Vec<Option<f64>> {
        history.iter().map(|epoch| epoch.task_weights.get(task).copied()).collect()
    };
    let all: Vec<Vec<Option<f64>>> = tasks.iter().map(|task| of(task)).collect();
    let moves = |weights: &Vec<Option<f64>>| {
        weights.windows(2).any(|w| matches!(w, [Some(a), Some(b)] if (a - b).abs() > 1e-6 * a.abs().max(b.abs())))
    };
    if !all.iter().any(moves) {
        return None;
    }
    let title = "Weights of the tasks in the joint loss by epoch";
    let header: Vec<&str> = std::iter::once("epoch").chain(tasks.iter().copied()).collect();
    let rows = history.iter().enumerate().map(|(i, epoch)| {
        let cells = all.iter().map(|weights| TableCell::from(format::metric(weights[i])));
        std::iter::once(TableCell::from(epoch.epoch.to_string())).chain(cells).collect()
    });
    let numbers = table(title, &header, rows);
    let picture = html! {
        (picture(title, &all, history.len()))
        (legend(tasks.iter().enumerate().map(|(t, task)| (Look(t), *task))))
    };
    Some(figure("Task weights", "mean over each epoch's steps", &picture, &numbers))
}

fn picture(title: &str, all: &[Vec<Option<f64>>], epochs: usize) -> Markup {
    let x = Scale::exact(1.0, epochs.max(2) as f64, AREA.left + 6.0, AREA.right - 6.0);
    let values = all.iter().flatten().flatten().copied();
    let y = Scale::linear(values.chain([0.0]), AREA.bottom - 4.0, AREA.top + 4.0);
    let points = |weights: &[Option<f64>]| -> Vec<Option<(f64, f64)>> {
        weights.iter().enumerate().map(|(i, w)| w.map(|w| (x.at((i + 1) as f64), y.at(w)))).collect()
    };
    let every = epochs.div_ceil(24).max(1);
    let body = html! {
        text.m x="0" y="11" { "weight" }
        (y_axis(AREA, &y, 4))
        (x_axis(AREA, &x, epochs.clamp(2, 7) - 1, false))
        text.m.end x=(px(AREA.right)) y=(px(HEIGHT - 2.0)) { "epoch" }
        @for (t, weights) in all.iter().enumerate() {
            @let points = points(weights);
            g class=(Look(t).class()) {
                path.line d=(path(&points)) stroke-dasharray=(Look(t).dash()) {}
                @for (px_, py) in points.iter().step_by(every).flatten() {
                    path.fill d=(Look(t).mark(*px_, *py, 2.8)) {}
                }
            }
        }
    };
    svg(HEIGHT, title, "A line per task over the epochs; the table below has every value.", &body)
}
