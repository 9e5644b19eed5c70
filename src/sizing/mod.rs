//! Forecasts, a latency model and the policy make a [`Menu`] for each workload: the (replicas, requests) choices worth
//! having, each with its risk. What is chosen from the menus is decided jointly, in `crate::optimize`.
//!
//! `docs/sizing.md` says in prose what is computed here and why.

mod bounds;
mod candidates;
mod demand;
mod evidence;
#[cfg(test)]
pub(crate) mod fixtures;
mod history;
mod instants;
mod memory;
pub mod reach;
mod sizer;
#[cfg(test)]
mod tests;
mod usage;

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::menu::{Basis, DeclaredReason};
use crate::domain::policy::{Objective, PackBy};
use crate::domain::snapshot::{Held, Pod, Workload, WorkloadId};
use crate::domain::{Forecast, Menu, MenuEntry, Policy, Resources, Series, Snapshot};

pub use instants::{menus_of_instants, over, within_reach};
pub use usage::usage;

use evidence::Evidence;
use sizer::Sizer;

/// One menu for each workload whose pods are to be placed, in the snapshot's order: all but `DaemonSet`s and those of
/// which neither object nor pod tells a template.
///
/// `series` holds one row a workload and signal: requests a second as the sum over pods, latency, readiness as the
/// number of ready pods. `forecasts` are of whole workloads: CPU and requests as the sum over pods, memory as the
/// largest of any one pod, the queue's length. Forecasts and rows of other subjects are left aside.
///
/// A workload that may not be changed or about which nothing is known has one choice, what it declares, with the reason.
#[must_use]
pub fn menus(snapshot: &Snapshot, series: Option<&Series>, forecasts: &[Forecast], policy: &Policy) -> Vec<Menu> {
    let evidence = evidence::by_workload(series, forecasts);
    let ties = Ties::new(snapshot);
    let nothing = Evidence::default();
    snapshot
        .workloads
        .iter()
        .filter(|w| !w.daemon)
        .filter_map(|workload| {
            let declared = declared_requests(snapshot, workload)?;
            let known = evidence.get(&workload.id).unwrap_or(&nothing);
            Some(match sizer_of(snapshot, policy, workload, declared, known, &ties) {
                Ok(sizer) => candidates::menu(workload, declared, sizer.entries()),
                Err(reason) => as_declared(workload, declared, reason),
            })
        })
        .collect()
}

/// What else in the cluster ties the numbers of replicas.
struct Ties<'a> {
    /// Workloads that another autoscaler drives.
    driven: BTreeSet<&'a WorkloadId>,
    /// What running pods that must not be evicted allow their workloads to shrink to.
    held: BTreeMap<&'a WorkloadId, Held<'a>>,
}

impl<'a> Ties<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        Self { driven: snapshot.autoscalers.iter().map(|a| &a.target).collect(), held: held(snapshot) }
    }
}

/// What sizes the workload, or why it keeps what it declares.
fn sizer_of<'a>(
    snapshot: &Snapshot,
    policy: &'a Policy,
    workload: &'a Workload,
    declared: &'a Resources,
    known: &Evidence<'a>,
    ties: &Ties<'_>,
) -> Result<Sizer<'a>, DeclaredReason> {
    let reason = match policy.target_for(workload) {
        None => DeclaredReason::NotTargeted,
        Some(_) if !workload.scalable => DeclaredReason::NotScalable,
        Some(_) if ties.driven.contains(&workload.id) => DeclaredReason::DrivenByAutoscaler,
        // Scaled to zero is switched off, as it is to an HPA.
        Some(_) if workload.replicas == 0 => DeclaredReason::Current,
        Some(target) => match known.missing() {
            None => {
                let held = ties.held.get(&workload.id).copied();
                return Ok(Sizer::new(snapshot, policy, target, workload, declared, held, known));
            }
            Some(missing) => missing,
        },
    };
    Err(reason)
}

/// The quantile levels of forecasts that sizing under this policy looks at, in rising order and without repeats: for
/// each target its risk alone, halved between demand and memory, and the safer choices' fifth of that. A forecast
/// without them is read at its highest level instead, and its risks are overstated.
#[must_use]
pub fn levels(policy: &Policy) -> Vec<f64> {
    let mut levels: Vec<f64> = policy
        .targets
        .iter()
        .flat_map(|target| {
            let demand = match target.objective {
                Objective::Demand { quantile } => quantile,
                Objective::Utilisation { .. } | Objective::Latency { .. } => 1.0 - target.max_risk,
            };
            let half = target.max_risk / 2.0;
            [demand, 1.0 - target.max_risk, 1.0 - half, 1.0 - sizer::SAFER * half]
        })
        .chain((policy.planning.pack_by == PackBy::Usage).then(|| usage::level_of(policy)))
        .filter(|level| *level > 0.0 && *level < 1.0)
        .collect();
    levels.sort_by(f64::total_cmp);
    levels.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    levels
}

/// What the running pods that must not be evicted allow the workloads to shrink to.
fn held(snapshot: &Snapshot) -> BTreeMap<&WorkloadId, Held<'_>> {
    let stays = |pod: &Pod| pod.do_not_evict && pod.node.is_some();
    let present = || snapshot.pods.iter().filter(|pod| !pod.deleting);
    let mut pods: BTreeMap<&WorkloadId, Vec<(&str, bool)>> =
        present().filter(|pod| stays(pod)).map(|pod| (&pod.workload, Vec::new())).collect();
    for pod in present() {
        if let Some(pods) = pods.get_mut(&pod.workload) {
            pods.push((&pod.name, stays(pod)));
        }
    }
    let workloads = snapshot.workloads.iter().filter_map(|w| Some((&w.id, w.replicas, pods.remove(&w.id)?)));
    workloads.filter_map(|(id, declared, pods)| Some((id, id.held(declared, pods)?))).collect()
}

/// Requests of the workload's template, or of its first pod's where the object tells none.
fn declared_requests<'a>(snapshot: &'a Snapshot, workload: &Workload) -> Option<&'a Resources> {
    let template =
        workload.template.or_else(|| snapshot.pods.iter().find(|p| p.workload == workload.id).map(|p| p.template))?;
    snapshot.templates.get(template).map(|t| &t.requests)
}

/// The menu of a workload that keeps what it declares.
fn as_declared(workload: &Workload, declared: &Resources, reason: DeclaredReason) -> Menu {
    let entry = MenuEntry {
        replicas: workload.replicas,
        requests: declared.clone(),
        risk: None,
        risk_cost_per_hour: 0.0,
        basis: Basis::Declared { reason },
    };
    Menu { workload: workload.id.clone(), entries: vec![entry], current: Some(0) }
}
