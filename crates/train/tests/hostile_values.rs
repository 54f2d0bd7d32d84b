//! Every key that takes a number, with absurd numbers: each trains, or is refused by its name.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use pleiad_train::config::Config;
use pleiad_train::{ConfigFile, Error, ErrorKind, Interrupt, Silent, TrainOptions, train};
use serde_json::Value;

/// What is written in the place of a number.
const VALUES: [&str; 20] = [
    "0",
    "-1",
    "1.5",
    "3000000",
    "2147483648",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "99999999999999999999",
    "1e-320",
    "1e10",
    "1e39",
    "1e308",
    "1e400",
    "inf",
    "-inf",
    "nan",
    "\"text\"",
    "[]",
    "{}",
];

/// The parts that all configurations have.
const COMMON: &str = r#"
[[feature]]
columns = ["id"]
kind = "categorical"
encoding = { vocabulary = { min_count = 1, max_size = 100 } }
embedding = 3
[[feature]]
columns = ["u"]
kind = "categorical"
encoding = { hash = 10 }
embedding = 2
[[feature]]
columns = ["m"]
kind = "categorical"
encoding = { ids = 8 }
embedding = 2
[[feature]]
name = "h"
columns = ["m"]
kind = "categorical"
encoding = { integer_hash = 10 }
embedding = 2
[[feature]]
columns = ["x"]
kind = "numeric"
transform = [{ clip = [-2.0, 2.0] }, "standardize"]
missing = 0.5
pieces = 4
periodic = { embedding = 2, frequencies = 3, sigma = 0.1 }
exact = { embedding = 2, min_count = 1, max_size = 100 }
[[feature]]
columns = ["price"]
kind = "bucketized"
buckets = 4
embedding = 2
[[feature]]
columns = ["day"]
kind = "bucketized"
boundaries = [1.0, 10.0]
embedding = 2
[[task]]
name = "a"
kind = "binary"
label = { column = "a", positive = 1, missing = 0 }
weight = { initial = 1.0, ratio = 0.999 }
[[task]]
name = "b"
kind = "binary"
label = { column = "b" }
weight = 1.0
[[task]]
name = "c"
kind = "regression"
label = { column = "c", missing = 0.5 }
where = { column = "a", equals = 1 }
[rank]
score = { a = 1.0, b = 0.5 }
floor = { b = 0.1 }
cap = { b = 0.9 }
transform = { column = "x", kind = "sigmoid", power = 0.5 }
"#;

const HARD: &str = "kind = 'hard-sharing'\nbottom = [4]\ntower = [3]\ndropout = 0.1";

/// Configurations in which every key with a number stands: `[data]`, `[model]`, `[train]`, and which of their keys are
/// tried.
fn bases() -> Vec<(String, &'static str)> {
    let of = |data: &str, model: &str, train: &str| {
        format!(
            "[data]\ntrain = 'log.csv'\n{data}\n{COMMON}\n[model]\n{model}\n[train]\nepochs = 1\nbatch_size = 16\n\
             evaluation_batch_size = 64\nseed = 3\n{train}\n"
        )
    };
    let share = "valid = { fraction = 0.3 }";
    let mut bases = vec![
        (of(share, HARD, "explain = { rows = 0.5, features = 0.5 }"), ""),
        (
            of("valid = { column = 'day', from = 20, to = 28 }\ntest = { column = 'day', equals = 3 }", HARD, ""),
            "data.",
        ),
        (
            of(share, HARD, "").replace("{ column = \"a\", equals = 1 }", "{ column = 'a', in = [1, 5] }"),
            "task.2.where",
        ),
        (
            of(share, HARD, "").replace("{ column = \"a\", equals = 1 }", "{ column = 'a', not_equals = 0 }"),
            "task.2.where",
        ),
        (of(share, HARD, "").replace("[model]\n", "[metrics]\ngroup = 'u'\nk = [1, 10]\n[model]\n"), "metrics."),
        (of(&format!("{share}\nstream = {{ window = 64 }}"), HARD, ""), "data.stream"),
        (
            of(share, HARD, "")
                .replace(
                    "label = { column = \"b\" }",
                    "label = 'b'\nloss = { kind = 'focal', gamma = 2.0, alpha = 0.25 }\npositive_weight = 2.0\n\
                     sampled = { negatives = 0.5 }",
                )
                .replace(
                    "label = { column = \"c\", missing = 0.5 }",
                    "label = { column = 'c', missing = 0.5, transform = 'log1p' }\nloss = { kind = 'huber', delta = 0.5 }",
                ),
            "task.",
        ),
    ];
    let train = [
        "optimizer = { kind = 'sgd', learning_rate = 0.1, momentum = 0.5, weight_decay = 0.01 }\n\
         embedding_optimizer = { kind = 'adagrad', learning_rate = 0.1, epsilon = 1e-8, initial_accumulator = 0.1 }\n\
         schedule = { kind = 'cosine', warmup_steps = 1, steps = 100, min_factor = 0.1 }\nclip_norm = 1.0\n\
         early_stopping = { patience = 2, min_delta = 0.0 }\n\
         checkpoint = { every_epochs = 1, every_steps = 1, every_minutes = 5.0 }\n\
         joint_loss = { weighting = { kind = 'gradnorm', alpha = 1.5, learning_rate = 0.02 }, gradient = { kind = 'cagrad', c = 0.4 } }",
        "optimizer = { kind = 'adam', learning_rate = 0.1, betas = [0.9, 0.99], epsilon = 1e-8, weight_decay = 0.01 }\n\
         schedule = { kind = 'step', every = 1, gamma = 0.5, warmup_steps = 1 }\n\
         joint_loss = { weighting = { kind = 'dwa', temperature = 2.0 } }",
        "optimizer = { kind = 'adamw', learning_rate = 0.1, betas = [0.9, 0.99], epsilon = 1e-8, weight_decay = 0.01 }\n\
         schedule = { kind = 'exponential', every = 1, gamma = 0.5 }\n\
         average = { decay = 0.9 }\nfield_dropout = 0.1\n\
         joint_loss = { weighting = { kind = 'uncertainty', learning_rate = 0.01 } }",
    ];
    bases.extend(train.map(|train| (of(share, HARD, train), "train.")));
    let models = [
        "kind = 'ple'\nlevels = [{ task_experts = 2, shared_experts = 2, widths = [4] }, \
         { task_experts = { a = 1, default = 2 }, shared_experts = 1, widths = { default = [4], shared = [3, 4] } }]\n\
         tower = { default = [3], a = [2] }\ndropout = 0.1",
        "kind = 'cgc'\ntask_experts = 2\nshared_experts = 2\nwidths = [4]\ntower = [3]",
        "kind = 'mmoe'\nexperts = 2\nwidths = [4]\ntower = [3]",
        "kind = 'ml-mmoe'\nlevels = [{ experts = 2, widths = [4] }, { experts = 2, widths = [4] }]",
        "kind = 'cross-stitch'\nbottom = [4, 4]\ntower = [3]",
        "kind = 'sluice'\nbottom = [4, 4]",
        "kind = 'esmm'\nfunnel = ['a', 'b']\ntower = [3]",
        "kind = 'aitm'\nfunnel = ['a', 'b']\nbottom = [4]\ncalibrator = 0.5",
        "kind = 'customized-sharing'\nbottom = { shared = [4], default = [3] }",
        "kind = 'asymmetric-sharing'\nbottom = [4]\nborrow = { a = ['b'] }",
        "kind = 'single-task'\nbottom = { default = [4], a = [2] }",
    ];
    bases.extend(models.map(|model| (of(share, model, ""), "model.")));
    let crosses = "[interaction]\nkind = 'cross'\nlayers = 2\nrank = 3\n[model]\n";
    bases.push((of(share, HARD, "").replace("[model]\n", crosses), "interaction."));
    let own = format!("{HARD}\ninteraction = {{ kind = 'cross', layers = 1, rank = 2 }}");
    bases.push((of(share, &own, ""), "model.interaction"));
    bases
}

/// Paths of all numbers, as `--set` takes them.
fn numbers(value: &toml::Value, path: &str, into: &mut Vec<String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        toml::Value::Integer(_) | toml::Value::Float(_) => into.push(path.to_owned()),
        toml::Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, value)| numbers(value, &below(&i.to_string()), into));
        }
        toml::Value::Table(table) => table.iter().for_each(|(key, value)| numbers(value, &below(key), into)),
        _ => {}
    }
}

/// The last part of a path that is a key of the schema, not a position and not a name that a user gave.
fn key_of(path: &str) -> &str {
    let names = ["a", "b", "default", "shared"];
    path.rsplit('.').find(|part| part.parse::<usize>().is_err() && !names.contains(part)).unwrap()
}

/// Trains, or says why not, and how it failed.
fn outcome(folder: &Path, text: &str, set: &str) -> Result<(), (Option<ErrorKind>, String)> {
    let told = |error: Error| (Some(error.kind()), error.to_string());
    let sets = [set.to_owned()];
    let config = ConfigFile::parse(&folder.join("config.toml"), text.to_owned(), &sets).map_err(told)?;
    let out = tempfile::tempdir_in(folder).unwrap();
    let options = TrainOptions {
        config: &config,
        model: None,
        out: &out.path().join("run"),
        init: None,
        resume: false,
        rows: None,
        pages: None,
    };
    train(&options, &Interrupt::default(), &mut Silent).map(drop).map_err(told)
}

#[test]
fn every_number_trains_or_is_refused_by_the_name_of_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let row = |i: usize| {
        format!(
            "{},{},{},{:.2},{},{i},{},{},{}\n",
            i % 7,
            i % 3,
            i % 4,
            i as f64 * 0.37 - 3.0,
            i * 2,
            i % 2,
            i % 3 / 2,
            i % 5
        )
    };
    let log: String = (0..40).map(row).collect();
    std::fs::write(folder.path().join("log.csv"), format!("id,u,m,x,price,day,a,b,c\n{log}")).unwrap();
    let (mut failures, mut tried, mut seen) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (text, of) in bases() {
        let sound = outcome(folder.path(), &text, "train.seed=3");
        assert!(sound.is_ok(), "{text}\n{sound:?}");
        let mut paths = Vec::new();
        numbers(&toml::from_str(&text).unwrap(), "", &mut paths);
        for path in paths.iter().filter(|path| path.starts_with(of)) {
            let key = key_of(path);
            tried.insert(key.to_owned());
            let model = if of == "model." { text.as_str() } else { "" };
            if !seen.insert((path.clone(), model.to_owned(), of == "train." || of.starts_with("task"))) {
                continue;
            }
            for value in VALUES {
                let begin = std::time::Instant::now();
                let set = format!("{path}={value}");
                match outcome(folder.path(), &text, &set) {
                    Ok(()) => {}
                    // The place repeats the --set; what is said after it must name the key by itself.
                    Err((Some(ErrorKind::Config), message))
                        if is_plain(&message) && message.replacen(&format!("--set {set}"), "", 1).contains(key) => {}
                    // A sound number may leave nothing to train on or to measure with: an error of the data.
                    Err((Some(ErrorKind::Data), _)) if path.starts_with("data.") || path.contains("where") => {}
                    Err((Some(ErrorKind::Data), _)) if path.contains("label") || path.contains("encoding.ids") => {}
                    // Rates that are numbers may still be too high: a step says so.
                    Err((Some(ErrorKind::Run), message))
                        if ["likely cause", "show no cause"].iter().any(|words| message.contains(words)) => {}
                    Err((kind, message)) => failures.push(format!("{set}: {kind:?}: {message}")),
                }
                if begin.elapsed().as_secs() > 20 {
                    failures.push(format!("{set}: took {:?}", begin.elapsed()));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}\n{} failures", failures.join("\n"), failures.len());
    // Whatever takes a number in the schema was tried.
    let mut known = BTreeSet::new();
    let schema = Config::json_schema();
    keys_with_numbers(&schema, &schema, "", &mut known);
    let of_compare = ["seeds"];
    let missing: Vec<&String> =
        known.iter().filter(|key| !tried.contains(*key) && !of_compare.contains(&key.as_str())).collect();
    assert!(missing.is_empty(), "never tried: {missing:?}");
}

/// Whether a message is in words of configurations, and not in those of the program.
fn is_plain(message: &str) -> bool {
    let foreign = ["f64", "f32", "u64", "i64", "usize", "i128", "JSON", "sequence", "overflowed", "wanted ", "\n\nin "];
    !foreign.iter().any(|word| message.contains(word))
}

/// Names of the properties of a schema that take a number, or a list or map of them.
fn keys_with_numbers(root: &Value, schema: &Value, key: &str, into: &mut BTreeSet<String>) {
    let Some(table) = schema.as_object() else { return };
    if let Some(name) = table.get("$ref").and_then(Value::as_str) {
        // Nothing in the schema holds itself.
        return keys_with_numbers(root, root.pointer(&name[1..]).unwrap(), key, into);
    }
    let is_number = |kind: &Value| matches!(kind.as_str(), Some("integer" | "number"));
    if table.get("type").is_some_and(|kind| is_number(kind) || kind.as_array().is_some_and(|k| k.iter().any(is_number)))
    {
        into.insert(key.to_owned());
    }
    for part in ["anyOf", "oneOf", "allOf"] {
        table.get(part).and_then(Value::as_array).into_iter().flatten().for_each(|schema| {
            keys_with_numbers(root, schema, key, into);
        });
    }
    for part in ["items", "additionalProperties"] {
        table.get(part).into_iter().for_each(|schema| keys_with_numbers(root, schema, key, into));
    }
    for (name, schema) in table.get("properties").and_then(Value::as_object).into_iter().flatten() {
        keys_with_numbers(root, schema, name, into);
    }
}
