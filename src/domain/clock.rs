//! Time as an argument: the core never reads a clock, it is handed one.

use std::time::Duration;

/// Time since the work began, as the caller counts it.
pub trait Clock: Sync {
    /// Time since the work began. Never goes back.
    fn elapsed(&self) -> Duration;
}

/// A clock that stands still, for tests and for work without a deadline.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stopped;

impl Clock for Stopped {
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

/// When a solving command stops looking for something better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StopRule {
    /// Stop once this much time has passed on the clock; a usable plan exists long before.
    pub time_limit: Duration,
    /// Stop once (cost − bound) / cost is at most this. Range 0..1.
    pub gap: f64,
    /// Seed of every random choice; equal inputs and seeds give equal plans when the gap stops the search.
    pub seed: u64,
    /// Threads the solver may use, at least 1.
    pub threads: usize,
}

impl Default for StopRule {
    fn default() -> Self {
        Self { time_limit: Duration::from_mins(1), gap: 0.01, seed: 1, threads: 1 }
    }
}
