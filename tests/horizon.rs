//! Contention, lead time and losses, by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use ndarray::Array2;
use plimsoll::domain::catalog::{CapacityType, Catalog, NodeOffer, PriceSource};
use plimsoll::domain::clock::Stopped;
use plimsoll::domain::menu::Basis;
use plimsoll::domain::outlook::{LeadTime, Loss, Packing, Scenario};
use plimsoll::domain::policy::{Policy, Target};
use plimsoll::domain::resources::{CPU, MEMORY, PODS};
use plimsoll::domain::rules::ZONE_LABEL;
use plimsoll::domain::snapshot::{Amount, Node, Pod, PodTemplate, Workload};
use plimsoll::domain::usage::{Bucket, WorkloadUsage};
use plimsoll::domain::{Plan, Resources, Signal, Snapshot, StopRule, Usage, WorkloadId};
use plimsoll::horizon::{contention, lead_time, scenarios};
use plimsoll::optimize;
use plimsoll::policy::default_policy;
use proptest::prelude::*;

const GIB: i64 = 1 << 30;

fn id(name: &str) -> WorkloadId {
    WorkloadId { namespace: "shop".into(), kind: "Deployment".into(), name: name.into() }
}

fn node(name: &str, zone: &str, cores: i64) -> Node {
    let mut node = Node::plain(name, Resources::of([(CPU, 1000 * cores), (MEMORY, 64 * GIB), (PODS, 110)]));
    node.zone = zone.into();
    node.labels.insert(ZONE_LABEL.into(), zone.into());
    node
}

/// Workloads as (name, millicores a pod, the nodes their pods run on).
fn cluster(nodes: Vec<Node>, workloads: &[(&str, i64, &[&str])]) -> Snapshot {
    let mut snapshot = Snapshot { nodes, ..Snapshot::default() };
    for (number, (name, millis, on)) in workloads.iter().enumerate() {
        let requests = Resources::of([(CPU, *millis), (MEMORY, GIB)]);
        snapshot.templates.push(PodTemplate { namespace: "shop".into(), requests, ..PodTemplate::default() });
        snapshot.workloads.push(Workload::plain(id(name), number, on.len() as u32));
        for (pod, node) in on.iter().enumerate() {
            snapshot.pods.push(Pod::plain(id(name), &format!("{name}-{pod}"), number, Some(node)));
        }
    }
    snapshot
}

fn catalog(offers: &[(&str, f64)]) -> Catalog {
    let offer = |(name, boot_time_s): &(&str, f64)| NodeOffer {
        name: (*name).into(),
        zones: vec!["a".into()],
        capacity_type: CapacityType::OnDemand,
        price_per_hour: 0.2,
        allocatable: Resources::of([(CPU, 4000), (MEMORY, 64 * GIB), (PODS, 110)]),
        labels: BTreeMap::new(),
        taints: Vec::new(),
        quota: None,
        boot_time_s: *boot_time_s,
    };
    Catalog { name: "test".into(), prices: PriceSource::Listed, offers: offers.iter().map(offer).collect() }
}

/// Nothing is bought, moved or given back: the plan is what stands.
fn still(mut policy: Policy) -> Policy {
    policy.disruption.add_nodes = false;
    policy.disruption.remove_nodes = false;
    policy.disruption.max_moves = Amount::Count(0);
    policy
}

fn policy() -> Policy {
    let mut policy = default_policy();
    policy.costs.breach_per_replica_hour = 2.0;
    policy.planning.horizon_s = 3600;
    policy.planning.lead_time_s = 300;
    policy
}

fn plan_of(snapshot: &Snapshot, policy: &Policy) -> Plan {
    let stop = StopRule { time_limit: Duration::from_secs(20), gap: 0.0, seed: 1, threads: 1 };
    optimize::plan(snapshot, &catalog(&[]), policy, &[], &stop, &Stopped, &mut |_| ()).unwrap()
}

// ---- Contention. ----

fn usage(workloads: &[(&str, f64, u32)], buckets: usize) -> Usage {
    const LEVELS: [f64; 4] = [0.1, 0.5, 0.9, 0.99];
    let bucket = |i: usize| Bucket { start_ms: 1000 * i as i64, end_ms: 1000 * (i as i64 + 1) };
    let of = |(name, most, pods_now): &(&str, f64, u32)| {
        // Uniform up to `most` in the last bucket, nothing in the others.
        let cores = |(level, b): (usize, usize)| if b + 1 == buckets { most * LEVELS[level] } else { 0.0 };
        let usage = WorkloadUsage {
            standing: vec![0; buckets],
            entries: Vec::new(),
            levels: LEVELS.to_vec(),
            cores: Array2::from_shape_fn((LEVELS.len(), buckets), cores),
            pods_now: *pods_now,
        };
        (id(name), usage)
    };
    Usage { buckets: (0..buckets).map(bucket).collect(), workloads: workloads.iter().map(of).collect() }
}

fn contention_of(snapshot: &Snapshot, usage: &Usage) -> Packing {
    contention(snapshot, &plan_of(snapshot, &still(policy())), usage, 0.01)
}

#[test]
fn contention_is_where_quantiles_of_one_level_add_up_to_the_node() {
    // All of A, uniform up to 4 cores, and half of B's 2: 5·u cores on 4 are too many from u = 0.8 on.
    let snapshot = cluster(vec![node("x", "a", 4), node("y", "a", 4)], &[("a", 500, &["x"]), ("b", 500, &["x", "y"])]);
    let found = contention_of(&snapshot, &usage(&[("a", 4.0, 1), ("b", 2.0, 2)], 3));
    assert!((found.nodes["x"].probability - 0.2).abs() < 1e-9, "{found:?}");
    assert_eq!(found.nodes["x"].bucket, Bucket { start_ms: 2000, end_ms: 3000 });
    // One core of four at most: nothing is claimed below the highest level.
    assert!((found.nodes["y"].probability - 0.01).abs() < 1e-9, "{found:?}");
    assert_eq!(found.worst().map(|(name, _)| name), Some("x"));
}

#[test]
fn what_is_not_forecast_uses_what_it_requests_for_certain() {
    let snapshot = cluster(vec![node("x", "a", 4), node("y", "a", 4)], &[("a", 500, &["x"]), ("b", 1000, &["x", "y"])]);
    // Three cores are left for A's 5·u.
    let found = contention_of(&snapshot, &usage(&[("a", 5.0, 1)], 1));
    assert!((found.nodes["x"].probability - 0.4).abs() < 1e-9, "{found:?}");
    assert!(found.nodes["y"].probability.abs() < 1e-12, "all that it holds is certain: {found:?}");
}

// ---- Lead time. ----

#[test]
fn the_lead_time_covers_the_slowest_node_that_may_be_bought() {
    let mut policy = policy();
    policy.planning.decide_every_s = 60;
    policy.planning.image_pull_s = 30;
    let of = |policy: &Policy, offers: &[(&str, f64)]| lead_time(&catalog(offers), policy);
    // Stated are 300 s of an hour's horizon.
    let fits = of(&policy, &[("fast", 60.0), ("slow", 210.0)]);
    assert_eq!((fits.seconds, fits.offer.as_deref(), fits.is_raised()), (300, Some("slow"), false));
    let raised = of(&policy, &[("fast", 60.0), ("slow", 600.5)]);
    assert_eq!((raised.seconds, raised.boot_seconds, raised.is_raised()), (60 + 601 + 30, 601, true));
    assert_eq!(of(&policy, &[("slow", 86_400.0)]).seconds, 3600, "never beyond the horizon");
    policy.disruption.add_nodes = false;
    assert_eq!(of(&policy, &[("slow", 600.0)]).seconds, 300, "what is never bought is not waited for");
}

// ---- Losses. ----

fn scenarios_of(snapshot: &Snapshot, policy: &Policy, change: impl Fn(&mut Plan)) -> Vec<Scenario> {
    let mut plan = plan_of(snapshot, &still(policy.clone()));
    change(&mut plan);
    let lead_time = LeadTime { boot_seconds: 1500, image_pull_seconds: 300, ..LeadTime::default() };
    scenarios(snapshot, &catalog(&[]), policy, &plan, &lead_time)
}

fn zone(name: &str) -> Loss {
    Loss::Zone { zone: name.into() }
}

#[test]
fn pods_of_a_lost_zone_come_again_where_there_is_room() {
    // Each node has 4 cores. b1 has 1 core left and b2 has 2.5: of A's pods of 1.5 cores one finds room.
    let nodes = || vec![node("a1", "a", 4), node("b1", "b", 4), node("b2", "b", 4)];
    let snapshot = cluster(nodes(), &[("a", 1500, &["a1", "a1", "b1", "b1"]), ("b", 1500, &["b2"])]);
    let found = scenarios_of(&snapshot, &policy(), |_| ());
    assert_eq!(found.iter().map(|s| s.loss.clone()).collect::<Vec<_>>(), [zone("a"), zone("b")]);
    let lost = &found[0];
    assert_eq!((lost.nodes, lost.pods, lost.waiting), (1, 2, 1));
    assert_eq!((lost.losses_per_hour, lost.cost_per_hour), (None, None));
    let [short] = &lost.short[..] else { panic!("{lost:?}") };
    assert_eq!((short.replicas, short.needed, short.left_at_once, short.left), (4, 4, 2, 3));
    // Of the other zone's three pods a1 takes none: it has 1 core left.
    assert_eq!((found[1].nodes, found[1].pods, found[1].waiting, found[1].short.len()), (2, 3, 3, 2));
}

#[test]
fn a_workload_is_short_only_below_what_its_peak_needs() {
    let snapshot = cluster(vec![node("a1", "a", 4), node("b1", "b", 4)], &[("a", 1500, &["a1", "a1", "b1", "b1"])]);
    let peak = |peak: f64| {
        let basis = Basis::Demand {
            signal: Signal::CpuCores,
            quantile: 0.99,
            peak,
            peak_at_ms: 0,
            per_replica: 1.0,
            utilisation: 0.7,
        };
        move |plan: &mut Plan| plan.workloads[0].basis = basis.clone()
    };
    let found = scenarios_of(&snapshot, &policy(), peak(2.0));
    assert_eq!((found[0].waiting, found[0].short.len()), (2, 0), "2 of 4 carry it");
    let found = scenarios_of(&snapshot, &policy(), peak(2.5));
    assert_eq!((found[0].short[0].needed, found[0].short[0].left), (3, 2));
}

#[test]
fn a_zone_rule_is_asked_of_what_is_left_at_once() {
    let snapshot = cluster(vec![node("a1", "a", 8), node("b1", "b", 8)], &[("a", 1500, &["a1", "a1", "a1", "b1"])]);
    let target = Target { zone_loss: Some(Amount::Count(2)), ..policy().targets.remove(0) };
    let policy = Policy { targets: vec![target], ..policy() };
    let found = scenarios_of(&snapshot, &policy, |_| ());
    // All come again, but at once only one is left of the two that must be.
    let short = &found[0].short[0];
    assert_eq!((found[0].waiting, short.minimum, short.left_at_once, short.left), (0, Some(2), 1, 4));
    assert!(found[1].short.is_empty(), "{:?}", found[1]);
}

#[test]
fn spot_nodes_of_one_offer_in_one_zone_are_lost_together_and_priced() {
    let spot = |mut node: Node| {
        node.capacity_type = CapacityType::Spot;
        node
    };
    let nodes = vec![node("a1", "a", 4), spot(node("a2", "a", 4)), spot(node("b1", "b", 4))];
    let snapshot = cluster(nodes, &[("a", 3000, &["a1", "a2", "b1"])]);
    let mut policy = policy();
    policy.planning.spot_losses_per_hour = 0.01;
    let found = scenarios_of(&snapshot, &policy, |_| ());
    let spots: Vec<&Scenario> = found.iter().filter(|s| matches!(s.loss, Loss::Spot { .. })).collect();
    assert_eq!(spots.len(), 2);
    for scenario in spots {
        assert_eq!((scenario.nodes, scenario.pods, scenario.waiting), (1, 1, 1));
        // 0.01 an hour · ½ h until a new node serves · 3 replicas · 2 a replica and hour.
        assert!((scenario.cost_per_hour.unwrap() - 0.01 * 0.5 * 3.0 * 2.0).abs() < 1e-12);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// On nodes with nothing but CPU, pods that find room fit, and where the largest that waits would have fit anyway it
    /// is only because others went first.
    #[test]
    fn no_more_find_room_than_there_is(
        sizes in prop::collection::vec((100_i64..2000, 0_usize..4), 1..8),
        cores in prop::collection::vec(3_i64..8, 4),
    ) {
        let names = ["a1", "a2", "b1", "b2"];
        let nodes = names.iter().zip(&cores).map(|(name, cores)| node(name, &name[..1], *cores)).collect();
        let mut free: BTreeMap<&str, i64> = names.iter().zip(&cores).map(|(name, cores)| (*name, 1000 * cores)).collect();
        let mut placed: Vec<(String, i64, &str)> = Vec::new();
        for (number, (millis, at)) in sizes.iter().enumerate() {
            let on = free.get_mut(names[*at]).unwrap();
            if *on >= *millis {
                *on -= millis;
                placed.push((format!("w{number}"), *millis, names[*at]));
            }
        }
        let on: Vec<[&str; 1]> = placed.iter().map(|(_, _, node)| [*node]).collect();
        let workloads: Vec<(&str, i64, &[&str])> =
            placed.iter().zip(&on).map(|((name, millis, _), on)| (name.as_str(), *millis, &on[..])).collect();
        let snapshot = cluster(nodes, &workloads);
        for scenario in scenarios_of(&snapshot, &policy(), |_| ()) {
            let Loss::Zone { zone } = &scenario.loss else { continue };
            let lost: Vec<i64> =
                placed.iter().filter(|(_, _, node)| node.starts_with(zone.as_str())).map(|(_, millis, _)| *millis).collect();
            let left: i64 = free.iter().filter(|(name, _)| !name.starts_with(zone.as_str())).map(|(_, free)| *free).sum();
            let roomiest = free.iter().filter(|(name, _)| !name.starts_with(zone.as_str())).map(|(_, f)| *f).max();
            prop_assert_eq!(scenario.pods, lost.len());
            let waits: Vec<&str> = scenario.short.iter().map(|s| s.workload.name.as_str()).collect();
            prop_assert_eq!(waits.len(), scenario.waiting);
            let size = |name: &str| placed.iter().find(|(w, _, _)| w == name).map_or(0, |(_, millis, _)| *millis);
            let came: i64 = lost.iter().sum::<i64>() - waits.iter().map(|w| size(w)).sum::<i64>();
            prop_assert!(came <= left, "{came} of {left}");
            if scenario.waiting == scenario.pods && scenario.pods > 0 {
                prop_assert!(lost.iter().all(|millis| Some(*millis) > roomiest), "none came though one fits");
            }
        }
    }
}
