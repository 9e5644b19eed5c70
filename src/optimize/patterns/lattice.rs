//! Pricing for many kinds of bin at once: dynamic programming over a lattice of room.
//!
//! What a room can hold at most is worked out cell by cell, so that one pass prices every kind of bin that takes the
//! same items. Room is counted in a unit of each dimension: the greatest common divisor of the sizes, or a larger one
//! where the lattice would have too many cells. Sizes and rooms are rounded down to it: what fits a bin fits the lattice,
//! so the worth found there bounds that of every pattern. Numbers of items and dimensions that are left out bound
//! nothing here either; a pattern read from the lattice is cut down to what really fits.

use std::collections::{BTreeMap, BTreeSet};

use super::column::{fits, take};
use super::pricing::Priced;
use super::{Item, Packing, PackingProblem, Pattern};

/// Cells of a lattice.
const MOST_CELLS: usize = 700_000;

/// How much larger the bins of a second, coarser lattice are than those of the first.
const SECOND: i64 = 4;

/// Lattices, and sets of items that exclude one another in each.
const MOST_TABLES: usize = 4;
const MOST_SETS: usize = 4;

/// Patterns of small bins in a round that leave larger ones for later.
const FEW: usize = 40;

/// Axes that are looked at; dimensions beyond are left out.
const MOST_AXES: usize = 3;

/// Share of the bins of the packing at hand that a lattice is to be large enough for.
const COVERED_SHARE: f64 = 0.97;

/// Errors of adding worths up, as a share of the worth.
const ROUNDING: f64 = 1e-9;

/// The lattices of a problem: fine ones for small bins, coarse ones for larger ones.
pub(super) struct Lattice {
    fine: Vec<Table>,
    coarse: Vec<Table>,
}

/// A lattice for kinds of bin that take the same items.
struct Table {
    /// Kinds of bin, with the cell of their room.
    bins: Vec<(usize, usize)>,
    /// Cells of a row: along the last axis.
    row: usize,
    /// Cells along each of the other axes.
    outer: Vec<usize>,
    /// Items of which a bin may hold several.
    free: Vec<Step>,
    /// Those that take no cell: so many fit as fit.
    weightless: Vec<usize>,
    /// Sets of items of which a bin holds at most one.
    sets: Vec<Vec<Step>>,
}

/// What one of an item takes, in cells.
#[derive(Clone)]
struct Step {
    item: usize,
    outer: Vec<usize>,
    /// Rows between a cell and the one without the item.
    rows: usize,
    /// Cells along the row.
    along: usize,
}

/// A dimension counted in cells.
struct Axis {
    dimension: usize,
    unit: i64,
    /// Largest room.
    room: i64,
}

impl Axis {
    fn cells(&self) -> usize {
        usize::try_from(self.room / self.unit).unwrap_or(0) + 1
    }
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

impl Table {
    fn new(problem: &PackingProblem, limits: &[u32], bins: &[usize]) -> Option<Self> {
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

    fn rows(&self) -> usize {
        self.outer.iter().product()
    }

    /// Items that take no cell, each as often as one bin may hold it.
    fn beside(&self, problem: &PackingProblem, bin: usize, counts: &[u32]) -> Vec<usize> {
        let kind = &problem.bins[bin];
        let times = |item: usize| {
            let room = problem.items[item].size.iter().zip(&kind.capacity).filter(|(size, _)| **size > 0);
            let fit = room.map(|(size, room)| u32::try_from(room / size).unwrap_or(u32::MAX)).min();
            counts[item].min(kind.limit(item)).min(fit.unwrap_or(u32::MAX)) as usize
        };
        self.weightless.iter().flat_map(|item| std::iter::repeat_n(*item, times(*item))).collect()
    }

    /// Whether the row has room for the step along every axis but the last.
    fn holds(&self, row: usize, step: &Step) -> bool {
        let mut rest = row;
        self.outer.iter().zip(&step.outer).rev().all(|(cells, taken)| {
            let at = rest % cells;
            rest /= cells;
            at >= *taken
        })
    }

    /// The cell without the item; `None` where the item does not fit.
    fn without(&self, cell: usize, step: &Step) -> Option<usize> {
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

/// The scarcest dimensions, in units that keep the lattice small; the one with most cells last.
fn axes(problem: &PackingProblem, items: &[usize], bins: &[usize], apart: &BTreeSet<usize>) -> Option<Vec<Axis>> {
    let dimensions = problem.bins[bins[0]].capacity.len();
    let room = |d: usize| bins.iter().map(|bin| problem.bins[*bin].capacity[d]).max().unwrap_or(0);
    let asked = |d: usize| -> f64 {
        let all = items.iter().map(|item| problem.items[*item].size[d] as f64 * f64::from(problem.items[*item].count));
        all.sum::<f64>() / (room(d) as f64).max(1.0)
    };
    let unit = |d: usize| items.iter().map(|item| problem.items[*item].size[d]).fold(0, gcd).max(1);
    let mut order: Vec<usize> = (0..dimensions).filter(|d| !apart.contains(d) && asked(*d) > 0.0).collect();
    order.sort_by(|a, b| asked(*b).total_cmp(&asked(*a)).then(a.cmp(b)));
    let mut axes: Vec<Axis> = Vec::new();
    for dimension in order {
        if axes.len() < MOST_AXES && !axes.iter().any(|axis| implied(problem, items, bins, dimension, axis.dimension)) {
            axes.push(Axis { dimension, unit: unit(dimension), room: room(dimension) });
        }
    }
    while axes.iter().map(Axis::cells).try_fold(1_usize, usize::checked_mul).is_none_or(|cells| cells > MOST_CELLS) {
        let axis = axes.iter_mut().filter(|axis| axis.cells() > 1).min_by(|a, b| {
            let loss = |axis: &Axis| rounded_off(problem, items, axis.dimension, axis.unit * 2);
            loss(a).total_cmp(&loss(b)).then(b.cells().cmp(&a.cells()))
        })?;
        axis.unit *= 2;
    }
    axes.sort_by_key(Axis::cells);
    (!axes.is_empty()).then_some(axes)
}

/// Share of all that is asked of the dimension that rounding down to the unit loses.
fn rounded_off(problem: &PackingProblem, items: &[usize], dimension: usize, unit: i64) -> f64 {
    let sum = |amount: &dyn Fn(i64) -> i64| -> f64 {
        let of = |item: &usize| {
            let Item { size, count, .. } = &problem.items[*item];
            amount(size[dimension]) as f64 * f64::from(*count)
        };
        items.iter().map(of).sum()
    };
    sum(&|size| size % unit) / sum(&|size| size).max(1.0)
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Whether what fits by the one dimension fits by the other: every item takes no larger a share of every bin.
fn implied(problem: &PackingProblem, items: &[usize], bins: &[usize], other: usize, by: usize) -> bool {
    bins.iter().map(|bin| &problem.bins[*bin].capacity).all(|room| {
        items.iter().map(|item| &problem.items[*item].size).all(|size| {
            i128::from(size[other]) * i128::from(room[by]) <= i128::from(size[by]) * i128::from(room[other])
        })
    })
}

/// The most that each cell is worth.
struct Filled<'a> {
    table: &'a Table,
    worth: &'a [f64],
    /// With items of no set, then with those of one set more each; the last set is left out.
    layers: Vec<Vec<f64>>,
}

impl<'a> Filled<'a> {
    fn new(table: &'a Table, worth: &'a [f64]) -> Self {
        let cells = table.rows() * table.row;
        let mut first = vec![0.0; cells];
        for step in table.free.iter().filter(|step| worth[step.item] > 0.0) {
            for row in (step.rows..table.rows()).filter(|row| table.holds(*row, step)) {
                let at = row * table.row;
                let (before, rest) = first.split_at_mut(at);
                let into = &mut rest[..table.row];
                if step.rows == 0 {
                    several_along(into, step.along, worth[step.item]);
                } else if step.along < table.row {
                    let from = &before[at - step.rows * table.row..][..table.row - step.along];
                    better_of(&mut into[step.along..], from, worth[step.item]);
                }
            }
        }
        let mut layers = vec![first];
        for set in table.sets.iter().take(table.sets.len().saturating_sub(1)) {
            let below = &layers[layers.len() - 1];
            let mut layer = below.clone();
            for step in set.iter().filter(|step| worth[step.item] > 0.0 && step.along < table.row) {
                for row in (step.rows..table.rows()).filter(|row| table.holds(*row, step)) {
                    let from = &below[(row - step.rows) * table.row..][..table.row - step.along];
                    better_of(&mut layer[row * table.row..][step.along..table.row], from, worth[step.item]);
                }
            }
            layers.push(layer);
        }
        Self { table, worth, layers }
    }

    /// The most that the cell is worth, and contents worth more than `above`, each with another item of the last set (or
    /// with another item at all, where there is no set).
    fn contents(&self, cell: usize, above: f64) -> (f64, Vec<Vec<usize>>) {
        let top = &self.layers[self.layers.len() - 1];
        let mut most = top[cell];
        let mut contents = Vec::new();
        if most > above {
            contents.push(self.read(cell, Vec::new()));
        }
        for step in self.table.sets.last().unwrap_or(&self.table.free) {
            let worth = self.worth[step.item];
            let Some(rest) = self.table.without(cell, step).filter(|_| worth > 0.0) else { continue };
            most = most.max(worth + top[rest]);
            if worth + top[rest] > above {
                contents.push(self.read(rest, vec![step.item]));
            }
        }
        (most, contents)
    }

    /// What makes the cell worth what it is, without the last set, added to the content.
    fn read(&self, mut cell: usize, mut content: Vec<usize>) -> Vec<usize> {
        for layer in (1..self.layers.len()).rev() {
            let below = &self.layers[layer - 1];
            if self.layers[layer][cell] > below[cell]
                && let Some((step, rest)) = self.best(cell, &self.table.sets[layer - 1], below)
            {
                content.push(step.item);
                cell = rest;
            }
        }
        while self.layers[0][cell] > 0.0 {
            let Some((step, rest)) = self.best(cell, &self.table.free, &self.layers[0]).filter(|(_, r)| *r < cell)
            else {
                break;
            };
            content.push(step.item);
            cell = rest;
        }
        content
    }

    fn best<'s>(&self, cell: usize, steps: &'s [Step], layer: &[f64]) -> Option<(&'s Step, usize)> {
        let fitting = steps.iter().filter(|step| self.worth[step.item] > 0.0);
        let fitting = fitting.filter_map(|step| Some((step, self.table.without(cell, step)?)));
        fitting.max_by(|(a, without_a), (b, without_b)| {
            (self.worth[a.item] + layer[*without_a]).total_cmp(&(self.worth[b.item] + layer[*without_b]))
        })
    }
}

/// Each cell the better of what it is and what another is with one item more.
fn better_of(into: &mut [f64], from: &[f64], worth: f64) {
    for (into, from) in into.iter_mut().zip(from) {
        let with = from + worth;
        *into = if with > *into { with } else { *into };
    }
}

/// The same within a row, any number of the item.
fn several_along(row: &mut [f64], along: usize, worth: f64) {
    if along == 0 {
        return;
    }
    for at in along..row.len() {
        row[at] = row[at].max(row[at - along] + worth);
    }
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
