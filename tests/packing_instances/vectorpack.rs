//! The packing instances in `../shared/data` (Vectorpack's collection, MIT), read as problems with bins of price 1.

use std::collections::BTreeMap;
use std::path::Path;

use plimsoll::ingest::source::Source;
use plimsoll::optimize::patterns::{BinType, Item, PackingProblem};
use serde::Deserialize;

/// An instance and what is published of it.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    /// Set and class, e.g. `Panigrahy class6`.
    pub(crate) family: String,
    /// Name within the set.
    pub(crate) name: String,
    /// What to pack.
    pub(crate) problem: PackingProblem,
    /// Fewest bins; `None` where nobody knows.
    pub(crate) optimum: Option<u64>,
    /// Fewest bins found by the published heuristics.
    pub(crate) best_heuristic: u64,
}

#[derive(Deserialize)]
struct Line {
    instance: String,
    set: String,
    capacity: Vec<i64>,
    items: Vec<Size>,
    optimum: i64,
    best_heuristic: u64,
}

#[derive(Deserialize)]
struct Size {
    size: Vec<i64>,
    count: u32,
}

/// All instances, in the order of the file; `None`, with the reason printed, where the file is missing.
pub(crate) fn instances() -> Option<Vec<Instance>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/vector_bin_packing.jsonl.gz");
    if !path.exists() {
        println!("skipped: ../shared/data/vector_bin_packing.jsonl.gz is missing");
        return None;
    }
    let source = Source::read(&path).expect("readable instances");
    let lines = source.text().expect("text").lines();
    Some(lines.map(|line| instance(serde_json::from_str(line).expect("an instance a line"))).collect())
}

fn instance(line: Line) -> Instance {
    let mut counts: BTreeMap<Vec<i64>, u32> = BTreeMap::new();
    for item in line.items {
        *counts.entry(item.size).or_default() += item.count;
    }
    // No item is ever worth leaving out: each fits into a bin of price 1.
    let items = counts.into_iter().map(|(size, count)| Item { size, count, unplaced_price: 1000 }).collect();
    let class = line.instance.split('_').next().unwrap_or_default();
    Instance {
        family: format!("{} {class}", line.set),
        problem: PackingProblem {
            items,
            bins: vec![BinType { capacity: line.capacity, price: 1, available: None, at_most: Vec::new() }],
        },
        name: line.instance,
        optimum: u64::try_from(line.optimum).ok(),
        best_heuristic: line.best_heuristic,
    }
}
