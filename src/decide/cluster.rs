//! The cluster as it changes from wave to wave: who is where, and what room is left.

use std::collections::BTreeMap;

use crate::domain::resources::PODS;
use crate::domain::rules::Labels;
use crate::domain::{Resources, Snapshot};

/// Index of a node in [`Cluster::nodes`].
pub(super) type NodeIndex = usize;
/// Index of a pod in [`Cluster::pods`].
pub(super) type PodIndex = usize;

/// A node that stands or that the plan buys.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) labels: Labels,
    /// Room while the wave runs: what arrives is taken at once, what leaves is given back at the wave's end.
    pub(super) free: Resources,
    /// Pods on it while the wave runs: those leaving and those arriving.
    pub(super) pods: Vec<PodIndex>,
    /// Whether it is there yet.
    pub(super) standing: bool,
}

/// A pod that is there or is to come.
#[derive(Debug, Clone)]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Index into the snapshot's templates: labels and rules.
    pub(super) template: usize,
    /// Index into the snapshot's workloads, if it belongs to one of them.
    pub(super) workload: Option<usize>,
    pub(super) node: Option<NodeIndex>,
    /// What it reserves, its pod slot included.
    pub(super) size: Resources,
    pub(super) ready: bool,
    pub(super) do_not_evict: bool,
    /// Being deleted: holds its room until it is gone, and is no longer anybody's.
    pub(super) leaving: bool,
}

/// What happens at the end of the running wave.
#[derive(Debug, Clone)]
enum Ending {
    /// The pod leaves this node.
    Leaves(PodIndex, NodeIndex, Resources),
    /// The pod is at this node.
    Arrived(PodIndex, NodeIndex, Resources),
    /// The pod shrank by so much on its node.
    Shrank(NodeIndex, Resources),
}

/// Nodes, pods and the room between them.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) nodes: Vec<Node>,
    pub(super) pods: Vec<Pod>,
    by_name: BTreeMap<String, NodeIndex>,
    endings: Vec<Ending>,
}

impl Cluster {
    /// The cluster of the snapshot.
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let mut cluster = Self { nodes: Vec::new(), pods: Vec::new(), by_name: BTreeMap::new(), endings: Vec::new() };
        for node in &snapshot.nodes {
            cluster.add_node(&node.name, node.labels.clone(), node.allocatable.clone(), true);
        }
        let workloads: BTreeMap<_, _> = snapshot.workloads.iter().enumerate().map(|(i, w)| (&w.id, i)).collect();
        for pod in &snapshot.pods {
            let Some(template) = snapshot.templates.get(pod.template) else { continue };
            let node = pod.node.as_ref().and_then(|name| cluster.by_name.get(name).copied());
            let index = cluster.pods.len();
            let size = with_slot(&template.requests);
            if let Some(node) = node {
                cluster.nodes[node].free.subtract(&size);
                cluster.nodes[node].pods.push(index);
            }
            cluster.pods.push(Pod {
                namespace: pod.namespace.clone(),
                name: pod.name.clone(),
                template: pod.template,
                workload: workloads.get(&pod.workload).copied(),
                node,
                size,
                ready: pod.ready && !pod.deleting,
                do_not_evict: pod.do_not_evict,
                leaving: pod.deleting,
            });
        }
        cluster
    }

    /// Adds a node, standing or to come.
    pub(super) fn add_node(&mut self, name: &str, labels: Labels, allocatable: Resources, standing: bool) -> NodeIndex {
        let index = self.nodes.len();
        self.by_name.insert(name.to_owned(), index);
        let free = allocatable;
        self.nodes.push(Node { name: name.to_owned(), labels, free, pods: Vec::new(), standing });
        index
    }

    /// Adds a pod to come.
    pub(super) fn add_pod(&mut self, pod: Pod) -> PodIndex {
        self.pods.push(pod);
        self.pods.len() - 1
    }

    /// The node of this name.
    pub(super) fn node(&self, name: &str) -> Option<NodeIndex> {
        self.by_name.get(name).copied()
    }

    /// Whether `size` fits on the node beside everything that is there while the wave runs.
    pub(super) fn fits(&self, node: NodeIndex, size: &Resources) -> Result<(), String> {
        let node = &self.nodes[node];
        if !node.standing {
            return Err(format!("node {} is not there yet", node.name));
        }
        if size.fits_in(&node.free) { Ok(()) } else { Err(format!("room on node {}", node.name)) }
    }

    /// The pod takes room on the node from now on, and is there when the wave ends; where it was before, it leaves then.
    pub(super) fn arrive(&mut self, pod: PodIndex, node: NodeIndex, size: Resources) {
        match self.pods[pod].node {
            Some(from) => self.endings.push(Ending::Leaves(pod, from, self.pods[pod].size.clone())),
            // It counts as ready once it is there: a wave is finished before the next begins.
            None => self.pods[pod].ready = true,
        }
        self.nodes[node].free.subtract(&size);
        self.nodes[node].pods.push(pod);
        self.endings.push(Ending::Arrived(pod, node, size));
    }

    /// The pod is gone when the wave ends.
    pub(super) fn leave(&mut self, pod: PodIndex) {
        if let Some(from) = self.pods[pod].node {
            self.endings.push(Ending::Leaves(pod, from, self.pods[pod].size.clone()));
        }
    }

    /// The pod has the new size: growth takes room at once, what it gives up is free when the wave ends.
    pub(super) fn resize(&mut self, pod: PodIndex, to: &Resources) {
        let growth = growth(&self.pods[pod].size, to);
        if let Some(node) = self.pods[pod].node {
            self.nodes[node].free.subtract(&growth);
            let mut shrunk = self.pods[pod].size.clone();
            shrunk.add(&growth);
            shrunk.subtract(to);
            self.endings.push(Ending::Shrank(node, shrunk));
        }
        self.pods[pod].size = to.clone();
    }

    /// Ends the wave: what leaves is gone, what arrived is there.
    pub(super) fn end_wave(&mut self) {
        for ending in std::mem::take(&mut self.endings) {
            match ending {
                Ending::Leaves(pod, node, size) => {
                    self.nodes[node].free.add(&size);
                    self.nodes[node].pods.retain(|p| *p != pod);
                    self.pods[pod].node = None;
                }
                Ending::Arrived(pod, node, size) => {
                    self.pods[pod].node = Some(node);
                    self.pods[pod].size = size;
                }
                Ending::Shrank(node, shrunk) => self.nodes[node].free.add(&shrunk),
            }
        }
    }
}

/// Requests with the pod's own slot.
pub(super) fn with_slot(requests: &Resources) -> Resources {
    let mut size = requests.clone();
    size.set(PODS, requests.get(PODS).max(1));
    size
}

/// What `to` asks for beyond `from`.
pub(super) fn growth(from: &Resources, to: &Resources) -> Resources {
    Resources(to.iter().map(|(name, amount)| (name.to_owned(), (amount - from.get(name)).max(0))).collect())
}
