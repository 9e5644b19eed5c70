//! The bound by node patterns for whole problems: what no node can hold at once no plan can have, whatever else is
//! decided. `docs/model.md` ("The bound") states it and why it holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::clock::{Clock, StopRule};

use super::instance::{Amounts, Group, Instance};
use super::patterns::{self, BinType, Item, PackingProblem};
use super::pools::Pool;
use super::relations::Relations;

/// Smallest difference between prices an hour that patterns are compared by.
const PRICE_UNIT: f64 = 1e-6;

/// Taken off the bound, relative to its size, for sums of floating-point numbers.
const ROUNDING: f64 = 1e-9;

/// Variants of pods beyond which the patterns are not worth their time.
const MOST_ITEMS: usize = 400;

/// A size of a group as the nodes see it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Look {
    /// Of its templates, the least that any asks for.
    size: Amounts,
    /// Most pods on one bin of each kind; a bin may be all nodes of a pool.
    at_most: Vec<u32>,
    /// Sets of pods that exclude one another.
    sets: Vec<usize>,
    unplaced_price: u64,
}

/// How much there is of a look.
#[derive(Default)]
struct Seen {
    pods: u32,
    /// Groups and sizes that have it; each keeps its limits for itself.
    variants: u32,
}

/// A lower bound of the cost of every plan an hour, found by column generation for the given choices; `None` where there
/// are too many kinds of pod.
pub(super) fn pattern_bound(
    instance: &Instance<'_>,
    relations: &Relations,
    pools: &[Pool],
    choices: &[usize],
    stop: &StopRule,
    clock: &dyn Clock,
) -> Option<f64> {
    let bins = Bins::new(instance, pools);
    let sets = exclusive_sets(instance, relations);
    let mut looks: BTreeMap<Look, Seen> = BTreeMap::new();
    let mut look_of: BTreeMap<(usize, usize), Look> = BTreeMap::new();
    for (index, group) in instance.groups.iter().enumerate().filter(|(_, g)| !g.templates.is_empty()) {
        for size in 0..group.sizes.len() {
            let look = look(instance, pools, &sets, index, size);
            let chosen = group.options[choices[index]];
            let pods = if chosen.size == size { chosen.replicas.saturating_sub(group.elsewhere) } else { 0 };
            let seen = looks.entry(look.clone()).or_default();
            seen.pods = seen.pods.saturating_add(pods);
            seen.variants += 1;
            look_of.insert((index, size), look);
        }
    }
    if looks.is_empty() || looks.len() > MOST_ITEMS {
        return None;
    }
    let problem = bins.problem(instance, &looks, &sets, pools);
    let number: BTreeMap<&Look, usize> = looks.keys().zip(0..).collect();
    let proof = patterns::prove(&problem, stop, clock)?;
    let price = |bin: usize| problem.bins[bin].price as f64;
    // Worths scaled so that no kind of which any number can be had gives more than it costs.
    let unlimited = (0..problem.bins.len()).filter(|bin| problem.bins[*bin].available.is_none());
    let largest = unlimited
        .filter(|bin| proof.most[*bin] > price(*bin))
        .fold(1.0_f64, |scale, bin| scale.min(price(bin) / proof.most[bin]));
    let corners = (0..problem.bins.len()).filter(|bin| proof.most[*bin] > 0.0);
    let corners = corners.map(|bin| (price(bin) / proof.most[bin]).min(largest)).chain([largest]);
    let at = |scale: f64| {
        let worth = |group: usize, size: usize| {
            let item = look_of.get(&(group, size)).map(|look| number[look]);
            item.map_or(0.0, |item| (scale * proof.worth[item]).clamp(0.0, problem.items[item].unplaced_price as f64))
        };
        let pods: f64 = instance.groups.iter().enumerate().map(|(g, group)| least_of(group, |s| worth(g, s))).sum();
        let excess: f64 = (0..problem.bins.len())
            .filter_map(|bin| {
                Some(f64::from(problem.bins[bin].available?) * (scale * proof.most[bin] - price(bin)).max(0.0))
            })
            .sum();
        let (pods, excess, settled) = (pods, excess * PRICE_UNIT, bins.settled);
        pods + settled - excess - ROUNDING * (pods.abs() + excess.abs() + settled.abs())
    };
    Some(corners.map(at).fold(0.0, f64::max))
}

/// The least that a choice of the group costs, its pods charged at their worth (in units).
fn least_of(group: &Group<'_>, worth: impl Fn(usize) -> f64) -> f64 {
    let cost = |option: &super::instance::Choice| {
        let pods = f64::from(option.replicas.saturating_sub(group.elsewhere));
        option.risk_cost_per_hour + pods * worth(option.size) * PRICE_UNIT
    };
    group.options.iter().map(cost).fold(f64::INFINITY, f64::min)
}

/// A price in units, rounded down so that the bound holds.
fn units(price: f64) -> u64 {
    (price.max(0.0) / PRICE_UNIT).floor() as u64
}

/// How the group's pods of the size look to the nodes.
fn look(instance: &Instance<'_>, pools: &[Pool], sets: &Sets, index: usize, size: usize) -> Look {
    let group = &instance.groups[index];
    let of_templates = || group.templates.iter().map(|t| group.demand(*t, size));
    let least = |r: usize| of_templates().map(|demand| demand[r]).min().unwrap_or(0).max(0);
    let alone = group.templates.iter().all(|t| sets.alone.contains(t));
    let limit = |pool: &Pool| {
        let standing = |t: usize| pool.standing.get(&(index, t)).copied().unwrap_or(0);
        let site = &instance.sites[pool.site];
        let admits = |t: usize| {
            let any = |site: usize| instance.shapes.admits(instance.snapshot, t, &instance.sites[site]);
            site.accepts_new && (any(pool.site) || instance.shapes.names_nodes(t) && pool.nodes.iter().any(|n| any(*n)))
        };
        let here: u32 = group.templates.iter().map(|t| standing(*t)).sum();
        if !group.templates.iter().any(|t| admits(*t)) {
            here
        } else if alone && pool.elastic {
            1
        } else {
            u32::MAX
        }
    };
    let in_set = |set: &usize| group.templates.iter().all(|t| sets.members[*set].contains(t));
    let price = group.templates.iter().map(|t| instance.unplaced_price(*t)).fold(f64::INFINITY, f64::min);
    Look {
        size: (0..instance.resources.len()).map(least).collect(),
        at_most: pools.iter().map(limit).collect(),
        sets: (0..sets.members.len()).filter(in_set).collect(),
        unplaced_price: units(price),
    }
}

/// Templates that exclude one another on a node.
struct Sets {
    members: Vec<BTreeSet<usize>>,
    /// Templates that exclude their own kind, whether or not in a set of several.
    alone: BTreeSet<usize>,
}

/// Sets of which no node that stands has several pods now: such pods may stay.
fn exclusive_sets(instance: &Instance<'_>, relations: &Relations) -> Sets {
    let mut members: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    let templates: BTreeSet<usize> = instance.groups.iter().flat_map(|g| g.templates.iter().copied()).collect();
    for &template in &templates {
        for counter in relations.exclusive_on_hosts(template) {
            members.entry(format!("counter {counter}")).or_default().insert(template);
        }
        for port in relations.templates.get(template).into_iter().flat_map(|own| &own.host_ports) {
            members.entry(format!("{port:?}")).or_default().insert(template);
        }
    }
    let crowded = |set: &BTreeSet<usize>| {
        let mut seen = BTreeSet::new();
        let on_nodes = instance.pods.iter().filter(|pod| set.contains(&pod.template)).filter_map(|pod| pod.node);
        on_nodes.into_iter().any(|node| !seen.insert(node))
    };
    let sets: Vec<BTreeSet<usize>> = members.into_values().filter(|set| !crowded(set)).collect();
    let alone = sets.iter().flatten().copied().collect();
    let members = sets.into_iter().filter(|set| set.len() > 1).collect();
    Sets { members, alone }
}

/// Pools as kinds of bin.
struct Bins {
    kinds: Vec<BinType>,
    /// What every plan costs, whatever the bins hold: nodes that cannot be given back, and the change of those that can,
    /// which keeping them saves.
    settled: f64,
}

impl Bins {
    fn new(instance: &Instance<'_>, pools: &[Pool]) -> Self {
        let change = instance.node_change_price();
        let mut settled = 0.0;
        let mut kinds = Vec::with_capacity(pools.len());
        for pool in pools {
            let number = pool.nodes.len() as u32;
            let (price, available) = if pool.purchasable {
                (
                    pool.price_per_hour + change,
                    pool.most.map(|left| left.saturating_add(replaceable(instance, pools, pool))),
                )
            } else if pool.elastic {
                let kept = pool.price_per_hour - change;
                settled += f64::from(number) * (change + kept.min(0.0));
                (kept.max(0.0), Some(number))
            } else {
                // All its nodes as one bin that is always there.
                settled += f64::from(number) * pool.price_per_hour;
                (0.0, Some(1))
            };
            let capacity = pool.room.iter().map(|room| (*room).max(0)).collect();
            kinds.push(BinType { capacity, price: units(price), available, at_most: Vec::new() });
        }
        Self { kinds, settled }
    }

    /// The packing problem of the looks, each so often.
    fn problem(
        &self,
        instance: &Instance<'_>,
        looks: &BTreeMap<Look, Seen>,
        sets: &Sets,
        pools: &[Pool],
    ) -> PackingProblem {
        let asked = |r: &usize| looks.keys().any(|look| look.size[*r] > 0);
        let resources: Vec<usize> = (0..instance.resources.len()).filter(asked).collect();
        let items = looks.iter().map(|(look, seen)| Item {
            size: resources
                .iter()
                .map(|r| look.size[*r])
                .chain((0..sets.members.len()).map(|set| i64::from(look.sets.contains(&set))))
                .collect(),
            count: seen.pods,
            unplaced_price: look.unplaced_price,
        });
        let items: Vec<Item> = items.collect();
        let bins = self.kinds.iter().zip(pools).enumerate().map(|(number, (kind, pool))| {
            let most = if pool.elastic { 1 } else { pool.nodes.len() as i64 };
            BinType {
                capacity: resources
                    .iter()
                    .map(|r| kind.capacity[*r])
                    .chain(sets.members.iter().map(|_| most))
                    .collect(),
                at_most: looks.iter().map(|(look, seen)| look.at_most[number].saturating_mul(seen.variants)).collect(),
                ..kind.clone()
            }
        });
        PackingProblem { bins: bins.collect(), items }
    }
}

/// Nodes that stand of the offer and zone that may be given back, and bought again.
fn replaceable(instance: &Instance<'_>, pools: &[Pool], bought: &Pool) -> u32 {
    let site = &instance.sites[bought.site];
    let same = |pool: &&Pool| {
        let other = &instance.sites[pool.site];
        !pool.purchasable
            && pool.elastic
            && (&other.offer, &other.zone, other.capacity_type) == (&site.offer, &site.zone, site.capacity_type)
    };
    pools.iter().filter(same).map(|pool| pool.nodes.len() as u32).sum()
}
