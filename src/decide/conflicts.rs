//! Pods that cannot be in one place: host ports and required anti-affinity, in both directions.

use crate::domain::Snapshot;
use crate::domain::rules::{HOSTNAME_LABEL, PodAffinityTerm};
use crate::domain::snapshot::PodTemplate;

use super::cluster::{Cluster, Node, NodeIndex, PodIndex};

/// Finds conflicts; knows from the start whether any pod has such rules at all.
#[derive(Debug, Clone)]
pub(super) struct Conflicts<'a> {
    snapshot: &'a Snapshot,
    /// Topology keys of any anti-affinity beside the host's.
    wide: bool,
    any: bool,
}

impl<'a> Conflicts<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let rules = || snapshot.templates.iter().map(|t| &t.rules);
        let any = rules().any(|r| !r.pod_anti_affinity.is_empty() || !r.host_ports.is_empty());
        let wide = rules().flat_map(|r| &r.pod_anti_affinity).any(|term| term.topology_key != HOSTNAME_LABEL);
        Self { snapshot, wide, any }
    }

    /// Whether the pod may be on the node beside all who are there while the wave runs; else who is in the way.
    pub(super) fn check(&self, cluster: &Cluster, pod: PodIndex, node: NodeIndex) -> Result<(), String> {
        if !self.any {
            return Ok(());
        }
        let mine = self.template(cluster, pod);
        let here = &cluster.nodes[node];
        let domains: Box<dyn Iterator<Item = &Node>> =
            if self.wide { Box::new(cluster.nodes.iter()) } else { Box::new(std::iter::once(here)) };
        for there in domains {
            for &other in there.pods.iter().filter(|p| **p != pod) {
                let theirs = self.template(cluster, other);
                let ports = there.name == here.name
                    && mine
                        .rules
                        .host_ports
                        .iter()
                        .any(|a| theirs.rules.host_ports.iter().any(|b| a.conflicts_with(b)));
                let apart = |a: &PodTemplate, b: &PodTemplate| {
                    a.rules
                        .pod_anti_affinity
                        .iter()
                        .any(|term| same_domain(term, here, there) && self.means(term, a, b))
                };
                if ports || apart(mine, theirs) || apart(theirs, mine) {
                    let other = &cluster.pods[other];
                    return Err(format!("pod {}/{} on node {}", other.namespace, other.name, there.name));
                }
            }
        }
        Ok(())
    }

    fn template(&self, cluster: &Cluster, pod: PodIndex) -> &'a PodTemplate {
        &self.snapshot.templates[cluster.pods[pod].template]
    }

    /// Whether the term of a pod of template `of` means pods of template `other`.
    fn means(&self, term: &PodAffinityTerm, of: &PodTemplate, other: &PodTemplate) -> bool {
        let listed = term.namespaces.contains(&other.namespace);
        let selected = term.namespace_selector.as_ref().is_some_and(|selector| {
            let none = std::collections::BTreeMap::new();
            selector.matches(self.snapshot.namespaces.get(&other.namespace).unwrap_or(&none))
        });
        let own = term.namespaces.is_empty() && term.namespace_selector.is_none() && of.namespace == other.namespace;
        (listed || selected || own) && term.selector.as_ref().is_some_and(|s| s.matches(&other.labels))
    }
}

/// Whether two nodes are in one domain of the term; a node without the label is in none.
fn same_domain(term: &PodAffinityTerm, a: &Node, b: &Node) -> bool {
    match (a.labels.get(&term.topology_key), b.labels.get(&term.topology_key)) {
        (Some(x), Some(y)) => x == y,
        // The host's name stands for its label where a dump leaves labels out.
        (None, None) => term.topology_key == HOSTNAME_LABEL && a.name == b.name,
        _ => false,
    }
}
