//! Resource quotas of namespaces: what is made or grows in a wave is within what is left of them.

use std::collections::BTreeMap;

use crate::domain::quota::ResourceQuota;
use crate::domain::{Resources, Snapshot};

use super::cluster::{Cluster, PodIndex};

/// Quotas and what is charged to them. What goes is charged until its wave ends; a pod that moves passes its charge
/// on, because its controller makes the successor once the quota lets it.
#[derive(Debug, Clone)]
pub(super) struct Quotas<'a> {
    snapshot: &'a Snapshot,
    /// Quotas that each template's pods are charged to.
    of_template: Vec<Vec<usize>>,
    /// What is charged of each resource, by quota.
    used: Vec<BTreeMap<&'a str, i64>>,
}

impl<'a> Quotas<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, cluster: &Cluster) -> Self {
        let charged = |t| snapshot.quotas.iter().enumerate().filter(|(_, q)| q.charges(t)).map(|(i, _)| i).collect();
        let of_template = snapshot.templates.iter().map(charged).collect();
        let nothing = |q: &'a ResourceQuota| q.of_pods().map(|(name, _)| (name, 0)).collect();
        let mut quotas = Self { snapshot, of_template, used: snapshot.quotas.iter().map(nothing).collect() };
        for pod in cluster.pods.iter().filter(|pod| pod.made) {
            quotas.charge(pod.template, &pod.size, 1);
        }
        // What the quota itself tells may count pods that the snapshot leaves out.
        for (quota, used) in snapshot.quotas.iter().zip(&mut quotas.used) {
            for (name, used) in used {
                *used = quota.used.0.get(*name).copied().unwrap_or(*used);
            }
        }
        quotas
    }

    /// Whether the quotas let all these pods be made with these sizes, or grow to them; else which does not.
    pub(super) fn check(&self, cluster: &Cluster, pods: &[(PodIndex, &Resources)]) -> Result<(), String> {
        let mut more: BTreeMap<(usize, &str), i64> = BTreeMap::new();
        for &(pod, size) in pods {
            let pod = &cluster.pods[pod];
            for &number in &self.of_template[pod.template] {
                let (quota, template) = (&self.snapshot.quotas[number], &self.snapshot.templates[pod.template]);
                for (name, _) in quota.of_pods() {
                    let before = if pod.made { quota.charge(name, template, &pod.size) } else { 0 };
                    *more.entry((number, name)).or_default() += quota.charge(name, template, size) - before;
                }
            }
        }
        let exceeded = |((number, name), amount): &((usize, &str), i64)| {
            *amount > 0
                && self.used[*number][name].saturating_add(*amount) > self.snapshot.quotas[*number].hard.get(name)
        };
        more.into_iter().find(exceeded).map_or(Ok(()), |((number, name), _)| {
            let quota = &self.snapshot.quotas[number];
            Err(format!("resource quota {}/{} of {name}", quota.namespace, quota.name))
        })
    }

    /// The pod is made with this size, or grows or shrinks to it.
    pub(super) fn take(&mut self, cluster: &Cluster, pod: PodIndex, size: &Resources) {
        self.shift(cluster, pod, size, 1);
    }

    /// Takes that back, of a pod that is as it was before.
    pub(super) fn give_back(&mut self, cluster: &Cluster, pod: PodIndex, size: &Resources) {
        self.shift(cluster, pod, size, -1);
    }

    /// The pod is no more.
    pub(super) fn release(&mut self, cluster: &Cluster, pod: PodIndex) {
        let pod = &cluster.pods[pod];
        self.charge(pod.template, &pod.size, -1);
    }

    fn shift(&mut self, cluster: &Cluster, pod: PodIndex, size: &Resources, sign: i64) {
        let pod = &cluster.pods[pod];
        self.charge(pod.template, size, sign);
        if pod.made {
            self.charge(pod.template, &pod.size, -sign);
        }
    }

    fn charge(&mut self, template: usize, size: &Resources, sign: i64) {
        for &number in &self.of_template[template] {
            let (quota, template) = (&self.snapshot.quotas[number], &self.snapshot.templates[template]);
            for (name, used) in &mut self.used[number] {
                *used = used.saturating_add(sign * quota.charge(name, template, size));
            }
        }
    }
}
