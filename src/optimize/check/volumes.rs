//! Volumes that pods share or may not share, how many a node can hold, and a volume for each claim that needs one.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::volumes::{ClaimToBind, PodVolumes, SharedVolume};

use super::Violation;
use super::after::{After, AfterNode, AfterPod};

fn volumes_of<'a>(after: &After<'a>, pod: &AfterPod<'_>) -> Option<&'a PodVolumes> {
    after.templates.get(pod.template).map(|template| &template.rules.volumes)
}

/// Disks and limits of one node. What stays may stay; what comes must be accepted with all that is there in the end, for
/// more volumes only ever forbid more.
pub(super) fn on_node(
    after: &After<'_>,
    node: &AfterNode<'_>,
    pods: &[&AfterPod<'_>],
    violations: &mut Vec<Violation>,
) {
    let with_disks: Vec<(&AfterPod<'_>, &PodVolumes)> = pods
        .iter()
        .filter_map(|pod| Some((*pod, volumes_of(after, pod)?)))
        .filter(|(_, v)| !v.disks.is_empty())
        .collect();
    for (number, (pod, volumes)) in with_disks.iter().enumerate() {
        for (other, taken) in &with_disks[..number] {
            if (pod.comes() || other.comes()) && volumes.conflict_with(taken) {
                let (node, pod, other) = (node.name.to_owned(), pod.name.clone(), other.name.clone());
                violations.push(Violation::DiskShared { node, pod, other });
            }
        }
    }
    for (limit, most) in node.volume_limits.iter() {
        let (staying, coming): (Vec<&AfterPod<'_>>, Vec<&AfterPod<'_>>) = pods.iter().partition(|pod| !pod.comes());
        let there = Attached::of(after, &staying, limit);
        let all = Attached::of(after, pods, limit);
        let used = all.count();
        if !coming.is_empty() && used > there.count() && used > most {
            let (node, limit) = (node.name.to_owned(), limit.to_owned());
            violations.push(Violation::TooManyVolumes { node, limit, used, most });
        }
    }
}

/// Volumes that count against one limit.
struct Attached<'a> {
    own: i64,
    shared: BTreeSet<&'a SharedVolume>,
}

impl<'a> Attached<'a> {
    fn of(after: &After<'a>, pods: &[&AfterPod<'_>], limit: &str) -> Self {
        let volumes: Vec<&PodVolumes> = pods.iter().filter_map(|pod| volumes_of(after, pod)).collect();
        Self {
            own: volumes.iter().map(|v| v.own.get(limit)).sum(),
            shared: volumes.iter().flat_map(|v| &v.shared).filter(|volume| volume.limit == limit).collect(),
        }
    }

    fn count(&self) -> i64 {
        self.own.saturating_add(i64::try_from(self.shared.len()).unwrap_or(i64::MAX))
    }
}

/// Claims of one pod, and a volume for each claim of the pods that come.
pub(super) fn everywhere(after: &After<'_>, violations: &mut Vec<Violation>) {
    let mut users: BTreeMap<String, (usize, bool)> = BTreeMap::new();
    for pod in &after.pods {
        let Some(template) = after.templates.get(pod.template) else { continue };
        for claim in &template.rules.volumes.single {
            let (pods, comes) = users.entry(format!("{}/{claim}", template.namespace)).or_default();
            *pods += 1;
            *comes |= pod.comes();
        }
    }
    for (claim, (pods, _)) in users.into_iter().filter(|(_, (pods, comes))| *pods > 1 && *comes) {
        violations.push(Violation::ClaimShared { claim, pods });
    }
    bind(after, violations);
}

/// Which claim: one of a pod's own, by number of the pod and the claim, or one that several pods use.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Own(usize, usize),
    Shared(&'a str, &'a str),
}

/// A claim of pods that come, with the volumes that can be reached from all of them.
struct Wanted<'a> {
    pod: &'a str,
    volumes: BTreeSet<&'a str>,
    can_be_made: bool,
}

/// Finds each claim a volume of its own, as a matching of claims to volumes: a claim whose class can make one where its
/// pod comes needs none.
fn bind(after: &After<'_>, violations: &mut Vec<Violation>) {
    let mut wanted: BTreeMap<Key<'_>, Wanted<'_>> = BTreeMap::new();
    for (number, pod) in after.pods.iter().enumerate().filter(|(_, pod)| pod.comes()) {
        let (Some(template), Some(node)) = (after.templates.get(pod.template), after.nodes.get(pod.node)) else {
            continue;
        };
        for (place, claim) in template.rules.volumes.to_bind.iter().enumerate() {
            let shared = claim.claim.as_deref().map(|name| (template.namespace.as_str(), name));
            let key = shared.map_or(Key::Own(number, place), |(namespace, name)| Key::Shared(namespace, name));
            let here = reached(claim, node);
            let can_be_made = claim.can_be_made(node.name, &node.labels);
            let entry = wanted.entry(key);
            let same = entry.or_insert_with(|| Wanted { pod: &pod.name, volumes: here.clone(), can_be_made });
            same.volumes.retain(|volume| here.contains(volume));
            same.can_be_made &= can_be_made;
        }
    }
    let wanted: Vec<Wanted<'_>> = wanted.into_values().filter(|wanted| !wanted.can_be_made).collect();
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for claim in 0..wanted.len() {
        if !find(&wanted, claim, &mut taken, &mut BTreeSet::new()) {
            violations.push(Violation::NoVolume { pod: wanted[claim].pod.to_owned() });
        }
    }
}

fn reached<'a>(claim: &'a ClaimToBind, node: &AfterNode<'_>) -> BTreeSet<&'a str> {
    let reached = claim.volumes.iter().filter(|volume| volume.is_reached(node.name, &node.labels));
    reached.map(|volume| volume.name.as_str()).collect()
}

/// Gives the claim a volume, where need be by giving another claim another one.
fn find<'a>(
    wanted: &[Wanted<'a>],
    claim: usize,
    taken: &mut BTreeMap<&'a str, usize>,
    tried: &mut BTreeSet<&'a str>,
) -> bool {
    for &volume in &wanted[claim].volumes {
        if !tried.insert(volume) {
            continue;
        }
        let free = match taken.get(volume) {
            None => true,
            Some(&other) => find(wanted, other, taken, tried),
        };
        if free {
            taken.insert(volume, claim);
            return true;
        }
    }
    false
}
