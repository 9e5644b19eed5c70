//! The stages that prove: the relaxation made stronger, the integer program, node patterns; and the plans they give.

use crate::domain::clock::StopRule;
use crate::domain::problem::Problem;

use super::super::Stage;
use super::super::attempt::{filled, packed, placed};
use super::super::certificate;
use super::super::incumbent::Incumbent;
use super::super::model;
use super::super::pattern_bound::pattern_bound;
use super::super::pools::pools_by_node;
use super::super::priced::{gives_back, priced, settled};
use super::super::purchase::purchase;
use super::super::restrict::around;
use super::super::round::Guide;
use super::super::solve::{Effort, Outcome, Relaxation, Restriction, Whole, integer, relax_within};
use super::{Proof, Stages, Turns};

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

/// Shares of the time left for the whole program: a large one, a small one, and a large one where room at a price has
/// given a bound already.
const PROOF_SHARE: f64 = 0.85;
const SMALL_PROOF_SHARE: f64 = 0.6;
const LATE_PROOF_SHARE: f64 = 0.3;

/// Shares of the time left for a part of the program, and for what is left of it once nodes and steps are settled.
const PART_SHARE: f64 = 0.35;
const SETTLED_SHARE: f64 = 0.2;

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

    /// The bound of the program with room at the relaxation's prices, and a plan that gives back the nodes and takes the
    /// steps that it does; whether there was one to follow.
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
        let priced = priced(problem, &relaxed.row_prices);
        let effort = Effort { relative_gap: PRICED_GAP, ..self.watch.effort(PART_SHARE) };
        let found = integer(&priced, &Restriction::none(&priced), effort, None);
        proof.bound = proof.bound.max(certificate::solver_bound(&priced, found.bound));
        let Some(values) = found.values else { return false };
        let rest = settled(problem, &values);
        let effort = Effort { relative_gap: PRICED_GAP, ..self.watch.effort(SETTLED_SHARE) };
        let bought = integer(problem, &rest, effort, None).values;
        let Some(values) = bought.or_else(|| {
            let relaxed = relax_within(problem, &rest, self.watch.effort(SETTLED_SHARE));
            (relaxed.outcome == Outcome::Finished).then_some(relaxed.values)
        }) else {
            return false;
        };
        self.report(Stage::Place, incumbent, Some(proof.bound));
        let guide = self.guide(problem, &values, &relaxed.row_prices);
        self.follow(incumbent, self.pools, &guide, proof);
        true
    }

    /// The whole integer program, beside the search for plans where there is a second thread.
    #[expect(clippy::too_many_arguments, reason = "what one stage hands to the next")]
    pub(super) fn prove(
        &mut self,
        incumbent: &mut Incumbent<'a>,
        problem: &Problem,
        relaxed: &Relaxation,
        guide: &Guide,
        turns: &mut Turns,
        proof: &mut Proof,
        followed: bool,
    ) {
        let watch = self.watch;
        let whole = Restriction::none(problem);
        let small = integers(problem) <= MOST_INTEGERS;
        let two = watch.stop.threads > 1;
        let share = match (small, followed) {
            (true, _) => SMALL_PROOF_SHARE,
            (false, true) => LATE_PROOF_SHARE,
            (false, false) => PROOF_SHARE,
        };
        let mut proven = std::thread::scope(|scope| {
            let proving = two.then(|| scope.spawn(|| integer(problem, &whole, watch.effort(share), None)));
            if !small && !followed {
                let part = around(problem, &relaxed.values, &relaxed.row_prices);
                let found = integer(problem, &part, watch.effort(PART_SHARE), None);
                // The bound of a part is none of the whole.
                self.learn(incumbent, problem, relaxed, Whole { bound: f64::NEG_INFINITY, ..found }, proof);
            }
            if two || !small {
                self.polish(incumbent, guide, &mut turns.rotation, proof);
            }
            if two {
                self.plan_anew(incumbent, guide, turns, 1, proof);
            }
            proving.and_then(|thread| thread.join().ok())
        });
        let late = !small && followed;
        if proven.is_none() && !late && !self.done(incumbent, proof) {
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
        guide: &Guide,
        turns: &mut Turns,
        proof: &mut Proof,
    ) {
        let instance = self.instance;
        let alone = self.pools.iter().all(|pool| pool.nodes.len() < 2 && pool.joins.is_none());
        if self.done(incumbent, proof) || alone {
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
        let found = if watch.stop.threads > 1 {
            std::thread::scope(|scope| {
                let proving = scope.spawn(solve);
                self.plan_anew(incumbent, guide, turns, 1, proof);
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

/// Variables that take whole numbers only.
pub(super) fn integers(problem: &Problem) -> usize {
    problem.variables.iter().filter(|v| v.integer).count()
}
