//! Memory a pod needs: from peaks, never from averages.

use crate::domain::Forecast;

/// The memory one pod needs, by number of replicas.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemoryNeed<'a> {
    /// Largest of any pod.
    pub(super) forecast: &'a Forecast,
    /// Quantile of its peak planned for, 0..1.
    pub(super) level: f64,
    /// Room kept above that quantile, as a share.
    pub(super) margin: f64,
    /// The largest seen lately, bytes.
    pub(super) seen: Option<f64>,
    /// Replicas the forecast was made with.
    pub(super) replicas_now: u32,
}

impl MemoryNeed<'_> {
    /// Bytes one pod needs: the larger of the peak's quantile with its margin and what was seen lately.
    ///
    /// How much of a pod's memory depends on its load is not known, so both ends are kept: more replicas are not
    /// assumed to need less each, fewer replicas are assumed to need as much together as now.
    pub(super) fn bytes(&self, replicas: u32) -> f64 {
        let quantile = self.forecast.peak_at(self.level) * (1.0 + self.margin);
        quantile.max(self.seen.unwrap_or(0.0)) * self.growth(replicas)
    }

    /// Probability that a pod's peak exceeds `bytes`.
    pub(super) fn risk(&self, replicas: u32, bytes: f64) -> f64 {
        self.forecast.exceedance(bytes / self.growth(replicas))
    }

    /// The smallest number of replicas whose pods fit `bytes`, at most the number of now.
    pub(super) fn least_replicas(&self, bytes: f64) -> u32 {
        let now = self.replicas_now;
        let share = self.bytes(now) / bytes.max(1.0);
        ((f64::from(now) * share).ceil() as u32).clamp(1, now.max(1))
    }

    fn growth(&self, replicas: u32) -> f64 {
        (f64::from(self.replicas_now) / f64::from(replicas.max(1))).max(1.0)
    }
}
