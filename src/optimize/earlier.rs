//! What an earlier plan decided, as a value of its own: enough to begin another plan from it.

use crate::domain::catalog::CapacityType;
use crate::domain::plan::{NodeState, Placement, Plan, Removal};
use crate::domain::resources::Resources;
use crate::domain::snapshot::WorkloadId;

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
        let node = |node: &crate::domain::plan::NodePlan| EarlierNode {
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
        }
    }
}
