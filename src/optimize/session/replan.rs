//! One workload placed anew, everything else as it is planned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::buy::buy_greedily;
use super::super::consolidate::consolidate_some;
use super::super::first_fit::{first_node, first_offer};
use super::super::instance::{Group, Standing};
use super::super::mend::mend_some;
use super::super::occupancy::{Occupancy, PodState};
use super::super::place::{in_order, place_waiting, relieve};
use super::super::preempt::{last_resorts, reprieve};
use super::super::round::Guide;
use super::super::shrink::surplus;
use super::desk::Differing;
use super::index::Index;
use super::intake::Edits;

/// Nodes looked at whether they may be given back or swapped, of those that the workload's pods left or that were bought
/// for them.
const MOST_EMPTIED: usize = 24;

/// Nodes up to which pods are placed first-fit, which looks at each.
pub(super) const MOST_NODES_FIRST_FIT: usize = 500;

/// Nodes given back that are looked at whether they should stand again.
const MOST_REOPENED: usize = 24;

/// How to place what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// As large plans are made: the node it fills best, and nodes bought by their worth.
    BestFit,
    /// Everything as it was planned, and the workload's own pods that wait go to the first node that takes them (of a large
    /// cluster, to the one they leave fullest), and else to the first offer that does. What follows only lowers the cost,
    /// so that no other way costs more than this.
    Greedy,
    /// Nothing is placed or bought: pods that wait go on waiting.
    Wait,
}

/// A workload and where its pods were planned before it changed.
pub(super) struct Planned {
    group: usize,
    /// Its pods in the state, with the node each was planned on and whether it was to go.
    pods: Vec<(usize, Option<usize>, bool)>,
    /// What each of them asked for.
    demands: Vec<(usize, Arc<[i64]>)>,
    /// Nodes on which pods were planned that are gone.
    free: Vec<usize>,
}

impl Planned {
    pub(super) fn of(state: &Occupancy<'_>, index: &Index, group: usize) -> Self {
        let planned = |number: &usize| {
            let pod = &state.pods[*number];
            (*number, pod.node, pod.removed)
        };
        let demand = |number: &usize| (*number, Arc::clone(&state.pods[*number].demand));
        let pods = &index.of_group[group];
        Self {
            group,
            pods: pods.iter().map(planned).collect(),
            demands: pods.iter().map(demand).collect(),
            free: Vec::new(),
        }
    }

    /// The same once other pods are there: the places of those that are gone are free for those that wait.
    pub(super) fn with_those_that_came(mut self, state: &Occupancy<'_>, index: &Index) -> Self {
        let alive: BTreeSet<usize> = index.of_group[self.group].iter().copied().collect();
        let (kept, gone) = self.pods.into_iter().partition(|(pod, ..)| alive.contains(pod));
        self.pods = kept;
        let gone: Vec<(usize, Option<usize>, bool)> = gone;
        self.free.extend(gone.into_iter().filter(|(_, _, removed)| !removed).filter_map(|(_, node, _)| node));
        self.demands.retain(|(pod, _)| alive.contains(pod));
        let known: BTreeSet<usize> = self.pods.iter().map(|(pod, ..)| *pod).collect();
        let came = index.of_group[self.group].iter().filter(|pod| !known.contains(pod));
        self.pods.extend(came.map(|pod| (*pod, state.pods[*pod].node, false)));
        self
    }

    /// Places the workload's pods for one of its options. `false` where its size cannot be had.
    pub(super) fn place(
        &mut self,
        state: &mut Occupancy<'_>,
        index: &mut Index,
        guide: &Guide,
        (option, way): (usize, Way),
    ) -> bool {
        // Pods that an earlier trial added are there to be had.
        let known = self.pods.len();
        self.pods.extend(index.of_group[self.group].iter().skip(known).map(|pod| (*pod, None, true)));
        self.take_off(state, option);
        state.ask_gangs_again();
        let coming = self.set_replicas(state, index);
        self.bring_back(state, way == Way::Greedy);
        state.give_way_to_quotas();
        if state.overdrawn().contains(&self.group) || relieve(state).is_err() {
            return false;
        }
        if way != Way::Greedy {
            mend_some(state, self.pods.iter().map(|(pod, ..)| *pod));
        }
        self.take_places(state, &coming, way != Way::Greedy);
        reprieve(state);
        let never = || false;
        match way {
            Way::BestFit => {
                place_waiting(state, |_| true);
                stand_again(state);
                if state.waiting().iter().any(|pod| state.pods[*pod].group.is_some()) {
                    buy_greedily(state, guide, &never);
                }
            }
            Way::Greedy => {
                self.fit(state);
                place_waiting(state, |_| true);
                stand_again(state);
            }
            Way::Wait => return true,
        }
        last_resorts(state, guide, &never);
        consolidate_some(state, guide, self.worth_a_look(state), MOST_EMPTIED);
        true
    }

    /// What differs from the plan before the change, which entered with these edits.
    pub(super) fn differing(&self, state: &Occupancy<'_>, edits: &Edits) -> Differing {
        let touched = state.touched();
        let was_removed: BTreeSet<usize> =
            self.pods.iter().filter(|(_, _, removed)| *removed).map(|(pod, ..)| *pod).collect();
        let mut differing = Differing::default();
        differing.nodes.extend(&edits.nodes);
        for (pod, node) in touched.pods {
            let facts = &state.pods[pod];
            let own = facts.group == Some(self.group);
            if node != facts.node || own && facts.removed != was_removed.contains(&pod) {
                differing.nodes.extend(node.into_iter().chain(facts.node));
                differing.pods.insert(pod, node);
            }
        }
        if self.demands.iter().any(|(pod, demand)| state.pods[*pod].demand != *demand) {
            differing.nodes.extend(self.pods.iter().filter_map(|(pod, ..)| state.pods[*pod].node));
        }
        differing.opened = touched.nodes.into_iter().filter(|(node, was)| state.nodes[*node].open != *was).collect();
        differing.nodes.extend(differing.opened.keys());
        differing
    }

    /// All of its pods off their nodes, at the size of the option.
    fn take_off(&self, state: &mut Occupancy<'_>, option: usize) {
        let group = &state.instance.groups[self.group];
        let size = group.options.get(option).map_or(0, |option| option.size);
        let mut demands: BTreeMap<usize, Arc<[i64]>> = BTreeMap::new();
        state.choose(self.group, option);
        for &(pod, ..) in &self.pods {
            state.bind(pod, None);
            let template = state.pods[pod].template;
            let demand = demands.entry(template).or_insert_with(|| Arc::from(group.demand(template, size)));
            let charge = state.instance.quotas.charge(self.group, template, size);
            state.resize(pod, Arc::clone(demand), charge);
        }
    }

    /// As many pods wanted as the option has replicas; those of them that are to come.
    fn set_replicas(&self, state: &mut Occupancy<'_>, index: &mut Index) -> Vec<usize> {
        let instance = state.instance;
        let group = &instance.groups[self.group];
        let replicas = state.choice(self.group).map_or(0, |option| option.replicas) as usize;
        let existing = group.pods.iter().filter_map(|pod| instance.pods[*pod].node);
        let mut pods_on: BTreeMap<usize, usize> = existing.map(|node| (node, state.nodes[node].pods.len())).collect();
        let gone: BTreeSet<usize> = surplus(instance, group, replicas, &mut pods_on).into_iter().collect();
        let wanted = replicas.saturating_sub(group.pods.len());
        let (mut to_come, mut parked) = (Vec::new(), Vec::new());
        for &(pod, _, was_removed) in &self.pods {
            match state.pods[pod].existing {
                Some(existing) => set_removed(state, pod, gone.contains(&existing)),
                // Old templates make no new pods.
                None if Some(state.pods[pod].template) != group.template => set_removed(state, pod, true),
                None if was_removed => parked.push(pod),
                None => to_come.push(pod),
            }
        }
        to_come.append(&mut parked);
        while to_come.len() < wanted
            && let Some(pod) = push(state, index, self.group)
        {
            to_come.push(pod);
        }
        for (number, &pod) in to_come.iter().enumerate() {
            set_removed(state, pod, number >= wanted);
        }
        to_come.truncate(wanted);
        to_come
    }

    /// Pods that exist go to where they were planned, else home, else wherever they may; their node stands again if need be.
    /// With `homing` they move nowhere they were not planned to.
    fn bring_back(&self, state: &mut Occupancy<'_>, homing: bool) {
        let mut astray = Vec::new();
        for &(pod, planned, _) in &self.pods {
            let facts = &state.pods[pod];
            let stays = matches!(facts.standing, Standing::Fixed | Standing::Leaving | Standing::Elsewhere);
            match facts.origin {
                _ if facts.existing.is_none() || facts.removed || facts.preempted => {}
                Some(home) if stays || planned == Some(home) && state.nodes[home].open => state.bind(pod, Some(home)),
                Some(_) => astray.push((pod, planned)),
                None => {}
            }
        }
        for (pod, planned) in astray {
            let home = state.pods[pod].origin;
            let found = state.wish(pod).and_then(|wish| {
                let takes = |node: &usize| state.admits(&wish, *node);
                planned
                    .filter(takes)
                    .or(home.filter(|_| homing))
                    .or(home.filter(takes))
                    .or_else(|| state.best_node(&wish, |_| true))
            });
            let node = found.or(home);
            if let Some(closed) = node.filter(|node| !state.nodes[*node].open) {
                state.reopen(closed);
            }
            state.bind(pod, node);
        }
    }

    /// Its pods that wait go to the first node that takes them, or to the one they leave fullest where there are many, and
    /// else to a new node of the first offer that does.
    fn fit(&self, state: &mut Occupancy<'_>) {
        let waits = |pod: &usize| {
            let facts = &state.pods[*pod];
            facts.node.is_none() && !facts.removed && facts.standing == Standing::Waiting
        };
        let waiting: Vec<usize> = self.pods.iter().map(|(pod, ..)| *pod).filter(waits).collect();
        let many = state.instance.standing > MOST_NODES_FIRST_FIT;
        // It is judged when it comes, whatever may become uneven later.
        let keeps_even = state.keeps_even();
        state.keep_even(false);
        let mut hopeless: BTreeSet<usize> = BTreeSet::new();
        for pod in waiting {
            let template = state.pods[pod].template;
            if hopeless.contains(&template) {
                continue;
            }
            let found = state
                .wish(pod)
                .and_then(|wish| if many { state.best_node(&wish, |_| true) } else { first_node(state, &wish) });
            let node = found.or_else(|| first_offer(state, pod));
            if node.is_none() {
                hopeless.insert(template);
            }
            state.bind(pod, node);
        }
        state.keep_even(keeps_even);
    }

    /// Pods that wait go where they were planned, or, with `any`, take the places that were planned for such before.
    fn take_places(&self, state: &mut Occupancy<'_>, coming: &[usize], any: bool) {
        let waiting = self.pods.iter().map(|(pod, ..)| *pod).filter(|pod| {
            let facts = &state.pods[*pod];
            facts.existing.is_some() && facts.standing == Standing::Waiting && !facts.removed
        });
        let waiting: Vec<usize> = waiting.chain(coming.iter().copied()).collect();
        let planned: BTreeMap<usize, usize> =
            self.pods.iter().filter_map(|(pod, node, _)| Some((*pod, (*node)?))).collect();
        let is_place = |pod: &usize| state.pods[*pod].origin.is_none();
        let mut places: Vec<usize> = self.free.clone();
        for (pod, node) in planned.iter().filter(|(pod, _)| is_place(pod)) {
            if !waiting.contains(pod) {
                places.push(*node);
            }
        }
        for pod in waiting.into_iter().filter(|pod| state.pods[*pod].node.is_none()).collect::<Vec<_>>() {
            let own = planned.get(&pod).copied();
            let Some(wish) = state.wish(pod) else { continue };
            let found = own.filter(|node| state.admits(&wish, *node));
            let found = found.or_else(|| {
                let place = places.iter().rposition(|node| any && state.admits(&wish, *node))?;
                Some(places.swap_remove(place))
            });
            state.bind(pod, found);
        }
    }

    /// Nodes that its pods were planned on and have left, and all those bought.
    fn worth_a_look(&self, state: &Occupancy<'_>) -> Vec<usize> {
        let left = self.pods.iter().filter(|(pod, node, _)| state.pods[*pod].node != *node);
        let left = left.filter_map(|(_, node, _)| *node);
        let bought = (state.instance.standing..state.nodes.len()).filter(|node| state.nodes[*node].open);
        let nodes: BTreeSet<usize> = left.chain(bought).collect();
        nodes.into_iter().collect()
    }
}

/// Nodes that were given back stand again where pods that wait are worth it, the cheapest first.
fn stand_again(state: &mut Occupancy<'_>) {
    let instance = state.instance;
    let price = |node: usize| instance.sites[node].price_per_hour - instance.node_change_price();
    let mut closed: Vec<usize> = (0..instance.standing).filter(|node| !state.nodes[*node].open).collect();
    closed.sort_by(|a, b| price(*a).total_cmp(&price(*b)).then(a.cmp(b)));
    let mut waiting = in_order(state);
    for node in closed.into_iter().take(MOST_REOPENED) {
        waiting.retain(|pod| state.pods[*pod].node.is_none());
        if waiting.is_empty() {
            return;
        }
        let mark = state.mark();
        state.reopen(node);
        let mut saved = 0.0;
        for &pod in &waiting {
            if state.has_room(pod, node) && state.wish(pod).is_some_and(|wish| state.admits(&wish, node)) {
                state.bind(pod, Some(node));
                saved += instance.unplaced_price(state.pods[pod].template);
            }
        }
        if saved <= price(node) {
            state.roll_back(mark);
        }
    }
}

fn set_removed(state: &mut Occupancy<'_>, pod: usize, removed: bool) {
    if state.pods[pod].removed != removed {
        state.set_removed(pod, removed);
    }
}

/// A pod to come of the group, with a name nobody has; not wanted yet.
fn push(state: &mut Occupancy<'_>, index: &mut Index, group: usize) -> Option<usize> {
    let facts: &Group<'_> = &state.instance.groups[group];
    let template = facts.template?;
    let size = state.choice(group)?.size;
    let mut names = (1_usize..).map(|number| format!("{}-new-{number}", facts.id.name));
    let name = names.find(|name| index.find(&facts.id.namespace, name).is_none())?;
    let pod = PodState { removed: true, ..PodState::to_come(state.instance, group, (template, size), name) };
    let number = state.pods.len();
    index.add(state.instance, number, &pod);
    state.push_pod(pod);
    Some(number)
}
