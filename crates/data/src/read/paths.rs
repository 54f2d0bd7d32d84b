//! Paths and globs of a configuration into files; endings into formats.

use std::path::{Path, PathBuf};

use super::compress::has_ending;
use crate::error::{Error, Result};
use crate::schema::{Files, Format};

/// Files that `files` names, in order; a glob's in the order of their paths. Relative paths are relative to `base`.
///
/// A path that exists is itself, whatever characters it holds.
///
/// # Errors
/// If a glob is not valid, or matches no file. That a plain path exists is found out when it is opened.
pub fn expand(base: &Path, files: &Files) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for pattern in files.patterns() {
        let path = base.join(pattern);
        if !pattern.contains(['*', '?', '[']) || path.exists() {
            paths.push(path);
            continue;
        }
        let full = path.to_string_lossy();
        let found = glob::glob(&full)
            .map_err(|error| Error::Pattern { pattern: pattern.clone(), reason: error.msg.to_owned() })?;
        let before = paths.len();
        for path in found {
            let path = path.map_err(|e| Error::Read { path: e.path().to_owned(), source: e.into() })?;
            if path.is_file() {
                paths.push(path);
            }
        }
        paths[before..].sort();
        if paths.len() == before {
            return Err(Error::NoMatch { pattern: full.into_owned() });
        }
    }
    Ok(paths)
}

/// Format of a file, by its ending.
///
/// # Errors
/// If the ending is none of those known.
pub fn format_of(path: &Path) -> Result<Format> {
    let stem = path.file_stem().map(Path::new);
    let name = match stem {
        Some(stem) if has_ending(path, "gz") || has_ending(path, "zst") => stem,
        _ => path,
    };
    let is_compressed = name != path;
    let is = |endings: &[&str]| endings.iter().any(|ending| has_ending(name, ending));
    if is(&["csv", "tsv", "txt"]) {
        Ok(Format::Csv)
    } else if is(&["parquet", "pq"]) && !is_compressed {
        Ok(Format::Parquet)
    } else if is(&["arrow", "arrows", "feather", "ipc"]) && !is_compressed {
        Ok(Format::Arrow)
    } else {
        Err(Error::UnknownFormat { path: path.to_owned() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn endings_tell_the_format() {
        for (name, format) in [
            ("a.csv", Some(Format::Csv)),
            ("a.CSV.GZ", Some(Format::Csv)),
            ("a.tsv.zst", Some(Format::Csv)),
            ("a.parquet", Some(Format::Parquet)),
            ("a.feather", Some(Format::Arrow)),
            ("a.parquet.gz", None),
            ("a.gz", None),
            ("a", None),
            ("csv", None),
        ] {
            assert_eq!(format_of(Path::new(name)).ok(), format, "{name}");
        }
    }

    #[test]
    fn globs_are_sorted_and_must_match() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a.csv", "c.txt", "x[1].csv"] {
            std::fs::write(dir.path().join(name), "1").unwrap();
        }
        std::fs::create_dir(dir.path().join("d.csv")).unwrap();
        let names = |files: &[&str]| {
            let files = Files::Many(files.iter().map(|&f| f.to_owned()).collect());
            expand(dir.path(), &files).map(|paths| {
                paths.iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect::<Vec<_>>()
            })
        };
        assert_eq!(names(&["c.txt", "*.csv"]).unwrap(), ["c.txt", "a.csv", "b.csv", "x[1].csv"]);
        assert_eq!(names(&["x[1].csv"]).unwrap(), ["x[1].csv"], "an existing path is itself");
        assert!(matches!(names(&["*.parquet"]), Err(Error::NoMatch { .. })));
        assert!(matches!(names(&["[*.csv"]), Err(Error::Pattern { .. })));
    }
}
