//! Values of features: unknown to a vocabulary, missing, large beside 1, or far from those that were trained on.

use pleiad_data::encode::Encoder;
use pleiad_data::schema::{Encoding, FeatureKind, Transform};
use pleiad_data::{FeatureCount, LARGE_NUMBER};

use crate::alarm::{Alarm, AlarmKind, percent};

/// A share of unknown values of a feature above this gives a warning.
const MOST: f64 = 0.5;

/// So is a share of unknown or missing values that is so much above that of the rows that were trained on.
const GROWN: f64 = 0.2;

/// A share of numbers beyond [`LARGE_NUMBER`] above this gives a warning. No feature that is standardized has as many:
/// at most one value in k^2 lies beyond k standard deviations.
const LARGE_SHARE: f64 = 0.01;

/// A single number of this size gives a warning, however rare it is: a standardized feature of 10^10 rows has none.
const LARGEST: f32 = 1e5;

/// Numbers beyond [`LARGE_NUMBER`] above this share, where training rows hardly had any, lie far from those.
const FAR_SHARE: f64 = 0.05;

/// Features that a warning names.
const NAMED: usize = 10;

/// Rows of one name, such as `training`, and the values of each feature in them.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// What they are called in a message.
    pub name: &'a str,
    /// By feature, in the order of the schema.
    pub counts: &'a [FeatureCount],
}

/// What to do about values that are not as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// The encoder was fitted on the first of the parts.
    Fitted,
    /// The encoder is that of `--init`.
    Init,
    /// A model is measured, or predicts.
    Serving,
}

/// What is wrong with the values of features in `parts`. `base` are the counts of the rows that the encoder was fitted on,
/// where they are known.
#[must_use]
pub fn features(encoder: &Encoder, base: Option<&[FeatureCount]>, parts: &[Part<'_>], context: Context) -> Vec<Alarm> {
    let look = Look { encoder, base: base.unwrap_or_default(), parts, context };
    let mut alarms = Vec::new();
    if context != Context::Serving {
        alarms.extend(look.large());
    }
    let of_feature = |at: usize| [look.unknown(at), look.missing(at), look.far(at)].into_iter().flatten();
    let found: Vec<Alarm> = (0..encoder.schema().features.len()).flat_map(of_feature).collect();
    alarms.extend(at_most(found));
    alarms
}

/// Some alarms of a kind say what all of them would.
#[must_use]
pub fn at_most(found: Vec<Alarm>) -> Vec<Alarm> {
    let mut kept: Vec<Alarm> = Vec::new();
    let mut more: Vec<(AlarmKind, usize)> = Vec::new();
    for alarm in found {
        let kind = alarm.kind;
        if kept.iter().filter(|other| other.kind == kind).count() < NAMED {
            kept.push(alarm);
        } else if let Some((_, count)) = more.iter_mut().find(|(other, _)| *other == kind) {
            *count += 1;
        } else {
            more.push((kind, 1));
        }
    }
    for (kind, count) in more {
        if let Some(last) = kept.iter_mut().rev().find(|alarm| alarm.kind == kind) {
            last.text.push_str(&format!("; the same holds of {count} more features"));
        }
    }
    kept
}

struct Look<'a> {
    encoder: &'a Encoder,
    base: &'a [FeatureCount],
    parts: &'a [Part<'a>],
    context: Context,
}

impl Look<'_> {
    fn name(&self, at: usize) -> &str {
        &self.encoder.schema().features[at].name
    }

    /// Counts of feature `at` in each part that has rows.
    fn counts(&self, at: usize) -> impl Iterator<Item = (&str, &FeatureCount)> {
        self.parts.iter().filter_map(move |part| Some((part.name, part.counts.get(at)?))).filter(|(_, c)| c.rows > 0)
    }

    fn base(&self, at: usize, share: fn(&FeatureCount) -> f64) -> f64 {
        self.base.get(at).map_or(0.0, share)
    }

    fn unknown(&self, at: usize) -> Option<Alarm> {
        let FeatureKind::Categorical { encoding: Encoding::Vocabulary(_), table, .. } =
            &self.encoder.schema().features[at].read
        else {
            return None;
        };
        // Every value is unknown to a vocabulary without one: `missing` says why.
        let is_empty = |count: &FeatureCount| count.rows > 0 && count.missing == count.rows;
        let fitted_on = self.parts.first().and_then(|part| part.counts.get(at));
        if self.context == Context::Fitted && fitted_on.is_some_and(is_empty) {
            return None;
        }
        let (name, base) = (self.name(at), self.base(at, FeatureCount::unknown_share));
        let is_large = |count: &FeatureCount| {
            let share = count.unknown_share();
            share > MOST || share > base + GROWN
        };
        let told: Vec<(&str, &FeatureCount)> = self.counts(at).filter(|(_, count)| is_large(count)).collect();
        let (_, worst) = told.iter().max_by(|a, b| a.1.unknown_share().total_cmp(&b.1.unknown_share()))?;
        let of_part = |(part, count): &(&str, &FeatureCount)| {
            format!(
                "{} of its values in {part} ({} of {})",
                percent(count.unknown_share()),
                count.unknown,
                count.values
            )
        };
        let parts: Vec<String> = told.iter().map(of_part).collect();
        let example = told.iter().find_map(|(_, count)| count.first_unknown.as_ref());
        let example = match (example, self.encoder.value_of_row(table, 1)) {
            (Some(unknown), Some(known)) => format!(", such as {unknown:?} (a known one is {known:?})"),
            (Some(unknown), None) => format!(", such as {unknown:?}"),
            (None, _) => String::new(),
        };
        let before = match self.context {
            Context::Fitted
                if told.iter().any(|(part, _)| self.parts.first().is_some_and(|first| first.name == *part)) =>
            {
                String::new()
            }
            _ => format!("; {} were in the rows that the vocabulary was fitted on", percent(base)),
        };
        let advice = match self.context {
            Context::Fitted if before.is_empty() => "lower `min_count` or raise `max_size` of its vocabulary",
            Context::Fitted => "check that all files write its values alike",
            Context::Init => {
                "--init keeps the vocabulary of its model: check that both write its values alike; for new values, train \
                 without --init, or use encoding = { hash = ROWS }, which has a row for every value"
            }
            Context::Serving => {
                "check that its values are written as in the training rows; for new values, train the model again with them"
            }
        };
        let text = format!(
            "feature {name:?}: {} are unknown to its vocabulary{example} and share one row of its table{before}; {advice}",
            parts.join(" and "),
        );
        let alarm = Alarm::new(AlarmKind::UnknownValues, worst.unknown_share(), worst.rows, text);
        Some(alarm.of_feature(name))
    }

    fn missing(&self, at: usize) -> Option<Alarm> {
        let (name, base) = (self.name(at), self.base(at, FeatureCount::missing_share));
        let first = self.parts.first().map(|part| part.name);
        let is_fitted_on = |part: &str| self.context == Context::Fitted && first == Some(part);
        let is_large = |part: &str, count: &FeatureCount| match is_fitted_on(part) {
            true => count.missing == count.rows,
            false => count.missing_share() > base + GROWN,
        };
        let told: Vec<(&str, &FeatureCount)> = self.counts(at).filter(|(part, count)| is_large(part, count)).collect();
        let (_, worst) = told.iter().max_by(|a, b| a.1.missing_share().total_cmp(&b.1.missing_share()))?;
        let of_part = |(part, count): &(&str, &FeatureCount)| {
            format!("{} of {part} ({} of {})", percent(count.missing_share()), count.missing, count.rows)
        };
        let parts: Vec<String> = told.iter().map(of_part).collect();
        let advice = match told.iter().any(|(part, _)| is_fitted_on(part)) {
            true => "nothing can be learned of it; check the column and `null`, or remove the feature".to_owned(),
            false => format!(
                "{} of the rows that it was fitted on lack it; check the column, and how missing values are written",
                percent(base)
            ),
        };
        let text = format!("feature {name:?} has no value in {}; {advice}", parts.join(" and in "));
        Some(Alarm::new(AlarmKind::MissingValues, worst.missing_share(), worst.rows, text).of_feature(name))
    }

    /// Numeric features of the first part whose size would drown the others.
    fn large(&self) -> Option<Alarm> {
        let part = self.parts.first()?;
        let is_large = |count: &FeatureCount| count.large_share() > LARGE_SHARE || count.largest > LARGEST;
        let features = &self.encoder.schema().features;
        // Waves are of one size, whatever the number is.
        let is_read = |at: usize| features.get(at).is_some_and(|f| !matches!(f.read, FeatureKind::Periodic { .. }));
        let told: Vec<(usize, &FeatureCount)> =
            part.counts.iter().enumerate().filter(|(at, c)| is_read(*at) && is_large(c)).collect();
        let (first, most) = told.first()?;
        let size = |(at, count): &(usize, &FeatureCount)| {
            let of = format!("{} of {}", percent(count.large_share()), part.name);
            format!("{:?} (up to {}; {of} beyond {LARGE_NUMBER})", self.name(*at), short(count.largest))
        };
        let mut names: Vec<String> = told.iter().take(NAMED).map(size).collect();
        if told.len() > NAMED {
            names.push(format!("{} more", told.len() - NAMED));
        }
        let has_some = told.iter().any(|(at, _)| match &features[*at].read {
            FeatureKind::Numeric { transform, .. } => transform.iter().any(|step| *step != Transform::Standardize),
            _ => false,
        });
        let add = match has_some {
            true => "add \"standardize\" to the end of `transform`",
            false => {
                "give them transform = [\"standardize\"], or [\"log1p\", \"standardize\"] where values span orders of magnitude"
            }
        };
        let text = format!(
            "numeric features are large beside 1 after their transforms, and drown the others: {}; {add}",
            names.join(", ")
        );
        let alarm = Alarm::new(AlarmKind::LargeInput, f64::from(most.largest), most.rows, text);
        Some(if told.len() == 1 { alarm.of_feature(self.name(*first)) } else { alarm })
    }

    /// A numeric feature that is large where it was not in the rows that its transforms were fitted on.
    fn far(&self, at: usize) -> Option<Alarm> {
        let base = self.base.get(at)?;
        let is_far = |count: &FeatureCount| base.large_share() <= LARGE_SHARE && count.large_share() > FAR_SHARE;
        let (part, count) = self.counts(at).find(|(_, count)| is_far(count))?;
        let text = format!(
            "feature {:?}: {} of its values in {part} are beyond {LARGE_NUMBER} after its transforms, up to {}; in the rows that \
             they were fitted on {} were, up to {}; check that its unit and its column are the same",
            self.name(at),
            percent(count.large_share()),
            short(count.largest),
            percent(base.large_share()),
            short(base.largest)
        );
        Some(Alarm::new(AlarmKind::FarValues, count.large_share(), count.rows, text).of_feature(self.name(at)))
    }
}

fn short(value: f32) -> String {
    if value >= 1e5 { format!("{value:.1e}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_alarms_of_a_kind_some_are_told_and_the_rest_counted() {
        let alarm = |kind, at: usize| Alarm::new(kind, 0.6, 10, format!("feature {at}"));
        let mut found: Vec<Alarm> = (0..14).map(|at| alarm(AlarmKind::UnknownValues, at)).collect();
        found.push(alarm(AlarmKind::MissingValues, 14));
        let kept = at_most(found);
        assert_eq!(kept.len(), NAMED + 1);
        assert_eq!(kept[NAMED - 1].text, "feature 9; the same holds of 4 more features");
        assert_eq!(kept[NAMED].text, "feature 14");
    }
}
