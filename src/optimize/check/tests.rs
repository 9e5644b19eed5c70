//! Hand-made clusters: a right plan passes, and each smallest break is found and nothing else.

mod case;
mod preemption;
mod rules;

use case::*;

use crate::domain::Resources;
use crate::domain::catalog::CapacityType;
use crate::domain::plan::{NodeState, PlacementState, Unplaced};
use crate::domain::policy::Spread;
use crate::domain::resources::PODS;
use crate::domain::rules::{HOSTNAME_LABEL, HostPort, TaintEffect, Toleration, TopologySpread, ZONE_LABEL};
use crate::domain::snapshot::Amount;

#[test]
fn right_plans_pass() {
    for (name, case) in [
        ("still", Case::still()),
        ("growing", Case::growing()),
        ("packing", Case::packing()),
        ("shrinking", Case::shrinking()),
    ] {
        assert_eq!(case.messages(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn costs_are_recomputed_from_prices_and_policy() {
    let cost = |case: Case| case.check().cost;
    let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
    let still = cost(Case::still());
    assert!(near(still.nodes, 2.0) && near(still.risk, 0.5) && near(still.change, 0.0) && near(still.unplaced, 0.0));
    let growing = cost(Case::growing());
    assert!(near(growing.nodes, 3.0) && near(growing.risk, 0.1) && near(growing.change, 0.05), "{growing:?}");
    let packing = cost(Case::packing());
    assert!(near(packing.nodes, 1.0) && near(packing.change, (0.2 * 1.0 + 0.5) / 10.0), "{packing:?}");

    let mut small = Case::packing();
    small.web().requests = Resources::of([("cpu", 1)]);
    assert!(near(cost(small).change, (0.2 * 0.1 + 0.5) / 10.0), "a tenth of a core is charged at least");

    let mut pending = Case::shrinking();
    pending.plan.workloads[1].replicas = 2;
    pending.plan.removals.clear();
    pending.snapshot.pods[3].node = None;
    pending.plan.unplaced.push(Unplaced {
        namespace: "shop".to_owned(),
        workload: "Deployment/web".to_owned(),
        count: 1,
        reasons: Vec::new(),
    });
    assert_eq!(pending.messages(), Vec::<String>::new());
    assert!(near(cost(pending.clone()).unplaced, 100.0));
    pending.web().priority = 3000;
    assert!(near(cost(pending.clone()).unplaced, 400.0));
    pending.web().priority = i32::MAX;
    assert!(near(cost(pending).unplaced, 100_100.0), "priority adds a thousand times the price at most");
}

/// A right plan, the smallest change that breaks it, and the one message it must give.
type Break<'a> = (fn() -> Case, fn(&mut Case), &'a str);

#[track_caller]
fn breaks(cases: &[Break<'_>]) {
    for (start, change, expected) in cases {
        let mut case = start();
        change(&mut case);
        assert_eq!(case.messages(), [*expected]);
    }
}

#[test]
fn every_pod_and_workload_is_accounted_for_once() {
    breaks(&[
        (Case::still, |c| drop(c.plan.workloads.remove(0)), "shop/agent is missing from the plan"),
        (Case::still, |c| c.plan.workloads.push(c.plan.workloads[0].clone()), "shop/agent is in the plan twice"),
        (
            Case::still,
            |c| {
                c.plan.placements.remove(3);
                c.come("web-new-1", "Deployment/web", "b");
            },
            "running pod shop/web-1 is missing from the plan",
        ),
        (
            Case::still,
            |c| {
                c.plan.unplaced.push(Unplaced {
                    namespace: "shop".to_owned(),
                    workload: "Deployment/web".to_owned(),
                    count: 1,
                    reasons: Vec::new(),
                });
            },
            "shop/web gets 2 replicas, but 2 are placed and 1 unplaced",
        ),
        (
            Case::growing,
            |c| {
                c.remove("web-1", "b");
                c.plan.placements.remove(3);
                c.come("web-new-2", "Deployment/web", "b");
            },
            "1 pod(s) of shop/web are removed, but only 0 are too many",
        ),
        (Case::still, |c| c.remove("ghost", "b"), "pod shop/ghost is removed, but does not exist"),
        (
            Case::still,
            |c| c.plan.placements[3].state = PlacementState::New,
            "the placement of pod shop/web-1 is false: it has a node already",
        ),
        (
            Case::packing,
            |c| c.plan.placements[2].from = None,
            "the placement of pod shop/web-1 is false: it moves from another node",
        ),
        (
            Case::packing,
            |c| c.plan.placements[2].state = PlacementState::Stay,
            "the placement of pod shop/web-1 is false: it does not stay on the node it has",
        ),
    ]);
    let mut pinned = Case::shrinking();
    pinned.snapshot.pods[3].do_not_evict = true;
    assert_eq!(pinned.messages(), ["pod shop/web-1 is removed, but must not be evicted"]);
    let mut twice = Case::shrinking();
    twice.plan.placements.push(placement("web-1", "Deployment/web", "b", PlacementState::Stay));
    twice.plan.workloads[1].replicas = 2;
    assert!(twice.messages().contains(&"pod shop/web-1 is in the plan twice".to_owned()), "{:?}", twice.messages());
}

#[test]
fn a_stateful_set_gives_up_its_highest_ordinals() {
    let shrinking = |gone: usize| {
        let mut case = Case::still();
        let set = id("StatefulSet", "web");
        for pod in &mut case.snapshot.pods[2..] {
            pod.workload = set.clone();
        }
        for placement in &mut case.plan.placements[2..] {
            placement.workload = "StatefulSet/web".to_owned();
        }
        case.snapshot.workloads[1].id = set.clone();
        case.plan.workloads[1].id = set.clone();
        case.menus[0].workload = set;
        case.plan.workloads[1].replicas = 1;
        case.plan.placements.remove(2 + gone);
        case.remove(&format!("web-{gone}"), ["a", "b"][gone]);
        case.plan.removals[0].workload = "StatefulSet/web".to_owned();
        case
    };
    assert_eq!(shrinking(1).messages(), Vec::<String>::new());
    let out_of_order = "pod shop/web-0 is removed, but shop/web-1 stays, which its StatefulSet takes away first";
    assert_eq!(shrinking(0).messages(), [out_of_order]);
    let mut held = shrinking(0);
    held.snapshot.pods[3].do_not_evict = true;
    let messages = held.messages();
    assert!(messages.contains(&out_of_order.to_owned()), "{messages:?}");
}

#[test]
fn a_choice_is_on_the_menu_and_within_the_targets_bounds() {
    breaks(&[
        (
            Case::still,
            |c| drop(c.menus[0].entries.remove(1)),
            "shop/web with 2 replicas and these requests is not on its menu",
        ),
        (Case::growing, |c| c.menus.clear(), "shop/web is changed, but has no menu"),
        (Case::growing, |c| c.target().max_replicas = 2, "shop/web gets 3 replicas, but its target allows 1 to 2"),
        (
            Case::growing,
            |c| c.target().scale_replicas = false,
            "shop/web gets 3 replicas, but its target allows 2 to 2",
        ),
        (
            Case::still,
            |c| {
                c.plan.workloads[1].requests = Resources::of([("cpu", 3500)]);
                c.target().max_requests = Resources::of([("cpu", 3000)]);
            },
            "shop/web gets requests of cpu beyond its target's bounds",
        ),
    ]);
    let mut out_of_bounds = Case::still();
    out_of_bounds.target().min_replicas = 3;
    assert_eq!(out_of_bounds.messages(), Vec::<String>::new(), "what stands may stay outside the bounds");
}

#[test]
fn nodes_are_bought_and_removed_as_allowed() {
    breaks(&[
        (Case::still, |c| c.plan.nodes.push(node_plan("c", "z1", NodeState::Keep)), "node c does not exist"),
        (Case::still, |c| c.plan.nodes.push(c.plan.nodes[0].clone()), "node a is in the plan twice"),
        (
            Case::growing,
            |c| c.policy.disruption.add_nodes = false,
            "node new-m5-z1-1 is bought, but the policy buys no nodes",
        ),
        (
            Case::growing,
            |c| c.catalog.offers[0].quota = Some(1),
            "2 nodes of offer \"m5\" in zone \"z1\", but the quota is 1",
        ),
        (
            Case::growing,
            |c| c.plan.nodes[2].price_per_hour = 0.9,
            "the price of node new-m5-z1-1 is not that of its offer \"m5\"",
        ),
        (
            Case::packing,
            |c| c.policy.disruption.remove_nodes = false,
            "node b is removed, but the policy removes no nodes",
        ),
        (
            Case::packing,
            |c| c.snapshot.nodes[1].do_not_disrupt = true,
            "node b is removed, but it must not be disrupted",
        ),
        (
            Case::packing,
            |c| c.policy.disruption.max_drains = Amount::Count(0),
            "the plan removes 1 node(s), but the policy allows 0",
        ),
        (
            Case::packing,
            |c| c.policy.disruption.max_moves = Amount::Percent(0),
            "the plan moves 1 pod(s), but the policy allows 0",
        ),
        (
            Case::packing,
            |c| c.policy.targets[0].max_unavailable = Some(Amount::Count(0)),
            "1 pod(s) of shop/web are moved, but its maxUnavailable allows 0 in all waves",
        ),
        (
            Case::packing,
            |c| c.snapshot.budgets.push(budget(None, Some(Amount::Count(2)))),
            "1 pod(s) are moved, but the disruption budget shop/web allows 0 in all waves",
        ),
        (
            Case::packing,
            |c| {
                c.snapshot.budgets.push(budget(Some(Amount::Count(1)), None));
                c.snapshot.pods[2].ready = false;
            },
            "1 pod(s) are moved, but the disruption budget shop/web allows 0 in all waves",
        ),
        (Case::growing, |c| drop(c.plan.placements.pop()), "node new-m5-z1-1 lacks the pod of shop/agent"),
        (
            Case::still,
            |c| {
                c.plan.placements.remove(1);
                c.snapshot.pods[1].deleting = true;
            },
            "node b lacks the pod of shop/agent",
        ),
    ]);
    let mut pinned = Case::packing();
    pinned.snapshot.pods[3].do_not_evict = true;
    assert_eq!(
        pinned.messages(),
        [
            "node b is removed, but pod shop/web-1 on it must not be evicted",
            "pod shop/web-1 is moved, but must not be evicted",
        ]
    );
    let mut unsold = Case::growing();
    unsold.plan.nodes[2].zone = "z9".to_owned();
    let messages = unsold.messages();
    let expected = "node new-m5-z1-1 is bought from offer \"m5\" in zone \"z9\", which does not exist";
    assert!(messages.iter().any(|m| m == expected), "{messages:?}");
    let mut forgotten = Case::still();
    forgotten.plan.nodes.remove(1);
    assert!(forgotten.messages().contains(&"node b is missing from the plan".to_owned()));
    let mut gone = Case::packing();
    gone.plan.placements[2].node = "b".to_owned();
    assert!(gone.messages().contains(&"pod shop/web-1 is placed on node b, which is not there".to_owned()));
}

#[test]
fn pods_that_come_fit_their_nodes() {
    breaks(&[
        (
            Case::packing,
            |c| c.snapshot.nodes[0].allocatable.set("cpu", 2000),
            "node a is asked for 2100 of cpu, but has 2000",
        ),
        (Case::packing, |c| c.snapshot.nodes[0].allocatable.set(PODS, 2), "node a is asked for 3 of pods, but has 2"),
        (
            Case::still,
            |c| {
                c.plan.workloads[1].requests = Resources::of([("cpu", 3500)]);
                c.snapshot.nodes[0].allocatable.set("cpu", 3500);
            },
            "node a is asked for 3600 of cpu, but has 3500",
        ),
        (
            Case::packing,
            |c| {
                c.web().rules.node_selector = labels(&[("pool", "web")]);
            },
            "pod shop/web-1 is placed on node a against its node affinity or selector",
        ),
        (
            Case::packing,
            |c| c.web().rules.node_affinity = Some(vec![in_zone("z2")]),
            "pod shop/web-1 is placed on node a against its node affinity or selector",
        ),
        (
            Case::packing,
            |c| c.web().rules.volume_affinity.push(vec![in_zone("z2")]),
            "pod shop/web-1 is placed on node a, from where its volume cannot be reached",
        ),
        (
            Case::packing,
            |c| c.snapshot.nodes[0].taints.push(taint(TaintEffect::NoSchedule)),
            "pod shop/web-1 does not tolerate taint spot=yes:NoSchedule of node a",
        ),
        (
            Case::packing,
            |c| {
                let port = HostPort { port: 80, protocol: "TCP".to_owned(), host_ip: String::new() };
                c.web().rules.host_ports.push(port);
            },
            "two pods want port 80 of node a",
        ),
    ]);
}

#[test]
fn what_stands_may_stay() {
    let mut case = Case::still();
    case.snapshot.nodes[0].allocatable.set("cpu", 500);
    case.snapshot.nodes[0].taints.push(taint(TaintEffect::NoSchedule));
    let web = case.web();
    web.rules.node_selector = labels(&[("pool", "web")]);
    web.rules.pod_anti_affinity.push(term("web", "absent"));
    web.rules.pod_anti_affinity.push(term("agent", ZONE_LABEL));
    assert_eq!(case.messages(), Vec::<String>::new());
    case.snapshot.nodes[0].taints.push(taint(TaintEffect::NoExecute));
    let messages = case.messages();
    assert!(messages.iter().all(|m| m.contains("spot=yes:NoExecute of node a")) && messages.len() == 2, "{messages:?}");
}

#[test]
fn pods_keep_their_distance_in_both_directions() {
    breaks(&[
        (
            Case::packing,
            |c| c.web().rules.pod_anti_affinity.push(term("web", HOSTNAME_LABEL)),
            "a pod of shop/web must not be with one of shop/web in kubernetes.io/hostname=a",
        ),
        (
            Case::growing,
            |c| c.web().rules.pod_anti_affinity.push(term("web", ZONE_LABEL)),
            "a pod of shop/web must not be with one of shop/web in topology.kubernetes.io/zone=z1",
        ),
        (
            Case::growing,
            |c| {
                // The agent comes with the node, so only there is the pair new.
                c.snapshot.templates[AGENT].rules.pod_anti_affinity.push(term("web", HOSTNAME_LABEL));
            },
            "a pod of shop/agent must not be with one of shop/web in kubernetes.io/hostname=new-m5-z1-1",
        ),
        (
            Case::growing,
            |c| c.web().rules.pod_affinity.push(term("web", HOSTNAME_LABEL)),
            "a pod of shop/web in kubernetes.io/hostname=new-m5-z1-1 lacks the pods it must be near",
        ),
        (
            Case::growing,
            |c| c.web().rules.pod_affinity.push(term("absent", ZONE_LABEL)),
            "a pod of shop/web in topology.kubernetes.io/zone=z1 lacks the pods it must be near",
        ),
    ]);
    let mut near = Case::growing();
    near.web().rules.pod_affinity.push(term("web", ZONE_LABEL));
    assert_eq!(near.messages(), Vec::<String>::new());
}

#[test]
fn the_first_of_a_group_that_wants_its_like_near_may_come() {
    let mut case = Case::still();
    case.web().rules.pod_affinity.push(term("web", HOSTNAME_LABEL));
    case.snapshot.workloads[1].replicas = 1;
    case.snapshot.pods.truncate(3);
    case.snapshot.pods[2].node = None;
    case.plan.placements.truncate(2);
    case.plan.workloads[1].replicas = 1;
    case.come("web-0", "Deployment/web", "b");
    assert_eq!(case.messages(), Vec::<String>::new());
}

#[test]
fn topology_spread_is_judged_where_pods_come() {
    breaks(&[
        (
            Case::packing,
            |c| {
                // Zone z2 is still there, on an empty node.
                c.snapshot.nodes.push(node("c", "z2"));
                c.plan.nodes.push(node_plan("c", "z2", NodeState::Keep));
                c.web().rules.topology_spread.push(spread("web"));
            },
            "the pods of shop/web have a skew of 2 in topology.kubernetes.io/zone=z1, but 1 is allowed",
        ),
        (
            Case::growing,
            |c| {
                c.web().rules.topology_spread.push(TopologySpread { min_domains: Some(3), ..spread("web") });
            },
            "the pods of shop/web have a skew of 2 in topology.kubernetes.io/zone=z1, but 1 is allowed",
        ),
        (
            Case::growing,
            |c| {
                c.web().rules.topology_spread.push(TopologySpread { topology_key: "rack".to_owned(), ..spread("web") });
            },
            "a pod of shop/web is placed on node new-m5-z1-1, which lacks label rack",
        ),
    ]);
    let mut even = Case::growing();
    even.web().rules.topology_spread.push(spread("web"));
    assert_eq!(even.messages(), Vec::<String>::new(), "two and one is a skew of one");
    let mut alone = Case::packing();
    alone.web().rules.topology_spread.push(spread("web"));
    assert_eq!(alone.messages(), Vec::<String>::new(), "with zone z2 gone, z1 is the only domain");
    let mut worse_before = Case::growing();
    worse_before.web().rules.topology_spread.push(spread("web"));
    worse_before.snapshot.nodes[1].labels.insert(ZONE_LABEL.to_owned(), "z1".to_owned());
    worse_before.snapshot.nodes.push(node("c", "z2"));
    worse_before.plan.nodes.insert(2, node_plan("c", "z2", NodeState::Keep));
    let last = worse_before.plan.placements.len() - 2;
    worse_before.plan.placements[last].node = "c".to_owned();
    assert_eq!(worse_before.messages(), Vec::<String>::new(), "the pod that comes makes it better");
}

#[test]
fn targets_ask_for_spread_spot_share_and_survival() {
    breaks(&[
        (
            Case::packing,
            |c| {
                c.snapshot.nodes.push(node("c", "z2"));
                c.plan.nodes.push(node_plan("c", "z2", NodeState::Keep));
                c.target().spread = Some(Spread { topology_key: ZONE_LABEL.to_owned(), max_skew: 1 });
            },
            "shop/web has a skew of 2, but its target allows 1",
        ),
        (
            Case::still,
            |c| {
                c.snapshot.nodes[0].capacity_type = CapacityType::Spot;
                c.target().max_spot_share = Some(0.4);
            },
            "shop/web has 1 replicas on spot nodes, but its target allows 0",
        ),
        (
            Case::packing,
            |c| c.target().zone_loss = Some(Amount::Percent(50)),
            "shop/web keeps 0 replicas without zone \"z1\", but its target needs 1",
        ),
    ]);
    let mut kept = Case::still();
    kept.snapshot.nodes[0].capacity_type = CapacityType::Spot;
    let target = kept.target();
    target.max_spot_share = Some(0.5);
    target.zone_loss = Some(Amount::Percent(50));
    target.spread = Some(Spread { topology_key: ZONE_LABEL.to_owned(), max_skew: 1 });
    assert_eq!(kept.messages(), Vec::<String>::new());
}

#[test]
fn pods_outside_the_snapshots_nodes_and_pods_that_leave_are_let_be() {
    let mut elsewhere = Case::still();
    elsewhere.snapshot.pods[3].node = Some("unknown".to_owned());
    elsewhere.plan.placements.remove(3);
    assert_eq!(elsewhere.messages(), Vec::<String>::new());
    let mut leaving = Case::still();
    let mut old = pod("web-old", "Deployment", "web", WEB, Some("a"));
    old.deleting = true;
    leaving.snapshot.pods.push(old);
    assert_eq!(leaving.messages(), Vec::<String>::new(), "it need not be in the plan");
    leaving.plan.placements.push(placement("web-old", "Deployment/web", "a", PlacementState::Stay));
    assert_eq!(leaving.messages(), Vec::<String>::new(), "and may be");
}

/// A web pod comes to zone z1 and spreads over the pods of a batch workload, two of which are in z1 when all is done.
fn spreading_over_others(others_stay: bool) -> Case {
    let mut case = Case::growing();
    case.web().rules.topology_spread.push(spread("batch"));
    let number = case.snapshot.templates.len();
    case.snapshot.templates.push(template("batch", 100));
    let batch = workload("Deployment", "batch", number, 2);
    case.plan.workloads.push(workload_plan(&batch, &Resources::of([("cpu", 100)])));
    case.snapshot.workloads.push(batch);
    for name in ["batch-0", "batch-1"] {
        let (node, state) = if others_stay { (Some("a"), PlacementState::Stay) } else { (None, PlacementState::New) };
        case.snapshot.pods.push(pod(name, "Deployment", "batch", number, node));
        case.plan.placements.push(placement(name, "Deployment/batch", "a", state));
    }
    case
}

#[test]
fn a_spread_is_judged_when_its_pod_comes_not_when_others_have_joined_it() {
    assert_eq!(spreading_over_others(false).messages(), Vec::<String>::new(), "it may come before them");
    assert_eq!(
        spreading_over_others(true).messages(),
        ["the pods of shop/web have a skew of 2 in topology.kubernetes.io/zone=z1, but 1 is allowed"],
        "they are there already"
    );
}

#[test]
fn pods_that_want_their_like_near_begin_in_one_place_only() {
    let mut case = Case::still();
    case.web().rules.pod_affinity.push(term("web", HOSTNAME_LABEL));
    for (pod, placement) in [(2, 2), (3, 3)] {
        case.snapshot.pods[pod].node = None;
        case.plan.placements[placement].state = PlacementState::New;
    }
    assert_eq!(
        case.messages(),
        ["a pod of shop/web in kubernetes.io/hostname=b lacks the pods it must be near"],
        "whichever comes first, the other must follow it"
    );
}

/// Plans the case, with nothing to choose but where pods run.
fn planned(mut case: Case) -> crate::domain::plan::Plan {
    use crate::domain::clock::{StopRule, Stopped};
    case.target().scale_replicas = false;
    case.target().resize_requests = false;
    let Case { snapshot, catalog, policy, menus, .. } = case;
    crate::plan(&snapshot, &catalog, &policy, &menus, &StopRule::default(), &Stopped, &mut |_| ())
        .expect("sound prices")
}

#[test]
fn what_is_broken_today_is_mended_inside_the_budgets() {
    let on_spot = || {
        let mut case = Case::still();
        case.snapshot.nodes[0].capacity_type = CapacityType::Spot;
        case.target().max_spot_share = Some(0.4);
        case
    };
    let evicted = || {
        let mut case = Case::still();
        case.snapshot.nodes[0].taints.push(taint(TaintEffect::NoExecute));
        let everything = Toleration { key: String::new(), exists: true, value: String::new(), effect: None };
        case.snapshot.templates[AGENT].rules.tolerations.push(everything);
        case
    };
    let crowded = || {
        // Both in z1, and an empty node in z2 that has to stay.
        let mut case = Case::still();
        case.snapshot.nodes[1].labels.insert(ZONE_LABEL.to_owned(), "z1".to_owned());
        case.snapshot.nodes[1].zone = "z1".to_owned();
        case.snapshot.nodes.push(node("c", "z2"));
        case.snapshot.nodes[2].do_not_disrupt = true;
        case
    };
    let uneven = || {
        let mut case = crowded();
        case.target().spread = Some(Spread { topology_key: ZONE_LABEL.to_owned(), max_skew: 1 });
        case
    };
    let in_one_zone = || {
        let mut case = crowded();
        case.target().zone_loss = Some(Amount::Count(1));
        case
    };
    let cases: [(&str, &dyn Fn() -> Case); 4] =
        [("spot share", &on_spot), ("NoExecute", &evicted), ("spread", &uneven), ("zone loss", &in_one_zone)];
    for (name, case) in cases {
        let plan = planned(case());
        assert_eq!(plan.certificate.violations, Vec::<String>::new(), "{name}");
        assert!(plan.placements.iter().any(|p| p.state == PlacementState::Move), "{name}: a pod has moved");
        let mut still = case();
        still.policy.disruption.max_moves = Amount::Count(0);
        let plan = planned(still);
        assert!(!plan.certificate.feasible && plan.certificate.violations.len() == 1, "{name}: {:?}", plan.certificate);
    }
}
