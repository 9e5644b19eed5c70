//! Chooses the waves, one after another, from what is still to be done.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::plan::Preemptor;
use crate::domain::steps::{Action, Deferred, Steps, Wave};
use crate::domain::{Policy, Resources, Snapshot};

use super::admission::Admission;
use super::cluster::{Cluster, NodeIndex, Pod, PodIndex, growth, reserved};
use super::order::Arrival;
use super::tasks::{Addition, Bind, Growth, Preemption, Resize, Shrink, Tasks, leaves_with_node};

/// The rule behind what would have been possible in one wave more.
const MAX_WAVES: &str = "disruption.maxWaves";

/// Schedules all tasks.
pub(super) fn schedule(snapshot: &Snapshot, policy: &Policy, mut tasks: Tasks) -> Steps {
    let spreads = |t: usize| snapshot.templates[t].rules.topology_spread.iter();
    let coming: BTreeSet<usize> = tasks.arrivals().map(|arrival| tasks.cluster.pods[arrival.pod].template).collect();
    // Who looks at taints counts on cordons: where one is not made after all, all is asked again without it.
    let asks_again = coming.into_iter().any(|t| spreads(t).any(|spread| spread.hard && spread.honor_taints));
    loop {
        let again = (asks_again || !tasks.preemptions.is_empty()).then(|| tasks.clone());
        let (steps, mut idle) = without_idle_cordons(run(snapshot, policy, tasks));
        if !asks_again {
            idle.clear();
        }
        let in_vain = in_vain(&steps);
        let Some(without) = again.filter(|_| !idle.is_empty() || !in_vain.is_empty()) else { return steps };
        tasks = without;
        tasks.spare(&in_vain);
        tasks.drains.retain(|drain| !idle.contains(&tasks.cluster.nodes[drain.node].name));
        let kept = |d: &Deferred| matches!(&d.action, Action::RemoveNode { node } if idle.contains(node));
        tasks.deferred.extend(steps.deferred.into_iter().filter(kept));
    }
}

fn run(snapshot: &Snapshot, policy: &Policy, tasks: Tasks) -> Steps {
    let replicas = snapshot.workloads.iter().map(|w| w.replicas).collect();
    let resized = vec![None; snapshot.workloads.len()];
    let admission = Admission::new(snapshot, policy, &tasks);
    let mut schedule = Schedule { snapshot, tasks, admission, replicas, resized, is_last: false };
    let mut waves = Vec::new();
    while waves.len() < policy.disruption.max_waves as usize {
        schedule.admission.begin_wave(&schedule.tasks.cluster, &schedule.replicas);
        schedule.is_last = waves.len() + 1 == policy.disruption.max_waves as usize;
        // What takes room comes before what moves, and what gives room back comes last, unless all else waits for it.
        let phases = [
            Schedule::prepare,
            Schedule::grow,
            Schedule::relocate,
            Schedule::preempt,
            Schedule::shrink,
            Schedule::remove_nodes,
        ];
        let chosen = phases.iter().map(|phase| phase(&mut schedule)).find(|wave| !wave.actions.is_empty());
        let Some(wave) = chosen else { break };
        schedule.tasks.cluster.end_wave();
        waves.push(wave);
    }
    schedule.admission.begin_wave(&schedule.tasks.cluster, &schedule.replicas);
    let deferred = schedule.leftovers();
    Steps { waves, deferred }
}

/// The state between waves.
struct Schedule<'a> {
    snapshot: &'a Snapshot,
    tasks: Tasks,
    admission: Admission<'a>,
    /// Replicas wanted by each workload now.
    replicas: Vec<u32>,
    /// What a pod of each workload requests from now on, where that has been changed.
    resized: Vec<Option<Resources>>,
    /// Whether no wave comes after this one.
    is_last: bool,
}

impl Schedule<'_> {
    /// Buys nodes and cordons those to be given back: nothing lands there any more before the first pod leaves.
    fn prepare(&mut self) -> Wave {
        let mut wave = Wave::default();
        for addition in std::mem::take(&mut self.tasks.additions) {
            if self.check_addition(&addition).is_err() {
                self.tasks.additions.push(addition);
                continue;
            }
            let cluster = &mut self.tasks.cluster;
            cluster.add(addition.node);
            let node = cluster.nodes[addition.node].name.clone();
            for pod in addition.daemons {
                let size = cluster.pods[pod].size.clone();
                self.admission.arrive(cluster, Arrival { pod, to: addition.node }, size);
                // Disruption budgets count on it once it is seen to be ready.
                cluster.pods[pod].ready = false;
            }
            wave.actions.push(Action::AddNode { node, offer: addition.offer, zone: addition.zone });
            wave.at_least_s = wave.at_least_s.max(addition.boot_time_s);
        }
        for drain in self.tasks.drains.iter_mut().filter(|d| !d.cordoned) {
            drain.cordoned = true;
            self.tasks.cluster.cordon(drain.node);
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
            for (pod, size) in self.resized_in_place(&resize) {
                self.admission.resize(&mut self.tasks.cluster, pod, &size);
            }
            self.resized[resize.workload] = Some(resize.to.clone());
            let workload = self.snapshot.workloads[resize.workload].id.clone();
            wave.actions.push(Action::Resize { workload, from: resize.from, to: resize.to });
        }
        let to_come = self.tasks.growths.iter().flat_map(|growth| &growth.pods);
        let to_come = to_come.map(|&(pod, to)| Arrival { pod, to });
        let came = self.admit(self.tasks.binds.iter().map(Bind::arrival).chain(to_come).collect());
        for bind in std::mem::take(&mut self.tasks.binds) {
            if came.contains(&bind.pod) {
                wave.actions.push(self.tasks.bind_action(bind.pod, bind.node));
            } else {
                self.tasks.binds.push(bind);
            }
        }
        for mut growth in std::mem::take(&mut self.tasks.growths) {
            let (come, wait): (Vec<_>, Vec<_>) = growth.pods.into_iter().partition(|(pod, _)| came.contains(pod));
            if !come.is_empty() {
                let from = self.replicas[growth.workload];
                let to = from + come.len() as u32;
                self.replicas[growth.workload] = to;
                let workload = self.snapshot.workloads[growth.workload].id.clone();
                wave.actions.push(Action::Scale { workload, from, to, going: Vec::new() });
                wave.actions.extend(come.into_iter().map(|(pod, node)| self.tasks.bind_action(pod, node)));
                wave.at_least_s = wave.at_least_s.max(growth.seconds);
            }
            growth.pods = wait;
            if !growth.pods.is_empty() {
                self.tasks.growths.push(growth);
            }
        }
        wave
    }

    /// Moves within the budgets, those off nodes to be given back first.
    fn relocate(&mut self) -> Wave {
        let mut wave = Wave::default();
        let came = self.admit(self.tasks.moves.iter().map(|m| Arrival { pod: m.pod, to: m.to }).collect());
        for task in std::mem::take(&mut self.tasks.moves) {
            if came.contains(&task.pod) {
                wave.actions.push(self.tasks.move_action(task.pod, task.from, task.to));
            } else {
                self.tasks.moves.push(task);
            }
        }
        wave
    }

    /// Pods stopped for others, which come in a later wave: there must be one.
    fn preempt(&mut self) -> Wave {
        let mut wave = Wave::default();
        for mut task in std::mem::take(&mut self.tasks.preemptions) {
            match self.check_preemption(&task) {
                Ok(by) if !self.is_last => {
                    let size = size(self.snapshot, &self.resized, &self.tasks.cluster, task.pod);
                    self.admission.preempt(&mut self.tasks.cluster, task.pod, size);
                    task.by = by;
                    wave.actions.push(self.tasks.preempt_action(&task));
                }
                _ => self.tasks.preemptions.push(task),
            }
        }
        wave
    }

    /// Fewer replicas, for all workloads at once.
    fn shrink(&mut self) -> Wave {
        let mut wave = Wave::default();
        for shrink in std::mem::take(&mut self.tasks.shrinks) {
            if self.check_shrink(&shrink).is_err() {
                self.tasks.shrinks.push(shrink);
                continue;
            }
            for &pod in &shrink.pods {
                self.admission.leave(&mut self.tasks.cluster, pod);
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
                self.admission.remove(&mut self.tasks.cluster, drain.node);
                wave.actions.push(Action::RemoveNode { node: self.tasks.cluster.nodes[drain.node].name.clone() });
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

    /// Lets in as many of the pods as may come in this wave; returns them.
    fn admit(&mut self, wanted: Vec<Arrival>) -> BTreeSet<PodIndex> {
        let Self { snapshot, tasks, admission, resized, .. } = self;
        admission.admit(&mut tasks.cluster, wanted, &|cluster, pod| size(snapshot, resized, cluster, pod))
    }

    /// Pods of the workload that get the new size where they are, with it: those that stay, and those that exist and have no node.
    /// Those that move or go keep their size until then.
    fn resized_in_place(&self, resize: &Resize) -> Vec<(PodIndex, Resources)> {
        let evicted = self.tasks.moves.iter().map(|m| m.pod).chain(self.tasks.preemptions.iter().map(|p| p.pod));
        let evicted = evicted.chain(self.tasks.spared.iter().copied());
        let going: BTreeSet<PodIndex> =
            evicted.chain(self.tasks.shrinks.iter().flat_map(|s| s.pods.iter().copied())).collect();
        let stays = |p: &Pod| p.workload == Some(resize.workload) && p.made && !p.leaving;
        let pods = self.tasks.cluster.pods.iter().enumerate().filter(|(i, p)| stays(p) && !going.contains(i));
        pods.map(|(i, p)| (i, reserved(&resize.to, &self.snapshot.templates[p.template]))).collect()
    }

    fn check_resize(&self, resize: &Resize) -> Result<(), String> {
        let cluster = &self.tasks.cluster;
        let resized = self.resized_in_place(resize);
        let mut grown: BTreeMap<NodeIndex, Resources> = BTreeMap::new();
        for (index, to) in &resized {
            let pod = &cluster.pods[*index];
            if let Some(node) = pod.node {
                grown.entry(node).or_default().add(&growth(&pod.size, to));
            }
        }
        grown.iter().try_for_each(|(&node, growth)| cluster.fits(node, growth))?;
        let sizes: Vec<(PodIndex, &Resources)> = resized.iter().map(|(pod, size)| (*pod, size)).collect();
        self.admission.check_quotas(cluster, &sizes)
    }

    fn check_addition(&self, addition: &Addition) -> Result<(), String> {
        let cluster = &self.tasks.cluster;
        let daemons: Vec<(PodIndex, &Resources)> =
            addition.daemons.iter().map(|&pod| (pod, &cluster.pods[pod].size)).collect();
        self.admission.check_quotas(cluster, &daemons)
    }

    fn check_shrink(&self, shrink: &Shrink) -> Result<(), String> {
        self.admission.check_shrink(&self.tasks.cluster, shrink.workload, &shrink.pods, shrink.to)
    }

    /// Who the pod may be stopped for in this wave; else the rule that forbids it.
    fn check_preemption(&self, task: &Preemption) -> Result<Preemptor, String> {
        let size = size(self.snapshot, &self.resized, &self.tasks.cluster, task.pod);
        self.admission.check_preemption(&self.tasks.cluster, task.pod, &size)?;
        self.tasks.taker(self.snapshot, task).ok_or_else(|| {
            let node = &self.tasks.cluster.nodes[task.node].name;
            format!("node {node} had room for {}/{} without it", task.by.namespace, task.by.pod)
        })
    }

    fn check_alone(&mut self, arrival: Arrival) -> Result<(), String> {
        let size = size(self.snapshot, &self.resized, &self.tasks.cluster, arrival.pod);
        self.admission.check(&self.tasks.cluster, arrival, &size)
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
        let workloads = &self.snapshot.workloads;
        let id = |workload: usize| workloads[workload].id.clone();
        for addition in &self.tasks.additions {
            let node = self.tasks.cluster.nodes[addition.node].name.clone();
            let (offer, zone) = (addition.offer.clone(), addition.zone.clone());
            defer(Action::AddNode { node, offer, zone }, self.check_addition(addition));
        }
        for resize in &self.tasks.resizes {
            let (from, to) = (resize.from.clone(), resize.to.clone());
            defer(Action::Resize { workload: id(resize.workload), from, to }, self.check_resize(resize));
        }
        // Asked while those that they make room for still wait.
        for task in &self.tasks.preemptions {
            defer(self.tasks.preempt_action(task), self.check_preemption(task).map(drop));
        }
        for bind in std::mem::take(&mut self.tasks.binds) {
            defer(self.tasks.bind_action(bind.pod, bind.node), self.check_alone(bind.arrival()));
        }
        for Growth { workload, pods, .. } in std::mem::take(&mut self.tasks.growths) {
            let from = self.replicas[workload];
            let to = from + pods.len() as u32;
            let held = pods.into_iter().try_for_each(|(pod, to)| self.check_alone(Arrival { pod, to }));
            defer(Action::Scale { workload: id(workload), from, to, going: Vec::new() }, held);
        }
        for task in std::mem::take(&mut self.tasks.moves) {
            let action = self.tasks.move_action(task.pod, task.from, task.to);
            defer(action, self.check_alone(Arrival { pod: task.pod, to: task.to }));
        }
        for shrink in &self.tasks.shrinks {
            let from = self.replicas[shrink.workload];
            let going = self.going(shrink);
            let action = Action::Scale { workload: id(shrink.workload), from, to: shrink.to, going };
            defer(action, self.check_shrink(shrink));
        }
        for drain in &self.tasks.drains {
            let node = self.tasks.cluster.nodes[drain.node].name.clone();
            defer(Action::RemoveNode { node }, self.check_empty(drain.node));
        }
        deferred
    }
}

/// What the pod takes when it comes to a node now.
fn size(snapshot: &Snapshot, resized: &[Option<Resources>], cluster: &Cluster, pod: PodIndex) -> Resources {
    let pod = &cluster.pods[pod];
    let requests = pod.workload.and_then(|workload| resized[workload].as_ref());
    requests.map_or_else(|| pod.size.clone(), |requests| reserved(requests, &snapshot.templates[pod.template]))
}

/// Pods that were stopped for others that come in no wave, by namespace and name, each with the rule that holds the other.
fn in_vain(steps: &Steps) -> BTreeMap<(String, String), String> {
    let is_bind = |action: &Action, by: &Preemptor| matches!(action, Action::Bind { namespace, pod, .. } if (namespace, pod) == (&by.namespace, &by.pod));
    let actions = || steps.waves.iter().flat_map(|wave| &wave.actions);
    let held = |by: &Preemptor| {
        let deferred = steps.deferred.iter().find(|deferred| is_bind(&deferred.action, by));
        deferred.map_or_else(|| format!("pod {}/{} does not come", by.namespace, by.pod), |d| d.rule.clone())
    };
    let stopped = actions().filter_map(|action| match action {
        Action::Preempt { namespace, pod, by, .. } => Some(((namespace.clone(), pod.clone()), by)),
        _ => None,
    });
    let in_vain = stopped.filter(|(_, by)| !actions().any(|action| is_bind(action, by)));
    in_vain.map(|(stopped, by)| (stopped, held(by))).collect()
}

/// Leaves out the cordons of nodes that no wave empties after all, and the wave if nothing else was in it; returns those
/// nodes too.
fn without_idle_cordons(Steps { mut waves, deferred }: Steps) -> (Steps, BTreeSet<String>) {
    let emptied: BTreeSet<String> = waves
        .iter()
        .flat_map(|w| &w.actions)
        .filter_map(|action| match action {
            Action::Move { from: node, .. } | Action::RemoveNode { node } => Some(node.clone()),
            _ => None,
        })
        .collect();
    let mut idle = BTreeSet::new();
    for wave in &mut waves {
        wave.actions.retain(|action| match action {
            Action::Cordon { node } if !emptied.contains(node) => {
                idle.insert(node.clone());
                false
            }
            _ => true,
        });
    }
    waves.retain(|wave| !wave.actions.is_empty());
    (Steps { waves, deferred }, idle)
}
