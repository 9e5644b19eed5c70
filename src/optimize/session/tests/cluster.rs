//! Random clusters small enough to judge whole again and again, with every kind of rule between pods.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::domain::catalog::{CapacityType, Catalog, NodeOffer, PriceSource};
use crate::domain::menu::{Basis, DeclaredReason, Menu, MenuEntry};
use crate::domain::policy::{Costs, DisruptionLimits, Objective, Planning, Policy, Preemption, Spread, Target};
use crate::domain::quota::ResourceQuota;
use crate::domain::resources::{CPU, MEMORY, PODS, Resources};
use crate::domain::rules::{
    HOSTNAME_LABEL, HostPort, INSTANCE_TYPE_LABEL, LabelSelector, NodeSelectorTerm, Operator, PodAffinityTerm,
    Requirement, Taint, TaintEffect, TopologySpread, ZONE_LABEL,
};
use crate::domain::snapshot::{Amount, DisruptionBudget, Gang, Node, Pod, PodTemplate, Snapshot, Workload, WorkloadId};
use crate::domain::volumes::{ClaimToBind, VolumeToBind};

/// Inputs of a plan.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) snapshot: Snapshot,
    pub(super) catalog: Catalog,
    pub(super) policy: Policy,
    pub(super) menus: Vec<Menu>,
}

const ZONES: [&str; 3] = ["a", "b", "c"];
/// Cores, GiB and price of each type.
const TYPES: [(i64, i64, f64); 3] = [(4, 16, 0.2), (8, 32, 0.37), (16, 64, 0.7)];

pub(super) fn id(kind: &str, name: &str) -> WorkloadId {
    WorkloadId { namespace: "shop".to_owned(), kind: kind.to_owned(), name: name.to_owned() }
}

pub(super) fn requests(quarters: i64, gib: i64) -> Resources {
    Resources::of([(CPU, quarters * 250), (MEMORY, gib << 30)])
}

fn labels(app: usize) -> BTreeMap<String, String> {
    BTreeMap::from([("app".to_owned(), format!("app-{app}"))])
}

fn selects(app: usize) -> LabelSelector {
    LabelSelector { match_labels: labels(app), match_expressions: Vec::new() }
}

fn term(app: usize, key: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        topology_key: key.to_owned(),
        selector: Some(selects(app)),
        namespaces: Vec::new(),
        namespace_selector: None,
    }
}

fn pick<T: Copy>(rng: &mut Pcg64Mcg, from: &[T]) -> T {
    from[rng.random_range(0..from.len())]
}

/// Cluster number `seed`.
pub(super) fn cluster(seed: u64) -> Cluster {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut snapshot = Snapshot::default();
    let nodes = rng.random_range(6..16);
    let zones = rng.random_range(1..=ZONES.len());
    for number in 0..nodes {
        snapshot.nodes.push(node(&mut rng, number, zones));
    }
    agents(&mut rng, &mut snapshot);
    let workloads = rng.random_range(4..9);
    for number in 0..workloads {
        workload(&mut rng, &mut snapshot, number, workloads);
    }
    let menus = snapshot.workloads.iter().filter(|w| !w.daemon).filter(|_| rng.random_bool(0.4));
    let menus: Vec<WorkloadId> = menus.map(|w| w.id.clone()).collect();
    let menus = menus.iter().map(|id| menu(&mut rng, &snapshot, id)).collect();
    let policy = policy(&mut rng);
    let mut rng = Pcg64Mcg::seed_from_u64(seed ^ 0x0071_07a5);
    quotas(&mut rng, &mut snapshot);
    gang(&mut rng, &mut snapshot);
    claims(&mut rng, &mut snapshot);
    Cluster { snapshot, catalog: catalog(&mut rng, zones), policy, menus }
}

/// The same where nodes are nearly full and none can be bought or given back, workloads are not equally important, and running pods may
/// be stopped.
pub(super) fn preempting(seed: u64) -> Cluster {
    let mut cluster = cluster(seed);
    let mut rng = Pcg64Mcg::seed_from_u64(seed ^ 0x0924);
    for template in &mut cluster.snapshot.templates {
        template.priority = pick(&mut rng, &[0, 1000, 5000]);
    }
    for node in &mut cluster.snapshot.nodes {
        let mut room = requests(rng.random_range(0..4), rng.random_range(0..4));
        for pod in cluster.snapshot.pods.iter().filter(|pod| pod.node.as_deref() == Some(&node.name)) {
            room.add(&cluster.snapshot.templates[pod.template].requests);
        }
        room.set(PODS, 20);
        node.allocatable = room;
    }
    let disruption = &mut cluster.policy.disruption;
    disruption.preemption = Preemption::LowerPriority;
    (disruption.add_nodes, disruption.remove_nodes) = (false, false);
    disruption.max_moves = Amount::Percent(60);
    cluster
}

fn node(rng: &mut Pcg64Mcg, number: usize, zones: usize) -> Node {
    let (name, kind, zone) = (format!("node-{number}"), rng.random_range(0..2), ZONES[number % zones]);
    let (cores, gib, _) = TYPES[kind];
    let room = Resources::of([(CPU, cores * 1000), (MEMORY, gib << 30), (PODS, 20)]);
    let mut node = Node::plain(&name, room);
    node.instance_type = format!("type-{kind}");
    zone.clone_into(&mut node.zone);
    node.labels.insert(ZONE_LABEL.to_owned(), zone.to_owned());
    node.labels.insert(INSTANCE_TYPE_LABEL.to_owned(), node.instance_type.clone());
    if rng.random_bool(0.1) {
        node.taints.push(Taint { key: "dedicated".to_owned(), value: String::new(), effect: TaintEffect::NoSchedule });
    }
    node
}

/// A quota on all pods, in one cluster of three: what is used now and a little more, or less. One in two says what is used.
fn quotas(rng: &mut Pcg64Mcg, snapshot: &mut Snapshot) {
    if rng.random_bool(0.67) {
        return;
    }
    let requests = snapshot.pods.iter().map(|pod| &snapshot.templates[pod.template].requests);
    let used = [("pods", snapshot.pods.len() as i64), ("requests.cpu", requests.map(|r| r.get(CPU)).sum())];
    let more = [rng.random_range(-1..8), 250 * rng.random_range(-2..16)];
    let hard = used.iter().zip(more).map(|((name, used), more)| (*name, (used + more).max(0)));
    snapshot.quotas.push(ResourceQuota {
        namespace: "shop".to_owned(),
        name: "all".to_owned(),
        hard: Resources::of(hard),
        used: if rng.random_bool(0.5) { Resources::of(used) } else { Resources::default() },
        scopes: Vec::new(),
    });
}

/// The template of a workload that is placed.
fn some_template<'s>(rng: &mut Pcg64Mcg, snapshot: &'s mut Snapshot) -> &'s mut PodTemplate {
    let placed: Vec<usize> = snapshot.workloads.iter().filter(|w| !w.daemon).filter_map(|w| w.template).collect();
    &mut snapshot.templates[pick(rng, &placed)]
}

/// Claims of one pod, claims to bind, and volumes in a zone that several of them may have, in one cluster of four.
fn claims(rng: &mut Pcg64Mcg, snapshot: &mut Snapshot) {
    if rng.random_bool(0.75) {
        return;
    }
    for _ in 0..rng.random_range(0..3) {
        some_template(rng, snapshot).rules.volumes.single = vec!["data".to_owned()];
    }
    for _ in 0..rng.random_range(0..3) {
        let volume = |number: i32| VolumeToBind {
            name: format!("volume-{number}"),
            affinity: Some(vec![NodeSelectorTerm {
                expressions: vec![Requirement {
                    key: ZONE_LABEL.to_owned(),
                    operator: Operator::In,
                    values: vec![ZONES[number as usize % 2].to_owned()],
                }],
                fields: Vec::new(),
            }]),
        };
        let volumes = (rng.random_range(0..2)..rng.random_range(2..5)).map(volume).collect();
        let made = rng.random_bool(0.2).then(Vec::new);
        some_template(rng, snapshot).rules.volumes.to_bind = vec![ClaimToBind { claim: None, volumes, made }];
    }
}

/// A gang of one or two workloads, in one cluster of three.
fn gang(rng: &mut Pcg64Mcg, snapshot: &mut Snapshot) {
    if rng.random_bool(0.67) {
        return;
    }
    for _ in 0..rng.random_range(1..3) {
        some_template(rng, snapshot).gang = Some("train".to_owned());
    }
    let gang = Gang { namespace: "shop".to_owned(), name: "train".to_owned(), min_members: rng.random_range(1..7) };
    snapshot.gangs.push(gang);
}

/// A `DaemonSet`, in one cluster of two.
fn agents(rng: &mut Pcg64Mcg, snapshot: &mut Snapshot) {
    if rng.random_bool(0.5) {
        return;
    }
    let mut template = PodTemplate { namespace: "shop".to_owned(), ..PodTemplate::default() };
    template.labels.insert("app".to_owned(), "agent".to_owned());
    template.requests = requests(1, 1);
    let id = id("DaemonSet", "agent");
    snapshot.templates.push(template);
    let there: Vec<String> = snapshot.nodes.iter().filter(|n| n.taints.is_empty()).map(|n| n.name.clone()).collect();
    for (number, node) in there.iter().enumerate() {
        snapshot.pods.push(pod(&id, &format!("agent-{number}"), 0, Some(node)));
    }
    snapshot.workloads.push(Workload { daemon: true, scalable: false, ..Workload::plain(id, 0, there.len() as u32) });
}

pub(super) fn pod(workload: &WorkloadId, name: &str, template: usize, node: Option<&str>) -> Pod {
    Pod::plain(workload.clone(), name, template, node)
}

fn workload(rng: &mut Pcg64Mcg, snapshot: &mut Snapshot, app: usize, apps: usize) {
    let mut template = PodTemplate { namespace: "shop".to_owned(), labels: labels(app), ..PodTemplate::default() };
    template.requests = requests(rng.random_range(1..8), rng.random_range(1..6));
    let other = rng.random_range(0..apps);
    let key = pick(rng, &[ZONE_LABEL, HOSTNAME_LABEL, ZONE_LABEL]);
    match rng.random_range(0..10) {
        0 | 1 => template.rules.topology_spread.push(TopologySpread {
            max_skew: rng.random_range(1..3),
            topology_key: key.to_owned(),
            hard: true,
            selector: Some(selects(if rng.random_bool(0.8) { app } else { other })),
            min_domains: None,
            honor_affinity: true,
            honor_taints: rng.random_bool(0.5),
        }),
        2 => template.rules.pod_anti_affinity.push(term(app, HOSTNAME_LABEL)),
        3 => template.rules.pod_anti_affinity.push(term(other, key)),
        4 => template.rules.pod_affinity.push(term(other, key)),
        5 => template.rules.host_ports.push(HostPort {
            port: 8080,
            protocol: "TCP".to_owned(),
            host_ip: "0.0.0.0".to_owned(),
        }),
        _ => {}
    }
    let number = snapshot.templates.len();
    snapshot.templates.push(template);
    let id = id(pick(rng, &["Deployment", "Deployment", "StatefulSet"]), &format!("app-{app}"));
    let replicas = rng.random_range(1..7_u32);
    for replica in 0..replicas {
        let node = rng.random_bool(0.8).then(|| room_for(rng, snapshot, number)).flatten();
        let mut pod = pod(&id, &format!("app-{app}-{replica}"), number, node.as_deref());
        pod.do_not_evict = rng.random_bool(0.05);
        snapshot.pods.push(pod);
    }
    if rng.random_bool(0.3) {
        snapshot.budgets.push(DisruptionBudget {
            namespace: "shop".to_owned(),
            name: format!("budget-{app}"),
            selector: Some(selects(app)),
            min_available: None,
            max_unavailable: Some(Amount::Count(1)),
        });
    }
    snapshot.workloads.push(Workload::plain(id, number, replicas));
}

/// A node with room for a pod of the template, whatever rules say: what stands is taken for granted.
pub(super) fn room_for(rng: &mut Pcg64Mcg, snapshot: &Snapshot, template: usize) -> Option<String> {
    let node = &snapshot.nodes[rng.random_range(0..snapshot.nodes.len())];
    let mut free = node.allocatable.clone();
    for pod in snapshot.pods.iter().filter(|pod| pod.node.as_deref() == Some(&node.name)) {
        free.subtract(&snapshot.templates[pod.template].requests);
    }
    let template = &snapshot.templates[template];
    let fits = template.requests.fits_in(&free) && template.rules.untolerated(&node.taints).is_none();
    fits.then(|| node.name.clone())
}

/// A menu with what stands and a few other choices.
pub(super) fn menu(rng: &mut Pcg64Mcg, snapshot: &Snapshot, id: &WorkloadId) -> Menu {
    let workload = snapshot.workloads.iter().find(|w| w.id == *id).expect("one of the snapshot");
    let own = &snapshot.templates[workload.template.unwrap_or(0)].requests;
    let entry = |replicas: u32, requests: Resources, cents: u32| MenuEntry {
        replicas,
        requests,
        risk: None,
        risk_cost_per_hour: f64::from(cents) / 100.0,
        basis: Basis::Declared { reason: DeclaredReason::Current },
    };
    let mut entries = vec![entry(workload.replicas, own.clone(), rng.random_range(0..40))];
    for _ in 0..rng.random_range(0..4) {
        let requests =
            if rng.random_bool(0.5) { own.clone() } else { requests(rng.random_range(1..8), rng.random_range(1..6)) };
        let replicas = rng.random_range(0..8);
        if entries.iter().all(|e| e.replicas != replicas || e.requests != requests) {
            entries.push(entry(replicas, requests, rng.random_range(0..40)));
        }
    }
    Menu { workload: id.clone(), entries, current: Some(0) }
}

fn catalog(rng: &mut Pcg64Mcg, zones: usize) -> Catalog {
    let offers = TYPES.iter().enumerate().map(|(number, (cores, gib, price))| NodeOffer {
        name: format!("type-{number}"),
        zones: ZONES[..zones].iter().map(|zone| (*zone).to_owned()).collect(),
        capacity_type: CapacityType::OnDemand,
        price_per_hour: price * rng.random_range(0.9..1.1),
        allocatable: Resources::of([(CPU, cores * 1000), (MEMORY, gib << 30), (PODS, 20)]),
        labels: BTreeMap::from([(INSTANCE_TYPE_LABEL.to_owned(), format!("type-{number}"))]),
        taints: Vec::new(),
        quota: rng.random_bool(0.3).then(|| rng.random_range(0..4)),
        boot_time_s: 60.0,
    });
    Catalog { name: "test".to_owned(), prices: PriceSource::Listed, offers: offers.collect() }
}

fn policy(rng: &mut Pcg64Mcg) -> Policy {
    let target = Target {
        min_replicas: 0,
        max_replicas: 100,
        max_risk: 1.0,
        spread: rng
            .random_bool(0.2)
            .then(|| Spread { topology_key: ZONE_LABEL.to_owned(), max_skew: rng.random_range(2..5) }),
        zone_loss: rng.random_bool(0.1).then_some(Amount::Percent(30)),
        max_unavailable: rng.random_bool(0.3).then_some(Amount::Count(1)),
        ..Target::free("all", Objective::Utilisation { share: 0.6 })
    };
    let costs = Costs {
        move_per_core: 0.02,
        node_change: 0.05,
        breach_per_replica_hour: 1.0,
        unplaced_per_hour: 20.0,
        preference_per_hour: 0.0,
        amortise_hours: 2.0,
    };
    Policy {
        disruption: DisruptionLimits {
            max_moves: Amount::Percent(rng.random_range(0..60)),
            max_drains: Amount::Count(rng.random_range(0..4)),
            max_waves: 3,
            remove_nodes: rng.random_bool(0.9),
            add_nodes: rng.random_bool(0.9),
            preemption: Preemption::Never,
        },
        planning: Planning {
            step_ms: 60_000,
            horizon_s: 3600,
            lead_time_s: 300,
            memory_margin: 0.1,
            estimate_per_core_hour: 0.03,
            estimate_per_gib_hour: 0.004,
            estimate_per_gpu_hour: 1.0,
            ..Planning::default()
        },
        ..Policy::unlimited("test", vec![target], costs)
    }
}
