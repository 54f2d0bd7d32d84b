//! A file of routes, with the line and the column of what is wrong in it.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::form::{Problem, RouteForm, Step, plain, problem};
use crate::error::{Error, FilePlace, Result};

/// The longest file.
const MOST_BYTES: u64 = 1 << 20;

/// What a file holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forms {
    #[serde(default)]
    route: Vec<RouteForm>,
}

/// A file of routes as it was read.
#[derive(Debug)]
pub(crate) struct RoutesFile {
    path: PathBuf,
    text: String,
    pub(crate) forms: Vec<RouteForm>,
}

impl RoutesFile {
    /// Reads the routes of a server with these models.
    ///
    /// # Errors
    /// [`Error::Routes`] for a file that cannot be read, that is no TOML, or whose routes cannot be served.
    pub(crate) fn read(path: &Path, models: &[&str]) -> Result<Self> {
        let fail = |reason: String| Error::Routes { path: path.to_owned(), place: None, reason };
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
        read.map_err(|error| fail(format!("cannot be read: {error}")))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(fail(format!("is longer than {MOST_BYTES} bytes")));
        }
        let text = String::from_utf8(bytes).map_err(|error| fail(format!("is not UTF-8: {error}")))?;
        Self::parse(path, text, models)
    }

    /// As [`Self::read`], of the text of a file.
    pub(super) fn parse(path: &Path, text: String, models: &[&str]) -> Result<Self> {
        let mut file = Self { path: path.to_owned(), text, forms: Vec::new() };
        match toml::from_str::<Forms>(&file.text) {
            Ok(forms) => file.forms = forms.route,
            Err(error) => return Err(file.at(error.span(), plain(error.message()))),
        }
        if file.forms.is_empty() {
            return Err(file.at(None, "there is no [[route]]".to_owned()));
        }
        let mut names: Vec<&str> = Vec::new();
        for (at, form) in file.forms.iter().enumerate() {
            let twice = names.contains(&form.name.as_str());
            let found = match twice {
                true => problem!(["name"], "there is another route {:?}; take another name", form.name),
                false => form.check(models),
            };
            found.map_err(|problem| file.error(at, &problem))?;
            names.push(&form.name);
        }
        Ok(file)
    }

    /// What is wrong with route number `at`.
    pub(crate) fn error(&self, at: usize, problem: &Problem) -> Error {
        let path: Vec<Step> = [Step::from("route"), Step::from(at)].into_iter().chain(problem.path.clone()).collect();
        let span = DeTable::parse(&self.text).ok().and_then(|table| span_of(&table, &path));
        let whole = Problem { path, message: problem.message.clone() };
        self.at(span, whole.to_string())
    }

    fn at(&self, span: Option<Range<usize>>, reason: String) -> Error {
        Error::Routes { path: self.path.clone(), place: span.map(|span| FilePlace::of(&self.text, &span)), reason }
    }
}

/// Where the value at a path stands, or the deepest one on the way to it.
fn span_of(table: &Spanned<DeTable<'_>>, path: &[Step]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    let Step::Key(first) = first else { return None };
    let mut node = table.get_ref().get(first.as_str())?;
    let mut span = node.span();
    for step in rest {
        let next = match (step, node.get_ref()) {
            (Step::Key(key), DeValue::Table(table)) => table.get(key.as_str()),
            (Step::At(at), DeValue::Array(list)) => list.get(*at),
            _ => None,
        };
        let Some(next) = next else { break };
        span = next.span();
        node = next;
    }
    Some(span)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "[[route]]\nname = \"feed\"\nby = \"user_id\"\nsalt = \"s\"\nfallback = \"stable\"\n\
        [[route.arm]]\nlabel = \"stable\"\nmodel = \"video\"\nshare = 0.9\n\
        [[route.arm]]\nlabel = \"canary\"\nmodel = \"next\"\nshare = 0.1\nscore = { share = 2 }\n\
        [[route.shadow]]\nmodel = \"next\"\nshare = 0.05\n";

    fn parse(text: &str) -> Result<RoutesFile> {
        RoutesFile::parse(Path::new("routes.toml"), text.to_owned(), &["video", "next"])
    }

    #[test]
    fn a_route_is_read() {
        let file = parse(GOOD).unwrap();
        let route = &file.forms[0];
        assert_eq!((route.name.as_str(), route.arm.len(), route.shadow.len()), ("feed", 2, 1));
        assert_eq!(route.arm[1].score.as_ref().unwrap()["share"], 2.0);
    }

    #[test]
    fn what_is_wrong_has_its_line_and_column() {
        let cases = [
            ("name = \"feed\"", "name = \"video\"", 2, 8, "there is a model \"video\""),
            ("name = \"feed\"", "name = \"a b\"", 2, 8, "can be no name"),
            ("name = \"feed\"\n", "", 1, 1, "missing key `name`"),
            ("by = \"user_id\"\n", "", 3, 8, "there is no `by`"),
            ("by =", "bye =", 3, 1, "unknown key `bye`; did you mean `by`?"),
            ("fallback = \"stable\"", "fallback = \"stabel\"", 5, 12, "did you mean `stable`?"),
            ("label = \"canary\"", "label = \"stable\"", 11, 9, "there is another arm"),
            ("model = \"next\"\nshare = 0.1", "model = \"nxt\"\nshare = 0.1", 12, 9, "did you mean `next`?"),
            ("share = 0.1\n", "share = 0.2\n", 6, 1, "add up to 1.1"),
            ("share = 0.1\n", "share = 10\n", 13, 9, "give a part of 1"),
            ("share = 0.1\n", "share = nan\n", 13, 9, "is no share"),
            ("share = 0.1\n", "share = 0.00001\n", 13, 9, "no multiple of 0.0001"),
            ("share = 0.1\n", "share = \"x\"\n", 13, 9, "invalid type"),
            ("share = 0.1\n", "", 10, 1, "missing key `share`"),
            ("{ share = 2 }", "{ share = inf }", 14, 19, "must be a finite number"),
            ("{ share = 2 }", "{}", 14, 9, "names no task"),
            ("[[route.shadow]]", "[[route.shadw]]", 15, 9, "did you mean `shadow`?"),
            ("[[route]]\n", "[[rout]]\n", 1, 3, "did you mean `route`?"),
        ];
        for (from, to, line, column, says) in cases {
            assert!(GOOD.contains(from), "{from}");
            let error = parse(&GOOD.replacen(from, to, 1)).unwrap_err();
            let Error::Routes { place: Some(place), reason, .. } = &error else { panic!("{to}: {error}") };
            assert!(reason.contains(says), "{to}: {error}");
            assert_eq!((place.line, place.column), (line, column), "{to}: {error}");
            assert!(error.to_string().starts_with(&format!("routes.toml:{line}:{column}: ")), "{error}");
        }
        assert!(parse("").unwrap_err().to_string().contains("there is no [[route]]"));
        assert!(parse(&GOOD.repeat(2)).unwrap_err().to_string().contains("another route \"feed\""));
        assert!(parse("[[route]\n").unwrap_err().to_string().starts_with("routes.toml:1:"));
    }

    proptest! {
        #[test]
        fn damage_is_read_or_refused(at in 0usize..GOOD.len(), with in "[ -~\n]{0,3}", cut in 0usize..20) {
            let mut text = GOOD.to_owned();
            text.replace_range(at..(at + cut).min(GOOD.len()), &with);
            let _ = parse(&text);
        }
    }
}
