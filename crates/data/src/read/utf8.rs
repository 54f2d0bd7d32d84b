//! Checks which texts that are stored as bytes are UTF-8.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, LargeListArray, StringArray, StringBuilder};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef};

/// A value that is no text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoText {
    pub(super) row: usize,
    /// What of it can be shown.
    pub(super) value: String,
}

/// An array of bytes, or of lists of bytes, as one of texts; any other stays what it is. Values that are no UTF-8 are missing
/// there.
///
/// # Errors
/// A sentence without subject, where the bytes are too many for one array.
pub(super) fn texts(array: &ArrayRef) -> Result<(ArrayRef, Vec<NoText>), String> {
    match array.data_type() {
        DataType::Binary => Ok(of_bytes(array.as_binary())),
        DataType::LargeBinary | DataType::BinaryView => texts(&cast(array, &DataType::Binary)?),
        DataType::Dictionary(_, values) if is_bytes(values) => texts(&cast(array, values)?),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
            if is_bytes(field.data_type()) =>
        {
            of_lists(&cast(array, &DataType::LargeList(Arc::clone(field)))?)
        }
        _ => Ok((Arc::clone(array), Vec::new())),
    }
}

/// Whether values of this type are bytes that may be texts.
fn is_bytes(of: &DataType) -> bool {
    match of {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => true,
        DataType::Dictionary(_, values) => is_bytes(values),
        _ => false,
    }
}

/// The type that holds the bytes of texts, whatever they are; in lists and structures, too.
pub(super) fn bytes_of(text: &DataType) -> DataType {
    let field = |field: &FieldRef| Arc::new(bytes_field(field));
    match text {
        DataType::Utf8 => DataType::Binary,
        DataType::LargeUtf8 => DataType::LargeBinary,
        DataType::Utf8View => DataType::BinaryView,
        DataType::Dictionary(keys, values) => DataType::Dictionary(keys.clone(), Box::new(bytes_of(values))),
        DataType::List(of) => DataType::List(field(of)),
        DataType::LargeList(of) => DataType::LargeList(field(of)),
        DataType::ListView(of) => DataType::ListView(field(of)),
        DataType::LargeListView(of) => DataType::LargeListView(field(of)),
        DataType::FixedSizeList(of, length) => DataType::FixedSizeList(field(of), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(field(entries), *sorted),
        other => other.clone(),
    }
}

/// The field with [`bytes_of`] its type.
pub(super) fn bytes_field(field: &Field) -> Field {
    field.clone().with_data_type(bytes_of(field.data_type()))
}

fn of_bytes(bytes: &BinaryArray) -> (ArrayRef, Vec<NoText>) {
    if let Ok(texts) = StringArray::try_from_binary(bytes.clone()) {
        return (Arc::new(texts), Vec::new());
    }
    let (mut texts, mut bad) = (StringBuilder::new(), Vec::new());
    for (row, value) in bytes.iter().enumerate() {
        let text = value.map(std::str::from_utf8);
        if let (Some(value), Some(Err(_))) = (value, text) {
            bad.push(NoText { row, value: String::from_utf8_lossy(value).into_owned() });
        }
        texts.append_option(text.and_then(Result::ok));
    }
    (Arc::new(texts.finish()), bad)
}

fn of_lists(lists: &ArrayRef) -> Result<(ArrayRef, Vec<NoText>), String> {
    let lists: &LargeListArray = lists.as_list();
    let (values, mut bad) = texts(lists.values())?;
    // Values that no row holds are no error.
    let ends: Vec<usize> = lists.value_offsets().iter().map(|&end| end as usize).collect();
    let row_of =
        |at: usize| (0..lists.len()).find(|&row| (ends[row]..ends[row + 1]).contains(&at) && lists.is_valid(row));
    bad = bad.into_iter().filter_map(|bad| Some(NoText { row: row_of(bad.row)?, ..bad })).collect();
    bad.dedup_by_key(|bad| bad.row);
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let lists = LargeListArray::try_new(field, lists.offsets().clone(), values, lists.nulls().cloned());
    Ok((Arc::new(lists.map_err(|error| format!("lists that contradict themselves ({error})"))?), bad))
}

fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, String> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &strict).map_err(|error| format!("values of type {} ({error})", array.data_type()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::{BinaryBuilder, BinaryDictionaryBuilder, Int64Array, LargeBinaryArray, ListBuilder};
    use arrow::datatypes::Int8Type;

    use super::*;

    fn shown(array: &dyn Array) -> Vec<Option<String>> {
        array.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
    }

    #[test]
    fn values_that_are_no_text_are_missing_and_told() {
        let values: Vec<Option<&[u8]>> = vec![Some(b"a"), None, Some(b"\xffb"), Some("é".as_bytes()), Some(b"\xc3")];
        let mut dictionary = BinaryDictionaryBuilder::<Int8Type>::new();
        values.iter().for_each(|value| dictionary.append_option(*value));
        let arrays: [ArrayRef; 3] = [
            Arc::new(BinaryArray::from(values.clone())),
            Arc::new(LargeBinaryArray::from(values)),
            Arc::new(dictionary.finish()),
        ];
        for array in arrays {
            let (found, bad) = texts(&array).unwrap();
            assert_eq!(shown(&found), [Some("a".into()), None, None, Some("é".into()), None]);
            let bad: Vec<_> = bad.iter().map(|bad| (bad.row, bad.value.as_str())).collect();
            assert_eq!(bad, [(2, "\u{fffd}b"), (4, "\u{fffd}")]);
            let (found, bad) = texts(&array.slice(3, 2)).unwrap();
            assert_eq!((shown(&found), bad[0].row), (vec![Some("é".into()), None], 1));
        }
    }

    #[test]
    fn lists_are_bad_by_any_value() {
        let mut lists = ListBuilder::new(BinaryBuilder::new());
        for row in [&[&b"a"[..], b"b"][..], &[], &[b"c", b"\xff", b"\xfe"], &[b"d"]] {
            row.iter().for_each(|value| lists.values().append_value(value));
            lists.append(true);
        }
        let array: ArrayRef = Arc::new(lists.finish());
        let (found, bad) = texts(&array).unwrap();
        assert_eq!(bad, [NoText { row: 2, value: "\u{fffd}".into() }]);
        assert_eq!(shown(found.as_list::<i64>().values()).len(), 6);
        assert_eq!(texts(&array.slice(2, 2)).unwrap().1[0].row, 0);
        assert_eq!(texts(&array.slice(3, 1)).unwrap().1, []);
    }

    #[test]
    fn other_arrays_stay_what_they_are() {
        let array: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        assert_eq!(texts(&array).unwrap(), (Arc::clone(&array), Vec::new()));
    }

    #[test]
    fn types_of_texts_have_types_of_bytes() {
        let list = |of| DataType::List(Arc::new(Field::new_list_field(of, true)));
        assert_eq!(bytes_of(&list(DataType::Utf8View)), list(DataType::BinaryView));
        assert_eq!(bytes_of(&DataType::Int64), DataType::Int64);
        let dictionary = |of| DataType::Dictionary(Box::new(DataType::Int8), Box::new(of));
        assert_eq!(bytes_of(&dictionary(DataType::LargeUtf8)), dictionary(DataType::LargeBinary));
    }
}
