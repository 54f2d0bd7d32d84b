//! Checkpoints whose files are not what they were.
#![allow(clippy::unwrap_used)]

use pleiad_model::Weights;
use pleiad_model::artifact::read_safetensors;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::fit::Silent;

const NEWEST: &str = "step-000000000010";
const BEFORE: &str = "step-000000000005";
const GONE: &str = "step-000000000001";

fn state(step: u64) -> FitState {
    let sums = json!({ "joint": 0.5, "steps": 1, "tasks": [[0.5, 3]], "weights": [1.0] });
    let stopping = json!({ "best": null, "reference": null, "waited": 0 });
    serde_json::from_value(json!({
        "epoch": 1, "step_in_epoch": 2, "step": step, "seconds": 0.25, "history": [], "stop": null,
        "sums": sums, "stopping": stopping,
    }))
    .unwrap()
}

fn weights(first: f32) -> Weights {
    let mut weights = Weights::default();
    weights.insert("towers.buy.0.weight", vec![1, 3], vec![first, -0.0, 2.5]);
    weights.insert("towers.buy.0.bias", vec![1], vec![first]);
    weights
}

fn write(root: &Path, name: &str, step: u64, best: Option<&str>) {
    let folder = root.join(name);
    fs::create_dir_all(&folder).unwrap();
    let hashes = [(WEIGHTS, 1.0), (OPTIMIZER, 7.0)].map(|(file, first)| {
        let first = first + step as f32;
        write_safetensors(&folder.join(file), &weights(first)).unwrap()
    });
    let identity = serde_json::from_value(json!({ "train": { "seed": 1 } })).unwrap();
    let best = Bests { of_all: best.map(str::to_owned), of_tasks: Vec::new() };
    Header::new(identity, "data".to_owned(), best, hashes, state(step)).write(&folder).unwrap();
}

/// Two checkpoints, each the best at its time.
fn two() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), BEFORE, 5, Some(BEFORE));
    write(root.path(), NEWEST, 10, Some(NEWEST));
    root
}

fn latest(root: &Path) -> Result<u64> {
    let found = CheckpointStore::new(root.to_path_buf()).latest(&mut Silent)?;
    Ok(found.map_or(0, |checkpoint| checkpoint.header.state.step))
}

#[test]
fn every_byte_of_every_file_counts() {
    let root = two();
    assert_eq!(latest(root.path()).unwrap(), 10);
    let mut passed_over = 0;
    for file in ["state.json", WEIGHTS, OPTIMIZER] {
        let path = root.path().join(NEWEST).join(file);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, bytes).unwrap();
            match latest(root.path()).unwrap() {
                5 => passed_over += 1,
                // A byte that means nothing.
                step => {
                    assert_eq!(step, 10, "{file}, byte {at}");
                    let first = if file == WEIGHTS { 11.0 } else { 17.0 };
                    assert_eq!(read_safetensors(&path).unwrap(), weights(first), "{file}, byte {at}");
                }
            }
        }
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(latest(root.path()).unwrap(), 5, "{file} cut to {length}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(latest(root.path()).unwrap(), 5, "{file} is gone");
        fs::write(&path, whole).unwrap();
    }
    assert!(passed_over > 800, "{passed_over}");
    assert_eq!(latest(root.path()).unwrap(), 10);
}

/// A best epoch that a better one took the place of is removed; if the better one is damaged, it comes again.
#[test]
fn the_best_epoch_may_be_gone_where_a_newer_checkpoint_is_damaged() {
    let root = two();
    write(root.path(), BEFORE, 5, Some(GONE));
    fs::write(root.path().join(NEWEST).join(WEIGHTS), "x").unwrap();
    assert_eq!(latest(root.path()).unwrap(), 5);
    // Without a newer one nothing brings it back.
    fs::remove_dir_all(root.path().join(NEWEST)).unwrap();
    let error = latest(root.path()).unwrap_err();
    assert!(matches!(error, Error::NoCheckpoint { .. }) && error.to_string().contains(GONE), "{error}");
}

#[test]
fn tensors_of_another_checkpoint_are_passed_over() {
    let root = two();
    for file in [WEIGHTS, OPTIMIZER] {
        fs::copy(root.path().join(BEFORE).join(file), root.path().join(NEWEST).join(file)).unwrap();
        assert_eq!(latest(root.path()).unwrap(), 5);
        write(root.path(), NEWEST, 10, Some(NEWEST));
    }
}

#[test]
fn other_versions_are_refused_by_number() {
    let root = two();
    let path = root.path().join(NEWEST).join("state.json");
    for (version, advice) in [(1, "began the run"), (3, "newer version")] {
        fs::write(&path, json!({ "version": version }).to_string()).unwrap();
        let message = latest(root.path()).unwrap_err().to_string();
        assert!(message.contains(&format!("format version {version}")) && message.contains(advice), "{message}");
    }
}
