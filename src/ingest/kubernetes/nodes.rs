//! Nodes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;

use crate::domain::catalog::CapacityType;
use crate::domain::resources::PODS;
use crate::domain::rules::{INSTANCE_TYPE_LABEL, Labels, Taint, TaintEffect, ZONE_LABEL};
use crate::domain::snapshot::Node;

use super::object::FieldError;
use super::quantities::amounts;
use super::rules::taint_effect;
use super::times::millis;

/// The taint that stands for a cordon.
const UNSCHEDULABLE_TAINT: &str = "node.kubernetes.io/unschedulable";

/// The kubelet's default for `--max-pods`, for nodes that state no pod slots.
const DEFAULT_POD_SLOTS: i64 = 110;

/// Reads a node.
///
/// # Errors
/// If an amount or a taint's effect is impossible.
pub(super) fn node(node: &core::Node, warnings: &mut Vec<String>) -> Result<Node, FieldError> {
    let empty = BTreeMap::new();
    let labels = node.metadata.labels.as_ref().unwrap_or(&empty);
    let annotations = node.metadata.annotations.as_ref().unwrap_or(&empty);
    let spec = node.spec.clone().unwrap_or_default();
    let unschedulable = spec.unschedulable == Some(true);
    Ok(Node {
        name: node.metadata.name.clone().unwrap_or_default(),
        taints: taints(&spec, unschedulable)?,
        unschedulable,
        ready: is_ready(node.status.as_ref()),
        allocatable: allocatable(node.status.as_ref(), warnings)?,
        volume_limits: crate::domain::Resources::default(),
        zone: first_label(labels, &[ZONE_LABEL, "failure-domain.beta.kubernetes.io/zone"]),
        instance_type: first_label(labels, &[INSTANCE_TYPE_LABEL, "beta.kubernetes.io/instance-type"]),
        capacity_type: capacity_type(labels),
        created_ms: millis(node.metadata.creation_timestamp.as_ref()),
        do_not_disrupt: ["cluster-autoscaler.kubernetes.io/scale-down-disabled", "karpenter.sh/do-not-disrupt"]
            .iter()
            .any(|key| annotations.get(*key).is_some_and(|value| value == "true")),
        labels: labels.clone(),
    })
}

fn taints(spec: &core::NodeSpec, unschedulable: bool) -> Result<Vec<Taint>, FieldError> {
    let mut taints = Vec::new();
    for (i, taint) in spec.taints.iter().flatten().enumerate() {
        taints.push(Taint {
            key: taint.key.clone(),
            value: taint.value.clone().unwrap_or_default(),
            effect: taint_effect(&taint.effect, &format!("spec.taints[{i}].effect"))?,
        });
    }
    let cordon = Taint { key: UNSCHEDULABLE_TAINT.to_owned(), value: String::new(), effect: TaintEffect::NoSchedule };
    if unschedulable && !taints.contains(&cordon) {
        taints.push(cordon);
    }
    taints.sort();
    taints.dedup();
    Ok(taints)
}

fn is_ready(status: Option<&core::NodeStatus>) -> bool {
    let conditions = status.and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    conditions.is_empty() || conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True")
}

fn allocatable(
    status: Option<&core::NodeStatus>,
    warnings: &mut Vec<String>,
) -> Result<crate::domain::Resources, FieldError> {
    let stated = |list: Option<&BTreeMap<_, _>>| list.is_some_and(|list| !list.is_empty());
    let allocatable = status.and_then(|s| s.allocatable.as_ref());
    let capacity = status.and_then(|s| s.capacity.as_ref());
    let mut resources = if stated(allocatable) {
        amounts(allocatable, format_args!("status.allocatable"))?
    } else if stated(capacity) {
        warnings.push("states no allocatable resources; its capacity is used".to_owned());
        amounts(capacity, format_args!("status.capacity"))?
    } else {
        warnings.push("states neither allocatable resources nor capacity; nothing fits on it".to_owned());
        return Ok(crate::domain::Resources::default());
    };
    let states_pods = |list: Option<&BTreeMap<String, _>>| list.is_some_and(|list| list.contains_key(PODS));
    if !states_pods(allocatable) && !states_pods(capacity) {
        warnings.push(format!("states no pod slots; the kubelet's default of {DEFAULT_POD_SLOTS} is used"));
        resources.set(PODS, DEFAULT_POD_SLOTS);
    }
    Ok(resources)
}

fn first_label(labels: &Labels, keys: &[&str]) -> String {
    keys.iter().find_map(|key| labels.get(*key)).cloned().unwrap_or_default()
}

/// Spot by the labels of Karpenter, EKS, GKE and AKS.
fn capacity_type(labels: &Labels) -> CapacityType {
    const SPOT: [(&str, &str); 6] = [
        ("karpenter.sh/capacity-type", "spot"),
        ("eks.amazonaws.com/capacityType", "SPOT"),
        ("cloud.google.com/gke-spot", "true"),
        ("cloud.google.com/gke-preemptible", "true"),
        ("kubernetes.azure.com/scalesetpriority", "spot"),
        ("node.kubernetes.io/lifecycle", "spot"),
    ];
    let spot = SPOT.iter().any(|(key, value)| labels.get(*key).is_some_and(|v| v == value));
    if spot { CapacityType::Spot } else { CapacityType::OnDemand }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> (Node, Vec<String>) {
        let mut warnings = Vec::new();
        let read = node(&serde_json::from_value(value).unwrap(), &mut warnings).unwrap();
        (read, warnings)
    }

    #[test]
    fn a_cordon_is_a_taint_and_is_not_added_twice() {
        let (cordoned, _) = read(json!({"metadata": {"name": "n"}, "spec": {"unschedulable": true}}));
        assert_eq!(cordoned.taints.len(), 1);
        assert!(cordoned.unschedulable);
        let taint = json!({"key": UNSCHEDULABLE_TAINT, "effect": "NoSchedule", "timeAdded": null});
        let both = json!({"metadata": {"name": "n"}, "spec": {"unschedulable": true, "taints": [taint]}});
        assert_eq!(read(both).0.taints, cordoned.taints);
    }

    #[test]
    fn capacity_stands_in_for_allocatable_with_a_warning() {
        let (node, warnings) = read(json!({"metadata": {"name": "n"}, "status": {"capacity": {"cpu": 4, "pods": 9}}}));
        assert_eq!(node.allocatable.iter().collect::<Vec<_>>(), [("cpu", 4000), ("pods", 9)]);
        assert_eq!(warnings, ["states no allocatable resources; its capacity is used"]);
        let (empty, warnings) = read(json!({"metadata": {"name": "n"}}));
        assert!(empty.allocatable.0.is_empty() && warnings.len() == 1);
        let (slots, warnings) = read(json!({"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "4"}}}));
        assert_eq!((slots.allocatable.get("pods"), warnings.len()), (110, 1));
    }

    #[test]
    fn spot_is_recognised_by_each_providers_label() {
        for (key, value, expected) in [
            ("karpenter.sh/capacity-type", "spot", CapacityType::Spot),
            ("karpenter.sh/capacity-type", "on-demand", CapacityType::OnDemand),
            ("eks.amazonaws.com/capacityType", "SPOT", CapacityType::Spot),
            ("cloud.google.com/gke-spot", "true", CapacityType::Spot),
            ("kubernetes.azure.com/scalesetpriority", "spot", CapacityType::Spot),
        ] {
            let (node, _) = read(json!({"metadata": {"name": "n", "labels": {key: value}}}));
            assert_eq!(node.capacity_type, expected, "{key}={value}");
        }
    }
}
