//! The models of a server: opened, verified, replaced in one step, and put back.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Instant, SystemTime};

use pleiad_data::disk::FolderIdentity;
use pleiad_rank::{Model, RankConfig};
use xxhash_rust::xxh64::xxh64;

use crate::error::{Error, Result};
use crate::metrics::OfModel;
use crate::names::is_name;
use crate::refusal::Refusal;
use crate::served::Served;
use crate::warm::{Recorded, WarmUp};

/// The longest text of a pointer file.
const POINTER_BYTES: u64 = 4096;

/// How often a model that is replaced meanwhile is opened.
const OPENED: usize = 8;

/// A model to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSpec {
    /// The name in addresses and answers.
    pub name: String,
    /// Its folder, a link to one, or a file whose text is the path of one.
    pub path: PathBuf,
}

impl ModelSpec {
    /// `PATH` or `NAME=PATH`. Without a name it is that of the folder, or of the run whose folder `model` it is.
    ///
    /// # Errors
    /// [`Error::Name`] for a name of other characters than letters, digits, `-`, `_` and `.`.
    pub fn parse(given: &str) -> Result<Self> {
        let refuse = |reason: String| Err(Error::Name { given: given.to_owned(), reason });
        if let Some((name, path)) = given.split_once('=')
            && !Path::new(given).exists()
        {
            if !is_name(name) {
                return refuse(format!("the name {name:?} has other characters than letters, digits, -, _ and ."));
            }
            return Ok(Self { name: name.to_owned(), path: PathBuf::from(path) });
        }
        let path = PathBuf::from(given);
        let whole = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        let mut names = whole.iter().rev().filter_map(|part| part.to_str());
        let name = match (names.next(), names.next()) {
            (Some("model"), Some(run)) => run,
            (Some(own), _) => own,
            (None, _) => "",
        };
        match is_name(name) {
            true => Ok(Self { name: name.to_owned(), path }),
            false => refuse(format!("its folder's name {name:?} can be no name in an address; give NAME={given}")),
        }
    }
}

/// Why a model without a version answers nothing.
pub(crate) fn out_of_service(entry: &Entry) -> Refusal {
    let name = &entry.spec.name;
    if entry.is_unloaded() {
        let advice = format!("load it with POST /v2/repository/models/{name}/load");
        return Refusal::new(404, "unloaded", format!("model {name:?} was unloaded"), advice);
    }
    let message = format!("model {name:?} is being loaded and checked");
    Refusal::new(503, "loading", message, "try again when /v1/health/ready says so").after(1)
}

/// A version of a model in use, and the one before it.
#[derive(Default)]
struct Versions {
    current: Option<Opened>,
    previous: Option<Opened>,
    /// Why the last one that was to be loaded was refused.
    refused: Option<String>,
    /// Whether it was taken out of service, until it is loaded.
    unloaded: bool,
}

#[derive(Clone)]
struct Opened {
    served: Arc<Served>,
    folder: PathBuf,
    opened: SystemTime,
}

/// Exponents of a score by task; `None` where a model has no score.
pub(crate) type Exponents = Option<BTreeMap<String, f64>>;

/// A model of the server.
pub(crate) struct Entry {
    pub(crate) spec: ModelSpec,
    pub(crate) counted: OfModel,
    /// What new versions rank before they are served.
    pub(crate) recorded: Recorded,
    sets: Vec<String>,
    versions: RwLock<Versions>,
    /// Exponents that were set by a call, for later versions.
    weights: Mutex<Option<BTreeMap<String, f64>>>,
    /// Exponents that routes have for it, and who has them: later versions must take them.
    demanded: Mutex<Vec<(String, BTreeMap<String, f64>)>>,
    /// Held while a version is loaded: what was there when it was looked at last.
    loading: Mutex<Option<Seen>>,
}

/// What stands at the path of a model: another value after every change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    folder: PathBuf,
    identity: Option<FolderIdentity>,
    files: Vec<Option<(FolderIdentity, u64)>>,
}

/// What became of a wish to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// The version that is served now.
    pub(crate) version: String,
    /// The one before, which a rollback takes.
    pub(crate) previous: Option<String>,
    /// Whether another version is served now.
    pub(crate) changed: bool,
    /// What it made of recorded requests before.
    pub(crate) warmed: WarmUp,
    /// Milliseconds that it took.
    pub(crate) milliseconds: u64,
}

/// A model as `/v1/models` shows it.
pub(crate) struct Shown {
    pub(crate) served: Option<Arc<Served>>,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) opened: Option<SystemTime>,
    pub(crate) previous: Option<String>,
    pub(crate) refused: Option<String>,
    pub(crate) unloaded: bool,
}

impl Entry {
    pub(crate) fn new(spec: ModelSpec, sets: &[String], warm: usize) -> Self {
        Self {
            spec,
            counted: OfModel::new(),
            recorded: Recorded::new(warm),
            sets: sets.to_vec(),
            versions: RwLock::default(),
            weights: Mutex::default(),
            demanded: Mutex::default(),
            loading: Mutex::default(),
        }
    }

    /// Refuses a path at which there is no model, before anybody is served. It takes no time where there is one.
    pub(crate) fn check_path(&self) -> Result<()> {
        match version_of(&resolve(&self.spec.path)?) {
            Some(_) => Ok(()),
            None => self.open().map(|_| ()),
        }
    }

    /// The version that is served.
    pub(crate) fn current(&self) -> Option<Arc<Served>> {
        let versions = self.versions.read().unwrap_or_else(PoisonError::into_inner);
        versions.current.as_ref().map(|current| Arc::clone(&current.served))
    }

    /// The versions in memory: the one that is served, then the one before.
    pub(crate) fn versions(&self) -> Vec<Arc<Served>> {
        let versions = self.versions.read().unwrap_or_else(PoisonError::into_inner);
        [&versions.current, &versions.previous].into_iter().flatten().map(|opened| Arc::clone(&opened.served)).collect()
    }

    /// Whether it was taken out of service.
    pub(crate) fn is_unloaded(&self) -> bool {
        self.versions.read().unwrap_or_else(PoisonError::into_inner).unloaded
    }

    pub(crate) fn shown(&self) -> Shown {
        let versions = self.versions.read().unwrap_or_else(PoisonError::into_inner);
        let current = versions.current.as_ref();
        Shown {
            served: current.map(|current| Arc::clone(&current.served)),
            folder: current.map(|current| current.folder.clone()),
            opened: current.map(|current| current.opened),
            previous: versions.previous.as_ref().map(|previous| previous.served.version().to_owned()),
            refused: versions.refused.clone(),
            unloaded: versions.unloaded,
        }
    }

    /// Loads what stands at the path, verifies it and serves it; what was served is kept for a rollback. Anything wrong with it
    /// leaves everything as it was.
    pub(crate) fn load(&self) -> Result<Change> {
        let mut seen = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = self.look();
        self.load_locked()
    }

    /// [`Entry::load`], if what stands at the path has changed since it was last loaded or refused, and stood still for one look.
    pub(crate) fn load_if_changed(&self, before: &mut Option<Seen>) -> Option<Result<Change>> {
        let mut seen = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.look();
        let is_still = *before == now;
        before.clone_from(&now);
        if !is_still || *seen == now || self.is_unloaded() {
            return None;
        }
        *seen = now;
        Some(self.load_locked())
    }

    fn load_locked(&self) -> Result<Change> {
        let begin = Instant::now();
        let opened = self.open();
        let is_served = |opened: &Opened| self.current().is_some_and(|now| now.version() == opened.served.version());
        let warmed = match &opened {
            Ok(opened) if !is_served(opened) => self.warm(&opened.served),
            _ => WarmUp::default(),
        };
        let mut versions = self.versions.write().unwrap_or_else(PoisonError::into_inner);
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                versions.refused = Some(error.to_string());
                self.counted.refused.fetch_add(1, Ordering::Relaxed);
                return Err(error);
            }
        };
        versions.refused = None;
        versions.unloaded = false;
        let is_same = |current: &Opened| current.served.version() == opened.served.version();
        let changed = !versions.current.as_ref().is_some_and(is_same);
        let mut replaced = None;
        if changed {
            let first = versions.current.is_none();
            let former = versions.current.replace(opened);
            replaced = std::mem::replace(&mut versions.previous, former);
            if !first {
                self.counted.reloaded.fetch_add(1, Ordering::Relaxed);
            }
        }
        let change = Change { warmed, ..Self::change(&versions, changed, begin) };
        // Freeing a large model takes its time, which no request is to wait for.
        drop(versions);
        drop(replaced);
        Ok(change)
    }

    /// Serves the previous version again; `None` if there is none. What is served now becomes the previous one.
    pub(crate) fn roll_back(&self) -> Option<Change> {
        // Not while another one is loaded.
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let mut versions = self.versions.write().unwrap_or_else(PoisonError::into_inner);
        let previous = versions.previous.take()?;
        versions.previous = versions.current.replace(previous);
        self.counted.rolled_back.fetch_add(1, Ordering::Relaxed);
        Some(Self::change(&versions, true, Instant::now()))
    }

    /// Changes exponents of the score, of the versions in memory and of later ones; `None` goes back to the models' own. Gives those
    /// before and now.
    pub(crate) fn weigh(&self, change: Option<BTreeMap<String, f64>>) -> Result<[Exponents; 2], Refusal> {
        // Not while another version is loaded.
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let versions = self.versions();
        let Some(current) = versions.first() else { return Err(out_of_service(self)) };
        let before = current.rank_now().map(|rank| rank.score);
        let mut weights = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = change.map(|change| {
            let mut all = weights.clone().unwrap_or_default();
            all.extend(change);
            all
        });
        let of_current = wanted.as_ref().map(|score| current.weigh(score)).transpose()?;
        current.set_weights(of_current);
        for former in &versions[1..] {
            // A version without such a task keeps its own exponents.
            former.set_weights(wanted.as_ref().and_then(|score| former.weigh(score).ok()));
        }
        *weights = wanted;
        Ok([before, current.rank_now().map(|rank| rank.score)])
    }

    /// Says which exponents later versions have to take, and for whom.
    pub(crate) fn demand(&self, scores: Vec<(String, BTreeMap<String, f64>)>) {
        *self.demanded.lock().unwrap_or_else(PoisonError::into_inner) = scores;
    }

    /// Takes it out of service and frees its versions; requests that have begun end with the one that they began with. Whether
    /// it was in service.
    pub(crate) fn unload(&self) -> bool {
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let mut versions = self.versions.write().unwrap_or_else(PoisonError::into_inner);
        let former = (versions.current.take(), versions.previous.take());
        versions.unloaded = true;
        drop(versions);
        let was_served = former.0.is_some();
        if was_served {
            self.counted.unloaded.fetch_add(1, Ordering::Relaxed);
        }
        was_served
    }

    fn change(versions: &Versions, changed: bool, begin: Instant) -> Change {
        let version = |of: &Option<Opened>| of.as_ref().map(|opened| opened.served.version().to_owned());
        Change {
            version: version(&versions.current).unwrap_or_default(),
            previous: version(&versions.previous),
            changed,
            warmed: WarmUp::default(),
            milliseconds: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Lets a version rank what was asked of those before, on one thread: requests have the others meanwhile.
    fn warm(&self, served: &Served) -> WarmUp {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).thread_name(|_| "pleiad-warm".to_owned()).build();
        let warmed = match pool {
            Ok(pool) => pool.install(|| self.recorded.warm(served)),
            Err(_) => self.recorded.warm(served),
        };
        self.counted.warm_ranked.fetch_add(warmed.ranked as u64, Ordering::Relaxed);
        self.counted.warm_refused.fetch_add(warmed.refused as u64, Ordering::Relaxed);
        warmed
    }

    fn open(&self) -> Result<Opened> {
        let failed = |source| Error::Model { name: self.spec.name.clone(), source: Box::new(source) };
        let folder = resolve(&self.spec.path)?;
        let mut before = version_of(&folder);
        for _ in 0..OPENED {
            let model = Model::open(&folder);
            let after = version_of(&folder);
            if before == after {
                let mut model = model.map_err(failed)?;
                if !self.sets.is_empty() {
                    let rank = RankConfig::with_sets(model.rank(), &self.sets).map_err(failed)?;
                    model = model.with_rank(rank).map_err(failed)?;
                }
                let version = after.unwrap_or_default();
                let served = Arc::new(Served::new(self.spec.name.clone(), version, model));
                if let Some(score) = &*self.weights.lock().unwrap_or_else(PoisonError::into_inner) {
                    let weights = served.weigh(score).map_err(|refusal| Error::Weights {
                        name: self.spec.name.clone(),
                        reason: refusal.message.clone(),
                    })?;
                    served.set_weights(Some(weights));
                }
                for (user, score) in &*self.demanded.lock().unwrap_or_else(PoisonError::into_inner) {
                    served.weigh(score).map_err(|refusal| Error::RouteScore {
                        name: self.spec.name.clone(),
                        user: user.clone(),
                        reason: refusal.message.clone(),
                    })?;
                }
                return Ok(Opened { served, folder, opened: SystemTime::now() });
            }
            before = after;
        }
        Err(Error::Restless { path: folder })
    }

    /// What stands at the path; `None` if it leads nowhere.
    fn look(&self) -> Option<Seen> {
        let folder = resolve(&self.spec.path).ok()?;
        // A link that leads elsewhere is a change, too.
        let folder = fs::canonicalize(&folder).unwrap_or(folder);
        let of = |name: &str| {
            let path = folder.join(name);
            Some((FolderIdentity::of(&path)?, fs::metadata(&path).ok()?.len()))
        };
        let files = ["model.json", "weights.safetensors", "golden.safetensors"].map(of).to_vec();
        Some(Seen { identity: FolderIdentity::of(&folder), files, folder })
    }
}

/// The folder that a path leads to: itself, or where the text of the file points.
fn resolve(path: &Path) -> Result<PathBuf> {
    if !path.is_file() {
        return Ok(path.to_owned());
    }
    let refuse = |reason: String| Err(Error::Pointer { path: path.to_owned(), reason });
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(POINTER_BYTES + 1).read_to_string(&mut text));
    if let Err(error) = read {
        return refuse(format!("cannot be read as the path of a model's folder: {error}"));
    }
    let target = text.trim();
    if target.is_empty() || target.lines().count() > 1 || text.len() as u64 > POINTER_BYTES {
        return refuse(
            "is no model's folder, and as a pointer it must hold one line, the path of such a folder".to_owned(),
        );
    }
    Ok(path.parent().unwrap_or(Path::new("")).join(target))
}

/// XXH64 of `model.json`, which holds the hashes of the other files.
fn version_of(folder: &Path) -> Option<String> {
    let bytes = fs::read(folder.join("model.json")).ok()?;
    Some(format!("{:016x}", xxh64(&bytes, 0)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_named_by_its_folder_or_by_hand() {
        let parse = |given: &str| ModelSpec::parse(given).map(|spec| (spec.name, spec.path));
        assert_eq!(parse("runs/video/model").unwrap(), ("video".to_owned(), PathBuf::from("runs/video/model")));
        assert_eq!(parse("published").unwrap().0, "published");
        assert_eq!(parse("a.b-c=x/model").unwrap(), ("a.b-c".to_owned(), PathBuf::from("x/model")));
        for given in ["a b=x", "=x", "..=x", "my model"] {
            assert!(parse(given).is_err(), "{given}");
        }
    }
}
