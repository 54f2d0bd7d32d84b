//! `pleiad synth`: synthetic logs.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use pleiad_data::synth::{
    FactorLog, FactorOptions, PaperLog, PaperOptions, SyntheticLog, VideoLog, VideoOptions, write_log,
};
use serde_json::json;

use crate::Global;
use crate::exit::Failure;
use crate::output::{Format, count, print, print_json};
use crate::progress::RowProgress;
use crate::signals;

/// Write a synthetic log
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Synth {
    Paper(Paper),
    Factors(Factors),
    Video(Video),
}

/// Two regressions with a given correlation, as in the papers on MMoE and PLE
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad synth paper --correlation 0.5 --rows 1400000 --seed 1 --out synthetic.parquet")]
pub(crate) struct Paper {
    /// Cosine between the weight vectors of the two tasks, -1 to 1
    #[arg(long, value_name = "P", default_value_t = PaperOptions::default().correlation, allow_negative_numbers = true)]
    correlation: f64,
    /// Number of rows, at most 2^40
    #[arg(long, value_name = "N", default_value_t = PaperOptions::default().rows)]
    rows: u64,
    /// Seed; logs of one seed differ in correlation alone
    #[arg(long, value_name = "N", default_value_t = PaperOptions::default().seed)]
    seed: u64,
    /// Number of inputs, x0 to x<D-1>
    #[arg(long, value_name = "D", default_value_t = PaperOptions::default().dimension)]
    dimension: usize,
    /// Number of sine terms in each label
    #[arg(long, value_name = "M", default_value_t = PaperOptions::default().sines)]
    sines: usize,
    /// Length of the weight vectors
    #[arg(long, value_name = "C", default_value_t = PaperOptions::default().scale)]
    scale: f64,
    /// Variance of the noise on each label
    #[arg(long, value_name = "V", default_value_t = PaperOptions::default().noise_variance)]
    noise_variance: f64,
    /// File to write: .csv, .csv.gz, .csv.zst, .parquet or .arrow
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Regressions that share some factors and not others
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad synth factors --share 0.5 --rows 300000 --out factors.parquet")]
pub(crate) struct Factors {
    /// Share of each task's signal that comes from factors of all tasks, 0 to 1
    #[arg(long, value_name = "S", default_value_t = FactorOptions::default().share, allow_negative_numbers = true)]
    share: f64,
    /// Number of rows, at most 2^40
    #[arg(long, value_name = "N", default_value_t = FactorOptions::default().rows)]
    rows: u64,
    /// Seed; logs of one seed differ in the share alone
    #[arg(long, value_name = "N", default_value_t = FactorOptions::default().seed)]
    seed: u64,
    /// Number of tasks, y1 to y<T>
    #[arg(long, value_name = "T", default_value_t = FactorOptions::default().tasks)]
    tasks: usize,
    /// Number of factors that all tasks have
    #[arg(long, value_name = "K", default_value_t = FactorOptions::default().shared_factors)]
    shared_factors: usize,
    /// Number of factors that each task has for itself
    #[arg(long, value_name = "L", default_value_t = FactorOptions::default().own_factors)]
    own_factors: usize,
    /// Number of inputs, x0 to x<D-1>; at least as many as factors
    #[arg(long, value_name = "D", default_value_t = FactorOptions::default().dimension)]
    dimension: usize,
    /// How often a factor goes up and down
    #[arg(long, value_name = "A", default_value_t = FactorOptions::default().frequency)]
    frequency: f64,
    /// Variance of the noise on each label; the signal's is 1
    #[arg(long, value_name = "V", default_value_t = FactorOptions::default().noise_variance)]
    noise_variance: f64,
    /// File to write: .csv, .csv.gz, .csv.zst, .parquet or .arrow
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A video feed: impression, click, then valid view, completion, share, comment
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad synth video --rows 500000 --out video.parquet")]
pub(crate) struct Video {
    /// Number of rows (impressions), at most 2^40
    #[arg(long, value_name = "N", default_value_t = VideoOptions::default().rows)]
    rows: u64,
    /// Seed
    #[arg(long, value_name = "N", default_value_t = VideoOptions::default().seed)]
    seed: u64,
    /// Number of users that may appear
    #[arg(long, value_name = "N", default_value_t = VideoOptions::default().users)]
    users: u64,
    /// Number of videos that may appear
    #[arg(long, value_name = "N", default_value_t = VideoOptions::default().videos)]
    videos: u64,
    /// Add the true probabilities as columns true_click, true_valid_view, ...
    #[arg(long)]
    with_truth: bool,
    /// File to write: .csv, .csv.gz, .csv.zst, .parquet or .arrow
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Synth {
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Paper(Paper { correlation, rows, seed, dimension, sines, scale, noise_variance, out }) => {
                let options = PaperOptions { rows, seed, correlation, dimension, sines, scale, noise_variance };
                write(&PaperLog::new(options)?, &out, global)
            }
            Self::Factors(Factors {
                share,
                rows,
                seed,
                tasks,
                shared_factors,
                own_factors,
                dimension,
                frequency,
                noise_variance,
                out,
            }) => {
                let options = FactorOptions {
                    rows,
                    seed,
                    tasks,
                    share,
                    shared_factors,
                    own_factors,
                    dimension,
                    frequency,
                    noise_variance,
                };
                write(&FactorLog::new(options)?, &out, global)
            }
            Self::Video(Video { rows, seed, users, videos, with_truth, out }) => {
                write(&VideoLog::new(VideoOptions { rows, seed, users, videos, with_truth })?, &out, global)
            }
        }
    }
}

fn write(log: &dyn SyntheticLog, out: &Path, global: &Global) -> Result<(), Failure> {
    let interrupt = signals::interrupt()?;
    let progress = RowProgress::new("writing", Some(log.rows()));
    let result = write_log(log, out, &mut |rows| {
        progress.at(rows);
        if interrupt.raised().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(progress);
    match (result, interrupt.raised()) {
        (Err(error @ pleiad_data::Error::Interrupted { .. }), Some(signal)) => {
            return Err(Failure::interrupted(signal, error.to_string()));
        }
        (result, _) => result?,
    }
    let columns = log.schema().fields().len();
    match global.format {
        Format::Text => print(&format!("{}: {} rows of {columns} columns", out.display(), count(log.rows())))?,
        Format::Json => print_json(&json!({ "file": out, "rows": log.rows(), "columns": columns }))?,
    }
    Ok(())
}
