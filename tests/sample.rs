//! The sample cluster is what the committed files hold, is small, and tells its story to who reads it.
#![cfg(feature = "tables")]

use std::path::Path;
use std::sync::LazyLock;

use plimsoll::domain::pricing;
use plimsoll::domain::series::{Series, Signal, Subject};
use plimsoll::domain::{Samples, Snapshot};
use plimsoll::ingest::{Source, catalog, kubernetes};
use plimsoll::policy::default_mapping;
use plimsoll::sample::{self, story};
use plimsoll::series::{self, AlignSettings};

/// What the committed files may take in all.
const MOST_BYTES: usize = 2 << 20;
const SEED: u64 = 1;

static SAMPLE: LazyLock<sample::Sample> = LazyLock::new(|| sample::sample(SEED));
static PODS: LazyLock<Series> = LazyLock::new(|| align(&SAMPLE.metrics, None));

fn align(samples: &Samples, snapshot: Option<&Snapshot>) -> Series {
    series::align(samples, &default_mapping(), snapshot, &AlignSettings::default()).unwrap()
}

/// Rows of pods whose names begin so, with their subjects.
fn rows<'s>(series: &'s Series, pod: &str, signal: Signal) -> Vec<(&'s str, Vec<f64>)> {
    let named = |subject: &'s Subject| match subject {
        Subject::Pod { pod: name, .. } if name.starts_with(pod) => Some(name.as_str()),
        _ => None,
    };
    series
        .rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.signal == signal)
        .filter_map(|(i, row)| Some((named(&row.subject)?, series.values.row(i).to_vec())))
        .collect()
}

#[test]
fn the_committed_files_are_what_the_command_writes() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let mut total = 0;
    for (name, bytes) in sample::files(SEED).unwrap() {
        let committed = std::fs::read(data.join(&name)).unwrap();
        assert!(committed == bytes, "data/{name} differs: run `plimsoll sample --out data --seed 1`");
        total += bytes.len();
    }
    assert!(total < MOST_BYTES, "{total} bytes");
}

#[test]
fn two_weeks_of_whole_minutes_are_aligned_without_a_note() {
    assert_eq!(PODS.axis.start_ms, story::START_MS);
    assert_eq!(PODS.axis.end_ms(), story::END_MS);
    assert_eq!(PODS.notes, Vec::<String>::new());
}

#[test]
fn the_restart_of_nginx_is_a_reset_and_no_spike() {
    let resets: Vec<usize> = PODS
        .rows
        .iter()
        .filter(|row| row.signal == Signal::RequestsPerSecond && row.subject.to_string().contains("/nginx-deployment-"))
        .map(|row| row.quality.resets)
        .collect();
    assert_eq!(resets.iter().sum::<usize>(), 1, "{resets:?}");
    for (pod, rates) in rows(&PODS, "nginx-deployment-", Signal::RequestsPerSecond) {
        let (before, at) = (rates[story::RESTART as usize - 5], rates[story::RESTART as usize - 1]);
        assert!(at > 0.0 && at < 1.5 * before, "{pod}: {before} then {at}");
    }
}

#[test]
fn the_gap_is_empty_in_every_row() {
    // The rates from the last sample before the gap to the first after it are unknown too.
    let (from, to) = (story::GAP.0 as usize, story::GAP.1 as usize - 1);
    for (row, values) in PODS.rows.iter().zip(PODS.values.rows()) {
        assert!(values.iter().skip(from).take(to - from).all(|v| v.is_nan()), "{} {:?}", row.subject, row.signal);
    }
}

#[test]
fn the_deploy_replaces_every_pod_of_node_api() {
    let rates = rows(&PODS, "node-api-", Signal::CpuCores);
    let measured_at = |minute: i64| {
        rates.iter().filter(|(_, cores)| !cores[minute as usize].is_nan()).map(|(pod, _)| *pod).collect::<Vec<_>>()
    };
    let (before, after) = (measured_at(story::DEPLOY - 10), measured_at(story::DEPLOY + 3 * story::DEPLOY_PACE + 1));
    assert_eq!((before.len(), after.len()), (3, 3));
    assert!(before.iter().all(|pod| !after.contains(pod)));
}

#[test]
fn latency_rises_with_load_as_one_event_loop_does() {
    let workloads = series::workloads(&PODS);
    let of = |signal| {
        let row =
            workloads.rows.iter().position(|row| row.signal == signal && row.subject.to_string() == "shop/node-api");
        workloads.values.row(row.unwrap_or_else(|| panic!("no {signal:?}"))).to_vec()
    };
    let (load, latency) = (of(Signal::RequestsPerSecond), of(Signal::LatencyMeanSeconds));
    let mean = |span: (i64, i64), row: &[f64]| {
        let part = &row[span.0 as usize..span.1 as usize];
        part.iter().sum::<f64>() / part.len() as f64
    };
    let night = (4 * 60, 6 * 60);
    assert!(mean(story::BURST, &load) > 3.0 * mean(night, &load));
    assert!(mean(story::BURST, &latency) > 2.0 * mean(night, &latency));
}

#[test]
fn the_dump_and_the_catalog_are_read_and_name_the_pods_that_metrics_name() {
    let files = sample::files(SEED).unwrap();
    let source = |wanted: &str| {
        let (name, bytes) = files.iter().find(|(name, _)| name == wanted).unwrap().clone();
        Source { name, bytes }
    };
    let snapshot = kubernetes::snapshot(&[source("cluster.json")]).unwrap();
    assert_eq!(snapshot.warnings, Vec::<String>::new());
    assert_eq!(snapshot.ignored_kinds.len(), 0, "{:?}", snapshot.ignored_kinds);
    assert_eq!((snapshot.nodes.len(), snapshot.workloads.len()), (10, 13));
    let pending: Vec<_> = snapshot.pods.iter().filter(|p| p.node.is_none()).map(|p| &p.workload.name).collect();
    assert_eq!(pending, ["recommender"]);
    let catalog = catalog::parse(&source("catalog.yaml")).unwrap();
    assert_eq!(catalog.offers.len(), 10);
    assert!(snapshot.nodes.iter().all(|node| pricing::match_offer(node, &catalog).is_some()));
    let series = align(&SAMPLE.metrics, Some(&snapshot));
    for row in &series.rows {
        let workload = row.subject.workload().unwrap();
        assert!(snapshot.workloads.iter().any(|w| w.id == *workload), "{workload:?}");
    }
    let models = series::orchestration(&series, Some(&snapshot));
    let nginx = models.iter().find(|m| m.workload.name == "nginx-deployment").unwrap();
    let noon = 12 * 60;
    assert!((nginx.balancing[noon] - 2.0).abs() < 1e-9 && nginx.jain_index[noon] > 0.98);
    assert!(nginx.scaling_cores[noon] > 0.0 && nginx.scheduling[noon] > 0.0 && nginx.elasticity.is_some());
}

#[test]
fn equal_seeds_give_equal_samples_and_others_do_not() {
    assert!(*SAMPLE == sample::sample(SEED));
    assert!(SAMPLE.metrics != sample::sample(SEED + 1).metrics);
}
