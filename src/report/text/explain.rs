//! What a plan rests on, as a whole or for one workload.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use thiserror::Error;

use super::near::near_names;
use super::table::wrapped;
use crate::document::{ActionDocument, NodeDocument, PlanDocument, Quantities, WorkloadDocument};
use crate::domain::plan::{CostParts, PlacementState};
use crate::format::{UNKNOWN, counted, duration, money, percent, printable, quantile, signal_name, signal_value};
use crate::{marks, order, outlook, prose};

/// What an item of a list begins with.
const ITEM: &str = "  - ";
/// Where the text beside a label begins.
const TEXT_COLUMN: usize = 12;
/// Quantiles of a forecast peak that are told; the others are in the document.
const TOLD: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

/// Why nothing can be explained.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExplainError {
    /// The plan has no such workload.
    #[error("the plan has no workload {name:?}{}", suggestion(near))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names like it, `namespace/name`.
        near: Vec<String>,
    },
    /// Several workloads have that name.
    #[error("{name:?} is ambiguous: {}", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Those it fits, `namespace/Kind/name`.
        candidates: Vec<String>,
    },
}

fn suggestion(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) }
}

/// Explains the plan, or one workload named as `name`, `namespace/name`, `Kind/name` or `namespace/Kind/name`; a
/// pod's name stands for its workload. Lines are broken at `width` characters.
///
/// # Errors
/// If no workload or several have that name.
pub fn explain(document: &PlanDocument, workload: Option<&str>, width: usize) -> Result<String, ExplainError> {
    let text = match workload {
        None => explain_plan(document),
        Some(name) => explain_workload(document, find(document, name)?),
    };
    Ok(text.lines().fold(String::new(), |folded, line| folded + &broken(line, width) + "\n"))
}

/// A line in several where it is too long, what follows set in below where its text begins.
fn broken(line: &str, width: usize) -> String {
    let indent = match line {
        line if line.chars().count() <= width => return line.to_owned(),
        line if line.starts_with(ITEM) => ITEM.len(),
        line if line.starts_with("  ") => TEXT_COLUMN,
        _ => 0,
    };
    let start = line.char_indices().nth(indent).map_or(line.len(), |(start, _)| start);
    let (head, text) = line.split_at(start);
    format!("{head}{}", wrapped(text, width.saturating_sub(indent)).join(&format!("\n{:indent$}", "")))
}

fn find<'d>(document: &'d PlanDocument, name: &str) -> Result<&'d WorkloadDocument, ExplainError> {
    let long_name = |w: &WorkloadDocument| format!("{}/{}/{}", w.namespace, w.kind, w.name);
    let answers = |w: &WorkloadDocument| {
        w.full_name() == name || long_name(w) == name || w.name == name || w.kind_and_name() == name
    };
    let found: Vec<&WorkloadDocument> = document.workloads.iter().filter(|w| answers(w)).collect();
    if let [one] = found.as_slice() {
        return Ok(one);
    }
    if found.len() > 1 {
        let candidates = found.iter().map(|w| long_name(w)).collect();
        return Err(ExplainError::Ambiguous { name: name.to_owned(), candidates });
    }
    let placed = document.placements.iter().find(|p| p.pod == name || format!("{}/{}", p.namespace, p.pod) == name);
    let of_pod = placed.and_then(|p| {
        document.workloads.iter().find(|w| w.namespace == p.namespace && w.kind_and_name() == p.workload)
    });
    of_pod.ok_or_else(|| {
        let names: Vec<String> = document.workloads.iter().map(WorkloadDocument::full_name).collect();
        ExplainError::Unknown { name: name.to_owned(), near: near_names(name, names.iter().map(String::as_str)) }
    })
}

fn explain_plan(document: &PlanDocument) -> String {
    let certificate = &document.certificate;
    let mut out = format!("{}.\n{}\n\n", prose::headline(document), prose::certificate(certificate));
    out.push_str(&cost_table(&certificate.cost_now, &certificate.cost));
    let _ = writeln!(
        out,
        "\nGap {}: {} between the bound and the plan over pools, {} from placing on concrete nodes.",
        percent(certificate.gap),
        percent(certificate.model_gap),
        percent(certificate.packing_gap)
    );
    list(&mut out, "What is broken", certificate.violations.iter().map(|v| printable(v)));
    list(&mut out, "What binds", document.binding.iter().map(prose::binding));
    list(
        &mut out,
        "Rules in the input that the model leaves out",
        certificate.unmodelled_rules.iter().map(|r| printable(r)),
    );
    list(
        &mut out,
        "Pods that fit nowhere",
        document.unplaced.iter().map(|u| {
            let reasons: Vec<String> = u.reasons.iter().map(|r| printable(r)).collect();
            format!("{}/{} ×{}: {}", printable(&u.namespace), printable(&u.workload), u.count, reasons.join(" "))
        }),
    );
    list(&mut out, "What keeps them out", document.conflict.iter().flat_map(prose::conflict));
    list(
        &mut out,
        "Held back for a later plan",
        document.steps.deferred.iter().map(|d| format!("{}, by {}", prose::action(&d.action), printable(&d.rule))),
    );
    if let Some(sentence) = outlook::packing(document) {
        let _ = writeln!(out, "\n{sentence}");
    }
    if let Some(sentence) = outlook::lead_time(document) {
        let _ = writeln!(out, "\n{sentence}");
    }
    if let Some(sentence) = outlook::schedule(document) {
        let _ = writeln!(out, "\n{sentence}");
    }
    list(&mut out, "When nodes are lost", outlook::scenarios(document, true).into_iter());
    let _ = writeln!(out, "\n{}.", prose::way_there(document));
    if let Some(trust) = order::forecast_trust(document) {
        let _ = writeln!(out, "{trust}");
    }
    out
}

fn list(out: &mut String, title: &str, items: impl Iterator<Item = String>) {
    let items: Vec<String> = items.collect();
    if !items.is_empty() {
        let _ = writeln!(out, "\n{title}:");
        for item in items {
            let _ = writeln!(out, "{ITEM}{item}");
        }
    }
}

fn cost_table(now: &CostParts, then: &CostParts) -> String {
    let rows = [
        ("nodes", now.nodes, then.nodes),
        ("risk of breaking objectives", now.risk, then.risk),
        ("moves and node changes", now.change, then.change),
        ("pods without a node", now.unplaced, then.unplaced),
        ("unmet preferences", now.preferences, then.preferences),
        ("in all", now.total(), then.total()),
    ];
    let mut out = format!("{:<28}{:>14}{:>14}\n", "cost an hour", "now", "proposed");
    let told = |(name, now, then): &(&str, f64, f64)| *name != "unmet preferences" || *now > 0.0 || *then > 0.0;
    for (name, now, then) in rows.into_iter().filter(told) {
        let _ = writeln!(out, "{name:<28}{:>14}{:>14}", money(now), money(then));
    }
    out
}

fn explain_workload(document: &PlanDocument, workload: &WorkloadDocument) -> String {
    let mut out = format!("{} ({})\n", printable(&workload.full_name()), printable(&workload.kind));
    let mut line = |name: &str, text: String| {
        let _ = writeln!(out, "  {name:<width$}{text}", width = TEXT_COLUMN - 2);
    };
    line("replicas", arrow(&workload.replicas_now.to_string(), &workload.replicas.to_string()));
    for resource in resource_names(&workload.requests_now, &workload.requests) {
        let change = arrow(workload.requests_now.written(&resource), workload.requests.written(&resource));
        line(&printable(&resource), format!("{} a pod", printable(&change)));
    }
    line("risk", risk(document, workload));
    line("why", printable(&workload.why));
    for forecast in document.forecasts.iter().filter(|f| f.subject == workload.full_name()) {
        line("forecast", self::forecast(forecast));
        for effect in &forecast.effects {
            line("event", marks::effect(effect, forecast.signal));
        }
    }
    for text in placements(document, workload) {
        line("runs on", text);
    }
    for text in outlook::scenarios_of(document, workload) {
        line("if lost", text);
    }
    for text in changes(document, workload) {
        line("changes", text);
    }
    for unplaced in document.unplaced.iter().filter(|u| belongs(workload, &u.namespace, &u.workload)) {
        let pods = counted(unplaced.count as usize, "pod");
        let reasons: Vec<String> = unplaced.reasons.iter().map(|r| printable(r)).collect();
        line("unplaced", format!("{pods}: {}", reasons.join(" ")));
    }
    for text in holds(document, workload) {
        line("held by", text);
    }
    out
}

fn belongs(workload: &WorkloadDocument, namespace: &str, kind_and_name: &str) -> bool {
    workload.namespace == namespace && workload.kind_and_name() == kind_and_name
}

fn arrow(now: &str, then: &str) -> String {
    if now == then { format!("{now}, unchanged") } else { format!("{now} → {then}") }
}

fn resource_names(now: &Quantities, then: &Quantities) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = now.0.keys().chain(then.0.keys()).collect();
    names.into_iter().cloned().collect()
}

fn risk(document: &PlanDocument, workload: &WorkloadDocument) -> String {
    let within = match document.policy.lead_time_seconds {
        0 => "the lead time".to_owned(),
        seconds => duration(f64::from(seconds)),
    };
    let target = workload.target.as_ref().map_or_else(String::new, |t| format!(" (target {})", printable(t)));
    match (workload.risk_now, workload.risk) {
        (_, None) => format!("unknown: nothing was measured{target}"),
        (Some(now), Some(then)) if (now - then).abs() > 1e-9 => {
            format!("{} → {} of breaking the objective within {within}{target}", percent(now), percent(then))
        }
        (_, Some(then)) => format!("{} of breaking the objective within {within}{target}", percent(then)),
    }
}

fn forecast(forecast: &crate::document::ForecastDocument) -> String {
    let highest = forecast.peak.iter().map(|p| p.level).fold(0.0, f64::max);
    let peaks: Vec<String> = forecast
        .peak
        .iter()
        .filter(|p| p.level >= highest || TOLD.iter().any(|told| (told - p.level).abs() < 1e-9))
        .map(|p| {
            let value = p.value.map_or_else(|| UNKNOWN.to_owned(), |v| signal_value(forecast.signal, v));
            format!("{} {value}", quantile(p.level))
        })
        .collect();
    let trust = &forecast.trust;
    let skill = prose::skill(trust.mase, trust.mase_seasonal_naive, trust.mase_last_value);
    let record = match (skill, &trust.fallback) {
        (Some(skill), _) => format!("; {skill} over {}", counted(trust.origins, "backtest")),
        (None, Some(reason)) => format!("; a plain forecast: {}", printable(reason)),
        (None, None) => "; not backtested".to_owned(),
    };
    let lead = duration(forecast.lead_seconds);
    let marked = marks::summary(forecast.marks.iter().map(|mark| &mark.kind));
    let marked = marked.map_or_else(String::new, |marked| format!("; marked: {marked}"));
    format!("{}: peak over {lead} {}{record}{marked}", signal_name(forecast.signal), peaks.join(", "))
}

fn placements(document: &PlanDocument, workload: &WorkloadDocument) -> Vec<String> {
    let nodes: BTreeMap<&str, &NodeDocument> = document.nodes.iter().map(|n| (n.name.as_str(), n)).collect();
    let mut by_node: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    for placement in document.placements.iter().filter(|p| belongs(workload, &p.namespace, &p.workload)) {
        let zone = nodes.get(placement.node.as_str()).map_or("", |node| node.zone.as_str());
        let counts = by_node.entry((zone, placement.node.as_str())).or_default();
        counts.0 += 1;
        counts.1 += usize::from(placement.state != PlacementState::Stay);
    }
    let describe = |((zone, node), (pods, arriving)): ((&str, &str), (usize, usize))| {
        let zone = if zone.is_empty() { String::new() } else { format!(" in {}", printable(zone)) };
        let arriving = if arriving == 0 { String::new() } else { format!(", {arriving} arriving") };
        let contention = nodes.get(node).and_then(|n| n.contention.as_ref()).map_or_else(String::new, |c| {
            let when = outlook::when(c, document.made_at_ms());
            format!("; all on it want more CPU than it has: {} at most ({when})", percent(c.probability))
        });
        format!("{}{zone}: {}{arriving}{contention}", printable(node), counted(pods, "pod"))
    };
    by_node.into_iter().map(describe).collect()
}

fn changes(document: &PlanDocument, workload: &WorkloadDocument) -> Vec<String> {
    let waves = document.steps.waves.iter().enumerate();
    waves
        .flat_map(|(i, wave)| wave.actions.iter().map(move |action| (i, action)))
        .filter(|(_, action)| concerns(document, workload, action))
        .map(|(i, action)| format!("wave {}: {}", i + 1, prose::action(action)))
        .collect()
}

fn concerns(document: &PlanDocument, workload: &WorkloadDocument, action: &ActionDocument) -> bool {
    match action {
        ActionDocument::Scale { workload: id, .. } | ActionDocument::Resize { workload: id, .. } => {
            id.namespace == workload.namespace && id.kind == workload.kind && id.name == workload.name
        }
        ActionDocument::Move { namespace, pod, .. } | ActionDocument::Bind { namespace, pod, .. } => document
            .placements
            .iter()
            .any(|p| p.namespace == *namespace && p.pod == *pod && belongs(workload, &p.namespace, &p.workload)),
        ActionDocument::Preempt { namespace, pod, by, .. } => document.preempted.iter().any(|p| {
            p.namespace == *namespace && p.pod == *pod && belongs(workload, &p.namespace, &p.workload)
                || p.by == *by && belongs(workload, &by.namespace, &by.workload)
        }),
        ActionDocument::AddNode { .. } | ActionDocument::Cordon { .. } | ActionDocument::RemoveNode { .. } => false,
    }
}

fn holds(document: &PlanDocument, workload: &WorkloadDocument) -> Vec<String> {
    let deferred = document
        .steps
        .deferred
        .iter()
        .filter(|d| concerns(document, workload, &d.action))
        .map(|d| format!("{}: {}", printable(&d.rule), prose::action(&d.action)));
    let target = workload.target.as_ref().map(|target| format!("targets.{target}."));
    let full_name = workload.full_name();
    let binding = document
        .binding
        .iter()
        .filter(|b| target.as_ref().is_some_and(|t| b.rule.starts_with(t.as_str())) || b.rule.ends_with(&full_name))
        .map(prose::binding);
    deferred.chain(binding).collect()
}
