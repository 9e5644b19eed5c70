//! Diving: the pattern LP is rounded one bin after the other, and priced anew for what is left in between.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::column::{complete, trim};
use super::master::unit;
use super::relax::Relaxed;
use super::solve::Watch;
use super::{Packing, PackingProblem, Pattern};

/// Nodes of each branch of pricing.
const NODES: usize = 500;

/// Rounds of pricing between two roundings.
const PRICING_ROUNDS: usize = 2;

/// A value of so much less than a whole number is one.
const NEARLY_WHOLE: f64 = 1e-6;

/// A packing of whole patterns near the program's optimum; `None` once it is sure to cost more than `below`, or the
/// time is over. The master has the new columns afterwards and is otherwise as it was.
pub(super) fn dive(
    problem: &PackingProblem,
    relaxed: &mut Relaxed<'_>,
    below: u64,
    noise: f64,
    seed: u64,
    watch: &Watch<'_>,
) -> Option<Packing> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut fixed: Vec<(usize, u32)> = Vec::new();
    let packing = descend(problem, relaxed, below, noise, &mut rng, watch, &mut fixed);
    for (pattern, _) in fixed {
        relaxed.master.fix(pattern, 0.0);
    }
    packing
}

fn descend(
    problem: &PackingProblem,
    relaxed: &mut Relaxed<'_>,
    below: u64,
    noise: f64,
    rng: &mut Pcg64Mcg,
    watch: &Watch<'_>,
    fixed: &mut Vec<(usize, u32)>,
) -> Option<Packing> {
    let mut left: Vec<u32> = problem.items.iter().map(|item| item.count).collect();
    while left.iter().any(|n| *n > 0) {
        if watch.out_of_time() {
            return None;
        }
        let mut prices = relaxed.master.solve()?;
        for _ in 0..PRICING_ROUNDS {
            let mut added = false;
            for mut pattern in relaxed.pricer.improving(&prices.item, &prices.quota, &left, NODES, false).0 {
                complete(problem, &mut pattern, &left, 0..problem.items.len());
                added |= relaxed.master.add(pattern);
            }
            if !added {
                break;
            }
            prices = relaxed.master.solve()?;
        }
        if prices.cost * unit(problem) > below as f64 - 1.0 + NEARLY_WHOLE {
            return None;
        }
        let now =
            |pattern: usize, fixed: &[(usize, u32)]| fixed.iter().find(|(p, _)| *p == pattern).map_or(0, |(_, n)| *n);
        let mut chosen: Option<(f64, usize, u32)> = None;
        let mut whole = Vec::new();
        for (pattern, &value) in prices.values.iter().enumerate().filter(|(_, value)| **value > NEARLY_WHOLE) {
            let have = now(pattern, fixed);
            let down = (value + NEARLY_WHOLE).floor() as u32;
            if down > have {
                whole.push((pattern, down));
            }
            let fraction = value - f64::from(down);
            let score = fraction + noise * rng.random::<f64>();
            if fraction > NEARLY_WHOLE && chosen.is_none_or(|(best, ..)| score > best) {
                chosen = Some((score, pattern, down + 1));
            }
        }
        if whole.is_empty() {
            whole.extend(chosen.map(|(_, pattern, number)| (pattern, number)));
        }
        if whole.is_empty() {
            break;
        }
        for (pattern, number) in whole {
            let have = now(pattern, fixed);
            relaxed.master.fix(pattern, f64::from(number));
            fixed.retain(|(p, _)| *p != pattern);
            fixed.push((pattern, number));
            for (item, count) in &relaxed.master.patterns()[pattern].items {
                left[*item] = left[*item].saturating_sub(count * (number - have));
            }
        }
    }
    let bins = fixed
        .iter()
        .flat_map(|(pattern, n)| std::iter::repeat_n(relaxed.master.patterns()[*pattern].clone(), *n as usize));
    let bins: Vec<Pattern> = bins.collect();
    Some(trim(problem, bins))
}
