//! The candidates of a body: `rows`, `columns` and `ids`.

use std::borrow::Cow;
use std::fmt;

use pleiad_rank::cells::Cell;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{State, Target, into_state};
use crate::value::{CELL, Text};

into_state!(Rows, deserialize_seq);
into_state!(Lists, deserialize_map);
into_state!(Ids, deserialize_seq);

impl<'de> Visitor<'de> for Rows<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of candidates, an object each")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        let state = self.0;
        let mut row = 0;
        while rows
            .next_element_seed(Row { state: &mut *state, row })
            .inspect_err(|_| {
                // Whatever is wrong, it is so in this candidate.
                state.candidate = state.candidate.or(Some(row));
            })?
            .is_some()
        {
            row += 1;
        }
        state.found.candidates = row;
        Ok(())
    }
}

/// One candidate.
struct Row<'s, 'c, 'de> {
    state: &'s mut State<'c, 'de>,
    row: usize,
}

impl<'de> DeserializeSeed<'de> for Row<'_, '_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.state.check_many(self.row)?;
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a candidate, an object of its fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { state, row } = self;
        let mut at = 0;
        while let Some(key) = map.next_key()? {
            let target = state.target_of(at, &key);
            let Text(key) = key;
            at += 1;
            if target == (Target { column: None, is_id: false }) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let cell = map.next_value_seed(CELL).map_err(|error| state.at(Some(row), &key, error))?;
            state.take(row, target, cell).map_err(|error| state.at(Some(row), &key, error))?;
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Lists<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of lists, a value of each candidate in each")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let state = self.0;
        let mut first: Option<(Cow<'de, str>, usize)> = None;
        while let Some(Text(key)) = map.next_key()? {
            let target = state.target(&key);
            let list = List { state, target };
            let length = map.next_value_seed(list).map_err(|error| state.at(None, &key, error))?;
            match &first {
                Some((other, rows)) if *rows != length => {
                    let problem = format!(
                        "{length} values where {other:?} has {rows}; give every list a value of each candidate"
                    );
                    return Err(state.at(None, &key, A::Error::custom(problem)));
                }
                Some(_) => {}
                None => first = Some((key, length)),
            }
        }
        state.found.candidates = first.map_or(0, |(_, rows)| rows);
        Ok(())
    }
}

/// One field of all candidates; gives their number.
struct List<'s, 'c, 'de> {
    state: &'s mut State<'c, 'de>,
    target: Target,
}

impl<'de> DeserializeSeed<'de> for List<'_, '_, 'de> {
    type Value = usize;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_, 'de> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list with a value of each candidate")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<usize, A::Error> {
        let Self { state, target } = self;
        let mut row = 0;
        if target == (Target { column: None, is_id: false }) {
            while list.next_element::<IgnoredAny>()?.is_some() {
                state.check_many(row)?;
                row += 1;
            }
            return Ok(row);
        }
        loop {
            let cell = list.next_element_seed(CELL).inspect_err(|_| {
                state.candidate = state.candidate.or(Some(row));
            })?;
            let Some(cell) = cell else { return Ok(row) };
            state.check_many(row)?;
            state.take(row, target, cell)?;
            row += 1;
        }
    }
}

impl<'de> Visitor<'de> for Ids<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list with an id of each candidate")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let state = self.0;
        // A field `id` of the candidates is none then.
        state.has_ids = true;
        let mut ids = Vec::new();
        while let Some(cell) = list.next_element_seed(CELL)? {
            state.check_many(ids.len())?;
            if !matches!(cell, Cell::Text(_) | Cell::Int(_) | Cell::UInt(_) | Cell::Null) {
                return Err(A::Error::custom("an id is a text or a whole number"));
            }
            ids.push(cell);
        }
        state.found.ids = ids;
        Ok(())
    }
}
