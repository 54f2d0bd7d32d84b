//! [`Fitter`]: looks at the training rows, and becomes an [`Encoder`].

use std::collections::{BTreeMap, HashSet};

use rayon::prelude::*;

use super::buckets::Sample;
use super::category;
use super::encoder::Encoder;
use super::fitted::{Fitted, filling};
use super::numeric::{Lately, Moments, Step};
use super::parse::{Parsed, Values};
use super::pieces::PiecesFit;
use super::vocabulary::Counter;
use crate::error::Result;
use crate::read::Column;
use crate::schema::{Buckets, Encoding, FeatureKind, Missing, Multiple, Schema, Transform};
use crate::value::canonical_or_none;

/// Collects statistics of the training rows. Usually one pass over them is enough; a numeric feature with two fitted
/// transforms, of which the second needs the first one's statistics, takes two.
///
/// Rows must come in the same order in every pass. The result depends neither on how they are cut into chunks nor on
/// the number of threads.
pub struct Fitter {
    schema: Schema,
    features: Vec<FeatureFit>,
}

enum FeatureFit {
    Numeric(NumericFit),
    Vocabulary {
        counter: Counter,
        multiple: Option<Multiple>,
        is_done: bool,
    },
    Quantiles {
        sample: Sample,
        buckets: usize,
        is_done: bool,
    },
    Pieces(PiecesFit),
    /// Nothing to learn.
    Known(Fitted),
}

struct NumericFit {
    transform: Vec<Transform>,
    missing: Missing,
    /// The steps whose statistics are known.
    steps: Vec<Step>,
    /// Statistics of the column's own values, for `missing = "mean"`, until the first pass is over.
    raw: Option<Moments>,
    mean: f64,
    /// Statistics of the values after `steps`, in the pass at hand.
    moments: Moments,
}

impl Fitter {
    /// For the features of `schema`.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        let features = schema.features.iter().map(|feature| FeatureFit::new(&feature.read)).collect();
        Self { schema: schema.clone(), features }
    }

    /// Whether another pass over the training rows is needed.
    #[must_use]
    pub fn needs_pass(&self) -> bool {
        self.features.iter().any(FeatureFit::needs_pass)
    }

    /// Looks at the training rows among `chunks`, which come in row order.
    ///
    /// A value that a vocabulary looks up is replaced by its number. For chunks that the caller keeps,
    /// [`Fitter::finish`] turns these numbers into row indices, so no text is looked up twice.
    pub fn observe(&mut self, chunks: &mut [Parsed]) {
        let masks: Vec<Option<Vec<bool>>> = chunks.iter().map(Parsed::training).collect();
        let mut by_feature: Vec<Vec<&mut Values>> = self.features.iter().map(|_| Vec::new()).collect();
        for chunk in chunks {
            chunk.features.iter_mut().zip(&mut by_feature).for_each(|(values, feature)| feature.push(values));
        }
        self.features.par_iter_mut().zip(by_feature).for_each(|(feature, chunks)| {
            for (values, mask) in chunks.into_iter().zip(&masks) {
                feature.observe(values, mask.as_deref());
            }
        });
    }

    /// Ends a pass.
    pub fn end_pass(&mut self) {
        self.features.iter_mut().for_each(FeatureFit::end_pass);
    }

    /// The encoder, once [`Fitter::needs_pass`] is false. `kept` are chunks that were observed, if they are to be encoded.
    ///
    /// # Errors
    /// [`crate::Error::Encoder`] if statistics are not finite, which numbers in f32's range rule out.
    pub fn finish(self, kept: &mut [Parsed]) -> Result<Encoder> {
        let mut counters: BTreeMap<String, Counter> = BTreeMap::new();
        // A column that feeds several features of one table is one row's value each time, and counts once.
        let mut counted = HashSet::new();
        for (feature, fit) in self.schema.features.iter().zip(&self.features) {
            if let (FeatureFit::Vocabulary { counter, multiple, .. }, Some(table)) = (fit, feature.table()) {
                let separator = multiple.as_ref().map(|multiple| &multiple.separator);
                if !counted.insert((table, feature.column(), separator)) {
                    continue;
                }
                match counters.get_mut(table) {
                    Some(shared) => shared.merge(counter),
                    None => _ = counters.insert(table.to_owned(), counter.clone()),
                }
            }
        }
        let mut vocabularies = BTreeMap::new();
        for feature in &self.schema.features {
            if let FeatureKind::Categorical { encoding, table, .. } = &feature.read
                && let Some(config) = encoding.vocabulary()
                && let Some(counter) = counters.remove(table)
            {
                vocabularies.insert(table.clone(), counter.finish(config));
            }
        }
        let table_rows: Vec<Vec<u64>> = self
            .schema
            .features
            .iter()
            .zip(&self.features)
            .map(|(feature, fit)| match (fit, feature.table().and_then(|table| vocabularies.get(table))) {
                (FeatureFit::Vocabulary { counter, .. }, Some(vocabulary)) => counter.table_rows(vocabulary),
                _ => Vec::new(),
            })
            .collect();
        kept.par_iter_mut().for_each(|chunk| {
            chunk.features.iter_mut().zip(&table_rows).for_each(|(values, rows)| values.number_to_row(rows));
        });
        let fitted = self.features.into_iter().map(FeatureFit::finish).collect();
        Encoder::new(self.schema, fitted, vocabularies)
    }
}

impl FeatureFit {
    fn new(kind: &FeatureKind) -> Self {
        match kind {
            FeatureKind::Numeric { transform, missing } | FeatureKind::Periodic { transform, missing, .. } => {
                Self::Numeric(NumericFit::new(transform, *missing))
            }
            FeatureKind::Pieces { pieces, missing } => Self::Pieces(PiecesFit::new(*pieces, *missing)),
            FeatureKind::Categorical { encoding: Encoding::Vocabulary(_) | Encoding::Exact(_), multiple, .. } => {
                Self::Vocabulary { counter: Counter::default(), multiple: multiple.clone(), is_done: false }
            }
            FeatureKind::Categorical { encoding: Encoding::Hash(_), .. } => Self::Known(Fitted::Hash),
            FeatureKind::Categorical { encoding: Encoding::IntegerHash(_), .. } => Self::Known(Fitted::IntegerHash),
            FeatureKind::Categorical { encoding: Encoding::Ids(_), .. } => Self::Known(Fitted::Ids),
            FeatureKind::Bucketized { buckets: Buckets::Boundaries(boundaries), .. } => {
                Self::Known(Fitted::Buckets { boundaries: boundaries.clone() })
            }
            FeatureKind::Bucketized { buckets: Buckets::Quantiles(buckets), .. } => {
                Self::Quantiles { sample: Sample::default(), buckets: *buckets, is_done: false }
            }
        }
    }

    fn needs_pass(&self) -> bool {
        match self {
            Self::Numeric(fit) => fit.needs_pass(),
            Self::Pieces(fit) => fit.needs_pass(),
            Self::Vocabulary { is_done, .. } | Self::Quantiles { is_done, .. } => !is_done,
            Self::Known(_) => false,
        }
    }

    fn observe(&mut self, values: &mut Values, mask: Option<&[bool]>) {
        match (self, &mut *values) {
            (Self::Numeric(fit), Values::Numbers(numbers)) if fit.needs_pass() => {
                fit.observe(known(numbers, mask));
            }
            (Self::Pieces(fit), Values::Numbers(numbers)) if fit.needs_pass() => fit.observe(known(numbers, mask)),
            (Self::Quantiles { sample, is_done: false, .. }, Values::Numbers(numbers)) => {
                known(numbers, mask).for_each(|value| sample.observe(value));
            }
            (Self::Vocabulary { counter, multiple, is_done: false }, Values::Categories(column)) => {
                *values = count(counter, column, multiple.as_ref(), mask);
            }
            _ => {}
        }
    }

    fn end_pass(&mut self) {
        match self {
            Self::Numeric(fit) if fit.needs_pass() => fit.end_pass(),
            Self::Pieces(fit) => fit.end_pass(),
            Self::Vocabulary { is_done, .. } | Self::Quantiles { is_done, .. } => *is_done = true,
            _ => {}
        }
    }

    fn finish(self) -> Fitted {
        match self {
            Self::Numeric(fit) => fit.finish(),
            Self::Pieces(fit) => fit.finish(),
            Self::Vocabulary { .. } => Fitted::Vocabulary,
            Self::Quantiles { sample, buckets, .. } => Fitted::Buckets { boundaries: sample.boundaries(buckets) },
            Self::Known(fitted) => fitted,
        }
    }
}

/// Known numbers of training rows.
fn known<'a>(numbers: &'a [f64], mask: Option<&'a [bool]>) -> impl Iterator<Item = f64> + 'a {
    let is_wanted = move |row: usize| mask.is_none_or(|mask| mask[row]);
    numbers.iter().enumerate().filter(move |&(row, value)| !value.is_nan() && is_wanted(row)).map(|(_, &value)| value)
}

/// Counts the texts of training rows; gives the numbers of all, from 1, with 0 where one is missing.
fn count(counter: &mut Counter, column: &Column, multiple: Option<&Multiple>, mask: Option<&[bool]>) -> Values {
    let mut number = |text: Option<&str>| text.map_or(0, |text| counter.number(text) as u64 + 1);
    if let (Column::Repeated(texts), None) = (column, multiple) {
        let numbers = texts.known(|text| canonical_or_none(text, &mut number));
        for (&number, count) in numbers.iter().zip(texts.counts(mask)).skip(1) {
            counter.count(number as usize - 1, count);
        }
        return Values::Coded { codes: texts.without_texts(), numbers };
    }
    let numbers = category::rows(column, multiple, &mut number);
    let mut count = |numbers: &[u64]| {
        numbers.iter().filter(|&&number| number > 0).for_each(|&number| counter.count(number as usize - 1, 1));
    };
    match mask {
        None => count(numbers.table_rows()),
        Some(mask) => {
            let wanted = (0..numbers.len()).filter(|&row| mask[row]);
            wanted.for_each(|row| count(&numbers.table_rows()[numbers.range(row)]));
        }
    }
    Values::Numbered(numbers)
}

impl NumericFit {
    fn new(transform: &[Transform], missing: Missing) -> Self {
        let mut fit = Self {
            transform: transform.to_vec(),
            missing,
            steps: Vec::new(),
            raw: (missing == Missing::Mean).then(Moments::default),
            mean: 0.0,
            moments: Moments::default(),
        };
        fit.take_known_steps();
        fit
    }

    /// Moves on to the next step that has to be fitted.
    fn take_known_steps(&mut self) {
        while let Some(transform) = self.transform.get(self.steps.len()) {
            match transform {
                Transform::Log1p => self.steps.push(Step::Log1p),
                Transform::Clip(bounds) => self.steps.push(Step::Clip(*bounds)),
                Transform::Standardize | Transform::MinMax => return,
            }
        }
    }

    fn needs_pass(&self) -> bool {
        self.raw.is_some() || self.steps.len() < self.transform.len()
    }

    fn observe(&mut self, values: impl Iterator<Item = f64>) {
        let Self { raw, steps, transform, moments, .. } = self;
        let mut lately = Lately::new(steps);
        for value in values {
            if let Some(raw) = raw {
                raw.observe(value);
            }
            if steps.len() < transform.len() {
                moments.observe(lately.apply(value));
            }
        }
    }

    fn end_pass(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.mean = raw.mean;
        }
        let moments = std::mem::take(&mut self.moments);
        let is_empty = moments.count == 0;
        match self.transform.get(self.steps.len()) {
            Some(Transform::Standardize) => {
                self.steps.push(Step::Standardize { mean: moments.mean, std: moments.std() });
            }
            Some(Transform::MinMax) if is_empty => self.steps.push(Step::MinMax { min: 0.0, max: 0.0 }),
            Some(Transform::MinMax) => self.steps.push(Step::MinMax { min: moments.min, max: moments.max }),
            _ => {}
        }
        self.take_known_steps();
    }

    fn finish(self) -> Fitted {
        Fitted::Numeric { steps: self.steps, missing: filling(self.missing, self.mean) }
    }
}
