//! How wide a terminal is.

use std::io::IsTerminal;

/// Columns of the terminal behind a stream; `None` in a pipe, and where the terminal does not say.
#[cfg(unix)]
pub(crate) fn width_of(stream: impl IsTerminal + std::os::fd::AsFd) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    // Its rows may be unknown (0) all the same: they are not asked for.
    let columns = rustix::termios::tcgetwinsize(stream).ok()?.ws_col;
    (columns > 0).then_some(usize::from(columns))
}

/// Columns of the terminal behind a stream; `None` in a pipe, and where the terminal does not say.
#[cfg(windows)]
pub(crate) fn width_of(stream: impl IsTerminal + std::os::windows::io::AsHandle) -> Option<usize> {
    terminal_size::terminal_size_of(stream).map(|(width, _)| usize::from(width.0))
}
