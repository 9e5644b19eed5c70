//! Claims, volumes, storage classes and what the drivers of a node can hold: where a pod's volumes let it run.

mod made;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::storage::v1 as storage;

use crate::domain::Resources;
use crate::domain::quantity::parse_units;
use crate::domain::rules::{
    LabelSelector, Labels, NodeSelectorTerm, Operator, Requirement, SchedulingRules, VOLUME_PLACE_LABELS,
};
use crate::domain::volumes::{ClaimToBind, SharedVolume, VolumeToBind, volume_limit};

use super::object::{FieldError, Name};
use super::rules::{label_selector, node_terms};

pub(super) use made::{ClaimTemplate, claim_template};

/// A class whose volumes an owner makes by hand.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// Annotation of a claim whose binding is done.
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";

/// Annotation of a claim with the node that its volume is being made for.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// Annotation of a node's drivers with the in-tree plugins whose volumes they serve.
const MIGRATED_PLUGINS: &str = "storage.alpha.kubernetes.io/migrated-plugins";

/// Annotation of the class of claims that name none.
const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// What is named as unmodelled: limits that the input does not tell, or of volumes whose driver is not named in them.
const VOLUME_LIMIT: &str = "limit on the volumes of a node";

/// A claim, as a pod uses it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ClaimUse {
    pub name: String,
    /// Made for this pod alone: by a `StatefulSet`, or for an ephemeral volume.
    pub own: bool,
    /// Named in the spec, not made for an ephemeral volume.
    pub named: bool,
}

/// A persistent volume claim.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ClaimDraft {
    /// The volume it names.
    pub volume: Option<String>,
    /// It is not bound to that volume yet.
    pub half_bound: bool,
    /// Its storage class.
    pub class: Option<String>,
    /// Only one pod of the cluster may use it at a time.
    pub one_pod: bool,
    modes: BTreeSet<String>,
    /// Storage asked for, bytes.
    request: i64,
    block: bool,
    selector: Option<LabelSelector>,
    selected_node: Option<String>,
    uid: String,
}

/// A persistent volume.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, as the object states it")]
pub(super) struct VolumeDraft {
    /// Its node affinity: alternatives of which a node must meet one.
    pub affinity: Option<Vec<NodeSelectorTerm>>,
    /// Zones and regions its labels name.
    pub places: Vec<Requirement>,
    /// The driver that serves it, and what it calls the volume.
    driver: Option<(String, String)>,
    /// Of a kind that was once part of Kubernetes, which a driver may serve now.
    in_tree: bool,
    class: Option<String>,
    /// Bytes.
    capacity: i64,
    modes: BTreeSet<String>,
    block: bool,
    labels: Labels,
    /// The claim it is for, with the claim's uid if it says so.
    claim: Option<(Name, String)>,
    available: bool,
    deleting: bool,
}

/// A storage class.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StorageClassDraft {
    /// Where volumes can be made; empty is anywhere.
    pub topologies: Vec<NodeSelectorTerm>,
    /// Volumes are made once the pod has a node.
    pub waits_for_pod: bool,
    /// The class of claims that name none.
    is_default: bool,
    provisioner: String,
}

impl StorageClassDraft {
    /// Whether it makes volumes; else an owner does by hand.
    fn makes(&self) -> bool {
        !self.provisioner.is_empty() && self.provisioner != NO_PROVISIONER
    }
}

/// What the drivers of a node can hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DriversDraft {
    /// Most volumes by limit.
    pub limits: Resources,
    /// A driver also serves volumes of in-tree kinds.
    migrated: bool,
}

fn bytes(
    list: Option<&BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>>,
    path: &str,
) -> Result<i64, FieldError> {
    let Some(quantity) = list.and_then(|list| list.get("storage")) else { return Ok(0) };
    parse_units(&quantity.0).map_err(|e| FieldError::new(format!("{path}.storage"), e.to_string()))
}

fn named(name: Option<String>) -> Option<String> {
    name.filter(|name| !name.is_empty())
}

/// Reads a claim.
///
/// # Errors
/// If the storage asked for is no quantity, or its selector's operator is unknown.
pub(super) fn claim(claim: core::PersistentVolumeClaim) -> Result<ClaimDraft, FieldError> {
    let spec = claim.spec.unwrap_or_default();
    let annotations = claim.metadata.annotations.unwrap_or_default();
    let modes: BTreeSet<String> = spec.access_modes.unwrap_or_default().into_iter().collect();
    let selector = spec.selector.as_ref().map(|s| label_selector(s, "spec.selector")).transpose()?;
    let request = bytes(spec.resources.as_ref().and_then(|r| r.requests.as_ref()), "spec.resources.requests")?;
    let phase = claim.status.and_then(|status| status.phase).unwrap_or_default();
    let bound = annotations.contains_key(BIND_COMPLETED) || phase.is_empty() || phase == "Bound";
    let volume = named(spec.volume_name);
    Ok(ClaimDraft {
        one_pod: modes.contains("ReadWriteOncePod"),
        half_bound: volume.is_some() && !bound,
        volume,
        class: named(annotations.get("volume.beta.kubernetes.io/storage-class").cloned().or(spec.storage_class_name)),
        modes,
        request,
        block: spec.volume_mode.as_deref() == Some("Block"),
        selector,
        selected_node: annotations.get(SELECTED_NODE).cloned(),
        uid: claim.metadata.uid.unwrap_or_default(),
    })
}

/// Reads a volume. The labels count beside the affinity, as in kube-scheduler's `VolumeZone`: a value may list
/// several places, joined by `__`.
///
/// # Errors
/// If an operator is unknown, or its capacity no quantity.
pub(super) fn volume(volume: core::PersistentVolume) -> Result<VolumeDraft, FieldError> {
    let spec = volume.spec.unwrap_or_default();
    let capacity = bytes(spec.capacity.as_ref(), "spec.capacity")?;
    let in_tree = spec.aws_elastic_block_store.is_some()
        || spec.gce_persistent_disk.is_some()
        || spec.azure_disk.is_some()
        || spec.azure_file.is_some()
        || spec.cinder.is_some()
        || spec.vsphere_volume.is_some()
        || spec.portworx_volume.is_some();
    let required = spec.node_affinity.and_then(|a| a.required);
    let terms = |selector: core::NodeSelector| node_terms(&selector.node_selector_terms, "spec.nodeAffinity.required");
    let affinity = required.map(terms).transpose()?;
    let labels = volume.metadata.labels.unwrap_or_default();
    let place = |(key, _): (&str, &str)| {
        let values = labels.get(key)?.split("__").map(str::to_owned).collect();
        Some(Requirement { key: key.to_owned(), operator: Operator::In, values })
    };
    let of_claim = |claim: core::ObjectReference| {
        let name = Name { namespace: claim.namespace.unwrap_or_default(), name: claim.name.unwrap_or_default() };
        (name, claim.uid.unwrap_or_default())
    };
    Ok(VolumeDraft {
        affinity,
        places: VOLUME_PLACE_LABELS.into_iter().filter_map(place).collect(),
        driver: spec.csi.map(|csi| (csi.driver, csi.volume_handle)),
        in_tree,
        class: named(spec.storage_class_name),
        capacity,
        modes: spec.access_modes.unwrap_or_default().into_iter().collect(),
        block: spec.volume_mode.as_deref() == Some("Block"),
        labels,
        claim: spec.claim_ref.map(of_claim),
        available: volume.status.and_then(|status| status.phase).as_deref() == Some("Available"),
        deleting: volume.metadata.deletion_timestamp.is_some(),
    })
}

/// Reads a storage class.
pub(super) fn storage_class(class: storage::StorageClass) -> StorageClassDraft {
    let annotations = class.metadata.annotations.unwrap_or_default();
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
        is_default: annotations.get(IS_DEFAULT).is_some_and(|is| is == "true"),
        waits_for_pod: class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"),
        provisioner: class.provisioner,
    }
}

/// Reads what the drivers of a node can hold.
///
/// # Errors
/// If a limit is negative.
pub(super) fn drivers(node: storage::CSINode) -> Result<DriversDraft, FieldError> {
    let mut limits = Resources::default();
    for (i, driver) in node.spec.drivers.iter().enumerate() {
        let Some(count) = driver.allocatable.as_ref().and_then(|a| a.count) else { continue };
        if count < 0 {
            let field = format!("spec.drivers[{i}].allocatable.count");
            return Err(FieldError::new(field, format!("is {count}, expected at least 0")));
        }
        limits.set(&volume_limit(&driver.name), i64::from(count));
    }
    let annotations = node.metadata.annotations.unwrap_or_default();
    Ok(DriversDraft { limits, migrated: annotations.get(MIGRATED_PLUGINS).is_some_and(|list| !list.is_empty()) })
}

/// All claims, volumes, classes and drivers of a dump.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    pub claims: BTreeMap<Name, ClaimDraft>,
    pub persistent: BTreeMap<String, VolumeDraft>,
    pub classes: BTreeMap<String, StorageClassDraft>,
    /// Drivers by node.
    pub drivers: BTreeMap<String, DriversDraft>,
    /// Pods that use each claim; known once all objects are.
    users: BTreeMap<Name, usize>,
    /// Claims that are bound to each volume.
    bound_to: BTreeMap<String, usize>,
    /// Limits that some node has.
    limited: BTreeSet<String>,
}

impl Volumes {
    /// Counts who uses what; `uses` has each claim once for each pod, and twice where a template will use it again.
    pub(super) fn count(&mut self, uses: impl Iterator<Item = Name>) {
        for name in uses {
            *self.users.entry(name).or_default() += 1;
        }
        for volume in self.claims.values().filter_map(|claim| claim.volume.as_ref()) {
            *self.bound_to.entry(volume.clone()).or_default() += 1;
        }
        let limits = self.drivers.values().flat_map(|drivers| drivers.limits.iter());
        self.limited = limits.map(|(name, _)| name.to_owned()).collect();
    }

    /// Names the disks of a pod whose limit is not told apart: a driver may count them.
    pub(super) fn name_disks(&self, rules: &mut SchedulingRules) {
        if !rules.volumes.disks.is_empty() && self.drivers.values().any(|drivers| drivers.migrated) {
            rules.unread.push(VOLUME_LIMIT.to_owned());
        }
    }

    /// Adds to a pod's rules what this claim says about where the pod may run.
    ///
    /// # Errors
    /// What is missing from the dump, so that the claim does not restrict the pod.
    pub(super) fn restrict(
        &self,
        rules: &mut SchedulingRules,
        namespace: &str,
        used: &ClaimUse,
    ) -> Result<(), &'static str> {
        let name = Name { namespace: namespace.to_owned(), name: used.name.clone() };
        let Some(claim) = self.claims.get(&name) else {
            return Err("claims a volume by a PersistentVolumeClaim that is not in the input; \
                        the volume is taken to be reachable from every node");
        };
        let alone = used.own && self.users.get(&name).is_none_or(|users| *users <= 1);
        if claim.one_pod && used.named && !alone {
            rules.volumes.single.push(name.name.clone());
        }
        rules.volumes.unbound |= claim.half_bound;
        let Some(volume) = &claim.volume else { return self.restrict_to_class(rules, &name, claim, alone) };
        let Some(draft) = self.persistent.get(volume) else {
            return Err(
                "claims a PersistentVolume that is not in the input; it is taken to be reachable from every node",
            );
        };
        rules.volume_affinity.extend(draft.affinity.clone());
        rules.volume_places.extend(draft.places.iter().cloned());
        match &draft.driver {
            Some((driver, handle)) => {
                let alone = alone && self.bound_to.get(volume).is_none_or(|claims| *claims <= 1);
                self.count_volume(rules, driver, handle.clone(), alone);
            }
            None if draft.in_tree && self.drivers.values().any(|drivers| drivers.migrated) => {
                rules.unread.push(VOLUME_LIMIT.to_owned());
            }
            None => {}
        }
        Ok(())
    }

    /// Counts a volume against its driver's limit, where the input tells limits.
    fn count_volume(&self, rules: &mut SchedulingRules, driver: &str, handle: String, alone: bool) {
        if self.drivers.is_empty() {
            rules.unread.push(VOLUME_LIMIT.to_owned());
            return;
        }
        let limit = volume_limit(driver);
        if !self.limited.contains(&limit) {
            return;
        }
        let volumes = &mut rules.volumes;
        if alone {
            let count = volumes.own.get(&limit) + 1;
            volumes.own.set(&limit, count);
        } else {
            volumes.shared.push(SharedVolume { limit, handle });
        }
    }

    /// A claim that has no volume yet: one that is there is found for it, or its class says where one can be made.
    fn restrict_to_class(
        &self,
        rules: &mut SchedulingRules,
        name: &Name,
        claim: &ClaimDraft,
        alone: bool,
    ) -> Result<(), &'static str> {
        let Some(class) = &claim.class else {
            rules.volumes.unbound = true;
            return Ok(());
        };
        let Some(class) = self.classes.get(class) else {
            return Err("claims a volume of a StorageClass that is not in the input; it is taken to be made anywhere");
        };
        let makes = class.makes();
        let made = makes.then(|| class.topologies.clone());
        if !class.waits_for_pod {
            rules.volumes.unbound = true;
        } else if let Some(node) = &claim.selected_node {
            // It is being made for this node already, or waits for that in vain.
            let is =
                Requirement { key: "metadata.name".to_owned(), operator: Operator::In, values: vec![node.clone()] };
            rules.volumes_to_make.push(vec![NodeSelectorTerm { expressions: Vec::new(), fields: vec![is] }]);
            rules.volumes_to_make.extend(made.filter(|terms| !terms.is_empty()).or((!makes).then(Vec::new)));
        } else if made.as_ref().is_none_or(|terms| !terms.is_empty()) {
            let volumes = self.candidates(name, claim);
            match made {
                Some(terms) if volumes.is_empty() => rules.volumes_to_make.push(terms),
                made => {
                    let claim = (!alone).then(|| name.name.clone());
                    rules.volumes.to_bind.push(ClaimToBind { claim, volumes, made });
                }
            }
        }
        if makes {
            self.count_volume(rules, &class.provisioner, format!("{}/{}", name.namespace, name.name), alone);
        }
        Ok(())
    }

    /// Volumes that are there and that the claim could have, the smallest first; one that is meant for it is the only one.
    fn candidates(&self, name: &Name, claim: &ClaimDraft) -> Vec<VolumeToBind> {
        let fits = |volume: &VolumeDraft| {
            volume.class == claim.class
                && volume.capacity >= claim.request
                && volume.block == claim.block
                && !volume.deleting
        };
        let is_for = |volume: &VolumeDraft| {
            volume.claim.as_ref().is_some_and(|(of, uid)| of == name && (uid.is_empty() || *uid == claim.uid))
        };
        let to_bind = |(name, volume): (&String, &VolumeDraft)| VolumeToBind {
            name: name.clone(),
            affinity: volume.affinity.clone(),
        };
        if let Some(own) = self.persistent.iter().find(|(_, volume)| fits(volume) && is_for(volume)) {
            return vec![to_bind(own)];
        }
        let free = |volume: &VolumeDraft| {
            volume.claim.is_none()
                && volume.available
                && claim.selector.as_ref().is_none_or(|s| s.matches(&volume.labels))
                && claim.modes.is_subset(&volume.modes)
        };
        let mut found: Vec<(&String, &VolumeDraft)> =
            self.persistent.iter().filter(|(_, volume)| fits(volume) && free(volume)).collect();
        found.sort_by_key(|(name, volume)| (volume.capacity, *name));
        found.into_iter().map(to_bind).collect()
    }

    /// Storage that a claim asks for, bytes: claims are served the smallest first.
    pub(super) fn size_of(&self, namespace: &str, claim: &str) -> i64 {
        let name = Name { namespace: namespace.to_owned(), name: claim.to_owned() };
        self.claims.get(&name).map_or(0, |claim| claim.request)
    }
}
