//! The command `pleiad`: trains, measures and uses multi-task ranking models from the shell. It is a library of one function,
//! [`run`], since the Python wheel brings the command too.
//!
//! One file per command under `commands`; what a command does is in the libraries, what it prints is here. Results go
//! to standard output, progress and everything else to standard error, which `stderr` alone writes to.

#![forbid(unsafe_code)]
#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "doc comments of arguments are what --help prints, brackets and all"
)]

mod commands;
mod details;
mod exit;
mod lines;
mod output;
mod paint;
mod progress;
mod signals;
mod stderr;
mod terminal;
mod usage;

use std::ffi::OsString;

use clap::Parser;

use crate::commands::Command;
use crate::exit::Failure;
use crate::output::Format;
use crate::stderr::Manner;

/// Multi-task ranking: train, measure and use PLE and its relatives.
#[derive(Debug, Parser)]
#[command(
    name = "pleiad",
    version,
    arg_required_else_help = true,
    after_help = "\
Exit codes: 0 done, 1 failed while running, 2 bad usage or configuration, 3 bad data,
130 and 143 interrupted by SIGINT and SIGTERM.

Start with:
  pleiad quickstart                             what there is to see, on a log that is made up
  pleiad init log.parquet --out config.toml     a first configuration for a log of your own"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// Form of the results on standard output, and of messages on standard error
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Global options")]
    pub(crate) format: Format,
    /// No progress and no notes on standard error; warnings and errors stay
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// Threads to compute with; changes no result [default: all processors]
    #[arg(long, global = true, value_name = "N", value_parser = threads, help_heading = "Global options")]
    pub(crate) threads: Option<usize>,
}

fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=1024) => Ok(n),
        _ => Err("a number of threads is from 1 to 1024".to_owned()),
    }
}

/// Runs the command of these arguments, the first of which is the name of the program, and gives the exit code: 0 done, 1 failed
/// while running, 2 bad usage or configuration, 3 bad data, 130 and 143 interrupted. Handlers of SIGINT and SIGTERM are those
/// of the whole process.
#[must_use]
pub fn run(arguments: Vec<OsString>) -> u8 {
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return usage::report(error, &arguments),
    };
    stderr::set(Manner { quiet: cli.global.quiet, json: cli.global.format == Format::Json });
    match execute(cli) {
        Ok(()) => 0,
        Err(failure) => failure.report(),
    }
}

fn execute(cli: Cli) -> Result<(), Failure> {
    signals::outlive_limits();
    let mut pool = rayon::ThreadPoolBuilder::new();
    if let Some(threads) = cli.global.threads {
        pool = pool.num_threads(threads);
    }
    let pool = pool.build().map_err(|e| Failure::run(format!("cannot start threads: {e}")))?;
    pool.install(|| cli.command.run(&cli.global))
}
