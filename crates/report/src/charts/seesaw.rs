//! Figure 3 of the PLE paper: the gain on one task against the gain on another.

use maud::{Markup, html};

use super::plot::{Area, Look, Scale, px, svg, x_axis, y_axis};
use crate::format;
use crate::page::{TableCell, figure, table};
use pleiad_train::compare::{ComparedModel, Comparison, Interval};
use pleiad_train::metrics::gain;

const HEIGHT: f64 = 312.0;
const AREA: Area = Area { left: 54.0, right: 332.0, top: 22.0, bottom: 272.0 };

/// Pictures of a page, at most; beyond, gains by task say more.
const MOST: usize = 10;

/// One picture for each pair of tasks; none where there is but one.
pub(crate) fn seesaw(comparison: &Comparison) -> Markup {
    let tasks: Vec<&str> = comparison.tasks.iter().map(|(task, _)| task).collect();
    let pairs = tasks.iter().enumerate().flat_map(|(i, a)| tasks[i + 1..].iter().map(move |b| (*a, *b)));
    let pairs: Vec<(&str, &str)> = pairs.collect();
    let hidden = pairs.len().saturating_sub(MOST);
    html! {
        @for (a, b) in pairs.iter().take(MOST) { (pair(comparison, a, b)) }
        @if hidden > 0 { p.note { (format::plural(hidden as u64, "more pair")) " not drawn; the gains of every task stand above." } }
    }
}

/// A model's gains on two tasks.
struct Point<'a> {
    look: Look,
    name: &'a str,
    x: Interval,
    y: Interval,
    /// Each seed's.
    seeds: Vec<(u64, f64, f64)>,
}

fn points<'a>(comparison: &'a Comparison, a: &str, b: &str) -> Vec<Point<'a>> {
    let Some(baseline) = comparison.models.iter().find(|model| model.name == comparison.baseline) else {
        return Vec::new();
    };
    let of = |(at, model): (usize, &'a ComparedModel)| {
        let interval = |task: &str| model.tasks.get(task)?.gain;
        let by_seed = |task: &str, run: usize| {
            let metric = *comparison.metrics.get(task)?;
            let value = |model: &ComparedModel| model.runs.get(run)?.evaluation()?.tasks.get(task)?.get(metric);
            Some(gain(metric, value(model)?, value(baseline)?))
        };
        let seeds =
            (0..model.runs.len()).filter_map(|run| Some((model.runs[run].seed(), by_seed(a, run)?, by_seed(b, run)?)));
        Some(Point { look: Look(at), name: &model.name, x: interval(a)?, y: interval(b)?, seeds: seeds.collect() })
    };
    comparison.models.iter().enumerate().filter(|(_, model)| model.name != baseline.name).filter_map(of).collect()
}

fn pair(comparison: &Comparison, a: &str, b: &str) -> Markup {
    let points = points(comparison, a, b);
    let title = format!("Gain on {b} against gain on {a}");
    let rows = points.iter().flat_map(|point| {
        let mean = vec![
            TableCell::from(point.name.to_owned()),
            "mean".into(),
            format!("{} {}", format::signed(point.x.mean), format::bounds(point.x.bounds)).into(),
            format!("{} {}", format::signed(point.y.mean), format::bounds(point.y.bounds)).into(),
        ];
        let seeds = point.seeds.iter().map(|(seed, x, y)| {
            vec![
                TableCell::from(point.name.to_owned()),
                seed.to_string().into(),
                format::signed(*x).into(),
                format::signed(*y).into(),
            ]
        });
        std::iter::once(mean).chain(seeds)
    });
    let numbers = table(&title, &["model", "seed", a, b], rows);
    figure(
        &format!("{a} against {b}"),
        "upper right: both gain; upper left and lower right: one pays for the other",
        &picture(&title, a, b, &points),
        &numbers,
    )
}

fn picture(title: &str, a: &str, b: &str, points: &[Point<'_>]) -> Markup {
    let ends = |interval: &Interval| {
        let (low, high) = interval.bounds.unwrap_or((interval.mean, interval.mean));
        [low, high, interval.mean]
    };
    let xs = points.iter().flat_map(|p| ends(&p.x).into_iter().chain(p.seeds.iter().map(|s| s.1)));
    let ys = points.iter().flat_map(|p| ends(&p.y).into_iter().chain(p.seeds.iter().map(|s| s.2)));
    let x = Scale::linear(xs.chain([0.0]), AREA.left, AREA.right);
    let y = Scale::linear(ys.chain([0.0]), AREA.bottom, AREA.top);
    let (zx, zy) = (x.at(0.0), y.at(0.0));
    let cross = |p: &Point<'_>| {
        let (cx, cy) = (px(x.at(p.x.mean)), px(y.at(p.y.mean)));
        let across = p.x.bounds.map(|(l, h)| format!("M{} {cy}H{}", px(x.at(l)), px(x.at(h)))).unwrap_or_default();
        let along = p.y.bounds.map(|(l, h)| format!("M{cx} {}V{}", px(y.at(l)), px(y.at(h)))).unwrap_or_default();
        across + &along
    };
    let body = html! {
        rect.quadrant x=(px(zx)) y=(px(AREA.top)) width=(px(AREA.right - zx)) height=(px(zy - AREA.top)) {}
        rect.quadrant.bad x=(px(AREA.left)) y=(px(zy)) width=(px(zx - AREA.left)) height=(px(AREA.bottom - zy)) {}
        text.m x="0" y="11" { "gain on " (format::clipped(b, 36)) }
        (y_axis(AREA, &y, 5))
        (x_axis(AREA, &x, 4, true))
        text.m.end x=(px(AREA.right)) y=(px(HEIGHT - 6.0)) { "gain on " (format::clipped(a, 36)) }
        line.zero x1=(px(zx)) x2=(px(zx)) y1=(px(AREA.top)) y2=(px(AREA.bottom)) {}
        line.zero x1=(px(AREA.left)) x2=(px(AREA.right)) y1=(px(zy)) y2=(px(zy)) {}
        @for point in points {
            g class=(point.look.class()) {
                @for (_, sx, sy) in &point.seeds { path.seed d=(point.look.mark(x.at(*sx), y.at(*sy), 2.2)) {} }
                path.thin d=(cross(point)) {}
                path.fill.cut d=(point.look.mark(x.at(point.x.mean), y.at(point.y.mean), 5.5)) {
                    title { (point.name) ": " (a) " " (format::signed(point.x.mean)) ", " (b) " " (format::signed(point.y.mean)) }
                }
            }
        }
        @for (point, ly) in points.iter().zip(labels(points, &y)) {
            @let cx = x.at(point.x.mean);
            @let right = cx < 235.0;
            text.b.halo.end[!right] x=(px(if right { cx + 9.0 } else { cx - 9.0 })) y=(px(ly - 5.0)) { (format::clipped(point.name, 16)) }
        }
    };
    svg(HEIGHT, title, "A mark per model at its mean gains, with crosses of 95 % and a small mark per seed.", &body)
}

/// Heights of the names beside the marks, moved apart where they would lie on one another.
fn labels(points: &[Point<'_>], y: &Scale) -> Vec<f64> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    let at: Vec<f64> = points.iter().map(|point| y.at(point.y.mean)).collect();
    order.sort_by(|i, j| at[*i].total_cmp(&at[*j]));
    let mut heights = at;
    let mut last = f64::NEG_INFINITY;
    for i in order {
        heights[i] = heights[i].max(last + 12.0);
        last = heights[i];
    }
    heights
}
