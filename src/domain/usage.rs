//! What workloads are expected to use over the time a plan holds, cut into stretches.

use std::collections::BTreeMap;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::snapshot::WorkloadId;

/// A stretch of the time a plan holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bucket {
    /// Its start, milliseconds since the Unix epoch.
    pub start_ms: i64,
    /// Its end, after the start; not part of it.
    pub end_ms: i64,
}

/// Use of CPU by bucket. A workload that is not named is taken to use all it requests, all the time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage {
    /// The buckets, one after another without a gap.
    pub buckets: Vec<Bucket>,
    /// Every workload with a forecast of its CPU, but for those that run to completion.
    pub workloads: BTreeMap<WorkloadId, WorkloadUsage>,
}

/// Use of CPU of one workload.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadUsage {
    /// Millicores set aside for one of today's pods, one a bucket.
    pub standing: Vec<i64>,
    /// Millicores set aside for one pod of each entry of the workload's menu, one a bucket; in the menu's order.
    pub entries: Vec<Vec<i64>>,
    /// Quantile levels in rising order, each in 0..1.
    pub levels: Vec<f64>,
    /// Quantiles of the cores that all its pods use at most within each bucket; shape (levels, buckets), rising along the
    /// levels.
    pub cores: Array2<f64>,
    /// Pods that share this use today, at least 1.
    pub pods_now: u32,
}

impl WorkloadUsage {
    /// The quantile at `level` of the cores that all its pods use in a bucket, interpolated linearly between the levels
    /// kept and held flat beyond them.
    #[must_use]
    pub fn cores_at(&self, level: f64, bucket: usize) -> f64 {
        let value = |row: usize| self.cores.get((row, bucket)).copied().unwrap_or(0.0);
        let above = self.levels.partition_point(|&l| l < level);
        if above == 0 {
            return value(0);
        }
        if above == self.levels.len() {
            return value(above - 1);
        }
        let (low, high) = (self.levels[above - 1], self.levels[above]);
        value(above - 1) + (level - low) / (high - low) * (value(above) - value(above - 1))
    }
}
