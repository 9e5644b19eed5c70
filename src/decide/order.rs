//! Rules that are judged when a pod comes: required pod affinity and topology spread. Pods of one wave come in some
//! order, after all that move have left; whoever finds no place in it waits for another wave.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::Snapshot;
use crate::domain::rules::{LabelSelector, TopologySpread};
use crate::domain::snapshot::PodTemplate;

use super::cluster::{Cluster, Node, NodeIndex, PodIndex};

/// A pod that comes in a wave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) pod: PodIndex,
    pub(super) to: NodeIndex,
}

/// Rules of pods that come, and the pods that they count.
#[derive(Debug, Clone)]
pub(super) struct Order<'a> {
    tallies: Vec<Tally<'a>>,
    /// Tallies by the template whose rules they are.
    of_template: BTreeMap<usize, Vec<usize>>,
    /// Tallies that count pods of each template.
    counting: Vec<Vec<usize>>,
    /// The nodes that the tallies know.
    nodes_version: u32,
}

/// Pods that one rule of a template's pods counts, by domain.
#[derive(Debug, Clone)]
struct Tally<'a> {
    owner: &'a PodTemplate,
    key: &'a str,
    /// The spread, or `None` of an affinity term.
    spread: Option<&'a TopologySpread>,
    /// Whether its own pods are counted.
    counts_itself: bool,
    /// Domain of each node that stands and has one, and whether pods on it count.
    of_node: Vec<Option<(usize, bool)>>,
    /// Domains with a node that counts, and how many they are.
    there: Vec<bool>,
    domains: u32,
    /// Pods by domain, without those on their way out.
    counts: Vec<i64>,
    /// How many of the domains that are there have each count.
    levels: BTreeMap<i64, u32>,
    /// Pods on their way out.
    leaving: u32,
}

impl<'a> Order<'a> {
    /// The rules of the templates of which pods come.
    pub(super) fn new(snapshot: &'a Snapshot, coming: &BTreeSet<usize>) -> Self {
        let counting = vec![Vec::new(); snapshot.templates.len()];
        let mut order = Self { tallies: Vec::new(), of_template: BTreeMap::new(), counting, nodes_version: 0 };
        for &number in coming {
            let owner = &snapshot.templates[number];
            for term in &owner.rules.pod_affinity {
                // Only a pod that all terms select is a partner.
                let partner = |other: &PodTemplate| {
                    let namespaces = &snapshot.namespaces;
                    let mut terms = owner.rules.pod_affinity.iter();
                    terms.all(|t| t.selects(&owner.namespace, &other.namespace, &other.labels, namespaces))
                };
                order.add(snapshot, number, &term.topology_key, None, &partner);
            }
            for spread in owner.rules.topology_spread.iter().filter(|spread| spread.hard) {
                // An empty selector counts nobody, as in kube-scheduler.
                let selector = spread.selector.as_ref().filter(|s| **s != LabelSelector::default());
                let counted = |other: &PodTemplate| {
                    other.namespace == owner.namespace && selector.is_some_and(|s| s.matches(&other.labels))
                };
                order.add(snapshot, number, &spread.topology_key, Some(spread), &counted);
            }
        }
        order
    }

    fn add(
        &mut self,
        snapshot: &'a Snapshot,
        template: usize,
        key: &'a str,
        spread: Option<&'a TopologySpread>,
        counted: &dyn Fn(&PodTemplate) -> bool,
    ) {
        let number = self.tallies.len();
        let mut counts_itself = false;
        for (other, _) in snapshot.templates.iter().enumerate().filter(|(_, pods)| counted(pods)) {
            counts_itself |= other == template;
            self.counting[other].push(number);
        }
        let owner = &snapshot.templates[template];
        self.of_template.entry(template).or_default().push(number);
        self.tallies.push(Tally {
            owner,
            key,
            spread,
            counts_itself,
            of_node: Vec::new(),
            there: Vec::new(),
            domains: 0,
            counts: Vec::new(),
            levels: BTreeMap::new(),
            leaving: 0,
        });
    }

    /// Counts anew.
    pub(super) fn begin_wave(&mut self, cluster: &Cluster) {
        let known = std::mem::replace(&mut self.nodes_version, cluster.nodes_version) == cluster.nodes_version;
        for tally in &mut self.tallies {
            if !known {
                tally.map(&cluster.nodes);
            }
            tally.clear();
        }
        for pod in &cluster.pods {
            let Some(node) = pod.node else { continue };
            for &number in &self.counting[pod.template] {
                let tally = &mut self.tallies[number];
                if pod.leaving { tally.leaving += 1 } else { tally.shift(node, 1) }
            }
        }
    }

    /// Those of the pods that cannot come in any order that was found.
    pub(super) fn refused(&mut self, cluster: &Cluster, arrivals: &[Arrival]) -> BTreeSet<PodIndex> {
        if self.tallies.is_empty() {
            return BTreeSet::new();
        }
        let from = |arrival: &Arrival| (cluster.pods[arrival.pod].template, cluster.pods[arrival.pod].node);
        let template = |arrival: &Arrival| cluster.pods[arrival.pod].template;
        for arrival in arrivals {
            self.leave(from(arrival), 1);
        }
        let (mut bound, free): (Vec<Arrival>, Vec<Arrival>) =
            arrivals.iter().partition(|arrival| self.of_template.contains_key(&template(arrival)));
        let mut come = Vec::with_capacity(arrivals.len());
        // Pods that are only counted come once nothing else goes on: they can but be in the way, or raise the least count.
        for others in [Vec::new(), free] {
            for arrival in others {
                self.shift(template(&arrival), arrival.to, 1);
                come.push(arrival);
            }
            let mut waiting = usize::MAX;
            while bound.len() < waiting {
                waiting = bound.len();
                bound.retain(|arrival| {
                    let waits = self.why_not(template(arrival), arrival.to, cluster).is_some();
                    if !waits {
                        self.shift(template(arrival), arrival.to, 1);
                        come.push(*arrival);
                    }
                    waits
                });
            }
        }
        for arrival in come {
            self.shift(template(&arrival), arrival.to, -1);
        }
        for arrival in arrivals {
            self.leave(from(arrival), -1);
        }
        bound.into_iter().map(|arrival| arrival.pod).collect()
    }

    /// The rule that keeps the pod off the node if it comes alone.
    pub(super) fn check(&mut self, cluster: &Cluster, arrival: Arrival) -> Result<(), String> {
        let pod = &cluster.pods[arrival.pod];
        self.leave((pod.template, pod.node), 1);
        let held = self.why_not(pod.template, arrival.to, cluster);
        self.leave((pod.template, pod.node), -1);
        held.map_or(Ok(()), Err)
    }

    fn shift(&mut self, template: usize, node: NodeIndex, by: i64) {
        for &number in &self.counting[template] {
            self.tallies[number].shift(node, by);
        }
    }

    /// A pod of the template leaves its node, if it has one, so many times.
    fn leave(&mut self, (template, node): (usize, Option<NodeIndex>), times: i64) {
        let Some(node) = node else { return };
        self.shift(template, node, -times);
        for &number in &self.counting[template] {
            let leaving = &mut self.tallies[number].leaving;
            *leaving = leaving.saturating_add_signed(if times > 0 { 1 } else { -1 });
        }
    }

    fn why_not(&self, template: usize, node: NodeIndex, cluster: &Cluster) -> Option<String> {
        let tallies: Vec<&Tally<'_>> =
            self.of_template.get(&template).into_iter().flatten().map(|number| &self.tallies[*number]).collect();
        // The first of a group that selects itself may begin it where none of them is anywhere.
        let mut terms = tallies.iter().filter(|tally| tally.spread.is_none());
        let founds = terms.all(|t| t.counts_itself && t.of_node[node].is_some() && t.is_empty());
        let held = |tally: &&&Tally<'_>| match tally.spread {
            Some(spread) => !tally.is_even_with(node, spread),
            None => !founds && !tally.has_partner(node),
        };
        tallies.iter().find(held).map(|tally| tally.rule(&cluster.nodes[node]))
    }
}

impl Tally<'_> {
    /// Takes in the nodes that stand.
    fn map(&mut self, nodes: &[Node]) {
        let mut ids: BTreeMap<&str, usize> = BTreeMap::new();
        self.there.clear();
        self.of_node.clear();
        for node in nodes {
            let domain = node.labels.get(self.key).filter(|_| node.standing).map(|value| {
                let next = ids.len();
                let domain = *ids.entry(value).or_insert(next);
                self.there.resize(ids.len(), false);
                let counts = self.spread.is_none_or(|spread| counts(self.owner, spread, node));
                self.there[domain] |= counts;
                (domain, counts)
            });
            self.of_node.push(domain);
        }
        self.domains = self.there.iter().map(|there| u32::from(*there)).sum();
    }

    /// Counts nobody.
    fn clear(&mut self) {
        self.counts = vec![0; self.there.len()];
        self.levels = BTreeMap::from([(0, self.domains)]);
        self.leaving = 0;
    }

    fn shift(&mut self, node: NodeIndex, by: i64) {
        let Some((domain, true)) = self.of_node[node] else { return };
        let before = self.counts[domain];
        self.counts[domain] += by;
        if let Some(domains) = self.levels.get_mut(&before) {
            *domains -= 1;
            if *domains == 0 {
                self.levels.remove(&before);
            }
        }
        *self.levels.entry(before + by).or_insert(0) += 1;
    }

    /// Whether nobody it counts is anywhere, not even on the way out.
    fn is_empty(&self) -> bool {
        self.leaving == 0 && self.counts.iter().all(|count| *count == 0)
    }

    fn has_partner(&self, node: NodeIndex) -> bool {
        self.of_node[node].is_some_and(|(domain, _)| self.counts[domain] > 0)
    }

    /// Whether one more pod on the node keeps to the skew.
    fn is_even_with(&self, node: NodeIndex, spread: &TopologySpread) -> bool {
        let Some((domain, _)) = self.of_node[node] else { return false };
        let enough = i64::from(self.domains) >= i64::from(spread.min_domains.unwrap_or(1));
        let least = if enough { self.levels.keys().next().copied().unwrap_or(0) } else { 0 };
        self.counts[domain] + i64::from(self.counts_itself) - least <= i64::from(spread.max_skew)
    }

    fn rule(&self, node: &Node) -> String {
        let kind = if self.spread.is_some() { "topology spread" } else { "pod affinity" };
        let value = node.labels.get(self.key).map_or("", String::as_str);
        format!("{kind} in {}={value}", self.key)
    }
}

/// Whether pods on the node count for a spread of the template: it has every label that the pods spread over, and is not
/// left out by affinity or taints where those are honoured.
fn counts(owner: &PodTemplate, spread: &TopologySpread, node: &Node) -> bool {
    let mut hard = owner.rules.topology_spread.iter().filter(|spread| spread.hard);
    hard.all(|other| node.labels.contains_key(&other.topology_key))
        && (!spread.honor_affinity || owner.rules.matches_node(&node.name, &node.labels))
        && (!spread.honor_taints || owner.rules.untolerated(&node.taints).is_none())
}
