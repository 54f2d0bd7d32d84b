//! `--set rank.score.click=2`: changes of a model's `[rank]` where it is used.

use toml::{Table, Value};

use crate::config::RankConfig;
use crate::error::{Error, Result};

impl RankConfig {
    /// `[rank]` of a model with changes `KEY=VALUE`, in order: keys such as `rank.score.click` or `rank.joint`, values of TOML,
    /// and texts where they are none. A model without one begins with nothing.
    ///
    /// # Errors
    /// [`Error::Set`] with the change.
    pub fn with_sets(base: Option<&Self>, sets: &[String]) -> Result<Self> {
        let encode = |error: toml::ser::Error| Error::Encode { reason: error.to_string() };
        let mut all = match base {
            Some(base) => Table::try_from(base).map_err(encode)?,
            None => Table::new(),
        };
        let refuse = |set: &str, problem: String| Err(Error::Set { set: set.to_owned(), problem });
        for set in sets {
            let Some((key, value)) = set.split_once('=') else {
                return refuse(set, "expected KEY=VALUE, such as rank.score.click=2".to_owned());
            };
            let parse = |value: &str| format!("{} = {value}", key.trim()).parse::<Table>();
            let parsed = parse(value).or_else(|_| parse(&Value::String(value.trim().to_owned()).to_string()));
            let change = match parsed {
                Ok(mut table) => table.remove("rank").filter(|_| table.is_empty()),
                Err(error) => return refuse(set, format!("not valid TOML: {}", error.message())),
            };
            match change {
                Some(Value::Table(change)) => merge(&mut all, change),
                _ => {
                    return refuse(
                        set,
                        "of a saved model only [rank] can be set, such as rank.score.click=2".to_owned(),
                    );
                }
            }
            // One at a time, so that an error names the change that makes it.
            if all.contains_key("score") {
                read(&all).or_else(|problem| refuse(set, problem))?;
            }
        }
        read(&all).or_else(|problem| refuse(sets.last().map_or("", String::as_str), problem))
    }
}

fn read(table: &Table) -> Result<RankConfig, String> {
    Value::Table(table.clone()).try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

/// Puts what `change` says in the place of what is there; tables are put together.
fn merge(all: &mut Table, change: Table) {
    for (key, value) in change {
        match (all.get_mut(&key), value) {
            (Some(Value::Table(own)), Value::Table(change)) => merge(own, change),
            (_, value) => {
                all.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn with(base: &str, sets: &[&str]) -> Result<RankConfig, String> {
        let base: Option<RankConfig> = (!base.is_empty()).then(|| toml::from_str(base).unwrap());
        let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
        RankConfig::with_sets(base.as_ref(), &sets).map_err(|error| error.to_string())
    }

    #[test]
    fn changes_stand_above_what_the_model_has() {
        let base = "score = { click = 1.0, share = 0.5 }\ntransform = { column = 'x', kind = 'log1p', power = 0.3 }";
        let changed =
            with(base, &["rank.score.click=2", "rank.score.buy = 0.1", "rank.transform.kind=sigmoid"]).unwrap();
        let expected = "score = { buy = 0.1, click = 2.0, share = 0.5 }\n\
                        transform = { column = 'x', kind = 'sigmoid', power = 0.3 }";
        assert_eq!(changed, toml::from_str(expected).unwrap());
        assert_eq!(with("", &["rank.joint=true", "rank.score={ click = 1 }"]).unwrap().score["click"], 1.0);
        assert_eq!(with(base, &[]).unwrap(), toml::from_str(base).unwrap());
        assert_eq!(with(base, &["rank.score.\"a.b\"=2"]).unwrap().score["a.b"], 2.0);
    }

    #[test]
    fn what_cannot_be_is_told_with_its_change() {
        let base = "score = { click = 1.0 }";
        for (set, says) in [
            ("rank.score.click", "--set rank.score.click: expected KEY=VALUE"),
            ("train.epochs=3", "only [rank] can be set"),
            ("rank=3", "only [rank] can be set"),
            ("rank.scor.click=3", "unknown field `scor`"),
            ("rank.score.click=high", "invalid type"),
            ("rank..score=1", "not valid TOML"),
        ] {
            let error = with(base, &[set]).unwrap_err();
            assert!(error.contains(says), "{set}: {error}");
        }
        assert!(with("", &["rank.joint=true"]).unwrap_err().contains("missing field `score`"));
    }
}
