//! The cost of a plan an hour, from prices and the policy alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::plan::{CostParts, NodeState, PlacementState};
use crate::domain::rules::INSTANCE_TYPE_LABEL;
use crate::domain::snapshot::{Pod, WorkloadId};
use crate::domain::{Menu, NodeOffer};

use super::after::{After, AfterNode, AfterWorkload, same_requests};
use super::{Given, Violation, preferences};

/// Least cores that a move is charged for.
const LEAST_MOVED_CORES: f64 = 0.1;

/// Most times its price that priority adds to an unplaced pod's.
const MOST_PRIORITY_FACTOR: f64 = 1e3;

pub(super) fn recompute(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) -> CostParts {
    let prices = Prices::new(given, after);
    CostParts {
        nodes: after.nodes.iter().fold(0.0, |sum, n| sum + node(given, n, violations)),
        risk: after.workloads.iter().fold(0.0, |sum, workload| sum + prices.risk(workload)),
        change: change(given, after),
        unplaced: after.workloads.iter().fold(0.0, |sum, workload| sum + prices.unplaced(workload)),
        preferences: preferences::price(given, after),
    }
}

/// Price of a node kept or bought: that of the offer that the plan names, which must fit the node. Where the plan
/// names none and none fits, the price is the plan's own estimate.
pub(super) fn node(given: &Given<'_>, node: &AfterNode<'_>, violations: &mut Vec<Violation>) -> f64 {
    let stated = node.plan.price_per_hour;
    let sold = |o: &&NodeOffer| o.capacity_type == node.capacity_type && o.zones.iter().any(|z| z == node.zone);
    let mut fitting = given.catalog.offers.iter().filter(sold).filter(|offer| is_of_type(offer, node));
    let named = fitting.clone().find(|offer| offer.name == node.plan.offer);
    let price = match named {
        Some(offer) => Some(offer.price_per_hour),
        // Nodes without a type may be like an offer or not; only their maker can tell.
        None if fitting.any(|_| node.now.is_none_or(|now| !now.instance_type.is_empty())) => None,
        None => Some(stated),
    };
    let right = price.is_some_and(|price| (stated - price).abs() <= 1e-9 * price.abs().max(1.0));
    if !right || !stated.is_finite() || stated < 0.0 {
        violations.push(Violation::Price { node: node.name.to_owned(), offer: node.plan.offer.clone() });
    }
    price.unwrap_or(stated)
}

/// Whether a node is of an offer's type: by the offer's name or its type label; one that is bought, by name.
fn is_of_type(offer: &NodeOffer, node: &AfterNode<'_>) -> bool {
    let Some(now) = node.now else { return offer.name == node.plan.offer };
    let label = offer.labels.get(INSTANCE_TYPE_LABEL).map_or("", String::as_str);
    label == now.instance_type || offer.name == now.instance_type
}

/// Moves by the cores that the pod asks for now, those of pods that make room for others among them, and nodes bought or removed, spread over the policy's hours.
fn change(given: &Given<'_>, after: &After<'_>) -> f64 {
    let costs = &given.policy.costs;
    let moved = after.pods.iter().filter(|p| p.state == PlacementState::Move);
    let evicted = moved.map(|pod| pod.template).chain(after.victims.iter().map(|pod| pod.template));
    let moves = evicted.fold(0.0, |sum, template| sum + one_move(given, after, template));
    let changes = given.plan.nodes.iter().filter(|n| n.state != NodeState::Keep).count();
    (moves + costs.node_change * changes as f64) / costs.amortise_hours
}

/// What moving a pod of the template costs, once.
pub(super) fn one_move(given: &Given<'_>, after: &After<'_>, template: usize) -> f64 {
    let requests = after.templates.get(template).map(|t| &t.requests);
    requests.map_or(0.0, |requests| {
        given.policy.costs.move_per_core * (requests.cpu_millis() as f64 / 1000.0).max(LEAST_MOVED_CORES)
    })
}

/// What prices workloads by.
pub(super) struct Prices<'a> {
    given: &'a Given<'a>,
    after: &'a After<'a>,
    menus: BTreeMap<&'a WorkloadId, &'a Menu>,
    /// Templates of pods that exist and have no node when the plan is done.
    waiting: BTreeMap<&'a WorkloadId, Vec<usize>>,
}

impl<'a> Prices<'a> {
    pub(super) fn new(given: &'a Given<'a>, after: &'a After<'a>) -> Self {
        let waits = |pod: &&Pod| !after.is_bound(pod) && !pod.deleting;
        let mut waiting: BTreeMap<&WorkloadId, Vec<usize>> = BTreeMap::new();
        if given.snapshot.pods.iter().any(|pod| waits(&pod)) {
            let gone = given.plan.removals.iter().map(|r| (r.namespace.as_str(), r.pod.as_str()));
            let placed = given.plan.placements.iter().filter(|p| p.state == PlacementState::New);
            let placed = placed.map(|p| (p.namespace.as_str(), p.pod.as_str()));
            let settled: BTreeSet<(&str, &str)> = gone.chain(placed).collect();
            for pod in given.snapshot.pods.iter().filter(waits) {
                if !settled.contains(&(pod.namespace.as_str(), pod.name.as_str())) {
                    waiting.entry(&pod.workload).or_default().push(pod.template);
                }
            }
        }
        for victim in &after.victims {
            waiting.entry(&victim.workload).or_default().push(victim.template);
        }
        Self { given, after, menus: given.menus.iter().map(|m| (&m.workload, m)).collect(), waiting }
    }

    /// Risk of the entry chosen, as its menu prices it.
    pub(super) fn risk(&self, workload: &AfterWorkload<'_>) -> f64 {
        let chosen = workload.plan.and_then(|plan| {
            let entries = &self.menus.get(&workload.now.id)?.entries;
            entries.iter().find(|e| e.replicas == plan.replicas && same_requests(&e.requests, &plan.requests))
        });
        chosen.map_or(0.0, |entry| entry.risk_cost_per_hour)
    }

    /// Pods without a node, dearer with their priority: pods that exist by their own, those to come by their workload's.
    pub(super) fn unplaced(&self, workload: &AfterWorkload<'_>) -> f64 {
        let price = |template: Option<usize>| {
            let template = template.and_then(|t| self.after.templates.get(t));
            let priority = f64::from(template.map_or(0, |t| t.priority).max(0));
            self.given.policy.costs.unplaced_per_hour * (1.0 + (priority / 1000.0).min(MOST_PRIORITY_FACTOR))
        };
        let count = workload.unplaced as usize;
        let waiting = self.waiting.get(&workload.now.id).map_or(&[][..], Vec::as_slice);
        let to_come = count.saturating_sub(waiting.len());
        let of_waiting: f64 = waiting.iter().take(count).map(|template| price(Some(*template))).sum();
        of_waiting + price(workload.now.template) * to_come as f64
    }
}
