//! Rules that do not hold: pods are taken off where they break them, and offered anew.

use super::instance::Standing;
use super::occupancy::{Occupancy, Wish};
use super::place::quota_left;

/// Moves running pods, inside the budgets, to where the rules that hold for running pods too are kept: the policy's
/// spread, spot share and survival of a zone, and taints that evict. What cannot be mended stays as it is.
pub(super) fn mend(occupancy: &mut Occupancy<'_>) {
    mend_some(occupancy, 0..occupancy.pods.len());
}

/// The same for these pods only.
pub(super) fn mend_some(occupancy: &mut Occupancy<'_>, pods: impl IntoIterator<Item = usize>) {
    for pod in pods {
        let Some(node) = occupancy.pods[pod].node else { continue };
        if occupancy.pods[pod].standing == Standing::Movable && occupancy.offends(pod, node) {
            relocate(occupancy, pod, node);
        }
    }
}

/// Moves the pod to the fullest node that takes it, or to the cheapest that can be bought for it.
fn relocate(occupancy: &mut Occupancy<'_>, pod: usize, node: usize) {
    let mark = occupancy.mark();
    occupancy.bind(pod, None);
    let Some(wish) = occupancy.wish(pod) else {
        occupancy.roll_back(mark);
        return;
    };
    let found = occupancy.best_node(&wish, |n| n != node).or_else(|| buy_for(occupancy, &wish));
    match found {
        Some(to) => occupancy.bind(pod, Some(to)),
        None => occupancy.roll_back(mark),
    }
}

fn buy_for(occupancy: &mut Occupancy<'_>, wish: &Wish) -> Option<usize> {
    let instance = occupancy.instance;
    let mut sites: Vec<usize> = (instance.standing..instance.sites.len()).collect();
    let price = |site: usize| instance.sites[site].price_per_hour;
    sites.sort_by(|a, b| price(*a).total_cmp(&price(*b)).then(a.cmp(b)));
    sites.into_iter().find_map(|site| {
        if !quota_left(occupancy, site) {
            return None;
        }
        let mark = occupancy.mark();
        let node = occupancy.buy(site);
        let takes = occupancy.admits(wish, node);
        if !takes {
            occupancy.roll_back(mark);
        }
        takes.then_some(node)
    })
}

/// Takes pods off that came where their own spread does not hold any more; whether there were any.
pub(super) fn take_back_uneven(occupancy: &mut Occupancy<'_>) -> bool {
    let mut any = false;
    for pod in 0..occupancy.pods.len() {
        let state = &occupancy.pods[pod];
        let Some(node) = state.node.filter(|node| state.origin.is_none_or(|origin| origin != *node)) else { continue };
        if occupancy.is_uneven(pod, node) {
            // Where it has a node of its own it goes back there.
            let origin = occupancy.pods[pod].origin;
            occupancy.bind(pod, origin.filter(|node| occupancy.nodes[*node].open));
            any = true;
        }
    }
    any
}
