//! Every pod, workload and node accounted for exactly once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::domain::plan::PlacementState;
use crate::domain::snapshot::{Pod, WorkloadId};
use crate::domain::{Menu, MenuEntry};

use super::after::{After, AfterWorkload, same_requests};
use super::{Given, Violation};

pub(super) fn check(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) {
    pods(given, after, violations);
    replicas(given, after, violations);
    choices(given, after, violations);
    removals(given, after, violations);
    daemons(given, after, violations);
}

/// No pod is in two places, and no running pod in none.
fn pods(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) {
    let plan = given.plan;
    let mut seen: HashSet<(&str, &str)> = HashSet::new();
    let placed = plan.placements.iter().map(|p| (p.namespace.as_str(), p.pod.as_str()));
    let removed = plan.removals.iter().map(|r| (r.namespace.as_str(), r.pod.as_str()));
    let preempted = plan.preempted.iter().map(|p| (p.namespace.as_str(), p.pod.as_str()));
    for (namespace, name) in placed.chain(removed.clone()).chain(preempted) {
        if !seen.insert((namespace, name)) {
            violations.push(Violation::PodTwice { pod: format!("{namespace}/{name}") });
        }
    }
    for (namespace, name) in removed {
        if !after.pods_now.contains_key(&(namespace, name)) {
            violations.push(Violation::RemovalUnknown { pod: format!("{namespace}/{name}") });
        }
    }
    for pod in &given.snapshot.pods {
        let known = seen.contains(&(pod.namespace.as_str(), pod.name.as_str()));
        if !known && after.is_bound(pod) && !pod.deleting && !goes_with_its_node(after, pod) {
            violations.push(Violation::PodForgotten { pod: pod.full_name() });
        }
    }
    for pod in &after.pods {
        if pod.state == PlacementState::Move && pod.now.is_some_and(|p| p.do_not_evict) {
            violations.push(Violation::PinnedMoved { pod: pod.name.clone() });
        }
    }
}

/// A pod of a `DaemonSet` on a node that is removed.
fn goes_with_its_node(after: &After<'_>, pod: &Pod) -> bool {
    after.workload_of(&pod.workload).is_some_and(|w| w.now.daemon)
        && pod.node.as_deref().is_some_and(|node| after.removed_nodes.contains(node))
}

/// Pods placed and unplaced are the replicas, and no more pods are removed than are too many.
fn replicas(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) {
    let mut tallies = vec![Tally::default(); after.workloads.len()];
    let removed: HashSet<(&str, &str)> =
        given.plan.removals.iter().map(|r| (r.namespace.as_str(), r.pod.as_str())).collect();
    let mut placed: HashSet<(&str, &str)> = HashSet::new();
    for pod in &after.pods {
        if let Some(tally) = tallies.get_mut(pod.workload) {
            tally.placed += 1;
            tally.leaving += u32::from(pod.deleting());
        }
        if let Some(now) = pod.now {
            placed.insert((&now.namespace, &now.name));
        }
    }
    for pod in &given.snapshot.pods {
        let number = after.workload_numbers.get(&pod.workload);
        let Some(tally) = number.and_then(|&number| tallies.get_mut(number)) else { continue };
        let key = (pod.namespace.as_str(), pod.name.as_str());
        tally.now += u32::from(!pod.deleting);
        tally.removed += u32::from(removed.contains(&key) && !pod.deleting);
        // A pod on a node outside the snapshot is one of the replicas, whether the plan names it or not.
        let unnamed = after.is_elsewhere(pod) && !removed.contains(&key) && !placed.contains(&key);
        tally.elsewhere += u32::from(unnamed);
    }
    for (workload, tally) in after.workloads.iter().zip(tallies) {
        if workload.now.daemon {
            continue;
        }
        let replicas = workload.replicas();
        let total = tally.placed.saturating_add(workload.unplaced);
        // A pod that is being deleted may be counted until it is gone.
        let least = total - tally.leaving;
        let most = total.saturating_add(tally.elsewhere);
        if !(least..=most).contains(&replicas) {
            violations.push(Violation::ReplicaCount {
                workload: workload.label.clone(),
                replicas,
                placed: tally.placed,
                unplaced: workload.unplaced,
            });
        }
        let surplus = tally.now.saturating_sub(replicas);
        if tally.removed > surplus {
            violations.push(Violation::NeedlessRemoval {
                workload: workload.label.clone(),
                removed: tally.removed,
                surplus,
            });
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Tally {
    /// Pods now, without those being deleted.
    now: u32,
    /// Pods with a node when the plan is done.
    placed: u32,
    /// Those of them that are being deleted.
    leaving: u32,
    /// Pods that stay on nodes outside the snapshot.
    elsewhere: u32,
    removed: u32,
}

/// Every choice is on the workload's menu, or is what stands where there is none.
fn choices(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) {
    let menus: BTreeMap<&WorkloadId, &Menu> = given.menus.iter().map(|m| (&m.workload, m)).collect();
    let mut pods: HashMap<&WorkloadId, Vec<(&str, bool)>> = HashMap::new();
    for pod in given.snapshot.pods.iter().filter(|pod| !pod.deleting) {
        let stays = after.is_elsewhere(pod) || pod.do_not_evict && after.is_bound(pod);
        pods.entry(&pod.workload).or_default().push((&pod.name, stays));
    }
    for workload in &after.workloads {
        let Some(plan) = workload.plan else { continue };
        let pods = pods.get(&workload.now.id).map_or(&[][..], Vec::as_slice);
        let held = workload.now.id.held(workload.now.replicas, pods.iter().copied());
        let standing =
            Standing { all: u32::try_from(pods.len()).unwrap_or(u32::MAX), fewest: held.map_or(0, |held| held.fewest) };
        let unchanged = !workload.is_resized() && keeps_replicas(workload, standing);
        let chosen = |e: &MenuEntry| e.replicas == plan.replicas && same_requests(&e.requests, &plan.requests);
        // A menu that would take away pods that must stay is none.
        let menu = menus.get(&workload.now.id).filter(|m| m.entries.iter().any(|e| e.replicas >= standing.fewest));
        match menu {
            Some(menu) if menu.entries.iter().any(chosen) => {}
            Some(_) if unchanged && !workload.now.scalable => {}
            Some(_) => {
                violations.push(Violation::NotOnMenu { workload: workload.label.clone(), replicas: plan.replicas });
            }
            None if unchanged => {}
            None => violations.push(Violation::ChangedWithoutMenu { workload: workload.label.clone() }),
        }
    }
}

/// Pods of a workload now, without those being deleted.
#[derive(Clone, Copy, Default)]
struct Standing {
    all: u32,
    /// Fewest replicas that keep those that must stay.
    fewest: u32,
}

/// Whether the number of replicas is what stands. A `DaemonSet`'s follows the nodes; pods that nothing makes again, or
/// that run to completion, are as many as there are; and pods that must stay are not taken away.
fn keeps_replicas(workload: &AfterWorkload<'_>, standing: Standing) -> bool {
    let replicas = workload.replicas();
    let declared = workload.now.replicas;
    let counts_itself = workload.now.batch || !workload.now.scalable || workload.now.template.is_none();
    workload.now.daemon
        || replicas == declared
        || replicas == declared.max(standing.fewest)
        || (counts_itself && replicas == standing.all)
}

/// No pod goes that must stay, and of a `StatefulSet` only those that its controller takes: the highest ordinals.
fn removals(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) {
    let removed: BTreeSet<(&str, &str)> =
        given.plan.removals.iter().map(|r| (r.namespace.as_str(), r.pod.as_str())).collect();
    let goes = |pod: &Pod| removed.contains(&(pod.namespace.as_str(), pod.name.as_str()));
    let mut highest_staying: BTreeMap<&WorkloadId, (u32, &Pod)> = BTreeMap::new();
    for pod in given.snapshot.pods.iter().filter(|pod| !pod.deleting && !goes(pod)) {
        if let Some(ordinal) = pod.workload.pod_ordinal(&pod.name) {
            let highest = highest_staying.entry(&pod.workload).or_insert((ordinal, pod));
            if ordinal > highest.0 {
                *highest = (ordinal, pod);
            }
        }
    }
    for pod in given.snapshot.pods.iter().filter(|pod| !pod.deleting && goes(pod)) {
        if pod.do_not_evict && after.is_bound(pod) {
            violations.push(Violation::PinnedRemoved { pod: pod.full_name() });
        }
        let higher = highest_staying.get(&pod.workload);
        let own = pod.workload.pod_ordinal(&pod.name);
        if let Some((_, stays)) = higher.filter(|(ordinal, _)| own.is_some_and(|own| own < *ordinal)) {
            violations.push(Violation::RemovalOutOfOrder { pod: pod.full_name(), stays: stays.full_name() });
        }
    }
}

/// Each node that a `DaemonSet` is for has its pod. A node that stands and has none now (it may be too full) is let
/// off; one that is bought is not.
fn daemons(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) {
    if !after.workloads.iter().any(|workload| workload.now.daemon) {
        return;
    }
    let placed: HashSet<(usize, usize)> = after.pods.iter().map(|p| (p.workload, p.node)).collect();
    let mut standing: HashSet<(&WorkloadId, &str)> = HashSet::new();
    for pod in &given.snapshot.pods {
        standing.extend(pod.node.as_deref().map(|node| (&pod.workload, node)));
    }
    for (number, workload) in after.workloads.iter().enumerate().filter(|(_, w)| w.now.daemon) {
        let Some(template) = workload.now.template.and_then(|t| after.templates.get(t)) else { continue };
        for (node_number, node) in after.nodes.iter().enumerate() {
            let wanted = template.rules.selects_node(node.name, &node.labels)
                && template.rules.untolerated(node.taints).is_none();
            let had = node.now.is_none() || standing.contains(&(&workload.now.id, node.name));
            if wanted && had && !placed.contains(&(number, node_number)) {
                violations
                    .push(Violation::DaemonMissing { workload: workload.label.clone(), node: node.name.to_owned() });
            }
        }
    }
}
