//! Files as they lie about: folders, hidden names, partitions, odd names, other forms, parts that lack a column, pipes.

#![allow(clippy::unwrap_used)]

use crate::common::{Folder, log};

const USAGE: i32 = 2;
const DATA: i32 = 3;

/// One epoch, and no files but the training rows.
const CONFIG: &str = r#"
data = { train = "log/*.csv" }
feature = [{ columns = ["age"], kind = "numeric" }, { columns = ["city"], kind = "categorical", embedding = 2 }]
task = [{ name = "buy", kind = "binary", label = { column = "buy" } }]
model = { kind = "hard-sharing", bottom = [2], tower = [2] }
train = { epochs = 1, batch_size = 32, optimizer = { kind = "adam", learning_rate = 1e-2 } }
"#;

fn folder() -> Folder {
    let folder = Folder::empty();
    folder.write("config.toml", CONFIG);
    folder.write("rows.csv", log(100, 1));
    folder
}

fn put(folder: &Folder, name: &str, content: impl AsRef<[u8]>) {
    std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
    folder.write(name, content);
}

/// Training rows of a run of these files.
fn rows(folder: &Folder, train: &str) -> u64 {
    let _ = std::fs::remove_dir_all(folder.join("run"));
    folder.ok(&["train", "config.toml", "--out", "run", "--set", &format!("data.train={train:?}")]);
    folder.json("run/metrics.json")["rows"]["train"]["rows"].as_u64().unwrap()
}

/// What a training that must fail says.
#[track_caller]
fn refused(folder: &Folder, code: i32, more: &[&str]) -> String {
    let ran = folder.run(&[&["train", "config.toml", "--out", "refused"], more].concat());
    assert_eq!(ran.code, Some(code), "{}", ran.stderr);
    assert!(!folder.join("refused/model").exists());
    ran.stderr
}

#[test]
fn hidden_files_are_no_data_and_folders_are_read() {
    let folder = folder();
    for name in ["log/a.csv", "log/deep/b.csv"] {
        put(&folder, name, log(50, 2));
    }
    for name in ["log/.a.csv", "log/._b.csv", "log/_c.csv", "log/_SUCCESS", "log/.tmp/c.csv", "log/notes.md"] {
        put(&folder, name, "rubbish");
    }
    assert_eq!(rows(&folder, "log/*.csv"), 50);
    assert_eq!(rows(&folder, "log"), 100);
    assert_eq!(rows(&folder, "log/**/*.csv"), 100);
    folder.ok(&["predict", "run/model", "--data", "log", "--out", "p.csv"]);
    assert_eq!(folder.text("p.csv").lines().count(), 101);
    put(&folder, "none/_SUCCESS", "");
    let says = refused(&folder, DATA, &["--set", "data.train=\"none\""]);
    assert!(says.contains("the folder") && says.contains("holds no data file: _SUCCESS"), "{says}");
    let says = refused(&folder, DATA, &["--set", "data.train=\"none/*\""]);
    assert!(says.contains("no file matches") && says.contains("_SUCCESS"), "{says}");
}

#[test]
fn a_folders_own_name_is_no_pattern() {
    let folder = folder();
    for name in ["folder [with brackets]", "a?b *c{d}"] {
        put(&folder, &format!("{name}/log/a.csv"), log(60, 2));
        put(&folder, &format!("{name}/config.toml"), CONFIG);
        let _ = std::fs::remove_dir_all(folder.join("run"));
        folder.ok(&["train", &format!("{name}/config.toml"), "--out", "run"]);
        let data = folder.join(&format!("{name}/log/*.csv"));
        let evaluated =
            folder.ok(&["evaluate", "run/model", "--data", data.to_str().unwrap(), "--format", "json"]).json();
        assert_eq!(evaluated["rows"], 60);
    }
}

#[test]
fn folders_give_columns_in_training_and_prediction() {
    let folder = folder();
    for (day, city) in
        [("2026-01-01", "K%C3%B6ln"), ("2026-01-02", "Lima"), ("2026-01-03", "__HIVE_DEFAULT_PARTITION__")]
    {
        let rows: String = (0..40).map(|i| format!("{},{}\n", i % 7, i % 2)).collect();
        put(&folder, &format!("log/day={day}/city={city}/part-0.csv"), format!("age,buy\n{rows}"));
    }
    let split = "data.valid={ column = \"day\", from = \"2026-01-03\" }";
    folder.ok(&["train", "config.toml", "--out", "run", "--set", "data.train=\"log\"", "--set", split]);
    let counted = &folder.json("run/metrics.json")["rows"];
    assert_eq!((&counted["train"]["rows"], &counted["valid"]["rows"]), (&80.into(), &40.into()));
    let model = folder.text("run/model/model.json");
    assert!(model.contains("Köln") && model.contains("Lima"), "{model}");
    folder.ok(&["predict", "run/model", "--data", "log/*/*/*.csv", "--out", "p.csv"]);
    assert_eq!(folder.text("p.csv").lines().count(), 121);
    // A part beside the folders has no such column.
    put(&folder, "log/part-1.csv", "age,buy\n1,1\n");
    let says = refused(&folder, DATA, &["--set", "data.train=\"log\""]);
    assert!(says.contains("part-1.csv has no column \"city\"") && says.contains("part-0.csv has"), "{says}");
    // A file of another city than its folder's.
    put(&folder, "log/part-1.csv", "age,buy,city\n1,1,Oslo\n");
    put(&folder, "log/day=2026-01-04/city=Oslo/part-0.csv", "age,buy,city\n1,1,Oslo\n2,1,Rome\n");
    let says = refused(&folder, DATA, &["--set", "data.train=\"log\""]);
    let expected = "line 3 (row 2), column \"city\": \"Rome\" is not what the folder \"city=Oslo\" says";
    assert!(says.contains(expected), "{says}");
}

#[test]
fn a_cache_knows_the_columns_of_folders() {
    let folder = folder();
    put(&folder, "log/city=Lima/a.csv", "age,buy\n1,1\n2,0\n");
    put(&folder, "real.csv", "age,buy\n3,1\n4,0\n");
    std::fs::create_dir_all(folder.join("log/city=Oslo")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("../../real.csv", folder.join("log/city=Oslo/b.csv")).unwrap();
    let train = |out: &str| {
        folder
            .ok(&["train", "config.toml", "--out", out, "--set", "data.train=\"log\"", "--set", "data.cache=\"kept\""])
            .stderr
    };
    assert!(train("a").contains("are kept"), "the first");
    assert!(train("b").contains("are those of"), "the second");
    // The file is the same; its folder has another name.
    std::fs::rename(folder.join("log/city=Oslo"), folder.join("log/city=Pune")).unwrap();
    assert!(train("c").contains("are kept"));
    assert!(folder.text("c/model/model.json").contains("Pune"));
}

#[test]
fn other_forms_are_named() {
    let folder = folder();
    let mut avro = b"Obj\x01".to_vec();
    avro.extend([0; 40]);
    for (name, bytes, says) in [
        ("a.csv", &b"PK\x03\x04\x14\0\0\0\x08\0junk"[..], "is a zip archive"),
        ("b.csv.gz", b"BZh91AY&SY\x8b\x01\xc9\x94", "is compressed with bzip2"),
        ("c.parquet", b"\xfd7zXZ\0\0\x04", "is compressed with xz"),
        ("d.arrow", b"FEA1\0\0\0\0\0\0\0\0", "is a Feather file of version 1"),
        ("e.parquet", b"age,city,buy\n1,x,1\n", "is a text"),
        ("f.csv", &avro, "is an Avro file"),
    ] {
        folder.write(name, bytes);
        let told = refused(&folder, DATA, &["--set", &format!("data.train={name:?}")]);
        assert!(told.contains(&format!("{name} {says}")) && !told.contains("damaged"), "{told}");
    }
}

#[test]
fn a_column_that_one_part_lacks_is_that_parts_fault() {
    let folder = folder();
    put(&folder, "log/b.csv", log(50, 1));
    for without in ["log/a.csv", "log/c.csv"] {
        put(&folder, without, "city,buy\nOslo,1\n");
        let says = refused(&folder, DATA, &[]);
        assert!(says.contains(&format!("{without} has no column \"age\"")) && says.contains("log/b.csv has"), "{says}");
        std::fs::remove_file(folder.join(without)).unwrap();
    }
    folder.write("valid.csv", "city,buy\nOslo,1\n");
    let says = refused(&folder, DATA, &["--set", "data.valid=\"valid.csv\""]);
    assert!(says.contains("valid.csv has no column \"age\""), "{says}");
    let says = refused(&folder, USAGE, &["--set", "data.train=\"valid.csv\""]);
    assert!(says.contains("config.toml:") && says.contains("has no column \"age\""), "{says}");
}

#[cfg(unix)]
mod pipes {
    use std::io::Write;
    use std::process::{Child, Stdio};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::common::Ran;

    fn fifo(folder: &Folder, name: &str) {
        let made = std::process::Command::new("mkfifo").arg(folder.join(name)).status().unwrap();
        assert!(made.success());
    }

    fn start(folder: &Folder, args: &[&str], stdin: Stdio) -> Child {
        folder.command(args).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Ends within a few seconds of the signal.
    fn stop(mut child: Child, name: &str) -> Ran {
        std::thread::sleep(Duration::from_millis(400));
        assert!(child.try_wait().unwrap().is_none(), "it does not wait");
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args([name, &id]).status().unwrap().success());
        let begin = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if begin.elapsed() > Duration::from_secs(20) {
                child.kill().unwrap();
                panic!("alive 20 s after the signal");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ran::of(child.wait_with_output().unwrap())
    }

    #[test]
    fn a_pipe_is_opened_once() {
        let folder = folder();
        folder.ok(&["train", "config.toml", "--out", "file", "--set", "data.train=\"rows.csv\""]);
        for i in 0..4 {
            let name = format!("f{i}.csv");
            fifo(&folder, &name);
            let (path, text) = (folder.join(&name), folder.read("rows.csv"));
            let writer = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(100 * (i % 2)));
                std::fs::write(path, text)
            });
            let out = format!("run{i}");
            folder.ok(&["train", "config.toml", "--out", &out, "--set", &format!("data.train={name:?}")]);
            writer.join().unwrap().unwrap();
            assert!(
                folder.read(&format!("{out}/model/weights.safetensors"))
                    == folder.read("file/model/weights.safetensors")
            );
        }
    }

    #[test]
    fn standard_input_is_read_in_every_format() {
        let folder = folder();
        folder.ok(&["train", "config.toml", "--out", "run", "--set", "data.train=\"rows.csv\""]);
        folder.ok(&["predict", "run/model", "--data", "rows.csv", "--out", "file.csv"]);
        let mut gzip = gzip_bytes(&folder.read("rows.csv"));
        gzip.extend([0; 8]);
        for (text, name) in [(folder.read("rows.csv"), "-"), (gzip, "/dev/stdin")] {
            let mut child =
                start(&folder, &["predict", "run/model", "--data", name, "--out", "pipe.csv"], Stdio::piped());
            child.stdin.take().unwrap().write_all(&text).unwrap();
            let ran = Ran::of(child.wait_with_output().unwrap());
            assert_eq!(ran.code, Some(0), "{}", ran.stderr);
            assert_eq!(folder.text("pipe.csv"), folder.text("file.csv"));
        }
        let mut child = start(&folder, &["predict", "run/model", "--data", "-", "--out", "none.csv"], Stdio::piped());
        child.stdin.take().unwrap().write_all(b"age,city\n1,x\ny,z\n").unwrap();
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(DATA), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("standard input, line 3 (row 2), column \"age\": \"y\" is not a number"),
            "{}",
            ran.stderr
        );
        let ran = Ran::of(
            start(&folder, &["evaluate", "run/model", "--data", "-"], Stdio::null()).wait_with_output().unwrap(),
        );
        assert_eq!(ran.code, Some(DATA), "{}", ran.stderr);
        assert!(ran.stderr.contains("standard input is empty"), "{}", ran.stderr);
    }

    /// Made by hand: stored blocks need no compressor.
    fn gzip_bytes(text: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        let blocks: Vec<&[u8]> = text.chunks(60_000).collect();
        for (i, block) in blocks.iter().enumerate() {
            let len = u16::try_from(block.len()).unwrap();
            bytes.push(u8::from(i + 1 == blocks.len()));
            bytes.extend(len.to_le_bytes());
            bytes.extend((!len).to_le_bytes());
            bytes.extend(*block);
        }
        let mut crc = u32::MAX;
        for &byte in text {
            crc ^= u32::from(byte);
            (0..8).for_each(|_| crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 });
        }
        bytes.extend((!crc).to_le_bytes());
        bytes.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        bytes
    }

    #[test]
    fn what_is_read_more_than_once_cannot_be_a_pipe() {
        let folder = folder();
        fifo(&folder, "f.csv");
        let train = "data.train=\"f.csv\"";
        let says = refused(&folder, USAGE, &["--set", train, "--set", "data.stream=true"]);
        assert!(says.contains("f.csv is a pipe, and `stream`"), "{says}");
        let says = refused(&folder, USAGE, &["--set", train, "--set", "data.valid=\"./f.csv\""]);
        assert!(says.contains("f.csv is a pipe, and it is named twice"), "{says}");
        let says = refused(&folder, USAGE, &["--set", "data.train=[\"-\", \"/dev/stdin\"]"]);
        assert!(says.contains("is a pipe, and it is named twice"), "{says}");
        folder.replace("config.toml", "log/*.csv", "f.csv");
        let ran = folder.run(&["bench", "--config", "config.toml"]);
        assert_eq!(ran.code, Some(USAGE), "{}", ran.stderr);
        assert!(ran.stderr.contains("f.csv is a pipe, and `bench` reads files several times"), "{}", ran.stderr);
    }

    #[test]
    fn one_signal_ends_every_wait_for_a_pipe() {
        let folder = folder();
        folder.ok(&["train", "config.toml", "--out", "ready", "--set", "data.train=\"rows.csv\""]);
        fifo(&folder, "f.csv");
        let train = ["train", "config.toml", "--out", "run", "--set", "data.train=\"f.csv\""];
        let predict = ["predict", "ready/model", "--data", "f.csv", "--out", "p.csv"];
        // No process opens it to write.
        let before = folder.listing();
        assert_eq!(stop(start(&folder, &train, Stdio::null()), "-TERM").code, Some(143));
        assert_eq!(stop(start(&folder, &predict, Stdio::null()), "-INT").code, Some(130));
        // A process does, and writes nothing, or but a part of a row.
        let path = folder.join("f.csv");
        let mut writer = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let evaluate = ["evaluate", "ready/model", "--data", "f.csv"];
        assert_eq!(stop(start(&folder, &evaluate, Stdio::null()), "-TERM").code, Some(143));
        writer.write_all(b"age,ci").unwrap();
        let inspect = ["inspect", "ready/model", "--data", "f.csv"];
        assert_eq!(stop(start(&folder, &inspect, Stdio::null()), "-TERM").code, Some(143));
        assert_eq!(folder.listing().into_iter().filter(|name| name != "run").collect::<Vec<_>>(), before);
    }
}
