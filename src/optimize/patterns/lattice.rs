//! Pricing for many kinds of bin at once: dynamic programming over a lattice of room.
//!
//! What a room can hold at most is worked out cell by cell, so that one pass prices every kind of bin that takes the
//! same items. Room is counted in a unit of each dimension: the greatest common divisor of the sizes, or a larger one
//! where the lattice would have too many cells. Sizes and rooms are rounded down to it: what fits a bin fits the lattice,
//! so the worth found there bounds that of every pattern. Numbers of items and dimensions that are left out bound
//! nothing here either; a pattern read from the lattice is cut down to what really fits.

mod axes;
mod filled;
mod table;

use std::collections::BTreeMap;

use super::column::{fits, take};
use super::pricing::Priced;
use super::{Packing, PackingProblem, Pattern};
use filled::Filled;
use table::Table;

/// How much larger the bins of a second, coarser lattice are than those of the first.
const SECOND: i64 = 4;

/// Lattices of bins of one size.
const MOST_TABLES: usize = 4;

/// Patterns of small bins in a round that leave larger ones for later.
const FEW: usize = 40;

/// Share of the bins of the packing at hand that a lattice is to be large enough for.
const COVERED_SHARE: f64 = 0.97;

/// Errors of adding worths up, as a share of the worth.
const ROUNDING: f64 = 1e-9;

/// The lattices of a problem: fine ones for small bins, coarse ones for larger ones.
pub(super) struct Lattice {
    fine: Vec<Table>,
    coarse: Vec<Table>,
}

impl Lattice {
    /// Lattices large enough for most of the packing's bins; `None` where nothing can be gained by them.
    pub(super) fn new(problem: &PackingProblem, packing: &Packing) -> Option<Self> {
        if problem.items.iter().any(|item| item.size.iter().any(|size| *size < 0)) {
            return None;
        }
        let fine = largest_used(problem, packing);
        let coarse: Vec<i64> = fine.iter().map(|room| room.saturating_mul(SECOND)).collect();
        let within =
            |bin: usize, rooms: &[i64]| problem.bins[bin].capacity.iter().zip(rooms).all(|(c, room)| c <= room);
        let (small, others): (Vec<usize>, Vec<usize>) = (0..problem.bins.len()).partition(|bin| within(*bin, &fine));
        let others = others.into_iter().filter(|bin| within(*bin, &coarse)).collect();
        let lattice = Self { fine: tables(problem, small), coarse: tables(problem, others) };
        (!lattice.fine.is_empty() || !lattice.coarse.is_empty()).then_some(lattice)
    }

    /// For each kind of bin that has a cell: a bound of the worth of its patterns, and patterns worth more than `above`.
    pub(super) fn price(
        &self,
        problem: &PackingProblem,
        worth: &[f64],
        counts: &[u32],
        above: &[f64],
    ) -> BTreeMap<usize, Priced> {
        let mut found = BTreeMap::new();
        let price_with = |table: &Table, found: &mut BTreeMap<usize, Priced>| {
            let filled = Filled::new(table, worth);
            for &(bin, cell) in &table.bins {
                let (most, contents) = filled.contents(cell, above[bin]);
                let beside = table.beside(problem, bin, counts);
                let most = most + beside.iter().map(|item| worth[*item]).sum::<f64>();
                let cut =
                    |content: Vec<usize>| cut_down(problem, bin, [content, beside.clone()].concat(), worth, counts);
                let mut patterns: Vec<(f64, Pattern)> =
                    contents.into_iter().map(cut).filter(|(worth, _)| *worth > above[bin]).collect();
                patterns.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
                patterns.dedup_by(|a, b| a.1 == b.1);
                found.insert(bin, Priced { patterns, most: most * (1.0 + ROUNDING) });
            }
        };
        for table in &self.fine {
            price_with(table, &mut found);
        }
        // Larger bins are looked at when the small ones have little more to give.
        if found.values().map(|priced| priced.patterns.len()).sum::<usize>() < FEW {
            for table in &self.coarse {
                price_with(table, &mut found);
            }
        }
        found
    }
}

/// Lattices for kinds of bin that take the same items.
fn tables(problem: &PackingProblem, bins: Vec<usize>) -> Vec<Table> {
    let mut alike: BTreeMap<Vec<u32>, Vec<usize>> = BTreeMap::new();
    for bin in bins {
        let limits = (0..problem.items.len()).map(|item| problem.bins[bin].limit(item).min(2)).collect();
        alike.entry(limits).or_default().push(bin);
    }
    let mut groups: Vec<(Vec<u32>, Vec<usize>)> = alike.into_iter().filter(|(_, bins)| bins.len() > 1).collect();
    groups.sort_by_key(|(_, bins)| std::cmp::Reverse(bins.len()));
    groups.truncate(MOST_TABLES);
    groups.into_iter().filter_map(|(limits, bins)| Table::new(problem, &limits, &bins)).collect()
}

/// Room, dimension by dimension, that all but the largest of the packing's bins have; of all kinds where it has none.
fn largest_used(problem: &PackingProblem, packing: &Packing) -> Vec<i64> {
    let dimensions = problem.bins.first().map_or(0, |bin| bin.capacity.len());
    let used: Vec<usize> = packing.bins.iter().map(|pattern| pattern.bin).collect();
    let all: Vec<usize> = (0..problem.bins.len()).collect();
    let of = if used.is_empty() { &all } else { &used };
    let at = |d: usize| {
        let mut rooms: Vec<i64> = of.iter().map(|bin| problem.bins[*bin].capacity[d]).collect();
        rooms.sort_unstable();
        let last = rooms.len().saturating_sub(1);
        rooms.get((last as f64 * COVERED_SHARE).ceil() as usize).copied().unwrap_or(0)
    };
    (0..dimensions).map(at).collect()
}

/// The items as a pattern that fits the bin and what there is, those of least worth left out first; and its worth.
fn cut_down(
    problem: &PackingProblem,
    bin: usize,
    mut content: Vec<usize>,
    worth: &[f64],
    counts: &[u32],
) -> (f64, Pattern) {
    let kind = &problem.bins[bin];
    content.sort_by(|a, b| worth[*b].total_cmp(&worth[*a]).then(a.cmp(b)));
    let mut room = kind.capacity.clone();
    let mut numbers: BTreeMap<usize, u32> = BTreeMap::new();
    let mut total = 0.0;
    for item in content {
        let size = &problem.items[item].size;
        let have = numbers.get(&item).copied().unwrap_or(0);
        if have < counts[item].min(kind.limit(item)) && fits(&room, size) {
            take(&mut room, size, 1);
            numbers.insert(item, have + 1);
            total += worth[item];
        }
    }
    (total, Pattern { bin, items: numbers.into_iter().collect() })
}
