//! Whether a packing is one, decided from the problem alone.

use thiserror::Error;

use super::{Packing, PackingProblem};

/// What is wrong with a packing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// A bin or item that the problem does not have.
    #[error("bin {bin} names kind {kind} or an item that the problem does not have")]
    Unknown {
        /// Index of the bin.
        bin: usize,
        /// Its kind.
        kind: usize,
    },
    /// More in a bin than it has room for.
    #[error("bin {bin} holds {used} of {capacity} in dimension {dimension}")]
    Overfull {
        /// Index of the bin.
        bin: usize,
        /// Index of the dimension.
        dimension: usize,
        /// What its items take.
        used: i64,
        /// What there is.
        capacity: i64,
    },
    /// More copies of an item in a bin than it may hold.
    #[error("bin {bin} holds {count} of item {item}, at most {limit} may share a bin")]
    TooManyAlike {
        /// Index of the bin.
        bin: usize,
        /// Index of the item.
        item: usize,
        /// How many it holds.
        count: u32,
        /// How many it may hold.
        limit: u32,
    },
    /// More copies of an item than there are.
    #[error("item {item} is packed {packed} times, there are {count}")]
    PackedTwice {
        /// Index of the item.
        item: usize,
        /// How many are packed.
        packed: u64,
        /// How many there are.
        count: u32,
    },
    /// More bins of a kind than there are.
    #[error("{used} bins of kind {kind} are used, there are {available}")]
    TooManyBins {
        /// Index of the kind.
        kind: usize,
        /// How many are used.
        used: usize,
        /// How many there are.
        available: u32,
    },
}

/// Checks every bin, item and quota.
///
/// # Errors
/// The first fault found.
pub fn check(problem: &PackingProblem, packing: &Packing) -> Result<(), Fault> {
    let mut packed = vec![0_u64; problem.items.len()];
    let mut used_bins = vec![0_usize; problem.bins.len()];
    for (index, pattern) in packing.bins.iter().enumerate() {
        let known = |(item, _): &(usize, u32)| *item < problem.items.len();
        let Some(kind) = problem.bins.get(pattern.bin).filter(|_| pattern.items.iter().all(known)) else {
            return Err(Fault::Unknown { bin: index, kind: pattern.bin });
        };
        used_bins[pattern.bin] += 1;
        let mut inside = vec![0_u32; problem.items.len()];
        for (item, count) in &pattern.items {
            inside[*item] += count;
            packed[*item] += u64::from(*count);
        }
        for (item, &count) in inside.iter().enumerate() {
            if count > kind.limit(item) {
                return Err(Fault::TooManyAlike { bin: index, item, count, limit: kind.limit(item) });
            }
        }
        for (dimension, &capacity) in kind.capacity.iter().enumerate() {
            let used = pattern.items.iter().map(|(i, n)| problem.items[*i].size[dimension] * i64::from(*n)).sum();
            if used > capacity {
                return Err(Fault::Overfull { bin: index, dimension, used, capacity });
            }
        }
    }
    for (item, (&packed, facts)) in packed.iter().zip(&problem.items).enumerate() {
        if packed > u64::from(facts.count) {
            return Err(Fault::PackedTwice { item, packed, count: facts.count });
        }
    }
    for (kind, (&used, facts)) in used_bins.iter().zip(&problem.bins).enumerate() {
        if let Some(available) = facts.available.filter(|most| used > *most as usize) {
            return Err(Fault::TooManyBins { kind, used, available });
        }
    }
    Ok(())
}
