//! Stage 4, second half: nodes are emptied onto others, or swapped for cheaper ones, while that lowers the cost and the
//! limits on change allow it.

use super::instance::Standing;
use super::occupancy::{Occupancy, Wish};
use super::place::quota_left;
use super::round::Guide;

/// Empties and swaps nodes until nothing more is gained.
pub(super) fn consolidate(occupancy: &mut Occupancy<'_>, guide: &Guide, out_of_time: &dyn Fn() -> bool) {
    let offers = by_price(occupancy);
    loop {
        let mut gained = false;
        for node in candidates(occupancy, guide) {
            if out_of_time() {
                return;
            }
            // An earlier drain may have used the last of the budget.
            gained |=
                may_go(occupancy, node) && (empty(occupancy, node) || swap(occupancy, node, &offers, out_of_time));
        }
        if !gained {
            return;
        }
    }
}

/// Empties or swaps those of the nodes for which that pays, each looked at once: at most so many, those that save most
/// first.
pub(super) fn consolidate_some(
    occupancy: &mut Occupancy<'_>,
    guide: &Guide,
    nodes: impl IntoIterator<Item = usize>,
    most: usize,
) {
    let offers = by_price(occupancy);
    for node in in_order(occupancy, guide, nodes).into_iter().take(most) {
        if may_go(occupancy, node) && !empty(occupancy, node) {
            swap(occupancy, node, &offers, &|| false);
        }
    }
}

/// Open nodes that may go, those first that save most beyond what the room their pods take elsewhere is worth: drains
/// and moves are scarce, so they go where they pay.
fn candidates(occupancy: &Occupancy<'_>, guide: &Guide) -> Vec<usize> {
    in_order(occupancy, guide, 0..occupancy.nodes.len())
}

fn in_order(occupancy: &Occupancy<'_>, guide: &Guide, nodes: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut nodes: Vec<(f64, usize)> = nodes
        .into_iter()
        .filter(|n| may_go(occupancy, *n))
        .map(|n| {
            let worth: f64 = placed_pods(occupancy, n).into_iter().map(|p| guide.worth(occupancy, p)).sum();
            (saving(occupancy, n) - worth, n)
        })
        .collect();
    nodes.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    nodes.into_iter().map(|(_, n)| n).collect()
}

pub(super) fn may_go(occupancy: &Occupancy<'_>, node: usize) -> bool {
    let state = &occupancy.nodes[node];
    let site = &occupancy.instance.sites[state.site];
    state.open
        && state.preempted == 0
        && saving(occupancy, node) > 0.0
        && (state.bought || site.may_drain && occupancy.drained < occupancy.instance.limits.drains)
        && state.pods.iter().all(|p| !matches!(occupancy.pods[*p].standing, Standing::Fixed | Standing::Leaving))
}

/// What giving the node up saves an hour, moves apart.
pub(super) fn saving(occupancy: &Occupancy<'_>, node: usize) -> f64 {
    let state = &occupancy.nodes[node];
    let change = occupancy.instance.node_change_price();
    occupancy.instance.sites[state.site].price_per_hour + if state.bought { change } else { -change }
}

/// Moves every pod of the node elsewhere and gives the node up, if that costs less.
pub(super) fn empty(occupancy: &mut Occupancy<'_>, node: usize) -> bool {
    let worth = saving(occupancy, node);
    vacate(occupancy, node, worth, |state, wish| state.best_node(wish, |n| n != node))
}

/// Prototypes, the cheapest first.
fn by_price(occupancy: &Occupancy<'_>) -> Vec<usize> {
    let instance = occupancy.instance;
    let price = |site: usize| instance.sites[site].price_per_hour;
    let mut offers: Vec<usize> = (instance.standing..instance.sites.len()).collect();
    offers.sort_by(|a, b| price(*a).total_cmp(&price(*b)).then(a.cmp(b)));
    offers
}

/// Puts every pod of the node on a cheaper one bought for them, if that costs less.
fn swap(occupancy: &mut Occupancy<'_>, node: usize, offers: &[usize], out_of_time: &dyn Fn() -> bool) -> bool {
    let instance = occupancy.instance;
    let worth = saving(occupancy, node);
    let change = instance.node_change_price();
    let mut needed = vec![0_i64; instance.resources.len()];
    for pod in placed_pods(occupancy, node) {
        for (sum, amount) in needed.iter_mut().zip(occupancy.pods[pod].demand.iter()) {
            *sum += amount;
        }
    }
    for &site in offers {
        let facts = &instance.sites[site];
        if facts.price_per_hour + change >= worth || out_of_time() {
            return false;
        }
        let room = facts.allocatable.iter().zip(&facts.daemon_demand).map(|(a, d)| a - d);
        if needed.iter().zip(room).any(|(needed, room)| *needed > 0 && *needed > room) || !quota_left(occupancy, site) {
            continue;
        }
        let mark = occupancy.mark();
        let bought = occupancy.buy(site);
        if vacate(occupancy, node, worth - facts.price_per_hour - change, |state, wish| {
            state.admits(wish, bought).then_some(bought)
        }) {
            return true;
        }
        occupancy.roll_back(mark);
    }
    false
}

fn placed_pods(occupancy: &Occupancy<'_>, node: usize) -> Vec<usize> {
    let pods = occupancy.nodes[node].pods.iter().copied();
    let mut pods: Vec<usize> = pods.filter(|p| occupancy.pods[*p].standing != Standing::Daemon).collect();
    pods.sort_by(|a, b| {
        let size = |p: &usize| occupancy.size_of(&occupancy.pods[*p].demand);
        size(b).total_cmp(&size(a)).then(a.cmp(b))
    });
    pods
}

/// Moves every placed pod of the node to where it is sent and gives the node up; takes it all back unless the moves cost
/// less than `worth`, or if they leave a spread more uneven than it allows.
fn vacate(
    occupancy: &mut Occupancy<'_>,
    node: usize,
    worth: f64,
    target: impl Fn(&Occupancy<'_>, &Wish) -> Option<usize>,
) -> bool {
    let mark = occupancy.mark();
    let pods = placed_pods(occupancy, node);
    let skews = occupancy.skews(&pods);
    let mut left = worth;
    for &pod in &pods {
        let origin = occupancy.pods[pod].origin;
        occupancy.bind(pod, None);
        let found = occupancy.wish(pod).and_then(|wish| target(occupancy, &wish));
        let Some(target) = found else {
            occupancy.roll_back(mark);
            return false;
        };
        occupancy.bind(pod, Some(target));
        let price = occupancy.move_price(&occupancy.pods[pod]);
        left += if origin.is_some_and(|o| o != node) { price } else { 0.0 };
        left -= if origin.is_some_and(|o| o != target) { price } else { 0.0 };
        if left <= 1e-9 {
            occupancy.roll_back(mark);
            return false;
        }
    }
    occupancy.close(node);
    if occupancy.spoils(&skews) {
        occupancy.roll_back(mark);
        return false;
    }
    true
}
