//! Buying by node patterns: what waits as a packing problem, its packing on concrete nodes, and the bound it proves.
//!
//! 1. [`demand`]: waiting pods alike become items, offers alike become kinds of bin.
//! 2. [`patterns::improve`] packs them, from what was bought so far on.
//! 3. [`place`]: nodes are bought as the packing says, and filled with pods that every rule lets on.
//!
//! The packing knows what one node can hold: room, labels and taints, pods that exclude one another. Rules between nodes are
//! left to [`place`], so the bound of the packing is one of every plan where nothing but these pods is decided.

mod demand;
mod place;

use crate::domain::clock::{Clock, StopRule};

use super::buy::buy_greedily;
use super::occupancy::Occupancy;
use super::patterns::{self, Packing};
use super::place::{close_empty, place_waiting};
use super::round::Guide;
use demand::{Demand, settled_cost};
use place::{fill_nodes, swap_in};

/// Smallest difference between prices an hour that packings are compared by.
const PRICE_UNIT: f64 = 1e-6;

/// What was learnt of what is to be bought.
pub(super) struct Purchase {
    demand: Demand,
    packing: Packing,
    /// No plan costs less an hour; `None` where more is decided than what to buy for pods that wait.
    pub(super) bound: Option<f64>,
    /// What one pod more adds to the cost, by (group, size).
    pub(super) worth: Vec<((usize, usize), f64)>,
}

/// What to buy for the pods that wait in `before`, beginning with what was bought for them in `bought`; `None` where
/// nothing waits or nothing can be bought.
pub(super) fn purchase(
    before: &Occupancy<'_>,
    bought: &Occupancy<'_>,
    stop: &StopRule,
    clock: &dyn Clock,
) -> Option<Purchase> {
    let demand = Demand::new(before)?;
    let given = demand.packing_of(bought);
    let improved = patterns::improve(&demand.problem, given, stop, clock);
    let settled = settled_cost(before.instance);
    let bound = settled.map(|settled| improved.answer.bound as f64 * PRICE_UNIT + settled);
    let worth = demand.worth_of_groups(before, &improved.worth);
    Some(Purchase { demand, packing: improved.answer.packing, bound, worth })
}

/// Buys for the pods that wait as the packing says; what it leaves without a node goes where there is room, then on nodes
/// bought greedily.
pub(super) fn buy_as_packed(
    occupancy: &mut Occupancy<'_>,
    purchase: &Purchase,
    guide: &Guide,
    out_of_time: &dyn Fn() -> bool,
) {
    let even = occupancy.keeps_even();
    fill_nodes(occupancy, purchase, out_of_time);
    place_waiting(occupancy, |_| true);
    swap_in(occupancy, out_of_time);
    let all = (0..occupancy.nodes.len()).collect();
    close_empty(occupancy, &all);
    buy_greedily(occupancy, guide, out_of_time);
    occupancy.keep_even(even);
}
