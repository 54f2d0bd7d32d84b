//! A folder with a small log and a configuration, and the binary run in it.

#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Two tasks from five columns; `spend` is known of buyers alone.
pub(crate) const CONFIG: &str = r#"[data]
train = "train.csv"
valid = "valid.csv"
test = "test.csv"

[[feature]]
columns = ["age", "visits"]
kind = "numeric"
transform = ["standardize"]

[[feature]]
columns = ["city"]
kind = "categorical"
embedding = 4

[[task]]
name = "buy"
kind = "binary"
label = { column = "buy" }

[[task]]
name = "spend"
kind = "regression"
label = { column = "spend" }
where = { column = "buy", equals = 1 }

[model]
kind = "ple"
levels = [
    { task_experts = 1, shared_experts = 1, widths = [8] },
    { task_experts = 1, shared_experts = 1, widths = [8] },
]
tower = [4]

[train]
epochs = 3
batch_size = 32
optimizer = { kind = "adam", learning_rate = 1e-2 }
early_stopping = { patience = 5 }
seed = 7
"#;

/// A comparison, to be put behind [`CONFIG`].
pub(crate) const COMPARE: &str = r#"
[compare]
seeds = [1, 2]
baseline = "alone"

[[compare.model]]
name = "alone"
kind = "single-task"
bottom = [8]
tower = [4]

[[compare.model]]
name = "shared"
kind = "hard-sharing"
bottom = [8]
tower = [4]
"#;

/// A folder of its own for each test.
pub(crate) struct Folder {
    dir: TempDir,
}

impl Folder {
    /// An empty folder.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A folder with `train.csv`, `valid.csv`, `test.csv` and `config.toml`.
    pub(crate) fn with_log() -> Self {
        let folder = Self::empty();
        folder.write("train.csv", log(400, 1));
        folder.write("valid.csv", log(120, 2));
        folder.write("test.csv", log(120, 3));
        folder.write("config.toml", CONFIG);
        folder
    }

    /// Starts a training of `run` and kills it once a checkpoint within an epoch is there.
    pub(crate) fn kill_at_checkpoint(&self, args: &[&str], run: &str) {
        let mut child = self.command(args).stderr(Stdio::null()).spawn().unwrap();
        let begin = Instant::now();
        let checkpoint = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.unwrap().file_name().to_string_lossy().starts_with("step-")
        };
        let folder = self.join(&format!("{run}/checkpoints"));
        while !std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.any(checkpoint)) {
            assert!(begin.elapsed() < Duration::from_secs(60), "no checkpoint");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!self.join(&format!("{run}/model")).exists(), "it was stopped on its way");
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.join(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.join(name)).unwrap()
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    pub(crate) fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_slice(&self.read(name)).unwrap()
    }

    /// Replaces a part of a file, which must be there.
    pub(crate) fn replace(&self, name: &str, from: &str, to: &str) {
        let text = self.text(name);
        assert!(text.contains(from), "{name} has no {from:?}");
        self.write(name, text.replacen(from, to, 1));
    }

    /// Every file and folder below, sorted.
    pub(crate) fn listing(&self) -> Vec<String> {
        fn walk(root: &Path, dir: &Path, into: &mut Vec<String>) {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                into.push(path.strip_prefix(root).unwrap().display().to_string());
                if path.is_dir() {
                    walk(root, &path, into);
                }
            }
        }
        let mut names = Vec::new();
        walk(self.path(), self.path(), &mut names);
        names.sort();
        names
    }

    /// The binary with arguments, ready to run in this folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("pleiad"));
        command.args(args).current_dir(self.path());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// Runs and expects success.
    pub(crate) fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}\n{}{}", ran.stdout, ran.stderr);
        ran
    }
}

/// Copies a file, or a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        std::fs::copy(from, to).unwrap();
        return;
    }
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

/// What a run of the binary gave.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }
}

/// Rows that can be learned from, the same for the same seed.
pub(crate) fn log(rows: usize, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut draw = move || {
        // xorshift64*: any stream will do, so long as it is this one.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40) as f64 / (1u64 << 24) as f64
    };
    let cities = ["Lagos", "Lima", "Oslo", "Pune"];
    let mut text = String::from("age,visits,city,buy,spend\n");
    for _ in 0..rows {
        let age = 18.0 + (draw() * 60.0).floor();
        let visits = (draw() * 20.0).floor();
        let city = (draw() * 4.0) as usize;
        let buys = draw() < 1.0 / (1.0 + (-(visits - 10.0) / 4.0 - (city as f64 - 1.5)).exp());
        let spend = 0.02 * age + 0.1 * visits + 0.3 * draw();
        let spend = if buys { format!("{spend:.4}") } else { String::new() };
        text.push_str(&format!("{age},{visits},{},{},{spend}\n", cities[city], u8::from(buys)));
    }
    text
}
