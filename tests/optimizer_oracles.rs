//! The optimizer against brute force on small problems: bound ≤ optimum ≤ cost, always; cost = optimum, mostly.

#![expect(clippy::print_stdout, reason = "measurements are shown, not asserted")]

#[path = "optimizer_oracles/case.rs"]
mod case;
#[path = "optimizer_oracles/enumeration.rs"]
mod enumeration;
#[path = "optimizer_oracles/warm.rs"]
mod warm;

use std::time::Duration;

use plimsoll::domain::clock::{StopRule, Stopped as StoppedClock};
use plimsoll::domain::plan::{NodeState, Plan};
use plimsoll::domain::rules::{LabelSelector, ZONE_LABEL};
use plimsoll::optimize;
use proptest::prelude::*;

use case::*;
use enumeration::*;

fn solve(case: &Case) -> Plan {
    let (snapshot, catalog, policy, menus) = (snapshot(case), catalog(case), policy(case), menus(case));
    let stop = StopRule { time_limit: Duration::from_mins(1), gap: 0.0, seed: 7, threads: 1 };
    optimize::plan(&snapshot, &catalog, &policy, &menus, &stop, &StoppedClock, &mut |_| ()).expect("prices are sound")
}

/// The whole cost, with what no plan can place.
fn cost_of(plan: &Plan) -> f64 {
    plan.certificate.cost_per_hour + plan.certificate.unplaceable_per_hour
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_bound_is_below_the_optimum_and_the_cost_is_not(case in case()) {
        let plan = solve(&case);
        let optimum = optimum(&case);
        let certificate = &plan.certificate;
        prop_assert!(certificate.feasible, "{:?}", certificate.violations);
        // What no plan can place is part of the enumeration's cost, and left out of the certificate's.
        let left_out = certificate.unplaceable_per_hour;
        let (bound, cost) = (certificate.bound_per_hour + left_out, certificate.cost_per_hour + left_out);
        prop_assert!(bound <= optimum + 1e-9, "bound {bound} above the optimum {optimum}");
        prop_assert!(cost >= optimum - 1e-9, "cost {cost} below the optimum {optimum}");
    }

    #[test]
    fn no_plan_is_worse_than_first_fit(case in case()) {
        prop_assert!(cost_of(&solve(&case)) <= first_fit(&case) + 1e-9);
    }

    #[test]
    fn equal_inputs_give_equal_plans(case in case()) {
        prop_assert_eq!(solve(&case), solve(&case));
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
        exclusive: false,
        no_spot: false,
    };
    let offer = |cores: i64, price: f64| SmallOffer { cores, gib: 16, price, spot: false, quota: None };
    let case = Case {
        nodes: Vec::new(),
        offers: vec![offer(4, 1.0), offer(8, 1.8)],
        workloads: vec![small(4, 7), small(2, 5), small(6, 4)],
        moves: 0,
        drains: 0,
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
