//! A change enters the inputs and the indexed facts about them, without anything being placed yet.

use std::collections::BTreeSet;

use crate::domain::resources::Resources;
use crate::domain::snapshot::{Pod, Snapshot};

use super::super::instance::{PodFacts, Standing, dense_demand, standing_of};
use super::super::relations::Relations;
use super::change::{Change, ChangeError};
use super::held::{Held, InstanceShelf};
use super::index::{Index, Named};
use super::scope::Rules;

/// What placing must know of a change that entered.
#[derive(Default)]
pub(super) struct Edits {
    /// Pods of the state that are gone.
    pub(super) dead: Vec<usize>,
    /// Pods of the state with their new numbers in the snapshot, in the order in which they changed.
    pub(super) renumbered: Vec<(usize, usize)>,
    /// Pods of the snapshot that came.
    pub(super) came: Vec<usize>,
    /// Templates that the workload's pods have or had.
    pub(super) templates: BTreeSet<usize>,
    /// Nodes on which other pods stand now.
    pub(super) nodes: BTreeSet<usize>,
}

/// Everything that a change enters.
pub(super) struct Intake<'s> {
    pub(super) held: &'s mut Held,
    pub(super) instance: &'s mut InstanceShelf,
    pub(super) relations: &'s mut Relations,
    pub(super) index: &'s mut Index,
    pub(super) rules: &'s mut Rules,
}

impl Intake<'_> {
    /// Lets the change in, all of it or, where it does not fit, nothing.
    pub(super) fn enter(&mut self, change: &Change, group: usize) -> Result<Edits, ChangeError> {
        self.refuse(change, group)?;
        let mut edits = Edits::default();
        edits.templates.extend(self.instance.templates_of(group));
        for (name, ready) in change.ready.iter().filter(|(name, _)| !change.came.iter().any(|pod| pod.name == *name)) {
            if let Some(Named::Existing(pod)) = self.index.find(&change.workload.namespace, name) {
                self.held.snapshot.pods[pod].ready = *ready;
            }
        }
        for name in &change.gone {
            self.remove(change, name, &mut edits);
        }
        let links = self.held.links(group);
        if let (Some(replicas), Some(workload)) = (change.replicas, links.workload) {
            self.held.snapshot.workloads[workload].replicas = replicas;
        }
        if let (Some(requests), Some(workload)) = (&change.requests, links.workload) {
            self.set_requests(workload, group, requests);
        }
        if let Some(menu) = &change.menu {
            self.held.set_menu(group, menu.clone());
        }
        for pod in &change.came {
            let mut pod = pod.clone();
            if let Some((_, ready)) = change.ready.iter().find(|(name, _)| *name == pod.name) {
                pod.ready = *ready;
            }
            self.add(pod, group, &mut edits);
        }
        let workload = links.workload.and_then(|workload| self.held.snapshot.workloads[workload].template);
        edits.templates.extend(workload);
        Ok(edits)
    }

    /// What of the change names something that is not there, or is there already.
    fn refuse(&self, change: &Change, group: usize) -> Result<(), ChangeError> {
        let workload = || change.workload.clone();
        let links = self.held.links(group);
        let template = links.workload.and_then(|workload| self.held.snapshot.workloads[workload].template);
        if change.requests.is_some() && template.is_none() {
            return Err(ChangeError::NoTemplate { workload: workload() });
        }
        if change.replicas.is_some() && links.workload.is_none() {
            return Err(ChangeError::WorkloadUnknown { workload: workload() });
        }
        let is_own = |name: &str| match self.index.find(&change.workload.namespace, name) {
            Some(Named::Existing(pod)) => self.held.snapshot.pods[pod].workload == change.workload,
            _ => false,
        };
        let gone: BTreeSet<&str> = change.gone.iter().map(String::as_str).collect();
        let mut came: BTreeSet<&str> = BTreeSet::new();
        if let Some(pod) = gone.iter().find(|name| !is_own(name)) {
            return Err(ChangeError::PodUnknown { workload: workload(), pod: (*pod).to_owned() });
        }
        let templates: BTreeSet<usize> = self.instance.templates_of(group).chain(template).collect();
        for pod in &change.came {
            let exists = matches!(self.index.find(&pod.namespace, &pod.name), Some(Named::Existing(_)));
            if !came.insert(&pod.name) || exists && !gone.contains(pod.name.as_str()) {
                return Err(ChangeError::PodTwice { workload: workload(), pod: pod.name.clone() });
            }
            if !templates.contains(&pod.template) {
                let (pod, template) = (pod.name.clone(), pod.template);
                return Err(ChangeError::TemplateUnknown { workload: workload(), pod, template });
            }
        }
        let there = |name: &str| came.contains(name) || is_own(name) && !gone.contains(name);
        match change.ready.iter().find(|(name, _)| !there(name)) {
            Some((pod, _)) => Err(ChangeError::PodUnknown { workload: workload(), pod: pod.clone() }),
            None => Ok(()),
        }
    }

    fn remove(&mut self, change: &Change, name: &str, edits: &mut Edits) {
        let Some(Named::Existing(pod)) = self.index.find(&change.workload.namespace, name) else { return };
        if edits.dead.contains(&self.index.state_of[pod]) {
            return;
        }
        edits.dead.push(self.index.state_of[pod]);
        let facts = self.instance.pods()[pod].clone();
        self.use_node(&facts, -1, edits);
        let last = self.instance.pods().len() - 1;
        let number_of_last = self.index.state_of[last];
        self.index.remove_existing(self.instance.pods(), pod);
        self.instance.remove_pod(pod);
        self.charge(facts.template, -1);
        self.held.snapshot.pods.swap_remove(pod);
        if let Some(moved) = self.held.snapshot.pods.get(pod) {
            self.index.renumber(&moved.namespace, &moved.name, pod);
            edits.renumbered.push((number_of_last, pod));
        }
    }

    fn add(&mut self, pod: Pod, group: usize, edits: &mut Edits) {
        let node = pod.node.as_deref().and_then(|name| self.held.node_number(name));
        let batch = self.held.links(group).workload.is_some_and(|w| self.held.snapshot.workloads[w].batch);
        let standing = standing_of(&pod, node, false, batch);
        let names: Vec<&str> = self.held.resources().collect();
        let demand = dense_demand(&names, &self.held.snapshot.templates[pod.template]);
        let planned = standing != Standing::Leaving;
        let group = planned.then_some(group);
        let facts = PodFacts { standing, group, template: pod.template, node, demand };
        self.use_node(&facts, 1, edits);
        self.charge(facts.template, 1);
        self.instance.add_pod(facts);
        self.held.snapshot.pods.push(pod);
        edits.came.push(self.held.snapshot.pods.len() - 1);
    }

    /// What stands on the pod's node grows by the pod, or shrinks (−1).
    fn use_node(&mut self, facts: &PodFacts, sign: i64, edits: &mut Edits) {
        let Some(node) = facts.node else { return };
        edits.nodes.insert(node);
        for (used, amount) in self.relations.layout.used_now[node].iter_mut().zip(&facts.demand) {
            *used = used.saturating_add(sign * amount);
        }
    }

    /// What quotas say is used grows by a pod of the template, or shrinks (−1).
    fn charge(&mut self, template: usize, sign: i64) {
        let Snapshot { quotas, templates, .. } = &mut self.held.snapshot;
        let template = &templates[template];
        for quota in quotas.iter_mut().filter(|quota| quota.charges(template)) {
            let charges: Vec<(String, i64)> = quota
                .of_pods()
                .map(|(name, _)| (name.to_owned(), quota.charge(name, template, &template.requests)))
                .collect();
            for (name, amount) in charges {
                if let Some(used) = quota.used.0.get_mut(&name) {
                    *used = used.saturating_add(sign * amount);
                }
            }
        }
    }

    /// Pods to come are made from a template that asks for this: one the workload's pods have, or another one like its own.
    fn set_requests(&mut self, workload: usize, group: usize, requests: &Resources) {
        let templates = &mut self.held.snapshot.templates;
        let Some(own) = self.held.snapshot.workloads[workload].template else { return };
        let mut wanted = templates[own].clone();
        wanted.requests = requests.clone();
        let known = self.instance.templates_of(group).find(|t| templates[*t] == wanted);
        let template = known.unwrap_or_else(|| {
            templates.push(wanted);
            let template = templates.len() - 1;
            self.instance.template_like(template, own);
            self.relations.template_like(own);
            self.rules.template_like(template, own);
            self.index.of_template.push(Vec::new());
            template
        });
        self.held.snapshot.workloads[workload].template = Some(template);
    }
}
