//! Colour, where a terminal has it and it is not switched off (`NO_COLOR`, `TERM=dumb`); `CLICOLOR_FORCE` asks for it
//! in a pipe, too.

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};

/// What a piece of text says, beside its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It went well.
    Good,
    /// Look here.
    Warning,
    /// It did not go well.
    Bad,
    /// The answer.
    Strong,
}

/// Whether a stream takes colour.
pub(crate) fn paints(stream: &impl RawStream) -> bool {
    let forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty());
    AutoStream::choice(stream) != ColorChoice::Never && (forced || !is_dumb())
}

/// Whether the terminal says that it knows no more than letters and line ends.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// The text in its tone, or as it is.
pub(crate) fn paint(text: &str, tone: Tone, paints: bool) -> String {
    if !paints {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Good => "1;32",
        Tone::Warning => "1;33",
        Tone::Bad => "1;31",
        Tone::Strong => "1",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}
