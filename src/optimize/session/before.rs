//! The plan before a change, as far as it takes to say what differs after it.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::plan::{Certificate, Unplaced};

use super::super::instance::Standing;
use super::super::occupancy::Occupancy;
use super::super::plan::{
    Names, daemon_placements, daemon_plan, node_plan, placement, preempted, removal, workload_plan,
};
use super::cut::unplaced;
use super::delta::{PlanChanges, PodChange};
use super::desk::Differing;
use super::index::Index;

/// Names of pods that the change takes away.
pub(super) struct Before {
    group: usize,
    gone: Vec<String>,
}

impl Before {
    /// `dead` are the pods of the state that are gone.
    pub(super) fn of(state: &Occupancy<'_>, group: usize, dead: &[usize]) -> Self {
        Self { group, gone: dead.iter().map(|pod| state.pods[*pod].name.to_string()).collect() }
    }

    /// What differs now.
    pub(super) fn differences(
        &self,
        state: &Occupancy<'_>,
        names: &Names,
        index: &Index,
        differing: &Differing,
        certificate: Certificate,
    ) -> PlanChanges {
        let instance = state.instance;
        let namespace = &instance.groups[self.group].id.namespace;
        let mut pods: BTreeMap<(String, String), PodChange> = BTreeMap::new();
        let mut note = |change: PodChange| {
            pods.insert((change.namespace.clone(), change.pod.clone()), change);
        };
        for pod in &self.gone {
            note(PodChange { namespace: namespace.clone(), pod: pod.clone(), placement: None, removal: None });
        }
        for &pod in differing.pods.keys() {
            let facts = &state.pods[pod];
            let Some(group) = facts.group else { continue };
            note(PodChange {
                namespace: instance.groups[group].id.namespace.clone(),
                pod: facts.name.to_string(),
                placement: placement(state, names, pod),
                removal: removal(state, pod),
            });
        }
        for &node in differing.opened.keys() {
            daemon_pods(state, names, node).into_iter().for_each(&mut note);
        }
        let groups: BTreeSet<usize> =
            differing.pods.keys().filter_map(|pod| state.pods[*pod].group).chain([self.group]).collect();
        let mut workloads: Vec<_> =
            groups.iter().filter_map(|group| workload_plan(state, *group, moves(state, index, *group))).collect();
        workloads.extend(daemons(state, differing));
        workloads.sort_by(|a, b| a.id.cmp(&b.id));
        let nothing = |group: usize| {
            let facts = &instance.groups[group];
            let (namespace, workload) = (facts.id.namespace.clone(), facts.label());
            Unplaced { namespace, workload, count: 0, reasons: Vec::new() }
        };
        let waiting = groups.iter().map(|group| unplaced(state, index, *group).unwrap_or_else(|| nothing(*group)));
        let withdrawn = differing.opened.iter().filter(|(node, was)| **was && is_withdrawn(state, **node));
        PlanChanges {
            certificate,
            workloads,
            nodes: differing.nodes.iter().filter_map(|node| node_plan(state, names, *node)).collect(),
            withdrawn: withdrawn.map(|(node, _)| names.nodes[*node].clone()).collect(),
            pods: pods.into_values().collect(),
            preempted: preempted(state, names),
            unplaced: waiting.collect(),
        }
    }
}

fn is_withdrawn(state: &Occupancy<'_>, node: usize) -> bool {
    state.nodes[node].bought && !state.nodes[node].open
}

fn moves(state: &Occupancy<'_>, index: &Index, group: usize) -> u32 {
    let pods = index.of_group[group].iter().map(|pod| &state.pods[*pod]);
    pods.filter(|pod| pod.origin.is_some() && pod.node.is_some() && pod.node != pod.origin).count() as u32
}

/// Pods of `DaemonSets` on a node that opened or closed.
fn daemon_pods(state: &Occupancy<'_>, names: &Names, node: usize) -> Vec<PodChange> {
    let instance = state.instance;
    let facts = &state.nodes[node];
    if facts.bought {
        let placed = daemon_placements(state, names, node);
        let daemons = instance.sites[facts.site].daemons.iter();
        let named = daemons.filter_map(|daemon| Some((*daemon, names.daemons.get(&(node, *daemon))?)));
        return named
            .map(|(daemon, pod)| PodChange {
                namespace: instance.snapshot.workloads[daemon].id.namespace.clone(),
                pod: pod.clone(),
                placement: placed.iter().find(|placement| placement.pod == *pod).cloned(),
                removal: None,
            })
            .collect();
    }
    let of_daemons = facts.pods.iter().filter(|pod| state.pods[**pod].standing == Standing::Daemon);
    let existing = of_daemons.filter_map(|pod| Some((*pod, state.pods[*pod].existing?)));
    existing
        .map(|(pod, existing)| PodChange {
            namespace: instance.snapshot.pods[existing].namespace.clone(),
            pod: state.pods[pod].name.to_string(),
            placement: placement(state, names, pod),
            removal: None,
        })
        .collect()
}

/// `DaemonSets`, where nodes opened or closed: they have as many pods as nodes.
fn daemons(state: &Occupancy<'_>, differing: &Differing) -> Vec<crate::domain::plan::WorkloadPlan> {
    let instance = state.instance;
    let daemons = instance.snapshot.workloads.iter().enumerate().filter(|(_, workload)| workload.daemon);
    if differing.opened.is_empty() {
        return Vec::new();
    }
    let placed = |number: usize| {
        let id = &instance.snapshot.workloads[number].id;
        let open = state.nodes.iter().filter(|node| node.open);
        let of_node = |node: &super::super::occupancy::NodeState| {
            let own = |pod: &&usize| {
                let pod = &state.pods[**pod];
                pod.standing == Standing::Daemon
                    && pod.existing.is_some_and(|pod| instance.snapshot.pods[pod].workload == *id)
            };
            let to_come = node.bought && instance.sites[node.site].daemons.contains(&number);
            node.pods.iter().filter(own).count() as u32 + u32::from(to_come)
        };
        open.map(of_node).sum()
    };
    daemons.map(|(number, workload)| daemon_plan(instance, workload, placed(number))).collect()
}
