//! [`Arena`]: a folder with a small log and configurations, and the binary run in it with limits.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{Folder, copy};

/// When an attack's time is over.
pub(crate) struct Clock {
    end: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let seconds = std::env::var("PLEIAD_ATTACK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5.0);
        Self { end: Instant::now() + Duration::from_secs_f64(seconds) }
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Not within the time, nor after a SIGTERM.
    Hung,
}

/// How a process ended and what it said.
pub(crate) struct Ran {
    pub(crate) end: End,
    pub(crate) stderr: String,
}

impl Ran {
    /// Whether it ended with a code that is documented.
    pub(crate) fn is_documented(&self) -> bool {
        matches!(self.end, End::Code(0..=3 | 130 | 143))
    }

    pub(crate) fn is(&self, code: i32) -> bool {
        self.end == End::Code(code)
    }

    /// For failures: the end and the last words.
    pub(crate) fn story(&self) -> String {
        let is_telling =
            |line: &&str| ["error:", "panicked", "memory allocation", "interrupted"].iter().any(|w| line.contains(w));
        let lines: Vec<&str> = self.stderr.lines().collect();
        let from = lines.iter().position(is_telling).unwrap_or(lines.len().saturating_sub(2));
        let said: String = lines[from..].join(" | ").chars().take(400).collect();
        format!("{:?}: {said}", self.end)
    }
}

/// A folder of its own for each attack.
pub(crate) struct Arena {
    dir: Folder,
}

/// Three tasks over categories, numbers and a list; small enough to train in a moment.
pub(crate) const CONFIG: &str = r#"[data]
train = "log.csv"
valid = { fraction = 0.2 }
test = "later.csv"

[[feature]]
columns = ["user_id", "video_id"]
kind = "categorical"
encoding = { hash = 300 }
embedding = 4

[[feature]]
columns = ["category", "device"]
kind = "categorical"
embedding = 4

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
name = "share"
kind = "binary"
label = { column = "share" }
where = { column = "click", equals = 1 }

[[task]]
name = "completion"
kind = "regression"
label = { column = "completion" }
where = { column = "click", equals = 1 }

[model]
kind = "ple"
levels = [
    { task_experts = 1, shared_experts = 1, widths = [8] },
    { task_experts = 1, shared_experts = 1, widths = [8] },
]
tower = [4]

[train]
epochs = 3
batch_size = 64
optimizer = { kind = "adam", learning_rate = 1e-2 }
early_stopping = { patience = 5 }
seed = 7

[compare]
seeds = [1, 2]
baseline = "single-task"

[[compare.model]]
name = "single-task"
kind = "single-task"
bottom = [8]
tower = [4]

[[compare.model]]
name = "mmoe"
kind = "mmoe"
experts = 2
widths = [8]
tower = [4]
"#;

impl Arena {
    /// A folder with `log.csv` of `rows` rows, `later.csv` and `config.toml`.
    pub(crate) fn new(rows: usize) -> Self {
        let arena = Self { dir: Folder::empty() };
        arena.dir.write("config.toml", CONFIG);
        for (name, rows, seed) in [("log.csv", rows, "1"), ("later.csv", 200, "2")] {
            let rows = rows.to_string();
            arena.ok(&["synth", "video", "--users", "60", "--rows", &rows, "--seed", seed, "--out", name]);
        }
        arena
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The binary with arguments, on one thread, within 4 GB of addresses.
    pub(crate) fn spawn(&self, args: &[&str]) -> Running {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -c 0; ulimit -v 4000000; exec \"$0\" \"$@\" --threads 1"]);
        command.arg(assert_cmd::cargo::cargo_bin!("pleiad")).args(args).current_dir(self.dir.path());
        // No judge looks at streams in the folders of others.
        command.env("TMPDIR", self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A pipe that is full would stop the process: a thread has to read it meanwhile.
        let mut pipe = child.stderr.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Running { child, reader }
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.spawn(args).wait(Duration::from_secs(120))
    }

    /// Runs and expects success.
    pub(crate) fn ok(&self, args: &[&str]) {
        let ran = self.run(args);
        assert!(ran.is(0), "{args:?}: {}", ran.story());
    }

    /// Removes a file or folder, if it is there.
    pub(crate) fn remove(&self, name: &str) {
        let path = self.path(name);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { drop(fs::remove_file(path)) }
    }

    /// Copies a folder, or a file.
    pub(crate) fn copy(&self, from: &str, to: &str) {
        copy(&self.path(from), &self.path(to));
    }

    /// Every file and folder below `name`, with the content of those that are the same in every run.
    pub(crate) fn snapshot(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        fn walk(root: &Path, path: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let is_result = name.ends_with("model/weights.safetensors") || name.ends_with("model/golden.safetensors");
            into.insert(name, if is_result { fs::read(path).unwrap() } else { Vec::new() });
            if path.is_dir() {
                fs::read_dir(path).unwrap().for_each(|entry| walk(root, &entry.unwrap().path(), into));
            }
        }
        let mut files = BTreeMap::new();
        let root = self.path(name);
        if root.exists() {
            walk(&root, &root, &mut files);
        }
        files
    }

    /// What differs between two snapshots, in words; `None` if nothing does.
    pub(crate) fn difference(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) -> Option<String> {
        let only = |a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>| -> Vec<String> {
            a.keys().filter(|name| !b.contains_key(*name)).cloned().collect()
        };
        let (gone, new) = (only(a, b), only(b, a));
        let other: Vec<&String> =
            a.iter().filter(|(n, v)| b.get(*n).is_some_and(|w| w != *v)).map(|(n, _)| n).collect();
        let same = gone.is_empty() && new.is_empty() && other.is_empty();
        (!same).then(|| format!("missing {gone:?}, left over {new:?}, other content {other:?}"))
    }
}

/// A process at work.
pub(crate) struct Running {
    child: Child,
    reader: std::thread::JoinHandle<String>,
}

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        // A process that has ended already gets none.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end; after `limit` it is asked to stop by SIGTERM, and killed if it does not.
    pub(crate) fn wait(mut self, limit: Duration) -> Ran {
        let begin = Instant::now();
        let mut asked = None;
        let end = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break match (status.code(), status.signal()) {
                    (Some(code), _) => End::Code(code),
                    (None, signal) => End::Signal(signal.unwrap_or(0)),
                };
            }
            match asked {
                None if begin.elapsed() > limit => {
                    self.signal(Signal::TERM);
                    asked = Some(Instant::now());
                }
                Some(asked) if asked.elapsed() > Duration::from_secs(20) => {
                    self.child.kill().unwrap();
                    self.child.wait().unwrap();
                    break End::Hung;
                }
                _ => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        Ran { end, stderr: self.reader.join().unwrap_or_default() }
    }
}
