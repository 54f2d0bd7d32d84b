//! Categorical features: cells into values' texts, and texts into row indices by hash or as ids.

use arrow::array::Array;
use xxhash_rust::xxh64::xxh64;

use super::HASH_SEED;
use super::bad_cells::BadCells;
use super::integer_hash;
use crate::batch::Ids;
use crate::error::Reason;
use crate::read::{Cell, Column, List};
use crate::schema::Multiple;
use crate::value::{canonical, canonical_or_none, is_category};

/// Finds the rows of a column that hold no category: floats that are infinite, or whole numbers that were rounded.
pub(super) fn check(name: &str, column: &Column, bad: &mut BadCells) {
    let reason = |cell: Cell<'_>| match cell {
        Cell::Float(value) if is_category(value) => None,
        Cell::Float(value) => Some(if value.is_finite() { Reason::NotACategory } else { Reason::NotFinite }),
        _ => None,
    };
    match column {
        Column::Float(_) | Column::Single(_) => {
            for row in 0..column.len() {
                let cell = column.cell(row);
                if let Some(reason) = reason(cell) {
                    bad.push(row, name, cell, reason);
                }
            }
        }
        Column::List(list) if matches!(list.values(), Column::Float(_) | Column::Single(_)) => {
            for row in 0..column.len() {
                let cells = list.range(row).map(|i| list.values().cell(i));
                if let Some((cell, reason)) = cells.filter_map(|cell| Some((cell, reason(cell)?))).next() {
                    bad.push(row, name, cell, reason);
                }
            }
        }
        _ => {}
    }
}

/// Calls `f` with the canonical text of every row's value, `None` where it is missing.
pub(super) fn each_text(column: &Column, mut f: impl FnMut(Option<&str>)) {
    match column {
        Column::Text(texts) if texts.null_count() == 0 => {
            texts.iter().for_each(|text| canonical_or_none(text, &mut f));
        }
        column => (0..column.len()).for_each(|row| column.cell(row).with_text(&mut f)),
    }
}

/// Calls `f` with the cells of row `row`: those of a list, or the parts of a text. Missing values and empty parts are
/// left out, so that a list and its text say the same.
pub(super) fn each_part<'a>(column: &'a Column, multiple: &Multiple, row: usize, mut f: impl FnMut(Cell<'a>)) {
    match column {
        Column::List(list) => list_cells(list, row).filter(|cell| !matches!(cell, Cell::Missing)).for_each(f),
        column => match column.cell(row) {
            Cell::Missing => {}
            Cell::Text(text) => {
                text.split(multiple.separator.as_str())
                    .filter(|part| !part.is_empty())
                    .for_each(|part| f(Cell::Text(part)));
            }
            cell => f(cell),
        },
    }
}

fn list_cells(list: &List, row: usize) -> impl Iterator<Item = Cell<'_>> {
    list.range(row).map(|i| list.values().cell(i)).filter(|cell| *cell != Cell::Text(""))
}

/// Table rows of a column, each value's given by `row_of` its canonical text (`None` stands for a missing value).
pub(super) fn rows(column: &Column, multiple: Option<&Multiple>, mut row_of: impl FnMut(Option<&str>) -> u64) -> Ids {
    match multiple {
        None => {
            if let Column::Repeated(repeated) = column {
                return Ids::Single(repeated.map(|text| canonical_or_none(text, &mut row_of)));
            }
            let mut rows = Vec::with_capacity(column.len());
            each_text(column, |text| rows.push(row_of(text)));
            Ids::Single(rows)
        }
        Some(multiple) => {
            let (mut offsets, mut rows) = (vec![0], Vec::new());
            for row in 0..column.len() {
                each_part(column, multiple, row, |cell| rows.push(cell.with_text(&mut row_of)));
                offsets.push(rows.len());
            }
            Ids::Multiple { offsets, rows }
        }
    }
}

/// Table row of a value by its hash: 0 for a missing one, `1 + XXH64(text) mod (table_rows - 1)` else.
pub(super) fn hash_row(text: Option<&str>, table_rows: u64) -> u64 {
    text.map_or(0, |text| 1 + xxh64(text.as_bytes(), HASH_SEED) % (table_rows - 1))
}

/// Group of a row by its value: 0 without one, else `XXH64(text)`. Two of n values share a group with a probability of about
/// `n^2 / 2^65`: 3e-8 for a million.
pub(super) fn group(text: Option<&str>) -> u64 {
    // 0 is taken.
    text.map_or(0, |text| xxh64(text.as_bytes(), HASH_SEED).max(1))
}

/// Table rows of a column whose values are the table's rows themselves.
pub(super) fn ids(
    name: &str,
    column: &Column,
    multiple: Option<&Multiple>,
    table_rows: u64,
    bad: &mut BadCells,
) -> Ids {
    checked_rows(name, column, multiple, bad, |cell| id(cell, table_rows))
}

/// Table rows of a column of whole numbers by their hash.
pub(super) fn integers(
    name: &str,
    column: &Column,
    multiple: Option<&Multiple>,
    table_rows: u64,
    bad: &mut BadCells,
) -> Ids {
    checked_rows(name, column, multiple, bad, |cell| {
        Ok(integer(cell)?.map_or(0, |integer| integer_hash::row(integer, table_rows)))
    })
}

fn checked_rows(
    name: &str,
    column: &Column,
    multiple: Option<&Multiple>,
    bad: &mut BadCells,
    row_of: impl Fn(Cell<'_>) -> Result<u64, Reason>,
) -> Ids {
    let mut row_of = |row: usize, cell: Cell<'_>| match row_of(cell) {
        Ok(id) => id,
        Err(reason) => {
            bad.push(row, name, cell, reason);
            0
        }
    };
    match multiple {
        None => Ids::Single((0..column.len()).map(|row| row_of(row, column.cell(row))).collect()),
        Some(multiple) => {
            let (mut offsets, mut rows) = (vec![0], Vec::new());
            for row in 0..column.len() {
                each_part(column, multiple, row, |cell| rows.push(row_of(row, cell)));
                offsets.push(rows.len());
            }
            Ids::Multiple { offsets, rows }
        }
    }
}

/// A cell as a whole number of 64 bits, signed or not: those above 2^63 have the bits of one below 0. `None` of a missing one.
fn integer(cell: Cell<'_>) -> Result<Option<i64>, Reason> {
    let of_128 =
        |whole: i128| i64::try_from(whole).ok().or_else(|| u64::try_from(whole).ok().map(|whole| whole as i64));
    let integer = match cell {
        Cell::Missing => return Ok(None),
        Cell::Int(integer) => Some(integer),
        Cell::UInt(integer) => Some(integer as i64),
        // `parse` alone would accept a leading plus.
        Cell::Text(text) if !text.starts_with('+') => canonical(text, |text| text.parse().ok()).and_then(of_128),
        Cell::Float(float) if float.is_nan() => return Ok(None),
        Cell::Float(float) if float.fract() == 0.0 && is_category(float) => Some(float as i64),
        Cell::Decimal(decimal) => decimal.whole().and_then(of_128),
        _ => None,
    };
    integer.map(Some).ok_or(Reason::NotAnInteger)
}

fn id(cell: Cell<'_>, table_rows: u64) -> Result<u64, Reason> {
    let id = match cell {
        Cell::Missing => return Err(Reason::MissingId),
        Cell::UInt(id) => Some(id),
        Cell::Int(id) => u64::try_from(id).ok(),
        // `parse` alone would accept a leading plus.
        Cell::Text(text) if !text.starts_with('+') => canonical(text, |text| text.parse().ok()),
        Cell::Float(id) if id >= 0.0 && id.fract() == 0.0 && is_category(id) => Some(id as u64),
        Cell::Decimal(id) => id.whole().and_then(|id| u64::try_from(id).ok()),
        _ => None,
    };
    let id = id.ok_or(Reason::NotAnId)?;
    if id < table_rows { Ok(id) } else { Err(Reason::IdOutOfRange { rows: table_rows }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Pooling;
    use arrow::array::{BooleanArray, Float32Array, Float64Array, Int64Array, StringArray, UInt64Array};

    #[test]
    fn one_value_has_one_text_in_every_type() {
        let columns = [
            Column::Text(StringArray::from(vec!["7"])),
            Column::Int(Int64Array::from(vec![7])),
            Column::UInt(UInt64Array::from(vec![7])),
            Column::Float(Float64Array::from(vec![7.0])),
            Column::Text(StringArray::from(vec!["7.0"])),
        ];
        for column in columns {
            each_text(&column, |text| assert_eq!(text, Some("7"), "{column:?}"));
        }
    }

    #[test]
    fn hashes_are_xxh64_of_the_text() {
        // In Python: xxhash.xxh64(b"123", seed=0).intdigest() == 4353148100880623749
        assert_eq!(hash_row(Some("123"), u64::MAX), 1 + 4_353_148_100_880_623_749);
        assert_eq!(hash_row(Some("123"), 1001), 1 + 4_353_148_100_880_623_749 % 1000);
        assert_eq!(hash_row(None, 1001), 0);
        assert_eq!(hash_row(Some("anything"), 2), 1);
        assert_eq!((group(Some("123")), group(None)), (4_353_148_100_880_623_749, 0));
    }

    #[test]
    fn ids_are_exact_over_64_bits() {
        let big = u64::MAX - 1;
        for cell in [Cell::UInt(big), Cell::Text("18446744073709551614")] {
            assert_eq!(id(cell, u64::MAX), Ok(big));
        }
        assert_eq!(id(Cell::Int((1 << 53) + 1), 1 << 60), Ok((1 << 53) + 1));
        assert_eq!(id(Cell::Decimal(i128::from(big).into()), u64::MAX), Ok(big));
        assert_eq!((id(Cell::Text("4.0"), 5), id(Cell::Float(4.0), 5)), (Ok(4), Ok(4)));
    }

    #[test]
    fn ids_out_of_range_or_no_ids_are_refused() {
        assert_eq!(id(Cell::Int(5), 5), Err(Reason::IdOutOfRange { rows: 5 }));
        assert_eq!(id(Cell::Missing, 5), Err(Reason::MissingId));
        for cell in [
            Cell::Int(-1),
            Cell::Text("1.5"),
            Cell::Text("+1"),
            Cell::Text(""),
            Cell::Float(1.5),
            Cell::Float(f64::NAN),
            Cell::Float(1e17),
            Cell::Bool(true),
        ] {
            assert_eq!(id(cell, 5), Err(Reason::NotAnId), "{cell:?}");
        }
    }

    #[test]
    fn integers_have_one_row_in_every_type() {
        let decimal = |whole: i128| Cell::Decimal(whole.into());
        for (cells, expected) in [
            (vec![Cell::Int(-7), Cell::Text("-7"), Cell::Text("-7.0"), Cell::Float(-7.0), decimal(-7)], Some(-7)),
            (vec![Cell::UInt(u64::MAX), Cell::Text("18446744073709551615"), decimal(u64::MAX.into())], Some(-1)),
            (vec![Cell::Int(1 << 60), Cell::UInt(1 << 60), Cell::Text("1152921504606846976")], Some(1 << 60)),
            (vec![Cell::Int(0), Cell::Float(-0.0), Cell::Text("-0")], Some(0)),
            (vec![Cell::Missing, Cell::Float(f64::NAN)], None),
        ] {
            for cell in cells {
                assert_eq!(integer(cell), Ok(expected), "{cell:?}");
            }
        }
        for cell in [
            Cell::Text("a"),
            Cell::Text(""),
            Cell::Text("+7"),
            Cell::Text("7.5"),
            Cell::Text("18446744073709551616"),
            Cell::Text("-9223372036854775809"),
            Cell::Float(7.5),
            Cell::Float(1e17),
            Cell::Float(f64::INFINITY),
            Cell::Bool(true),
        ] {
            assert_eq!(integer(cell), Err(Reason::NotAnInteger), "{cell:?}");
        }
        let mut bad = BadCells::default();
        let column = Column::Text(StringArray::from(vec![Some("7|8"), None, Some("x|7"), Some("")]));
        let multiple = Multiple { separator: "|".into(), pooling: Pooling::Sum, attention: None };
        let ids = integers("x", &column, Some(&multiple), 1001, &mut bad);
        let [seven, eight] = [7, 8].map(|value| integer_hash::row(value, 1001));
        assert_eq!(ids, Ids::Multiple { offsets: vec![0, 2, 2, 4, 4], rows: vec![seven, eight, 0, seven] });
        assert_eq!(bad.into_reasons(), [(2, Reason::NotAnInteger)]);
    }

    #[test]
    fn parts_of_a_text_are_a_list() {
        let multiple = Multiple { separator: "|".into(), pooling: Pooling::Sum, attention: None };
        let column = Column::Text(StringArray::from(vec![Some("b|a||b"), None, Some(""), Some("c")]));
        let ids = rows(&column, Some(&multiple), |text| u64::from(text.map_or(0, |text| text.as_bytes()[0])));
        assert_eq!(ids, Ids::Multiple { offsets: vec![0, 3, 3, 3, 4], rows: vec![98, 97, 98, 99] });
    }

    #[test]
    fn floats_that_are_no_categories_are_bad() {
        let mut bad = BadCells::default();
        check("x", &Column::Float(Float64Array::from(vec![1.0, 1.5, f64::NAN, 1e17, f64::INFINITY])), &mut bad);
        check("x", &Column::Single(Float32Array::from(vec![1.5, 1e17])), &mut bad);
        check("x", &Column::Bool(BooleanArray::from(vec![true])), &mut bad);
        assert_eq!(bad.into_reasons(), [(3, Reason::NotACategory), (4, Reason::NotFinite), (1, Reason::NotACategory)]);
    }
}
