//! Numeric features: cells into f64, transforms, and the statistics that transforms are fitted with.

use serde::{Deserialize, Serialize};

use super::bad_cells::BadCells;
use crate::error::{Hint, Reason};
use crate::read::{Cell, Column};
use crate::schema::{Missing, Transform};

use arrow::array::Array;

/// Texts that other programs write for a missing value.
const NULL_SPELLINGS: [&str; 10] = ["NA", "N/A", "NULL", "null", "None", "NaN", "nan", "-", "?", "\\N"];

/// Places of [`Lately`].
const PLACES: usize = 64;

/// Results of [`apply`] for the numbers that came lately: columns have few different ones, or many of one value, and a
/// logarithm costs more than to look here.
pub(super) struct Lately<'s> {
    steps: &'s [Step],
    /// A number's bits and its result, at a place that follows from the bits.
    places: [(u64, f64); PLACES],
}

impl<'s> Lately<'s> {
    pub(super) fn new(steps: &'s [Step]) -> Self {
        Self { steps, places: [(f64::NAN.to_bits(), f64::NAN); PLACES] }
    }

    /// `apply(steps, value)`; of NaN it is NaN.
    #[inline]
    pub(super) fn apply(&mut self, value: f64) -> f64 {
        let bits = value.to_bits();
        // The upper bits of a product depend on all bits of its factors.
        let place = bits.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - PLACES.ilog2());
        let place = &mut self.places[place as usize];
        if place.0 != bits {
            *place = (bits, apply(self.steps, value));
        }
        place.1
    }
}

/// Parses a column into numbers; NaN stands for a missing one (a column never holds a NaN of its own).
pub(super) fn parse(
    name: &str,
    column: &Column,
    transform: &[Transform],
    missing: Missing,
    bad: &mut BadCells,
) -> Vec<f64> {
    let may_miss = missing != Missing::Error;
    let needs_check = transform.contains(&Transform::Log1p);
    let checked = |cell: Cell<'_>| match check(cell, may_miss) {
        Ok(number) if needs_check && outside_of_domain(transform, number) => Err(Reason::Log1p),
        checked => checked,
    };
    let mut number = |row: usize, cell: Cell<'_>| {
        checked(cell).unwrap_or_else(|reason| {
            bad.push(row, name, cell, reason);
            f64::NAN
        })
    };
    match column {
        // The common case apart, so that its loop holds no choice of type.
        Column::Text(texts) if texts.null_count() == 0 => {
            texts.iter().flatten().enumerate().map(|(row, text)| number(row, Cell::Text(text))).collect()
        }
        Column::Repeated(repeated) => {
            let good = repeated.map(|text| checked(text.map_or(Cell::Missing, Cell::Text)).ok());
            let or_say_why = |(row, good): (usize, Option<f64>)| good.unwrap_or_else(|| number(row, column.cell(row)));
            good.into_iter().enumerate().map(or_say_why).collect()
        }
        // Without a transform, and without a mean, the input is the float itself, whatever number it stands for.
        Column::Single(floats) if transform.is_empty() && missing != Missing::Mean => {
            let known = |(row, value): (usize, Option<f32>)| match value {
                Some(value) if value.is_finite() => value.into(),
                _ => number(row, column.cell(row)),
            };
            floats.iter().enumerate().map(known).collect()
        }
        column => (0..column.len()).map(|row| number(row, column.cell(row))).collect(),
    }
}

/// A cell as a finite number in f32's range; NaN for an allowed missing one.
fn check(cell: Cell<'_>, may_miss: bool) -> Result<f64, Reason> {
    match cell {
        Cell::Missing if may_miss => Ok(f64::NAN),
        Cell::Missing => Err(Reason::MissingNumber),
        cell => match finite(cell) {
            Err(_) if cell.is_nan_text() && may_miss => Ok(f64::NAN),
            Err(_) if cell.is_nan_text() => Err(Reason::Nan),
            checked => checked,
        },
    }
}

/// A cell as a finite number in f32's range.
pub(super) fn finite(cell: Cell<'_>) -> Result<f64, Reason> {
    let number = cell.number().ok_or_else(|| Reason::NotANumber { hint: hint(cell) })?;
    if !number.is_finite() {
        // A text such as 1e999 is finite where it stands, and infinite only as a number.
        let is_written_out = matches!(cell, Cell::Text(text) if text.contains(|c: char| c.is_ascii_digit()));
        return Err(if is_written_out { Reason::TooLarge } else { Reason::NotFinite });
    }
    if number.abs() > f64::from(f32::MAX) { Err(Reason::TooLarge) } else { Ok(number) }
}

fn hint(cell: Cell<'_>) -> Option<Hint> {
    let Cell::Text(text) = cell else { return None };
    let trimmed = text.trim();
    if trimmed.is_empty() || NULL_SPELLINGS.contains(&trimmed) {
        Some(Hint::Null)
    } else if trimmed.len() != text.len() && trimmed.parse::<f64>().is_ok() {
        Some(Hint::Trim)
    } else {
        None
    }
}

/// Whether a log1p that stands before every fitted step is not defined for `number`. The schema sees to it that a later
/// one always is.
pub(crate) fn outside_of_domain(transform: &[Transform], number: f64) -> bool {
    let mut value = number;
    for step in transform {
        match *step {
            Transform::Log1p if value <= -1.0 => return true,
            Transform::Log1p => value = value.ln_1p(),
            Transform::Clip([lo, hi]) => value = value.clamp(lo, hi),
            Transform::Standardize | Transform::MinMax => return false,
        }
    }
    false
}

/// A transform with its statistics.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// ln(1 + v).
    Log1p,
    /// (v - mean) / std, or 0 where std is 0.
    Standardize {
        /// Mean of the training rows' values.
        mean: f64,
        /// Standard deviation of the training rows' values.
        std: f64,
    },
    /// (v - min) / (max - min), or 0 where they are equal.
    MinMax {
        /// Least value of the training rows.
        min: f64,
        /// Greatest value of the training rows.
        max: f64,
    },
    /// max(lo, min(hi, v)).
    Clip([f64; 2]),
}

impl Step {
    fn apply(&self, value: f64) -> f64 {
        match *self {
            Self::Log1p => value.ln_1p(),
            Self::Standardize { mean, std } => {
                if std > 0.0 {
                    (value - mean) / std
                } else {
                    0.0
                }
            }
            Self::MinMax { min, max } => {
                if max > min {
                    (value - min) / (max - min)
                } else {
                    0.0
                }
            }
            Self::Clip([lo, hi]) => value.clamp(lo, hi),
        }
    }

    /// Why a step that was read from a file cannot be one, and whether it is the one that `transform` asks for.
    pub(super) fn check(&self, transform: &Transform) -> Result<(), String> {
        let is_sound = match *self {
            Self::Log1p => true,
            Self::Standardize { mean, std } => mean.is_finite() && std.is_finite() && std >= 0.0,
            Self::MinMax { min, max } => min.is_finite() && max.is_finite() && min <= max,
            Self::Clip([lo, hi]) => lo.is_finite() && hi.is_finite() && lo < hi,
        };
        if !is_sound {
            return Err(format!("{self:?} holds impossible numbers"));
        }
        match (self, transform) {
            (Self::Log1p, Transform::Log1p)
            | (Self::Standardize { .. }, Transform::Standardize)
            | (Self::MinMax { .. }, Transform::MinMax) => Ok(()),
            (Self::Clip(a), Transform::Clip(b)) if a == b => Ok(()),
            _ => Err(format!("{self:?} stands where the schema has {transform:?}")),
        }
    }
}

/// Applies steps in order.
pub(super) fn apply(steps: &[Step], value: f64) -> f64 {
    steps.iter().fold(value, |value, step| step.apply(value))
}

/// Count, mean and sum of squared deviations by Welford's update, and the extremes. The order of the values is that of
/// the rows, so that the result does not depend on chunks or threads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    pub(super) count: u64,
    pub(super) mean: f64,
    squares: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self { count: 0, mean: 0.0, squares: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Moments {
    pub(super) fn observe(&mut self, value: f64) {
        self.count += 1;
        let delta = value - self.mean;
        self.mean += delta / self.count as f64;
        self.squares += delta * (value - self.mean);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Population standard deviation; 0 of no values, and of values that are all equal.
    pub(super) fn std(&self) -> f64 {
        // Rounding of the running mean leaves a trace of deviation even where there is none.
        if self.count == 0 || self.min == self.max {
            return 0.0;
        }
        let std = (self.squares / self.count as f64).sqrt();
        if std.is_finite() { std } else { 0.0 }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use arrow::array::{Float32Array, Float64Array, StringArray};
    use proptest::prelude::*;

    fn text(values: &[Option<&str>]) -> Column {
        Column::Text(StringArray::from(values.to_vec()))
    }

    fn reasons(column: &Column, transform: &[Transform], missing: Missing) -> Vec<(usize, Reason)> {
        let mut bad = BadCells::default();
        parse("x", column, transform, missing, &mut bad);
        bad.into_reasons()
    }

    #[test]
    fn texts_and_numbers_parse_alike() {
        let mut bad = BadCells::default();
        let from_text = parse("x", &text(&[Some("1.5"), Some("-2"), Some("1e3"), None]), &[], Missing::Zero, &mut bad);
        let floats = Column::Float(Float64Array::from(vec![Some(1.5), Some(-2.0), Some(1000.0), None]));
        let from_floats = parse("x", &floats, &[], Missing::Zero, &mut bad);
        assert_eq!(from_text[..3], [1.5, -2.0, 1000.0]);
        assert_eq!(from_text[..3], from_floats[..3]);
        assert!(from_text[3].is_nan() && from_floats[3].is_nan() && bad.is_empty());
    }

    #[test]
    fn what_is_no_finite_number_is_bad() {
        let column =
            text(&[Some("abc"), Some("NaN"), Some("inf"), Some("1e39"), Some("1e999"), Some(" 1"), Some("NA"), None]);
        let hints = |hint| Reason::NotANumber { hint };
        assert_eq!(
            reasons(&column, &[], Missing::Error),
            [
                (0, hints(None)),
                (1, Reason::Nan),
                (2, Reason::NotFinite),
                (3, Reason::TooLarge),
                (4, Reason::TooLarge),
                (5, hints(Some(Hint::Trim))),
                (6, hints(Some(Hint::Null))),
                (7, Reason::MissingNumber),
            ]
        );
        let floats = Column::Float(Float64Array::from(vec![f64::NAN, f64::NEG_INFINITY, 1.0]));
        assert_eq!(reasons(&floats, &[], Missing::Mean), [(1, Reason::NotFinite)]);
        assert_eq!(reasons(&floats, &[], Missing::Error), [(0, Reason::MissingNumber), (1, Reason::NotFinite)]);
        for missing in [Missing::Mean, Missing::Zero] {
            let floats = Column::Single(Float32Array::from(vec![f32::NAN, f32::NEG_INFINITY, 1.0]));
            assert_eq!(reasons(&floats, &[], missing), [(1, Reason::NotFinite)]);
            let numbers =
                parse("x", &text(&[Some("NaN"), Some("nan"), Some("-nan")]), &[], missing, &mut BadCells::default());
            assert!(numbers.iter().all(|number| number.is_nan()), "{numbers:?}");
        }
    }

    #[test]
    fn narrow_floats_are_the_numbers_that_csv_holds() {
        let (floats, texts) = (vec![0.1, 2.7, -12.34, 1e-5], [Some("0.1"), Some("2.7"), Some("-12.34"), Some("1e-5")]);
        let floats = Column::Single(Float32Array::from(floats));
        for (transform, missing) in [(&[Transform::Standardize][..], Missing::Error), (&[], Missing::Mean)] {
            let mut bad = BadCells::default();
            let from_text = parse("x", &text(&texts), transform, missing, &mut bad);
            assert_eq!(parse("x", &floats, transform, missing, &mut bad), from_text);
        }
        let as_they_are = parse("x", &floats, &[], Missing::Zero, &mut BadCells::default());
        assert_eq!(as_they_are[0] as f32, 0.1);
    }

    #[test]
    fn log1p_has_a_domain() {
        let column = text(&[Some("-1"), Some("-0.5"), Some("-3")]);
        let log1p = Transform::Log1p;
        assert_eq!(reasons(&column, &[log1p], Missing::Error), [(0, Reason::Log1p), (2, Reason::Log1p)]);
        assert_eq!(reasons(&column, &[Transform::Clip([-0.9, 1.0]), log1p], Missing::Error), []);
        // ln(1 - 0.5) = -0.69 is in the domain, its own log1p is not a problem; ln(1 + -0.7) = -1.2 is.
        let twice = text(&[Some("-0.5"), Some("-0.7")]);
        assert_eq!(reasons(&twice, &[log1p, log1p], Missing::Error), [(1, Reason::Log1p)]);
    }

    proptest! {
        #[test]
        fn what_came_lately_changes_nothing(
            values in prop::collection::vec(prop_oneof![prop::num::f64::NORMAL, (0..90u8).prop_map(f64::from)], 0..400),
        ) {
            let steps = [Step::Clip([-0.5, 1e300]), Step::Log1p];
            let mut lately = Lately::new(&steps);
            for &value in &values {
                prop_assert_eq!(lately.apply(value).to_bits(), apply(&steps, value).to_bits());
            }
            prop_assert!(lately.apply(f64::NAN).is_nan());
        }
    }

    #[test]
    fn steps_apply_in_order() {
        let steps = [Step::Log1p, Step::Clip([0.0, 1.0]), Step::Standardize { mean: 0.5, std: 0.25 }];
        assert_eq!(apply(&steps, 100.0), 2.0);
        assert_eq!(apply(&steps, 0.0), -2.0);
        assert_eq!(apply(&[Step::MinMax { min: 2.0, max: 4.0 }], 5.0), 1.5);
        assert_eq!(apply(&[Step::MinMax { min: 2.0, max: 2.0 }], 5.0), 0.0);
        assert_eq!(apply(&[Step::Standardize { mean: 2.0, std: 0.0 }], 5.0), 0.0);
    }

    #[test]
    fn moments_survive_a_large_offset() {
        let mut moments = Moments::default();
        for i in 0..1000 {
            moments.observe(1e9 + f64::from(i % 2));
        }
        assert_eq!(moments.mean, 1e9 + 0.5);
        assert!((moments.std() - 0.5).abs() < 1e-9, "{}", moments.std());
    }

    #[test]
    fn equal_values_have_no_deviation() {
        let mut moments = Moments::default();
        (0..1000).for_each(|_| moments.observe(0.1));
        assert_eq!(moments.std(), 0.0);
        assert_eq!(Moments::default().std(), 0.0);
    }

    proptest! {
        #[test]
        fn moments_equal_the_two_pass_formula(values in prop::collection::vec(-1e6f64..1e6, 1..200)) {
            let mut moments = Moments::default();
            values.iter().for_each(|&v| moments.observe(v));
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let std = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
            prop_assert!((moments.mean - mean).abs() <= 1e-9 * 1e6);
            prop_assert!((moments.std() - std).abs() <= 1e-9 * 1e6);
        }
    }
}
