//! Nodes filled by what pods use, at scale: a cluster that runs (as in the bench of scale), and the dump of 1,523 nodes and
//! 8,152 pods where `../shared/data` has it. What each workload uses is made up: little by night and much by day, or the
//! other way round, or hours between.
//!
//! Prints for packing by requests and by use: cost, bound, gap, nodes in the end, the worst contention, time and memory.
//!
//! `cargo bench --profile dev --bench usage [-- SECONDS [BUCKETS [WORKLOADS]]]`

#![expect(clippy::print_stdout, reason = "quality is printed beside time")]

#[path = "scale/cluster.rs"]
mod cluster;
#[path = "scale/measure.rs"]
mod measure;

use std::path::Path;
use std::time::{Duration, Instant};

use ndarray::Array2;
use plimsoll::domain::clock::StopRule;
use plimsoll::domain::forecast::Trust;
use plimsoll::domain::plan::NodeState;
use plimsoll::domain::policy::{Objective, PackBy, Planning, Target};
use plimsoll::domain::{Catalog, Forecast, Policy, Signal, Snapshot, Subject};
use plimsoll::ingest::{self, Source};
use plimsoll::policy::default_policy;
use plimsoll::{horizon, optimize, sizing};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use cluster::{cluster, pick};
use measure::{Begun, peak_gib};

const HOURS: usize = 24;
const HOUR_MS: i64 = 3_600_000;
/// Levels, and how far a standard normal draw is below them.
const LEVELS: [(f64, f64); 6] = [(0.5, 0.0), (0.9, 1.282), (0.95, 1.645), (0.98, 2.054), (0.99, 2.326), (0.999, 3.09)];
/// Standard deviation of the errors, as a share of what is expected.
const SPREAD: f64 = 0.1;
/// Shares of what is requested that are used in the quiet and in the busy half of the day.
const QUIET: f64 = 0.15;
const BUSY: f64 = 0.7;

/// What every workload but `DaemonSets` is expected to use.
fn forecasts(snapshot: &Snapshot, seed: u64) -> Vec<Forecast> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let workloads = snapshot.workloads.iter().filter(|w| !w.daemon && w.replicas > 0);
    workloads
        .filter_map(|workload| {
            let requests = &snapshot.templates.get(workload.template?)?.requests;
            let cores = requests.cpu_millis() as f64 / 1000.0 * f64::from(workload.replicas);
            let begins = pick(&mut rng, &[6, 6, 18, 18, 0, 12]);
            let busy = |hour: usize| (hour + HOURS - begins) % HOURS < HOURS / 2;
            let size = cores * rng.random_range(0.8..1.2);
            let path: Vec<f64> = (0..HOURS).map(|hour| size * if busy(hour) { BUSY } else { QUIET }).collect();
            let above = |level: usize| 1.0 + SPREAD * LEVELS[level].1;
            Some(Forecast {
                subject: Subject::Workload(workload.id.clone()),
                signal: Signal::CpuCores,
                start_ms: 0,
                step_ms: HOUR_MS,
                mean: path.clone(),
                levels: LEVELS.iter().map(|(level, _)| *level).collect(),
                quantiles: Array2::from_shape_fn((LEVELS.len(), HOURS), |(level, hour)| path[hour] * above(level)),
                lead_steps: HOURS,
                peak: (0..LEVELS.len()).map(|level| size * BUSY * (above(level) + SPREAD)).collect(),
                trust: Trust { observations: 1000, ..Trust::default() },
                marks: Vec::new(),
                effects: Vec::new(),
            })
        })
        .collect()
}

fn policy(pack_by: PackBy, usage_buckets: u32) -> Policy {
    let target = Target {
        objective: Objective::Demand { quantile: 0.98 },
        max_risk: 0.02,
        ..default_policy().targets.remove(0)
    };
    let planning = Planning {
        step_ms: HOUR_MS,
        horizon_s: 86_400,
        lead_time_s: 86_400,
        pack_by,
        usage_buckets,
        ..Planning::default()
    };
    Policy { targets: vec![target], planning, ..default_policy() }
}

fn show(name: &str, snapshot: &Snapshot, catalog: &Catalog, seconds: f64, buckets: u32) {
    println!(
        "{name}: {} workloads, {} pods, {} nodes, {buckets} stretches",
        snapshot.workloads.len(),
        snapshot.pods.len(),
        snapshot.nodes.len()
    );
    let forecasts = forecasts(snapshot, 1);
    for pack_by in [PackBy::Requests, PackBy::Usage] {
        let policy = policy(pack_by, buckets);
        let begun = Begun(Instant::now());
        let stop = StopRule { time_limit: Duration::from_secs_f64(seconds), gap: 0.005, seed: 1, threads: 1 };
        let menus = sizing::menus(snapshot, None, &forecasts, &policy);
        let usage = sizing::usage(snapshot, catalog, None, &forecasts, &policy, &menus);
        let (plan, worst) = match &usage {
            None => (optimize::plan(snapshot, catalog, &policy, &menus, &stop, &begun, &mut |_| ()), None),
            Some(usage) => {
                let packed = horizon::packed(snapshot, catalog, &menus, usage);
                let (cluster, offers, choices) = (&packed.snapshot, &packed.catalog, &packed.menus);
                let plan = optimize::plan(cluster, offers, &policy, choices, &stop, &begun, &mut |_| ());
                let plan = plan.map(horizon::unpacked);
                let packing = plan.as_ref().ok().map(|plan| horizon::contention(snapshot, plan, usage, 0.01));
                let worst = packing.and_then(|packing| packing.worst().map(|(_, worst)| worst.probability));
                (plan, worst)
            }
        };
        let plan = plan.expect("prices are sound");
        let certificate = &plan.certificate;
        println!(
            "{pack_by:?}: {:.1} s, cost {:.2} (nodes {:.2}), bound {:.2}, gap {:.2} %, {} nodes, feasible {}, {} pods \
             wait, worst contention {}, {:.2} GiB",
            begun.0.elapsed().as_secs_f64(),
            certificate.cost_per_hour,
            certificate.cost.nodes,
            certificate.bound_per_hour,
            100.0 * certificate.gap,
            plan.nodes.iter().filter(|node| node.state != NodeState::Remove).count(),
            certificate.feasible,
            plan.unplaced.iter().map(|unplaced| unplaced.count).sum::<u32>(),
            worst.map_or_else(|| "–".to_owned(), |worst| format!("{:.3} %", 100.0 * worst)),
            peak_gib()
        );
    }
}

fn main() {
    let numbers: Vec<f64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let number = |index: usize, usual: f64| numbers.get(index).copied().unwrap_or(usual);
    let (seconds, buckets, workloads) = (number(0, 45.0), number(1, 24.0) as u32, number(2, 50.0) as usize);
    let (snapshot, catalog) = cluster(workloads, 1);
    show("made up", &snapshot, &catalog, seconds, buckets);
    let dump = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/kubernetes/openb_default.json.gz");
    if !dump.exists() {
        println!("no dump at {}", dump.display());
        return;
    }
    let snapshot = ingest::kubernetes::snapshot(&[Source::read(&dump).expect("a dump")]).expect("a dump");
    let catalog = ingest::catalog::estimated(&snapshot, &Planning::default());
    show("dump", &snapshot, &catalog, seconds, buckets);
}
