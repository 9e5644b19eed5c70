//! Stage 4, first half: pods that wait go to the nodes they fill best, and nodes are bought for the rest.

use std::collections::{BTreeMap, BTreeSet};

use super::instance::Standing;
use super::occupancy::Occupancy;
use super::round::Guide;

/// Pods that are alike: same group, template and demand.
type Kind = (Option<usize>, usize);

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

/// Buys the nodes the relaxation's whole-number plan asks for, and puts on them what it puts there.
pub(super) fn buy_as_guided(occupancy: &mut Occupancy<'_>, guide: &Guide) {
    for (&site, &wanted) in &guide.nodes {
        let mut share: BTreeMap<Kind, u32> = BTreeMap::new();
        for (&(group, template, at), &count) in &guide.replicas {
            if at == site {
                *share.entry((Some(group), template)).or_insert(0) += count;
            }
        }
        let opened: BTreeSet<usize> =
            (0..wanted).map_while(|_| quota_left(occupancy, site).then(|| occupancy.buy(site))).collect();
        for pod in in_order(occupancy) {
            let Some(left) = share.get_mut(&kind(occupancy, pod)).filter(|left| **left > 0) else { continue };
            if let Some(node) = occupancy.wish(pod).and_then(|wish| occupancy.best_node(&wish, |n| opened.contains(&n)))
            {
                *left -= 1;
                occupancy.bind(pod, Some(node));
            }
        }
        close_empty(occupancy, &opened);
    }
}

/// Buys nodes one at a time, each of the offer that costs least for the worth of the pods it takes, until nothing
/// that waits is worth a node.
pub(super) fn buy_greedily(occupancy: &mut Occupancy<'_>, guide: &Guide, out_of_time: &dyn Fn() -> bool) {
    let instance = occupancy.instance;
    loop {
        let waiting = in_order(occupancy);
        if waiting.is_empty() || out_of_time() {
            return;
        }
        let mut by_kind: BTreeMap<Kind, Vec<usize>> = BTreeMap::new();
        for pod in waiting {
            by_kind.entry(kind(occupancy, pod)).or_default().push(pod);
        }
        let everything: Vec<usize> = (instance.standing..instance.sites.len()).collect();
        let best = cheapest_for_its_pods(occupancy, &guide.promising, &by_kind, guide)
            .or_else(|| cheapest_for_its_pods(occupancy, &everything, &by_kind, guide));
        let Some((site, dense_first)) = best else { return };
        let node = occupancy.buy(site);
        let pattern = fill(occupancy, node, &by_kind, guide, dense_first).len();
        // Pods held back by the spread of their like may now go where there is still room.
        if occupancy.foresees_domains {
            place_waiting(occupancy, |_| true);
        }
        // The same pattern again as long as there are pods for it: no other offer has become better meanwhile.
        loop {
            for pods in by_kind.values_mut() {
                pods.retain(|p| occupancy.pods[*p].node.is_none());
            }
            if !quota_left(occupancy, site) {
                break;
            }
            let mark = occupancy.mark();
            let node = occupancy.buy(site);
            if fill(occupancy, node, &by_kind, guide, dense_first).len() != pattern {
                occupancy.roll_back(mark);
                break;
            }
        }
    }
}

/// The prototype, and the order to fill it in, that costs least for the worth of the pods it takes; `None` where none
/// takes pods worth its price.
fn cheapest_for_its_pods(
    occupancy: &mut Occupancy<'_>,
    sites: &[usize],
    by_kind: &BTreeMap<Kind, Vec<usize>>,
    guide: &Guide,
) -> Option<(usize, bool)> {
    let instance = occupancy.instance;
    let mut best: Option<(f64, usize, bool)> = None;
    for &site in sites {
        if !quota_left(occupancy, site) {
            continue;
        }
        for dense_first in [true, false] {
            let mark = occupancy.mark();
            let node = occupancy.buy(site);
            let placed = fill(occupancy, node, by_kind, guide, dense_first);
            let price = instance.sites[site].price_per_hour + instance.node_change_price();
            let worth: f64 = placed.iter().map(|p| guide.worth(occupancy, *p)).sum();
            let saved: f64 = placed.iter().map(|p| instance.unplaced_price(occupancy.pods[*p].template)).sum();
            occupancy.roll_back(mark);
            let score = price / worth.max(1e-12);
            if !placed.is_empty() && price < saved && best.is_none_or(|(least, ..)| score < least) {
                best = Some((score, site, dense_first));
            }
        }
    }
    best.map(|(_, site, dense_first)| (site, dense_first))
}

/// Puts waiting pods on the node, kind by kind: those of most worth for their share of the node first, or the largest.
fn fill(
    occupancy: &mut Occupancy<'_>,
    node: usize,
    by_kind: &BTreeMap<Kind, Vec<usize>>,
    guide: &Guide,
    dense_first: bool,
) -> Vec<usize> {
    let free = occupancy.nodes[node].free.clone();
    let mut order: Vec<(f64, f64, &Kind)> = Vec::new();
    for (kind, pods) in by_kind {
        let Some(&first) = pods.first() else { continue };
        let demand = &occupancy.pods[first].demand;
        let share = demand
            .iter()
            .zip(&free)
            .filter(|(amount, _)| **amount > 0)
            .map(|(amount, free)| if *free > 0 { *amount as f64 / *free as f64 } else { f64::INFINITY })
            .fold(0.0, f64::max);
        if share <= 1.0 {
            let density = guide.worth(occupancy, first) / share.max(1e-9);
            order.push(if dense_first { (density, share, kind) } else { (share, density, kind) });
        }
    }
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(b.2)));
    let mut placed = Vec::new();
    for (_, _, kind) in order {
        for &pod in &by_kind[kind] {
            // Cheap to ask, and mostly what ends it; a wish looks at the whole cluster.
            if !occupancy.has_room(pod, node) {
                break;
            }
            let Some(wish) = occupancy.wish(pod) else { break };
            if !occupancy.admits(&wish, node) {
                break;
            }
            occupancy.bind(pod, Some(node));
            placed.push(pod);
        }
    }
    placed
}

/// Whether one more node of the prototype may be bought.
pub(super) fn quota_left(occupancy: &Occupancy<'_>, site: usize) -> bool {
    let bought = occupancy.bought.get(&site).copied().unwrap_or(0);
    occupancy.instance.sites[site].quota.is_none_or(|quota| bought < quota)
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

fn kind(occupancy: &Occupancy<'_>, pod: usize) -> Kind {
    (occupancy.pods[pod].group, occupancy.pods[pod].template)
}

/// Largest share of all there is in the cluster and in one of each offer.
fn size(occupancy: &Occupancy<'_>, pod: usize) -> f64 {
    occupancy.size_of(&occupancy.pods[pod].demand)
}

/// Waiting pods of workloads: by priority, then size, both falling.
pub(super) fn in_order(occupancy: &Occupancy<'_>) -> Vec<usize> {
    let templates = &occupancy.instance.snapshot.templates;
    let mut pods: Vec<(i32, f64, usize)> = occupancy
        .waiting()
        .into_iter()
        .filter(|p| occupancy.pods[*p].group.is_some())
        .map(|p| {
            let priority = templates.get(occupancy.pods[p].template).map_or(0, |t| t.priority);
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
