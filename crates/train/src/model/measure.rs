//! Metrics of a model on files with labels.

use pleiad_data::EncodedStream;

use super::{Model, Read, Source};
use crate::alarm::labels::FunnelWatch;
use crate::alarm::outputs::OutputWatch;
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, Evaluator};
use crate::fit::Interrupt;
use crate::metrics::Measures;

impl Model {
    /// Measures every task on the rows of `source` that lie in its sample space. Gives what reading them gave, too.
    ///
    /// Of the rows nothing is kept but what exact AUC and metrics within groups need.
    ///
    /// # Errors
    /// [`Error::Data`], [`Error::NonFinitePrediction`] and [`Error::Interrupted`].
    pub fn evaluate(
        &mut self,
        source: &Source,
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(Evaluation, Read)> {
        let Self { kind, funnel, encoder, predictor, training_counts } = self;
        let mut options = source.options(encoder)?;
        options.with_labels = true;
        options.stop = Some(interrupt.flag());
        let mut stream = EncodedStream::open(encoder, &options)?;
        let measures = Measures::of(encoder.schema().groups.as_ref());
        let mut evaluator = Evaluator::new(encoder.tasks(), &measures);
        let mut watch = OutputWatch::new(encoder.tasks());
        let mut labels = FunnelWatch::new(kind, funnel, encoder.tasks());
        let mut rows = 0;
        for encoded in stream.by_ref() {
            if let Some(signal) = interrupt.raised() {
                return Err(Error::Interrupted { signal, what: format!("stopped after {rows} rows") });
            }
            let batch = encoded?.batch;
            let predictions = predictor.predict(&batch)?;
            evaluator.add(&predictions, &batch)?;
            watch.add(&predictions, &batch);
            labels.add(&batch);
            rows += batch.rows as u64;
            progress(rows);
        }
        if rows == 0 {
            return Err(super::no_rows(source, stream.skipped()));
        }
        let evaluation = evaluator.finish();
        let mut read = Read::of(&stream, encoder, training_counts.as_deref());
        read.alarms.extend(labels.alarms("rows read"));
        read.alarms.extend(watch.alarms("of these", &evaluation));
        Ok((evaluation, read))
    }
}
