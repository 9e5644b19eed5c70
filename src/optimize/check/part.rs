//! The same judgement of a part of a cluster: for a plan of which little differs from one that was judged whole.
//!
//! A part is a snapshot and a plan cut to some nodes and pods. Of a *whole* workload every pod is in it; of others only
//! those on nodes that were looked at because something on them differs. The caller cuts so that every rule about pods of
//! whole workloads finds in the part all the pods and domains it looks at; what limits the cluster as a whole comes as
//! numbers. Nothing found then means that nothing would be found in the whole, if nothing was before.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::plan::{CostParts, PlacementState, Plan};
use crate::domain::snapshot::{Snapshot, WorkloadId};
use crate::domain::{Catalog, Menu, Policy};

pub(crate) use super::policy::Stock;
pub(crate) use super::quotas::Charged;
use super::{
    Given, Violation, accounts, after, budgets, cost, fit, gangs, policy as rules_of_policy, preemption, relations,
};

/// A part of a cluster and of its plan.
pub(crate) struct Part<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) plan: &'a Plan,
    pub(crate) menus: &'a [Menu],
    /// Workloads of which every pod is in it.
    pub(crate) whole: &'a BTreeSet<WorkloadId>,
}

/// What one workload adds to the costs, and how many of its pods move or make room for others.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct WorkloadCost {
    /// Without prices of nodes.
    pub(crate) cost: CostParts,
    pub(crate) moves: u32,
}

/// What was found in a part.
pub(crate) struct PartReport {
    /// Every rule broken in it, limits of the whole cluster apart.
    pub(crate) violations: Vec<Violation>,
    /// Of the whole workloads.
    pub(crate) workloads: BTreeMap<WorkloadId, WorkloadCost>,
    /// Price an hour of each node that is there when the plan is done, by name.
    pub(crate) nodes: BTreeMap<String, f64>,
}

/// Numbers about the whole cluster that limits are about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    /// Pods that move or make room for others, and pods that could.
    pub(crate) moves: u32,
    pub(crate) movable: u32,
    /// Nodes given back, and nodes that stand.
    pub(crate) drains: u32,
    pub(crate) nodes: u32,
}

/// Judges the part.
pub(crate) fn check_part(catalog: &Catalog, policy: &Policy, part: &Part<'_>) -> PartReport {
    let given = Given { snapshot: part.snapshot, catalog, policy, menus: part.menus, plan: part.plan };
    let mut violations = Vec::new();
    let after = after::rebuild(&given, &mut violations);
    accounts::check(&given, &after, &mut violations);
    fit::check(&after, &mut violations);
    relations::check(&given, &after, &mut violations);
    rules_of_policy::check_places(&given, &after, &mut violations);
    budgets::check(&given, &after, &mut violations);
    gangs::check(&given, &after, &mut violations);
    preemption::check(&given, &after, &mut violations);
    let whole: BTreeSet<String> = part.whole.iter().map(ToString::to_string).collect();
    violations.retain(|violation| judged_by_workload(violation).is_none_or(|workload| whole.contains(workload)));
    let nodes = after.nodes.iter().map(|node| (node.name.to_owned(), cost::node(&given, node, &mut violations)));
    let nodes = nodes.collect();
    let mut workloads: BTreeMap<WorkloadId, WorkloadCost> = BTreeMap::new();
    let moved = after.pods.iter().filter(|pod| pod.state == PlacementState::Move);
    let moved = moved.filter_map(|pod| Some((&after.workloads.get(pod.workload)?.now.id, pod.template)));
    let preempted = after.victims.iter().map(|pod| (&pod.workload, pod.template));
    for (workload, template) in moved.chain(preempted) {
        let sums = workloads.entry(workload.clone()).or_default();
        sums.moves += 1;
        sums.cost.change += cost::one_move(&given, &after, template) / policy.costs.amortise_hours;
    }
    let prices = cost::Prices::new(&given, &after);
    for workload in after.workloads.iter().filter(|w| part.whole.contains(&w.now.id)) {
        let sums = workloads.entry(workload.now.id.clone()).or_default();
        sums.cost.risk = prices.risk(workload);
        sums.cost.unplaced = prices.unplaced(workload);
    }
    workloads.retain(|id, _| part.whole.contains(id));
    violations.sort();
    violations.dedup();
    PartReport { violations, workloads, nodes }
}

/// What the limits of the policy on the whole cluster are broken by.
pub(crate) fn check_totals(policy: &Policy, totals: Totals) -> Vec<Violation> {
    let mut violations = Vec::new();
    rules_of_policy::limits(policy, totals, &mut violations);
    violations
}

/// Quotas of namespaces that are broken.
pub(crate) fn check_charges<'a>(charged: impl IntoIterator<Item = Charged<'a>>) -> Vec<Violation> {
    charged.into_iter().filter_map(Charged::judge).collect()
}

/// Quotas of offers that nodes bought go beyond.
pub(crate) fn check_quotas<'a>(catalog: &Catalog, stock: &(impl Iterator<Item = Stock<'a>> + Clone)) -> Vec<Violation> {
    let mut violations = Vec::new();
    rules_of_policy::quotas(catalog, stock, &mut violations);
    violations
}

/// The workload of a rule that looks at all of its pods; `None` of rules about single pods, nodes and domains.
fn judged_by_workload(violation: &Violation) -> Option<&str> {
    match violation {
        Violation::NotOnMenu { workload, .. }
        | Violation::ChangedWithoutMenu { workload }
        | Violation::ReplicaBounds { workload, .. }
        | Violation::RequestBounds { workload, .. }
        | Violation::ReplicaCount { workload, .. }
        | Violation::NeedlessRemoval { workload, .. }
        | Violation::PolicySpread { workload, .. }
        | Violation::SpotShare { workload, .. }
        | Violation::ZoneLoss { workload, .. }
        | Violation::Unavailable { workload, .. } => Some(workload),
        _ => None,
    }
}
