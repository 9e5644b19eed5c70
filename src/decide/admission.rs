//! Who may come to a node in the running wave: everything a plan is checked for, asked of the moment.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Policy, Resources, Snapshot};

use super::budgets::Budgets;
use super::cluster::{Cluster, NodeIndex, PodIndex};
use super::conflicts::Conflicts;
use super::gangs::Gangs;
use super::order::{Arrival, Order};
use super::quotas::Quotas;
use super::targets::Targets;
use super::tasks::{Tasks, leaves_with_node};
use super::volumes::Volumes;

/// The rules, and what the running wave has used of them.
///
/// What leaves in a wave is there until the wave ends, and takes room, ports and volumes from all that come. A pod that moves is
/// evicted before its successor is made, so it is not in its own way.
#[derive(Debug, Clone)]
pub(super) struct Admission<'a> {
    budgets: Budgets<'a>,
    conflicts: Conflicts<'a>,
    volumes: Volumes<'a>,
    quotas: Quotas<'a>,
    gangs: Gangs<'a>,
    order: Order<'a>,
    targets: Targets<'a>,
}

impl<'a> Admission<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, policy: &'a Policy, tasks: &Tasks) -> Self {
        let cluster = &tasks.cluster;
        let movable = cluster.pods.iter().filter(|p| p.node.is_some() && !p.do_not_evict);
        let movable = movable.filter(|p| !leaves_with_node(snapshot, p)).count() as u32;
        let coming = tasks.arrivals().map(|arrival| cluster.pods[arrival.pod].template).collect();
        Self {
            budgets: Budgets::new(snapshot, policy, cluster, movable),
            conflicts: Conflicts::new(snapshot),
            volumes: Volumes::new(snapshot),
            quotas: Quotas::new(snapshot, cluster),
            gangs: Gangs::new(snapshot),
            order: Order::new(snapshot, &coming),
            targets: Targets::new(snapshot, policy),
        }
    }

    /// Counts anew what is there, and what may go.
    pub(super) fn begin_wave(&mut self, cluster: &Cluster, replicas: &[u32]) {
        self.budgets.begin_wave(cluster, replicas);
        self.volumes.begin_wave(cluster);
        self.gangs.begin_wave(cluster);
        self.order.begin_wave(cluster);
        self.targets.begin_wave(cluster, replicas);
    }

    /// Lets as many of the pods come in this wave as can, each with its size; returns them. Those without a node come in the order
    /// given, gangs first, because they need their room at once.
    pub(super) fn admit(
        &mut self,
        cluster: &mut Cluster,
        mut wanted: Vec<Arrival>,
        size: &dyn Fn(&Cluster, PodIndex) -> Resources,
    ) -> BTreeSet<PodIndex> {
        let gang = |gangs: &Gangs<'_>, cluster: &Cluster, a: &Arrival| gangs.of(cluster.pods[a.pod].template);
        wanted.sort_by_key(|arrival| gang(&self.gangs, cluster, arrival).unwrap_or(usize::MAX));
        let (came, refused) = self.admit_together(cluster, &wanted, size);
        if !came.is_empty() {
            return came;
        }
        // Those that were in one another's way may come apart.
        let mut units: BTreeMap<(usize, PodIndex), Vec<Arrival>> = BTreeMap::new();
        for arrival in wanted.iter().filter(|arrival| refused.contains(&arrival.pod)) {
            let unit = gang(&self.gangs, cluster, arrival).map_or((usize::MAX, arrival.pod), |gang| (gang, 0));
            units.entry(unit).or_default().push(*arrival);
        }
        let mut alone = units.values().map(|unit| self.admit_together(cluster, unit, size).0);
        alone.find(|came| !came.is_empty()).unwrap_or_default()
    }

    /// Lets in who can come, without those that find no place in an order or whose gang stays incomplete; returns who came and who
    /// was refused so.
    fn admit_together(
        &mut self,
        cluster: &mut Cluster,
        wanted: &[Arrival],
        size: &dyn Fn(&Cluster, PodIndex) -> Resources,
    ) -> (BTreeSet<PodIndex>, BTreeSet<PodIndex>) {
        let mut refused = BTreeSet::new();
        loop {
            let mut arrivals = Vec::new();
            for &arrival in wanted.iter().filter(|arrival| !refused.contains(&arrival.pod)) {
                let size = size(cluster, arrival.pod);
                if self.check_wave(cluster, arrival, &size).is_ok() {
                    self.arrive(cluster, arrival, size);
                    arrivals.push(arrival);
                }
            }
            let pods: Vec<PodIndex> = arrivals.iter().map(|arrival| arrival.pod).collect();
            let mut without = self.order.refused(cluster, &arrivals);
            without.extend(self.gangs.incomplete(cluster, &pods));
            without.extend(self.targets.refused(cluster, &arrivals));
            let came: BTreeSet<PodIndex> = pods.into_iter().collect();
            if without.is_empty() {
                return (came, refused);
            }
            // A pod that does not move after all is still where it was, so all are asked again.
            self.withdraw(cluster, &came, size);
            refused.extend(without);
        }
    }

    /// Lets the pod come, whoever is in the way.
    pub(super) fn arrive(&mut self, cluster: &mut Cluster, Arrival { pod, to }: Arrival, size: Resources) {
        if cluster.pods[pod].node.is_some() {
            self.budgets.spend(cluster, pod);
        }
        self.quotas.take(cluster, pod, &size);
        self.volumes.arrive(cluster, pod, to);
        cluster.arrive(pod, to, size);
    }

    fn withdraw(
        &mut self,
        cluster: &mut Cluster,
        pods: &BTreeSet<PodIndex>,
        size: &dyn Fn(&Cluster, PodIndex) -> Resources,
    ) {
        cluster.withdraw(pods);
        for &pod in pods {
            if cluster.pods[pod].node.is_some() {
                self.budgets.give_back(cluster, pod);
            }
            self.quotas.give_back(cluster, pod, &size(cluster, pod));
        }
        self.volumes.withdraw(cluster, pods);
    }

    /// Whether the pod may come with its wave; an order is found, and gangs are counted, for the wave as a whole.
    fn check_wave(&self, cluster: &Cluster, Arrival { pod, to }: Arrival, size: &Resources) -> Result<(), String> {
        if cluster.pods[pod].node.is_some() {
            self.budgets.check(cluster, pod)?;
        }
        cluster.fits(to, size)?;
        self.conflicts.check(cluster, pod, to)?;
        self.volumes.check(cluster, pod, to)?;
        self.quotas.check(cluster, &[(pod, size)])
    }

    /// Whether the pod may come in a wave by itself; else the rule that forbids it.
    pub(super) fn check(&mut self, cluster: &Cluster, arrival: Arrival, size: &Resources) -> Result<(), String> {
        self.check_wave(cluster, arrival, size)?;
        self.order.check(cluster, arrival)?;
        self.targets.check(cluster, arrival)?;
        let alone = self.gangs.incomplete(cluster, &[arrival.pod]).is_empty();
        if alone { Ok(()) } else { Err(self.gangs.rule(cluster.pods[arrival.pod].template)) }
    }

    /// Whether quotas let these pods be made, or grow, to these sizes.
    pub(super) fn check_quotas(&self, cluster: &Cluster, pods: &[(PodIndex, &Resources)]) -> Result<(), String> {
        self.quotas.check(cluster, pods)
    }

    /// Whether the workload may lose these pods now, `to` replicas being left; else what its target asks.
    pub(super) fn check_shrink(
        &self,
        cluster: &Cluster,
        workload: usize,
        pods: &[PodIndex],
        to: u32,
    ) -> Result<(), String> {
        self.targets.check_shrink(cluster, workload, pods, to)
    }

    /// Whether the pod may be stopped for another in this wave, its successor having this size; else the rule that
    /// forbids it.
    pub(super) fn check_preemption(&self, cluster: &Cluster, pod: PodIndex, size: &Resources) -> Result<(), String> {
        self.budgets.check(cluster, pod)?;
        self.quotas.check(cluster, &[(pod, size)])?;
        let workload = cluster.pods[pod].workload;
        workload.map_or(Ok(()), |workload| self.targets.check_stop(cluster, workload, pod))
    }

    /// The pod leaves its node when the wave ends, and its successor waits; nothing comes in that wave.
    pub(super) fn preempt(&mut self, cluster: &mut Cluster, pod: PodIndex, size: Resources) {
        self.budgets.spend_for_good(cluster, pod);
        self.quotas.take(cluster, pod, &size);
        self.targets.stop(cluster, pod);
        cluster.evict(pod, size);
    }

    /// The pod has another size where it is.
    pub(super) fn resize(&mut self, cluster: &mut Cluster, pod: PodIndex, size: &Resources) {
        self.quotas.take(cluster, pod, size);
        cluster.resize(pod, size);
    }

    /// The pod is gone when the wave ends; nothing comes in that wave.
    pub(super) fn leave(&mut self, cluster: &mut Cluster, pod: PodIndex) {
        self.quotas.release(cluster, pod);
        cluster.leave(pod);
    }

    /// The node is gone, with the pods that belong to it.
    pub(super) fn remove(&mut self, cluster: &mut Cluster, node: NodeIndex) {
        for pod in cluster.remove(node) {
            self.quotas.release(cluster, pod);
        }
    }
}
