//! What the policy demands and allows.

use std::collections::BTreeMap;

use crate::domain::plan::{NodeState, PlacementState};
use crate::domain::policy::{Spread, Target};
use crate::domain::resources::is_use;
use crate::domain::{CapacityType, Catalog, Policy};

use super::after::{After, AfterPod, AfterWorkload};
use super::part::Totals;
use super::violation::RemovalBar;
use super::{Given, Violation};

pub(super) fn check(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) {
    check_places(given, after, violations);
    let stock = after.nodes.iter().map(|node| Stock {
        offer: &node.plan.offer,
        zone: node.zone,
        capacity_type: node.capacity_type,
        bought: node.now.is_none(),
    });
    quotas(given.catalog, &stock, violations);
    limits(given.policy, totals(given, after), violations);
}

/// Everything but limits of the whole cluster.
pub(super) fn check_places(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) {
    nodes(given, after, violations);
    let mut pods: Vec<Vec<&AfterPod<'_>>> = after.workloads.iter().map(|_| Vec::new()).collect();
    for pod in &after.pods {
        if let Some(pods) = pods.get_mut(pod.workload) {
            pods.push(pod);
        }
    }
    for (workload, pods) in after.workloads.iter().zip(&pods).filter(|(w, _)| !w.now.daemon) {
        if let Some(target) = given.policy.target_for(workload.now) {
            bounds(workload, target, violations);
            spread(after, workload, pods, target.spread.as_ref(), violations);
            spot_share(after, workload, pods, target, violations);
            zone_loss(after, workload, pods, target, violations);
        }
    }
}

fn nodes(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) {
    let limits = &given.policy.disruption;
    let mut pinned: BTreeMap<&str, String> = BTreeMap::new();
    for pod in given.snapshot.pods.iter().filter(|p| p.do_not_evict && !p.deleting) {
        let daemon = after.workload_of(&pod.workload).is_some_and(|w| w.now.daemon);
        if let Some(node) = pod.node.as_deref().filter(|_| !daemon) {
            pinned.entry(node).or_insert_with(|| pod.full_name());
        }
    }
    for plan in &given.plan.nodes {
        let node = || plan.name.clone();
        match plan.state {
            NodeState::Keep => {}
            NodeState::Add if limits.add_nodes => {}
            NodeState::Add => violations.push(Violation::AdditionForbidden { node: node() }),
            NodeState::Remove => {
                let protected = after.nodes_now.get(plan.name.as_str()).is_some_and(|n| n.do_not_disrupt);
                let bars = [
                    (!limits.remove_nodes).then_some(RemovalBar::Policy),
                    protected.then_some(RemovalBar::DoNotDisrupt),
                    pinned.get(plan.name.as_str()).cloned().map(RemovalBar::Pod),
                ];
                for by in bars.into_iter().flatten() {
                    violations.push(Violation::RemovalForbidden { node: node(), by });
                }
            }
        }
    }
}

/// A node that is there when the plan is done, as quotas count it.
#[derive(Clone, Copy)]
pub(crate) struct Stock<'a> {
    pub(crate) offer: &'a str,
    pub(crate) zone: &'a str,
    pub(crate) capacity_type: CapacityType,
    pub(crate) bought: bool,
}

/// Quotas limit what is bought: nodes of the offer's type that stand count, but are no violation by themselves.
pub(super) fn quotas<'a>(
    catalog: &Catalog,
    stock: &(impl Iterator<Item = Stock<'a>> + Clone),
    violations: &mut Vec<Violation>,
) {
    for offer in &catalog.offers {
        let Some(quota) = offer.quota else { continue };
        for zone in &offer.zones {
            let of_offer =
                |n: &Stock<'_>| n.offer == offer.name && n.capacity_type == offer.capacity_type && n.zone == zone;
            let nodes = stock.clone().filter(of_offer).count();
            let buys = stock.clone().filter(of_offer).any(|n| n.bought);
            if buys && nodes > quota as usize {
                violations.push(Violation::Quota { offer: offer.name.clone(), zone: zone.clone(), nodes, quota });
            }
        }
    }
}

fn totals(given: &Given<'_>, after: &After<'_>) -> Totals {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let movable = given.snapshot.pods.iter().filter(|pod| {
        let daemon = after.workload_of(&pod.workload).is_some_and(|w| w.now.daemon);
        after.is_bound(pod) && !pod.do_not_evict && !pod.deleting && !daemon
    });
    let moved = after.pods.iter().filter(|p| p.state == PlacementState::Move).count();
    Totals {
        moves: number(moved + after.victims.len()),
        movable: number(movable.count()),
        drains: number(after.removed_nodes.len()),
        nodes: number(given.snapshot.nodes.len()),
    }
}

pub(super) fn limits(policy: &Policy, totals: Totals, violations: &mut Vec<Violation>) {
    let Totals { moves, movable, drains, nodes } = totals;
    let allowed = policy.disruption.max_moves.of_rounded_up(movable);
    if moves > allowed {
        violations.push(Violation::Moves { moves, allowed });
    }
    let allowed = policy.disruption.max_drains.of_rounded_up(nodes);
    if drains > allowed {
        violations.push(Violation::Drains { drains, allowed });
    }
}

fn bounds(workload: &AfterWorkload<'_>, target: &Target, violations: &mut Vec<Violation>) {
    let Some(plan) = workload.plan else { return };
    let replicas = plan.replicas;
    if workload.now.scalable && replicas != workload.now.replicas {
        let (min, max) = if target.scale_replicas {
            (target.min_replicas, target.max_replicas)
        } else {
            (workload.now.replicas, workload.now.replicas)
        };
        if !(min..=max).contains(&replicas) {
            violations.push(Violation::ReplicaBounds { workload: workload.label.clone(), replicas, min, max });
        }
    }
    if workload.is_resized() {
        let names: std::collections::BTreeSet<&str> =
            plan.requests.iter().chain(workload.requests_now.iter()).map(|(name, _)| name).collect();
        for name in names.into_iter().filter(|name| !is_use(name)) {
            let (amount, now) = (plan.requests.get(name), workload.requests_now.get(name));
            let low = target.min_requests.0.get(name).is_some_and(|min| amount < *min);
            let high = target.max_requests.0.get(name).is_some_and(|max| amount > *max);
            if amount != now && (low || high || !target.resize_requests) {
                let (workload, resource) = (workload.label.clone(), name.to_owned());
                violations.push(Violation::RequestBounds { workload, resource });
            }
        }
    }
}

/// The largest difference between the domains that the workload's pods could be in.
fn spread(
    after: &After<'_>,
    workload: &AfterWorkload<'_>,
    pods: &[&AfterPod<'_>],
    spread: Option<&Spread>,
    violations: &mut Vec<Violation>,
) {
    let template = workload.now.template.and_then(|t| after.templates.get(t));
    let (Some(spread), Some(template)) = (spread, template) else { return };
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for node in &after.nodes {
        let eligible =
            template.rules.selects_node(node.name, &node.labels) && template.rules.untolerated(node.taints).is_none();
        if let Some(domain) = node.labels.get(&spread.topology_key).filter(|_| eligible) {
            counts.entry(domain).or_default();
        }
    }
    for pod in pods.iter().filter(|p| !p.deleting()) {
        let domain = after.nodes.get(pod.node).and_then(|n| n.labels.get(&spread.topology_key));
        if let Some(domain) = domain {
            *counts.entry(domain).or_default() += 1;
        }
    }
    let (largest, smallest) = (counts.values().max(), counts.values().min());
    let skew = largest.zip(smallest).map_or(0, |(largest, smallest)| largest - smallest);
    if skew > i64::from(spread.max_skew) {
        let (workload, max_skew) = (workload.label.clone(), spread.max_skew);
        violations.push(Violation::PolicySpread { workload, skew, max_skew });
    }
}

fn spot_share(
    after: &After<'_>,
    workload: &AfterWorkload<'_>,
    pods: &[&AfterPod<'_>],
    target: &Target,
    violations: &mut Vec<Violation>,
) {
    let Some(share) = target.max_spot_share else { return };
    let on_spot = |pod: &&&AfterPod<'_>| {
        after.nodes.get(pod.node).is_some_and(|n| n.capacity_type == CapacityType::Spot) && !pod.deleting()
    };
    let spot = u32::try_from(pods.iter().filter(on_spot).count()).unwrap_or(u32::MAX);
    // A share of 0.3 of 10 replicas is 3, whatever binary fractions make of it.
    let allowed = (share * f64::from(workload.replicas()) + 1e-9).floor().max(0.0) as u32;
    if spot > allowed {
        violations.push(Violation::SpotShare { workload: workload.label.clone(), spot, allowed });
    }
}

/// Replicas that have no node are priced, and none is asked to survive a zone on top.
fn zone_loss(
    after: &After<'_>,
    workload: &AfterWorkload<'_>,
    pods: &[&AfterPod<'_>],
    target: &Target,
    violations: &mut Vec<Violation>,
) {
    let Some(amount) = target.zone_loss else { return };
    let needed = amount.of_rounded_up(workload.replicas()).saturating_sub(workload.unplaced);
    let mut by_zone: BTreeMap<&str, u32> = BTreeMap::new();
    for pod in pods.iter().filter(|p| !p.deleting()) {
        if let Some(node) = after.nodes.get(pod.node) {
            *by_zone.entry(node.zone).or_default() += 1;
        }
    }
    let all: u32 = by_zone.values().sum();
    for (zone, in_zone) in by_zone {
        let left = all - in_zone;
        if left < needed {
            let (workload, zone) = (workload.label.clone(), zone.to_owned());
            violations.push(Violation::ZoneLoss { workload, zone, left, needed });
        }
    }
}
