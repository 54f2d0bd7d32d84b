//! Figure 7 of the PLE paper: each model's gain on a task, with its 95 % interval.

use maud::{Markup, html};

use super::heat::mark;
use super::plot::{Area, Look, Scale, WIDTH, px, svg, x_axis};
use crate::format;
use crate::page::{TableCell, figure, table};
use pleiad_train::compare::{ComparedModel, Interval, Side};
use pleiad_train::figures;
use pleiad_train::metrics::MetricKind;

const ROW: f64 = 40.0;

/// The models' gains on one task.
pub(crate) fn gains(models: &[(usize, &ComparedModel)], task: &str, metric: MetricKind, baseline: &str) -> Markup {
    let of = |model: &ComparedModel| model.tasks.get(task).and_then(|compared| compared.gain);
    let title = format!("{task}: gain in {} over {baseline}", metric.label());
    let rows = models.iter().map(|(_, model)| {
        let gain = of(model);
        vec![
            TableCell::from(model.name.clone()),
            gain.map_or_else(|| "–".to_owned(), |gain| format::signed(gain.mean)).into(),
            gain.map_or_else(String::new, |gain| format::bounds(gain.bounds)).into(),
            gain.map_or_else(String::new, |gain| gain.seeds.to_string()).into(),
        ]
    });
    let numbers = table(&title, &["model", "gain", "95 % interval", "seeds"], rows);
    let known: Vec<Bar<'_>> = models
        .iter()
        .map(|(at, model)| Bar {
            look: Look(*at),
            name: &model.name,
            gain: of(model),
            mark: model.tasks.get(task).map_or("", |compared| mark(compared).0),
        })
        .collect();
    figure(
        task,
        &format!("{} than {baseline}", figures::direction(metric).replace(" by", "")),
        &picture(&title, &known),
        &numbers,
    )
}

/// A model's gain on the task.
struct Bar<'a> {
    look: Look,
    name: &'a str,
    gain: Option<Interval>,
    /// How sure it is.
    mark: &'static str,
}

fn picture(title: &str, gains: &[Bar<'_>]) -> Markup {
    let area = Area { left: 20.0, right: 320.0, top: 4.0, bottom: 6.0 + ROW * gains.len() as f64 };
    let ends = |gain: Interval| {
        let (low, high) = gain.bounds.unwrap_or((gain.mean, gain.mean));
        [low, high, gain.mean, 0.0]
    };
    let x = Scale::linear(gains.iter().filter_map(|bar| bar.gain).flat_map(ends), area.left, area.right);
    let zero = x.at(0.0);
    let body = html! {
        (x_axis(area, &x, 4, true))
        // Before the names: where all gains are on one side, zero lies below them.
        line.zero x1=(px(zero)) x2=(px(zero)) y1=(px(area.top)) y2=(px(area.bottom)) {}
        @for (i, Bar { look, name, gain, mark }) in gains.iter().enumerate() {
            @let y = area.top + ROW * i as f64;
            text.halo x="0" y=(px(y + 13.0)) { (format::clipped(name, 30)) }
            @match gain {
                None => text.m.end x=(px(WIDTH)) y=(px(y + 13.0)) { "not defined" }
                Some(gain) => {
                    text.end.b.halo x=(px(WIDTH)) y=(px(y + 13.0)) {
                        (mark) " " (format::signed(gain.mean))
                    }
                    @let (from, to) = (zero.min(x.at(gain.mean)), zero.max(x.at(gain.mean)));
                    g class=(look.class()) {
                        @if matches!(gain.side(), Side::Above | Side::Below) {
                            rect.fill x=(px(from)) y=(px(y + 19.0)) width=(px(to - from)) height="13" {}
                        } @else {
                            rect.hollow x=(px(from)) y=(px(y + 19.0)) width=(px(to - from)) height="13" {}
                        }
                    }
                    @if let Some((low, high)) = gain.bounds {
                        path.whisker d=(format!("M{l} {m}H{h}M{l} {t}v7M{h} {t}v7", l = px(x.at(low)), h = px(x.at(high)), m = px(y + 25.5), t = px(y + 22.0))) {}
                    }
                }
            }
        }
    };
    svg(
        area.bottom + 20.0,
        title,
        "A bar per model with its 95 % interval; filled where the interval lies on one side of zero, else in outline.",
        &body,
    )
}
