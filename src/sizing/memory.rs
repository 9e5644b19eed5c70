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
    /// Share of a pod's memory that follows its load, 0..=1; 1 where the history does not tell.
    pub(super) follows_load: f64,
}

impl MemoryNeed<'_> {
    /// Bytes one pod needs: the larger of the peak's quantile with its margin and what was seen lately.
    ///
    /// More replicas are never assumed to need less each. Fewer replicas have more load each, and the share of memory
    /// that follows it grows with it; where that share is not known, they need as much together as now.
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
        // bytes(R) = bytes(now)·(1 + f·(now/R − 1)), solved for R.
        let now = f64::from(self.replicas_now);
        let room = bytes / self.bytes(self.replicas_now) - 1.0 + self.follows_load;
        let replicas = if room > 0.0 { now * self.follows_load / room } else { now };
        ((replicas - 1e-9).ceil() as u32).clamp(1, self.replicas_now.max(1))
    }

    fn growth(&self, replicas: u32) -> f64 {
        let more_load = f64::from(self.replicas_now) / f64::from(replicas.max(1)) - 1.0;
        1.0 + self.follows_load * more_load.max(0.0)
    }
}
