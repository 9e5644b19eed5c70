//! From the concrete state to the [`Plan`] that is handed out.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::catalog::PriceSource;
use crate::domain::menu::{Basis, DeclaredReason};
use crate::domain::plan::{
    Certificate, CostParts, NodePlan, NodeState as State, Placement, PlacementState, Plan, Removal, Stopped, Unplaced,
    WorkloadPlan,
};
use crate::domain::resources::Resources;
use crate::domain::rules::INSTANCE_TYPE_LABEL;
use crate::domain::snapshot::{PodTemplate, Workload, WorkloadId};

use super::instance::{Amounts, Instance, Standing, dense_demand};
use super::occupancy::Occupancy;
use super::reasons::{Patience, Reasons, cluster_after, pending};

/// The plan of a state, its certificate and what keeps pods out still to be filled in.
pub(super) fn plan_of(occupancy: &Occupancy<'_>) -> Plan {
    let names = node_names(occupancy);
    let (placements, used) = placements(occupancy, &names);
    let moved = moves_by_workload(&placements);
    Plan {
        certificate: unproven(),
        workloads: workloads(occupancy, &placements, &moved),
        nodes: nodes(occupancy, &names, &used),
        placements,
        removals: removals(occupancy),
        unplaced: unplaced(occupancy, |_| Vec::new()),
        pending: Vec::new(),
        binding: Vec::new(),
        conflict: None,
    }
}

/// Says of the plan of a state why pods wait today and why some have no node when it is done, as far as the time allows.
pub(super) fn explain(plan: &mut Plan, occupancy: &Occupancy<'_>, out_of_time: &dyn Fn() -> bool) {
    let mut patience = Patience::new(out_of_time);
    plan.pending = pending(occupancy.instance.snapshot, &mut patience);
    if plan.unplaced.is_empty() {
        return;
    }
    let (reasons, cluster) = (Reasons::new(occupancy.instance), cluster_after(occupancy));
    let mut patience = Patience::new(out_of_time);
    plan.unplaced = unplaced(occupancy, |pod| patience.ask(|| reasons.of(occupancy, &cluster, pod)));
    for unplaced in &mut plan.unplaced {
        // What the scheduler says today comes first: the same words stand in the pod's own condition.
        let same = |p: &&Unplaced| (&p.namespace, &p.workload) == (&unplaced.namespace, &unplaced.workload);
        let today = plan.pending.iter().find(same);
        unplaced.reasons.splice(0..0, today.into_iter().flat_map(|p| p.reasons.iter().cloned()));
        unplaced.reasons.dedup();
    }
}

fn unproven() -> Certificate {
    Certificate {
        cost_per_hour: 0.0,
        bound_per_hour: 0.0,
        gap: 0.0,
        model_gap: 0.0,
        packing_gap: 0.0,
        feasible: false,
        stopped: Stopped::Exhausted,
        unmodelled_rules: Vec::new(),
        unplaceable_per_hour: 0.0,
        cost: CostParts::default(),
        cost_now: CostParts::default(),
        now_feasible: false,
        prices: PriceSource::Estimated,
        violations: Vec::new(),
    }
}

/// Names of all nodes; bought ones are numbered by prototype in the order they were bought.
fn node_names(occupancy: &Occupancy<'_>) -> Vec<String> {
    let taken: BTreeSet<&str> = occupancy.instance.snapshot.nodes.iter().map(|n| n.name.as_str()).collect();
    let mut numbers: BTreeMap<usize, u32> = BTreeMap::new();
    let mut names = Vec::with_capacity(occupancy.nodes.len());
    for node in &occupancy.nodes {
        if !node.bought || !node.open {
            names.push(node.name.to_string());
            continue;
        }
        let number = numbers.entry(node.site).or_insert(0);
        names.push(loop {
            *number += 1;
            let name = format!("{}-{number}", occupancy.instance.sites[node.site].name);
            if !taken.contains(name.as_str()) {
                break name;
            }
        });
    }
    names
}

/// Every pod that has a node, sorted, and what is used of each node.
fn placements(occupancy: &Occupancy<'_>, names: &[String]) -> (Vec<Placement>, Vec<Amounts>) {
    let instance = occupancy.instance;
    let snapshot = instance.snapshot;
    let mut used = vec![vec![0_i64; instance.resources.len()]; occupancy.nodes.len()];
    let add = |sum: &mut Amounts, demand: &[i64]| {
        for (sum, amount) in sum.iter_mut().zip(demand) {
            *sum = sum.saturating_add(*amount);
        }
    };
    let mut placements = Vec::with_capacity(occupancy.pods.len());
    for pod in &occupancy.pods {
        let Some(node) = pod.node.filter(|n| occupancy.nodes[*n].open) else { continue };
        add(&mut used[node], &pod.demand);
        let (namespace, workload) = owner(occupancy, pod.existing, pod.group);
        let state = match pod.origin {
            None => PlacementState::New,
            Some(origin) if origin == node => PlacementState::Stay,
            Some(_) => PlacementState::Move,
        };
        let from = pod.origin.filter(|_| state == PlacementState::Move).map(|o| names[o].clone());
        placements.push(Placement {
            namespace,
            pod: pod.name.to_string(),
            workload,
            node: names[node].clone(),
            state,
            from,
        });
    }
    let existing: BTreeSet<(&str, &str)> =
        snapshot.pods.iter().map(|p| (p.namespace.as_str(), p.name.as_str())).collect();
    let mut numbers: BTreeMap<usize, u32> = BTreeMap::new();
    for (index, node) in occupancy.nodes.iter().enumerate().filter(|(_, n)| n.bought && n.open) {
        for &daemon in &instance.sites[node.site].daemons {
            let workload = &snapshot.workloads[daemon];
            let Some(template) = workload.template.and_then(|t| snapshot.templates.get(t)) else { continue };
            let number = numbers.entry(daemon).or_insert(0);
            let pod = loop {
                *number += 1;
                let name = format!("{}-new-{number}", workload.id.name);
                if !existing.contains(&(workload.id.namespace.as_str(), name.as_str())) {
                    break name;
                }
            };
            add(&mut used[index], &dense_demand(&instance.resources, template));
            placements.push(Placement {
                namespace: workload.id.namespace.clone(),
                pod,
                workload: label(&workload.id),
                node: names[index].clone(),
                state: PlacementState::New,
                from: None,
            });
        }
    }
    placements.sort_by(|a, b| (&a.namespace, &a.pod).cmp(&(&b.namespace, &b.pod)));
    (placements, used)
}

fn label(id: &WorkloadId) -> String {
    format!("{}/{}", id.kind, id.name)
}

/// Namespace and `Kind/name` of the workload.
fn owner(occupancy: &Occupancy<'_>, existing: Option<usize>, group: Option<usize>) -> (String, String) {
    let instance = occupancy.instance;
    match (group, existing) {
        (Some(group), _) => (instance.groups[group].id.namespace.clone(), instance.groups[group].label()),
        (None, Some(pod)) => {
            let pod = &instance.snapshot.pods[pod];
            (pod.namespace.clone(), label(&pod.workload))
        }
        (None, None) => (String::new(), String::new()),
    }
}

fn moves_by_workload(placements: &[Placement]) -> BTreeMap<(&str, &str), (u32, u32)> {
    let mut moves: BTreeMap<(&str, &str), (u32, u32)> = BTreeMap::new();
    for placement in placements {
        let (moved, placed) = moves.entry((&placement.namespace, &placement.workload)).or_insert((0, 0));
        *placed += 1;
        *moved += u32::from(placement.state == PlacementState::Move);
    }
    moves
}

fn workloads(
    occupancy: &Occupancy<'_>,
    _: &[Placement],
    moved: &BTreeMap<(&str, &str), (u32, u32)>,
) -> Vec<WorkloadPlan> {
    let instance = occupancy.instance;
    let snapshot = instance.snapshot;
    let requests_of = |template: Option<usize>| {
        template.and_then(|t| snapshot.templates.get(t)).map_or_else(Resources::default, |t| t.requests.clone())
    };
    let no_metrics = |reason| Basis::Declared { reason };
    let mut plans: Vec<WorkloadPlan> = Vec::new();
    for (index, group) in instance.groups.iter().enumerate() {
        let Some(choice) = occupancy.choice(index) else { continue };
        let entry = group.menu.zip(choice.entry).and_then(|(menu, entry)| menu.entries.get(entry));
        let current = group.menu.and_then(|m| m.current.and_then(|c| m.entries.get(c)));
        let requests_now = requests_of(group.template);
        let requests = group.sizes.get(choice.size).cloned().flatten().unwrap_or_else(|| requests_now.clone());
        let reason = if group.workload.is_some_and(|w| w.scalable) {
            DeclaredReason::NoMetrics
        } else {
            DeclaredReason::NotScalable
        };
        plans.push(WorkloadPlan {
            id: group.id.clone(),
            replicas_now: group.workload.map_or(group.pods.len() as u32, |w| w.replicas),
            replicas: choice.replicas,
            requests_now,
            requests,
            risk: entry.and_then(|e| e.risk),
            risk_now: current.and_then(|e| e.risk),
            basis: entry.map_or_else(|| no_metrics(reason), |e| e.basis.clone()),
            target: group.target.map(|t| t.name.clone()),
            moves: moved.get(&(group.id.namespace.as_str(), group.label().as_str())).map_or(0, |(moved, _)| *moved),
        });
    }
    for workload in snapshot.workloads.iter().filter(|w| w.daemon) {
        let requests = requests_of(workload.template);
        let placed = moved.get(&(workload.id.namespace.as_str(), label(&workload.id).as_str())).map_or(0, |(_, n)| *n);
        plans.push(WorkloadPlan {
            id: workload.id.clone(),
            replicas_now: workload.replicas,
            replicas: placed,
            requests_now: requests.clone(),
            requests,
            risk: None,
            risk_now: None,
            basis: no_metrics(DeclaredReason::NotScalable),
            target: instance.policy.target_for(workload).map(|t| t.name.clone()),
            moves: 0,
        });
    }
    plans.sort_by(|a, b| a.id.cmp(&b.id));
    plans
}

fn nodes(occupancy: &Occupancy<'_>, names: &[String], used: &[Amounts]) -> Vec<NodePlan> {
    let instance = occupancy.instance;
    let mut used_now = vec![vec![0_i64; instance.resources.len()]; instance.standing];
    for pod in &instance.pods {
        let Some(node) = pod.node else { continue };
        for (sum, amount) in used_now[node].iter_mut().zip(&pod.demand) {
            *sum = sum.saturating_add(*amount);
        }
    }
    let mut plans: Vec<NodePlan> = Vec::new();
    for (index, node) in occupancy.nodes.iter().enumerate() {
        let state = match (node.bought, node.open) {
            (true, false) => continue,
            (true, true) => State::Add,
            (false, true) => State::Keep,
            (false, false) => State::Remove,
        };
        let site = &instance.sites[node.site];
        plans.push(NodePlan {
            name: names[index].clone(),
            offer: site.offer.clone(),
            zone: site.zone.clone(),
            capacity_type: site.capacity_type,
            state,
            price_per_hour: site.price_per_hour,
            allocatable: instance.named(&site.allocatable),
            used_now: used_now.get(index).map_or_else(Resources::default, |used| instance.named(used)),
            used: instance.named(&used[index]),
        });
    }
    plans.sort_by(|a, b| a.name.cmp(&b.name));
    plans
}

fn removals(occupancy: &Occupancy<'_>) -> Vec<Removal> {
    let instance = occupancy.instance;
    let removed = occupancy.pods.iter().filter(|p| p.removed && p.existing.is_some());
    let mut removals: Vec<Removal> = removed
        .map(|pod| {
            let (namespace, workload) = owner(occupancy, pod.existing, pod.group);
            let node = pod.origin.map(|n| instance.sites[n].name.clone());
            Removal { namespace, pod: pod.name.to_string(), workload, node }
        })
        .collect();
    removals.sort_by(|a, b| (&a.namespace, &a.pod).cmp(&(&b.namespace, &b.pod)));
    removals
}

/// Pods without a node, by workload, with the reasons of one pod of each template.
fn unplaced(occupancy: &Occupancy<'_>, mut reasons: impl FnMut(usize) -> Vec<String>) -> Vec<Unplaced> {
    let mut kinds: BTreeMap<(String, String, usize), Vec<usize>> = BTreeMap::new();
    for pod in occupancy.waiting() {
        let state = &occupancy.pods[pod];
        if state.standing == Standing::Leaving {
            continue;
        }
        let (namespace, workload) = owner(occupancy, state.existing, state.group);
        kinds.entry((namespace, workload, state.template)).or_default().push(pod);
    }
    let mut unplaced: Vec<Unplaced> = Vec::new();
    for ((namespace, workload, _), pods) in kinds {
        let found = reasons(pods[0]);
        match unplaced.last_mut().filter(|u| u.namespace == namespace && u.workload == workload) {
            Some(same) => {
                same.count += pods.len() as u32;
                same.reasons.extend(found);
                same.reasons.dedup();
            }
            None => unplaced.push(Unplaced { namespace, workload, count: pods.len() as u32, reasons: found }),
        }
    }
    unplaced
}

/// Offers of which no node stands: how many volumes their nodes can hold is not known, and taken as no limit.
fn unknown_volume_limits(instance: &Instance<'_>) -> Option<String> {
    let snapshot = instance.snapshot;
    let limited = |t: &PodTemplate| !t.rules.volumes.own.0.is_empty() || !t.rules.volumes.shared.is_empty();
    let offers: BTreeSet<&str> = instance.sites[instance.standing..]
        .iter()
        .filter(|site| {
            let instance_type = site.labels.get(INSTANCE_TYPE_LABEL).map_or("", String::as_str);
            snapshot.volume_limits_of_type(instance_type).is_none()
        })
        .map(|site| site.offer.as_str())
        .collect();
    let count = offers.len();
    (count > 0 && snapshot.templates.iter().any(limited)).then(|| {
        format!("limit on the volumes of nodes to buy ({count} {})", if count == 1 { "offer" } else { "offers" })
    })
}

/// Rules of the input that nothing here takes into account, each with the number of pods that carry it. Preferences are
/// among them where the policy gives them no price.
pub(super) fn unmodelled_rules(instance: &Instance<'_>) -> Vec<String> {
    let snapshot = instance.snapshot;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in &snapshot.pods {
        let Some(rules) = snapshot.templates.get(pod.template).map(|t| &t.rules) else { continue };
        let found = [
            ("preferred node affinity", !rules.preferred_node_affinity.is_empty()),
            ("preferred pod affinity", !rules.preferred_pod_affinity.is_empty()),
            ("preferred pod anti-affinity", !rules.preferred_pod_anti_affinity.is_empty()),
            ("topology spread with ScheduleAnyway", rules.topology_spread.iter().any(|s| !s.hard)),
        ];
        let weighed = instance.policy.costs.preference_per_hour > 0.0;
        let found = found.into_iter().filter(|(_, found)| *found && !weighed).map(|(name, _)| name);
        for name in found.chain(rules.unread.iter().map(String::as_str)) {
            *counts.entry(name).or_insert(0) += 1;
        }
    }
    let mut rules: Vec<String> = counts
        .into_iter()
        .map(|(name, count)| format!("{name} ({count} {})", if count == 1 { "pod" } else { "pods" }))
        .collect();
    let preferring = snapshot
        .nodes
        .iter()
        .filter(|n| n.taints.iter().any(|t| t.effect == crate::domain::rules::TaintEffect::PreferNoSchedule))
        .count();
    if preferring > 0 && instance.policy.costs.preference_per_hour <= 0.0 {
        rules.push(format!("taint with PreferNoSchedule ({preferring} nodes)"));
    }
    rules.extend(unknown_volume_limits(instance));
    let quotas = snapshot.quotas.iter().filter(|quota| quota.limits_claims()).count();
    let makes_claims = |w: &Workload| w.scalable && w.id.kind == "StatefulSet";
    if quotas > 0 && snapshot.workloads.iter().any(makes_claims) {
        rules.push(format!("quota on claims of volumes ({quotas} {})", if quotas == 1 { "quota" } else { "quotas" }));
    }
    rules
}
