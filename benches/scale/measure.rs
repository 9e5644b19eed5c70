//! Time and memory of a bench.

use std::time::{Duration, Instant};

use plimsoll::domain::clock::Clock;

/// A clock that began then.
pub(crate) struct Begun(pub(crate) Instant);

impl Clock for Begun {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Most memory the process has had, in GiB, where the system tells.
pub(crate) fn peak_gib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / f64::from(1 << 20)
}
