//! Waves carried out one after another, on random plans.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::domain::Resources;
use crate::domain::plan::{NodeState, Placement, PlacementState, Preempted, Preemptor};
use crate::domain::policy::Preemption;
use crate::domain::resources::{CPU, PODS};
use crate::domain::snapshot::Amount;
use crate::domain::steps::{Action, Steps};

use super::case::*;

/// Replays waves with bookkeeping of its own and reports what goes wrong.
struct Replay<'a> {
    case: &'a Case,
    steps: &'a Steps,
    /// Pods on nodes: name → (workload, node, size).
    pods: BTreeMap<String, (String, String, Resources)>,
    nodes: BTreeMap<String, Resources>,
    cordoned: BTreeSet<String>,
    replicas: BTreeMap<String, u32>,
    sizes: BTreeMap<String, Resources>,
}

impl<'a> Replay<'a> {
    fn new(case: &'a Case, steps: &'a Steps) -> Self {
        let size = |millis: i64| Resources::of([(CPU, millis), (PODS, 1)]);
        let workloads = &case.plan.workloads;
        let sizes: BTreeMap<_, _> =
            workloads.iter().map(|w| (w.id.name.clone(), size(w.requests_now.cpu_millis()))).collect();
        let placed = case.snapshot.pods.iter().filter_map(|p| {
            let name = p.workload.name.clone();
            p.node.clone().map(|node| (p.name.clone(), (name.clone(), node, sizes[&name].clone())))
        });
        Self {
            case,
            steps,
            pods: placed.collect(),
            nodes: case.snapshot.nodes.iter().map(|n| (n.name.clone(), n.allocatable.clone())).collect(),
            cordoned: BTreeSet::new(),
            replicas: workloads.iter().map(|w| (w.id.name.clone(), w.replicas_now)).collect(),
            sizes,
        }
    }

    /// Pods that later actions or deferred ones move or take away: they keep their size until then.
    fn going(&self, wave: usize) -> BTreeSet<String> {
        let later = self.steps.waves[wave..].iter().flat_map(|w| &w.actions);
        let moved = later.chain(self.steps.deferred.iter().map(|d| &d.action)).filter_map(|action| match action {
            Action::Move { pod, .. } | Action::Preempt { pod, .. } => Some(pod.clone()),
            _ => None,
        });
        moved.chain(self.case.plan.removals.iter().map(|r| r.pod.clone())).collect()
    }

    fn run(mut self) -> Result<(), TestCaseError> {
        for (index, wave) in self.steps.waves.iter().enumerate() {
            let before = self.pods.clone();
            let mut taken: BTreeMap<String, Resources> = BTreeMap::new();
            for (_, node, size) in before.values() {
                taken.entry(node.clone()).or_default().add(size);
            }
            let mut touched = BTreeSet::new();
            let mut moved: BTreeMap<String, u32> = BTreeMap::new();
            let mut leaving = Vec::new();
            for action in &wave.actions {
                match action {
                    Action::AddNode { node, .. } => {
                        self.nodes.insert(node.clone(), node_size(1000));
                    }
                    Action::Cordon { node } => {
                        self.cordoned.insert(node.clone());
                    }
                    Action::Scale { workload, from, to, going } => {
                        prop_assert_eq!(self.replicas.insert(workload.name.clone(), *to), Some(*from));
                        let removals = self.case.plan.removals.iter();
                        let victims = removals
                            .filter(|r| to < from && r.workload.ends_with(&format!("/{}", workload.name)))
                            .map(|r| r.pod.clone());
                        let victims: BTreeSet<String> = victims.collect();
                        prop_assert_eq!(going.iter().cloned().collect::<BTreeSet<String>>(), victims.clone());
                        leaving.extend(victims);
                    }
                    Action::Resize { workload, to, .. } => {
                        let mut size = to.clone();
                        size.set(PODS, 1);
                        let going = self.going(index);
                        let staying =
                            self.pods.iter_mut().filter(|(name, p)| p.0 == workload.name && !going.contains(*name));
                        for (_, (_, node, old)) in staying {
                            let grown = (size.cpu_millis() - old.cpu_millis()).max(0);
                            taken.entry(node.clone()).or_default().add(&Resources::of([(CPU, grown)]));
                            if grown > 0 {
                                touched.insert(node.clone());
                            }
                            *old = size.clone();
                        }
                        self.sizes.insert(workload.name.clone(), size);
                    }
                    Action::Bind { pod, node, .. } | Action::Move { pod, to: node, .. } => {
                        prop_assert!(self.nodes.contains_key(node), "{} is not there", node);
                        prop_assert!(!self.cordoned.contains(node), "{} is cordoned", node);
                        let placement = self.case.plan.placements.iter().find(|p| p.pod == *pod).unwrap();
                        let workload = placement.workload.trim_start_matches("Deployment/").to_owned();
                        let size = self.sizes[&workload].clone();
                        taken.entry(node.clone()).or_default().add(&size);
                        touched.insert(node.clone());
                        if let Action::Move { from, .. } = action {
                            prop_assert_eq!(&before[pod].1, from);
                            *moved.entry(workload.clone()).or_default() += 1;
                            let drained =
                                self.case.plan.nodes.iter().any(|n| n.name == *from && n.state == NodeState::Remove);
                            prop_assert!(!drained || self.cordoned.contains(from), "drained before it was cordoned");
                        }
                        self.pods.insert(pod.clone(), (workload, node.clone(), size));
                    }
                    Action::Preempt { pod, node, by, .. } => {
                        prop_assert_eq!(&before[pod].1, node);
                        *moved.entry(before[pod].0.clone()).or_default() += 1;
                        leaving.push(pod.clone());
                        let later = self.steps.waves[index + 1..].iter().flat_map(|wave| &wave.actions);
                        let comes = |a: &Action| matches!(a, Action::Bind { pod, .. } if *pod == by.pod);
                        prop_assert!(later.into_iter().any(comes), "{} is stopped in vain", pod);
                    }
                    Action::RemoveNode { node } => {
                        prop_assert!(before.values().all(|p| p.1 != *node), "{} is not empty", node);
                        self.nodes.remove(node);
                    }
                }
            }
            for node in touched {
                let used = &taken[&node];
                prop_assert!(used.fits_in(&self.nodes[&node]), "wave {}: {} holds {:?}", index, node, used);
            }
            for (workload, count) in moved {
                for budget in self.case.snapshot.budgets.iter().filter(|b| b.name == workload) {
                    let there = before.values().filter(|p| p.0 == workload).count() as u32;
                    let wanted = self.replicas[&workload];
                    let stay = budget.min_available.map_or_else(
                        || wanted.saturating_sub(budget.max_unavailable.unwrap().of_rounded_up(wanted)),
                        |least| least.of_rounded_up(wanted),
                    );
                    prop_assert!(there - count >= stay, "wave {}: {} of {} leave {}", index, count, there, workload);
                }
            }
            self.pods.retain(|name, _| !leaving.contains(name));
        }
        self.ends_as_planned()
    }

    /// Everything is where the plan wants it, but what was deferred.
    fn ends_as_planned(&self) -> Result<(), TestCaseError> {
        let held: BTreeSet<String> = self
            .steps
            .deferred
            .iter()
            .map(|d| match &d.action {
                Action::Scale { workload, .. } | Action::Resize { workload, .. } => workload.name.clone(),
                Action::Bind { pod, .. } | Action::Move { pod, .. } | Action::Preempt { pod, .. } => pod.clone(),
                Action::AddNode { node, .. } | Action::Cordon { node } | Action::RemoveNode { node } => node.clone(),
            })
            .collect();
        for placement in &self.case.plan.placements {
            let workload = placement.workload.trim_start_matches("Deployment/");
            if !held.contains(&placement.pod) && !held.contains(workload) {
                prop_assert_eq!(self.pods.get(&placement.pod).map(|p| &p.1), Some(&placement.node));
            }
        }
        for planned in self.case.plan.workloads.iter().filter(|w| !held.contains(&w.id.name)) {
            prop_assert_eq!(self.replicas[&planned.id.name], planned.replicas);
            prop_assert_eq!(self.sizes[&planned.id.name].cpu_millis(), planned.requests.cpu_millis());
            let gone = self.case.plan.removals.iter().filter(|r| r.workload.ends_with(&planned.id.name));
            prop_assert!(gone.into_iter().all(|r| !self.pods.contains_key(&r.pod)));
        }
        for stopped in self.case.plan.preempted.iter().filter(|p| !held.contains(&p.pod)) {
            prop_assert!(!self.pods.contains_key(&stopped.pod), "{} still runs", stopped.pod);
        }
        for node in self.case.plan.nodes.iter().filter(|n| !held.contains(&n.name)) {
            prop_assert_eq!(self.nodes.contains_key(&node.name), node.state != NodeState::Remove);
        }
        Ok(())
    }
}

pub(super) const NAMES: [&str; 3] = ["api", "db", "web"];
const NODES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A random cluster and a random plan that both fit: pods are put where there is room, in an order drawn at random.
pub(super) fn random_case() -> impl Strategy<Value = Case> {
    let workload = (1u32..6, 100i64..500, 1u32..6, 100i64..500, 0u32..4);
    let nodes = prop::collection::vec(0u8..6, 5);
    let starts = prop::collection::vec(0usize..5, 40);
    (prop::array::uniform3(workload), nodes, starts, 1u32..12, any::<bool>()).prop_map(
        |(workloads, states, starts, max_waves, shared_limit)| {
            let names: Vec<String> = NODES
                .iter()
                .zip(&states)
                .map(|(name, state)| match state {
                    0 => format!("-{name}"),
                    1 => format!("+{name}"),
                    _ => (*name).to_owned(),
                })
                .collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let changes: Vec<Change> =
                NAMES.iter().zip(&workloads).map(|(name, w)| (*name, (w.0, w.1), (w.2, w.3))).collect();
            let mut case = Case::new(&names, &changes);
            case.policy.disruption.max_waves = max_waves;
            if shared_limit {
                case.policy.targets[0].max_unavailable = Some(Amount::Count(1));
            }
            let (mut now, mut then) = ([1000_i64; 5], [1000_i64; 5]);
            let mut draws = starts.into_iter().cycle();
            let mut choose = |room: &mut [i64; 5], millis: i64, open: &dyn Fn(u8) -> bool| {
                let start = draws.next().unwrap_or(0);
                let found = (0..5).map(|i| (start + i) % 5).find(|&i| open(states[i]) && room[i] >= millis)?;
                room[found] -= millis;
                Some(NODES[found])
            };
            for (name, w) in NAMES.iter().zip(&workloads) {
                for i in 0..w.0.max(w.2) {
                    let was = if i < w.0 { choose(&mut now, w.1, &|s| s != 1) } else { None };
                    let will = if i < w.2 { choose(&mut then, w.3, &|s| s != 0) } else { None };
                    let kind = if i < w.0 { "" } else { "new-" };
                    let pod = format!("{name}-{kind}{i}");
                    if i < w.2 && will.is_none() {
                        // Unplaced in the end: a running pod would have to stay, so it is planned away.
                        case.plan.workloads.iter_mut().filter(|p| p.id == id(name)).for_each(|p| p.replicas -= 1);
                        if i < w.0 {
                            case.pod(name, &pod, was.unwrap_or(""), "");
                        }
                    } else if i < w.0 || will.is_some() {
                        case.pod(name, &pod, was.unwrap_or(""), will.unwrap_or(""));
                    }
                }
                match w.4 {
                    0 => case.budget(name, Some(Amount::Count(1)), None),
                    1 => case.budget(name, None, Some(Amount::Count(1))),
                    2 => case.budget(name, None, Some(Amount::Percent(30))),
                    _ => {}
                }
            }
            case
        },
    )
}

/// The same, with some of the pods that move stopped instead, where others come to the nodes they leave.
pub(super) fn stopping(mut case: Case, stops: u16) -> Case {
    case.policy.disruption.preemption = Preemption::LowerPriority;
    let shrinks = |workload: &str| {
        let planned = case.plan.workloads.iter().find(|w| workload.ends_with(&w.id.name));
        planned.is_none_or(|w| w.replicas < w.replicas_now)
    };
    let comes = |node: &String| {
        let new = |p: &&Placement| p.state == PlacementState::New && p.node == *node;
        case.plan.placements.iter().find(new).cloned()
    };
    let stopped = |(number, moved): (usize, &Placement)| {
        let node = moved.from.clone().filter(|_| stops & (1 << (number % 16)) != 0 && !shrinks(&moved.workload))?;
        let by = comes(&node)?;
        let by = Preemptor { namespace: by.namespace, pod: by.pod, workload: by.workload };
        let Placement { namespace, pod, workload, .. } = moved.clone();
        Some(Preempted { namespace, pod, workload, node, by })
    };
    let preempted: Vec<Preempted> = case.plan.placements.iter().enumerate().filter_map(stopped).collect();
    case.plan.placements.retain(|placement| preempted.iter().all(|p| p.pod != placement.pod));
    case.plan.preempted = preempted;
    case
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn replayed_waves_keep_every_limit_and_end_as_planned(case in random_case(), stops in any::<u16>()) {
        let case = stopping(case, stops);
        let steps = case.steps();
        prop_assert!(steps.waves.len() <= case.policy.disruption.max_waves as usize);
        prop_assert!(steps.waves.iter().all(|w| !w.actions.is_empty() && w.at_least_s >= 0.0));
        prop_assert!(steps.deferred.iter().all(|d| !d.rule.is_empty()));
        Replay::new(&case, &steps).run()?;
    }
}
