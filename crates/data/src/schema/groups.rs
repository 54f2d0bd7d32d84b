//! [`Groups`]: rows that are measured together.

use serde::{Deserialize, Serialize};

use super::problem;
use crate::error::Result;
use crate::error::{Block, Problem};

/// The largest k of a metric over the first k rows of a group.
pub(crate) const LARGEST_K: u32 = 1_000_000;

/// Ranks that one configuration may ask for.
const MOST_K: usize = 16;

/// Rows with the same value of a column: those of one user, one session, one request. Metrics that compare rows within a
/// group alone (GAUC, NDCG, recall) read them. Only rows that are measured have one; no model reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    /// The column.
    pub column: String,
    /// How many of a group's first rows NDCG and recall look at; each gives a metric of its own.
    pub k: Vec<u32>,
}

impl Groups {
    pub(super) fn check(&self) -> Result<()> {
        let at =
            |key: &str, found: String, reason: String| Err(problem(Block::Root, key, Problem::Value { found, reason }));
        if self.column.is_empty() {
            return at("metrics.group", "\"\"".to_owned(), "name a column".to_owned());
        }
        if self.k.len() > MOST_K {
            return at("metrics.k", format!("a list of {}", self.k.len()), format!("at most {MOST_K} are measured"));
        }
        for (index, k) in self.k.iter().enumerate() {
            if !(1..=LARGEST_K).contains(k) {
                return at("metrics.k", k.to_string(), format!("1 to {LARGEST_K} rows of a group are looked at"));
            }
            if self.k[..index].contains(k) {
                return at("metrics.k", format!("{k} twice"), "each is measured once".to_owned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_metric_can_have_is_refused() {
        let check = |column: &str, k: &[u32]| {
            let groups = Groups { column: column.to_owned(), k: k.to_vec() };
            groups.check().map_err(|error| error.to_string())
        };
        assert_eq!(check("user", &[10, 5]), Ok(()));
        assert_eq!(check("user", &[]), Ok(()));
        for (column, k, says) in [
            ("", &[10][..], "metrics.group"),
            ("user", &[0], "metrics.k"),
            ("user", &[LARGEST_K + 1], "1 to 1000000"),
            ("user", &[5, 5], "5 twice"),
            ("user", &[1; 17], "a list of 17"),
        ] {
            let error = check(column, k);
            assert!(error.as_ref().is_err_and(|error| error.contains(says)), "{error:?}");
        }
    }
}
