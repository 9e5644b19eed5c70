//! The edges of what a report must bear, made from the shop.

use std::collections::BTreeMap;

use ndarray::Array2;
use plimsoll::domain::menu::{Basis, DeclaredReason};
use plimsoll::domain::orchestration::Orchestration;
use plimsoll::domain::outlook::{
    Contention, Instant, LeadTime, Loss, NodeChange, Packing, Scenario, Schedule, Shortfall,
};
use plimsoll::domain::plan::{CostParts, NodeState, Placement, PlacementState, Stopped, Unplaced};
use plimsoll::domain::series::SeriesRow;
use plimsoll::domain::steps::{Action, Wave};
use plimsoll::domain::usage::Bucket;
use plimsoll::domain::{
    Axis, CapacityType, Forecast, Outlook, PriceSource, Resources, Run, Series, Snapshot, Steps, Subject, WorkloadId,
};

use super::fixture::{NOW_MS, id, shop};

/// The shop without metrics.
pub(crate) fn without_metrics() -> Run {
    let mut run = shop();
    run.series = None;
    run.forecasts.clear();
    run.orchestration.clear();
    for workload in &mut run.plan.workloads {
        workload.risk = None;
        workload.risk_now = None;
        workload.basis = Basis::Declared { reason: DeclaredReason::NoMetrics };
    }
    run.plan.certificate.prices = PriceSource::Estimated;
    run
}

/// The shop filled by use, with a lead time that was too short, losses and a schedule.
pub(crate) fn ahead() -> Run {
    let mut run = shop();
    let hour = |from: i64| Bucket { start_ms: NOW_MS + from * 3_600_000, end_ms: NOW_MS + (from + 1) * 3_600_000 };
    let there = || run.plan.nodes.iter().filter(|node| node.state != NodeState::Remove).enumerate();
    let contention = |i: usize| Contention { probability: 0.001 * (i + 1) as f64, bucket: hour(2) };
    let nodes: BTreeMap<String, Contention> = there().map(|(i, node)| (node.name.clone(), contention(i))).collect();
    let short =
        Shortfall { workload: id("checkout"), replicas: 4, needed: 3, minimum: Some(2), left_at_once: 2, left: 2 };
    let loss = |loss, cost_per_hour: Option<f64>, waiting| Scenario {
        loss,
        nodes: 3,
        pods: 20,
        waiting,
        losses_per_hour: cost_per_hour.map(|_| 0.002),
        cost_per_hour,
        short: if waiting > 0 { vec![short.clone()] } else { Vec::new() },
    };
    let instant = |from: i64, nodes: usize, bought: usize| Instant {
        bucket: hour(from),
        nodes,
        nodes_per_hour: 0.2 * nodes as f64,
        changes: vec![NodeChange {
            offer: "m5.xlarge".into(),
            zone: "r1a".into(),
            capacity_type: CapacityType::OnDemand,
            bought,
            given_back: 2 - bought,
        }],
        replicas: BTreeMap::from([(id("checkout"), 4 + bought as u32)]),
        unplaced: 0,
        feasible: true,
        bound: 1.5,
    };
    run.outlook = Outlook {
        packing: Some(Packing { limit: 0.02, buckets: 24, nodes }),
        scenarios: vec![
            loss(Loss::Zone { zone: "r1b".into() }, None, 12),
            loss(Loss::Spot { offer: "m5.large".into(), zone: "r1a".into() }, Some(0.004), 0),
        ],
        lead_time: LeadTime {
            seconds: 1500,
            stated_seconds: 900,
            decision_seconds: 300,
            offer: Some("gpu.large".into()),
            boot_seconds: 1170,
            image_pull_seconds: 30,
        },
        schedule: Some(Schedule {
            instants: vec![instant(0, 9, 0), instant(1, 11, 2)],
            cost: 4.0,
            bound: 3.0,
            regretted: 1,
        }),
    };
    run
}

/// Nothing at all.
pub(crate) fn empty() -> Run {
    let mut run = without_metrics();
    run.snapshot = Snapshot::default();
    run.steps = Steps::default();
    let plan = &mut run.plan;
    plan.workloads.clear();
    plan.nodes.clear();
    plan.placements.clear();
    plan.removals.clear();
    plan.unplaced.clear();
    plan.binding.clear();
    plan.certificate.cost = CostParts::default();
    plan.certificate.cost_now = CostParts::default();
    plan.certificate.cost_per_hour = 0.0;
    plan.certificate.bound_per_hour = 0.0;
    plan.certificate.gap = 0.0;
    run
}

/// No node, no offer that fits: every pod is unplaced.
pub(crate) fn everything_unplaced() -> Run {
    let mut run = without_metrics();
    run.snapshot.nodes.clear();
    run.steps = Steps::default();
    let plan = &mut run.plan;
    plan.nodes.clear();
    plan.placements.clear();
    plan.removals.clear();
    plan.unplaced = plan
        .workloads
        .iter()
        .map(|w| Unplaced {
            namespace: w.id.namespace.clone(),
            workload: format!("Deployment/{}", w.id.name),
            count: w.replicas,
            reasons: vec!["0/0 nodes are available.".into(), "No offer is large enough.".into()],
        })
        .collect();
    plan.certificate.cost = CostParts { unplaced: 470.0, ..CostParts::default() };
    plan.certificate.cost_now = CostParts::default();
    plan.certificate.now_feasible = false;
    run
}

/// No node stands yet: the plan says what to buy.
pub(crate) fn what_to_buy() -> Run {
    let mut run = without_metrics();
    run.snapshot.nodes.clear();
    for pod in &mut run.snapshot.pods {
        pod.node = None;
    }
    let plan = &mut run.plan;
    plan.nodes.retain(|node| node.state != NodeState::Remove);
    for node in &mut plan.nodes {
        node.state = NodeState::Add;
        node.used_now = Resources::default();
    }
    for placement in &mut plan.placements {
        placement.state = PlacementState::New;
        placement.from = None;
    }
    plan.removals.clear();
    plan.unplaced.clear();
    plan.certificate.cost_now = CostParts { unplaced: 490.0, ..CostParts::default() };
    plan.certificate.now_feasible = false;
    run
}

/// The checker refused the plan.
pub(crate) fn infeasible() -> Run {
    let mut run = shop();
    run.plan.certificate.feasible = false;
    run.plan.certificate.now_feasible = false;
    run.plan.certificate.stopped = Stopped::Deadline;
    run.plan.certificate.violations = vec!["node-01: 4,100 m of 3,920 m CPU are asked for".into()];
    run
}

/// Names and reasons that are markup, quotes, control characters and no numbers.
pub(crate) fn hostile() -> Run {
    const EVIL: &str = "</title><script>alert('x')</script>\"'&<svg onload=alert(1)>\u{1b}[31m\u{202e}";
    let mut run = shop();
    let evil_id = WorkloadId { namespace: EVIL.into(), kind: EVIL.into(), name: EVIL.into() };
    let old = run.plan.workloads[3].id.clone();
    run.plan.workloads[3].id = evil_id.clone();
    run.plan.workloads[3].target = Some(EVIL.into());
    run.plan.workloads[3].basis = Basis::Bound { rule: EVIL.into() };
    for forecast in &mut run.forecasts {
        if forecast.subject == Subject::Workload(old.clone()) {
            forecast.subject = Subject::Workload(evil_id.clone());
            forecast.trust.fallback = Some(EVIL.into());
            forecast.mean[3] = f64::NAN;
            forecast.quantiles[[2, 7]] = f64::INFINITY;
            forecast.quantiles[[0, 9]] = -1e300;
        }
    }
    for node in &mut run.plan.nodes {
        node.zone = EVIL.into();
        node.offer = EVIL.into();
    }
    run.plan.nodes[0].name = EVIL.into();
    run.plan.nodes[1].price_per_hour = f64::NAN;
    run.plan.unplaced[0].workload = EVIL.into();
    run.plan.unplaced[0].reasons = vec![EVIL.into()];
    run.plan.binding[0].rule = EVIL.into();
    run.plan.binding[0].unit = EVIL.into();
    run.plan.certificate.unmodelled_rules = vec![EVIL.into()];
    run.snapshot.warnings = vec![EVIL.into()];
    run.snapshot.taken_at_ms = Some(i64::MAX);
    run.policy.name = EVIL.into();
    run.policy.targets[0].name = EVIL.into();
    run.provenance.command = EVIL.into();
    run.provenance.inputs = vec![EVIL.into()];
    run.steps.waves[0].actions = vec![Action::Cordon { node: EVIL.into() }];
    run.orchestration[0].workload = evil_id;
    run.orchestration[0].axis = Axis { start_ms: i64::MIN / 4, step_ms: i64::MAX / 8, len: 3 };
    run
}

/// A cluster of 1,523 nodes and 124 measured workloads.
pub(crate) fn huge() -> Run {
    let mut run = shop();
    let nodes = std::mem::take(&mut run.plan.nodes);
    run.plan.nodes = (0..1523)
        .map(|i| {
            let mut node = nodes[i % nodes.len()].clone();
            node.name = format!("{}-{i:04}", node.name);
            node
        })
        .collect();
    let workloads = std::mem::take(&mut run.plan.workloads);
    run.plan.workloads = (0..124)
        .map(|i| {
            let mut workload = workloads[i % workloads.len()].clone();
            workload.id.name = format!("{}-{i:03}", workload.id.name);
            workload
        })
        .collect();
    let forecasts = std::mem::take(&mut run.forecasts);
    let orchestration = std::mem::take(&mut run.orchestration);
    for workload in &run.plan.workloads {
        let Some((base, _)) = workload.id.name.rsplit_once('-') else { continue };
        for forecast in forecasts.iter().filter(|f| f.subject == Subject::Workload(id(base))) {
            run.forecasts.push(Forecast { subject: Subject::Workload(workload.id.clone()), ..forecast.clone() });
        }
        for models in orchestration.iter().filter(|o| o.workload == id(base)) {
            run.orchestration.push(Orchestration { workload: workload.id.clone(), ..models.clone() });
        }
    }
    let series = run.series.take().expect("the shop has metrics");
    let mut rows: Vec<(SeriesRow, Vec<f64>)> = Vec::new();
    for workload in &run.plan.workloads {
        let Some((base, _)) = workload.id.name.rsplit_once('-') else { continue };
        for (i, row) in series.rows.iter().enumerate().filter(|(_, r)| r.subject == Subject::Workload(id(base))) {
            let row = SeriesRow { subject: Subject::Workload(workload.id.clone()), ..row.clone() };
            rows.push((row, series.values.row(i).to_vec()));
        }
    }
    rows.sort_by(|a, b| (&a.0.subject, a.0.signal).cmp(&(&b.0.subject, b.0.signal)));
    let (rows, values): (Vec<SeriesRow>, Vec<Vec<f64>>) = rows.into_iter().unzip();
    let values = Array2::from_shape_fn((rows.len(), series.axis.len), |(r, c)| values[r][c]);
    run.series = Some(Series { rows, values, ..series });
    let placement = run.plan.placements[0].clone();
    run.plan.placements = (0..8152).map(|i| Placement { pod: format!("pod-{i:05}"), ..placement.clone() }).collect();
    let action = |i: usize| Action::Move {
        namespace: "shop".into(),
        pod: format!("pod-{i:05}"),
        from: "node-01-0000".into(),
        to: "node-02-0001".into(),
    };
    run.steps.waves =
        (0..20).map(|w| Wave { actions: (0..400).map(|i| action(w * 400 + i)).collect(), at_least_s: 9.0 }).collect();
    run
}
