//! The input as the optimizer sees it: dense amounts, indices instead of names, and what may be decided about each
//! pod and node. Built once, then only read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Deref, DerefMut};

use crate::domain::catalog::Catalog;
use crate::domain::menu::{Menu, MenuEntry};
use crate::domain::policy::{Policy, Target};
use crate::domain::resources::{PODS, Resources, is_use};
use crate::domain::snapshot::{Pod, PodTemplate, Snapshot, Workload, WorkloadId};
use crate::domain::volumes::{PodVolumes, is_volume_limit};

use super::limits::Limits;
use super::quotas::Quotas;
use super::shapes::Shapes;
use super::sites::{Site, sites};

/// Weight of a preference that counts in full.
pub(super) const FULL_WEIGHT: f64 = 100.0;

/// Amounts in the order of [`Instance::resources`].
pub(super) type Amounts = Vec<i64>;

/// The input, indexed.
pub(super) struct Instance<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) policy: &'a Policy,
    /// Names of all resources that anything asks for or offers; sorted.
    pub(super) resources: Vec<&'a str>,
    /// Workloads whose pods are placed; those of `DaemonSets` are not among them.
    pub(super) groups: Vec<Group<'a>>,
    /// One a pod of the snapshot.
    pub(super) pods: Vec<PodFacts>,
    /// Nodes that stand, in the snapshot's order, then one prototype for each offer and zone.
    pub(super) sites: Vec<Site>,
    /// Number of nodes that stand.
    pub(super) standing: usize,
    pub(super) shapes: Shapes,
    pub(super) limits: Limits,
    pub(super) quotas: Quotas,
    /// Price an hour of one unit of weight of an unmet preference of a placed pod; 0 where preferences are not weighed.
    pub(super) preference_price: f64,
}

/// What may be decided about a pod that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Belongs to a `DaemonSet`: overhead of its node, goes with it.
    Daemon,
    /// Being deleted: takes room, is not planned for.
    Leaving,
    /// Stays where it is.
    Fixed,
    /// May go to another node, or go at all if its workload shrinks.
    Movable,
    /// Runs on a node that the snapshot does not know: one of the replicas, and nothing else is known of it.
    Elsewhere,
    /// Has no node.
    Waiting,
}

/// A pod that exists, indexed.
#[derive(Debug, Clone)]
pub(super) struct PodFacts {
    pub(super) standing: Standing,
    /// Its workload among [`Instance::groups`]; `None` for `DaemonSets` and pods on their way out.
    pub(super) group: Option<usize>,
    pub(super) template: usize,
    /// Index of its node.
    pub(super) node: Option<usize>,
    /// What it reserves now.
    pub(super) demand: Amounts,
}

/// A workload whose pods are placed.
#[derive(Clone)]
pub(super) struct Group<'a> {
    pub(super) id: &'a WorkloadId,
    pub(super) workload: Option<&'a Workload>,
    pub(super) target: Option<&'a Target>,
    pub(super) menu: Option<&'a Menu>,
    pub(super) facts: GroupFacts,
}

/// What is known of a group beside the input that it was read from.
#[derive(Debug, Clone, Default)]
pub(super) struct GroupFacts {
    /// Its pods that exist (without those being deleted).
    pub(super) pods: Vec<usize>,
    /// How many of them stay where they are, those on unknown nodes included.
    pub(super) fixed: u32,
    /// How many of them run on nodes that the snapshot does not know.
    pub(super) elsewhere: u32,
    /// How many of them have a node.
    pub(super) running: u32,
    /// Template of pods to come; `None` where nothing tells.
    pub(super) template: Option<usize>,
    /// Choices; never empty.
    pub(super) options: Vec<Choice>,
    /// Index of the choice that changes nothing, if it is allowed.
    pub(super) current: Option<usize>,
    /// Distinct sizes of a pod among the choices; `None` is what each pod's own template asks for.
    pub(super) sizes: Vec<Option<Resources>>,
    /// What a pod reserves, by (template, size).
    pub(super) demands: BTreeMap<(usize, usize), Amounts>,
    /// Templates of its pods and of those to come.
    pub(super) templates: Vec<usize>,
}

impl Deref for Group<'_> {
    type Target = GroupFacts;

    fn deref(&self) -> &GroupFacts {
        &self.facts
    }
}

impl DerefMut for Group<'_> {
    fn deref_mut(&mut self) -> &mut GroupFacts {
        &mut self.facts
    }
}

/// One choice of a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    pub(super) replicas: u32,
    /// Index into [`GroupFacts::sizes`].
    pub(super) size: usize,
    pub(super) risk_cost_per_hour: f64,
    /// Index into the menu's entries.
    pub(super) entry: Option<usize>,
}

impl Group<'_> {
    /// What a pod of the template reserves at the size.
    pub(super) fn demand(&self, template: usize, size: usize) -> &[i64] {
        self.demands.get(&(template, size)).map_or(&[], Vec::as_slice)
    }

    /// Largest number of pods any choice asks for.
    pub(super) fn most_replicas(&self) -> u32 {
        self.options.iter().map(|o| o.replicas).max().unwrap_or(0)
    }

    /// How many of its pods stay on nodes that are known.
    pub(super) fn pinned(&self) -> u32 {
        self.fixed - self.elsewhere
    }

    /// `Kind/name`.
    pub(super) fn label(&self) -> String {
        format!("{}/{}", self.id.kind, self.id.name)
    }
}

impl<'a> Instance<'a> {
    /// Indexes the input.
    pub(super) fn new(snapshot: &'a Snapshot, catalog: &'a Catalog, policy: &'a Policy, menus: &'a [Menu]) -> Self {
        let resources = resource_names(snapshot, catalog, menus);
        let node_index: HashMap<&str, usize> =
            snapshot.nodes.iter().enumerate().map(|(i, n)| (n.name.as_str(), i)).collect();
        let (group_index, mut groups) = groups_of(snapshot, policy, menus);
        let daemons: BTreeSet<&WorkloadId> = snapshot.workloads.iter().filter(|w| w.daemon).map(|w| &w.id).collect();
        let mut pods = Vec::with_capacity(snapshot.pods.len());
        for (index, pod) in snapshot.pods.iter().enumerate() {
            let node = pod.node.as_deref().and_then(|name| node_index.get(name).copied());
            let batch = group_index.get(&pod.workload).is_some_and(|g| groups[*g].workload.is_some_and(|w| w.batch));
            let standing = standing_of(pod, node, daemons.contains(&pod.workload), batch);
            let planned = !matches!(standing, Standing::Daemon | Standing::Leaving);
            let group = planned.then(|| group_index.get(&pod.workload).copied()).flatten();
            if let Some(group) = group.and_then(|g| groups.get_mut(g)) {
                group.pods.push(index);
                group.running += u32::from(node.is_some());
                group.fixed += u32::from(matches!(standing, Standing::Fixed | Standing::Elsewhere));
                group.elsewhere += u32::from(standing == Standing::Elsewhere);
            }
            let demand = snapshot
                .templates
                .get(pod.template)
                .map_or_else(|| vec![0; resources.len()], |t| dense_demand(&resources, t));
            pods.push(PodFacts { standing, group, template: pod.template, node, demand });
        }
        for group in &mut groups {
            choose_options(group, snapshot, &pods, &resources);
        }
        let mut sites = sites(snapshot, catalog, policy, &resources);
        let shapes = Shapes::new(snapshot, policy, &mut sites);
        let limits = Limits::new(snapshot, policy, &groups, &pods);
        let standing = snapshot.nodes.len();
        let preference_price = policy.costs.preference_per_hour / FULL_WEIGHT;
        let quotas = Quotas::new(snapshot, &groups, &pods);
        Self { snapshot, policy, resources, groups, pods, sites, standing, shapes, limits, quotas, preference_price }
    }

    /// Priority of the template's pods.
    pub(super) fn priority(&self, template: usize) -> i32 {
        self.snapshot.templates.get(template).map_or(0, |t| t.priority)
    }

    /// Price an hour of leaving a pod of the template without a node.
    pub(super) fn unplaced_price(&self, template: usize) -> f64 {
        let priority = f64::from(self.priority(template).max(0));
        self.policy.costs.unplaced_per_hour * (1.0 + (priority / 1000.0).min(1000.0))
    }

    /// Price an hour of moving one pod that reserves `demand`.
    pub(super) fn move_price(&self, demand: &[i64]) -> f64 {
        let cpu = self.resources.iter().position(|name| *name == crate::domain::resources::CPU);
        let cores = cpu.and_then(|i| demand.get(i)).map_or(0.0, |millis| *millis as f64 / 1000.0);
        self.policy.costs.move_per_core * cores.max(0.1) / self.policy.costs.amortise_hours
    }

    /// Price an hour of adding or removing one node.
    pub(super) fn node_change_price(&self) -> f64 {
        self.policy.costs.node_change / self.policy.costs.amortise_hours
    }

    /// Dense amounts as named ones; zero amounts and volumes are left out.
    pub(super) fn named(&self, amounts: &[i64]) -> Resources {
        let named = self.resources.iter().copied().zip(amounts.iter().copied());
        Resources::of(named.filter(|(name, amount)| *amount != 0 && !is_volume_limit(name)))
    }
}

fn resource_names<'a>(snapshot: &'a Snapshot, catalog: &'a Catalog, menus: &'a [Menu]) -> Vec<&'a str> {
    let nodes = snapshot.nodes.iter().map(|n| &n.allocatable);
    let templates = snapshot.templates.iter().map(|t| &t.requests);
    let offers = catalog.offers.iter().map(|o| &o.allocatable);
    let entries = menus.iter().flat_map(|m| m.entries.iter().map(|e| &e.requests));
    let names = nodes.chain(templates).chain(offers).chain(entries).flat_map(|r| r.iter().map(|(name, _)| name));
    let limits = snapshot.nodes.iter().flat_map(|n| n.volume_limits.iter().map(|(name, _)| name));
    names.chain(limits).chain([PODS]).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Volumes of a driver that are no limit on a node.
const MANY_VOLUMES: i64 = 1 << 20;

/// What a node has, in the order of `resources`: volumes of a driver without a limit are many.
pub(super) fn dense_room(resources: &[&str], allocatable: &Resources, volume_limits: &Resources) -> Amounts {
    let room = |name: &&str| match volume_limits.0.get(*name) {
        Some(most) => *most,
        None if is_volume_limit(name) => MANY_VOLUMES,
        None => allocatable.get(name),
    };
    resources.iter().map(room).collect()
}

/// What a pod of the template reserves.
pub(super) fn dense_demand(resources: &[&str], template: &PodTemplate) -> Amounts {
    dense_demand_of(resources, &template.requests, &template.rules.volumes)
}

/// What a pod reserves: its requests, one pod slot, and the volumes that no other pod uses.
fn dense_demand_of(resources: &[&str], requests: &Resources, volumes: &PodVolumes) -> Amounts {
    let demand = |name: &&str| match *name {
        PODS => 1,
        name if is_volume_limit(name) => volumes.own.get(name),
        name => requests.get(name).max(0),
    };
    resources.iter().map(demand).collect()
}

/// What is asked for, without the pod slot and without zeros.
fn asked(requests: &Resources) -> Resources {
    Resources::of(requests.iter().filter(|(name, amount)| *name != PODS && *amount != 0))
}

/// Whether the target's bounds allow the entry; what stands is never out of bounds.
fn within(target: &Target, entry: &MenuEntry, declared: u32, now: Option<Resources>) -> bool {
    let replicas = entry.replicas == declared
        || target.scale_replicas && (target.min_replicas..=target.max_replicas).contains(&entry.replicas);
    let (then, now) = (asked(&entry.requests), now.unwrap_or_default());
    // What pods are expected to use is no request, and bounds are on requests.
    let changed = then
        .iter()
        .chain(now.iter())
        .map(|(name, _)| name)
        .filter(|name| !is_use(name) && then.get(name) != now.get(name));
    let allowed = |name: &str| {
        target.resize_requests
            && target.min_requests.0.get(name).is_none_or(|least| then.get(name) >= *least)
            && target.max_requests.0.get(name).is_none_or(|most| then.get(name) <= *most)
    };
    replicas && changed.into_iter().all(allowed)
}

/// What may be decided about a pod on the node, if it is one that is known.
pub(super) fn standing_of(pod: &Pod, node: Option<usize>, daemon: bool, batch: bool) -> Standing {
    match node {
        _ if daemon => Standing::Daemon,
        _ if pod.deleting => Standing::Leaving,
        None if pod.node.is_some() => Standing::Elsewhere,
        None => Standing::Waiting,
        Some(_) if batch || pod.do_not_evict || pod.workload.kind == "Pod" => Standing::Fixed,
        Some(_) => Standing::Movable,
    }
}

/// One group a workload that is no `DaemonSet`, and one for each workload only its pods tell of; sorted by id.
fn groups_of<'a>(
    snapshot: &'a Snapshot,
    policy: &'a Policy,
    menus: &'a [Menu],
) -> (HashMap<&'a WorkloadId, usize>, Vec<Group<'a>>) {
    let menus: BTreeMap<&WorkloadId, &Menu> = menus.iter().map(|m| (&m.workload, m)).collect();
    let known: HashMap<&WorkloadId, &Workload> = snapshot.workloads.iter().map(|w| (&w.id, w)).collect();
    let of_pods = snapshot.pods.iter().map(|p| &p.workload).filter(|id| !known.contains_key(id));
    let ids: BTreeSet<&WorkloadId> = known.keys().copied().chain(of_pods).collect();
    let planned = ids.into_iter().filter(|id| known.get(id).is_none_or(|w| !w.daemon));
    let groups: Vec<Group<'a>> = planned
        .map(|id| {
            let workload = known.get(id).copied();
            let template = workload.and_then(|w| w.template).filter(|t| *t < snapshot.templates.len());
            Group {
                id,
                workload,
                target: workload.and_then(|w| policy.target_for(w)),
                menu: menus.get(id).copied().filter(|m| !m.entries.is_empty()),
                facts: GroupFacts { template, ..GroupFacts::default() },
            }
        })
        .collect();
    (groups.iter().enumerate().map(|(i, g)| (g.id, i)).collect(), groups)
}

/// Fills in what the group may choose among: its menu, or what it declares.
pub(super) fn choose_options(group: &mut Group<'_>, snapshot: &Snapshot, pods: &[PodFacts], resources: &[&str]) {
    let existing = group.pods.len() as u32;
    let newest = group.pods.iter().copied().max_by_key(|p| (snapshot.pods[*p].created_ms, *p));
    group.template = group.template.or_else(|| newest.map(|p| snapshot.pods[p].template));
    let batch = group.workload.is_some_and(|w| w.batch);
    let declared = group.workload.map_or(existing, |w| w.replicas);
    // Pods of Jobs and bare pods are not made again once they are gone, and fixed pods are not taken away.
    let keeps_pods = batch || group.workload.is_none() || group.id.kind == "Pod" || group.template.is_none();
    let stays = |p: usize| matches!(pods[p].standing, Standing::Fixed | Standing::Elsewhere);
    let standing = group.pods.iter().map(|&p| (snapshot.pods[p].name.as_str(), stays(p)));
    let fewest = group.id.held(declared, standing).map_or(0, |held| held.fewest);
    // A Job still makes the pods that it wants beside those that run.
    let to_come = if batch && group.template.is_some() { declared } else { 0 };
    let declared = if keeps_pods { existing.max(to_come) } else { declared.max(fewest) };
    let own_size = group.template.and_then(|t| snapshot.templates.get(t)).map(|t| &t.requests);
    if let Some(menu) = group.menu.filter(|_| !keeps_pods) {
        let target = group.target;
        let may_choose = |entry: &MenuEntry| {
            entry.replicas >= fewest && target.is_none_or(|target| within(target, entry, declared, own_size.map(asked)))
        };
        for (index, entry) in menu.entries.iter().enumerate().filter(|(_, e)| may_choose(e)) {
            let own = own_size.is_some_and(|own| asked(own) == asked(&entry.requests));
            let size = (!own).then(|| entry.requests.clone());
            let size = group.sizes.iter().position(|s| *s == size).unwrap_or_else(|| {
                group.sizes.push(size);
                group.sizes.len() - 1
            });
            let option = Choice {
                replicas: entry.replicas,
                size,
                risk_cost_per_hour: entry.risk_cost_per_hour.max(0.0),
                entry: Some(index),
            };
            if menu.current == Some(index) {
                group.current = Some(group.options.len());
            }
            group.options.push(option);
        }
    } else {
        let entry = group.menu.map(|m| m.current.unwrap_or(0).min(m.entries.len() - 1));
        let risk = entry.and_then(|e| group.menu.and_then(|m| m.entries.get(e)));
        group.current = Some(0);
        group.sizes.push(None);
        group.options.push(Choice {
            replicas: declared,
            size: 0,
            risk_cost_per_hour: risk.map_or(0.0, |e| e.risk_cost_per_hour.max(0.0)),
            entry,
        });
    }
    if group.options.is_empty() {
        // Every entry would take fixed pods away: what stands is all that is left.
        group.sizes = vec![None];
        group.options.push(Choice { replicas: declared, size: 0, risk_cost_per_hour: 0.0, entry: None });
        group.current = Some(0);
    }
    let templates: BTreeSet<usize> =
        group.pods.iter().map(|p| snapshot.pods[*p].template).chain(group.template).collect();
    for &template in templates.iter().filter(|t| **t < snapshot.templates.len()) {
        let facts = &mut group.facts;
        for (size, requests) in facts.sizes.iter().enumerate() {
            let own = &snapshot.templates[template];
            let requests = requests.as_ref().unwrap_or(&own.requests);
            facts.demands.insert((template, size), dense_demand_of(resources, requests, &own.rules.volumes));
        }
    }
    group.templates = group.demands.keys().map(|(t, _)| *t).collect::<BTreeSet<_>>().into_iter().collect();
}
