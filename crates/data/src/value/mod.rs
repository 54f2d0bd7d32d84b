//! The value of a cell in files of every type: [`Time`], [`Decimal`], and the canonical text of each value.
//!
//! CSV has no types. It holds a time, a number or true/false as some program wrote it. The value must be the same
//! category as in a typed file, and lie on the same side of a bound. `docs/configuration.md` has the rules.

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
