//! A workload's past, read for what one replica can do.

use ndarray::ArrayView1;
use plimsoll_models::queueing::{LatencyLaw, LatencyMeasure, LoadLatency, fit_latency};

use crate::domain::{Series, Signal, Subject, WorkloadId};

/// The observed memory peak counts for so long; the vertical pod autoscaler forgets after eight days.
const MEMORY_PEAK_WINDOW_MS: i64 = 7 * 24 * 3_600_000;
/// Steps with a backlog that must have been seen before a worker's rate is believed.
const LEAST_BUSY_STEPS: usize = 12;

/// Memory is compared with load over at least so many steps, in so many bins, over at least this range of load.
const LEAST_LOAD_POINTS: usize = 100;
const LOAD_BINS: usize = 20;
const LEAST_LOAD_RATIO: f64 = 1.5;
/// The least share of memory taken to follow the load.
const LEAST_MEMORY_SHARE: f64 = 0.25;

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

    /// Share of a pod's memory that follows its load, 0.25..=1: the elasticity ∂ln(memory)/∂ln(load) of a straight line
    /// through bins of CPU a replica, plus two standard errors. `None` where the load changed too little to tell.
    ///
    /// Memory often stays once taken, which hides how it got there, so a quarter is assumed whatever the line says.
    pub(super) fn memory_follows_load(&self, replicas_now: u32) -> Option<f64> {
        let (memory, cpu) = (self.row(Signal::MemoryBytes)?, self.row(Signal::CpuCores)?);
        let replicas = self.replicas(replicas_now);
        let mut points: Vec<(f64, f64)> = memory
            .iter()
            .zip(cpu)
            .enumerate()
            .map(|(i, (&bytes, cores))| (cores / replicas(i), bytes))
            .filter(|(load, bytes)| load.is_finite() && *load > 0.0 && bytes.is_finite() && *bytes > 0.0)
            .collect();
        if points.len() < LEAST_LOAD_POINTS {
            return None;
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let bins: Vec<(f64, f64)> = points.chunks(points.len().div_ceil(LOAD_BINS)).map(medians).collect();
        let (lowest, highest) = (bins.first()?.0, bins.last()?.0);
        if highest < LEAST_LOAD_RATIO * lowest {
            return None;
        }
        let count = bins.len() as f64;
        let mean = |value: fn(&(f64, f64)) -> f64| bins.iter().map(value).sum::<f64>() / count;
        let (load, bytes) = (mean(|b| b.0), mean(|b| b.1));
        let spread: f64 = bins.iter().map(|b| (b.0 - load).powi(2)).sum();
        let slope = bins.iter().map(|b| (b.0 - load) * (b.1 - bytes)).sum::<f64>() / spread;
        let errors: f64 = bins.iter().map(|b| (b.1 - bytes - slope * (b.0 - load)).powi(2)).sum();
        let standard_error = (errors / (count - 2.0) / spread).sqrt();
        let elasticity = (slope + 2.0 * standard_error) * load / bytes;
        elasticity.is_finite().then(|| elasticity.clamp(LEAST_MEMORY_SHARE, 1.0))
    }

    /// The largest memory of any pod within the last seven days, bytes.
    pub(super) fn memory_peak(&self) -> Option<f64> {
        let row = self.row(Signal::MemoryBytes)?;
        let steps = usize::try_from(MEMORY_PEAK_WINDOW_MS / self.series.axis.step_ms.max(1)).unwrap_or(usize::MAX);
        row.iter().rev().take(steps.max(1)).copied().filter(|v| v.is_finite()).reduce(f64::max)
    }
}

/// The medians of both coordinates; the points are in order of the first.
fn medians(points: &[(f64, f64)]) -> (f64, f64) {
    let mut seconds: Vec<f64> = points.iter().map(|p| p.1).collect();
    seconds.sort_by(f64::total_cmp);
    let middle = points.len() / 2;
    (points.get(middle).map_or(f64::NAN, |p| p.0), seconds.get(middle).copied().unwrap_or(f64::NAN))
}
