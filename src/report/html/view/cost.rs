//! Cost now, proposed, and the proven bound.

use serde::Serialize;

use crate::columns::align_points;
use crate::document::PlanDocument;
use crate::domain::plan::CostParts;
use crate::format::{money, money_at_most, percent, printable, tied};
use crate::html::chart::strip::{Part, bar};
use crate::prose;

/// The cost section.
#[derive(Serialize)]
pub(super) struct Cost {
    finding: String,
    bars: Vec<Bar>,
    without_unplaced: Option<String>,
    certificate: String,
    bound: String,
    parts: Vec<PartRow>,
    gaps: String,
    binding: Vec<BindingRow>,
    violations: Vec<String>,
    feasible: bool,
}

#[derive(Serialize)]
struct Bar {
    name: &'static str,
    value: String,
    chart: String,
}

#[derive(Serialize)]
struct PartRow {
    name: &'static str,
    now: String,
    proposed: String,
    total: bool,
}

#[derive(Serialize)]
struct BindingRow {
    rule: String,
    unit: String,
    saves: String,
    chart: String,
}

impl Cost {
    pub(super) fn of(document: &PlanDocument) -> Self {
        let certificate = &document.certificate;
        Self {
            finding: finding(document),
            bars: bars(document),
            without_unplaced: without_unplaced(document),
            certificate: tied(&prose::certificate(certificate)),
            bound: money_at_most(certificate.bound_per_hour),
            parts: parts(&certificate.cost_now, &certificate.cost),
            gaps: tied(&format!(
                "The plan is within {} of that: {} lies between the bound and the plan over pools, {} comes from \
                 placing on concrete nodes.",
                percent(certificate.gap),
                percent(certificate.model_gap),
                percent(certificate.packing_gap)
            )),
            binding: binding(document),
            violations: certificate.violations.iter().map(|v| printable(v)).collect(),
            feasible: certificate.feasible,
        }
    }
}

fn finding(document: &PlanDocument) -> String {
    let certificate = &document.certificate;
    if !certificate.feasible {
        return "Nothing is proven: the plan is not feasible".to_owned();
    }
    if certificate.cost_per_hour <= 0.0 {
        return "The plan costs nothing".to_owned();
    }
    if certificate.gap <= 1e-9 {
        return "No plan can cost less".to_owned();
    }
    let left = certificate.cost_per_hour - certificate.bound_per_hour;
    format!("At most {} an hour is left to find", money(left))
}

/// What is charged for pods without a node would dwarf every price, so bars leave it out and words state it.
fn charged(parts: &CostParts) -> f64 {
    parts.nodes + parts.risk + parts.change + parts.preferences
}

fn bars(document: &PlanDocument) -> Vec<Bar> {
    let certificate = &document.certificate;
    let bound = (certificate.bound_per_hour - certificate.cost.unplaced).max(0.0);
    let (now, then) = (charged(&certificate.cost_now), charged(&certificate.cost));
    let most = now.max(then).max(bound).max(1e-12);
    let stacked = |parts: &CostParts, classes: [&'static str; 4]| {
        let named = [
            ("nodes", parts.nodes),
            ("risk", parts.risk),
            ("change", parts.change),
            ("unmet preferences", parts.preferences),
        ];
        named
            .into_iter()
            .filter(|(name, value)| *name != "unmet preferences" || *value > 0.0)
            .zip(classes)
            .map(|((name, value), class)| Part {
                share: value / most,
                class,
                title: format!("{name}: {} an hour", money(value)),
            })
            .collect::<Vec<Part>>()
    };
    let draw = |name: &'static str, text: String, parts: Vec<Part>| {
        let chart = bar(&parts, 26, &format!("{name}: {text} an hour"));
        Bar { name, value: text, chart }
    };
    let mut bars = vec![
        draw("Now", money(now), stacked(&certificate.cost_now, ["now", "now-risk", "now-change", "now-preferences"])),
        draw(
            "Proposed",
            money(then),
            stacked(&certificate.cost, ["proposed", "proposed-risk", "proposed-change", "proposed-preferences"]),
        ),
    ];
    if certificate.feasible {
        let part = Part { share: bound / most, class: "bound", title: "proven bound".to_owned() };
        bars.push(draw("Proven bound", money_at_most(bound), vec![part]));
    }
    bars
}

fn without_unplaced(document: &PlanDocument) -> Option<String> {
    let certificate = &document.certificate;
    let (now, then) = (certificate.cost_now.unplaced, certificate.cost.unplaced);
    (now > 0.0 || then > 0.0).then(|| {
        format!(
            "The bars leave out what the policy charges for pods without a node: {} an hour now, {} proposed{}.",
            money(now),
            money(then),
            if then > 0.0 && certificate.feasible { ", taken off the bound too" } else { "" }
        )
    })
}

fn parts(now: &CostParts, then: &CostParts) -> Vec<PartRow> {
    let row = |name, now: f64, then: f64| PartRow { name, now: money(now), proposed: money(then), total: false };
    let mut rows = vec![
        row("Node prices", now.nodes, then.nodes),
        row("Risk of breaking objectives", now.risk, then.risk),
        row("Moves and node changes", now.change, then.change),
        row("Pods without a node", now.unplaced, then.unplaced),
    ];
    if now.preferences > 0.0 || then.preferences > 0.0 {
        rows.push(row("Unmet preferences", now.preferences, then.preferences));
    }
    rows.push(PartRow { total: true, ..row("In all", now.total(), then.total()) });
    align_points(rows.iter_mut().map(|row| &mut row.now));
    align_points(rows.iter_mut().map(|row| &mut row.proposed));
    rows
}

fn binding(document: &PlanDocument) -> Vec<BindingRow> {
    const SHOWN: usize = 12;
    let most = document.binding.iter().map(|b| b.saves_per_hour).fold(1e-12, f64::max);
    let row = |binding: &crate::domain::plan::Binding| {
        let part = Part { share: binding.saves_per_hour / most, class: "proposed", title: prose::binding(binding) };
        BindingRow {
            rule: printable(&binding.rule),
            unit: printable(&binding.unit),
            saves: money(binding.saves_per_hour),
            chart: bar(&[part], 10, &prose::binding(binding)),
        }
    };
    let mut rows: Vec<BindingRow> = document.binding.iter().take(SHOWN).map(row).collect();
    align_points(rows.iter_mut().map(|row| &mut row.saves));
    rows
}
