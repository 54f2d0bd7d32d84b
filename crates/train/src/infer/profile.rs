//! [`Profile`]: what the values of a column are like.

use std::collections::HashMap;

use pleiad_data::read::{Cell, SampleColumn};
use pleiad_data::value::{Time, TimeKind};

/// Texts that programs write for what is missing.
const MISSING: [&str; 12] = ["NA", "N/A", "n/a", "NULL", "null", "None", "none", "NaN", "nan", "\\N", "?", "-"];

/// What may stand between several values of one text.
const SEPARATORS: [char; 3] = ['|', ';', ','];

/// Code of a missing value.
pub(super) const NONE: u32 = u32::MAX;

/// A value, and the rows that have it.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) number: Option<f64>,
    pub(super) count: usize,
}

/// What its values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueKind {
    /// None at all.
    Missing,
    Bool,
    Whole,
    Decimal,
    Text,
    Time,
    List,
}

/// The values of a column.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) name: String,
    /// Why they cannot be read.
    pub(super) refused: Option<String>,
    pub(super) rows: usize,
    /// Rows that have one.
    pub(super) present: usize,
    pub(super) kind: ValueKind,
    /// Different values, in the order in which they come; of lists, the elements.
    pub(super) values: Vec<Value>,
    /// Which of them each row has; [`NONE`] for none. Empty for lists.
    pub(super) codes: Vec<u32>,
    /// Numbers that are infinite.
    pub(super) infinite: usize,
    /// Texts for what is missing, in a column of numbers.
    pub(super) null: Vec<String>,
    /// The separator, if a text holds several values. Lists of the file have none.
    pub(super) separator: Option<char>,
    /// Values of all lists.
    pub(super) elements: usize,
    /// Mean length of a text, in characters.
    pub(super) length: f64,
    /// Whether a number is too large for 32 bits.
    pub(super) is_wild: bool,
    /// Whether a number cannot be a category: whole ones beyond 2^53 in a column of floats, which has rounded them.
    pub(super) is_nameless: bool,
}

impl Profile {
    pub(super) fn new(column: &SampleColumn) -> Self {
        let mut profile = Self {
            name: column.name.clone(),
            refused: column.refused.clone(),
            rows: 0,
            present: 0,
            kind: ValueKind::Missing,
            values: Vec::new(),
            codes: Vec::new(),
            infinite: 0,
            null: Vec::new(),
            separator: None,
            elements: 0,
            length: 0.0,
            is_wild: false,
            is_nameless: false,
        };
        if profile.refused.is_some() {
            return profile;
        }
        let is_list = column.parts.iter().any(|part| matches!(part, pleiad_data::read::Column::List(_)));
        if is_list {
            profile.count_lists(column);
        } else {
            profile.count(column);
        }
        profile
    }

    fn count(&mut self, column: &SampleColumn) {
        let mut at: HashMap<String, u32> = HashMap::new();
        let (mut times, mut bools, mut typed_times, mut letters) = (0, 0, 0, 0);
        for cell in column.cells() {
            self.rows += 1;
            let code = match cell {
                Cell::Missing | Cell::List => NONE,
                cell if cell.is_nan_text() => NONE,
                Cell::Float(value) if value.is_infinite() => {
                    (self.infinite, self.kind) = (self.infinite + 1, ValueKind::Decimal);
                    NONE
                }
                cell => cell.with_text(|text| {
                    self.is_nameless |= text.is_none();
                    let own;
                    let text = match text {
                        Some(text) => text,
                        None => {
                            own = cell.to_string();
                            &own
                        }
                    };
                    if let Some(&code) = at.get(text) {
                        return code;
                    }
                    let code = self.values.len() as u32;
                    at.insert(text.to_owned(), code);
                    self.values.push(Value { text: text.to_owned(), number: cell.number(), count: 0 });
                    code
                }),
            };
            if let Some(value) = self.values.get_mut(code as usize) {
                value.count += 1;
                self.present += 1;
                letters += value.text.chars().count();
                typed_times += usize::from(matches!(cell, Cell::Time(_)));
                bools += usize::from(matches!(cell, Cell::Bool(_)) || ["true", "false"].contains(&value.text.as_str()));
            }
            self.codes.push(code);
        }
        self.length = letters as f64 / self.present.max(1) as f64;
        for value in &self.values {
            times += if value.number.is_none() && is_date(&value.text) { value.count } else { 0 };
        }
        self.is_wild |= self.values.iter().filter_map(|value| value.number).any(|number| !fits(number));
        let is_number = |value: &Value| value.number.is_some_and(f64::is_finite);
        let others: Vec<&Value> = self.values.iter().filter(|value| !is_number(value)).collect();
        let has_numbers = others.len() < self.values.len();
        self.kind = match self.present {
            0 => self.kind,
            present if typed_times > 0 || times == present => ValueKind::Time,
            present if bools == present => ValueKind::Bool,
            _ if others.is_empty() => number_kind(&self.values),
            _ if has_numbers && others.iter().all(|value| MISSING.contains(&value.text.as_str())) => {
                self.null = others.iter().map(|value| value.text.clone()).collect();
                self.forget_null();
                number_kind(&self.values)
            }
            _ => ValueKind::Text,
        };
        if self.kind == ValueKind::Text {
            self.find_separator();
        }
    }

    /// Takes the texts of `null` for missing.
    fn forget_null(&mut self) {
        let is_null = |value: &Value| self.null.contains(&value.text);
        let mut new = Vec::new();
        let mut code_of = Vec::with_capacity(self.values.len());
        for value in &self.values {
            code_of.push(if is_null(value) { NONE } else { new.len() as u32 });
            if !is_null(value) {
                new.push(value.clone());
            }
        }
        for code in self.codes.iter_mut().filter(|code| **code != NONE) {
            *code = code_of[*code as usize];
        }
        self.values = new;
        self.present = self.values.iter().map(|value| value.count).sum();
    }

    fn count_lists(&mut self, column: &SampleColumn) {
        self.kind = ValueKind::List;
        let mut at: HashMap<String, usize> = HashMap::new();
        for part in &column.parts {
            self.rows += part.len();
            let pleiad_data::read::Column::List(list) = part else { continue };
            for row in 0..part.len() {
                let range = list.range(row);
                self.present += usize::from(!range.is_empty());
                for element in range {
                    let cell = list.values().cell(element);
                    cell.with_text(|text| {
                        let Some(text) = text else {
                            self.is_nameless |= !matches!(cell, Cell::Missing);
                            return;
                        };
                        self.elements += 1;
                        let next = at.len();
                        let at = *at.entry(text.to_owned()).or_insert(next);
                        if at == self.values.len() {
                            self.values.push(Value { text: text.to_owned(), number: cell.number(), count: 0 });
                        }
                        self.values[at].count += 1;
                    });
                }
            }
        }
    }

    /// Finds out whether texts hold several values: the parts are far fewer than the texts.
    fn find_separator(&mut self) {
        let several = |separator: char| {
            let with = self.values.iter().filter(|value| value.text.contains(separator));
            let rows: usize = with.map(|value| value.count).sum();
            let mut parts: HashMap<&str, usize> = HashMap::new();
            for value in &self.values {
                value.text.split(separator).for_each(|part| *parts.entry(part).or_default() += value.count);
            }
            // Parts of a sentence begin with a space.
            let spaced = parts.keys().filter(|part| part.starts_with(' ')).count();
            let is = rows * 5 >= self.present
                && self.values.len() >= 8
                && parts.len() * 2 <= self.values.len()
                && spaced == 0;
            is.then(|| (separator, parts.into_iter().map(|(text, count)| (text.to_owned(), count)).collect::<Vec<_>>()))
        };
        let Some((separator, mut parts)) = SEPARATORS.into_iter().find_map(several) else { return };
        parts.sort();
        self.separator = Some(separator);
        self.elements = parts.iter().map(|(_, count)| count).sum();
        self.values = parts.into_iter().map(|(text, count)| Value { text, number: None, count }).collect();
        self.codes.clear();
        self.kind = ValueKind::List;
    }

    /// Whether values are numbers, which true and false are not here.
    pub(super) fn is_number(&self) -> bool {
        matches!(self.kind, ValueKind::Whole | ValueKind::Decimal)
    }

    /// Different values.
    pub(super) fn distinct(&self) -> usize {
        self.values.len()
    }

    pub(super) fn missing(&self) -> usize {
        self.rows - self.present
    }

    /// Least and greatest number.
    pub(super) fn range(&self) -> (f64, f64) {
        let numbers = || self.values.iter().filter_map(|value| value.number);
        (numbers().fold(f64::INFINITY, f64::min), numbers().fold(f64::NEG_INFINITY, f64::max))
    }

    /// Skewness of the numbers: 0 where all are equal.
    pub(super) fn skewness(&self) -> f64 {
        let numbers = || self.values.iter().filter_map(|value| Some((value.number?, value.count as f64)));
        let rows: f64 = numbers().map(|(_, count)| count).sum();
        let mean = numbers().map(|(x, count)| x * count).sum::<f64>() / rows;
        let moment = |power: i32| numbers().map(|(x, count)| (x - mean).powi(power) * count).sum::<f64>() / rows;
        let skewness = moment(3) / moment(2).powf(1.5);
        if skewness.is_finite() { skewness } else { 0.0 }
    }

    /// The value of most rows.
    pub(super) fn commonest(&self) -> Option<&Value> {
        self.values.iter().max_by(|a, b| a.count.cmp(&b.count).then_with(|| b.text.cmp(&a.text)))
    }

    /// Whether numbers only rise from row to row.
    pub(super) fn rises(&self) -> bool {
        let numbers: Vec<f64> = self.codes.iter().filter_map(|&code| self.values.get(code as usize)?.number).collect();
        numbers.windows(2).all(|pair| pair[0] < pair[1])
    }
}

fn fits(number: f64) -> bool {
    !number.is_finite() || number.abs() < 1e30
}

fn number_kind(values: &[Value]) -> ValueKind {
    let is_whole = |value: &Value| value.number.is_some_and(|number| number.fract() == 0.0);
    if values.iter().all(is_whole) { ValueKind::Whole } else { ValueKind::Decimal }
}

/// Whether a text is a date, or a date with a time.
fn is_date(text: &str) -> bool {
    Time::parse(text).is_some_and(|time| time.kind() != TimeKind::OfDay)
}
