//! The sentences of kube-scheduler, filter by filter.

use super::*;
use crate::domain::rules::{HostPort, NodeSelectorTerm, Operator, Requirement, Toleration};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn node(name: &str, zone: &str, cpu: i64) -> Node {
    Node {
        labels: labels(&[(ZONE_LABEL, zone), (HOSTNAME_LABEL, name)]),
        zone: zone.to_owned(),
        ..Node::plain(name, Resources::of([("cpu", cpu), (PODS, 3)]))
    }
}

fn template(app: &str) -> PodTemplate {
    PodTemplate {
        namespace: "shop".to_owned(),
        labels: labels(&[("app", app)]),
        requests: Resources::of([("cpu", 1000)]),
        ..PodTemplate::default()
    }
}

fn select(app: &str) -> LabelSelector {
    LabelSelector { match_labels: labels(&[("app", app)]), match_expressions: Vec::new() }
}

fn term(app: &str, key: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        topology_key: key.to_owned(),
        selector: Some(select(app)),
        namespaces: Vec::new(),
        namespace_selector: None,
    }
}

fn spread(app: &str, min_domains: Option<i32>) -> TopologySpread {
    TopologySpread {
        max_skew: 1,
        topology_key: ZONE_LABEL.to_owned(),
        hard: true,
        selector: Some(select(app)),
        min_domains,
        honor_affinity: true,
        honor_taints: false,
    }
}

fn in_zone_b() -> NodeSelectorTerm {
    let zone = Requirement { key: ZONE_LABEL.to_owned(), operator: Operator::In, values: vec!["b".to_owned()] };
    NodeSelectorTerm { expressions: vec![zone], fields: Vec::new() }
}

/// The sentence for template 1 while one pod of template 0 stands on each of the nodes named.
fn sentence(nodes: &[Node], templates: &[PodTemplate], standing: &[&str]) -> String {
    let snapshot = Snapshot { nodes: nodes.to_vec(), templates: templates.to_vec(), ..Snapshot::default() };
    let mut cluster = Cluster::empty(&snapshot);
    for name in standing {
        let node = cluster.nodes.iter_mut().find(|n| n.name == *name).unwrap();
        node.place(0, &templates[0].requests);
    }
    why_not(&cluster, &templates[1], &templates[1].requests).sentence("nodes")
}

#[test]
fn each_filter_speaks_in_the_schedulers_words() {
    type Change = fn(&mut Node, &mut PodTemplate, &mut PodTemplate);
    let cases: [(Change, &str); 15] = [
        (|_, _, _| {}, "1/1 nodes are available."),
        (|n, _, _| n.unschedulable = true, "0/1 nodes are available: 1 node(s) were unschedulable."),
        (
            |n, _, _| {
                n.taints.push(Taint { key: "spot".to_owned(), value: String::new(), effect: TaintEffect::NoExecute });
            },
            "0/1 nodes are available: 1 node(s) had untolerated taint(s).",
        ),
        (
            |_, _, p| {
                p.rules.node_selector = labels(&[("gpu", "yes")]);
            },
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        ),
        (
            |_, p, q| {
                let port = HostPort { port: 80, protocol: "TCP".to_owned(), host_ip: String::new() };
                p.rules.host_ports.push(port.clone());
                q.rules.host_ports.push(port);
            },
            "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
        ),
        (
            |n, _, q| {
                n.allocatable = Resources::of([("cpu", 1500), (PODS, 1)]);
                q.requests.set("gpu", 1);
            },
            "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient gpu, 1 Too many pods.",
        ),
        (
            |_, _, q| q.rules.volume_affinity.push(vec![in_zone_b()]),
            "0/1 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity.",
        ),
        (
            |_, _, q| q.rules.volumes_to_make.push(vec![in_zone_b()]),
            "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind.",
        ),
        (
            |_, _, q| q.rules.volume_places.extend(in_zone_b().expressions),
            "0/1 nodes are available: 1 node(s) had no available volume zone.",
        ),
        (
            |n, _, q| {
                n.unschedulable = true;
                let name = Requirement {
                    key: "metadata.name".to_owned(),
                    operator: Operator::In,
                    values: vec!["another".to_owned()],
                };
                let term = NodeSelectorTerm { expressions: Vec::new(), fields: vec![name] };
                q.rules.node_affinity = Some(vec![term]);
            },
            "0/1 nodes are available: 1 node(s) didn't satisfy plugin(s) [NodeAffinity].",
        ),
        (|_, _, q| q.rules.topology_spread.push(spread("old", Some(2))), "1/1 nodes are available."),
        (
            |_, _, q| {
                q.rules.topology_spread.push(spread("old", Some(2)));
                q.labels = labels(&[("app", "old")]);
            },
            "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints.",
        ),
        (
            |n, _, q| {
                n.labels.remove(ZONE_LABEL);
                q.rules.topology_spread.push(spread("old", None));
            },
            "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints \
             (missing required label).",
        ),
        (
            |_, _, q| q.rules.pod_affinity.push(term("absent", ZONE_LABEL)),
            "0/1 nodes are available: 1 node(s) didn't match pod affinity rules.",
        ),
        (
            |_, _, q| q.rules.pod_anti_affinity.push(term("old", HOSTNAME_LABEL)),
            "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.",
        ),
    ];
    for (change, expected) in cases {
        let (mut node, mut old, mut new) = (node("a", "a", 4000), template("old"), template("new"));
        change(&mut node, &mut old, &mut new);
        assert_eq!(sentence(&[node], &[old, new], &["a"]), expected);
    }
}

#[test]
fn a_pod_that_stands_can_forbid_one_to_come() {
    let (mut old, new) = (template("old"), template("new"));
    old.rules.pod_anti_affinity.push(term("new", ZONE_LABEL));
    let nodes = [node("a", "z", 4000), node("b", "z", 4000), node("c", "y", 4000)];
    assert_eq!(
        sentence(&nodes, &[old.clone(), new.clone()], &["a"]),
        "1/3 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules."
    );
    let mut elsewhere = new;
    elsewhere.namespace = "other".to_owned();
    assert_eq!(sentence(&nodes, &[old, elsewhere], &["a"]), "3/3 nodes are available.");
}

#[test]
fn the_first_pod_of_a_group_that_wants_its_like_near_may_start_anywhere() {
    let (old, mut new) = (template("old"), template("new"));
    new.rules.pod_affinity.push(term("new", ZONE_LABEL));
    let nodes = [node("a", "z", 4000), node("b", "y", 4000)];
    assert_eq!(sentence(&nodes, &[old.clone(), new.clone()], &[]), "2/2 nodes are available.");
    let mut same = old;
    same.labels = new.labels.clone();
    assert_eq!(
        sentence(&nodes, &[same, new], &["a"]),
        "1/2 nodes are available: 1 node(s) didn't match pod affinity rules."
    );
}

#[test]
fn a_spread_leaves_out_nodes_its_pod_cannot_use() {
    let (old, mut new) = (template("old"), template("new"));
    new.labels = old.labels.clone();
    new.rules.topology_spread.push(spread("old", None));
    let mut empty = node("b", "y", 4000);
    let nodes = [node("a", "z", 4000), empty.clone()];
    assert_eq!(
        sentence(&nodes, &[old.clone(), new.clone()], &["a"]),
        "1/2 nodes are available: 1 node(s) didn't match pod topology spread constraints."
    );
    empty.labels.insert("pool".to_owned(), "other".to_owned());
    let pool = Requirement { key: "pool".to_owned(), operator: Operator::DoesNotExist, values: Vec::new() };
    new.rules.node_affinity = Some(vec![NodeSelectorTerm { expressions: vec![pool], fields: Vec::new() }]);
    assert_eq!(
        sentence(&[node("a", "z", 4000), empty], &[old, new], &["a"]),
        "1/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    );
}

#[test]
fn an_offered_node_may_open_a_zone_of_its_own() {
    let (old, mut new) = (template("old"), template("new"));
    new.labels = old.labels.clone();
    new.rules.topology_spread.push(spread("old", None));
    let templates = vec![old, new];
    let snapshot = Snapshot { nodes: vec![node("a", "z", 4000)], templates, ..Snapshot::default() };
    let mut cluster = Cluster::empty(&snapshot);
    for _ in 0..2 {
        cluster.nodes[0].place(0, &snapshot.templates[0].requests);
    }
    let offer = NodeOffer {
        name: "m".to_owned(),
        zones: vec!["z".to_owned(), "y".to_owned()],
        capacity_type: crate::domain::CapacityType::OnDemand,
        price_per_hour: 1.0,
        allocatable: Resources::of([("cpu", 1000), (PODS, 10)]),
        labels: Labels::new(),
        taints: Vec::new(),
        quota: None,
        boot_time_s: 0.0,
    };
    let offered: Vec<NodeState<'_>> = offer.zones.iter().map(|z| NodeState::offered(&offer, z, "new")).collect();
    let new = &snapshot.templates[1];
    assert_eq!(why_not_offered(&cluster, &offered, new, &new.requests).sentence("offers"), "2/2 offers are available.");
    let mut full = cluster.clone();
    full.nodes.push(NodeState::empty(&snapshot.nodes[0]));
    full.nodes[1].labels.to_mut().insert(ZONE_LABEL.to_owned(), "y".to_owned());
    let verdict = why_not_offered(&full, &offered, new, &new.requests);
    assert_eq!(verdict.reasons, [(Reason::TopologySpread, 1)], "zone y is empty, so zone z is full");
}

#[test]
fn gates_are_told_before_any_node_is_asked() {
    let mut gated = template("new");
    gated.rules.scheduling_gates.push("quota".to_owned());
    assert_eq!(
        sentence(&[node("a", "z", 4000)], &[template("old"), gated], &[]),
        "Scheduling is blocked due to non-empty scheduling gates: quota."
    );
    assert_eq!(sentence(&[], &[template("old"), template("new")], &[]), "no nodes available to schedule pods.");
}

#[test]
fn a_toleration_of_the_cordon_opens_a_cordoned_node() {
    let mut new = template("new");
    let key = "node.kubernetes.io/unschedulable".to_owned();
    new.rules.tolerations.push(Toleration { key: key.clone(), exists: true, value: String::new(), effect: None });
    let mut cordoned = node("a", "z", 4000);
    cordoned.unschedulable = true;
    cordoned.taints.push(Taint { key, value: String::new(), effect: TaintEffect::NoSchedule });
    assert_eq!(sentence(&[cordoned], &[template("old"), new], &[]), "1/1 nodes are available.");
}
