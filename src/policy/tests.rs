//! Documents in, policies or their problems out.

use proptest::prelude::*;

use super::*;
use crate::domain::policy::{
    Mode, Objective, PackBy, Place, Planning, Preemption, ScalingPolicy, SelectPolicy, Target,
};
use crate::domain::resources::Resources;
use crate::domain::snapshot::Amount;
use crate::domain::{Location, Policy};
use crate::ingest::Source;

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
  disruption: {maxMoves: 5%, maxDrains: 1, maxWaves: 3, removeNodes: false, addNodes: false, preemption: lowerPriority}
  costs: {movePerCore: 0.01, nodeChange: 0.5, breachPerReplicaHour: 2, unplacedPerHour: 500, amortiseOver: 90m}
  planning:
    {step: 30, horizon: 1d, leadTime: 1h30m, memoryMargin: 0.2, packBy: usage, maxContention: 0.02,
     usageBuckets: 12, instants: 1, decideEvery: 1m, imagePull: 45s, spotLossesPerHour: 0.01, estimatedPrices: {perCoreHour: 1, perGibHour: 2, perGpuHour: 3}}
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
    assert_eq!(policy.disruption.preemption, Preemption::LowerPriority);
    assert!((policy.costs.amortise_hours - 1.5).abs() < 1e-12);
    assert_eq!(
        policy.planning,
        Planning {
            step_ms: 30_000,
            horizon_s: 86_400,
            lead_time_s: 5_400,
            memory_margin: 0.2,
            estimate_per_core_hour: 1.0,
            estimate_per_gib_hour: 2.0,
            estimate_per_gpu_hour: 3.0,
            pack_by: PackBy::Usage,
            max_contention: 0.02,
            usage_buckets: 12,
            instants: 1,
            decide_every_s: 60,
            image_pull_s: 45,
            spot_losses_per_hour: 0.01,
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
    assert!((policy.costs.amortise_hours - 2.0).abs() < 1e-12);
    assert!(policy.places.contains_key("targets.web.objective.utilisation.share"));
    assert!(policy.places.contains_key("costs.amortiseOver"));
    assert!(!policy.places.contains_key("costs.amortizeOver"));
    assert_eq!(
        problems(&target("objective: {utilization: {share: 0.6}, utilisation: {share: 0.6}}")),
        ["p.yaml:8:30: targets.web.objective.utilisation and targets.web.objective.utilization are the same field \
          (keep one of the two)"]
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of documents and what is said of them")]
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
            "p.yaml:9:25: costs.amortiseOver: expected a duration from 1m to 365d such as 90s, 5m or 1h30m, found the text \
             \"1y\"",
        ),
        (
            format!("{}  planning: {{leadTime: 2h, horizon: 1h}}\n", target("maxRisk: 0.01")),
            "p.yaml:9:24: planning.leadTime: 7200 s reaches beyond the horizon of 3600 s",
        ),
        (
            format!("{}  planning: {{packBy: usage, instants: 4}}\n", target("maxRisk: 0.01")),
            "p.yaml:9:39: planning.instants: a plan packed by usage is one for the whole horizon: say 1, or packBy: requests",
        ),
        (
            format!("{}  planning: {{imagePull: 2h}}\n", target("maxRisk: 0.01")),
            "p.yaml:9:25: planning.imagePull: expected a duration from 0s to 1h such as 90s, 5m or 1h30m, found the text \
             \"2h\"",
        ),
        (
            format!("{}  planning: {{packBy: use}}\n", target("maxRisk: 0.01")),
            "p.yaml:9:22: planning.packBy: expected one of requests, usage, found \"use\"",
        ),
        (
            format!("{}  planning: {{packBy: usage, maxContention: 60%}}\n", target("maxRisk: 0.01")),
            "p.yaml:9:44: planning.maxContention: expected a number above 0 and at most 0.5, found the text \"60%\"",
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
