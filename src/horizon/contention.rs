//! How likely the pods of one node want more CPU than it has.

use std::collections::BTreeMap;

use crate::domain::outlook::{Contention, Packing};
use crate::domain::plan::NodeState;
use crate::domain::usage::WorkloadUsage;
use crate::domain::{Plan, Snapshot, Usage, WorkloadId};

/// The probability, for each node that stands when the plan is done, that its pods want more CPU within its worst bucket
/// than it has.
///
/// Demands are taken to rise together: at a common level `u`, each workload uses its own quantile at `u`, shared evenly
/// by its pods, and a node contends from the level on at which these add up to more than it has. What is printed is one
/// minus the largest level of the forecasts at which they do not, interpolated between levels where their sum crosses
/// the node's CPU: quantiles bend upwards there, so the chord lies above them, and the probability is if anything too
/// large. Where the sum fits at every level, it is what lies beyond the highest; where it fits at none, 1. A workload
/// without a forecast uses what it requests.
#[must_use]
pub fn contention(snapshot: &Snapshot, plan: &Plan, usage: &Usage, limit: f64) -> Packing {
    let shares = Shares::of(snapshot, plan, usage);
    let mut on_node: BTreeMap<&str, BTreeMap<(&str, &str), u32>> = BTreeMap::new();
    for placement in &plan.placements {
        let pods = on_node.entry(&placement.node).or_default();
        *pods.entry((&placement.namespace, &placement.workload)).or_insert(0) += 1;
    }
    let nodes = plan.nodes.iter().filter(|node| node.state != NodeState::Remove).map(|node| {
        let pods = on_node.get(node.name.as_str());
        let users: Vec<User<'_>> =
            pods.into_iter().flatten().map(|(workload, count)| shares.user(*workload, *count)).collect();
        (node.name.clone(), worst(&users, usage, node.allocatable.cpu_millis() as f64 / 1000.0))
    });
    let nodes = nodes.filter_map(|(name, found)| Some((name, found?))).collect();
    Packing { limit, buckets: usage.buckets.len(), nodes }
}

/// Pods of one workload on one node.
struct User<'a> {
    /// What the whole workload uses, and these pods' part of it; `None` where nothing is forecast.
    forecast: Option<(&'a WorkloadUsage, f64)>,
    /// Cores they use where nothing is forecast.
    certain: f64,
}

/// How each workload's use is shared by its pods.
struct Shares<'a> {
    usage: BTreeMap<(&'a str, String), &'a WorkloadUsage>,
    /// Pods that share it, and the cores one of them requests, by namespace and `Kind/name`.
    pods: BTreeMap<(&'a str, String), (u32, f64)>,
}

impl<'a> Shares<'a> {
    fn of(snapshot: &'a Snapshot, plan: &'a Plan, usage: &'a Usage) -> Self {
        let key = |id: &'a WorkloadId| (id.namespace.as_str(), format!("{}/{}", id.kind, id.name));
        let usage = usage.workloads.iter().map(|(id, usage)| (key(id), usage)).collect();
        let mut placed: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for placement in &plan.placements {
            *placed.entry((&placement.namespace, &placement.workload)).or_insert(0) += 1;
        }
        let daemons: BTreeMap<&WorkloadId, bool> = snapshot.workloads.iter().map(|w| (&w.id, w.daemon)).collect();
        let pods = plan.workloads.iter().map(|workload| {
            let key = key(&workload.id);
            // More nodes bring more pods of a DaemonSet and more of its work; of others the work is what it is.
            let daemon = daemons.get(&workload.id).copied().unwrap_or(false);
            let sharing = if daemon { 0 } else { placed.get(&(key.0, key.1.as_str())).copied().unwrap_or(0) };
            (key, (sharing, workload.requests.cpu_millis() as f64 / 1000.0))
        });
        Self { usage, pods: pods.collect() }
    }

    fn user(&self, (namespace, workload): (&'a str, &'a str), count: u32) -> User<'a> {
        let key = (namespace, workload.to_owned());
        let (sharing, requests) = self.pods.get(&key).copied().unwrap_or((0, 0.0));
        let of = |usage: &'a WorkloadUsage| {
            let sharing = if sharing == 0 { usage.pods_now } else { sharing };
            (usage, f64::from(count) / f64::from(sharing.max(1)))
        };
        User { forecast: self.usage.get(&key).copied().map(of), certain: f64::from(count) * requests }
    }
}

/// The bucket in which the pods most likely want more than `cores`; of equals that in which they want most.
fn worst(users: &[User<'_>], usage: &Usage, cores: f64) -> Option<Contention> {
    let levels = levels(users);
    let in_bucket = |bucket: usize| {
        let wanted = |level: f64| -> f64 {
            let of =
                |user: &User<'_>| user.forecast.map_or(user.certain, |(of, part)| part * of.cores_at(level, bucket));
            users.iter().map(of).sum()
        };
        (exceedance(&levels, &wanted, cores), wanted(levels.last().copied().unwrap_or(0.5)))
    };
    let found = (0..usage.buckets.len()).map(|bucket| (in_bucket(bucket), usage.buckets[bucket]));
    let ((probability, _), bucket) = found.max_by(|((a, most), first), ((b, more), second)| {
        a.total_cmp(b).then(most.total_cmp(more)).then(second.start_ms.cmp(&first.start_ms))
    })?;
    Some(Contention { probability, bucket })
}

/// The levels known of any of the users, up to the highest that is known of all; none where all use is certain.
fn levels(users: &[User<'_>]) -> Vec<f64> {
    let known = || users.iter().filter_map(|user| user.forecast.map(|(of, _)| &of.levels));
    let highest = known().filter_map(|levels| levels.last().copied()).fold(1.0, f64::min);
    let mut levels: Vec<f64> = known().flatten().copied().filter(|level| *level <= highest).collect();
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    levels
}

/// The probability that what is wanted, which rises with the level, is more than `cores`.
fn exceedance(levels: &[f64], wanted: &dyn Fn(f64) -> f64, cores: f64) -> f64 {
    // Amounts are of whole millicores, and sums of parts are off by rounding.
    let fits = |level: f64| wanted(level) <= cores + 1e-9;
    let Some(&highest) = levels.last() else { return if fits(0.5) { 0.0 } else { 1.0 } };
    if fits(highest) {
        return 1.0 - highest;
    }
    let above = levels.partition_point(|level| fits(*level));
    if above == 0 {
        return 1.0;
    }
    let (low, high) = (levels[above - 1], levels[above]);
    let (from, to) = (wanted(low), wanted(high));
    let share = if to > from { ((cores - from) / (to - from)).clamp(0.0, 1.0) } else { 0.0 };
    1.0 - (low + share * (high - low))
}
