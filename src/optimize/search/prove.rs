//! The stages that prove: the relaxation made stronger, the integer program, node patterns; and the plans they give.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::domain::clock::StopRule;
use crate::domain::problem::Problem;

use super::super::Stage;
use super::super::attempt::{filled, packed, placed};
use super::super::certificate;
use super::super::incumbent::Incumbent;
use super::super::model;
use super::super::pattern_bound::pattern_bound;
use super::super::pools::pools_by_node;
use super::super::priced::{Charge, gives_back, priced, settled, with_less_room};
use super::super::purchase::purchase;
use super::super::restrict::around;
use super::super::round::Guide;
use super::super::solve::{Effort, Outcome, Relaxation, Restriction, Whole, integer, relax_within};
use super::{Proof, Stages, Turns, Watch};

/// Integers beyond which the whole program is not tried as one.
pub(super) const MOST_INTEGERS: usize = 10_000;

/// Integers below which the whole program is solved sooner than one with room at a price, or neighbourhoods of it.
pub(super) const LEAST_PRICED: usize = 1000;

/// Nodes of the search tree of the program by node: alike nodes can be swapped, and what a tree so large does not prove,
/// one many times larger hardly does.
const NODES_BY_NODE: i32 = 500;

/// Relative gap to which the program with room at a price is solved: it is solved to its end in seconds, mostly.
const PRICED_GAP: f64 = 2e-4;

/// Share of the time after which node patterns are no longer looked for.
const PATTERNS_SHARE: f64 = 0.7;

/// Share of the time left for the bound by node patterns of what stands and is bought.
const PATTERNS_BOUND_SHARE: f64 = 0.1;

/// Shares of the time left for the whole program: a large one, and a small one.
const PROOF_SHARE: f64 = 0.85;
const SMALL_PROOF_SHARE: f64 = 0.6;

/// Shares of the time left for a part of the program, and for what is left of it once nodes and steps are settled.
const PART_SHARE: f64 = 0.35;
const SETTLED_SHARE: f64 = 0.2;

/// Share of the time left for room charged for in one row more: it is solved by then, or not in many times as long.
const ALL_ROWS_SHARE: f64 = 0.3;

impl<'a> Stages<'a, '_> {
    /// What waits bought for by node patterns, where nothing stands; the bound that proves.
    pub(super) fn buy_by_patterns(&mut self, incumbent: &mut Incumbent<'a>, problem: &Problem) -> Option<f64> {
        let (instance, relations, watch) = (self.instance, self.relations, self.watch);
        if instance.standing > 0 {
            return None;
        }
        let spread = self.foresees_domains();
        let before = filled(instance, relations, incumbent.choices(), spread)?;
        let left = StopRule { time_limit: watch.stop.time_limit.mul_f64(PATTERNS_SHARE), ..*watch.stop };
        let found = purchase(&before, incumbent.state(), &left, watch.clock)?;
        self.report(Stage::Place, incumbent, found.bound);
        let guide = self.guide(problem, &[], &[]).with_worth(&found.worth);
        let taken = incumbent.offer(packed(before, &found, &guide, &|| watch.out_of_time()));
        if !taken && !watch.out_of_time() {
            // Where rules between pods spoil the packing, its prices still tell what each pod is worth.
            let state = placed(instance, relations, &guide, (false, spread), &|| watch.out_of_time());
            state.map(|state| incumbent.offer(state));
        }
        found.bound
    }

    /// Whether more than half of what nodes cost is for such as are bought. Node patterns say what whole nodes hold, and
    /// where most of them stand already, room at a price has said it.
    pub(super) fn buys_most(&self, incumbent: &Incumbent<'a>) -> bool {
        let state = incumbent.state();
        let price = |bought: bool| {
            let nodes = state.nodes.iter().filter(|node| node.open && node.bought == bought);
            nodes.map(|node| self.instance.sites[node.site].price_per_hour).sum::<f64>()
        };
        price(true) > price(false)
    }

    /// Raises the bound to that of node patterns, where there is a gap left.
    pub(super) fn bound_by_patterns(&mut self, incumbent: &Incumbent<'a>, proof: &mut Proof) {
        let watch = self.watch;
        if self.done(incumbent, proof) || self.coarse.is_some() {
            return;
        }
        let time_limit = watch.clock.elapsed() + watch.left().mul_f64(PATTERNS_BOUND_SHARE);
        let stop = StopRule { time_limit, ..*watch.stop };
        let found = pattern_bound(self.seen, self.relations, self.pools, incumbent.choices(), &stop, watch.clock);
        proof.bound = found.map_or(proof.bound, |bound| bound.max(proof.bound));
    }

    /// Bounds of the program with room at the relaxation's prices, and plans that give back the nodes and take the steps
    /// that it does; whether there was one to follow. Where there is a second thread, room is charged for in both ways.
    pub(super) fn price_room(
        &mut self,
        incumbent: &mut Incumbent<'a>,
        problem: &Problem,
        relaxed: &Relaxation,
        proof: &mut Proof,
    ) -> bool {
        if self.done(incumbent, proof) || integers(problem) < LEAST_PRICED || !gives_back(problem) {
            return false;
        }
        self.report(Stage::Round, incumbent, Some(proof.bound));
        let watch = self.watch;
        let solve = |charge| at_a_price(problem, &relaxed.row_prices, charge, watch);
        let found = std::thread::scope(|scope| {
            let beside = (watch.stop.threads > 1).then(|| scope.spawn(|| solve(Charge::AllRows)));
            let each = solve(Charge::EachRow);
            let all = beside.and_then(|thread| thread.join().ok());
            [Some(each), all]
        });
        let found = || found.iter().flatten();
        proof.bound = found().map(|found| found.bound).fold(proof.bound, f64::max);
        self.report(Stage::Place, incumbent, Some(proof.bound));
        for values in found().flat_map(|found| &found.plans) {
            let guide = self.guide(problem, values, &relaxed.row_prices);
            self.follow(incumbent, self.pools, &guide, proof);
        }
        found().any(|found| !found.plans.is_empty())
    }

    /// The whole integer program, beside the search for plans where there is a second thread.
    pub(super) fn prove(
        &mut self,
        incumbent: &mut Incumbent<'a>,
        problem: &Problem,
        relaxed: &Relaxation,
        guide: &Guide,
        turns: &mut Turns,
        proof: &mut Proof,
    ) {
        if self.done(incumbent, proof) {
            return;
        }
        self.report(Stage::Round, incumbent, Some(proof.bound));
        let watch = self.watch;
        let whole = Restriction::none(problem);
        let small = integers(problem) <= MOST_INTEGERS;
        let two = watch.stop.threads > 1;
        let share = if small { SMALL_PROOF_SHARE } else { PROOF_SHARE };
        let over = AtomicBool::new(false);
        let mut proven = std::thread::scope(|scope| {
            let proving =
                two.then(|| scope.spawn(|| until(&over, || integer(problem, &whole, watch.effort(share), None))));
            if !small {
                let part = around(problem, &relaxed.values, &relaxed.row_prices);
                let found = integer(problem, &part, watch.effort(PART_SHARE), None);
                // The bound of a part is none of the whole.
                self.learn(incumbent, problem, relaxed, Whole { bound: f64::NEG_INFINITY, ..found }, proof);
            }
            if two || !small {
                self.polish(incumbent, guide, turns, proof);
            }
            if two {
                self.plan_anew(incumbent, guide, turns, &|| free_threads(watch, &over), proof);
            }
            proving.and_then(|thread| thread.join().ok())
        });
        if proven.is_none() && !self.done(incumbent, proof) {
            proven = Some(integer(problem, &whole, watch.effort(share), None));
        }
        if let Some(found) = proven {
            self.learn(incumbent, problem, relaxed, found, proof);
        }
    }

    /// The program with a pool for each node, where it is small enough: pods that fit pools may not fit nodes.
    pub(super) fn prove_by_node(
        &mut self,
        incumbent: &mut Incumbent<'a>,
        problem: &Problem,
        guide: &Guide,
        turns: &mut Turns,
        proof: &mut Proof,
    ) {
        let instance = self.instance;
        let alone = self.pools.iter().all(|pool| pool.nodes.len() < 2 && pool.joins.is_none());
        // It has no fewer integers than the program by pools.
        if self.done(incumbent, proof) || alone || integers(problem) > MOST_INTEGERS {
            return;
        }
        let pools = pools_by_node(instance);
        let problem = model::build(instance, &pools, self.relations);
        if integers(&problem) > MOST_INTEGERS {
            return;
        }
        self.report(Stage::Round, incumbent, Some(proof.bound));
        let watch = self.watch;
        let whole = Restriction::none(&problem);
        let effort = || Effort { most_nodes: NODES_BY_NODE, ..watch.effort(SMALL_PROOF_SHARE) };
        let solve = || integer(&problem, &whole, effort(), None);
        let over = AtomicBool::new(false);
        let found = if watch.stop.threads > 1 {
            std::thread::scope(|scope| {
                let proving = scope.spawn(|| until(&over, solve));
                self.plan_anew(incumbent, guide, turns, &|| free_threads(watch, &over), proof);
                proving.join().ok()
            })
        } else {
            Some(solve())
        };
        let Some(Whole { values, bound }) = found else { return };
        proof.bound = proof.bound.max(certificate::solver_bound(&problem, bound));
        if let Some(values) = values {
            let guide = Guide::read(instance, &pools, &problem, &values, &[]).with_worth_of(guide);
            self.follow(incumbent, &pools, &guide, proof);
        }
    }

    /// Takes the bound of an answer of the integer program, and tries its plan.
    pub(super) fn learn(
        &mut self,
        incumbent: &mut Incumbent<'a>,
        problem: &Problem,
        relaxed: &Relaxation,
        found: Whole,
        proof: &mut Proof,
    ) {
        proof.bound = proof.bound.max(certificate::solver_bound(problem, found.bound));
        let Some(values) = found.values else { return };
        let cost = problem.cost_of(&values);
        proof.pool_cost = Some(proof.pool_cost.map_or(cost, |least| least.min(cost)));
        if !self.done(incumbent, proof) {
            self.report(Stage::Place, incumbent, Some(proof.bound));
            let guide = self.guide(problem, &values, &relaxed.row_prices);
            self.try_guide(incumbent, &guide, proof);
        }
    }
}

/// What the program with room at a price in whole numbers says.
struct AtAPrice {
    /// A bound of the program itself.
    bound: f64,
    /// Values of plans by pools, with whole nodes bought for what the priced program leaves.
    plans: Vec<Vec<f64>>,
}

fn at_a_price(problem: &Problem, row_prices: &[f64], charge: Charge, watch: Watch<'_>) -> AtAPrice {
    let effort = |share: f64| Effort { relative_gap: PRICED_GAP, ..watch.effort(share) };
    let priced = priced(problem, row_prices, charge);
    let share = if charge == Charge::EachRow { PART_SHARE } else { ALL_ROWS_SHARE };
    let found = integer(&priced, &Restriction::none(&priced), effort(share), None);
    let buy = |problem: &Problem, values: &[f64]| {
        let rest = settled(problem, values);
        integer(problem, &rest, effort(SETTLED_SHARE), None).values.or_else(|| {
            let relaxed = relax_within(problem, &rest, watch.effort(SETTLED_SHARE));
            (relaxed.outcome == Outcome::Finished).then_some(relaxed.values)
        })
    };
    let plans = found.values.iter().flat_map(|values| {
        let tight = (charge == Charge::EachRow).then(|| with_less_room(problem));
        [buy(problem, values), tight.and_then(|problem| buy(&problem, values))]
    });
    AtAPrice { bound: certificate::solver_bound(&priced, found.bound), plans: plans.flatten().collect() }
}

/// Works, and says when it is over.
fn until<T>(over: &AtomicBool, work: impl FnOnce() -> T) -> T {
    let found = work();
    over.store(true, Ordering::Relaxed);
    found
}

/// Threads beside the one that proves, and that one too once it is over.
fn free_threads(watch: Watch<'_>, over: &AtomicBool) -> usize {
    watch.stop.threads - usize::from(!over.load(Ordering::Relaxed))
}

/// Variables that take whole numbers only.
pub(super) fn integers(problem: &Problem) -> usize {
    problem.variables.iter().filter(|v| v.integer).count()
}
