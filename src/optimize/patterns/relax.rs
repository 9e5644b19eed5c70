//! Column generation: the pattern LP solved by adding the patterns its prices ask for, and the bound it proves.

use super::column::complete;
use super::master::{MEANINGFUL, Master, Prices, proven, rounded_up, unit};
use super::pricing::price;
use super::solve::Watch;
use super::{Packing, PackingProblem, Pattern};

/// Nodes of each branch of pricing in the first rounds, and in the last.
const FEWEST_NODES: usize = 200;
const MOST_NODES: usize = 2_000_000;

/// Rounds of pricing.
const MOST_ROUNDS: usize = 2_000;

/// Columns added for each kind of bin and round.
const MOST_COLUMNS: usize = 600;

/// What column generation leaves behind.
pub(super) struct Relaxed<'a> {
    pub(super) master: Master<'a>,
    /// Of the last program solved; `None` if none was.
    pub(super) prices: Option<Prices>,
    /// No packing costs less.
    pub(super) bound: u64,
    /// Worth of each item, with which `proof` was proven, in units of [`unit`].
    pub(super) worth: Vec<f64>,
    /// The bound before rounding, in the unit of prices.
    pub(super) proof: f64,
    /// Whether no pattern improves the program any more.
    pub(super) finished: bool,
}

/// Solves the pattern LP, starting with the patterns of `packing`, until no pattern improves it, it proves a bound of
/// `enough`, or the time is over.
pub(super) fn relax<'a>(
    problem: &'a PackingProblem,
    packing: &Packing,
    enough: u64,
    watch: &Watch<'_>,
) -> Option<Relaxed<'a>> {
    let mut master = Master::new(problem, watch.seconds_left())?;
    for pattern in &packing.bins {
        master.add(pattern.clone());
    }
    let mut state =
        Relaxed { master, prices: None, bound: 0, worth: vec![0.0; problem.items.len()], proof: 0.0, finished: false };
    let counts: Vec<u32> = problem.items.iter().map(|item| item.count).collect();
    let mut nodes = FEWEST_NODES;
    for round in 0..MOST_ROUNDS {
        if watch.out_of_time() || state.bound >= enough {
            break;
        }
        let Some(prices) = state.master.solve() else { break };
        let (patterns, most) = improving(problem, &prices, &counts, nodes);
        let proof = proven(problem, &prices.item, &most);
        if proof > state.proof {
            state.proof = proof;
            state.worth.clone_from(&prices.item);
            state.bound = state.bound.max(rounded_up(problem, proof));
        }
        let mut added = 0;
        for (index, mut pattern) in patterns.into_iter().enumerate() {
            let start = (index + round) % problem.items.len();
            complete(problem, &mut pattern, &counts, (start..problem.items.len()).chain(0..start));
            added += usize::from(state.master.add(pattern));
        }
        let exhausted = most
            .iter()
            .zip(&problem.bins)
            .zip(&prices.quota)
            .all(|((most, bin), quota)| *most <= bin.price as f64 / unit(problem) - quota + 2.0 * MEANINGFUL);
        state.prices = Some(prices);
        if added == 0 {
            state.finished = exhausted;
            if exhausted || nodes >= MOST_NODES {
                break;
            }
            nodes *= 10;
        }
    }
    Some(state)
}

/// Patterns worth more than their price, and for each kind of bin a bound of the worth of a pattern.
fn improving(problem: &PackingProblem, prices: &Prices, counts: &[u32], nodes: usize) -> (Vec<Pattern>, Vec<f64>) {
    let mut patterns = Vec::new();
    let mut most = Vec::with_capacity(problem.bins.len());
    for (bin, kind) in problem.bins.iter().enumerate() {
        let above = kind.price as f64 / unit(problem) - prices.quota[bin] + MEANINGFUL;
        let mut priced = price(problem, bin, &prices.item, counts, above, nodes);
        most.push(priced.most);
        priced.patterns.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        patterns.extend(priced.patterns.into_iter().take(MOST_COLUMNS).map(|(_, pattern)| pattern));
    }
    (patterns, most)
}
