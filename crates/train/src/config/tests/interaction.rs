//! `[interaction]`: the models that have it, and the places of its errors.

use super::*;

/// BASE with lines before `[model]`, which is the 26th, and at the end.
fn with(before: &str, end: &str) -> String {
    format!("{}{end}", BASE.replacen("[model]\n", &format!("{before}[model]\n"), 1))
}

fn message(before: &str, end: &str) -> String {
    parse(&with(before, end), &[]).unwrap_err().to_string()
}

/// Dense parameters of the model of that name whose names begin with `interaction`.
fn crossed(file: &ConfigFile, name: Option<&str>) -> usize {
    let graph = file.model(name).unwrap().build(&provisional_layout(&file.schema), &file.schema.task_specs()).unwrap();
    graph.params.iter().filter(|param| param.name.starts_with("interaction.")).count()
}

#[test]
fn all_models_have_what_they_say_nothing_of_themselves() {
    let model = |name: &str, keys: &str| {
        format!("[[compare.model]]\nname = '{name}'\nkind = 'hard-sharing'\nbottom = [4]\n{keys}\n")
    };
    let compare = [
        "[compare]\nbaseline = 'a'\n".to_owned(),
        model("a", ""),
        model("b", "interaction = { kind = 'cross', layers = 3 }"),
        model("c", "interaction = { kind = 'none' }"),
    ]
    .concat();
    let file = parse(&with("[interaction]\nkind = 'cross'\n", &compare), &[]).unwrap();
    let found = [None, Some("a"), Some("b"), Some("c")].map(|name| crossed(&file, name));
    // A weight and a bias a layer.
    assert_eq!(found, [2 * 2, 2 * 2, 2 * 3, 0]);
    let json = serde_json::to_string(&file.config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), file.config);
    let set = parse(BASE, &["interaction={kind=\"cross\",rank=2}"]).unwrap();
    assert_eq!(crossed(&set, None), 2 * 3);
    assert_eq!(crossed(&parse(BASE, &["interaction.kind=cross"]).unwrap(), None), 2 * 2);
    assert_eq!(crossed(&parse(BASE, &["interaction.kind=none"]).unwrap(), None), 0);
    assert_eq!(crossed(&parse(BASE, &[]).unwrap(), None), 0);
    assert!(!serde_json::to_string(&parse(BASE, &[]).unwrap().config).unwrap().contains("interaction"));
}

#[test]
fn mistakes_are_told_at_their_place() {
    let own = "[interaction]\nkind = 'cross'\n";
    for (before, end, told) in [
        ("[interaction]\nkind = 'fmm'\n", "", "27:8: interaction.kind: unknown value `fmm`; did you mean `fm`?"),
        (
            "[interaction]\nlayers = 2\n",
            "",
            "26:1: missing key `kind` in interaction; it is one of `none`, `fm`, `cross`",
        ),
        (
            "[interaction]\nkind = 'cross'\nrnk = 2\n",
            "",
            "28:1: unknown key `rnk` in interaction; did you mean `rank`?",
        ),
        ("[interaction]\nkind = 'fm'\nrank = 2\n", "", "28:1: unknown key `rank` in interaction"),
        (
            "[interaction]\nkind = 'cross'\nlayers = 0\n",
            "",
            "28:10: interaction.layers: must be at least 1 and at most 64",
        ),
        ("[interaction]\nkind = 'cross'\nrank = 11\n", "", "28:8: interaction.rank: must be at least 1 and at most 10"),
        ("[interaction]\nkind = 'cross'\nrank = -1\n", "", "28:8: interaction.rank: expected a whole number"),
        (
            "[interaction]\nkind = 'fm'\n",
            "",
            "27:8: interaction.kind: \"fm\" crosses the embeddings of different features",
        ),
        // A model's own.
        (own, "[model.interaction]\nkind = 'cross'\nrank = 11\n", "42:8: model.interaction.rank: must be at least 1"),
        (
            own,
            "[model.interaction]\nkind = 'crss'\n",
            "41:8: model.interaction.kind: unknown value `crss`; did you mean `cross`?",
        ),
        (own, "[model.interaction]\nkind = 'cross'\nrnk = 2\n", "42:1: unknown key `rnk` in model.interaction"),
        (
            own,
            "[model.interaction]\nkind = 'cross'\nlayers = 'two'\n",
            "42:10: model.interaction.layers: expected a whole number",
        ),
    ] {
        let message = message(before, end);
        assert!(message.contains(&format!("run.toml:{told}")), "{before}{end}: {message}");
    }
}

#[test]
fn an_embedding_of_another_width_is_told_by_its_feature() {
    let fm = "[interaction]\nkind = 'fm'\n";
    let feature = |columns: &str, dim: usize| {
        format!("[[feature]]\ncolumns = {columns}\nkind = 'categorical'\nembedding = {dim}\n")
    };
    let told = message(fm, &feature("['job', 'firm']", 4));
    // Two of 4 numbers, and one of 8.
    assert!(told.contains("run.toml:14:13: feature.1.embedding: "), "{told}");
    assert!(told.contains("\"city\" has 8 numbers and \"job\" has 4"), "{told}");
    let text = with(fm, &feature("['job', 'firm']", 8)).replacen(
        "transform = [\"standardize\"]",
        "exact = { min_count = 5, embedding = 4 }",
        1,
    );
    let told = parse(&text, &[]).unwrap_err().to_string();
    assert!(told.contains("run.toml:9:38: feature.0.exact.embedding: "), "{told}");
    assert!(told.contains("\"age.exact\" has 4 numbers and \"city\" has 8"), "{told}");
    parse(&text.replacen("embedding = 4", "embedding = 8", 1), &[]).unwrap();
}

#[test]
fn a_cross_network_that_does_not_fit_is_refused_before_rows_are_read() {
    if !Path::new("/proc/meminfo").exists() {
        return;
    }
    let columns: Vec<String> = (0..40).map(|i| format!("'c{i}'")).collect();
    let feature = format!(
        "[[feature]]\ncolumns = [{}]\nkind = 'categorical'\nencoding = {{ ids = 1 }}\nembedding = 4096\n",
        columns.join(", ")
    );
    // Two matrices of 163,850 numbers a side: 100 GiB each, several times over.
    let file = parse(&with("[interaction]\nkind = 'cross'\n", &feature), &[]).unwrap();
    let told = file.check_memory(None).unwrap_err().to_string();
    assert!(told.contains("run.toml:26:2: interaction: ") && told.contains("`interaction."), "{told}");
}
