//! Bad configuration: each kind names block, key and what to write instead, before any file is opened.
#![allow(clippy::unwrap_used, missing_docs)]

use crate::common::TestConfig;
use pleiad_data::ErrorKind;

const DATA: &str = "[data]\ntrain = 'log.csv'\n";
const FEATURE: &str = "[[feature]]\ncolumns = ['age']\nkind = 'numeric'\n";
const TASK: &str = "[[task]]\nname = 'click'\nkind = 'binary'\nlabel = { column = 'click' }\n";

#[track_caller]
fn refuses(config: &str, message: &str) {
    let error = TestConfig::parse(config).schema().unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.place().is_some());
}

fn data(lines: &str) -> String {
    format!("{DATA}{lines}\n{FEATURE}{TASK}")
}

fn feature(lines: &str) -> String {
    format!("{DATA}{FEATURE}{TASK}[[feature]]\n{lines}\n")
}

fn task(lines: &str) -> String {
    format!("{DATA}{FEATURE}{TASK}[[task]]\n{lines}\n")
}

#[test]
fn nothing_to_read_or_to_predict() {
    refuses(
        &format!("{DATA}{TASK}"),
        "configuration: there is no [[feature]] block, so a model would have nothing to read",
    );
    refuses(&format!("{DATA}{FEATURE}"), "configuration: there is no [[task]] block, so there is nothing to predict");
    refuses(&feature("columns = []\nkind = 'numeric'"), "[[feature]] block 2, columns: no column is given");
    refuses(
        &feature("columns = ['']\nkind = 'numeric'"),
        "[[feature]] block 2, columns: \"\" cannot be a column: it is empty",
    );
}

#[test]
fn features_of_one_column_have_names_of_their_own() {
    const OTHER_NAME: &str =
        "; where one column feeds several features, give the others names of their own with `name`";
    refuses(
        &feature("columns = ['city']\nname = 'age'\nkind = 'numeric'"),
        &format!("[[feature]] block 2, name: \"age\" is already a feature in [[feature]] block 1{OTHER_NAME}"),
    );
    refuses(
        &feature("columns = ['age']\nname = ''\nkind = 'numeric'"),
        "[[feature]] block 2, name: \"\" cannot be a feature: it is empty",
    );
    refuses(
        &feature("columns = ['age', 'city']\nname = 'both'\nkind = 'numeric'"),
        "[[feature]] block 2, name: \"both\" is not allowed: the block has 2 columns, and this is the number of names: 1; a range \
         such as x[0..2] names each of them",
    );
    refuses(
        &feature("columns = ['age']\nname = 'x[3..3]'\nkind = 'numeric'"),
        "[[feature]] block 2, name: the range of \"x[3..3]\" is empty: its end is exclusive and must be above its start",
    );
    refuses(
        &feature("columns = ['click']\nname = 'harmless'\nkind = 'numeric'"),
        "[[task]] block 1, label.column: column \"click\" is also a feature ([[feature]] block 2): the model would read what \
         it has to predict; remove it from the features",
    );
}

#[test]
fn names_are_unique() {
    const OTHER_NAME: &str =
        "; where one column feeds several features, give the others names of their own with `name`";
    refuses(
        &feature("columns = ['city', 'age']\nkind = 'categorical'\nembedding = 4"),
        &format!("[[feature]] block 2, columns: \"age\" is already a feature in [[feature]] block 1{OTHER_NAME}"),
    );
    refuses(
        &feature("columns = ['x[0..4]', 'x2']\nkind = 'numeric'"),
        &format!("[[feature]] block 2, columns: \"x2\" is already a feature in [[feature]] block 2{OTHER_NAME}"),
    );
    refuses(
        &task("name = 'click'\nkind = 'binary'\nlabel = { column = 'y' }"),
        "[[task]] block 2, name: \"click\" is already the name of [[task]] block 1",
    );
}

#[test]
fn task_names_fit_into_tensor_names() {
    for (name, reason) in [
        ("", "it is empty"),
        ("a.b", "a dot separates the parts of a tensor's name"),
        ("shared", "the shared experts' tensors have that name"),
    ] {
        refuses(
            &task(&format!("name = '{name}'\nkind = 'binary'\nlabel = {{ column = 'y' }}")),
            &format!("[[task]] block 2, name: \"{name}\" cannot be a task: {reason}"),
        );
    }
}

#[test]
fn labels_do_not_leak() {
    refuses(
        &task("name = 'old'\nkind = 'regression'\nlabel = { column = 'age' }"),
        "[[task]] block 2, label.column: column \"age\" is also a feature ([[feature]] block 1): \
         the model would read what it has to predict; remove it from the features",
    );
}

#[test]
fn tasks() {
    refuses(
        &task("name = 'a'\nkind = 'regression'\nlabel = { column = 'y', positive = 1 }"),
        "[[task]] block 2, label.positive: has no meaning here: a regression task predicts the column's number",
    );
    refuses(
        &task("name = 'a'\nkind = 'binary'\nlabel = { column = '' }"),
        "[[task]] block 2, label.column: \"\" is not allowed: name a column",
    );
    refuses(
        &task("name = 'a'\nkind = 'binary'\nlabel = { column = 'y', missing = 0.5 }"),
        "[[task]] block 2, label.missing: 0.5 is not allowed: a binary label is 0 or 1",
    );
    refuses(
        &task("name = 'a'\nkind = 'regression'\nlabel = { column = 'y', missing = inf }"),
        "[[task]] block 2, label.missing: inf is not allowed: a finite 32-bit number is needed",
    );
    let head = "name = 'a'\nkind = 'binary'\nlabel = { column = 'y' }\n";
    let choice = "[[task]] block 2, where: exactly one of `equals`, `not_equals` and `in` is needed beside `column`";
    refuses(&task(&format!("{head}where = {{ column = 'c' }}")), choice);
    refuses(&task(&format!("{head}where = {{ column = 'c', equals = 1, in = [2] }}")), choice);
    refuses(
        &task(&format!("{head}where = {{ column = 'c', in = [] }}")),
        "[[task]] block 2, where.in: [] is not allowed: without a value no row would be in the sample space",
    );
    refuses(
        &task(&format!("{head}weight = -1")),
        "[[task]] block 2, weight: must be a finite number, 0 or above, not -1",
    );
    refuses(
        &task(&format!("{head}weight = {{ initial = 1, ratio = 0 }}")),
        "[[task]] block 2, weight.ratio: must be a number above 0 and at most 1000, not 0",
    );
}

#[test]
fn embeddings_and_tables() {
    let categorical = |lines: &str| feature(&format!("columns = ['city']\nkind = 'categorical'\n{lines}"));
    refuses(&categorical(""), "[[feature]] block 2, embedding: is missing: the width of the embedding");
    refuses(
        &categorical("embedding = 0"),
        "[[feature]] block 2, embedding: 0 is not allowed: an embedding has 1 to 65536 numbers",
    );
    for rows in [0, 1] {
        refuses(
            &categorical(&format!("embedding = 4\nencoding = {{ hash = {rows} }}")),
            &format!(
                "[[feature]] block 2, encoding.hash: {rows} is not allowed: \
                 a hashed table has at least 2 rows: row 0 stands for missing values"
            ),
        );
    }
    for (rows, reason) in [
        (1, "a hashed table has at least 2 rows: row 0 stands for missing values"),
        (1u64 << 41, "a table has at most 1099511627776 rows"),
    ] {
        refuses(
            &categorical(&format!("embedding = 4\nencoding = {{ integer_hash = {rows} }}")),
            &format!("[[feature]] block 2, encoding.integer_hash: {rows} is not allowed: {reason}"),
        );
    }
    refuses(
        &categorical("embedding = 4\nencoding = { ids = 0 }"),
        "[[feature]] block 2, encoding.ids: 0 is not allowed: a table has at least 1 row",
    );
    refuses(
        &categorical("embedding = 4\nencoding = { vocabulary = { max_size = 0 } }"),
        "[[feature]] block 2, encoding.vocabulary.max_size: 0 is not allowed: a vocabulary keeps at least 1 value",
    );
    refuses(
        &categorical(
            "embedding = 4\ntable = 'places'\n[[feature]]\ncolumns = ['home']\nkind = 'categorical'\nembedding = 8\ntable = 'places'",
        ),
        "[[feature]] block 3, table: table \"places\" is shared with feature \"city\", which has another embedding",
    );
    refuses(
        &categorical("embedding = 4\npooling = 'sum'"),
        "[[feature]] block 2, pooling: has no meaning here: only features with multiple = true take it",
    );
    refuses(
        &categorical("embedding = 4\nmultiple = true\nseparator = ''"),
        "[[feature]] block 2, separator: \"\" is not allowed: at least one character separates two values",
    );
}

#[test]
fn what_weighs_a_list() {
    let item = "[[feature]]\ncolumns = ['item']\nkind = 'categorical'\nembedding = 4";
    let list =
        |lines: &str| feature(&format!("columns = ['seen']\nkind = 'categorical'\nembedding = 4\n{lines}\n{item}"));
    let attention = |keys: &str| list(&format!("multiple = true\nattention = {{ {keys} }}"));
    let at = |rest: &str| format!("[[feature]] block 2, attention{rest}");
    refuses(
        &list("attention = { target = 'item' }"),
        &at(": has no meaning here: only features with multiple = true take it"),
    );
    refuses(
        &list("multiple = true\npooling = 'sum'\nattention = { target = 'item' }"),
        "[[feature]] block 2, pooling: has no meaning here: `attention` already says how the values' embeddings become one",
    );
    refuses(
        &attention("target = 'itm'"),
        &at(".target: \"itm\" is not allowed: no feature has this name; did you mean \"item\"?"),
    );
    refuses(
        &attention("target = 'seen'"),
        &at(".target: \"seen\" is not allowed: \
             the values are weighed by the embedding of a feature that has one value in each row"),
    );
    refuses(
        &attention("target = 'item'").replacen("embedding = 4\nmultiple", "embedding = 8\nmultiple", 1),
        &at(".target: \"item\" is not allowed: its embedding has 4 numbers and that of \"seen\" has 8; \
             they are multiplied, so make them equal"),
    );
    refuses(
        &attention("target = 'item', widths = [8, 0]"),
        &at(".widths: [8, 0] is not allowed: at most 8 layers, each of 1 to 65536 units"),
    );
}

#[test]
fn keys_of_another_kind() {
    refuses(
        &feature("columns = ['city']\nkind = 'categorical'\nembedding = 4\nmissing = 'mean'"),
        "[[feature]] block 2, missing: has no meaning here: numeric features take it, and this one is categorical",
    );
    refuses(
        &feature("columns = ['size']\nkind = 'numeric'\nembedding = 4"),
        "[[feature]] block 2, embedding: has no meaning here: \
         categorical and bucketized features take it, and this one is numeric",
    );
}

#[test]
fn exact_values() {
    let exact = |keys: &str| feature(&format!("columns = ['n']\nkind = 'numeric'\nexact = {{ {keys} }}"));
    refuses(
        &exact("embedding = 0"),
        "[[feature]] block 2, exact.embedding: 0 is not allowed: an embedding has 1 to 65536 numbers",
    );
    refuses(
        &exact("embedding = 2, max_size = 0"),
        "[[feature]] block 2, exact.max_size: 0 is not allowed: a vocabulary keeps at least 1 value",
    );
    refuses(
        &feature("columns = ['n']\nkind = 'categorical'\nembedding = 2\nexact = { embedding = 2 }"),
        "[[feature]] block 2, exact: has no meaning here: numeric features take it, and this one is categorical",
    );
    refuses(
        &feature("columns = ['n']\nkind = 'categorical'\nembedding = 2\nencoding = 'exact'\nmultiple = true"),
        "[[feature]] block 2, multiple: has no meaning here: a list has no one number; use encoding = \"vocabulary\"",
    );
    refuses(
        &task("name = 'n'\nkind = 'binary'\nlabel = { column = 'age' }"),
        "[[task]] block 2, label.column: column \"age\" is also a feature ([[feature]] block 1): the model would read what it \
         has to predict; remove it from the features",
    );
}

#[test]
fn buckets() {
    let bucketized = |lines: &str| feature(&format!("columns = ['size']\nkind = 'bucketized'\nembedding = 4\n{lines}"));
    refuses(&bucketized(""), "[[feature]] block 2: a bucketized feature needs boundaries = [..] or buckets = ..");
    refuses(
        &bucketized("boundaries = [1, 2]\nbuckets = 3"),
        "[[feature]] block 2, buckets: has no meaning here: `boundaries` already says where the buckets are",
    );
    refuses(
        &bucketized("boundaries = [1, 3, 2]"),
        "[[feature]] block 2, boundaries: 3 before 2 is not allowed: boundaries ascend, each above the last",
    );
    refuses(&bucketized("buckets = 1"), "[[feature]] block 2, buckets: must be 2 to 65536, not 1");
}

#[test]
fn transforms() {
    let numeric = |lines: &str| feature(&format!("columns = ['size']\nkind = 'numeric'\n{lines}"));
    refuses(
        &numeric("transform = [{ clip = [1, 0] }]"),
        "[[feature]] block 2, transform: clip = [1, 0] is not allowed: two finite 32-bit numbers, the lower one first",
    );
    refuses(
        &numeric("transform = ['standardize', 'log1p']"),
        "[[feature]] block 2, transform: log1p after standardize meets values at or below -1, where it is not defined; \
         put it first, or a clip from above -1 between them",
    );
    assert!(TestConfig::parse(&numeric("transform = ['standardize', { clip = [0, 3] }, 'log1p']")).schema().is_ok());
    refuses(
        &numeric("transform = ['log1p']\nmissing = -2"),
        "[[feature]] block 2, missing: -2 is not allowed: log1p needs values above -1",
    );
    refuses(
        &numeric("missing = inf"),
        "[[feature]] block 2, missing: inf is not allowed: a finite 32-bit number is needed",
    );
}

#[test]
fn ranges() {
    refuses(
        &feature("columns = ['x[5..5]']\nkind = 'numeric'"),
        "[[feature]] block 2, columns: the range of \"x[5..5]\" is empty: its end is exclusive and must be above its start",
    );
    refuses(
        &feature("columns = ['x[0..1000000]']\nkind = 'numeric'"),
        "[[feature]] block 2, columns: the range of \"x[0..1000000]\" stands for 1000000 columns; at most 65536 are allowed",
    );
}

#[test]
fn splits() {
    refuses(&data("valid = { fraction = 1.5 }"), "[data], valid.fraction: must lie above 0 and below 1, not 1.5");
    refuses(
        &data("valid = { fraction = 0.5 }\ntest = { fraction = 0.5 }"),
        "[data], valid.fraction: the fractions of valid and test add up to 1, which leaves no row to train on",
    );
    refuses(
        &data("test = {}"),
        "[data], test: write { fraction = 0.1 }, or { column = .., equals = .. }, or { column = .., from = .., to = .. }",
    );
    refuses(&data("test = { column = 'day' }"), "[data], test.column: needs `equals`, `from` or `to` beside it");
    refuses(
        &data("test = { column = 'day', equals = 1, from = 2 }"),
        "[data], test.equals: has no meaning here: `from` and `to` already choose the rows",
    );
    refuses(
        &data("test = { column = 'day', from = 3, to = 3 }"),
        "[data], test.to: must be above `from`, 3, since it is exclusive, not 3",
    );
    refuses(
        &data("test = { column = 'day', from = 3, to = 'x' }"),
        "[data], test.to: \"x\" is not allowed: `from` is 3: both are numbers, or both are texts",
    );
    refuses(&data("test = []"), "[data], test: an empty path or list is not allowed: name at least one file");
}

#[test]
fn csv() {
    refuses(
        &data("csv = { header = false }"),
        "[data], csv.columns: is missing: with header = false the columns have no other names",
    );
    refuses(
        &data("csv = { columns = ['age'] }"),
        "[data], csv.columns: has no meaning here: the header names the columns; set header = false if there is none",
    );
    refuses(
        &data("csv = { header = false, columns = ['x[0..3]', 'x1'] }"),
        "[data], csv.columns: \"x1\" twice is not allowed: names are unique",
    );
    for (csv, message) in [
        ("quote = 'é'", "csv.quote: 'é' is not allowed: one ASCII character that is no line end"),
        ("escape = 'é'", "csv.escape: 'é' is not allowed: one ASCII character that is no line end"),
        ("quote = ','", "csv.quote: ',' is not allowed: it is the separator already; set `separator` to another"),
        ("separator = ''", "csv.separator: \"\" is not allowed: 1 to 16 characters, none of them a line end"),
        ("separator = \"a\\n\"", "csv.separator: \"a\\n\" is not allowed: 1 to 16 characters, none of them a line end"),
        ("separator = ';', quote = ';'", "csv.separator: \";\" is not allowed: ';' is `quote` already"),
        ("separator = 'a/', escape = '/'", "csv.separator: \"a/\" is not allowed: '/' is `escape` already"),
        (
            "encoding = 'latin-1'",
            "csv.encoding: \"latin-1\" is not allowed: no encoding of the WHATWG Encoding Standard has this label; did \
             you mean \"latin1\"?",
        ),
    ] {
        refuses(&data(&format!("csv = {{ {csv} }}")), &format!("[data], {message}"));
    }
}
