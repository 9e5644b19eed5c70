//! Pods of a real GPU cluster placed one by one: Alibaba's `OpenB` traces of 2023, replayed as their authors do. The nodes with
//! GPUs only; the trace's pods in a random order, then more of them drawn at random until they ask for 130 % of the GPUs;
//! a pod that fits nowhere is lost. Ten seeds. The share of all GPUs allocated at the end is printed beside the time, with
//! what Weng et al. (ATC 2023) published for their rule.
//!
//! The rule knows the mix of pods, as theirs does, or learns it from those that came. The ceiling is a linear program over
//! kinds of nodes that knows all pods beforehand and lets them run in parts: no rule of any kind allocates more.
#![expect(clippy::print_stdout, reason = "quality is printed beside time")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use good_lp::{Expression, ProblemVariables, Solution, SolverModel, highs, variable};
use plimsoll::ingest::Source;
use plimsoll::optimize::online::{Demand, Fleet, Futures, Room};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

const SEEDS: std::ops::Range<u64> = 42..52;
/// What is asked for in all, over what there is.
const LOAD: f64 = 1.3;
/// Pods between two looks at the mix that came so far.
const LEARN_EVERY: usize = 250;
/// Trace, and the published share of GPUs allocated by fragmentation gradient descent, percent.
const TRACES: [(&str, f64); 5] =
    [("default", 95.39), ("cpu050", 95.21), ("gpushare40", 94.15), ("multigpu20", 95.65), ("gpuspec10", 94.95)];

struct Trace {
    rooms: Vec<Room>,
    pods: Vec<Demand>,
}

impl Trace {
    fn read(folder: &Path, name: &str) -> Option<Self> {
        let nodes = table(&folder.join("openb_node_list_gpu_node.csv.gz"))?;
        let mut models: Vec<String> = nodes.iter().map(|node| node["model"].clone()).collect();
        models.sort_unstable();
        models.dedup();
        let number = |row: &BTreeMap<String, String>, column: &str| -> i64 {
            row.get(column).filter(|text| !text.is_empty()).map_or(0, |text| text.parse().expect("a whole number"))
        };
        let rooms = nodes
            .iter()
            .map(|node| Room {
                amounts: vec![number(node, "cpu_milli"), number(node, "memory_mib")],
                devices: vec![1000; usize::try_from(number(node, "gpu")).expect("a count")],
                class: models.binary_search(&node["model"]).expect("listed"),
            })
            .collect();
        let pods = table(&folder.join(format!("openb_pod_list_{name}.csv.gz")))?
            .iter()
            .map(|pod| {
                let devices = usize::try_from(number(pod, "num_gpu")).expect("a count");
                let share = if devices > 1 { 1000 } else { number(pod, "gpu_milli") };
                let wanted = pod.get("gpu_spec").filter(|spec| !spec.is_empty());
                Demand {
                    amounts: vec![number(pod, "cpu_milli"), number(pod, "memory_mib")],
                    devices,
                    share,
                    classes: wanted.map(|s| s.split('|').filter_map(|m| models.iter().position(|o| o == m)).collect()),
                    worth: devices as f64 * share as f64,
                }
            })
            .collect();
        Some(Self { rooms, pods })
    }

    fn gpus(&self) -> f64 {
        self.rooms.iter().flat_map(|room| &room.devices).map(|device| *device as f64).sum()
    }

    /// The pods in the order they come.
    fn arrivals(&self, seed: u64) -> Vec<Demand> {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let mut pods = self.pods.clone();
        pods.shuffle(&mut random);
        let mut asked: f64 = pods.iter().map(|pod| pod.worth).sum();
        while asked < LOAD * self.gpus() {
            let pod = pods[random.random_range(0..self.pods.len())].clone();
            asked += pod.worth;
            pods.push(pod);
        }
        pods
    }
}

/// Rows of a CSV file by column; no field of these has a comma in it.
fn table(path: &Path) -> Option<Vec<BTreeMap<String, String>>> {
    let source = Source::read(path).ok()?;
    let mut lines = source.text().ok()?.lines();
    let columns: Vec<&str> = lines.next()?.split(',').collect();
    let row = |line: &str| columns.iter().zip(line.split(',')).map(|(c, v)| ((*c).to_owned(), v.to_owned())).collect();
    Some(lines.map(row).collect())
}

/// Each kind of pod with how many there are.
fn mix(pods: &[Demand]) -> Vec<(Demand, f64)> {
    let mut kinds: BTreeMap<String, (Demand, f64)> = BTreeMap::new();
    for pod in pods {
        kinds.entry(format!("{pod:?}")).or_insert((pod.clone(), 0.0)).1 += 1.0;
    }
    kinds.into_values().collect()
}

/// Share of the GPUs allocated in the end.
fn replay(trace: &Trace, seed: u64, learn: bool) -> f64 {
    let known = if learn { Vec::new() } else { mix(&trace.pods) };
    let mut fleet = Fleet::new(trace.rooms.clone(), Futures::of(known, seed));
    let arrivals = trace.arrivals(seed);
    let mut allocated = 0.0;
    for (came, pod) in arrivals.iter().enumerate() {
        if learn && came > 0 && came % LEARN_EVERY == 0 {
            fleet.expect(Futures::of(mix(&arrivals[..came]), seed));
        }
        if fleet.place(pod).is_some() {
            allocated += pod.worth;
        }
    }
    allocated / trace.gpus()
}

/// What no rule exceeds: pods in parts, on all nodes of a kind together.
fn ceiling(trace: &Trace, seed: u64) -> f64 {
    let mut kinds: BTreeMap<Room, f64> = BTreeMap::new();
    for room in &trace.rooms {
        *kinds.entry(room.clone()).or_insert(0.0) += 1.0;
    }
    let mut variables = ProblemVariables::new();
    let mut allocated = Expression::default();
    let mut used = vec![[Expression::default(), Expression::default(), Expression::default()]; kinds.len()];
    let mut limits = Vec::new();
    for (pod, count) in mix(&trace.arrivals(seed)) {
        let mut placed = Expression::default();
        for (kind, room) in kinds.keys().enumerate().filter(|(_, room)| room.tightest(&pod).is_some()) {
            let part = variables.add(variable().min(0.0));
            let _ = room;
            placed += part;
            allocated += pod.worth * part;
            used[kind][0] += pod.amounts[0] as f64 * part;
            used[kind][1] += pod.amounts[1] as f64 * part;
            used[kind][2] += pod.worth * part;
        }
        limits.push(placed.leq(count));
    }
    let mut model = variables.maximise(allocated.clone()).using(highs);
    for limit in limits {
        model.add_constraint(limit);
    }
    for ((room, nodes), used) in kinds.iter().zip(used) {
        let gpus: i64 = room.devices.iter().sum();
        for (used, room) in used.into_iter().zip([room.amounts[0], room.amounts[1], gpus]) {
            model.add_constraint(used.leq(nodes * room as f64));
        }
    }
    model.solve().map_or(f64::NAN, |solution| solution.eval(allocated)) / trace.gpus()
}

fn main() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/openb");
    println!("share of GPUs allocated, mean of {} seeds (least to most)", SEEDS.end - SEEDS.start);
    println!(
        "{:<12} {:>22} {:>22} {:>10} {:>9} {:>12}",
        "trace", "mix known", "mix learnt", "published", "ceiling", "seconds a run"
    );
    for (name, published) in TRACES {
        let Some(trace) = Trace::read(&folder, name) else {
            println!("{name:<12} left out: {} has no such trace", folder.display());
            continue;
        };
        let begun = Instant::now();
        let shares = |learn| -> String {
            let shares: Vec<f64> = SEEDS.map(|seed| 100.0 * replay(&trace, seed, learn)).collect();
            let mean = shares.iter().sum::<f64>() / shares.len() as f64;
            let (least, most) = shares.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), s| (a.min(*s), b.max(*s)));
            format!("{mean:.2} ({least:.2}–{most:.2})")
        };
        let (known, learnt) = (shares(false), shares(true));
        let seconds = begun.elapsed().as_secs_f64() / (2 * (SEEDS.end - SEEDS.start)) as f64;
        let most = 100.0 * SEEDS.map(|seed| ceiling(&trace, seed)).sum::<f64>() / (SEEDS.end - SEEDS.start) as f64;
        println!("{name:<12} {known:>22} {learnt:>22} {published:>10.2} {most:>9.2} {seconds:>12.1}");
    }
}
