//! Many kinds of bin: the lattice against enumeration, and packings improved from a given one.

use proptest::prelude::*;

use super::lattice::Lattice;
use super::tests::{contents, optimum};
use super::*;
use crate::domain::clock::{StopRule, Stopped};

prop_compose! {
    /// Up to four kinds of item, fifteen kinds of bin on a line, two dimensions of room and one that says which items
    /// exclude one another.
    fn many_kinds()(items in 1_usize..=4)(
        sizes in prop::collection::vec((0_i64..7, 0_i64..7, 0_i64..2, 1_u32..=3, 1_u64..40), items),
        step in (1_i64..4, 1_i64..4),
        at_most in prop::option::of(prop::collection::vec(0_u32..3, items)),
        available in prop::option::of(0_u32..3),
    ) -> PackingProblem {
        let item = |(a, b, apart, count, unplaced_price): (i64, i64, i64, u32, u64)| {
            Item { size: vec![a * 2, b * 3, apart], count, unplaced_price }
        };
        let bin = |number: i64| BinType {
            capacity: vec![step.0 * number + 1, step.1 * number + 2, 1],
            price: number as u64 * 3 + 1,
            // Some of a limited kind, and some that do not take every item.
            available: available.filter(|_| number % 5 == 0),
            at_most: at_most.clone().filter(|_| number % 3 == 0).unwrap_or_default(),
        };
        PackingProblem { items: sizes.into_iter().map(item).collect(), bins: (1..=15).map(bin).collect() }
    }
}

/// A tenth of the bins are never searched, the others by the lattice or one by one.
fn small_bins(problem: &PackingProblem) -> Packing {
    let of = |bin: usize| Pattern { bin, items: Vec::new() };
    Packing { bins: (0..problem.bins.len() - 2).map(of).collect() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_pattern_is_worth_more_than_its_cell_of_the_lattice(
        problem in many_kinds(),
        worths in prop::collection::vec(0_u32..10, 4),
    ) {
        let worth: Vec<f64> = worths.iter().take(problem.items.len()).map(|w| f64::from(*w) / 3.0).collect();
        let counts: Vec<u32> = problem.items.iter().map(|item| item.count).collect();
        let value = |content: &Vec<u32>| content.iter().zip(&worth).map(|(n, w)| f64::from(*n) * w).sum::<f64>();
        let Some(lattice) = Lattice::new(&problem, &small_bins(&problem)) else { return Ok(()) };
        let above = vec![0.5; problem.bins.len()];
        for (bin, priced) in lattice.price(&problem, &worth, &counts, &above) {
            let all = contents(&problem, bin, &counts);
            let most = all.iter().map(value).fold(0.0, f64::max);
            prop_assert!(priced.most >= most - 1e-9, "{} for {most}", priced.most);
            for (worth, pattern) in priced.patterns {
                let content: Vec<u32> = (0..counts.len()).map(|item| pattern.count_of(item)).collect();
                prop_assert!(all.contains(&content) && (value(&content) - worth).abs() < 1e-9 && worth > 0.5);
            }
        }
    }

    #[test]
    fn an_improved_packing_costs_no_less_than_the_optimum_and_the_bound_is_below_it(problem in many_kinds()) {
        let stop = StopRule { gap: 0.0, ..StopRule::default() };
        let given = solve(&problem, &stop, &Stopped);
        let improved = improve(&problem, Packing::default(), &stop, &Stopped).answer;
        prop_assert_eq!(check(&problem, &improved.packing), Ok(()));
        let optimum = optimum(&problem);
        prop_assert!(improved.bound <= optimum && optimum <= improved.cost, "{:?} for {}", improved, optimum);
        prop_assert!(given.bound <= optimum && optimum <= given.cost, "{:?} for {}", given, optimum);
        let again = improve(&problem, given.packing.clone(), &stop, &Stopped).answer;
        prop_assert!(again.cost <= given.cost && again.bound <= optimum);
    }
}

#[test]
fn a_lattice_too_fine_for_its_cells_still_bounds() {
    // Sizes without a common divisor: a million cells hold them only in a larger unit.
    let items: Vec<Item> = (0..6_i64)
        .map(|i| Item { size: vec![100_003 + 7_919 * i, 50_021 + 104_729 * (i % 3)], count: 9, unplaced_price: 10_000 })
        .collect();
    let bins: Vec<BinType> = (1..=20_i64)
        .map(|n| BinType {
            capacity: vec![200_000 * n, 150_000 * n],
            price: n as u64 * 100 + 7,
            available: None,
            at_most: Vec::new(),
        })
        .collect();
    let problem = PackingProblem { items, bins };
    let lattice = Lattice::new(&problem, &Packing::default()).expect("two axes");
    let counts = vec![9; 6];
    let worth = [0.3, 0.5, 0.7, 0.35, 0.55, 0.8];
    let above = vec![0.0; 20];
    let found = lattice.price(&problem, &worth, &counts, &above);
    assert_eq!(found.len(), 20);
    for (bin, priced) in found {
        let exact = pricing::price(&problem, bin, &worth, &counts, 0.0, 20_000);
        let best = exact.patterns.iter().map(|(worth, _)| *worth).fold(0.0, f64::max);
        assert!(priced.most >= best - 1e-9, "bin {bin}: {} for {best}", priced.most);
        let packed = Packing { bins: priced.patterns.iter().map(|(_, pattern)| pattern.clone()).take(1).collect() };
        assert_eq!(check(&problem, &packed), Ok(()));
    }
}
