//! Metrics of a model on files with labels.

use pleiad_data::EncodedStream;
use pleiad_rank::{Model, Read, Source};

use crate::Interrupt;
use crate::alarm::labels::FunnelWatch;
use crate::alarm::outputs::OutputWatch;
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, Evaluator};
use crate::metrics::Measures;

/// Measures every task on the rows of `source` that lie in its sample space. Gives what reading them gave, too.
///
/// It keeps only what exact AUC and metrics within groups need of the rows.
///
/// # Errors
/// [`Error::Data`], [`Error::NonFinitePrediction`] and [`Error::Interrupted`].
pub fn measure(
    model: &Model,
    source: &Source,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(u64),
) -> Result<(Evaluation, Read)> {
    let encoder = model.encoder();
    let mut options = source.options(encoder)?;
    options.with_labels = true;
    options.stop = Some(interrupt.flag());
    let mut stream = EncodedStream::open(encoder, &options)?;
    let measures = Measures::of(encoder.schema().groups.as_ref());
    let mut evaluator = Evaluator::new(encoder.tasks(), &measures);
    let mut watch = OutputWatch::new(encoder.tasks());
    let mut labels = FunnelWatch::new(model.kind(), model.funnel(), encoder.tasks());
    let mut rows = 0;
    for encoded in stream.by_ref() {
        if let Some(signal) = interrupt.raised() {
            return Err(Error::Interrupted { signal, what: format!("stopped after {rows} rows") });
        }
        let batch = encoded?.batch;
        let predictions = model.predictor().predict(&batch)?;
        evaluator.add(&predictions, &batch)?;
        watch.add(&predictions, &batch);
        labels.add(&batch);
        rows += batch.rows as u64;
        progress(rows);
    }
    if rows == 0 {
        return Err(Read::no_rows(source, stream.skipped()).into());
    }
    let evaluation = evaluator.finish();
    let mut read = model.read(&stream);
    read.alarms.extend(labels.alarms("rows read"));
    read.alarms.extend(watch.alarms("of these", &evaluation));
    Ok((evaluation, read))
}
