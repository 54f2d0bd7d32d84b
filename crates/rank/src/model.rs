//! [`Model`]: a saved model, opened, checked against its golden rows, and put to use.

use std::path::Path;

use arrow::array::RecordBatch;
use pleiad_data::encode::{Encoded, Plan};
use pleiad_data::{Batch, EncodedStream, Encoder, FeatureCount, RawRows, Skipped, SplitRules, TaskSpec};
use pleiad_engine::{GateRows, Predictions, Predictor, check_memory_to_predict};
use pleiad_model::artifact::Artifact;
use pleiad_model::{Graph, ModelConfig};
use serde_json::{Map, Value};

use crate::alarm::Alarm;
use crate::by_task::ByTask;
use crate::config::RankConfig;
use crate::counts::by_feature;
use crate::error::{Error, Result};
use crate::finite::check_finite;
use crate::named;
use crate::save::training_counts;
use crate::score::Scorer;
use crate::source::Source;
use crate::spread::{PredictionSpread, noted_predictions};
use crate::values::{Context, Part, features};

/// A saved model, ready to predict.
///
/// Nothing in it changes: any number of threads may share one and ask it at once. None waits for another, and each gets the
/// bits that it would get alone.
#[derive(Debug)]
pub struct Model {
    kind: String,
    /// Tasks whose events can only follow one another, where this version knows the structure.
    funnel: Vec<String>,
    encoder: Encoder,
    /// What it takes to encode rows that lie in memory.
    plan: Plan,
    predictor: Predictor,
    /// Values of each feature in the rows that it was trained on, where they are known.
    training_counts: Option<Vec<FeatureCount>>,
    /// How its predictions lay when it was trained, where that is known.
    training_predictions: Option<Vec<PredictionSpread>>,
    /// The raw rows of its golden rows.
    sample: RawRows,
    rank: Option<RankConfig>,
    scorer: Option<Scorer>,
}

/// Rows of a request or a table, encoded.
#[derive(Debug, Clone)]
pub struct Rows {
    /// What the model reads.
    pub batch: Batch,
    /// What the transform of `[rank]` reads; empty where there is none.
    pub numbers: Vec<f64>,
    /// Values of each feature, in the order of the schema.
    pub counts: Vec<FeatureCount>,
}

impl Rows {
    fn of(encoded: Encoded) -> Self {
        let counts = encoded.counts.into_iter().next().unwrap_or_default();
        Self { batch: encoded.batch, numbers: encoded.numbers, counts }
    }
}

impl Model {
    /// Opens an artifact and lets it predict its golden rows.
    ///
    /// # Errors
    /// If a file is missing, damaged or of another version, if the model does not fit in memory, or does not give what it
    /// gave when it was saved.
    pub fn open(path: &Path) -> Result<Self> {
        let fits = |graph: &Graph| check_memory_to_predict(graph).map_err(|error| error.to_string());
        let artifact = Artifact::open_if(path, &fits)?;
        let kind = artifact.kind().to_owned();
        let model = serde_json::from_value::<ModelConfig>(artifact.model.clone());
        let funnel = model.map_or_else(|_| Vec::new(), |model| model.funnel().to_vec());
        let Artifact { graph, encoder, weights, golden, provenance, rank, .. } = artifact;
        let training_counts = training_counts(&provenance, &encoder);
        let training_predictions = noted_predictions(&provenance, &encoder);
        let predictor = Predictor::from_weights(graph, weights)?;
        let predictions = predictor.predict(&golden.batch)?;
        golden.check(predictor.graph(), &predictions.tasks)?;
        let plan = Plan::new(encoder.schema(), SplitRules::default(), false, &[]);
        let sample = golden.raw;
        let opened = Self {
            kind,
            funnel,
            encoder,
            plan,
            predictor,
            training_counts,
            training_predictions,
            sample,
            rank: None,
            scorer: None,
        };
        let Some(rank) = rank else { return Ok(opened) };
        let rank = serde_json::from_value(rank).map_err(|error| {
            let reason = format!("its [rank] cannot be read by this version of Pleiad: {error}");
            Error::Model(pleiad_model::Error::Inconsistent { path: path.to_owned(), reason })
        })?;
        opened.with_rank(rank)
    }

    /// The same model with another score.
    ///
    /// # Errors
    /// [`Error::Rank`] for tasks and columns that it does not have.
    pub fn with_rank(self, rank: RankConfig) -> Result<Self> {
        let scorer = Scorer::new(&rank, self.encoder.schema())?;
        let plan = Plan::new(self.encoder.schema(), SplitRules::default(), false, &[]);
        let plan = plan.with_numbers_of(scorer.feature());
        Ok(Self { plan, rank: Some(rank), scorer: Some(scorer), ..self })
    }

    /// Its structure, such as `ple`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Tasks whose events can only follow one another; none where the structure has no such tasks.
    #[must_use]
    pub fn funnel(&self) -> &[String] {
        &self.funnel
    }

    /// Its tasks, in configuration order.
    #[must_use]
    pub fn tasks(&self) -> &[TaskSpec] {
        self.encoder.tasks()
    }

    /// Schema and fitted encoders.
    #[must_use]
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Graph and weights.
    #[must_use]
    pub fn predictor(&self) -> &Predictor {
        &self.predictor
    }

    /// Some rows of those that it was trained on, as they were read; none in a model that was saved without.
    #[must_use]
    pub fn sample(&self) -> &RawRows {
        &self.sample
    }

    /// `[rank]`, where the model has one.
    #[must_use]
    pub fn rank(&self) -> Option<&RankConfig> {
        self.rank.as_ref()
    }

    /// What computes its score.
    ///
    /// # Errors
    /// [`Error::NoRank`] where the model has no `[rank]`.
    pub fn scorer(&self) -> Result<&Scorer> {
        let task = || self.tasks().first().map_or_else(String::new, |task| task.name.clone());
        self.scorer.as_ref().ok_or_else(|| Error::NoRank { task: task() })
    }

    /// Encodes rows that lie in memory: every feature's column by its name; other columns are not looked at.
    ///
    /// # Errors
    /// [`Error::Data`] if a column is missing, of a type that cannot be read, or holds a bad value, whatever the schema says of
    /// bad rows.
    pub fn encode(&self, rows: &RecordBatch) -> Result<Rows> {
        Ok(Rows::of(self.encoder.encode_rows_by(&self.plan, rows)?))
    }

    /// [`Model::encode`] for a score that is not the model's own.
    ///
    /// # Errors
    /// As there.
    pub fn encode_for(&self, scorer: &Scorer, rows: &RecordBatch) -> Result<Rows> {
        let plan = self.plan.clone().with_numbers_of(scorer.feature());
        Ok(Rows::of(self.encoder.encode_rows_by(&plan, rows)?))
    }

    /// [`Model::encode`] of rows by name, as they come in JSON. A name that a row leaves out is a missing value there; names
    /// that are no columns of the model are not looked at.
    ///
    /// # Errors
    /// As there; a column that no row names is missing.
    pub fn encode_named(&self, rows: &[Map<String, Value>]) -> Result<Rows> {
        self.encode(&named::records(rows, self.plan.wanted().iter().map(|column| column.name.as_str()))?)
    }

    /// Predicts `[T][B]`: probabilities of binary tasks, values of regressions.
    ///
    /// # Errors
    /// [`Error::NonFinitePrediction`], and [`Error::Engine`] for rows that another model has encoded.
    pub fn predict(&self, rows: &Rows) -> Result<Predictions> {
        let predictions = self.predictor.predict(&rows.batch)?;
        check_finite(&predictions, self.tasks(), 0)?;
        Ok(predictions)
    }

    /// [`Model::predict`] of a request whose rows have these features in common: what depends on them alone is computed once.
    /// Sums are added in another order, so last bits may differ ([`Predictor::predict_sharing`]).
    ///
    /// # Errors
    /// As there.
    pub fn predict_sharing(&self, rows: &Rows, features: &[&str]) -> Result<Predictions> {
        let predictions = self.predictor.predict_sharing(&rows.batch, features)?;
        check_finite(&predictions, self.tasks(), 0)?;
        Ok(predictions)
    }

    /// The weights of every gate in each row, in the order of the graph; none where the structure has no gates.
    ///
    /// # Errors
    /// [`Error::Engine`] for rows that another model has encoded.
    pub fn gate_weights(&self, rows: &Rows) -> Result<Vec<GateRows<'_>>> {
        Ok(self.predictor.gate_weights(&rows.batch)?)
    }

    /// Scores `[B]` of these predictions by equation 1.
    ///
    /// # Errors
    /// [`Error::NoRank`] and [`Error::NonFiniteScore`].
    pub fn score(&self, rows: &Rows, predictions: &Predictions) -> Result<Vec<f64>> {
        self.scorer()?.score(predictions, &rows.numbers, 0)
    }

    /// Values of each feature in the rows that it was trained on, where they are known.
    #[must_use]
    pub fn training_counts(&self) -> Option<&[FeatureCount]> {
        self.training_counts.as_deref()
    }

    /// How its predictions lay over validation rows, else over training rows, when it was trained, by task; `None` where it was
    /// saved without.
    #[must_use]
    pub fn training_predictions(&self) -> Option<&[PredictionSpread]> {
        self.training_predictions.as_deref()
    }

    /// What reading a stream of its rows gave, once it is read to its end.
    #[must_use]
    pub fn read(&self, stream: &EncodedStream<'_>) -> Read {
        let counts = stream.counts();
        let part = [Part { name: "these rows", counts }];
        Read {
            skipped: stream.skipped().clone(),
            features: by_feature(&self.encoder, counts),
            alarms: features(&self.encoder, self.training_counts.as_deref(), &part, Context::Serving),
        }
    }
}

/// What reading a file's rows gave beside them.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Rows that were left out as bad.
    pub skipped: Skipped,
    /// Values of every feature.
    pub features: ByTask<FeatureCount>,
    /// What is wrong with them.
    pub alarms: Vec<Alarm>,
}

impl Read {
    /// The error of a source none of whose rows could be used.
    #[must_use]
    pub fn no_rows(source: &Source, skipped: &Skipped) -> Error {
        let reason = match skipped.examples.first() {
            None => "there are none at all".to_owned(),
            Some(bad) => format!("all {} were skipped as bad, the first: {bad}", skipped.rows),
        };
        let paths = source.paths();
        Error::Data(pleiad_data::Error::NoRows { split: "data", paths, reason })
    }
}
