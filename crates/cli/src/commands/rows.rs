//! The rows that `evaluate`, `predict` and `inspect` are given.

use clap::ValueEnum;
use pleiad_data::schema;
use pleiad_rank::Source;

use crate::exit::Failure;

/// How files of rows are written. The names keep clear of `--format`, the form of results.
#[derive(Debug, clap::Args)]
pub(crate) struct FileForm {
    /// Format of the files of rows [default: by each one's ending, else that of the training files]
    #[arg(long, value_name = "FORMAT", value_enum, requires = "data")]
    data_format: Option<DataFormat>,
    /// How CSV is written where it is not written as the training files: --csv separator=';'; keys are those of [data.csv]
    #[arg(long, value_name = "KEY=VALUE", requires = "data")]
    csv: Vec<String>,
}

/// Format of files of rows.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum DataFormat {
    /// CSV, plain or compressed
    Csv,
    /// Parquet
    Parquet,
    /// Arrow IPC, a file or a stream
    Arrow,
}

impl From<DataFormat> for schema::Format {
    fn from(format: DataFormat) -> Self {
        match format {
            DataFormat::Csv => Self::Csv,
            DataFormat::Parquet => Self::Parquet,
            DataFormat::Arrow => Self::Arrow,
        }
    }
}

impl FileForm {
    /// These files, written so.
    pub(crate) fn source(&self, patterns: &[String]) -> Result<Source, Failure> {
        Ok(Source::new(patterns, self.data_format.map(Into::into))?.with_csv(&self.csv)?)
    }
}
