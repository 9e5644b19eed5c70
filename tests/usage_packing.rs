//! Nodes filled by what pods use hour by hour: workloads that peak at different hours share them, those that peak
//! together do not, and the stated probability of contention holds in simulation.

use std::collections::BTreeMap;
use std::time::Duration;

use ndarray::Array2;
use plimsoll::domain::catalog::NodeOffer;
use plimsoll::domain::clock::Stopped;
use plimsoll::domain::forecast::Trust;
use plimsoll::domain::outlook::Packing;
use plimsoll::domain::plan::NodeState;
use plimsoll::domain::policy::{Objective, PackBy, Planning, Target};
use plimsoll::domain::resources::{CPU, MEMORY, PODS};
use plimsoll::domain::snapshot::{Amount, Pod, PodTemplate, Workload};
use plimsoll::domain::{
    CapacityType, Catalog, Forecast, Plan, Policy, PriceSource, Resources, Signal, Snapshot, StopRule, Subject,
    WorkloadId,
};
use plimsoll::policy::default_policy;
use plimsoll::{horizon, optimize, sizing};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

const HOUR_MS: i64 = 3_600_000;
const HOURS: usize = 24;
const MIB: i64 = 1 << 20;
/// Cores that pods of a node may ask for.
const NODE_CORES: f64 = 4.0;
/// Standard deviation of the errors, as a share of the path.
const SPREAD: f64 = 0.1;
const LEVELS: [f64; 11] = [0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.98, 0.99, 0.995, 0.999];

/// A workload that uses little but for twelve hours of the day.
#[derive(Debug, Clone, Copy)]
struct Shape {
    low_cores: f64,
    high_cores: f64,
    by_day: bool,
}

impl Shape {
    fn path(&self) -> Vec<f64> {
        let high = |hour: usize| (6..18).contains(&hour) == self.by_day;
        (0..HOURS).map(|hour| if high(hour) { self.high_cores } else { self.low_cores }).collect()
    }
}

/// Standard normal draws.
struct Normal(Pcg64Mcg);

impl Normal {
    fn seeded(seed: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(seed))
    }

    fn draw(&mut self) -> f64 {
        let (a, b): (f64, f64) = (self.0.random(), self.0.random());
        (-2.0 * (1.0 - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }
}

/// Quantiles at [`LEVELS`] of what is drawn.
fn quantiles(mut draws: Vec<f64>) -> Vec<f64> {
    draws.sort_by(f64::total_cmp);
    LEVELS.iter().map(|level| draws[(level * draws.len() as f64) as usize]).collect()
}

/// The exact forecast of paths whose hours err by themselves.
fn forecast(id: &WorkloadId, shape: Shape) -> Forecast {
    let mut normal = Normal::seeded(11);
    let errors: Vec<f64> = (0..40_000).map(|_| 1.0 + SPREAD * normal.draw()).collect();
    let step = quantiles(errors);
    let path = shape.path();
    let peaks = (0..20_000).map(|_| path.iter().map(|v| v * (1.0 + SPREAD * normal.draw())).fold(0.0, f64::max));
    Forecast {
        subject: Subject::Workload(id.clone()),
        signal: Signal::CpuCores,
        start_ms: 0,
        step_ms: HOUR_MS,
        mean: path.clone(),
        levels: LEVELS.to_vec(),
        quantiles: Array2::from_shape_fn((LEVELS.len(), HOURS), |(l, h)| path[h] * step[l]),
        lead_steps: HOURS,
        peak: quantiles(peaks.collect()),
        trust: Trust { observations: 1000, ..Trust::default() },
        marks: Vec::new(),
        effects: Vec::new(),
    }
}

struct Case {
    snapshot: Snapshot,
    catalog: Catalog,
    forecasts: Vec<Forecast>,
    shapes: BTreeMap<WorkloadId, Shape>,
}

/// Deployments of two waiting pods each, and nodes of one kind to buy for them.
fn case(shapes: &[Shape]) -> Case {
    let mut snapshot = Snapshot::default();
    let (mut forecasts, mut named) = (Vec::new(), BTreeMap::new());
    for (number, shape) in shapes.iter().enumerate() {
        let name = format!("app-{number:02}");
        let id = WorkloadId { namespace: "shop".into(), kind: "Deployment".into(), name: name.clone() };
        let requests = Resources::of([(CPU, (500.0 * shape.high_cores) as i64), (MEMORY, 64 * MIB)]);
        let labels = BTreeMap::from([("app".to_owned(), name.clone())]);
        snapshot.templates.push(PodTemplate { namespace: "shop".into(), labels, requests, ..PodTemplate::default() });
        snapshot.workloads.push(Workload::plain(id.clone(), number, 2));
        snapshot.pods.extend((0..2).map(|pod| Pod::plain(id.clone(), &format!("{name}-{pod}"), number, None)));
        forecasts.push(forecast(&id, *shape));
        named.insert(id, *shape);
    }
    let offer = NodeOffer {
        name: "four".into(),
        zones: vec!["a".into()],
        capacity_type: CapacityType::OnDemand,
        price_per_hour: 0.2,
        allocatable: Resources::of([(CPU, (NODE_CORES * 1000.0) as i64), (MEMORY, 65536 * MIB), (PODS, 110)]),
        labels: BTreeMap::new(),
        taints: Vec::new(),
        quota: None,
        boot_time_s: 90.0,
    };
    let catalog = Catalog { name: "test".into(), prices: PriceSource::Listed, offers: vec![offer] };
    Case { snapshot, catalog, forecasts, shapes: named }
}

fn policy(pack_by: PackBy, max_contention: f64, usage_buckets: u32) -> Policy {
    let target = Target {
        objective: Objective::Demand { quantile: 0.98 },
        max_risk: 0.02,
        max_unavailable: Some(Amount::Percent(100)),
        ..default_policy().targets.remove(0)
    };
    let planning = Planning {
        step_ms: HOUR_MS,
        horizon_s: 86_400,
        lead_time_s: 86_400,
        pack_by,
        max_contention,
        usage_buckets,
        ..Planning::default()
    };
    Policy { targets: vec![target], planning, ..default_policy() }
}

/// What the pipeline does between forecasts and steps.
fn solve(case: &Case, policy: &Policy) -> (Plan, Option<Packing>) {
    let Case { snapshot, catalog, forecasts, .. } = case;
    let menus = sizing::menus(snapshot, None, forecasts, policy);
    let stop = StopRule { time_limit: Duration::from_mins(1), gap: 0.0, seed: 3, threads: 1 };
    let usage = sizing::usage(snapshot, catalog, None, forecasts, policy, &menus);
    let Some(usage) = usage else {
        return (optimize::plan(snapshot, catalog, policy, &menus, &stop, &Stopped, &mut |_| ()).unwrap(), None);
    };
    let packed = horizon::packed(snapshot, catalog, &menus, &usage);
    let plan =
        optimize::plan(&packed.snapshot, &packed.catalog, policy, &packed.menus, &stop, &Stopped, &mut |_| ()).unwrap();
    let plan = horizon::unpacked(plan);
    let packing = horizon::contention(snapshot, &plan, &usage, policy.planning.max_contention);
    (plan, Some(packing))
}

fn bought(plan: &Plan) -> usize {
    assert!(plan.certificate.feasible, "{:?}", plan.certificate.violations);
    assert_eq!(plan.unplaced, []);
    assert!(plan.certificate.bound_per_hour <= plan.certificate.cost_per_hour + 1e-9);
    plan.nodes.iter().filter(|node| node.state == NodeState::Add).count()
}

fn shapes(by_day: impl Fn(usize) -> bool) -> Vec<Shape> {
    (0..12).map(|i| Shape { low_cores: 0.3, high_cores: 2.0 + 0.1 * i as f64, by_day: by_day(i) }).collect()
}

#[test]
fn workloads_that_peak_at_different_hours_share_nodes() {
    let case = case(&shapes(|i| i % 2 == 0));
    let by_requests = bought(&solve(&case, &policy(PackBy::Requests, 0.01, 24)).0);
    let (plan, packing) = solve(&case, &policy(PackBy::Usage, 0.01, 24));
    let by_usage = bought(&plan);
    // By day and by night half of the peaks, and a little of the others: about half of the nodes, and never fewer.
    assert!(by_usage * 4 <= by_requests * 3, "{by_usage} nodes by use, {by_requests} by requests");
    assert!(by_usage * 2 >= by_requests, "{by_usage} nodes by use, {by_requests} by requests");
    let packing = packing.unwrap();
    assert_eq!(packing.nodes.len(), by_usage);
    assert!(packing.worst().unwrap().1.probability <= 0.01 + 1e-9, "{packing:?}");
    for workload in &plan.workloads {
        let shape = case.shapes[&workload.id];
        let mean = f64::midpoint(shape.low_cores, shape.high_cores);
        let requested = f64::from(workload.replicas) * workload.requests.cpu_millis() as f64 / 1000.0;
        assert!((mean..1.3 * mean).contains(&requested), "{} requests its mean: {requested}", workload.id);
    }
}

#[test]
fn workloads_that_peak_together_do_not() {
    let case = case(&shapes(|_| true));
    let (by_requests, _) = solve(&case, &policy(PackBy::Requests, 0.02, 24));
    let (by_usage, _) = solve(&case, &policy(PackBy::Usage, 0.02, 24));
    // The same sizes at the same hours: what no plan by requests undercuts, none by use does, and the two searches end
    // within a node of each other.
    let bound = by_requests.certificate.bound_per_hour;
    assert!(by_usage.certificate.cost_per_hour >= bound - 1e-6, "{} < {bound}", by_usage.certificate.cost_per_hour);
    assert!(bought(&by_usage).abs_diff(bought(&by_requests)) <= 1);
    let peaks: f64 = case.forecasts.iter().map(|forecast| forecast.peak_at(0.98)).sum();
    assert!(bought(&by_usage) as f64 * NODE_CORES >= peaks);
}

#[test]
fn expected_use_never_shows_as_something_pods_ask_for() {
    let (plan, _) = solve(&case(&shapes(|i| i % 3 == 0)), &policy(PackBy::Usage, 0.01, 24));
    let names = |r: &Resources| r.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    let of_workloads = plan.workloads.iter().flat_map(|w| [&w.requests, &w.requests_now]);
    let of_nodes = plan.nodes.iter().flat_map(|n| [&n.allocatable, &n.used, &n.used_now]);
    for name in of_workloads.chain(of_nodes).flat_map(names) {
        assert!([CPU, MEMORY, PODS].contains(&name.as_str()), "{name}");
    }
}

#[test]
fn what_finds_no_room_for_its_use_is_told_so_and_what_waits_today_is_not() {
    let mut case = case(&shapes(|_| true));
    case.catalog.offers[0].quota = Some(2);
    let (plan, _) = solve(&case, &policy(PackBy::Usage, 0.01, 6));
    assert!(!plan.unplaced.is_empty());
    let now: Vec<&str> = plan.pending.iter().flat_map(|p| p.reasons.iter().map(String::as_str)).collect();
    assert!(!now.is_empty() && now.iter().all(|reason| !reason.contains("in use")), "{now:?}");
}

/// Shares of days on which the pods of a node want more than it has within a bucket, by node and bucket, from paths
/// drawn anew; with `together`, the errors of all workloads are the same.
fn simulated(case: &Case, plan: &Plan, buckets: usize, together: bool, days: usize) -> BTreeMap<String, Vec<f64>> {
    let mut parts: BTreeMap<&str, BTreeMap<&WorkloadId, f64>> = BTreeMap::new();
    for placement in &plan.placements {
        let id = plan.workloads.iter().find(|w| format!("{}/{}", w.id.kind, w.id.name) == placement.workload).unwrap();
        *parts.entry(&placement.node).or_default().entry(&id.id).or_insert(0.0) += 1.0 / f64::from(id.replicas);
    }
    let paths: BTreeMap<&WorkloadId, Vec<f64>> = case.shapes.iter().map(|(id, shape)| (id, shape.path())).collect();
    let mut normal = Normal::seeded(5);
    let mut over: BTreeMap<String, Vec<f64>> =
        parts.keys().map(|node| ((*node).to_owned(), vec![0.0; buckets])).collect();
    for _ in 0..days {
        let mut hit: BTreeMap<&str, Vec<bool>> = parts.keys().map(|node| (*node, vec![false; buckets])).collect();
        for hour in 0..HOURS {
            let common = normal.draw();
            let errors: BTreeMap<&WorkloadId, f64> =
                paths.keys().map(|id| (*id, if together { common } else { normal.draw() })).collect();
            for (node, parts) in &parts {
                let use_of = |(id, part): (&&WorkloadId, &f64)| part * paths[*id][hour] * (1.0 + SPREAD * errors[*id]);
                if parts.iter().map(use_of).sum::<f64>() > NODE_CORES {
                    hit.get_mut(node).unwrap()[hour * buckets / HOURS] = true;
                }
            }
        }
        for (node, hit) in hit {
            for (count, hit) in over.get_mut(node).unwrap().iter_mut().zip(hit) {
                *count += f64::from(u8::from(hit)) / days as f64;
            }
        }
    }
    over
}

#[test]
fn contention_is_never_likelier_than_stated_whether_demands_rise_together_or_not() {
    let case = case(&shapes(|i| i % 2 == 0));
    let days = 4_000;
    for (limit, buckets) in [(0.02, 24), (0.1, 6)] {
        let (plan, packing) = solve(&case, &policy(PackBy::Usage, limit, buckets));
        let packing = packing.unwrap();
        let mut most = 0.0_f64;
        for together in [false, true] {
            for (node, shares) in simulated(&case, &plan, buckets as usize, together, days) {
                let stated = packing.nodes[&node].probability;
                for share in shares {
                    let noise = 4.0 * (stated * (1.0 - stated) / days as f64).sqrt();
                    assert!(share <= stated + noise, "{node}: {share} simulated, {stated} stated ({together})");
                    most = most.max(share);
                }
            }
        }
        // Full nodes do contend: the statement is not empty.
        assert!(most > 0.0, "limit {limit}");
    }
}
