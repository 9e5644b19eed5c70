//! Each workload before and after, with its forecast and its reason.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::columns::align_points;
use crate::document::{PlanDocument, Quantities, WorkloadDocument};
use crate::domain::menu::Basis;
use crate::domain::plan::WorkloadPlan;
use crate::domain::resources::{CPU, MEMORY};
use crate::domain::{Forecast, Run, Signal, Subject, WorkloadId};
use crate::format::{counted, percent, printable, quantile, readable_pair, signal_value, tied};
use crate::html::chart::fan::{self, Capacity, Fan};
use crate::{order, prose};

use super::marks::{MarkKeys, MarksView};

/// Workloads with a section of their own, of those that change or were measured.
const SECTIONS: usize = 40;
/// Rows of the table.
const ROWS: usize = 400;

/// The workload section.
#[derive(Serialize)]
pub(super) struct Workloads {
    finding: String,
    rows: Vec<Row>,
    more: Option<String>,
    sections: Vec<Section>,
    keys: MarkKeys,
}

#[derive(Serialize)]
struct Row {
    name: String,
    link: Option<String>,
    changed: bool,
    replicas: Pair,
    cpu: Pair,
    memory: Pair,
    risk_now: String,
    risk: String,
    why: String,
}

/// A value now and proposed; `now` is left out where they are the same.
#[derive(Serialize)]
struct Pair {
    now: Option<String>,
    proposed: String,
}

#[derive(Serialize)]
struct Section {
    anchor: String,
    name: String,
    kind: String,
    target: Option<String>,
    facts: Vec<Fact>,
    why: String,
    holds: Vec<String>,
    charts: Vec<ChartView>,
}

#[derive(Serialize)]
struct Fact {
    name: String,
    now: String,
    proposed: String,
    changed: bool,
}

#[derive(Serialize)]
struct ChartView {
    finding: String,
    unit: String,
    chart: String,
    marks: Option<MarksView>,
}

impl Workloads {
    pub(super) fn of(run: &Run, document: &PlanDocument) -> Self {
        let plans: BTreeMap<&WorkloadId, &WorkloadPlan> = run.plan.workloads.iter().map(|w| (&w.id, w)).collect();
        let ordered = order::by_importance(document);
        let measured: BTreeSet<&Subject> = run.forecasts.iter().map(|f| &f.subject).collect();
        // Of others there is nothing to say that their row does not.
        let has_section = |workload: &WorkloadDocument| {
            workload.is_changed() || measured.contains(&Subject::Workload(workload_id(workload)))
        };
        let mut sections = Vec::new();
        let mut rows = Vec::new();
        for (index, workload) in ordered.iter().enumerate() {
            let plan = plans.get(&workload_id(workload)).filter(|_| sections.len() < SECTIONS && has_section(workload));
            let anchor = plan.map(|_| format!("workload-{}", index + 1));
            if let (Some(plan), Some(anchor)) = (plan, &anchor) {
                sections.push(section(run, document, workload, plan, anchor));
            }
            if index < ROWS {
                rows.push(row(workload, anchor.as_ref()));
            }
        }
        align_points(rows.iter_mut().map(|row: &mut Row| &mut row.risk_now));
        align_points(rows.iter_mut().map(|row| &mut row.risk));
        Self {
            finding: finding(document),
            rows,
            more: (ordered.len() > ROWS)
                .then(|| format!("{} more are in the JSON.", counted(ordered.len() - ROWS, "workload"))),
            sections,
            keys: MarkKeys::of(run.forecasts.iter()),
        }
    }
}

fn workload_id(workload: &WorkloadDocument) -> WorkloadId {
    WorkloadId { namespace: workload.namespace.clone(), kind: workload.kind.clone(), name: workload.name.clone() }
}

fn finding(document: &PlanDocument) -> String {
    let all = document.workloads.len();
    let changed = document.workloads.iter().filter(|w| w.is_changed()).count();
    match (all, changed) {
        (0, _) => "There are no workloads".to_owned(),
        (_, 0) => format!("All {} keep their replicas and requests", counted(all, "workload")),
        _ => format!("{changed} of {} change", counted(all, "workload")),
    }
}

fn pair(now: String, proposed: String) -> Pair {
    Pair { now: (now != proposed).then_some(now), proposed }
}

fn amounts(workload: &WorkloadDocument, resource: &str) -> Pair {
    let amount = |quantities: &Quantities| quantities.amount(resource);
    let (now, then) = readable_pair(resource, amount(&workload.requests_now), amount(&workload.requests));
    pair(now, then)
}

fn row(workload: &WorkloadDocument, anchor: Option<&String>) -> Row {
    Row {
        name: printable(&workload.full_name()),
        link: anchor.map(|anchor| format!("#{anchor}")),
        changed: workload.is_changed(),
        replicas: pair(workload.replicas_now.to_string(), workload.replicas.to_string()),
        cpu: amounts(workload, CPU),
        memory: amounts(workload, MEMORY),
        risk_now: prose::risk(workload.risk_now),
        risk: prose::risk(workload.risk),
        why: tied(&workload.why),
    }
}

fn section(
    run: &Run,
    document: &PlanDocument,
    workload: &WorkloadDocument,
    plan: &WorkloadPlan,
    anchor: &str,
) -> Section {
    let made_at_ms = run.provenance.generated_at_ms;
    Section {
        anchor: anchor.to_owned(),
        name: printable(&workload.full_name()),
        kind: printable(&workload.kind),
        target: workload.target.as_ref().map(|t| printable(t)),
        facts: facts(workload),
        why: tied(&prose::why_at_length(&plan.basis, plan.replicas, made_at_ms)),
        holds: holds(document, workload),
        charts: charts(run, plan),
    }
}

fn facts(workload: &WorkloadDocument) -> Vec<Fact> {
    let fact = |name: &str, now: String, proposed: String| Fact {
        name: name.to_owned(),
        changed: now != proposed,
        now,
        proposed,
    };
    let mut facts = vec![fact("Replicas", workload.replicas_now.to_string(), workload.replicas.to_string())];
    for (resource, name) in [(CPU, "CPU a pod"), (MEMORY, "Memory a pod")] {
        let quantity = |q: &Quantities| q.amount(resource);
        let (now, then) = readable_pair(resource, quantity(&workload.requests_now), quantity(&workload.requests));
        facts.push(fact(name, now, then));
    }
    for (resource, then) in workload.requests.extended().take(4) {
        facts.push(fact(&printable(resource), printable(workload.requests_now.written(resource)), printable(then)));
    }
    facts.push(fact("Risk", prose::risk(workload.risk_now), prose::risk(workload.risk)));
    if workload.moves > 0 {
        facts.push(fact("Moved pods", "–".to_owned(), workload.moves.to_string()));
    }
    facts
}

fn holds(document: &PlanDocument, workload: &WorkloadDocument) -> Vec<String> {
    let Some(target) = &workload.target else { return Vec::new() };
    let prefix = format!("targets.{target}.");
    document.binding.iter().filter(|b| b.rule.starts_with(&prefix)).take(3).map(prose::binding).collect()
}

/// The chart of the signal that decides, and that of memory where memory changes, else of CPU.
fn charts(run: &Run, plan: &WorkloadPlan) -> Vec<ChartView> {
    let decisive = match &plan.basis {
        Basis::Demand { signal, .. } => *signal,
        Basis::Latency { .. } => Signal::RequestsPerSecond,
        Basis::Declared { .. } | Basis::Held { .. } | Basis::Bound { .. } => Signal::CpuCores,
    };
    let subject = Subject::Workload(plan.id.clone());
    let memory_changes = plan.requests.memory_bytes() != plan.requests_now.memory_bytes();
    let second = if memory_changes || decisive == Signal::CpuCores { Signal::MemoryBytes } else { Signal::CpuCores };
    [decisive, second]
        .into_iter()
        .filter_map(|signal| {
            let forecast = run.forecasts.iter().find(|f| f.subject == subject && f.signal == signal)?;
            chart(run, plan, forecast)
        })
        .collect()
}

fn chart(run: &Run, plan: &WorkloadPlan, forecast: &Forecast) -> Option<ChartView> {
    let signal = forecast.signal;
    let past = run.series.as_ref().map_or_else(Vec::new, |series| {
        let values = series.get(&forecast.subject, signal);
        values.map_or_else(Vec::new, |row| row.iter().enumerate().map(|(i, v)| (series.axis.time_ms(i), *v)).collect())
    });
    let (now, proposed) = capacities(plan, signal);
    let fan = Fan { past, forecast, now, proposed };
    Some(ChartView {
        finding: tied(&fan::finding(signal, forecast, fan.proposed.as_ref())),
        unit: [unit(signal).to_owned(), record(forecast)].join("; "),
        chart: fan::draw(&fan)?,
        marks: MarksView::of_anomalies(forecast),
    })
}

/// How far the forecast can be trusted, in a few words.
fn record(forecast: &Forecast) -> String {
    let trust = &forecast.trust;
    let nearest = trust.coverage.iter().min_by(|a, b| (a.0 - 0.95).abs().total_cmp(&(b.0 - 0.95).abs()));
    match (trust.borrowed, nearest) {
        (true, _) => "too new for a model of its own: borrowed from the other series".to_owned(),
        (false, Some((level, share))) => {
            format!("{} held {} of its past", quantile(*level), percent((share * 1000.0).round() / 1000.0))
        }
        (false, None) => "not tested on its own past: the width is a guess".to_owned(),
    }
}

fn unit(signal: Signal) -> &'static str {
    match signal {
        Signal::CpuCores => "cores, times in UTC",
        Signal::MemoryBytes => "bytes, times in UTC",
        Signal::RequestsPerSecond => "requests a second, times in UTC",
        _ => "times in UTC",
    }
}

/// What the replicas carry now and when the plan is done, where the basis tells.
fn capacities(plan: &WorkloadPlan, signal: Signal) -> (Option<Capacity>, Option<Capacity>) {
    let capacity = |per_replica: f64, replicas: u32, when: &str, at: &str| {
        let value = per_replica * f64::from(replicas);
        let label = format!("{when}: {} × {}{at}", replicas, signal_value(signal, per_replica));
        (value.is_finite() && value > 0.0).then_some(Capacity { value, label })
    };
    let same_size = plan.requests == plan.requests_now;
    match (&plan.basis, signal) {
        (Basis::Demand { signal: decisive, per_replica, utilisation, .. }, _) if *decisive == signal => {
            let at = format!(" at {}", percent(*utilisation));
            let per_replica_now = match signal {
                Signal::CpuCores => Some(plan.requests_now.cpu_millis() as f64 / 1000.0 * utilisation),
                _ => same_size.then_some(*per_replica),
            };
            let now = per_replica_now.and_then(|now| capacity(now, plan.replicas_now, "now", &at));
            (now, capacity(*per_replica, plan.replicas, "plan", &at))
        }
        (Basis::Latency { service_rate_per_s, .. }, Signal::RequestsPerSecond) => {
            let now = same_size.then(|| capacity(*service_rate_per_s, plan.replicas_now, "now", " when busy"));
            (now.flatten(), capacity(*service_rate_per_s, plan.replicas, "plan", " when busy"))
        }
        (_, Signal::CpuCores | Signal::MemoryBytes) => {
            let request = |requests: &crate::domain::Resources| match signal {
                Signal::CpuCores => requests.cpu_millis() as f64 / 1000.0,
                _ => requests.memory_bytes() as f64,
            };
            (
                capacity(request(&plan.requests_now), plan.replicas_now, "requested now", ""),
                capacity(request(&plan.requests), plan.replicas, "plan", " requested"),
            )
        }
        _ => (None, None),
    }
}
