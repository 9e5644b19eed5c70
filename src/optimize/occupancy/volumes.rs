//! Volumes that several pods use, and volumes found for claims when their pods come.

use std::collections::{BTreeMap, BTreeSet};

use super::super::relations::Relations;
use super::{NodeState, Occupancy, PodState};

/// The resource of each shared volume that a pod of the template attaches to a node with these other pods: those that
/// one of them uses are attached already.
pub(super) fn attached(
    relations: &Relations,
    pods: &[PodState],
    others: &[usize],
    template: usize,
) -> impl Iterator<Item = usize> {
    let volumes = relations.templates.get(template).map_or(&[][..], |own| own.shared_volumes.as_slice());
    let of =
        |pod: &usize| relations.templates.get(pods[*pod].template).map_or(&[][..], |t| t.shared_volumes.as_slice());
    volumes
        .iter()
        .filter(move |volume| !others.iter().any(|pod| of(pod).contains(volume)))
        .map(|(_, resource)| *resource)
}

impl Occupancy<'_> {
    /// Whether another pod that has a node uses a claim of the template that only one pod may use.
    pub(super) fn claim_in_use(&self, template: usize) -> bool {
        self.relations
            .templates
            .get(template)
            .is_some_and(|own| own.claims.iter().any(|claim| self.state.claims[*claim] > 0))
    }

    /// Whether the node can hold the pod's volumes beside those of its pods. What only the pod uses is among what it
    /// reserves.
    pub(super) fn volumes_fit(&self, pod: usize, on: &NodeState) -> bool {
        let state = &self.state.pods[pod];
        let own = &self.relations.templates[state.template];
        let conflicts = |other: &usize| {
            let taken = &self.relations.templates[self.state.pods[*other].template].disks;
            taken.iter().any(|disk| own.disks.iter().any(|wanted| wanted.conflicts_with(disk)))
        };
        if !own.disks.is_empty() && on.pods.iter().any(conflicts) {
            return false;
        }
        if !own.shared_volumes.is_empty() {
            let mut new: BTreeMap<usize, i64> = BTreeMap::new();
            for resource in attached(self.relations, &self.state.pods, &on.pods, state.template) {
                *new.entry(resource).or_insert(0) += 1;
            }
            if new.iter().any(|(resource, new)| state.demand[*resource] + new > on.free[*resource]) {
                return false;
            }
        }
        !own.binds || self.all_bind_with(pod, on)
    }

    /// Whether a volume is found or made for each claim of the pod on the node, and still for those of the pods that came
    /// before.
    fn all_bind_with(&self, pod: usize, on: &NodeState) -> bool {
        let mut taken: BTreeSet<&str> = BTreeSet::new();
        let mut found: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        let mut pods = self.state.binding.clone();
        pods.insert(pod);
        pods.into_iter().all(|other| {
            let state = &self.state.pods[other];
            let node = if other == pod { Some(on) } else { state.node.map(|node| &self.state.nodes[node]) };
            let Some(node) = node else { return true };
            let labels = &self.instance.sites[node.site].labels;
            let template = &self.instance.snapshot.templates[state.template];
            template.rules.volumes.to_bind.iter().all(|claim| {
                let key = claim.claim.as_deref().map(|name| (template.namespace.as_str(), name));
                if let Some(volume) = key.and_then(|key| found.get(&key)) {
                    // Another pod has it bound: it must be reached from here too.
                    return claim.volumes.iter().any(|v| v.name == *volume && v.is_reached(&node.name, labels));
                }
                match claim.choice(&node.name, labels, &taken) {
                    Some(volume) => {
                        found.extend(key.map(|key| (key, volume.name.as_str())));
                        taken.insert(&volume.name)
                    }
                    None => claim.can_be_made(&node.name, labels),
                }
            })
        })
    }
}
