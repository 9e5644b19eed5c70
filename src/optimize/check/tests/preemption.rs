//! A running pod makes room for another: a right plan passes, and each condition that fails is found.

use super::case::*;
use crate::domain::Resources;
use crate::domain::plan::{PlacementState, Preempted, Preemptor, Unplaced};
use crate::domain::policy::Preemption;
use crate::domain::snapshot::Amount;

const HIGH: usize = 2;

fn preempted(pod: &str, node: &str) -> Preempted {
    let (namespace, workload) = ("shop".to_owned(), "Deployment/web".to_owned());
    let by =
        Preemptor { namespace: namespace.clone(), pod: "high-0".to_owned(), workload: "Deployment/high".to_owned() };
    Preempted { namespace, pod: pod.to_owned(), workload, node: node.to_owned(), by }
}

/// A pod of high priority that waits comes to node b, and the web pod there is stopped for it.
fn preempting() -> Case {
    let mut case = Case::still();
    case.policy.disruption.preemption = Preemption::LowerPriority;
    let mut own = template("high", 3500);
    own.priority = 1000;
    case.snapshot.templates.push(own);
    case.snapshot.pods.push(pod("high-0", "Deployment", "high", HIGH, None));
    let high = workload("Deployment", "high", HIGH, 1);
    case.plan.workloads.push(workload_plan(&high, &Resources::of([("cpu", 3500)])));
    case.snapshot.workloads.push(high);
    case.plan.placements.remove(3);
    case.come("high-0", "Deployment/high", "b");
    stop(&mut case, "web-1", "b");
    case
}

fn stop(case: &mut Case, pod: &str, node: &str) {
    case.plan.preempted.push(preempted(pod, node));
    case.plan.unplaced.push(Unplaced {
        namespace: "shop".to_owned(),
        workload: "Deployment/web".to_owned(),
        count: 1,
        reasons: Vec::new(),
    });
}

#[test]
fn a_stopped_pod_costs_its_waiting_and_a_move() {
    let case = preempting();
    assert_eq!(case.messages(), Vec::<String>::new());
    let cost = case.check().cost;
    assert!((cost.unplaced - 100.0).abs() < 1e-12, "{cost:?}");
    assert!((cost.change - 0.2 / 10.0).abs() < 1e-12, "{cost:?}");
    let mut dear = preempting();
    dear.web().priority = 500;
    assert!((dear.check().cost.unplaced - 150.0).abs() < 1e-12, "by its own priority");
}

/// The smallest change that forbids it, and what is said then.
type Forbidden = (fn(&mut Case), &'static str);

#[test]
fn nobody_is_stopped_where_anything_forbids_it() {
    let cases: [Forbidden; 12] = [
        (|c| c.policy.disruption.preemption = Preemption::Never, "the policy does not allow preemption"),
        (|c| c.snapshot.pods[3].do_not_evict = true, "it must not be evicted"),
        (|c| c.snapshot.workloads[1].batch = true, "pods of its kind stay where they are"),
        (|c| c.web().gang = Some("train".to_owned()), "it is one of a pod group"),
        (|c| c.web().priority = 1000, "pod shop/high-0 is not of higher priority"),
        (|c| c.snapshot.templates[HIGH].never_preempts = true, "pod shop/high-0 never preempts"),
        (|c| c.plan.preempted[0].by.pod = "ghost".to_owned(), "pod shop/ghost does not come there"),
        (
            |c| {
                c.snapshot.templates[HIGH].requests = Resources::of([("cpu", 2500)]);
                c.plan.workloads[2].requests = Resources::of([("cpu", 2500)]);
                c.plan.placements.last_mut().unwrap().node = "a".to_owned();
            },
            "pod shop/high-0 does not come there",
        ),
        (
            |c| {
                // It runs on the other node, from where it would move.
                c.snapshot.templates[HIGH].requests = Resources::of([("cpu", 2500)]);
                c.plan.workloads[2].requests = Resources::of([("cpu", 2500)]);
                c.policy.disruption.max_moves = Amount::Percent(100);
                c.snapshot.pods[4].node = Some("a".to_owned());
                let moved = c.plan.placements.last_mut().unwrap();
                (moved.state, moved.from) = (PlacementState::Move, Some("a".to_owned()));
            },
            "pod shop/high-0 does not come there",
        ),
        (
            |c| {
                c.snapshot.workloads[2].daemon = true;
                c.snapshot.workloads[2].scalable = false;
            },
            "pod shop/high-0 does not come there",
        ),
        (
            |c| {
                c.plan.workloads[1].replicas = 1;
                c.plan.placements.remove(2);
                c.remove("web-0", "a");
            },
            "its workload gets fewer replicas",
        ),
        (
            |c| {
                c.snapshot.pods[3].workload = id("Pod", "web-1");
                c.snapshot.workloads[1].replicas = 1;
                c.plan.workloads[1].replicas_now = 1;
                c.plan.workloads[1].replicas = 1;
                let mut bare = workload("Pod", "web-1", WEB, 1);
                bare.id = id("Pod", "web-1");
                c.plan.workloads.push(workload_plan(&bare, &Resources::of([("cpu", 1000)])));
                c.snapshot.workloads.push(bare);
                c.plan.unplaced[0].workload = "Pod/web-1".to_owned();
            },
            "pods of its kind stay where they are",
        ),
    ];
    for (change, bar) in cases {
        let mut case = preempting();
        change(&mut case);
        assert_eq!(case.messages(), [format!("pod shop/web-1 is stopped for another, but {bar}")]);
    }
}

#[test]
fn who_is_stopped_runs_and_is_accounted_for_once() {
    let mut unknown = preempting();
    unknown.plan.preempted[0].pod = "ghost".to_owned();
    assert_eq!(
        unknown.messages(),
        [
            "running pod shop/web-1 is missing from the plan",
            "pod shop/ghost is stopped for another, but it does not run on node b",
        ]
    );
    let mut elsewhere = preempting();
    elsewhere.plan.preempted[0].node = "a".to_owned();
    assert_eq!(
        elsewhere.messages(),
        [
            "pod shop/web-1 is stopped for another, but it does not run on node a",
            "pod shop/web-1 is stopped for another, but pod shop/high-0 does not come there",
        ]
    );
    let mut twice = preempting();
    twice.plan.preempted.push(preempted("web-0", "a"));
    let messages = twice.messages();
    assert!(messages.contains(&"pod shop/web-0 is in the plan twice".to_owned()), "{messages:?}");
    let mut moved = preempting();
    moved.plan.unplaced.clear();
    moved.come("web-new-1", "Deployment/web", "a");
    assert_eq!(moved.messages(), ["1 pod(s) of shop/web are stopped for others, but 0 of its pods wait"]);
}

#[test]
fn who_is_stopped_counts_as_moved_and_is_away_for_good() {
    let mut none = preempting();
    none.policy.disruption.max_moves = Amount::Count(0);
    assert_eq!(none.messages(), ["the plan moves 1 pod(s), but the policy allows 0"]);
    // Both web pods run on node b and are stopped.
    let both = || {
        let mut case = preempting();
        case.snapshot.pods[2].node = Some("b".to_owned());
        case.plan.placements.remove(2);
        stop(&mut case, "web-0", "b");
        case.policy.disruption.max_moves = Amount::Percent(100);
        case
    };
    assert_eq!(both().messages(), Vec::<String>::new());
    let mut held = both();
    held.snapshot.budgets.push(budget(Some(Amount::Count(1)), None));
    assert_eq!(
        held.messages(),
        ["2 pod(s) are stopped for others, but the disruption budget shop/web lets 1 go at once"]
    );
    let mut held = both();
    held.target().max_unavailable = Some(Amount::Percent(50));
    assert_eq!(held.messages(), ["2 pod(s) are stopped for others, but maxUnavailable of shop/web lets 1 go at once"]);
    held.policy.disruption.max_waves = 1;
    assert_eq!(held.messages().len(), 2, "and they count among all that move");
}

#[test]
fn the_room_that_is_left_is_all_that_comes_takes() {
    let mut case = preempting();
    case.snapshot.templates[HIGH].requests = Resources::of([("cpu", 3950)]);
    case.plan.workloads[2].requests = Resources::of([("cpu", 3950)]);
    assert_eq!(case.messages(), ["node b is asked for 4050 of cpu, but has 4000"]);
}
