//! Fits a [`LatencyLaw`] to what a service was measured to do, or says why the history does not tell.

use super::law::{LatencyLaw, LatencyMeasure, waiting_s};

/// Fewer measurements than this say nothing about a curve.
const LEAST_MEASUREMENTS: usize = 40;
/// Most bins the loads are cut into, each with the same number of measurements.
const MOST_BINS: usize = 20;
/// The highest bin's load over the lowest's, at least: a narrower range cannot show a bend.
const LEAST_LOAD_RATIO: f64 = 1.5;
/// The highest latency of a bin over the lowest's, at least: a flat line tells no capacity.
const LEAST_LATENCY_RATIO: f64 = 1.15;
/// Share of the bins' variance that the law must explain.
const LEAST_R_SQUARED: f64 = 0.7;
/// Capacities tried, evenly in their logarithm: steps of 3 %.
const CAPACITIES: i32 = 80;
const CAPACITY_STEP: f64 = 1.03;
/// Range of the factor on the waiting; outside it the queue is no description of what was measured.
const VARIABILITY: (f64, f64) = (0.1, 10.0);
/// More slots than this do not change the curve that can be told from data.
const MOST_SLOTS: f64 = 512.0;

/// One measurement: what one replica was asked for, and how long requests took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadLatency {
    /// Requests a second on one replica.
    pub load_per_s: f64,
    /// Latency in seconds, in the measure fitted.
    pub latency_s: f64,
}

/// Why no law was fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FitRefusal {
    /// Fewer than 40 measurements with load and latency.
    TooFewMeasurements {
        /// How many there are.
        measurements: usize,
    },
    /// The load hardly changed.
    LoadRangeTooNarrow {
        /// Highest over lowest bin.
        ratio: f64,
    },
    /// Latency does not rise with the load: capacity is nowhere near.
    LatencyDoesNotRise {
        /// Highest over lowest bin.
        ratio: f64,
    },
    /// Something other than this service's load decides its latency.
    PoorFit {
        /// Share of the bins' variance explained by the best law.
        r_squared: f64,
    },
}

/// Fits latency(x) = base + v·W(x) to a history of load a replica and latency.
///
/// Loads are cut into bins of equally many measurements, and each bin is represented by its medians, so that a deploy
/// or an outage does not bend the curve. For every capacity µ above the largest load and every number of slots k ≤
/// µ·base (a request cannot hold a slot for longer than it takes: Little's law at saturation), base and v follow by
/// linear least squares. Of the capacities whose squared error is within the noise of the best one, the *smallest* is
/// taken: where the history does not show the bend, the law has it right behind the largest load seen.
///
/// # Errors
/// If the history does not tell: too few measurements, too narrow a range, no rise, or a poor fit.
pub fn fit_latency(history: &[LoadLatency], measure: LatencyMeasure) -> Result<LatencyLaw, FitRefusal> {
    let usable = |x: f64| x.is_finite() && x > 0.0;
    let mut points: Vec<_> = history.iter().copied().filter(|p| usable(p.load_per_s) && usable(p.latency_s)).collect();
    if points.len() < LEAST_MEASUREMENTS {
        return Err(FitRefusal::TooFewMeasurements { measurements: points.len() });
    }
    points.sort_by(|a, b| a.load_per_s.total_cmp(&b.load_per_s));
    let bins = bins(&points);
    let (lowest, highest) = (bins[0], bins[bins.len() - 1]);
    let load_ratio = highest.load_per_s / lowest.load_per_s;
    if load_ratio < LEAST_LOAD_RATIO {
        return Err(FitRefusal::LoadRangeTooNarrow { ratio: load_ratio });
    }
    let latency_ratio = highest.latency_s / lowest.latency_s;
    if latency_ratio < LEAST_LATENCY_RATIO {
        return Err(FitRefusal::LatencyDoesNotRise { ratio: latency_ratio });
    }

    let candidates = candidates(&bins, measure);
    let variance: f64 = {
        let mean = bins.iter().map(|b| b.latency_s).sum::<f64>() / bins.len() as f64;
        bins.iter().map(|b| (b.latency_s - mean).powi(2)).sum()
    };
    let best = candidates.iter().map(|c| c.squared_error).fold(f64::INFINITY, f64::min);
    let r_squared = 1.0 - best / variance;
    if r_squared.is_nan() || r_squared < LEAST_R_SQUARED {
        return Err(FitRefusal::PoorFit { r_squared });
    }
    // Four free parameters; twice their share of the error is about two standard deviations of the capacity.
    let within_noise = best * (1.0 + 4.0 / (bins.len() as f64 - 4.0).max(1.0)) + 1e-9 * variance;
    let chosen = candidates
        .iter()
        .filter(|c| c.squared_error <= within_noise)
        .min_by(|a, b| a.capacity_per_s.total_cmp(&b.capacity_per_s).then(a.squared_error.total_cmp(&b.squared_error)))
        .ok_or(FitRefusal::PoorFit { r_squared })?;
    Ok(LatencyLaw {
        measure,
        base_s: chosen.base_s,
        capacity_per_s: chosen.capacity_per_s,
        slots: chosen.slots,
        variability: chosen.variability,
        largest_seen_per_s: highest.load_per_s,
        r_squared: 1.0 - chosen.squared_error / variance,
        measurements: points.len(),
    })
}

/// Medians of equally large groups of measurements in order of load; at least 8 groups.
fn bins(sorted: &[LoadLatency]) -> Vec<LoadLatency> {
    let count = MOST_BINS.min(sorted.len() / 5);
    (0..count)
        .map(|i| {
            let group = &sorted[i * sorted.len() / count..(i + 1) * sorted.len() / count];
            let mut latencies: Vec<f64> = group.iter().map(|p| p.latency_s).collect();
            latencies.sort_by(f64::total_cmp);
            LoadLatency { load_per_s: group[group.len() / 2].load_per_s, latency_s: latencies[latencies.len() / 2] }
        })
        .collect()
}

/// One capacity and number of slots with the best base and factor for them.
struct Candidate {
    capacity_per_s: f64,
    slots: u32,
    base_s: f64,
    variability: f64,
    squared_error: f64,
}

fn candidates(bins: &[LoadLatency], measure: LatencyMeasure) -> Vec<Candidate> {
    let idle_s = bins.iter().map(|b| b.latency_s).fold(f64::INFINITY, f64::min);
    let largest_load = bins[bins.len() - 1].load_per_s;
    // A replica that takes `idle_s` a request serves at least one in that time.
    let smallest_capacity = (largest_load * 1.02).max(1.0 / idle_s);
    let mut found = Vec::new();
    for step in 0..CAPACITIES {
        let capacity_per_s = smallest_capacity * CAPACITY_STEP.powi(step);
        let mut slots = (capacity_per_s * idle_s).clamp(1.0, MOST_SLOTS) as u32;
        while slots >= 1 {
            found.extend(least_squares(bins, measure, capacity_per_s, slots));
            slots /= 2;
        }
    }
    found
}

/// Ordinary least squares of latency on waiting, with the factor held to its range.
fn least_squares(bins: &[LoadLatency], measure: LatencyMeasure, capacity_per_s: f64, slots: u32) -> Option<Candidate> {
    let waits: Vec<f64> = bins.iter().map(|b| waiting_s(measure, slots, capacity_per_s, b.load_per_s)).collect();
    let count = bins.len() as f64;
    let mean_wait = waits.iter().sum::<f64>() / count;
    let mean_latency = bins.iter().map(|b| b.latency_s).sum::<f64>() / count;
    let (mut together, mut alone) = (0.0, 0.0);
    for (bin, wait) in bins.iter().zip(&waits) {
        together += (wait - mean_wait) * (bin.latency_s - mean_latency);
        alone += (wait - mean_wait).powi(2);
    }
    let slope = together / alone;
    if !slope.is_finite() {
        return None;
    }
    let variability = slope.clamp(VARIABILITY.0, VARIABILITY.1);
    let base_s = mean_latency - variability * mean_wait;
    if base_s <= 0.0 {
        return None;
    }
    let squared_error = bins.iter().zip(&waits).map(|(b, w)| (b.latency_s - base_s - variability * w).powi(2)).sum();
    Some(Candidate { capacity_per_s, slots, base_s, variability, squared_error })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A day of minutes: load swings between 10 % and `top` of the capacity; latency has ±`noise` around the law.
    fn history(law: &LatencyLaw, top: f64, noise: f64) -> Vec<LoadLatency> {
        (0..1440)
            .map(|i| {
                let swing = 0.5 - 0.5 * (f64::from(i) * std::f64::consts::TAU / 1440.0).cos();
                let load_per_s = law.capacity_per_s * (0.1 + (top - 0.1) * swing);
                let jitter = 1.0 + noise * f64::from(i * 7919 % 201 - 100) / 100.0;
                LoadLatency { load_per_s, latency_s: law.latency_s(load_per_s) * jitter }
            })
            .collect()
    }

    fn truth(measure: LatencyMeasure, slots: u32) -> LatencyLaw {
        LatencyLaw {
            measure,
            base_s: 0.08,
            capacity_per_s: f64::from(slots) / 0.08,
            slots,
            variability: 1.0,
            largest_seen_per_s: 0.0,
            r_squared: 1.0,
            measurements: 0,
        }
    }

    #[test]
    fn a_known_law_is_recovered_from_its_own_history() {
        for (measure, slots) in [
            (LatencyMeasure::Mean, 1),
            (LatencyMeasure::Mean, 8),
            (LatencyMeasure::Quantile(0.95), 1),
            (LatencyMeasure::Quantile(0.95), 8),
        ] {
            let truth = truth(measure, slots);
            let fitted = fit_latency(&history(&truth, 0.92, 0.05), measure).unwrap();
            let off = fitted.capacity_per_s / truth.capacity_per_s;
            assert!((0.9..1.1).contains(&off), "{measure:?} {slots}: capacity off by {off}");
            let goal = super::super::LatencyGoal { target_s: 0.4, quantile: 0.95 };
            let (got, expected) = (fitted.largest_load_per_s(goal), truth_load(&truth, goal));
            assert!((got / expected - 1.0).abs() < 0.1, "{measure:?} {slots}: carries {got}, not {expected}");
            assert!(fitted.r_squared > 0.95);
        }
    }

    /// The law's own answer without the limit on what has been seen.
    fn truth_load(truth: &LatencyLaw, goal: super::super::LatencyGoal) -> f64 {
        LatencyLaw { largest_seen_per_s: truth.capacity_per_s, ..*truth }.largest_load_per_s(goal)
    }

    #[test]
    fn an_outage_in_the_history_does_not_bend_the_curve() {
        let truth = truth(LatencyMeasure::Mean, 4);
        let mut history = history(&truth, 0.9, 0.03);
        for point in &mut history[100..140] {
            point.latency_s *= 50.0;
        }
        let fitted = fit_latency(&history, LatencyMeasure::Mean).unwrap();
        assert!((fitted.capacity_per_s / truth.capacity_per_s - 1.0).abs() < 0.15, "{fitted:?}");
    }

    #[test]
    fn a_bend_that_was_never_reached_is_assumed_to_be_near() {
        let truth = truth(LatencyMeasure::Mean, 2);
        // Half the capacity has been seen, under noise of 2 % and 20 %: the law must not promise more than there is.
        for noise in [0.02, 0.2] {
            let law = fit_latency(&history(&truth, 0.5, noise), LatencyMeasure::Mean).unwrap();
            assert!(law.capacity_per_s <= truth.capacity_per_s * 1.1, "{law:?}");
        }
    }

    #[test]
    fn what_a_history_cannot_tell_is_refused() {
        let point = |load_per_s, latency_s| LoadLatency { load_per_s, latency_s };
        let few: Vec<_> = (1..20).map(|i| point(f64::from(i), 0.1)).collect();
        assert!(matches!(
            fit_latency(&few, LatencyMeasure::Mean),
            Err(FitRefusal::TooFewMeasurements { measurements: 19 })
        ));
        let steady: Vec<_> = (0..200).map(|i| point(10.0 + f64::from(i % 3), 0.1)).collect();
        assert!(matches!(fit_latency(&steady, LatencyMeasure::Mean), Err(FitRefusal::LoadRangeTooNarrow { .. })));
        let flat: Vec<_> = (0..200).map(|i| point(1.0 + f64::from(i), 0.1)).collect();
        assert!(matches!(fit_latency(&flat, LatencyMeasure::Mean), Err(FitRefusal::LatencyDoesNotRise { .. })));
        let unrelated: Vec<_> =
            (0..400).map(|i| point(1.0 + f64::from(i), if (i / 20) % 2 == 0 { 0.1 } else { 0.3 })).collect();
        assert!(matches!(fit_latency(&unrelated, LatencyMeasure::Mean), Err(FitRefusal::PoorFit { .. })));
    }

    #[test]
    fn values_that_are_no_measurements_are_left_out() {
        let truth = truth(LatencyMeasure::Mean, 1);
        let mut history = history(&truth, 0.9, 0.0);
        let count = history.len();
        history.extend([f64::NAN, -1.0, f64::INFINITY].map(|x| LoadLatency { load_per_s: x, latency_s: x }));
        assert_eq!(fit_latency(&history, LatencyMeasure::Mean).unwrap().measurements, count);
    }
}
