//! Each pod on its node: resources, labels, taints, volumes, ports.

use std::collections::BTreeSet;

use crate::domain::Resources;
use crate::domain::rules::{HostPort, TaintEffect};

use super::after::{After, AfterNode, AfterPod};
use super::{Violation, volumes};

pub(super) fn check(after: &After<'_>, violations: &mut Vec<Violation>) {
    let mut on_node: Vec<Vec<&AfterPod<'_>>> = after.nodes.iter().map(|_| Vec::new()).collect();
    for pod in &after.pods {
        if let Some(pods) = on_node.get_mut(pod.node) {
            pods.push(pod);
        }
    }
    for (node, pods) in after.nodes.iter().zip(&on_node) {
        resources(after, node, pods, violations);
        host_ports(after, node, pods, violations);
        volumes::on_node(after, node, pods, violations);
        for pod in pods {
            node_rules(after, node, pod, violations);
        }
    }
    volumes::everywhere(after, violations);
}

/// What is asked of a node is at most what it has, of every resource that a pod that comes or grows asks for.
fn resources(after: &After<'_>, node: &AfterNode<'_>, pods: &[&AfterPod<'_>], violations: &mut Vec<Violation>) {
    let mut used = Resources::default();
    let mut asked_anew: BTreeSet<&str> = BTreeSet::new();
    for pod in pods {
        used.add(&pod.requests);
        let before = after.templates.get(pod.template).map(|t| &t.requests);
        for (name, amount) in pod.requests.iter() {
            let had = before.map_or(0, |b| b.get(name));
            let grows = name != crate::domain::resources::PODS && amount > had;
            if amount > 0 && (pod.comes() || grows) {
                asked_anew.insert(name);
            }
        }
    }
    for name in asked_anew {
        let (used, allocatable) = (used.get(name), node.allocatable.get(name));
        if used > allocatable {
            let (node, resource) = (node.name.to_owned(), name.to_owned());
            violations.push(Violation::Overcommitted { node, resource, used, allocatable });
        }
    }
}

fn node_rules(after: &After<'_>, node: &AfterNode<'_>, pod: &AfterPod<'_>, violations: &mut Vec<Violation>) {
    let Some(template) = after.templates.get(pod.template) else { return };
    let rules = &template.rules;
    let at = || (pod.name.clone(), node.name.to_owned());
    // A pod that stays is only driven out by a taint that says so.
    let drives_out = |effect| match effect {
        TaintEffect::NoExecute => !pod.deleting(),
        TaintEffect::NoSchedule => pod.comes(),
        TaintEffect::PreferNoSchedule => false,
    };
    let untolerated = |taint: &&crate::domain::rules::Taint| {
        drives_out(taint.effect) && !rules.tolerations.iter().any(|t| t.covers(taint))
    };
    if let Some(taint) = node.taints.iter().find(untolerated) {
        let (pod, node) = at();
        let value = if taint.value.is_empty() { String::new() } else { format!("={}", taint.value) };
        violations.push(Violation::Taint { pod, node, taint: format!("{}{value}:{:?}", taint.key, taint.effect) });
    }
    if !pod.comes() {
        return;
    }
    // A DaemonSet's pods come with their node, whenever they may.
    let daemon = after.workloads.get(pod.workload).is_some_and(|workload| workload.now.daemon);
    if rules.waits() && !daemon {
        violations.push(Violation::Waits { pod: pod.name.clone(), claim: rules.volumes.unbound });
    }
    if !rules.matches_node(node.name, &node.labels) {
        let (pod, node) = at();
        violations.push(Violation::NodeAffinity { pod, node });
    }
    if !rules.reaches_volumes(node.name, &node.labels) {
        let (pod, node) = at();
        violations.push(Violation::VolumeAffinity { pod, node });
    }
}

/// No pod that comes wants a port that another pod of the node has.
fn host_ports(after: &After<'_>, node: &AfterNode<'_>, pods: &[&AfterPod<'_>], violations: &mut Vec<Violation>) {
    let mut taken: Vec<(&HostPort, bool)> = Vec::new();
    for pod in pods {
        let ports = after.templates.get(pod.template).map_or(&[][..], |t| &t.rules.host_ports);
        for port in ports {
            if taken.iter().any(|(other, comes)| (*comes || pod.comes()) && port.conflicts_with(other)) {
                violations.push(Violation::HostPort { node: node.name.to_owned(), port: port.port });
            }
        }
        taken.extend(ports.iter().map(|port| (port, pod.comes())));
    }
}
