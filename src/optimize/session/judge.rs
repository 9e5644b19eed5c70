//! Whether a changed plan keeps every rule, and what it costs: by the checker, on the part that differs wherever that tells
//! as much as the whole.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::plan::{CostParts, Plan};
use crate::domain::snapshot::WorkloadId;

use super::super::check::part::{
    Charged, Part, PartReport, Stock, Totals, WorkloadCost, check_charges, check_part, check_quotas, check_totals,
};
use super::super::check::{CheckReport, Violation, check};
use super::super::instance::Standing;
use super::super::occupancy::Occupancy;
use super::super::plan::{Names, plan_with};
use super::super::quotas::Charge;
use super::cut::{Cut, Scope, cut};
use super::held::Held;
use super::index::Index;
use super::scope::Rules;

/// The checker's accounts of a plan, item by item.
#[derive(Clone, Default)]
pub(super) struct Accounts {
    /// By group.
    workloads: Vec<WorkloadCost>,
    /// Price of each node of the state that is there when the plan is done, else 0.
    nodes: Vec<f64>,
    /// Unmet preferences of the whole cluster, an hour.
    preferences: f64,
    /// What is broken; a plan that breaks something is judged whole.
    pub(super) violations: Vec<Violation>,
}

/// What was found of a changed plan.
pub(super) enum Verdict {
    /// Nothing is broken in the part that differs, nor in the rest, which was sound before.
    Sound(PartReport),
    /// Judged whole.
    Whole(Accounts),
    /// Something is broken in the part that differs.
    Broken,
}

/// What judging needs of a session.
pub(super) struct Judge<'s> {
    pub(super) held: &'s Held,
    pub(super) rules: &'s Rules,
    pub(super) names: &'s Names,
    pub(super) index: &'s Index,
    pub(super) accounts: &'s Accounts,
}

impl Judge<'_> {
    /// Judges a state, of which the scope differs from one that was judged before. `nodes` opened or closed since, each with
    /// whether it was open.
    pub(super) fn judge(&self, state: &Occupancy<'_>, scope: &Scope, nodes: &BTreeMap<usize, bool>) -> Verdict {
        let preempts = !state.preempted().is_empty();
        let too_little = preempts || self.rules.need_the_whole() || self.rules.domains_differ(state, nodes);
        if !self.accounts.violations.is_empty() || too_little {
            return Verdict::Whole(self.judge_whole(state));
        }
        let Cut { snapshot, plan, menus, whole } = cut(state, self.names, self.index, scope);
        let part = Part { snapshot: &snapshot, plan: &plan, menus: &menus, whole: &whole };
        let report = check_part(&self.held.catalog, &self.held.policy, &part);
        let mut sound = report.violations.is_empty();
        if sound {
            let kept = self.accounts.workloads.iter().enumerate().filter(|(group, _)| !scope.groups.contains(group));
            let moves = kept.map(|(_, cost)| cost.moves).chain(report.workloads.values().map(|cost| cost.moves)).sum();
            sound = check_totals(&self.held.policy, self.totals(state, moves)).is_empty();
        }
        if sound && !nodes.is_empty() {
            sound = check_quotas(&self.held.catalog, &stock(state)).is_empty();
        }
        sound = sound && check_charges(charged(state)).is_empty();
        if sound { Verdict::Sound(report) } else { Verdict::Broken }
    }

    /// Judges all of a state.
    pub(super) fn judge_whole(&self, state: &Occupancy<'_>) -> Accounts {
        let plan = plan_with(state, self.names);
        whole(self.held, state, &plan, self.names)
    }

    fn totals(&self, state: &Occupancy<'_>, moves: u32) -> Totals {
        let snapshot = &self.held.snapshot;
        let daemons: BTreeSet<&WorkloadId> = snapshot.workloads.iter().filter(|w| w.daemon).map(|w| &w.id).collect();
        let movable = snapshot.pods.iter().zip(&state.instance.pods).filter(|(pod, facts)| {
            facts.node.is_some()
                && !pod.do_not_evict
                && !pod.deleting
                && (daemons.is_empty() || !daemons.contains(&pod.workload))
        });
        Totals {
            moves,
            movable: movable.count() as u32,
            drains: state.nodes.iter().filter(|node| !node.bought && !node.open).count() as u32,
            nodes: snapshot.nodes.len() as u32,
        }
    }
}

/// What quotas of namespaces are charged: pods that exist and stay, pods to come with a node, and those of `DaemonSets` on
/// nodes that are bought.
fn charged<'s>(state: &Occupancy<'s>) -> Vec<Charged<'s>> {
    let instance = state.instance;
    let limits = &instance.quotas.limits;
    let mut then = vec![0_i64; limits.len()];
    if limits.is_empty() {
        return Vec::new();
    }
    let mut add = |charge: &Charge| charge.iter().for_each(|(limit, amount)| then[*limit] += amount);
    for pod in &state.pods {
        let stays = match (pod.existing, pod.standing) {
            (None, _) => pod.node.is_some(),
            (_, Standing::Leaving) => false,
            (_, Standing::Daemon) => pod.origin.is_none_or(|node| state.nodes[node].open),
            _ => !pod.removed,
        };
        if stays {
            add(&pod.charge);
        }
    }
    for node in state.nodes.iter().filter(|node| node.bought && node.open) {
        let daemons = instance.sites[node.site].daemons.iter();
        daemons.filter_map(|daemon| instance.snapshot.workloads[*daemon].template).for_each(|template| {
            add(&instance.quotas.own(template));
        });
    }
    let charged = limits.iter().zip(then).map(|(limit, then)| Charged {
        quota: &instance.snapshot.quotas[limit.quota],
        resource: &limit.resource,
        before: limit.now,
        then,
    });
    charged.collect()
}

fn stock<'s>(state: &'s Occupancy<'_>) -> impl Iterator<Item = Stock<'s>> + Clone {
    state.nodes.iter().filter(|node| node.open).map(|node| {
        let site = &state.instance.sites[node.site];
        Stock { offer: &site.offer, zone: &site.zone, capacity_type: site.capacity_type, bought: node.bought }
    })
}

/// The accounts of a plan, which must be that of the state, all of it judged.
pub(super) fn whole(held: &Held, state: &Occupancy<'_>, plan: &Plan, names: &Names) -> Accounts {
    let Held { snapshot, catalog, policy, menus, .. } = held;
    let ids: BTreeSet<WorkloadId> = state.instance.groups.iter().map(|group| group.id.clone()).collect();
    let report = check_part(catalog, policy, &Part { snapshot, plan, menus, whole: &ids });
    let CheckReport { violations, cost } = check(snapshot, catalog, policy, menus, plan);
    let mut accounts = Accounts {
        workloads: vec![WorkloadCost::default(); state.instance.groups.len()],
        nodes: vec![0.0; state.nodes.len()],
        preferences: cost.preferences,
        violations,
    };
    accounts.take(state, names, &report, &(0..state.nodes.len()).collect());
    accounts
}

impl Accounts {
    /// Takes what was found of some workloads, and of these nodes.
    pub(super) fn take(&mut self, state: &Occupancy<'_>, names: &Names, report: &PartReport, nodes: &BTreeSet<usize>) {
        for (group, facts) in state.instance.groups.iter().enumerate() {
            if let Some(cost) = report.workloads.get(facts.id) {
                self.workloads[group] = *cost;
            }
        }
        self.nodes.resize(state.nodes.len(), 0.0);
        for &node in nodes {
            let price = report.nodes.get(names.nodes[node].as_str()).filter(|_| state.nodes[node].open);
            self.nodes[node] = price.copied().unwrap_or(0.0);
        }
    }

    /// The cost an hour of the state they are of.
    pub(super) fn cost(&self, state: &Occupancy<'_>) -> CostParts {
        let changes = state.nodes.iter().filter(|node| node.open == node.bought).count();
        let mut cost = CostParts {
            nodes: self.nodes.iter().sum(),
            change: changes as f64 * state.instance.node_change_price(),
            preferences: self.preferences,
            ..CostParts::default()
        };
        for WorkloadCost { cost: part, .. } in &self.workloads {
            cost.risk += part.risk;
            cost.change += part.change;
            cost.unplaced += part.unplaced;
        }
        cost
    }
}
