//! Targets: which workloads, within which bounds, for which objective.

use std::collections::BTreeMap;

use super::defaults;
use crate::domain::policy::{
    Behavior, Objective, Place, ScalingPolicy, ScalingRules, SelectPolicy, Spread, Target, WorkloadSelector,
};
use crate::domain::resources::Resources;
use crate::domain::snapshot::Amount;
use crate::ingest::document::{Node, Value};
use crate::ingest::fields::{Fields, POSITIVE_SHARE, PROBABILITY, SHARE};

/// Replicas are 32-bit signed integers in Kubernetes.
const MOST_REPLICAS: u32 = i32::MAX as u32;
/// The slowest latency that can be asked for.
const HOUR_MS: i64 = 3_600_000;

/// Reads `targets`.
pub(super) fn read_targets(fields: &mut Fields<'_>) -> Vec<Target> {
    let mut names: BTreeMap<String, Place> = BTreeMap::new();
    let targets = fields.filled_list("targets", |reading, node, path| {
        let path = target_name(node).map_or_else(|| path.to_owned(), |name| format!("targets.{name}"));
        let target = reading.mapping(node, &path, read_target).flatten()?;
        reading.places.insert(path, node.place);
        if let Some(first) = names.insert(target.name.clone(), node.place) {
            let problem = format!("a target named {:?} stands in line {} already", target.name, first.line);
            reading.problem_with_hint(node.place, problem, "give each target a name of its own");
        }
        Some(target)
    });
    targets.unwrap_or_default()
}

/// The name a target gives itself, if it is one.
fn target_name(node: &Node) -> Option<&str> {
    let Value::Map(entries) = &node.value else { return None };
    let (_, name) = entries.iter().find(|(key, _)| key.text == "name")?;
    match &name.value {
        Value::Text(text) if is_label_name(text) => Some(text),
        _ => None,
    }
}

/// Kubernetes' rule for short names (RFC 1123 label).
fn is_label_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn read_target(fields: &mut Fields<'_>) -> Option<Target> {
    fields.require("name", "name the target; constraints are called by it");
    let name = fields.text("name");
    if name.as_deref().is_some_and(|name| !is_label_name(name)) {
        fields.problem("name", "expected at most 63 lower-case letters, digits and hyphens");
    }
    let default = defaults::target("");
    let scale_replicas = fields.boolean("scaleReplicas").unwrap_or(default.scale_replicas);
    if scale_replicas {
        fields.require("maxReplicas", "HPA requires it too: say how far the workload may grow");
    }
    let selects = fields.mapping("selector", read_selector).unwrap_or_default();
    let min_replicas = fields.whole("minReplicas", 0..=MOST_REPLICAS).unwrap_or(default.min_replicas);
    let max_replicas = fields.whole("maxReplicas", 1..=MOST_REPLICAS).unwrap_or(default.max_replicas);
    if min_replicas > max_replicas {
        fields.problem("minReplicas", &format!("{min_replicas} is more than maxReplicas {max_replicas}"));
    }
    let resize_requests = fields.boolean("resizeRequests").unwrap_or(default.resize_requests);
    let (min_requests, max_requests) = fields.mapping("requests", read_requests).unwrap_or_default();
    let objective = fields.mapping("objective", read_objective).flatten().unwrap_or(default.objective);
    Some(Target {
        selects,
        min_replicas,
        max_replicas,
        scale_replicas,
        resize_requests,
        min_requests,
        max_requests,
        objective,
        max_risk: fields.number("maxRisk", PROBABILITY).unwrap_or(default.max_risk),
        behavior: fields.mapping("behavior", read_behavior).unwrap_or_default(),
        spread: fields.mapping("spread", read_spread).flatten(),
        max_spot_share: fields.number("maxSpotShare", SHARE),
        zone_loss: fields.mapping("zoneLoss", read_zone_loss).flatten(),
        max_unavailable: read_max_unavailable(fields).or(default.max_unavailable),
        name: name?,
    })
}

pub(super) fn read_selector(fields: &mut Fields<'_>) -> WorkloadSelector {
    WorkloadSelector {
        namespaces: fields.texts("namespaces").unwrap_or_default(),
        kinds: fields.texts("kinds").unwrap_or_default(),
        names: fields.texts("names").unwrap_or_default(),
        labels: fields.label_selector(),
    }
}

fn read_requests(fields: &mut Fields<'_>) -> (Resources, Resources) {
    let min = fields.resources("min").unwrap_or_default();
    let max = fields.resources("max").unwrap_or_default();
    for (resource, least) in min.iter() {
        if max.0.get(resource).is_some_and(|most| least > *most) {
            fields.problem("min", &format!("{resource} is more than in max"));
        }
    }
    (min, max)
}

fn read_objective(fields: &mut Fields<'_>) -> Option<Objective> {
    let utilisation = fields.take_either("utilisation", "utilization");
    let latency = fields.take("latency");
    let demand = fields.take("demand");
    let path = |fields: &Fields<'_>, name: &str| fields.path_of(name);
    match (utilisation, latency, demand) {
        (Some(node), None, None) => {
            let path = path(fields, "utilisation");
            fields.reading().mapping(node, &path, |fields| Objective::Utilisation {
                share: fields.number("share", POSITIVE_SHARE).unwrap_or(defaults::UTILISATION_SHARE),
            })
        }
        (None, Some(node), None) => {
            let path = path(fields, "latency");
            fields.reading().mapping(node, &path, |fields| {
                fields.require("target", "say how fast, e.g. target: 200ms");
                let target_ms = fields.duration_ms("target", 1..=HOUR_MS, "from 1ms to 1h");
                Objective::Latency {
                    quantile: fields.number("quantile", PROBABILITY).unwrap_or(defaults::LATENCY_QUANTILE),
                    target_s: target_ms.unwrap_or(HOUR_MS) as f64 / 1000.0,
                }
            })
        }
        (None, None, Some(node)) => {
            let path = path(fields, "demand");
            fields.reading().mapping(node, &path, |fields| Objective::Demand {
                quantile: fields.number("quantile", PROBABILITY).unwrap_or(defaults::DEMAND_QUANTILE),
            })
        }
        _ => {
            let place = fields.place();
            let path = fields.path().to_owned();
            let problem = format!("{path}: expected exactly one of utilisation, latency, demand");
            fields.reading().problem(place, problem);
            None
        }
    }
}

fn read_behavior(fields: &mut Fields<'_>) -> Behavior {
    let default = Behavior::default();
    Behavior {
        scale_up: fields
            .mapping("scaleUp", |fields| read_scaling_rules(fields, &default.scale_up))
            .unwrap_or_else(|| default.scale_up.clone()),
        scale_down: fields
            .mapping("scaleDown", |fields| read_scaling_rules(fields, &default.scale_down))
            .unwrap_or_else(|| default.scale_down.clone()),
    }
}

/// HPA's ranges: a window of at most an hour, periods of at most half an hour, amounts above 0.
fn read_scaling_rules(fields: &mut Fields<'_>, default: &ScalingRules) -> ScalingRules {
    let window = fields.whole("stabilizationWindowSeconds", 0..=3600);
    let choices = [("Max", SelectPolicy::Max), ("Min", SelectPolicy::Min), ("Disabled", SelectPolicy::Disabled)];
    let select_policy = fields.choice("selectPolicy", &choices);
    let policies = fields.filled_list("policies", |reading, node, path| reading.mapping(node, path, read_rate)?);
    ScalingRules {
        stabilization_window_s: window.unwrap_or(default.stabilization_window_s),
        select_policy: select_policy.unwrap_or(default.select_policy),
        policies: policies.unwrap_or_else(|| default.policies.clone()),
    }
}

fn read_rate(fields: &mut Fields<'_>) -> Option<ScalingPolicy> {
    for name in ["type", "value", "periodSeconds"] {
        fields.require(name, "a policy is e.g. {type: Percent, value: 100, periodSeconds: 15}");
    }
    let amount: Option<fn(u32) -> Amount> =
        fields.choice("type", &[("Pods", Amount::Count as fn(u32) -> Amount), ("Percent", Amount::Percent)]);
    let value = fields.whole("value", 1..=MOST_REPLICAS);
    let period_s = fields.whole("periodSeconds", 1..=1800);
    Some(ScalingPolicy { amount: amount?(value?), period_s: period_s? })
}

fn read_spread(fields: &mut Fields<'_>) -> Option<Spread> {
    fields.require("topologyKey", "name the node label, e.g. topology.kubernetes.io/zone");
    let max_skew = fields.whole("maxSkew", 1..=MOST_REPLICAS).unwrap_or(1);
    Some(Spread { topology_key: fields.text("topologyKey")?, max_skew })
}

fn read_zone_loss(fields: &mut Fields<'_>) -> Option<Amount> {
    fields.require("minAvailable", "say how many replicas must be left, e.g. minAvailable: 50%");
    fields.amount("minAvailable")
}

fn read_max_unavailable(fields: &mut Fields<'_>) -> Option<Amount> {
    let amount = fields.amount("maxUnavailable")?;
    if matches!(amount, Amount::Count(0) | Amount::Percent(0)) {
        fields.problem("maxUnavailable", "expected more than 0; to move nothing say disruption: {maxMoves: 0}");
    }
    Some(amount)
}
