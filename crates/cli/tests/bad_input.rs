//! Bad configurations, bad data, bad usage: each ends with the documented exit code and a message that says what is
//! wrong, where, and what to do; none panics, none leaves a file behind.

#![allow(clippy::unwrap_used)]

use crate::common::{CONFIG, Folder, log};

/// Bad usage or configuration.
const USAGE: i32 = 2;
/// Bad data.
const DATA: i32 = 3;

/// A mistake, made in a folder with a good log and configuration.
struct BadInput {
    name: &'static str,
    make: fn(&Folder),
    code: i32,
    /// All of them must stand in the message.
    says: &'static [&'static str],
}

fn case(name: &'static str, code: i32, says: &'static [&'static str], make: fn(&Folder)) -> BadInput {
    BadInput { name, make, code, says }
}

/// Runs `args` in every case's folder.
fn check(args: &[&str], cases: &[BadInput]) {
    let mut wrong = Vec::new();
    for case in cases {
        let folder = Folder::with_log();
        (case.make)(&folder);
        let before = folder.listing();
        let ran = folder.run(args);
        let mut complain = |what: String| wrong.push(format!("{}: {what}\n{}", case.name, ran.stderr));
        if ran.code != Some(case.code) {
            complain(format!("exit code {:?} instead of {}", ran.code, case.code));
        }
        for says in case.says {
            if !ran.stderr.contains(says) {
                complain(format!("does not say {says:?}"));
            }
        }
        if ran.stderr.contains("panicked") || !ran.stderr.lines().any(|line| line.starts_with("error: ")) {
            complain("is not an error message".to_owned());
        }
        if !ran.stdout.is_empty() {
            complain(format!("prints to standard output: {}", ran.stdout));
        }
        if folder.listing() != before {
            complain(format!("leaves files behind: {:?}", folder.listing()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

const TRAIN: &[&str] = &["train", "config.toml", "--out", "run"];

#[test]
fn configuration() {
    check(
        TRAIN,
        &[
            case(
                "unknown key",
                USAGE,
                &["config.toml:37:1: unknown key `batchsize` in train", "`batch_size`?", "batchsize = 32"],
                |f| {
                    f.replace("config.toml", "batch_size", "batchsize");
                },
            ),
            case("unknown table", USAGE, &["config.toml:35:2: unknown key `training`", "`train`?"], |f| {
                f.replace("config.toml", "[train]", "[training]");
            }),
            case(
                "unknown key of the model",
                USAGE,
                &["config.toml:33:1: unknown key `towers` in model", "`tower`?"],
                |f| {
                    f.replace("config.toml", "tower =", "towers =");
                },
            ),
            case(
                "unknown key in an array of tables",
                USAGE,
                &["config.toml:31:45: unknown key `width` in model.levels.1", "`widths`?"],
                |f| {
                    f.replace("config.toml", "widths = [8] },\n]", "width = [8] },\n]");
                },
            ),
            case("unknown structure", USAGE, &["config.toml:28:8: model.kind", "\"pel\"", "ple"], |f| {
                f.replace("config.toml", "kind = \"ple\"", "kind = \"pel\"");
            }),
            case("wrong type", USAGE, &["config.toml:36:10: train.epochs: expected a whole number", "\"many\""], |f| {
                f.replace("config.toml", "epochs = 3", "epochs = \"many\"");
            }),
            case("zero epochs", USAGE, &["config.toml:36:10: train.epochs: must be at least 1"], |f| {
                f.replace("config.toml", "epochs = 3", "epochs = 0");
            }),
            case("key given twice", USAGE, &["config.toml:37:1: not valid TOML: duplicate key"], |f| {
                f.replace("config.toml", "epochs = 3", "epochs = 3\nepochs = 4");
            }),
            case("missing key", USAGE, &["config.toml:21:1: missing key `label` in task.1"], |f| {
                f.replace("config.toml", "label = { column = \"spend\" }\n", "");
            }),
            case("layer without units", USAGE, &["config.toml:30:54: model.levels.0.widths: ", "found [0]"], |f| {
                f.replace("config.toml", "[8]", "[0]");
            }),
            case("dropout of everything", USAGE, &["config.toml:34:11: model.dropout: ", "below 1, not 1"], |f| {
                f.replace("config.toml", "tower = [4]", "tower = [4]\ndropout = 1.0");
            }),
            case("negative learning rate", USAGE, &["config.toml:38:46: train.optimizer.learning_rate", "-1"], |f| {
                f.replace("config.toml", "1e-2", "-1.0");
            }),
            case(
                "misspelt column",
                USAGE,
                &["config.toml:7:19: ", "train.csv has no column \"vists\"", "did you mean \"visits\"?"],
                |f| {
                    f.replace("config.toml", "\"visits\"", "\"vists\"");
                },
            ),
            case("misspelt label column", USAGE, &["config.toml:24:20: ", "no column \"spent\"", "\"spend\"?"], |f| {
                f.replace("config.toml", "\"spend\" }", "\"spent\" }");
            }),
            case("two features of one column", USAGE, &["config.toml:12:", "\"age\"", "already a feature"], |f| {
                f.replace("config.toml", "[\"city\"]", "[\"city\", \"age\"]");
            }),
            case("two tasks of one name", USAGE, &["config.toml:22:8: task.1.name", "already the name"], |f| {
                f.replace("config.toml", "name = \"spend\"", "name = \"buy\"");
            }),
            case("label among the features", USAGE, &["column \"buy\" is also a feature", "remove it"], |f| {
                f.replace("config.toml", "[\"city\"]", "[\"city\", \"buy\"]");
            }),
            case("no task", USAGE, &["config.toml: there is no [[task]] block"], |f| {
                let (a, b) = (CONFIG.find("[[task]]").unwrap(), CONFIG.find("[model]").unwrap());
                f.write("config.toml", format!("{}{}", &CONFIG[..a], &CONFIG[b..]));
            }),
            case("no feature", USAGE, &["config.toml: there is no [[feature]] block"], |f| {
                let (a, b) = (CONFIG.find("[[feature]]").unwrap(), CONFIG.find("[[task]]").unwrap());
                f.write("config.toml", format!("{}{}", &CONFIG[..a], &CONFIG[b..]));
            }),
            case("no model", USAGE, &["config.toml: there is no [model]"], |f| {
                let (a, b) = (CONFIG.find("[model]").unwrap(), CONFIG.find("[train]").unwrap());
                f.write("config.toml", format!("{}{}", &CONFIG[..a], &CONFIG[b..]));
            }),
            case("zero experts", USAGE, &["config.toml:30:22: model.levels.0.task_experts: must be at least 1"], |f| {
                f.replace(
                    "config.toml",
                    "task_experts = 1, shared_experts = 1",
                    "task_experts = 0, shared_experts = 0",
                );
            }),
            case("tower layer without units", USAGE, &["config.toml:33:9: model.tower: ", "at least 1 unit"], |f| {
                f.replace("config.toml", "tower = [4]", "tower = [0]")
            }),
            case(
                "experts for an unknown task",
                USAGE,
                &["config.toml:", "unknown task \"by\"", "there are: buy, spend"],
                |f| {
                    f.replace("config.toml", "task_experts = 1", "task_experts = { by = 1, spend = 1 }");
                },
            ),
            case("unknown metric", USAGE, &["config.toml:39:43: train.early_stopping.metric", "\"accuracy\""], |f| {
                f.replace("config.toml", "patience = 5", "patience = 5, metric = \"buy.accuracy\"");
            }),
            case("metric of another kind of task", USAGE, &["task \"spend\" has no metric \"auc\"", "mse"], |f| {
                f.replace("config.toml", "patience = 5", "patience = 5, metric = \"spend.auc\"");
            }),
            case("fraction above one", USAGE, &["config.toml:3:22: data.valid.fraction"], |f| {
                f.replace("config.toml", "valid = \"valid.csv\"", "valid = { fraction = 1.5 }");
            }),
            case(
                "format that no ending tells",
                USAGE,
                &["cannot tell the format of", "log.dat", "set format = "],
                |f| {
                    f.replace("config.toml", "train.csv", "log.dat");
                    f.write("log.dat", "x");
                },
            ),
            case("not TOML", USAGE, &["config.toml:1:", "not valid TOML"], |f| f.write("config.toml", "data = {")),
            case("not text", USAGE, &["config.toml", "UTF-8"], |f| f.write("config.toml", [0xff, 0xfe, 0x00])),
            case("empty configuration", USAGE, &["config.toml: there is no [data]"], |f| f.write("config.toml", "")),
            case("no configuration", USAGE, &["config.toml: cannot read the configuration"], |f| {
                std::fs::remove_file(f.join("config.toml")).unwrap();
            }),
        ],
    );
}

#[test]
fn data() {
    /// Replaces the first data row of `train.csv`.
    fn first_row(folder: &Folder, row: &str) {
        let text = folder.text("train.csv");
        let mut lines: Vec<&str> = text.lines().collect();
        lines[1] = row;
        folder.write("train.csv", lines.join("\n") + "\n");
    }
    check(
        TRAIN,
        &[
            case("missing file", DATA, &["train.csv", "No such file"], |f| {
                std::fs::remove_file(f.join("train.csv")).unwrap();
            }),
            case("missing test file", DATA, &["test.csv", "No such file"], |f| {
                std::fs::remove_file(f.join("test.csv")).unwrap();
            }),
            case("glob without a match", DATA, &["no file matches", "logs/*.csv"], |f| {
                f.replace("config.toml", "train.csv", "logs/*.csv");
            }),
            case("a folder", DATA, &["holds no data file: it is empty"], |f| {
                f.replace("config.toml", "train.csv", "sub.csv");
                std::fs::create_dir(f.join("sub.csv")).unwrap();
            }),
            case("empty file", DATA, &["train.csv is empty"], |f| f.write("train.csv", "")),
            case("header only", DATA, &["no training row"], |f| f.write("train.csv", "age,visits,city,buy,spend\n")),
            case("header only, validation", DATA, &["no validation row"], |f| {
                f.write("valid.csv", "age,visits,city,buy,spend\n")
            }),
            case("ragged row", DATA, &["train.csv, line 2 (row 1)", "3 fields where 5 are expected"], |f| {
                first_row(f, "30,2,Oslo")
            }),
            case(
                "text in a number",
                DATA,
                &["train.csv, line 2 (row 1), column \"age\": \"old\" is not a number"],
                |f| {
                    first_row(f, "old,2,Oslo,0,");
                },
            ),
            case("NaN", DATA, &["line 2", "\"age\"", "NaN", "is a missing value; set `missing`"], |f| {
                first_row(f, "NaN,2,Oslo,0,")
            }),
            case("infinite", DATA, &["line 2", "\"visits\"", "inf", "not finite"], |f| first_row(f, "30,inf,Oslo,0,")),
            case("beyond f32", DATA, &["line 2", "\"age\"", "1e300"], |f| first_row(f, "1e300,2,Oslo,0,")),
            case("missing number", DATA, &["line 2", "\"age\"", "missing", "\"mean\""], |f| first_row(f, ",2,Oslo,0,")),
            case("label outside of 0/1", DATA, &["line 2", "\"buy\"", "\"2\"", "not a label of a binary task"], |f| {
                first_row(f, "30,2,Oslo,2,");
            }),
            case("infinite label", DATA, &["line 2", "\"spend\"", "not finite"], |f| first_row(f, "30,2,Oslo,1,inf")),
            case("id out of range", DATA, &["\"visits\"", "out of range", "ids from 0 to 2"], |f| {
                f.replace("config.toml", "[\"age\", \"visits\"]", "[\"age\"]");
                f.replace("config.toml", "[\"city\"]", "[\"visits\"]");
                f.replace("config.toml", "embedding = 4", "embedding = 4\nencoding = { ids = 3 }");
            }),
            case("two columns of one name", DATA, &["two columns named \"age\""], |f| {
                f.replace("train.csv", "age,visits", "age,age");
            }),
            case("not UTF-8", DATA, &["train.csv", "UTF-8"], |f| {
                let mut bytes = f.read("train.csv");
                bytes.extend_from_slice(b"30,2,\xff\xfe,0,\n");
                f.write("train.csv", bytes);
            }),
            case("truncated gzip", DATA, &["train.csv.gz"], |f| {
                use std::io::Write;
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(log(400, 1).as_bytes()).unwrap();
                let bytes = encoder.finish().unwrap();
                f.write("train.csv.gz", &bytes[..bytes.len() / 2]);
                f.replace("config.toml", "train.csv", "train.csv.gz");
            }),
            case("text that is no gzip", DATA, &["train.csv.gz"], |f| {
                f.write("train.csv.gz", log(400, 1));
                f.replace("config.toml", "train.csv", "train.csv.gz");
            }),
            case("text that is no Parquet", DATA, &["train.parquet"], |f| {
                f.write("train.parquet", log(400, 1));
                f.replace("config.toml", "train.csv", "train.parquet");
            }),
            case("truncated Parquet", DATA, &["train.parquet"], |f| {
                f.ok(&["synth", "paper", "--dimension", "4", "--rows", "5000", "--out", "train.parquet"]);
                let bytes = f.read("train.parquet");
                f.write("train.parquet", &bytes[..bytes.len() / 2]);
                f.replace("config.toml", "train.csv", "train.parquet");
            }),
            case("text that is no Arrow file", DATA, &["train.arrow"], |f| {
                f.write("train.arrow", log(400, 1));
                f.replace("config.toml", "train.csv", "train.arrow");
            }),
            case(
                "no row in a task's sample space",
                DATA,
                &["task \"spend\"", "no training row is in its sample space"],
                |f| {
                    f.replace("config.toml", "equals = 1", "equals = 5");
                },
            ),
            case("no positive label", DATA, &["task \"buy\"", "no training row has its positive label"], |f| {
                f.replace(
                    "config.toml",
                    "label = { column = \"buy\" }",
                    "label = { column = \"buy\", positive = \"yes\" }",
                );
            }),
            case(
                "metric that validation rows cannot give",
                DATA,
                &["buy.auc is not defined on the validation rows", "is 0 in all"],
                |f| {
                    f.write("valid.csv", "age,visits,city,buy,spend\n30,2,Oslo,0,\n40,3,Lima,0,\n");
                    f.replace("config.toml", "patience = 5", "patience = 5, metric = \"buy.auc\"");
                },
            ),
        ],
    );
}

#[test]
fn usage() {
    for (args, code, says) in [
        (&["train", "config.toml"][..], USAGE, "--out"),
        (&["tarin", "config.toml"], USAGE, "tip: a similar subcommand exists: 'train'"),
        (&["train", "config.toml", "--out", "run", "--threads", "0"], USAGE, "from 1 to 1024"),
        (
            &["train", "config.toml", "--out", "run", "--set", "train.epoch=3"],
            USAGE,
            "--set train.epoch=3: unknown key `epoch` in train; did you mean `epochs`?",
        ),
        (&["train", "config.toml", "--out", "run", "--set", "train"], USAGE, "expected KEY=VALUE"),
        (
            &["train", "config.toml", "--out", "run", "--model", "PLE"],
            USAGE,
            "--model \"PLE\" is none of [[compare.model]]",
        ),
        (&["train", "config.toml", "--out", "."], USAGE, "exists and is not empty"),
        (&["train", "config.toml", "--out", "config.toml"], USAGE, "config.toml is, or lies below, a file"),
        (&["train", "config.toml", "--out", "config.toml/run"], USAGE, "config.toml/run is, or lies below, a file"),
        (&["synth", "video", "--rows", "0", "--out", "v.csv"], USAGE, "--rows 0: a log has 1 to 1099511627776 rows"),
        (&["synth", "paper", "--rows", "18446744073709551615", "--out", "v.csv"], USAGE, "--rows 18446744073709551615"),
        (&["quickstart", "--rows", "999", "--out", "q"], USAGE, "--rows 999: the log has 1000 to 100000000 rows"),
        (
            &["quickstart", "--rows", "18446744073709551615", "--out", "q"],
            USAGE,
            "--rows 18446744073709551615: the log",
        ),
        (&["synth", "paper", "--correlation", "2", "--out", "v.csv"], USAGE, "between -1 and 1"),
        (&["synth", "paper", "--out", "v.xlsx"], USAGE, ".parquet"),
        (
            &["synth", "paper", "--rows", "10", "--out", "no/such/v.csv"],
            1,
            "no/such/v.csv: cannot write to the folder no/such: it does not exist\n",
        ),
    ] {
        let folder = Folder::with_log();
        let before = folder.listing();
        let ran = folder.run(args);
        assert_eq!(ran.code, Some(code), "{args:?}\n{}", ran.stderr);
        assert!(ran.stderr.contains(says), "{args:?} does not say {says:?}\n{}", ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{args:?}\n{}", ran.stderr);
        assert_eq!(folder.listing(), before, "{args:?} leaves files behind");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_unwritable_place_is_found_out_before_the_log_is_read() {
    let folder = Folder::with_log();
    let ran = folder.run(&["train", "config.toml", "--out", "/proc/pleiad/run"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.starts_with("error: /proc/pleiad/run: cannot write to the folder /proc: "), "{}", ran.stderr);
}
