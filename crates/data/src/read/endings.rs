//! Endings of files' names.

use std::path::Path;

use crate::schema::Format;

/// Whether the name ends so, in any case.
pub(super) fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ending))
}

/// Format of a file, by its ending; `None` if the ending is none of those known.
#[must_use]
pub fn format_of(path: &Path) -> Option<Format> {
    let stem = path.file_stem().map(Path::new);
    let name = match stem {
        Some(stem) if has_ending(path, "gz") || has_ending(path, "zst") => stem,
        _ => path,
    };
    let is_compressed = name != path;
    let is = |endings: &[&str]| endings.iter().any(|ending| has_ending(name, ending));
    if is(&["csv", "tsv", "txt"]) {
        Some(Format::Csv)
    } else if is(&["parquet", "pq"]) && !is_compressed {
        Some(Format::Parquet)
    } else if is(&["arrow", "arrows", "feather", "ipc"]) && !is_compressed {
        Some(Format::Arrow)
    } else {
        None
    }
}

#[cfg(test)]
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
            assert_eq!(format_of(Path::new(name)), format, "{name}");
        }
    }
}
