//! Waves of small clusters worked by hand, and a replay that trusts none of the bookkeeping.

mod case;
mod checked;
mod preemption;
mod replay;
mod rules;

use crate::domain::resources::CPU;
use crate::domain::rules::{HOSTNAME_LABEL, PodAffinityTerm};
use crate::domain::snapshot::Amount;
use crate::domain::steps::{Action, Steps};

use case::*;

#[test]
fn nodes_come_first_then_growth_then_moves_then_what_gives_room_back() {
    let mut case = Case::new(
        &["a", "-b", "+new"],
        &[("api", (1, 400), (2, 400)), ("old", (2, 100), (1, 100)), ("web", (1, 300), (1, 300))],
    );
    case.pod("api", "api-1", "a", "a");
    case.pod("api", "api-new-1", "", "new");
    case.pod("old", "old-1", "a", "a");
    case.pod("old", "old-2", "b", "");
    case.pod("web", "web-1", "b", "new");
    assert_eq!(
        case.waves(),
        [
            vec!["add new", "cordon b"],
            vec!["api 1→2", "api-new-1→new"],
            vec!["web-1: b→new"],
            vec!["old 2→1"],
            vec!["remove b"],
        ]
    );
    let steps = case.steps();
    assert!(steps.deferred.is_empty());
    assert!((steps.waves[0].at_least_s - 90.0).abs() < 1e-9, "the node boots");
    assert!((steps.waves[3].at_least_s - 300.0).abs() < 1e-9, "HPA's stabilisation window before shrinking");
}

#[test]
fn a_plan_that_changes_nothing_takes_no_steps() {
    let mut case = Case::new(&["a"], &[("web", (1, 300), (1, 300))]);
    case.pod("web", "web-1", "a", "a");
    assert_eq!(case.steps(), Steps::default());
}

#[test]
fn moves_wait_for_the_disruption_budget() {
    let mut case = Case::new(&["a", "b"], &[("web", (3, 100), (3, 100))]);
    for i in 1..=3 {
        case.pod("web", &format!("web-{i}"), "a", "b");
    }
    case.budget("web", Some(Amount::Count(2)), None);
    assert_eq!(case.waves(), [["web-1: a→b"], ["web-2: a→b"], ["web-3: a→b"]]);
    case.snapshot.budgets[0].min_available = None;
    case.snapshot.budgets[0].max_unavailable = Some(Amount::Percent(34));
    assert_eq!(case.waves(), [vec!["web-1: a→b", "web-2: a→b"], vec!["web-3: a→b"]], "34 % of 3 is 2, rounded up");
    case.snapshot.budgets[0].max_unavailable = Some(Amount::Count(0));
    assert!(case.waves().is_empty());
    assert_eq!(case.deferred()[0], "web-1: a→b | budget shop/web");
}

#[test]
fn a_pod_that_is_not_ready_spends_nothing_but_needs_the_budget_met() {
    let mut case = Case::new(&["a", "b"], &[("web", (2, 100), (2, 100))]);
    case.pod("web", "web-1", "a", "a");
    case.pod("web", "web-2", "a", "b");
    case.snapshot.pods[1].ready = false;
    case.budget("web", Some(Amount::Count(1)), None);
    assert_eq!(case.waves(), [["web-2: a→b"]]);
    case.snapshot.budgets[0].min_available = Some(Amount::Count(2));
    assert_eq!(case.deferred(), ["web-2: a→b | budget shop/web"]);
}

#[test]
fn two_budgets_about_one_pod_forbid_every_eviction() {
    let mut case = Case::new(&["a", "b"], &[("web", (1, 100), (1, 100))]);
    case.pod("web", "web-1", "a", "b");
    case.budget("web", None, Some(Amount::Count(1)));
    case.budget("web", None, Some(Amount::Count(1)));
    assert_eq!(case.deferred(), ["web-1: a→b | budget shop/web and budget shop/web about one pod"]);
}

#[test]
fn the_targets_limit_holds_beside_the_budgets() {
    let mut case = Case::new(&["a", "b"], &[("web", (4, 100), (4, 100))]);
    for i in 1..=4 {
        case.pod("web", &format!("web-{i}"), "a", "b");
    }
    case.policy.targets[0].max_unavailable = Some(Amount::Count(3));
    assert_eq!(case.waves().iter().map(Vec::len).collect::<Vec<_>>(), [3, 1]);
    case.policy.targets[0].max_unavailable = None;
    assert_eq!(case.waves().len(), 4, "a quarter at a time where nobody says");
    case.policy.targets[0].max_unavailable = Some(Amount::Count(0));
    assert_eq!(case.deferred()[0], "web-1: a→b | targets.web.maxUnavailable");
}

#[test]
fn what_arrives_finds_room_before_anything_leaves() {
    // web-1 can go to b only once db-1 has left it for c.
    let mut case = Case::new(&["a", "b", "c"], &[("db", (1, 700), (1, 700)), ("web", (1, 700), (1, 700))]);
    case.pod("db", "db-1", "b", "c");
    case.pod("web", "web-1", "a", "b");
    assert_eq!(case.waves(), [["db-1: b→c"], ["web-1: a→b"]]);
}

#[test]
fn a_swap_without_spare_room_is_deferred_with_the_node_named() {
    let mut case = Case::new(&["a", "b"], &[("db", (1, 700), (1, 700)), ("web", (1, 700), (1, 700))]);
    case.pod("db", "db-1", "b", "a");
    case.pod("web", "web-1", "a", "b");
    assert!(case.waves().is_empty());
    assert_eq!(case.deferred(), ["db-1: b→a | room on node a", "web-1: a→b | room on node b"]);
}

#[test]
fn growth_that_needs_the_room_of_a_shrinking_workload_comes_after_it() {
    let mut case = Case::new(&["a"], &[("new", (1, 400), (2, 400)), ("old", (2, 300), (1, 300))]);
    case.pod("new", "new-1", "a", "a");
    case.pod("new", "new-new-1", "", "a");
    case.pod("old", "old-1", "a", "a");
    case.pod("old", "old-2", "a", "");
    // 400 + 2 · 300 fill the core; 300 more are free once `old` shrank: not enough, so it stays pending.
    assert_eq!(case.waves(), [["old 2→1"]]);
    assert_eq!(case.deferred(), ["new 1→2 | room on node a"]);
    case.snapshot.nodes[0].allocatable.set(CPU, 1100);
    assert_eq!(case.waves(), [vec!["old 2→1"], vec!["new 1→2", "new-new-1→a"]]);
}

#[test]
fn rate_limits_cap_a_scale_and_name_themselves() {
    let mut case = Case::new(&["a"], &[("web", (2, 10), (9, 10))]);
    case.pod("web", "web-1", "a", "a");
    case.pod("web", "web-2", "a", "a");
    for i in 1..=7 {
        case.pod("web", &format!("web-new-{i}"), "", "a");
    }
    case.policy.targets[0].behavior.scale_up.policies =
        vec![crate::domain::policy::ScalingPolicy { amount: Amount::Count(2), period_s: 200 }];
    let steps = case.steps();
    assert_eq!(short(&steps.waves[0].actions[0]), "web 2→6", "two at once, and two after 200 of 300 seconds");
    assert_eq!(steps.waves[0].actions.len(), 5);
    assert!((steps.waves[0].at_least_s - 200.0).abs() < 1e-9);
    assert_eq!(case.deferred(), ["web 6→9 | targets.web.behavior.scaleUp"]);
    case.policy.targets[0].max_replicas = 5;
    assert_eq!(case.deferred(), ["web 5→9 | targets.web.maxReplicas"]);
    case.policy.targets[0].scale_replicas = false;
    assert_eq!(case.deferred(), ["web 2→9 | targets.web.scaleReplicas"]);
    case.policy.targets.clear();
    assert_eq!(case.deferred(), ["web 2→9 | no target selects shop/web"]);
}

#[test]
fn replicas_without_a_node_are_not_asked_for() {
    let mut case = Case::new(&["a"], &[("web", (1, 100), (3, 100))]);
    case.pod("web", "web-1", "a", "a");
    case.pod("web", "web-new-1", "", "a");
    assert_eq!(case.waves(), [["web 1→2", "web-new-1→a"]]);
    assert_eq!(case.deferred(), ["web 2→3 | no node for 1 of shop/web"]);
}

#[test]
fn pods_a_controller_owes_come_without_scaling_it() {
    let mut case = Case::new(&["a"], &[("web", (2, 100), (2, 100))]);
    case.pod("web", "web-new-1", "", "a");
    case.pod("web", "web-pending", "", "a");
    assert_eq!(case.waves(), [["web-pending→a", "web-new-1→a"]]);
}

#[test]
fn a_resize_in_place_waits_for_room_and_later_pods_have_the_new_size() {
    // web-1 may grow to 600m on a only after db-1 (500m) has left it.
    let mut case = Case::new(&["a", "b"], &[("db", (1, 500), (1, 500)), ("web", (1, 300), (2, 600))]);
    case.pod("db", "db-1", "a", "b");
    case.pod("web", "web-1", "a", "a");
    case.snapshot.nodes[1].allocatable.set(CPU, 1100);
    case.pod("web", "web-new-1", "", "b");
    assert_eq!(
        case.waves(),
        [vec!["web 1→2", "web-new-1→b"], vec!["db-1: a→b"], vec!["web 300m→600m"]],
        "300m + 500m fit on b at first, and 600m + 500m in the end"
    );
}

#[test]
fn pods_that_exclude_each_other_never_meet() {
    let mut case = Case::new(&["a", "b", "c"], &[("web", (2, 100), (2, 100))]);
    case.pod("web", "web-1", "a", "b");
    case.pod("web", "web-2", "b", "c");
    case.snapshot.templates[0].rules.pod_anti_affinity = vec![PodAffinityTerm {
        topology_key: HOSTNAME_LABEL.into(),
        selector: Some(selector("web")),
        namespaces: Vec::new(),
        namespace_selector: None,
    }];
    assert_eq!(case.waves(), [["web-2: b→c"], ["web-1: a→b"]]);
}

#[test]
fn the_policys_limits_hold_whatever_the_plan_says() {
    let mut case = Case::new(&["a", "-b", "-c", "+new"], &[("web", (3, 100), (3, 100))]);
    case.pod("web", "web-1", "b", "a");
    case.pod("web", "web-2", "c", "a");
    case.pod("web", "web-3", "a", "new");
    case.policy.disruption.max_drains = Amount::Count(1);
    case.policy.disruption.add_nodes = false;
    assert_eq!(case.waves(), [["cordon b"], ["web-1: b→a"], ["remove b"]]);
    assert_eq!(
        case.deferred(),
        [
            "add new | disruption.addNodes",
            "remove c | disruption.maxDrains",
            "web-2: c→a | disruption.maxDrains",
            "web-3: a→new | node new is not there yet",
        ]
    );
    case.policy.disruption.max_moves = Amount::Count(0);
    assert!(case.waves().is_empty(), "no cordon for a node that is not drained after all");
    assert!(case.deferred().contains(&"web-1: b→a | disruption.maxMoves".to_owned()));
    assert!(case.deferred().contains(&"remove b | pod shop/web-1 on node b".to_owned()));
}

#[test]
fn waves_beyond_the_most_allowed_are_deferred() {
    let mut case = Case::new(&["a", "b"], &[("web", (3, 100), (3, 100))]);
    for i in 1..=3 {
        case.pod("web", &format!("web-{i}"), "a", "b");
    }
    case.budget("web", None, Some(Amount::Count(1)));
    case.policy.disruption.max_waves = 2;
    assert_eq!(case.waves(), [["web-1: a→b"], ["web-2: a→b"]]);
    assert_eq!(case.deferred(), ["web-3: a→b | disruption.maxWaves"]);
}

#[test]
fn jobs_and_pods_of_daemon_sets_are_nobodys_to_scale() {
    let mut case = Case::new(&["a", "-b", "+new"], &[("agent", (2, 50), (2, 50)), ("job", (3, 100), (1, 100))]);
    case.snapshot.workloads[0].daemon = true;
    for workload in &mut case.snapshot.workloads {
        workload.scalable = false;
    }
    case.pod("agent", "agent-a", "a", "a");
    case.pod("agent", "agent-b", "b", "b");
    case.pod("agent", "agent-new-1", "", "new");
    case.pod("job", "job-1", "a", "a");
    // The node goes with its agent, and the new one's agent comes with it; a Job has as many pods as there are.
    assert_eq!(case.waves(), [vec!["add new", "cordon b"], vec!["remove b"]]);
    assert!(case.deferred().is_empty());
}

#[test]
fn a_pod_being_deleted_holds_its_room_and_keeps_no_node() {
    let mut case = Case::new(&["a", "-b"], &[("old", (1, 700), (1, 700)), ("web", (1, 700), (1, 700))]);
    case.pod("old", "old-1", "a", "a");
    case.pod("web", "web-1", "b", "b");
    case.pod("web", "web-2", "", "a");
    case.snapshot.pods[0].deleting = true;
    case.snapshot.pods[1].deleting = true;
    assert_eq!(case.waves(), [["cordon b"], ["remove b"]]);
    assert_eq!(case.deferred(), ["web-2→a | room on node a"]);
}

#[test]
fn a_plan_about_another_cluster_does_nothing() {
    let mut case = Case::new(&["a"], &[("web", (1, 100), (1, 100))]);
    case.pod("web", "web-1", "a", "elsewhere");
    case.pod("web", "web-1", "a", "elsewhere");
    case.snapshot.nodes.clear();
    case.snapshot.pods.clear();
    assert_eq!(case.steps(), Steps::default());
}

#[test]
fn pods_that_go_are_marked_where_the_controller_looks_at_marks_and_taken_by_ordinal_elsewhere() {
    let mut case = Case::new(&["a"], &[("web", (3, 100), (1, 100))]);
    for i in 0..3 {
        case.pod("web", &format!("web-{i}"), "a", if i == 0 { "a" } else { "" });
    }
    let going = |case: &Case| {
        let steps = case.steps();
        let actions = steps.waves.into_iter().flat_map(|wave| wave.actions);
        actions.filter_map(|action| if let Action::Scale { going, .. } = action { Some(going) } else { None }).collect()
    };
    let marked: Vec<Vec<String>> = going(&case);
    assert_eq!(marked, [["web-1", "web-2"]]);
    for id in [&mut case.snapshot.workloads[0].id, &mut case.plan.workloads[0].id] {
        id.kind = "StatefulSet".into();
    }
    for removal in &mut case.plan.removals {
        removal.workload = "StatefulSet/web".into();
    }
    let marked: Vec<Vec<String>> = going(&case);
    assert_eq!(marked, [Vec::<String>::new()]);
}
