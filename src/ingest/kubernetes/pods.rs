//! Pods and pod templates.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;

use crate::domain::quantity::parse_amount;
use crate::domain::resources::{CPU, MEMORY};
use crate::domain::rules::{HOSTNAME_LABEL, Labels, SchedulingRules, Taint, TaintEffect, Toleration, ZONE_LABEL};
use crate::domain::snapshot::PodTemplate;

use super::gangs::group_of;
use super::object::{FieldError, Name, Owner};
use super::requests::pod_resources;
use super::rules::scheduling_rules;
use super::times::millis;
use super::volumes::{ClaimTemplate, ClaimUse, claim_template};

/// Label that a Deployment puts on the pods of one revision.
pub(super) const TEMPLATE_HASH_LABEL: &str = "pod-template-hash";

/// Annotation of the mirror of a static pod.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// Labels that differ from pod to pod of one template: numbers, names, and what is copied from the node on binding.
pub(super) const OWN_LABELS: [&str; 6] = [
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-completion-index",
    ZONE_LABEL,
    "topology.kubernetes.io/region",
    HOSTNAME_LABEL,
];

/// A template, before other objects complete it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct TemplateDraft {
    /// The template so far, with all labels of the pod.
    pub template: PodTemplate,
    /// Claims that its volumes use.
    pub claims: Vec<ClaimUse>,
    /// Claims that are made with each pod to come.
    pub made: Vec<ClaimTemplate>,
    /// Whether the spec states the priority itself, as specs do that passed the API server's admission.
    pub states_priority: bool,
}

/// Reads a template; `pod` names the pod if it is one, with its status.
///
/// # Errors
/// If an amount or a rule is impossible.
pub(super) fn template(
    namespace: &str,
    labels: Labels,
    spec: &core::PodSpec,
    pod: Option<(&str, Option<&core::PodStatus>)>,
    warnings: &mut Vec<String>,
) -> Result<TemplateDraft, FieldError> {
    let rules = scheduling_rules(spec, &labels, warnings)?;
    let resources = pod_resources(spec, pod.and_then(|(_, status)| status))?;
    let claims = spec.volumes.iter().flatten().filter_map(|volume| {
        let given = volume.persistent_volume_claim.as_ref().map(|c| {
            // A StatefulSet names the claims it makes after their pod.
            let own = pod.is_some_and(|(name, _)| c.claim_name == format!("{}-{name}", volume.name));
            ClaimUse { name: c.claim_name.clone(), own, named: true }
        });
        // The claim of an ephemeral volume is made for the pod and named after it.
        let ephemeral = || {
            let name = format!("{}-{}", pod?.0, volume.name);
            volume.ephemeral.as_ref().map(|_| ClaimUse { name, own: true, named: false })
        };
        given.or_else(ephemeral)
    });
    let made = spec.volumes.iter().flatten().filter_map(|volume| {
        let template = volume.ephemeral.as_ref()?.volume_claim_template.as_ref()?;
        let metadata = template.metadata.clone().unwrap_or_default();
        Some(claim_template(volume.name.clone(), metadata, Some(template.spec.clone())))
    });
    Ok(TemplateDraft {
        claims: claims.collect(),
        made: made.collect::<Result<_, _>>()?,
        states_priority: spec.priority.is_some(),
        template: PodTemplate {
            namespace: namespace.to_owned(),
            requests: resources.requests,
            limits: resources.limits,
            containers: resources.containers,
            rules,
            priority: spec.priority.unwrap_or(0),
            priority_class: spec.priority_class_name.clone().unwrap_or_default(),
            never_preempts: spec.preemption_policy.as_deref() == Some("Never"),
            terminating: spec.active_deadline_seconds.is_some_and(|seconds| seconds >= 0),
            best_effort: is_best_effort(spec),
            gang: group_of(spec, &labels),
            labels,
        },
    })
}

/// Whether no container, nor the pod as a whole, requests or limits CPU or memory.
fn is_best_effort(spec: &core::PodSpec) -> bool {
    let states = |resources: &core::ResourceRequirements| {
        let lists = resources.requests.iter().chain(&resources.limits);
        lists.flatten().any(|(name, amount)| {
            (name == CPU || name == MEMORY) && parse_amount(name, &amount.0).is_ok_and(|amount| amount > 0)
        })
    };
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    !containers.filter_map(|container| container.resources.as_ref()).chain(&spec.resources).any(states)
}

/// Adds the tolerations that admission adds to every pod: those of a node that is not ready or unreachable, for a
/// while, unless the pod says otherwise.
pub(super) fn add_default_tolerations(rules: &mut SchedulingRules) {
    let keys = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
    add_tolerations(rules, keys.map(|key| (key, TaintEffect::NoExecute)));
}

/// Adds tolerations of these taints, of any value, unless the pod tolerates them already.
pub(super) fn add_tolerations<'k>(
    rules: &mut SchedulingRules,
    taints: impl IntoIterator<Item = (&'k str, TaintEffect)>,
) {
    for (key, effect) in taints {
        let taint = Taint { key: key.to_owned(), value: String::new(), effect };
        if !rules.tolerations.iter().any(|t| t.covers(&taint)) {
            rules.tolerations.push(Toleration {
                key: taint.key,
                exists: true,
                value: String::new(),
                effect: Some(effect),
            });
        }
    }
    rules.tolerations.sort();
}

/// A pod, before its workload is known.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, as in the domain's pod")]
pub(super) struct PodDraft {
    pub uid: String,
    pub owner: Option<Owner>,
    /// Value of the label that names the revision of what made it.
    pub template_hash: Option<String>,
    pub template: TemplateDraft,
    pub node: Option<String>,
    /// Succeeded or failed: holds nothing any more.
    pub finished: bool,
    pub ready: bool,
    pub deleting: bool,
    /// Says of itself that it must not be evicted, or is a mirror of a static pod.
    pub pinned: bool,
    /// The mirror of a static pod, which comes and goes with its node.
    pub mirror: bool,
    pub deletion_cost: i32,
    pub created_ms: Option<i64>,
    pub scheduled_ms: Option<i64>,
    pub ready_ms: Option<i64>,
    pub scheduler_message: Option<String>,
}

/// Reads a pod.
///
/// # Errors
/// If it has no spec, or an amount or a rule is impossible.
pub(super) fn pod(pod: core::Pod, name: &Name, warnings: &mut Vec<String>) -> Result<PodDraft, FieldError> {
    let core::Pod { metadata, spec, status } = pod;
    let spec = spec.ok_or_else(|| FieldError::new("spec", "is missing"))?;
    let status = status.unwrap_or_default();
    let owner = Owner::of(&metadata).filter(|o| o.kind != "Node");
    let annotations = metadata.annotations.unwrap_or_default();
    let labels = metadata.labels.unwrap_or_default();
    let phase = status.phase.as_deref().unwrap_or_default();
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let condition = |kind: &str| conditions.iter().find(|c| c.type_ == kind);
    let since = |kind: &str| {
        let met = condition(kind).filter(|c| c.status == "True")?;
        millis(met.last_transition_time.as_ref())
    };
    Ok(PodDraft {
        owner,
        template_hash: labels.get(TEMPLATE_HASH_LABEL).cloned(),
        node: spec.node_name.clone().filter(|n| !n.is_empty()),
        finished: matches!(phase, "Succeeded" | "Failed"),
        ready: phase == "Running" && condition("Ready").is_some_and(|c| c.status == "True"),
        deleting: metadata.deletion_timestamp.is_some(),
        pinned: is_pinned(&annotations),
        mirror: annotations.contains_key(MIRROR_ANNOTATION),
        deletion_cost: deletion_cost(&annotations, warnings),
        created_ms: millis(metadata.creation_timestamp.as_ref()),
        scheduled_ms: since("PodScheduled"),
        ready_ms: since("Ready"),
        scheduler_message: condition("PodScheduled")
            .filter(|c| c.status == "False")
            .and_then(|c| c.message.clone().filter(|m| !m.is_empty())),
        template: template(&name.namespace, labels, &spec, Some((&name.name, Some(&status))), warnings)?,
        uid: metadata.uid.unwrap_or_default(),
    })
}

fn is_pinned(annotations: &BTreeMap<String, String>) -> bool {
    let says = |key: &str, value: &str| annotations.get(key).is_some_and(|v| v == value);
    says("cluster-autoscaler.kubernetes.io/safe-to-evict", "false")
        || says("karpenter.sh/do-not-disrupt", "true")
        || says("karpenter.sh/do-not-evict", "true")
        || annotations.contains_key(MIRROR_ANNOTATION)
}

fn deletion_cost(annotations: &BTreeMap<String, String>, warnings: &mut Vec<String>) -> i32 {
    let Some(text) = annotations.get("controller.kubernetes.io/pod-deletion-cost") else { return 0 };
    text.parse().unwrap_or_else(|_| {
        warnings.push("has a pod deletion cost that is no 32-bit number; 0 is used".to_owned());
        0
    })
}
