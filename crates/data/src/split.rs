//! Splits the rows of the training files into training, validation and test rows.

use std::cmp::Ordering;

use xxhash_rust::xxh64::xxh64;

use crate::compare::{Comparand, Purpose};
use crate::error::Reason;
use crate::read::{Cell, Column};
use crate::schema::{DataConfig, PartConfig, Scalar, SplitConfig};

/// Seed of the XXH64 that a split by fraction applies to a row's position (little-endian u64, counted from 0 over all
/// training files, bad rows included). It never changes: the same rows are in the same split in every run.
pub const SPLIT_SEED: u64 = 0x5eed;

/// What a row is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Split {
    /// Trained on.
    Train,
    /// Decides when to stop, and which weights are best.
    Valid,
    /// Measures the result.
    Test,
}

impl Split {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Train, Self::Valid, Self::Test];

    /// As in "there is no ... row".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "training",
            Self::Valid => "validation",
            Self::Test => "test",
        }
    }
}

/// The parts of the training files that validate and test.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SplitRules {
    valid: Option<HeldOut>,
    test: Option<HeldOut>,
}

/// One of them, with what cells are compared with.
#[derive(Debug, Clone, PartialEq)]
struct HeldOut {
    config: PartConfig,
    equals: Option<Comparand>,
    from: Option<Comparand>,
    to: Option<Comparand>,
}

impl SplitRules {
    /// The rules among a configuration's splits; splits with files of their own are none.
    #[must_use]
    pub fn new(data: &DataConfig) -> Self {
        let part = |split: &Option<SplitConfig>| match split {
            Some(SplitConfig::Part(part)) if !part.memory => Some(HeldOut::new(part)),
            _ => None,
        };
        Self { valid: part(&data.valid), test: part(&data.test) }
    }

    /// Whether all rows are trained on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.valid.is_none() && self.test.is_none()
    }

    /// Columns that decide: of the validation rows, of the test rows.
    #[must_use]
    pub fn columns(&self) -> [Option<&str>; 2] {
        [&self.valid, &self.test].map(|part| part.as_ref().and_then(|part| part.config.column.as_deref()))
    }

    /// A value of the rule for the column of number `at` that no value of `column` can be compared with: its key, itself, and
    /// what to do.
    pub(crate) fn misfit(&self, at: usize, column: &Column) -> Option<(&'static str, &Scalar, &'static str)> {
        let (part, keys) = match at {
            0 => (self.valid.as_ref()?, ["valid.equals", "valid.from", "valid.to"]),
            _ => (self.test.as_ref()?, ["test.equals", "test.from", "test.to"]),
        };
        let PartConfig { equals, from, to, .. } = &part.config;
        let all = [(equals, &part.equals), (from, &part.from), (to, &part.to)];
        all.into_iter().zip(keys).find_map(|((scalar, own), key)| {
            let purpose = if key.ends_with("equals") { Purpose::Equal } else { Purpose::Bound };
            Some((key, scalar.as_ref()?, own.as_ref()?.misfit(column, purpose)?))
        })
    }

    /// The split of the row at `position`, given its values in [`SplitRules::columns`].
    ///
    /// # Errors
    /// The reason, and the number of the column at fault, if a value is missing or cannot be compared.
    pub fn assign(&self, position: u64, cells: [Cell<'_>; 2]) -> Result<Split, (usize, Reason)> {
        let by_value = |part: &Option<HeldOut>, at: usize| match part {
            Some(part) if part.config.column.is_some() => part.holds(&cells[at]).map_err(|reason| (at, reason)),
            _ => Ok(false),
        };
        // Both are asked, so that a value that cannot be compared never goes unnoticed.
        let (valid, test) = (by_value(&self.valid, 0)?, by_value(&self.test, 1)?);
        if test {
            return Ok(Split::Test);
        }
        if valid {
            return Ok(Split::Valid);
        }
        // Validation rows are taken from one end and test rows from the other, so that neither share moves the other.
        let share = |part: &Option<HeldOut>| part.as_ref().and_then(|part| part.config.fraction).unwrap_or(0.0);
        let place = (xxh64(&position.to_le_bytes(), SPLIT_SEED) >> 11) as f64 / (1u64 << 53) as f64;
        if place >= 1.0 - share(&self.test) {
            Ok(Split::Test)
        } else if place < share(&self.valid) {
            Ok(Split::Valid)
        } else {
            Ok(Split::Train)
        }
    }
}

impl HeldOut {
    fn new(config: &PartConfig) -> Self {
        let comparand = |scalar: &Option<Scalar>| scalar.as_ref().map(Comparand::new);
        let [equals, from, to] = [&config.equals, &config.from, &config.to].map(comparand);
        Self { config: config.clone(), equals, from, to }
    }

    fn holds(&self, cell: &Cell<'_>) -> Result<bool, Reason> {
        if matches!(cell, Cell::Missing) {
            return Err(Reason::MissingSplit);
        }
        if let Some(value) = &self.equals {
            return Ok(value.equals(cell));
        }
        let mut holds = true;
        for (bound, is_in) in [(&self.from, Ordering::is_ge as fn(Ordering) -> bool), (&self.to, Ordering::is_lt)] {
            if let Some(bound) = bound {
                let order =
                    bound.order(cell).ok_or_else(|| Reason::Incomparable { bound: bound.scalar().to_string() })?;
                holds &= is_in(order);
            }
        }
        Ok(holds)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(text: &str) -> SplitRules {
        SplitRules::new(&toml::from_str(&format!("train = 'a.csv'\n{text}")).unwrap())
    }

    fn count(rules: &SplitRules, rows: u64) -> [usize; 3] {
        let mut counts = [0; 3];
        for position in 0..rows {
            counts[rules.assign(position, [Cell::Missing; 2]).unwrap() as usize] += 1;
        }
        counts
    }

    #[test]
    fn fractions_are_kept_to() {
        let counts = count(&rules("valid = { fraction = 0.1 }\ntest = { fraction = 0.2 }"), 100_000);
        assert!((counts[1] as f64 - 10_000.0).abs() < 300.0, "{counts:?}");
        assert!((counts[2] as f64 - 20_000.0).abs() < 400.0, "{counts:?}");
    }

    #[test]
    fn fractions_do_not_change_from_release_to_release() {
        let rules = rules("valid = { fraction = 0.25 }\ntest = { fraction = 0.25 }");
        let first: Vec<usize> = (0..16).map(|p| rules.assign(p, [Cell::Missing; 2]).unwrap() as usize).collect();
        // By another implementation of XXH64, from its specification.
        assert_eq!(first, [2, 0, 1, 1, 1, 0, 1, 2, 0, 0, 1, 1, 0, 2, 2, 0]);
    }

    #[test]
    fn files_are_no_rules() {
        assert!(rules("valid = 'b.csv'").is_empty());
    }

    #[test]
    fn values_decide_before_fractions_and_test_before_valid() {
        let rules = rules("valid = { column = 'day', from = 5 }\ntest = { column = 'day', from = 6, to = 8 }");
        assert_eq!(rules.columns(), [Some("day"); 2]);
        let of = |cell| rules.assign(0, [cell; 2]);
        assert_eq!(of(Cell::Int(4)), Ok(Split::Train));
        assert_eq!(of(Cell::Text("5")), Ok(Split::Valid));
        assert_eq!(of(Cell::Float(6.0)), Ok(Split::Test));
        assert_eq!(of(Cell::Int(8)), Ok(Split::Valid));
        assert_eq!(of(Cell::Missing), Err((0, Reason::MissingSplit)));
        assert_eq!(of(Cell::Text("soon")), Err((0, Reason::Incomparable { bound: "5".into() })));
    }

    #[test]
    fn texts_compare_as_texts() {
        let rules = rules("test = { column = 'day', from = '2024-02-01' }");
        let of = |day| rules.assign(0, [Cell::Missing, Cell::Text(day)]).unwrap();
        assert_eq!((of("2024-01-31"), of("2024-02-01"), of("2024-10-01")), (Split::Train, Split::Test, Split::Test));
    }

    #[test]
    fn times_compare_as_times_however_they_are_written() {
        let rules = rules("test = { column = 'ts', from = '2026-01-06 12:00:00', to = 2026-01-07 }");
        let of = |ts| rules.assign(0, [Cell::Missing, Cell::Text(ts)]);
        for (ts, split) in [
            ("2026-01-06T11:59:59.999", Split::Train),
            ("2026-01-06T12:00:00", Split::Test),
            ("2026-01-06 12:00:00.000", Split::Test),
            ("2026-01-06 23:59:59+00:00", Split::Test),
            ("2026-01-07", Split::Train),
        ] {
            assert_eq!(of(ts), Ok(split), "{ts}");
        }
        let bound = "\"2026-01-06 12:00:00\"".to_owned();
        assert_eq!(of("soon"), Err((1, Reason::Incomparable { bound })));
    }

    proptest! {
        #[test]
        fn one_share_does_not_move_the_other(position: u64, valid in 0.01f64..0.5, test in 0.01f64..0.49) {
            let split = |text: &str| rules(text).assign(position, [Cell::Missing; 2]).unwrap();
            let both = split(&format!("valid = {{ fraction = {valid} }}\ntest = {{ fraction = {test} }}"));
            let alone = split(&format!("valid = {{ fraction = {valid} }}"));
            prop_assert_eq!(both == Split::Valid, alone == Split::Valid);
            let alone = split(&format!("test = {{ fraction = {test} }}"));
            prop_assert_eq!(both == Split::Test, alone == Split::Test);
        }
    }
}
