//! Categories: values into table rows.

use std::collections::{BTreeMap, HashMap, HashSet};

use pleiad_data::encode::integer_hash;

use crate::error::{Error, Result};
use crate::schema::{DataType, floats, int, ints, words};
use crate::writer::{NetworkWriter, Value};

/// A number of 53 bits is the sum of three of 24.
const PARTS: usize = 3;

/// Rows of texts by a vocabulary, value n of which has row n + 1; 0 for every other text.
pub(super) fn vocabulary<'v>(w: &mut NetworkWriter, texts: &str, values: impl Iterator<Item = &'v str>) -> Value {
    let mut values: Vec<&str> = values.collect();
    let mut rows: Vec<i64> = (1..=values.len() as i64).collect();
    if values.is_empty() {
        // An encoder has to have a key.
        (values, rows) = (vec![""], vec![0]);
    }
    let attributes =
        vec![words("keys_strings", values.into_iter()), ints("values_int64s", rows), int("default_int64", 0)];
    w.ml("LabelEncoder", &format!("{texts}/row"), &[texts], attributes)
}

/// Rows of numbers `[B]`, f64, by a vocabulary of numbers; `NaN` of it stands for a missing one.
///
/// `LabelEncoder` of `ai.onnx.ml` 3 looks up f32 alone. So a number is split into f32 that add up to it ([`parts`]), as many
/// as make the vocabulary's numbers distinct, mostly one. These parts find the one candidate in the vocabulary. A comparison in
/// f64 then says whether the number is this candidate.
pub(super) fn exact<'v>(
    w: &mut NetworkWriter,
    feature: &str,
    x: &str,
    values: impl Iterator<Item = &'v str>,
) -> Result<Value> {
    let at = |part: &str| format!("{x}/{part}");
    let (mut keys, mut missing) = (Vec::new(), None);
    let mut numbers = vec![f64::NAN];
    for (row, text) in (1..).zip(values) {
        let wrong =
            |_| Error::Inconsistent { reason: format!("feature \"{feature}\": its value \"{text}\" is no number") };
        let number: f64 = text.parse().map_err(wrong)?;
        numbers.push(number);
        if number.is_nan() {
            missing = Some(row);
        } else {
            keys.push((number, row));
        }
    }
    if keys.is_empty() {
        keys.push((0.0, 0));
    }
    let count = (1..=PARTS).find(|&count| are_distinct(&keys, count)).unwrap_or(PARTS);
    let (mut candidate, mut rest): (Option<Value>, Value) = (None, x.to_owned());
    // By what is found of the parts so far, the number of keys that are alike in these.
    let mut found: Vec<i64> = vec![0; keys.len()];
    for part in 0..count {
        let given = w.cast(&rest, &at("part"), DataType::Float);
        let mut numbered = Numbered::default();
        let own: Vec<i64> = keys.iter().map(|&(key, _)| numbered.number(parts(key)[part])).collect();
        let stride = numbered.keys.len() as i64 + 1;
        found.iter_mut().zip(own).for_each(|(found, own)| *found = *found * stride + own);
        let own = numbered.look_up(w, &at("number_of_part"), &given);
        candidate = Some(match candidate {
            None => own,
            Some(before) => {
                let stride = w.int64(stride);
                let before = w.op("Mul", &at("parts"), &[&before, &stride], vec![]);
                w.op("Add", &at("parts"), &[&before, &own], vec![])
            }
        });
        if part + 1 < count {
            let wide = w.cast(&given, &at("wide"), DataType::Double);
            rest = w.op("Sub", &at("rest"), &[&rest, &wide], vec![]);
        }
    }
    let mut rows_of: BTreeMap<i64, (f64, i64)> = BTreeMap::new();
    for (&found, &(key, row)) in found.iter().zip(&keys) {
        if let Some((other, _)) = rows_of.insert(found, (key, row)) {
            return Err(Error::Inseparable { feature: feature.to_owned(), a: other, b: key });
        }
    }
    let (found, of_found) = rows_of.into_iter().map(|(found, (_, row))| (found, row)).unzip();
    let attributes = vec![ints("keys_int64s", found), ints("values_int64s", of_found), int("default_int64", 0)];
    let candidate = w.ml("LabelEncoder", &at("candidate"), &[&candidate.unwrap_or_default()], attributes);
    let rows = numbers.len();
    let numbers = w.doubles(&numbers, vec![rows]);
    let number = w.op("Gather", &at("number"), &[&numbers, &candidate], vec![int("axis", 0)]);
    let is_it = w.op("Equal", &at("is_it"), &[&number, x], vec![]);
    let unknown = w.int64(0);
    let row = w.op("Where", &at("row"), &[&is_it, &candidate, &unknown], vec![]);
    let Some(missing) = missing else { return Ok(row) };
    let is_missing = w.op("IsNaN", &at("is_missing"), &[x], vec![]);
    let missing = w.int64(missing);
    Ok(w.op("Where", &at("row"), &[&is_missing, &missing, &row], vec![]))
}

/// Rows of numbers `[B]`, f64, by boundaries: 0 of a missing one, else 1 and the number of boundaries that are not above it.
pub(super) fn buckets(w: &mut NetworkWriter, x: &str, boundaries: &[f64]) -> Value {
    let at = |part: &str| format!("{x}/{part}");
    let (none, mut row) = (w.int64(0), w.int64(1));
    if !boundaries.is_empty() {
        let column = w.column(x);
        let edges = w.doubles(boundaries, vec![1, boundaries.len()]);
        let above = w.op("GreaterOrEqual", &at("above"), &[&column, &edges], vec![]);
        let above = w.cast(&above, &at("counted"), DataType::Int64);
        let axes = w.int64s(&[1]);
        let count = w.op("ReduceSum", &at("count"), &[&above, &axes], vec![int("keepdims", 0)]);
        row = w.op("Add", &at("bucket"), &[&count, &row], vec![]);
    }
    let is_missing = w.op("IsNaN", &at("is_missing"), &[x], vec![]);
    w.op("Where", &at("row"), &[&is_missing, &none, &row], vec![])
}

/// A number as a sum of f32, the first the one next to it, each other the one next to what is left.
fn parts(mut number: f64) -> [f32; PARTS] {
    std::array::from_fn(|_| {
        let part = number as f32;
        number -= f64::from(part);
        // -0 is 0.
        part + 0.0
    })
}

/// Whether so many parts make all keys distinct.
fn are_distinct(keys: &[(f64, i64)], count: usize) -> bool {
    let mut seen = HashSet::new();
    keys.iter().all(|&(key, _)| seen.insert(parts(key).map(f32::to_bits)[..count].to_vec()))
}

/// Different f32, numbered from 1.
#[derive(Default)]
struct Numbered {
    keys: Vec<f32>,
    numbers: HashMap<u32, i64>,
}

impl Numbered {
    fn number(&mut self, key: f32) -> i64 {
        let next = self.keys.len() as i64 + 1;
        let keys = &mut self.keys;
        *self.numbers.entry(key.to_bits()).or_insert_with(|| {
            keys.push(key);
            next
        })
    }

    fn look_up(&self, w: &mut NetworkWriter, hint: &str, x: &str) -> Value {
        float_to_int(w, hint, x, self.keys.clone(), (1..=self.keys.len() as i64).collect())
    }
}

/// Rows of whole numbers by their hash, as [`integer_hash::row`] computes it.
pub(super) fn integer_hash(w: &mut NetworkWriter, integers: &str, table_rows: u64) -> Value {
    let at = |part: &str| format!("{integers}/{part}");
    let binary = |w: &mut NetworkWriter, kind: &str, hint: &str, a: &str, b: i64| {
        let b = w.int64(b);
        w.op(kind, &at(hint), &[a, &b], vec![])
    };
    // The remainder of ONNX has the sign of the divisor. What is left without it is divided exactly, however quotients are rounded.
    let halves = |w: &mut NetworkWriter, x: &str, by: i64| {
        let rest = binary(w, "Mod", "rest", x, by);
        let whole = w.op("Sub", &at("whole"), &[x, &rest], vec![]);
        (rest, binary(w, "Div", "whole", &whole, by))
    };
    let mix = |w: &mut NetworkWriter, hash: Value| {
        integer_hash::FACTORS.iter().fold(hash, |hash, &factor| {
            let product = binary(w, "Mul", "product", &hash, factor);
            binary(w, "Mod", "hash", &product, integer_hash::PRIME)
        })
    };
    let (a, rest) = halves(w, integers, integer_hash::PART);
    let (b, rest) = halves(w, &rest, integer_hash::PART);
    let c = binary(w, "Mod", "rest", &rest, integer_hash::PART);
    let mut hash = mix(w, c);
    for part in [b, a] {
        let sum = w.op("Add", &at("sum"), &[&hash, &part], vec![]);
        hash = mix(w, sum);
    }
    let (x, y) = halves(w, &hash, integer_hash::HALF);
    let (x, y) = (binary(w, "Add", "half", &x, 1), binary(w, "Add", "half", &y, 1));
    let product = w.op("Mul", &at("product"), &[&x, &y], vec![]);
    let sum = w.op("Add", &at("sum"), &[&hash, &product], vec![]);
    let bent = binary(w, "Mod", "hash", &sum, integer_hash::PRIME);
    let hash = mix(w, bent);
    let hash = binary(w, "Mod", "hash", &hash, table_rows as i64 - 1);
    let row = binary(w, "Add", "row", &hash, 1);
    let missing = w.int64(integer_hash::MISSING);
    let is_missing = w.op("Equal", &at("is_missing"), &[integers, &missing], vec![]);
    let none = w.int64(0);
    w.op("Where", &at("row"), &[&is_missing, &none, &row], vec![])
}

fn float_to_int(w: &mut NetworkWriter, hint: &str, x: &str, keys: Vec<f32>, values: Vec<i64>) -> Value {
    let attributes = vec![floats("keys_floats", keys), ints("values_int64s", values), int("default_int64", 0)];
    w.ml("LabelEncoder", hint, &[x], attributes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn three_parts_are_a_number() {
        for number in [0.1, 0.3, 0.300_000_000_000_000_04, -1e9 / 3.0, 16_777_217.0, 1e30 / 7.0, 1e-9 / 3.0] {
            let parts = parts(number);
            assert_eq!(parts.iter().map(|&part| f64::from(part)).sum::<f64>(), number);
        }
        assert_eq!(parts(-0.0).map(f32::to_bits), [0; 3]);
    }

    #[test]
    fn as_few_parts_as_tell_numbers_apart() {
        let keys = |numbers: &[f64]| numbers.iter().zip(1..).map(|(&number, row)| (number, row)).collect::<Vec<_>>();
        for (numbers, count) in
            [(&[0.1, 0.2][..], 1), (&[16_777_216.0, 16_777_217.0], 2), (&[0.3, 0.300_000_000_000_000_04], 3)]
        {
            let keys = keys(numbers);
            assert!((1..=PARTS).find(|&count| are_distinct(&keys, count)) == Some(count), "{numbers:?}");
        }
    }

    #[test]
    fn numbers_that_no_part_tells_apart_are_named() {
        let error = exact(&mut NetworkWriter::default(), "amount", "x", ["1e-60", "2e-60"].into_iter()).unwrap_err();
        assert!(error.is_usage());
        let text = error.to_string();
        assert!(text.contains("feature \"amount\"") && text.contains("--inputs ids"), "{text}");
        assert!(exact(&mut NetworkWriter::default(), "amount", "x", ["NaN", "1", "abc"].into_iter()).is_err());
        exact(&mut NetworkWriter::default(), "amount", "x", [].into_iter()).unwrap();
    }
}
