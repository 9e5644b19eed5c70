//! The cluster as it changes from wave to wave: who is where, and what room is left.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::resources::PODS;
use crate::domain::rules::{Labels, Taint, TaintEffect};
use crate::domain::snapshot::PodTemplate;
use crate::domain::volumes::is_volume_limit;
use crate::domain::{CapacityType, Resources, Snapshot};

/// The taint of a node that takes no new pods.
const CORDON: &str = "node.kubernetes.io/unschedulable";

/// Index of a node in [`Cluster::nodes`].
pub(super) type NodeIndex = usize;
/// Index of a pod in [`Cluster::pods`].
pub(super) type PodIndex = usize;

/// A node that stands or that the plan buys.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) labels: Labels,
    pub(super) taints: Vec<Taint>,
    /// Its zone; empty where it has none.
    pub(super) zone: String,
    pub(super) capacity_type: CapacityType,
    /// Most volumes of each driver that has a limit here.
    pub(super) volume_limits: Resources,
    /// Room while the wave runs: what arrives is taken at once, what leaves is given back at the wave's end.
    pub(super) free: Resources,
    /// Pods on it while the wave runs: those leaving and those arriving.
    pub(super) pods: Vec<PodIndex>,
    /// Whether it is there yet.
    pub(super) standing: bool,
}

/// A pod that is there or is to come.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, as in the domain's pod")]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Index into the snapshot's templates: labels and rules.
    pub(super) template: usize,
    /// Index into the snapshot's workloads, if it belongs to one of them.
    pub(super) workload: Option<usize>,
    pub(super) node: Option<NodeIndex>,
    /// What it reserves, its pod slot and the volumes that only it uses included.
    pub(super) size: Resources,
    /// Whether it exists, with a node or without, so that quotas are charged for it.
    pub(super) made: bool,
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
    /// Grows whenever a node comes, goes or is cordoned.
    pub(super) nodes_version: u32,
    by_name: BTreeMap<String, NodeIndex>,
    endings: Vec<Ending>,
}

impl Cluster {
    /// The cluster of the snapshot.
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let mut cluster = Self {
            nodes: Vec::new(),
            pods: Vec::new(),
            nodes_version: 1,
            by_name: BTreeMap::new(),
            endings: Vec::new(),
        };
        for node in &snapshot.nodes {
            cluster.add_node(Node {
                name: node.name.clone(),
                labels: node.labels.clone(),
                taints: node.taints.clone(),
                zone: node.zone.clone(),
                capacity_type: node.capacity_type,
                volume_limits: node.volume_limits.clone(),
                free: node.allocatable.clone(),
                pods: Vec::new(),
                standing: true,
            });
        }
        let workloads: BTreeMap<_, _> = snapshot.workloads.iter().enumerate().map(|(i, w)| (&w.id, i)).collect();
        for pod in &snapshot.pods {
            let Some(template) = snapshot.templates.get(pod.template) else { continue };
            let node = pod.node.as_ref().and_then(|name| cluster.by_name.get(name).copied());
            let index = cluster.pods.len();
            let size = reserved(&template.requests, template);
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
                made: true,
                ready: pod.ready && !pod.deleting,
                do_not_evict: pod.do_not_evict,
                leaving: pod.deleting,
            });
        }
        cluster
    }

    /// Adds a node without pods, standing or to come; `free` is what it can give to pods.
    pub(super) fn add_node(&mut self, mut node: Node) -> NodeIndex {
        let index = self.nodes.len();
        self.by_name.insert(node.name.clone(), index);
        node.free.add(&node.volume_limits);
        self.nodes.push(node);
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
        let short = size.iter().filter(|(name, amount)| *amount > 0 && *amount > node.free.get(name));
        for (name, _) in short {
            if !is_volume_limit(name) {
                return Err(format!("room on node {}", node.name));
            }
            // A driver that the node has no limit of takes any number.
            if node.volume_limits.0.contains_key(name) {
                return Err(format!("{name} on node {}", node.name));
            }
        }
        Ok(())
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

    /// Takes back that these pods arrive in this wave.
    pub(super) fn withdraw(&mut self, pods: &BTreeSet<PodIndex>) {
        let mut moving = BTreeSet::new();
        for ending in std::mem::take(&mut self.endings) {
            match ending {
                Ending::Leaves(pod, ..) if pods.contains(&pod) => drop(moving.insert(pod)),
                Ending::Arrived(pod, node, size) if pods.contains(&pod) => {
                    self.nodes[node].free.add(&size);
                    self.nodes[node].pods.retain(|p| *p != pod);
                    self.pods[pod].ready &= moving.contains(&pod);
                }
                other => self.endings.push(other),
            }
        }
    }

    /// The node that was to come is there.
    pub(super) fn add(&mut self, node: NodeIndex) {
        self.nodes[node].standing = true;
        self.nodes_version += 1;
    }

    /// The node takes no new pods from now on.
    pub(super) fn cordon(&mut self, node: NodeIndex) {
        self.nodes_version += 1;
        let taint = Taint { key: CORDON.to_owned(), value: String::new(), effect: TaintEffect::NoSchedule };
        self.nodes[node].taints.push(taint);
    }

    /// The node is gone, with the pods that belong to it; returns them.
    pub(super) fn remove(&mut self, node: NodeIndex) -> Vec<PodIndex> {
        self.nodes[node].standing = false;
        self.nodes_version += 1;
        let pods = std::mem::take(&mut self.nodes[node].pods);
        for &pod in &pods {
            self.pods[pod].node = None;
        }
        pods
    }

    /// The pod leaves its node when the wave ends. Its successor, of this size, is made and waits.
    pub(super) fn evict(&mut self, pod: PodIndex, size: Resources) {
        let size = std::mem::replace(&mut self.pods[pod].size, size);
        self.pods[pod].ready = false;
        if let Some(from) = self.pods[pod].node {
            self.endings.push(Ending::Leaves(pod, from, size));
        }
    }

    /// The pod is gone when the wave ends.
    pub(super) fn leave(&mut self, pod: PodIndex) {
        self.pods[pod].made = false;
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
                    self.pods[pod].made = true;
                    self.pods[pod].node = Some(node);
                    self.pods[pod].size = size;
                }
                Ending::Shrank(node, shrunk) => self.nodes[node].free.add(&shrunk),
            }
        }
    }
}

/// What a pod of the template with these requests reserves: its slot and the volumes that only it uses included.
pub(super) fn reserved(requests: &Resources, template: &PodTemplate) -> Resources {
    let mut size = requests.clone();
    size.set(PODS, requests.get(PODS).max(1));
    size.add(&template.rules.volumes.own);
    size
}

/// What `to` asks for beyond `from`.
pub(super) fn growth(from: &Resources, to: &Resources) -> Resources {
    Resources(to.iter().map(|(name, amount)| (name.to_owned(), (amount - from.get(name)).max(0))).collect())
}
