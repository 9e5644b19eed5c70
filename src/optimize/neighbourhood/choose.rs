//! Which nodes are planned anew together.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::super::improve::Rotation;
use super::super::occupancy::Occupancy;
use super::super::place::quota_left;
use super::super::round::Guide;
use super::survey::Cut;

/// Open nodes that take pods of a core, for each node of it.
const RECEIVERS: usize = 1;

/// Offers a neighbourhood may buy one node of each of.
pub(super) const OFFERS: usize = 6;

/// So many neighbourhoods of cores of `size` nodes that have no node in common, beginning with number `first` of all.
///
/// Each second one is of nodes that are bought: they are there because pods found no room elsewhere.
pub(super) fn cuts(
    occupancy: &Occupancy<'_>,
    guide: &Guide,
    rotation: &mut Rotation,
    size: usize,
    (first, most): (usize, usize),
) -> Vec<Cut> {
    let mut left: BTreeSet<usize> =
        (0..occupancy.nodes.len()).filter(|n| occupancy.nodes[*n].open || !occupancy.nodes[*n].bought).collect();
    let changeable = changeable(occupancy);
    let mut cuts = Vec::new();
    let groups = groups_of(occupancy);
    let bought: Vec<usize> =
        (0..occupancy.nodes.len()).filter(|n| occupancy.nodes[*n].bought && occupancy.nodes[*n].open).collect();
    while cuts.len() < most && changeable.iter().any(|n| left.contains(n)) {
        let turn = rotation.partner(bought.len()).min(bought.len());
        let mut core: Vec<usize> = bought[turn..].iter().chain(&bought[..turn]).copied().collect();
        core.retain(|n| left.contains(n));
        core.truncate(size);
        let of_bought = !core.is_empty() && (first + cuts.len()).is_multiple_of(2);
        if of_bought {
            left.retain(|n| !core.contains(n));
        } else {
            core = other_core(occupancy, &groups, &changeable, rotation, size, &mut left);
        }
        let receivers = receivers(occupancy, rotation, RECEIVERS * size, &mut left);
        let offers = offers(occupancy, guide, rotation);
        cuts.push(Cut { core, receivers, offers });
    }
    cuts
}

/// Nodes whose pods could all leave, as far as their workloads' own limits go, those bought and those given back; all
/// where there are none.
pub(super) fn changeable(occupancy: &Occupancy<'_>) -> Vec<usize> {
    let instance = occupancy.instance;
    let mut at_home: Vec<BTreeMap<usize, u32>> = vec![BTreeMap::new(); instance.standing];
    for pod in &instance.pods {
        if let (Some(node), Some(group)) = (pod.node, pod.group) {
            *at_home[node].entry(group).or_insert(0) += 1;
        }
    }
    let may_leave = |(group, count): (&usize, &u32)| {
        let facts = &instance.groups[*group];
        let least = facts.options.iter().map(|o| o.replicas).min().unwrap_or(0);
        let surplus = (facts.pods.len() as u32).saturating_sub(least);
        instance.limits.group_moves[*group].is_none_or(|most| *count <= most + surplus)
    };
    let passes = |n: &usize| {
        let node = &occupancy.nodes[*n];
        let goes = |homes: &BTreeMap<usize, u32>| instance.sites[node.site].may_drain && homes.iter().all(may_leave);
        if node.bought { node.open } else { !node.open || at_home.get(*n).is_some_and(goes) }
    };
    let there = || (0..occupancy.nodes.len()).filter(|n| occupancy.nodes[*n].open || !occupancy.nodes[*n].bought);
    let found: Vec<usize> = there().filter(passes).collect();
    if found.is_empty() { there().collect() } else { found }
}

/// Groups with pods on each node, or at home there.
fn groups_of(occupancy: &Occupancy<'_>) -> Vec<BTreeSet<usize>> {
    let mut groups = vec![BTreeSet::new(); occupancy.nodes.len()];
    for pod in &occupancy.pods {
        let Some(group) = pod.group else { continue };
        for node in pod.node.into_iter().chain(pod.origin) {
            groups[node].insert(group);
        }
    }
    groups
}

/// The next node of the rotation, with those that share most workloads with it, because limits on moves bind them
/// together, those that go where it stays or stay where it goes, and others as they come.
fn other_core(
    occupancy: &Occupancy<'_>,
    groups: &[BTreeSet<usize>],
    changeable: &[usize],
    rotation: &mut Rotation,
    size: usize,
    left: &mut BTreeSet<usize>,
) -> Vec<usize> {
    let mut among: BTreeSet<usize> = changeable.iter().copied().filter(|n| left.contains(n)).collect();
    let Some(seed) = from(changeable[rotation.visit(changeable.len())], &among, |_| true) else { return Vec::new() };
    among.remove(&seed);
    let mut core = vec![seed];
    let offset = rotation.partner(occupancy.nodes.len());
    let turned = |n: usize| (n + occupancy.nodes.len() - offset) % occupancy.nodes.len();
    let mut related: Vec<(Reverse<usize>, usize, usize)> =
        among.iter().map(|n| (Reverse(groups[seed].intersection(&groups[*n]).count()), turned(*n), *n)).collect();
    related.sort_unstable();
    core.extend(related.into_iter().take((size - 1) / 2).map(|(.., n)| n));
    among.retain(|n| !core.contains(n));
    let stands = occupancy.nodes[seed].open;
    for turn in core.len()..size {
        let other = |n: usize| turn % 2 == 1 || occupancy.nodes[n].open != stands;
        let first = changeable[rotation.partner(changeable.len())];
        let Some(node) = from(first, &among, other).or_else(|| from(first, &among, |_| true)) else { break };
        among.remove(&node);
        core.push(node);
    }
    left.retain(|n| !core.contains(n));
    core.sort_unstable();
    core
}

/// The first of those left from there on that passes.
fn from(first: usize, left: &BTreeSet<usize>, passes: impl Fn(usize) -> bool) -> Option<usize> {
    left.range(first..).chain(left.range(..first)).copied().find(|n| passes(*n))
}

/// Open nodes with most room, by turns: half of them the roomiest, half as the rotation comes by.
fn receivers(
    occupancy: &Occupancy<'_>,
    rotation: &mut Rotation,
    most: usize,
    left: &mut BTreeSet<usize>,
) -> Vec<usize> {
    let mut open: Vec<(f64, usize)> =
        left.iter().filter(|n| occupancy.nodes[**n].open).map(|n| (occupancy.room_of(*n), *n)).collect();
    open.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut receivers: Vec<usize> = open.iter().take(most / 2).map(|(_, n)| *n).collect();
    left.retain(|n| !receivers.contains(n));
    while receivers.len() < most {
        let first = rotation.partner(occupancy.nodes.len());
        let Some(node) = from(first, left, |n| occupancy.nodes[n].open) else { break };
        left.remove(&node);
        receivers.push(node);
    }
    receivers
}

/// Prototypes of which one more may be bought: by turns of those the program buys any part of, and of all.
fn offers(occupancy: &Occupancy<'_>, guide: &Guide, rotation: &mut Rotation) -> Vec<usize> {
    let instance = occupancy.instance;
    let all: Vec<usize> = (instance.standing..instance.sites.len()).filter(|s| quota_left(occupancy, *s)).collect();
    let promising: Vec<usize> = guide.promising.iter().copied().filter(|s| quota_left(occupancy, *s)).collect();
    let mut offers: BTreeSet<usize> = BTreeSet::new();
    for turn in 0..OFFERS {
        let among = if turn % 2 == 0 && !promising.is_empty() { &promising } else { &all };
        if let Some(site) = among.get(rotation.partner(among.len())) {
            offers.insert(*site);
        }
    }
    offers.into_iter().collect()
}
