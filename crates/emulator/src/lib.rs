//! AMX in software, for tests on processors without it: the machine code of the engine's kernels runs unchanged.
//!
//! It changes how the process takes the signal SIGILL, so nothing but tests may depend on this crate.

#![deny(unsafe_code)]

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[allow(unsafe_code)]
mod amx;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub use amx::{install, installed};

/// Never: what is to be emulated is not even compiled.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
#[must_use]
pub fn install() -> bool {
    false
}

/// Never.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
#[must_use]
pub fn installed() -> bool {
    false
}
