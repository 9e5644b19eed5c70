//! Whole paths from samples to series, by hand and by property.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::Resources;
use crate::domain::policy::{MetricKind, MetricMapping, MetricRule};
use crate::domain::samples::{Samples, SeriesKey};
use crate::domain::series::{Series, Signal, Subject};
use crate::domain::snapshot::{Pod, PodTemplate, Snapshot, WorkloadId};

const MINUTE: i64 = 60_000;
/// A midnight, so that steps of a minute begin at whole minutes.
const START: i64 = 1_790_000_000_000 - 1_790_000_000_000 % 86_400_000;

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|&n| n.to_owned()).collect()
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn rule(name: &str, signal: Signal, kind: MetricKind) -> MetricRule {
    MetricRule {
        names: vec![name.to_owned()],
        signal,
        kind,
        scale: 1.0,
        where_labels: BTreeMap::new(),
        namespace_labels: strings(&["namespace"]),
        pod_labels: strings(&["pod"]),
        workload_labels: strings(&["deployment", "service"]),
    }
}

fn mapping() -> MetricMapping {
    let mut cpu = rule("cpu_total", Signal::CpuCores, MetricKind::Counter);
    cpu.where_labels = labels(&[("container", "*"), ("image", "!")]);
    MetricMapping {
        rules: vec![
            cpu,
            rule("cpu", Signal::CpuCores, MetricKind::Gauge),
            rule("memory", Signal::MemoryBytes, MetricKind::Gauge),
            rule("requests_total", Signal::RequestsPerSecond, MetricKind::Counter),
            rule("latency_bucket", Signal::LatencyP95Seconds, MetricKind::HistogramBucket),
            rule("latency_sum", Signal::LatencyMeanSeconds, MetricKind::HistogramSum),
            rule("latency_count", Signal::RequestsPerSecond, MetricKind::HistogramCount),
            rule("queue", Signal::QueueLength, MetricKind::Gauge),
        ],
    }
}

/// Builds samples, each series from its (seconds after the start, value) pairs.
#[derive(Debug, Default)]
struct Export(Samples);

impl Export {
    fn with(mut self, metric: &str, pairs: &[(&str, &str)], points: &[(i64, f64)]) -> Self {
        let key = SeriesKey { metric: metric.to_owned(), labels: labels(pairs) };
        let one = Samples {
            keys: vec![key],
            series: vec![0; points.len()],
            timestamps_ms: points.iter().map(|(s, _)| START + s * 1000).collect(),
            values: points.iter().map(|(_, v)| *v).collect(),
            notes: Vec::new(),
        };
        self.0.append(one);
        self
    }

    fn align(&self) -> Series {
        align(&self.0, &mapping(), None, &AlignSettings::with_step(MINUTE)).unwrap()
    }
}

const POD: &str = "web-7c97f57c88-flcxj";
const OTHER: &str = "web-7c97f57c88-vth22";

fn pod(name: &str) -> Subject {
    let workload = WorkloadId { namespace: "shop".into(), kind: "Deployment".into(), name: "web".into() };
    Subject::Pod { workload, pod: name.to_owned() }
}

fn row(series: &Series, subject: &Subject, signal: Signal) -> Vec<f64> {
    series.get(subject, signal).unwrap_or_else(|| panic!("no row {subject} {signal:?}")).to_vec()
}

fn in_pod(name: &str) -> [(&str, &str); 2] {
    [("namespace", "shop"), ("pod", name)]
}

fn assert_row(actual: &[f64], expected: &[f64]) {
    let same = |(a, e): (&f64, &f64)| (a.is_nan() && e.is_nan()) || (a - e).abs() < 1e-9;
    assert!(
        actual.len() == expected.len() && actual.iter().zip(expected).all(same),
        "expected {expected:?}, found {actual:?}"
    );
}

#[test]
fn a_counter_becomes_a_rate_and_its_reset_counts_from_zero() {
    let series = Export::default()
        .with(
            "cpu_total",
            &[("namespace", "shop"), ("pod", POD), ("container", "web")],
            &[(0, 100.0), (60, 130.0), (120, 12.0), (180, 42.0)],
        )
        .align();
    // 30 s of CPU a minute, a restart after which 12 s are counted, and 30 s again.
    assert_row(&row(&series, &pod(POD), Signal::CpuCores), &[0.5, 0.2, 0.5]);
    assert_eq!(series.rows[0].quality.resets, 1);
}

#[test]
fn an_increase_is_spread_over_the_time_in_which_it_was_made() {
    // From 0:30 to 1:30 a rate of 1, from 1:30 to 2:30 a rate of 3: the middle step has half of each.
    let series = Export::default().with("requests_total", &in_pod(POD), &[(30, 0.0), (90, 60.0), (150, 240.0)]).align();
    assert_row(&row(&series, &pod(POD), Signal::RequestsPerSecond), &[1.0, 2.0, 3.0]);
}

#[test]
fn a_missed_scrape_stays_a_gap_and_a_long_step_hides_none() {
    let points: Vec<_> = (0..10).filter(|i| ![4, 5].contains(i)).map(|i| (i * 60 + 5, 7.0)).collect();
    let export = Export::default().with("queue", &in_pod(POD), &points);
    let series = export.align();
    let nan = f64::NAN;
    assert_row(&row(&series, &pod(POD), Signal::QueueLength), &[7.0, 7.0, 7.0, 7.0, nan, nan, 7.0, 7.0, 7.0, 7.0]);
    assert_eq!(series.rows[0].quality.gap_cells, 2);
    let long = align(&export.0, &mapping(), None, &AlignSettings::with_step(5 * MINUTE)).unwrap();
    assert_row(&row(&long, &pod(POD), Signal::QueueLength), &[7.0, 7.0]);
}

#[test]
fn an_interval_longer_than_the_step_is_held_and_its_change_is_followed() {
    // Every five minutes, then every minute.
    let points: Vec<_> = (0..4).map(|i| (i * 300, i as f64)).chain((16..20).map(|i| (i * 60, 9.0))).collect();
    let series = Export::default().with("queue", &in_pod(POD), &points).align();
    let mut expected = Vec::new();
    for value in [0.0, 1.0, 2.0] {
        expected.extend([value; 5]);
    }
    expected.push(3.0);
    expected.extend([9.0; 4]);
    assert_row(&row(&series, &pod(POD), Signal::QueueLength), &expected);
}

#[test]
fn scrapes_that_drift_over_a_step_leave_no_hole() {
    let points: Vec<_> = (0..30).map(|i| (i * 61, 1.0)).collect();
    let series = Export::default().with("queue", &in_pod(POD), &points).align();
    assert!(row(&series, &pod(POD), Signal::QueueLength).iter().all(|v| !v.is_nan()));
}

#[test]
fn containers_are_summed_and_a_container_started_anew_is_not_counted_twice() {
    let container = |name, id| [("namespace", "shop"), ("pod", POD), ("container", name), ("id", id)];
    let series = Export::default()
        .with("memory", &container("web", "a"), &[(0, 100.0), (30, 110.0)])
        .with("memory", &container("web", "b"), &[(45, 40.0), (90, 50.0)])
        .with("memory", &container("proxy", "c"), &[(0, 7.0), (60, 8.0)])
        .with("cpu_total", &container("web", "a"), &[(0, 0.0), (30, 30.0)])
        .with("cpu_total", &container("web", "b"), &[(30, 0.0), (60, 30.0)])
        .align();
    assert_row(&row(&series, &pod(POD), Signal::MemoryBytes), &[117.0, 58.0]);
    assert_row(&row(&series, &pod(POD), Signal::CpuCores), &[1.0, f64::NAN]);
}

#[test]
fn filters_on_labels_leave_series_out_and_say_so() {
    let samples = Export::default()
        .with("cpu_total", &[("namespace", "shop"), ("pod", POD), ("container", "")], &[(0, 0.0), (60, 60.0)])
        .with("cpu_total", &[("namespace", "shop"), ("pod", POD), ("container", "a"), ("image", "x")], &[(0, 0.0)])
        .with("queue", &[("namespace", "shop")], &[(0, 1.0)])
        .with("strange", &in_pod(POD), &[(0, 1.0)])
        .with("memory", &in_pod(POD), &[(0, 1.0)]);
    let series = samples.align();
    assert_eq!(series.rows.len(), 1);
    assert_eq!(
        series.notes,
        [
            "1 series of unknown metric strange",
            "2 series without the labels asked for, of cpu_total",
            "1 series that name neither a pod nor a workload, of queue",
        ]
    );
}

#[test]
fn of_two_metrics_for_one_signal_the_first_in_the_mapping_is_taken() {
    let series = Export::default()
        .with("cpu", &in_pod(POD), &[(0, 9.0), (60, 9.0)])
        .with("cpu_total", &[("namespace", "shop"), ("pod", POD), ("container", "a")], &[(0, 0.0), (60, 60.0)])
        .align();
    assert_row(&row(&series, &pod(POD), Signal::CpuCores), &[1.0]);
    assert_eq!(series.notes, ["1 series not needed beside another metric of the same signal, of cpu"]);
}

#[test]
fn a_histogram_gives_quantiles_mean_and_request_rate() {
    let bucket = |le| [("namespace", "shop"), ("pod", POD), ("le", le)];
    let series = Export::default()
        .with("latency_bucket", &bucket("0.1"), &[(0, 0.0), (60, 60.0)])
        .with("latency_bucket", &bucket("0.5"), &[(0, 0.0), (60, 120.0)])
        .with("latency_bucket", &bucket("+Inf"), &[(0, 0.0), (60, 120.0)])
        .with("latency_sum", &in_pod(POD), &[(0, 0.0), (60, 24.0)])
        .with("latency_count", &in_pod(POD), &[(0, 0.0), (60, 120.0)])
        .align();
    let of = |signal| row(&series, &pod(POD), signal);
    assert_row(&of(Signal::RequestsPerSecond), &[2.0]);
    assert_row(&of(Signal::LatencyMeanSeconds), &[0.2]);
    assert_row(&of(Signal::LatencyP50Seconds), &[0.1]);
    assert_row(&of(Signal::LatencyP95Seconds), &[0.46]);
    assert_row(&of(Signal::LatencyP99Seconds), &[0.492]);
}

#[test]
fn where_a_histogram_has_no_count_its_infinite_bucket_counts_requests() {
    let bucket = |code, le| [("namespace", "shop"), ("pod", POD), ("code", code), ("le", le)];
    let buckets = Export::default()
        .with("latency_bucket", &bucket("200", "0.1"), &[(0, 0.0), (60, 60.0)])
        .with("latency_bucket", &bucket("200", "+Inf"), &[(0, 0.0), (60, 90.0)])
        .with("latency_bucket", &bucket("500", "0.1"), &[(0, 0.0), (60, 0.0)])
        .with("latency_bucket", &bucket("500", "+Inf"), &[(0, 0.0), (60, 30.0)])
        .with("latency_sum", &in_pod(POD), &[(0, 0.0), (60, 24.0)]);
    let alone = buckets.align();
    assert_row(&row(&alone, &pod(POD), Signal::RequestsPerSecond), &[2.0]);
    assert_row(&row(&alone, &pod(POD), Signal::LatencyMeanSeconds), &[0.2]);
    let counted = buckets.with("requests_total", &in_pod(POD), &[(0, 0.0), (60, 180.0)]).align();
    assert_row(&row(&counted, &pod(POD), Signal::RequestsPerSecond), &[3.0]);
}

#[test]
fn without_its_infinite_bucket_and_its_count_a_histogram_counts_no_requests() {
    let series = Export::default()
        .with("latency_bucket", &[("pod", POD), ("le", "0.1")], &[(0, 0.0), (60, 60.0)])
        .with("latency_bucket", &[("pod", POD), ("le", "0.5")], &[(0, 0.0), (60, 90.0)])
        .align();
    assert!(series.rows.iter().all(|row| row.signal != Signal::RequestsPerSecond));
}

#[test]
fn a_percentile_measured_beside_a_histogram_leaves_the_others_to_the_buckets() {
    let bucket = |le| [("namespace", "shop"), ("pod", POD), ("le", le)];
    let measured = |path| [("namespace", "shop"), ("pod", POD), ("path", path)];
    let samples = Export::default()
        .with("latency_bucket", &bucket("0.1"), &[(0, 0.0), (60, 60.0)])
        .with("latency_bucket", &bucket("0.5"), &[(0, 0.0), (60, 120.0)])
        .with("latency_bucket", &bucket("+Inf"), &[(0, 0.0), (60, 120.0)])
        .with("p95", &measured("/"), &[(0, 0.3), (30, 0.3)])
        .with("p95", &measured("/cart"), &[(0, 0.4), (30, 0.4)]);
    let mut mapping = mapping();
    mapping.rules.insert(0, rule("p95", Signal::LatencyP95Seconds, MetricKind::Gauge));
    let series = align(&samples.0, &mapping, None, &AlignSettings::with_step(MINUTE)).unwrap();
    let of = |signal| row(&series, &pod(POD), signal);
    assert_row(&of(Signal::LatencyP50Seconds), &[0.1]);
    assert_row(&of(Signal::LatencyP95Seconds), &[0.4]);
    assert_row(&of(Signal::LatencyP99Seconds), &[0.492]);
}

#[test]
fn a_stray_sample_is_refused_by_name_before_anything_is_allocated() {
    let samples = Export::default().with("memory", &in_pod(POD), &[(0, 1.0)]).with(
        "memory",
        &in_pod(OTHER),
        &[(-START / 1000, 1.0), (4_102_444_800 - START / 1000, 1.0)],
    );
    let error =
        align(&samples.0, &mapping(), None, &AlignSettings { step_ms: MINUTE, max_cells: 1 << 26 }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "2 rows × 68374081 steps of 60000 ms are more than 67108864 cells: samples reach from 1970-01-01T00:00:00Z \
         (memory{namespace=\"shop\", pod=\"web-7c97f57c88-vth22\"}) to 2100-01-01T00:00:00Z \
         (memory{namespace=\"shop\", pod=\"web-7c97f57c88-vth22\"})"
    );
    assert!(error.hint().is_some());
}

#[test]
fn a_year_without_a_sample_is_refused_with_the_samples_beside_it() {
    let far = |seconds: i64| Export::default().with("memory", &in_pod(POD), &[(0, 1.0), (60, 2.0), (seconds, 3.0)]);
    let years = 86_400 * 400;
    let error = align(&far(years).0, &mapping(), None, &AlignSettings::with_step(MINUTE)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no sample in 399 days, between 2026-09-21T00:01:00Z (memory{namespace=\"shop\", pod=\"web-7c97f57c88-flcxj\"}) and \
         2027-10-26T00:00:00Z (memory{namespace=\"shop\", pod=\"web-7c97f57c88-flcxj\"})"
    );
    assert!(error.hint().is_some());
    assert!(align(&far(86_400 * 360).0, &mapping(), None, &AlignSettings::with_step(MINUTE)).is_ok());
    assert!(
        align(&far(years).0, &mapping(), None, &AlignSettings::with_step(1440 * MINUTE)).is_ok(),
        "few steps of it"
    );
}

#[test]
fn a_message_shows_the_beginning_of_a_name_only() {
    let samples = Export::default().with(&"x".repeat(50_000), &in_pod(POD), &[(0, 1.0)]).0;
    let error = align(&samples, &mapping(), None, &AlignSettings::with_step(MINUTE)).unwrap_err().to_string();
    assert_eq!(error, format!("no metric has a known meaning; found {}…", "x".repeat(80)));
}

#[test]
fn extreme_times_and_steps_are_no_panic() {
    for times in [[i64::MIN, i64::MAX], [i64::MAX, i64::MAX], [i64::MIN, i64::MIN]] {
        for step_ms in [i64::MIN, 0, 1, MINUTE, i64::MAX] {
            let mut samples = Export::default().with("memory", &in_pod(POD), &[(0, 1.0), (60, 2.0)]).0;
            samples.timestamps_ms = times.to_vec();
            let refused = align(&samples, &mapping(), None, &AlignSettings::with_step(step_ms)).is_err();
            assert!(refused || (step_ms > 0 && times[0] == times[1]));
            let _ = plain(&samples, Some(step_ms));
            let _ = plain(&samples, None);
        }
    }
}

#[test]
fn nothing_known_is_an_error_that_names_what_was_found() {
    let samples = Export::default().with("strange", &in_pod(POD), &[(0, 1.0)]).0;
    let error = align(&samples, &mapping(), None, &AlignSettings::with_step(MINUTE)).unwrap_err();
    assert_eq!(error.to_string(), "no metric has a known meaning; found strange");
    assert_eq!(
        align(&Samples::default(), &mapping(), None, &AlignSettings::with_step(MINUTE)).unwrap_err(),
        SeriesError::Empty
    );
}

#[test]
fn plain_numbers_keep_names_and_find_their_step() {
    let samples = Export::default()
        .with("", &[("series", "H1")], &[(0, 1.0), (3600, 2.0), (10_800, 4.0)])
        .with("load", &[], &[(0, 5.0), (3600, 6.0), (7200, 7.0)])
        .with("load", &[("host", "a")], &[(0, 8.0)])
        .0;
    let series = plain(&samples, None).unwrap();
    assert_eq!(series.axis.step_ms, 3_600_000);
    let of = |name: &str| row(&series, &Subject::Named(name.to_owned()), Signal::Value);
    assert_row(&of("H1"), &[1.0, 2.0, f64::NAN, 4.0]);
    assert_row(&of("load"), &[5.0, 6.0, 7.0, f64::NAN]);
    assert_row(&of("load{host=\"a\"}"), &[8.0, f64::NAN, f64::NAN, f64::NAN]);
    let single = Export::default().with("load", &[], &[(0, 5.0)]).0;
    assert_eq!(plain(&single, None).unwrap_err(), SeriesError::NoStep);
}

#[test]
fn workloads_sum_cpu_over_short_holes_and_take_the_largest_memory() {
    let nan = f64::NAN;
    let steady: Vec<_> = (0..10).map(|i| (i * 60 + 1, 1.0)).collect();
    let holed: Vec<_> = [0, 1, 4, 5].iter().map(|i| (i * 60 + 1, 2.0)).collect();
    let series = Export::default()
        .with("cpu", &in_pod(POD), &steady)
        .with("cpu", &in_pod(OTHER), &holed)
        .with("memory", &in_pod(POD), &[(1, 5.0), (61, 6.0)])
        .with("memory", &in_pod(OTHER), &[(1, 7.0), (601, 3.0)])
        .align();
    let summed = workloads(&series);
    let web = Subject::Workload(WorkloadId { namespace: "shop".into(), kind: "Deployment".into(), name: "web".into() });
    // The second pod is missing in steps 2 and 3, and gone from step 6 on.
    assert_row(&row(&summed, &web, Signal::CpuCores), &[3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 1.0, 1.0, 1.0, 1.0, nan]);
    assert_row(&row(&summed, &web, Signal::Ready), &[2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, nan]);
    assert_row(&row(&summed, &web, Signal::MemoryBytes), &[7.0, 6.0, nan, nan, nan, nan, nan, nan, nan, nan, 3.0]);
}

#[test]
fn the_five_models_are_those_worked_by_hand() {
    let cpu = |a, b| [(0, a), (60, a), (120, b)];
    let series = Export::default()
        .with("cpu", &in_pod(POD), &cpu(0.5, 0.6))
        .with("cpu", &in_pod(OTHER), &cpu(0.3, 1.4))
        .with("memory", &in_pod(POD), &[(0, 300.0), (60, 300.0), (120, 300.0)])
        .with("found", &in_pod(OTHER), &[(60, 1.5), (120, 1.5)]);
    let mut mapping = mapping();
    mapping.rules.push(rule("found", Signal::DiscoverySeconds, MetricKind::Gauge));
    let series = align(&series.0, &mapping, None, &AlignSettings::default()).unwrap();
    // One core and 400 bytes are reserved; the second pod waited a minute to be bound.
    let Subject::Pod { workload, .. } = pod(POD) else { unreachable!() };
    let requests = Resources::of([("cpu", 1000), ("memory", 400)]);
    let bound = |name: &str, wait_ms| Pod {
        ready: true,
        created_ms: Some(START),
        scheduled_ms: Some(START + wait_ms),
        ..Pod::plain(workload.clone(), name, 0, None)
    };
    let snapshot = Snapshot {
        templates: vec![PodTemplate { requests, ..PodTemplate::default() }],
        pods: vec![bound(POD, 0), bound(OTHER, 60_000)],
        ..Snapshot::default()
    };
    let models = orchestration(&series, Some(&snapshot));
    assert_eq!(models.len(), 1);
    let web = &models[0];
    assert_eq!(web.workload, workload);
    assert_row(&web.runtime_cpu_cores, &[0.8, 0.8, 2.0]);
    assert_row(&web.runtime_memory_bytes, &[300.0; 3]);
    assert_row(&web.discovery_seconds, &[0.0, 1.5, 0.0]);
    // 300 of 400 bytes are the first pod's dominant share; the second's CPU counts half.
    assert_row(&web.scheduling, &[0.75 + 0.15, 0.75 + 0.15, 0.75 + 0.5]);
    assert_row(&web.balancing, &[2.0; 3]);
    // (0.5 + 0.3)² / (2 · (0.25 + 0.09)), and (0.6 + 1.4)² / (2 · (0.36 + 1.96))
    assert_row(&web.jain_index, &[0.64 / 0.68, 0.64 / 0.68, 4.0 / 4.64]);
    assert_row(&web.scaling_cores, &[1.2, 1.2, 0.0]);
    // Two instances against one needed, one needed, and two: over by all of it in two of three steps; the demand
    // moves once while the supply stands still.
    let scores = web.elasticity.unwrap();
    assert!((scores.accuracy_over - 2.0 / 3.0).abs() < 1e-12 && scores.accuracy_under == 0.0);
    assert!((scores.timeshare_over - 2.0 / 3.0).abs() < 1e-12 && scores.timeshare_under == 0.0);
    assert!((scores.instability - 0.5).abs() < 1e-12);
}

/// Bits of all values, so that equal means equal to the last bit.
fn bits(series: &Series) -> Vec<u64> {
    series.values.iter().map(|v| v.to_bits()).collect()
}

/// A few series of counters and gauges at distinct times, with resets and gaps.
fn any_export() -> impl Strategy<Value = Samples> {
    let points = prop::collection::btree_map(0i64..7200, 0.0f64..1000.0, 0..60);
    prop::collection::vec((0usize..4, 0usize..3, points), 1..8)
        .prop_map(|all| {
            all.into_iter().enumerate().fold(Export::default(), |export, (i, (metric, pod, points))| {
                let metric = ["cpu_total", "memory", "requests_total", "latency_count"][metric];
                let pod = [POD, OTHER, "db-0"][pod];
                let id = i.to_string();
                let labels = [("namespace", "shop"), ("pod", pod), ("container", "a"), ("id", id.as_str())];
                export.with(metric, &labels, &points.into_iter().collect::<Vec<_>>())
            })
        })
        .prop_map(|export| export.0)
        .prop_filter("something measured", |samples| !samples.is_empty())
}

fn reorder(samples: &Samples, order: &[usize]) -> Samples {
    // The keys are listed the other way round as well.
    let last = samples.keys.len() as u32 - 1;
    Samples {
        keys: samples.keys.iter().rev().cloned().collect(),
        series: order.iter().map(|&i| last - samples.series[i]).collect(),
        timestamps_ms: order.iter().map(|&i| samples.timestamps_ms[i]).collect(),
        values: order.iter().map(|&i| samples.values[i]).collect(),
        notes: Vec::new(),
    }
}

/// Samples with their rows in some other order.
fn shuffled_export() -> impl Strategy<Value = (Samples, Samples)> {
    any_export().prop_flat_map(|samples| {
        let order: Vec<usize> = (0..samples.len()).collect();
        (Just(samples), Just(order).prop_shuffle()).prop_map(|(samples, order)| {
            let other = reorder(&samples, &order);
            (samples, other)
        })
    })
}

/// Counter readings every 15 s with their increases, each positive.
fn increases() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(0.0f64..100.0, 4..200)
}

proptest! {
    #[test]
    fn the_order_of_samples_and_series_does_not_matter((samples, other) in shuffled_export()) {
        let settings = AlignSettings::with_step(MINUTE);
        let (a, b) = (align(&samples, &mapping(), None, &settings), align(&other, &mapping(), None, &settings));
        let (a, b) = (a.unwrap(), b.unwrap());
        prop_assert_eq!(a.axis, b.axis);
        prop_assert_eq!(bits(&a), bits(&b));
        for (a, b) in a.rows.iter().zip(&b.rows) {
            prop_assert_eq!((&a.subject, a.signal), (&b.subject, b.signal));
            prop_assert_eq!(a.quality.resets, b.quality.resets);
        }
        prop_assert_eq!(bits(&workloads(&a)), bits(&workloads(&b)));
        prop_assert_eq!(plain(&samples, Some(MINUTE)).map(|s| bits(&s)), plain(&other, Some(MINUTE)).map(|s| bits(&s)));
    }

    #[test]
    fn a_counter_with_resets_gives_the_rate_of_one_without(
        increases in increases(),
        resets in prop::collection::vec(any::<bool>(), 200),
    ) {
        // A reset is seen only where the new count is below the old one; readings right after it start at 0.
        let (mut whole, mut broken) = (0.0, 0.0);
        let (mut steady, mut restarting) = (vec![(0, 0.0)], vec![(0, 0.0)]);
        for (count, (increase, reset)) in (1..).zip(increases.iter().zip(resets)) {
            whole += increase;
            broken = if reset && broken > *increase { *increase } else { broken + increase };
            let time = 15 * count;
            steady.push((time, whole));
            restarting.push((time, broken));
        }
        let of = |points: &[(i64, f64)]| {
            row(&Export::default().with("requests_total", &in_pod(POD), points).align(), &pod(POD), Signal::RequestsPerSecond)
        };
        for (a, b) in of(&steady).into_iter().zip(of(&restarting)) {
            prop_assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }

    #[test]
    fn cutting_into_steps_conserves_the_increase(increases in increases(), seconds in 1i64..600) {
        let mut points = vec![(0, 0.0)];
        for (i, increase) in increases.iter().enumerate() {
            points.push((points[i].0 + 15, points[i].1 + increase));
        }
        // Samples run from the start to `end`; each step covers what of it lies in between.
        let end_ms = START + 1000 * points[increases.len()].0;
        let export = Export::default().with("requests_total", &in_pod(POD), &points);
        let settings = AlignSettings::with_step(seconds * 1000);
        let series = align(&export.0, &mapping(), None, &settings).unwrap();
        let rates = row(&series, &pod(POD), Signal::RequestsPerSecond);
        let total: f64 = rates
            .iter()
            .enumerate()
            .map(|(i, rate)| {
                let (from, to) = (series.axis.time_ms(i).max(START), series.axis.time_ms(i + 1).min(end_ms));
                rate * (to - from) as f64 / 1000.0
            })
            .sum();
        let expected: f64 = increases.iter().sum();
        prop_assert!((total - expected).abs() < 1e-6 * expected.max(1.0), "{total} {expected}");
    }

    #[test]
    fn a_gauge_stays_within_its_samples(points in prop::collection::btree_map(0i64..7200, -5.0f64..5.0, 1..80)) {
        let points: Vec<_> = points.into_iter().collect();
        let series = Export::default().with("queue", &in_pod(POD), &points).align();
        let (low, high) = points.iter().fold((f64::MAX, f64::MIN), |(l, h), (_, v)| (l.min(*v), h.max(*v)));
        for value in row(&series, &pod(POD), Signal::QueueLength) {
            prop_assert!(value.is_nan() || (value >= low - 1e-9 && value <= high + 1e-9));
        }
    }
}
