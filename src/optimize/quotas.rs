//! Resource quotas of namespaces: what each pod is charged, and how much more may be.
//!
//! A quota is asked when a pod is made or grows. So it counts pods that exist and stay, at their new size, whether or not
//! they have a node, and pods to come as soon as they have one: what has no room need not be made.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::quota::ResourceQuota;
use crate::domain::resources::Resources;
use crate::domain::snapshot::{PodTemplate, Snapshot};

use super::instance::{Group, PodFacts};

/// What one pod is charged, by limit; sorted, without zeros.
pub(super) type Charge = Arc<[(usize, i64)]>;

/// One resource of one quota.
#[derive(Debug, Clone)]
pub(super) struct QuotaLimit {
    /// Index into the snapshot's quotas.
    pub(super) quota: usize,
    /// The quota's name for the resource.
    pub(super) resource: String,
    /// How much more may be charged; below 0 where more is charged than may be.
    pub(super) room: i64,
    /// What pods of the snapshot are charged.
    pub(super) now: i64,
}

/// All quotas, and what each kind of pod is charged.
#[derive(Debug, Clone, Default)]
pub(super) struct Quotas {
    pub(super) limits: Vec<QuotaLimit>,
    /// By (group, template, size).
    charges: BTreeMap<(usize, usize, usize), Charge>,
    /// By template, at its own requests.
    own: Vec<Charge>,
}

impl Quotas {
    pub(super) fn new(snapshot: &Snapshot, groups: &[Group<'_>], pods: &[PodFacts]) -> Self {
        let mut quotas = Self::default();
        for (number, quota) in snapshot.quotas.iter().enumerate() {
            for (resource, _) in quota.of_pods() {
                quotas.limits.push(QuotaLimit { quota: number, resource: resource.to_owned(), room: 0, now: 0 });
            }
        }
        if quotas.limits.is_empty() {
            return quotas;
        }
        quotas.meet(snapshot);
        for number in 0..groups.len() {
            quotas.appraise(snapshot, groups, number);
        }
        quotas.count(snapshot, pods);
        quotas
    }

    /// Renews what depends on one group, its templates and the pods that exist.
    pub(super) fn renew(&mut self, snapshot: &Snapshot, groups: &[Group<'_>], pods: &[PodFacts], group: usize) {
        if !self.limits.is_empty() {
            self.meet(snapshot);
            self.appraise(snapshot, groups, group);
            self.count(snapshot, pods);
        }
    }

    /// What pods of the templates that are new are charged.
    fn meet(&mut self, snapshot: &Snapshot) {
        let new = &snapshot.templates[self.own.len()..];
        let own: Vec<Charge> = new.iter().map(|t| self.charge_of(snapshot, t, &t.requests)).collect();
        self.own.extend(own);
    }

    /// What pods of the group are charged at each of its sizes.
    fn appraise(&mut self, snapshot: &Snapshot, groups: &[Group<'_>], number: usize) {
        let group = &groups[number];
        let known = self.charges.range((number, 0, 0)..(number + 1, 0, 0)).map(|(key, _)| *key);
        for key in known.collect::<Vec<_>>() {
            self.charges.remove(&key);
        }
        for &(template, size) in group.demands.keys() {
            let own = &snapshot.templates[template];
            let requests = group.sizes[size].as_ref().unwrap_or(&own.requests);
            let charge = self.charge_of(snapshot, own, requests);
            self.charges.insert((number, template, size), charge);
        }
    }

    /// What is charged now, and the room that leaves.
    fn count(&mut self, snapshot: &Snapshot, pods: &[PodFacts]) {
        self.limits.iter_mut().for_each(|limit| limit.now = 0);
        for pod in pods {
            if let Some(charge) = self.own.get(pod.template) {
                for (limit, amount) in charge.iter() {
                    self.limits[*limit].now += amount;
                }
            }
        }
        for limit in &mut self.limits {
            let quota = &snapshot.quotas[limit.quota];
            let used = quota.used.0.get(&limit.resource).copied().unwrap_or(limit.now);
            limit.room = quota.hard.get(&limit.resource).saturating_sub(used);
        }
    }

    fn charge_of(&self, snapshot: &Snapshot, template: &PodTemplate, requests: &Resources) -> Charge {
        let of = |(number, limit): (usize, &QuotaLimit)| {
            let quota: &ResourceQuota = &snapshot.quotas[limit.quota];
            let amount = if quota.charges(template) { quota.charge(&limit.resource, template, requests) } else { 0 };
            (number, amount)
        };
        self.limits.iter().enumerate().map(of).filter(|(_, amount)| *amount > 0).collect()
    }

    /// What a pod of the template is charged now.
    pub(super) fn own(&self, template: usize) -> Charge {
        self.own.get(template).cloned().unwrap_or_default()
    }

    /// What a pod of the group is charged at the size.
    pub(super) fn charge(&self, group: usize, template: usize, size: usize) -> Charge {
        self.charges.get(&(group, template, size)).cloned().unwrap_or_default()
    }
}
