//! Exact values of numbers: the numbers of a chunk as the categories that a vocabulary looks up.

use std::collections::HashMap;

use arrow::array::StringArray;

use crate::read::{Column, MOST_REPEATED, Repeated};
use crate::value::text_of_number;

/// What a missing number is called.
const MISSING: &str = "NaN";

/// The text of every number; numbers that are equal have one, whatever their column was made of. They are finite, or NaN
/// where one is missing.
pub(super) fn categories(numbers: &[f64]) -> Column {
    let mut codes: HashMap<u64, u16> = HashMap::new();
    let mut texts: Vec<String> = Vec::new();
    let mut of_rows: Vec<u16> = Vec::with_capacity(numbers.len());
    for &number in numbers {
        let code = match codes.get(&key(number)) {
            Some(&code) => code,
            None if texts.len() == MOST_REPEATED => {
                return Column::Text(StringArray::from_iter_values(numbers.iter().map(|&number| text(number))));
            }
            None => {
                texts.push(text(number));
                let code = texts.len() as u16;
                codes.insert(key(number), code);
                code
            }
        };
        of_rows.push(code);
    }
    Column::Repeated(Repeated::new(StringArray::from(texts), of_rows.into()))
}

/// The same bits for the same number: -0 is 0, and any NaN is missing.
fn key(number: f64) -> u64 {
    if number.is_nan() { f64::NAN.to_bits() } else { (number + 0.0).to_bits() }
}

fn text(number: f64) -> String {
    if number.is_nan() { MISSING.to_owned() } else { text_of_number(number) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::encode::category::each_text;
    use crate::value::canonical;

    fn texts(numbers: &[f64]) -> Vec<String> {
        let mut texts = Vec::new();
        each_text(&categories(numbers), |text| texts.push(text.unwrap_or("none").to_owned()));
        texts
    }

    #[test]
    fn one_number_has_one_text() {
        let found = texts(&[94.0, 1.5, -0.0, 0.0, 1e-5, 2e-12, f64::NAN, -f64::NAN, 99_999.0, 94.0]);
        assert_eq!(found, ["94", "1.5", "0", "0", "0.00001", "2e-12", "NaN", "NaN", "99999", "94"]);
    }

    #[test]
    fn a_chunk_of_too_many_numbers_is_one_of_texts() {
        let numbers: Vec<f64> = (0..MOST_REPEATED as u32 + 3).map(f64::from).collect();
        assert!(matches!(categories(&numbers), Column::Text(_)));
        assert!(matches!(categories(&numbers[..MOST_REPEATED]), Column::Repeated(_)));
        assert_eq!(texts(&numbers)[MOST_REPEATED], MOST_REPEATED.to_string());
    }

    proptest! {
        /// A vocabulary that is read from a file holds canonical texts alone.
        #[test]
        fn texts_are_canonical(number in prop::num::f64::NORMAL) {
            let number = number.clamp(f64::from(f32::MIN), f64::from(f32::MAX));
            let text = text(number);
            prop_assert_eq!(text.parse::<f64>().ok(), Some(number));
            canonical(&text, |canonical| assert_eq!(canonical, text));
        }
    }
}
