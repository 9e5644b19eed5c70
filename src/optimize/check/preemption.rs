//! Preemption: a running pod is stopped only where the policy allows it, for a pod that may take its room and does.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::domain::plan::{PlacementState, Preempted};
use crate::domain::policy::Preemption;
use crate::domain::snapshot::{Pod, PodTemplate, WorkloadId};

use super::after::{After, AfterPod};
use super::violation::PreemptionBar;
use super::{Given, Violation};

pub(super) fn check(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) {
    if given.plan.preempted.is_empty() {
        return;
    }
    let removed: HashSet<(&str, &str)> =
        given.plan.removals.iter().map(|r| (r.namespace.as_str(), r.pod.as_str())).collect();
    let mut shrinking: HashSet<&WorkloadId> = HashSet::new();
    for pod in given.snapshot.pods.iter().filter(|pod| removed.contains(&(&*pod.namespace, &*pod.name))) {
        shrinking.insert(&pod.workload);
    }
    let by_name: HashMap<&str, &AfterPod<'_>> = after.pods.iter().map(|pod| (pod.name.as_str(), pod)).collect();
    for preempted in &given.plan.preempted {
        let pod = format!("{}/{}", preempted.namespace, preempted.pod);
        let mut bar = |by: PreemptionBar| violations.push(Violation::PreemptionForbidden { pod: pod.clone(), by });
        if given.policy.disruption.preemption == Preemption::Never {
            bar(PreemptionBar::Policy);
        }
        match after.victims.iter().find(|victim| victim.full_name() == pod) {
            Some(now) => {
                victim(after, preempted, now, &shrinking).into_iter().for_each(&mut bar);
                preemptor(after, preempted, now, &by_name).into_iter().for_each(&mut bar);
            }
            None => bar(PreemptionBar::NotRunning(preempted.node.clone())),
        }
    }
    waiting(after, violations);
}

/// What keeps the pod from being stopped for any other.
fn victim(after: &After<'_>, preempted: &Preempted, now: &Pod, shrinking: &HashSet<&WorkloadId>) -> Vec<PreemptionBar> {
    let workload = after.workload_of(&now.workload).map(|workload| workload.now);
    let made_again = now.workload.kind != "Pod" && workload.is_some_and(|w| !w.daemon && !w.batch);
    let in_gang = template(after, now.template).is_some_and(|t| t.gang.is_some());
    let bars = [
        (now.node.as_ref() != Some(&preempted.node)).then(|| PreemptionBar::NotRunning(preempted.node.clone())),
        now.do_not_evict.then_some(PreemptionBar::Pinned),
        (!made_again).then_some(PreemptionBar::Settled),
        in_gang.then_some(PreemptionBar::Gang),
        // Its controller would take the successor, which waits, in place of a pod that the plan takes away.
        shrinking.contains(&now.workload).then_some(PreemptionBar::Shrinks),
    ];
    bars.into_iter().flatten().collect()
}

/// What keeps the pod that the plan names from taking the room.
fn preemptor(
    after: &After<'_>,
    preempted: &Preempted,
    now: &Pod,
    by_name: &HashMap<&str, &AfterPod<'_>>,
) -> Option<PreemptionBar> {
    let name = format!("{}/{}", preempted.by.namespace, preempted.by.pod);
    let comes = |pod: &&&AfterPod<'_>| {
        let daemon = after.workloads.get(pod.workload).is_some_and(|workload| workload.now.daemon);
        let there = after.nodes.get(pod.node).is_some_and(|node| node.name == preempted.node);
        pod.state == PlacementState::New && there && !daemon
    };
    let Some(pod) = by_name.get(name.as_str()).filter(comes) else {
        return Some(PreemptionBar::NobodyComes(name));
    };
    let priority = |number: usize| template(after, number).map_or(0, |t| t.priority);
    if priority(pod.template) <= priority(now.template) {
        Some(PreemptionBar::Priority(name))
    } else {
        template(after, pod.template).is_some_and(|t| t.never_preempts).then_some(PreemptionBar::NeverPreempts(name))
    }
}

/// Pods that are stopped wait: no other of their workload comes in their stead without being a move.
fn waiting(after: &After<'_>, violations: &mut Vec<Violation>) {
    let mut by_workload: BTreeMap<&WorkloadId, u32> = BTreeMap::new();
    for victim in &after.victims {
        *by_workload.entry(&victim.workload).or_default() += 1;
    }
    for (id, preempted) in by_workload {
        let Some(workload) = after.workload_of(id) else { continue };
        if preempted > workload.unplaced {
            let (workload, unplaced) = (workload.label.clone(), workload.unplaced);
            violations.push(Violation::PreemptedPlaced { workload, preempted, unplaced });
        }
    }
}

fn template<'a>(after: &After<'a>, number: usize) -> Option<&'a PodTemplate> {
    after.templates.get(number)
}
