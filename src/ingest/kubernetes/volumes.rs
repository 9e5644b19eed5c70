//! Claims, volumes and storage classes: where a pod's volumes let it run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::storage::v1 as storage;

use crate::domain::rules::{NodeSelectorTerm, Operator, Requirement, SchedulingRules, VOLUME_PLACE_LABELS};

use super::object::{FieldError, Name};
use super::rules::node_terms;

/// A class whose volumes an owner makes by hand.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// A driver may allow a node only so many volumes (`CSINode`).
const VOLUME_LIMIT: &str = "limit on the volumes of a node";

/// A persistent volume claim.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ClaimDraft {
    /// The volume it is bound to.
    pub volume: Option<String>,
    /// Its storage class.
    pub class: Option<String>,
    /// Only one pod of the cluster may use it at a time.
    pub one_pod: bool,
}

/// A persistent volume.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct VolumeDraft {
    /// Its node affinity: alternatives of which a node must meet one.
    pub affinity: Option<Vec<NodeSelectorTerm>>,
    /// Zones and regions its labels name.
    pub places: Vec<Requirement>,
    /// Served by a driver that may limit how many volumes a node has.
    pub driver: bool,
}

/// A storage class.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StorageClassDraft {
    /// Where volumes can be made; empty is anywhere.
    pub topologies: Vec<NodeSelectorTerm>,
    /// Volumes are made once the pod has a node.
    pub waits_for_pod: bool,
    /// Volumes are made on demand.
    pub makes_volumes: bool,
}

/// Reads a claim.
pub(super) fn claim(claim: core::PersistentVolumeClaim) -> ClaimDraft {
    let spec = claim.spec.unwrap_or_default();
    let modes = spec.access_modes.unwrap_or_default();
    ClaimDraft {
        one_pod: modes.iter().any(|mode| mode == "ReadWriteOncePod"),
        volume: spec.volume_name.filter(|name| !name.is_empty()),
        class: spec.storage_class_name.filter(|name| !name.is_empty()),
    }
}

/// Reads a volume. The labels count beside the affinity, as in kube-scheduler's `VolumeZone`: a value may list
/// several places, joined by `__`.
///
/// # Errors
/// If an operator is unknown.
pub(super) fn volume(volume: core::PersistentVolume) -> Result<VolumeDraft, FieldError> {
    let spec = volume.spec.unwrap_or_default();
    let driver = spec.csi.is_some();
    let required = spec.node_affinity.and_then(|a| a.required);
    let terms = |selector: core::NodeSelector| node_terms(&selector.node_selector_terms, "spec.nodeAffinity.required");
    let affinity = required.map(terms).transpose()?;
    let labels = volume.metadata.labels.unwrap_or_default();
    let place = |(key, _): (&str, &str)| {
        let values = labels.get(key)?.split("__").map(str::to_owned).collect();
        Some(Requirement { key: key.to_owned(), operator: Operator::In, values })
    };
    Ok(VolumeDraft { affinity, places: VOLUME_PLACE_LABELS.into_iter().filter_map(place).collect(), driver })
}

/// Reads a storage class.
pub(super) fn storage_class(class: storage::StorageClass) -> StorageClassDraft {
    let topologies = class
        .allowed_topologies
        .into_iter()
        .flatten()
        .map(|term| NodeSelectorTerm {
            expressions: term
                .match_label_expressions
                .into_iter()
                .flatten()
                .map(|e| Requirement { key: e.key, operator: Operator::In, values: e.values })
                .collect(),
            fields: Vec::new(),
        })
        .filter(|term| !term.expressions.is_empty())
        .collect();
    StorageClassDraft {
        topologies,
        waits_for_pod: class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"),
        makes_volumes: class.provisioner != NO_PROVISIONER,
    }
}

/// All claims, volumes and classes of a dump.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    pub claims: BTreeMap<Name, ClaimDraft>,
    pub persistent: BTreeMap<String, VolumeDraft>,
    pub classes: BTreeMap<String, StorageClassDraft>,
}

impl Volumes {
    /// Adds to a pod's rules what this claim says about where the pod may run.
    ///
    /// # Errors
    /// What is missing from the dump, so that the claim does not restrict the pod.
    pub(super) fn restrict(&self, rules: &mut SchedulingRules, namespace: &str, claim: &str) -> Result<(), String> {
        let name = Name { namespace: namespace.to_owned(), name: claim.to_owned() };
        let Some(claim) = self.claims.get(&name) else {
            return Err("claims a volume by a PersistentVolumeClaim that is not in the input; \
                        the volume is taken to be reachable from every node"
                .to_owned());
        };
        if claim.one_pod {
            rules.unread.push("volume that only one pod may use".to_owned());
        }
        let Some(volume) = &claim.volume else {
            self.restrict_to_class(rules, claim);
            return Ok(());
        };
        let Some(volume) = self.persistent.get(volume) else {
            return Err(
                "claims a PersistentVolume that is not in the input; it is taken to be reachable from every node"
                    .to_owned(),
            );
        };
        rules.volume_affinity.extend(volume.affinity.clone());
        rules.volume_places.extend(volume.places.iter().cloned());
        if volume.driver {
            rules.unread.push(VOLUME_LIMIT.to_owned());
        }
        Ok(())
    }

    /// A claim that has no volume yet: its class says where one can be made.
    fn restrict_to_class(&self, rules: &mut SchedulingRules, claim: &ClaimDraft) {
        let Some(class) = claim.class.as_ref().and_then(|class| self.classes.get(class)) else { return };
        if class.makes_volumes && class.waits_for_pod {
            rules.volumes_to_make.extend(Some(class.topologies.clone()).filter(|t| !t.is_empty()));
            rules.unread.push(VOLUME_LIMIT.to_owned());
        } else {
            rules.unread.push("claim that waits for a volume".to_owned());
        }
    }
}
