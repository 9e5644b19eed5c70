//! A run made by hand: a shop with everything.

use std::collections::BTreeMap;

use ndarray::Array2;
use plimsoll::domain::forecast::Trust;
use plimsoll::domain::menu::{Basis, DeclaredReason};
use plimsoll::domain::orchestration::{Elasticity, Orchestration};
use plimsoll::domain::plan::{
    Binding, Conflict, CostParts, NodePlan, NodeState, Placement, PlacementState, Removal, Repair, Stopped, Unplaced,
    WorkloadPlan,
};
use plimsoll::domain::policy::{
    Behavior, Costs, DisruptionLimits, MetricMapping, Mode, Objective, Planning, Preemption, Target, WorkloadSelector,
};
use plimsoll::domain::run::Provenance;
use plimsoll::domain::series::{RowQuality, SeriesRow};
use plimsoll::domain::snapshot::{Amount, Node, Pod};
use plimsoll::domain::steps::{Action, Deferred, Wave};
use plimsoll::domain::{
    Axis, CapacityType, Catalog, Certificate, Forecast, Plan, Policy, PriceSource, Resources, Run, Series, Signal,
    Snapshot, Steps, Subject, WorkloadId,
};

const DAY_MS: i64 = 86_400_000;
const STEP_MS: i64 = 600_000;
/// 22 November 2026, noon.
pub(crate) const NOW_MS: i64 = 1_795_348_800_000;
const GIB: i64 = 1 << 30;
const MIB: i64 = 1 << 20;

/// Name, (replicas, mCPU, MiB) now, the same proposed, peak requests a second or 0 for a workload sized by CPU.
type Spec = (&'static str, (u32, i64, i64), (u32, i64, i64), f64);

const SPECS: [Spec; 12] = [
    ("nginx-deployment", (2, 250, 128), (3, 180, 160), 412.0),
    ("checkout", (6, 1000, 1024), (5, 700, 896), 96.0),
    ("node-api", (8, 500, 512), (6, 420, 512), 640.0),
    ("search", (4, 2000, 4096), (4, 1300, 3584), 55.0),
    ("recommender", (3, 3000, 6144), (3, 1200, 5120), 0.0),
    ("cart", (4, 300, 256), (4, 260, 288), 130.0),
    ("image-resizer", (5, 1000, 768), (7, 900, 768), 0.0),
    ("mailer", (2, 200, 256), (1, 120, 192), 0.0),
    ("ledger", (3, 500, 1024), (3, 500, 1024), 0.0),
    ("sessions", (3, 250, 2048), (3, 250, 2048), 0.0),
    ("legacy-batch", (1, 4000, 8192), (1, 4000, 8192), 0.0),
    ("metrics-agent", (12, 100, 128), (9, 100, 128), 0.0),
];

pub(crate) fn id(name: &str) -> WorkloadId {
    WorkloadId { namespace: "shop".into(), kind: "Deployment".into(), name: name.into() }
}

fn requests(cpu: i64, mib: i64) -> Resources {
    Resources::of([("cpu", cpu), ("memory", mib * MIB)])
}

/// Evenly spread numbers in 0..1 that are the same on every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1_u64 << 31) as f64
    }
}

/// A day's and a week's cycle around 1, at its height just after 14:00 UTC.
fn cycle(time_ms: i64) -> f64 {
    let day = (time_ms.rem_euclid(DAY_MS)) as f64 / DAY_MS as f64;
    let weekday = time_ms.div_euclid(DAY_MS).rem_euclid(7);
    let week = if weekday < 2 { 0.75 } else { 1.0 };
    week * (0.62 + 0.38 * (std::f64::consts::TAU * (day - 0.587)).cos())
}

fn basis(index: usize, spec: &Spec) -> Basis {
    let (_, _, (replicas, cpu, _), rate) = *spec;
    match index {
        8 => Basis::Bound { rule: "targets.web.minReplicas".into() },
        9 => Basis::Declared { reason: DeclaredReason::DrivenByAutoscaler },
        10 => Basis::Declared { reason: DeclaredReason::NotTargeted },
        11 => Basis::Declared { reason: DeclaredReason::NotScalable },
        1 => Basis::Latency {
            target_s: 0.25,
            quantile: 0.95,
            arrivals_per_s: rate,
            peak_at_ms: NOW_MS + 7_500_000,
            service_rate_per_s: 27.0,
            expected_s: 0.184,
            utilisation: 0.71,
        },
        _ if rate > 0.0 => Basis::Demand {
            signal: Signal::RequestsPerSecond,
            quantile: 0.95,
            peak: rate,
            peak_at_ms: NOW_MS + 7_500_000,
            per_replica: rate * 1.03 / f64::from(replicas),
            utilisation: 0.7,
        },
        _ => Basis::Demand {
            signal: Signal::CpuCores,
            quantile: 0.95,
            peak: f64::from(replicas) * cpu as f64 / 1000.0 * 0.68,
            peak_at_ms: NOW_MS + DAY_MS - 3_600_000,
            per_replica: cpu as f64 / 1000.0 * 0.7,
            utilisation: 0.7,
        },
    }
}

fn workload_plan(index: usize, spec: &Spec) -> WorkloadPlan {
    let (name, now, then, _) = *spec;
    let measured = index < 9;
    WorkloadPlan {
        id: id(name),
        replicas_now: now.0,
        replicas: then.0,
        requests_now: requests(now.1, now.2),
        requests: requests(then.1, then.2),
        risk: measured.then(|| if name == "checkout" { 0.004 } else { 0.0004 * (index + 1) as f64 }),
        risk_now: measured.then_some(if index == 0 { 0.31 } else { 0.0001 }),
        basis: basis(index, spec),
        target: measured.then(|| "web".to_owned()),
        moves: u32::from(index % 3 == 1),
    }
}

fn node_plans() -> Vec<NodePlan> {
    let mut noise = Noise(7);
    let mut nodes: Vec<NodePlan> = (1..=12)
        .map(|i| {
            let large = i % 4 == 0;
            let cpu = if large { 7910 } else { 3920 };
            let memory = if large { 31 * GIB } else { 15 * GIB };
            let share = 0.35 + 0.3 * noise.next();
            let state = if matches!(i, 3 | 5 | 8 | 10) { NodeState::Remove } else { NodeState::Keep };
            let used = |share: f64| {
                Resources::of([
                    ("cpu", (cpu as f64 * share) as i64),
                    ("memory", (memory as f64 * (share * 0.8 + 0.1)) as i64),
                    ("pods", 12),
                ])
            };
            NodePlan {
                name: format!("node-{i:02}"),
                offer: if large { "m5.2xlarge" } else { "m5.xlarge" }.into(),
                zone: format!("r1{}", ["a", "b", "c"][i % 3]),
                capacity_type: if i % 5 == 0 { CapacityType::Spot } else { CapacityType::OnDemand },
                state,
                price_per_hour: if large { 0.384 } else { 0.192 },
                allocatable: Resources::of([("cpu", cpu), ("memory", memory), ("pods", 58)]),
                used_now: used(share),
                used: if state == NodeState::Remove { Resources::default() } else { used((share + 0.3).min(0.97)) },
            }
        })
        .collect();
    nodes.push(NodePlan {
        name: "new-c5.xlarge-r1a-1".into(),
        offer: "c5.xlarge".into(),
        zone: "r1a".into(),
        capacity_type: CapacityType::Spot,
        state: NodeState::Add,
        price_per_hour: 0.071,
        allocatable: Resources::of([("cpu", 3920), ("memory", 7 * GIB), ("pods", 58)]),
        used_now: Resources::default(),
        used: Resources::of([("cpu", 3600), ("memory", 5 * GIB), ("pods", 6)]),
    });
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    nodes
}

fn level(spec: &Spec, signal: Signal) -> f64 {
    let (_, now, then, rate) = *spec;
    match signal {
        Signal::RequestsPerSecond => rate * 0.8,
        Signal::CpuCores => f64::from(then.0) * then.1 as f64 / 1000.0 * 0.52,
        _ => f64::from(now.0) * (now.2.min(then.2) * MIB) as f64 * 0.66,
    }
}

fn signals(spec: &Spec) -> Vec<Signal> {
    let mut signals = vec![Signal::CpuCores, Signal::MemoryBytes];
    if spec.3 > 0.0 {
        signals.push(Signal::RequestsPerSecond);
    }
    signals
}

fn value(spec: &Spec, signal: Signal, time_ms: i64) -> f64 {
    let shape = if signal == Signal::MemoryBytes { 0.85 + 0.15 * cycle(time_ms) } else { cycle(time_ms) };
    level(spec, signal) * shape
}

fn series(specs: &[Spec]) -> Series {
    let len = 14 * (DAY_MS / STEP_MS) as usize;
    let axis = Axis { start_ms: NOW_MS - 14 * DAY_MS, step_ms: STEP_MS, len };
    let mut rows: Vec<(SeriesRow, Vec<f64>)> = Vec::new();
    for (i, spec) in specs.iter().enumerate().filter(|(i, _)| *i < 10) {
        for signal in signals(spec) {
            let mut noise = Noise(17 * i as u64 + signal as u64);
            let values = (0..len).map(|t| {
                let burst = if (1400..1412).contains(&t) && i < 3 { 1.4 } else { 1.0 };
                let gap = (600..640).contains(&t) && i == 2;
                if gap { f64::NAN } else { value(spec, signal, axis.time_ms(t)) * burst * (0.94 + 0.12 * noise.next()) }
            });
            let quality = RowQuality {
                samples: len,
                resets: usize::from(i == 1),
                gap_cells: if i == 2 { 40 } else { 0 },
                ..RowQuality::default()
            };
            rows.push((SeriesRow { subject: Subject::Workload(id(spec.0)), signal, quality }, values.collect()));
        }
    }
    rows.sort_by(|a, b| (&a.0.subject, a.0.signal).cmp(&(&b.0.subject, b.0.signal)));
    let (rows, values): (Vec<SeriesRow>, Vec<Vec<f64>>) = rows.into_iter().unzip();
    let values = Array2::from_shape_fn((rows.len(), len), |(r, c)| values[r][c]);
    Series { axis, rows, values, notes: vec!["3 series of unknown metric go_gc_cycles_total".into()] }
}

const LEVELS: [f64; 8] = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];
const SPREAD: [f64; 8] = [-0.16, -0.12, -0.06, 0.0, 0.06, 0.13, 0.18, 0.28];

fn forecast(spec: &Spec, signal: Signal, index: usize) -> Forecast {
    let mean: Vec<f64> = (0..DAY_MS / STEP_MS).map(|h| value(spec, signal, NOW_MS + h * STEP_MS)).collect();
    let steps = mean.len();
    let quantiles = Array2::from_shape_fn((LEVELS.len(), steps), |(l, h)| {
        mean[h] * (1.0 + SPREAD[l] * (0.5 + 0.5 * (h as f64 / steps as f64).sqrt()))
    });
    let lead_steps = 18;
    let highest = mean[..lead_steps].iter().copied().fold(0.0, f64::max);
    let error = 0.58 + 0.05 * index as f64;
    Forecast {
        subject: Subject::Workload(id(spec.0)),
        signal,
        start_ms: NOW_MS,
        step_ms: STEP_MS,
        mean,
        levels: LEVELS.to_vec(),
        quantiles,
        lead_steps,
        peak: SPREAD.iter().map(|s| highest * (1.02 + s)).collect(),
        trust: Trust {
            observations: 2016,
            origins: 24,
            seasons: vec![144, 1008],
            weights: vec![("seasonal-ridge".into(), 0.7), ("seasonal-naive".into(), 0.3)],
            mase: Some(error),
            mase_seasonal_naive: Some(1.0),
            mase_last_value: Some(1.6),
            coverage: LEVELS.iter().map(|&l| (l, (l + 0.02 * ((index % 5) as f64 - 2.2)).clamp(0.0, 1.0))).collect(),
            peak_coverage: vec![(0.95, 0.94)],
            borrowed: index == 8,
            fallback: (index == 7).then(|| "mostly zero".to_owned()),
        },
        marks: Vec::new(),
        effects: Vec::new(),
    }
}

fn orchestration(spec: &Spec, index: usize) -> Orchestration {
    let len = 14 * (DAY_MS / STEP_MS) as usize;
    let axis = Axis { start_ms: NOW_MS - 14 * DAY_MS, step_ms: STEP_MS, len };
    let mut noise = Noise(index as u64 + 99);
    let replicas = f64::from(spec.1.0);
    let reserved = replicas * spec.1.1 as f64 / 1000.0;
    let column = |f: &mut dyn FnMut(f64, i64) -> f64, noise: &mut Noise| -> Vec<f64> {
        (0..len).map(|t| f(0.95 + 0.1 * noise.next(), axis.time_ms(t))).collect()
    };
    let cpu = level(spec, Signal::CpuCores);
    let memory = level(spec, Signal::MemoryBytes);
    Orchestration {
        workload: id(spec.0),
        axis,
        runtime_cpu_cores: column(&mut |n, t| cpu * cycle(t) * n, &mut noise),
        runtime_memory_bytes: column(&mut |n, t| memory * (0.8 + 0.2 * cycle(t)) * n, &mut noise),
        discovery_seconds: column(&mut |n, t| if t.rem_euclid(DAY_MS) == 0 { 2.5 * n } else { f64::NAN }, &mut noise),
        scheduling: column(&mut |n, t| replicas * 0.55 * cycle(t) * n, &mut noise),
        balancing: column(&mut |n, _| replicas * n, &mut noise),
        jain_index: column(&mut |n, _| (0.93 * n).min(1.0), &mut noise),
        scaling_cores: column(&mut |n, t| reserved - cpu * 1.5 * cycle(t) * n, &mut noise),
        elasticity: Some(Elasticity {
            accuracy_under: 0.02,
            accuracy_over: 0.74,
            timeshare_under: 0.03,
            timeshare_over: 0.95,
            instability: 0.11,
        }),
    }
}

fn snapshot(plan: &Plan) -> Snapshot {
    let standing = plan.nodes.iter().filter(|n| n.state != NodeState::Add);
    let nodes = standing.map(|n| Node {
        zone: n.zone.clone(),
        instance_type: n.offer.clone(),
        capacity_type: n.capacity_type,
        ..Node::plain(&n.name, n.allocatable.clone())
    });
    let pods = plan.placements.iter().map(|p| {
        let node = (p.state != PlacementState::New).then(|| p.from.as_deref().unwrap_or(&p.node));
        Pod { ready: true, ..Pod::plain(id(p.workload.trim_start_matches("Deployment/")), &p.pod, 0, node) }
    });
    Snapshot {
        taken_at_ms: Some(NOW_MS - 60_000),
        nodes: nodes.collect(),
        pods: pods.collect(),
        ignored_kinds: BTreeMap::from([("ConfigMap".to_owned(), 31), ("VirtualService".to_owned(), 4)]),
        warnings: vec!["Pod shop/legacy-batch-0: no container states a memory limit".into()],
        ..Snapshot::default()
    }
}

fn placements(workloads: &[WorkloadPlan], nodes: &[NodePlan]) -> Vec<Placement> {
    let kept: Vec<&NodePlan> = nodes.iter().filter(|n| n.state != NodeState::Remove).collect();
    let mut out = Vec::new();
    for (w, workload) in workloads.iter().enumerate() {
        for replica in 0..workload.replicas {
            let node = &kept[(w * 5 + replica as usize) % kept.len()].name;
            let moved = replica < workload.moves;
            let new = replica >= workload.replicas_now;
            out.push(Placement {
                namespace: workload.id.namespace.clone(),
                pod: format!("{}-{}{replica}", workload.id.name, if new { "new-" } else { "" }),
                workload: format!("{}/{}", workload.id.kind, workload.id.name),
                node: node.clone(),
                state: match (new, moved) {
                    (true, _) => PlacementState::New,
                    (false, true) => PlacementState::Move,
                    (false, false) => PlacementState::Stay,
                },
                from: (moved && !new).then(|| "node-03".to_owned()),
            });
        }
    }
    out
}

fn steps(plan: &Plan) -> Steps {
    let scale = |w: &WorkloadPlan| Action::Scale {
        workload: w.id.clone(),
        from: w.replicas_now,
        to: w.replicas,
        going: Vec::new(),
    };
    let resize = |w: &WorkloadPlan| Action::Resize {
        workload: w.id.clone(),
        from: w.requests_now.clone(),
        to: w.requests.clone(),
    };
    let add = plan.nodes.iter().filter(|n| n.state == NodeState::Add).map(|n| Action::AddNode {
        node: n.name.clone(),
        offer: n.offer.clone(),
        zone: n.zone.clone(),
    });
    let moves = plan.placements.iter().filter_map(|p| {
        p.from.as_ref().map(|from| Action::Move {
            namespace: p.namespace.clone(),
            pod: p.pod.clone(),
            from: from.clone(),
            to: p.node.clone(),
        })
    });
    let removed = || plan.nodes.iter().filter(|n| n.state == NodeState::Remove).map(|n| n.name.clone());
    let waves = vec![
        Wave { actions: add.collect(), at_least_s: 90.0 },
        Wave {
            actions: plan
                .workloads
                .iter()
                .filter(|w| w.replicas != w.replicas_now)
                .map(scale)
                .chain(plan.workloads.iter().filter(|w| w.requests != w.requests_now).map(resize))
                .collect(),
            at_least_s: 30.0,
        },
        Wave { actions: removed().map(|node| Action::Cordon { node }).chain(moves).collect(), at_least_s: 60.0 },
        Wave { actions: removed().map(|node| Action::RemoveNode { node }).collect(), at_least_s: 10.0 },
    ];
    Steps {
        waves: waves.into_iter().filter(|w| !w.actions.is_empty()).collect(),
        deferred: vec![Deferred {
            action: Action::Scale { workload: id("mailer"), from: 2, to: 1, going: vec!["mailer-1".into()] },
            rule: "targets.web.behavior.scaleDown".into(),
        }],
    }
}

fn policy() -> Policy {
    let target = Target {
        name: "web".into(),
        selects: WorkloadSelector { namespaces: vec!["shop".into()], ..WorkloadSelector::default() },
        min_replicas: 1,
        max_replicas: 20,
        scale_replicas: true,
        resize_requests: true,
        min_requests: requests(50, 64),
        max_requests: Resources::default(),
        objective: Objective::Utilisation { share: 0.7 },
        max_risk: 0.01,
        behavior: Behavior::default(),
        spread: None,
        max_spot_share: Some(0.3),
        zone_loss: None,
        max_unavailable: Some(Amount::Percent(25)),
    };
    Policy {
        name: "web".into(),
        source: "policies/web.yaml".into(),
        mode: Mode::Recommend,
        targets: vec![target],
        disruption: DisruptionLimits {
            max_moves: Amount::Count(10),
            max_drains: Amount::Percent(34),
            max_waves: 10,
            remove_nodes: true,
            add_nodes: true,
            preemption: Preemption::Never,
        },
        costs: Costs {
            move_per_core: 0.01,
            node_change: 0.02,
            breach_per_replica_hour: 0.5,
            unplaced_per_hour: 10.0,
            preference_per_hour: 0.0,
            amortise_hours: 24.0,
        },
        planning: Planning {
            step_ms: STEP_MS,
            horizon_s: 86_400,
            lead_time_s: 10_800,
            memory_margin: 0.15,
            estimate_per_core_hour: 0.033,
            estimate_per_gib_hour: 0.0045,
            estimate_per_gpu_hour: 1.0,
            ..Planning::default()
        },
        metrics: MetricMapping::default(),
        events: Vec::new(),
        places: BTreeMap::new(),
    }
}

fn certificate(nodes: &[NodePlan]) -> Certificate {
    let sum =
        |keep: &dyn Fn(&NodePlan) -> bool| nodes.iter().filter(|n| keep(n)).map(|n| n.price_per_hour).sum::<f64>();
    let cost = CostParts {
        nodes: sum(&|n| n.state != NodeState::Remove),
        risk: 0.012,
        change: 0.009,
        unplaced: 0.0,
        preferences: 0.0,
    };
    let cost_now = CostParts {
        nodes: sum(&|n| n.state != NodeState::Add),
        risk: 0.31,
        change: 0.0,
        unplaced: 0.0,
        preferences: 0.0,
    };
    Certificate {
        cost_per_hour: cost.total(),
        unplaceable_per_hour: 0.0,
        bound_per_hour: cost.total() * 0.992,
        gap: 0.008,
        model_gap: 0.003,
        packing_gap: 0.005,
        feasible: true,
        stopped: Stopped::Gap,
        unmodelled_rules: vec!["preferred pod affinity (3 pods)".into()],
        cost,
        cost_now,
        now_feasible: true,
        prices: PriceSource::Listed,
        violations: vec![],
    }
}

/// A shop of twelve workloads with two weeks of metrics.
pub(crate) fn shop() -> Run {
    let mut workloads: Vec<WorkloadPlan> = SPECS.iter().enumerate().map(|(i, s)| workload_plan(i, s)).collect();
    workloads.sort_by(|a, b| a.id.cmp(&b.id));
    let nodes = node_plans();
    let plan = Plan {
        certificate: certificate(&nodes),
        placements: placements(&workloads, &nodes),
        workloads,
        nodes,
        removals: vec![Removal {
            namespace: "shop".into(),
            pod: "mailer-1".into(),
            workload: "Deployment/mailer".into(),
            node: Some("node-05".into()),
        }],
        preempted: Vec::new(),
        unplaced: vec![Unplaced {
            namespace: "shop".into(),
            workload: "Deployment/too-big".into(),
            count: 2,
            reasons: vec!["0/12 nodes are available: 12 Insufficient cpu.".into(), "No offer has 96 cores.".into()],
        }],
        pending: Vec::new(),
        binding: vec![
            Binding {
                rule: "targets.web.maxSpotShare".into(),
                saves_per_hour: 0.11,
                unit: "spot node".into(),
                confirmed: true,
            },
            Binding {
                rule: "memory".into(),
                saves_per_hour: 0.0042,
                unit: "GiB in pool m5.xlarge/r1a".into(),
                confirmed: false,
            },
            Binding { rule: "disruption.maxMoves".into(), saves_per_hour: 0.0, unit: "move".into(), confirmed: true },
        ],
        conflict: Some(Conflict {
            rules: vec!["quota/m5.xlarge/r1a/on-demand".into(), "targets.web.zoneLoss".into()],
            repair: vec![Repair { rule: "quota/m5.xlarge/r1a/on-demand".into(), units: 2.0, unit: "node".into() }],
        }),
    };
    Run {
        snapshot: snapshot(&plan),
        catalog: Catalog { name: "example".into(), prices: PriceSource::Listed, offers: vec![] },
        policy: policy(),
        series: Some(series(&SPECS)),
        forecasts: SPECS
            .iter()
            .take(10)
            .enumerate()
            .flat_map(|(i, spec)| signals(spec).into_iter().map(move |signal| forecast(spec, signal, i)))
            .collect(),
        orchestration: SPECS.iter().take(10).enumerate().map(|(i, s)| orchestration(s, i)).collect(),
        menus: vec![],
        steps: steps(&plan),
        outlook: plimsoll::domain::Outlook::default(),
        plan,
        kept: None,
        provenance: Provenance {
            version: "0.1.0".into(),
            command:
                "plimsoll plan --cluster data/cluster.json --metrics data/metrics.parquet --policy policies/web.yaml"
                    .into(),
            inputs: vec!["cluster  data/cluster.json  212 KiB".into(), "metrics  data/metrics.parquet  1.6 MiB".into()],
            generated_at_ms: NOW_MS,
        },
    }
}
