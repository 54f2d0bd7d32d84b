//! [`Explained`]: why a candidate stands where it does.

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use pleiad_data::FeatureCount;
use pleiad_data::schema::Schema;
use pleiad_engine::{GateRows, Predictions};
use pleiad_rank::{Error, Model, Rows, Scorer, Shares};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::refusal::{Place, Refusal};

/// The most candidates of an answer that are explained: an explanation may be much longer than the candidate.
const MOST: usize = 1000;

/// Why a candidate stands where it does.
#[derive(Debug, Serialize)]
pub(crate) struct Explained<'a> {
    shares: SharesShown<'a>,
    /// By level, the lowest first: the weights of each gate by expert.
    gates: Vec<Level<'a>>,
    /// Features with a value that their vocabulary does not have.
    unknown: Vec<&'a str>,
    /// Features without a value.
    missing: Vec<&'a str>,
}

/// Refuses to explain too many candidates.
pub(crate) fn check(candidates: usize) -> Result<(), Refusal> {
    if candidates <= MOST {
        return Ok(());
    }
    let message = format!("`explain` of {candidates} candidates; {MOST} are the most");
    let advice = format!("give \"top\": {MOST} or less, or send fewer candidates");
    let place = Place { field: Some("explain".to_owned()), ..Place::default() };
    Err(Refusal::new(413, "too_many_explained", message, advice).at(place))
}

/// Explains candidates `order` of `records`, in that order; `predictions` and `rows` are those of all of them.
pub(crate) fn candidates<'a>(
    model: &'a Model,
    scorer: &Scorer,
    records: &RecordBatch,
    order: &[usize],
    predictions: &Predictions,
    rows: &Rows,
    refuse: &dyn Fn(Error) -> Refusal,
) -> Result<Vec<Explained<'a>>, Refusal> {
    let schema = model.encoder().schema();
    let at: UInt64Array = order.iter().map(|&candidate| candidate as u64).collect();
    let ranked = take_record_batch(records, &at).map_err(|error| {
        Refusal::new(500, "internal", error.to_string(), "this is a mistake of the server; report it")
    })?;
    let encoded = model.encode(&ranked).map_err(refuse)?;
    let gates = model.gate_weights(&encoded).map_err(refuse)?;
    let levels = Levels::of(&gates);
    let falls_back = rows.counts.iter().any(|count| count.unknown > 0 || count.missing > 0);
    let explained = order.iter().enumerate().map(|(place, &candidate)| {
        // Features are counted over rows; the counts of one row say what it lacks.
        let counts =
            if falls_back { model.encode(&ranked.slice(place, 1)).map_err(refuse)?.counts } else { Vec::new() };
        let shares = scorer.shares(predictions, &rows.numbers, candidate);
        Ok(Explained {
            shares: SharesShown { tasks: schema.tasks.iter().map(|task| task.name.as_str()).collect(), shares },
            gates: levels.of_row(place),
            unknown: named(schema, &counts, |count| count.unknown > 0),
            missing: named(schema, &counts, |count| count.missing > 0),
        })
    });
    explained.collect()
}

fn named<'a>(schema: &'a Schema, counts: &[FeatureCount], is: fn(&FeatureCount) -> bool) -> Vec<&'a str> {
    let features = schema.features.iter().zip(counts);
    features.filter(|(_, count)| is(count)).map(|(feature, _)| feature.name.as_str()).collect()
}

/// The gates of a model over the rows of a batch, by level.
struct Levels<'g, 'a>(Vec<Vec<(&'a str, &'g GateRows<'a>)>>);

impl<'g, 'a> Levels<'g, 'a> {
    fn of(gates: &'g [GateRows<'a>]) -> Self {
        let mut levels: Vec<(usize, Vec<(&'a str, &'g GateRows<'a>)>)> = Vec::new();
        for rows in gates {
            let scope = rows.gate.scope.as_str();
            let (number, name) = place_of(scope);
            let at = levels.iter().position(|(level, _)| *level == number).unwrap_or_else(|| {
                levels.push((number, Vec::new()));
                levels.len() - 1
            });
            let level = &mut levels[at].1;
            let is_taken = level.iter().any(|(other, _)| *other == name);
            level.push((if is_taken { scope } else { name }, rows));
        }
        levels.sort_by_key(|(level, _)| *level);
        Self(levels.into_iter().map(|(_, gates)| gates).collect())
    }

    fn of_row(&self, row: usize) -> Vec<Level<'a>> {
        let gate = |(name, rows): &(&'a str, &'g GateRows<'a>)| {
            (*name, Weights { experts: &rows.gate.experts, weights: rows.row(row).to_vec() })
        };
        self.0.iter().map(|gates| Level(gates.iter().map(gate).collect())).collect()
    }
}

/// The level of a gate and whose it is: `levels.1.income.gate` is that of `income` on level 1, `gates.income` on level 0.
fn place_of(scope: &str) -> (usize, &str) {
    let below = scope.strip_prefix("levels.").and_then(|rest| rest.split_once('.'));
    let (level, rest) = match below.and_then(|(level, rest)| Some((level.parse().ok()?, rest))) {
        Some((level, rest)) => (level, rest),
        None => (0, scope),
    };
    let rest = rest.strip_prefix("gates.").unwrap_or(rest);
    (level, rest.strip_suffix(".gate").unwrap_or(rest))
}

/// The gates of a level by task, or by another name where they are no task's.
#[derive(Debug)]
struct Level<'a>(Vec<(&'a str, Weights<'a>)>);

impl Serialize for Level<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, weights)| (name, weights)))
    }
}

/// Weights of a gate by expert.
#[derive(Debug)]
struct Weights<'a> {
    experts: &'a [String],
    weights: Vec<f32>,
}

impl Serialize for Weights<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.experts.iter().zip(&self.weights))
    }
}

/// Shares by the names of tasks; what is not finite is null in JSON.
#[derive(Debug)]
struct SharesShown<'a> {
    tasks: Vec<&'a str>,
    shares: Shares,
}

impl Serialize for SharesShown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Shares { tasks, transform, total } = &self.shares;
        let tasks: Vec<(&str, f64)> =
            tasks.iter().filter_map(|(task, share)| Some((*self.tasks.get(*task)?, *share))).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("tasks", &ByName(&tasks))?;
        if let Some(transform) = transform {
            map.serialize_entry("transform", transform)?;
        }
        map.serialize_entry("total", total)?;
        map.end()
    }
}

struct ByName<'a>(&'a [(&'a str, f64)]);

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_has_a_level_and_a_name() {
        for (scope, place) in [
            ("levels.1.income.gate", (1, "income")),
            ("levels.0.shared.gate", (0, "shared")),
            ("gates.income", (0, "income")),
            ("levels.2.gates.3", (2, "3")),
            ("levels.x.gate", (0, "levels.x")),
            ("income.gate", (0, "income")),
            ("", (0, "")),
        ] {
            assert_eq!(place_of(scope), place, "{scope}");
        }
    }

    #[test]
    fn too_many_are_refused() {
        assert!(check(MOST).is_ok());
        assert!(check(MOST + 1).is_err_and(|refusal| refusal.status == 413));
    }
}
