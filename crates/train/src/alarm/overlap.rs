//! Rows that are in the training files and in those of another split: what is measured on them flatters the model.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::{Alarm, AlarmKind, percent};
use crate::error::Result;
use crate::rows::RowSet;

/// Rows of a split that are looked for, from all over it.
const LOOKED_FOR: usize = 1 << 12;

/// Parts of the training rows that are looked through, from all over them: a million rows.
const PARTS: usize = 256;

/// Parts of a split that rows to look for are taken from.
const SPLIT_PARTS: usize = 64;

/// A share of rows in both splits, beyond what chance gives, above which there is a warning.
const SHARE: f64 = 0.01;

/// So many standard deviations of a share over the rows looked for may be chance.
const DEVIATIONS: f64 = 4.0;

/// Looks for rows of each split, with its name, among the training rows: inputs and labels, as they are encoded.
///
/// A log of few columns with few values has equal rows by chance. As many are among the training rows themselves: what
/// counts is the share beyond theirs.
///
/// # Errors
/// Those of reading rows from disk.
pub(crate) fn shared_rows(train: &RowSet, splits: &[(&'static str, &RowSet)]) -> Result<Vec<Alarm>> {
    if splits.is_empty() {
        return Ok(Vec::new());
    }
    let all = train.map_parts(PARTS, |rows, range| rows.row_hashes(range))?.concat();
    let of_split = |(_, rows): &(&str, &RowSet)| -> Result<Vec<u64>> {
        Ok(thinned(&rows.map_parts(SPLIT_PARTS, |rows, range| rows.row_hashes(range))?.concat()))
    };
    let others = splits.iter().map(of_split).collect::<Result<Vec<_>>>()?;
    let own = thinned(&all);
    let mut counts = Counts::default();
    own.iter().chain(others.iter().flatten()).for_each(|&hash| counts.look_for(hash));
    all.par_iter().for_each(|&hash| counts.count(hash));
    let again = own.iter().filter(|&&hash| counts.of(hash) > 1).count();
    let twice = again as f64 / own.len().max(1) as f64;
    let alarm = |((name, _), hashes): (&(&str, &RowSet), &Vec<u64>)| {
        let looked_for = hashes.len().max(1) as f64;
        let in_both = hashes.iter().filter(|&&hash| counts.of(hash) > 0).count();
        let found = in_both as f64 / looked_for;
        let chance = (twice.max(1.0 / looked_for) * (1.0 - twice) / looked_for).sqrt();
        (found - twice > SHARE.max(DEVIATIONS * chance)).then(|| {
            let all = match name {
                &"test" => "`test`",
                _ => "`valid`",
            };
            let text = format!(
                "{in_both} of {} {name} rows that were looked for ({}) are training rows too, inputs and labels alike, and {} of the \
                 training rows are there twice: what is measured on them flatters the model; check {all} in [data], and take \
                 each row into one split alone",
                hashes.len(),
                percent(found),
                percent(twice),
            );
            Alarm::new(AlarmKind::SharedRows, found, hashes.len() as u64, text)
        })
    };
    Ok(splits.iter().zip(&others).filter_map(alarm).collect())
}

/// At most [`LOOKED_FOR`] of these, from all over.
fn thinned(hashes: &[u64]) -> Vec<u64> {
    let count = hashes.len().min(LOOKED_FOR);
    (0..count).map(|i| hashes[i * hashes.len() / count]).collect()
}

/// How often rows that are looked for were found, by their hash.
#[derive(Default)]
struct Counts(HashMap<u64, AtomicU32, BuildHasherDefault<AsItIs>>);

impl Counts {
    fn look_for(&mut self, hash: u64) {
        self.0.entry(hash).or_default();
    }

    fn count(&self, hash: u64) {
        if let Some(count) = self.0.get(&hash) {
            // The order in which threads count changes no count.
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn of(&self, hash: u64) -> u32 {
        self.0.get(&hash).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// What is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = self.0.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Batch, Dataset, Ids, Labels};

    use super::*;

    /// Rows of one feature with `values` values.
    fn rows(count: usize, seed: u64, values: u64) -> Batch {
        let draw = |i: usize| {
            let mixed = (i as u64 + seed * 1_000_003).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            (mixed ^ mixed >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 20
        };
        Batch {
            rows: count,
            categorical: vec![Ids::Single((0..count).map(|i| draw(i) % values).collect())],
            labels: vec![Labels { values: vec![0.0; count], present: vec![true; count], weights: Vec::new() }],
            ..Batch::default()
        }
    }

    fn found(train: Batch, valid: Batch) -> Vec<Alarm> {
        let [train, valid] = [train, valid].map(|rows| RowSet::Memory(Dataset::from(rows)));
        shared_rows(&train, &[("validation", &valid)]).unwrap()
    }

    const MANY: u64 = 1 << 40;

    #[test]
    fn rows_that_are_in_both_are_counted() {
        let train = rows(9000, 1, MANY);
        let mut valid = rows(300, 2, MANY);
        valid.append(&train.slice(5000..5100));
        let alarms = found(train.clone(), valid);
        assert_eq!((alarms.len(), alarms[0].value), (1, 0.25));
        assert!(alarms[0].text.starts_with("100 of 400 validation rows"), "{}", alarms[0].text);
        let alarms = found(train.clone(), train.slice(100..130));
        assert!(alarms[0].text.starts_with("30 of 30 validation rows"), "{}", alarms[0].text);
    }

    #[test]
    fn rows_that_are_alike_by_chance_raise_none() {
        for values in [3, 50, 2000, 20_000, MANY] {
            assert_eq!(found(rows(5000, 1, values), rows(1000, 2, values)), [], "{values}");
            assert_eq!(found(rows(400, 3, values), rows(120, 4, values)), [], "{values}");
        }
    }
}
