//! Packings by fill rules: one bin after the other, each filled by the rule's order of items.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::column::{add, fits, take};
use super::{Packing, PackingProblem, Pattern};

/// How the next item of a bin is chosen among those that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// The heaviest: first fit decreasing, bin by bin.
    Heaviest,
    /// The one whose shape is most like the room left: largest dot product.
    DotProduct,
    /// The one that leaves the least, measured by squares.
    Least,
}

pub(super) const FILLS: [Fill; 3] = [Fill::Heaviest, Fill::DotProduct, Fill::Least];

/// Weights that a fill rule goes by.
#[derive(Debug, Clone)]
pub(super) struct Weights {
    /// Of each dimension, for a share of the bin.
    pub(super) dimension: Vec<f64>,
    /// Of each item, what packing one is worth.
    pub(super) item: Vec<f64>,
}

impl Weights {
    /// Dimensions by how scarce they are, items by what they take of them.
    pub(super) fn by_scarcity(problem: &PackingProblem, counts: &[u32], power: i32) -> Self {
        let dimensions = problem.bins.first().map_or(0, |bin| bin.capacity.len());
        let room: Vec<f64> = (0..dimensions)
            .map(|d| problem.bins.iter().map(|bin| bin.capacity[d]).max().unwrap_or(0).max(1) as f64)
            .collect();
        let dimension: Vec<f64> = (0..dimensions)
            .map(|d| {
                let needed: f64 = problem.items.iter().zip(counts).map(|(i, n)| i.size[d] as f64 * f64::from(*n)).sum();
                (needed.max(0.0) / room[d]).powi(power)
            })
            .collect();
        let largest = dimension.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let dimension: Vec<f64> = dimension.iter().zip(&room).map(|(w, room)| w / largest / room).collect();
        let of = |size: &[i64]| size.iter().zip(&dimension).map(|(s, w)| *s as f64 * w).sum::<f64>();
        let item = problem.items.iter().map(|item| of(&item.size).max(0.0) + 1e-9).collect();
        Self { dimension, item }
    }

    /// The same, each item's weight changed by a random factor of up to 1 + `noise`.
    pub(super) fn shaken(&self, noise: f64, rng: &mut Pcg64Mcg) -> Self {
        let mut shaken = self.clone();
        for weight in shaken.item.iter_mut().chain(&mut shaken.dimension) {
            *weight *= 1.0 + noise * rng.random::<f64>();
        }
        shaken
    }
}

/// The best of the fill rules and of `rounds` random changes of them, stopping at `bound`.
pub(super) fn portfolio(
    problem: &PackingProblem,
    rounds: usize,
    bound: u64,
    seed: u64,
    out_of_time: &dyn Fn() -> bool,
) -> Option<Packing> {
    let counts: Vec<u32> = problem.items.iter().map(|item| item.count).collect();
    let bases: Vec<Weights> = (0..3).map(|power| Weights::by_scarcity(problem, &counts, power)).collect();
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut best: Option<(u64, Packing)> = None;
    for round in 0..9 + rounds {
        let (base, fill) = (&bases[round / 3 % 3], FILLS[round % 3]);
        let weights = if round < 9 { base.clone() } else { base.shaken(0.3, &mut rng) };
        let packing = Packing { bins: pack(problem, &counts, &weights, fill, &mut quotas(problem)) };
        let cost = packing.cost(problem);
        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
            best = Some((cost, packing));
        }
        if cost <= bound || out_of_time() {
            break;
        }
    }
    best.map(|(_, packing)| packing)
}

/// How many bins of each kind there are.
fn quotas(problem: &PackingProblem) -> Vec<u32> {
    problem.bins.iter().map(|bin| bin.available.unwrap_or(u32::MAX)).collect()
}

/// Packs so many of each item into bins, each time into the kind that gives the most weight for its price.
pub(super) fn pack(
    problem: &PackingProblem,
    counts: &[u32],
    weights: &Weights,
    fill: Fill,
    quotas: &mut [u32],
) -> Vec<Pattern> {
    let mut left = counts.to_vec();
    let mut order: Vec<usize> = (0..problem.items.len()).filter(|&i| left[i] > 0).collect();
    order.sort_by(|a, b| weights.item[*b].total_cmp(&weights.item[*a]).then(a.cmp(b)));
    let mut bins = Vec::new();
    while !order.is_empty() {
        let worth = |pattern: &Pattern| {
            pattern.items.iter().map(|(i, n)| weights.item[*i] * f64::from(*n)).sum::<f64>()
                / (problem.bins[pattern.bin].price as f64).max(1e-9)
        };
        let filled = (0..problem.bins.len())
            .filter(|&bin| quotas[bin] > 0)
            .map(|bin| filled(problem, bin, &order, &left, weights, fill))
            .filter(|pattern| !pattern.items.is_empty())
            .map(|pattern| (worth(&pattern), pattern));
        let Some((_, pattern)) = filled.reduce(|a, b| if b.0 > a.0 { b } else { a }) else { break };
        let times = pattern.items.iter().map(|(i, n)| left[*i] / n).min().unwrap_or(1).min(quotas[pattern.bin]).max(1);
        for (item, count) in &pattern.items {
            left[*item] -= count * times;
        }
        quotas[pattern.bin] -= times;
        bins.extend(std::iter::repeat_n(pattern, times as usize));
        order.retain(|&i| left[i] > 0);
    }
    bins
}

/// One bin filled by the rule.
fn filled(
    problem: &PackingProblem,
    bin: usize,
    order: &[usize],
    left: &[u32],
    weights: &Weights,
    fill: Fill,
) -> Pattern {
    let kind = &problem.bins[bin];
    let mut pattern = Pattern { bin, items: Vec::new() };
    let mut room = kind.capacity.clone();
    let mut candidates: Vec<usize> = order.to_vec();
    loop {
        candidates.retain(|&i| pattern.count_of(i) < left[i].min(kind.limit(i)) && fits(&room, &problem.items[i].size));
        let score = |i: usize| {
            let size = &problem.items[i].size;
            let parts = room.iter().zip(size).zip(&weights.dimension);
            match fill {
                Fill::Heaviest => 0.0,
                Fill::DotProduct => parts.map(|((r, s), w)| w * w * (*r as f64) * (*s as f64)).sum(),
                Fill::Least => -parts.map(|((r, s), w)| (w * (r - s) as f64).powi(2)).sum::<f64>(),
            }
        };
        let next = match fill {
            Fill::Heaviest => candidates.first().copied(),
            _ => candidates.iter().map(|&i| (score(i), i)).reduce(|a, b| if b.0 > a.0 { b } else { a }).map(|b| b.1),
        };
        let Some(item) = next else { return pattern };
        add(&mut pattern, item);
        take(&mut room, &problem.items[item].size, 1);
    }
}
