//! A search that begins from an earlier plan.

use crate::domain::earlier::EarlierPlan;
use crate::domain::plan::Plan;
use crate::domain::problem::Problem;

use super::super::buy::buy_greedily;
use super::super::check::CheckReport;
use super::super::incumbent::Incumbent;
use super::super::mend::mend;
use super::super::place::place_waiting;
use super::super::preempt::last_resorts;
use super::super::resume::resume;
use super::super::round::unchanged;
use super::super::solve::Relaxation;
use super::super::start::start;
use super::{Proof, Stages};

impl<'a> Stages<'a, '_> {
    /// The earlier plan as it is, or else what can be kept of it, with what waits placed and bought for; whether that leaves
    /// nothing to be done.
    pub(super) fn take_up(&self, incumbent: &mut Incumbent<'a>, problem: &Problem, earlier: &EarlierPlan) -> bool {
        for asks in [false, true] {
            let mut state = resume(self.instance, self.relations, earlier, asks).state;
            state.keep_even(self.foresees_domains());
            if incumbent.offer(state) {
                break;
            }
        }
        if !incumbent.is_complete() {
            let guide = self.guide(problem, &[], &[]);
            let watch = self.watch;
            let out_of_time = || watch.out_of_time();
            incumbent.change(|state| {
                place_waiting(state, |_| true);
                mend(state);
                buy_greedily(state, &guide, &out_of_time);
                last_resorts(state, &guide, &out_of_time);
                false
            });
        }
        incumbent.feasible() && incumbent.is_complete()
    }

    /// The search as it goes without an earlier plan, where the one from it has not come near enough: a search that begins
    /// elsewhere may end elsewhere, and to begin from a plan must cost nothing but time. `begun` is what was proven when
    /// the search from the earlier plan began.
    pub(super) fn search_anew(
        &mut self,
        incumbent: &mut Incumbent<'a>,
        problem: &Problem,
        relaxed: &Relaxation,
        mut begun: Proof,
        proof: &mut Proof,
        check: &'a dyn Fn(&Plan) -> CheckReport,
    ) {
        if self.done(incumbent, proof) {
            return;
        }
        let still = start(self.instance, self.relations, &unchanged(self.instance));
        let mut anew = Incumbent::new(still, check);
        self.first_plans(&mut anew, problem);
        self.second_plans(&mut anew, problem);
        self.go_on(&mut anew, problem, relaxed, &mut begun);
        proof.bound = proof.bound.max(begun.bound);
        let pool_costs = [proof.pool_cost, begun.pool_cost];
        proof.pool_cost = pool_costs.into_iter().flatten().reduce(f64::min);
        if anew.is_better_than(incumbent) {
            *incumbent = anew;
        }
    }
}
