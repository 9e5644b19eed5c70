//! What the owner wants and allows, checked and compiled. Documents are read in the policy room.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::resources::Resources;
use super::rules::LabelSelector;
use super::series::Signal;
use super::snapshot::Amount;

/// How far Plimsoll may go, from least to most invasive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// Do nothing, decide nothing.
    Paused,
    /// Write reports.
    Report,
    /// Write recommendations into statuses.
    #[default]
    Recommend,
    /// Change replicas and requests.
    Scale,
    /// Also place pods and change nodes.
    Schedule,
}

/// A line and a column of a policy document, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// The compiled policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Name of the document; `default` for the built-in one.
    pub name: String,
    /// File or built-in it came from, for messages.
    pub source: String,
    /// How far Plimsoll may go.
    pub mode: Mode,
    /// Targets in order; the first that selects a workload is its target.
    pub targets: Vec<Target>,
    /// Cluster-wide limits on change.
    pub disruption: DisruptionLimits,
    /// What things are worth.
    pub costs: Costs,
    /// What is planned for.
    pub planning: Planning,
    /// Which metric means what.
    pub metrics: MetricMapping,
    /// Holidays, sales and whatever else is known to change demand.
    pub events: Vec<KnownEvent>,
    /// Where each field stands: `targets.web.maxReplicas` → line and column.
    pub places: BTreeMap<String, Place>,
}

impl Policy {
    /// A policy of these targets that limits no change, knows no event and reads no metric.
    #[must_use]
    pub fn unlimited(name: &str, targets: Vec<Target>, costs: Costs) -> Self {
        Self {
            name: name.to_owned(),
            source: name.to_owned(),
            mode: Mode::Recommend,
            targets,
            disruption: DisruptionLimits {
                max_moves: Amount::Percent(100),
                max_drains: Amount::Percent(100),
                max_waves: 10,
                remove_nodes: true,
                add_nodes: true,
                preemption: Preemption::Never,
            },
            costs,
            planning: Planning::default(),
            metrics: MetricMapping::default(),
            events: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    /// The target for a workload with these properties: the first that selects it.
    #[must_use]
    pub fn target_for(&self, workload: &super::snapshot::Workload) -> Option<&Target> {
        self.targets.iter().find(|t| t.selects.matches(workload))
    }
}

/// Something that is known to change demand: a holiday, a sale, a load test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownEvent {
    /// Name, unique in its list; the report's marks carry it.
    pub name: String,
    /// When, as (start, end) in milliseconds since the Unix epoch; the end is not part of it.
    pub spans: Vec<(i64, i64)>,
    /// Whether the spans come again.
    pub repeats: Option<Repeat>,
    /// Which workloads; a series with a name of its own is meant by its name.
    pub selects: WorkloadSelector,
}

/// How often an event comes again, by the calendar in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Repeat {
    /// Every seven days.
    Weekly,
    /// On the same day of each month that has it.
    Monthly,
    /// On the same day of each year that has it.
    Yearly,
}

/// Wishes and bounds for a group of workloads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Name, unique in the policy.
    pub name: String,
    /// Which workloads.
    pub selects: WorkloadSelector,
    /// Bounds on replicas, inclusive.
    pub min_replicas: u32,
    /// Upper bound; at least the lower.
    pub max_replicas: u32,
    /// Whether the replica count may change.
    pub scale_replicas: bool,
    /// Whether requests may change.
    pub resize_requests: bool,
    /// Least requests of a pod; absent names are unbounded.
    pub min_requests: Resources,
    /// Largest requests of a pod; absent names are unbounded.
    pub max_requests: Resources,
    /// What must be kept.
    pub objective: Objective,
    /// Largest acceptable probability of breaking the objective within the lead time, 0..1.
    pub max_risk: f64,
    /// Rate limits and stabilisation, as HPA has them.
    pub behavior: Behavior,
    /// Spread asked for in addition to the pods' own.
    pub spread: Option<Spread>,
    /// Largest share of replicas on spot nodes, 0..=1; `None` leaves it free.
    pub max_spot_share: Option<f64>,
    /// Replicas that must be left if any one zone is lost.
    pub zone_loss: Option<Amount>,
    /// Replicas that may be moved at once, beside the disruption budgets.
    pub max_unavailable: Option<Amount>,
}

impl Target {
    /// A target for every workload that lets it scale from 1 to 20 replicas and resize, at a risk of 5 %.
    #[must_use]
    pub fn free(name: &str, objective: Objective) -> Self {
        Self {
            name: name.to_owned(),
            selects: WorkloadSelector::default(),
            min_replicas: 1,
            max_replicas: 20,
            scale_replicas: true,
            resize_requests: true,
            min_requests: Resources::default(),
            max_requests: Resources::default(),
            objective,
            max_risk: 0.05,
            behavior: Behavior::default(),
            spread: None,
            max_spot_share: None,
            zone_loss: None,
            max_unavailable: None,
        }
    }
}

/// Which workloads a target is for; empty lists and selectors do not restrict.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkloadSelector {
    /// Namespaces.
    pub namespaces: Vec<String>,
    /// Kinds.
    pub kinds: Vec<String>,
    /// Names.
    pub names: Vec<String>,
    /// Labels of the workload object.
    pub labels: LabelSelector,
}

impl WorkloadSelector {
    /// Whether it selects the workload.
    #[must_use]
    pub fn matches(&self, workload: &super::snapshot::Workload) -> bool {
        self.matches_id(&workload.id) && self.labels.matches(&workload.labels)
    }

    /// Whether it selects a workload of this namespace, kind and name, as far as those tell.
    #[must_use]
    pub fn matches_id(&self, id: &super::snapshot::WorkloadId) -> bool {
        listed(&self.namespaces, &id.namespace) && listed(&self.kinds, &id.kind) && self.matches_name(&id.name)
    }

    /// Whether its list of names has this one, or is empty.
    #[must_use]
    pub fn matches_name(&self, name: &str) -> bool {
        listed(&self.names, name)
    }
}

fn listed(list: &[String], value: &str) -> bool {
    list.is_empty() || list.iter().any(|item| item == value)
}

/// What a target keeps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Objective {
    /// The peak demand's quantile uses at most this share of the requested CPU (or another signal's capacity).
    Utilisation {
        /// Share, 0..=1.
        share: f64,
    },
    /// This quantile of latency stays below the target at the demand's planned quantile.
    Latency {
        /// Quantile of latency, 0..1.
        quantile: f64,
        /// Target in seconds, > 0.
        target_s: f64,
    },
    /// Requests cover this quantile of the peak demand, with no room beyond.
    Demand {
        /// Quantile, 0..1.
        quantile: f64,
    },
}

/// HPA's `behavior`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Behavior {
    /// Limits on growing.
    pub scale_up: ScalingRules,
    /// Limits on shrinking.
    pub scale_down: ScalingRules,
}

/// HPA's `HPAScalingRules`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScalingRules {
    /// Seconds of past recommendations considered, 0..=3600.
    pub stabilization_window_s: u32,
    /// How several policies combine.
    pub select_policy: SelectPolicy,
    /// Rate limits; none is no limit.
    pub policies: Vec<ScalingPolicy>,
}

/// HPA's `selectPolicy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelectPolicy {
    /// The policy that allows the most change.
    #[default]
    Max,
    /// The policy that allows the least change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// HPA's `HPAScalingPolicy`: at most so much change within so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScalingPolicy {
    /// How much.
    pub amount: Amount,
    /// Within how many seconds, 1..=1800.
    pub period_s: u32,
}

impl Default for Behavior {
    /// HPA's defaults (Kubernetes 1.36): up by the larger of 4 pods and 100 % within 15 s at once, down by 100 %
    /// within 15 s after 300 s of stability.
    fn default() -> Self {
        let all = ScalingPolicy { amount: Amount::Percent(100), period_s: 15 };
        Self {
            scale_up: ScalingRules {
                stabilization_window_s: 0,
                select_policy: SelectPolicy::Max,
                policies: vec![ScalingPolicy { amount: Amount::Count(4), period_s: 15 }, all],
            },
            scale_down: ScalingRules {
                stabilization_window_s: 300,
                select_policy: SelectPolicy::Max,
                policies: vec![all],
            },
        }
    }
}

/// Spread over domains, asked for by the owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Node label whose value names the domain.
    pub topology_key: String,
    /// Largest difference between domains, at least 1.
    pub max_skew: u32,
}

/// Cluster-wide limits on change, for one plan.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DisruptionLimits {
    /// Running pods that may be moved to another node at most, of all that may be moved.
    pub max_moves: Amount,
    /// Nodes that may be drained at most, of all nodes.
    pub max_drains: Amount,
    /// Waves a plan may take at most, at least 1.
    pub max_waves: u32,
    /// Whether nodes may be removed at all.
    pub remove_nodes: bool,
    /// Whether nodes may be bought at all.
    pub add_nodes: bool,
    /// Which running pods may be stopped for others that find no room.
    #[serde(default)]
    pub preemption: Preemption,
}

/// Which running pods may lose their node to a pod that finds no room, and wait in its stead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Preemption {
    /// None.
    #[default]
    Never,
    /// Those of lower priority than the pod that comes, as kube-scheduler has it.
    LowerPriority,
}

/// What things are worth, in the catalog's currency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Price of moving a running pod, for each core it requests (one core at least is charged a tenth).
    pub move_per_core: f64,
    /// Price of adding or removing a node, once.
    pub node_change: f64,
    /// Price an hour of certainly breaking a workload's objective, for each replica it has today. Risk is priced
    /// at `risk · this · replicas`.
    pub breach_per_replica_hour: f64,
    /// Price an hour of leaving one pod unplaced, for each priority band; far above any node's.
    pub unplaced_per_hour: f64,
    /// Price an hour of one unmet preference of full weight (100) of one placed pod: preferred affinity and anti-affinity,
    /// spread with `ScheduleAnyway`, taints with `PreferNoSchedule`. At 0 preferences are not weighed.
    pub preference_per_hour: f64,
    /// Hours over which one-time prices (moves, node changes) are spread, > 0.
    pub amortise_hours: f64,
}

/// What is planned for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Planning {
    /// Step of the aligned axis, milliseconds.
    pub step_ms: i64,
    /// How far the forecast reaches, seconds.
    pub horizon_s: u32,
    /// How long a plan must hold before the next can take effect, seconds: the window of the peak.
    pub lead_time_s: u32,
    /// Room kept above the peak memory when sizing, as a share, ≥ 0.
    pub memory_margin: f64,
    /// Estimated prices where there is no catalog: per core and hour.
    pub estimate_per_core_hour: f64,
    /// Per GiB of memory and hour.
    pub estimate_per_gib_hour: f64,
    /// Per GPU and hour.
    pub estimate_per_gpu_hour: f64,
    /// What nodes are filled by.
    pub pack_by: PackBy,
    /// Largest acceptable probability, above 0 and at most ½, that the pods of one node want more CPU than it has within a
    /// bucket. Only where packed by usage.
    pub max_contention: f64,
    /// Buckets that the time a plan holds is cut into, at least 1. Only where packed by usage.
    pub usage_buckets: u32,
    /// Instants of the horizon that capacity is planned for, at least 1; 1 is now alone.
    pub instants: u32,
    /// Seconds from one decision to the next.
    pub decide_every_s: u32,
    /// Seconds a new node takes to pull its pods' images.
    pub image_pull_s: u32,
    /// How often the provider takes back the spot nodes of one offer in one zone, an hour; ≥ 0.
    pub spot_losses_per_hour: f64,
}

/// What nodes are filled by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PackBy {
    /// What pods request, which carries their peak.
    #[default]
    Requests,
    /// What pods are expected to use, stretch by stretch of the horizon; they request their mean use.
    Usage,
}

impl Planning {
    /// How long a plan must hold, seconds: the window of the peak. A plan packed by usage is one for the whole horizon.
    #[must_use]
    pub fn holds_s(&self) -> u32 {
        match self.pack_by {
            PackBy::Requests => self.lead_time_s,
            PackBy::Usage => self.horizon_s,
        }
    }
}

impl Default for Planning {
    /// What a document leaves out; the prices are those `OpenCost` takes for a cluster without a price list.
    fn default() -> Self {
        Self {
            step_ms: 60_000,
            horizon_s: 86_400,
            lead_time_s: 900,
            memory_margin: 0.15,
            estimate_per_core_hour: 0.031_611,
            estimate_per_gib_hour: 0.004_237,
            estimate_per_gpu_hour: 0.95,
            pack_by: PackBy::Requests,
            max_contention: 0.01,
            usage_buckets: 24,
            instants: 1,
            decide_every_s: 300,
            image_pull_s: 30,
            spot_losses_per_hour: 0.002,
        }
    }
}

/// Which metric means what.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricMapping {
    /// Tried in order; the first rule that has the metric's name and whose label filters match takes the series.
    pub rules: Vec<MetricRule>,
}

/// One meaning of one or several metric names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricRule {
    /// Metric names that have this meaning.
    pub names: Vec<String>,
    /// What it measures; for histograms the latency signals that are made of it follow from the kind.
    pub signal: Signal,
    /// How its samples are to be read.
    pub kind: MetricKind,
    /// Multiply values by this to get the signal's unit, e.g. 0.001 for milliseconds.
    pub scale: f64,
    /// Only series with these label values; a value of `*` is any non-empty one, `!` absent or empty.
    pub where_labels: BTreeMap<String, String>,
    /// Labels that may carry the namespace, tried in order.
    pub namespace_labels: Vec<String>,
    /// Labels that may carry the pod.
    pub pod_labels: Vec<String>,
    /// Labels that may carry the workload (or the service) where there is no pod.
    pub workload_labels: Vec<String>,
}

impl MetricRule {
    /// The rule for series whose label has this value only.
    #[must_use]
    pub fn only(mut self, label: &str, value: &str) -> Self {
        self.where_labels.insert(label.to_owned(), value.to_owned());
        self
    }

    /// The rule with the namespace in one of these labels.
    #[must_use]
    pub fn namespaces(self, labels: &[&str]) -> Self {
        Self { namespace_labels: labels.iter().map(|&label| label.to_owned()).collect(), ..self }
    }

    /// The rule with the pod in one of these labels.
    #[must_use]
    pub fn pods(self, labels: &[&str]) -> Self {
        Self { pod_labels: labels.iter().map(|&label| label.to_owned()).collect(), ..self }
    }

    /// The rule with the workload in one of these labels.
    #[must_use]
    pub fn workloads(self, labels: &[&str]) -> Self {
        Self { workload_labels: labels.iter().map(|&label| label.to_owned()).collect(), ..self }
    }
}

/// How a metric's samples are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MetricKind {
    /// A value that stands for itself; the mean over a step is taken, and the maximum for memory.
    Gauge,
    /// An ever-rising count; its rate a second over the step is taken.
    Counter,
    /// `_bucket` of a classic histogram with label `le`: rates, then quantiles of latency.
    HistogramBucket,
    /// `_sum` of a histogram or summary, to be divided by the rate of its count for the mean.
    HistogramSum,
    /// `_count` of a histogram or summary: also the request rate.
    HistogramCount,
}
