//! The ready-made policies: each is sound, agrees with the schema, and decides its worked case as the case says.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::Array2;
use plimsoll::domain::forecast::Trust;
use plimsoll::domain::quantity::parse_amount;
use plimsoll::domain::resources::{CPU, MEMORY};
use plimsoll::domain::series::{RowQuality, SeriesRow};
use plimsoll::domain::snapshot::{PodTemplate, Workload};
use plimsoll::domain::{Axis, Forecast, Location, Policy, Resources, Series, Signal, Snapshot, Subject, WorkloadId};
use plimsoll::ingest::Source;
use plimsoll::policy::{BUILT_IN, BuiltIn, SCHEMA, built_in, check, default_policy, parse, parse_all};
use plimsoll::sizing::menus;
use serde::Deserialize;
use serde_json::{Value, json};

/// `policies/<name>.case.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    policy: String,
    workloads: Vec<CaseWorkload>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseWorkload {
    workload: WorkloadId,
    labels: BTreeMap<String, String>,
    replicas: u32,
    requests: BTreeMap<String, String>,
    measured: Option<Measured>,
    expected: Expected,
}

/// Quantiles of the peak over the lead time, one a level, of the whole workload; memory of its largest pod.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Measured {
    levels: Vec<f64>,
    cpu_cores: Option<Vec<f64>>,
    memory_mib: Option<Vec<f64>>,
    requests_per_second: Option<Vec<f64>>,
    /// 95th percentile of latency of an idle replica.
    idle_latency_seconds: Option<f64>,
    /// What a replica can serve.
    served_per_second: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Expected {
    target: Option<String>,
    min_replicas: Option<u32>,
    max_replicas: Option<u32>,
    scale_replicas: Option<bool>,
    resize_requests: Option<bool>,
    /// Choices that the menu must offer; none for a workload that is not sized at all.
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    replicas: u32,
    cpu: String,
    memory: String,
}

fn source(name: &str, text: &str) -> Source {
    Source { name: name.into(), bytes: text.as_bytes().to_vec() }
}

fn cases() -> Vec<(Policy, Case)> {
    BUILT_IN
        .iter()
        .map(|BuiltIn { name, text, .. }| {
            let path = format!("{}/policies/{name}.case.yaml", env!("CARGO_MANIFEST_DIR"));
            let case: Case = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap())
                .unwrap_or_else(|e| panic!("{path}: {e}"));
            assert_eq!(case.policy, *name);
            (parse(&source(name, text)).unwrap(), case)
        })
        .collect()
}

fn workload(case: &CaseWorkload, template: usize) -> Workload {
    let kind = case.workload.kind.as_str();
    Workload {
        labels: case.labels.clone(),
        scalable: matches!(kind, "Deployment" | "StatefulSet"),
        daemon: kind == "DaemonSet",
        batch: kind == "Job",
        ..Workload::plain(case.workload.clone(), template, case.replicas)
    }
}

fn requests(case: &CaseWorkload) -> Resources {
    Resources::of(case.requests.iter().map(|(name, text)| (name.as_str(), parse_amount(name, text).unwrap())))
}

#[test]
fn every_ready_made_policy_is_sound_and_commented() {
    for BuiltIn { name, summary, text } in BUILT_IN {
        let report = check(&source(name, text));
        assert_eq!(report.problems, [], "{name}");
        let warnings: Vec<_> = report.warnings.iter().map(ToString::to_string).collect();
        // Leaving a group alone is what two of them mean; nothing else may need a warning.
        assert!(warnings.iter().all(|w| w.contains("leaves neither replicas nor requests")), "{name}: {warnings:?}");
        assert_eq!(report.policy.unwrap().name, name);
        assert!(text.starts_with("# "), "{name} begins with what it is for");
        assert!(text.lines().filter(|line| line.trim_start().starts_with('#')).count() >= 5, "{name}");
        assert!(summary.len() < 80, "{name}");
        assert_eq!(built_in(name), Some(text));
    }
    assert_eq!(built_in("unknown"), None);
}

#[test]
fn each_case_is_taken_by_the_target_it_says_within_the_bounds_it_says() {
    for (policy, case) in cases() {
        for case in &case.workloads {
            let found = policy.target_for(&workload(case, 0));
            let id = &case.workload;
            assert_eq!(found.map(|t| t.name.as_str()), case.expected.target.as_deref(), "{id}");
            let Some(target) = found else { continue };
            let Expected { min_replicas, max_replicas, scale_replicas, resize_requests, .. } = case.expected;
            assert!(min_replicas.is_none_or(|n| n == target.min_replicas), "{id}: {}", target.min_replicas);
            assert!(max_replicas.is_none_or(|n| n == target.max_replicas), "{id}: {}", target.max_replicas);
            assert_eq!(target.scale_replicas, scale_replicas.unwrap_or(true), "{id}");
            assert_eq!(target.resize_requests, resize_requests.unwrap_or(true), "{id}");
            for (resource, amount) in requests(case).iter() {
                assert!(amount >= target.min_requests.get(resource), "{id}: {resource}");
            }
        }
    }
}

#[test]
fn each_case_is_offered_the_choices_worked_out_by_hand() {
    for (policy, case) in cases() {
        let mut snapshot = Snapshot::default();
        let (mut forecasts, mut rows) = (Vec::new(), Vec::new());
        for (i, case) in case.workloads.iter().enumerate() {
            snapshot.templates.push(PodTemplate { requests: requests(case), ..PodTemplate::default() });
            snapshot.workloads.push(workload(case, i));
            forecasts.extend(case.measured.iter().flat_map(|measured| forecasts_of(&case.workload, measured)));
            rows.extend(case.measured.iter().flat_map(|measured| past(case, measured)));
        }
        let menus = menus(&snapshot, Some(&series(rows)), &forecasts, &policy);
        for case in &case.workloads {
            let id = &case.workload;
            let menu = menus.iter().find(|menu| menu.workload == *id);
            let offered: Vec<_> =
                menu.iter().flat_map(|menu| &menu.entries).map(|e| (e.replicas, e.requests.clone())).collect();
            assert_eq!(offered.is_empty(), case.expected.choices.is_empty(), "{id}: {offered:?}");
            for Choice { replicas, cpu, memory } in &case.expected.choices {
                let amount = |name, text| (name, parse_amount(name, text).unwrap());
                let choice = (*replicas, Resources::of([amount(CPU, cpu), amount(MEMORY, memory)]));
                assert!(offered.contains(&choice), "{id}: {choice:?} is not among {offered:#?}");
            }
        }
    }
}

fn forecasts_of(id: &WorkloadId, measured: &Measured) -> Vec<Forecast> {
    let Measured { levels, cpu_cores, memory_mib, requests_per_second, .. } = measured;
    let forecast = |signal, unit: f64, peak: &Vec<f64>| {
        assert_eq!(levels.len(), peak.len(), "{id}: one value a level");
        let peak: Vec<f64> = peak.iter().map(|value| value * unit).collect();
        Forecast {
            subject: Subject::Workload(id.clone()),
            signal,
            start_ms: 0,
            step_ms: 60_000,
            mean: vec![peak[0]],
            levels: levels.clone(),
            quantiles: Array2::from_shape_vec((levels.len(), 1), peak.clone()).unwrap(),
            lead_steps: 1,
            peak,
            trust: Trust { observations: 10_000, ..Trust::default() },
            marks: Vec::new(),
            effects: Vec::new(),
        }
    };
    let mib = f64::from(1 << 20);
    [
        (Signal::CpuCores, 1.0, cpu_cores),
        (Signal::MemoryBytes, mib, memory_mib),
        (Signal::RequestsPerSecond, 1.0, requests_per_second),
    ]
    .into_iter()
    .filter_map(|(signal, unit, peak)| peak.as_ref().map(|peak| forecast(signal, unit, peak)))
    .collect()
}

/// Four hours in which each replica was loaded from a twentieth to nine tenths of what it can serve, up and down, and
/// waited as M/M/1 has it: more than t seconds with probability ρ·exp(−(µ − λ)·t).
fn past(case: &CaseWorkload, measured: &Measured) -> Vec<(Subject, Signal, Vec<f64>)> {
    let (Some(idle_s), Some(served)) = (measured.idle_latency_seconds, measured.served_per_second) else {
        return Vec::new();
    };
    let subject = Subject::Workload(case.workload.clone());
    let load = |step: usize| served * (0.05 + 0.85 * (step % 60) as f64 / 59.0);
    let latency = |load: f64| idle_s + ((load / served / 0.05).ln() / (served - load)).max(0.0);
    let arrivals = (0..240).map(|step| load(step) * f64::from(case.replicas)).collect();
    vec![
        (subject.clone(), Signal::RequestsPerSecond, arrivals),
        (subject, Signal::LatencyP95Seconds, (0..240).map(|step| latency(load(step))).collect()),
    ]
}

fn series(rows: Vec<(Subject, Signal, Vec<f64>)>) -> Series {
    let axis = Axis { start_ms: 0, step_ms: 60_000, len: 240 };
    let values = rows.iter().flat_map(|(_, _, values)| values.clone()).collect();
    Series {
        axis,
        values: Array2::from_shape_vec((rows.len(), axis.len), values).unwrap(),
        rows: rows
            .into_iter()
            .map(|(subject, signal, _)| SeriesRow { subject, signal, quality: RowQuality::default() })
            .collect(),
        notes: Vec::new(),
    }
}

// ---- The schema and the reader agree. ----

/// Objects of the schema that hold fields, with a document in which the object stands at `HOLE`.
fn objects(schema: &Value) -> Vec<(&'static str, Vec<String>)> {
    let properties = |pointer: &str| {
        let object = schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
        assert_eq!(object["additionalProperties"], json!(false), "{pointer} is closed");
        object["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    [
        ("HOLE", ""),
        ("metadata: HOLE", "/properties/metadata"),
        ("spec: HOLE", "/properties/spec"),
        ("spec: {disruption: HOLE}", "/properties/spec/properties/disruption"),
        ("spec: {costs: HOLE}", "/properties/spec/properties/costs"),
        ("spec: {planning: HOLE}", "/properties/spec/properties/planning"),
        (
            "spec: {planning: {estimatedPrices: HOLE}}",
            "/properties/spec/properties/planning/properties/estimatedPrices",
        ),
        ("spec: {events: [HOLE]}", "/$defs/event"),
        ("spec: {metrics: HOLE}", "/properties/spec/properties/metrics"),
        ("spec: {metrics: {rules: [HOLE]}}", "/$defs/metricRule"),
        ("spec: {targets: [HOLE]}", "/$defs/target"),
        ("spec: {targets: [{selector: HOLE}]}", "/$defs/target/properties/selector"),
        (
            "spec: {targets: [{selector: {matchExpressions: [HOLE]}}]}",
            "/$defs/target/properties/selector/properties/matchExpressions/items",
        ),
        ("spec: {targets: [{requests: HOLE}]}", "/$defs/target/properties/requests"),
        ("spec: {targets: [{objective: HOLE}]}", "/$defs/target/properties/objective"),
        ("spec: {targets: [{objective: {utilisation: HOLE}}]}", "/$defs/utilisation"),
        ("spec: {targets: [{objective: {latency: HOLE}}]}", "/$defs/target/properties/objective/properties/latency"),
        ("spec: {targets: [{objective: {demand: HOLE}}]}", "/$defs/target/properties/objective/properties/demand"),
        ("spec: {targets: [{behavior: HOLE}]}", "/$defs/target/properties/behavior"),
        ("spec: {targets: [{behavior: {scaleUp: HOLE}}]}", "/$defs/scalingRules"),
        (
            "spec: {targets: [{behavior: {scaleDown: {policies: [HOLE]}}}]}",
            "/$defs/scalingRules/properties/policies/items",
        ),
        ("spec: {targets: [{spread: HOLE}]}", "/$defs/target/properties/spread"),
        ("spec: {targets: [{zoneLoss: HOLE}]}", "/$defs/target/properties/zoneLoss"),
    ]
    .into_iter()
    .map(|(document, pointer)| (document, properties(pointer)))
    .collect()
}

fn problems(text: &str) -> Vec<String> {
    match parse_all(&source("p", text)) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .into_iter()
            .inspect(|problem| assert_ne!(problem.location, Location::Whole, "{problem}"))
            .map(|problem| format!("{problem} ({})", problem.hint.clone().unwrap_or_default()))
            .collect(),
    }
}

#[test]
fn the_schema_has_exactly_the_fields_that_are_read() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let checked = objects(&schema);
    for (document, properties) in &checked {
        let unknown = problems(&document.replace("HOLE", "{zzzzzzzzzzzz: 1}"));
        let hint = unknown.iter().find_map(|p| p.split("known here: ").nth(1)).unwrap_or_else(|| panic!("{document}"));
        let read: BTreeSet<&str> = hint.trim_end_matches(')').split(", ").collect();
        let listed: BTreeSet<&str> = properties.iter().map(String::as_str).collect();
        assert_eq!(read, listed, "{document}");
    }
    let closed = serde_json::to_string(&schema).unwrap().matches("\"additionalProperties\":false").count();
    assert_eq!(closed, checked.len(), "every closed object of the schema is checked above");
}

#[test]
fn the_schemas_defaults_are_the_ones_that_hold() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut with_defaults = serde_json::Map::new();
    for (name, part) in schema["properties"]["spec"]["properties"].as_object().unwrap() {
        if let Some(default) = part.get("default") {
            with_defaults.insert(name.clone(), default.clone());
        }
        if part.get("properties").is_some() && name != "metrics" {
            with_defaults.insert(name.clone(), defaults_of(part));
        }
    }
    let mut target = defaults_of(&schema["$defs"]["target"]);
    target["name"] = json!("everything");
    target["maxReplicas"] = json!(default_policy().targets[0].max_replicas);
    with_defaults.insert("targets".into(), json!([target]));
    let document = json!({
        "apiVersion": "plimsoll.dev/v1alpha1",
        "kind": "ScalingPolicy",
        "metadata": { "name": "default" },
        "spec": with_defaults,
    });
    let policy = parse(&source("built-in default policy", &document.to_string())).unwrap();
    assert_eq!(Policy { places: BTreeMap::new(), ..policy }, default_policy());
}

/// The defaults an object of the schema states, nested objects included.
fn defaults_of(object: &Value) -> Value {
    let mut defaults = serde_json::Map::new();
    for (name, property) in object["properties"].as_object().unwrap() {
        if let Some(default) = property.get("default") {
            defaults.insert(name.clone(), default.clone());
        } else if name == "estimatedPrices" {
            defaults.insert(name.clone(), defaults_of(property));
        }
    }
    Value::Object(defaults)
}

#[test]
fn numbers_beyond_the_schemas_bounds_are_refused() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut tried = 0;
    for (document, pointer) in [
        ("spec: {disruption: {HOLE}}", "/properties/spec/properties/disruption/properties"),
        ("spec: {costs: {HOLE}}", "/properties/spec/properties/costs/properties"),
        ("spec: {planning: {HOLE}}", "/properties/spec/properties/planning/properties"),
        ("spec: {metrics: {rules: [{HOLE}]}}", "/$defs/metricRule/properties"),
        ("spec: {targets: [{name: a, HOLE}]}", "/$defs/target/properties"),
        ("spec: {targets: [{name: a, objective: {utilisation: {HOLE}}}]}", "/$defs/utilisation/properties"),
        (
            "spec: {targets: [{name: a, objective: {demand: {HOLE}}}]}",
            "/$defs/target/properties/objective/properties/demand/properties",
        ),
        ("spec: {targets: [{name: a, spread: {HOLE}}]}", "/$defs/target/properties/spread/properties"),
        ("spec: {targets: [{name: a, behavior: {scaleUp: {HOLE}}}]}", "/$defs/scalingRules/properties"),
        (
            "spec: {targets: [{name: a, behavior: {scaleUp: {policies: [{HOLE}]}}}]}",
            "/$defs/scalingRules/properties/policies/items/properties",
        ),
    ] {
        for (name, property) in schema.pointer(pointer).unwrap().as_object().unwrap() {
            let bound = |key: &str| property.get(key).and_then(Value::as_f64);
            // Just outside and just inside of each bound.
            let edges = [
                (bound("minimum"), -1.0, 0.0),
                (bound("maximum"), 1.0, 0.0),
                (bound("exclusiveMinimum"), 0.0, 0.5),
                (bound("exclusiveMaximum"), 0.0, -0.5),
            ];
            for (bound, outside, inside) in edges {
                let Some(bound) = bound else { continue };
                let complains = |value: f64| {
                    let found = problems(&document.replace("HOLE", &format!("{name}: {value}")));
                    found.iter().any(|p| p.contains(&format!("{name}: expected a")))
                };
                assert!(complains(bound + outside), "{document} {name}: {}", bound + outside);
                assert!(!complains(bound + inside), "{document} {name}: {}", bound + inside);
                tried += 1;
            }
        }
    }
    assert!(tried >= 25, "{tried}");
}

#[test]
fn the_manual_names_every_field() {
    let manual = include_str!("../docs/policy.md");
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    for (document, properties) in objects(&schema) {
        for name in properties {
            assert!(manual.contains(&format!("`{name}`")), "docs/policy.md does not explain {name} of {document}");
        }
    }
}
