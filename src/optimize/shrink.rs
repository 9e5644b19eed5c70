//! Which pods go where a workload shrinks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::instance::{Group, Instance, Standing};

/// Pods by the order in which they go, zone apart.
type Rank = (Reverse<Option<u32>>, bool, bool, i32, usize, Reverse<Option<i64>>, usize);

/// Pods beyond so many replicas: of a `StatefulSet` those of the highest ordinals, as its controller takes them;
/// of others those without a node first, then unready ones, then the cheapest to delete,
/// then from the zone that has most of them, then those on nodes with few pods, so that nodes empty; the youngest
/// first among equals. `pods_on` counts the placed pods of each node, and those that go are taken off it.
pub(super) fn surplus(
    instance: &Instance<'_>,
    group: &Group<'_>,
    replicas: usize,
    pods_on: &mut BTreeMap<usize, usize>,
) -> Vec<usize> {
    let wanted = group.pods.len().saturating_sub(replicas);
    if wanted == 0 {
        return Vec::new();
    }
    let zone_of = |p: usize| instance.pods[p].node.map(|n| instance.sites[n].zone.as_str());
    let rank = |p: usize, pods_on: &BTreeMap<usize, usize>| -> Rank {
        let pod = &instance.snapshot.pods[p];
        let node = instance.pods[p].node;
        let crowd = node.and_then(|n| pods_on.get(&n)).copied().unwrap_or(0);
        let ordinal = Reverse(group.id.pod_ordinal(&pod.name));
        (ordinal, node.is_some(), pod.ready, pod.deletion_cost, crowd, Reverse(pod.created_ms), p)
    };
    let mut in_zone: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    let mut lines: BTreeMap<Option<&str>, BTreeSet<Rank>> = BTreeMap::new();
    let mut on_node: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &pod in &group.pods {
        *in_zone.entry(zone_of(pod)).or_insert(0) += 1;
        if matches!(instance.pods[pod].standing, Standing::Fixed | Standing::Elsewhere) {
            continue;
        }
        lines.entry(zone_of(pod)).or_default().insert(rank(pod, pods_on));
        if let Some(node) = instance.pods[pod].node {
            on_node.entry(node).or_default().push(pod);
        }
    }
    let mut gone = Vec::with_capacity(wanted);
    while gone.len() < wanted {
        let firsts = lines.iter().filter_map(|(zone, line)| Some((*zone, *line.first()?)));
        let next = firsts.min_by_key(|(zone, first)| {
            let (ordinal, placed, ready, cost, crowd, created, pod) = *first;
            let of_zone = Reverse(in_zone.get(zone).copied().unwrap_or(0));
            (ordinal, placed, ready, cost, of_zone, crowd, created, pod)
        });
        let Some((zone, first)) = next else { break };
        let (.., pod) = first;
        gone.push(pod);
        let Some(line) = lines.get_mut(&zone) else { break };
        line.remove(&first);
        if let Some(count) = in_zone.get_mut(&zone) {
            *count = count.saturating_sub(1);
        }
        let Some(node) = instance.pods[pod].node else { continue };
        let beside: Vec<usize> = on_node.get(&node).into_iter().flatten().copied().collect();
        let in_line: Vec<usize> = beside.into_iter().filter(|p| line.remove(&rank(*p, pods_on))).collect();
        if let Some(count) = pods_on.get_mut(&node) {
            *count = count.saturating_sub(1);
        }
        line.extend(in_line.into_iter().map(|p| rank(p, pods_on)));
    }
    gone
}
