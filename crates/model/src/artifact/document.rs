//! `model.json`: what a model is, without its weights.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use pleiad_data::Encoder;
use pleiad_data::sealed::{Unsealed, hex, unseal, write_sealed};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Unsaved;
use crate::error::{Error, Result};
use crate::graph::Graph;

/// Version of the artifact's format that this version of Pleiad writes, and the only one that it reads.
pub const FORMAT_VERSION: u64 = 2;

/// Marks a `model.json` as written by Pleiad.
const FORMAT: &str = "pleiad-model";

/// Larger than any graph with its vocabularies; smaller than what parsing could not hold.
const MAX_BYTES: u64 = 1 << 30;

/// Where a model comes from: for people, and for those who look after many models. No prediction depends on it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// Program and version that wrote the artifact.
    pub created_by: String,
    /// When, as RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Seed of the training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Hash of the configuration it was trained with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_hash: Option<String>,
    /// Rows it was trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_rows: Option<u64>,
    /// Its metrics when it was saved.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub metrics: Value,
    /// Anything else that its maker or a later version noted.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Provenance {
    /// Made now by this version.
    #[must_use]
    pub fn now() -> Self {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| rfc3339(since.as_secs()));
        Self { created_by: format!("pleiad {}", env!("CARGO_PKG_VERSION")), created, ..Self::default() }
    }
}

/// Seconds since 1970 as `2026-01-31T12:00:00Z`; the calendar of Hinnant's `civil_from_days`.
fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that the leap day ends one; eras of 400 years have 146,097 days.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// What decides whether the rest can be understood. Read by itself, before the rest.
#[derive(Serialize, Deserialize)]
struct Head {
    format: String,
    format_version: u64,
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    head: Head,
    provenance: &'a Provenance,
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<&'a Value>,
    model: &'a Value,
    graph: &'a Graph,
    encoder: &'a Encoder,
    weights_xxh64: String,
    golden_xxh64: String,
}

/// What `model.json` holds.
#[derive(Deserialize)]
pub(super) struct Contents {
    pub(super) provenance: Provenance,
    #[serde(default)]
    pub(super) rank: Option<Value>,
    pub(super) model: Value,
    pub(super) graph: Graph,
    pub(super) encoder: Encoder,
    /// [`crate::Weights::xxh64`], in hexadecimal: golden rows touch few rows of a table, while this hash covers
    /// every bit.
    pub(super) weights_xxh64: String,
    /// XXH64 of all bytes of the golden rows' file, in hexadecimal.
    pub(super) golden_xxh64: String,
}

/// Writes `model.json` beside weights and golden rows of these hashes.
pub(super) fn write(path: &Path, artifact: &Unsaved<'_>, weights: u64, golden: u64) -> Result<()> {
    let Unsaved { model, graph, encoder, provenance, rank, .. } = artifact;
    let (weights_xxh64, golden_xxh64) = (hex(weights), hex(golden));
    let head = Head { format: FORMAT.to_owned(), format_version: FORMAT_VERSION };
    let io = |source| Error::Io { path: path.to_owned(), action: "write", source };
    let written = Written { head, provenance, rank: *rank, model, graph, encoder, weights_xxh64, golden_xxh64 };
    let file = write_sealed(&written, BufWriter::new(File::create(path).map_err(io)?)).map_err(io)?;
    file.into_inner().map_err(|error| io(error.into_error()))?.sync_all().map_err(io)
}

/// Reads and checks `model.json`, the graph included. Nothing is made of it before it has its hash.
pub(super) fn read(path: &Path) -> Result<Contents> {
    let mut bytes = bytes(path)?;
    let damaged = |reason: String| Error::Damaged { path: path.to_owned(), reason };
    let sealed = unseal(&mut bytes);
    // Without a hash it may be of an earlier version, or nothing of ours: that is said first.
    if matches!(sealed, Ok(()) | Err(Unsealed::NoHash)) {
        head(path, &bytes)?;
    }
    sealed.map_err(|reason| damaged(format!("{reason}; copy the whole model again, or train it again")))?;
    let contents: Contents = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    contents.graph.validate()?;
    Ok(contents)
}

/// Whether the file is the `model.json` of an artifact of any version.
pub(super) fn is_ours(path: &Path) -> bool {
    bytes(path).is_ok_and(|bytes| !matches!(head(path, &bytes), Err(Error::NotAnArtifact { .. })))
}

fn head(path: &Path, bytes: &[u8]) -> Result<()> {
    let not_ours = |reason: String| Error::NotAnArtifact { path: path.to_owned(), reason };
    let head: Head = serde_json::from_slice(bytes)
        .map_err(|error| not_ours(format!("it does not tell its format and format_version: {error}")))?;
    if head.format != FORMAT {
        return Err(not_ours(format!("its format is {:?}, not {FORMAT:?}", head.format)));
    }
    if head.format_version != FORMAT_VERSION {
        return Err(Error::Version { path: path.to_owned(), found: head.format_version, supported: FORMAT_VERSION });
    }
    Ok(())
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    let io = |source| Error::Io { path: path.to_owned(), action: "read", source };
    let file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    if size > MAX_BYTES {
        let reason = format!("it has {size} bytes, more than the {MAX_BYTES} that a model.json may have");
        return Err(Error::Damaged { path: path.to_owned(), reason });
    }
    let mut bytes = Vec::new();
    // The file may grow while it is read.
    BufReader::new(file).take(MAX_BYTES).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_704_067_199, "2023-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), date);
        }
        let now = Provenance::now();
        assert!(now.created.unwrap().starts_with("20"));
        assert!(now.created_by.starts_with("pleiad "));
    }

    #[test]
    fn provenance_keeps_what_it_does_not_know() {
        let json = r#"{"created_by":"pleiad 9.9.9","seed":3,"team":"feed"}"#;
        let provenance: Provenance = serde_json::from_str(json).unwrap();
        assert_eq!(provenance.seed, Some(3));
        assert_eq!(serde_json::to_string(&provenance).unwrap(), json);
    }
}
