//! Columns from the names of folders: every row of `day=2026-01-01/part-0.csv` has this day.

use std::path::{Component, Path};

use arrow::array::StringArray;

use super::cell::Cell;
use super::chunk::{Broken, Chunk, Wanted};
use super::column::Column;
use super::data_file::{DataFile, FolderColumn};
use super::repeated::Repeated;
use crate::compare::Comparand;
use crate::error::Reason;
use crate::schema::Scalar;

/// How writers of such folders spell a missing value.
const MISSING: &str = "__HIVE_DEFAULT_PARTITION__";

/// The columns of the folders that a file lies in, outermost first.
pub(super) fn of_path(path: &Path) -> Vec<FolderColumn> {
    let folders = path.parent().into_iter().flat_map(Path::components);
    let column = |folder: Component<'_>| {
        let Component::Normal(name) = folder else { return None };
        let (column, value) = name.to_str()?.split_once('=')?;
        let value = decode(value);
        let is_missing = value.is_empty() || value == MISSING;
        (!column.is_empty()).then(|| FolderColumn { column: decode(column), value: (!is_missing).then_some(value) })
    };
    folders.filter_map(column).collect()
}

/// Undoes `%3A` and the like. What is none, or gives no UTF-8, stays as it is.
fn decode(text: &str) -> String {
    let (mut decoded, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                rest = &after[2..];
            }
            None => {
                decoded.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

/// The wanted columns that the folders of one file give.
#[derive(Debug)]
pub(super) struct Given(Vec<(usize, FolderColumn)>);

impl Given {
    /// `None` if they give none, as is usual. Texts `null` are missing values.
    pub(super) fn new(file: &DataFile, wanted: &[Wanted], null: &[String]) -> Option<Self> {
        if file.folders.is_empty() {
            return None;
        }
        // The innermost folder of a name is the one to go by.
        let given = |(at, wanted): (usize, &Wanted)| {
            let folder = file.folders.iter().rfind(|folder| folder.column == wanted.name)?;
            let value = folder.value.clone().filter(|value| !null.contains(value));
            Some((at, FolderColumn { column: folder.column.clone(), value }))
        };
        let given: Vec<_> = wanted.iter().enumerate().filter_map(given).collect();
        (!given.is_empty()).then_some(Self(given))
    }

    /// What the file itself has to give: it need not have these columns.
    pub(super) fn rest(&self, wanted: &[Wanted]) -> Vec<Wanted> {
        let mut rest = wanted.to_vec();
        self.0.iter().for_each(|&(at, _)| rest[at].required = false);
        rest
    }

    /// Adds the columns to rows that do not have them. Rows that have another value of their own are broken.
    pub(super) fn put(&self, chunk: &mut Chunk) {
        for (at, folder) in &self.0 {
            match chunk.columns.get(*at) {
                Some(Some(own)) => {
                    let broken = contradictions(own, folder);
                    chunk.broken.extend(broken);
                    chunk.broken.sort_by_key(|broken| broken.row);
                }
                Some(None) => chunk.columns[*at] = Some(column(folder, chunk.rows)),
                None => {}
            }
        }
    }
}

/// The same value in every row.
fn column(folder: &FolderColumn, rows: usize) -> Column {
    match &folder.value {
        Some(value) => {
            Column::Repeated(Repeated::new(StringArray::from(vec![value.as_str()]), vec![1u16; rows].into()))
        }
        None => Column::Missing(rows),
    }
}

fn contradictions(own: &Column, folder: &FolderColumn) -> Vec<Broken> {
    let text = folder.value.as_deref().unwrap_or_default();
    let given = Comparand::new(&Scalar::Text(text.to_owned()));
    let differs = |row: &usize| match own.cell(*row) {
        Cell::Missing => false,
        cell => !says(&cell, text, &given),
    };
    let broken = |row| Broken {
        row,
        column: Some(folder.column.clone()),
        value: Some(own.cell(row).to_string()),
        reason: Reason::OtherThanFolder { folder: format!("{}={text}", folder.column) },
    };
    (0..own.len()).filter(differs).map(broken).collect()
}

/// Whether a value of the file is the folder's: the same text, number, truth or time, or a time of its day.
fn says(cell: &Cell<'_>, text: &str, given: &Comparand) -> bool {
    let is_day_of = |own: &str| own.strip_prefix(text).is_some_and(|time| time.starts_with(['T', ' ']));
    given.equals(cell)
        || given.equals_as_number(cell)
        || cell.with_text(|own| own.is_some_and(is_day_of))
        || matches!((cell.truth(), Cell::Text(text).truth()), (Some(own), Some(given)) if own == given)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;
    use crate::read::Origin;
    use crate::value::Time;

    #[test]
    fn names_are_decoded() {
        let folder =
            |column: &str, value: Option<&str>| FolderColumn { column: column.into(), value: value.map(Into::into) };
        assert_eq!(
            of_path(Path::new(
                "a/day=2026-01-01/time=12%3A30/x=/y=__HIVE_DEFAULT_PARTITION__/=1/z=1=2/%41=%zz%e9/b=c.csv"
            )),
            [
                folder("day", Some("2026-01-01")),
                folder("time", Some("12:30")),
                folder("x", None),
                folder("y", None),
                folder("z", Some("1=2")),
                folder("A", Some("%zz%e9")),
            ]
        );
    }

    #[test]
    fn a_files_own_values_are_compared_with_its_folder() {
        let wanted = |name: &str| Wanted { name: name.into(), needed_by: "a test".into(), required: true };
        let wanted = [wanted("x"), wanted("day"), wanted("month")];
        let file = |path: &str| DataFile {
            folders: of_path(Path::new(path)),
            ..DataFile::from(std::path::PathBuf::from(path))
        };
        assert!(Given::new(&file("year=1/a.csv"), &wanted, &[]).is_none());
        let given = Given::new(&file("day=3/day=07/month=5/a.csv"), &wanted, &[]).unwrap();
        assert_eq!(given.rest(&wanted).iter().map(|w| w.required).collect::<Vec<_>>(), [true, false, false]);
        let own = Column::Int(Int64Array::from(vec![Some(7), None, Some(8)]));
        let columns = vec![Some(Column::Missing(3)), Some(own), None];
        let mut chunk = Chunk { rows: 3, columns, origin: Origin::default(), broken: Vec::new() };
        given.put(&mut chunk);
        assert_eq!(chunk.cell(2, 1), Cell::Text("5"));
        assert_eq!(chunk.cell(1, 1), Cell::Missing, "the file's own value");
        assert_eq!(chunk.broken.iter().map(|broken| broken.row).collect::<Vec<_>>(), [2]);
        assert_eq!(chunk.broken[0].reason.to_string(), "is not what the folder \"day=07\" says");
        let given = Given::new(&file("day=NA/x=NA/a.csv"), &wanted, &["NA".to_owned()]).unwrap();
        let mut chunk = Chunk { rows: 1, columns: vec![None; 3], origin: Origin::default(), broken: Vec::new() };
        given.put(&mut chunk);
        assert_eq!((chunk.cell(0, 0), chunk.cell(1, 0)), (Cell::Missing, Cell::Missing));
    }

    #[test]
    fn one_value_may_be_written_in_two_ways() {
        let says = |cell: Cell<'_>, text: &str| says(&cell, text, &Comparand::new(&Scalar::Text(text.to_owned())));
        let time = |text: &str| Cell::Time(Time::parse(text).unwrap());
        for (cell, text) in [
            (Cell::Text("2026-01-01T00:00:00"), "2026-01-01"),
            (Cell::Text("2026-01-01 05:00:00"), "2026-01-01"),
            (time("2026-01-01 05:00:00"), "2026-01-01"),
            (time("2026-01-01"), "2026-01-01 00:00:00"),
            (time("2026-01-01 06:00:00"), "2026-01-01 06:00:00"),
            (time("2026-01-01T06:00:00Z"), "2026-01-01 07:00:00+01:00"),
            (Cell::Text("2026-01-01T06:00:00"), "2026-01-01 06:00:00"),
            (Cell::Int(7), "07"),
            (Cell::Float(7.0), "7"),
            (Cell::Text("7"), "07"),
            (Cell::Bool(true), "True"),
            (Cell::Text("TRUE"), "true"),
            (Cell::Bool(false), "0"),
            (Cell::Int(1), "true"),
            (Cell::UInt(u64::MAX), "18446744073709551615"),
            (Cell::Text("a"), "a"),
        ] {
            assert!(says(cell, text), "{cell:?} {text}");
        }
        for (cell, text) in [
            (Cell::Text("2026-01-011"), "2026-01-01"),
            (time("2026-01-01 05:00:00"), "2026-01-01 00:00:00"),
            (Cell::Int(1 << 53), "9007199254740993"),
            (Cell::Text("9007199254740992"), "9007199254740993"),
            (Cell::UInt(u64::MAX - 1), "18446744073709551615"),
            (Cell::Bool(true), "2"),
            (Cell::Text("a"), ""),
            (Cell::Int(0), ""),
        ] {
            assert!(!says(cell, text), "{cell:?} {text}");
        }
    }
}
