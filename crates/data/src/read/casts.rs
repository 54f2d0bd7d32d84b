//! Arrow arrays as other Arrow arrays.

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::{CastOptions, cast_with_options, filter};
use arrow::datatypes::DataType;

/// `filter` of arrays fails only where lengths differ, and then nothing can be kept.
pub(super) fn filtered<A: Array + Clone + 'static + From<arrow::array::ArrayData>>(
    array: &A,
    mask: &BooleanArray,
) -> A {
    let empty = || A::from(arrow::array::ArrayData::new_empty(array.data_type()));
    filter(array, mask).ok().and_then(|kept| kept.as_any().downcast_ref::<A>().cloned()).unwrap_or_else(empty)
}

/// The array as what it is.
pub(super) fn downcast<A: Array + Clone + 'static>(array: &ArrayRef) -> Result<A, String> {
    array.as_any().downcast_ref::<A>().cloned().ok_or_else(|| format!("values of type {}", array.data_type()))
}

/// Its values in another type; a sentence where one does not fit.
pub(super) fn to(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, String> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &strict).map_err(|error| format!("a value of type {} ({error})", array.data_type()))
}
