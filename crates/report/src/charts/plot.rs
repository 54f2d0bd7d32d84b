//! Parts of pictures: scales, axes, marks and the look of a series.
//!
//! Every picture is drawn 340 units wide and shown at about that many pixels, on a phone as on a desk, so that letters
//! keep their size.

use maud::{Markup, html};

use crate::format;

/// Width of a picture.
pub(crate) const WIDTH: f64 = 340.0;

/// A coordinate with as many digits as a screen can show.
pub(crate) fn px(x: f64) -> String {
    let rounded = (x * 10.0).round() / 10.0;
    // `-0` is a number, but an ugly one.
    format!("{}", if rounded == 0.0 { 0.0 } else { rounded })
}

/// From values to coordinates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    root: bool,
}

impl Scale {
    /// A linear scale that takes `values` to `from .. to`, widened to whole ticks. What is not finite is left out.
    pub(crate) fn linear(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = range(values);
        let step = step(low, high, 4);
        let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        Self { low, high, from, to, root: false }
    }

    /// A scale from exactly `low` to exactly `high`.
    pub(crate) fn exact(low: f64, high: f64, from: f64, to: f64) -> Self {
        Self { low, high: if high > low { high } else { low + 1.0 }, from, to, root: false }
    }

    /// A square-root scale from 0 that shows rare events as well as common ones.
    pub(crate) fn root(high: f64, from: f64, to: f64) -> Self {
        Self { low: 0.0, high: if high > 0.0 { high } else { 1.0 }, from, to, root: true }
    }

    /// Where a value lies; values beyond the scale lie at its end.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let curve = |v: f64| if self.root { v.max(0.0).sqrt() } else { v };
        let (low, high) = (curve(self.low), curve(self.high));
        let share = ((curve(value) - low) / (high - low)).clamp(0.0, 1.0);
        self.from + share * (self.to - self.from)
    }

    /// Ticks and their labels, `count` of them or so.
    pub(crate) fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        if self.root {
            let shares = [0.0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0];
            let mut ticks: Vec<(f64, String)> = Vec::new();
            for share in shares.into_iter().filter(|share| *share <= self.high) {
                // Labels need room.
                if ticks.last().is_none_or(|(last, _)| (self.at(share) - self.at(*last)).abs() > 34.0) {
                    ticks.push((share, format!("{}%", 100.0 * share)));
                }
            }
            return ticks;
        }
        let step = step(self.low, self.high, count);
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last.min(first + 50)).map(|i| (i as f64 * step, format::tick(i as f64 * step, step))).collect()
    }

    /// The values at both ends.
    pub(crate) fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }
}

/// Lowest and highest finite value, apart from one another; 0 to 1 where there is none.
fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return (0.0, 1.0);
    }
    let size = low.abs().max(high.abs()).max(1e-3);
    // Values that are all but one have room for labels that differ.
    if high - low > 1e-9 * size { (low, high) } else { (low - 0.01 * size, high + 0.01 * size) }
}

/// A step of 1, 2 or 5 times a power of ten that cuts the range in `count` parts or a few more.
fn step(low: f64, high: f64, count: usize) -> f64 {
    let rough = (high - low) / count.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= 0.75 * rough).unwrap_or(10.0);
    factor * power
}

/// The look of a series: a colour, a dash and a shape, so that series differ not only by colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look(pub(crate) usize);

impl Look {
    /// The class with its colour.
    pub(crate) fn class(self) -> String {
        format!("s{}", self.0 % 8)
    }

    /// Its dash.
    pub(crate) fn dash(self) -> &'static str {
        ["none", "6 3", "2 3", "8 3 2 3", "12 4", "4 2", "1 4", "10 2 2 2 2 2"][self.0 % 8]
    }

    /// Its mark around a point, in outline.
    pub(crate) fn mark(self, x: f64, y: f64, r: f64) -> String {
        let polygon = |points: &[(f64, f64)]| {
            let points = points.iter().map(|(dx, dy)| format!("{} {}", px(x + r * dx), px(y + r * dy)));
            format!("M{}Z", points.collect::<Vec<_>>().join("L"))
        };
        match self.0 % 7 {
            0 => format!(
                "M{} {}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0Z",
                px(x - r),
                px(y),
                r = px(r),
                d = px(2.0 * r)
            ),
            1 => polygon(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
            2 => polygon(&[(0.0, -1.15), (1.1, 0.85), (-1.1, 0.85)]),
            3 => polygon(&[(0.0, -1.25), (1.1, 0.0), (0.0, 1.25), (-1.1, 0.0)]),
            4 => polygon(&[(-1.1, -0.85), (1.1, -0.85), (0.0, 1.15)]),
            5 => polygon(&[
                (-0.4, -1.1),
                (0.4, -1.1),
                (0.4, -0.4),
                (1.1, -0.4),
                (1.1, 0.4),
                (0.4, 0.4),
                (0.4, 1.1),
                (-0.4, 1.1),
                (-0.4, 0.4),
                (-1.1, 0.4),
                (-1.1, -0.4),
                (-0.4, -0.4),
            ]),
            _ => polygon(&[(-0.6, -1.05), (0.6, -1.05), (1.2, 0.0), (0.6, 1.05), (-0.6, 1.05), (-1.2, 0.0)]),
        }
    }
}

/// Which series is which.
pub(crate) fn legend<'a>(names: impl IntoIterator<Item = (Look, &'a str)>) -> Markup {
    html! {
        ul.legend {
            @for (look, name) in names {
                li {
                    svg class=(look.class()) viewBox="0 0 30 12" aria-hidden="true" {
                        path.line d="M1 6H29" stroke-dasharray=(look.dash()) {}
                        path.fill d=(look.mark(15.0, 6.0, 4.0)) {}
                    }
                    (name)
                }
            }
        }
    }
}

/// Which fill is which.
pub(crate) fn swatches(names: &[(String, String)]) -> Markup {
    html! {
        ul.legend {
            @for (class, name) in names {
                li {
                    svg.swatch class=(class) viewBox="0 0 12 12" aria-hidden="true" { rect.fill width="12" height="12" rx="2" {} }
                    (name)
                }
            }
        }
    }
}

/// A picture with words for those who do not see it.
pub(crate) fn svg(height: f64, title: &str, description: &str, body: &Markup) -> Markup {
    html! {
        svg viewBox={ "0 0 " (px(WIDTH)) " " (px(height)) } role="img" {
            title { (title) }
            desc { (description) }
            (body)
        }
    }
}

/// Where a plot's inner part lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Area {
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
}

/// Horizontal lines with labels to their left.
pub(crate) fn y_axis(area: Area, scale: &Scale, ticks: usize) -> Markup {
    html! {
        @for (value, label) in scale.ticks(ticks) {
            line.gridline x1=(px(area.left)) x2=(px(area.right)) y1=(px(scale.at(value))) y2=(px(scale.at(value))) {}
            text.m.end x=(px(area.left - 6.0)) y=(px(scale.at(value) + 4.0)) { (label) }
        }
    }
}

/// Width of a label's letters, on average.
const LETTER: f64 = 7.4;

/// Labels below, with a line above them. Where there is no room for all labels, every second or third has one, zero
/// among them.
pub(crate) fn x_axis(area: Area, scale: &Scale, ticks: usize, lines: bool) -> Markup {
    let ticks = scale.ticks(ticks);
    let widest = ticks.iter().map(|(_, label)| LETTER * label.chars().count() as f64).fold(0.0, f64::max);
    let apart =
        ticks.windows(2).map(|pair| (scale.at(pair[1].0) - scale.at(pair[0].0)).abs()).fold(f64::INFINITY, f64::min);
    let every = if widest + LETTER > apart { ((widest + LETTER) / apart.max(1.0)).ceil() as usize } else { 1 };
    let zero = ticks.iter().position(|(value, _)| *value == 0.0).unwrap_or(0);
    html! {
        @for (i, (value, label)) in ticks.iter().enumerate() {
            @if lines {
                line.gridline x1=(px(scale.at(*value))) x2=(px(scale.at(*value))) y1=(px(area.top)) y2=(px(area.bottom)) {}
            }
            @if i.abs_diff(zero).is_multiple_of(every) {
                // Half of a label beyond the picture's edge would be cut off.
                @let half = 0.5 * LETTER * label.chars().count() as f64;
                text.m.mid x=(px(scale.at(*value).clamp(half, WIDTH - half))) y=(px(area.bottom + 15.0)) { (label) }
            }
        }
        line.axis x1=(px(area.left)) x2=(px(area.right)) y1=(px(area.bottom)) y2=(px(area.bottom)) {}
    }
}

/// A line through points; a gap where a value is missing.
pub(crate) fn path(points: &[Option<(f64, f64)>]) -> String {
    let mut d = String::new();
    let mut pen = 'M';
    for point in points {
        match point {
            Some((x, y)) => {
                d.push_str(&format!("{pen}{} {}", px(*x), px(*y)));
                pen = 'L';
            }
            None => pen = 'M',
        }
    }
    d
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks(4).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn one_value_has_labels_that_differ() {
        for value in [0.9304, 0.0, -12.5, 3e7, 2e-5] {
            let labels: Vec<String> =
                Scale::linear([value], 0.0, 100.0).ticks(3).into_iter().map(|(_, label)| label).collect();
            assert!(labels.len() > 1 && labels.windows(2).all(|pair| pair[0] != pair[1]), "{value}: {labels:?}");
        }
    }

    #[test]
    fn labels_do_not_run_into_one_another_and_zero_keeps_its_own() {
        let area = Area { left: 20.0, right: 320.0, top: 0.0, bottom: 10.0 };
        let long = Scale::linear([-0.00008, 0.00014], area.left, area.right);
        let drawn = x_axis(area, &long, 4, true).into_string();
        assert!(drawn.matches("<text").count() < drawn.matches("gridline").count(), "{drawn}");
        assert!(drawn.contains(">0</text>"), "{drawn}");
        let short = x_axis(area, &Scale::linear([0.0, 4.0], area.left, area.right), 4, true).into_string();
        assert_eq!(short.matches("<text").count(), short.matches("gridline").count(), "{short}");
    }

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        let scale = Scale::linear([0.9213, 0.9478], 0.0, 100.0);
        assert_eq!(labels(&scale), ["0.92", "0.93", "0.94", "0.95"]);
        assert!(scale.at(0.92) == 0.0 && (scale.at(0.95) - 100.0).abs() < 1e-9);
        assert_eq!(labels(&Scale::linear([-3.0, 5.0], 0.0, 1.0)), ["\u{2212}4", "\u{2212}2", "0", "2", "4", "6"]);
    }

    #[test]
    fn no_values_and_equal_values_have_a_scale() {
        for values in [vec![], vec![0.5; 3], vec![0.0], vec![f64::NAN, 1e-12], vec![1e12]] {
            let scale = Scale::linear(values.clone(), 10.0, 20.0);
            assert!(values.iter().all(|v| v.is_nan() || (10.0..=20.0).contains(&scale.at(*v))), "{values:?}");
            assert!((2..60).contains(&scale.ticks(4).len()), "{values:?}: {:?}", scale.ticks(4));
        }
    }

    #[test]
    fn a_root_scale_makes_room_for_rare_events() {
        let scale = Scale::root(1.0, 0.0, 100.0);
        assert_eq!((scale.at(0.0), scale.at(0.25), scale.at(1.0)), (0.0, 50.0, 100.0));
    }

    #[test]
    fn lines_break_where_values_are_missing() {
        assert_eq!(path(&[Some((0.0, 1.0)), Some((1.0, 2.0)), None, Some((3.0, -0.04))]), "M0 1L1 2M3 0");
    }
}
