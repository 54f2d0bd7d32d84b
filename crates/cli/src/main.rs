//! The binary `pleiad`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(pleiad_cli::run(std::env::args_os().collect()))
}
