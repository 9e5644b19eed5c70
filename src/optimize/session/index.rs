//! Where pods are found in a session: by name, workload, template and node.

use std::collections::{BTreeMap, HashMap};

use super::super::instance::{Instance, PodFacts};
use super::super::occupancy::{Occupancy, PodState};

/// A pod that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// Exists: its index in the snapshot.
    Existing(usize),
    /// Is to come: its index in the state.
    ToCome(usize),
}

/// Indices into the state and the snapshot. Pods of the state are only ever added; those that are gone are forgotten here.
#[derive(Default)]
pub(super) struct Index {
    /// Pods of the state by group.
    pub(super) of_group: Vec<Vec<usize>>,
    /// Pods of the state by template.
    pub(super) of_template: Vec<Vec<usize>>,
    /// Place in the state of each pod of the snapshot.
    pub(super) state_of: Vec<usize>,
    /// Pods of the snapshot by the node they have now.
    pub(super) on_node: Vec<Vec<usize>>,
    named: BTreeMap<String, HashMap<String, Named>>,
}

impl Index {
    pub(super) fn new(state: &Occupancy<'_>) -> Self {
        let instance = state.instance;
        let mut index = Self {
            of_group: vec![Vec::new(); instance.groups.len()],
            of_template: vec![Vec::new(); instance.snapshot.templates.len()],
            state_of: vec![0; instance.pods.len()],
            on_node: vec![Vec::new(); instance.standing],
            named: BTreeMap::new(),
        };
        for (number, pod) in state.pods.iter().enumerate() {
            index.add(instance, number, pod);
        }
        index
    }

    /// A pod has joined the state.
    pub(super) fn add(&mut self, instance: &Instance<'_>, number: usize, pod: &PodState) {
        if let Some(group) = pod.group {
            self.of_group[group].push(number);
        }
        if let Some(pods) = self.of_template.get_mut(pod.template) {
            pods.push(number);
        }
        let (namespace, named) = match (pod.existing, pod.group) {
            (Some(existing), _) => {
                if self.state_of.len() <= existing {
                    self.state_of.resize(existing + 1, number);
                }
                self.state_of[existing] = number;
                if let Some(node) = instance.pods[existing].node {
                    self.on_node[node].push(existing);
                }
                (instance.snapshot.pods[existing].namespace.as_str(), Named::Existing(existing))
            }
            (None, Some(group)) => (instance.groups[group].id.namespace.as_str(), Named::ToCome(number)),
            (None, None) => return,
        };
        match self.named.get_mut(namespace) {
            Some(names) => drop(names.insert(pod.name.to_string(), named)),
            None => {
                self.named.insert(namespace.to_owned(), HashMap::from([(pod.name.to_string(), named)]));
            }
        }
    }

    /// The pod of that name.
    pub(super) fn find(&self, namespace: &str, name: &str) -> Option<Named> {
        self.named.get(namespace)?.get(name).copied()
    }

    /// A pod of the state is gone for good, or is to come no more.
    pub(super) fn forget(&mut self, namespace: &str, number: usize, pod: &PodState) {
        let lists = pod.group.map(|group| &mut self.of_group[group]);
        for list in lists.into_iter().chain(self.of_template.get_mut(pod.template)) {
            list.retain(|other| *other != number);
        }
        if let Some(names) = self.named.get_mut(namespace) {
            names.remove(&*pod.name);
        }
    }

    /// Takes a pod out of the snapshot's numbering: the last one takes its number. `facts` still has the pod.
    pub(super) fn remove_existing(&mut self, facts: &[PodFacts], existing: usize) {
        let last = facts.len() - 1;
        if let Some(node) = facts[existing].node {
            self.on_node[node].retain(|pod| *pod != existing);
        }
        if let Some(node) = facts[last].node.filter(|_| last != existing)
            && let Some(place) = self.on_node[node].iter_mut().find(|pod| **pod == last)
        {
            *place = existing;
        }
        self.state_of.swap_remove(existing);
    }

    /// The pod of the name now has another number in the snapshot.
    pub(super) fn renumber(&mut self, namespace: &str, name: &str, existing: usize) {
        if let Some(named) = self.named.get_mut(namespace).and_then(|names| names.get_mut(name)) {
            *named = Named::Existing(existing);
        }
    }
}
