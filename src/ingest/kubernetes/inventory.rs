//! All objects of an input by name, whatever order and files they came in.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::quota::ResourceQuota;
use crate::domain::rules::Labels;
use crate::domain::snapshot::{Autoscaler, DisruptionBudget, Node, WorkloadId};

use super::object::{Draft, Name, Object};
use super::pods::PodDraft;
use super::services::{EndpointsDraft, ServiceDraft};
use super::volumes::Volumes;
use super::warnings::Warnings;
use super::workloads::WorkloadDraft;

/// Objects by name.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub nodes: BTreeMap<String, Node>,
    pub pods: BTreeMap<Name, PodDraft>,
    pub workloads: BTreeMap<WorkloadId, WorkloadDraft>,
    pub services: BTreeMap<Name, ServiceDraft>,
    pub endpoints: BTreeMap<Name, EndpointsDraft>,
    pub budgets: BTreeMap<Name, DisruptionBudget>,
    pub quotas: BTreeMap<Name, ResourceQuota>,
    /// Pods that each pod group needs at once; 0 for one that is no gang.
    pub gangs: BTreeMap<Name, u32>,
    pub autoscalers: BTreeMap<Name, Autoscaler>,
    pub priority_classes: BTreeMap<String, i32>,
    /// The class of pods that name none.
    pub default_priority_class: Option<String>,
    pub namespaces: BTreeMap<String, Labels>,
    pub volumes: Volumes,
    /// Pods that hold or want resources; known once all objects are.
    pub pods_there: BTreeSet<Name>,
    /// Labels of single pods that rules select by; known once all objects are.
    pub labels_looked_at: BTreeSet<String>,
    pub ignored_kinds: BTreeMap<String, usize>,
    pub newest_ms: Option<i64>,
    pub warnings: Warnings,
}

impl Inventory {
    /// Whether there is nothing that could be planned.
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.pods.is_empty() && self.workloads.is_empty()
    }

    /// Takes an object in; it replaces one of the same kind and name.
    pub(super) fn add(&mut self, object: Object) {
        let Object { kind, name, newest_ms, warnings, draft } = object;
        self.newest_ms = self.newest_ms.max(newest_ms);
        let label = match name.namespace.as_str() {
            "" => format!("{kind} {}", name.name),
            namespace => format!("{kind} {namespace}/{}", name.name),
        };
        for warning in warnings {
            self.warnings.add(&label, warning);
        }
        let again = match draft {
            Draft::Node(node) => self.nodes.insert(name.name, *node).is_some(),
            Draft::Pod(pod) => self.pods.insert(name, *pod).is_some(),
            Draft::Workload(workload) => self.workloads.insert(workload.id.clone(), *workload).is_some(),
            Draft::Service(service) => self.services.insert(name, service).is_some(),
            Draft::Endpoints(slice) => self.endpoints.insert(name, slice).is_some(),
            Draft::Budget(budget) => self.budgets.insert(name, budget).is_some(),
            Draft::Gang(least) => self.gangs.insert(name, least).is_some(),
            Draft::Quota(quota) => self.quotas.insert(name, quota).is_some(),
            Draft::Autoscaler(autoscaler) => self.autoscalers.insert(name, autoscaler).is_some(),
            Draft::PriorityClass { value, global_default } => {
                if global_default {
                    self.default_priority_class = Some(name.name.clone());
                }
                self.priority_classes.insert(name.name, value).is_some()
            }
            Draft::Namespace(labels) => self.namespaces.insert(name.name, labels).is_some(),
            Draft::Claim(claim) => self.volumes.claims.insert(name, *claim).is_some(),
            Draft::Volume(volume) => self.volumes.persistent.insert(name.name, *volume).is_some(),
            Draft::StorageClass(class) => self.volumes.classes.insert(name.name, class).is_some(),
            Draft::Drivers(drivers) => self.volumes.drivers.insert(name.name, drivers).is_some(),
            Draft::Ignored => {
                *self.ignored_kinds.entry(kind).or_default() += 1;
                false
            }
        };
        if again {
            self.warnings.add(label, "is in the input more than once; the last one counts");
        }
    }
}
