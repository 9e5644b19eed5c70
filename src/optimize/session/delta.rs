//! What differs between two plans of a session, so that nobody has to read a plan of a whole cluster for one workload.

use crate::domain::plan::{Certificate, NodePlan, Placement, Plan, Preempted, Removal, Unplaced, WorkloadPlan};

/// What is new in a plan. Applied to the plan before it, it gives the new one.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanChanges {
    /// Of the new plan.
    pub certificate: Certificate,
    /// Workloads with another choice, number of moves, or facts.
    pub workloads: Vec<WorkloadPlan>,
    /// Nodes that are proposed, given back or kept where they were not, or that other pods are on.
    pub nodes: Vec<NodePlan>,
    /// Names of nodes that are proposed no more.
    pub withdrawn: Vec<String>,
    /// Pods of which something else becomes.
    pub pods: Vec<PodChange>,
    /// All pods of the new plan that are stopped for others.
    pub preempted: Vec<Preempted>,
    /// For each workload that was looked at, its pods without a node: a count of 0 says that there are none. Reasons are
    /// left to [`super::Session::plan`].
    pub unplaced: Vec<Unplaced>,
}

/// What becomes of a pod now. Neither placement nor removal: it waits, is stopped for
/// another, or is no more.
#[derive(Debug, Clone, PartialEq)]
pub struct PodChange {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub pod: String,
    /// Where it is when the plan is done.
    pub placement: Option<Placement>,
    /// That it goes because its workload shrinks.
    pub removal: Option<Removal>,
}

impl PlanChanges {
    /// Brings the plan before up to date, sorted as plans are. What a plan says of why pods wait, of binding rules and of
    /// conflicts stays as it was.
    pub fn apply(&self, plan: &mut Plan) {
        plan.certificate = self.certificate.clone();
        plan.preempted.clone_from(&self.preempted);
        merge(&mut plan.workloads, &self.workloads, &[], |w| w.id.clone());
        merge(&mut plan.nodes, &self.nodes, &self.withdrawn, |node| node.name.clone());
        let key = |namespace: &str, pod: &str| (namespace.to_owned(), pod.to_owned());
        let touched: Vec<(String, String)> = self.pods.iter().map(|pod| key(&pod.namespace, &pod.pod)).collect();
        let placements: Vec<Placement> = self.pods.iter().filter_map(|pod| pod.placement.clone()).collect();
        let removals: Vec<Removal> = self.pods.iter().filter_map(|pod| pod.removal.clone()).collect();
        merge(&mut plan.placements, &placements, &touched, |p| key(&p.namespace, &p.pod));
        merge(&mut plan.removals, &removals, &touched, |r| key(&r.namespace, &r.pod));
        let workload = |unplaced: &Unplaced| key(&unplaced.namespace, &unplaced.workload);
        let looked_at: Vec<(String, String)> = self.unplaced.iter().map(workload).collect();
        let waiting: Vec<Unplaced> = self.unplaced.iter().filter(|u| u.count > 0).cloned().collect();
        merge(&mut plan.unplaced, &waiting, &looked_at, workload);
    }
}

/// Replaces values by their keys, takes those of `gone` out, and leaves the list sorted.
fn merge<T: Clone, K: Ord>(list: &mut Vec<T>, new: &[T], gone: &[K], key: impl Fn(&T) -> K) {
    let out: std::collections::BTreeSet<K> = new.iter().map(&key).collect();
    let gone: std::collections::BTreeSet<&K> = gone.iter().collect();
    list.retain(|value| {
        let key = key(value);
        !out.contains(&key) && !gone.contains(&key)
    });
    list.extend(new.iter().cloned());
    list.sort_by_cached_key(key);
}
