//! A changed workload's choices tried one by one, and the cheapest that keeps every rule taken.

use std::collections::{BTreeMap, BTreeSet};

use super::super::occupancy::Occupancy;
use super::super::round::{Guide, unchanged};
use super::bound::Bound;
use super::cut::Scope;
use super::held::Held;
use super::index::Index;
use super::intake::Edits;
use super::judge::{Accounts, Judge, Verdict};
use super::names::NodeNames;
use super::replan::{MOST_NODES_FIRST_FIT, Planned, Way};
use super::scope::Rules;

/// Options of a workload that are tried: those that the prices say are best, and the one that changes nothing.
const MOST_OPTIONS: usize = 8;

/// Pods placed for them in all, beyond which only so many options are tried: each takes as long as its workload is large.
const MOST_PODS: usize = 800;
const LEAST_OPTIONS: usize = 2;

/// What trying takes of a session.
pub(super) struct Desk<'s> {
    pub(super) held: &'s Held,
    pub(super) rules: &'s Rules,
    pub(super) guide: &'s Guide,
    pub(super) bound: &'s Bound,
    pub(super) index: &'s mut Index,
    pub(super) names: &'s mut NodeNames,
    pub(super) accounts: &'s mut Accounts,
}

/// What differs from the plan before.
#[derive(Debug, Clone, Default)]
pub(super) struct Differing {
    /// Pods that are on another node, or are to go where they were not, or the other way round; with the node each had.
    pub(super) pods: BTreeMap<usize, Option<usize>>,
    /// Nodes that other pods are on, or pods of another size.
    pub(super) nodes: BTreeSet<usize>,
    /// Nodes that opened or closed, each with whether it was open.
    pub(super) opened: BTreeMap<usize, bool>,
}

impl Desk<'_> {
    /// Leaves the state with the group placed as is cheapest.
    pub(super) fn settle_on_best(
        &mut self,
        state: &mut Occupancy<'_>,
        mut planned: Planned,
        group: usize,
        edits: &Edits,
    ) -> Differing {
        let mark = state.mark();
        let mut trials: Vec<(f64, usize, Way)> = Vec::new();
        let still = unchanged(state.instance)[group];
        let few = state.instance.standing <= MOST_NODES_FIRST_FIT;
        for option in self.options(state, group) {
            // As it was, and greedily, is always among them: nothing that is taken costs more.
            let ways: &[Way] = if few || option == still { &[Way::BestFit, Way::Greedy] } else { &[Way::BestFit] };
            for &way in ways {
                if planned.place(state, self.index, self.guide, (option, way)) {
                    trials.push((state.cost().total(), option, way));
                }
                state.roll_back(mark);
            }
        }
        trials.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (_, option, way) in trials {
            planned.place(state, self.index, self.guide, (option, way));
            let differing = planned.differing(state, edits);
            if self.accepts(state, group, edits, &differing) {
                return differing;
            }
            state.roll_back(mark);
        }
        let option = unchanged(state.instance)[group];
        planned.place(state, self.index, self.guide, (option, Way::Wait));
        self.names.extend(state, self.index, &BTreeMap::new());
        *self.accounts = self.judge().judge_whole(state);
        planned.differing(state, edits)
    }

    /// Options worth trying.
    fn options(&self, state: &Occupancy<'_>, group: usize) -> Vec<usize> {
        let mut options: Vec<(f64, usize)> =
            self.bound.option_costs(state.instance, group).into_iter().zip(0..).collect();
        options.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let still = unchanged(state.instance)[group];
        let facts = &state.instance.groups[group];
        let mut pods = 0;
        let mut affordable = |(number, option): (usize, usize)| {
            pods += facts.pods.len().max(facts.options[option].replicas as usize);
            (number < LEAST_OPTIONS || pods <= MOST_PODS).then_some(option)
        };
        let best = options.into_iter().take(MOST_OPTIONS).map(|(_, option)| option).enumerate();
        let mut tried: Vec<usize> = best.map_while(&mut affordable).collect();
        if !tried.contains(&still) {
            tried.push(still);
        }
        tried
    }

    /// Takes the state's accounts over if the checker finds no more broken than before.
    fn accepts(&mut self, state: &Occupancy<'_>, group: usize, edits: &Edits, differing: &Differing) -> bool {
        self.names.extend(state, self.index, &BTreeMap::new());
        let pods = differing.pods.keys().map(|pod| &state.pods[*pod]);
        let templates = pods.clone().map(|pod| pod.template).chain(edits.templates.iter().copied());
        let templates = templates.filter(|template| *template < state.relations.templates.len()).collect();
        let scope = Scope {
            groups: pods.filter_map(|pod| pod.group).chain([group]).collect(),
            templates: self.rules.tied_to(state.instance, state.relations, templates),
            nodes: differing.nodes.clone(),
        };
        let verdict = self.judge().judge(state, &scope, &differing.opened);
        match verdict {
            Verdict::Broken => false,
            Verdict::Sound(report) => {
                self.accounts.take(state, self.names.all(), &report, &differing.nodes);
                true
            }
            Verdict::Whole(accounts) => {
                let taken = accounts.violations.len() <= self.accounts.violations.len();
                if taken {
                    *self.accounts = accounts;
                }
                taken
            }
        }
    }

    fn judge(&self) -> Judge<'_> {
        Judge {
            held: self.held,
            rules: self.rules,
            names: self.names.all(),
            index: self.index,
            accounts: self.accounts,
        }
    }
}
