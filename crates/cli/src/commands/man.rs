//! `pleiad man`: the manual, a page for each command.

use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_mangen::Man as Page;
use serde_json::json;

use super::file::{self, IfThere};
use crate::exit::Failure;
use crate::output::{Format, print, print_json};
use crate::{Cli, Global};

/// Write the manual, a page for each command
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad man --out ~/.local/share/man/man1 && man pleiad-train")]
pub(crate) struct Man {
    /// Folder to write; is made where it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Man {
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        std::fs::create_dir_all(&self.out)
            .map_err(|error| Failure::run(format!("{}: {}", self.out.display(), error.kind())))?;
        let mut command = Cli::command();
        command.build();
        let mut written = Vec::new();
        pages(&command, &self.out, &mut written)?;
        match global.format {
            Format::Json => print_json(&json!({ "files": written }))?,
            Format::Text => print(&format!("{}: {} pages", self.out.display(), written.len()))?,
        }
        Ok(())
    }
}

/// Writes the page of a command, and those of the commands below it.
fn pages(command: &clap::Command, folder: &Path, written: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let page = Page::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    let path = folder.join(page.get_filename());
    file::write(&path, &text, IfThere::Replace)?;
    written.push(path);
    let below = command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help");
    below.into_iter().try_for_each(|command| pages(command, folder, written))
}
