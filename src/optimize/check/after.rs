//! The concrete cluster when a plan is done.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::Resources;
use crate::domain::catalog::{CapacityType, NodeOffer};
use crate::domain::plan::{NodePlan, NodeState, Placement, PlacementState, WorkloadPlan};
use crate::domain::rules::{HOSTNAME_LABEL, INSTANCE_TYPE_LABEL, Labels, Taint, ZONE_LABEL};
use crate::domain::snapshot::{Node, Pod, PodTemplate, Workload, WorkloadId};

use super::{Given, Violation};

/// A node that is there when the plan is done.
pub(super) struct AfterNode<'a> {
    pub plan: &'a NodePlan,
    /// The node, if it stands already.
    pub now: Option<&'a Node>,
    pub name: &'a str,
    pub labels: Cow<'a, Labels>,
    pub taints: &'a [Taint],
    pub allocatable: &'a Resources,
    /// Limits on its volumes; of one that is bought, those of nodes of its type.
    pub volume_limits: Cow<'a, Resources>,
    pub zone: &'a str,
    pub capacity_type: CapacityType,
}

/// A pod that has a node when the plan is done.
pub(super) struct AfterPod<'a> {
    pub name: String,
    pub workload: usize,
    /// Index into the snapshot's templates.
    pub template: usize,
    /// What it asks for then, a pod slot included.
    pub requests: Resources,
    /// Index into [`After::nodes`].
    pub node: usize,
    pub state: PlacementState,
    /// The pod, if there is one already.
    pub now: Option<&'a Pod>,
}

impl AfterPod<'_> {
    /// Whether it comes to its node with this plan, so that every rule is asked.
    pub(super) fn comes(&self) -> bool {
        self.state != PlacementState::Stay
    }

    pub(super) fn deleting(&self) -> bool {
        self.now.is_some_and(|pod| pod.deleting)
    }
}

/// A workload with its plan.
pub(super) struct AfterWorkload<'a> {
    pub now: &'a Workload,
    pub label: String,
    pub plan: Option<&'a WorkloadPlan>,
    /// What its template asks for now.
    pub requests_now: Resources,
    /// Pods that have no node when the plan is done.
    pub unplaced: u32,
}

impl AfterWorkload<'_> {
    /// Whether the plan changes its requests.
    pub(super) fn is_resized(&self) -> bool {
        self.plan.is_some_and(|plan| !same_requests(&plan.requests, &self.requests_now))
    }

    pub(super) fn replicas(&self) -> u32 {
        self.plan.map_or(self.now.replicas, |plan| plan.replicas)
    }
}

/// The cluster when the plan is done.
pub(super) struct After<'a> {
    pub nodes: Vec<AfterNode<'a>>,
    pub pods: Vec<AfterPod<'a>>,
    pub workloads: Vec<AfterWorkload<'a>>,
    pub templates: &'a [PodTemplate],
    /// Pods of the snapshot by namespace and name.
    pub pods_now: HashMap<(&'a str, &'a str), &'a Pod>,
    pub workload_numbers: HashMap<&'a WorkloadId, usize>,
    /// Nodes that stand now, by name.
    pub nodes_now: HashMap<&'a str, &'a Node>,
    pub removed_nodes: BTreeSet<&'a str>,
    /// Running pods that the plan stops for others.
    pub victims: Vec<&'a Pod>,
}

impl<'a> After<'a> {
    pub(super) fn workload_of(&self, id: &WorkloadId) -> Option<&AfterWorkload<'a>> {
        self.workloads.get(*self.workload_numbers.get(id)?)
    }

    /// Whether the pod runs on a node that the snapshot knows.
    pub(super) fn is_bound(&self, pod: &Pod) -> bool {
        pod.node.as_deref().is_some_and(|node| self.nodes_now.contains_key(node))
    }

    /// Whether the pod runs on a node that the snapshot does not know.
    pub(super) fn is_elsewhere(&self, pod: &Pod) -> bool {
        pod.node.as_deref().is_some_and(|node| !self.nodes_now.contains_key(node))
    }
}

/// Whether two requests are the same, however they write nothing and their pod slot.
pub(super) fn same_requests(a: &Resources, b: &Resources) -> bool {
    let asked = |r: &Resources| -> Vec<(String, i64)> {
        r.iter()
            .filter(|(name, amount)| *name != crate::domain::resources::PODS && *amount != 0)
            .map(|(name, amount)| (name.to_owned(), amount))
            .collect()
    };
    asked(a) == asked(b)
}

/// Splits `Kind/name`.
pub(super) fn workload_id(namespace: &str, workload: &str) -> WorkloadId {
    let (kind, name) = workload.split_once('/').unwrap_or(("", workload));
    WorkloadId { namespace: namespace.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
}

/// Rebuilds the cluster, noting where the plan contradicts what it was made from.
pub(super) fn rebuild<'a>(given: &Given<'a>, violations: &mut Vec<Violation>) -> After<'a> {
    let snapshot = given.snapshot;
    let nodes_now: HashMap<&str, &Node> = snapshot.nodes.iter().map(|n| (n.name.as_str(), n)).collect();
    let mut after = After {
        nodes: Vec::with_capacity(given.plan.nodes.len()),
        pods: Vec::with_capacity(given.plan.placements.len()),
        workloads: workloads(given, violations),
        templates: &snapshot.templates,
        pods_now: snapshot.pods.iter().map(|p| ((p.namespace.as_str(), p.name.as_str()), p)).collect(),
        workload_numbers: snapshot.workloads.iter().enumerate().map(|(i, w)| (&w.id, i)).collect(),
        nodes_now,
        removed_nodes: BTreeSet::new(),
        victims: Vec::new(),
    };
    nodes(given, &mut after, violations);
    let named = given.plan.preempted.iter().filter_map(|p| after.pods_now.get(&(p.namespace.as_str(), p.pod.as_str())));
    after.victims = named.copied().filter(|pod| after.is_bound(pod) && !pod.deleting).collect();
    let numbers: HashMap<&str, usize> = after.nodes.iter().enumerate().map(|(i, n)| (n.name, i)).collect();
    let mut owner: Option<(&Placement, usize)> = None;
    for placement in &given.plan.placements {
        // Pods of one workload mostly stand together.
        let same =
            owner.filter(|(other, _)| other.workload == placement.workload && other.namespace == placement.namespace);
        let workload = same.map(|(_, workload)| workload).or_else(|| workload_number(&after, placement, violations));
        let Some(workload) = workload else { continue };
        owner = Some((placement, workload));
        let pod = place(&after, &numbers, (placement, workload), violations);
        after.pods.extend(pod);
    }
    after
}

fn workloads<'a>(given: &Given<'a>, violations: &mut Vec<Violation>) -> Vec<AfterWorkload<'a>> {
    let mut plans: BTreeMap<&WorkloadId, &WorkloadPlan> = BTreeMap::new();
    for plan in &given.plan.workloads {
        if plans.insert(&plan.id, plan).is_some() {
            violations.push(Violation::WorkloadTwice { workload: plan.id.to_string() });
        }
    }
    let mut unplaced: BTreeMap<WorkloadId, u32> = BTreeMap::new();
    for group in &given.plan.unplaced {
        let count = unplaced.entry(workload_id(&group.namespace, &group.workload)).or_default();
        *count = count.saturating_add(group.count);
    }
    let workloads = given
        .snapshot
        .workloads
        .iter()
        .map(|now| {
            let plan = plans.remove(&now.id);
            if plan.is_none() {
                violations.push(Violation::WorkloadForgotten { workload: now.id.to_string() });
            }
            let template = now.template.and_then(|t| given.snapshot.templates.get(t));
            AfterWorkload {
                now,
                label: now.id.to_string(),
                plan,
                requests_now: template.map(|t| t.requests.clone()).unwrap_or_default(),
                unplaced: unplaced.remove(&now.id).unwrap_or(0),
            }
        })
        .collect();
    let unknown = plans.into_keys().cloned().chain(unplaced.into_keys());
    violations.extend(unknown.map(|id| Violation::WorkloadUnknown { workload: id.to_string() }));
    workloads
}

fn nodes<'a>(given: &Given<'a>, after: &mut After<'a>, violations: &mut Vec<Violation>) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for plan in &given.plan.nodes {
        let node = || plan.name.clone();
        if !seen.insert(&plan.name) {
            violations.push(Violation::NodeTwice { node: node() });
            continue;
        }
        match (plan.state, after.nodes_now.get(plan.name.as_str()).copied()) {
            (NodeState::Add, Some(_)) => violations.push(Violation::NodeTwice { node: node() }),
            (NodeState::Keep | NodeState::Remove, None) => violations.push(Violation::NodeUnknown { node: node() }),
            (NodeState::Remove, Some(now)) => {
                after.removed_nodes.insert(&now.name);
            }
            (NodeState::Keep, Some(now)) => after.nodes.push(standing(plan, now)),
            (NodeState::Add, None) => match offer(given, plan) {
                Some(offer) => after.nodes.push(bought(given, plan, offer)),
                None => violations.push(Violation::OfferUnknown {
                    node: node(),
                    offer: plan.offer.clone(),
                    zone: plan.zone.clone(),
                }),
            },
        }
    }
    for node in after.nodes_now.keys().filter(|name| !seen.contains(*name)) {
        violations.push(Violation::NodeForgotten { node: (*node).to_owned() });
    }
}

fn offer<'a>(given: &Given<'a>, plan: &NodePlan) -> Option<&'a NodeOffer> {
    let sold =
        |o: &&NodeOffer| o.name == plan.offer && o.capacity_type == plan.capacity_type && o.zones.contains(&plan.zone);
    given.catalog.offers.iter().find(sold)
}

fn standing<'a>(plan: &'a NodePlan, now: &'a Node) -> AfterNode<'a> {
    AfterNode {
        plan,
        now: Some(now),
        name: &now.name,
        labels: Cow::Borrowed(&now.labels),
        taints: &now.taints,
        allocatable: &now.allocatable,
        volume_limits: Cow::Borrowed(&now.volume_limits),
        zone: &now.zone,
        capacity_type: now.capacity_type,
    }
}

fn bought<'a>(given: &Given<'a>, plan: &'a NodePlan, offer: &'a NodeOffer) -> AfterNode<'a> {
    let mut labels = offer.labels.clone();
    labels.insert(HOSTNAME_LABEL.to_owned(), plan.name.clone());
    labels.entry(INSTANCE_TYPE_LABEL.to_owned()).or_insert_with(|| offer.name.clone());
    if !plan.zone.is_empty() {
        labels.insert(ZONE_LABEL.to_owned(), plan.zone.clone());
    }
    let instance_type = labels.get(INSTANCE_TYPE_LABEL).map_or("", String::as_str);
    let volume_limits = given.snapshot.volume_limits_of_type(instance_type).unwrap_or_default();
    AfterNode {
        plan,
        now: None,
        name: &plan.name,
        labels: Cow::Owned(labels),
        taints: &offer.taints,
        allocatable: &offer.allocatable,
        volume_limits: Cow::Owned(volume_limits),
        zone: &plan.zone,
        capacity_type: offer.capacity_type,
    }
}

/// The workload that the placement names.
fn workload_number(after: &After<'_>, placement: &Placement, violations: &mut Vec<Violation>) -> Option<usize> {
    let id = workload_id(&placement.namespace, &placement.workload);
    let number = after.workload_numbers.get(&id).copied();
    if number.is_none() {
        violations.push(Violation::WorkloadUnknown { workload: id.to_string() });
    }
    number
}

fn place<'a>(
    after: &After<'a>,
    numbers: &HashMap<&str, usize>,
    (placement, workload): (&'a Placement, usize),
    violations: &mut Vec<Violation>,
) -> Option<AfterPod<'a>> {
    let name = format!("{}/{}", placement.namespace, placement.pod);
    let workload_after = after.workloads.get(workload)?;
    let now = after.pods_now.get(&(placement.namespace.as_str(), placement.pod.as_str())).copied();
    if let Some(problem) = contradiction(after, placement, &workload_after.now.id, now) {
        violations.push(Violation::PlacementFalse { pod: name.clone(), problem });
    }
    let Some(&node) = numbers.get(placement.node.as_str()) else {
        violations.push(Violation::NodeGone { pod: name, node: placement.node.clone() });
        return None;
    };
    let Some(template) = now.map(|pod| pod.template).or(workload_after.now.template) else {
        violations.push(Violation::PlacementFalse { pod: name, problem: "nothing tells what its workload's pods are" });
        return None;
    };
    let own = after.templates.get(template).map(|t| &t.requests);
    let mut requests = match workload_after.plan {
        Some(plan) if workload_after.is_resized() => plan.requests.clone(),
        _ => own.cloned().unwrap_or_default(),
    };
    requests.set(crate::domain::resources::PODS, 1);
    Some(AfterPod { name, workload, template, requests, node, state: placement.state, now })
}

/// Where a placement contradicts the pod as it is now.
fn contradiction(after: &After<'_>, placement: &Placement, id: &WorkloadId, now: Option<&Pod>) -> Option<&'static str> {
    let Some(pod) = now else {
        return (placement.state != PlacementState::New).then_some("there is no such pod");
    };
    let node_now = pod.node.as_deref().filter(|_| after.is_bound(pod));
    if pod.workload != *id {
        return Some("the pod belongs to another workload");
    }
    match placement.state {
        PlacementState::Stay if node_now != Some(&placement.node) => Some("it does not stay on the node it has"),
        PlacementState::Move if node_now.is_none() => Some("it has no node to move from"),
        PlacementState::Move if node_now == Some(&placement.node) => Some("it moves to the node it has"),
        PlacementState::Move if placement.from.as_deref() != node_now => Some("it moves from another node"),
        PlacementState::New if node_now.is_some() => Some("it has a node already"),
        _ => None,
    }
}
