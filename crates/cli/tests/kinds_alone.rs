//! Every structure of the registry with its default sizes.

#![allow(clippy::unwrap_used)]

use crate::common::{CONFIG, Folder};
use pleiad_model::architectures::REGISTRY;

#[test]
fn every_structure_trains_with_its_kind_alone() {
    let folder = Folder::with_log();
    let (head, rest) = CONFIG.split_once("[model]").unwrap();
    let (_, train) = rest.split_once("[train]").unwrap();
    // Funnels need two events, one of which follows the other.
    let second = "[[task]]\nname = \"old\"\nkind = \"binary\"\nlabel = { column = \"city\", positive = \"Oslo\" }\n";
    let head = head.replace("columns = [\"city\"]", "columns = [\"visits\"]\nname = \"visits_as_text\"");
    for structure in REGISTRY {
        let kind = structure.kind;
        folder.write("config.toml", format!("{head}{second}\n[model]\nkind = \"{kind}\"\n\n[train]{train}"));
        let out = format!("run-{kind}");
        folder.ok(&["train", "config.toml", "--out", &out, "--set", "train.epochs=1", "--set", "train.explain=false"]);
        folder.ok(&["predict", &format!("{out}/model"), "--data", "test.csv", "--out", "p.csv"]);
    }
}

/// What a funnel is by default is written into the run, so that it is the same run as one that names it.
#[test]
fn a_funnel_is_all_binary_tasks() {
    let folder = Folder::with_log();
    let ran = folder.run(&["train", "config.toml", "--out", "run", "--set", "model={kind=\"esmm\"}"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("two at least"), "{}", ran.stderr);
}
