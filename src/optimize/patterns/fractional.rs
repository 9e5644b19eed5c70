//! Pricing by parts of items: a bound of the worth of a pattern for each of many kinds of bin in turn, and a pattern near
//! it. Close where a bin holds many items, and quick, because the weights of the dimensions for one kind of bin are
//! nearly those for the next.

use std::collections::BTreeMap;

use super::column::{fits, take};
use super::pricing::Priced;
use super::{PackingProblem, Pattern};

/// Rounds of weighing the dimensions for the first kind of bin, and for each after it.
const FIRST_ROUNDS: usize = 40;
const ROUNDS: usize = 6;

/// Weights of the dimensions, as parts of a whole bin.
pub(super) struct Fractional {
    parts: Vec<f64>,
    begun: bool,
}

/// A bin filled with parts of items.
struct Filling {
    worth: f64,
    /// Part of the bin used, by dimension.
    used: Vec<f64>,
    /// Worth of the last bit of room.
    last: f64,
    /// Items, those worth most for their part first.
    order: Vec<usize>,
}

impl Fractional {
    pub(super) fn new(problem: &PackingProblem) -> Self {
        let dimensions = problem.bins.first().map_or(0, |bin| bin.capacity.len());
        Self { parts: vec![1.0; dimensions], begun: false }
    }

    /// A bound of the worth of the bin's patterns, and one pattern if it is worth more than `above`.
    pub(super) fn price(
        &mut self,
        problem: &PackingProblem,
        bin: usize,
        worth: &[f64],
        counts: &[u32],
        above: f64,
    ) -> Priced {
        let kind = &problem.bins[bin];
        // Of items that exclude one another, one is added to the others' filling for what it is worth beyond its room.
        let excludes = |d: usize| kind.capacity[d] == 1;
        let set_of = |item: usize| (0..kind.capacity.len()).find(|d| excludes(*d) && problem.items[item].size[*d] > 0);
        let can = |item: &usize| {
            worth[*item] > 0.0
                && counts[*item] > 0
                && kind.limit(*item) > 0
                && fits(&kind.capacity, &problem.items[*item].size)
        };
        let (apart, free): (Vec<usize>, Vec<usize>) =
            (0..problem.items.len()).filter(can).partition(|item| set_of(*item).is_some());
        let rounds = if self.begun { ROUNDS } else { FIRST_ROUNDS };
        self.begun = true;
        let mut parts = self.parts.clone();
        for (d, part) in parts.iter_mut().enumerate() {
            if excludes(d) || kind.capacity[d] <= 0 {
                *part = 0.0;
            } else {
                *part = part.max(1e-4);
            }
        }
        let mut best: Option<(f64, Filling, BTreeMap<usize, usize>)> = None;
        for round in 0..=rounds {
            let whole: f64 = parts.iter().sum();
            if whole <= 0.0 {
                break;
            }
            for part in &mut parts {
                *part /= whole;
            }
            let share = |item: usize| {
                let size = problem.items[item].size.iter().zip(&kind.capacity).zip(&parts);
                size.filter(|(_, part)| **part > 0.0).map(|((s, c), part)| *s as f64 * part / *c as f64).sum::<f64>()
            };
            let filling = filled(problem, bin, &free, worth, counts, &share);
            let mut chosen: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
            for &item in &apart {
                let gain = worth[item] - filling.last * share(item);
                let Some(set) = set_of(item).filter(|_| gain > 0.0) else { continue };
                let most = chosen.entry(set).or_insert((gain, item));
                if gain > most.0 {
                    *most = (gain, item);
                }
            }
            let bound = filling.worth + chosen.values().map(|(gain, _)| gain).sum::<f64>();
            let step = if rounds == ROUNDS { 0.3 } else { 1.0 / (1.0 + round as f64 / 4.0) };
            let mut next = parts.clone();
            for (part, used) in next.iter_mut().zip(&filling.used) {
                *part *= (step * (used - 1.0)).clamp(-1.0, 1.0).exp();
            }
            if best.as_ref().is_none_or(|(least, ..)| bound < *least) {
                self.parts.clone_from(&parts);
                let chosen = chosen.into_iter().map(|(set, (_, item))| (set, item)).collect();
                best = Some((bound, filling, chosen));
            }
            parts = next;
        }
        let Some((bound, filling, chosen)) = best else {
            // Nothing has room to share: what fits at all bounds it.
            let all = free.iter().chain(&apart).map(|i| worth[*i] * f64::from(counts[*i].min(kind.limit(*i))));
            return Priced { patterns: Vec::new(), most: all.sum() };
        };
        let order = chosen.values().chain(&filling.order);
        let (total, pattern) = whole_items(problem, bin, order, worth, counts);
        let patterns = if total > above { vec![(total, pattern)] } else { Vec::new() };
        Priced { patterns, most: bound }
    }
}

/// The bin filled with the items of most worth for their share of it, the last one in part.
fn filled(
    problem: &PackingProblem,
    bin: usize,
    items: &[usize],
    worth: &[f64],
    counts: &[u32],
    share: &impl Fn(usize) -> f64,
) -> Filling {
    let kind = &problem.bins[bin];
    let mut order: Vec<(f64, f64, usize)> = items
        .iter()
        .map(|&item| {
            let share = share(item);
            (if share > 0.0 { worth[item] / share } else { f64::INFINITY }, share, item)
        })
        .collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.cmp(&b.2)));
    let mut filling = Filling {
        worth: 0.0,
        used: vec![0.0; kind.capacity.len()],
        last: 0.0,
        order: order.iter().map(|o| o.2).collect(),
    };
    let mut left = 1.0;
    for (density, share, item) in order {
        let most = f64::from(counts[item].min(kind.limit(item)));
        let taken = if share * most <= left { most } else { (left / share).max(0.0) };
        filling.worth += worth[item] * taken;
        left -= share * taken;
        for ((used, size), capacity) in filling.used.iter_mut().zip(&problem.items[item].size).zip(&kind.capacity) {
            *used += *size as f64 * taken / (*capacity as f64).max(1.0);
        }
        if taken < most {
            filling.last = density;
            break;
        }
    }
    filling
}

/// As many whole items as fit, in the order given; and their worth.
fn whole_items<'a>(
    problem: &PackingProblem,
    bin: usize,
    order: impl Iterator<Item = &'a usize>,
    worth: &[f64],
    counts: &[u32],
) -> (f64, Pattern) {
    let kind = &problem.bins[bin];
    let mut room = kind.capacity.clone();
    let mut items = Vec::new();
    let mut total = 0.0;
    for &item in order {
        let size = &problem.items[item].size;
        let fit = size.iter().zip(&room).filter(|(size, _)| **size > 0).map(|(size, room)| room / size).min();
        let fit = fit.map_or(u32::MAX, |fit| u32::try_from(fit.max(0)).unwrap_or(u32::MAX));
        let number = counts[item].min(kind.limit(item)).min(fit);
        if number > 0 {
            take(&mut room, size, i64::from(number));
            total += worth[item] * f64::from(number);
            items.push((item, number));
        }
    }
    items.sort_unstable();
    (total, Pattern { bin, items })
}
