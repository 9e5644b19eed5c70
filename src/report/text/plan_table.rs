//! The table of a plan.

use std::collections::BTreeMap;

use super::Style;
use super::table::{Align, Column, length, lines, shortened, width, wrapped};
use crate::document::{InstantDocument, NodeDocument, PlanDocument, Quantities, WorkloadDocument, instant_ms};
use crate::domain::PriceSource;
use crate::domain::plan::{NodeState, Unplaced};
use crate::domain::resources::{CPU, MEMORY};
use crate::format::{change, count, counted, moment, money, percent, printable, readable_pair};
use crate::{order, outlook, prose};

/// Changed workloads shown where not everything is asked for.
const ROWS: usize = 40;
/// Workloads named of one instant.
const REPLICAS: usize = 6;
/// Narrowest column worth a sentence; below it sentences go on a line of their own.
const NARROWEST_WHY: usize = 40;

/// The plan as a headline, a table, a line on trust and what to do next, at most about `width` characters wide.
/// `wide` adds risk and target columns, unchanged workloads, nodes, waves, and every reason.
#[must_use]
pub fn plan_table(document: &PlanDocument, width: usize, style: Style, wide: bool) -> String {
    let width = width.clamp(40, 400);
    let mut out = headline(document, width, style);
    out.push(String::new());
    out.extend(workloads(document, width, style, wide));
    if wide {
        out.extend(section("NODES", nodes(document, style), style));
        out.extend(section("WAVES", waves(document, width), style));
        out.extend(section("SCHEDULE", schedule(document, style), style));
    }
    out.extend(purchases(document, width));
    out.extend(pending(document, width, style, wide));
    out.extend(preempted(document, width, style, wide));
    out.extend(unplaced(document, width, style, wide));
    out.push(String::new());
    out.extend(packing(document, width, style));
    out.extend(scenarios(document, width, wide));
    out.extend(trust(document, width));
    let mut text = style.spell(&out.join("\n"));
    text.push('\n');
    text
}

fn headline(document: &PlanDocument, width: usize, style: Style) -> Vec<String> {
    let certificate = &document.certificate;
    let (nodes_now, nodes_then) = (document.nodes_now().count(), document.nodes_then().count());
    let (cost_now, cost) = (certificate.cost_now.nodes, certificate.cost.nodes);
    let mut parts = vec![
        format!("{} → {} nodes", count(nodes_now), count(nodes_then)),
        match change(cost_now, cost) {
            Some(change) => format!("{} → {} an hour ({change})", money(cost_now), money(cost)),
            None => format!("{} → {} an hour", money(cost_now), money(cost)),
        },
    ];
    if certificate.feasible {
        parts.push(match certificate.gap {
            gap if gap <= 1e-9 => "proven optimal".to_owned(),
            gap => format!("within {} of the best possible", percent(gap)),
        });
    }
    if let Some((risk, workload)) = order::worst_risk(document) {
        parts.push(format!("worst risk {} ({})", percent(risk), printable(&workload.name)));
    }
    let mut out: Vec<String> = joined(&parts, " · ", width).iter().map(|line| style.bold(line)).collect();
    if !certificate.feasible {
        out.push(style.alarm("NOT FEASIBLE: this plan breaks rules and must not be applied."));
        out.extend(certificate.violations.iter().take(10).map(|v| format!("  {}", printable(v))));
    }
    if certificate.prices == PriceSource::Estimated {
        out.push(style.dim("Prices are estimated; give --catalog for real ones."));
    }
    out
}

/// Parts set side by side while they fit, then on the next line.
fn joined(parts: &[String], separator: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if length(line) + length(separator) + length(part) <= width => {
                line.push_str(separator);
                line.push_str(part);
            }
            _ => lines.push(part.clone()),
        }
    }
    lines
}

fn workloads(document: &PlanDocument, total: usize, style: Style, wide: bool) -> Vec<String> {
    let ordered = order::by_importance(document);
    let shown: Vec<&WorkloadDocument> = if wide {
        ordered.clone()
    } else {
        ordered.iter().copied().filter(|w| w.is_changed() || w.moves > 0).take(ROWS).collect()
    };
    let rest = ordered.len() - shown.len();
    let mut out = Vec::new();
    if !shown.is_empty() {
        out.extend(workload_rows(&shown, total, style, wide));
    }
    if rest > 0 {
        let changed = ordered.iter().filter(|w| w.is_changed() || w.moves > 0).count() - shown.len();
        let what = match changed {
            0 if shown.is_empty() => format!("{} stay as they are", counted(rest, "workload")),
            0 => format!("{} more stay as they are", counted(rest, "workload")),
            n => format!("{} more change, {} stay as they are", counted(n, "workload"), count(rest - n)),
        };
        out.push(style.dim(&format!("{what} (-o wide shows them).")));
    }
    out
}

fn workload_rows(shown: &[&WorkloadDocument], total: usize, style: Style, wide: bool) -> Vec<String> {
    let column = |heading, align, cell: &dyn Fn(&WorkloadDocument) -> String| {
        Column::new(heading, align, shown.iter().map(|w| cell(w)).collect())
    };
    let name_width = (total * 2 / 5).max(20);
    let mut columns = vec![
        column("WORKLOAD", Align::Left, &|w| shortened(&printable(&w.full_name()), name_width)),
        column("REPLICAS", Align::Left, &|w| arrow(&w.replicas_now.to_string(), &w.replicas.to_string())),
        column("CPU", Align::Left, &|w| amounts(&w.requests_now, &w.requests, CPU)),
        column("MEMORY", Align::Left, &|w| amounts(&w.requests_now, &w.requests, MEMORY)),
    ];
    if wide {
        columns.push(column("RISK", Align::Right, &|w| prose::risk(w.risk)));
        columns.push(column("MOVES", Align::Right, &|w| w.moves.to_string()));
        columns.push(column("TARGET", Align::Left, &|w| printable(w.target.as_deref().unwrap_or("–"))));
    }
    let left = width(&columns);
    let beside = total.checked_sub(left + 2).filter(|room| *room >= NARROWEST_WHY);
    let mut rows = lines(&columns).into_iter();
    let heading = rows.next().unwrap_or_default();
    let heading = if beside.is_some() { format!("{heading}  WHY") } else { heading.trim_end().to_owned() };
    let mut out = vec![style.bold(&heading)];
    for (row, workload) in rows.zip(shown) {
        let why = printable(&workload.why);
        if let Some(room) = beside {
            for (i, line) in wrapped(&why, room).into_iter().enumerate() {
                let before = if i == 0 { row.clone() } else { " ".repeat(left) };
                out.push(format!("{before}  {line}"));
            }
        } else {
            out.push(row.trim_end().to_owned());
            out.extend(wrapped(&why, total - 4).into_iter().map(|line| style.dim(&format!("    {line}"))));
        }
    }
    out
}

fn arrow(now: &str, then: &str) -> String {
    if now == then { now.to_owned() } else { format!("{now} → {then}") }
}

fn amounts(now: &Quantities, then: &Quantities, resource: &str) -> String {
    let (now, then) = readable_pair(resource, now.amount(resource), then.amount(resource));
    arrow(&now, &then)
}

fn section(title: &str, content: Vec<String>, style: Style) -> Vec<String> {
    if content.is_empty() {
        return content;
    }
    let mut out = vec![String::new(), style.bold(title)];
    out.extend(content);
    out
}

fn nodes(document: &PlanDocument, style: Style) -> Vec<String> {
    let mut shown: Vec<&NodeDocument> = document.nodes.iter().collect();
    // What changes first; names keep their order within a state.
    shown.sort_by_key(|node| match node.state {
        NodeState::Add => 0,
        NodeState::Remove => 1,
        NodeState::Keep => 2,
    });
    if shown.is_empty() {
        return Vec::new();
    }
    let column = |heading, align, cell: &dyn Fn(&NodeDocument) -> String| {
        Column::new(heading, align, shown.iter().map(|node| cell(node)).collect())
    };
    let share =
        |used: &Quantities, node: &NodeDocument, resource| percent_or_dash(used.share_of(&node.allocatable, resource));
    let now = |node: &NodeDocument, resource| match node.state {
        NodeState::Add => "–".to_owned(),
        NodeState::Keep | NodeState::Remove => share(&node.used_now, node, resource),
    };
    let then = |node: &NodeDocument, resource| match node.state {
        NodeState::Remove => "–".to_owned(),
        NodeState::Keep | NodeState::Add => share(&node.used, node, resource),
    };
    let mut columns = vec![
        column("NAME", Align::Left, &|n| shortened(&printable(&n.name), 40)),
        column("STATE", Align::Left, &|n| prose::node_state(n.state).to_owned()),
        column("OFFER", Align::Left, &|n| shortened(&printable(&n.offer), 24)),
        column("ZONE", Align::Left, &|n| shortened(&printable(&n.zone), 16)),
        column("PRICE", Align::Right, &|n| money(n.price_per_hour)),
        column("CPU", Align::Right, &|n| arrow(&now(n, CPU), &then(n, CPU))),
        column("MEMORY", Align::Right, &|n| arrow(&now(n, MEMORY), &then(n, MEMORY))),
    ];
    if document.packing.is_some() {
        let cell = |n: &NodeDocument| n.contention.as_ref().map_or_else(|| "–".to_owned(), |c| percent(c.probability));
        columns.push(column("CONTENTION", Align::Right, &cell));
    }
    let mut rows = lines(&columns);
    if let Some(heading) = rows.first_mut() {
        *heading = style.dim(heading);
    }
    rows
}

/// Capacity instant by instant.
fn schedule(document: &PlanDocument, style: Style) -> Vec<String> {
    let Some(schedule) = &document.schedule else { return Vec::new() };
    let column = |heading, align, cell: &dyn Fn(&InstantDocument) -> String| {
        Column::new(heading, align, schedule.instants.iter().map(cell).collect())
    };
    let columns = [
        column("FROM", Align::Left, &|i| moment(instant_ms(&i.start), document.made_at_ms())),
        column("NODES", Align::Right, &|i| count(i.nodes)),
        column("PRICE", Align::Right, &|i| money(i.nodes_per_hour)),
        column("BUY", Align::Left, &|i| outlook::node_changes(i, |change| change.bought)),
        column("GIVE BACK", Align::Left, &|i| outlook::node_changes(i, |change| change.given_back)),
        column("REPLICAS", Align::Left, &|i| outlook::replica_changes(i, REPLICAS)),
    ];
    let mut rows: Vec<String> = lines(&columns).into_iter().map(|line| line.trim_end().to_owned()).collect();
    if let Some(heading) = rows.first_mut() {
        *heading = style.dim(heading);
    }
    rows
}

fn percent_or_dash(share: f64) -> String {
    percent((share * 100.0).round() / 100.0)
}

fn waves(document: &PlanDocument, width: usize) -> Vec<String> {
    let mut out = Vec::new();
    for (i, wave) in document.steps.waves.iter().enumerate() {
        for (j, action) in wave.actions.iter().enumerate() {
            let number = if j == 0 { format!("{:>3}. ", i + 1) } else { "     ".to_owned() };
            for (k, line) in wrapped(&prose::action(action), width.saturating_sub(5)).into_iter().enumerate() {
                out.push(format!("{}{line}", if k == 0 { number.as_str() } else { "       " }));
            }
        }
    }
    for deferred in &document.steps.deferred {
        let sentence =
            format!("later: {}, held back by {}", prose::action(&deferred.action), printable(&deferred.rule));
        out.extend(wrapped(&sentence, width.saturating_sub(5)).into_iter().map(|line| format!("     {line}")));
    }
    out
}

/// What to buy, by offer, most nodes first.
fn purchases(document: &PlanDocument, width: usize) -> Vec<String> {
    let mut bought: BTreeMap<String, usize> = BTreeMap::new();
    for node in document.nodes.iter().filter(|n| n.state == NodeState::Add) {
        let zone = if node.zone.is_empty() { String::new() } else { format!(" in {}", printable(&node.zone)) };
        *bought.entry(format!("{}{zone}", printable(&node.offer))).or_default() += 1;
    }
    if bought.is_empty() {
        return Vec::new();
    }
    let mut bought: Vec<(String, usize)> = bought.into_iter().collect();
    bought.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let list: Vec<String> = bought.into_iter().map(|(offer, nodes)| format!("{} × {offer}", count(nodes))).collect();
    std::iter::once(String::new()).chain(wrapped(&format!("Buy {}.", list.join(", ")), width)).collect()
}

/// Pods without a node now, in kube-scheduler's words, apart from those that fit nowhere afterwards either.
fn pending(document: &PlanDocument, width: usize, style: Style, wide: bool) -> Vec<String> {
    let solved: Vec<&Unplaced> = document
        .pending
        .iter()
        .filter(|p| !document.unplaced.iter().any(|u| (&u.namespace, &u.workload) == (&p.namespace, &p.workload)))
        .collect();
    let pods: usize = solved.iter().map(|p| p.count as usize).sum();
    let verb = if pods == 1 { "waits" } else { "wait" };
    explained(
        &format!("{} {verb} for a node now and will have one:", counted(pods, "pod")),
        &solved,
        width,
        style,
        wide,
    )
}

/// Running pods that wait in the end because others came.
fn preempted(document: &PlanDocument, width: usize, style: Style, wide: bool) -> Vec<String> {
    let pods = &document.preempted;
    if pods.is_empty() {
        return Vec::new();
    }
    let verb = if pods.len() == 1 { "is" } else { "are" };
    let title = format!("{} {verb} stopped to make room for more important ones:", counted(pods.len(), "pod"));
    let mut out = vec![String::new(), style.alarm(&title)];
    let limit = if wide { usize::MAX } else { 5 };
    for pod in pods.iter().take(limit) {
        let lines = wrapped(&prose::preempted(pod), width - 4).into_iter().enumerate();
        out.extend(lines.map(|(i, line)| format!("{}{line}", if i == 0 { "  " } else { "    " })));
    }
    if pods.len() > limit {
        let rest = counted(pods.len() - limit, "pod");
        out.push(style.dim(&format!("  and {rest} more (-o wide shows them).")));
    }
    out
}

fn unplaced(document: &PlanDocument, width: usize, style: Style, wide: bool) -> Vec<String> {
    let pods = document.unplaced_pods();
    let verb = if pods == 1 { "fits" } else { "fit" };
    let title = style.alarm(&format!("{} {verb} nowhere:", counted(pods, "pod")));
    let mut out = explained(&title, &document.unplaced.iter().collect::<Vec<_>>(), width, style, wide);
    let sentences = document.conflict.iter().flat_map(prose::conflict);
    out.extend(sentences.flat_map(|sentence| wrapped(&sentence, width - 2)).map(|line| format!("  {line}")));
    out
}

/// Workloads with their reasons under a title; nothing where there is none.
fn explained(title: &str, workloads: &[&Unplaced], width: usize, style: Style, wide: bool) -> Vec<String> {
    if workloads.is_empty() {
        return Vec::new();
    }
    let mut out = vec![String::new(), title.to_owned()];
    let limit = if wide { usize::MAX } else { 5 };
    for unplaced in workloads.iter().take(limit) {
        let reasons: Vec<String> =
            unplaced.reasons.iter().take(if wide { usize::MAX } else { 1 }).map(|reason| printable(reason)).collect();
        let sentence = format!(
            "{}/{} ×{}: {}",
            printable(&unplaced.namespace),
            printable(&unplaced.workload),
            unplaced.count,
            reasons.join(" ")
        );
        for (i, line) in wrapped(&sentence, width - 4).into_iter().enumerate() {
            out.push(format!("{}{line}", if i == 0 { "  " } else { "    " }));
        }
    }
    if workloads.len() > limit {
        let rest = counted(workloads.len() - limit, "workload");
        out.push(style.dim(&format!("  and pods of {rest} more (-o wide shows them).")));
    }
    out
}

fn packing(document: &PlanDocument, width: usize, style: Style) -> Vec<String> {
    let lines = outlook::packing(document).map_or_else(Vec::new, |sentence| wrapped(&sentence, width));
    if outlook::is_beyond(document) { lines.iter().map(|line| style.alarm(line)).collect() } else { lines }
}

fn scenarios(document: &PlanDocument, width: usize, wide: bool) -> Vec<String> {
    let sentences = outlook::lead_time(document)
        .into_iter()
        .chain(outlook::schedule(document))
        .chain(outlook::scenarios(document, wide));
    sentences.flat_map(|sentence| wrapped(&sentence, width)).collect()
}

fn trust(document: &PlanDocument, width: usize) -> Vec<String> {
    let mut sentences: Vec<String> = order::forecast_trust(document).into_iter().collect();
    sentences.extend(document.kept.map(|kept| format!("Kept of the earlier plan: {}.", prose::kept(&kept))));
    sentences.push(format!("{}.", prose::way_there(document)));
    let example = order::by_importance(document).first().map(|w| printable(&w.full_name()));
    let next = example.map(|name| format!("Next: plimsoll explain PLAN.json {name}"));
    sentences.iter().flat_map(|sentence| wrapped(sentence, width)).chain(next).collect()
}
