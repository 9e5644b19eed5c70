//! Concrete pods on concrete nodes, with everything needed to ask "may this pod go there?" kept up to date.
//!
//! Every change is journalled, so that a trial can be taken back to a mark.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::domain::catalog::CapacityType;
use crate::domain::plan::CostParts;
use crate::domain::rules::HOSTNAME_LABEL;

use super::instance::{Amounts, Instance, Standing};
use super::relations::{IMPOSSIBLE, Relations, SpreadRule};

/// A pod, existing or to come.
#[derive(Debug, Clone)]
pub(super) struct PodState {
    /// Its index in the snapshot; `None` for pods to come.
    pub(super) existing: Option<usize>,
    pub(super) name: String,
    pub(super) group: Option<usize>,
    pub(super) template: usize,
    pub(super) standing: Standing,
    pub(super) demand: Amounts,
    /// Node it has now.
    pub(super) origin: Option<usize>,
    pub(super) node: Option<usize>,
    /// Goes because its workload shrinks.
    pub(super) removed: bool,
}

/// A node, standing or bought.
#[derive(Debug, Clone)]
pub(super) struct NodeState {
    /// Index of its site (the prototype's for bought ones).
    pub(super) site: usize,
    pub(super) name: String,
    pub(super) bought: bool,
    /// Kept or added; closed nodes are removed or were never bought.
    pub(super) open: bool,
    pub(super) free: Amounts,
    /// Pods on it.
    pub(super) pods: Vec<usize>,
    /// Domain by topology key; `None` where it has no such label.
    domains: Vec<Option<usize>>,
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Bound { pod: usize, before: Option<usize> },
    Opened(usize),
    Closed(usize),
    Removed { pod: usize, before: bool },
    Chosen { group: usize, before: usize },
}

/// The cluster as planned so far.
#[derive(Clone)]
pub(super) struct Occupancy<'a> {
    pub(super) instance: &'a Instance<'a>,
    pub(super) relations: &'a Relations,
    /// Option each group takes.
    pub(super) choices: Vec<usize>,
    /// Domains that could be bought count for spread as if they stood: buying there later then breaks no spread.
    pub(super) foresees_domains: bool,
    pub(super) pods: Vec<PodState>,
    pub(super) nodes: Vec<NodeState>,
    /// Nodes bought by site, open ones.
    pub(super) bought: BTreeMap<usize, u32>,
    /// Standing nodes closed.
    pub(super) drained: u32,
    pub(super) moves: u32,
    budget_moves: Vec<u32>,
    group_moves: Vec<u32>,
    domain_ids: Vec<BTreeMap<String, usize>>,
    /// Pods counted, by counter and domain.
    counts: Vec<Vec<u32>>,
    /// Pods that have the counter as anti-affinity, by counter and domain.
    owners: Vec<Vec<u32>>,
    totals: Vec<u32>,
    on_spot: Vec<u32>,
    in_zone: Vec<BTreeMap<&'a str, u32>>,
    journal: Vec<Change>,
    /// Prototypes by domain of each key; none for host names.
    buyable: Rc<Vec<BTreeMap<String, Vec<usize>>>>,
    /// Weight of a free unit of each resource when nodes are compared.
    weights: Vec<f64>,
}

/// What must be known of a pod once, before nodes are looked at.
pub(super) struct Wish {
    pod: usize,
    /// Most pods a domain may have already, for each spread: `(counter, most)`.
    spread: Vec<(usize, u32)>,
    spot_full: bool,
    zone_cap: Option<u32>,
    moving: bool,
}

impl Wish {
    /// Whether how many of its like other domains have decides where the pod may go.
    pub(super) fn is_spread(&self) -> bool {
        !self.spread.is_empty()
    }
}

fn buyable(instance: &Instance<'_>, relations: &Relations) -> Vec<BTreeMap<String, Vec<usize>>> {
    let by_domain = |key: &String| {
        let mut domains: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for site in (instance.standing..instance.sites.len()).filter(|_| key != HOSTNAME_LABEL) {
            if let Some(domain) = instance.sites[site].labels.get(key) {
                domains.entry(domain.clone()).or_default().push(site);
            }
        }
        domains
    };
    relations.keys.iter().map(by_domain).collect()
}

/// Whether a pod without a node is nothing to place: it is on its way out, or runs somewhere unknown.
fn settled(standing: Standing) -> bool {
    matches!(standing, Standing::Leaving | Standing::Elsewhere)
}

impl<'a> Occupancy<'a> {
    /// Standing nodes, without any pod.
    pub(super) fn empty(instance: &'a Instance<'a>, relations: &'a Relations, choices: Vec<usize>) -> Self {
        let mut totals = vec![0.0; instance.resources.len()];
        for site in &instance.sites {
            for (total, amount) in totals.iter_mut().zip(&site.allocatable) {
                *total += *amount as f64;
            }
        }
        let counters = relations.counters.len();
        let mut occupancy = Self {
            instance,
            relations,
            choices,
            foresees_domains: false,
            pods: Vec::with_capacity(instance.pods.len()),
            nodes: Vec::with_capacity(instance.standing),
            bought: BTreeMap::new(),
            drained: 0,
            moves: 0,
            budget_moves: vec![0; instance.limits.budgets.len()],
            group_moves: vec![0; instance.groups.len()],
            domain_ids: vec![BTreeMap::new(); relations.keys.len()],
            counts: vec![Vec::new(); counters],
            owners: vec![Vec::new(); counters],
            totals: vec![0; counters],
            on_spot: vec![0; instance.groups.len()],
            in_zone: vec![BTreeMap::new(); instance.groups.len()],
            journal: Vec::new(),
            buyable: Rc::new(buyable(instance, relations)),
            weights: totals.iter().map(|total| if *total > 0.0 { 1.0 / total } else { 0.0 }).collect(),
        };
        for site in 0..instance.standing {
            let name = instance.sites[site].name.clone();
            occupancy.push_node(site, name, false);
        }
        occupancy
    }

    fn push_node(&mut self, site: usize, name: String, bought: bool) -> usize {
        let facts = &self.instance.sites[site];
        let mut domains = Vec::with_capacity(self.relations.keys.len());
        for (key, ids) in self.relations.keys.iter().zip(&mut self.domain_ids) {
            let value = if bought && key == HOSTNAME_LABEL {
                Some(name.as_str())
            } else {
                facts.labels.get(key).map(String::as_str)
            };
            domains.push(value.map(|value| {
                let next = ids.len();
                *ids.entry(value.to_owned()).or_insert(next)
            }));
        }
        let free = facts.allocatable.iter().zip(&facts.daemon_demand).map(|(a, d)| a - d).collect();
        self.nodes.push(NodeState { site, name, bought, open: true, free, pods: Vec::new(), domains });
        self.nodes.len() - 1
    }

    /// A mark to roll back to.
    pub(super) fn mark(&self) -> usize {
        self.journal.len()
    }

    /// Takes back everything since the mark. Nodes bought since stay in the list, closed.
    pub(super) fn roll_back(&mut self, mark: usize) {
        while self.journal.len() > mark {
            match self.journal.pop() {
                Some(Change::Bound { pod, before }) => self.set_node(pod, before),
                Some(Change::Opened(node)) => self.set_open(node, false),
                Some(Change::Closed(node)) => self.set_open(node, true),
                Some(Change::Removed { pod, before }) => self.pods[pod].removed = before,
                Some(Change::Chosen { group, before }) => self.choices[group] = before,
                None => break,
            }
        }
    }

    /// Puts the pod on the node, or takes it off.
    pub(super) fn bind(&mut self, pod: usize, node: Option<usize>) {
        let before = self.pods[pod].node;
        if before != node {
            self.journal.push(Change::Bound { pod, before });
            self.set_node(pod, node);
        }
    }

    /// Buys a node of the prototype, reusing one bought and given up before.
    pub(super) fn buy(&mut self, site: usize) -> usize {
        let spare = self.nodes.iter().position(|n| n.bought && !n.open && n.site == site && n.pods.is_empty());
        let node = spare.unwrap_or_else(|| {
            let number = self.nodes.iter().filter(|n| n.bought && n.site == site).count() + 1;
            let node = self.push_node(site, format!("{}-{number}", self.instance.sites[site].name), true);
            self.nodes[node].open = false;
            node
        });
        self.journal.push(Change::Opened(node));
        self.set_open(node, true);
        node
    }

    /// Opens a node that was given up.
    pub(super) fn reopen(&mut self, node: usize) {
        self.journal.push(Change::Opened(node));
        self.set_open(node, true);
    }

    /// Whether the pod, which must have no node, is one of those that go.
    pub(super) fn set_removed(&mut self, pod: usize, removed: bool) {
        self.journal.push(Change::Removed { pod, before: self.pods[pod].removed });
        self.pods[pod].removed = removed;
    }

    /// Takes another option of the group; its pods are the caller's to add, size or remove.
    pub(super) fn choose(&mut self, group: usize, option: usize) {
        self.journal.push(Change::Chosen { group, before: self.choices[group] });
        self.choices[group] = option;
    }

    /// Gives a node up. Its placed pods must have left.
    pub(super) fn close(&mut self, node: usize) {
        self.journal.push(Change::Closed(node));
        self.set_open(node, false);
    }

    fn set_open(&mut self, node: usize, open: bool) {
        let state = &mut self.nodes[node];
        if state.open == open {
            return;
        }
        state.open = open;
        if state.bought {
            let count = self.bought.entry(state.site).or_insert(0);
            *count = if open { *count + 1 } else { count.saturating_sub(1) };
        } else {
            self.drained = if open { self.drained.saturating_sub(1) } else { self.drained + 1 };
        }
    }

    fn set_node(&mut self, pod: usize, node: Option<usize>) {
        if let Some(old) = self.pods[pod].node {
            self.count(pod, old, false);
        }
        self.pods[pod].node = node;
        if let Some(new) = node {
            self.count(pod, new, true);
        }
    }

    fn count(&mut self, pod: usize, node: usize, up: bool) {
        let step = |count: &mut u32| *count = if up { *count + 1 } else { count.saturating_sub(1) };
        let state = &self.pods[pod];
        let on = &mut self.nodes[node];
        for (free, amount) in on.free.iter_mut().zip(&state.demand) {
            *free = if up { free.saturating_sub(*amount) } else { free.saturating_add(*amount) };
        }
        if up {
            on.pods.push(pod);
        } else if let Some(position) = on.pods.iter().position(|p| *p == pod) {
            on.pods.swap_remove(position);
        }
        let at = |counts: &mut Vec<u32>, domain: usize| {
            if counts.len() <= domain {
                counts.resize(domain + 1, 0);
            }
            step(&mut counts[domain]);
        };
        for counter in self.relations.counted_by(state.template, state.group) {
            if let Some(domain) = on.domains[self.relations.counters[counter].key] {
                at(&mut self.counts[counter], domain);
            }
            step(&mut self.totals[counter]);
        }
        if let Some(relations) = self.relations.templates.get(state.template) {
            for &counter in &relations.anti_affinity {
                if let Some(domain) = on.domains[self.relations.counters[counter].key] {
                    at(&mut self.owners[counter], domain);
                }
            }
        }
        let Some(group) = state.group else { return };
        let instance = self.instance;
        let site = &instance.sites[on.site];
        if site.capacity_type == CapacityType::Spot {
            step(&mut self.on_spot[group]);
        }
        step(self.in_zone[group].entry(site.zone.as_str()).or_insert(0));
        if state.origin.is_some_and(|origin| origin != node) {
            step(&mut self.moves);
            step(&mut self.group_moves[group]);
            for &budget in self.instance.limits.budgets_of(state.template) {
                step(&mut self.budget_moves[budget]);
            }
        }
    }

    /// Whether the budgets let the pod leave its node.
    pub(super) fn may_move(&self, pod: usize) -> bool {
        let state = &self.pods[pod];
        let limits = &self.instance.limits;
        let Some(group) = state.group else { return false };
        state.standing == Standing::Movable
            && self.moves < limits.moves
            && limits.group_moves[group].is_none_or(|most| self.group_moves[group] < most)
            && limits.budgets_of(state.template).iter().all(|b| self.budget_moves[*b] < limits.budgets[*b].moves)
    }

    /// What must be known of a pod that has no node at the moment, before nodes are looked at.
    pub(super) fn wish(&self, pod: usize) -> Option<Wish> {
        let state = &self.pods[pod];
        let moving = state.origin.is_some();
        if moving && !self.may_move(pod) {
            return None;
        }
        let own = self.relations.templates.get(state.template)?;
        if own.affinity.contains(&IMPOSSIBLE) {
            return None;
        }
        let group = state.group.map(|g| &self.instance.groups[g]);
        let policy = state.group.and_then(|g| self.relations.group_spread[g].as_ref());
        let spread = own.spread.iter().chain(policy).map(|rule| (rule.counter, self.most_in_domain(state, rule)));
        let replicas = state.group.and_then(|g| self.choice(g)).map_or(0, |c| c.replicas);
        let target = group.and_then(|g| g.target);
        let most_spot = target.and_then(|t| t.max_spot_share).map(|share| (share * f64::from(replicas) + 1e-9) as u32);
        let zone_cap =
            target.and_then(|t| t.zone_loss).map(|kept| replicas.saturating_sub(kept.of_rounded_up(replicas)));
        Some(Wish {
            pod,
            spread: spread.collect(),
            spot_full: most_spot.is_some_and(|most| state.group.is_some_and(|g| self.on_spot[g] >= most)),
            zone_cap,
            moving,
        })
    }

    /// Pods counted with this one in the domains it is spread over, the sum over its spread rules; 0 where it has none.
    pub(super) fn pods_in_its_domains(&self, pod: usize) -> u32 {
        let state = &self.pods[pod];
        let own = self.relations.templates.get(state.template).into_iter().flat_map(|t| &t.spread);
        let policy = state.group.and_then(|g| self.relations.group_spread[g].as_ref());
        let counts = own.chain(policy).filter_map(|rule| {
            let key = self.relations.counters[rule.counter].key;
            let domain = self.nodes[state.node?].domains[key]?;
            self.counts[rule.counter].get(domain).copied()
        });
        counts.sum()
    }

    pub(super) fn choice(&self, group: usize) -> Option<&super::instance::Choice> {
        self.instance.groups[group].options.get(self.choices[group])
    }

    /// Most counted pods a domain may have before this pod goes there: smallest count over the domains + skew − self.
    fn most_in_domain(&self, state: &PodState, rule: &SpreadRule) -> u32 {
        let instance = self.instance;
        let key = self.relations.counters[rule.counter].key;
        let counts = &self.counts[rule.counter];
        let mut seen = vec![false; self.domain_ids[key].len()];
        let (mut lowest, mut domains) = (u32::MAX, 0);
        for node in self.nodes.iter().filter(|n| n.open) {
            let Some(domain) = node.domains[key] else { continue };
            if seen[domain] {
                continue;
            }
            let site = &instance.sites[node.site];
            let selected = !rule.honor_affinity || instance.shapes.selects(instance.snapshot, state.template, site);
            let tolerated = !rule.honor_taints || instance.shapes.admits(instance.snapshot, state.template, site);
            if selected && tolerated {
                seen[domain] = true;
                domains += 1;
                lowest = lowest.min(counts.get(domain).copied().unwrap_or(0));
            }
        }
        if self.foresees_domains && self.opens_domain(state, rule, &seen) {
            lowest = 0;
        }
        if domains == 0 || rule.min_domains.is_some_and(|least| domains < least) {
            lowest = 0;
        }
        let itself = self.relations.counted_by(state.template, state.group).any(|c| c == rule.counter);
        (lowest + rule.max_skew).saturating_sub(u32::from(itself))
    }

    /// Whether the node has what the pod reserves, and its labels and taints let it on.
    pub(super) fn has_room(&self, pod: usize, node: usize) -> bool {
        let (state, on) = (&self.pods[pod], &self.nodes[node]);
        let site = &self.instance.sites[on.site];
        state.demand.iter().zip(&on.free).all(|(amount, free)| *amount <= 0 || amount <= free)
            && self.instance.shapes.admits(self.instance.snapshot, state.template, site)
    }

    /// Whether a node the pod could go to can be bought in a domain that has none yet. Host names are left out: every
    /// node is one.
    fn opens_domain(&self, state: &PodState, rule: &SpreadRule, seen: &[bool]) -> bool {
        let instance = self.instance;
        let key = self.relations.counters[rule.counter].key;
        self.buyable[key].iter().any(|(domain, sites)| {
            let stands = self.domain_ids[key].get(domain).is_some_and(|id| seen[*id]);
            let admits =
                |site: &usize| instance.shapes.admits(instance.snapshot, state.template, &instance.sites[*site]);
            !stands && sites.iter().any(admits)
        })
    }

    /// Whether the pod may go to the node, every hard rule considered.
    pub(super) fn admits(&self, wish: &Wish, node: usize) -> bool {
        let state = &self.pods[wish.pod];
        let on = &self.nodes[node];
        let site = &self.instance.sites[on.site];
        let home = wish.moving && state.origin == Some(node);
        if !on.open || !(site.accepts_new || home) {
            return false;
        }
        self.has_room(wish.pod, node)
            && !(wish.spot_full && site.capacity_type == CapacityType::Spot)
            && wish.zone_cap.is_none_or(|cap| {
                state.group.is_none_or(|g| self.in_zone[g].get(site.zone.as_str()).is_none_or(|count| *count < cap))
            })
            && self.relations_admit(state, wish, on)
    }

    fn relations_admit(&self, state: &PodState, wish: &Wish, on: &NodeState) -> bool {
        let own = &self.relations.templates[state.template];
        let domain_of = |counter: usize| on.domains[self.relations.counters[counter].key];
        let in_domain = |counts: &[Vec<u32>], counter: usize| {
            domain_of(counter).and_then(|d| counts[counter].get(d)).copied().unwrap_or(0)
        };
        let ports_free = own.host_ports.is_empty()
            || !on.pods.iter().any(|p| {
                let theirs = &self.relations.templates[self.pods[*p].template].host_ports;
                theirs.iter().any(|a| own.host_ports.iter().any(|b| a.conflicts_with(b)))
            });
        let no_relation_but_itself =
            || own.affinity.iter().all(|c| self.totals[*c] == 0 && own.counted_by.binary_search(c).is_ok());
        ports_free
            && own.anti_affinity.iter().all(|c| in_domain(&self.counts, *c) == 0)
            && own.counted_by.iter().all(|c| !self.relations.counters[*c].guarded || in_domain(&self.owners, *c) == 0)
            && (own.affinity.iter().all(|c| in_domain(&self.counts, *c) > 0)
                || (own.affinity.iter().all(|c| domain_of(*c).is_some()) && no_relation_but_itself()))
            && wish
                .spread
                .iter()
                .all(|(counter, most)| domain_of(*counter).is_some() && in_domain(&self.counts, *counter) <= *most)
    }

    /// The node that would be fullest with the pod on it, among those that pass; ties go to the first.
    pub(super) fn best_node(&self, wish: &Wish, passes: impl Fn(usize) -> bool) -> Option<usize> {
        let demand = &self.pods[wish.pod].demand;
        let mut best: Option<(f64, usize)> = None;
        for (index, node) in self.nodes.iter().enumerate() {
            let rest = || -> f64 {
                let left = node.free.iter().zip(demand).zip(&self.weights);
                left.map(|((free, amount), weight)| (free - amount) as f64 * weight).sum()
            };
            if !node.open || !passes(index) {
                continue;
            }
            let rest = rest();
            if best.is_none_or(|(least, _)| rest < least) && self.admits(wish, index) {
                best = Some((rest, index));
            }
        }
        best.map(|(_, node)| node)
    }

    /// Whether the node takes more than it has, and more than it does now.
    pub(super) fn overloaded(&self, node: usize) -> bool {
        let on = &self.nodes[node];
        on.free.iter().enumerate().any(|(resource, free)| {
            if *free >= 0 {
                return false;
            }
            let site = &self.instance.sites[on.site];
            let grows = |pod: &usize| {
                let pod = &self.pods[*pod];
                let now = pod.existing.map_or(0, |p| self.instance.pods[p].demand[resource]);
                pod.origin != Some(node) || pod.demand[resource] > now
            };
            if on.pods.iter().any(grows) {
                return true;
            }
            let used_now: i64 = self
                .pods
                .iter()
                .filter_map(|p| p.existing)
                .map(|p| &self.instance.pods[p])
                .filter(|p| p.node == Some(node))
                .map(|p| p.demand[resource])
                .sum();
            *free < (site.allocatable[resource] - used_now).min(0)
        })
    }

    /// Largest share a demand takes of all there is: of the nodes that stand and one of each offer.
    pub(super) fn size_of(&self, demand: &[i64]) -> f64 {
        demand.iter().zip(&self.weights).map(|(amount, weight)| *amount as f64 * weight).fold(0.0, f64::max)
    }

    /// Pods that are wanted and have no node.
    pub(super) fn waiting(&self) -> Vec<usize> {
        let waits = |pod: &PodState| pod.node.is_none() && !pod.removed && !settled(pod.standing);
        (0..self.pods.len()).filter(|p| waits(&self.pods[*p])).collect()
    }

    /// Cost of the state, in the checker's parts.
    pub(super) fn cost(&self) -> CostParts {
        let instance = self.instance;
        let mut cost = CostParts::default();
        for node in &self.nodes {
            if node.open {
                cost.nodes += instance.sites[node.site].price_per_hour;
            }
            if node.open == node.bought {
                cost.change += instance.node_change_price();
            }
        }
        cost.risk = (0..self.choices.len()).filter_map(|g| self.choice(g)).map(|c| c.risk_cost_per_hour).sum();
        for pod in self.pods.iter().filter(|p| !p.removed && (p.node.is_some() || !settled(p.standing))) {
            match (pod.origin, pod.node) {
                (_, None) => cost.unplaced += instance.unplaced_price(pod.template),
                (Some(origin), Some(node)) if origin != node => cost.change += self.move_price(pod),
                _ => {}
            }
        }
        cost
    }

    /// Price an hour of moving the pod, by what it requests now.
    pub(super) fn move_price(&self, pod: &PodState) -> f64 {
        let now = pod.existing.map(|p| &self.instance.pods[p].demand);
        self.instance.move_price(now.unwrap_or(&pod.demand))
    }
}
