//! The cluster of the benches of scale: nodes of 20 types in 3 zones, and workloads of which a third have spread over zones
//! or anti-affinity between hosts.

use std::collections::BTreeMap;

use plimsoll::domain::catalog::{CapacityType, Catalog, NodeOffer, PriceSource};
use plimsoll::domain::resources::{CPU, MEMORY, PODS, Resources};
use plimsoll::domain::rules::{
    HOSTNAME_LABEL, INSTANCE_TYPE_LABEL, LabelSelector, PodAffinityTerm, TopologySpread, ZONE_LABEL,
};
use plimsoll::domain::snapshot::{Node, Pod, PodTemplate, Snapshot, Workload, WorkloadId};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

const ZONES: [&str; 3] = ["zone-a", "zone-b", "zone-c"];
const TYPES: usize = 20;
const PODS_A_WORKLOAD: usize = 75;
/// Workloads a node: 2,000 on 5,000.
const NODES_A_WORKLOAD: f64 = 2.5;
/// Nodes looked at for a pod; it goes to the emptiest that takes it, as kube-scheduler's default scores prefer.
const SAMPLE: usize = 12;
/// One pod in so many waits.
const WAITING: usize = 100;

pub(crate) fn pick<T: Copy>(rng: &mut Pcg64Mcg, from: &[T]) -> T {
    from[rng.random_range(0..from.len())]
}

fn offers(rng: &mut Pcg64Mcg) -> Vec<NodeOffer> {
    let sizes = (0..TYPES).map(|index| ([8_i64, 16, 32, 48, 64][index % 5], [2_i64, 4, 4, 8][index / 5]));
    let offer = |(index, (cores, gib_a_core)): (usize, (i64, i64))| {
        let gib = cores * gib_a_core;
        let list = 0.031 * cores as f64 + 0.0042 * gib as f64;
        let name = format!("type-{index}");
        NodeOffer {
            labels: BTreeMap::from([(INSTANCE_TYPE_LABEL.to_owned(), name.clone())]),
            name,
            zones: ZONES.map(str::to_owned).to_vec(),
            capacity_type: CapacityType::OnDemand,
            price_per_hour: list * rng.random_range(0.95..1.05),
            allocatable: Resources::of([(CPU, cores * 1000 - 300), (MEMORY, (gib * 1024 - 600) << 20), (PODS, 110)]),
            taints: Vec::new(),
            quota: None,
            boot_time_s: 60.0,
        }
    };
    sizes.enumerate().map(offer).collect()
}

fn template(rng: &mut Pcg64Mcg, index: usize) -> PodTemplate {
    let cpu = pick(rng, &[100_i64, 200, 250, 500, 500, 1000, 1500, 2000]);
    let requests = Resources::of([(CPU, cpu), (MEMORY, (cpu * pick(rng, &[1, 2, 4, 8])) << 20)]);
    let labels = BTreeMap::from([("app".to_owned(), format!("app-{index}"))]);
    let selector = LabelSelector { match_labels: labels.clone(), match_expressions: Vec::new() };
    let mut template = PodTemplate { namespace: "bench".to_owned(), labels, requests, ..PodTemplate::default() };
    match index % 6 {
        0 => template.rules.topology_spread.push(TopologySpread {
            max_skew: 1,
            topology_key: ZONE_LABEL.to_owned(),
            hard: true,
            selector: Some(selector),
            min_domains: None,
            honor_affinity: true,
            honor_taints: false,
        }),
        1 => template.rules.pod_anti_affinity.push(PodAffinityTerm {
            topology_key: HOSTNAME_LABEL.to_owned(),
            selector: Some(selector),
            namespaces: Vec::new(),
            namespace_selector: None,
        }),
        _ => {}
    }
    template
}

/// Nodes by zone with what is free on them.
struct Free {
    by_zone: Vec<Vec<usize>>,
    free: Vec<Resources>,
}

impl Free {
    /// The emptiest of a sample of the zone's nodes that takes the pod.
    fn find(&self, rng: &mut Pcg64Mcg, zone: usize, asks: &Resources, not: &[usize]) -> Option<usize> {
        let nodes = &self.by_zone[zone];
        let sample = (0..SAMPLE).map(|_| nodes[rng.random_range(0..nodes.len())]);
        sample.filter(|n| asks.fits_in(&self.free[*n]) && !not.contains(n)).max_by_key(|n| self.free[*n].get(CPU))
    }
}

/// A cluster that runs, with one pod in a hundred waiting.
pub(crate) fn cluster(workloads: usize, seed: u64) -> (Snapshot, Catalog) {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let offers = offers(&mut rng);
    let mut snapshot = Snapshot::default();
    let mut free = Free { by_zone: vec![Vec::new(); ZONES.len()], free: Vec::new() };
    for index in 0..(workloads as f64 * NODES_A_WORKLOAD) as usize {
        let (offer, zone) = (&offers[rng.random_range(0..TYPES)], index % ZONES.len());
        let name = format!("node-{index:05}");
        let mut node = Node::plain(&name, offer.allocatable.clone());
        node.labels = offer.labels.clone();
        node.labels.insert(ZONE_LABEL.to_owned(), ZONES[zone].to_owned());
        node.labels.insert(HOSTNAME_LABEL.to_owned(), name);
        ZONES[zone].clone_into(&mut node.zone);
        node.instance_type.clone_from(&offer.name);
        free.by_zone[zone].push(index);
        free.free.push(offer.allocatable.clone());
        snapshot.nodes.push(node);
    }
    // Sizes fall off as one over the rank, as in clusters that are measured.
    let harmonic: f64 = (1..=workloads).map(|rank| 1.0 / (rank as f64 + 20.0)).sum();
    for index in 0..workloads {
        let template = template(&mut rng, index);
        let share = 1.0 / ((index as f64 * 7.0) % workloads as f64 + 21.0) / harmonic;
        let apart = !template.rules.pod_anti_affinity.is_empty();
        let most = if apart { (workloads as f64 * NODES_A_WORKLOAD / 4.0) as usize } else { usize::MAX };
        let count = ((share * (workloads * PODS_A_WORKLOAD) as f64) as usize).clamp(1, most.max(1));
        add(&mut rng, &mut snapshot, &mut free, index, template, count);
    }
    (snapshot, Catalog { name: "bench".to_owned(), prices: PriceSource::Listed, offers })
}

fn add(
    rng: &mut Pcg64Mcg,
    snapshot: &mut Snapshot,
    free: &mut Free,
    index: usize,
    template: PodTemplate,
    count: usize,
) {
    let id = WorkloadId { namespace: "bench".to_owned(), kind: "Deployment".to_owned(), name: format!("app-{index}") };
    let (even, apart) = (!template.rules.topology_spread.is_empty(), !template.rules.pod_anti_affinity.is_empty());
    let mut asks = template.requests.clone();
    asks.set(PODS, 1);
    let mut taken = Vec::new();
    for number in 0..count {
        let zone = if even { number % ZONES.len() } else { rng.random_range(0..ZONES.len()) };
        let waits = (index + number).is_multiple_of(WAITING);
        let node = if waits { None } else { free.find(rng, zone, &asks, if apart { &taken } else { &[] }) };
        if let Some(node) = node {
            free.free[node].subtract(&asks);
            taken.push(node);
        } else if even {
            // Who comes after it in the other zones would not have been placed either.
            continue;
        }
        let node = node.map(|n| snapshot.nodes[n].name.as_str());
        snapshot.pods.push(Pod::plain(id.clone(), &format!("app-{index}-{number:05}"), index, node));
    }
    let selector = LabelSelector { match_labels: template.labels.clone(), match_expressions: Vec::new() };
    snapshot.templates.push(template);
    snapshot.workloads.push(Workload { selector, ..Workload::plain(id, index, count as u32) });
}
