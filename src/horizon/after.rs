//! The cluster when a plan is done, as a snapshot.

use std::collections::BTreeMap;

use crate::domain::plan::{NodePlan, NodeState, WorkloadPlan};
use crate::domain::rules::{HOSTNAME_LABEL, INSTANCE_TYPE_LABEL, ZONE_LABEL};
use crate::domain::snapshot::{Node, Pod, PodTemplate};
use crate::domain::{Catalog, NodeOffer, Plan, Snapshot, WorkloadId};

/// The cluster when the plan is done: its nodes in the plan's order, and the pods that have one of them. Pods on their way
/// out and pods without a node are left out.
pub(super) fn after(snapshot: &Snapshot, catalog: &Catalog, plan: &Plan) -> Snapshot {
    let mut after = Snapshot { nodes: nodes(snapshot, catalog, plan), ..snapshot.clone() };
    let plans: BTreeMap<&WorkloadId, &WorkloadPlan> = plan.workloads.iter().map(|w| (&w.id, w)).collect();
    let mut templates = Templates { made: std::mem::take(&mut after.templates), resized: BTreeMap::new() };
    let mut owners: BTreeMap<(String, String), (WorkloadId, Option<usize>)> = BTreeMap::new();
    for workload in &mut after.workloads {
        let plan = plans.get(&workload.id).copied();
        workload.replicas = plan.map_or(workload.replicas, |plan| plan.replicas);
        workload.template = workload.template.map(|template| templates.then(template, plan));
        let label = format!("{}/{}", workload.id.kind, workload.id.name);
        owners.insert((workload.id.namespace.clone(), label), (workload.id.clone(), workload.template));
    }
    let now: BTreeMap<(&str, &str), &Pod> =
        snapshot.pods.iter().map(|pod| ((pod.namespace.as_str(), pod.name.as_str()), pod)).collect();
    after.pods = plan
        .placements
        .iter()
        .filter_map(|placement| {
            let node = placement.node.as_str();
            if let Some(pod) = now.get(&(placement.namespace.as_str(), placement.pod.as_str())) {
                let template = templates.then(pod.template, plans.get(&pod.workload).copied());
                return (!pod.deleting).then(|| Pod { node: Some(node.to_owned()), template, ..(*pod).clone() });
            }
            let (workload, template) = owners.get(&(placement.namespace.clone(), placement.workload.clone()))?;
            Some(Pod::plain(workload.clone(), &placement.pod, (*template)?, Some(node)))
        })
        .collect();
    after.templates = templates.made;
    after
}

fn nodes(snapshot: &Snapshot, catalog: &Catalog, plan: &Plan) -> Vec<Node> {
    let now: BTreeMap<&str, &Node> = snapshot.nodes.iter().map(|node| (node.name.as_str(), node)).collect();
    let offers = |node: &NodePlan| {
        let sold = |o: &&NodeOffer| o.name == node.offer && o.capacity_type == node.capacity_type;
        catalog.offers.iter().filter(sold).find(|offer| offer.zones.contains(&node.zone))
    };
    plan.nodes
        .iter()
        .filter_map(|node| match node.state {
            NodeState::Remove => None,
            NodeState::Keep => now.get(node.name.as_str()).map(|node| (*node).clone()),
            NodeState::Add => offers(node).map(|offer| bought(node, offer)),
        })
        .collect()
}

fn bought(plan: &NodePlan, offer: &NodeOffer) -> Node {
    let mut node = Node::plain(&plan.name, offer.allocatable.clone());
    node.labels = offer.labels.clone();
    node.labels.insert(HOSTNAME_LABEL.to_owned(), plan.name.clone());
    let instance_type = node.labels.entry(INSTANCE_TYPE_LABEL.to_owned()).or_insert_with(|| offer.name.clone());
    node.instance_type.clone_from(instance_type);
    if !plan.zone.is_empty() {
        node.labels.insert(ZONE_LABEL.to_owned(), plan.zone.clone());
    }
    node.zone.clone_from(&plan.zone);
    node.taints.clone_from(&offer.taints);
    node.capacity_type = offer.capacity_type;
    node
}

/// Templates as the plan leaves them: one that is resized becomes another.
struct Templates {
    made: Vec<PodTemplate>,
    resized: BTreeMap<(usize, WorkloadId), usize>,
}

impl Templates {
    fn then(&mut self, template: usize, plan: Option<&WorkloadPlan>) -> usize {
        let Some(plan) = plan.filter(|plan| plan.requests != plan.requests_now) else { return template };
        if let Some(number) = self.resized.get(&(template, plan.id.clone())) {
            return *number;
        }
        let Some(now) = self.made.get(template) else { return template };
        // What is resized already stays so.
        self.made.push(PodTemplate { requests: plan.requests.clone(), ..now.clone() });
        let number = self.made.len() - 1;
        self.resized.insert((template, plan.id.clone()), number);
        self.resized.insert((number, plan.id.clone()), number);
        number
    }
}
