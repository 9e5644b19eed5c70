//! Bounds that need no program: room summed over bins, and items of which no two share a bin.

use super::PackingProblem;

/// No packing costs less than this.
pub(super) fn volume_bound(problem: &PackingProblem) -> u64 {
    let [kind] = problem.bins.as_slice() else { return 0 };
    let cheapest_left_out = problem.items.iter().map(|item| item.unplaced_price).min().unwrap_or(0);
    let items: u64 = problem.items.iter().map(|item| u64::from(item.count)).sum();
    // Leaving items out must never be the cheaper way, or the room they would need is not needed.
    let bins = bins_by_volume(problem).max(bins_by_conflict(problem));
    if cheapest_left_out >= kind.price && bins <= items { bins * kind.price } else { 0 }
}

/// Room needed over room of a bin in the scarcest dimension, for the single kind of bin.
fn bins_by_volume(problem: &PackingProblem) -> u64 {
    let capacity = &problem.bins[0].capacity;
    (0..capacity.len())
        .filter(|&d| capacity[d] > 0)
        .map(|d| {
            let needed: i64 = problem.items.iter().map(|item| item.size[d] * i64::from(item.count)).sum();
            needed.max(0).unsigned_abs().div_ceil(capacity[d].unsigned_abs())
        })
        .max()
        .unwrap_or(0)
}

/// A set of items of which no two share a bin, grown greedily from those with the most conflicts.
fn bins_by_conflict(problem: &PackingProblem) -> u64 {
    if problem.items.iter().any(|item| item.size.iter().any(|s| *s < 0)) {
        return 0;
    }
    let capacity = &problem.bins[0].capacity;
    let apart = |a: usize, b: usize| {
        let (a, b) = (&problem.items[a].size, &problem.items[b].size);
        a.iter().zip(b).zip(capacity).any(|((a, b), c)| a + b > *c)
    };
    let count = problem.items.len();
    let conflicts: Vec<usize> = (0..count).map(|a| (0..count).filter(|b| apart(a, *b)).count()).collect();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(conflicts[i]), i));
    let mut clique: Vec<usize> = Vec::new();
    for item in order {
        if clique.iter().all(|other| apart(item, *other)) {
            clique.push(item);
        }
    }
    let bins_of = |&i: &usize| if apart(i, i) { u64::from(problem.items[i].count) } else { 1 };
    clique.iter().map(bins_of).sum()
}
