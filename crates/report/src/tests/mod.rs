//! Pages with invented numbers.
//!
//! `PLEIAD_REPORTS=<folder> cargo test -p pleiad-report` writes them there, to look at.

#![allow(clippy::unwrap_used)]

mod made;

use std::path::Path;

use self::made::{made_comparison, made_run};
use pleiad_train::compare::{Answer, Missing, SeedRun, TaskComparison, Verdict};

/// Names that would break a page that does not escape.
const HOSTILE: [&str; 4] = ["<b>click</b>", "a&b \"quoted\"", "Покупка", "'); alert(1); ('"];

/// Every tag is closed, in order; nothing is fetched; nothing runs.
fn assert_sound(page: &str) {
    const VOID: [&str; 2] = ["meta", "br"];
    assert!(page.starts_with("<!DOCTYPE html>"));
    let mut open: Vec<&str> = Vec::new();
    let style_ends = page.find("</style>").unwrap();
    for piece in page[style_ends..].split('<').skip(1) {
        let (tag, _) = piece.split_once('>').unwrap_or_else(|| panic!("a tag that does not end: {piece:?}"));
        if let Some(name) = tag.strip_prefix('/') {
            if !["style", "head"].contains(&name) {
                assert_eq!(open.pop(), Some(name).filter(|n| *n != "html"), "</{name}> closes another tag: {open:?}");
            }
            if name == "body" {
                break;
            }
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap();
        assert_eq!(tag.matches('"').count() % 2, 0, "quotes of {tag:?}");
        if !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    for forbidden in ["http://", "https://", "src=", "@import", "url(", "<script", "<link", "NaN", "inf\"", "onload"] {
        let found = page.find(forbidden).map(|at| page[at.saturating_sub(60)..].chars().take(120).collect::<String>());
        assert!(found.is_none() || forbidden == "NaN", "{forbidden}: {found:?}");
    }
    // Every picture has its text and its numbers.
    assert_eq!(page.matches("<figure").count(), page.matches("<summary>Numbers</summary>").count());
    assert_eq!(page.matches("role=\"img\"").count(), page.matches("<desc>").count());
}

fn show(name: &str, page: &str) {
    if let Ok(folder) = std::env::var("PLEIAD_REPORTS") {
        std::fs::write(Path::new(&folder).join(name), page).unwrap();
    }
}

#[test]
fn a_run_is_told_with_names_escaped() {
    let page = made_run(&HOSTILE);
    show("run-hostile.html", &page);
    assert_sound(&page);
    for raw in HOSTILE.iter().filter(|name| name.contains(['<', '&', '"'])) {
        assert!(!page.contains(raw), "{raw}");
    }
    for escaped in [
        "&lt;b&gt;click&lt;/b&gt;",
        "a&amp;b &quot;quoted&quot;",
        "Покупка",
        "&lt;i&gt;age&lt;/i&gt;",
        "&lt;script&gt;",
    ] {
        assert!(page.contains(escaped), "{escaped}");
    }
    for part in [
        "Learning curves",
        "What the gates learned",
        "Calibration",
        "Feature importance",
        "Structure",
        "Task weights",
        "base rate",
        "missing, validation",
        "61.0 %",
        "All values of the other 1 feature are there and known",
        "--set train.epochs=3",
        "0123456789abcdef",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("some/where"), "a path of this machine");
}

#[test]
fn a_comparison_says_who_pays_before_anything_else() {
    let page = made_comparison(&["income", "marital"]).page();
    show("comparison.html", &page);
    assert_sound(&page);
    let first = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}"));
    // The answer, then the map of models by tasks, then verdicts, then everything else.
    assert!(first("PLE helps every task: ship PLE") < first("<table class=\"heat"));
    assert!(first("<table class=\"heat") < first("seesaw: income (AUC lower by 0.00"));
    assert!(first("seesaw: income (AUC lower by") < first("<figure"));
    assert!(page.contains("Missing and unknown values of each feature"));
    assert!(page.contains("&lt;b&gt;&quot; is NaN at step 12") && page.contains("MMoE &lt;8&gt;"));
}

#[test]
fn many_tasks_have_a_picture_per_pair() {
    let page = made_comparison(&["click", "finish", "watch time", "share"]).page();
    show("comparison4.html", &page);
    assert_sound(&page);
    assert_eq!(page.matches("upper right: both gain").count(), 6);
    // Folded away, and an error that falls is said to fall.
    assert!(page.find("Gains of every pair").unwrap() < page.find("upper right: both gain").unwrap());
    assert!(page.contains("MSE, lower by") && page.contains("watch time (MSE lower by 0.00"), "{page}");
    show("run5.html", &made_run(&["click", "finish", "watch", "share", "buy"]));
}

#[test]
fn what_is_missing_is_said_and_breaks_nothing() {
    let mut made = made_comparison(&["income", "marital"]);
    // No run of PLE was finished, and marital has rows of one class alone.
    let ple = 3;
    made.runs[ple].clear();
    made.explanations[ple] = None;
    let missing = |missing: Missing| TaskComparison { missing: Some(missing), ..TaskComparison::default() };
    let one_class = || missing(Missing::Metric { reason: "its label is 0 in all 40000 test rows".to_owned() });
    for (m, model) in made.comparison.models.iter_mut().enumerate() {
        if m == ple {
            let failed = |seed: &u64| SeedRun::Failed { seed: *seed, reason: "no".into() };
            model.runs = made.comparison.seeds.iter().map(failed).collect();
        }
        let income = if m == ple { missing(Missing::Pair) } else { model.tasks.get("income").unwrap().clone() };
        let marital = if m == ple { missing(Missing::Pair) } else { one_class() };
        model.tasks = [("income", income), ("marital", marital)].into_iter().collect();
        model.verdict = (m > 0).then(|| Verdict::of(&model.tasks, &made.comparison.metrics, 3));
    }
    made.comparison.answer = Answer::of(&made.comparison.models, "single-task", 3);
    let page = made.page();
    assert_sound(&page);
    assert!(page.contains("Not explained: no run of it was finished") && page.contains("not defined"));
    assert!(page.contains("cannot be told: no seed was trained to its end by both models"));
    assert!(page.contains("PLE failed with every seed") && page.contains("Nothing is known of marital"), "{page}");

    made.comparison.models.truncate(1);
    made.comparison.answer = Answer::of(&made.comparison.models, "single-task", 0);
    let page = made.page();
    assert_sound(&page);
    assert!(page.contains("single-task stands alone") && !page.contains("id=\"gains\""));
}
