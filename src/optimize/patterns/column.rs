//! Patterns made fuller or slimmer: completed with what still fits, trimmed to what is there.

use super::{Packing, PackingProblem, Pattern};

/// Room the pattern leaves.
pub(super) fn room(problem: &PackingProblem, pattern: &Pattern) -> Vec<i64> {
    let mut room = problem.bins[pattern.bin].capacity.clone();
    for (item, count) in &pattern.items {
        take(&mut room, &problem.items[*item].size, i64::from(*count));
    }
    room
}

/// Takes so many items of the size out of the room.
pub(super) fn take(room: &mut [i64], size: &[i64], count: i64) {
    for (room, size) in room.iter_mut().zip(size) {
        *room -= size * count;
    }
}

/// Whether one item of the size fits.
pub(super) fn fits(room: &[i64], size: &[i64]) -> bool {
    room.iter().zip(size).all(|(room, size)| size <= room)
}

/// Fills the pattern with whatever still fits, in the order given, up to `counts` of each item.
pub(super) fn complete(
    problem: &PackingProblem,
    pattern: &mut Pattern,
    counts: &[u32],
    order: impl Iterator<Item = usize>,
) {
    let mut room = room(problem, pattern);
    let kind = &problem.bins[pattern.bin];
    for item in order {
        let size = &problem.items[item].size;
        let most = counts[item].min(kind.limit(item));
        while pattern.count_of(item) < most && fits(&room, size) {
            add(pattern, item);
            take(&mut room, size, 1);
        }
    }
}

/// One more of the item.
pub(super) fn add(pattern: &mut Pattern, item: usize) {
    match pattern.items.binary_search_by_key(&item, |(index, _)| *index) {
        Ok(at) => pattern.items[at].1 += 1,
        Err(at) => pattern.items.insert(at, (item, 1)),
    }
}

/// The packing without the copies that there are not, and with what is in no bin put where there is room for it. Bins
/// that then hold nothing are left out. Taking out is always feasible as long as no size is negative.
pub(super) fn trim(problem: &PackingProblem, mut bins: Vec<Pattern>) -> Packing {
    let mut left: Vec<u32> = problem.items.iter().map(|item| item.count).collect();
    for bin in &mut bins {
        for (item, count) in &mut bin.items {
            *count = left[*item].min(*count);
            left[*item] -= *count;
        }
        bin.items.retain(|(_, count)| *count > 0);
    }
    bins.retain(|bin| !bin.items.is_empty());
    let waiting: Vec<usize> = (0..left.len()).filter(|&item| left[item] > 0).collect();
    for bin in &mut bins {
        top_up(problem, bin, &mut left, &waiting);
    }
    Packing { bins }
}

/// Puts into the bin what fits of the waiting items.
fn top_up(problem: &PackingProblem, bin: &mut Pattern, left: &mut [u32], waiting: &[usize]) {
    let (mut room, kind) = (room(problem, bin), &problem.bins[bin.bin]);
    for &item in waiting {
        let size = &problem.items[item].size;
        while left[item] > 0 && bin.count_of(item) < kind.limit(item) && fits(&room, size) {
            add(bin, item);
            take(&mut room, size, 1);
            left[item] -= 1;
        }
    }
}
