//! One rule at a time: waves that it takes apart, and what it holds back.

use crate::domain::Resources;
use crate::domain::policy::Spread;
use crate::domain::quota::ResourceQuota;
use crate::domain::resources::{CPU, PODS};
use crate::domain::rules::{HOSTNAME_LABEL, PodAffinityTerm, TopologySpread, ZONE_LABEL};
use crate::domain::snapshot::Gang;
use crate::domain::volumes::{ClaimToBind, Disk, SharedVolume, VolumeToBind, volume_limit};

use super::case::*;

fn quota(case: &mut Case, hard: &[(&str, i64)]) {
    case.snapshot.quotas.push(ResourceQuota {
        namespace: "shop".into(),
        name: "q".into(),
        hard: Resources::of(hard.iter().copied()),
        used: Resources::default(),
        scopes: Vec::new(),
    });
}

fn in_zones(case: &mut Case, zones: &[&str]) {
    for (node, zone) in case.snapshot.nodes.iter_mut().zip(zones) {
        node.zone = (*zone).to_owned();
        node.labels.insert(ZONE_LABEL.into(), node.zone.clone());
    }
}

fn spread(of: &str, key: &str) -> TopologySpread {
    TopologySpread {
        max_skew: 1,
        topology_key: key.into(),
        hard: true,
        selector: Some(selector(of)),
        min_domains: None,
        honor_affinity: true,
        honor_taints: false,
    }
}

#[test]
fn what_is_made_waits_for_what_the_quota_is_given_back() {
    let mut case = Case::new(&["a"], &[("new", (1, 100), (2, 100)), ("old", (2, 100), (1, 100))]);
    case.pod("new", "new-1", "a", "a");
    case.pod("new", "new-new-1", "", "a");
    case.pod("old", "old-1", "a", "a");
    case.pod("old", "old-2", "a", "");
    quota(&mut case, &[(PODS, 3)]);
    assert_eq!(case.waves(), [vec!["old 2→1"], vec!["new 1→2", "new-new-1→a"]]);
    case.snapshot.quotas[0].used = Resources::of([(PODS, 4)]);
    assert_eq!(case.deferred(), ["new 1→2 | resource quota shop/q of pods"], "as much is charged as the quota says");
}

#[test]
fn what_grows_keeps_within_the_quota_and_what_moves_passes_its_charge_on() {
    let mut case = Case::new(&["a", "b"], &[("db", (1, 300), (1, 400)), ("web", (1, 300), (1, 300))]);
    case.pod("db", "db-1", "a", "a");
    case.pod("web", "web-1", "a", "b");
    quota(&mut case, &[("requests.cpu", 650), (PODS, 2)]);
    assert_eq!(case.waves(), [["web-1: a→b"]]);
    assert_eq!(case.deferred(), ["db 300m→400m | resource quota shop/q of requests.cpu"]);
    case.snapshot.quotas[0].hard.set("requests.cpu", 700);
    assert_eq!(case.waves(), [["db 300m→400m"], ["web-1: a→b"]]);
}

#[test]
fn a_gang_comes_in_one_wave_or_waits() {
    // Two of `train` need a node at once, and one of them only has room once db-1 has left.
    let mut case = Case::new(&["a", "b"], &[("db", (1, 700), (1, 700)), ("train", (2, 400), (2, 400))]);
    case.pod("db", "db-1", "a", "b");
    case.pod("train", "train-1", "", "a");
    case.pod("train", "train-2", "", "a");
    case.snapshot.nodes[1].allocatable.set(CPU, 700);
    case.snapshot.templates[1].gang = Some("g".into());
    case.snapshot.gangs.push(Gang { namespace: "shop".into(), name: "g".into(), min_members: 2 });
    assert_eq!(case.waves(), [vec!["db-1: a→b"], vec!["train-1→a", "train-2→a"]]);
    case.policy.disruption.max_moves = crate::domain::snapshot::Amount::Count(0);
    assert!(case.waves().is_empty());
    case.snapshot.nodes[0].allocatable.set(CPU, 1100);
    assert!(case.waves().is_empty(), "there is room for one of two");
    let held = "pod group shop/g, of which 2 come at once";
    let deferred = case.deferred();
    assert!(deferred.contains(&format!("train-1→a | {held}")), "{deferred:?}");
}

#[test]
fn a_gang_is_counted_with_its_pods_that_stand() {
    let mut case = Case::new(&["a"], &[("train", (3, 100), (3, 100))]);
    case.pod("train", "train-1", "a", "a");
    case.pod("train", "train-2", "", "a");
    case.snapshot.templates[0].gang = Some("g".into());
    case.snapshot.gangs.push(Gang { namespace: "shop".into(), name: "g".into(), min_members: 2 });
    assert_eq!(case.waves(), [["train-2→a"]]);
    case.snapshot.gangs[0].min_members = 3;
    assert_eq!(case.deferred(), ["train-2→a | pod group shop/g, of which 3 come at once"]);
}

#[test]
fn volumes_of_pods_that_leave_count_until_they_have_left() {
    let mut case = Case::new(&["a", "b", "c"], &[("db", (1, 100), (1, 100)), ("web", (1, 100), (1, 100))]);
    case.pod("db", "db-1", "b", "c");
    case.pod("web", "web-1", "a", "b");
    let limit = volume_limit("disks");
    case.snapshot.nodes.iter_mut().for_each(|n| n.volume_limits.set(&limit, 1));
    for template in &mut case.snapshot.templates {
        template.rules.volumes.own.set(&limit, 1);
    }
    assert_eq!(case.waves(), [["db-1: b→c"], ["web-1: a→b"]]);
    // A driver without a limit takes any number.
    case.snapshot.nodes[1].volume_limits = Resources::default();
    assert_eq!(case.waves(), [["db-1: b→c", "web-1: a→b"]]);
}

#[test]
fn a_shared_volume_counts_once_on_a_node() {
    let mut case = Case::new(&["a", "b"], &[("db", (1, 100), (1, 100)), ("web", (2, 100), (2, 100))]);
    case.pod("db", "db-1", "b", "b");
    case.pod("web", "web-1", "", "b");
    case.pod("web", "web-2", "", "b");
    let limit = volume_limit("disks");
    case.snapshot.nodes[1].volume_limits.set(&limit, 2);
    case.snapshot.templates[0].rules.volumes.own.set(&limit, 1);
    let shared = SharedVolume { limit: volume_limit("disks"), handle: "v".into() };
    case.snapshot.templates[1].rules.volumes.shared = vec![shared];
    assert_eq!(case.waves(), [["web-1→b", "web-2→b"]]);
    case.snapshot.nodes[1].volume_limits.set(&limit, 1);
    assert_eq!(case.deferred()[0], format!("web-1→b | {limit} on node b"));
}

#[test]
fn a_claim_of_one_pod_moves_with_it_and_is_nobody_elses_until_it_is_free() {
    let mut case = Case::new(&["a", "b"], &[("db", (1, 100), (1, 100)), ("web", (2, 100), (1, 100))]);
    case.pod("db", "db-1", "a", "b");
    case.pod("web", "web-1", "a", "a");
    case.pod("web", "web-2", "a", "");
    case.snapshot.templates[0].rules.volumes.single = vec!["claim".into()];
    assert_eq!(case.waves(), [["db-1: a→b"], ["web 2→1"]], "it is evicted first");
    case.snapshot.templates[1].rules.volumes.single = vec!["claim".into()];
    assert_eq!(case.waves(), [["web 2→1"]]);
    assert_eq!(case.deferred(), ["db-1: a→b | claim shop/claim, which pod web-1 uses"]);
}

#[test]
fn a_disk_that_leaves_a_node_is_there_until_its_wave_ends() {
    let mut case = Case::new(&["a", "b", "c"], &[("db", (1, 100), (1, 100)), ("web", (1, 100), (1, 100))]);
    case.pod("db", "db-1", "b", "c");
    case.pod("web", "web-1", "a", "b");
    for template in &mut case.snapshot.templates {
        template.rules.volumes.disks = vec![Disk::AwsElasticBlockStore { id: "d".into() }];
    }
    assert_eq!(case.waves(), [["db-1: b→c"], ["web-1: a→b"]]);
}

#[test]
fn each_claim_finds_a_volume_of_its_own_over_all_waves() {
    let mut case = Case::new(&["a", "+b"], &[("web", (3, 100), (3, 100))]);
    for (pod, node) in [("web-1", "a"), ("web-2", "b"), ("web-3", "b")] {
        case.pod("web", pod, "", node);
    }
    let volume = |name: &str| VolumeToBind { name: name.into(), affinity: None };
    let claim = ClaimToBind { claim: None, volumes: vec![volume("v1"), volume("v2")], made: None };
    case.snapshot.templates[0].rules.volumes.to_bind = vec![claim];
    assert_eq!(case.waves(), [vec!["add b"], vec!["web-1→a", "web-2→b"]]);
    assert_eq!(case.deferred(), ["web-3→b | no volume for a claim of pod shop/web-3"]);
}

#[test]
fn pods_that_spread_come_in_an_order_that_keeps_the_skew() {
    let mut case = Case::new(&["a", "b", "c"], &[("web", (5, 100), (5, 100))]);
    in_zones(&mut case, &["z0", "z1", "z1"]);
    case.pod("web", "web-1", "a", "a");
    // The second to a must wait for the first to b, which comes after it in the plan.
    for (pod, node) in [("web-2", "a"), ("web-3", "b"), ("web-4", "a"), ("web-5", "c")] {
        case.pod("web", pod, "", node);
    }
    case.snapshot.templates[0].rules.topology_spread = vec![spread("web", ZONE_LABEL)];
    assert_eq!(case.waves(), [["web-2→a", "web-3→b", "web-4→a", "web-5→c"]]);
    case.plan.placements[4].node = "a".into();
    assert_eq!(case.waves(), [["web-3→b", "web-4→a"]], "3 and 1 would be a skew of 2");
    assert_eq!(case.deferred()[0], "web-2→a | topology spread in topology.kubernetes.io/zone=z0");
}

#[test]
fn pods_that_change_places_leave_before_either_comes() {
    let mut case = Case::new(&["a", "b"], &[("web", (2, 100), (2, 100))]);
    in_zones(&mut case, &["z0", "z1"]);
    case.pod("web", "web-1", "a", "b");
    case.pod("web", "web-2", "b", "a");
    case.snapshot.templates[0].rules.topology_spread = vec![spread("web", ZONE_LABEL)];
    assert_eq!(case.waves(), [["web-1: a→b", "web-2: b→a"]]);
}

#[test]
fn a_node_to_be_given_back_is_a_domain_as_long_as_it_stands() {
    let mut case = Case::new(&["a", "-b"], &[("web", (2, 100), (2, 100))]);
    case.pod("web", "web-1", "a", "a");
    case.pod("web", "web-2", "b", "a");
    case.snapshot.templates[0].rules.topology_spread = vec![spread("web", HOSTNAME_LABEL)];
    assert!(case.waves().is_empty(), "its successor would wait on a until b is gone");
    assert_eq!(case.deferred()[0], "web-2: b→a | topology spread in kubernetes.io/hostname=a");
    // Where the spread looks at taints, a cordoned node is none.
    case.snapshot.templates[0].rules.topology_spread[0].honor_taints = true;
    assert_eq!(case.waves(), [["cordon b"], ["web-2: b→a"], ["remove b"]]);
}

#[test]
fn a_pod_follows_the_pods_that_it_must_be_near() {
    let mut case = Case::new(&["a", "b"], &[("db", (1, 700), (1, 700)), ("web", (2, 200), (2, 200))]);
    in_zones(&mut case, &["z0", "z1"]);
    case.pod("db", "db-1", "a", "b");
    case.pod("web", "web-1", "a", "b");
    case.pod("web", "web-2", "", "b");
    case.snapshot.nodes[1].allocatable.set(CPU, 1100);
    case.snapshot.templates[1].rules.pod_affinity = vec![PodAffinityTerm {
        topology_key: ZONE_LABEL.into(),
        selector: Some(selector("db")),
        namespaces: Vec::new(),
        namespace_selector: None,
    }];
    assert_eq!(case.waves(), [vec!["db-1: a→b", "web-1: a→b"], vec!["web-2→b"]]);
    case.snapshot.templates[0].rules.host_ports.clear();
    case.plan.placements.retain(|p| p.pod != "db-1");
    assert_eq!(case.deferred()[0], "web-2→b | pod affinity in topology.kubernetes.io/zone=z1");
}

#[test]
fn no_wave_leaves_a_target_further_from_what_it_asks() {
    let mut case = Case::new(&["a", "b", "c"], &[("web", (4, 100), (4, 100))]);
    in_zones(&mut case, &["z0", "z1", "z1"]);
    for (pod, now, then) in [("web-1", "a", "b"), ("web-2", "a", "a"), ("web-3", "b", "a"), ("web-4", "c", "c")] {
        case.pod("web", pod, now, then);
    }
    case.policy.targets[0].spread = Some(Spread { topology_key: ZONE_LABEL.into(), max_skew: 1 });
    assert_eq!(case.waves(), [["web-1: a→b", "web-3: b→a"]], "together they keep zones even");
    case.policy.targets[0].max_unavailable = Some(crate::domain::snapshot::Amount::Count(1));
    assert!(case.waves().is_empty());
    assert_eq!(case.deferred()[0], "web-1: a→b | targets.web.spread");
    // What is broken already may stay so.
    case.snapshot.pods[1].node = Some("b".into());
    case.plan.placements[1].from = Some("b".into());
    case.plan.placements[1].state = crate::domain::plan::PlacementState::Move;
    assert_eq!(case.waves()[0], ["web-2: b→a"]);
}
