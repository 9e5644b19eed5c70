//! Which dimensions a lattice has, and in what units.

use std::collections::BTreeSet;

use super::super::{Item, PackingProblem};

/// Cells of a lattice.
const MOST_CELLS: usize = 700_000;

/// Axes that are looked at; dimensions beyond are left out.
const MOST_AXES: usize = 3;

/// A dimension counted in cells.
pub(super) struct Axis {
    pub(super) dimension: usize,
    pub(super) unit: i64,
    /// Largest room.
    room: i64,
}

impl Axis {
    pub(super) fn cells(&self) -> usize {
        usize::try_from(self.room / self.unit).unwrap_or(0) + 1
    }
}

/// The scarcest dimensions, in units that keep the lattice small; the one with most cells last.
pub(super) fn axes(
    problem: &PackingProblem,
    items: &[usize],
    bins: &[usize],
    apart: &BTreeSet<usize>,
) -> Option<Vec<Axis>> {
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
