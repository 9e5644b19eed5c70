//! Pods among one another: affinity, anti-affinity, topology spread.
//!
//! The final state is judged, for domains that a pod comes to. Pods of one template are alike to every rule here, so
//! they are counted by template and node.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::rules::{LabelSelector, Labels, PodAffinityTerm, Taint, TopologySpread};
use crate::domain::snapshot::PodTemplate;

use super::after::After;
use super::{Given, Violation};

/// Pods of one template on one node.
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    all: u32,
    /// Those that come with the plan.
    coming: u32,
    /// Those that are not being deleted.
    live: u32,
}

impl Group {
    fn add(&mut self, other: Self) {
        self.all += other.all;
        self.coming += other.coming;
        self.live += other.live;
    }
}

/// Where the pods are: for each template its groups by node number.
type Where = Vec<BTreeMap<usize, Group>>;

/// A node as the rules here see it.
struct Place<'a> {
    name: &'a str,
    labels: &'a Labels,
    taints: &'a [Taint],
}

struct State<'a> {
    places: Vec<Place<'a>>,
    groups: Where,
}

pub(super) fn check(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) {
    let state = state_after(after);
    let before = state_before(given, after);
    let mut names: BTreeMap<usize, &str> = BTreeMap::new();
    for pod in &after.pods {
        if let Some(workload) = after.workloads.get(pod.workload) {
            names.entry(pod.template).or_insert(&workload.label);
        }
    }
    let judge = Judge { namespaces: &given.snapshot.namespaces, templates: after.templates, names, state, before };
    for number in 0..after.templates.len() {
        judge.anti_affinity(number, violations);
        judge.affinity(number, violations);
        judge.spread(number, violations);
    }
}

fn state_after<'a>(after: &'a After<'_>) -> State<'a> {
    let mut groups: Where = vec![BTreeMap::new(); after.templates.len()];
    for pod in &after.pods {
        let one = Group { all: 1, coming: u32::from(pod.comes()), live: u32::from(!pod.deleting()) };
        if let Some(places) = groups.get_mut(pod.template) {
            places.entry(pod.node).or_default().add(one);
        }
    }
    let place = |n: &'a super::after::AfterNode<'_>| Place { name: n.name, labels: &n.labels, taints: n.taints };
    State { places: after.nodes.iter().map(place).collect(), groups }
}

fn state_before<'a>(given: &Given<'a>, after: &After<'a>) -> State<'a> {
    let nodes = &given.snapshot.nodes;
    let numbers: BTreeMap<&str, usize> = nodes.iter().enumerate().map(|(i, n)| (n.name.as_str(), i)).collect();
    let mut groups: Where = vec![BTreeMap::new(); after.templates.len()];
    for pod in &given.snapshot.pods {
        let one = Group { all: 1, coming: 0, live: u32::from(!pod.deleting) };
        let node = pod.node.as_deref().and_then(|name| numbers.get(name));
        if let (Some(&node), Some(places)) = (node, groups.get_mut(pod.template)) {
            places.entry(node).or_default().add(one);
        }
    }
    let place = |n: &'a crate::domain::snapshot::Node| Place { name: &n.name, labels: &n.labels, taints: &n.taints };
    State { places: nodes.iter().map(place).collect(), groups }
}

struct Judge<'a> {
    namespaces: &'a BTreeMap<String, Labels>,
    templates: &'a [PodTemplate],
    /// A workload of each template, for messages.
    names: BTreeMap<usize, &'a str>,
    state: State<'a>,
    before: State<'a>,
}

impl Judge<'_> {
    fn name(&self, template: usize) -> String {
        self.names.get(&template).map(|name| (*name).to_owned()).unwrap_or_default()
    }

    fn selects(&self, owner: &PodTemplate, term: &PodAffinityTerm, other: &PodTemplate) -> bool {
        term.selects(&owner.namespace, &other.namespace, &other.labels, self.namespaces)
    }

    fn is_coming(&self, number: usize) -> bool {
        self.state.groups.get(number).is_some_and(|places| places.values().any(|g| g.coming > 0))
    }

    /// The groups of a template by domain of a key.
    fn by_domain(&self, number: usize, key: &str) -> BTreeMap<&str, Group> {
        let mut domains: BTreeMap<&str, Group> = BTreeMap::new();
        for (node, group) in self.state.groups.get(number).into_iter().flatten() {
            if let Some(value) = self.state.places.get(*node).and_then(|place| place.labels.get(key)) {
                domains.entry(value).or_default().add(*group);
            }
        }
        domains
    }

    /// Both directions at once: for each term, pods that have it and pods it selects in one domain, one of them
    /// coming.
    fn anti_affinity(&self, number: usize, violations: &mut Vec<Violation>) {
        let Some(owner) = self.templates.get(number) else { return };
        for term in &owner.rules.pod_anti_affinity {
            let owners = self.by_domain(number, &term.topology_key);
            if owners.is_empty() {
                continue;
            }
            for (other_number, other) in self.templates.iter().enumerate() {
                if !self.selects(owner, term, other) {
                    continue;
                }
                for (domain, group) in self.by_domain(other_number, &term.topology_key) {
                    let Some(owners) = owners.get(domain) else { continue };
                    let (pair, coming) = if other_number == number {
                        (owners.all > 1, owners.coming > 0)
                    } else {
                        (owners.all > 0 && group.all > 0, owners.coming > 0 || group.coming > 0)
                    };
                    if pair && coming {
                        violations.push(Violation::AntiAffinity {
                            workload: self.name(number),
                            other: self.name(other_number),
                            domain: format!("{}={domain}", term.topology_key),
                        });
                    }
                }
            }
        }
    }

    /// Each pod that comes has, in the domain of every term, another pod that all its terms select; or it is the
    /// first of a group that selects itself.
    fn affinity(&self, number: usize, violations: &mut Vec<Violation>) {
        let Some(owner) = self.templates.get(number) else { return };
        let terms = &owner.rules.pod_affinity;
        if terms.is_empty() || !self.is_coming(number) {
            return;
        }
        let all_select = |other: &PodTemplate| terms.iter().all(|term| self.selects(owner, term, other));
        let selected: Vec<usize> =
            self.templates.iter().enumerate().filter(|(_, t)| all_select(t)).map(|(n, _)| n).collect();
        let itself = u32::from(all_select(owner));
        let everywhere: u32 =
            selected.iter().filter_map(|n| self.state.groups.get(*n)).flatten().map(|(_, g)| g.all).sum();
        let first = itself == 1 && everywhere == 1;
        for term in terms {
            let mut near: BTreeMap<&str, u32> = BTreeMap::new();
            for n in &selected {
                for (domain, group) in self.by_domain(*n, &term.topology_key) {
                    *near.entry(domain).or_default() += group.all;
                }
            }
            for (node, group) in self.state.groups.get(number).into_iter().flatten() {
                let Some(place) = self.state.places.get(*node).filter(|_| group.coming > 0) else { continue };
                let domain = place.labels.get(&term.topology_key);
                let others = domain.map(|d| near.get(d.as_str()).copied().unwrap_or(0).saturating_sub(itself));
                if others.is_none_or(|others| others == 0 && !first) {
                    violations.push(Violation::Affinity {
                        workload: self.name(number),
                        domain: format!("{}={}", term.topology_key, domain.map_or("", |d| d)),
                    });
                }
            }
        }
    }

    fn spread(&self, number: usize, violations: &mut Vec<Violation>) {
        let Some(template) = self.templates.get(number) else { return };
        let rules: Vec<&TopologySpread> = template.rules.topology_spread.iter().filter(|rule| rule.hard).collect();
        if rules.is_empty() || !self.is_coming(number) {
            return;
        }
        let keys: BTreeSet<&str> = rules.iter().map(|rule| rule.topology_key.as_str()).collect();
        for rule in rules {
            let now = counts(&self.before, self.templates, template, rule, &keys);
            let then = counts(&self.state, self.templates, template, rule, &keys);
            let mut judged: BTreeSet<&str> = BTreeSet::new();
            for (node, group) in self.state.groups.get(number).into_iter().flatten() {
                let Some(place) = self.state.places.get(*node).filter(|_| group.coming > 0) else { continue };
                let Some(domain) = place.labels.get(&rule.topology_key) else {
                    violations.push(Violation::TopologyLabel {
                        workload: self.name(number),
                        node: place.name.to_owned(),
                        label: rule.topology_key.clone(),
                    });
                    continue;
                };
                if !judged.insert(domain) {
                    continue;
                }
                let skew = skew(&then, domain, rule);
                let skew_now = now.contains_key(domain.as_str()).then(|| self::skew(&now, domain, rule));
                if skew > i64::from(rule.max_skew) && skew_now.is_none_or(|before| skew > before) {
                    violations.push(Violation::TopologySpread {
                        workload: self.name(number),
                        domain: format!("{}={domain}", rule.topology_key),
                        skew,
                        max_skew: rule.max_skew,
                    });
                }
            }
        }
    }
}

/// Pods that a spread rule counts, by domain: of the nodes that have every label the pod spreads over and that the
/// rule's policies do not leave out.
fn counts<'s>(
    state: &'s State<'_>,
    templates: &[PodTemplate],
    template: &PodTemplate,
    rule: &TopologySpread,
    keys: &BTreeSet<&str>,
) -> BTreeMap<&'s str, i64> {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    let mut counted = vec![false; state.places.len()];
    for (place, counted) in state.places.iter().zip(&mut counted) {
        let labelled = keys.iter().all(|key| place.labels.contains_key(*key));
        let matches = !rule.honor_affinity || template.rules.matches_node(place.name, place.labels);
        let tolerates = !rule.honor_taints || template.rules.untolerated(place.taints).is_none();
        if let Some(domain) = place.labels.get(&rule.topology_key).filter(|_| labelled && matches && tolerates) {
            counts.entry(domain).or_default();
            *counted = true;
        }
    }
    // An empty selector counts nobody, as in kube-scheduler.
    let Some(selector) = rule.selector.as_ref().filter(|s| **s != LabelSelector::default()) else { return counts };
    for (other, groups) in templates.iter().zip(&state.groups) {
        if other.namespace != template.namespace || !selector.matches(&other.labels) {
            continue;
        }
        for (node, group) in groups.iter().filter(|(node, _)| counted.get(**node) == Some(&true)) {
            let domain = state.places.get(*node).and_then(|place| place.labels.get(&rule.topology_key));
            if let Some(count) = domain.and_then(|d| counts.get_mut(d.as_str())) {
                *count += i64::from(group.live);
            }
        }
    }
    counts
}

fn skew(counts: &BTreeMap<&str, i64>, domain: &str, rule: &TopologySpread) -> i64 {
    let wanted = usize::try_from(rule.min_domains.unwrap_or(1)).unwrap_or(0);
    let smallest = counts.values().copied().min().filter(|_| counts.len() >= wanted).unwrap_or(0);
    counts.get(domain).copied().unwrap_or(0) - smallest
}
