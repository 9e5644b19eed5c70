//! Volumes, quotas, gangs and preferences.

use super::breaks;
use super::case::*;

use crate::domain::Resources;
use crate::domain::plan::{PlacementState, Unplaced};
use crate::domain::quota::ResourceQuota;
use crate::domain::rules::{HOSTNAME_LABEL, TaintEffect, Weighted, ZONE_LABEL};
use crate::domain::snapshot::Gang;
use crate::domain::volumes::{ClaimToBind, Disk, SharedVolume, VolumeToBind, volume_limit};

fn limit() -> String {
    volume_limit("disks")
}

fn hold(case: &mut Case, most: i64) {
    for node in &mut case.snapshot.nodes {
        node.volume_limits.set(&limit(), most);
    }
}

fn disk(read_only: bool) -> Disk {
    Disk::GcePersistentDisk { name: "d".to_owned(), read_only }
}

/// A claim that needs one of these volumes, each in zone z1.
fn claim(volumes: &[&str]) -> ClaimToBind {
    let volume = |name: &&str| VolumeToBind { name: (*name).to_owned(), affinity: Some(vec![in_zone("z1")]) };
    ClaimToBind { claim: None, volumes: volumes.iter().map(volume).collect(), made: None }
}

#[test]
fn volumes_are_counted_shared_and_found() {
    breaks(&[
        (
            Case::packing,
            |c| {
                c.web().rules.volumes.own.set(&limit(), 1);
                hold(c, 1);
            },
            "node a is asked for 2 of attachable-volumes-csi-disks, but can hold 1",
        ),
        (
            Case::growing,
            |c| {
                // What is bought holds what its like hold.
                c.web().rules.volumes.own.set(&limit(), 2);
                hold(c, 1);
            },
            "node new-m5-z1-1 is asked for 2 of attachable-volumes-csi-disks, but can hold 1",
        ),
        (
            Case::packing,
            |c| c.web().rules.volumes.disks.push(disk(false)),
            "pods shop/web-1 and shop/web-0 have a disk on node a that they may not share",
        ),
        (
            Case::packing,
            |c| c.web().rules.volumes.single.push("data".to_owned()),
            "2 pods use claim shop/data, which only one may",
        ),
        (
            Case::packing,
            |c| c.web().rules.volumes.unbound = true,
            "pod shop/web-1 is placed, but a claim of it is not bound that must be before",
        ),
        (
            Case::packing,
            |c| c.web().rules.scheduling_gates.push("later".to_owned()),
            "pod shop/web-1 is placed, but its scheduling gates are closed",
        ),
        (
            Case::growing,
            |c| {
                c.web().rules.volumes.to_bind = vec![claim(&["v"])];
                c.plan.placements[4].state = PlacementState::New;
                c.snapshot.pods[2].node = None;
                c.plan.placements[2].state = PlacementState::New;
            },
            "no volume is left for a claim of pod shop/web-new-1 where it is placed",
        ),
    ]);
}

#[test]
fn a_volume_that_is_there_counts_once_and_readers_share_a_disk() {
    let mut case = Case::packing();
    case.web().rules.volumes.shared.push(SharedVolume { limit: limit(), handle: "v".to_owned() });
    case.web().rules.volumes.disks.push(disk(true));
    hold(&mut case, 1);
    assert_eq!(case.messages(), Vec::<String>::new());
    let mut still = Case::still();
    still.web().rules.volumes.own.set(&limit(), 3);
    still.web().rules.volumes.unbound = true;
    still.web().rules.volumes.single.push("data".to_owned());
    hold(&mut still, 1);
    assert_eq!(still.messages(), Vec::<String>::new(), "what stands may stay");
}

#[test]
fn volumes_are_matched_to_claims_and_not_only_handed_out_in_order() {
    let mut case = Case::growing();
    let mut other = case.snapshot.templates[WEB].clone();
    case.web().rules.volumes.to_bind = vec![claim(&["v", "w"])];
    other.rules.volumes.to_bind = vec![claim(&["v"])];
    case.snapshot.templates.push(other);
    // The pod that waits can have but one of them; the one to come can have either.
    (case.snapshot.pods[2].node, case.snapshot.pods[2].template) = (None, 2);
    case.plan.placements[2].state = PlacementState::New;
    assert_eq!(case.messages(), Vec::<String>::new());
}

fn quota(hard: &[(&str, i64)]) -> ResourceQuota {
    ResourceQuota {
        namespace: "shop".to_owned(),
        name: "cores".to_owned(),
        hard: Resources::of(hard.iter().copied()),
        used: Resources::default(),
        scopes: Vec::new(),
    }
}

#[test]
fn what_comes_or_grows_is_within_the_namespaces_quota() {
    breaks(&[
        (
            Case::growing,
            |c| c.snapshot.quotas.push(quota(&[("requests.cpu", 3250)])),
            "pods come or grow to requests.cpu=3300m, but resource quota shop/cores allows requests.cpu=3250m",
        ),
        (
            Case::growing,
            |c| c.snapshot.quotas.push(quota(&[("pods", 5)])),
            "pods come or grow to pods=6, but resource quota shop/cores allows pods=5",
        ),
        (
            Case::still,
            |c| {
                c.plan.workloads[1].requests = Resources::of([("cpu", 3500)]);
                c.snapshot.quotas.push(quota(&[("cpu", 7000)]));
            },
            "pods come or grow to cpu=7200m, but resource quota shop/cores allows cpu=7",
        ),
        (
            Case::growing,
            |c| {
                // What the quota itself says of its use counts, not what is seen of it.
                let mut used = quota(&[("requests.cpu", 4000)]);
                used.used.set("requests.cpu", 3500);
                c.snapshot.quotas.push(used);
            },
            "pods come or grow to requests.cpu=4600m, but resource quota shop/cores allows requests.cpu=4",
        ),
    ]);
    for start in [Case::still, Case::packing, Case::shrinking] {
        let mut case = start();
        case.snapshot.quotas.push(quota(&[("requests.cpu", 100), ("pods", 1)]));
        assert_eq!(case.messages(), Vec::<String>::new(), "what is charged too much already may stay so");
    }
}

#[test]
fn a_gang_comes_whole_or_not_at_all() {
    let gang = |c: &mut Case, min_members| {
        c.web().gang = Some("train".to_owned());
        c.snapshot.gangs.push(Gang { namespace: "shop".to_owned(), name: "train".to_owned(), min_members });
    };
    let mut case = Case::growing();
    gang(&mut case, 3);
    assert_eq!(case.messages(), Vec::<String>::new());
    case.snapshot.gangs[0].min_members = 4;
    assert_eq!(case.messages(), ["pods of pod group shop/train come, but 3 have a node in all and it needs 4 at once"]);
    let mut still = Case::still();
    gang(&mut still, 4);
    assert_eq!(still.messages(), Vec::<String>::new(), "what stands may stay");
}

/// The part of the cost that preferences are, in weights of 100.
fn unmet(mut case: Case) -> f64 {
    case.policy.costs.preference_per_hour = 1.0;
    assert_eq!(case.messages(), Vec::<String>::new());
    case.check().cost.preferences
}

#[test]
fn preferences_that_are_not_met_cost_by_their_weight() {
    let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
    let with = |start: fn() -> Case, change: &dyn Fn(&mut Case)| {
        let mut case = start();
        change(&mut case);
        unmet(case)
    };
    let weighted = |key: &str| Weighted { weight: 40, term: term("web", key) };
    let z1 = |c: &mut Case| c.web().rules.preferred_node_affinity.push(Weighted { weight: 30, term: in_zone("z1") });
    assert!(near(with(Case::still, &z1), 0.3), "one of two pods is in the other zone");
    assert!(near(with(Case::packing, &z1), 0.0));
    let rather = |c: &mut Case| c.snapshot.nodes[0].taints.push(taint(TaintEffect::PreferNoSchedule));
    assert!(near(with(Case::still, &rather), 1.0), "daemons are where their nodes are");
    let together = |c: &mut Case| c.web().rules.preferred_pod_affinity.push(weighted(HOSTNAME_LABEL));
    assert!(near(with(Case::still, &together), 0.8) && near(with(Case::packing, &together), 0.0));
    let apart = |c: &mut Case| c.web().rules.preferred_pod_anti_affinity.push(weighted(HOSTNAME_LABEL));
    assert!(near(with(Case::still, &apart), 0.0) && near(with(Case::packing, &apart), 0.8));
    let spread =
        |c: &mut Case| c.web().rules.topology_spread.push(super::TopologySpread { hard: false, ..spread("web") });
    // Two in one zone and none in the other would be one too many; the zone that is given back is none.
    assert!(near(with(Case::still, &spread), 0.0) && near(with(Case::packing, &spread), 0.0));
    let unlabelled = |c: &mut Case| {
        spread(c);
        c.snapshot.nodes[1].labels.remove(ZONE_LABEL);
    };
    assert!(near(with(Case::still, &unlabelled), 1.0), "a node in no domain meets no spread");
    let mut crowded = Case::growing();
    spread(&mut crowded);
    crowded.plan.placements[3].node = "a".to_owned();
    (crowded.snapshot.pods[3].node, crowded.snapshot.templates[WEB].requests) =
        (Some("a".to_owned()), Resources::of([("cpu", 1000)]));
    assert!(near(unmet(crowded), 2.0), "three in one zone, none in the other: two beyond the skew");
}

#[test]
fn pods_without_a_node_miss_no_preference() {
    let mut case = Case::still();
    case.web().rules.preferred_node_affinity.push(Weighted { weight: 100, term: in_zone("z3") });
    case.snapshot.pods[3].node = None;
    case.plan.placements.remove(3);
    let (namespace, workload) = ("shop".to_owned(), "Deployment/web".to_owned());
    case.plan.unplaced.push(Unplaced { namespace, workload, count: 1, reasons: Vec::new() });
    assert!((unmet(case) - 1.0).abs() < 1e-12);
}
