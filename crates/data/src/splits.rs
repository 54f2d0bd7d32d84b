//! Loads [`Splits`]: from the cache where it can be used, else from the files.

use std::path::Path;

use crate::batch::Batch;
use crate::cache::Cache;
use crate::cache_use::CacheUse;
use crate::dataset::{Dataset, Splits};
use crate::disk::FolderIdentity;
use crate::error::{Error, Result};
use crate::load::{Fit, LoadOptions, Request};
use crate::schema::{DataConfig, Schema};
use crate::split::Split;

/// Parsed training rows are kept between fitting and encoding as long as they take at most this many bytes; beyond it
/// the files are read once more per pass.
const KEEP_BYTES: usize = 1 << 29;

impl Splits {
    /// Loads all rows of a configuration. Relative paths in `data` are relative to `base`. Splits that are parts of the
    /// training files are taken in the same pass.
    ///
    /// Where `data` has a `cache`, rows and encoder come from there if nothing has changed that they depend on; else they
    /// are kept there. They are the same to the bit.
    ///
    /// # Errors
    /// If a file cannot be read, a row is bad and `on_bad_row` is `"stop"`, a split has no row, or a task has no
    /// training row.
    pub fn load(data: &DataConfig, base: &Path, schema: &Schema, options: LoadOptions<'_>) -> Result<Self> {
        let mut request = Request::new(data, base, schema, options)?;
        let Some(folder) = &data.cache else { return Self::read(&mut request) };
        let cache = match Cache::new(&base.join(folder), &request) {
            Ok(cache) => cache,
            Err(why) => {
                let cache = Some(CacheUse::NotKept { folder: base.join(folder), why });
                return Ok(Self { cache, ..Self::read(&mut request)? });
            }
        };
        let open = |request: &Request<'_>| {
            let splits = cache.open(request).and_then(|stored| stored.into_memory(request))?;
            Ok::<_, String>(Self { cache: Some(CacheUse::Used { folder: cache.folder() }), ..splits })
        };
        let before = FolderIdentity::of(&cache.folder());
        let why = match open(&request) {
            Ok(splits) => return Ok(splits),
            Err(why) => why,
        };
        request.go_on()?;
        let writing = match cache.lock() {
            Err(error @ Error::Held { .. }) => return Err(error),
            lock => lock,
        };
        // The process that had the lock may have written them meanwhile.
        if FolderIdentity::of(&cache.folder()) != before
            && let Ok(splits) = open(&request)
        {
            return Ok(splits);
        }
        let mut splits = Self::read(&mut request)?;
        let kept = match &writing {
            Ok(_) => cache.keep(&request, &splits),
            Err(error) => Err(error.to_string()),
        };
        splits.cache = Some(match kept {
            Ok(()) => CacheUse::Built { folder: cache.folder(), why },
            Err(why) => CacheUse::NotKept { folder: cache.folder(), why },
        });
        Ok(splits)
    }

    fn read(request: &mut Request<'_>) -> Result<Self> {
        let Fit { encoder, kept } = request.fit(KEEP_BYTES)?;
        let mut datasets = Split::ALL.map(|_| Batch::empty(encoder.layout(), encoder.tasks().len()));
        request.encode(&encoder, kept, &mut |split, parts| {
            datasets[split as usize].append_all(parts);
            Ok(())
        })?;
        request.check([0, 1, 2].map(|split| datasets[split].rows as u64), &datasets[0].label_counts())?;
        let [train, valid, test] = datasets.map(Dataset::from);
        let [_, has_valid, has_test] = request.asked_for();
        Ok(Self {
            encoder,
            train,
            valid: has_valid.then_some(valid),
            test: has_test.then_some(test),
            skipped: request.skipped().clone(),
            raw: request.raw(),
            counts: request.counts().clone(),
            cache: None,
        })
    }
}
