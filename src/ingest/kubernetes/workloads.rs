//! The objects that make pods.

use k8s_openapi::api::{apps, batch, core};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector as K8sLabelSelector, ObjectMeta};

use crate::domain::rules::{LabelSelector, Labels, TaintEffect};
use crate::domain::snapshot::WorkloadId;

use super::object::{FieldError, Name, Owner};
use super::pods::{self, TemplateDraft};
use super::rules::label_selector;
use super::volumes::claim_template;

/// More replicas than this are a slip of the keyboard: no cluster runs so many pods, and each is planned for.
const MAX_REPLICAS: i32 = 1_000_000;

/// A workload object, before its pods are known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WorkloadDraft {
    pub id: WorkloadId,
    /// The object that made it.
    pub owner: Option<Owner>,
    /// Pods wanted now; `None` where only the pods tell.
    pub replicas: Option<u32>,
    pub labels: Labels,
    pub selector: Option<LabelSelector>,
    pub template: Option<TemplateDraft>,
    /// Of a `StatefulSet`, the number of its first pod.
    pub first_ordinal: u32,
    /// A Job that is done.
    pub finished: bool,
}

/// A number of pods.
///
/// # Errors
/// If it is negative or beyond any cluster.
pub(super) fn count(number: i32, field: &str) -> Result<u32, FieldError> {
    match u32::try_from(number) {
        Ok(count) if number <= MAX_REPLICAS => Ok(count),
        _ => Err(FieldError::new(field, format!("is {number}, expected 0 to {MAX_REPLICAS}"))),
    }
}

/// Reads a Deployment.
pub(super) fn deployment(
    object: apps::v1::Deployment,
    name: &Name,
    warnings: &mut Vec<String>,
) -> Result<WorkloadDraft, FieldError> {
    let spec = object.spec.ok_or_else(missing_spec)?;
    let draft = draft("Deployment", name, object.metadata, Some(&spec.selector), Some(spec.template), warnings)?;
    Ok(WorkloadDraft { replicas: Some(count(spec.replicas.unwrap_or(1), "spec.replicas")?), ..draft })
}

/// Reads a `StatefulSet`.
pub(super) fn stateful_set(
    object: apps::v1::StatefulSet,
    name: &Name,
    warnings: &mut Vec<String>,
) -> Result<WorkloadDraft, FieldError> {
    let spec = object.spec.ok_or_else(missing_spec)?;
    let mut draft = draft("StatefulSet", name, object.metadata, Some(&spec.selector), Some(spec.template), warnings)?;
    for (i, claim) in spec.volume_claim_templates.into_iter().flatten().enumerate() {
        let name = claim.metadata.name.clone().unwrap_or_default();
        let at = |e: FieldError| FieldError { field: format!("spec.volumeClaimTemplates[{i}].{}", e.field), ..e };
        let made = claim_template(name, claim.metadata, claim.spec).map_err(at)?;
        draft.template.iter_mut().for_each(|template| template.made.push(made.clone()));
    }
    let first = spec.ordinals.and_then(|ordinals| ordinals.start).unwrap_or(0);
    let first_ordinal = count(first, "spec.ordinals.start")?;
    let replicas = Some(count(spec.replicas.unwrap_or(1), "spec.replicas")?);
    Ok(WorkloadDraft { replicas, first_ordinal, ..draft })
}

/// Reads a `ReplicaSet`.
pub(super) fn replica_set(
    object: apps::v1::ReplicaSet,
    name: &Name,
    warnings: &mut Vec<String>,
) -> Result<WorkloadDraft, FieldError> {
    let spec = object.spec.ok_or_else(missing_spec)?;
    let draft = draft("ReplicaSet", name, object.metadata, Some(&spec.selector), spec.template, warnings)?;
    Ok(WorkloadDraft { replicas: Some(count(spec.replicas.unwrap_or(1), "spec.replicas")?), ..draft })
}

/// Reads a `DaemonSet`. Its template tolerates what the `DaemonSet` controller makes its pods tolerate.
pub(super) fn daemon_set(
    object: apps::v1::DaemonSet,
    name: &Name,
    warnings: &mut Vec<String>,
) -> Result<WorkloadDraft, FieldError> {
    let spec = object.spec.ok_or_else(missing_spec)?;
    let host_network = spec.template.spec.as_ref().is_some_and(|s| s.host_network == Some(true));
    let mut draft = draft("DaemonSet", name, object.metadata, Some(&spec.selector), Some(spec.template), warnings)?;
    if let Some(template) = &mut draft.template {
        let rules = &mut template.template.rules;
        pods::add_default_tolerations(rules);
        let keys = ["disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"];
        let network = host_network.then_some("network-unavailable");
        for key in keys.into_iter().chain(network) {
            pods::add_tolerations(rules, [(format!("node.kubernetes.io/{key}").as_str(), TaintEffect::NoSchedule)]);
        }
    }
    let desired = object.status.map(|s| count(s.desired_number_scheduled, "status.desiredNumberScheduled"));
    Ok(WorkloadDraft { replicas: desired.transpose()?, ..draft })
}

/// Reads a Job: it wants as many pods as may run beside one another and are still needed.
pub(super) fn job(
    object: batch::v1::Job,
    name: &Name,
    warnings: &mut Vec<String>,
) -> Result<WorkloadDraft, FieldError> {
    let spec = object.spec.ok_or_else(missing_spec)?;
    let status = object.status.unwrap_or_default();
    let ended = |c: &batch::v1::JobCondition| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True";
    let finished = status.completion_time.is_some() || status.conditions.iter().flatten().any(ended);
    let parallel = count(spec.parallelism.unwrap_or(1), "spec.parallelism")?;
    let succeeded = u32::try_from(status.succeeded.unwrap_or(0)).unwrap_or(0);
    let wanted = match spec.completions {
        _ if finished || spec.suspend == Some(true) => 0,
        Some(completions) => parallel.min(count(completions, "spec.completions")?.saturating_sub(succeeded)),
        None => parallel,
    };
    let draft = draft("Job", name, object.metadata, spec.selector.as_ref(), Some(spec.template), warnings)?;
    Ok(WorkloadDraft { replicas: Some(wanted), finished, ..draft })
}

/// Reads a `CronJob`: it wants no pods itself; its Jobs do.
pub(super) fn cron_job(
    object: batch::v1::CronJob,
    name: &Name,
    warnings: &mut Vec<String>,
) -> Result<WorkloadDraft, FieldError> {
    let template = object.spec.job_template.spec.map(|job| job.template);
    let draft = draft("CronJob", name, object.metadata, None, template, warnings)?;
    Ok(WorkloadDraft { replicas: Some(0), ..draft })
}

fn missing_spec() -> FieldError {
    FieldError::new("spec", "is missing")
}

fn draft(
    kind: &str,
    name: &Name,
    metadata: ObjectMeta,
    selector: Option<&K8sLabelSelector>,
    template: Option<core::v1::PodTemplateSpec>,
    warnings: &mut Vec<String>,
) -> Result<WorkloadDraft, FieldError> {
    let template = match template.and_then(|t| Some((t.metadata.unwrap_or_default(), t.spec?))) {
        Some((metadata, spec)) => {
            let labels = metadata.labels.unwrap_or_default();
            let read = pods::template(&name.namespace, labels, &spec, None, warnings);
            Some(read.map_err(|e| FieldError { field: format!("spec.template.{}", e.field), ..e })?)
        }
        None => None,
    };
    Ok(WorkloadDraft {
        id: WorkloadId { namespace: name.namespace.clone(), kind: kind.to_owned(), name: name.name.clone() },
        owner: Owner::of(&metadata),
        replicas: None,
        labels: metadata.labels.unwrap_or_default(),
        selector: selector.map(|s| label_selector(s, "spec.selector")).transpose()?,
        template,
        first_ordinal: 0,
        finished: false,
    })
}
