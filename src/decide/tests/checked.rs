//! Each wave of random plans as a plan of its own, held by the optimizer's independent checker.
//!
//! The plans themselves may break any rule: waves must not, whatever they are made from.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::domain::plan::{NodeState, Placement, PlacementState, Plan, Unplaced};
use crate::domain::policy::Spread;
use crate::domain::quota::ResourceQuota;
use crate::domain::rules::{HOSTNAME_LABEL, HostPort, PodAffinityTerm, Taint, TaintEffect, TopologySpread, ZONE_LABEL};
use crate::domain::snapshot::{Amount, Gang, Node, Pod};
use crate::domain::steps::{Action, Steps, Wave};
use crate::domain::volumes::{ClaimToBind, Disk, SharedVolume, VolumeToBind, volume_limit};
use crate::domain::{CapacityType, Policy, Resources, Snapshot};
use crate::optimize::check::{Violation, check};

use super::case::*;
use super::replay::{NAMES, random_case, stopping};

/// The cluster before a wave, and what has been planned away.
struct World<'a> {
    case: &'a Case,
    steps: &'a Steps,
    snapshot: Snapshot,
    policy: Policy,
}

impl<'a> World<'a> {
    fn new(case: &'a Case, steps: &'a Steps) -> Self {
        let mut policy = case.policy.clone();
        // One wave may move what it likes, inside the disruption budgets, and replicas are what they are.
        for target in &mut policy.targets {
            (target.max_unavailable, target.max_replicas) = (None, u32::MAX);
        }
        policy.disruption.max_moves = Amount::Percent(100);
        policy.disruption.max_drains = Amount::Percent(100);
        policy.disruption.max_waves = 1;
        Self { case, steps, snapshot: case.snapshot.clone(), policy }
    }

    /// Pods that a later wave moves or takes away, or that are planned to: a resize leaves them as they are.
    fn going(&self, wave: usize) -> BTreeSet<&str> {
        let actions = self.steps.waves[wave..].iter().flat_map(|w| &w.actions);
        let moved = actions.chain(self.steps.deferred.iter().map(|d| &d.action)).filter_map(|action| match action {
            Action::Move { pod, .. } | Action::Preempt { pod, .. } => Some(pod.as_str()),
            _ => None,
        });
        moved.chain(self.case.plan.removals.iter().map(|r| r.pod.as_str())).collect()
    }

    /// Changes requests of the workload's pods where they are, all at once and before anything else in the wave.
    fn resize(&mut self, index: usize, wave: &Wave) {
        for action in &wave.actions {
            let Action::Resize { workload, to, .. } = action else { continue };
            let going: BTreeSet<String> = self.going(index).into_iter().map(str::to_owned).collect();
            let workload = self.snapshot.workloads.iter_mut().find(|w| w.id == *workload).unwrap();
            let mut template = self.snapshot.templates[workload.template.unwrap()].clone();
            template.requests = to.clone();
            let new = self.snapshot.templates.len();
            workload.template = Some(new);
            self.snapshot.templates.push(template);
            let of_workload = |p: &&mut Pod| p.workload == workload.id && !going.contains(&p.name);
            self.snapshot.pods.iter_mut().filter(of_workload).for_each(|p| p.template = new);
        }
    }

    /// The cluster while the wave runs, as a plan: what comes has come, what leaves for good is still there.
    fn plan_of(&self, wave: &Wave) -> Plan {
        let mut plan = self.case.plan.clone();
        plan.removals.clear();
        plan.preempted.clear();
        plan.nodes.retain(|node| self.snapshot.nodes.iter().any(|n| n.name == node.name));
        plan.nodes.iter_mut().for_each(|node| node.state = NodeState::Keep);
        plan.placements = self.snapshot.pods.iter().filter_map(standing).collect();
        for planned in &mut plan.workloads {
            let now = self.snapshot.workloads.iter().find(|w| w.id == planned.id).unwrap();
            planned.replicas = now.replicas;
            planned.requests = self.snapshot.templates[now.template.unwrap()].requests.clone();
        }
        for action in &wave.actions {
            match action {
                Action::AddNode { node, .. } => {
                    plan.nodes.extend(self.case.plan.nodes.iter().filter(|n| n.name == *node).cloned());
                }
                Action::RemoveNode { node } => {
                    plan.nodes.iter_mut().filter(|n| n.name == *node).for_each(|n| n.state = NodeState::Remove);
                }
                Action::Scale { workload, from, to, .. } if to > from => {
                    plan.workloads.iter_mut().filter(|w| w.id == *workload).for_each(|w| w.replicas = *to);
                }
                Action::Bind { pod, node, .. } | Action::Move { pod, to: node, .. } => {
                    let planned = self.case.plan.placements.iter().find(|p| p.pod == *pod).unwrap();
                    plan.placements.retain(|p| p.pod != *pod);
                    plan.placements.push(Placement { node: node.clone(), ..planned.clone() });
                }
                _ => {}
            }
        }
        plan
    }

    /// What the wave breaks, with and without the pods that it moves still standing where they were.
    fn violations(&self, wave: &Wave) -> Vec<Violation> {
        let plan = self.plan_of(wave);
        let mut snapshot = self.snapshot.clone();
        for placed in plan.placements.iter().filter(|p| p.state != PlacementState::Stay) {
            // What comes is made from the template of now, whatever the pod was that it follows.
            if let Some(pod) = snapshot.pods.iter_mut().find(|p| p.name == placed.pod) {
                pod.template = snapshot.workloads.iter().find(|w| w.id == pod.workload).unwrap().template.unwrap();
            }
        }
        let mut found = check(&snapshot, &catalog(), &self.policy, &[], &plan).violations;
        let mut with_old = plan;
        for pod in &self.snapshot.pods {
            let moves = |a: &Action| matches!(a, Action::Move { pod: moved, .. } if *moved == pod.name);
            if !wave.actions.iter().any(moves) {
                continue;
            }
            // The old pod is on its way out. It is not in the way of its own successor, so what its labels and claims
            // would say of that one is left out; room, ports and disks are another node's.
            let mut template = snapshot.templates[pod.template].clone();
            template.labels.clear();
            template.rules.pod_anti_affinity.clear();
            template.rules.volumes.single.clear();
            let name = format!("{}-old", pod.name);
            let old = Pod { name, deleting: true, template: snapshot.templates.len(), ..pod.clone() };
            with_old.placements.extend(standing(&old));
            snapshot.pods.push(old);
            snapshot.templates.push(template);
        }
        found.extend(check(&snapshot, &catalog(), &self.policy, &[], &with_old).violations);
        // Waves scale step by step, which no menu knows, and leave pods without a node uncounted. What targets ask is
        // compared with what was.
        found.retain(|v| {
            !matches!(v, Violation::ChangedWithoutMenu { .. } | Violation::ReplicaCount { .. })
                && missed_by(v).is_none()
        });
        found
    }

    /// The cluster after the wave.
    fn end(&mut self, wave: &Wave) {
        let plan = self.plan_of(wave);
        for action in &wave.actions {
            match action {
                Action::AddNode { node, .. } => {
                    let planned = plan.nodes.iter().find(|n| n.name == *node).unwrap();
                    self.snapshot.nodes.push(bought(&self.case.snapshot, node, &planned.zone));
                }
                Action::RemoveNode { node } => self.snapshot.nodes.retain(|n| n.name != *node),
                Action::Cordon { node } => {
                    let node = self.snapshot.nodes.iter_mut().find(|n| n.name == *node).unwrap();
                    node.unschedulable = true;
                    node.taints.push(Taint {
                        key: "node.kubernetes.io/unschedulable".into(),
                        value: String::new(),
                        effect: TaintEffect::NoSchedule,
                    });
                }
                Action::Scale { workload, to, from, .. } => {
                    self.snapshot.workloads.iter_mut().filter(|w| w.id == *workload).for_each(|w| w.replicas = *to);
                    let gone: BTreeSet<&str> = self.case.plan.removals.iter().map(|r| r.pod.as_str()).collect();
                    let goes = |p: &Pod| to < from && p.workload == *workload && gone.contains(p.name.as_str());
                    self.snapshot.pods.retain(|p| !goes(p));
                }
                Action::Preempt { pod, .. } => {
                    // Its successor, of the size of now, waits under another name.
                    let stopped = self.snapshot.pods.iter_mut().find(|p| p.name == *pod).unwrap();
                    let workload = self.snapshot.workloads.iter().find(|w| w.id == stopped.workload).unwrap();
                    (stopped.node, stopped.ready, stopped.template) = (None, false, workload.template.unwrap());
                }
                _ => {}
            }
        }
        for placed in plan.placements.iter().filter(|p| p.state != PlacementState::Stay) {
            let workload = self.snapshot.workloads.iter().find(|w| placed.workload.ends_with(&w.id.name)).unwrap();
            let template = workload.template.unwrap();
            let there = self.snapshot.pods.iter_mut().find(|p| p.name == placed.pod);
            if let Some(pod) = there {
                (pod.node, pod.template) = (Some(placed.node.clone()), template);
            } else {
                let pod = Pod::plain(workload.id.clone(), &placed.pod, template, Some(&placed.node));
                self.snapshot.pods.push(pod);
            }
            let pod = self.snapshot.pods.iter_mut().find(|p| p.name == placed.pod).unwrap();
            pod.ready = true;
        }
    }
}

/// Which rule of which workload's target is broken, and by how much.
fn missed_by(violation: &Violation) -> Option<(String, i64)> {
    match violation {
        Violation::PolicySpread { workload, skew, max_skew } => {
            Some((format!("spread of {workload}"), skew - i64::from(*max_skew)))
        }
        Violation::SpotShare { workload, spot, allowed } => {
            Some((format!("spot share of {workload}"), i64::from(*spot) - i64::from(*allowed)))
        }
        Violation::ZoneLoss { workload, left, needed, .. } => {
            Some((format!("zone loss of {workload}"), i64::from(*needed) - i64::from(*left)))
        }
        _ => None,
    }
}

/// What targets ask and do not get when the wave is done.
fn missed(world: &World<'_>, wave: &Wave) -> BTreeMap<String, i64> {
    let mut plan = world.plan_of(wave);
    for action in &wave.actions {
        if let Action::Preempt { pod, .. } = action {
            plan.placements.retain(|p| p.pod != *pod);
        }
    }
    for planned in &plan.workloads {
        // Pods that have no node are priced and asked nothing of.
        let label = format!("Deployment/{}", planned.id.name);
        let placed = plan.placements.iter().filter(|p| p.workload == label).count() as u32;
        let count = planned.replicas.saturating_sub(placed);
        let (namespace, reasons) = (planned.id.namespace.clone(), Vec::new());
        plan.unplaced.push(Unplaced { namespace, workload: label, count, reasons });
    }
    let gone: BTreeSet<&str> = world.case.plan.removals.iter().map(|r| r.pod.as_str()).collect();
    for action in &wave.actions {
        let Action::Scale { workload, from, to, .. } = action else { continue };
        if to < from {
            let label = format!("Deployment/{}", workload.name);
            plan.placements.retain(|p| p.workload != label || !gone.contains(p.pod.as_str()));
            plan.workloads.iter_mut().filter(|w| w.id == *workload).for_each(|w| w.replicas = *to);
        }
    }
    let found = check(&world.snapshot, &catalog(), &world.policy, &[], &plan).violations;
    let mut most: BTreeMap<String, i64> = BTreeMap::new();
    for (kind, by) in found.iter().filter_map(missed_by) {
        let worst = most.entry(kind).or_insert(by);
        *worst = by.max(*worst);
    }
    most
}

/// What pods are charged of each resource of each quota.
fn charged(snapshot: &Snapshot) -> Vec<i64> {
    let of = |quota: &ResourceQuota, resource: &str| {
        let templates = snapshot.pods.iter().map(|p| &snapshot.templates[p.template]);
        templates.filter(|t| quota.charges(t)).map(|t| quota.charge(resource, t, &t.requests)).sum()
    };
    snapshot.quotas.iter().flat_map(|quota| quota.of_pods().map(move |(name, _)| of(quota, name))).collect()
}

fn standing(pod: &Pod) -> Option<Placement> {
    let (namespace, workload) = (pod.namespace.clone(), format!("{}/{}", pod.workload.kind, pod.workload.name));
    let (pod, node, state) = (pod.name.clone(), pod.node.clone()?, PlacementState::Stay);
    Some(Placement { namespace, pod, workload, node, state, from: None })
}

/// A node of the one offer; limits on its volumes are those of the nodes that stand.
fn bought(before: &Snapshot, name: &str, zone: &str) -> Node {
    let mut node = Node { instance_type: "small".into(), zone: zone.into(), ..Node::plain(name, node_size(1000)) };
    node.labels.insert("node.kubernetes.io/instance-type".into(), "small".into());
    if !zone.is_empty() {
        node.labels.insert(ZONE_LABEL.into(), zone.into());
    }
    node.volume_limits = before.volume_limits_of_type("small").unwrap_or_default();
    node
}

/// A rule that one workload's pods, or the cluster, carry.
#[derive(Debug, Clone, Copy)]
struct Drawn {
    kind: u8,
    workload: usize,
    other: usize,
    amount: u32,
    wide: bool,
}

fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
    let one = (0u8..14, 0usize..3, 0usize..3, 0u32..3, any::<bool>());
    let one = one.prop_map(|(kind, workload, other, amount, wide)| Drawn { kind, workload, other, amount, wide });
    prop::collection::vec(one, 1..4)
}

fn lay_down(case: &mut Case, rules: &[Drawn]) {
    for (index, node) in case.snapshot.nodes.iter_mut().enumerate() {
        node.zone = format!("z{}", index % 2);
        node.labels.insert(ZONE_LABEL.into(), node.zone.clone());
    }
    for (index, planned) in case.plan.nodes.iter_mut().enumerate() {
        let now = case.snapshot.nodes.iter().find(|n| n.name == planned.name);
        planned.zone = now.map_or_else(|| format!("z{}", index % 2), |n| n.zone.clone());
    }
    for rule in rules {
        lay_down_one(case, *rule);
    }
}

fn lay_down_one(case: &mut Case, Drawn { kind, workload, other, amount, wide }: Drawn) {
    let snapshot = &mut case.snapshot;
    let template = snapshot.workloads.iter().position(|w| w.id == id(NAMES[workload])).unwrap();
    let key = if wide { ZONE_LABEL } else { HOSTNAME_LABEL }.to_owned();
    let of_workload = snapshot.pods.iter().filter(|p| p.template == template).count();
    let term = PodAffinityTerm {
        topology_key: key.clone(),
        selector: Some(selector(NAMES[other])),
        namespaces: Vec::new(),
        namespace_selector: None,
    };
    let limits = Resources::of([(volume_limit("disks").as_str(), i64::from(amount) + 1)]);
    match kind {
        0 | 1 => {
            let pods = snapshot.pods.len() as i64;
            let cpu: i64 = snapshot.pods.iter().map(|p| snapshot.templates[p.template].requests.cpu_millis()).sum();
            let amount = i64::from(amount);
            let hard = if kind == 0 { ("pods", pods + amount) } else { ("requests.cpu", cpu + amount * 150) };
            snapshot.quotas.push(ResourceQuota {
                namespace: "shop".into(),
                name: format!("q{}", snapshot.quotas.len()),
                hard: Resources::of([hard]),
                used: Resources::default(),
                scopes: Vec::new(),
            });
        }
        2 => {
            let name = format!("gang-{workload}");
            if snapshot.templates[template].gang.is_none() {
                snapshot.templates[template].gang = Some(name.clone());
                snapshot.gangs.push(Gang { namespace: "shop".into(), name, min_members: amount + 2 });
            }
        }
        3 => {
            snapshot.nodes.iter_mut().for_each(|n| n.volume_limits = limits.clone());
            snapshot.templates[template].rules.volumes.own = Resources::of([(volume_limit("disks").as_str(), 1)]);
        }
        4 => {
            snapshot.nodes.iter_mut().for_each(|n| n.volume_limits = limits.clone());
            for template in [workload, other] {
                let handle = format!("v{workload}");
                let shared = SharedVolume { limit: volume_limit("disks"), handle };
                snapshot.templates[template].rules.volumes.shared.push(shared);
                snapshot.templates[template].rules.volumes.shared.dedup();
            }
        }
        5 => {
            for template in [workload, other] {
                snapshot.templates[template].rules.volumes.single = vec!["claim".into()];
            }
        }
        6 => {
            for template in [workload, other] {
                snapshot.templates[template].rules.volumes.disks = vec![Disk::AwsElasticBlockStore { id: "d".into() }];
            }
        }
        7 => {
            let volume = |n: u32| VolumeToBind { name: format!("v{n}"), affinity: None };
            let volumes = (0..=amount + of_workload as u32 / 2).map(volume).collect();
            let claim = ClaimToBind { claim: None, volumes, made: None };
            snapshot.templates[template].rules.volumes.to_bind = vec![claim];
        }
        8 | 9 => snapshot.templates[template].rules.topology_spread.push(TopologySpread {
            max_skew: 1 + i32::try_from(amount).unwrap() / 2,
            topology_key: key,
            hard: true,
            selector: Some(selector(NAMES[if kind == 8 { workload } else { other }])),
            min_domains: (amount == 1).then_some(2),
            honor_affinity: true,
            honor_taints: amount == 0,
        }),
        10 => snapshot.templates[template].rules.pod_affinity.push(term),
        11 => {
            let target = &mut case.policy.targets[0];
            target.spread = wide.then(|| Spread { topology_key: ZONE_LABEL.into(), max_skew: amount + 1 });
            target.zone_loss = (!wide).then_some(Amount::Percent(20 * (amount + 1)));
        }
        12 => {
            for node in snapshot.nodes.iter_mut().skip(workload) {
                node.capacity_type = CapacityType::Spot;
            }
            for planned in &mut case.plan.nodes {
                let now = snapshot.nodes.iter().find(|n| n.name == planned.name);
                planned.capacity_type = now.map_or(CapacityType::OnDemand, |n| n.capacity_type);
            }
            case.policy.targets[0].max_spot_share = Some(f64::from(amount + 1) / 4.0);
        }
        _ if amount == 0 => {
            let port = HostPort { port: 80, protocol: "TCP".into(), host_ip: String::new() };
            snapshot.templates[template].rules.host_ports = vec![port];
        }
        _ => snapshot.templates[template].rules.pod_anti_affinity.push(term),
    }
}

/// Whether every wave of the case keeps every rule.
fn keeps_every_rule(case: &Case) -> Result<(), TestCaseError> {
    let steps = case.steps();
    let mut world = World::new(case, &steps);
    let hard: Vec<i64> = case.snapshot.quotas.iter().flat_map(|q| q.of_pods().map(|(_, hard)| hard)).collect();
    for (index, wave) in steps.waves.iter().enumerate() {
        let before = charged(&world.snapshot);
        world.resize(index, wave);
        let violations = world.violations(wave);
        prop_assert!(violations.is_empty(), "wave {} {:?}: {:?}", index, wave.actions, violations);
        let (still, then) = (missed(&world, &Wave::default()), missed(&world, wave));
        for (kind, by) in then {
            let before = still.get(&kind).copied().unwrap_or(0);
            prop_assert!(by <= before, "wave {} {:?}: {} by {}", index, wave.actions, kind, by);
        }
        world.end(wave);
        // The checker sees pods that were resized before; what grows is charged too.
        for ((before, after), hard) in before.into_iter().zip(charged(&world.snapshot)).zip(&hard) {
            prop_assert!(after <= before || after <= *hard, "wave {} {:?}: {} of {}", index, wave.actions, after, hard);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn every_wave_keeps_every_rule_while_it_runs(case in random_case(), rules in drawn()) {
        let mut case = case;
        lay_down(&mut case, &rules);
        keeps_every_rule(&case)?;
    }

    #[test]
    fn every_wave_keeps_every_rule_where_pods_are_stopped(
        case in random_case(),
        rules in drawn(),
        stops in any::<u16>(),
    ) {
        let mut case = stopping(case, stops);
        if case.plan.preempted.is_empty() {
            return Ok(());
        }
        lay_down(&mut case, &rules);
        keeps_every_rule(&case)?;
    }
}
