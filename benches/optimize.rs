//! The joint model by size: services × node types × zones, all on nodes that exist or can be bought, with menus, spread, host
//! exclusion and limits on moves. Prints cost, bound and gap beside the time.

#![expect(clippy::print_stdout, reason = "quality is printed beside time")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use plimsoll::domain::catalog::{CapacityType, Catalog, NodeOffer, PriceSource};
use plimsoll::domain::clock::{Clock, StopRule};
use plimsoll::domain::menu::{Basis, DeclaredReason, Menu, MenuEntry};
use plimsoll::domain::resources::{CPU, MEMORY, PODS, Resources};
use plimsoll::domain::rules::{
    HOSTNAME_LABEL, LabelSelector, NodeSelectorTerm, Operator, PodAffinityTerm, Requirement, TopologySpread, ZONE_LABEL,
};
use plimsoll::domain::snapshot::{PodTemplate, Snapshot, Workload, WorkloadId};
use plimsoll::optimize;
use plimsoll::policy::default_policy;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Services, types, zones.
const SIZES: [(usize, usize, usize); 3] = [(50, 20, 3), (200, 20, 3), (500, 30, 3)];
const MENU_FACTORS: [(f64, f64); 6] = [(0.8, 3.0), (0.9, 1.2), (1.0, 0.45), (1.1, 0.18), (1.25, 0.06), (1.5, 0.0)];
const POOL_LABEL: &str = "type";

struct Case {
    snapshot: Snapshot,
    catalog: Catalog,
    menus: Vec<Menu>,
}

fn pick<T: Copy>(rng: &mut Pcg64Mcg, from: &[T]) -> T {
    from[rng.random_range(0..from.len())]
}

/// A cluster to be bought from nothing: random offers, and services with a menu each.
fn case(services: usize, types: usize, zones: usize, seed: u64) -> Case {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let zones: Vec<String> = (0..zones).map(|z| format!("zone-{z}")).collect();
    let offers: Vec<NodeOffer> = (0..types).map(|index| offer(&mut rng, index, &zones)).collect();
    let mut snapshot = Snapshot::default();
    let mut menus = Vec::new();
    for index in 0..services {
        menus.push(service(&mut rng, index, &offers, &mut snapshot));
    }
    Case { snapshot, catalog: Catalog { name: "bench".to_owned(), prices: PriceSource::Listed, offers }, menus }
}

fn offer(rng: &mut Pcg64Mcg, index: usize, zones: &[String]) -> NodeOffer {
    let cores = pick(rng, &[4_i64, 8, 16, 32, 64]);
    let gib = cores * pick(rng, &[2, 4, 8]);
    let spot = rng.random_bool(0.3);
    let full = (0.031 * cores as f64 + 0.0042 * gib as f64) * rng.random_range(0.95..1.05);
    NodeOffer {
        name: format!("type-{index}"),
        zones: zones.to_vec(),
        capacity_type: if spot { CapacityType::Spot } else { CapacityType::OnDemand },
        price_per_hour: if spot { full * 0.35 } else { full },
        allocatable: Resources::of([(CPU, cores * 1000 - 300), (MEMORY, (gib * 1024 - 600) << 20), (PODS, 110)]),
        labels: BTreeMap::from([(POOL_LABEL.to_owned(), format!("type-{index}"))]),
        taints: Vec::new(),
        quota: Some(2000),
        boot_time_s: 60.0,
    }
}

fn service(rng: &mut Pcg64Mcg, index: usize, offers: &[NodeOffer], snapshot: &mut Snapshot) -> Menu {
    let cpu = pick(rng, &[100_i64, 250, 500, 1000, 2000, 4000]);
    let mib = pick(rng, &[128_i64, 256, 512, 1024, 2048, 4096, 8192]);
    // Log-normal with median e² and sigma 1, from two uniform numbers.
    let (a, b): (f64, f64) = (rng.random_range(1e-12..1.0), rng.random_range(0.0..1.0));
    let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
    let base = ((2.0 + normal).exp() as u32).max(1);
    let requests = Resources::of([(CPU, cpu), (MEMORY, mib << 20)]);
    let fits: Vec<&NodeOffer> = offers.iter().filter(|o| requests.fits_in(&o.allocatable)).collect();
    let on_demand_only = index.is_multiple_of(4);
    let mut allowed: Vec<String> = fits
        .iter()
        .filter(|o| !(on_demand_only && o.capacity_type == CapacityType::Spot) && rng.random_bool(0.8))
        .map(|o| o.name.clone())
        .collect();
    if allowed.is_empty() {
        allowed = fits.iter().map(|o| o.name.clone()).collect();
    }
    let labels = BTreeMap::from([("app".to_owned(), format!("service-{index}"))]);
    let selector = LabelSelector { match_labels: labels.clone(), match_expressions: Vec::new() };
    let mut template =
        PodTemplate { namespace: "bench".to_owned(), labels, requests: requests.clone(), ..Default::default() };
    let requirement = Requirement { key: POOL_LABEL.to_owned(), operator: Operator::In, values: allowed };
    template.rules.node_affinity = Some(vec![NodeSelectorTerm { expressions: vec![requirement], fields: Vec::new() }]);
    if rng.random_bool(0.4) {
        template.rules.topology_spread.push(TopologySpread {
            max_skew: 1,
            topology_key: ZONE_LABEL.to_owned(),
            hard: true,
            selector: Some(selector.clone()),
            min_domains: None,
            honor_affinity: true,
            honor_taints: false,
        });
    }
    if rng.random_bool(0.2) {
        template.rules.pod_anti_affinity.push(PodAffinityTerm {
            topology_key: HOSTNAME_LABEL.to_owned(),
            selector: Some(selector.clone()),
            namespaces: Vec::new(),
            namespace_selector: None,
        });
    }
    snapshot.templates.push(template);
    let id =
        WorkloadId { namespace: "bench".to_owned(), kind: "Deployment".to_owned(), name: format!("service-{index}") };
    snapshot.workloads.push(Workload {
        id: id.clone(),
        replicas: base,
        labels: BTreeMap::new(),
        selector,
        template: Some(index),
        scalable: true,
        daemon: false,
        batch: false,
    });
    let mut entries: Vec<MenuEntry> = Vec::new();
    for (factor, risk) in MENU_FACTORS {
        let replicas = ((f64::from(base) * factor).round() as u32).max(1);
        if entries.iter().all(|e| e.replicas != replicas) {
            entries.push(MenuEntry {
                replicas,
                requests: requests.clone(),
                risk: None,
                risk_cost_per_hour: risk * f64::from(base) * cpu as f64 / 1000.0 * 0.05,
                basis: Basis::Declared { reason: DeclaredReason::Current },
            });
        }
    }
    let current = entries.iter().position(|e| e.replicas == base);
    Menu { workload: id, entries, current }
}

struct Begun(Instant);

impl Clock for Begun {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let policy = default_policy();
    let mut group = criterion.benchmark_group("build");
    for (services, types, zones) in SIZES {
        let case = case(services, types, zones, 0);
        let name = format!("{services}x{types}x{zones}");
        group.bench_with_input(BenchmarkId::from_parameter(name), &case, |bencher, case| {
            bencher.iter(|| black_box(optimize::build(&case.snapshot, &case.catalog, &policy, &case.menus)));
        });
    }
    group.finish();
    // One run each: what counts is the quality reached by the time.
    println!("{:>12} {:>8} {:>10} {:>10} {:>7} {:>8}", "size", "pods", "cost", "bound", "gap", "seconds");
    for (services, types, zones) in SIZES {
        let case = case(services, types, zones, 0);
        let begun = Begun(Instant::now());
        let stop = StopRule { time_limit: Duration::from_mins(1), gap: 0.01, seed: 1, threads: 1 };
        let plan = optimize::plan(&case.snapshot, &case.catalog, &policy, &case.menus, &stop, &begun, &mut |_| ())
            .expect("prices are sound");
        let certificate = &plan.certificate;
        println!(
            "{:>12} {:>8} {:>10.3} {:>10.3} {:>6.2}% {:>8.1}",
            format!("{services}x{types}x{zones}"),
            plan.placements.len(),
            certificate.cost_per_hour,
            certificate.bound_per_hour,
            100.0 * certificate.gap,
            begun.elapsed().as_secs_f64()
        );
    }
}
