//! CSV in other dialects: separators, escapes, encodings. A configuration describes them for a model, options for commands
//! without a configuration.

#![allow(clippy::unwrap_used)]

use crate::common::Folder;

/// Bad usage or configuration.
const USAGE: i32 = 2;
/// Bad data.
const DATA: i32 = 3;

const CONFIG: &str = r#"[data]
train = "log.csv"

[[feature]]
columns = ["id"]
kind = "categorical"
encoding = { hash = 1009 }
embedding = 4

[[feature]]
columns = ["x"]
kind = "numeric"

[[task]]
name = "click"
kind = "binary"
label = { column = "click" }

[model]
kind = "cgc"
task_experts = 1
shared_experts = 1
widths = [8]
tower = [4]

[train]
epochs = 1
batch_size = 16
seed = 3
"#;

/// Texts that some dialect has to write with care.
const IDS: [&str; 7] = ["plain", "say \"hi\"", "a, b", "back\\slash", "Köln", "two\nlines", "a::b"];

/// The log, each field written by `field`.
fn log(separator: &str, field: impl Fn(&str) -> String) -> String {
    let header = ["id", "x", "click"].map(&field).join(separator) + "\n";
    let row = |row: usize| {
        let (x, click) = ((row * 7 % 10).to_string(), (row % 2).to_string());
        [IDS[row % IDS.len()], x.as_str(), click.as_str()].map(&field).join(separator) + "\n"
    };
    header + &(0..56).map(row).collect::<String>()
}

/// As RFC 4180 has it.
fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

/// As Spark and MySQL have it.
fn escaped(field: &str) -> String {
    format!("\"{}\"", field.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A folder with a model of the log.
fn trained() -> Folder {
    let folder = Folder::empty();
    folder.write("log.csv", log(",", quoted));
    folder.write("config.toml", CONFIG);
    folder.ok(&["train", "config.toml", "--out", "run"]);
    folder
}

fn predictions(folder: &Folder, data: &str, options: &[&str]) -> String {
    let mut args = vec!["predict", "run/model", "--data", data, "--out", "p.csv"];
    args.extend(options);
    folder.ok(&args);
    folder.text("p.csv")
}

#[test]
fn commands_read_any_dialect_that_they_are_told() {
    let folder = trained();
    let expected = predictions(&folder, "log.csv", &[]);
    folder.write("spark.csv", log(",", escaped));
    assert_eq!(predictions(&folder, "spark.csv", &["--csv", r"escape=\"]), expected);
    folder.write("colons.dat", log("::", quoted));
    let options = ["--csv", "separator=::", "--data-format", "csv"];
    assert_eq!(predictions(&folder, "colons.dat", &options), expected);
    folder.write("tabs.csv", log("\t", escaped));
    let options = ["--csv", r"separator=\t", "--csv", r#"escape="\\""#];
    assert_eq!(predictions(&folder, "tabs.csv", &options), expected);
    let latin1: Vec<u8> = log(",", quoted).chars().map(|char| u8::try_from(char).unwrap()).collect();
    folder.write("latin1.csv", &latin1);
    assert_eq!(predictions(&folder, "latin1.csv", &["--csv", "encoding=latin1"]), expected);
    let utf16: Vec<u8> = format!("\u{feff}{}", log(",", quoted)).encode_utf16().flat_map(u16::to_be_bytes).collect();
    folder.write("utf16.csv", &utf16);
    assert_eq!(predictions(&folder, "utf16.csv", &[]), expected);

    let evaluated = folder.ok(&["evaluate", "run/model", "--data", "log.csv"]).stdout;
    let args = ["evaluate", "run/model", "--data", "spark.csv", "--csv", r"escape=\"];
    assert_eq!(folder.ok(&args).stdout, evaluated);
    let inspected = folder.ok(&["inspect", "run/model", "--data", "log.csv"]).stdout;
    let args = ["inspect", "run/model", "--data", "latin1.csv", "--csv", "encoding=latin1"];
    assert_eq!(folder.ok(&args).stdout, inspected);
}

#[test]
fn a_model_remembers_how_its_files_are_written() {
    let folder = Folder::empty();
    folder.write("config.toml", CONFIG.replace("log.csv", "log.dat"));
    folder.write("log.dat", log("::", escaped));
    let sets = ["data.format=csv", "data.csv.separator=::", r"data.csv.escape=\"];
    let mut args = vec!["train", "config.toml", "--out", "run"];
    sets.iter().for_each(|set| args.extend(["--set", set]));
    folder.ok(&args);
    let expected = predictions(&folder, "log.dat", &[]);
    folder.write("plain.csv", log(",", quoted));
    assert_eq!(predictions(&folder, "plain.csv", &["--csv", "separator=,", "--csv", "escape="]), expected);
}

#[test]
fn text_behind_a_closing_quote_is_never_another_text() {
    let folder = trained();
    for (row, column) in [(r#""say \"hi\"",1,0"#, "id"), (r#"a,"1"0,0"#, "x"), (r#"a,1,"0" "#, "click")] {
        folder.write("bad.csv", format!("id,x,click\nb,1,1\n{row}\nc,2,0\n"));
        let ran = folder.run(&["predict", "run/model", "--data", "bad.csv", "--out", "q.csv"]);
        assert_eq!(ran.code, Some(DATA), "{}", ran.stderr);
        let place = format!("bad.csv, line 3 (row 2), column \"{column}\": ");
        let also = if column == "click" { "--csv trim=true" } else { "--csv quote=" };
        for says in [&place, "goes on behind its closing quote", r"--csv escape='\'", also] {
            assert!(ran.stderr.contains(says), "no {says:?} in {}", ran.stderr);
        }
        assert!(!ran.stderr.contains("[data") && !folder.join("q.csv").exists(), "{}", ran.stderr);
        let train = ["train", "config.toml", "--out", "skipping", "--set", "data.train=bad.csv"];
        let ran = folder.run(&train);
        assert_eq!(ran.code, Some(DATA), "{}", ran.stderr);
        assert!(ran.stderr.contains(r#"set escape = "\\" in [data.csv]"#), "{}", ran.stderr);
        folder.ok(&[&train[..], &["--set", "data.on_bad_row=skip"]].concat());
        assert_eq!(folder.json("skipping/metrics.json")["rows"]["train"]["rows"], 2);
        std::fs::remove_dir_all(folder.join("skipping")).unwrap();
    }
    // Escapes that change the number of fields.
    folder.write("bad.csv", "id,x,click\n\"a\\\", b\",1,0\n");
    let ran = folder.run(&["predict", "run/model", "--data", "bad.csv", "--out", "q.csv"]);
    assert!(ran.stderr.contains("4 fields where 3 are expected") && ran.stderr.contains("escape"), "{}", ran.stderr);
    // A quote that is never closed loses rows, which cannot be skipped.
    folder.write("bad.csv", "id,x,click\na,1,0\n\"b,1,0\nc,2,1\n");
    let args = ["train", "config.toml", "--out", "r", "--set", "data.train=bad.csv", "--set", "data.on_bad_row=skip"];
    let ran = folder.run(&args);
    assert_eq!(ran.code, Some(DATA));
    assert!(
        ran.stderr.contains("line 3 (row 2), column \"id\"") && ran.stderr.contains("never closed"),
        "{}",
        ran.stderr
    );
}

#[test]
fn options_that_cannot_be_meant_are_told() {
    let folder = trained();
    let predict = |options: &[&str]| {
        let args = ["predict", "run/model", "--data", "log.csv", "--out", "q.csv"];
        let ran = folder.run(&[&args[..], options].concat());
        assert_eq!(ran.code, Some(USAGE), "{}", ran.stderr);
        assert!(!folder.join("q.csv").exists());
        ran.stderr
    };
    assert!(predict(&["--csv", "seperator=;"]).contains("unknown key `seperator`; did you mean `separator`?"));
    assert!(predict(&["--csv", "encoding=gb18300"]).contains("did you mean \"gb18030\"?"));
    assert!(predict(&["--csv", "quote=--"]).contains("--csv quote=\"--\": "));
    assert!(predict(&["--csv", "trim"]).contains("expected KEY=VALUE"));
    assert!(predict(&["--format", "csv"]).contains("--data-format"));
    assert!(predict(&["--data-format", "xlsx"]).contains("parquet"));
    let ran = folder.run(&["inspect", "run/model", "--csv", "separator=;"]);
    assert_eq!(ran.code, Some(USAGE));
    assert!(ran.stderr.contains("--data"), "{}", ran.stderr);
    let ran = folder.run(&["train", "config.toml", "--out", "r", "--set", "data.csv.encoding=gb18300"]);
    assert_eq!(ran.code, Some(USAGE));
    assert!(ran.stderr.contains("did you mean \"gb18030\"?"), "{}", ran.stderr);
}

#[test]
fn advice_is_of_use_where_it_is_given() {
    let folder = trained();
    folder.write("latin1.csv", b"id,x,click\nK\xf6ln,1,0\n");
    folder.write("na.csv", "id,x,click\na,NA,0\n");
    folder.write("semicolon.csv", "id;x;click\na;1;0\n");
    folder.write("log.data", "id,x,click\na,1,0\n");
    for (file, train, predict) in [
        ("latin1.csv", r#"set encoding = "latin1" in [data.csv]"#, vec!["--csv", "encoding=latin1"]),
        ("na.csv", "add it to `null` in [data.csv]", vec!["--csv", r#"null=["", "NA"]"#]),
        ("semicolon.csv", r#"set separator = ";" in [data.csv]"#, vec!["--csv", "separator=;"]),
        ("log.data", r#"set format = "csv" in [data]"#, vec!["--data-format", "csv"]),
    ] {
        let ran = folder.run(&["train", "config.toml", "--out", "r", "--set", &format!("data.train={file}")]);
        assert!(ran.code == Some(DATA) || ran.code == Some(USAGE), "{}", ran.stderr);
        assert!(ran.stderr.contains(file) && ran.stderr.contains(train), "{}", ran.stderr);
        let args = ["predict", "run/model", "--data", file, "--out", "q.csv"];
        let ran = folder.run(&args);
        assert!(ran.stderr.contains(file) && !ran.stderr.contains("[data"), "{}", ran.stderr);
        let advice = ran.stderr.replace('\'', "");
        assert!(advice.contains(&predict.join(" ")), "no {predict:?} in {advice}");
        let ran = folder.run(&[&args[..], &predict].concat());
        // What is missing then is another matter.
        assert!(ran.code == Some(0) || ran.stderr.contains("a value is missing"), "{}", ran.stderr);
    }
}

#[test]
fn no_row_at_all_is_told_with_files_and_what_was_left_out() {
    let folder = Folder::empty();
    folder.write("config.toml", CONFIG.replace("\"log.csv\"", "\"log.csv\"\non_bad_row = \"skip\""));
    folder.write("log.csv", "id,x,click\na,b,0\nc,d,1\n");
    let ran = folder.run(&["train", "config.toml", "--out", "run"]);
    assert_eq!(ran.code, Some(DATA));
    let says = "there is no training row in ./log.csv: 2 bad rows were skipped, the first: ";
    assert!(ran.stderr.replace("in log.csv", "in ./log.csv").contains(says), "{}", ran.stderr);
}

#[cfg(unix)]
#[test]
fn standard_input_has_the_format_of_the_model_or_is_csv() {
    use std::io::Write;
    use std::process::Stdio;

    let folder = trained();
    let expected = predictions(&folder, "log.csv", &[]);
    let args = ["predict", "run/model", "--data", "/dev/stdin", "--out", "q.csv"];
    let mut child = folder.command(&args).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&folder.read("log.csv")).unwrap();
    let ran = child.wait_with_output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(folder.text("q.csv"), expected);
}
