//! What the relaxation says room, moves and drains are worth, kept without the program it came from.

use std::collections::BTreeMap;

use crate::domain::problem::Problem;

use super::super::instance::{Amounts, Instance};
use super::super::model::scale_of;
use super::super::pools::Pool;
use super::super::sites::Site;

/// Prices by pool of nodes and class of workloads. Any numbers of at least 0 give a true bound; good ones a close one.
#[derive(Debug, Clone)]
pub(in super::super) struct Prices {
    pub(super) pools: Vec<PricedPool>,
    /// Pool of each node that stands.
    pub(super) pool_of: Vec<usize>,
    /// Class of each workload.
    class_of: Vec<usize>,
    classes: Vec<ClassPrices>,
    /// Of one move more than the policy allows.
    pub(super) one_move: f64,
    /// Of one drain more than the policy allows.
    pub(super) one_drain: f64,
}

/// A pool of the program and what its room is worth.
#[derive(Debug, Clone)]
pub(super) struct PricedPool {
    /// A site that stands for all of its nodes.
    pub(super) site: Site,
    /// Its nodes that stand; empty where it is to be bought.
    pub(super) nodes: Vec<usize>,
    /// The pool where the pods on nodes bought here are counted, if that is another one.
    pub(super) joins: Option<usize>,
    /// Room of a node that is bought.
    room: Amounts,
    /// Largest room of one node, resource by resource.
    pub(super) largest: Amounts,
    /// Most nodes that quotas let be bought; `None` is no limit.
    most_bought: Option<u32>,
    /// Of one unit of each resource an hour.
    unit_prices: Vec<f64>,
}

/// What the pods of one class of workloads cost to send away.
#[derive(Debug, Clone)]
struct ClassPrices {
    /// Of one that leaves its node without being removed.
    leaving: f64,
    /// Of one that must leave because its node is given back, by pool.
    displaced: Vec<f64>,
}

impl PricedPool {
    /// What the amounts are worth in this pool.
    pub(super) fn price_of(&self, amounts: &[i64]) -> f64 {
        amounts.iter().zip(&self.unit_prices).map(|(amount, price)| *amount as f64 * price).sum()
    }
}

impl Prices {
    /// Reads the row prices of the program, whose classes of workloads are those of `class_of` (one a workload of the
    /// cluster itself).
    pub(in super::super) fn read(
        seen: &Instance<'_>,
        pools: &[Pool],
        problem: &Problem,
        row_prices: &[f64],
        class_of: Vec<usize>,
    ) -> Self {
        let rows = problem.constraints.iter().zip(row_prices).filter(|(_, price)| price.is_finite() && **price != 0.0);
        let rows: BTreeMap<&str, f64> = rows.map(|(row, price)| (row.name.as_str(), *price)).collect();
        let price = |name: &str| rows.get(name).map_or(0.0, |price| price.abs());
        let mut pool_of = vec![0; seen.standing];
        for (number, pool) in pools.iter().enumerate() {
            pool.nodes.iter().for_each(|node| pool_of[*node] = number);
        }
        let unit_price =
            |pool: &Pool, resource: &&str| price(&format!("capacity/{}/{resource}", pool.name)) / scale_of(resource).0;
        let priced = pools.iter().map(|pool| PricedPool {
            site: seen.sites[pool.site].clone(),
            nodes: pool.nodes.clone(),
            joins: pool.joins,
            room: pool.room.clone(),
            largest: pool.largest.clone(),
            most_bought: pool.most.filter(|_| pool.purchasable).map(|left| left + standing_alike(seen, pools, pool)),
            unit_prices: seen.resources.iter().map(|resource| unit_price(pool, resource)).collect(),
        });
        let classes = seen.groups.iter().map(|group| {
            let name = format!("{}/{}", group.id.namespace, group.label());
            let displaced = |pool: &Pool| price(&format!("displaced/{name}/{}", pool.name));
            ClassPrices { leaving: price(&format!("moves/{name}")), displaced: pools.iter().map(displaced).collect() }
        });
        let mut prices = Self {
            pools: priced.collect(),
            pool_of,
            class_of,
            classes: classes.collect(),
            one_move: price("disruption.maxMoves"),
            one_drain: price("disruption.maxDrains"),
        };
        prices.lower_to_what_nodes_cost(seen.node_change_price());
        prices
    }

    /// Room that is worth more than the node it comes with would pay for any number of nodes, which no bound survives;
    /// the solver's tolerances leave it so.
    fn lower_to_what_nodes_cost(&mut self, change: f64) {
        for number in 0..self.pools.len() {
            let pool = &self.pools[number];
            if !pool.nodes.is_empty() || pool.most_bought.is_some() {
                continue;
            }
            let (home, cost) = (pool.joins.unwrap_or(number), pool.site.price_per_hour + change);
            let worth = self.pools[home].price_of(&pool.room);
            if worth > cost {
                self.pools[home].unit_prices.iter_mut().for_each(|price| *price *= cost / worth);
            }
        }
    }

    /// Of a pod of the group that leaves its node without being removed.
    pub(super) fn leaving(&self, group: usize) -> f64 {
        self.classes[self.class_of[group]].leaving
    }

    /// Of a pod of the group that must leave because its node, of this pool, is given back.
    pub(super) fn displaced(&self, group: usize, pool: usize) -> f64 {
        self.classes[self.class_of[group]].displaced[pool]
    }

    /// What buying can take off the bound, at most: nothing, unless room is worth more than it costs.
    pub(super) fn buying(&self, change: f64, most_pods: f64) -> f64 {
        let gains = self.pools.iter().filter(|pool| pool.nodes.is_empty()).map(|pool| {
            let home = pool.joins.map_or(pool, |joined| &self.pools[joined]);
            let gain = pool.site.price_per_hour + change - home.price_of(&pool.room);
            gain.min(0.0) * pool.most_bought.map_or(most_pods, |most| f64::from(most).min(most_pods))
        });
        gains.sum()
    }
}

/// Nodes that stand and may go, of the offer, zone and kind of the pool: a quota counts them too.
fn standing_alike(seen: &Instance<'_>, pools: &[Pool], pool: &Pool) -> u32 {
    let site = &seen.sites[pool.site];
    let alike = |other: &&Pool| {
        let stands = &seen.sites[other.site];
        (&stands.offer, &stands.zone, stands.capacity_type) == (&site.offer, &site.zone, site.capacity_type)
    };
    pools.iter().filter(|p| !p.purchasable).filter(alike).map(|p| p.nodes.len() as u32).sum()
}
