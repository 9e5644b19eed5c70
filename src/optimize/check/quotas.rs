//! Resource quotas of namespaces: what the plan makes or lets grow is within them.

use std::collections::BTreeSet;

use crate::domain::quota::ResourceQuota;

use super::after::{After, AfterPod};
use super::{Given, Violation};

/// What a quota's pods are charged of one of its resources, before a plan and when it is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charged<'a> {
    pub(crate) quota: &'a ResourceQuota,
    pub(crate) resource: &'a str,
    pub(crate) before: i64,
    pub(crate) then: i64,
}

impl Charged<'_> {
    /// What is broken: more is charged than before, and more than may be.
    pub(super) fn judge(self) -> Option<Violation> {
        let Self { quota, resource, before, then } = self;
        let hard = quota.hard.get(resource);
        let used = quota.used.0.get(resource).copied().unwrap_or(before).saturating_add(then - before);
        (then > before && used > hard).then(|| {
            let quota = format!("{}/{}", quota.namespace, quota.name);
            Violation::ResourceQuota { quota, resource: resource.to_owned(), used, hard }
        })
    }
}

/// Charged in the end are pods that exist and stay, with a node or without, and those that come. What was charged too
/// much before may stay so; what is removed makes room.
pub(super) fn check(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) {
    let removed: BTreeSet<(&str, &str)> =
        given.plan.removals.iter().map(|r| (r.namespace.as_str(), r.pod.as_str())).collect();
    let placed: BTreeSet<(&str, &str)> =
        after.pods.iter().filter_map(|pod| pod.now).map(|pod| (pod.namespace.as_str(), pod.name.as_str())).collect();
    for quota in &given.snapshot.quotas {
        for (resource, _) in quota.of_pods() {
            let (mut before, mut then) = (0_i64, 0_i64);
            for pod in &given.snapshot.pods {
                let Some(template) = after.templates.get(pod.template).filter(|t| quota.charges(t)) else { continue };
                before += quota.charge(resource, template, &template.requests);
                let key = (pod.namespace.as_str(), pod.name.as_str());
                let goes = pod.deleting || removed.contains(&key);
                // Whoever is placed is counted where it is.
                if !goes && !placed.contains(&key) && !goes_with_its_node(after, pod) {
                    let workload = after.workload_of(&pod.workload);
                    let resized = workload.filter(|w| w.is_resized()).and_then(|w| w.plan);
                    let requests = resized.map_or(&template.requests, |plan| &plan.requests);
                    then += quota.charge(resource, template, requests);
                }
            }
            let charged = |pod: &&AfterPod<'_>| !pod.deleting();
            for pod in after.pods.iter().filter(charged) {
                let Some(template) = after.templates.get(pod.template).filter(|t| quota.charges(t)) else { continue };
                then += quota.charge(resource, template, &pod.requests);
            }
            violations.extend(Charged { quota, resource, before, then }.judge());
        }
    }
}

/// A pod of a `DaemonSet` on a node that is removed.
fn goes_with_its_node(after: &After<'_>, pod: &crate::domain::snapshot::Pod) -> bool {
    after.workload_of(&pod.workload).is_some_and(|w| w.now.daemon)
        && pod.node.as_deref().is_some_and(|node| after.removed_nodes.contains(node))
}
