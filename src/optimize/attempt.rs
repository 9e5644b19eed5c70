//! Concrete states made from scratch for a guide: placed greedily, or following the program's plan.

use std::collections::BTreeSet;

use super::buy::{buy_as_guided, buy_greedily};
use super::consolidate::consolidate;
use super::follow::{Filling, follow};
use super::instance::Instance;
use super::mend::mend;
use super::occupancy::Occupancy;
use super::place::{place_waiting, relieve};
use super::please::please;
use super::pools::Pool;
use super::preempt::last_resorts;
use super::purchase::{Purchase, buy_as_packed};
use super::relations::Relations;
use super::round::Guide;
use super::start::start;

/// Rounds of giving a group that does not fit a smaller choice.
const MOST_RETREATS: usize = 12;

/// A concrete state for the guide's choices: relieved, filled, bought for and consolidated. `None` where the sizes it
/// chose cannot be had.
pub(super) fn placed<'a>(
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
        let overdrawn = state.overdrawn();
        let relieved = if overdrawn.is_empty() { relieve(&mut state) } else { Err(overdrawn) };
        if let Err(stuck) = relieved {
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
        last_resorts(&mut state, guide, out_of_time);
        if !out_of_time() {
            consolidate(&mut state, guide, out_of_time);
        }
        please(&mut state, out_of_time);
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

/// The state in which what waits fits on nothing that stands: relieved and filled.
pub(super) fn filled<'a>(
    instance: &'a Instance<'a>,
    relations: &'a Relations,
    choices: &[usize],
    foresees_domains: bool,
) -> Option<Occupancy<'a>> {
    let mut state = start(instance, relations, choices);
    state.keep_even(foresees_domains);
    relieve(&mut state).ok()?;
    place_waiting(&mut state, |_| true);
    mend(&mut state);
    Some(state)
}

/// The filled state with nodes bought by patterns, and consolidated.
pub(super) fn packed<'a>(
    mut state: Occupancy<'a>,
    purchase: &Purchase,
    guide: &Guide,
    out_of_time: &dyn Fn() -> bool,
) -> Occupancy<'a> {
    buy_as_packed(&mut state, purchase, guide, out_of_time);
    if !out_of_time() {
        consolidate(&mut state, guide, out_of_time);
    }
    state
}

/// A concrete state that follows the guide's choices, drains and shares. `None` where the sizes it chose cannot be had.
pub(super) fn followed<'a>(
    instance: &'a Instance<'a>,
    relations: &'a Relations,
    pools: &[Pool],
    guide: &Guide,
    (evenly, filling, foresees_domains): (bool, Filling, bool),
    out_of_time: &dyn Fn() -> bool,
) -> Option<Occupancy<'a>> {
    let mut state = start(instance, relations, &guide.choices);
    state.keep_even(foresees_domains);
    if !state.overdrawn().is_empty() {
        return None;
    }
    relieve(&mut state).ok()?;
    follow(&mut state, pools, guide, (evenly, filling));
    mend(&mut state);
    buy_greedily(&mut state, guide, out_of_time);
    last_resorts(&mut state, guide, out_of_time);
    if !out_of_time() {
        consolidate(&mut state, guide, out_of_time);
    }
    please(&mut state, out_of_time);
    Some(state)
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
