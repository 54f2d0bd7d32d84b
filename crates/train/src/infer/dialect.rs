//! How a CSV file is written, by its first row, and the rows that are then read.

use std::path::Path;

use pleiad_data::read::{Field, Sample, Source, expand};
use pleiad_data::schema::{CsvConfig, Files};

use super::{InferOptions, sample_rows};
use crate::error::Result;

/// What may separate fields where a comma does not.
const SEPARATORS: [&str; 4] = [";", "\t", "|", "::"];

/// A better guess of how a file is written whose first row gives these names; `None` where they look like names. What
/// `said` is true of was said by a person, and stays.
#[must_use]
pub fn guess(names: &[String], csv: &CsvConfig, said: &dyn Fn(&str) -> bool) -> Option<CsvConfig> {
    if let [only] = names
        && csv.separator.is_none()
        && !said("separator")
        && let Some(separator) = SEPARATORS.into_iter().find(|separator| only.contains(separator))
    {
        return Some(CsvConfig { separator: Some(separator.to_owned()), ..csv.clone() });
    }
    let begins = |name: &String| name.starts_with([' ', '\t']);
    if names.len() > 1 && names[1..].iter().all(begins) && !csv.trim && !said("trim") {
        return Some(CsvConfig { trim: true, ..csv.clone() });
    }
    let is_value = |name: &&String| name.trim().parse::<f64>().is_ok_and(f64::is_finite);
    let values = names.iter().filter(is_value).count();
    // A year may be the name of a column. A row of values has some numbers, and mostly repeats others.
    let twice = names.len() - names.iter().collect::<std::collections::HashSet<_>>().len();
    if csv.header && !said("header") && values > 0 && (twice > 0 || values * 3 >= names.len()) {
        let columns = vec![format!("c[0..{}]", names.len())];
        return Some(CsvConfig { header: false, columns, ..csv.clone() });
    }
    None
}

/// Reads some rows of the files that `options` names, relative to `base`. Where CSV files are written in another way
/// than usual, `options` says so afterwards; what `said` is true of was said by a person, and stays.
///
/// # Errors
/// If files cannot be found or read.
pub fn read(base: &Path, options: &mut InferOptions, said: &dyn Fn(&str) -> bool) -> Result<Sample> {
    let files = expand(base, &Files::Many(options.train.clone()), options.format)?;
    let source = |csv: &CsvConfig| -> Result<Source> {
        Ok(Source {
            files: files.clone(),
            format: options.format,
            otherwise: None,
            csv: csv.resolve()?,
            by_configuration: false,
            others: Vec::new(),
            stop: None,
            memory: None,
        })
    };
    let mut csv = options.csv.clone();
    pleiad_data::read::refuse_pipes(
        &files,
        "its rows are read now, and again when a model is trained; write them to a file first",
    )?;
    for file in files.iter().take(1) {
        // Each guess settles one key.
        for _ in 0..3 {
            let fields: Vec<Field> = source(&csv)?.fields(file)?;
            let is_text = options.format.or_else(|| pleiad_data::read::format_of(&file.path));
            if is_text != Some(pleiad_data::schema::Format::Csv) {
                break;
            }
            let names: Vec<String> = fields.into_iter().map(|field| field.name).collect();
            let own = names.len() - file.folders.iter().filter(|folder| names.contains(&folder.column)).count();
            match guess(&names[..own], &csv, said) {
                Some(better) => csv = better,
                None => break,
            }
        }
    }
    let sample = Sample::read(&source(&csv)?, sample_rows)?;
    options.csv = csv;
    Ok(sample)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_tells_how_a_file_is_written() {
        let names = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let usual = CsvConfig::default();
        let guess = |text: &str, csv: &CsvConfig| guess(&names(text), csv, &|_| false);
        assert_eq!(guess("a,b,c", &usual), None);
        assert_eq!(guess("a,2024,2025,b,c,d,e", &usual), None);
        assert_eq!(guess("a;b;c", &usual).unwrap().separator.as_deref(), Some(";"));
        assert_eq!(guess("a\tb", &usual).unwrap().separator.as_deref(), Some("\t"));
        let trimmed = guess("73, Not in universe, 0, 0", &usual).unwrap();
        assert!(trimmed.trim && trimmed.header);
        let without = guess("73,Not in universe,0,0", &trimmed).unwrap();
        assert_eq!((without.header, without.columns), (false, vec!["c[0..4]".to_owned()]));
        assert_eq!(super::guess(&names("a;b"), &usual, &|key| key == "separator"), None);
    }
}
