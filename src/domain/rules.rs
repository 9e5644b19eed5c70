//! What a pod says about where it may run, and the label matching those rules rest on.
//!
//! The types mirror `core/v1` with what scheduling needs and nothing else. Matching follows
//! `k8s.io/apimachinery` label selectors and `component-helpers` node affinity (Kubernetes 1.36).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::volumes::PodVolumes;

/// Labels or annotations.
pub type Labels = BTreeMap<String, String>;

/// Node label with the zone.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// Node label with the region.
pub const REGION_LABEL: &str = "topology.kubernetes.io/region";
/// Labels by which a volume says where it is, each with the label of today that a node may have in its place.
pub const VOLUME_PLACE_LABELS: [(&str, &str); 4] = [
    ("failure-domain.beta.kubernetes.io/zone", ZONE_LABEL),
    ("failure-domain.beta.kubernetes.io/region", REGION_LABEL),
    (ZONE_LABEL, ZONE_LABEL),
    (REGION_LABEL, REGION_LABEL),
];
/// Node label with the host name.
pub const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";
/// Node label with the instance type.
pub const INSTANCE_TYPE_LABEL: &str = "node.kubernetes.io/instance-type";

/// How a requirement compares a label's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Operator {
    /// The value is one of the listed.
    In,
    /// The value is none of the listed; an absent label matches.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The value, as a whole number, is greater (node selectors only).
    Gt,
    /// The value, as a whole number, is smaller (node selectors only).
    Lt,
}

/// One requirement on a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// The comparison.
    pub operator: Operator,
    /// What to compare with.
    #[serde(default)]
    pub values: Vec<String>,
}

impl Requirement {
    /// Whether the value (absent: `None`) meets the requirement.
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = |v: &str| self.values.iter().any(|x| x == v);
        let number = |v: &str| v.parse::<i64>().ok();
        let limit = || match self.values.as_slice() {
            [one] => number(one),
            _ => None,
        };
        match (self.operator, value) {
            (Operator::In, Some(v)) => listed(v),
            (Operator::NotIn, Some(v)) => !listed(v),
            (Operator::NotIn | Operator::DoesNotExist, None) | (Operator::Exists, Some(_)) => true,
            (Operator::Gt, Some(v)) => matches!((number(v), limit()), (Some(a), Some(b)) if a > b),
            (Operator::Lt, Some(v)) => matches!((number(v), limit()), (Some(a), Some(b)) if a < b),
            (Operator::In | Operator::Exists | Operator::Gt | Operator::Lt, None)
            | (Operator::DoesNotExist, Some(_)) => false,
        }
    }
}

/// A label selector. Empty selects everything; to select nothing use `Option::None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must be equal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: Labels,
    /// Requirements that must all hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

impl LabelSelector {
    /// Whether all requirements hold for these labels.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|r| r.matches(labels.get(&r.key).map(String::as_str)))
    }
}

/// One of several alternatives a node may meet: all its requirements must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeSelectorTerm {
    /// Requirements on the node's labels.
    pub expressions: Vec<Requirement>,
    /// Requirements on the node's fields; Kubernetes knows only `metadata.name`.
    pub fields: Vec<Requirement>,
}

impl NodeSelectorTerm {
    /// Whether the node meets the term. A term without any requirement matches no node.
    #[must_use]
    pub fn matches(&self, node_name: &str, labels: &Labels) -> bool {
        if self.expressions.is_empty() && self.fields.is_empty() {
            return false;
        }
        self.expressions.iter().all(|r| r.matches(labels.get(&r.key).map(String::as_str)))
            && self.fields.iter().all(|r| r.key == "metadata.name" && r.matches(Some(node_name)))
    }

    /// The nodes it names, if it names any.
    fn named_nodes(&self) -> Option<BTreeSet<&str>> {
        self.fields
            .iter()
            .filter(|field| field.key == "metadata.name" && field.operator == Operator::In)
            .map(|field| field.values.iter().map(String::as_str).collect::<BTreeSet<_>>())
            .reduce(|some, others| &some & &others)
    }
}

/// What a taint does to pods that do not tolerate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TaintEffect {
    /// No new pod.
    NoSchedule,
    /// Rather no new pod.
    PreferNoSchedule,
    /// No new pod, and running ones are evicted.
    NoExecute,
}

/// A taint of a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Taint {
    /// The taint's key.
    pub key: String,
    /// The taint's value; empty where it has none.
    #[serde(default)]
    pub value: String,
    /// What it does.
    pub effect: TaintEffect,
}

/// A pod's toleration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Toleration {
    /// The key; empty with `exists` tolerates every taint.
    pub key: String,
    /// Whether the operator is `Exists` (else `Equal`).
    pub exists: bool,
    /// The value to equal.
    pub value: String,
    /// The effect tolerated; `None` is all of them.
    pub effect: Option<TaintEffect>,
}

impl Toleration {
    /// Whether this toleration covers the taint.
    #[must_use]
    pub fn covers(&self, taint: &Taint) -> bool {
        self.effect.is_none_or(|e| e == taint.effect)
            && (self.key.is_empty() && self.exists || self.key == taint.key)
            && (self.exists || self.value == taint.value)
    }
}

/// A required or preferred relation to other pods within a topology domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodAffinityTerm {
    /// Node label whose value names the domain.
    pub topology_key: String,
    /// Which pods; `None` selects none.
    pub selector: Option<LabelSelector>,
    /// Namespaces named outright; with no namespace selector, empty means the pod's own.
    pub namespaces: Vec<String>,
    /// Namespaces by their labels; `Some` of an empty selector is every namespace.
    pub namespace_selector: Option<LabelSelector>,
}

impl PodAffinityTerm {
    /// Whether the term of a pod in namespace `own` selects a pod with these labels in another (or the same)
    /// namespace; `namespaces` has the labels of each.
    #[must_use]
    pub fn selects(&self, own: &str, namespace: &str, labels: &Labels, namespaces: &BTreeMap<String, Labels>) -> bool {
        let in_namespace = if self.namespaces.is_empty() && self.namespace_selector.is_none() {
            namespace == own
        } else {
            let none = Labels::new();
            let by_labels = |s: &LabelSelector| s.matches(namespaces.get(namespace).unwrap_or(&none));
            self.namespaces.iter().any(|name| name == namespace)
                || self.namespace_selector.as_ref().is_some_and(by_labels)
        };
        in_namespace && self.selector.as_ref().is_some_and(|s| s.matches(labels))
    }
}

/// A preference with its weight of 1 to 100.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Weighted<T> {
    /// Weight, 1..=100.
    pub weight: i32,
    /// What is preferred.
    pub term: T,
}

/// A topology spread constraint.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TopologySpread {
    /// Largest allowed difference between a domain's count and the smallest; at least 1.
    pub max_skew: i32,
    /// Node label whose value names the domain.
    pub topology_key: String,
    /// `DoNotSchedule` (a rule) or `ScheduleAnyway` (a preference).
    pub hard: bool,
    /// Which pods of the namespace are counted; `None` selects none.
    pub selector: Option<LabelSelector>,
    /// Below this number of domains the smallest count is taken as 0.
    pub min_domains: Option<i32>,
    /// Whether nodes the pod's selector and affinity exclude do not count as domains (`Honor`, the default).
    pub honor_affinity: bool,
    /// Whether nodes with untolerated taints do not count as domains (default `Ignore`: they count).
    pub honor_taints: bool,
}

/// A port of the host that only one pod a node can have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostPort {
    /// The port.
    pub port: i32,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The host address; empty and `0.0.0.0` are all addresses.
    pub host_ip: String,
}

impl HostPort {
    /// Whether both cannot be on one node.
    #[must_use]
    pub fn conflicts_with(&self, other: &Self) -> bool {
        let any = |ip: &str| ip.is_empty() || ip == "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (any(&self.host_ip) || any(&other.host_ip) || self.host_ip == other.host_ip)
    }
}

/// Everything a pod says about where it may run, apart from its resource requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct SchedulingRules {
    /// Node labels that must be equal.
    pub node_selector: Labels,
    /// Alternatives of which a node must meet one; `None` is no demand, an empty list matches no node.
    pub node_affinity: Option<Vec<NodeSelectorTerm>>,
    /// Preferred node terms.
    pub preferred_node_affinity: Vec<Weighted<NodeSelectorTerm>>,
    /// Pods that must be in the same domain.
    pub pod_affinity: Vec<PodAffinityTerm>,
    /// Pods that must not be in the same domain.
    pub pod_anti_affinity: Vec<PodAffinityTerm>,
    /// Pods preferred in the same domain.
    pub preferred_pod_affinity: Vec<Weighted<PodAffinityTerm>>,
    /// Pods preferred in other domains.
    pub preferred_pod_anti_affinity: Vec<Weighted<PodAffinityTerm>>,
    /// Spread over domains.
    pub topology_spread: Vec<TopologySpread>,
    /// Taints tolerated.
    pub tolerations: Vec<Toleration>,
    /// Host ports taken.
    pub host_ports: Vec<HostPort>,
    /// Node affinity of each bound volume: every volume must have one of its terms met.
    pub volume_affinity: Vec<Vec<NodeSelectorTerm>>,
    /// Zones and regions that the labels of bound volumes name, by [`VOLUME_PLACE_LABELS`].
    pub volume_places: Vec<Requirement>,
    /// For each volume still to be made, where its storage class can make it: one of the terms must be met.
    pub volumes_to_make: Vec<Vec<NodeSelectorTerm>>,
    /// What its volumes ask beside where the node must be.
    pub volumes: PodVolumes,
    /// Scheduling gates still closed.
    pub scheduling_gates: Vec<String>,
    /// Rules of the pod that nothing here takes into account, in words.
    pub unread: Vec<String>,
}

impl SchedulingRules {
    /// Whether the pod's own node rules (selector, required affinity, bound volumes) allow the node.
    #[must_use]
    pub fn selects_node(&self, node_name: &str, labels: &Labels) -> bool {
        self.matches_node(node_name, labels) && self.reaches_volumes(node_name, labels)
    }

    /// Whether the pod's selector and required affinity allow the node.
    #[must_use]
    pub fn matches_node(&self, node_name: &str, labels: &Labels) -> bool {
        let any = |terms: &Vec<NodeSelectorTerm>| terms.iter().any(|t| t.matches(node_name, labels));
        self.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.node_affinity.as_ref().is_none_or(any)
    }

    /// Whether all volumes can be reached from the node, those still to be made included.
    #[must_use]
    pub fn reaches_volumes(&self, node_name: &str, labels: &Labels) -> bool {
        self.meets_volume_affinity(node_name, labels)
            && self.volumes_can_be_made(node_name, labels)
            && self.is_where_volumes_are(labels)
    }

    /// Whether the node affinity of each bound volume allows the node.
    #[must_use]
    pub fn meets_volume_affinity(&self, node_name: &str, labels: &Labels) -> bool {
        self.volume_affinity.iter().all(|terms| terms.iter().any(|t| t.matches(node_name, labels)))
    }

    /// Whether the volumes still to be found or made can be had on the node.
    #[must_use]
    pub fn volumes_can_be_made(&self, node_name: &str, labels: &Labels) -> bool {
        self.volumes_to_make.iter().all(|terms| terms.iter().any(|t| t.matches(node_name, labels)))
            && self.volumes.can_be_bound(node_name, labels)
    }

    /// Whether no node at all takes the pod as it is: a scheduling gate is closed, or a claim is not bound that must be
    /// before the pod is placed.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.scheduling_gates.is_empty() || self.volumes.unbound
    }

    /// Whether the node is in the zones and regions that bound volumes are labelled with. A node that says nothing of
    /// where it is passes, as in kube-scheduler's `VolumeZone`.
    #[must_use]
    pub fn is_where_volumes_are(&self, labels: &Labels) -> bool {
        let today = |key: &str| VOLUME_PLACE_LABELS.iter().find(|(label, _)| *label == key).map(|(_, today)| *today);
        let value = |key: &str| labels.get(key).or_else(|| labels.get(today(key)?)).map(String::as_str);
        VOLUME_PLACE_LABELS.iter().all(|(key, _)| !labels.contains_key(*key))
            || self.volume_places.iter().all(|place| place.matches(value(&place.key)))
    }

    /// The only nodes the pod may go to, where each alternative of its required affinity names some.
    #[must_use]
    pub fn named_nodes(&self) -> Option<BTreeSet<&str>> {
        let terms = self.node_affinity.as_deref().filter(|terms| !terms.is_empty())?;
        terms.iter().map(NodeSelectorTerm::named_nodes).try_fold(BTreeSet::new(), |some, more| Some(&some | &more?))
    }

    /// How many taints would rather have no such pod: those with `PreferNoSchedule` that it does not tolerate.
    #[must_use]
    pub fn would_rather_avoid(&self, taints: &[Taint]) -> usize {
        let prefers = |taint: &&Taint| taint.effect == TaintEffect::PreferNoSchedule;
        taints.iter().filter(prefers).filter(|taint| !self.tolerations.iter().any(|t| t.covers(taint))).count()
    }

    /// The first taint that keeps the pod off, if any; `PreferNoSchedule` never does.
    #[must_use]
    pub fn untolerated<'t>(&self, taints: &'t [Taint]) -> Option<&'t Taint> {
        taints.iter().find(|taint| {
            taint.effect != TaintEffect::PreferNoSchedule && !self.tolerations.iter().any(|t| t.covers(taint))
        })
    }
}
