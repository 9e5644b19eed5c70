//! Stage 3: from the program's numbers to choices, nodes to buy, and what a pod is worth.

use std::collections::BTreeMap;

use crate::domain::catalog::CapacityType;
use crate::domain::pricing::estimate_price;
use crate::domain::problem::{Problem, Quantity};

use super::instance::Instance;
use super::occupancy::Occupancy;
use super::pools::{Content, Pool};

/// Prototypes looked at first where the program says nothing: enough for several zones of several offers.
const PROMISING: usize = 12;

/// Part of a node below which the relaxation does not mean to give it back.
const LEAST_DRAINED: f64 = 0.5;

/// What the program says to do, for placing on concrete nodes to follow.
#[derive(Debug, Clone, Default)]
pub(super) struct Guide {
    /// Option of each group.
    pub(super) choices: Vec<usize>,
    /// Nodes to buy, by prototype.
    pub(super) nodes: BTreeMap<usize, u32>,
    /// Pods to put on them, by (group, template, prototype).
    pub(super) replicas: BTreeMap<(usize, usize, usize), u32>,
    /// Pods each pool is to have, by (group, pool), bought nodes that are like those that stand included; parts of pods
    /// where it is the relaxation that says so.
    pub(super) shares: BTreeMap<(usize, usize), f64>,
    /// Nodes to give back, those it is surest of first.
    pub(super) drained: Vec<usize>,
    /// Prototypes worth looking at first: those the program buys any part of, or the cheapest for what they hold.
    pub(super) promising: Vec<usize>,
    /// Price of one pod more, by (group, size), as the relaxation has it.
    worth: BTreeMap<(usize, usize), f64>,
}

impl Guide {
    /// Reads the values (one a variable) and row prices of the relaxation or of the integer program.
    pub(super) fn read(
        instance: &Instance<'_>,
        pools: &[Pool],
        problem: &Problem,
        values: &[f64],
        row_prices: &[f64],
    ) -> Self {
        let mut guide = Self { choices: unchanged(instance), worth: estimated_worth(instance), ..Self::default() };
        let mut chosen: BTreeMap<usize, f64> = BTreeMap::new();
        let mut drained: Vec<(f64, usize)> = Vec::new();
        let contents: BTreeMap<usize, &Content> =
            pools.iter().flat_map(|p| &p.contents).map(|content| (content.nodes[0], content)).collect();
        for (variable, value) in problem.variables.iter().zip(values) {
            let count = (value + 1e-6).floor().max(0.0) as u32;
            match variable.quantity {
                Quantity::Choice { group, option } => {
                    let most = chosen.entry(group).or_insert(f64::NEG_INFINITY);
                    if *value > *most {
                        *most = *value;
                        guide.choices[group] = option;
                    }
                }
                Quantity::Nodes { pool } if pools[pool].purchasable && *value > 1e-6 => {
                    guide.promising.push(pools[pool].site);
                    if count > 0 {
                        guide.nodes.insert(pools[pool].site, count);
                    }
                }
                Quantity::Replicas { group, template, pool, .. } if *value > 1e-6 => {
                    *guide.shares.entry((group, pool)).or_insert(0.0) += value;
                    if pools[pool].purchasable && count > 0 {
                        *guide.replicas.entry((group, template, pools[pool].site)).or_insert(0) += count;
                    }
                }
                Quantity::Drained { node } if *value > LEAST_DRAINED => {
                    let alike = contents.get(&node).into_iter().flat_map(|c| &c.nodes).enumerate();
                    let parts = alike.map(|(index, node)| ((value - index as f64).min(1.0), *node));
                    drained.extend(parts.filter(|(part, _)| *part > LEAST_DRAINED));
                }
                _ => {}
            }
        }
        drained.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        guide.drained = drained.into_iter().map(|(_, node)| node).collect();
        if guide.promising.is_empty() {
            guide.promising = cheapest(instance);
        }
        for (row, price) in problem.constraints.iter().zip(row_prices) {
            let unplaced = row.terms.iter().find_map(|(v, _)| match problem.variables[*v].quantity {
                Quantity::Unplaced { group, size } => Some((group, size)),
                _ => None,
            });
            if let Some(key) = unplaced.filter(|_| row.name.starts_with("replicas/")) {
                guide.worth.insert(key, price.max(0.0));
            }
        }
        guide
    }

    /// A guide that knows what pods are worth, by (group, size), and nothing else.
    pub(super) fn of_worth(worth: BTreeMap<(usize, usize), f64>) -> Self {
        Self { worth, ..Self::default() }
    }

    /// Tells what a pod of the group is worth at the size.
    pub(super) fn set_worth(&mut self, group: usize, size: usize, worth: f64) {
        self.worth.insert((group, size), worth);
    }

    /// The guide of a coarser instance, told to each of the groups it made one. What to buy where it does not tell.
    pub(super) fn of_parts(self, instance: &Instance<'_>, group_of: &[usize]) -> Self {
        let parts = group_of.iter().zip(&instance.groups).enumerate();
        let mut guide = Self { promising: cheapest(instance), ..Self::default() };
        for (group, (whole, facts)) in parts {
            guide.choices.push(if facts.options.len() == 1 { 0 } else { self.choices[*whole] });
            for size in 0..facts.sizes.len() {
                let worth = self.worth.get(&(*whole, size)).copied().unwrap_or(0.0);
                guide.worth.insert((group, size), worth);
            }
        }
        guide
    }

    /// The guide with pods as valuable as another has them.
    pub(super) fn with_worth_of(self, other: &Self) -> Self {
        Self { worth: other.worth.clone(), ..self }
    }

    /// The same with these worths of a pod, by (group, size).
    pub(super) fn with_worth(mut self, worth: &[((usize, usize), f64)]) -> Self {
        self.worth.extend(worth.iter().copied());
        self
    }

    /// What having the pod placed is worth an hour, as a measure of how hard it is to place.
    pub(super) fn worth(&self, occupancy: &Occupancy<'_>, pod: usize) -> f64 {
        let state = &occupancy.pods[pod];
        let size = state.group.and_then(|g| Some((g, occupancy.choice(g)?.size)));
        let priced = size.and_then(|key| self.worth.get(&key)).copied().unwrap_or(0.0);
        // Never nothing: a pod the relaxation places for free still wants its room.
        priced + 1e-3 * occupancy.size_of(&state.demand)
    }
}

/// The prototypes that cost least for what they hold, at the policy's estimates; the cheapest first.
fn cheapest(instance: &Instance<'_>) -> Vec<usize> {
    let price_of_worth = |site: usize| {
        let facts = &instance.sites[site];
        let held = instance.named(&facts.allocatable);
        let worth = estimate_price(&held, CapacityType::OnDemand, &instance.policy.planning);
        facts.price_per_hour / worth.max(1e-12)
    };
    let mut sites: Vec<(f64, usize)> =
        (instance.standing..instance.sites.len()).map(|site| (price_of_worth(site), site)).collect();
    sites.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    sites.into_iter().take(PROMISING).map(|(_, site)| site).collect()
}

/// What a pod's room would cost at the policy's estimates, by (group, size): the worth until the relaxation knows better.
fn estimated_worth(instance: &Instance<'_>) -> BTreeMap<(usize, usize), f64> {
    let mut worth = BTreeMap::new();
    for (index, group) in instance.groups.iter().enumerate() {
        for ((_, size), demand) in &group.demands {
            let demand = instance.named(demand);
            let price = estimate_price(&demand, CapacityType::OnDemand, &instance.policy.planning);
            worth.insert((index, *size), price);
        }
    }
    worth
}

/// The options that change nothing, or come nearest to it in replicas.
pub(super) fn unchanged(instance: &Instance<'_>) -> Vec<usize> {
    let nearest = |group: &super::instance::Group<'_>| {
        let now = group.workload.map_or(group.pods.len() as u32, |w| w.replicas);
        let distances = group.options.iter().map(|o| o.replicas.abs_diff(now)).enumerate();
        distances.min_by_key(|(index, distance)| (*distance, *index)).map_or(0, |(index, _)| index)
    };
    instance.groups.iter().map(|g| g.current.unwrap_or_else(|| nearest(g))).collect()
}
