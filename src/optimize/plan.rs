//! From the concrete state to the [`Plan`] that is handed out.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::catalog::PriceSource;
use crate::domain::menu::{Basis, DeclaredReason};
use crate::domain::plan::{
    Certificate, CostParts, NodePlan, NodeState as State, Placement, PlacementState, Plan, Preempted, Preemptor,
    Removal, Stopped, Unplaced, WorkloadPlan,
};
use crate::domain::policy::Preemption;
use crate::domain::resources::Resources;
use crate::domain::rules::INSTANCE_TYPE_LABEL;
use crate::domain::snapshot::{Pod, PodTemplate, Snapshot, Workload, WorkloadId};

use super::instance::{Instance, Standing};
use super::occupancy::Occupancy;
use super::reasons::{Patience, Reasons, cluster_after, pending};

/// The plan of a state, its certificate and what keeps pods out still to be filled in.
pub(super) fn plan_of(occupancy: &Occupancy<'_>) -> Plan {
    plan_with(occupancy, &Names::numbered(occupancy))
}

/// The same with names given to what is bought.
pub(super) fn plan_with(occupancy: &Occupancy<'_>, names: &Names) -> Plan {
    let placements = placements(occupancy, names);
    let moved = moves_by_workload(&placements);
    let mut nodes: Vec<NodePlan> =
        (0..occupancy.nodes.len()).filter_map(|node| node_plan(occupancy, names, node)).collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    let mut removals: Vec<Removal> = (0..occupancy.pods.len()).filter_map(|pod| removal(occupancy, pod)).collect();
    removals.sort_by(|a, b| (&a.namespace, &a.pod).cmp(&(&b.namespace, &b.pod)));
    Plan {
        certificate: unproven(),
        workloads: workloads(occupancy, &moved),
        nodes,
        placements,
        removals,
        preempted: preempted(occupancy, names),
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

/// A certificate that claims nothing.
pub(super) fn unproven() -> Certificate {
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

/// What nodes are called, and the pods of `DaemonSets` on those that are bought.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// One a node of the state.
    pub(super) nodes: Vec<String>,
    /// By node and workload.
    pub(super) daemons: BTreeMap<(usize, usize), String>,
}

impl Names {
    /// Bought nodes are numbered by prototype in the order they were bought, and so are the pods they get.
    pub(super) fn numbered(occupancy: &Occupancy<'_>) -> Self {
        let instance = occupancy.instance;
        let snapshot = instance.snapshot;
        let taken: BTreeSet<&str> = snapshot.nodes.iter().map(|n| n.name.as_str()).collect();
        let mut numbers: BTreeMap<usize, u32> = BTreeMap::new();
        let mut names = Self { nodes: Vec::with_capacity(occupancy.nodes.len()), daemons: BTreeMap::new() };
        for node in &occupancy.nodes {
            if !node.bought || !node.open {
                names.nodes.push(node.name.to_string());
                continue;
            }
            let number = numbers.entry(node.site).or_insert(0);
            names.nodes.push(loop {
                *number += 1;
                let name = format!("{}-{number}", instance.sites[node.site].name);
                if !taken.contains(name.as_str()) {
                    break name;
                }
            });
        }
        let bought = occupancy.nodes.iter().enumerate().filter(|(_, n)| n.bought && n.open);
        let wanted: Vec<(usize, usize)> =
            bought.flat_map(|(index, n)| instance.sites[n.site].daemons.iter().map(move |d| (index, *d))).collect();
        if wanted.is_empty() {
            return names;
        }
        let existing: BTreeSet<(&str, &str)> =
            snapshot.pods.iter().map(|p| (p.namespace.as_str(), p.name.as_str())).collect();
        let mut numbers: BTreeMap<usize, u32> = BTreeMap::new();
        for (node, daemon) in wanted {
            let id = &snapshot.workloads[daemon].id;
            let number = numbers.entry(daemon).or_insert(0);
            let name = loop {
                *number += 1;
                let name = format!("{}-new-{number}", id.name);
                if !existing.contains(&(id.namespace.as_str(), name.as_str())) {
                    break name;
                }
            };
            names.daemons.insert((node, daemon), name);
        }
        names
    }
}

/// Every pod that has a node, sorted.
fn placements(occupancy: &Occupancy<'_>, names: &Names) -> Vec<Placement> {
    let mut placements = Vec::with_capacity(occupancy.pods.len());
    placements.extend((0..occupancy.pods.len()).filter_map(|pod| placement(occupancy, names, pod)));
    for node in 0..occupancy.nodes.len() {
        placements.extend(daemon_placements(occupancy, names, node));
    }
    placements.sort_by(|a, b| (&a.namespace, &a.pod).cmp(&(&b.namespace, &b.pod)));
    placements
}

/// Where the pod is when the plan is done; `None` where it has no node then.
pub(super) fn placement(occupancy: &Occupancy<'_>, names: &Names, pod: usize) -> Option<Placement> {
    let pod = &occupancy.pods[pod];
    let node = pod.node.filter(|n| occupancy.nodes[*n].open)?;
    let (namespace, workload) = owner(occupancy, pod.existing, pod.group);
    let state = match pod.origin {
        None => PlacementState::New,
        Some(origin) if origin == node => PlacementState::Stay,
        Some(_) => PlacementState::Move,
    };
    let from = pod.origin.filter(|_| state == PlacementState::Move).map(|o| names.nodes[o].clone());
    let node = names.nodes[node].clone();
    Some(Placement { namespace, pod: pod.name.to_string(), workload, node, state, from })
}

/// The pods of `DaemonSets` that a bought node gets.
pub(super) fn daemon_placements(occupancy: &Occupancy<'_>, names: &Names, node: usize) -> Vec<Placement> {
    let state = &occupancy.nodes[node];
    let site = &occupancy.instance.sites[state.site];
    let daemons = site.daemons.iter().filter(|_| state.bought && state.open);
    let placement = |daemon: &usize| {
        let id = &occupancy.instance.snapshot.workloads[*daemon].id;
        Some(Placement {
            namespace: id.namespace.clone(),
            pod: names.daemons.get(&(node, *daemon))?.clone(),
            workload: label(id),
            node: names.nodes[node].clone(),
            state: PlacementState::New,
            from: None,
        })
    };
    daemons.filter_map(placement).collect()
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

fn workloads(occupancy: &Occupancy<'_>, moved: &BTreeMap<(&str, &str), (u32, u32)>) -> Vec<WorkloadPlan> {
    let instance = occupancy.instance;
    let snapshot = instance.snapshot;
    let counts = |id: &WorkloadId| moved.get(&(id.namespace.as_str(), label(id).as_str())).copied().unwrap_or((0, 0));
    let groups = instance.groups.iter().enumerate();
    let mut plans: Vec<WorkloadPlan> =
        groups.filter_map(|(index, group)| workload_plan(occupancy, index, counts(group.id).0)).collect();
    for workload in snapshot.workloads.iter().filter(|w| w.daemon) {
        plans.push(daemon_plan(instance, workload, counts(&workload.id).1));
    }
    plans.sort_by(|a, b| a.id.cmp(&b.id));
    plans
}

fn requests_of(instance: &Instance<'_>, template: Option<usize>) -> Resources {
    template.and_then(|t| instance.snapshot.templates.get(t)).map_or_else(Resources::default, |t| t.requests.clone())
}

/// What becomes of a workload of which so many pods move.
pub(super) fn workload_plan(occupancy: &Occupancy<'_>, index: usize, moves: u32) -> Option<WorkloadPlan> {
    let instance = occupancy.instance;
    let group = &instance.groups[index];
    let choice = occupancy.choice(index)?;
    let entry = group.menu.zip(choice.entry).and_then(|(menu, entry)| menu.entries.get(entry));
    let current = group.menu.and_then(|m| m.current.and_then(|c| m.entries.get(c)));
    let requests_now = requests_of(instance, group.template);
    let requests = group.sizes.get(choice.size).cloned().flatten().unwrap_or_else(|| requests_now.clone());
    let reason = if group.workload.is_some_and(|w| w.scalable) {
        DeclaredReason::NoMetrics
    } else {
        DeclaredReason::NotScalable
    };
    Some(WorkloadPlan {
        id: group.id.clone(),
        replicas_now: group.workload.map_or(group.pods.len() as u32, |w| w.replicas),
        replicas: choice.replicas,
        requests_now,
        requests,
        risk: entry.and_then(|e| e.risk),
        risk_now: current.and_then(|e| e.risk),
        basis: entry.map_or(Basis::Declared { reason }, |e| e.basis.clone()),
        target: group.target.map(|t| t.name.clone()),
        moves,
    })
}

/// What becomes of a `DaemonSet` that has so many pods when the plan is done.
pub(super) fn daemon_plan(instance: &Instance<'_>, workload: &Workload, placed: u32) -> WorkloadPlan {
    let requests = requests_of(instance, workload.template);
    WorkloadPlan {
        id: workload.id.clone(),
        replicas_now: workload.replicas,
        replicas: placed,
        requests_now: requests.clone(),
        requests,
        risk: None,
        risk_now: None,
        basis: Basis::Declared { reason: DeclaredReason::NotScalable },
        target: instance.policy.target_for(workload).map(|t| t.name.clone()),
        moves: 0,
    }
}

/// What becomes of a node; `None` of those that were only considered.
pub(super) fn node_plan(occupancy: &Occupancy<'_>, names: &Names, index: usize) -> Option<NodePlan> {
    let instance = occupancy.instance;
    let node = &occupancy.nodes[index];
    let state = match (node.bought, node.open) {
        (true, false) => return None,
        (true, true) => State::Add,
        (false, true) => State::Keep,
        (false, false) => State::Remove,
    };
    let site = &instance.sites[node.site];
    let mut used = vec![0_i64; instance.resources.len()];
    let mut add = |demand: &[i64]| {
        for (sum, amount) in used.iter_mut().zip(demand) {
            *sum = sum.saturating_add(*amount);
        }
    };
    if node.open {
        node.pods.iter().for_each(|pod| add(&occupancy.pods[*pod].demand));
        if node.bought {
            add(&site.daemon_demand);
        }
    }
    let now = occupancy.relations.layout.used_now.get(index).filter(|_| !node.bought);
    Some(NodePlan {
        name: names.nodes[index].clone(),
        offer: site.offer.clone(),
        zone: site.zone.clone(),
        capacity_type: site.capacity_type,
        state,
        price_per_hour: site.price_per_hour,
        allocatable: instance.named(&site.allocatable),
        used_now: now.map_or_else(Resources::default, |used| instance.named(used)),
        used: instance.named(&used),
    })
}

/// The removal of a pod that goes because its workload shrinks.
pub(super) fn removal(occupancy: &Occupancy<'_>, pod: usize) -> Option<Removal> {
    let pod = &occupancy.pods[pod];
    if !pod.removed || pod.existing.is_none() {
        return None;
    }
    let (namespace, workload) = owner(occupancy, pod.existing, pod.group);
    let node = pod.origin.map(|n| occupancy.instance.sites[n].name.clone());
    Some(Removal { namespace, pod: pod.name.to_string(), workload, node })
}

/// Pods that lost their node, sorted, each with the most important pod that came there instead.
pub(super) fn preempted(occupancy: &Occupancy<'_>, names: &Names) -> Vec<Preempted> {
    let priority = |pod: usize| occupancy.instance.priority(occupancy.pods[pod].template);
    let preempted = |pod: usize| {
        let node = occupancy.pods[pod].origin?;
        let came = occupancy.nodes[node].pods.iter().copied().filter(|other| {
            let state = &occupancy.pods[*other];
            occupancy.took_room(state) && occupancy.takes_room(state.template) && priority(*other) > priority(pod)
        });
        let by = came.max_by_key(|other| (priority(*other), std::cmp::Reverse(*other)))?;
        let named = |pod: usize| {
            let state = &occupancy.pods[pod];
            let (namespace, workload) = owner(occupancy, state.existing, state.group);
            (namespace, state.name.to_string(), workload)
        };
        let ((namespace, name, workload), by) = (named(pod), named(by));
        let by = Preemptor { namespace: by.0, pod: by.1, workload: by.2 };
        Some(Preempted { namespace, pod: name, workload, node: names.nodes[node].clone(), by })
    };
    let mut found: Vec<Preempted> = occupancy.preempted().into_iter().filter_map(preempted).collect();
    found.sort_by(|a, b| (&a.namespace, &a.pod).cmp(&(&b.namespace, &b.pod)));
    found
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

/// Pods by template: those that exist, and those that workloads want and do not have.
fn pods_by_template(snapshot: &Snapshot) -> BTreeMap<usize, usize> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    let mut existing: BTreeMap<&WorkloadId, usize> = BTreeMap::new();
    for pod in &snapshot.pods {
        *counts.entry(pod.template).or_insert(0) += 1;
        *existing.entry(&pod.workload).or_insert(0) += usize::from(!pod.deleting);
    }
    for workload in snapshot.workloads.iter().filter(|workload| !workload.daemon) {
        let Some(template) = workload.template else { continue };
        let to_come = (workload.replicas as usize).saturating_sub(existing.get(&workload.id).copied().unwrap_or(0));
        *counts.entry(template).or_insert(0) += to_come;
    }
    counts.retain(|_, pods| *pods > 0);
    counts
}

/// Pods that wait and that kube-scheduler may make room for by evicting others, which the policy does not allow.
fn could_preempt(snapshot: &Snapshot) -> usize {
    let priority = |pod: &Pod| snapshot.templates.get(pod.template).map(|template| template.priority);
    let running = snapshot.pods.iter().filter(|pod| pod.node.is_some() && !pod.deleting);
    let Some(lowest) = running.filter_map(priority).min() else { return 0 };
    let preempts = |pod: &&Pod| {
        let template = snapshot.templates.get(pod.template);
        let may = template.is_some_and(|t| t.priority > lowest && !t.never_preempts && !t.rules.waits());
        may && pod.node.is_none() && !pod.deleting
    };
    snapshot.pods.iter().filter(preempts).count()
}

/// Rules of the input that nothing here takes into account, each with the number of pods that carry it. Preferences are
/// among them where the policy gives them no price.
pub(super) fn unmodelled_rules(instance: &Instance<'_>) -> Vec<String> {
    let snapshot = instance.snapshot;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (template, pods) in pods_by_template(snapshot) {
        let Some(rules) = snapshot.templates.get(template).map(|t| &t.rules) else { continue };
        let found = [
            ("preferred node affinity", !rules.preferred_node_affinity.is_empty()),
            ("preferred pod affinity", !rules.preferred_pod_affinity.is_empty()),
            ("preferred pod anti-affinity", !rules.preferred_pod_anti_affinity.is_empty()),
            ("topology spread with ScheduleAnyway", rules.topology_spread.iter().any(|s| !s.hard)),
        ];
        let weighed = instance.policy.costs.preference_per_hour > 0.0;
        let found = found.into_iter().filter(|(_, found)| *found && !weighed).map(|(name, _)| name);
        for name in found.chain(rules.unread.iter().map(String::as_str)) {
            *counts.entry(name).or_insert(0) += pods;
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
    let forbidden = instance.policy.disruption.preemption == Preemption::Never;
    let preempting = if forbidden { could_preempt(snapshot) } else { 0 };
    if preempting > 0 {
        let pods = if preempting == 1 { "pod" } else { "pods" };
        let what = "preemption of pods of lower priority, which disruption.preemption does not allow";
        rules.push(format!("{what} ({preempting} {pods})"));
    }
    let quotas = snapshot.quotas.iter().filter(|quota| quota.limits_claims()).count();
    let makes_claims = |w: &Workload| w.scalable && w.id.kind == "StatefulSet";
    if quotas > 0 && snapshot.workloads.iter().any(makes_claims) {
        rules.push(format!("quota on claims of volumes ({quotas} {})", if quotas == 1 { "quota" } else { "quotas" }));
    }
    rules
}
