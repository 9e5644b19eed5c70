//! What a document leaves out. Each value is listed with its reason in `docs/policy.md`.

use std::collections::BTreeMap;

use super::metrics::default_mapping;
use crate::domain::Policy;
use crate::domain::policy::{
    Behavior, Costs, DisruptionLimits, Mode, Objective, Planning, Preemption, Target, WorkloadSelector,
};
use crate::domain::resources::Resources;
use crate::domain::snapshot::Amount;

/// Quantile of the peak demand that a demand objective covers unless it says otherwise.
pub const DEMAND_QUANTILE: f64 = 0.99;
/// Quantile of latency that a latency objective is about unless it says otherwise.
pub const LATENCY_QUANTILE: f64 = 0.95;
/// Share of the requested CPU that the peak demand may use.
pub const UTILISATION_SHARE: f64 = 0.7;
/// Upper bound on replicas of the built-in default, where no owner has set one: a guard against a runaway metric, far
/// above what the workloads of one cluster have.
pub const MAX_REPLICAS: u32 = 10_000;

/// The policy used when none is given: recommend, one target for everything scalable.
#[must_use]
pub fn default_policy() -> Policy {
    Policy {
        name: "default".to_owned(),
        source: "built-in default policy".to_owned(),
        mode: Mode::Recommend,
        targets: vec![target("everything")],
        disruption: disruption(),
        costs: costs(),
        planning: Planning::default(),
        metrics: default_mapping(),
        events: Vec::new(),
        places: BTreeMap::new(),
    }
}

/// A target for every workload, with nothing but defaults.
#[must_use]
pub fn target(name: &str) -> Target {
    Target {
        name: name.to_owned(),
        selects: WorkloadSelector::default(),
        min_replicas: 1,
        max_replicas: MAX_REPLICAS,
        scale_replicas: true,
        resize_requests: true,
        min_requests: Resources::default(),
        max_requests: Resources::default(),
        objective: Objective::Utilisation { share: UTILISATION_SHARE },
        max_risk: 0.01,
        behavior: Behavior::default(),
        spread: None,
        max_spot_share: None,
        zone_loss: None,
        max_unavailable: Some(Amount::Percent(25)),
    }
}

/// Limits on change.
#[must_use]
pub fn disruption() -> DisruptionLimits {
    DisruptionLimits {
        max_moves: Amount::Percent(15),
        max_drains: Amount::Percent(10),
        max_waves: 10,
        remove_nodes: true,
        add_nodes: true,
        preemption: Preemption::Never,
    }
}

/// What things are worth.
#[must_use]
pub fn costs() -> Costs {
    Costs {
        move_per_core: 0.002,
        node_change: 0.02,
        breach_per_replica_hour: 1.0,
        unplaced_per_hour: 1000.0,
        preference_per_hour: 0.0001,
        amortise_hours: 1.0,
    }
}
