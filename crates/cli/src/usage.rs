//! What clap says of the arguments: help, version, mistakes.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use serde_json::{Map, Value, json};

use crate::exit::Failure;
use crate::stderr::{self, Manner};

/// Prints help, version or the mistake, and gives the exit code.
pub(crate) fn report(mut error: clap::Error, arguments: &[OsString]) -> u8 {
    point_to_data_format(&mut error);
    let error = &error;
    if error.use_stderr() && asks_for_json(arguments) {
        stderr::set(Manner { quiet: false, json: true });
        return Failure::usage(message(error)).with(details(error)).report();
    }
    // Where it cannot be printed, the exit code says it still.
    let _ = error.print();
    u8::try_from(error.exit_code()).unwrap_or(2)
}

/// Formats of files are no forms of results: says which option is meant.
fn point_to_data_format(error: &mut clap::Error) {
    let is = |kind, matches: fn(&str) -> bool| match error.get(kind) {
        Some(ContextValue::String(text)) => matches(text),
        _ => false,
    };
    let is_format = is(ContextKind::InvalidArg, |argument| argument.starts_with("--format"));
    if is_format && is(ContextKind::InvalidValue, |value| ["csv", "parquet", "arrow"].contains(&value)) {
        let tip = "--format is the form of results; that of the rows is --data-format, of `evaluate`, `predict` and `inspect`";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
}

/// Whether the arguments, which could not be parsed, ask for JSON.
fn asks_for_json(arguments: &[OsString]) -> bool {
    let arguments: Vec<&OsString> = arguments.iter().take_while(|argument| *argument != "--").collect();
    arguments.iter().any(|argument| *argument == "--format=json")
        || arguments.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json")
}

/// clap's words without its `error: `, the usage and the pointer to --help.
fn message(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "no command is given; `pleiad --help` lists them".to_owned();
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let ends = ["\n\nUsage:", "\n\nFor more information"].iter().filter_map(|end| text.find(end)).min();
    text[..ends.unwrap_or(text.len())].split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Argument, value and nearest name, as far as clap knows them.
fn details(error: &clap::Error) -> Map<String, Value> {
    let known = [
        (ContextKind::InvalidArg, "argument"),
        (ContextKind::InvalidSubcommand, "command"),
        (ContextKind::InvalidValue, "value"),
        (ContextKind::SuggestedArg, "nearest"),
        (ContextKind::SuggestedSubcommand, "nearest"),
        (ContextKind::SuggestedValue, "nearest"),
    ];
    let text = |kind| match error.get(kind)? {
        ContextValue::String(text) => Some(json!(text)),
        ContextValue::Strings(texts) => texts.first().map(|text| json!(text)),
        ContextValue::StyledStr(text) => Some(json!(text.to_string())),
        _ => None,
    };
    known.into_iter().filter_map(|(kind, name)| Some((name.to_owned(), text(kind)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_found_in_arguments_that_do_not_parse() {
        let asks = |arguments: &[&str]| asks_for_json(&arguments.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(asks(&["pleiad", "train", "--format", "json", "--what"]));
        assert!(asks(&["pleiad", "--format=json"]));
        assert!(!asks(&["pleiad", "train", "--format", "text", "json"]));
        assert!(!asks(&["pleiad", "train", "--", "--format=json"]));
    }
}
