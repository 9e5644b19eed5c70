//! Resource quotas of namespaces.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::domain::Resources;
use crate::domain::quantity::parse_amount;
use crate::domain::quota::{QuotaScope, ResourceQuota, plain_resource};
use crate::domain::rules::{Operator, Requirement};

use super::object::{FieldError, Name};

/// Reads a quota.
///
/// # Errors
/// If an amount is impossible, or a scope or an operator is none that Kubernetes knows.
pub(super) fn quota(quota: core::ResourceQuota, name: &Name) -> Result<ResourceQuota, FieldError> {
    let spec = quota.spec.unwrap_or_default();
    let status = quota.status.unwrap_or_default();
    let mut scopes = Vec::new();
    for (i, scope) in spec.scopes.iter().flatten().enumerate() {
        scopes.push(scope_of(scope, Operator::Exists, Vec::new(), &format!("spec.scopes[{i}]"))?);
    }
    let expressions = spec.scope_selector.and_then(|selector| selector.match_expressions).unwrap_or_default();
    for (i, expression) in expressions.into_iter().enumerate() {
        let path = format!("spec.scopeSelector.matchExpressions[{i}]");
        let operator = match expression.operator.as_str() {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            other => {
                let problem = format!("unknown operator {other:?}, expected In, NotIn, Exists or DoesNotExist");
                return Err(FieldError::new(format!("{path}.operator"), problem));
            }
        };
        let values = expression.values.unwrap_or_default();
        scopes.push(scope_of(&expression.scope_name, operator, values, &format!("{path}.scopeName"))?);
    }
    Ok(ResourceQuota {
        namespace: name.namespace.clone(),
        name: name.name.clone(),
        hard: amounts(spec.hard.as_ref().or(status.hard.as_ref()), "spec.hard")?,
        used: amounts(status.used.as_ref(), "status.used")?,
        scopes,
    })
}

fn scope_of(name: &str, operator: Operator, values: Vec<String>, path: &str) -> Result<QuotaScope, FieldError> {
    Ok(match name {
        "Terminating" => QuotaScope::Terminating,
        "NotTerminating" => QuotaScope::NotTerminating,
        "BestEffort" => QuotaScope::BestEffort,
        "NotBestEffort" => QuotaScope::NotBestEffort,
        "CrossNamespacePodAffinity" => QuotaScope::CrossNamespacePodAffinity,
        "VolumeAttributesClass" => QuotaScope::VolumeAttributesClass,
        "PriorityClass" => QuotaScope::PriorityClass(Requirement { key: name.to_owned(), operator, values }),
        other => {
            let problem = format!(
                "unknown scope {other:?}, expected Terminating, NotTerminating, BestEffort, NotBestEffort, PriorityClass, \
                 CrossNamespacePodAffinity or VolumeAttributesClass"
            );
            return Err(FieldError::new(path, problem));
        }
    })
}

/// Amounts by the quota's own names; one of zero allows nothing, and is kept.
fn amounts(list: Option<&BTreeMap<String, Quantity>>, path: &str) -> Result<Resources, FieldError> {
    let mut amounts = Resources::default();
    for (name, Quantity(text)) in list.into_iter().flatten() {
        let refuse = |problem: String| FieldError::new(format!("{path}.{name}"), problem);
        let amount = parse_amount(plain_resource(name), text).map_err(|e| refuse(e.to_string()))?;
        if amount < 0 {
            return Err(refuse(format!("is {text}, expected an amount of at least 0")));
        }
        amounts.set(name, amount);
    }
    Ok(amounts)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<ResourceQuota, FieldError> {
        let name = Name { namespace: "shop".to_owned(), name: "q".to_owned() };
        quota(serde_json::from_value(value).unwrap(), &name)
    }

    #[test]
    fn amounts_are_in_the_units_of_the_resource_and_zero_is_kept() {
        let read = read(json!({"spec": {"hard": {"requests.cpu": "2500m", "limits.memory": "1Gi", "pods": "0"}},
            "status": {"used": {"requests.cpu": "1"}}}));
        let quota = read.unwrap();
        let hard: Vec<(&str, i64)> = quota.hard.iter().collect();
        assert_eq!(hard, [("limits.memory", 1 << 30), ("pods", 0), ("requests.cpu", 2500)]);
        assert_eq!(quota.used.get("requests.cpu"), 1000);
    }

    #[test]
    fn scopes_come_from_both_places() {
        let selector =
            json!({"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]});
        let quota = read(json!({"spec": {"scopes": ["NotBestEffort"], "scopeSelector": selector}})).unwrap();
        let class = Requirement { key: "PriorityClass".into(), operator: Operator::In, values: vec!["high".into()] };
        assert_eq!(quota.scopes, [QuotaScope::NotBestEffort, QuotaScope::PriorityClass(class)]);
    }

    #[test]
    fn what_is_impossible_names_its_field() {
        for (value, field, problem) in [
            (json!({"spec": {"hard": {"pods": "-1"}}}), "spec.hard.pods", "is -1, expected an amount of at least 0"),
            (
                json!({"spec": {"hard": {"requests.memory": "lots"}}}),
                "spec.hard.requests.memory",
                "invalid quantity \"lots\": expected a number with an optional suffix such as m, k, Mi or Gi",
            ),
            (
                json!({"spec": {"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "Is"}]}}}),
                "spec.scopeSelector.matchExpressions[0].operator",
                "unknown operator \"Is\", expected In, NotIn, Exists or DoesNotExist",
            ),
        ] {
            assert_eq!(read(value).unwrap_err(), FieldError::new(field, problem));
        }
        let unknown = read(json!({"spec": {"scopes": ["Idle"]}})).unwrap_err();
        assert_eq!(unknown.field, "spec.scopes[0]");
    }
}
