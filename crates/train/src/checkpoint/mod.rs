//! Checkpoints: the whole state of a training, on disk.
//!
//! ```text
//! RUN/checkpoints/step-000000001234/
//!     state.json              the loop's state, what the run is (see [`Identity`]), and the hash of every file
//!     weights.safetensors     weights under their tensor names
//!     optimizer.safetensors   the optimizers' state
//! ```
//!
//! A folder of that name is complete: it is written under another name and renamed. The last two are kept, and that of
//! the best epoch, or of each task's. Before a run goes on from one, every file of it is read and compared with its hash; where one differs,
//! the run goes on from the checkpoint before, and comes to the same bits.

#[cfg(test)]
mod damage;
mod header;
mod identity;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use self::header::{Bests, Header, OPTIMIZER, WEIGHTS, check, is_damage};
pub(crate) use identity::{Difference, Identity, compare};
use pleiad_data::disk::{self, TemporaryFolder, Unlockable, create_folders, sync_folder};
use pleiad_engine::Engine;
use pleiad_model::artifact::{read_safetensors_into, write_safetensors};
use pleiad_model::{Shapes, TensorSink};

use crate::error::{Error, Result};
use crate::fit::{Best, Event, FitState, Keeper, Observer};

/// What a checkpoint holds: the state of the loop here, tensors still on disk.
#[derive(Debug)]
pub struct Checkpointed {
    /// State of the loop.
    pub state: FitState,
    folder: PathBuf,
    weights_xxh64: String,
    optimizer_xxh64: String,
}

impl Checkpointed {
    /// Makes `engine` what it was: weights, optimizer state, and the number of steps.
    ///
    /// # Errors
    /// If a file cannot be read, has changed since it was written, or is not of this model and its optimizers.
    pub fn restore(&self, engine: &mut Engine) -> Result<()> {
        let (weights, optimizer) = (self.folder.join(WEIGHTS), self.folder.join(OPTIMIZER));
        check(&weights, read_safetensors_into(&weights, &mut engine.weights_sink())?, &self.weights_xxh64)?;
        check(&optimizer, read_safetensors_into(&optimizer, &mut engine.state_sink())?, &self.optimizer_xxh64)?;
        engine.set_step_count(self.state.step);
        Ok(())
    }
}

/// Checkpoints that are kept beside the best one.
const KEPT: usize = 2;

const PREFIX: &str = "step-";

/// The checkpoints of a run.
#[derive(Debug)]
pub(crate) struct CheckpointStore {
    folder: PathBuf,
    identity: Option<Identity>,
    data: String,
    best: Bests,
    /// Checkpoints that this process wrote or went on from.
    known: BTreeSet<String>,
    /// Checkpoints that are newer than the one it went on from: damaged, or of no use without one that is.
    passed_over: Vec<String>,
}

/// A checkpoint whose tensors are checked, and not in the engine yet.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    path: PathBuf,
    header: Header,
}

impl CheckpointStore {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            identity: None,
            data: String::new(),
            best: Bests::default(),
            known: BTreeSet::new(),
            passed_over: Vec::new(),
        }
    }

    /// Says whose checkpoints are written from now on, and clears away what a killed run was writing.
    pub(crate) fn begin(&mut self, identity: Identity, data: String) -> Result<()> {
        (self.identity, self.data) = (Some(identity), data);
        disk::sweep(&self.folder, Unlockable::Remove);
        // This run writes them again, whole.
        for name in std::mem::take(&mut self.passed_over) {
            remove(&self.folder.join(name))?;
        }
        // A killed run may have been on it, and have removed a part of one.
        self.prune()
    }

    /// The newest checkpoint that is whole, if there is any checkpoint at all. `observer` gets those that are
    /// passed over.
    ///
    /// # Errors
    /// [`Error::NoCheckpoint`] if none is whole, [`Error::Version`] for one of another version of this program.
    pub(crate) fn latest(&mut self, observer: &mut dyn Observer) -> Result<Option<Checkpoint>> {
        let mut names = self.names()?;
        let mut damages: Vec<Error> = Vec::new();
        while let Some(name) = names.pop() {
            match self.open(&name, !damages.is_empty()) {
                Ok(header) => {
                    let step = header.state.step;
                    for damage in &damages {
                        let text =
                            format!("a checkpoint is passed over, and training goes on from step {step}: {damage}");
                        observer.event(&Event::Warning(&text));
                    }
                    self.best = header.bests();
                    let path = self.folder.join(&name);
                    self.known.insert(name);
                    return Ok(Some(Checkpoint { path, header }));
                }
                Err(error) if is_damage(&error) => {
                    damages.push(error);
                    self.passed_over.push(name);
                }
                Err(error) => return Err(error),
            }
        }
        match damages.into_iter().next() {
            None => Ok(None),
            Some(newest) => Err(Error::NoCheckpoint { folder: self.folder.clone(), newest: newest.to_string() }),
        }
    }

    /// Checks every file of a checkpoint, and the weights of the best epochs at that time. These may be gone where a `newer`
    /// checkpoint is damaged: then a better epoch had come since, and will come again.
    fn open(&self, name: &str, newer: bool) -> Result<Header> {
        let folder = self.folder.join(name);
        let header = Header::read(&folder)?;
        header.verify(&folder)?;
        for best in header.bests().names().into_iter().filter(|best| *best != name) {
            let folder = self.folder.join(best);
            if folder.exists() || !newer {
                Header::read(&folder)?.verify_weights(&folder)?;
            }
        }
        Ok(header)
    }

    /// Names of all checkpoints, oldest first.
    fn names(&self) -> Result<Vec<String>> {
        let is_number = |n: &str| n.len() == 12 && n.bytes().all(|b| b.is_ascii_digit());
        let mut names = self.entries()?;
        names.retain(|name| name.strip_prefix(PREFIX).is_some_and(is_number));
        names.sort();
        Ok(names)
    }

    /// Names of all that is in the folder; none if there is no folder.
    fn entries(&self) -> Result<Vec<String>> {
        let io = |e| Error::io(&self.folder, e);
        match fs::read_dir(&self.folder) {
            Ok(entries) => {
                entries.map(|entry| Ok(entry.map_err(io)?.file_name().to_string_lossy().into_owned())).collect()
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(io(error)),
        }
    }

    fn write(&self, name: &str, state: &FitState, engine: &Engine, identity: &Identity) -> Result<()> {
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |error| Error::Io { path, source: error }
        };
        create_folders(&self.folder).map_err(io(&self.folder))?;
        let temporary = TemporaryFolder::private(&self.folder).map_err(io(&self.folder))?;
        let weights = write_safetensors(&temporary.path().join(WEIGHTS), &engine.weights_view())?;
        let optimizer = write_safetensors(&temporary.path().join(OPTIMIZER), &engine.state_view())?;
        let (data, best, hashes) = (self.data.clone(), self.best.clone(), [weights, optimizer]);
        Header::new(identity.clone(), data, best, hashes, state.clone()).write(temporary.path())?;
        sync_folder(temporary.path()).map_err(io(temporary.path()))?;
        // A temporary folder is private; this one becomes an ordinary one.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&self.folder).map_err(io(&self.folder))?.permissions().mode();
            fs::set_permissions(temporary.path(), fs::Permissions::from_mode(mode)).map_err(io(temporary.path()))?;
        }
        let to = self.folder.join(name);
        // Written by another process: it may be another state.
        if to.is_symlink() || to.is_file() {
            remove(&to)?;
        } else if to.exists() {
            if disk::exchange(temporary.path(), &to).map_err(io(&to))? {
                return sync_folder(&self.folder).map_err(io(&self.folder));
            }
            fs::remove_dir_all(&to).map_err(io(&to))?;
        }
        fs::rename(temporary.path(), &to).map_err(io(&to))?;
        temporary.was_renamed();
        sync_folder(&self.folder).map_err(io(&self.folder))
    }

    /// Leaves no empty folders of a run whose first checkpoint could not be written: they would look like a run.
    fn remove_if_empty(&self) {
        // Folders with something in them are not removed, which is all that may fail here.
        if fs::remove_dir(&self.folder).is_ok()
            && let Some(run) = self.folder.parent()
        {
            let _ = fs::remove_dir(run);
        }
    }

    /// Removes all but the last few and the best.
    fn prune(&self) -> Result<()> {
        let names = self.names()?;
        let best = self.best.names();
        for name in names.iter().rev().skip(KEPT).filter(|name| !best.contains(name)) {
            remove(&self.folder.join(name))?;
        }
        Ok(())
    }
}

/// Removes a checkpoint, or what has the name of one.
fn remove(path: &Path) -> Result<()> {
    let is_folder = path.is_dir() && !path.is_symlink();
    if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) }.map_err(|e| Error::io(path, e))
}

impl Keeper for CheckpointStore {
    fn save(&mut self, state: &FitState, engine: &Engine, best: Best<'_>) -> Result<()> {
        let Some(identity) = self.identity.clone() else { return Ok(()) };
        let name = format!("{PREFIX}{:012}", state.step);
        match best {
            Best::No => {}
            Best::All => self.best.of_all = Some(name.clone()),
            Best::Tasks(tasks) => {
                let most = tasks.iter().max().map_or(0, |most| most + 1);
                let of_tasks = &mut self.best.of_tasks;
                of_tasks.resize(of_tasks.len().max(most), None);
                tasks.iter().for_each(|&task| of_tasks[task] = Some(name.clone()));
            }
        }
        // Two states at one step are one state: an interrupt right after the end of an epoch.
        if !self.known.contains(&name) {
            self.write(&name, state, engine, &identity).inspect_err(|_| self.remove_if_empty())?;
            self.known.insert(name);
        }
        self.prune()
    }

    fn restore_best(&mut self, engine: &mut Engine, own: &[BTreeSet<String>]) -> Result<()> {
        if own.is_empty() {
            return self.restore(self.best.of_all.as_deref(), &mut engine.weights_sink());
        }
        for (task, own) in own.iter().enumerate() {
            let best = self.best.of_tasks.get(task).and_then(Option::as_deref);
            self.restore(best, &mut Own { sink: &mut engine.weights_sink(), own })?;
        }
        Ok(())
    }
}

/// Takes the tensors of one task, and leaves the others as they are.
struct Own<'a> {
    sink: &'a mut dyn TensorSink,
    own: &'a BTreeSet<String>,
}

impl TensorSink for Own<'_> {
    fn shapes(&self) -> Shapes {
        self.sink.shapes()
    }

    fn write(&mut self, name: &str, at: usize, values: &[f32]) {
        if self.own.contains(name) {
            self.sink.write(name, at, values);
        }
    }
}

impl CheckpointStore {
    /// Reads the weights of a checkpoint of this run.
    fn restore(&self, name: Option<&str>, sink: &mut dyn TensorSink) -> Result<()> {
        let folder = self.folder.join(name.unwrap_or_default());
        let header = Header::read(&folder)?;
        if Some(&header.identity) != self.identity.as_ref() || header.data != self.data {
            let reason = "it is not of this run, so that the weights of its best epoch are lost; train again in another \
                          folder";
            let reason = reason.to_owned();
            return Err(Error::Damaged { path: folder, reason });
        }
        let path = folder.join(WEIGHTS);
        check(&path, read_safetensors_into(&path, sink)?, &header.weights_xxh64)
    }
}

impl Checkpoint {
    pub(crate) fn identity(&self) -> &Identity {
        &self.header.identity
    }

    /// Refuses rows or encoders other than those that the run began with.
    pub(crate) fn check_data(&self, fingerprint: &str, run: &Path) -> Result<()> {
        if self.header.data == fingerprint {
            return Ok(());
        }
        let differences = vec!["  the rows of [data] have changed since: other rows, labels or values".to_owned()];
        Err(Error::Differs { path: run.to_path_buf(), differences })
    }

    /// What it holds.
    pub(crate) fn into_inner(self) -> Checkpointed {
        let Header { state, weights_xxh64, optimizer_xxh64, .. } = self.header;
        Checkpointed { state, folder: self.path, weights_xxh64, optimizer_xxh64 }
    }
}
