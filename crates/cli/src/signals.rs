//! SIGINT and SIGTERM: the first asks the work to end in order, the second ends the process at once. SIGXFSZ ends nothing.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pleiad_rank::Interrupt;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Lets a write beyond the largest size of a file (`ulimit -f`) fail like one to a full disk. By itself, its signal would end
/// the process in the middle of a file.
pub(crate) fn outlive_limits() {
    #[cfg(unix)]
    {
        let signal = rustix::process::Signal::XFSZ.as_raw();
        // Where there is no handler, there is the signal as before.
        let _ = flag::register(signal, Arc::default());
    }
}

/// A wish to stop that both signals raise.
pub(crate) fn interrupt() -> std::io::Result<Interrupt> {
    let interrupt = Interrupt::default();
    let seen = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Handlers run in the order of their registration: the first signal finds `seen` still false.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&seen))?;
        flag::register(signal, Arc::clone(&seen))?;
        flag::register_usize(signal, interrupt.flag(), signal.unsigned_abs() as usize)?;
    }
    Ok(interrupt)
}
