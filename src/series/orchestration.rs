//! The five orchestration models of each workload, over its instances.

use std::collections::BTreeMap;

use plimsoll_models::orchestration::{
    WAIT_HALF_LIFE_S, balancing_terms, elasticity, jain_index, scheduling_term, total,
};

use crate::domain::Resources;
use crate::domain::orchestration::{Elasticity, Orchestration};
use crate::domain::series::{Series, Signal, Subject};
use crate::domain::snapshot::{Pod, Snapshot, WorkloadId};

/// Demand of so little of one more instance is rounding, not demand.
const WHOLE_INSTANCE_TOLERANCE: f64 = 1e-9;

/// Computes R, D, S, B and E over the measured instances of each workload; sorted by workload. Definitions are in
/// [`plimsoll_models::orchestration`]; where the terms come from:
///
/// - **R**: CPU and memory rows of the pods.
/// - **D**: discovery rows; each counts at the step where its reading is new, and 0 at the others where the pod runs.
/// - **S**: use against the requests of the pod, or of its workload's template for pods gone by now; the wait is measured, or
///   the time from creation to binding in the snapshot, or 0. NaN without a snapshot, for nothing is known to be reserved.
/// - **B**: requests a second where pods measure them, else CPU; fair shares in proportion to CPU requests, equal without.
/// - **E**: CPU requests less CPU in use. The elasticity scores compare whole instances: those measured against the least
///   number whose requests cover the use.
///
/// Workloads without a measured instance are left out.
#[must_use]
pub fn orchestration(series: &Series, snapshot: Option<&Snapshot>) -> Vec<Orchestration> {
    let reserved = Reserved::new(snapshot);
    let mut workloads: BTreeMap<&WorkloadId, BTreeMap<&str, Instance>> = BTreeMap::new();
    for (i, row) in series.rows.iter().enumerate() {
        if let Subject::Pod { workload, pod } = &row.subject {
            let pods = workloads.entry(workload).or_default();
            let instance = pods.entry(pod).or_insert_with(|| reserved.instance(workload, pod));
            instance.rows.insert(row.signal, i);
        }
    }
    workloads
        .into_iter()
        .map(|(workload, pods)| of_workload(series, workload, &pods.into_values().collect::<Vec<_>>()))
        .collect()
}

/// One pod: its rows, and what it reserves.
#[derive(Default)]
struct Instance {
    rows: BTreeMap<Signal, usize>,
    /// CPU cores and memory bytes requested; 0 where unknown.
    reserved_cores: f64,
    reserved_bytes: f64,
    /// Seconds from creation to binding as the snapshot tells; 0 where it does not.
    wait_s: f64,
}

impl Instance {
    fn value(&self, series: &Series, signal: Signal, cell: usize) -> f64 {
        self.rows.get(&signal).map_or(f64::NAN, |&row| series.values[[row, cell]])
    }

    /// Seconds to be found at the steps where they are a new reading, 0 at the others; NaN where the instance is not
    /// measured. A reading that stays, or is there again after a gap, is the same event.
    fn found_s(&self, series: &Series) -> Vec<f64> {
        let mut last = f64::NAN;
        (0..series.axis.len)
            .map(|cell| {
                let now = self.value(series, Signal::DiscoverySeconds, cell);
                if now.is_nan() {
                    // Known to run, and not found anew.
                    return self.value(series, Signal::CpuCores, cell) * 0.0;
                }
                if std::mem::replace(&mut last, now).to_bits() == now.to_bits() { 0.0 } else { now }
            })
            .collect()
    }

    fn scheduling(&self, series: &Series, cell: usize) -> f64 {
        let measured_wait = self.value(series, Signal::SchedulingWaitSeconds, cell);
        let wait_s = if measured_wait.is_nan() { self.wait_s } else { measured_wait };
        let used_and_reserved = [
            (self.value(series, Signal::CpuCores, cell), self.reserved_cores),
            (self.value(series, Signal::MemoryBytes, cell), self.reserved_bytes),
        ];
        scheduling_term(used_and_reserved, wait_s, WAIT_HALF_LIFE_S)
    }
}

fn of_workload(series: &Series, workload: &WorkloadId, instances: &[Instance]) -> Orchestration {
    let len = series.axis.len;
    let sum = |signal| -> Vec<f64> {
        (0..len).map(|cell| total(instances.iter().map(|i| i.value(series, signal, cell)))).collect()
    };
    let has = |signal| instances.iter().any(|i| i.rows.contains_key(&signal));
    let scheduling = |cell| total(instances.iter().map(|i| i.scheduling(series, cell)));
    let load_signal = if has(Signal::RequestsPerSecond) { Signal::RequestsPerSecond } else { Signal::CpuCores };
    let capacities: Vec<f64> = if instances.iter().all(|i| i.reserved_cores > 0.0) {
        instances.iter().map(|i| i.reserved_cores).collect()
    } else {
        vec![1.0; instances.len()]
    };
    let (balancing, jain_index) = (0..len)
        .map(|cell| {
            let loads: Vec<_> = instances.iter().map(|i| i.value(series, load_signal, cell)).collect();
            let terms = balancing_terms(&loads, &capacities);
            let jain = jain_index(&terms);
            (total(terms), jain)
        })
        .unzip();
    let runtime_cpu_cores = sum(Signal::CpuCores);
    let scaling = Scaling::new(series, instances, &runtime_cpu_cores);
    Orchestration {
        workload: workload.clone(),
        axis: series.axis,
        runtime_memory_bytes: sum(Signal::MemoryBytes),
        discovery_seconds: if has(Signal::DiscoverySeconds) {
            let found: Vec<_> = instances.iter().map(|i| i.found_s(series)).collect();
            (0..len).map(|cell| total(found.iter().map(|row| row[cell]))).collect()
        } else {
            vec![f64::NAN; len]
        },
        scheduling: (0..len).map(scheduling).collect(),
        balancing,
        jain_index,
        scaling_cores: scaling.spare_cores,
        elasticity: scaling.elasticity,
        runtime_cpu_cores,
    }
}

struct Scaling {
    spare_cores: Vec<f64>,
    elasticity: Option<Elasticity>,
}

impl Scaling {
    fn new(series: &Series, instances: &[Instance], used_cores: &[f64]) -> Self {
        let mut spare_cores = Vec::with_capacity(used_cores.len());
        let (mut supply, mut demand) = (Vec::new(), Vec::new());
        for (cell, used) in used_cores.iter().enumerate() {
            let measured = instances
                .iter()
                .filter(|i| !i.value(series, Signal::CpuCores, cell).is_nan() && i.reserved_cores > 0.0);
            let (count, cores) = measured.fold((0.0, 0.0), |(n, cores), i| (n + 1.0, cores + i.reserved_cores));
            let spare = |i: &Instance| {
                let reserved = if i.reserved_cores > 0.0 { i.reserved_cores } else { f64::NAN };
                reserved - i.value(series, Signal::CpuCores, cell)
            };
            spare_cores.push(total(instances.iter().map(spare)));
            supply.push(if count > 0.0 { count } else { f64::NAN });
            let needed = (used / (cores / count) - WHOLE_INSTANCE_TOLERANCE).ceil();
            demand.push(if needed.is_nan() { f64::NAN } else { needed.max(1.0) });
        }
        let elasticity = elasticity(&supply, &demand).map(|scores| Elasticity {
            accuracy_under: scores.accuracy_under,
            accuracy_over: scores.accuracy_over,
            timeshare_under: scores.timeshare_under,
            timeshare_over: scores.timeshare_over,
            instability: scores.instability,
        });
        Self { spare_cores, elasticity }
    }
}

/// What pods reserve, by pod and by workload.
#[derive(Default)]
struct Reserved<'s> {
    pods: BTreeMap<(&'s str, &'s str), (&'s Pod, &'s Resources)>,
    workloads: BTreeMap<&'s WorkloadId, &'s Resources>,
}

impl<'s> Reserved<'s> {
    fn new(snapshot: Option<&'s Snapshot>) -> Self {
        let Some(snapshot) = snapshot else { return Self::default() };
        let requests = |template: usize| snapshot.templates.get(template).map(|t| &t.requests);
        Self {
            pods: snapshot
                .pods
                .iter()
                .filter_map(|pod| Some(((pod.namespace.as_str(), pod.name.as_str()), (pod, requests(pod.template)?))))
                .collect(),
            workloads: snapshot.workloads.iter().filter_map(|w| Some((&w.id, requests(w.template?)?))).collect(),
        }
    }

    fn instance(&self, workload: &WorkloadId, pod: &str) -> Instance {
        let listed = self.pods.get(&(workload.namespace.as_str(), pod));
        let requests = listed.map(|(_, requests)| *requests).or_else(|| self.workloads.get(workload).copied());
        let wait_ms = listed.and_then(|(pod, _)| Some(pod.scheduled_ms?.saturating_sub(pod.created_ms?)));
        Instance {
            rows: BTreeMap::new(),
            reserved_cores: requests.map_or(0.0, |r| r.cpu_millis() as f64 / 1000.0),
            reserved_bytes: requests.map_or(0.0, |r| r.memory_bytes() as f64),
            wait_s: wait_ms.map_or(0.0, |ms| ms.max(0) as f64 / 1000.0),
        }
    }
}
