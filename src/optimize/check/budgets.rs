//! Disruption budgets and `maxUnavailable`, over the waves of a plan.
//!
//! The successor of a pod that moves is there in the next wave, and lets another go. That of a pod that is stopped for
//! another waits, so all of those together are within what may be away at once.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::plan::PlacementState;
use crate::domain::snapshot::{DisruptionBudget, Pod, WorkloadId};

use super::after::After;
use super::{Given, Violation};

pub(super) fn check(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) {
    let waves = given.policy.disruption.max_waves.max(1);
    let moved = after.pods.iter().filter(|p| p.state == PlacementState::Move).filter_map(|p| p.now);
    let evicted: Vec<&Pod> = moved.chain(after.victims.iter().copied()).collect();
    let mut by_workload: BTreeMap<&WorkloadId, u32> = BTreeMap::new();
    for pod in &evicted {
        *by_workload.entry(&pod.workload).or_default() += 1;
    }
    let at_once = |limit: String, preempted: u32, allowed: u32| {
        (preempted > allowed).then_some(Violation::PreemptedAtOnce { limit, preempted, allowed })
    };
    for (id, moves) in by_workload {
        let Some(workload) = after.workload_of(id) else { continue };
        let target = given.policy.target_for(workload.now);
        let Some(unavailable) = target.and_then(|target| target.max_unavailable) else { continue };
        let unavailable = unavailable.of_rounded_up(workload.now.replicas);
        let preempted = after.victims.iter().filter(|pod| pod.workload == *id).count() as u32;
        violations.extend(at_once(format!("maxUnavailable of {}", workload.label), preempted, unavailable));
        let allowed = unavailable.saturating_mul(waves);
        if moves > allowed {
            violations.push(Violation::Unavailable { workload: workload.label.clone(), moves, allowed });
        }
    }
    for budget in &given.snapshot.budgets {
        let covered = covered_templates(given, budget);
        let of_budget = |pod: &&&Pod| covered.contains(&pod.template);
        let moves = evicted.iter().filter(of_budget).count() as u32;
        let preempted = after.victims.iter().filter(of_budget).count() as u32;
        let disruptions = disruptions_allowed(given, after, budget, &covered);
        let budget = format!("{}/{}", budget.namespace, budget.name);
        violations.extend(at_once(format!("the disruption budget {budget}"), preempted, disruptions));
        let allowed = disruptions.saturating_mul(waves);
        if moves > allowed {
            violations.push(Violation::Budget { budget, moves, allowed });
        }
    }
}

/// Templates whose pods the budget selects.
fn covered_templates(given: &Given<'_>, budget: &DisruptionBudget) -> BTreeSet<usize> {
    let Some(selector) = &budget.selector else { return BTreeSet::new() };
    let templates = given.snapshot.templates.iter().enumerate();
    let covered = templates.filter(|(_, t)| t.namespace == budget.namespace && selector.matches(&t.labels));
    covered.map(|(template, _)| template).collect()
}

/// As Kubernetes' disruption controller counts: expected are the replicas that the controllers of the covered pods want
/// (a pod without one counts for itself), healthy are the covered pods that are ready.
fn disruptions_allowed(
    given: &Given<'_>,
    after: &After<'_>,
    budget: &DisruptionBudget,
    covered: &BTreeSet<usize>,
) -> u32 {
    let mut expected: BTreeMap<&WorkloadId, u32> = BTreeMap::new();
    let mut healthy = 0_u32;
    for pod in given.snapshot.pods.iter().filter(|pod| covered.contains(&pod.template)) {
        match after.workload_of(&pod.workload) {
            Some(workload) => drop(expected.insert(&pod.workload, workload.now.replicas)),
            None => *expected.entry(&pod.workload).or_default() += 1,
        }
        healthy += u32::from(pod.ready && !pod.deleting && pod.node.is_some());
    }
    let expected: u32 = expected.values().sum();
    let needed = match (budget.max_unavailable, budget.min_available) {
        (Some(gone), _) => expected.saturating_sub(gone.of_rounded_up(expected)),
        (None, Some(kept)) => kept.of_rounded_up(expected),
        (None, None) => 0,
    };
    healthy.saturating_sub(needed)
}
