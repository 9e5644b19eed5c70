//! Concrete pods on concrete nodes, with everything needed to ask "may this pod go there?" kept up to date.
//!
//! Every change is journalled, so that a trial can be taken back to a mark.

mod admission;
mod fullness;
mod gangs;
mod outlook;
mod preemption;
mod preferences;
mod quotas;
mod shelf;
mod spreads;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use crate::domain::plan::CostParts;
use crate::domain::volumes::is_volume_limit;

use super::instance::{Amounts, Instance, Standing};
use super::quotas::Charge;
use super::relations::Relations;
pub(super) use admission::Wish;
use fullness::Fullness;
use spreads::Spreads;

/// A pod, existing or to come.
#[derive(Debug, Clone)]
pub(super) struct PodState {
    /// Its index in the snapshot; `None` for pods to come.
    pub(super) existing: Option<usize>,
    pub(super) name: Arc<str>,
    pub(super) group: Option<usize>,
    pub(super) template: usize,
    pub(super) standing: Standing,
    pub(super) demand: Arc<[i64]>,
    /// What resource quotas are charged for it.
    pub(super) charge: Charge,
    /// Node it has now.
    pub(super) origin: Option<usize>,
    pub(super) node: Option<usize>,
    /// Goes because its workload shrinks.
    pub(super) removed: bool,
    /// Has lost its node to a pod that came there, and waits.
    pub(super) preempted: bool,
}

impl PodState {
    /// A pod to come of the group, of a template and at a size that it has.
    pub(super) fn to_come(
        instance: &Instance<'_>,
        group: usize,
        (template, size): (usize, usize),
        name: String,
    ) -> Self {
        Self {
            existing: None,
            name: name.into(),
            group: Some(group),
            template,
            standing: Standing::Waiting,
            demand: instance.groups[group].demand(template, size).into(),
            charge: instance.quotas.charge(group, template, size),
            origin: None,
            node: None,
            removed: false,
            preempted: false,
        }
    }

    /// Whether it is on a node that it does not have yet.
    fn has_come(&self) -> bool {
        self.node.is_some() && self.node != self.origin
    }
}

/// A node, standing or bought.
#[derive(Debug, Clone)]
pub(super) struct NodeState {
    /// Index of its site (the prototype's for bought ones).
    pub(super) site: usize,
    pub(super) name: Arc<str>,
    pub(super) bought: bool,
    /// Kept or added; closed nodes are removed or were never bought.
    pub(super) open: bool,
    pub(super) free: Amounts,
    /// Pods on it.
    pub(super) pods: Vec<usize>,
    /// Pods that lost it to others that came.
    pub(super) preempted: u32,
    /// Domain its host name is; `None` where it has none.
    host: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Bound { pod: usize, before: Option<usize> },
    Opened(usize),
    Closed(usize),
    Removed { pod: usize, before: bool },
    Preempted { pod: usize, before: bool },
    Chosen { group: usize, before: usize },
    GangGivenUp { gang: usize, before: bool },
}

/// The cluster as planned so far: what is held, over the instance that says what it means.
#[derive(Clone)]
pub(super) struct Occupancy<'a> {
    pub(super) instance: &'a Instance<'a>,
    pub(super) relations: &'a Relations,
    state: State,
}

/// Everything of the cluster as planned so far but what it was made from, so that it can outlive that and be taken up again
/// over a changed instance.
#[derive(Clone, Default)]
pub(super) struct State {
    /// Option each group takes.
    pub(super) choices: Vec<usize>,
    pub(super) pods: Vec<PodState>,
    pub(super) nodes: Vec<NodeState>,
    /// Nodes bought by site, open ones.
    pub(super) bought: BTreeMap<usize, u32>,
    /// Standing nodes closed.
    pub(super) drained: u32,
    pub(super) moves: u32,
    budget_moves: Vec<u32>,
    group_moves: Vec<u32>,
    preempted: preemption::Count,
    /// Pods counted, by counter and domain.
    counts: Vec<Vec<u32>>,
    /// Pods that have the counter as anti-affinity, by counter and domain.
    owners: Vec<Vec<u32>>,
    totals: Vec<u32>,
    /// Pods with a node that use each claim of one pod.
    claims: Vec<u32>,
    /// Pods that came to a node and that a volume is found for there.
    binding: BTreeSet<usize>,
    /// Charged to each limit of a quota beyond what is charged now.
    charged: Vec<i64>,
    gangs: Vec<gangs::Gang>,
    spreads: Spreads,
    on_spot: Vec<u32>,
    /// Pods by group and zone.
    in_zone: Vec<Vec<u32>>,
    fullness: Fullness,
    /// Bought nodes that were given up, by site, and how many of each site there ever were.
    spare: BTreeMap<usize, (Vec<usize>, usize)>,
    journal: Vec<Change>,
}

/// What is held is there to be looked at; only the methods here change it, so that its parts agree.
impl Deref for Occupancy<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

/// Whether a pod without a node is nothing to place: it is on its way out, or runs somewhere unknown.
fn settled(standing: Standing) -> bool {
    matches!(standing, Standing::Leaving | Standing::Elsewhere)
}

fn step(count: &mut u32, up: bool) {
    *count = if up { *count + 1 } else { count.saturating_sub(1) };
}

fn step_at(counts: &mut Vec<u32>, domain: usize, up: bool) {
    if counts.len() <= domain {
        counts.resize(domain + 1, 0);
    }
    step(&mut counts[domain], up);
}

impl<'a> Occupancy<'a> {
    /// Standing nodes, without any pod.
    pub(super) fn empty(instance: &'a Instance<'a>, relations: &'a Relations, choices: Vec<usize>) -> Self {
        let counters = relations.counters.len();
        let groups = instance.groups.len();
        let state = State {
            choices,
            pods: Vec::with_capacity(instance.pods.len()),
            nodes: Vec::with_capacity(instance.standing),
            budget_moves: vec![0; instance.limits.budgets.len()],
            group_moves: vec![0; groups],
            preempted: preemption::Count::new(groups, instance.limits.budgets.len()),
            counts: vec![Vec::new(); counters],
            owners: vec![Vec::new(); counters],
            totals: vec![0; counters],
            claims: vec![0; relations.claims.len()],
            charged: vec![0; instance.quotas.limits.len()],
            gangs: vec![gangs::Gang::default(); instance.snapshot.gangs.len()],
            spreads: Spreads::new(relations),
            on_spot: vec![0; groups],
            in_zone: vec![vec![0; relations.layout.zones]; groups],
            fullness: Fullness::new(&relations.layout),
            ..State::default()
        };
        let mut occupancy = Self { instance, relations, state };
        for site in 0..instance.standing {
            let name = Arc::from(instance.sites[site].name.as_str());
            let host = relations.layout.domains[site][relations.layout.host_key];
            occupancy.push_node(site, name, host, false);
        }
        occupancy
    }

    fn push_node(&mut self, site: usize, name: Arc<str>, host: Option<usize>, bought: bool) -> usize {
        let facts = &self.instance.sites[site];
        let free: Amounts = facts.allocatable.iter().zip(&facts.daemon_demand).map(|(a, d)| a - d).collect();
        self.state.nodes.push(NodeState {
            site,
            name,
            bought,
            open: false,
            free,
            pods: Vec::new(),
            preempted: 0,
            host,
        });
        let node = self.state.nodes.len() - 1;
        if !bought {
            self.state.nodes[node].open = true;
            self.there(node, true);
        }
        node
    }

    /// The node joins what can be chosen among, or leaves it.
    fn there(&mut self, node: usize, up: bool) {
        let state = &self.state.nodes[node];
        self.state.spreads.node(self.relations, state.site, state.host, up);
        self.state.fullness.node(&self.relations.layout, node, state, up);
    }

    /// A mark to roll back to.
    pub(super) fn mark(&self) -> usize {
        self.state.journal.len()
    }

    /// Takes back everything since the mark. Nodes bought since stay in the list, closed.
    pub(super) fn roll_back(&mut self, mark: usize) {
        while self.state.journal.len() > mark {
            match self.state.journal.pop() {
                Some(Change::Bound { pod, before }) => self.set_node(pod, before),
                Some(Change::Opened(node)) => self.set_open(node, false),
                Some(Change::Closed(node)) => self.set_open(node, true),
                Some(Change::Removed { pod, before }) => self.mark_removed(pod, before),
                Some(Change::Preempted { pod, before }) => self.mark_preempted(pod, before),
                Some(Change::GangGivenUp { gang, before }) => self.set_given_up(gang, before),
                Some(Change::Chosen { group, before }) => self.state.choices[group] = before,
                None => break,
            }
        }
    }

    /// Puts the pod on the node, or takes it off.
    pub(super) fn bind(&mut self, pod: usize, node: Option<usize>) {
        let before = self.state.pods[pod].node;
        if before != node {
            self.set_preempted(pod, false);
            self.state.journal.push(Change::Bound { pod, before });
            self.set_node(pod, node);
        }
    }

    /// Buys a node of the prototype, reusing one bought and given up before.
    pub(super) fn buy(&mut self, site: usize) -> usize {
        let spare = self.state.spare.get_mut(&site).and_then(|(nodes, _)| nodes.pop());
        let node = spare.unwrap_or_else(|| {
            let (_, ever) = self.state.spare.entry(site).or_default();
            *ever += 1;
            let name = format!("{}-{ever}", self.instance.sites[site].name);
            // Each bought node is a domain of its own among host names.
            let host = self.relations.layout.domain_counts[self.relations.layout.host_key] + self.state.nodes.len();
            self.push_node(site, Arc::from(name), Some(host), true)
        });
        self.state.journal.push(Change::Opened(node));
        self.set_open(node, true);
        node
    }

    /// Opens a node that was given up.
    pub(super) fn reopen(&mut self, node: usize) {
        self.state.journal.push(Change::Opened(node));
        self.set_open(node, true);
    }

    /// Whether the pod, which must have no node, is one of those that go.
    pub(super) fn set_removed(&mut self, pod: usize, removed: bool) {
        self.set_preempted(pod, false);
        self.state.journal.push(Change::Removed { pod, before: self.state.pods[pod].removed });
        self.mark_removed(pod, removed);
    }

    fn mark_removed(&mut self, pod: usize, removed: bool) {
        let state = &mut self.state.pods[pod];
        if state.existing.is_some() && state.removed != removed {
            state.removed = removed;
            let charge = Arc::clone(&state.charge);
            self.charge(&charge, !removed);
        }
        self.state.pods[pod].removed = removed;
    }

    /// A pod joins the state, without a node. One that exists is charged at its new size in place of its own.
    pub(super) fn push_pod(&mut self, pod: PodState) {
        if pod.existing.is_some() {
            self.charge(&self.instance.quotas.own(pod.template), false);
            if !pod.removed && pod.standing != Standing::Leaving {
                self.charge(&Arc::clone(&pod.charge), true);
            }
        }
        self.state.pods.push(pod);
    }

    /// A pod without a node asks for other amounts from now on.
    pub(super) fn resize(&mut self, pod: usize, demand: Arc<[i64]>, charge: Charge) {
        let state = &self.state.pods[pod];
        if state.existing.is_some() && !state.removed && state.standing != Standing::Leaving {
            self.charge(&Arc::clone(&state.charge), false);
            self.charge(&charge, true);
        }
        let state = &mut self.state.pods[pod];
        (state.demand, state.charge) = (demand, charge);
    }

    /// A pod that exists has another number in the snapshot from now on.
    pub(super) fn renumber(&mut self, pod: usize, existing: usize) {
        self.state.pods[pod].existing = Some(existing);
    }

    /// A pod without a node comes from nowhere from now on: it is made anew.
    pub(super) fn uproot(&mut self, pod: usize) {
        self.state.pods[pod].origin = None;
    }

    /// A pod without a node is there no more: it leaves the workload and the names, and keeps its number.
    pub(super) fn forget(&mut self, pod: usize) {
        self.set_preempted(pod, false);
        let state = &self.state.pods[pod];
        if state.existing.is_some() {
            let charge = Arc::clone(&state.charge);
            if !state.removed && state.standing != Standing::Leaving {
                self.charge(&charge, false);
            }
            self.charge(&self.instance.quotas.own(self.state.pods[pod].template), true);
        }
        let state = &mut self.state.pods[pod];
        (state.existing, state.group, state.origin, state.removed) = (None, None, None, true);
    }

    /// Takes another option of the group; its pods are the caller's to add, size or remove.
    pub(super) fn choose(&mut self, group: usize, option: usize) {
        self.state.journal.push(Change::Chosen { group, before: self.state.choices[group] });
        self.state.choices[group] = option;
    }

    /// Gives a node up. Its placed pods must have left.
    pub(super) fn close(&mut self, node: usize) {
        self.state.journal.push(Change::Closed(node));
        self.set_open(node, false);
    }

    fn set_open(&mut self, node: usize, open: bool) {
        if self.state.nodes[node].open == open {
            return;
        }
        self.state.nodes[node].open = open;
        self.there(node, open);
        let state = &self.state.nodes[node];
        if !state.bought {
            self.state.drained = if open { self.state.drained.saturating_sub(1) } else { self.state.drained + 1 };
            return;
        }
        let site = state.site;
        self.charge_daemons(site, open);
        step(self.state.bought.entry(site).or_insert(0), open);
        let (spare, _) = self.state.spare.entry(site).or_default();
        if open {
            spare.retain(|other| *other != node);
        } else {
            spare.push(node);
        }
    }

    fn set_node(&mut self, pod: usize, node: Option<usize>) {
        let before = self.state.pods[pod].node;
        if let Some(old) = before {
            self.count(pod, old, false);
            self.count_gang(pod, old, false);
        }
        // A pod to come is made once it has a node.
        if self.state.pods[pod].existing.is_none() && before.is_some() != node.is_some() {
            let charge = Arc::clone(&self.state.pods[pod].charge);
            self.charge(&charge, node.is_some());
        }
        self.state.pods[pod].node = node;
        if let Some(new) = node {
            self.count(pod, new, true);
            self.count_gang(pod, new, true);
        }
    }

    /// The pod comes to the node it has, or leaves it.
    fn count(&mut self, pod: usize, node: usize, up: bool) {
        let state = &self.state.pods[pod];
        let layout = &self.relations.layout;
        let on = &mut self.state.nodes[node];
        if on.open {
            self.state.fullness.node(layout, node, on, false);
        }
        for (free, amount) in on.free.iter_mut().zip(state.demand.iter()) {
            *free = if up { free.saturating_sub(*amount) } else { free.saturating_add(*amount) };
        }
        if !up && let Some(position) = on.pods.iter().rposition(|p| *p == pod) {
            on.pods.swap_remove(position);
        }
        for resource in volumes::attached(self.relations, &self.state.pods, &on.pods, state.template) {
            on.free[resource] += if up { -1 } else { 1 };
        }
        if up {
            on.pods.push(pod);
        }
        if on.open {
            self.state.fullness.node(layout, node, on, true);
        }
        let (site, host) = (on.site, on.host);
        let relations = self.relations;
        let domain = |counter: usize| relations.domain_of(counter, site, host);
        for counter in self.relations.counted_by(state.template, state.group) {
            if let Some(domain) = domain(counter) {
                step_at(&mut self.state.counts[counter], domain, up);
            }
            step(&mut self.state.totals[counter], up);
        }
        if let Some(relations) = self.relations.templates.get(state.template) {
            for &claim in &relations.claims {
                step(&mut self.state.claims[claim], up);
            }
            if relations.binds && up && state.origin != Some(node) {
                self.state.binding.insert(pod);
            } else {
                self.state.binding.remove(&pod);
            }
            for &counter in &relations.anti_affinity {
                if let Some(domain) = domain(counter) {
                    step_at(&mut self.state.owners[counter], domain, up);
                }
            }
        }
        self.state.spreads.pod(self.relations, state, site, host, up);
        let Some(group) = state.group else { return };
        let class = &layout.classes[layout.class_of[site]];
        if class.spot {
            step(&mut self.state.on_spot[group], up);
        }
        step(&mut self.state.in_zone[group][class.zone], up);
        if state.origin.is_some_and(|origin| origin != node) {
            let template = state.template;
            self.count_move(group, template, up);
        }
    }

    /// A pod of the group leaves its node for another, or for a pod that comes there; or does not after all.
    fn count_move(&mut self, group: usize, template: usize, up: bool) {
        step(&mut self.state.moves, up);
        step(&mut self.state.group_moves[group], up);
        for &budget in self.instance.limits.budgets_of(template) {
            step(&mut self.state.budget_moves[budget], up);
        }
    }

    /// Whether the budgets let the pod leave its node.
    pub(super) fn may_move(&self, pod: usize) -> bool {
        let state = &self.state.pods[pod];
        let limits = &self.instance.limits;
        let Some(group) = state.group else { return false };
        // One that has lost its node is counted already.
        let own = u32::from(state.preempted);
        state.standing == Standing::Movable
            && self.state.moves - own < limits.moves
            && limits.group_moves[group].is_none_or(|most| self.state.group_moves[group] - own < most)
            && limits
                .budgets_of(state.template)
                .iter()
                .all(|b| self.state.budget_moves[*b] - own < limits.budgets[*b].moves)
    }

    /// Pods counted with this one in the domains it is spread over, the sum over its spread rules; 0 where it has none.
    pub(super) fn pods_in_its_domains(&self, pod: usize) -> u32 {
        let state = &self.state.pods[pod];
        let Some(node) = state.node.map(|node| &self.state.nodes[node]) else { return 0 };
        let counts = self.relations.spreads_of(state.template, state.group).filter_map(|rule| {
            let domain = self.relations.domain_of(rule.counter, node.site, node.host)?;
            self.state.counts[rule.counter].get(domain).copied()
        });
        counts.sum()
    }

    pub(super) fn choice(&self, group: usize) -> Option<&super::instance::Choice> {
        self.instance.groups[group].options.get(self.state.choices[group])
    }

    /// From here on spread is kept so that it also holds when all is done: domains that can be bought count from the
    /// start, and no pod joins a domain that this would make too full for others.
    pub(super) fn keep_even(&mut self, lasting: bool) {
        self.state.spreads.keep_even(self.relations, lasting);
    }

    /// Aims at even counts for all that waits, so that nodes can be filled one domain after the other; `false` takes the
    /// aim away.
    pub(super) fn aim_even(&mut self, even: bool) {
        let mut coming = vec![0_u32; self.relations.counters.len()];
        if even {
            for pod in self.waiting() {
                let state = &self.state.pods[pod];
                for counter in self.relations.counted_by(state.template, state.group) {
                    coming[counter] += 1;
                }
            }
        }
        self.state.spreads.aim_even(self.relations, even, &coming);
    }

    /// Whether spread is kept for when all is done.
    pub(super) fn keeps_even(&self) -> bool {
        self.state.spreads.lasting()
    }

    /// Whether the node takes more than it has, and more than it does now.
    pub(super) fn overloaded(&self, node: usize) -> bool {
        let on = &self.state.nodes[node];
        on.free.iter().enumerate().any(|(resource, free)| {
            // No choice of a size changes how many volumes a pod has.
            if *free >= 0 || is_volume_limit(self.instance.resources[resource]) {
                return false;
            }
            let site = &self.instance.sites[on.site];
            let grows = |pod: &usize| {
                let pod = &self.state.pods[*pod];
                let now = pod.existing.map_or(0, |p| self.instance.pods[p].demand[resource]);
                pod.origin != Some(node) || pod.demand[resource] > now
            };
            if on.pods.iter().any(grows) {
                return true;
            }
            let used_now = self.relations.layout.used_now.get(on.site).map_or(0, |used| used[resource]);
            *free < (site.allocatable[resource] - used_now).min(0)
        })
    }

    /// What is free on the node, measured as a demand is by [`Self::size_of`]; nothing where it is over-committed.
    pub(super) fn room_of(&self, node: usize) -> f64 {
        let free: Vec<i64> = self.state.nodes[node].free.iter().map(|free| (*free).max(0)).collect();
        self.size_of(&free)
    }

    /// Largest share a demand takes of all there is: of the nodes that stand and one of each offer.
    pub(super) fn size_of(&self, demand: &[i64]) -> f64 {
        self.relations.layout.share_of(demand)
    }

    /// Pods that are wanted and have no node.
    pub(super) fn waiting(&self) -> Vec<usize> {
        let waits = |pod: &PodState| pod.node.is_none() && !pod.removed && !settled(pod.standing);
        (0..self.state.pods.len()).filter(|p| waits(&self.state.pods[*p])).collect()
    }

    /// Cost of the state, in the checker's parts.
    pub(super) fn cost(&self) -> CostParts {
        let instance = self.instance;
        let mut cost = CostParts::default();
        for node in &self.state.nodes {
            if node.open {
                cost.nodes += instance.sites[node.site].price_per_hour;
            }
            if node.open == node.bought {
                cost.change += instance.node_change_price();
            }
        }
        cost.risk = (0..self.state.choices.len()).filter_map(|g| self.choice(g)).map(|c| c.risk_cost_per_hour).sum();
        for pod in self.state.pods.iter().filter(|p| !p.removed && (p.node.is_some() || !settled(p.standing))) {
            match (pod.origin, pod.node) {
                (_, None) => {
                    cost.unplaced += instance.unplaced_price(pod.template);
                    cost.change += if pod.preempted { self.move_price(pod) } else { 0.0 };
                }
                (Some(origin), Some(node)) if origin != node => cost.change += self.move_price(pod),
                _ => {}
            }
        }
        cost.preferences = self.preferences();
        cost
    }

    /// Price an hour of moving the pod, by what it requests now.
    pub(super) fn move_price(&self, pod: &PodState) -> f64 {
        let now = pod.existing.map(|p| self.instance.pods[p].demand.as_slice());
        self.instance.move_price(now.unwrap_or(&pod.demand))
    }
}
