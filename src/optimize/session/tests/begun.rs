//! Plans begun from earlier ones: of the same cluster, of the cluster as it was, of another one, and from nonsense.

use super::*;
use crate::domain::earlier::Kept;
use crate::domain::plan::{NodeState, PlacementState, Removal};
use crate::plan_from;

fn planned(cluster: &Cluster, earlier: Option<&EarlierPlan>, gap: f64) -> Plan {
    let Cluster { snapshot, catalog, policy, menus } = cluster;
    let stop = StopRule { gap, ..stop() };
    plan_from(earlier, snapshot, catalog, policy, menus, &stop, &StoppedClock, &mut |_| ()).expect("prices are sound")
}

/// The cluster after a few changes, and a node fewer: pods of the plan before are on one that nobody knows.
fn changed(cluster: &Cluster, seed: u64) -> Cluster {
    let (mut session, _) = begin(cluster);
    let mut rng = Pcg64Mcg::seed_from_u64(seed ^ 0x33);
    for _ in 0..4 {
        session.change(&change(&mut rng, &session)).expect("a change that fits");
    }
    let mut changed =
        Cluster { snapshot: session.snapshot().clone(), menus: session.menus().to_vec(), ..cluster.clone() };
    changed.snapshot.nodes.pop();
    changed
}

/// The plan with pods, nodes and numbers thrown about.
fn garbled(rng: &mut Pcg64Mcg, mut plan: EarlierPlan) -> EarlierPlan {
    for (_, replicas, _) in &mut plan.choices {
        if rng.random_bool(0.3) {
            *replicas = rng.random_range(0..12);
        }
    }
    for node in &mut plan.nodes {
        if rng.random_bool(0.3) {
            node.state = [NodeState::Keep, NodeState::Add, NodeState::Remove][rng.random_range(0..3)];
        }
        if rng.random_bool(0.1) {
            node.name.push('x');
        }
    }
    let nodes: Vec<String> = plan.nodes.iter().map(|node| node.name.clone()).collect();
    let mut again = Vec::new();
    for placement in &mut plan.placements {
        if rng.random_bool(0.6) {
            continue;
        }
        placement.state = [PlacementState::Stay, PlacementState::Move, PlacementState::New][rng.random_range(0..3)];
        placement.node.clone_from(&nodes[rng.random_range(0..nodes.len())]);
        again.push(placement.clone());
        if rng.random_bool(0.3) {
            plan.removals.push(Removal {
                namespace: placement.namespace.clone(),
                pod: placement.pod.clone(),
                workload: placement.workload.clone(),
                node: Some(placement.node.clone()),
            });
        }
    }
    plan.placements.extend(again);
    plan
}

#[test]
fn a_plan_begun_from_itself_is_itself_where_it_is_good_enough_and_else_costs_no_more() {
    let mut same = 0;
    for seed in 0..cases(40) {
        let cluster = cluster(seed);
        let plan = planned(&cluster, None, 0.02);
        let earlier = EarlierPlan::from(&plan);
        let again = planned(&cluster, Some(&earlier), 0.0);
        if plan.certificate.feasible {
            assert!(again.certificate.feasible, "seed {seed}");
            let (cost, before) = (again.certificate.cost_per_hour, plan.certificate.cost_per_hour);
            assert!(cost <= before + MEANINGFUL, "seed {seed}: {cost} after {before}");
        }
        if plan.certificate.feasible && plan.unplaced.is_empty() {
            let kept = planned(&cluster, Some(&earlier), 1.0);
            let parts = |plan: &Plan| {
                (plan.workloads.clone(), plan.nodes.clone(), plan.placements.clone(), plan.removals.clone())
            };
            assert_eq!(parts(&kept), parts(&plan), "seed {seed}");
            let Kept { workloads, placements } = Kept::of(&earlier, &kept);
            assert_eq!((workloads.kept, placements.kept), (workloads.of, placements.of), "seed {seed}");
            same += 1;
        }
    }
    assert!(same > 5, "{same} plans left no pod out");
}

#[test]
fn whatever_a_plan_begins_from_it_is_as_near_as_asked_or_no_dearer_than_without() {
    let (mut kept_some, mut kept_none) = (0, 0);
    for seed in 0..cases(16) {
        let before = cluster(seed);
        let now = changed(&before, seed);
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let old = EarlierPlan::from(&planned(&before, None, 0.02));
        let other = EarlierPlan::from(&planned(&cluster(seed + 1000), None, 0.02));
        for (gap, what, earlier) in [
            (0.0, "as it was", &old),
            (0.05, "as it was", &old),
            (0.0, "of another cluster", &other),
            (0.0, "garbled", &garbled(&mut rng, old.clone())),
        ] {
            let (begun, without) = (planned(&now, Some(earlier), gap), planned(&now, None, gap));
            let (certificate, plain) = (&begun.certificate, &without.certificate);
            let report = check(&now.snapshot, &now.catalog, &now.policy, &now.menus, &begun);
            assert_eq!(certificate.feasible, report.violations.is_empty(), "seed {seed}, {what}");
            assert!(certificate.feasible || !plain.feasible, "seed {seed}, {what}");
            let no_dearer = certificate.cost_per_hour <= plain.cost_per_hour + MEANINGFUL;
            let near = certificate.gap <= gap;
            assert!(
                !plain.feasible || near || no_dearer,
                "seed {seed}, {what}: {} with a gap of {}, {} without",
                certificate.cost_per_hour,
                certificate.gap,
                plain.cost_per_hour
            );
            assert!(!plain.feasible || certificate.bound_per_hour <= plain.cost_per_hour + MEANINGFUL, "seed {seed}");
            assert_eq!(planned(&now, Some(earlier), gap), begun, "seed {seed}, {what}: equal inputs, equal plans");
            let kept = Kept::of(earlier, &begun).placements;
            kept_some += usize::from(kept.kept > 0);
            kept_none += usize::from(kept.kept == 0);
        }
    }
    assert!(kept_some > 20, "{kept_some} plans keep something of the earlier one, {kept_none} nothing");
}
