//! The best plan so far, always as a checked plan: a deadline at any moment finds it ready.

use super::check::CheckReport;
use super::occupancy::Occupancy;
use super::plan::{explain, plan_of};
use crate::domain::plan::{CostParts, Plan};

/// Cost an hour below which one plan is not cheaper than another.
pub(super) const MEANINGFUL: f64 = 1e-9;

/// The cheapest plan that passed the check, and the one state it was made from: a state of a large cluster takes
/// megabytes.
pub(super) struct Incumbent<'a> {
    check: &'a dyn Fn(&Plan) -> CheckReport,
    plan: Plan,
    report: CheckReport,
    state: Occupancy<'a>,
    cost: f64,
    /// Cost of changing nothing, and whether that keeps every rule and leaves no pod out.
    pub(super) now: (CostParts, bool),
}

impl<'a> Incumbent<'a> {
    /// Begins with the state that changes nothing.
    pub(super) fn new(still: Occupancy<'a>, check: &'a dyn Fn(&Plan) -> CheckReport) -> Self {
        let plan = plan_of(&still);
        let report = check(&plan);
        let now = (report.cost, report.violations.is_empty() && still.waiting().is_empty());
        let cost = still.cost().total();
        Self { check, plan, report, state: still, cost, now }
    }

    /// Takes the state in if it is cheaper and its plan passes the check; `false` if it does not.
    ///
    /// Where nothing has passed yet, the plan that breaks least is kept, to be shown as infeasible.
    pub(super) fn offer(&mut self, state: Occupancy<'a>) -> bool {
        let taken = self.accepts(&state);
        if taken {
            self.state = state;
        }
        taken
    }

    fn accepts(&mut self, state: &Occupancy<'a>) -> bool {
        let cost = state.cost().total();
        if self.feasible() && cost >= self.cost - MEANINGFUL {
            return false;
        }
        let plan = plan_of(state);
        let report = (self.check)(&plan);
        let better = report.violations.is_empty() || report.violations.len() < self.report.violations.len();
        if better {
            (self.plan, self.report, self.cost) = (plan, report, cost);
        }
        better
    }

    /// Changes the state slice by slice. What a slice did is taken back unless its plan passes the check; ends when a slice
    /// says that there is nothing left to change.
    pub(super) fn change(&mut self, mut slice: impl FnMut(&mut Occupancy<'a>) -> bool) {
        let mut state = self.state.clone();
        loop {
            let mark = state.mark();
            let more = slice(&mut state);
            if state.mark() > mark && !self.accepts(&state) {
                state.roll_back(mark);
            }
            if !more {
                break;
            }
        }
        self.state = state;
    }

    /// Takes a change in that costs nothing, where its plan passes the check as the one before did.
    pub(super) fn rearrange(&mut self, change: impl FnOnce(&mut Occupancy<'a>)) {
        let mark = self.state.mark();
        change(&mut self.state);
        if self.state.mark() == mark {
            return;
        }
        let cost = self.state.cost().total();
        let plan = plan_of(&self.state);
        let report = (self.check)(&plan);
        if self.feasible() && report.violations.is_empty() && cost <= self.cost + MEANINGFUL {
            (self.plan, self.report) = (plan, report);
        } else {
            self.state.roll_back(mark);
        }
    }

    /// Whether its plan passed the check.
    pub(super) fn feasible(&self) -> bool {
        self.report.violations.is_empty()
    }

    /// Whether its plan passed the check and the other's did not or is dearer; of two that did not, whether it breaks less.
    pub(super) fn is_better_than(&self, other: &Self) -> bool {
        let broken = |incumbent: &Self| incumbent.report.violations.len();
        broken(self) < broken(other) || self.feasible() && other.feasible() && self.cost < other.cost - MEANINGFUL
    }

    /// Cost an hour.
    pub(super) fn cost(&self) -> f64 {
        self.cost
    }

    /// The state it was made from.
    pub(super) fn state(&self) -> &Occupancy<'a> {
        &self.state
    }

    /// Option of each group.
    pub(super) fn choices(&self) -> &[usize] {
        &self.state.choices
    }

    /// Whether it leaves no pod out.
    pub(super) fn is_complete(&self) -> bool {
        self.state.waiting().is_empty()
    }

    /// The plan, with why pods have no node as far as the time allows, and what the checker says of it.
    pub(super) fn into_plan(mut self, out_of_time: &dyn Fn() -> bool) -> (Plan, CheckReport) {
        explain(&mut self.plan, &self.state, out_of_time);
        (self.plan, self.report)
    }
}
