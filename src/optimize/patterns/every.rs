//! Every pattern that a packing of a given cost may be made of, found by what the prices of the pattern LP leave.
//!
//! With worths of the items, each bin of a packing is charged its price less the worth of its content. The charges of
//! all bins add up to at most the packing's cost less the bound those worths prove. So a pattern that is charged more
//! than a target cost less the bound is in no packing of the target cost, and a program over all the others decides
//! whether there is one.

use super::master::unit;
use super::pricing::{Search, price};
use super::{PackingProblem, Pattern, column};

/// Patterns in all.
const MOST_PATTERNS: usize = 30_000;

/// Steps of the search for them, for each kind of bin.
const MOST_STEPS: usize = 20_000_000;

/// Added to the room for charges against errors of rounding.
const ROUNDING: f64 = 1e-6;

/// Every pattern to which nothing can be added and that may be in a packing that costs at most `target`; `None` if
/// there are too many. No size may be negative.
pub(super) fn every(problem: &PackingProblem, worth: &[f64], target: u64) -> Option<Vec<Pattern>> {
    let unit = unit(problem);
    let counts: Vec<u32> = problem.items.iter().map(|item| item.count).collect();
    let (worth, excess) = fair(problem, worth, &counts);
    let items: f64 = worth.iter().zip(&counts).map(|(worth, count)| worth * f64::from(*count)).sum();
    let quotas = problem.bins.iter().zip(&excess).map(|(kind, excess)| excess * f64::from(kind.available.unwrap_or(0)));
    let bound = items - quotas.sum::<f64>();
    let room = (target as f64 / unit - bound) + ROUNDING;
    let mut patterns = Vec::new();
    for (bin, kind) in problem.bins.iter().enumerate() {
        let least = kind.price as f64 / unit + excess[bin] - room;
        let Some(search) = Search::new(problem, bin, &worth, &counts, true) else { continue };
        let mut collect = Collect { search, least, found: Vec::new(), steps: MOST_STEPS };
        let everything: Vec<usize> = (0..collect.search.len()).collect();
        collect.descend(&everything, &kind.capacity, 0.0);
        if collect.steps == 0 || patterns.len() + collect.found.len() >= MOST_PATTERNS {
            return None;
        }
        let full = collect.found.into_iter().map(|chosen| collect.search.pattern(bin, &chosen));
        patterns.extend(full.filter(|pattern| is_full(problem, pattern)));
    }
    Some(patterns)
}

/// The worths, scaled so that no pattern of a kind without quota is worth more than its price; and for each kind of bin
/// by how much a pattern may be worth more.
fn fair(problem: &PackingProblem, worth: &[f64], counts: &[u32]) -> (Vec<f64>, Vec<f64>) {
    let unit = unit(problem);
    let items = problem.items.iter().zip(worth);
    let mut worth: Vec<f64> = items.map(|(item, worth)| worth.clamp(0.0, item.unplaced_price as f64 / unit)).collect();
    let prices: Vec<f64> = problem.bins.iter().map(|kind| kind.price as f64 / unit).collect();
    let above = prices.iter().enumerate();
    let most: Vec<f64> =
        above.map(|(bin, above)| price(problem, bin, &worth, counts, *above, MOST_STEPS).most).collect();
    let unlimited = problem.bins.iter().map(|kind| kind.available.is_none());
    let dear = unlimited.zip(prices.iter().zip(&most)).filter(|(unlimited, (price, most))| *unlimited && most > price);
    let scale = dear.fold(1.0_f64, |scale, (_, (price, most))| scale.min(price / most));
    for worth in &mut worth {
        *worth *= scale;
    }
    let excess = prices.iter().zip(&most).map(|(price, most)| (scale * most - price).max(0.0)).collect();
    (worth, excess)
}

/// Whether nothing can be added.
fn is_full(problem: &PackingProblem, pattern: &Pattern) -> bool {
    let room = column::room(problem, pattern);
    let kind = &problem.bins[pattern.bin];
    problem.items.iter().enumerate().all(|(index, item)| {
        pattern.count_of(index) >= item.count.min(kind.limit(index)) || !column::fits(&room, &item.size)
    })
}

struct Collect {
    search: Search,
    least: f64,
    found: Vec<Vec<(usize, u32)>>,
    steps: usize,
}

impl Collect {
    /// Goes on from what is chosen with the candidates that still fit, and keeps what leaves none.
    fn descend(&mut self, candidates: &[usize], room: &[i64], worth: f64) {
        if candidates.is_empty() && worth >= self.least {
            self.found.push(self.search.chosen.clone());
        }
        for (at, &candidate) in candidates.iter().enumerate() {
            let rest = &candidates[at..];
            if worth + self.search.bound(rest, room) < self.least {
                return;
            }
            for count in (1..=self.search.most_of(candidate, room)).rev() {
                if self.steps == 0 || self.found.len() >= MOST_PATTERNS {
                    self.steps = 0;
                    return;
                }
                self.steps -= 1;
                let left = self.search.room_after(candidate, count, room);
                let fitting: Vec<usize> =
                    rest[1..].iter().copied().filter(|&c| self.search.most_of(c, &left) > 0).collect();
                self.search.chosen.push((candidate, count));
                self.descend(&fitting, &left, worth + self.search.worth_of(candidate, count));
                self.search.chosen.pop();
            }
        }
    }
}
