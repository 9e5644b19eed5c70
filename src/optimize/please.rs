//! Stage 4, last part: pods go where their preferences are met, on the nodes that are there. Which nodes there are is
//! decided before: a preference is worth little beside a node.

use super::instance::Standing;
use super::occupancy::Occupancy;

/// Price an hour below which nothing is gained.
const LEAST_GAIN: f64 = 1e-12;

/// Nodes looked at in all. A count and not a time, so that equal inputs give equal answers.
const MOST_LOOKS: usize = 4_000_000;

/// Moves pods with unmet preferences to nodes that meet more of them, where that costs less than it saves; takes all of it
/// back if other pods lose more by it.
pub(super) fn please(occupancy: &mut Occupancy<'_>, out_of_time: &dyn Fn() -> bool) {
    if occupancy.instance.preference_price <= 0.0 {
        return;
    }
    let (mark, before) = (occupancy.mark(), occupancy.cost().total());
    let mut looks = MOST_LOOKS;
    for pod in 0..occupancy.pods.len() {
        if looks == 0 || out_of_time() {
            break;
        }
        let state = &occupancy.pods[pod];
        if occupancy.took_room(state) {
            continue;
        }
        if let (Some(node), Standing::Movable | Standing::Waiting) = (state.node, state.standing) {
            suit(occupancy, pod, node, &mut looks);
        }
    }
    if occupancy.mark() > mark && occupancy.cost().total() > before - LEAST_GAIN {
        occupancy.roll_back(mark);
    }
}

/// Moves one pod to the node that suits it best, if that pays.
fn suit(occupancy: &mut Occupancy<'_>, pod: usize, node: usize, looks: &mut usize) {
    let mark = occupancy.mark();
    let skews = occupancy.skews(&[pod]);
    occupancy.bind(pod, None);
    let found = better(occupancy, pod, node, looks);
    if let Some(better) = found {
        occupancy.bind(pod, Some(better));
        if !occupancy.spoils(&skews) {
            return;
        }
    }
    occupancy.roll_back(mark);
}

/// The node that costs the pod, which has none at the moment, least in preferences and moves, if it costs less there
/// than on the node it was on.
fn better(occupancy: &Occupancy<'_>, pod: usize, node: usize, looks: &mut usize) -> Option<usize> {
    let preference = occupancy.preference(pod)?;
    let state = &occupancy.pods[pod];
    let move_price = if state.origin.is_some() { occupancy.move_price(state) } else { 0.0 };
    let price = |at: usize| {
        let moved = if state.origin == Some(at) { 0.0 } else { move_price };
        occupancy.preference_on(&preference, at) + moved
    };
    let mut least = price(node) - LEAST_GAIN;
    if least <= 0.0 {
        return None;
    }
    let wish = occupancy.wish(pod)?;
    let mut best = None;
    for other in (0..occupancy.nodes.len()).filter(|other| *other != node && occupancy.nodes[*other].open) {
        *looks = looks.saturating_sub(1);
        let there = price(other);
        if there < least && occupancy.admits(&wish, other) {
            (least, best) = (there, Some(other));
        }
        if least <= 0.0 || *looks == 0 {
            break;
        }
    }
    best
}
