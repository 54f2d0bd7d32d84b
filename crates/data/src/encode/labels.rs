//! Labels and sample spaces.

use super::bad_cells::BadCells;
use super::numeric::finite;
use crate::batch::Labels;
use crate::compare::Comparand;
use crate::error::Reason;
use crate::read::{Cell, Column};
use crate::schema::{Scalar, TaskConfig, TaskKind, Where};

/// What rows count: all tasks' weights, and the column of a task's own.
#[derive(Clone, Copy, Default)]
pub(super) struct RowWeights<'a> {
    pub(super) of_rows: Option<&'a [f32]>,
    pub(super) own: Option<(&'a str, &'a Column)>,
}

impl RowWeights<'_> {
    /// The weight of a row; `None` if its own is a bad cell.
    fn at(self, row: usize, bad: &mut BadCells) -> Option<f32> {
        let of_rows = self.of_rows.map_or(1.0, |weights| weights[row]);
        let Some((name, column)) = self.own else { return Some(of_rows) };
        let cell = column.cell(row);
        let product = weight(cell).and_then(|own| {
            let product = own * of_rows;
            if product.is_finite() { Ok(product) } else { Err(Reason::TooLarge) }
        });
        product.map_err(|reason| bad.push(row, name, cell, reason)).ok()
    }
}

/// A weight of a row: a finite number, 0 or above.
pub(super) fn weight(cell: Cell<'_>) -> Result<f32, Reason> {
    if matches!(cell, Cell::Missing) || cell.is_nan_text() || matches!(cell, Cell::Float(value) if value.is_nan()) {
        return Err(Reason::MissingWeight);
    }
    let weight = finite(cell)? as f32;
    // -0 is 0.
    if weight < 0.0 { Err(Reason::NegativeWeight) } else { Ok(weight + 0.0) }
}

/// Labels of one task. A row outside of the sample space is not asked for its label, so nothing can be wrong with it. A row
/// of weight 0 is outside.
pub(super) fn parse(
    task: &TaskConfig,
    label: &Column,
    filter: Option<&Column>,
    weights: RowWeights<'_>,
    bad: &mut BadCells,
) -> Labels {
    let rows = label.len();
    let weighted = weights.of_rows.is_some() || weights.own.is_some();
    let mut labels = Labels { values: vec![0.0; rows], present: vec![false; rows], weights: Vec::new() };
    if weighted {
        labels.weights = vec![0.0; rows];
    }
    let space = match (&task.filter, filter) {
        (Some(filter), Some(column)) => Some(SampleSpace::new(filter).rows(column)),
        _ => None,
    };
    let positive = task.label.positive.as_ref().map(Comparand::new);
    // A text may be whatever it reads as, and NaN then is no label of a number's.
    let may_be_nan = !matches!(task.label.positive, Some(Scalar::Text(_)));
    for row in 0..rows {
        if space.as_ref().is_some_and(|space| !space[row]) {
            continue;
        }
        let weight = if weighted { weights.at(row, bad).unwrap_or(0.0) } else { 1.0 };
        if weight == 0.0 {
            continue;
        }
        let cell = label.cell(row);
        let is_missing = matches!(cell, Cell::Missing) || may_be_nan && cell.is_nan_text();
        let found = match (is_missing, task.label.missing) {
            (true, None) => continue,
            (true, Some(value)) => Ok(value as f32),
            (false, _) => value(task.kind, positive.as_ref(), cell),
        };
        match found {
            Ok(value) if task.label.transform.is_some() && value <= -1.0 => {
                bad.push(row, &task.label.column, cell, Reason::Log1p);
            }
            Ok(value) => {
                labels.values[row] = value;
                labels.present[row] = true;
                if weighted {
                    labels.weights[row] = weight;
                }
            }
            Err(reason) => bad.push(row, &task.label.column, cell, reason),
        }
    }
    labels
}

fn value(kind: TaskKind, positive: Option<&Comparand>, cell: Cell<'_>) -> Result<f32, Reason> {
    if matches!(cell, Cell::Float(value) if !value.is_finite()) {
        return Err(Reason::NotFinite);
    }
    match (kind, positive) {
        (TaskKind::Regression, _) => finite(cell).map(|value| value as f32),
        (TaskKind::Binary, Some(positive)) => Ok(f32::from(u8::from(positive.equals(&cell)))),
        (TaskKind::Binary, None) => match cell.truth() {
            Some(truth) => Ok(f32::from(u8::from(truth))),
            None => Err(Reason::NotABinaryLabel),
        },
    }
}

/// Which rows are in a sample space.
struct SampleSpace {
    /// Rows with one of these.
    wanted: Option<Vec<Comparand>>,
    /// Rows with another value than this.
    unwanted: Option<Comparand>,
    /// Whether values are numbers, so that a text NaN is none.
    is_number: bool,
}

impl SampleSpace {
    fn new(filter: &Where) -> Self {
        let wanted = filter.equals.as_ref().map(std::slice::from_ref).or(filter.any_of.as_deref());
        Self {
            wanted: wanted.map(|values| values.iter().map(Comparand::new).collect()),
            unwanted: filter.not_equals.as_ref().map(Comparand::new),
            is_number: filter.scalars().all(|(_, value)| value.is_number()),
        }
    }

    fn rows(&self, column: &Column) -> Vec<bool> {
        match column {
            Column::Repeated(texts) => texts.map(|text| self.contains(&text.map_or(Cell::Missing, Cell::Text))),
            column => (0..column.len()).map(|row| self.contains(&column.cell(row))).collect(),
        }
    }

    fn contains(&self, cell: &Cell<'_>) -> bool {
        if matches!(cell, Cell::Missing) || self.is_number && cell.is_nan_text() {
            return false;
        }
        self.wanted.as_ref().is_none_or(|values| values.iter().any(|value| value.equals(cell)))
            && self.unwanted.as_ref().is_none_or(|value| !value.equals(cell))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use arrow::array::{BooleanArray, Float64Array, StringArray};

    fn task(text: &str) -> TaskConfig {
        toml::from_str(&format!("name = 't'\n{text}")).unwrap()
    }

    fn texts(values: &[Option<&str>]) -> Column {
        Column::Text(StringArray::from(values.to_vec()))
    }

    fn run(task: &TaskConfig, label: &Column, filter: Option<&Column>) -> (Labels, Vec<(usize, Reason)>) {
        let mut bad = BadCells::default();
        let labels = parse(task, label, filter, RowWeights::default(), &mut bad);
        (labels, bad.into_reasons())
    }

    #[test]
    fn binary_labels_are_zero_and_one_or_true_and_false() {
        let task = task("kind = 'binary'\nlabel = { column = 'y' }");
        let column =
            texts(&[Some("1"), Some("0"), Some("TRUE"), Some("false"), None, Some("1.0"), Some("2"), Some("no")]);
        let (labels, bad) = run(&task, &column, None);
        assert_eq!(labels.values[..6], [1.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
        assert_eq!(labels.present, [true, true, true, true, false, true, false, false]);
        assert_eq!(bad, [(6, Reason::NotABinaryLabel), (7, Reason::NotABinaryLabel)]);
        let column = Column::Bool(BooleanArray::from(vec![Some(true), None, Some(false)]));
        assert_eq!(run(&task, &column, None).0.values, [1.0, 0.0, 0.0]);
    }

    #[test]
    fn a_missing_label_counts_as_what_is_said_within_the_sample_space() {
        let column = texts(&[Some("1"), None, None]);
        let all = task("kind = 'binary'\nlabel = { column = 'y', missing = 0 }");
        let (labels, bad) = run(&all, &column, None);
        assert_eq!((labels.values, labels.present), (vec![1.0, 0.0, 0.0], vec![true; 3]));
        assert!(bad.is_empty());
        let some = task(
            "kind = 'regression'\nlabel = { column = 'y', missing = 2.5 }\nwhere = { column = 'c', equals = 'a' }",
        );
        let (labels, _) = run(&some, &column, Some(&texts(&[Some("a"), Some("a"), Some("b")])));
        assert_eq!((labels.values, labels.present), (vec![1.0, 2.5, 0.0], vec![true, true, false]));
    }

    #[test]
    fn a_positive_value_makes_all_others_negative() {
        let task = task("kind = 'binary'\nlabel = { column = 'y', positive = 'yes' }");
        let (labels, bad) = run(&task, &texts(&[Some("yes"), Some("Yes"), None]), None);
        assert_eq!((labels.values, labels.present), (vec![1.0, 0.0, 0.0], vec![true, true, false]));
        assert!(bad.is_empty());
    }

    #[test]
    fn regression_labels_are_finite() {
        let task = task("kind = 'regression'\nlabel = { column = 'y' }");
        let column = Column::Float(Float64Array::from(vec![Some(0.5), None, Some(f64::NAN), Some(1e300)]));
        let (labels, bad) = run(&task, &column, None);
        assert_eq!((labels.values[0], labels.count()), (0.5, 1));
        assert_eq!(bad, [(3, Reason::TooLarge)]);
        let column = Column::Float(Float64Array::from(vec![f64::INFINITY]));
        assert_eq!(run(&task, &column, None).1, [(0, Reason::NotFinite)]);
    }

    #[test]
    fn nan_is_a_missing_label() {
        let floats = Column::Float(Float64Array::from(vec![Some(1.0), Some(f64::NAN), None]));
        let written = texts(&[Some("1.0"), Some("NaN"), None]);
        for column in [&floats, &written] {
            for kind in ["binary", "regression"] {
                let own = task(&format!("kind = '{kind}'\nlabel = {{ column = 'y' }}"));
                let (labels, bad) = run(&own, column, None);
                assert_eq!((labels.values, labels.present), (vec![1.0, 0.0, 0.0], vec![true, false, false]));
                assert_eq!(bad, []);
            }
            let filled = task("kind = 'binary'\nlabel = { column = 'y', positive = 1, missing = 0 }");
            assert_eq!(run(&filled, column, None).0.present, [true; 3]);
            let others = task("kind = 'binary'\nlabel = { column = 'y' }\nwhere = { column = 'c', not_equals = 2 }");
            assert_eq!(run(&others, column, Some(column)).0.present, [true, false, false]);
        }
        // A name, where the positive one is.
        let named = task("kind = 'binary'\nlabel = { column = 'y', positive = 'Nan' }");
        assert_eq!(run(&named, &texts(&[Some("Nan"), Some("nan")]), None).0.values, [1.0, 0.0]);
    }

    #[test]
    fn the_label_of_a_logarithm_is_above_minus_one_and_stays_as_it_is() {
        let task = task("kind = 'regression'\nlabel = { column = 'y', transform = 'log1p' }");
        let (labels, bad) = run(&task, &texts(&[Some("-0.5"), Some("-1"), Some("9"), Some("-3"), None]), None);
        assert_eq!(labels.values, [-0.5, 0.0, 9.0, 0.0, 0.0]);
        assert_eq!(bad, [(1, Reason::Log1p), (3, Reason::Log1p)]);
    }

    #[test]
    fn weights_multiply_and_a_row_without_one_is_outside() {
        let task = task("kind = 'binary'\nlabel = { column = 'y' }\nwhere = { column = 'c', equals = 1 }");
        let (label, filter) = (
            texts(&[Some("1"); 7]),
            texts(&[Some("1"), Some("1"), Some("1"), Some("0"), Some("1"), Some("1"), Some("1")]),
        );
        let own = texts(&[Some("0.5"), Some("0"), Some("-1"), Some("garbage"), None, Some("1e39"), Some("3e38")]);
        let mut bad = BadCells::default();
        let of_rows = [4.0, 1.0, 1.0, 1.0, 1.0, 1.0, 9.0];
        let weights = RowWeights { of_rows: Some(&of_rows), own: Some(("w", &own)) };
        let labels = parse(&task, &label, Some(&filter), weights, &mut bad);
        assert_eq!(labels.weights, [2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(labels.present, [true, false, false, false, false, false, false]);
        let reasons =
            [(2, Reason::NegativeWeight), (4, Reason::MissingWeight), (5, Reason::TooLarge), (6, Reason::TooLarge)];
        assert_eq!(bad.into_reasons(), reasons);
        let floats = Column::Float(Float64Array::from(vec![f64::NAN, f64::INFINITY, -0.0, 2.5]));
        let found: Vec<_> = (0..4).map(|row| weight(floats.cell(row))).collect();
        assert_eq!(found, [Err(Reason::MissingWeight), Err(Reason::NotFinite), Ok(0.0), Ok(2.5)]);
    }

    #[test]
    fn outside_of_the_sample_space_a_label_may_be_anything() {
        let filter = texts(&[Some("1"), Some("0"), None]);
        let labels = texts(&[Some("0.5"), Some("garbage"), Some("garbage")]);
        let equals = task("kind = 'regression'\nlabel = { column = 'y' }\nwhere = { column = 'c', equals = 1 }");
        let (found, bad) = run(&equals, &labels, Some(&filter));
        assert_eq!((found.present, bad), (vec![true, false, false], vec![]));
        let differs = task(
            "kind = 'binary'\nlabel = { column = 'y', positive = 'garbage' }\nwhere = { column = 'c', not_equals = 1 }",
        );
        assert_eq!(run(&differs, &labels, Some(&filter)).0.present, [false, true, false]);
        let one_of = task(
            "kind = 'binary'\nlabel = { column = 'y', positive = 'garbage' }\nwhere = { column = 'c', in = [0, 1] }",
        );
        assert_eq!(run(&one_of, &labels, Some(&filter)).0.present, [true, true, false]);
    }
}
