//! Capacity over the horizon: one plan an instant, each from the cluster that the one before leaves behind.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::outlook::{Instant, NodeChange, Schedule};
use crate::domain::plan::NodeState;
use crate::domain::policy::{Policy, Target};
use crate::domain::snapshot::Amount;
use crate::domain::usage::Bucket;
use crate::domain::{CapacityType, Catalog, Clock, Forecast, Menu, Plan, Series, Snapshot, StopRule, WorkloadId};
use crate::optimize::{self, OptimizeError};
use crate::sizing;

use super::after::after;

/// Nodes of one offer in one zone.
type Kind = (String, String, CapacityType);

/// What a schedule is made from.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// The cluster now.
    pub snapshot: &'a Snapshot,
    /// What can be bought.
    pub catalog: &'a Catalog,
    /// What the owner wants.
    pub policy: &'a Policy,
    /// Workload-level measurements.
    pub series: Option<&'a Series>,
    /// Forecasts over the horizon.
    pub forecasts: &'a [Forecast],
    /// The plan for now.
    pub plan: &'a Plan,
}

/// The stop rule of the plan for now, on the clock of the whole command: where instants are planned after it, half of the time
/// that is left is kept for them.
#[must_use]
pub fn stop_for_now(policy: &Policy, forecasts: &[Forecast], stop: &StopRule, clock: &dyn Clock) -> StopRule {
    if policy.planning.instants < 2 || forecasts.is_empty() {
        return *stop;
    }
    let begun = clock.elapsed();
    StopRule { time_limit: begun + stop.time_limit.saturating_sub(begun) / 2, ..*stop }
}

/// The schedule of `planning.instants` instants over the horizon; `None` where that is one or nothing is forecast.
///
/// Replicas change as far as `behavior` reaches within an instant, disruption limits hold in each, and a node is not given
/// back where one like it is needed again before the saving pays for both changes. Each instant is a plan by itself,
/// which knows what the later ones need only through that rule; so the schedule need not be the best one, and its bound says
/// how far from it it can be.
///
/// The stop rule is that of the whole command, on its clock: each plan has an equal share of the time that is left for those
/// still to be made. Once nothing is left, plans are the first that can be had, and nodes are not held for later instants.
///
/// # Errors
/// As [`optimize::plan`].
pub fn schedule(given: Given<'_>, stop: &StopRule, clock: &dyn Clock) -> Result<Option<Schedule>, OptimizeError> {
    let count = given.policy.planning.instants as usize;
    let Some(first) = given.forecasts.first().filter(|_| count > 1) else { return Ok(None) };
    let buckets: Vec<(std::ops::Range<usize>, Bucket)> = first.buckets(count);
    let from = after(given.snapshot, given.catalog, given.plan);
    let forecasts: Vec<Vec<Forecast>> = buckets.iter().map(|(steps, _)| sizing::over(given.forecasts, steps)).collect();
    let instant_s = buckets.iter().map(|(_, bucket)| hours(bucket) * 3600.0).fold(f64::INFINITY, f64::min);
    let menus = sizing::menus_of_instants(&from, given.series, &forecasts, given.policy, instant_s);
    let work = Work {
        given,
        from,
        buckets: buckets.into_iter().map(|(_, bucket)| bucket).collect(),
        menus,
        instant_s,
        stop: *stop,
        // Two rounds of plans and one of bounds share what time there is.
        plans_left: Cell::new(u32::try_from(3 * count).unwrap_or(u32::MAX)),
        clock,
    };
    let greedy = work.rounds(None)?;
    let bounds = work.bounds()?;
    let rounds = if work.time_left().is_zero() {
        greedy
    } else {
        let needs: Vec<BTreeMap<Kind, usize>> = greedy.iter().map(kinds).collect();
        work.rounds(Some(&needs))?
    };
    let regretted = regretted(&rounds, &work.buckets, given.policy);
    let cost = rounds.iter().zip(&work.buckets).map(|(plan, bucket)| cost_per_hour(plan) * hours(bucket)).sum();
    let mut replicas = replicas(given.plan);
    let instants = rounds.iter().zip(&work.buckets).zip(&bounds).map(|((plan, bucket), bound)| {
        let then = self::replicas(plan);
        let changed = then.iter().filter(|(id, n)| replicas.get(*id) != Some(*n)).map(|(id, n)| (id.clone(), *n));
        let changed = changed.collect();
        replicas = then;
        instant(plan, *bucket, *bound, changed)
    });
    Ok(Some(Schedule { instants: instants.collect(), cost, bound: bounds.iter().sum(), regretted }))
}

fn hours(bucket: &Bucket) -> f64 {
    (bucket.end_ms - bucket.start_ms) as f64 / 3_600_000.0
}

/// Everything the model prices, with pods that nothing can hold.
fn cost_per_hour(plan: &Plan) -> f64 {
    plan.certificate.cost_per_hour + plan.certificate.unplaceable_per_hour
}

struct Work<'a> {
    given: Given<'a>,
    /// The cluster when the plan for now is done.
    from: Snapshot,
    buckets: Vec<Bucket>,
    /// By instant.
    menus: Vec<Vec<Menu>>,
    instant_s: f64,
    /// Of the whole command.
    stop: StopRule,
    /// Plans still to be made.
    plans_left: Cell<u32>,
    clock: &'a dyn Clock,
}

impl Work<'_> {
    fn time_left(&self) -> Duration {
        self.stop.time_limit.saturating_sub(self.clock.elapsed())
    }

    fn solve(&self, snapshot: &Snapshot, policy: &Policy, menus: &[Menu]) -> Result<Plan, OptimizeError> {
        let plans = self.plans_left.get().max(1);
        self.plans_left.set(plans - 1);
        let stop = StopRule { time_limit: self.time_left() / plans, ..self.stop };
        let clock = Since { clock: self.clock, started: self.clock.elapsed() };
        optimize::plan(snapshot, self.given.catalog, policy, menus, &stop, &clock, &mut |_| ())
    }

    /// What each instant costs at least, over its hours: the bound of its program with changes for nothing and without
    /// limits on them, and without rules that let stay what stands, since what stands then is open.
    fn bounds(&self) -> Result<Vec<f64>, OptimizeError> {
        let (snapshot, policy) = (free_snapshot(&self.from), free_policy(self.given.policy));
        let bound = |(menus, bucket): (&Vec<Menu>, &Bucket)| {
            let certificate = self.solve(&snapshot, &policy, menus)?.certificate;
            Ok((certificate.bound_per_hour + certificate.unplaceable_per_hour) * hours(bucket))
        };
        self.menus.iter().zip(&self.buckets).map(bound).collect()
    }

    /// The instants one after another; with what each is going to need, nodes are held for those to come.
    fn rounds(&self, needs: Option<&[BTreeMap<Kind, usize>]>) -> Result<Vec<Plan>, OptimizeError> {
        let mut state = self.from.clone();
        let mut rounds: Vec<Plan> = Vec::new();
        for (number, bucket) in self.buckets.iter().enumerate() {
            let policy = self.policy_of(bucket);
            let held = needs.map_or_else(BTreeSet::new, |needs| self.held(&state, needs, number, rounds.last()));
            let mut snapshot = state;
            for node in snapshot.nodes.iter_mut().filter(|node| held.contains(&node.name)) {
                node.do_not_disrupt = true;
            }
            let menus = sizing::within_reach(&snapshot, &self.menus[number], &policy, self.instant_s);
            let plan = self.solve(&snapshot, &policy, &menus)?;
            for node in snapshot.nodes.iter_mut().filter(|node| held.contains(&node.name)) {
                node.do_not_disrupt = false;
            }
            state = after(&snapshot, self.given.catalog, &plan);
            rounds.push(plan);
        }
        Ok(rounds)
    }

    /// The policy of an instant: changes pay off within it or not at all, and requests stay.
    fn policy_of(&self, bucket: &Bucket) -> Policy {
        let mut policy = self.given.policy.clone();
        policy.costs.amortise_hours = hours(bucket);
        policy
    }

    /// Nodes that must stay at an instant: as many of each kind as are needed again so soon that giving them back and
    /// buying them again costs more than keeping them; those with most pods.
    fn held(
        &self,
        state: &Snapshot,
        needs: &[BTreeMap<Kind, usize>],
        number: usize,
        before: Option<&Plan>,
    ) -> BTreeSet<String> {
        let kinds_of = &before.unwrap_or(self.given.plan).nodes;
        let mut pods: BTreeMap<&str, usize> = BTreeMap::new();
        for node in state.pods.iter().filter_map(|pod| pod.node.as_deref()) {
            *pods.entry(node).or_insert(0) += 1;
        }
        let mut standing: BTreeMap<Kind, Vec<(usize, &str, f64)>> = BTreeMap::new();
        for node in kinds_of.iter().filter(|node| node.state != NodeState::Remove) {
            let kind = (node.offer.clone(), node.zone.clone(), node.capacity_type);
            let content = (pods.get(node.name.as_str()).copied().unwrap_or(0), node.name.as_str(), node.price_per_hour);
            standing.entry(kind).or_default().push(content);
        }
        let mut held = BTreeSet::new();
        for (kind, mut nodes) in standing {
            let price = nodes.first().map_or(0.0, |(_, _, price)| *price);
            let start_ms = self.buckets[number].start_ms;
            let soon = |later: &usize| {
                let gap_hours = (self.buckets[*later].start_ms - start_ms) as f64 / 3_600_000.0;
                price * gap_hours < 2.0 * self.given.policy.costs.node_change
            };
            let again = (number + 1..self.buckets.len()).filter(soon).filter_map(|later| needs[later].get(&kind)).max();
            nodes.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
            held.extend(nodes.iter().take(again.copied().unwrap_or(0)).map(|(_, name, _)| (*name).to_owned()));
        }
        held
    }
}

/// A clock that begins when a plan does.
struct Since<'a> {
    clock: &'a dyn Clock,
    started: Duration,
}

impl Clock for Since<'_> {
    fn elapsed(&self) -> Duration {
        self.clock.elapsed().saturating_sub(self.started)
    }
}

/// The cluster without rules that let stay what stands: hard spread of pods, and disruption budgets.
fn free_snapshot(from: &Snapshot) -> Snapshot {
    let mut free = from.clone();
    free.budgets.clear();
    for template in &mut free.templates {
        template.rules.topology_spread.clear();
    }
    free
}

/// The policy with changes for nothing and without limits on them, and without its targets' rules over domains.
fn free_policy(policy: &Policy) -> Policy {
    let free = |target: &Target| Target {
        spread: None,
        max_spot_share: None,
        zone_loss: None,
        max_unavailable: Some(Amount::Percent(100)),
        ..target.clone()
    };
    let mut policy = Policy { targets: policy.targets.iter().map(free).collect(), ..policy.clone() };
    policy.costs.move_per_core = 0.0;
    policy.costs.node_change = 0.0;
    policy.disruption.max_moves = Amount::Percent(100);
    policy.disruption.max_drains = Amount::Percent(100);
    policy
}

/// Nodes that stand when a plan is done, by kind.
fn kinds(plan: &Plan) -> BTreeMap<Kind, usize> {
    let mut kinds = BTreeMap::new();
    for node in plan.nodes.iter().filter(|node| node.state != NodeState::Remove) {
        *kinds.entry((node.offer.clone(), node.zone.clone(), node.capacity_type)).or_insert(0) += 1;
    }
    kinds
}

/// Nodes bought and given back, by kind.
fn changes(plan: &Plan) -> BTreeMap<Kind, (usize, usize)> {
    let mut changes: BTreeMap<Kind, (usize, usize)> = BTreeMap::new();
    for node in plan.nodes.iter().filter(|node| node.state != NodeState::Keep) {
        let change = changes.entry((node.offer.clone(), node.zone.clone(), node.capacity_type)).or_default();
        change.0 += usize::from(node.state == NodeState::Add);
        change.1 += usize::from(node.state == NodeState::Remove);
    }
    changes
}

fn replicas(plan: &Plan) -> BTreeMap<WorkloadId, u32> {
    plan.workloads.iter().map(|workload| (workload.id.clone(), workload.replicas)).collect()
}

/// Nodes given back although one like them is bought again before the saving pays for both changes: each purchase is held
/// against the latest return of its kind that none before it answers.
fn regretted(rounds: &[Plan], buckets: &[Bucket], policy: &Policy) -> usize {
    let mut returned: BTreeMap<Kind, Vec<i64>> = BTreeMap::new();
    let mut regretted = 0;
    for (plan, bucket) in rounds.iter().zip(buckets) {
        for (kind, (bought, given_back)) in changes(plan) {
            let price =
                plan.nodes.iter().find(|n| (&n.offer, &n.zone) == (&kind.0, &kind.1)).map_or(0.0, |n| n.price_per_hour);
            let open = returned.entry(kind).or_default();
            for since_ms in (0..bought).filter_map(|_| open.pop()).collect::<Vec<_>>() {
                let gap_hours = (bucket.start_ms - since_ms) as f64 / 3_600_000.0;
                regretted += usize::from(price * gap_hours < 2.0 * policy.costs.node_change);
            }
            open.extend(std::iter::repeat_n(bucket.start_ms, given_back));
        }
    }
    regretted
}

fn instant(plan: &Plan, bucket: Bucket, bound: f64, replicas: BTreeMap<WorkloadId, u32>) -> Instant {
    let change = |((offer, zone, capacity_type), (bought, given_back)): (Kind, (usize, usize))| NodeChange {
        offer,
        zone,
        capacity_type,
        bought,
        given_back,
    };
    Instant {
        bucket,
        nodes: plan.nodes.iter().filter(|node| node.state != NodeState::Remove).count(),
        nodes_per_hour: plan.certificate.cost.nodes,
        changes: changes(plan).into_iter().map(change).collect(),
        replicas,
        unplaced: plan.unplaced.iter().map(|unplaced| unplaced.count as usize).sum(),
        feasible: plan.certificate.feasible,
        bound,
    }
}
