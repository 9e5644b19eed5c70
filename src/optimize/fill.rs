//! Nodes filled one by one, each with the waiting pods that fill it best: a knapsack in all that is scarce (after the
//! minimum-bin-slack rule; Gupta and Ho, 1999). Pods placed one by one leave remainders that fit nothing.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::occupancy::Occupancy;
use super::patterns::{BinType, Item, PackingProblem, fullest};
use super::place::Kind;

/// Nodes of a knapsack's search tree for each first kind of pod.
const SEARCHED: usize = 100;

/// Power of a pod's size that it counts for: above 1, so that of two contents that fill a node alike the one of larger
/// pods is taken, and small ones are left for remainders.
const POWER: f64 = 1.2;

/// How much more pods count for that may not be on any node with room, by spread or because they exclude one another:
/// others fill what these leave.
const BOUND: f64 = 2.0;

/// Waiting pods alike; the next to come is the last one.
pub(super) type Lots = BTreeMap<Kind, Vec<usize>>;

/// Fills the nodes, those with least room first, with pods of the lots, as far as every rule lets them on. The most important
/// pods come to all nodes before any others.
pub(super) fn fill(occupancy: &mut Occupancy<'_>, nodes: &[usize], lots: &mut Lots) {
    let mut by_priority: BTreeMap<Reverse<i32>, Vec<Kind>> = BTreeMap::new();
    for kind in lots.iter().filter(|(_, pods)| !pods.is_empty()).map(|(kind, _)| *kind) {
        by_priority.entry(Reverse(occupancy.instance.priority(kind.1))).or_default().push(kind);
    }
    for kinds in by_priority.into_values() {
        let mut knapsacks = Knapsacks::new(occupancy, kinds, lots);
        let mut order: Vec<(f64, usize)> = nodes.iter().map(|node| (occupancy.room_of(*node), *node)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (_, node) in order {
            // Rules may let fewer on than there is room for; others take their places.
            while knapsacks.pack(occupancy, node, lots) {}
        }
    }
}

/// Kinds of pod as items of knapsacks.
struct Knapsacks {
    kinds: Vec<Kind>,
    /// Their items, and the node that is filled.
    problem: PackingProblem,
    worth: Vec<f64>,
    /// Resources that any of them asks for.
    asked: Vec<usize>,
}

impl Knapsacks {
    fn new(occupancy: &Occupancy<'_>, kinds: Vec<Kind>, lots: &Lots) -> Self {
        let demands: Vec<&[i64]> = kinds.iter().map(|kind| &*occupancy.pods[lots[kind][0]].demand).collect();
        let asked: Vec<usize> =
            (0..occupancy.instance.resources.len()).filter(|r| demands.iter().any(|demand| demand[*r] > 0)).collect();
        let worth = kinds.iter().zip(&demands).map(|(kind, demand)| {
            let bound = occupancy.relations.spreads_of(kind.1, kind.0).next().is_some()
                || occupancy.relations.excludes_itself(kind.1);
            occupancy.size_of(demand).powf(POWER) * if bound { BOUND } else { 1.0 }
        });
        let worth = worth.collect();
        let size = |demand: &&[i64]| asked.iter().map(|r| demand[*r].max(0)).collect();
        let items = demands.iter().map(|demand| Item { size: size(demand), count: 0, unplaced_price: 0 }).collect();
        Self { kinds, problem: PackingProblem { items, bins: Vec::new() }, worth, asked }
    }

    /// Puts the pods on the node that fill it best; whether any came.
    fn pack(&mut self, occupancy: &mut Occupancy<'_>, node: usize, lots: &mut Lots) -> bool {
        let capacity: Vec<i64> = self.asked.iter().map(|r| occupancy.nodes[node].free[*r].max(0)).collect();
        let admits = |occupancy: &Occupancy<'_>, pod: usize| {
            occupancy.wish(pod).is_some_and(|wish| occupancy.admits(&wish, node))
        };
        let limit = |(kind, item): (&Kind, &Item)| {
            let fits = item.size.iter().zip(&capacity).all(|(size, room)| size <= room);
            match lots[kind].last().filter(|pod| fits && admits(occupancy, **pod)) {
                None => 0,
                Some(_) if occupancy.relations.excludes_itself(kind.1) => 1,
                Some(_) => u32::MAX,
            }
        };
        let at_most: Vec<u32> = self.kinds.iter().zip(&self.problem.items).map(limit).collect();
        let counts: Vec<u32> = self.kinds.iter().map(|kind| lots[kind].len() as u32).collect();
        self.problem.bins = vec![BinType { capacity, price: 0, available: Some(1), at_most }];
        let mut any = false;
        for (item, count) in fullest(&self.problem, &self.worth, &counts, SEARCHED) {
            let Some(pods) = lots.get_mut(&self.kinds[item]) else { continue };
            for _ in 0..count {
                let Some(pod) = pods.pop_if(|pod| admits(occupancy, *pod)) else { break };
                occupancy.bind(pod, Some(node));
                any = true;
            }
        }
        any
    }
}
