//! What becomes of pods whose nodes are lost: which of them find room on those that are left.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::catalog::{Catalog, PriceSource};
use crate::domain::policy::{Policy, Target};
use crate::domain::snapshot::{Snapshot, WorkloadId};

use super::instance::{Instance, Standing};
use super::occupancy::Occupancy;
use super::place::place_waiting;
use super::relations::Relations;
use super::start::start;

/// A workload with pods on nodes that are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// Which workload.
    pub workload: WorkloadId,
    /// Its pods that had a node before.
    pub running: u32,
    /// Its pods on the nodes lost.
    pub lost: u32,
    /// Those of them that find no room.
    pub waiting: u32,
}

/// What becomes of the pods of each set of lost nodes (indices into the snapshot's), each set by itself: workloads with
/// pods on them, sorted. Pods of `DaemonSet`s go with their nodes and are not counted.
///
/// Pods come again as kube-scheduler would place them: by every rule of their own, the most important and largest first,
/// onto what stands. Nothing is bought or moved, and what the policy's targets ask for beyond that is set aside. Another
/// order can find room for more or for fewer. Pods that nothing makes again wait in any case.
#[must_use]
pub fn survive(snapshot: &Snapshot, policy: &Policy, losses: &[BTreeSet<usize>]) -> Vec<Vec<Survivor>> {
    let policy = by_their_own_rules(policy);
    let catalog = Catalog { name: String::new(), prices: PriceSource::Listed, offers: Vec::new() };
    let instance = Instance::new(snapshot, &catalog, &policy, &[]);
    let relations = Relations::new(&instance);
    let choices: Vec<usize> = instance.groups.iter().map(|group| group.current.unwrap_or(0)).collect();
    let mut before = start(&instance, &relations, &choices);
    // What waits already is no loss.
    for pod in before.waiting() {
        before.set_removed(pod, true);
    }
    losses.iter().map(|lost| without(before.clone(), lost)).collect()
}

/// The policy as far as kube-scheduler would know it.
fn by_their_own_rules(policy: &Policy) -> Policy {
    let plain = |target: &Target| Target { spread: None, max_spot_share: None, zone_loss: None, ..target.clone() };
    Policy { targets: policy.targets.iter().map(plain).collect(), ..policy.clone() }
}

fn without(mut state: Occupancy<'_>, lost: &BTreeSet<usize>) -> Vec<Survivor> {
    let groups = &state.instance.groups;
    let mut running: BTreeMap<usize, u32> = BTreeMap::new();
    for group in state.pods.iter().filter(|pod| pod.node.is_some()).filter_map(|pod| pod.group) {
        *running.entry(group).or_insert(0) += 1;
    }
    let mut gone: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &node in lost {
        for pod in state.nodes[node].pods.clone() {
            state.bind(pod, None);
            state.uproot(pod);
            match state.pods[pod].group {
                Some(group) => gone.entry(group).or_default().push(pod),
                None => state.set_removed(pod, true),
            }
            let forever = state.pods[pod].group.is_none_or(|group| groups[group].id.kind == "Pod");
            if forever || state.pods[pod].standing == Standing::Daemon {
                state.set_removed(pod, true);
            }
        }
        state.close(node);
    }
    place_waiting(&mut state, |_| true);
    gone.into_iter()
        .map(|(group, pods)| {
            let waiting = pods.iter().filter(|pod| state.pods[**pod].node.is_none()).count();
            Survivor {
                workload: groups[group].id.clone(),
                running: running.get(&group).copied().unwrap_or(0),
                lost: pods.len() as u32,
                waiting: waiting as u32,
            }
        })
        .collect()
}
