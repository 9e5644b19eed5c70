//! Stage 1, nodes: those of one shape become one pool, and so does what can be bought of one offer in one zone.
//!
//! Shapes are compared with all pods but those of `DaemonSets` taken off, because the pods are what is decided. Nodes
//! that cannot be given back form pools of their own whose room is the sum of theirs, whatever each one's is.
//! Wherever a node's room could be read in two ways, the larger is taken, so that the program stays a relaxation.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::catalog::CapacityType;

use super::instance::{Amounts, Instance, Standing};

/// Nodes of one shape.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    /// Unique name, e.g. `m5.xlarge/r1a` or `new m5.xlarge/r1a`.
    pub(super) name: String,
    /// A site that stands for all of them.
    pub(super) site: usize,
    /// Its nodes that stand; empty where it is to be bought.
    pub(super) nodes: Vec<usize>,
    /// To be bought.
    pub(super) purchasable: bool,
    /// The pool of nodes that stand and are just like those to be bought here: their pods are counted there.
    pub(super) joins: Option<usize>,
    /// Its nodes by what they hold, where they may be given back.
    pub(super) contents: Vec<Content>,
    /// How many nodes there are is decided: they are to be bought or may be given back.
    pub(super) elastic: bool,
    /// Most nodes it can have; `None` is no limit.
    pub(super) most: Option<u32>,
    /// Room for placed pods: of one node where elastic, else of all together.
    pub(super) room: Amounts,
    /// Largest room of one node, resource by resource.
    pub(super) largest: Amounts,
    pub(super) price_per_hour: f64,
    /// Pods that stand on it, by (group, template).
    pub(super) standing: BTreeMap<(usize, usize), u32>,
    /// Those of them that stay.
    pub(super) fixed: BTreeMap<(usize, usize), u32>,
}

/// Nodes of a pool that hold the same pods.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) nodes: Vec<usize>,
    /// Pods on each of them, by group.
    pub(super) pods: BTreeMap<usize, u32>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct PoolKey {
    offer: String,
    zone: String,
    capacity_type: CapacityType,
    price_bits: u64,
    shape: usize,
    accepts_new: bool,
    elastic: bool,
    room: Amounts,
    /// The node, where each is a pool of its own.
    alone: Option<usize>,
}

/// All pools: standing ones first, then what can be bought, each in the order of (offer, zone).
pub(super) fn pools(instance: &Instance<'_>) -> Vec<Pool> {
    pools_of(instance, false)
}

/// The same with a pool for each node that stands, so that pods have to fit single nodes: a larger program with a higher
/// optimum, which is still a relaxation.
pub(super) fn pools_by_node(instance: &Instance<'_>) -> Vec<Pool> {
    pools_of(instance, true)
}

fn pools_of(instance: &Instance<'_>, by_node: bool) -> Vec<Pool> {
    let loads = node_loads(instance);
    let pinned: BTreeSet<usize> =
        instance.pods.iter().filter(|p| p.standing == Standing::Fixed).filter_map(|p| p.node).collect();
    let mut by_key: BTreeMap<PoolKey, Vec<usize>> = BTreeMap::new();
    for (index, site) in instance.sites.iter().take(instance.standing).enumerate() {
        let elastic = site.may_drain && !pinned.contains(&index);
        let key = PoolKey {
            offer: site.offer.clone(),
            zone: site.zone.clone(),
            capacity_type: site.capacity_type,
            price_bits: site.price_per_hour.to_bits(),
            shape: site.shape,
            accepts_new: site.accepts_new,
            elastic,
            room: if elastic { loads[index].room.clone() } else { Vec::new() },
            alone: by_node.then_some(index),
        };
        by_key.entry(key).or_default().push(index);
    }
    let mut pools = Vec::new();
    let mut names = BTreeSet::new();
    for (key, nodes) in by_key {
        let mut largest = vec![i64::MIN; instance.resources.len()];
        let mut sum = vec![0_i64; instance.resources.len()];
        for room in nodes.iter().map(|n| &loads[*n].room) {
            for (index, amount) in room.iter().enumerate() {
                largest[index] = largest[index].max(*amount);
                sum[index] = sum[index].saturating_add(*amount);
            }
        }
        let mut standing = BTreeMap::new();
        let mut fixed = BTreeMap::new();
        for pod in nodes.iter().flat_map(|n| &loads[*n].pods).map(|p| &instance.pods[*p]) {
            let Some(group) = pod.group else { continue };
            *standing.entry((group, pod.template)).or_insert(0) += 1;
            if pod.standing == Standing::Fixed {
                *fixed.entry((group, pod.template)).or_insert(0) += 1;
            }
        }
        pools.push(Pool {
            name: unique(&mut names, &format!("{}/{}", key.offer, key.zone)),
            site: nodes[0],
            purchasable: false,
            joins: None,
            contents: if key.elastic { contents(instance, &loads, &nodes) } else { Vec::new() },
            elastic: key.elastic,
            most: Some(nodes.len() as u32),
            room: if key.elastic { key.room } else { sum },
            largest,
            price_per_hour: f64::from_bits(key.price_bits),
            standing,
            fixed,
            nodes,
        });
    }
    let standing = pools.len();
    for (index, site) in instance.sites.iter().enumerate().skip(instance.standing) {
        let room: Amounts = site.allocatable.iter().zip(&site.daemon_demand).map(|(a, d)| a - d).collect();
        let alike = |pool: &Pool| {
            let stands = &instance.sites[pool.site];
            pool.elastic
                && pool.room == room
                && stands.accepts_new
                && stands.shape == site.shape
                && (&stands.offer, &stands.zone, stands.capacity_type) == (&site.offer, &site.zone, site.capacity_type)
        };
        // A pod that asks for nodes by name tells those that stand from those to come.
        let by_name = by_node || (0..instance.snapshot.templates.len()).any(|t| instance.shapes.names_nodes(t));
        let joins = if by_name { None } else { pools[..standing].iter().position(alike) };
        pools.push(Pool {
            name: unique(&mut names, &format!("new {}/{}", site.offer, site.zone)),
            site: index,
            nodes: Vec::new(),
            purchasable: true,
            joins,
            contents: Vec::new(),
            elastic: true,
            most: site.quota,
            largest: room.clone(),
            room,
            price_per_hour: site.price_per_hour,
            standing: BTreeMap::new(),
            fixed: BTreeMap::new(),
        });
    }
    pools
}

struct NodeLoad {
    /// Room for placed pods: what is allocatable less `DaemonSet` pods, or what placed pods take now if that is more.
    room: Amounts,
    /// Placed pods on it.
    pods: Vec<usize>,
}

fn node_loads(instance: &Instance<'_>) -> Vec<NodeLoad> {
    let mut loads: Vec<NodeLoad> = instance.sites[..instance.standing]
        .iter()
        .map(|site| NodeLoad { room: site.allocatable.clone(), pods: Vec::new() })
        .collect();
    let mut used = vec![vec![0_i64; instance.resources.len()]; instance.standing];
    for (index, pod) in instance.pods.iter().enumerate() {
        let Some(node) = pod.node else { continue };
        match pod.standing {
            Standing::Daemon => {
                for (room, amount) in loads[node].room.iter_mut().zip(&pod.demand) {
                    *room = room.saturating_sub(*amount);
                }
            }
            Standing::Leaving | Standing::Waiting | Standing::Elsewhere => {}
            Standing::Fixed | Standing::Movable => {
                loads[node].pods.push(index);
                for (used, amount) in used[node].iter_mut().zip(&pod.demand) {
                    *used = used.saturating_add(*amount);
                }
            }
        }
    }
    for (load, used) in loads.iter_mut().zip(used) {
        for (room, used) in load.room.iter_mut().zip(used) {
            *room = (*room).max(used).max(0);
        }
    }
    loads
}

fn contents(instance: &Instance<'_>, loads: &[NodeLoad], nodes: &[usize]) -> Vec<Content> {
    let mut by_pods: BTreeMap<BTreeMap<usize, u32>, Vec<usize>> = BTreeMap::new();
    for &node in nodes {
        let mut pods = BTreeMap::new();
        for group in loads[node].pods.iter().filter_map(|p| instance.pods[*p].group) {
            *pods.entry(group).or_insert(0) += 1;
        }
        by_pods.entry(pods).or_default().push(node);
    }
    by_pods.into_iter().map(|(pods, nodes)| Content { nodes, pods }).collect()
}

fn unique(names: &mut BTreeSet<String>, name: &str) -> String {
    let mut candidate = name.to_owned();
    let mut number = 2;
    while !names.insert(candidate.clone()) {
        candidate = format!("{name}#{number}");
        number += 1;
    }
    candidate
}
