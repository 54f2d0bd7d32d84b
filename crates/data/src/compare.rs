//! [`Comparand`]: a value of the configuration, and how a column's cells compare with it.

use std::cmp::Ordering;

use crate::read::{Cell, Column};
use crate::schema::Scalar;
use crate::value::{Decimal, Time, canonical};

/// A [`Scalar`] that cells are compared with: in the column's own type where it has one, else as what both of them read
/// as.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparand {
    scalar: Scalar,
    /// The canonical text of a text.
    text: String,
    /// The time that a text is.
    time: Option<Time>,
    /// The month that a text is, as a bound.
    month: Option<Time>,
    /// The number that it is, or reads as.
    number: Option<Number>,
    /// Whether it is a number, or a text that is one because no TOML number is so large or so exact.
    is_number: bool,
}

/// What comparing is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To find equal values.
    Equal,
    /// To find values on one side.
    Bound,
}

/// A number, as exact as its type is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Exact(Decimal),
    Float(f64),
}

impl Comparand {
    pub(crate) fn new(scalar: &Scalar) -> Self {
        let mut own = Self {
            scalar: scalar.clone(),
            text: String::new(),
            time: None,
            month: None,
            number: None,
            is_number: scalar.is_number(),
        };
        match scalar {
            Scalar::Bool(value) => own.number = Some(Number::whole(*value)),
            Scalar::Integer(value) => own.number = Some(Number::whole(*value)),
            Scalar::Float(value) => own.number = Some(Number::of_float(*value)),
            Scalar::Text(text) => {
                own.text = canonical(text, str::to_owned);
                own.time = Time::parse(text);
                own.month = Time::parse_month(text);
                own.number = Number::parse(text);
                // A number of TOML would have done for all others.
                own.is_number = text.parse::<i64>().is_err()
                    && matches!(own.number, Some(Number::Exact(number)) if Number::rounds(number, text));
            }
        }
        own
    }

    /// The value.
    pub(crate) fn scalar(&self) -> &Scalar {
        &self.scalar
    }

    /// Whether it is a number: also a text that TOML has no number for.
    pub(crate) fn is_number(&self) -> bool {
        self.is_number
    }

    /// Whether it finds the same cells as another one.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self.number, other.number) {
            (Some(own), Some(other)) => own == other,
            (None, None) => {
                let same_time =
                    self.time.is_some_and(|own| other.time.is_some_and(|other| is_equal(own.order(&other))));
                same_time || self.text == other.text
            }
            _ => false,
        }
    }

    /// Whether it lies below another one of its kind.
    pub(crate) fn is_below(&self, other: &Self) -> bool {
        let order = match (self.time.or(self.month), other.time.or(other.month)) {
            (Some(own), Some(other)) => own.order(&other),
            _ => match &self.scalar {
                Scalar::Bool(value) => other.order(&Cell::Bool(*value)),
                Scalar::Integer(value) => other.order(&Cell::Int(*value)),
                Scalar::Float(value) => other.order(&Cell::Float(*value)),
                Scalar::Text(value) => other.order(&Cell::Text(value)),
            },
        };
        order == Some(Ordering::Less)
    }

    /// Whether a cell has this value. A missing one has none.
    pub(crate) fn equals(&self, cell: &Cell<'_>) -> bool {
        match (&self.scalar, cell) {
            (_, Cell::Missing | Cell::List) => false,
            (Scalar::Text(_), Cell::Text(text)) => {
                canonical(text, |text| text == self.text)
                    || self.time.is_some_and(|own| Time::parse(text).is_some_and(|time| is_equal(time.order(&own))))
            }
            (Scalar::Text(_), Cell::Time(time)) => self.time.is_some_and(|own| is_equal(time.order(&own))),
            (Scalar::Text(_), Cell::Float(_) | Cell::Decimal(_)) => is_equal(self.order_of_number(cell)),
            (Scalar::Text(_), cell) => cell.with_text(|text| text == Some(self.text.as_str())),
            (Scalar::Bool(value), cell) => cell.truth() == Some(*value),
            (Scalar::Integer(_) | Scalar::Float(_), cell) => is_equal(self.order_of_number(cell)),
        }
    }

    /// Whether a cell and this are, or read as, the same number.
    pub(crate) fn equals_as_number(&self, cell: &Cell<'_>) -> bool {
        is_equal(self.order_of_number(cell))
    }

    /// How a cell compares with this bound; `None` if it cannot.
    pub(crate) fn order(&self, cell: &Cell<'_>) -> Option<Ordering> {
        match (&self.scalar, cell) {
            (_, Cell::Missing | Cell::List) => None,
            (Scalar::Bool(value), cell) => Some(cell.truth()?.cmp(value)),
            (Scalar::Text(_), Cell::Time(time)) => time.order(&self.time.or(self.month)?),
            (Scalar::Text(_), Cell::Text(text)) if !self.is_number => match (Time::parse(text), self.time) {
                (Some(time), _) => time.order(&self.time.or(self.month)?),
                (None, Some(_)) => None,
                (None, None) => Some(canonical(text, |text| text.cmp(self.text.as_str()))),
            },
            _ if self.is_number => self.order_of_number(cell),
            _ => None,
        }
    }

    fn order_of_number(&self, cell: &Cell<'_>) -> Option<Ordering> {
        Number::of(cell)?.order(self.number?)
    }

    /// Why no value of a column can be compared with this one; what to do, as it reads after "cannot be compared with".
    pub(crate) fn misfit(&self, column: &Column, purpose: Purpose) -> Option<&'static str> {
        let is_truth = matches!(self.text.as_str(), "true" | "false");
        match (column, &self.scalar) {
            (Column::Missing(_) | Column::Text(_) | Column::Repeated(_) | Column::List(_), _) => None,
            (Column::Time(times), _) => match self.time.or(self.month.filter(|_| purpose == Purpose::Bound)) {
                Some(time) if time.is_like(times.kind()) => None,
                _ if times.kind() == crate::value::TimeKind::OfDay => {
                    Some("write a time of the day, as in \"12:30:00\"")
                }
                _ => Some("write a time, as in \"2026-01-06\" or \"2026-01-06 12:30:00\""),
            },
            (Column::Bool(_), Scalar::Bool(_)) => None,
            (Column::Bool(_), Scalar::Text(_)) if is_truth && purpose == Purpose::Equal => None,
            (Column::Bool(_), Scalar::Integer(0 | 1)) => None,
            (Column::Bool(_), Scalar::Float(value)) if *value == 0.0 || *value == 1.0 => None,
            (Column::Bool(_), _) => Some("write true or false"),
            (_, Scalar::Text(_)) if self.is_number || self.number.is_some() && purpose == Purpose::Equal => None,
            (_, Scalar::Text(_)) if self.number.is_some() => Some("write the number without quotes"),
            (_, Scalar::Text(_)) => Some("write a number"),
            _ => None,
        }
    }
}

fn is_equal(order: Option<Ordering>) -> bool {
    order == Some(Ordering::Equal)
}

impl Number {
    fn whole(value: impl Into<i128>) -> Self {
        Self::Exact(Decimal::from(value.into()))
    }

    /// A float of the configuration: the number that was written.
    fn of_float(value: f64) -> Self {
        Decimal::of_float(value).map_or(Self::Float(value), Self::Exact)
    }

    fn parse(text: &str) -> Option<Self> {
        if let Ok(whole) = text.parse::<i64>() {
            return Some(Self::whole(whole));
        }
        match Decimal::parse(text) {
            Some(number) => Some(Self::Exact(number)),
            None => text.parse().ok().filter(|number: &f64| !number.is_nan()).map(Self::Float),
        }
    }

    /// Whether a number of the configuration would not be this one.
    fn rounds(number: Decimal, text: &str) -> bool {
        text.parse().ok().and_then(Decimal::of_float) != Some(number)
    }

    fn of(cell: &Cell<'_>) -> Option<Self> {
        match *cell {
            Cell::Int(value) => Some(Self::whole(value)),
            Cell::UInt(value) => Some(Self::whole(value)),
            Cell::Decimal(value) => Some(Self::Exact(value)),
            Cell::Float(value) => Some(Self::Float(value)),
            Cell::Text(text) => {
                Self::parse(text).or_else(|| cell.number().filter(|number| !number.is_nan()).map(Self::Float))
            }
            Cell::Bool(value) => Some(Self::whole(value)),
            Cell::Missing | Cell::Time(_) | Cell::List => None,
        }
    }

    fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) => Some(a.order(&b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b),
            (Self::Float(a), Self::Exact(b)) => order_of_float(a, b),
            (Self::Exact(a), Self::Float(b)) => order_of_float(b, a).map(Ordering::reverse),
        }
    }
}

/// A float against an exact number, whose nearest float decides unless that is the float itself.
fn order_of_float(float: f64, number: Decimal) -> Option<Ordering> {
    match float.partial_cmp(&number.number())? {
        Ordering::Equal => Some(Decimal::of_float(float).map_or(Ordering::Equal, |float| float.order(&number))),
        unequal => Some(unequal),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::{BooleanArray, Float64Array, Int64Array, StringArray};
    use proptest::prelude::*;

    use super::*;

    fn equals(scalar: Scalar, cell: Cell<'_>) -> bool {
        Comparand::new(&scalar).equals(&cell)
    }

    fn order(scalar: Scalar, cell: Cell<'_>) -> Option<Ordering> {
        Comparand::new(&scalar).order(&cell)
    }

    fn text(text: &str) -> Scalar {
        Scalar::Text(text.to_owned())
    }

    fn decimal(text: &str) -> Cell<'_> {
        Cell::Decimal(Decimal::parse(text).unwrap())
    }

    fn time(text: &str) -> Cell<'_> {
        Cell::Time(Time::parse(text).unwrap())
    }

    #[test]
    fn numbers_compare_as_numbers_whatever_the_column_holds() {
        let one = [Scalar::Integer(1), Scalar::Float(1.0)];
        for cell in [
            Cell::Int(1),
            Cell::UInt(1),
            Cell::Float(1.0),
            Cell::Bool(true),
            Cell::Text("1"),
            Cell::Text("1.0"),
            Cell::Text("1e0"),
            Cell::Text("True"),
            decimal("1.00"),
        ] {
            assert!(one.iter().all(|one| equals(one.clone(), cell)), "{cell:?}");
        }
        for cell in [
            Cell::Int(2),
            Cell::UInt(u64::MAX),
            Cell::Bool(false),
            Cell::Text("one"),
            Cell::Text("NaN"),
            Cell::Missing,
            decimal("1.01"),
            time("2026-01-06"),
        ] {
            assert!(!one.iter().any(|one| equals(one.clone(), cell)), "{cell:?}");
        }
        // A tenth is a tenth, though no float is.
        assert!(equals(Scalar::Float(0.1), decimal("0.10")) && equals(Scalar::Float(0.1), Cell::Text("0.100")));
        assert!(equals(Scalar::Float(0.1), Cell::Float(0.1)));
    }

    #[test]
    fn whole_numbers_beyond_a_floats_precision_stay_apart() {
        let big = Scalar::Integer((1 << 53) + 1);
        assert!(
            equals(big.clone(), Cell::Text("9007199254740993")) && equals(big.clone(), decimal("9007199254740993"))
        );
        for cell in [
            Cell::Text("9007199254740992"),
            Cell::Int(1 << 53),
            Cell::UInt((1 << 53) + 2),
            Cell::Float(9_007_199_254_740_992.0),
            decimal("9007199254740993.01"),
        ] {
            assert!(!equals(big.clone(), cell), "{cell:?}");
        }
        // TOML has no such number: it is written as a text, and is a number all the same.
        let most = text("18446744073709551615");
        assert!(equals(most.clone(), Cell::UInt(u64::MAX)) && !equals(most.clone(), Cell::UInt(u64::MAX - 1)));
        assert_eq!(order(most.clone(), Cell::UInt(5)), Some(Ordering::Less));
        assert_eq!(order(most.clone(), Cell::Text("9")), Some(Ordering::Less));
        assert_eq!(order(most, decimal("18446744073709551616")), Some(Ordering::Greater));
    }

    #[test]
    fn texts_are_equal_as_categories_are() {
        for cell in [Cell::Int(1), Cell::Text("1"), Cell::Text("1.0"), Cell::Float(1.0)] {
            assert!(equals(text("1"), cell), "{cell:?}");
        }
        assert!(!equals(text("1"), Cell::Text("01")) && !equals(text("1.1"), Cell::Text("1.10")));
        assert!(equals(text("TRUE"), Cell::Bool(true)) && equals(text("true"), Cell::Text("True")));
        assert!(!equals(text("true"), Cell::Text("1")));
        assert!(equals(Scalar::Bool(true), Cell::Text("1")) && equals(Scalar::Bool(true), Cell::Text("TRUE")));
        assert!(equals(text("1.5"), decimal("1.50")));
    }

    #[test]
    fn times_compare_as_times() {
        for bound in ["2026-01-06 12:00:00", "2026-01-06T12:00", "2026-01-06T12:00:00.000Z", "2026-01-06 13:00+01:00"] {
            for cell in
                [time("2026-01-06 12:00"), Cell::Text("2026-01-06 12:00:00"), Cell::Text("2026-01-06T12:00:00Z")]
            {
                assert!(equals(text(bound), cell), "{bound} {cell:?}");
                assert_eq!(order(text(bound), cell), Some(Ordering::Equal), "{bound} {cell:?}");
            }
            assert_eq!(order(text(bound), Cell::Text("2026-01-06")), Some(Ordering::Less));
            // Which is neither before nor after it.
            for cell in [Cell::Text("soon"), Cell::Text("20260106"), Cell::Text("12:00"), Cell::Int(5), time("12:00")] {
                assert_eq!(order(text(bound), cell), None, "{bound} {cell:?}");
            }
        }
        assert_eq!(order(text("soon"), Cell::Text("2026-01-06")), None);
        assert_eq!(order(Scalar::Integer(5), time("2026-01-06")), None);
        assert_eq!(order(text("2026-02"), Cell::Text("2026-01-31")), Some(Ordering::Less));
        assert_eq!(order(text("2026-02"), time("2026-02-01")), Some(Ordering::Equal));
        assert_eq!(order(text("2026-02"), Cell::Text("2026-01")), Some(Ordering::Less));
        assert_eq!(order(text("12:30"), time("12:30:00.5")), Some(Ordering::Greater));
    }

    #[test]
    fn ranges_order_numbers_and_texts() {
        assert_eq!(order(Scalar::Integer(10), Cell::Text("9")), Some(Ordering::Less));
        assert_eq!(order(text("10"), Cell::Text("9")), Some(Ordering::Greater));
        assert_eq!(order(Scalar::Integer(10), Cell::Text("soon")), None);
        assert_eq!(order(Scalar::Float(0.5), decimal("0.4999")), Some(Ordering::Less));
        assert_eq!(order(Scalar::Bool(true), Cell::Text("false")), Some(Ordering::Less));
    }

    #[test]
    fn bounds_are_ordered_among_themselves() {
        let below = |a: Scalar, b: Scalar| Comparand::new(&a).is_below(&Comparand::new(&b));
        assert!(
            below(text("2026-01"), text("2026-01-03")) && below(text("2026-01-06 09:00"), text("2026-01-06T10:00"))
        );
        assert!(
            !below(text("2026-01-06T10:00Z"), text("2026-01-06 10:00")) && !below(text("soon"), text("2026-01-06"))
        );
        assert!(below(Scalar::Integer(1), Scalar::Float(1.5)) && !below(Scalar::Float(1.5), Scalar::Integer(1)));
        assert!(below(Scalar::Integer(0), text("18446744073709551615")) && below(text("a"), text("b")));
    }

    #[test]
    fn what_can_never_be_compared_is_told() {
        let whole = Column::Int(Int64Array::from(vec![1]));
        let float = Column::Float(Float64Array::from(vec![1.0]));
        let truth = Column::Bool(BooleanArray::from(vec![true]));
        let texts = Column::Text(StringArray::from(vec!["a"]));
        let misfit = |scalar: Scalar, column: &Column, purpose| Comparand::new(&scalar).misfit(column, purpose);
        for column in [&whole, &float] {
            for purpose in [Purpose::Equal, Purpose::Bound] {
                assert_eq!(misfit(Scalar::Integer(7), column, purpose), None);
                assert_eq!(misfit(text("18446744073709551615"), column, purpose), None);
                assert_eq!(misfit(text("2026-01-06"), column, purpose), Some("write a number"));
                assert_eq!(misfit(text("yes"), column, purpose), Some("write a number"));
            }
            assert_eq!(misfit(text("10"), column, Purpose::Equal), None);
            assert_eq!(misfit(text("10"), column, Purpose::Bound), Some("write the number without quotes"));
            assert_eq!(misfit(text("0.5"), column, Purpose::Bound), Some("write the number without quotes"));
        }
        assert_eq!(misfit(Scalar::Integer(1), &truth, Purpose::Equal), None);
        assert_eq!(misfit(text("True"), &truth, Purpose::Equal), None);
        for scalar in [Scalar::Integer(2), text("1"), text("yes")] {
            assert_eq!(misfit(scalar, &truth, Purpose::Equal), Some("write true or false"));
        }
        for scalar in [Scalar::Integer(2), text("1"), text("2026-01-06"), Scalar::Bool(true)] {
            assert_eq!(misfit(scalar, &texts, Purpose::Bound), None);
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_are_ordered_alike_in_every_type(a: i64, b: i64) {
            let (unsigned, digits) = (a.unsigned_abs(), a.to_string());
            prop_assert_eq!(order(Scalar::Integer(b), Cell::Int(a)), Some(a.cmp(&b)));
            prop_assert_eq!(order(Scalar::Integer(b), Cell::Text(&digits)), Some(a.cmp(&b)));
            prop_assert_eq!(order(Scalar::Integer(b), decimal(&digits)), Some(a.cmp(&b)));
            prop_assert_eq!(order(Scalar::Integer(b), Cell::UInt(unsigned)), Some(i128::from(unsigned).cmp(&b.into())));
            // A float is a whole number where it is as large as that.
            let float = a as f64;
            prop_assert_eq!(order(Scalar::Integer(b), Cell::Float(float)), Some((float as i128).cmp(&b.into())));
        }

        #[test]
        fn floats_are_ordered_as_floats(a: f64, b: f64) {
            prop_assume!(!b.is_nan() && b.is_finite());
            prop_assert_eq!(order(Scalar::Float(b), Cell::Float(a)), a.partial_cmp(&b));
        }
    }
}
