//! The bound, kept up to date in microseconds.
//!
//! Let capacity, moves, drains and the pods on nodes that are given back have prices of at least 0. Then every plan costs at
//! least what is left when each workload, each node and each offer is decided for itself at these prices: a sum of terms,
//! one a workload and one a node (a Lagrangian relaxation of the program of `docs/model.md`, whose other rows between
//! workloads are dropped). It holds for any prices, so those of the cold plan are kept, and a changed workload changes
//! its own term and those of the nodes its pods stand on.

use std::collections::BTreeMap;

use super::super::instance::{Amounts, Instance, Standing};
use super::prices::Prices;

/// Taken off, relative to the sizes of the terms: sums of floating-point numbers are not exact.
const ROUNDING: f64 = 1e-9;

/// The terms of the bound.
pub(super) struct Bound {
    prices: Prices,
    groups: Vec<GroupTerm>,
    nodes: Vec<f64>,
}

/// Of one workload.
#[derive(Debug, Clone, Copy)]
struct GroupTerm {
    least: f64,
    /// What its pods cost in every plan because nothing that stands or is offered can hold one.
    unplaceable: f64,
}

/// Pods of a workload that stand in a pool, and those of them that stay.
#[derive(Debug, Clone, Copy, Default)]
struct Stand {
    all: u32,
    fixed: u32,
}

impl Bound {
    /// All terms; `on_node` are the pods that stand on each node now.
    pub(super) fn new(prices: Prices, instance: &Instance<'_>, on_node: &[Vec<usize>]) -> Self {
        let mut bound = Self { prices, groups: Vec::new(), nodes: vec![0.0; instance.standing] };
        bound.groups = (0..instance.groups.len()).map(|group| bound.group_term(instance, group)).collect();
        for (node, pods) in on_node.iter().enumerate() {
            bound.renew_node(instance, node, pods);
        }
        bound
    }

    /// The workload has changed.
    pub(super) fn renew_group(&mut self, instance: &Instance<'_>, group: usize) {
        self.groups[group] = self.group_term(instance, group);
    }

    /// Other pods stand on the node now.
    pub(super) fn renew_node(&mut self, instance: &Instance<'_>, node: usize, pods: &[usize]) {
        let (room, elastic) = room(instance, node, pods);
        let number = self.prices.pool_of[node];
        let pool = &mut self.prices.pools[number];
        for (largest, room) in pool.largest.iter_mut().zip(&room) {
            *largest = (*largest).max(*room);
        }
        let kept = instance.sites[node].price_per_hour - pool.price_of(&room);
        let planned = pods.iter().map(|pod| &instance.pods[*pod]).filter(|pod| is_planned(pod.standing));
        let displaced: f64 =
            planned.filter_map(|pod| pod.group).map(|group| self.prices.displaced(group, number)).sum();
        let drained = instance.node_change_price() + self.prices.one_drain + displaced;
        self.nodes[node] = if elastic { kept.min(drained) } else { kept };
    }

    /// The bound of the cluster as it is now, and the part of it that every plan pays for pods nothing can hold.
    pub(super) fn total(&self, instance: &Instance<'_>) -> (f64, f64) {
        let limits = &instance.limits;
        let most_pods: f64 = instance.groups.iter().map(|g| f64::from(g.most_replicas())).sum();
        let shared = [
            -self.prices.one_move * f64::from(limits.moves),
            -self.prices.one_drain * f64::from(limits.drains),
            self.prices.buying(instance.node_change_price(), most_pods),
        ];
        let terms = self.groups.iter().map(|g| g.least).chain(self.nodes.iter().copied()).chain(shared);
        let (mut sum, mut size) = (0.0, 0.0);
        for term in terms {
            sum += term;
            size += f64::abs(term);
        }
        let unplaceable: f64 = self.groups.iter().map(|g| g.unplaceable).sum();
        ((sum - ROUNDING * size).max(0.0), unplaceable)
    }

    /// What a pod of the group asks for at the size is worth: its room in the pool where that is cheapest.
    pub(super) fn worth(&self, instance: &Instance<'_>, group: usize, size: usize) -> f64 {
        let facts = &instance.groups[group];
        let Some(template) = facts.template else { return 0.0 };
        let demand = facts.demand(template, size);
        let pools = (0..self.prices.pools.len()).filter(|pool| self.is_open(instance, *pool, template, demand));
        let least = pools.map(|pool| self.prices.pools[pool].price_of(demand)).fold(f64::INFINITY, f64::min);
        if least.is_finite() { least } else { 0.0 }
    }

    /// Whether pods of the template can come to the pool.
    fn is_open(&self, instance: &Instance<'_>, pool: usize, template: usize, demand: &[i64]) -> bool {
        let pool = &self.prices.pools[pool];
        let admits = |site| instance.shapes.admits(instance.snapshot, template, site);
        pool.joins.is_none()
            && pool.site.accepts_new
            && demand.iter().zip(&pool.largest).all(|(amount, room)| *amount <= 0 || amount <= room)
            && if instance.shapes.names_nodes(template) && !pool.nodes.is_empty() {
                pool.nodes.iter().any(|node| admits(&instance.sites[*node]))
            } else {
                admits(&pool.site)
            }
    }

    fn group_term(&self, instance: &Instance<'_>, group: usize) -> GroupTerm {
        let (costs, unplaceable) = self.options(instance, group);
        GroupTerm { least: costs.into_iter().fold(f64::INFINITY, f64::min), unplaceable }
    }

    /// What each option of the group costs at the prices.
    pub(super) fn option_costs(&self, instance: &Instance<'_>, group: usize) -> Vec<f64> {
        self.options(instance, group).0
    }

    /// What each option costs at the prices, and what its pods cost in every plan if nothing can hold one.
    fn options(&self, instance: &Instance<'_>, group: usize) -> (Vec<f64>, f64) {
        let facts = &instance.groups[group];
        let mut stands: BTreeMap<usize, Stand> = BTreeMap::new();
        for pod in facts.pods.iter().map(|pod| &instance.pods[*pod]).filter(|pod| is_planned(pod.standing)) {
            let Some(node) = pod.node else { continue };
            let stand = stands.entry(self.prices.pool_of[node]).or_default();
            stand.all += 1;
            stand.fixed += u32::from(pod.standing == Standing::Fixed);
        }
        let demands = facts.pods.iter().map(|pod| &instance.pods[*pod].demand).chain(facts.demands.values());
        let move_price = demands.map(|demand| instance.move_price(demand)).fold(f64::INFINITY, f64::min);
        let move_price = if move_price.is_finite() { move_price } else { 0.0 };
        // Beyond what a move costs, moving would pay.
        let leaving = self.prices.leaving(group).min(move_price + self.prices.one_move);
        let unplaced = facts.templates.iter().map(|t| instance.unplaced_price(*t)).fold(f64::INFINITY, f64::min);
        let unplaced = if unplaced.is_finite() { unplaced } else { instance.policy.costs.unplaced_per_hour };
        let curves: Vec<Curve> =
            (0..facts.sizes.len()).map(|size| self.curve(instance, group, size, &stands, leaving)).collect();
        let existing = facts.pods.len() as u32;
        let of_option = |option: &super::super::instance::Choice| {
            let removed = f64::from(existing.saturating_sub(option.replicas));
            let pods = option.replicas.saturating_sub(facts.elsewhere);
            option.risk_cost_per_hour - leaving * removed + curves[option.size].cost_of(pods, unplaced)
        };
        let costs = facts.options.iter().map(of_option).collect();
        let held = !stands.is_empty() || curves.iter().any(|curve| !curve.segments.is_empty());
        let waiting = facts.options.iter().map(|o| o.replicas.saturating_sub(facts.fixed)).min().unwrap_or(0);
        (costs, if held { 0.0 } else { f64::from(waiting) * unplaced })
    }

    /// What placing pods of the group at the size costs, pool by pool.
    fn curve(
        &self,
        instance: &Instance<'_>,
        group: usize,
        size: usize,
        stands: &BTreeMap<usize, Stand>,
        leaving: f64,
    ) -> Curve {
        let facts = &instance.groups[group];
        let mut curve = Curve::default();
        for (number, pool) in self.prices.pools.iter().enumerate().filter(|(_, pool)| pool.joins.is_none()) {
            let stand = stands.get(&number).copied().unwrap_or_default();
            let open = facts
                .templates
                .iter()
                .any(|template| self.is_open(instance, number, *template, facts.demand(*template, size)));
            if !open && stand.all == 0 {
                continue;
            }
            let prices = facts.templates.iter().map(|template| pool.price_of(facts.demand(*template, size)));
            let price = prices.reduce(f64::min).unwrap_or(0.0);
            let left = leaving - self.prices.displaced(group, number);
            let movable = stand.all - stand.fixed;
            curve.fixed += stand.fixed;
            curve.constant += f64::from(stand.fixed) * price + f64::from(movable) * left;
            if movable > 0 {
                // Who stays need not leave.
                curve.segments.push((price - left.max(0.0), movable));
            }
            if open {
                curve.segments.push((price, u32::MAX));
            }
        }
        curve.segments.sort_by(|a, b| a.0.total_cmp(&b.0));
        curve
    }
}

/// Pieces of a convex cost: so many pods at so much each, the cheapest first.
#[derive(Default)]
struct Curve {
    constant: f64,
    /// Pods that stay where they are, paid for in the constant.
    fixed: u32,
    segments: Vec<(f64, u32)>,
}

impl Curve {
    /// Least cost of this many pods, some of which may have no node.
    fn cost_of(&self, pods: u32, unplaced: f64) -> f64 {
        let mut left = pods.saturating_sub(self.fixed);
        let mut cost = self.constant;
        for &(price, most) in self.segments.iter().take_while(|(price, _)| *price < unplaced) {
            let here = most.min(left);
            cost += price * f64::from(here);
            left -= here;
        }
        cost + unplaced * f64::from(left)
    }
}

fn is_planned(standing: Standing) -> bool {
    matches!(standing, Standing::Fixed | Standing::Movable)
}

/// Room of the node for placed pods (what they take now, where that is more than it has), and whether it may be given
/// back.
fn room(instance: &Instance<'_>, node: usize, pods: &[usize]) -> (Amounts, bool) {
    let site = &instance.sites[node];
    let (mut room, mut used) = (site.allocatable.clone(), vec![0_i64; instance.resources.len()]);
    let mut elastic = site.may_drain;
    for pod in pods.iter().map(|pod| &instance.pods[*pod]) {
        for ((room, used), amount) in room.iter_mut().zip(&mut used).zip(&pod.demand) {
            match pod.standing {
                Standing::Daemon => *room = room.saturating_sub(*amount),
                standing if is_planned(standing) => *used = used.saturating_add(*amount),
                _ => {}
            }
        }
        elastic &= pod.standing != Standing::Fixed;
    }
    for (room, used) in room.iter_mut().zip(used) {
        *room = (*room).max(used).max(0);
    }
    (room, elastic)
}
