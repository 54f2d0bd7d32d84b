//! [`Refusal`]: why a request gets no answer, as the JSON that is sent instead.

use std::ops::Deref;

use pleiad_data::Error as DataError;
use pleiad_rank::Error as RankError;
use serde_json::{Map, Value, json};

/// Why a request is not answered. It is boxed, since results that carry it are mostly answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal(Box<Grounds>);

impl Deref for Refusal {
    type Target = Grounds;

    fn deref(&self) -> &Grounds {
        &self.0
    }
}

/// What, where, and what to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Grounds {
    /// Status code of HTTP.
    pub status: u16,
    /// The kind, in a word for programs.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub place: Place,
    /// What to do.
    pub advice: String,
    /// The methods that the address takes, where it was another one.
    pub allow: Option<&'static str>,
    /// How a token is to be given, where there was none that is right.
    pub challenge: Option<&'static str>,
    /// After how many seconds it may be tried again.
    pub retry_after: Option<u64>,
    /// Whether the connection ends with it, since what follows on it cannot be read.
    pub close: bool,
}

/// Where in a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The candidate, from 0.
    pub candidate: Option<usize>,
    /// The field: of the candidate, else of `request`, else of the body.
    pub field: Option<String>,
    /// Line of the body, from 1.
    pub line: Option<usize>,
    /// Column of the body, from 1.
    pub column: Option<usize>,
}

impl Refusal {
    /// One without a place.
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        let (message, advice) = (message.into(), advice.into());
        let place = Place::default();
        Self(Box::new(Grounds {
            status,
            code,
            message,
            place,
            advice,
            allow: None,
            challenge: None,
            retry_after: None,
            close: false,
        }))
    }

    /// The same at a place.
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.0.place = place;
        self
    }

    /// The same, to be tried again.
    pub(crate) fn after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// The same, with the methods that would be right.
    pub(crate) fn allowing(mut self, methods: &'static str) -> Self {
        self.0.allow = Some(methods);
        self
    }

    /// The same, which asks for a token.
    pub(crate) fn challenging(mut self, challenge: &'static str) -> Self {
        self.0.challenge = Some(challenge);
        self
    }

    /// The same, which ends the connection.
    pub(crate) fn closing(mut self) -> Self {
        self.0.close = true;
        self
    }

    /// What is sent: `{"error": {..}}`.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut error = Map::from_iter([
            ("status".to_owned(), json!(self.status)),
            ("code".to_owned(), json!(self.code)),
            ("message".to_owned(), json!(self.message)),
        ]);
        let Place { candidate, field, line, column } = &self.place;
        let places = [
            ("candidate", candidate.map(|at| json!(at))),
            ("field", field.as_ref().map(|field| json!(field))),
            ("line", line.map(|at| json!(at))),
            ("column", column.map(|at| json!(at))),
        ];
        error.extend(places.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        error.insert("advice".to_owned(), json!(self.advice));
        json!({ "error": error }).to_string().into_bytes()
    }

    /// Why these rows cannot be ranked. `of_request` says whether a column stands in `request`.
    pub(crate) fn of_rank(error: &RankError, of_request: &dyn Fn(&str) -> bool) -> Self {
        let unprocessable = |message: String, advice: &str| Self::new(422, "bad_value", message, advice);
        let at = |candidate: Option<usize>, field: Option<&str>| Place {
            candidate,
            field: field.map(str::to_owned),
            ..Place::default()
        };
        match error {
            RankError::Data(DataError::BadRow(bad)) => {
                let row = usize::try_from(bad.row.saturating_sub(1)).unwrap_or(usize::MAX);
                let value = bad.value.as_ref().map(|value| format!("{} ", Value::from(short(value))));
                let value = value.unwrap_or_default();
                let (place, stands) = match &bad.column {
                    Some(column) if of_request(column) => {
                        (at(None, Some(column)), format!("request, field {column:?}"))
                    }
                    Some(column) => (at(Some(row), Some(column)), format!("candidate {row}, field {column:?}")),
                    None => (at(Some(row), None), format!("candidate {row}")),
                };
                let advice = "give a value as the training rows had; one bad candidate refuses the whole request";
                unprocessable(format!("{stands}: {value}{}", bad.reason), advice).at(place)
            }
            RankError::Data(DataError::MissingColumn(missing)) => {
                let nearest = missing.nearest.as_ref();
                let hint = nearest.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
                let message = format!("there is no field {:?}, which the model reads{hint}", missing.column);
                let advice = "send it; where a value is not known, send null";
                Self::new(422, "missing_field", message, advice).at(at(None, Some(&missing.column)))
            }
            RankError::Data(DataError::ColumnType { column, found, expected, .. }) => {
                let message = format!("field {column:?}: {found} cannot be read as {expected}");
                unprocessable(message, "give values of the type that the training rows had").at(at(None, Some(column)))
            }
            RankError::Column { column, problem } => {
                let message = format!("field {column:?} {problem}");
                unprocessable(message, "give values of one kind").at(at(None, Some(column)))
            }
            RankError::Data(error) => unprocessable(error.to_string(), "send fields as the training rows had them"),
            RankError::NonFiniteScore { row, value, factors, .. } => {
                let candidate = usize::try_from(row.saturating_sub(1)).unwrap_or(usize::MAX);
                let message = format!("the score of candidate {candidate} is {value}: {factors}");
                let advice =
                    "give [rank] a floor, send other `score` exponents, or give the column of the transform a value";
                Self::new(422, "score_not_finite", message, advice).at(at(Some(candidate), None))
            }
            RankError::NonFinitePrediction { task, row, value } => {
                let candidate = usize::try_from(row.saturating_sub(1)).unwrap_or(usize::MAX);
                let message = format!("the model predicts {value} for task {task:?} of candidate {candidate}");
                let advice = "the candidate's numbers are unlike all training rows; check their units";
                Self::new(422, "prediction_not_finite", message, advice).at(at(Some(candidate), None))
            }
            RankError::NoRank { task } => {
                let message = "the model was saved without [rank], so it has no score".to_owned();
                let advice = format!(
                    "send exponents, such as \"score\": {{{task:?}: 1}}, or start with --set rank.score.{task}=1"
                );
                Self::new(422, "no_score", message, advice).at(at(None, Some("score")))
            }
            RankError::Rank { key, problem } => {
                let key = key.iter().skip(1).map(String::as_str).collect::<Vec<_>>().join(".");
                let message = format!("{key}: {problem}");
                Self::new(422, "bad_score", message, "name tasks of the model, with finite exponents")
                    .at(at(None, Some(&key)))
            }
            other => Self::new(500, "internal", other.to_string(), "this is a mistake of the server; report it"),
        }
    }
}

/// At most 80 characters of a value.
fn short(value: &str) -> String {
    let mut short: String = value.chars().take(80).collect();
    if value.chars().nth(80).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_where_and_what_to_do() {
        let place = Place { candidate: Some(3), field: Some("age".to_owned()), ..Place::default() };
        let refusal = Refusal::new(422, "bad_value", "candidate 3, field \"age\": is not a number", "give a number");
        let json: Value = serde_json::from_slice(&refusal.at(place).to_json()).unwrap();
        let expected = json!({ "error": {
            "status": 422, "code": "bad_value", "message": "candidate 3, field \"age\": is not a number", "candidate": 3,
            "field": "age", "advice": "give a number",
        } });
        assert_eq!(json, expected);
    }

    #[test]
    fn a_bad_score_names_its_task() {
        let key = ["rank", "score", "clik"].map(str::to_owned).to_vec();
        let error = RankError::Rank { key, problem: "there is no task \"clik\"".to_owned() };
        let refusal = Refusal::of_rank(&error, &|_| false);
        assert_eq!((refusal.status, refusal.place.field.as_deref()), (422, Some("score.clik")));
    }
}
