//! Stage 1 for large clusters: workloads alike to the program become one, and so do zones, so that the relaxation of
//! thousands of workloads over thousands of offers is solved in seconds.
//!
//! Every plan of the cluster, counted by these coarser classes, satisfies the coarser program at the same cost or less: rows
//! are added up or left out, never tightened. So a bound of it is a bound of the full problem.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::catalog::CapacityType;

use super::instance::{Amounts, Group, Instance};
use super::quotas::Quotas;
use super::relations::Relations;
use super::sites::Site;

/// Replica variables beyond which the program is made coarser.
const MOST_VARIABLES: usize = 100_000;

/// Pods that exclude one another on a host are kept apart in the program where they are at least this share of all pods:
/// only then do they ask for more nodes than the others' room brings with it.
const EXCLUSIVE_SHARE: f64 = 0.05;

/// A coarser instance, and where each workload is in it.
pub(super) struct Coarse<'a> {
    pub(super) instance: Instance<'a>,
    pub(super) relations: Relations,
    /// Group of the coarser instance, by group.
    pub(super) group_of: Vec<usize>,
}

/// What the program sees of a workload with one choice and one template.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Likeness<'a> {
    demand: &'a [i64],
    /// Shapes that admit its pods.
    admitted: Vec<bool>,
    /// Anti-affinity to its own kind on a host, as counters; only of those that are many.
    exclusive: Vec<usize>,
    /// Host ports as texts: no two of its pods share a node.
    host_ports: Vec<String>,
    priority: i32,
    risk: u64,
}

/// The instance made coarser, if its program would be too large.
pub(super) fn coarser<'a>(instance: &Instance<'a>, relations: &Relations) -> Option<Coarse<'a>> {
    let pools = instance.sites.iter().map(|s| (&s.offer, &s.zone, s.shape)).collect::<BTreeSet<_>>();
    let variants: usize = instance.groups.iter().map(|g| g.demands.len()).sum();
    if pools.len() * variants <= MOST_VARIABLES {
        return None;
    }
    let exclusive = exclusive(instance, relations);
    let (mut groups, mut group_of) = (Vec::new(), Vec::with_capacity(instance.groups.len()));
    // Template that stands for the group's own; only groups with one template are merged.
    let mut stands_for = vec![None; instance.groups.len()];
    let mut known: BTreeMap<Likeness<'_>, usize> = BTreeMap::new();
    for (index, group) in instance.groups.iter().enumerate() {
        let next = groups.len();
        let merged =
            likeness(instance, relations, &exclusive, group).map(|likeness| *known.entry(likeness).or_insert(next));
        let number = merged.unwrap_or(next);
        group_of.push(number);
        if number == next {
            groups.push(without_target(group));
        } else {
            add(&mut groups[number], group);
        }
        stands_for[index] = merged.and_then(|_| groups[number].template);
    }
    let mut pods = instance.pods.clone();
    for pod in &mut pods {
        let Some(group) = pod.group else { continue };
        pod.template = stands_for[group].unwrap_or(pod.template);
        pod.group = Some(group_of[group]);
    }
    let mut limits = instance.limits.clone();
    limits.budgets.clear();
    limits.budgets_of.clear();
    let mut group_moves = vec![Some(0_u32); groups.len()];
    for (group, moves) in group_of.iter().zip(&instance.limits.group_moves) {
        group_moves[*group] = group_moves[*group].zip(*moves).map(|(sum, moves)| sum.saturating_add(moves));
    }
    limits.group_moves = group_moves;
    let sites = sites_without_zones(instance, &groups);
    let instance = Instance {
        snapshot: instance.snapshot,
        policy: instance.policy,
        resources: instance.resources.clone(),
        groups,
        pods,
        sites,
        standing: instance.standing,
        shapes: instance.shapes.clone(),
        limits,
        // Each workload has its own namespace, a sum of them none.
        quotas: Quotas::default(),
        // A sum of workloads has no preferences of its own; without them nothing costs more.
        preference_price: 0.0,
    };
    let mut relations = Relations::new(&instance);
    relations.keep_only(&exclusive);
    Some(Coarse { instance, relations, group_of })
}

/// Counters of pods that exclude their own kind on a host and are many.
fn exclusive(instance: &Instance<'_>, relations: &Relations) -> BTreeSet<usize> {
    let mut pods: BTreeMap<usize, f64> = BTreeMap::new();
    let mut all = 0.0;
    for group in &instance.groups {
        let replicas = f64::from(group.most_replicas());
        all += replicas;
        for counter in group.template.into_iter().flat_map(|t| relations.exclusive_on_hosts(t)) {
            *pods.entry(counter).or_insert(0.0) += replicas;
        }
    }
    pods.into_iter().filter(|(_, pods)| *pods >= EXCLUSIVE_SHARE * all).map(|(counter, _)| counter).collect()
}

fn likeness<'i>(
    instance: &'i Instance<'_>,
    relations: &Relations,
    exclusive: &BTreeSet<usize>,
    group: &'i Group<'_>,
) -> Option<Likeness<'i>> {
    let ([only], [template]) = (group.options.as_slice(), group.templates.as_slice()) else { return None };
    if group.template != Some(*template) || instance.shapes.names_nodes(*template) {
        return None;
    }
    let own = relations.templates.get(*template)?;
    Some(Likeness {
        demand: group.demand(*template, only.size),
        admitted: instance.shapes.admitted(*template).to_vec(),
        exclusive: relations.exclusive_on_hosts(*template).filter(|counter| exclusive.contains(counter)).collect(),
        host_ports: own.host_ports.iter().map(|port| format!("{port:?}")).collect(),
        priority: instance.snapshot.templates.get(*template)?.priority,
        risk: only.risk_cost_per_hour.to_bits(),
    })
}

/// The group free of what its target asks of zones and spot nodes.
fn without_target<'a>(group: &Group<'a>) -> Group<'a> {
    Group { target: None, ..group.clone() }
}

fn add(sum: &mut Group<'_>, group: &Group<'_>) {
    sum.pods.extend(&group.pods);
    sum.fixed += group.fixed;
    sum.elsewhere += group.elsewhere;
    sum.running += group.running;
    for (sum, option) in sum.options.iter_mut().zip(&group.options) {
        sum.replicas = sum.replicas.saturating_add(option.replicas);
        sum.risk_cost_per_hour += option.risk_cost_per_hour;
    }
}

/// The sites without zones, shapes that admit the same becoming one; of prototypes that are then alike and have no quota
/// one is kept.
fn sites_without_zones(instance: &Instance<'_>, groups: &[Group<'_>]) -> Vec<Site> {
    let templates: Vec<usize> = groups.iter().flat_map(|g| g.templates.iter().copied()).collect();
    let bought = instance.sites[instance.standing..].iter();
    let limited: BTreeSet<&str> = bought.filter(|s| s.quota.is_some()).map(|s| s.offer.as_str()).collect();
    let mut shapes: BTreeMap<Vec<bool>, usize> = BTreeMap::new();
    let mut shape_of: BTreeMap<usize, usize> = BTreeMap::new();
    let mut kept = Vec::with_capacity(instance.sites.len());
    let mut prototypes: BTreeSet<(Amounts, Amounts, u64, CapacityType, usize)> = BTreeSet::new();
    for (number, site) in instance.sites.iter().enumerate() {
        let shape = *shape_of.entry(site.shape).or_insert_with(|| {
            let column = templates.iter().map(|t| instance.shapes.admitted(*t).get(site.shape) == Some(&true));
            *shapes.entry(column.collect()).or_insert(site.shape)
        });
        if number >= instance.standing && site.quota.is_none() {
            let key = (
                site.allocatable.clone(),
                site.daemon_demand.clone(),
                site.price_per_hour.to_bits(),
                site.capacity_type,
                shape,
            );
            if !prototypes.insert(key) {
                continue;
            }
        }
        // Quotas are counted by zone.
        let zone = if limited.contains(site.offer.as_str()) { site.zone.clone() } else { String::new() };
        kept.push(Site { zone, shape, ..site.clone() });
    }
    kept
}
