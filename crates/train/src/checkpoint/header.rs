//! [`Header`]: `state.json` of a checkpoint, and whether the files beside it are those that it was written with.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use pleiad_data::sealed::{Unsealed, hex, seal, unseal};
use pleiad_model::artifact::hash_safetensors;
use serde::{Deserialize, Serialize};

use super::Identity;
use crate::error::{Error, Result};
use crate::fit::FitState;

/// Version of the form of a checkpoint.
const VERSION: u64 = 2;

const STATE: &str = "state.json";
pub(super) const WEIGHTS: &str = "weights.safetensors";
pub(super) const OPTIMIZER: &str = "optimizer.safetensors";

/// `state.json`, which has a hash of itself (see [`pleiad_data::sealed`]) and of the tensors beside it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    version: u64,
    pub(super) identity: Identity,
    /// The hash of rows and encoders.
    pub(super) data: String,
    /// Folder of the best epoch's checkpoint.
    pub(super) best: Option<String>,
    /// By task, the folder of its best epoch's checkpoint, where each has its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) bests: Vec<Option<String>>,
    /// The hash of the tensors, as [`pleiad_model::artifact::write_safetensors`] gives it, in hexadecimal.
    pub(super) weights_xxh64: String,
    pub(super) optimizer_xxh64: String,
    pub(super) state: FitState,
}

/// The checkpoints that the best weights are in.
#[derive(Debug, Clone, Default)]
pub(super) struct Bests {
    pub(super) of_all: Option<String>,
    /// By task, where each has its own.
    pub(super) of_tasks: Vec<Option<String>>,
}

impl Bests {
    /// Names of all of them, each once.
    pub(super) fn names(&self) -> BTreeSet<&String> {
        self.of_all.iter().chain(self.of_tasks.iter().flatten()).collect()
    }
}

/// The version alone, whatever else there is.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

impl Header {
    pub(super) fn new(identity: Identity, data: String, best: Bests, hashes: [u64; 2], state: FitState) -> Self {
        let [weights_xxh64, optimizer_xxh64] = hashes.map(hex);
        let Bests { of_all: best, of_tasks: bests } = best;
        Self { version: VERSION, identity, data, best, bests, weights_xxh64, optimizer_xxh64, state }
    }

    /// The checkpoints that its best weights are in.
    pub(super) fn bests(&self) -> Bests {
        Bests { of_all: self.best.clone(), of_tasks: self.bests.clone() }
    }

    /// Writes it into the folder of a checkpoint and brings it to disk.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(STATE);
        let write = || {
            let mut file = File::create(&path)?;
            file.write_all(&seal(self)?)?;
            file.sync_all()
        };
        write().map_err(|error| Error::io(&path, error))
    }

    /// Reads that of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Damaged`], or [`Error::Version`] where another version of this program wrote it.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(STATE);
        let damaged = |reason: String| Error::Damaged { path: path.clone(), reason };
        let mut bytes = fs::read(&path).map_err(|error| match is_lost(&error) {
            true => damaged(format!("it cannot be read: {error}")),
            false => Error::io(&path, error),
        })?;
        let sealed = unseal(&mut bytes);
        if matches!(sealed, Ok(()) | Err(Unsealed::NoHash))
            && let Ok(Versioned { version: found }) = serde_json::from_slice(&bytes)
            && found != VERSION
        {
            return Err(Error::Version { path, found, supported: VERSION });
        }
        sealed.map_err(|reason| damaged(reason.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|error| damaged(format!("not the state of a training: {error}")))
    }

    /// Reads the tensors of a checkpoint and checks that they are those that were written.
    ///
    /// # Errors
    /// Those of reading them, and [`Error::Damaged`].
    pub(super) fn verify(&self, folder: &Path) -> Result<()> {
        self.verify_weights(folder)?;
        let path = folder.join(OPTIMIZER);
        check(&path, hash_safetensors(&path)?, &self.optimizer_xxh64)
    }

    /// [`Header::verify`] of the weights alone.
    ///
    /// # Errors
    /// As there.
    pub(super) fn verify_weights(&self, folder: &Path) -> Result<()> {
        let path = folder.join(WEIGHTS);
        check(&path, hash_safetensors(&path)?, &self.weights_xxh64)
    }
}

/// Refuses tensors of another hash than those that were written.
pub(super) fn check(path: &Path, found: u64, written: &str) -> Result<()> {
    if hex(found) == written {
        return Ok(());
    }
    let reason =
        format!("its tensors have changed since they were written: their hash was {written}, and is {}", hex(found));
    Err(Error::Damaged { path: path.to_path_buf(), reason })
}

/// Whether an error says that a file of a checkpoint is not what it was, so that an earlier checkpoint is the better one.
/// Anything else, such as rights that are lacking, is for the user to mend.
pub(super) fn is_damage(error: &Error) -> bool {
    match error {
        Error::Damaged { .. } => true,
        Error::Model(pleiad_model::Error::Io { source, .. }) => is_lost(source),
        Error::Model(error) => error.kind() == pleiad_data::ErrorKind::Data,
        _ => false,
    }
}

fn is_lost(error: &io::Error) -> bool {
    use ErrorKind::{InvalidData, IsADirectory, NotADirectory, NotFound, UnexpectedEof};
    matches!(error.kind(), NotFound | UnexpectedEof | InvalidData | IsADirectory | NotADirectory)
}
