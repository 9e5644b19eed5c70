//! The optimizer against brute force on small problems: bound ≤ optimum ≤ cost, always; cost = optimum, mostly.

#![expect(clippy::print_stdout, reason = "measurements are shown, not asserted")]

#[path = "optimizer_oracles/case.rs"]
mod case;
#[path = "optimizer_oracles/enumeration.rs"]
mod enumeration;
#[path = "../benches/optimize/joint.rs"]
mod joint;
#[path = "optimizer_oracles/warm.rs"]
mod warm;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use plimsoll::domain::clock::{Clock, StopRule, Stopped as StoppedClock};
use plimsoll::domain::plan::{NodeState, Placement, PlacementState, Plan};
use plimsoll::domain::rules::{LabelSelector, ZONE_LABEL};
use plimsoll::optimize;
use proptest::prelude::*;

use case::*;
use enumeration::*;

fn solve(case: &Case) -> Plan {
    let stop = StopRule { time_limit: Duration::from_mins(1), gap: 0.0, seed: 7, threads: 1 };
    solve_until(case, &stop, &StoppedClock)
}

fn solve_until(case: &Case, stop: &StopRule, clock: &dyn Clock) -> Plan {
    let (snapshot, catalog, policy, menus) = (snapshot(case), catalog(case), policy(case), menus(case));
    optimize::plan(&snapshot, &catalog, &policy, &menus, stop, clock, &mut |_| ()).expect("prices are sound")
}

/// A clock that goes on by a millisecond whenever it is asked, so that a limit in milliseconds is a number of questions.
#[derive(Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// The whole cost, with what no plan can place.
fn cost_of(plan: &Plan) -> f64 {
    plan.certificate.cost_per_hour + plan.certificate.unplaceable_per_hour
}

/// The plan keeps every rule, and the least that any plan costs lies between its bound and its cost.
fn holds_the_optimum(case: &Case) -> Result<(), TestCaseError> {
    let (plan, optimum) = (solve(case), optimum(case));
    let certificate = &plan.certificate;
    prop_assert!(certificate.feasible, "{:?}", certificate.violations);
    // What no plan can place is part of the enumeration's cost, and left out of the certificate's.
    let bound = certificate.bound_per_hour + certificate.unplaceable_per_hour;
    prop_assert!(bound <= optimum + 1e-9, "bound {bound} above the optimum {optimum}");
    prop_assert!(cost_of(&plan) >= optimum - 1e-9, "cost {} below the optimum {optimum}", cost_of(&plan));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_bound_is_below_the_optimum_and_the_cost_is_not(case in case()) {
        holds_the_optimum(&case)?;
    }

    #[test]
    fn what_is_bought_from_nothing_costs_no_less_than_the_optimum_and_the_bound_no_more(case in from_nothing()) {
        holds_the_optimum(&case)?;
    }

    #[test]
    fn no_pod_leaves_its_zone_while_one_of_its_like_comes_there(case in case()) {
        let (plan, snapshot) = (solve(&case), snapshot(&case));
        let mut zones: BTreeMap<&str, &str> = plan.nodes.iter().map(|n| (n.name.as_str(), n.zone.as_str())).collect();
        zones.extend(snapshot.nodes.iter().map(|n| (n.name.as_str(), n.zone.as_str())));
        let leaves = |p: &Placement| p.from.as_deref().map(|from| zones[from]).filter(|zone| *zone != zones[&*p.node]);
        for mover in &plan.placements {
            let Some(home) = leaves(mover) else { continue };
            // Nor does one that could give its place leave the mover's as its own.
            let comes = |p: &&Placement| {
                p.workload == mover.workload
                    && p.state != PlacementState::Stay
                    && zones[&*p.node] == home
                    && p.from.as_deref().is_none_or(|from| zones[from] != home && from != mover.node)
                    && mover.from.as_ref() != Some(&p.node)
            };
            let other = plan.placements.iter().find(comes);
            prop_assert!(other.is_none(), "{mover:?} and {other:?}");
        }
    }

    #[test]
    fn with_quotas_gangs_preferences_and_volumes_too(case in rich_case()) {
        holds_the_optimum(&case)?;
    }

    #[test]
    fn where_running_pods_may_be_stopped_for_more_important_ones(case in preempting_case()) {
        holds_the_optimum(&case)?;
    }

    #[test]
    fn no_plan_is_worse_than_first_fit(case in case()) {
        prop_assert!(cost_of(&solve(&case)) <= first_fit(&case) + 1e-9);
    }

    #[test]
    fn equal_inputs_give_equal_plans(case in case(), threads in 1_usize..=2) {
        let stop = StopRule { time_limit: Duration::from_mins(1), gap: 0.0, seed: 7, threads };
        prop_assert_eq!(solve_until(&case, &stop, &StoppedClock), solve_until(&case, &stop, &StoppedClock));
    }

    #[test]
    fn a_deadline_at_any_moment_leaves_a_checked_plan_no_worse_than_first_fit(case in case(), limit_ms in 0_u64..40) {
        let stop = StopRule { time_limit: Duration::from_millis(limit_ms), gap: 0.0, seed: 7, threads: 1 };
        let plan = solve_until(&case, &stop, &Ticking::default());
        prop_assert!(plan.certificate.feasible, "{:?}", plan.certificate.violations);
        prop_assert!(cost_of(&plan) <= first_fit(&case) + 1e-9);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_plan_of_a_large_cluster_is_worse_than_first_fit_at_any_deadline(
        case in large_case(),
        limit_ms in prop_oneof![0_u64..40, 40_u64..100_000],
    ) {
        let stop = StopRule { time_limit: Duration::from_millis(limit_ms), gap: 0.0, seed: 7, threads: 1 };
        let plan = solve_until(&case, &stop, &Ticking::default());
        prop_assert!(plan.certificate.feasible, "{:?}", plan.certificate.violations);
        prop_assert!(cost_of(&plan) <= first_fit(&case) + 1e-9, "{} above {}", cost_of(&plan), first_fit(&case));
    }
}

#[test]
fn most_small_problems_are_solved_to_the_optimum() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut reached, mut total, mut excess) = (0, 0, 0.0);
    for _ in 0..200 {
        let case = case().new_tree(&mut runner).expect("a case").current();
        let (plan, optimum) = (solve(&case), optimum(&case));
        let over = cost_of(&plan) - optimum;
        total += 1;
        reached += i32::from(over < 1e-6);
        excess += over.max(0.0) / optimum.max(1e-9);
        assert!(plan.nodes.iter().all(|n| n.state != NodeState::Add || n.name.starts_with("new-offer-")));
    }
    println!("{reached} of {total} at the optimum, mean excess {:.4}", excess / f64::from(total));
    assert!(reached * 10 >= total * 9, "{reached} of {total}");
}

/// The joint model is large enough for a proof beside the search and for neighbourhoods on two threads.
#[test]
fn two_threads_give_equal_plans_byte_for_byte() {
    let size = joint::Size { services: 8, types: 4, zones: 3 };
    let (case, policy) = (joint::joint(size, 5), joint::policy());
    let stop = StopRule { time_limit: Duration::from_mins(10), gap: 0.0, seed: 3, threads: 2 };
    let plan = || {
        let plan =
            optimize::plan(&case.snapshot, &case.catalog, &policy, &case.menus, &stop, &StoppedClock, &mut |_| ());
        format!("{:#?}", plan.expect("prices are sound"))
    };
    let first = plan();
    assert!(first == plan(), "the same input, seed and stop rule gave two plans");
}

/// So many offers that the program is built of coarser classes, and so little time that nothing but the first plan is made.
#[test]
fn a_large_cluster_has_every_pod_placed_however_short_the_time() {
    let offers = (0..400).map(|number| SmallOffer {
        cores: 2 + number % 7,
        gib: 4 + number % 5,
        price: 1.0 + number as f64 / 400.0,
        spot: false,
        quota: None,
    });
    let workloads = (0..300).map(|number| SmallWorkload {
        quarter_cores: 1 + number % 7,
        gib: 1 + number / 100,
        pods: vec![None; 3],
        menu: vec![(3, 0.0)],
        exclusive: number % 3 == 0,
        ..SmallWorkload::plain()
    });
    let case = Case {
        nodes: Vec::new(),
        offers: offers.collect(),
        workloads: workloads.collect(),
        moves: 0,
        drains: 0,
        quota: None,
        preference: 0.0,
        preempts: false,
    };
    for limit_ms in [0, 1, 3, 10, 30, 100] {
        let stop = StopRule { time_limit: Duration::from_millis(limit_ms), gap: 0.0, seed: 7, threads: 1 };
        let plan = solve_until(&case, &stop, &Ticking::default());
        assert!(plan.certificate.feasible, "{limit_ms}: {:?}", plan.certificate.violations);
        assert!(plan.unplaced.is_empty(), "{limit_ms}: {} workloads wait", plan.unplaced.len());
    }
}

#[test]
fn most_pods_that_may_take_room_from_others_do_so_where_it_pays() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut stopping, mut reached, mut all_reached) = (0, 0, 0);
    for _ in 0..300 {
        let case = preempting_case().new_tree(&mut runner).expect("a case").current();
        let (plan, optimum) = (solve(&case), optimum(&case));
        let without = optimum_of_the_rest(&case);
        let at = cost_of(&plan) < optimum + 1e-6;
        all_reached += i32::from(at);
        if optimum < without - 1e-6 {
            stopping += 1;
            reached += i32::from(at);
        }
    }
    println!("{reached} of {stopping} in which stopping pods pays, {all_reached} of 300 in all, at the optimum");
    assert!(stopping >= 20, "{stopping}");
    assert!(reached * 10 >= stopping * 8 && all_reached >= 255, "{reached} of {stopping}, {all_reached} of 300");
}

/// The optimum if nobody may be stopped.
fn optimum_of_the_rest(case: &Case) -> f64 {
    optimum(&Case { preempts: false, ..case.clone() })
}

#[test]
fn what_is_bought_from_nothing_is_mostly_proven_to_be_the_optimum() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut reached, mut proven) = (0, 0);
    for _ in 0..100 {
        let case = from_nothing().new_tree(&mut runner).expect("a case").current();
        let (plan, optimum) = (solve(&case), optimum(&case));
        reached += i32::from(cost_of(&plan) < optimum + 1e-6);
        proven += i32::from(plan.certificate.gap < 1e-3);
    }
    println!("{reached} of 100 at the optimum, {proven} proven to a thousandth");
    assert!(reached >= 97 && proven >= 90, "{reached} reached, {proven} proven");
}

#[test]
fn a_stateful_set_keeps_what_stands_below_a_pod_that_must_stay() {
    use plimsoll::domain::plan::PlacementState;
    let offer = SmallOffer { cores: 4, gib: 16, price: 1.0, spot: false, quota: None };
    let set = SmallWorkload {
        quarter_cores: 4,
        gib: 1,
        pods: vec![Some(0), Some(0), Some(1)],
        menu: vec![(3, 0.0), (1, 0.0)],
        ..SmallWorkload::plain()
    };
    let case = Case {
        nodes: vec![0, 0],
        offers: vec![offer],
        workloads: vec![set],
        moves: 3,
        drains: 2,
        quota: None,
        preference: 0.0,
        preempts: false,
    };
    let planned = |pinned: Option<usize>| {
        let (mut snapshot, mut menus) = (snapshot(&case), menus(&case));
        let ids = (snapshot.pods.iter_mut().map(|pod| &mut pod.workload))
            .chain(snapshot.workloads.iter_mut().map(|workload| &mut workload.id))
            .chain(menus.iter_mut().map(|menu| &mut menu.workload));
        for id in ids {
            id.kind = "StatefulSet".to_owned();
        }
        if let Some(pinned) = pinned {
            snapshot.pods[pinned].do_not_evict = true;
        }
        // To the end: three replicas on one node are within 1 % of one.
        let stop = StopRule { gap: 0.0, ..StopRule::default() };
        let (catalog, policy) = (catalog(&case), policy(&case));
        optimize::plan(&snapshot, &catalog, &policy, &menus, &stop, &StoppedClock, &mut |_| ())
            .expect("prices are sound")
    };
    let free = planned(None);
    assert!(free.certificate.feasible, "{:?}", free.certificate.violations);
    assert_eq!((free.workloads[0].replicas, free.removals.len()), (1, 2));
    assert!(free.removals.iter().all(|removal| removal.pod != "w0-0"), "{:?}", free.removals);
    let held = planned(Some(2));
    assert!(held.certificate.feasible, "{:?}", held.certificate.violations);
    assert_eq!((held.workloads[0].replicas, held.removals.len()), (3, 0));
    assert!(held.placements.iter().any(|p| p.pod == "w0-2" && p.state == PlacementState::Stay));
    let lowest = planned(Some(0));
    assert!(lowest.certificate.feasible, "{:?}", lowest.certificate.violations);
    let removed: Vec<&str> = lowest.removals.iter().map(|removal| removal.pod.as_str()).collect();
    assert_eq!((lowest.workloads[0].replicas, removed), (1, vec!["w0-1", "w0-2"]));
}

/// Plans a real dump with the built-in policy and a catalog of its own shapes.
fn plan_of_dump(name: &str) -> Option<Plan> {
    use plimsoll::ingest::{Source, catalog, kubernetes};
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/kubernetes").join(name);
    let Ok(source) = Source::read(&path) else {
        println!("skipped: {} is not there", path.display());
        return None;
    };
    let begun = std::time::Instant::now();
    let snapshot = kubernetes::snapshot(&[source]).expect("a sound dump");
    let policy = plimsoll::policy::default_policy();
    let catalog = catalog::estimated(&snapshot, &policy.planning);
    println!("read in {:.1?}", begun.elapsed());
    let begun = Begun(std::time::Instant::now());
    let mut note = |progress: optimize::Progress| println!("{:.1?} {progress}", begun.0.elapsed());
    // Long enough to read the plan's quality, short enough for a test: the search goes on until it is stopped.
    let stop = StopRule { time_limit: Duration::from_secs(8), ..StopRule::default() };
    let plan = optimize::plan(&snapshot, &catalog, &policy, &[], &stop, &begun, &mut note).expect("prices are sound");
    println!("planned in {:.1?}: {:#?}", begun.0.elapsed(), plan.certificate);
    Some(plan)
}

struct Begun(std::time::Instant);

impl plimsoll::domain::Clock for Begun {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[test]
fn a_small_dump_of_a_real_cluster_is_planned() {
    let Some(plan) = plan_of_dump("small.json.gz") else { return };
    println!("{:#?} {:#?} {:#?}", plan.unplaced, plan.nodes, plan.binding);
    assert!(plan.certificate.feasible);
    assert!(plan.certificate.bound_per_hour <= plan.certificate.cost_per_hour);
}

#[test]
fn a_large_dump_of_a_real_cluster_is_planned() {
    let Some(plan) = plan_of_dump("openb_default.json.gz") else { return };
    let count = |state| plan.nodes.iter().filter(|n| n.state == state).count();
    println!("added {}, removed {}", count(NodeState::Add), count(NodeState::Remove));
    println!("{:#?} {:#?}", plan.unplaced, plan.binding);
    assert!(plan.certificate.feasible);
    assert!(plan.unplaced.is_empty());
}

/// Pods that wait, nodes of none, offers in three zones: what is bought must keep the spread.
#[test]
fn what_is_bought_from_nothing_keeps_zones_even() {
    use plimsoll::domain::plan::PlacementState;
    use plimsoll::domain::rules::TopologySpread;
    let small = |quarter_cores: i64, pods: usize| SmallWorkload {
        quarter_cores,
        gib: 1,
        pods: vec![None; pods],
        menu: vec![(pods as u32, 0.0)],
        ..SmallWorkload::plain()
    };
    let offer = |cores: i64, price: f64| SmallOffer { cores, gib: 16, price, spot: false, quota: None };
    let case = Case {
        nodes: Vec::new(),
        offers: vec![offer(4, 1.0), offer(8, 1.8)],
        workloads: vec![small(4, 7), small(2, 5), small(6, 4)],
        moves: 0,
        drains: 0,
        quota: None,
        preference: 0.0,
        preempts: false,
    };
    let (mut snapshot, mut catalog) = (snapshot(&case), catalog(&case));
    for template in &mut snapshot.templates[..2] {
        let selector = LabelSelector { match_labels: template.labels.clone(), match_expressions: Vec::new() };
        template.rules.topology_spread.push(TopologySpread {
            max_skew: 1,
            topology_key: ZONE_LABEL.to_owned(),
            hard: true,
            selector: Some(selector),
            min_domains: None,
            honor_affinity: true,
            honor_taints: false,
        });
    }
    for offer in &mut catalog.offers {
        offer.zones = ["a", "b", "c"].map(str::to_owned).to_vec();
    }
    let stop = StopRule::default();
    let plan = optimize::plan(&snapshot, &catalog, &policy(&case), &menus(&case), &stop, &StoppedClock, &mut |_| ())
        .expect("prices are sound");
    println!("{:#?}", plan.certificate);
    assert!(plan.certificate.feasible, "{:?}", plan.certificate.violations);
    assert!(plan.unplaced.is_empty(), "{:?}", plan.unplaced);
    assert_eq!(plan.placements.iter().filter(|p| p.state == PlacementState::New).count(), 16);
}
