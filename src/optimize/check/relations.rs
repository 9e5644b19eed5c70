//! Pods among one another: affinity, anti-affinity, topology spread.
//!
//! Judged is whether the pods that come can do so one after the other, on the nodes of the end and beside the pods that
//! stay, so that kube-scheduler accepts each when it comes. Anti-affinity only ever forbids more, so for it the end
//! tells. Pods of one template are alike to every rule here, so they are counted by template and node.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::rules::{Labels, PodAffinityTerm, Taint};
use crate::domain::snapshot::PodTemplate;

use super::after::After;
use super::{Given, Violation, spread};

/// Pods of one template on one node.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Group {
    all: u32,
    /// Those that come with the plan.
    pub(super) coming: u32,
    /// Those that are not being deleted.
    pub(super) live: u32,
}

impl Group {
    fn add(&mut self, other: Self) {
        self.all += other.all;
        self.coming += other.coming;
        self.live += other.live;
    }
}

/// Where the pods are: for each template its groups by node number.
pub(super) type Where = Vec<BTreeMap<usize, Group>>;

/// A node as the rules here see it.
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    pub(super) labels: &'a Labels,
    pub(super) taints: &'a [Taint],
}

pub(super) struct State<'a> {
    pub(super) places: Vec<Place<'a>>,
    pub(super) groups: Where,
}

pub(super) fn check(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) {
    let state = state_after(after);
    let mut names: BTreeMap<usize, &str> = BTreeMap::new();
    for pod in &after.pods {
        if let Some(workload) = after.workloads.get(pod.workload) {
            names.entry(pod.template).or_insert(&workload.label);
        }
    }
    let judge = Judge { namespaces: &given.snapshot.namespaces, templates: after.templates, names, state };
    for number in 0..after.templates.len() {
        judge.anti_affinity(number, violations);
        judge.affinity(number, violations);
    }
    spread::check(&judge, violations);
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

pub(super) struct Judge<'a> {
    namespaces: &'a BTreeMap<String, Labels>,
    pub(super) templates: &'a [PodTemplate],
    /// A workload of each template, for messages.
    names: BTreeMap<usize, &'a str>,
    pub(super) state: State<'a>,
}

impl Judge<'_> {
    pub(super) fn name(&self, template: usize) -> String {
        self.names.get(&template).map(|name| (*name).to_owned()).unwrap_or_default()
    }

    fn selects(&self, owner: &PodTemplate, term: &PodAffinityTerm, other: &PodTemplate) -> bool {
        term.selects(&owner.namespace, &other.namespace, &other.labels, self.namespaces)
    }

    pub(super) fn is_coming(&self, number: usize) -> bool {
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

    /// Each pod that comes finds, in the domain of every term, a pod that all its terms select and that stays, or that
    /// comes without needing it; or it is among those that the first of a group that selects itself brings about.
    fn affinity(&self, number: usize, violations: &mut Vec<Violation>) {
        let Some(owner) = self.templates.get(number) else { return };
        let terms = &owner.rules.pod_affinity;
        if terms.is_empty() || !self.is_coming(number) {
            return;
        }
        let all_select = |other: &PodTemplate| terms.iter().all(|term| self.selects(owner, term, other));
        let selected: Vec<usize> =
            self.templates.iter().enumerate().filter(|(_, t)| all_select(t)).map(|(n, _)| n).collect();
        let staying = |group: &Group| group.all.saturating_sub(group.coming);
        let anyone_stays =
            selected.iter().filter_map(|n| self.state.groups.get(*n)).flatten().any(|(_, g)| staying(g) > 0);
        // Its own kind may begin in one place, and only where none of them is anywhere.
        let founds = all_select(owner) && !anyone_stays;
        for term in terms {
            let mut near: BTreeSet<&str> = BTreeSet::new();
            for n in &selected {
                let there = self.by_domain(*n, &term.topology_key).into_iter();
                near.extend(there.filter(|(_, g)| *n != number || staying(g) > 0).map(|(domain, _)| domain));
            }
            let mut founded: Option<Option<String>> = (founds && near.is_empty()).then_some(None);
            for (node, _) in self.state.groups.get(number).into_iter().flatten().filter(|(_, g)| g.coming > 0) {
                let Some(place) = self.state.places.get(*node) else { continue };
                let domain = place.labels.get(&term.topology_key).map(String::as_str);
                let begins = |domain: &str| match &mut founded {
                    Some(first) => *first.get_or_insert_with(|| domain.to_owned()) == domain,
                    None => false,
                };
                if !domain.is_some_and(|d| near.contains(d)) && !domain.is_some_and(begins) {
                    violations.push(Violation::Affinity {
                        workload: self.name(number),
                        domain: format!("{}={}", term.topology_key, domain.unwrap_or_default()),
                    });
                }
            }
        }
    }
}
