//! The search for weights, by the binary.

use std::fmt::Write;

use serde_json::json;

use crate::common::{CONFIG, Folder, Ran};

/// A generator of numbers, the same everywhere.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40) as f64 / (1u64 << 24) as f64
    }
}

/// A log in CSV of requests of 12 candidates with predictions of `buy` and `spend`. The candidate is bought that has the highest
/// `buy * spend^2` with some noise; or, without a plan, any.
fn log(requests: u32, is_planned: bool) -> String {
    let mut draw = Draw(0x9E37_79B9_7F4A_7C15);
    let scoring = r#""{""tasks"": [""buy"", ""spend""], ""given"": {}}""#;
    let mut text = String::from(
        "pleiad_request,pleiad_index,pleiad_score,pleiad_scoring,pleiad_prediction_buy,pleiad_prediction_spend,\
         pleiad_exponent_buy,pleiad_exponent_spend,buy,spend\n",
    );
    for request in 0..requests {
        let rows: Vec<(f64, f64, f64)> = (0..12)
            .map(|_| {
                let (buy, spend) = (0.02 + 0.9 * draw.next(), 0.02 + 0.9 * draw.next());
                let noise = (draw.next() + draw.next() - 1.0) * 0.8;
                let worth = if is_planned { buy.ln() + 2.0 * spend.ln() + noise } else { noise };
                (buy, spend, worth)
            })
            .collect();
        let best = rows.iter().map(|row| row.2).fold(f64::NEG_INFINITY, f64::max);
        for (index, (buy, spend, worth)) in rows.iter().enumerate() {
            let bought = u8::from(*worth == best);
            let spent = if bought == 1 { format!("{:.3}", 1.0 + spend) } else { String::new() };
            let (buy, spend) = (*buy as f32, *spend as f32);
            let score = f64::from(buy) * f64::from(spend).powf(0.1);
            writeln!(text, "r{request},{index},{score},{scoring},{buy},{spend},1,0.1,{bought},{spent}").unwrap();
        }
    }
    text
}

const RANK: &str = "\n[rank]\nscore = { buy = 1.0, spend = 0.1 }\n";

#[test]
fn planted_weights_are_found_and_noise_is_not() {
    let folder = Folder::with_log();
    folder.write("config.toml", CONFIG.to_owned() + RANK);
    folder.write("planned.csv", log(1200, true));
    folder.write("noise.csv", log(1200, false));
    let ask = |file: &str, more: &[&str]| {
        folder.ok(&[&["tune", "config.toml", "--log", file, "--metric", "buy.ndcg@5"], more].concat())
    };
    let found = ask("planned.csv", &["--format", "json"]).json();
    assert_eq!(found["recommended"], true, "{found}");
    let ratio = found["after"]["spend"].as_f64().unwrap() / found["after"]["buy"].as_f64().unwrap();
    assert!((1.4..2.9).contains(&ratio), "{found}");
    assert!(found["gain"]["bounds"][0].as_f64().unwrap() > 0.05, "{found}");
    assert!(found["searched"].as_u64().unwrap() + found["held_out"].as_u64().unwrap() == 1200, "{found}");
    // Threads and the order of the rows change nothing.
    assert_eq!(ask("planned.csv", &["--format", "json", "--threads", "1"]).json(), found);
    let text = folder.text("planned.csv");
    let (head, rows) = text.split_once('\n').unwrap();
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.reverse();
    folder.write("turned.csv", format!("{head}\n{}\n", rows.join("\n")));
    assert_eq!(ask("turned.csv", &["--format", "json"]).json(), found);
    let said = ask("planned.csv", &[]).stdout;
    assert!(said.contains("[rank]\nscore = { buy = 1.0, spend = "), "{said}");
    // What it prints is a configuration, whose weights then are the present ones.
    let block = &said[said.find("[rank]").unwrap()..];
    folder.write("tuned.toml", format!("{CONFIG}\n{block}"));
    let again = folder.ok(&["tune", "tuned.toml", "--log", "planned.csv", "--metric", "buy.ndcg@5"]).stdout;
    assert!(again.contains("keep the present weights"), "{again}");

    let noise = ask("noise.csv", &["--format", "json"]).json();
    assert_eq!(noise["recommended"], false, "{noise}");
    let bounds = &noise["gain"]["bounds"];
    assert!(bounds[0].as_f64().unwrap() <= 0.0 && bounds[1].as_f64().unwrap() >= 0.0, "{noise}");
    assert!(ask("noise.csv", &[]).stdout.contains("keep the present weights"));
}

#[cfg(unix)]
#[test]
fn an_interrupted_search_recommends_nothing() {
    use std::process::{Command, Stdio};

    let folder = Folder::with_log();
    folder.write("config.toml", CONFIG.to_owned() + RANK);
    folder.write("planned.csv", log(1200, true));
    let before = folder.listing();
    let args = ["tune", "config.toml", "--log", "planned.csv", "--metric", "buy.ndcg@5", "--restarts", "1000"];
    let child = folder.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The log is read within this time, and a thousand starts are not done.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(130), ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("interrupted: "), "{}", ran.stderr);
    assert_eq!(folder.listing(), before);
}

#[test]
fn a_bound_holds_or_is_told() {
    let folder = Folder::with_log();
    // `spend` is worth most where `buy` predicts little: what is bought hurts what is spent.
    folder.write("config.toml", CONFIG.replace("where = { column = \"buy\", equals = 1 }\n", "") + RANK);
    let text = log(800, true);
    let mut rows = String::new();
    for (number, line) in text.lines().enumerate() {
        let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        if number > 0 {
            let at = cells.len();
            let buy: f64 = cells[at - 6].parse().unwrap();
            cells[at - 1] = format!("{:.3}", buy * buy);
        }
        writeln!(rows, "{}", cells.join(",")).unwrap();
    }
    folder.write("log.csv", rows);
    let ask = |bound: &[&str]| {
        let args = ["tune", "config.toml", "--log", "log.csv", "--metric", "buy.ndcg@5", "--format", "json"];
        folder.ok(&[&args[..], bound].concat()).json()
    };
    let (free, bounded) = (ask(&[]), ask(&["--bound", "spend>=0.99"]));
    let of = |found: &serde_json::Value| {
        found["tasks"][0]["after"].as_f64().unwrap() / found["tasks"][0]["before"].as_f64().unwrap()
    };
    assert!(of(&free) < 0.95, "{free}");
    assert!(of(&bounded) > 0.98, "{bounded}");
    assert_eq!(bounded["tasks"][0]["bound"], 0.99);
    assert!(bounded["gain"]["gain"].as_f64().unwrap() < free["gain"]["gain"].as_f64().unwrap());
}

#[test]
fn the_rows_of_a_configuration_are_predicted() {
    let folder = Folder::with_log();
    for name in ["train.csv", "valid.csv", "test.csv"] {
        let text = folder.text(name);
        let rows = text.lines().enumerate().map(|(at, line)| {
            let request = if at == 0 { "request".to_owned() } else { format!("q{}", (at - 1) / 6) };
            format!("{line},{request}\n")
        });
        let text: String = rows.collect();
        folder.write(name, text);
    }
    let rank = "\n[rank]\nscore = { buy = 0.1, spend = 1.0 }\nfloor = { spend = 0.01 }\n\
                transform = { column = \"visits\", kind = \"log1p\", power = 0.3 }\n";
    let config = CONFIG.to_owned() + rank + "\n[metrics]\ngroup = \"request\"\n";
    folder.write("config.toml", &config);
    folder.ok(&["train", "config.toml", "--out", "run"]);
    let ask = ["tune", "config.toml", "--model", "run/model", "--metric", "buy.gauc", "--format", "json"];
    let found = folder.ok(&ask).json();
    assert_eq!(found["searched"].as_u64().unwrap() + found["held_out"].as_u64().unwrap(), 20, "{found}");
    let test = folder.ok(&[&ask[..], &["--rows", "test"]].concat()).json();
    assert_ne!(test, found);
    // A part of the training rows is searched on as well as a file.
    folder.write("part.toml", config.replace("valid = \"valid.csv\"", "valid = { fraction = 0.3 }"));
    let part =
        folder.ok(&["tune", "part.toml", "--model", "run/model", "--metric", "buy.gauc", "--format", "json"]).json();
    assert!(part["searched"].as_u64().unwrap() > 20, "{part}");
    assert_eq!(found["tasks"][0]["metric"], json!("spend.ndcg@10"));
    for (args, says) in [
        (&["--metric", "buy.auc"][..], "take gauc, ndcg@K or recall@K"),
        (&["--metric", "buys.gauc"], "did you mean `buy`?"),
        (&["--bound", "spend"], "such as share>=0.98"),
        (&["--bound", "spent>=1"], "is no metric of a task"),
        (&["--also", "buyy"], "did you mean `buy`?"),
        (&["--by", "requests"], "\"requests\""),
    ] {
        let args = [&["tune", "config.toml", "--model", "run/model", "--metric", "buy.gauc"], args].concat();
        let args = if args.iter().filter(|arg| **arg == "--metric").count() > 1 {
            [&args[..4], &args[6..]].concat()
        } else {
            args
        };
        let ran = folder.run(&args);
        assert!(ran.code == Some(2) || ran.code == Some(3), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{args:?}: {}", ran.stderr);
    }
    let none = config.replace("group = \"request\"", "");
    folder.write("none.toml", none);
    let ask = ["tune", "none.toml", "--model", "run/model", "--metric", "buy.gauc", "--format", "json"];
    assert_eq!(folder.ok(&[&ask[..], &["--by", "request"]].concat()).json(), found);
    let ran = folder.run(&ask);
    assert!(ran.code == Some(2) && ran.stderr.contains("--by COLUMN"), "{}", ran.stderr);
}
