//! A planner that is kept: it plans a cluster once, and then one changed workload at a time.
//!
//! A session owns its inputs. What the optimizer makes of them (instance, relations between pods, where every pod is
//! planned) borrows them while it works, and is put away between changes ([`held`]). A change enters the inputs
//! ([`intake`]); the workload is placed anew for each of its choices ([`replan`]); the cheapest that the checker accepts on
//! the part that differs ([`scope`], [`cut`], [`judge`]) is taken; the bound is renewed from the prices of the cold plan
//! ([`prices`], [`bound`]); and what differs is handed out ([`delta`]).

mod before;
mod bound;
mod change;
mod cut;
mod delta;
mod desk;
mod held;
mod index;
mod intake;
mod judge;
mod names;
mod prices;
mod replan;
mod scope;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::mem::take;

use crate::domain::catalog::Catalog;
use crate::domain::clock::{Clock, StopRule};
use crate::domain::earlier::EarlierPlan;
use crate::domain::menu::Menu;
use crate::domain::plan::{Binding, Certificate, CostParts, Plan, Stopped};
use crate::domain::policy::Policy;
use crate::domain::snapshot::Snapshot;

use super::incumbent::MEANINGFUL;
use super::instance::{Instance, Standing, choose_options};
use super::occupancy::{Occupancy, PodState, State};
use super::plan::{explain, plan_with};
use super::relations::Relations;
use super::resume::resume;
use super::round::{Guide, unchanged};
use super::shrink::surplus;
use super::{OptimizeError, Progress, certificate, search, validate};

use before::Before;
use bound::Bound;
pub use change::{Change, ChangeError};
pub use delta::{PlanChanges, PodChange};
use desk::Desk;
use held::{Held, InstanceShelf};
use index::{Index, Named};
use intake::{Edits, Intake};
use judge::Accounts;
use names::NodeNames;
pub(super) use prices::Prices;
use replan::Planned;
use scope::Rules;

/// A planned cluster that takes changes in.
pub struct Session {
    held: Held,
    instance: InstanceShelf,
    relations: Relations,
    state: State,
    index: Index,
    rules: Rules,
    names: NodeNames,
    bound: Bound,
    guide: Guide,
    accounts: Accounts,
    certificate: Certificate,
    binding: Vec<Binding>,
    /// Whether changing nothing was a plan when the session began.
    began_feasible: bool,
}

impl Session {
    /// Plans the cluster as [`super::plan`] does, and keeps the plan. Inputs are taken over; [`Session::snapshot`] and
    /// [`Session::menus`] show them as they are now.
    ///
    /// Where pods have preferences that the policy prices, every change is judged on the whole cluster, which takes as long
    /// as the cluster is large.
    ///
    /// What resource quotas say is used moves with the pods that come and go, as the API server has it.
    ///
    /// # Errors
    /// If a price is negative or no number.
    pub fn new(
        snapshot: Snapshot,
        catalog: Catalog,
        policy: Policy,
        menus: Vec<Menu>,
        stop: &StopRule,
        clock: &dyn Clock,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Self, Plan), OptimizeError> {
        validate(&catalog, &policy, &menus)?;
        let (plan, prices) = search::search(&snapshot, &catalog, &policy, &menus, None, stop, clock, progress);
        let held = Held::new(snapshot, catalog, policy, menus);
        Ok((Self::of(held, &plan, prices), plan))
    }

    fn of(mut held: Held, plan: &Plan, prices: Prices) -> Self {
        let instance = Instance::new(&held.snapshot, &held.catalog, &held.policy, &held.menus);
        let relations = Relations::new(&instance);
        let resumed = resume(&instance, &relations, &EarlierPlan::from(plan), false);
        let mut state = resumed.state;
        state.keep_even(instance.sites.len() > instance.standing && relations.has_spread());
        state.settle();
        let index = Index::new(&state);
        let rules = Rules::new(&instance, &relations);
        let mut names = NodeNames::new(&instance);
        names.extend(&state, &index, &resumed.names);
        let bound = Bound::new(prices, &instance, &index.on_node);
        let mut guide = Guide::of_worth(BTreeMap::new());
        for group in 0..instance.groups.len() {
            appraise(&mut guide, &bound, &instance, group);
        }
        let accounts = judge::whole(&held, &state, &plan_with(&state, names.all()), names.all());
        let links = held.links_of(&instance);
        let state = state.shelve();
        let instance = InstanceShelf::of(instance);
        held.link(links);
        Self {
            held,
            instance,
            relations,
            state,
            index,
            rules,
            names,
            bound,
            guide,
            accounts,
            certificate: plan.certificate.clone(),
            binding: plan.binding.clone(),
            began_feasible: plan.certificate.now_feasible,
        }
    }

    /// The cluster as it is now.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.held.snapshot
    }

    /// The menus as they are now.
    #[must_use]
    pub fn menus(&self) -> &[Menu] {
        &self.held.menus
    }

    /// What is proven of the plan as it is now.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The whole plan as it is now. Writing it takes as long as the cluster is large; [`Session::change`] hands out what
    /// differs.
    pub fn plan(&mut self) -> Plan {
        let instance = self.held.take_up(take(&mut self.instance));
        let state = Occupancy::take_up(take(&mut self.state), &instance, &self.relations);
        let mut plan = plan_with(&state, self.names.all());
        explain(&mut plan, &state, &|| false);
        plan.certificate = self.certificate.clone();
        plan.binding.clone_from(&self.binding);
        self.state = state.shelve();
        self.instance = InstanceShelf::of(instance);
        plan
    }

    /// Takes a change in and plans the workload anew, everything else as it was planned.
    ///
    /// The new plan has passed the checker and is the cheapest of those tried for the workload's options, or, where
    /// nothing passes, is marked as infeasible. Its bound is a bound of the full problem of the changed cluster. Equal sessions
    /// and changes give equal plans.
    ///
    /// # Errors
    /// If the change names what is not there, or needs what only a new session can take in. The session is as it was then.
    pub fn change(&mut self, change: &Change) -> Result<PlanChanges, ChangeError> {
        change::validate(change, |name| self.held.knows_resource(name))?;
        let group = self.held.group_of(&change.workload);
        let group = group.ok_or_else(|| ChangeError::WorkloadUnknown { workload: change.workload.clone() })?;
        let still_before = self.still(group);
        let mut intake = Intake {
            held: &mut self.held,
            instance: &mut self.instance,
            relations: &mut self.relations,
            index: &mut self.index,
            rules: &mut self.rules,
        };
        let edits = intake.enter(change, group)?;
        let changes = self.replan(group, &edits, still_before);
        Ok(changes)
    }

    /// Cost an hour of the group where nothing is changed.
    fn still(&mut self, group: usize) -> CostParts {
        let instance = self.held.take_up(take(&mut self.instance));
        let still = still(&instance, group);
        self.instance = InstanceShelf::of(instance);
        still
    }

    fn replan(&mut self, group: usize, edits: &Edits, still_before: CostParts) -> PlanChanges {
        let mut instance = self.held.take_up(take(&mut self.instance));
        regroup(&mut instance, group);
        instance.limits.renew(
            instance.snapshot,
            instance.policy,
            (&instance.groups, &instance.pods),
            group,
            &edits.templates,
        );
        instance.quotas.renew(instance.snapshot, &instance.groups, &instance.pods, group);
        self.bound.renew_group(&instance, group);
        for &node in &edits.nodes {
            self.bound.renew_node(&instance, node, &self.index.on_node[node]);
        }
        appraise(&mut self.guide, &self.bound, &instance, group);

        let mut state = Occupancy::take_up(take(&mut self.state), &instance, &self.relations);
        let before = Before::of(&state, group, &edits.dead);
        let planned = enter_pods(&mut state, &mut self.index, group, edits);
        let mut desk = Desk {
            held: &self.held,
            rules: &self.rules,
            guide: &self.guide,
            bound: &self.bound,
            index: &mut self.index,
            names: &mut self.names,
            accounts: &mut self.accounts,
        };
        let differing = desk.settle_on_best(&mut state, planned, group, edits);
        let still_after = still(&instance, group);
        let bound = self.bound.total(&instance);
        self.certificate = self.certify(self.accounts.cost(&state), bound, still_before, still_after);
        let certificate = self.certificate.clone();
        let changes = before.differences(&state, self.names.all(), &self.index, &differing, certificate);
        state.settle();
        self.state = state.shelve();
        self.instance = InstanceShelf::of(instance);
        changes
    }

    fn certify(
        &self,
        cost: CostParts,
        (bound, unplaceable): (f64, f64),
        still_before: CostParts,
        still_after: CostParts,
    ) -> Certificate {
        let mut certificate = self.certificate.clone();
        let without = |cost: CostParts| CostParts { unplaced: (cost.unplaced - unplaceable).max(0.0), ..cost };
        let mut now = certificate.cost_now;
        now.unplaced += certificate.unplaceable_per_hour + still_after.unplaced - still_before.unplaced;
        now.risk += still_after.risk - still_before.risk;
        let feasible = self.accounts.violations.is_empty();
        let cost = without(cost);
        let total = cost.total();
        let bound = (bound - unplaceable).max(0.0);
        let bound = if feasible { bound.min(total) } else { bound };
        certificate.cost_per_hour = total;
        certificate.bound_per_hour = bound;
        certificate.gap = certificate::gap(total, bound);
        certificate.packing_gap = 0.0;
        certificate.model_gap = certificate.gap;
        certificate.feasible = feasible;
        certificate.stopped = Stopped::Exhausted;
        certificate.unplaceable_per_hour = unplaceable;
        certificate.cost = cost;
        certificate.now_feasible = self.began_feasible && now.unplaced <= MEANINGFUL;
        certificate.cost_now = without(now);
        certificate.violations = self.accounts.violations.iter().map(ToString::to_string).collect();
        certificate
    }
}

/// What the group may choose among, now that its menu, its pods or what it declares are others.
fn regroup(instance: &mut Instance<'_>, group: usize) {
    let snapshot = instance.snapshot;
    let facts = &mut instance.groups[group];
    let standings: Vec<Standing> = facts.pods.iter().map(|pod| instance.pods[*pod].standing).collect();
    let count = |wanted: &[Standing]| standings.iter().filter(|standing| wanted.contains(standing)).count() as u32;
    facts.fixed = count(&[Standing::Fixed, Standing::Elsewhere]);
    facts.elsewhere = count(&[Standing::Elsewhere]);
    facts.running = count(&[Standing::Fixed, Standing::Movable]);
    facts.template = facts.workload.and_then(|w| w.template).filter(|t| *t < snapshot.templates.len());
    facts.current = None;
    facts.options.clear();
    facts.sizes.clear();
    facts.demands.clear();
    choose_options(facts, snapshot, &instance.pods, &instance.resources);
}

/// Pods that are gone leave the state, those that came join it. Where the group was planned before.
fn enter_pods(state: &mut Occupancy<'_>, index: &mut Index, group: usize, edits: &Edits) -> Planned {
    let instance = state.instance;
    let namespace = instance.groups[group].id.namespace.as_str();
    for &(pod, existing) in &edits.renumbered {
        state.renumber(pod, existing);
    }
    // A pod that was bound where it was planned leaves its place to the one it came back as.
    let planned = Planned::of(state, index, group);
    for &pod in &edits.dead {
        forget(state, index, namespace, pod);
    }
    for &existing in &edits.came {
        let pod = &instance.snapshot.pods[existing];
        if let Some(Named::ToCome(double)) = index.find(&pod.namespace, &pod.name) {
            forget(state, index, namespace, double);
        }
        let facts = &instance.pods[existing];
        let state_of_pod = PodState {
            existing: Some(existing),
            name: pod.name.as_str().into(),
            group: facts.group,
            template: facts.template,
            standing: facts.standing,
            demand: facts.demand.as_slice().into(),
            charge: instance.quotas.own(facts.template),
            origin: facts.node,
            node: None,
            removed: false,
            preempted: false,
        };
        let number = state.pods.len();
        index.add(instance, number, &state_of_pod);
        state.push_pod(state_of_pod);
        state.bind(number, facts.node);
    }
    planned.with_those_that_came(state, index)
}

fn forget(state: &mut Occupancy<'_>, index: &mut Index, namespace: &str, pod: usize) {
    state.bind(pod, None);
    index.forget(namespace, pod, &state.pods[pod]);
    state.forget(pod);
}

/// Tells the guide what the group's pods are worth.
fn appraise(guide: &mut Guide, bound: &Bound, instance: &Instance<'_>, group: usize) {
    for size in 0..instance.groups[group].sizes.len() {
        guide.set_worth(group, size, bound.worth(instance, group, size));
    }
}

/// Cost an hour of the group where nothing is changed: its risk, and its pods without a node.
fn still(instance: &Instance<'_>, group: usize) -> CostParts {
    let facts = &instance.groups[group];
    let option = unchanged(instance)[group];
    let Some(option) = facts.options.get(option) else { return CostParts::default() };
    let gone = surplus(instance, facts, option.replicas as usize, &mut BTreeMap::new());
    let waits = |pod: &&usize| instance.pods[**pod].standing == Standing::Waiting && !gone.contains(pod);
    let waiting: f64 =
        facts.pods.iter().filter(waits).map(|pod| instance.unplaced_price(instance.pods[*pod].template)).sum();
    let to_come = (option.replicas as usize).saturating_sub(facts.pods.len());
    let of_those = facts.template.map_or(0.0, |template| instance.unplaced_price(template));
    let unplaced = waiting + to_come as f64 * of_those;
    CostParts { risk: option.risk_cost_per_hour, unplaced, ..CostParts::default() }
}
