//! Learning curves: a task's metric on the validation rows above, its training loss below, by epoch.

use maud::{Markup, html};

use super::plot::{Area, Look, Scale, legend, path, px, svg, x_axis, y_axis};
use crate::format;
use crate::page::{TableCell, figure, table};
use pleiad_train::fit::EpochRecord;
use pleiad_train::metrics::MetricKind;
use pleiad_train::run::RunReport;

const HEIGHT: f64 = 262.0;
const UPPER: Area = Area { left: 50.0, right: 332.0, top: 20.0, bottom: 118.0 };
const LOWER: Area = Area { left: 50.0, right: 332.0, top: 144.0, bottom: 230.0 };

/// Most points with a mark for each epoch.
const MARKS: usize = 24;

/// A task's curves of one run.
pub(crate) fn run(report: &RunReport, task: &str, metric: MetricKind) -> Markup {
    let history = &report.history;
    let (valid, loss) = (values(history, |e| valid(e, task, metric)), values(history, |e| loss(e, task)));
    let title = format!("{task}: {} on validation rows and training loss by epoch", metric.label());
    let best = report.best_epochs.get(task).copied().unwrap_or(report.best_epoch);
    let chart = Curves {
        metric,
        epochs: history.len(),
        upper: vec![Series { look: Look(0), mean: valid.clone(), band: Vec::new() }],
        lower: vec![Series { look: Look(0), mean: loss.clone(), band: Vec::new() }],
        best: Some(best),
        has_rows: report.valid.is_some(),
    };
    let rows = history.iter().enumerate().map(|(i, epoch)| {
        let mark = if epoch.epoch == best { " (kept)" } else { "" };
        vec![
            format!("{}{mark}", epoch.epoch).into(),
            format::metric(valid[i]).into(),
            format::metric(loss[i]).into(),
            format!("{:.1e}", epoch.learning_rate).into(),
            TableCell::from(format::count(epoch.rows_per_second.round().max(0.0) as u64)),
            format::percent(epoch.input_wait).into(),
        ]
    });
    let label = metric.label();
    let header = ["epoch", &label, "training loss", "learning rate", "rows/s", "waiting"];
    figure(task, "", &chart.draw(&title), &table(&title, &header, rows))
}

/// A task's curves of several models: means over the seeds, and the range from the lowest to the highest.
pub(crate) fn models(models: &[(&str, &[&RunReport])], task: &str, metric: MetricKind) -> Markup {
    let epochs = models.iter().flat_map(|(_, runs)| runs.iter()).map(|run| run.history.len()).max().unwrap_or(0);
    let of = |value: &dyn Fn(&EpochRecord) -> Option<f64>| -> Vec<Series> {
        models.iter().enumerate().map(|(m, (_, runs))| Series::of(Look(m), runs, epochs, value)).collect()
    };
    let chart = Curves {
        metric,
        epochs,
        upper: of(&|epoch| valid(epoch, task, metric)),
        lower: of(&|epoch| loss(epoch, task)),
        best: None,
        has_rows: models.iter().flat_map(|(_, runs)| runs.iter()).any(|run| run.valid.is_some()),
    };
    let title = format!("{task}: {} on validation rows and training loss by epoch, mean over seeds", metric.label());
    let header: Vec<&str> = std::iter::once("epoch").chain(models.iter().map(|(name, _)| *name)).collect();
    let numbers = |series: &[Series], what: &str| {
        let rows = (0..epochs).map(|epoch| {
            let values = series.iter().map(|series| TableCell::from(format::metric(series.mean[epoch])));
            std::iter::once(TableCell::from((epoch + 1).to_string())).chain(values).collect()
        });
        table(what, &header, rows)
    };
    let both = html! {
        (numbers(&chart.upper, &format!("{task}: {} on validation rows", metric.label())))
        (numbers(&chart.lower, &format!("{task}: training loss")))
    };
    figure(task, "", &chart.draw(&title), &both)
}

/// Which model is which.
pub(crate) fn key<'a>(models: impl IntoIterator<Item = (usize, &'a str)>) -> Markup {
    legend(models.into_iter().map(|(m, name)| (Look(m), name)))
}

fn valid(epoch: &EpochRecord, task: &str, metric: MetricKind) -> Option<f64> {
    epoch.valid.as_ref()?.tasks.get(task)?.get(metric)
}

fn loss(epoch: &EpochRecord, task: &str) -> Option<f64> {
    epoch.task_losses.get(task).copied().flatten()
}

fn values(history: &[EpochRecord], value: impl Fn(&EpochRecord) -> Option<f64>) -> Vec<Option<f64>> {
    history.iter().map(value).collect()
}

/// One line, and the range around it.
struct Series {
    look: Look,
    mean: Vec<Option<f64>>,
    band: Vec<Option<(f64, f64)>>,
}

impl Series {
    /// Over runs: the mean as long as half of them go on, since beyond it would jump with every run that ends.
    fn of(look: Look, runs: &[&RunReport], epochs: usize, value: &dyn Fn(&EpochRecord) -> Option<f64>) -> Self {
        let at = |epoch: usize| {
            let values: Vec<f64> = runs.iter().filter_map(|run| run.history.get(epoch).and_then(value)).collect();
            if values.is_empty() || 2 * values.len() < runs.len() {
                return (None, None);
            }
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let (low, high) =
                values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
            (Some(mean), (values.len() > 1).then_some((low, high)))
        };
        let (mean, band) = (0..epochs).map(at).unzip();
        Self { look, mean, band }
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        let band = self.band.iter().flatten().flat_map(|(low, high)| [*low, *high]);
        self.mean.iter().flatten().copied().chain(band)
    }
}

struct Curves {
    metric: MetricKind,
    epochs: usize,
    upper: Vec<Series>,
    lower: Vec<Series>,
    best: Option<u64>,
    /// Whether there are validation rows, be the metric defined on them or not.
    has_rows: bool,
}

impl Curves {
    fn draw(&self, title: &str) -> Markup {
        let x = |area: Area| Scale::exact(1.0, self.epochs.max(2) as f64, area.left + 6.0, area.right - 6.0);
        let scale = |series: &[Series], area: Area| {
            Scale::linear(series.iter().flat_map(Series::values), area.bottom - 4.0, area.top + 4.0)
        };
        let (x, above, below) = (x(UPPER), scale(&self.upper, UPPER), scale(&self.lower, LOWER));
        let has_valid = self.upper.iter().any(|series| series.mean.iter().any(Option::is_some));
        let none = if self.has_rows { ": not defined on the validation rows" } else { ": no validation rows" };
        let best = self.best.map(|best| x.at(best as f64));
        let body = html! {
            text.m x="0" y="11" { (self.metric.label()) @if has_valid { ", validation" } @else { (none) } }
            @if has_valid { (y_axis(UPPER, &above, 3)) }
            text.m x="0" y=(px(LOWER.top - 9.0)) { "training loss" }
            (y_axis(LOWER, &below, 3))
            @if let Some(best) = best {
                line.best x1=(px(best)) x2=(px(best)) y1=(px(UPPER.top)) y2=(px(LOWER.bottom)) stroke-width="1" {}
            }
            @for series in &self.upper { (line(series, &x, &above, self.epochs)) }
            @for series in &self.lower { (line(series, &x, &below, self.epochs)) }
            (x_axis(LOWER, &x, self.epochs.clamp(2, 7) - 1, false))
            text.m.end x=(px(LOWER.right)) y=(px(HEIGHT - 2.0)) { "epoch" }
            @if let (Some(best), Some(epoch)) = (best, self.best) {
                @let right = best > 200.0;
                text.m.end[right] x=(px(if right { best - 5.0 } else { best + 5.0 })) y=(px(UPPER.bottom + 8.0)) {
                    "epoch " (epoch) " kept"
                }
            }
        };
        svg(HEIGHT, title, "Two panels over one axis of epochs; the table below has every value.", &body)
    }
}

fn line(series: &Series, x: &Scale, y: &Scale, epochs: usize) -> Markup {
    let at = |i: usize, value: f64| (x.at((i + 1) as f64), y.at(value));
    let points: Vec<Option<(f64, f64)>> =
        series.mean.iter().enumerate().map(|(i, value)| value.map(|value| at(i, value))).collect();
    let there = |i: &usize| series.band.get(*i).copied().flatten();
    let upper = (0..series.band.len()).filter_map(|i| there(&i).map(|(_, high)| at(i, high)));
    let lower = (0..series.band.len()).rev().filter_map(|i| there(&i).map(|(low, _)| at(i, low)));
    let band: Vec<Option<(f64, f64)>> = upper.chain(lower).map(Some).collect();
    let every = epochs.div_ceil(MARKS).max(1);
    html! {
        g class=(series.look.class()) {
            @if !band.is_empty() { path.faint d=(format!("{}Z", path(&band))) {} }
            path.line d=(path(&points)) stroke-dasharray=(series.look.dash()) {}
            @for (i, point) in points.iter().enumerate().filter(|(i, _)| i % every == 0) {
                @if let Some((px_, py)) = point {
                    path.fill d=(series.look.mark(*px_, *py, 2.8)) {
                        title { "epoch " (i + 1) ": " (format::metric(series.mean[i])) }
                    }
                }
            }
        }
    }
}
