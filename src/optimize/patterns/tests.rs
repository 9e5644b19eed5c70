//! Bound ≤ optimum ≤ cost against enumeration, the checker against wrong packings, and packings worked by hand.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::clock::{StopRule, Stopped};

fn answer(problem: &PackingProblem) -> Answer {
    solve(problem, &StopRule::default(), &Stopped)
}

fn item(size: &[i64], count: u32) -> Item {
    Item { size: size.to_vec(), count, unplaced_price: 100 }
}

fn bin(capacity: &[i64], price: u64) -> BinType {
    BinType { capacity: capacity.to_vec(), price, available: None, at_most: Vec::new() }
}

/// All contents of one bin of the kind out of what is left.
pub(super) fn contents(problem: &PackingProblem, kind: usize, left: &[u32]) -> Vec<Vec<u32>> {
    let bin = &problem.bins[kind];
    let mut all = vec![Vec::new()];
    for (index, &left) in left.iter().enumerate() {
        let most = left.min(bin.limit(index));
        all = all.into_iter().flat_map(|c: Vec<u32>| (0..=most).map(move |n| [c.clone(), vec![n]].concat())).collect();
    }
    let used = |content: &[u32], d: usize| -> i64 {
        content.iter().zip(&problem.items).map(|(n, item)| i64::from(*n) * item.size[d]).sum()
    };
    all.retain(|content| (0..bin.capacity.len()).all(|d| used(content, d) <= bin.capacity[d]));
    all
}

proptest! {
    #[test]
    fn the_fullest_content_fits_and_is_worth_most(
        capacity in (1_i64..12, 1_i64..12),
        items in proptest::collection::vec((1_i64..6, 0_i64..6, 0_u32..4, 1_u32..50), 1..5),
        alone in 0_usize..5,
    ) {
        let mut kind = bin(&[capacity.0, capacity.1], 0);
        kind.at_most = (0..items.len()).map(|index| if index == alone { 1 } else { u32::MAX }).collect();
        let counts: Vec<u32> = items.iter().map(|(.., count, _)| *count).collect();
        let worth: Vec<f64> = items.iter().map(|(.., worth)| f64::from(*worth)).collect();
        let items = items.iter().map(|(a, b, count, _)| item(&[*a, *b], *count)).collect();
        let problem = PackingProblem { items, bins: vec![kind] };
        let value = |content: &[u32]| content.iter().zip(&worth).map(|(n, worth)| f64::from(*n) * worth).sum::<f64>();
        let all = contents(&problem, 0, &counts);
        let most = all.iter().map(|content| value(content)).fold(0.0, f64::max);
        let mut found = vec![0; problem.items.len()];
        for (item, count) in fullest(&problem, &worth, &counts, 10_000) {
            found[item] = count;
        }
        prop_assert!(all.contains(&found), "{found:?} does not fit");
        prop_assert!((value(&found) - most).abs() < 1e-9, "{found:?} is worth {}, not {most}", value(&found));
    }
}

/// No quota: how many were taken need not be known.
const UNLIMITED: u32 = u32::MAX;

/// The cost of the cheapest packing, by trying everything.
fn cheapest(
    problem: &PackingProblem,
    left: &[u32],
    quotas: &[u32],
    known: &mut BTreeMap<(Vec<u32>, Vec<u32>), u64>,
) -> u64 {
    let key = (left.to_vec(), quotas.to_vec());
    if let Some(cost) = known.get(&key) {
        return *cost;
    }
    let mut best: u64 = left.iter().zip(&problem.items).map(|(n, item)| u64::from(*n) * item.unplaced_price).sum();
    for kind in (0..problem.bins.len()).filter(|&kind| quotas[kind] > 0) {
        let mut fewer = quotas.to_vec();
        if fewer[kind] != UNLIMITED {
            fewer[kind] -= 1;
        }
        for content in contents(problem, kind, left).into_iter().filter(|c| c.iter().any(|n| *n > 0)) {
            let rest: Vec<u32> = left.iter().zip(&content).map(|(l, n)| l - n).collect();
            best = best.min(problem.bins[kind].price + cheapest(problem, &rest, &fewer, known));
        }
    }
    known.insert(key, best);
    best
}

pub(super) fn optimum(problem: &PackingProblem) -> u64 {
    let counts: Vec<u32> = problem.items.iter().map(|item| item.count).collect();
    let total: u32 = counts.iter().sum();
    let quotas: Vec<u32> =
        problem.bins.iter().map(|bin| bin.available.map_or(UNLIMITED, |quota| quota.min(total))).collect();
    cheapest(problem, &counts, &quotas, &mut BTreeMap::new())
}

prop_compose! {
    /// Up to four kinds of item, up to two kinds of bin with quotas and limits, two dimensions.
    fn any_problem()(items in 1_usize..=4, bins in 1_usize..=2)(
        sizes in prop::collection::vec((prop::collection::vec(0_i64..8, 2), 1_u32..=3, 1_u64..30), items),
        kinds in prop::collection::vec(
            (prop::collection::vec(3_i64..12, 2), 1_u64..10, prop::option::of(0_u32..3),
             prop::option::of(prop::collection::vec(0_u32..3, items))),
            bins,
        ),
    ) -> PackingProblem {
        PackingProblem {
            items: sizes.into_iter().map(|(size, count, unplaced_price)| Item { size, count, unplaced_price }).collect(),
            bins: kinds
                .into_iter()
                .map(|(capacity, price, available, at_most)| {
                    BinType { capacity, price, available, at_most: at_most.unwrap_or_default() }
                })
                .collect(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_bound_is_at_most_the_optimum_and_the_packing_passes_the_check(problem in any_problem()) {
        let answer = answer(&problem);
        prop_assert_eq!(check(&problem, &answer.packing), Ok(()));
        prop_assert_eq!(answer.packing.cost(&problem), answer.cost);
        let optimum = optimum(&problem);
        prop_assert!(answer.bound <= optimum, "bound {} above {}", answer.bound, optimum);
        prop_assert_eq!(answer.cost, optimum);
    }

    #[test]
    fn pricing_finds_the_pattern_worth_most(problem in any_problem(), worths in prop::collection::vec(0_u32..10, 4)) {
        let worth: Vec<f64> = worths.iter().map(|w| f64::from(*w)).collect();
        let counts: Vec<u32> = problem.items.iter().map(|item| item.count).collect();
        let value = |content: &Vec<u32>| content.iter().zip(&worth).map(|(n, w)| f64::from(*n) * w).sum::<f64>();
        for kind in 0..problem.bins.len() {
            let most = contents(&problem, kind, &counts).iter().map(value).fold(0.0, f64::max);
            let priced = pricing::price(&problem, kind, &worth, &counts, 0.0, 1_000_000);
            prop_assert!((priced.most - most).abs() < 1e-9, "{} for {}", priced.most, most);
            let best = priced.patterns.iter().map(|(worth, _)| *worth).fold(0.0, f64::max);
            prop_assert!((best - most).abs() < 1e-9);
            // Cut off after three nodes a branch, the bound still holds.
            let cut = pricing::price(&problem, kind, &worth, &counts, 0.0, 3);
            prop_assert!(cut.most > most - 1e-9);
        }
    }

    #[test]
    fn any_worths_prove_a_bound(problem in any_problem(), worths in prop::collection::vec(0.0_f64..3.0, 4)) {
        let counts: Vec<u32> = problem.items.iter().map(|item| item.count).collect();
        let most: Vec<f64> =
            (0..problem.bins.len()).map(|k| pricing::price(&problem, k, &worths, &counts, 0.0, 4).most).collect();
        let bound = master::rounded_up(&problem, master::proven(&problem, &worths, &most));
        prop_assert!(bound <= optimum(&problem));
    }

    #[test]
    fn random_items_that_fill_bins_exactly_are_packed_without_waste(
        seeds in prop::collection::vec((0_i64..12, 0_i64..12, -2_i64..6, 0_i64..6), 1..8),
    ) {
        // Each bin is cut into three; the second dimension may go below zero.
        let mut counts: BTreeMap<Vec<i64>, u32> = BTreeMap::new();
        for (a, b, c, d) in &seeds {
            for size in [vec![*a, *c], vec![*b, *d], vec![30 - a - b, 10 - c - d]] {
                *counts.entry(size).or_default() += 1;
            }
        }
        let items = counts.iter().map(|(size, count)| item(size, *count)).collect();
        let problem = PackingProblem { items, bins: vec![bin(&[30, 10], 1)] };
        let answer = answer(&problem);
        prop_assert_eq!(check(&problem, &answer.packing), Ok(()));
        prop_assert_eq!((answer.cost, answer.bound), (seeds.len() as u64, seeds.len() as u64));
    }
}

#[test]
fn five_halves_need_three_bins_and_the_bound_knows() {
    let problem = PackingProblem { items: vec![item(&[5, 1], 5)], bins: vec![bin(&[10, 10], 1)] };
    let answer = answer(&problem);
    assert_eq!((answer.cost, answer.bound), (3, 3));
}

#[test]
fn three_items_of_two_thirds_need_three_bins_where_their_sum_would_fill_two() {
    let problem = PackingProblem { items: vec![item(&[4], 3)], bins: vec![bin(&[6], 7)] };
    let answer = answer(&problem);
    assert_eq!((answer.cost, answer.bound), (21, 21));
}

#[test]
fn a_quota_leaves_the_cheap_kind_to_those_who_gain_most() {
    // One large bin at 3 holds both large items; the small ones take two small bins at 2.
    let bins = vec![BinType { available: Some(1), ..bin(&[10], 3) }, bin(&[5], 2)];
    let problem = PackingProblem { items: vec![item(&[5], 4)], bins };
    let answer = answer(&problem);
    assert_eq!((answer.cost, answer.bound), (7, 7));
}

#[test]
fn what_fits_nowhere_is_left_out_at_its_price() {
    let problem = PackingProblem { items: vec![item(&[11], 2), item(&[3], 1)], bins: vec![bin(&[10], 1)] };
    let answer = answer(&problem);
    assert_eq!((answer.cost, answer.bound), (201, 201));
    assert_eq!(answer.packing.unplaced(&problem), [2, 0]);
}

#[test]
fn nothing_to_pack_costs_nothing() {
    for bins in [Vec::new(), vec![bin(&[10], 1)]] {
        let answer = answer(&PackingProblem { items: Vec::new(), bins });
        assert_eq!((answer.cost, answer.bound, answer.found_by), (0, 0, Stage::Nothing));
    }
    let no_bins = PackingProblem { items: vec![item(&[1], 2)], bins: Vec::new() };
    assert_eq!((answer(&no_bins).cost, answer(&no_bins).bound), (200, 200));
}

#[test]
fn equal_problems_and_seeds_give_equal_packings() {
    let sizes = (0..40_i64).map(|i| item(&[17 + i * 7 % 23, 11 + i * 13 % 29], 1 + (i % 2) as u32));
    let problem = PackingProblem { items: sizes.collect(), bins: vec![bin(&[100, 100], 5), bin(&[60, 70], 3)] };
    assert_eq!(answer(&problem), answer(&problem));
}

#[test]
fn the_check_names_what_is_wrong() {
    let bins = vec![BinType { available: Some(1), at_most: vec![1, 5], ..bin(&[10], 1) }];
    let problem = PackingProblem { items: vec![item(&[4], 2), item(&[3], 9)], bins };
    let packing = |contents: &[&[(usize, u32)]]| Packing {
        bins: contents.iter().map(|items| Pattern { bin: 0, items: items.to_vec() }).collect(),
    };
    let fault = |contents: &[&[(usize, u32)]]| check(&problem, &packing(contents)).map_err(|f| f.to_string());
    assert_eq!(fault(&[&[(0, 1), (1, 2)]]), Ok(()));
    assert_eq!(fault(&[&[(1, 4)]]).unwrap_err(), "bin 0 holds 12 of 10 in dimension 0");
    assert_eq!(fault(&[&[(0, 2)]]).unwrap_err(), "bin 0 holds 2 of item 0, at most 1 may share a bin");
    assert_eq!(fault(&[&[(0, 1)], &[(0, 1)]]).unwrap_err(), "2 bins of kind 0 are used, there are 1");
    assert_eq!(fault(&[&[(2, 1)]]).unwrap_err(), "bin 0 names kind 0 or an item that the problem does not have");
    let packed_twice = Packing { bins: vec![Pattern { bin: 0, items: vec![(0, 1)] }; 3] };
    let unlimited = PackingProblem { bins: vec![bin(&[10], 1)], ..problem.clone() };
    assert_eq!(check(&unlimited, &packed_twice).unwrap_err().to_string(), "item 0 is packed 3 times, there are 2");
}
