//! `[[feature]]`: what a model reads, and how a column becomes numbers or table rows.

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess};
use serde::{Deserialize as DeriveDeserialize, Serialize, Serializer};

use super::untagged::{self, Untagged};
use crate::layout::Pooling;

/// One `[[feature]]` block: one or several columns that are encoded alike, each a feature of its own that is named
/// after its column, unless `name` says otherwise. A column may be in several blocks if their features' names differ.
///
/// Which keys a block takes depends on its kind; a key that its kind does not know is an error.
///
/// | kind | keys |
/// | --- | --- |
/// | `numeric` | `transform`, `missing`, `exact`, `pieces`, `periodic` |
/// | `categorical` | `encoding`, `embedding`, `table`, `multiple`, `separator`, `pooling`, `attention` |
/// | `bucketized` | `boundaries` or `buckets`, `embedding` |
#[derive(Debug, Clone, PartialEq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureBlock {
    /// Columns; a range such as `x[0..512]` stands for `x0` to `x511`, a pattern such as `mig_*` for those columns of the
    /// first training file that are like it, in their order there.
    pub columns: Vec<String>,
    /// Columns, ranges or patterns that are taken out of `columns`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// Name of the feature, where the column's is taken: a column may feed several features. Of a block of several
    /// columns a range with as many names, such as `wide[0..512]`. Default: the name of each column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How the columns are read.
    pub kind: FeatureKindConfig,
    /// What has one value: each row (the default), or each request, whose rows have it in common. What a model makes of the
    /// features of a request alone is computed once for all of its rows. Needs `request` in `[data]`.
    #[serde(default, skip_serializing_if = "Per::is_row")]
    pub per: Per,
    /// Numeric: steps applied in the order written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transform: Vec<Transform>,
    /// Numeric: what stands for a missing value. Default: `"error"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// Numeric: the column is read a second time, as a category: frequent values have an embedding of their own, beside the
    /// number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<ExactConfig>,
    /// Numeric: the column is read a second time, piece by piece: as many numbers from 0 to 1 beside it, each of which rises
    /// over a stretch that holds as many training rows as every other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 1024))]
    pub pieces: Option<usize>,
    /// Numeric: the column is read a second time, as an embedding beside the number, of sines and cosines of learned
    /// frequencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub periodic: Option<PeriodicConfig>,
    /// Categorical: how a value becomes a table row. Default: `"vocabulary"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Categorical and bucketized: width of the embedding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<usize>,
    /// Categorical: name of the embedding table. Features that name one table share its rows (and its vocabulary,
    /// fitted over all of their columns). Default: a table of its own, named after the feature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Categorical: whether a row may hold several values: a list column, or a text with separators.
    #[serde(default)]
    pub multiple: bool,
    /// Multiple: what separates the values in a text. Default: `"|"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// Multiple: how the values' embeddings become one. Default: `"mean"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooling: Option<Pooling>,
    /// Multiple: the values' embeddings are weighed by another feature, such as the candidate, instead of `pooling`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<AttentionConfig>,
    /// Bucketized: ascending boundaries; a value lies in the bucket after the last boundary that is not above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundaries: Option<Vec<f64>>,
    /// Bucketized: number of buckets that hold equally many training rows each. A value of more rows than that has one of
    /// its own, and the rest is cut as if it were not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buckets: Option<usize>,
}

/// `attention = { target = "item_id" }` of a feature with several values: attention after DIN (Zhou et al., *Deep Interest
/// Network for Click-Through Rate Prediction*, KDD 2018), with a softmax.
///
/// With v_e the embedding of value e of the row's list and c that of the row's target, the feature gives
/// `sum_e softmax(s)_e v_e`, `s_e = m([v_e, c, v_e * c])`, the product element by element; m has hidden layers of `widths` units
/// (ReLU) and one output. A row without values gives zeros.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttentionConfig {
    /// The feature that weighs the values: one with a single value and an embedding as wide as theirs.
    pub target: String,
    /// Widths of the hidden layers that make a score of a value and the target.
    #[serde(default = "score_widths")]
    pub widths: Vec<usize>,
}

fn score_widths() -> Vec<usize> {
    vec![32]
}

/// What has one value of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Each row.
    #[default]
    Row,
    /// Each request: rows that follow one another and have the same value in the column that `request` in `[data]` names.
    Request,
}

impl Per {
    /// Serde hands over a reference.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub(crate) fn is_row(&self) -> bool {
        *self == Self::Row
    }
}

/// How the columns of a block are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeatureKindConfig {
    /// One number.
    Numeric,
    /// A category, embedded.
    Categorical,
    /// A number whose bucket is embedded.
    Bucketized,
}

/// A step from a column's number to the model's. v is the value so far.
///
/// The statistics of `standardize` and `min_max` are those of the training rows' values as transformed so far, missing
/// values left out, in f64.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// ln(1 + v); a row with v <= -1 is bad. Stands before `standardize` and `min_max`, or after a `clip` from above -1.
    Log1p,
    /// (v - mean) / std with the population's standard deviation; 0 where all training values are equal.
    Standardize,
    /// (v - min) / (max - min); 0 where all training values are equal. Unseen values may lie outside of [0, 1].
    MinMax,
    /// max(lo, min(hi, v)).
    Clip([f64; 2]),
}

/// What stands for a missing number, which NaN is as well. It replaces the column's value, before any transform.
#[derive(Debug, Clone, Copy, Default, PartialEq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Missing {
    /// A missing value makes the row a bad one.
    #[default]
    Error,
    /// The mean of the training rows' values.
    Mean,
    /// 0.
    Zero,
    /// This number.
    #[schemars(untagged)]
    Value(f64),
}

impl Serialize for Missing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Error => serializer.serialize_str("error"),
            Self::Mean => serializer.serialize_str("mean"),
            Self::Zero => serializer.serialize_str("zero"),
            Self::Value(value) => serializer.serialize_f64(*value),
        }
    }
}

impl<'de> Deserialize<'de> for Missing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        untagged::deserialize(deserializer)
    }
}

impl Untagged<'_> for Missing {
    const EXPECTING: &'static str = "\"mean\", \"zero\", \"error\" or a number";

    fn from_text<E: de::Error>(value: &str) -> Result<Self, E> {
        match value {
            "mean" => Ok(Self::Mean),
            "zero" => Ok(Self::Zero),
            "error" => Ok(Self::Error),
            other => Err(E::invalid_value(de::Unexpected::Str(other), &Self::EXPECTING)),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a replacement that no f64 holds is beyond any model's precision")]
    fn from_integer<E: de::Error>(value: i64) -> Result<Self, E> {
        Ok(Self::Value(value as f64))
    }

    fn from_float<E: de::Error>(value: f64) -> Result<Self, E> {
        Ok(Self::Value(value))
    }
}

/// `exact = { embedding = 8 }` of a numeric feature.
///
/// A number may be an event and not an amount: capital gains of 99,999, an age of 18, a price of 0. It makes a second
/// feature of the column, behind the number, named `<column>.exact` as its table is: categorical, `encoding = { exact = .. }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExactConfig {
    /// Width of a value's embedding.
    pub embedding: usize,
    /// Values seen in fewer training rows than this share row 0.
    #[serde(default = "frequent")]
    pub min_count: u64,
    /// Most values that have a row of their own; the rarest share row 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
}

/// Training rows that a value has at the least, so that its embedding says more than noise.
fn frequent() -> u64 {
    5
}

impl ExactConfig {
    /// How the values become table rows.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        Encoding::Exact(VocabularyConfig { min_count: self.min_count, max_size: self.max_size })
    }
}

/// `periodic = { embedding = 8 }` of a numeric feature (Gorishniy et al., *On Embeddings for Numerical Features in Tabular Deep
/// Learning*, NeurIPS 2022, "PLR").
///
/// It makes a second feature of the column, behind the number, named `<column>.periodic`. Of the number x, as it is after
/// `transform`, it is `max(0, W v + b)` with `v = [sin(2 pi c x), cos(2 pi c x)]`; frequencies c `[frequencies]`, W
/// `[embedding, 2 frequencies]` and b `[embedding]` are learned, and belong to this feature alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeriodicConfig {
    /// Width of the embedding.
    #[schemars(range(min = 1, max = 1024))]
    pub embedding: usize,
    /// Frequencies, of each of which there is a sine and a cosine.
    #[serde(default = "frequencies")]
    #[schemars(range(min = 1, max = 1024))]
    pub frequencies: usize,
    /// Standard deviation of the frequencies at the start, in waves per unit of x.
    #[serde(default = "sigma")]
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub sigma: f64,
}

fn frequencies() -> usize {
    16
}

fn sigma() -> f64 {
    0.1
}

/// How a categorical value becomes a row of its embedding table.
///
/// Values are compared by their canonical text, which does not depend on the file's type: a whole number's decimal
/// digits, `true`, a time in ISO 8601. So a column encodes alike from CSV and from Parquet. Numbers are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Row 0 for values that training did not see (or dropped) and for missing ones, then the training rows' values:
    /// most frequent first, ties in the order of their bytes. `"vocabulary"` alone takes the defaults.
    Vocabulary(VocabularyConfig),
    /// As a vocabulary, of a column of numbers: two values are one if they are the same number, however it is written. A
    /// missing one is a value like others, called `NaN`.
    Exact(VocabularyConfig),
    /// Row 0 for missing values, row `1 + XXH64(text, seed 0) mod (rows - 1)` for all others.
    Hash(u64),
    /// Row 0 for missing values, for all others a row by a hash of whole numbers that an exported model computes itself
    /// ([`integer_hash`](crate::encode::integer_hash)). A value that is no whole number of 64 bits makes the row a bad one.
    IntegerHash(u64),
    /// The value is the table's row: a whole number from 0 to below this many. A missing value makes the row a bad one.
    Ids(u64),
}

/// `encoding = { vocabulary = { .. } }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VocabularyConfig {
    /// Values seen in fewer training rows than this count as unknown.
    pub min_count: u64,
    /// Most values that are kept, the unknown's row 0 not counted; the rarest count as unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
}

impl Default for VocabularyConfig {
    fn default() -> Self {
        Self { min_count: 1, max_size: None }
    }
}

impl Encoding {
    /// What is kept of the training rows' values, where they are looked up.
    #[must_use]
    pub fn vocabulary(&self) -> Option<VocabularyConfig> {
        match self {
            Self::Vocabulary(config) | Self::Exact(config) => Some(*config),
            Self::Hash(_) | Self::IntegerHash(_) | Self::Ids(_) => None,
        }
    }
}

impl Default for Encoding {
    fn default() -> Self {
        Self::Vocabulary(VocabularyConfig::default())
    }
}

/// The table form of [`Encoding`].
#[derive(DeriveDeserialize)]
#[serde(rename_all = "snake_case")]
enum EncodingTable {
    Vocabulary(VocabularyConfig),
    Exact(VocabularyConfig),
    Hash(u64),
    IntegerHash(u64),
    Ids(u64),
}

impl<'de> Deserialize<'de> for Encoding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        untagged::deserialize(deserializer)
    }
}

impl<'de> Untagged<'de> for Encoding {
    const EXPECTING: &'static str = "\"vocabulary\", { vocabulary = { min_count = .., max_size = .. } }, { exact = { .. } }, { hash = rows }, { integer_hash = rows } or { ids = rows }";

    fn from_text<E: de::Error>(value: &str) -> Result<Self, E> {
        match value {
            "vocabulary" => Ok(Self::default()),
            "exact" => Ok(Self::Exact(VocabularyConfig::default())),
            "hash" | "integer_hash" | "ids" => {
                Err(E::custom(format!("\"{value}\" needs the number of table rows: encoding = {{ {value} = 100000 }}")))
            }
            other => Err(E::invalid_value(de::Unexpected::Str(other), &Self::EXPECTING)),
        }
    }

    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        Ok(match EncodingTable::deserialize(MapAccessDeserializer::new(map))? {
            EncodingTable::Vocabulary(config) => Self::Vocabulary(config),
            EncodingTable::Exact(config) => Self::Exact(config),
            EncodingTable::Hash(rows) => Self::Hash(rows),
            EncodingTable::IntegerHash(rows) => Self::IntegerHash(rows),
            EncodingTable::Ids(rows) => Self::Ids(rows),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FeatureBlock, String> {
        toml::from_str(text).map_err(|e| e.to_string())
    }

    #[test]
    fn every_spelling_of_a_transform() {
        let block = parse("columns = ['a']\nkind = 'numeric'\ntransform = ['log1p', { clip = [0, 5.5] }, 'min_max']");
        assert_eq!(block.unwrap().transform, [Transform::Log1p, Transform::Clip([0.0, 5.5]), Transform::MinMax]);
    }

    #[test]
    fn every_spelling_of_an_encoding() {
        for (text, encoding) in [
            ("'vocabulary'", Encoding::default()),
            (
                "{ vocabulary = { min_count = 3 } }",
                Encoding::Vocabulary(VocabularyConfig { min_count: 3, max_size: None }),
            ),
            ("'exact'", Encoding::Exact(VocabularyConfig::default())),
            ("{ exact = { max_size = 9 } }", Encoding::Exact(VocabularyConfig { min_count: 1, max_size: Some(9) })),
            ("{ hash = 10 }", Encoding::Hash(10)),
            ("{ integer_hash = 10 }", Encoding::IntegerHash(10)),
            ("{ ids = 7 }", Encoding::Ids(7)),
        ] {
            let block = parse(&format!("columns = ['a']\nkind = 'categorical'\nencoding = {text}")).unwrap();
            assert_eq!(block.encoding, Some(encoding));
            let json = serde_json::to_string(&block).unwrap();
            assert_eq!(serde_json::from_str::<FeatureBlock>(&json).unwrap(), block, "{json}");
        }
    }

    #[test]
    fn exact_values_are_frequent_unless_said_otherwise() {
        for (keys, expected) in [
            ("embedding = 8", ExactConfig { embedding: 8, min_count: 5, max_size: None }),
            (
                "embedding = 2, min_count = 1, max_size = 50",
                ExactConfig { embedding: 2, min_count: 1, max_size: Some(50) },
            ),
        ] {
            let block = parse(&format!("columns = ['a']\nkind = 'numeric'\nexact = {{ {keys} }}")).unwrap();
            assert_eq!(block.exact, Some(expected));
        }
    }

    #[test]
    fn every_spelling_of_missing() {
        for (text, missing) in [
            ("'mean'", Missing::Mean),
            ("'zero'", Missing::Zero),
            ("'error'", Missing::Error),
            ("-1", Missing::Value(-1.0)),
            ("0.5", Missing::Value(0.5)),
        ] {
            let block = parse(&format!("columns = ['a']\nkind = 'numeric'\nmissing = {text}")).unwrap();
            assert_eq!(block.missing, Some(missing));
        }
    }

    #[test]
    fn the_json_schema_knows_every_shape() {
        let schema = serde_json::to_value(schemars::schema_for!(FeatureBlock)).unwrap();
        for (name, shapes) in [("Missing", ["\"mean\"", "\"number\""]), ("Encoding", ["vocabulary", "\"hash\""])] {
            let shape = schema.pointer(&format!("/$defs/{name}")).unwrap().to_string();
            assert!(shapes.iter().all(|part| shape.contains(part)), "{shape}");
        }
    }

    #[test]
    fn wrong_spellings_say_what_is_expected() {
        for (line, says) in [
            ("encoding = 'hash'", "needs the number of table rows: encoding = { hash = 100000 }"),
            ("encoding = 'onehot'", "expected \"vocabulary\", { vocabulary"),
            ("encoding = { hashed = 3 }", "unknown variant `hashed`"),
            ("encoding = { hash = -3 }", "invalid value: integer `-3`, expected u64"),
            ("encoding = { vocabulary = { mincount = 3 } }", "unknown field `mincount`"),
            ("exact = { min_count = 3 }", "missing field `embedding`"),
            ("exact = { embedding = 8, dim = 3 }", "unknown field `dim`"),
            ("missing = 'median'", "expected \"mean\", \"zero\", \"error\" or a number"),
            ("transform = ['log']", "unknown variant `log`"),
            ("transform = [{ clip = 3 }]", "invalid type: integer `3`"),
            ("embeding = 8", "unknown field `embeding`"),
            ("kind = 'number'", "duplicate key"),
        ] {
            let error = parse(&format!("columns = ['a']\nkind = 'numeric'\n{line}")).unwrap_err();
            assert!(error.contains(says) && error.contains("line 3"), "{line}: {error}");
        }
    }
}
