//! Services, their endpoints, disruption budgets and autoscalers.

use std::collections::BTreeSet;

use k8s_openapi::api::{autoscaling, core, discovery, policy};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::domain::rules::Labels;
use crate::domain::snapshot::{Amount, Autoscaler, DisruptionBudget, WorkloadId};

use super::object::{FieldError, Name};
use super::rules::label_selector;
use super::workloads::count;

/// A service, before its endpoints are counted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ServiceDraft {
    pub service_type: String,
    pub selector: Labels,
    pub ports: Vec<i32>,
}

/// One slice of a service's endpoints.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct EndpointsDraft {
    /// The service's name.
    pub service: Option<String>,
    /// Ready endpoints: the pod where one is named, else the address. A set, since a service with two address
    /// families has every pod in two slices.
    pub ready: BTreeSet<String>,
}

/// Reads a service.
pub(super) fn service(service: core::v1::Service) -> ServiceDraft {
    let spec = service.spec.unwrap_or_default();
    ServiceDraft {
        service_type: spec.type_.unwrap_or_else(|| "ClusterIP".to_owned()),
        selector: spec.selector.unwrap_or_default(),
        ports: spec.ports.into_iter().flatten().map(|port| port.port).collect(),
    }
}

/// Reads an endpoint slice. An unstated `ready` is to be read as true.
pub(super) fn endpoints(slice: discovery::v1::EndpointSlice) -> EndpointsDraft {
    let service = slice.metadata.labels.and_then(|mut labels| labels.remove("kubernetes.io/service-name"));
    let ready = slice
        .endpoints
        .into_iter()
        .flatten()
        .filter(|e| e.conditions.as_ref().and_then(|c| c.ready) != Some(false))
        .filter_map(|e| e.target_ref.and_then(|t| t.name).or_else(|| e.addresses.into_iter().next()))
        .collect();
    EndpointsDraft { service, ready }
}

/// Reads a disruption budget.
///
/// # Errors
/// If an amount is neither a count nor a percentage of at most 100.
pub(super) fn budget(budget: policy::v1::PodDisruptionBudget, name: &Name) -> Result<DisruptionBudget, FieldError> {
    let spec = budget.spec.unwrap_or_default();
    Ok(DisruptionBudget {
        namespace: name.namespace.clone(),
        name: name.name.clone(),
        selector: spec.selector.as_ref().map(|s| label_selector(s, "spec.selector")).transpose()?,
        min_available: amount(spec.min_available, "spec.minAvailable")?,
        max_unavailable: amount(spec.max_unavailable, "spec.maxUnavailable")?,
    })
}

fn amount(value: Option<IntOrString>, field: &str) -> Result<Option<Amount>, FieldError> {
    let refuse = |found: String| {
        FieldError::new(field, format!("is {found}, expected a number of pods or a percentage such as 25%"))
    };
    Ok(match value {
        None => None,
        Some(IntOrString::Int(n)) => Some(Amount::Count(u32::try_from(n).map_err(|_| refuse(n.to_string()))?)),
        Some(IntOrString::String(text)) => {
            let percent = text.strip_suffix('%').and_then(|digits| digits.parse::<u32>().ok());
            Some(Amount::Percent(percent.filter(|&p| p <= 100).ok_or_else(|| refuse(format!("{text:?}")))?))
        }
    })
}

/// Reads a horizontal pod autoscaler, of any version of its API.
///
/// # Errors
/// If a bound is negative.
pub(super) fn autoscaler(
    autoscaler: autoscaling::v2::HorizontalPodAutoscaler,
    name: &Name,
) -> Result<Autoscaler, FieldError> {
    let spec = autoscaler.spec;
    Ok(Autoscaler {
        namespace: name.namespace.clone(),
        name: name.name.clone(),
        kind: "HorizontalPodAutoscaler".to_owned(),
        target: WorkloadId {
            namespace: name.namespace.clone(),
            kind: spec.scale_target_ref.kind,
            name: spec.scale_target_ref.name,
        },
        min_replicas: count(spec.min_replicas.unwrap_or(1), "spec.minReplicas")?,
        max_replicas: count(spec.max_replicas, "spec.maxReplicas")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_count_or_a_percentage() {
        let read = |text: &str| amount(Some(IntOrString::String(text.to_owned())), "spec.minAvailable");
        assert_eq!(read("20%"), Ok(Some(Amount::Percent(20))));
        assert_eq!(amount(Some(IntOrString::Int(3)), "f"), Ok(Some(Amount::Count(3))));
        for text in ["20", "120%", "-5%", "%", "many"] {
            assert_eq!(read(text).unwrap_err().field, "spec.minAvailable", "{text}");
        }
        assert!(amount(Some(IntOrString::Int(-1)), "f").is_err());
    }
}
