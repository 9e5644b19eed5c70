//! Nodes now and proposed, and the waves between them.

use serde::Serialize;

use crate::columns::align_points;
use crate::document::{
    ActionDocument, InstantDocument, NodeDocument, PlanDocument, Quantities, ScenarioDocument, instant_ms,
};
use crate::domain::plan::NodeState;
use crate::domain::resources::{CPU, MEMORY};
use crate::format::{bytes, cores, count, counted, duration, moment, money, percent, printable};
use crate::html::chart::strip::{Column, Part, bar, columns};
use crate::{outlook, prose};

/// Columns drawn before nodes of one shape are drawn together.
const COLUMNS: usize = 100;
/// Rows of the node table before nodes of one shape share a row.
const ROWS: usize = 100;
/// Workloads named of one instant.
const REPLICAS: usize = 12;
/// Actions listed of one wave.
const ACTIONS: usize = 60;

/// The node section.
#[derive(Serialize)]
pub(super) struct Nodes {
    finding: String,
    strips: Vec<Strip>,
    scale: String,
    together: Option<String>,
    rows: Vec<Row>,
    packing: Option<String>,
    lead_time: Option<String>,
    schedule_finding: Option<String>,
    schedule: Vec<InstantRow>,
    losses_finding: String,
    losses: Vec<LossRow>,
    waves_finding: String,
    waves: Vec<WaveView>,
}

#[derive(Serialize)]
struct Strip {
    name: String,
    finding: String,
    chart: String,
}

#[derive(Serialize)]
struct Row {
    name: String,
    state: &'static str,
    offer: String,
    zone: String,
    capacity_type: String,
    price: String,
    cpu: Fill,
    memory: Fill,
    /// How likely pods contend for CPU; `None` where packed by requests.
    contention: Option<String>,
}

/// One instant of the schedule.
#[derive(Serialize)]
struct InstantRow {
    from: String,
    nodes: String,
    price: String,
    bought: String,
    given_back: String,
    replicas: String,
}

/// Nodes that are lost together.
#[derive(Serialize)]
struct LossRow {
    what: String,
    nodes: String,
    pods: String,
    waiting: String,
    short: String,
    cost: String,
}

/// How full a node is, now and then.
#[derive(Serialize)]
struct Fill {
    now: String,
    proposed: String,
    chart: String,
}

#[derive(Serialize)]
struct WaveView {
    title: String,
    actions: Vec<String>,
    more: Option<String>,
}

impl Nodes {
    pub(super) fn of(document: &PlanDocument) -> Self {
        let together = document.nodes.len() > COLUMNS;
        Self {
            finding: finding(document),
            strips: strips(document),
            scale: "Each column is a node, as wide as its price; what stays empty is paid for and not asked for."
                .to_owned(),
            together: together.then(|| {
                format!(
                    "{} are drawn and listed by shape: one column stands for several.",
                    counted(document.nodes.len(), "node")
                )
            }),
            rows: aligned(rows(document)),
            packing: outlook::packing(document),
            lead_time: outlook::lead_time(document),
            schedule_finding: outlook::schedule(document),
            schedule: document.schedule.iter().flat_map(|s| &s.instants).map(|i| instant(i, document)).collect(),
            losses_finding: losses_finding(document),
            losses: document.scenarios.iter().take(ROWS).map(loss).collect(),
            waves_finding: prose::way_there(document),
            waves: waves(document),
        }
    }
}

fn instant(instant: &InstantDocument, document: &PlanDocument) -> InstantRow {
    InstantRow {
        from: moment(instant_ms(&instant.start), document.made_at_ms()),
        nodes: count(instant.nodes),
        price: money(instant.nodes_per_hour),
        bought: outlook::node_changes(instant, |change| change.bought),
        given_back: outlook::node_changes(instant, |change| change.given_back),
        replicas: outlook::replica_changes(instant, REPLICAS),
    }
}

fn losses_finding(document: &PlanDocument) -> String {
    let harmful = document.scenarios.iter().filter(|s| s.waiting > 0 || !s.short.is_empty()).count();
    match (document.scenarios.len(), harmful) {
        (_, 0) => "every pod finds room again".to_owned(),
        (1, 1) => "pods are left without room, or workloads short".to_owned(),
        (all, harmful) => format!("{harmful} of {all} leave pods without room, or workloads short"),
    }
}

fn loss(scenario: &ScenarioDocument) -> LossRow {
    let zone = printable(&scenario.zone);
    let short: Vec<String> = scenario.short.iter().map(|s| format!("{}: {} of {}", s.name, s.left, s.needed)).collect();
    LossRow {
        what: match &scenario.offer {
            None => format!("zone {zone}"),
            Some(offer) => format!("spot nodes of {} in {zone}", printable(offer)),
        },
        nodes: count(scenario.nodes),
        pods: count(scenario.pods),
        waiting: count(scenario.waiting),
        short: if short.is_empty() { "–".to_owned() } else { printable(&short.join(", ")) },
        cost: scenario.cost_per_hour.map_or_else(|| "–".to_owned(), money),
    }
}

fn stands(node: &NodeDocument, proposed: bool) -> bool {
    node.state != if proposed { NodeState::Remove } else { NodeState::Add }
}

fn used(node: &NodeDocument, proposed: bool) -> &Quantities {
    if proposed { &node.used } else { &node.used_now }
}

/// What is asked for and what could be, over all nodes.
fn totals(document: &PlanDocument, resource: &str, proposed: bool) -> (f64, f64) {
    document.nodes.iter().filter(|node| stands(node, proposed)).fold((0.0, 0.0), |(asked, all), node| {
        (asked + used(node, proposed).amount(resource) as f64, all + node.allocatable.amount(resource) as f64)
    })
}

fn share((asked, all): (f64, f64)) -> f64 {
    if all > 0.0 { asked / all } else { 0.0 }
}

fn finding(document: &PlanDocument) -> String {
    if document.nodes.is_empty() {
        return "There are no nodes".to_owned();
    }
    let now = share(totals(document, CPU, false));
    let then = share(totals(document, CPU, true));
    if document.nodes_now().next().is_none() {
        return format!("{} of the CPU of the nodes to buy is asked for", whole_percent(then));
    }
    let verb = if then >= now { "rises" } else { "falls" };
    if (then - now).abs() < 0.005 {
        return format!("{} of the CPU that is paid for is asked for, now and then", whole_percent(then));
    }
    format!("The share of CPU that is asked for {verb} from {} to {}", whole_percent(now), whole_percent(then))
}

fn whole_percent(share: f64) -> String {
    percent((share * 100.0).round() / 100.0)
}

fn strips(document: &PlanDocument) -> Vec<Strip> {
    if document.nodes.is_empty() {
        return Vec::new();
    }
    let price = |proposed: bool| -> f64 {
        document.nodes.iter().filter(|node| stands(node, proposed)).map(|node| width(node, document)).sum()
    };
    let full = price(false).max(price(true)).max(1e-12);
    let mut strips = Vec::new();
    for (resource, name) in [(CPU, "CPU"), (MEMORY, "Memory")] {
        for proposed in [false, true] {
            let total = totals(document, resource, proposed);
            let when = if proposed { "proposed" } else { "now" };
            let amount = |v: f64| if resource == CPU { cores(v / 1000.0) } else { bytes(v) };
            let finding = format!("{} of {} ({})", amount(total.0), amount(total.1), whole_percent(share(total)));
            let saved = price(false) - price(true);
            let note =
                (proposed && saved > 0.0 && has_prices(document)).then(|| format!("{} an hour less", money(saved)));
            let drawn = strip_columns(document, resource, proposed, full);
            let description = format!("Nodes {when}, {name} asked for: {finding}.");
            strips.push(Strip {
                name: format!("{name} {when}"),
                chart: columns(&drawn, note.as_deref(), 44, &description),
                finding,
            });
        }
    }
    strips
}

fn has_prices(document: &PlanDocument) -> bool {
    document.nodes.iter().any(|node| node.price_per_hour > 0.0)
}

/// A node's price; the same for all where nothing has a price.
fn width(node: &NodeDocument, document: &PlanDocument) -> f64 {
    if has_prices(document) { node.price_per_hour.max(0.0) } else { 1.0 }
}

fn strip_columns(document: &PlanDocument, resource: &str, proposed: bool, full: f64) -> Vec<Column> {
    let class = |state: NodeState| match (proposed, state) {
        (false, NodeState::Remove) => "leaving",
        (false, _) => "now",
        (true, NodeState::Add) => "added",
        (true, _) => "proposed",
    };
    let fill = |node: &NodeDocument| used(node, proposed).share_of(&node.allocatable, resource);
    let mut standing: Vec<&NodeDocument> = document.nodes.iter().filter(|node| stands(node, proposed)).collect();
    // Those that stay stand first and in the same order in every strip, so that columns can be compared.
    standing.sort_by_key(|node| node.state != NodeState::Keep);
    if standing.len() <= COLUMNS {
        let single = standing.into_iter().map(|node| Column {
            width: width(node, document) / full,
            filled: fill(node),
            class: class(node.state),
            title: format!("{}: {} of {}", node.name, whole_percent(fill(node)), resource),
        });
        return single.collect();
    }
    standing.sort_by(|a, b| {
        let shape = |n: &&NodeDocument| (n.state != NodeState::Keep, n.offer.clone(), n.capacity_type);
        shape(a).cmp(&shape(b)).then_with(|| fill(b).total_cmp(&fill(a)))
    });
    let size = standing.len().div_ceil(COLUMNS);
    standing
        .chunk_by(|a, b| (a.state, &a.offer, a.capacity_type) == (b.state, &b.offer, b.capacity_type))
        .flat_map(|shape| shape.chunks(size))
        .filter_map(|chunk| {
            let first = chunk.first()?;
            let mean = chunk.iter().map(|node| fill(node)).sum::<f64>() / chunk.len() as f64;
            Some(Column {
                width: chunk.iter().map(|node| width(node, document)).sum::<f64>() / full,
                filled: mean,
                class: class(first.state),
                title: format!("{} × {}: {} of {resource}", count(chunk.len()), first.offer, whole_percent(mean)),
            })
        })
        .collect()
}

fn rows(document: &PlanDocument) -> Vec<Row> {
    let mut nodes: Vec<&NodeDocument> = document.nodes.iter().collect();
    nodes.sort_by_key(|node| node.state == NodeState::Keep);
    if nodes.len() <= ROWS {
        return nodes.into_iter().map(|node| row(&[node], &node.name)).collect();
    }
    let shape =
        |n: &NodeDocument| (n.state == NodeState::Keep, n.state, n.offer.clone(), n.zone.clone(), n.capacity_type);
    nodes.sort_by_key(|node| shape(node));
    let groups = nodes.chunk_by(|a, b| shape(a) == shape(b));
    groups.take(ROWS).map(|group| row(group, &counted(group.len(), "node"))).collect()
}

fn aligned(mut rows: Vec<Row>) -> Vec<Row> {
    align_points(rows.iter_mut().map(|row| &mut row.price));
    rows
}

fn row(group: &[&NodeDocument], name: &str) -> Row {
    let state = group.first().map_or(NodeState::Keep, |n| n.state);
    let text = |field: fn(&NodeDocument) -> &str| group.first().map_or_else(String::new, |n| printable(field(n)));
    Row {
        name: printable(name),
        state: prose::node_state(state),
        offer: text(|n| &n.offer),
        zone: text(|n| &n.zone),
        capacity_type: group.first().map_or_else(String::new, |n| n.capacity_type.to_string()),
        price: money(group.iter().map(|n| n.price_per_hour).sum()),
        cpu: fill(group, CPU, state),
        memory: fill(group, MEMORY, state),
        contention: group
            .iter()
            .filter_map(|n| n.contention.as_ref().map(|c| c.probability))
            .max_by(f64::total_cmp)
            .map(percent),
    }
}

fn fill(group: &[&NodeDocument], resource: &str, state: NodeState) -> Fill {
    let sum = |pick: fn(&NodeDocument) -> &Quantities| -> f64 {
        group.iter().map(|node| pick(node).amount(resource) as f64).sum()
    };
    let all = sum(|n| &n.allocatable);
    let now = share((sum(|n| &n.used_now), all));
    let then = share((sum(|n| &n.used), all));
    let text = |applies: bool, share: f64| if applies { whole_percent(share) } else { "–".to_owned() };
    let (now_text, then_text) = (text(state != NodeState::Add, now), text(state != NodeState::Remove, then));
    let shown = if state == NodeState::Remove { now } else { then };
    let class = match state {
        NodeState::Keep => "proposed",
        NodeState::Add => "added",
        NodeState::Remove => "leaving",
    };
    let part = Part { share: shown, class, title: format!("{now_text} now, {then_text} proposed") };
    let chart = bar(&[part], 10, &format!("{resource}: {now_text} now, {then_text} proposed"));
    Fill { now: now_text, proposed: then_text, chart }
}

fn waves(document: &PlanDocument) -> Vec<WaveView> {
    let waves = document.steps.waves.iter().enumerate();
    waves
        .map(|(i, wave)| {
            let more = wave.actions.len().saturating_sub(ACTIONS);
            WaveView {
                title: format!("Wave {}: {}", i + 1, wave_summary(&wave.actions, wave.at_least_seconds)),
                actions: wave.actions.iter().take(ACTIONS).map(prose::action).collect(),
                more: (more > 0).then(|| format!("and {} more, all of them in the JSON", counted(more, "action"))),
            }
        })
        .collect()
}

fn wave_summary(actions: &[ActionDocument], at_least_seconds: f64) -> String {
    let tell = |noun: &str, matching: fn(&ActionDocument) -> bool| {
        let number = actions.iter().filter(|action| matching(action)).count();
        (number > 0).then(|| counted(number, noun))
    };
    let mut parts: Vec<String> = [
        tell("node to add", |a| matches!(a, ActionDocument::AddNode { .. }))
            .map(|t| t.replace("node to adds", "nodes to add")),
        tell("scaling", |a| matches!(a, ActionDocument::Scale { .. })),
        tell("resizing", |a| matches!(a, ActionDocument::Resize { .. })),
        tell("placement", |a| matches!(a, ActionDocument::Bind { .. })),
        tell("move", |a| matches!(a, ActionDocument::Move { .. })),
        tell("preemption", |a| matches!(a, ActionDocument::Preempt { .. })),
        tell("cordon", |a| matches!(a, ActionDocument::Cordon { .. })),
        tell("removal", |a| matches!(a, ActionDocument::RemoveNode { .. })),
    ]
    .into_iter()
    .flatten()
    .collect();
    if at_least_seconds > 0.0 {
        parts.push(format!("takes {} at least", duration(at_least_seconds)));
    }
    parts.join(", ")
}
