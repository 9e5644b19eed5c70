//! A packing on concrete nodes: each is bought in one of the zones it is sold in, by turns, and filled with pods of the
//! kinds its pattern holds, as far as rules between pods let them on.
//!
//! Pods that are bound by a spread come first, so evenly among themselves that the order does not matter. Then come those that
//! are only counted: a spread is judged when its own pods come.

use std::collections::BTreeMap;

use super::super::occupancy::Occupancy;
use super::super::patterns::Pattern;
use super::super::place::quota_left;
use super::Purchase;
use super::demand::Lot;

/// Pods looked at for one that would make room for another that no node with room for it lets on.
const MOST_SWAPS: usize = 50_000;

/// Buys what the packing says for the pods that wait, as far as the time goes. Pods may be left without a node, and nodes
/// with room. Spread is no longer kept for when all is done.
pub(super) fn fill_nodes(occupancy: &mut Occupancy<'_>, purchase: &Purchase, out_of_time: &dyn Fn() -> bool) {
    let mut nodes = buy_nodes(occupancy, purchase);
    let mut stock: Vec<Stock> = purchase.demand.lots.iter().map(|lots| Stock::new(occupancy, lots)).collect();
    // In proportion to what there is of them, then wherever there is room.
    let share: Vec<f64> = stock.iter().map(Stock::bound_share).collect();
    let mut due = vec![0.0; stock.len()];
    for Filling { node, left } in &mut nodes {
        for (item, left) in left.iter_mut().filter(|_| !out_of_time()) {
            due[*item] += f64::from(*left) * share[*item];
            let placed = stock[*item].bound.put(occupancy, *node, (*left).min(due[*item] as u32));
            due[*item] -= f64::from(placed);
            *left -= placed;
        }
    }
    for Filling { node, left } in &mut nodes {
        for (item, left) in left.iter_mut().filter(|(_, left)| *left > 0 && !out_of_time()) {
            *left -= stock[*item].bound.put(occupancy, *node, *left);
        }
    }
    for pod in stock.iter().flat_map(|stock| &stock.bound.lots).flat_map(|(pods, _)| pods) {
        let node = occupancy.wish(*pod).and_then(|wish| occupancy.best_node(&wish, |_| true));
        occupancy.bind(*pod, node);
    }
    occupancy.keep_even(false);
    for Filling { node, left } in &nodes {
        for (item, left) in left.iter().filter(|(_, left)| *left > 0 && !out_of_time()) {
            stock[*item].free.put(occupancy, *node, *left);
        }
    }
}

/// A bought node, and how many of each item are still to come.
struct Filling {
    node: usize,
    left: Vec<(usize, u32)>,
}

/// Buys the packing's nodes, all of them before any pod comes: so many domains stand in the end.
fn buy_nodes(occupancy: &mut Occupancy<'_>, purchase: &Purchase) -> Vec<Filling> {
    let mut turns = vec![0_usize; purchase.demand.sites.len()];
    // Bins alike one after the other, so that each zone gets as many of them as the others.
    let mut alike: BTreeMap<&Pattern, usize> = BTreeMap::new();
    for pattern in &purchase.packing.bins {
        *alike.entry(pattern).or_insert(0) += 1;
    }
    let mut nodes = Vec::with_capacity(purchase.packing.bins.len());
    for (pattern, times) in alike {
        let sites = &purchase.demand.sites[pattern.bin];
        for _ in 0..times {
            let turn = turns[pattern.bin];
            let next = (0..sites.len()).map(|n| (turn + n) % sites.len()).find(|n| quota_left(occupancy, sites[*n]));
            let Some(next) = next else { break };
            turns[pattern.bin] = next + 1;
            nodes.push(Filling { node: occupancy.buy(sites[next]), left: pattern.items.clone() });
        }
    }
    nodes
}

/// The pods of one item that still wait.
struct Stock {
    /// Those that a spread binds.
    bound: Shelf,
    free: Shelf,
}

impl Stock {
    fn new(occupancy: &Occupancy<'_>, lots: &[Lot]) -> Self {
        let is_bound = |lot: &&Lot| occupancy.relations.spreads_of(lot.kind.1, lot.kind.0).next().is_some();
        let (bound, free): (Vec<&Lot>, Vec<&Lot>) = lots.iter().partition(is_bound);
        Self { bound: Shelf::new(&bound), free: Shelf::new(&free) }
    }

    fn bound_share(&self) -> f64 {
        let (bound, free) = (self.bound.pods() as f64, self.free.pods() as f64);
        bound / (bound + free).max(1.0)
    }
}

/// Kinds of pod of one item.
struct Shelf {
    /// Each with how many pods it had at first; those that come next are the last ones.
    lots: Vec<(Vec<usize>, usize)>,
}

impl Shelf {
    fn new(lots: &[&Lot]) -> Self {
        Self { lots: lots.iter().map(|lot| (lot.pods.iter().rev().copied().collect(), lot.pods.len())).collect() }
    }

    fn pods(&self) -> usize {
        self.lots.iter().map(|(pods, _)| pods.len()).sum()
    }

    /// Puts up to so many on the node, first of the kinds of which most is left, as far as the node lets them on; how many.
    fn put(&mut self, occupancy: &mut Occupancy<'_>, node: usize, count: u32) -> u32 {
        if count == 0 {
            return 0;
        }
        let mut order: Vec<(f64, usize)> = Vec::with_capacity(self.lots.len());
        for (lot, (pods, first)) in self.lots.iter().enumerate().filter(|(_, (pods, _))| !pods.is_empty()) {
            order.push((pods.len() as f64 / *first as f64, lot));
        }
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut left = count;
        // By turns, so that many kinds share a node: pods of one kind exclude one another more often.
        loop {
            let before = left;
            order.retain(|(_, lot)| {
                let pods = &mut self.lots[*lot].0;
                let Some(&pod) = pods.last().filter(|_| left > 0) else { return false };
                let admitted = occupancy.wish(pod).is_some_and(|wish| occupancy.admits(&wish, node));
                if admitted {
                    occupancy.bind(pod, Some(node));
                    pods.pop();
                    left -= 1;
                }
                admitted
            });
            if left == 0 || left == before {
                return count - left;
            }
        }
    }
}

/// Finds places for pods that wait although there is room for their like: another of their like goes there, and they to
/// where that one was. Pods that a spread binds are left alone: they are even among themselves.
pub(super) fn swap_in(occupancy: &mut Occupancy<'_>, out_of_time: &dyn Fn() -> bool) {
    let mut tried = 0;
    let mut alike: BTreeMap<Vec<i64>, Vec<usize>> = BTreeMap::new();
    let is_free = |pod: &usize| {
        let state = &occupancy.pods[*pod];
        state.group.is_some() && occupancy.relations.spreads_of(state.template, state.group).next().is_none()
    };
    let waiting: Vec<usize> = occupancy.waiting().into_iter().filter(is_free).collect();
    for pod in &waiting {
        alike.insert(occupancy.pods[*pod].demand.to_vec(), Vec::new());
    }
    for (pod, state) in occupancy.pods.iter().enumerate() {
        if state.origin.is_none() && state.node.is_some() && is_free(&pod) {
            alike.entry(state.demand.to_vec()).and_modify(|pods| pods.push(pod));
        }
    }
    for pod in waiting {
        for &other in alike.get(&occupancy.pods[pod].demand.to_vec()).into_iter().flatten() {
            if tried >= MOST_SWAPS || out_of_time() {
                return;
            }
            tried += 1;
            if swap(occupancy, pod, other) {
                break;
            }
        }
    }
}

/// The pod takes the other's place, and the other one goes elsewhere on what stands; `false` where that cannot be had.
fn swap(occupancy: &mut Occupancy<'_>, pod: usize, other: usize) -> bool {
    let Some(place) = occupancy.pods[other].node else { return false };
    let mark = occupancy.mark();
    occupancy.bind(other, None);
    let fits = occupancy.wish(pod).is_some_and(|wish| occupancy.admits(&wish, place));
    if fits {
        occupancy.bind(pod, Some(place));
        let found = occupancy.wish(other).and_then(|wish| occupancy.best_node(&wish, |node| node != place));
        if let Some(node) = found {
            occupancy.bind(other, Some(node));
            return true;
        }
    }
    occupancy.roll_back(mark);
    false
}
