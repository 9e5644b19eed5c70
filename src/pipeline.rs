//! The passes in their order: what came in to one [`Run`]. Pure; time and progress are arguments.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::domain::earlier::Kept;
use crate::domain::progress::{Observer, Stage};
use crate::domain::run::Provenance;
use crate::domain::{
    Axis, Catalog, Clock, EarlierPlan, Forecast, Outlook, Policy, Run, Samples, Series, Signal, Snapshot, StopRule,
};
use crate::forecast::{Calendar, ForecastSettings};
use crate::{decide, forecast, horizon, ingest, optimize, series, sizing};

/// What a plan is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// The cluster.
    pub snapshot: Snapshot,
    /// What can be bought; without one, the shapes the cluster has, at estimated prices.
    pub catalog: Option<Catalog>,
    /// What the owner wants.
    pub policy: Policy,
    /// Measurements, if any.
    pub samples: Option<Samples>,
    /// The plan to begin from, if any.
    pub earlier: Option<EarlierPlan>,
}

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The measurements can't be brought onto one axis.
    #[error("failed to align the metrics: {0}")]
    Series(#[from] series::SeriesError),
    /// The optimizer failed.
    #[error("failed to plan: {0}")]
    Optimize(#[from] optimize::OptimizeError),
}

/// Quantile levels of every forecast: the fan of the report; the levels the policy plans for come on top.
const FAN_LEVELS: [f64; 5] = [0.1, 0.5, 0.9, 0.95, 0.99];

/// Signals that are forecast for each workload.
const FORECAST_SIGNALS: [Signal; 4] =
    [Signal::CpuCores, Signal::MemoryBytes, Signal::RequestsPerSecond, Signal::QueueLength];

/// Plans: measurements to series, forecasts and menus; then the program, its proof and its steps.
///
/// # Errors
/// If the measurements can't be aligned or the solver fails; an infeasible input is no error but a plan that says so.
pub fn plan(
    inputs: Inputs,
    stop: &StopRule,
    clock: &dyn Clock,
    observer: &dyn Observer,
    provenance: Provenance,
) -> Result<Run, PlanError> {
    let Inputs { snapshot, catalog, mut policy, samples, earlier } = inputs;
    let catalog = catalog.unwrap_or_else(|| ingest::catalog::estimated(&snapshot, &policy.planning));
    let lead_time = horizon::lead_time(&catalog, &policy);
    policy.planning.lead_time_s = lead_time.seconds;
    let (series, orchestration) = match samples {
        Some(samples) => {
            observer.begin(Stage::Aligning, None);
            let settings = series::AlignSettings::with_step(policy.planning.step_ms);
            let pods = series::align(&samples, &policy.metrics, Some(&snapshot), &settings)?;
            drop(samples);
            let orchestration = series::orchestration(&pods, Some(&snapshot));
            (Some(series::workloads(&pods)), orchestration)
        }
        None => (None, Vec::new()),
    };
    let calendar = Calendar::new(&policy.events, Some(&snapshot));
    let forecasts =
        series.as_ref().map_or_else(Vec::new, |s| forecast_workloads(s, &policy, calendar, stop.threads, observer));
    let menus = sizing::menus(&snapshot, series.as_ref(), &forecasts, &policy);
    observer.begin(Stage::Solving, None);
    let note = &mut |progress: optimize::Progress| observer.note(&progress.to_string());
    let usage = sizing::usage(&snapshot, &catalog, series.as_ref(), &forecasts, &policy, &menus);
    let earlier = earlier.as_ref();
    let now = &horizon::stop_for_now(&policy, &forecasts, stop, clock);
    let (plan, packing) = match usage {
        None => (optimize::plan_from(earlier, &snapshot, &catalog, &policy, &menus, now, clock, note)?, None),
        Some(usage) => {
            let packed = horizon::packed(&snapshot, &catalog, &menus, &usage);
            let (cluster, offers, choices) = (&packed.snapshot, &packed.catalog, &packed.menus);
            let plan = optimize::plan_from(earlier, cluster, offers, &policy, choices, now, clock, note)?;
            let plan = horizon::unpacked(plan);
            let packing = horizon::contention(&snapshot, &plan, &usage, policy.planning.max_contention);
            (plan, Some(packing))
        }
    };
    let steps = decide::steps(&snapshot, &catalog, &policy, &plan);
    let scenarios = horizon::scenarios(&snapshot, &catalog, &policy, &plan, &lead_time);
    let given = horizon::Given {
        snapshot: &snapshot,
        catalog: &catalog,
        policy: &policy,
        series: series.as_ref(),
        forecasts: &forecasts,
        plan: &plan,
    };
    let schedule = horizon::schedule(given, stop, clock)?;
    let outlook = Outlook { packing, scenarios, lead_time, schedule };
    let kept = earlier.map(|earlier| Kept::of(earlier, &plan));
    Ok(Run {
        snapshot,
        catalog,
        policy,
        series,
        forecasts,
        orchestration,
        menus,
        plan,
        kept,
        steps,
        outlook,
        provenance,
    })
}

/// Forecasts the signals that sizing uses, over the policy's horizon and lead time.
fn forecast_workloads(
    series: &Series,
    policy: &Policy,
    calendar: Calendar,
    threads: usize,
    observer: &dyn Observer,
) -> Vec<Forecast> {
    let wanted = only(series, &FORECAST_SIGNALS);
    let steps = |seconds: u32| steps_in(&series.axis, seconds);
    let settings = ForecastSettings {
        horizon_steps: steps(policy.planning.horizon_s),
        seasons: None,
        levels: levels(policy),
        lead_steps: steps(policy.planning.holds_s()),
        calendar,
        threads,
    };
    observer.begin(Stage::Forecasting, Some(wanted.rows.len() as u64));
    forecast::forecast_series(&wanted, &settings, &|done, _| observer.done(done as u64))
}

/// The rows of these signals.
fn only(series: &Series, signals: &[Signal]) -> Series {
    let kept: Vec<usize> = (0..series.rows.len()).filter(|&i| signals.contains(&series.rows[i].signal)).collect();
    Series {
        axis: series.axis,
        rows: kept.iter().map(|&i| series.rows[i].clone()).collect(),
        values: series.values.select(ndarray::Axis(0), &kept),
        notes: Vec::new(),
    }
}

/// Steps of the axis that cover so many seconds, at least one.
fn steps_in(axis: &Axis, seconds: u32) -> usize {
    let step_ms = u64::try_from(axis.step_ms).unwrap_or(1).max(1);
    usize::try_from((u64::from(seconds) * 1000).div_ceil(step_ms)).unwrap_or(usize::MAX).max(1)
}

/// The fan's levels and those that sizing looks at, rising and without repeats.
fn levels(policy: &Policy) -> Vec<f64> {
    let per_million = |level: f64| (level * 1e6).round() as u32;
    let planned = sizing::levels(policy);
    let all: BTreeSet<u32> =
        FAN_LEVELS.into_iter().chain(planned).map(per_million).filter(|&l| l > 0 && l < 1_000_000).collect();
    all.into_iter().map(|l| f64::from(l) / 1e6).collect()
}
