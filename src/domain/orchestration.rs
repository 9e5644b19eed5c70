//! The five orchestration models as values: each a sum over the instances i = 1…n of a service.
//! Definitions, units and ranges are in `plimsoll_models::orchestration`.

use serde::{Deserialize, Serialize};

use super::series::Axis;
use super::snapshot::WorkloadId;

/// The five sums of one workload over time. Vectors have the axis' length; NaN where nothing was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Orchestration {
    /// Which workload.
    pub workload: WorkloadId,
    /// The time axis.
    pub axis: Axis,
    /// R(t): CPU cores in use, summed over the instances.
    pub runtime_cpu_cores: Vec<f64>,
    /// R(t): memory bytes in use, summed over the instances.
    pub runtime_memory_bytes: Vec<f64>,
    /// D(t): seconds until the instances were found, summed over those that turned ready in the step.
    pub discovery_seconds: Vec<f64>,
    /// S(t): scheduling efficiency, summed over the instances, 0..n.
    pub scheduling: Vec<f64>,
    /// B(t): load over fair share, summed over the instances; n when balanced.
    pub balancing: Vec<f64>,
    /// Jain's index over the same terms, 1/n..1.
    pub jain_index: Vec<f64>,
    /// E(t): supply minus demand in cores, summed over the instances; negative is under-provisioned.
    pub scaling_cores: Vec<f64>,
    /// SPEC elasticity scores made of E.
    pub elasticity: Option<Elasticity>,
}

/// SPEC's elasticity scores over the whole axis.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Elasticity {
    /// Mean shortage over demand, ≥ 0.
    pub accuracy_under: f64,
    /// Mean surplus over demand, ≥ 0.
    pub accuracy_over: f64,
    /// Share of time short, 0..=1.
    pub timeshare_under: f64,
    /// Share of time with surplus, 0..=1.
    pub timeshare_over: f64,
    /// Share of time in which supply and demand move in different directions, 0..=1.
    pub instability: f64,
}
