//! The headline and what it rests on.

use serde::Serialize;

use crate::document::PlanDocument;
use crate::domain::{PriceSource, Run, Series};
use crate::format::{change, count, counted, date, date_time, duration, money, percent, printable, tied};
use crate::{order, prose};

/// The head of the page.
#[derive(Serialize)]
pub(super) struct Summary {
    title: String,
    headline: String,
    made: String,
    policy: String,
    certificate: String,
    alerts: Vec<Alert>,
    figures: Vec<Figure>,
    quality: Vec<String>,
}

/// What the reader must not miss.
#[derive(Serialize)]
struct Alert {
    grave: bool,
    title: String,
    text: String,
}

/// One number with its name.
#[derive(Serialize)]
struct Figure {
    name: &'static str,
    before: Option<String>,
    value: String,
    note: String,
    link: &'static str,
}

impl Summary {
    pub(super) fn of(run: &Run, document: &PlanDocument) -> Self {
        let headline = tied(&prose::headline(document));
        Self {
            title: format!("{headline} – Plimsoll capacity plan"),
            made: date_time(run.provenance.generated_at_ms),
            policy: printable(&run.policy.name),
            certificate: tied(&prose::certificate(&document.certificate)),
            alerts: alerts(document),
            figures: figures(document),
            quality: quality(run, document),
            headline,
        }
    }
}

fn alerts(document: &PlanDocument) -> Vec<Alert> {
    let certificate = &document.certificate;
    let mut alerts = Vec::new();
    if !certificate.feasible {
        let broken: Vec<String> = certificate.violations.iter().take(5).map(|v| printable(v)).collect();
        alerts.push(Alert {
            grave: true,
            title: "This plan is not feasible.".to_owned(),
            text: format!("The independent check refused it; do not apply it. {}", broken.join("; ")),
        });
    }
    if !document.unplaced.is_empty() {
        let pods = document.unplaced_pods();
        alerts.push(Alert {
            grave: false,
            title: format!("{} {} nowhere.", counted(pods, "pod"), if pods == 1 { "fits" } else { "fit" }),
            text: "The reasons are listed under what was not done.".to_owned(),
        });
    }
    if certificate.prices == PriceSource::Estimated {
        alerts.push(Alert {
            grave: false,
            title: "Prices are estimated.".to_owned(),
            text: "No catalog states them, so they follow from the nodes' resources; a catalog makes them real."
                .to_owned(),
        });
    }
    if document.forecasts.is_empty() && !document.workloads.is_empty() {
        alerts.push(Alert {
            grave: false,
            title: "There are no metrics.".to_owned(),
            text: "Workloads keep what they declare; only nodes and placement are planned.".to_owned(),
        });
    }
    alerts
}

fn figures(document: &PlanDocument) -> Vec<Figure> {
    let certificate = &document.certificate;
    let (cost_now, cost) = (certificate.cost_now.nodes, certificate.cost.nodes);
    let (nodes_now, nodes_then) = (document.nodes_now().count(), document.nodes_then().count());
    let kept = nodes_now + nodes_then - document.nodes.len();
    let waves = document.steps.waves.len();
    let gap = if certificate.feasible {
        Figure {
            name: "Proven gap",
            before: None,
            value: percent(certificate.gap),
            note: "to the best possible plan".to_owned(),
            link: "#cost",
        }
    } else {
        Figure {
            name: "Proven gap",
            before: None,
            value: "none".to_owned(),
            note: "the plan is not feasible".to_owned(),
            link: "#cost",
        }
    };
    let risk = match order::worst_risk(document) {
        Some((risk, workload)) => (percent(risk), printable(&workload.full_name())),
        None => ("–".to_owned(), "nothing was measured".to_owned()),
    };
    vec![
        Figure {
            name: "Node prices an hour",
            before: Some(money(cost_now)),
            value: money(cost),
            note: change(cost_now, cost).unwrap_or_else(|| "nothing is paid for now".to_owned()),
            link: "#cost",
        },
        Figure {
            name: "Nodes",
            before: Some(count(nodes_now)),
            value: count(nodes_then),
            note: format!("{} added, {} removed", count(nodes_then - kept), count(nodes_now - kept)),
            link: "#nodes",
        },
        gap,
        Figure { name: "Worst risk", before: None, value: risk.0, note: risk.1, link: "#workloads" },
        Figure {
            name: "Pods moved",
            before: None,
            value: count(document.steps.moves()),
            note: moves_note(document, waves),
            link: "#waves",
        },
        Figure {
            name: "Pods without a node",
            before: Some(count(document.cluster.pending_pods)),
            value: count(document.unplaced_pods()),
            note: "now and when the plan is done".to_owned(),
            link: "#undone",
        },
    ]
}

fn moves_note(document: &PlanDocument, waves: usize) -> String {
    let waves = counted(waves, "wave");
    let limit = document.policy.max_moves.map_or_else(String::new, |limit| format!("of at most {}, ", count(limit)));
    match document.preempted.len() {
        0 => format!("{limit}in {waves}"),
        stopped => format!("{limit}in {waves}; {} stopped for others", counted(stopped, "pod")),
    }
}

fn quality(run: &Run, document: &PlanDocument) -> Vec<String> {
    let cluster = &document.cluster;
    let taken = run.snapshot.taken_at_ms.map_or_else(String::new, |t| format!(" as of {}", date_time(t)));
    let mut lines = vec![format!(
        "Cluster{taken}: {}, {}, {} pending, {}.",
        counted(cluster.nodes, "node"),
        counted(cluster.pods, "pod"),
        count(cluster.pending_pods),
        counted(document.workloads.len(), "workload"),
    )];
    match &run.series {
        None => lines.push("Metrics: none.".to_owned()),
        Some(series) => lines.extend(series_quality(series, document)),
    }
    lines
}

fn series_quality(series: &Series, document: &PlanDocument) -> Vec<String> {
    let axis = &series.axis;
    let span_s = axis.step_ms as f64 / 1000.0 * axis.len as f64;
    let sum = |part: fn(&crate::domain::series::RowQuality) -> usize| -> usize {
        series.rows.iter().map(|row| part(&row.quality)).sum()
    };
    let measured: std::collections::BTreeSet<String> =
        series.rows.iter().filter_map(|row| row.subject.workload()).map(ToString::to_string).collect();
    let without = document.workloads.iter().filter(|w| !measured.contains(&w.full_name())).count();
    vec![
        format!(
            "Metrics: {} of {} to {} ({}), one value every {}.",
            counted(series.rows.len(), "series"),
            date(axis.start_ms),
            date(axis.end_ms()),
            duration(span_s),
            duration(axis.step_ms as f64 / 1000.0),
        ),
        format!(
            "Quality: {} in gaps, {} bridged, {} and {} late, {} without metrics.",
            counted(sum(|q| q.gap_cells), "step"),
            counted(sum(|q| q.resets), "counter reset"),
            counted(sum(|q| q.duplicates), "duplicate"),
            count(sum(|q| q.out_of_order)),
            counted(without, "workload"),
        ),
    ]
}
