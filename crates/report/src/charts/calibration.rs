//! Calibration: observed against predicted rates, in bins of rows with similar predictions.

use maud::{Markup, html};
use pleiad_data::TaskKind;

use super::plot::{Area, Look, Scale, px, svg, x_axis, y_axis};
use crate::format;
use crate::page::{TableCell, figure, table};
use pleiad_train::explain::{CalibrationBin, CalibrationCurve};

const HEIGHT: f64 = 300.0;
const AREA: Area = Area { left: 50.0, right: 332.0, top: 18.0, bottom: 262.0 };

/// A task's curve and its table.
pub(crate) fn calibration(task: &str, curve: &CalibrationCurve) -> Markup {
    let bins = &curve.bins;
    let (observed, small) = match curve.kind {
        TaskKind::Binary => ("observed rate", "square-root axes; on the line, predictions are what happens"),
        TaskKind::Regression => ("mean label", "on the line, predictions are what happens"),
    };
    let title = format!("{task}: {observed} by mean prediction");
    let header = ["rows", "mean prediction", observed, "95 % interval"];
    let rows = bins.iter().map(|bin| {
        let interval = bin.interval.map_or_else(String::new, |(low, high)| {
            format!("[{}, {}]", format::metric(Some(low)), format::metric(Some(high)))
        });
        vec![
            TableCell::from(format::count(bin.rows)),
            format::metric(Some(bin.predicted)).into(),
            format::metric(Some(bin.observed)).into(),
            interval.into(),
        ]
    });
    let numbers = table(&title, &header, rows);
    figure(task, small, &picture(&title, observed, curve), &numbers)
}

fn picture(title: &str, observed: &str, curve: &CalibrationCurve) -> Markup {
    let values = |bin: &CalibrationBin| {
        let (low, high) = bin.interval.unwrap_or((bin.observed, bin.observed));
        [bin.predicted, bin.observed, low, high]
    };
    let all = || curve.bins.iter().flat_map(values);
    let (x, y) = match curve.kind {
        TaskKind::Binary => {
            let most = all().fold(0.0, f64::max).min(1.0);
            // A round end, so that ticks come close to it.
            let high = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0].into_iter().find(|end| *end >= most).unwrap_or(1.0);
            (Scale::root(high, AREA.left, AREA.right), Scale::root(high, AREA.bottom, AREA.top))
        }
        TaskKind::Regression => {
            (Scale::linear(all(), AREA.left, AREA.right), Scale::linear(all(), AREA.bottom, AREA.top))
        }
    };
    let (low, high) = x.ends();
    let look = Look(0);
    let body = html! {
        text.m x="0" y="10" { (observed) }
        (y_axis(AREA, &y, 4))
        (x_axis(AREA, &x, 4, true))
        text.m.end x=(px(AREA.right)) y=(px(HEIGHT - 4.0)) { "mean prediction" }
        line.best x1=(px(x.at(low))) y1=(px(y.at(low))) x2=(px(x.at(high))) y2=(px(y.at(high))) stroke-width="1.25" {}
        @if curve.bins.is_empty() {
            text.m.mid x=(px((AREA.left + AREA.right) / 2.0)) y="140" { "no rows in its sample space" }
        }
        g class=(look.class()) {
            path.thin d=(super::plot::path(&curve.bins.iter().map(|b| Some((x.at(b.predicted), y.at(b.observed)))).collect::<Vec<_>>())) {}
            @for bin in &curve.bins {
                @if let Some((low, high)) = bin.interval {
                    path.whisker d=(whisker(x.at(bin.predicted), y.at(low), y.at(high))) {}
                }
                path.fill d=(look.mark(x.at(bin.predicted), y.at(bin.observed), 3.6)) {
                    title { (format::plural(bin.rows, "row")) ": predicted " (format::metric(Some(bin.predicted))) ", observed " (format::metric(Some(bin.observed))) }
                }
            }
        }
    };
    svg(
        HEIGHT,
        title,
        "A point per bin of rows with like predictions, with its 95 % interval; the dashed line is perfect calibration.",
        &body,
    )
}

/// A vertical line with ends.
fn whisker(x: f64, low: f64, high: f64) -> String {
    let (x, low, high, left) = (px(x), px(low), px(high), px(x - 3.0));
    format!("M{x} {low}V{high}M{left} {low}h6M{left} {high}h6")
}
