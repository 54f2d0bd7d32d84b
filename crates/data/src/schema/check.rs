//! The checks behind [`super::Schema::resolve`].

use std::collections::HashMap;

use super::columns::expand as expand_range;
use super::*;
use crate::compare::Comparand;
use crate::error::{Block, Problem};

/// Most rows of one embedding table: what its tensor's shape and an index of it can hold anywhere.
const MAX_TABLE_ROWS: u64 = 1 << 40;

/// Longest separator, in characters.
const MAX_SEPARATOR: usize = 16;

/// Most rows of a window.
const MAX_WINDOW: u64 = 1 << 32;

/// Most frequencies of a periodic number, and its widest embedding.
const MAX_WAVES: usize = 1024;

/// Largest standard deviation of its frequencies: a thousand waves from one standard deviation of a number to the next are noise.
const MAX_SIGMA: f64 = 1000.0;

/// Most pieces of a number.
const MAX_PIECES: usize = 1024;

/// Widest embedding.
const MAX_EMBEDDING: usize = 1 << 16;

fn bound(found: impl ToString, must: impl Into<String>) -> Problem {
    Problem::Bound { must: must.into(), found: found.to_string() }
}

fn value(found: impl ToString, reason: impl Into<String>) -> Problem {
    Problem::Value { found: found.to_string(), reason: reason.into() }
}

fn pointless(reason: impl Into<String>) -> Problem {
    Problem::Pointless { reason: reason.into() }
}

fn choice(reason: impl Into<String>) -> Problem {
    Problem::Choice { reason: reason.into() }
}

pub(super) fn data(data: &DataConfig) -> Result<()> {
    if let Some(train) = &data.train {
        files("train", train)?;
    }
    let mut share = 0.0;
    for (key, split) in [("valid", &data.valid), ("test", &data.test)] {
        match split {
            None => {}
            Some(SplitConfig::Files(paths)) => files(key, paths)?,
            Some(SplitConfig::Part(rule)) => {
                part(key, rule)?;
                share += rule.fraction.unwrap_or(0.0);
            }
        }
    }
    if share >= 1.0 {
        let reason = format!("the fractions of valid and test add up to {share}, which leaves no row to train on");
        return Err(problem(Block::Data, "valid.fraction", choice(reason)));
    }
    if data.cache.as_ref().is_some_and(String::is_empty) {
        return Err(problem(Block::Data, "cache", value("\"\"", "name a folder")));
    }
    if data.weight.as_ref().is_some_and(String::is_empty) {
        return Err(problem(Block::Data, "weight", value("\"\"", "name a column")));
    }
    if data.request.as_ref().is_some_and(String::is_empty) {
        return Err(problem(Block::Data, "request", value("\"\"", "name a column")));
    }
    match data.stream.window() {
        Some(0) => return Err(problem(Block::Data, "stream.window", bound(0, "be at least 1"))),
        Some(window) if window as u64 > MAX_WINDOW => {
            return Err(problem(Block::Data, "stream.window", bound(window, format!("be at most {MAX_WINDOW}"))));
        }
        _ => {}
    }
    csv(&data.csv)
}

/// Refuses splits whose rows lie nowhere.
pub(super) fn has_files(data: &DataConfig) -> Result<()> {
    if data.train.is_none() {
        return Err(problem(
            Block::Data,
            "",
            choice("`train` is missing: name the files of the training rows".to_owned()),
        ));
    }
    for (key, split) in [("valid.memory", &data.valid), ("test.memory", &data.test)] {
        if matches!(split, Some(SplitConfig::Part(part)) if part.memory) {
            let reason = "a program hands over such rows; name files, or a part of the training files".to_owned();
            return Err(problem(Block::Data, key, choice(reason)));
        }
    }
    Ok(())
}

fn files(key: &str, files: &Files) -> Result<()> {
    let patterns = files.patterns();
    if patterns.is_empty() || patterns.iter().any(String::is_empty) {
        return Err(problem(Block::Data, key, value("an empty path or list", "name at least one file")));
    }
    Ok(())
}

fn part(key: &str, rule: &PartConfig) -> Result<()> {
    let at = |sub: &str, what: Problem| Err(problem(Block::Data, &format!("{key}.{sub}"), what));
    if rule.memory {
        let alone = PartConfig { memory: true, ..PartConfig::default() };
        return if *rule == alone {
            Ok(())
        } else {
            at("memory", choice("rows in memory are no part of others".to_owned()))
        };
    }
    let by_value = rule.equals.is_some() || rule.from.is_some() || rule.to.is_some();
    match (rule.fraction, &rule.column) {
        (None, None) => {
            let reason =
                "write { fraction = 0.1 }, or { column = .., equals = .. }, or { column = .., from = .., to = .. }";
            return Err(problem(Block::Data, key, choice(reason)));
        }
        (Some(_), Some(_)) => return at("column", pointless("`fraction` chooses rows by their position")),
        (Some(_), None) if by_value => return at("fraction", pointless("the rows are chosen by a column's value")),
        (Some(fraction), None) if !(fraction > 0.0 && fraction < 1.0) => {
            return at("fraction", bound(fraction, "lie above 0 and below 1"));
        }
        (Some(_), None) => return Ok(()),
        (None, Some(column)) if column.is_empty() => return at("column", value("\"\"", "name a column")),
        (None, Some(_)) => {}
    }
    match (&rule.equals, &rule.from, &rule.to) {
        (None, None, None) => at("column", choice("needs `equals`, `from` or `to` beside it")),
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            at("equals", pointless("`from` and `to` already choose the rows"))
        }
        (None, Some(from), Some(to)) if Comparand::new(from).is_number() != Comparand::new(to).is_number() => {
            at("to", value(to, format!("`from` is {from}: both are numbers, or both are texts")))
        }
        (None, Some(from), Some(to)) if !Comparand::new(from).is_below(&Comparand::new(to)) => {
            at("to", bound(to, format!("be above `from`, {from}, since it is exclusive")))
        }
        (equals, from, to) => match [equals, from, to].into_iter().flatten().find(|scalar| scalar.is_broken()) {
            Some(scalar) => at("column", value(scalar, "a finite number is needed")),
            None => Ok(()),
        },
    }
}

pub(super) fn csv_columns(csv: &CsvConfig) -> Result<Vec<String>> {
    let mut columns = Vec::new();
    for name in &csv.columns {
        let names =
            expand_range(name).map_err(|reason| problem(Block::Data, "csv.columns", Problem::Range { reason }))?;
        columns.extend(names);
    }
    let mut seen = std::collections::HashSet::new();
    match columns.iter().find(|name| !seen.insert(name.as_str())) {
        Some(twice) => {
            Err(problem(Block::Data, "csv.columns", value(format!("\"{twice}\" twice"), "names are unique")))
        }
        None => Ok(columns),
    }
}

pub(super) fn csv(csv: &CsvConfig) -> Result<()> {
    let at = |key: &str, what: Problem| Err(problem(Block::Data, key, what));
    if csv.header && !csv.columns.is_empty() {
        return at("csv.columns", pointless("the header names the columns; set header = false if there is none"));
    }
    if !csv.header && csv.columns.is_empty() {
        return at("csv.columns", Problem::Needed { reason: "with header = false the columns have no other names" });
    }
    let is_line_end = |char: char| matches!(char, '\n' | '\r' | '\0');
    for (key, char) in [("csv.quote", csv.quote), ("csv.escape", csv.escape)] {
        if let Some(char) = char
            && (!char.is_ascii() || is_line_end(char))
        {
            return at(key, value(format!("{char:?}"), "one ASCII character that is no line end"));
        }
        if let (Some(char @ (',' | '\t')), None) = (char, &csv.separator) {
            return at(key, value(format!("{char:?}"), "it is the separator already; set `separator` to another"));
        }
    }
    if let Some(separator) = &csv.separator {
        let found = |reason: &str| value(format!("{separator:?}"), reason);
        if !(1..=MAX_SEPARATOR).contains(&separator.chars().count()) || separator.contains(is_line_end) {
            return at("csv.separator", found("1 to 16 characters, none of them a line end"));
        }
        for (key, char) in [("quote", csv.quote), ("escape", csv.escape)] {
            if let Some(char) = char
                && separator.contains(char)
            {
                return at("csv.separator", found(&format!("{char:?} is `{key}` already")));
            }
        }
    }
    match &csv.encoding {
        Some(label) if !crate::read::is_label(label) => {
            let nearest = crate::names::nearest(label, crate::read::LABELS);
            let hint = nearest.map_or_else(String::new, |label| format!("; did you mean \"{label}\"?"));
            let reason = format!("no encoding of the WHATWG Encoding Standard has this label{hint}");
            at("csv.encoding", value(format!("\"{label}\""), reason))
        }
        _ => Ok(()),
    }
}

/// Features of all blocks, and each one's block.
pub(super) fn expand(blocks: &[FeatureBlock]) -> Result<(Vec<Feature>, Vec<usize>)> {
    let (mut features, mut block_of) = (Vec::new(), Vec::new());
    for (index, block) in blocks.iter().enumerate() {
        if block.columns.is_empty() {
            return Err(problem(Block::Feature(index), "columns", Problem::NoColumn));
        }
        let at = |(key, what): Fault| problem(Block::Feature(index), key, what);
        let range = |key: &'static str| move |reason| at((key, Problem::Range { reason }));
        let mut columns = Vec::new();
        for pattern in &block.columns {
            columns.extend(expand_range(pattern).map_err(range("columns"))?);
        }
        super::patterns::leave_out(&mut columns, &block.except).map_err(at)?;
        let names = block.name.as_deref().map(expand_range).transpose().map_err(range("name"))?;
        if let Some(names) = names.as_ref().filter(|names| names.len() != columns.len()) {
            let reason = format!(
                "the block has {} columns, and this is the number of names: {}; a range such as x[0..{}] names each of them",
                columns.len(),
                names.len(),
                columns.len()
            );
            return Err(at(("name", value(format!("\"{}\"", block.name.as_deref().unwrap_or_default()), reason))));
        }
        let names = names.unwrap_or_else(|| columns.clone());
        for (name, column) in names.into_iter().zip(columns) {
            let read = kind(block, &name).map_err(at)?;
            let beside = |suffix: &str, read| Feature {
                name: format!("{name}.{suffix}"),
                column: Some(column.clone()),
                read,
                per: block.per,
            };
            let pieces = block.pieces.map(|pieces| {
                beside("pieces", FeatureKind::Pieces { pieces, missing: block.missing.unwrap_or_default() })
            });
            let periodic = block.periodic.map(|periodic| {
                let (transform, missing) = (block.transform.clone(), block.missing.unwrap_or_default());
                let PeriodicConfig { frequencies, sigma, embedding } = periodic;
                beside("periodic", FeatureKind::Periodic { transform, missing, frequencies, sigma, embedding })
            });
            let exact = block.exact.map(|exact| {
                let (encoding, embedding, table) = (exact.encoding(), exact.embedding, format!("{name}.exact"));
                beside("exact", FeatureKind::Categorical { encoding, embedding, table, multiple: None })
            });
            let column = (name != column).then(|| column.clone());
            features.push(Feature { name, column, read, per: block.per });
            features.extend(pieces);
            features.extend(periodic);
            features.extend(exact);
            block_of.resize(features.len(), index);
        }
    }
    Ok((features, block_of))
}

type Fault = (&'static str, Problem);

fn kind(block: &FeatureBlock, name: &str) -> Result<FeatureKind, Fault> {
    reject_strangers(block)?;
    let embedding = || block.embedding.ok_or(("embedding", Problem::Needed { reason: "the width of the embedding" }));
    match block.kind {
        FeatureKindConfig::Numeric => {
            Ok(FeatureKind::Numeric { transform: block.transform.clone(), missing: block.missing.unwrap_or_default() })
        }
        FeatureKindConfig::Categorical => {
            let multiple = block.multiple.then(|| Multiple {
                separator: block.separator.clone().unwrap_or_else(|| "|".to_owned()),
                pooling: block.pooling.unwrap_or(Pooling::Mean),
                attention: block.attention.clone(),
            });
            Ok(FeatureKind::Categorical {
                encoding: block.encoding.unwrap_or_default(),
                embedding: embedding()?,
                table: block.table.clone().unwrap_or_else(|| name.to_owned()),
                multiple,
            })
        }
        FeatureKindConfig::Bucketized => {
            let buckets = match (&block.boundaries, block.buckets) {
                (Some(boundaries), None) => Buckets::Boundaries(boundaries.clone()),
                (None, Some(buckets)) => Buckets::Quantiles(buckets),
                (None, None) => {
                    return Err(("", choice("a bucketized feature needs boundaries = [..] or buckets = ..")));
                }
                (Some(_), Some(_)) => {
                    return Err(("buckets", pointless("`boundaries` already says where the buckets are")));
                }
            };
            Ok(FeatureKind::Bucketized { buckets, embedding: embedding()?, table: name.to_owned() })
        }
    }
}

/// Refuses keys that belong to another kind.
fn reject_strangers(block: &FeatureBlock) -> Result<(), Fault> {
    use FeatureKindConfig::{Bucketized, Categorical, Numeric};
    let given: [(&'static str, bool, &[FeatureKindConfig]); 14] = [
        ("transform", !block.transform.is_empty(), &[Numeric]),
        ("missing", block.missing.is_some(), &[Numeric]),
        ("exact", block.exact.is_some(), &[Numeric]),
        ("pieces", block.pieces.is_some(), &[Numeric]),
        ("periodic", block.periodic.is_some(), &[Numeric]),
        ("encoding", block.encoding.is_some(), &[Categorical]),
        ("embedding", block.embedding.is_some(), &[Categorical, Bucketized]),
        ("table", block.table.is_some(), &[Categorical]),
        ("multiple", block.multiple, &[Categorical]),
        ("separator", block.separator.is_some(), &[Categorical]),
        ("pooling", block.pooling.is_some(), &[Categorical]),
        ("attention", block.attention.is_some(), &[Categorical]),
        ("boundaries", block.boundaries.is_some(), &[Bucketized]),
        ("buckets", block.buckets.is_some(), &[Bucketized]),
    ];
    let word = |kind: &FeatureKindConfig| match kind {
        Numeric => "numeric",
        Categorical => "categorical",
        Bucketized => "bucketized",
    };
    for (key, is_given, kinds) in given {
        if is_given && !kinds.contains(&block.kind) {
            let kinds = kinds.iter().map(word).collect::<Vec<_>>().join(" and ");
            return Err((key, pointless(format!("{kinds} features take it, and this one is {}", word(&block.kind)))));
        }
    }
    let of_lists = [
        ("separator", block.separator.is_some()),
        ("pooling", block.pooling.is_some()),
        ("attention", block.attention.is_some()),
    ];
    for (key, is_given) in of_lists {
        if is_given && !block.multiple {
            return Err((key, pointless("only features with multiple = true take it")));
        }
    }
    if block.pooling.is_some() && block.attention.is_some() {
        return Err(("pooling", pointless("`attention` already says how the values' embeddings become one")));
    }
    Ok(())
}

pub(super) fn features(features: &[Feature], blocks: &[usize]) -> Result<()> {
    if features.is_empty() {
        return Err(problem(Block::Root, "", Problem::NoFeature));
    }
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut tables: HashMap<&str, &Feature> = HashMap::new();
    for (feature, &block) in features.iter().zip(blocks) {
        let at = |(key, what): Fault| problem(Block::Feature(block), key, what);
        let empty = |what| Problem::BadName { name: String::new(), what, reason: "it is empty" };
        if feature.column().is_empty() {
            return Err(at(("columns", empty("column"))));
        }
        if feature.name.is_empty() {
            return Err(at(("name", empty("feature"))));
        }
        if let Some(&first) = seen.get(feature.name.as_str()) {
            let key = if feature.column.is_some() { "name" } else { "columns" };
            return Err(at((key, Problem::DuplicateFeature { name: feature.name.clone(), first })));
        }
        seen.insert(&feature.name, block);
        one_feature(feature).map_err(at)?;
        if let Some(table) = feature.table() {
            if table.is_empty() {
                let name = table.to_owned();
                return Err(at(("table", Problem::BadName { name, what: "table", reason: "it is empty" })));
            }
            let first = *tables.entry(table).or_insert(feature);
            if let Some(what) = first.table_differs(feature) {
                let (table, other) = (table.to_owned(), first.name.clone());
                return Err(at(("table", Problem::TableConflict { table, other, what })));
            }
        }
    }
    Ok(())
}

fn one_feature(feature: &Feature) -> Result<(), Fault> {
    let width = match &feature.read {
        FeatureKind::Numeric { transform, missing } => return numeric(transform, *missing),
        FeatureKind::Pieces { pieces: 2..=MAX_PIECES, missing } => return numeric(&[], *missing),
        FeatureKind::Pieces { pieces, .. } => return Err(("pieces", bound(pieces, format!("be 2 to {MAX_PIECES}")))),
        FeatureKind::Periodic { transform, missing, frequencies, sigma, embedding } => {
            for (key, found) in [("periodic.frequencies", frequencies), ("periodic.embedding", embedding)] {
                if !(1..=MAX_WAVES).contains(found) {
                    return Err((key, bound(found, format!("be 1 to {MAX_WAVES}"))));
                }
            }
            if !(*sigma as f32 > 0.0 && *sigma <= MAX_SIGMA) {
                return Err(("periodic.sigma", bound(sigma, format!("be a number above 0 and at most {MAX_SIGMA}"))));
            }
            return numeric(transform, *missing);
        }
        FeatureKind::Categorical { embedding, .. } | FeatureKind::Bucketized { embedding, .. } => *embedding,
    };
    // What `exact` of a numeric feature has made has its keys there.
    let is_beside = feature.column.is_some();
    if width == 0 || width > MAX_EMBEDDING {
        let key = if is_beside { "exact.embedding" } else { "embedding" };
        return Err((key, value(width, format!("an embedding has 1 to {MAX_EMBEDDING} numbers"))));
    }
    match &feature.read {
        FeatureKind::Numeric { .. } | FeatureKind::Pieces { .. } | FeatureKind::Periodic { .. } => Ok(()),
        FeatureKind::Categorical { encoding, multiple, .. } => {
            if multiple.as_ref().is_some_and(|multiple| multiple.separator.is_empty()) {
                return Err(("separator", value("\"\"", "at least one character separates two values")));
            }
            if matches!(encoding, Encoding::Exact(_)) && multiple.is_some() {
                return Err(("multiple", pointless("a list has no one number; use encoding = \"vocabulary\"")));
            }
            if let Some(config) = encoding.vocabulary() {
                let keys = match (encoding, is_beside) {
                    (_, true) => ["exact.min_count", "exact.max_size"],
                    (Encoding::Exact(_), false) => ["encoding.exact.min_count", "encoding.exact.max_size"],
                    _ => ["encoding.vocabulary.min_count", "encoding.vocabulary.max_size"],
                };
                return vocabulary(config, keys);
            }
            categorical(*encoding)
        }
        FeatureKind::Bucketized { buckets, .. } => match buckets {
            Buckets::Boundaries(boundaries) => {
                if boundaries.is_empty() || boundaries.iter().any(|b| !b.is_finite()) {
                    return Err(("boundaries", value(format!("{boundaries:?}"), "one or more finite numbers")));
                }
                match boundaries.windows(2).find(|pair| pair[0] >= pair[1]) {
                    Some(pair) => Err((
                        "boundaries",
                        value(format!("{} before {}", pair[0], pair[1]), "boundaries ascend, each above the last"),
                    )),
                    None => Ok(()),
                }
            }
            Buckets::Quantiles(2..=65_536) => Ok(()),
            Buckets::Quantiles(count) => Err(("buckets", bound(count, "be 2 to 65536"))),
        },
    }
}

fn categorical(encoding: Encoding) -> Result<(), Fault> {
    match encoding {
        Encoding::Hash(rows) if rows < 2 => {
            Err(("encoding.hash", value(rows, "a hashed table has at least 2 rows: row 0 stands for missing values")))
        }
        Encoding::IntegerHash(rows) if rows < 2 => Err((
            "encoding.integer_hash",
            value(rows, "a hashed table has at least 2 rows: row 0 stands for missing values"),
        )),
        Encoding::Ids(0) => Err(("encoding.ids", value(0, "a table has at least 1 row"))),
        Encoding::Hash(rows) if rows > MAX_TABLE_ROWS => {
            Err(("encoding.hash", value(rows, format!("a table has at most {MAX_TABLE_ROWS} rows"))))
        }
        Encoding::IntegerHash(rows) if rows > MAX_TABLE_ROWS => {
            Err(("encoding.integer_hash", value(rows, format!("a table has at most {MAX_TABLE_ROWS} rows"))))
        }
        Encoding::Ids(rows) if rows > MAX_TABLE_ROWS => {
            Err(("encoding.ids", value(rows, format!("a table has at most {MAX_TABLE_ROWS} rows"))))
        }
        _ => Ok(()),
    }
}

fn vocabulary(config: VocabularyConfig, [min_count, max_size]: [&'static str; 2]) -> Result<(), Fault> {
    match config {
        VocabularyConfig { max_size: Some(size), .. } if size >= MAX_TABLE_ROWS => {
            // Its table has a row for unknown values besides.
            let most = MAX_TABLE_ROWS - 1;
            let reason = format!(
                "a vocabulary keeps at most {most} values, so that its table has at most {MAX_TABLE_ROWS} rows"
            );
            Err((max_size, value(size, reason)))
        }
        VocabularyConfig { min_count: count, .. } if count > MAX_TABLE_ROWS => {
            Err((min_count, value(count, format!("at most {MAX_TABLE_ROWS}"))))
        }
        VocabularyConfig { max_size: Some(0), .. } => Err((max_size, value(0, "a vocabulary keeps at least 1 value"))),
        _ => Ok(()),
    }
}

fn numeric(transform: &[Transform], missing: Missing) -> Result<(), Fault> {
    // First: what applies them takes them for sound.
    for step in transform {
        if let Transform::Clip([lo, hi]) = step
            && !(lo < hi && fits_f32(*lo) && fits_f32(*hi))
        {
            let found = format!("clip = [{lo}, {hi}]");
            return Err(("transform", value(found, "two finite 32-bit numbers, the lower one first")));
        }
    }
    if let Missing::Value(value_) = missing {
        if !value_.is_finite() || value_.abs() > f64::from(f32::MAX) {
            return Err(("missing", value(value_, "a finite 32-bit number is needed")));
        }
        if crate::encode::numeric::outside_of_domain(transform, value_) {
            return Err(("missing", value(value_, "log1p needs values above -1")));
        }
    }
    // The last fitted step whose outcome no clip has bounded from below since.
    let mut unbounded = None;
    for step in transform {
        match step {
            Transform::Clip([lo, _]) if *lo > -1.0 => unbounded = None,
            Transform::Clip(_) => {}
            Transform::Log1p => {
                if let Some(after) = unbounded {
                    return Err(("transform", Problem::Log1pTooLate { after }));
                }
            }
            Transform::Standardize => unbounded = Some("standardize"),
            Transform::MinMax => unbounded = Some("min_max"),
        }
    }
    Ok(())
}

pub(super) fn tasks(tasks: &[TaskConfig]) -> Result<()> {
    if tasks.is_empty() {
        return Err(problem(Block::Root, "", Problem::NoTask));
    }
    for (index, task) in tasks.iter().enumerate() {
        let at = |key: &str, what: Problem| Err(problem(Block::Task(index), key, what));
        let bad_name = match task.name.as_str() {
            "" => Some("it is empty"),
            "shared" => Some("the shared experts' tensors have that name"),
            name if name.contains('.') => Some("a dot separates the parts of a tensor's name"),
            _ => None,
        };
        if let Some(reason) = bad_name {
            return at("name", Problem::BadName { name: task.name.clone(), what: "task", reason });
        }
        if let Some(first) = tasks[..index].iter().position(|other| other.name == task.name) {
            return at("name", Problem::DuplicateTask { name: task.name.clone(), first });
        }
        if task.label.column.is_empty() {
            return at("label.column", value("\"\"", "name a column"));
        }
        if let Some(positive) = &task.label.positive {
            if task.kind == TaskKind::Regression {
                return at("label.positive", pointless("a regression task predicts the column's number"));
            }
            if positive.is_broken() {
                return at("label.positive", value(positive, "a finite number is needed"));
            }
        }
        if let Some(missing) = task.label.missing {
            if task.kind == TaskKind::Binary && missing != 0.0 && missing != 1.0 {
                return at("label.missing", value(missing, "a binary label is 0 or 1"));
            }
            if !missing.is_finite() || missing.abs() > f64::from(f32::MAX) {
                return at("label.missing", value(missing, "a finite 32-bit number is needed"));
            }
            if task.label.transform.is_some() && missing <= -1.0 {
                return at("label.missing", value(missing, "log1p needs values above -1"));
            }
        }
        if let Some(filter) = &task.filter {
            where_(filter).or_else(|(key, what)| at(key, what))?;
        }
        weight(&task.weight).or_else(|(key, what)| at(key, what))?;
        if task.row_weight.as_ref().is_some_and(String::is_empty) {
            return at("row_weight", value("\"\"", "name a column"));
        }
        task.objective().check(task.kind).or_else(|(key, what)| at(key, what))?;
    }
    Ok(())
}

fn where_(filter: &Where) -> Result<(), Fault> {
    if filter.column.is_empty() {
        return Err(("where.column", value("\"\"", "name a column")));
    }
    let given = [filter.equals.is_some(), filter.not_equals.is_some(), filter.any_of.is_some()];
    if given.iter().filter(|&&is_given| is_given).count() != 1 {
        return Err(("where", choice("exactly one of `equals`, `not_equals` and `in` is needed beside `column`")));
    }
    if filter.any_of.as_ref().is_some_and(Vec::is_empty) {
        return Err(("where.in", value("[]", "without a value no row would be in the sample space")));
    }
    let mut scalars = filter.equals.iter().chain(&filter.not_equals).chain(filter.any_of.iter().flatten());
    match scalars.find(|scalar| scalar.is_broken()) {
        Some(scalar) => Err(("where", value(scalar, "a finite number is needed"))),
        None => Ok(()),
    }
}

/// Features of requests need requests, and the other way round.
pub(super) fn requests(request: Option<&str>, features: &[Feature], blocks: &[usize]) -> Result<()> {
    let of_requests = features.iter().position(|feature| feature.per == Per::Request);
    match (request, of_requests) {
        (None, Some(at)) => {
            let block = blocks.get(at).copied().unwrap_or(at);
            let reason =
                "needs the column that names each row's request: `request = \"request_id\"` in [data]".to_owned();
            Err(problem(Block::Feature(block), "per", value("\"request\"", reason)))
        }
        (Some(name), None) => {
            let reason = "no feature has `per = \"request\"`, so nothing would be computed once a request; write it in the \
                          [[feature]] blocks whose values a request's rows have in common";
            Err(problem(Block::Data, "request", value(format!("\"{name}\""), reason)))
        }
        _ => Ok(()),
    }
}

/// Hidden layers of what weighs a list, at the most.
const MAX_SCORE_LAYERS: usize = 8;

/// Checks what weighs the values of lists.
pub(super) fn attention(features: &[Feature], blocks: &[usize]) -> Result<()> {
    /// The width of a feature's embedding where it has one value.
    fn single(feature: &Feature) -> Option<usize> {
        match &feature.read {
            FeatureKind::Categorical { embedding, multiple: None, .. } | FeatureKind::Bucketized { embedding, .. } => {
                Some(*embedding)
            }
            _ => None,
        }
    }
    for (at, feature) in features.iter().enumerate() {
        let FeatureKind::Categorical { embedding, multiple: Some(multiple), .. } = &feature.read else { continue };
        let Some(AttentionConfig { target, widths }) = &multiple.attention else { continue };
        let wrong = |key, what| Err(problem(Block::Feature(blocks.get(at).copied().unwrap_or(at)), key, what));
        if widths.len() > MAX_SCORE_LAYERS || widths.iter().any(|width| !(1..=MAX_EMBEDDING).contains(width)) {
            let reason = format!("at most {MAX_SCORE_LAYERS} layers, each of 1 to {MAX_EMBEDDING} units");
            return wrong("attention.widths", value(format!("{widths:?}"), reason));
        }
        let key = "attention.target";
        let named = features.iter().find(|other| other.name == *target);
        match named.map(single) {
            None => {
                let known = features.iter().filter(|other| single(other).is_some()).map(|other| other.name.as_str());
                let near = crate::names::nearest(target, known);
                let near = near.map_or_else(String::new, |name| format!("; did you mean \"{name}\"?"));
                return wrong(key, value(format!("\"{target}\""), format!("no feature has this name{near}")));
            }
            Some(None) => {
                let reason = "the values are weighed by the embedding of a feature that has one value in each row";
                return wrong(key, value(format!("\"{target}\""), reason));
            }
            Some(Some(width)) if width != *embedding => {
                let reason = format!(
                    "its embedding has {width} numbers and that of \"{}\" has {embedding}; they are multiplied, so make them equal",
                    feature.name
                );
                return wrong(key, value(format!("\"{target}\""), reason));
            }
            Some(Some(_)) => {}
        }
    }
    Ok(())
}

/// Largest factor by which a weight changes with each step or epoch.
const MAX_RATIO: f64 = 1000.0;

fn fits_f32(value: f64) -> bool {
    value.abs() <= f64::from(f32::MAX)
}

fn weight(weight: &TaskWeight) -> Result<(), Fault> {
    let (initial, key) = match weight {
        TaskWeight::Constant(weight) => (*weight, "weight"),
        TaskWeight::Changing(ChangingWeight { initial, ratio, .. }) => {
            if !(*ratio > 0.0 && *ratio <= MAX_RATIO) {
                return Err(("weight.ratio", bound(ratio, format!("be a number above 0 and at most {MAX_RATIO}"))));
            }
            (*initial, "weight.initial")
        }
    };
    if !(initial.is_finite() && initial >= 0.0) {
        return Err((key, bound(initial, "be a finite number, 0 or above")));
    }
    if initial > f64::from(f32::MAX) {
        return Err((key, value(initial, "a number from 0 to 3.4e38, the largest of single precision")));
    }
    Ok(())
}

pub(super) fn leakage(features: &[Feature], blocks: &[usize], tasks: &[TaskConfig]) -> Result<()> {
    for (index, task) in tasks.iter().enumerate() {
        let column = &task.label.column;
        if let Some((_, &feature)) = features.iter().zip(blocks).find(|(feature, _)| feature.column() == column) {
            let what = Problem::Leakage { column: column.clone(), feature };
            return Err(problem(Block::Task(index), "label.column", what));
        }
    }
    Ok(())
}

impl Feature {
    /// Name of the embedding table, if there is one.
    pub(crate) fn table(&self) -> Option<&str> {
        match &self.read {
            FeatureKind::Numeric { .. } | FeatureKind::Pieces { .. } | FeatureKind::Periodic { .. } => None,
            FeatureKind::Categorical { table, .. } | FeatureKind::Bucketized { table, .. } => Some(table),
        }
    }

    /// What keeps two features from sharing a table.
    fn table_differs(&self, other: &Self) -> Option<&'static str> {
        match (&self.read, &other.read) {
            (
                FeatureKind::Categorical { encoding: a, embedding: width_a, .. },
                FeatureKind::Categorical { encoding: b, embedding: width_b, .. },
            ) => {
                if a != b {
                    Some("encoding")
                } else if width_a != width_b {
                    Some("embedding")
                } else {
                    None
                }
            }
            // A bucketized feature shares its table with itself alone.
            _ if self.name == other.name => None,
            _ => Some("kind"),
        }
    }
}
