//! The cells of a lattice, and what each item takes of them.

use std::collections::BTreeSet;

use super::super::PackingProblem;
use super::axes::{Axis, axes};

/// Sets of items that exclude one another, of each lattice.
const MOST_SETS: usize = 4;

/// A lattice for kinds of bin that take the same items.
pub(super) struct Table {
    /// Kinds of bin, with the cell of their room.
    pub(super) bins: Vec<(usize, usize)>,
    /// Cells of a row: along the last axis.
    pub(super) row: usize,
    /// Cells along each of the other axes.
    pub(super) outer: Vec<usize>,
    /// Items of which a bin may hold several.
    pub(super) free: Vec<Step>,
    /// Those that take no cell: so many fit as fit.
    pub(super) weightless: Vec<usize>,
    /// Sets of items of which a bin holds at most one.
    pub(super) sets: Vec<Vec<Step>>,
}

/// What one of an item takes, in cells.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) item: usize,
    pub(super) outer: Vec<usize>,
    /// Rows between a cell and the one without the item.
    pub(super) rows: usize,
    /// Cells along the row.
    pub(super) along: usize,
}

impl Table {
    pub(super) fn new(problem: &PackingProblem, limits: &[u32], bins: &[usize]) -> Option<Self> {
        let items: Vec<usize> = (0..problem.items.len()).filter(|item| limits[*item] > 0).collect();
        let dimensions = problem.bins[bins[0]].capacity.len();
        let apart: BTreeSet<usize> = (0..dimensions).filter(|d| is_exclusion(problem, bins, *d)).collect();
        let axes = axes(problem, &items, bins, &apart)?;
        let (last, others) = axes.split_last()?;
        let outer: Vec<usize> = others.iter().map(Axis::cells).collect();
        let row_of =
            |coordinates: &[usize]| coordinates.iter().zip(&outer).fold(0, |row, (at, cells)| row * cells + at);
        let along = |axis: &Axis, size: &[i64]| usize::try_from(size[axis.dimension] / axis.unit).unwrap_or(0);
        let step = |item: usize| {
            let size = &problem.items[item].size;
            let outer: Vec<usize> = others.iter().map(|axis| along(axis, size)).collect();
            Step { item, rows: row_of(&outer), outer, along: along(last, size) }
        };
        let row = last.cells();
        let cell = |bin: usize| {
            let room = &problem.bins[bin].capacity;
            let coordinates: Vec<usize> = others.iter().map(|axis| along(axis, room)).collect();
            row_of(&coordinates) * row + along(last, room)
        };
        let bins = bins.iter().map(|bin| (*bin, cell(*bin))).collect();
        let sets = exclusive_sets(problem, limits, &items, &apart);
        let in_sets: BTreeSet<usize> = sets.iter().flatten().copied().collect();
        let free = items.iter().filter(|item| !in_sets.contains(item)).map(|item| step(*item));
        let (weightless, free): (Vec<Step>, Vec<Step>) = free.partition(|step| step.rows == 0 && step.along == 0);
        let weightless = weightless.into_iter().map(|step| step.item).collect();
        let sets = sets.iter().map(|set| set.iter().map(|item| step(*item)).collect()).collect();
        Some(Self { bins, row, outer, free, weightless, sets })
    }

    pub(super) fn rows(&self) -> usize {
        self.outer.iter().product()
    }

    /// Items that take no cell, each as often as one bin may hold it.
    pub(super) fn beside(&self, problem: &PackingProblem, bin: usize, counts: &[u32]) -> Vec<usize> {
        let kind = &problem.bins[bin];
        let times = |item: usize| {
            let room = problem.items[item].size.iter().zip(&kind.capacity).filter(|(size, _)| **size > 0);
            let fit = room.map(|(size, room)| u32::try_from(room / size).unwrap_or(u32::MAX)).min();
            counts[item].min(kind.limit(item)).min(fit.unwrap_or(u32::MAX)) as usize
        };
        self.weightless.iter().flat_map(|item| std::iter::repeat_n(*item, times(*item))).collect()
    }

    /// Whether the row has room for the step along every axis but the last.
    pub(super) fn holds(&self, row: usize, step: &Step) -> bool {
        let mut rest = row;
        self.outer.iter().zip(&step.outer).rev().all(|(cells, taken)| {
            let at = rest % cells;
            rest /= cells;
            at >= *taken
        })
    }

    /// The cell without the item; `None` where the item does not fit.
    pub(super) fn without(&self, cell: usize, step: &Step) -> Option<usize> {
        let (row, at) = (cell / self.row, cell % self.row);
        (at >= step.along && row >= step.rows && self.holds(row, step))
            .then(|| cell - step.rows * self.row - step.along)
    }
}

/// Whether the dimension only says that items exclude one another.
fn is_exclusion(problem: &PackingProblem, bins: &[usize], dimension: usize) -> bool {
    bins.iter().all(|bin| problem.bins[*bin].capacity[dimension] == 1)
}

/// Items of which a bin holds at most one, set by set; those of most items in all first.
fn exclusive_sets(
    problem: &PackingProblem,
    limits: &[u32],
    items: &[usize],
    apart: &BTreeSet<usize>,
) -> Vec<Vec<usize>> {
    let members =
        |d: &usize| items.iter().copied().filter(|item| problem.items[*item].size[*d] > 0).collect::<Vec<_>>();
    let alone = items.iter().filter(|item| limits[**item] == 1).map(|item| vec![*item]);
    let mut sets: Vec<Vec<usize>> = apart.iter().map(members).chain(alone).collect();
    let count = |set: &Vec<usize>| set.iter().map(|item| u64::from(problem.items[*item].count)).sum::<u64>();
    sets.sort_by_key(|set| std::cmp::Reverse(count(set)));
    let mut taken = BTreeSet::new();
    for set in &mut sets {
        set.retain(|item| taken.insert(*item));
    }
    sets.retain(|set| !set.is_empty());
    sets.truncate(MOST_SETS);
    sets
}
