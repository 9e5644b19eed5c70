//! Two plans side by side: what each costs and proves, which rules hold it, and where they decide otherwise.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{API_VERSION, PlanDocument, Quantities, WorkloadDocument};
use crate::domain::CapacityType;
use crate::domain::plan::{CostParts, Stopped};

/// A value of the first plan and of the second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pair<T> {
    /// Of the first plan.
    pub first: T,
    /// Of the second plan.
    pub second: T,
}

impl<T> Pair<T> {
    fn of(first: T, second: T) -> Self {
        Self { first, second }
    }
}

impl<T: PartialEq> Pair<T> {
    /// Whether the two differ.
    pub fn differs(&self) -> bool {
        self.first != self.second
    }
}

/// Two plans, compared. Lists hold only what differs, except `rules`, which holds every rule that binds in either.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// [`API_VERSION`].
    pub api_version: &'static str,
    /// `PlanComparison`.
    pub kind: &'static str,
    /// Parts of the cost an hour.
    pub cost: Pair<CostParts>,
    /// What no plan under the same policy can undercut, an hour.
    pub bound_per_hour: Pair<f64>,
    /// (cost − bound) / cost.
    pub gap: Pair<f64>,
    /// Every hard rule holds.
    pub feasible: Pair<bool>,
    /// Why each search ended.
    pub stopped: Pair<Stopped>,
    /// Pods without a node when the plan is done.
    pub unplaced_pods: Pair<usize>,
    /// Running pods that move.
    pub moves: Pair<usize>,
    /// Running pods that are stopped to make room for others.
    pub preempted_pods: Pair<usize>,
    /// Rules that bind: what one unit more would save an hour, `null` where it does not bind.
    pub rules: Vec<RuleDifference>,
    /// What the checker found broken in one plan only.
    pub violations: Pair<Vec<String>>,
    /// Workloads that get other replicas or requests.
    pub workloads: Vec<WorkloadDifference>,
    /// Nodes that stand when the plan is done, where their number differs.
    pub nodes: Vec<NodeDifference>,
    /// Pods that both plans place, on different nodes.
    pub placed_elsewhere: usize,
    /// Why the costs may not be held against each other; empty where they may.
    pub cautions: Vec<String>,
}

/// A rule that binds in one of the plans.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleDifference {
    /// Name of the rule.
    pub rule: String,
    /// What one unit is.
    pub unit: String,
    /// What one unit more would save an hour.
    pub saves_per_hour: Pair<Option<f64>>,
}

/// A workload that the plans decide otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadDifference {
    /// Namespace.
    pub namespace: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Replicas; `null` where the plan does not know the workload.
    pub replicas: Pair<Option<u32>>,
    /// Requests of one pod.
    pub requests: Pair<Option<Quantities>>,
    /// Probability that the objective is broken within the lead time.
    pub risk: Pair<Option<f64>>,
}

/// Nodes of one offer in one zone.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeDifference {
    /// Offer.
    pub offer: String,
    /// Zone; empty where there is none.
    pub zone: String,
    /// Spot or on-demand.
    pub capacity_type: CapacityType,
    /// How many.
    pub count: Pair<usize>,
    /// What they cost an hour together.
    pub price_per_hour: Pair<f64>,
}

impl Comparison {
    /// Compares two plans.
    #[must_use]
    pub fn of(first: &PlanDocument, second: &PlanDocument) -> Self {
        let both = |value: &dyn Fn(&PlanDocument) -> f64| Pair::of(value(first), value(second));
        Self {
            api_version: API_VERSION,
            kind: "PlanComparison",
            cost: Pair::of(first.certificate.cost, second.certificate.cost),
            bound_per_hour: both(&|d| d.certificate.bound_per_hour),
            gap: both(&|d| d.certificate.gap),
            feasible: Pair::of(first.certificate.feasible, second.certificate.feasible),
            stopped: Pair::of(first.certificate.stopped, second.certificate.stopped),
            unplaced_pods: Pair::of(first.unplaced_pods(), second.unplaced_pods()),
            moves: Pair::of(moves(first), moves(second)),
            preempted_pods: Pair::of(first.preempted.len(), second.preempted.len()),
            rules: rules(first, second),
            violations: violations(first, second),
            workloads: workloads(first, second),
            nodes: nodes(first, second),
            placed_elsewhere: placed_elsewhere(first, second),
            cautions: cautions(first, second),
        }
    }

    /// Indented JSON with a line feed at its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings, finite numbers and lists: nothing that JSON cannot hold.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_else(|error| error.to_string());
        text.push('\n');
        text
    }
}

fn moves(document: &PlanDocument) -> usize {
    document.workloads.iter().map(|workload| workload.moves as usize).sum()
}

fn rules(first: &PlanDocument, second: &PlanDocument) -> Vec<RuleDifference> {
    let of = |document: &PlanDocument| -> BTreeMap<(String, String), f64> {
        document.binding.iter().map(|b| ((b.rule.clone(), b.unit.clone()), b.saves_per_hour)).collect()
    };
    let (first, second) = (of(first), of(second));
    let names: BTreeSet<&(String, String)> = first.keys().chain(second.keys()).collect();
    let mut rules: Vec<RuleDifference> = names
        .into_iter()
        .map(|key| RuleDifference {
            rule: key.0.clone(),
            unit: key.1.clone(),
            saves_per_hour: Pair::of(first.get(key).copied(), second.get(key).copied()),
        })
        .collect();
    let most = |rule: &RuleDifference| {
        let Pair { first, second } = rule.saves_per_hour;
        first.unwrap_or(0.0).max(second.unwrap_or(0.0))
    };
    // The sort is stable: equal rules stay in the order of their names.
    rules.sort_by(|a, b| most(b).total_cmp(&most(a)));
    rules
}

fn violations(first: &PlanDocument, second: &PlanDocument) -> Pair<Vec<String>> {
    let only = |ours: &PlanDocument, theirs: &PlanDocument| {
        let theirs: BTreeSet<&String> = theirs.certificate.violations.iter().collect();
        ours.certificate.violations.iter().filter(|v| !theirs.contains(v)).cloned().collect()
    };
    Pair::of(only(first, second), only(second, first))
}

fn workloads(first: &PlanDocument, second: &PlanDocument) -> Vec<WorkloadDifference> {
    type Key<'d> = (&'d str, &'d str, &'d str);
    fn of(document: &PlanDocument) -> BTreeMap<Key<'_>, &WorkloadDocument> {
        document.workloads.iter().map(|w| ((&*w.namespace, &*w.kind, &*w.name), w)).collect()
    }
    let (first, second) = (of(first), of(second));
    let keys: BTreeSet<&Key<'_>> = first.keys().chain(second.keys()).collect();
    let difference = |key: &Key<'_>| {
        let pair = Pair::of(first.get(key).copied(), second.get(key).copied());
        let difference = WorkloadDifference {
            namespace: key.0.to_owned(),
            kind: key.1.to_owned(),
            name: key.2.to_owned(),
            replicas: Pair::of(pair.first.map(|w| w.replicas), pair.second.map(|w| w.replicas)),
            requests: Pair::of(pair.first.map(|w| w.requests.clone()), pair.second.map(|w| w.requests.clone())),
            risk: Pair::of(pair.first.and_then(|w| w.risk), pair.second.and_then(|w| w.risk)),
        };
        (difference.replicas.differs() || difference.requests.differs()).then_some(difference)
    };
    keys.into_iter().filter_map(difference).collect()
}

fn nodes(first: &PlanDocument, second: &PlanDocument) -> Vec<NodeDifference> {
    type Key<'d> = (&'d str, &'d str, CapacityType);
    fn of(document: &PlanDocument) -> BTreeMap<Key<'_>, (usize, f64)> {
        let mut nodes = BTreeMap::new();
        for node in document.nodes_then() {
            let (count, price) =
                nodes.entry((&*node.offer, &*node.zone, node.capacity_type)).or_insert((0_usize, 0.0_f64));
            *count += 1;
            *price += node.price_per_hour;
        }
        nodes
    }
    let (first, second) = (of(first), of(second));
    let keys: BTreeSet<&Key<'_>> = first.keys().chain(second.keys()).collect();
    let none = (0, 0.0);
    let difference = |key: &Key<'_>| {
        let (first, second) = (*first.get(key).unwrap_or(&none), *second.get(key).unwrap_or(&none));
        NodeDifference {
            offer: key.0.to_owned(),
            zone: key.1.to_owned(),
            capacity_type: key.2,
            count: Pair::of(first.0, second.0),
            price_per_hour: Pair::of(first.1, second.1),
        }
    };
    keys.into_iter().map(difference).filter(|difference| difference.count.differs()).collect()
}

fn placed_elsewhere(first: &PlanDocument, second: &PlanDocument) -> usize {
    let nodes: BTreeMap<(&str, &str), &str> =
        first.placements.iter().map(|p| ((&*p.namespace, &*p.pod), &*p.node)).collect();
    let elsewhere = |p: &&crate::domain::plan::Placement| {
        nodes.get(&(&*p.namespace, &*p.pod)).is_some_and(|node| **node != *p.node)
    };
    second.placements.iter().filter(elsewhere).count()
}

/// Two costs answer the same question only on the same cluster, prices and policy.
fn cautions(first: &PlanDocument, second: &PlanDocument) -> Vec<String> {
    let mut cautions = Vec::new();
    if first.cluster != second.cluster {
        cautions.push("The plans were made of different clusters, or of one at different times.".to_owned());
    }
    if first.policy != second.policy {
        let name = |document: &PlanDocument| document.policy.name.clone();
        cautions.push(format!("The plans follow different policies: {} and {}.", name(first), name(second)));
    }
    if first.packing.is_some() != second.packing.is_some() {
        cautions.push("One plan fills nodes by what pods use, the other by what they request.".to_owned());
    }
    if first.certificate.prices != second.certificate.prices {
        cautions.push("One plan's prices are estimated, the other's are listed.".to_owned());
    }
    cautions
}
