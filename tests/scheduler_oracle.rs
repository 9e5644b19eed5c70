//! Our verdicts against the real kube-scheduler's filters, on random clusters.
//!
//! Plans are replayed: every pod that a plan brings to a node must fit there with the others in their places.
//!
//! Each cluster is drawn as Kubernetes JSON, read by our ingest and by the oracle (which first treats it as the API
//! server would), and each (pod, node) pair is held: fits or not, and the scheduler's reasons word by word.

mod scheduler_oracle {
    pub(crate) mod cluster;
    pub(crate) mod oracle;
    mod rules;
    mod waves;
}

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use plimsoll::domain::Policy;
use plimsoll::domain::catalog::{CapacityType, Catalog, NodeOffer, PriceSource};
use plimsoll::domain::clock::{StopRule, Stopped};
use plimsoll::domain::plan::{NodeState, PlacementState, Plan};
use plimsoll::domain::policy::Preemption;
use plimsoll::domain::resources::{CPU, MEMORY, PODS, Resources};
use plimsoll::domain::rules::{HOSTNAME_LABEL, INSTANCE_TYPE_LABEL, Labels, Taint, TaintEffect, ZONE_LABEL};
use plimsoll::domain::snapshot::{Amount, Snapshot};
use plimsoll::ingest::{Source, kubernetes};
use plimsoll::optimize;
use plimsoll::optimize::eligibility::{Cluster, exceeded_quota, why_not, why_not_offered, why_not_there};
use plimsoll::{policy, sizing};
use scheduler_oracle::oracle::{Oracle, PodAnswer};
use serde_json::{Value, json};

/// Clusters drawn by the test; more by the environment, to search.
fn clusters() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("ORACLE_FIRST").unwrap_or(0);
    first..first + number("ORACLE_CLUSTERS").unwrap_or(200)
}

fn read(items: &[Value]) -> Snapshot {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let source = Source { name: "cluster".to_owned(), bytes: list.to_string().into_bytes() };
    kubernetes::snapshot(&[source]).unwrap()
}

#[derive(Default)]
struct Tally {
    pairs: usize,
    fits: usize,
    /// Pairs by the filter that rejects them.
    rejected: BTreeMap<String, usize>,
    sentences: usize,
    /// Pods that a quota refuses.
    refused: usize,
    mismatches: Vec<String>,
}

/// Filters whose every verdict is ours too.
const MODELLED: [&str; 11] = [
    "NodeUnschedulable",
    "TaintToleration",
    "NodeAffinity",
    "NodePorts",
    "NodeResourcesFit",
    "VolumeRestrictions",
    "NodeVolumeLimits",
    "VolumeBinding",
    "VolumeZone",
    "PodTopologySpread",
    "InterPodAffinity",
];

impl Tally {
    /// Holds our reasons about one node against the scheduler's.
    fn hold(&mut self, node: &str, ours: &BTreeSet<String>, pod: &PodAnswer, case: &str) {
        self.pairs += 1;
        let (plugin, theirs) = match pod.rejected.get(node) {
            Some(rejection) => {
                (rejection.plugin.as_str(), rejection.reasons.iter().flatten().cloned().collect::<BTreeSet<_>>())
            }
            None => ("", BTreeSet::new()),
        };
        if plugin.is_empty() {
            self.fits += 1;
        } else {
            *self.rejected.entry(plugin.to_owned()).or_default() += 1;
        }
        if *ours != theirs {
            let mismatch = format!("{case} {} on {node}: we say {ours:?}, {plugin} says {theirs:?}", pod.name);
            self.mismatches.push(mismatch);
        }
    }

    fn assert_equal(&self) {
        let most = std::env::var("ORACLE_SHOW").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
        let some: Vec<&String> = self.mismatches.iter().take(most).collect();
        assert!(some.is_empty(), "{} mismatches, among them {some:#?}", self.mismatches.len());
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pairs, fits, rejected, sentences, refused, .. } = self;
        write!(
            f,
            "{pairs} pairs, {fits} fit, {sentences} sentences, {refused} refused by quotas; rejected by {rejected:?}"
        )
    }
}

/// The quota and the resources of it that a refusal names; amounts may be written in other units.
fn exceeded(refusal: &str) -> Option<(&str, Vec<&str>)> {
    let (quota, rest) = refusal.strip_prefix("exceeded quota: ")?.split_once(", requested: ")?;
    let (requested, _) = rest.split_once(", used: ")?;
    Some((quota, requested.split(',').filter_map(|amount| Some(amount.split_once('=')?.0)).collect()))
}

/// Holds what we say of one pod against the scheduler.
fn compare(snapshot: &Snapshot, pod: &PodAnswer, case: &str, tally: &mut Tally) {
    let known = snapshot.pods.iter().find(|p| p.full_name() == pod.name).expect("the pod was read");
    let template = &snapshot.templates[known.template];
    let mut ours = template.requests.0.clone();
    ours.retain(|_, amount| *amount != 0);
    if ours != pod.requests {
        tally.mismatches.push(format!("{case} {}: we reserve {ours:?}, the scheduler {:?}", pod.name, pod.requests));
    }
    // What a resize under way reserves is not what a new pod of the kind would ask for.
    if pod.resizes {
        return;
    }
    // Where the pod stands it is asked about as if it were taken off.
    let mut without = snapshot.clone();
    without.pods.retain(|p| p.full_name() != pod.name);
    // A quota on CPU or memory also asks that every container states it; what exists does.
    if !pod.refused.starts_with("failed quota") {
        let ours = exceeded_quota(&without, template, &template.requests).unwrap_or_default();
        tally.refused += usize::from(!pod.refused.is_empty());
        if exceeded(&ours) != exceeded(&pod.refused) {
            let mismatch = format!("{case} {}: we say {ours:?}, the API server {:?}", pod.name, pod.refused);
            tally.mismatches.push(mismatch);
        }
    }
    let cluster = Cluster::now(&without);
    for node in &cluster.nodes {
        let ours = why_not_there(&cluster, node, template, &template.requests);
        let ours: BTreeSet<String> = ours.iter().map(ToString::to_string).collect();
        tally.hold(&node.name, &ours, pod, case);
    }
    let verdict = why_not(&cluster, template, &template.requests);
    if verdict.fitting == 0 {
        tally.sentences += 1;
        let ours = verdict.sentence("nodes");
        if ours != pod.message {
            tally.mismatches.push(format!("{case} {}: we say {ours:?}, the scheduler {:?}", pod.name, pod.message));
        }
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "what was compared is shown")]
fn every_verdict_is_the_schedulers() {
    let Some(mut oracle) = Oracle::start() else { return };
    let mut tally = Tally::default();
    for seed in clusters() {
        let items = scheduler_oracle::cluster::objects(seed);
        let before = tally.mismatches.len();
        let answer = oracle.ask(&items, true);
        let is_pod = |item: &Value| item["kind"] == "Pod";
        let others = items.iter().filter(|item| !is_pod(item));
        // As kubectl would export the cluster.
        let stored: Vec<Value> = others.clone().chain(&answer.stored).cloned().collect();
        // The pods that wait as their owner wrote them, before the API server adds anything.
        let bound = answer.stored.iter().filter(|pod| !pod["spec"]["nodeName"].is_null());
        let written = items.iter().filter(|item| is_pod(item) && item["spec"]["nodeName"].is_null());
        let applied: Vec<Value> = others.chain(bound).chain(written).cloned().collect();
        let (stored, applied) = (read(&stored), read(&applied));
        for pod in &answer.pods {
            compare(&stored, pod, &format!("stored {seed}"), &mut tally);
            if stored.pods.iter().any(|p| p.full_name() == pod.name && p.node.is_none()) {
                compare(&applied, pod, &format!("applied {seed}"), &mut tally);
            }
        }
        if tally.mismatches.len() > before {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("oracle-cluster-{seed}.json"));
            std::fs::write(path, serde_json::to_string_pretty(&json!({ "items": items })).unwrap()).unwrap();
        }
    }
    eprintln!("{tally}");
    tally.assert_equal();
    // A generator that no longer reaches a filter would make this test say nothing about it.
    let enough = clusters().count() / 2;
    for filter in MODELLED {
        assert!(tally.rejected.get(filter).is_some_and(|count| *count >= enough), "{filter} rejects too few pairs");
    }
    assert!(tally.refused >= enough, "quotas refuse too few pods");
    assert!(tally.fits >= 10 * enough && tally.sentences >= enough, "too few pairs fit, or too few pods fit nowhere");
}

/// Nodes that could be bought: without anything special, and with a taint, a rack and a disk.
fn offers() -> Catalog {
    let offer = |name: &str, cores: i64, price_per_hour, labels: &[(&str, &str)], taints: &[(&str, &str)]| NodeOffer {
        name: name.to_owned(),
        zones: ["z0", "z1", "z2"].map(str::to_owned).to_vec(),
        capacity_type: CapacityType::OnDemand,
        price_per_hour,
        allocatable: Resources::of([(CPU, cores * 1000), (MEMORY, cores << 31), (PODS, 10), ("example.com/gpu", 2)]),
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        taints: taints
            .iter()
            .map(|(key, value)| Taint {
                key: (*key).to_owned(),
                value: (*value).to_owned(),
                effect: TaintEffect::NoSchedule,
            })
            .collect(),
        quota: Some(4),
        boot_time_s: 60.0,
    };
    let offers = vec![
        offer("small", 4, 0.2, &[], &[]),
        offer("large", 32, 1.1, &[("rack", "k0"), ("disk", "ssd"), ("cores", "16")], &[("dedicated", "a")]),
    ];
    Catalog { name: "test".to_owned(), prices: PriceSource::Listed, offers }
}

/// A node that the plan buys, as it would join the cluster.
fn bought(catalog: &Catalog, name: &str, offer: &str, zone: &str) -> Value {
    let offer = catalog.offers.iter().find(|o| o.name == offer).expect("plans buy what is offered");
    let mut labels: Labels = offer.labels.clone();
    for (key, value) in [(HOSTNAME_LABEL, name), (INSTANCE_TYPE_LABEL, offer.name.as_str()), (ZONE_LABEL, zone)] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    let taints: Vec<Value> = offer
        .taints
        .iter()
        .map(|t| json!({"key": t.key, "value": t.value, "effect": format!("{:?}", t.effect)}))
        .collect();
    let mut allocatable = json!({});
    for (resource, amount) in offer.allocatable.iter() {
        let unit = if resource == CPU { "m" } else { "" };
        allocatable[resource] = json!(format!("{amount}{unit}"));
    }
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
        "spec": {"taints": taints}, "status": {"allocatable": allocatable, "capacity": allocatable}})
}

#[test]
#[expect(clippy::print_stderr, reason = "what was compared is shown")]
fn every_verdict_about_a_node_to_buy_is_the_schedulers_once_it_stands() {
    let Some(mut oracle) = Oracle::start() else { return };
    let catalog = offers();
    let mut tally = Tally::default();
    for seed in clusters().take(100) {
        let items = scheduler_oracle::cluster::objects(seed);
        let snapshot = read(&items);
        let cluster = Cluster::now(&snapshot);
        for (offer, zone) in catalog.offers.iter().flat_map(|o| o.zones.iter().map(move |zone| (o, zone))) {
            let mut with_node = items.clone();
            with_node.push(bought(&catalog, "new", &offer.name, zone));
            let offered = [optimize::eligibility::NodeState::offered(offer, zone, "new")];
            for pod in oracle.ask(&with_node, false).pods {
                let known = snapshot.pods.iter().find(|p| p.full_name() == pod.name).expect("the pod was read");
                let template = &snapshot.templates[known.template];
                let verdict = why_not_offered(&cluster, &offered, template, &template.requests);
                let ours: BTreeSet<String> = verdict.reasons.iter().map(|(reason, _)| reason.to_string()).collect();
                tally.hold("new", &ours, &pod, &format!("{seed} {}/{zone}", offer.name));
            }
        }
    }
    eprintln!("{tally}");
    tally.assert_equal();
}

/// The cluster when the plan is done, and the pods that come to a node by it, with whether they leave another.
fn after(items: &[Value], plan: &Plan, catalog: &Catalog) -> (Vec<Value>, BTreeMap<String, (String, bool)>) {
    let name = |item: &Value, field: &str| item["metadata"][field].as_str().unwrap_or_default().to_owned();
    let removed = |node: &str| plan.nodes.iter().any(|n| n.name == node && n.state == NodeState::Remove);
    let mut after: Vec<Value> = items
        .iter()
        .filter(|i| i["kind"] != "Pod" && !(i["kind"] == "Node" && removed(&name(i, "name"))))
        .cloned()
        .collect();
    let added = plan.nodes.iter().filter(|n| n.state == NodeState::Add);
    after.extend(added.map(|n| bought(catalog, &n.name, &n.offer, &n.zone)));
    let mut came = BTreeMap::new();
    for pod in items.iter().filter(|i| i["kind"] == "Pod") {
        let (namespace, own) = (name(pod, "namespace"), name(pod, "name"));
        let Some(placement) = plan.placements.iter().find(|p| p.namespace == namespace && p.pod == own) else {
            continue;
        };
        let mut pod = pod.clone();
        pod["spec"]["nodeName"] = json!(placement.node);
        after.push(pod);
        if placement.state != PlacementState::Stay {
            let moves = placement.state == PlacementState::Move;
            came.insert(format!("{namespace}/{own}"), (placement.node.clone(), moves));
        }
    }
    (after, came)
}

/// Filters whose verdict about a pod depends on who came before it.
const ORDERED: [&str; 2] = ["PodTopologySpread", "InterPodAffinity"];

/// Orders tried before it is said that there is none.
const ORDERS: u64 = 40;

/// Whether the pods that come can do so one by one, each accepted by the scheduler when it comes. Filters that only ever
/// reject more are left to the end.
fn comes_in_some_order(oracle: &mut Oracle, after: &[Value], came: &BTreeMap<String, (String, bool)>) -> bool {
    (0..ORDERS).any(|order| comes_in_order(oracle, after, came, order))
}

/// Whether they can in an order that prefers those that spread, and among them what the number says.
fn comes_in_order(oracle: &mut Oracle, after: &[Value], came: &BTreeMap<String, (String, bool)>, order: u64) -> bool {
    let full_name = |item: &Value| {
        let text = |field: &str| item["metadata"][field].as_str().unwrap_or_default().to_owned();
        format!("{}/{}", text("namespace"), text("name"))
    };
    let mut items = after.to_vec();
    let comes = |item: &Value| item["kind"] == "Pod" && came.contains_key(&full_name(item));
    for pod in items.iter_mut().filter(|item| comes(item)) {
        pod["spec"].as_object_mut().expect("pods have a spec").remove("nodeName");
    }
    let shuffled = |name: &str| {
        name.bytes().fold(order, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(17))
    };
    for _ in 0..came.len() {
        let fits = |pod: &&PodAnswer| {
            came.get(&pod.name).is_some_and(|(node, _)| {
                pod.rejected.get(node).is_none_or(|rejection| !ORDERED.contains(&rejection.plugin.as_str()))
            })
        };
        let answer = oracle.ask(&items, false);
        let preferred = |pod: &PodAnswer| {
            let item = items.iter().find(|item| item["kind"] == "Pod" && full_name(item) == pod.name);
            let spreads = item.is_some_and(|item| item["spec"]["topologySpreadConstraints"].is_array());
            (spreads, shuffled(&pod.name))
        };
        let Some(next) = answer.pods.iter().filter(fits).max_by_key(|pod| preferred(pod)) else { return false };
        let pod = items.iter_mut().find(|item| item["kind"] == "Pod" && full_name(item) == next.name);
        pod.expect("the pod was asked about")["spec"]["nodeName"] = json!(came[&next.name].0);
    }
    true
}

/// A pod of the mix that Karpenter's scheduling benchmark draws: plain, spread over zones, spread over hosts, together in
/// a zone, or apart on hosts; selectors of spreads are drawn apart from the pods' own labels.
fn mixed_pod(number: u64) -> Value {
    let draw = |salt: u64, below: usize| {
        let mixed = (4 * number + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 40) as usize % below
    };
    let letter = |salt: u64| ["a", "b", "c"][draw(salt, 3)];
    let cpu = [100, 250, 500, 1000, 1500][draw(3, 5)];
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "shop", "name": format!("pod-{number}"), "labels": {"my-label": letter(1)}},
        "spec": {"containers": [{"name": "main", "image": "app",
            "resources": {"requests": {"cpu": format!("{cpu}m"), "memory": "512Mi"}}}]}});
    let spread = |key: &str| {
        json!([{"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"my-label": letter(2)}}}])
    };
    let term = |labels: Value, key: &str| {
        json!({"requiredDuringSchedulingIgnoredDuringExecution":
            [{"labelSelector": {"matchLabels": labels}, "topologyKey": key}]})
    };
    match number % 5 {
        1 => pod["spec"]["topologySpreadConstraints"] = spread(ZONE_LABEL),
        2 => pod["spec"]["topologySpreadConstraints"] = spread(HOSTNAME_LABEL),
        3 => {
            let labels = json!({"my-affinity": letter(1)});
            pod["metadata"]["labels"] = labels.clone();
            pod["spec"]["affinity"]["podAffinity"] = term(labels, ZONE_LABEL);
        }
        4 => {
            pod["metadata"]["labels"] = json!({"app": "nginx"});
            pod["spec"]["affinity"]["podAntiAffinity"] = term(json!({"app": "nginx"}), HOSTNAME_LABEL);
        }
        _ => {}
    }
    pod
}

/// Spread over zones and hosts at once, from an empty cluster: nothing may be left, and each pod must have been accepted
/// when it came.
#[test]
fn what_is_bought_from_nothing_can_come_pod_by_pod() {
    let Some(mut oracle) = Oracle::start() else { return };
    let mut catalog = offers();
    for offer in &mut catalog.offers {
        offer.quota = None;
    }
    let policy = policy::default_policy();
    for first in [0, 1000] {
        let items: Vec<Value> = (first..first + 60).map(mixed_pod).collect();
        let snapshot = read(&items);
        let plan =
            optimize::plan(&snapshot, &catalog, &policy, &[], &StopRule::default(), &Stopped, &mut |_| ()).unwrap();
        assert!(plan.certificate.feasible, "{:?}", plan.certificate.violations);
        assert!(plan.unplaced.is_empty(), "{:?}", plan.unplaced);
        let (after, came) = after(&items, &plan, &catalog);
        assert_eq!(came.len(), 60);
        assert!(comes_in_some_order(&mut oracle, &after, &came), "from {first}");
    }
}

/// The default policy without a limit on moves and drains.
fn free_to_move() -> Policy {
    let mut policy = policy::default_policy();
    policy.disruption.max_moves = Amount::Percent(100);
    policy.disruption.max_drains = Amount::Percent(100);
    policy
}

/// Makes pods that wait important, and larger than what is mostly free.
fn crowd(items: &mut [Value]) {
    let waits = |item: &&mut Value| item["kind"] == "Pod" && item["spec"]["nodeName"].is_null();
    for item in items.iter_mut().filter(waits) {
        item["spec"]["priority"] = json!(1000);
        item["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("3");
    }
}

/// A random cluster's objects but those on their way out, what they are read as and its plan, if there is one that keeps every rule.
fn planned(seed: u64, catalog: &Catalog, policy: &Policy) -> Option<(Vec<Value>, Snapshot, Plan)> {
    let mut items = scheduler_oracle::cluster::objects(seed);
    items.retain(|item| item["metadata"]["deletionTimestamp"].is_null());
    if policy.disruption.preemption == Preemption::LowerPriority {
        crowd(&mut items);
    }
    let snapshot = read(&items);
    let menus = sizing::menus(&snapshot, None, &[], policy);
    let stop = StopRule { gap: 0.05, ..StopRule::default() };
    let plan = optimize::plan(&snapshot, catalog, policy, &menus, &stop, &Stopped, &mut |_| ()).unwrap();
    plan.certificate.feasible.then_some((items, snapshot, plan))
}

#[test]
#[expect(clippy::print_stderr, reason = "what was compared is shown")]
fn every_pod_a_plan_places_fits_its_node() {
    let Some(mut oracle) = Oracle::start() else { return };
    let catalog = offers();
    let policy = free_to_move();
    let (mut plans, mut replayed, mut moved, mut in_order, mut misfits) = (0, 0, 0, 0, Vec::new());
    for seed in clusters() {
        let Some((items, _, plan)) = planned(seed, &catalog, &policy) else { continue };
        plans += 1;
        let (after, came) = after(&items, &plan, &catalog);
        let mut rejected = Vec::new();
        for pod in oracle.ask(&after, true).pods {
            let Some((node, moves)) = came.get(&pod.name) else { continue };
            // What a resize under way reserves is not what the pod asks for elsewhere.
            if pod.resizes {
                continue;
            }
            replayed += 1;
            moved += usize::from(*moves);
            if let Some(rejection) = pod.rejected.get(node) {
                rejected.push((rejection.plugin.clone(), format!("{seed} {} on {node}: {rejection:?}", pod.name)));
            }
        }
        // What depends on who came first is judged when it comes.
        let ordered = |(plugin, _): &(String, String)| ORDERED.contains(&plugin.as_str());
        if rejected.iter().any(ordered) && comes_in_some_order(&mut oracle, &after, &came) {
            in_order += 1;
            rejected.retain(|rejection| !ordered(rejection));
        }
        misfits.extend(rejected.into_iter().map(|(_, text)| text));
    }
    eprintln!(
        "{plans} plans, {in_order} of them replayed in order; {replayed} pods came to a node, {moved} from another"
    );
    assert!(misfits.is_empty(), "{} misfits: {:#?}", misfits.len(), misfits.iter().take(20).collect::<Vec<_>>());
}
