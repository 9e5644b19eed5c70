//! One document into one policy.

use std::collections::BTreeMap;

use super::{defaults, metrics};
use crate::domain::policy::{
    Behavior, Costs, DisruptionLimits, Mode, Objective, Place, Planning, Policy, ScalingPolicy, ScalingRules,
    SelectPolicy, Spread, Target, WorkloadSelector,
};
use crate::domain::resources::Resources;
use crate::domain::snapshot::Amount;
use crate::domain::{InputError, Location};
use crate::ingest::Source;
use crate::ingest::document::{self, Limits, Node, Value};
use crate::ingest::fields::{
    Fields, NOT_NEGATIVE, POSITIVE, POSITIVE_SHARE, PROBABILITY, Reading, SHARE, object_name, parse_duration_ms,
};

/// A policy is written by hand; a megabyte of it is something else.
const LIMITS: Limits = Limits { bytes: 1 << 20, nodes: 100_000 };

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Replicas are 32-bit signed integers in Kubernetes.
const MOST_REPLICAS: u32 = i32::MAX as u32;

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
    let mut problems = reading.problems;
    match policy {
        Some(policy) if problems.is_empty() => {
            Ok(Policy { source: source.name.clone(), places: reading.places, ..policy })
        }
        _ => {
            problems.sort_by_key(|problem| match problem.location {
                Location::LineColumn(line, column) => (line, column),
                _ => (0, 0),
            });
            Err(problems)
        }
    }
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
        planning: fields.mapping("planning", read_planning).unwrap_or_else(defaults::planning),
        metrics: fields.mapping("metrics", metrics::mapping).unwrap_or_else(metrics::default_mapping),
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

fn read_targets(fields: &mut Fields<'_>) -> Vec<Target> {
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

fn read_selector(fields: &mut Fields<'_>) -> WorkloadSelector {
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

fn read_disruption(fields: &mut Fields<'_>) -> DisruptionLimits {
    let default = defaults::disruption();
    DisruptionLimits {
        max_moves: fields.amount("maxMoves").unwrap_or(default.max_moves),
        max_drains: fields.amount("maxDrains").unwrap_or(default.max_drains),
        max_waves: fields.whole("maxWaves", 1..=1000).unwrap_or(default.max_waves),
        remove_nodes: fields.boolean("removeNodes").unwrap_or(default.remove_nodes),
        add_nodes: fields.boolean("addNodes").unwrap_or(default.add_nodes),
    }
}

fn read_costs(fields: &mut Fields<'_>) -> Costs {
    let default = defaults::costs();
    let over = fields.take_either("amortiseOver", "amortizeOver");
    let amortise_hours = over.and_then(|node| {
        let hours = match &node.value {
            Value::Text(text) | Value::Number(text) => {
                parse_duration_ms(text).filter(|ms| (MINUTE_MS..=365 * DAY_MS).contains(ms))
            }
            _ => None,
        };
        if hours.is_none() {
            let found = node.value.describe();
            let path = fields.path_of("amortiseOver");
            let problem = format!("{path}: expected a duration from 1m to 365d such as 1h, found {found}");
            fields.reading().problem(node.place, problem);
        }
        hours.map(|ms| ms as f64 / HOUR_MS as f64)
    });
    Costs {
        move_per_core: fields.number("movePerCore", NOT_NEGATIVE).unwrap_or(default.move_per_core),
        node_change: fields.number("nodeChange", NOT_NEGATIVE).unwrap_or(default.node_change),
        breach_per_replica_hour: fields
            .number("breachPerReplicaHour", NOT_NEGATIVE)
            .unwrap_or(default.breach_per_replica_hour),
        unplaced_per_hour: fields.number("unplacedPerHour", POSITIVE).unwrap_or(default.unplaced_per_hour),
        amortise_hours: amortise_hours.unwrap_or(default.amortise_hours),
    }
}

fn read_planning(fields: &mut Fields<'_>) -> Planning {
    let default = defaults::planning();
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
    let planning = Planning {
        step_ms,
        horizon_s,
        lead_time_s,
        memory_margin: fields.number("memoryMargin", NOT_NEGATIVE).unwrap_or(default.memory_margin),
        ..default
    };
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::policy::Mode;

    const HEAD: &str = "apiVersion: plimsoll.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {name: p}\nspec:\n";

    fn source(text: &str) -> Source {
        Source { name: "p.yaml".into(), bytes: text.as_bytes().to_vec() }
    }

    /// The problems of a `spec`, whose first line is line 5, as one text a problem.
    fn problems(spec: &str) -> Vec<String> {
        match parse_all(&source(&format!("{HEAD}{spec}"))) {
            Ok(_) => Vec::new(),
            Err(problems) => problems
                .into_iter()
                .map(|p| p.hint.as_ref().map_or_else(|| p.to_string(), |hint| format!("{p} ({hint})")))
                .collect(),
        }
    }

    fn target(fields: &str) -> String {
        format!("  targets:\n  - name: web\n    maxReplicas: 10\n    {fields}\n")
    }

    #[test]
    fn everything_left_out_has_its_default() {
        let policy = parse(&source(&format!("{HEAD}  targets: [{{name: web, maxReplicas: 7}}]\n"))).unwrap();
        assert_eq!(policy.name, "p");
        assert_eq!(policy.source, "p.yaml");
        let expected = Policy {
            name: policy.name.clone(),
            source: policy.source.clone(),
            targets: vec![Target { max_replicas: 7, ..defaults::target("web") }],
            places: policy.places.clone(),
            ..defaults::default_policy()
        };
        assert_eq!(policy, expected);
    }

    #[test]
    fn every_field_is_read() {
        let policy = parse(&source(&format!(
            "{HEAD}{}",
            r#"
  mode: scale
  targets:
  - name: web
    selector:
      namespaces: [shop]
      kinds: [Deployment]
      names: [nginx-deployment]
      matchLabels: {app: nginx}
      matchExpressions: [{key: tier, operator: In, values: [front]}, {key: canary, operator: DoesNotExist}]
    scaleReplicas: true
    resizeRequests: false
    minReplicas: 2
    maxReplicas: 50
    requests: {min: {cpu: 100m, memory: 128Mi}, max: {cpu: 2, memory: 1.5Gi}}
    objective: {latency: {quantile: 0.99, target: 200ms}}
    maxRisk: 0.05
    behavior:
      scaleUp: {stabilizationWindowSeconds: 30, selectPolicy: Min, policies: [{type: Pods, value: 4, periodSeconds: 60}]}
      scaleDown: {selectPolicy: Disabled}
    spread: {topologyKey: topology.kubernetes.io/zone, maxSkew: 2}
    maxSpotShare: 0.5
    zoneLoss: {minAvailable: 50%}
    maxUnavailable: 1
  disruption: {maxMoves: 5%, maxDrains: 1, maxWaves: 3, removeNodes: false, addNodes: false}
  costs: {movePerCore: 0.01, nodeChange: 0.5, breachPerReplicaHour: 2, unplacedPerHour: 500, amortiseOver: 90m}
  planning:
    {step: 30, horizon: 1d, leadTime: 1h30m, memoryMargin: 0.2, estimatedPrices: {perCoreHour: 1, perGibHour: 2, perGpuHour: 3}}
  metrics:
    extendDefaults: false
    rules:
    - {names: [jobs_total], signal: requestsPerSecond, kind: counter, scale: 2, where: {queue: "*"}, namespaceLabels: [ns],
       podLabels: [], workloadLabels: [worker]}
"#
        )))
        .unwrap();
        assert_eq!(policy.mode, Mode::Scale);
        let web = &policy.targets[0];
        assert_eq!(web.selects.namespaces, ["shop"]);
        assert_eq!(web.selects.labels.match_expressions.len(), 2);
        assert_eq!(web.min_requests, Resources::of([("cpu", 100), ("memory", 128 << 20)]));
        assert_eq!(web.max_requests, Resources::of([("cpu", 2000), ("memory", 3 << 29)]));
        assert_eq!(web.objective, Objective::Latency { quantile: 0.99, target_s: 0.2 });
        assert_eq!(web.behavior.scale_up.policies, [ScalingPolicy { amount: Amount::Count(4), period_s: 60 }]);
        assert_eq!(web.behavior.scale_up.stabilization_window_s, 30);
        assert_eq!(web.behavior.scale_down.select_policy, SelectPolicy::Disabled);
        assert_eq!(web.behavior.scale_down.stabilization_window_s, 300);
        assert_eq!(web.zone_loss, Some(Amount::Percent(50)));
        assert_eq!(web.max_unavailable, Some(Amount::Count(1)));
        assert_eq!(web.max_spot_share, Some(0.5));
        assert_eq!(policy.disruption.max_moves, Amount::Percent(5));
        assert!(!policy.disruption.add_nodes);
        assert_eq!(policy.costs.amortise_hours, 1.5);
        assert_eq!(
            policy.planning,
            Planning {
                step_ms: 30_000,
                horizon_s: 86_400,
                lead_time_s: 5_400,
                memory_margin: 0.2,
                estimate_per_core_hour: 1.0,
                estimate_per_gib_hour: 2.0,
                estimate_per_gpu_hour: 3.0
            }
        );
        assert_eq!(policy.metrics.rules.len(), 1);
        assert_eq!(policy.metrics.rules[0].pod_labels, Vec::<String>::new());
        assert_eq!(policy.places["targets.web.maxReplicas"], Place { line: 18, column: 5 });
        assert_eq!(policy.places["targets.web.behavior.scaleDown"], Place { line: 24, column: 7 });
        assert_eq!(policy.places["targets.web.requests.max.cpu"].line, 19);
        assert_eq!(policy.places["disruption.maxMoves"], Place { line: 29, column: 16 });
        assert_eq!(policy.places["targets.web"], Place { line: 8, column: 5 });
    }

    #[test]
    fn both_spellings_are_read_and_go_by_one_name() {
        let policy = parse(&source(&format!(
            "{HEAD}{}  costs: {{amortizeOver: 2h}}\n",
            target("objective: {utilization: {share: 0.6}}")
        )))
        .unwrap();
        assert_eq!(policy.targets[0].objective, Objective::Utilisation { share: 0.6 });
        assert_eq!(policy.costs.amortise_hours, 2.0);
        assert!(policy.places.contains_key("targets.web.objective.utilisation.share"));
        assert!(policy.places.contains_key("costs.amortiseOver"));
        assert!(!policy.places.contains_key("costs.amortizeOver"));
        assert_eq!(
            problems(&target("objective: {utilization: {share: 0.6}, utilisation: {share: 0.6}}")),
            [
                "p.yaml:8:30: targets.web.objective.utilisation and targets.web.objective.utilization are the same field \
              (keep one of the two)"
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_line_and_column() {
        for (spec, expected) in [
            (target("minReplicas: 11"), "p.yaml:8:18: targets.web.minReplicas: 11 is more than maxReplicas 10"),
            (
                target("minReplica: 2"),
                "p.yaml:8:5: unknown field \"targets.web.minReplica\" (did you mean minReplicas? known here: name, \
                 scaleReplicas, selector, minReplicas, maxReplicas, resizeRequests, requests, objective, maxRisk, \
                 behavior, spread, maxSpotShare, zoneLoss, maxUnavailable)",
            ),
            (
                target("maxSpotShare: 1.5"),
                "p.yaml:8:19: targets.web.maxSpotShare: expected a number from 0 to 1, found the number 1.5",
            ),
            (
                target("maxSpotShare: .nan"),
                "p.yaml:8:19: targets.web.maxSpotShare: expected a number from 0 to 1, found the number .nan",
            ),
            (
                target("objective: {utilisation: {share: 70}}"),
                "p.yaml:8:38: targets.web.objective.utilisation.share: expected a number above 0 and at most 1, found \
                 the number 70",
            ),
            (
                target("objective: {}"),
                "p.yaml:8:16: targets.web.objective: expected exactly one of utilisation, latency, demand",
            ),
            (
                target("objective: {latency: {target: fast}}"),
                "p.yaml:8:35: targets.web.objective.latency.target: expected a duration from 1ms to 1h such as 90s, 5m \
                 or 1h30m, found the text \"fast\"",
            ),
            (
                target("objective: {latency: {}}"),
                "p.yaml:8:26: targets.web.objective.latency.target is missing (say how fast, e.g. target: 200ms)",
            ),
            (
                target("requests: {min: {cpu: lots}}"),
                "p.yaml:8:27: targets.web.requests.min.cpu: expected a quantity, found \"lots\" (write a number with \
                 an optional suffix, e.g. 250m, 1.5, 128Mi, 2Gi)",
            ),
            (
                target("requests: {min: {cpu: -1}}"),
                "p.yaml:8:27: targets.web.requests.min.cpu: expected 0 or more, found -1",
            ),
            (
                target("requests: {min: {cpu: 2}, max: {cpu: 1}}"),
                "p.yaml:8:21: targets.web.requests.min: cpu is more than in max",
            ),
            (
                target("behavior: {scaleUp: {stabilizationWindowSeconds: 3601}}"),
                "p.yaml:8:54: targets.web.behavior.scaleUp.stabilizationWindowSeconds: expected a whole number from 0 \
                 to 3600, found the number 3601",
            ),
            (
                target("behavior: {scaleUp: {policies: [{type: Percents, value: 1, periodSeconds: 1}]}}"),
                "p.yaml:8:44: targets.web.behavior.scaleUp.policies[0].type: expected one of Pods, Percent, found \
                 \"Percents\" (did you mean Percent?)",
            ),
            (
                target("zoneLoss: {minAvailable: 120%}"),
                "p.yaml:8:30: targets.web.zoneLoss.minAvailable: expected a count such as 3 or a percentage from 0% to \
                 100%, found the text \"120%\"",
            ),
            (
                target("selector: {namespaces: [no, 1.10]}"),
                "p.yaml:8:33: targets.web.selector.namespaces[1]: expected a text, found the number 1.10 (put quotes \
                 around it)",
            ),
            (
                target("behavior:"),
                "p.yaml:8:5: targets.web.behavior is given without a value (give it a value or leave the field out)",
            ),
            (
                format!("{}  - {{name: web, maxReplicas: 1}}\n", target("maxRisk: 0.01")),
                "p.yaml:9:5: a target named \"web\" stands in line 6 already (give each target a name of its own)",
            ),
            (
                "  targets: [{name: Web, maxReplicas: 1}]\n".to_owned(),
                "p.yaml:5:20: targets[0].name: expected at most 63 lower-case letters, digits and hyphens",
            ),
            (
                "  targets: [{name: web}]\n".to_owned(),
                "p.yaml:5:13: targets.web.maxReplicas is missing (HPA requires it too: say how far the workload may \
                 grow)",
            ),
            ("  targets: []\n".to_owned(), "p.yaml:5:12: targets: expected at least one item"),
            ("  targets: {}\n".to_owned(), "p.yaml:5:12: targets: expected a list, found a mapping"),
            (
                format!("{}  costs: {{movePerCore: -0.1}}\n", target("maxRisk: 0.01")),
                "p.yaml:9:24: costs.movePerCore: expected a number 0 or more, found the number -0.1",
            ),
            (
                format!("{}  costs: {{amortiseOver: 1y}}\n", target("maxRisk: 0.01")),
                "p.yaml:9:25: costs.amortiseOver: expected a duration from 1m to 365d such as 1h, found the text \
                 \"1y\"",
            ),
            (
                format!("{}  planning: {{leadTime: 2h, horizon: 1h}}\n", target("maxRisk: 0.01")),
                "p.yaml:9:24: planning.leadTime: 7200 s reaches beyond the horizon of 3600 s",
            ),
            (
                format!("{}  mode: Scale\n", target("maxRisk: 0.01")),
                "p.yaml:9:9: mode: expected one of paused, report, recommend, scale, schedule, found \"Scale\" (did \
                 you mean scale?)",
            ),
            (
                format!("{}  metrics: {{extendDefaults: false}}\n", target("maxRisk: 0.01")),
                "p.yaml:9:12: metrics.rules is missing (without the defaults and without rules no metric means anything)",
            ),
        ] {
            assert_eq!(problems(&spec), [expected], "{spec}");
        }
    }

    #[test]
    fn all_problems_are_listed_from_top_to_bottom() {
        let found =
            problems("  modes: scale\n  targets:\n  - {name: a, maxReplicas: 0, maxRisk: 2}\n  - {maxReplicas: 1}\n");
        let lines: Vec<_> = found.iter().map(|p| p.split(':').nth(1).unwrap_or_default()).collect();
        assert_eq!(lines, ["5", "7", "7", "8"], "{found:#?}");
    }

    #[test]
    fn documents_of_other_kinds_and_hostile_ones_are_refused() {
        let error = |text: &str| parse(&source(text)).unwrap_err().to_string();
        assert_eq!(error(""), "p.yaml:1:1: expected a mapping, found nothing");
        assert_eq!(error("- 1\n"), "p.yaml:1:1: expected a mapping, found a list");
        assert_eq!(
            error("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {}\n"),
            "p.yaml:1:13: apiVersion: expected one of plimsoll.dev/v1alpha1, found \"v1\""
        );
        assert_eq!(
            error(&format!("{HEAD}{}---\na: 1\n", target("maxRisk: 0.1"))),
            "p.yaml:10:1: a second document begins here, expected one a file"
        );
        let bomb = format!(
            "a: &a [{}]\nb: &b [{}]\nc: &c [{}]\nd: &d [{}]\n",
            "1,".repeat(50),
            "*a,".repeat(50),
            "*b,".repeat(50),
            "*c,".repeat(50)
        );
        assert!(error(&bomb).contains("is too large, nests too deeply or repeats too much by aliases"));
        assert!(error(&"[".repeat(100_000)).contains("is"), "nesting");
        assert!(error(&"a:\n".repeat(300_000)).contains("given twice"));
        assert_eq!(error(&"a:\n".repeat(400_000)), "p.yaml: has 1200000 bytes, at most 1048576 are read");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            let _ = parse_all(&source(&text));
        }

        #[test]
        fn a_document_with_any_line_damaged_is_read_or_refused_with_a_place(
            line in 0usize..40,
            junk in "[-:{}\\[\\]&*!|>'\"%@`, a-z0-9~\t]{0,12}",
        ) {
            let text = include_str!("../../policies/safety-first.yaml");
            let damaged: String = text
                .lines()
                .enumerate()
                .map(|(i, l)| if i == line { format!("{l}{junk}\n") } else { format!("{l}\n") })
                .collect();
            if let Err(problems) = parse_all(&source(&damaged)) {
                prop_assert!(!problems.is_empty());
                prop_assert!(problems.iter().all(|p| p.location != Location::Whole), "{problems:?}");
            }
        }
    }
}
