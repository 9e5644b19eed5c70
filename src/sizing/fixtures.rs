//! Policies for tests of what is made from them.

use crate::domain::policy::{Costs, Objective, Planning, Policy, Target};

/// A target named `web` for every workload, free to scale from 1 to 20 and to resize.
pub(crate) fn target(objective: Objective) -> Target {
    Target::free("web", objective)
}

/// A policy with this one target and round numbers.
pub(crate) fn policy(target: Target) -> Policy {
    let costs = Costs {
        move_per_core: 0.01,
        node_change: 0.01,
        breach_per_replica_hour: 2.0,
        unplaced_per_hour: 100.0,
        preference_per_hour: 0.0,
        amortise_hours: 1.0,
    };
    let planning = Planning {
        horizon_s: 3600,
        lead_time_s: 300,
        estimate_per_core_hour: 0.03,
        estimate_per_gib_hour: 0.004,
        estimate_per_gpu_hour: 1.0,
        ..Planning::default()
    };
    Policy { planning, ..Policy::unlimited("test", vec![target], costs) }
}
