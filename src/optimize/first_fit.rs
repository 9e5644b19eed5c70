//! The plainest plan there is: every pod that waits goes to the first node that takes it, and else to a new node of
//! the first offer that holds it. Nothing that is handed out may cost more.

use std::collections::BTreeMap;

use super::occupancy::{Occupancy, Wish};
use super::place::quota_left;

/// Where the last pod of a kind went, by (group, template); `None` where there was no room for it.
type Cursors = BTreeMap<(Option<usize>, usize), Option<usize>>;

/// Places what waits in the order of the pods.
pub(super) fn first_fit(occupancy: &mut Occupancy<'_>) {
    let mut cursors = Cursors::new();
    for pod in occupancy.waiting() {
        let state = &occupancy.pods[pod];
        if state.group.is_none() {
            continue;
        }
        let kind = (state.group, state.template);
        let Some(cursor) = cursors.get(&kind).copied().unwrap_or(Some(0)) else { continue };
        let node = occupancy.wish(pod).and_then(|wish| first_node(occupancy, &wish, cursor));
        let node = node.or_else(|| first_offer(occupancy, pod));
        occupancy.bind(pod, node);
        cursors.insert(kind, node);
    }
}

/// Nodes only fill up, so the next pod of a kind need not look at those before its like; spread alone, which lets a
/// domain in again once the others have caught up, makes it look again.
pub(super) fn first_node(occupancy: &Occupancy<'_>, wish: &Wish, cursor: usize) -> Option<usize> {
    let admits = |node: &usize| occupancy.nodes[*node].open && occupancy.admits(wish, *node);
    let again = if wish.is_spread() { 0..cursor } else { 0..0 };
    (cursor..occupancy.nodes.len()).find(admits).or_else(|| again.into_iter().find(admits))
}

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
