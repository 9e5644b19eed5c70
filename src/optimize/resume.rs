//! A state taken up from an earlier plan, of this cluster or of one like it: what the plan says is done as far as it
//! still can be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::earlier::{EarlierNode, EarlierPlan};
use crate::domain::plan::{NodeState, Placement, PlacementState};
use crate::domain::resources::{PODS, Resources, is_use};
use crate::domain::snapshot::WorkloadId;

use super::instance::{Choice, Group, Instance, Standing};
use super::occupancy::Occupancy;
use super::place::quota_left;
use super::preempt::reprieve;
use super::relations::Relations;
use super::round::unchanged;
use super::shrink::surplus;
use super::start::{existing_pods, new_pods, place_waiting_daemons};

/// A state made from a plan.
pub(super) struct Resumed<'a> {
    pub(super) state: Occupancy<'a>,
    /// What the plan calls each node it buys.
    pub(super) names: BTreeMap<usize, String>,
}

/// The state that the plan describes. Where `asks`, each pod that comes is asked whether its node still takes it, and stays
/// where it is, or waits, if not; else the plan is taken at its word, and only a check tells whether it still holds.
pub(super) fn resume<'a>(
    instance: &'a Instance<'a>,
    relations: &'a Relations,
    plan: &EarlierPlan,
    asks: bool,
) -> Resumed<'a> {
    let mut state = Occupancy::empty(instance, relations, choices(instance, plan));
    let removed = removed(instance, &state.choices, plan);
    existing_pods(&mut state, &removed);
    new_pods(&mut state);
    let (nodes, names) = nodes(&mut state, plan);
    stop_preempted(&mut state, plan);
    place(&mut state, &nodes, plan, asks);
    for node in plan.nodes.iter().filter(|node| node.state == NodeState::Remove) {
        if let Some(&number) = nodes.get(node.name.as_str()) {
            close(&mut state, number);
        }
    }
    if asks {
        reprieve(&mut state);
    }
    place_waiting_daemons(&mut state);
    Resumed { state, names }
}

/// The plan's options, where they are still on the menu.
fn choices(instance: &Instance<'_>, plan: &EarlierPlan) -> Vec<usize> {
    let chosen: BTreeMap<&WorkloadId, (u32, &Resources)> =
        plan.choices.iter().map(|(id, replicas, requests)| (id, (*replicas, requests))).collect();
    let option = |(group, unchanged): (&Group<'_>, usize)| {
        let Some((replicas, requests)) = chosen.get(group.id) else { return unchanged };
        let own = group.template.and_then(|t| instance.snapshot.templates.get(t)).map(|t| &t.requests);
        let is_chosen = |option: &Choice| {
            let size = group.sizes.get(option.size).and_then(Option::as_ref).or(own);
            option.replicas == *replicas && size.is_some_and(|size| asked(size) == asked(requests))
        };
        group.options.iter().position(is_chosen).unwrap_or(unchanged)
    };
    instance.groups.iter().zip(unchanged(instance)).map(option).collect()
}

/// Requests as a plan writes them: without expected use, which nothing requests.
fn asked(requests: &Resources) -> Vec<(&str, i64)> {
    requests.iter().filter(|(name, amount)| *name != PODS && *amount != 0 && !is_use(name)).collect()
}

/// Pods that go because their workloads shrink: those of the plan first.
fn removed(instance: &Instance<'_>, choices: &[usize], plan: &EarlierPlan) -> BTreeSet<usize> {
    let named: BTreeSet<(&str, &str)> = plan.removals.iter().map(|r| (r.namespace.as_str(), r.pod.as_str())).collect();
    let mut pods_on: BTreeMap<usize, usize> = BTreeMap::new();
    for node in instance.pods.iter().filter(|p| p.standing != Standing::Daemon).filter_map(|p| p.node) {
        *pods_on.entry(node).or_insert(0) += 1;
    }
    let mut removed = BTreeSet::new();
    for (group, choice) in instance.groups.iter().zip(choices) {
        let replicas = group.options.get(*choice).map_or(0, |o| o.replicas as usize);
        let wanted = group.pods.len().saturating_sub(replicas);
        let may_go = |p: &usize| !matches!(instance.pods[*p].standing, Standing::Fixed | Standing::Elsewhere);
        let is_named = |p: &usize| {
            let pod = &instance.snapshot.pods[*p];
            named.contains(&(pod.namespace.as_str(), pod.name.as_str()))
        };
        let by_plan: Vec<usize> = group.pods.iter().copied().filter(may_go).filter(is_named).take(wanted).collect();
        if by_plan.len() < wanted {
            let others = surplus(instance, group, replicas, &mut pods_on);
            let others = others.into_iter().filter(|p| !by_plan.contains(p)).take(wanted - by_plan.len());
            removed.extend(others);
        }
        removed.extend(by_plan);
    }
    removed
}

/// Nodes by the plan's names, those it buys bought.
fn nodes<'p>(state: &mut Occupancy<'_>, plan: &'p EarlierPlan) -> (BTreeMap<&'p str, usize>, BTreeMap<usize, String>) {
    let instance = state.instance;
    let standing: BTreeMap<&str, usize> =
        instance.snapshot.nodes.iter().enumerate().map(|(number, node)| (node.name.as_str(), number)).collect();
    let (mut nodes, mut names) = (BTreeMap::new(), BTreeMap::new());
    let mut bought: Vec<&EarlierNode> = Vec::new();
    for node in &plan.nodes {
        match standing.get(node.name.as_str()) {
            Some(number) => drop(nodes.insert(node.name.as_str(), *number)),
            None if node.state == NodeState::Add => bought.push(node),
            None => {}
        }
    }
    // Numbered names in the order of their numbers.
    bought.sort_by_key(|node| (node.name.len(), node.name.as_str()));
    for node in bought {
        let is_its = |site: &usize| {
            let site = &instance.sites[*site];
            (&site.offer, &site.zone, site.capacity_type) == (&node.offer, &node.zone, node.capacity_type)
        };
        let site = (instance.standing..instance.sites.len()).find(is_its);
        if let Some(site) = site.filter(|site| quota_left(state, *site)) {
            let number = state.buy(site);
            nodes.insert(node.name.as_str(), number);
            names.insert(number, node.name.clone());
        }
    }
    (nodes, names)
}

/// Pods that the plan stops for others lose their node, as far as the policy still allows.
fn stop_preempted(state: &mut Occupancy<'_>, plan: &EarlierPlan) {
    let named: BTreeMap<(&str, &str), &str> =
        plan.preempted.iter().map(|p| ((p.namespace.as_str(), p.pod.as_str()), p.node.as_str())).collect();
    if named.is_empty() || !state.preempts() {
        return;
    }
    let instance = state.instance;
    for (pod, facts) in instance.snapshot.pods.iter().enumerate() {
        let node = named.get(&(facts.namespace.as_str(), facts.name.as_str())).copied();
        let stands = node.is_some() && facts.node.as_deref() == node && state.pods[pod].node.is_some();
        if stands && state.may_be_preempted(pod, i32::MAX) {
            state.bind(pod, None);
            state.set_preempted(pod, true);
        }
    }
}

/// Puts pods where the plan has them. Replicas that came under another name take the places meant for those to come.
fn place(state: &mut Occupancy<'_>, nodes: &BTreeMap<&str, usize>, plan: &EarlierPlan, asks: bool) {
    let instance = state.instance;
    let mut numbers: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let names: Vec<(Option<usize>, Arc<str>)> =
        state.pods.iter().map(|pod| (pod.existing, Arc::clone(&pod.name))).collect();
    for (number, (existing, name)) in names.iter().enumerate() {
        let namespace = match (existing, state.pods[number].group) {
            (Some(pod), _) => instance.snapshot.pods[*pod].namespace.as_str(),
            (None, Some(group)) => instance.groups[group].id.namespace.as_str(),
            (None, None) => "",
        };
        numbers.insert((namespace, name), number);
    }
    let mut meant: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for placement in plan.placements.iter().filter(|p| p.state != PlacementState::Stay) {
        let Some(&node) = nodes.get(placement.node.as_str()) else { continue };
        match numbers.get(&(placement.namespace.as_str(), placement.pod.as_str())) {
            Some(&pod) => send(state, pod, node, asks),
            None => meant.entry(owner(placement)).or_default().push(node),
        }
    }
    for pod in state.waiting() {
        let Some(group) = state.pods[pod].group else { continue };
        let facts = &instance.groups[group];
        let owner = (facts.id.namespace.clone(), facts.label());
        if let Some(node) = meant.get_mut(&owner).and_then(Vec::pop) {
            send(state, pod, node, true);
        }
    }
}

fn owner(placement: &Placement) -> (String, String) {
    (placement.namespace.clone(), placement.workload.clone())
}

fn send(state: &mut Occupancy<'_>, pod: usize, node: usize, asks: bool) {
    let facts = &state.pods[pod];
    let stays = matches!(facts.standing, Standing::Fixed | Standing::Leaving | Standing::Elsewhere);
    if stays || facts.removed || facts.node == Some(node) {
        return;
    }
    let mark = state.mark();
    state.bind(pod, None);
    if !asks || state.wish(pod).is_some_and(|wish| state.admits(&wish, node)) {
        state.bind(pod, Some(node));
    } else {
        state.roll_back(mark);
    }
}

/// Gives the node back if it may go and is empty.
fn close(state: &mut Occupancy<'_>, node: usize) {
    let instance = state.instance;
    let empty = state.nodes[node].pods.iter().all(|pod| state.pods[*pod].standing == Standing::Daemon);
    if empty && instance.sites[node].may_drain && state.drained < instance.limits.drains {
        state.close(node);
    }
}
