//! Every spread of the cluster, kept up to date.

use super::super::evenness::Evenness;
use super::super::instance::Standing;
use super::super::relations::{Relations, SpreadRule};
use super::{NodeState, PodState};

/// Which domains there are, and how evenly pods stand over them.
#[derive(Debug, Clone, Default)]
pub(super) struct Spreads {
    /// Open nodes that count, by view and domain; what can be bought counts as one where evenness is to last.
    present: Vec<Vec<u32>>,
    evenness: Vec<Evenness>,
    lasting: bool,
}

/// What one spread asks of a pod that is to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    evenness: usize,
    pub(super) key: usize,
    /// The pod has the rule itself; else it only must not spoil it for others.
    own: bool,
    /// The pod counts itself.
    counted: bool,
    /// Most pods a domain may have when it is there.
    most: u32,
}

impl Spreads {
    pub(super) fn new(relations: &Relations) -> Self {
        Self {
            present: vec![Vec::new(); relations.views.len()],
            evenness: vec![Evenness::default(); relations.evenness.len()],
            lasting: false,
        }
    }

    pub(super) fn lasting(&self) -> bool {
        self.lasting
    }

    /// Whether a node that counts is in the domain.
    pub(super) fn is_present(&self, view: usize, domain: usize) -> bool {
        self.present[view].get(domain).is_some_and(|nodes| *nodes > 0)
    }

    /// Domains with a node that counts.
    pub(super) fn present(&self, view: usize) -> impl Iterator<Item = usize> {
        let nodes = self.present[view].iter().enumerate();
        nodes.filter(|(_, nodes)| **nodes > 0).map(|(domain, _)| domain)
    }

    fn domain(relations: &Relations, view: usize, site: usize, host: Option<usize>) -> Option<usize> {
        let view = &relations.views[view];
        let layout = &relations.layout;
        if !view.eligible[site] {
            None
        } else if view.key == layout.host_key {
            host
        } else {
            layout.domains[site][view.key]
        }
    }

    fn there(&mut self, relations: &Relations, view: usize, domain: usize, up: bool) {
        let present = &mut self.present[view];
        if present.len() <= domain {
            present.resize(domain + 1, 0);
        }
        let nodes = &mut present[domain];
        let was = *nodes > 0;
        *nodes = if up { *nodes + 1 } else { nodes.saturating_sub(1) };
        let is = *nodes > 0;
        for &evenness in relations.evenness_of_view[view].iter().filter(|_| was != is) {
            if is {
                self.evenness[evenness].open(domain);
            } else {
                self.evenness[evenness].close(domain);
            }
        }
    }

    /// A node joins or leaves.
    pub(super) fn node(&mut self, relations: &Relations, site: usize, host: Option<usize>, up: bool) {
        for view in 0..relations.views.len() {
            if let Some(domain) = Self::domain(relations, view, site, host) {
                self.there(relations, view, domain, up);
            }
        }
    }

    /// A pod comes to a node or leaves it. Pods that are being deleted do not count for spread.
    pub(super) fn pod(&mut self, relations: &Relations, pod: &PodState, site: usize, host: Option<usize>, up: bool) {
        if pod.standing == Standing::Leaving {
            return;
        }
        for counter in relations.counted_by(pod.template, pod.group) {
            for &number in &relations.evenness_of_counter[counter] {
                let view = relations.evenness[number].view;
                if let Some(domain) = Self::domain(relations, view, site, host) {
                    let present = self.present[view].get(domain).is_some_and(|nodes| *nodes > 0);
                    self.evenness[number].count(domain, up, present);
                }
            }
        }
        if pod.has_come() {
            for rule in relations.spreads_of(pod.template, pod.group) {
                let view = relations.evenness[rule.evenness].view;
                if let Some(domain) = Self::domain(relations, view, site, host) {
                    self.evenness[rule.evenness].own(domain, up);
                }
            }
        }
    }

    pub(super) fn keep_even(&mut self, relations: &Relations, lasting: bool) {
        if self.lasting == lasting {
            return;
        }
        self.lasting = lasting;
        for (number, view) in relations.views.iter().enumerate() {
            for domain in (0..view.buyable.len()).filter(|domain| view.buyable[*domain]) {
                self.there(relations, number, domain, lasting);
            }
        }
    }

    pub(super) fn aim_even(&mut self, relations: &Relations, even: bool, coming: &[u32]) {
        for (evenness, rule) in self.evenness.iter_mut().zip(&relations.evenness) {
            // Hosts are too many to be filled evenly.
            if even && relations.views[rule.view].key != relations.layout.host_key {
                evenness.aim_even(coming[rule.counter]);
            } else {
                evenness.aim_freely();
            }
        }
    }

    /// Least count over the domains that a rule sees.
    fn lowest(&self, relations: &Relations, rule: &SpreadRule) -> u32 {
        let buys_hosts = relations.views[relations.evenness[rule.evenness].view].buys_hosts;
        if self.lasting && buys_hosts { 0 } else { self.evenness[rule.evenness].lowest(rule.min_domains) }
    }

    /// What spread asks of the pod: by its own rules, and where evenness is to last by those of others that count it.
    pub(super) fn bounds(&self, relations: &Relations, pod: &PodState) -> Vec<Bound> {
        let mut bounds: Vec<Bound> = Vec::new();
        for rule in relations.spreads_of(pod.template, pod.group) {
            let counted = relations.counted_by(pod.template, pod.group).any(|counter| counter == rule.counter);
            let most = (self.lowest(relations, rule) + rule.max_skew).saturating_sub(u32::from(counted));
            let key = relations.counters[rule.counter].key;
            bounds.push(Bound { evenness: rule.evenness, key, own: true, counted, most });
        }
        if self.lasting {
            let own = bounds.len();
            for counter in relations.counted_by(pod.template, pod.group) {
                for &evenness in &relations.evenness_of_counter[counter] {
                    if bounds[..own].iter().any(|bound| bound.evenness == evenness) {
                        continue;
                    }
                    let max_skew = relations.evenness[evenness].max_skew;
                    let rule = SpreadRule { counter, max_skew, min_domains: None, evenness };
                    let most = (self.lowest(relations, &rule) + max_skew).saturating_sub(1);
                    let key = relations.counters[counter].key;
                    bounds.push(Bound { evenness, key, own: false, counted: true, most });
                }
            }
        }
        bounds
    }

    /// Whether the pod may come to a node whose domain for the bound's key this is.
    pub(super) fn allow(&self, relations: &Relations, bound: &Bound, site: usize, domain: Option<usize>) -> bool {
        let Some(domain) = domain else { return !bound.own };
        let evenness = &self.evenness[bound.evenness];
        let counts = relations.views[relations.evenness[bound.evenness].view].eligible[site];
        if !bound.own && !(counts && (evenness.owned(domain) || evenness.is_aimed())) {
            return true;
        }
        evenness.counted(domain) <= bound.most || evenness.is_aimed_at(domain, bound.counted && counts)
    }

    /// Whether the node's domain holds more pods than the rule allows beside the emptiest.
    pub(super) fn too_full(&self, relations: &Relations, rule: &SpreadRule, on: &NodeState) -> bool {
        let view = relations.evenness[rule.evenness].view;
        let evenness = &self.evenness[rule.evenness];
        Self::domain(relations, view, on.site, on.host)
            .is_some_and(|domain| evenness.counted(domain) > evenness.lowest(rule.min_domains) + rule.max_skew)
    }

    /// Largest difference between two domains of a spread.
    pub(super) fn skew(&self, number: usize) -> u32 {
        self.evenness[number].skew()
    }

    /// Open nodes by domain, as the view sees them.
    pub(super) fn nodes_in_domains(&self, view: usize) -> &[u32] {
        &self.present[view]
    }

    /// Pods of a spread in the domain.
    pub(super) fn counted(&self, number: usize, domain: usize) -> u32 {
        self.evenness[number].counted(domain)
    }

    /// Skew of each spread that counts the pod, with its number.
    pub(super) fn skews<'s>(&'s self, relations: &'s Relations, pod: &PodState) -> impl Iterator<Item = (usize, u32)> {
        let counters = relations.counted_by(pod.template, pod.group);
        let numbers = counters.flat_map(|counter| &relations.evenness_of_counter[counter]);
        numbers.map(|number| (*number, self.skew(*number)))
    }
}
