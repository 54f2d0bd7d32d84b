//! The runs of a comparison: one folder for each model and seed, trained, found finished, or found to fail.
//!
//! ```text
//! DIR/runs/<model>/seed-<seed>/    a run's folder, as `train` writes it
//! DIR/runs/<model>/seed-<seed>/failed.json
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use pleiad_data::disk::FolderLock;
use serde::{Deserialize, Serialize};

use crate::Interrupt;
use crate::checkpoint::{CheckpointStore, Identity};
use crate::error::{Error, Result};
use crate::fit::Observer;
use crate::run::{Job, REMOVE_IT, RunFolder, RunReport, Trainee, read_sealed, write_sealed};

/// What became of a run.
#[derive(Debug, Clone)]
pub(super) enum SeedOutcome {
    Finished(Box<RunReport>),
    Failed(String),
}

/// `failed.json`: a model that cannot be trained with this seed, so that it is not tried again.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    config_hash: String,
    data_fingerprint: String,
    reason: String,
}

/// The run's folder, relative to the comparison's.
pub(super) fn folder_of(slug: &str, seed: u64) -> PathBuf {
    Path::new("runs").join(slug).join(format!("seed-{seed}"))
}

/// Refuses to compare where another process writes one of the runs. Who comes later is kept out by the lock of the
/// comparison's folder, which is held.
pub(super) fn require_free(out: &Path, slugs: &[String], seeds: &[u64]) -> Result<()> {
    let paths = slugs.iter().flat_map(|slug| seeds.iter().map(|&seed| out.join(folder_of(slug, seed))));
    for path in paths {
        if let Some(holder) = FolderLock::holder(&path) {
            return Err(Error::Held { path, holder });
        }
    }
    Ok(())
}

/// A folder's name for each model: lower-case letters and digits, with a number at the end where two would be the same.
pub(super) fn slugs(names: &[&str]) -> Vec<String> {
    let mut slugs: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let words: String =
            name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect();
        let plain = words.split_whitespace().collect::<Vec<_>>().join("-");
        let plain = if plain.is_empty() { "model".to_owned() } else { plain };
        let numbered = (2..).map(|n| format!("{plain}-{n}"));
        let free = std::iter::once(plain.clone()).chain(numbered).find(|slug| !slugs.contains(slug));
        slugs.extend(free);
    }
    slugs
}

/// What is known of a run already: its end, if it was brought to one. What a killed comparison left of it goes.
pub(super) fn known(path: &Path, identity: &Identity, fingerprint: &str) -> Result<Option<SeedOutcome>> {
    let check_data = |begun: &str| match begun == fingerprint {
        true => Ok(()),
        false => {
            let differences = vec!["  the rows of [data] have changed since; name another folder".to_owned()];
            Err(Error::Differs { path: path.to_path_buf(), differences })
        }
    };
    let folder = RunFolder::new(path);
    folder.sweep();
    if let Some(report) = folder.report()? {
        identity.check_hash(&report.config_hash, path)?;
        check_data(&report.data_fingerprint)?;
        remove_dir(&folder.checkpoints())?;
        return Ok(Some(SeedOutcome::Finished(Box::new(report))));
    }
    let Some(failure) = read_sealed::<Failure>(path.join("failed.json"), "the end of a run", REMOVE_IT)? else {
        return Ok(None);
    };
    identity.check_hash(&failure.config_hash, path)?;
    check_data(&failure.data_fingerprint)?;
    remove_dir(&folder.checkpoints())?;
    Ok(Some(SeedOutcome::Failed(failure.reason)))
}

/// Trains one model with one seed, from its last checkpoint where there is one.
///
/// # Errors
/// Whatever is not the model's own fault: see [`is_failure`].
pub(super) fn train(
    trainee: Trainee<'_>,
    identity: Identity,
    folder: &RunFolder,
    interrupt: &Interrupt,
    observer: &mut dyn Observer,
) -> Result<SeedOutcome> {
    let path = folder.path();
    let mut store = CheckpointStore::new(folder.checkpoints());
    let checkpoint = store.latest(observer)?;
    if let Some(checkpoint) = &checkpoint {
        identity.check(checkpoint.identity(), path)?;
    }
    let hash = identity.hash();
    let job = Job { trainee, identity, folder, store, checkpoint, init: None };
    match job.run("go on with the same command", interrupt, observer) {
        Ok(report) => {
            // Nothing resumes a finished run, and checkpoints of every run would outweigh all the rest.
            remove_dir(&folder.checkpoints())?;
            Ok(SeedOutcome::Finished(Box::new(report)))
        }
        Err(error) if is_failure(&error) => {
            let failure = Failure {
                config_hash: hash,
                data_fingerprint: trainee.data.fingerprint()?.to_owned(),
                reason: error.to_string(),
            };
            folder.require_ours()?;
            write_sealed(&path.join("failed.json"), &failure)?;
            remove_dir(&folder.checkpoints())?;
            Ok(SeedOutcome::Failed(failure.reason))
        }
        Err(error) => {
            // Those that nothing was written into: `seed-1`, the model's, and `runs`. Others are not removed.
            path.ancestors().take(3).for_each(|folder| drop(fs::remove_dir(folder)));
            Err(error)
        }
    }
}

/// Whether it is the model that failed on this seed: a loss that is no number any more, a table that does not fit. The
/// same would happen again, and says nothing of the other models. Everything else (a full disk, rows that cannot be
/// read) ends the comparison.
fn is_failure(error: &Error) -> bool {
    let broke_down =
        matches!(error, Error::NonFinite { .. } | Error::NonFinitePrediction { .. } | Error::Overflow { .. });
    broke_down || matches!(error, Error::Engine(_))
}

fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_have_plain_names_of_their_own() {
        let names = ["PLE", "hard sharing", "PLE (large)", "ple!", "../..", "поток", "–"];
        let expected = ["ple", "hard-sharing", "ple-large", "ple-2", "model", "поток", "model-2"];
        assert_eq!(slugs(&names), expected);
    }
}
