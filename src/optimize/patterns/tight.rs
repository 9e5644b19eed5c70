//! Packings without any waste: where the items fill the bins of the bound exactly, in every dimension, only patterns
//! that fill a bin exactly can be in such a packing. There are few of them, and they are found by looking up the last
//! item by what is missing.

use std::collections::BTreeMap;

use super::whole::{Aim, whole};
use super::{Packing, PackingProblem, Pattern};

/// Items in a bin.
const MOST_ITEMS: usize = 4;

/// Patterns.
const MOST_PATTERNS: usize = 200_000;

/// Steps of the search for patterns.
const MOST_STEPS: usize = 100_000_000;

/// A packing into the bins of the bound, if the items fill them exactly and one of at most four items a bin is found.
/// No size needs to be positive.
pub(super) fn without_waste(problem: &PackingProblem, aim: Aim) -> Option<Packing> {
    let [kind] = problem.bins.as_slice() else { return None };
    let bins = aim.enough.checked_div(kind.price)?;
    let total = |d: usize| problem.items.iter().map(|i| i.size[d] * i64::from(i.count)).sum::<i64>();
    let exact = kind.capacity.iter().enumerate().all(|(d, room)| total(d) == room * i64::try_from(bins).unwrap_or(0));
    if !exact || !kind.at_most.is_empty() {
        return None;
    }
    let by_size: BTreeMap<&[i64], usize> =
        problem.items.iter().enumerate().map(|(index, item)| (item.size.as_slice(), index)).collect();
    let mut search = Search { problem, by_size, chosen: Vec::new(), found: Vec::new(), steps: MOST_STEPS };
    for items in 1..=MOST_ITEMS {
        search.fill(0, &kind.capacity, items);
        if items >= 3 && search.steps > 0 && !search.found.is_empty() {
            let patterns: Vec<&Pattern> = search.found.iter().collect();
            let packing = whole(problem, &patterns, None, aim).and_then(|whole| whole.packing);
            if let Some(packing) = packing.filter(|packing| packing.cost(problem) <= aim.enough) {
                return Some(packing);
            }
        }
    }
    None
}

struct Search<'a> {
    problem: &'a PackingProblem,
    by_size: BTreeMap<&'a [i64], usize>,
    chosen: Vec<usize>,
    found: Vec<Pattern>,
    steps: usize,
}

impl Search<'_> {
    /// Finds all ways to fill the room with so many items, in the order of their index from `first` on.
    fn fill(&mut self, first: usize, room: &[i64], items: usize) {
        if items == 1 {
            self.steps = self.steps.saturating_sub(1);
            let last = self.by_size.get(room).copied().filter(|last| *last >= first);
            if let Some(last) = last.filter(|last| self.has_another(*last)) {
                let mut pattern = Pattern { bin: 0, items: Vec::new() };
                for &item in self.chosen.iter().chain([&last]) {
                    super::column::add(&mut pattern, item);
                }
                self.found.push(pattern);
            }
            return;
        }
        for item in first..self.problem.items.len() {
            if self.steps == 0 || self.found.len() >= MOST_PATTERNS {
                return;
            }
            if self.has_another(item) {
                let rest: Vec<i64> = room.iter().zip(&self.problem.items[item].size).map(|(r, s)| r - s).collect();
                self.chosen.push(item);
                self.fill(item, &rest, items - 1);
                self.chosen.pop();
            }
        }
    }

    fn has_another(&self, item: usize) -> bool {
        let taken = self.chosen.iter().filter(|other| **other == item).count();
        taken < self.problem.items[item].count as usize
    }
}
