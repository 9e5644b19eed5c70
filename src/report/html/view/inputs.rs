//! Inputs and settings, enough to run it again.

use serde::Serialize;

use crate::domain::policy::{Mode, Objective, PackBy, Planning, Target};
use crate::domain::snapshot::Amount;
use crate::domain::{PriceSource, Resources, Run};
use crate::format::{counted, date_time, duration, money, percent, printable, quantile};
use crate::prose;

/// Targets listed.
const TARGETS: usize = 60;

/// The section.
#[derive(Serialize)]
pub(super) struct Inputs {
    version: String,
    command: String,
    made: String,
    files: Vec<String>,
    settings: Vec<Setting>,
    targets: Vec<TargetRow>,
}

#[derive(Serialize)]
struct Setting {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
struct TargetRow {
    name: String,
    objective: String,
    replicas: String,
    requests: String,
    risk: String,
}

impl Inputs {
    pub(super) fn of(run: &Run) -> Self {
        Self {
            version: printable(&run.provenance.version),
            command: printable(&run.provenance.command),
            made: date_time(run.provenance.generated_at_ms),
            files: run.provenance.inputs.iter().map(|input| printable(input)).collect(),
            settings: settings(run),
            targets: run.policy.targets.iter().take(TARGETS).map(target).collect(),
        }
    }
}

fn settings(run: &Run) -> Vec<Setting> {
    let policy = &run.policy;
    let (planning, limits, costs) = (&policy.planning, &policy.disruption, &policy.costs);
    let prices = match run.catalog.prices {
        PriceSource::Listed => "listed prices",
        PriceSource::Estimated => "estimated prices",
    };
    let allowed = |allowed: bool| if allowed { "allowed" } else { "not allowed" };
    let setting = |name, value| Setting { name, value };
    let mut settings = vec![
        setting("Policy", format!("{} ({})", printable(&policy.name), printable(&policy.source))),
        setting("Mode", mode(policy.mode).to_owned()),
        setting(
            "Catalog",
            format!("{}: {}, {prices}", printable(&run.catalog.name), counted(run.catalog.offers.len(), "offer")),
        ),
        setting("Forecast horizon", duration(f64::from(planning.horizon_s))),
        setting("Lead time (window of the peak)", window(run)),
        setting("Nodes are filled by", pack_by(planning)),
        setting("Step of the time axis", duration(planning.step_ms as f64 / 1000.0)),
        setting("Room above the memory peak", percent(planning.memory_margin)),
        setting("Pods moved at most", amount(limits.max_moves)),
        setting("Nodes drained at most", amount(limits.max_drains)),
        setting("Waves at most", limits.max_waves.to_string()),
        setting(
            "Buying and removing nodes",
            format!("{}, {}", allowed(limits.add_nodes), allowed(limits.remove_nodes)),
        ),
        setting("A broken objective costs, a replica and hour", money(costs.breach_per_replica_hour)),
        setting("A pod without a node costs, an hour", money(costs.unplaced_per_hour)),
        setting("An unmet preference costs, an hour", money(costs.preference_per_hour)),
        setting("A move costs, a core", money(costs.move_per_core)),
        setting("A node change costs", money(costs.node_change)),
        setting("One-time prices are spread over", duration(costs.amortise_hours * 3600.0)),
    ];
    settings.extend(run.kept.map(|kept| setting("Kept of the earlier plan", prose::kept(&kept))));
    settings
}

/// What is planned for, and what the policy states where that was too short.
fn window(run: &Run) -> String {
    let holds = duration(f64::from(run.policy.planning.holds_s()));
    let lead = &run.outlook.lead_time;
    if lead.is_raised() {
        format!("{holds}; the policy states {}", duration(f64::from(lead.stated_seconds)))
    } else {
        holds
    }
}

fn pack_by(planning: &Planning) -> String {
    match planning.pack_by {
        PackBy::Requests => "what pods request".to_owned(),
        PackBy::Usage => format!(
            "what pods use in each of {} stretches, contention of {} at most",
            planning.usage_buckets,
            percent(planning.max_contention)
        ),
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Paused => "paused",
        Mode::Report => "report",
        Mode::Recommend => "recommend",
        Mode::Scale => "scale",
        Mode::Schedule => "schedule",
    }
}

fn amount(amount: Amount) -> String {
    match amount {
        Amount::Count(n) => n.to_string(),
        Amount::Percent(p) => format!("{p} %"),
    }
}

fn target(target: &Target) -> TargetRow {
    let objective = match target.objective {
        Objective::Utilisation { share } => format!("at most {} of the requested in use at the peak", percent(share)),
        Objective::Latency { quantile: level, target_s } => {
            format!("{} latency below {}", quantile(level), duration(target_s))
        }
        Objective::Demand { quantile: level } => format!("requests cover the {} peak", quantile(level)),
    };
    let changes = match (target.scale_replicas, target.resize_requests) {
        (true, _) => format!("{} to {}", target.min_replicas, target.max_replicas),
        (false, _) => "kept".to_owned(),
    };
    TargetRow {
        name: printable(&target.name),
        objective,
        replicas: changes,
        requests: if target.resize_requests {
            bounds(&target.min_requests, &target.max_requests)
        } else {
            "kept".to_owned()
        },
        risk: percent(target.max_risk),
    }
}

fn bounds(least: &Resources, most: &Resources) -> String {
    let written = |resources: &Resources| {
        let amounts = resources
            .iter()
            .map(|(name, amount)| format!("{} {}", printable(name), crate::format::readable_amount(name, amount)));
        amounts.collect::<Vec<_>>().join(", ")
    };
    match (least.0.is_empty(), most.0.is_empty()) {
        (true, true) => "free".to_owned(),
        (false, true) => format!("from {}", written(least)),
        (true, false) => format!("up to {}", written(most)),
        (false, false) => format!("from {} up to {}", written(least), written(most)),
    }
}
