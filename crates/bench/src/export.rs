//! [`export`]: a case in files, for another program to compute the same and be timed on it.
//!
//! ```text
//! DIR/case.json               sizes and [model] of the case, its learning rate
//! DIR/weights.safetensors     the weights that training starts from
//! DIR/batch-<i>.safetensors   numeric [B, N], ids [B, C], labels [B, T]; ids as f32, exact below 2^24
//! DIR/gradients.safetensors   of the loss (sum over tasks of the mean over rows) of the first batch's first 32 rows, by
//!                             every weight
//! ```
//!
//! Why 32 rows: a ReLU whose input lies within rounding of 0 has either of two gradients, and in a thousand rows of a
//! wide model there are some. In these 32 rows no input is nearer to 0 than 4e-6, ten times the effect of rounding.

use std::fs;
use std::path::Path;

use pleiad_data::Batch;
use pleiad_data::disk::{self, TemporaryFolder, Unlockable};
use pleiad_model::Weights;
use pleiad_model::artifact::write_safetensors;
use serde_json::json;

use super::case::{Arithmetic, Case};
use pleiad_train::{Error, Result};

/// Batches that are written.
pub const EXPORTED_BATCHES: usize = 8;

/// Rows of the first batch whose gradients are written.
pub const GRADIENT_ROWS: usize = 32;

/// Writes a case to the folder `dir`, which must not be there or be empty, whole or not at all.
///
/// # Errors
/// [`Error::Exists`], [`Error::Io`], and what building the case may give.
pub fn export(case: &Case, dir: &Path) -> Result<()> {
    if dir.is_file() || fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        let what = if dir.is_file() { "is a file" } else { "exists and is not empty" };
        return Err(Error::Exists { path: dir.to_path_buf(), what, advice: "name another folder" });
    }
    let parent = dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))?;
    disk::sweep(parent, Unlockable::RemoveOld);
    let folder = TemporaryFolder::private(parent).map_err(|e| Error::io(parent, e))?;

    let graph = case.graph()?;
    let mut engine = case.engine(&graph, Arithmetic::default())?;
    let batches = case.batches(EXPORTED_BATCHES)?;
    let about = json!({
        "case": case, "learning_rate": case.learning_rate(), "batches": batches.len(), "gradient_rows": GRADIENT_ROWS,
    });
    let path = folder.path().join("case.json");
    let text = serde_json::to_vec_pretty(&about).map_err(|e| Error::Encode { reason: e.to_string() })?;
    fs::write(&path, text).map_err(|e| Error::io(&path, e))?;
    write_safetensors(&folder.path().join("weights.safetensors"), &engine.weights())?;
    for (i, batch) in batches.iter().enumerate() {
        write_safetensors(&folder.path().join(format!("batch-{i}.safetensors")), &tensors(case, batch))?;
    }
    if let Some(first) = batches.first() {
        let rows = first.slice(0..GRADIENT_ROWS.min(first.rows));
        let (_, gradients) = engine.gradients(&rows, &vec![1.0; case.tasks.len()])?;
        write_safetensors(&folder.path().join("gradients.safetensors"), &gradients)?;
    }
    // An empty folder gives way; that it was empty was seen above.
    if dir.is_dir() {
        fs::remove_dir(dir).map_err(|e| Error::io(dir, e))?;
    }
    fs::rename(folder.path(), dir).map_err(|e| Error::io(dir, e))?;
    folder.was_renamed();
    Ok(())
}

fn tensors(case: &Case, batch: &Batch) -> Weights {
    // [B, columns] of columns.
    let rows = |columns: Vec<Vec<f32>>| -> Vec<f32> {
        (0..batch.rows).flat_map(|row| columns.iter().map(move |column| column[row]).collect::<Vec<_>>()).collect()
    };
    let ids = batch.categorical.iter().map(|ids| ids.table_rows().iter().map(|&id| id as f32).collect()).collect();
    let labels = batch.labels.iter().map(|labels| labels.values.clone()).collect();
    let mut weights = Weights::default();
    weights.insert("numeric", vec![batch.rows, case.numeric], batch.numeric.clone());
    weights.insert("ids", vec![batch.rows, case.fields.len()], rows(ids));
    weights.insert("labels", vec![batch.rows, case.tasks.len()], rows(labels));
    weights
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_model::artifact::{read_safetensors, read_weights};

    use super::*;
    use crate::Workload;

    #[test]
    fn what_is_written_is_the_case() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("case");
        let case = Workload::Census.case().unwrap();
        export(&case, &out).unwrap();
        let batch = &case.batches(3).unwrap()[2];
        let written = read_safetensors(&out.join("batch-2.safetensors")).unwrap();
        let ids = written.get("ids").unwrap();
        assert_eq!(ids.shape, [512, 33]);
        assert_eq!(ids.data[33 * 100 + 32], batch.categorical[32].table_rows()[100] as f32);
        assert_eq!(written.get("labels").unwrap().data[2 * 100 + 1], batch.labels[1].values[100]);
        assert_eq!(written.get("numeric").unwrap().data, batch.numeric);
        let graph = case.graph().unwrap();
        read_weights(&out.join("weights.safetensors"), &graph).unwrap();
        let gradients = read_weights(&out.join("gradients.safetensors"), &graph).unwrap();
        assert!(gradients.tensors.values().all(|tensor| tensor.data.iter().any(|&g| g != 0.0)));
        // Never over something else.
        assert!(matches!(export(&case, &out), Err(Error::Exists { .. })));
    }
}
