//! Resource quotas of namespaces, as the API server's admission charges pods to them (Kubernetes 1.36).

use serde::{Deserialize, Serialize};

use super::quantity::format_amount;
use super::resources::{PODS, Resources};
use super::rules::{Operator, PodAffinityTerm, Requirement};
use super::snapshot::PodTemplate;

/// A quota of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceQuota {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Most of each resource, under the name the quota has for it (`requests.cpu`, `pods`); CPU in millicores.
    pub hard: Resources,
    /// What is charged now, as far as the quota tells.
    pub used: Resources,
    /// Which pods it is for: those that are in all of them.
    pub scopes: Vec<QuotaScope>,
}

/// Pods that a quota is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum QuotaScope {
    /// Those that end by a deadline of their own.
    Terminating,
    /// Those that do not.
    NotTerminating,
    /// Those that neither request nor limit CPU or memory.
    BestEffort,
    /// Those that do.
    NotBestEffort,
    /// Those whose priority class meets the requirement.
    PriorityClass(Requirement),
    /// Those whose affinity looks at pods of other namespaces.
    CrossNamespacePodAffinity,
    /// None: it is for claims of a class of attributes.
    VolumeAttributesClass,
}

impl QuotaScope {
    fn includes(&self, template: &PodTemplate) -> bool {
        let class = Some(template.priority_class.as_str()).filter(|class| !class.is_empty());
        match self {
            Self::Terminating => template.terminating,
            Self::NotTerminating => !template.terminating,
            Self::BestEffort => template.best_effort,
            Self::NotBestEffort => !template.best_effort,
            Self::PriorityClass(Requirement { operator: Operator::Exists, .. }) => class.is_some(),
            Self::PriorityClass(requirement) => requirement.matches(class),
            Self::CrossNamespacePodAffinity => looks_beyond(template),
            Self::VolumeAttributesClass => false,
        }
    }
}

/// Whether a term of the pod's affinity, required or preferred, names namespaces.
fn looks_beyond(template: &PodTemplate) -> bool {
    let rules = &template.rules;
    let beyond = |term: &PodAffinityTerm| !term.namespaces.is_empty() || term.namespace_selector.is_some();
    let preferred = rules.preferred_pod_affinity.iter().chain(&rules.preferred_pod_anti_affinity);
    let required = rules.pod_affinity.iter().chain(&rules.pod_anti_affinity);
    required.chain(preferred.map(|p| &p.term)).any(beyond)
}

/// The resource of a pod that a quota's name stands for.
enum Charged<'n> {
    Pods,
    Requests(&'n str),
    Limits(&'n str),
    Nothing,
}

fn charged(name: &str) -> Charged<'_> {
    match name {
        PODS | "count/pods" => Charged::Pods,
        "cpu" | "memory" | "ephemeral-storage" => Charged::Requests(name),
        // Claims are charged for these.
        "requests.storage" => Charged::Nothing,
        _ if name.starts_with("hugepages-") => Charged::Requests(name),
        _ => match (name.strip_prefix("requests."), name.strip_prefix("limits.")) {
            (Some(resource), _) => Charged::Requests(resource),
            (_, Some(resource)) => Charged::Limits(resource),
            _ => Charged::Nothing,
        },
    }
}

/// The plain name of the resource that a quota's name stands for: `cpu` for `requests.cpu`.
#[must_use]
pub fn plain_resource(name: &str) -> &str {
    match charged(name) {
        Charged::Pods => PODS,
        Charged::Requests(resource) | Charged::Limits(resource) => resource,
        Charged::Nothing => name,
    }
}

impl ResourceQuota {
    /// Whether pods of the template are charged to it.
    #[must_use]
    pub fn charges(&self, template: &PodTemplate) -> bool {
        self.namespace == template.namespace && self.scopes.iter().all(|scope| scope.includes(template))
    }

    /// What a pod of the template with these requests is charged of a resource of the quota; 0 where it is none of pods.
    #[must_use]
    pub fn charge(&self, name: &str, template: &PodTemplate, requests: &Resources) -> i64 {
        match charged(name) {
            Charged::Pods => 1,
            Charged::Requests(resource) => requests.get(resource),
            Charged::Limits(resource) => template.limits.get(resource),
            Charged::Nothing => 0,
        }
    }

    /// Resources that pods are charged for, with the most of each.
    pub fn of_pods(&self) -> impl Iterator<Item = (&str, i64)> {
        self.hard.iter().filter(|(name, _)| !matches!(charged(name), Charged::Nothing))
    }

    /// What the API server says of a pod that is charged these amounts, as (resource, requested, used before), where that
    /// is more than it allows.
    #[must_use]
    pub fn refusal<'n>(&self, charges: impl IntoIterator<Item = (&'n str, i64, i64)>) -> Option<String> {
        let (mut requested, mut used, mut limited) = (Vec::new(), Vec::new(), Vec::new());
        for (name, amount, before) in charges {
            let hard = self.hard.get(name);
            if amount > 0 && before.saturating_add(amount) > hard {
                requested.push(Self::written(name, amount));
                used.push(Self::written(name, before));
                limited.push(Self::written(name, hard));
            }
        }
        (!requested.is_empty()).then(|| {
            format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                self.name,
                requested.join(","),
                used.join(","),
                limited.join(",")
            )
        })
    }

    /// Whether it limits the claims of volumes, by number or by storage.
    #[must_use]
    pub fn limits_claims(&self) -> bool {
        let of_claims = |name: &str| {
            matches!(name, "persistentvolumeclaims" | "count/persistentvolumeclaims" | "requests.storage")
                || name.contains(".storageclass.storage.k8s.io/")
        };
        self.hard.iter().any(|(name, _)| of_claims(name))
    }

    /// An amount of one of its resources as the API server writes it: `requests.cpu=500m`.
    #[must_use]
    pub fn written(name: &str, amount: i64) -> String {
        format!("{name}={}", format_amount(plain_resource(name), amount))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(hard: &[(&str, i64)], scopes: Vec<QuotaScope>) -> ResourceQuota {
        ResourceQuota {
            namespace: "shop".to_owned(),
            name: "q".to_owned(),
            hard: Resources::of(hard.iter().copied()),
            used: Resources::default(),
            scopes,
        }
    }

    fn template() -> PodTemplate {
        PodTemplate {
            namespace: "shop".to_owned(),
            requests: Resources::of([("cpu", 500), ("memory", 1 << 30), ("example.com/gpu", 2)]),
            limits: Resources::of([("cpu", 1000)]),
            ..PodTemplate::default()
        }
    }

    #[test]
    fn each_name_of_a_quota_charges_what_it_stands_for() {
        let (quota, template) = (quota(&[], Vec::new()), template());
        for (name, amount, written) in [
            ("pods", 1, "pods=1"),
            ("count/pods", 1, "count/pods=1"),
            ("cpu", 500, "cpu=500m"),
            ("requests.cpu", 500, "requests.cpu=500m"),
            ("limits.cpu", 1000, "limits.cpu=1"),
            ("requests.memory", 1 << 30, "requests.memory=1Gi"),
            ("requests.example.com/gpu", 2, "requests.example.com/gpu=2"),
            ("requests.storage", 0, "requests.storage=0"),
            ("services", 0, "services=0"),
        ] {
            let charged = quota.charge(name, &template, &template.requests);
            assert_eq!(charged, amount, "{name}");
            assert_eq!(ResourceQuota::written(name, charged), written);
        }
    }

    #[test]
    fn a_quota_is_for_pods_in_all_its_scopes() {
        let class = |operator, values: &[&str]| {
            QuotaScope::PriorityClass(Requirement {
                key: "PriorityClass".to_owned(),
                operator,
                values: values.iter().map(|v| (*v).to_owned()).collect(),
            })
        };
        let mut high = template();
        high.priority_class = "high".to_owned();
        let mut job = template();
        job.terminating = true;
        let mut idle = template();
        idle.best_effort = true;
        for (scopes, expected) in [
            (vec![], [true; 4]),
            (vec![QuotaScope::Terminating], [false, false, true, false]),
            (vec![QuotaScope::NotTerminating, QuotaScope::NotBestEffort], [true, true, false, false]),
            (vec![QuotaScope::BestEffort], [false, false, false, true]),
            (vec![class(Operator::In, &["high"])], [false, true, false, false]),
            (vec![class(Operator::NotIn, &["high"])], [true, false, true, true]),
            (vec![class(Operator::Exists, &[])], [false, true, false, false]),
            (vec![QuotaScope::VolumeAttributesClass], [false; 4]),
        ] {
            let quota = quota(&[], scopes);
            assert_eq!([&template(), &high, &job, &idle].map(|t| quota.charges(t)), expected, "{quota:?}");
        }
        let elsewhere = PodTemplate { namespace: "ops".to_owned(), ..template() };
        assert!(!quota(&[], Vec::new()).charges(&elsewhere));
    }
}
