//! Volumes of pods: what a node can hold, disks and claims that pods may not share, and a volume for each claim.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::Snapshot;
use crate::domain::volumes::{PodVolumes, SharedVolume};

use super::cluster::{Cluster, NodeIndex, PodIndex};

/// Who uses what while the wave runs. What leaves is there until the wave's end, except that a pod that moves has left
/// its own claims before its successor comes: it is evicted first.
#[derive(Debug, Clone)]
pub(super) struct Volumes<'a> {
    snapshot: &'a Snapshot,
    /// Pods with a node that use a claim which only one may use, by namespace and claim.
    users: BTreeMap<(&'a str, &'a str), BTreeSet<PodIndex>>,
    /// Pods that come in this wave, with their node.
    arrived: BTreeMap<PodIndex, NodeIndex>,
    /// Pods that came in this or an earlier wave and have a volume found for a claim, in the order they came.
    bound: Vec<(PodIndex, NodeIndex)>,
}

impl<'a> Volumes<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, users: BTreeMap::new(), arrived: BTreeMap::new(), bound: Vec::new() }
    }

    /// Counts anew who uses what.
    pub(super) fn begin_wave(&mut self, cluster: &Cluster) {
        self.users.clear();
        self.arrived.clear();
        for (index, pod) in cluster.pods.iter().enumerate().filter(|(_, pod)| pod.node.is_some()) {
            self.use_claims(index, pod.template);
        }
    }

    /// Whether the pod's volumes can be had on the node beside those of all who are there; else what is in the way.
    pub(super) fn check(&self, cluster: &Cluster, pod: PodIndex, node: NodeIndex) -> Result<(), String> {
        let template = &self.snapshot.templates[cluster.pods[pod].template];
        let own = &template.rules.volumes;
        self.check_disks(cluster, own, pod, node)?;
        self.check_limits(cluster, own, node)?;
        self.check_leaving(cluster, own, pod)?;
        for claim in &own.single {
            let users = self.users.get(&(template.namespace.as_str(), claim.as_str()));
            if let Some(other) = users.and_then(|users| users.iter().find(|user| **user != pod)) {
                let other = &cluster.pods[*other];
                return Err(format!("claim {}/{claim}, which pod {} uses", template.namespace, other.name));
            }
        }
        if !own.to_bind.is_empty() && !self.all_bind_with(cluster, pod, node) {
            return Err(format!("no volume for a claim of pod {}/{}", template.namespace, cluster.pods[pod].name));
        }
        Ok(())
    }

    /// The pod comes to the node in this wave.
    pub(super) fn arrive(&mut self, cluster: &Cluster, pod: PodIndex, node: NodeIndex) {
        let template = cluster.pods[pod].template;
        self.use_claims(pod, template);
        self.arrived.insert(pod, node);
        if !self.snapshot.templates[template].rules.volumes.to_bind.is_empty() {
            self.bound.push((pod, node));
        }
    }

    /// Takes back that these pods come in this wave. They may use their claims where they are.
    pub(super) fn withdraw(&mut self, cluster: &Cluster, pods: &BTreeSet<PodIndex>) {
        self.bound.retain(|(pod, _)| !pods.contains(pod));
        self.arrived.retain(|pod, _| !pods.contains(pod));
        for users in self.users.values_mut() {
            users.retain(|user| !pods.contains(user) || cluster.pods[*user].node.is_some());
        }
    }

    fn use_claims(&mut self, pod: PodIndex, template: usize) {
        let template = &self.snapshot.templates[template];
        for claim in &template.rules.volumes.single {
            self.users.entry((&template.namespace, claim)).or_default().insert(pod);
        }
    }

    fn volumes(&self, cluster: &Cluster, pod: PodIndex) -> &'a PodVolumes {
        &self.snapshot.templates[cluster.pods[pod].template].rules.volumes
    }

    fn check_disks(&self, cluster: &Cluster, own: &PodVolumes, pod: PodIndex, node: NodeIndex) -> Result<(), String> {
        let there = cluster.nodes[node].pods.iter().filter(|p| !own.disks.is_empty() && **p != pod);
        let mut conflicting = there.filter(|p| own.conflict_with(self.volumes(cluster, **p)));
        conflicting.next().map_or(Ok(()), |&other| {
            let other = &cluster.pods[other];
            Err(format!("a disk of pod {}/{} on node {}", other.namespace, other.name, cluster.nodes[node].name))
        })
    }

    /// Volumes that several pods use count once on a node; those that one pod uses are among what it reserves. One that
    /// only a pod in the middle of leaving has there must be attached anew.
    fn check_limits(&self, cluster: &Cluster, own: &PodVolumes, node: NodeIndex) -> Result<(), String> {
        let there = &cluster.nodes[node];
        if there.volume_limits.0.is_empty() || own.own.0.is_empty() && own.shared.is_empty() {
            return Ok(());
        }
        let shared = |pod: PodIndex| &self.volumes(cluster, pod).shared;
        let leaves = |pod: &PodIndex| self.arrived.get(pod).is_some_and(|to| *to != node);
        let staying: BTreeSet<&SharedVolume> =
            there.pods.iter().filter(|pod| !leaves(pod)).flat_map(|&pod| shared(pod)).collect();
        let all: BTreeSet<&SharedVolume> = there.pods.iter().flat_map(|&pod| shared(pod)).chain(&own.shared).collect();
        for (limit, _) in there.volume_limits.iter() {
            let of_limit = |volume: &&&SharedVolume| volume.limit == limit;
            let brings = own.shared.iter().any(|volume| volume.limit == limit && !staying.contains(volume));
            let count = i64::try_from(all.iter().filter(of_limit).count()).unwrap_or(i64::MAX);
            let mine = own.own.get(limit);
            if (brings || mine > 0) && mine.saturating_add(count) > there.free.get(limit) {
                return Err(format!("{limit} on node {}", there.name));
            }
        }
        Ok(())
    }

    /// A pod does not leave while another comes for the sake of a volume that it has there.
    fn check_leaving(&self, cluster: &Cluster, own: &PodVolumes, pod: PodIndex) -> Result<(), String> {
        let Some(from) = cluster.pods[pod].node.filter(|_| !own.shared.is_empty()) else { return Ok(()) };
        let relies = |(other, to): (&PodIndex, &NodeIndex)| {
            *to == from && self.volumes(cluster, *other).shared.iter().any(|volume| own.shared.contains(volume))
        };
        if self.arrived.iter().any(relies) {
            return Err(format!("a volume of node {}, which a pod comes for", cluster.nodes[from].name));
        }
        Ok(())
    }

    /// Whether each claim finds its volume where pods come in this order, as kube-scheduler hands volumes out.
    fn all_bind_with(&self, cluster: &Cluster, pod: PodIndex, node: NodeIndex) -> bool {
        let mut taken: BTreeSet<&str> = BTreeSet::new();
        let mut found: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        self.bound.iter().copied().chain([(pod, node)]).all(|(pod, node)| {
            let template = &self.snapshot.templates[cluster.pods[pod].template];
            let there = &cluster.nodes[node];
            template.rules.volumes.to_bind.iter().all(|claim| {
                let key = claim.claim.as_deref().map(|name| (template.namespace.as_str(), name));
                if let Some(volume) = key.and_then(|key| found.get(&key)) {
                    // Another pod has it bound: it must be reached from here too.
                    return claim.volumes.iter().any(|v| v.name == *volume && v.is_reached(&there.name, &there.labels));
                }
                match claim.choice(&there.name, &there.labels, &taken) {
                    Some(volume) => {
                        found.extend(key.map(|key| (key, volume.name.as_str())));
                        taken.insert(&volume.name)
                    }
                    None => claim.can_be_made(&there.name, &there.labels),
                }
            })
        })
    }
}
