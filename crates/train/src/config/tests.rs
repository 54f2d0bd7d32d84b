#![allow(clippy::unwrap_used)]

use pleiad_data::schema::{PartConfig, SplitConfig};

use super::*;

mod interaction;

const BASE: &str = r#"
[data]
train = "train.csv"
valid = { fraction = 0.1 }

[[feature]]
columns = ["age", "weeks"]
kind = "numeric"
transform = ["standardize"]

[[feature]]
columns = ["city"]
kind = "categorical"
embedding = 8

[[task]]
name = "income"
kind = "binary"
label = { column = "income", positive = "50000+." }

[[task]]
name = "spend"
kind = "regression"
label = { column = "spend" }

[model]
kind = "ple"
levels = [
    { task_experts = 2, shared_experts = 2, widths = [64] },
    { task_experts = 2, shared_experts = 2, widths = [32] },
]
tower = [32]

[train]
epochs = 10
optimizer = { kind = "adam", learning_rate = 1e-3 }
early_stopping = { patience = 3 }
"#;

fn parse(text: &str, sets: &[&str]) -> Result<ConfigFile> {
    let sets: Vec<String> = sets.iter().map(|&s| s.to_owned()).collect();
    ConfigFile::parse(Path::new("dir/run.toml"), text.to_owned(), &sets)
}

/// The message for BASE with a line replaced.
fn refusal(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "{from}");
    parse(&BASE.replacen(from, to, 1), &[]).unwrap_err().to_string()
}

fn refusal_of_set(set: &str) -> String {
    parse(BASE, &[set]).unwrap_err().to_string()
}

#[test]
fn a_configuration_reads_and_its_json_reads_back() {
    let file = parse(BASE, &[]).unwrap();
    assert_eq!(file.config.train.epochs, 10);
    assert_eq!(file.config.train.selection(), Selection::Mean);
    assert_eq!(file.folder(), Path::new("dir"));
    assert_eq!(file.model(None).unwrap().kind(), "ple");
    let json = serde_json::to_string(&file.config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), file.config);
}

#[test]
fn mistakes_are_told_with_line_column_and_the_nearest_name() {
    let cases = [
        ("epochs = 10", "epoch = 10", "dir/run.toml:35:1: unknown key `epoch` in train; did you mean `epochs`?"),
        ("[train]", "[trian]", "dir/run.toml:34:2: unknown key `trian`; did you mean `train`?"),
        (
            "embedding = 8",
            "embeding = 8",
            "dir/run.toml:14:1: unknown key `embeding` in feature.1; did you mean `embedding`?",
        ),
        (
            "learning_rate",
            "learningrate",
            "36:30: unknown key `learningrate` in train.optimizer; did you mean `learning_rate`?",
        ),
        ("patience", "patients", "37:20: unknown key `patients` in train.early_stopping"),
        ("\"adam\"", "\"adma\"", "36:22: train.optimizer.kind: unknown value `adma`; did you mean `adam`?"),
        ("tower = [32]", "towers = [32]", "32:1: unknown key `towers` in model; did you mean `tower`?"),
        ("widths = [32]", "width = [32]", "30:45: unknown key `width` in model.levels.1; did you mean `widths`?"),
        (
            "epochs = 10",
            "epochs = \"ten\"",
            "35:10: train.epochs: expected a whole number, 0 or more, found the text \"ten\"",
        ),
        ("epochs = 10", "epochs = -1", "35:10: train.epochs: expected a whole number, 0 or more, found -1"),
        ("epochs = 10", "epochs = 1.5", "35:10: train.epochs: expected a whole number, 0 or more, found 1.5"),
        (
            "optimizer = {",
            "schedule = \"cosine\"\noptimizer = {",
            "36:12: train.schedule: expected a table with a `kind`, found the text \"cosine\"",
        ),
        ("epochs = 10", "epochs = 0", "35:10: train.epochs: must be at least 1, not 0"),
        ("epochs = 10", "epochs = 10\nepochs = 11", "36:1: not valid TOML: duplicate key"),
        ("epochs = 10", "epochs =", "35:9: not valid TOML"),
        ("widths = [32]", "", "30:5: missing key `widths` in model.levels.1"),
        ("tower = [32]", "widths = [32]\ntower = [32]", "32:1: unknown key `widths` in model; "),
        ("tower = [32]", "tower = 32", "32:9: model.tower: expected a list of widths"),
        ("learning_rate = 1e-3", "learning_rate = -1.0", "36:46: train.optimizer.learning_rate: "),
        ("patience = 3", "patience = 0", "37:31: train.early_stopping.patience: must be at least 1"),
        (
            "patience = 3",
            "patience = 3, metric = \"incom.auc\"",
            "37:43: train.early_stopping.metric: there is no task \"incom\"; did you mean `income`?",
        ),
        ("patience = 3", "patience = 3, metric = \"auc\"", "is neither \"mean\" nor \"TASK.METRIC\""),
        ("name = \"spend\"", "name = \"income\"", "22:8: task.1.name: "),
        ("kind = \"ple\"", "kind = \"plee\"", "27:8: model.kind: "),
        ("kind = \"ple\"", "", "26:2: model.kind: is missing"),
        ("train = \"train.csv\"", "", ":2:2: data: `train` is missing: name the files of the training rows"),
        (
            "{ column = \"spend\" }",
            "{ column = \"age\" }",
            "24:20: task.1.label.column: column \"age\" is also a feature",
        ),
        (
            "valid = { fraction = 0.1 }",
            "valid = { fraction = 1.5 }",
            "4:22: data.valid.fraction: must lie above 0 and below 1, not 1.5",
        ),
        ("valid = { fraction = 0.1 }", "", "37:1: train.early_stopping: it needs validation rows, and [data] has none"),
        (
            "label = { column = \"spend\" }",
            "label = { column = \"spend\" }\nweight = 3.5e38",
            ":25:10: task.1.weight: ",
        ),
        (
            "label = { column = \"spend\" }",
            "label = { column = \"spend\" }\nweight = { initial = 1e300, ratio = 1.0 }",
            ":25:22: task.1.weight.initial: ",
        ),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .map(|&(from, to, expected)| (to, expected, refusal(from, to)))
        .filter(|(_, expected, message)| !message.contains(expected))
        .map(|(to, expected, message)| format!("{to}: expected {expected:?}, got\n{message}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_line_is_quoted_with_a_mark_below() {
    let message = refusal("epochs = 10", "epoch = 10");
    assert!(message.ends_with("\n   |\n35 | epoch = 10\n   | ^^^^^"), "{message}");
}

#[test]
fn names_of_other_libraries_lead_to_ours() {
    let cases = [
        ("epochs = 10", "lr = 0.1", "35:1: unknown key `lr` in train; did you mean `optimizer.learning_rate`?"),
        ("epochs = 10", "learning_rate = 0.1", "`learning_rate` in train; did you mean `optimizer.learning_rate`?"),
        ("epochs = 10", "batch = 3", "unknown key `batch` in train; did you mean `batch_size`?"),
        ("epochs = 10", "patience = 3", "did you mean `early_stopping.patience`?"),
        ("epochs = 10", "dropout = 0.1", "did you mean `dropout` of [model]? (known here: epochs,"),
        ("learning_rate = 1e-3", "lr = 1e-3", "in train.optimizer; did you mean `learning_rate`?"),
        ("learning_rate = 1e-3", "eps = 1e-3", "in train.optimizer; did you mean `epsilon`?"),
        ("tower = [32]", "tower = [32]\ndropout_rate = 0.1", "in model; did you mean `dropout`?"),
        ("tower = [32]", "hidden_units = [32]", "in model; did you mean `levels.0.widths`?"),
        ("widths = [32]", "hidden_units = [32]", "in model.levels.1; did you mean `widths`?"),
        ("embedding = 8", "embedding_dim = 8", "in feature.1; did you mean `embedding`?"),
        ("embedding = 8", "vocab_size = 8", "in feature.1; did you mean `encoding.vocabulary.max_size`?"),
        ("train = \"train.csv\"", "train = \"train.csv\"\nsep = \";\"", "in data; did you mean `csv.separator`?"),
        ("kind = \"regression\"", "kind = \"mse\"", "task.1.kind: unknown value `mse`; did you mean `regression`?"),
        ("kind = \"categorical\"", "kind = \"sparse\"", "unknown value `sparse`; did you mean `categorical`?"),
        ("[train]", "[training]", "unknown key `training`; did you mean `train`?"),
    ];
    for (from, to, expected) in cases {
        let message = refusal(from, to);
        assert!(message.contains(expected), "{to}: expected {expected:?}, got\n{message}");
    }
}

#[test]
fn short_forms_are_their_tables() {
    let long = parse(BASE, &["train.optimizer={kind=\"adam\"}"]).unwrap();
    let short = parse(BASE, &["train.optimizer=adam", "task.1.label=spend"]).unwrap();
    assert_eq!(short.config, long.config);
    // So are what a run is known by, and what the file says.
    assert_eq!(serde_json::to_string(&short.config).unwrap(), serde_json::to_string(&long.config).unwrap());
    let text = BASE.replace("{ kind = \"adam\", learning_rate = 1e-3 }", "\"adam\"");
    let text = text.replace("label = { column = \"spend\" }", "label = \"spend\"");
    assert_eq!(parse(&text, &[]).unwrap().config, long.config);
    for (from, to, expected) in [
        (
            "{ kind = \"adam\", learning_rate = 1e-3 }",
            "\"adma\"",
            "36:13: train.optimizer: unknown value `adma`; did you mean `adam`?",
        ),
        (
            "{ kind = \"adam\", learning_rate = 1e-3 }",
            "\"sgd\"",
            "36:13: train.optimizer: sgd has no default rate: write {",
        ),
        (
            "{ kind = \"adam\", learning_rate = 1e-3 }",
            "3",
            "36:13: train.optimizer: expected a name (adam, adamw, adagrad) or a table",
        ),
        ("{ column = \"spend\" }", "3", "24:9: task.1.label: expected the name of a column or {"),
        (
            "{ column = \"spend\" }",
            "{ colum = \"spend\" }",
            "24:11: unknown key `colum` in task.1.label; did you mean `column`?",
        ),
        ("{ column = \"spend\" }", "\"age\"", "24:9: task.1.label.column: column \"age\" is also a feature"),
    ] {
        let message = refusal(from, to);
        assert!(message.contains(expected), "{to}: expected {expected:?}, got\n{message}");
    }
    let schema = Config::json_schema();
    assert_eq!(schema["$defs"]["LabelConfig"]["anyOf"][0]["type"], "string");
}

#[test]
fn missing_blocks_are_named() {
    let without = |from: &str, to: &str| {
        let (a, b) = (BASE.find(from).unwrap(), BASE.find(to).unwrap());
        parse(&format!("{}{}", &BASE[..a], &BASE[b..]), &[]).unwrap_err().to_string()
    };
    assert_eq!(without("[data]", "[[feature]]"), "dir/run.toml: there is no [data]");
    assert!(without("[[feature]]", "[[task]]").contains("there is no [[feature]] block"));
    assert!(without("[[task]]", "[model]").contains("there is no [[task]] block"));
    let (a, b) = (BASE.find("[model]").unwrap(), BASE.find("[train]").unwrap());
    let file = parse(&format!("{}{}", &BASE[..a], &BASE[b..]), &[]).unwrap();
    assert!(file.model(None).unwrap_err().to_string().contains("there is no [model]"));
}

#[test]
fn set_reaches_every_key() {
    let file = parse(
        BASE,
        &[
            "train.epochs=3",
            "feature.1.embedding=4",
            "model.levels.1.shared_experts=3",
            "data.train=a b.csv",
            "train.optimizer={ kind = \"sgd\", learning_rate = 0.5 }",
            "train.checkpoint.every_steps=7",
            "train.seed = 9",
        ],
    )
    .unwrap();
    assert_eq!(file.config.train.epochs, 3);
    assert_eq!(file.config.train.seed, 9);
    assert_eq!(file.config.train.checkpoint.every_steps, Some(7));
    assert_eq!(file.config.train.optimizer.learning_rate(), 0.5);
    assert_eq!(file.config.features[1].embedding, Some(4));
    assert_eq!(file.config.data.train.as_ref().unwrap().patterns(), ["a b.csv"]);
    let json = serde_json::to_value(&file.config).unwrap();
    assert_eq!(json["model"]["levels"][1]["shared_experts"], 3);
}

#[test]
fn set_chooses_a_joint_loss() {
    let file = parse(BASE, &["train.joint_loss.gradient=pcgrad", "train.joint_loss.weighting.kind=gradnorm"]).unwrap();
    let joint_loss = file.config.train.joint_loss;
    assert_eq!((joint_loss.gradient.name(), joint_loss.weighting.name()), ("pcgrad", "gradnorm"));
    // What says nothing new is not written, so that it does not change what a run is.
    let file = parse(BASE, &["train.joint_loss.weighting=static"]).unwrap();
    assert!(serde_json::to_value(&file.config).unwrap()["train"].get("joint_loss").is_none());
}

#[test]
fn mistakes_in_a_joint_loss_are_told_at_their_place() {
    for (line, expected) in [
        (
            "joint_loss = { gradient = \"pcgrd\" }",
            "36:27: train.joint_loss.gradient: unknown value `pcgrd`; did you mean `pcgrad`?",
        ),
        (
            "joint_loss = { gradiant = \"pcgrad\" }",
            "36:16: unknown key `gradiant` in train.joint_loss; did you mean `gradient`?",
        ),
        (
            "joint_loss = { weighting = { kind = \"dwa\", temprature = 1.0 } }",
            "36:44: unknown key `temprature` in train.joint_loss.weighting; did you mean `temperature`?",
        ),
        (
            "joint_loss = { weighting = { kind = \"dwa\", temperature = 0.0 } }",
            "36:58: train.joint_loss.weighting.temperature: must be a finite number above 0, not 0",
        ),
        (
            "joint_loss = { weighting = { kind = \"gradnorm\", alpha = -1.0 } }",
            "36:57: train.joint_loss.weighting.alpha: must be a finite number, 0 or above, not -1",
        ),
        (
            "joint_loss = { weighting = { kind = \"uncertainty\", learning_rate = inf } }",
            "36:68: train.joint_loss.weighting.learning_rate: must be a finite number above 0, not inf",
        ),
        (
            "joint_loss = { gradient = { kind = \"cagrad\", c = -0.1 } }",
            "36:50: train.joint_loss.gradient.c: must be a finite number, 0 or above, not -0.1",
        ),
        ("joint_loss = { gradient = 3 }", "expected a name (sum, pcgrad, cagrad) or a table with a `kind`, found 3"),
    ] {
        let message = refusal("epochs = 10", &format!("epochs = 10\n{line}"));
        assert!(message.contains(expected), "{line}\n{message}");
    }
}

#[test]
fn mistakes_in_set_name_the_set() {
    let of_two = |sets: &[&str]| parse(BASE, sets).unwrap_err().to_string();
    let message = of_two(&["train.schedule.kind=cosine", "train.schedule.foo=3"]);
    assert!(message.starts_with("--set train.schedule.foo=3: unknown key `foo` in train.schedule"), "{message}");
    for (set, expected) in [
        ("train.epoch=3", "--set train.epoch=3: unknown key `epoch` in train; did you mean `epochs`?"),
        (
            "train.epochs=many",
            "--set train.epochs=many: train.epochs: expected a whole number, 0 or more, found the text \"many\"",
        ),
        ("trian.epochs=3", "--set trian.epochs=3: unknown key `trian`; did you mean `train`?"),
        (
            "train.seed=99999999999999999999",
            "expected a whole number from 0 to 18446744073709551615, found 99999999999999999999",
        ),
        ("train.epochs=0", "--set train.epochs=0: train.epochs: must be at least 1"),
        ("train.epochs", "--set train.epochs: expected KEY=VALUE"),
        ("feature.2.embedding=4", "there is no element 2: the array has 2"),
        ("feature.x.embedding=4", "\"x\" stands where the position in an array is expected, 0 to 1"),
        ("train.epochs.x=4", "`x` would lie inside of a value (integer)"),
        ("train..x=4", "has an empty part"),
        ("model.levels.0.width=[3]", "--set model.levels.0.width=[3]: unknown key `width` in model.levels.0"),
        // A table that the shell gives has places of its own: the path of what is wrong in it, not that of its last value.
        (
            "train.optimizer={kind=\"adma\", epsilon=1}",
            "1}: train.optimizer.kind: unknown value `adma`; did you mean `adam`?",
        ),
        (
            "train.optimizer={kind=\"adam\", lr=1}",
            "lr=1}: unknown key `lr` in train.optimizer; did you mean `learning_rate`?",
        ),
        ("task.0.label={colum=\"x\"}", "}: unknown key `colum` in task.0.label; did you mean `column`?"),
        ("train.embedding_optimizer.lr=1", "lr=1: missing key `kind` in train.embedding_optimizer"),
        (
            "train.schedule.warmup_steps=100",
            "missing key `kind` in train.schedule; it is one of `constant`, `cosine`, `step`, `exponential`",
        ),
        (
            "model={kind=\"mmoe\", experts=2, widths=[3], towers=[4]}",
            "}: unknown key `towers` in model; did you mean `tower`?",
        ),
        (
            "model={kind=\"mmoe\", experts=-2, widths=[3]}",
            "}: model.experts: expected a whole number, 0 or more, found -2",
        ),
        // What the shell has changed below a key of the file is its fault.
        ("model.tower={income=[3], incom=[4]}", "--set model.tower={income=[3], incom=[4]}: model.tower: "),
        (
            "model.levels.0.task_experts={income=2, x=3}",
            "--set model.levels.0.task_experts={income=2, x=3}: model.levels.0",
        ),
        // A kind that the shell has changed makes keys of the file unknown, and others missing.
        (
            "model.kind=mmoe",
            "dir/run.toml:28:1: unknown key `levels` in model (whose kind --set model.kind=mmoe has changed)",
        ),
    ] {
        let message = refusal_of_set(set);
        assert!(message.contains(expected), "{set}\n{message}");
    }
}

const COMPARE: &str = r#"
[compare]
baseline = "single"
[[compare.model]]
name = "single"
kind = "single-task"
bottom = [8]
tower = [4]
[[compare.model]]
name = "PLE small"
kind = "ple"
levels = [{ task_experts = 1, shared_experts = 1, widths = [8] }]
tower = [4]
"#;

#[test]
fn models_are_chosen_by_name() {
    let text = format!("{BASE}{COMPARE}");
    let file = parse(&text, &[]).unwrap();
    assert_eq!(file.model(Some("single")).unwrap().kind(), "single-task");
    assert_eq!(file.model(None).unwrap().kind(), "ple");
    let message = file.model(Some("PLE smal")).unwrap_err().to_string();
    assert!(message.contains("did you mean \"PLE small\"?"), "{message}");
    for (from, to, expected) in [
        (
            "baseline = \"single\"",
            "baseline = \"singel\"",
            "40:12: compare.baseline: there is no [[compare.model]] \"singel\"; did you mean `single`?",
        ),
        ("name = \"PLE small\"", "name = \"single\"", "47:8: compare.model.1.name: the name \"single\" is given twice"),
        ("name = \"PLE small\"", "", "46:1: missing key `name` in compare.model.1"),
        ("bottom = [8]", "botom = [8]", "44:1: unknown key `botom` in compare.model.0; did you mean `bottom`?"),
    ] {
        let message = parse(&text.replacen(from, to, 1), &[]).unwrap_err().to_string();
        assert!(message.contains(expected), "{to}\n{message}");
    }
}

#[test]
fn a_task_that_is_learned_from_all_rows_has_no_sample_space_of_its_own() {
    let bought = "[[task]]\nname = \"bought\"\nkind = \"binary\"\nlabel = { column = \"bought\" }\n";
    let space = "where = { column = \"income\", equals = 1 }\n";
    let esmm = "kind = \"esmm\"\nfunnel = [\"income\", \"bought\"]\ntower = [4]\n";
    let single = "[model]\nkind = \"ple\"";
    let base = |task: &str| BASE.replacen("[model]", &format!("{task}\n[model]"), 1);
    let with = |task: &str, model: &str| {
        let text = base(task);
        let (a, b) = (text.find(single).unwrap(), text.find("[train]").unwrap());
        parse(&format!("{}[model]\n{model}{}", &text[..a], &text[b..]), &[])
    };
    with(bought, esmm).unwrap();
    let message = with(&format!("{bought}{space}"), esmm).unwrap_err().to_string();
    let expected = "dir/run.toml:30:1: task.2.where: the model (kind \"esmm\") predicts \"bought\" as a probability over all \
                    rows and has to learn it from all rows: remove `where`, and let the label be 0, not missing, in \
                    rows without the event";
    assert!(message.starts_with(expected), "{message}");
    assert!(message.contains("where = { column"), "{message}");
    let sampled = "sampled = { negatives = 0.5 }\n";
    let message = with(&format!("{bought}{sampled}"), esmm).unwrap_err().to_string();
    let expected =
        "dir/run.toml:30:1: task.2.sampled: \"esmm\" makes a product of probabilities over all rows of \"bought\"";
    assert!(message.starts_with(expected), "{message}");
    parse(&base(&format!("{bought}{sampled}")), &[]).unwrap();
    // Other structures take it, and a comparison says which model does not.
    let text = base(&format!("{bought}{space}"));
    parse(&text, &[]).unwrap();
    let message = parse(&format!("{text}{COMPARE}[[compare.model]]\nname = \"funnel\"\n{esmm}"), &[]).unwrap_err();
    assert!(
        message.to_string().contains("task.2.where: compare.model \"funnel\" (kind \"esmm\") predicts"),
        "{message}"
    );
    let message = with(bought, &esmm.replace("bought", "bougt")).unwrap_err().to_string();
    assert!(
        message.contains("model.funnel.1: names the unknown task \"bougt\"; did you mean \"bought\"?"),
        "{message}"
    );
}

#[test]
fn rank_names_tasks_and_numeric_columns() {
    let rank = "[rank]\nscore = { income = 1.0, spend = 0.5 }\ntransform = { column = \"age\", kind = \"log1p\" }\n";
    let text = format!("{BASE}{rank}");
    assert_eq!(parse(&text, &[]).unwrap().config.rank.unwrap().transform.unwrap().power, 1.0);
    for (from, to, expected) in [
        ("spend = 0.5", "spent = 0.5", "39:33: rank.score.spent: there is no task \"spent\"; did you mean `spend`?"),
        (
            "\"age\", kind = \"log1p\"",
            "\"city\", kind = \"log1p\"",
            "40:24: rank.transform.column: no feature reads column \"city\" as a number",
        ),
        ("\"log1p\"", "\"log\"", "40:38: rank.transform.kind: unknown value `log`; did you mean `log1p`?"),
    ] {
        let at = text.rfind(from).unwrap();
        let text = format!("{}{to}{}", &text[..at], &text[at + from.len()..]);
        let message = parse(&text, &[]).unwrap_err().to_string();
        assert!(message.contains(expected), "{to}\n{message}");
    }
}

#[test]
fn rows_in_memory_need_no_path() {
    let mut config = parse(BASE, &[]).unwrap().config;
    config.data.train = None;
    config.data.test = Some(SplitConfig::Part(PartConfig { memory: true, ..PartConfig::default() }));
    let file = ConfigFile::in_memory(&config).unwrap();
    assert_eq!(file.config, config);
    // A program's text is no file's: what it says has to be somewhere.
    let error = parse(file.text(), &[]).unwrap_err().to_string();
    assert!(error.contains("`train` is missing: name the files of the training rows"), "{error}");
    let error = parse(BASE, &["data.valid={ memory = true }"]).unwrap_err().to_string();
    assert!(error.contains("data.valid.memory: a program hands over such rows"), "{error}");
    config.model = None;
    let task = &mut config.tasks[0];
    task.name = String::new();
    let error = ConfigFile::in_memory(&config).unwrap_err().to_string();
    assert!(error.starts_with("configuration:") && error.contains("name"), "{error}");
}

#[test]
fn the_schema_knows_every_key() {
    let schema = Config::json_schema().to_string();
    for key in [
        "on_bad_row",
        "pooling",
        "attention",
        "positive",
        "task_experts",
        "early_stopping",
        "match_parameters",
        "power",
        "exact",
        "decay",
        "field_dropout",
        "pieces",
        "periodic",
        "sigma",
        "interaction",
    ] {
        assert!(schema.contains(&format!("\"{key}\"")), "{key}");
    }
}

#[test]
fn no_text_panics() {
    for text in [
        "",
        "\u{feff}",
        "[",
        "a = 1",
        "[[data]]",
        "data = 3",
        "[data]\ntrain = [[1]]",
        "\u{0}",
        "[train]\nepochs = 1e999",
    ] {
        assert!(parse(text, &[]).is_err(), "{text:?}");
    }
    assert!(
        ConfigFile::load(Path::new("no/such.toml"), &[])
            .unwrap_err()
            .to_string()
            .contains("cannot read the configuration")
    );
}

#[test]
fn values_of_the_wrong_kind_are_told_without_the_words_of_a_program() {
    for (set, says) in [
        ("train.explain.rows=\"x\"", "train.explain.rows: expected a number, found the text \"x\""),
        ("train.explain={ features = [] }", "train.explain.features: expected a number, found a list"),
        ("train.explain.rows=1979-05-27", "train.explain.rows: expected a number, found the date 1979-05-27"),
        ("train.epochs=1979-05-27", "train.epochs: expected a whole number, 0 or more, found the date 1979-05-27"),
        ("train.optimizer.betas=[0.9]", "train.optimizer.betas: expected a list of 2 values, found 1"),
        ("task.0.kind=3", "task.0.kind: expected a text in quotes, found 3"),
        ("data.on_bad_row=[1]", "data.on_bad_row: expected a text in quotes, found a list"),
        ("train.precision=true", "train.precision: expected a text in quotes, found true"),
        ("model=3", "model: expected a table, found 3"),
        (
            "train.batch_size=99999999999999999999",
            "train.batch_size: expected a whole number from 0 to 18446744073709551615, found 99999999999999999999",
        ),
        ("model.tower=[99999999999999999999]", "model.tower.0: must be a smaller number: whole numbers go to 184467"),
        ("train.clip_norm=1e400", "train.clip_norm: must be a smaller number: numbers go to 1.79"),
        ("train.field_dropout=1", "train.field_dropout: must be at least 0 and below 1, not 1"),
        ("train.field_dropout=-0.1", "train.field_dropout: must be at least 0 and below 1, not -0.1"),
        ("train.field_dropout=0.99999999999", "train.field_dropout: must be at least 0 and below 1, not 0.99999999999"),
        ("train.clip_norm=-1e308", "train.clip_norm: must be a finite number above 0, not -1e308"),
    ] {
        let message = refusal_of_set(set);
        assert!(message.starts_with(&format!("--set {set}: {says}")) && !message.contains('\n'), "{message}");
    }
}

/// The largest vocabulary is the one whose table, with a row for unknown values, is the largest table.
#[test]
fn a_vocabulary_may_be_one_value_smaller_than_its_table() {
    let sets = |size: u64| format!("feature.1.encoding={{ vocabulary = {{ max_size = {size} }} }}");
    let message = refusal_of_set(&sets(1 << 40));
    assert!(
        message.contains("1099511627776 is not allowed: a vocabulary keeps at most 1099511627775 values"),
        "{message}"
    );
    parse(BASE, &[&sets((1 << 40) - 1)]).unwrap();
}
