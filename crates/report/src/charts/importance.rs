//! Permutation importance: how much a task's metric worsens when a feature is shuffled.

use maud::{Markup, html};

use super::plot::{Area, Look, Scale, px, svg, x_axis};
use crate::format;
use crate::page::{TableCell, figure, table};
use pleiad_train::explain::{FeatureImportance, TaskImportance};

/// Bars of a picture; the table has every feature.
const MOST: usize = 15;
const ROW: f64 = 18.0;
const LEFT: f64 = 136.0;

/// A task's bars and its table.
pub(crate) fn importance(task: &str, importance: &TaskImportance, repeats: usize) -> Markup {
    let metric = importance.metric.label();
    let mut features: Vec<&FeatureImportance> = importance.features.iter().collect();
    features.sort_by(|a, b| b.loss.unwrap_or(f64::NEG_INFINITY).total_cmp(&a.loss.unwrap_or(f64::NEG_INFINITY)));
    let title = format!("{task}: what {metric} loses when a feature is shuffled");
    let rows = features.iter().map(|feature| {
        let loss = feature.loss.map_or_else(|| "–".to_owned(), format::signed);
        vec![
            TableCell::from(feature.feature.clone()),
            loss.into(),
            feature.sd.map_or_else(String::new, |sd| format::metric(Some(sd))).into(),
        ]
    });
    let numbers = table(&title, &["feature", "loss", "sd"], rows);
    let small = match importance.baseline {
        Some(baseline) => format!(
            "{metric} {} as it is, on {}; {repeats} shuffles",
            format::metric(Some(baseline)),
            format::plural(importance.rows, "row")
        ),
        None => format!("{metric} is not defined on its {}", format::plural(importance.rows, "row")),
    };
    features.truncate(MOST);
    features.retain(|feature| feature.loss.is_some());
    let picture = if features.is_empty() {
        html! {}
    } else {
        picture(&title, &features)
    };
    let hidden = importance.features.len().saturating_sub(MOST);
    let small = if hidden > 0 && !features.is_empty() { format!("{small}; {hidden} more below") } else { small };
    figure(task, &small, &picture, &numbers)
}

fn picture(title: &str, features: &[&FeatureImportance]) -> Markup {
    let area = Area { left: LEFT, right: 328.0, top: 4.0, bottom: 6.0 + ROW * features.len() as f64 };
    let ends = |feature: &&FeatureImportance| {
        let (loss, sd) = (feature.loss.unwrap_or(0.0), feature.sd.unwrap_or(0.0));
        [loss - sd, loss + sd, 0.0, loss]
    };
    // A hair below zero is no reason to give a third of the picture away.
    let most = features.iter().flat_map(ends).fold(0.0, f64::max);
    let low = |value: f64| if value > -0.05 * most { value.max(0.0) } else { value };
    let x = Scale::linear(features.iter().flat_map(ends).map(low), area.left, area.right);
    let body = html! {
        (x_axis(area, &x, 3, true))
        @for (i, feature) in features.iter().enumerate() {
            @let y = area.top + ROW * i as f64;
            @let loss = feature.loss.unwrap_or(0.0);
            @let (from, to) = (x.at(loss.min(0.0)), x.at(loss.max(0.0)));
            text.end x=(px(LEFT - 7.0)) y=(px(y + 12.5)) { (format::clipped_within(&feature.feature, 19)) }
            g class=(Look(0).class()) {
                rect.fill x=(px(from)) y=(px(y + 3.0)) width=(px(to - from)) height=(px(ROW - 6.0)) {
                    title { (feature.feature) ": " (format::signed(loss)) }
                }
            }
            @if let Some(sd) = feature.sd {
                path.whisker d=(format!("M{} {}H{}", px(x.at(loss - sd)), px(y + ROW / 2.0), px(x.at(loss + sd)))) {}
            }
        }
        line.zero x1=(px(x.at(0.0))) x2=(px(x.at(0.0))) y1=(px(area.top)) y2=(px(area.bottom)) {}
    };
    svg(
        area.bottom + 20.0,
        title,
        "A bar per feature, the longest first, with one standard deviation over the shuffles.",
        &body,
    )
}
