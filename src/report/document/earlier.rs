//! A document as the plan that another one begins from.

use super::{NodeDocument, PlanDocument, Quantities, WorkloadDocument};
use crate::domain::earlier::{EarlierNode, EarlierPlan};
use crate::domain::quantity::parse_amount;
use crate::domain::{Resources, WorkloadId};

impl From<PlanDocument> for EarlierPlan {
    /// What the plan decided, and nothing of what was proven of it: that holds for the cluster it was made for.
    fn from(document: PlanDocument) -> Self {
        Self {
            choices: document.workloads.iter().map(choice).collect(),
            nodes: document.nodes.into_iter().map(node).collect(),
            placements: document.placements,
            removals: document.removals,
            preempted: document.preempted,
        }
    }
}

fn choice(workload: &WorkloadDocument) -> (WorkloadId, u32, Resources) {
    let id =
        WorkloadId { namespace: workload.namespace.clone(), kind: workload.kind.clone(), name: workload.name.clone() };
    (id, workload.replicas, amounts(&workload.requests))
}

fn amounts(quantities: &Quantities) -> Resources {
    let amount = |(name, text): (&String, &String)| Some((name.clone(), parse_amount(name, text).ok()?));
    let amounts: Vec<(String, i64)> = quantities.0.iter().filter_map(amount).collect();
    Resources::of(amounts.iter().map(|(name, amount)| (name.as_str(), *amount)))
}

fn node(node: NodeDocument) -> EarlierNode {
    let NodeDocument { name, offer, zone, capacity_type, state, .. } = node;
    EarlierNode { name, offer, zone, capacity_type, state }
}
