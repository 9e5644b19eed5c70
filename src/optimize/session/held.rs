//! The inputs a session owns, and the views over them put away between changes.

use std::collections::BTreeMap;

use crate::domain::catalog::Catalog;
use crate::domain::menu::Menu;
use crate::domain::policy::Policy;
use crate::domain::snapshot::{Snapshot, WorkloadId};

use super::super::instance::{Group, GroupFacts, Instance, PodFacts};
use super::super::limits::Limits;
use super::super::quotas::Quotas;
use super::super::shapes::Shapes;
use super::super::sites::Site;

/// What the plan is made from, as it is now.
pub(super) struct Held {
    pub(super) snapshot: Snapshot,
    pub(super) catalog: Catalog,
    pub(super) policy: Policy,
    pub(super) menus: Vec<Menu>,
    /// Workload of each group.
    ids: Vec<WorkloadId>,
    links: Vec<Links>,
    resources: Vec<String>,
    node_numbers: BTreeMap<String, usize>,
}

/// Where what a group borrows is found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Links {
    pub(super) workload: Option<usize>,
    target: Option<usize>,
    pub(super) menu: Option<usize>,
}

/// Everything of an instance that is its own.
#[derive(Default)]
pub(super) struct InstanceShelf {
    groups: Vec<GroupFacts>,
    pods: Vec<PodFacts>,
    sites: Vec<Site>,
    standing: usize,
    shapes: Shapes,
    limits: Limits,
    quotas: Quotas,
    preference_price: f64,
}

impl Held {
    /// Takes the inputs over. The groups come with the first instance made of them.
    pub(super) fn new(snapshot: Snapshot, catalog: Catalog, policy: Policy, menus: Vec<Menu>) -> Self {
        let node_numbers =
            snapshot.nodes.iter().enumerate().map(|(number, node)| (node.name.clone(), number)).collect();
        let (ids, links, resources) = (Vec::new(), Vec::new(), Vec::new());
        Self { snapshot, catalog, policy, menus, ids, links, resources, node_numbers }
    }

    /// Which workload a group is, and where the parts of it are found, as an instance over these inputs has them.
    pub(super) fn links_of(&self, instance: &Instance<'_>) -> (Vec<WorkloadId>, Vec<Links>, Vec<String>) {
        let number = |(number, id): (usize, &WorkloadId)| (id.clone(), number);
        let workloads: BTreeMap<WorkloadId, usize> =
            self.snapshot.workloads.iter().map(|w| &w.id).enumerate().map(number).collect();
        let menus: BTreeMap<WorkloadId, usize> =
            self.menus.iter().map(|m| &m.workload).enumerate().map(number).collect();
        let links = instance.groups.iter().map(|group| Links {
            workload: workloads.get(group.id).copied(),
            target: group.target.and_then(|t| self.policy.targets.iter().position(|other| std::ptr::eq(t, other))),
            menu: group.menu.and_then(|_| menus.get(group.id).copied()),
        });
        let resources = instance.resources.iter().map(|name| (*name).to_owned()).collect();
        (instance.groups.iter().map(|g| g.id.clone()).collect(), links.collect(), resources)
    }

    /// Keeps what [`Held::links_of`] found.
    pub(super) fn link(&mut self, (ids, links, resources): (Vec<WorkloadId>, Vec<Links>, Vec<String>)) {
        (self.ids, self.links, self.resources) = (ids, links, resources);
    }

    /// The group of the workload.
    pub(super) fn group_of(&self, id: &WorkloadId) -> Option<usize> {
        self.ids.binary_search(id).ok()
    }

    pub(super) fn links(&self, group: usize) -> Links {
        self.links[group]
    }

    /// Gives a group another menu, or none (`None`, or one without entries).
    pub(super) fn set_menu(&mut self, group: usize, menu: Menu) {
        let known = self.links[group].menu.or_else(|| self.menus.iter().position(|m| m.workload == menu.workload));
        self.links[group].menu = Some(known.unwrap_or(self.menus.len()));
        if let Some(number) = known {
            self.menus[number] = menu;
        } else {
            self.menus.push(menu);
        }
    }

    /// Names of the resources, in the order of all dense amounts.
    pub(super) fn resources(&self) -> impl Iterator<Item = &str> {
        self.resources.iter().map(String::as_str)
    }

    /// The node of that name.
    pub(super) fn node_number(&self, name: &str) -> Option<usize> {
        self.node_numbers.get(name).copied()
    }

    /// Whether amounts of the resource are counted.
    pub(super) fn knows_resource(&self, name: &str) -> bool {
        self.resources.binary_search_by(|known| known.as_str().cmp(name)).is_ok()
    }

    /// Takes an instance up over the inputs as they are now.
    pub(super) fn take_up(&self, shelf: InstanceShelf) -> Instance<'_> {
        let InstanceShelf { groups, pods, sites, standing, shapes, limits, quotas, preference_price } = shelf;
        let groups = groups.into_iter().zip(&self.ids).zip(&self.links).map(|((facts, id), links)| Group {
            id,
            workload: links.workload.map(|number| &self.snapshot.workloads[number]),
            target: links.target.map(|number| &self.policy.targets[number]),
            menu: links.menu.map(|number| &self.menus[number]).filter(|menu| !menu.entries.is_empty()),
            facts,
        });
        Instance {
            snapshot: &self.snapshot,
            policy: &self.policy,
            resources: self.resources.iter().map(String::as_str).collect(),
            groups: groups.collect(),
            pods,
            sites,
            standing,
            shapes,
            limits,
            quotas,
            preference_price,
        }
    }
}

impl InstanceShelf {
    /// Puts an instance away.
    pub(super) fn of(instance: Instance<'_>) -> Self {
        let Instance {
            snapshot: _,
            policy: _,
            resources: _,
            groups,
            pods,
            sites,
            standing,
            shapes,
            limits,
            quotas,
            preference_price,
        } = instance;
        let groups = groups.into_iter().map(|group| group.facts);
        Self { groups: groups.collect(), pods, sites, standing, shapes, limits, quotas, preference_price }
    }

    pub(super) fn pods(&self) -> &[PodFacts] {
        &self.pods
    }

    /// Templates of the group's pods and of those to come.
    pub(super) fn templates_of(&self, group: usize) -> impl Iterator<Item = usize> {
        self.groups[group].templates.iter().copied()
    }

    /// A pod comes, with the next number.
    pub(super) fn add_pod(&mut self, facts: PodFacts) {
        if let Some(group) = facts.group {
            self.groups[group].pods.push(self.pods.len());
        }
        self.pods.push(facts);
    }

    /// A pod goes, and the last one takes its number.
    pub(super) fn remove_pod(&mut self, pod: usize) {
        if let Some(group) = self.pods[pod].group {
            self.groups[group].pods.retain(|p| *p != pod);
        }
        let last = self.pods.len() - 1;
        if let Some(group) = self.pods[last].group {
            self.groups[group].pods.iter_mut().filter(|p| **p == last).for_each(|p| *p = pod);
        }
        self.pods.swap_remove(pod);
    }

    /// A template comes that differs from another only in what it asks for.
    pub(super) fn template_like(&mut self, template: usize, other: usize) {
        self.shapes.template_like(other);
        self.limits.template_like(template, other);
    }
}
