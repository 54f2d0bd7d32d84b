//! `pleiad bench --serve`: what the answers of a server cost its clients.

use std::time::Duration;

use clap::ValueEnum;
use pleiad_rank::{Interrupt, Source};
use pleiad_serve::{
    Batching, Candidates, LoadFigures, LoadOptions, ModelSpec, StageFigures, measure, measure_in_process,
};
use serde_json::json;

use crate::exit::Failure;
use crate::output::{Format, Table, count, print, print_json};
use crate::{Global, signals, stderr};

/// What `--serve` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Load {
    /// Rows that candidates are drawn from
    #[arg(long, value_name = "FILE", help_heading = "With --serve")]
    data: Vec<String>,
    /// Columns that all candidates of a request share
    #[arg(long, value_name = "COLUMN", value_delimiter = ',', help_heading = "With --serve")]
    shared: Vec<String>,
    /// How requests have their candidates
    #[arg(long, value_enum, default_value_t, help_heading = "With --serve")]
    form: Form,
    /// Candidates of a request
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "100,500,1000", value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "With --serve")]
    lists: Vec<u32>,
    /// Loads, as shares of the one that saturates the server
    #[arg(long, value_name = "SHARE", value_delimiter = ',', default_value = "0.25,0.5,0.75", value_parser = share, help_heading = "With --serve")]
    loads: Vec<f64>,
    /// How long each point is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600), help_heading = "With --serve")]
    seconds: u32,
    /// Let requests wait so long for others, as `pleiad serve --batch-wait` does
    #[arg(long, value_name = "SECONDS", value_parser = super::serve::seconds, default_value = "0", conflicts_with = "in_process", help_heading = "With --serve")]
    batch_wait: Duration,
    /// Rank requests one at a time without a server, and say what each stage takes
    #[arg(long, requires = "serve", help_heading = "With --serve")]
    in_process: bool,
}

/// How candidates are written.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Form {
    /// JSON, an object for each
    #[default]
    Rows,
    /// JSON, a list for each field
    Columns,
    /// An Arrow stream, answered with one
    Arrow,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share <= 2.0 => Ok(share),
        _ => Err("a load is above 0 and at most 2".to_owned()),
    }
}

impl Load {
    pub(crate) fn run(self, model: &str, quick: bool, global: &Global) -> Result<(), Failure> {
        let interrupt = signals::interrupt()?;
        let options = LoadOptions {
            model: ModelSpec::parse(model)?,
            data: Source::new(&self.data, None)?,
            shared: self.shared,
            form: match self.form {
                Form::Rows => Candidates::Rows,
                Form::Columns => Candidates::Columns,
                Form::Arrow => Candidates::Arrow,
            },
            lists: self.lists.iter().map(|&list| list as usize).collect(),
            loads: self.loads,
            time: if quick { Duration::from_millis(300) } else { Duration::from_secs(self.seconds.into()) },
            batching: (!self.batch_wait.is_zero())
                .then_some(Batching { wait: self.batch_wait, candidates: Batching::CANDIDATES as usize }),
            workers: rayon::current_num_threads(),
        };
        if self.in_process {
            let measured = measure_in_process(&options, &interrupt)?;
            match global.format {
                Format::Json => print_json(&json!({ "threads": options.workers, "in_process": measured }))?,
                Format::Text => print(&format!("{}{} threads\n", stages(&measured).render(), options.workers))?,
            }
            return ended(&interrupt);
        }
        let mut tell = |figures: &LoadFigures| {
            stderr::note(&format!("{} candidates, {}: p99 {:.2} ms", figures.candidates, load(figures), figures.p99));
        };
        let measured = measure(&options, &interrupt, &mut tell)?;
        match global.format {
            Format::Json => print_json(&json!({ "threads": options.workers, "serve": measured }))?,
            Format::Text => print(&format!("{}{} threads\n", table(&measured).render(), options.workers))?,
        }
        ended(&interrupt)
    }
}

fn ended(interrupt: &Interrupt) -> Result<(), Failure> {
    match interrupt.raised() {
        Some(signal) => Err(Failure::interrupted(signal, "the bench was stopped; what it had measured is above")),
        None => Ok(()),
    }
}

fn stages(measured: &[StageFigures]) -> Table {
    let mut table =
        Table::new(["candidates", "body kB", "decode ms", "encode ms", "predict ms", "score ms", "write ms"]);
    for figures in measured {
        let stages = [figures.decode, figures.encode, figures.predict, figures.score, figures.write];
        let head = [count(figures.candidates as u64), count(figures.body as u64 / 1000)];
        table.row(head.into_iter().chain(stages.map(|ms| format!("{ms:.3}"))));
    }
    table
}

fn load(figures: &LoadFigures) -> String {
    figures.load.map_or_else(|| "saturated".to_owned(), |load| format!("{:.0} %", load * 100.0))
}

fn table(measured: &[LoadFigures]) -> Table {
    let mut table =
        Table::new(["candidates", "load", "requests/s", "candidates/s", "p50 ms", "p99 ms", "p99.9 ms", "failed"]);
    for figures in measured {
        table.row([
            count(figures.candidates as u64),
            load(figures),
            format!("{:.1}", figures.per_second),
            count((figures.per_second * figures.candidates as f64) as u64),
            format!("{:.2}", figures.p50),
            format!("{:.2}", figures.p99),
            format!("{:.2}", figures.p999),
            count(figures.failed as u64),
        ]);
    }
    table
}
