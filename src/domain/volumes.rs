//! What a pod's volumes ask of its node and of other pods, beside where the node must be: the rules of kube-scheduler's
//! `NodeVolumeLimits`, `VolumeRestrictions` and `VolumeBinding` (1.36).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::resources::Resources;
use super::rules::{Labels, NodeSelectorTerm};

/// Begins the name of a driver's limit on the volumes of a node, as Kubernetes writes it.
const LIMIT_PREFIX: &str = "attachable-volumes-csi-";

/// The name of a driver's limit on the volumes of a node.
#[must_use]
pub fn volume_limit(driver: &str) -> String {
    format!("{LIMIT_PREFIX}{driver}")
}

/// Whether a resource is a limit on the volumes of a node.
#[must_use]
pub fn is_volume_limit(resource: &str) -> bool {
    resource.starts_with(LIMIT_PREFIX)
}

/// Volumes of a pod, as far as they restrict it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct PodVolumes {
    /// Volumes that no other pod uses and that count against a limit, by the limit's name.
    pub own: Resources,
    /// Volumes that others use too: on one node they count once. Sorted.
    pub shared: Vec<SharedVolume>,
    /// Claims of the pod's namespace that several pods want and only one may use. Sorted.
    pub single: Vec<String>,
    /// Disks that pods of one node may not share. Sorted.
    pub disks: Vec<Disk>,
    /// Claims that a volume is found for when the pod is placed, the smallest first.
    pub to_bind: Vec<ClaimToBind>,
    /// A claim must be bound before the pod is placed, and is not.
    pub unbound: bool,
}

/// A volume that several pods may use.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SharedVolume {
    /// Name of the limit it counts against.
    pub limit: String,
    /// Which volume of the driver.
    pub handle: String,
}

/// A disk named in a pod's spec that pods of one node may not share.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Disk {
    /// A GCE persistent disk.
    #[serde(rename_all = "camelCase")]
    GcePersistentDisk {
        /// Its name.
        name: String,
        /// Whether the pod only reads it.
        read_only: bool,
    },
    /// An EBS volume: pods never share one, whether they write or not.
    AwsElasticBlockStore {
        /// Its id.
        id: String,
    },
    /// An iSCSI target.
    #[serde(rename_all = "camelCase")]
    Iscsi {
        /// Its qualified name.
        target: String,
        /// Whether the pod only reads it.
        read_only: bool,
    },
    /// A Ceph image.
    #[serde(rename_all = "camelCase")]
    Rbd {
        /// Monitors of the cluster: two images are the same if they share one.
        monitors: Vec<String>,
        /// Its pool.
        pool: String,
        /// Its name.
        image: String,
        /// Whether the pod only reads it.
        read_only: bool,
    },
}

impl Disk {
    /// Whether pods with these disks cannot be on one node.
    #[must_use]
    pub fn conflicts_with(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::GcePersistentDisk { name: a, read_only: a_reads },
                Self::GcePersistentDisk { name: b, read_only: b_reads },
            )
            | (Self::Iscsi { target: a, read_only: a_reads }, Self::Iscsi { target: b, read_only: b_reads }) => {
                a == b && !(*a_reads && *b_reads)
            }
            (Self::AwsElasticBlockStore { id: a }, Self::AwsElasticBlockStore { id: b }) => a == b,
            (
                Self::Rbd { monitors, pool, image, read_only },
                Self::Rbd { monitors: others, pool: other_pool, image: other_image, read_only: other_reads },
            ) => {
                pool == other_pool
                    && image == other_image
                    && monitors.iter().any(|monitor| others.contains(monitor))
                    && !(*read_only && *other_reads)
            }
            _ => false,
        }
    }
}

/// A claim that a volume is found for, or made, when its pod is placed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClaimToBind {
    /// Its name, where other pods may use it too.
    pub claim: Option<String>,
    /// Volumes that it could have, in the order they are tried: the smallest first.
    pub volumes: Vec<VolumeToBind>,
    /// Where its class can make one: anywhere if there are no terms; `None` if it makes none.
    pub made: Option<Vec<NodeSelectorTerm>>,
}

/// A volume that is there and has no claim.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VolumeToBind {
    /// Its name.
    pub name: String,
    /// Alternatives of which a node must meet one; `None` is every node.
    pub affinity: Option<Vec<NodeSelectorTerm>>,
}

impl VolumeToBind {
    /// Whether it can be reached from the node.
    #[must_use]
    pub fn is_reached(&self, node_name: &str, labels: &Labels) -> bool {
        self.affinity.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(node_name, labels)))
    }
}

impl ClaimToBind {
    /// The volume it would have on the node, of those that are not taken.
    #[must_use]
    pub fn choice(&self, node_name: &str, labels: &Labels, taken: &BTreeSet<&str>) -> Option<&VolumeToBind> {
        self.volumes.iter().find(|v| !taken.contains(v.name.as_str()) && v.is_reached(node_name, labels))
    }

    /// Whether its class can make a volume for the node.
    #[must_use]
    pub fn can_be_made(&self, node_name: &str, labels: &Labels) -> bool {
        let any = |terms: &Vec<NodeSelectorTerm>| terms.iter().any(|term| term.matches(node_name, labels));
        self.made.as_ref().is_some_and(|terms| terms.is_empty() || any(terms))
    }

    /// Labels that decide where it can be bound.
    pub fn terms(&self) -> impl Iterator<Item = &NodeSelectorTerm> {
        self.volumes.iter().filter_map(|v| v.affinity.as_ref()).chain(&self.made).flatten()
    }
}

impl PodVolumes {
    /// Whether a volume can be found or made on the node for each claim, whatever other pods take.
    #[must_use]
    pub fn can_be_bound(&self, node_name: &str, labels: &Labels) -> bool {
        let mut taken = BTreeSet::new();
        self.to_bind.iter().all(|claim| match claim.choice(node_name, labels, &taken) {
            Some(volume) => taken.insert(volume.name.as_str()),
            None => claim.can_be_made(node_name, labels),
        })
    }

    /// Whether which pods stand where decides where the pod may go.
    #[must_use]
    pub fn mind_other_pods(&self) -> bool {
        !self.own.0.is_empty() || !self.shared.is_empty() || !self.single.is_empty() || !self.disks.is_empty()
    }

    /// Whether the pods cannot be on one node because of their disks.
    #[must_use]
    pub fn conflict_with(&self, other: &Self) -> bool {
        self.disks.iter().any(|disk| other.disks.iter().any(|taken| disk.conflicts_with(taken)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rbd(monitors: &[&str], read_only: bool) -> Disk {
        Disk::Rbd {
            monitors: monitors.iter().map(|m| (*m).to_owned()).collect(),
            pool: "rbd".to_owned(),
            image: "i".to_owned(),
            read_only,
        }
    }

    #[test]
    fn disks_are_shared_by_readers_only_and_block_stores_by_nobody() {
        let gce = |name: &str, read_only| Disk::GcePersistentDisk { name: name.to_owned(), read_only };
        let iscsi = |target: &str, read_only| Disk::Iscsi { target: target.to_owned(), read_only };
        let ebs = |id: &str| Disk::AwsElasticBlockStore { id: id.to_owned() };
        for (a, b, conflict) in [
            (gce("a", true), gce("a", true), false),
            (gce("a", true), gce("a", false), true),
            (gce("a", false), gce("b", false), false),
            (gce("a", false), iscsi("a", false), false),
            (iscsi("a", false), iscsi("a", true), true),
            (ebs("a"), ebs("a"), true),
            (ebs("a"), ebs("b"), false),
            (rbd(&["m", "n"], false), rbd(&["n"], true), true),
            (rbd(&["m"], false), rbd(&["n"], false), false),
            (rbd(&["m"], true), rbd(&["m"], true), false),
        ] {
            assert_eq!((a.conflicts_with(&b), b.conflicts_with(&a)), (conflict, conflict), "{a:?} {b:?}");
        }
    }

    #[test]
    fn each_claim_of_a_pod_needs_a_volume_of_its_own() {
        let volume = |name: &str| VolumeToBind { name: name.to_owned(), affinity: None };
        let claim = |volumes: &[&str], made| ClaimToBind {
            claim: None,
            volumes: volumes.iter().map(|v| volume(v)).collect(),
            made,
        };
        let bound = |to_bind| PodVolumes { to_bind, ..PodVolumes::default() }.can_be_bound("n", &Labels::new());
        assert!(bound(vec![claim(&["a"], None), claim(&["a", "b"], None)]));
        assert!(!bound(vec![claim(&["a"], None), claim(&["a"], None)]));
        assert!(bound(vec![claim(&["a"], None), claim(&["a"], Some(Vec::new()))]));
    }
}
