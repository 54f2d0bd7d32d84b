//! `pleiad completions`: what a shell needs to complete commands.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::Cli;
use crate::exit::Failure;
use crate::output::print;

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pleiad completions bash > ~/.local/share/bash-completion/completions/pleiad
  pleiad completions zsh > ~/.zfunc/_pleiad        # with fpath+=~/.zfunc before compinit in ~/.zshrc
  pleiad completions fish > ~/.config/fish/completions/pleiad.fish")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::command(), "pleiad", &mut script);
        Ok(print(&String::from_utf8_lossy(&script))?)
    }
}
