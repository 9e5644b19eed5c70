//! Small problems, drawn at random or by hand, as the planner gets them.

use plimsoll::domain::catalog::{CapacityType, Catalog, NodeOffer, PriceSource};
use plimsoll::domain::menu::{Basis, DeclaredReason, Menu, MenuEntry};
use plimsoll::domain::policy::{Costs, DisruptionLimits, Objective, Policy, Preemption, Target};
use plimsoll::domain::quota::ResourceQuota;
use plimsoll::domain::resources::{CPU, MEMORY, PODS, Resources};
use plimsoll::domain::rules::{
    HOSTNAME_LABEL, INSTANCE_TYPE_LABEL, LabelSelector, NodeSelectorTerm, Operator, PodAffinityTerm, Requirement,
    Weighted, ZONE_LABEL,
};
use plimsoll::domain::snapshot::{Amount, Gang, Node, Pod, PodTemplate, Snapshot, Workload, WorkloadId};
use plimsoll::domain::volumes::volume_limit;
use proptest::prelude::*;

/// A cluster small enough to enumerate.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// Offer of each node that stands.
    pub(super) nodes: Vec<usize>,
    pub(super) offers: Vec<SmallOffer>,
    pub(super) workloads: Vec<SmallWorkload>,
    pub(super) moves: u32,
    pub(super) drains: u32,
    /// Most quarters of a core that pods of the namespace may ask for.
    pub(super) quota: Option<i64>,
    /// Price an hour of a preference of full weight.
    pub(super) preference: f64,
    /// Running pods may be stopped for more important ones.
    pub(super) preempts: bool,
}

#[derive(Debug, Clone)]
pub(super) struct SmallOffer {
    pub(super) cores: i64,
    pub(super) gib: i64,
    pub(super) price: f64,
    pub(super) spot: bool,
    pub(super) quota: Option<u32>,
}

#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
pub(super) struct SmallWorkload {
    pub(super) quarter_cores: i64,
    pub(super) gib: i64,
    /// Nodes its pods have now; `None` is pending.
    pub(super) pods: Vec<Option<usize>>,
    /// `(replicas, risk cost)`; the first keeps what is there.
    pub(super) menu: Vec<(u32, f64)>,
    pub(super) exclusive: bool,
    pub(super) no_spot: bool,
    /// Weight of not being on spot nodes.
    pub(super) rather_no_spot: Option<i32>,
    /// Weight of being alone of its kind on a node.
    pub(super) rather_apart: Option<i32>,
    /// Pods that must be placed at once.
    pub(super) gang: Option<u32>,
    /// Each pod has a volume of its own; nodes of the first offer hold one.
    pub(super) volume: bool,
    pub(super) priority: i32,
    /// Takes no room from others.
    pub(super) never_preempts: bool,
}

impl SmallWorkload {
    /// Nothing but its size.
    pub(super) fn plain() -> Self {
        Self {
            quarter_cores: 1,
            gib: 1,
            pods: Vec::new(),
            menu: Vec::new(),
            exclusive: false,
            no_spot: false,
            rather_no_spot: None,
            rather_apart: None,
            gang: None,
            volume: false,
            priority: 0,
            never_preempts: false,
        }
    }

    /// Price an hour of one of its pods without a node.
    pub(super) fn unplaced_price(&self) -> f64 {
        UNPLACED * (1.0 + f64::from(self.priority) / 1000.0)
    }

    pub(super) fn move_price(&self) -> f64 {
        MOVE_PER_CORE * (self.quarter_cores as f64 / 4.0).max(0.1) / AMORTISE_HOURS
    }
}

pub(super) const MOVE_PER_CORE: f64 = 0.02;
pub(super) const NODE_CHANGE: f64 = 0.1;
pub(super) const AMORTISE_HOURS: f64 = 2.0;
pub(super) const UNPLACED: f64 = 50.0;

pub(super) fn case() -> impl Strategy<Value = Case> {
    let offer = (1i64..=6, 1i64..=8, 1u32..40, any::<bool>(), proptest::option::weighted(0.3, 0u32..3)).prop_map(
        |(cores, gib, cents, spot, quota)| SmallOffer { cores, gib, price: f64::from(cents) / 20.0, spot, quota },
    );
    let workload = (
        1i64..=12,
        1i64..=4,
        proptest::collection::vec(proptest::option::of(0usize..3), 0..=3),
        proptest::collection::vec((0u32..=3, 0u32..30), 0..=2),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(quarter_cores, gib, pods, menu, exclusive, no_spot)| {
            let mut entries = vec![(pods.len() as u32, 0.5)];
            for (replicas, cost) in menu {
                if entries.iter().all(|(r, _)| *r != replicas) {
                    entries.push((replicas, f64::from(cost) / 20.0));
                }
            }
            SmallWorkload { quarter_cores, gib, pods, menu: entries, exclusive, no_spot, ..SmallWorkload::plain() }
        });
    (
        proptest::collection::vec(0usize..3, 0..=3),
        proptest::collection::vec(offer, 1..=3),
        proptest::collection::vec(workload, 1..=3),
        0u32..=4,
        0u32..=3,
    )
        .prop_map(|(nodes, offers, workloads, moves, drains)| {
            let nodes = nodes.into_iter().map(|offer| offer % offers.len()).collect();
            settle(Case { nodes, offers, workloads, moves, drains, quota: None, preference: 0.0, preempts: false })
        })
}

/// Pods that wait, nothing that stands, and no choice but what to buy.
pub(super) fn from_nothing() -> impl Strategy<Value = Case> {
    case().prop_map(|mut case| {
        case.nodes.clear();
        for workload in &mut case.workloads {
            workload.pods.fill(None);
            workload.menu.truncate(1);
        }
        case
    })
}

/// The same with a quota, gangs, preferences and volumes.
pub(super) fn rich_case() -> impl Strategy<Value = Case> {
    let weight = || proptest::option::weighted(0.5, 1i32..=100);
    let rules = (weight(), weight(), proptest::option::weighted(0.4, 1u32..=4), any::<bool>());
    let quota = proptest::option::weighted(0.6, 0i64..=24);
    (case(), proptest::collection::vec(rules, 3), quota, 0u32..=20).prop_map(|(mut case, rules, quota, preference)| {
        (case.quota, case.preference) = (quota, f64::from(preference) / 20.0);
        for (workload, (spot, apart, gang, volume)) in case.workloads.iter_mut().zip(rules) {
            (workload.rather_no_spot, workload.rather_apart) = (spot, apart);
            (workload.gang, workload.volume) = (gang, volume);
        }
        settle(case)
    })
}

/// Small nodes full of less important pods, more important ones that wait, a policy that lets these take their room, and
/// little to buy.
pub(super) fn preempting_case() -> impl Strategy<Value = Case> {
    let quota = prop_oneof![3 => Just(Some(0)), 1 => Just(Some(1))];
    let offer = (2i64..=4, 3i64..=6, 1u32..40, any::<bool>(), quota).prop_map(|(cores, gib, cents, spot, quota)| {
        SmallOffer { cores, gib, price: f64::from(cents) / 20.0, spot, quota }
    });
    let workload = |running: f64, priorities: [i32; 2]| {
        let pods = proptest::collection::vec(proptest::option::weighted(running, 0usize..3), 1..=3);
        let rules = (prop::bool::weighted(0.2), prop::bool::weighted(0.2), prop::bool::weighted(0.1));
        let gang = proptest::option::weighted(0.1, 1u32..=3);
        let less = proptest::option::weighted(0.2, 0u32..30);
        (3i64..=9, 1i64..=2, pods, (prop::sample::select(priorities.to_vec()), rules, gang, less)).prop_map(
            |(quarter_cores, gib, pods, (priority, (exclusive, no_spot, never_preempts), gang, less))| {
                let replicas = pods.len() as u32;
                let fewer = less.map(|cents| (replicas - 1, f64::from(cents) / 20.0));
                let menu = [(replicas, 0.5)].into_iter().chain(fewer).collect();
                let plain = SmallWorkload { quarter_cores, gib, pods, menu, ..SmallWorkload::plain() };
                SmallWorkload { exclusive, no_spot, gang, priority, never_preempts, ..plain }
            },
        )
    };
    let workloads = (workload(0.9, [0, 100]), workload(0.6, [0, 2000]), workload(0.1, [2000, 5000]));
    let nodes = proptest::collection::vec(0usize..3, 1..=3);
    let offers = proptest::collection::vec(offer, 1..=3);
    (nodes, offers, workloads, 0u32..=4, 0u32..=2).prop_map(|(nodes, offers, workloads, moves, drains)| {
        let nodes = nodes.into_iter().map(|offer| offer % offers.len()).collect();
        let workloads = vec![workloads.0, workloads.1, workloads.2];
        settle(Case { nodes, offers, workloads, moves, drains, quota: None, preference: 0.0, preempts: true })
    })
}

/// So many offers and workloads that the program is built of coarser classes.
pub(super) fn large_case() -> impl Strategy<Value = Case> {
    let offer = (1i64..=6, 1i64..=8, 1u32..40, any::<bool>(), proptest::option::weighted(0.1, 0u32..3)).prop_map(
        |(cores, gib, cents, spot, quota)| SmallOffer { cores, gib, price: f64::from(cents) / 20.0, spot, quota },
    );
    // Large enough that no node is short of pod slots, which first fit does not count.
    let pods = proptest::collection::vec(proptest::option::of(0usize..20), 0..=3);
    let workload = (3i64..=12, 1i64..=4, pods, any::<bool>(), any::<bool>());
    let workload = workload.prop_map(|(quarter_cores, gib, pods, exclusive, no_spot)| {
        let menu = vec![(pods.len() as u32, 0.5)];
        SmallWorkload { quarter_cores, gib, pods, menu, exclusive, no_spot, ..SmallWorkload::plain() }
    });
    let offers = proptest::collection::vec(offer, 320);
    let workloads = proptest::collection::vec(workload, 320);
    let nodes = proptest::collection::vec(0usize..320, 0..=20);
    (nodes, offers, workloads, 0u32..=4, 0u32..=3).prop_map(|(nodes, offers, workloads, moves, drains)| {
        settle(Case { nodes, offers, workloads, moves, drains, quota: None, preference: 0.0, preempts: false })
    })
}

/// Volumes that a node of the offer holds.
pub(super) fn most_volumes(offer: usize) -> i64 {
    if offer == 0 { 1 } else { i64::MAX }
}

/// Keeps pods only where they may be and where there is room, as a scheduler would have put them.
pub(super) fn settle(mut case: Case) -> Case {
    let offers = &case.offers;
    let mut room: Vec<(i64, i64)> = case.nodes.iter().map(|o| (offers[*o].cores * 4, offers[*o].gib)).collect();
    let mut volumes: Vec<i64> = case.nodes.iter().map(|offer| most_volumes(*offer)).collect();
    for workload in &mut case.workloads {
        let mut taken = Vec::new();
        for pod in &mut workload.pods {
            *pod = pod.filter(|node| {
                let Some(offer) = case.nodes.get(*node) else { return false };
                let (cpu, gib) = room[*node];
                let stays = i64::from(workload.volume) <= volumes[*node]
                    && workload.quarter_cores <= cpu
                    && workload.gib <= gib
                    && !(workload.no_spot && offers[*offer].spot)
                    && !(workload.exclusive && taken.contains(node));
                if stays {
                    room[*node] = (cpu - workload.quarter_cores, gib - workload.gib);
                    volumes[*node] -= i64::from(workload.volume);
                    taken.push(*node);
                }
                stays
            });
        }
    }
    case
}

pub(super) fn id(index: usize) -> WorkloadId {
    WorkloadId { namespace: "default".to_owned(), kind: "Deployment".to_owned(), name: format!("w{index}") }
}

pub(super) fn requests(workload: &SmallWorkload) -> Resources {
    Resources::of([(CPU, workload.quarter_cores * 250), (MEMORY, workload.gib << 30)])
}

pub(super) fn allocatable(offer: &SmallOffer) -> Resources {
    Resources::of([(CPU, offer.cores * 1000), (MEMORY, offer.gib << 30), (PODS, 10)])
}

pub(super) fn capacity_type(offer: &SmallOffer) -> CapacityType {
    if offer.spot { CapacityType::Spot } else { CapacityType::OnDemand }
}

pub(super) fn snapshot(case: &Case) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (index, offer_index) in case.nodes.iter().enumerate() {
        let offer = &case.offers[*offer_index];
        let name = format!("node-{index}");
        let instance_type = format!("offer-{offer_index}");
        let labels = [
            (HOSTNAME_LABEL, name.clone()),
            (INSTANCE_TYPE_LABEL, instance_type.clone()),
            (ZONE_LABEL, "a".to_owned()),
            ("spot", offer.spot.to_string()),
        ];
        snapshot.nodes.push(Node {
            labels: labels.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
            zone: "a".to_owned(),
            instance_type,
            capacity_type: capacity_type(offer),
            volume_limits: match most_volumes(*offer_index) {
                i64::MAX => Resources::default(),
                most => Resources::of([(volume_limit("d").as_str(), most)]),
            },
            ..Node::plain(&name, allocatable(offer))
        });
    }
    snapshot.quotas.extend(case.quota.map(|quarter_cores| ResourceQuota {
        namespace: "default".to_owned(),
        name: "cores".to_owned(),
        hard: Resources::of([("requests.cpu", quarter_cores * 250)]),
        used: Resources::default(),
        scopes: Vec::new(),
    }));
    for (index, workload) in case.workloads.iter().enumerate() {
        add_workload(&mut snapshot, index, workload);
    }
    snapshot
}

pub(super) fn add_workload(snapshot: &mut Snapshot, index: usize, workload: &SmallWorkload) {
    let mut template = PodTemplate {
        namespace: "default".to_owned(),
        requests: requests(workload),
        priority: workload.priority,
        never_preempts: workload.never_preempts,
        ..PodTemplate::default()
    };
    template.labels.insert("app".to_owned(), format!("w{index}"));
    let selector = LabelSelector { match_labels: template.labels.clone(), match_expressions: Vec::new() };
    if workload.exclusive {
        template.rules.pod_anti_affinity.push(PodAffinityTerm {
            topology_key: HOSTNAME_LABEL.to_owned(),
            selector: Some(selector.clone()),
            namespaces: Vec::new(),
            namespace_selector: None,
        });
    }
    if workload.no_spot {
        template.rules.node_selector.insert("spot".to_owned(), "false".to_owned());
    }
    if let Some(weight) = workload.rather_apart {
        let term = PodAffinityTerm {
            topology_key: HOSTNAME_LABEL.to_owned(),
            selector: Some(selector.clone()),
            namespaces: Vec::new(),
            namespace_selector: None,
        };
        template.rules.preferred_pod_anti_affinity.push(Weighted { weight, term });
    }
    if let Some(weight) = workload.rather_no_spot {
        let values = vec!["false".to_owned()];
        let term = NodeSelectorTerm {
            expressions: vec![Requirement { key: "spot".to_owned(), operator: Operator::In, values }],
            fields: Vec::new(),
        };
        template.rules.preferred_node_affinity.push(Weighted { weight, term });
    }
    if let Some(min_members) = workload.gang {
        template.gang = Some(format!("w{index}"));
        snapshot.gangs.push(Gang { namespace: "default".to_owned(), name: format!("w{index}"), min_members });
    }
    if workload.volume {
        template.rules.volumes.own = Resources::of([(volume_limit("d").as_str(), 1)]);
    }
    snapshot.templates.push(template);
    let replicas = workload.pods.len() as u32;
    snapshot.workloads.push(Workload { selector, ..Workload::plain(id(index), index, replicas) });
    for (number, node) in workload.pods.iter().enumerate() {
        let node = node.map(|n| format!("node-{n}"));
        snapshot.pods.push(Pod::plain(id(index), &format!("w{index}-{number}"), index, node.as_deref()));
    }
}

pub(super) fn catalog(case: &Case) -> Catalog {
    let offers = case.offers.iter().enumerate().map(|(index, offer)| NodeOffer {
        name: format!("offer-{index}"),
        zones: vec!["a".to_owned()],
        capacity_type: capacity_type(offer),
        price_per_hour: offer.price,
        allocatable: allocatable(offer),
        labels: [("spot".to_owned(), offer.spot.to_string())].into_iter().collect(),
        taints: Vec::new(),
        quota: offer.quota,
        boot_time_s: 60.0,
    });
    Catalog { name: "test".to_owned(), prices: PriceSource::Listed, offers: offers.collect() }
}

pub(super) fn menus(case: &Case) -> Vec<Menu> {
    let entry = |workload: &SmallWorkload, (replicas, cost): (u32, f64)| MenuEntry {
        replicas,
        requests: requests(workload),
        risk: None,
        risk_cost_per_hour: cost,
        basis: Basis::Declared { reason: DeclaredReason::Current },
    };
    let menus = case.workloads.iter().enumerate().map(|(index, workload)| Menu {
        workload: id(index),
        entries: workload.menu.iter().map(|choice| entry(workload, *choice)).collect(),
        current: Some(0),
    });
    menus.collect()
}

pub(super) fn policy(case: &Case) -> Policy {
    let target = Target {
        min_replicas: 0,
        max_replicas: 100,
        resize_requests: false,
        max_risk: 1.0,
        ..Target::free("all", Objective::Utilisation { share: 0.6 })
    };
    let costs = Costs {
        move_per_core: MOVE_PER_CORE,
        node_change: NODE_CHANGE,
        breach_per_replica_hour: 1.0,
        unplaced_per_hour: UNPLACED,
        preference_per_hour: case.preference,
        amortise_hours: AMORTISE_HOURS,
    };
    let plain = Policy::unlimited("test", vec![target], costs);
    let (max_moves, max_drains) = (Amount::Count(case.moves), Amount::Count(case.drains));
    let preemption = if case.preempts { Preemption::LowerPriority } else { Preemption::Never };
    Policy { disruption: DisruptionLimits { max_moves, max_drains, preemption, ..plain.disruption }, ..plain }
}
