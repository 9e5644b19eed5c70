//! What waits, as a packing problem: pods that no node tells apart are one item, offers that no pod tells apart are one
//! kind of bin.

use std::collections::{BTreeMap, BTreeSet};

use super::super::instance::{Amounts, Group, Instance};
use super::super::occupancy::Occupancy;
use super::super::patterns::{BinType, Item, Packing, PackingProblem, Pattern};
use super::super::place::{Kind, in_order, kind};
use super::super::relations::Relations;
use super::PRICE_UNIT;

/// Sets of kinds of pod that exclude one another on a node, as dimensions of their own; those of most pods first.
const MOST_SETS: usize = 12;

/// Pods that wait and what can be bought for them.
pub(super) struct Demand {
    pub(super) problem: PackingProblem,
    /// Prototypes of each kind of bin, in the order in which to buy them by turns.
    pub(super) sites: Vec<Vec<usize>>,
    /// Kinds of pod of each item, with those of them that wait.
    pub(super) lots: Vec<Vec<Lot>>,
}

/// Waiting pods alike.
#[derive(Debug, Clone)]
pub(super) struct Lot {
    pub(super) kind: Kind,
    pub(super) pods: Vec<usize>,
}

/// What a node can tell of a kind of pod.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Likeness {
    size: Amounts,
    /// Kinds of bin that admit it.
    admitted: Vec<bool>,
    /// Sets of kinds that exclude one another of which it is one.
    sets: Vec<usize>,
    /// No two pods of the kind share a node.
    alone: bool,
    unplaced_price: u64,
}

/// A price in units of [`PRICE_UNIT`], rounded down so that a bound from it holds.
fn units(price: f64) -> u64 {
    (price.max(0.0) / PRICE_UNIT).floor() as u64
}

impl Demand {
    pub(super) fn new(before: &Occupancy<'_>) -> Option<Self> {
        let instance = before.instance;
        let mut kinds: BTreeMap<Kind, Vec<usize>> = BTreeMap::new();
        for pod in in_order(before) {
            kinds.entry(kind(before, pod)).or_default().push(pod);
        }
        let lots: Vec<Lot> = kinds.into_iter().map(|(kind, pods)| Lot { kind, pods }).collect();
        let asked = |r: &usize| lots.iter().any(|lot| before.pods[lot.pods[0]].demand[*r] > 0);
        let resources: Vec<usize> = (0..instance.resources.len()).filter(asked).collect();
        let (mut bins, admitted) = bins(instance, &lots, &resources);
        if lots.is_empty() || bins.is_empty() {
            return None;
        }
        let (sets, alone) = exclusions(before.relations, &lots);
        let mut items: BTreeMap<Likeness, Vec<Lot>> = BTreeMap::new();
        for (number, lot) in lots.into_iter().enumerate() {
            let demand = &before.pods[lot.pods[0]].demand;
            let likeness = Likeness {
                size: resources.iter().map(|r| demand[*r].max(0)).collect(),
                admitted: admitted.iter().map(|column| column[number]).collect(),
                sets: (0..sets.len()).filter(|set| sets[*set].contains(&number)).collect(),
                alone: alone.contains(&number),
                unplaced_price: units(instance.unplaced_price(lot.kind.1)),
            };
            items.entry(likeness).or_default().push(lot);
        }
        for bin in &mut bins {
            bin.kind.capacity.extend(sets.iter().map(|_| 1));
        }
        let mut problem = PackingProblem { items: Vec::new(), bins: bins.iter().map(|bin| bin.kind.clone()).collect() };
        let limits: Vec<u32> =
            items.iter().map(|(likeness, lots)| if likeness.alone { lots.len() as u32 } else { u32::MAX }).collect();
        for (number, bin) in problem.bins.iter_mut().enumerate() {
            let limit = items.keys().zip(&limits).map(|(item, limit)| if item.admitted[number] { *limit } else { 0 });
            bin.at_most = limit.collect();
        }
        let mut by_item = Vec::with_capacity(items.len());
        for (likeness, lots) in items {
            let of_sets = (0..sets.len()).map(|set| i64::from(likeness.sets.contains(&set)));
            let count = lots.iter().map(|lot| lot.pods.len() as u32).sum();
            let size = likeness.size.iter().copied().chain(of_sets).collect();
            problem.items.push(Item { size, count, unplaced_price: likeness.unplaced_price });
            by_item.push(lots);
        }
        let sites = bins.into_iter().map(|bin| bin.sites).collect();
        Some(Self { problem, sites, lots: by_item })
    }

    /// What the bought nodes hold of the pods that waited.
    pub(super) fn packing_of(&self, bought: &Occupancy<'_>) -> Packing {
        let mut bin_of = BTreeMap::new();
        for (bin, sites) in self.sites.iter().enumerate() {
            bin_of.extend(sites.iter().map(|site| (*site, bin)));
        }
        let mut item_of = BTreeMap::new();
        for (item, lots) in self.lots.iter().enumerate() {
            item_of.extend(lots.iter().flat_map(|lot| &lot.pods).map(|pod| (*pod, item)));
        }
        let mut packing = Packing::default();
        for node in bought.nodes.iter().filter(|node| node.bought && node.open) {
            let Some(bin) = bin_of.get(&node.site) else { continue };
            let mut items: BTreeMap<usize, u32> = BTreeMap::new();
            for item in node.pods.iter().filter_map(|pod| item_of.get(pod)) {
                *items.entry(*item).or_insert(0) += 1;
            }
            packing.bins.push(Pattern { bin: *bin, items: items.into_iter().collect() });
        }
        packing
    }

    /// Worth of a pod of each group that has pods here, by (group, size).
    pub(super) fn worth_of_groups(&self, before: &Occupancy<'_>, worth: &[f64]) -> Vec<((usize, usize), f64)> {
        let of_lot = |(item, lot): (usize, &Lot)| {
            let group = lot.kind.0?;
            Some(((group, before.choice(group)?.size), worth[item] * PRICE_UNIT))
        };
        let lots = self.lots.iter().enumerate().flat_map(|(item, lots)| lots.iter().map(move |lot| (item, lot)));
        lots.filter_map(of_lot).collect()
    }
}

/// What every plan costs beside what is bought for the pods that wait; `None` where more is decided: something stands, or a
/// workload has a choice.
pub(super) fn settled_cost(instance: &Instance<'_>) -> Option<f64> {
    let settled = |group: &Group<'_>| group.options.len() == 1 && group.templates.len() <= 1;
    let options = || instance.groups.iter().flat_map(|group| &group.options);
    let decided = instance.standing == 0 && instance.groups.iter().all(settled);
    decided.then(|| options().map(|option| option.risk_cost_per_hour).sum())
}

/// Prototypes that no waiting pod tells apart.
struct Bin {
    kind: BinType,
    sites: Vec<usize>,
}

/// Kinds of bin, and for each whether it admits each lot.
fn bins(instance: &Instance<'_>, lots: &[Lot], resources: &[usize]) -> (Vec<Bin>, Vec<Vec<bool>>) {
    let by_name = lots.iter().any(|lot| instance.shapes.names_nodes(lot.kind.1));
    let mut columns: BTreeMap<Vec<bool>, usize> = BTreeMap::new();
    let mut column_of: BTreeMap<usize, usize> = BTreeMap::new();
    let mut bins: BTreeMap<(Amounts, u64, usize, crate::domain::catalog::CapacityType), Bin> = BTreeMap::new();
    for site in (instance.standing..instance.sites.len()).filter(|site| instance.sites[*site].quota != Some(0)) {
        let facts = &instance.sites[site];
        // Sites of one shape admit the same, but for pods that ask for nodes by name.
        let known = if by_name { site } else { facts.shape };
        let column = *column_of.entry(known).or_insert_with(|| {
            let admits = |lot: &Lot| instance.shapes.admits(instance.snapshot, lot.kind.1, facts);
            let next = columns.len();
            *columns.entry(lots.iter().map(admits).collect()).or_insert(next)
        });
        let room: Amounts =
            resources.iter().map(|r| (facts.allocatable[*r] - facts.daemon_demand[*r]).max(0)).collect();
        let price = units(facts.price_per_hour + instance.node_change_price());
        let bin = bins.entry((room.clone(), price, column, facts.capacity_type)).or_insert_with(|| Bin {
            kind: BinType { capacity: room, price, available: Some(0), at_most: Vec::new() },
            sites: Vec::new(),
        });
        bin.kind.available = bin.kind.available.zip(facts.quota).map(|(sum, quota)| sum.saturating_add(quota));
        bin.sites.push(site);
    }
    let mut in_order: Vec<(Vec<bool>, usize)> = columns.into_iter().collect();
    in_order.sort_by_key(|(_, number)| *number);
    let admitted = bins.keys().map(|(_, _, column, _)| in_order[*column].0.clone()).collect();
    (bins.into_values().collect(), admitted)
}

/// Sets of lots of which a node holds at most one pod, and lots of which it holds at most one each.
fn exclusions(relations: &Relations, lots: &[Lot]) -> (Vec<BTreeSet<usize>>, BTreeSet<usize>) {
    let mut members: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (number, lot) in lots.iter().enumerate() {
        for counter in relations.exclusive_on_hosts(lot.kind.1) {
            members.entry(format!("counter {counter}")).or_default().insert(number);
        }
        for port in relations.templates.get(lot.kind.1).into_iter().flat_map(|own| &own.host_ports) {
            members.entry(format!("{port:?}")).or_default().insert(number);
        }
    }
    let alone = members.values().flatten().copied().collect();
    let mut sets: Vec<BTreeSet<usize>> = members.into_values().filter(|set| set.len() > 1).collect();
    sets.sort_by_key(|set| std::cmp::Reverse(set.iter().map(|lot| lots[*lot].pods.len()).sum::<usize>()));
    sets.dedup();
    sets.truncate(MOST_SETS);
    let in_sets: BTreeSet<usize> = sets.iter().flatten().copied().collect();
    (sets, &alone - &in_sets)
}
