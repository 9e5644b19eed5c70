//! Gangs: pods of which as many as they need have a node at the end of each wave in which any of them comes.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::Snapshot;

use super::cluster::{Cluster, PodIndex};

/// Gangs and how many of their pods have a node.
#[derive(Debug, Clone)]
pub(super) struct Gangs<'a> {
    snapshot: &'a Snapshot,
    /// The gang of each template.
    of_template: Vec<Option<usize>>,
    /// Pods that have a node now, by gang.
    placed: Vec<u32>,
}

impl<'a> Gangs<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let by_name: BTreeMap<(&str, &str), usize> =
            snapshot.gangs.iter().enumerate().map(|(i, g)| ((g.namespace.as_str(), g.name.as_str()), i)).collect();
        let gang = |t: &'a crate::domain::snapshot::PodTemplate| {
            by_name.get(&(t.namespace.as_str(), t.gang.as_deref()?)).copied()
        };
        let of_template = snapshot.templates.iter().map(gang).collect();
        Self { snapshot, of_template, placed: vec![0; snapshot.gangs.len()] }
    }

    /// Counts anew.
    pub(super) fn begin_wave(&mut self, cluster: &Cluster) {
        self.placed.fill(0);
        for pod in cluster.pods.iter().filter(|pod| pod.node.is_some() && !pod.leaving) {
            if let Some(gang) = self.of_template[pod.template] {
                self.placed[gang] += 1;
            }
        }
    }

    /// The gang of a template's pods.
    pub(super) fn of(&self, template: usize) -> Option<usize> {
        self.of_template[template]
    }

    /// Pods of those that come whose gang would have too few with a node.
    pub(super) fn incomplete(&self, cluster: &Cluster, coming: &[PodIndex]) -> BTreeSet<PodIndex> {
        let mut placed: BTreeMap<usize, u32> = BTreeMap::new();
        for &pod in coming {
            if let Some(gang) = self.of_template[cluster.pods[pod].template] {
                *placed.entry(gang).or_insert(self.placed[gang]) += u32::from(cluster.pods[pod].node.is_none());
            }
        }
        let lacks = |pod: &&PodIndex| {
            let gang = self.of_template[cluster.pods[**pod].template];
            gang.is_some_and(|gang| placed[&gang] < self.snapshot.gangs[gang].min_members)
        };
        coming.iter().filter(lacks).copied().collect()
    }

    /// What keeps a pod of the template from coming alone.
    pub(super) fn rule(&self, template: usize) -> String {
        let name = |gang: usize| {
            let gang = &self.snapshot.gangs[gang];
            format!("pod group {}/{}, of which {} come at once", gang.namespace, gang.name, gang.min_members)
        };
        self.of_template[template].map_or_else(String::new, name)
    }
}
