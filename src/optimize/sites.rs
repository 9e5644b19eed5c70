//! Where pods can run: the nodes that stand, and one prototype for each offer and zone that can be bought.

use std::collections::BTreeMap;

use crate::domain::catalog::{CapacityType, Catalog, NodeOffer};
use crate::domain::policy::Policy;
use crate::domain::pricing::{estimate_price, match_offer};
use crate::domain::resources::Resources;
use crate::domain::rules::{HOSTNAME_LABEL, INSTANCE_TYPE_LABEL, Labels, Taint, ZONE_LABEL};
use crate::domain::snapshot::{Node, Snapshot};

use super::instance::{Amounts, dense_demand, dense_room};

/// A node, or the prototype of nodes to be bought.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// Node name; for a prototype a name no node has.
    pub(super) name: String,
    pub(super) labels: Labels,
    pub(super) taints: Vec<Taint>,
    pub(super) zone: String,
    pub(super) capacity_type: CapacityType,
    /// Offer it is priced by, or its instance type, or `unknown`.
    pub(super) offer: String,
    pub(super) price_per_hour: f64,
    pub(super) allocatable: Amounts,
    /// Limits on its volumes; for a prototype those of nodes of its type that stand.
    pub(super) volume_limits: Resources,
    /// Ready and not cordoned.
    pub(super) accepts_new: bool,
    /// The owner lets it be drained.
    pub(super) may_drain: bool,
    /// Nodes of this prototype that may still be bought (with what stands counted); `None` is no limit.
    /// Standing nodes have `Some(0)`.
    pub(super) quota: Option<u32>,
    /// `DaemonSet` pods a new node of this prototype gets, as indices into the snapshot's workloads; empty for nodes
    /// that stand, whose pods are known.
    pub(super) daemons: Vec<usize>,
    /// What those reserve.
    pub(super) daemon_demand: Amounts,
    /// Index of its shape: equal labels that matter and equal taints.
    pub(super) shape: usize,
}

/// All sites: standing nodes first, then prototypes by offer and zone.
pub(super) fn sites(snapshot: &Snapshot, catalog: &Catalog, policy: &Policy, resources: &[&str]) -> Vec<Site> {
    let mut standing_by_offer: BTreeMap<(usize, &str), u32> = BTreeMap::new();
    let mut sites = Vec::with_capacity(snapshot.nodes.len());
    for node in &snapshot.nodes {
        let offer = match_offer(node, catalog);
        if let Some(offer) = offer {
            *standing_by_offer.entry((offer, node.zone.as_str())).or_insert(0) += 1;
        }
        sites.push(standing_site(node, offer.and_then(|o| catalog.offers.get(o)), policy, resources));
    }
    if policy.disruption.add_nodes {
        for (index, offer) in catalog.offers.iter().enumerate() {
            for zone in &offer.zones {
                let standing = standing_by_offer.get(&(index, zone.as_str())).copied().unwrap_or(0);
                let quota = offer.quota.map(|quota| quota.saturating_sub(standing));
                let site = prototype(offer, zone, quota, snapshot, resources);
                if site.daemon_demand.iter().zip(&site.allocatable).all(|(d, a)| *d <= 0 || d <= a) {
                    sites.push(site);
                }
            }
        }
    }
    sites
}

fn standing_site(node: &Node, offer: Option<&NodeOffer>, policy: &Policy, resources: &[&str]) -> Site {
    let unnamed = || if node.instance_type.is_empty() { "unknown".to_owned() } else { node.instance_type.clone() };
    Site {
        name: node.name.clone(),
        labels: node.labels.clone(),
        taints: node.taints.clone(),
        zone: node.zone.clone(),
        capacity_type: node.capacity_type,
        offer: offer.map_or_else(unnamed, |o| o.name.clone()),
        price_per_hour: offer.map_or_else(
            || estimate_price(&node.allocatable, node.capacity_type, &policy.planning),
            |o| o.price_per_hour,
        ),
        allocatable: dense_room(resources, &node.allocatable, &node.volume_limits),
        volume_limits: node.volume_limits.clone(),
        accepts_new: node.ready && !node.unschedulable,
        may_drain: policy.disruption.remove_nodes && !node.do_not_disrupt,
        quota: Some(0),
        daemons: Vec::new(),
        daemon_demand: vec![0; resources.len()],
        shape: 0,
    }
}

fn prototype(offer: &NodeOffer, zone: &str, quota: Option<u32>, snapshot: &Snapshot, resources: &[&str]) -> Site {
    let name = format!("new-{}-{}", offer.name, if zone.is_empty() { "any" } else { zone });
    let mut labels = offer.labels.clone();
    labels.entry(INSTANCE_TYPE_LABEL.to_owned()).or_insert_with(|| offer.name.clone());
    labels.insert(HOSTNAME_LABEL.to_owned(), name.clone());
    if !zone.is_empty() {
        labels.insert(ZONE_LABEL.to_owned(), zone.to_owned());
    }
    let eligible = |template: usize| {
        snapshot
            .templates
            .get(template)
            .is_some_and(|t| t.rules.selects_node(&name, &labels) && t.rules.untolerated(&offer.taints).is_none())
    };
    let daemons: Vec<usize> = (0..snapshot.workloads.len())
        .filter(|w| snapshot.workloads[*w].daemon && snapshot.workloads[*w].template.is_some_and(&eligible))
        .collect();
    let mut daemon_demand = vec![0; resources.len()];
    for template in daemons.iter().filter_map(|w| snapshot.workloads[*w].template) {
        for (sum, amount) in daemon_demand.iter_mut().zip(dense_demand(resources, &snapshot.templates[template])) {
            *sum += amount;
        }
    }
    let instance_type = labels.get(INSTANCE_TYPE_LABEL).map_or("", String::as_str);
    let volume_limits = snapshot.volume_limits_of_type(instance_type).unwrap_or_default();
    Site {
        labels,
        taints: offer.taints.clone(),
        zone: zone.to_owned(),
        capacity_type: offer.capacity_type,
        offer: offer.name.clone(),
        price_per_hour: offer.price_per_hour,
        allocatable: dense_room(resources, &offer.allocatable, &volume_limits),
        volume_limits,
        accepts_new: true,
        may_drain: true,
        quota,
        daemons,
        daemon_demand,
        shape: 0,
        name,
    }
}
