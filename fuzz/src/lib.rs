//! What the fuzz targets share: a scratch folder, a small log, and the way from files to encoded rows.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pleiad_data::{LoadOptions, Splits};
use pleiad_train::{ConfigFile, Interrupt, Silent, TrainOptions, train};

/// A configuration that uses every kind of feature and of task.
pub const CONFIG: &str = r#"
[data]
train = "log.csv"
valid = { column = "day", from = "2026-01-03" }

[[feature]]
columns = ["age"]
kind = "numeric"
transform = ["log1p", "standardize"]
missing = "mean"

[[feature]]
columns = ["city"]
kind = "categorical"
embedding = 2

[[feature]]
columns = ["item"]
kind = "categorical"
encoding = { hash = 16 }
embedding = 2

[[feature]]
columns = ["tags"]
kind = "categorical"
multiple = true
separator = "|"
embedding = 2

[[feature]]
columns = ["price"]
kind = "bucketized"
buckets = 2
embedding = 2

[[task]]
name = "click"
kind = "binary"
label = { column = "click" }

[[task]]
name = "spend"
kind = "regression"
label = { column = "spend" }
where = { column = "click", equals = 1 }

[model]
kind = "ple"
levels = [{ task_experts = 1, shared_experts = 1, widths = [2] }]
tower = [2]

[train]
epochs = 2
batch_size = 4
optimizer = { kind = "adam", learning_rate = 1e-2 }
checkpoint = { every_steps = 1 }
"#;

/// A configuration of the logs that `pleiad synth video` makes: integers, texts, lists, floats with gaps.
pub const VIDEO: &str = r#"
[data]
train = "video.parquet"

[[feature]]
columns = ["user_id", "category", "device"]
kind = "categorical"
embedding = 2

[[feature]]
columns = ["tags"]
kind = "categorical"
multiple = true
embedding = 2

[[feature]]
columns = ["video_seconds", "user_age_days"]
kind = "numeric"
transform = ["log1p", "standardize"]
missing = "mean"

[[task]]
name = "click"
kind = "binary"
label = { column = "click" }

[[task]]
name = "completion"
kind = "regression"
label = { column = "completion" }
where = { column = "click", equals = 1 }

[model]
kind = "hard-sharing"
bottom = [2]
tower = [2]
"#;

/// A log that [`CONFIG`] reads.
pub const LOG: &str = "age,city,item,tags,price,day,click,spend
31,Oslo,17,a|b,2.5,2026-01-01,1,0.5
,Lima,94,,3.5,2026-01-01,0,
44.5,\"Pune, old\",17,b,,2026-01-02,1,1.5
27,Oslo,3,c|a,9,2026-01-02,0,
61,Lima,4,b|b,1e2,2026-01-02,1,0.25
35,Oslo,17,a,2,2026-01-03,0,
22,,17,a,2,2026-01-03,1,0.75
";

/// A folder of this process, in memory where the system has such a place.
pub fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        // One thread: the fuzzer follows what a thread does, and runs many processes.
        rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("first use of the pool");
        let memory = Path::new("/dev/shm");
        let at = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        tempfile::Builder::new().prefix("pleiad-fuzz-").tempdir_in(at).expect("a folder").keep()
    })
}

/// Reads, fits and encodes a file of these bytes as a configuration says; gives the number of training rows.
pub fn load(config: &str, name: &str, bytes: &[u8], sets: &[String]) -> Option<usize> {
    let folder = scratch();
    fs::write(folder.join(name), bytes).ok()?;
    let sets: Vec<String> = [format!("data.train={name:?}")].into_iter().chain(sets.iter().cloned()).collect();
    let file = ConfigFile::parse(&folder.join("config.toml"), config.to_owned(), &sets).ok()?;
    let splits = Splits::load(&file.config.data, folder, &file.schema, LoadOptions::default()).ok()?;
    Some(splits.train.rows())
}

/// Trains the small log into `out`, or goes on with what is there.
pub fn train_into(folder: &Path, out: &str, sets: &[&str], resume: bool) -> pleiad_train::Result<()> {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    fs::write(folder.join("log.csv"), LOG).expect("the scratch folder can be written to");
    let config = ConfigFile::parse(&folder.join("config.toml"), CONFIG.to_owned(), &sets)?;
    let out = folder.join(out);
    let options = TrainOptions { config: &config, model: None, out: &out, init: None, resume, rows: None, pages: None };
    train(&options, &Interrupt::default(), &mut Silent).map(drop)
}

/// Replaces a folder by a copy of another.
pub fn replace(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            replace(&from, &to);
        } else {
            fs::copy(from, to).expect("a copy");
        }
    }
}

/// All files below a folder, sorted.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() { all.extend(files(&entry.path())) } else { all.push(entry.path()) }
    }
    all.sort();
    all
}
