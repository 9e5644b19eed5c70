//! How far long work has come, told to whoever watches.

/// A part of a command that may take a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading files.
    Reading,
    /// Fetching from a server.
    Fetching,
    /// Bringing measurements onto one axis.
    Aligning,
    /// Forecasting.
    Forecasting,
    /// Solving.
    Solving,
}

/// Watches long work. Calls may come from several threads.
pub trait Observer: Sync {
    /// A stage begins; `total` units of work are ahead, if known.
    fn begin(&self, stage: Stage, total: Option<u64>);
    /// So many units are done since the stage began.
    fn done(&self, units: u64);
    /// Something worth a line, e.g. the best gap so far.
    fn note(&self, text: &str);
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Observer for Unwatched {
    fn begin(&self, _: Stage, _: Option<u64>) {}
    fn done(&self, _: u64) {}
    fn note(&self, _: &str) {}
}
