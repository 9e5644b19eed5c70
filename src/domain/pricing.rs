//! Which offer a node is, and what one costs that no offer is: one reading of prices for catalogs and plans.

use super::catalog::{CapacityType, Catalog, NodeOffer};
use super::policy::Planning;
use super::resources::Resources;
use super::rules::INSTANCE_TYPE_LABEL;
use super::snapshot::Node;

/// What spot capacity costs of the on-demand price; providers quote discounts of 60 to 90 %, of which the least is
/// nearly assumed.
const SPOT_SHARE: f64 = 0.35;
/// Allocatable of one machine type differs by this share at most, as firmware and reservations differ.
const ALIKE_SHARE: f64 = 0.03;
const GIB: f64 = (1u64 << 30) as f64;

/// The price an hour of a node with these resources, at the policy's estimates for a core, a GiB and a GPU (any
/// resource whose name ends in `/gpu`); 35 % of it for spot.
#[must_use]
pub fn estimate_price(allocatable: &Resources, capacity: CapacityType, planning: &Planning) -> f64 {
    let gpus: i64 = allocatable.iter().filter(|(name, _)| name.ends_with("/gpu")).map(|(_, amount)| amount).sum();
    let full = allocatable.cpu_millis() as f64 / 1000.0 * planning.estimate_per_core_hour
        + allocatable.memory_bytes() as f64 / GIB * planning.estimate_per_gib_hour
        + gpus as f64 * planning.estimate_per_gpu_hour;
    match capacity {
        CapacityType::OnDemand => full,
        CapacityType::Spot => full * SPOT_SHARE,
    }
}

/// Whether both are the resources of one machine type: the same names, in amounts that differ by at most 3 %.
#[must_use]
pub fn alike(a: &Resources, b: &Resources) -> bool {
    a.0.len() == b.0.len()
        && a.iter()
            .zip(b.iter())
            .all(|((name_a, x), (name_b, y))| name_a == name_b && (x - y).abs() as f64 <= x.max(y) as f64 * ALIKE_SHARE)
}

/// Which offer an existing node is: of its instance type (for a node without that label: of its size), capacity type
/// and zone; among several, the one whose labels and taints the node has. `None` where nothing fits: the node's price
/// is then best [estimated](estimate_price).
#[must_use]
pub fn match_offer(node: &Node, catalog: &Catalog) -> Option<usize> {
    let of_type = |offer: &NodeOffer| {
        let offer_type = offer.labels.get(INSTANCE_TYPE_LABEL).map_or("", String::as_str);
        if node.instance_type.is_empty() {
            offer_type.is_empty() && alike(&offer.allocatable, &node.allocatable)
        } else {
            offer.name == node.instance_type || offer_type == node.instance_type
        }
    };
    let closeness = |offer: &NodeOffer| {
        let labels = offer.labels.iter().all(|(key, value)| node.labels.get(key) == Some(value));
        let taints = offer.taints.iter().all(|taint| node.taints.contains(taint));
        // A node of the plain pool has none of the taints of another, so more taints that it has is closer.
        (labels && taints, alike(&offer.allocatable, &node.allocatable), offer.taints.len())
    };
    let mut best: Option<(usize, (bool, bool, usize))> = None;
    for (i, offer) in catalog.offers.iter().enumerate() {
        if of_type(offer) && offer.capacity_type == node.capacity_type && offer.zones.contains(&node.zone) {
            let close = closeness(offer);
            if best.is_none_or(|(_, best)| close > best) {
                best = Some((i, close));
            }
        }
    }
    best.map(|(i, _)| i)
}
