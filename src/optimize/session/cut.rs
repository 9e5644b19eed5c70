//! The part of the cluster and its plan that a change has to be judged by, cut out so that the checker finds in it all
//! it looks at (see [`super::super::check::part`]).

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::menu::Menu;
use crate::domain::plan::{Placement, Plan, Unplaced};
use crate::domain::snapshot::{Pod, PodTemplate, Snapshot, Workload, WorkloadId};

use super::super::instance::Standing;
use super::super::occupancy::Occupancy;
use super::super::plan::{
    Names, daemon_placements, daemon_plan, node_plan, placement, removal, unproven, workload_plan,
};
use super::index::Index;

/// What to cut out.
#[derive(Default)]
pub(super) struct Scope {
    /// Workloads of which every pod is wanted, as groups.
    pub(super) groups: BTreeSet<usize>,
    /// Templates whose rules are to be judged; every pod of them is wanted.
    pub(super) templates: BTreeSet<usize>,
    /// Nodes of which every pod is wanted.
    pub(super) nodes: BTreeSet<usize>,
}

/// A part of the cluster, as values of its own.
pub(super) struct Cut {
    pub(super) snapshot: Snapshot,
    pub(super) plan: Plan,
    pub(super) menus: Vec<Menu>,
    /// Workloads that are in it with every pod.
    pub(super) whole: BTreeSet<WorkloadId>,
}

/// Cuts the scope out of a state.
pub(super) fn cut(state: &Occupancy<'_>, names: &Names, index: &Index, scope: &Scope) -> Cut {
    let instance = state.instance;
    let of_groups = scope.groups.iter().flat_map(|group| &index.of_group[*group]);
    let of_templates = scope.templates.iter().flat_map(|template| &index.of_template[*template]);
    let of_nodes = scope.nodes.iter().flat_map(|node| &state.nodes[*node].pods);
    let pods: BTreeSet<usize> = of_groups.chain(of_templates).chain(of_nodes).copied().collect();
    let mut nodes = scope.nodes.clone();
    for pod in pods.iter().map(|pod| &state.pods[*pod]) {
        nodes.extend(pod.node.into_iter().chain(pod.origin));
    }
    nodes.extend(domains(state, scope));
    let groups: BTreeSet<usize> = pods.iter().filter_map(|pod| state.pods[*pod].group).collect();
    let groups: BTreeSet<usize> = groups.union(&scope.groups).copied().collect();
    let mut template_numbers = Templates { judged: &scope.templates, numbers: BTreeMap::new(), list: Vec::new() };
    let mut snapshot = Snapshot::default();
    snapshot.namespaces.clone_from(&instance.snapshot.namespaces);
    snapshot.nodes = nodes
        .iter()
        .filter(|node| !state.nodes[**node].bought)
        .map(|node| instance.snapshot.nodes[*node].clone())
        .collect();
    for pod in pods.iter().filter_map(|pod| state.pods[*pod].existing) {
        let pod = &instance.snapshot.pods[pod];
        let template = template_numbers.number(state, pod.template);
        snapshot.pods.push(Pod { template, ..pod.clone() });
    }
    let daemons = daemons(state, &nodes, &pods);
    let of_groups = groups.iter().filter_map(|group| instance.groups[*group].workload);
    let of_daemons = daemons.iter().map(|number| &instance.snapshot.workloads[*number]);
    for workload in of_groups.chain(of_daemons) {
        let template = workload.template.map(|template| template_numbers.number(state, template));
        snapshot.workloads.push(Workload { template, ..workload.clone() });
    }
    snapshot.templates = template_numbers.list;
    let covers =
        |budget: &usize| scope.templates.iter().any(|template| instance.limits.budgets_of(*template).contains(budget));
    let budgets = (0..instance.snapshot.budgets.len()).filter(covers);
    snapshot.budgets = budgets.map(|budget| instance.snapshot.budgets[budget].clone()).collect();
    let gangs = scope.templates.iter().filter_map(|template| state.relations.templates[*template].gang);
    let gangs: BTreeSet<usize> = gangs.collect();
    snapshot.gangs = gangs.into_iter().map(|gang| instance.snapshot.gangs[gang].clone()).collect();
    let menus = scope.groups.iter().filter_map(|group| instance.groups[*group].menu.cloned()).collect();
    let whole = scope.groups.iter().map(|group| instance.groups[*group].id.clone()).collect();
    let plan = plan(state, names, index, (&groups, &scope.groups), (&pods, &nodes, &daemons));
    Cut { snapshot, plan, menus, whole }
}

/// Open nodes enough to be every domain that a spread of the scope counts: one of each class, which differ in nothing a
/// spread looks at, or all where spreads see single nodes.
fn domains(state: &Occupancy<'_>, scope: &Scope) -> Vec<usize> {
    let (instance, relations) = (state.instance, state.relations);
    let layout = &relations.layout;
    let of_templates = scope.templates.iter().flat_map(|template| &relations.templates[*template].spread);
    let of_groups = scope.groups.iter().filter_map(|group| relations.group_spread[*group].as_ref());
    let mut keys = of_templates.chain(of_groups).map(|rule| relations.counters[rule.counter].key).peekable();
    let open = (0..state.nodes.len()).filter(|node| state.nodes[*node].open);
    if keys.peek().is_none() {
        return Vec::new();
    }
    if keys.any(|key| key == layout.host_key) || scope.templates.iter().any(|t| instance.shapes.names_nodes(*t)) {
        return open.collect();
    }
    let mut seen = vec![false; layout.classes.len()];
    open.filter(|node| !std::mem::replace(&mut seen[layout.class_of[state.nodes[*node].site]], true)).collect()
}

/// Templates with the numbers they have in the part. Of those that are not judged, rules about pods elsewhere are left out.
struct Templates<'s> {
    judged: &'s BTreeSet<usize>,
    numbers: BTreeMap<usize, usize>,
    list: Vec<PodTemplate>,
}

impl Templates<'_> {
    fn number(&mut self, state: &Occupancy<'_>, template: usize) -> usize {
        let next = self.list.len();
        let Some(own) = state.instance.snapshot.templates.get(template) else { return usize::MAX };
        let number = *self.numbers.entry(template).or_insert(next);
        if number == next {
            let mut own = own.clone();
            if !self.judged.contains(&template) {
                own.rules.pod_affinity.clear();
                own.rules.pod_anti_affinity.clear();
                own.rules.topology_spread.clear();
                own.rules.volumes.single.clear();
                own.rules.volumes.to_bind.clear();
            }
            self.list.push(own);
        }
        number
    }
}

/// `DaemonSets` with pods among these, or that bought nodes among these get pods of.
fn daemons(state: &Occupancy<'_>, nodes: &BTreeSet<usize>, pods: &BTreeSet<usize>) -> BTreeSet<usize> {
    let instance = state.instance;
    let owners: BTreeSet<&WorkloadId> = pods
        .iter()
        .map(|pod| &state.pods[*pod])
        .filter(|pod| pod.group.is_none())
        .filter_map(|pod| pod.existing)
        .map(|pod| &instance.snapshot.pods[pod].workload)
        .collect();
    let of_pods = instance.snapshot.workloads.iter().enumerate().filter(|(_, w)| owners.contains(&w.id));
    let of_pods = of_pods.filter(|(_, w)| w.daemon).map(|(number, _)| number);
    let bought = nodes.iter().map(|node| &state.nodes[*node]).filter(|node| node.bought && node.open);
    let of_nodes = bought.flat_map(|node| instance.sites[node.site].daemons.iter().copied());
    of_pods.chain(of_nodes).collect()
}

fn plan(
    state: &Occupancy<'_>,
    names: &Names,
    index: &Index,
    (groups, whole): (&BTreeSet<usize>, &BTreeSet<usize>),
    (pods, nodes, daemons): (&BTreeSet<usize>, &BTreeSet<usize>, &BTreeSet<usize>),
) -> Plan {
    let instance = state.instance;
    let mut placements: Vec<Placement> = pods.iter().filter_map(|pod| placement(state, names, *pod)).collect();
    placements.extend(nodes.iter().flat_map(|node| daemon_placements(state, names, *node)));
    let workloads = groups.iter().filter_map(|group| workload_plan(state, *group, 0));
    let of_daemons = daemons.iter().map(|number| daemon_plan(instance, &instance.snapshot.workloads[*number], 0));
    Plan {
        certificate: unproven(),
        workloads: workloads.chain(of_daemons).collect(),
        nodes: nodes.iter().filter_map(|node| node_plan(state, names, *node)).collect(),
        placements,
        removals: pods.iter().filter_map(|pod| removal(state, *pod)).collect(),
        // A plan that stops pods for others is judged whole.
        preempted: Vec::new(),
        unplaced: whole.iter().filter_map(|group| unplaced(state, index, *group)).collect(),
        pending: Vec::new(),
        binding: Vec::new(),
        conflict: None,
    }
}

/// Pods of the group that have no node, if there are any.
pub(super) fn unplaced(state: &Occupancy<'_>, index: &Index, group: usize) -> Option<Unplaced> {
    let facts = &state.instance.groups[group];
    let waits = |pod: &&usize| {
        let pod = &state.pods[**pod];
        pod.node.is_none() && !pod.removed && !matches!(pod.standing, Standing::Leaving | Standing::Elsewhere)
    };
    let count = index.of_group[group].iter().filter(waits).count() as u32;
    (count > 0).then(|| Unplaced {
        namespace: facts.id.namespace.clone(),
        workload: facts.label(),
        count,
        reasons: Vec::new(),
    })
}
