//! [`Audit`]: who changed what is served, a line of JSON each.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::log::Log;

/// Who asks: the name of a token, where one is needed, and an address.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) token: Option<String>,
    pub(crate) peer: SocketAddr,
}

/// A change of a model.
pub(crate) struct ModelChange<'a> {
    pub(crate) model: &'a str,
    /// `score`, `reload`, `rollback` or `unload`.
    pub(crate) what: &'static str,
    pub(crate) from: Value,
    pub(crate) to: Value,
}

/// A file to which changes are appended.
#[derive(Debug, Default)]
pub(crate) struct Audit(Option<Mutex<File>>);

impl Audit {
    /// Appends to this file; to none without one.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|source| Error::Audit { path: path.to_owned(), source })?;
        Ok(Self(Some(Mutex::new(file))))
    }

    /// Writes a change down; `who` is missing where a version was taken because its files changed.
    pub(crate) fn write(&self, who: Option<&Asker>, change: ModelChange<'_>, log: &dyn Log) {
        let Some(file) = &self.0 else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let line = json!({
            "milliseconds": u64::try_from(now).unwrap_or(u64::MAX),
            "who": who.map_or(Some("watch"), |who| who.token.as_deref()),
            "address": who.map(|who| who.peer.ip().to_canonical().to_string()),
            "model": change.model,
            "what": change.what,
            "from": change.from,
            "to": change.to,
        });
        // A line is written at once, so that lines of several writers do not mix.
        let line = format!("{line}\n");
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes()).and_then(|()| file.sync_data()) {
            log.warn(&format!("the audit cannot be written: {error}; the change was {}", line.trim_end()));
        }
    }
}
