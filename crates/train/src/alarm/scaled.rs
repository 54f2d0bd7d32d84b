//! Numeric features of which scaling has left nothing: constants, and columns in which a few values far away have pressed all
//! others together.

use std::cmp::Ordering;

use pleiad_data::schema::{FeatureKind, Transform};
use pleiad_data::{Batch, Encoder, FeatureCount, Input, RawRows};
use rayon::prelude::*;

use super::{Alarm, AlarmKind, percent};
use crate::error::Result;
use crate::rows::RowSet;
use pleiad_rank::values::at_most;

/// Training rows that are looked at, from all over them.
const LOOKED_AT: usize = 1 << 13;

/// A network cannot use differences below this: weights of the usual size move a sum by as little as rounding and noise do.
const NEAR: f32 = 0.01;

/// A share of the values (without the commonest one) that lie together; above it there is a warning.
const MOST: f64 = 0.5;

/// Values beside the commonest one below which nothing is said.
const FEW: usize = 10;

/// Different numbers among a few raw rows that have one input; from this number on there is a warning.
const RAW: usize = 5;

/// What is wrong with numeric features that `standardize` or `min_max` scales. `counts` are those of the training rows, and
/// `raw` are some of these as they were read.
///
/// # Errors
/// Those of reading rows from disk.
pub(crate) fn scaled(encoder: &Encoder, train: &RowSet, counts: &[FeatureCount], raw: &RawRows) -> Result<Vec<Alarm>> {
    let features = &encoder.schema().features;
    let is_scaled = |at: &usize| match &features[*at].read {
        FeatureKind::Numeric { transform, .. } => transform.iter().any(is_scaling),
        _ => false,
    };
    let told: Vec<usize> = (0..features.len()).filter(is_scaled).collect();
    if told.is_empty() {
        return Ok(Vec::new());
    }
    let rows = train.spread(LOOKED_AT)?;
    // They are training rows: other code has warned of those that cannot be read.
    let raw = encoder.raw_numbers(raw).ok().zip(encoder.encode_raw(raw).ok());
    let alarm = |at: usize| {
        let column = column_of(encoder, at)?;
        let count = counts.get(at).filter(|count| count.missing < count.rows)?;
        let look = ScaledColumn { name: &features[at].name, transform: transform(&features[at].read), count };
        if encoder.is_constant(at) {
            return Some(look.constant());
        }
        let raw =
            raw.as_ref().and_then(|(numbers, batch)| Some((numbers.get(at)?.as_slice(), of_column(batch, column))));
        look.pressed(of_column(&rows, column)).or_else(|| look.lost(raw?))
    };
    Ok(at_most(told.into_par_iter().filter_map(alarm).collect()))
}

fn is_scaling(step: &Transform) -> bool {
    matches!(step, Transform::Standardize | Transform::MinMax)
}

fn transform(kind: &FeatureKind) -> &[Transform] {
    match kind {
        FeatureKind::Numeric { transform, .. } => transform,
        _ => &[],
    }
}

/// The column of the numeric inputs that a feature has.
fn column_of(encoder: &Encoder, at: usize) -> Option<usize> {
    let name = &encoder.schema().features[at].name;
    encoder.layout().inputs.iter().find_map(|input| match input {
        Input::Numeric { name: own, column } if own == name => Some(*column),
        _ => None,
    })
}

fn of_column(rows: &Batch, column: usize) -> Vec<f32> {
    rows.numeric.iter().skip(column).step_by(rows.numeric_width().max(1)).copied().collect()
}

struct ScaledColumn<'a> {
    name: &'a str,
    transform: &'a [Transform],
    count: &'a FeatureCount,
}

impl ScaledColumn<'_> {
    fn constant(&self) -> Alarm {
        let text = format!(
            "feature {:?} is one number in all rows that its transforms were fitted on, so that nothing can be learned of it; \
             check the column, or remove the feature",
            self.name
        );
        Alarm::new(AlarmKind::ConstantFeature, 0.0, self.count.rows, text).of_feature(self.name)
    }

    /// Whether most of these values, without the commonest one, are nearly one and still differ.
    fn pressed(&self, mut values: Vec<f32>) -> Option<Alarm> {
        values.sort_unstable_by(f32::total_cmp);
        let (least, largest) = (*values.first()?, *values.last()?);
        let runs: Vec<&[f32]> = values.chunk_by(|a, b| a == b).collect();
        let longest = runs.iter().map(|run| run.len()).max()?;
        let commonest = runs.iter().position(|run| run.len() == longest)?;
        let others = values.len() - longest;
        let (mut near, mut first, mut within) = (Near::default(), 0, 0);
        for (last, run) in runs.iter().enumerate() {
            within += if last == commonest { 0 } else { run.len() };
            while run[0] - runs[first][0] > NEAR {
                within -= if first == commonest { 0 } else { runs[first].len() };
                first += 1;
            }
            near = near.max(Near { rows: within, values: last + 1 - first });
        }
        let share = near.rows as f64 / others.max(1) as f64;
        // Where all lie together, nothing lies far away that keeps them there.
        (others >= FEW && share > MOST && near.values > 1 && largest - least > NEAR).then(|| {
            let seen = format!(
                "{} of its values (the commonest one apart), {} different ones, lie within {NEAR} of each other, as others press \
                 them together: they go from {least:.1} to {largest:.1}",
                percent(share),
                near.values
            );
            self.alarm(share, &seen)
        })
    }

    /// Whether different numbers are one input, in the precision of f32.
    fn lost(&self, (numbers, inputs): (&[f64], Vec<f32>)) -> Option<Alarm> {
        // What is beyond a limit is one input because the configuration says so.
        if self.transform.iter().any(|step| matches!(step, Transform::Clip(_))) {
            return None;
        }
        let mut pairs: Vec<(f32, f64)> = inputs.into_iter().zip(numbers.iter().copied()).collect();
        pairs.retain(|(_, number)| !number.is_nan());
        let order = |a: &(f32, f64), b: &(f32, f64)| match a.0.total_cmp(&b.0) {
            Ordering::Equal => a.1.total_cmp(&b.1),
            other => other,
        };
        pairs.sort_unstable_by(order);
        pairs.dedup();
        let alike = pairs.chunk_by(|a, b| a.0 == b.0).map(<[_]>::len).max()?;
        (alike >= RAW).then(|| {
            let seen = format!("{alike} different ones of {} numbers become one number", pairs.len());
            self.alarm(alike as f64 / pairs.len() as f64, &seen)
        })
    }

    fn alarm(&self, share: f64, seen: &str) -> Alarm {
        let log = match self.transform.contains(&Transform::Log1p) {
            true => "",
            false => ", or put \"log1p\" first where values span orders of magnitude",
        };
        let text = format!(
            "feature {:?}: after its transforms {seen}; name a value that stands for a missing one in `null` of [data.csv] and give \
             the feature missing = \"mean\", or limit outliers with {{ clip = [LEAST, MOST] }} before the step that scales{log}",
            self.name
        );
        Alarm::new(AlarmKind::PressedValues, share, self.count.rows, text).of_feature(self.name)
    }
}

/// Rows and different values in a stretch; the more rows the larger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Near {
    rows: usize,
    values: usize,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn standardized(values: &[f64]) -> Vec<f32> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        values.iter().map(|v| ((v - mean) / sd) as f32).collect()
    }

    fn look(values: &[f64]) -> Option<String> {
        let count = FeatureCount::default();
        let look = ScaledColumn { name: "age", transform: &[Transform::Standardize], count: &count };
        let inputs = standardized(values);
        look.pressed(inputs.clone()).or_else(|| look.lost((values, inputs))).map(|alarm| alarm.text)
    }

    /// 0 to 99, again and again.
    fn ages(rows: usize) -> Vec<f64> {
        (0..rows).map(|i| (i * 37 % 100) as f64).collect()
    }

    #[test]
    fn a_value_far_away_that_presses_the_others_together_is_told() {
        for (far, times) in [(99_999_999.0, 1), (99_999_999.0, 60), (1e9, 3), (-99_999_999.0, 900)] {
            let mut values = ages(1000);
            values[..times].fill(far);
            let text = look(&values).unwrap();
            assert!(text.contains("\"age\"") && text.contains("clip") && text.contains("log1p"), "{text}");
        }
        // Two values and one that stands for a missing one.
        let mut flags: Vec<f64> = (0..1000).map(|i| f64::from(i % 2)).collect();
        flags[7] = 99_999_999.0;
        assert!(look(&flags).is_some());
    }

    #[test]
    fn numbers_that_f32_cannot_tell_apart_are_told() {
        let mut values = ages(1000);
        values[999] = 9.2e18;
        assert!(look(&values).unwrap().contains("become one number"), "{:?}", look(&values));
    }

    #[test]
    fn columns_as_they_are_raise_none() {
        let gains = |i: usize| if i.is_multiple_of(25) { (i * 31 % 9000) as f64 } else { 0.0 };
        assert_eq!(look(&ages(1000)), None);
        assert_eq!(look(&(0..1000).map(gains).collect::<Vec<_>>()), None, "nearly all 0");
        assert_eq!(look(&(0..1000).map(|i| f64::from(u8::from(i == 3))).collect::<Vec<_>>()), None, "a flag");
        assert_eq!(look(&(0..1000).map(|i| f64::from(i % 2)).collect::<Vec<_>>()), None, "two values");
        let skewed: Vec<f64> = ages(1000).iter().map(|age| (age / 20.0).exp()).collect();
        assert_eq!(look(&skewed), None);
        assert_eq!(look(&[1.0, 2.0, 1e9]), None, "too few to say");
    }
}
