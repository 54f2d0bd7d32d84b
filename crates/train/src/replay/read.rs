//! [`LogRows`]: a log of requests, as a server has written it or as a program has joined it with outcomes.
//!
//! Its own columns are found by their names ([`pleiad_rank::score::logged::columns`]), so that rows and columns may stand in any order and in
//! any format. What is in memory are predictions, scores and outcomes, not the columns that the model reads.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use pleiad_data::encode::Plan;
use pleiad_data::read::{Cell, Chunk, ReadAhead, Source as Files, Wanted, refuse_pipes};
use pleiad_data::schema::{CsvConfig, TaskConfig};
use pleiad_data::{Labels, Schema, SplitRules, nearest};
use pleiad_engine::Predictions;
use pleiad_rank::score::logged::columns;
use pleiad_rank::{Interrupt, Scorer, Scoring, Source};
use xxhash_rust::xxh64::xxh64;

use crate::error::{Error, Result};
use crate::lists::Lists;

/// Where outcomes of logged candidates stand.
#[derive(Debug, Clone, Copy)]
pub struct Outcomes<'a> {
    /// Labels and sample spaces of tasks. Those whose columns the log does not have, have no outcomes.
    pub tasks: &'a [TaskConfig],
    /// Whether a task without its columns is an error.
    pub required: bool,
}

/// Exponents by task, and the rest of `[rank]`.
pub type LoggedScore = (BTreeMap<String, f64>, Scoring);

/// A log of requests: candidates request by request in the order in which requests are met, those of a request as they were sent.
#[derive(Debug, Clone, Default)]
pub struct LogRows {
    /// Requests with predictions as they were logged, and outcomes.
    pub lists: Lists,
    /// By request: its id.
    pub ids: Vec<String>,
    /// The scores that are in the log.
    pub rankings: Vec<LoggedScore>,
    /// By request: its score, of [`LogRows::rankings`].
    pub ranking: Vec<u32>,
    /// By candidate: the logged score.
    pub scores: Vec<f64>,
    /// By candidate: its place in the request.
    pub index: Vec<u64>,
    /// By candidate: its id.
    pub candidates: Vec<Option<String>>,
    /// By candidate: its row over all files, from 0.
    pub positions: Vec<u64>,
}

/// The columns of the log that are read, in the order of [`Wanted`].
struct Layout {
    wanted: Vec<Wanted>,
    tasks: Vec<String>,
    /// Tasks with outcomes, and how these are read.
    plan: Option<(Vec<String>, Plan)>,
}

const REQUEST: usize = 0;
const INDEX: usize = 1;
const SCORE: usize = 2;
const SCORING: usize = 3;
const MODEL: usize = 4;
const CANDIDATE: usize = 5;
const NUMBER: usize = 6;
/// Then those of tasks.
const TASKS: usize = 7;

/// How the files of a log are read.
pub(crate) fn files(source: &Source, interrupt: &Interrupt) -> Result<Files> {
    let csv = source.csv()?.0;
    refuse_pipes(source.files(), "a log of requests is looked at before it is read; write it to a file first")?;
    Ok(Files {
        files: source.files().to_vec(),
        format: source.format(),
        otherwise: None,
        csv,
        by_configuration: false,
        others: Vec::new(),
        stop: Some(interrupt.flag()),
        memory: None,
    })
}

impl Layout {
    fn of(files: &Files, outcomes: Outcomes<'_>) -> Result<Self> {
        let Some(first) = files.files.first() else {
            return Err(refuse(PathBuf::new(), "there is no file".to_owned()));
        };
        let names: Vec<String> = files.fields(first)?.into_iter().map(|field| field.name).collect();
        let has = |name: &str| names.iter().any(|own| own == name);
        let tasks: Vec<String> =
            names.iter().filter_map(|name| name.strip_prefix(columns::PREDICTION)).map(str::to_owned).collect();
        if tasks.is_empty() {
            let reason = format!(
                "no column begins with {:?}, so it is no log of requests, which `pleiad serve --request-log DIR` writes",
                columns::PREDICTION
            );
            return Err(refuse(first.path.clone(), reason));
        }
        let want = |name: &str, required: bool| Wanted {
            name: name.to_owned(),
            needed_by: "a log of requests".to_owned(),
            required,
        };
        let mut wanted = vec![
            want(columns::REQUEST, true),
            want(columns::INDEX, true),
            want(columns::SCORE, true),
            want(columns::SCORING, true),
            want(columns::MODEL, false),
            want(columns::CANDIDATE, false),
            want(columns::NUMBER, false),
        ];
        for (prefix, required) in [(columns::PREDICTION, true), (columns::EXPONENT, true)] {
            wanted.extend(tasks.iter().map(|task| want(&format!("{prefix}{task}"), required)));
        }
        let columns_of = |task: &TaskConfig| {
            let filter = task.filter.iter().map(|filter| filter.column.clone());
            std::iter::once(task.label.column.clone()).chain(filter).collect::<Vec<_>>()
        };
        let mut known = Vec::new();
        for task in outcomes.tasks {
            match columns_of(task).iter().find(|name| !has(name)) {
                None => known.push(TaskConfig { row_weight: None, ..task.clone() }),
                Some(missing) if outcomes.required => {
                    let near = nearest(missing, names.iter().map(String::as_str));
                    let near = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
                    let reason = format!(
                        "there is no column {missing:?}, which the outcomes of task {:?} need{near}; join the log with what users \
                         did by {:?} and {:?}",
                        task.name,
                        columns::REQUEST,
                        columns::CANDIDATE
                    );
                    return Err(refuse(first.path.clone(), reason));
                }
                Some(_) => {}
            }
        }
        let plan = (!known.is_empty()).then(|| {
            let names = known.iter().map(|task| task.name.clone()).collect();
            let schema = Schema {
                format: None,
                csv: CsvConfig { ..files.csv.clone() },
                on_bad_row: Default::default(),
                features: Vec::new(),
                tasks: known,
                weight: None,
                request: None,
                groups: None,
            };
            (names, Plan::new(&schema, SplitRules::default(), true, &[]))
        });
        if let Some((_, plan)) = &plan {
            wanted.extend(plan.wanted().iter().cloned());
        }
        Ok(Self { wanted, tasks, plan })
    }

    fn own(&self) -> usize {
        TASKS + 2 * self.tasks.len()
    }
}

fn refuse(path: PathBuf, reason: String) -> Error {
    Error::RequestLog { path, reason }
}

/// A value as a text: texts as they are, so that they are joined with others.
fn as_it_is(cell: Cell<'_>) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(text.to_owned()),
        cell => cell.with_text(|text| text.map(str::to_owned)),
    }
}

/// A value of the log that cannot be.
fn bad(chunk: &Chunk, row: usize, column: &str, what: &str) -> Error {
    let path = chunk.origin.path.as_deref().map(PathBuf::from).unwrap_or_default();
    refuse(path, format!("row {}, column {column:?}: {what}", chunk.origin.first_row + row as u64 + 1))
}

/// Rows as they are read, before they are put in order.
#[derive(Default)]
struct Gathered {
    requests: HashMap<String, u32>,
    ids: Vec<String>,
    request: Vec<u32>,
    rankings: Vec<LoggedScore>,
    known: HashMap<(String, Vec<u64>), u32>,
    /// By request.
    ranking: Vec<u32>,
    scores: Vec<f64>,
    index: Vec<u64>,
    candidates: Vec<Option<String>>,
    positions: Vec<u64>,
    numbers: Vec<f64>,
    predictions: Vec<Vec<f32>>,
    labels: Vec<Labels>,
    model: Option<String>,
}

impl Gathered {
    fn add(&mut self, layout: &Layout, chunk: &Chunk) -> Result<()> {
        let tasks = layout.tasks.len();
        let mut last: Option<(String, Vec<u64>, u32)> = None;
        for row in 0..chunk.rows {
            let number = |column: usize| chunk.cell(column, row).number().filter(|value| value.is_finite());
            let needed = |column: usize, what: &str| {
                number(column).ok_or_else(|| bad(chunk, row, &layout.wanted[column].name, what))
            };
            let text = |column: usize| as_it_is(chunk.cell(column, row));
            let id = text(REQUEST).ok_or_else(|| bad(chunk, row, columns::REQUEST, "there is none"))?;
            if let Some(model) = text(MODEL) {
                match &self.model {
                    Some(own) if *own != model => {
                        let reason = format!("requests of the models {own:?} and {model:?}; give the log of one model");
                        return Err(bad(chunk, row, columns::MODEL, &reason));
                    }
                    Some(_) => {}
                    None => self.model = Some(model),
                }
            }
            let index = needed(INDEX, "not a whole number, 0 or above")?;
            if index < 0.0 || index.fract() != 0.0 || index > f64::from(u32::MAX) {
                return Err(bad(chunk, row, columns::INDEX, "not a whole number, 0 or above"));
            }
            let score = needed(SCORE, "not a finite number")?;
            for task in 0..tasks {
                let value = needed(TASKS + task, "not a finite number")?;
                self.predictions[task].push(value as f32);
            }
            let scoring = text(SCORING).ok_or_else(|| bad(chunk, row, columns::SCORING, "there is none"))?;
            let exponents: Vec<u64> =
                (0..tasks).map(|task| number(TASKS + tasks + task).map_or(u64::MAX, f64::to_bits)).collect();
            let ranking = match &last {
                Some((text, bits, ranking)) if *text == scoring && *bits == exponents => *ranking,
                _ => {
                    let ranking = self.ranking_of(layout, chunk, row, &scoring, &exponents)?;
                    last = Some((scoring, exponents, ranking));
                    ranking
                }
            };
            let next = self.ids.len() as u32;
            let request = match self.requests.get(&id) {
                Some(&request) => request,
                None => {
                    self.requests.insert(id.clone(), next);
                    self.ids.push(id.clone());
                    self.ranking.push(ranking);
                    next
                }
            };
            if self.ranking[request as usize] != ranking {
                let what = format!("request {id:?} has several scores; its rows must be those of one answer");
                return Err(bad(chunk, row, columns::REQUEST, &what));
            }
            self.request.push(request);
            self.index.push(index as u64);
            self.scores.push(score);
            self.numbers.push(number(NUMBER).unwrap_or(f64::NAN));
            self.candidates.push(text(CANDIDATE));
            self.positions.push(chunk.origin.position + row as u64);
        }
        Ok(())
    }

    fn ranking_of(&mut self, layout: &Layout, chunk: &Chunk, row: usize, text: &str, bits: &[u64]) -> Result<u32> {
        let key = (text.to_owned(), bits.to_vec());
        if let Some(&known) = self.known.get(&key) {
            return Ok(known);
        }
        let scoring: Scoring = serde_json::from_str(text)
            .map_err(|error| bad(chunk, row, columns::SCORING, &format!("not what this version writes: {error}")))?;
        let mut own = layout.tasks.clone();
        let mut theirs = scoring.tasks.clone();
        own.sort();
        theirs.sort();
        if own != theirs {
            let what =
                format!("a model with the tasks {}, and the columns are of {}", theirs.join(", "), own.join(", "));
            return Err(bad(chunk, row, columns::SCORING, &format!("{what}; give the log of one model")));
        }
        let exponents = layout.tasks.iter().zip(bits).filter(|(_, bits)| **bits != u64::MAX);
        let exponents = exponents.map(|(task, bits)| (task.clone(), f64::from_bits(*bits))).collect();
        let next = self.rankings.len() as u32;
        self.rankings.push((exponents, scoring));
        self.known.insert(key, next);
        Ok(next)
    }

    /// Puts the rows in order.
    fn finish(self, layout: &Layout) -> Result<LogRows> {
        let mut order: Vec<usize> = (0..self.request.len()).collect();
        order.sort_by_key(|&row| (self.request[row], self.index[row]));
        for pair in order.windows(2) {
            let of = |row: usize| (self.request[row], self.index[row]);
            if of(pair[0]) == of(pair[1]) {
                let (request, index) = of(pair[0]);
                let reason = format!(
                    "request {:?} has its candidate {index} twice: a file was given twice, or a join has repeated rows",
                    self.ids[request as usize]
                );
                return Err(refuse(PathBuf::new(), reason));
            }
        }
        // The order of the model, in which a product is rounded as the server has rounded it.
        let tasks = self.rankings.first().map_or_else(|| layout.tasks.clone(), |(_, scoring)| scoring.tasks.clone());
        let column = |task: &String| layout.tasks.iter().position(|own| own == task);
        let gather = |values: &Vec<f32>| order.iter().map(|&row| values[row]).collect::<Vec<_>>();
        let predictions = tasks.iter().filter_map(column).map(|at| gather(&self.predictions[at])).collect();
        let outcome = |task: &String| {
            let at = layout.plan.as_ref().and_then(|(names, _)| names.iter().position(|own| own == task));
            match at.and_then(|at| self.labels.get(at)) {
                Some(labels) => Labels {
                    values: gather(&labels.values),
                    present: order.iter().map(|&row| labels.present[row]).collect(),
                    weights: Vec::new(),
                },
                None => {
                    Labels { values: vec![0.0; order.len()], present: vec![false; order.len()], weights: Vec::new() }
                }
            }
        };
        let labels = if layout.plan.is_some() { tasks.iter().map(outcome).collect() } else { Vec::new() };
        let has_transform = self.rankings.iter().any(|(_, scoring)| scoring.transform.is_some());
        let mut requests = Vec::with_capacity(self.ids.len());
        let mut at = 0;
        for group in order.chunk_by(|a, b| self.request[*a] == self.request[*b]) {
            requests.push(at..at + group.len());
            at += group.len();
        }
        Ok(LogRows {
            lists: Lists {
                hashes: self.ids.iter().map(|id| xxh64(id.as_bytes(), 0)).collect(),
                requests,
                tasks,
                predictions: Predictions { tasks: predictions },
                numbers: if has_transform { order.iter().map(|&row| self.numbers[row]).collect() } else { Vec::new() },
                labels,
            },
            ids: self.ids,
            rankings: self.rankings,
            ranking: self.ranking,
            scores: order.iter().map(|&row| self.scores[row]).collect(),
            index: order.iter().map(|&row| self.index[row]).collect(),
            candidates: order.iter().map(|&row| self.candidates[row].clone()).collect(),
            positions: order.iter().map(|&row| self.positions[row]).collect(),
        })
    }
}

impl LogRows {
    /// Reads a log.
    ///
    /// # Errors
    /// [`Error::RequestLog`] for what is no log, or a damaged one; [`Error::Data`] for files that cannot be read; [`Error::Interrupted`].
    pub fn read(
        source: &Source,
        outcomes: Outcomes<'_>,
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self> {
        let files = files(source, interrupt)?;
        let layout = Layout::of(&files, outcomes)?;
        let mut reader = ReadAhead::start(files.rows(layout.wanted.clone()))?;
        let mut rows = Gathered { predictions: vec![Vec::new(); layout.tasks.len()], ..Gathered::default() };
        if let Some((names, _)) = &layout.plan {
            rows.labels = vec![Labels::default(); names.len()];
        }
        while let Some(chunks) = reader.next_group(rayon::current_num_threads())? {
            if let Some(signal) = interrupt.raised() {
                let what = format!("stopped after {} rows of the log", rows.request.len());
                return Err(Error::Interrupted { signal, what });
            }
            for mut chunk in chunks {
                if let Some(broken) = chunk.broken.first() {
                    let bad = chunk.origin.bad_row(
                        broken.row,
                        broken.column.as_deref(),
                        broken.value.clone(),
                        broken.reason.clone(),
                    );
                    return Err(pleiad_data::Error::BadRow(Box::new(bad)).into());
                }
                let of_outcomes = chunk.columns.split_off(layout.own());
                rows.add(&layout, &chunk)?;
                let Some((_, plan)) = &layout.plan else { continue };
                let parsed = plan.parse(Chunk { columns: of_outcomes, ..chunk })?;
                if let Some(bad) = parsed.bad.into_iter().next() {
                    return Err(pleiad_data::Error::BadRow(Box::new(bad)).into());
                }
                for (all, own) in rows.labels.iter_mut().zip(parsed.labels) {
                    all.values.extend(own.values);
                    all.present.extend(own.present);
                }
            }
            progress(rows.request.len() as u64);
        }
        if rows.request.is_empty() {
            let path = source.paths().into_iter().next().unwrap_or_default();
            return Err(refuse(path, "the log has no rows".to_owned()));
        }
        rows.finish(&layout)
    }

    /// The score of each candidate, by what each request's own score becomes through `change`.
    ///
    /// # Errors
    /// Those of [`Scorer::of_log`], and a score that is no finite number.
    pub fn rescored(&self, change: &mut dyn FnMut(&LoggedScore) -> Result<LoggedScore>) -> Result<Vec<f64>> {
        let mut by_ranking = vec![Vec::new(); self.rankings.len()];
        for (request, &ranking) in self.ranking.iter().enumerate() {
            by_ranking[ranking as usize].push(request);
        }
        let mut scores = vec![0.0; self.lists.rows()];
        for (logged, requests) in self.rankings.iter().zip(&by_ranking) {
            let (exponents, scoring) = change(logged)?;
            let scorer = Scorer::of_log(&exponents, &scoring)?;
            let part = self.lists.part(requests);
            let own = part.scores(&scorer).map_err(|error| self.named(error, requests))?;
            for (request, range) in requests.iter().zip(&part.requests) {
                scores[self.lists.requests[*request].clone()].copy_from_slice(&own[range.clone()]);
            }
        }
        Ok(scores)
    }

    /// The error of a row of these requests, by its request and candidate.
    fn named(&self, error: pleiad_rank::Error, requests: &[usize]) -> Error {
        let pleiad_rank::Error::NonFiniteScore { row, value, factors, advice } = &error else { return error.into() };
        let mut rows =
            requests.iter().flat_map(|&request| self.lists.requests[request].clone().map(move |row| (request, row)));
        match rows.nth(usize::try_from(*row).unwrap_or(1).saturating_sub(1)) {
            Some((request, row)) => refuse(
                PathBuf::new(),
                format!(
                    "request {:?}, candidate {}: the score is {value}: {factors}; {advice}",
                    self.ids[request], self.index[row]
                ),
            ),
            None => error.into(),
        }
    }
}
