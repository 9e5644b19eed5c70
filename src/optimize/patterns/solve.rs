//! The stages in order, each only where the ones before left a gap.

use std::fmt;
use std::time::Duration;

use crate::domain::clock::{Clock, StopRule};

use super::dive::dive;
use super::every::every;
use super::greedy::portfolio;
use super::master::{price_step, rounded_up, unit};
use super::relax::{Effort, Relaxed, relax};
use super::repack::repack;
use super::tight::without_waste;
use super::volume::volume_bound;
use super::whole::{Aim, Cover, whole};
use super::{Packing, PackingProblem, Pattern, check};

/// Random changes of the fill rules that are tried.
const SHAKES: usize = 300;

/// Dives, and the share of the time they may take.
const DIVES: u64 = 40;
const DIVES_SHARE: f64 = 0.5;

/// The same where bins are many.
const DIVES_OF_MANY: u64 = 3;

/// How far the pattern LP of many bins is solved, and in what share of the time.
const NEAR: Effort = Effort { most_nodes: 2_000, tolerance: 5e-4, share: 0.6 };

/// How much chance there is in a dive after the first, in parts of a bin.
const NOISE: f64 = 0.3;

/// Share of the time left that the program over all patterns found may take.
const WHOLE_SHARE: f64 = 0.5;

/// A packing and what is proven of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The cheapest packing found; checked.
    pub packing: Packing,
    /// What it costs.
    pub cost: u64,
    /// No packing costs less than this.
    pub bound: u64,
    /// What found it.
    pub found_by: Stage,
}

/// A stage of the search for packings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing is packed.
    Nothing,
    /// The packing that was given.
    Given,
    /// Fill rules.
    Fill,
    /// Patterns without waste.
    Tight,
    /// Rounding the pattern LP.
    Dive,
    /// The integer program over the patterns found.
    Whole,
    /// Some bins solved anew.
    Repack,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Given => "given",
            Self::Fill => "fill rules",
            Self::Tight => "no waste",
            Self::Dive => "dive",
            Self::Whole => "integer program",
            Self::Repack => "repacking",
        })
    }
}

/// How the work stands against its stop rule.
pub(super) struct Watch<'a> {
    clock: &'a dyn Clock,
    limit: Duration,
    pub(super) seed: u64,
}

impl<'a> Watch<'a> {
    fn new(clock: &'a dyn Clock, stop: &StopRule) -> Self {
        Self { clock, limit: stop.time_limit, seed: stop.seed }
    }

    /// The same, with only a share of the time that is left.
    pub(super) fn share(&self, share: f64) -> Self {
        let limit = self.clock.elapsed() + Duration::from_secs_f64(self.seconds_left() * share);
        Self { clock: self.clock, limit, seed: self.seed }
    }

    pub(super) fn seconds_left(&self) -> f64 {
        self.limit.saturating_sub(self.clock.elapsed()).as_secs_f64()
    }

    pub(super) fn out_of_time(&self) -> bool {
        self.seconds_left() <= 0.0
    }
}

/// The cheapest packing found, and a proven bound of every packing's cost. Ends when the two meet, when every stage is
/// done, or when the time is over. Equal problems and seeds give equal packings unless the time ends the search.
#[must_use]
pub fn solve(problem: &PackingProblem, stop: &StopRule, clock: &dyn Clock) -> Answer {
    let watch = Watch::new(clock, stop);
    let mut best = Best::new(problem, volume_bound(problem));
    best.offer(Stage::Fill, portfolio(problem, SHAKES, best.bound, watch.seed, &|| watch.out_of_time()));
    if best.is_open() {
        best.offer(Stage::Tight, without_waste(problem, best.aim(&watch)));
    }
    // Where taking an item out of a bin can overfill it, covering and packing are not the same.
    let covers = problem.items.iter().all(|item| item.size.iter().all(|size| *size >= 0));
    let open = covers && best.is_open();
    if let Some(mut relaxed) = open.then(|| relax(problem, &best.packing, best.cost, Effort::WHOLE, &watch)).flatten() {
        best.bound = best.bound.max(relaxed.bound);
        round(problem, &mut relaxed, &mut best, &watch);
    }
    if covers && best.is_open() {
        best.offer(Stage::Repack, repack(problem, &best.packing, best.bound, &watch));
    }
    best.answer()
}

/// What [`improve`] hands back.
#[derive(Debug, Clone, PartialEq)]
pub struct Improved {
    /// The cheapest packing, and the bound.
    pub answer: Answer,
    /// What one of each item adds to the cost at the program's optimum, in the unit of prices.
    pub worth: Vec<f64>,
}

/// A cheaper packing than the given one, in a share of the time of `solve`: for thousands of items in hundreds of kinds of
/// bin. The pattern LP is solved to within a small part of its cost, then rounded by a few dives.
///
/// No size may be negative. Ends at the gap of the stop rule.
#[must_use]
pub fn improve(problem: &PackingProblem, given: Packing, stop: &StopRule, clock: &dyn Clock) -> Improved {
    let watch = Watch::new(clock, stop);
    let mut best = Best::new(problem, 0);
    best.offer(Stage::Given, Some(given));
    let Some(mut relaxed) = relax(problem, &best.packing, best.cost, NEAR, &watch) else {
        return Improved { answer: best.answer(), worth: vec![0.0; problem.items.len()] };
    };
    best.bound = relaxed.bound;
    let enough = |best: &Best<'_>| (best.cost - best.bound) as f64 <= stop.gap * best.cost as f64;
    for round in 0..DIVES_OF_MANY {
        if enough(&best) || watch.out_of_time() {
            break;
        }
        let noise = if round == 0 { 0.0 } else { NOISE };
        best.offer(Stage::Dive, dive(problem, &mut relaxed, best.cost, noise, watch.seed.wrapping_add(round), &watch));
    }
    let worth = relaxed.worth.iter().map(|worth| worth * unit(problem)).collect();
    Improved { answer: best.answer(), worth }
}

/// Worths of the items and what they prove.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    /// What one of each item is worth, in the unit of prices.
    pub worth: Vec<f64>,
    /// What one bin of each kind holds is worth at most this, in the same unit.
    pub most: Vec<f64>,
}

/// Worths that prove a bound near the pattern LP's optimum, without a packing. `None` where the solver fails. No size may
/// be negative.
#[must_use]
pub fn prove(problem: &PackingProblem, stop: &StopRule, clock: &dyn Clock) -> Option<Proof> {
    let watch = Watch::new(clock, stop);
    let relaxed = relax(problem, &Packing::default(), u64::MAX, Effort { share: 1.0, ..NEAR }, &watch)?;
    let scaled = |values: &[f64]| values.iter().map(|value| value * unit(problem)).collect();
    Some(Proof { worth: scaled(&relaxed.worth), most: scaled(&relaxed.most) })
}

/// Whole packings from the pattern LP.
fn round(problem: &PackingProblem, relaxed: &mut Relaxed<'_>, best: &mut Best<'_>, watch: &Watch<'_>) {
    let dives = watch.share(DIVES_SHARE);
    for round in 0..DIVES {
        if !best.is_open() || dives.out_of_time() {
            break;
        }
        let noise = if round == 0 { 0.0 } else { NOISE };
        best.offer(Stage::Dive, dive(problem, relaxed, best.cost, noise, watch.seed.wrapping_add(round), &dives));
    }
    if best.is_open() && !watch.out_of_time() {
        best_of_patterns(problem, relaxed, best, &watch.share(WHOLE_SHARE));
    }
}

/// The integer program over all patterns that a cheaper packing may be made of; where there are too many of them, over
/// those of the pattern LP.
fn best_of_patterns(problem: &PackingProblem, relaxed: &Relaxed<'_>, best: &mut Best<'_>, watch: &Watch<'_>) {
    let target = best.cost - price_step(problem);
    let all = every(problem, &relaxed.worth, target);
    let patterns: Vec<&Pattern> = all.as_deref().unwrap_or(relaxed.master.patterns()).iter().collect();
    let start = all.is_none().then(|| best.packing.clone());
    let Some(found) = whole(problem, &patterns, Cover::AtLeast, start.as_ref(), best.aim(watch)) else { return };
    best.offer(Stage::Whole, found.packing);
    if all.is_some() {
        // A cheaper packing is among them or there is none.
        best.bound = best.bound.max(rounded_up(problem, found.bound).min(target + price_step(problem)));
    }
}

/// The best so far. Only what passes the check gets in.
struct Best<'a> {
    problem: &'a PackingProblem,
    packing: Packing,
    cost: u64,
    bound: u64,
    found_by: Stage,
}

impl<'a> Best<'a> {
    /// Nothing is packed.
    fn new(problem: &'a PackingProblem, bound: u64) -> Self {
        let packing = Packing::default();
        Self { problem, cost: packing.cost(problem), packing, bound, found_by: Stage::Nothing }
    }

    fn is_open(&self) -> bool {
        self.cost > self.bound
    }

    fn aim(&self, watch: &Watch<'_>) -> Aim {
        Aim { enough: self.bound, seconds: watch.seconds_left(), seed: watch.seed }
    }

    fn offer(&mut self, stage: Stage, packing: Option<Packing>) {
        let Some(packing) = packing else { return };
        let cost = packing.cost(self.problem);
        if cost < self.cost && check(self.problem, &packing).is_ok() {
            (self.packing, self.cost, self.found_by) = (packing, cost, stage);
        }
    }

    fn answer(self) -> Answer {
        // A bound above a checked packing's cost would be a mistake of rounding; the lower of the two holds.
        let bound = self.bound.min(self.cost);
        Answer { packing: self.packing, cost: self.cost, bound, found_by: self.found_by }
    }
}
