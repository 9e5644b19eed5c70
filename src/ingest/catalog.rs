//! Node offers: read from the owner's `NodeCatalog`, or estimated from the nodes that exist.

mod estimate;

use std::collections::BTreeMap;

pub use estimate::estimated;

use crate::Source;
use crate::document::{self, Limits, Node};
use crate::domain::catalog::{CapacityType, Catalog, NodeOffer, PriceSource};
use crate::domain::policy::Place;
use crate::domain::resources::{CPU, MEMORY, PODS, Resources};
use crate::domain::rules::{HOSTNAME_LABEL, INSTANCE_TYPE_LABEL, Labels, Taint, TaintEffect, ZONE_LABEL};
use crate::domain::{InputError, Location};
use crate::fields::{Fields, NOT_NEGATIVE, Reading, object_name, text};

/// A list of everything the largest provider sells, in every zone, is about a tenth of this.
const LIMITS: Limits = Limits { bytes: 32 << 20, nodes: 1_000_000 };
/// What the kubelet allows unless it is told otherwise.
const DEFAULT_PODS: i64 = 110;
/// A usual time from asking a cloud for a node to its being ready.
const DEFAULT_BOOT_TIME_S: f64 = 90.0;
/// The kubelet sets it on each node; charts select by it so often that an offer without it would take few pods.
const OS_LABEL: &str = "kubernetes.io/os";

/// Reads a catalog in YAML or JSON.
///
/// # Errors
/// The first problem in the document, with its line and column.
pub fn parse(source: &Source) -> Result<Catalog, InputError> {
    let root = document::read(source, LIMITS)?;
    let mut reading = Reading::new(&source.name);
    let catalog = reading.mapping(&root, "", read_document).flatten();
    let first = reading.problems.into_iter().min_by_key(|problem| match problem.location {
        Location::LineColumn(line, column) => (line, column),
        _ => (0, 0),
    });
    match (first, catalog) {
        (None, Some(catalog)) => Ok(catalog),
        (Some(problem), _) => Err(problem),
        (None, None) => Err(InputError::whole(&source.name, "is not a node catalog")),
    }
}

fn read_document(fields: &mut Fields<'_>) -> Option<Catalog> {
    fields.require("apiVersion", "begin with apiVersion: plimsoll.dev/v1alpha1");
    fields.require("kind", "say kind: NodeCatalog");
    fields.require("spec", "list offers under spec.offers");
    fields.choice("apiVersion", &[("plimsoll.dev/v1alpha1", ())]);
    fields.choice("kind", &[("NodeCatalog", ())]);
    fields.require("metadata", "say metadata: {name: …}");
    let name = fields.mapping("metadata", object_name).flatten();
    let offers = fields.mapping("spec", |spec| {
        spec.require("offers", "list what can be bought");
        let mut sold = BTreeMap::new();
        spec.filled_list("offers", |reading, node, path| read_offer(reading, node, path, &mut sold))
    });
    Some(Catalog { name: name?, prices: PriceSource::Listed, offers: offers.flatten()? })
}

/// An offer's name, capacity type and zone: at most one price for each.
type Sold = BTreeMap<(String, CapacityType, String), Place>;

fn read_offer(reading: &mut Reading, node: &Node, path: &str, sold: &mut Sold) -> Option<NodeOffer> {
    let offer = reading.mapping(node, path, |fields| {
        fields.require("name", "name the offer by the nodes' instance type label");
        fields.require("pricePerHour", "say the price of one node for an hour, e.g. pricePerHour: 0.192");
        fields.require("allocatable", "say what pods may ask for, e.g. {cpu: 3920m, memory: 15Gi, pods: 58}");
        let name = fields.text("name");
        if name.as_deref() == Some("") {
            fields.problem("name", "expected a name, found an empty text");
        }
        let zones = fields.filled_list("zones", text);
        let capacity_types = [("on-demand", CapacityType::OnDemand), ("spot", CapacityType::Spot)];
        let capacity_type = fields.choice_or("capacityType", &capacity_types, CapacityType::OnDemand);
        let price_per_hour = fields.number("pricePerHour", NOT_NEGATIVE);
        let allocatable = fields.resources("allocatable");
        if let Some(resources) = &allocatable {
            for resource in [CPU, MEMORY] {
                if resources.get(resource) == 0 {
                    fields.problem("allocatable", &format!("expected {resource} above 0"));
                }
            }
        }
        let labels = read_labels(fields);
        let taints = fields.list("taints", |reading, node, path| reading.mapping(node, path, read_taint)?);
        let quota = fields.whole("quota", 0..=1_000_000);
        let boot_time_ms = fields.duration_ms("bootTime", 0..=86_400_000, "from 0s to 1d");
        let name = name?;
        let mut allocatable: Resources = allocatable?;
        if !allocatable.0.contains_key(PODS) {
            allocatable.set(PODS, DEFAULT_PODS);
        }
        let mut labels = labels;
        labels.entry(INSTANCE_TYPE_LABEL.to_owned()).or_insert_with(|| name.clone());
        labels.entry(OS_LABEL.to_owned()).or_insert_with(|| "linux".to_owned());
        Some(NodeOffer {
            name,
            zones: zones.unwrap_or_else(|| vec![String::new()]),
            capacity_type: capacity_type?,
            price_per_hour: price_per_hour?,
            allocatable,
            labels,
            taints: taints.unwrap_or_default(),
            quota,
            boot_time_s: boot_time_ms.map_or(DEFAULT_BOOT_TIME_S, |ms| ms as f64 / 1000.0),
        })
    })??;
    for zone in &offer.zones {
        let key = (offer.name.clone(), offer.capacity_type, zone.clone());
        if let Some(first) = sold.insert(key, node.place) {
            let place = if zone.is_empty() { String::new() } else { format!(" in zone {zone}") };
            let problem = format!(
                "{path}: {} {}{place} is offered in line {} already",
                offer.capacity_type, offer.name, first.line
            );
            reading.problem_with_hint(node.place, problem, "one name and capacity type has one price in a zone");
        }
    }
    Some(offer)
}

fn read_labels(fields: &mut Fields<'_>) -> Labels {
    let labels = fields.labels("labels").unwrap_or_default();
    for key in [HOSTNAME_LABEL, ZONE_LABEL] {
        if labels.contains_key(key) {
            fields.problem("labels", &format!("{key} is set on each node by itself, leave it out"));
        }
    }
    labels
}

fn read_taint(fields: &mut Fields<'_>) -> Option<Taint> {
    fields.require("key", "name the taint's key");
    fields.require("effect", "say NoSchedule, PreferNoSchedule or NoExecute");
    let key = fields.text("key");
    let value = fields.text("value").unwrap_or_default();
    let effects = [
        ("NoSchedule", TaintEffect::NoSchedule),
        ("PreferNoSchedule", TaintEffect::PreferNoSchedule),
        ("NoExecute", TaintEffect::NoExecute),
    ];
    let effect = fields.choice("effect", &effects);
    Some(Taint { key: key?, value, effect: effect? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Snapshot;
    use crate::domain::policy::Planning;
    use crate::domain::pricing::{estimate_price, match_offer};
    use crate::domain::rules::Requirement;
    use crate::domain::rules::{NodeSelectorTerm, Operator};
    use crate::domain::snapshot::{Node as ClusterNode, PodTemplate};

    const EXAMPLE: &str = r#"
apiVersion: plimsoll.dev/v1alpha1
kind: NodeCatalog
metadata: { name: example }
spec:
  offers:
  - name: m5.xlarge
    zones: [r1a, r1b]
    capacityType: on-demand
    pricePerHour: 0.192
    allocatable: { cpu: 3920m, memory: 15Gi, pods: "58" }
    labels: { node.kubernetes.io/instance-type: m5.xlarge }
    taints: []
    quota: 100
    bootTime: 90s
  - name: m5.xlarge
    zones: [r1a]
    capacityType: spot
    pricePerHour: 0.07
    allocatable: { cpu: 3.92, memory: 16106127360, nvidia.com/gpu: 1 }
    taints: [{ key: dedicated, value: gpu, effect: NoSchedule }]
    bootTime: 2m
"#;

    fn source(text: &str) -> Source {
        Source { name: "c.yaml".into(), bytes: text.as_bytes().to_vec() }
    }

    fn error(text: &str) -> String {
        let error = parse(&source(text)).unwrap_err();
        error.hint.as_ref().map_or_else(|| error.to_string(), |hint| format!("{error} ({hint})"))
    }

    fn node(name: &str, instance_type: &str, zone: &str, allocatable: Resources) -> ClusterNode {
        ClusterNode {
            labels: Labels::from([
                (HOSTNAME_LABEL.to_owned(), name.to_owned()),
                (ZONE_LABEL.to_owned(), zone.to_owned()),
                (INSTANCE_TYPE_LABEL.to_owned(), instance_type.to_owned()),
                ("uid".to_owned(), format!("u-{name}")),
            ]),
            zone: zone.into(),
            instance_type: instance_type.into(),
            ..ClusterNode::plain(name, allocatable)
        }
    }

    fn size(cores: i64, gib: i64) -> Resources {
        Resources::of([(CPU, cores * 1000), (MEMORY, gib << 30), (PODS, 110)])
    }

    #[test]
    fn the_documented_example_is_read_exactly() {
        let catalog = parse(&source(EXAMPLE)).unwrap();
        assert_eq!((catalog.name.as_str(), catalog.prices, catalog.offers.len()), ("example", PriceSource::Listed, 2));
        let on_demand = &catalog.offers[0];
        assert_eq!(on_demand.allocatable, Resources::of([(CPU, 3920), (MEMORY, 15 << 30), (PODS, 58)]));
        assert_eq!((on_demand.quota, on_demand.boot_time_s, on_demand.price_per_hour), (Some(100), 90.0, 0.192));
        let spot = &catalog.offers[1];
        assert_eq!(spot.capacity_type, CapacityType::Spot);
        assert_eq!(
            spot.allocatable,
            Resources::of([(CPU, 3920), (MEMORY, 15 << 30), (PODS, 110), ("nvidia.com/gpu", 1)])
        );
        assert_eq!(
            spot.taints,
            [Taint { key: "dedicated".into(), value: "gpu".into(), effect: TaintEffect::NoSchedule }]
        );
        assert_eq!(spot.labels[INSTANCE_TYPE_LABEL], "m5.xlarge");
        assert_eq!(spot.labels[OS_LABEL], "linux");
        assert_eq!((spot.quota, spot.boot_time_s), (None, 120.0));
    }

    #[test]
    fn json_is_read_too_and_zones_may_be_left_out() {
        let text = r#"{"apiVersion":"plimsoll.dev/v1alpha1","kind":"NodeCatalog","metadata":{"name":"j"},
            "spec":{"offers":[{"name":"n","pricePerHour":1,"allocatable":{"cpu":"2","memory":"4Gi"}}]}}"#;
        let catalog = parse(&source(text)).unwrap();
        assert_eq!(catalog.offers[0].zones, [""]);
        assert!((catalog.offers[0].boot_time_s - 90.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_wrong_is_said_with_line_and_column() {
        for (from, to, expected) in [
            ("kind: NodeCatalog", "kind: Catalog", "c.yaml:3:7: kind: expected one of NodeCatalog, found \"Catalog\""),
            (
                "0.192",
                "-1",
                "c.yaml:10:19: spec.offers[0].pricePerHour: expected a number 0 or more, found the number -1",
            ),
            (
                "0.192",
                ".inf",
                "c.yaml:10:19: spec.offers[0].pricePerHour: expected a number 0 or more, found the number .inf",
            ),
            (
                "3920m",
                "many",
                "c.yaml:11:25: spec.offers[0].allocatable.cpu: expected a quantity, found \"many\" (write a number with an \
                 optional suffix, e.g. 250m, 1.5, 128Mi, 2Gi)",
            ),
            ("3920m", "0", "c.yaml:11:18: spec.offers[0].allocatable: expected cpu above 0"),
            (
                "capacityType: spot",
                "capacityType: Spot",
                "c.yaml:18:19: spec.offers[1].capacityType: expected one of on-demand, spot, found \"Spot\" (did you mean \
                 spot?)",
            ),
            (
                "capacityType: spot",
                "capacityType: on-demand",
                "c.yaml:16:5: spec.offers[1]: on-demand m5.xlarge in zone r1a is offered in line 7 already (one name and \
                 capacity type has one price in a zone)",
            ),
            (
                "bootTime: 90s",
                "bootTime: soon",
                "c.yaml:15:15: spec.offers[0].bootTime: expected a duration from 0s to 1d such as 90s, 5m or 1h30m, found the text \"soon\"",
            ),
            ("zones: [r1a, r1b]", "zones: []", "c.yaml:8:12: spec.offers[0].zones: expected at least one item"),
            (
                "quota: 100",
                "quota: -1",
                "c.yaml:14:12: spec.offers[0].quota: expected a whole number from 0 to 1000000, found the number -1",
            ),
            (
                "quota: 100",
                "qouta: 100",
                "c.yaml:14:5: unknown field \"spec.offers[0].qouta\" (did you mean quota? known here: name, zones, capacityType, pricePerHour, allocatable, labels, taints, quota, bootTime)",
            ),
            (
                "labels: { node.kubernetes.io/instance-type: m5.xlarge }",
                "labels: { kubernetes.io/hostname: a }",
                "c.yaml:12:13: spec.offers[0].labels: kubernetes.io/hostname is set on each node by itself, leave it out",
            ),
            (
                "effect: NoSchedule",
                "effect: Never",
                "c.yaml:21:52: spec.offers[1].taints[0].effect: expected one of NoSchedule, PreferNoSchedule, NoExecute, found \"Never\"",
            ),
            ("spec:\n", "specs:\n", "c.yaml:2:1: spec is missing (list offers under spec.offers)"),
        ] {
            assert!(EXAMPLE.contains(from), "{from}");
            assert_eq!(error(&EXAMPLE.replacen(from, to, 1)), expected);
        }
        assert_eq!(error(""), "c.yaml:1:1: expected a mapping, found nothing");
        assert_eq!(
            error(&format!("{EXAMPLE}---\n{EXAMPLE}")),
            "c.yaml:25:1: a second document begins here, expected one a file (put each document into a file of its own)"
        );
    }

    #[test]
    fn estimates_follow_the_policys_prices() {
        let planning = Planning::default();
        let mut resources = Resources::of([(CPU, 4000), (MEMORY, 16 << 30)]);
        let price = |r: &Resources, c| estimate_price(r, c, &planning);
        // 4 · 0.031611 + 16 · 0.004237
        assert!((price(&resources, CapacityType::OnDemand) - 0.194_236).abs() < 1e-9);
        assert!((price(&resources, CapacityType::Spot) - 0.067_982_6).abs() < 1e-9);
        resources.set("nvidia.com/gpu", 2);
        assert!((price(&resources, CapacityType::OnDemand) - 2.094_236).abs() < 1e-9);
    }

    #[test]
    fn shapes_that_exist_become_offers_without_what_belongs_to_one_host() {
        let mut bigger = node("b", "m5.xlarge", "z2", size(4, 16));
        bigger.allocatable.set(MEMORY, (16 << 30) + 4096);
        let mut pool = node("c", "m5.xlarge", "z1", size(4, 16));
        pool.labels.insert("pool".into(), "blue".into());
        pool.taints = vec![
            Taint { key: "pool".into(), value: "blue".into(), effect: TaintEffect::NoSchedule },
            Taint { key: "node.kubernetes.io/not-ready".into(), value: String::new(), effect: TaintEffect::NoExecute },
        ];
        let mut master = node("d", "m5.large", "z1", size(2, 8));
        master.labels.insert("node-role.kubernetes.io/control-plane".into(), String::new());
        let mut template = PodTemplate::default();
        let key = |key: &str| Requirement { key: key.into(), operator: Operator::Exists, values: Vec::new() };
        let expressions = vec![key("pool"), key("uid"), key(HOSTNAME_LABEL)];
        template.rules.node_affinity = Some(vec![NodeSelectorTerm { expressions, fields: Vec::new() }]);
        let mut snapshot = Snapshot {
            nodes: vec![node("a", "m5.xlarge", "z1", size(4, 16)), bigger, pool, master],
            templates: vec![template],
            ..Snapshot::default()
        };
        for node in &mut snapshot.nodes {
            node.labels.insert("uid".into(), node.name.clone());
        }
        let catalog = estimated(&snapshot, &Planning::default());
        assert_eq!(catalog.prices, PriceSource::Estimated);
        let [plain, blue] = catalog.offers.as_slice() else { panic!("{:#?}", catalog.offers) };
        assert_eq!((plain.name.as_str(), blue.name.as_str()), ("m5.xlarge", "m5.xlarge-2"));
        assert_eq!(plain.zones, ["z1", "z2"]);
        assert_eq!(plain.allocatable, size(4, 16));
        assert_eq!(plain.labels.keys().collect::<Vec<_>>(), [INSTANCE_TYPE_LABEL]);
        assert_eq!(blue.labels.get("pool").map(String::as_str), Some("blue"));
        assert_eq!(blue.taints.len(), 1);
        let found: Vec<_> = snapshot.nodes.iter().map(|n| match_offer(n, &catalog)).collect();
        assert_eq!(found, [Some(0), Some(0), Some(1), None]);
    }

    #[test]
    fn nodes_without_a_type_are_told_apart_by_size() {
        let snapshot = Snapshot {
            nodes: vec![node("a", "", "", size(4, 16)), node("b", "", "", size(8, 16)), node("c", "", "", size(4, 16))],
            ..Snapshot::default()
        };
        let catalog = estimated(&snapshot, &Planning::default());
        let names: Vec<_> = catalog.offers.iter().map(|o| (o.name.as_str(), o.zones.clone())).collect();
        assert_eq!(names, [("4cpu-16Gi", vec![String::new()]), ("8cpu-16Gi", vec![String::new()])]);
        let found: Vec<_> = snapshot.nodes.iter().map(|n| match_offer(n, &catalog)).collect();
        assert_eq!(found, [Some(0), Some(1), Some(0)]);
        assert!(estimated(&Snapshot::default(), &Planning::default()).offers.is_empty());
    }

    #[test]
    fn a_node_matches_by_type_capacity_and_zone() {
        let catalog = parse(&source(EXAMPLE)).unwrap();
        let mut node = node("a", "m5.xlarge", "r1a", size(4, 15));
        assert_eq!(match_offer(&node, &catalog), Some(0));
        node.capacity_type = CapacityType::Spot;
        assert_eq!(match_offer(&node, &catalog), Some(1));
        node.zone = "r1b".into();
        assert_eq!(match_offer(&node, &catalog), None);
        node.capacity_type = CapacityType::OnDemand;
        node.instance_type = "m5.large".into();
        assert_eq!(match_offer(&node, &catalog), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            let _ = parse(&source(&text));
        }

        #[test]
        fn a_catalog_with_a_line_damaged_is_read_or_refused_with_a_place(
            line in 0usize..22,
            junk in "[-:{}\\[\\]&*!|>'\"%@`, a-z0-9~\t]{0,12}",
        ) {
            let damaged: String = EXAMPLE
                .lines()
                .enumerate()
                .map(|(i, l)| if i == line { format!("{l}{junk}\n") } else { format!("{l}\n") })
                .collect();
            if let Err(problem) = parse(&source(&damaged)) {
                prop_assert!(problem.location != Location::Whole, "{problem:?}");
            }
        }

        #[test]
        fn each_node_matches_an_offer_estimated_from_it(
            shapes in proptest::collection::vec((1i64..65, 1i64..257, 0usize..3, 0usize..3), 1..20),
        ) {
            let types = ["", "small", "large"];
            let zones = ["", "z1", "z2"];
            let nodes = shapes
                .iter()
                .enumerate()
                .map(|(i, (cores, gib, t, z))| node(&format!("n{i}"), types[*t], zones[*z], size(*cores, *gib)))
                .collect();
            let snapshot = Snapshot { nodes, ..Snapshot::default() };
            let catalog = estimated(&snapshot, &Planning::default());
            for node in &snapshot.nodes {
                let offer = match_offer(node, &catalog).map(|i| &catalog.offers[i]);
                prop_assert!(offer.is_some_and(|o| o.zones.contains(&node.zone)), "{node:?}");
            }
            let mut names: Vec<_> = catalog.offers.iter().map(|o| &o.name).collect();
            names.sort();
            names.dedup();
            prop_assert_eq!(names.len(), catalog.offers.len());
        }
    }
}
