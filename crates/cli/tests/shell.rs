//! Completions and the manual.

#![allow(clippy::unwrap_used)]

use crate::common::Folder;

#[test]
fn every_shell_has_completions() {
    let folder = Folder::empty();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = folder.ok(&["completions", shell]);
        for word in ["quickstart", "init", "label"] {
            assert!(ran.stdout.contains(word), "{shell} knows no {word}");
        }
    }
    let ran = folder.run(&["completions", "tcsh"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("bash"), "{}", ran.stderr);
    if let Ok(bash) =
        std::process::Command::new("bash").args(["-n", "-c", &folder.ok(&["completions", "bash"]).stdout]).output()
    {
        assert!(bash.status.success(), "{}", String::from_utf8_lossy(&bash.stderr));
    }
}

#[test]
fn every_command_has_a_page() {
    let folder = Folder::empty();
    folder.ok(&["man", "--out", "man/man1"]);
    let help = folder.ok(&["--help"]).stdout;
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands: Vec<&str> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next().filter(|_| !line.starts_with("   ")))
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() >= 12, "{commands:?}");
    for command in commands {
        let page = folder.text(&format!("man/man1/pleiad-{command}.1"));
        assert!(page.contains(".SH SYNOPSIS"), "{command}: {page}");
    }
    let page = folder.text("man/man1/pleiad-synth-video.1");
    assert!(page.contains("synth video"), "{page}");
    folder.ok(&["man", "--out", "man/man1"]);
    assert!(folder.listing().iter().all(|name| !name.contains(".tmp")));
}
