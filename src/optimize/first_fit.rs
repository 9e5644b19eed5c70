//! The plainest plan there is: every pod that waits goes to the first node that takes it, and else to a new node of
//! the first offer that holds it. Nothing that is handed out may cost more.

use std::collections::BTreeMap;

use super::occupancy::{Occupancy, Wish};
use super::place::quota_left;

/// Where the last pod of a kind went, by (group, template), counted in the order in which nodes came; `None` where there
/// was no room for it.
type Cursors = BTreeMap<(Option<usize>, usize), Option<usize>>;

/// Places what waits in the order of the pods.
pub(super) fn first_fit(occupancy: &mut Occupancy<'_>) {
    first_fit_below(occupancy, f64::INFINITY);
}

/// The same, given up as soon as what stands, is bought or stays without a node costs `most` an hour, wherever the pods
/// that are left go; whether it was ended.
///
/// Preferences are left out of that sum, for a pod that comes may meet those of others; no other price falls by one more.
pub(super) fn first_fit_below(occupancy: &mut Occupancy<'_>, most: f64) -> bool {
    let cost = occupancy.cost();
    let mut spent = cost.nodes + cost.change + cost.risk;
    // A node given up again is bought again under its number, which says nothing of when it came.
    let mut nodes: Vec<usize> = (0..occupancy.nodes.len()).filter(|node| occupancy.nodes[*node].open).collect();
    let mut cursors = Cursors::new();
    for pod in occupancy.waiting() {
        if spent >= most {
            return false;
        }
        let state = &occupancy.pods[pod];
        if state.group.is_none() {
            continue;
        }
        let kind = (state.group, state.template);
        let unplaced = occupancy.instance.unplaced_price(state.template);
        let Some(cursor) = cursors.get(&kind).copied().unwrap_or(Some(0)) else {
            spent += unplaced;
            continue;
        };
        let mut place = occupancy.wish(pod).and_then(|wish| first_place(occupancy, &nodes, &wish, cursor));
        if place.is_none() {
            let bought = first_offer(occupancy, pod);
            spent += bought.map_or(unplaced, |node| price_of_new(occupancy, node));
            place = bought.map(|_| nodes.len());
            nodes.extend(bought);
        }
        occupancy.bind(pod, place.map(|place| nodes[place]));
        cursors.insert(kind, place);
    }
    true
}

fn price_of_new(occupancy: &Occupancy<'_>, node: usize) -> f64 {
    let instance = occupancy.instance;
    instance.sites[occupancy.nodes[node].site].price_per_hour + instance.node_change_price()
}

/// The first node by number that takes a pod.
pub(super) fn first_node(occupancy: &Occupancy<'_>, wish: &Wish) -> Option<usize> {
    (0..occupancy.nodes.len()).find(|node| occupancy.nodes[*node].open && occupancy.admits(wish, *node))
}

/// Nodes only fill up, so the next pod of a kind need not look at those before its like; spread alone, which lets a
/// domain in again once the others have caught up, makes it look again.
fn first_place(occupancy: &Occupancy<'_>, nodes: &[usize], wish: &Wish, cursor: usize) -> Option<usize> {
    let admits = |place: &usize| occupancy.admits(wish, nodes[*place]);
    let again = if wish.is_spread() { 0..cursor } else { 0..0 };
    (cursor..nodes.len()).find(admits).or_else(|| again.into_iter().find(admits))
}

/// A new node of the first offer that takes the pod.
pub(super) fn first_offer(occupancy: &mut Occupancy<'_>, pod: usize) -> Option<usize> {
    let instance = occupancy.instance;
    (instance.standing..instance.sites.len()).find_map(|site| {
        if !quota_left(occupancy, site) {
            return None;
        }
        let mark = occupancy.mark();
        let node = occupancy.buy(site);
        let taken = occupancy.wish(pod).is_some_and(|wish| occupancy.admits(&wish, node));
        if !taken {
            occupancy.roll_back(mark);
        }
        taken.then_some(node)
    })
}
