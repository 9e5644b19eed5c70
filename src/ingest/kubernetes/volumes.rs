//! Claims, volumes and storage classes: where a pod's volumes let it run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::storage::v1 as storage;

use crate::domain::rules::{NodeSelectorTerm, Operator, Requirement, ZONE_LABEL};

use super::object::{FieldError, Name};
use super::rules::node_terms;

/// Node label with the region.
const REGION_LABEL: &str = "topology.kubernetes.io/region";

/// A persistent volume claim.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ClaimDraft {
    /// The volume it is bound to.
    pub volume: Option<String>,
    /// Its storage class.
    pub class: Option<String>,
}

/// A persistent volume: alternatives that each must be met by a node.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct VolumeDraft {
    /// From its node affinity and its zone and region labels.
    pub affinity: Vec<Vec<NodeSelectorTerm>>,
}

/// A storage class.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StorageClassDraft {
    /// Where volumes can be made; empty is anywhere.
    pub topologies: Vec<NodeSelectorTerm>,
}

/// Reads a claim.
pub(super) fn claim(claim: core::PersistentVolumeClaim) -> ClaimDraft {
    let spec = claim.spec.unwrap_or_default();
    ClaimDraft {
        volume: spec.volume_name.filter(|name| !name.is_empty()),
        class: spec.storage_class_name.filter(|name| !name.is_empty()),
    }
}

/// Reads a volume. The labels count beside the affinity, as in kube-scheduler's `VolumeZone`: a value may list
/// several zones, joined by `__`.
///
/// # Errors
/// If an operator is unknown.
pub(super) fn volume(volume: core::PersistentVolume) -> Result<VolumeDraft, FieldError> {
    let required = volume.spec.and_then(|s| s.node_affinity).and_then(|a| a.required);
    let mut affinity = Vec::new();
    if let Some(selector) = required {
        affinity.push(node_terms(&selector.node_selector_terms, "spec.nodeAffinity.required")?);
    }
    let labels = volume.metadata.labels.unwrap_or_default();
    for (key, node_key) in [
        (ZONE_LABEL, ZONE_LABEL),
        ("failure-domain.beta.kubernetes.io/zone", ZONE_LABEL),
        (REGION_LABEL, REGION_LABEL),
        ("failure-domain.beta.kubernetes.io/region", REGION_LABEL),
    ] {
        if let Some(value) = labels.get(key) {
            affinity.push(vec![one_of(node_key, value.split("__").map(str::to_owned).collect())]);
        }
    }
    affinity.sort();
    affinity.dedup();
    Ok(VolumeDraft { affinity })
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
    StorageClassDraft { topologies }
}

fn one_of(key: &str, values: Vec<String>) -> NodeSelectorTerm {
    let expressions = vec![Requirement { key: key.to_owned(), operator: Operator::In, values }];
    NodeSelectorTerm { expressions, fields: Vec::new() }
}

/// All claims, volumes and classes of a dump.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    pub claims: BTreeMap<Name, ClaimDraft>,
    pub persistent: BTreeMap<String, VolumeDraft>,
    pub classes: BTreeMap<String, StorageClassDraft>,
}

impl Volumes {
    /// Where a pod with this claim may run: each entry a list of alternatives.
    ///
    /// # Errors
    /// What is missing from the dump, so that the claim does not restrict the pod.
    pub(super) fn affinity(&self, namespace: &str, claim: &str) -> Result<Vec<Vec<NodeSelectorTerm>>, String> {
        let name = Name { namespace: namespace.to_owned(), name: claim.to_owned() };
        let Some(claim) = self.claims.get(&name) else {
            return Err("claims a volume by a PersistentVolumeClaim that is not in the input; \
                        the volume is taken to be reachable from every node"
                .to_owned());
        };
        if let Some(volume) = &claim.volume {
            return self.persistent.get(volume).map(|v| v.affinity.clone()).ok_or_else(|| {
                "claims a PersistentVolume that is not in the input; it is taken to be reachable from every node"
                    .to_owned()
            });
        }
        let class = claim.class.as_ref().and_then(|class| self.classes.get(class));
        Ok(class.map(|c| c.topologies.clone()).filter(|t| !t.is_empty()).into_iter().collect())
    }
}
