//! What the state charges to resource quotas beyond what is charged now.

use std::collections::BTreeSet;

use super::super::quotas::Charge;
use super::Occupancy;

impl Occupancy<'_> {
    /// Charges, or gives back.
    pub(super) fn charge(&mut self, charge: &Charge, up: bool) {
        for (limit, amount) in charge.iter() {
            self.state.charged[*limit] += if up { *amount } else { -amount };
        }
    }

    /// Pods of `DaemonSets` come with a node that is bought.
    pub(super) fn charge_daemons(&mut self, site: usize, up: bool) {
        let instance = self.instance;
        if instance.quotas.limits.is_empty() {
            return;
        }
        for &daemon in &instance.sites[site].daemons {
            if let Some(template) = instance.snapshot.workloads[daemon].template {
                self.charge(&instance.quotas.own(template), up);
            }
        }
    }

    /// The first limit that a pod to come would break, as far as quotas are asked of it.
    fn limit_in_the_way(&self, pod: usize) -> Option<usize> {
        let state = &self.state.pods[pod];
        let limits = &self.instance.quotas.limits;
        let breaks = |(limit, amount): &&(usize, i64)| self.state.charged[*limit] + amount > limits[*limit].room;
        state.charge.iter().filter(|_| state.existing.is_none()).find(breaks).map(|(limit, _)| *limit)
    }

    /// Whether every quota lets the pod be made.
    pub(super) fn quotas_allow(&self, pod: usize) -> bool {
        self.limit_in_the_way(pod).is_none()
    }

    /// Whether every quota lets the `DaemonSet` pods of one more node of the prototype be made.
    pub(in super::super) fn quotas_allow_node(&self, site: usize) -> bool {
        let (quotas, snapshot) = (&self.instance.quotas, self.instance.snapshot);
        if quotas.limits.is_empty() {
            return true;
        }
        let templates = self.instance.sites[site].daemons.iter().filter_map(|d| snapshot.workloads[*d].template);
        let mut charged = vec![0_i64; quotas.limits.len()];
        for template in templates {
            for (limit, amount) in quotas.own(template).iter() {
                charged[*limit] += amount;
            }
        }
        let fits = |(limit, amount): (usize, i64)| self.state.charged[limit] + amount <= quotas.limits[limit].room;
        charged.into_iter().enumerate().filter(|(_, amount)| *amount > 0).all(fits)
    }

    /// Limits that are charged beyond their room.
    fn broken_limits(&self) -> BTreeSet<usize> {
        let limits = &self.instance.quotas.limits;
        (0..limits.len()).filter(|l| self.state.charged[*l] > limits[*l].room.max(0)).collect()
    }

    /// Takes pods to come off their nodes until every quota has room for what exists, or none is left that would help: the
    /// least important and last ones first.
    pub(in super::super) fn give_way_to_quotas(&mut self) {
        let mut broken = self.broken_limits();
        if broken.is_empty() {
            return;
        }
        let templates = &self.instance.snapshot.templates;
        let came = |pod: &usize| self.state.pods[*pod].existing.is_none() && self.state.pods[*pod].node.is_some();
        let mut pods: Vec<usize> = (0..self.state.pods.len()).filter(came).collect();
        pods.sort_by_key(|pod| (templates[self.state.pods[*pod].template].priority, std::cmp::Reverse(*pod)));
        for pod in pods {
            if broken.is_empty() {
                return;
            }
            if self.state.pods[pod].charge.iter().any(|(limit, _)| broken.contains(limit)) {
                self.bind(pod, None);
                broken = self.broken_limits();
            }
        }
    }

    /// Groups whose pods grow beyond a quota.
    pub(in super::super) fn overdrawn(&self) -> BTreeSet<usize> {
        let broken = self.broken_limits();
        if broken.is_empty() {
            return BTreeSet::new();
        }
        let grows = |pod: &super::PodState| {
            let now = self.instance.quotas.own(pod.template);
            pod.existing.is_some()
                && !pod.removed
                && pod.charge.iter().any(|(limit, amount)| {
                    let before = now.iter().find(|(own, _)| own == limit).map_or(0, |(_, amount)| *amount);
                    broken.contains(limit) && *amount > before
                })
        };
        self.state.pods.iter().filter(|pod| grows(pod)).filter_map(|pod| pod.group).collect()
    }

    /// What the API server would say to a pod to come that a quota is in the way of.
    pub(in super::super) fn exceeded_quota(&self, pod: usize) -> Option<String> {
        let instance = self.instance;
        let first = &instance.quotas.limits[self.limit_in_the_way(pod)?];
        let quota = &instance.snapshot.quotas[first.quota];
        let limits = self.state.pods[pod].charge.iter().map(|(number, amount)| (*number, *amount));
        quota.refusal(limits.map(|(number, amount)| (&instance.quotas.limits[number], number, amount)).filter_map(
            |(limit, number, amount)| {
                let used = quota.hard.get(&limit.resource) - limit.room + self.state.charged[number];
                (limit.quota == first.quota).then_some((limit.resource.as_str(), amount, used))
            },
        ))
    }
}
