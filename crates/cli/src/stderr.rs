//! Standard error: the one place of the program that writes there.
//!
//! Messages are no result. A message that cannot be written (the reader has closed the pipe, the disk is full) is lost, and
//! the work goes on.

use std::io::{self, Write};
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use crate::paint::{Tone, paint, paints};
use crate::terminal;

/// How messages are written. One for the whole process, as standard error is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    /// No notes and no progress; warnings and errors stay.
    pub(crate) quiet: bool,
    /// A JSON object a line.
    pub(crate) json: bool,
}

static MANNER: OnceLock<Manner> = OnceLock::new();

/// Sets how messages are written; the first call counts.
pub(crate) fn set(manner: Manner) {
    let _ = MANNER.set(manner);
}

/// Whether progress is not to be shown.
pub(crate) fn is_quiet() -> bool {
    manner().quiet
}

/// Width of the terminal that shows messages; `None` in a pipe.
pub(crate) fn width() -> Option<usize> {
    terminal::width_of(io::stderr())
}

/// What happens, for those who watch.
pub(crate) fn note(text: &str) {
    match manner() {
        Manner { quiet: true, .. } => {}
        Manner { json: true, .. } => object("note", json!({ "message": text })),
        Manner { json: false, .. } => line(text),
    }
}

/// What a reader of the results must know.
pub(crate) fn warning(text: &str) {
    if manner().json {
        object("warning", json!({ "message": text }));
    } else {
        line(&format!("{} {text}", paint("warning:", Tone::Warning, paints(&io::stderr()))));
    }
}

/// Why the process ends, with what is known of where.
pub(crate) fn failure(kind: &str, code: u8, message: &str, details: &Map<String, Value>) {
    if manner().json {
        let mut all = Map::from_iter([
            ("kind".to_owned(), json!(kind)),
            ("code".to_owned(), json!(code)),
            ("message".to_owned(), json!(message)),
        ]);
        all.extend(details.iter().map(|(key, value)| (key.clone(), value.clone())));
        object("error", Value::Object(all));
    } else {
        let word = if kind == "interrupted" { "interrupted:" } else { "error:" };
        line(&format!("{} {message}", paint(word, Tone::Bad, paints(&io::stderr()))));
    }
}

fn manner() -> Manner {
    MANNER.get().copied().unwrap_or_default()
}

fn object(name: &str, value: Value) {
    line(&Value::Object(Map::from_iter([(name.to_owned(), value)])).to_string());
}

/// Whole lines at once, so that those of other processes do not come between.
fn line(text: &str) {
    let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}
