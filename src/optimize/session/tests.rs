//! Sessions against the whole checker, against new plans of the same cluster, and against themselves.

mod begun;
mod cluster;
mod greedy;

use std::collections::BTreeSet;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::*;
use crate::check::check;
use crate::domain::clock::Stopped as StoppedClock;
use crate::domain::resources::Resources;
use crate::domain::snapshot::{Pod, WorkloadId};
use cluster::{Cluster, cluster, menu, pod, preempting, requests, room_for};
use cut::Scope;
use desk::Differing;
use judge::{Judge, Verdict};

/// A count from `PROPTEST_CASES`, so that one switch makes all properties draw more.
fn cases(usual: u64) -> u64 {
    std::env::var("PROPTEST_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(usual)
}

fn stop() -> StopRule {
    StopRule { gap: 0.02, seed: 7, ..StopRule::default() }
}

fn begin(cluster: &Cluster) -> (Session, Plan) {
    let Cluster { snapshot, catalog, policy, menus } = cluster.clone();
    Session::new(snapshot, catalog, policy, menus, &stop(), &StoppedClock, &mut |_| ()).expect("prices are sound")
}

/// A change of one workload as it may come from a cluster.
fn change(rng: &mut Pcg64Mcg, session: &Session) -> Change {
    let snapshot = session.snapshot();
    let placed: Vec<&WorkloadId> = snapshot.workloads.iter().filter(|w| !w.daemon).map(|w| &w.id).collect();
    let id = placed[rng.random_range(0..placed.len())].clone();
    let workload = snapshot.workloads.iter().find(|w| w.id == id).expect("just drawn");
    let own: Vec<String> = snapshot.pods.iter().filter(|p| p.workload == id).map(|p| p.name.clone()).collect();
    let mut change = Change::of(id.clone());
    match rng.random_range(0..8) {
        0 | 1 => change.replicas = Some(rng.random_range(0..9)),
        2 => change.requests = Some(requests(rng.random_range(1..8), rng.random_range(1..6))),
        3 => change.menu = Some(menu(rng, snapshot, &id)),
        4 => {
            let template = workload.template.unwrap_or(0);
            for number in 0..rng.random_range(1..3) {
                let node = rng.random_bool(0.6).then(|| room_for(rng, snapshot, template)).flatten();
                let name = format!("{}-came-{number}-{}", id.name, rng.random_range(0..1000));
                if !own.contains(&name) && change.came.iter().all(|pod| pod.name != name) {
                    change.came.push(pod(&id, &name, template, node.as_deref()));
                }
            }
        }
        5 => change.gone = own.into_iter().filter(|_| rng.random_bool(0.4)).collect(),
        6 => change.ready = own.into_iter().map(|name| (name, rng.random_bool(0.5))).collect(),
        // A pod that waits was bound.
        _ => {
            let waits = snapshot.pods.iter().find(|pod| pod.workload == id && pod.node.is_none());
            if let Some(waits) = waits {
                let mut bound = waits.clone();
                bound.node = room_for(rng, snapshot, bound.template);
                change.gone.push(waits.name.clone());
                change.came.push(bound);
            }
        }
    }
    change
}

/// What a plan says apart from its reasons.
fn bare(mut plan: Plan) -> Plan {
    plan.pending.clear();
    plan.binding.clear();
    plan.conflict = None;
    plan.unplaced.iter_mut().for_each(|unplaced| unplaced.reasons.clear());
    plan
}

#[test]
fn a_session_takes_the_cold_plan_up_as_it_is() {
    for (seed, cluster) in (0..cases(40)).flat_map(|seed| [(seed, cluster(seed)), (seed, preempting(seed))]) {
        let (mut session, plan) = begin(&cluster);
        assert_eq!(bare(session.plan()), bare(plan.clone()), "seed {seed}");
        let cost = session.certificate().cost;
        let whole = check(session.snapshot(), &cluster.catalog, &cluster.policy, session.menus(), &plan);
        let unplaceable = session.certificate().unplaceable_per_hour;
        assert!((cost.total() + unplaceable - whole.cost.total()).abs() < 1e-9, "seed {seed}");
    }
}

#[test]
fn after_every_change_the_whole_checker_says_what_the_session_says() {
    let (mut judged, mut sound, mut infeasible, mut stopping) = (0, 0, 0, 0);
    for (seed, cluster) in (0..cases(40)).flat_map(|seed| [(seed, cluster(seed)), (seed, preempting(seed))]) {
        let (mut session, mut plan) = begin(&cluster);
        let mut rng = Pcg64Mcg::seed_from_u64(seed ^ 0xa5a5);
        for step in 0..12 {
            let change = change(&mut rng, &session);
            let changes = session.change(&change).expect("a change that fits");
            let now = session.plan();
            changes.apply(&mut plan);
            assert_eq!(bare(plan.clone()), bare(now.clone()), "seed {seed}, step {step}: {change:?}");
            let report = check(session.snapshot(), &cluster.catalog, &cluster.policy, session.menus(), &now);
            let certificate = session.certificate();
            let found: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
            assert_eq!(certificate.violations, found, "seed {seed}, step {step}: {change:?}");
            let cost = certificate.cost.total() + certificate.unplaceable_per_hour;
            let away = (cost - report.cost.total()).abs();
            assert!(away < 1e-9 * report.cost.total().max(1.0), "seed {seed}, step {step}: {cost} {:?}", report.cost);
            assert!(certificate.bound_per_hour <= certificate.cost_per_hour || !certificate.feasible);
            judged += 1;
            sound += usize::from(certificate.feasible);
            infeasible += usize::from(!certificate.feasible);
            stopping += usize::from(!now.preempted.is_empty());
        }
    }
    assert!(sound * 10 > judged * 5, "{sound} of {judged} plans are feasible, {infeasible} are not");
    assert!(stopping * 20 > judged, "{stopping} of {judged} plans stop pods for others");
}

#[test]
fn the_bound_of_a_changed_cluster_is_below_the_cost_of_a_plan_from_scratch() {
    let mut ratios: Vec<f64> = Vec::new();
    for (seed, cluster) in (0..cases(20)).flat_map(|seed| [(seed, cluster(seed)), (seed, preempting(seed))]) {
        let (mut session, _) = begin(&cluster);
        let mut rng = Pcg64Mcg::seed_from_u64(seed ^ 0x5a5a);
        for step in 0..6 {
            session.change(&change(&mut rng, &session)).expect("a change that fits");
            let warm = session.certificate().clone();
            let cold = begin(&Cluster {
                snapshot: session.snapshot().clone(),
                menus: session.menus().to_vec(),
                ..cluster.clone()
            });
            let cold = cold.1.certificate;
            if cold.feasible {
                let (bound, cost) =
                    (warm.bound_per_hour + warm.unplaceable_per_hour, cold.cost_per_hour + cold.unplaceable_per_hour);
                assert!(bound <= cost + 1e-9, "seed {seed}, step {step}: bound {bound} above the cost {cost}");
            }
            if cold.feasible && warm.feasible {
                ratios.push(
                    (warm.cost_per_hour + warm.unplaceable_per_hour)
                        / (cold.cost_per_hour + cold.unplaceable_per_hour).max(1e-9),
                );
            }
        }
    }
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| ratios[((ratios.len() - 1) as f64 * share) as usize];
    let shown = [0.0, 0.1, 0.5, 0.9, 0.99, 1.0].map(|share| format!("{:.3}", at(share)));
    assert!(at(0.5) < 1.1, "cost of warm plans over that of cold ones: {shown:?}");
}

#[test]
fn equal_sessions_and_changes_give_equal_plans() {
    for seed in 0..cases(10) {
        let cluster = cluster(seed);
        let (mut one, _) = begin(&cluster);
        let (mut other, _) = begin(&cluster);
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        for _ in 0..6 {
            let change = change(&mut rng, &one);
            assert_eq!(one.change(&change), other.change(&change), "seed {seed}");
        }
        assert_eq!(one.plan(), other.plan(), "seed {seed}");
    }
}

/// Pods thrown anywhere: what the part that differs shows must be what the whole shows.
#[test]
fn the_part_that_differs_is_broken_exactly_where_the_whole_is() {
    let (mut sound, mut broken, mut whole) = (0, 0, 0);
    for seed in 0..cases(40) {
        let (mut session, _) = begin(&cluster(seed));
        if !session.accounts.violations.is_empty() {
            continue;
        }
        let mut rng = Pcg64Mcg::seed_from_u64(seed ^ 0x77);
        let instance = session.held.take_up(take(&mut session.instance));
        let mut state = Occupancy::take_up(take(&mut session.state), &instance, &session.relations);
        for step in 0..25 {
            let mark = state.mark();
            disturb(&mut rng, &mut state);
            session.names.extend(&state, &session.index, &BTreeMap::new());
            let (scope, differing) = scope_of(&state, &session.rules);
            let judge = Judge {
                held: &session.held,
                rules: &session.rules,
                names: session.names.all(),
                index: &session.index,
                accounts: &session.accounts,
            };
            let found = judge.judge_whole(&state).violations;
            match judge.judge(&state, &scope, &differing.opened) {
                Verdict::Sound(_) => {
                    sound += 1;
                    assert!(found.is_empty(), "seed {seed}, step {step}: the whole finds {found:?}");
                }
                Verdict::Broken => {
                    broken += 1;
                    assert!(!found.is_empty(), "seed {seed}, step {step}: only the part finds something");
                }
                Verdict::Whole(accounts) => {
                    whole += 1;
                    assert_eq!(accounts.violations, found);
                }
            }
            state.roll_back(mark);
        }
    }
    assert!(sound > 100 && broken > 100, "{sound} sound, {broken} broken, {whole} judged whole");
}

/// Moves, places or takes off one to three pods, and buys or gives back a node now and then, whatever rules say.
fn disturb(rng: &mut Pcg64Mcg, state: &mut Occupancy<'_>) {
    let instance = state.instance;
    if rng.random_bool(0.2) && instance.sites.len() > instance.standing {
        state.buy(rng.random_range(instance.standing..instance.sites.len()));
    }
    if rng.random_bool(0.1) {
        let node = rng.random_range(0..instance.standing);
        let empty = state.nodes[node].pods.iter().all(|pod| state.pods[*pod].standing == Standing::Daemon);
        if empty && state.nodes[node].open {
            state.close(node);
        }
    }
    let open: Vec<usize> = (0..state.nodes.len()).filter(|node| state.nodes[*node].open).collect();
    for _ in 0..rng.random_range(1..4) {
        let pod = rng.random_range(0..state.pods.len());
        let facts = &state.pods[pod];
        if facts.group.is_none() || facts.removed || open.is_empty() {
            continue;
        }
        let node = open[rng.random_range(0..open.len())];
        let off = facts.existing.is_none() && rng.random_bool(0.3);
        state.bind(pod, (!off).then_some(node));
    }
}

fn scope_of(state: &Occupancy<'_>, rules: &Rules) -> (Scope, Differing) {
    let touched = state.touched();
    let mut differing = Differing::default();
    for (pod, node) in touched.pods {
        if node != state.pods[pod].node {
            differing.nodes.extend(node.into_iter().chain(state.pods[pod].node));
            differing.pods.insert(pod, node);
        }
    }
    differing.opened = touched.nodes.into_iter().filter(|(node, was)| state.nodes[*node].open != *was).collect();
    differing.nodes.extend(differing.opened.keys());
    let pods = || differing.pods.keys().map(|pod| &state.pods[*pod]);
    let templates: BTreeSet<usize> = pods().map(|pod| pod.template).collect();
    let scope = Scope {
        groups: pods().filter_map(|pod| pod.group).collect(),
        templates: rules.tied_to(state.instance, state.relations, templates),
        nodes: differing.nodes.clone(),
    };
    (scope, differing)
}

#[test]
fn a_change_that_does_not_fit_is_refused_and_changes_nothing() {
    let cluster = cluster(3);
    let (mut session, _) = begin(&cluster);
    let before = session.plan();
    let workload = cluster.snapshot.workloads.iter().find(|w| !w.daemon).expect("each cluster has some");
    let other = WorkloadId { name: "nobody".to_owned(), ..workload.id.clone() };
    let of = || Change::of(workload.id.clone());
    let mut strange = requests(1, 1);
    strange.set("example.com/gpu", 1);
    let twice = cluster.snapshot.pods.iter().find(|p| p.workload == workload.id).expect("it has pods").clone();
    let mut alien = twice.clone();
    alien.workload = other.clone();
    let mut made_otherwise = twice.clone();
    (made_otherwise.name, made_otherwise.template) = ("x".to_owned(), usize::MAX);
    let cases = [
        (Change::of(other), "shop/nobody is no workload"),
        (Change { gone: vec!["ghost".to_owned()], ..of() }, "has no pod ghost"),
        (Change { ready: vec![("ghost".to_owned(), true)], ..of() }, "has no pod ghost"),
        (Change { requests: Some(strange), ..of() }, "asks for example.com/gpu"),
        (Change { came: vec![twice], ..of() }, "but a pod of this name exists"),
        (Change { came: vec![alien], ..of() }, "but is none of"),
        (Change { came: vec![made_otherwise], ..of() }, "which the workload does not have"),
    ];
    for (change, message) in cases {
        let refused = session.change(&change).expect_err(message).to_string();
        assert!(refused.contains(message), "{refused}");
        assert_eq!(session.plan(), before, "{message}");
    }
}
