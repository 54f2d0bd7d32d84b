//! Standard error: it may be lost, it may be asked to be silent, and programs may read it.

#![allow(clippy::unwrap_used)]

mod common;

use std::process::{Command, Stdio};

use common::{COMPARE, Folder, Ran};
use serde_json::{Value, json};

const TRAIN: &[&str] = &["train", "config.toml", "--out", "run"];

fn folder() -> Folder {
    let folder = Folder::with_log();
    folder.write("config.toml", folder.text("config.toml") + COMPARE);
    folder
}

/// The lines of standard error, each of which must be a JSON object of one key.
fn objects(ran: &Ran) -> Vec<(String, Value)> {
    let object = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
        let (name, value) = value.as_object().unwrap().iter().next().unwrap();
        (name.clone(), value.clone())
    };
    ran.stderr.lines().map(object).collect()
}

fn error(ran: &Ran) -> Value {
    let (name, value) = objects(ran).pop().unwrap();
    assert_eq!(name, "error", "{}", ran.stderr);
    assert_eq!(value["code"].as_i64(), ran.code.map(i64::from), "{value}");
    value
}

#[test]
#[cfg(unix)]
fn messages_that_nobody_reads_end_nothing() {
    let folder = folder();
    let ends: [(&[&str], &str); 3] = [
        (TRAIN, "run/model/model.json"),
        (&["compare", "config.toml", "--out", "compared"], "compared/compare.json"),
        (&["evaluate", "run/model", "--data", "test.csv"], "run/model/model.json"),
    ];
    for (args, result) in ends {
        // The reader is gone before the first message.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = folder.command(args).stdout(Stdio::null()).stderr(writer).status().unwrap();
        assert_eq!((ended.code(), folder.join(result).exists()), (Some(0), true), "{args:?}");
    }
    // An error keeps its exit code even if its message cannot be written.
    for args in [&["train", "none.toml", "--out", "x"][..], &["train", "--what"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(folder.command(args).stderr(writer).status().unwrap().code(), Some(2), "{args:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_device_under_the_messages_ends_nothing() {
    let folder = folder();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = folder.command(TRAIN).stdout(Stdio::null()).stderr(full()).status().unwrap();
    assert_eq!((ended.code(), folder.join("run/model/model.json").exists()), (Some(0), true));
    // A result that cannot be written is another matter.
    let ran = Ran::of(folder.command(&["schema"]).stdout(full()).stderr(Stdio::piped()).output().unwrap());
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
}

#[test]
fn quiet_leaves_warnings_and_errors() {
    let folder = folder();
    let ran = folder.ok(&["train", "config.toml", "--out", "run", "--quiet"]);
    assert_eq!(ran.stderr, "");
    assert!(ran.stdout.contains("model: run/model"), "{}", ran.stdout);
    // Skipped rows are a warning.
    folder.write("bad.csv", folder.text("test.csv") + "many,1,a,1,2\n");
    folder.replace("config.toml", "[data]\n", "[data]\non_bad_row = \"skip\"\n");
    folder.ok(&["train", "config.toml", "--out", "skipping", "-q"]);
    let ran = folder.ok(&["evaluate", "skipping/model", "--data", "bad.csv", "-q"]);
    assert!(ran.stderr.starts_with("warning: 1 bad rows were skipped"), "{}", ran.stderr);
    let ran = folder.run(&["-q", "train", "none.toml", "--out", "x"]);
    assert!(ran.stderr.starts_with("error: none.toml"), "{}", ran.stderr);
}

#[test]
fn programs_read_errors_as_they_read_results() {
    let folder = folder();
    let run = |args: &[&str]| folder.run(&[args, &["--format", "json"]].concat());
    let ran = run(TRAIN);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(objects(&ran).iter().all(|(name, value)| name == "note" && value["message"].is_string()), "{}", ran.stderr);

    // A mistake in the file.
    let found = error(&run(&["train", "config.toml", "--out", "x", "--set", "train.epoch=3"]));
    assert_eq!((&found["kind"], &found["code"]), (&json!("configuration"), &json!(2)));
    assert_eq!((&found["set"], &found["key"]), (&json!("train.epoch=3"), &json!("train.epoch")));
    folder.write("wrong.toml", folder.text("config.toml").replace("epochs = 3", "epochs = 0"));
    let found = error(&run(&["train", "wrong.toml", "--out", "x"]));
    assert_eq!(found["file"], "wrong.toml");
    assert_eq!((&found["line"], &found["column"], &found["key"]), (&json!(36), &json!(10), &json!("train.epochs")));
    assert!(found["message"].as_str().unwrap().contains("must be at least 1"), "{found}");
    // Bad data.
    let rows = folder.text("train.csv").lines().count();
    folder.write("train.csv", folder.text("train.csv") + "old,1,a,1,2\n");
    let found = error(&run(&["train", "config.toml", "--out", "x"]));
    assert_eq!((&found["kind"], &found["code"]), (&json!("data"), &json!(3)));
    assert_eq!((&found["line"], &found["row"]), (&json!(rows + 1), &json!(rows)));
    assert_eq!((&found["column"], &found["value"]), (&json!("age"), &json!("old")));
    assert!(found["file"].as_str().unwrap().ends_with("train.csv"), "{found}");
    // Bad usage, which is found before anyone has read `--format`.
    let found = error(&run(&["train", "config.toml", "--outt", "x"]));
    assert_eq!(
        (&found["kind"], &found["argument"], &found["nearest"]),
        (&json!("usage"), &json!("--outt"), &json!("--out"))
    );
    let found = error(&folder.run(&["--format=json", "trian"]));
    assert_eq!((&found["command"], &found["nearest"]), (&json!("trian"), &json!("train")));
    error(&folder.run(&["--format=json"]));
    // A model that is none.
    let found = error(&run(&["evaluate", "nothing", "--data", "test.csv"]));
    assert_eq!((&found["kind"], &found["file"]), (&json!("data"), &json!("nothing")));
}

#[test]
fn warnings_are_objects_too() {
    let folder = folder();
    folder.replace("config.toml", "[data]\n", "[data]\non_bad_row = \"skip\"\n");
    folder.write("train.csv", folder.text("train.csv") + "old,1,a,1,2\n");
    let ran = folder.ok(&[TRAIN, &["--format", "json"]].concat());
    let warnings: Vec<_> = objects(&ran).into_iter().filter(|(name, _)| name == "warning").collect();
    assert!(warnings.iter().any(|(_, value)| value["message"].as_str().unwrap().contains("skipped")), "{}", ran.stderr);
}

#[test]
fn colour_is_where_it_is_wanted() {
    let folder = folder();
    let with = |variables: &[(&str, &str)]| {
        let mut command: Command = folder.command(&["train", "none.toml", "--out", "x"]);
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env("TERM", "xterm");
        command.envs(variables.iter().copied());
        Ran::of(command.output().unwrap()).stderr
    };
    assert!(with(&[]).starts_with("error: "), "none in a pipe");
    assert!(with(&[("CLICOLOR_FORCE", "1")]).starts_with("\u{1b}[1;31merror:\u{1b}[0m "), "where it is asked for");
    assert!(with(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).starts_with("error: "), "NO_COLOR is the last word");
}

/// A terminal whose columns are known and whose rows are not, as `stty cols` and recorders make them.
#[test]
#[cfg(target_os = "linux")]
fn columns_count_where_rows_are_unknown() {
    let folder = folder();
    let pleiad = assert_cmd::cargo::cargo_bin!("pleiad").display().to_string();
    let lines = |rows: u32| {
        let train = format!("stty cols 60 rows {rows}; '{pleiad}' train config.toml --out run{rows}");
        let mut script = Command::new("script");
        script.args(["-qec", &train, "/dev/null"]).env("TERM", "dumb");
        let ran = script.current_dir(folder.path()).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8(ran.stdout).unwrap();
        assert_eq!(ran.status.code(), Some(0), "{text}");
        let epochs: Vec<String> = text.lines().filter(|line| line.contains("buy auc")).map(str::to_owned).collect();
        assert_eq!(epochs.len(), 3, "{text}");
        epochs
    };
    for (known, unknown) in lines(24).iter().zip(lines(0)) {
        assert!(known.trim_end().chars().count() < 60 && unknown.trim_end().chars().count() < 60, "{known}\n{unknown}");
    }
}
