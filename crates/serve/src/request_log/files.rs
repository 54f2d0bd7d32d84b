//! [`Files`]: the files that are open, one for each version of each model, and when they are completed.
//!
//! A file has a temporary name, which readers pass over, until it is whole. What cannot be written is left out and counted, with a
//! warning when that begins; the folder is tried again after [`AGAIN`].

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrow::datatypes::SchemaRef;
use pleiad_data::disk::create_folders;
use pleiad_data::write::RecordWriter;
use pleiad_rank::RankConfig;
use pleiad_rank::score::logged::{Scoring, columns};

use super::kinds::Kind;
use super::rows::{NoRows, record, schema};
use super::{Logged, RequestLogSettings};
use crate::log::Log;
use crate::registry::Entry;
use crate::served::Served;

/// After a failure, so long until the folder is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Files of one model that are open at the same time: after a change of the version, requests of the one before may still come.
const MOST_OPEN: usize = 2;

/// Versions whose types of columns are answered.
const MOST_VERSIONS: usize = 8;

/// The open files.
pub(super) struct Files {
    settings: RequestLogSettings,
    start: u64,
    log: Arc<dyn Log>,
    /// The oldest first.
    open: Vec<OpenFile>,
    /// By model and version.
    forms: HashMap<(String, String), Arc<Form>>,
    /// Files that were begun.
    begun: u64,
    /// Since when nothing can be written.
    failed: Option<Instant>,
}

/// How the requests of one version are written.
#[derive(Clone)]
struct Form {
    names: Vec<String>,
    kinds: Vec<Kind>,
    /// Why they cannot be.
    refused: bool,
}

struct OpenFile {
    entry: Arc<Entry>,
    version: String,
    schema: SchemaRef,
    writer: RecordWriter,
    requests: u64,
    opened: Instant,
    /// The last `[rank]`, and what the log says of it.
    scoring: Option<(RankConfig, String)>,
}

impl Files {
    pub(super) fn new(settings: RequestLogSettings, start: u64, log: Arc<dyn Log>) -> Self {
        Self { settings, start, log, open: Vec::new(), forms: HashMap::new(), begun: 0, failed: None }
    }

    /// Makes the folder, and warns where it cannot be.
    pub(super) fn try_folder(&mut self) {
        if let Err(error) = create_folders(&self.settings.folder) {
            self.fail(&format!("{}: {error}", self.settings.folder.display()));
        }
    }

    /// Writes a request into the file of its model and version.
    pub(super) fn add(&mut self, logged: Logged) {
        let entry = Arc::clone(&logged.entry);
        if let Err(reason) = self.try_add(logged) {
            entry.counted.log_dropped_failed.fetch_add(1, Ordering::Relaxed);
            if let Some(reason) = reason {
                self.fail(&reason);
            }
        }
    }

    /// The same; `Err(None)` where nothing is tried.
    fn try_add(&mut self, logged: Logged) -> Result<(), Option<String>> {
        if self.failed.is_some_and(|since| since.elapsed() < AGAIN) {
            return Err(None);
        }
        let key = (logged.served.name().to_owned(), logged.served.version().to_owned());
        if !self.forms.contains_key(&key) {
            // Nobody goes back so far.
            if self.forms.len() >= MOST_VERSIONS * (1 + self.open.len()) {
                self.forms.clear();
            }
            let form = self.form(&logged.served);
            self.forms.insert(key.clone(), Arc::new(form));
        }
        loop {
            let Some(form) = self.forms.get(&key).map(Arc::clone) else { return Err(None) };
            if form.refused {
                return Err(None);
            }
            let at = self.file(&logged, &form)?;
            let file = &mut self.open[at];
            match file.write(&logged, &form) {
                Ok(()) => break,
                Err(Failed::TooNarrow(column)) => {
                    // The rows so far have the narrower type, which a file has in all rows.
                    self.finish(at);
                    let wider = form.kinds[column].wider();
                    if wider == form.kinds[column] {
                        return Err(Some(format!("column {:?} cannot be written", form.names[column])));
                    }
                    let mut form = (*form).clone();
                    form.kinds[column] = wider;
                    self.forms.insert(key.clone(), Arc::new(form));
                }
                Err(Failed::Refused(reason)) => {
                    let file = self.open.remove(at);
                    file.entry.counted.log_dropped_failed.fetch_add(file.requests, Ordering::Relaxed);
                    return Err(Some(reason));
                }
            }
        }
        if self.failed.take().is_some() {
            self.log.note("requests are logged again");
        }
        let full = |file: &OpenFile| file.writer.rows() >= self.settings.rows;
        if let Some(at) = self.open.iter().position(full) {
            self.finish(at);
        }
        Ok(())
    }

    /// How the requests of a version are written.
    fn form(&self, served: &Served) -> Form {
        let schema = served.model().encoder().schema();
        let names = served.columns().names.clone();
        let sample = served.model().sample().to_records().map(|rows| {
            let fields = rows.schema_ref().fields().iter();
            fields.map(|field| (field.name().clone(), field.data_type().clone())).collect::<Vec<_>>()
        });
        let kinds = Kind::of_columns(&names, schema, &sample.unwrap_or_default());
        let clash = names.iter().find(|name| name.starts_with(columns::PREFIX));
        if let Some(name) = clash {
            self.log.warn(&format!(
                "model {:?}: it reads column {name:?}, and names that begin with {:?} are those of the log itself: its requests \
                 are not logged",
                served.name(),
                columns::PREFIX
            ));
        }
        Form { refused: clash.is_some(), names, kinds }
    }

    /// The open file of a request, which is begun where there is none.
    fn file(&mut self, logged: &Logged, form: &Form) -> Result<usize, Option<String>> {
        let (entry, version) = (&logged.entry, logged.served.version());
        let own = |file: &OpenFile| Arc::ptr_eq(&file.entry, entry);
        if let Some(at) = self.open.iter().position(|file| own(file) && file.version == version) {
            return Ok(at);
        }
        while self.open.iter().filter(|file| own(file)).count() >= MOST_OPEN
            && let Some(at) = self.open.iter().position(own)
        {
            self.finish(at);
        }
        let failed = |error: &dyn std::fmt::Display| Some(error.to_string());
        let folder = self.settings.folder.join(logged.served.name());
        create_folders(&folder).map_err(|error| failed(&format!("{}: {error}", folder.display())))?;
        let tasks: Vec<&str> = logged.served.model().tasks().iter().map(|task| task.name.as_str()).collect();
        let schema = schema(&tasks, &form.names, &form.kinds);
        let writer = RecordWriter::create(self.name(folder, version), Arc::clone(&schema));
        let writer = writer.map_err(|error| failed(&error))?;
        self.open.push(OpenFile {
            entry: Arc::clone(entry),
            version: version.to_owned(),
            schema,
            writer,
            requests: 0,
            opened: Instant::now(),
            scoring: None,
        });
        Ok(self.open.len() - 1)
    }

    /// A name that no other file has, in the order of time.
    fn name(&mut self, folder: PathBuf, version: &str) -> PathBuf {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        self.begun += 1;
        folder.join(format!("{now:013}-{version}-{:08x}-{}.parquet", self.start >> 32, self.begun))
    }

    /// Completes a file.
    fn finish(&mut self, at: usize) {
        let OpenFile { entry, writer, requests, .. } = self.open.remove(at);
        if requests == 0 {
            return;
        }
        match writer.finish() {
            Ok(()) => _ = entry.counted.logged.fetch_add(requests, Ordering::Relaxed),
            Err(error) => {
                entry.counted.log_dropped_failed.fetch_add(requests, Ordering::Relaxed);
                self.fail(&error.to_string());
            }
        }
    }

    /// Completes the files that are old enough.
    pub(super) fn finish_old(&mut self, now: Instant) {
        let age = self.settings.age;
        let is_old = |file: &OpenFile| now.saturating_duration_since(file.opened) >= age;
        while let Some(at) = self.open.iter().position(is_old) {
            self.finish(at);
        }
    }

    /// Completes all files.
    pub(super) fn finish_all(&mut self) {
        while !self.open.is_empty() {
            self.finish(0);
        }
    }

    fn fail(&mut self, reason: &str) {
        if self.failed.replace(Instant::now()).is_none() {
            let advice = "requests are answered, and not logged, until that is possible";
            self.log.warn(&format!("requests cannot be logged: {reason}; {advice}"));
        }
    }
}

/// Why a request was not written.
enum Failed {
    /// A column has a value that its type does not hold.
    TooNarrow(usize),
    /// The system or the format refused.
    Refused(String),
}

impl OpenFile {
    fn write(&mut self, logged: &Logged, form: &Form) -> Result<(), Failed> {
        let rank = &logged.answered.rank;
        let known = self.scoring.as_ref().filter(|(own, _)| own == rank).map(|(_, text)| text.clone());
        let text = match known {
            Some(text) => text,
            None => {
                let scoring = Scoring::of(rank, logged.served.model().encoder().schema());
                let text = serde_json::to_string(&scoring).map_err(|error| Failed::Refused(error.to_string()))?;
                self.scoring = Some((rank.clone(), text.clone()));
                text
            }
        };
        let record = record(&self.schema, logged, &text, &form.names, &form.kinds).map_err(|why| match why {
            NoRows::TooNarrow(at) => Failed::TooNarrow(at),
            NoRows::Refused(reason) => Failed::Refused(reason),
        })?;
        self.writer.write(&record).map_err(|error| Failed::Refused(error.to_string()))?;
        self.requests += 1;
        Ok(())
    }
}
