//! Which rules reach across workloads, and so what a change can have an effect on: which templates' rules look at whose
//! pods, and whether the domains that spreads count are still the same. What is summed over the cluster (limits of the
//! policy, quotas) ties nobody: it is judged by numbers ([`super::judge`]).

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::rules::{Taint, TaintEffect};
use crate::domain::snapshot::PodTemplate;

use super::super::instance::Instance;
use super::super::occupancy::Occupancy;
use super::super::relations::{IMPOSSIBLE, Relations};

/// Who looks at whom, by template.
#[derive(Default)]
pub(super) struct Rules {
    /// Templates that each counter counts.
    members: Vec<Vec<usize>>,
    /// Templates with a rule about each counter.
    owners: Vec<Vec<usize>>,
    /// Templates that each disruption budget covers.
    covered: Vec<Vec<usize>>,
    /// Templates of each gang.
    gangs: Vec<Vec<usize>>,
    /// Templates that use each claim of one pod.
    claims: Vec<Vec<usize>>,
    /// Templates that a volume must be found for: they may want the same ones.
    binders: Vec<usize>,
    /// A spread sees single nodes: each that comes or goes is a domain.
    sees_nodes: bool,
    /// Preferences that have a price: each pod that comes may change what others miss.
    reach_far: bool,
}

impl Rules {
    pub(super) fn new(instance: &Instance<'_>, relations: &Relations) -> Self {
        let counters = relations.counters.len();
        let mut rules = Self {
            members: vec![Vec::new(); counters],
            owners: vec![Vec::new(); counters],
            covered: vec![Vec::new(); instance.limits.budgets.len()],
            gangs: vec![Vec::new(); instance.snapshot.gangs.len()],
            claims: vec![Vec::new(); relations.claims.len()],
            binders: Vec::new(),
            sees_nodes: false,
            reach_far: reach_far(instance),
        };
        for template in 0..relations.templates.len() {
            rules.add(relations, template);
        }
        for (template, budgets) in &instance.limits.budgets_of {
            for budget in budgets {
                rules.covered[*budget].push(*template);
            }
        }
        let host = relations.layout.host_key;
        let by_name = |template: usize| instance.shapes.names_nodes(template);
        rules.sees_nodes = relations.evenness.iter().any(|rule| relations.views[rule.view].key == host)
            || (0..relations.templates.len()).any(|t| by_name(t) && !relations.templates[t].spread.is_empty());
        rules
    }

    fn add(&mut self, relations: &Relations, template: usize) {
        for &counter in &relations.templates[template].counted_by {
            self.members[counter].push(template);
        }
        for counter in owned(relations, template) {
            self.owners[counter].push(template);
        }
        let own = &relations.templates[template];
        if let Some(gang) = own.gang {
            self.gangs[gang].push(template);
        }
        for &claim in &own.claims {
            self.claims[claim].push(template);
        }
        if own.binds {
            self.binders.push(template);
        }
    }

    /// A template comes that has the labels and rules of another.
    pub(super) fn template_like(&mut self, template: usize, other: usize) {
        let lists = self.members.iter_mut().chain(&mut self.owners).chain(&mut self.covered);
        for list in lists.chain(&mut self.gangs).chain(&mut self.claims).chain([&mut self.binders]) {
            if list.contains(&other) {
                list.push(template);
            }
        }
    }

    /// The templates and all that rules tie to them, directly or over others: judged together, they are judged as in the
    /// whole cluster.
    pub(super) fn tied_to(
        &self,
        instance: &Instance<'_>,
        relations: &Relations,
        templates: BTreeSet<usize>,
    ) -> BTreeSet<usize> {
        let mut waiting: Vec<usize> = templates.iter().copied().collect();
        let mut tied = templates;
        while let Some(template) = waiting.pop() {
            let counted = relations.templates[template].counted_by.iter().flat_map(|counter| &self.owners[*counter]);
            let selected = owned(relations, template).flat_map(|counter| &self.members[counter]);
            let budgets = instance.limits.budgets_of(template).iter().flat_map(|budget| &self.covered[*budget]);
            let own = &relations.templates[template];
            let gang = own.gang.iter().flat_map(|gang| &self.gangs[*gang]);
            let claims = own.claims.iter().flat_map(|claim| &self.claims[*claim]);
            let binders = self.binders.iter().filter(|_| own.binds);
            for &other in counted.chain(selected).chain(budgets).chain(gang).chain(claims).chain(binders) {
                if tied.insert(other) {
                    waiting.push(other);
                }
            }
        }
        tied
    }

    /// Whether a part of the cluster tells too little, whatever has changed.
    pub(super) fn need_the_whole(&self) -> bool {
        self.reach_far
    }

    /// Whether nodes that opened or closed (each with whether it was open) may have changed which domains a spread
    /// counts.
    pub(super) fn domains_differ(&self, state: &Occupancy<'_>, nodes: &BTreeMap<usize, bool>) -> bool {
        let relations = state.relations;
        let layout = &relations.layout;
        let changed: BTreeSet<usize> =
            nodes.iter().filter(|(node, was)| state.nodes[**node].open != **was).map(|(node, _)| *node).collect();
        if changed.is_empty() || relations.evenness.is_empty() {
            return false;
        }
        // Nodes of one class differ in nothing a spread looks at but their names.
        let lasting: BTreeSet<usize> = (0..state.nodes.len())
            .filter(|node| state.nodes[*node].open && !changed.contains(node))
            .map(|node| layout.class_of[state.nodes[node].site])
            .collect();
        self.sees_nodes || changed.iter().any(|node| !lasting.contains(&layout.class_of[state.nodes[*node].site]))
    }
}

fn reach_far(instance: &Instance<'_>) -> bool {
    let snapshot = instance.snapshot;
    let prefers = |template: &PodTemplate| {
        let rules = &template.rules;
        !rules.preferred_node_affinity.is_empty()
            || !rules.preferred_pod_affinity.is_empty()
            || !rules.preferred_pod_anti_affinity.is_empty()
            || rules.topology_spread.iter().any(|spread| !spread.hard)
    };
    let soft = |taints: &[Taint]| taints.iter().any(|taint| taint.effect == TaintEffect::PreferNoSchedule);
    let preferred = || snapshot.templates.iter().any(prefers) || instance.sites.iter().any(|site| soft(&site.taints));
    instance.preference_price > 0.0 && preferred()
}

/// Counters that rules of the template's pods are about.
fn owned(relations: &Relations, template: usize) -> impl Iterator<Item = usize> {
    let own = &relations.templates[template];
    let affinity = own.affinity.iter().filter(|counter| **counter != IMPOSSIBLE);
    own.anti_affinity.iter().chain(affinity).copied().chain(own.spread.iter().map(|rule| rule.counter))
}
