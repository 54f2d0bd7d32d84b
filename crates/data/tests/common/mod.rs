//! A configuration in a temporary folder, and the files it reads.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub, missing_docs)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use pleiad_data::schema::{DataConfig, FeatureBlock, TaskConfig};
use pleiad_data::{Encoder, Error, LoadOptions, Schema, Splits};
use serde::Deserialize;

/// The parts of a configuration file that this crate knows.
#[derive(Debug, Deserialize)]
pub struct TestConfig {
    pub data: DataConfig,
    #[serde(default)]
    pub feature: Vec<FeatureBlock>,
    #[serde(default)]
    pub task: Vec<TaskConfig>,
}

impl TestConfig {
    pub fn parse(text: &str) -> Self {
        toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    pub fn schema(&self) -> Result<Schema, Error> {
        Schema::resolve(&self.data, &self.feature, &self.task)
    }
}

/// A folder of data files.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, contents).unwrap();
        path
    }

    pub fn load(&self, config: &str) -> Result<Splits, Error> {
        let config = TestConfig::parse(config);
        let schema = config.schema()?;
        Splits::load(&config.data, self.path(), &schema, LoadOptions::default())
    }

    /// The message of a load that must fail, without the folder's path.
    pub fn failure(&self, config: &str) -> (Error, String) {
        match self.load(config) {
            Ok(splits) => panic!("loaded {} rows", splits.train.rows()),
            Err(error) => {
                let message = error.to_string().replace(&format!("{}/", self.path().display()), "");
                (error, message)
            }
        }
    }
}

/// Parquet bytes of one batch, in row groups of `group` rows.
pub fn parquet_bytes(batch: &RecordBatch, group: usize) -> Vec<u8> {
    let properties =
        parquet::file::properties::WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

pub fn arrow_file_bytes(batches: &[RecordBatch]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = arrow::ipc::writer::FileWriter::try_new(&mut bytes, &batches[0].schema()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();
    drop(writer);
    bytes
}

pub fn arrow_stream_bytes(batches: &[RecordBatch]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = arrow::ipc::writer::StreamWriter::try_new(&mut bytes, &batches[0].schema()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();
    drop(writer);
    bytes
}

pub fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn array<A: arrow::array::Array + 'static>(array: A) -> ArrayRef {
    Arc::new(array)
}

/// What a saved model holds.
pub fn json(encoder: &Encoder) -> String {
    serde_json::to_string(encoder).unwrap()
}
