//! Clusters and plans made by hand, each a right one to break.

use super::super::{CheckReport, check};
use crate::domain::catalog::{CapacityType, NodeOffer, PriceSource};
use crate::domain::menu::{Basis, DeclaredReason, MenuEntry};
use crate::domain::plan::{
    Certificate, CostParts, NodePlan, NodeState, Placement, PlacementState, Plan, Removal, Stopped, WorkloadPlan,
};
use crate::domain::policy::{Costs, DisruptionLimits, Objective, Target, WorkloadSelector};
use crate::domain::resources::PODS;
use crate::domain::rules::{
    HOSTNAME_LABEL, LabelSelector, Labels, NodeSelectorTerm, Operator, PodAffinityTerm, Requirement, Taint,
    TaintEffect, TopologySpread, ZONE_LABEL,
};
use crate::domain::snapshot::{Amount, DisruptionBudget, Node, Pod, PodTemplate, Snapshot, Workload, WorkloadId};
use crate::domain::{Catalog, Menu, Policy, Resources};

/// Index of the templates in [`Case::still`].
pub(super) const AGENT: usize = 0;
pub(super) const WEB: usize = 1;

#[derive(Clone)]
pub(super) struct Case {
    pub(super) snapshot: Snapshot,
    pub(super) catalog: Catalog,
    pub(super) policy: Policy,
    pub(super) menus: Vec<Menu>,
    pub(super) plan: Plan,
}

pub(super) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub(super) fn room() -> Resources {
    Resources::of([("cpu", 4000), (PODS, 10)])
}

pub(super) fn node(name: &str, zone: &str) -> Node {
    Node {
        labels: labels(&[(ZONE_LABEL, zone), (HOSTNAME_LABEL, name)]),
        zone: zone.to_owned(),
        instance_type: "m5".to_owned(),
        ..Node::plain(name, room())
    }
}

pub(super) fn template(app: &str, cpu: i64) -> PodTemplate {
    PodTemplate {
        namespace: "shop".to_owned(),
        labels: labels(&[("app", app)]),
        requests: Resources::of([("cpu", cpu)]),
        ..PodTemplate::default()
    }
}

pub(super) fn id(kind: &str, name: &str) -> WorkloadId {
    WorkloadId { namespace: "shop".to_owned(), kind: kind.to_owned(), name: name.to_owned() }
}

pub(super) fn workload(kind: &str, name: &str, template: usize, replicas: u32) -> Workload {
    Workload {
        scalable: kind == "Deployment",
        daemon: kind == "DaemonSet",
        ..Workload::plain(id(kind, name), template, replicas)
    }
}

pub(super) fn pod(name: &str, kind: &str, workload: &str, template: usize, node: Option<&str>) -> Pod {
    Pod { ready: true, ..Pod::plain(id(kind, workload), name, template, node) }
}

pub(super) fn budget(max_unavailable: Option<Amount>, min_available: Option<Amount>) -> DisruptionBudget {
    let selector = LabelSelector { match_labels: labels(&[("app", "web")]), match_expressions: Vec::new() };
    DisruptionBudget {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        selector: Some(selector),
        max_unavailable,
        min_available,
    }
}

pub(super) fn placement(pod: &str, workload: &str, node: &str, state: PlacementState) -> Placement {
    Placement {
        namespace: "shop".to_owned(),
        pod: pod.to_owned(),
        workload: workload.to_owned(),
        node: node.to_owned(),
        state,
        from: None,
    }
}

pub(super) fn node_plan(name: &str, zone: &str, state: NodeState) -> NodePlan {
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

pub(super) fn workload_plan(workload: &Workload, requests: &Resources) -> WorkloadPlan {
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

pub(super) fn entry(replicas: u32, cpu: i64, risk_cost_per_hour: f64) -> MenuEntry {
    MenuEntry {
        replicas,
        requests: Resources::of([("cpu", cpu)]),
        risk: None,
        risk_cost_per_hour,
        basis: Basis::Declared { reason: DeclaredReason::Current },
    }
}

pub(super) fn policy() -> Policy {
    let target = Target {
        selects: WorkloadSelector { kinds: vec!["Deployment".to_owned()], ..WorkloadSelector::default() },
        max_replicas: 5,
        ..Target::free("web", Objective::Utilisation { share: 0.6 })
    };
    let costs = Costs {
        move_per_core: 0.2,
        node_change: 0.5,
        breach_per_replica_hour: 1.0,
        unplaced_per_hour: 100.0,
        preference_per_hour: 0.0,
        amortise_hours: 10.0,
    };
    let plain = Policy::unlimited("test", vec![target], costs);
    let (max_moves, max_drains) = (Amount::Percent(50), Amount::Count(1));
    Policy { disruption: DisruptionLimits { max_moves, max_drains, ..plain.disruption }, ..plain }
}

impl Case {
    /// Nodes a and b in zones z1 and z2, each with an agent and a web pod; the plan changes nothing.
    pub(super) fn still() -> Self {
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
            preempted: Vec::new(),
            unplaced: Vec::new(),
            pending: Vec::new(),
            binding: Vec::new(),
            conflict: None,
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
    pub(super) fn growing() -> Self {
        let mut case = Self::still();
        case.plan.nodes.push(node_plan("new-m5-z1-1", "z1", NodeState::Add));
        case.plan.workloads[1].replicas = 3;
        case.come("web-new-1", "Deployment/web", "new-m5-z1-1");
        case.come("agent-new-1", "DaemonSet/agent", "new-m5-z1-1");
        case
    }

    /// The web pod of node b moves to a, and b goes.
    pub(super) fn packing() -> Self {
        let mut case = Self::still();
        case.plan.nodes[1].state = NodeState::Remove;
        case.plan.placements.remove(1);
        let moved = &mut case.plan.placements[2];
        (moved.node, moved.state, moved.from) = ("a".to_owned(), PlacementState::Move, Some("b".to_owned()));
        case
    }

    /// The web pod of node b goes.
    pub(super) fn shrinking() -> Self {
        let mut case = Self::still();
        case.plan.workloads[1].replicas = 1;
        case.plan.placements.remove(3);
        case.remove("web-1", "b");
        case
    }

    pub(super) fn come(&mut self, pod: &str, workload: &str, node: &str) {
        self.plan.placements.push(placement(pod, workload, node, PlacementState::New));
    }

    pub(super) fn remove(&mut self, pod: &str, node: &str) {
        self.plan.removals.push(Removal {
            namespace: "shop".to_owned(),
            pod: pod.to_owned(),
            workload: "Deployment/web".to_owned(),
            node: Some(node.to_owned()),
        });
    }

    pub(super) fn web(&mut self) -> &mut PodTemplate {
        &mut self.snapshot.templates[WEB]
    }

    pub(super) fn target(&mut self) -> &mut Target {
        &mut self.policy.targets[0]
    }

    pub(super) fn check(&self) -> CheckReport {
        check(&self.snapshot, &self.catalog, &self.policy, &self.menus, &self.plan)
    }

    pub(super) fn messages(&self) -> Vec<String> {
        self.check().violations.iter().map(ToString::to_string).collect()
    }
}

pub(super) fn select(app: &str) -> LabelSelector {
    LabelSelector { match_labels: labels(&[("app", app)]), match_expressions: Vec::new() }
}

pub(super) fn term(app: &str, key: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        topology_key: key.to_owned(),
        selector: Some(select(app)),
        namespaces: Vec::new(),
        namespace_selector: None,
    }
}

pub(super) fn spread(app: &str) -> TopologySpread {
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

pub(super) fn in_zone(zone: &str) -> NodeSelectorTerm {
    let zone = Requirement { key: ZONE_LABEL.to_owned(), operator: Operator::In, values: vec![zone.to_owned()] };
    NodeSelectorTerm { expressions: vec![zone], fields: Vec::new() }
}

pub(super) fn taint(effect: TaintEffect) -> Taint {
    Taint { key: "spot".to_owned(), value: "yes".to_owned(), effect }
}
