//! [`Request`]: reads the files of a configuration, fits encoders and encodes part by part; the caller decides
//! where the rows go.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use rayon::prelude::*;

use crate::batch::Batch;
use crate::counts::LabelCount;
use crate::encode::{Encoded, Encoder, Fitter, Parsed, Plan};
use crate::error::{Error, Result};
use crate::raw::{RawRows, RawSample};
use crate::read::{Chunk, DataFile, ReadAhead, Source, StopFlag, expand, identity, is_pipe, open_file, refuse_pipes};
use crate::schema::{Block, DataConfig, Files, KeyPlace, OnBadRow, Problem, Schema, SplitConfig};
use crate::seen::{FeatureCount, add_all};
use crate::skipped::Skipped;
use crate::split::{Split, SplitRules};

/// How far loading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Rows read in this phase, bad ones included.
    pub rows: u64,
}

/// What is being done while rows are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The encoder is fitted on the training files.
    Fit,
    /// Rows of these files are encoded.
    Load(Split),
}

/// Options of loading beside the configuration.
#[derive(Default)]
pub struct LoadOptions<'a> {
    /// An encoder to use as it is; without one, an encoder is fitted on the training rows.
    pub encoder: Option<Encoder>,
    /// Called after every few thousand rows; a break ends loading with [`Error::Stopped`].
    pub progress: Option<&'a (dyn Fn(Progress) -> ControlFlow<()> + Sync)>,
    /// Ends a wait for a pipe when it is raised; loading fails with [`Error::Stopped`].
    pub stop: Option<StopFlag>,
    /// The rows, where they lie in memory rather than in the files of the configuration.
    pub memory: Option<&'a MemoryRows>,
}

/// Rows that a program hands over in the place of files: `train` of [`DataConfig`] is missing then, and splits that are handed
/// over, too, are `{ memory = true }`. Rows are numbered over all batches of a split, so that parts by fraction are those of
/// the same rows in one file.
#[derive(Debug, Clone, Default)]
pub struct MemoryRows {
    /// Training rows.
    pub train: Arc<Vec<RecordBatch>>,
    /// Validation rows.
    pub valid: Option<Arc<Vec<RecordBatch>>>,
    /// Test rows.
    pub test: Option<Arc<Vec<RecordBatch>>>,
}

/// What is to be loaded.
pub(crate) struct Request<'a> {
    pub(crate) data: &'a DataConfig,
    pub(crate) schema: &'a Schema,
    /// Files of each split; `None` for one that is not asked for or is a part of the training files.
    pub(crate) sources: [Option<Source>; 3],
    /// An encoder to use as it is.
    pub(crate) encoder: Option<Encoder>,
    progress: Option<&'a (dyn Fn(Progress) -> ControlFlow<()> + Sync)>,
    skipped: Skipped,
    raw: RawSample,
    /// Values of each feature, by split.
    counts: [Vec<FeatureCount>; 3],
}

/// A fitted encoder, and the parsed training rows where they are few enough to be kept.
pub(crate) struct Fit {
    pub(crate) encoder: Encoder,
    pub(crate) kept: Option<Vec<Parsed>>,
}

/// Takes rows of a split, in the order of its files.
pub(crate) type Put<'p> = dyn FnMut(Split, &[Batch]) -> Result<()> + 'p;

/// Chunks that were kept and are encoded together, for each thread: enough for all to have work, and few enough for their
/// memory to be used again.
const TOGETHER: usize = 4;

impl<'a> Request<'a> {
    /// Finds the files, and opens all of them once before hours are spent on the first; but for pipes, which would be read
    /// by that.
    pub(crate) fn new(data: &'a DataConfig, base: &Path, schema: &'a Schema, options: LoadOptions<'a>) -> Result<Self> {
        let LoadOptions { encoder, progress, stop, memory } = options;
        let of = |files: Vec<DataFile>, memory: Option<&Arc<Vec<RecordBatch>>>| Source {
            files,
            format: data.format,
            otherwise: None,
            csv: schema.csv.clone(),
            by_configuration: true,
            others: Vec::new(),
            stop: stop.clone(),
            memory: memory.cloned(),
        };
        let source = |files: &Files| {
            let source = of(expand(base, files, data.format)?, None);
            let mut files = source.files.iter().filter(|file| !is_pipe(file));
            files.try_for_each(|file| open_file(&file.path).map(drop)).map(|()| source)
        };
        let handed_over = |key: &str, rows: Option<&Arc<Vec<RecordBatch>>>| match rows {
            Some(rows) => Ok(Some(of(Vec::new(), Some(rows)))),
            None => Err(not_there(key, "a program has to hand over these rows; name files of them")),
        };
        let own = |key: &str, split: &Option<SplitConfig>, rows: Option<&Arc<Vec<RecordBatch>>>| match split {
            Some(SplitConfig::Files(files)) => source(files).map(Some),
            Some(SplitConfig::Part(part)) if part.memory => handed_over(key, rows),
            _ => Ok(None),
        };
        let train = match (&data.train, memory) {
            (Some(files), None) => Some(source(files)?),
            (Some(_), Some(_)) => {
                return Err(not_there(
                    "train",
                    "rows are handed over in memory, and files are named; leave out one of both",
                ));
            }
            (None, memory) => handed_over("train", memory.map(|memory| &memory.train))?,
        };
        if memory.is_some() {
            if data.cache.is_some() {
                return Err(not_there("cache", "rows in memory are not kept; leave it out"));
            }
            if data.stream.window().is_some() {
                return Err(not_there("stream", "rows in memory are not streamed; leave it out"));
            }
        }
        let [valid, test] = [memory.and_then(|rows| rows.valid.as_ref()), memory.and_then(|rows| rows.test.as_ref())];
        let mut sources = [train, own("valid", &data.valid, valid)?, own("test", &data.test, test)?];
        check_pipes(sources.iter().flatten().map(|source| &source.files))?;
        let files: Vec<DataFile> = sources.iter().flatten().flat_map(|source| source.files.clone()).collect();
        sources.iter_mut().flatten().for_each(|source| source.others.clone_from(&files));
        let (skipped, raw, counts) = (Skipped::default(), RawSample::default(), Default::default());
        Ok(Self { data, schema, sources, encoder, progress, skipped, raw, counts })
    }

    /// Refuses pipes where files are read more than once.
    pub(crate) fn check_read_again(&self) -> Result<()> {
        let reason = "`stream` in [data] reads files several times; write it to a file first, or train in memory";
        refuse_pipes(self.sources.iter().flatten().flat_map(|source| &source.files), reason)
    }

    /// Which splits the configuration asks for.
    pub(crate) fn asked_for(&self) -> [bool; 3] {
        [true, self.data.valid.is_some(), self.data.test.is_some()]
    }

    /// Bad rows that were left out so far.
    pub(crate) fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// Some of the training rows, as they were read.
    pub(crate) fn raw(&self) -> RawRows {
        self.raw.rows()
    }

    /// Values of each feature, by split, of the rows that were encoded so far.
    pub(crate) fn counts(&self) -> &[Vec<FeatureCount>; 3] {
        &self.counts
    }

    fn report(&self, phase: Phase, rows: u64) -> Result<()> {
        match self.progress.map(|progress| progress(Progress { phase, rows })) {
            Some(ControlFlow::Break(())) => Err(Error::Stopped { rows }),
            _ => Ok(()),
        }
    }

    /// Asks whether to go on where no row is read for a while.
    pub(crate) fn go_on(&self) -> Result<()> {
        self.report(Phase::Load(Split::Train), 0)
    }

    /// How the training files are parsed.
    fn plan(&self) -> Plan {
        Plan::new(self.schema, SplitRules::new(self.data), true, &[])
    }

    /// Fits an encoder, unless one was given. Parsed rows of up to `keep` bytes are kept for [`Request::encode`], so that
    /// the files need not be read again.
    pub(crate) fn fit(&mut self, keep: usize) -> Result<Fit> {
        if let Some(encoder) = &self.encoder {
            return Ok(Fit { encoder: encoder.clone(), kept: None });
        }
        let plan = self.plan();
        let source = self.sources[0].as_ref().ok_or_else(|| Error::NoRows {
            split: Split::Train.name(),
            paths: Vec::new(),
            reason: String::new(),
        })?;
        // A pipe cannot be read again.
        let keep = if source.files.iter().any(is_pipe) { usize::MAX } else { keep };
        let mut fitter = Fitter::new(self.schema);
        let mut kept: Option<Vec<Parsed>> = None;
        let mut raw = std::mem::take(&mut self.raw);
        while fitter.needs_pass() {
            if let Some(kept) = &mut kept {
                fitter.observe(kept);
                fitter.end_pass();
                continue;
            }
            let (mut parsed_rows, mut bytes, mut rows) = (Some(Vec::new()), 0, 0);
            each_group(start(source, &plan)?, |chunks| {
                rows += chunks.iter().map(|chunk| chunk.rows as u64).sum::<u64>();
                let seen = seen(&chunks, &raw);
                let mut parsed: Vec<Parsed> =
                    chunks.into_par_iter().map(|chunk| plan.parse(chunk)).collect::<Result<_>>()?;
                if self.data.on_bad_row == OnBadRow::Stop
                    && let Some(bad) = parsed.iter().find_map(|parsed| parsed.bad.first())
                {
                    return Err(Error::BadRow(Box::new(bad.clone())));
                }
                for (chunk, parsed) in seen.iter().zip(&parsed) {
                    raw.add(&plan, chunk, &trained_on(&parsed.in_chunk, &parsed.splits));
                }
                fitter.observe(&mut parsed);
                bytes += parsed.iter().map(Parsed::bytes).sum::<usize>();
                if bytes > keep {
                    parsed_rows = None;
                }
                if let Some(parsed_rows) = &mut parsed_rows {
                    parsed_rows.extend(parsed);
                }
                self.report(Phase::Fit, rows)
            })?;
            fitter.end_pass();
            raw.end();
            kept = parsed_rows;
        }
        self.raw = raw;
        Ok(Fit { encoder: fitter.finish(kept.as_deref_mut().unwrap_or_default())?, kept })
    }

    /// Encodes all rows and hands them to `put`: a split's in the order of its files, some thousand at a time.
    pub(crate) fn encode(&mut self, encoder: &Encoder, kept: Option<Vec<Parsed>>, put: &mut Put<'_>) -> Result<()> {
        let (of_training, alone) = (self.plan(), Plan::new(self.schema, SplitRules::default(), true, &[]));
        let on_bad_row = self.data.on_bad_row;
        // Counted apart, since the sources are borrowed while rows go through.
        let mut found = Found { skipped: std::mem::take(&mut self.skipped), counts: Default::default() };
        let mut raw = std::mem::take(&mut self.raw);
        let mut kept = kept;
        let plan_of = |split: Split| if split == Split::Train { &of_training } else { &alone };
        let is_kept = kept.is_some();
        let open = |(split, source): (Split, &Source)| match split {
            Split::Train if is_kept => Ok((split, None)),
            _ => start(source, plan_of(split)).map(|reader| (split, Some(reader))),
        };
        let sources = Split::ALL.into_iter().zip(&self.sources).filter_map(|(split, s)| Some((split, s.as_ref()?)));
        // The next split's first rows are read while the last of this one are encoded.
        let mut readers = sources.map(open).peekable();
        while let Some((split, reader)) = readers.next().transpose()? {
            readers.peek();
            let plan = plan_of(split);
            if let Some(kept) = kept.take() {
                let mut kept = kept.into_iter();
                while kept.len() > 0 {
                    let group: Vec<Parsed> = kept.by_ref().take(TOGETHER * rayon::current_num_threads()).collect();
                    let encoded = group.into_par_iter().map(|parsed| encoder.encode(parsed)).collect();
                    hand_out(encoded, split, on_bad_row, &mut found, put)?;
                }
                continue;
            }
            let Some(reader) = reader else { continue };
            let mut rows = 0;
            each_group(reader, |chunks| {
                rows += chunks.iter().map(|chunk| chunk.rows as u64).sum::<u64>();
                let seen = if split == Split::Train { seen(&chunks, &raw) } else { Vec::new() };
                let encode = |chunk| Ok(encoder.encode(plan.parse(chunk)?));
                let encoded: Vec<Encoded> = chunks.into_par_iter().map(encode).collect::<Result<_>>()?;
                for (chunk, encoded) in seen.iter().zip(&encoded) {
                    let first = chunk.origin.position;
                    let in_chunk: Vec<usize> = encoded.positions.iter().map(|row| (row - first) as usize).collect();
                    raw.add(plan, chunk, &trained_on(&in_chunk, &encoded.splits));
                }
                hand_out(encoded, split, on_bad_row, &mut found, put)?;
                self.report(Phase::Load(split), rows)
            })?;
            raw.end();
        }
        (self.skipped, self.counts, self.raw) = (found.skipped, found.counts, raw);
        Ok(())
    }

    /// Refuses splits without a row, and tasks that nothing can be learned of; `rows` are those of each split, `labels`
    /// the tasks' over the training rows.
    pub(crate) fn check(&self, rows: [u64; 3], labels: &[LabelCount]) -> Result<()> {
        for split in Split::ALL {
            if !self.asked_for()[split as usize] || rows[split as usize] > 0 {
                continue;
            }
            let parts = Split::ALL.into_iter().filter(|&other| self.sources[other as usize].is_none());
            let in_parts: u64 = parts.map(|part| rows[part as usize]).sum();
            let source = self.sources[split as usize].as_ref();
            let mut reasons = Vec::new();
            if let Some(bad) = self.skipped.examples.first() {
                reasons.push(match self.skipped.rows {
                    1 => format!("1 bad row was skipped: {bad}"),
                    rows => format!("{rows} bad rows were skipped, the first: {bad}"),
                });
            }
            if source.is_none() {
                reasons.push("no row of the training files falls into it".to_owned());
            } else if split == Split::Train && in_parts > 0 {
                let all = if self.skipped.rows > 0 { "all other" } else { "all" };
                reasons.push(format!("`valid` and `test` in [data] take {all} {in_parts} rows of the training files"));
            } else if reasons.is_empty() {
                let weight = self.schema.weight.as_ref();
                let but = weight.map_or_else(String::new, |name| format!(" with a weight above 0 in \"{name}\""));
                reasons.push(format!("there are no rows{but} at all"));
            }
            let paths = source.or(self.sources[0].as_ref()).map_or_else(Vec::new, Source::paths);
            return Err(Error::NoRows { split: split.name(), paths, reason: reasons.join("; ") });
        }
        check_tasks(self.schema, labels)
    }
}

/// What is wrong with where rows are said to lie.
fn not_there(key: &str, reason: &str) -> Error {
    Error::Schema { place: KeyPlace::new(Block::Data, key), problem: Problem::Choice { reason: reason.to_owned() } }
}

/// The chunks, where raw rows of them are wanted: parsing takes the others.
fn seen(chunks: &[Chunk], raw: &RawSample) -> Vec<Chunk> {
    if raw.is_wanted() { chunks.to_vec() } else { Vec::new() }
}

/// The training rows among `in_chunk`.
fn trained_on(in_chunk: &[usize], splits: &[Split]) -> Vec<usize> {
    let is_trained_on = |i: usize| splits.get(i).is_none_or(|&split| split == Split::Train);
    in_chunk.iter().enumerate().filter(|&(i, _)| is_trained_on(i)).map(|(_, &row)| row).collect()
}

/// What was found beside the rows.
struct Found {
    skipped: Skipped,
    counts: [Vec<FeatureCount>; 3],
}

/// Hands the rows of consecutive chunks to their splits.
fn hand_out(
    encoded: Vec<Encoded>,
    split: Split,
    on_bad_row: OnBadRow,
    found: &mut Found,
    put: &mut Put<'_>,
) -> Result<()> {
    let mut parts = Split::ALL.map(|_| Vec::new());
    for encoded in encoded {
        found.skipped.add(encoded.bad, on_bad_row)?;
        let first = if encoded.splits.is_empty() { split as usize } else { 0 };
        found.counts[first..].iter_mut().zip(&encoded.counts).for_each(|(sum, counts)| add_all(sum, counts));
        if encoded.splits.is_empty() {
            parts[split as usize].push(encoded.batch);
            continue;
        }
        for split in Split::ALL {
            let index: Vec<usize> = (0..encoded.batch.rows).filter(|&row| encoded.splits[row] == split).collect();
            let mut part = encoded.batch.slice(0..0);
            part.gather_from(&encoded.batch, &index);
            parts[split as usize].push(part);
        }
    }
    // Nothing is measured on them.
    parts[Split::Train as usize].iter_mut().for_each(|part| part.groups = Vec::new());
    Split::ALL.into_iter().zip(parts).try_for_each(|(split, parts)| put(split, &parts))
}

/// Refuses tasks that nothing can be learnt of.
fn check_tasks(schema: &Schema, labels: &[LabelCount]) -> Result<()> {
    for (task, labels) in schema.tasks.iter().zip(labels) {
        let column = &task.label.column;
        let useless = |reason| Err(Error::UselessTask { task: task.name.clone(), reason });
        if labels.rows == 0 {
            let filter = if task.filter.is_some() { " and its `where` holds" } else { "" };
            let weight = task.row_weight.as_ref();
            let weight = weight.map_or_else(String::new, |name| format!(" and a weight above 0 in \"{name}\""));
            return useless(format!(
                "no training row is in its sample space: none has a label in \"{column}\"{filter}{weight}"
            ));
        }
        if let Some(positive) = &task.label.positive
            && labels.only == Some(0.0)
        {
            return useless(format!("no training row has its positive label, {positive} in column \"{column}\""));
        }
    }
    Ok(())
}

/// Refuses a pipe that is named twice: each reader would get a part of it.
pub(crate) fn check_pipes<'f>(sources: impl IntoIterator<Item = &'f Vec<DataFile>>) -> Result<()> {
    let mut seen = Vec::new();
    for pipe in sources.into_iter().flatten().filter(|file| is_pipe(file)) {
        let identity = identity(pipe);
        if identity.is_some() && seen.contains(&identity) {
            let reason = "it is named twice: name it once, or write it to a file first".to_owned();
            return Err(Error::Pipe { path: pipe.path.clone(), reason });
        }
        seen.push(identity);
    }
    Ok(())
}

/// Starts to read a source.
pub(crate) fn start(source: &Source, plan: &Plan) -> Result<ReadAhead> {
    ReadAhead::start(source.rows(plan.wanted().to_vec()))
}

/// Reads to the end, handing over as many chunks at a time as there are threads to work on them.
pub(crate) fn each_group(mut reader: ReadAhead, mut work: impl FnMut(Vec<Chunk>) -> Result<()>) -> Result<()> {
    while let Some(chunks) = reader.next_group(rayon::current_num_threads())? {
        work(chunks)?;
    }
    Ok(())
}
