//! What is proven, and the certificate that says so.

use std::collections::BTreeSet;

use crate::domain::clock::StopRule;
use crate::domain::plan::{CostParts, Plan, Stopped};
use crate::domain::problem::{Problem, Quantity};

use super::super::certificate;
use super::super::check::CheckReport;
use super::super::incumbent::Incumbent;
use super::super::instance::Instance;
use super::super::plan::unmodelled_rules;
use super::Watch;

/// Plans with a gap this small are called optimal.
const OPTIMAL_GAP: f64 = 1e-6;

/// What the program proved.
#[derive(Clone)]
pub(super) struct Proof {
    pub(super) bound: f64,
    /// Cost of the pool-level plan in whole numbers, where one was found.
    pub(super) pool_cost: Option<f64>,
    pub(super) row_prices: Vec<f64>,
    /// Part of every plan's cost, and so of the bound, that says nothing about a plan.
    pub(super) unplaceable: f64,
}

impl Proof {
    /// Whether a plan of the cost is as near to the bound as was asked for.
    pub(super) fn suffices(&self, cost: f64, stop: &StopRule) -> bool {
        certificate::gap(cost - self.unplaceable, self.bound - self.unplaceable) <= stop.gap
    }
}

/// The incumbent's plan with its certificate.
pub(super) fn certified(
    instance: &Instance<'_>,
    problem: &Problem,
    proof: &Proof,
    watch: Watch<'_>,
    incumbent: Incumbent<'_>,
) -> Plan {
    let (cost_now, now_feasible) = incumbent.now;
    let (mut plan, CheckReport { violations, cost }) = incumbent.into_plan(&|| watch.out_of_time());
    let unplaceable = proof.unplaceable;
    let without = |cost: CostParts| CostParts { unplaced: (cost.unplaced - unplaceable).max(0.0), ..cost };
    let (cost, cost_now) = (without(cost), without(cost_now));
    let total = cost.total();
    let feasible = violations.is_empty();
    // A bound above the cost of a checked plan would be a mistake of rounding; the lower of the two holds.
    let bound = (proof.bound - unplaceable).max(0.0);
    let bound = if feasible { bound.min(total) } else { bound };
    let gap = certificate::gap(total, bound);
    let pool_cost = proof.pool_cost.map_or(total, |cost| cost - unplaceable).clamp(bound.min(total), total);
    let certificate = &mut plan.certificate;
    certificate.cost_per_hour = total;
    certificate.bound_per_hour = bound;
    certificate.gap = gap;
    certificate.packing_gap = certificate::gap(total, pool_cost);
    certificate.model_gap = (gap - certificate.packing_gap).max(0.0);
    certificate.feasible = feasible;
    certificate.stopped = match () {
        () if gap <= OPTIMAL_GAP => Stopped::Optimal,
        () if gap <= watch.stop.gap => Stopped::Gap,
        () if watch.out_of_time() => Stopped::Deadline,
        () => Stopped::Exhausted,
    };
    certificate.unmodelled_rules = unmodelled_rules(instance);
    certificate.unplaceable_per_hour = unplaceable;
    certificate.cost = cost;
    certificate.cost_now = cost_now;
    certificate.now_feasible = now_feasible;
    certificate.violations = violations.iter().map(ToString::to_string).collect();
    plan.binding = certificate::binding(problem, &proof.row_prices);
    plan
}

/// Groups of which the relaxation leaves pods out although some node could hold one.
pub(super) fn left_out(problem: &Problem, values: &[f64]) -> BTreeSet<usize> {
    let holdable: BTreeSet<usize> = problem
        .variables
        .iter()
        .filter_map(|v| match v.quantity {
            Quantity::Replicas { group, .. } if v.upper > 0.0 => Some(group),
            _ => None,
        })
        .collect();
    let out = problem.variables.iter().zip(values).filter(|(_, value)| **value > 1e-6);
    out.filter_map(|(v, _)| match v.quantity {
        Quantity::Unplaced { group, .. } if holdable.contains(&group) => Some(group),
        _ => None,
    })
    .collect()
}
