//! Two processes that want the same folder, one of them stopped for a while at any moment.

use std::time::{Duration, Instant};

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;

use crate::arena::{Arena, Ran, Running};
use crate::tally::Tally;

/// Two commands, and what must hold of their ends.
pub(crate) struct Pair {
    name: &'static str,
    arena: Arena,
    commands: [Vec<&'static str>; 2],
    /// Removed before each attempt.
    written: Vec<&'static str>,
    /// Runs before each attempt, and is killed in its middle.
    before: Option<Vec<&'static str>>,
    /// What is wrong with how both ended.
    judge: Judge,
    takes: Duration,
}

type Judge = Box<dyn Fn(&Arena, &Ran, &Ran) -> Result<&'static str, String>>;

const TRAIN: [&str; 4] = ["train", "config.toml", "--out", "run"];

/// Fresh runs, resumed ones, comparisons, runs inside of a comparison, one cache, one file.
pub(crate) fn all() -> Vec<Pair> {
    vec![fresh(), resumed(), compared(), cached(), predicted()]
}

/// Whether one was through and the other was refused, or came when all was over.
fn one_wins(a: &Ran, b: &Ran) -> Result<(), String> {
    match (a.is(0), b.is(0)) {
        (true, true) => Err("both say that they are through".to_owned()),
        (false, false) => Err(format!("neither is through: {}; {}", a.story(), b.story())),
        (true, false) if b.is(2) => Ok(()),
        (false, true) if a.is(2) => Ok(()),
        _ => Err(format!("refused with another code: {}; {}", a.story(), b.story())),
    }
}

/// The weights of a run, to the bit.
fn weights(arena: &Arena, run: &str) -> Vec<u8> {
    std::fs::read(arena.path(run).join("model/weights.safetensors")).unwrap_or_default()
}

fn seed_of(arena: &Arena, file: &str, at: &str) -> Option<u64> {
    let bytes = std::fs::read(arena.path(file)).ok()?;
    serde_json::from_slice::<serde_json::Value>(&bytes).ok()?.pointer(at)?.as_u64()
}

fn fresh() -> Pair {
    let arena = Arena::new(2000);
    let seeded = |seed| [&TRAIN[..], &["--set", seed]].concat();
    let commands = [seeded("train.seed=1"), seeded("train.seed=2")];
    let mut alone = Vec::new();
    let mut takes = Duration::ZERO;
    for command in &commands {
        let begin = Instant::now();
        arena.ok(command);
        takes = begin.elapsed();
        alone.push(weights(&arena, "run"));
        arena.remove("run");
    }
    let judge: Judge = Box::new(move |arena, a, b| {
        one_wins(a, b)?;
        let winner = if a.is(0) { 1 } else { 2 };
        let told = seed_of(arena, "run/metrics.json", "/seed");
        let model = seed_of(arena, "run/model/model.json", "/provenance/seed");
        if (told, model) != (Some(winner), Some(winner)) {
            return Err(format!("seed {winner} was through, metrics have {told:?}, the model has {model:?}"));
        }
        if weights(arena, "run") != alone[winner as usize - 1] {
            return Err(format!("the model is not that of seed {winner}"));
        }
        Ok("one was refused")
    });
    Pair { name: "fresh runs", arena, commands, written: vec!["run"], before: None, judge, takes }
}

fn resumed() -> Pair {
    let arena = Arena::new(2000);
    let with = ["--set", "train.checkpoint.every_steps=5"];
    let first = [&TRAIN[..], &with].concat();
    let again = [&first[..], &["--resume"]].concat();
    let begin = Instant::now();
    arena.ok(&first);
    let takes = begin.elapsed();
    let whole = arena.snapshot("run");
    let judge: Judge = Box::new(move |arena, a, b| {
        // A process that starts after the run is complete says so and ends with 0.
        if !(a.is(0) && b.is(0)) {
            one_wins(a, b)?;
        }
        match Arena::difference(&whole, &arena.snapshot("run")) {
            Some(difference) => Err(difference),
            None => Ok(if a.is(0) && b.is(0) { "one after the other" } else { "one was refused" }),
        }
    });
    let commands = [again.clone(), again];
    Pair { name: "resumed runs", arena, commands, written: vec!["run"], before: Some(first), judge, takes }
}

fn compared() -> Pair {
    let arena = Arena::new(500);
    let compare = vec!["compare", "config.toml", "--out", "compared"];
    let begin = Instant::now();
    arena.ok(&compare);
    let takes = begin.elapsed();
    let whole = arena.snapshot("compared");
    let judge: Judge = Box::new(move |arena, a, b| {
        if !(a.is(0) && b.is(0)) {
            one_wins(a, b)?;
        }
        match Arena::difference(&whole, &arena.snapshot("compared")) {
            Some(difference) => Err(difference),
            None => Ok(if a.is(0) && b.is(0) { "one after the other" } else { "one was refused" }),
        }
    });
    let commands = [compare.clone(), compare];
    Pair { name: "comparisons", arena, commands, written: vec!["compared"], before: None, judge, takes }
}

fn cached() -> Pair {
    let arena = Arena::new(3000);
    let with = |out| vec!["train", "config.toml", "--out", out, "--set", "data.cache=kept", "--set", "train.epochs=1"];
    let begin = Instant::now();
    arena.ok(&with("a"));
    let takes = begin.elapsed();
    let alone = weights(&arena, "a");
    let kept = arena.snapshot("kept");
    let judge: Judge = Box::new(move |arena, a, b| {
        for (ran, run) in [(a, "a"), (b, "b")] {
            if !(ran.is(0) || ran.is(2)) {
                return Err(ran.story());
            }
            if ran.is(0) && weights(arena, run) != alone {
                return Err(format!("run {run} has another model"));
            }
        }
        match Arena::difference(&kept, &arena.snapshot("kept")) {
            Some(difference) => Err(difference),
            None if a.is(2) && b.is(2) => Err("both were refused".to_owned()),
            None => Ok(if a.is(0) && b.is(0) { "both through" } else { "one was refused" }),
        }
    });
    Pair {
        name: "one cache",
        arena,
        commands: [with("a"), with("b")],
        written: vec!["a", "b", "kept"],
        before: None,
        judge,
        takes,
    }
}

fn predicted() -> Pair {
    let arena = Arena::new(500);
    for (run, seed) in [("a", "train.seed=1"), ("b", "train.seed=2")] {
        arena.ok(&["train", "config.toml", "--out", run, "--set", "train.epochs=1", "--set", seed]);
    }
    arena.ok(&["synth", "video", "--rows", "10000", "--out", "many.csv"]);
    let with = |model, out| vec!["predict", model, "--data", "many.csv", "--out", out];
    let mut alone = Vec::new();
    let mut takes = Duration::ZERO;
    for model in ["a/model", "b/model"] {
        let begin = Instant::now();
        arena.ok(&with(model, "scores.csv"));
        takes = begin.elapsed();
        alone.push(std::fs::read(arena.path("scores.csv")).unwrap_or_default());
    }
    let names = arena.snapshot("");
    let judge: Judge = Box::new(move |arena, a, b| {
        if !(a.is(0) && b.is(0)) && one_wins(a, b).is_err() {
            return Err(format!("{}; {}", a.story(), b.story()));
        }
        let scores = std::fs::read(arena.path("scores.csv")).unwrap_or_default();
        if !alone.contains(&scores) {
            return Err("the file is of neither model".to_owned());
        }
        match Arena::difference(&names, &arena.snapshot("")) {
            Some(difference) => Err(difference),
            None => Ok("the file is of one of them"),
        }
    });
    Pair {
        name: "one file",
        arena,
        commands: [with("a/model", "scores.csv"), with("b/model", "scores.csv")],
        written: vec!["scores.csv"],
        before: None,
        judge,
        takes,
    }
}

impl Pair {
    /// Starts both, one a little after the other; stops and continues one of them on the way.
    pub(crate) fn attempt(&mut self, rng: &mut ChaCha8Rng, tally: &mut Tally) {
        let Self { name, arena, commands, written, before, judge, takes } = self;
        written.iter().for_each(|name| arena.remove(name));
        if let Some(before) = before {
            let running = arena.spawn(before);
            std::thread::sleep(takes.mul_f64(rng.random_range(0.3..0.9)));
            running.signal(Signal::KILL);
            running.wait(Duration::from_secs(60));
        }
        let mut first = arena.spawn(&commands[0]);
        let pause = |rng: &mut ChaCha8Rng, upto: f64| {
            std::thread::sleep(takes.mul_f64(rng.random_range(0.0..upto)));
        };
        pause(rng, 0.6);
        let stopped = rng.random_bool(0.7);
        if stopped {
            first.signal(Signal::STOP);
        }
        let second = arena.spawn(&commands[1]);
        let (a, b) = if stopped {
            // The second has the field to itself, until it is through or for a while.
            let second = wait_a_while(second, takes.mul_f64(rng.random_range(0.2..3.0)));
            first.signal(Signal::CONT);
            (first.wait(Duration::from_secs(60)), second.wait(Duration::from_secs(60)))
        } else {
            let _ = first.is_over();
            (first.wait(Duration::from_secs(60)), second.wait(Duration::from_secs(60)))
        };
        match judge(arena, &a, &b) {
            Ok(outcome) => tally.count(name, outcome),
            Err(problem) => tally.fail(name, format!("stopped {stopped}: {problem}")),
        }
    }
}

fn wait_a_while(mut running: Running, limit: Duration) -> Running {
    let begin = Instant::now();
    while !running.is_over() && begin.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(5));
    }
    running
}
