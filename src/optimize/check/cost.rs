//! The cost of a plan an hour, from prices and the policy alone.

use std::collections::BTreeMap;

use crate::domain::Menu;
use crate::domain::plan::{CostParts, NodeState, PlacementState};
use crate::domain::snapshot::WorkloadId;

use super::after::{After, same_requests};
use super::{Given, Violation};

/// Least cores that a move is charged for.
const LEAST_MOVED_CORES: f64 = 0.1;

/// Most times the price of an unplaced pod that priority makes of it.
const MOST_PRIORITY_FACTOR: f64 = 1e3;

pub(super) fn recompute(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) -> CostParts {
    CostParts {
        nodes: nodes(given, after, violations),
        risk: risk(given, after),
        change: change(given, after),
        unplaced: unplaced(given, after),
    }
}

/// Prices of the nodes kept and bought. Where an offer fits a node, its price is the node's.
fn nodes(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) -> f64 {
    let mut sum = 0.0;
    for node in &after.nodes {
        let stated = node.plan.price_per_hour;
        let name = node.now.map_or(node.plan.offer.as_str(), |now| now.instance_type.as_str());
        let fits = |o: &&crate::domain::NodeOffer| {
            o.name == name && o.capacity_type == node.capacity_type && o.zones.iter().any(|z| z == node.zone)
        };
        let offer = given.catalog.offers.iter().find(fits);
        let price = offer.map_or(stated, |offer| offer.price_per_hour);
        let wrong = !stated.is_finite() || stated < 0.0 || (stated - price).abs() > 1e-9 * price.abs().max(1.0);
        if wrong {
            violations.push(Violation::Price { node: node.name.to_owned(), offer: node.plan.offer.clone() });
        }
        sum += price;
    }
    sum
}

/// Risk of the entries chosen, as their menus price it.
fn risk(given: &Given<'_>, after: &After<'_>) -> f64 {
    let menus: BTreeMap<&WorkloadId, &Menu> = given.menus.iter().map(|m| (&m.workload, m)).collect();
    let of = |workload: &super::after::AfterWorkload<'_>| {
        let plan = workload.plan?;
        let entries = &menus.get(&workload.now.id)?.entries;
        let chosen =
            entries.iter().find(|e| e.replicas == plan.replicas && same_requests(&e.requests, &plan.requests))?;
        Some(chosen.risk_cost_per_hour)
    };
    after.workloads.iter().filter_map(of).sum()
}

/// Moves by the cores that the pod asks for now, and nodes bought or removed, spread over the policy's hours.
fn change(given: &Given<'_>, after: &After<'_>) -> f64 {
    let costs = &given.policy.costs;
    let moved = after.pods.iter().filter(|p| p.state == PlacementState::Move);
    let cores = moved.filter_map(|p| after.templates.get(p.template)).map(|t| t.requests.cpu_millis() as f64 / 1000.0);
    let moves: f64 = cores.map(|cores| costs.move_per_core * cores.max(LEAST_MOVED_CORES)).sum();
    let changes = given.plan.nodes.iter().filter(|n| n.state != NodeState::Keep).count();
    (moves + costs.node_change * changes as f64) / costs.amortise_hours
}

/// Pods without a node, dearer with their priority.
fn unplaced(given: &Given<'_>, after: &After<'_>) -> f64 {
    let price = |workload: &super::after::AfterWorkload<'_>| {
        let template = workload.now.template.and_then(|t| after.templates.get(t));
        let priority = f64::from(template.map_or(0, |t| t.priority).max(0));
        let factor = (1.0 + priority / 1000.0).min(MOST_PRIORITY_FACTOR);
        given.policy.costs.unplaced_per_hour * factor * f64::from(workload.unplaced)
    };
    after.workloads.iter().map(price).sum()
}
