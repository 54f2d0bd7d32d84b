//! `pleiad predict --score`: a ranked file, held to an oracle that is written by hand.
#![allow(clippy::unwrap_used)]

use crate::common::{CONFIG, Folder, log};

/// A model of the small log with a score, and rows with requests: of the same request not all one after the other.
fn folder() -> Folder {
    let folder = Folder::with_log();
    let rank = "\n[rank]\nscore = { buy = 1.0, spend = 0.5 }\njoint = true\n\
                transform = { column = \"visits\", kind = \"log1p\", power = 0.3 }\n";
    folder.write("config.toml", CONFIG.replace("epochs = 3", "epochs = 1") + rank);
    folder.ok(&["train", "config.toml", "--out", "run"]);
    let rows: Vec<String> = log(90, 5)
        .lines()
        .enumerate()
        .map(|(at, line)| match at {
            0 => format!("request,item,{line}"),
            at => format!("r{},{at},{line}", (at / 4) % 7),
        })
        .collect();
    folder.write("rows.csv", rows.join("\n") + "\n");
    folder
}

/// A CSV file's cells by column.
fn cells(text: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    (lines.next().unwrap(), lines.collect())
}

#[test]
fn a_sum_with_a_cap_is_set_from_outside() {
    let folder = folder();
    folder.ok(&["predict", "run/model", "--data", "rows.csv", "--out", "plain.csv"]);
    let plain = cells(&folder.text("plain.csv")).1;
    let args =
        ["predict", "run/model", "--data", "rows.csv", "--out", "sum.csv", "--score", "--set", "rank.fusion=sum"];
    let more = ["--set", "rank.joint=false", "--set", "rank.cap.buy=0.4", "--set", "rank.score.buy=2"];
    folder.ok(&[&args[..], &more[..]].concat());
    let (header, rows) = cells(&folder.text("sum.csv"));
    let scores = header.iter().position(|column| column == "score").unwrap();
    let visits = cells(&folder.text("rows.csv"));
    let at = visits.0.iter().position(|column| column == "visits").unwrap();
    for ((row, predicted), input) in rows.iter().zip(&plain).zip(&visits.1) {
        let [buy, spend] = [0, 1].map(|task: usize| predicted[task].parse::<f64>().unwrap());
        let expected = (2.0 * buy.min(0.4) + 0.5 * spend) * (1.0 + input[at].parse::<f64>().unwrap()).ln().powf(0.3);
        let score: f64 = row[scores].parse().unwrap();
        assert!((score - expected).abs() <= 1e-5 * expected.abs(), "{score} {expected}");
    }
    let ran = folder.run(&[&args[..], &["--set", "rank.fusion=max"]].concat());
    assert!(ran.code == Some(2) && ran.stderr.contains("product") && ran.stderr.contains("sum"), "{}", ran.stderr);
}

#[test]
fn a_ranked_file_is_that_of_the_oracle() {
    let folder = folder();
    folder.ok(&["predict", "run/model", "--data", "rows.csv", "--out", "plain.csv"]);
    let (header, plain) = cells(&folder.text("plain.csv"));
    assert_eq!(header, ["buy", "spend"]);
    let (header, rows) = cells(&folder.text("rows.csv"));
    let column = |name: &str| header.iter().position(|column| column == name).unwrap();
    let (request, item, visits) = (column("request"), column("item"), column("visits"));

    // Equation 1 by hand: spend is known of buyers alone, so that its joint expectation is spend * P(buy).
    let mut expected: Vec<(String, String, f64, usize)> = Vec::new();
    for (at, (row, predicted)) in rows.iter().zip(&plain).enumerate() {
        let [buy, spend] = [0, 1].map(|task: usize| predicted[task].parse::<f64>().unwrap());
        let visits: f64 = row[visits].parse().unwrap();
        let score = buy * (spend * buy).sqrt() * (1.0 + visits).ln().powf(0.3);
        expected.push((row[request].clone(), row[item].clone(), score, at));
    }
    let mut requests: Vec<String> = Vec::new();
    expected.iter().for_each(|row| {
        if !requests.contains(&row.0) {
            requests.push(row.0.clone())
        }
    });

    folder.ok(&[
        "predict",
        "run/model",
        "--data",
        "rows.csv",
        "--out",
        "ranked.csv",
        "--score",
        "--keep",
        "item",
        "--by",
        "request",
        "--top",
        "5",
    ]);
    let (header, ranked) = cells(&folder.text("ranked.csv"));
    assert_eq!(header, ["request", "item", "rank", "score", "buy", "spend"]);
    let mut at = ranked.iter();
    for request in requests {
        let mut own: Vec<_> = expected.iter().filter(|row| row.0 == request).collect();
        own.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.3.cmp(&b.3)));
        for (rank, (_, item, score, row)) in own.into_iter().take(5).enumerate() {
            let found = at.next().unwrap();
            assert_eq!(found[..3], [request.clone(), item.clone(), (rank + 1).to_string()]);
            let found_score: f64 = found[3].parse().unwrap();
            // Predictions in a file of text have the digits of 32 bits.
            assert!((found_score - score).abs() <= 1e-6 * score.abs(), "{found_score} {score}");
            assert_eq!(found[4..], plain[*row]);
        }
    }
    assert!(at.next().is_none());

    // In row order, with the score of every row.
    folder.ok(&[
        "predict",
        "run/model",
        "--data",
        "rows.csv",
        "--out",
        "scored.csv",
        "--score",
        "--keep",
        "item,request",
    ]);
    let (header, scored) = cells(&folder.text("scored.csv"));
    assert_eq!(header, ["item", "request", "score", "buy", "spend"]);
    assert_eq!(scored.len(), 90);
    for (found, (request, item, score, _)) in scored.iter().zip(&expected) {
        assert_eq!((&found[0], &found[1]), (item, request));
        assert!((found[2].parse::<f64>().unwrap() - score).abs() <= 1e-6 * score.abs());
    }
}

#[test]
fn the_score_is_changed_where_it_is_used() {
    let folder = folder();
    let predict = |out: &str, more: &[&str]| {
        let mut args = vec!["predict", "run/model", "--data", "rows.csv", "--out", out, "--score", "--keep", "item"];
        args.extend(more);
        folder.run(&args)
    };
    let set =
        ["--set", "rank.score.spend=0", "--set", "rank.joint=false", "--set", "rank.transform.power=0", "--top", "90"];
    assert_eq!(predict("by_buy.csv", &set).code, Some(0));
    let (_, rows) = cells(&folder.text("by_buy.csv"));
    let score = |row: &Vec<String>| row[2].parse::<f64>().unwrap();
    assert!(rows.windows(2).all(|pair| score(&pair[0]) >= score(&pair[1])) && rows.len() == 90);
    assert!(rows.iter().all(|row| (score(row) - row[3].parse::<f64>().unwrap()).abs() < 1e-6));

    for (more, code, says) in [
        (&["--set", "rank.score.bui=1"][..], 2, "did you mean `buy`?"),
        (&["--set", "train.epochs=1"], 2, "only [rank] can be set"),
        (&["--set", "rank.score.spend=-1000"], 1, "the score of row 1 is"),
        (&["--by", "requst"], 3, "did you mean"),
        (&["--keep", "buy"], 2, "column \"buy\""),
        (&["--top", "0"], 2, "--top"),
    ] {
        let ran = predict("no.csv", more);
        assert_eq!(ran.code, Some(code), "{more:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{more:?}: {}", ran.stderr);
        assert!(!folder.join("no.csv").exists(), "{more:?}");
    }
    // What orders has to be asked for with the score.
    let ran = folder.run(&["predict", "run/model", "--data", "rows.csv", "--out", "no.csv", "--top", "3"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("--score"), "{}", ran.stderr);
}

#[test]
fn a_model_without_a_score_says_how_to_give_one() {
    let folder = Folder::with_log();
    folder.ok(&["train", "config.toml", "--out", "run"]);
    let args = ["predict", "run/model", "--data", "test.csv", "--out", "p.csv", "--score"];
    let ran = folder.run(&args);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("--set rank.score.buy=1"), "{}", ran.stderr);
    let args: Vec<&str> = args.into_iter().chain(["--set", "rank.score.buy=1"]).collect();
    folder.ok(&args);
    assert!(folder.text("p.csv").starts_with("score,buy,spend\n"));
}

#[test]
fn rows_without_a_request_and_bad_rows() {
    let folder = folder();
    folder.write("gap.csv", "request,item,age,visits,city\nr1,1,30,2,Oslo\n,2,40,3,Lima\n");
    let by = |data: &str, more: &[&str]| {
        let mut args = vec!["predict", "run/model", "--data", data, "--out", "p.csv", "--score", "--by", "request"];
        args.extend(more);
        folder.run(&args)
    };
    let ran = by("gap.csv", &[]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("row 2 has no \"request\""), "{}", ran.stderr);
    folder.write("bad.csv", "request,item,age,visits,city\nr1,1,30,2,Oslo\nr1,2,old,3,Lima\nr1,3,30,9,Oslo\n");
    let ran = by("bad.csv", &[]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);

    let config = folder.text("config.toml").replace("[data]\n", "[data]\non_bad_row = \"skip\"\n");
    folder.write("skip.toml", config);
    folder.ok(&["train", "skip.toml", "--out", "skip"]);
    let args = ["predict", "skip/model", "--data", "bad.csv", "--out", "p.csv", "--score", "--keep", "item"];
    folder.ok(&args);
    let (_, rows) = cells(&folder.text("p.csv"));
    assert_eq!(rows.len(), 3, "row i of the file is row i of the source");
    assert_eq!((rows[0][0].as_str(), rows[1].concat().as_str(), rows[2][0].as_str()), ("1", "", "3"));
    let args: Vec<&str> = args.into_iter().chain(["--by", "request"]).collect();
    folder.ok(&args);
    assert_eq!(cells(&folder.text("p.csv")).1.len(), 2, "a ranked file has no bad rows");
}
