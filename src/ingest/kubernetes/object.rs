//! One object of a dump: recognised, read through its Kubernetes type, cut down to a draft.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use k8s_openapi::api::{apps, autoscaling, batch, core, discovery, policy, scheduling, storage};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::domain::quota::ResourceQuota;
use crate::domain::rules::Labels;
use crate::domain::snapshot::{Autoscaler, DisruptionBudget, Node};

use super::gangs::{self, CoschedulingGroup};
use super::pods::PodDraft;
use super::services::{EndpointsDraft, ServiceDraft};
use super::volumes::{ClaimDraft, DriversDraft, StorageClassDraft, VolumeDraft};
use super::workloads::WorkloadDraft;
use super::{nodes, pods, quotas, services, times, volumes, workloads};

/// Why an object cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejected {
    /// Kind, namespace and name.
    pub object: String,
    /// Path of the field; empty for the object as a whole.
    pub field: String,
    /// What was found and what was expected.
    pub problem: String,
}

/// What is wrong with one field of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldError {
    /// Path of the field.
    pub field: String,
    /// What was found and what was expected.
    pub problem: String,
}

impl FieldError {
    pub(super) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// Namespace (empty where the kind has none) and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub namespace: String,
    pub name: String,
}

impl Name {
    /// The name of an object; namespaced ones without a namespace are in `default`, where kubectl would put them.
    fn of(metadata: &ObjectMeta, namespaced: bool) -> Result<Self, FieldError> {
        let name = metadata.name.clone().filter(|n| !n.is_empty());
        let name = name.ok_or_else(|| FieldError::new("metadata.name", "is missing"))?;
        let namespace = match metadata.namespace.as_deref() {
            _ if !namespaced => "",
            None | Some("") => "default",
            Some(namespace) => namespace,
        };
        Ok(Self { namespace: namespace.to_owned(), name })
    }
}

/// The controller of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub kind: String,
    pub name: String,
}

impl Owner {
    pub(super) fn of(metadata: &ObjectMeta) -> Option<Self> {
        let owners = metadata.owner_references.as_deref().unwrap_or_default();
        let owner = owners.iter().find(|o| o.controller == Some(true))?;
        Some(Self { kind: owner.kind.clone(), name: owner.name.clone() })
    }
}

/// One object, with what every kind has.
#[derive(Debug)]
pub(super) struct Object {
    /// Kind, for messages.
    pub kind: String,
    /// Which.
    pub name: Name,
    /// Newest time it carries.
    pub newest_ms: Option<i64>,
    /// What was odd.
    pub warnings: Vec<String>,
    /// The rest.
    pub draft: Draft,
}

/// What is kept of an object, by kind.
#[derive(Debug)]
pub(super) enum Draft {
    Node(Box<Node>),
    Pod(Box<PodDraft>),
    Workload(Box<WorkloadDraft>),
    Service(ServiceDraft),
    Endpoints(EndpointsDraft),
    Budget(DisruptionBudget),
    Quota(ResourceQuota),
    /// A pod group, with how many pods must be placed at once.
    Gang(u32),
    Autoscaler(Autoscaler),
    PriorityClass {
        value: i32,
        global_default: bool,
    },
    Namespace(Labels),
    Claim(Box<ClaimDraft>),
    Volume(Box<VolumeDraft>),
    StorageClass(StorageClassDraft),
    Drivers(DriversDraft),
    /// Of a kind that is not read.
    Ignored,
}

/// Reads an object. `list_kind` is the kind of a typed list's elements, which do not repeat it.
pub(super) fn read(mut fields: Map<String, Value>, list_kind: Option<&str>) -> Result<Object, Rejected> {
    let kind = match fields.remove("kind") {
        Some(Value::String(kind)) => kind,
        None | Some(Value::Null) if list_kind.is_some() => list_kind.unwrap_or_default().to_owned(),
        other => {
            let name = fields.get("metadata").and_then(|m| m.get("name")).and_then(Value::as_str).unwrap_or("?");
            let found = other.as_ref().map_or("is missing".to_owned(), |v| format!("is {}", type_name(v)));
            return Err(Rejected {
                object: format!("object {name}"),
                field: "kind".to_owned(),
                problem: format!("{found}, expected a kind such as Pod"),
            });
        }
    };
    let api_version = match fields.remove("apiVersion") {
        Some(Value::String(version)) => version,
        _ => String::new(),
    };
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let mut value = Value::Object(fields);
    let newest_ms = times::newest_ms(&value);
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    let label = label(&kind, &value);
    let reader = Reader { value, newest_ms };
    read_kind(&kind, group, &api_version, reader).map_err(|error| Rejected {
        object: label,
        field: error.field,
        problem: error.problem,
    })
}

fn read_kind(kind: &str, group: &str, api_version: &str, reader: Reader) -> Result<Object, FieldError> {
    // An unstated version is taken at its kind's word; a stated group must be the one that owns the kind.
    let is =
        |known_kind: &str, known_group: &str| kind == known_kind && (api_version.is_empty() || group == known_group);
    if is("Node", "") {
        reader.cluster_wide(kind, |o: core::v1::Node, w| Ok(Draft::Node(Box::new(nodes::node(&o, w)?))))
    } else if is("Pod", "") {
        reader.namespaced(kind, |o: core::v1::Pod, n, w| Ok(Draft::Pod(Box::new(pods::pod(o, n, w)?))))
    } else if is("Deployment", "apps") {
        reader.namespaced(kind, |o: apps::v1::Deployment, n, w| workload(workloads::deployment(o, n, w)))
    } else if is("StatefulSet", "apps") {
        reader.namespaced(kind, |o: apps::v1::StatefulSet, n, w| workload(workloads::stateful_set(o, n, w)))
    } else if is("DaemonSet", "apps") {
        reader.namespaced(kind, |o: apps::v1::DaemonSet, n, w| workload(workloads::daemon_set(o, n, w)))
    } else if is("ReplicaSet", "apps") {
        reader.namespaced(kind, |o: apps::v1::ReplicaSet, n, w| workload(workloads::replica_set(o, n, w)))
    } else if is("Job", "batch") {
        reader.namespaced(kind, |o: batch::v1::Job, n, w| workload(workloads::job(o, n, w)))
    } else if is("CronJob", "batch") {
        reader.namespaced(kind, |o: batch::v1::CronJob, n, w| workload(workloads::cron_job(o, n, w)))
    } else if is("Service", "") {
        reader.namespaced(kind, |o: core::v1::Service, _, _| Ok(Draft::Service(services::service(o))))
    } else if is("EndpointSlice", "discovery.k8s.io") {
        reader.namespaced(kind, |o: discovery::v1::EndpointSlice, _, _| Ok(Draft::Endpoints(services::endpoints(o))))
    } else if is("PodDisruptionBudget", "policy") {
        reader.namespaced(kind, |o: policy::v1::PodDisruptionBudget, n, _| Ok(Draft::Budget(services::budget(o, n)?)))
    } else if is("ResourceQuota", "") {
        reader.namespaced(kind, |o: core::v1::ResourceQuota, n, _| Ok(Draft::Quota(quotas::quota(o, n)?)))
    } else if is("PodGroup", "scheduling.x-k8s.io") {
        reader.namespaced(kind, |o: CoschedulingGroup, _, _| Ok(Draft::Gang(gangs::coscheduling(&o)?)))
    } else if is("PodGroup", "scheduling.k8s.io") {
        reader.namespaced(kind, |o: scheduling::v1alpha2::PodGroup, _, _| Ok(Draft::Gang(gangs::pod_group(&o)?)))
    } else if is("HorizontalPodAutoscaler", "autoscaling") {
        reader.namespaced(kind, |o: autoscaling::v2::HorizontalPodAutoscaler, n, _| {
            Ok(Draft::Autoscaler(services::autoscaler(o, n)?))
        })
    } else if is("PriorityClass", "scheduling.k8s.io") {
        reader.cluster_wide(kind, |o: scheduling::v1::PriorityClass, _| {
            Ok(Draft::PriorityClass { value: o.value.unwrap_or(0), global_default: o.global_default.unwrap_or(false) })
        })
    } else if is("Namespace", "") {
        reader
            .cluster_wide(kind, |o: core::v1::Namespace, _| Ok(Draft::Namespace(o.metadata.labels.unwrap_or_default())))
    } else if is("PersistentVolumeClaim", "") {
        reader
            .namespaced(kind, |o: core::v1::PersistentVolumeClaim, _, _| Ok(Draft::Claim(Box::new(volumes::claim(o)?))))
    } else if is("PersistentVolume", "") {
        reader.cluster_wide(kind, |o: core::v1::PersistentVolume, _| Ok(Draft::Volume(Box::new(volumes::volume(o)?))))
    } else if is("StorageClass", "storage.k8s.io") {
        reader.cluster_wide(kind, |o: storage::v1::StorageClass, _| Ok(Draft::StorageClass(volumes::storage_class(o))))
    } else if is("CSINode", "storage.k8s.io") {
        reader.cluster_wide(kind, |o: storage::v1::CSINode, _| Ok(Draft::Drivers(volumes::drivers(o)?)))
    } else {
        Ok(ignored(kind, group))
    }
}

fn workload(draft: Result<WorkloadDraft, FieldError>) -> Result<Draft, FieldError> {
    Ok(Draft::Workload(Box::new(draft?)))
}

/// `Kind namespace/name`, as far as the object says.
fn label(kind: &str, value: &Value) -> String {
    let of = |field| value.get("metadata").and_then(|m| m.get(field)).and_then(Value::as_str).unwrap_or("");
    match (of("namespace"), of("name")) {
        ("", "") => format!("{kind} without a name"),
        ("", name) => format!("{kind} {name}"),
        (namespace, name) => format!("{kind} {namespace}/{name}"),
    }
}

/// An object whose kind is known and whose fields are not yet read.
struct Reader {
    value: Value,
    newest_ms: Option<i64>,
}

impl Reader {
    fn namespaced<T: DeserializeOwned + HasMetadata>(
        self,
        kind: &str,
        draft: impl FnOnce(T, &Name, &mut Vec<String>) -> Result<Draft, FieldError>,
    ) -> Result<Object, FieldError> {
        self.read(kind, true, draft)
    }

    fn cluster_wide<T: DeserializeOwned + HasMetadata>(
        self,
        kind: &str,
        draft: impl FnOnce(T, &mut Vec<String>) -> Result<Draft, FieldError>,
    ) -> Result<Object, FieldError> {
        self.read(kind, false, |object, _, warnings| draft(object, warnings))
    }

    fn read<T: DeserializeOwned + HasMetadata>(
        self,
        kind: &str,
        namespaced: bool,
        draft: impl FnOnce(T, &Name, &mut Vec<String>) -> Result<Draft, FieldError>,
    ) -> Result<Object, FieldError> {
        let object = T::deserialize(&self.value).map_err(|e| FieldError {
            field: faulty_field::<T>(&self.value, &e.to_string()),
            problem: e.to_string(),
        })?;
        let name = Name::of(object.metadata(), namespaced)?;
        let mut warnings = Vec::new();
        let draft = draft(object, &name, &mut warnings)?;
        Ok(Object { kind: kind.to_owned(), name, newest_ms: self.newest_ms, warnings, draft })
    }
}

/// A kind that is not read; one that is read, but of another group (Knative's Service), is named with its group.
fn ignored(kind: &str, group: &str) -> Object {
    let known = matches!(kind, "Service" | "Deployment" | "Job" | "Node" | "Pod");
    let kind = if known { format!("{kind}.{group}") } else { kind.to_owned() };
    let name = Name { namespace: String::new(), name: String::new() };
    Object { kind, name, newest_ms: None, warnings: Vec::new(), draft: Draft::Ignored }
}

/// The path of the innermost field whose absence changes the reader's complaint; empty if there is none.
///
/// serde says what is wrong but not where. Only run on input that is refused anyway.
fn faulty_field<T: DeserializeOwned>(value: &Value, complaint: &str) -> String {
    fn search<T: DeserializeOwned>(root: &mut Value, pointer: &str, path: &str, complaint: &str) -> Option<String> {
        let children: Vec<(String, String)> = match root.pointer(pointer)? {
            Value::Object(fields) => {
                fields.keys().map(|key| (key.replace('~', "~0").replace('/', "~1"), format!("{path}.{key}"))).collect()
            }
            Value::Array(items) => (0..items.len()).map(|i| (i.to_string(), format!("{path}[{i}]"))).collect(),
            _ => return None,
        };
        for (step, child_path) in children {
            let child = format!("{pointer}/{step}");
            if let Some(found) = search::<T>(root, &child, &child_path, complaint) {
                return Some(found);
            }
            let removed = root.pointer_mut(&child)?.take();
            let without = T::deserialize(&*root).err().map(|e| e.to_string());
            *root.pointer_mut(&child)? = removed;
            // An element of a list may not be null: that complaint is about the search.
            if without.is_none_or(|other| other != complaint && !other.starts_with("invalid type: null")) {
                return Some(child_path);
            }
        }
        None
    }
    let found = search::<T>(&mut value.clone(), "", "", complaint).unwrap_or_default();
    found.trim_start_matches('.').to_owned()
}

/// What a JSON value is, in words.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The metadata of any kind; `k8s_openapi::Metadata` ties it to a lifetime this file has no use for.
trait HasMetadata {
    fn metadata(&self) -> &ObjectMeta;
}

impl HasMetadata for CoschedulingGroup {
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }
}

impl<T: k8s_openapi::Metadata<Ty = ObjectMeta>> HasMetadata for T {
    fn metadata(&self) -> &ObjectMeta {
        k8s_openapi::Metadata::metadata(self)
    }
}
