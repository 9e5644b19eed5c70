//! Disruption budgets and `maxUnavailable`, over the waves of a plan.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::plan::PlacementState;
use crate::domain::snapshot::{DisruptionBudget, Pod, WorkloadId};

use super::after::After;
use super::{Given, Violation};

pub(super) fn check(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) {
    let waves = given.policy.disruption.max_waves.max(1);
    let moved: Vec<&Pod> =
        after.pods.iter().filter(|p| p.state == PlacementState::Move).filter_map(|p| p.now).collect();
    let mut by_workload: BTreeMap<&WorkloadId, u32> = BTreeMap::new();
    for pod in &moved {
        *by_workload.entry(&pod.workload).or_default() += 1;
    }
    for (id, moves) in by_workload {
        let Some(workload) = after.workload_of(id) else { continue };
        let target = given.policy.target_for(workload.now);
        let Some(at_once) = target.and_then(|target| target.max_unavailable) else { continue };
        let allowed = at_once.of_rounded_up(workload.now.replicas).saturating_mul(waves);
        if moves > allowed {
            violations.push(Violation::Unavailable { workload: workload.label.clone(), moves, allowed });
        }
    }
    for budget in &given.snapshot.budgets {
        let covered = covered_templates(given, budget);
        let moves = moved.iter().filter(|pod| covered.contains(&pod.template)).count() as u32;
        let allowed = disruptions_allowed(given, after, budget, &covered).saturating_mul(waves);
        if moves > allowed {
            let budget = format!("{}/{}", budget.namespace, budget.name);
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
