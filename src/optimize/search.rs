//! The stages in order, always with a plan in hand.

mod from;
mod proof;
mod prove;

use std::time::Duration;

use crate::domain::catalog::Catalog;
use crate::domain::clock::{Clock, StopRule};
use crate::domain::earlier::EarlierPlan;
use crate::domain::menu::Menu;
use crate::domain::plan::Plan;
use crate::domain::policy::Policy;
use crate::domain::problem::Problem;
use crate::domain::snapshot::Snapshot;

use super::attempt::{followed, placed};
use super::certificate;
use super::check::check;
use super::coarse::{Coarse, coarser};
use super::conflict::conflict;
use super::destinations::stay_in_zones;
use super::first_fit::{first_fit, first_fit_below};
use super::follow::Filling;
use super::gangs::disband;
use super::improve::{Rotation, improve};
use super::incumbent::Incumbent;
use super::instance::{Instance, Standing};
use super::model;
use super::neighbourhood::Neighbourhoods;
use super::pools::{Pool, pools};
use super::preempt::last_resorts;
use super::relations::Relations;
use super::round::{Guide, unchanged};
use super::sensitivity;
use super::session::Prices;
use super::solve::{Effort, Outcome, Relaxation, relax};
use super::start::start;
use super::{Progress, Stage};
use proof::{Proof, certified, left_out};
use prove::{LEAST_PRICED, MOST_INTEGERS, integers};

/// Nodes of one search tree of the solver.
const MOST_TREE_NODES: i32 = 20_000;

/// Share of the time that may go by before the relaxation is begun.
const PLAIN_SHARE: f64 = 0.4;

/// Share of the time kept for explaining why pods wait, where some do.
const EXPLAINING_SHARE: f64 = 0.05;

/// Changes tried before the first check of an improved plan, doubled from check to check, and the number of checks.
const FIRST_SLICE: usize = 200;
const MOST_SLICES: usize = 8;

/// Of these checks, those before neighbourhoods have their turn: they gain more in the same time from then on.
const EARLY_SLICES: usize = 3;

/// How the search stands against its stop rule.
#[derive(Clone, Copy)]
struct Watch<'a> {
    clock: &'a dyn Clock,
    stop: &'a StopRule,
    /// Time kept for what comes after.
    kept: Duration,
}

impl Watch<'_> {
    fn left(&self) -> Duration {
        self.stop.time_limit.saturating_sub(self.kept).saturating_sub(self.clock.elapsed())
    }

    /// A share of the time left for the solver, which overshoots its limit by up to a tenth.
    fn effort(&self, share: f64) -> Effort {
        Effort {
            time: self.left().mul_f64(share),
            relative_gap: (self.stop.gap / 2.0).clamp(0.0, 1.0),
            most_nodes: MOST_TREE_NODES,
            seed: self.stop.seed,
            // Threads are the search's own: each of them runs one solver.
            threads: 1,
        }
    }

    fn out_of_time(&self) -> bool {
        self.left().is_zero()
    }
}

/// The best plan found, and the prices its bound rests on.
#[expect(clippy::too_many_arguments, reason = "those of the library's function, and the plan to begin from")]
pub(super) fn search(
    snapshot: &Snapshot,
    catalog: &Catalog,
    policy: &Policy,
    menus: &[Menu],
    earlier: Option<&EarlierPlan>,
    stop: &StopRule,
    clock: &dyn Clock,
    progress: &mut dyn FnMut(Progress),
) -> (Plan, Prices) {
    progress(Progress { stage: Stage::Collapse, cost_per_hour: None, bound_per_hour: None });
    let instance = Instance::new(snapshot, catalog, policy, menus);
    let waits = instance.pods.iter().any(|pod| pod.standing == Standing::Waiting);
    let kept = stop.time_limit.mul_f64(if waits { EXPLAINING_SHARE } else { 0.0 });
    let watch = Watch { clock, stop, kept };
    let relations = Relations::new(&instance);
    let coarse = coarser(&instance, &relations);
    let (seen, seen_relations) = coarse.as_ref().map_or((&instance, &relations), |c| (&c.instance, &c.relations));
    let pools = pools(seen);
    let mut problem = model::build(seen, &pools, seen_relations);

    let check = |plan: &Plan| check(snapshot, catalog, policy, menus, plan);
    let mut incumbent = Incumbent::new(start(&instance, &relations, &unchanged(&instance)), &check);
    let proof_of = |relaxed: &Relaxation| Proof {
        bound: certificate::safe_bound(&problem, &relaxed.row_prices).max(0.0),
        pool_cost: None,
        row_prices: relaxed.row_prices.clone(),
        unplaceable: certificate::unplaceable(seen, &problem),
    };
    let coarse = coarse.as_ref();
    let mut stages =
        Stages { instance: &instance, relations: &relations, seen, coarse, pools: &pools, watch, progress };
    if !earlier.is_some_and(|earlier| stages.take_up(&mut incumbent, &problem, earlier)) {
        stages.first_plans(&mut incumbent, &problem);
    }
    let bought = stages.second_plans(&mut incumbent, &problem);
    // Of what is bought from nothing, patterns prove more than a coarser program can.
    let relaxed = if bought.is_some() && coarse.is_some() {
        Relaxation::skipped()
    } else {
        stages.report(Stage::Relax, &incumbent, bought);
        relax(&problem, watch.effort(0.6))
    };
    let mut proof = proof_of(&relaxed);
    proof.bound = bought.map_or(proof.bound, |bound| bound.max(proof.bound));
    let begun = earlier.map(|_| proof.clone());
    stages.go_on(&mut incumbent, &problem, &relaxed, &mut proof);
    if let Some(begun) = begun {
        stages.search_anew(&mut incumbent, &problem, &relaxed, begun, &mut proof, &check);
    }
    if !incumbent.is_complete() && watch.out_of_time() {
        // Cut short: what waits still goes to the first node that takes it, so that no deadline leaves pods out.
        incumbent.change(|state| {
            state.keep_even(false);
            first_fit(state);
            false
        });
    }
    stages.make_room(&mut incumbent, &problem);
    if !watch.out_of_time() {
        incumbent.rearrange(stay_in_zones);
    }
    stages.report(Stage::Check, &incumbent, Some(proof.bound));
    let watch = Watch { kept: Duration::ZERO, ..watch };
    let mut plan = certified(&instance, &problem, &proof, watch, incumbent);
    plan.certificate.prices = catalog.prices;
    // Rows of a coarser program stand for many rules, which it cannot tell apart.
    if relaxed.outcome == Outcome::Finished && coarse.is_none() && !watch.out_of_time() {
        // Explaining must not take longer than the time limit, nor eat the time of the search before it.
        let effort = || watch.effort(0.5);
        plan.conflict = conflict(&problem, &left_out(&problem, &relaxed.values), &effort);
        let optimum = problem.cost_of(&relaxed.values);
        sensitivity::confirm(&mut problem, optimum, &mut plan.binding, &effort);
    }
    let classes = coarse.map_or_else(|| (0..instance.groups.len()).collect(), |coarse| coarse.group_of.clone());
    let prices = Prices::read(seen, &pools, &problem, &relaxed.row_prices, classes);
    (plan, prices)
}

/// Whose turn it is: nodes and workloads in the local search, and nodes in neighbourhoods.
struct Turns {
    rotation: Rotation,
    /// None where the whole program is solved sooner than its neighbourhoods one by one.
    neighbourhoods: Option<Neighbourhoods>,
}

impl Turns {
    fn new(stop: &StopRule, problem: &Problem) -> Self {
        let worth_it = integers(problem) >= LEAST_PRICED;
        Self {
            rotation: Rotation::new(stop.seed),
            neighbourhoods: worth_it.then(|| Neighbourhoods::new(stop.seed, stop.threads)),
        }
    }
}

/// What every stage needs.
struct Stages<'a, 'p> {
    instance: &'a Instance<'a>,
    relations: &'a Relations,
    /// The instance that the program sees: a coarser one of a large cluster.
    seen: &'a Instance<'a>,
    coarse: Option<&'a Coarse<'a>>,
    pools: &'a [Pool],
    watch: Watch<'a>,
    progress: &'p mut dyn FnMut(Progress),
}

impl<'a> Stages<'a, '_> {
    fn report(&mut self, stage: Stage, incumbent: &Incumbent<'_>, bound_per_hour: Option<f64>) {
        let cost_per_hour = incumbent.feasible().then(|| incumbent.cost());
        (self.progress)(Progress { stage, cost_per_hour, bound_per_hour });
    }

    /// What the program's answer says to do.
    fn guide(&self, problem: &Problem, values: &[f64], row_prices: &[f64]) -> Guide {
        let guide = Guide::read(self.seen, self.pools, problem, values, row_prices);
        match self.coarse {
            Some(coarse) => guide.of_parts(self.instance, &coarse.group_of),
            None => guide,
        }
    }

    /// Whether what can be bought may open domains that pods are spread over.
    fn foresees_domains(&self) -> bool {
        self.instance.sites.len() > self.instance.standing && self.relations.has_spread()
    }

    fn done(&self, incumbent: &Incumbent<'_>, proof: &Proof) -> bool {
        self.watch.out_of_time() || incumbent.feasible() && proof.suffices(incumbent.cost(), self.watch.stop)
    }

    /// Whatever waits placed first-fit, then bought for without any guidance.
    fn first_plans(&mut self, incumbent: &mut Incumbent<'a>, problem: &Problem) {
        let (instance, relations, watch) = (self.instance, self.relations, self.watch);
        if self.coarse.is_none() {
            self.fit_first(incumbent);
        }
        let plain = self.guide(problem, &[], &[]);
        // The plain plan must not eat the time of the proof.
        let slice_over = || watch.clock.elapsed() >= watch.stop.time_limit.mul_f64(PLAIN_SHARE);
        let spread = self.foresees_domains();
        for foresees_domains in [true, false].into_iter().filter(|foresees| spread || !foresees) {
            // In a large cluster a second plan takes long, and where all pods have a node it is hardly ever cheaper.
            let enough = self.coarse.is_some() && incumbent.is_complete();
            if !slice_over() && !enough {
                let state = placed(instance, relations, &plain, (false, foresees_domains), &slice_over);
                state.map(|state| incumbent.offer(state));
            }
        }
    }

    /// What waits bought for by node patterns, and in a large cluster placed first-fit: with a cheap plan at hand it is soon
    /// seen that first-fit costs more, which in a small cluster is known at once. The bound of patterns, if there is one.
    fn second_plans(&mut self, incumbent: &mut Incumbent<'a>, problem: &Problem) -> Option<f64> {
        let bound = self.buy_by_patterns(incumbent, problem);
        if self.coarse.is_some() {
            self.fit_first(incumbent);
        }
        bound
    }

    /// Whatever waits placed first-fit: no plan is to be dearer.
    fn fit_first(&self, incumbent: &mut Incumbent<'a>) {
        // Nodes of gangs that are not complete are given up again, so that only the end tells what they cost.
        let gangs = !self.instance.snapshot.gangs.is_empty();
        let most = if incumbent.feasible() && !gangs { incumbent.cost() } else { f64::INFINITY };
        let mut state = start(self.instance, self.relations, &unchanged(self.instance));
        if first_fit_below(&mut state, most) {
            disband(&mut state);
            incumbent.offer(state);
        }
    }

    /// Pods that wait in the cheapest plan take room from others, however that plan was made.
    fn make_room(&self, incumbent: &mut Incumbent<'a>, problem: &Problem) {
        if incumbent.is_complete() || self.watch.out_of_time() || !incumbent.state().preempts() {
            return;
        }
        let guide = self.guide(problem, &[], &[]);
        let watch = self.watch;
        incumbent.change(|state| {
            last_resorts(state, &guide, &|| watch.out_of_time());
            false
        });
    }

    /// From the first plans on, with the relaxation's answer if there is one.
    fn go_on(&mut self, incumbent: &mut Incumbent<'a>, problem: &Problem, relaxed: &Relaxation, proof: &mut Proof) {
        if relaxed.outcome == Outcome::Finished {
            self.search(incumbent, problem, relaxed, proof);
        } else if !incumbent.is_complete() {
            // Estimates must do where there are no prices; a plan that was cut short is worse than one made by them.
            let plain = self.guide(problem, &[], &[]);
            self.place(incumbent, &plain, false, proof);
        }
    }

    /// From the relaxation's answer on: its plan followed, then those of the integer program, each improved.
    fn search(&mut self, incumbent: &mut Incumbent<'a>, problem: &Problem, relaxed: &Relaxation, proof: &mut Proof) {
        let mut turns = Turns::new(self.watch.stop, problem);
        let guide = self.guide(problem, &relaxed.values, &relaxed.row_prices);
        if self.coarse.is_some() {
            // Its pools are not the cluster's, so that there is no plan to follow but only prices to go by.
            self.report(Stage::Place, incumbent, Some(proof.bound));
            self.place(incumbent, &guide, false, proof);
            self.vary_choices(incumbent, &guide, proof);
            return;
        }
        let followed = self.price_room(incumbent, problem, relaxed, proof);
        if !followed || self.buys_most(incumbent) {
            self.bound_by_patterns(incumbent, proof);
        }
        // Of a large program room at a price has proven what there is to prove in the time.
        if !self.done(incumbent, proof) && (!followed || integers(problem) <= MOST_INTEGERS) {
            self.report(Stage::Place, incumbent, Some(proof.bound));
            self.try_guide(incumbent, &guide, proof);
            self.prove(incumbent, problem, relaxed, &guide, &mut turns, proof);
        }
        self.prove_by_node(incumbent, problem, &guide, &mut turns, proof);
        self.polish(incumbent, &guide, &mut turns, proof);
        let threads = self.watch.stop.threads;
        self.plan_anew(incumbent, &guide, &mut turns, &|| threads, proof);
        turns.neighbourhoods = None;
        self.polish(incumbent, &guide, &mut turns, proof);
        self.vary_choices(incumbent, &guide, proof);
    }

    /// States made from scratch for the guide.
    fn try_guide(&mut self, incumbent: &mut Incumbent<'a>, guide: &Guide, proof: &Proof) {
        self.follow(incumbent, self.pools, guide, proof);
        for guided in [false, true] {
            self.place(incumbent, guide, guided, proof);
        }
    }

    /// States that follow the guide.
    fn follow(&mut self, incumbent: &mut Incumbent<'a>, pools: &[Pool], guide: &Guide, proof: &Proof) {
        let (instance, relations, watch) = (self.instance, self.relations, self.watch);
        let out_of_time = || watch.out_of_time();
        let spread = self.foresees_domains();
        for (evenly, filling) in [Filling::ByPod, Filling::ByNode].into_iter().flat_map(|f| [(false, f), (true, f)]) {
            if !self.done(incumbent, proof) {
                let state = followed(instance, relations, pools, guide, (evenly, filling, spread), &out_of_time);
                state.map(|state| incumbent.offer(state));
            }
        }
    }

    /// A state placed greedily by the guide's prices, unless the search is over.
    fn place(&mut self, incumbent: &mut Incumbent<'a>, guide: &Guide, guided: bool, proof: &Proof) {
        if !self.done(incumbent, proof) {
            let watch = self.watch;
            let how = (guided, self.foresees_domains());
            let state = placed(self.instance, self.relations, guide, how, &|| watch.out_of_time());
            state.map(|state| incumbent.offer(state));
        }
    }

    /// Improves the incumbent, slice by slice.
    fn polish(&mut self, incumbent: &mut Incumbent<'a>, guide: &Guide, turns: &mut Turns, proof: &Proof) {
        if self.done(incumbent, proof) {
            return;
        }
        let watch = self.watch;
        let out_of_time = || watch.out_of_time();
        let most = if turns.neighbourhoods.is_some() { EARLY_SLICES } else { MOST_SLICES };
        let mut slices = 0;
        incumbent.change(|state| {
            slices += 1;
            let more = improve(state, guide, &mut turns.rotation, FIRST_SLICE << slices, &out_of_time);
            more && slices < most && !out_of_time()
        });
    }

    /// Plans neighbourhoods of the incumbent anew by programs of their own, until the largest gain nothing, on as many
    /// threads as there are at the time.
    fn plan_anew(
        &mut self,
        incumbent: &mut Incumbent<'a>,
        guide: &Guide,
        turns: &mut Turns,
        threads: &dyn Fn() -> usize,
        proof: &Proof,
    ) {
        let Some(neighbourhoods) = turns.neighbourhoods.as_mut().filter(|_| !self.done(incumbent, proof)) else {
            return;
        };
        let watch = self.watch;
        incumbent.change(|state| {
            let more = neighbourhoods.round(state, guide, watch.effort(1.0), threads());
            more && !watch.out_of_time() && !proof.suffices(state.cost().total(), watch.stop)
        });
    }

    /// Tries the other choices of one workload at a time, from the cheapest plan so far and as long as that lowers the
    /// cost. The relaxation chooses by prices of parts of nodes; only whole nodes tell whether a smaller size empties one.
    fn vary_choices(&mut self, incumbent: &mut Incumbent<'a>, guide: &Guide, proof: &Proof) {
        let (instance, relations, watch) = (self.instance, self.relations, self.watch);
        let spread = self.foresees_domains();
        let mut improved = true;
        while improved {
            improved = false;
            for (group, facts) in instance.groups.iter().enumerate() {
                for option in 0..facts.options.len() {
                    if self.done(incumbent, proof) {
                        return;
                    }
                    if incumbent.choices().get(group).is_none_or(|&now| now == option) {
                        continue;
                    }
                    let mut varied = guide.clone();
                    varied.choices = incumbent.choices().to_vec();
                    varied.choices[group] = option;
                    let state = placed(instance, relations, &varied, (false, spread), &|| watch.out_of_time());
                    improved |= state.is_some_and(|state| incumbent.offer(state));
                }
            }
        }
    }
}
