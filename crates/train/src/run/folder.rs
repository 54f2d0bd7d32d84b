//! A run's folder.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pleiad_data::disk::{self, FolderLock, LOCK_FILE, Refusal, Unlockable};
use pleiad_data::sealed::{seal, stated, unseal};
use pleiad_model::artifact::Artifact;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::report::RunReport;
use super::tensorboard;
use crate::error::{Error, Result};
use crate::explain::Explanation;

/// Paths of a run, and its report.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    /// The lock of this folder, or of one that it lies in.
    lock: Option<Arc<FolderLock>>,
}

impl RunFolder {
    pub(crate) fn new(path: &Path) -> Self {
        // What is written as nothing is the working directory.
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        Self { path: path.to_path_buf(), lock: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn model(&self) -> PathBuf {
        self.path.join("model")
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    fn explain(&self) -> PathBuf {
        self.path.join("explain.json")
    }

    fn metrics(&self) -> PathBuf {
        self.path.join("metrics.json")
    }

    /// Keeps every other process from writing the folder, until the lock is dropped. The lock names `command` to them.
    ///
    /// # Errors
    /// [`Error::Held`], [`Error::Unwritable`], and [`Error::Exists`] for a file.
    pub(crate) fn lock(&self, command: &str) -> Result<FolderLock> {
        // Before the lock, which needs the folder: a path below a file must not look like a missing permission.
        self.entries()?;
        FolderLock::take(&self.path, command).map_err(|refusal| self.refused(refusal))
    }

    /// The folder while this lock is held, of itself or of a folder that it lies in.
    pub(crate) fn held_by(self, lock: &Arc<FolderLock>) -> Self {
        Self { lock: Some(Arc::clone(lock)), ..self }
    }

    /// Refuses to write more into a folder that is not the one any more that was locked.
    pub(crate) fn require_ours(&self) -> Result<()> {
        self.lock.as_ref().map_or(Ok(()), |lock| lock.renew()).map_err(|refusal| self.refused(refusal))
    }

    fn refused(&self, refusal: Refusal) -> Error {
        match refusal {
            Refusal::Held { path, holder } => Error::Held { path, holder },
            Refusal::NoFile { path, what } => {
                let what = if what == "a folder" { "is a folder" } else { "is a link, a pipe or a device" };
                let advice = "a file of that name is locked there during a run: move it away, or name another folder";
                Error::Exists { path, what, advice }
            }
            Refusal::Io(error) => self.unwritable(&error),
            Refusal::Gone => Error::Replaced { path: self.path.clone() },
        }
    }

    /// Refuses a folder that lies in one that another process writes.
    pub(crate) fn require_free_above(&self) -> Result<()> {
        match FolderLock::holder_above(&self.path) {
            Some((path, holder)) => Err(Error::Held { path, holder }),
            None => Ok(()),
        }
    }

    /// Removes what a killed run left that was not complete. The folder is to be locked.
    pub(crate) fn sweep(&self) {
        for folder in [&self.path, &self.checkpoints(), &self.path.join("tensorboard")] {
            disk::sweep(folder, Unlockable::Remove);
        }
        Artifact::sweep_beside(&self.model());
    }

    /// Refuses a folder with something in it, and a file.
    pub(crate) fn require_absent(&self) -> Result<()> {
        self.require_empty("name another folder, remove it, or go on with it by --resume")
    }

    /// [`RunFolder::require_absent`] with other advice, for commands that cannot resume.
    pub(crate) fn require_empty(&self, advice: &'static str) -> Result<()> {
        let mut entries = self.entries()?.into_iter().flatten();
        match entries.any(|entry| entry.map_or(true, |entry| entry.file_name() != LOCK_FILE)) {
            true => Err(self.exists(advice)),
            false => Ok(()),
        }
    }

    /// What is in the folder; `None` where there is no folder.
    fn entries(&self) -> Result<Option<fs::ReadDir>> {
        match fs::read_dir(&self.path) {
            Ok(entries) => Ok(Some(entries)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => match self.broken_link() {
                Some(path) => {
                    let what = "is a link to something that is not there";
                    Err(Error::Exists { path, what, advice: "make what it leads to, or name another folder" })
                }
                None => Ok(None),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                let what = "is, or lies below, a file";
                Err(Error::Exists { path: self.path.clone(), what, advice: "name another folder" })
            }
            Err(error) => Err(Error::io(&self.path, error)),
        }
    }

    /// The folder, or one that it lies in, which is a link that leads nowhere.
    fn broken_link(&self) -> Option<PathBuf> {
        let is_broken = |path: &&Path| !path.exists() && path.is_symlink();
        self.path.ancestors().find(is_broken).map(Path::to_path_buf)
    }

    /// Refuses a place where nothing can be written, before hours are spent on what is to be written there.
    pub(crate) fn require_writable(&self) -> Result<()> {
        disk::TemporaryFolder::private(self.existing()).map(drop).map_err(|error| self.unwritable(&error))
    }

    /// The folder, or the innermost one above it that is there.
    fn existing(&self) -> &Path {
        let existing = self.path.ancestors().find(|folder| folder.is_dir());
        existing.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn unwritable(&self, error: &std::io::Error) -> Error {
        // The system's own words come with a temporary name.
        let reason = error.kind().to_string();
        Error::Unwritable { path: self.path.clone(), folder: self.existing().to_path_buf(), reason }
    }

    /// Refuses a folder that has a model but no sign of a run to which it belongs.
    pub(crate) fn require_no_model(&self) -> Result<()> {
        if self.model().exists() {
            return Err(self.exists("it has a model but neither metrics.json nor a checkpoint; name another folder"));
        }
        Ok(())
    }

    fn exists(&self, advice: &'static str) -> Error {
        Error::Exists { path: self.path.clone(), what: "exists and is not empty", advice }
    }

    /// The report, if the run is complete. Model and explanation are those that it was written for.
    ///
    /// # Errors
    /// [`Error::Damaged`] if one of them is another, [`Error::Model`] if the model is damaged.
    pub(crate) fn report(&self) -> Result<Option<RunReport>> {
        let Some(report) = read_sealed::<RunReport>(self.metrics(), "the metrics of a run", REMOVE_IT)? else {
            return Ok(None);
        };
        let (model, explanation) = self.hashes()?;
        let other = |path: PathBuf, what: &str| {
            let metrics = self.metrics();
            let advice = format!("remove {} to train again, or use another folder", metrics.display());
            Err(Error::Damaged {
                path,
                reason: format!("it is not {what} that metrics.json was written for; {advice}"),
            })
        };
        if model != report.model_xxh64 {
            return other(self.model(), "the model");
        }
        if explanation != report.explain_xxh64 {
            return other(self.explain(), "the explanation");
        }
        Artifact::open(&self.model())?;
        Ok(Some(report))
    }

    /// The hashes that the model and its explanation say they have. Those of a model that is not there are empty.
    pub(crate) fn hashes(&self) -> Result<(String, Option<String>)> {
        let stated = |path: &Path| match stated(path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            stated => stated.map_err(|error| Error::io(path, error)),
        };
        Ok((stated(&self.model().join("model.json"))?.unwrap_or_default(), stated(&self.explain())?))
    }

    /// Writes the report, whole or not at all.
    pub(crate) fn write_report(&self, report: &RunReport) -> Result<()> {
        self.require_ours()?;
        write_sealed(&self.metrics(), report)
    }

    /// What is explained of the model; `None` for a run that is not complete, or was made before runs had it.
    pub(crate) fn explanation(&self) -> Result<Option<Explanation>> {
        let advice = "remove metrics.json beside it to have it made again, or use another folder";
        read_sealed(self.explain(), "the explanation of a model", advice)
    }

    /// Writes what is explained of the model, whole or not at all; without it, takes away what a run that was cut short
    /// may have written.
    pub(crate) fn write_explanation(&self, explanation: Option<&Explanation>) -> Result<()> {
        self.require_ours()?;
        let path = self.explain();
        match explanation {
            Some(explanation) => write_sealed(&path, explanation),
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&path, error)),
                _ => Ok(()),
            },
        }
    }

    /// Writes the report to look at, whole or not at all.
    pub(crate) fn write_page(&self, page: &str) -> Result<()> {
        self.require_ours()?;
        write_atomically(&self.path.join("report.html"), page.as_bytes())
    }

    /// Writes the curves for TensorBoard, whole or not at all.
    pub(crate) fn write_events(&self, events: &[u8]) -> Result<()> {
        self.require_ours()?;
        write_atomically(&self.path.join("tensorboard").join(tensorboard::FILE), events)
    }
}

/// What to do about a damaged file that is made again where it is missing.
pub(crate) const REMOVE_IT: &str = "remove it to have it made again, or use another folder";

/// What a file says that has a hash of itself; `None` if it is not there. For messages: `what` it should be, and what to do.
pub(crate) fn read_sealed<T: DeserializeOwned>(path: PathBuf, what: &str, advice: &str) -> Result<Option<T>> {
    let mut text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(&path, error)),
    };
    let damaged = |reason: String| Error::Damaged { path: path.clone(), reason: format!("{reason}; {advice}") };
    unseal(&mut text).map_err(|reason| damaged(reason.to_string()))?;
    serde_json::from_slice(&text).map(Some).map_err(|error| damaged(format!("not {what}: {error}")))
}

/// Writes JSON with a hash of itself, whole or not at all.
pub(crate) fn write_sealed(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = seal(value).map_err(|e| Error::Encode { reason: e.to_string() })?;
    write_atomically(path, &text)
}

/// Writes a file under another name, brings it to disk, and gives it its name.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let is_new = !folder.exists();
    let write = || {
        disk::create_folders(folder)?;
        let mut file = disk::temporary_file(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        disk::sync_folder(folder)
    };
    write().map_err(|error| {
        if is_new {
            // One with something in it is not removed.
            let _ = fs::remove_dir(folder);
        }
        Error::io(path, error)
    })
}
