//! A workload's past, read for what one replica can do.

use ndarray::ArrayView1;
use plimsoll_models::queueing::{LatencyLaw, LatencyMeasure, LoadLatency, fit_latency};

use crate::domain::{Series, Signal, Subject, WorkloadId};

/// The observed memory peak counts for so long; the vertical pod autoscaler forgets after eight days.
const MEMORY_PEAK_WINDOW_MS: i64 = 7 * 24 * 3_600_000;
/// Steps with a backlog that must have been seen before a worker's rate is believed.
const LEAST_BUSY_STEPS: usize = 12;

/// Rows of one workload on the series' axis.
#[derive(Debug, Clone)]
pub(super) struct History<'a> {
    step_s: f64,
    series: &'a Series,
    subject: Subject,
}

impl<'a> History<'a> {
    pub(super) fn of(series: &'a Series, id: &WorkloadId) -> Self {
        let step_s = series.axis.step_ms.max(1) as f64 / 1000.0;
        Self { step_s, series, subject: Subject::Workload(id.clone()) }
    }

    fn row(&self, signal: Signal) -> Option<ArrayView1<'a, f64>> {
        self.series.get(&self.subject, signal)
    }

    /// Replicas at a step: those ready, or `now` where readiness was not measured.
    fn replicas(&self, now: u32) -> impl Fn(usize) -> f64 {
        let ready = self.row(Signal::Ready);
        move |i| ready.as_ref().map_or(f64::from(now), |row| row.get(i).copied().unwrap_or(f64::NAN))
    }

    /// The law of latency against load, fitted to the row nearest the quantile asked for that tells one.
    pub(super) fn latency_law(&self, quantile: f64, replicas_now: u32) -> Option<LatencyLaw> {
        let arrivals = self.row(Signal::RequestsPerSecond)?;
        let replicas = self.replicas(replicas_now);
        let mut measured =
            [(Signal::LatencyP99Seconds, 0.99), (Signal::LatencyP95Seconds, 0.95), (Signal::LatencyP50Seconds, 0.5)];
        measured.sort_by(|a, b| (a.1 - quantile).abs().total_cmp(&(b.1 - quantile).abs()));
        let measures = measured
            .map(|(signal, quantile)| (signal, LatencyMeasure::Quantile(quantile)))
            .into_iter()
            .chain([(Signal::LatencyMeanSeconds, LatencyMeasure::Mean)]);
        measures.into_iter().find_map(|(signal, measure)| {
            let points: Vec<_> = self
                .row(signal)?
                .iter()
                .zip(arrivals)
                .enumerate()
                .map(|(i, (&latency_s, arrivals))| LoadLatency { load_per_s: arrivals / replicas(i), latency_s })
                .collect();
            fit_latency(&points, measure).ok()
        })
    }

    /// Items a second one worker gets done: the median of (arrivals − growth of the queue) a replica over the steps
    /// that began and ended with a backlog, for then every worker was busy.
    pub(super) fn worker_rate(&self, replicas_now: u32) -> Option<f64> {
        let (queue, arrivals) = (self.row(Signal::QueueLength)?, self.row(Signal::RequestsPerSecond)?);
        let replicas = self.replicas(replicas_now);
        let mut rates: Vec<f64> = (1..queue.len())
            .filter(|&i| queue[i - 1] >= replicas(i) && queue[i] >= replicas(i))
            .map(|i| (arrivals[i - 1] - (queue[i] - queue[i - 1]) / self.step_s) / replicas(i))
            .filter(|rate| rate.is_finite() && *rate > 0.0)
            .collect();
        rates.sort_by(f64::total_cmp);
        (rates.len() >= LEAST_BUSY_STEPS).then(|| rates[rates.len() / 2])
    }

    /// The load that one replica has been seen to carry: the 99th percentile of arrivals a replica. What it could
    /// carry beyond that was never measured.
    pub(super) fn carried_rate(&self, replicas_now: u32) -> Option<f64> {
        let replicas = self.replicas(replicas_now);
        let arrivals = self.row(Signal::RequestsPerSecond)?;
        let mut rates: Vec<f64> = arrivals
            .iter()
            .enumerate()
            .map(|(i, rate)| rate / replicas(i))
            .filter(|rate| rate.is_finite() && *rate > 0.0)
            .collect();
        rates.sort_by(f64::total_cmp);
        rates.get((rates.len() * 99 / 100).min(rates.len().saturating_sub(1))).copied()
    }

    /// The largest memory of any pod within the last seven days, bytes.
    pub(super) fn memory_peak(&self) -> Option<f64> {
        let row = self.row(Signal::MemoryBytes)?;
        let steps = usize::try_from(MEMORY_PEAK_WINDOW_MS / self.series.axis.step_ms.max(1)).unwrap_or(usize::MAX);
        row.iter().rev().take(steps.max(1)).copied().filter(|v| v.is_finite()).reduce(f64::max)
    }
}
