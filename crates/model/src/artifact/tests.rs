//! Whole artifacts: saved, opened, damaged. Tensor files alone are tested in `weights`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use pleiad_data::schema::{DataConfig, FeatureBlock, TaskConfig};
use pleiad_data::sealed::seal;
use pleiad_data::{Batch, ErrorKind, LoadOptions, Schema, Splits};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::ModelConfig;

const CONFIG: &str = r#"
    [data]
    train = "rows.csv"

    [[feature]]
    columns = ["age"]
    kind = "numeric"

    [[feature]]
    columns = ["city"]
    kind = "categorical"
    embedding = 3

    [[feature]]
    columns = ["tags"]
    kind = "categorical"
    multiple = true
    pooling = "mean"
    embedding = 2

    [[task]]
    name = "click"
    kind = "binary"
    label = { column = "click" }

    [[task]]
    name = "stay"
    kind = "regression"
    label = { column = "stay" }
"#;

const ROWS: &str = "age,city,tags,click,stay\n1,a,x|y,0,0.5\n2,b,,1,1.5\n3,a,y,1,2.5\n";

/// A small model of two tasks over a number, a category and a list, with weights that have nothing in common.
fn artifact() -> Artifact {
    #[derive(Deserialize)]
    struct SchemaBlocks {
        data: DataConfig,
        feature: Vec<FeatureBlock>,
        task: Vec<TaskConfig>,
    }
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("rows.csv"), ROWS).unwrap();
    let config: SchemaBlocks = toml::from_str(CONFIG).unwrap();
    let schema = Schema::resolve(&config.data, &config.feature, &config.task).unwrap();
    let splits = Splits::load(&config.data, dir.path(), &schema, LoadOptions::default()).unwrap();

    let model = json!({ "kind": "mmoe", "experts": 2, "widths": [4], "tower": [3] });
    let structure: ModelConfig = serde_json::from_value(model.clone()).unwrap();
    let graph = structure.build(splits.encoder.layout(), splits.encoder.tasks()).unwrap();
    let mut weights = Weights::default();
    for param in &graph.params {
        let mut data = vec![0.0; param.len()];
        crate::init::Init::he(4).fill(1, &param.name, 0, &mut data);
        weights.insert(&param.name, param.shape.clone(), data);
    }
    for table in &graph.tables {
        let mut data = vec![0.0; table.rows as usize * table.dim];
        crate::init::Init::he(4).fill(1, &table.name, 0, &mut data);
        weights.insert(table.tensor(), vec![table.rows as usize, table.dim], data);
    }
    let mut batch = splits.train.as_batch().clone();
    batch.labels.clear();
    let golden = Golden { raw: splits.raw, batch, predictions: vec![vec![0.25, 0.5, 0.75], vec![-1.0, 0.0, 1e6]] };
    let mut provenance = Provenance::now();
    provenance.seed = Some(7);
    provenance.metrics = json!({ "click": { "auc": 0.75 } });
    Artifact { model, graph, encoder: splits.encoder, provenance, rank: None, weights, golden }
}

/// An artifact on disk.
fn saved() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("model");
    artifact().save(&path).unwrap();
    (dir, path)
}

fn refusal(path: &Path) -> String {
    let error = Artifact::open(path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data, "{error}");
    error.to_string()
}

fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_saved_opens_the_same() {
    let (dir, path) = saved();
    let (found, wanted) = (Artifact::open(&path).unwrap(), artifact());
    assert_eq!(found.weights, wanted.weights);
    assert_eq!(found.golden, wanted.golden);
    assert_eq!(found.graph, wanted.graph);
    assert_eq!(found.model, wanted.model);
    assert_eq!(found.kind(), "mmoe");
    assert_eq!(found.provenance.seed, Some(7));
    assert_eq!(found.provenance.metrics["click"]["auc"], 0.75);
    assert_eq!(found.encoder.layout(), wanted.encoder.layout());
    assert_eq!(serde_json::to_value(&found.encoder).unwrap(), serde_json::to_value(&wanted.encoder).unwrap());
    assert_eq!(entries(&path), ["golden.safetensors", "model.json", "weights.safetensors"]);
    assert_eq!(entries(dir.path()), ["model"]);
}

#[cfg(unix)]
#[test]
fn others_may_read_an_artifact() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, path) = saved();
    let plain = dir.path().join("plain");
    fs::create_dir(&plain).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions(), fs::metadata(&plain).unwrap().permissions());
    fs::write(plain.join("file"), "").unwrap();
    let usual = fs::metadata(plain.join("file")).unwrap().permissions();
    for file in FILES {
        assert_eq!(fs::metadata(path.join(file)).unwrap().permissions().mode(), usual.mode(), "{file}");
    }
}

#[test]
fn an_artifact_is_replaced_and_nothing_stays_beside_it() {
    let (dir, path) = saved();
    let mut other = artifact();
    other.provenance.seed = Some(8);
    other.save(&path).unwrap();
    assert_eq!(Artifact::open(&path).unwrap().provenance.seed, Some(8));
    assert_eq!(entries(dir.path()), ["model"]);

    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    other.save(&empty).unwrap();
    other.save(&dir.path().join("new/deep/model")).unwrap();
    Artifact::open(&dir.path().join("new/deep/model")).unwrap();
}

#[cfg(unix)]
#[test]
fn a_link_keeps_its_target() {
    let (dir, path) = saved();
    let link = dir.path().join("current");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let mut other = artifact();
    other.provenance.seed = Some(8);
    other.save(&link).unwrap();
    assert!(link.is_symlink());
    assert_eq!(Artifact::open(&path).unwrap().provenance.seed, Some(8));
}

/// A reader that opens a model while others replace it finds one of them, always complete.
#[cfg(target_os = "linux")]
#[test]
fn a_reader_finds_a_whole_model_while_it_is_replaced() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let (dir, path) = saved();
    let models = [1, 2].map(|seed: u64| {
        let mut model = artifact();
        model.provenance.seed = Some(seed);
        for tensor in model.weights.tensors.values_mut() {
            tensor.data.fill(seed as f32);
        }
        model.golden.predictions[1][0] = seed as f32;
        model
    });
    models[0].save(&path).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert!(path.join(MODEL).exists(), "never nothing");
                    let found = Artifact::open(&path).unwrap();
                    let wanted = &models[found.provenance.seed.unwrap() as usize - 1];
                    assert_eq!(found.weights, wanted.weights);
                    assert_eq!(found.golden, wanted.golden);
                }
            });
        }
        for i in 0..60 {
            models[i % 2].save(&path).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(entries(dir.path()), ["model"]);
}

/// Two that save to one place: the whole of one or of the other.
#[test]
fn savers_of_one_place_do_not_mix() {
    let (dir, path) = saved();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..10).for_each(|_| artifact().save(&path).unwrap()));
        }
        scope.spawn(|| (0..10).for_each(|i| artifact().save(&dir.path().join(format!("new-{i}"))).unwrap()));
    });
    Artifact::open(&path).unwrap();
    assert!(!entries(dir.path()).iter().any(|name| name.starts_with('.')));
}

#[test]
fn what_a_killed_process_left_is_swept() {
    let (dir, path) = saved();
    fs::create_dir(dir.path().join(".pleiad-dead.tmp")).unwrap();
    fs::write(dir.path().join(".pleiad-dead.tmp").join(WEIGHTS), "half").unwrap();
    artifact().save(&path).unwrap();
    assert_eq!(entries(dir.path()), ["model"]);
    // Of versions before this one.
    for (name, file) in
        [(".model.former", MODEL), (".model.aB3dEf", WEIGHTS), (".model.backup", "mine"), (".model.a", GOLDEN)]
    {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join(file), "").unwrap();
    }
    Artifact::sweep_beside(&path);
    assert_eq!(entries(dir.path()), [".model.a", ".model.backup", "model"]);
}

#[test]
fn what_is_no_artifact_is_never_replaced() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("model");
    let try_save = || {
        let error = artifact().save(&path).unwrap_err();
        assert!(matches!(error, Error::Occupied { .. }), "{error}");
        error.to_string()
    };
    fs::write(&path, "precious").unwrap();
    assert!(try_save().contains("it is a file"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("notes.txt"), "precious").unwrap();
    assert!(try_save().contains("notes.txt"));

    fs::rename(path.join("notes.txt"), path.join("model.json")).unwrap();
    assert!(try_save().contains("without a model.json of Pleiad"));
    assert_eq!(fs::read_to_string(path.join("model.json")).unwrap(), "precious");
    assert_eq!(entries(dir.path()), ["model"]);
    assert!(artifact().save(Path::new("/")).is_err());
}

#[test]
fn a_failed_save_leaves_everything_as_it_was() {
    let (dir, path) = saved();
    let mut broken = artifact();
    let name = broken.weights.tensors.keys().next().unwrap().clone();
    broken.weights.tensors.remove(&name);
    let error = broken.save(&path).unwrap_err();
    assert!(matches!(&error, Error::MissingTensor { tensor, .. } if *tensor == name), "{error}");
    let mut broken = artifact();
    broken.golden.predictions[0][1] = f32::NAN;
    assert!(broken.save(&path).unwrap_err().to_string().contains("a prediction of task \"click\" is NaN"));
    let mut broken = artifact();
    broken.graph.outputs.swap(0, 1);
    assert!(matches!(broken.save(&path).unwrap_err(), Error::Inconsistent { .. }));
    assert_eq!(Artifact::open(&path).unwrap().weights, artifact().weights);
    assert_eq!(entries(dir.path()), ["model"]);
}

#[test]
fn paths_to_nothing_are_told() {
    let (dir, path) = saved();
    assert!(refusal(&dir.path().join("modle")).contains("there is nothing at this path"));
    assert!(refusal(&path.join("model.json")).contains("not a directory"));
    for file in FILES {
        let (_dir, path) = saved();
        fs::remove_file(path.join(file)).unwrap();
        assert!(refusal(&path).contains(&format!("has no {file}")));
    }
}

/// Changes `model.json` as JSON, as a user would who knows of hashes.
fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let file = path.join(MODEL);
    let mut json: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    json.as_object_mut().unwrap().shift_remove("xxh64");
    change(&mut json);
    fs::write(file, seal(&json).unwrap()).unwrap();
}

/// Makes `model.json` agree with whatever golden rows there are.
fn accept_golden_rows(path: &Path) {
    let hash = hex(hash_file(&path.join(GOLDEN)).unwrap());
    edit(path, |json| json["golden_xxh64"] = json!(hash));
}

#[test]
fn other_versions_are_refused_by_number() {
    let (_dir, path) = saved();
    // A later format may have another shape altogether: the message still names the version.
    fs::write(path.join(MODEL), r#"{"format": "pleiad-model", "format_version": 3, "graph": "elsewhere"}"#).unwrap();
    let message = refusal(&path);
    assert!(message.contains("format version 3") && message.contains("reads 2") && message.contains("newer"));
    edit(&path, |json| json["format_version"] = json!(1));
    assert!(refusal(&path).contains("train or import the model again"));
    // An earlier version has no hash, and the message still names its version.
    fs::write(path.join(MODEL), r#"{"format": "pleiad-model", "format_version": 1}"#).unwrap();
    assert!(refusal(&path).contains("format version 1"));
    fs::write(path.join(MODEL), r#"{"format": "pleiad-model", "format_version": 2}"#).unwrap();
    assert!(refusal(&path).contains("no hash of itself"));
    // It is ours all the same, and may be replaced.
    artifact().save(&path).unwrap();
    for not_ours in ["", "{}", "[]", "null", r#"{"format": "other", "format_version": 1}"#, "{\"format\"", "\0\0\0"] {
        fs::write(path.join(MODEL), not_ours).unwrap();
        assert!(matches!(Artifact::open(&path).unwrap_err(), Error::NotAnArtifact { .. }), "{not_ours}");
    }
}

#[test]
fn what_cannot_be_looked_at_is_not_called_missing() {
    let (dir, path) = saved();
    let at = |name: &str| refusal(&dir.path().join(name));
    assert!(at("none").contains("there is nothing at this path"));
    fs::write(dir.path().join("file"), "x").unwrap();
    assert!(at("file").contains("it is not a directory"));
    assert!(at("file/model").contains("there is nothing at this path"));
    // The system refuses to look so long a name up, as it refuses folders that may not be read.
    let message = at(&"n".repeat(300));
    assert!(message.contains("cannot read") && message.contains("nnn"), "{message}");
    fs::remove_file(path.join(WEIGHTS)).unwrap();
    assert!(refusal(&path).contains("it has no weights.safetensors"));
}

#[test]
fn the_folder_of_a_run_leads_to_its_model() {
    let dir = tempfile::tempdir().unwrap();
    let (run, compared) = (dir.path().join("run"), dir.path().join("compared"));
    for model in [run.join("model"), compared.join("runs/ple/seed-1/model")] {
        fs::create_dir_all(model.parent().unwrap()).unwrap();
        artifact().save(&model).unwrap();
    }
    let hint = |of: &Path, model: &Path| {
        let (message, hint) = (refusal(of), format!("did you mean {}, ", model.display()));
        assert!(message.contains(&hint), "{message}");
    };
    hint(&run, &run.join("model"));
    hint(&compared, &compared.join("runs/ple/seed-1/model"));
    hint(&run.join("model").join(MODEL), &run.join("model"));
    assert!(!refusal(dir.path()).contains("did you mean"));
}

#[test]
fn a_model_that_does_not_hold_together_is_refused() {
    type Damage = fn(&mut Value);
    let damages: [(&str, Damage, &str); 9] = [
        ("an unknown operation", |j| j["graph"]["nodes"][0]["op"]["kind"] = json!("magic"), "magic"),
        ("a node that reads a later one", |j| j["graph"]["nodes"][3]["inputs"] = json!([99]), "node 3"),
        ("a table larger than any memory", |j| j["graph"]["tables"][0]["rows"] = json!(1u64 << 60), "graph"),
        ("a parameter of another shape", |j| j["graph"]["params"][0]["shape"] = json!([1, 1]), "graph"),
        ("no predictions", |j| j["graph"]["outputs"] = json!([]), "task"),
        ("a renamed task", |j| j["graph"]["outputs"][0]["task"] = json!("klick"), "do not belong together"),
        ("no encoder", |j| j["encoder"] = Value::Null, "damaged"),
        ("a negative width", |j| j["graph"]["nodes"][0]["width"] = json!(-1), "damaged"),
        ("an unknown key in the graph", |j| j["graph"]["extra"] = json!(1), "extra"),
    ];
    for (name, damage, told) in damages {
        let (_dir, path) = saved();
        edit(&path, damage);
        let error = Artifact::open(&path).unwrap_err().to_string();
        assert!(error.contains(told), "{name}: {error}");
    }
}

#[test]
fn nesting_does_not_overflow_the_stack() {
    let (_dir, path) = saved();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(1_000_000), close.repeat(1_000_000));
        let zeros = "0".repeat(16);
        let head = format!("{{\n  \"xxh64\": \"{zeros}\",\n  \"format\": \"pleiad-model\", \"format_version\": 2,");
        let json = format!("{head} \"model\": {deep}}}");
        let hash = hex(xxhash_rust::xxh64::xxh64(json.as_bytes(), 0));
        fs::write(path.join(MODEL), json.replacen(&zeros, &hash, 1)).unwrap();
        assert!(refusal(&path).contains("recursion limit"), "{}", refusal(&path));
    }
}

#[test]
fn files_cut_short_anywhere_are_refused() {
    for file in FILES {
        let (_dir, path) = saved();
        let whole = fs::read(path.join(file)).unwrap();
        for at in 0..50 {
            let length = whole.len() * at / 50;
            fs::write(path.join(file), &whole[..length]).unwrap();
            let message = refusal(&path);
            assert!(message.contains(file), "{file} cut to {length}: {message}");
        }
        fs::write(path.join(file), [whole.as_slice(), b"}\0"].concat()).unwrap();
        assert!(refusal(&path).contains(file));
    }
}

#[test]
fn weights_must_be_those_of_the_graph() {
    type Change = fn(&mut Weights);
    let changes: [(Change, &str); 4] = [
        (|w| w.insert("towers.click.9.weight", vec![1], vec![0.0]), "no tensor \"towers.click.9.weight\""),
        (|w| drop(w.tensors.remove("towers.click.0.bias")), "\"towers.click.0.bias\" is missing"),
        (
            |w| {
                let tensor = w.tensors.remove("towers.click.0.bias").unwrap();
                w.tensors.insert("tower.click.0.bias".to_owned(), tensor);
            },
            "\"towers.click.0.bias\" is missing; the nearest name is \"tower.click.0.bias\"",
        ),
        (|w| w.insert("towers.click.0.bias", vec![1, 3], vec![0.0; 3]), "has shape [1, 3], the model needs [3]"),
    ];
    for (change, told) in changes {
        let (_dir, path) = saved();
        let mut weights = artifact().weights;
        change(&mut weights);
        write_safetensors(&path.join(WEIGHTS), &weights).unwrap();
        let message = refusal(&path);
        assert!(message.contains(told) && message.contains(WEIGHTS), "{message}");
        assert!(check_weights(&weights, &artifact().graph).is_err());
    }
}

#[test]
fn golden_rows_must_fit_the_model() {
    type Change = fn(&mut Golden);
    let changes: [(Change, &str); 8] = [
        (|g| g.raw = pleiad_data::RawRows::default(), "0 raw rows for 3 encoded ones"),
        (|g| g.batch.numeric[0] = f32::INFINITY, "not finite"),
        (|g| set_ids(&mut g.batch, 0, &[1, 2, 3000]), "id 3000 is beyond"),
        (|g| set_ids(&mut g.batch, 0, &[1, 2]), "do not fit 3 rows"),
        (|g| set_offsets(&mut g.batch, 1, &[0, 2, 1, 3]), "do not fit 3 rows"),
        (|g| set_offsets(&mut g.batch, 1, &[0, usize::MAX, usize::MAX, usize::MAX]), "do not fit 3 rows"),
        (|g| g.predictions[1][2] = f32::NEG_INFINITY, "a prediction of task \"stay\""),
        (|g| g.predictions[0].truncate(2), "2 predictions of task \"click\""),
    ];
    for (change, told) in changes {
        let (_dir, path) = saved();
        let Artifact { mut golden, graph, .. } = artifact();
        change(&mut golden);
        golden.write(&path.join(GOLDEN), &graph).unwrap();
        let message = refusal(&path);
        assert!(message.contains("are not those that model.json was saved with"), "{message}");
        accept_golden_rows(&path);
        let message = refusal(&path);
        assert!(message.contains(told) && message.contains(GOLDEN), "{message}");
    }
    let (_dir, path) = saved();
    fs::copy(path.join(WEIGHTS), path.join(GOLDEN)).unwrap();
    accept_golden_rows(&path);
    assert!(refusal(&path).contains("\"numeric\" is missing"));
}

fn set_ids(batch: &mut Batch, slot: usize, new: &[u64]) {
    let pleiad_data::Ids::Single(ids) = &mut batch.categorical[slot] else { panic!("single-valued") };
    *ids = new.to_vec();
}

fn set_offsets(batch: &mut Batch, slot: usize, new: &[usize]) {
    let pleiad_data::Ids::Multiple { offsets, .. } = &mut batch.categorical[slot] else { panic!("multi-valued") };
    *offsets = new.to_vec();
}

#[test]
fn golden_predictions_are_compared_within_their_tolerance() {
    let Artifact { golden, graph, .. } = artifact();
    golden.check(&graph, &golden.predictions).unwrap();
    let with = |t: usize, row: usize, value: f32| {
        let mut found = golden.predictions.clone();
        found[t][row] = value;
        golden.check(&graph, &found)
    };
    with(0, 1, 0.500_009).unwrap();
    with(1, 2, 1_000_009.0).unwrap();
    let message = with(0, 1, 0.500_02).unwrap_err().to_string();
    assert!(message.contains("\"click\", row 1: 0.50002 instead of 0.5"), "{message}");
    with(1, 2, 1_000_020.0).unwrap_err();
    with(1, 0, f32::NAN).unwrap_err();
    golden.check(&graph, &golden.predictions[..1]).unwrap_err();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_bit_of_the_weights_comes_back(seed in any::<u32>()) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("model");
        let mut artifact = artifact();
        // Any bits: subnormal numbers, infinities, NaNs with a payload.
        let mut bits = seed;
        for tensor in artifact.weights.tensors.values_mut() {
            for value in &mut tensor.data {
                bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *value = f32::from_bits(bits.rotate_left(13));
            }
        }
        artifact.save(&path).unwrap();
        let found = Artifact::open(&path).unwrap();
        let bits = |weights: &Weights| -> Vec<u32> {
            weights.tensors.values().flat_map(|t| t.data.iter().map(|x| x.to_bits())).collect()
        };
        prop_assert_eq!(bits(&found.weights), bits(&artifact.weights));
    }

    /// Whatever bytes are there instead: an error or the same model, never a panic.
    #[test]
    fn other_bytes_are_refused(
        file in 0usize..3,
        at in any::<prop::sample::Index>(),
        other in prop::collection::vec(any::<u8>(), 0..20),
        replaced in 0usize..20,
    ) {
        let (_dir, path) = saved();
        let file = path.join(FILES[file]);
        let mut bytes = fs::read(&file).unwrap();
        let at = at.index(bytes.len());
        let end = bytes.len().min(at + replaced);
        bytes.splice(at..end, other);
        fs::write(&file, bytes).unwrap();
        match Artifact::open(&path) {
            Ok(found) => prop_assert!(is_the_same(&found, &artifact())),
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Data),
        }
    }
}

fn is_the_same(found: &Artifact, wanted: &Artifact) -> bool {
    let encoder = |artifact: &Artifact| serde_json::to_string(&artifact.encoder).unwrap();
    found.weights == wanted.weights
        && found.golden == wanted.golden
        && found.graph == wanted.graph
        && encoder(found) == encoder(wanted)
}

#[test]
fn every_byte_of_every_file_counts() {
    let (_dir, path) = saved();
    let wanted = artifact();
    let mut refused = 0;
    for file in FILES {
        let whole = fs::read(path.join(file)).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(path.join(file), bytes).unwrap();
            match Artifact::open(&path) {
                Ok(found) => assert!(is_the_same(&found, &wanted), "{file}, byte {at}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Data, "{file}, byte {at}: {error}");
                    refused += 1;
                }
            }
        }
        fs::write(path.join(file), whole).unwrap();
    }
    assert!(refused > 5000, "{refused}");
    Artifact::open(&path).unwrap();
}

/// What a hash cannot see: a program that makes something else of the same value.
#[test]
fn raw_golden_rows_must_be_encoded_as_they_were() {
    let (_dir, path) = saved();
    edit(&path, |json| {
        let values = json["encoder"]["vocabularies"]["city"].as_array_mut().unwrap();
        values.swap(0, 1);
    });
    let message = refusal(&path);
    assert!(message.contains("row 0, feature \"city\"") && message.contains("otherwise"), "{message}");
    let mut broken = artifact();
    broken.golden.batch.numeric[1] += 1.0;
    let message = broken.save(&path).unwrap_err().to_string();
    assert!(message.contains("row 1, feature \"age\""), "{message}");
}

#[test]
fn a_weight_that_no_golden_row_touches_is_missed_too() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("model");
    let artifact = artifact();
    artifact.save(&path).unwrap();
    let mut weights = artifact.weights.clone();
    let table = weights.tensors.get_mut("embeddings.city.weight").unwrap();
    let last = table.data.len() - 1;
    table.data[last] += 1.0;
    write_safetensors(&path.join(WEIGHTS), &weights).unwrap();
    let error = Artifact::open(&path).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("weights.safetensors") && error.to_string().contains("copy"), "{error}");
}
