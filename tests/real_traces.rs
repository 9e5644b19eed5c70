//! The demo's command on real input: a dump written by a real API server, with real production traces as the use of its
//! pods.
#![cfg(all(feature = "cli", feature = "tables"))]
#![expect(clippy::print_stdout, reason = "a skipped test says why")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll::domain::samples::SeriesKey;
use plimsoll::domain::{Samples, Snapshot};
use plimsoll::ingest::metrics::{Options, read};
use plimsoll::ingest::{Source, kubernetes, tables};

fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

/// One trace a pod of the Deployment, as its CPU cores; the traces are scaled to what such pods use.
fn as_pods(mut traces: Samples, snapshot: &Snapshot, deployment: &str) -> Samples {
    let pods: Vec<&str> =
        snapshot.pods.iter().filter(|p| p.workload.name == deployment).map(|p| p.name.as_str()).collect();
    assert!(!pods.is_empty() && traces.keys.len() >= pods.len());
    let mut largest = vec![0.0_f64; traces.keys.len()];
    for (series, value) in traces.series.iter().zip(&traces.values) {
        largest[*series as usize] = largest[*series as usize].max(*value);
    }
    for (key, pod) in traces.keys.iter_mut().zip(&pods) {
        let labels = [("namespace", "shop"), ("pod", *pod)].map(|(k, v)| (k.to_owned(), v.to_owned()));
        *key = SeriesKey { metric: "cpu_cores".into(), labels: BTreeMap::from(labels) };
    }
    for (series, value) in traces.series.iter().zip(&mut traces.values) {
        *value *= 0.4 / largest[*series as usize];
    }
    traces
}

#[test]
fn production_traces_size_the_pods_of_a_real_dump() {
    let (Some(dump), Some(trace)) = (shared("kubernetes/small.json.gz"), shared("crane_production.parquet")) else {
        return;
    };
    let snapshot = kubernetes::snapshot(&[Source::read(&dump).unwrap()]).unwrap();
    let traces = read(&Source::read(&trace).unwrap(), &Options::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let metrics = folder.path().join("metrics.csv");
    std::fs::write(&metrics, tables::write_csv(&as_pods(traces, &snapshot, "node-api")).unwrap()).unwrap();

    let page = folder.path().join("report.html");
    let output = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["plan", "--policy", "web", "-o", "json", "--html"])
        .arg(&page)
        .arg("--cluster")
        .arg(&dump)
        .arg("--metrics")
        .arg(&metrics)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let workloads = plan["workloads"].as_array().unwrap();
    let node_api = workloads.iter().find(|w| w["name"] == "node-api").unwrap();
    assert!(node_api["risk"].as_f64().is_some_and(|risk| risk <= 0.05), "{node_api}");
    let nginx = workloads.iter().find(|w| w["name"] == "nginx-deployment").unwrap();
    assert!(nginx["risk"].is_null(), "nothing was measured for nginx: {nginx}");
    let (cost, bound) = (&plan["certificate"]["costPerHour"], &plan["certificate"]["boundPerHour"]);
    assert!(plan["certificate"]["feasible"] == true && bound.as_f64() <= cost.as_f64(), "{}", plan["certificate"]);
    assert_eq!(plan["unplaced"][0]["workload"], "Deployment/too-big");
    assert!(std::fs::read_to_string(&page).unwrap().contains("node-api"));
}
