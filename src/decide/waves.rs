//! Chooses the waves, one after another, from what is still to be done.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::steps::{Action, Deferred, Steps, Wave};
use crate::domain::{Policy, Resources, Snapshot};

use super::budgets::Budgets;
use super::cluster::{NodeIndex, Pod, PodIndex, growth, with_slot};
use super::conflicts::Conflicts;
use super::tasks::{Bind, Growth, Move, Resize, Shrink, Tasks, leaves_with_node};

/// The rule behind what would have been possible in one wave more.
const MAX_WAVES: &str = "disruption.maxWaves";

/// Schedules all tasks.
pub(super) fn schedule(snapshot: &Snapshot, policy: &Policy, tasks: Tasks) -> Steps {
    let movable = tasks.cluster.pods.iter().filter(|p| p.node.is_some() && !p.do_not_evict);
    let movable = movable.filter(|p| !leaves_with_node(snapshot, p)).count() as u32;
    let budgets = Budgets::new(snapshot, policy, &tasks.cluster, movable);
    let replicas = snapshot.workloads.iter().map(|w| w.replicas).collect();
    let resized = vec![None; snapshot.workloads.len()];
    let conflicts = Conflicts::new(snapshot);
    let mut schedule = Schedule { snapshot, tasks, budgets, conflicts, replicas, resized };
    let mut waves = Vec::new();
    while waves.len() < policy.disruption.max_waves as usize {
        schedule.budgets.begin_wave(&schedule.tasks.cluster, &schedule.replicas);
        // What takes room comes before what moves, and what gives room back comes last, unless all else waits for it.
        let phases = [Schedule::prepare, Schedule::grow, Schedule::relocate, Schedule::shrink, Schedule::remove_nodes];
        let chosen = phases.iter().map(|phase| phase(&mut schedule)).find(|wave| !wave.actions.is_empty());
        let Some(wave) = chosen else { break };
        schedule.tasks.cluster.end_wave();
        waves.push(wave);
    }
    schedule.budgets.begin_wave(&schedule.tasks.cluster, &schedule.replicas);
    let deferred = schedule.leftovers();
    Steps { waves: without_idle_cordons(waves), deferred }
}

/// The state between waves.
struct Schedule<'a> {
    snapshot: &'a Snapshot,
    tasks: Tasks,
    budgets: Budgets<'a>,
    conflicts: Conflicts<'a>,
    /// Replicas wanted by each workload now.
    replicas: Vec<u32>,
    /// What a pod of each workload takes from now on, where that has been changed.
    resized: Vec<Option<Resources>>,
}

impl Schedule<'_> {
    /// Buys nodes and cordons those to be given back: nothing lands there any more before the first pod leaves.
    fn prepare(&mut self) -> Wave {
        let mut wave = Wave::default();
        for addition in std::mem::take(&mut self.tasks.additions) {
            let node = &mut self.tasks.cluster.nodes[addition.node];
            node.standing = true;
            let node = node.name.clone();
            wave.actions.push(Action::AddNode { node, offer: addition.offer, zone: addition.zone });
            wave.at_least_s = wave.at_least_s.max(addition.boot_time_s);
        }
        for drain in self.tasks.drains.iter_mut().filter(|d| !d.cordoned) {
            drain.cordoned = true;
            wave.actions.push(Action::Cordon { node: self.tasks.cluster.nodes[drain.node].name.clone() });
        }
        wave
    }

    /// Resizes, pods without a node, more replicas: as much as there is room for.
    fn grow(&mut self) -> Wave {
        let mut wave = Wave::default();
        for resize in std::mem::take(&mut self.tasks.resizes) {
            if self.check_resize(&resize).is_err() {
                self.tasks.resizes.push(resize);
                continue;
            }
            let size = with_slot(&resize.to);
            for pod in self.resized_in_place(resize.workload) {
                self.tasks.cluster.resize(pod, &size);
            }
            self.resized[resize.workload] = Some(size);
            let workload = self.snapshot.workloads[resize.workload].id.clone();
            wave.actions.push(Action::Resize { workload, from: resize.from, to: resize.to });
        }
        for bind in std::mem::take(&mut self.tasks.binds) {
            if self.check_room(bind.pod, bind.node).is_ok() {
                wave.actions.push(self.bind(bind.pod, bind.node));
            } else {
                self.tasks.binds.push(bind);
            }
        }
        for mut growth in std::mem::take(&mut self.tasks.growths) {
            let mut binds = Vec::new();
            growth.pods.retain(|&(pod, node)| {
                let fits = self.check_room(pod, node).is_ok();
                if fits {
                    binds.push(self.bind(pod, node));
                }
                !fits
            });
            if !binds.is_empty() {
                let from = self.replicas[growth.workload];
                let to = from + binds.len() as u32;
                self.replicas[growth.workload] = to;
                let workload = self.snapshot.workloads[growth.workload].id.clone();
                wave.actions.push(Action::Scale { workload, from, to, going: Vec::new() });
                wave.actions.append(&mut binds);
                wave.at_least_s = wave.at_least_s.max(growth.seconds);
            }
            if !growth.pods.is_empty() {
                self.tasks.growths.push(growth);
            }
        }
        wave
    }

    /// Moves within the budgets, those off nodes to be given back first.
    fn relocate(&mut self) -> Wave {
        let mut wave = Wave::default();
        for task in std::mem::take(&mut self.tasks.moves) {
            if self.check_move(&task).is_err() {
                self.tasks.moves.push(task);
                continue;
            }
            wave.actions.push(self.tasks.move_action(task.pod, task.from, task.to));
            self.budgets.spend(&self.tasks.cluster, task.pod);
            let size = self.size(task.pod);
            self.tasks.cluster.arrive(task.pod, task.to, size);
        }
        wave
    }

    /// Fewer replicas, for all workloads at once.
    fn shrink(&mut self) -> Wave {
        let mut wave = Wave::default();
        for shrink in std::mem::take(&mut self.tasks.shrinks) {
            for &pod in &shrink.pods {
                self.tasks.cluster.leave(pod);
            }
            let from = std::mem::replace(&mut self.replicas[shrink.workload], shrink.to);
            let workload = self.snapshot.workloads[shrink.workload].id.clone();
            wave.actions.push(Action::Scale { workload, from, to: shrink.to, going: self.going(&shrink) });
            wave.at_least_s = wave.at_least_s.max(shrink.seconds);
        }
        wave
    }

    /// Gives back the nodes that are empty.
    fn remove_nodes(&mut self) -> Wave {
        let mut wave = Wave::default();
        for drain in std::mem::take(&mut self.tasks.drains) {
            if drain.cordoned && self.check_empty(drain.node).is_ok() {
                let node = &mut self.tasks.cluster.nodes[drain.node];
                node.standing = false;
                wave.actions.push(Action::RemoveNode { node: node.name.clone() });
            } else {
                self.tasks.drains.push(drain);
            }
        }
        wave
    }

    /// Pods to mark before the workload shrinks, where its controller looks at the mark; others choose by ordinal.
    fn going(&self, shrink: &Shrink) -> Vec<String> {
        let kind = self.snapshot.workloads[shrink.workload].id.kind.as_str();
        let pods = shrink.pods.iter().map(|&pod| self.tasks.cluster.pods[pod].name.clone());
        if matches!(kind, "Deployment" | "ReplicaSet" | "ReplicationController") { pods.collect() } else { Vec::new() }
    }

    fn bind(&mut self, pod: PodIndex, node: NodeIndex) -> Action {
        let size = self.size(pod);
        self.tasks.cluster.arrive(pod, node, size);
        self.tasks.bind_action(pod, node)
    }

    /// What the pod takes when it comes to a node now.
    fn size(&self, pod: PodIndex) -> Resources {
        let pod = &self.tasks.cluster.pods[pod];
        pod.workload.and_then(|w| self.resized[w].clone()).unwrap_or_else(|| pod.size.clone())
    }

    /// Pods of the workload that stay where they are. Those that move or go keep their size until then.
    fn resized_in_place(&self, workload: usize) -> Vec<PodIndex> {
        let going: BTreeSet<PodIndex> = self
            .tasks
            .moves
            .iter()
            .map(|m| m.pod)
            .chain(self.tasks.shrinks.iter().flat_map(|s| s.pods.clone()))
            .collect();
        let pods = self.tasks.cluster.pods.iter().enumerate();
        let of_workload = |p: &Pod| p.workload == Some(workload) && p.node.is_some() && !p.leaving;
        pods.filter(|(i, p)| of_workload(p) && !going.contains(i)).map(|(i, _)| i).collect()
    }

    fn check_resize(&self, resize: &Resize) -> Result<(), String> {
        let to = with_slot(&resize.to);
        let mut grown: BTreeMap<NodeIndex, Resources> = BTreeMap::new();
        for index in self.resized_in_place(resize.workload) {
            let pod = &self.tasks.cluster.pods[index];
            if let Some(node) = pod.node {
                grown.entry(node).or_default().add(&growth(&pod.size, &to));
            }
        }
        grown.iter().try_for_each(|(&node, growth)| self.tasks.cluster.fits(node, growth))
    }

    fn check_room(&self, pod: PodIndex, node: NodeIndex) -> Result<(), String> {
        self.tasks.cluster.fits(node, &self.size(pod))?;
        self.conflicts.check(&self.tasks.cluster, pod, node)
    }

    fn check_move(&self, task: &Move) -> Result<(), String> {
        self.budgets.check(&self.tasks.cluster, task.pod)?;
        self.check_room(task.pod, task.to)
    }

    fn check_empty(&self, node: NodeIndex) -> Result<(), String> {
        let cluster = &self.tasks.cluster;
        let left = cluster.nodes[node].pods.iter().map(|&p| &cluster.pods[p]);
        let mut left = left.filter(|p| !leaves_with_node(self.snapshot, p));
        left.next()
            .map_or(Ok(()), |p| Err(format!("pod {}/{} on node {}", p.namespace, p.name, cluster.nodes[node].name)))
    }

    /// What no wave held, each with the rule that holds it.
    fn leftovers(mut self) -> Vec<Deferred> {
        let mut deferred = std::mem::take(&mut self.tasks.deferred);
        let mut defer = |action: Action, held: Result<(), String>| {
            deferred.push(Deferred { action, rule: held.err().unwrap_or_else(|| MAX_WAVES.to_owned()) });
        };
        let tasks = &self.tasks;
        let id = |workload: usize| self.snapshot.workloads[workload].id.clone();
        for addition in &tasks.additions {
            let node = tasks.cluster.nodes[addition.node].name.clone();
            let (offer, zone) = (addition.offer.clone(), addition.zone.clone());
            defer(Action::AddNode { node, offer, zone }, Ok(()));
        }
        for resize in &tasks.resizes {
            let (from, to) = (resize.from.clone(), resize.to.clone());
            defer(Action::Resize { workload: id(resize.workload), from, to }, self.check_resize(resize));
        }
        for &Bind { pod, node, .. } in &tasks.binds {
            defer(tasks.bind_action(pod, node), self.check_room(pod, node));
        }
        for Growth { workload, pods, .. } in &tasks.growths {
            let from = self.replicas[*workload];
            let held = pods.iter().try_for_each(|&(pod, node)| self.check_room(pod, node));
            let to = from + pods.len() as u32;
            defer(Action::Scale { workload: id(*workload), from, to, going: Vec::new() }, held);
        }
        for task in &tasks.moves {
            defer(tasks.move_action(task.pod, task.from, task.to), self.check_move(task));
        }
        for shrink in &tasks.shrinks {
            let from = self.replicas[shrink.workload];
            let going = self.going(shrink);
            defer(Action::Scale { workload: id(shrink.workload), from, to: shrink.to, going }, Ok(()));
        }
        for drain in &tasks.drains {
            let node = tasks.cluster.nodes[drain.node].name.clone();
            defer(Action::RemoveNode { node }, self.check_empty(drain.node));
        }
        deferred
    }
}

/// Leaves out the cordons of nodes that no wave empties after all, and the wave if nothing else was in it.
fn without_idle_cordons(mut waves: Vec<Wave>) -> Vec<Wave> {
    let emptied: BTreeSet<String> = waves
        .iter()
        .flat_map(|w| &w.actions)
        .filter_map(|action| match action {
            Action::Move { from: node, .. } | Action::RemoveNode { node } => Some(node.clone()),
            _ => None,
        })
        .collect();
    for wave in &mut waves {
        wave.actions.retain(|action| !matches!(action, Action::Cordon { node } if !emptied.contains(node)));
    }
    waves.retain(|wave| !wave.actions.is_empty());
    waves
}
