//! The stages in order, always with a plan in hand.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::catalog::Catalog;
use crate::domain::clock::{Clock, StopRule};
use crate::domain::menu::Menu;
use crate::domain::plan::{CostParts, Plan, Stopped};
use crate::domain::policy::Policy;
use crate::domain::problem::{Problem, Quantity};
use crate::domain::snapshot::Snapshot;

use super::buy::{buy_as_guided, buy_greedily};
use super::certificate;
use super::check::{CheckReport, check};
use super::coarse::coarser;
use super::conflict::conflict;
use super::consolidate::consolidate;
use super::first_fit::first_fit;
use super::instance::Instance;
use super::mend::mend;
use super::model;
use super::occupancy::Occupancy;
use super::place::{place_waiting, relieve};
use super::plan::{explain, plan_of, unmodelled_rules};
use super::pools::pools;
use super::relations::Relations;
use super::round::{Guide, unchanged};
use super::sensitivity;
use super::solve::{Effort, Outcome, integer, relax};
use super::start::start;
use super::{Progress, Stage};

/// Plans with a gap this small are called optimal.
const OPTIMAL_GAP: f64 = 1e-6;

/// Integers beyond which the whole program is not tried as one.
const MOST_INTEGERS: usize = 10_000;

/// Share of the time that may go by before the relaxation is begun.
const PLAIN_SHARE: f64 = 0.4;

/// Cost an hour below which one plan is not cheaper than another.
const MEANINGFUL: f64 = 1e-9;

/// Rounds of giving a group that does not fit a smaller choice.
const MOST_RETREATS: usize = 12;

/// How the search stands against its stop rule.
struct Watch<'a> {
    clock: &'a dyn Clock,
    stop: &'a StopRule,
}

impl Watch<'_> {
    fn left(&self) -> Duration {
        self.stop.time_limit.saturating_sub(self.clock.elapsed())
    }

    /// A share of the time left for the solver, which overshoots its limit by up to a tenth.
    fn effort(&self, share: f64) -> Effort {
        Effort {
            time: self.left().mul_f64(share),
            relative_gap: (self.stop.gap / 2.0).clamp(0.0, 1.0),
            seed: self.stop.seed,
            threads: self.stop.threads.max(1),
        }
    }

    fn out_of_time(&self) -> bool {
        self.left().is_zero()
    }
}

/// What the program proved.
struct Proof {
    bound: f64,
    /// Cost of the pool-level plan in whole numbers, where one was found.
    pool_cost: Option<f64>,
    row_prices: Vec<f64>,
    /// Part of every plan's cost, and so of the bound, that says nothing about a plan.
    unplaceable: f64,
}

pub(super) fn search(
    snapshot: &Snapshot,
    catalog: &Catalog,
    policy: &Policy,
    menus: &[Menu],
    stop: &StopRule,
    clock: &dyn Clock,
    progress: &mut dyn FnMut(Progress),
) -> Plan {
    let watch = Watch { clock, stop };
    progress(Progress { stage: Stage::Collapse, cost_per_hour: None, bound_per_hour: None });
    let instance = Instance::new(snapshot, catalog, policy, menus);
    let relations = Relations::new(&instance);
    let coarse = coarser(&instance, &relations);
    let (seen, seen_relations) = coarse.as_ref().map_or((&instance, &relations), |c| (&c.instance, &c.relations));
    let pools = pools(seen);
    let mut problem = model::build(seen, &pools, seen_relations);
    let read = |problem: &Problem, values: &[f64], prices: &[f64]| {
        let guide = Guide::read(seen, &pools, problem, values, prices);
        coarse.as_ref().map_or_else(|| guide.clone(), |c| guide.clone().of_parts(&instance, &c.group_of))
    };

    // First plans: nothing changed, then whatever waits placed first-fit, then bought for without any guidance.
    let still = start(&instance, &relations, &unchanged(&instance));
    let mut candidates = Candidates::new(still.clone());
    if coarse.is_none() {
        let mut first = still.clone();
        first_fit(&mut first);
        candidates.offer(Some(first));
    }
    let plain = read(&problem, &[], &[]);
    let out_of_time = || watch.out_of_time();
    let spread = instance.sites.len() > instance.standing && relations.has_spread();
    // The plain plan must not eat the time of the proof.
    let slice_over = || clock.elapsed() >= stop.time_limit.mul_f64(PLAIN_SHARE);
    let careful = placed(&instance, &relations, &plain, (false, spread), &slice_over);
    let complete = careful.as_ref().is_some_and(|state| state.waiting().is_empty());
    candidates.offer(careful);
    // In a large cluster a second plan takes long, and where all pods have a node it is hardly ever cheaper.
    if spread && !slice_over() && !(complete && coarse.is_some()) {
        candidates.offer(placed(&instance, &relations, &plain, (false, false), &slice_over));
    }
    let report = |stage, candidates: &Candidates<'_>, bound| Progress {
        stage,
        cost_per_hour: Some(candidates.best_cost()),
        bound_per_hour: bound,
    };

    progress(report(Stage::Relax, &candidates, None));
    let relaxed = relax(&problem, watch.effort(0.6));
    let mut proof = Proof {
        bound: certificate::safe_bound(&problem, &relaxed.row_prices).max(0.0),
        pool_cost: None,
        row_prices: relaxed.row_prices.clone(),
        unplaceable: certificate::unplaceable(seen, &problem),
    };
    let done = |candidates: &Candidates<'_>, proof: &Proof| {
        let (cost, bound) = (candidates.best_cost() - proof.unplaceable, proof.bound - proof.unplaceable);
        watch.out_of_time() || certificate::gap(cost, bound) <= stop.gap
    };
    let finished = relaxed.outcome == Outcome::Finished;
    if (finished || !candidates.is_complete()) && !done(&candidates, &proof) {
        progress(report(Stage::Place, &candidates, Some(proof.bound)));
        // Estimates must do where there are no prices; a plan that was cut short is worse than one made by them.
        let guide = if finished { read(&problem, &relaxed.values, &relaxed.row_prices) } else { plain };
        candidates.offer(placed(&instance, &relations, &guide, (false, spread), &out_of_time));
        if finished && coarse.is_none() && !done(&candidates, &proof) {
            candidates.offer(placed(&instance, &relations, &guide, (true, spread), &out_of_time));
        }
    }
    let integers = problem.variables.iter().filter(|v| v.integer).count();
    if relaxed.outcome == Outcome::Finished
        && coarse.is_none()
        && integers <= MOST_INTEGERS
        && !done(&candidates, &proof)
    {
        progress(report(Stage::Round, &candidates, Some(proof.bound)));
        let whole = integer(&problem, watch.effort(0.6), None);
        proof.bound = proof.bound.max(certificate::solver_bound(&problem, whole.bound));
        if let Some(values) = whole.values {
            proof.pool_cost = Some(problem.cost_of(&values));
            progress(report(Stage::Place, &candidates, Some(proof.bound)));
            let guide = read(&problem, &values, &relaxed.row_prices);
            for guided in [true, false] {
                if !done(&candidates, &proof) {
                    candidates.offer(placed(&instance, &relations, &guide, (guided, spread), &out_of_time));
                }
            }
        }
    }
    if relaxed.outcome == Outcome::Finished && !done(&candidates, &proof) {
        progress(report(Stage::Place, &candidates, Some(proof.bound)));
        let guide = read(&problem, &relaxed.values, &relaxed.row_prices);
        let stop = || watch.out_of_time();
        vary_choices(&mut candidates, &instance, &guide, &stop, &|guide: &Guide| {
            placed(&instance, &relations, guide, (false, spread), &stop)
        });
    }
    progress(report(Stage::Check, &candidates, Some(proof.bound)));
    let check = |plan: &Plan| check(snapshot, catalog, policy, menus, plan);
    let mut plan = finish(&instance, &check, &problem, &proof, &watch, &still, candidates);
    plan.certificate.prices = catalog.prices;
    // Rows of a coarser program stand for many rules, which it cannot tell apart.
    if relaxed.outcome == Outcome::Finished && coarse.is_none() {
        // Explaining must not take longer than the time limit, nor eat the time of the search before it.
        let effort = || watch.effort(0.5);
        plan.conflict = conflict(&problem, &left_out(&problem, &relaxed.values), &effort);
        let optimum = problem.cost_of(&relaxed.values);
        sensitivity::confirm(&mut problem, optimum, &mut plan.binding, &effort);
    }
    plan
}

/// Groups of which the relaxation leaves pods out although some node could hold one.
fn left_out(problem: &Problem, values: &[f64]) -> BTreeSet<usize> {
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

/// States worth checking, cheapest first; among equals the earlier.
struct Candidates<'a> {
    states: Vec<(f64, Occupancy<'a>)>,
}

impl<'a> Candidates<'a> {
    fn new(first: Occupancy<'a>) -> Self {
        Self { states: vec![(first.cost().total(), first)] }
    }

    fn offer(&mut self, state: Option<Occupancy<'a>>) {
        if let Some(state) = state {
            let cost = state.cost().total();
            let position = self.states.partition_point(|(other, _)| *other <= cost);
            self.states.insert(position, (cost, state));
        }
    }

    /// Option of each group in the cheapest state.
    fn best_choices(&self) -> Vec<usize> {
        self.states.first().map_or_else(Vec::new, |(_, state)| state.choices.clone())
    }

    /// Whether the cheapest state leaves no pod out.
    fn is_complete(&self) -> bool {
        self.states.first().is_some_and(|(_, state)| state.waiting().is_empty())
    }

    fn best_cost(&self) -> f64 {
        self.states.first().map_or(f64::INFINITY, |(cost, _)| *cost)
    }
}

/// Tries the other choices of one workload at a time, from the cheapest state so far and as long as that lowers the cost.
/// The relaxation chooses by prices of parts of nodes; only whole nodes tell whether a smaller size empties one.
fn vary_choices<'a>(
    candidates: &mut Candidates<'a>,
    instance: &Instance<'_>,
    guide: &Guide,
    out_of_time: &dyn Fn() -> bool,
    place: &dyn Fn(&Guide) -> Option<Occupancy<'a>>,
) {
    let mut improved = true;
    while improved {
        improved = false;
        for (group, facts) in instance.groups.iter().enumerate() {
            for option in 0..facts.options.len() {
                if out_of_time() {
                    return;
                }
                let mut choices = candidates.best_choices();
                if choices.get(group).is_none_or(|&now| now == option) {
                    continue;
                }
                choices[group] = option;
                let mut varied = guide.clone();
                varied.choices = choices;
                // Only what is cheaper is kept: a state of a large cluster takes megabytes.
                let cheaper = place(&varied).filter(|s| s.cost().total() < candidates.best_cost() - MEANINGFUL);
                improved |= cheaper.is_some();
                candidates.offer(cheaper);
            }
        }
    }
}

/// A concrete state for the guide's choices: relieved, filled, bought for and consolidated. `None` where the sizes it
/// chose cannot be had.
fn placed<'a>(
    instance: &'a Instance<'a>,
    relations: &'a Relations,
    guide: &Guide,
    (buy_guided, foresees_domains): (bool, bool),
    out_of_time: &dyn Fn() -> bool,
) -> Option<Occupancy<'a>> {
    let mut choices = guide.choices.clone();
    let mut best: Option<Occupancy<'a>> = None;
    for _ in 0..MOST_RETREATS {
        let mut state = start(instance, relations, &choices);
        state.keep_even(foresees_domains);
        if let Err(stuck) = relieve(&mut state) {
            if !retreat(instance, &mut choices, stuck) {
                break;
            }
            continue;
        }
        place_waiting(&mut state, |_| true);
        mend(&mut state);
        if buy_guided {
            buy_as_guided(&mut state, guide);
        }
        buy_greedily(&mut state, guide, out_of_time);
        if !out_of_time() {
            consolidate(&mut state, guide, out_of_time);
        }
        let homeless = state.waiting().into_iter().filter_map(|p| state.pods[p].group).collect();
        if best.as_ref().is_none_or(|b| state.cost().total() < b.cost().total()) {
            best = Some(state);
        }
        if out_of_time() || !retreat(instance, &mut choices, homeless) {
            break;
        }
    }
    best
}

/// Gives each of the groups the next smaller choice; `false` if none of them has one.
fn retreat(instance: &Instance<'_>, choices: &mut [usize], groups: BTreeSet<usize>) -> bool {
    let mut changed = false;
    for group in groups {
        let facts = &instance.groups[group];
        let Some(template) = facts.template else { continue };
        let load = |option: usize| {
            let choice = &facts.options[option];
            facts
                .demand(template, choice.size)
                .iter()
                .map(|a| a.saturating_mul(i64::from(choice.replicas)))
                .collect::<Vec<_>>()
        };
        let now = load(choices[group]);
        let smaller = (0..facts.options.len()).filter(|option| {
            let load = load(*option);
            load != now && load.iter().zip(&now).all(|(a, b)| a <= b)
        });
        let next = smaller.min_by(|a, b| {
            facts.options[*a].risk_cost_per_hour.total_cmp(&facts.options[*b].risk_cost_per_hour).then(a.cmp(b))
        });
        if let Some(next) = next {
            choices[group] = next;
            changed = true;
        }
    }
    changed
}

/// Checks the candidates, cheapest first, and certifies the first that passes.
fn finish(
    instance: &Instance<'_>,
    check: &dyn Fn(&Plan) -> CheckReport,
    problem: &Problem,
    proof: &Proof,
    watch: &Watch<'_>,
    still: &Occupancy<'_>,
    candidates: Candidates<'_>,
) -> Plan {
    let still_plan = plan_of(still);
    let CheckReport { violations: broken_now, cost: cost_now } = check(&still_plan);
    let now_feasible = broken_now.is_empty() && still.waiting().is_empty();
    let mut chosen: Option<(Plan, CheckReport, Occupancy<'_>)> = None;
    for (_, state) in candidates.states {
        let plan = plan_of(&state);
        let report = check(&plan);
        let passes = report.violations.is_empty();
        // Where nothing passes, the plan that breaks least is shown, and shown as infeasible.
        if passes || chosen.as_ref().is_none_or(|(_, least, _)| report.violations.len() < least.violations.len()) {
            chosen = Some((plan, report, state));
        }
        if passes {
            break;
        }
    }
    let (mut plan, CheckReport { violations, cost }, state) = chosen.unwrap_or_else(|| {
        let report = CheckReport { violations: broken_now, cost: cost_now };
        (still_plan, report, still.clone())
    });
    explain(&mut plan, &state);
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
