//! Encoded rows on disk: `[data] cache` keeps them and `[data] stream` reads them epoch by epoch.
//!
//! ```text
//! CACHE/<hash of the key>/manifest       what the rows were made of, their encoder, and a hash of every block
//! CACHE/<hash of the key>/train.arrow    encoded rows, an Arrow IPC file; valid.arrow and test.arrow where there are any
//! ```
//!
//! Rows are used only if the manifest is complete, the [`Key`] (everything in a configuration that decides how a row is
//! encoded) is the current one, no source file has changed ([`Stamp`]), and the hash of each block matches. Otherwise
//! the files are read again; this is never an error. A folder appears under its name when it is complete, and is
//! replaced in one step. One process at a time writes a folder. Processes that read it need no lock: they hold its
//! files open and check that all of them belong to one folder.

mod columns;
mod key;
mod manifest;
mod stored;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::columns::StoredColumns;
use self::key::{Key, Stamp};
use self::manifest::Manifest;
pub use self::stored::StoredRows;
use self::writer::CacheWriter;
use crate::cache_use::CacheUse;
use crate::dataset::{Dataset, Splits};
use crate::disk::{self, FolderIdentity, Lock, Refusal, TemporaryFolder, Unlockable};
use crate::encode::Encoder;
use crate::error::{Error, Result};
use crate::load::{Fit, LoadOptions, Request};
use crate::raw::RawRows;
use crate::schema::{DataConfig, Schema};
use crate::seen::FeatureCount;
use crate::skipped::Skipped;
use crate::split::Split;

/// Rows of a block, but for the last of a split: the unit in which encoded rows are read, checked and put in order.
pub const BLOCK_ROWS: usize = 4096;

/// Rows of each split that are handed to a writer at a time.
const PART_ROWS: usize = 16 * BLOCK_ROWS;

/// Parsed training rows that are kept between fitting and encoding where rows are not to be held in memory: enough for
/// a log that would not have needed to be streamed.
const KEEP_BYTES: usize = 1 << 25;

/// Ending of the lock file beside a folder; the process that writes the folder holds this lock.
const LOCK_ENDING: &str = ".lock";

/// A folder that is replaced while it is opened is opened again, at most so often.
const REOPENED: usize = 8;

/// The rows of a configuration, on disk.
#[derive(Debug)]
pub struct StoredSplits {
    /// Fitted on the training rows, or as it was handed over.
    pub encoder: Encoder,
    /// Trained on; at least one row.
    pub train: StoredRows,
    /// At least one row, if the configuration has validation rows.
    pub valid: Option<StoredRows>,
    /// At least one row, if the configuration has test rows.
    pub test: Option<StoredRows>,
    /// Bad rows that were left out.
    pub skipped: Skipped,
    /// Some of the training rows, as they were read.
    pub raw: RawRows,
    /// Where they are and why.
    pub cache: CacheUse,
}

impl StoredSplits {
    /// Like [`Splits::load`], in memory that does not grow with the number of rows: encoded rows go to the cache of `data`,
    /// or to a temporary folder where it has none, and stay there. (What a vocabulary holds does grow with the values.)
    ///
    /// # Errors
    /// As [`Splits::load`]; [`Error::Write`], [`Error::Folder`] and [`Error::Io`] if rows cannot be written.
    pub fn load(data: &DataConfig, base: &Path, schema: &Schema, options: LoadOptions<'_>) -> Result<Self> {
        let mut request = Request::new(data, base, schema, options)?;
        request.check_read_again()?;
        let Some(root) = data.cache.as_ref().map(|folder| base.join(folder)) else {
            let place = std::env::temp_dir();
            disk::sweep(&place, Unlockable::RemoveOld);
            let folder = TemporaryFolder::private(&place).map_err(|source| Error::Io { path: place, source })?;
            let writer = CacheWriter::new(folder.path(), request.asked_for())?;
            let (encoder, manifests) = fill(&mut request, writer)?;
            let cache = CacheUse::Temporary { folder: folder.path().to_path_buf() };
            let folder = Arc::new(folder);
            let beside = (request.skipped().clone(), request.raw());
            let place = folder.path().to_path_buf();
            return Self::assemble(&place, Some(&folder), encoder, manifests, beside, cache)
                .map_err(|reason| Error::Encoded { path: place.join("manifest"), reason });
        };
        let unusable = |reason: String| Error::Folder { path: root.join("manifest"), folder: root.clone(), reason };
        let cache = Cache::new(&root, &request).map_err(unusable)?;
        let open = || cache.open(&request).and_then(|stored| stored.verify().map(|()| stored));
        let before = FolderIdentity::of(&cache.folder());
        let why = match open() {
            Ok(stored) => return Ok(stored),
            Err(why) => why,
        };
        request.go_on()?;
        let _writing = cache.lock()?;
        // The process that had the lock may have written them meanwhile.
        if FolderIdentity::of(&cache.folder()) != before
            && let Ok(stored) = open()
        {
            return Ok(stored);
        }
        let folder = cache.temporary()?;
        let writer = CacheWriter::new(folder.path(), request.asked_for())?;
        let (encoder, manifests) = fill(&mut request, writer)?;
        let manifest = cache
            .manifest(encoder, manifests, request.skipped().clone(), request.raw())
            .map_err(|reason| Error::Write { path: cache.folder(), reason })?;
        cache.publish(folder, &manifest)?;
        let stored =
            cache.open(&request).map_err(|reason| Error::Encoded { path: cache.folder().join("manifest"), reason })?;
        Ok(Self { cache: CacheUse::Built { folder: cache.folder(), why }, ..stored })
    }

    /// The rows of a split, where there are any.
    #[must_use]
    pub fn of(&self, split: Split) -> Option<&StoredRows> {
        match split {
            Split::Train => Some(&self.train),
            Split::Valid => self.valid.as_ref(),
            Split::Test => self.test.as_ref(),
        }
    }

    /// Values of each feature in each split, in the order of the schema; empty for a split that there is not.
    #[must_use]
    pub fn counts(&self) -> [Vec<FeatureCount>; 3] {
        Split::ALL.map(|split| self.of(split).map_or_else(Vec::new, |rows| rows.feature_counts().to_vec()))
    }

    fn assemble(
        folder: &Path,
        temporary: Option<&Arc<TemporaryFolder>>,
        encoder: Encoder,
        splits: [Option<manifest::SplitManifest>; 3],
        (skipped, raw): (Skipped, RawRows),
        cache: CacheUse,
    ) -> Result<Self, String> {
        let open = |(split, manifest): (Split, Option<manifest::SplitManifest>)| {
            let path = folder.join(writer::file_name(split));
            let columns = Arc::new(StoredColumns::of(&encoder, split));
            manifest.map(|manifest| StoredRows::open(path, columns, manifest, temporary.cloned())).transpose()
        };
        let mut rows = Split::ALL.into_iter().zip(splits).map(open);
        let mut next = || rows.next().transpose().map(Option::flatten);
        let (train, valid, test) = (next()?, next()?, next()?);
        let train = train.ok_or("there are no training rows")?;
        Ok(Self { encoder, train, valid, test, skipped, raw, cache })
    }

    /// Checks the hash of every block.
    fn verify(&self) -> Result<(), String> {
        Split::ALL.iter().filter_map(|&split| self.of(split)).try_for_each(StoredRows::verify)
    }

    /// All rows in memory.
    pub(crate) fn into_memory(self, request: &Request<'_>) -> Result<Splits, String> {
        let read = |rows: &StoredRows| rows.read_all(request).map(Dataset::from);
        Ok(Splits {
            train: read(&self.train)?,
            valid: self.valid.as_ref().map(read).transpose()?,
            test: self.test.as_ref().map(read).transpose()?,
            counts: self.counts(),
            encoder: self.encoder,
            skipped: self.skipped,
            raw: self.raw,
            cache: Some(self.cache),
        })
    }
}

/// Reads, fits and encodes all rows into a writer.
fn fill(request: &mut Request<'_>, mut writer: CacheWriter) -> Result<(Encoder, [Option<manifest::SplitManifest>; 3])> {
    let Fit { encoder, kept } = request.fit(KEEP_BYTES)?;
    writer.begin(&encoder)?;
    request.encode(&encoder, kept, &mut |split, parts| parts.iter().try_for_each(|part| writer.put(split, part)))?;
    let manifests = writer.finish(request.counts())?;
    let rows = [0, 1, 2].map(|split: usize| manifests[split].as_ref().map_or(0, |manifest| manifest.rows));
    let labels = manifests[0].as_ref().map_or(&[][..], |manifest| &manifest.labels);
    request.check(rows, labels)?;
    Ok((encoder, manifests))
}

/// The place of a configuration's encoded rows.
pub(crate) struct Cache {
    root: PathBuf,
    key: Key,
    /// The source files before any of them is read.
    sources: Vec<Stamp>,
}

impl Cache {
    /// Looks at the source files, and removes what killed processes left in the cache.
    ///
    /// # Errors
    /// Why there can be no cache.
    pub(crate) fn new(root: &Path, request: &Request<'_>) -> Result<Self, String> {
        let sources = Stamp::of(request)?;
        let cache = Self { root: root.to_path_buf(), key: Key::of(request)?, sources };
        cache.sweep();
        Ok(cache)
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.root.join(self.key.name())
    }

    /// What is there, if it can be trusted; the blocks are yet to be checked. Else the reason, as it reads after "encoded
    /// rows are kept in ..".
    pub(crate) fn open(&self, request: &Request<'_>) -> Result<StoredSplits, String> {
        let folder = self.folder();
        // Its files are opened one by one, and must all be of the same folder.
        let mut before = FolderIdentity::of(&folder);
        for _ in 1..REOPENED {
            let opened = self.open_once(&folder, request);
            let after = FolderIdentity::of(&folder);
            if before == after {
                return opened;
            }
            before = after;
        }
        self.open_once(&folder, request)
    }

    fn open_once(&self, folder: &Path, request: &Request<'_>) -> Result<StoredSplits, String> {
        let manifest = Manifest::read(folder)?;
        if manifest.key != self.key {
            return Err("those that were there are of another configuration".to_owned());
        }
        key::compare(&manifest.sources, &self.sources)?;
        let encoder = manifest.encoder.with_schema(request.schema.clone()).map_err(|error| error.to_string())?;
        let asked_for = request.asked_for();
        if (0..3).any(|split: usize| asked_for[split] != manifest.splits[split].is_some()) {
            return Err("those that were there lack a split".to_owned());
        }
        let cache = CacheUse::Used { folder: folder.to_path_buf() };
        StoredSplits::assemble(folder, None, encoder, manifest.splits, (manifest.skipped, manifest.raw), cache)
    }

    /// Keeps rows that are in memory.
    ///
    /// # Errors
    /// Why they cannot be kept.
    pub(crate) fn keep(&self, request: &Request<'_>, splits: &Splits) -> Result<(), String> {
        let keep = || -> Result<()> {
            let folder = self.temporary()?;
            let mut writer = CacheWriter::new(folder.path(), request.asked_for())?;
            writer.begin(&splits.encoder)?;
            for split in Split::ALL {
                let Some(rows) = splits.of(split) else { continue };
                rows.batches(PART_ROWS).try_for_each(|part| writer.put(split, &part))?;
                request.go_on()?;
            }
            let manifests = writer.finish(&splits.counts)?;
            let manifest = self
                .manifest(splits.encoder.clone(), manifests, splits.skipped.clone(), splits.raw.clone())
                .map_err(|reason| Error::Write { path: self.folder(), reason })?;
            self.publish(folder, &manifest)
        };
        keep().map_err(|error| error.to_string())
    }

    /// Keeps other processes from writing the same rows, until the lock is dropped. (Where the file system has no locks
    /// several may; the last of them wins.)
    ///
    /// # Errors
    /// [`Error::Held`] if another process is writing them; [`Error::Folder`] if nothing can be written there.
    pub(crate) fn lock(&self) -> Result<Lock> {
        fs::create_dir_all(&self.root).map_err(|error| self.unwritable(&error))?;
        let path = self.root.join(format!("{}{LOCK_ENDING}", self.key.name()));
        Lock::take(&path, "pleiad").map_err(|refusal| match refusal {
            Refusal::Held { holder, .. } => Error::Held { path: self.folder(), holder },
            Refusal::Io(error) => self.unwritable(&error),
            Refusal::NoFile { path, what } => Error::LockPlace { path, what },
            Refusal::Gone => self.unwritable(&std::io::ErrorKind::NotFound.into()),
        })
    }

    /// A folder to write in, beside those that are complete.
    fn temporary(&self) -> Result<TemporaryFolder> {
        TemporaryFolder::private(&self.root).map_err(|error| self.unwritable(&error))
    }

    fn unwritable(&self, error: &std::io::Error) -> Error {
        // The system's own words come with a temporary name.
        Error::Folder { path: self.folder(), folder: self.root.clone(), reason: error.kind().to_string() }
    }

    /// Removes what programs left that were killed while they wrote.
    fn sweep(&self) {
        disk::sweep(&self.root, Unlockable::RemoveOld);
        for entry in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let of = name.to_str().and_then(|name| name.strip_suffix(LOCK_ENDING));
            if of.is_some_and(Key::is_name) {
                Lock::sweep(&entry.path());
            }
        }
    }

    /// The manifest of rows that were just written.
    ///
    /// # Errors
    /// If a source file has changed since before the rows were read: it is then unknown which of the two
    /// versions was read.
    fn manifest(
        &self,
        encoder: Encoder,
        splits: [Option<manifest::SplitManifest>; 3],
        skipped: Skipped,
        raw: RawRows,
    ) -> Result<Manifest, String> {
        let paths: Vec<PathBuf> = self.sources.iter().map(|stamp| PathBuf::from(&stamp.path)).collect();
        key::compare(&self.sources, &Stamp::of_paths(&paths)?)
            .map_err(|reason| format!("{reason}, and while it was read"))?;
        Ok(Manifest { key: self.key.clone(), sources: self.sources.clone(), encoder, skipped, raw, splits })
    }

    /// Completes a folder and gives it its name; what was there goes.
    fn publish(&self, new: TemporaryFolder, manifest: &Manifest) -> Result<()> {
        let to = self.folder();
        let io = |source| Error::Io { path: to.clone(), source };
        manifest.write(new.path())?;
        // A temporary folder is private; this one becomes an ordinary one.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&self.root).map_err(io)?.permissions().mode();
            fs::set_permissions(new.path(), fs::Permissions::from_mode(mode)).map_err(io)?;
        }
        if to.exists() {
            if disk::exchange(new.path(), &to).map_err(io)? {
                // What was there has the temporary name now, and goes with it.
                return Ok(());
            }
            let old = self.temporary()?;
            fs::rename(&to, old.path().join("old")).map_err(io)?;
        }
        // Its blocks are not brought to disk first: if a crash of the machine loses blocks, their hashes show it.
        fs::rename(new.path(), &to).map_err(io)?;
        new.was_renamed();
        disk::sync_folder(&self.root).map_err(io)
    }
}
