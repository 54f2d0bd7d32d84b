//! Columns that say what is to be predicted.

use super::labels::Label;
use super::profile::{NONE, Profile};
use super::words;

/// Rows of the rarer side below which nothing is concluded.
const ENOUGH: usize = 20;

/// AUC of a column alone from which on it is held for a leak.
const NEARLY: f64 = 0.99;

/// The same for one whose name speaks of what is known afterwards.
const BY_NAME: f64 = 0.7;

/// Why a column says a label; `None` if nothing speaks for it.
pub(super) fn leak(profile: &Profile, label: &Label) -> Option<String> {
    if profile.codes.is_empty() || profile.values.is_empty() {
        return None;
    }
    if label.positive.is_none() {
        let r = correlation(profile, label)?;
        return (r.abs() > 0.999).then(|| format!("its correlation with {:?} is {r:.4}", label.name));
    }
    let (positives, negatives) = label.sides();
    let rarer = positives.min(negatives);
    if rarer < ENOUGH {
        return None;
    }
    // Positive and negative rows of each value, the missing one last.
    let mut sides = vec![[0usize; 2]; profile.values.len() + 1];
    for (&code, truth) in profile.codes.iter().zip(&label.truth) {
        let at = if code == NONE { profile.values.len() } else { code as usize };
        if let Some(truth) = truth {
            sides[at][usize::from(*truth == 1.0)] += 1;
        }
    }
    let groups = sides.iter().filter(|[a, b]| a + b > 0).count();
    let errors: usize = sides.iter().map(|[a, b]| a.min(b)).sum();
    // Values that nearly every row has for itself determine everything, and say nothing.
    if errors * 50 <= rarer && groups * 10 <= positives + negatives {
        let right = 100.0 * (1.0 - errors as f64 / (positives + negatives) as f64);
        return Some(format!("its value alone gives {:?} in {right:.2} % of the rows", label.name));
    }
    if !(profile.is_number() && profile.distinct() > 2) {
        return None;
    }
    let auc = auc(profile, &sides);
    let strength = auc.max(1.0 - auc);
    let bound = if words::is_after(&profile.name) { BY_NAME } else { NEARLY };
    (strength >= bound).then(|| {
        let name = if strength < NEARLY { ", and its name speaks of what is known afterwards" } else { "" };
        format!("it orders the rows of {:?} with an AUC of {strength:.3} by itself{name}", label.name)
    })
}

/// AUC of the number; missing ones below all.
fn auc(profile: &Profile, sides: &[[usize; 2]]) -> f64 {
    let mut order: Vec<usize> = (0..sides.len()).collect();
    let number = |at: &usize| profile.values.get(*at).and_then(|value| value.number).unwrap_or(f64::NEG_INFINITY);
    order.sort_by(|a, b| number(a).total_cmp(&number(b)));
    let (mut below, mut sum, mut positives) = (0.0, 0.0, 0.0);
    for at in order {
        let [negative, positive] = sides[at].map(|rows| rows as f64);
        sum += positive * (below + negative / 2.0);
        below += negative;
        positives += positive;
    }
    sum / (positives * below).max(1.0)
}

fn correlation(profile: &Profile, label: &Label) -> Option<f64> {
    let number = |code: &u32| profile.values.get(*code as usize)?.number;
    let pairs: Vec<(f64, f64)> =
        profile.codes.iter().zip(&label.truth).filter_map(|(code, truth)| Some((number(code)?, (*truth)?))).collect();
    if pairs.len() < ENOUGH {
        return None;
    }
    let rows = pairs.len() as f64;
    let mean = pairs.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0 / rows, sum.1 + pair.1 / rows));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        let (x, y) = (x - mean.0, y - mean.1);
        (xx, yy, xy) = (xx + x * x, yy + y * y, xy + x * y);
    }
    let r = xy / (xx * yy).sqrt();
    r.is_finite().then_some(r)
}
