//! Column generation: the pattern LP solved by adding the patterns its prices ask for, and the bound it proves.

use super::column::complete;
use super::improving::Pricer;
use super::master::{MEANINGFUL, Master, Prices, proven, rounded_up, unit};
use super::solve::Watch;
use super::{Packing, PackingProblem};

/// Nodes of each branch of pricing in the first rounds.
const FEWEST_NODES: usize = 200;

/// Rounds of pricing.
const MOST_ROUNDS: usize = 2_000;

/// Share of the best proof's worths in those that many kinds of bin are priced with: prices of the first programs are
/// far from the last ones, and near a good proof a better one is found sooner.
const STEADINESS: f64 = 0.6;

/// How far column generation goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// Nodes of each branch of pricing in the last rounds.
    pub(super) most_nodes: usize,
    /// Part of the cost by which the bound may stay below the program's optimum.
    pub(super) tolerance: f64,
    /// Share of the time left.
    pub(super) share: f64,
}

impl Effort {
    /// To the end.
    pub(super) const WHOLE: Self = Self { most_nodes: 2_000_000, tolerance: 0.0, share: 1.0 };
}

/// What column generation leaves behind.
pub(super) struct Relaxed<'a> {
    pub(super) master: Master<'a>,
    pub(super) pricer: Pricer<'a>,
    /// Of the last program solved; `None` if none was.
    pub(super) prices: Option<Prices>,
    /// No packing costs less.
    pub(super) bound: u64,
    /// Worth of each item, with which `proof` was proven, in units of [`unit`].
    pub(super) worth: Vec<f64>,
    /// At those worths no pattern of a kind of bin is worth more than this.
    pub(super) most: Vec<f64>,
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
    effort: Effort,
    watch: &Watch<'_>,
) -> Option<Relaxed<'a>> {
    let mut master = Master::new(problem, watch.seconds_left())?;
    for pattern in &packing.bins {
        master.add(pattern.clone());
    }
    let mut state = Relaxed {
        master,
        pricer: Pricer::new(problem, packing),
        prices: None,
        bound: 0,
        worth: vec![0.0; problem.items.len()],
        most: vec![0.0; problem.bins.len()],
        proof: 0.0,
        finished: false,
    };
    let counts: Vec<u32> = problem.items.iter().map(|item| item.count).collect();
    let watch = watch.share(effort.share);
    let mut nodes = FEWEST_NODES;
    let mut steady = true;
    for round in 0..MOST_ROUNDS {
        if watch.out_of_time() || state.bound >= enough {
            break;
        }
        let Some(prices) = state.master.solve() else { break };
        steady &= state.pricer.has_many_kinds() && state.proof > 0.0;
        let worth = if steady { between(&prices.item, &state.worth) } else { prices.item.clone() };
        let (patterns, most) = state.pricer.improving(&worth, &prices.quota, &counts, nodes, true);
        let proof = proven(problem, &worth, &most);
        if proof > state.proof {
            state.proof = proof;
            state.worth.clone_from(&worth);
            state.most.clone_from(&most);
            state.bound = state.bound.max(rounded_up(problem, proof));
        }
        let mut added = 0;
        for (index, mut pattern) in patterns.into_iter().enumerate() {
            let start = (index + round) % problem.items.len();
            complete(problem, &mut pattern, &counts, (start..problem.items.len()).chain(0..start));
            let improves = !steady || prices.excess(problem, &pattern) > MEANINGFUL;
            added += usize::from(improves && state.master.add(pattern));
        }
        let near = prices.cost * unit(problem) - state.proof <= effort.tolerance * state.proof;
        let exhausted = most
            .iter()
            .zip(&problem.bins)
            .zip(&prices.quota)
            .all(|((most, bin), quota)| *most <= bin.price as f64 / unit(problem) - quota + 2.0 * MEANINGFUL);
        state.prices = Some(prices);
        if effort.tolerance > 0.0 && near {
            state.finished = true;
            break;
        }
        if added == 0 && !steady {
            state.finished = exhausted;
            if exhausted || nodes >= effort.most_nodes {
                break;
            }
            nodes *= 10;
        }
        // Where steady worths find nothing, the program's own prices decide.
        steady = added > 0;
    }
    Some(state)
}

/// Worths between the program's prices and those of the best proof.
fn between(prices: &[f64], proven: &[f64]) -> Vec<f64> {
    prices.iter().zip(proven).map(|(price, proven)| (1.0 - STEADINESS) * price + STEADINESS * proven).collect()
}
