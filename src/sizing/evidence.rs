//! What is known of one workload: its forecasts and its past.

use std::collections::BTreeMap;

use crate::domain::menu::DeclaredReason;
use crate::domain::{Forecast, Series, Signal, Subject, WorkloadId};

use super::history::History;

/// A forecast made from fewer measurements than this sizes nothing.
const LEAST_OBSERVATIONS: usize = 24;

/// Forecasts and past of one workload.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence<'a> {
    /// CPU cores, sum over pods.
    pub(super) cpu: Option<&'a Forecast>,
    /// Memory bytes, largest of any pod.
    pub(super) memory: Option<&'a Forecast>,
    /// Arrivals a second, sum over pods.
    pub(super) rate: Option<&'a Forecast>,
    /// Items waiting.
    pub(super) queue: Option<&'a Forecast>,
    /// A forecast was given but rests on too little, or holds no numbers.
    pub(super) too_few: bool,
    /// Rows of its past.
    pub(super) history: Option<History<'a>>,
}

impl Evidence<'_> {
    /// Why it cannot be sized, if it cannot.
    pub(super) fn missing(&self) -> Option<DeclaredReason> {
        let known = [self.cpu, self.memory, self.rate, self.queue].iter().any(Option::is_some);
        match (known, self.too_few) {
            (true, _) => None,
            (false, true) => Some(DeclaredReason::TooFewMeasurements),
            (false, false) => Some(DeclaredReason::NoMetrics),
        }
    }
}

/// The evidence of every workload that has any.
pub(super) fn by_workload<'a>(
    series: Option<&'a Series>,
    forecasts: &'a [Forecast],
) -> BTreeMap<&'a WorkloadId, Evidence<'a>> {
    let mut found: BTreeMap<&WorkloadId, Evidence> = BTreeMap::new();
    for forecast in forecasts {
        let Subject::Workload(id) = &forecast.subject else { continue };
        let evidence = found.entry(id).or_default();
        let place = match forecast.signal {
            Signal::CpuCores => &mut evidence.cpu,
            Signal::MemoryBytes => &mut evidence.memory,
            Signal::RequestsPerSecond => &mut evidence.rate,
            Signal::QueueLength => &mut evidence.queue,
            _ => continue,
        };
        if usable(forecast) {
            *place = Some(forecast);
        } else {
            evidence.too_few = true;
        }
    }
    if let Some(series) = series {
        for (id, evidence) in &mut found {
            evidence.history = Some(History::of(series, id));
        }
    }
    found
}

/// Enough measurements behind it, and a number at every level.
pub(super) fn usable(forecast: &Forecast) -> bool {
    forecast.trust.observations >= LEAST_OBSERVATIONS
        && !forecast.levels.is_empty()
        && forecast.levels.len() == forecast.peak.len()
        && forecast.peak.iter().all(|v| v.is_finite())
}
