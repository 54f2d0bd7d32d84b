//! One process at a time writes a folder; what a killed one leaves goes; who reads meanwhile finds the whole of something.

#![allow(clippy::unwrap_used)]
#![cfg(unix)]

mod common;

use std::fs::TryLockError;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{COMPARE, Folder, Ran, log};

/// A process that is stopped and goes on, and does not outlive its test.
struct Running(Option<Child>);

impl Running {
    fn start(folder: &Folder, args: &[&str]) -> Self {
        Self(Some(folder.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()))
    }

    fn id(&self) -> String {
        self.0.as_ref().unwrap().id().to_string()
    }

    fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill").args([&format!("-{name}"), &self.id()]).status().unwrap();
        assert!(sent.success());
    }

    fn end(mut self) -> Ran {
        Ran::of(self.0.take().unwrap().wait_with_output().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Starts a command and stops it while it holds the lock of `folder/held`.
fn hold(folder: &Folder, args: &[&str], held: &str) -> Running {
    let running = Running::start(folder, args);
    let lock = folder.join(held).join("pleiad.lock");
    // Its holder says who it is right after it has the lock.
    wait_until("no lock", || std::fs::read(&lock).is_ok_and(|text| text.ends_with(b"\n")));
    running.signal("STOP");
    running
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn temporary(folder: &Path) -> Vec<String> {
    names(folder).into_iter().filter(|name| name.starts_with('.')).collect()
}

/// A log that takes a while.
fn folder() -> Folder {
    let folder = Folder::with_log();
    folder.write("train.csv", log(6000, 1));
    let config = folder.text("config.toml");
    folder.write("config.toml", config + COMPARE);
    folder
}

const TRAIN: &[&str] = &["train", "config.toml", "--out", "run", "--set", "train.seed=1"];

#[test]
fn a_run_has_one_writer_however_its_folder_is_named() {
    let folder = folder();
    let first = hold(&folder, TRAIN, "run");
    std::os::unix::fs::symlink("run", folder.join("link")).unwrap();
    let before = folder.listing();
    let whole = folder.join("run/../run").display().to_string();
    let second: [&[&str]; 9] = [
        &["train", "config.toml", "--out", "run", "--set", "train.seed=2"],
        &["train", "config.toml", "--out", "run", "--set", "train.seed=2", "--resume"],
        &["train", "config.toml", "--out", "link", "--resume"],
        &["train", "config.toml", "--out", &whole, "--resume"],
        &["train", "config.toml", "--out", "run/inside/of/it"],
        &["compare", "config.toml", "--out", "run"],
        &["compare", "config.toml", "--out", "link/compared"],
        &["quickstart", "--rows", "1000", "--out", "run"],
        &["import", "--config", "config.toml", "--weights", "none.safetensors", "--out", "run/model"],
    ];
    for args in second {
        let ran = folder.run(args);
        assert_eq!(ran.code, Some(2), "{args:?}: {}", ran.stderr);
        let process = format!("`pleiad train` (process {}", first.id());
        for says in [&process, ", since 20", "is being written by", "--out"] {
            assert!(ran.stderr.contains(says), "{args:?}: {says}: {}", ran.stderr);
        }
        assert_eq!(ran.stdout, "");
    }
    assert_eq!(folder.listing(), before, "the second leaves nothing");
    first.signal("CONT");
    let ran = first.end();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(folder.json("run/metrics.json")["seed"], 1);
    assert_eq!(folder.json("run/model/model.json")["provenance"]["seed"], 1);
    assert!(!folder.join("run/pleiad.lock").exists());
}

#[test]
fn a_lock_ends_with_its_process() {
    let folder = folder();
    let first = hold(&folder, TRAIN, "run");
    first.signal("KILL");
    first.end();
    // A folder with nothing in it but a lock that no process holds is an empty one. (It may have come as far as a checkpoint.)
    if names(&folder.join("run")) == ["pleiad.lock"] {
        folder.ok(TRAIN);
    } else {
        folder.ok(&[TRAIN, &["--resume"]].concat());
    }
    assert!(!folder.join("run/pleiad.lock").exists());
    // So is one that was there before, whatever the lock says; and it stays where the run cannot start.
    std::fs::create_dir(folder.join("empty")).unwrap();
    folder.write("empty/pleiad.lock", "{\"command\":\"pleiad train\",\"process\":1}\n");
    let ran = folder.run(&["train", "config.toml", "--out", "empty", "--set", "data.train=none.csv"]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert_eq!(names(&folder.join("empty")), Vec::<String>::new());
    folder.ok(&["train", "config.toml", "--out", "empty", "--set", "train.epochs=1"]);
}

/// A user removes the folder of a living run, and begins another run in its place.
#[test]
fn a_run_whose_folder_was_replaced_writes_nothing_into_the_other() {
    let folder = folder();
    let first = Running::start(&folder, &[TRAIN, &["--set", "train.checkpoint.every_steps=20"]].concat());
    // Past its look at the folder, and before its end.
    wait_until("no checkpoint", || names(&folder.join("run/checkpoints")).iter().any(|name| name.starts_with("step-")));
    first.signal("STOP");
    assert!(!folder.join("run/model").exists(), "it was stopped on its way");
    std::fs::remove_dir_all(folder.join("run")).unwrap();
    folder.ok(&["train", "config.toml", "--out", "run", "--set", "train.seed=2", "--set", "train.epochs=1"]);
    let before = shape(&folder, "run");
    first.signal("CONT");
    let ran = first.end();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    // Where it was stopped in the middle of a checkpoint, what it was writing is gone.
    let says = ["run was removed or replaced while it was being written", "No such file or directory"];
    assert!(says.iter().any(|text| ran.stderr.contains(text)), "{}", ran.stderr);
    assert_eq!(shape(&folder, "run"), before);
    assert_eq!(folder.json("run/metrics.json")["seed"], 2);
    assert_eq!(folder.json("run/model/model.json")["provenance"]["seed"], 2);
}

#[test]
fn a_comparison_has_one_writer_with_all_of_its_runs() {
    let folder = folder();
    let compare = ["compare", "config.toml", "--out", "compared", "--set", "train.epochs=2"];
    let first = hold(&folder, &compare, "compared");
    for out in ["compared", "compared/runs/alone/seed-1", "compared/runs/shared/seed-2", "compared/else"] {
        let ran = folder.run(&["train", "config.toml", "--out", out, "--resume"]);
        assert_eq!(ran.code, Some(2), "{out}: {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("`pleiad compare` (process {}", first.id())), "{}", ran.stderr);
    }
    let ran = folder.run(&compare);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    first.signal("CONT");
    let ran = first.end();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!folder.listing().iter().any(|name| name.ends_with("pleiad.lock")), "{:?}", folder.listing());

    // The other way round: one of its runs is being written.
    let run = "other/runs/shared/seed-2";
    let first = hold(&folder, &["train", "config.toml", "--model", "shared", "--out", run], run);
    let ran = folder.run(&["compare", "config.toml", "--out", "other"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains(run) && ran.stderr.contains("`pleiad train`"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("training rows"), "before rows are read: {}", ran.stderr);
    drop(first);
}

/// A table that takes a moment to write.
fn large(folder: &Folder) {
    folder.replace("config.toml", "embedding = 4", "embedding = 16\nencoding = { hash = 200_000 }");
    folder.write("train.csv", log(600, 1));
}

/// The listing of a run without the numbers of its checkpoints.
fn shape(folder: &Folder, run: &str) -> Vec<String> {
    let inside = |name: &String| name.starts_with(&format!("{run}/")) && !name.contains("/step-");
    let names = folder.listing().into_iter().filter(inside);
    names.map(|name| name[run.len()..].to_owned()).collect()
}

#[test]
fn a_run_that_is_killed_while_it_saves_its_model_leaves_nothing_of_it() {
    let folder = folder();
    large(&folder);
    folder.ok(&["train", "config.toml", "--out", "whole"]);
    let mut caught = 0;
    for attempt in 0..8 {
        let run = format!("run-{attempt}");
        let args = ["train", "config.toml", "--out", &run];
        let first = Running::start(&folder, &args);
        let path = folder.join(&run);
        // The model is the one that is written beside the checkpoints.
        let saving = || path.join("checkpoints").exists() && !temporary(&path).is_empty();
        wait_until("it is never saved", || saving() || path.join("metrics.json").exists());
        first.signal("KILL");
        first.end();
        caught += u32::from(!temporary(&path).is_empty());
        // What it may leave elsewhere, and what versions before this one left.
        std::fs::create_dir_all(path.join("tensorboard")).unwrap();
        std::fs::write(path.join("tensorboard/.pleiad-dead.tmp"), "events").unwrap();
        std::fs::create_dir_all(path.join(".model.aB3dEf")).unwrap();
        std::fs::write(path.join(".model.aB3dEf/weights.safetensors"), "half").unwrap();
        folder.ok(&[&args[..], &["--resume"]].concat());
        assert_eq!(shape(&folder, &run), shape(&folder, "whole"));
        for file in ["model/weights.safetensors", "model/golden.safetensors"] {
            assert!(folder.read(&format!("{run}/{file}")) == folder.read(&format!("whole/{file}")), "{file} differs");
        }
        if caught == 2 {
            return;
        }
    }
    assert!(caught > 0, "no kill fell into the writing");
}

#[test]
fn a_comparison_that_is_killed_at_the_end_of_a_run_leaves_no_checkpoints() {
    let folder = folder();
    let compare =
        ["compare", "config.toml", "--out", "compared", "--set", "train.epochs=1", "--set", "compare.seeds=[1]"];
    folder.ok(&compare);
    let before = shape(&folder, "compared");
    // Between the end of a run and the removal of its checkpoints; and in the middle of writing the comparison.
    let run = "compared/runs/alone/seed-1";
    std::fs::create_dir_all(folder.join(run).join("checkpoints/step-000000000001")).unwrap();
    std::fs::create_dir(folder.join(run).join(".pleiad-dead.tmp")).unwrap();
    folder.write("compared/.pleiad-dead.tmp", "{");
    folder.ok(&compare);
    assert_eq!(shape(&folder, "compared"), before);
}

#[test]
fn what_a_killed_process_was_writing_goes_with_the_next_one_and_not_before() {
    let folder = Folder::empty();
    let first = Running::start(&folder, &["synth", "video", "--rows", "100000000", "--out", "video.parquet"]);
    // Stopped between the making of its file and the lock on it, the process would rightly lose the file.
    let is_held = |name: &String| {
        std::fs::File::open(folder.join(name))
            .is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    };
    wait_until("nothing is written", || temporary(folder.path()).iter().any(is_held));
    first.signal("STOP");
    let living = temporary(folder.path());
    let next = ["synth", "paper", "--rows", "100", "--out", "paper.csv"];
    folder.ok(&next);
    assert_eq!(temporary(folder.path()), living, "a process that is stopped still writes");
    first.signal("KILL");
    first.end();
    assert_eq!(temporary(folder.path()), living);
    folder.write(".pleiad-notes.txt", "not ours");
    folder.ok(&next);
    assert_eq!(temporary(folder.path()), [".pleiad-notes.txt"]);
}

#[test]
fn two_that_write_one_file_write_the_whole_of_one() {
    let folder = Folder::empty();
    let synth = |seed: &'static str, out: &'static str| {
        ["synth", "paper", "--rows", "2000", "--seed", seed, "--out", out].to_vec()
    };
    for (seed, out) in [("1", "one.csv"), ("2", "two.csv")] {
        folder.ok(&synth(seed, out));
    }
    for _ in 0..3 {
        let both = [Running::start(&folder, &synth("1", "out.csv")), Running::start(&folder, &synth("2", "out.csv"))];
        for running in both {
            let ran = running.end();
            assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        }
        let out = folder.read("out.csv");
        assert!(out == folder.read("one.csv") || out == folder.read("two.csv"));
        assert_eq!(temporary(folder.path()), Vec::<String>::new());
    }
}

#[test]
fn encoded_rows_have_one_writer_and_any_number_of_readers() {
    let folder = folder();
    folder.write("train.csv", log(60_000, 1));
    let train = |out: &'static str| {
        ["train", "config.toml", "--out", out, "--set", "data.cache=cache", "--set", "train.epochs=1"].to_vec()
    };
    let first = Running::start(&folder, &train("a"));
    let cache = folder.join("cache");
    let lock = || names(&cache).into_iter().find(|name| name.ends_with(".lock"));
    wait_until("no lock", || {
        lock().is_some_and(|name| std::fs::read(cache.join(name)).is_ok_and(|text| !text.is_empty()))
    });
    first.signal("STOP");
    let ran = folder.run(&train("b"));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("process {}", first.id())), "{}", ran.stderr);
    assert!(ran.stderr.contains("is writing these encoded rows") && ran.stderr.contains("`cache`"), "{}", ran.stderr);
    assert!(!folder.join("b").exists(), "the second leaves nothing");
    first.signal("CONT");
    let ran = first.end();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let ran = folder.ok(&train("b"));
    assert!(ran.stderr.contains("encoded rows are those of"), "{}", ran.stderr);
    assert_eq!(names(&cache).len(), 1, "{:?}", names(&cache));
    assert!(folder.read("a/model/weights.safetensors") == folder.read("b/model/weights.safetensors"));
}

/// The temporary folder of a run that streams without a cache.
#[test]
fn temporary_rows_of_a_killed_run_go_with_the_next() {
    let folder = folder();
    let place = folder.join("tmp");
    std::fs::create_dir(&place).unwrap();
    let args = |out: &'static str| ["train", "config.toml", "--out", out, "--set", "data.stream=true"];
    let mut child = folder.command(&args("a")).env("TMPDIR", &place).stderr(Stdio::null()).spawn().unwrap();
    wait_until("no rows", || !temporary(&place).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(temporary(&place).len(), 1);
    let output = folder.command(&args("b")).env("TMPDIR", &place).output().unwrap();
    assert!(output.status.success());
    assert_eq!(names(&place), Vec::<String>::new());
}

/// A user clears up while a run is at work.
#[test]
fn without_its_file_a_lock_holds_all_the_same() {
    let folder = folder();
    let first = hold(&folder, TRAIN, "run");
    std::fs::remove_file(folder.join("run/pleiad.lock")).unwrap();
    let before = folder.listing();
    for args in [&["train", "config.toml", "--out", "run", "--resume"][..], &["compare", "config.toml", "--out", "run"]]
    {
        let ran = folder.run(args);
        assert_eq!(ran.code, Some(2), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("run is being written by another process"), "{}", ran.stderr);
    }
    assert_eq!(folder.listing(), before, "the second leaves nothing");
    first.signal("CONT");
    let ran = first.end();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!folder.join("run/pleiad.lock").exists());
}

#[test]
fn what_cannot_be_a_folder_of_a_run_is_said_and_left_alone() {
    let folder = folder();
    std::os::unix::fs::symlink("nowhere", folder.join("link")).unwrap();
    for command in ["train", "compare", "quickstart"] {
        for out in ["link", "link/run"] {
            let config = ["config.toml"];
            let config = if command == "quickstart" { &[][..] } else { &config };
            let ran = folder.run(&[&[command][..], config, &["--out", out]].concat());
            assert_eq!(ran.code, Some(2), "{command} {out}: {}", ran.stderr);
            assert!(ran.stderr.contains("link is a link to something that is not there"), "{}", ran.stderr);
        }
    }
    assert!(folder.join("link").is_symlink() && !folder.join("nowhere").exists());
    std::fs::create_dir_all(folder.join("taken/pleiad.lock")).unwrap();
    for more in [&[][..], &["--resume"]] {
        let ran = folder.run(&[&["train", "config.toml", "--out", "taken"], more].concat());
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains("taken/pleiad.lock is a folder; "), "{}", ran.stderr);
    }
    assert_eq!(names(&folder.join("taken")), ["pleiad.lock"]);
}

/// A file grows beyond what `ulimit -f` allows (in KiB), as on a full disk.
#[test]
fn what_cannot_be_written_leaves_nothing_of_it() {
    let folder = Folder::with_log();
    folder.write("config.toml", folder.text("config.toml") + COMPARE);
    for limit in ["0", "1", "2", "4", "8", "16", "40"] {
        let script = format!("ulimit -f {limit}; exec \"$0\" \"$@\"");
        for args in
            [&["train", "config.toml", "--out", "run"][..], &["synth", "video", "--rows", "5000", "--out", "v.csv"]]
        {
            let mut command = std::process::Command::new("bash");
            command.args(["-c", &script]).arg(assert_cmd::cargo::cargo_bin!("pleiad")).args(args);
            let ran = Ran::of(command.current_dir(folder.path()).output().unwrap());
            assert_eq!(ran.code, Some(1), "{limit} {args:?}: {}", ran.stderr);
            assert!(ran.stderr.contains("error: ") && ran.stderr.contains("too large"), "{limit}: {}", ran.stderr);
        }
        // The first file of a run is too large: of the comparison nothing is left.
        if limit == "0" {
            let mut command = std::process::Command::new("bash");
            command.args(["-c", &script]).arg(assert_cmd::cargo::cargo_bin!("pleiad"));
            let ran =
                command.args(["compare", "config.toml", "--out", "run"]).current_dir(folder.path()).output().unwrap();
            assert_eq!((ran.status.code(), folder.join("run").exists()), (Some(1), false));
        }
        let left: Vec<String> = folder.listing();
        let half = |name: &&String| name.contains(".tmp") || name.contains("pleiad.lock") || *name == "v.csv";
        assert_eq!(left.iter().find(half), None, "{limit}");
        // Of a run there are whole checkpoints and whole results, or there is nothing.
        let has = |part: &str| left.iter().any(|name| name.starts_with(part));
        assert_eq!(has("run"), has("run/checkpoints/step-"), "{limit}: {left:?}");
        assert!(!has("run/tensorboard") || has("run/tensorboard/"), "{limit}: {left:?}");
        let _ = std::fs::remove_dir_all(folder.join("run"));
    }
}
