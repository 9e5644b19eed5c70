//! The joint model by size and seed: services × node types × zones, with menus, spread, host exclusion and limits on
//! moves, on the nodes of today and those that can be bought. Prints cost, bound and gaps beside the time.
//!
//! `cargo bench --bench optimize -- --solve SERVICESxTYPESxZONES-SEED…` solves only these, whatever their size and seed;
//! `… -- --export FOLDER SERVICESxTYPESxZONES-SEED…` writes their programs in MPS, for other solvers.

#![expect(clippy::print_stdout, reason = "quality is printed beside time")]

#[path = "optimize/joint.rs"]
mod joint;
#[path = "optimize/mps.rs"]
mod mps;

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use plimsoll::domain::clock::{Clock, StopRule};
use plimsoll::optimize;

use joint::{Size, joint, policy};

const SIZES: [Size; 3] = [
    Size { services: 50, types: 20, zones: 3 },
    Size { services: 200, types: 20, zones: 3 },
    Size { services: 500, types: 30, zones: 3 },
];
const SEEDS: [u64; 3] = [1, 2, 3];
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Below what is asked for, so that the time limit shows what it is good for.
const GAP: f64 = 0.005;
const THREADS: usize = 2;

struct Begun(Instant);

impl Clock for Begun {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == "--export") {
        let folder = arguments.get(at + 1).expect("a folder");
        cases(&arguments[at + 2..]).for_each(|(size, seed)| export(Path::new(folder), size, seed));
        return;
    }
    if let Some(at) = arguments.iter().position(|a| a == "--solve") {
        print_header();
        cases(&arguments[at + 1..]).for_each(|(size, seed)| solve(size, seed));
        return;
    }
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let policy = policy();
    let mut group = criterion.benchmark_group("build");
    for size in SIZES {
        let case = joint(size, SEEDS[0]);
        group.bench_with_input(BenchmarkId::from_parameter(size), &case, |bencher, case| {
            bencher.iter(|| black_box(optimize::build(&case.snapshot, &case.catalog, &policy, &case.menus)));
        });
    }
    group.finish();
    print_header();
    for (size, seed) in SIZES.into_iter().flat_map(|size| SEEDS.map(|seed| (size, seed))) {
        solve(size, seed);
    }
}

fn print_header() {
    println!(
        "{:>9} {:>4} {:>6} {:>6} {:>9} {:>9} {:>7} {:>7} {:>7} {:>8} {:>8}",
        "size", "seed", "pods", "nodes", "cost", "bound", "model", "packing", "total", "first s", "seconds"
    );
}

/// Sizes and seeds of names such as `500x30x3-1`.
fn cases(names: &[String]) -> impl Iterator<Item = (Size, u64)> {
    let names = names.iter().take_while(|name| !name.starts_with("--"));
    names.map(|name| parse(name).unwrap_or_else(|| panic!("{name}: expected e.g. 500x30x3-1")))
}

fn parse(name: &str) -> Option<(Size, u64)> {
    let (size, seed) = name.split_once('-')?;
    let mut numbers = size.split('x').map(|number| number.parse().ok());
    let size = Size { services: numbers.next()??, types: numbers.next()??, zones: numbers.next()?? };
    Some((size, seed.parse().ok()?))
}

/// One run: what counts is the quality reached by the time.
fn solve(size: Size, seed: u64) {
    let case = joint(size, seed);
    let begun = Begun(Instant::now());
    let stop = StopRule { time_limit: TIME_LIMIT, gap: GAP, seed: 1, threads: THREADS };
    let mut first = None;
    let mut note = |progress: optimize::Progress| {
        if progress.cost_per_hour.is_some() {
            first.get_or_insert_with(|| begun.elapsed());
        }
    };
    let plan = optimize::plan(&case.snapshot, &case.catalog, &policy(), &case.menus, &stop, &begun, &mut note)
        .expect("prices are sound");
    let certificate = &plan.certificate;
    assert!(certificate.feasible, "{:?}", certificate.violations);
    println!(
        "{:>9} {:>4} {:>6} {:>6} {:>9.3} {:>9.3} {:>6.2}% {:>6.2}% {:>6.2}% {:>8.2} {:>8.1}",
        size.to_string(),
        seed,
        plan.placements.len(),
        case.snapshot.nodes.len(),
        certificate.cost_per_hour,
        certificate.bound_per_hour,
        100.0 * certificate.model_gap,
        100.0 * certificate.packing_gap,
        100.0 * certificate.gap,
        first.unwrap_or_default().as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
}

/// The program of one size and seed.
fn export(folder: &Path, size: Size, seed: u64) {
    let case = joint(size, seed);
    let problem = optimize::build(&case.snapshot, &case.catalog, &policy(), &case.menus);
    let path = folder.join(format!("{size}-{seed}.mps"));
    std::fs::write(&path, mps::mps(&problem)).expect("the folder can be written to");
    println!("{}", path.display());
}
