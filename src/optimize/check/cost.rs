//! The cost of a plan an hour, from prices and the policy alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::plan::{CostParts, NodeState, PlacementState};
use crate::domain::rules::INSTANCE_TYPE_LABEL;
use crate::domain::snapshot::WorkloadId;
use crate::domain::{Menu, NodeOffer};

use super::after::{After, AfterNode, AfterWorkload, same_requests};
use super::{Given, Violation, preferences};

/// Least cores that a move is charged for.
const LEAST_MOVED_CORES: f64 = 0.1;

/// Most times its price that priority adds to an unplaced pod's.
const MOST_PRIORITY_FACTOR: f64 = 1e3;

pub(super) fn recompute(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) -> CostParts {
    CostParts {
        nodes: nodes(given, after, violations),
        risk: risk(given, after),
        change: change(given, after),
        unplaced: unplaced(given, after),
        preferences: preferences::price(given, after),
    }
}

/// Prices of the nodes kept and bought: that of the offer that the plan names, which must fit the node. Where the plan
/// names none and none fits, the price is the plan's own estimate.
fn nodes(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) -> f64 {
    let mut sum = 0.0;
    for node in &after.nodes {
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
        sum += price.unwrap_or(stated);
    }
    sum
}

/// Whether a node is of an offer's type: by the offer's name or its type label; one that is bought, by name.
fn is_of_type(offer: &NodeOffer, node: &AfterNode<'_>) -> bool {
    let Some(now) = node.now else { return offer.name == node.plan.offer };
    let label = offer.labels.get(INSTANCE_TYPE_LABEL).map_or("", String::as_str);
    label == now.instance_type || offer.name == now.instance_type
}

/// Risk of the entries chosen, as their menus price it.
fn risk(given: &Given<'_>, after: &After<'_>) -> f64 {
    let menus: BTreeMap<&WorkloadId, &Menu> = given.menus.iter().map(|m| (&m.workload, m)).collect();
    let of = |workload: &AfterWorkload<'_>| {
        let plan = workload.plan?;
        let entries = &menus.get(&workload.now.id)?.entries;
        let chosen =
            entries.iter().find(|e| e.replicas == plan.replicas && same_requests(&e.requests, &plan.requests))?;
        Some(chosen.risk_cost_per_hour)
    };
    after.workloads.iter().filter_map(of).fold(0.0, |sum, cost| sum + cost)
}

/// Moves by the cores that the pod asks for now, and nodes bought or removed, spread over the policy's hours.
fn change(given: &Given<'_>, after: &After<'_>) -> f64 {
    let costs = &given.policy.costs;
    let moved = after.pods.iter().filter(|p| p.state == PlacementState::Move);
    let cores = moved.filter_map(|p| after.templates.get(p.template)).map(|t| t.requests.cpu_millis() as f64 / 1000.0);
    let moves = cores.fold(0.0, |sum, cores| sum + costs.move_per_core * cores.max(LEAST_MOVED_CORES));
    let changes = given.plan.nodes.iter().filter(|n| n.state != NodeState::Keep).count();
    (moves + costs.node_change * changes as f64) / costs.amortise_hours
}

/// Pods without a node, dearer with their priority: pods that wait by their own, those to come by their workload's.
fn unplaced(given: &Given<'_>, after: &After<'_>) -> f64 {
    let gone = given.plan.removals.iter().map(|r| (r.namespace.as_str(), r.pod.as_str()));
    let placed = given.plan.placements.iter().map(|p| (p.namespace.as_str(), p.pod.as_str()));
    let settled: BTreeSet<(&str, &str)> = gone.chain(placed).collect();
    let mut waiting: BTreeMap<&WorkloadId, Vec<usize>> = BTreeMap::new();
    for pod in given.snapshot.pods.iter().filter(|pod| !after.is_bound(pod) && !pod.deleting) {
        if !settled.contains(&(pod.namespace.as_str(), pod.name.as_str())) {
            waiting.entry(&pod.workload).or_default().push(pod.template);
        }
    }
    let price = |template: Option<usize>| {
        let template = template.and_then(|t| after.templates.get(t));
        let priority = f64::from(template.map_or(0, |t| t.priority).max(0));
        given.policy.costs.unplaced_per_hour * (1.0 + (priority / 1000.0).min(MOST_PRIORITY_FACTOR))
    };
    let of = |workload: &AfterWorkload<'_>| {
        let count = workload.unplaced as usize;
        let waiting = waiting.get(&workload.now.id).map_or(&[][..], Vec::as_slice);
        let to_come = count.saturating_sub(waiting.len());
        let of_waiting: f64 = waiting.iter().take(count).map(|template| price(Some(*template))).sum();
        of_waiting + price(workload.now.template) * to_come as f64
    };
    after.workloads.iter().map(of).fold(0.0, |sum, cost| sum + cost)
}
