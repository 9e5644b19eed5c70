//! Waves of small clusters worked by hand, and a replay that trusts none of the bookkeeping.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::steps;
use crate::domain::catalog::{CapacityType, Catalog, NodeOffer, PriceSource};
use crate::domain::menu::{Basis, DeclaredReason};
use crate::domain::plan::{
    Certificate, CostParts, NodePlan, NodeState, Placement, PlacementState, Plan, Removal, Stopped, WorkloadPlan,
};
use crate::domain::policy::{Objective, Policy, Target};
use crate::domain::resources::{CPU, PODS};
use crate::domain::rules::{HOSTNAME_LABEL, LabelSelector, Labels, PodAffinityTerm};
use crate::domain::snapshot::{Amount, DisruptionBudget, Node, Pod, PodTemplate, Workload};
use crate::domain::steps::{Action, Steps};
use crate::domain::{Resources, Snapshot, WorkloadId};
use crate::sizing::fixtures;

/// A workload before and after: name, (replicas, millicores) now, (replicas, millicores) planned.
type Change = (&'static str, (u32, i64), (u32, i64));

/// A cluster and a plan for it, built pod by pod.
#[derive(Debug, Clone)]
struct Case {
    snapshot: Snapshot,
    plan: Plan,
    policy: Policy,
}

fn id(name: &str) -> WorkloadId {
    WorkloadId { namespace: "shop".into(), kind: "Deployment".into(), name: name.into() }
}

fn labels(name: &str) -> Labels {
    Labels::from([("app".to_owned(), name.to_owned())])
}

fn selector(name: &str) -> LabelSelector {
    LabelSelector { match_labels: labels(name), match_expressions: Vec::new() }
}

fn free_target() -> Target {
    let objective = Objective::Utilisation { share: 0.5 };
    Target { min_replicas: 0, max_unavailable: Some(Amount::Percent(100)), ..fixtures::target(objective) }
}

fn node_size(millis: i64) -> Resources {
    Resources::of([(CPU, millis), (PODS, 20)])
}

impl Case {
    /// Nodes of 1 core by name: `-` in front for one to be given back, `+` for one to be bought.
    fn new(nodes: &[&str], workloads: &[Change]) -> Self {
        let mut case = Self {
            snapshot: Snapshot::default(),
            plan: Plan {
                certificate: Certificate {
                    unplaceable_per_hour: 0.0,
                    cost_per_hour: 0.0,
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
                workloads: Vec::new(),
                nodes: Vec::new(),
                placements: Vec::new(),
                removals: Vec::new(),
                unplaced: Vec::new(),
                pending: Vec::new(),
                binding: Vec::new(),
            },
            policy: fixtures::policy(free_target()),
        };
        for node in nodes {
            let (state, name) = match node.split_at(1) {
                ("-", name) => (NodeState::Remove, name),
                ("+", name) => (NodeState::Add, name),
                _ => (NodeState::Keep, *node),
            };
            case.node(name, state, 1000);
        }
        for &(name, now, planned) in workloads {
            case.workload(name, now, planned);
        }
        case
    }

    fn node(&mut self, name: &str, state: NodeState, millis: i64) {
        if state != NodeState::Add {
            self.snapshot.nodes.push(Node { instance_type: "small".into(), ..Node::plain(name, node_size(millis)) });
        }
        self.plan.nodes.push(NodePlan {
            name: name.into(),
            offer: "small".into(),
            zone: String::new(),
            capacity_type: CapacityType::OnDemand,
            state,
            price_per_hour: 1.0,
            allocatable: node_size(millis),
            used_now: Resources::default(),
            used: Resources::default(),
        });
    }

    fn workload(&mut self, name: &str, now: (u32, i64), planned: (u32, i64)) {
        let (before, after) = (Resources::of([(CPU, now.1)]), Resources::of([(CPU, planned.1)]));
        let template = self.snapshot.templates.len();
        self.snapshot.templates.push(PodTemplate {
            namespace: "shop".into(),
            labels: labels(name),
            requests: before.clone(),
            ..PodTemplate::default()
        });
        self.snapshot.workloads.push(Workload {
            id: id(name),
            replicas: now.0,
            labels: Labels::new(),
            selector: selector(name),
            template: Some(template),
            scalable: true,
            daemon: false,
            batch: false,
        });
        self.plan.workloads.push(WorkloadPlan {
            id: id(name),
            replicas_now: now.0,
            replicas: planned.0,
            requests_now: before,
            requests: after,
            risk: None,
            risk_now: None,
            basis: Basis::Declared { reason: DeclaredReason::Current },
            target: None,
            moves: 0,
        });
    }

    /// A pod of a workload: where it is (empty: pending or yet to come) and where the plan wants it (empty: nowhere).
    fn pod(&mut self, workload: &str, pod: &str, now: &str, planned: &str) {
        let (namespace, of) = ("shop".to_owned(), format!("Deployment/{workload}"));
        let on = |node: &str| (!node.is_empty()).then(|| node.to_owned());
        if !pod.contains("-new-") {
            self.snapshot.pods.push(Pod {
                namespace: namespace.clone(),
                name: pod.into(),
                uid: String::new(),
                workload: id(workload),
                template: self.snapshot.workloads.iter().position(|w| w.id == id(workload)).unwrap(),
                node: on(now),
                ready: !now.is_empty(),
                deleting: false,
                do_not_evict: false,
                deletion_cost: 0,
                created_ms: None,
                scheduled_ms: None,
                ready_ms: None,
                scheduler_message: None,
            });
        }
        if planned.is_empty() {
            self.plan.removals.push(Removal { namespace, pod: pod.into(), workload: of, node: on(now) });
            return;
        }
        let (state, from) = match (now == planned, on(now)) {
            (true, _) => (PlacementState::Stay, None),
            (false, Some(from)) => (PlacementState::Move, Some(from)),
            (false, None) => (PlacementState::New, None),
        };
        let (pod, node) = (pod.to_owned(), planned.to_owned());
        self.plan.placements.push(Placement { namespace, pod, workload: of, node, state, from });
    }

    fn budget(&mut self, name: &str, min_available: Option<Amount>, max_unavailable: Option<Amount>) {
        let selector = Some(selector(name));
        let (namespace, name) = ("shop".to_owned(), name.to_owned());
        self.snapshot.budgets.push(DisruptionBudget { namespace, name, selector, min_available, max_unavailable });
    }

    fn steps(&self) -> Steps {
        let catalog = Catalog {
            name: "test".into(),
            prices: PriceSource::Listed,
            offers: vec![NodeOffer {
                name: "small".into(),
                zones: vec![String::new()],
                capacity_type: CapacityType::OnDemand,
                price_per_hour: 1.0,
                allocatable: node_size(1000),
                labels: Labels::new(),
                taints: Vec::new(),
                quota: None,
                boot_time_s: 90.0,
            }],
        };
        steps(&self.snapshot, &catalog, &self.policy, &self.plan)
    }

    /// Each wave's actions in short, e.g. `web 2→3`, `web-1: a→b`.
    fn waves(&self) -> Vec<Vec<String>> {
        self.steps().waves.iter().map(|wave| wave.actions.iter().map(short).collect()).collect()
    }

    /// What is held back, in short, with its rule.
    fn deferred(&self) -> Vec<String> {
        self.steps().deferred.iter().map(|d| format!("{} | {}", short(&d.action), d.rule)).collect()
    }
}

fn short(action: &Action) -> String {
    match action {
        Action::AddNode { node, .. } => format!("add {node}"),
        Action::Scale { workload, from, to } => format!("{} {from}→{to}", workload.name),
        Action::Resize { workload, from, to } => {
            format!("{} {}m→{}m", workload.name, from.cpu_millis(), to.cpu_millis())
        }
        Action::Bind { pod, node, .. } => format!("{pod}→{node}"),
        Action::Move { pod, from, to, .. } => format!("{pod}: {from}→{to}"),
        Action::Cordon { node } => format!("cordon {node}"),
        Action::RemoveNode { node } => format!("remove {node}"),
    }
}

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

/// Replays waves with bookkeeping of its own and reports what goes wrong.
struct Replay<'a> {
    case: &'a Case,
    steps: &'a Steps,
    /// Pods on nodes: name → (workload, node, size).
    pods: BTreeMap<String, (String, String, Resources)>,
    nodes: BTreeMap<String, Resources>,
    cordoned: BTreeSet<String>,
    replicas: BTreeMap<String, u32>,
    sizes: BTreeMap<String, Resources>,
}

impl<'a> Replay<'a> {
    fn new(case: &'a Case, steps: &'a Steps) -> Self {
        let size = |millis: i64| Resources::of([(CPU, millis), (PODS, 1)]);
        let workloads = &case.plan.workloads;
        let sizes: BTreeMap<_, _> =
            workloads.iter().map(|w| (w.id.name.clone(), size(w.requests_now.cpu_millis()))).collect();
        let placed = case.snapshot.pods.iter().filter_map(|p| {
            let name = p.workload.name.clone();
            p.node.clone().map(|node| (p.name.clone(), (name.clone(), node, sizes[&name].clone())))
        });
        Self {
            case,
            steps,
            pods: placed.collect(),
            nodes: case.snapshot.nodes.iter().map(|n| (n.name.clone(), n.allocatable.clone())).collect(),
            cordoned: BTreeSet::new(),
            replicas: workloads.iter().map(|w| (w.id.name.clone(), w.replicas_now)).collect(),
            sizes,
        }
    }

    /// Pods that later actions or deferred ones move or take away: they keep their size until then.
    fn going(&self, wave: usize) -> BTreeSet<String> {
        let later = self.steps.waves[wave..].iter().flat_map(|w| &w.actions);
        let moved = later.chain(self.steps.deferred.iter().map(|d| &d.action)).filter_map(|action| match action {
            Action::Move { pod, .. } => Some(pod.clone()),
            _ => None,
        });
        moved.chain(self.case.plan.removals.iter().map(|r| r.pod.clone())).collect()
    }

    fn run(mut self) -> Result<(), TestCaseError> {
        for (index, wave) in self.steps.waves.iter().enumerate() {
            let before = self.pods.clone();
            let mut taken: BTreeMap<String, Resources> = BTreeMap::new();
            for (_, node, size) in before.values() {
                taken.entry(node.clone()).or_default().add(size);
            }
            let mut touched = BTreeSet::new();
            let mut moved: BTreeMap<String, u32> = BTreeMap::new();
            let mut leaving = Vec::new();
            for action in &wave.actions {
                match action {
                    Action::AddNode { node, .. } => {
                        self.nodes.insert(node.clone(), node_size(1000));
                    }
                    Action::Cordon { node } => {
                        self.cordoned.insert(node.clone());
                    }
                    Action::Scale { workload, from, to } => {
                        prop_assert_eq!(self.replicas.insert(workload.name.clone(), *to), Some(*from));
                        let victims = self
                            .case
                            .plan
                            .removals
                            .iter()
                            .filter(|r| r.workload.ends_with(&format!("/{}", workload.name)));
                        leaving.extend(victims.filter(|_| to < from).map(|r| r.pod.clone()));
                    }
                    Action::Resize { workload, to, .. } => {
                        let mut size = to.clone();
                        size.set(PODS, 1);
                        let going = self.going(index);
                        let staying =
                            self.pods.iter_mut().filter(|(name, p)| p.0 == workload.name && !going.contains(*name));
                        for (_, (_, node, old)) in staying {
                            let grown = (size.cpu_millis() - old.cpu_millis()).max(0);
                            taken.entry(node.clone()).or_default().add(&Resources::of([(CPU, grown)]));
                            if grown > 0 {
                                touched.insert(node.clone());
                            }
                            *old = size.clone();
                        }
                        self.sizes.insert(workload.name.clone(), size);
                    }
                    Action::Bind { pod, node, .. } | Action::Move { pod, to: node, .. } => {
                        prop_assert!(self.nodes.contains_key(node), "{} is not there", node);
                        prop_assert!(!self.cordoned.contains(node), "{} is cordoned", node);
                        let placement = self.case.plan.placements.iter().find(|p| p.pod == *pod).unwrap();
                        let workload = placement.workload.trim_start_matches("Deployment/").to_owned();
                        let size = self.sizes[&workload].clone();
                        taken.entry(node.clone()).or_default().add(&size);
                        touched.insert(node.clone());
                        if let Action::Move { from, .. } = action {
                            prop_assert_eq!(&before[pod].1, from);
                            *moved.entry(workload.clone()).or_default() += 1;
                            let drained =
                                self.case.plan.nodes.iter().any(|n| n.name == *from && n.state == NodeState::Remove);
                            prop_assert!(!drained || self.cordoned.contains(from), "drained before it was cordoned");
                        }
                        self.pods.insert(pod.clone(), (workload, node.clone(), size));
                    }
                    Action::RemoveNode { node } => {
                        prop_assert!(before.values().all(|p| p.1 != *node), "{} is not empty", node);
                        self.nodes.remove(node);
                    }
                }
            }
            for node in touched {
                let used = &taken[&node];
                prop_assert!(used.fits_in(&self.nodes[&node]), "wave {}: {} holds {:?}", index, node, used);
            }
            for (workload, count) in moved {
                for budget in self.case.snapshot.budgets.iter().filter(|b| b.name == workload) {
                    let there = before.values().filter(|p| p.0 == workload).count() as u32;
                    let wanted = self.replicas[&workload];
                    let stay = budget.min_available.map_or_else(
                        || wanted.saturating_sub(budget.max_unavailable.unwrap().of_rounded_up(wanted)),
                        |least| least.of_rounded_up(wanted),
                    );
                    prop_assert!(there - count >= stay, "wave {}: {} of {} leave {}", index, count, there, workload);
                }
            }
            self.pods.retain(|name, _| !leaving.contains(name));
        }
        self.ends_as_planned()
    }

    /// Everything is where the plan wants it, but what was deferred.
    fn ends_as_planned(&self) -> Result<(), TestCaseError> {
        let held: BTreeSet<String> = self
            .steps
            .deferred
            .iter()
            .map(|d| match &d.action {
                Action::Scale { workload, .. } | Action::Resize { workload, .. } => workload.name.clone(),
                Action::Bind { pod, .. } | Action::Move { pod, .. } => pod.clone(),
                Action::AddNode { node, .. } | Action::Cordon { node } | Action::RemoveNode { node } => node.clone(),
            })
            .collect();
        for placement in &self.case.plan.placements {
            let workload = placement.workload.trim_start_matches("Deployment/");
            if !held.contains(&placement.pod) && !held.contains(workload) {
                prop_assert_eq!(self.pods.get(&placement.pod).map(|p| &p.1), Some(&placement.node));
            }
        }
        for planned in self.case.plan.workloads.iter().filter(|w| !held.contains(&w.id.name)) {
            prop_assert_eq!(self.replicas[&planned.id.name], planned.replicas);
            prop_assert_eq!(self.sizes[&planned.id.name].cpu_millis(), planned.requests.cpu_millis());
            let gone = self.case.plan.removals.iter().filter(|r| r.workload.ends_with(&planned.id.name));
            prop_assert!(gone.into_iter().all(|r| !self.pods.contains_key(&r.pod)));
        }
        for node in self.case.plan.nodes.iter().filter(|n| !held.contains(&n.name)) {
            prop_assert_eq!(self.nodes.contains_key(&node.name), node.state != NodeState::Remove);
        }
        Ok(())
    }
}

const NAMES: [&str; 3] = ["api", "db", "web"];
const NODES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A random cluster and a random plan that both fit: pods are put where there is room, in an order drawn at random.
fn random_case() -> impl Strategy<Value = Case> {
    let workload = (1u32..6, 100i64..500, 1u32..6, 100i64..500, 0u32..4);
    let nodes = prop::collection::vec(0u8..6, 5);
    let starts = prop::collection::vec(0usize..5, 40);
    (prop::array::uniform3(workload), nodes, starts, 1u32..12, any::<bool>()).prop_map(
        |(workloads, states, starts, max_waves, shared_limit)| {
            let names: Vec<String> = NODES
                .iter()
                .zip(&states)
                .map(|(name, state)| match state {
                    0 => format!("-{name}"),
                    1 => format!("+{name}"),
                    _ => (*name).to_owned(),
                })
                .collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let changes: Vec<Change> =
                NAMES.iter().zip(&workloads).map(|(name, w)| (*name, (w.0, w.1), (w.2, w.3))).collect();
            let mut case = Case::new(&names, &changes);
            case.policy.disruption.max_waves = max_waves;
            if shared_limit {
                case.policy.targets[0].max_unavailable = Some(Amount::Count(1));
            }
            let (mut now, mut then) = ([1000_i64; 5], [1000_i64; 5]);
            let mut draws = starts.into_iter().cycle();
            let mut choose = |room: &mut [i64; 5], millis: i64, open: &dyn Fn(u8) -> bool| {
                let start = draws.next().unwrap_or(0);
                let found = (0..5).map(|i| (start + i) % 5).find(|&i| open(states[i]) && room[i] >= millis)?;
                room[found] -= millis;
                Some(NODES[found])
            };
            for (name, w) in NAMES.iter().zip(&workloads) {
                for i in 0..w.0.max(w.2) {
                    let was = if i < w.0 { choose(&mut now, w.1, &|s| s != 1) } else { None };
                    let will = if i < w.2 { choose(&mut then, w.3, &|s| s != 0) } else { None };
                    let kind = if i < w.0 { "" } else { "new-" };
                    let pod = format!("{name}-{kind}{i}");
                    if i < w.2 && will.is_none() {
                        // Unplaced in the end: a running pod would have to stay, so it is planned away.
                        case.plan.workloads.iter_mut().filter(|p| p.id == id(name)).for_each(|p| p.replicas -= 1);
                        if i < w.0 {
                            case.pod(name, &pod, was.unwrap_or(""), "");
                        }
                    } else if i < w.0 || will.is_some() {
                        case.pod(name, &pod, was.unwrap_or(""), will.unwrap_or(""));
                    }
                }
                match w.4 {
                    0 => case.budget(name, Some(Amount::Count(1)), None),
                    1 => case.budget(name, None, Some(Amount::Count(1))),
                    2 => case.budget(name, None, Some(Amount::Percent(30))),
                    _ => {}
                }
            }
            case
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn replayed_waves_keep_every_limit_and_end_as_planned(case in random_case()) {
        let steps = case.steps();
        prop_assert!(steps.waves.len() <= case.policy.disruption.max_waves as usize);
        prop_assert!(steps.waves.iter().all(|w| !w.actions.is_empty() && w.at_least_s >= 0.0));
        prop_assert!(steps.deferred.iter().all(|d| !d.rule.is_empty()));
        Replay::new(&case, &steps).run()?;
    }
}
