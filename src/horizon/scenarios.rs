//! What is left of a plan when nodes are lost together.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::menu::Basis;
use crate::domain::outlook::{LeadTime, Loss, Scenario, Shortfall};
use crate::domain::plan::{NodePlan, NodeState, WorkloadPlan};
use crate::domain::policy::Policy;
use crate::domain::snapshot::Workload;
use crate::domain::{CapacityType, Catalog, Plan, Snapshot, WorkloadId};
use crate::optimize::{Survivor, survive};

use super::after::after;

/// Pods beyond which no loss is looked at: placing those of a zone again takes longer than a reader of the plan waits.
const MOST_PODS: usize = 50_000;

/// The loss of each zone, then of each spot offer in each zone, as far as the plan has nodes there. A cluster in one zone
/// has none to lose: all would be gone. Clusters of more than 50,000 pods are not looked at.
///
/// Pods come again by their own rules onto the nodes left, as [`survive`] says; nothing is bought until a new node
/// serves.
#[must_use]
pub fn scenarios(
    snapshot: &Snapshot,
    catalog: &Catalog,
    policy: &Policy,
    plan: &Plan,
    lead_time: &LeadTime,
) -> Vec<Scenario> {
    let losses = losses(plan);
    if losses.is_empty() || plan.placements.len() > MOST_PODS {
        return Vec::new();
    }
    let after = after(snapshot, catalog, plan);
    let numbers: BTreeMap<&str, usize> = after.nodes.iter().enumerate().map(|(i, n)| (n.name.as_str(), i)).collect();
    let lost = |nodes: &Vec<&NodePlan>| -> BTreeSet<usize> {
        nodes.iter().filter_map(|node| numbers.get(node.name.as_str()).copied()).collect()
    };
    let sets: Vec<BTreeSet<usize>> = losses.values().map(lost).collect();
    let known: BTreeMap<&WorkloadId, (&Workload, &WorkloadPlan)> = {
        let plans: BTreeMap<&WorkloadId, &WorkloadPlan> = plan.workloads.iter().map(|w| (&w.id, w)).collect();
        snapshot.workloads.iter().filter_map(|w| Some((&w.id, (w, *plans.get(&w.id)?)))).collect()
    };
    let survivals = survive(&after, policy, &sets);
    let found = losses.into_iter().zip(survivals).map(|((loss, nodes), survivors)| {
        let short: Vec<Shortfall> = survivors
            .iter()
            .filter_map(|survivor| shortfall(survivor, known.get(&survivor.workload)?, policy))
            .collect();
        let rate = rate(&loss, policy);
        let replicas_now = |s: &Shortfall| known.get(&s.workload).map_or(0, |(workload, _)| workload.replicas);
        let broken: f64 = short.iter().filter(|s| s.left < s.needed).map(|s| f64::from(replicas_now(s))).sum();
        let hours = f64::from(lead_time.boot_seconds + lead_time.image_pull_seconds) / 3600.0;
        Scenario {
            nodes: nodes.len(),
            pods: survivors.iter().map(|s| s.lost as usize).sum(),
            waiting: survivors.iter().map(|s| s.waiting as usize).sum(),
            losses_per_hour: rate,
            cost_per_hour: rate.map(|rate| rate * hours * broken * policy.costs.breach_per_replica_hour),
            short,
            loss,
        }
    });
    found.collect()
}

/// Nodes that are lost together when the plan is done.
fn losses(plan: &Plan) -> BTreeMap<Loss, Vec<&NodePlan>> {
    let mut losses: BTreeMap<Loss, Vec<&NodePlan>> = BTreeMap::new();
    let there = || plan.nodes.iter().filter(|node| node.state != NodeState::Remove);
    let zones: BTreeSet<&str> = there().map(|node| node.zone.as_str()).collect();
    for node in there() {
        if zones.len() > 1 && !node.zone.is_empty() {
            losses.entry(Loss::Zone { zone: node.zone.clone() }).or_default().push(node);
        }
        if node.capacity_type == CapacityType::Spot {
            let loss = Loss::Spot { offer: node.offer.clone(), zone: node.zone.clone() };
            losses.entry(loss).or_default().push(node);
        }
    }
    losses
}

fn rate(loss: &Loss, policy: &Policy) -> Option<f64> {
    match loss {
        Loss::Zone { .. } => None,
        Loss::Spot { .. } => Some(policy.planning.spot_losses_per_hour),
    }
}

/// What a workload is short of, if it is: below what its peak needs once pods have come again, or at once below what its
/// target asks to be left.
fn shortfall(survivor: &Survivor, known: &(&Workload, &WorkloadPlan), policy: &Policy) -> Option<Shortfall> {
    let (workload, plan) = known;
    let needed = needed(plan).min(survivor.running);
    let target = policy.target_for(workload);
    let minimum = target.and_then(|t| t.zone_loss).map(|left| left.of_rounded_up(plan.replicas).min(survivor.running));
    let left_at_once = survivor.running - survivor.lost;
    let left = survivor.running - survivor.waiting;
    let is_short = left < needed || minimum.is_some_and(|minimum| left_at_once < minimum);
    is_short.then(|| Shortfall {
        workload: survivor.workload.clone(),
        replicas: plan.replicas,
        needed,
        minimum,
        left_at_once,
        left,
    })
}

/// Replicas of the planned size that carry the peak planned for; all of them where that is not known.
fn needed(plan: &WorkloadPlan) -> u32 {
    match plan.basis {
        Basis::Demand { peak, per_replica, .. } if per_replica > 0.0 && peak.is_finite() => {
            // `as` saturates.
            ((peak / per_replica - 1e-9).ceil().max(1.0) as u32).min(plan.replicas)
        }
        _ => plan.replicas,
    }
}
