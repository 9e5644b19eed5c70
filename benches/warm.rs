//! One changed workload on a cluster that runs and is planned: 2,000 workloads, 150,000 pods, 5,000 nodes of 20 types in 3
//! zones, a third of the workloads with spread over zones or anti-affinity between hosts.
//!
//! Plans the cluster, takes random changes in one after the other (each as a controller would: other replicas, other
//! requests, a menu, pods that come, go or turn unready), and prints how long each kind took, with cost and gap beside
//! it. In the end the changed cluster is planned anew, to compare the cost, and the warm plan is checked whole.
//!
//! `cargo bench --profile dev --bench warm [-- WORKLOADS [SECONDS [CHANGES [SEED]]]]`

#![expect(clippy::print_stdout, reason = "quality is printed beside time")]

#[path = "scale/cluster.rs"]
mod cluster;
#[path = "scale/measure.rs"]
mod measure;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plimsoll::domain::clock::StopRule;
use plimsoll::domain::menu::{Basis, DeclaredReason, Menu, MenuEntry};
use plimsoll::domain::plan::Certificate;
use plimsoll::domain::resources::{CPU, MEMORY};
use plimsoll::domain::snapshot::{Pod, Workload};
use plimsoll::optimize::check::check;
use plimsoll::optimize::session::{Change, Session};
use plimsoll::policy::default_policy;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use cluster::{cluster, pick};
use measure::{Begun, peak_gib};

const KINDS: [&str; 6] = ["replicas", "requests", "menu", "pods came", "pods gone", "unready"];

/// A change of the kind, of a random workload.
fn change(rng: &mut Pcg64Mcg, session: &Session, kind: usize) -> Change {
    let snapshot = session.snapshot();
    let workload = &snapshot.workloads[rng.random_range(0..snapshot.workloads.len())];
    let own = || snapshot.pods.iter().filter(|pod| pod.workload == workload.id);
    let other = |rng: &mut Pcg64Mcg| {
        let factor = pick(rng, &[0.5, 0.8, 0.9, 1.1, 1.25, 2.0]);
        ((f64::from(workload.replicas) * factor).round() as u32).max(1)
    };
    let mut change = Change::of(workload.id.clone());
    match kind {
        0 => change.replicas = Some(other(rng)),
        1 => {
            let mut requests = snapshot.templates[workload.template.unwrap_or(0)].requests.clone();
            let factor = pick(rng, &[0.5, 0.75, 1.5, 2.0]);
            requests.set(CPU, (requests.get(CPU) as f64 * factor) as i64);
            change.requests = Some(requests);
        }
        2 => change.menu = Some(menu(rng, session, workload)),
        3 => {
            // What a controller makes where replicas are wanted that have no pod yet; they wait.
            let template = workload.template.unwrap_or(0);
            let name = |number: usize| format!("{}-came-{number:05}-{}", workload.id.name, snapshot.pods.len());
            let new = |number: usize| Pod::plain(workload.id.clone(), &name(number), template, None);
            change.came = (0..rng.random_range(1..20)).map(new).collect();
            change.replicas = Some((own().count() + change.came.len()) as u32);
        }
        4 => change.gone = own().filter(|_| rng.random_bool(0.1)).map(|pod| pod.name.clone()).collect(),
        _ => change.ready = own().filter(|_| rng.random_bool(0.2)).map(|pod| (pod.name.clone(), false)).collect(),
    }
    change
}

/// Five choices: what stands, fewer large pods and more small ones.
fn menu(rng: &mut Pcg64Mcg, session: &Session, workload: &Workload) -> Menu {
    let own = &session.snapshot().templates[workload.template.unwrap_or(0)].requests;
    let entries = [1.0, 0.5, 0.8, 1.25, 2.0].into_iter().map(|factor| {
        let mut requests = own.clone();
        for name in [CPU, MEMORY] {
            requests.set(name, (own.get(name) as f64 / factor) as i64);
        }
        MenuEntry {
            replicas: ((f64::from(workload.replicas) * factor).round() as u32).max(1),
            requests,
            risk: None,
            risk_cost_per_hour: rng.random_range(0.0..0.2),
            basis: Basis::Declared { reason: DeclaredReason::Current },
        }
    });
    let mut seen = Vec::new();
    let mut entries: Vec<MenuEntry> = entries.collect();
    entries.retain(|e| {
        let choice = (e.replicas, e.requests.clone());
        let new = !seen.contains(&choice);
        seen.push(choice);
        new
    });
    Menu { workload: workload.id.clone(), entries, current: Some(0) }
}

fn show(what: &str, certificate: &Certificate) {
    println!(
        "{what}: {:.2} an hour, bound {:.2}, gap {:.2} %, feasible {}",
        certificate.cost_per_hour,
        certificate.bound_per_hour,
        100.0 * certificate.gap,
        certificate.feasible
    );
}

fn show_times(kind: &str, mut ms: Vec<f64>) {
    ms.sort_by(f64::total_cmp);
    let at = |share: f64| ms[((ms.len() - 1) as f64 * share).round() as usize];
    println!(
        "{kind:<10} {:>5} changes: p50 {:>6.1} ms, p95 {:>6.1} ms, max {:>6.1} ms",
        ms.len(),
        at(0.5),
        at(0.95),
        at(1.0)
    );
}

fn main() {
    let numbers: Vec<f64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let number = |index: usize, usual: f64| numbers.get(index).copied().unwrap_or(usual);
    let (workloads, seconds) = (number(0, 2000.0) as usize, number(1, 60.0));
    let (changes, seed) = (number(2, 300.0) as usize, number(3, 1.0) as u64);
    let (snapshot, catalog) = cluster(workloads, seed);
    println!("{workloads} workloads, {} pods, {} nodes", snapshot.pods.len(), snapshot.nodes.len());
    let policy = default_policy();
    let stop = StopRule { time_limit: Duration::from_secs_f64(seconds), gap: 0.005, seed: 1, threads: 1 };
    let begun = Begun(Instant::now());
    let (mut session, cold) =
        Session::new(snapshot, catalog.clone(), policy.clone(), Vec::new(), &stop, &begun, &mut |_| ())
            .expect("prices are sound");
    println!("cold plan and session after {:.1} s, {:.2} GiB", begun.0.elapsed().as_secs_f64(), peak_gib());
    show("cold plan", &cold.certificate);
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let (mut worst_gap, mut infeasible, mut pods) = (0.0_f64, 0, 0);
    for number in 0..changes {
        let kind = number % KINDS.len();
        let change = change(&mut rng, &session, kind);
        let begun = Instant::now();
        let differs = session.change(&change).expect("a change that fits");
        let ms = 1e3 * begun.elapsed().as_secs_f64();
        times.entry(KINDS[kind]).or_default().push(ms);
        pods += differs.pods.len();
        worst_gap = worst_gap.max(differs.certificate.gap);
        infeasible += usize::from(!differs.certificate.feasible);
    }
    let all = times.values().flatten().copied().collect();
    for (kind, ms) in times {
        show_times(kind, ms);
    }
    show_times("all", all);
    println!(
        "largest gap {:.2} %, {infeasible} infeasible, {:.1} pods a change become something else",
        100.0 * worst_gap,
        pods as f64 / changes as f64
    );
    show("warm plan", session.certificate());
    let begun = Instant::now();
    let plan = session.plan();
    println!("written in full in {:.2} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let report = check(session.snapshot(), &catalog, &policy, session.menus(), &plan);
    let found = report.violations.len();
    println!("checked whole in {:.2} s: {found} violations", begun.elapsed().as_secs_f64());
    let away = report.cost.total() - session.certificate().unplaceable_per_hour - session.certificate().cost_per_hour;
    println!("its cost is {:.2e} away from the session's, {:.2} GiB", away.abs(), peak_gib());
    let begun = Begun(Instant::now());
    let (snapshot, menus) = (session.snapshot().clone(), session.menus().to_vec());
    let anew = plimsoll::optimize::plan(&snapshot, &catalog, &policy, &menus, &stop, &begun, &mut |_| ());
    let anew = anew.expect("prices are sound").certificate;
    show("planned anew", &anew);
    println!(
        "after {:.1} s; the warm plan costs {:+.3} % beside it",
        begun.0.elapsed().as_secs_f64(),
        100.0 * (session.certificate().cost_per_hour / anew.cost_per_hour - 1.0)
    );
}
