//! Stage 4, second part: nodes are bought for pods that still wait.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::mend::take_back_uneven;
use super::occupancy::Occupancy;
use super::place::{Kind, close_empty, in_order, kind, place_waiting, quota_left};
use super::round::Guide;

/// Rounds of taking pods back that came where it turned out uneven, and buying for them again.
const MOST_RETRACTIONS: usize = 3;

/// Buys the nodes the relaxation's whole-number plan asks for, and puts on them what it puts there.
pub(super) fn buy_as_guided(occupancy: &mut Occupancy<'_>, guide: &Guide) {
    for (&site, &wanted) in &guide.nodes {
        let mut share: BTreeMap<Kind, u32> = BTreeMap::new();
        for (&(group, template, at), &count) in &guide.replicas {
            if at == site {
                *share.entry((Some(group), template)).or_insert(0) += count;
            }
        }
        let opened: BTreeSet<usize> =
            (0..wanted).map_while(|_| quota_left(occupancy, site).then(|| occupancy.buy(site))).collect();
        for pod in in_order(occupancy) {
            let Some(left) = share.get_mut(&kind(occupancy, pod)).filter(|left| **left > 0) else { continue };
            let Some(wish) = occupancy.wish(pod) else { continue };
            if let Some(node) = occupancy.best_among(&wish, opened.iter().copied()) {
                *left -= 1;
                occupancy.bind(pod, Some(node));
            }
        }
        close_empty(occupancy, &opened);
    }
}

/// Buys nodes one at a time, each of the offer that costs least for the worth of the pods it takes, until nothing
/// that waits is worth a node.
pub(super) fn buy_greedily(occupancy: &mut Occupancy<'_>, guide: &Guide, out_of_time: &dyn Fn() -> bool) {
    if !occupancy.keeps_even() {
        buy_until_done(occupancy, guide, out_of_time);
        return;
    }
    // Nodes are filled one domain after the other, so counts are uneven until the last is bought.
    occupancy.aim_even(true);
    Market::new(occupancy, guide).buy_all(occupancy, out_of_time);
    occupancy.aim_even(false);
    for _ in 0..MOST_RETRACTIONS {
        buy_until_done(occupancy, guide, out_of_time);
        if !take_back_uneven(occupancy) {
            break;
        }
    }
    // What is kept off so that evenness lasts may come all the same: it is judged when it comes.
    occupancy.keep_even(false);
    buy_until_done(occupancy, guide, out_of_time);
    occupancy.keep_even(true);
}

/// Places and buys by turns: pods that were held back may be worth nodes now, and make others so.
fn buy_until_done(occupancy: &mut Occupancy<'_>, guide: &Guide, out_of_time: &dyn Fn() -> bool) {
    place_waiting(occupancy, |_| true);
    while !out_of_time() && Market::new(occupancy, guide).buy_all(occupancy, out_of_time) {
        place_waiting(occupancy, |_| true);
    }
}

/// Pods alike that wait.
struct Lot {
    kind: Kind,
    /// Each is worth this much, by the relaxation's prices.
    worth: f64,
    /// No two of them share a node.
    exclusive: bool,
    /// Those that wait are the last ones.
    pods: Vec<usize>,
}

/// Lots that ask for the same, those of most worth first.
struct Batch {
    demand: Vec<i64>,
    lots: Vec<Lot>,
}

/// A prototype, and the order in which to fill it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bid {
    /// Worth of the pods it takes, for its price.
    worth_for_price: f64,
    site: usize,
    dense_first: bool,
    /// Nodes bought when it was made.
    made: u32,
    /// Tried with all rules; else only what fits is known.
    tried: bool,
}

impl Eq for Bid {}

impl PartialOrd for Bid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bid {
    fn cmp(&self, other: &Self) -> Ordering {
        // The best is the greatest; among equals the first prototype, filled by worth.
        self.worth_for_price
            .total_cmp(&other.worth_for_price)
            .then(other.site.cmp(&self.site))
            .then(self.dense_first.cmp(&other.dense_first))
    }
}

/// What waits, and what each prototype is worth to it.
///
/// What a node is worth only falls while pods find theirs, so a bid is looked at again only when it is the best: first
/// for what fits, then with all rules.
struct Market {
    batches: Vec<Batch>,
    bids: BinaryHeap<Bid>,
    bought: u32,
}

impl Market {
    fn new(occupancy: &Occupancy<'_>, guide: &Guide) -> Self {
        let mut lots: BTreeMap<Kind, Vec<usize>> = BTreeMap::new();
        for pod in in_order(occupancy) {
            lots.entry(kind(occupancy, pod)).or_default().push(pod);
        }
        let mut batches: BTreeMap<Vec<i64>, Vec<Lot>> = BTreeMap::new();
        for (kind, mut pods) in lots {
            pods.reverse();
            let demand = occupancy.pods[pods[0]].demand.to_vec();
            let worth = guide.worth(occupancy, pods[0]);
            let exclusive = occupancy.relations.excludes_itself(kind.1);
            batches.entry(demand).or_default().push(Lot { kind, worth, exclusive, pods });
        }
        let mut market = Self { batches: Vec::new(), bids: BinaryHeap::new(), bought: 0 };
        for (demand, mut lots) in batches {
            lots.sort_by(|a, b| b.worth.total_cmp(&a.worth).then(a.kind.cmp(&b.kind)));
            market.batches.push(Batch { demand, lots });
        }
        let instance = occupancy.instance;
        for site in (instance.standing..instance.sites.len()).filter(|_| !market.batches.is_empty()) {
            for dense_first in [true, false] {
                let bid = Bid { worth_for_price: f64::INFINITY, site, dense_first, made: 0, tried: false };
                let estimate = market.estimate(occupancy, bid);
                market.bids.push(estimate);
            }
        }
        market
    }

    /// Buys until no bid is worth its price; whether anything was bought.
    fn buy_all(&mut self, occupancy: &mut Occupancy<'_>, out_of_time: &dyn Fn() -> bool) -> bool {
        let instance = occupancy.instance;
        while let Some(bid) = self.bids.pop() {
            if out_of_time() {
                break;
            }
            if bid.made != self.bought {
                self.forget_placed(occupancy);
                let estimate = self.estimate(occupancy, bid);
                self.bids.push(estimate);
                continue;
            }
            if !quota_left(occupancy, bid.site) {
                continue;
            }
            let mark = occupancy.mark();
            let node = occupancy.buy(bid.site);
            let (worth, saved) = self.fill(occupancy, node, bid.dense_first);
            let price = instance.sites[bid.site].price_per_hour + instance.node_change_price();
            if saved <= price {
                occupancy.roll_back(mark);
                continue;
            }
            let tried = Bid { worth_for_price: worth / price.max(1e-12), tried: true, ..bid };
            if bid.tried || self.bids.peek().is_none_or(|next| *next <= tried) {
                self.bought += 1;
            } else {
                occupancy.roll_back(mark);
            }
            self.bids.push(tried);
        }
        self.bought > 0
    }

    fn forget_placed(&mut self, occupancy: &Occupancy<'_>) {
        for batch in &mut self.batches {
            batch.lots.retain_mut(|lot| lot.waits(occupancy));
        }
        self.batches.retain(|batch| !batch.lots.is_empty());
    }

    /// The order to fill a node with this much free in: batches of most worth for their share of it first, or the largest.
    fn order(&self, free: &[i64], dense_first: bool) -> Vec<usize> {
        let mut order: Vec<(f64, f64, usize)> = Vec::with_capacity(self.batches.len());
        for (number, batch) in self.batches.iter().enumerate() {
            let share = share_of(&batch.demand, free);
            if share <= 1.0 {
                let density = batch.lots[0].worth / share.max(1e-9);
                order.push(if dense_first { (density, share, number) } else { (share, density, number) });
            }
        }
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)));
        order.into_iter().map(|(_, _, batch)| batch).collect()
    }

    /// The bid renewed by what fits, whatever other rules say.
    fn estimate(&self, occupancy: &Occupancy<'_>, bid: Bid) -> Bid {
        let instance = occupancy.instance;
        let site = &instance.sites[bid.site];
        let mut free: Vec<i64> = site.allocatable.iter().zip(&site.daemon_demand).map(|(a, d)| a - d).collect();
        let mut worth = 0.0;
        for number in self.order(&free, bid.dense_first) {
            let Batch { demand, lots } = &self.batches[number];
            let (apart, others): (Vec<&Lot>, Vec<&Lot>) = lots.iter().partition(|lot| lot.exclusive);
            let pods = others.iter().map(|lot| lot.pods.len() as i64).sum::<i64>() + i64::from(!apart.is_empty());
            let asks = demand.iter().zip(&free).filter(|(amount, _)| **amount > 0);
            let fit = asks.map(|(amount, free)| free / amount).min().unwrap_or(pods).clamp(0, pods);
            for (free, amount) in free.iter_mut().zip(demand) {
                *free -= amount * fit;
            }
            worth += fit as f64 * lots[0].worth;
        }
        let price = site.price_per_hour + instance.node_change_price();
        let worth_for_price = bid.worth_for_price.min(worth / price.max(1e-12));
        Bid { worth_for_price, made: self.bought, tried: false, ..bid }
    }

    /// Puts waiting pods on the node, batch by batch: those of most worth for their share of the node first, or the
    /// largest. Their worth, and what they would cost without a node.
    fn fill(&self, occupancy: &mut Occupancy<'_>, node: usize, dense_first: bool) -> (f64, f64) {
        let (mut worth, mut saved) = (0.0, 0.0);
        for batch in self.order(&occupancy.nodes[node].free, dense_first) {
            for lot in &self.batches[batch].lots {
                if !occupancy.has_room(lot.pods[0], node) {
                    break;
                }
                for &pod in lot.pods.iter().rev() {
                    // Cheap to ask, and mostly what ends it.
                    if !occupancy.has_room(pod, node) {
                        break;
                    }
                    let Some(wish) = occupancy.wish(pod) else { break };
                    if !occupancy.admits(&wish, node) {
                        break;
                    }
                    occupancy.bind(pod, Some(node));
                    let unmet = occupancy.preference_of_node(pod, node);
                    worth += lot.worth - unmet;
                    saved += occupancy.instance.unplaced_price(lot.kind.1) - unmet;
                }
            }
        }
        (worth, saved)
    }
}

impl Lot {
    /// Whether any of it still waits; forgets those that do not.
    fn waits(&mut self, occupancy: &Occupancy<'_>) -> bool {
        while self.pods.last().is_some_and(|pod| occupancy.pods[*pod].node.is_some()) {
            self.pods.pop();
        }
        !self.pods.is_empty()
    }
}

/// Share of what is free that the demand takes of the resource it takes most of; above 1 where it does not fit.
fn share_of(demand: &[i64], free: &[i64]) -> f64 {
    let shares = demand.iter().zip(free).filter(|(amount, _)| **amount > 0);
    shares
        .map(|(amount, free)| if *free > 0 { *amount as f64 / *free as f64 } else { f64::INFINITY })
        .fold(0.0, f64::max)
}
