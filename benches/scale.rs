//! A cluster that runs: 2,000 workloads, 150,000 pods, 5,000 nodes of 20 types in 3 zones, a third of the workloads with
//! spread over zones or anti-affinity between hosts. Prints cost, bound and gap beside the time and the memory.
//!
//! `cargo bench --profile dev --bench scale [-- WORKLOADS [SECONDS…]]`; nodes and pods grow with the workloads.

#![expect(clippy::print_stdout, reason = "quality is printed beside time")]

#[path = "scale/cluster.rs"]
mod cluster;
#[path = "scale/measure.rs"]
mod measure;

use std::time::{Duration, Instant};

use plimsoll::domain::clock::StopRule;
use plimsoll::optimize;
use plimsoll::policy::default_policy;

use cluster::cluster;
use measure::{Begun, peak_gib};

fn main() {
    let numbers: Vec<f64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let workloads = numbers.first().map_or(2000, |n| *n as usize);
    let limits = if numbers.len() > 1 { numbers[1..].to_vec() } else { vec![5.0, 60.0] };
    let (snapshot, catalog) = cluster(workloads, 1);
    let running = snapshot.pods.iter().filter(|p| p.node.is_some()).count();
    println!(
        "{workloads} workloads, {} pods, {running} of them on {} nodes",
        snapshot.pods.len(),
        snapshot.nodes.len()
    );
    println!(
        "{:>6} {:>8} {:>10} {:>10} {:>7} {:>9} {:>6}",
        "limit", "seconds", "cost", "bound", "gap", "feasible", "GiB"
    );
    let policy = default_policy();
    for limit in limits {
        let begun = Begun(Instant::now());
        let stop = StopRule { time_limit: Duration::from_secs_f64(limit), gap: 0.005, seed: 1, threads: 1 };
        let mut note = |progress: optimize::Progress| println!("{:>8.2} {progress}", begun.0.elapsed().as_secs_f64());
        let plan =
            optimize::plan(&snapshot, &catalog, &policy, &[], &stop, &begun, &mut note).expect("prices are sound");
        let certificate = &plan.certificate;
        println!(
            "{limit:>6} {:>8.1} {:>10.2} {:>10.2} {:>6.2}% {:>9} {:>6.2}",
            begun.0.elapsed().as_secs_f64(),
            certificate.cost_per_hour,
            certificate.bound_per_hour,
            100.0 * certificate.gap,
            certificate.feasible,
            peak_gib()
        );
    }
}
