//! Plans for small clusters, built step by step.

use super::super::steps;
use crate::domain::catalog::{CapacityType, Catalog, NodeOffer, PriceSource};
use crate::domain::menu::{Basis, DeclaredReason};
use crate::domain::plan::{
    Certificate, CostParts, NodePlan, NodeState, Placement, PlacementState, Plan, Preempted, Preemptor, Removal,
    Stopped, WorkloadPlan,
};
use crate::domain::policy::{Objective, Policy, Preemption, Target};
use crate::domain::resources::{CPU, PODS};
use crate::domain::rules::{LabelSelector, Labels};
use crate::domain::snapshot::{Amount, DisruptionBudget, Node, Pod, PodTemplate, Workload};
use crate::domain::steps::{Action, Steps};
use crate::domain::{Resources, Snapshot, WorkloadId};
use crate::sizing::fixtures;

/// A workload before and after: name, (replicas, millicores) now, (replicas, millicores) planned.
pub(super) type Change = (&'static str, (u32, i64), (u32, i64));

/// A cluster and a plan for it, built pod by pod.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) snapshot: Snapshot,
    pub(super) plan: Plan,
    pub(super) policy: Policy,
}

pub(super) fn id(name: &str) -> WorkloadId {
    WorkloadId { namespace: "shop".into(), kind: "Deployment".into(), name: name.into() }
}

pub(super) fn labels(name: &str) -> Labels {
    Labels::from([("app".to_owned(), name.to_owned())])
}

pub(super) fn selector(name: &str) -> LabelSelector {
    LabelSelector { match_labels: labels(name), match_expressions: Vec::new() }
}

pub(super) fn free_target() -> Target {
    let objective = Objective::Utilisation { share: 0.5 };
    Target { min_replicas: 0, max_unavailable: Some(Amount::Percent(100)), ..fixtures::target(objective) }
}

pub(super) fn node_size(millis: i64) -> Resources {
    Resources::of([(CPU, millis), (PODS, 20)])
}

/// Nodes of 1 core in two zones or in none.
pub(super) fn catalog() -> Catalog {
    Catalog {
        name: "test".into(),
        prices: PriceSource::Listed,
        offers: vec![NodeOffer {
            name: "small".into(),
            zones: ["", "z0", "z1"].map(str::to_owned).to_vec(),
            capacity_type: CapacityType::OnDemand,
            price_per_hour: 1.0,
            allocatable: node_size(1000),
            labels: Labels::new(),
            taints: Vec::new(),
            quota: None,
            boot_time_s: 90.0,
        }],
    }
}

impl Case {
    /// Nodes of 1 core by name: `-` in front for one to be given back, `+` for one to be bought.
    pub(super) fn new(nodes: &[&str], workloads: &[Change]) -> Self {
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
                preempted: Vec::new(),
                unplaced: Vec::new(),
                pending: Vec::new(),
                binding: Vec::new(),
                conflict: None,
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

    pub(super) fn node(&mut self, name: &str, state: NodeState, millis: i64) {
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

    pub(super) fn workload(&mut self, name: &str, now: (u32, i64), planned: (u32, i64)) {
        let (before, after) = (Resources::of([(CPU, now.1)]), Resources::of([(CPU, planned.1)]));
        let template = self.snapshot.templates.len();
        self.snapshot.templates.push(PodTemplate {
            namespace: "shop".into(),
            labels: labels(name),
            requests: before.clone(),
            ..PodTemplate::default()
        });
        self.snapshot
            .workloads
            .push(Workload { selector: selector(name), ..Workload::plain(id(name), template, now.0) });
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
    pub(super) fn pod(&mut self, workload: &str, pod: &str, now: &str, planned: &str) {
        let (namespace, of) = ("shop".to_owned(), format!("Deployment/{workload}"));
        let on = |node: &str| (!node.is_empty()).then(|| node.to_owned());
        if !pod.contains("-new-") {
            let template = self.snapshot.workloads.iter().position(|w| w.id == id(workload)).unwrap();
            self.snapshot.pods.push(Pod::plain(id(workload), pod, template, on(now).as_deref()));
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

    /// A pod that runs there and is stopped for another, under a policy that allows it.
    pub(super) fn stopped(&mut self, workload: &str, pod: &str, node: &str, by: &str) {
        let (namespace, of) = ("shop".to_owned(), format!("Deployment/{workload}"));
        let template = self.snapshot.workloads.iter().position(|w| w.id == id(workload)).unwrap();
        self.snapshot.pods.push(Pod::plain(id(workload), pod, template, Some(node)));
        let by = Preemptor { namespace: namespace.clone(), pod: by.into(), workload: String::new() };
        self.plan.preempted.push(Preempted { namespace, pod: pod.into(), workload: of, node: node.into(), by });
        self.policy.disruption.preemption = Preemption::LowerPriority;
    }

    pub(super) fn budget(&mut self, name: &str, min_available: Option<Amount>, max_unavailable: Option<Amount>) {
        let selector = Some(selector(name));
        let (namespace, name) = ("shop".to_owned(), name.to_owned());
        self.snapshot.budgets.push(DisruptionBudget { namespace, name, selector, min_available, max_unavailable });
    }

    pub(super) fn steps(&self) -> Steps {
        steps(&self.snapshot, &catalog(), &self.policy, &self.plan)
    }

    /// Each wave's actions in short, e.g. `web 2→3`, `web-1: a→b`.
    pub(super) fn waves(&self) -> Vec<Vec<String>> {
        self.steps().waves.iter().map(|wave| wave.actions.iter().map(short).collect()).collect()
    }

    /// What is held back, in short, with its rule.
    pub(super) fn deferred(&self) -> Vec<String> {
        self.steps().deferred.iter().map(|d| format!("{} | {}", short(&d.action), d.rule)).collect()
    }
}

pub(super) fn short(action: &Action) -> String {
    match action {
        Action::AddNode { node, .. } => format!("add {node}"),
        Action::Scale { workload, from, to, .. } => format!("{} {from}→{to}", workload.name),
        Action::Resize { workload, from, to } => {
            format!("{} {}m→{}m", workload.name, from.cpu_millis(), to.cpu_millis())
        }
        Action::Bind { pod, node, .. } => format!("{pod}→{node}"),
        Action::Move { pod, from, to, .. } => format!("{pod}: {from}→{to}"),
        Action::Preempt { pod, node, by, .. } => format!("{pod} off {node} for {}", by.pod),
        Action::Cordon { node } => format!("cordon {node}"),
        Action::RemoveNode { node } => format!("remove {node}"),
    }
}
