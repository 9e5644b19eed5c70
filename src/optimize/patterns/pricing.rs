//! Pricing: the pattern of one kind of bin whose items are worth most, a knapsack in several dimensions.
//!
//! Depth first with branch and bound. Items are in the order of worth for their share of the room, where the shares of
//! the dimensions are weighed so that the bound by a fractional knapsack over the weighed room is small. Each branch of
//! the root (patterns whose first item in that order is the same) keeps a best of its own, which gives many different
//! columns a round, and the largest of the branches' bounds is a bound of every pattern even where a branch is cut off.

use super::{PackingProblem, Pattern};

/// Rounds of weighing the dimensions against one another.
const WEIGHING_ROUNDS: usize = 24;

/// Up to so many items, those that fit are counted for a bound.
const MOST_COUNTED: i64 = 8;

/// What pricing found.
#[derive(Debug, Clone, Default)]
pub(super) struct Priced {
    /// Patterns worth more than asked for, with their worth; at most one for each first item.
    pub(super) patterns: Vec<(f64, Pattern)>,
    /// No pattern is worth more than this, or than what was asked for.
    pub(super) most: f64,
}

/// Items as the search sees them: those that fit, best first.
pub(super) struct Search {
    dimensions: usize,
    index: Vec<usize>,
    worth: Vec<f64>,
    limit: Vec<u32>,
    /// Share of the room by the weights of the dimensions.
    share: Vec<f64>,
    /// Flat, `dimensions` a candidate.
    size: Vec<i64>,
    weights: Vec<f64>,
    nodes: usize,
    best: f64,
    best_items: Vec<(usize, u32)>,
    /// Candidates and their numbers.
    pub(super) chosen: Vec<(usize, u32)>,
    /// Bound of what a cut-off branch may still hold.
    open: f64,
    /// Levels not in use.
    levels: Vec<Level>,
}

/// Patterns of the kind of bin worth more than `above`, by the worth of one of each item. Visits at most `nodes` nodes
/// in each branch. `counts` says how many of each item there are. No size may be negative.
pub(super) fn price(
    problem: &PackingProblem,
    bin: usize,
    worth: &[f64],
    counts: &[u32],
    above: f64,
    nodes: usize,
) -> Priced {
    let Some(mut search) = Search::new(problem, bin, worth, counts, false) else { return Priced::default() };
    let capacity = &problem.bins[bin].capacity;
    let everything: Vec<usize> = (0..search.index.len()).collect();
    let mut found = Priced { patterns: Vec::new(), most: above };
    for first in 0..everything.len() {
        let candidates = &everything[first..];
        if search.bound(candidates, capacity) <= above {
            break;
        }
        search.nodes = nodes;
        search.best = above;
        search.open = f64::NEG_INFINITY;
        search.best_items.clear();
        search.branch(first, candidates, capacity, 0.0);
        found.most = found.most.max(search.best).max(search.open);
        if !search.best_items.is_empty() {
            found.patterns.push((search.best, search.pattern(bin, &search.best_items)));
        }
    }
    found
}

/// The content of the first kind of bin that is worth most, of those that are found.
pub(in super::super) fn fullest(
    problem: &PackingProblem,
    worth: &[f64],
    counts: &[u32],
    nodes: usize,
) -> Vec<(usize, u32)> {
    let found = price(problem, 0, worth, counts, 0.0, nodes);
    let best = found.patterns.into_iter().max_by(|(a, p), (b, q)| a.total_cmp(b).then_with(|| q.cmp(p)));
    best.map_or_else(Vec::new, |(_, pattern)| pattern.items)
}

impl Search {
    /// With items that are worth nothing where `worthless` says so; `None` if nothing fits.
    pub(super) fn new(
        problem: &PackingProblem,
        bin: usize,
        worth: &[f64],
        counts: &[u32],
        worthless: bool,
    ) -> Option<Self> {
        let kind = &problem.bins[bin];
        let fits = |i: usize| kind.capacity.iter().zip(&problem.items[i].size).all(|(room, size)| size <= room);
        let mut index: Vec<usize> = (0..problem.items.len())
            .filter(|&i| (worthless || worth[i] > 0.0) && counts[i] > 0 && kind.limit(i) > 0 && fits(i))
            .collect();
        if index.is_empty() {
            return None;
        }
        let weights = weigh(problem, bin, worth, counts, &index);
        let share = |i: usize| problem.items[i].size.iter().zip(&weights).map(|(s, w)| *s as f64 * w).sum::<f64>();
        let density = |i: usize| if share(i) > 0.0 { worth[i] / share(i) } else { f64::INFINITY };
        index.sort_by(|a, b| density(*b).total_cmp(&density(*a)).then(worth[*b].total_cmp(&worth[*a])).then(a.cmp(b)));
        Some(Self {
            dimensions: kind.capacity.len(),
            worth: index.iter().map(|&i| worth[i]).collect(),
            limit: index.iter().map(|&i| counts[i].min(kind.limit(i))).collect(),
            share: index.iter().map(|&i| share(i)).collect(),
            size: index.iter().flat_map(|&i| problem.items[i].size.iter().copied()).collect(),
            index,
            weights,
            nodes: 0,
            best: 0.0,
            best_items: Vec::new(),
            chosen: Vec::new(),
            open: f64::NEG_INFINITY,
            levels: Vec::new(),
        })
    }

    /// Number of candidates.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Candidates and their numbers as a pattern.
    pub(super) fn pattern(&self, bin: usize, chosen: &[(usize, u32)]) -> Pattern {
        let mut items: Vec<(usize, u32)> = chosen.iter().map(|(c, n)| (self.index[*c], *n)).collect();
        items.sort_unstable();
        Pattern { bin, items }
    }

    /// What so many of the candidate are worth.
    pub(super) fn worth_of(&self, candidate: usize, count: u32) -> f64 {
        self.worth[candidate] * f64::from(count)
    }

    /// Room left by so many of the candidate.
    pub(super) fn room_after(&self, candidate: usize, count: u32, room: &[i64]) -> Vec<i64> {
        room.iter().zip(self.size(candidate)).map(|(r, s)| r - s * i64::from(count)).collect()
    }

    fn size(&self, candidate: usize) -> &[i64] {
        &self.size[candidate * self.dimensions..][..self.dimensions]
    }

    /// Fractional knapsack over the weighed room: no choice of the candidates is worth more.
    pub(super) fn bound(&self, candidates: &[usize], room: &[i64]) -> f64 {
        let mut left: f64 = room.iter().zip(&self.weights).map(|(r, w)| *r as f64 * w).sum();
        let mut worth = 0.0;
        for &c in candidates {
            let (share, most) = (self.share[c], f64::from(self.limit[c]));
            if share * most <= left {
                left -= share * most;
                worth += self.worth[c] * most;
            } else {
                return worth + self.worth[c] * (left / share).max(0.0);
            }
        }
        worth
    }

    /// How many of the candidate fit, up to its limit.
    pub(super) fn most_of(&self, candidate: usize, room: &[i64]) -> u32 {
        let size = self.size(candidate);
        let mut most = self.limit[candidate];
        for (&size, &room) in size.iter().zip(room).filter(|(size, _)| **size > 0) {
            most = most.min(u32::try_from(room / size).unwrap_or(u32::MAX));
        }
        most
    }

    /// The most that fit together of the candidates by number alone: no more than the room holds of their smallest size
    /// in each dimension, and those worth most.
    fn bound_by_number(&self, candidates: &[usize], room: &[i64]) -> f64 {
        let smallest = |d: usize| candidates.iter().map(|c| self.size[c * self.dimensions + d]).min().unwrap_or(0);
        let holds = room.iter().enumerate().map(|(d, room)| (room, smallest(d))).filter(|(_, size)| *size > 0);
        let number = holds.map(|(room, size)| room / size).min().unwrap_or(i64::MAX);
        if number > MOST_COUNTED {
            return f64::INFINITY;
        }
        let mut top = [0.0_f64; MOST_COUNTED as usize];
        let top = &mut top[..number as usize];
        for &c in candidates {
            for _ in 0..self.limit[c].min(number as u32) {
                let at = top.partition_point(|worth| *worth >= self.worth[c]);
                if at == top.len() {
                    break;
                }
                top[at..].rotate_right(1);
                top[at] = self.worth[c];
            }
        }
        top.iter().sum()
    }

    /// Takes the candidate, the first of `candidates`, in every number that fits, and goes on with those after it.
    fn branch(&mut self, candidate: usize, candidates: &[usize], room: &[i64], worth: f64) {
        let mut level = self.levels.pop().unwrap_or_default();
        for count in (1..=self.most_of(candidate, room)).rev() {
            if self.nodes == 0 {
                self.open = self.open.max(worth + self.bound(candidates, room));
                break;
            }
            self.nodes -= 1;
            let size = self.size(candidate);
            level.room.clear();
            level.room.extend(room.iter().zip(size).map(|(r, s)| r - s * i64::from(count)));
            let now = worth + self.worth[candidate] * f64::from(count);
            self.chosen.push((candidate, count));
            if now > self.best {
                self.best = now;
                self.best_items.clone_from(&self.chosen);
            }
            level.fitting.clear();
            level.fitting.extend(candidates[1..].iter().filter(|c| self.most_of(**c, &level.room) > 0));
            let missing = self.best - now;
            if self.bound(&level.fitting, &level.room) > missing
                && self.bound_by_number(&level.fitting, &level.room) > missing
            {
                for next in 0..level.fitting.len() {
                    if now + self.bound(&level.fitting[next..], &level.room) <= self.best {
                        break;
                    }
                    self.branch(level.fitting[next], &level.fitting[next..], &level.room, now);
                }
            }
            self.chosen.pop();
        }
        self.levels.push(level);
    }
}

/// Room left and what fits into it, at one depth of the search; kept to be used again.
#[derive(Debug, Default)]
struct Level {
    room: Vec<i64>,
    fitting: Vec<usize>,
}

/// Weights of the dimensions, with the whole bin at 1, that make the fractional bound small: those a fractional filling
/// overruns gain, the others lose.
fn weigh(problem: &PackingProblem, bin: usize, worth: &[f64], counts: &[u32], index: &[usize]) -> Vec<f64> {
    let kind = &problem.bins[bin];
    let capacity: Vec<f64> = kind.capacity.iter().map(|c| (*c as f64).max(0.0)).collect();
    // A dimension without room decides by fitting alone.
    let mut weights: Vec<f64> = capacity.iter().map(|c| if *c > 0.0 { 1.0 / c } else { 0.0 }).collect();
    let scale = |weights: &mut [f64]| {
        let whole: f64 = weights.iter().zip(&capacity).map(|(w, c)| w * c).sum();
        for weight in weights {
            *weight /= whole.max(f64::MIN_POSITIVE);
        }
    };
    scale(&mut weights);
    let (mut best, mut best_weights) = (f64::INFINITY, weights.clone());
    for round in 0..WEIGHING_ROUNDS {
        let (bound, used) = fractional(problem, &weights, worth, |i| counts[i].min(kind.limit(i)), index);
        if bound < best {
            best = bound;
            best_weights.clone_from(&weights);
        }
        let step = 1.0 / (1.0 + round as f64 / 4.0);
        for (d, weight) in weights.iter_mut().enumerate() {
            if capacity[d] > 0.0 {
                *weight *= (step * (used[d] / capacity[d] - 1.0)).clamp(-1.0, 1.0).exp();
            }
        }
        scale(&mut weights);
    }
    best_weights
}

/// Worth of the fractional knapsack over weighed room 1, and what it uses of each dimension.
fn fractional(
    problem: &PackingProblem,
    weights: &[f64],
    worth: &[f64],
    limit: impl Fn(usize) -> u32,
    index: &[usize],
) -> (f64, Vec<f64>) {
    let share = |i: usize| problem.items[i].size.iter().zip(weights).map(|(s, w)| *s as f64 * w).sum::<f64>();
    let mut order: Vec<(f64, f64, usize)> = index
        .iter()
        .map(|&i| (if share(i) > 0.0 { worth[i] / share(i) } else { f64::INFINITY }, share(i), i))
        .collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.cmp(&b.2)));
    let (mut left, mut total) = (1.0, 0.0);
    let mut used = vec![0.0; weights.len()];
    for (_, share, i) in order {
        let most = f64::from(limit(i));
        let taken = if share * most <= left { most } else { (left / share).max(0.0) };
        total += worth[i] * taken;
        left -= share * taken;
        for (used, size) in used.iter_mut().zip(&problem.items[i].size) {
            *used += *size as f64 * taken;
        }
        if taken < most {
            break;
        }
    }
    (total, used)
}
