//! Why a pod fits nowhere, as kube-scheduler 1.36 sees it.
//!
//! Where a pod's affinity names its nodes, all others are out at once. On each node the default profile's filters then
//! run in their order (`NodeUnschedulable`, `TaintToleration`, `NodeAffinity`, `NodePorts`, `NodeResourcesFit`,
//! `VolumeBinding`, `VolumeZone`, `PodTopologySpread`, `InterPodAffinity`) and stop at the first that fails; the resource
//! fit and the volume binding may give several reasons. Counted over the nodes and sorted as texts they make the sentence
//! that stands in a pending pod's `PodScheduled` condition.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::Resources;
use crate::domain::catalog::NodeOffer;
use crate::domain::resources::PODS;
use crate::domain::rules::{
    HOSTNAME_LABEL, INSTANCE_TYPE_LABEL, LabelSelector, Labels, PodAffinityTerm, Taint, TaintEffect, TopologySpread,
    ZONE_LABEL,
};
use crate::domain::snapshot::{Node, PodTemplate, Snapshot};

/// A node at one instant: now, after a plan, or one that could be bought.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeState<'a> {
    /// Name.
    pub name: Cow<'a, str>,
    /// Labels.
    pub labels: Cow<'a, Labels>,
    /// Taints.
    pub taints: &'a [Taint],
    /// Cordoned.
    pub unschedulable: bool,
    /// What is left to ask for, pod slots included; negative where over-committed.
    pub free: Resources,
    /// Pods on it by template (index into the templates of its [`Cluster`]), those being deleted included.
    pub pods: BTreeMap<usize, u32>,
    /// Those of them that are being deleted: they hold resources, but do not count for topology spread.
    pub deleting: BTreeMap<usize, u32>,
}

impl<'a> NodeState<'a> {
    /// A node that stands, without any pod.
    #[must_use]
    pub fn empty(node: &'a Node) -> Self {
        Self {
            name: Cow::Borrowed(&node.name),
            labels: Cow::Borrowed(&node.labels),
            taints: &node.taints,
            unschedulable: node.unschedulable,
            free: node.allocatable.clone(),
            pods: BTreeMap::new(),
            deleting: BTreeMap::new(),
        }
    }

    /// A node as it would come from an offer, without any pod, with the labels every new node gets.
    #[must_use]
    pub fn offered(offer: &'a NodeOffer, zone: &str, name: &str) -> Self {
        let mut labels = offer.labels.clone();
        labels.insert(HOSTNAME_LABEL.to_owned(), name.to_owned());
        labels.entry(INSTANCE_TYPE_LABEL.to_owned()).or_insert_with(|| offer.name.clone());
        if !zone.is_empty() {
            labels.insert(ZONE_LABEL.to_owned(), zone.to_owned());
        }
        Self {
            name: Cow::Owned(name.to_owned()),
            labels: Cow::Owned(labels),
            taints: &offer.taints,
            unschedulable: false,
            free: offer.allocatable.clone(),
            pods: BTreeMap::new(),
            deleting: BTreeMap::new(),
        }
    }

    /// Puts a pod of a template on the node, reserving `requests` and a pod slot.
    pub fn place(&mut self, template: usize, requests: &Resources) {
        *self.pods.entry(template).or_default() += 1;
        self.free.subtract(requests);
        self.free.set(PODS, self.free.get(PODS).saturating_sub(1));
    }
}

/// Nodes with the pods on them.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster<'a> {
    /// Nodes that stand.
    pub nodes: Vec<NodeState<'a>>,
    /// Templates that the pods refer to.
    pub templates: &'a [PodTemplate],
    /// Labels of each namespace.
    pub namespaces: &'a BTreeMap<String, Labels>,
}

impl<'a> Cluster<'a> {
    /// The nodes of a snapshot without any pod.
    #[must_use]
    pub fn empty(snapshot: &'a Snapshot) -> Self {
        Self {
            nodes: snapshot.nodes.iter().map(NodeState::empty).collect(),
            templates: &snapshot.templates,
            namespaces: &snapshot.namespaces,
        }
    }

    /// A snapshot as it stands.
    #[must_use]
    pub fn now(snapshot: &'a Snapshot) -> Self {
        let mut cluster = Self::empty(snapshot);
        let numbers: BTreeMap<&str, usize> =
            snapshot.nodes.iter().enumerate().map(|(number, node)| (node.name.as_str(), number)).collect();
        for pod in &snapshot.pods {
            let node = pod.node.as_deref().and_then(|name| numbers.get(name));
            let node = node.and_then(|&number| cluster.nodes.get_mut(number));
            if let (Some(node), Some(template)) = (node, snapshot.templates.get(pod.template)) {
                node.place(pod.template, &template.requests);
                if pod.deleting {
                    *node.deleting.entry(pod.template).or_default() += 1;
                }
            }
        }
        cluster
    }
}

/// Why one node does not take a pod; printed in kube-scheduler's words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "reason", content = "resource")]
pub enum Reason {
    /// Cordoned.
    Unschedulable,
    /// A taint that the pod does not tolerate.
    UntoleratedTaint,
    /// The pod's node selector or required node affinity.
    NodeAffinity,
    /// A host port is taken.
    HostPorts,
    /// No pod slot is free.
    TooManyPods,
    /// Too little of this resource is free.
    Insufficient(String),
    /// The pod's required affinity names its nodes, and this is none of them.
    NotNamed,
    /// A bound volume cannot be reached from the node.
    VolumeAffinity,
    /// A volume still to be made cannot be made for the node.
    VolumeToMake,
    /// The labels of a bound volume name another zone or region.
    VolumePlace,
    /// The pods would be spread too unevenly.
    TopologySpread,
    /// The node lacks the label to spread over.
    TopologySpreadLabel,
    /// No pod that must be near is near.
    PodAffinity,
    /// A pod that must not be near is near.
    PodAntiAffinity,
    /// A pod that is near does not want this one near.
    ExistingPodAntiAffinity,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unschedulable => "node(s) were unschedulable",
            Self::UntoleratedTaint => "node(s) had untolerated taint(s)",
            Self::NodeAffinity => "node(s) didn't match Pod's node affinity/selector",
            Self::HostPorts => "node(s) didn't have free ports for the requested pod ports",
            Self::TooManyPods => "Too many pods",
            Self::Insufficient(resource) => return write!(f, "Insufficient {resource}"),
            Self::NotNamed => "node(s) didn't satisfy plugin(s) [NodeAffinity]",
            Self::VolumeAffinity => "node(s) didn't match PersistentVolume's node affinity",
            Self::VolumeToMake => "node(s) didn't find available persistent volumes to bind",
            Self::VolumePlace => "node(s) had no available volume zone",
            Self::TopologySpread => "node(s) didn't match pod topology spread constraints",
            Self::TopologySpreadLabel => {
                "node(s) didn't match pod topology spread constraints (missing required label)"
            }
            Self::PodAffinity => "node(s) didn't match pod affinity rules",
            Self::PodAntiAffinity => "node(s) didn't match pod anti-affinity rules",
            Self::ExistingPodAntiAffinity => "node(s) didn't satisfy existing pods anti-affinity rules",
        })
    }
}

/// What the nodes say to one pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Nodes asked.
    pub nodes: usize,
    /// Nodes that would take it.
    pub fitting: usize,
    /// What keeps the pod off and on how many nodes; a node short of several resources counts under each.
    pub reasons: Vec<(Reason, usize)>,
    /// Scheduling gates still closed: until they open no node is asked.
    pub gates: Vec<String>,
}

impl Verdict {
    /// The verdict as kube-scheduler writes it, e.g. `0/6 nodes are available: 2 node(s) had untolerated taint(s),
    /// 4 Insufficient cpu.`; `noun` says what was asked: `nodes`, `offers`.
    #[must_use]
    pub fn sentence(&self, noun: &str) -> String {
        if !self.gates.is_empty() {
            return format!("Scheduling is blocked due to non-empty scheduling gates: {}.", self.gates.join(", "));
        }
        if self.nodes == 0 {
            return format!("no {noun} available to schedule pods.");
        }
        let mut reasons: Vec<String> = self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        // As texts, so that 11 comes before 2: kube-scheduler sorts them so.
        reasons.sort();
        let head = format!("{}/{} {noun} are available", self.fitting, self.nodes);
        if reasons.is_empty() { format!("{head}.") } else { format!("{head}: {}.", reasons.join(", ")) }
    }
}

/// What the nodes that stand say to a pod of this template asking for `requests`.
#[must_use]
pub fn why_not(cluster: &Cluster<'_>, template: &PodTemplate, requests: &Resources) -> Verdict {
    let question = Question::new(cluster, template, requests);
    verdict(template, cluster.nodes.iter().map(|node| question.asked_of(node, false)))
}

/// What nodes that could be bought say to a pod of this template, each as if it alone joined the cluster.
#[must_use]
pub fn why_not_offered(
    cluster: &Cluster<'_>,
    offered: &[NodeState<'_>],
    template: &PodTemplate,
    requests: &Resources,
) -> Verdict {
    let question = Question::new(cluster, template, requests);
    verdict(template, offered.iter().map(|node| question.asked_of(node, true)))
}

/// What one node that stands says to a pod of this template: nothing if it would take it.
#[must_use]
pub fn why_not_there(
    cluster: &Cluster<'_>,
    node: &NodeState<'_>,
    template: &PodTemplate,
    requests: &Resources,
) -> Vec<Reason> {
    Question::new(cluster, template, requests).asked_of(node, false)
}

fn verdict(template: &PodTemplate, answers: impl Iterator<Item = Vec<Reason>>) -> Verdict {
    let mut verdict = Verdict { gates: template.rules.scheduling_gates.clone(), ..Verdict::default() };
    let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
    for answer in answers {
        verdict.nodes += 1;
        verdict.fitting += usize::from(answer.is_empty());
        for reason in answer {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    verdict.reasons = reasons.into_iter().collect();
    verdict
}

/// A node label's key and value: a topology domain.
type Domain<'a> = (&'a str, &'a str);

/// A pod to place, with what the whole cluster says about it (what the scheduler computes in `PreFilter`).
struct Question<'a> {
    template: &'a PodTemplate,
    templates: &'a [PodTemplate],
    requests: &'a Resources,
    /// The only nodes it may go to, if its affinity names them.
    named: Option<BTreeSet<&'a str>>,
    spreads: Vec<Spread<'a>>,
    /// Domains with pods that match all affinity terms.
    near: BTreeSet<Domain<'a>>,
    /// The pod itself matches all its affinity terms, so that the first of a group may start anywhere.
    founds: bool,
    /// Domains with pods that the pod must not be near.
    forbidden: BTreeSet<Domain<'a>>,
    /// Domains with pods that forbid the pod.
    forbidding: BTreeSet<Domain<'a>>,
}

struct Spread<'a> {
    rule: &'a TopologySpread,
    counts: BTreeMap<&'a str, i64>,
    /// 1 if the pod itself is counted.
    own: i64,
}

impl<'a> Question<'a> {
    fn new(cluster: &'a Cluster<'_>, template: &'a PodTemplate, requests: &'a Resources) -> Self {
        let matching = |terms: &[PodAffinityTerm], all: bool| -> Vec<bool> {
            let own = &template.namespace;
            let selects = |other: &PodTemplate, term| selects(term, own, other, cluster.namespaces);
            let templates = cluster.templates.iter();
            if terms.is_empty() {
                return vec![false; cluster.templates.len()];
            }
            templates
                .map(|t| if all { terms.iter().all(|x| selects(t, x)) } else { terms.iter().any(|x| selects(t, x)) })
                .collect()
        };
        let rules = &template.rules;
        let near_pods = matching(&rules.pod_affinity, true);
        let mut question = Self {
            template,
            templates: cluster.templates,
            requests,
            named: rules.named_nodes(),
            spreads: spreads(cluster, template),
            near: BTreeSet::new(),
            founds: rules.pod_affinity.iter().all(|t| selects(t, &template.namespace, template, cluster.namespaces)),
            forbidden: BTreeSet::new(),
            forbidding: BTreeSet::new(),
        };
        for term in &rules.pod_affinity {
            question.near.extend(domains(cluster, &term.topology_key, &near_pods));
        }
        for term in &rules.pod_anti_affinity {
            let far_pods = matching(std::slice::from_ref(term), true);
            question.forbidden.extend(domains(cluster, &term.topology_key, &far_pods));
        }
        for (number, other) in cluster.templates.iter().enumerate() {
            for term in &other.rules.pod_anti_affinity {
                if selects(term, &other.namespace, template, cluster.namespaces) {
                    let only: Vec<bool> = (0..cluster.templates.len()).map(|t| t == number).collect();
                    question.forbidding.extend(domains(cluster, &term.topology_key, &only));
                }
            }
        }
        question
    }

    /// Why the node does not take the pod. A node that is not yet part of the cluster may open a domain of its own.
    fn asked_of(&self, node: &NodeState<'_>, joins: bool) -> Vec<Reason> {
        let rules = &self.template.rules;
        let first = if self.named.as_ref().is_some_and(|named| !named.contains(node.name.as_ref())) {
            Some(Reason::NotNamed)
        } else if node.unschedulable && !self.tolerates_cordon() {
            Some(Reason::Unschedulable)
        } else if rules.untolerated(node.taints).is_some() {
            Some(Reason::UntoleratedTaint)
        } else if !rules.matches_node(&node.name, &node.labels) {
            Some(Reason::NodeAffinity)
        } else if self.ports_taken(node) {
            Some(Reason::HostPorts)
        } else {
            None
        };
        if let Some(reason) = first {
            return vec![reason];
        }
        let short = self.short_of(node);
        if !short.is_empty() {
            return short;
        }
        let volumes = self.out_of_reach(node);
        if !volumes.is_empty() {
            return volumes;
        }
        self.uneven(node, joins).or_else(|| self.ill_placed(node)).into_iter().collect()
    }

    fn tolerates_cordon(&self) -> bool {
        let cordon = Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            value: String::new(),
            effect: TaintEffect::NoSchedule,
        };
        self.template.rules.tolerations.iter().any(|t| t.covers(&cordon))
    }

    fn ports_taken(&self, node: &NodeState<'_>) -> bool {
        let wanted = &self.template.rules.host_ports;
        !wanted.is_empty()
            && node
                .pods
                .keys()
                .filter_map(|&number| self.templates.get(number))
                .flat_map(|other| &other.rules.host_ports)
                .any(|taken| wanted.iter().any(|port| port.conflicts_with(taken)))
    }

    fn short_of(&self, node: &NodeState<'_>) -> Vec<Reason> {
        let mut short = Vec::new();
        if node.free.get(PODS) < 1 {
            short.push(Reason::TooManyPods);
        }
        let asked = self.requests.iter().filter(|(name, amount)| *name != PODS && *amount > 0);
        for (name, amount) in asked {
            if amount > node.free.get(name) {
                short.push(Reason::Insufficient(name.to_owned()));
            }
        }
        short
    }

    /// The node affinity of volumes and where they can be made are one filter; the labels of volumes are the next.
    fn out_of_reach(&self, node: &NodeState<'_>) -> Vec<Reason> {
        let rules = &self.template.rules;
        let mut reasons = Vec::new();
        if !rules.meets_volume_affinity(&node.name, &node.labels) {
            reasons.push(Reason::VolumeAffinity);
        }
        if !rules.volumes_can_be_made(&node.name, &node.labels) {
            reasons.push(Reason::VolumeToMake);
        }
        if reasons.is_empty() && !rules.is_where_volumes_are(&node.labels) {
            reasons.push(Reason::VolumePlace);
        }
        reasons
    }

    fn uneven(&self, node: &NodeState<'_>, joins: bool) -> Option<Reason> {
        for spread in &self.spreads {
            let Some(value) = node.labels.get(&spread.rule.topology_key) else {
                return Some(Reason::TopologySpreadLabel);
            };
            let count = spread.counts.get(value.as_str()).copied();
            let opens = joins && count.is_none();
            let count = count.unwrap_or(0);
            let domains = spread.counts.len() + usize::from(opens);
            let enough = i64::try_from(domains).unwrap_or(i64::MAX) >= i64::from(spread.rule.min_domains.unwrap_or(1));
            let smallest = spread.counts.values().copied().min().unwrap_or(0);
            let smallest = if opens || !enough { 0 } else { smallest };
            if count + spread.own - smallest > i64::from(spread.rule.max_skew) {
                return Some(Reason::TopologySpread);
            }
        }
        None
    }

    fn ill_placed(&self, node: &NodeState<'_>) -> Option<Reason> {
        let rules = &self.template.rules;
        let domain = |term: &'a PodAffinityTerm| -> Option<(&'a str, &str)> {
            Some((term.topology_key.as_str(), node.labels.get(&term.topology_key)?.as_str()))
        };
        let labelled = rules.pod_affinity.iter().all(|term| domain(term).is_some());
        let near = rules.pod_affinity.iter().all(|term| domain(term).is_some_and(|d| self.near.contains(&d)));
        let first = self.near.is_empty() && self.founds;
        if !labelled || !(near || first) {
            return Some(Reason::PodAffinity);
        }
        if rules.pod_anti_affinity.iter().any(|term| domain(term).is_some_and(|d| self.forbidden.contains(&d))) {
            return Some(Reason::PodAntiAffinity);
        }
        let own = node.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let forbids = !self.forbidding.is_empty() && own.into_iter().any(|d| self.forbidding.contains(&d));
        forbids.then_some(Reason::ExistingPodAntiAffinity)
    }
}

/// Whether a term of a pod in namespace `own` selects another pod.
fn selects(term: &PodAffinityTerm, own: &str, other: &PodTemplate, namespaces: &BTreeMap<String, Labels>) -> bool {
    term.selects(own, &other.namespace, &other.labels, namespaces)
}

/// Domains of a key that hold a pod of one of the templates marked.
fn domains<'a>(cluster: &'a Cluster<'_>, key: &'a str, marked: &[bool]) -> BTreeSet<Domain<'a>> {
    if !marked.contains(&true) {
        return BTreeSet::new();
    }
    let holds = |node: &&NodeState<'_>| node.pods.keys().any(|&t| marked.get(t).copied().unwrap_or(false));
    cluster.nodes.iter().filter(holds).filter_map(|node| Some((key, node.labels.get(key)?.as_str()))).collect()
}

/// How the pods that each hard spread rule counts are spread now. Nodes that lack the label of any rule, or that a
/// rule's policies leave out, are no part of a domain. An empty selector counts nobody, as in kube-scheduler.
fn spreads<'a>(cluster: &'a Cluster<'_>, template: &'a PodTemplate) -> Vec<Spread<'a>> {
    let rules: Vec<&TopologySpread> = template.rules.topology_spread.iter().filter(|rule| rule.hard).collect();
    let nodes: Vec<&NodeState<'_>> = cluster
        .nodes
        .iter()
        .filter(|node| rules.iter().all(|rule| node.labels.contains_key(&rule.topology_key)))
        .collect();
    rules
        .into_iter()
        .map(|rule| {
            let counted = |other: &PodTemplate| {
                other.namespace == template.namespace
                    && rule
                        .selector
                        .as_ref()
                        .is_some_and(|s| *s != LabelSelector::default() && s.matches(&other.labels))
            };
            let marked: Vec<bool> = cluster.templates.iter().map(counted).collect();
            let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
            for node in &nodes {
                let left_out = (rule.honor_affinity && !template.rules.matches_node(&node.name, &node.labels))
                    || (rule.honor_taints && template.rules.untolerated(node.taints).is_some());
                if left_out {
                    continue;
                }
                let Some(value) = node.labels.get(&rule.topology_key) else { continue };
                let live = node
                    .pods
                    .iter()
                    .filter(|(t, _)| marked.get(**t).copied().unwrap_or(false))
                    .map(|(t, n)| i64::from(*n) - i64::from(node.deleting.get(t).copied().unwrap_or(0)));
                *counts.entry(value.as_str()).or_default() += live.sum::<i64>();
            }
            let own = rule.selector.as_ref().is_some_and(|s| s.matches(&template.labels));
            Spread { rule, counts, own: i64::from(own) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::{HostPort, NodeSelectorTerm, Operator, Requirement, Toleration};

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn node(name: &str, zone: &str, cpu: i64) -> Node {
        Node {
            name: name.to_owned(),
            labels: labels(&[(ZONE_LABEL, zone), (HOSTNAME_LABEL, name)]),
            taints: Vec::new(),
            unschedulable: false,
            ready: true,
            allocatable: Resources::of([("cpu", cpu), (PODS, 3)]),
            zone: zone.to_owned(),
            instance_type: String::new(),
            capacity_type: crate::domain::CapacityType::OnDemand,
            created_ms: None,
            do_not_disrupt: false,
        }
    }

    fn template(app: &str) -> PodTemplate {
        PodTemplate {
            namespace: "shop".to_owned(),
            labels: labels(&[("app", app)]),
            requests: Resources::of([("cpu", 1000)]),
            ..PodTemplate::default()
        }
    }

    fn select(app: &str) -> LabelSelector {
        LabelSelector { match_labels: labels(&[("app", app)]), match_expressions: Vec::new() }
    }

    fn term(app: &str, key: &str) -> PodAffinityTerm {
        PodAffinityTerm {
            topology_key: key.to_owned(),
            selector: Some(select(app)),
            namespaces: Vec::new(),
            namespace_selector: None,
        }
    }

    fn spread(app: &str, min_domains: Option<i32>) -> TopologySpread {
        TopologySpread {
            max_skew: 1,
            topology_key: ZONE_LABEL.to_owned(),
            hard: true,
            selector: Some(select(app)),
            min_domains,
            honor_affinity: true,
            honor_taints: false,
        }
    }

    fn in_zone_b() -> NodeSelectorTerm {
        let zone = Requirement { key: ZONE_LABEL.to_owned(), operator: Operator::In, values: vec!["b".to_owned()] };
        NodeSelectorTerm { expressions: vec![zone], fields: Vec::new() }
    }

    /// The sentence for template 1 while one pod of template 0 stands on each of the nodes named.
    fn sentence(nodes: &[Node], templates: &[PodTemplate], standing: &[&str]) -> String {
        let snapshot = Snapshot { nodes: nodes.to_vec(), templates: templates.to_vec(), ..Snapshot::default() };
        let mut cluster = Cluster::empty(&snapshot);
        for name in standing {
            let node = cluster.nodes.iter_mut().find(|n| n.name == *name).unwrap();
            node.place(0, &templates[0].requests);
        }
        why_not(&cluster, &templates[1], &templates[1].requests).sentence("nodes")
    }

    #[test]
    fn each_filter_speaks_in_the_schedulers_words() {
        type Change = fn(&mut Node, &mut PodTemplate, &mut PodTemplate);
        let cases: [(Change, &str); 15] = [
            (|_, _, _| {}, "1/1 nodes are available."),
            (|n, _, _| n.unschedulable = true, "0/1 nodes are available: 1 node(s) were unschedulable."),
            (
                |n, _, _| {
                    n.taints.push(Taint {
                        key: "spot".to_owned(),
                        value: String::new(),
                        effect: TaintEffect::NoExecute,
                    });
                },
                "0/1 nodes are available: 1 node(s) had untolerated taint(s).",
            ),
            (
                |_, _, p| {
                    p.rules.node_selector = labels(&[("gpu", "yes")]);
                },
                "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
            ),
            (
                |_, p, q| {
                    let port = HostPort { port: 80, protocol: "TCP".to_owned(), host_ip: String::new() };
                    p.rules.host_ports.push(port.clone());
                    q.rules.host_ports.push(port);
                },
                "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
            ),
            (
                |n, _, q| {
                    n.allocatable = Resources::of([("cpu", 1500), (PODS, 1)]);
                    q.requests.set("gpu", 1);
                },
                "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient gpu, 1 Too many pods.",
            ),
            (
                |_, _, q| q.rules.volume_affinity.push(vec![in_zone_b()]),
                "0/1 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity.",
            ),
            (
                |_, _, q| q.rules.volumes_to_make.push(vec![in_zone_b()]),
                "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind.",
            ),
            (
                |_, _, q| q.rules.volume_places.extend(in_zone_b().expressions),
                "0/1 nodes are available: 1 node(s) had no available volume zone.",
            ),
            (
                |n, _, q| {
                    n.unschedulable = true;
                    let name = Requirement {
                        key: "metadata.name".to_owned(),
                        operator: Operator::In,
                        values: vec!["another".to_owned()],
                    };
                    let term = NodeSelectorTerm { expressions: Vec::new(), fields: vec![name] };
                    q.rules.node_affinity = Some(vec![term]);
                },
                "0/1 nodes are available: 1 node(s) didn't satisfy plugin(s) [NodeAffinity].",
            ),
            (|_, _, q| q.rules.topology_spread.push(spread("old", Some(2))), "1/1 nodes are available."),
            (
                |_, _, q| {
                    q.rules.topology_spread.push(spread("old", Some(2)));
                    q.labels = labels(&[("app", "old")]);
                },
                "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints.",
            ),
            (
                |n, _, q| {
                    n.labels.remove(ZONE_LABEL);
                    q.rules.topology_spread.push(spread("old", None));
                },
                "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints \
                 (missing required label).",
            ),
            (
                |_, _, q| q.rules.pod_affinity.push(term("absent", ZONE_LABEL)),
                "0/1 nodes are available: 1 node(s) didn't match pod affinity rules.",
            ),
            (
                |_, _, q| q.rules.pod_anti_affinity.push(term("old", HOSTNAME_LABEL)),
                "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.",
            ),
        ];
        for (change, expected) in cases {
            let (mut node, mut old, mut new) = (node("a", "a", 4000), template("old"), template("new"));
            change(&mut node, &mut old, &mut new);
            assert_eq!(sentence(&[node], &[old, new], &["a"]), expected);
        }
    }

    #[test]
    fn a_pod_that_stands_can_forbid_one_to_come() {
        let (mut old, new) = (template("old"), template("new"));
        old.rules.pod_anti_affinity.push(term("new", ZONE_LABEL));
        let nodes = [node("a", "z", 4000), node("b", "z", 4000), node("c", "y", 4000)];
        assert_eq!(
            sentence(&nodes, &[old.clone(), new.clone()], &["a"]),
            "1/3 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules."
        );
        let mut elsewhere = new;
        elsewhere.namespace = "other".to_owned();
        assert_eq!(sentence(&nodes, &[old, elsewhere], &["a"]), "3/3 nodes are available.");
    }

    #[test]
    fn the_first_pod_of_a_group_that_wants_its_like_near_may_start_anywhere() {
        let (old, mut new) = (template("old"), template("new"));
        new.rules.pod_affinity.push(term("new", ZONE_LABEL));
        let nodes = [node("a", "z", 4000), node("b", "y", 4000)];
        assert_eq!(sentence(&nodes, &[old.clone(), new.clone()], &[]), "2/2 nodes are available.");
        let mut same = old;
        same.labels = new.labels.clone();
        assert_eq!(
            sentence(&nodes, &[same, new], &["a"]),
            "1/2 nodes are available: 1 node(s) didn't match pod affinity rules."
        );
    }

    #[test]
    fn a_spread_leaves_out_nodes_its_pod_cannot_use() {
        let (old, mut new) = (template("old"), template("new"));
        new.labels = old.labels.clone();
        new.rules.topology_spread.push(spread("old", None));
        let mut empty = node("b", "y", 4000);
        let nodes = [node("a", "z", 4000), empty.clone()];
        assert_eq!(
            sentence(&nodes, &[old.clone(), new.clone()], &["a"]),
            "1/2 nodes are available: 1 node(s) didn't match pod topology spread constraints."
        );
        empty.labels.insert("pool".to_owned(), "other".to_owned());
        let pool = Requirement { key: "pool".to_owned(), operator: Operator::DoesNotExist, values: Vec::new() };
        new.rules.node_affinity = Some(vec![NodeSelectorTerm { expressions: vec![pool], fields: Vec::new() }]);
        assert_eq!(
            sentence(&[node("a", "z", 4000), empty], &[old, new], &["a"]),
            "1/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
        );
    }

    #[test]
    fn an_offered_node_may_open_a_zone_of_its_own() {
        let (old, mut new) = (template("old"), template("new"));
        new.labels = old.labels.clone();
        new.rules.topology_spread.push(spread("old", None));
        let templates = vec![old, new];
        let snapshot = Snapshot { nodes: vec![node("a", "z", 4000)], templates, ..Snapshot::default() };
        let mut cluster = Cluster::empty(&snapshot);
        for _ in 0..2 {
            cluster.nodes[0].place(0, &snapshot.templates[0].requests);
        }
        let offer = NodeOffer {
            name: "m".to_owned(),
            zones: vec!["z".to_owned(), "y".to_owned()],
            capacity_type: crate::domain::CapacityType::OnDemand,
            price_per_hour: 1.0,
            allocatable: Resources::of([("cpu", 1000), (PODS, 10)]),
            labels: Labels::new(),
            taints: Vec::new(),
            quota: None,
            boot_time_s: 0.0,
        };
        let offered: Vec<NodeState<'_>> = offer.zones.iter().map(|z| NodeState::offered(&offer, z, "new")).collect();
        let new = &snapshot.templates[1];
        assert_eq!(
            why_not_offered(&cluster, &offered, new, &new.requests).sentence("offers"),
            "2/2 offers are available."
        );
        let mut full = cluster.clone();
        full.nodes.push(NodeState::empty(&snapshot.nodes[0]));
        full.nodes[1].labels.to_mut().insert(ZONE_LABEL.to_owned(), "y".to_owned());
        let verdict = why_not_offered(&full, &offered, new, &new.requests);
        assert_eq!(verdict.reasons, [(Reason::TopologySpread, 1)], "zone y is empty, so zone z is full");
    }

    #[test]
    fn gates_are_told_before_any_node_is_asked() {
        let mut gated = template("new");
        gated.rules.scheduling_gates.push("quota".to_owned());
        assert_eq!(
            sentence(&[node("a", "z", 4000)], &[template("old"), gated], &[]),
            "Scheduling is blocked due to non-empty scheduling gates: quota."
        );
        assert_eq!(sentence(&[], &[template("old"), template("new")], &[]), "no nodes available to schedule pods.");
    }

    #[test]
    fn a_toleration_of_the_cordon_opens_a_cordoned_node() {
        let mut new = template("new");
        let key = "node.kubernetes.io/unschedulable".to_owned();
        new.rules.tolerations.push(Toleration { key: key.clone(), exists: true, value: String::new(), effect: None });
        let mut cordoned = node("a", "z", 4000);
        cordoned.unschedulable = true;
        cordoned.taints.push(Taint { key, value: String::new(), effect: TaintEffect::NoSchedule });
        assert_eq!(sentence(&[cordoned], &[template("old"), new], &[]), "1/1 nodes are available.");
    }
}
