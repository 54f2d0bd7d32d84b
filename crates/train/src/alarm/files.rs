//! Files that are read twice: their rows count twice, and a part that is cut off for another split has rows of the rest.

use std::path::Path;

use pleiad_data::read::{DataFile, repeated};

use super::{Alarm, AlarmKind};

/// Looks for training files that are named more than once, by whatever path.
pub(crate) fn repeated_files(files: &[DataFile]) -> Option<Alarm> {
    let again = repeated(files);
    let (own, first) = *again.first()?;
    let shown = Path::display;
    let which = match own == first {
        true => format!("{}", shown(own)),
        false => format!("{}, which is also {}", shown(own), shown(first)),
    };
    let (what, more) = match again.len() {
        1 => ("a training file is read more than once", String::new()),
        more => ("training files are read more than once", format!(", and {} more", more - 1)),
    };
    let text = format!(
        "{what}: {which}{more}; its rows count as often, and a part that `valid` or `test` cuts off has rows that are \
         trained on; name each file once in `train`"
    );
    Some(Alarm::new(AlarmKind::RepeatedFiles, again.len() as f64, 0, text))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_file_is_named_once() {
        let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let other = own.with_file_name("src").join("lib.rs");
        let by_another_path = own.with_file_name("src").join("../Cargo.toml");
        let alarm = |paths: &[&PathBuf]| {
            let files: Vec<DataFile> = paths.iter().map(|&path| path.clone().into()).collect();
            repeated_files(&files).map(|alarm| alarm.text)
        };
        assert_eq!(alarm(&[&own, &other]), None);
        let text = alarm(&[&own, &other, &own]).unwrap_or_default();
        assert!(
            text.starts_with("a training file is read more than once: ") && text.contains("Cargo.toml; its"),
            "{text}"
        );
        let text = alarm(&[&own, &other, &by_another_path, &other]).unwrap_or_default();
        assert!(text.contains("Cargo.toml, which is also ") && text.contains(", and 1 more;"), "{text}");
    }
}
