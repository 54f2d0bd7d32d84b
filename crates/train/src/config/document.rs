//! [`Document`]: a configuration as it was written, with the place of every key and value.
//!
//! The TOML text becomes a tree. Each node has its place in the file, and a node that `--set` changed is marked as such.
//! Every later error, of serde or of a check of ours, is traced to a node, so that the message has file, line, column and the
//! line itself.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::explain::{self, Complaint};
use super::models;
use super::source::ConfigText;
use super::tree::{PathStep, assign, child, dotted, insert, parse_path_spanned, rename, replace, shift, walk};
use crate::error::{ConfigError, Place};

/// What no configuration holds: the mark of a change by which serde is asked again.
const MARK: &str = "\u{1}";

/// Gives serde's message for a tree; `None` if it has no complaint.
pub(crate) type Retry<'r, 's> = dyn Fn(Spanned<DeValue<'s>>) -> Option<String> + 'r;

/// Changes the node at a path and gives the message that serde must then have if the node is the culprit.
type Change<'c, 's> = dyn Fn(&mut Spanned<DeValue<'s>>, &[PathStep]) -> Says + 'c;

/// What serde says of a changed tree.
enum Says {
    /// This message.
    Message(String),
    /// That [`MARK`] has the wrong type, where this was expected, or whatever it was.
    WrongType(Option<String>),
}

/// A node that serde may complain of.
struct Candidate {
    path: Vec<PathStep>,
    key: Option<Range<usize>>,
    value: Range<usize>,
}

/// A parsed configuration: the tree over its source.
#[derive(Debug)]
pub(crate) struct Document<'s> {
    source: &'s ConfigText,
    root: Spanned<DeValue<'s>>,
}

impl<'s> Document<'s> {
    /// Parses the file's text and applies every `--set KEY=VALUE` to it, in order.
    ///
    /// # Errors
    /// Text that is not TOML (a key given twice among it), and a `--set` that names no place in the tree.
    pub(crate) fn parse(source: &'s ConfigText) -> Result<Self, ConfigError> {
        let table = DeTable::parse(&source.text)
            .map_err(|e| source.error(e.span(), format!("not valid TOML: {}", e.message())))?;
        let root = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
        let mut document = Self { source, root };
        for (span, set) in source.sets() {
            document.set(set, &span).map_err(|message| source.error(Some(span), message))?;
        }
        Ok(document)
    }

    fn set(&mut self, set: &'s str, span: &Range<usize>) -> Result<(), String> {
        let (key, value) = split_assignment(set).ok_or("expected KEY=VALUE, such as train.epochs=3")?;
        let at = |range: Range<usize>| span.start + range.start..span.start + range.end;
        let path: Vec<(PathStep, Range<usize>)> =
            parse_path_spanned(key)?.into_iter().map(|(step, range)| (step, at(range))).collect();
        let text = value.trim();
        let start = set.len() - value.trim_start().len();
        let mut value = match DeValue::parse(text) {
            Ok(value) => value,
            Err(e) if text.starts_with(['{', '[', '"', '\'']) => {
                return Err(format!("the value is not valid TOML: {}", e.message()));
            }
            // Text may stand without quotes.
            Err(_) => Spanned::new(0..text.len(), DeValue::String(text.into())),
        };
        // Every node has a place of its own in the --set, so that a complaint finds its way back to it.
        shift(&mut value, span.start + start);
        assign(&mut self.root, &path, value, span.end)
    }

    /// The tree, for serde.
    pub(crate) fn root(&self) -> &Spanned<DeValue<'s>> {
        &self.root
    }

    /// The node at a path, or the deepest node on the way to it.
    pub(crate) fn span(&self, path: &[PathStep]) -> Option<Range<usize>> {
        let mut node = &self.root;
        let mut span = None;
        for step in path {
            let Some((key, next)) = child(node, step) else { break };
            // A table's own span is that of its header or braces; the key says better what is meant, unless the key stands
            // in the file and a --set has changed what it holds.
            let says_more = |key: &Range<usize>| {
                next.get_ref().is_table() && self.source.is_set(key) == self.source.is_set(&next.span())
            };
            span = Some(key.filter(says_more).unwrap_or_else(|| next.span()));
            node = next;
        }
        span
    }

    /// An error at a path (`["train", "epochs"]`), whose message names the path.
    pub(crate) fn error(&self, path: &[PathStep], message: impl std::fmt::Display) -> ConfigError {
        let name = if path.is_empty() { String::new() } else { format!("{}: ", dotted(path)) };
        let key = (!path.is_empty()).then(|| dotted(path));
        ConfigError { key, ..self.source.error(self.span(path), format!("{name}{message}")) }
    }

    /// An error about the key at a path, which stands at `span`.
    fn error_at(&self, path: &[PathStep], span: Range<usize>, message: String) -> ConfigError {
        ConfigError { key: Some(dotted(path)), ..self.source.error(Some(span), message) }
    }

    /// Where a string stands that equals `value`, the first in the order of the text.
    pub(crate) fn find_string(&self, value: &str) -> Option<Place> {
        let mut found: Vec<Range<usize>> = Vec::new();
        walk(&self.root, &mut |_, _, node| {
            if node.get_ref().as_str() == Some(value) {
                found.push(node.span());
            }
        });
        found.into_iter().min_by_key(|span| span.start).map(|span| self.source.place(&span))
    }

    /// Leads an error of serde back to the node that it is about and says it in the words of a configuration.
    ///
    /// `retry` gives serde's message for a changed tree: see [`Document::which`].
    pub(crate) fn explain(&self, error: &toml::de::Error, retry: &Retry<'_, 's>) -> ConfigError {
        let span = error.span().unwrap_or_else(|| self.root.span());
        let under = self.path_of(&span);
        // A model is read from a buffered table, so that serde's error has the place of the whole table. Read by itself, the
        // table gives the model's own error.
        let model = models::table_of(&under).filter(|model| self.node(model).is_some_and(|node| node.span() == span));
        let refused = model.and_then(|model| Some((model, models::refusal(self.node(model)?)?)));
        let Some((model, refusal)) = refused else {
            return self.explain_at(under.clone(), span, error.message(), retry);
        };
        let path: Vec<PathStep> = model.iter().cloned().chain(refusal.key.clone()).collect();
        let span = if refusal.key.is_empty() { span } else { self.span(&path).unwrap_or(span) };
        self.explain_at(path, span, &refusal.message, &|root| {
            let changed = models::refusal(node_at(&root, model)?)?;
            (changed.key == refusal.key).then_some(changed.message)
        })
    }

    /// As [`Document::explain`], of a message about the node at `under`, which stands at `span`, or one below it.
    fn explain_at(
        &self,
        under: Vec<PathStep>,
        span: Range<usize>,
        message: &str,
        retry: &Retry<'_, 's>,
    ) -> ConfigError {
        // Exact places come with a span; for the rest serde is asked again with the candidates changed.
        let which = |candidates: Vec<Candidate>, change: &Change<'_, 's>| self.which(candidates, change, retry);
        match explain::read(message) {
            Complaint::UnknownKey { key, known } => {
                let renamed = format!("{key}{MARK}");
                let candidates =
                    self.candidates(&under, &|path, _| path.last() == Some(&PathStep::Key(key.to_owned())));
                let expected = message.replacen(&format!("`{key}`"), &format!("`{renamed}`"), 1);
                let at = which(candidates, &|root, path| {
                    rename(root, path, &renamed);
                    Says::Message(expected.clone())
                });
                // serde's span may be that of a value which --set made together with the key, deeper than the key.
                let at_key = |path: Vec<PathStep>| {
                    let key = path.iter().rposition(|step| *step == PathStep::Key(key.to_owned()));
                    path[..key.map_or(path.len(), |key| key + 1)].to_vec()
                };
                let (path, span) = at.map_or_else(|| (at_key(under), span), |at| (at.path, at.key.unwrap_or(at.value)));
                let table = &path[..path.len().saturating_sub(1)];
                let place = if table.is_empty() { String::new() } else { format!(" in {}", dotted(table)) };
                let suggestion = explain::suggest_key(key, &known);
                let by_set = self.kind_by_set(table, &span);
                self.error_at(&path, span, format!("unknown key `{key}`{place}{by_set}{suggestion}"))
            }
            Complaint::MissingKey { key } if under.is_empty() => {
                ConfigError { key: Some(key.to_owned()), ..self.source.error(None, format!("there is no [{key}]")) }
            }
            Complaint::MissingKey { key } => {
                // Given the key with a value of a type that no key takes, the table at fault complains of that.
                let lacks = |node: &DeValue<'_>| node.as_table().is_some_and(|table| !table.contains_key(key));
                let candidates = self.candidates(&under, &|_, node| lacks(node));
                let at = which(candidates, &|root, path| {
                    insert(root, path, key, MARK);
                    Says::WrongType(None)
                });
                let (path, span) = at.map_or((under, span), |at| (at.path, at.value));
                let missing: Vec<PathStep> = path.iter().cloned().chain([PathStep::from(key)]).collect();
                let by_set = self.kind_by_set(&path, &span);
                let kinds = if key == "kind" { self.kinds(&path, retry) } else { String::new() };
                self.error_at(&missing, span, format!("missing key `{key}` in {}{by_set}{kinds}", dotted(&path)))
            }
            Complaint::UnknownWord { word, known } => {
                let candidates = self.candidates(&under, &|_, node| node.as_str() == Some(word));
                let marked = format!("{word}{MARK}");
                let at = which(candidates, &|root, path| {
                    replace(root, path, DeValue::String(marked.clone().into()));
                    Says::Message(message.replacen(&format!("`{word}`"), &format!("`{marked}`"), 1))
                });
                let (path, span) = at.map_or((under, span), |at| (at.path, at.value));
                let suggestion = explain::suggest_word(word, &known);
                self.error_at(&path, span, format!("{}: unknown value `{word}`{suggestion}", dotted(&path)))
            }
            Complaint::WrongValue { found, expected } => {
                let candidates = self.candidates(&under, &|_, node| explain::is_found(node, found));
                // A text is of the wrong type nearly everywhere, so that serde would complain of it; where a text itself is
                // wrong, another one is.
                let is_text = found.starts_with("string ");
                let at = which(candidates, &|root, path| match explain::another(found).filter(|_| is_text) {
                    Some((value, words)) => {
                        replace(root, path, value);
                        Says::Message(message.replacen(found, &words, 1))
                    }
                    None => {
                        replace(root, path, DeValue::String(MARK.into()));
                        Says::WrongType(Some(expected.to_owned()))
                    }
                });
                let (path, span) = at.map_or((under, span), |at| (at.path, at.value));
                let expected = explain::expected(expected, found);
                let found = match self.node(&path).map(Spanned::get_ref) {
                    Some(date @ DeValue::Datetime(_)) => explain::value(date),
                    _ => explain::plain(found),
                };
                self.error_at(&path, span, format!("{}: expected {expected}, found {found}", dotted(&path)))
            }
            Complaint::WrongLength { found, expected } => {
                let is_long = |node: &DeValue<'_>| node.as_array().is_some_and(|list| list.len().to_string() == found);
                let candidates = self.candidates(&under, &|_, node| is_long(node));
                let at = which(candidates, &|root, path| {
                    replace(root, path, DeValue::String(MARK.into()));
                    Says::WrongType(Some(expected.to_owned()))
                });
                let (path, span) = at.map_or((under, span), |at| (at.path, at.value));
                let expected = explain::plain(expected);
                self.error_at(&path, span, format!("{}: expected {expected}, found {found}", dotted(&path)))
            }
            Complaint::NoWord => {
                let found = self
                    .node(&under)
                    .map_or_else(String::new, |node| format!(", found {}", explain::value(node.get_ref())));
                self.error_at(&under, span, format!("{}: expected a text in quotes{found}", dotted(&under)))
            }
            Complaint::Other(message) if under.is_empty() => self.source.error(None, explain::sentence(message)),
            Complaint::Other(message) => {
                // Nodes that one --set made share a place: of those the text without which the message is another one.
                let is_there = |node: &Candidate| node.value == span;
                let mut texts = self.candidates(&[], &|_, node| node.is_str());
                texts.retain(is_there);
                let at = texts.into_iter().find(|candidate| {
                    let mut root = self.root.clone();
                    replace(&mut root, &candidate.path, DeValue::String(MARK.into()));
                    retry(root).is_none_or(|other| !other.contains(message))
                });
                let path = at.map_or(under, |at| at.path);
                self.error_at(&path, span, format!("{}: {}", dotted(&path), explain::sentence(message)))
            }
        }
    }

    /// A --set that chose the `kind` of a table, where a line of the file does not fit that kind.
    fn kind_by_set(&self, table: &[PathStep], blamed: &Range<usize>) -> String {
        let kind: Vec<PathStep> = table.iter().cloned().chain([PathStep::from("kind")]).collect();
        let found = self.node(&kind).filter(|kind| self.source.is_set(&kind.span()) && !self.source.is_set(blamed));
        match found.map(|kind| self.source.place(&kind.span())) {
            Some(Place::Set(set)) => format!(" (whose kind --set {set} has changed)"),
            _ => String::new(),
        }
    }

    /// The node at a path.
    pub(crate) fn node(&self, path: &[PathStep]) -> Option<&Spanned<DeValue<'s>>> {
        node_at(&self.root, path)
    }

    /// Nodes at or below a path that may be the one that serde complains of.
    fn candidates(&self, under: &[PathStep], may_be: &dyn Fn(&[PathStep], &DeValue<'_>) -> bool) -> Vec<Candidate> {
        let mut found = Vec::new();
        walk(&self.root, &mut |path, key, node| {
            if path.starts_with(under) && may_be(path, node.get_ref()) {
                found.push(Candidate { path: path.to_vec(), key: key.cloned(), value: node.span() });
            }
        });
        found
    }

    /// Which candidate it is. What serde had to buffer (a model's keys depend on its kind) comes back with the place of
    /// the whole table, and its message may fit several nodes. So each is changed in turn, in a way that serde would
    /// have to mention: `change` does that and gives the message to expect.
    fn which(&self, candidates: Vec<Candidate>, change: &Change<'_, 's>, retry: &Retry<'_, 's>) -> Option<Candidate> {
        if candidates.len() == 1 {
            return candidates.into_iter().next();
        }
        candidates.into_iter().find(|candidate| {
            let mut root = self.root.clone();
            let says = change(&mut root, &candidate.path);
            retry(root).is_some_and(|message| match says {
                Says::Message(expected) => message == expected,
                Says::WrongType(expected) => explain::complains_of_type(&message, MARK, expected.as_deref()),
            })
        })
    }

    /// Which kinds the table at `path`, which has none, may have: serde says so where it is given one that there is not.
    fn kinds(&self, path: &[PathStep], retry: &Retry<'_, 's>) -> String {
        let mut root = self.root.clone();
        insert(&mut root, path, "kind", MARK);
        let message = retry(root).unwrap_or_default();
        match explain::read(&message) {
            Complaint::UnknownWord { word: MARK, known } if !known.is_empty() => {
                format!("; it is one of `{}`", known.join("`, `"))
            }
            _ => String::new(),
        }
    }

    /// The path of the node, or of the key, that stands at `span`; the deepest, for a table that a --set makes shares
    /// its span with the value inside.
    fn path_of(&self, span: &Range<usize>) -> Vec<PathStep> {
        let mut found = Vec::new();
        walk(&self.root, &mut |path, key, node| {
            if node.span() == *span || key == Some(span) {
                found = path.to_vec();
            }
        });
        found
    }
}

/// The node of a tree at a path.
fn node_at<'t, 's>(root: &'t Spanned<DeValue<'s>>, path: &[PathStep]) -> Option<&'t Spanned<DeValue<'s>>> {
    path.iter().try_fold(root, |node, step| child(node, step).map(|(_, next)| next))
}

/// Splits at the first `=` outside of quotes.
fn split_assignment(set: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    for (i, c) in set.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '=' if !quoted => return Some((&set[..i], &set[i + 1..])),
            _ => {}
        }
    }
    None
}
