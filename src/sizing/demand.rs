//! The demand that decides how many replicas are needed, and what one replica carries of it.

use plimsoll_models::queueing::{LatencyGoal, LatencyLaw};

use crate::domain::policy::{Objective, Policy, Target};
use crate::domain::snapshot::Workload;
use crate::domain::{Forecast, Signal};

use super::evidence::Evidence;

/// Share of the requested CPU aimed at where a latency objective cannot be modelled; HPA's default is 80 %.
const FALLBACK_UTILISATION: f64 = 0.7;

/// The demand on a workload.
#[derive(Debug, Clone)]
pub(super) struct Demand<'a> {
    /// The signal that decides.
    pub(super) signal: Signal,
    /// Quantile of the peak that is planned for, 0..1.
    pub(super) level: f64,
    /// What one replica carries, in the signal's unit.
    pub(super) carries: Carries,
    /// Set where the latency objective cannot be met by any number of replicas.
    pub(super) hopeless: bool,
    /// Forecasts, each with the factor that brings it to the signal's unit.
    parts: Vec<(&'a Forecast, f64)>,
}

/// What one replica carries.
#[derive(Debug, Clone, Copy)]
pub(super) enum Carries {
    /// This share of its CPU request, in cores.
    CpuShare(f64),
    /// So much of the signal, whatever its requests.
    Fixed {
        /// Amount a replica.
        per_replica: f64,
        /// Share of its capacity that this is, 0..=1.
        utilisation: f64,
    },
    /// Requests a second at which the law still meets the goal.
    Law {
        /// The law of latency against load.
        law: LatencyLaw,
        /// The goal.
        goal: LatencyGoal,
        /// Requests a second a replica.
        per_replica: f64,
    },
}

impl<'a> Demand<'a> {
    /// The demand of a workload under its target's objective; `None` where nothing measured decides replicas.
    ///
    /// `may_break` is the part of the acceptable risk that the demand may use.
    pub(super) fn new(
        known: &Evidence<'a>,
        target: &Target,
        workload: &Workload,
        policy: &Policy,
        may_break: f64,
    ) -> Option<Self> {
        let level = 1.0 - may_break;
        let by_cpu = |share: f64, level: f64| {
            let cpu = known.cpu?;
            Some(Self::of(Signal::CpuCores, level, Carries::CpuShare(share), vec![(cpu, 1.0)]))
        };
        let by_work = |share: f64, level: f64| {
            Self::by_queue(known, workload, policy, share, level).or_else(|| Self::by_rate(known, workload, level))
        };
        match target.objective {
            Objective::Utilisation { share } => by_cpu(share, level).or_else(|| by_work(share, level)),
            Objective::Demand { quantile } => Self::by_queue(known, workload, policy, 1.0, quantile)
                .or_else(|| by_cpu(1.0, quantile))
                .or_else(|| Self::by_rate(known, workload, quantile)),
            Objective::Latency { quantile, target_s } => {
                let goal = LatencyGoal { target_s, quantile };
                let past = known.history.as_ref();
                let law = known.rate.zip(past.and_then(|h| h.latency_law(quantile, workload.replicas)));
                let fallback = || by_cpu(FALLBACK_UTILISATION, level).or_else(|| by_work(FALLBACK_UTILISATION, level));
                match law {
                    None => fallback(),
                    Some((rate, law)) => {
                        let per_replica = law.largest_load_per_s(goal);
                        if per_replica > 0.0 {
                            let carries = Carries::Law { law, goal, per_replica };
                            return Some(Self::of(Signal::RequestsPerSecond, level, carries, vec![(rate, 1.0)]));
                        }
                        fallback().map(|demand| Self { hopeless: true, ..demand })
                    }
                }
            }
        }
    }

    /// What arrives within the lead time and what already waits must be done within it.
    fn by_queue(known: &Evidence<'a>, workload: &Workload, policy: &Policy, share: f64, level: f64) -> Option<Self> {
        let (queue, rate) = (known.queue?, known.rate?);
        let lead_time_s = f64::from(policy.planning.lead_time_s.max(1));
        let worker_rate = known.history.as_ref()?.worker_rate(workload.replicas)?;
        let carries = Carries::Fixed { per_replica: worker_rate * lead_time_s * share, utilisation: share };
        Some(Self::of(Signal::QueueLength, level, carries, vec![(queue, 1.0), (rate, lead_time_s)]))
    }

    /// With nothing but arrivals, a replica is trusted with what it has been seen to carry.
    fn by_rate(known: &Evidence<'a>, workload: &Workload, level: f64) -> Option<Self> {
        let per_replica = known.history.as_ref()?.carried_rate(workload.replicas)?;
        let carries = Carries::Fixed { per_replica, utilisation: 1.0 };
        Some(Self::of(Signal::RequestsPerSecond, level, carries, vec![(known.rate?, 1.0)]))
    }

    fn of(signal: Signal, level: f64, carries: Carries, parts: Vec<(&'a Forecast, f64)>) -> Self {
        Self { signal, level, carries, hopeless: false, parts }
    }

    /// The peak that is exceeded with probability 1 − `level` at most, in the signal's unit. Of several parts each
    /// gets its part of that probability.
    pub(super) fn peak(&self, level: f64) -> f64 {
        let level = 1.0 - (1.0 - level) / self.parts.len() as f64;
        self.parts.iter().map(|(forecast, factor)| factor * forecast.peak_at(level).max(0.0)).sum()
    }

    /// When the peak is expected: the step of the lead time with the highest quantile at the level planned for.
    pub(super) fn peak_at_ms(&self) -> i64 {
        let Some((forecast, _)) = self.parts.first() else { return 0 };
        let row = forecast.levels.iter().position(|&l| l >= self.level).unwrap_or(forecast.levels.len() - 1);
        let value = |step: usize| forecast.quantiles.get((row, step)).copied().unwrap_or(f64::NEG_INFINITY);
        let steps = 0..forecast.lead_steps.min(forecast.horizon()).max(1);
        let step = steps.max_by(|&a, &b| value(a).total_cmp(&value(b)).then(b.cmp(&a))).unwrap_or(0);
        forecast.start_ms + forecast.step_ms * i64::try_from(step).unwrap_or(0)
    }

    /// What one replica with this CPU request carries, in the signal's unit.
    pub(super) fn per_replica(&self, cpu_millis: i64) -> f64 {
        match self.carries {
            Carries::CpuShare(share) => share * cpu_millis.max(0) as f64 / 1000.0,
            Carries::Fixed { per_replica, .. } | Carries::Law { per_replica, .. } => per_replica,
        }
    }

    /// Probability that the demand exceeds `capacity`, by the union bound over its parts.
    pub(super) fn risk(&self, capacity: f64) -> f64 {
        if self.hopeless {
            return 1.0;
        }
        let peak = self.peak(self.level);
        let level = 1.0 - (1.0 - self.level) / self.parts.len() as f64;
        let part_risk = |forecast: &Forecast, factor: f64| {
            // Capacity is shared between the parts as their peaks are.
            let value = if self.parts.len() == 1 || peak <= 0.0 {
                capacity / factor
            } else {
                capacity / peak * forecast.peak_at(level)
            };
            forecast.exceedance(value)
        };
        self.parts.iter().map(|(forecast, factor)| part_risk(forecast, *factor)).sum::<f64>().min(1.0)
    }
}
