//! Damaged files: what Pleiad writes for itself, what users have, and configurations.

use std::fs;
use std::time::Duration;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;

use crate::arena::Arena;
use crate::mutate::mutated;
use crate::tally::Tally;

/// What a file's own sums promise.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Promise {
    /// Any change is refused, or changes nothing.
    Sealed,
    /// As sealed, but for a part of the file that its format has no sum for: at most this share of attempts may give another
    /// result.
    Checked(f64),
    /// The format has no sum: another result is the result of other data.
    Open,
}

/// A file, and a command that reads it.
pub(crate) struct Damage {
    name: &'static str,
    arena: Arena,
    /// Files of which one is changed in each attempt; folders stand for all files in them.
    files: Vec<String>,
    /// Put back before each attempt: from, to.
    restore: Vec<(&'static str, &'static str)>,
    command: Vec<&'static str>,
    /// What the command gives.
    result: &'static str,
    promise: Promise,
    limit: Duration,
    whole: Vec<u8>,
}

/// The model, checkpoints, a cache, and the figures of a finished run.
pub(crate) fn own_files() -> Vec<Damage> {
    vec![
        model("model.json"),
        model("golden.safetensors"),
        model("weights.safetensors"),
        checkpoint(),
        cache(),
        figures(),
    ]
}

/// CSV plain and compressed, Parquet, Arrow.
pub(crate) fn data_files() -> Vec<Damage> {
    let promises = [
        ("rows.csv", Promise::Open),
        ("rows.csv.gz", Promise::Sealed),
        ("rows.csv.zst", Promise::Sealed),
        // Headers of pages have no sum.
        ("rows.parquet", Promise::Checked(0.05)),
        ("rows.arrow", Promise::Open),
    ];
    promises.into_iter().map(|(name, promise)| data(name, promise)).collect()
}

/// TOML.
pub(crate) fn configurations() -> Vec<Damage> {
    let arena = Arena::new(150);
    vec![Damage {
        name: "config.toml",
        files: vec!["config.toml".to_owned()],
        restore: vec![],
        command: vec!["train", "config.toml", "--out", "run", "--set", "train.checkpoint.every_minutes=10"],
        result: "run",
        promise: Promise::Open,
        // A changed number of epochs may take hours; it has to end when it is asked to.
        limit: Duration::from_secs(3),
        whole: fs::read(arena.path("config.toml")).unwrap(),
        arena,
    }]
}

fn model(file: &'static str) -> Damage {
    let arena = Arena::new(300);
    arena.ok(&["train", "config.toml", "--out", "trained", "--set", "train.epochs=1"]);
    Damage::over(
        arena,
        file,
        vec![format!("run/model/{file}")],
        vec![("trained", "run")],
        vec!["predict", "run/model", "--data", "later.csv", "--out", "scores.csv"],
        "scores.csv",
        Promise::Sealed,
    )
}

fn data(name: &'static str, promise: Promise) -> Damage {
    let arena = Arena::new(300);
    arena.ok(&["train", "config.toml", "--out", "trained", "--set", "train.epochs=1"]);
    arena.ok(&["synth", "video", "--users", "60", "--rows", "150", "--out", name]);
    fs::create_dir(arena.path("sound")).unwrap();
    fs::rename(arena.path(name), arena.path("sound").join(name)).unwrap();
    let files = vec![name.to_owned()];
    let sound: &'static str = Box::leak(format!("sound/{name}").into_boxed_str());
    let command = vec!["predict", "trained/model", "--data", name, "--out", "scores.csv"];
    Damage::over(arena, name, files, vec![(sound, name)], command, "scores.csv", promise)
}

fn checkpoint() -> Damage {
    let arena = Arena::new(600);
    let train = ["train", "config.toml", "--out", "stopped", "--set", "train.checkpoint.every_steps=4"];
    // Stopped on its way, somewhere behind the first checkpoints.
    loop {
        arena.remove("stopped");
        let mut running = arena.spawn(&train);
        let checkpoints = arena.path("stopped/checkpoints");
        let is_whole = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("step-");
        let some = || fs::read_dir(&checkpoints).map_or(0, |entries| entries.flatten().filter(is_whole).count()) >= 2;
        while !some() && !running.is_over() {
            std::thread::sleep(Duration::from_millis(1));
        }
        running.signal(Signal::KILL);
        running.wait(Duration::from_secs(60));
        if some() && !arena.path("stopped/model").exists() {
            break;
        }
    }
    Damage::over(
        arena,
        "checkpoint",
        vec!["run/checkpoints".to_owned()],
        vec![("stopped", "run")],
        vec!["train", "config.toml", "--out", "run", "--set", "train.checkpoint.every_steps=4", "--resume"],
        "run/model/weights.safetensors",
        Promise::Sealed,
    )
}

fn cache() -> Damage {
    let arena = Arena::new(400);
    arena.ok(&["train", "config.toml", "--out", "first", "--set", "data.cache=sound", "--set", "train.epochs=1"]);
    Damage::over(
        arena,
        "cache",
        vec!["kept".to_owned()],
        vec![("sound", "kept")],
        vec!["train", "config.toml", "--out", "run", "--set", "data.cache=kept", "--set", "train.epochs=1"],
        "run/model/weights.safetensors",
        Promise::Sealed,
    )
}

/// What a comparison reads of runs that are finished.
fn figures() -> Damage {
    let arena = Arena::new(300);
    let compare = |out| vec!["compare", "config.toml", "--out", out, "--set", "train.epochs=1"];
    arena.ok(&compare("finished"));
    let run = "run/runs/mmoe/seed-1";
    Damage::over(
        arena,
        "metrics of a run",
        vec![format!("{run}/metrics.json")],
        vec![("finished", "run")],
        compare("run"),
        "run/compare.json",
        Promise::Sealed,
    )
}

impl Damage {
    fn over(
        arena: Arena,
        name: &'static str,
        files: Vec<String>,
        restore: Vec<(&'static str, &'static str)>,
        command: Vec<&'static str>,
        result: &'static str,
        promise: Promise,
    ) -> Self {
        let limit = Duration::from_secs(60);
        let mut damage = Self { name, arena, files, restore, command, result, promise, limit, whole: Vec::new() };
        damage.put_back();
        damage.arena.ok(&damage.command);
        damage.whole = damage.given();
        damage
    }

    fn put_back(&self) {
        for (from, to) in &self.restore {
            self.arena.remove(to);
            self.arena.copy(from, to);
        }
        if !self.restore.iter().any(|(_, to)| self.result.starts_with(to)) {
            let first = self.result.split('/').next().unwrap_or_default();
            self.arena.remove(first);
        }
    }

    /// What the command gave, without what time has a say in.
    fn given(&self) -> Vec<u8> {
        let bytes = fs::read(self.arena.path(self.result)).unwrap_or_default();
        if !self.result.ends_with("compare.json") {
            return bytes;
        }
        let mut value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        timeless(&mut value);
        value.to_string().into_bytes()
    }

    /// One of the files.
    fn draw(&self, rng: &mut ChaCha8Rng) -> std::path::PathBuf {
        let mut files = Vec::new();
        for name in &self.files {
            walk(&self.arena.path(name), &mut files);
        }
        files.sort();
        files.swap_remove(rng.random_range(0..files.len()))
    }

    /// Changes a file and sees what comes of it.
    pub(crate) fn attempt(&mut self, rng: &mut ChaCha8Rng, tally: &mut Tally) {
        self.put_back();
        let path = match self.promise {
            Promise::Open if self.name == "config.toml" => {
                fs::write(self.arena.path("config.toml"), mutated(&self.whole, rng)).unwrap();
                self.arena.path("config.toml")
            }
            _ => self.draw(rng),
        };
        let before = fs::read(&path).unwrap();
        if self.name != "config.toml" {
            let after = mutated(&before, rng);
            if after == before {
                return;
            }
            fs::write(&path, after).unwrap();
        }
        let ran = self.arena.spawn(&self.command).wait(self.limit);
        let fail = |tally: &mut Tally, what: &str| {
            let kept = std::env::temp_dir().join(format!("pleiad-attack-{}", self.name.replace([' ', '/'], "-")));
            let _ = fs::copy(&path, &kept);
            tally.fail(self.name, format!("{what} ({}, kept as {}): {}", path.display(), kept.display(), ran.story()));
        };
        if !ran.is_documented() {
            return fail(tally, "no documented end");
        }
        if !ran.is(0) {
            return tally.count(self.name, outcome(&ran.end));
        }
        if self.name == "config.toml" {
            return tally.count(self.name, "read");
        }
        if self.given() == self.whole {
            return tally.count(self.name, "same result");
        }
        let others = "other result";
        let allowed = match self.promise {
            Promise::Sealed => false,
            Promise::Open => true,
            // Early on, a share of few attempts says nothing.
            Promise::Checked(share) => {
                let total = tally.of(self.name, "same result") + tally.of(self.name, "refused (3)");
                tally.of(self.name, others) as f64 <= share * total as f64 + 2.0
            }
        };
        if allowed { tally.count(self.name, others) } else { fail(tally, "another result with exit 0") }
    }
}

fn outcome(end: &crate::arena::End) -> String {
    match end {
        crate::arena::End::Code(code @ 1..=3) => format!("refused ({code})"),
        crate::arena::End::Code(code) => format!("stopped when asked ({code})"),
        other => format!("{other:?}"),
    }
}

fn walk(path: &std::path::Path, into: &mut Vec<std::path::PathBuf>) {
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| walk(&entry.unwrap().path(), into));
    } else {
        into.push(path.to_owned());
    }
}

/// Removes what differs from run to run: times and speeds.
fn timeless(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            map.retain(|key, _| !["seconds", "rows_per_second", "input_wait"].contains(&key.as_str()));
            map.values_mut().for_each(timeless);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(timeless),
        _ => {}
    }
}
