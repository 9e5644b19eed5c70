//! Preferences of placed pods that are not met, by the state that the plan leaves.
//!
//! Weights are kube-scheduler's, 1 to 100. Not met are: a preferred node term that the node does not match (an empty one
//! is none); a taint with `PreferNoSchedule` that is not tolerated (100); a preferred pod term without another such pod
//! in the node's domain, or with one where they should be apart; and of a spread with `ScheduleAnyway`, each of the
//! template's pods that its domain has beyond the least and the skew, or that is in no domain at all (100).

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::rules::{LabelSelector, NodeSelectorTerm, PodAffinityTerm, TopologySpread};
use crate::domain::snapshot::PodTemplate;

use super::Given;
use super::after::{After, AfterNode};

/// The weight that the policy prices.
const FULL_WEIGHT: f64 = 100.0;

/// Price an hour.
pub(super) fn price(given: &Given<'_>, after: &After<'_>) -> f64 {
    let price = given.policy.costs.preference_per_hour;
    if price <= 0.0 {
        return 0.0;
    }
    let state = State::of(given, after);
    let weights = after.templates.iter().enumerate().map(|(number, template)| state.unmet(number, template));
    price / FULL_WEIGHT * weights.sum::<f64>()
}

/// Pods of one template on one node.
#[derive(Default, Clone, Copy)]
struct Pods {
    all: u32,
    /// Those whose preferences count: not of `DaemonSets`, not being deleted.
    weighed: u32,
}

struct State<'a> {
    given: &'a Given<'a>,
    nodes: &'a [AfterNode<'a>],
    templates: &'a [PodTemplate],
    /// Pods by template and node.
    pods: Vec<BTreeMap<usize, Pods>>,
}

impl<'a> State<'a> {
    fn of(given: &'a Given<'a>, after: &'a After<'a>) -> Self {
        let mut pods: Vec<BTreeMap<usize, Pods>> = vec![BTreeMap::new(); after.templates.len()];
        for pod in &after.pods {
            let daemon = after.workloads.get(pod.workload).is_some_and(|workload| workload.now.daemon);
            if let Some(nodes) = pods.get_mut(pod.template) {
                let here = nodes.entry(pod.node).or_default();
                here.all += 1;
                here.weighed += u32::from(!daemon && !pod.deleting());
            }
        }
        Self { given, nodes: &after.nodes, templates: after.templates, pods }
    }

    /// Weight of what the template's pods miss.
    fn unmet(&self, number: usize, template: &PodTemplate) -> f64 {
        let rules = &template.rules;
        let near = self.counted(&rules.preferred_pod_affinity, template);
        let far = self.counted(&rules.preferred_pod_anti_affinity, template);
        let mut weight = 0.0;
        for (node, pods) in self.pods[number].iter().filter(|(_, pods)| pods.weighed > 0) {
            let Some(on) = self.nodes.get(*node) else { continue };
            let terms = rules.preferred_node_affinity.iter().filter(|p| p.term != NodeSelectorTerm::default());
            let missed = terms.filter(|p| !p.term.matches(on.name, &on.labels)).map(|p| f64::from(p.weight));
            let taints = FULL_WEIGHT * rules.would_rather_avoid(on.taints) as f64;
            let lonely = near.iter().filter(|term| term.others(on) != Some(true)).map(|term| term.weight);
            let crowded = far.iter().filter(|term| term.others(on) == Some(true)).map(|term| term.weight);
            weight += f64::from(pods.weighed) * (missed.chain(lonely).chain(crowded).sum::<f64>() + taints);
        }
        let spreads = rules.topology_spread.iter().filter(|spread| !spread.hard);
        weight + spreads.map(|spread| FULL_WEIGHT * f64::from(self.too_many(number, template, spread))).sum::<f64>()
    }

    /// How many pods each term selects, by domain. Terms that select nothing are none.
    fn counted<'t>(
        &self,
        terms: &'t [crate::domain::rules::Weighted<PodAffinityTerm>],
        owner: &PodTemplate,
    ) -> Vec<Term<'t>> {
        let namespaces = &self.given.snapshot.namespaces;
        let selects = |term: &PodAffinityTerm, other: &PodTemplate| {
            term.selects(&owner.namespace, &other.namespace, &other.labels, namespaces)
        };
        let of = |preferred: &'t crate::domain::rules::Weighted<PodAffinityTerm>| {
            let term = &preferred.term;
            let key = term.topology_key.as_str();
            Term {
                key,
                weight: f64::from(preferred.weight),
                itself: u32::from(selects(term, owner)),
                pods: self.by_domain(key, |other| selects(term, other)),
            }
        };
        terms.iter().filter(|preferred| preferred.term.selector.is_some()).map(of).collect()
    }

    /// Pods of the templates that pass, by the value of a label of their node.
    fn by_domain(&self, key: &str, passes: impl Fn(&PodTemplate) -> bool) -> BTreeMap<String, u32> {
        let mut domains: BTreeMap<String, u32> = BTreeMap::new();
        for (_, nodes) in self.templates.iter().zip(&self.pods).filter(|(template, _)| passes(template)) {
            for (node, pods) in nodes {
                if let Some(value) = self.nodes.get(*node).and_then(|node| node.labels.get(key)) {
                    *domains.entry(value.clone()).or_default() += pods.all;
                }
            }
        }
        domains
    }

    /// Pods of the template that stand where its spread has too many.
    fn too_many(&self, number: usize, template: &PodTemplate, spread: &TopologySpread) -> u32 {
        let own = &self.pods[number];
        if own.values().all(|pods| pods.weighed == 0) {
            return 0;
        }
        let rules = &template.rules;
        let key = spread.topology_key.as_str();
        let looked_at = self.nodes.iter().filter(|node| {
            (!spread.honor_affinity || rules.matches_node(node.name, &node.labels))
                && (!spread.honor_taints || rules.untolerated(node.taints).is_none())
        });
        let domains: BTreeSet<&str> = looked_at.filter_map(|node| Some(node.labels.get(key)?.as_str())).collect();
        let selector = spread.selector.as_ref().filter(|selector| **selector != LabelSelector::default());
        let counts = self.by_domain(key, |other| {
            other.namespace == template.namespace && selector.is_some_and(|s| s.matches(&other.labels))
        });
        let count = |domain: &str| counts.get(domain).copied().unwrap_or(0);
        let least = domains.iter().map(|domain| count(domain)).min().unwrap_or(0);
        let most = least.saturating_add(spread.max_skew.max(1).unsigned_abs());
        let mut here: BTreeMap<&str, u32> = BTreeMap::new();
        let mut nowhere = 0;
        for (node, pods) in own {
            let domain = self.nodes.get(*node).and_then(|node| node.labels.get(key)).map(String::as_str);
            match domain.filter(|domain| domains.contains(domain)) {
                Some(domain) => *here.entry(domain).or_default() += pods.weighed,
                None => nowhere += pods.weighed,
            }
        }
        nowhere + here.into_iter().map(|(domain, pods)| pods.min(count(domain).saturating_sub(most))).sum::<u32>()
    }
}

/// One preferred term, counted.
struct Term<'t> {
    key: &'t str,
    weight: f64,
    /// 1 if it selects its own pod.
    itself: u32,
    pods: BTreeMap<String, u32>,
}

impl Term<'_> {
    /// Whether another pod that it selects is in the node's domain; `None` where the node is in none.
    fn others(&self, on: &AfterNode<'_>) -> Option<bool> {
        let domain = on.labels.get(self.key)?;
        Some(self.pods.get(domain).copied().unwrap_or(0) > self.itself)
    }
}
