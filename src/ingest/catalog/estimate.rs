//! A catalog without a price list: what exists can be bought again, at a price its resources suggest.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::Snapshot;
use crate::domain::catalog::{CapacityType, Catalog, NodeOffer, PriceSource};
use crate::domain::policy::Planning;
use crate::domain::pricing::{alike, estimate_price};
use crate::domain::quantity::{format_bytes, format_cpu};
use crate::domain::resources::Resources;
use crate::domain::rules::{
    HOSTNAME_LABEL, INSTANCE_TYPE_LABEL, Labels, NodeSelectorTerm, REGION_LABEL, SchedulingRules, Taint, ZONE_LABEL,
};
use crate::domain::snapshot::Node;
use crate::domain::volumes::ClaimToBind;

/// Labels kept even if no pod asks for them: they say what a machine is.
const MACHINE_LABELS: [&str; 4] = [INSTANCE_TYPE_LABEL, "kubernetes.io/arch", "kubernetes.io/os", REGION_LABEL];

/// Offers of the shapes of node that exist, in the zones they exist in, at estimated prices. Nodes of the control
/// plane are not offered. Sorted by name and capacity type.
#[must_use]
pub fn estimated(snapshot: &Snapshot, planning: &Planning) -> Catalog {
    let keys = keys_that_matter(snapshot);
    let mut shapes: BTreeMap<Shape, Vec<Size>> = BTreeMap::new();
    for node in snapshot.nodes.iter().filter(|node| !is_control_plane(node)) {
        let sizes = shapes.entry(shape(node, &keys)).or_default();
        match sizes.iter_mut().find(|size| alike(&size.allocatable, &node.allocatable)) {
            Some(size) => size.join(node),
            None => sizes.push(Size::of(node)),
        }
    }
    let mut offers: Vec<NodeOffer> = shapes
        .into_iter()
        .flat_map(|(shape, sizes)| sizes.into_iter().map(move |size| offer(&shape, size, planning)))
        .collect();
    offers.sort_by(|a, b| (&a.name, a.capacity_type).cmp(&(&b.name, b.capacity_type)));
    tell_apart(&mut offers);
    Catalog { name: "estimated from the cluster's nodes".to_owned(), prices: PriceSource::Estimated, offers }
}

/// What nodes of one offer have in common, but for their size.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    instance_type: String,
    capacity_type: CapacityType,
    labels: Labels,
    taints: Vec<Taint>,
}

/// Nodes of one shape and nearly one size.
struct Size {
    /// The least of each resource: what a new node has for sure.
    allocatable: Resources,
    zones: BTreeSet<String>,
}

impl Size {
    fn of(node: &Node) -> Self {
        Self { allocatable: node.allocatable.clone(), zones: BTreeSet::from([node.zone.clone()]) }
    }

    fn join(&mut self, node: &Node) {
        self.zones.insert(node.zone.clone());
        for (name, amount) in node.allocatable.iter() {
            if amount < self.allocatable.get(name) {
                self.allocatable.set(name, amount);
            }
        }
    }
}

fn shape(node: &Node, keys: &BTreeSet<&str>) -> Shape {
    let of_the_host = |value: &String| {
        *value == node.name || node.labels.get(HOSTNAME_LABEL).is_some_and(|hostname| hostname == value)
    };
    let labels = node
        .labels
        .iter()
        .filter(|(key, value)| keys.contains(key.as_str()) && !is_place(key) && !of_the_host(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let mut taints: Vec<Taint> = node.taints.iter().filter(|taint| !is_passing(taint)).cloned().collect();
    taints.sort();
    Shape { instance_type: node.instance_type.clone(), capacity_type: node.capacity_type, labels, taints }
}

fn offer(shape: &Shape, size: Size, planning: &Planning) -> NodeOffer {
    let name = if shape.instance_type.is_empty() {
        let memory = size.allocatable.memory_bytes() / (1 << 30) * (1 << 30);
        format!("{}cpu-{}", format_cpu(size.allocatable.cpu_millis()), format_bytes(memory))
    } else {
        shape.instance_type.clone()
    };
    NodeOffer {
        name,
        zones: size.zones.into_iter().collect(),
        capacity_type: shape.capacity_type,
        price_per_hour: estimate_price(&size.allocatable, shape.capacity_type, planning),
        allocatable: size.allocatable,
        labels: shape.labels.clone(),
        taints: shape.taints.clone(),
        quota: None,
        boot_time_s: super::DEFAULT_BOOT_TIME_S,
    }
}

/// Numbers offers of one name and capacity type, which differ by size, labels or taints: `m5.large`, `m5.large-2`.
fn tell_apart(offers: &mut [NodeOffer]) {
    let taken: BTreeSet<String> = offers.iter().map(|offer| offer.name.clone()).collect();
    let mut seen: BTreeMap<(String, CapacityType), usize> = BTreeMap::new();
    for offer in offers {
        let count = seen.entry((offer.name.clone(), offer.capacity_type)).or_default();
        *count += 1;
        while *count > 1 && taken.contains(&format!("{}-{count}", offer.name)) {
            *count += 1;
        }
        if *count > 1 {
            offer.name = format!("{}-{count}", offer.name);
        }
    }
}

/// Label keys that some pod's rules ask for, and those that say what a machine is.
fn keys_that_matter(snapshot: &Snapshot) -> BTreeSet<&str> {
    let mut keys = BTreeSet::from(MACHINE_LABELS);
    for template in &snapshot.templates {
        let SchedulingRules {
            node_selector,
            node_affinity,
            preferred_node_affinity,
            pod_affinity,
            pod_anti_affinity,
            preferred_pod_affinity,
            preferred_pod_anti_affinity,
            topology_spread,
            volume_affinity,
            volumes_to_make,
            volumes,
            // Where a node stands is not what it is.
            volume_places: _,
            unread: _,
            tolerations: _,
            host_ports: _,
            scheduling_gates: _,
        } = &template.rules;
        let terms = node_affinity.iter().chain(volume_affinity).chain(volumes_to_make).flatten();
        let terms = terms.chain(preferred_node_affinity.iter().map(|preferred| &preferred.term));
        keys.extend(node_selector.keys().map(String::as_str));
        keys.extend(terms.chain(volumes.to_bind.iter().flat_map(ClaimToBind::terms)).flat_map(term_keys));
        keys.extend(pod_affinity.iter().chain(pod_anti_affinity).map(|term| term.topology_key.as_str()));
        let preferred = preferred_pod_affinity.iter().chain(preferred_pod_anti_affinity);
        keys.extend(preferred.map(|preferred| preferred.term.topology_key.as_str()));
        keys.extend(topology_spread.iter().map(|spread| spread.topology_key.as_str()));
    }
    keys
}

fn term_keys(term: &NodeSelectorTerm) -> impl Iterator<Item = &str> {
    term.expressions.iter().map(|requirement| requirement.key.as_str())
}

/// Labels that say where a node stands rather than what it is.
fn is_place(key: &str) -> bool {
    key == HOSTNAME_LABEL || key == ZONE_LABEL || key.ends_with("/zone")
}

/// Taints that come and go with a node's condition, and are not those of its pool.
fn is_passing(taint: &Taint) -> bool {
    const PASSING: [&str; 6] = [
        "ToBeDeletedByClusterAutoscaler",
        "DeletionCandidateOfClusterAutoscaler",
        "karpenter.sh/disrupted",
        "karpenter.sh/disruption",
        "karpenter.sh/unregistered",
        "node.cluster.x-k8s.io/uninitialized",
    ];
    const PREFIXES: [&str; 2] = ["node.kubernetes.io/", "node.cloudprovider.kubernetes.io/"];
    PASSING.contains(&taint.key.as_str()) || PREFIXES.iter().any(|prefix| taint.key.starts_with(prefix))
}

fn is_control_plane(node: &Node) -> bool {
    const ROLES: [&str; 2] = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];
    ROLES.iter().any(|role| node.labels.contains_key(*role) || node.taints.iter().any(|taint| taint.key == *role))
}
