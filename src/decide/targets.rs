//! What the policy's targets say about where replicas are: no wave leaves it further from that than it finds it.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::policy::Target;
use crate::domain::{CapacityType, Policy, Snapshot};

use super::cluster::{Cluster, Node, NodeIndex, PodIndex};
use super::order::Arrival;

/// By how much a target's `spread`, `maxSpotShare` and `zoneLoss` are missed, 0 where they are kept.
type Missed = [i64; 3];

/// Their names in the policy.
const FIELDS: [&str; 3] = ["spread", "maxSpotShare", "zoneLoss"];

/// Workloads whose target says where replicas are to be, and where they are.
#[derive(Debug, Clone)]
pub(super) struct Targets<'a> {
    snapshot: &'a Snapshot,
    of_workload: BTreeMap<usize, &'a Target>,
    /// Domains that pods of each of them could be in, where its target spreads them.
    domains: BTreeMap<usize, BTreeSet<String>>,
    /// The nodes that the domains are of.
    nodes_version: u32,
    /// Nodes of the pods of each of them now, without those being deleted.
    placed: BTreeMap<usize, Vec<NodeIndex>>,
    /// Replicas wanted by each workload now.
    replicas: Vec<u32>,
}

impl<'a> Targets<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, policy: &'a Policy) -> Self {
        let target = |(index, workload): (usize, &'a crate::domain::snapshot::Workload)| {
            let target = policy.target_for(workload).filter(|_| !workload.daemon)?;
            let asks = target.spread.is_some() || target.max_spot_share.is_some() || target.zone_loss.is_some();
            asks.then_some((index, target))
        };
        let of_workload = snapshot.workloads.iter().enumerate().filter_map(target).collect();
        let (domains, placed) = (BTreeMap::new(), BTreeMap::new());
        Self { snapshot, of_workload, domains, nodes_version: 0, placed, replicas: Vec::new() }
    }

    /// Looks anew where pods are.
    pub(super) fn begin_wave(&mut self, cluster: &Cluster, replicas: &[u32]) {
        self.placed.clear();
        self.replicas = replicas.to_vec();
        if std::mem::replace(&mut self.nodes_version, cluster.nodes_version) != cluster.nodes_version {
            let of = |(workload, target): (&usize, &&Target)| {
                let spread = target.spread.as_ref()?;
                Some((*workload, self.domains_of(cluster, *workload, &spread.topology_key)))
            };
            self.domains = self.of_workload.iter().filter_map(of).collect();
        }
        for pod in cluster.pods.iter().filter(|pod| !pod.leaving) {
            if let (Some(workload), Some(node)) = (pod.workload, pod.node)
                && self.of_workload.contains_key(&workload)
            {
                self.placed.entry(workload).or_default().push(node);
            }
        }
    }

    /// Pods without which the others leave no target further from what it asks: of each workload the last that come.
    pub(super) fn refused(&self, cluster: &Cluster, arrivals: &[Arrival]) -> BTreeSet<PodIndex> {
        let mut coming: BTreeMap<usize, Vec<Arrival>> = BTreeMap::new();
        for arrival in arrivals {
            if let Some(workload) = cluster.pods[arrival.pod].workload.filter(|w| self.of_workload.contains_key(w)) {
                coming.entry(workload).or_default().push(*arrival);
            }
        }
        let mut refused = BTreeSet::new();
        for (workload, mut come) in coming {
            while !come.is_empty() && self.worsened(cluster, workload, &come).is_some() {
                refused.extend(come.pop().map(|arrival| arrival.pod));
            }
        }
        refused
    }

    /// The field of the target that is missed further once the pod has come.
    pub(super) fn check(&self, cluster: &Cluster, arrival: Arrival) -> Result<(), String> {
        let workload = cluster.pods[arrival.pod].workload.filter(|w| self.of_workload.contains_key(w));
        workload.and_then(|workload| self.worsened(cluster, workload, &[arrival])).map_or(Ok(()), Err)
    }

    /// The field of the target that is missed further once these pods of the workload are gone, `to` replicas being left.
    pub(super) fn check_shrink(
        &self,
        cluster: &Cluster,
        workload: usize,
        pods: &[PodIndex],
        to: u32,
    ) -> Result<(), String> {
        let mut then = self.placed.get(&workload).cloned().unwrap_or_default();
        for node in pods.iter().filter_map(|pod| cluster.pods[*pod].node) {
            take_out(&mut then, node);
        }
        self.compared(cluster, workload, &then, to).map_or(Ok(()), Err)
    }

    /// The field of the target that is missed further once the pod of the workload is stopped beside those stopped in
    /// this wave.
    pub(super) fn check_stop(&self, cluster: &Cluster, workload: usize, pod: PodIndex) -> Result<(), String> {
        let replicas = self.replicas.get(workload).copied().unwrap_or(0);
        self.check_shrink(cluster, workload, &[pod], replicas)
    }

    /// The pod is stopped in this wave.
    pub(super) fn stop(&mut self, cluster: &Cluster, pod: PodIndex) {
        let pod = &cluster.pods[pod];
        let placed = pod.workload.and_then(|workload| self.placed.get_mut(&workload));
        if let (Some(placed), Some(node)) = (placed, pod.node) {
            take_out(placed, node);
        }
    }

    fn worsened(&self, cluster: &Cluster, workload: usize, come: &[Arrival]) -> Option<String> {
        let mut then = self.placed.get(&workload).cloned().unwrap_or_default();
        for arrival in come {
            if let Some(from) = cluster.pods[arrival.pod].node {
                take_out(&mut then, from);
            }
            then.push(arrival.to);
        }
        // What comes beyond the replicas wanted now is scaled up with it.
        let replicas = self.replicas[workload].max(u32::try_from(then.len()).unwrap_or(u32::MAX));
        self.compared(cluster, workload, &then, replicas)
    }

    fn compared(&self, cluster: &Cluster, workload: usize, then: &[NodeIndex], replicas: u32) -> Option<String> {
        let target = *self.of_workload.get(&workload)?;
        let now = self.placed.get(&workload).map_or(&[][..], Vec::as_slice);
        let before = self.missed(cluster, workload, target, now, self.replicas[workload]);
        let after = self.missed(cluster, workload, target, then, replicas);
        let field = FIELDS.iter().zip(before.iter().zip(&after)).find(|(_, (before, after))| after > before);
        field.map(|(field, _)| format!("targets.{}.{field}", target.name))
    }

    fn missed(&self, cluster: &Cluster, workload: usize, target: &Target, pods: &[NodeIndex], replicas: u32) -> Missed {
        let nodes = || pods.iter().map(|&node| &cluster.nodes[node]);
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let spread = target.spread.as_ref().map_or(0, |spread| {
            let skew = self.skew(workload, nodes(), &spread.topology_key);
            skew - i64::from(spread.max_skew)
        });
        let spot = target.max_spot_share.map_or(0, |share| {
            // A share of 0.3 of 10 replicas is 3, whatever binary fractions make of it.
            let allowed = (share * f64::from(replicas) + 1e-9).floor().max(0.0) as i64;
            count(nodes().filter(|node| node.capacity_type == CapacityType::Spot).count()) - allowed
        });
        let loss = target.zone_loss.map_or(0, |amount| {
            let unplaced = i64::from(replicas) - count(pods.len());
            let needed = i64::from(amount.of_rounded_up(replicas)) - unplaced.max(0);
            let mut in_zone: BTreeMap<&str, i64> = BTreeMap::new();
            for node in nodes() {
                *in_zone.entry(&node.zone).or_default() += 1;
            }
            in_zone.values().max().map_or(0, |most| needed - (count(pods.len()) - most))
        });
        [spread, spot, loss].map(|missed| missed.max(0))
    }

    /// The largest difference between domains that the workload's pods could be in, or are.
    fn skew<'n>(&'n self, workload: usize, pods: impl Iterator<Item = &'n Node>, key: &str) -> i64 {
        let domains = self.domains.get(&workload).into_iter().flatten();
        let mut counts: BTreeMap<&str, i64> = domains.map(|domain| (domain.as_str(), 0)).collect();
        for domain in pods.filter_map(|node| node.labels.get(key)) {
            *counts.entry(domain).or_default() += 1;
        }
        let (largest, smallest) = (counts.values().max(), counts.values().min());
        largest.zip(smallest).map_or(0, |(largest, smallest)| largest - smallest)
    }

    fn domains_of(&self, cluster: &Cluster, workload: usize, key: &str) -> BTreeSet<String> {
        let template = self.snapshot.workloads[workload].template.and_then(|t| self.snapshot.templates.get(t));
        let Some(rules) = template.map(|template| &template.rules) else { return BTreeSet::new() };
        let eligible = |node: &&Node| {
            node.standing && rules.selects_node(&node.name, &node.labels) && rules.untolerated(&node.taints).is_none()
        };
        cluster.nodes.iter().filter(eligible).filter_map(|node| node.labels.get(key).cloned()).collect()
    }
}

fn take_out(nodes: &mut Vec<NodeIndex>, node: NodeIndex) {
    if let Some(place) = nodes.iter().position(|other| *other == node) {
        nodes.swap_remove(place);
    }
}
