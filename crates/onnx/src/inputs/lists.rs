//! Ragged lists. ONNX has no tensors whose rows differ in length, so that a list is two inputs: the values of all rows of the
//! batch, one after the other, `[T]`, and how many each row has, `[B]`.
//!
//! The row of the batch that a value belongs to is the number of rows that have ended before it. With n the lengths:
//!
//! ```text
//! ends   = CumSum(n)                                 [B]
//! marks  = ScatterElements(zeros [T + 1], ends, 1, add)   how many rows end at each place
//! owners = CumSum(marks)[0 .. T]                     [T]
//! ```
//!
//! That takes as many steps as there are values; vectors are then added by `ScatterElements`, in the order of the values.

use crate::schema::{int, word};
use crate::writer::{NetworkWriter, Value};

/// The row of the batch that each of `values` `[T]` belongs to, `[T]`.
pub(super) fn owners(w: &mut NetworkWriter, name: &str, values: &str, lengths: &str) -> Value {
    let at = |part: &str| format!("{name}/{part}");
    let axis = w.int64(0);
    let ends = w.op("CumSum", &at("ends"), &[lengths, &axis], vec![]);
    let values = w.op("Shape", &at("values"), &[values], vec![]);
    let one = w.int64s(&[1]);
    let places = w.op("Add", &at("places"), &[&values, &one], vec![]);
    let zero = w.int64s(&[0]);
    let zeros = w.op("Expand", &at("zeros"), &[&zero, &places], vec![]);
    let ones = w.op("Shape", &at("batch"), &[lengths], vec![]);
    let ones = w.op("Expand", &at("ones"), &[&one, &ones], vec![]);
    let add = vec![int("axis", 0), word("reduction", "add")];
    let marks = w.op("ScatterElements", &at("marks"), &[&zeros, &ends, &ones], add);
    let owners = w.op("CumSum", &at("owners"), &[&marks, &axis], vec![]);
    w.op("Slice", &at("owners"), &[&owners, &zero, &values, &zero], vec![])
}

/// The sum of `numbers` `[T]`, int64, of each row of the batch, `[B]`.
pub(super) fn sums(w: &mut NetworkWriter, name: &str, numbers: &str, owners: &str, lengths: &str) -> Value {
    let at = |part: &str| format!("{name}/{part}");
    let batch = w.op("Shape", &at("batch"), &[lengths], vec![]);
    let zero = w.int64s(&[0]);
    let zeros = w.op("Expand", &at("zeros"), &[&zero, &batch], vec![]);
    let add = vec![int("axis", 0), word("reduction", "add")];
    w.op("ScatterElements", &at("sums"), &[&zeros, owners, numbers], add)
}
