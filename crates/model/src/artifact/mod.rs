//! A trained model on disk: a directory of three files, written completely or not at all.
//!
//! ```text
//! model.json            format version, model configuration, graph, encoder, provenance, and the hash of every file
//! weights.safetensors   every tensor that the graph names, f32
//! golden.safetensors    a few rows, raw and encoded, and the predictions they must give
//! ```
//!
//! [`Artifact::open`] checks hashes, versions, sizes, names, shapes and handles before it allocates memory by them, and
//! the raw golden rows must be encoded as they were when the model was saved. The artifact holds the golden predictions
//! ([`Golden`]); an engine checks that the model still gives them. Import and checkpoints use weights alone
//! ([`read_safetensors`], [`write_safetensors`]).

mod convert;
mod directory;
mod document;
mod golden;
mod tensor_file;
mod weights;

use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

pub use document::{FORMAT_VERSION, Provenance};
pub use golden::{GOLDEN_TOLERANCE, Golden};
use pleiad_data::Encoder;
use pleiad_data::disk::FolderIdentity;
use pleiad_data::sealed::hex;
use serde_json::Value;
pub use weights::{
    check_tensors, check_weights, hash_safetensors, read_floats, read_safetensors, read_safetensors_into, read_weights,
    write_safetensors,
};
use xxhash_rust::xxh64::Xxh64;

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::tensors::TensorSource;
use crate::weights::Weights;

const MODEL: &str = "model.json";
const WEIGHTS: &str = "weights.safetensors";
const GOLDEN: &str = "golden.safetensors";
const FILES: [&str; 3] = [MODEL, WEIGHTS, GOLDEN];

/// A model that is replaced while it is opened is opened again, at most so often.
const REOPENED: usize = 16;

/// A trained model with everything that is needed to use it on raw rows.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// The model's configuration as it stood in `[model]`: a JSON object with `kind`. Kept for people; the graph is
    /// what is run, so that a model of a structure that this version does not know still opens.
    pub model: Value,
    /// The model.
    pub graph: Graph,
    /// Schema and fitted encoders.
    pub encoder: Encoder,
    /// Where the model comes from.
    pub provenance: Provenance,
    /// `[rank]` as it stood in the configuration: how predictions become a score. `None` where it said nothing.
    pub rank: Option<Value>,
    /// Every tensor that the graph names.
    pub weights: Weights,
    /// Rows with the predictions they must give.
    pub golden: Golden,
}

impl Artifact {
    /// The model's structure, such as `ple`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.model.get("kind").and_then(Value::as_str).unwrap_or("unknown")
    }

    /// Writes the artifact to `dir`, whole: into a temporary directory beside it, flushed to the disk, then renamed.
    ///
    /// An existing artifact, or an empty directory, is replaced by an exchange in one step: a program that opens it
    /// finds the former one or this one. Where the system or the file system has no exchange (Linux and macOS have one
    /// on their usual file systems), `dir` does not exist between two renames, and a crash just then leaves the former
    /// artifact beside it as `.NAME.former`.
    ///
    /// # Errors
    /// [`Error::Occupied`] if something else stands at `dir`, [`Error::Io`] if a file cannot be written; the errors of
    /// [`check_weights`] and [`Error::Inconsistent`] if the parts do not belong together. In each case `dir` is as it
    /// was.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let Self { model, graph, encoder, provenance, rank, weights, golden } = self;
        Unsaved { model, graph, encoder, provenance, rank: rank.as_ref(), weights, golden }.save(dir)
    }

    /// Reads the artifact at `dir`. If it is replaced meanwhile, it is read again: its files are always those of one.
    ///
    /// # Errors
    /// [`Error::NotAnArtifact`], [`Error::Version`], [`Error::Damaged`], [`Error::Inconsistent`], those of
    /// [`read_weights`] and of [`Graph::validate`]; each names the file.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::open_if(dir, &|_| Ok(()))
    }

    /// [`Artifact::open`], if `fits` agrees before the weights are read.
    ///
    /// # Errors
    /// As there, and [`Error::TooLarge`] with what `fits` says.
    pub fn open_if(dir: &Path, fits: &dyn Fn(&Graph) -> Result<(), String>) -> Result<Self> {
        let mut before = FolderIdentity::of(dir);
        for _ in 1..REOPENED {
            let opened = Self::open_once(dir, fits);
            let after = FolderIdentity::of(dir);
            if before == after {
                return opened;
            }
            before = after;
        }
        Self::open_once(dir, fits)
    }

    /// Removes what killed processes of earlier versions left beside the artifact at `dir` (what this one leaves goes with
    /// the next save). No other process may be writing there.
    pub fn sweep_beside(dir: &Path) {
        directory::sweep_beside(dir);
    }

    fn open_once(dir: &Path, fits: &dyn Fn(&Graph) -> Result<(), String>) -> Result<Self> {
        let not_ours = |reason: String| Err(Error::NotAnArtifact { path: dir.to_owned(), reason });
        match look_at(dir)? {
            None => return not_ours("there is nothing at this path".to_owned()),
            Some(found) if !found.is_dir() => {
                let hint = dir.parent().map_or_else(String::new, |folder| did_you_mean(folder, "the folder"));
                return not_ours(format!("it is not a directory{hint}"));
            }
            Some(_) => {}
        }
        for file in FILES {
            if !look_at(&dir.join(file))?.is_some_and(|found| found.is_file()) {
                return not_ours(format!("it has no {file}{}", model_nearby(dir)));
            }
        }
        let document::Contents { model, graph, encoder, provenance, rank, weights_xxh64, golden_xxh64 } =
            document::read(&dir.join(MODEL))?;
        check_encoder(dir, &encoder, &graph)?;
        fits(&graph).map_err(|reason| Error::TooLarge { path: dir.to_owned(), reason })?;
        let others = |file: &str, what: &str| {
            let reason = format!("its {what} are not those that {MODEL} was saved with: copy the whole model again");
            Err(Error::Damaged { path: dir.join(file), reason })
        };
        let weights = read_weights(&dir.join(WEIGHTS), &graph)?;
        if hex(weights.xxh64()) != weights_xxh64 {
            return others(WEIGHTS, "weights");
        }
        if hex(hash_file(&dir.join(GOLDEN))?) != golden_xxh64 {
            return others(GOLDEN, "golden rows");
        }
        let golden = Golden::read(&dir.join(GOLDEN), &graph)?;
        golden.check_encoder(&dir.join(GOLDEN), &encoder)?;
        Ok(Self { model, graph, encoder, provenance, rank, weights, golden })
    }
}

/// Where the model may be, if `dir` is the folder of a run or of a comparison.
fn model_nearby(dir: &Path) -> String {
    let own = did_you_mean(&dir.join("model"), "the model of this run");
    if !own.is_empty() {
        return own;
    }
    let below = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let mut folders: Vec<PathBuf> = entries.collect();
        folders.sort();
        folders
    };
    let runs = below(&dir.join("runs"));
    let models = runs
        .iter()
        .flat_map(|model| below(model))
        .map(|run| did_you_mean(&run.join("model"), "a model of this comparison"));
    models.into_iter().find(|hint| !hint.is_empty()).unwrap_or_default()
}

/// A hint at a model, if it is one.
fn did_you_mean(model: &Path, what: &str) -> String {
    if model.join(MODEL).is_file() { format!("; did you mean {}, {what}?", model.display()) } else { String::new() }
}

/// An [`Artifact`] that is to be written, its weights wherever they are.
#[derive(Clone, Copy)]
pub struct Unsaved<'a> {
    /// As [`Artifact::model`].
    pub model: &'a Value,
    /// The model.
    pub graph: &'a Graph,
    /// Schema and fitted encoders.
    pub encoder: &'a Encoder,
    /// Where the model comes from.
    pub provenance: &'a Provenance,
    /// As [`Artifact::rank`].
    pub rank: Option<&'a Value>,
    /// Every tensor that the graph names.
    pub weights: &'a dyn TensorSource,
    /// Rows with the predictions they must give.
    pub golden: &'a Golden,
}

impl Unsaved<'_> {
    /// [`Artifact::save`].
    ///
    /// # Errors
    /// As there.
    pub fn save(&self, dir: &Path) -> Result<()> {
        self.graph.validate()?;
        check_encoder(dir, self.encoder, self.graph)?;
        check_weights(self.weights, self.graph)?;
        if let Some(problem) = self.golden.problem(self.graph) {
            return Err(Error::Inconsistent { path: dir.to_owned(), reason: format!("golden rows: {problem}") });
        }
        self.golden.check_encoder(&dir.join(GOLDEN), self.encoder)?;
        directory::replace(dir, |temporary| {
            let weights = write_safetensors(&temporary.join(WEIGHTS), self.weights)?;
            let golden = temporary.join(GOLDEN);
            self.golden.write(&golden, self.graph)?;
            document::write(&temporary.join(MODEL), self, weights, hash_file(&golden)?)
        })
    }
}

/// XXH64 (seed 0) of all bytes of a file.
fn hash_file(path: &Path) -> Result<u64> {
    let io = |source| Error::Io { path: path.to_owned(), action: "read", source };
    let (mut file, mut hash) = (File::open(path).map_err(io)?, Xxh64::new(0));
    let mut part = vec![0; 1 << 16];
    loop {
        match file.read(&mut part).map_err(io)? {
            0 => return Ok(hash.digest()),
            read => hash.update(&part[..read]),
        }
    }
}

/// What is at `path`; `None` if nothing is. A path that may not be looked at is not one with nothing there.
fn look_at(path: &Path) -> Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(Error::Io { path: path.to_owned(), action: "read", source }),
    }
}

/// Whether an encoder gives what a graph reads and predicts.
fn check_encoder(path: &Path, encoder: &Encoder, graph: &Graph) -> Result<()> {
    let inconsistent = |reason: &str| Err(Error::Inconsistent { path: path.to_owned(), reason: reason.to_owned() });
    if encoder.layout() != &graph.layout {
        return inconsistent("the encoder gives other inputs than the graph reads");
    }
    let tasks = encoder.tasks().iter().map(|t| (t.name.as_str(), t.kind, t.objective));
    if !tasks.eq(graph.outputs.iter().map(|o| (o.task.as_str(), o.kind, o.objective))) {
        return inconsistent("the encoder's tasks are not those that the graph predicts");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
