//! The configuration as text.

use std::fmt::Write;

use pleiad_data::read::Sample;
use pleiad_data::schema::{CsvConfig, Format};

use super::InferOptions;
use super::choose::{FeatureSort, MANY_NUMBERS};
use super::columns::entries;
use super::hints;
use super::labels::Label;
use super::profile::Profile;
use super::quote::{count, key, quoted};
use super::roles::{Role, Why};

/// Rows of each side, of every task, from which on a tenth of the rows is enough to measure on.
const MEASURED: usize = 100;

/// Rows from which on two tenths can be spared.
const SPLIT: usize = 500;

/// Columns that are named one by one where they are left out, of one reason.
const NAMED: usize = 40;

/// Lines of a `[[feature]]`, and its columns, each with what was seen.
type Block<'a> = (&'a [String], Vec<(&'a str, &'a str)>);

struct ConfigWriter<'a> {
    text: String,
    sample: &'a Sample,
    options: &'a InferOptions,
    profiles: &'a [Profile],
    labels: &'a [Label],
    roles: &'a [Role],
}

pub(super) fn configuration(
    sample: &Sample,
    options: &InferOptions,
    profiles: &[Profile],
    labels: &[Label],
    roles: &[Role],
) -> String {
    let mut writer = ConfigWriter { text: String::new(), sample, options, profiles, labels, roles };
    writer.head();
    writer.data();
    writer.features();
    writer.tasks();
    writer.metrics();
    writer.rank();
    writer.model();
    writer.train();
    writer.compare();
    writer.left_out();
    writer.text
}

impl ConfigWriter<'_> {
    fn line(&mut self, text: impl AsRef<str>) {
        self.text.push_str(text.as_ref());
        self.text.push('\n');
    }

    /// A key, its value, and the reason.
    fn key(&mut self, key: &str, value: &str, reason: &str) {
        let text = format!("{key} = {value}");
        match reason {
            "" => self.line(text),
            reason => self.line(format!("{text:<43} # {reason}")),
        }
    }

    fn head(&mut self) {
        let rows = count(self.sample.rows);
        let which = match (self.sample.is_whole, self.sample.files) {
            (true, _) => format!("all {rows} rows"),
            (false, (1, 1)) => format!("the first {rows} rows; there are more"),
            (false, (of, files)) => format!("{rows} rows, the first ones of {of} of {files} files; there are more"),
        };
        self.line(format!("# By `pleiad init`, which looked at {which}. Each setting stands beside its reason."));
        let file = self.options.file.clone().unwrap_or_else(|| "config.toml".to_owned());
        let file: String = file.chars().map(|char| if char.is_control() { '?' } else { char }).collect();
        self.line(format!("#     pleiad train {file} --out run"));
        if self.labels.len() > 1 {
            self.line(format!("#     pleiad compare {file} --out compared        # did sharing help?"));
        }
        if self.roles.iter().any(|role| matches!(role, Role::Out(..))) {
            self.line("# Look at the end, too: columns that are left out, for you to decide.");
        }
        self.line("");
    }

    fn data(&mut self) {
        self.line("[data]");
        let train: Vec<String> = self.options.train.iter().map(|path| quoted(path)).collect();
        match train.as_slice() {
            [one] => self.key("train", one, ""),
            many => self.key("train", &format!("[{}]", many.join(", ")), ""),
        }
        if let Some(format) = self.options.format {
            let word = match format {
                Format::Csv => "csv",
                Format::Parquet => "parquet",
                Format::Arrow => "arrow",
            };
            self.key("format", &quoted(word), "");
        }
        match self.why_no_split() {
            None => {
                self.key("valid", "{ fraction = 0.1 }", "by a hash of the row's number: the same rows in every run");
                self.key("test", "{ fraction = 0.1 }", "");
            }
            Some(why) => {
                self.line(format!("# No validation and test rows: {why}. With more rows:"));
                self.line("# valid = { fraction = 0.1 }");
                self.line("# test = { fraction = 0.1 }");
            }
        }
        let split = |(profile, role): (&Profile, &Role)| match role {
            Role::Out(Why::Time, _) => Some((profile.name.clone(), hints::split(profile)?)),
            _ => None,
        };
        if let Some((name, lines)) = self.profiles.iter().zip(self.roles).find_map(split) {
            let name = quoted(&name);
            self.line(format!(
                "# {name} is a time. Does the model predict days to come? Then measure it on the last ones, instead:"
            ));
            lines.iter().for_each(|line| self.line(format!("# {line}")));
        }
        if let Some((rows, bad)) = &self.sample.broken {
            let (rows, bad) = (count(*rows), bad.to_string());
            let bad: String = bad.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
            self.key("on_bad_row", "\"skip\"", &format!("{rows} rows cannot be read, the first: {bad}"));
        }
        let is_weight = |(_, role): &(&Profile, &Role)| matches!(role, Role::Out(Why::Weight, _));
        if let Some((profile, _)) = self.profiles.iter().zip(self.roles).find(is_weight) {
            let name = quoted(&profile.name);
            self.line(format!("# weight = {name}    # if this is what each row counts"));
        }
        self.csv();
    }

    fn csv(&mut self) {
        let (csv, usual) = (&self.options.csv, CsvConfig::default());
        let mut null = csv.null.clone();
        let mut of = Vec::new();
        for (profile, role) in self.profiles.iter().zip(self.roles) {
            let is_read = matches!(role, Role::Feature(_) | Role::Label) && !profile.null.is_empty();
            if is_read {
                of.push(quoted(&profile.name));
                null.extend(profile.null.iter().filter(|text| !csv.null.contains(text)).cloned());
            }
        }
        null.sort();
        null.dedup();
        let mut lines: Vec<(&str, String, String)> = Vec::new();
        if csv.header != usual.header {
            lines.push(("header", csv.header.to_string(), "the first row holds values, not names".to_owned()));
        }
        if !csv.columns.is_empty() {
            let names: Vec<String> = csv.columns.iter().map(|name| quoted(name)).collect();
            lines.push(("columns", format!("[{}]", names.join(", ")), "give them names".to_owned()));
        }
        if let Some(separator) = &csv.separator {
            lines.push(("separator", quoted(separator), String::new()));
        }
        if csv.quote != usual.quote {
            lines.push(("quote", quoted(&csv.quote.map_or_else(String::new, String::from)), String::new()));
        }
        if let Some(escape) = csv.escape {
            lines.push(("escape", quoted(&escape.to_string()), String::new()));
        }
        if let Some(encoding) = &csv.encoding {
            lines.push(("encoding", quoted(encoding), String::new()));
        }
        if csv.trim {
            lines.push(("trim", "true".to_owned(), "spaces around a field are not part of it".to_owned()));
        }
        if null != usual.null {
            let texts: Vec<String> = null.iter().map(|text| quoted(text)).collect();
            let reason = match of.first() {
                Some(name) => format!("that is \"missing\" among the numbers of {name}; it is so in all columns"),
                None => String::new(),
            };
            lines.push(("null", format!("[{}]", texts.join(", ")), reason));
        }
        if lines.is_empty() {
            return;
        }
        self.line("\n[data.csv]");
        lines.into_iter().for_each(|(key, value, reason)| self.key(key, &value, &reason));
    }

    /// Why no rows are held back; `None` where they are.
    fn why_no_split(&self) -> Option<String> {
        if self.sample.rows < SPLIT {
            return Some(format!("{} rows are too few", count(self.sample.rows)));
        }
        self.labels.iter().find_map(|label| {
            let (positives, negatives) = label.sides();
            let (side, rows) = if positives <= negatives { ("positive", positives) } else { ("negative", negatives) };
            let side = if label.positive.is_some() { side } else { "labelled" };
            (rows < MEASURED)
                .then(|| format!("of {} there are {rows} {side} rows, too few to share out", quoted(&label.name)))
        })
    }

    fn features(&mut self) {
        let mut blocks: Vec<Block<'_>> = Vec::new();
        for (profile, role) in self.profiles.iter().zip(self.roles) {
            let Role::Feature(feature) = role else { continue };
            let column = (profile.name.as_str(), feature.facts.as_str());
            match blocks.iter_mut().find(|(lines, _)| *lines == feature.lines.as_slice()) {
                Some((_, columns)) => columns.push(column),
                None => blocks.push((&feature.lines, vec![column])),
            }
        }
        let numbers = self.profiles.iter().filter(|profile| profile.is_number()).count();
        if numbers > MANY_NUMBERS {
            self.line(format!(
                "\n# {} columns of numbers: each is a number alone. `pieces` and `exact` would make 25 of each.",
                count(numbers)
            ));
        }
        for (lines, columns) in blocks {
            self.line("\n[[feature]]");
            let entries = entries(&columns);
            match entries.as_slice() {
                [one] => self.key("columns", &format!("[{}]", one.written), &one.comment),
                many => {
                    self.line("columns = [");
                    for entry in many {
                        let name = format!("{},", entry.written);
                        self.line(format!("    {name:<39} # {}", entry.comment));
                    }
                    self.line("]");
                }
            }
            lines.iter().for_each(|line| self.line(line));
        }
    }

    fn tasks(&mut self) {
        if self.options.labels.is_empty() {
            self.line(
                "\n# The labels are chosen by their names and values. Name them with --label, if others are meant.",
            );
        }
        for label in self.labels {
            let profile = &self.profiles[label.at];
            self.line("\n[[task]]");
            self.key("name", &quoted(&label.name), &label.why);
            let kind = if label.positive.is_some() { "binary" } else { "regression" };
            self.key("kind", &quoted(kind), "");
            let mut keys = format!("column = {}", quoted(&profile.name));
            let mut why = "";
            if let Some(positive) = label.positive.as_ref().filter(|positive| !positive.is_plain) {
                let _ = write!(keys, ", positive = {}", positive.written);
                why = "the value that is predicted: 1";
            }
            if label.missing_is_zero {
                keys.push_str(", missing = 0");
                why = "no row says 0: what is empty did not happen";
            }
            if label.log {
                keys.push_str(", transform = \"log1p\"");
                why = "a few values are far above the others";
            }
            self.key("label", &format!("{{ {keys} }}"), why);
            if let Some((at, positive)) = &label.within {
                let space = &self.profiles[*at];
                let value = format!("{{ column = {}, equals = {} }}", quoted(&space.name), positive.written);
                self.key("where", &value, "its sample space: predicted, and learned, of these rows");
            }
        }
    }

    fn metrics(&mut self) {
        let found = self.profiles.iter().find_map(|profile| Some((&profile.name, hints::group(profile)?)));
        if let Some((name, why)) = found {
            let name = quoted(name);
            self.line(format!("\n# Is one row ranked against others of one {name} ({why})? Then:"));
            self.line("# [metrics]");
            self.line(format!("# group = {name}    # GAUC, NDCG@k and recall@k within it"));
        }
    }

    /// What the score of a row could be. Exponents are a choice: no row says them.
    fn rank(&mut self) {
        // A number below 0 has no root.
        let counts = |label: &&Label| label.truth.iter().flatten().all(|&value| value >= 0.0);
        let table = |labels: &[&Label], value: &str| {
            let keys: Vec<String> = labels.iter().map(|label| format!("{} = {value}", key(&label.name))).collect();
            format!("{{ {} }}", keys.join(", "))
        };
        let counting: Vec<&Label> = self.labels.iter().filter(counts).collect();
        let regressions: Vec<&Label> = counting.iter().copied().filter(|label| label.positive.is_none()).collect();
        if counting.len() < 2 {
            return;
        }
        self.line(
            "\n# Are candidates ordered by the tasks together (docs/ranking.md)? Then, with exponents of your own:",
        );
        self.line("# [rank]");
        self.line(format!("# score = {}", table(&counting, "1.0")));
        if !regressions.is_empty() {
            self.line(format!("# floor = {}    # predictions a little below 0", table(&regressions, "0.001")));
        }
    }

    /// Whether tables are so large that they overfit before the rest has learned.
    fn has_ids(&self) -> bool {
        self.roles.iter().any(|role| matches!(role, Role::Feature(feature) if feature.kind == FeatureSort::Hashed))
    }

    fn dropout(&mut self) {
        if self.has_ids() {
            return;
        }
        self.key("dropout", "0.2", "");
    }

    fn model(&mut self) {
        self.line("\n[model]");
        if self.labels.len() == 1 {
            self.key("kind", "\"single-task\"", "one task shares with none; with more tasks: kind = \"ple\"");
            self.key("bottom", "[64, 32]", "");
        } else {
            self.ple();
        }
        self.key("tower", "[32]", "");
        self.dropout();
    }

    fn ple(&mut self) {
        self.key("kind", "\"ple\"", "experts of each task's own beside shared ones (docs/structures.md)");
        self.line("levels = [");
        self.line("    { task_experts = 2, shared_experts = 2, widths = [64] },");
        self.line("    { task_experts = 2, shared_experts = 2, widths = [32] },");
        self.line("]");
    }

    fn train(&mut self) {
        let (rows, ids) = (self.sample.rows, self.has_ids());
        let has_tables = self.roles.iter().any(|role| match role {
            Role::Feature(feature) => {
                feature.kind != FeatureSort::Number || feature.lines.iter().any(|line| line.starts_with("exact"))
            }
            _ => false,
        });
        let batch = match rows {
            _ if !self.sample.is_whole || rows > 100_000 => "1024",
            0..=5_000 => "128",
            _ => "512",
        };
        let rate = if ids { "1e-3" } else { "3e-3" };
        self.line("\n[train]");
        if ids {
            self.key("epochs", "5", "tables of ids overfit within some epochs; the best one is kept");
        } else {
            self.key("epochs", "10", "");
        }
        self.key("batch_size", batch, "");
        self.key("optimizer", &format!("{{ kind = \"adam\", learning_rate = {rate} }}"), "");
        if has_tables {
            let value = format!("{{ kind = \"adam\", learning_rate = {rate}, weight_decay = 1e-3 }}");
            self.key("embedding_optimizer", &value, "tables overfit first");
        }
        if !ids {
            self.key("schedule", "{ kind = \"cosine\" }", "from that rate to 0 by the last epoch");
        }
        if self.why_no_split().is_none() {
            self.key("early_stopping", &format!("{{ patience = {} }}", if ids { 2 } else { 3 }), "");
        }
        self.key("seed", "1", "");
    }

    fn compare(&mut self) {
        if self.labels.len() < 2 {
            return;
        }
        self.line("\n# `pleiad compare`: each model with each seed, and for every task whether sharing helped.");
        self.line("[compare]");
        self.key("seeds", "[1, 2, 3]", "");
        self.key("baseline", "\"single-task\"", "");
        self.line("\n[[compare.model]]");
        self.key("name", "\"single-task\"", "");
        self.key("kind", "\"single-task\"", "");
        self.key("bottom", "[64, 32]", "");
        self.key("tower", "[32]", "");
        self.dropout();
        self.line("\n[[compare.model]]");
        self.key("name", "\"PLE\"", "");
        self.ple();
        self.key("tower", "[32]", "");
        self.dropout();
    }

    fn left_out(&mut self) {
        let out = |why: Why| {
            let of = move |(profile, role): (&Profile, &Role)| match role {
                Role::Out(own, reason) if *own == why => Some(format!("#     {:<31} {reason}", quoted(&profile.name))),
                _ => None,
            };
            self.profiles.iter().zip(self.roles).filter_map(of).collect::<Vec<_>>()
        };
        let sections: Vec<_> = Why::ALL.into_iter().map(|(why, what)| (what, out(why))).collect();
        if sections.iter().all(|(_, lines)| lines.is_empty()) {
            return;
        }
        self.line("\n# Left out, for you to decide: add what belongs to the features to a [[feature]].");
        for (what, lines) in sections.into_iter().filter(|(_, lines)| !lines.is_empty()) {
            self.line(format!("#\n# {what}"));
            let more = lines.len().saturating_sub(NAMED);
            lines.into_iter().take(NAMED).for_each(|line| self.line(line));
            if more > 0 {
                self.line(format!("#     and {} more", count(more)));
            }
        }
    }
}
