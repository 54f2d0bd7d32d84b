//! [`Memory`]: the memory of the process, where the system reports it.

use serde::Serialize;

/// Resident memory of this process in MiB; `None` where the system does not report it (all but Linux).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Memory {
    /// Held now (`VmRSS`).
    pub resident_mib: Option<f64>,
    /// The most that was held since [`Memory::forget_peak`], or since the process began where that is refused (`VmHWM`).
    pub peak_mib: Option<f64>,
}

impl Memory {
    /// What is held now.
    #[must_use]
    pub fn now() -> Self {
        std::fs::read_to_string("/proc/self/status").map(|status| Self::parse(&status)).unwrap_or_default()
    }

    /// Lets the peak begin anew, so that each workload has its own.
    pub fn forget_peak() {
        // Refused in some containers; the peak is then that of all that ran before, too, as its documentation says.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
    }

    fn parse(status: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok().map(|kib| kib / 1024.0)
        };
        Self { resident_mib: field("VmRSS"), peak_mib: field("VmHWM") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_lines_are_read() {
        let memory = Memory::parse("VmPeak:\t  999 kB\nVmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\n");
        assert_eq!(memory, Memory { resident_mib: Some(2.0), peak_mib: Some(4.0) });
        assert_eq!(Memory::parse("VmRSS: many kB\n"), Memory::default());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_holds_something() {
        let memory = Memory::now();
        assert!(memory.resident_mib > Some(0.5) && memory.peak_mib > Some(0.5), "{memory:?}");
    }
}
