//! The body of a rank request: JSON into cells by column, in one pass, without a tree in between.
//!
//! Only columns that the model reads are kept, so that what a body can make the server hold follows from its length, the
//! candidates and the model's columns.

mod candidates;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use pleiad_data::nearest;
use pleiad_rank::cells::Cell;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};

use self::candidates::{Ids, Lists, Rows};
use crate::columns::Columns;
use crate::refusal::{Place, Refusal};
use crate::value::{CELL, Text};

/// The keys of a body.
const KEYS: [&str; 8] = ["request", "rows", "columns", "id", "ids", "score", "top", "explain"];

/// The field that is a candidate's id where the body says nothing else.
const ID: &str = "id";

/// Names of ignored fields that are kept, and the most characters of one.
const IGNORED: usize = 16;
const IGNORED_CHARACTERS: usize = 100;

/// A parsed body.
#[derive(Debug, Clone, Default)]
pub struct RankRequest<'de> {
    /// By column of the model: the value that all candidates share.
    pub(crate) request: Vec<Option<Cell<'de>>>,
    /// By column of the model: a value of each candidate. A shorter one is null from there on.
    pub(crate) columns: Vec<Option<Vec<Cell<'de>>>>,
    /// Number of candidates.
    pub(crate) candidates: usize,
    /// Of each candidate; a shorter list is null from there on.
    pub(crate) ids: Vec<Cell<'de>>,
    /// Exponents of the score that are not the model's own.
    pub(crate) score: Option<BTreeMap<String, f64>>,
    /// How many candidates are answered.
    pub(crate) top: Option<usize>,
    /// Whether each ranked candidate is explained.
    pub(crate) explain: bool,
    /// Fields that are no columns of the model, the first of them.
    pub(crate) ignored: Vec<String>,
}

impl<'de> RankRequest<'de> {
    /// Parses a body for a model with these columns, of at most `most` candidates.
    ///
    /// # Errors
    /// 400 for what is no JSON or of another form, 413 for more candidates.
    pub fn parse(body: &'de [u8], columns: &Columns, most: usize) -> Result<Self, Refusal> {
        // Once for the whole body: its texts are then taken as they are.
        let body = std::str::from_utf8(body).map_err(|error| not_utf8(body, error.valid_up_to()))?;
        let (mut state, again) = State::read(body, columns, most, Cow::Borrowed(ID))?;
        if again {
            // `id` came behind the candidates: now that it is known, they are read once more.
            let id = std::mem::replace(&mut state.id, Cow::Borrowed(ID));
            state = State::read(body, columns, most, id)?.0;
        }
        state.finish()
    }

    /// Parses the keys of a body whose candidates come in another form, and gives the field that is a candidate's id.
    pub(crate) fn told(text: &'de str, columns: &Columns) -> Result<(RankRequest<'static>, String), Refusal> {
        let (state, _) = State::read(text, columns, 0, Cow::Borrowed(ID))?;
        if let Some(key) = state.keys.iter().find(|key| ["rows", "columns", "ids"].contains(*key)) {
            let place = Place { field: Some((*key).to_owned()), ..Place::default() };
            let message = format!("the metadata has {key:?}");
            return Err(Refusal::new(400, "bad_request", message, "give candidates as rows of the batches").at(place));
        }
        let RankRequest { request, score, top, explain, ignored, .. } = state.found;
        let request = request.into_iter().map(|cell| cell.map(owned)).collect::<Vec<_>>();
        let columns = vec![None; request.len()];
        let told = RankRequest { request, columns, score, top, explain, ignored, ..RankRequest::default() };
        Ok((told, state.id.into_owned()))
    }

    /// Number of candidates.
    #[must_use]
    pub fn candidates(&self) -> usize {
        self.candidates
    }
}

/// What is read so far.
pub(super) struct State<'c, 'de> {
    known: &'c Columns,
    most: usize,
    found: RankRequest<'de>,
    /// The field that is a candidate's id.
    id: Cow<'de, str>,
    has_id: bool,
    has_ids: bool,
    keys: Vec<&'static str>,
    /// Whether candidates were read for another `id`.
    again: bool,
    /// Where it went wrong.
    candidate: Option<usize>,
    field: Option<String>,
    too_many: bool,
    /// What the fields of the row before were, in their order: rows are mostly written alike.
    order: Vec<(Cow<'de, str>, Target)>,
}

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Target {
    column: Option<usize>,
    is_id: bool,
}

impl<'c, 'de> State<'c, 'de> {
    fn read(body: &'de str, known: &'c Columns, most: usize, id: Cow<'de, str>) -> Result<(Self, bool), Refusal> {
        let width = known.names.len();
        let found = RankRequest { request: vec![None; width], columns: vec![None; width], ..RankRequest::default() };
        let mut state = Self {
            known,
            most,
            found,
            id,
            has_id: false,
            has_ids: false,
            keys: Vec::new(),
            again: false,
            candidate: None,
            field: None,
            too_many: false,
            order: Vec::new(),
        };
        let mut json = serde_json::Deserializer::from_str(body);
        let read = (&mut json).deserialize_map(Body(&mut state)).and_then(|()| json.end());
        match read {
            Ok(()) => {
                let again = state.again;
                Ok((state, again))
            }
            Err(error) => Err(state.refusal(&error)),
        }
    }

    fn refusal(self, error: &serde_json::Error) -> Refusal {
        use serde_json::error::Category;
        let text = error.to_string();
        let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
        let place = Place {
            candidate: self.candidate,
            field: self.field,
            line: (error.line() > 0).then_some(error.line()),
            column: (error.column() > 0).then_some(error.column()),
        };
        let stands = match (&place.candidate, &place.field) {
            (Some(at), Some(field)) => format!("candidate {at}, field {field:?}: "),
            (Some(at), None) => format!("candidate {at}: "),
            (None, Some(field)) => format!("{field:?}: "),
            (None, None) => String::new(),
        };
        let message = format!("{stands}{message}");
        if self.too_many {
            return Refusal::new(413, "too_many_candidates", message, "send fewer, in several requests").at(place);
        }
        match error.classify() {
            Category::Data => Refusal::new(400, "bad_request", message, "see /v1/openapi.json for the form").at(place),
            _ => Refusal::new(400, "malformed_json", message, "send one JSON object in UTF-8").at(place),
        }
    }

    /// Whose error it is: noted once, where it arises.
    fn at<E>(&mut self, candidate: Option<usize>, field: &str, error: E) -> E {
        if self.field.is_none() {
            self.field = Some(clipped(field));
            self.candidate = self.candidate.or(candidate);
        }
        error
    }

    /// The same of a key of the body, within which a candidate may be at fault.
    fn at_key<E>(&mut self, key: &str, error: E) -> E {
        if self.candidate.is_none() { self.at(None, key, error) } else { error }
    }

    fn target(&mut self, key: &str) -> Target {
        let target = Target { column: self.known.by_name.get(key).copied(), is_id: !self.has_ids && key == &*self.id };
        if target == (Target { column: None, is_id: false }) && self.found.ignored.len() < IGNORED {
            let name = clipped(key);
            if !self.found.ignored.contains(&name) {
                self.found.ignored.push(name);
            }
        }
        target
    }

    /// The target of field number `at` of a row.
    fn target_of(&mut self, at: usize, Text(key): &Text<'de>) -> Target {
        match self.order.get(at) {
            Some((same, target)) if same == key => *target,
            _ => {
                let target = self.target(key);
                if at == self.order.len() && at < 4 * KEYS.len() + 4 * self.known.names.len() {
                    self.order.push((key.clone(), target));
                }
                target
            }
        }
    }

    /// Takes a value of candidate `row`.
    fn take<E: serde::de::Error>(&mut self, row: usize, target: Target, cell: Cell<'de>) -> Result<(), E> {
        let twice = || E::custom("stands twice in one candidate; give it once");
        if target.is_id {
            if !matches!(cell, Cell::Text(_) | Cell::Int(_) | Cell::UInt(_) | Cell::Null) {
                return Err(E::custom("an id is a text or a whole number"));
            }
            if self.found.ids.len() > row {
                return Err(twice());
            }
            self.found.ids.resize(row, Cell::Null);
            self.found.ids.push(cell.clone());
        }
        if let Some(column) = target.column {
            let cells = self.found.columns[column].get_or_insert_default();
            if cells.len() > row {
                return Err(twice());
            }
            cells.resize(row, Cell::Null);
            cells.push(cell);
        }
        Ok(())
    }

    fn check_many<E: serde::de::Error>(&mut self, row: usize) -> Result<(), E> {
        if row < self.most {
            return Ok(());
        }
        self.too_many = true;
        Err(E::custom(format!("more than {} candidates", self.most)))
    }

    fn finish(mut self) -> Result<RankRequest<'de>, Refusal> {
        let bad = |field: &str, message: String, advice: &str| {
            let place = Place { field: Some(field.to_owned()), ..Place::default() };
            Err(Refusal::new(400, "bad_request", message, advice).at(place))
        };
        match (self.keys.contains(&"rows"), self.keys.contains(&"columns")) {
            (true, false) | (false, true) => {}
            (true, true) => {
                return bad("columns", "candidates stand in `rows` and in `columns`".to_owned(), "give one of both");
            }
            (false, false) => {
                let advice = "give \"rows\": [{..}, ..] or \"columns\": {\"name\": [..]}";
                return bad("rows", "there are no candidates".to_owned(), advice);
            }
        }
        if self.has_id && self.has_ids {
            return bad("ids", "both `id` and `ids` are given".to_owned(), "give one of both");
        }
        if self.has_ids && self.found.ids.len() != self.found.candidates {
            let message = format!("{} ids for {} candidates", self.found.ids.len(), self.found.candidates);
            return bad("ids", message, "give one id for each candidate, in their order");
        }
        for (at, name) in self.known.names.iter().enumerate() {
            if self.found.request[at].is_some() && self.found.columns[at].is_some() {
                let message = format!("field {name:?} stands in `request` and in the candidates");
                return bad(name, message, "give it in one of both");
            }
        }
        self.found.ignored.sort();
        Ok(self.found)
    }
}

/// The refusal of a body whose byte `at` begins no character.
fn not_utf8(body: &[u8], at: usize) -> Refusal {
    let before = &body[..at];
    let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|&&byte| byte != b'\n').count();
    let place = Place { line: Some(line), column: Some(column), ..Place::default() };
    Refusal::new(400, "malformed_json", "the body is not UTF-8", "send one JSON object in UTF-8").at(place)
}

/// The same without what it borrows.
fn owned(cell: Cell<'_>) -> Cell<'static> {
    match cell {
        Cell::Null => Cell::Null,
        Cell::Bool(value) => Cell::Bool(value),
        Cell::Int(value) => Cell::Int(value),
        Cell::UInt(value) => Cell::UInt(value),
        Cell::Float(value) => Cell::Float(value),
        Cell::Text(text) => Cell::Text(Cow::Owned(text.into_owned())),
        Cell::List(items) => Cell::List(items.into_iter().map(owned).collect()),
    }
}

/// The first of these names, in their order and shortened, as an answer has fields that the model does not read.
pub(crate) fn ignored<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().take(IGNORED).map(clipped).collect();
    names.sort();
    names.dedup();
    names
}

fn clipped(text: &str) -> String {
    text.chars().take(IGNORED_CHARACTERS).collect()
}

/// The whole body.
struct Body<'s, 'c, 'de>(&'s mut State<'c, 'de>);

impl<'de> Visitor<'de> for Body<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with \"rows\" or \"columns\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let state = self.0;
        while let Some(Text(key)) = map.next_key()? {
            let Some(&key) = KEYS.iter().find(|&&known| known == key) else {
                let hint = nearest(&key, KEYS).map(|near| format!("did you mean `{near}`?"));
                let hint = hint.unwrap_or_else(|| format!("there are {}", KEYS.join(", ")));
                let error = A::Error::custom(format!("unknown key; {hint}"));
                return Err(state.at_key(&key, error));
            };
            if state.keys.contains(&key) {
                return Err(state.at_key(key, A::Error::custom("stands twice; give it once")));
            }
            state.keys.push(key);
            let read = match key {
                "request" => map.next_value_seed(Request(state)),
                "rows" => map.next_value_seed(Rows(state)),
                "columns" => map.next_value_seed(Lists(state)),
                "ids" => map.next_value_seed(Ids(state)),
                "id" => map.next_value::<Text<'de>>().map(|Text(id)| {
                    let candidates = state.keys.contains(&"rows") || state.keys.contains(&"columns");
                    state.again = candidates && id != state.id;
                    (state.id, state.has_id) = (id, true);
                }),
                "score" => map.next_value().map(|score| state.found.score = score),
                "explain" => {
                    map.next_value::<Option<bool>>().map(|explain| state.found.explain = explain == Some(true))
                }
                _ => map.next_value::<Option<u64>>().and_then(|top| match top {
                    Some(0) => Err(A::Error::custom("must be 1 or more")),
                    top => {
                        state.found.top = top.map(|top| usize::try_from(top).unwrap_or(usize::MAX));
                        Ok(())
                    }
                }),
            };
            read.map_err(|error| state.at_key(key, error))?;
        }
        Ok(())
    }
}

/// Seeds that read into the state.
macro_rules! into_state {
    ($name:ident, $read:ident) => {
        pub(super) struct $name<'s, 'c, 'de>(pub(super) &'s mut State<'c, 'de>);
        impl<'de> DeserializeSeed<'de> for $name<'_, '_, 'de> {
            type Value = ();
            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.$read(self)
            }
        }
    };
}
use into_state;

into_state!(Request, deserialize_map);

impl<'de> Visitor<'de> for Request<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of fields that all candidates share")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let state = self.0;
        while let Some(Text(key)) = map.next_key()? {
            match state.target(&key).column {
                None => map.next_value::<IgnoredAny>().map(|_| ())?,
                Some(column) => {
                    let cell = map.next_value_seed(CELL).map_err(|error| state.at(None, &key, error))?;
                    if state.found.request[column].replace(cell).is_some() {
                        return Err(state.at(None, &key, A::Error::custom("stands twice in `request`; give it once")));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
