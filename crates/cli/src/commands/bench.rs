//! `pleiad bench`: what a training step costs on this machine.

use std::path::PathBuf;

use pleiad_bench::{
    Arithmetic, BenchReport, Effort, FileFigures, GrowthSeries, Memory, StepFigures, StreamFigures, Workload,
    cached_file, export, file, growth, steps, stream,
};
use pleiad_engine::{Kernels, Precision};
use pleiad_train::ConfigFile;

use crate::commands::load;
use crate::exit::Failure;
use crate::output::{Format, Table, count, print, print_json};
use crate::progress::TrainProgress;
use crate::{Global, signals, stderr};

/// Steps of a point of a growth series: there are some thirty of them.
const GROWTH: Effort = Effort { warm_up: 5, repeats: 3, steps: 20 };

/// Measure what training costs on this machine
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad bench w1 w2 w3 --threads 2

  pleiad bench --serve run/model --data log.parquet --shared user_id,device

Workloads: w1 dense, w2 census-like, w3 large tables; w5 a generated log of --rows rows that
stays on disk; w6 growth of the cost with batch, tasks, experts, vocabulary and threads; w7
50 candidates a request, and w7-flat the same row by row; with
--config also an epoch from files to weights, and again from encoded rows.
Without a name: w1, w2 and w3, or with --config that epoch alone.
ms/step is the median over repeats, with the lowest and highest beside it. GFLOP/s are those
of the matrix products (both passes) over all of a step's time, as if every row of a batch were
multiplied: small tables are once a step, so it may be above the peak, which is what matrix
products alone reach on the same threads.")]
pub(crate) struct Bench {
    /// What to measure, by name
    #[arg(value_name = "WORKLOAD")]
    workloads: Vec<Workload>,
    /// Steps of each repeat [default: 60, growth 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    steps: Option<u32>,
    /// A few steps only: to see that it runs, not to quote
    #[arg(long)]
    quick: bool,
    /// Precision of the products of a step
    #[arg(long, value_enum, default_value_t)]
    precision: PrecisionName,
    /// Take the products that every processor has, not the fastest of this one: to compare
    #[arg(long)]
    plain_kernels: bool,
    /// Train one epoch of this configuration, reading and encoding included
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Rows of the log of w5
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..))]
    rows: u64,
    /// Where w5 may write for as long as it runs [default: the system's folder for temporary files]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Serve this model, and measure what answers cost clients that share the machine; needs --data
    #[arg(long, value_name = "MODEL", requires = "data", conflicts_with_all = ["workloads", "config", "export_case"])]
    serve: Option<String>,
    #[command(flatten)]
    load: load::Load,
    /// Write weights, batches and gradients of a workload to a folder instead, for other programs to compare with
    #[arg(long, num_args = 2, value_names = ["WORKLOAD", "DIR"], conflicts_with_all = ["workloads", "config", "steps", "quick", "precision"])]
    export_case: Option<Vec<String>>,
}

/// [`Precision`] as an argument.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum PrecisionName {
    #[default]
    F32,
    Bf16,
}

impl From<PrecisionName> for Precision {
    fn from(name: PrecisionName) -> Self {
        match name {
            PrecisionName::F32 => Self::F32,
            PrecisionName::Bf16 => Self::Bf16,
        }
    }
}

impl Bench {
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        if let Some([workload, dir]) = self.export_case.as_deref() {
            let workload: Workload = workload.parse().map_err(|e| Failure::usage(format!("--export-case: {e}")))?;
            let Some(case) = workload.case() else {
                return Err(Failure::usage("--export-case: growth has many cases; name w1, w2 or w3"));
            };
            return Ok(export(&case, &PathBuf::from(dir))?);
        }
        if let Some(model) = &self.serve {
            return self.load.run(model, self.quick, global);
        }
        // An error in the file is reported before the steps of the others are measured.
        let config = self.config.as_ref().map(|path| ConfigFile::load(path, &[])).transpose()?;
        let workloads = match (&self.workloads[..], &config) {
            ([], None) => vec![Workload::Dense, Workload::Census, Workload::Tables],
            (workloads, _) => workloads.to_vec(),
        };
        let interrupt = signals::interrupt()?;
        let effort = |full: Effort| {
            let effort = if self.quick { Effort::QUICK } else { full };
            self.steps.map_or(effort, |steps| effort.with_steps(steps as usize))
        };
        let arithmetic = Arithmetic {
            precision: self.precision.into(),
            kernels: if self.plain_kernels { Kernels::Plain } else { Kernels::Fastest },
        };
        let mut report = BenchReport { threads: rayon::current_num_threads(), ..BenchReport::default() };
        for workload in workloads {
            stderr::note(&format!("{} ({})", workload.name(), workload.title()));
            match workload.case() {
                Some(case) => report.steps.push(steps(&case, arithmetic, effort(Effort::FULL), &interrupt)?),
                None if workload == Workload::Stream => {
                    let mut progress = TrainProgress::new("");
                    report.stream = Some(stream(self.rows, self.folder.as_deref(), &interrupt, &mut progress)?);
                }
                None => {
                    let mut tell = |size: &str, value| stderr::note(&format!("  {size} {}", count(value as u64)));
                    report.growth = growth(arithmetic, effort(GROWTH), self.quick, &interrupt, &mut tell)?;
                }
            }
        }
        if let Some(config) = &config {
            let mut progress = TrainProgress::new("");
            report.file = Some(file(config, &interrupt, &mut progress)?);
            if config.config.data.stream.window().is_none() {
                report.cached_file = Some(cached_file(config, &interrupt, &mut progress)?);
            }
        }
        match global.format {
            Format::Json => print_json(&report)?,
            Format::Text => print(&text(&report))?,
        }
        Ok(())
    }
}

fn text(report: &BenchReport) -> String {
    let mut parts = Vec::new();
    if !report.steps.is_empty() {
        parts.push(steps_table(&report.steps).render());
        parts.extend(requests_table(&report.steps).map(|table| table.render()));
    }
    if !report.growth.is_empty() {
        parts.extend(report.growth.iter().map(|series| {
            format!("{}exponent {:.2} (1: linear, 0: flat)\n", growth_table(series).render(), series.exponent)
        }));
    }
    parts.extend(report.file.as_ref().map(|figures| file_text("read, fit, encode", figures)));
    parts.extend(report.cached_file.as_ref().map(|figures| file_text("read encoded rows", figures)));
    parts.extend(report.stream.as_ref().map(stream_text));
    let threads = if report.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", report.threads) };
    let kernels = report.steps.first().map_or_else(String::new, |figures| format!(", {}", figures.kernels));
    format!("{}\n{threads}{kernels}\n", parts.join("\n"))
}

/// Predictions of single requests, of the workloads that have requests.
fn requests_table(steps: &[StepFigures]) -> Option<Table> {
    let mut table = Table::new(["workload", "ms/request", "from", "to"]);
    let mut rows = steps.iter().filter_map(|figures| Some((figures, figures.ms_per_request?))).peekable();
    rows.peek()?;
    for (figures, ms) in rows {
        table.row([
            figures.workload.clone(),
            milliseconds(ms.median),
            milliseconds(ms.lowest),
            milliseconds(ms.highest),
        ]);
    }
    Some(table)
}

fn steps_table(steps: &[StepFigures]) -> Table {
    let header = ["workload", "B", "ms/step", "from", "to", "rows/s", "GFLOP/s", "peak", "share", "MiB", "peak MiB"];
    let mut table = Table::new(header);
    for figures in steps {
        let Memory { resident_mib, peak_mib } = figures.memory;
        let ms = figures.ms_per_step;
        table.row([
            figures.workload.clone(),
            count(figures.rows as u64),
            milliseconds(ms.median),
            milliseconds(ms.lowest),
            milliseconds(ms.highest),
            count(figures.rows_per_second as u64),
            format!("{:.1}", figures.product_gflops),
            format!("{:.1}", figures.peak_gflops),
            format!("{:.0} %", figures.peak_share * 100.0),
            mib(resident_mib),
            mib(peak_mib),
        ]);
    }
    table
}

fn growth_table(series: &GrowthSeries) -> Table {
    let mut table = Table::new([series.size, "ms/step", "from", "to", "us/row", "MiB"]);
    for point in &series.points {
        let ms = point.ms_per_step;
        table.row([
            count(point.value as u64),
            milliseconds(ms.median),
            milliseconds(ms.lowest),
            milliseconds(ms.highest),
            format!("{:.2}", point.us_per_row),
            mib(point.memory.resident_mib),
        ]);
    }
    table
}

fn file_text(loading: &str, figures: &FileFigures) -> String {
    let mut table = Table::new(["w4", "rows", "seconds", "rows/s"]);
    let per_second = |rows: u64, seconds: f64| count((rows as f64 / seconds) as u64);
    let mut row = |what: &str, rows: u64, seconds: f64| {
        table.row([what.to_owned(), count(rows), format!("{seconds:.2}"), per_second(rows, seconds)]);
    };
    row(loading, figures.rows_read, figures.loading_seconds);
    row("one epoch", figures.train_rows, figures.epoch_seconds);
    row("file to weights", figures.train_rows, figures.seconds);
    format!(
        "{}{} MiB resident, {} at its peak; {:.1} % of the steps' time waiting for rows\n",
        table.render(),
        mib(figures.memory.resident_mib),
        mib(figures.memory.peak_mib),
        100.0 * figures.input_wait
    )
}

fn stream_text(figures: &StreamFigures) -> String {
    let mut table = Table::new(["w5", "rows", "seconds", "rows/s", "MiB", "peak MiB"]);
    let mut row = |what: &str, rows: u64, seconds: f64, memory: Memory| {
        table.row([
            what.to_owned(),
            count(rows),
            format!("{seconds:.2}"),
            count((rows as f64 / seconds) as u64),
            mib(memory.resident_mib),
            mib(memory.peak_mib),
        ]);
    };
    row("fit, encode, write", figures.rows, figures.loading_seconds, figures.loading_memory);
    row("one epoch", figures.train_rows, figures.epoch_seconds, figures.epoch_memory);
    format!(
        "{}{:.1} % of the steps' time waiting for rows, {} of them in a window; the log has {} MiB, encoded rows {}\n",
        table.render(),
        100.0 * figures.input_wait,
        count(figures.window as u64),
        mib(Some(figures.log_mib)),
        mib(Some(figures.encoded_mib))
    )
}

fn milliseconds(ms: f64) -> String {
    format!("{ms:.2}")
}

fn mib(mib: Option<f64>) -> String {
    mib.map_or_else(|| "-".to_owned(), |mib| count(mib.round() as u64))
}
