//! Two plans on a terminal, side by side.

use super::Style;
use super::table::{Align, Column, lines, wrapped};
use crate::document::{Comparison, Pair};
use crate::domain::plan::CostParts;
use crate::domain::resources::{CPU, MEMORY};
use crate::format::{UNKNOWN, change, count, money, percent, printable};

/// The comparison as text, at most about `width` characters wide.
#[must_use]
pub fn comparison(comparison: &Comparison, width: usize, style: Style) -> String {
    let width = width.clamp(40, 400);
    let mut out: Vec<String> = Vec::new();
    for caution in &comparison.cautions {
        out.extend(wrapped(&printable(caution), width).iter().map(|line| style.alarm(line)));
    }
    out.extend(costs(comparison));
    section(&mut out, "RULES THAT BIND (what one unit more would save an hour)", rules(comparison), style);
    section(&mut out, "WORKLOADS", workloads(comparison), style);
    section(&mut out, "NODES WHEN DONE", nodes(comparison), style);
    let broken = [("first", &comparison.violations.first), ("second", &comparison.violations.second)];
    for (which, violations) in broken {
        let title = format!("BROKEN IN THE {} PLAN ONLY", which.to_uppercase());
        section(&mut out, &title, violations.iter().map(|v| format!("  {}", printable(v))).collect(), style);
    }
    out.push(String::new());
    out.push(format!("Pods that both plans place, on another node: {}.", count(comparison.placed_elsewhere)));
    let mut text = style.spell(&out.join("\n"));
    text.push('\n');
    text
}

fn section(out: &mut Vec<String>, title: &str, lines: Vec<String>, style: Style) {
    if !lines.is_empty() {
        out.push(String::new());
        out.push(style.bold(title));
        out.extend(lines);
    }
}

/// A row of the table: its name, both values, and by how much the second is off the first.
type Row = (&'static str, String, String, String);

fn costs(comparison: &Comparison) -> Vec<String> {
    let Comparison { cost, bound_per_hour, gap, feasible, unplaced_pods, moves, preempted_pods, .. } = comparison;
    let amount = |name, part: &dyn Fn(&CostParts) -> f64| priced(name, part(&cost.first), part(&cost.second));
    let pods = |name, pair: &Pair<usize>| (name, count(pair.first), count(pair.second), String::new());
    let yes = |yes: bool| if yes { "yes" } else { "NO" }.to_owned();
    let rows = [
        amount("nodes", &|c| c.nodes),
        amount("risk of breaking objectives", &|c| c.risk),
        amount("moves and node changes", &|c| c.change),
        amount("pods without a node", &|c| c.unplaced),
        amount("unmet preferences", &|c| c.preferences),
        amount("in all", &CostParts::total),
        priced("no plan below", bound_per_hour.first, bound_per_hour.second),
        ("gap", percent(gap.first), percent(gap.second), String::new()),
        ("every rule holds", yes(feasible.first), yes(feasible.second), String::new()),
        pods("pods without a node", unplaced_pods),
        pods("pods that move", moves),
        pods("pods stopped for others", preempted_pods),
    ];
    table(["COST AN HOUR", "FIRST", "SECOND", "CHANGE"], &rows.map(|(name, a, b, c)| [name.to_owned(), a, b, c]))
}

fn priced(name: &'static str, first: f64, second: f64) -> Row {
    let difference =
        if (second - first).abs() < 5e-7 { String::new() } else { change(first, second).unwrap_or_default() };
    (name, money(first), money(second), difference)
}

fn rules(comparison: &Comparison) -> Vec<String> {
    let saves = |value: Option<f64>| value.map_or_else(|| "does not bind".to_owned(), money);
    let rows: Vec<[String; 4]> = comparison
        .rules
        .iter()
        .map(|rule| {
            let Pair { first, second } = rule.saves_per_hour;
            [printable(&rule.rule), saves(first), saves(second), printable(&rule.unit)]
        })
        .collect();
    table(["RULE", "FIRST", "SECOND", "UNIT"], &rows)
}

fn workloads(comparison: &Comparison) -> Vec<String> {
    let rows: Vec<[String; 4]> = comparison
        .workloads
        .iter()
        .map(|workload| {
            let side =
                |replicas: Option<u32>, requests: &Option<crate::document::Quantities>| match (replicas, requests) {
                    (Some(replicas), Some(requests)) => {
                        format!(
                            "{replicas} × {} {}",
                            printable(requests.written(CPU)),
                            printable(requests.written(MEMORY))
                        )
                    }
                    _ => "unknown to it".to_owned(),
                };
            let risk = |risk: Option<f64>| risk.map_or_else(|| UNKNOWN.to_owned(), percent);
            [
                printable(&format!("{}/{}/{}", workload.namespace, workload.kind, workload.name)),
                side(workload.replicas.first, &workload.requests.first),
                side(workload.replicas.second, &workload.requests.second),
                format!("{}, {}", risk(workload.risk.first), risk(workload.risk.second)),
            ]
        })
        .collect();
    table(["WORKLOAD", "FIRST", "SECOND", "RISK"], &rows)
}

fn nodes(comparison: &Comparison) -> Vec<String> {
    let rows: Vec<[String; 4]> = comparison
        .nodes
        .iter()
        .map(|node| {
            let zone = if node.zone.is_empty() { String::new() } else { format!(" in {}", printable(&node.zone)) };
            let side = |nodes: usize, price: f64| format!("{} ({})", count(nodes), money(price));
            [
                format!("{}{zone}, {}", printable(&node.offer), node.capacity_type),
                side(node.count.first, node.price_per_hour.first),
                side(node.count.second, node.price_per_hour.second),
                change(node.price_per_hour.first, node.price_per_hour.second).unwrap_or_default(),
            ]
        })
        .collect();
    table(["OFFER", "FIRST", "SECOND", "CHANGE"], &rows)
}

/// The lines of a table; none where it has no rows.
fn table(headings: [&'static str; 4], rows: &[[String; 4]]) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let columns: Vec<Column> = headings
        .into_iter()
        .enumerate()
        .map(|(i, heading)| {
            let align = if i == 1 || i == 2 { Align::Right } else { Align::Left };
            Column::new(heading, align, rows.iter().map(|row| row[i].clone()).collect())
        })
        .collect();
    lines(&columns).iter().map(|line| line.trim_end().to_owned()).collect()
}
