//! Pods that only make sense together: where too few of a gang find room, none of them comes.

use std::collections::BTreeSet;

use super::occupancy::Occupancy;
use super::place::close_empty;

/// Takes back the pods of gangs that are not complete, and gives up the nodes bought for them; whether there were any.
pub(super) fn disband(occupancy: &mut Occupancy<'_>) -> bool {
    let incomplete: Vec<usize> = occupancy.incomplete_gangs().collect();
    for &gang in &incomplete {
        for pod in 0..occupancy.pods.len() {
            let state = &occupancy.pods[pod];
            let member = occupancy.relations.templates[state.template].gang == Some(gang);
            if !member || state.node.is_none() || state.node == state.origin {
                continue;
            }
            // Who has a node of its own goes back there; if that is gone, the check refuses the plan.
            let home = state.origin.filter(|node| occupancy.nodes[*node].open);
            if state.origin.is_none() || home.is_some() {
                occupancy.bind(pod, home);
            }
        }
        occupancy.give_up_gang(gang);
    }
    if !incomplete.is_empty() {
        let bought: BTreeSet<usize> = (0..occupancy.nodes.len()).filter(|n| occupancy.nodes[*n].bought).collect();
        close_empty(occupancy, &bought);
    }
    !incomplete.is_empty()
}
