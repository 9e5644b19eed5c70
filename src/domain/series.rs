//! Measurements on one time axis.

use std::fmt;

use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use super::snapshot::WorkloadId;

/// Evenly spaced instants: `start_ms + i·step_ms` for i in `0..len`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Axis {
    /// The first instant, milliseconds since the Unix epoch, a multiple of `step_ms`.
    pub start_ms: i64,
    /// Spacing, at least 1 ms.
    pub step_ms: i64,
    /// Number of instants.
    pub len: usize,
}

/// Spacing of a table that numbers its steps instead of timing them; no measured axis has it.
pub const NUMBERED_STEP_MS: i64 = 1;

/// Whether an axis of this spacing counts steps instead of milliseconds.
#[must_use]
pub fn is_numbered(step_ms: i64) -> bool {
    step_ms <= NUMBERED_STEP_MS
}

impl Axis {
    /// The instant at index `i`; also beyond the end, for forecasts.
    #[must_use]
    pub fn time_ms(&self, i: usize) -> i64 {
        self.start_ms + self.step_ms * i64::try_from(i).unwrap_or(i64::MAX / self.step_ms.max(1) / 2)
    }

    /// The first instant after the axis.
    #[must_use]
    pub fn end_ms(&self) -> i64 {
        self.time_ms(self.len)
    }
}

/// What a row measures, with its unit in the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Signal {
    /// CPU cores in use.
    CpuCores,
    /// Memory bytes in use (working set).
    MemoryBytes,
    /// Requests, messages or jobs arriving a second.
    RequestsPerSecond,
    /// Mean latency in seconds.
    LatencyMeanSeconds,
    /// Median latency in seconds.
    LatencyP50Seconds,
    /// 95th percentile of latency in seconds.
    LatencyP95Seconds,
    /// 99th percentile of latency in seconds.
    LatencyP99Seconds,
    /// Items waiting in a queue.
    QueueLength,
    /// 1 while ready, 0 while not.
    Ready,
    /// Seconds from creation to binding.
    SchedulingWaitSeconds,
    /// Seconds from ready to found (in the EndpointSlice, and DNS where measured).
    DiscoverySeconds,
    /// The instance's load over the fair share of its service; 1 is fair.
    LoadShare,
    /// A plain number: a series that names no signal.
    Value,
}

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Subject {
    /// One pod, and the workload it belongs to.
    Pod {
        /// The workload.
        workload: WorkloadId,
        /// The pod's name.
        pod: String,
    },
    /// A workload as a whole (a metric without a pod label, or a sum over pods).
    Workload(WorkloadId),
    /// A series with a name of its own.
    Named(String),
}

impl Subject {
    /// The workload it belongs to, if any.
    #[must_use]
    pub fn workload(&self) -> Option<&WorkloadId> {
        match self {
            Self::Pod { workload, .. } | Self::Workload(workload) => Some(workload),
            Self::Named(_) => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod { workload, pod } => write!(f, "{}/{pod}", workload.namespace),
            Self::Workload(id) => write!(f, "{id}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// What happened to one row's measurements on the way here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RowQuality {
    /// Measurements read.
    pub samples: usize,
    /// Counter resets bridged.
    pub resets: usize,
    /// Measurements at an instant already measured; the last read counts.
    pub duplicates: usize,
    /// Measurements older than one read before.
    pub out_of_order: usize,
    /// Empty cells between the first and the last measured one.
    pub gap_cells: usize,
}

/// One row's subject, signal and quality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesRow {
    /// What it is about.
    pub subject: Subject,
    /// What it measures.
    pub signal: Signal,
    /// What happened on the way.
    pub quality: RowQuality,
}

/// Measurements on one time axis: `values[[row, i]]` is `rows[row]` over the step that begins at
/// `axis.time_ms(i)`, NaN where nothing was measured. Shape (rows, `axis.len`).
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The time axis.
    pub axis: Axis,
    /// One an instance and signal, sorted by (subject, signal).
    pub rows: Vec<SeriesRow>,
    /// Shape (rows, axis.len).
    pub values: Array2<f64>,
    /// What was left out, with the reason, e.g. `3 series of unknown metric foo_total`.
    pub notes: Vec<String>,
}

impl Series {
    /// The row of this subject and signal, if measured.
    #[must_use]
    pub fn get(&self, subject: &Subject, signal: Signal) -> Option<ArrayView1<'_, f64>> {
        self.rows.binary_search_by(|r| (&r.subject, r.signal).cmp(&(subject, signal))).ok().map(|i| self.values.row(i))
    }
}
