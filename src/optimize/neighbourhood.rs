//! Stage 4, exact: a few nodes at a time are planned anew by an integer program of their own, always from the incumbent.
//!
//! A neighbourhood's core is some nodes that stand, were given back or are bought; the pods that stand or are at home there
//! are free, and so are the menus of their workloads. Other nodes may take pods, and nodes may be bought. All else stays,
//! and takes its part of every limit. Cores rotate over all nodes, and grow once a whole rotation has gained nothing.

mod apply;
mod choose;
mod program;
mod survey;

use super::improve::Rotation;
use super::occupancy::Occupancy;
use super::round::Guide;
use super::solve::{Effort, Restriction, Whole, integer};
use apply::apply;
use choose::{OFFERS, changeable, cuts};
use program::{Program, program};
use survey::Survey;

/// Nodes of a core: at first, and at most.
const FIRST_CORE: usize = 16;
const LARGEST_CORE: usize = 48;

/// Nodes of a neighbourhood's search tree: what is not found by then is mostly not found in many more.
const TREE_NODES: i32 = 200;

/// Relative gap at which a neighbourhood's answer will do: small against what is worth a change.
const LOCAL_GAP: f64 = 1e-4;

/// Cost an hour below which one state is not cheaper than another.
const MEANINGFUL: f64 = 1e-7;

/// Where the rotation stands.
pub(super) struct Neighbourhoods {
    rotation: Rotation,
    core: usize,
    /// Neighbourhoods so far.
    planned: usize,
    /// Nodes that were in a core since something was last gained.
    idle: usize,
}

impl Neighbourhoods {
    pub(super) fn new(seed: u64) -> Self {
        Self { rotation: Rotation::new(seed), core: FIRST_CORE, planned: 0, idle: 0 }
    }

    /// Plans one neighbourhood a thread anew, none of which has a node of another's; `false` once the largest ones have
    /// come by everything and gained nothing.
    ///
    /// All are asked of the state as it is, and their answers are carried out in their order, so that it does not matter
    /// which is found first.
    pub(super) fn round(&mut self, state: &mut Occupancy<'_>, guide: &Guide, effort: Effort) -> bool {
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
        let cuts = cuts(state, guide, &mut self.rotation, self.core, (self.planned, effort.threads.max(1)));
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
        for ((survey, program), values) in asked.iter().zip(answers(&asked, effort)) {
            let Some(values) = values else { continue };
            let gained = program.problem.cost_of(&program.still) - program.problem.cost_of(&values) > MEANINGFUL;
            if gained && carry_out(state, survey, program, &values) {
                self.idle = 0;
            }
        }
        true
    }
}

fn answers(asked: &[(Survey, Program)], effort: Effort) -> Vec<Option<Vec<f64>>> {
    let solve = |program: &Program| {
        let Whole { values, .. } =
            integer(&program.problem, &Restriction::none(&program.problem), effort, Some(&program.still));
        values
    };
    let Some(((_, first), others)) = asked.split_first() else { return Vec::new() };
    std::thread::scope(|scope| {
        let others: Vec<_> = others.iter().map(|(_, program)| scope.spawn(move || solve(program))).collect();
        let first = solve(first);
        std::iter::once(first).chain(others.into_iter().map(|thread| thread.join().ok().flatten())).collect()
    })
}

/// Whether the answer makes the state cheaper; else nothing is changed.
fn carry_out(state: &mut Occupancy<'_>, survey: &Survey, program: &Program, values: &[f64]) -> bool {
    let (mark, before) = (state.mark(), state.cost().total());
    let done = apply(state, survey, &program.columns, values) && state.cost().total() < before - MEANINGFUL;
    if !done {
        state.roll_back(mark);
    }
    done
}
