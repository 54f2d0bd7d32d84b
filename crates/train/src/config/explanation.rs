//! `[train] explain`: whether a trained model is explained, and on how much.

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize};
use serde_untagged::UntaggedEnumVisitor;

use super::check::Issue;

/// `explain = false`, or `explain = { rows = 0.1, features = 0.5 }`: what `explain.json` is made of. It changes no weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)] // for writing alone; `Deserialize` is by hand
pub enum ExplainConfig {
    /// Whether a model is explained; if so, on all rows and features that the budget allows.
    Switch(bool),
    /// It is, on a share.
    Share(ExplainShare),
}

/// `{ rows = 0.1, features = 0.5 }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExplainShare {
    /// Share of the test rows (of the validation or training rows, where there are no test rows), above 0 and at most 1.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub rows: f64,
    /// Share of the features that are shuffled, above 0 and at most 1; they are drawn at random.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub features: f64,
}

impl Default for ExplainShare {
    fn default() -> Self {
        Self { rows: 1.0, features: 1.0 }
    }
}

impl Default for ExplainConfig {
    fn default() -> Self {
        Self::Switch(true)
    }
}

impl ExplainConfig {
    /// What to explain; `None` if a model is not explained.
    #[must_use]
    pub fn share(self) -> Option<ExplainShare> {
        match self {
            Self::Switch(false) => None,
            Self::Switch(true) => Some(ExplainShare::default()),
            Self::Share(share) => Some(share),
        }
    }

    /// Refuses shares that are none.
    pub(super) fn check(self) -> Result<(), Issue> {
        let Self::Share(ExplainShare { rows, features }) = self else { return Ok(()) };
        for (key, share) in [("rows", rows), ("features", features)] {
            if !(share > 0.0 && share <= 1.0) {
                let message = format!("must be a share, above 0 and at most 1, not {share}");
                return Err(Issue::new(&format!("train.explain.{key}"), message));
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for ExplainConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UntaggedEnumVisitor::new()
            .expecting("true, false, or a table with `rows` and `features`")
            .bool(|switch| Ok(Self::Switch(switch)))
            .map(|map| ExplainShare::deserialize(MapAccessDeserializer::new(map)).map(Self::Share))
            .deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[derive(Debug, Deserialize)]
    struct ExplainKeys {
        explain: ExplainConfig,
    }

    fn read(text: &str) -> Result<ExplainConfig, String> {
        let keys = toml::from_str::<ExplainKeys>(text).map_err(|error| error.to_string())?;
        keys.explain.check().map_err(|issue| issue.message)?;
        Ok(keys.explain)
    }

    #[test]
    fn a_switch_or_shares() {
        assert_eq!(read("explain = true").unwrap().share(), Some(ExplainShare::default()));
        assert_eq!(read("explain = false").unwrap().share(), None);
        let share = read("explain = { rows = 0.1 }").unwrap().share().unwrap();
        assert_eq!((share.rows, share.features), (0.1, 1.0));
        let written = serde_json::to_string(&read("explain = { features = 1 }").unwrap()).unwrap();
        assert_eq!(written, r#"{"rows":1.0,"features":1.0}"#);
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in ["{ rows = 0 }", "{ rows = 1.5 }", "{ features = -0.1 }", "{ features = nan }"] {
            assert!(read(&format!("explain = {text}")).unwrap_err().contains("must be a share"), "{text}");
        }
        for text in ["3", "'yes'", "[]", "{ row = 1 }", "{ rows = 'all' }"] {
            assert!(read(&format!("explain = {text}")).is_err(), "{text}");
        }
    }
}
