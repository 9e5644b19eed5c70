//! Some bins at a time, solved anew: a part of the packing is a small packing problem, whose pattern LP tells at once
//! whether anything can be saved there.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::column::room;
use super::dive::dive;
use super::greedy::portfolio;
use super::relax::{Effort, relax};
use super::solve::Watch;
use super::{BinType, Item, Packing, PackingProblem, Pattern};

/// Parts tried.
const ROUNDS: u64 = 400;

/// Bins in a part.
const FEWEST_BINS: usize = 8;
const MOST_BINS: usize = 40;

/// Random fill rules tried for a part.
const SHAKES: usize = 30;

/// Dives for a part.
const DIVES: u64 = 3;

/// A cheaper packing, if solving parts of this one anew gives one; ends at a cost of `enough`.
pub(super) fn repack(problem: &PackingProblem, packing: &Packing, enough: u64, watch: &Watch<'_>) -> Option<Packing> {
    let mut rng = Pcg64Mcg::seed_from_u64(watch.seed);
    let mut now = packing.clone();
    let mut improved = false;
    for round in 0..ROUNDS {
        if watch.out_of_time() || now.cost(problem) <= enough {
            break;
        }
        let size = rng.random_range(FEWEST_BINS..=MOST_BINS).min(now.bins.len());
        let chosen = part(problem, &now, size, &mut rng);
        if let Some(better) = solved_anew(problem, &now, &chosen, round, watch) {
            now = better;
            improved = true;
        }
    }
    improved.then_some(now)
}

/// Bins of a part: half of them those with most room, by chance, the others any.
fn part(problem: &PackingProblem, packing: &Packing, size: usize, rng: &mut Pcg64Mcg) -> Vec<usize> {
    let free = |bin: &Pattern| {
        let capacity = &problem.bins[bin.bin].capacity;
        let shares = room(problem, bin).into_iter().zip(capacity).filter(|(_, c)| **c > 0);
        shares.map(|(room, capacity)| room as f64 / *capacity as f64).sum::<f64>()
    };
    let mut order: Vec<(f64, usize)> =
        packing.bins.iter().enumerate().map(|(i, bin)| (free(bin) * (0.5 + rng.random::<f64>()), i)).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut chosen: Vec<usize> = order.iter().map(|(_, i)| *i).collect();
    let half = size / 2;
    chosen[half..].shuffle(rng);
    chosen.truncate(size);
    chosen.sort_unstable();
    chosen
}

/// The packing with the chosen bins, and what is left out, packed cheaper; `None` if that is not found.
fn solved_anew(
    problem: &PackingProblem,
    packing: &Packing,
    chosen: &[usize],
    round: u64,
    watch: &Watch<'_>,
) -> Option<Packing> {
    let mut rest = packing.bins.clone();
    for &bin in chosen.iter().rev() {
        rest.remove(bin);
    }
    let mut rest = Packing { bins: rest };
    let left = rest.unplaced(problem);
    let index: Vec<usize> = (0..left.len()).filter(|&i| left[i] > 0).collect();
    let part = PackingProblem {
        items: index.iter().map(|&i| Item { count: left[i], ..problem.items[i].clone() }).collect(),
        bins: problem.bins.iter().enumerate().map(|(kind, bin)| reduced(bin, kind, &rest, &index)).collect(),
    };
    let cost = packing.cost(problem) - rest.bins.iter().map(|bin| problem.bins[bin.bin].price).sum::<u64>();
    let filled = portfolio(&part, SHAKES, cost - 1, round, &|| watch.out_of_time())?;
    let mut better = (filled.cost(&part) < cost).then_some(filled);
    if better.is_none() {
        let mut relaxed = relax(&part, &Packing::default(), cost, Effort::WHOLE, watch)?;
        for dives in 0..DIVES {
            if relaxed.bound < cost && better.is_none() {
                let noise = if dives == 0 { 0.0 } else { 0.3 };
                better = dive(&part, &mut relaxed, cost, noise, round + dives, watch);
                better = better.filter(|packing| packing.cost(&part) < cost);
            }
        }
    }
    rest.bins.extend(better?.bins.into_iter().map(|bin| Pattern {
        bin: bin.bin,
        items: bin.items.into_iter().map(|(item, count)| (index[item], count)).collect(),
    }));
    Some(rest)
}

/// The kind of bin as the other bins leave it, for the items of the index.
fn reduced(bin: &BinType, kind: usize, rest: &Packing, index: &[usize]) -> BinType {
    let used = rest.bins.iter().filter(|other| other.bin == kind).count() as u32;
    BinType {
        available: bin.available.map(|most| most.saturating_sub(used)),
        at_most: if bin.at_most.is_empty() { Vec::new() } else { index.iter().map(|&i| bin.limit(i)).collect() },
        ..bin.clone()
    }
}
