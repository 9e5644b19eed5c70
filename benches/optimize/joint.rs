//! The joint model at random: replicas × node types × zones, with menus, zone spread, host exclusion, and replicas that
//! stand on nodes of a home type in each zone. The distribution is that of the measurements in `docs/decisions`.

use std::collections::BTreeMap;
use std::fmt;

use plimsoll_domain::catalog::{CapacityType, Catalog, NodeOffer, PriceSource};
use plimsoll_domain::menu::{Basis, DeclaredReason, Menu, MenuEntry};
use plimsoll_domain::policy::{
    Behavior, Costs, DisruptionLimits, MetricMapping, Mode, Objective, Planning, Policy, Preemption, Target,
    WorkloadSelector,
};
use plimsoll_domain::resources::{CPU, MEMORY, PODS, Resources};
use plimsoll_domain::rules::{
    HOSTNAME_LABEL, INSTANCE_TYPE_LABEL, LabelSelector, NodeSelectorTerm, Operator, PodAffinityTerm, Requirement,
    TopologySpread, ZONE_LABEL,
};
use plimsoll_domain::snapshot::{Amount, Node, Pod, PodTemplate, Snapshot, Workload, WorkloadId};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Replicas as a multiple of today's, and what that risks, as a multiple of five cents a core.
const MENU: [(f64, f64); 6] = [(0.8, 3.0), (0.9, 1.2), (1.0, 0.45), (1.1, 0.18), (1.25, 0.06), (1.5, 0.0)];
const NAMESPACE: &str = "joint";
/// No node is short of pod slots: cores and memory decide.
const POD_SLOTS: i64 = 2000;

/// Number of services, node types and zones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) services: usize,
    pub(crate) types: usize,
    pub(crate) zones: usize,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.services, self.types, self.zones)
    }
}

/// One instance.
pub(crate) struct Joint {
    pub(crate) snapshot: Snapshot,
    pub(crate) catalog: Catalog,
    pub(crate) menus: Vec<Menu>,
}

/// What a service asks for, and where its replicas stand.
struct Service {
    requests: Resources,
    replicas: u32,
    /// Indices of the node types it may run on.
    allowed: Vec<usize>,
    spread: bool,
    exclusive: bool,
    /// Node type of its replicas, by zone.
    home: Vec<usize>,
}

/// The instance of the seed.
pub(crate) fn joint(size: Size, seed: u64) -> Joint {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let zones: Vec<String> = (0..size.zones).map(|z| format!("zone-{z}")).collect();
    let offers: Vec<NodeOffer> = (0..size.types).map(|index| offer(&mut rng, index, &zones)).collect();
    let mut services: Vec<Service> = (0..size.services).map(|index| service(&mut rng, index, &offers)).collect();
    for service in &mut services {
        service.home = zones.iter().map(|_| pick(&mut rng, &service.allowed)).collect();
    }
    let mut snapshot = Snapshot::default();
    let mut menus = Vec::new();
    for (index, service) in services.iter().enumerate() {
        snapshot.templates.push(template(index, service, &offers));
        snapshot.workloads.push(workload(index, service));
        menus.push(menu(index, service));
    }
    settle(&mut snapshot, &services, &offers, &zones);
    Joint { snapshot, catalog: Catalog { name: "joint".to_owned(), prices: PriceSource::Listed, offers }, menus }
}

fn pick<T: Copy>(rng: &mut Pcg64Mcg, from: &[T]) -> T {
    from[rng.random_range(0..from.len())]
}

fn offer(rng: &mut Pcg64Mcg, index: usize, zones: &[String]) -> NodeOffer {
    let cores = pick(rng, &[4_i64, 8, 16, 32, 64]);
    let gib = cores * pick(rng, &[2, 4, 8]);
    let spot = rng.random_bool(0.3);
    let full = (0.031 * cores as f64 + 0.0042 * gib as f64) * rng.random_range(0.95..1.05);
    NodeOffer {
        name: type_name(index),
        zones: zones.to_vec(),
        capacity_type: if spot { CapacityType::Spot } else { CapacityType::OnDemand },
        price_per_hour: if spot { full * 0.35 } else { full },
        allocatable: Resources::of([(CPU, cores * 1000 - 300), (MEMORY, (gib * 1024 - 600) << 20), (PODS, POD_SLOTS)]),
        labels: BTreeMap::new(),
        taints: Vec::new(),
        quota: Some(2000),
        boot_time_s: 60.0,
    }
}

fn type_name(index: usize) -> String {
    format!("type-{index}")
}

fn service(rng: &mut Pcg64Mcg, index: usize, offers: &[NodeOffer]) -> Service {
    let cpu = pick(rng, &[100_i64, 250, 500, 1000, 2000, 4000]);
    let mib = pick(rng, &[128_i64, 256, 512, 1024, 2048, 4096, 8192]);
    // Log-normal with median e² and sigma 1, from two uniform numbers.
    let (a, b): (f64, f64) = (rng.random_range(1e-12..1.0), rng.random_range(0.0..1.0));
    let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
    let requests = Resources::of([(CPU, cpu), (MEMORY, mib << 20)]);
    let fits: Vec<usize> = (0..offers.len()).filter(|o| requests.fits_in(&offers[*o].allocatable)).collect();
    // Every fourth service keeps off spot nodes.
    let barred = |o: usize| index.is_multiple_of(4) && offers[o].capacity_type == CapacityType::Spot;
    let mut allowed: Vec<usize> = fits.iter().copied().filter(|o| !barred(*o) && rng.random_bool(0.8)).collect();
    if allowed.is_empty() {
        allowed = fits;
    }
    Service {
        requests,
        replicas: ((2.0 + normal).exp() as u32).max(1),
        allowed,
        spread: rng.random_bool(0.4),
        exclusive: rng.random_bool(0.2),
        home: Vec::new(),
    }
}

fn labels(index: usize) -> BTreeMap<String, String> {
    BTreeMap::from([("app".to_owned(), format!("service-{index}"))])
}

fn selector(index: usize) -> LabelSelector {
    LabelSelector { match_labels: labels(index), match_expressions: Vec::new() }
}

fn template(index: usize, service: &Service, offers: &[NodeOffer]) -> PodTemplate {
    let mut template = PodTemplate {
        namespace: NAMESPACE.to_owned(),
        labels: labels(index),
        requests: service.requests.clone(),
        ..Default::default()
    };
    let values = service.allowed.iter().map(|o| offers[*o].name.clone()).collect();
    let requirement = Requirement { key: INSTANCE_TYPE_LABEL.to_owned(), operator: Operator::In, values };
    template.rules.node_affinity = Some(vec![NodeSelectorTerm { expressions: vec![requirement], fields: Vec::new() }]);
    if service.spread {
        template.rules.topology_spread.push(TopologySpread {
            max_skew: 1,
            topology_key: ZONE_LABEL.to_owned(),
            hard: true,
            selector: Some(selector(index)),
            min_domains: None,
            honor_affinity: true,
            honor_taints: false,
        });
    }
    if service.exclusive {
        template.rules.pod_anti_affinity.push(PodAffinityTerm {
            topology_key: HOSTNAME_LABEL.to_owned(),
            selector: Some(selector(index)),
            namespaces: Vec::new(),
            namespace_selector: None,
        });
    }
    template
}

fn id(index: usize) -> WorkloadId {
    WorkloadId { namespace: NAMESPACE.to_owned(), kind: "Deployment".to_owned(), name: format!("service-{index}") }
}

fn workload(index: usize, service: &Service) -> Workload {
    Workload { selector: selector(index), ..Workload::plain(id(index), index, service.replicas) }
}

fn menu(index: usize, service: &Service) -> Menu {
    let cores = service.requests.get(CPU) as f64 / 1000.0;
    let mut entries: Vec<MenuEntry> = Vec::new();
    for (factor, risk) in MENU {
        let replicas = ((f64::from(service.replicas) * factor).round() as u32).max(1);
        // Of steps that round to one number the later risks less.
        entries.retain(|e| e.replicas != replicas);
        entries.push(MenuEntry {
            replicas,
            requests: service.requests.clone(),
            risk: None,
            risk_cost_per_hour: risk * f64::from(service.replicas) * cores * 0.05,
            basis: Basis::Declared { reason: DeclaredReason::Current },
        });
    }
    let current = entries.iter().position(|e| e.replicas == service.replicas);
    Menu { workload: id(index), entries, current }
}

/// Puts the replicas of today, shared evenly among the zones, on as many nodes of their home types as first fit needs.
fn settle(snapshot: &mut Snapshot, services: &[Service], offers: &[NodeOffer], zones: &[String]) {
    let mut pools: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (index, service) in services.iter().enumerate() {
        for number in 0..service.replicas {
            let zone = number as usize % zones.len();
            pools.entry((service.home[zone], zone)).or_default().push(index);
        }
    }
    let mut numbers = vec![0_usize; services.len()];
    for ((home, zone), mut replicas) in pools {
        let offer = &offers[home];
        replicas.sort_by_key(|s| {
            std::cmp::Reverse((services[*s].requests.get(CPU), services[*s].requests.get(MEMORY), *s))
        });
        let mut nodes: Vec<(Resources, Vec<usize>)> = Vec::new();
        for service in replicas {
            let facts = &services[service];
            let fits = |(used, pods): &(Resources, Vec<usize>)| {
                (facts.requests.get(CPU) + used.get(CPU)) <= offer.allocatable.get(CPU)
                    && (facts.requests.get(MEMORY) + used.get(MEMORY)) <= offer.allocatable.get(MEMORY)
                    && !(facts.exclusive && pods.contains(&service))
            };
            let node = nodes.iter().position(fits).unwrap_or_else(|| {
                nodes.push((Resources::default(), Vec::new()));
                nodes.len() - 1
            });
            let (used, pods) = &mut nodes[node];
            *used = Resources::of([CPU, MEMORY].map(|r| (r, used.get(r) + facts.requests.get(r))));
            pods.push(service);
        }
        for (number, (_, pods)) in nodes.into_iter().enumerate() {
            let name = format!("{}-{}-{number}", offer.name, zones[zone]);
            let mut node = Node {
                zone: zones[zone].clone(),
                instance_type: offer.name.clone(),
                capacity_type: offer.capacity_type,
                ..Node::plain(&name, offer.allocatable.clone())
            };
            node.labels.insert(ZONE_LABEL.to_owned(), zones[zone].clone());
            node.labels.insert(INSTANCE_TYPE_LABEL.to_owned(), offer.name.clone());
            snapshot.nodes.push(node);
            for service in pods {
                snapshot.pods.push(pod(service, numbers[service], &name));
                numbers[service] += 1;
            }
        }
    }
    snapshot.nodes.sort_by(|a, b| a.name.cmp(&b.name));
    snapshot.pods.sort_by(|a, b| a.name.cmp(&b.name));
}

fn pod(service: usize, number: usize, node: &str) -> Pod {
    Pod::plain(id(service), &format!("service-{service}-{number}"), service, Some(node))
}

/// A quarter of a service's replicas may be evicted, 15 % of all; nodes come and go free of charge.
pub(crate) fn policy() -> Policy {
    Policy {
        name: "joint".to_owned(),
        source: "bench".to_owned(),
        mode: Mode::Recommend,
        targets: vec![Target {
            name: "everything".to_owned(),
            selects: WorkloadSelector::default(),
            min_replicas: 1,
            max_replicas: 10_000,
            scale_replicas: true,
            resize_requests: true,
            min_requests: Resources::default(),
            max_requests: Resources::default(),
            objective: Objective::Utilisation { share: 0.7 },
            max_risk: 1.0,
            behavior: Behavior::default(),
            spread: None,
            max_spot_share: None,
            zone_loss: None,
            max_unavailable: Some(Amount::Percent(25)),
        }],
        disruption: DisruptionLimits {
            max_moves: Amount::Percent(15),
            max_drains: Amount::Percent(100),
            max_waves: 1,
            remove_nodes: true,
            add_nodes: true,
            preemption: Preemption::Never,
        },
        costs: Costs {
            move_per_core: 0.002,
            node_change: 0.0,
            breach_per_replica_hour: 1.0,
            unplaced_per_hour: 1000.0,
            preference_per_hour: 0.0,
            amortise_hours: 1.0,
        },
        planning: Planning::default(),
        metrics: MetricMapping::default(),
        events: Vec::new(),
        places: BTreeMap::new(),
    }
}
