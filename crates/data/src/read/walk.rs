//! Finds the files that a glob matches and a folder holds.
//!
//! Files whose names begin with a dot or an underscore are not data: unfinished files, or files that a file system or a
//! writer leaves beside its parts. They are skipped, unless the pattern itself begins with that character there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use super::endings::format_of;
use crate::error::{Error, Result};

/// Names that a message shows.
const SHOWN: usize = 3;

/// Whether a path may stand for several.
pub(super) fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

/// The data files in a folder and in those below it, sorted.
pub(super) fn folder(path: &Path, is_data: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let mut walk = Walk::new(is_data);
    walk.all_below(path)?;
    if walk.found.is_empty() {
        return Err(Error::EmptyFolder { path: path.to_owned(), holds: walk.passed_over() });
    }
    Ok(walk.sorted())
}

/// The data files that `pattern` matches, relative to `base`, sorted.
pub(super) fn glob(base: &Path, pattern: &str, is_data: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    // What exists as a folder is no pattern.
    let mut start = base.to_owned();
    let mut parts = Path::new(pattern).components().peekable();
    while let Some(part) = parts.next_if(|part| start.join(part).is_dir()) {
        start.push(part);
    }
    let steps = parts.map(|part| GlobPart::new(pattern, part.as_os_str().to_string_lossy().as_ref()));
    let steps = steps.collect::<Result<Vec<_>>>()?;
    let mut walk = Walk::new(is_data);
    walk.descend(&start, &steps)?;
    if walk.found.is_empty() {
        let pattern = base.join(pattern).to_string_lossy().into_owned();
        return Err(Error::NoMatch { pattern, passed_over: walk.passed_over() });
    }
    Ok(walk.sorted())
}

/// A part of a glob between two slashes.
enum GlobPart {
    /// A name as it is.
    Name(String),
    /// Any name like this one.
    Like(Pattern),
    /// `**`: any number of folders.
    Folders,
}

impl GlobPart {
    fn new(whole: &str, part: &str) -> Result<Self> {
        if part == "**" {
            return Ok(Self::Folders);
        }
        if !is_glob(part) {
            return Ok(Self::Name(part.to_owned()));
        }
        let reason = |error: glob::PatternError| error.msg.to_owned();
        Pattern::new(part)
            .map(Self::Like)
            .map_err(|error| Error::Pattern { pattern: whole.to_owned(), reason: reason(error) })
    }
}

struct Walk<'a> {
    is_data: &'a dyn Fn(&Path) -> bool,
    found: Vec<PathBuf>,
    /// What is there and no data: hidden files, folders that a glob matches, files of no known format in a folder.
    passed_over: Vec<PathBuf>,
    any_hidden: bool,
    /// Folders that the one at hand lies in, by their own paths: links may lead in circles.
    above: Vec<PathBuf>,
}

impl<'a> Walk<'a> {
    fn new(is_data: &'a dyn Fn(&Path) -> bool) -> Self {
        Self { is_data, found: Vec::new(), passed_over: Vec::new(), any_hidden: false, above: Vec::new() }
    }

    fn sorted(mut self) -> Vec<PathBuf> {
        self.found.sort();
        self.found.dedup();
        self.found
    }

    /// What was there instead, for a message.
    fn passed_over(&mut self) -> String {
        self.passed_over.sort();
        self.passed_over.dedup();
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut text = self.passed_over.iter().take(SHOWN).map(name).collect::<Vec<_>>().join(", ");
        match self.passed_over.len().saturating_sub(SHOWN) {
            0 => {}
            more => text.push_str(&format!(" and {more} more")),
        }
        if self.any_hidden {
            text.push_str(" (names that begin with \".\" or \"_\" are no data)");
        }
        text
    }

    fn pass_over(&mut self, path: PathBuf) {
        self.any_hidden |= path.file_name().is_some_and(|name| is_hidden(&name.to_string_lossy()));
        self.passed_over.push(path);
    }

    /// Follows a glob down from `folder`.
    fn descend(&mut self, folder: &Path, steps: &[GlobPart]) -> Result<()> {
        let Some((step, rest)) = steps.split_first() else { return self.all_below(folder) };
        match step {
            GlobPart::Name(name) => self.go(folder.join(name), rest),
            GlobPart::Like(pattern) => {
                for path in entries(folder)? {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    if !pattern.matches_with(&name, MatchOptions::new()) {
                        continue;
                    }
                    if is_hidden(&name) && pattern.as_str().chars().next() != name.chars().next() {
                        self.pass_over(path);
                        continue;
                    }
                    self.go(path, rest)?;
                }
                Ok(())
            }
            GlobPart::Folders if rest.is_empty() => self.all_below(folder),
            GlobPart::Folders => {
                self.descend(folder, rest)?;
                self.within(folder, |walk| {
                    for path in entries(folder)? {
                        let name = path.file_name().unwrap_or_default().to_string_lossy();
                        if !is_hidden(&name) && path.is_dir() {
                            walk.descend(&path, steps)?;
                        }
                    }
                    Ok(())
                })
            }
        }
    }

    /// What a part of a glob has matched.
    fn go(&mut self, path: PathBuf, rest: &[GlobPart]) -> Result<()> {
        let kind = path.metadata().map(|found| (found.is_file(), found.is_dir()));
        match kind {
            Ok((_, true)) if !rest.is_empty() => return self.descend(&path, rest),
            // Folders that writers of data make. Another one is no match, as a glob of files does not ask for it.
            Ok((_, true)) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if name.contains('=') || format_of(&path).is_some() {
                    return self.all_below(&path);
                }
                drop(name);
                self.pass_over(path);
            }
            Ok((true, _)) if rest.is_empty() => self.found.push(path),
            // Opening says what is wrong with a link to nothing, which may have been a part of the log.
            Err(_) if rest.is_empty() && path.is_symlink() => self.found.push(path),
            Ok(_) if rest.is_empty() => self.pass_over(path),
            _ => {}
        }
        Ok(())
    }

    /// All data files in `folder` and below.
    fn all_below(&mut self, folder: &Path) -> Result<()> {
        self.within(folder, |walk| {
            for path in entries(folder)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let hidden = is_hidden(&name);
                if path.is_dir() {
                    if !hidden {
                        walk.all_below(&path)?;
                    }
                } else if !hidden && (walk.is_data)(&path) && (path.is_file() || path.is_symlink()) {
                    walk.found.push(path);
                } else {
                    walk.pass_over(path);
                }
            }
            Ok(())
        })
    }

    /// Does `work` in a folder, unless this is within itself.
    fn within(&mut self, folder: &Path, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let own = here(folder).canonicalize().map_err(|source| unreadable(folder, source))?;
        if self.above.contains(&own) {
            return Ok(());
        }
        self.above.push(own);
        let result = work(self);
        self.above.pop();
        result
    }
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

/// What is in a folder; nothing where it is no folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(here(folder)) {
        Ok(entries) => entries,
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
            return Ok(Vec::new());
        }
        Err(source) => return Err(unreadable(folder, source)),
    };
    let path = |entry: io::Result<fs::DirEntry>| entry.map(|entry| folder.join(entry.file_name()));
    entries.map(path).collect::<io::Result<_>>().map_err(|source| unreadable(folder, source))
}

/// The empty path is the working directory.
fn here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

fn unreadable(folder: &Path, source: io::Error) -> Error {
    Error::Read { path: folder.to_owned(), source }
}
