//! What was not done and why.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::document::PlanDocument;
use crate::domain::Run;
use crate::domain::menu::Basis;
use crate::format::{counted, printable};
use crate::prose;

/// Entries shown of a list.
const SHOWN: usize = 100;

/// The section.
#[derive(Serialize)]
pub(super) struct Undone {
    finding: String,
    unplaced: Vec<UnplacedRow>,
    lists: Vec<List>,
}

#[derive(Serialize)]
struct UnplacedRow {
    workload: String,
    count: u32,
    reasons: Vec<String>,
}

#[derive(Serialize)]
struct List {
    title: &'static str,
    items: Vec<String>,
    more: Option<String>,
}

impl Undone {
    pub(super) fn of(run: &Run, document: &PlanDocument) -> Self {
        let notes = run.series.iter().flat_map(|series| &series.notes).map(|note| printable(note)).collect();
        let kinds =
            document.cluster.ignored_kinds.iter().map(|(kind, n)| format!("{}: {n}", printable(kind))).collect();
        let deferred = document.steps.deferred.iter();
        let pending = document
            .pending
            .iter()
            .map(|p| printable(&format!("{}/{} ×{}: {}", p.namespace, p.workload, p.count, p.reasons.join(" "))));
        let lists = [
            ("What keeps pods out", document.conflict.iter().flat_map(prose::conflict).collect()),
            (
                "Pods stopped to make room for more important ones",
                document.preempted.iter().map(prose::preempted).collect(),
            ),
            ("Pods without a node now, as the cluster stands", pending.collect()),
            (
                "Held back for a later plan",
                deferred
                    .map(|d| format!("{}, held back by {}", prose::action(&d.action), printable(&d.rule)))
                    .collect(),
            ),
            ("Workloads left as declared", left_alone(run)),
            ("Rules in the input that the model leaves out", texts(&document.certificate.unmodelled_rules)),
            ("Odd in the cluster dump", texts(&document.cluster.warnings)),
            ("Kinds in the dump that were not read", kinds),
            ("Metrics left out", notes),
        ];
        Self {
            finding: finding(document),
            unplaced: unplaced(document),
            lists: lists.into_iter().filter_map(list).collect(),
        }
    }
}

fn finding(document: &PlanDocument) -> String {
    match document.unplaced_pods() {
        0 => "Every pod has a node when the plan is done".to_owned(),
        1 => "1 pod fits nowhere".to_owned(),
        n => format!("{} fit nowhere", counted(n, "pod")),
    }
}

fn texts(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| printable(text)).collect()
}

fn list((title, mut items): (&'static str, Vec<String>)) -> Option<List> {
    if items.is_empty() {
        return None;
    }
    let rest = items.len().saturating_sub(SHOWN);
    items.truncate(SHOWN);
    Some(List { title, items, more: (rest > 0).then(|| format!("and {rest} more")) })
}

/// Workloads that keep what they declare, by reason.
fn left_alone(run: &Run) -> Vec<String> {
    let mut by_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for workload in &run.plan.workloads {
        if let Basis::Declared { .. } = workload.basis {
            let reason = prose::why(&workload.basis, 0);
            by_reason.entry(reason).or_default().push(printable(&workload.id.to_string()));
        }
    }
    by_reason
        .into_iter()
        .map(|(reason, names)| {
            const NAMED: usize = 12;
            let rest = names.len().saturating_sub(NAMED);
            let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
            let named = names.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
            format!("{}: {named}{more}", reason.trim_start_matches("as declared: "))
        })
        .collect()
}

fn unplaced(document: &PlanDocument) -> Vec<UnplacedRow> {
    document
        .unplaced
        .iter()
        .take(SHOWN)
        .map(|unplaced| UnplacedRow {
            workload: printable(&format!("{}/{}", unplaced.namespace, unplaced.workload)),
            count: unplaced.count,
            reasons: unplaced.reasons.iter().take(8).map(|reason| printable(reason)).collect(),
        })
        .collect()
}
