//! The five orchestration models: sums over the instances i = 1…n of a service at one instant t.
//!
//! | model | sum | term of instance i | unit | range of the sum |
//! |---|---|---|---|---|
//! | runtime | R(t) = Σ Pᵢ(t) | resource in use | of the resource | ≥ 0 |
//! | discovery | D(t) = Σ Wᵢ(t) | time from ready to found | seconds | ≥ 0 |
//! | scheduling | S(t) = Σ Fᵢ(t) | scheduling efficiency, [`scheduling_term`] | – | 0..=n |
//! | balancing | B(t) = Σ Lᵢ(t) | load over fair share, [`balancing_terms`] | – | ≥ 0; n when balanced |
//! | scaling | E(t) = Σ Xᵢ(t) | supply − demand | of the resource | any; < 0 is short |
//!
//! [`total`] is the sum itself: over the instances measured at t, NaN when none is. [`jain_index`] stands beside B and
//! [`Elasticity`] is made of E over time.

/// Seconds of waiting to be bound that halve a placement's efficiency, unless told otherwise.
///
/// One minute: what a pod waits when its node has to be booted first. A pod bound at once (the scheduler needs
/// milliseconds) keeps its full efficiency; one that waits ten minutes for room keeps a thousandth.
pub const WAIT_HALF_LIFE_S: f64 = 60.0;

/// Σ over the instances measured (not NaN); NaN when there is none.
#[must_use]
pub fn total(terms: impl IntoIterator<Item = f64>) -> f64 {
    terms.into_iter().filter(|x| !x.is_nan()).fold(f64::NAN, |sum, x| if sum.is_nan() { x } else { sum + x })
}

/// Fᵢ: how well instance i uses what the scheduler reserved for it, discounted by how long it waited for that.
///
/// Fᵢ = min(1, maxᵣ usedᵣ / reservedᵣ) · 2^(−wait / half-life), the maximum over the resources r that are reserved and
/// measured: the dominant share, as in dominant resource fairness (Ghodsi et al., NSDI 2011), since whichever resource
/// is used most keeps the others from being given away. Range 0..=1; NaN when nothing reserved is measured.
///
/// `used_and_reserved` in any unit, the same for both of a pair; `wait_s` ≥ 0 and `half_life_s` > 0 in seconds.
#[must_use]
pub fn scheduling_term(used_and_reserved: impl IntoIterator<Item = (f64, f64)>, wait_s: f64, half_life_s: f64) -> f64 {
    let dominant = used_and_reserved
        .into_iter()
        .filter(|(used, reserved)| *reserved > 0.0 && !used.is_nan())
        .map(|(used, reserved)| (used / reserved).clamp(0.0, 1.0))
        .fold(f64::NAN, f64::max);
    dominant * (-wait_s.max(0.0) / half_life_s).exp2()
}

/// Lᵢ: the load of each instance over its fair share, which is the whole load in proportion to capacity:
/// Lᵢ = loadᵢ / (Σ load · capacityᵢ / Σ capacity). 1 is fair.
///
/// Sums and capacities are over the instances measured (load not NaN, capacity > 0); the others' terms are NaN, and so are
/// all when there is no load. With equal capacities Σ Lᵢ = n whatever the balance, which is why [`jain_index`] stands
/// beside the sum; with unequal ones the sum exceeds n when small instances carry too much.
#[must_use]
pub fn balancing_terms(loads: &[f64], capacities: &[f64]) -> Vec<f64> {
    let measured = |load: f64, capacity: f64| !load.is_nan() && capacity > 0.0;
    let pairs = || loads.iter().copied().zip(capacities.iter().copied());
    let (load, capacity) =
        pairs().filter(|&(l, c)| measured(l, c)).fold((0.0, 0.0), |(load, capacity), (l, c)| (load + l, capacity + c));
    pairs().map(|(l, c)| if measured(l, c) && load > 0.0 { l * capacity / (load * c) } else { f64::NAN }).collect()
}

/// Jain's index of fairness, (Σ x)² / (n · Σ x²), over the values that are not NaN: 1 when all are equal, 1/n when one has
/// everything. NaN when there is none, or all are 0.
///
/// Jain, Chiu, Hawe: A Quantitative Measure of Fairness and Discrimination for Resource Allocation in Shared Computer
/// Systems, DEC-TR-301, 1984.
#[must_use]
pub fn jain_index(values: &[f64]) -> f64 {
    let (n, sum, squares) = values
        .iter()
        .filter(|x| !x.is_nan())
        .fold((0.0, 0.0, 0.0), |(n, sum, squares), x| (n + 1.0, sum + x, squares + x * x));
    sum * sum / (n * squares)
}

/// SPEC's elasticity scores of supply against demand over time.
///
/// Herbst, Kounev, Reussner: Elasticity in Cloud Computing, ICAC 2013; normalised to demand as in Herbst et al.: Ready for
/// Rain? A View from SPEC Research on the Future of Cloud Metrics, SPEC-RG-2016-01.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Elasticity {
    /// Mean of (demand − supply)⁺ / demand over time, ≥ 0.
    pub accuracy_under: f64,
    /// Mean of (supply − demand)⁺ / demand over time, ≥ 0.
    pub accuracy_over: f64,
    /// Share of time with supply < demand, 0..=1.
    pub timeshare_under: f64,
    /// Share of time with supply > demand, 0..=1.
    pub timeshare_over: f64,
    /// Share of steps in which the signs of the changes of supply and demand differ, 0..=1.
    pub instability: f64,
}

/// The scores of evenly spaced supply and demand, in units in which both change by whole steps (instances): a demand that
/// changes a little at every instant would call every steady supply unstable.
///
/// Instants at which either is NaN, or demand is not positive (accuracy is relative to it), are left out; instability is
/// over the steps between two instants that count. `None` when no instant counts; instability is 0 without a step.
#[must_use]
pub fn elasticity(supply: &[f64], demand: &[f64]) -> Option<Elasticity> {
    let counts = |s: f64, d: f64| !s.is_nan() && d > 0.0;
    let (mut instants, mut under, mut over, mut time_under, mut time_over) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let (mut steps, mut against) = (0.0, 0.0);
    let mut before: Option<(f64, f64)> = None;
    for (&s, &d) in supply.iter().zip(demand) {
        if !counts(s, d) {
            before = None;
            continue;
        }
        instants += 1.0;
        under += (d - s).max(0.0) / d;
        over += (s - d).max(0.0) / d;
        time_under += f64::from(u8::from(s < d));
        time_over += f64::from(u8::from(s > d));
        if let Some((s_before, d_before)) = before.replace((s, d)) {
            steps += 1.0;
            against += f64::from(u8::from(sign(s - s_before) != sign(d - d_before)));
        }
    }
    (instants > 0.0).then(|| Elasticity {
        accuracy_under: under / instants,
        accuracy_over: over / instants,
        timeshare_under: time_under / instants,
        timeshare_over: time_over / instants,
        instability: if steps > 0.0 { against / steps } else { 0.0 },
    })
}

fn sign(x: f64) -> i8 {
    i8::from(x > 0.0) - i8::from(x < 0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn runtime_and_discovery_are_sums_over_what_is_measured() {
        // Three instances of 0.25, 0.5 and 1 core; the fourth is not measured.
        assert!(close(total([0.25, 0.5, f64::NAN, 1.0]), 1.75));
        // Two instances found 1.2 s and 0.3 s after they were ready.
        assert!(close(total([1.2, 0.3]), 1.5));
        assert!(total([f64::NAN]).is_nan());
        assert!(total([]).is_nan());
    }

    #[test]
    fn scheduling_takes_the_dominant_share_and_halves_it_a_half_life() {
        // 0.3 of 1 core and 1.5 of 2 GiB: the dominant share is 0.75.
        assert!(close(scheduling_term([(0.3, 1.0), (1.5, 2.0)], 0.0, 60.0), 0.75));
        // Bound after two half-lives: a quarter of it.
        assert!(close(scheduling_term([(0.3, 1.0), (1.5, 2.0)], 120.0, 60.0), 0.1875));
        // Beyond what is reserved counts as all of it; what is not reserved counts for nothing.
        assert!(close(scheduling_term([(1.4, 1.0), (5.0, 0.0)], 0.0, 60.0), 1.0));
        assert!(scheduling_term([(f64::NAN, 1.0), (5.0, 0.0)], 0.0, 60.0).is_nan());
        // S of a well placed instance, a late one and an idle one.
        let s = total([
            scheduling_term([(0.75, 1.0)], 0.0, 60.0),
            scheduling_term([(1.0, 1.0)], 60.0, 60.0),
            scheduling_term([(0.05, 1.0)], 0.0, 60.0),
        ]);
        assert!(close(s, 1.3));
    }

    #[test]
    fn balancing_is_load_over_fair_share() {
        // 10, 20 and 30 requests a second over three equal instances: the fair share is 20.
        let terms = balancing_terms(&[10.0, 20.0, 30.0], &[1.0, 1.0, 1.0]);
        assert!(close(terms[0], 0.5) && close(terms[1], 1.0) && close(terms[2], 1.5));
        assert!(close(total(terms.iter().copied()), 3.0));
        // (0.5 + 1 + 1.5)² / (3 · (0.25 + 1 + 2.25)) = 9 / 10.5
        assert!(close(jain_index(&terms), 9.0 / 10.5));
        // Loads of 30 and 30 over capacities of 1 and 3: fair would be 15 and 45.
        let terms = balancing_terms(&[30.0, 30.0, f64::NAN], &[1.0, 3.0, 1.0]);
        assert!(close(terms[0], 2.0) && close(terms[1], 2.0 / 3.0) && terms[2].is_nan());
        assert!(total(terms) > 2.0);
        assert!(balancing_terms(&[0.0, 0.0], &[1.0, 1.0]).iter().all(|x| x.is_nan()));
    }

    #[test]
    fn jain_index_is_one_for_equals_and_one_nth_for_a_monopoly() {
        assert!(close(jain_index(&[3.0, 3.0, 3.0, 3.0]), 1.0));
        assert!(close(jain_index(&[3.0, 0.0, 0.0, 0.0]), 0.25));
        assert!(jain_index(&[]).is_nan());
        assert!(jain_index(&[0.0]).is_nan());
    }

    #[test]
    fn elasticity_scores_are_those_worked_by_hand() {
        // Supply 2 2 4 4 3 against demand 2 4 4 2 2.
        // Short at t = 1 by 2 of 4; in surplus at t = 3 by 2 of 2 and at t = 4 by 1 of 2.
        // Changes: supply 0 + 0 −, demand + 0 − 0: all four steps differ.
        let scores = elasticity(&[2.0, 2.0, 4.0, 4.0, 3.0], &[2.0, 4.0, 4.0, 2.0, 2.0]).unwrap();
        assert!(close(scores.accuracy_under, 0.5 / 5.0));
        assert!(close(scores.accuracy_over, (1.0 + 0.5) / 5.0));
        assert!(close(scores.timeshare_under, 0.2));
        assert!(close(scores.timeshare_over, 0.4));
        assert!(close(scores.instability, 1.0));
    }

    #[test]
    fn what_is_not_measured_is_left_out_of_the_scores() {
        // A gap between supply that follows demand exactly: nothing short, nothing over, and the step over the gap is none.
        let scores = elasticity(&[1.0, f64::NAN, 3.0, 4.0], &[1.0, 9.0, 3.0, 4.0]).unwrap();
        assert!(
            scores
                == Elasticity {
                    accuracy_under: 0.0,
                    accuracy_over: 0.0,
                    timeshare_under: 0.0,
                    timeshare_over: 0.0,
                    instability: 0.0
                }
        );
        assert_eq!(elasticity(&[1.0], &[0.0]), None);
        assert_eq!(elasticity(&[], &[]), None);
    }

    proptest! {
        #[test]
        fn jain_index_lies_between_one_nth_and_one_and_ignores_scale(
            values in prop::collection::vec(0.0f64..1e6, 1..40),
            scale in 1e-3f64..1e3,
        ) {
            prop_assume!(values.iter().any(|&x| x > 0.0));
            let index = jain_index(&values);
            prop_assert!(index <= 1.0 + 1e-9 && index >= 1.0 / values.len() as f64 - 1e-9);
            let scaled: Vec<_> = values.iter().map(|x| x * scale).collect();
            prop_assert!((jain_index(&scaled) - index).abs() < 1e-9);
        }

        #[test]
        fn balancing_terms_of_equal_instances_sum_to_their_number(
            loads in prop::collection::vec(0.0f64..1e6, 1..40),
        ) {
            prop_assume!(loads.iter().sum::<f64>() > 0.0);
            let terms = balancing_terms(&loads, &vec![2.0; loads.len()]);
            prop_assert!((total(terms) - loads.len() as f64).abs() < 1e-6);
        }

        #[test]
        fn scheduling_efficiency_stays_in_its_range_and_falls_with_waiting(
            used in 0.0f64..1e3, reserved in 0.0f64..1e3, wait in 0.0f64..1e5,
        ) {
            let now = scheduling_term([(used, reserved)], 0.0, WAIT_HALF_LIFE_S);
            let late = scheduling_term([(used, reserved)], wait, WAIT_HALF_LIFE_S);
            if reserved > 0.0 {
                prop_assert!((0.0..=1.0).contains(&now) && (0.0..=1.0).contains(&late) && late <= now);
            } else {
                prop_assert!(now.is_nan());
            }
        }
    }
}
