//! Rows that a program hands over train the model that the same rows in a file train, to the bit.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int8Array, RecordBatch, StringArray};
use pleiad_data::MemoryRows;
use pleiad_data::schema::{PartConfig, SplitConfig};
use pleiad_rank::Model;
use pleiad_train::{ConfigFile, Error, ErrorKind, Interrupt, RunReport, Silent, TrainOptions, TrainOutcome, train};

const CONFIG: &str = r#"
[data]
train = "train.csv"
valid = { fraction = 0.2 }
test = "test.csv"

[[feature]]
columns = ["age"]
kind = "numeric"
transform = ["standardize"]
missing = "mean"
pieces = 4

[[feature]]
columns = ["city"]
kind = "categorical"
embedding = 3

[[task]]
name = "buy"
kind = "binary"
label = "buy"

[[task]]
name = "spend"
kind = "regression"
label = "spend"
where = { column = "buy", equals = 1 }

[model]
kind = "ple"
levels = [{ task_experts = 1, shared_experts = 1, widths = [8] }]
tower = [4]

[train]
epochs = 2
batch_size = 64
optimizer = { kind = "adam", learning_rate = 1e-2 }
early_stopping = { patience = 5 }
seed = 3
"#;

struct People {
    age: Vec<Option<f64>>,
    city: Vec<&'static str>,
    buy: Vec<i8>,
    spend: Vec<Option<f64>>,
}

fn rows(count: usize, salt: usize) -> People {
    let noise = |i: usize, what: usize| ((i * 7919 + what * 104_729 + salt * 31) % 1000) as f64 / 1000.0;
    let (mut age, mut city, mut buy, mut spend) = (vec![], vec![], vec![], vec![]);
    for i in 0..count {
        let years = 18.0 + (60.0 * noise(i, 1)).floor();
        let bought = noise(i, 2) < years / 90.0;
        age.push((i % 17 != 0).then_some(years));
        city.push(["Lagos", "Lima", "Oslo", "Pune"][(noise(i, 3) * 4.0) as usize]);
        buy.push(i8::from(bought));
        spend.push(bought.then_some(0.25 * years.floor()));
    }
    People { age, city, buy, spend }
}

impl People {
    fn csv(&self) -> String {
        let text = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let line =
            |i: usize| format!("{},{},{},{}\n", text(self.age[i]), self.city[i], self.buy[i], text(self.spend[i]));
        "age,city,buy,spend\n".to_owned() + &(0..self.age.len()).map(line).collect::<String>()
    }

    /// The rows in batches of these sizes, with a column that is not used.
    fn batches(&self, sizes: &[usize]) -> Arc<Vec<RecordBatch>> {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("spend", Arc::new(Float64Array::from(self.spend.clone()))),
            ("beside", Arc::new(StringArray::from(vec!["x"; self.age.len()]))),
            ("buy", Arc::new(Int8Array::from(self.buy.clone()))),
            ("city", Arc::new(StringArray::from(self.city.clone()))),
            ("age", Arc::new(Float64Array::from(self.age.clone()))),
        ];
        let all = RecordBatch::try_from_iter(columns).unwrap();
        let mut first = 0;
        let mut parts: Vec<RecordBatch> = Vec::new();
        for &size in sizes {
            parts.push(all.slice(first, size));
            first += size;
        }
        parts.push(all.slice(first, all.num_rows() - first));
        Arc::new(parts)
    }
}

fn run(config: &ConfigFile, rows: Option<&MemoryRows>, out: &Path) -> Result<Box<RunReport>, Error> {
    let options = TrainOptions { config, model: None, out, init: None, resume: false, rows, pages: None };
    match train(&options, &Interrupt::default(), &mut Silent)? {
        TrainOutcome::Finished(report) | TrainOutcome::AlreadyDone(report) => Ok(report),
    }
}

/// The configuration without its files.
fn in_memory(config: &ConfigFile) -> ConfigFile {
    let mut config = config.config.clone();
    config.data.train = None;
    config.data.test = Some(SplitConfig::Part(PartConfig { memory: true, ..PartConfig::default() }));
    ConfigFile::in_memory(&config).unwrap()
}

#[test]
fn rows_in_memory_train_the_same_model_as_rows_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    // More than a chunk has, so that positions go on from chunk to chunk.
    let (training, test) = (rows(20_000, 0), rows(500, 1));
    std::fs::write(dir.path().join("train.csv"), training.csv()).unwrap();
    std::fs::write(dir.path().join("test.csv"), test.csv()).unwrap();
    let file = ConfigFile::parse(&dir.path().join("config.toml"), CONFIG.to_owned(), &[]).unwrap();
    let of_file = run(&file, None, &dir.path().join("file")).unwrap();
    assert!(!dir.path().join("file/report.html").exists(), "nobody draws one");
    for (name, sizes) in [("one", &[][..]), ("many", &[1, 0, 9000, 8192, 7]), ("empty-first", &[0, 5])] {
        let memory = MemoryRows { train: training.batches(sizes), valid: None, test: Some(test.batches(&[100])) };
        let out = dir.path().join(name);
        let report = run(&in_memory(&file), Some(&memory), &out).unwrap();
        assert_eq!((&report.rows, &report.data), (&of_file.rows, &of_file.data), "{name}");
        assert_eq!((&report.valid, &report.test), (&of_file.valid, &of_file.test), "{name}");
        let models = [&out, &dir.path().join("file")].map(|out| Model::open(&out.join("model")).unwrap());
        let predictions = models.map(|model| model.predict(&model.encode(&test.batches(&[])[0]).unwrap()).unwrap());
        assert_eq!(predictions[0], predictions[1], "{name}");
    }
}

#[test]
fn what_is_wrong_with_rows_in_memory_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let training = rows(200, 0);
    std::fs::write(dir.path().join("train.csv"), training.csv()).unwrap();
    let text = CONFIG.replace("test = \"test.csv\"\n", "");
    let file = ConfigFile::parse(&dir.path().join("config.toml"), text, &[]).unwrap();
    let of = |train: Arc<Vec<RecordBatch>>| MemoryRows { train, ..MemoryRows::default() };
    let out = dir.path().join("run");
    let fails = |file: &ConfigFile, rows: Option<&MemoryRows>| {
        let error = run(file, rows, &out).unwrap_err();
        assert!(!out.exists(), "nothing stays behind");
        (error.kind(), error.to_string())
    };
    let (kind, says) = fails(&file, Some(&of(training.batches(&[]))));
    assert!(kind == ErrorKind::Config && says.contains("leave out one of both"), "{says}");

    let mut config = file.config.clone();
    config.data.train = None;
    let memory = ConfigFile::in_memory(&config).unwrap();
    let (kind, says) = fails(&memory, None);
    assert!(kind == ErrorKind::Config && says.contains("has to hand over these rows"), "{says}");
    let without_city = training.batches(&[])[0].project(&[0, 1, 2, 4]).unwrap();
    let (kind, says) = fails(&memory, Some(&of(Arc::new(vec![without_city]))));
    assert!(kind == ErrorKind::Config && says.contains("city") && says.contains("rows in memory"), "{says}");
    let (kind, says) = fails(&memory, Some(&of(Arc::new(vec![training.batches(&[])[0].slice(0, 0)]))));
    assert!(kind == ErrorKind::Data && says.contains("no"), "{says}");
    let (kind, says) = fails(&memory, Some(&of(Arc::default())));
    assert!(kind == ErrorKind::Data, "{says}");

    let mut bad = rows(200, 0);
    bad.age[150] = Some(f64::INFINITY);
    let (kind, says) = fails(&memory, Some(&of(bad.batches(&[100]))));
    assert!(kind == ErrorKind::Data && says.contains("row 151") && says.contains("age"), "{says}");

    for (key, value) in [("cache", "\"kept\""), ("stream", "true")] {
        let mut config = config.clone();
        match key {
            "cache" => config.data.cache = Some(value.trim_matches('"').to_owned()),
            _ => config.data.stream = pleiad_data::schema::Stream::Switch(true),
        }
        let (kind, says) = fails(&ConfigFile::in_memory(&config).unwrap(), Some(&of(training.batches(&[]))));
        assert!(kind == ErrorKind::Config && says.contains(key), "{says}");
    }
}
