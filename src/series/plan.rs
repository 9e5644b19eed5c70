//! Which samples make which rows: the mapping applied to the names and labels, before any sample is read.

use std::collections::{BTreeMap, HashMap};

use super::axis::series_name;
use super::cells::Within;
use super::resolve::Resolver;
use crate::domain::policy::{MetricKind, MetricMapping, MetricRule};
use crate::domain::samples::SeriesKey;
use crate::domain::series::{Signal, Subject};

/// Metric names listed in a note at most.
const LISTED: usize = 10;

/// The rows of one subject, sorted by signal.
pub(super) struct SubjectPlan {
    pub(super) subject: Subject,
    pub(super) rows: Vec<RowPlan>,
    /// Buckets by rising bound, the series of each; for the rows that are quantiles.
    pub(super) buckets: Vec<(f64, Vec<u32>)>,
}

/// How one row is made.
pub(super) struct RowPlan {
    pub(super) signal: Signal,
    pub(super) recipe: Recipe,
}

/// What is done with the series of a row.
pub(super) enum Recipe {
    /// Parts are summed; the series of one part follow one another in time and are joined.
    Level { counter: bool, parts: Vec<Vec<u32>>, within: Within, scale: f64 },
    /// Rate of the sums over the rate of the counts.
    MeanOfHistogram { sums: Vec<u32>, counts: Vec<u32>, scale: f64 },
    /// This quantile of the subject's buckets.
    QuantileOfHistogram(f64),
}

/// All rows, sorted by subject, and what was left out.
pub(super) struct RowsPlan {
    pub(super) subjects: Vec<SubjectPlan>,
    pub(super) notes: Vec<String>,
}

/// A series with the rule that takes it. Lower ranks are preferred: the rule's place, then the name's place in it.
#[derive(Clone, Copy)]
struct Use<'a> {
    series: u32,
    key: &'a SeriesKey,
    rule: &'a MetricRule,
    rank: (usize, usize),
}

/// Applies the mapping. Of several metrics that measure one signal of one subject, the first in the mapping is taken:
/// they are views of the same thing, not parts of it.
pub(super) fn plan_rows(keys: &[SeriesKey], mapping: &MetricMapping, resolver: &Resolver) -> RowsPlan {
    let mut by_name: HashMap<&str, Vec<(usize, usize)>> = HashMap::new();
    for (i, rule) in mapping.rules.iter().enumerate() {
        for (j, name) in rule.names.iter().enumerate() {
            by_name.entry(name).or_default().push((i, j));
        }
    }
    let mut left_out = LeftOut::default();
    let mut uses: BTreeMap<Subject, Vec<Use>> = BTreeMap::new();
    for (series, key) in (0..).zip(keys) {
        let Some(ranks) = by_name.get(key.metric.as_str()) else {
            *left_out.unknown.entry(&key.metric).or_default() += 1;
            continue;
        };
        let Some(&rank) = ranks.iter().find(|(i, _)| labels_match(&mapping.rules[*i], key)) else {
            *left_out.filtered.entry(&key.metric).or_default() += 1;
            continue;
        };
        let rule = &mapping.rules[rank.0];
        match subject(key, rule, resolver) {
            Some(subject) => uses.entry(subject).or_default().push(Use { series, key, rule, rank }),
            None => *left_out.nameless.entry(&key.metric).or_default() += 1,
        }
    }
    let subjects = uses
        .into_iter()
        .map(|(subject, mut uses)| {
            // In the order of names, not of the input, so that sums come out the same to the last bit.
            uses.sort_by(|a, b| (a.rank, a.key).cmp(&(b.rank, b.key)));
            plan_subject(subject, &uses, &mut left_out)
        })
        .filter(|plan| !plan.rows.is_empty())
        .collect();
    RowsPlan { subjects, notes: left_out.notes() }
}

fn labels_match(rule: &MetricRule, key: &SeriesKey) -> bool {
    rule.where_labels.iter().all(|(label, wanted)| {
        let value = key.labels.get(label).map_or("", String::as_str);
        match wanted.as_str() {
            "*" => !value.is_empty(),
            "!" => value.is_empty(),
            wanted => value == wanted,
        }
    })
}

fn subject(key: &SeriesKey, rule: &MetricRule, resolver: &Resolver) -> Option<Subject> {
    let first = |labels: &[String]| {
        labels.iter().find_map(|label| key.labels.get_key_value(label).filter(|(_, value)| !value.is_empty()))
    };
    let namespace = first(&rule.namespace_labels).map(|(_, value)| value.as_str());
    if let Some((_, pod)) = first(&rule.pod_labels) {
        return Some(Subject::Pod { workload: resolver.pod(namespace, pod), pod: pod.clone() });
    }
    let (label, name) = first(&rule.workload_labels)?;
    let kind = match label.as_str() {
        "deployment" | "k8s_deployment_name" => Some("Deployment"),
        "statefulset" | "k8s_statefulset_name" => Some("StatefulSet"),
        "daemonset" => Some("DaemonSet"),
        "replicaset" => Some("ReplicaSet"),
        _ => None,
    };
    Some(Subject::Workload(resolver.named(namespace, name, kind)))
}

fn plan_subject<'a>(subject: Subject, uses: &[Use<'a>], left_out: &mut LeftOut<'a>) -> SubjectPlan {
    let mut rows: BTreeMap<Signal, ((usize, usize), Recipe)> = BTreeMap::new();
    let mut offer = |signal, rank, recipe| match rows.get(&signal) {
        Some((best, _)) if *best <= rank => false,
        _ => {
            rows.insert(signal, (rank, recipe));
            true
        }
    };
    let mut buckets = Vec::new();
    // Requests by the buckets that count them all: a last resort, for every other metric of requests says it directly.
    let mut requests_by_buckets = None;
    // Uses are sorted by rank, so each run of one rank is one metric, and the first run of a kind is the preferred.
    for run in uses.chunk_by(|a, b| a.rank == b.rank) {
        let Use { rule, rank, key, .. } = &run[0];
        let taken = match rule.kind {
            MetricKind::Gauge => offer(rule.signal, *rank, level(rule.signal, false, rule.scale, run)),
            MetricKind::Counter => offer(rule.signal, *rank, level(rule.signal, true, rule.scale, run)),
            MetricKind::HistogramCount => {
                // Also a mean's denominator, so not left out even where requests are counted by another metric.
                offer(Signal::RequestsPerSecond, *rank, level(Signal::RequestsPerSecond, true, 1.0, run));
                true
            }
            MetricKind::HistogramSum => {
                let counts = counts_of(&key.metric, uses);
                !counts.is_empty() && {
                    let sums = run.iter().map(|u| u.series).collect();
                    offer(
                        Signal::LatencyMeanSeconds,
                        *rank,
                        Recipe::MeanOfHistogram { sums, counts, scale: rule.scale },
                    )
                }
            }
            MetricKind::HistogramBucket if buckets.is_empty() => {
                buckets = by_bound(run, rule.scale, left_out);
                let all: Vec<Use> = run.iter().copied().filter(counts_everything).collect();
                if !all.is_empty() {
                    requests_by_buckets = Some((*rank, level(Signal::RequestsPerSecond, true, 1.0, &all)));
                }
                for (signal, q) in [
                    (Signal::LatencyP50Seconds, 0.5),
                    (Signal::LatencyP95Seconds, 0.95),
                    (Signal::LatencyP99Seconds, 0.99),
                ] {
                    if buckets.len() >= 2 {
                        offer(signal, *rank, Recipe::QuantileOfHistogram(q));
                    }
                }
                true
            }
            MetricKind::HistogramBucket => false,
        };
        if !taken {
            *left_out.doubled.entry(&key.metric).or_default() += run.len();
        }
    }
    if let Some(of_buckets) = requests_by_buckets {
        rows.entry(Signal::RequestsPerSecond).or_insert(of_buckets);
    }
    let rows = rows.into_iter().map(|(signal, (_, recipe))| RowPlan { signal, recipe }).collect();
    SubjectPlan { subject, rows, buckets }
}

/// Series of one metric into parts. A container that was started anew is another series of the same container: the two
/// are joined, not summed, or their common step would count double. Requests and queues are summed over all labels;
/// what is a property of the subject as a whole is averaged, or the worst taken.
fn level(signal: Signal, counter: bool, scale: f64, run: &[Use]) -> Recipe {
    let container = |u: &Use| u.key.labels.get("container").cloned().unwrap_or_default();
    let mut parts: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for u in run {
        let part = match signal {
            Signal::CpuCores | Signal::MemoryBytes => container(u),
            Signal::RequestsPerSecond | Signal::QueueLength | Signal::Value => series_name(u.key),
            _ => String::new(),
        };
        parts.entry(part).or_default().push(u.series);
    }
    let within = match signal {
        Signal::MemoryBytes
        | Signal::LatencyP50Seconds
        | Signal::LatencyP95Seconds
        | Signal::LatencyP99Seconds
        | Signal::SchedulingWaitSeconds
        | Signal::DiscoverySeconds => Within::Maximum,
        _ => Within::Mean,
    };
    Recipe::Level { counter, parts: parts.into_values().collect(), within, scale }
}

/// The series that count what a `_sum` metric sums: those of its `_count`, or else its buckets without a bound.
fn counts_of(sum_metric: &str, uses: &[Use]) -> Vec<u32> {
    let base = sum_metric.strip_suffix("_sum").unwrap_or(sum_metric);
    let of_base = |kind: MetricKind, suffix: &'static str| {
        uses.iter()
            .filter(move |u| u.rule.kind == kind && u.key.metric.strip_suffix(suffix).unwrap_or(&u.key.metric) == base)
    };
    let counts: Vec<u32> = of_base(MetricKind::HistogramCount, "_count").map(|u| u.series).collect();
    if counts.is_empty() {
        of_base(MetricKind::HistogramBucket, "_bucket").filter(|u| counts_everything(u)).map(|u| u.series).collect()
    } else {
        counts
    }
}

/// Whether this bucket has no upper bound, and so counts what the histogram's `_count` does.
fn counts_everything(bucket: &Use) -> bool {
    upper_bound(bucket) == Some(f64::INFINITY)
}

/// A bucket's label `le`, in the metric's own unit. Rust reads `+Inf` as Prometheus writes it.
fn upper_bound(bucket: &Use) -> Option<f64> {
    bucket.key.labels.get("le")?.parse().ok().filter(|bound: &f64| !bound.is_nan())
}

/// Bucket series by upper bound in the signal's unit, rising.
fn by_bound<'a>(run: &[Use<'a>], scale: f64, left_out: &mut LeftOut<'a>) -> Vec<(f64, Vec<u32>)> {
    let mut buckets: Vec<(f64, Vec<u32>)> = Vec::new();
    for u in run {
        let Some(bound) = upper_bound(u).map(|le| le * scale) else {
            *left_out.boundless.entry(&u.key.metric).or_default() += 1;
            continue;
        };
        match buckets.binary_search_by(|(b, _)| b.total_cmp(&bound)) {
            Ok(i) => buckets[i].1.push(u.series),
            Err(i) => buckets.insert(i, (bound, vec![u.series])),
        }
    }
    buckets
}

/// Series left out, by reason and metric.
#[derive(Default)]
struct LeftOut<'a> {
    unknown: BTreeMap<&'a str, usize>,
    filtered: BTreeMap<&'a str, usize>,
    nameless: BTreeMap<&'a str, usize>,
    doubled: BTreeMap<&'a str, usize>,
    boundless: BTreeMap<&'a str, usize>,
}

impl LeftOut<'_> {
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for (metrics, say) in [
            (&self.unknown, "series of unknown metric"),
            (&self.filtered, "series without the labels asked for, of"),
            (&self.nameless, "series that name neither a pod nor a workload, of"),
            (&self.doubled, "series not needed beside another metric of the same signal, of"),
            (&self.boundless, "bucket series without a bound in label `le`, of"),
        ] {
            for (metric, count) in metrics.iter().take(LISTED) {
                notes.push(format!("{count} {say} {metric}"));
            }
            let (more, count) = metrics.values().skip(LISTED).fold((0, 0), |(m, c), n| (m + 1, c + n));
            if more > 0 {
                notes.push(format!("{count} {say} {more} more names"));
            }
        }
        notes
    }
}
