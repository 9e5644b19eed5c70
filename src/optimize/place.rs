//! Stage 4, first part: pods that wait go to the nodes they fill best.

use std::collections::BTreeSet;

use super::instance::Standing;
use super::occupancy::Occupancy;

/// Pods that are alike: same group, template and demand.
pub(super) type Kind = (Option<usize>, usize);

/// Moves pods off nodes whose load the chosen sizes raised above what they have.
///
/// # Errors
/// The groups with pods on nodes that could not be relieved.
pub(super) fn relieve(occupancy: &mut Occupancy<'_>) -> Result<(), BTreeSet<usize>> {
    let mut stuck = BTreeSet::new();
    for node in 0..occupancy.nodes.len() {
        if !occupancy.overloaded(node) {
            continue;
        }
        let mut pods: Vec<usize> = occupancy.nodes[node].pods.clone();
        pods.sort_by(|a, b| size(occupancy, *a).total_cmp(&size(occupancy, *b)).then(a.cmp(b)));
        for pod in pods {
            if !occupancy.overloaded(node) {
                break;
            }
            if occupancy.pods[pod].standing != Standing::Movable {
                continue;
            }
            let mark = occupancy.mark();
            occupancy.bind(pod, None);
            let found = occupancy.wish(pod).and_then(|wish| occupancy.best_node(&wish, |n| n != node));
            match found {
                Some(to) => occupancy.bind(pod, Some(to)),
                None => occupancy.roll_back(mark),
            }
        }
        if occupancy.overloaded(node) {
            stuck.extend(occupancy.nodes[node].pods.iter().filter_map(|p| occupancy.pods[*p].group));
        }
    }
    if stuck.is_empty() { Ok(()) } else { Err(stuck) }
}

/// Places waiting pods on open nodes: the most important first, then the largest.
pub(super) fn place_waiting(occupancy: &mut Occupancy<'_>, passes: impl Fn(usize) -> bool) {
    let mut hopeless: BTreeSet<Kind> = BTreeSet::new();
    for pod in in_order(occupancy) {
        if hopeless.contains(&kind(occupancy, pod)) {
            continue;
        }
        match occupancy.wish(pod).and_then(|wish| occupancy.best_node(&wish, &passes)) {
            Some(node) => occupancy.bind(pod, Some(node)),
            None => {
                hopeless.insert(kind(occupancy, pod));
            }
        }
    }
}

/// Whether one more node of the prototype may be bought.
pub(super) fn quota_left(occupancy: &Occupancy<'_>, site: usize) -> bool {
    let bought = occupancy.bought.get(&site).copied().unwrap_or(0);
    occupancy.instance.sites[site].quota.is_none_or(|quota| bought < quota) && occupancy.quotas_allow_node(site)
}

/// Gives up those of the bought nodes that have no pod.
pub(super) fn close_empty(occupancy: &mut Occupancy<'_>, nodes: &BTreeSet<usize>) {
    for &node in nodes {
        let state = &occupancy.nodes[node];
        if state.bought && state.open && state.pods.is_empty() {
            occupancy.close(node);
        }
    }
}

pub(super) fn kind(occupancy: &Occupancy<'_>, pod: usize) -> Kind {
    (occupancy.pods[pod].group, occupancy.pods[pod].template)
}

/// Largest share of all there is in the cluster and in one of each offer.
fn size(occupancy: &Occupancy<'_>, pod: usize) -> f64 {
    occupancy.size_of(&occupancy.pods[pod].demand)
}

/// Waiting pods of workloads: by priority, then size, both falling.
pub(super) fn in_order(occupancy: &Occupancy<'_>) -> Vec<usize> {
    let mut pods: Vec<(i32, f64, usize)> = occupancy
        .waiting()
        .into_iter()
        .filter(|p| occupancy.pods[*p].group.is_some())
        .map(|p| {
            let priority = occupancy.instance.priority(occupancy.pods[p].template);
            (priority, size(occupancy, p), p)
        })
        .collect();
    pods.sort_by(|a, b| {
        b.0.cmp(&a.0)
            .then(b.1.total_cmp(&a.1))
            .then_with(|| (occupancy.pods[a.2].group, a.2).cmp(&(occupancy.pods[b.2].group, b.2)))
    });
    pods.into_iter().map(|(_, _, p)| p).collect()
}
