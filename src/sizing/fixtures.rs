//! Policies for tests of what is made from them.

use std::collections::BTreeMap;

use crate::domain::Resources;
use crate::domain::policy::{
    Behavior, Costs, DisruptionLimits, MetricMapping, Mode, Objective, Planning, Policy, Target, WorkloadSelector,
};
use crate::domain::snapshot::Amount;

/// A target named `web` for every workload, free to scale from 1 to 20 and to resize.
pub(crate) fn target(objective: Objective) -> Target {
    Target {
        name: "web".into(),
        selects: WorkloadSelector::default(),
        min_replicas: 1,
        max_replicas: 20,
        scale_replicas: true,
        resize_requests: true,
        min_requests: Resources::default(),
        max_requests: Resources::default(),
        objective,
        max_risk: 0.05,
        behavior: Behavior::default(),
        spread: None,
        max_spot_share: None,
        zone_loss: None,
        max_unavailable: None,
    }
}

/// A policy with this one target and round numbers.
pub(crate) fn policy(target: Target) -> Policy {
    Policy {
        name: "test".into(),
        source: "test".into(),
        mode: Mode::Recommend,
        targets: vec![target],
        disruption: DisruptionLimits {
            max_moves: Amount::Percent(100),
            max_drains: Amount::Percent(100),
            max_waves: 10,
            remove_nodes: true,
            add_nodes: true,
        },
        costs: Costs {
            move_per_core: 0.01,
            node_change: 0.01,
            breach_per_replica_hour: 2.0,
            unplaced_per_hour: 100.0,
            preference_per_hour: 0.0,
            amortise_hours: 1.0,
        },
        planning: Planning {
            step_ms: 60_000,
            horizon_s: 3600,
            lead_time_s: 300,
            memory_margin: 0.15,
            estimate_per_core_hour: 0.03,
            estimate_per_gib_hour: 0.004,
            estimate_per_gpu_hour: 1.0,
            ..Planning::default()
        },
        metrics: MetricMapping::default(),
        events: Vec::new(),
        places: BTreeMap::new(),
    }
}
