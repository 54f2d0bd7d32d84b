//! Paths, folders and globs of a configuration into files.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use super::data_file::DataFile;
use super::endings::format_of;
use super::{folders, walk};
use crate::error::Result;
use crate::schema::{Files, Format};

/// What stands for the standard input in place of a path.
const STANDARD_INPUT: &str = "-";

/// Files that `files` names, in order; those of a folder and of a glob in the order of their paths. Relative paths are
/// relative to `base`; `-` is the standard input. With `format` the endings of the files in a folder decide nothing.
///
/// A path that exists is itself, whatever characters it holds; so is the part of a glob that is an existing folder.
///
/// # Errors
/// If a glob is not valid or matches no file, or a folder holds no data file. That a plain path exists is found out when
/// it is opened.
pub fn expand(base: &Path, files: &Files, format: Option<Format>) -> Result<Vec<DataFile>> {
    let mut expanded = Vec::new();
    for pattern in files.patterns() {
        if pattern == STANDARD_INPUT {
            expanded.push(DataFile::standard_input());
            continue;
        }
        let path = base.join(pattern);
        let is_data = |path: &Path| format.is_some() || format_of(path).is_some();
        let paths = match path.metadata() {
            Ok(found) if found.is_dir() => walk::folder(&path, &is_data)?,
            Err(_) if walk::is_glob(pattern) => walk::glob(base, pattern, &is_data)?,
            _ => vec![path],
        };
        expanded.extend(paths.into_iter().map(|path| below(base, path)));
    }
    Ok(expanded)
}

/// Files that stand further up among `files`, too, by whatever path: each with the path that it has there.
#[must_use]
pub fn repeated(files: &[DataFile]) -> Vec<(&Path, &Path)> {
    let mut known = HashMap::new();
    let files = files.iter().filter(|file| !file.is_standard_input && file.path.is_file());
    let again = files.filter_map(|file| match known.entry(same_file(file)?) {
        Entry::Occupied(first) => Some((file.path.as_path(), *first.get())),
        Entry::Vacant(place) => {
            place.insert(file.path.as_path());
            None
        }
    });
    again.collect()
}

/// What two names of one file have in common.
#[cfg(unix)]
fn same_file(file: &DataFile) -> Option<(u64, u64)> {
    super::open::identity(file)
}

#[cfg(not(unix))]
fn same_file(file: &DataFile) -> Option<PathBuf> {
    file.path.canonicalize().ok()
}

/// A file below `base`, whose own folders say nothing.
fn below(base: &Path, path: PathBuf) -> DataFile {
    let folders = folders::of_path(path.strip_prefix(base).unwrap_or(&path));
    DataFile { path, is_standard_input: false, folders }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::Error;

    /// A folder with these files.
    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "1").unwrap();
        }
        dir
    }

    /// Files of `patterns`, relative to `base`.
    fn names(base: &Path, patterns: &[&str]) -> Result<Vec<String>> {
        let files = Files::Many(patterns.iter().map(|&f| f.to_owned()).collect());
        let name = |file: DataFile| file.path.strip_prefix(base).unwrap().to_string_lossy().into_owned();
        expand(base, &files, None).map(|files| files.into_iter().map(name).collect())
    }

    #[test]
    fn a_file_is_known_again_by_any_path() {
        let dir = folder(&["a.csv", "b.csv", "sub/c.csv"]);
        let expanded = |patterns: &[&str]| {
            let files = Files::Many(patterns.iter().map(|&f| f.to_owned()).collect());
            expand(dir.path(), &files, None).unwrap()
        };
        let (once, twice) =
            (expanded(&["*.csv", "sub"]), expanded(&["*.csv", "sub/../a.csv", "sub", "nowhere.csv", "."]));
        assert_eq!(repeated(&once), []);
        let again = repeated(&twice);
        assert_eq!(again.len(), 4);
        assert_eq!(again[0], (dir.path().join("sub/../a.csv").as_path(), dir.path().join("a.csv").as_path()));
    }

    #[test]
    #[cfg(unix)]
    fn links_are_the_files_that_they_lead_to() {
        let dir = folder(&["day=1/a.csv"]);
        std::os::unix::fs::symlink(dir.path().join("day=1"), dir.path().join("day=2")).unwrap();
        let files = expand(dir.path(), &Files::One("*".to_owned()), None).unwrap();
        let paths: Vec<_> = repeated(&files).into_iter().map(|(own, first)| [own, first].map(Path::to_owned)).collect();
        assert_eq!(paths, [[dir.path().join("day=2/a.csv"), dir.path().join("day=1/a.csv")]]);
    }

    #[test]
    fn globs_are_sorted_and_must_match() {
        let dir = folder(&["b.csv", "a.csv", "c.txt", "x[1].csv", "sub/d.csv"]);
        std::fs::create_dir(dir.path().join("d.csv")).unwrap();
        let names = |patterns: &[&str]| names(dir.path(), patterns);
        assert_eq!(names(&["c.txt", "*.csv"]).unwrap(), ["c.txt", "a.csv", "b.csv", "x[1].csv"]);
        assert_eq!(names(&["x[1].csv"]).unwrap(), ["x[1].csv"], "an existing path is itself");
        assert_eq!(names(&["**/*.csv"]).unwrap(), ["a.csv", "b.csv", "sub/d.csv", "x[1].csv"]);
        assert_eq!(names(&["s?b/[!x].csv", "./[ab].csv"]).unwrap(), ["sub/d.csv", "a.csv", "b.csv"]);
        assert!(matches!(names(&["*.parquet"]), Err(Error::NoMatch { .. })));
        assert!(matches!(names(&["[*.csv"]), Err(Error::Pattern { .. })));
        assert!(matches!(names(&["none/*.csv"]), Err(Error::NoMatch { .. })));
    }

    #[test]
    fn hidden_names_are_no_data_unless_they_are_asked_for() {
        let dir =
            folder(&["a.csv", ".a.csv", "._a.csv", "_a.csv", "_SUCCESS", ".tmp/b.csv", "_old/b.csv", "new/b.csv"]);
        let names = |patterns: &[&str]| names(dir.path(), patterns);
        assert_eq!(names(&["*"]).unwrap(), ["a.csv"]);
        assert!(names(&["?a.csv"]).is_err(), "no sign stands for a dot");
        assert_eq!(names(&["**/*.csv"]).unwrap(), ["a.csv", "new/b.csv"]);
        assert_eq!(names(&["*/b.csv"]).unwrap(), ["new/b.csv"]);
        assert_eq!(names(&["."]).unwrap(), ["a.csv", "new/b.csv"]);
        assert_eq!(names(&[".*.csv", "_*.csv"]).unwrap(), ["._a.csv", ".a.csv", "_a.csv"]);
        assert_eq!(names(&["_old/*", "_o*/*"]).unwrap(), ["_old/b.csv", "_old/b.csv"]);
        let error = names(&["[._]*.csv"]).unwrap_err().to_string();
        assert!(error.contains("begin with \".\" or \"_\""), "{error}");
    }

    #[test]
    fn what_exists_is_no_pattern() {
        let dir = folder(&["a [b]?/l*g/x.csv", "a [b]?/l*g/y.csv", "a b/lxg/z.csv"]);
        let names = |patterns: &[&str]| names(dir.path(), patterns);
        assert_eq!(names(&["a [b]?/l*g/*.csv"]).unwrap(), ["a [b]?/l*g/x.csv", "a [b]?/l*g/y.csv"]);
        assert_eq!(names(&["a [b]?/*/x.csv"]).unwrap(), ["a [b]?/l*g/x.csv"]);
        assert_eq!(names(&["a [b]?"]).unwrap(), ["a [b]?/l*g/x.csv", "a [b]?/l*g/y.csv"]);
        // The configuration's own folder is literal, and so is the whole of an absolute path that exists.
        let base = dir.path().join("a [b]?");
        assert_eq!(self::names(&base, &["l?g/*.csv"]).unwrap(), ["l*g/x.csv", "l*g/y.csv"]);
        let absolute = format!("{}/*/*.csv", base.display());
        assert_eq!(self::names(&base, &[&absolute]).unwrap(), ["l*g/x.csv", "l*g/y.csv"]);
    }

    #[test]
    fn a_folder_is_its_data_files() {
        let dir = folder(&[
            "log/b.csv",
            "log/a.parquet",
            "log/deep/er/c.csv.gz",
            "log/notes.md",
            "log/.x.csv",
            "none/notes.md",
            "day=1/a.csv",
            "day=2/deep/b.csv",
            "day=2/notes.md",
            "out.parquet/part-0.parquet",
            "out.parquet/_SUCCESS",
        ]);
        let names = |patterns: &[&str]| names(dir.path(), patterns);
        assert_eq!(names(&["log"]).unwrap(), ["log/a.parquet", "log/b.csv", "log/deep/er/c.csv.gz"]);
        assert_eq!(names(&["log/"]).unwrap(), ["log/a.parquet", "log/b.csv", "log/deep/er/c.csv.gz"]);
        // Of folders that a glob matches, those are read that writers of data make.
        assert_eq!(names(&["day=*"]).unwrap(), ["day=1/a.csv", "day=2/deep/b.csv"]);
        assert_eq!(names(&["*"]).unwrap(), ["day=1/a.csv", "day=2/deep/b.csv", "out.parquet/part-0.parquet"]);
        let error = names(&["none"]).unwrap_err();
        assert!(matches!(error, Error::EmptyFolder { .. }) && error.to_string().contains("notes.md"), "{error}");
        let all = expand(dir.path(), &Files::One("none".into()), Some(Format::Csv)).unwrap();
        assert_eq!(all.len(), 1, "with a format every file is data");
        std::fs::create_dir(dir.path().join("empty")).unwrap();
        let error = names(&["empty"]).unwrap_err().to_string();
        assert!(error.ends_with("empty holds no data file: it is empty"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_but_not_in_circles_and_none_is_lost() {
        let dir = folder(&["log/a.csv", "else/b.csv"]);
        let link = |to: &str, from: &str| std::os::unix::fs::symlink(to, dir.path().join(from)).unwrap();
        link("../else", "log/linked");
        link("..", "log/up");
        assert_eq!(
            names(dir.path(), &["log"]).unwrap(),
            ["log/a.csv", "log/linked/b.csv", "log/up/else/b.csv"],
            "a folder is not read within itself"
        );
        link("gone.csv", "log/c.csv");
        assert_eq!(
            names(dir.path(), &["log/*.csv"]).unwrap(),
            ["log/a.csv", "log/c.csv"],
            "opening it says what is wrong"
        );
    }

    #[test]
    fn folders_give_columns() {
        let dir = folder(&["day=1/a.csv", "x/city=K%C3%B6ln/day=2/b=c.csv"]);
        let files = |base: &Path, pattern: &str| expand(base, &Files::One(pattern.into()), None).unwrap();
        let columns = |file: &DataFile| {
            file.folders
                .iter()
                .map(|f| format!("{}:{}", f.column, f.value.as_deref().unwrap_or("-")))
                .collect::<Vec<_>>()
        };
        assert_eq!(columns(&files(dir.path(), "**/*.csv")[0]), ["day:1"]);
        assert_eq!(columns(&files(dir.path(), "x")[0]), ["city:Köln", "day:2"]);
        assert_eq!(columns(&files(dir.path(), "day=1/a.csv")[0]), ["day:1"]);
        assert!(columns(&files(&dir.path().join("day=1"), "*.csv")[0]).is_empty(), "not of the configuration's folder");
    }

    #[test]
    fn a_dash_is_the_standard_input() {
        let files = expand(Path::new("x"), &Files::One("-".into()), None).unwrap();
        assert!(files[0].is_standard_input);
    }
}
