//! `Problem` into `Plan`: an integer program for bounds and guidance, concrete placement for the plan itself, and an
//! independent check of what comes out.
//!
//! 1. [`instance`], [`pools`], [`coarse`]: pods of one template and nodes of one shape become classes.
//! 2. [`model`], [`rules`], [`solve`]: the relaxation over classes gives prices and a bound of the full problem.
//!    [`priced`]: with room at those prices, whole nodes and steps of menus give a better bound, and a plan to follow.
//! 3. [`round`]: the program's numbers become choices and purchases.
//! 4. [`start`], [`place`], [`mend`], [`buy`], [`purchase`], [`preempt`], [`consolidate`], [`follow`]: concrete pods on concrete nodes,
//!    from "change nothing" on; [`improve`] and [`neighbourhood`] go on from the best of them.
//! 5. [`certificate`], [`pattern_bound`]: what is proven.
//!
//! [`online`] stands apart: pods placed one by one as they come.
//! [`patterns`]: exact packing into bins bought from nothing, with a bound of its own.
//! [`survive`] stands apart: what becomes of pods whose nodes are lost.
//!
//! "Change nothing" is the first plan whenever it is feasible, and a later one replaces it only when it costs less and
//! passes the check, so a deadline never leaves the caller without a plan.

use plimsoll_domain as domain;

mod attempt;
mod buy;
mod certificate;
pub mod check;
mod coarse;
mod conflict;
mod consolidate;
mod destinations;
pub mod eligibility;
mod evenness;
mod fill;
mod first_fit;
mod follow;
mod gangs;
mod improve;
mod incumbent;
mod instance;
mod layout;
mod limits;
mod mend;
mod model;
mod neighbourhood;
mod occupancy;
pub mod online;
mod pattern_bound;
pub mod patterns;
mod place;
mod plan;
mod please;
mod pools;
mod preempt;
mod priced;
mod purchase;
mod quotas;
mod reasons;
mod relations;
mod restrict;
mod resume;
mod round;
mod rules;
mod search;
mod sensitivity;
pub mod session;
mod shapes;
mod shrink;
mod sites;
mod solve;
mod start;
mod survive;

pub use survive::{Survivor, survive};

use std::fmt;

use thiserror::Error;

use crate::domain::catalog::Catalog;
use crate::domain::clock::{Clock, StopRule};
use crate::domain::earlier::EarlierPlan;
use crate::domain::menu::Menu;
use crate::domain::plan::Plan;
use crate::domain::policy::Policy;
use crate::domain::problem::Problem;
use crate::domain::snapshot::Snapshot;

use instance::Instance;
use relations::Relations;

/// Input that no plan can be made of.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OptimizeError {
    /// A price or cost that is negative or no number.
    #[error("{field} is {value}: expected a finite number of at least 0")]
    Price {
        /// Which one, e.g. `price of offer m5.xlarge`.
        field: String,
        /// What it is.
        value: String,
    },
    /// One-time prices must be spread over some time.
    #[error("costs.amortiseOver is {value}: expected a finite number of hours above 0")]
    AmortiseOver {
        /// What it is.
        value: String,
    },
}

/// How far the search is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Cost an hour of the best plan so far.
    pub cost_per_hour: Option<f64>,
    /// Best bound so far.
    pub bound_per_hour: Option<f64>,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.stage {
            Stage::Collapse => "collapsing pods and nodes into classes",
            Stage::Relax => "solving the relaxation",
            Stage::Round => "solving the integer program",
            Stage::Place => "placing on nodes",
            Stage::Check => "checking",
        })?;
        if let Some(cost) = self.cost_per_hour {
            write!(f, ": {cost:.2} an hour")?;
        }
        if let Some(bound) = self.bound_per_hour {
            write!(f, ", at least {bound:.2}")?;
        }
        Ok(())
    }
}

/// A stage of the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Collapsing pods and nodes into classes.
    Collapse,
    /// Solving the relaxation.
    Relax,
    /// Solving the integer program.
    Round,
    /// Placing on concrete nodes.
    Place,
    /// Checking.
    Check,
}

/// The integer program of an input, with every constraint named.
#[must_use]
pub fn build(snapshot: &Snapshot, catalog: &Catalog, policy: &Policy, menus: &[Menu]) -> Problem {
    let instance = Instance::new(snapshot, catalog, policy, menus);
    let relations = Relations::new(&instance);
    model::build(&instance, &pools::pools(&instance), &relations)
}

/// The cheapest plan found by the time the stop rule ends the search, with its certificate.
///
/// Equal inputs and seeds give equal plans unless the time limit ends the search.
///
/// # Errors
/// If a price is negative or no number. Pods that fit nowhere are no error: they are in [`Plan::unplaced`].
pub fn plan(
    snapshot: &Snapshot,
    catalog: &Catalog,
    policy: &Policy,
    menus: &[Menu],
    stop: &StopRule,
    clock: &dyn Clock,
    progress: &mut dyn FnMut(Progress),
) -> Result<Plan, OptimizeError> {
    plan_from(None, snapshot, catalog, policy, menus, stop, clock, progress)
}

/// The same, begun from an earlier plan of the cluster, where there is one: as it is where it still passes the check, else
/// as far as it can be kept. Where it passes and leaves no pod out, nothing is placed before the bound is known, so that a
/// plan that is within the gap of the stop rule comes back as it was.
///
/// Unless the time limit ends the search, the plan is within that gap or costs at most what [`plan`] finds.
///
/// # Errors
/// As [`plan`]. An earlier plan of another cluster is none: what of it does not fit is left.
#[expect(clippy::too_many_arguments, reason = "those of `plan`, and the plan before")]
pub fn plan_from(
    earlier: Option<&EarlierPlan>,
    snapshot: &Snapshot,
    catalog: &Catalog,
    policy: &Policy,
    menus: &[Menu],
    stop: &StopRule,
    clock: &dyn Clock,
    progress: &mut dyn FnMut(Progress),
) -> Result<Plan, OptimizeError> {
    validate(catalog, policy, menus)?;
    let (plan, _) = search::search(snapshot, catalog, policy, menus, earlier, stop, clock, progress);
    Ok(plan)
}

fn validate(catalog: &Catalog, policy: &Policy, menus: &[Menu]) -> Result<(), OptimizeError> {
    let costs = &policy.costs;
    if !(costs.amortise_hours.is_finite() && costs.amortise_hours > 0.0) {
        return Err(OptimizeError::AmortiseOver { value: costs.amortise_hours.to_string() });
    }
    let policy_prices = [
        ("costs.movePerCore", costs.move_per_core),
        ("costs.nodeChange", costs.node_change),
        ("costs.unplacedPerHour", costs.unplaced_per_hour),
        ("costs.preferencePerHour", costs.preference_per_hour),
        ("planning.estimatedPrices.perCoreHour", policy.planning.estimate_per_core_hour),
        ("planning.estimatedPrices.perGibHour", policy.planning.estimate_per_gib_hour),
        ("planning.estimatedPrices.perGpuHour", policy.planning.estimate_per_gpu_hour),
    ];
    let named = policy_prices.into_iter().map(|(name, price)| (name.to_owned(), price));
    let offers = catalog.offers.iter().map(|o| (format!("price of offer {}", o.name), o.price_per_hour));
    let risks = menus.iter().flat_map(|menu| {
        menu.entries.iter().map(|e| (format!("risk cost of {}", menu.workload), e.risk_cost_per_hour))
    });
    for (field, price) in named.chain(offers).chain(risks) {
        if !(price.is_finite() && price >= 0.0) {
            return Err(OptimizeError::Price { field, value: price.to_string() });
        }
    }
    Ok(())
}
