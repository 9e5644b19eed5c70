//! What stands still while pods are placed: domains, classes of nodes that every rule treats alike but those about single
//! nodes, and which domains count for which spread. Built once, shared by all states.

use std::collections::BTreeMap;

use crate::domain::catalog::CapacityType;
use crate::domain::rules::HOSTNAME_LABEL;

use super::instance::{Amounts, Instance};

/// Nodes that differ only in their host name, room and pods.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class {
    /// A site of it.
    pub(super) site: usize,
    /// Index of its zone.
    pub(super) zone: usize,
    pub(super) spot: bool,
    pub(super) accepts_new: bool,
}

/// Sites by domain and class.
pub(super) struct Layout {
    /// Topology keys; the host name is always among them.
    pub(super) keys: Vec<String>,
    /// Index of the host name among the keys.
    pub(super) host_key: usize,
    /// Domain of each site by key; `None` where it has no such label. A bought node's host name is its own.
    pub(super) domains: Vec<Vec<Option<usize>>>,
    /// Number of domains by key, bought nodes apart.
    pub(super) domain_counts: Vec<usize>,
    pub(super) classes: Vec<Class>,
    /// Class of each site.
    pub(super) class_of: Vec<usize>,
    /// Number of zones.
    pub(super) zones: usize,
    /// Weight of a unit of each resource when nodes or pods are compared: one over all there is, in the cluster and in
    /// one node of each offer.
    pub(super) weights: Vec<f64>,
    /// What stands on each node now.
    pub(super) used_now: Vec<Amounts>,
}

impl Layout {
    pub(super) fn new(instance: &Instance<'_>, keys: Vec<String>) -> Self {
        let mut ids: Vec<BTreeMap<&str, usize>> = vec![BTreeMap::new(); keys.len()];
        let mut domains = Vec::with_capacity(instance.sites.len());
        for site in &instance.sites {
            let of_site = keys.iter().zip(&mut ids).map(|(key, ids)| {
                let value = site.labels.get(key)?;
                let next = ids.len();
                Some(*ids.entry(value.as_str()).or_insert(next))
            });
            domains.push(of_site.collect());
        }
        let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
        let mut index: BTreeMap<(usize, usize, CapacityType, bool), usize> = BTreeMap::new();
        let (mut classes, mut class_of) = (Vec::new(), Vec::with_capacity(instance.sites.len()));
        for (number, site) in instance.sites.iter().enumerate() {
            let next = zones.len();
            let zone = *zones.entry(site.zone.as_str()).or_insert(next);
            let key = (site.shape, zone, site.capacity_type, site.accepts_new);
            class_of.push(*index.entry(key).or_insert_with(|| {
                let spot = site.capacity_type == CapacityType::Spot;
                classes.push(Class { site: number, zone, spot, accepts_new: site.accepts_new });
                classes.len() - 1
            }));
        }
        let host_key = keys.iter().position(|key| key == HOSTNAME_LABEL).unwrap_or(0);
        Self {
            host_key,
            domains,
            domain_counts: ids.iter().map(BTreeMap::len).collect(),
            classes,
            class_of,
            zones: zones.len(),
            weights: weights(instance),
            used_now: used_now(instance),
            keys,
        }
    }

    /// Largest share a demand takes of all there is.
    pub(super) fn share_of(&self, demand: &[i64]) -> f64 {
        demand.iter().zip(&self.weights).map(|(amount, weight)| *amount as f64 * weight).fold(0.0, f64::max)
    }
}

fn weights(instance: &Instance<'_>) -> Vec<f64> {
    let mut totals = vec![0.0; instance.resources.len()];
    for site in &instance.sites {
        for (total, amount) in totals.iter_mut().zip(&site.allocatable) {
            *total += *amount as f64;
        }
    }
    totals.iter().map(|total| if *total > 0.0 { 1.0 / total } else { 0.0 }).collect()
}

fn used_now(instance: &Instance<'_>) -> Vec<Amounts> {
    let mut used = vec![vec![0_i64; instance.resources.len()]; instance.standing];
    for pod in &instance.pods {
        let Some(used) = pod.node.and_then(|node| used.get_mut(node)) else { continue };
        for (used, amount) in used.iter_mut().zip(&pod.demand) {
            *used = used.saturating_add(*amount);
        }
    }
    used
}
