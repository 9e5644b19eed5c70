//! What each workload's pods use, bucket by bucket, where the policy packs by usage.

use std::ops::Range;

use ndarray::Array2;

use crate::domain::policy::{PackBy, Policy};
use crate::domain::usage::{Bucket, WorkloadUsage};
use crate::domain::{Catalog, Forecast, Menu, Series, Snapshot, Usage};

use super::evidence::{self, usable};
use super::{Ties, declared_requests, sizer_of};

/// The use of CPU by bucket of every workload that has a forecast of it, those of `DaemonSet`s included; `None` where the
/// policy packs by requests or nothing is forecast. What runs to completion is left out: its past says nothing of the
/// time after its end.
///
/// A bucket counts as one step: its quantiles are those of the largest use within it. They are the largest of its steps'
/// quantiles, raised as the quantile of the peak stands above the largest of its own steps', so that the largest bucket
/// is the peak that is sized for.
///
/// For a workload that is sized, its size for the peak is set aside at the peak, and in each other bucket as much less
/// as its use is less. Of others, the quantile that may be exceeded with the policy's `maxContention` is.
/// `menus` are those of the same inputs.
#[must_use]
pub fn usage(
    snapshot: &Snapshot,
    catalog: &Catalog,
    series: Option<&Series>,
    forecasts: &[Forecast],
    policy: &Policy,
    menus: &[Menu],
) -> Option<Usage> {
    if policy.planning.pack_by != PackBy::Usage {
        return None;
    }
    let evidence = evidence::by_workload(series, forecasts);
    let first = evidence.values().filter_map(|known| known.cpu).find(|cpu| usable(cpu))?;
    let (steps, buckets): (Vec<Range<usize>>, Vec<Bucket>) =
        first.buckets(policy.planning.usage_buckets as usize).into_iter().unzip();
    let (largest_node, ties) = (largest_node_millis(snapshot, catalog), Ties::new(snapshot));
    let mut usage = Usage { buckets, ..Usage::default() };
    for workload in snapshot.workloads.iter().filter(|workload| !workload.batch) {
        let Some(known) = evidence.get(&workload.id) else { continue };
        let (Some(cpu), Some(declared)) = (known.cpu, declared_requests(snapshot, workload)) else { continue };
        let pods = snapshot.pods.iter().filter(|pod| pod.workload == workload.id && !pod.deleting).count();
        let pods_now = u32::try_from(pods).unwrap_or(u32::MAX).max(1);
        let mut found = WorkloadUsage {
            standing: Vec::new(),
            entries: Vec::new(),
            levels: cpu.levels.clone(),
            cores: cores(cpu, &steps),
            pods_now,
        };
        let menu = menus.iter().find(|menu| menu.workload == workload.id);
        let sizer = sizer_of(snapshot, policy, workload, declared, known, &ties).ok();
        let set_aside = |replicas: u32, shape: &[f64], found: &WorkloadUsage| -> Vec<i64> {
            let most = match &sizer {
                Some(sizer) => sizer.set_aside(replicas),
                None => (1000.0 * peak_of(found, level_of(policy)) / f64::from(replicas.max(1)) - 1e-9).ceil() as i64,
            };
            let most = most.min(largest_node);
            shape.iter().map(|share| (most as f64 * share - 1e-9).ceil() as i64).collect()
        };
        let shape = shape(&found, sizer.as_ref().map_or(level_of(policy), super::sizer::Sizer::level));
        let now = if sizer.is_some() { workload.replicas } else { pods_now };
        found.standing = set_aside(now, &shape, &found);
        if let Some(menu) = menu {
            let of = |replicas: u32| if sizer.is_some() { replicas } else { now };
            found.entries = menu.entries.iter().map(|e| set_aside(of(e.replicas), &shape, &found)).collect();
        }
        usage.workloads.insert(workload.id.clone(), found);
    }
    Some(usage)
}

/// The quantile that is set aside where no objective asks for more.
pub(super) fn level_of(policy: &Policy) -> f64 {
    1.0 - policy.planning.max_contention
}

/// Quantiles of the largest use within each bucket; shape (levels, buckets), rising along the levels.
fn cores(cpu: &Forecast, steps: &[Range<usize>]) -> Array2<f64> {
    let mut cores = Array2::zeros((cpu.levels.len(), steps.len()));
    for (mut bucket, steps) in cores.columns_mut().into_iter().zip(steps) {
        bucket.iter_mut().zip(cpu.largest_within(steps.clone())).for_each(|(cores, largest)| *cores = largest);
    }
    cores
}

/// The largest bucket at a level, in cores.
fn peak_of(usage: &WorkloadUsage, level: f64) -> f64 {
    (0..usage.cores.ncols()).map(|bucket| usage.cores_at(level, bucket)).fold(0.0, f64::max)
}

/// Each bucket's share of the largest at a level, 0..=1; all of it where nothing is used.
fn shape(usage: &WorkloadUsage, level: f64) -> Vec<f64> {
    let peak = peak_of(usage, level);
    let share = |bucket| if peak > 0.0 { usage.cores_at(level, bucket) / peak } else { 1.0 };
    (0..usage.cores.ncols()).map(share).collect()
}

/// No pod uses more than the largest node there is or can be.
fn largest_node_millis(snapshot: &Snapshot, catalog: &Catalog) -> i64 {
    let standing = snapshot.nodes.iter().map(|node| node.allocatable.cpu_millis());
    let offered = catalog.offers.iter().map(|offer| offer.allocatable.cpu_millis());
    standing.chain(offered).max().unwrap_or(i64::MAX)
}
