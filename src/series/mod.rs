//! [`Samples`] into [`Series`]: alignment, counter resets, gaps, pod churn; and the five models over them.
//!
//! [`align`] reads metrics by the policy's mapping, [`plain`] reads any numbers as they are; [`workloads`] sums
//! instances up, [`orchestration`] makes the five models of them. All are pure: equal samples in any order give
//! equal series, except that of several measurements at one instant the last read counts.

mod align;
mod axis;
mod cells;
mod error;
mod gather;
mod grid;
mod histogram;
mod orchestration;
mod plain;
mod plan;
mod resolve;
#[cfg(test)]
mod tests;
mod workloads;

pub use align::align;
pub use error::SeriesError;
pub use orchestration::orchestration;
pub use plain::{plain, plain_rows};
pub use workloads::workloads;

#[cfg(doc)]
use crate::domain::{Samples, Series};

/// How samples are laid on one time axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlignSettings {
    /// Spacing of the axis in milliseconds, at least 1.
    pub step_ms: i64,
    /// Cells (rows × steps) at most; each takes 8 bytes. What needs more is refused before anything is allocated.
    pub max_cells: usize,
}

impl AlignSettings {
    /// Cells allowed unless told otherwise: 4 GiB of them, ten thousand pods with two signals for two weeks at a minute.
    pub const DEFAULT_MAX_CELLS: usize = 1 << 29;

    /// This spacing, and the default bound on size.
    #[must_use]
    pub fn with_step(step_ms: i64) -> Self {
        Self { step_ms, max_cells: Self::DEFAULT_MAX_CELLS }
    }
}

impl Default for AlignSettings {
    /// Steps of a minute, as metrics are usually scraped.
    fn default() -> Self {
        Self::with_step(60_000)
    }
}

/// The middle one of an odd number of values, the upper middle one of an even number; `None` of none.
/// Reorders the values.
fn upper_median(values: &mut [i64]) -> Option<i64> {
    let middle = values.len() / 2;
    (middle < values.len()).then(|| *values.select_nth_unstable(middle).1)
}
