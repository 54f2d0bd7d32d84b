//! The format for a path's ending.

use std::path::Path;

use crate::{Error, Result};

/// Format of a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Comma-separated values with a header line: `.csv`, `.csv.gz`, `.csv.zst`.
    Csv(Compression),
    /// Apache Parquet: `.parquet`.
    Parquet,
    /// Arrow IPC file: `.arrow`.
    Arrow,
}

/// Compression of a CSV file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

const ENDINGS: [(&str, FileFormat); 5] = [
    (".csv", FileFormat::Csv(Compression::None)),
    (".csv.gz", FileFormat::Csv(Compression::Gzip)),
    (".csv.zst", FileFormat::Csv(Compression::Zstd)),
    (".parquet", FileFormat::Parquet),
    (".arrow", FileFormat::Arrow),
];

impl FileFormat {
    /// The format that the ending of `path` names, in upper or lower case.
    ///
    /// # Errors
    /// [`Error::UnknownEnding`] lists the endings that are known.
    pub fn from_path(path: &Path) -> Result<Self> {
        let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        ENDINGS.iter().find(|(ending, _)| name.ends_with(ending)).map(|&(_, format)| format).ok_or_else(|| {
            Error::UnknownEnding { path: path.to_path_buf(), known: ENDINGS.map(|(ending, _)| ending).join(", ") }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_ending_tells() {
        let of = |path: &str| FileFormat::from_path(Path::new(path));
        assert_eq!(of("a/b.csv").unwrap(), FileFormat::Csv(Compression::None));
        assert_eq!(of("b.CSV.GZ").unwrap(), FileFormat::Csv(Compression::Gzip));
        assert_eq!(of("b.csv.zst").unwrap(), FileFormat::Csv(Compression::Zstd));
        assert_eq!(of("b.parquet").unwrap(), FileFormat::Parquet);
        assert_eq!(of("b.x.arrow").unwrap(), FileFormat::Arrow);
        for wrong in ["b", "b.txt", "csv", "b.parquet.gz", "a.csv/", "..", ""] {
            match of(wrong) {
                Err(Error::UnknownEnding { known, .. }) => {
                    assert!(known.contains(".csv.zst") && known.contains(".arrow"))
                }
                // `a.csv/` has the file name `a.csv`; that it is a folder is found when it is opened.
                other => assert!(wrong == "a.csv/" && other.is_ok(), "{wrong}: {other:?}"),
            }
        }
    }
}
