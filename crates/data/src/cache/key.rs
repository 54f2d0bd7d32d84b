//! [`Key`]: everything in a configuration that decides how its rows are encoded; [`Stamp`]: a source file as it was read.

use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::{Xxh64, xxh64};

use crate::layout::Pooling;
use crate::load::Request;
use crate::read::{DataFile, FolderColumn, is_pipe};
use crate::schema::{FeatureKind, Format, PartConfig, Schema, SplitConfig, TaskWeight};

/// Version of the form of a cache and of what encoding makes of a row. A change of either raises it.
const FORMAT: u32 = 2;

/// Source files of up to so many bytes together are compared by all of their content.
const WHOLE_BYTES: u64 = 1 << 28;

/// Places of a larger file that are compared, and the bytes of each.
const PLACES: u64 = 64;
const PLACE_BYTES: u64 = 1 << 14;

/// What two configurations must agree on to share encoded rows. Width and pooling of embeddings and the weights of tasks
/// are not among it: they change no encoded row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    format: u32,
    program: String,
    schema: Schema,
    /// Format of all files, if the configuration sets it.
    file_format: Option<Format>,
    /// Files of each split.
    files: [Option<Vec<String>>; 3],
    /// The parts of the training files that validate and test.
    parts: [Option<PartConfig>; 2],
    /// Columns that the folders of each file give, of all splits; empty where none gives any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    folders: Vec<Vec<(String, Option<String>)>>,
    /// XXH64 of an encoder that was not fitted on these rows.
    encoder: Option<String>,
}

impl Key {
    pub(super) fn of(request: &Request<'_>) -> Result<Self, String> {
        let files = |files: &[DataFile]| files.iter().map(|file| name(&file.path)).collect::<Result<Vec<_>, _>>();
        let [train, valid, test] = [0, 1, 2]
            .map(|split: usize| request.sources[split].as_ref().map(|source| files(&source.files)).transpose());
        let column = |folder: &FolderColumn| (folder.column.clone(), folder.value.clone());
        let folders = |file: &DataFile| file.folders.iter().map(column).collect::<Vec<_>>();
        let all: Vec<_> = request.sources.iter().flatten().flat_map(|source| &source.files).map(folders).collect();
        let part = |split: &Option<SplitConfig>| match split {
            Some(SplitConfig::Part(part)) => Some(part.clone()),
            _ => None,
        };
        let hash = |encoder| serde_json::to_vec(encoder).map(|json| format!("{:016x}", xxh64(&json, 0)));
        Ok(Self {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            schema: neutral(request.schema),
            file_format: request.data.format,
            files: [train?, valid?, test?],
            folders: if all.iter().all(Vec::is_empty) { Vec::new() } else { all },
            parts: [part(&request.data.valid), part(&request.data.test)],
            encoder: request.encoder.as_ref().map(hash).transpose().map_err(|error| error.to_string())?,
        })
    }

    /// Name of the folder. Two keys of one name do no harm, as the manifest holds all of the key.
    pub(super) fn name(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        format!("{:016x}", xxh64(&json, 0))
    }

    /// Whether a name may be that of a folder.
    pub(super) fn is_name(name: &str) -> bool {
        name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

/// The schema without what changes no encoded row.
fn neutral(schema: &Schema) -> Schema {
    // What files are is a key of its own, of which this is no more than a part.
    let mut schema = Schema { format: None, ..schema.clone() };
    for feature in &mut schema.features {
        match &mut feature.read {
            FeatureKind::Numeric { .. } | FeatureKind::Pieces { .. } => {}
            FeatureKind::Periodic { frequencies, sigma, embedding, .. } => {
                (*frequencies, *sigma, *embedding) = (1, 1.0, 1);
            }
            FeatureKind::Bucketized { embedding, .. } => *embedding = 1,
            FeatureKind::Categorical { embedding, multiple, .. } => {
                *embedding = 1;
                if let Some(multiple) = multiple {
                    (multiple.pooling, multiple.attention) = (Pooling::Sum, None);
                }
            }
        }
    }
    for task in &mut schema.tasks {
        (task.weight, task.loss, task.positive_weight, task.sampled) = (TaskWeight::default(), None, None, None);
    }
    schema.groups.iter_mut().for_each(|groups| groups.k.clear());
    schema
}

/// The one name of a file that all ways to it lead to.
fn name(path: &Path) -> Result<String, String> {
    let path = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
    match path.to_str() {
        Some(name) => Ok(name.to_owned()),
        None => Err(format!("the path {} is not UTF-8", path.display())),
    }
}

/// A source file at one time. Two stamps that are equal are of the same content: of small files all of it is compared;
/// of large ones the size, a sample, and the times and the number that the file system gives them, of which at least one
/// changes whatever is done to a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stamp {
    pub(super) path: String,
    bytes: u64,
    /// XXH64 of the content, or of a sample of it where there are `times`.
    hash: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<Times>,
}

/// The file system's data of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Times {
    /// Nanoseconds since 1970, as far as an i64 reaches.
    modified: i64,
    /// Change of content or of metadata, which no program can set (Unix).
    changed: Option<i64>,
    /// Number of the file (Unix).
    inode: Option<u64>,
}

impl Stamp {
    /// Stamps of all source files, in order.
    pub(super) fn of(request: &Request<'_>) -> Result<Vec<Self>, String> {
        let files: Vec<&DataFile> = request.sources.iter().flatten().flat_map(|source| &source.files).collect();
        if let Some(pipe) = files.iter().find(|file| is_pipe(file)) {
            return Err(format!(
                "{} is a pipe, whose rows cannot be compared with those of another time",
                pipe.path.display()
            ));
        }
        let paths: Vec<PathBuf> = files.into_iter().map(|file| file.path.clone()).collect();
        Self::of_paths(&paths)
    }

    pub(super) fn of_paths(paths: &[PathBuf]) -> Result<Vec<Self>, String> {
        let at = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
        let sizes = paths.iter().map(|path| path.metadata().map(|found| found.len()).map_err(|e| at(path, e)));
        let whole = sizes.sum::<Result<u64, _>>()? <= WHOLE_BYTES;
        paths.par_iter().map(|path| Self::of_path(path, whole)).collect()
    }

    fn of_path(path: &Path, whole: bool) -> Result<Self, String> {
        let at = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut file = File::open(path).map_err(at)?;
        let metadata = file.metadata().map_err(at)?;
        let bytes = metadata.len();
        let mut hash = Xxh64::new(0);
        if whole {
            add(&mut hash, &mut file, u64::MAX).map_err(at)?;
        } else {
            for place in 0..PLACES {
                let last = bytes.saturating_sub(PLACE_BYTES);
                let start = (u128::from(last) * u128::from(place) / u128::from(PLACES - 1)) as u64;
                file.seek(SeekFrom::Start(start)).map_err(at)?;
                add(&mut hash, &mut file, PLACE_BYTES).map_err(at)?;
            }
        }
        let times = (!whole).then(|| Times::of(&metadata));
        Ok(Self { path: name(path)?, bytes, hash: format!("{:016x}", hash.digest()), times })
    }
}

/// Hashes what comes next in a file, at most `most` bytes.
fn add(hash: &mut Xxh64, file: &mut File, most: u64) -> std::io::Result<()> {
    let (mut buffer, mut rest) = (vec![0; 1 << 16], file.take(most));
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(()),
            read => hash.update(&buffer[..read]),
        }
    }
}

impl Times {
    fn of(metadata: &Metadata) -> Self {
        let since = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let modified = since.and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(i64::MIN);
        #[cfg(unix)]
        let (changed, inode) = {
            use std::os::unix::fs::MetadataExt;
            let changed = metadata.ctime().saturating_mul(1_000_000_000).saturating_add(metadata.ctime_nsec());
            (Some(changed), Some(metadata.ino()))
        };
        #[cfg(not(unix))]
        let (changed, inode) = (None, None);
        Self { modified, changed, inode }
    }
}

/// Why rows that were read from files as they were `then` are not those of the files as they are `now`.
pub(super) fn compare(then: &[Stamp], now: &[Stamp]) -> Result<(), String> {
    if then.len() != now.len() {
        return Err("those that were there are of other files".to_owned());
    }
    match then.iter().zip(now).find(|(then, now)| then != now) {
        Some((_, now)) => Err(format!("{} has changed", now.path)),
        None => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_for_small_files_whatever_their_times() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let stamp = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Stamp::of_paths(std::slice::from_ref(&path)).unwrap()
        };
        let first = stamp("1,2\n");
        assert_eq!(compare(&first, &stamp("1,2\n")), Ok(()));
        let changed = compare(&first, &stamp("1,3\n")).unwrap_err();
        assert!(changed.ends_with("a.csv has changed"), "{changed}");
        assert!(compare(&first, &[]).unwrap_err().contains("other files"));
    }

    #[test]
    fn of_large_files_times_and_a_sample_decide() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let mut bytes = vec![7u8; 3 << 20];
        let write = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Stamp::of_path(&path, false).unwrap()
        };
        let first = write(&bytes);
        assert_eq!(first, Stamp::of_path(&path, false).unwrap());
        // The last byte is in the sample, so that the hash shows the change.
        *bytes.last_mut().unwrap() = 8;
        assert_ne!(first.hash, write(&bytes).hash);
        *bytes.last_mut().unwrap() = 7;
        std::thread::sleep(std::time::Duration::from_millis(20));
        let again = write(&bytes);
        assert_eq!(first.hash, again.hash);
        assert_ne!(first, again, "written again");
    }
}
