//! Volumes that other pods use: on the node, and for claims of one pod anywhere.

use std::collections::BTreeSet;

use crate::domain::snapshot::PodTemplate;
use crate::domain::volumes::{PodVolumes, SharedVolume};

use super::{Cluster, NodeState};

/// Whether a pod that has a node uses a claim of this one's that only one pod may use.
pub(super) fn claim_in_use(cluster: &Cluster<'_>, template: &PodTemplate) -> bool {
    let wanted = &template.rules.volumes.single;
    let uses = |other: &PodTemplate| {
        let taken = &other.rules.volumes.single;
        other.namespace == template.namespace && wanted.iter().any(|claim| taken.contains(claim))
    };
    !wanted.is_empty()
        && cluster
            .nodes
            .iter()
            .flat_map(|node| node.pods.keys())
            .any(|number| cluster.templates.get(*number).is_some_and(uses))
}

/// A node with the pods on it.
pub(super) struct OnNode<'n, 'a> {
    pub(super) node: &'n NodeState<'a>,
    pub(super) templates: &'n [PodTemplate],
}

impl<'n> OnNode<'n, '_> {
    /// Volumes of each template on the node, with how many pods have them.
    fn volumes(&self) -> impl Iterator<Item = (&'n PodVolumes, u32)> {
        let pods = self.node.pods.iter();
        pods.filter_map(|(number, count)| Some((&self.templates.get(*number)?.rules.volumes, *count)))
    }

    /// Whether a pod of the node has a disk that it does not share with this one.
    pub(super) fn disk_in_use(&self, wanted: &PodVolumes) -> bool {
        !wanted.disks.is_empty() && self.volumes().any(|(taken, _)| wanted.conflict_with(taken))
    }

    /// Whether the pod brings a volume of a driver whose limit it would break. A volume that is there already counts as
    /// no new one.
    pub(super) fn has_too_many(&self, wanted: &PodVolumes) -> bool {
        let shared: BTreeSet<&SharedVolume> = self.volumes().flat_map(|(volumes, _)| &volumes.shared).collect();
        self.node.volume_limits.iter().any(|(limit, most)| {
            let of_limit = |volume: &&SharedVolume| volume.limit == limit;
            let new = wanted.shared.iter().filter(of_limit).filter(|volume| !shared.contains(volume)).count();
            let new = wanted.own.get(limit) + i64::try_from(new).unwrap_or(i64::MAX);
            let own: i64 = self.volumes().map(|(volumes, count)| volumes.own.get(limit) * i64::from(count)).sum();
            let there =
                own + i64::try_from(shared.iter().filter(|volume| of_limit(volume)).count()).unwrap_or(i64::MAX);
            new > 0 && there + new > most
        })
    }
}
