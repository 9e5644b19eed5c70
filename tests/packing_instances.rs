//! Packings of published instances with known optimum. Needs `../shared/data`; skipped with a printed reason where that
//! folder is missing. `benches/packing.rs` runs all of them.

#![expect(clippy::print_stdout, reason = "a skipped test says why")]

#[path = "packing_instances/vectorpack.rs"]
mod vectorpack;

use plimsoll::domain::clock::{StopRule, Stopped};
use plimsoll::optimize::patterns::{check, solve};
use vectorpack::Instance;

/// Distinct items up to which an instance of any family takes well under a second.
const MOST_ITEMS: usize = 62;

/// Which of the families' small instances are solved.
const EVERY: usize = 5;

/// A spread of the small instances, and those that fill their bins exactly, of any size.
fn sample(instances: Vec<Instance>) -> Vec<Instance> {
    let small = |i: &Instance| i.problem.items.len() <= MOST_ITEMS || i.name.starts_with("classC_501_10");
    instances.into_iter().filter(|i| i.optimum.is_some() && small(i)).step_by(EVERY).collect()
}

#[test]
fn the_known_optimum_is_reached_on_a_spread_of_small_instances_and_no_bound_is_above_it() {
    let Some(instances) = vectorpack::instances() else { return };
    let sample = sample(instances);
    assert!(sample.len() > 40, "{} instances", sample.len());
    for instance in sample {
        let name = format!("{} {}", instance.family, instance.name);
        let answer = solve(&instance.problem, &StopRule::default(), &Stopped);
        assert_eq!(check(&instance.problem, &answer.packing), Ok(()), "{name}");
        assert!(answer.packing.unplaced(&instance.problem).iter().all(|n| *n == 0), "{name}");
        assert_eq!(answer.packing.bins.len() as u64, answer.cost, "{name}");
        let optimum = instance.optimum.expect("known");
        assert!(answer.bound <= optimum, "{name}: bound {} above {optimum}", answer.bound);
        assert_eq!(answer.cost, optimum, "{name}: found by {}", answer.found_by);
        assert!(answer.cost <= instance.best_heuristic, "{name}");
    }
}
