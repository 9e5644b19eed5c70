//! Preferences of placed pods that are not met, and what they cost an hour: the same sum as the checker's.

use std::collections::BTreeMap;

use super::super::instance::{FULL_WEIGHT, Standing};
use super::super::relations::{SoftSpread, TemplateRelations};
use super::{NodeState, Occupancy, PodState};

/// What must be known of a pod that has no node at the moment, before its preferences about nodes are asked.
pub(in super::super) struct Preference {
    pod: usize,
    /// Least count over the domains of each of its soft spreads.
    leasts: Vec<u32>,
}

/// Whether the pod's preferences count: pods of `DaemonSets` are where their nodes are, those being deleted soon nowhere.
fn is_weighed(pod: &PodState) -> bool {
    pod.group.is_some() && pod.standing != Standing::Leaving
}

impl Occupancy<'_> {
    /// Price an hour of all preferences that are not met.
    pub(super) fn preferences(&self) -> f64 {
        let price = self.instance.preference_price;
        if price <= 0.0 {
            return 0.0;
        }
        let mut weight = 0.0;
        let mut spread: BTreeMap<(usize, usize, usize), u32> = BTreeMap::new();
        for pod in self.state.pods.iter().filter(|pod| is_weighed(pod)) {
            let Some(on) = pod.node.map(|node| &self.state.nodes[node]) else { continue };
            weight += self.unmet_by_node(pod, on);
            let own = &self.relations.templates[pod.template];
            if own.prefers() {
                weight += self.unmet_by_pods(own, on, true);
                for (number, soft) in own.soft_spread.iter().enumerate() {
                    match self.soft_domain(soft, on) {
                        Some(domain) => *spread.entry((pod.template, number, domain)).or_insert(0) += 1,
                        None => weight += FULL_WEIGHT,
                    }
                }
            }
        }
        let mut leasts: BTreeMap<(usize, usize), u32> = BTreeMap::new();
        for ((template, number, domain), pods) in spread {
            let soft = &self.relations.templates[template].soft_spread[number];
            let least = *leasts.entry((template, number)).or_insert_with(|| self.least(soft));
            let excess = self.counted(soft.counter, domain).saturating_sub(least.saturating_add(soft.max_skew));
            weight += FULL_WEIGHT * f64::from(pods.min(excess));
        }
        price * weight
    }

    /// What must be known of a pod that has no node at the moment; `None` where it prefers nothing that is weighed.
    pub(in super::super) fn preference(&self, pod: usize) -> Option<Preference> {
        let state = &self.state.pods[pod];
        if self.instance.preference_price <= 0.0 || !is_weighed(state) {
            return None;
        }
        let own = self.relations.templates.get(state.template)?;
        Some(Preference { pod, leasts: own.soft_spread.iter().map(|soft| self.least(soft)).collect() })
    }

    /// Price an hour of the pod's preferences that the node would not meet.
    pub(in super::super) fn preference_on(&self, preference: &Preference, node: usize) -> f64 {
        let (pod, on) = (&self.state.pods[preference.pod], &self.state.nodes[node]);
        let own = &self.relations.templates[pod.template];
        let mut weight = self.unmet_by_node(pod, on) + self.unmet_by_pods(own, on, false);
        for (soft, least) in own.soft_spread.iter().zip(&preference.leasts) {
            let itself = u32::from(own.counted_by.binary_search(&soft.counter).is_ok());
            let too_many = |domain| self.counted(soft.counter, domain) + itself > least.saturating_add(soft.max_skew);
            if self.soft_domain(soft, on).is_none_or(too_many) {
                weight += FULL_WEIGHT;
            }
        }
        self.instance.preference_price * weight
    }

    /// Price an hour of the pod's preferences about nodes alone.
    pub(in super::super) fn preference_of_node(&self, pod: usize, node: usize) -> f64 {
        self.instance.preference_price * self.unmet_by_node(&self.state.pods[pod], &self.state.nodes[node])
    }

    fn unmet_by_node(&self, pod: &PodState, on: &NodeState) -> f64 {
        let instance = self.instance;
        instance.shapes.unmet(instance.snapshot, pod.template, &instance.sites[on.site])
    }

    /// Weight of what the template's pods prefer of pods in their domains; `placed` if the one asked for is counted there.
    fn unmet_by_pods(&self, own: &TemplateRelations, on: &NodeState, placed: bool) -> f64 {
        let others = |counter: usize| {
            let domain = self.domain(self.relations.counters[counter].key, on)?;
            let itself = placed && own.counted_by.binary_search(&counter).is_ok();
            Some(self.counted(counter, domain) > u32::from(itself))
        };
        let lonely = own.near.iter().filter(|(counter, _)| others(*counter) != Some(true));
        let crowded = own.far.iter().filter(|(counter, _)| others(*counter) == Some(true));
        lonely.chain(crowded).map(|(_, weight)| weight).sum()
    }

    fn domain(&self, key: usize, on: &NodeState) -> Option<usize> {
        let layout = &self.relations.layout;
        if key == layout.host_key { on.host } else { layout.domains[on.site][key] }
    }

    /// The node's domain, if it is one that the spread looks at.
    fn soft_domain(&self, soft: &SoftSpread, on: &NodeState) -> Option<usize> {
        let domain = self.domain(self.relations.views[soft.view].key, on)?;
        self.state.spreads.is_present(soft.view, domain).then_some(domain)
    }

    fn counted(&self, counter: usize, domain: usize) -> u32 {
        self.state.counts[counter].get(domain).copied().unwrap_or(0)
    }

    /// Least count over the domains that the spread looks at.
    fn least(&self, soft: &SoftSpread) -> u32 {
        self.state.spreads.present(soft.view).map(|domain| self.counted(soft.counter, domain)).min().unwrap_or(0)
    }
}
