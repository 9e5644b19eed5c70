//! What a plan changes, taken apart into tasks, with what the policy refuses outright set aside.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::plan::{NodePlan, NodeState, PlacementState, Preemptor, Removal, WorkloadPlan};
use crate::domain::policy::Preemption as Allowed;
use crate::domain::rules::{HOSTNAME_LABEL, INSTANCE_TYPE_LABEL, ZONE_LABEL};
use crate::domain::steps::{Action, Deferred};
use crate::domain::{Catalog, NodeOffer, Plan, Policy, Resources, Snapshot, WorkloadId};

use super::cluster::{Cluster, Node, NodeIndex, Pod, PodIndex, reserved};
use super::limits;
use super::order::Arrival;

/// A node to buy.
#[derive(Debug, Clone)]
pub(super) struct Addition {
    pub(super) node: NodeIndex,
    pub(super) offer: String,
    pub(super) zone: String,
    pub(super) boot_time_s: f64,
    /// Pods of `DaemonSet`s that come with it.
    pub(super) daemons: Vec<PodIndex>,
}

/// Requests to change.
#[derive(Debug, Clone)]
pub(super) struct Resize {
    pub(super) workload: usize,
    pub(super) from: Resources,
    pub(super) to: Resources,
}

/// A pod without a node, and the node it gets.
#[derive(Debug, Clone)]
pub(super) struct Bind {
    pub(super) pod: PodIndex,
    pub(super) node: NodeIndex,
    pub(super) priority: i32,
}

impl Bind {
    pub(super) fn arrival(&self) -> Arrival {
        Arrival { pod: self.pod, to: self.node }
    }
}

/// Replicas to add, each with its node.
#[derive(Debug, Clone)]
pub(super) struct Growth {
    pub(super) workload: usize,
    pub(super) seconds: f64,
    pub(super) pods: Vec<(PodIndex, NodeIndex)>,
}

/// A pod to move.
#[derive(Debug, Clone)]
pub(super) struct Move {
    pub(super) pod: PodIndex,
    pub(super) from: NodeIndex,
    pub(super) to: NodeIndex,
    /// Whether its node is to be given back.
    pub(super) draining: bool,
}

/// A pod to stop for another.
#[derive(Debug, Clone)]
pub(super) struct Preemption {
    pub(super) pod: PodIndex,
    pub(super) node: NodeIndex,
    pub(super) by: Preemptor,
}

/// Replicas to take away.
#[derive(Debug, Clone)]
pub(super) struct Shrink {
    pub(super) workload: usize,
    pub(super) to: u32,
    pub(super) seconds: f64,
    pub(super) pods: Vec<PodIndex>,
}

/// A node to give back.
#[derive(Debug, Clone)]
pub(super) struct Drain {
    pub(super) node: NodeIndex,
    /// Whether it takes no new pods already.
    pub(super) cordoned: bool,
}

/// Everything the plan changes.
#[derive(Debug, Clone)]
pub(super) struct Tasks {
    pub(super) cluster: Cluster,
    pub(super) additions: Vec<Addition>,
    pub(super) resizes: Vec<Resize>,
    pub(super) binds: Vec<Bind>,
    pub(super) growths: Vec<Growth>,
    pub(super) moves: Vec<Move>,
    pub(super) preemptions: Vec<Preemption>,
    /// Pods that the plan stops and that run on for now.
    pub(super) spared: Vec<PodIndex>,
    pub(super) shrinks: Vec<Shrink>,
    pub(super) drains: Vec<Drain>,
    /// Refused outright.
    pub(super) deferred: Vec<Deferred>,
}

impl Tasks {
    pub(super) fn new(snapshot: &Snapshot, catalog: &Catalog, policy: &Policy, plan: &Plan) -> Self {
        let mut tasks = Self {
            cluster: Cluster::new(snapshot),
            additions: Vec::new(),
            resizes: Vec::new(),
            binds: Vec::new(),
            growths: Vec::new(),
            moves: Vec::new(),
            preemptions: Vec::new(),
            spared: Vec::new(),
            shrinks: Vec::new(),
            drains: Vec::new(),
            deferred: Vec::new(),
        };
        let existing: BTreeMap<(String, String), PodIndex> =
            tasks.cluster.pods.iter().enumerate().map(|(i, p)| ((p.namespace.clone(), p.name.clone()), i)).collect();
        tasks.add_nodes(snapshot, catalog, policy, plan);
        let kept = tasks.drain_nodes(snapshot, policy, plan);
        let mut to_come = tasks.place(snapshot, plan, &existing, &kept);
        for planned in &plan.workloads {
            let Ok(index) = snapshot.workloads.binary_search_by(|w| w.id.cmp(&planned.id)) else { continue };
            let new = to_come.remove(&index).unwrap_or_default();
            tasks.change_workload(snapshot, policy, plan, index, planned, new, &existing);
        }
        tasks.stop_pods(policy, plan, &existing);
        tasks
    }

    /// Who still waits for the room of a pod that is to be stopped: the one that the plan names, or else the most important of those
    /// that may take it.
    pub(super) fn taker(&self, snapshot: &Snapshot, task: &Preemption) -> Option<Preemptor> {
        let to_come = self.growths.iter().flat_map(|growth| growth.pods.iter().copied());
        let waiting = self.binds.iter().map(|bind| (bind.pod, bind.node)).chain(to_come);
        let waiting: Vec<PodIndex> = waiting.filter(|(_, node)| *node == task.node).map(|(pod, _)| pod).collect();
        let is_named = |pod: &&PodIndex| {
            let pod = &self.cluster.pods[**pod];
            (&pod.namespace, &pod.name) == (&task.by.namespace, &task.by.pod)
        };
        if waiting.iter().any(|pod| is_named(&pod)) {
            return Some(task.by.clone());
        }
        let own = priority(snapshot, &self.cluster.pods[task.pod]);
        let may_take = |pod: &PodIndex| {
            let template = snapshot.templates.get(self.cluster.pods[*pod].template);
            template.is_some_and(|template| template.priority > own && !template.never_preempts)
        };
        let takers = waiting.into_iter().filter(may_take);
        let taker = takers.max_by_key(|pod| (priority(snapshot, &self.cluster.pods[*pod]), std::cmp::Reverse(*pod)))?;
        let pod = &self.cluster.pods[taker];
        let id = &snapshot.workloads[pod.workload?].id;
        let workload = format!("{}/{}", id.kind, id.name);
        Some(Preemptor { namespace: pod.namespace.clone(), pod: pod.name.clone(), workload })
    }

    /// These, by namespace and name, are not stopped after all, each by the rule that says so.
    pub(super) fn spare(&mut self, spared: &BTreeMap<(String, String), String>) {
        for task in std::mem::take(&mut self.preemptions) {
            let pod = &self.cluster.pods[task.pod];
            match spared.get(&(pod.namespace.clone(), pod.name.clone())) {
                Some(rule) => self.defer_preemption(&task, rule.clone()),
                None => self.preemptions.push(task),
            }
        }
    }

    fn defer_preemption(&mut self, task: &Preemption, rule: String) {
        let action = self.preempt_action(task);
        self.deferred.push(Deferred { action, rule });
        self.spared.push(task.pod);
    }

    /// Pods to stop for others.
    fn stop_pods(&mut self, policy: &Policy, plan: &Plan, existing: &BTreeMap<(String, String), PodIndex>) {
        for preempted in &plan.preempted {
            let (Some(&pod), Some(node)) = (
                existing.get(&(preempted.namespace.clone(), preempted.pod.clone())),
                self.cluster.node(&preempted.node),
            ) else {
                continue;
            };
            if self.cluster.pods[pod].node != Some(node) {
                continue;
            }
            let task = Preemption { pod, node, by: preempted.by.clone() };
            if policy.disruption.preemption == Allowed::LowerPriority {
                self.preemptions.push(task);
            } else {
                self.defer_preemption(&task, "disruption.preemption".to_owned());
            }
        }
    }

    /// Pods that are to come to a node: those without one, and those that move.
    pub(super) fn arrivals(&self) -> impl Iterator<Item = Arrival> {
        let to_come = self.growths.iter().flat_map(|growth| &growth.pods).map(|&(pod, to)| Arrival { pod, to });
        let moves = self.moves.iter().map(|m| Arrival { pod: m.pod, to: m.to });
        self.binds.iter().map(Bind::arrival).chain(to_come).chain(moves)
    }

    fn add_nodes(&mut self, snapshot: &Snapshot, catalog: &Catalog, policy: &Policy, plan: &Plan) {
        let is_new = |node: &&NodePlan| node.state == NodeState::Add && self.cluster.node(&node.name).is_none();
        let new: Vec<&NodePlan> = plan.nodes.iter().filter(is_new).collect();
        let mut daemons = self.daemons_to_come(snapshot, plan, &new.iter().map(|n| n.name.as_str()).collect());
        for node in new {
            let sold = |o: &&NodeOffer| {
                o.name == node.offer && o.capacity_type == node.capacity_type && o.zones.contains(&node.zone)
            };
            let offer = catalog.offers.iter().find(sold);
            let mut labels = offer.map(|o| o.labels.clone()).unwrap_or_default();
            labels.insert(HOSTNAME_LABEL.to_owned(), node.name.clone());
            let instance_type = labels.entry(INSTANCE_TYPE_LABEL.to_owned()).or_insert_with(|| node.offer.clone());
            let volume_limits = snapshot.volume_limits_of_type(instance_type).unwrap_or_default();
            if !node.zone.is_empty() {
                labels.insert(ZONE_LABEL.to_owned(), node.zone.clone());
            }
            let index = self.cluster.add_node(Node {
                name: node.name.clone(),
                labels,
                taints: offer.map(|o| o.taints.clone()).unwrap_or_default(),
                zone: node.zone.clone(),
                capacity_type: node.capacity_type,
                volume_limits,
                free: node.allocatable.clone(),
                pods: Vec::new(),
                standing: false,
            });
            let daemons = daemons.remove(node.name.as_str()).unwrap_or_default();
            let (offer_name, zone) = (node.offer.clone(), node.zone.clone());
            if policy.disruption.add_nodes {
                let boot_time_s = offer.map_or(0.0, |o| o.boot_time_s);
                self.additions.push(Addition { node: index, offer: offer_name, zone, boot_time_s, daemons });
            } else {
                let action = Action::AddNode { node: node.name.clone(), offer: offer_name, zone };
                self.deferred.push(Deferred { action, rule: "disruption.addNodes".to_owned() });
            }
        }
    }

    /// Pods of `DaemonSet`s that the plan has on nodes to buy, by node.
    fn daemons_to_come<'p>(
        &mut self,
        snapshot: &Snapshot,
        plan: &'p Plan,
        nodes: &BTreeSet<&str>,
    ) -> BTreeMap<&'p str, Vec<PodIndex>> {
        let mut daemons: BTreeMap<&str, Vec<PodIndex>> = BTreeMap::new();
        for placement in plan.placements.iter().filter(|p| nodes.contains(p.node.as_str())) {
            let id = workload_id(&placement.namespace, &placement.workload);
            let Ok(workload) = snapshot.workloads.binary_search_by(|w| w.id.cmp(&id)) else { continue };
            if snapshot.workloads[workload].daemon {
                let pod = self.pod_to_come(snapshot, &placement.namespace, &placement.pod, workload);
                daemons.entry(&placement.node).or_default().extend(pod);
            }
        }
        daemons
    }

    /// Adds a pod that the workload is to make; `None` where nothing tells what it is like.
    fn pod_to_come(&mut self, snapshot: &Snapshot, namespace: &str, name: &str, workload: usize) -> Option<PodIndex> {
        let number = snapshot.workloads[workload].template?;
        let template = snapshot.templates.get(number)?;
        Some(self.cluster.add_pod(Pod {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            template: number,
            workload: Some(workload),
            node: None,
            size: reserved(&template.requests, template),
            made: false,
            ready: false,
            do_not_evict: false,
            leaving: false,
        }))
    }

    /// Nodes to give back; returns those that must stay, each with the rule.
    fn drain_nodes(&mut self, snapshot: &Snapshot, policy: &Policy, plan: &Plan) -> BTreeMap<NodeIndex, String> {
        let mut kept = BTreeMap::new();
        let mut drains_left = policy.disruption.max_drains.of_rounded_up(snapshot.nodes.len() as u32);
        let mut wished: Vec<&NodePlan> = plan.nodes.iter().filter(|n| n.state == NodeState::Remove).collect();
        wished.sort_by(|a, b| b.price_per_hour.total_cmp(&a.price_per_hour).then_with(|| a.name.cmp(&b.name)));
        for planned in wished {
            let Some(index) = self.cluster.node(&planned.name) else { continue };
            let Some(node) = snapshot.nodes.iter().find(|n| n.name == planned.name) else { continue };
            let occupied =
                self.cluster.nodes[index].pods.iter().any(|&p| !leaves_with_node(snapshot, &self.cluster.pods[p]));
            let refusal = if !policy.disruption.remove_nodes {
                Some("disruption.removeNodes".to_owned())
            } else if node.do_not_disrupt {
                Some(format!("node {} must not be disrupted", node.name))
            } else if occupied && drains_left == 0 {
                Some("disruption.maxDrains".to_owned())
            } else {
                None
            };
            if let Some(rule) = refusal {
                let action = Action::RemoveNode { node: node.name.clone() };
                self.deferred.push(Deferred { action, rule: rule.clone() });
                kept.insert(index, rule);
            } else {
                drains_left -= u32::from(occupied);
                self.drains.push(Drain { node: index, cordoned: node.unschedulable });
            }
        }
        kept
    }

    /// Binds and moves of pods that exist; returns the pods to come by workload, in the plan's order.
    fn place(
        &mut self,
        snapshot: &Snapshot,
        plan: &Plan,
        existing: &BTreeMap<(String, String), PodIndex>,
        kept: &BTreeMap<NodeIndex, String>,
    ) -> BTreeMap<usize, Vec<(PodIndex, NodeIndex)>> {
        let draining: BTreeSet<NodeIndex> = self.drains.iter().map(|d| d.node).collect();
        let mut to_come: BTreeMap<usize, Vec<(PodIndex, NodeIndex)>> = BTreeMap::new();
        for placement in plan.placements.iter().filter(|p| p.state != PlacementState::Stay) {
            let Some(node) = self.cluster.node(&placement.node) else { continue };
            let key = (placement.namespace.clone(), placement.pod.clone());
            if let Some(&pod) = existing.get(&key) {
                match self.cluster.pods[pod].node {
                    None => self.binds.push(Bind { pod, node, priority: priority(snapshot, &self.cluster.pods[pod]) }),
                    Some(from) if from == node => {}
                    Some(from) => match kept.get(&from) {
                        None => self.moves.push(Move { pod, from, to: node, draining: draining.contains(&from) }),
                        // Its node stays after all, so the move would gain nothing.
                        Some(rule) => {
                            let action = self.move_action(pod, from, node);
                            self.deferred.push(Deferred { action, rule: rule.clone() });
                        }
                    },
                }
                continue;
            }
            let id = workload_id(&placement.namespace, &placement.workload);
            let Ok(workload) = snapshot.workloads.binary_search_by(|w| w.id.cmp(&id)) else { continue };
            if snapshot.workloads[workload].daemon {
                continue;
            }
            let Some(pod) = self.pod_to_come(snapshot, &placement.namespace, &placement.pod, workload) else {
                continue;
            };
            to_come.entry(workload).or_default().push((pod, node));
        }
        self.binds.sort_by_key(|b| std::cmp::Reverse(b.priority));
        self.moves.sort_by_key(|m| !m.draining);
        to_come
    }

    #[expect(clippy::too_many_arguments, reason = "one workload's share of everything the plan is made of")]
    fn change_workload(
        &mut self,
        snapshot: &Snapshot,
        policy: &Policy,
        plan: &Plan,
        index: usize,
        planned: &WorkloadPlan,
        mut to_come: Vec<(PodIndex, NodeIndex)>,
        existing: &BTreeMap<(String, String), PodIndex>,
    ) {
        let workload = &snapshot.workloads[index];
        if planned.requests != planned.requests_now {
            let (from, to) = (planned.requests_now.clone(), planned.requests.clone());
            match limits::resize(snapshot, policy, workload) {
                Ok(()) => self.resizes.push(Resize { workload: index, from, to }),
                Err(rule) => {
                    let action = Action::Resize { workload: workload.id.clone(), from, to };
                    self.deferred.push(Deferred { action, rule });
                }
            }
        }
        // Pods that the controller owes already come without a change of its replicas.
        let (now, wish) = (workload.replicas, planned.replicas);
        let owed = to_come.len().saturating_sub(wish.saturating_sub(now) as usize);
        for (pod, node) in to_come.drain(..owed) {
            self.binds.push(Bind { pod, node, priority: priority(snapshot, &self.cluster.pods[pod]) });
        }
        let removals = plan.removals.iter().filter(|r| workload_id(&r.namespace, &r.workload) == workload.id);
        // Jobs and pods without a controller have as many pods as there are; a plan counts them and changes nothing.
        let untouched = !workload.scalable && to_come.is_empty() && removals.clone().next().is_none();
        if wish == now || untouched {
            return;
        }
        let limit = limits::scale(snapshot, policy, workload, now, wish);
        if let Some(rule) = limit.rule {
            self.defer_scale(&workload.id, limit.to, wish, rule);
        }
        if wish > now {
            let placed = to_come.len() as u32;
            let reachable = limit.to - now;
            if placed < reachable {
                let rule = format!("no node for {} of {}", reachable - placed, workload.id);
                self.defer_scale(&workload.id, now + placed, limit.to, rule);
            }
            to_come.truncate(reachable as usize);
            if !to_come.is_empty() {
                self.growths.push(Growth { workload: index, seconds: limit.seconds, pods: to_come });
            }
        } else if limit.to < now {
            let pod = |r: &Removal| existing.get(&(r.namespace.clone(), r.pod.clone())).copied();
            let mut pods: Vec<PodIndex> = removals.filter_map(pod).collect();
            // Of too many, those go first that the controller takes first: without a node, or of the highest ordinal.
            pods.sort_by_key(|&p| {
                let pod = &self.cluster.pods[p];
                (workload.id.pod_ordinal(&pod.name).map(std::cmp::Reverse), pod.node.is_some())
            });
            pods.truncate((now - limit.to) as usize);
            self.shrinks.push(Shrink { workload: index, to: limit.to, seconds: limit.seconds, pods });
        }
    }

    fn defer_scale(&mut self, workload: &WorkloadId, from: u32, to: u32, rule: String) {
        let action = Action::Scale { workload: workload.clone(), from, to, going: Vec::new() };
        self.deferred.push(Deferred { action, rule });
    }

    /// The action of a move.
    pub(super) fn move_action(&self, pod: PodIndex, from: NodeIndex, to: NodeIndex) -> Action {
        let moved = &self.cluster.pods[pod];
        Action::Move {
            namespace: moved.namespace.clone(),
            pod: moved.name.clone(),
            from: self.cluster.nodes[from].name.clone(),
            to: self.cluster.nodes[to].name.clone(),
        }
    }

    /// The action of a pod that is stopped for another.
    pub(super) fn preempt_action(&self, task: &Preemption) -> Action {
        let stopped = &self.cluster.pods[task.pod];
        Action::Preempt {
            namespace: stopped.namespace.clone(),
            pod: stopped.name.clone(),
            node: self.cluster.nodes[task.node].name.clone(),
            by: task.by.clone(),
        }
    }

    /// The action of a bind.
    pub(super) fn bind_action(&self, pod: PodIndex, node: NodeIndex) -> Action {
        let bound = &self.cluster.pods[pod];
        let node = self.cluster.nodes[node].name.clone();
        Action::Bind { namespace: bound.namespace.clone(), pod: bound.name.clone(), node }
    }
}

/// Pods that a drain leaves where they are: those of a `DaemonSet` and static pods, which belong to their node, and
/// those being deleted.
pub(super) fn leaves_with_node(snapshot: &Snapshot, pod: &Pod) -> bool {
    pod.leaving || pod.workload.is_some_and(|w| snapshot.workloads[w].daemon)
}

fn priority(snapshot: &Snapshot, pod: &Pod) -> i32 {
    snapshot.templates.get(pod.template).map_or(0, |t| t.priority)
}

/// The workload of a placement's `Kind/name`.
fn workload_id(namespace: &str, kind_and_name: &str) -> WorkloadId {
    let (kind, name) = kind_and_name.split_once('/').unwrap_or(("", kind_and_name));
    WorkloadId { namespace: namespace.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
}
