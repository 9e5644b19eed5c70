//! The independent checker: rebuilds the concrete cluster that a plan leaves behind, judges every pod on it by the
//! rules of kube-scheduler 1.36 and of the policy, and recomputes the cost.
//!
//! It shares nothing with the model that made the plan but the values in `domain`. What it takes for granted is what
//! already stands: a pod that stays where it is keeps its node even where it could not be placed there today
//! (`IgnoredDuringExecution`), and a node that was over-committed before may stay so while it only loses pods.

mod accounts;
mod after;
mod budgets;
mod cost;
mod fit;
mod gangs;
mod order;
pub(crate) mod part;
mod policy;
mod preemption;
mod preferences;
mod quotas;
mod relations;
mod spread;
mod violation;
mod volumes;

use crate::domain::plan::{CostParts, Plan};
use crate::domain::snapshot::Snapshot;
use crate::domain::{Catalog, Menu, Policy};

pub use violation::{PreemptionBar, RemovalBar, Violation};

/// What the checker found.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckReport {
    /// Every rule the plan breaks, sorted; none means that it is feasible.
    pub violations: Vec<Violation>,
    /// Cost an hour, recomputed.
    pub cost: CostParts,
}

/// Checks a plan against everything it was made from.
#[must_use]
pub fn check(snapshot: &Snapshot, catalog: &Catalog, policy: &Policy, menus: &[Menu], plan: &Plan) -> CheckReport {
    let given = Given { snapshot, catalog, policy, menus, plan };
    let mut violations = Vec::new();
    let after = after::rebuild(&given, &mut violations);
    accounts::check(&given, &after, &mut violations);
    fit::check(&after, &mut violations);
    relations::check(&given, &after, &mut violations);
    policy::check(&given, &after, &mut violations);
    budgets::check(&given, &after, &mut violations);
    quotas::check(&given, &after, &mut violations);
    gangs::check(&given, &after, &mut violations);
    preemption::check(&given, &after, &mut violations);
    let cost = cost::recompute(&given, &after, &mut violations);
    violations.sort();
    violations.dedup();
    CheckReport { violations, cost }
}

/// Everything a plan is judged by.
struct Given<'a> {
    snapshot: &'a Snapshot,
    catalog: &'a Catalog,
    policy: &'a Policy,
    menus: &'a [Menu],
    plan: &'a Plan,
}

#[cfg(test)]
mod tests;
