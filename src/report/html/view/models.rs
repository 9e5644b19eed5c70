//! The five orchestration models over time.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::columns::align_points;
use crate::document::PlanDocument;
use crate::domain::orchestration::Orchestration;
use crate::domain::{Run, WorkloadId};
use crate::format::{bytes, cores, duration, percent, printable, significant};
use crate::html::chart::model;
use crate::html::chart::scale::Unit;
use crate::order;

/// Workloads drawn; the others are in the table.
const DRAWN: usize = 6;
/// Rows of the table.
const ROWS: usize = 200;

/// The section of the models.
#[derive(Serialize)]
pub(super) struct Models {
    definitions: Vec<Definition>,
    drawn: Vec<Drawn>,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Definition {
    symbol: &'static str,
    name: &'static str,
    text: &'static str,
}

#[derive(Serialize)]
struct Drawn {
    name: String,
    charts: Vec<Small>,
}

#[derive(Serialize)]
struct Small {
    symbol: &'static str,
    finding: String,
    chart: Option<String>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    runtime: String,
    memory: String,
    discovery: String,
    scheduling: String,
    balancing: String,
    jain: String,
    scaling: String,
    under: String,
    over: String,
    instability: String,
}

const DEFINITIONS: [Definition; 5] = [
    Definition {
        symbol: "R",
        name: "Runtime",
        text: "R(t) = Σ Pᵢ(t): resources the instances use, in CPU cores and bytes of memory.",
    },
    Definition {
        symbol: "D",
        name: "Discovery",
        text: "D(t) = Σ Wᵢ(t): seconds until instances that turned ready in the step could be found.",
    },
    Definition {
        symbol: "S",
        name: "Scheduling",
        text: "S(t) = Σ Fᵢ(t): scheduling efficiency, the share of what instances reserve that they use; at most their number.",
    },
    Definition {
        symbol: "B",
        name: "Balancing",
        text: "B(t) = Σ Lᵢ(t): load over the fair share; with it Jain's index, 1 when all carry the same.",
    },
    Definition {
        symbol: "E",
        name: "Scaling",
        text: "E(t) = Σ Xᵢ(t): supply minus demand in cores; below 0 the service is short.",
    },
];

impl Models {
    pub(super) fn of(run: &Run, document: &PlanDocument) -> Self {
        let by_id: BTreeMap<&WorkloadId, &Orchestration> = run.orchestration.iter().map(|o| (&o.workload, o)).collect();
        let ordered: Vec<&Orchestration> = order::by_importance(document)
            .into_iter()
            .filter_map(|w| {
                let id = WorkloadId { namespace: w.namespace.clone(), kind: w.kind.clone(), name: w.name.clone() };
                by_id.get(&id).copied()
            })
            .collect();
        let mut rows: Vec<Row> = ordered.iter().take(ROWS).map(|o| row(o)).collect();
        let columns: [fn(&mut Row) -> &mut String; 8] = [
            |row| &mut row.runtime,
            |row| &mut row.scheduling,
            |row| &mut row.balancing,
            |row| &mut row.jain,
            |row| &mut row.scaling,
            |row| &mut row.under,
            |row| &mut row.over,
            |row| &mut row.instability,
        ];
        for column in columns {
            align_points(rows.iter_mut().map(column));
        }
        Self { definitions: DEFINITIONS.into(), drawn: ordered.iter().take(DRAWN).map(|o| drawn(o)).collect(), rows }
    }
}

fn finite(values: &[f64]) -> impl Iterator<Item = f64> + Clone + '_ {
    values.iter().copied().filter(|v| v.is_finite())
}

fn mean(values: &[f64]) -> Option<f64> {
    let count = finite(values).count();
    (count > 0).then(|| finite(values).sum::<f64>() / count as f64)
}

fn highest(values: &[f64]) -> Option<f64> {
    finite(values).max_by(f64::total_cmp)
}

fn lowest(values: &[f64]) -> Option<f64> {
    finite(values).min_by(f64::total_cmp)
}

fn text(value: Option<f64>, write: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), write)
}

fn drawn(models: &Orchestration) -> Drawn {
    let name = printable(&models.workload.to_string());
    let small = |symbol: &'static str, values: &[f64], unit: Unit, finding: Option<String>| {
        let finding = finding.unwrap_or_else(|| "not measured".to_owned());
        let description = format!("{symbol} of {name} over time: {finding}.");
        Small { symbol, chart: model::draw(&models.axis, values, unit, description), finding }
    };
    let memory = highest(&models.runtime_memory_bytes).map_or_else(String::new, |v| format!(" and {}", bytes(v)));
    let runtime = highest(&models.runtime_cpu_cores).map(|v| format!("at most {}{memory} in use", cores(v)));
    let discovery = highest(&models.discovery_seconds).map(|v| format!("found within {}", duration(v)));
    let scheduling = mean(&models.scheduling).map(|v| format!("adds up to {} on average", significant(v, 2)));
    let balancing = mean(&models.jain_index).map(|v| format!("Jain's index {} on average", significant(v, 2)));
    let scaling = lowest(&models.scaling_cores).map(|v| {
        if v < 0.0 { format!("short by up to {}", cores(-v)) } else { format!("never short, {} to spare", cores(v)) }
    });
    Drawn {
        charts: vec![
            small("R", &models.runtime_cpu_cores, Unit::Plain, runtime),
            small("D", &models.discovery_seconds, Unit::Seconds, discovery),
            small("S", &models.scheduling, Unit::Plain, scheduling),
            small("B", &models.balancing, Unit::Plain, balancing),
            small("E", &models.scaling_cores, Unit::Plain, scaling),
        ],
        name,
    }
}

fn row(models: &Orchestration) -> Row {
    let number = |v: f64| significant(v, 3);
    let score = models.elasticity;
    Row {
        name: printable(&models.workload.to_string()),
        runtime: text(mean(&models.runtime_cpu_cores), number),
        memory: text(mean(&models.runtime_memory_bytes), bytes),
        discovery: text(mean(&models.discovery_seconds), duration),
        scheduling: text(mean(&models.scheduling), number),
        balancing: text(mean(&models.balancing), number),
        jain: text(mean(&models.jain_index), |v| significant(v, 2)),
        scaling: text(mean(&models.scaling_cores), number),
        under: text(score.map(|s| s.timeshare_under), percent),
        over: text(score.map(|s| s.timeshare_over), percent),
        instability: text(score.map(|s| s.instability), percent),
    }
}
