//! A plan becomes ordered waves that budgets, rate limits and room allow.
//!
//! Nodes first, then what needs room (resizes, pending pods, more replicas), then moves, then what gives room back
//! (fewer replicas, nodes). A wave is chosen so that it keeps every rule while it runs ([`admission`]): whatever arrives
//! finds room, ports, volumes and quota before anything that leaves in the same wave has left, pods come in an order that
//! their affinity and spread allow, gangs come whole, and no disruption budget is spent twice. What no wave can hold is
//! deferred, each change with the rule that holds it.

mod admission;
mod budgets;
mod cluster;
mod conflicts;
mod gangs;
mod limits;
mod order;
mod quotas;
mod targets;
mod tasks;
#[cfg(test)]
mod tests;
mod volumes;
mod waves;

use crate::domain::{Catalog, Plan, Policy, Snapshot, Steps};

/// The plan's changes as waves, each feasible while it runs, and what is held back with the rule that holds it.
///
/// - Within a wave, a [`Scale`](crate::domain::steps::Action::Scale) or
///   [`Resize`](crate::domain::steps::Action::Resize) comes before the binds of the pods it makes; a resize is in place
///   for pods that stay, and pods that move or come later have the new size from then on.
/// - Replicas change at most as far as HPA's rate limits reach within the policy's lead time; `at_least_s` of the wave
///   says how long they, the stabilisation window and the booting of nodes take.
/// - Pods of `DaemonSet`s come and go with their nodes and need no steps.
///
/// The mode of the policy plays no part: what may be applied is decided where it is applied. A plan that speaks of
/// nodes or pods the snapshot does not have gives no action for them.
#[must_use]
pub fn steps(snapshot: &Snapshot, catalog: &Catalog, policy: &Policy, plan: &Plan) -> Steps {
    let tasks = tasks::Tasks::new(snapshot, catalog, policy, plan);
    waves::schedule(snapshot, policy, tasks)
}
