//! Runs that are killed at any moment, and go on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;

use crate::arena::{Arena, End};
use crate::tally::Tally;

/// A command that is killed, and the same command until it is through.
pub(crate) struct Kill {
    name: &'static str,
    arena: Arena,
    first: Vec<&'static str>,
    again: Vec<&'static str>,
    /// What it writes: looked at afterwards.
    results: Vec<&'static str>,
    whole: Vec<BTreeMap<String, Vec<u8>>>,
    /// How long it takes undisturbed.
    takes: Duration,
    /// Part of that time at which kills begin.
    from: f64,
}

/// Training, checkpoints, caching, streaming, tables in files, comparing, saving, predicting, generating.
pub(crate) fn all() -> Vec<Kill> {
    let train = ["train", "config.toml", "--out", "run"];
    let with = |more: &[&'static str]| [&train[..], more].concat();
    let resumed = |more: &[&'static str]| [&train[..], more, &["--resume"]].concat();
    let training = |name, rows, results: &[&'static str], from, more: &[&'static str]| {
        Kill::new(name, rows, with(more), resumed(more), results, from)
    };
    vec![
        training("train", 2000, &["run"], 0.0, &[]),
        training("checkpoints", 2000, &["run"], 0.0, &["--set", "train.checkpoint.every_steps=3"]),
        training("cache", 4000, &["run", "kept"], 0.0, &["--set", "data.cache=kept", "--set", "train.epochs=1"]),
        training("stream", 4000, &["run", "kept"], 0.0, &["--set", "data.cache=kept", "--set", "data.stream=true"]),
        training("stream, no cache", 4000, &["run"], 0.0, &["--set", "data.stream=true", "--set", "train.epochs=1"]),
        training("tables in files", 1000, &["run", "tables"], 0.0, &["--set", "train.table_folder=tables"]),
        training(
            "save",
            400,
            &["run"],
            0.4,
            &[
                "--set",
                "train.epochs=1",
                "--set",
                "feature.0={columns=[\"user_id\"],kind=\"categorical\",encoding={hash=150000},embedding=16}",
            ],
        ),
        Kill::new(
            "compare",
            500,
            vec!["compare", "config.toml", "--out", "compared"],
            vec!["compare", "config.toml", "--out", "compared"],
            &["compared"],
            0.0,
        ),
        Kill::new(
            "synth",
            100,
            vec!["synth", "video", "--rows", "30000", "--out", "made/video.csv.gz"],
            vec!["synth", "video", "--rows", "30000", "--out", "made/video.csv.gz"],
            &["made"],
            0.0,
        ),
        Kill::predicting(),
    ]
}

impl Kill {
    fn new(
        name: &'static str,
        rows: usize,
        first: Vec<&'static str>,
        again: Vec<&'static str>,
        results: &[&'static str],
        from: f64,
    ) -> Self {
        Self::over(Arena::new(rows), name, first, again, results, from)
    }

    fn predicting() -> Self {
        let arena = Arena::new(500);
        arena.ok(&["train", "config.toml", "--out", "trained", "--set", "train.epochs=1"]);
        arena.ok(&["synth", "video", "--rows", "20000", "--out", "many.csv"]);
        let args = vec!["predict", "trained/model", "--data", "many.csv", "--out", "made/scores.parquet"];
        Self::over(arena, "predict", args.clone(), args, &["made"], 0.0)
    }

    fn over(
        arena: Arena,
        name: &'static str,
        first: Vec<&'static str>,
        again: Vec<&'static str>,
        results: &[&'static str],
        from: f64,
    ) -> Self {
        if results == ["made"] {
            std::fs::create_dir(arena.path("made")).unwrap();
        }
        let begin = Instant::now();
        arena.ok(&first);
        let takes = begin.elapsed();
        let whole = results.iter().map(|name| arena.snapshot(name)).collect();
        Self { name, arena, first, again, results: results.to_vec(), whole, takes, from }
    }

    /// Kills it once to three times, lets it through, and compares.
    pub(crate) fn attempt(&mut self, rng: &mut ChaCha8Rng, tally: &mut Tally) {
        let Self { name, arena, first, again, results, whole, takes, from } = self;
        for result in results.iter() {
            arena.remove(result);
        }
        if *results == ["made"] {
            std::fs::create_dir(arena.path("made")).unwrap();
        }
        let (mut killed, mut in_order) = (0, false);
        for attempt in 0..rng.random_range(1..=3) {
            let at = takes.mul_f64(rng.random_range(*from..1.0));
            let signal = [Signal::KILL, Signal::KILL, Signal::TERM, Signal::INT][rng.random_range(0..4)];
            let running = arena.spawn(if attempt == 0 { first } else { again });
            std::thread::sleep(at);
            running.signal(signal);
            let ran = running.wait(Duration::from_secs(60));
            match ran.end {
                End::Signal(9) => killed += 1,
                End::Code(130 | 143) if signal != Signal::KILL => (killed, in_order) = (killed + 1, true),
                // By the system's default, before there is a handler.
                End::Signal(2 | 15) if signal != Signal::KILL => killed += 1,
                End::Code(0) => {}
                _ => return tally.fail(name, format!("{signal:?} after {at:?}: {}", ran.story())),
            }
        }
        let ran = arena.run(again);
        if !ran.is(0) {
            return tally.fail(name, format!("cannot go on: {}", ran.story()));
        }
        for (result, whole) in results.iter().zip(whole) {
            // A run that is interrupted in order writes a checkpoint of its own, which counts among the last two.
            let of_results = |snapshot: &BTreeMap<String, Vec<u8>>| {
                let mut snapshot = snapshot.clone();
                snapshot.retain(|name, _| !in_order || !name.contains("checkpoints/step-"));
                snapshot
            };
            let difference = Arena::difference(&of_results(whole), &of_results(&arena.snapshot(result)));
            if let Some(difference) = difference {
                return tally.fail(name, format!("{result} is another after {killed} kills: {difference}"));
            }
        }
        tally.count(name, if killed > 0 { "killed, same result" } else { "through before the kill" });
    }
}
