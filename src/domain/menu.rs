//! For each workload, the choices worth having.

use serde::{Deserialize, Serialize};

use super::resources::Resources;
use super::series::Signal;
use super::snapshot::WorkloadId;

/// The (replicas, requests) choices for one workload, cheapest in resources first. Never empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Menu {
    /// Which workload.
    pub workload: WorkloadId,
    /// The choices; each has a different (replicas, requests).
    pub entries: Vec<MenuEntry>,
    /// Index of the choice that changes nothing, if it is among them.
    pub current: Option<usize>,
}

/// One choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MenuEntry {
    /// Replicas.
    pub replicas: u32,
    /// Requests of one pod, everything the scheduler reserves for it.
    pub requests: Resources,
    /// Probability that the objective is broken within the lead time, 0..1; `None` where nothing was measured.
    pub risk: Option<f64>,
    /// What that risk is worth an hour to the owner, in the catalog's currency; a sure breach where what stands today
    /// has more risk than is acceptable and another choice has not.
    pub risk_cost_per_hour: f64,
    /// Why this choice is on the menu.
    pub basis: Basis,
}

/// What a choice rests on, as data; prose is made from it elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Basis {
    /// As the workload declares it: there are no measurements, or the policy leaves it alone.
    #[serde(rename_all = "camelCase")]
    Declared {
        /// Why nothing else was considered.
        reason: DeclaredReason,
    },
    /// Sized so that the demand's quantile meets a utilisation.
    #[serde(rename_all = "camelCase")]
    Demand {
        /// The signal that decides the number of replicas.
        signal: Signal,
        /// The quantile of the peak that is planned for, 0..1.
        quantile: f64,
        /// The value of that quantile, in the signal's unit.
        peak: f64,
        /// When the forecast peak is expected.
        peak_at_ms: i64,
        /// What one replica carries at the target, in the signal's unit.
        per_replica: f64,
        /// Utilisation aimed at, 0..1.
        utilisation: f64,
    },
    /// Sized so that a latency quantile is met.
    #[serde(rename_all = "camelCase")]
    Latency {
        /// The latency objective in seconds.
        target_s: f64,
        /// The quantile of latency it holds for, 0..1.
        quantile: f64,
        /// Arrivals a second planned for.
        arrivals_per_s: f64,
        /// When the forecast peak is expected.
        peak_at_ms: i64,
        /// Requests a second one replica serves when busy.
        service_rate_per_s: f64,
        /// Latency at that quantile as the model has it, in seconds.
        expected_s: f64,
        /// Busy share of a replica then, 0..1.
        utilisation: f64,
    },
    /// As few replicas as may be: one less, and a pod would go that must not be evicted.
    #[serde(rename_all = "camelCase")]
    Held {
        /// That pod; of a `StatefulSet` the highest ordinal that must stay.
        pod: String,
        /// Whether pods go by their ordinal, so that those below are kept with it.
        by_ordinal: bool,
    },
    /// At a bound the policy sets.
    #[serde(rename_all = "camelCase")]
    Bound {
        /// Name of the policy's field, e.g. `targets.web.minReplicas`.
        rule: String,
    },
}

/// Why a workload keeps what it declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeclaredReason {
    /// No metrics were given for it.
    NoMetrics,
    /// Too few measurements to size it.
    TooFewMeasurements,
    /// No target of the policy selects it.
    NotTargeted,
    /// It has no scale subresource.
    NotScalable,
    /// Another autoscaler drives it.
    DrivenByAutoscaler,
    /// It is what stands today.
    Current,
}
