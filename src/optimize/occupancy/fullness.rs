//! Open nodes of each class in the order of how full they are, so that the fullest that takes a pod is found without
//! looking at all.

use std::collections::BTreeSet;

use super::super::layout::Layout;
use super::NodeState;

/// Open nodes by class, the fullest first, ties by number.
#[derive(Debug, Clone, Default)]
pub(super) struct Fullness {
    classes: Vec<BTreeSet<(Room, usize)>>,
}

/// What is free, weighed: the bits of a number that is not negative are in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Room(u64);

impl Room {
    /// Room of amounts; below 0, where a node is over-committed, counts as none.
    fn of(layout: &Layout, amounts: &[i64]) -> Self {
        let parts = amounts.iter().zip(&layout.weights);
        Self(parts.map(|(amount, weight)| (*amount).max(0) as f64 * weight).sum::<f64>().to_bits())
    }

    pub(super) fn of_node(layout: &Layout, node: &NodeState) -> Self {
        Self::of(layout, &node.free)
    }

    /// The least room of a node that can hold the demand. Sums may differ in their last bits.
    pub(super) fn for_demand(layout: &Layout, demand: &[i64]) -> Self {
        let Self(bits) = Self::of(layout, demand);
        Self((f64::from_bits(bits) * (1.0 - 1e-9)).to_bits())
    }
}

impl Fullness {
    pub(super) fn new(layout: &Layout) -> Self {
        Self { classes: vec![BTreeSet::new(); layout.classes.len()] }
    }

    /// The node joins, or leaves with the room it joined with.
    pub(super) fn node(&mut self, layout: &Layout, node: usize, state: &NodeState, up: bool) {
        let class = &mut self.classes[layout.class_of[state.site]];
        let key = (Room::of_node(layout, state), node);
        if up {
            class.insert(key);
        } else {
            class.remove(&key);
        }
    }

    /// Nodes of the class with at least this much room, the fullest first.
    pub(super) fn of_class(&self, class: usize, least: Room) -> impl Iterator<Item = (Room, usize)> {
        self.classes[class].range((least, 0)..).copied()
    }
}
