//! A pod's scheduling rules from its spec.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

use crate::domain::rules::{
    HostPort, LabelSelector, Labels, NodeSelectorTerm, Operator, PodAffinityTerm, Requirement, SchedulingRules,
    TaintEffect, Toleration, TopologySpread, Weighted,
};
use crate::domain::volumes::{Disk, PodVolumes};

use super::object::FieldError;

/// The scheduling rules of a pod with these labels. Volumes are added once claims are known.
///
/// # Errors
/// If an operator or effect is none that Kubernetes knows, or a maximum skew is below 1.
pub(super) fn scheduling_rules(
    spec: &core::PodSpec,
    labels: &Labels,
    warnings: &mut Vec<String>,
) -> Result<SchedulingRules, FieldError> {
    let affinity = spec.affinity.as_ref();
    let node = affinity.and_then(|a| a.node_affinity.as_ref());
    let pods = affinity.and_then(|a| a.pod_affinity.as_ref());
    let apart = affinity.and_then(|a| a.pod_anti_affinity.as_ref());
    let required_node = node.and_then(|n| n.required_during_scheduling_ignored_during_execution.as_ref());
    let preferred_node = node.and_then(|n| n.preferred_during_scheduling_ignored_during_execution.as_ref());
    let near = "spec.affinity.podAffinity";
    let far = "spec.affinity.podAntiAffinity";
    Ok(SchedulingRules {
        node_selector: spec.node_selector.clone().unwrap_or_default(),
        node_affinity: required_node
            .map(|selector| node_terms(&selector.node_selector_terms, "spec.affinity.nodeAffinity"))
            .transpose()?,
        preferred_node_affinity: preferred_node
            .into_iter()
            .flatten()
            .map(|p| {
                let term = node_term(&p.preference, "spec.affinity.nodeAffinity")?;
                Ok(Weighted { weight: p.weight, term })
            })
            .collect::<Result<_, FieldError>>()?,
        pod_affinity: pod_terms(
            pods.and_then(|p| p.required_during_scheduling_ignored_during_execution.as_ref()),
            labels,
            near,
        )?,
        pod_anti_affinity: pod_terms(
            apart.and_then(|p| p.required_during_scheduling_ignored_during_execution.as_ref()),
            labels,
            far,
        )?,
        preferred_pod_affinity: weighted_pod_terms(
            pods.and_then(|p| p.preferred_during_scheduling_ignored_during_execution.as_ref()),
            labels,
            near,
        )?,
        preferred_pod_anti_affinity: weighted_pod_terms(
            apart.and_then(|p| p.preferred_during_scheduling_ignored_during_execution.as_ref()),
            labels,
            far,
        )?,
        topology_spread: topology_spread(spec, labels)?,
        tolerations: tolerations(spec.tolerations.as_deref().unwrap_or_default(), warnings)?,
        host_ports: host_ports(spec),
        volume_affinity: Vec::new(),
        volume_places: Vec::new(),
        volumes_to_make: Vec::new(),
        volumes: PodVolumes { disks: disks(spec), ..PodVolumes::default() },
        scheduling_gates: spec.scheduling_gates.iter().flatten().map(|gate| gate.name.clone()).collect(),
        unread: unread(spec),
    })
}

/// What kube-scheduler looks at in a spec and nothing here does.
fn unread(spec: &core::PodSpec) -> Vec<String> {
    let found = [("device claim", spec.resource_claims.iter().flatten().next().is_some())];
    found.into_iter().filter(|(_, found)| *found).map(|(name, _)| name.to_owned()).collect()
}

/// Disks that pods of one node may not share, with the API server's defaults.
fn disks(spec: &core::PodSpec) -> Vec<Disk> {
    let mut disks: Vec<Disk> = Vec::new();
    for volume in spec.volumes.iter().flatten() {
        let reads = |read_only: Option<bool>| read_only.unwrap_or(false);
        let gce = volume.gce_persistent_disk.as_ref();
        disks.extend(gce.map(|v| Disk::GcePersistentDisk { name: v.pd_name.clone(), read_only: reads(v.read_only) }));
        let ebs = volume.aws_elastic_block_store.as_ref();
        disks.extend(ebs.map(|v| Disk::AwsElasticBlockStore { id: v.volume_id.clone() }));
        let iscsi = volume.iscsi.as_ref();
        disks.extend(iscsi.map(|v| Disk::Iscsi { target: v.iqn.clone(), read_only: reads(v.read_only) }));
        disks.extend(volume.rbd.as_ref().map(|v| Disk::Rbd {
            monitors: v.monitors.clone(),
            pool: v.pool.clone().filter(|pool| !pool.is_empty()).unwrap_or_else(|| "rbd".to_owned()),
            image: v.image.clone(),
            read_only: reads(v.read_only),
        }));
    }
    disks.sort();
    disks.dedup();
    disks
}

/// A label selector.
///
/// # Errors
/// If an operator is none of `In`, `NotIn`, `Exists` and `DoesNotExist`.
pub(super) fn label_selector(selector: &meta::LabelSelector, path: &str) -> Result<LabelSelector, FieldError> {
    let match_expressions = selector
        .match_expressions
        .iter()
        .flatten()
        .map(|r| match operator(&r.operator, path)? {
            Operator::Gt | Operator::Lt => Err(unknown_operator(&r.operator, path)),
            operator => Ok(requirement(&r.key, operator, r.values.as_ref())),
        })
        .collect::<Result<_, _>>()?;
    Ok(LabelSelector { match_labels: selector.match_labels.clone().unwrap_or_default(), match_expressions })
}

/// The alternatives of a node selector; an empty list matches no node.
///
/// # Errors
/// If an operator is unknown.
pub(super) fn node_terms(terms: &[core::NodeSelectorTerm], path: &str) -> Result<Vec<NodeSelectorTerm>, FieldError> {
    terms.iter().map(|term| node_term(term, path)).collect()
}

fn node_term(term: &core::NodeSelectorTerm, path: &str) -> Result<NodeSelectorTerm, FieldError> {
    let requirements = |list: &Option<Vec<core::NodeSelectorRequirement>>| {
        let read = |r: &core::NodeSelectorRequirement| {
            Ok(requirement(&r.key, operator(&r.operator, path)?, r.values.as_ref()))
        };
        list.iter().flatten().map(read).collect::<Result<Vec<_>, FieldError>>()
    };
    Ok(NodeSelectorTerm {
        expressions: requirements(&term.match_expressions)?,
        fields: requirements(&term.match_fields)?,
    })
}

fn requirement(key: &str, operator: Operator, values: Option<&Vec<String>>) -> Requirement {
    Requirement { key: key.to_owned(), operator, values: values.cloned().unwrap_or_default() }
}

fn operator(name: &str, path: &str) -> Result<Operator, FieldError> {
    Ok(match name {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::Gt,
        "Lt" => Operator::Lt,
        _ => return Err(unknown_operator(name, path)),
    })
}

fn unknown_operator(name: &str, path: &str) -> FieldError {
    FieldError::new(path, format!("unknown operator {name:?}, expected In, NotIn, Exists or DoesNotExist"))
}

fn pod_terms(
    terms: Option<&Vec<core::PodAffinityTerm>>,
    labels: &Labels,
    path: &str,
) -> Result<Vec<PodAffinityTerm>, FieldError> {
    terms.into_iter().flatten().map(|term| pod_term(term, labels, path)).collect()
}

fn weighted_pod_terms(
    terms: Option<&Vec<core::WeightedPodAffinityTerm>>,
    labels: &Labels,
    path: &str,
) -> Result<Vec<Weighted<PodAffinityTerm>>, FieldError> {
    let read = |w: &core::WeightedPodAffinityTerm| {
        Ok(Weighted { weight: w.weight, term: pod_term(&w.pod_affinity_term, labels, path)? })
    };
    terms.into_iter().flatten().map(read).collect()
}

fn pod_term(term: &core::PodAffinityTerm, labels: &Labels, path: &str) -> Result<PodAffinityTerm, FieldError> {
    let read = |selector: &meta::LabelSelector| label_selector(selector, path);
    let mut selector = term.label_selector.as_ref().map(read).transpose()?;
    if let Some(selector) = &mut selector {
        fold_label_keys(selector, term.match_label_keys.as_ref(), Operator::In, labels);
        fold_label_keys(selector, term.mismatch_label_keys.as_ref(), Operator::NotIn, labels);
    }
    let mut namespaces = term.namespaces.clone().unwrap_or_default();
    namespaces.sort();
    Ok(PodAffinityTerm {
        topology_key: term.topology_key.clone(),
        selector,
        namespaces,
        namespace_selector: term.namespace_selector.as_ref().map(read).transpose()?,
    })
}

/// Adds the pod's own values of these labels to the selector. The API server may have done so already; keys the pod
/// does not have are skipped, as the scheduler does.
fn fold_label_keys(selector: &mut LabelSelector, keys: Option<&Vec<String>>, operator: Operator, labels: &Labels) {
    for key in keys.into_iter().flatten() {
        if let Some(value) = labels.get(key) {
            let own = Requirement { key: key.clone(), operator, values: vec![value.clone()] };
            if !selector.match_expressions.contains(&own) {
                selector.match_expressions.push(own);
            }
        }
    }
}

fn topology_spread(spec: &core::PodSpec, labels: &Labels) -> Result<Vec<TopologySpread>, FieldError> {
    let read = |(i, spread): (usize, &core::TopologySpreadConstraint)| {
        let path = format!("spec.topologySpreadConstraints[{i}]");
        if spread.max_skew < 1 {
            let problem = format!("is {}, expected at least 1", spread.max_skew);
            return Err(FieldError::new(format!("{path}.maxSkew"), problem));
        }
        let mut selector = spread.label_selector.as_ref().map(|s| label_selector(s, &path)).transpose()?;
        if let Some(selector) = &mut selector {
            fold_label_keys(selector, spread.match_label_keys.as_ref(), Operator::In, labels);
        }
        Ok(TopologySpread {
            max_skew: spread.max_skew,
            topology_key: spread.topology_key.clone(),
            hard: spread.when_unsatisfiable != "ScheduleAnyway",
            selector,
            min_domains: spread.min_domains,
            honor_affinity: spread.node_affinity_policy.as_deref() != Some("Ignore"),
            honor_taints: spread.node_taints_policy.as_deref() == Some("Honor"),
        })
    };
    spec.topology_spread_constraints.iter().flatten().enumerate().map(read).collect()
}

/// A taint effect by its name.
///
/// # Errors
/// If it is none of the three.
pub(super) fn taint_effect(name: &str, path: &str) -> Result<TaintEffect, FieldError> {
    Ok(match name {
        "NoSchedule" => TaintEffect::NoSchedule,
        "PreferNoSchedule" => TaintEffect::PreferNoSchedule,
        "NoExecute" => TaintEffect::NoExecute,
        _ => {
            let problem = format!("unknown effect {name:?}, expected NoSchedule, PreferNoSchedule or NoExecute");
            return Err(FieldError::new(path, problem));
        }
    })
}

/// Tolerations in a canonical order: what matters is the set.
fn tolerations(list: &[core::Toleration], warnings: &mut Vec<String>) -> Result<Vec<Toleration>, FieldError> {
    let mut tolerations = Vec::with_capacity(list.len());
    for (i, toleration) in list.iter().enumerate() {
        let effect = toleration.effect.as_deref().filter(|e| !e.is_empty());
        let exists = match toleration.operator.as_deref().unwrap_or_default() {
            "" | "Equal" => false,
            "Exists" => true,
            other => {
                warnings
                    .push(format!("tolerations with operator {other} are not read; the taints count as untolerated"));
                continue;
            }
        };
        tolerations.push(Toleration {
            key: toleration.key.clone().unwrap_or_default(),
            exists,
            value: toleration.value.clone().unwrap_or_default(),
            effect: effect.map(|e| taint_effect(e, &format!("spec.tolerations[{i}].effect"))).transpose()?,
        });
    }
    tolerations.sort();
    tolerations.dedup();
    Ok(tolerations)
}

/// Host ports of ordinary containers and sidecars. On the host's own network every container port is one.
fn host_ports(spec: &core::PodSpec) -> Vec<HostPort> {
    let on_host = spec.host_network == Some(true);
    let sidecars = spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|c| c.ports.iter().flatten());
    let mut host_ports: Vec<HostPort> = ports
        .filter_map(|port| {
            let given = port.host_port.filter(|&p| p > 0);
            Some(HostPort {
                port: given.or_else(|| on_host.then_some(port.container_port).filter(|&p| p > 0))?,
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
                host_ip: port.host_ip.clone().unwrap_or_default(),
            })
        })
        .collect();
    host_ports.sort();
    host_ports.dedup();
    host_ports
}
