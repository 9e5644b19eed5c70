//! Packing instances with known optimum, by family: how many reach it, how many prove it, and the time beside.
//!
//!     cargo bench --bench packing                    # every tenth instance, at most 60 s each
//!     cargo bench --bench packing -- all 10          # all of them, at most 10 s each
//!     cargo bench --bench packing -- all 60 class6   # those whose family holds "class6"

#![expect(clippy::print_stdout, reason = "quality is printed beside time")]

#[path = "../tests/packing_instances/vectorpack.rs"]
mod vectorpack;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plimsoll::domain::clock::{Clock, StopRule};
use plimsoll::optimize::patterns::{Answer, check, solve};
use vectorpack::Instance;

/// Without `all`, one of so many instances.
const EVERY: usize = 10;

struct Wall(Instant);

impl Clock for Wall {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// What the command line asks for.
struct Wish {
    every: usize,
    time_limit: Duration,
    family: String,
}

impl Wish {
    fn read() -> Self {
        let mut wish = Self { every: EVERY, time_limit: Duration::from_mins(1), family: String::new() };
        for word in std::env::args().skip(1).filter(|word| !word.starts_with("--")) {
            match word.parse::<f64>() {
                Ok(seconds) => wish.time_limit = Duration::from_secs_f64(seconds),
                Err(_) if word == "all" => wish.every = 1,
                Err(_) => wish.family = word,
            }
        }
        wish
    }
}

/// Sums over a family.
#[derive(Default)]
struct Row {
    reached: usize,
    proven: usize,
    heuristics: usize,
    above: u64,
    seconds: Vec<f64>,
}

impl Row {
    fn add(&mut self, instance: &Instance, optimum: u64, answer: &Answer, seconds: f64) {
        self.reached += usize::from(answer.cost == optimum);
        self.proven += usize::from(answer.cost == answer.bound);
        self.heuristics += usize::from(instance.best_heuristic == optimum);
        self.above += answer.cost - optimum;
        self.seconds.push(seconds);
    }

    fn print(&mut self, name: &str) {
        self.seconds.sort_by(f64::total_cmp);
        let number = self.seconds.len();
        let at = |share: f64| self.seconds[((number - 1) as f64 * share).round() as usize];
        println!(
            "{name:<20} {number:>9} {:>7} {:>6} {:>10} {:>10} {:>8.2} {:>8.2}",
            self.reached,
            self.proven,
            self.heuristics,
            self.above,
            at(0.5),
            at(1.0)
        );
    }
}

fn main() {
    let wish = Wish::read();
    let Some(instances) = vectorpack::instances() else { return };
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut total = Row::default();
    let known = instances.iter().filter_map(|instance| Some((instance, instance.optimum?)));
    for (instance, optimum) in known.filter(|(i, _)| i.family.contains(&wish.family)).step_by(wish.every) {
        let start = Instant::now();
        let stop = StopRule { time_limit: wish.time_limit, gap: 0.0, seed: 1, threads: 1 };
        let answer = solve(&instance.problem, &stop, &Wall(start));
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(check(&instance.problem, &answer.packing), Ok(()), "{}", instance.name);
        assert!(answer.bound <= optimum && optimum <= answer.cost, "{}: {answer:?} for {optimum}", instance.name);
        if answer.cost > optimum {
            println!(
                "missed: {} {}: {} for {optimum}, bound {}, {seconds:.2} s",
                instance.family, instance.name, answer.cost, answer.bound
            );
        }
        rows.entry(instance.family.clone()).or_default().add(instance, optimum, &answer, seconds);
        total.add(instance, optimum, &answer, seconds);
    }
    println!(
        "{:<20} {:>9} {:>7} {:>6} {:>10} {:>10} {:>8} {:>8}",
        "family", "instances", "optimum", "proven", "heuristics", "bins above", "p50 s", "max s"
    );
    for (family, row) in &mut rows {
        row.print(family);
    }
    if !total.seconds.is_empty() {
        total.print("all");
    }
}
