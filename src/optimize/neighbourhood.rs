//! Stage 4, exact: a few nodes at a time are planned anew by an integer program of their own, always from the incumbent.
//!
//! A neighbourhood's core is some nodes that stand, were given back or are bought; the pods that stand or are at home there
//! are free, and so are the menus of their workloads. Other nodes may take pods and pass on those that are not at home
//! there, and nodes may be bought. All else stays, and takes its part of every limit. Cores rotate over all nodes, and grow once a whole rotation has gained nothing.

mod apply;
mod choose;
mod program;
mod survey;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::improve::Rotation;
use super::occupancy::Occupancy;
use super::round::Guide;
use super::solve::{Effort, Restriction, integer};
use apply::apply;
use choose::{OFFERS, changeable, cuts};
use program::{Program, program};
use survey::Survey;

/// Nodes of a core: at first, and at most.
const FIRST_CORE: usize = 8;
const LARGEST_CORE: usize = 48;

/// Neighbourhoods planned from one state, at least: as many whether or not there is a second thread at the time, so that
/// it does not matter when there is.
const AT_ONCE: usize = 2;

/// Nodes of a neighbourhood's search tree: what is not found by then is mostly not found in many more.
const TREE_NODES: i32 = 20;

/// Relative gap at which a neighbourhood's answer will do: small against what is worth a change.
const LOCAL_GAP: f64 = 1e-4;

/// Cost an hour below which one state is not cheaper than another.
const LEAST_GAIN: f64 = 1e-7;

/// Where the rotation stands.
pub(super) struct Neighbourhoods {
    rotation: Rotation,
    at_once: usize,
    core: usize,
    /// Neighbourhoods so far.
    planned: usize,
    /// Nodes that were in a core since something was last gained.
    idle: usize,
}

impl Neighbourhoods {
    /// For so many threads at most.
    pub(super) fn new(seed: u64, threads: usize) -> Self {
        let rotation = Rotation::new(seed);
        Self { rotation, at_once: threads.max(AT_ONCE), core: FIRST_CORE, planned: 0, idle: 0 }
    }

    /// Plans some neighbourhoods anew, none of which has a node of another's, on so many threads; `false` once the largest
    /// ones have come by everything and gained nothing.
    ///
    /// All are asked of the state as it is, and their answers are carried out in their order, so that it does not matter
    /// which is found first, nor how many threads there are.
    pub(super) fn round(&mut self, state: &mut Occupancy<'_>, guide: &Guide, effort: Effort, threads: usize) -> bool {
        let span = changeable(state).len();
        // A core of all there is needs no second look, once every offer was looked at.
        let whole = self.core >= span;
        let offers = state.instance.sites.len() - state.instance.standing;
        let looks = if whole { offers.div_ceil(OFFERS).max(1) } else { 2 };
        if self.idle >= looks * span {
            if whole || self.core >= LARGEST_CORE {
                return false;
            }
            (self.core, self.idle) = (self.core + self.core / 2, 0);
        }
        let cuts = cuts(state, guide, &mut self.rotation, self.core, (self.planned, self.at_once));
        if cuts.is_empty() {
            return false;
        }
        self.planned += cuts.len();
        let asked: Vec<(Survey, Program)> = cuts
            .iter()
            .map(|cut| {
                let survey = Survey::new(state, cut);
                let program = program(state, &survey);
                (survey, program)
            })
            .collect();
        self.idle += cuts.iter().map(|cut| cut.core.len()).sum::<usize>();
        let effort = Effort { relative_gap: LOCAL_GAP, most_nodes: TREE_NODES, threads: 1, ..effort };
        let found = answers(&asked, effort, threads);
        for (number, (survey, program)) in asked.iter().enumerate() {
            let Some(values) = found.get(&number) else { continue };
            let gained = program.problem.cost_of(&program.still) - program.problem.cost_of(values) > LEAST_GAIN;
            if gained && carry_out(state, survey, program, values) {
                self.idle = 0;
            }
        }
        true
    }
}

/// The answers by number, each asked for by the first thread that is free.
fn answers(asked: &[(Survey, Program)], effort: Effort, threads: usize) -> BTreeMap<usize, Vec<f64>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let numbers = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let taken = numbers.map_while(|number| Some((number, &asked.get(number)?.1)));
        taken.filter_map(|(number, program)| Some((number, solve(program, effort)?))).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(asked.len())).map(|_| scope.spawn(work)).collect();
        let mine = work();
        others.into_iter().filter_map(|thread| thread.join().ok()).flatten().chain(mine).collect()
    })
}

fn solve(program: &Program, effort: Effort) -> Option<Vec<f64>> {
    let problem = &program.problem;
    integer(problem, &Restriction::none(problem), effort, Some(&program.still)).values
}

/// Whether the answer makes the state cheaper; else nothing is changed.
fn carry_out(state: &mut Occupancy<'_>, survey: &Survey, program: &Program, values: &[f64]) -> bool {
    let (mark, before) = (state.mark(), state.cost().total());
    let done = apply(state, survey, &program.columns, values) && state.cost().total() < before - LEAST_GAIN;
    if !done {
        state.roll_back(mark);
    }
    done
}
