//! The cluster at one instant, made from real Kubernetes objects.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::catalog::CapacityType;
use super::quota::ResourceQuota;
use super::resources::Resources;
use super::rules::{HOSTNAME_LABEL, LabelSelector, Labels, SchedulingRules, Taint};

/// Which workload: the controller at the top of the owner chain, or the pod itself if it has none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkloadId {
    /// Namespace.
    pub namespace: String,
    /// `Deployment`, `StatefulSet`, `DaemonSet`, `ReplicaSet`, `Job`, `CronJob`, another controller's kind, or `Pod`.
    pub kind: String,
    /// Name.
    pub name: String,
}

impl WorkloadId {
    /// The ordinal of a pod of a `StatefulSet` (`NAME-N`), which takes the highest away first when it shrinks; `None` of
    /// other kinds, whose pods have none.
    #[must_use]
    pub fn pod_ordinal(&self, pod: &str) -> Option<u32> {
        let ordinal = pod.strip_prefix(self.name.as_str())?.strip_prefix('-')?;
        if self.kind == "StatefulSet" { ordinal.parse().ok() } else { None }
    }

    /// What keeps the workload from shrinking, of all its pods, each with whether it must stay; `None` where none must.
    ///
    /// Of a `StatefulSet` the highest ordinals go first, so each pod below one that must stay is kept by it. Where pods
    /// are missing, the lowest ordinal that fits the `declared` replicas is taken for the first, which may keep one too
    /// many and never one too few.
    #[must_use]
    pub fn held<'a>(&self, declared: u32, pods: impl IntoIterator<Item = (&'a str, bool)>) -> Option<Held<'a>> {
        let (mut staying, mut held_by) = (0_u32, None);
        let (mut lowest, mut highest) = (u32::MAX, 0);
        for (pod, stays) in pods {
            let ordinal = self.pod_ordinal(pod);
            if let Some(ordinal) = ordinal {
                (lowest, highest) = (lowest.min(ordinal), highest.max(ordinal));
            }
            staying += u32::from(stays);
            if stays && held_by.is_none_or(|(last, _)| ordinal > last) {
                held_by = Some((ordinal, pod));
            }
        }
        let (ordinal, pod) = held_by?;
        let first = lowest.min(highest.saturating_add(1).saturating_sub(declared));
        let up_to = ordinal.map_or(0, |ordinal| (ordinal - first).saturating_add(1));
        Some(Held { fewest: staying.max(up_to), pod, by_ordinal: ordinal.is_some() })
    }
}

/// What keeps a workload from shrinking below some number of replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held<'a> {
    /// Fewest replicas at which no pod goes that must stay.
    pub fewest: u32,
    /// A pod that must stay: of a `StatefulSet` that of the highest ordinal.
    pub pod: &'a str,
    /// Whether pods go by their ordinal.
    pub by_ordinal: bool,
}

impl fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The cluster at one instant. Vectors are sorted by (namespace, name), so that equal clusters are equal values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Newest time any object carries: when the dump was taken, as far as it tells.
    pub taken_at_ms: Option<i64>,
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Distinct pod templates; pods and workloads refer to them by index.
    pub templates: Vec<PodTemplate>,
    /// Pods that hold or want resources: those Succeeded or Failed are left out.
    pub pods: Vec<Pod>,
    /// Workloads, among them one of kind `Pod` for each pod without a controller.
    pub workloads: Vec<Workload>,
    /// Services.
    pub services: Vec<Service>,
    /// Pod disruption budgets.
    pub budgets: Vec<DisruptionBudget>,
    /// Resource quotas of namespaces.
    #[serde(default)]
    pub quotas: Vec<ResourceQuota>,
    /// Pods that must be placed at once.
    #[serde(default)]
    pub gangs: Vec<Gang>,
    /// Autoscalers that already drive a workload.
    pub autoscalers: Vec<Autoscaler>,
    /// Labels of each namespace.
    pub namespaces: BTreeMap<String, Labels>,
    /// Priority of each priority class.
    pub priority_classes: BTreeMap<String, i32>,
    /// Objects of kinds not read, counted by kind.
    pub ignored_kinds: BTreeMap<String, usize>,
    /// What was odd in the input but not fatal, each naming its object.
    pub warnings: Vec<String>,
}

impl Snapshot {
    /// Limits on the volumes of a node of this instance type, by name: the least of the nodes that stand. `None` where
    /// none of the type stands.
    #[must_use]
    pub fn volume_limits_of_type(&self, instance_type: &str) -> Option<Resources> {
        let mut alike =
            self.nodes.iter().filter(|node| node.instance_type == instance_type && !instance_type.is_empty());
        let mut limits = alike.next()?.volume_limits.clone();
        for node in alike {
            for (name, most) in node.volume_limits.iter() {
                let least = limits.0.get(name).map_or(most, |known| most.min(*known));
                limits.set(name, least);
            }
        }
        Some(limits)
    }
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: Labels,
    /// Taints, those of the unschedulable mark included.
    pub taints: Vec<Taint>,
    /// Cordoned.
    pub unschedulable: bool,
    /// Condition `Ready` is `True` (or the node states no conditions at all).
    pub ready: bool,
    /// What pods may ask for in all, `pods` included.
    pub allocatable: Resources,
    /// Most volumes of each driver that pods on it may use, by the limit's [name](super::volumes::volume_limit); a driver
    /// that is not named has no limit.
    #[serde(default)]
    pub volume_limits: Resources,
    /// Zone label's value; empty where there is none.
    pub zone: String,
    /// Instance type label's value; empty where there is none.
    pub instance_type: String,
    /// Spot or on-demand, from the labels that Karpenter and the large providers set.
    pub capacity_type: CapacityType,
    /// When it was created.
    pub created_ms: Option<i64>,
    /// Must not be drained: `cluster-autoscaler.kubernetes.io/scale-down-disabled` or `karpenter.sh/do-not-disrupt`.
    pub do_not_disrupt: bool,
}

impl Node {
    /// A ready on-demand node with no label but its host name's, and no taint.
    #[must_use]
    pub fn plain(name: &str, allocatable: Resources) -> Self {
        Self {
            name: name.to_owned(),
            labels: Labels::from([(HOSTNAME_LABEL.to_owned(), name.to_owned())]),
            taints: Vec::new(),
            unschedulable: false,
            ready: true,
            allocatable,
            volume_limits: Resources::default(),
            zone: String::new(),
            instance_type: String::new(),
            capacity_type: CapacityType::OnDemand,
            created_ms: None,
            do_not_disrupt: false,
        }
    }
}

/// What pods made from one template have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodTemplate {
    /// Namespace.
    pub namespace: String,
    /// Labels, without those that differ from pod to pod (pod index, pod name, copied topology labels) unless some rule
    /// selects pods by them.
    pub labels: Labels,
    /// What the scheduler reserves for the pod: containers and sidecars, or the largest init container if
    /// that is more, and overhead.
    pub requests: Resources,
    /// Sum of the container limits where every container has one.
    pub limits: Resources,
    /// Each ordinary container and sidecar.
    pub containers: Vec<Container>,
    /// Where it may run.
    pub rules: SchedulingRules,
    /// Priority; higher is more important.
    pub priority: i32,
    /// Name of the priority class; empty where there is none.
    pub priority_class: String,
    /// Takes no room from pods of lower priority (`preemptionPolicy: Never`).
    #[serde(default)]
    pub never_preempts: bool,
    /// Ends by a deadline of its own (`activeDeadlineSeconds`).
    #[serde(default)]
    pub terminating: bool,
    /// Neither requests nor limits CPU or memory (quality of service `BestEffort`).
    #[serde(default)]
    pub best_effort: bool,
    /// Name of the gang of its namespace that it is in.
    #[serde(default)]
    pub gang: Option<String>,
}

/// Requests and limits of one container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Container {
    /// Name.
    pub name: String,
    /// Requests.
    pub requests: Resources,
    /// Limits.
    pub limits: Resources,
}

/// A pod that holds or wants resources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Unique id; empty where the dump has none.
    pub uid: String,
    /// The workload it belongs to.
    pub workload: WorkloadId,
    /// Index into [`Snapshot::templates`].
    pub template: usize,
    /// The node it is bound to.
    pub node: Option<String>,
    /// Running and ready.
    pub ready: bool,
    /// Being deleted.
    pub deleting: bool,
    /// Must not be evicted: `safe-to-evict: "false"`, `karpenter.sh/do-not-disrupt`, a mirror pod, or no
    /// controller that would make it again.
    pub do_not_evict: bool,
    /// `controller.kubernetes.io/pod-deletion-cost`.
    pub deletion_cost: i32,
    /// When it was created, bound and last became ready.
    pub created_ms: Option<i64>,
    /// When it was bound.
    pub scheduled_ms: Option<i64>,
    /// When it last became ready.
    pub ready_ms: Option<i64>,
    /// What kube-scheduler said of it, if it could not place it.
    pub scheduler_message: Option<String>,
}

impl Pod {
    /// A pod of the workload that nothing is special about; ready if it has a node.
    #[must_use]
    pub fn plain(workload: WorkloadId, name: &str, template: usize, node: Option<&str>) -> Self {
        Self {
            namespace: workload.namespace.clone(),
            name: name.to_owned(),
            uid: String::new(),
            workload,
            template,
            node: node.map(str::to_owned),
            ready: node.is_some(),
            deleting: false,
            do_not_evict: false,
            deletion_cost: 0,
            created_ms: None,
            scheduled_ms: None,
            ready_ms: None,
            scheduler_message: None,
        }
    }

    /// `namespace/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// A workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Which.
    pub id: WorkloadId,
    /// Replicas wanted now; for a Job its parallelism, for a DaemonSet its desired number.
    pub replicas: u32,
    /// Labels of the workload object.
    pub labels: Labels,
    /// Which pods are its own.
    pub selector: LabelSelector,
    /// Its current pod template, index into [`Snapshot::templates`]; `None` where neither object nor pod tells.
    pub template: Option<usize>,
    /// Has a scale subresource that Plimsoll may drive (Deployment, StatefulSet, bare ReplicaSet).
    pub scalable: bool,
    /// Runs one pod on each eligible node, so its pods are overhead of nodes and not placed.
    pub daemon: bool,
    /// Pods run to completion (Job).
    pub batch: bool,
}

impl Workload {
    /// A workload that may be scaled, with pods of one template, an empty selector and no labels.
    #[must_use]
    pub fn plain(id: WorkloadId, template: usize, replicas: u32) -> Self {
        Self {
            id,
            replicas,
            labels: Labels::new(),
            selector: LabelSelector::default(),
            template: Some(template),
            scalable: true,
            daemon: false,
            batch: false,
        }
    }
}

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`.
    pub service_type: String,
    /// Pods it sends to; empty selects none.
    pub selector: Labels,
    /// Ports it listens on.
    pub ports: Vec<i32>,
    /// Ready addresses over its endpoint slices.
    pub ready_endpoints: usize,
}

/// A count, or a share of the replicas.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Amount {
    /// A number of pods.
    Count(u32),
    /// Percent of the replicas, 0..=100.
    Percent(u32),
}

impl Amount {
    /// The number of pods of `whole`, a percentage rounded up (as disruption budgets do).
    #[must_use]
    pub fn of_rounded_up(self, whole: u32) -> u32 {
        match self {
            Self::Count(n) => n,
            Self::Percent(p) => u32::try_from((u64::from(whole) * u64::from(p)).div_ceil(100)).unwrap_or(u32::MAX),
        }
    }
}

/// A pod disruption budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DisruptionBudget {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Which pods; `None` selects none, an empty selector all of the namespace.
    pub selector: Option<LabelSelector>,
    /// At least so many stay.
    pub min_available: Option<Amount>,
    /// At most so many go.
    pub max_unavailable: Option<Amount>,
}

/// Pods of which so many must have a node for any to come: a pod group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gang {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Pods that must have a node at least, above 0.
    pub min_members: u32,
}

/// An autoscaler that already drives a workload's replicas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Autoscaler {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `HorizontalPodAutoscaler`.
    pub kind: String,
    /// What it drives.
    pub target: WorkloadId,
    /// Lower bound.
    pub min_replicas: u32,
    /// Upper bound.
    pub max_replicas: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pods_of_a_stateful_set_have_an_ordinal() {
        let mut id = WorkloadId { namespace: "shop".into(), kind: "StatefulSet".into(), name: "db-0".into() };
        assert_eq!(id.pod_ordinal("db-0-12"), Some(12));
        assert_eq!([id.pod_ordinal("db-0"), id.pod_ordinal("db-0-x"), id.pod_ordinal("other-1")], [None; 3]);
        id.kind = "ReplicaSet".into();
        assert_eq!(id.pod_ordinal("db-0-12"), None);
    }

    #[test]
    fn a_stateful_set_keeps_every_pod_below_one_that_must_stay() {
        let db = |kind: &str| WorkloadId { namespace: "shop".into(), kind: kind.into(), name: "db".into() };
        let fewest = |kind: &str, declared: u32, pods: &[(&str, bool)]| {
            db(kind).held(declared, pods.iter().copied()).map(|held| (held.fewest, held.pod.to_owned()))
        };
        let held = |fewest: u32, pod: &str| Some((fewest, pod.to_owned()));
        let set = "StatefulSet";
        assert_eq!(fewest(set, 3, &[("db-0", false), ("db-1", false), ("db-2", false)]), None);
        assert_eq!(fewest(set, 3, &[("db-0", true), ("db-1", false), ("db-2", false)]), held(1, "db-0"));
        assert_eq!(fewest(set, 3, &[("db-0", true), ("db-1", true), ("db-2", false)]), held(2, "db-1"));
        assert_eq!(fewest(set, 3, &[("db-0", false), ("db-1", false), ("db-2", true)]), held(3, "db-2"));
        assert_eq!(fewest(set, 12, &[("db-9", false), ("db-10", true), ("db-11", false)]), held(11, "db-10"));
        assert_eq!(fewest(set, 3, &[("db-2", true)]), held(3, "db-2"), "two are yet to come");
        assert_eq!(fewest(set, 3, &[("db-5", true), ("db-6", false), ("db-7", false)]), held(1, "db-5"));
        assert_eq!(fewest(set, 1, &[("db-0", false), ("db-1", false), ("db-2", true)]), held(3, "db-2"));
        assert_eq!(fewest("Deployment", 3, &[("db-0", false), ("db-1", true), ("db-2", true)]), held(2, "db-1"));
    }
}
