//! Stage 4, without end: nodes given back stand again and others go in their place, and workloads take other steps of
//! their menus, as long as that lowers the cost. The order rotates, so that a short deadline starves no part of the
//! cluster twice.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::consolidate::{empty, may_go, saving};
use super::incumbent::MEANINGFUL;
use super::instance::Standing;
use super::occupancy::{Occupancy, PodState};
use super::round::Guide;

/// Nodes tried in place of one that stands again.
const TRIED: usize = 24;

/// A seeded order that visits everything once a round: steps of a number that has no divisor in common with the length.
///
/// Partners of what is visited come in an order of their own, so that however many of them are asked for, no visit is
/// passed over.
pub(super) struct Rotation {
    seed: u64,
    visits: u64,
    partners: u64,
}

impl Rotation {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, visits: 0, partners: 0 }
    }

    /// The next to visit of so many.
    pub(super) fn visit(&mut self, length: usize) -> usize {
        self.visits += 1;
        self.turn(self.visits, length)
    }

    /// The next of so many to go with what is visited.
    pub(super) fn partner(&mut self, length: usize) -> usize {
        self.partners += 1;
        self.turn(self.partners, length)
    }

    fn turn(&self, number: u64, length: usize) -> usize {
        let length = length.max(1) as u64;
        let wanted = length / 2 + self.seed % 1009 + 1;
        let step = (wanted..wanted + length).find(|step| greatest_common_divisor(*step, length) == 1).unwrap_or(1);
        (number.wrapping_mul(step) % length) as usize
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// So many changes, each kept only if it lowers the cost; `false` once a whole rotation has changed nothing.
pub(super) fn improve(
    occupancy: &mut Occupancy<'_>,
    guide: &Guide,
    rotation: &mut Rotation,
    most_rounds: usize,
    out_of_time: &dyn Fn() -> bool,
) -> bool {
    send_home(occupancy);
    let (mut idle, mut cost) = (0, occupancy.cost().total());
    for _ in 0..most_rounds {
        let span = occupancy.nodes.len() + occupancy.instance.groups.len();
        if out_of_time() || span == 0 || idle > span {
            return false;
        }
        let turn = rotation.visit(span);
        let mark = occupancy.mark();
        let whole = match turn.checked_sub(occupancy.nodes.len()) {
            None if occupancy.nodes[turn].open => give_back(occupancy, turn, guide, rotation),
            None => trade(occupancy, turn, guide, rotation),
            Some(group) => other_step(occupancy, group, rotation),
        };
        let after = occupancy.cost().total();
        if whole && after < cost - MEANINGFUL {
            (idle, cost) = (0, after);
        } else {
            occupancy.roll_back(mark);
            idle += 1;
        }
    }
    true
}

/// Pods that moved go back where their node stands and has room: moves are scarce.
fn send_home(occupancy: &mut Occupancy<'_>) {
    for pod in 0..occupancy.pods.len() {
        go_home(occupancy, pod);
    }
}

fn go_home(occupancy: &mut Occupancy<'_>, pod: usize) -> bool {
    let state = &occupancy.pods[pod];
    let (Some(origin), Some(node)) = (state.origin, state.node) else { return false };
    if origin == node || !occupancy.nodes[origin].open || !occupancy.has_room(pod, origin) {
        return false;
    }
    let mark = occupancy.mark();
    occupancy.bind(pod, None);
    let admitted = occupancy.wish(pod).is_some_and(|wish| occupancy.admits(&wish, origin));
    if admitted {
        occupancy.bind(pod, Some(origin));
    } else {
        occupancy.roll_back(mark);
    }
    admitted
}

/// The node is emptied; where the moves do not suffice, another node that was given back stands again first.
fn give_back(occupancy: &mut Occupancy<'_>, node: usize, guide: &Guide, rotation: &mut Rotation) -> bool {
    if may_go(occupancy, node) && !empty(occupancy, node) {
        let closed: Vec<usize> = (0..occupancy.instance.standing).filter(|n| !occupancy.nodes[*n].open).collect();
        if closed.is_empty() {
            return false;
        }
        let again = closed[rotation.partner(closed.len())];
        stand_again(occupancy, again);
        if may_go(occupancy, node) {
            empty(occupancy, node);
        }
        empty_some(occupancy, again, guide, rotation);
    }
    true
}

/// The node stands again, its pods come back, and others are emptied with the moves and the room that frees.
fn trade(occupancy: &mut Occupancy<'_>, node: usize, guide: &Guide, rotation: &mut Rotation) -> bool {
    if occupancy.nodes[node].bought {
        return false;
    }
    stand_again(occupancy, node);
    empty_some(occupancy, node, guide, rotation);
    true
}

fn stand_again(occupancy: &mut Occupancy<'_>, node: usize) {
    occupancy.reopen(node);
    for pod in 0..occupancy.pods.len() {
        if occupancy.pods[pod].origin == Some(node) {
            go_home(occupancy, pod);
        }
    }
}

/// Empties nodes that pay for it: the next of the rotation, those first that save most beyond their pods' worth.
fn empty_some(occupancy: &mut Occupancy<'_>, but: usize, guide: &Guide, rotation: &mut Rotation) {
    let nodes = occupancy.nodes.len();
    let first = rotation.partner(nodes);
    let mut tried: Vec<(f64, usize)> = (0..nodes)
        .map(|offset| (first + offset) % nodes)
        .filter(|n| *n != but && may_go(occupancy, *n))
        .take(TRIED)
        .map(|n| {
            let pods = occupancy.nodes[n].pods.iter().filter(|p| occupancy.pods[**p].standing != Standing::Daemon);
            (saving(occupancy, n) - pods.map(|p| guide.worth(occupancy, *p)).sum::<f64>(), n)
        })
        .collect();
    tried.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, node) in tried {
        if may_go(occupancy, node) {
            empty(occupancy, node);
        }
    }
}

/// The group takes another option of the same size: its new pods go where there is room; with fewer pods, the nodes they
/// stood on may go. `false` where the option cannot be had.
fn other_step(occupancy: &mut Occupancy<'_>, group: usize, rotation: &mut Rotation) -> bool {
    let facts = &occupancy.instance.groups[group];
    let now = occupancy.choices[group];
    let others: Vec<usize> =
        (0..facts.options.len()).filter(|o| *o != now && facts.options[*o].size == facts.options[now].size).collect();
    if others.is_empty() {
        return false;
    }
    let option = others[rotation.partner(others.len())];
    let (before, after) = (facts.options[now].replicas, facts.options[option].replicas);
    // A controller takes pods that wait before any other.
    if after < before && occupancy.has_preempted(group) {
        return false;
    }
    occupancy.choose(group, option);
    if after > before {
        return (before..after).all(|_| add(occupancy, group));
    }
    let left: Vec<usize> = (after..before).map_while(|_| take_away(occupancy, group)).collect();
    if left.len() < (before - after) as usize {
        return false;
    }
    for node in left {
        if may_go(occupancy, node) {
            empty(occupancy, node);
        }
    }
    true
}

/// One pod more of the group: one that was to go, preferably where its node stands, before any new one. `false` where it
/// finds no room.
fn add(occupancy: &mut Occupancy<'_>, group: usize) -> bool {
    let parked = (0..occupancy.pods.len())
        .filter(|p| occupancy.pods[*p].group == Some(group) && occupancy.pods[*p].removed)
        .min_by_key(|p| {
            let pod = &occupancy.pods[*p];
            (pod.existing.is_none(), pod.origin.is_some_and(|o| !occupancy.nodes[o].open), *p)
        });
    let Some(pod) = parked.or_else(|| push(occupancy, group)) else { return false };
    occupancy.set_removed(pod, false);
    let home = occupancy.pods[pod].origin;
    let node = occupancy.wish(pod).and_then(|wish| match home {
        Some(home) if occupancy.admits(&wish, home) => Some(home),
        _ => occupancy.best_node(&wish, |_| true),
    });
    occupancy.bind(pod, node);
    node.is_some()
}

/// A pod to come more of the group, not needed yet.
pub(super) fn push(occupancy: &mut Occupancy<'_>, group: usize) -> Option<usize> {
    let instance = occupancy.instance;
    let facts = &instance.groups[group];
    let template = facts.template?;
    let size = occupancy.choice(group)?.size;
    let namespace = facts.id.namespace.as_str();
    let exists = instance.snapshot.pods.iter().filter(|p| p.namespace == namespace).map(|p| p.name.as_str());
    let to_come = occupancy.pods.iter().filter(|p| p.group == Some(group)).map(|p| &*p.name);
    let taken: BTreeSet<&str> = exists.chain(to_come).collect();
    let mut names = (0..=taken.len()).map(|number| format!("{}-new-{}", facts.id.name, number + 1));
    let name = names.find(|name| !taken.contains(name.as_str()))?;
    let pod = PodState::to_come(instance, group, (template, size), name);
    occupancy.push_pod(PodState { removed: true, ..pod });
    Some(occupancy.pods.len() - 1)
}

/// One pod less of the group: one that would be new, else one that moved, else the one on the emptiest node. Where
/// controllers choose themselves, or take unready pods first, nothing is taken away.
fn take_away(occupancy: &mut Occupancy<'_>, group: usize) -> Option<usize> {
    let instance = occupancy.instance;
    let facts = &instance.groups[group];
    let free = |pod: &PodState| match pod.existing {
        None => true,
        Some(p) => {
            let all_alike = facts.pods.iter().all(|q| {
                let (a, b) = (&instance.snapshot.pods[*q], &instance.snapshot.pods[p]);
                a.ready == b.ready && a.deletion_cost == b.deletion_cost
            });
            pod.standing == Standing::Movable && all_alike && facts.id.pod_ordinal(&pod.name).is_none()
        }
    };
    let (_, pod) = (0..occupancy.pods.len())
        .filter(|p| {
            let pod = &occupancy.pods[*p];
            pod.group == Some(group)
                && pod.node.is_some()
                && !pod.removed
                && free(pod)
                && occupancy.gang_can_spare(pod.template)
        })
        .map(|p| {
            let pod = &occupancy.pods[p];
            let others = pod.node.map_or(0, |n| occupancy.nodes[n].pods.len());
            let crowd = Reverse(occupancy.pods_in_its_domains(p));
            ((pod.existing.is_some(), crowd, pod.origin == pod.node, others), p)
        })
        .min()?;
    let node = occupancy.pods[pod].node?;
    occupancy.bind(pod, None);
    occupancy.set_removed(pod, true);
    Some(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_comes_by_everything_once_a_round() {
        for (seed, length) in [(1, 1), (1, 2), (7, 30), (1008, 97), (u64::MAX, 1609)] {
            let mut rotation = Rotation::new(seed);
            let seen: BTreeSet<usize> = (0..length)
                .map(|round| {
                    (0..round % 3).for_each(|_| _ = rotation.partner(length + round));
                    rotation.visit(length)
                })
                .collect();
            assert_eq!(seen.len(), length, "seed {seed}, length {length}");
        }
    }
}
