//! What a model makes of values that no training row had: the mean of those that it knows.

#![allow(clippy::unwrap_used)]

use crate::common::{self, Folder};

/// Rows of three numbers or more of a tensor of `weights.safetensors`.
fn rows_of(folder: &Folder, file: &str, tensor: &str) -> Vec<Vec<f32>> {
    let bytes = folder.read(file);
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let parsed: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let about = &parsed[tensor];
    let at = |i: usize| 8 + header + about["data_offsets"][i].as_u64().unwrap() as usize;
    let width = about["shape"][1].as_u64().unwrap() as usize;
    let numbers = bytes[at(0)..at(1)].chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap()));
    numbers.collect::<Vec<_>>().chunks(width).map(<[f32]>::to_vec).collect()
}

/// The mean of all rows but the first.
fn mean_of_others(rows: &[Vec<f32>]) -> Vec<f32> {
    let mean =
        |column: usize| rows[1..].iter().map(|row| f64::from(row[column])).sum::<f64>() / (rows.len() - 1) as f64;
    (0..rows[0].len()).map(|column| mean(column) as f32).collect()
}

const CITIES: [&str; 5] = ["Lagos", "Lima", "Oslo", "Pune", "Kyiv"];

#[test]
fn a_new_value_is_predicted_as_the_mean_of_the_known_ones() {
    let folder = Folder::with_log();
    let rows: String = CITIES.iter().map(|city| format!("40,10,{city}\n")).collect();
    folder.write("cities.csv", format!("age,visits,city\n{rows}"));
    let single = "model={ kind = \"single-task\", bottom = [8], tower = [4] }";
    for (run, set, tables) in [
        ("ple", "seed=7", vec!["embeddings.city.weight"]),
        ("single", single, vec!["embeddings.buy.city.weight", "embeddings.spend.city.weight"]),
    ] {
        let set = if set.starts_with("seed") { "train.seed=7" } else { set };
        folder.ok(&["train", "config.toml", "--out", run, "--set", set, "--set", "train.epochs=8"]);
        for tensor in tables {
            let rows = rows_of(&folder, &format!("{run}/model/weights.safetensors"), tensor);
            assert_eq!(rows[0], mean_of_others(&rows), "{tensor}");
        }
        folder.ok(&["predict", &format!("{run}/model"), "--data", "cities.csv", "--out", "p.csv"]);
        let predictions = folder.text("p.csv");
        let buy: Vec<f64> =
            predictions.lines().skip(1).map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
        let known = &buy[..4];
        let (least, most) = known.iter().fold((1.0f64, 0.0f64), |(l, m), p| (l.min(*p), m.max(*p)));
        assert!(most - least > 0.02 && (least..=most).contains(&buy[4]), "{run}: {buy:?}");
    }
    // Training may go on from it: the row follows the others.
    folder.ok(&["train", "config.toml", "--out", "more", "--init", "ple/model", "--set", "train.epochs=2"]);
    let rows = rows_of(&folder, "more/model/weights.safetensors", "embeddings.city.weight");
    assert_eq!(rows[0], mean_of_others(&rows));
}

#[test]
fn a_row_that_missing_values_have_trained_stays() {
    let folder = Folder::with_log();
    let rows = folder.text("train.csv").replacen("Lima", "", 30);
    folder.write("train.csv", rows);
    folder.ok(&["train", "config.toml", "--out", "run"]);
    let rows = rows_of(&folder, "run/model/weights.safetensors", "embeddings.city.weight");
    assert_ne!(rows[0], mean_of_others(&rows));
    // All values are known now, and what was learned before of missing ones is not lost.
    folder.write("train.csv", common::log(400, 1));
    folder.ok(&["train", "config.toml", "--out", "more", "--init", "run/model", "--set", "train.epochs=1"]);
    let more = rows_of(&folder, "more/model/weights.safetensors", "embeddings.city.weight");
    assert_eq!(more[0], rows[0]);
}
