//! Waves of plans, carried out one after another before the eyes of the real scheduler.

use std::collections::BTreeMap;

use plimsoll::decide;
use plimsoll::domain::policy::Preemption;
use plimsoll::domain::steps::{Action, Wave};
use plimsoll::domain::{Catalog, Policy};
use serde_json::{Value, json};

use super::cluster;
use super::oracle::{Oracle, PodAnswer, Rejection};
use crate::{ORDERED, bought, clusters, comes_in_some_order, free_to_move, offers, planned};

/// `namespace/name` of an object.
fn full_name(item: &Value) -> String {
    let text = |field: &str| item["metadata"][field].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", text("namespace"), text("name"))
}

/// The name of the old pod of one that moves, while both are there.
fn old_name(name: &str) -> String {
    format!("{name}-old")
}

/// Pods that come in the wave, with their node and whether they leave another.
fn arrivals(wave: &Wave) -> BTreeMap<String, (String, bool)> {
    let arrival = |action: &Action| match action {
        Action::Bind { namespace, pod, node } => Some((format!("{namespace}/{pod}"), (node.clone(), false))),
        Action::Move { namespace, pod, to, .. } => Some((format!("{namespace}/{pod}"), (to.clone(), true))),
        _ => None,
    };
    wave.actions.iter().filter_map(arrival).collect()
}

/// The cluster with the wave's pods where they come; with `old`, those that move also on their way out where they were.
fn while_it_runs(items: &[Value], came: &BTreeMap<String, (String, bool)>, old: bool) -> Vec<Value> {
    let mut running = Vec::with_capacity(items.len());
    for item in items {
        let Some((node, moves)) = came.get(&full_name(item)).filter(|_| item["kind"] == "Pod") else {
            running.push(item.clone());
            continue;
        };
        if old && *moves {
            let mut leaving = item.clone();
            leaving["metadata"]["name"] = json!(old_name(item["metadata"]["name"].as_str().unwrap_or_default()));
            leaving["metadata"]["uid"] = json!(old_name(item["metadata"]["uid"].as_str().unwrap_or_default()));
            leaving["metadata"]["deletionTimestamp"] = json!("2026-03-01T01:00:00Z");
            leaving["metadata"]["deletionGracePeriodSeconds"] = json!(30);
            running.push(leaving);
        }
        let mut come = item.clone();
        come["spec"]["nodeName"] = json!(node);
        running.push(come);
    }
    running
}

fn rejection_of(pods: &[PodAnswer], name: &str, node: &str) -> Option<Rejection> {
    let pod = pods.iter().find(|pod| pod.name == name)?;
    // What a resize under way reserves is not what the pod asks for elsewhere.
    pod.rejected.get(node).filter(|_| !pod.resizes).cloned()
}

/// What the scheduler has against the wave's pods, each asked about beside all others and all that leave, save its own
/// old pod, which was evicted before it was made.
fn rejections(oracle: &mut Oracle, items: &[Value], came: &BTreeMap<String, (String, bool)>) -> Vec<String> {
    let with_old = while_it_runs(items, came, true);
    let answer = oracle.ask(&with_old, true);
    let (mut rejected, mut wants_order) = (Vec::new(), false);
    for (name, (node, moves)) in came {
        let mut found = rejection_of(&answer.pods, name, node);
        if found.is_some() && *moves {
            let mut without = with_old.clone();
            without.retain(|item| item["kind"] != "Pod" || full_name(item) != old_name(name));
            found = rejection_of(&oracle.ask(&without, true).pods, name, node);
        }
        let Some(rejection) = found else { continue };
        let apart = rejection.reasons.iter().flatten().any(|reason| reason.contains("anti-affinity"));
        if ORDERED.contains(&rejection.plugin.as_str()) && !apart {
            wants_order = true;
        } else {
            rejected.push(format!("{name} on {node}: {rejection:?}"));
        }
    }
    if wants_order && !comes_in_some_order(oracle, &while_it_runs(items, came, false), came) {
        rejected.push("no order of these pods was found".to_owned());
    }
    rejected
}

/// The cluster after the wave, except for the pods that came.
fn carry_out(items: &mut Vec<Value>, wave: &Wave, catalog: &Catalog) {
    for action in &wave.actions {
        match action {
            Action::AddNode { node, offer, zone } => items.push(bought(catalog, node, offer, zone)),
            Action::RemoveNode { node } => {
                items.retain(|item| item["kind"] != "Node" || item["metadata"]["name"] != *node);
            }
            Action::Cordon { node } => {
                let is_it = |item: &&mut Value| item["kind"] == "Node" && item["metadata"]["name"] == *node;
                let item = items.iter_mut().find(is_it).expect("nodes that stand are cordoned");
                item["spec"]["unschedulable"] = json!(true);
                let taint = json!({"key": cluster::CORDON, "effect": "NoSchedule"});
                match item["spec"]["taints"].as_array_mut() {
                    Some(taints) => taints.push(taint),
                    None => item["spec"]["taints"] = json!([taint]),
                }
            }
            Action::Scale { .. } | Action::Resize { .. } => unreachable!("menus of what stands change no workload"),
            Action::Preempt { namespace, pod, .. } => {
                // Its successor waits.
                let name = format!("{namespace}/{pod}");
                let item = items.iter_mut().find(|item| item["kind"] == "Pod" && full_name(item) == name);
                item.expect("pods that run are stopped")["spec"]["nodeName"] = Value::Null;
            }
            Action::Bind { .. } | Action::Move { .. } => {}
        }
    }
}

/// What was compared.
#[derive(Debug, Default)]
struct Compared {
    waves: usize,
    came: usize,
    moved: usize,
    stopped: usize,
    held_back: usize,
}

/// Carries out the waves of plans for random clusters, each before the eyes of the scheduler; `None` where it cannot be had.
#[expect(clippy::print_stderr, reason = "what was compared is shown")]
fn carried_out(policy: &Policy) -> Option<Compared> {
    let mut oracle = Oracle::start()?;
    let catalog = offers();
    let (mut compared, mut misfits) = (Compared::default(), Vec::new());
    for seed in clusters() {
        let Some((mut items, snapshot, plan)) = planned(seed, &catalog, policy) else { continue };
        let steps = decide::steps(&snapshot, &catalog, policy, &plan);
        compared.held_back += steps.deferred.len();
        for (number, wave) in steps.waves.iter().enumerate() {
            let came = arrivals(wave);
            compared.stopped += wave.actions.iter().filter(|a| matches!(a, Action::Preempt { .. })).count();
            carry_out(&mut items, wave, &catalog);
            if came.is_empty() {
                continue;
            }
            compared.waves += 1;
            compared.came += came.len();
            compared.moved += came.values().filter(|(_, moves)| *moves).count();
            let found = rejections(&mut oracle, &items, &came);
            misfits.extend(found.into_iter().map(|text| format!("{seed}, wave {number}: {text}")));
            items = while_it_runs(&items, &came, false);
        }
    }
    eprintln!("{compared:?}");
    assert!(misfits.is_empty(), "{} misfits: {:#?}", misfits.len(), misfits.iter().take(20).collect::<Vec<_>>());
    Some(compared)
}

#[test]
fn every_wave_is_accepted_by_the_scheduler_while_it_runs() {
    let mut policy = free_to_move();
    policy.disruption.max_waves = 50;
    let Some(compared) = carried_out(&policy) else { return };
    assert!(compared.moved > 0 && compared.waves > clusters().count() / 2, "too little came to say anything");
}

#[test]
fn pods_that_take_room_from_others_are_accepted_once_those_have_left() {
    let mut policy = free_to_move();
    policy.disruption.max_waves = 50;
    policy.disruption.add_nodes = false;
    policy.disruption.preemption = Preemption::LowerPriority;
    let Some(compared) = carried_out(&policy) else { return };
    assert!(compared.stopped > clusters().count() / 20, "too few were stopped to say anything");
}
