//! What is said of a plan beyond its instant, in sentences.

use crate::document::{
    ContentionDocument, InstantDocument, LossKind, NodeChangeDocument, PlanDocument, ScenarioDocument,
    ShortfallDocument, WorkloadDocument, instant_ms,
};
use crate::format::{clock, count, counted, day, duration, moment, money, percent, printable};

/// Workloads named in one sentence.
const NAMED: usize = 3;
/// Scenarios told where not everything is asked for.
const TOLD: usize = 4;

/// How likely pods contend for CPU where nodes are filled by use; `None` for plans packed by requests.
pub(crate) fn packing(document: &PlanDocument) -> Option<String> {
    let packing = document.packing.as_ref()?;
    let worst = packing.worst.as_ref()?;
    let beyond = if is_beyond(document) { ", MORE THAN THE LIMIT" } else { ", limit" };
    Some(format!(
        "Nodes are filled by what pods use, stretch by stretch. That those of one node want more CPU than it has is \
         {} likely at most ({}, {}{beyond} {}), as if all demands rose together.",
        percent(worst.contention.probability),
        printable(&worst.node),
        when(&worst.contention, document.made_at_ms()),
        percent(packing.limit),
    ))
}

/// Whether a node contends more than the policy allows: one that did before and only loses pods may.
pub(crate) fn is_beyond(document: &PlanDocument) -> bool {
    let limit = document.packing.as_ref().map_or(1.0, |packing| packing.limit);
    // Shares are rounded to six decimals.
    document.nodes.iter().any(|node| node.contention.as_ref().is_some_and(|c| c.probability > limit + 1e-6))
}

/// The stretch in which a node's pods most likely contend: `14:00–15:00 UTC`.
pub(crate) fn when(contention: &ContentionDocument, reference_ms: i64) -> String {
    let (start_ms, end_ms) = contention.span_ms();
    let end = moment(end_ms, start_ms);
    if day(start_ms) == day(reference_ms) {
        format!("{}–{end}", clock(start_ms))
    } else {
        format!("{} {}–{end}", day(start_ms), clock(start_ms))
    }
}

/// Why the lead time is longer than the policy's; `None` where it is not.
pub(crate) fn lead_time(document: &PlanDocument) -> Option<String> {
    let lead = &document.lead_time;
    let offer = lead.offer.as_ref().filter(|_| lead.is_raised())?;
    let seconds = |seconds: u32| duration(f64::from(seconds));
    let needed = lead.decision_seconds.saturating_add(lead.boot_seconds).saturating_add(lead.image_pull_seconds);
    let sum = format!(
        "the next decision comes in {}, a node of offer {} boots in {}, images are pulled in {}",
        seconds(lead.decision_seconds),
        printable(offer),
        seconds(lead.boot_seconds),
        seconds(lead.image_pull_seconds),
    );
    Some(if needed > lead.seconds {
        format!(
            "Planned for the whole horizon of {} instead of the lead time of {}, and even that is too short: {sum}.",
            seconds(lead.seconds),
            seconds(lead.stated_seconds)
        )
    } else {
        format!(
            "Planned for {} instead of the lead time of {}: {sum}.",
            seconds(lead.seconds),
            seconds(lead.stated_seconds)
        )
    })
}

/// What is left when nodes are lost together: the worst, or all with `wide`.
pub(crate) fn scenarios(document: &PlanDocument, wide: bool) -> Vec<String> {
    let mut worst: Vec<&ScenarioDocument> = document.scenarios.iter().collect();
    if wide {
        return worst.into_iter().map(scenario).collect();
    }
    worst.retain(|s| s.waiting > 0 || !s.short.is_empty());
    worst.sort_by_key(|s| std::cmp::Reverse((s.short.len(), s.waiting)));
    if worst.is_empty() {
        let fine = "Every pod finds room again if any one zone is lost, or the spot nodes of any one offer in a zone."
            .to_owned();
        return (!document.scenarios.is_empty()).then_some(fine).into_iter().collect();
    }
    let more = worst.len().saturating_sub(TOLD);
    let rest = (more > 0).then(|| format!("{} more leave pods without room.", count(more)));
    worst.into_iter().take(TOLD).map(scenario).chain(rest).collect()
}

/// One scenario in a sentence.
pub(crate) fn scenario(scenario: &ScenarioDocument) -> String {
    let zone = if scenario.zone.is_empty() { String::new() } else { format!(" in {}", printable(&scenario.zone)) };
    let what = match (&scenario.kind, &scenario.offer) {
        (LossKind::ZoneLoss, _) | (LossKind::SpotLoss, None) => format!("zone {} is", printable(&scenario.zone)),
        (LossKind::SpotLoss, Some(offer)) => format!("spot nodes of {}{zone} are", printable(offer)),
    };
    let gone = format!(
        "If {what} lost ({}): {}",
        counted(scenario.nodes, "node"),
        if scenario.pods == 0 { "no pod goes".to_owned() } else { gone(scenario) }
    );
    let mut short: Vec<String> = scenario.short.iter().take(NAMED).map(shortfall).collect();
    let more = scenario.short.len().saturating_sub(NAMED);
    if more > 0 {
        short.push(format!("{} more fall short", counted(more, "workload")));
    }
    let price = scenario.cost_per_hour.filter(|price| *price > 0.0);
    let price = price.map_or_else(String::new, |price| format!(" Reckoned at {} an hour.", money(price)));
    if short.is_empty() { format!("{gone}.{price}") } else { format!("{gone}; {}.{price}", short.join(", ")) }
}

fn gone(scenario: &ScenarioDocument) -> String {
    match scenario.waiting {
        0 if scenario.pods == 1 => "1 pod finds room again".to_owned(),
        0 => format!("{} find room again", counted(scenario.pods, "pod")),
        1 => format!("1 of {} waits", counted(scenario.pods, "pod")),
        waiting => format!("{} of {} wait", count(waiting), counted(scenario.pods, "pod")),
    }
}

fn shortfall(short: &ShortfallDocument) -> String {
    let name = printable(&short.name);
    match short.minimum.filter(|minimum| short.left_at_once < *minimum) {
        Some(minimum) => format!("{name} has {} of the {minimum} that must be left", short.left_at_once),
        None => format!("{name} falls to {} of {} needed", short.left, counted(short.needed as usize, "replica")),
    }
}

/// The scenarios in which a workload falls short.
pub(crate) fn scenarios_of(document: &PlanDocument, workload: &WorkloadDocument) -> Vec<String> {
    let of = |scenario: &ScenarioDocument| {
        let same = |s: &&ShortfallDocument| {
            (&s.namespace, &s.kind, &s.name) == (&workload.namespace, &workload.kind, &workload.name)
        };
        let short = scenario.short.iter().find(same)?;
        let zone = printable(&scenario.zone);
        let what = match &scenario.offer {
            None => format!("zone {zone}"),
            Some(offer) => format!("spot nodes of {} in {zone}", printable(offer)),
        };
        Some(format!(
            "{what}: {} left at once, {} once pods have come again, {} needed",
            short.left_at_once, short.left, short.needed
        ))
    };
    document.scenarios.iter().filter_map(of).collect()
}

/// Capacity over the horizon in a sentence; `None` where one instant is planned.
pub(crate) fn schedule(document: &PlanDocument) -> Option<String> {
    let schedule = document.schedule.as_ref()?;
    let (first, last) = (schedule.instants.first()?, schedule.instants.last()?);
    let hours = (instant_ms(&last.end) - instant_ms(&first.start)) as f64 / 1000.0;
    let nodes = || schedule.instants.iter().map(|instant| instant.nodes);
    let (fewest, most) = (nodes().min()?, nodes().max()?);
    let nodes =
        if fewest == most { counted(most, "node") } else { format!("{} to {}", count(fewest), counted(most, "node")) };
    let broken = schedule.instants.iter().filter(|instant| !instant.feasible).count();
    let trust = match broken {
        0 => format!("within {} of the best possible", percent(schedule.gap)),
        n => format!("NOT FEASIBLE in {}", counted(n, "instant")),
    };
    let regretted = match schedule.regretted {
        0 => String::new(),
        n => format!("; {} given back and bought again too soon to pay", counted(n, "node")),
    };
    Some(format!(
        "Over the next {} in {}: {nodes}, {} in all, {trust}{regretted}.",
        duration(hours),
        counted(schedule.instants.len(), "instant"),
        money(schedule.cost)
    ))
}

/// Nodes bought or given back at an instant: `2 × m5.xlarge in r1a`.
pub(crate) fn node_changes(instant: &InstantDocument, of: fn(&NodeChangeDocument) -> usize) -> String {
    let told = instant.changes.iter().filter(|change| of(change) > 0).map(|change| {
        let zone = if change.zone.is_empty() { String::new() } else { format!(" in {}", printable(&change.zone)) };
        format!("{} × {}{zone}", count(of(change)), printable(&change.offer))
    });
    listed(&told.collect::<Vec<_>>())
}

/// Replicas that change at an instant: `checkout 4, search 2`.
pub(crate) fn replica_changes(instant: &InstantDocument, most: usize) -> String {
    let told = instant.replicas.iter().take(most).map(|r| format!("{} {}", printable(&r.name), r.replicas));
    let more = instant.replicas.len().saturating_sub(most);
    listed(&told.chain((more > 0).then(|| format!("{} more", count(more)))).collect::<Vec<_>>())
}

fn listed(told: &[String]) -> String {
    if told.is_empty() { "–".to_owned() } else { told.join(", ") }
}
