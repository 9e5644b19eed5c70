//! How many pods may be taken away at once: disruption budgets, the target's limit, and the policy's churn budget.

use std::collections::BTreeSet;

use crate::domain::snapshot::{Amount, DisruptionBudget};
use crate::domain::{Policy, Snapshot};

use super::cluster::{Cluster, PodIndex};

/// Where neither budget nor target says, a quarter of the replicas may be away at once, as in a rolling update.
const DEFAULT_UNAVAILABLE: Amount = Amount::Percent(25);

/// Budgets, and what the running wave has used of them.
#[derive(Debug, Clone)]
pub(super) struct Budgets<'a> {
    snapshot: &'a Snapshot,
    policy: &'a Policy,
    /// Pods each budget is about, by their template: index by budget, then by template.
    covers: Vec<Vec<bool>>,
    /// Evictions each budget still allows in this wave.
    allowed: Vec<i64>,
    /// Moves each workload still allows in this wave.
    workload_allowed: Vec<u32>,
    /// Pods of each workload that were stopped for others: their successors wait.
    away: Vec<u32>,
    /// Moves the policy still allows in all waves.
    moves_left: u32,
}

impl<'a> Budgets<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, policy: &'a Policy, cluster: &Cluster, movable: u32) -> Self {
        let covers = snapshot.budgets.iter().map(|b| snapshot.templates.iter().map(|t| covers(b, t)).collect());
        let moves_left = policy.disruption.max_moves.of_rounded_up(movable);
        let mut budgets = Self {
            snapshot,
            policy,
            covers: covers.collect(),
            allowed: Vec::new(),
            workload_allowed: Vec::new(),
            away: vec![0; snapshot.workloads.len()],
            moves_left,
        };
        let replicas: Vec<u32> = snapshot.workloads.iter().map(|w| w.replicas).collect();
        budgets.begin_wave(cluster, &replicas);
        budgets
    }

    /// Counts anew what may go, from the pods ready now and the replicas wanted now.
    pub(super) fn begin_wave(&mut self, cluster: &Cluster, replicas: &[u32]) {
        let allowed = self.snapshot.budgets.iter().zip(&self.covers);
        self.allowed = allowed.map(|(budget, covers)| evictions_allowed(budget, covers, cluster, replicas)).collect();
        let limit = |((workload, &count), &away): ((&crate::domain::snapshot::Workload, &u32), &u32)| {
            let stated = self.policy.target_for(workload).and_then(|t| t.max_unavailable);
            stated.map_or_else(
                // A pace, and no limit on how many wait.
                || DEFAULT_UNAVAILABLE.of_rounded_up(count),
                |stated| stated.of_rounded_up(count).saturating_sub(away),
            )
        };
        self.workload_allowed = self.snapshot.workloads.iter().zip(replicas).zip(&self.away).map(limit).collect();
    }

    /// Whether the pod may be moved in this wave; else the rule that forbids it.
    pub(super) fn check(&self, cluster: &Cluster, pod: PodIndex) -> Result<(), String> {
        let moved = &cluster.pods[pod];
        if moved.do_not_evict {
            return Err(format!("pod {}/{} must not be evicted", moved.namespace, moved.name));
        }
        if self.moves_left == 0 {
            return Err("disruption.maxMoves".to_owned());
        }
        if let Some(workload) = moved.workload
            && self.workload_allowed[workload] == 0
        {
            let target = self.policy.target_for(&self.snapshot.workloads[workload]);
            let stated = target.filter(|t| t.max_unavailable.is_some());
            return Err(stated.map_or_else(
                || format!("a quarter of {}", self.snapshot.workloads[workload].id),
                |t| format!("targets.{}.maxUnavailable", t.name),
            ));
        }
        let named =
            |i: usize| format!("budget {}/{}", self.snapshot.budgets[i].namespace, self.snapshot.budgets[i].name);
        let covering: Vec<usize> = self.covering(cluster, pod).collect();
        // The eviction API refuses a pod that several budgets are about.
        if let [first, second, ..] = covering[..] {
            return Err(format!("{} and {} about one pod", named(first), named(second)));
        }
        // A pod that is not ready may go as long as the budget is met without it.
        let least = i64::from(moved.ready);
        covering.into_iter().find(|&i| self.allowed[i] < least).map_or(Ok(()), |i| Err(named(i)))
    }

    /// Uses what moving the pod takes.
    pub(super) fn spend(&mut self, cluster: &Cluster, pod: PodIndex) {
        let moved = &cluster.pods[pod];
        self.moves_left = self.moves_left.saturating_sub(1);
        if let Some(workload) = moved.workload {
            self.workload_allowed[workload] = self.workload_allowed[workload].saturating_sub(1);
        }
        self.evict(cluster, pod, 1);
    }

    /// Uses what stopping the pod for another takes.
    pub(super) fn spend_for_good(&mut self, cluster: &Cluster, pod: PodIndex) {
        self.spend(cluster, pod);
        if let Some(workload) = cluster.pods[pod].workload {
            self.away[workload] += 1;
        }
    }

    /// Takes that back.
    pub(super) fn give_back(&mut self, cluster: &Cluster, pod: PodIndex) {
        self.moves_left += 1;
        if let Some(workload) = cluster.pods[pod].workload {
            self.workload_allowed[workload] += 1;
        }
        self.evict(cluster, pod, -1);
    }

    fn evict(&mut self, cluster: &Cluster, pod: PodIndex, times: i64) {
        if cluster.pods[pod].ready {
            let covering: Vec<usize> = self.covering(cluster, pod).collect();
            for budget in covering {
                self.allowed[budget] -= times;
            }
        }
    }

    fn covering(&self, cluster: &Cluster, pod: PodIndex) -> impl Iterator<Item = usize> {
        let template = cluster.pods[pod].template;
        self.covers.iter().enumerate().filter(move |(_, covers)| covers[template]).map(|(i, _)| i)
    }
}

fn covers(budget: &DisruptionBudget, template: &crate::domain::snapshot::PodTemplate) -> bool {
    budget.namespace == template.namespace && budget.selector.as_ref().is_some_and(|s| s.matches(&template.labels))
}

/// Ready pods over those that must stay, as the disruption controller counts them (Kubernetes 1.36): a share is of the
/// replicas the pods' controllers want, rounded up. Negative where the budget is broken already.
fn evictions_allowed(budget: &DisruptionBudget, covers: &[bool], cluster: &Cluster, replicas: &[u32]) -> i64 {
    let covered = || cluster.pods.iter().filter(|p| covers[p.template] && p.node.is_some());
    let ready = covered().map(|p| i64::from(p.ready)).sum::<i64>();
    let workloads: BTreeSet<usize> = covered().filter_map(|p| p.workload).collect();
    let wanted = workloads.iter().fold(0_u32, |sum, &w| sum.saturating_add(replicas[w]));
    let stay = match (budget.min_available, budget.max_unavailable) {
        (Some(least), _) => i64::from(least.of_rounded_up(wanted)),
        (None, Some(most)) => i64::from(wanted) - i64::from(most.of_rounded_up(wanted)),
        (None, None) => 0,
    };
    ready - stay.max(0)
}
