//! Hand-made clusters: a right plan passes, and each smallest break is found and nothing else.

use std::collections::BTreeMap;

use super::*;
use crate::domain::Resources;
use crate::domain::catalog::{CapacityType, NodeOffer, PriceSource};
use crate::domain::menu::{Basis, DeclaredReason, MenuEntry};
use crate::domain::plan::{
    Certificate, NodePlan, NodeState, Placement, PlacementState, Removal, Stopped, Unplaced, WorkloadPlan,
};
use crate::domain::policy::{
    Behavior, Costs, DisruptionLimits, MetricMapping, Mode, Objective, Planning, Spread, Target, WorkloadSelector,
};
use crate::domain::resources::PODS;
use crate::domain::rules::{
    HOSTNAME_LABEL, HostPort, LabelSelector, Labels, NodeSelectorTerm, Operator, PodAffinityTerm, Requirement, Taint,
    TaintEffect, TopologySpread, ZONE_LABEL,
};
use crate::domain::snapshot::{Amount, DisruptionBudget, Node, Pod, PodTemplate, Workload, WorkloadId};

/// Index of the templates in [`Case::still`].
const AGENT: usize = 0;
const WEB: usize = 1;

#[derive(Clone)]
struct Case {
    snapshot: Snapshot,
    catalog: Catalog,
    policy: Policy,
    menus: Vec<Menu>,
    plan: Plan,
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn room() -> Resources {
    Resources::of([("cpu", 4000), (PODS, 10)])
}

fn node(name: &str, zone: &str) -> Node {
    Node {
        name: name.to_owned(),
        labels: labels(&[(ZONE_LABEL, zone), (HOSTNAME_LABEL, name)]),
        taints: Vec::new(),
        unschedulable: false,
        ready: true,
        allocatable: room(),
        zone: zone.to_owned(),
        instance_type: "m5".to_owned(),
        capacity_type: CapacityType::OnDemand,
        created_ms: None,
        do_not_disrupt: false,
    }
}

fn template(app: &str, cpu: i64) -> PodTemplate {
    PodTemplate {
        namespace: "shop".to_owned(),
        labels: labels(&[("app", app)]),
        requests: Resources::of([("cpu", cpu)]),
        ..PodTemplate::default()
    }
}

fn id(kind: &str, name: &str) -> WorkloadId {
    WorkloadId { namespace: "shop".to_owned(), kind: kind.to_owned(), name: name.to_owned() }
}

fn workload(kind: &str, name: &str, template: usize, replicas: u32) -> Workload {
    Workload {
        id: id(kind, name),
        replicas,
        labels: Labels::new(),
        selector: LabelSelector::default(),
        template: Some(template),
        scalable: kind == "Deployment",
        daemon: kind == "DaemonSet",
        batch: false,
    }
}

fn pod(name: &str, kind: &str, workload: &str, template: usize, node: Option<&str>) -> Pod {
    Pod {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        uid: String::new(),
        workload: id(kind, workload),
        template,
        node: node.map(str::to_owned),
        ready: true,
        deleting: false,
        do_not_evict: false,
        deletion_cost: 0,
        created_ms: None,
        scheduled_ms: None,
        ready_ms: None,
        scheduler_message: None,
    }
}

fn budget(max_unavailable: Option<Amount>, min_available: Option<Amount>) -> DisruptionBudget {
    let selector = LabelSelector { match_labels: labels(&[("app", "web")]), match_expressions: Vec::new() };
    DisruptionBudget {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        selector: Some(selector),
        max_unavailable,
        min_available,
    }
}

fn placement(pod: &str, workload: &str, node: &str, state: PlacementState) -> Placement {
    Placement {
        namespace: "shop".to_owned(),
        pod: pod.to_owned(),
        workload: workload.to_owned(),
        node: node.to_owned(),
        state,
        from: None,
    }
}

fn node_plan(name: &str, zone: &str, state: NodeState) -> NodePlan {
    NodePlan {
        name: name.to_owned(),
        offer: "m5".to_owned(),
        zone: zone.to_owned(),
        capacity_type: CapacityType::OnDemand,
        state,
        price_per_hour: 1.0,
        allocatable: room(),
        used_now: Resources::default(),
        used: Resources::default(),
    }
}

fn workload_plan(workload: &Workload, requests: &Resources) -> WorkloadPlan {
    WorkloadPlan {
        id: workload.id.clone(),
        replicas_now: workload.replicas,
        replicas: workload.replicas,
        requests_now: requests.clone(),
        requests: requests.clone(),
        risk: None,
        risk_now: None,
        basis: Basis::Declared { reason: DeclaredReason::Current },
        target: None,
        moves: 0,
    }
}

fn entry(replicas: u32, cpu: i64, risk_cost_per_hour: f64) -> MenuEntry {
    MenuEntry {
        replicas,
        requests: Resources::of([("cpu", cpu)]),
        risk: None,
        risk_cost_per_hour,
        basis: Basis::Declared { reason: DeclaredReason::Current },
    }
}

fn policy() -> Policy {
    let target = Target {
        name: "web".to_owned(),
        selects: WorkloadSelector { kinds: vec!["Deployment".to_owned()], ..WorkloadSelector::default() },
        min_replicas: 1,
        max_replicas: 5,
        scale_replicas: true,
        resize_requests: true,
        min_requests: Resources::default(),
        max_requests: Resources::default(),
        objective: Objective::Utilisation { share: 0.6 },
        max_risk: 0.05,
        behavior: Behavior::default(),
        spread: None,
        max_spot_share: None,
        zone_loss: None,
        max_unavailable: None,
    };
    Policy {
        name: "test".to_owned(),
        source: "test".to_owned(),
        mode: Mode::Recommend,
        targets: vec![target],
        disruption: DisruptionLimits {
            max_moves: Amount::Percent(50),
            max_drains: Amount::Count(1),
            max_waves: 3,
            remove_nodes: true,
            add_nodes: true,
        },
        costs: Costs {
            move_per_core: 0.2,
            node_change: 0.5,
            breach_per_replica_hour: 1.0,
            unplaced_per_hour: 100.0,
            amortise_hours: 10.0,
        },
        planning: Planning {
            step_ms: 60_000,
            horizon_s: 3600,
            lead_time_s: 300,
            memory_margin: 0.1,
            estimate_per_core_hour: 0.03,
            estimate_per_gib_hour: 0.004,
            estimate_per_gpu_hour: 1.0,
        },
        metrics: MetricMapping::default(),
        events: Vec::new(),
        places: BTreeMap::new(),
    }
}

impl Case {
    /// Nodes a and b in zones z1 and z2, each with an agent and a web pod; the plan changes nothing.
    fn still() -> Self {
        let workloads = vec![workload("DaemonSet", "agent", AGENT, 2), workload("Deployment", "web", WEB, 2)];
        let templates = vec![template("agent", 100), template("web", 1000)];
        let pods = vec![
            pod("agent-a", "DaemonSet", "agent", AGENT, Some("a")),
            pod("agent-b", "DaemonSet", "agent", AGENT, Some("b")),
            pod("web-0", "Deployment", "web", WEB, Some("a")),
            pod("web-1", "Deployment", "web", WEB, Some("b")),
        ];
        let placements = pods
            .iter()
            .map(|p| {
                let workload = format!("{}/{}", p.workload.kind, p.workload.name);
                placement(&p.name, &workload, p.node.as_deref().unwrap(), PlacementState::Stay)
            })
            .collect();
        let plan = Plan {
            certificate: Certificate {
                cost_per_hour: 0.0,
                unplaceable_per_hour: 0.0,
                bound_per_hour: 0.0,
                gap: 0.0,
                model_gap: 0.0,
                packing_gap: 0.0,
                feasible: true,
                stopped: Stopped::Optimal,
                unmodelled_rules: Vec::new(),
                cost: CostParts::default(),
                cost_now: CostParts::default(),
                now_feasible: true,
                prices: PriceSource::Listed,
                violations: Vec::new(),
            },
            workloads: workloads.iter().zip(&templates).map(|(w, t)| workload_plan(w, &t.requests)).collect(),
            nodes: vec![node_plan("a", "z1", NodeState::Keep), node_plan("b", "z2", NodeState::Keep)],
            placements,
            removals: Vec::new(),
            unplaced: Vec::new(),
            pending: Vec::new(),
            binding: Vec::new(),
        };
        let offer = NodeOffer {
            name: "m5".to_owned(),
            zones: vec!["z1".to_owned(), "z2".to_owned()],
            capacity_type: CapacityType::OnDemand,
            price_per_hour: 1.0,
            allocatable: room(),
            labels: Labels::new(),
            taints: Vec::new(),
            quota: Some(2),
            boot_time_s: 60.0,
        };
        let menu = Menu {
            workload: id("Deployment", "web"),
            entries: vec![
                entry(1, 1000, 4.0),
                entry(2, 1000, 0.5),
                entry(2, 3500, 0.1),
                entry(3, 1000, 0.1),
                entry(7, 1000, 0.0),
            ],
            current: Some(1),
        };
        Self {
            snapshot: Snapshot {
                nodes: vec![node("a", "z1"), node("b", "z2")],
                templates,
                pods,
                workloads,
                ..Snapshot::default()
            },
            catalog: Catalog { name: "test".to_owned(), prices: PriceSource::Listed, offers: vec![offer] },
            policy: policy(),
            menus: vec![menu],
            plan,
        }
    }

    /// A third replica on a node that is bought in zone z1.
    fn growing() -> Self {
        let mut case = Self::still();
        case.plan.nodes.push(node_plan("new-m5-z1-1", "z1", NodeState::Add));
        case.plan.workloads[1].replicas = 3;
        case.come("web-new-1", "Deployment/web", "new-m5-z1-1");
        case.come("agent-new-1", "DaemonSet/agent", "new-m5-z1-1");
        case
    }

    /// The web pod of node b moves to a, and b goes.
    fn packing() -> Self {
        let mut case = Self::still();
        case.plan.nodes[1].state = NodeState::Remove;
        case.plan.placements.remove(1);
        let moved = &mut case.plan.placements[2];
        (moved.node, moved.state, moved.from) = ("a".to_owned(), PlacementState::Move, Some("b".to_owned()));
        case
    }

    /// The web pod of node b goes.
    fn shrinking() -> Self {
        let mut case = Self::still();
        case.plan.workloads[1].replicas = 1;
        case.plan.placements.remove(3);
        case.remove("web-1", "b");
        case
    }

    fn come(&mut self, pod: &str, workload: &str, node: &str) {
        self.plan.placements.push(placement(pod, workload, node, PlacementState::New));
    }

    fn remove(&mut self, pod: &str, node: &str) {
        self.plan.removals.push(Removal {
            namespace: "shop".to_owned(),
            pod: pod.to_owned(),
            workload: "Deployment/web".to_owned(),
            node: Some(node.to_owned()),
        });
    }

    fn web(&mut self) -> &mut PodTemplate {
        &mut self.snapshot.templates[WEB]
    }

    fn target(&mut self) -> &mut Target {
        &mut self.policy.targets[0]
    }

    fn check(&self) -> CheckReport {
        check(&self.snapshot, &self.catalog, &self.policy, &self.menus, &self.plan)
    }

    fn messages(&self) -> Vec<String> {
        self.check().violations.iter().map(ToString::to_string).collect()
    }
}

fn select(app: &str) -> LabelSelector {
    LabelSelector { match_labels: labels(&[("app", app)]), match_expressions: Vec::new() }
}

fn term(app: &str, key: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        topology_key: key.to_owned(),
        selector: Some(select(app)),
        namespaces: Vec::new(),
        namespace_selector: None,
    }
}

fn spread(app: &str) -> TopologySpread {
    TopologySpread {
        max_skew: 1,
        topology_key: ZONE_LABEL.to_owned(),
        hard: true,
        selector: Some(select(app)),
        min_domains: None,
        honor_affinity: true,
        honor_taints: false,
    }
}

fn in_zone(zone: &str) -> NodeSelectorTerm {
    let zone = Requirement { key: ZONE_LABEL.to_owned(), operator: Operator::In, values: vec![zone.to_owned()] };
    NodeSelectorTerm { expressions: vec![zone], fields: Vec::new() }
}

fn taint(effect: TaintEffect) -> Taint {
    Taint { key: "spot".to_owned(), value: "yes".to_owned(), effect }
}

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
    let mut twice = Case::shrinking();
    twice.plan.placements.push(placement("web-1", "Deployment/web", "b", PlacementState::Stay));
    twice.plan.workloads[1].replicas = 2;
    assert!(twice.messages().contains(&"pod shop/web-1 is in the plan twice".to_owned()), "{:?}", twice.messages());
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
