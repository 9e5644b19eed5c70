//! Exact packing by node patterns: which sets of items one bin can hold, and how many bins of each set to buy.
//!
//! A pattern is what one bin holds. The linear program over patterns (Gilmore and Gomory's, also called configuration
//! LP) is far tighter than capacity rows summed over bins: it knows that two halves of a node in two places are no node.
//! Its columns are found by pricing, a knapsack in several dimensions per kind of bin.
//!
//! 1. [`volume`]: bounds that need no program.
//! 2. [`greedy`]: packings by a family of fill rules, seeded.
//! 3. [`tight`]: where a packing at the bound can waste next to nothing, all patterns of so little waste.
//! 4. [`relax`]: the pattern LP of [`master`], its columns from [`improving`] ([`pricing`] one kind of bin, [`lattice`]
//!    many at once), and the bound it proves.
//! 5. [`dive`], [`every`], [`whole`]: whole numbers of patterns, by rounding and pricing anew, and by an integer program
//!    over all patterns that can matter.
//! 6. [`repack`]: a few bins at a time, solved anew.
//!
//! Prices are whole numbers in a unit the caller chooses, so that costs add up exactly and a bound may be rounded up.

mod check;
mod column;
mod dive;
mod every;
mod fractional;
mod greedy;
mod improving;
mod lattice;
mod master;
mod pricing;
mod relax;
mod repack;
mod solve;
mod tight;
mod volume;
mod whole;

#[cfg(test)]
mod many_tests;
#[cfg(test)]
mod tests;

pub use check::{Fault, check};
pub(super) use pricing::fullest;
pub use solve::{Answer, Improved, Proof, Stage, improve, prove, solve};

/// Items and the bins they may go into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackingProblem {
    /// Distinct items.
    pub items: Vec<Item>,
    /// Kinds of bin.
    pub bins: Vec<BinType>,
}

/// A number of items that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What one takes of each dimension; negative where it brings room along.
    pub size: Vec<i64>,
    /// How many there are.
    pub count: u32,
    /// Price of leaving one out.
    pub unplaced_price: u64,
}

/// A kind of bin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinType {
    /// Room in each dimension.
    pub capacity: Vec<i64>,
    /// Price of one.
    pub price: u64,
    /// How many there are; `None` for any number.
    pub available: Option<u32>,
    /// Most copies of each item one bin may hold, whatever its room; empty where only the room limits.
    pub at_most: Vec<u32>,
}

impl BinType {
    /// Most copies of the item one bin may hold, whatever its room.
    #[must_use]
    pub fn limit(&self, item: usize) -> u32 {
        self.at_most.get(item).copied().unwrap_or(u32::MAX)
    }
}

/// What one bin holds: a kind of bin, and items with their numbers in the order of their index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern {
    /// Index of the kind of bin.
    pub bin: usize,
    /// Index and number of each item in it; numbers are positive.
    pub items: Vec<(usize, u32)>,
}

impl Pattern {
    /// How many of the item it holds.
    #[must_use]
    pub fn count_of(&self, item: usize) -> u32 {
        self.items.binary_search_by_key(&item, |(index, _)| *index).map_or(0, |at| self.items[at].1)
    }
}

/// Bins with their content. Items in none of them are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packing {
    /// One a bin.
    pub bins: Vec<Pattern>,
}

impl Packing {
    /// How many of each item are in no bin.
    #[must_use]
    pub fn unplaced(&self, problem: &PackingProblem) -> Vec<u32> {
        let mut left: Vec<u32> = problem.items.iter().map(|item| item.count).collect();
        for (item, count) in self.bins.iter().flat_map(|bin| &bin.items) {
            left[*item] = left[*item].saturating_sub(*count);
        }
        left
    }

    /// Price of its bins and of the items it leaves out.
    #[must_use]
    pub fn cost(&self, problem: &PackingProblem) -> u64 {
        let bins: u64 = self.bins.iter().map(|bin| problem.bins[bin.bin].price).sum();
        let left = self.unplaced(problem);
        bins + left.iter().zip(&problem.items).map(|(n, item)| u64::from(*n) * item.unplaced_price).sum::<u64>()
    }
}
