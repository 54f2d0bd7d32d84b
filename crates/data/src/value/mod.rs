//! What a cell's value is, whatever the type of its file: [`Time`], [`Decimal`], and the one text of each value.
//!
//! CSV has no types. A value that a typed file holds as a time, a number or true/false stands there as some program wrote
//! it, and has to be the same category, and to lie on the same side of a bound. `docs/configuration.md` has the rules.

mod decimal;
mod float;
mod short;
mod text;
mod time;

pub use decimal::Decimal;
pub use time::{Time, TimeKind};

pub(crate) use float::{is_category, widen, widen_half, write as write_float};
pub(crate) use short::Short;
pub(crate) use text::{canonical, canonical_or_none};

/// The canonical text of a finite number of any size.
pub(crate) fn text_of_number(number: f64) -> String {
    let mut short = Short::default();
    float::write(number, &mut short);
    short.text().to_owned()
}
