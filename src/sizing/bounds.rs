//! What the policy lets one plan choose for a workload.

use crate::domain::policy::Target;
use crate::domain::resources::{CPU, MEMORY};
use crate::domain::snapshot::Held;
use crate::domain::{Resources, Snapshot};

use super::reach;

/// The range of replicas and requests, with the name of the field behind each end.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    /// Fewest replicas, at least 1: scaling to zero is not proposed.
    pub(super) fewest: u32,
    /// The pod that must stay, where it and not the policy sets `fewest`, and whether pods go by ordinal.
    pub(super) held_by: Option<(String, bool)>,
    /// Most replicas.
    pub(super) most: u32,
    /// The field that sets `most`.
    pub(super) most_rule: String,
    /// Whether requests may change.
    pub(super) resize: bool,
    /// Least requests of a pod.
    pub(super) least: Resources,
    /// Largest requests of a pod; absent names are unbounded.
    pub(super) largest: Resources,
    /// The part of `largest` that the owner set; the rest are the nodes that stand.
    owned_maximum: Resources,
    /// Path of the target in the policy, e.g. `targets.web`.
    path: String,
}

impl Bounds {
    /// Bounds of a target for a workload with these replicas and requests, reachable within `lead_time_s`. `held` is
    /// what its pods that must not be evicted allow.
    ///
    /// Without a maximum of the policy's own, requests stay within the largest node that stands, so that no pod is
    /// made that fits nowhere.
    pub(super) fn new(
        snapshot: &Snapshot,
        target: &Target,
        lead_time_s: f64,
        now: u32,
        held: Option<Held<'_>>,
        declared: &Resources,
    ) -> Self {
        let path = format!("targets.{}", target.name);
        let rule = |field: &str| format!("{path}.{field}");
        let (mut fewest, mut most, mut most_rule) = (now, now, rule("scaleReplicas"));
        let mut held_by = None;
        if target.scale_replicas {
            let start = now.clamp(target.min_replicas, target.max_replicas.max(target.min_replicas));
            let up = reach::most_replicas(&target.behavior.scale_up, start, lead_time_s);
            let down = reach::fewest_replicas(&target.behavior.scale_down, start, lead_time_s);
            fewest = down.max(target.min_replicas).max(1);
            if let Some(held) = held.filter(|held| held.fewest > fewest) {
                fewest = held.fewest;
                held_by = Some((held.pod.to_owned(), held.by_ordinal));
            }
            most = up.min(target.max_replicas).max(fewest);
            most_rule = rule(if up < target.max_replicas { "behavior.scaleUp" } else { "maxReplicas" });
        }
        let mut largest = target.max_requests.clone();
        for name in [CPU, MEMORY] {
            let node = snapshot.nodes.iter().map(|n| n.allocatable.get(name)).max();
            if let (false, Some(node)) = (largest.0.contains_key(name), node) {
                largest.set(name, node.max(declared.get(name)));
            }
        }
        let resize = target.resize_requests;
        let (least, owned_maximum) = (target.min_requests.clone(), target.max_requests.clone());
        Self { fewest, held_by, most, most_rule, resize, least, largest, owned_maximum, path }
    }

    /// Brings an amount of a resource within the bounds; the largest wins over the least.
    pub(super) fn clip(&self, resource: &str, amount: i64) -> i64 {
        let raised = amount.max(self.least.get(resource));
        self.largest.0.get(resource).map_or(raised, |&largest| raised.min(largest))
    }

    /// Whether a choice lies within the bounds.
    pub(super) fn allow(&self, replicas: u32, requests: &Resources) -> bool {
        let replicas_allowed = (self.fewest..=self.most).contains(&replicas);
        let requests_allowed =
            !self.resize || [CPU, MEMORY].iter().all(|name| self.clip(name, requests.get(name)) == requests.get(name));
        replicas_allowed && requests_allowed
    }

    /// What keeps a resource from growing: a field, or the cluster's own nodes where the policy sets no maximum.
    pub(super) fn request_rule(&self, resource: &str) -> String {
        let path = &self.path;
        match (self.resize, self.owned_maximum.0.contains_key(resource)) {
            (false, _) => format!("{path}.resizeRequests"),
            (true, true) => format!("{path}.requests.max.{resource}"),
            (true, false) => format!("{resource} of the largest node"),
        }
    }

    /// The field that holds the objective.
    pub(super) fn objective_rule(&self) -> String {
        format!("{}.objective", self.path)
    }
}
