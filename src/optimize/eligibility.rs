//! Why a pod fits nowhere, as kube-scheduler 1.36 sees it.
//!
//! Where a pod's affinity names its nodes, all others are out at once. On each node the default profile's filters then
//! run in their order (`NodeUnschedulable`, `TaintToleration`, `NodeAffinity`, `NodePorts`, `NodeResourcesFit`,
//! `VolumeRestrictions`, `NodeVolumeLimits`, `VolumeBinding`, `VolumeZone`, `PodTopologySpread`, `InterPodAffinity`) and
//! stop at the first that fails; the resource fit and the volume binding may give several reasons. Counted over the nodes and sorted as texts they make the sentence
//! that stands in a pending pod's `PodScheduled` condition.

mod reason;
#[cfg(test)]
mod tests;
mod volumes;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::domain::Resources;
use crate::domain::catalog::NodeOffer;
use crate::domain::resources::{PODS, is_use};
use crate::domain::rules::{
    HOSTNAME_LABEL, INSTANCE_TYPE_LABEL, LabelSelector, Labels, PodAffinityTerm, Taint, TaintEffect, TopologySpread,
    ZONE_LABEL,
};
use crate::domain::snapshot::{Node, PodTemplate, Snapshot};

pub use reason::{Reason, Verdict};

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
    /// Most volumes of each driver that pods on it may use, by the limit's name; a driver not named has no limit.
    pub volume_limits: Cow<'a, Resources>,
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
            volume_limits: Cow::Borrowed(&node.volume_limits),
            pods: BTreeMap::new(),
            deleting: BTreeMap::new(),
        }
    }

    /// A node as it would come from an offer, without any pod, with the labels every new node gets and no limits on
    /// volumes.
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
            volume_limits: Cow::Owned(Resources::default()),
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

/// What the nodes that stand say to a pod of this template asking for `requests`.
#[must_use]
pub fn why_not(cluster: &Cluster<'_>, template: &PodTemplate, requests: &Resources) -> Verdict {
    if cluster.nodes.is_empty() {
        return verdict(template, std::iter::empty());
    }
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

/// What the API server says if one more pod of this template, asking for `requests`, were made: nothing if every quota of
/// its namespace lets it.
#[must_use]
pub fn exceeded_quota(snapshot: &Snapshot, template: &PodTemplate, requests: &Resources) -> Option<String> {
    snapshot.quotas.iter().filter(|quota| quota.charges(template)).find_map(|quota| {
        let charged = |name: &str| -> i64 {
            let templates = snapshot.pods.iter().filter_map(|pod| snapshot.templates.get(pod.template));
            templates.filter(|t| quota.charges(t)).map(|t| quota.charge(name, t, &t.requests)).sum()
        };
        quota.refusal(quota.of_pods().map(|(name, _)| {
            let used = quota.used.0.get(name).copied().unwrap_or_else(|| charged(name));
            (name, quota.charge(name, template, requests), used)
        }))
    })
}

/// Whether neither the pod's own rules nor those of others look at which pods a node has.
pub(super) fn minds_no_pod(cluster: &Cluster<'_>, template: &PodTemplate) -> bool {
    let rules = &template.rules;
    rules.pod_affinity.is_empty()
        && rules.pod_anti_affinity.is_empty()
        && rules.topology_spread.is_empty()
        && rules.host_ports.is_empty()
        && !rules.volumes.mind_other_pods()
        && !cluster.templates.iter().any(|other| {
            let terms = &other.rules.pod_anti_affinity;
            terms.iter().any(|term| selects(term, &other.namespace, template, cluster.namespaces))
        })
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
    /// A claim that only one pod may use is in use.
    claim_in_use: bool,
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
            claim_in_use: volumes::claim_in_use(cluster, template),
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
        let first = if rules.volumes.unbound {
            Some(Reason::UnboundClaim)
        } else if self.named.as_ref().is_some_and(|named| !named.contains(node.name.as_ref())) {
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
        let on_node = volumes::OnNode { node, templates: self.templates };
        let in_use = if on_node.disk_in_use(&rules.volumes) {
            Some(Reason::DiskInUse)
        } else if self.claim_in_use {
            Some(Reason::ClaimInUse)
        } else if on_node.has_too_many(&rules.volumes) {
            Some(Reason::TooManyVolumes)
        } else {
            None
        };
        if let Some(reason) = in_use {
            return vec![reason];
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
            // Of several stretches of time in which too much would be in use, the first says enough.
            let told = is_use(name) && short.iter().any(|r| matches!(r, Reason::Insufficient(other) if is_use(other)));
            if amount > node.free.get(name) && !told {
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
        if reasons.is_empty() && !rules.volume_places.is_empty() && !rules.is_where_volumes_are(&node.labels) {
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
