//! `pleiad bench` gives every figure it promises, whatever the machine; how fast it is, no test can say.

#![allow(clippy::unwrap_used)]

use crate::common::Folder;
use serde_json::Value;

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} in {value}"))
}

#[test]
fn steps_have_all_their_figures() {
    let folder = Folder::empty();
    let ran = folder.ok(&["bench", "--quick", "w2", "--steps", "4", "--threads", "2", "--format", "json"]);
    let report = ran.json();
    assert_eq!(report["threads"], 2);
    let steps = &report["steps"][0];
    assert_eq!(steps["workload"], "w2");
    assert_eq!((number(steps, "/steps"), number(steps, "/rows")), (4.0, 512.0));
    assert_eq!(number(steps, "/parameters/dense"), 137_940.0);
    let (low, ms, high) = (
        number(steps, "/ms_per_step/lowest"),
        number(steps, "/ms_per_step/median"),
        number(steps, "/ms_per_step/highest"),
    );
    assert!(0.0 < low && low <= ms && ms <= high, "{low} {ms} {high}");
    assert!((number(steps, "/rows_per_second") - 512.0 / ms * 1e3).abs() < 1e-3);
    // 3 products of 2 in out per layer and row: see the test of the workload's parameters.
    let weights = 271 * (6 * 64 + 14) + 64 * (6 * 64 + 8) + 2 * (64 * 32 + 32);
    let gflops = 1e-6 * f64::from(6 * weights * 512) / ms;
    assert!((number(steps, "/product_gflops") / gflops - 1.0).abs() < 1e-9, "{gflops}");
    assert!(number(steps, "/peak_gflops") > 0.0);
    if cfg!(target_os = "linux") {
        let (now, peak) = (number(steps, "/memory/resident_mib"), number(steps, "/memory/peak_mib"));
        assert!(1.0 < now && now <= peak, "{now} {peak}");
    }
    assert_eq!(report["growth"], serde_json::json!([]));
    assert!(ran.stderr.contains("w2 (census)"), "{}", ran.stderr);

    let text = folder.ok(&["bench", "--quick", "census", "--threads", "1"]).stdout;
    assert!(text.starts_with("workload") && text.contains("\nw2 ") && text.contains("\n1 thread, f32 ("), "{text}");
}

#[test]
fn growth_varies_one_size_at_a_time() {
    let folder = Folder::empty();
    let ran = folder.ok(&["bench", "--quick", "--steps", "1", "w6", "--threads", "2", "--format", "json"]);
    let report = ran.json();
    let series = report["growth"].as_array().unwrap();
    let sizes: Vec<&str> = series.iter().map(|s| s["size"].as_str().unwrap()).collect();
    assert_eq!(sizes, ["batch", "tasks", "experts", "vocabulary", "threads"]);
    for series in series {
        let values: Vec<f64> = series["points"].as_array().unwrap().iter().map(|p| number(p, "/value")).collect();
        assert!(values.len() >= 2 && values.is_sorted(), "{series}");
        assert!(number(series, "/exponent").is_finite());
    }
}

#[test]
fn an_epoch_of_a_configuration_counts_its_rows() {
    let folder = Folder::with_log();
    let before = folder.listing();
    let report = folder.ok(&["bench", "--config", "config.toml", "--format", "json"]).json();
    assert_eq!(report["steps"], serde_json::json!([]), "no other workload was asked for");
    let file = &report["file"];
    assert_eq!((number(file, "/train_rows"), number(file, "/rows_read")), (400.0, 640.0));
    let (loading, epoch, all) =
        (number(file, "/loading_seconds"), number(file, "/epoch_seconds"), number(file, "/seconds"));
    assert!(loading > 0.0 && epoch > 0.0 && loading + epoch <= all, "{loading} {epoch} {all}");
    let cached = &report["cached_file"];
    assert_eq!((number(cached, "/train_rows"), number(cached, "/rows_read")), (400.0, 640.0));
    assert_eq!(folder.listing(), before, "nothing is left behind");
    let text = folder.ok(&["bench", "--config", "config.toml"]).stdout;
    let says = ["read, fit, encode", "read encoded rows", "640", "waiting for rows"];
    assert!(says.iter().all(|says| text.contains(says)), "{text}");
}

#[test]
fn a_case_is_written_for_others() {
    let folder = Folder::empty();
    folder.ok(&["bench", "--export-case", "w2", "case"]);
    let case = folder.json("case/case.json");
    assert_eq!((case["case"]["name"].as_str(), case["batches"].as_u64()), (Some("w2"), Some(8)));
    assert_eq!(case["gradient_rows"], 32);
    for file in ["weights", "gradients", "batch-0", "batch-7"] {
        assert!(folder.join(&format!("case/{file}.safetensors")).is_file(), "{file}");
    }
    let ran = folder.run(&["bench", "--export-case", "w2", "case"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("not empty"), "{}", ran.stderr);
}

#[test]
fn mistakes_are_told_with_what_would_be_right() {
    let folder = Folder::with_log();
    for (args, says) in [
        (&["bench", "tabels"][..], &["\"tabels\"", "\"tables\"", "w1 (dense)"][..]),
        (&["bench", "W3"], &["did you mean \"w3\"?"]),
        (&["bench", "w2", "--steps", "0"], &["--steps", "0"]),
        (&["bench", "--export-case", "w6", "case"], &["w1, w2 or w3"]),
        (&["bench", "--export-case", "denze", "case"], &["\"dense\""]),
        (&["bench", "--config", "absent.toml"], &["absent.toml"]),
    ] {
        let ran = folder.run(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{args:?} {}", ran.stderr);
        says.iter().for_each(|says| assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr));
    }
    assert!(!folder.join("case").exists());
}
