//! Checkpoints: the whole state of a training, on disk.
//!
//! ```text
//! RUN/checkpoints/step-000000001234/
//!     state.json              the loop's state, and what the run is (see [`Identity`])
//!     weights.safetensors     weights under their tensor names
//!     optimizer.safetensors   the optimizers' state
//! ```
//!
//! A folder of that name is complete: it is written under another name and renamed. The last two are kept, and that of
//! the best epoch.

mod identity;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use identity::Identity;
use pleiad_data::disk::{self, TemporaryFolder, Unlockable};
use pleiad_engine::Engine;
use pleiad_model::artifact::{read_safetensors_into, write_safetensors};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::fit::{Keeper, State};

/// What a checkpoint holds: the state of the loop here, tensors still on disk.
#[derive(Debug)]
pub struct Checkpointed {
    /// State of the loop.
    pub state: State,
    folder: PathBuf,
}

impl Checkpointed {
    /// Makes `engine` what it was: weights, optimizer state, and the number of steps.
    ///
    /// # Errors
    /// If a file cannot be read, or is not of this model and its optimizers.
    pub fn restore(&self, engine: &mut Engine) -> Result<()> {
        read_safetensors_into(&self.folder.join(WEIGHTS), &mut engine.weights_sink())?;
        read_safetensors_into(&self.folder.join(OPTIMIZER), &mut engine.state_sink())?;
        engine.set_step_count(self.state.step);
        Ok(())
    }
}

/// Version of the form of a checkpoint.
const VERSION: u32 = 1;

/// Checkpoints that are kept beside the best one.
const KEPT: usize = 2;

const PREFIX: &str = "step-";

const WEIGHTS: &str = "weights.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";

/// `state.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    identity: Identity,
    /// Of rows and encoders.
    data: String,
    /// Folder of the best epoch's checkpoint.
    best: Option<String>,
    state: State,
}

impl Header {
    /// Of the checkpoint in a folder.
    fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("state.json");
        let bytes = fs::read(&path).map_err(|e| Error::io(&path, e))?;
        let damaged = |reason: String| Error::Damaged {
            path: path.clone(),
            reason: format!("{reason}; remove {} to go on from an earlier checkpoint", folder.display()),
        };
        let version = serde_json::from_slice::<serde_json::Value>(&bytes)
            .map_err(|error| damaged(format!("not the state of a training: {error}")))?;
        if version.get("version").and_then(serde_json::Value::as_u64) != Some(u64::from(VERSION)) {
            return Err(damaged(format!("not of version {VERSION}, which this program reads")));
        }
        serde_json::from_slice(&bytes).map_err(|error| damaged(format!("not the state of a training: {error}")))
    }
}

/// The checkpoints of a run.
#[derive(Debug)]
pub(crate) struct CheckpointStore {
    folder: PathBuf,
    identity: Option<Identity>,
    data: String,
    best: Option<String>,
    /// Checkpoints that this process wrote or went on from.
    known: BTreeSet<String>,
}

/// A checkpoint whose tensors are not read yet.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    path: PathBuf,
    header: Header,
}

impl CheckpointStore {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, identity: None, data: String::new(), best: None, known: BTreeSet::new() }
    }

    /// Says whose checkpoints are written from now on, and clears away what a killed run was writing.
    pub(crate) fn begin(&mut self, identity: Identity, data: String) -> Result<()> {
        (self.identity, self.data) = (Some(identity), data);
        disk::sweep(&self.folder, Unlockable::Remove);
        Ok(())
    }

    /// The newest checkpoint, if there is any.
    pub(crate) fn latest(&mut self) -> Result<Option<Checkpoint>> {
        let Some(name) = self.names()?.pop() else { return Ok(None) };
        let path = self.folder.join(&name);
        let header = Header::read(&path)?;
        self.best.clone_from(&header.best);
        self.known.insert(name);
        Ok(Some(Checkpoint { path, header }))
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

    fn write(&self, name: &str, state: &State, engine: &Engine, identity: &Identity) -> Result<()> {
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |error| Error::Io { path, source: error }
        };
        fs::create_dir_all(&self.folder).map_err(io(&self.folder))?;
        let temporary = TemporaryFolder::private(&self.folder).map_err(io(&self.folder))?;
        let header = Header {
            version: VERSION,
            identity: identity.clone(),
            data: self.data.clone(),
            best: self.best.clone(),
            state: state.clone(),
        };
        let json = serde_json::to_vec_pretty(&header).map_err(|e| Error::Encode { reason: e.to_string() })?;
        let path = temporary.path().join("state.json");
        fs::write(&path, json).map_err(io(&path))?;
        fs::File::open(&path).and_then(|file| file.sync_all()).map_err(io(&path))?;
        write_safetensors(&temporary.path().join(WEIGHTS), &engine.weights_view())?;
        write_safetensors(&temporary.path().join(OPTIMIZER), &engine.state_view())?;
        // A temporary folder is private; this one becomes an ordinary one.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&self.folder).map_err(io(&self.folder))?.permissions().mode();
            fs::set_permissions(temporary.path(), fs::Permissions::from_mode(mode)).map_err(io(temporary.path()))?;
        }
        let to = self.folder.join(name);
        // Written by another process, so that nobody knows whether it is this state.
        if to.exists() {
            if disk::exchange(temporary.path(), &to).map_err(io(&to))? {
                return Ok(());
            }
            fs::remove_dir_all(&to).map_err(io(&to))?;
        }
        fs::rename(temporary.path(), &to).map_err(io(&to))?;
        temporary.was_renamed();
        Ok(())
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
        for name in names.iter().rev().skip(KEPT).filter(|name| Some(*name) != self.best.as_ref()) {
            let path = self.folder.join(name);
            fs::remove_dir_all(&path).map_err(|e| Error::io(&path, e))?;
        }
        Ok(())
    }
}

impl Keeper for CheckpointStore {
    fn save(&mut self, state: &State, engine: &Engine, best: bool) -> Result<()> {
        let Some(identity) = self.identity.clone() else { return Ok(()) };
        let name = format!("{PREFIX}{:012}", state.step);
        if best {
            self.best = Some(name.clone());
        }
        // Two states at one step are one state: an interrupt right after the end of an epoch.
        if !self.known.contains(&name) {
            self.write(&name, state, engine, &identity).inspect_err(|_| self.remove_if_empty())?;
            self.known.insert(name);
        }
        self.prune()
    }

    fn restore_best(&mut self, engine: &mut Engine) -> Result<()> {
        let path = self.folder.join(self.best.as_deref().unwrap_or_default());
        let header = Header::read(&path)?;
        if Some(&header.identity) != self.identity.as_ref() || header.data != self.data {
            let reason =
                "it is not of this run, so that the weights of its best epoch are lost; start again in another \
                          folder"
                    .to_owned();
            return Err(Error::Damaged { path, reason });
        }
        Ok(read_safetensors_into(&path.join(WEIGHTS), &mut engine.weights_sink())?)
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
        Checkpointed { state: self.header.state, folder: self.path }
    }
}
