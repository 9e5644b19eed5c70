//! From rated candidates to a short menu.

use crate::domain::policy::Planning;
use crate::domain::snapshot::Workload;
use crate::domain::{Menu, MenuEntry, Resources};

/// Most entries on a menu: the model's size grows with their number.
const MOST_ENTRIES: usize = 8;

/// A choice with what its selection rests on.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// The choice.
    pub(super) entry: MenuEntry,
    /// Whether it meets the objective at the acceptable risk.
    pub(super) meets: bool,
    /// What it carries, in the deciding signal's unit.
    pub(super) carried: f64,
    /// What a surely broken objective costs an hour.
    pub(super) breach_cost_per_hour: f64,
    /// Stays whatever else there is: what stands today.
    pub(super) keep: bool,
}

/// The entries worth having, cheapest in resources first.
///
/// Candidates come in order of usefulness; of equal ones the first stays. Those that miss the objective stay only if
/// nothing meets it, and then only the one that comes closest; what stands today stays in any case. A choice goes where another needs no more replicas, no
/// larger pods and no more risk; with `replicas_matter` (zone loss) only one with as many replicas counts.
pub(super) fn select(candidates: Vec<Candidate>, planning: &Planning, replicas_matter: bool) -> Vec<MenuEntry> {
    let mut distinct: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if !distinct.iter().any(|other| same_choice(&other.entry, &candidate.entry)) {
            distinct.push(candidate);
        }
    }
    if distinct.iter().any(|c| c.meets) {
        distinct.retain(|c| c.meets || c.keep);
        // The owner said how much risk is acceptable. What stands today with more is priced as if the objective were
        // surely broken: it stays possible, its risk stays honest, and whatever meets the objective is cheaper.
        for missing in distinct.iter_mut().filter(|c| !c.meets) {
            missing.entry.risk_cost_per_hour = missing.breach_cost_per_hour;
        }
    } else {
        let closest =
            distinct.iter().map(|c| c.entry.clone()).zip(distinct.iter().map(|c| c.carried)).min_by(|a, b| {
                let risk = |entry: &MenuEntry| entry.risk.unwrap_or(1.0);
                risk(&a.0).total_cmp(&risk(&b.0)).then(b.1.total_cmp(&a.1))
            });
        if let Some((closest, _)) = closest {
            distinct.retain(|c| c.keep || same_choice(&c.entry, &closest));
        }
    }
    let kept: Vec<&Candidate> = distinct
        .iter()
        .enumerate()
        .filter(|(i, c)| {
            c.keep || !distinct.iter().enumerate().any(|(j, o)| i != &j && dominates(o, c, replicas_matter))
        })
        .map(|(_, c)| c)
        .take(MOST_ENTRIES)
        .collect();
    let mut entries: Vec<MenuEntry> = kept.into_iter().map(|c| c.entry.clone()).collect();
    sort_by_price(&mut entries, planning);
    entries
}

/// Cheapest in resources first.
pub(super) fn sort_by_price(entries: &mut [MenuEntry], planning: &Planning) {
    let price = |e: &MenuEntry| estimated_price(planning, e.replicas, &e.requests);
    entries.sort_by(|a, b| price(a).total_cmp(&price(b)).then_with(|| a.replicas.cmp(&b.replicas)));
}

/// The menu of a workload, with the index of the choice that changes nothing.
pub(super) fn menu(workload: &Workload, declared: &Resources, entries: Vec<MenuEntry>) -> Menu {
    let current = entries.iter().position(|e| e.replicas == workload.replicas && e.requests == *declared);
    Menu { workload: workload.id.clone(), entries, current }
}

pub(super) fn same_choice(a: &MenuEntry, b: &MenuEntry) -> bool {
    a.replicas == b.replicas && a.requests == b.requests
}

/// Whether every placement of `b` holds one of `a` with no more risk. Equal candidates were merged before.
fn dominates(a: &Candidate, b: &Candidate, replicas_matter: bool) -> bool {
    let fewer =
        if replicas_matter { a.entry.replicas == b.entry.replicas } else { a.entry.replicas <= b.entry.replicas };
    let smaller = a.entry.requests.iter().all(|(name, amount)| amount <= b.entry.requests.get(name));
    (a.meets || !b.meets && a.carried >= b.carried)
        && fewer
        && smaller
        && a.entry.risk.unwrap_or(1.0) <= b.entry.risk.unwrap_or(1.0)
}

/// What the resources would cost an hour at the policy's estimated prices; only the order matters.
fn estimated_price(planning: &Planning, replicas: u32, requests: &Resources) -> f64 {
    let cores = requests.cpu_millis() as f64 / 1000.0;
    let gib = requests.memory_bytes() as f64 / f64::from(1 << 30);
    f64::from(replicas) * (planning.estimate_per_core_hour * cores + planning.estimate_per_gib_hour * gib)
}
