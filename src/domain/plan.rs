//! The decision: the choice for each workload, the placement, the nodes, and the proof.

use serde::{Deserialize, Serialize};

use super::catalog::{CapacityType, PriceSource};
use super::menu::Basis;
use super::resources::Resources;
use super::snapshot::WorkloadId;

/// A plan that the checker accepted (or an honest statement of what it could not do).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Cost, bound, gaps.
    pub certificate: Certificate,
    /// Every workload, sorted by id.
    pub workloads: Vec<WorkloadPlan>,
    /// Every node that stands now or is proposed, sorted by name.
    pub nodes: Vec<NodePlan>,
    /// Every pod that has a node when the plan is done, pods of DaemonSets included; sorted by (namespace, pod).
    pub placements: Vec<Placement>,
    /// Running pods that go because their workload shrinks.
    pub removals: Vec<Removal>,
    /// Running pods that are stopped to make room for others, sorted. They wait when the plan is done, so their workloads
    /// are among those with pods [`Plan::unplaced`].
    #[serde(default)]
    pub preempted: Vec<Preempted>,
    /// Pods that have no node when the plan is done.
    pub unplaced: Vec<Unplaced>,
    /// Pods that have no node now, and why, whatever the plan does with them.
    #[serde(default)]
    pub pending: Vec<Unplaced>,
    /// Rules that bind, most valuable first.
    pub binding: Vec<Binding>,
    /// Rules that together leave pods without a node; `None` where none were found.
    #[serde(default)]
    pub conflict: Option<Conflict>,
}

/// What is proven about a plan. Costs are those of the model: node prices, risk, moves and unplaced pods, an hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// Cost of this plan an hour, recomputed by the checker.
    pub cost_per_hour: f64,
    /// No plan under the same policy can cost less: a bound of the full model.
    pub bound_per_hour: f64,
    /// (cost − bound) / cost, 0..1.
    pub gap: f64,
    /// The part of the gap between the bound and the pool-level plan.
    pub model_gap: f64,
    /// The part of the gap from placing on concrete nodes.
    pub packing_gap: f64,
    /// Every hard rule holds for every placed pod, as the independent checker found.
    pub feasible: bool,
    /// Why the search ended.
    pub stopped: Stopped,
    /// Rules met in the input that the model does not represent, each with its count.
    pub unmodelled_rules: Vec<String>,
    /// Price an hour of pods that no node and no offer can hold. Every plan would pay it, so it is left out of all costs
    /// and of the bound, and does not make the gap look smaller than it is.
    #[serde(default)]
    pub unplaceable_per_hour: f64,
    /// Parts of the cost an hour.
    pub cost: CostParts,
    /// Cost of changing nothing, in the same units; `None` where changing nothing breaks a rule or leaves pods
    /// that could be placed.
    pub cost_now: CostParts,
    /// Whether changing nothing keeps every hard rule and leaves no pod unplaced.
    pub now_feasible: bool,
    /// Listed or estimated prices.
    pub prices: PriceSource,
    /// What the checker found broken; empty when feasible.
    pub violations: Vec<String>,
}

/// Parts of a cost an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CostParts {
    /// Node prices.
    pub nodes: f64,
    /// Risk of breaking objectives, as the policy prices it.
    pub risk: f64,
    /// Moves and node changes, spread over the policy's hours.
    pub change: f64,
    /// Pods without a node.
    pub unplaced: f64,
    /// Preferences of placed pods that are not met.
    #[serde(default)]
    pub preferences: f64,
}

impl CostParts {
    /// The sum.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.nodes + self.risk + self.change + self.unplaced + self.preferences
    }
}

/// Why the search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stopped {
    /// The gap asked for was reached.
    Gap,
    /// The time limit was reached.
    Deadline,
    /// Proven optimal.
    Optimal,
    /// The search had nothing left to try before it reached the gap.
    Exhausted,
}

/// What becomes of one workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadPlan {
    /// Which workload.
    #[serde(flatten)]
    pub id: WorkloadId,
    /// Replicas wanted now.
    pub replicas_now: u32,
    /// Replicas proposed.
    pub replicas: u32,
    /// Requests of one pod now.
    pub requests_now: Resources,
    /// Requests of one pod proposed.
    pub requests: Resources,
    /// Probability that the objective is broken within the lead time; `None` where nothing was measured.
    pub risk: Option<f64>,
    /// The same for what stands now, where the menu rates it.
    pub risk_now: Option<f64>,
    /// What the choice rests on.
    pub basis: Basis,
    /// Name of the policy's target, if one selects it.
    pub target: Option<String>,
    /// Replicas that move to another node.
    pub moves: u32,
}

/// What becomes of one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePlan {
    /// Name; proposed ones are called `new-OFFER-ZONE-N`.
    pub name: String,
    /// Offer it is priced by; its instance type (or `unknown`) where no offer fits.
    pub offer: String,
    /// Zone; empty where it has none.
    pub zone: String,
    /// Spot or on-demand.
    pub capacity_type: CapacityType,
    /// What becomes of it.
    pub state: NodeState,
    /// Price an hour.
    pub price_per_hour: f64,
    /// What pods may ask for.
    pub allocatable: Resources,
    /// Asked for by the pods on it now (at the requests they have now), pods slots included.
    pub used_now: Resources,
    /// Asked for by the pods on it when the plan is done.
    pub used: Resources,
}

/// What becomes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NodeState {
    /// Stays.
    Keep,
    /// Is bought.
    Add,
    /// Is drained and given back.
    Remove,
}

/// A pod's node when the plan is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// Namespace.
    pub namespace: String,
    /// Pod name; those to come are called `WORKLOAD-new-N`.
    pub pod: String,
    /// `Kind/name`.
    pub workload: String,
    /// Node name.
    pub node: String,
    /// Whether it stays, moves or is new.
    pub state: PlacementState,
    /// The node it leaves, if it moves.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
}

/// Whether a pod stays, moves or is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PlacementState {
    /// On the node it has.
    Stay,
    /// To another node.
    Move,
    /// Has no node now: pending, or a replica to come.
    New,
}

/// A running pod that goes because its workload shrinks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removal {
    /// Namespace.
    pub namespace: String,
    /// Pod name.
    pub pod: String,
    /// `Kind/name`.
    pub workload: String,
    /// The node it leaves; `None` if it has none.
    pub node: Option<String>,
}

/// A running pod that is evicted to make room for one of higher priority, and waits when the plan is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preempted {
    /// Namespace.
    pub namespace: String,
    /// Pod name.
    pub pod: String,
    /// `Kind/name`.
    pub workload: String,
    /// The node it leaves.
    pub node: String,
    /// Who comes there.
    pub by: Preemptor,
}

/// A pod that others make room for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preemptor {
    /// Namespace.
    pub namespace: String,
    /// Pod name.
    pub pod: String,
    /// `Kind/name`.
    pub workload: String,
}

/// Pods of one workload that have no node when the plan is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unplaced {
    /// Namespace.
    pub namespace: String,
    /// `Kind/name`.
    pub workload: String,
    /// How many of its pods.
    pub count: u32,
    /// Why, in kube-scheduler's kind of words: over the nodes that stand, then over the offers.
    pub reasons: Vec<String>,
}

/// A rule that binds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// Name of the rule: a policy field, a budget, a quota, or a pool's resource.
    pub rule: String,
    /// What one unit more would save an hour in the relaxation, ≥ 0: by solving it again with that unit where
    /// `confirmed`, else by its prices, which hold for small changes only.
    pub saves_per_hour: f64,
    /// What one unit is, e.g. `core in pool m5.xlarge/r1a`, `move`.
    pub unit: String,
    /// Whether the saving was found by solving again.
    #[serde(default)]
    pub confirmed: bool,
}

/// Rules that together leave pods without a node, whatever else is decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// The rules: a minimal set, so that without any one of them the others leave a way. Sorted.
    pub rules: Vec<String>,
    /// The least change of rules, one unit counting as much as another, without which no plan holds every pod: a change in
    /// the relaxation, so whole pods on whole nodes may take more. Sorted by rule.
    pub repair: Vec<Repair>,
}

/// How much more of a rule is needed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Repair {
    /// Name of the rule.
    pub rule: String,
    /// How many units more, a whole number above 0.
    pub units: f64,
    /// What one unit is.
    pub unit: String,
}
