//! Capacity over the horizon: replicas and nodes follow the demand, no faster than allowed, and the bound is one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ndarray::Array2;
use plimsoll::domain::catalog::{CapacityType, Catalog, NodeOffer, PriceSource};
use plimsoll::domain::clock::{Clock, Stopped};
use plimsoll::domain::forecast::Trust;
use plimsoll::domain::outlook::Schedule;
use plimsoll::domain::policy::{Objective, Policy, ScalingPolicy, Target};
use plimsoll::domain::resources::{CPU, MEMORY, PODS};
use plimsoll::domain::snapshot::{Amount, Node, Pod, PodTemplate, Workload};
use plimsoll::domain::{Forecast, Menu, Plan, Resources, Signal, Snapshot, StopRule, Subject, WorkloadId};
use plimsoll::policy::default_policy;
use plimsoll::{horizon, optimize, sizing};
use proptest::prelude::*;

const GIB: i64 = 1 << 30;
const HOUR_MS: i64 = 3_600_000;
/// Cores of a node, all of one kind.
const NODE_CORES: u32 = 4;
const PRICE: f64 = 0.2;

fn id() -> WorkloadId {
    WorkloadId { namespace: "shop".into(), kind: "Deployment".into(), name: "web".into() }
}

fn allocatable() -> Resources {
    Resources::of([(CPU, 1000 * i64::from(NODE_CORES)), (MEMORY, 64 * GIB), (PODS, 110)])
}

/// One Deployment of pods with one core each, as many as the nodes hold.
fn snapshot(replicas: u32) -> Snapshot {
    let requests = Resources::of([(CPU, 1000), (MEMORY, GIB)]);
    let nodes = (0..replicas.div_ceil(NODE_CORES)).map(|i| {
        let mut node = Node::plain(&format!("node-{i}"), allocatable());
        node.instance_type = "four".into();
        node.labels.insert("node.kubernetes.io/instance-type".into(), "four".into());
        node
    });
    let pod = |i: u32| Pod::plain(id(), &format!("web-{i}"), 0, Some(&format!("node-{}", i / NODE_CORES)));
    Snapshot {
        nodes: nodes.collect(),
        templates: vec![PodTemplate { namespace: "shop".into(), requests, ..PodTemplate::default() }],
        pods: (0..replicas).map(pod).collect(),
        workloads: vec![Workload::plain(id(), 0, replicas)],
        ..Snapshot::default()
    }
}

fn catalog() -> Catalog {
    let offer = NodeOffer {
        name: "four".into(),
        zones: vec![String::new()],
        capacity_type: CapacityType::OnDemand,
        price_per_hour: PRICE,
        allocatable: allocatable(),
        labels: BTreeMap::from([("node.kubernetes.io/instance-type".to_owned(), "four".to_owned())]),
        taints: Vec::new(),
        quota: None,
        boot_time_s: 90.0,
    };
    Catalog { name: "test".into(), prices: PriceSource::Listed, offers: vec![offer] }
}

/// Cores by hour, certain but for a tenth.
fn forecast(cores: &[f64]) -> Forecast {
    const LEVELS: [f64; 4] = [0.5, 0.9, 0.99, 0.999];
    const ABOVE: [f64; 4] = [0.9, 0.95, 1.0, 1.1];
    Forecast {
        subject: Subject::Workload(id()),
        signal: Signal::CpuCores,
        start_ms: 0,
        step_ms: HOUR_MS,
        mean: cores.to_vec(),
        levels: LEVELS.to_vec(),
        quantiles: Array2::from_shape_fn((4, cores.len()), |(level, hour)| cores[hour] * ABOVE[level]),
        lead_steps: 1,
        peak: ABOVE.iter().map(|above| above * cores[0]).collect(),
        trust: Trust { observations: 1000, ..Trust::default() },
        marks: Vec::new(),
        effects: Vec::new(),
    }
}

fn policy(instants: u32, node_change: f64) -> Policy {
    let target = Target {
        objective: Objective::Demand { quantile: 0.99 },
        max_replicas: 100,
        max_unavailable: Some(Amount::Percent(100)),
        ..default_policy().targets.remove(0)
    };
    let mut policy = Policy { targets: vec![target], ..default_policy() };
    policy.disruption.max_moves = Amount::Percent(100);
    policy.disruption.max_drains = Amount::Percent(100);
    policy.costs.node_change = node_change;
    policy.costs.move_per_core = 0.0;
    policy.planning.instants = instants;
    policy
}

fn stop() -> StopRule {
    StopRule { time_limit: Duration::from_mins(10), gap: 0.0, seed: 1, threads: 1 }
}

/// A plan that changes nothing, and the schedule from there.
fn schedule(replicas: u32, cores: &[f64], policy: &Policy) -> Schedule {
    scheduled((replicas, cores, policy), &stop(), &Stopped).expect("several instants")
}

fn scheduled(
    (replicas, cores, policy): (u32, &[f64], &Policy),
    stop: &StopRule,
    clock: &dyn Clock,
) -> Option<Schedule> {
    let snapshot = snapshot(replicas);
    let plan = nothing(&snapshot, policy);
    let given = horizon::Given {
        snapshot: &snapshot,
        catalog: &catalog(),
        policy,
        series: None,
        forecasts: &[forecast(cores)],
        plan: &plan,
    };
    horizon::schedule(given, stop, clock).unwrap()
}

fn nothing(snapshot: &Snapshot, policy: &Policy) -> Plan {
    let mut still = policy.clone();
    still.disruption.add_nodes = false;
    still.disruption.remove_nodes = false;
    optimize::plan(snapshot, &catalog(), &still, &[], &stop(), &Stopped, &mut |_| ()).unwrap()
}

fn nodes(schedule: &Schedule) -> Vec<usize> {
    schedule.instants.iter().map(|instant| instant.nodes).collect()
}

#[test]
fn nodes_follow_the_demand() {
    let found = schedule(4, &[3.9, 3.9, 15.9, 15.9, 7.9, 7.9], &policy(3, 0.001));
    assert_eq!(nodes(&found), [1, 4, 2]);
    assert!(found.instants.iter().all(|instant| instant.feasible && instant.unplaced == 0));
    assert_eq!(found.instants[1].replicas[&id()], 16);
    assert_eq!((found.instants[1].changes[0].bought, found.instants[2].changes[0].given_back), (3, 2));
    assert_eq!((found.instants[1].bucket.start_ms, found.instants[1].bucket.end_ms), (2 * HOUR_MS, 4 * HOUR_MS));
    assert_eq!(found.regretted, 0);
    assert!(found.bound <= found.cost);
}

#[test]
fn a_node_needed_again_before_the_saving_pays_is_not_given_back() {
    let cores = [15.9, 3.9, 15.9];
    // An hour of a node is 0.2; giving one back and buying it again twice the change.
    let cheap = schedule(16, &cores, &policy(3, 0.05));
    assert_eq!(nodes(&cheap), [4, 1, 4]);
    let dear = schedule(16, &cores, &policy(3, 0.15));
    assert_eq!(nodes(&dear), [4, 4, 4], "0.2 saved, 0.3 paid");
    assert_eq!((cheap.regretted, dear.regretted), (0, 0));
}

#[test]
fn replicas_fall_no_faster_than_behavior_lets_them() {
    let mut policy = policy(4, 0.001);
    policy.targets[0].behavior.scale_down.policies = vec![ScalingPolicy { amount: Amount::Count(2), period_s: 1800 }];
    // At once, after half an hour and after an hour: six an instant of an hour.
    let found = schedule(16, &[15.9, 1.9, 1.9, 1.9], &policy);
    let replicas: Vec<u32> = found.instants.iter().filter_map(|instant| instant.replicas.get(&id()).copied()).collect();
    // Four stay on the one node that two need as well.
    assert_eq!(replicas, [10, 4]);
    assert!(found.instants.iter().all(|instant| instant.feasible));
}

/// A clock on which every look takes a while, so that time goes by with the work and not with the machine.
struct Looks {
    each: Duration,
    looks: AtomicU32,
}

impl Clock for Looks {
    fn elapsed(&self) -> Duration {
        self.each * self.looks.fetch_add(1, Ordering::Relaxed)
    }
}

#[test]
fn a_schedule_begun_late_is_held_to_the_limit_of_the_whole_and_its_plans_are_sound() {
    let (cores, policy) = ([15.9, 1.9, 1.9, 1.9, 9.9, 15.9], policy(6, 0.001));
    let looks = |already: u32, limit: u32| {
        let clock = Looks { each: Duration::from_secs(1), looks: AtomicU32::new(already) };
        let stop = StopRule { time_limit: Duration::from_secs(limit.into()), ..stop() };
        let found = scheduled((16, &cores, &policy), &stop, &clock).expect("several instants");
        assert!(found.instants.iter().all(|instant| instant.feasible && instant.unplaced == 0));
        assert!(found.bound <= found.cost + 1e-9);
        clock.looks.into_inner() - already
    };
    let without_limit = looks(0, u32::MAX);
    // A tenth of the time that the whole takes is left.
    let late = looks(10 * without_limit, 10 * without_limit + without_limit / 10);
    assert!(late < without_limit / 2, "{late} looks, {without_limit} without a limit");
    let clock = Looks { each: Duration::from_secs(1), looks: AtomicU32::new(20) };
    let limit = |forecasts: &[Forecast]| {
        horizon::stop_for_now(&policy, forecasts, &StopRule { time_limit: Duration::from_secs(100), ..stop() }, &clock)
    };
    assert_eq!(limit(&[forecast(&cores)]).time_limit, Duration::from_mins(1));
    assert_eq!(limit(&[]).time_limit, Duration::from_secs(100));
}

#[test]
fn one_instant_is_no_schedule() {
    assert_eq!(scheduled((4, &[1.0, 2.0], &policy(1, 0.1)), &stop(), &Stopped), None);
}

/// The cheapest way through the instants with pods that move for nothing and no limit on how fast replicas fall: at most
/// the cheapest schedule.
fn relaxed_optimum(menus: &[Vec<Menu>], nodes_now: u32, policy: &Policy, hours: f64) -> f64 {
    let mut best: BTreeMap<u32, f64> = BTreeMap::from([(nodes_now, 0.0)]);
    for menu in menus {
        let mut next: BTreeMap<u32, f64> = BTreeMap::new();
        for (before, cost) in &best {
            for entry in &menu[0].entries {
                for nodes in entry.replicas.div_ceil(NODE_CORES)..=26 {
                    let stands = PRICE * f64::from(nodes) + entry.risk_cost_per_hour;
                    let change = policy.costs.node_change * f64::from(nodes.abs_diff(*before));
                    let total = cost + hours * stands + change;
                    let known = next.entry(nodes).or_insert(f64::INFINITY);
                    *known = known.min(total);
                }
            }
        }
        best = next;
    }
    best.into_values().fold(f64::INFINITY, f64::min)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_bound_is_below_every_schedule_and_the_schedule_is_not(
        cores in prop::collection::vec(0.5_f64..20.0, 4),
        replicas in 1_u32..20,
        node_change in 0.0_f64..0.5,
    ) {
        let policy = policy(4, node_change);
        let found = schedule(replicas, &cores, &policy);
        let from = snapshot(replicas);
        let whole = [forecast(&cores)];
        let instants: Vec<Vec<Forecast>> = whole[0].buckets(4).iter().map(|(steps, _)| sizing::over(&whole, steps)).collect();
        let menus = sizing::menus_of_instants(&from, None, &instants, &policy, 3600.0);
        let optimum = relaxed_optimum(&menus, replicas.div_ceil(NODE_CORES), &policy, 1.0);
        prop_assert!(found.bound <= optimum + 1e-6, "bound {} above {optimum}", found.bound);
        prop_assert!(found.cost >= optimum - 1e-6, "cost {} below {optimum}", found.cost);
        prop_assert_eq!(found.regretted, 0);
    }
}
