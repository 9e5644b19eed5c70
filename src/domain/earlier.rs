//! What an earlier plan decided, as a value of its own: enough to begin another plan from it, and to say how much of it
//! that one keeps.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::catalog::CapacityType;
use super::plan::{NodePlan, NodeState, Placement, Plan, Preempted, Removal};
use super::resources::Resources;
use super::snapshot::WorkloadId;

/// An earlier plan of a cluster, or of the same cluster as it was.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EarlierPlan {
    /// Choice of each workload: replicas and requests of a pod.
    pub choices: Vec<(WorkloadId, u32, Resources)>,
    /// Nodes that stood or were proposed.
    pub nodes: Vec<EarlierNode>,
    /// Pods that had a node when the plan was done.
    pub placements: Vec<Placement>,
    /// Pods that went.
    pub removals: Vec<Removal>,
    /// Pods that made room for others.
    pub preempted: Vec<Preempted>,
}

/// A node of an earlier plan.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlierNode {
    /// Name.
    pub name: String,
    /// Offer.
    pub offer: String,
    /// Zone.
    pub zone: String,
    /// Spot or on-demand.
    pub capacity_type: CapacityType,
    /// What became of it.
    pub state: NodeState,
}

impl From<&Plan> for EarlierPlan {
    fn from(plan: &Plan) -> Self {
        let node = |node: &NodePlan| EarlierNode {
            name: node.name.clone(),
            offer: node.offer.clone(),
            zone: node.zone.clone(),
            capacity_type: node.capacity_type,
            state: node.state,
        };
        Self {
            choices: plan.workloads.iter().map(|w| (w.id.clone(), w.replicas, w.requests.clone())).collect(),
            nodes: plan.nodes.iter().map(node).collect(),
            placements: plan.placements.clone(),
            removals: plan.removals.clone(),
            preempted: plan.preempted.clone(),
        }
    }
}

/// How much of an earlier plan another one keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Workloads of the earlier plan that have the replicas and requests they had in it.
    pub workloads: KeptOf,
    /// Its placements that are there again: a pod of the same workload on the same node, whatever the pod is called.
    pub placements: KeptOf,
}

/// So many of so many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptOf {
    /// Those that are kept.
    pub kept: usize,
    /// All of them.
    pub of: usize,
}

impl Kept {
    /// What `plan` keeps of `earlier`.
    #[must_use]
    pub fn of(earlier: &EarlierPlan, plan: &Plan) -> Self {
        let now: HashMap<&WorkloadId, (u32, &Resources)> =
            plan.workloads.iter().map(|w| (&w.id, (w.replicas, &w.requests))).collect();
        let same = |(id, replicas, requests): &&(WorkloadId, u32, Resources)| {
            now.get(id).is_some_and(|(now, asked)| now == replicas && *asked == requests)
        };
        let mut there: HashMap<(&str, &str, &str), usize> = HashMap::new();
        for placement in &plan.placements {
            *there.entry(place(placement)).or_insert(0) += 1;
        }
        let mut again = 0;
        for placement in &earlier.placements {
            if let Some(left) = there.get_mut(&place(placement)).filter(|left| **left > 0) {
                *left -= 1;
                again += 1;
            }
        }
        Self {
            workloads: KeptOf { kept: earlier.choices.iter().filter(same).count(), of: earlier.choices.len() },
            placements: KeptOf { kept: again, of: earlier.placements.len() },
        }
    }
}

/// Whose pod a placement puts where.
fn place(placement: &Placement) -> (&str, &str, &str) {
    (&placement.namespace, &placement.workload, &placement.node)
}
