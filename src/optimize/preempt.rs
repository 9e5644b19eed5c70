//! Preemption, where the policy allows it: running pods of lower priority make room for pods that found none.
//!
//! As kube-scheduler does it: all that may go are taken off a node, and put back as long as the pod still fits; who is left
//! is sent elsewhere, or waits. Of all nodes the one is taken where that costs least, and none where it costs more than the
//! pod's own waiting.

use std::collections::BTreeSet;

use super::buy::buy_greedily;
use super::consolidate::saving;
use super::gangs::disband;
use super::incumbent::MEANINGFUL;
use super::instance::Standing;
use super::occupancy::Occupancy;
use super::place::{Kind, in_order, kind, place_waiting};
use super::round::Guide;

/// Nodes tried for a pod with all rules, those first where room costs least as far as only room counts; and nodes bought
/// that are given up again for room on others.
const MOST_TRIED: usize = 32;

/// In which order pods that may go are put back.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// Those that cost most without a node first, as kube-scheduler has it.
    DearestFirst,
    /// The smallest first: one large pod goes before several small ones.
    SmallestFirst,
    /// The dearest first, of all that may go and of those that may only be moved.
    WithMovers,
}

/// What is left for pods that wait once all is bought: the room of less important ones. Where too few of a gang find any, none
/// of it comes, and others have what that leaves.
pub(super) fn last_resorts(occupancy: &mut Occupancy<'_>, guide: &Guide, out_of_time: &dyn Fn() -> bool) {
    preempt(occupancy, out_of_time);
    while disband(occupancy) {
        reprieve(occupancy);
        place_waiting(occupancy, |_| true);
        buy_greedily(occupancy, guide, out_of_time);
        preempt(occupancy, out_of_time);
    }
}

/// Makes room for pods that wait, and for those on bought nodes that cost more than the room.
fn preempt(occupancy: &mut Occupancy<'_>, out_of_time: &dyn Fn() -> bool) {
    if !occupancy.preempts() {
        return;
    }
    make_room_for_all(occupancy, out_of_time);
    for node in dear_nodes(occupancy) {
        if out_of_time() {
            return;
        }
        let (mark, before) = (occupancy.mark(), occupancy.cost().total());
        for pod in occupancy.nodes[node].pods.clone() {
            occupancy.bind(pod, None);
        }
        occupancy.close(node);
        place_waiting(occupancy, |_| true);
        make_room_for_all(occupancy, out_of_time);
        if occupancy.cost().total() > before - MEANINGFUL || occupancy.incomplete_gangs().next().is_some() {
            occupancy.roll_back(mark);
        }
    }
}

/// Pods that lost their node go back where there is room for them again, the most important first.
pub(super) fn reprieve(occupancy: &mut Occupancy<'_>) {
    let mut pods = occupancy.preempted();
    pods.sort_by_key(|pod| (std::cmp::Reverse(priority(occupancy, *pod)), *pod));
    for pod in pods {
        let home = occupancy.pods[pod].origin;
        let takes = |home: &usize| occupancy.wish(pod).is_some_and(|wish| occupancy.admits(&wish, *home));
        if let Some(home) = home.filter(takes) {
            occupancy.bind(pod, Some(home));
        }
    }
}

/// Rounds over all that wait, as long as one of them finds room.
fn make_room_for_all(occupancy: &mut Occupancy<'_>, out_of_time: &dyn Fn() -> bool) {
    loop {
        reprieve(occupancy);
        let mut gained = false;
        let mut hopeless: BTreeSet<Kind> = BTreeSet::new();
        for pod in in_order(occupancy) {
            if out_of_time() {
                return;
            }
            let state = &occupancy.pods[pod];
            let comes = state.origin.is_none() && occupancy.takes_room(state.template);
            if state.node.is_some() || !comes || hopeless.contains(&kind(occupancy, pod)) {
                continue;
            }
            if make_room(occupancy, pod) {
                gained = true;
            } else {
                hopeless.insert(kind(occupancy, pod));
            }
        }
        if !gained {
            return;
        }
        place_waiting(occupancy, |_| true);
    }
}

/// The pod comes to the node where room for it costs least, if that is less than its waiting.
fn make_room(occupancy: &mut Occupancy<'_>, pod: usize) -> bool {
    let mut least = occupancy.instance.unplaced_price(occupancy.pods[pod].template) - MEANINGFUL;
    let mut nodes: Vec<(f64, usize)> =
        (0..occupancy.nodes.len()).filter_map(|node| Some((rough_price(occupancy, pod, node)?, node))).collect();
    nodes.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut best = None;
    for (_, node) in nodes.into_iter().take(MOST_TRIED) {
        for order in [Order::DearestFirst, Order::SmallestFirst, Order::WithMovers] {
            let mark = occupancy.mark();
            if let Some(price) = take(occupancy, pod, node, order).filter(|price| *price < least) {
                (least, best) = (price - MEANINGFUL, Some((node, order)));
            }
            occupancy.roll_back(mark);
        }
    }
    best.is_some_and(|(node, order)| take(occupancy, pod, node, order).is_some())
}

/// What room on the node costs where nothing but room counts; `None` where the pod never comes there.
fn rough_price(occupancy: &Occupancy<'_>, pod: usize, node: usize) -> Option<f64> {
    let (state, on) = (&occupancy.pods[pod], &occupancy.nodes[node]);
    let instance = occupancy.instance;
    let site = &instance.sites[on.site];
    if !on.open || !site.accepts_new || !instance.shapes.admits(instance.snapshot, state.template, site) {
        return None;
    }
    let mut short: Vec<i64> =
        state.demand.iter().zip(&on.free).map(|(amount, free)| if *amount > 0 { amount - free } else { 0 }).collect();
    let going = those_that_may_go(occupancy, pod, node).into_iter().map(|other| (price(occupancy, other), other));
    let movers = those_that_may_only_move(occupancy, pod, node).into_iter();
    let movers = movers.map(|other| (occupancy.move_price(&occupancy.pods[other]), other));
    let mut going: Vec<(f64, usize)> = going.chain(movers).collect();
    going.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut sum = 0.0;
    let mut going = going.into_iter();
    while short.iter().any(|amount| *amount > 0) {
        let (price, gone) = going.next()?;
        sum += price;
        for (short, amount) in short.iter_mut().zip(occupancy.pods[gone].demand.iter()) {
            *short -= amount;
        }
    }
    Some(sum)
}

/// Pods of the node that may give their place to the pod: those that run there, as limits on moves and budgets stand, and
/// those to come that are less important.
fn those_that_may_go(occupancy: &Occupancy<'_>, pod: usize, node: usize) -> Vec<usize> {
    let own = priority(occupancy, pod);
    let may_go = |other: &usize| {
        let state = &occupancy.pods[*other];
        if state.origin == Some(node) {
            return occupancy.may_be_preempted(*other, own);
        }
        let alone = occupancy.relations.templates.get(state.template).is_some_and(|rules| rules.gang.is_none());
        let to_come = state.origin.is_none() && state.group.is_some() && state.standing == Standing::Waiting;
        to_come && alone && priority(occupancy, *other) < own
    };
    occupancy.nodes[node].pods.iter().copied().filter(may_go).collect()
}

/// Pods that run on the node and may give their place to the pod only for one elsewhere.
fn those_that_may_only_move(occupancy: &Occupancy<'_>, pod: usize, node: usize) -> Vec<usize> {
    let own = priority(occupancy, pod);
    let may_move = |other: &usize| {
        let at_home = occupancy.pods[*other].origin == Some(node);
        at_home && occupancy.may_move(*other) && !occupancy.may_be_preempted(*other, own)
    };
    occupancy.nodes[node].pods.iter().copied().filter(may_move).collect()
}

/// The pod comes to the node, and as few as it can do with go; what that costs, or `None` where it cannot be had and what was
/// done is the caller's to take back.
fn take(occupancy: &mut Occupancy<'_>, pod: usize, node: usize, order: Order) -> Option<f64> {
    let mut going = those_that_may_go(occupancy, pod, node);
    if matches!(order, Order::WithMovers) {
        going.extend(those_that_may_only_move(occupancy, pod, node));
    }
    let size = |p: usize| occupancy.size_of(&occupancy.pods[p].demand);
    going.sort_by(|a, b| {
        let dearest = price(occupancy, *b).total_cmp(&price(occupancy, *a));
        let smallest = size(*a).total_cmp(&size(*b));
        match order {
            Order::DearestFirst | Order::WithMovers => dearest.then(smallest),
            Order::SmallestFirst => smallest.then(dearest),
        }
        .then(a.cmp(b))
    });
    let takes = |state: &Occupancy<'_>| state.wish(pod).is_some_and(|wish| state.admits(&wish, node));
    let skews = occupancy.skews(&going);
    for other in &going {
        occupancy.bind(*other, None);
    }
    if !takes(occupancy) {
        return None;
    }
    let mut gone = Vec::new();
    for other in going {
        occupancy.bind(other, Some(node));
        if !takes(occupancy) {
            occupancy.bind(other, None);
            gone.push(other);
        }
    }
    occupancy.bind(pod, Some(node));
    let own = priority(occupancy, pod);
    let price = gone.into_iter().try_fold(0.0, |sum, other| Some(sum + send_off(occupancy, other, node, own)?));
    // A target's own spread holds for what stands too.
    price.filter(|_| !occupancy.spoils(&skews))
}

/// The pod goes elsewhere, or waits; what that costs, `None` where it must not.
fn send_off(occupancy: &mut Occupancy<'_>, pod: usize, node: usize, priority: i32) -> Option<f64> {
    let runs = occupancy.pods[pod].origin.is_some();
    let found = occupancy.wish(pod).and_then(|wish| occupancy.best_node(&wish, |other| other != node));
    if let Some(other) = found {
        occupancy.bind(pod, Some(other));
        return Some(if runs { occupancy.move_price(&occupancy.pods[pod]) } else { 0.0 });
    }
    let cost = price(occupancy, pod);
    if runs {
        if !occupancy.may_be_preempted(pod, priority) {
            return None;
        }
        occupancy.set_preempted(pod, true);
    }
    Some(cost)
}

/// What the pod costs once it has no node: its waiting, and a move if it runs.
fn price(occupancy: &Occupancy<'_>, pod: usize) -> f64 {
    let state = &occupancy.pods[pod];
    let moved = if state.origin.is_some() { occupancy.move_price(state) } else { 0.0 };
    occupancy.instance.unplaced_price(state.template) + moved
}

fn priority(occupancy: &Occupancy<'_>, pod: usize) -> i32 {
    occupancy.instance.priority(occupancy.pods[pod].template)
}

/// Bought nodes that cost more than some running pod without its node, the dearest first: those with nothing but pods to
/// come.
fn dear_nodes(occupancy: &Occupancy<'_>) -> Vec<usize> {
    let running = (0..occupancy.pods.len()).filter(|pod| occupancy.may_be_preempted(*pod, i32::MAX));
    let cheapest = running.map(|pod| price(occupancy, pod)).fold(f64::INFINITY, f64::min);
    let to_come = |pod: &usize| occupancy.pods[*pod].origin.is_none();
    let mut nodes: Vec<usize> = (0..occupancy.nodes.len())
        .filter(|node| {
            let state = &occupancy.nodes[*node];
            state.bought && state.open && saving(occupancy, *node) > cheapest && state.pods.iter().all(to_come)
        })
        .collect();
    nodes.sort_by(|a, b| saving(occupancy, *b).total_cmp(&saving(occupancy, *a)).then(a.cmp(b)));
    nodes.truncate(MOST_TRIED);
    nodes
}
