//! `docs/commands.md`, which is what the command itself says.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::Path;

use crate::common::Folder;

fn help(folder: &Folder, arguments: &[&str]) -> String {
    folder.ok(&[arguments, &["--help"]].concat()).stdout.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// `UPDATE=1 cargo test --workspace documents` writes the page again.
#[test]
fn the_page_of_commands_is_what_help_says() {
    let folder = Folder::empty();
    let overview = help(&folder, &[]);
    let commands: Vec<&str> = overview
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // A description that is longer than its line goes on, further to the right.
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.contains(&"train"), "{overview}");
    let mut page = String::from(
        "# Commands\n\nWhat `pleiad --help` and `pleiad COMMAND --help` print. Exit codes and messages as JSON are in \
         [messages.md](messages.md).\n",
    );
    write!(page, "\n## pleiad\n\n```text\n{}\n```\n", overview.trim_end()).unwrap();
    for command in commands {
        write!(page, "\n## {command}\n\n```text\n{}\n```\n", help(&folder, &[command]).trim_end()).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/commands.md is not what the command says: UPDATE=1 cargo test documents");
}
