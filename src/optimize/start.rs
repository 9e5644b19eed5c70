//! The first state for a choice of options: every pod that stays is where it is, those that go are gone, and those to
//! come are waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::instance::{Instance, Standing};
use super::occupancy::{Occupancy, PodState};
use super::relations::Relations;
use super::shrink::surplus;

/// The state before anything is placed or moved.
pub(super) fn start<'a>(instance: &'a Instance<'a>, relations: &'a Relations, choices: &[usize]) -> Occupancy<'a> {
    let mut occupancy = Occupancy::empty(instance, relations, choices.to_vec());
    existing_pods(&mut occupancy, &removed_pods(instance, choices));
    new_pods(&mut occupancy);
    place_waiting_daemons(&mut occupancy);
    occupancy
}

/// Pods that exist, where they are now; those removed have left.
pub(super) fn existing_pods(occupancy: &mut Occupancy<'_>, removed: &BTreeSet<usize>) {
    let instance = occupancy.instance;
    // Pods alike share what they ask for.
    let mut demands: BTreeMap<(usize, usize), Arc<[i64]>> = BTreeMap::new();
    for (index, facts) in instance.pods.iter().enumerate() {
        let size = |group: usize| occupancy.choice(group).map_or(0, |option| option.size);
        let demand = facts.group.map_or_else(
            || Arc::from(facts.demand.as_slice()),
            |group| {
                let shared = demands.entry((group, facts.template));
                let demand = || Arc::from(instance.groups[group].demand(facts.template, size(group)));
                Arc::clone(shared.or_insert_with(demand))
            },
        );
        let charge = facts.group.map_or_else(
            || instance.quotas.own(facts.template),
            |group| instance.quotas.charge(group, facts.template, size(group)),
        );
        occupancy.push_pod(PodState {
            existing: Some(index),
            name: Arc::from(instance.snapshot.pods[index].name.as_str()),
            group: facts.group,
            template: facts.template,
            standing: facts.standing,
            demand,
            charge,
            origin: facts.node,
            node: None,
            removed: removed.contains(&index),
            preempted: false,
        });
        if !removed.contains(&index) {
            occupancy.bind(index, facts.node);
        }
    }
}

/// Pods that go because their workloads shrink.
fn removed_pods(instance: &Instance<'_>, choices: &[usize]) -> BTreeSet<usize> {
    let mut pods_on: BTreeMap<usize, usize> = BTreeMap::new();
    for node in instance.pods.iter().filter(|p| p.standing != Standing::Daemon).filter_map(|p| p.node) {
        *pods_on.entry(node).or_insert(0) += 1;
    }
    let mut removed = BTreeSet::new();
    for (group, choice) in instance.groups.iter().zip(choices) {
        let replicas = group.options.get(*choice).map_or(0, |o| o.replicas as usize);
        removed.extend(surplus(instance, group, replicas, &mut pods_on));
    }
    removed
}

/// Pods to come of every group, waiting.
pub(super) fn new_pods(occupancy: &mut Occupancy<'_>) {
    let instance = occupancy.instance;
    let names: BTreeSet<(&str, &str)> =
        instance.snapshot.pods.iter().map(|p| (p.namespace.as_str(), p.name.as_str())).collect();
    for (index, group) in instance.groups.iter().enumerate() {
        let Some(template) = group.template else { continue };
        let Some(choice) = occupancy.choice(index).copied() else { continue };
        let wanted = (choice.replicas as usize).saturating_sub(group.pods.len());
        let free_names = (1..)
            .map(|number| format!("{}-new-{number}", group.id.name))
            .filter(|name| !names.contains(&(group.id.namespace.as_str(), name.as_str())));
        // They share what they ask for.
        let alike = PodState::to_come(instance, index, (template, choice.size), String::new());
        for name in free_names.take(wanted) {
            occupancy.push_pod(PodState { name: name.into(), ..alike.clone() });
        }
    }
}

/// Pods of `DaemonSets` that wait go to the one node their controller made them for, if it has room.
pub(super) fn place_waiting_daemons(occupancy: &mut Occupancy<'_>) {
    for pod in occupancy.waiting() {
        if occupancy.pods[pod].standing == Standing::Daemon
            && let Some(wish) = occupancy.wish(pod)
            && let Some(node) = occupancy.best_node(&wish, |_| true)
        {
            occupancy.bind(pod, Some(node));
        }
    }
}
