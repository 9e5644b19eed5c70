//! Stage 4 from the program's plan on: nodes it gives back are emptied, and pods go to the pools where it has them.

use std::collections::{BTreeMap, BTreeSet};

use super::fill::{Lots, fill};
use super::instance::{Choice, Instance, Standing};
use super::mend::take_back_uneven;
use super::occupancy::Occupancy;
use super::place::{Kind, close_empty, in_order, kind, quota_left};
use super::pools::Pool;
use super::round::Guide;
use super::sites::Site;

/// Part of a pod that a pool must still be short of to be given one more.
const LEAST_SHARE: f64 = 0.2;

/// How nodes get the pods that the guide has for their pool. Neither way always leaves fewer pods over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filling {
    /// The largest pod first, each to the node that it leaves fullest.
    ByPod,
    /// Node by node, each with the pods that fill it best, and then what is left pod by pod.
    ByNode,
}

/// Does what the guide says as far as limits on change and single nodes let it. Some pods may be left without a node.
///
/// A workload that shrinks loses pods on nodes that go; `evenly` only in place of others of the same zone where its pods
/// are spread, which costs moves but never leaves zones uneven.
pub(super) fn follow(occupancy: &mut Occupancy<'_>, pools: &[Pool], guide: &Guide, (evenly, filling): (bool, Filling)) {
    let drained: BTreeSet<usize> = guide.drained.iter().copied().collect();
    remove_from(occupancy, &drained, evenly);
    let mut allowance = Allowance::new(occupancy);
    for &node in &guide.drained {
        clear(occupancy, node, &mut allowance);
    }
    let bought = buy_planned(occupancy, guide);
    place_by_share(occupancy, pools, guide, filling);
    close_empty(occupancy, &bought);
    step_back(occupancy);
}

/// Buys the whole nodes that the guide says.
fn buy_planned(occupancy: &mut Occupancy<'_>, guide: &Guide) -> BTreeSet<usize> {
    let mut bought = BTreeSet::new();
    for (&site, &wanted) in &guide.nodes {
        bought.extend((0..wanted).map_while(|_| quota_left(occupancy, site).then(|| occupancy.buy(site))));
    }
    bought
}

/// Has the pods that a shrinking workload loses be those on nodes that go, where another of their like was to be lost.
fn remove_from(occupancy: &mut Occupancy<'_>, drained: &BTreeSet<usize>, evenly: bool) {
    let instance = occupancy.instance;
    for (index, group) in instance.groups.iter().enumerate() {
        let ready = |p: usize| instance.snapshot.pods[p].ready;
        let free_to_choose = |p: &usize| {
            instance.pods[*p].standing == Standing::Movable
                && group.id.pod_ordinal(&instance.snapshot.pods[*p].name).is_none()
        };
        let spread = occupancy.relations.group_spread[index].is_some()
            || group.templates.iter().any(|t| !occupancy.relations.templates[*t].spread.is_empty());
        let zone =
            |p: usize| instance.pods[p].node.filter(|_| evenly && spread).map(|n| instance.sites[n].zone.as_str());
        let goes = |p: usize| instance.pods[p].node.is_some_and(|n| drained.contains(&n));
        let pods: Vec<usize> = group.pods.iter().copied().filter(free_to_choose).collect();
        let mut kept_back =
            pods.iter().copied().filter(|p| goes(*p) && !occupancy.pods[*p].removed).collect::<Vec<_>>();
        for pod in pods {
            if !occupancy.pods[pod].removed || goes(pod) {
                continue;
            }
            let same = |p: &usize| {
                let (a, b) = (&instance.snapshot.pods[*p], &instance.snapshot.pods[pod]);
                ready(*p) == ready(pod) && a.deletion_cost == b.deletion_cost && zone(*p) == zone(pod)
            };
            let Some(position) = kept_back.iter().position(same) else { continue };
            let instead = kept_back.swap_remove(position);
            occupancy.bind(instead, None);
            occupancy.set_removed(instead, true);
            occupancy.set_removed(pod, false);
            occupancy.bind(pod, occupancy.pods[pod].origin);
        }
    }
}

/// What may still move, pods that are about to counted.
#[derive(Clone)]
struct Allowance {
    moves: u32,
    groups: Vec<Option<u32>>,
    budgets: Vec<u32>,
}

impl Allowance {
    fn new(occupancy: &Occupancy<'_>) -> Self {
        let limits = &occupancy.instance.limits;
        let mut allowance = Self {
            moves: limits.moves,
            groups: limits.group_moves.clone(),
            budgets: limits.budgets.iter().map(|b| b.moves).collect(),
        };
        for pod in 0..occupancy.pods.len() {
            let state = &occupancy.pods[pod];
            if state.origin.is_some() && state.node.is_some() && state.node != state.origin {
                allowance.take(occupancy.instance, state.group, state.template);
            }
        }
        allowance
    }

    /// Counts one more move; `false` where none is left, and nothing is counted.
    fn take(&mut self, instance: &Instance<'_>, group: Option<usize>, template: usize) -> bool {
        let budgets = instance.limits.budgets_of(template);
        let left = self.moves > 0
            && group.is_some_and(|g| self.groups[g] != Some(0))
            && budgets.iter().all(|b| self.budgets[*b] > 0);
        if left {
            self.moves -= 1;
            if let Some(most) = group.and_then(|g| self.groups[g].as_mut()) {
                *most -= 1;
            }
            for budget in budgets {
                self.budgets[*budget] -= 1;
            }
        }
        left
    }
}

/// Takes every pod off the node and gives it up, if all of them may move.
fn clear(occupancy: &mut Occupancy<'_>, node: usize, allowance: &mut Allowance) {
    let instance = occupancy.instance;
    let state = &occupancy.nodes[node];
    let site = &instance.sites[state.site];
    let may_close = state.bought || site.may_drain && occupancy.drained < instance.limits.drains;
    if !state.open || !may_close {
        return;
    }
    let before = allowance.clone();
    let pods: Vec<usize> =
        state.pods.iter().copied().filter(|p| occupancy.pods[*p].standing != Standing::Daemon).collect();
    let may_go = |pod: &usize| {
        let pod = &occupancy.pods[*pod];
        match (pod.standing, pod.origin) {
            (Standing::Movable, Some(origin)) if origin == node => allowance.take(instance, pod.group, pod.template),
            (Standing::Movable | Standing::Waiting, _) => true,
            _ => false,
        }
    };
    if pods.iter().all(may_go) {
        for pod in pods {
            occupancy.bind(pod, None);
        }
        occupancy.close(node);
    } else {
        *allowance = before;
    }
}

/// Puts what waits on the pools that are short of it, and else wherever there is room.
fn place_by_share(occupancy: &mut Occupancy<'_>, pools: &[Pool], guide: &Guide, filling: Filling) {
    let instance = occupancy.instance;
    let mut pool_of = vec![usize::MAX; instance.sites.len()];
    for (index, pool) in pools.iter().enumerate() {
        for site in pool.nodes.iter().copied().chain(pool.purchasable.then_some(pool.site)) {
            pool_of[site] = pool.joins.unwrap_or(index);
        }
    }
    let mut short: BTreeMap<usize, BTreeMap<usize, f64>> = BTreeMap::new();
    for (&(group, pool), share) in &guide.shares {
        short.entry(group).or_default().insert(pool, *share);
    }
    for pod in &occupancy.pods {
        if let (Some(group), Some(node)) = (pod.group, pod.node) {
            let pool = pool_of[occupancy.nodes[node].site];
            *short.entry(group).or_default().entry(pool).or_insert(0.0) -= 1.0;
        }
    }
    if filling == Filling::ByNode {
        fill_pools(occupancy, &pool_of, &mut short);
    }
    for pod in in_order(occupancy) {
        let Some(short) = occupancy.pods[pod].group.and_then(|g| short.get_mut(&g)) else { continue };
        let Some(wish) = occupancy.wish(pod) else { continue };
        let mut order: Vec<(f64, usize)> =
            short.iter().filter(|(_, s)| **s > LEAST_SHARE).map(|(pool, share)| (*share, *pool)).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let found = order.into_iter().find_map(|(_, pool)| {
            let node = occupancy.best_node(&wish, |n| pool_of[occupancy.nodes[n].site] == pool)?;
            Some((pool, node))
        });
        // Where no pool that is short of it takes it, it goes wherever there is room, before smaller ones fill that.
        let found = found.or_else(|| {
            let node = occupancy.best_node(&wish, |_| true)?;
            Some((pool_of[occupancy.nodes[node].site], node))
        });
        if let Some((pool, node)) = found {
            occupancy.bind(pod, Some(node));
            *short.entry(pool).or_insert(0.0) -= 1.0;
        }
    }
}

/// Fills the nodes of each pool with pods that it is short of, then all nodes with what waits.
fn fill_pools(occupancy: &mut Occupancy<'_>, pool_of: &[usize], short: &mut BTreeMap<usize, BTreeMap<usize, f64>>) {
    let mut lots = Lots::new();
    for pod in in_order(occupancy).into_iter().rev() {
        lots.entry(kind(occupancy, pod)).or_default().push(pod);
    }
    let mut nodes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (node, state) in occupancy.nodes.iter().enumerate().filter(|(_, state)| state.open) {
        nodes.entry(pool_of[state.site]).or_default().push(node);
    }
    // Zones are filled one after the other, so counts are uneven until the last is.
    let even = occupancy.keeps_even();
    if even {
        occupancy.aim_even(true);
    }
    for (pool, nodes) in &nodes {
        let mut own = Lots::new();
        let mut before: BTreeMap<Kind, usize> = BTreeMap::new();
        for (kind, pods) in &mut lots {
            let wanted = kind.0.and_then(|group| short.get(&group)?.get(pool)).map_or(0.0, |share| share.round());
            let given = pods.len() - pods.len().min(wanted.max(0.0) as usize);
            before.insert(*kind, pods.len() - given);
            own.insert(*kind, pods.split_off(given));
        }
        fill(occupancy, nodes, &mut own);
        for (kind, left) in own {
            if let Some(share) = kind.0.and_then(|group| short.get_mut(&group)?.get_mut(pool)) {
                *share -= (before[&kind] - left.len()) as f64;
            }
            lots.entry(kind).or_default().extend(left);
        }
    }
    let all: Vec<usize> = nodes.into_values().flatten().collect();
    fill(occupancy, &all, &mut lots);
    if even {
        occupancy.aim_even(false);
        take_back_uneven(occupancy);
    }
}

/// Workloads of which pods to come found no room take a step with fewer of them, where its risk costs less than the room
/// they would take of the cheapest offer.
fn step_back(occupancy: &mut Occupancy<'_>) {
    let instance = occupancy.instance;
    let mut to_come: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for pod in in_order(occupancy) {
        let state = &occupancy.pods[pod];
        if let (Some(group), None) = (state.group, state.existing) {
            to_come.entry(group).or_default().push(pod);
        }
    }
    for (group, mut pods) in to_come {
        let facts = &instance.groups[group];
        let now = facts.options[occupancy.choices[group]];
        let room = cheapest_room(occupancy, pods[0]);
        let cost = |option: &Choice| option.risk_cost_per_hour - f64::from(now.replicas - option.replicas) * room;
        let fewer = facts.options.iter().enumerate().filter(|(_, option)| {
            option.size == now.size
                && option.replicas <= now.replicas
                && now.replicas - option.replicas <= pods.len() as u32
        });
        let best = fewer.min_by(|(i, a), (j, b)| cost(a).total_cmp(&cost(b)).then(i.cmp(j)));
        let Some((option, choice)) = best.filter(|(option, _)| *option != occupancy.choices[group]) else { continue };
        occupancy.choose(group, option);
        for pod in pods.drain(..).rev().take((now.replicas - choice.replicas) as usize) {
            occupancy.set_removed(pod, true);
        }
    }
}

/// Price an hour of the room that the pod takes of the offer where that is least; nothing where no offer takes it.
fn cheapest_room(occupancy: &Occupancy<'_>, pod: usize) -> f64 {
    let instance = occupancy.instance;
    let state = &occupancy.pods[pod];
    let offers = instance.sites[instance.standing..].iter();
    let admitting = offers.filter(|site| instance.shapes.admits(instance.snapshot, state.template, site));
    let share = |site: &Site| {
        let asks = state.demand.iter().zip(site.allocatable.iter().zip(&site.daemon_demand));
        let asks = asks.filter(|(amount, _)| **amount > 0);
        asks.map(|(amount, (all, daemons))| *amount as f64 / (all - daemons).max(1) as f64).fold(0.0, f64::max)
    };
    let prices = admitting.map(|site| (site, share(site))).filter(|(_, share)| *share <= 1.0);
    prices.map(|(site, share)| share * site.price_per_hour).min_by(f64::total_cmp).unwrap_or(0.0)
}
