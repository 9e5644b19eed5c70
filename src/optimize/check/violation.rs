//! What a plan can break.

use std::fmt;

use crate::domain::quota::ResourceQuota;

/// One broken rule, with where and by how much. Pods and workloads are `namespace/name`, domains `label=value`.
#[expect(missing_docs, reason = "a field is what its name and its variant's line say")]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// A node is planned with that neither stands nor is bought.
    NodeUnknown { node: String },
    /// A node is listed twice, or a new one has the name of one that stands.
    NodeTwice { node: String },
    /// A node that stands is not in the plan.
    NodeForgotten { node: String },
    /// A node is bought that nobody offers in that zone.
    OfferUnknown { node: String, offer: String, zone: String },
    /// A node is bought although the policy forbids it.
    AdditionForbidden { node: String },
    /// A node is removed although something forbids it.
    RemovalForbidden { node: String, by: RemovalBar },
    /// More nodes of an offer than its quota allows in a zone.
    Quota { offer: String, zone: String, nodes: usize, quota: u32 },
    /// A node's price is not its offer's.
    Price { node: String, offer: String },

    /// A workload is planned that does not exist.
    WorkloadUnknown { workload: String },
    /// A workload is listed twice.
    WorkloadTwice { workload: String },
    /// A workload is not in the plan.
    WorkloadForgotten { workload: String },
    /// The choice for a workload is not on its menu.
    NotOnMenu { workload: String, replicas: u32 },
    /// A workload without a menu is changed.
    ChangedWithoutMenu { workload: String },
    /// A workload's changed replica count is outside its target's bounds.
    ReplicaBounds { workload: String, replicas: u32, min: u32, max: u32 },
    /// A workload's changed requests are outside its target's bounds.
    RequestBounds { workload: String, resource: String },
    /// Pods placed and unplaced are not as many as the replicas.
    ReplicaCount { workload: String, replicas: u32, placed: u32, unplaced: u32 },

    /// A pod is in the plan twice.
    PodTwice { pod: String },
    /// A running pod is neither placed nor removed.
    PodForgotten { pod: String },
    /// A pod is removed that does not exist.
    RemovalUnknown { pod: String },
    /// Running pods are removed although their workload does not shrink by as many.
    NeedlessRemoval { workload: String, removed: u32, surplus: u32 },
    /// A placement contradicts the snapshot: the pod's workload, its node now, or its state.
    PlacementFalse { pod: String, problem: &'static str },
    /// A pod is placed on a node that is removed or does not exist.
    NodeGone { pod: String, node: String },
    /// A pod that must not be evicted is moved.
    PinnedMoved { pod: String },
    /// A running pod that must not be evicted is removed.
    PinnedRemoved { pod: String },
    /// A pod of a `StatefulSet` is removed while one of a higher ordinal, which its controller takes first, stays.
    RemovalOutOfOrder { pod: String, stays: String },
    /// A node lacks the pod of a `DaemonSet`.
    DaemonMissing { workload: String, node: String },

    /// More is asked of a node than it has, by a pod that comes or grows.
    Overcommitted { node: String, resource: String, used: i64, allocatable: i64 },
    /// A pod is placed where its node selector or affinity forbids it.
    NodeAffinity { pod: String, node: String },
    /// A pod is placed where its volume cannot be reached.
    VolumeAffinity { pod: String, node: String },
    /// A pod is placed, or stays, against a taint it does not tolerate.
    Taint { pod: String, node: String, taint: String },
    /// Two pods want one port of a node.
    HostPort { node: String, port: i32 },
    /// A pod is placed although a scheduling gate is closed, or a claim of it is not bound that must be before.
    Waits { pod: String, claim: bool },
    /// Pods of a node have a disk that they may not share.
    DiskShared { node: String, pod: String, other: String },
    /// Pods use more volumes of a driver on a node than it can hold.
    TooManyVolumes { node: String, limit: String, used: i64, most: i64 },
    /// Several pods use a claim that only one may.
    ClaimShared { claim: String, pods: usize },
    /// No volume is left for a claim of a pod that comes.
    NoVolume { pod: String },

    /// Pods stand together in a domain that must not.
    AntiAffinity { workload: String, other: String, domain: String },
    /// A pod stands in a domain without those it must be near.
    Affinity { workload: String, domain: String },
    /// Pods come to a domain that makes their own spread rule fail.
    TopologySpread { workload: String, domain: String, skew: i64, max_skew: i32 },
    /// A pod comes to a node without the label that its own spread rule needs.
    TopologyLabel { workload: String, node: String, label: String },

    /// A workload is spread less evenly than its target asks.
    PolicySpread { workload: String, skew: i64, max_skew: u32 },
    /// More replicas on spot nodes than the target allows.
    SpotShare { workload: String, spot: u32, allowed: u32 },
    /// Too few replicas are left when a zone is lost.
    ZoneLoss { workload: String, zone: String, left: u32, needed: u32 },
    /// More pods are moved than the policy allows.
    Moves { moves: u32, allowed: u32 },
    /// More nodes are drained than the policy allows.
    Drains { drains: u32, allowed: u32 },
    /// More pods of a workload are moved than its target lets go in all waves.
    Unavailable { workload: String, moves: u32, allowed: u32 },
    /// More pods are moved than a disruption budget lets go in all waves.
    Budget { budget: String, moves: u32, allowed: u32 },
    /// A running pod is stopped for another although something forbids it.
    PreemptionForbidden { pod: String, by: PreemptionBar },
    /// More pods of a workload are stopped for others than wait when the plan is done.
    PreemptedPlaced { workload: String, preempted: u32, unplaced: u32 },
    /// More pods are stopped for others than may be away at once.
    PreemptedAtOnce { limit: String, preempted: u32, allowed: u32 },
    /// Pods of a gang come, but too few of it have a node.
    GangIncomplete { gang: String, placed: u32, needed: u32 },
    /// Pods come or grow beyond a resource quota of their namespace.
    ResourceQuota { quota: String, resource: String, used: i64, hard: i64 },
}

/// What forbids that a node is removed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RemovalBar {
    /// The policy.
    Policy,
    /// The node's own mark.
    DoNotDisrupt,
    /// A pod on it that must not be evicted.
    Pod(String),
}

/// What forbids that a running pod is stopped for another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PreemptionBar {
    /// The policy.
    Policy,
    /// It does not run on this node.
    NotRunning(String),
    /// Its own mark.
    Pinned,
    /// It is a pod of a Job or a `DaemonSet`, or nothing makes it again.
    Settled,
    /// It is one of a gang.
    Gang,
    /// Its workload loses other pods.
    Shrinks,
    /// The pod it is stopped for does not come to its node from nowhere.
    NobodyComes(String),
    /// The pod it is stopped for is not of higher priority.
    Priority(String),
    /// The pod it is stopped for takes no room from others.
    NeverPreempts(String),
}

impl fmt::Display for PreemptionBar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy => f.write_str("the policy does not allow preemption"),
            Self::NotRunning(node) => write!(f, "it does not run on node {node}"),
            Self::Pinned => f.write_str("it must not be evicted"),
            Self::Settled => f.write_str("pods of its kind stay where they are"),
            Self::Gang => f.write_str("it is one of a pod group"),
            Self::Shrinks => f.write_str("its workload gets fewer replicas"),
            Self::NobodyComes(pod) => write!(f, "pod {pod} does not come there"),
            Self::Priority(pod) => write!(f, "pod {pod} is not of higher priority"),
            Self::NeverPreempts(pod) => write!(f, "pod {pod} never preempts"),
        }
    }
}

impl fmt::Display for RemovalBar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy => f.write_str("the policy removes no nodes"),
            Self::DoNotDisrupt => f.write_str("it must not be disrupted"),
            Self::Pod(pod) => write!(f, "pod {pod} on it must not be evicted"),
        }
    }
}

impl fmt::Display for Violation {
    #[expect(clippy::too_many_lines, reason = "a sentence a rule, and none forgotten")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeUnknown { node } => write!(f, "node {node} does not exist"),
            Self::NodeTwice { node } => write!(f, "node {node} is in the plan twice"),
            Self::NodeForgotten { node } => write!(f, "node {node} is missing from the plan"),
            Self::OfferUnknown { node, offer, zone } => {
                write!(f, "node {node} is bought from offer {offer:?} in zone {zone:?}, which does not exist")
            }
            Self::AdditionForbidden { node } => write!(f, "node {node} is bought, but the policy buys no nodes"),
            Self::RemovalForbidden { node, by } => write!(f, "node {node} is removed, but {by}"),
            Self::Quota { offer, zone, nodes, quota } => {
                write!(f, "{nodes} nodes of offer {offer:?} in zone {zone:?}, but the quota is {quota}")
            }
            Self::Price { node, offer } => write!(f, "the price of node {node} is not that of its offer {offer:?}"),
            Self::WorkloadUnknown { workload } => write!(f, "{workload} does not exist"),
            Self::WorkloadTwice { workload } => write!(f, "{workload} is in the plan twice"),
            Self::WorkloadForgotten { workload } => write!(f, "{workload} is missing from the plan"),
            Self::NotOnMenu { workload, replicas } => {
                write!(f, "{workload} with {replicas} replicas and these requests is not on its menu")
            }
            Self::ChangedWithoutMenu { workload } => write!(f, "{workload} is changed, but has no menu"),
            Self::ReplicaBounds { workload, replicas, min, max } => {
                write!(f, "{workload} gets {replicas} replicas, but its target allows {min} to {max}")
            }
            Self::RequestBounds { workload, resource } => {
                write!(f, "{workload} gets requests of {resource} beyond its target's bounds")
            }
            Self::ReplicaCount { workload, replicas, placed, unplaced } => {
                write!(f, "{workload} gets {replicas} replicas, but {placed} are placed and {unplaced} unplaced")
            }
            Self::PodTwice { pod } => write!(f, "pod {pod} is in the plan twice"),
            Self::PodForgotten { pod } => write!(f, "running pod {pod} is missing from the plan"),
            Self::RemovalUnknown { pod } => write!(f, "pod {pod} is removed, but does not exist"),
            Self::NeedlessRemoval { workload, removed, surplus } => {
                write!(f, "{removed} pod(s) of {workload} are removed, but only {surplus} are too many")
            }
            Self::PlacementFalse { pod, problem } => write!(f, "the placement of pod {pod} is false: {problem}"),
            Self::NodeGone { pod, node } => write!(f, "pod {pod} is placed on node {node}, which is not there"),
            Self::PinnedMoved { pod } => write!(f, "pod {pod} is moved, but must not be evicted"),
            Self::PinnedRemoved { pod } => write!(f, "pod {pod} is removed, but must not be evicted"),
            Self::RemovalOutOfOrder { pod, stays } => {
                write!(f, "pod {pod} is removed, but {stays} stays, which its StatefulSet takes away first")
            }
            Self::DaemonMissing { workload, node } => write!(f, "node {node} lacks the pod of {workload}"),
            Self::Overcommitted { node, resource, used, allocatable } => {
                write!(f, "node {node} is asked for {used} of {resource}, but has {allocatable}")
            }
            Self::NodeAffinity { pod, node } => {
                write!(f, "pod {pod} is placed on node {node} against its node affinity or selector")
            }
            Self::VolumeAffinity { pod, node } => {
                write!(f, "pod {pod} is placed on node {node}, from where its volume cannot be reached")
            }
            Self::Taint { pod, node, taint } => {
                write!(f, "pod {pod} does not tolerate taint {taint} of node {node}")
            }
            Self::HostPort { node, port } => write!(f, "two pods want port {port} of node {node}"),
            Self::AntiAffinity { workload, other, domain } => {
                write!(f, "a pod of {workload} must not be with one of {other} in {domain}")
            }
            Self::Affinity { workload, domain } => {
                write!(f, "a pod of {workload} in {domain} lacks the pods it must be near")
            }
            Self::TopologySpread { workload, domain, skew, max_skew } => {
                write!(f, "the pods of {workload} have a skew of {skew} in {domain}, but {max_skew} is allowed")
            }
            Self::TopologyLabel { workload, node, label } => {
                write!(f, "a pod of {workload} is placed on node {node}, which lacks label {label}")
            }
            Self::PolicySpread { workload, skew, max_skew } => {
                write!(f, "{workload} has a skew of {skew}, but its target allows {max_skew}")
            }
            Self::SpotShare { workload, spot, allowed } => {
                write!(f, "{workload} has {spot} replicas on spot nodes, but its target allows {allowed}")
            }
            Self::ZoneLoss { workload, zone, left, needed } => {
                write!(f, "{workload} keeps {left} replicas without zone {zone:?}, but its target needs {needed}")
            }
            Self::Moves { moves, allowed } => {
                write!(f, "the plan moves {moves} pod(s), but the policy allows {allowed}")
            }
            Self::Drains { drains, allowed } => {
                write!(f, "the plan removes {drains} node(s), but the policy allows {allowed}")
            }
            Self::Unavailable { workload, moves, allowed } => {
                write!(
                    f,
                    "{moves} pod(s) of {workload} are moved, but its maxUnavailable allows {allowed} in all waves"
                )
            }
            Self::Budget { budget, moves, allowed } => {
                write!(f, "{moves} pod(s) are moved, but the disruption budget {budget} allows {allowed} in all waves")
            }
            Self::Waits { pod, claim: true } => {
                write!(f, "pod {pod} is placed, but a claim of it is not bound that must be before")
            }
            Self::Waits { pod, claim: false } => write!(f, "pod {pod} is placed, but its scheduling gates are closed"),
            Self::DiskShared { node, pod, other } => {
                write!(f, "pods {pod} and {other} have a disk on node {node} that they may not share")
            }
            Self::TooManyVolumes { node, limit, used, most } => {
                write!(f, "node {node} is asked for {used} of {limit}, but can hold {most}")
            }
            Self::ClaimShared { claim, pods } => {
                write!(f, "{pods} pods use claim {claim}, which only one may")
            }
            Self::NoVolume { pod } => write!(f, "no volume is left for a claim of pod {pod} where it is placed"),
            Self::PreemptionForbidden { pod, by } => write!(f, "pod {pod} is stopped for another, but {by}"),
            Self::PreemptedPlaced { workload, preempted, unplaced } => {
                write!(f, "{preempted} pod(s) of {workload} are stopped for others, but {unplaced} of its pods wait")
            }
            Self::PreemptedAtOnce { limit, preempted, allowed } => {
                write!(f, "{preempted} pod(s) are stopped for others, but {limit} lets {allowed} go at once")
            }
            Self::GangIncomplete { gang, placed, needed } => {
                write!(
                    f,
                    "pods of pod group {gang} come, but {placed} have a node in all and it needs {needed} at once"
                )
            }
            Self::ResourceQuota { quota, resource, used, hard } => {
                let (used, hard) = (ResourceQuota::written(resource, *used), ResourceQuota::written(resource, *hard));
                write!(f, "pods come or grow to {used}, but resource quota {quota} allows {hard}")
            }
        }
    }
}
