//! What a neighbourhood decides: its places, the pods that are free in it, classed by what its program can tell apart, and
//! what all others leave to them of every limit.

use std::collections::{BTreeMap, BTreeSet};

use super::super::instance::{Amounts, Standing};
use super::super::occupancy::{Occupancy, PodState};
use super::super::relations::Relations;

/// Pods without a node beyond which a neighbourhood leaves all of them alone.
const MOST_WAITING: usize = 100;

/// Which nodes and offers a neighbourhood is made of.
#[derive(Debug, Clone, Default)]
pub(super) struct Cut {
    /// Nodes whose pods are planned anew; each may go, stay or stand again.
    pub(super) core: Vec<usize>,
    /// Open nodes that stay. They take pods, and those that are not at home there are planned anew too: that they go on
    /// elsewhere is no move more.
    pub(super) receivers: Vec<usize>,
    /// Prototypes, one node of each entry.
    pub(super) offers: Vec<usize>,
}

/// Where a free pod can be.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The node; `None` for one to be bought.
    pub(super) node: Option<usize>,
    pub(super) site: usize,
    /// What is free for free pods while it is open.
    pub(super) room: Amounts,
    pub(super) open: bool,
    /// Whether it is decided if it is open.
    pub(super) may_change: bool,
}

/// What pods alike have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kin {
    pub(super) group: usize,
    pub(super) template: usize,
    /// They exist; others are to come.
    pub(super) existing: bool,
    /// They have a node now, so that being elsewhere is a move.
    pub(super) has_origin: bool,
    /// Place of the node they have now, if it is one of the neighbourhood.
    pub(super) home: Option<usize>,
    /// Node that they are planned on, where it is none of the neighbourhood: they stay there or come home.
    pub(super) away: Option<usize>,
}

/// What pods that are not free take of a group's limits.
#[derive(Debug, Clone, Default)]
pub(super) struct Rest {
    /// Pods that exist and are placed, or wait and are not free.
    pub(super) existing: u32,
    /// The same of those to come.
    pub(super) new: u32,
    pub(super) moves: u32,
    pub(super) on_spot: u32,
    pub(super) in_zone: Vec<u32>,
    /// The group may take another step of its menu.
    pub(super) flexible: bool,
}

/// A neighbourhood, looked at closely.
#[derive(Debug, Clone)]
pub(super) struct Survey {
    pub(super) places: Vec<Place>,
    pub(super) kins: Vec<(Kin, Vec<usize>)>,
    pub(super) groups: BTreeMap<usize, Rest>,
    /// Moves of pods that are not free, in all and by budget.
    pub(super) moves: u32,
    pub(super) budget_moves: Vec<u32>,
}

impl Survey {
    pub(super) fn new(occupancy: &Occupancy<'_>, cut: &Cut) -> Self {
        let core: BTreeSet<usize> = cut.core.iter().copied().collect();
        let mut places: Vec<Place> = Vec::with_capacity(core.len() + cut.receivers.len() + cut.offers.len());
        let receivers: BTreeSet<usize> = cut.receivers.iter().copied().collect();
        places.extend(core.iter().map(|node| standing_place(occupancy, *node, true)));
        places.extend(cut.receivers.iter().map(|node| standing_place(occupancy, *node, false)));
        places.extend(cut.offers.iter().map(|site| place_to_buy(occupancy, *site)));
        let place_of: BTreeMap<usize, usize> =
            places.iter().enumerate().filter_map(|(place, facts)| Some((facts.node?, place))).collect();
        let flexible = flexible_groups(occupancy, &core);
        let mut kins: BTreeMap<Kin, Vec<usize>> = BTreeMap::new();
        let waiting = occupancy.pods.iter().filter(|p| p.node.is_none() && !p.removed).count();
        for (number, pod) in occupancy.pods.iter().enumerate() {
            let Some(group) = pod.group else { continue };
            let on_loan = pod.node.is_some_and(|n| pod.origin != Some(n) && receivers.contains(&n));
            let here = on_loan || pod.node.is_some_and(|n| core.contains(&n));
            let from_here = pod.origin.is_some_and(|n| core.contains(&n));
            let waits = pod.node.is_none() && !pod.removed && !pod.preempted && waiting <= MOST_WAITING;
            let parked = pod.removed && pod.existing.is_some() && flexible.contains(&group);
            let free = here || waits || from_here && (pod.node.is_some() || parked);
            if !free || !is_free(occupancy, pod) {
                continue;
            }
            let kin = Kin {
                group,
                template: pod.template,
                existing: pod.existing.is_some(),
                has_origin: pod.origin.is_some(),
                home: pod.origin.and_then(|n| place_of.get(&n).copied()),
                away: pod.node.filter(|_| !here),
            };
            kins.entry(kin).or_default().push(number);
        }
        // A group that may grow has pods to come of which there are none yet.
        for &group in &flexible {
            if let Some(template) = occupancy.instance.groups[group].template {
                let to_come = Kin { group, template, existing: false, has_origin: false, home: None, away: None };
                kins.entry(to_come).or_default();
            }
        }
        let mut survey = Self {
            places,
            kins: kins.into_iter().collect(),
            groups: BTreeMap::new(),
            moves: occupancy.moves,
            budget_moves: (0..occupancy.instance.limits.budgets.len()).map(|b| occupancy.moves_against(b)).collect(),
        };
        survey.take_stock(occupancy, &flexible);
        survey
    }

    /// Counts what is not free: all there is, less the free pods.
    fn take_stock(&mut self, occupancy: &Occupancy<'_>, flexible: &BTreeSet<usize>) {
        for (kin, _) in &self.kins {
            self.groups.entry(kin.group).or_insert_with(|| Rest {
                moves: occupancy.moves_of(kin.group),
                on_spot: occupancy.pods_on_spot(kin.group),
                in_zone: occupancy.pods_in_zones(kin.group).to_vec(),
                flexible: flexible.contains(&kin.group),
                ..Rest::default()
            });
        }
        for pod in occupancy.pods.iter().filter(|p| !p.removed) {
            if let Some(rest) = pod.group.and_then(|g| self.groups.get_mut(&g)) {
                let count = if pod.existing.is_some() { &mut rest.existing } else { &mut rest.new };
                *count += 1;
            }
        }
        let layout = &occupancy.relations.layout;
        for (kin, pods) in &self.kins {
            let Some(rest) = self.groups.get_mut(&kin.group) else { continue };
            for pod in pods.iter().map(|p| &occupancy.pods[*p]).filter(|p| !p.removed) {
                let count = if kin.existing { &mut rest.existing } else { &mut rest.new };
                *count -= 1;
                let Some(node) = pod.node else { continue };
                let class = &layout.classes[layout.class_of[occupancy.nodes[node].site]];
                rest.on_spot -= u32::from(class.spot);
                rest.in_zone[class.zone] -= 1;
                if pod.origin.is_some_and(|origin| origin != node) {
                    rest.moves -= 1;
                    self.moves -= 1;
                    for &budget in occupancy.instance.limits.budgets_of(pod.template) {
                        self.budget_moves[budget] -= 1;
                    }
                }
            }
        }
    }
}

fn standing_place(occupancy: &Occupancy<'_>, node: usize, core: bool) -> Place {
    let state = &occupancy.nodes[node];
    let site = &occupancy.instance.sites[state.site];
    let mut room = state.free.clone();
    let mut all_free = true;
    for pod in state.pods.iter().map(|p| &occupancy.pods[*p]).filter(|p| p.standing != Standing::Daemon) {
        if (core || pod.origin != Some(node)) && is_free(occupancy, pod) {
            for (room, amount) in room.iter_mut().zip(pod.demand.iter()) {
                *room = room.saturating_add(*amount);
            }
        } else {
            all_free = false;
        }
    }
    let may_change = core && all_free && state.preempted == 0 && (state.bought || site.may_drain);
    Place { node: Some(node), site: state.site, room, open: state.open, may_change }
}

fn place_to_buy(occupancy: &Occupancy<'_>, site: usize) -> Place {
    let facts = &occupancy.instance.sites[site];
    let room = facts.allocatable.iter().zip(&facts.daemon_demand).map(|(a, d)| a - d).collect();
    Place { node: None, site, room, open: false, may_change: true }
}

/// Whether the program can plan the pod anew: it may move, or is to come, knows no rules but those the program has, and took
/// nobody's room.
fn is_free(occupancy: &Occupancy<'_>, pod: &PodState) -> bool {
    matches!(pod.standing, Standing::Movable | Standing::Waiting)
        && !occupancy.took_room(pod)
        && pod.group.is_some_and(|group| is_understood(occupancy.relations, pod.template, group))
}

/// Whether all rules between pods that the template's are bound by are in the program: excluding their own kind on a node,
/// and spread over domains other than nodes.
fn is_understood(relations: &Relations, template: usize, group: usize) -> bool {
    let Some(own) = relations.templates.get(template) else { return false };
    let host = relations.layout.host_key;
    let mut counters = relations.counted_by(template, Some(group));
    let over_hosts = |number: &usize| relations.views[relations.evenness[*number].view].key == host;
    own.affinity.is_empty()
        && own.host_ports.is_empty()
        && own.anti_affinity.iter().all(|c| relations.counters[*c].key == host && own.counted_by.contains(c))
        && own.counted_by.iter().all(|c| !relations.counters[*c].guarded || own.anti_affinity.contains(c))
        && relations
            .spreads_of(template, Some(group))
            .all(|rule| relations.counters[rule.counter].key != host && rule.min_domains.is_none())
        && !counters.any(|counter| relations.evenness_of_counter[counter].iter().any(over_hosts))
}

/// Groups with pods on the core, or at home there, that may take another step of their menu: which of their pods go or
/// come is free to choose.
fn flexible_groups(occupancy: &Occupancy<'_>, core: &BTreeSet<usize>) -> BTreeSet<usize> {
    let instance = occupancy.instance;
    let there = |node: Option<usize>| node.is_some_and(|n| core.contains(&n));
    let pods = occupancy.pods.iter().filter(|p| there(p.node) || there(p.origin));
    let mut groups: BTreeSet<usize> = pods.filter(|p| is_free(occupancy, p)).filter_map(|p| p.group).collect();
    groups.retain(|&group| {
        let facts = &instance.groups[group];
        let size = occupancy.choice(group).map(|choice| choice.size);
        let alike = |p: &usize, q: &usize| {
            let (a, b) = (&instance.snapshot.pods[*p], &instance.snapshot.pods[*q]);
            a.ready == b.ready && a.deletion_cost == b.deletion_cost
        };
        facts.templates.len() == 1
            && !occupancy.has_preempted(group)
            // Controllers take pods without a node first.
            && facts.running as usize == facts.pods.len()
            && facts.options.iter().filter(|o| Some(o.size) == size).count() > 1
            && facts.pods.iter().all(|p| alike(p, &facts.pods[0]))
            && facts.pods.iter().all(|p| facts.id.pod_ordinal(&instance.snapshot.pods[*p].name).is_none())
    });
    groups
}
