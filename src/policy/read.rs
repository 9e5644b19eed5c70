//! One document into one policy.

use std::collections::BTreeMap;

use super::target::read_targets;
use super::{defaults, events, metrics};
use crate::domain::policy::{Costs, DisruptionLimits, Mode, PackBy, Planning, Policy, Preemption};
use crate::domain::{InputError, Location};
use crate::ingest::Source;
use crate::ingest::document::{self, Limits};
use crate::ingest::fields::{Bounds, Fields, NOT_NEGATIVE, POSITIVE, Reading, object_name};

/// A policy is written by hand; a megabyte of it is something else.
const LIMITS: Limits = Limits { bytes: 1 << 20, nodes: 100_000 };

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Reads a policy document.
///
/// # Errors
/// The first problem in the document; [`parse_all`] has all of them.
pub fn parse(source: &Source) -> Result<Policy, InputError> {
    parse_all(source).map_err(|problems| {
        let none = || InputError::whole(&source.name, "is not a policy");
        problems.into_iter().next().unwrap_or_else(none)
    })
}

/// Reads a policy document, or says everything that is wrong with it, from top to bottom.
///
/// # Errors
/// Every problem, each with its line and column; only one if the text is not YAML at all. Never an empty list.
pub fn parse_all(source: &Source) -> Result<Policy, Vec<InputError>> {
    let root = document::read(source, LIMITS).map_err(|error| vec![error])?;
    let mut reading = Reading::new(&source.name);
    let policy = reading.mapping(&root, "", read_document).flatten();
    match policy {
        Some(policy) if reading.problems.is_empty() => {
            Ok(Policy { source: source.name.clone(), places: reading.places, ..policy })
        }
        _ => Err(from_top_to_bottom(reading.problems)),
    }
}

/// The problems in the order in which they stand in the document.
pub(super) fn from_top_to_bottom(mut problems: Vec<InputError>) -> Vec<InputError> {
    problems.sort_by_key(|problem| match problem.location {
        Location::LineColumn(line, column) => (line, column),
        _ => (0, 0),
    });
    problems
}

fn read_document(fields: &mut Fields<'_>) -> Option<Policy> {
    fields.require("apiVersion", "begin with apiVersion: plimsoll.dev/v1alpha1");
    fields.require("kind", "say kind: ScalingPolicy");
    fields.require("spec", "put targets and limits under spec");
    fields.choice("apiVersion", &[("plimsoll.dev/v1alpha1", ())]);
    fields.choice("kind", &[("ScalingPolicy", ())]);
    fields.require("metadata", "say metadata: {name: …}");
    let name = fields.mapping("metadata", object_name);
    let spec = fields.take("spec")?;
    // Fields of `spec` go by their own names in messages and places: `targets.web.minReplicas`.
    let policy = fields.reading().mapping(spec, "", read_spec)?;
    Some(Policy { name: name.flatten()?, ..policy })
}

fn read_spec(fields: &mut Fields<'_>) -> Policy {
    let mode = fields.choice("mode", &MODES).unwrap_or_default();
    fields.require("targets", "list at least one target");
    let targets = read_targets(fields);
    Policy {
        name: String::new(),
        source: String::new(),
        mode,
        targets,
        disruption: fields.mapping("disruption", read_disruption).unwrap_or_else(defaults::disruption),
        costs: fields.mapping("costs", read_costs).unwrap_or_else(defaults::costs),
        planning: fields.mapping("planning", read_planning).unwrap_or_default(),
        metrics: fields.mapping("metrics", metrics::mapping).unwrap_or_else(metrics::default_mapping),
        events: events::read_events(fields),
        places: BTreeMap::new(),
    }
}

const MODES: [(&str, Mode); 5] = [
    ("paused", Mode::Paused),
    ("report", Mode::Report),
    ("recommend", Mode::Recommend),
    ("scale", Mode::Scale),
    ("schedule", Mode::Schedule),
];

const PREEMPTION: [(&str, Preemption); 2] =
    [("never", Preemption::Never), ("lowerPriority", Preemption::LowerPriority)];

fn read_disruption(fields: &mut Fields<'_>) -> DisruptionLimits {
    let default = defaults::disruption();
    DisruptionLimits {
        max_moves: fields.amount("maxMoves").unwrap_or(default.max_moves),
        max_drains: fields.amount("maxDrains").unwrap_or(default.max_drains),
        max_waves: fields.whole("maxWaves", 1..=1000).unwrap_or(default.max_waves),
        remove_nodes: fields.boolean("removeNodes").unwrap_or(default.remove_nodes),
        add_nodes: fields.boolean("addNodes").unwrap_or(default.add_nodes),
        preemption: fields.choice("preemption", &PREEMPTION).unwrap_or(default.preemption),
    }
}

fn read_costs(fields: &mut Fields<'_>) -> Costs {
    let default = defaults::costs();
    let amortise_ms = fields
        .take_either("amortiseOver", "amortizeOver")
        .and_then(|node| fields.duration_ms_of("amortiseOver", node, MINUTE_MS..=365 * DAY_MS, "from 1m to 365d"));
    Costs {
        move_per_core: fields.number("movePerCore", NOT_NEGATIVE).unwrap_or(default.move_per_core),
        node_change: fields.number("nodeChange", NOT_NEGATIVE).unwrap_or(default.node_change),
        breach_per_replica_hour: fields
            .number("breachPerReplicaHour", NOT_NEGATIVE)
            .unwrap_or(default.breach_per_replica_hour),
        unplaced_per_hour: fields.number("unplacedPerHour", POSITIVE).unwrap_or(default.unplaced_per_hour),
        preference_per_hour: fields.number("preferencePerHour", NOT_NEGATIVE).unwrap_or(default.preference_per_hour),
        amortise_hours: amortise_ms.map_or(default.amortise_hours, |ms| ms as f64 / HOUR_MS as f64),
    }
}

/// Beyond a half, demands that rise together no longer bound what independent ones do.
const CONTENTION: Bounds = Bounds { words: "above 0 and at most 0.5", allow: |x| x > 0.0 && x <= 0.5 };
/// A quarter of an hour of a day each.
const MOST_BUCKETS: u32 = 96;

/// Every one is a plan of its own.
const MOST_INSTANTS: u32 = 48;

fn read_planning(fields: &mut Fields<'_>) -> Planning {
    let default = Planning::default();
    let seconds = |ms: i64| u32::try_from(ms / 1000).unwrap_or(u32::MAX);
    let step_ms = fields.duration_ms("step", 1000..=DAY_MS, "from 1s to 1d").unwrap_or(default.step_ms);
    let horizon_s = fields.duration_ms("horizon", MINUTE_MS..=90 * DAY_MS, "from 1m to 90d").map(seconds);
    let lead_time_s = fields.duration_ms("leadTime", 1000..=7 * DAY_MS, "from 1s to 7d").map(seconds);
    let (horizon_s, lead_time_s) = (horizon_s.unwrap_or(default.horizon_s), lead_time_s.unwrap_or(default.lead_time_s));
    if lead_time_s > horizon_s {
        fields.problem("leadTime", &format!("{lead_time_s} s reaches beyond the horizon of {horizon_s} s"));
    }
    if step_ms > i64::from(horizon_s) * 1000 {
        fields.problem("step", &format!("{} s is longer than the horizon of {horizon_s} s", step_ms / 1000));
    }
    let decide_every_s = fields.duration_ms("decideEvery", 1000..=DAY_MS, "from 1s to 1d").map(seconds);
    let image_pull_s = fields.duration_ms("imagePull", 0..=HOUR_MS, "from 0s to 1h").map(seconds);
    let planning = Planning {
        step_ms,
        horizon_s,
        lead_time_s,
        memory_margin: fields.number("memoryMargin", NOT_NEGATIVE).unwrap_or(default.memory_margin),
        pack_by: fields
            .choice("packBy", &[("requests", PackBy::Requests), ("usage", PackBy::Usage)])
            .unwrap_or(default.pack_by),
        max_contention: fields.number("maxContention", CONTENTION).unwrap_or(default.max_contention),
        usage_buckets: fields.whole("usageBuckets", 1..=MOST_BUCKETS).unwrap_or(default.usage_buckets),
        instants: fields.whole("instants", 1..=MOST_INSTANTS).unwrap_or(default.instants),
        decide_every_s: decide_every_s.unwrap_or(default.decide_every_s),
        image_pull_s: image_pull_s.unwrap_or(default.image_pull_s),
        spot_losses_per_hour: fields.number("spotLossesPerHour", NOT_NEGATIVE).unwrap_or(default.spot_losses_per_hour),
        ..default
    };
    if planning.instants > 1 && planning.pack_by == PackBy::Usage {
        fields.problem("instants", "a plan packed by usage is one for the whole horizon: say 1, or packBy: requests");
    }
    fields.mapping("estimatedPrices", |fields| read_prices(fields, planning)).unwrap_or(planning)
}

fn read_prices(fields: &mut Fields<'_>, planning: Planning) -> Planning {
    let mut price = |name, default| fields.number(name, NOT_NEGATIVE).unwrap_or(default);
    Planning {
        estimate_per_core_hour: price("perCoreHour", planning.estimate_per_core_hour),
        estimate_per_gib_hour: price("perGibHour", planning.estimate_per_gib_hour),
        estimate_per_gpu_hour: price("perGpuHour", planning.estimate_per_gpu_hour),
        ..planning
    }
}
